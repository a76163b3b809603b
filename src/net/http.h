// HTTP as handlers see it: requests, responses, streaming both ways and connection upgrade, without a trace of the wire below
// (HTTP/1.1, and HTTP/2 where a TLS client asks for it). RFC 9110, RFC 9112, RFC 9113.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/stream.h"

namespace k8lite::net {

class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<std::pair<std::string, std::string>> rows) : rows_(rows) {}
  std::string_view get(std::string_view name) const;  // first, case-insensitive; "" when absent
  bool has(std::string_view name) const;
  std::vector<std::string_view> all(std::string_view name) const;
  void add(std::string name, std::string value) { rows_.emplace_back(std::move(name), std::move(value)); }
  void set(std::string name, std::string value);
  void remove(std::string_view name);
  const std::vector<std::pair<std::string, std::string>>& rows() const { return rows_; }

 private:
  std::vector<std::pair<std::string, std::string>> rows_;
};

// Query parameters in order, decoded.
class Query {
 public:
  static Query parse(std::string_view text);
  std::string_view get(std::string_view name) const;  // first, "" when absent
  bool has(std::string_view name) const;
  std::vector<std::string_view> all(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& rows() const { return rows_; }

 private:
  std::vector<std::pair<std::string, std::string>> rows_;
};

// A request as a handler gets it. The body is read only through the methods.
class Request {
 public:
  virtual ~Request() = default;
  std::string method;   // upper case
  std::string target;   // as sent: "/api/v1/pods?watch=1"
  std::string path;     // before '?', still percent-encoded
  Query query;
  Headers headers;

  virtual const Peer& peer() const = 0;
  virtual Task<Result<std::string>> read_body(size_t limit) = 0;  // RequestEntityTooLarge over the limit
  virtual Task<Result<std::string>> read_chunk() = 0;             // "" at the end
};

// Exactly one of send(), start() or upgrade() for a request.
class ResponseWriter {
 public:
  virtual ~ResponseWriter() = default;
  virtual Task<Result<>> send(int status, Headers headers, std::string body) = 0;
  virtual Task<Result<>> start(int status, Headers headers) = 0;  // chunked; then write()s, then finish()
  virtual Task<Result<>> write(std::string_view data) = 0;        // flushed at once
  virtual Task<Result<>> finish() = 0;
  // Sends 101 with these headers and hands over the raw stream (with what was read ahead of it). HTTP/1.1 only.
  virtual Task<Result<StreamPtr>> upgrade(Headers headers) = 0;
  // After start(): fn runs on the loop when the client goes away before finish(). Set before the first write.
  virtual void on_disconnect(std::function<void()> fn) = 0;
  virtual bool started() const = 0;
};

// Runs on the loop's thread; both references stay valid until the task ends.
using Handler = std::function<Task<void>(Request&, ResponseWriter&)>;

struct HttpServerOptions {
  ListenOptions listen;
  Duration header_timeout = seconds(10);  // slow headers are cut off
  Duration idle_timeout = seconds(120);   // keep-alive
  Duration first_request_timeout = seconds(30);  // a new connection that asks for nothing
  Duration body_timeout = seconds(60);    // from the first read of a body to its end; then reading fails with Timeout
  Duration write_timeout = seconds(60);   // a reader slower than this loses its connection
  size_t max_header_bytes = 64 * 1024;
};
class HttpServer {
 public:
  virtual ~HttpServer() = default;
  virtual int port() const = 0;
  virtual void stop() = 0;  // closes the listener and every connection
};
Result<std::unique_ptr<HttpServer>> serve_http(async::Loop& loop, HttpServerOptions options, Handler handler);

// ---- client ----

struct ClientRequest {
  std::string method = "GET";
  std::string target;  // path and query
  Headers headers;
  std::string body;
};

// A response whose body is still on the wire.
class ClientResponse {
 public:
  virtual ~ClientResponse() = default;
  int status = 0;
  Headers headers;
  virtual Task<Result<std::string>> read_chunk() = 0;               // "" at the end; gzip is not undone
  virtual Task<Result<std::string>> read_body(size_t limit) = 0;
  virtual void cancel() = 0;                                        // any thread: read_chunk() fails soon
  virtual StreamPtr take_stream() = 0;                              // after 101: the raw stream, with what was read ahead of it
};

// Connections to one server (kept alive and pooled). Thread-safe; tasks run on the loop.
struct HttpClientOptions {
  std::string host;
  int port = 443;
  std::shared_ptr<TlsClientContext> tls;  // null: plain
  Duration connect_timeout = seconds(10);
  Duration response_timeout = seconds(60);  // until the head; 0 = none
  size_t max_idle = 8;
  std::function<Task<Result<StreamPtr>>()> dial = {};  // another way to the server than to dial `host`; TLS is spoken over it
};
class HttpClient {
 public:
  virtual ~HttpClient() = default;
  virtual Task<Result<std::unique_ptr<ClientResponse>>> send(ClientRequest request) = 0;
  // For 101: the raw stream in the value; any other status is an error carrying the body's text.
  struct Upgraded {
    StreamPtr stream;
    Headers headers;
  };
  virtual Task<Result<Upgraded>> upgrade(ClientRequest request) = 0;
};
std::shared_ptr<HttpClient> make_http_client(async::Loop& loop, HttpClientOptions options);

// "https://10.0.0.1:6443/x?y" taken apart; port from the scheme where none is given. IPv6 hosts lose their brackets.
struct Url {
  std::string scheme, host, target;
  int port = 0;
  static Result<Url> parse(std::string_view text);
};

}  // namespace k8lite::net
