// Heads and chunks as text, and a stream with bytes in front of it.
#include "net/http_wire.h"

#include <cstdio>

namespace k8lite::net {
namespace {

class PrefixedStream : public Stream {
 public:
  PrefixedStream(std::string prefix, StreamPtr stream) : prefix_(std::move(prefix)), stream_(std::move(stream)) {}
  Task<Result<size_t>> read_some(std::span<char> buffer) override {
    if (at_ < prefix_.size()) {
      size_t n = std::min(buffer.size(), prefix_.size() - at_);
      prefix_.copy(buffer.data(), n, at_);
      at_ += n;
      co_return n;
    }
    co_return co_await stream_->read_some(buffer);
  }
  Task<Result<>> wait_readable() override {
    if (at_ < prefix_.size()) co_return Result<>{};
    co_return co_await stream_->wait_readable();
  }
  Task<Result<>> write_all(std::string_view data) override { return stream_->write_all(data); }
  void shutdown_write() override { stream_->shutdown_write(); }
  void close() override { stream_->close(); }
  void set_timeout(Duration idle) override { stream_->set_timeout(idle); }
  const Peer& peer() const override { return stream_->peer(); }

 private:
  std::string prefix_;
  size_t at_ = 0;
  StreamPtr stream_;
};

}  // namespace

StreamPtr prefixed_stream(std::string prefix, StreamPtr stream) {
  if (prefix.empty()) return stream;
  return std::make_shared<PrefixedStream>(std::move(prefix), std::move(stream));
}

std::string_view status_text(int status) {
  struct Row {
    int status;
    std::string_view text;
  };
  // RFC 9110 §15, RFC 6585.
  static constexpr Row kRows[] = {
      {100, "Continue"}, {101, "Switching Protocols"}, {200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"}, {206, "Partial Content"},
      {301, "Moved Permanently"}, {302, "Found"}, {303, "See Other"}, {304, "Not Modified"}, {307, "Temporary Redirect"}, {308, "Permanent Redirect"},
      {400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"}, {405, "Method Not Allowed"}, {406, "Not Acceptable"},
      {408, "Request Timeout"}, {409, "Conflict"}, {410, "Gone"}, {411, "Length Required"}, {412, "Precondition Failed"}, {413, "Content Too Large"},
      {415, "Unsupported Media Type"}, {416, "Range Not Satisfiable"}, {422, "Unprocessable Content"}, {426, "Upgrade Required"}, {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"}, {500, "Internal Server Error"}, {501, "Not Implemented"}, {502, "Bad Gateway"}, {503, "Service Unavailable"},
      {504, "Gateway Timeout"}, {505, "HTTP Version Not Supported"}, {507, "Insufficient Storage"}};
  for (const Row& row : kRows)
    if (row.status == status) return row.text;
  return "Status";
}

void append_response_head(std::string& out, int status, const Headers& headers) {
  out.append("HTTP/1.1 ").append(std::to_string(status)).append(" ").append(status_text(status)).append("\r\n");
  for (const auto& [name, value] : headers.rows()) {
    out.append(name).append(": ");
    // A value can never start a line of its own.
    if (value.find_first_of(std::string_view("\r\n\0", 3)) == value.npos) out += value;
    else
      for (char c : value) out += (c == '\r' || c == '\n' || c == '\0') ? ' ' : c;
    out += "\r\n";
  }
  out += "\r\n";
}

std::string response_head(int status, const Headers& headers) {
  std::string out;
  append_response_head(out, status, headers);
  return out;
}

void append_chunk(std::string& out, std::string_view data) {
  char size[24];
  int n = std::snprintf(size, sizeof size, "%zx\r\n", data.size());
  out.reserve(out.size() + data.size() + static_cast<size_t>(n) + 2);
  out.append(size, static_cast<size_t>(n)).append(data).append("\r\n");
}

std::string chunk(std::string_view data) {
  std::string out;
  append_chunk(out, data);
  return out;
}

}  // namespace k8lite::net
