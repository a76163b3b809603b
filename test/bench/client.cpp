#include "client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace bench {

int64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

void die(const std::string& why) {
  std::fprintf(stderr, "api_bench: %s\n", why.c_str());
  std::exit(1);
}

Connection::~Connection() {
  if (ssl) SSL_free(ssl);
  if (fd >= 0) close(fd);
}

bool Connection::connect(SSL_CTX* ctx, const char* host, int port) {
  fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(static_cast<uint16_t>(port));
  if (inet_pton(AF_INET, host, &a.sin_addr) != 1 || ::connect(fd, reinterpret_cast<sockaddr*>(&a), sizeof a) != 0)
    return false;
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ssl = SSL_new(ctx);
  SSL_set_fd(ssl, fd);
  if (SSL_connect(ssl) != 1) return false;
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return true;
}

// Requests are small: they fit the socket's buffer.
void Connection::send(std::string_view bytes) {
  in.clear();
  need = 0;
  chunked = false;
  sent_ns = now_ns();
  for (int i = 0; SSL_write(ssl, bytes.data(), static_cast<int>(bytes.size())) <= 0; ++i)
    if (i == 1000) die("cannot send");
}

bool read_some(Connection& c) {
  for (;;) {
    constexpr size_t kPiece = 64 * 1024;
    size_t had = c.in.size(), n = 0;
    if (c.in.capacity() < had + kPiece) c.in.reserve(c.in.capacity() < kPiece ? kPiece : c.in.capacity() * 2);
    size_t room = std::min(c.in.capacity() - had, kPiece);
    c.in.resize(had + room);
    int ok = SSL_read_ex(c.ssl, c.in.data() + had, room, &n);
    c.in.resize(had + (ok == 1 ? n : 0));
    if (ok != 1) return SSL_get_error(c.ssl, 0) == SSL_ERROR_WANT_READ;
    if (n < room && !SSL_pending(c.ssl)) return true;
  }
}

bool complete(Connection& c) {
  if (c.need == 0) {
    size_t end = c.in.find("\r\n\r\n");
    if (end == c.in.npos) return false;
    std::string_view head = std::string_view(c.in).substr(0, end);
    size_t length = head.find("\r\nContent-Length: ");
    c.chunked = length == head.npos;
    c.chunk_at = end + 4;
    c.need = c.chunked ? SIZE_MAX : end + 4 + std::strtoull(head.data() + length + 18, nullptr, 10);
  }
  while (c.chunked && c.chunk_at < c.in.size()) {
    size_t line = c.in.find("\r\n", c.chunk_at);
    if (line == c.in.npos) return false;
    size_t size = std::strtoull(c.in.data() + c.chunk_at, nullptr, 16);
    if (line + 4 + size > c.in.size()) return false;
    c.chunk_at = line + 4 + size;
    if (size == 0) c.need = c.chunk_at, c.chunked = false;
  }
  return !c.chunked && c.in.size() >= c.need;
}

Client::Client(std::string host, int port, const std::string& ca, const std::string& certificate,
               const std::string& key)
    : host_(std::move(host)), port_(port) {
  ctx_ = SSL_CTX_new(TLS_client_method());
  if (SSL_CTX_load_verify_file(ctx_, ca.c_str()) != 1 ||
      SSL_CTX_use_certificate_chain_file(ctx_, certificate.c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(ctx_, key.c_str(), SSL_FILETYPE_PEM) != 1)
    die("cannot read the certificates");
  SSL_CTX_set_verify(ctx_, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_mode(ctx_, SSL_MODE_ENABLE_PARTIAL_WRITE);
}

Client::~Client() {
  kept_.clear();
  SSL_CTX_free(ctx_);
}

std::unique_ptr<Connection> Client::open() {
  auto c = std::make_unique<Connection>();
  if (!c->connect(ctx_, host_.c_str(), port_)) die("cannot connect: " + std::string(std::strerror(errno)));
  return c;
}

double Client::run(size_t connections, size_t count, const std::function<std::string_view(size_t)>& request,
                   const std::function<void(size_t, const Answer&)>& done) {
  while (kept_.size() < connections) kept_.push_back(open());
  int ep = epoll_create1(EPOLL_CLOEXEC);
  size_t next = 0, finished = 0;
  int64_t begin = now_ns();
  for (size_t i = 0; i < connections && next < count; ++i) {
    Connection& c = *kept_[i];
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.ptr = &c;
    epoll_ctl(ep, EPOLL_CTL_ADD, c.fd, &e);
    c.index = next++;
    c.send(request(c.index));
  }
  while (finished < count) {
    epoll_event events[64];
    int n = epoll_wait(ep, events, 64, 30'000);
    if (n <= 0) die("no answer for 30 s");
    for (int i = 0; i < n; ++i) {
      Connection& c = *static_cast<Connection*>(events[i].data.ptr);
      if (!read_some(c)) die("the server closed a connection after: " + c.in.substr(0, 300));
      if (!complete(c)) continue;
      int64_t at = now_ns();
      done(c.index, {c.in.size() > 12 ? std::atoi(c.in.data() + 9) : 0, c.in, at - c.sent_ns});
      ++finished;
      if (next < count) {
        c.index = next++;
        c.send(request(c.index));
      }
    }
  }
  double took = static_cast<double>(now_ns() - begin) / 1e9;
  close(ep);
  return took;
}

}  // namespace bench
