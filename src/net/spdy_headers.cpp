// SPDY/3 header blocks over zlib with the dictionary every SPDY/3 speaker knows. Its Adler-32 is e3c6a7c2.
#include "net/spdy_headers.h"

#include <zlib.h>

#include <algorithm>

#include "base/strings.h"

namespace k8lite::net {
namespace {

constexpr size_t kMaxBlock = 256 * 1024;  // inflated; a small block can hold a bomb
constexpr size_t kMaxPairs = 1024;
constexpr int kWindowBits = 11, kMemoryLevel = 1;  // 14 KiB a session; the dictionary fits the window

// Words with a length of four bytes before each, then plain text.
constexpr std::string_view kWords[] = {
    "options", "head", "post", "put", "delete", "trace", "accept", "accept-charset", "accept-encoding", "accept-language", "accept-ranges", "age", "allow",
    "authorization", "cache-control", "connection", "content-base", "content-encoding", "content-language", "content-length", "content-location", "content-md5",
    "content-range", "content-type", "date", "etag", "expect", "expires", "from", "host", "if-match", "if-modified-since", "if-none-match", "if-range",
    "if-unmodified-since", "last-modified", "location", "max-forwards", "pragma", "proxy-authenticate", "proxy-authorization", "range", "referer", "retry-after",
    "server", "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "vary", "via", "warning", "www-authenticate", "method", "get", "status", "200 OK",
    "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin",
};
constexpr std::string_view kTail =
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative Information204 No Content301 Moved "
    "Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May "
    "Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,"
    "application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

void put32(std::string& out, size_t n) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(n >> shift);
}

const std::string& dictionary() {
  static const std::string text = [] {
    std::string out;
    for (std::string_view word : kWords) {
      put32(out, word.size());
      out += word;
    }
    return out += kTail;
  }();
  return text;
}
Bytef* bytes(const std::string& s) { return reinterpret_cast<Bytef*>(const_cast<char*>(s.data())); }

// The text of an inflated block, from front to back.
struct Reader {
  std::string_view rest;
  bool bad = false;

  size_t number() {
    if (rest.size() < 4) bad = true;
    if (bad) return 0;
    size_t n = 0;
    for (int i = 0; i < 4; ++i) n = n << 8 | static_cast<unsigned char>(rest[i]);
    rest.remove_prefix(4);
    return n;
  }
  std::string_view text() {
    size_t n = number();
    if (n > rest.size()) bad = true;
    if (bad) return {};
    std::string_view out = rest.substr(0, n);
    rest.remove_prefix(n);
    return out;
  }
};

}  // namespace

struct HeaderDeflater::Impl {
  z_stream z{};
};
HeaderDeflater::HeaderDeflater() : impl_(new Impl) {
  deflateInit2(&impl_->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kWindowBits, kMemoryLevel, Z_DEFAULT_STRATEGY);
  deflateSetDictionary(&impl_->z, bytes(dictionary()), static_cast<uInt>(dictionary().size()));
}
HeaderDeflater::~HeaderDeflater() { deflateEnd(&impl_->z); }

std::string HeaderDeflater::deflate(const Headers& headers) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (const auto& [name, value] : headers.rows()) {
    std::string key = lower(name);
    auto same = std::find_if(rows.begin(), rows.end(), [&](const auto& row) { return row.first == key; });
    if (same == rows.end()) rows.emplace_back(std::move(key), value);
    else same->second.append(1, '\0').append(value);
  }
  std::string plain;
  put32(plain, rows.size());
  for (const auto& [name, value] : rows) {
    put32(plain, name.size());
    plain += name;
    put32(plain, value.size());
    plain += value;
  }
  std::string out;
  z_stream& z = impl_->z;
  z.next_in = bytes(plain);
  z.avail_in = static_cast<uInt>(plain.size());
  do {  // a full buffer means that more of the flush may follow
    std::string buffer(1024, '\0');
    z.next_out = bytes(buffer);
    z.avail_out = static_cast<uInt>(buffer.size());
    ::deflate(&z, Z_SYNC_FLUSH);
    out.append(buffer, 0, buffer.size() - z.avail_out);
  } while (z.avail_out == 0);
  return out;
}

struct HeaderInflater::Impl {
  z_stream z{};
};
HeaderInflater::HeaderInflater() : impl_(new Impl) { inflateInit(&impl_->z); }
HeaderInflater::~HeaderInflater() { inflateEnd(&impl_->z); }

Result<Headers> HeaderInflater::inflate(std::string_view block) {
  z_stream& z = impl_->z;
  std::string plain, in(block);
  z.next_in = bytes(in);
  z.avail_in = static_cast<uInt>(in.size());
  for (;;) {
    std::string buffer(4096, '\0');
    z.next_out = bytes(buffer);
    z.avail_out = static_cast<uInt>(buffer.size());
    int r = ::inflate(&z, Z_SYNC_FLUSH);
    plain.append(buffer, 0, buffer.size() - z.avail_out);
    if (plain.size() > kMaxBlock) return bad_request("spdy: a header block is larger than " + std::to_string(kMaxBlock) + " bytes");
    if (r == Z_NEED_DICT) r = inflateSetDictionary(&z, bytes(dictionary()), static_cast<uInt>(dictionary().size()));
    else if (r == Z_BUF_ERROR || (r == Z_OK && z.avail_in == 0 && z.avail_out > 0)) break;
    if (r != Z_OK) return bad_request("spdy: a header block cannot be inflated");
  }
  Reader reader{plain};
  Headers headers;
  size_t pairs = reader.number();
  if (pairs > kMaxPairs) return bad_request("spdy: a header block of " + std::to_string(pairs) + " pairs");
  for (size_t i = 0; i < pairs && !reader.bad; ++i) {
    std::string_view name = reader.text(), values = reader.text();
    for (std::string_view value : split(values, '\0')) headers.add(std::string(name), std::string(value));
  }
  if (reader.bad || !reader.rest.empty()) return bad_request("spdy: a header block is cut off or too long");
  return headers;
}

}  // namespace k8lite::net
