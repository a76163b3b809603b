// Port-forward: pairs of SPDY streams (data, error), a pair a connection, from kubectl directly or inside a WebSocket (KEP-4006), or pairs
// of channels of a WebSocket, a pair a port. Each becomes a TCP connection to localhost inside the pod's network namespace, as a process of the pod would make it.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "base/strings.h"
#include "kubelet/streaming.h"
#include "net/spdy.h"
#include "net/websocket.h"

namespace k8lite::kubelet {

using async::Task;

namespace {

constexpr size_t kMaxHalfPairs = 64;  // streams that wait for their partner
constexpr int kConnectTimeoutMs = 10'000;
constexpr std::string_view kTunnel = "SPDY/3.1+portforward.k8s.io";
constexpr std::string_view kChannels = "v4.channel.k8s.io";
constexpr size_t kMaxPorts = 64;  // of one WebSocket: two channels each

struct Forwarding {
  StreamingCorePtr core;
  std::shared_ptr<net::SpdySession> session;
  std::string ns, pod;
  struct Pair {
    net::SpdyStreamPtr data, error;
  };
  std::map<std::string, Pair> halves;
};
using ForwardingPtr = std::shared_ptr<Forwarding>;

std::string error_text(int err) {
  std::string text = strerror(err);
  return lower(text);
}

// The error reads as Go's dialer words it, for that is what people search for.
Result<os::Fd> connect_to(const std::string& address, int port) {
  bool six = address.find(':') != std::string::npos;
  std::string what = std::string("dial ") + (six ? "tcp6 [" : "tcp4 ") + address + (six ? "]:" : ":") + std::to_string(port) + ": connect: ";
  os::Fd fd(::socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return unavailable(what + error_text(errno));
  sockaddr_storage storage{};
  socklen_t size;
  if (six) {
    auto* a = reinterpret_cast<sockaddr_in6*>(&storage);
    a->sin6_family = AF_INET6;
    a->sin6_port = htons(static_cast<uint16_t>(port));
    inet_pton(AF_INET6, address.c_str(), &a->sin6_addr);
    size = sizeof *a;
  } else {
    auto* a = reinterpret_cast<sockaddr_in*>(&storage);
    a->sin_family = AF_INET;
    a->sin_port = htons(static_cast<uint16_t>(port));
    inet_pton(AF_INET, address.c_str(), &a->sin_addr);
    size = sizeof *a;
  }
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&storage), size) != 0) {
    if (errno != EINPROGRESS) return unavailable(what + error_text(errno));
    pollfd p{fd.get(), POLLOUT, 0};
    if (poll(&p, 1, kConnectTimeoutMs) <= 0) return unavailable(what + "i/o timeout");
    int err = 0;
    socklen_t n = sizeof err;
    getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &err, &n);
    if (err) return unavailable(what + error_text(err));
  }
  return fd;
}

Result<os::Fd> connect_on_this_thread(const std::string& path, int port) {
  os::Fd ns(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!ns || setns(ns.get(), CLONE_NEWNET) != 0) return Status::from_errno("enter " + path, errno);
  auto four = connect_to("127.0.0.1", port);
  if (four.ok()) return four;
  auto six = connect_to("::1", port);
  if (six.ok()) return six;
  return unavailable("failed to connect to localhost:" + std::to_string(port) + " inside namespace \"" + path + "\", IPv4: " + four.status().message() + " IPv6 " + six.status().message());
}

// One connection of the client's: its descriptor, once for each direction.
struct Tunnel {
  os::Fd socket;
  FdStreamPtr reader, writer;
  void close() {
    reader->close();
    writer->close();
    socket.reset();
  }
};
using TunnelPtr = std::shared_ptr<Tunnel>;

Task<void> to_pod(net::SpdyStreamPtr data, TunnelPtr t) {
  for (;;) {
    auto piece = co_await data->read();
    if (!piece.ok()) co_return t->close();  // the client is gone: nobody reads the other direction
    if (piece->empty()) break;
    if (!(co_await t->writer->write(std::move(*piece))).ok()) co_return;
  }
  if (t->socket) ::shutdown(t->socket.get(), SHUT_WR);
}

Task<void> say_error(Forwarding::Pair pair, std::string text) {
  (void)co_await pair.error->write(std::move(text));
  (void)co_await pair.error->close_write();
  (void)co_await pair.data->close_write();
}

// A connection for a client's, with both its directions. The error is for the client to read.
Task<Result<TunnelPtr>> open_tunnel(StreamingCorePtr core, std::string ns, std::string pod, int number) {
  std::function<Result<TunnelPtr>()> work = [core, ns, pod, number]() -> Result<TunnelPtr> {
    if (core->stopping) return unavailable("the node agent is stopping");
    TRY(std::string ip, core->pods.pod_address(ns, pod));
    auto t = std::make_shared<Tunnel>();
    TRY(t->socket, connect_in_pod(core->pods.sandbox_pid(ns, pod), ip, number));
    return t;
  };
  auto connected = co_await async::offload<Result<TunnelPtr>>(core->pool, work);
  if (!connected.ok()) co_return unavailable("error forwarding port " + std::to_string(number) + " to pod " + pod + ", uid : " + connected.status().message());
  TunnelPtr t = *connected;
  t->reader = std::make_shared<FdStream>(core->watch, os::Fd(fcntl(t->socket.get(), F_DUPFD_CLOEXEC, 3)));
  t->writer = std::make_shared<FdStream>(core->watch, os::Fd(fcntl(t->socket.get(), F_DUPFD_CLOEXEC, 3)));
  co_return t;
}

Task<void> forward(ForwardingPtr f, Forwarding::Pair pair) {
  std::string port_text(pair.data->headers().get("port"));
  auto port = parse_int(port_text);
  if (!port || *port < 1 || *port > 65535) co_return co_await say_error(pair, "unable to parse \"" + port_text + "\" as a port");
  auto opened = co_await open_tunnel(f->core, f->ns, f->pod, static_cast<int>(*port));
  if (!opened.ok()) co_return co_await say_error(pair, opened.status().message());
  TunnelPtr t = *opened;
  async::spawn(f->core->loop, to_pod(pair.data, t));
  for (;;) {
    auto piece = co_await t->reader->read();
    if (!piece.ok() || piece->empty()) break;
    if (!(co_await pair.data->write(std::move(*piece))).ok()) break;
  }
  (void)co_await pair.data->close_write();
  (void)co_await pair.error->close_write();
  t->close();
}

Task<void> serve_session(ForwardingPtr f) {
  for (;;) {
    auto accepted = co_await f->session->accept();
    if (!accepted.ok()) break;
    net::SpdyStreamPtr stream = *accepted;
    std::string type(stream->headers().get("streamType")), id(stream->headers().get("requestID"));
    if ((type != "data" && type != "error") || (f->halves.size() >= kMaxHalfPairs && !f->halves.count(id))) {
      stream->reset();
      continue;
    }
    Forwarding::Pair& pair = f->halves[id];
    (type == "data" ? pair.data : pair.error) = stream;
    if (!pair.data || !pair.error) continue;
    async::spawn(f->core->loop, forward(f, pair));
    f->halves.erase(id);
  }
  f->halves.clear();
}

// ---- channels of a WebSocket, as the clients for Python and JavaScript use them: one connection a port, 2i for its data, 2i+1 for its error ----

Task<Result<>> send_on(std::shared_ptr<net::WebSocket> socket, size_t channel, std::string data) {
  data.insert(data.begin(), static_cast<char>(channel));
  co_return co_await socket->write(net::WebSocket::Opcode::Binary, std::move(data));
}

Task<void> from_pod(std::shared_ptr<net::WebSocket> socket, size_t index, TunnelPtr t) {
  for (;;) {
    auto piece = co_await t->reader->read();
    if (!piece.ok() || piece->empty()) break;
    if (!(co_await send_on(socket, 2 * index, std::move(*piece))).ok()) break;
  }
  t->close();
}

Task<void> serve_channels(StreamingCorePtr core, std::shared_ptr<net::WebSocket> socket, std::string ns, std::string pod, std::vector<int> ports) {
  std::vector<TunnelPtr> tunnels(ports.size());
  for (size_t i = 0; i < ports.size(); ++i) {
    std::string number{static_cast<char>(ports[i] & 0xff), static_cast<char>(ports[i] >> 8)};  // each channel begins with its port
    for (size_t channel : {2 * i, 2 * i + 1})
      if (!(co_await send_on(socket, channel, number)).ok()) co_return;
  }
  for (size_t i = 0; i < ports.size(); ++i) {
    auto opened = co_await open_tunnel(core, ns, pod, ports[i]);
    if (!opened.ok()) {
      (void)co_await send_on(socket, 2 * i + 1, opened.status().message());
      continue;
    }
    tunnels[i] = *opened;
    async::spawn(core->loop, from_pod(socket, i, tunnels[i]));
  }
  for (;;) {
    auto message = co_await socket->read();
    if (!message.ok() || message->opcode == net::WebSocket::Opcode::Close) break;
    if (message->data.size() < 2) continue;
    auto channel = static_cast<unsigned char>(message->data[0]);
    if (channel % 2 == 0 && channel / 2u < tunnels.size() && tunnels[channel / 2]) (void)co_await tunnels[channel / 2]->writer->write(message->data.substr(1));
  }
  for (const TunnelPtr& t : tunnels)
    if (t) t->close();
}

Result<std::vector<int>> ports_of(const net::Query& query) {
  std::vector<int> ports;
  for (const char* name : {"port", "ports"})
    for (std::string_view list : query.all(name))
      for (std::string_view text : split(list, ',')) {
        auto port = parse_int(text);
        if (!port || *port < 1 || *port > 65535) return bad_request("invalid port \"" + std::string(text) + "\"");
        ports.push_back(static_cast<int>(*port));
      }
  if (ports.empty()) return bad_request("query parameter \"port\" is required");
  if (ports.size() > kMaxPorts) return bad_request("at most " + std::to_string(kMaxPorts) + " ports are forwarded at once");
  return ports;
}

}  // namespace

Result<os::Fd> connect_in_pod(int sandbox_pid, const std::string& pod_ip, int port) {
  if (sandbox_pid <= 0) {
    if (pod_ip.empty()) return unavailable("the pod has no address");
    return connect_to(pod_ip, port);
  }
  std::string path = "/proc/" + std::to_string(sandbox_pid) + "/ns/net";
  std::optional<Result<os::Fd>> out;
  std::thread([&out, &path, port] { out.emplace(connect_on_this_thread(path, port)); }).join();  // a thread keeps its namespace
  return std::move(*out);
}

Task<Result<>> serve_port_forward(StreamingCorePtr core, net::Request& request, net::ResponseWriter& response, std::string ns, std::string pod) {
  auto address = core->pods.pod_address(ns, pod);
  if (!address.ok()) co_return address.status();
  auto f = std::make_shared<Forwarding>();
  f->core = core;
  f->ns = ns;
  f->pod = pod;
  net::StreamPtr raw;
  if (net::is_websocket_upgrade(request)) {
    std::vector<std::string> served = {std::string(kTunnel)};
    std::vector<int> ports;
    if (request.query.has("port") || request.query.has("ports")) {
      CO_TRY(ports, ports_of(request.query));
      served.emplace_back(kChannels);
    }
    CO_TRY(auto socket, co_await net::accept_websocket(request, response, served));
    if (socket->protocol() == kChannels) {
      async::spawn(core->loop, serve_channels(core, socket, ns, pod, ports));
      co_return Result<>{};
    }
    raw = net::websocket_stream(socket);
  } else {
    if (!is_spdy_upgrade(request)) co_return bad_request("Upgrade request required");
    CO_TRY(std::string protocol, choose_stream_protocol(request, {"portforward.k8s.io"}));
    CO_TRY(raw, co_await upgrade_to_spdy(response, protocol));
  }
  f->session = net::make_spdy_session(core->loop, raw, true);
  async::spawn(core->loop, serve_session(f));
  co_return Result<>{};
}

}  // namespace k8lite::kubelet
