// Inside of src/net: what the connections of one HTTP server share, whichever version of HTTP they speak.
#pragma once
#include <memory>
#include <unordered_set>

#include "net/http.h"

namespace k8lite::net {

// A connection as its server sees it. Loop thread only.
class OpenConnection {
 public:
  virtual ~OpenConnection() = default;
  virtual void stop() = 0;  // say goodbye to the peer where the protocol can, then close
  Duration idle_since{0};   // 0: a request is being served
};

struct ServerState {
  async::Loop& loop;
  HttpServerOptions options;
  Handler handler;
  std::unordered_set<OpenConnection*> open;
  bool stopped = false;

  // Ends the connection that has been idle for longest; the next that becomes idle where none is.
  void make_room();
  bool crowded = false;  // that next one is awaited
};

constexpr std::string_view kBodyTooSlow = "request did not complete within the allotted timeout";
Status body_too_large(size_t limit);
Result<> check_length(const Headers& headers, size_t limit);  // by Content-Length, before anything is read

// One connection of HTTP/1.1, until it ends.
Task<void> serve_http1(std::shared_ptr<ServerState> server, StreamPtr stream);
// One connection that agreed on HTTP/2 (RFC 9113), until it ends. Each request runs the handler in a task of its own.
Task<void> serve_http2(std::shared_ptr<ServerState> server, StreamPtr stream);

}  // namespace k8lite::net
