// Inside of src/net: what the HTTP/1.1 server and client share: the parser of messages, heads and chunks in text. Bytes come in from a
// Stream through a buffer that also carries what was read ahead of an upgrade.
#pragma once
#include <memory>
#include <string>

#include "net/http.h"

namespace k8lite::net {

// A stream with bytes in front of it that were read too early.
StreamPtr prefixed_stream(std::string prefix, StreamPtr stream);

// The head of a message and then its body, from bytes as they come (RFC 9112). Strict where leniency is how requests are smuggled: lines
// end with CRLF, no folding, no space before a colon, one length, chunked as the only coding and never beside a length.
class MessageParser {
 public:
  enum class Kind { Request, Response };
  static std::unique_ptr<MessageParser> create(Kind kind, size_t max_header_bytes) { return std::make_unique<MessageParser>(kind, max_header_bytes); }
  MessageParser(Kind kind, size_t max_header_bytes) : kind_(kind), max_header_bytes_(max_header_bytes) {}

  // Takes bytes; returns how many were used, at most to the end of the head or of the message. What is left is to come again with more.
  // Errors are BadRequest (431 is RequestEntityTooLarge).
  Result<size_t> put(std::string_view bytes);
  Result<> put_eof();
  bool header_done() const { return state_ != State::Head; }
  bool done() const { return state_ == State::Done; }
  void skip_body() { skips_body_ = true; }  // responses to HEAD
  // Body bytes decoded by put() since the last take.
  std::string take_body() { return std::exchange(body_, {}); }
  size_t body_ready() const { return body_.size(); }

  const std::string& method() const { return method_; }
  const std::string& target() const { return target_; }
  int status() const { return status_; }
  const Headers& headers() const { return headers_; }
  bool keep_alive() const;
  bool http10() const { return http10_; }

 private:
  enum class State { Head, Length, ChunkSize, ChunkData, ChunkEnd, Trailer, UntilEof, Done };
  Result<size_t> put_head(std::string_view bytes);
  Result<> read_start(std::string_view line);
  Result<> read_field(std::string_view line);
  Result<> choose_framing();
  Result<size_t> put_body(std::string_view bytes);
  Result<size_t> put_line(std::string_view bytes);

  const Kind kind_;
  const size_t max_header_bytes_;
  State state_ = State::Head;
  bool http10_ = false, skips_body_ = false, until_eof_ = false;
  size_t searched_ = 0;       // of the head, for its end
  uint64_t left_ = 0;         // of the body or chunk
  size_t trailer_bytes_ = 0;
  std::string method_, target_, body_;
  int status_ = 0;
  Headers headers_;
};

// "HTTP/1.1 200 OK" and the header lines, with the empty line.
void append_response_head(std::string& out, int status, const Headers& headers);
std::string response_head(int status, const Headers& headers);
std::string_view status_text(int status);
void append_chunk(std::string& out, std::string_view data);
std::string chunk(std::string_view data);  // one chunk of a chunked body; "" is never passed

}  // namespace k8lite::net
