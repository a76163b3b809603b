// SPDY/3.1 as Kubernetes' streaming uses it (exec, attach, port-forward of kubectl up to 1.30 and inside WebSocket tunnels):
// streams with headers, data, half close, reset, ping, flow-control windows. Both ends.
#pragma once
#include "net/http.h"

namespace k8lite::net {

class SpdyStream {
 public:
  virtual ~SpdyStream() = default;
  virtual const Headers& headers() const = 0;  // of SYN_STREAM
  virtual Task<Result<std::string>> read() = 0;  // "" when the peer half-closed
  virtual Task<Result<>> write(std::string data) = 0;
  virtual Task<Result<>> close_write() = 0;  // FIN
  virtual void reset() = 0;
};
using SpdyStreamPtr = std::shared_ptr<SpdyStream>;

class SpdySession {
 public:
  virtual ~SpdySession() = default;
  virtual Task<Result<SpdyStreamPtr>> accept() = 0;            // next stream the peer opened; error when the session ended
  virtual Task<Result<SpdyStreamPtr>> open(Headers headers) = 0;
  virtual void close() = 0;
};
// Takes the stream over and runs the session's reader on the current executor.
std::shared_ptr<SpdySession> make_spdy_session(async::Executor& executor, StreamPtr stream, bool server);

}  // namespace k8lite::net
