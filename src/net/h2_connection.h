// Inside of src/net: one connection of HTTP/2 on the server's side. nghttp2 keeps the protocol's state and is fed and
// drained here; nothing of it is seen outside of h2_connection.cpp. Two tasks a connection: one reads, one writes while
// there is something to write; handlers run in tasks of their own and meet the connection only through H2Stream.
#pragma once
#include <map>
#include <string>

#include "net/h2_flood.h"
#include "net/server_state.h"

struct nghttp2_session;

namespace k8lite::net {

constexpr uint32_t kH2MaxStreams = 250;            // as Kubernetes
constexpr uint32_t kH2StreamWindow = 256 * 1024;   // of a request body nobody has read yet
constexpr uint32_t kH2ConnectionWindow = 1 << 20;  // of all bodies of a connection together
constexpr size_t kH2OwnedBody =
    16 * 1024;  // a body up to here is left to the stream: its handler need not wait for the peer
constexpr size_t kH2DrainBytes = 256 * 1024;      // of a body that nobody reads any more; then the stream is reset
constexpr Duration kH2DrainTime = milliseconds(500);
constexpr size_t kH2WriteBytes = 64 * 1024;  // of frames, joined for one write to the socket

// One request and its response. Loop thread only; lives as long as its handler or its stream, whichever is longer.
struct H2Stream {
  int32_t id = 0;
  std::string method, target, authority;
  Headers headers;
  size_t header_bytes = 0;
  bool head_done = false;

  std::string in;  // of the body, not read by the handler
  bool in_done = false;
  async::Notify in_ready;
  bool body_wanted = false;   // the handler waits for more of it
  Duration body_deadline{0};  // 0: the handler has not asked for it

  std::string owned;     // the body that outlives its handler; `out` points into it
  std::string_view out;  // of the response, not yet framed
  bool out_end = false;  // nothing comes after `out`
  bool started = false;
  async::Notify drained;       // `out` became empty, or the stream failed
  Duration write_deadline{0};  // 0: nothing waits to be written

  Duration drain_until{0};  // the answer is out, and what the client still sends is thrown away for so long
  size_t drained_bytes = 0;

  bool lost = false;    // the stream failed with some of `out` unsent
  bool closed = false;  // by the peer, by an error or because it is complete
  std::function<void()> gone;
};
using H2StreamPtr = std::shared_ptr<H2Stream>;

class H2Connection : public OpenConnection, public std::enable_shared_from_this<H2Connection> {
 public:
  H2Connection(std::shared_ptr<ServerState> server, StreamPtr stream);
  ~H2Connection();
  static Task<void> run(std::shared_ptr<H2Connection> self);
  void stop() override;

  const Peer& peer() const { return stream_->peer(); }
  const HttpServerOptions& options() const { return server_->options; }
  async::Loop& loop() const { return server_->loop; }
  // For requests and responses. `ends`: no body comes.
  Result<> submit_head(H2Stream& stream, int status, const Headers& headers, bool ends);
  void go_on(H2Stream& stream);                 // 100 Continue
  void resume(H2Stream& stream);                // `out` or `out_end` has changed
  void consumed(H2Stream& stream, size_t n);    // the peer may send as much again
  void reset(H2Stream& stream, uint32_t code);  // the stream has failed
  void arm(Duration delay);                     // sweep() is called by then

 private:
  friend struct H2Callbacks;
  bool begin();
  void take(std::string_view bytes);
  void kick();  // starts the writer where it does not run
  static Task<void> pump(std::shared_ptr<H2Connection> self);
  static Task<void> serve(std::shared_ptr<H2Connection> self, H2StreamPtr stream);
  void sweep();
  Duration sweep_streams(Duration now);
  void finish();  // what was said is sent: lets the peer read it, then closes
  void calm(bool allowed);

  // From nghttp2.
  void open_stream(int32_t id);
  void header(H2Stream& stream, std::string_view name, std::string_view value);
  void head_complete(H2Stream& stream);
  void close_stream(H2Stream& stream);

  std::shared_ptr<ServerState> server_;
  StreamPtr stream_;
  nghttp2_session* session_ = nullptr;
  std::map<int32_t, H2StreamPtr> streams_;
  size_t running_ = 0;  // handlers, some of which may outlive their streams
  bool writing_ = false, finished_ = false, over_ = false;
  bool in_headers_ = false;  // of a head in several frames, which must not be long in coming
  Allowance idle_frames_{200, 10}, resets_{1000, 33};
  Duration write_deadline_{0}, headers_deadline_{0}, idle_deadline_{0};
  Duration fires_at_{0};
  uint64_t timer_generation_ = 0;
};

}  // namespace k8lite::net
