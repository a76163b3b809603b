#include "apiserver/stream/tunnels.h"

#include <algorithm>

#include "apiserver/api_server.h"
#include "base/strings.h"

namespace k8lite::apiserver {
namespace {

using async::Task;

constexpr size_t kMostWaiting = 8;            // of a node: more are of agents that have gone without a word
constexpr Duration kUntilOneComes = seconds(10), kUntilItStands = seconds(10);
constexpr std::string_view kUserPrefix = "system:node:";

// The node that a verified certificate names; "": it is none's.
std::string node_of(const net::Peer& peer) {
  bool known = peer.has_certificate && !peer.bad_certificate && peer.common_name.starts_with(kUserPrefix);
  const auto& groups = peer.organizations;
  if (!known || std::find(groups.begin(), groups.end(), "system:nodes") == groups.end()) return {};
  return peer.common_name.substr(kUserPrefix.size());
}

}  // namespace

Task<bool> NodeTunnels::serve(net::Request& request, net::ResponseWriter& response) {
  if (request.path != kTunnelPath) co_return false;
  std::string name = node_of(request.peer());
  if (name.empty()) {
    co_await send_status(response, Status(Reason::Unauthorized, "a node's certificate is wanted here"));
    co_return true;
  }
  if (!iequals(request.headers.get("Upgrade"), kTunnelProtocol)) {
    co_await send_status(response, bad_request("Upgrade request required"));
    co_return true;
  }
  auto stream = co_await response.upgrade({{"Connection", "Upgrade"}, {"Upgrade", std::string(kTunnelProtocol)}});
  if (!stream.ok()) co_return true;
  (*stream)->set_timeout(Duration{0});
  auto& node = nodes_[name];
  if (!node) node = std::make_shared<Node>();
  auto waiting = std::make_shared<Waiting>();
  waiting->stream = *stream;
  while (node->waiting.size() >= kMostWaiting) node->waiting.front()->stream->close(), node->waiting.pop_front();
  node->waiting.push_back(waiting);
  node->lost = false;
  if (!node->wanting.empty()) node->wanting.front()->notify(), node->wanting.pop_front();
  async::spawn(loop_, watch(node, waiting));
  co_return true;
}

// The one reader of a connection until it stands: its end is noticed, too.
Task<void> NodeTunnels::watch(NodePtr node, WaitingPtr waiting) {
  char byte = 0;
  auto n = co_await waiting->stream->read_some({&byte, 1});
  waiting->stands = n.ok() && *n == 1 && waiting->asked;
  waiting->ended = !waiting->stands;
  std::erase(node->waiting, waiting);
  if (waiting->ended) waiting->stream->close();
  if (waiting->ended && !waiting->asked && node->waiting.empty()) node->lost = true;
  waiting->changed.notify();
}

NodeTunnels::Dial NodeTunnels::dialler(const std::string& name) {
  // Who came this way once comes again, also when all of them are in use just now; but not who went.
  auto it = nodes_.find(name);
  if (it == nodes_.end() || it->second->lost) return {};
  return [loop = &loop_, node = it->second, name] { return connect(loop, node, name); };
}

Task<Result<net::StreamPtr>> NodeTunnels::connect(async::Loop* loop, NodePtr node, std::string name) {
  for (;;) {
    while (node->waiting.empty()) {
      auto arrived = std::make_shared<async::Notify>();
      node->wanting.push_back(arrived);
      bool came = co_await arrived->wait_for(*loop, kUntilOneComes);
      std::erase(node->wanting, arrived);
      if (!came) co_return unavailable("node " + name + " keeps no connection open");
    }
    auto waiting = node->waiting.back();  // the youngest lives most likely
    node->waiting.pop_back();
    waiting->asked = true;
    auto asked = co_await waiting->stream->write_all("?");
    if (asked.ok() && !waiting->stands && !waiting->ended) (void)co_await waiting->changed.wait_for(*loop, kUntilItStands);
    if (waiting->stands) co_return waiting->stream;
    waiting->stream->close();
  }
}

}  // namespace k8lite::apiserver
