#include "dns/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace k8lite::dns {
namespace {

constexpr Duration kIdle = seconds(10);
constexpr size_t kMaxConnections = 100;
constexpr size_t kMaxQuery = 4096;          // a question with its options is far below
constexpr size_t kMaxUnsent = 256 << 10;    // replies a client asked for and does not read
constexpr size_t kMaxPending = 32;          // questions of one connection being forwarded
constexpr int kDatagramsAtOnce = 64;        // then the other sockets have their turn
constexpr int kAcceptsAtOnce = 16;
constexpr int kBacklog = 128, kPortTries = 20;

}  // namespace

struct Listener::Connection {
  os::Fd fd;
  Duration until{0};
  std::string in, out;
  size_t pending = 0;
  bool half_closed = false;
};

Listener::~Listener() {
  for (Poll::Id id : socket_ids_) poll_.remove(id);
  for (auto& [id, c] : connections_) poll_.remove(id);
}

Result<os::Fd> Listener::bind_socket(const std::string& address, int port, int type) {
  const std::string what = "dns: listen on " + address + ":" + std::to_string(port) + (type == SOCK_DGRAM ? "/udp" : "/tcp");
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(uint16_t(port));
  if (inet_pton(AF_INET, address.c_str(), &to.sin_addr) != 1) return bad_request(what + ": no IPv4 address");
  os::Fd fd(socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return Status::from_errno(what, errno);
  int on = 1;
  setsockopt(fd.get(), IPPROTO_IP, IP_FREEBIND, &on, sizeof on);
  if (type == SOCK_STREAM) setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) return Status::from_errno(what, errno);
  if (type == SOCK_STREAM && listen(fd.get(), kBacklog) != 0) return Status::from_errno(what, errno);
  return fd;
}

Result<int> Listener::open_at(const std::string& address, int port) {
  TRY(os::Fd udp, bind_socket(address, port, SOCK_DGRAM));
  sockaddr_in bound{};
  socklen_t size = sizeof bound;
  if (getsockname(udp.get(), reinterpret_cast<sockaddr*>(&bound), &size) != 0) return Status::from_errno("dns: getsockname", errno);
  port = ntohs(bound.sin_port);
  TRY(os::Fd tcp, bind_socket(address, port, SOCK_STREAM));
  TRY(Poll::Id udp_id, poll_.add(udp.get(), EPOLLIN, [this, fd = udp.get()](uint32_t) { on_udp(fd); }));
  socket_ids_.push_back(udp_id);
  sockets_.push_back(std::move(udp));
  TRY(Poll::Id tcp_id, poll_.add(tcp.get(), EPOLLIN, [this, fd = tcp.get()](uint32_t) { on_accept(fd); }));
  socket_ids_.push_back(tcp_id);
  sockets_.push_back(std::move(tcp));
  return port;
}

Result<int> Listener::open(const std::vector<std::string>& addresses, int port) {
  if (addresses.empty()) return bad_request("dns: no address to listen on");
  spare_.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  // A port that is free for UDP may be taken for TCP, or at the next address.
  for (int i = 0;; ++i) {
    auto all = open_all(addresses, port);
    if (all.ok() || port != 0 || i == kPortTries) return all;
    for (Poll::Id id : socket_ids_) poll_.remove(id);
    socket_ids_.clear();
    sockets_.clear();
  }
}

Result<int> Listener::open_all(const std::vector<std::string>& addresses, int port) {
  for (const auto& address : addresses) {
    TRY(int bound, open_at(address, port));
    port = bound;
  }
  return port;
}

void Listener::on_udp(int fd) {
  char buffer[kMaxQuery];
  for (int i = 0; i < kDatagramsAtOnce; ++i) {
    sockaddr_in from{};
    socklen_t size = sizeof from;
    ssize_t n = recvfrom(fd, buffer, sizeof buffer, MSG_TRUNC, reinterpret_cast<sockaddr*>(&from), &size);
    if (n < 0) return;  // nothing left, or an ICMP error of an earlier reply, which is nobody's concern
    // Port 0 cannot be answered; a datagram longer than the buffer is no question.
    if (size_t(n) > sizeof buffer || from.sin_port == 0) continue;
    answerer_.handle({buffer, size_t(n)}, [fd, from](const std::string& reply, size_t limit) {
      std::string packet = fit(reply, limit);
      sendto(fd, packet.data(), packet.size(), MSG_NOSIGNAL | MSG_DONTWAIT, reinterpret_cast<const sockaddr*>(&from), sizeof from);
    });
  }
}

void Listener::on_accept(int fd) {
  for (int i = 0; i < kAcceptsAtOnce && accept_one(fd); ++i) {
  }
}

// False: there is nobody left to accept.
bool Listener::accept_one(int fd) {
  os::Fd client(accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!client) {
    if (errno != EMFILE && errno != ENFILE) return false;
    spare_.reset();
    client.reset(accept4(fd, nullptr, nullptr, SOCK_CLOEXEC));
    client.reset();
    spare_.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    return true;
  }
  if (connections_.size() >= kMaxConnections) drop_oldest();
  int on = 1;
  setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  auto connection = std::make_shared<Connection>();
  connection->fd = std::move(client);
  auto self = std::make_shared<Poll::Id>(0);
  auto id = poll_.add(connection->fd.get(), EPOLLIN, [this, self](uint32_t events) { on_connection(*self, events); });
  if (!id.ok()) return false;
  *self = *id;
  connection->until = poll_.now() + kIdle;
  poll_.set_deadline(*id, connection->until);
  connections_.emplace(*id, std::move(connection));
  return true;
}

void Listener::drop(Poll::Id id) {
  poll_.remove(id);
  connections_.erase(id);
}

void Listener::drop_oldest() {
  auto oldest = std::min_element(connections_.begin(), connections_.end(), [](const auto& a, const auto& b) { return a.second->until < b.second->until; });
  if (oldest != connections_.end()) drop(oldest->first);
}

void Listener::on_connection(Poll::Id id, uint32_t events) {
  auto it = connections_.find(id);
  if (it == connections_.end()) return;
  std::shared_ptr<Connection> c = it->second;
  if (events == 0 || (events & (EPOLLERR | EPOLLHUP))) return drop(id);
  if ((events & EPOLLOUT) && !write_connection(id, *c)) return drop(id);
  if ((events & EPOLLIN) && !read_connection(id, c)) return drop(id);
  if (c->half_closed && c->pending == 0 && c->out.empty()) drop(id);
}

// False: the connection is to be dropped.
bool Listener::read_connection(Poll::Id id, const std::shared_ptr<Connection>& c) {
  char buffer[kMaxQuery];
  ssize_t n = recv(c->fd.get(), buffer, sizeof buffer, 0);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  if (n == 0) {
    c->half_closed = true;  // it may still wait for replies
    poll_.watch_for(id, c->out.empty() ? 0u : unsigned(EPOLLOUT));
    return true;
  }
  c->in.append(buffer, size_t(n));
  size_t at = 0;
  while (c->in.size() - at >= 2) {
    size_t size = size_t(uint8_t(c->in[at])) << 8 | uint8_t(c->in[at + 1]);
    if (size > kMaxQuery || size < kHeaderSize || c->pending >= kMaxPending) return false;
    if (c->in.size() - at < 2 + size) break;
    std::string packet = c->in.substr(at + 2, size);
    at += 2 + size;
    c->until = poll_.now() + kIdle;
    poll_.set_deadline(id, c->until);
    // Counted down with the reply, or when the packet deserves none and the callback is dropped.
    std::shared_ptr<void> count(nullptr, [c](void*) { --c->pending; });
    ++c->pending;
    answerer_.handle(packet, [this, id, count = std::move(count)](const std::string& reply, size_t) mutable {
      count.reset();
      reply_tcp(id, reply);
    });
    if (!connections_.count(id)) return true;
  }
  c->in.erase(0, at);
  return true;
}

void Listener::reply_tcp(Poll::Id id, const std::string& reply) {
  auto it = connections_.find(id);
  if (it == connections_.end()) return;
  std::shared_ptr<Connection> c = it->second;
  if (reply.size() > kMaxMessage || c->out.size() + reply.size() > kMaxUnsent) return drop(id);
  c->out += char(reply.size() >> 8);
  c->out += char(reply.size() & 255);
  c->out += reply;
  if (!write_connection(id, *c) || (c->half_closed && c->pending == 0 && c->out.empty())) drop(id);
}

bool Listener::write_connection(Poll::Id id, Connection& c) {
  while (!c.out.empty()) {
    ssize_t n = send(c.fd.get(), c.out.data(), c.out.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != EAGAIN) return false;
    if (n < 0) break;
    c.out.erase(0, size_t(n));
  }
  unsigned events = (c.half_closed ? 0u : unsigned(EPOLLIN)) | (c.out.empty() ? 0u : unsigned(EPOLLOUT));
  poll_.watch_for(id, events);
  return true;
}

}  // namespace k8lite::dns
