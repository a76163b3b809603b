// The parser of HTTP/1.1 messages: head, then body by its length, in chunks or until the end.
#include <array>
#include <charconv>

#include "base/strings.h"
#include "net/http_wire.h"

namespace k8lite::net {
namespace {

constexpr size_t kMaxChunkLine = 4096;      // a size with its extensions, which nobody uses
constexpr size_t kMaxTrailerBytes = 16384;  // read over

Status malformed(std::string_view why) { return bad_request("malformed HTTP message: " + std::string(why)); }

// RFC 9110 §5.6.2: what methods and field names are made of.
bool is_token(std::string_view text) {
  static constexpr auto kIs = [] {
    std::array<bool, 256> is{};
    for (unsigned c = '0'; c <= '9'; ++c) is[c] = true;
    for (unsigned c = 'a'; c <= 'z'; ++c) is[c] = is[c - 'a' + 'A'] = true;
    for (char c : std::string_view("!#$%&'*+-.^_`|~")) is[static_cast<unsigned char>(c)] = true;
    return is;
  }();
  if (text.empty()) return false;
  for (char c : text)
    if (!kIs[static_cast<unsigned char>(c)]) return false;
  return true;
}

// Nothing that ends a line or is invisible.
bool is_field_value(std::string_view text) {
  for (char c : text)
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f) return false;
  return true;
}
bool is_target(std::string_view text) {
  for (char c : text)
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f) return false;
  return !text.empty();
}

std::string_view without_space(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Is it one of the comma-separated words?
bool lists(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    size_t comma = list.find(',');
    if (iequals(without_space(list.substr(0, comma)), word)) return true;
    list = comma == list.npos ? std::string_view() : list.substr(comma + 1);
  }
  return false;
}

}  // namespace

Result<size_t> MessageParser::put(std::string_view bytes) {
  if (state_ == State::Head) return put_head(bytes);
  size_t used = 0;
  while (state_ != State::Done && used < bytes.size()) {
    TRY(size_t n, put_body(bytes.substr(used)));
    if (n == 0) break;
    used += n;
  }
  return used;
}

Result<size_t> MessageParser::put_head(std::string_view bytes) {
  size_t skipped = 0;
  if (kind_ == Kind::Request && bytes.starts_with("\r\n")) skipped = 2;  // some clients send one after a body
  size_t end = bytes.find("\r\n\r\n", std::max(skipped, searched_));
  if ((end == bytes.npos ? bytes.size() : end + 4) > max_header_bytes_) return Status(Reason::RequestEntityTooLarge, "request header fields too large");
  if (end == bytes.npos) {
    searched_ = bytes.size() > 3 ? bytes.size() - 3 : 0;
    return size_t{0};
  }
  std::string_view head = bytes.substr(skipped, end + 2 - skipped);  // each line with its end
  for (bool first = true; !head.empty(); first = false) {
    size_t line = head.find("\r\n");
    TRY_OK(first ? read_start(head.substr(0, line)) : read_field(head.substr(0, line)));
    head.remove_prefix(line + 2);
  }
  TRY_OK(choose_framing());
  return end + 4;
}

Result<> MessageParser::read_start(std::string_view line) {
  std::string_view version;
  if (kind_ == Kind::Request) {
    size_t a = line.find(' '), b = line.rfind(' ');
    if (a == line.npos || a == b) return malformed("the request line has not three parts");
    std::string_view method = line.substr(0, a), target = line.substr(a + 1, b - a - 1);
    version = line.substr(b + 1);
    if (!is_token(method)) return malformed("bad method");
    if (!is_target(target)) return malformed("bad target");
    method_ = method;
    target_ = target;
  } else {
    version = line.substr(0, line.find(' '));
    std::string_view code = line.size() > version.size() ? line.substr(version.size() + 1, 3) : std::string_view();
    auto [p, ec] = std::from_chars(code.data(), code.data() + code.size(), status_);
    if (ec != std::errc() || code.size() != 3 || p != code.data() + 3 || status_ < 100) return malformed("bad status");
    if (!is_field_value(line)) return malformed("bad reason phrase");
  }
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return malformed("bad version");
  http10_ = version == "HTTP/1.0";
  return {};
}

Result<> MessageParser::read_field(std::string_view line) {
  size_t colon = line.find(':');
  if (colon == line.npos) return malformed("a header line without a colon");
  std::string_view name = line.substr(0, colon), value = without_space(line.substr(colon + 1));
  if (!is_token(name)) return malformed("bad field name");
  if (!is_field_value(value)) return malformed("bad field value");
  headers_.add(std::string(name), std::string(value));
  return {};
}

Result<> MessageParser::choose_framing() {
  auto lengths = headers_.all("Content-Length"), codings = headers_.all("Transfer-Encoding");
  std::string_view length = lengths.empty() ? std::string_view() : lengths[0];
  for (auto other : lengths)
    if (other != length) return malformed("several lengths");
  if (!lengths.empty()) {
    auto [p, ec] = std::from_chars(length.data(), length.data() + length.size(), left_);
    if (ec != std::errc() || p != length.data() + length.size() || length.empty()) return malformed("bad length");
    if (!codings.empty()) return malformed("both a length and a transfer coding");
  }
  bool chunked = codings.size() == 1 && iequals(codings[0], "chunked");
  if (!codings.empty() && (!chunked || http10_)) return malformed("unknown transfer coding");
  bool bodyless = skips_body_ || (kind_ == Kind::Response && (status_ < 200 || status_ == 204 || status_ == 304));
  if (bodyless) state_ = State::Done;
  else if (chunked) state_ = State::ChunkSize;
  else if (!lengths.empty()) state_ = left_ ? State::Length : State::Done;
  else if (kind_ == Kind::Request) state_ = State::Done;
  else state_ = State::UntilEof, until_eof_ = true;
  return {};
}

Result<size_t> MessageParser::put_body(std::string_view bytes) {
  if (state_ == State::UntilEof) {
    body_ += bytes;
    return bytes.size();
  }
  if (state_ != State::Length && state_ != State::ChunkData) return put_line(bytes);
  size_t n = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size()));
  body_.append(bytes.data(), n);
  left_ -= n;
  if (left_ == 0) state_ = state_ == State::Length ? State::Done : State::ChunkEnd;
  return n;
}

// A line of the chunked coding: a size, the end of a chunk, or one of the trailer.
Result<size_t> MessageParser::put_line(std::string_view bytes) {
  size_t end = bytes.find("\r\n");
  if (end == bytes.npos || end > kMaxChunkLine) {
    if (bytes.size() > kMaxChunkLine) return malformed("a line of a chunked body is too long");
    if (state_ == State::ChunkEnd && bytes.size() >= 2) return malformed("a chunk does not end where it should");
    return size_t{0};
  }
  std::string_view line = bytes.substr(0, end);
  if (state_ == State::ChunkEnd) {
    if (!line.empty()) return malformed("a chunk does not end where it should");
    state_ = State::ChunkSize;
  } else if (state_ == State::ChunkSize) {
    auto [p, ec] = std::from_chars(line.data(), line.data() + line.size(), left_, 16);
    std::string_view rest = without_space(line.substr(static_cast<size_t>(p - line.data())));
    if (ec != std::errc() || (!rest.empty() && rest[0] != ';') || !is_field_value(rest)) return malformed("bad chunk size");
    state_ = left_ ? State::ChunkData : State::Trailer;
  } else if (line.empty()) {
    state_ = State::Done;
  } else if ((trailer_bytes_ += line.size()) > kMaxTrailerBytes) {
    return malformed("the trailer is too long");
  }
  return end + 2;
}

Result<> MessageParser::put_eof() {
  if (state_ == State::UntilEof) state_ = State::Done;
  if (state_ != State::Done) return unavailable("the connection was closed in the middle of a message");
  return {};
}

bool MessageParser::keep_alive() const {
  if (until_eof_) return false;
  auto connection = headers_.all("Connection");
  auto says = [&connection](std::string_view word) {
    for (auto c : connection)
      if (lists(c, word)) return true;
    return false;
  };
  return http10_ ? says("keep-alive") : !says("close");
}

}  // namespace k8lite::net
