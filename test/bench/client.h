// A small HTTP/1.1 client for load: one thread, one epoll, many TLS connections, each with one request in flight. It
// does as little as it can, for it shares the machine with the server that it measures.
#pragma once
#include <openssl/ssl.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

int64_t now_ns();  // monotonic

struct Connection {
  int fd = -1;
  SSL* ssl = nullptr;
  std::string in;   // what was read of the answer
  size_t need = 0;  // bytes of the whole answer, once its head is known; 0: not known
  bool chunked = false;
  size_t chunk_at = 0;  // where the next chunk begins in `in`
  int64_t sent_ns = 0;
  size_t index = 0;  // of the request in flight
  ~Connection();
  bool connect(SSL_CTX* ctx, const char* host, int port);
  void send(std::string_view bytes);
};

struct Answer {
  int status = 0;
  std::string_view bytes;  // head and body
  int64_t took_ns = 0;
};

class Client {
 public:
  // Files of PEM; dies with a message when something is unreadable or the server does not answer.
  Client(std::string host, int port, const std::string& ca, const std::string& certificate, const std::string& key);
  ~Client();

  // Sends `count` requests over `connections` connections, each the next one as soon as the last is answered.
  // Returns the seconds it took; `done` sees each answer.
  double run(size_t connections, size_t count, const std::function<std::string_view(size_t)>& request,
             const std::function<void(size_t, const Answer&)>& done);
  // One more connection of its own, for who wants to read by himself.
  std::unique_ptr<Connection> open();

 private:
  std::string host_;
  int port_;
  SSL_CTX* ctx_ = nullptr;
  std::vector<std::unique_ptr<Connection>> kept_;
};

// Reads what is there into c.in; false at the end of the stream.
bool read_some(Connection& c);
// Is the whole answer in c.in? Then c.need is its size.
bool complete(Connection& c);
[[noreturn]] void die(const std::string& why);

}  // namespace bench
