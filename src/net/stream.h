// A byte stream: TCP, TLS, an in-memory pipe or a connection handed over after an HTTP upgrade. Handlers never see Asio or OpenSSL.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "async/async.h"
#include "base/result.h"

namespace k8lite::net {

using async::Task;

// Who is at the other end. The certificate fields are set only after its chain was verified.
struct Peer {
  std::string address;  // numeric, without port
  int port = 0;
  bool tls = false;
  bool http2 = false;  // agreed on in the TLS handshake
  bool has_certificate = false;
  bool bad_certificate = false;            // one was shown, and it is not signed by the CA or not valid now
  std::string common_name;                 // CN
  std::vector<std::string> organizations;  // O
};

class Stream {
 public:
  virtual ~Stream() = default;
  // Reads at least one byte; 0 means the other end closed its side.
  virtual Task<Result<size_t>> read_some(std::span<char> buffer) = 0;
  // Done when read_some() would probably not wait; lets a reader do without a buffer until then. May be done too early.
  virtual Task<Result<>> wait_readable() { co_return Result<>{}; }
  // Writes all of data, which must stay alive until then. One write at a time.
  virtual Task<Result<>> write_all(std::string_view data) = 0;
  virtual void shutdown_write() = 0;           // half close (TLS: close_notify)
  virtual void close() = 0;                    // idempotent, any thread; pending reads and writes fail
  virtual void set_timeout(Duration idle) = 0; // for each later read and write; 0 = none
  virtual const Peer& peer() const = 0;
};
using StreamPtr = std::shared_ptr<Stream>;

// Two connected in-memory ends, for tests and in-process connections.
std::pair<StreamPtr, StreamPtr> stream_pipe();

// Copies both ways until both sides have ended or one failed, then closes both.
Task<void> splice(StreamPtr a, StreamPtr b);

// What a TLS server shows and whom it believes. PEM texts.
struct TlsServerConfig {
  std::string certificate_pem, key_pem;  // chain first
  std::string client_ca_pem;             // client certificates are asked for (not required) and verified against this
  bool http2 = false;                    // offered beside HTTP/1.1 (ALPN); for serve_http() only
};
struct TlsClientConfig {
  std::string ca_pem;                     // empty: the system's bundle
  bool insecure_skip_verify = false;
  std::string certificate_pem, key_pem;   // optional client certificate
  std::string server_name;                // empty: the host dialled
  bool http2 = false;                     // asked for, see Peer::http2; whoever sets it must speak it
};
class TlsServerContext;  // opaque, shared by connections; replace() swaps certificates while running
class TlsClientContext;
Result<std::shared_ptr<TlsServerContext>> make_tls_server(const TlsServerConfig& config);
Result<std::shared_ptr<TlsClientContext>> make_tls_client(const TlsClientConfig& config);

// Numeric addresses of a host name (or the address itself); blocking work on a thread of its own.
Task<Result<std::vector<std::string>>> resolve(std::string host);

// The TLS session over a connected stream; `host` is checked against the certificate unless the config names another one.
Task<Result<StreamPtr>> tls_handshake_client(StreamPtr raw, std::shared_ptr<TlsClientContext> context, std::string host);
Task<Result<StreamPtr>> tls_handshake_server(StreamPtr raw, std::shared_ptr<TlsServerContext> context);
// New certificates for connections accepted from now on.
Result<> replace_certificates(TlsServerContext& context, const TlsServerConfig& config);

// Connects to a name or address (c-ares; no NSS). `tls` null: plain TCP. `unix:/path` hosts are Unix sockets.
Task<Result<StreamPtr>> dial(async::Loop& loop, std::string host, int port, std::shared_ptr<TlsClientContext> tls, Duration timeout);

// Listens; each accepted (and handshaken) stream goes to `on_stream` on the loop. At most `max_connections` are open at once: then the
// kernel's queue holds the next ones until one has ended.
struct ListenOptions {
  std::string address = "::";  // numeric; "::" also takes IPv4
  int port = 0;                // 0: any free one, see Listener::port()
  std::shared_ptr<TlsServerContext> tls;
  size_t max_connections = 4096;
  Duration handshake_timeout = seconds(10);
  std::function<void()> make_room;  // called on the loop when there are that many: whose connection is idle may close it
};
class Listener {
 public:
  virtual ~Listener() = default;
  virtual int port() const = 0;
  virtual void close() = 0;  // stops accepting; open streams go on
};
Result<std::unique_ptr<Listener>> listen(async::Loop& loop, ListenOptions options, std::function<void(StreamPtr)> on_stream);

}  // namespace k8lite::net
