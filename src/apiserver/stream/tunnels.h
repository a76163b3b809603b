// The way to nodes that cannot be dialled (behind NAT or a firewall): a node's agent keeps a few connections open to
// /v1-k8lite/connect, shown with its own certificate. One is used up by each connection that the server wants to the
// node's agent: a byte asks for it, a byte from the other side says that it stands, and what follows is the agent's own
// TLS. Nothing is multiplexed, so nothing can stall behind another.
#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "net/http.h"

namespace k8lite::apiserver {

inline constexpr std::string_view kTunnelPath = "/v1-k8lite/connect", kTunnelProtocol = "k8lite-tunnel";

// The loop's thread only.
class NodeTunnels {
 public:
  explicit NodeTunnels(async::Loop& loop) : loop_(loop) {}
  // True: the request was for the tunnels' path, and was answered.
  async::Task<bool> serve(net::Request& request, net::ResponseWriter& response);
  // How to get a connection to that node's agent; empty while the node keeps none open: then it is dialled.
  using Dial = std::function<async::Task<Result<net::StreamPtr>>()>;
  Dial dialler(const std::string& node);

 private:
  struct Waiting {
    net::StreamPtr stream;
    bool asked = false, stands = false, ended = false;
    async::Notify changed;
  };
  using WaitingPtr = std::shared_ptr<Waiting>;
  struct Node {
    std::deque<WaitingPtr> waiting;
    std::deque<std::shared_ptr<async::Notify>> wanting;  // those who wait for one to come
    bool lost = false;  // the last one ended without being used: its agent is gone, or cannot come any more
  };
  using NodePtr = std::shared_ptr<Node>;
  static async::Task<void> watch(NodePtr node, WaitingPtr waiting);
  static async::Task<Result<net::StreamPtr>> connect(async::Loop* loop, NodePtr node, std::string name);
  async::Loop& loop_;
  std::map<std::string, NodePtr> nodes_;
};

}  // namespace k8lite::apiserver
