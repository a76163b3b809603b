// kubectl port-forward: listens here, and carries each connection as a pair of SPDY streams (data and errors) over one upgraded
// connection to the server: SPDY inside a WebSocket (KEP-4006), or plain SPDY where a server knows only that.
#include <arpa/inet.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <ctime>

#include "base/strings.h"
#include "kubectl/commands/commands.h"
#include "kubectl/commands/streams.h"
#include "kubectl/commands/ports.h"
#include "kubectl/waiting.h"
#include "net/spdy.h"
#include "net/websocket.h"

namespace k8lite::kubectl {

using async::Task;
using json::Node;

namespace {

constexpr std::string_view kTunnel = "SPDY/3.1+portforward.k8s.io";

struct Forwarding {
  Forwarding(Session& s, std::shared_ptr<net::SpdySession> p) : session(s), spdy(std::move(p)) {}
  Session& session;
  std::shared_ptr<net::SpdySession> spdy;
  int64_t next_request = 0;
  async::Notify ended;
};
using ForwardingPtr = std::shared_ptr<Forwarding>;

// A line in the form of kubectl's log.
void complain(Session& s, const std::string& text) {
  std::time_t now = static_cast<std::time_t>(system_clock().now().us / 1'000'000);
  std::tm parts{};
  ::localtime_r(&now, &parts);
  char head[64];
  size_t n = std::strftime(head, sizeof head, "E%m%d %H:%M:%S.", &parts);
  std::string micro = std::to_string(system_clock().now().us % 1'000'000);
  std::string pid = std::to_string(::getpid());
  pid.insert(0, pid.size() < 7 ? 7 - pid.size() : 0, ' ');
  s.err(std::string(head, n) + std::string(6 - micro.size(), '0') + micro + " " + pid + " port_forward.cpp:" + std::to_string(__LINE__) + "] \"Unhandled Error\" err=" + json::quoted(text) + "\n");
}

Task<void> to_server(net::StreamPtr local, net::SpdyStreamPtr data) {
  std::string buffer(32768, '\0');
  for (;;) {
    auto n = co_await local->read_some(std::span<char>(buffer.data(), buffer.size()));
    if (!n.ok() || *n == 0) break;
    std::string piece = buffer.substr(0, *n);
    if (!(co_await data->write(std::move(piece))).ok()) break;
  }
  (void)co_await data->close_write();
}

Task<std::string> read_all(net::SpdyStreamPtr stream) {
  std::string out;
  for (;;) {
    auto piece = co_await stream->read();
    if (!piece.ok() || piece->empty()) break;
    out += *piece;
  }
  co_return out;
}

Task<void> handle(ForwardingPtr f, net::StreamPtr local, PortPair port) {
  f->session.out("Handling connection for " + std::to_string(port.local) + "\n");
  std::string id = std::to_string(f->next_request++), number = std::to_string(port.remote), what = std::to_string(port.local) + " -> " + number;
  net::Headers headers{{"streamtype", "error"}, {"port", number}, {"requestid", id}};
  auto error = co_await f->spdy->open(headers);
  if (!error.ok()) {
    complain(f->session, "error creating error stream for port " + what + ": " + error.status().message());
    co_return local->close();
  }
  (void)co_await (*error)->close_write();
  headers.set("streamtype", "data");
  auto data = co_await f->spdy->open(headers);
  if (!data.ok()) {
    complain(f->session, "error creating forwarding stream for port " + what + ": " + data.status().message());
    co_return local->close();
  }
  async::Executor& executor = co_await async::current_executor();
  async::spawn(executor, to_server(local, *data));
  for (;;) {
    auto piece = co_await (*data)->read();
    if (!piece.ok() || piece->empty()) break;
    std::string bytes = std::move(*piece);
    if (!(co_await local->write_all(bytes)).ok()) break;
  }
  local->close();
  std::string told = co_await read_all(*error);
  (*data)->reset();
  if (told.empty()) co_return;
  complain(f->session, "an error occurred forwarding " + what + ": " + told);
  f->spdy->close();
  f->ended.notify();
}

Task<void> watch_end(ForwardingPtr f) {
  while ((co_await f->spdy->accept()).ok()) continue;
  f->ended.notify();
}

Task<bool> wait_end(ForwardingPtr f) {
  co_await f->ended.wait();
  co_return true;
}

// The tunnel to the pod's node.
Result<net::StreamPtr> connect(Session& s, const Target& pod) {
  TRY(auto* raw, s.raw());
  std::string target = raw->path_prefix + pod.url("portforward");
  auto socket = async::block_on(s.loop(), net::dial_websocket(*raw->http, target, raw->headers, {std::string(kTunnel)}));
  if (socket.ok()) return net::websocket_stream(*socket);
  Status refused = upgrade_error(socket.status());
  if (refused.is(Reason::Forbidden) || refused.is(Reason::Unauthorized) || refused.is(Reason::NotFound)) return refused;
  net::ClientRequest request{"POST", target, raw->headers, ""};
  request.headers.set("Connection", "Upgrade");
  request.headers.set("Upgrade", "SPDY/3.1");
  request.headers.set("X-Stream-Protocol-Version", "portforward.k8s.io");
  auto upgraded = async::block_on(s.loop(), raw->http->upgrade(std::move(request)));
  if (!upgraded.ok()) return upgrade_error(upgraded.status());
  return upgraded->stream;
}

struct Listening {
  std::vector<std::unique_ptr<net::Listener>> listeners;
};

// All addresses of one port; ok when at least one of "localhost"'s two could be had.
Result<> listen_on(ForwardingPtr f, const std::vector<std::string>& addresses, PortPair& port, Listening& all) {
  std::vector<std::string> failures;
  bool any = false;
  for (const std::string& address : addresses) {
    bool both = address == "localhost";
    for (const std::string& one : both ? std::vector<std::string>{"127.0.0.1", "::1"} : std::vector<std::string>{address}) {
      net::ListenOptions options;
      options.address = one;
      options.port = port.local;
      bool six = one.find(':') != std::string::npos;
      std::string host = six ? "[" + one + "]" : one;
      auto known = std::make_shared<PortPair>(port);
      auto listener = net::listen(f->session.loop(), options, [f, known](net::StreamPtr stream) { async::spawn(f->session.loop(), handle(f, std::move(stream), *known)); });
      if (!listener.ok()) {
        failures.push_back("unable to create listener: Error listen tcp" + std::string(six ? "6 " : "4 ") + host + ":" + std::to_string(port.local) + ": " +
                           (listener.status().sys_errno() ? "bind: " + lower(std::strerror(listener.status().sys_errno())) : listener.status().message()));
        continue;
      }
      port.local = (*listener)->port();
      known->local = port.local;
      any = true;
      all.listeners.push_back(std::move(*listener));
      f->session.out("Forwarding from " + host + ":" + std::to_string(port.local) + " -> " + std::to_string(port.remote) + "\n");
    }
  }
  if (any) return {};
  return usage("Listeners failed to create with the following errors: [" + join(failures, " ") + "]");
}

Result<> port_forward(Session& s) {
  const auto& args = s.flags.args;
  if (args.size() < 2) return usage("TYPE/NAME and list of ports are required for port-forward\nSee 'kubectl port-forward -h' for help and examples");
  std::vector<std::string> addresses = s.flags.changed("address") ? s.flags.list("address") : std::vector<std::string>{"localhost"};
  for (const std::string& a : addresses) {
    in6_addr six;
    in_addr four;
    if (a != "localhost" && ::inet_pton(AF_INET, a.c_str(), &four) != 1 && ::inet_pton(AF_INET6, a.c_str(), &six) != 1) return usage(a + " is not a valid IP");
  }
  std::vector<std::string> word = {args[0].find('/') == std::string::npos ? "pod/" + args[0] : args[0]};
  TRY(auto targets, targets_from_words(s, word));
  Target owner = targets.at(0);
  TRY(owner.object, s.get(owner.url()));
  TRY(Target pod, one_pod(s, args[0], Telling::Quiet));
  std::vector<PortPair> ports;
  for (size_t i = 1; i < args.size(); ++i) {
    TRY(PortPair p, owner.mapping.kind == "Service" ? service_port(args[i], owner.object, pod.object) : pod_port(args[i], pod.object));
    ports.push_back(p);
  }
  std::string phase = pod.object.path("status.phase").str();
  if (phase != "Running") return usage("unable to forward port because pod is not running. Current status=" + phase);
  TRY(auto stream, connect(s, pod));
  auto f = std::make_shared<Forwarding>(s, net::make_spdy_session(s.loop(), stream, false));
  Listening listening;
  bool any = false;
  for (PortPair& p : ports) {
    auto done = listen_on(f, addresses, p, listening);
    any = any || done.ok();
    if (!done.ok()) s.err("Unable to listen on port " + std::to_string(p.local) + ": " + done.status().message() + "\n");
  }
  if (!any) {
    std::string list;
    for (const PortPair& p : ports) list += (list.empty() ? "{" : " {") + std::to_string(p.local) + " " + std::to_string(p.remote) + "}";
    return usage("unable to listen on any of the requested ports: [" + list + "]");
  }
  std::signal(SIGINT, [](int) { ::_exit(0); });  // everything printed has been flushed
  async::spawn(s.loop(), watch_end(f));
  (void)async::block_on(s.loop(), wait_end(f));
  for (auto& l : listening.listeners) l->close();
  return usage("lost connection to pod");
}

}  // namespace

std::vector<Command> port_forward_commands() {
  Command c{"port-forward", "Troubleshooting and Debugging Commands", "Forward one or more local ports to a pod", "TYPE/NAME [options] [LOCAL_PORT:]REMOTE_PORT [...[LOCAL_PORT_N:]REMOTE_PORT_N]",
            {{"address", 0, FlagKind::List, "localhost", "Addresses to listen on (IP addresses or localhost)"}, {"pod-running-timeout", 0, FlagKind::Time, "1m0s", "How long to wait for a pod"}},
            port_forward};
  c.examples =
      "  # Ports 5000 and 6000 here are those of the pod\n  kubectl port-forward pod/mypod 5000 6000\n\n  # Port 8443 here is the service's port named https\n  kubectl port-forward service/myservice 8443:https\n\n"
      "  # A free port here, on all addresses, is port 5000 of a pod of the deployment\n  kubectl port-forward --address 0.0.0.0 deployment/mydeployment :5000";
  return {c};
}

}  // namespace k8lite::kubectl
