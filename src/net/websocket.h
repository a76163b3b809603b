// RFC 6455 over a Stream: messages in and out for exec, attach, logs and port-forward. Server and client ends.
#pragma once
#include "net/http.h"

namespace k8lite::net {

class WebSocket {
 public:
  enum class Opcode : unsigned char { Text = 1, Binary = 2, Close = 8 };
  struct Message {
    Opcode opcode;
    std::string data;
  };
  virtual ~WebSocket() = default;
  virtual Task<Result<Message>> read() = 0;  // pings are answered inside; Close is returned once
  virtual Task<Result<>> write(Opcode opcode, std::string data) = 0;  // may be called from several tasks of one executor: queued
  virtual Task<Result<>> close(int code, std::string reason) = 0;
  virtual const std::string& protocol() const = 0;  // the agreed subprotocol
  virtual Stream& stream() = 0;
};

// Does the request ask for a WebSocket?
bool is_websocket_upgrade(const Request& request);
// Picks the first of `protocols` (in the server's order) that the client offers and upgrades; BadRequest when none fits.
Task<Result<std::shared_ptr<WebSocket>>> accept_websocket(Request& request, ResponseWriter& response, std::vector<std::string> protocols);
Task<Result<std::shared_ptr<WebSocket>>> dial_websocket(HttpClient& client, std::string target, Headers headers, std::vector<std::string> protocols);
// A message-bearing socket as a byte stream (binary messages joined), for SPDY inside WebSocket (KEP-4006 port-forward tunnelling).
StreamPtr websocket_stream(std::shared_ptr<WebSocket> socket);

}  // namespace k8lite::net
