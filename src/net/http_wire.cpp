// The one place where Beast's HTTP parser is compiled.
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cstdio>

#include "net/http_wire.h"

namespace k8lite::net {
namespace {
namespace http = boost::beast::http;

// Collects body bytes in a string that the owner empties as it likes; Beast's own string_body cannot be emptied halfway.
struct DrainBody {
  using value_type = std::string;
  class reader {
   public:
    template <bool R, class F>
    reader(http::header<R, F>&, value_type& body) : body_(body) {}
    void init(boost::optional<std::uint64_t> const&, boost::system::error_code& ec) { ec = {}; }
    template <class Buffers>
    std::size_t put(Buffers const& buffers, boost::system::error_code& ec) {
      ec = {};
      std::size_t n = 0;
      for (auto it = boost::asio::buffer_sequence_begin(buffers); it != boost::asio::buffer_sequence_end(buffers); ++it) {
        boost::asio::const_buffer b = *it;
        body_.append(static_cast<const char*>(b.data()), b.size());
        n += b.size();
      }
      return n;
    }
    void finish(boost::system::error_code& ec) { ec = {}; }

   private:
    value_type& body_;
  };
};

template <bool kRequest>
class Parser : public MessageParser {
 public:
  explicit Parser(size_t max_header_bytes) {
    parser_.header_limit(static_cast<uint32_t>(max_header_bytes));
    parser_.body_limit(boost::none);
    parser_.eager(false);
  }

  Result<size_t> put(std::string_view bytes) override {
    boost::system::error_code ec;
    size_t used = 0;
    // Without eager, one put() parses the head or one piece of the body.
    while (used < bytes.size() && !parser_.is_done()) {
      bool had_header = parser_.is_header_done();
      size_t n = parser_.put(boost::asio::const_buffer(bytes.data() + used, bytes.size() - used), ec);
      used += n;
      if (n == 0 && !ec) break;
      if (ec == http::error::need_more) break;
      if (ec == http::error::header_limit) return Status(Reason::RequestEntityTooLarge, "request header fields too large");
      if (ec) return bad_request("malformed HTTP message: " + ec.message());
      if (!had_header && parser_.is_header_done()) break;  // the caller may want to look before the body
    }
    return used;
  }
  Result<> put_eof() override {
    boost::system::error_code ec;
    parser_.put_eof(ec);
    if (ec) return unavailable("the connection was closed in the middle of a message");
    return {};
  }
  bool header_done() const override { return parser_.is_header_done(); }
  bool done() const override { return parser_.is_done(); }
  void skip_body() override { parser_.skip(true); }
  std::string take_body() override { return std::exchange(message().body(), {}); }
  size_t body_ready() const override { return parser_.get().body().size(); }

  std::string method() const override {
    if constexpr (kRequest) return std::string(parser_.get().method_string());
    else return {};
  }
  std::string target() const override {
    if constexpr (kRequest) return std::string(parser_.get().target());
    else return {};
  }
  int status() const override {
    if constexpr (kRequest) return 0;
    else return static_cast<int>(parser_.get().result_int());
  }
  Headers headers() const override {
    Headers out;
    for (const auto& field : parser_.get()) out.add(std::string(field.name_string()), std::string(field.value()));
    return out;
  }
  bool keep_alive() const override { return parser_.keep_alive(); }
  bool http10() const override { return parser_.get().version() == 10; }

 private:
  auto& message() { return parser_.get(); }
  http::parser<kRequest, DrainBody> parser_;
};

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

std::unique_ptr<MessageParser> MessageParser::create(Kind kind, size_t max_header_bytes) {
  if (kind == Kind::Request) return std::make_unique<Parser<true>>(max_header_bytes);
  return std::make_unique<Parser<false>>(max_header_bytes);
}

std::string_view status_text(int status) {
  auto text = http::obsolete_reason(static_cast<http::status>(status));
  return {text.data(), text.size()};
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
