// Inside of src/net: what the HTTP/1.1 server and client share. Beast's sans-IO parsers are used behind these classes only, in
// http_wire.cpp; bytes come in from a Stream through a Buffer that also carries what was read ahead of an upgrade.
#pragma once
#include <memory>
#include <string>

#include "net/http.h"

namespace k8lite::net {

// A stream with bytes in front of it that were read too early.
StreamPtr prefixed_stream(std::string prefix, StreamPtr stream);

// The head of a message and then its body, from bytes as they come.
class MessageParser {
 public:
  enum class Kind { Request, Response };
  static std::unique_ptr<MessageParser> create(Kind kind, size_t max_header_bytes);
  virtual ~MessageParser() = default;

  // Takes bytes; returns how many were used. Errors are BadRequest (431 is RequestEntityTooLarge).
  virtual Result<size_t> put(std::string_view bytes) = 0;
  virtual Result<> put_eof() = 0;
  virtual bool header_done() const = 0;
  virtual bool done() const = 0;
  virtual void skip_body() = 0;  // responses to HEAD
  // Body bytes decoded by put() since the last take.
  virtual std::string take_body() = 0;
  virtual size_t body_ready() const = 0;

  virtual std::string method() const = 0;
  virtual std::string target() const = 0;
  virtual int status() const = 0;
  virtual Headers headers() const = 0;
  virtual bool keep_alive() const = 0;
  virtual bool http10() const = 0;
};

// "HTTP/1.1 200 OK" and the header lines, with the empty line.
void append_response_head(std::string& out, int status, const Headers& headers);
std::string response_head(int status, const Headers& headers);
std::string_view status_text(int status);
void append_chunk(std::string& out, std::string_view data);
std::string chunk(std::string_view data);  // one chunk of a chunked body; "" is never passed

}  // namespace k8lite::net
