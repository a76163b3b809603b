#include "apiserver/http/body.h"

#include <zlib.h>

#include <deque>
#include <memory>

#include "base/strings.h"

namespace k8lite::apiserver {

using async::Task;

namespace {

constexpr size_t kWholeUpTo = 128 * 1024;
constexpr size_t kPieceBytes = 60 * 1024;  // of a body that is there already

// A part of a gzip stream (RFC 1952), packed by a thread of its own: parts know of each other only what the one before ended with, which
// may be referred to. At the lowest level, for its cost is the server's, and the network is seldom the narrow place.
struct Part {
  std::string text, packed;
  std::shared_ptr<const Part> before;  // only while this one is packed
  bool last = false, good = false;
  uint32_t crc = 0;
  async::Notify done;

  void pack() {
    z_stream stream{};
    crc = static_cast<uint32_t>(crc32(0, bytes(text), static_cast<uInt>(text.size())));
    // Of each chain of places that may match, only the newest is looked at: a quarter less time for 3 % more bytes.
    good = deflateInit2(&stream, 1, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK;
    if (!good) return;
    deflateTune(&stream, 4, 4, 8, 1);
    if (before) {
      std::string_view end = before->text;
      if (end.size() > kWindow) end.remove_prefix(end.size() - kWindow);
      deflateSetDictionary(&stream, bytes(end), static_cast<uInt>(end.size()));
    }
    packed.resize(deflateBound(&stream, static_cast<uLong>(text.size())) + 64);
    stream.next_in = const_cast<Bytef*>(bytes(text));
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(packed.data());
    stream.avail_out = static_cast<uInt>(packed.size());
    int rc = deflate(&stream, last ? Z_FINISH : Z_SYNC_FLUSH);
    good = last ? rc == Z_STREAM_END : rc == Z_OK && stream.avail_in == 0 && stream.avail_out > 0;
    packed.resize(packed.size() - stream.avail_out);
    packed.shrink_to_fit();
    deflateEnd(&stream);
  }

 private:
  static constexpr size_t kWindow = 32 * 1024;
  static const Bytef* bytes(std::string_view s) { return reinterpret_cast<const Bytef*>(s.data()); }
};
using PartPtr = std::shared_ptr<Part>;

constexpr size_t kPartBytes = 192 * 1024;
constexpr size_t kPartsAhead = 3;

std::string little_endian(uint32_t a, uint32_t b) {
  std::string out;
  for (uint32_t n : {a, b})
    for (int i = 0; i < 4; ++i) out += static_cast<char>(n >> (8 * i));
  return out;
}

// The rest of a body of which `text` stands there already. Parts are written in order; a few are packed while more text is made.
Task<void> write_packed(net::ResponseWriter& response, Pieces next, std::string text, bool more, async::Pool& packers) {
  std::deque<PartPtr> under_way;
  PartPtr newest;
  uint32_t crc = 0, size = 0;
  std::string out("\x1f\x8b\x08\0\0\0\0\0\x04\xff", 10);
  for (bool made = false; !made || !under_way.empty();) {
    while (!made && under_way.size() < kPartsAhead) {
      while (more && text.size() < kPartBytes) more = next(text);
      auto part = std::make_shared<Part>();
      part->text = std::exchange(text, {});
      part->before = std::exchange(newest, part);
      part->last = made = !more;
      under_way.push_back(part);
      packers.run([part] {
        part->pack();
        part->before = nullptr;
        part->done.notify();
      });
    }
    PartPtr part = std::move(under_way.front());
    under_way.pop_front();
    (void)co_await part->done.wait();
    // Without memory for it, the answer breaks off: its client sees that the end is missing.
    if (!part->good) co_return;
    crc = static_cast<uint32_t>(crc32_combine(crc, part->crc, static_cast<z_off_t>(part->text.size())));
    size += static_cast<uint32_t>(part->text.size());
    out += part->packed;
    if (part->last) out += little_endian(crc, size);
    if (auto r = co_await response.write(out); !r.ok()) co_return;
    out.clear();
  }
  (void)co_await response.finish();
}

}  // namespace

bool takes_gzip(std::string_view accept_encoding) {
  for (auto part : split(accept_encoding, ',')) {
    std::string_view coding = part;
    coding = trim(coding.substr(0, coding.find(';')));
    if (iequals(coding, "gzip")) return part.find("q=0") == part.npos || part.find("q=0.") != part.npos;
  }
  return false;
}

Task<void> send_pieces(net::ResponseWriter& response, int status, net::Headers headers, Pieces next, async::Pool* packers) {
  std::string piece;
  bool more = next(piece);
  while (more && piece.size() <= kWholeUpTo) more = next(piece);
  if (!more && piece.size() <= kWholeUpTo) {
    (void)co_await response.send(status, std::move(headers), std::move(piece));
    co_return;
  }
  if (packers) headers.add("Content-Encoding", "gzip"), headers.add("Vary", "Accept-Encoding");
  if (auto r = co_await response.start(status, std::move(headers)); !r.ok()) co_return;
  if (packers) co_return co_await write_packed(response, std::move(next), std::move(piece), more, *packers);
  for (;;) {
    if (auto r = co_await response.write(piece); !r.ok()) co_return;
    if (!more) break;
    piece.clear();
    more = next(piece);
  }
  (void)co_await response.finish();
}

Task<void> send_body(net::ResponseWriter& response, int status, net::Headers headers, std::string body, async::Pool* packers) {
  if (!packers || body.size() <= kWholeUpTo) {
    (void)co_await response.send(status, std::move(headers), std::move(body));
    co_return;
  }
  auto whole = std::make_shared<const std::string>(std::move(body));
  Pieces next = [whole, at = size_t{0}](std::string& out) mutable {
    out.append(*whole, at, kPieceBytes);
    at += kPieceBytes;
    return at < whole->size();
  };
  co_await send_pieces(response, status, std::move(headers), std::move(next), packers);
}

}  // namespace k8lite::apiserver
