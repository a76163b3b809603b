#include "image/tar.h"

#include <cstddef>
#include <cstring>
#include <utility>

#include "base/strings.h"

namespace k8lite::image {
namespace {

constexpr size_t kBlock = 512;
constexpr uint64_t kMaxMeta = 4 << 20;  // of a long name or pax header
constexpr uint64_t kMaxAllMeta = uint64_t{1} << 30;  // of all of them in one archive
constexpr size_t kMaxHeaders = 16;      // of these before one entry
constexpr size_t kMaxGlobals = 1000;
constexpr size_t kMaxPieces = 65536;    // of a sparse file

struct Header {
  char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};
static_assert(sizeof(Header) == kBlock);

Result<bool> read_block(Source& s, char* block) {
  size_t have = 0;
  while (have < kBlock) {
    TRY(size_t n, s.read(block + have, kBlock - have));
    if (n == 0) {
      if (have == 0) return false;
      return bad_request("the archive is truncated");
    }
    have += n;
  }
  return true;
}

// Octal text, or GNU's binary form for what does not fit.
uint64_t number(const char* field, size_t size) {
  if (static_cast<unsigned char>(field[0]) & 0x80) {
    uint64_t v = static_cast<unsigned char>(field[0]) & 0x7f;
    for (size_t i = 1; i < size; ++i) v = (v << 8) | static_cast<unsigned char>(field[i]);
    return v;
  }
  uint64_t v = 0;
  for (size_t i = 0; i < size; ++i)
    if (field[i] >= '0' && field[i] <= '7') v = v * 8 + static_cast<uint64_t>(field[i] - '0');
    else if (field[i] == '\0' && v) break;
  return v;
}

std::string text(const char* field, size_t size) { return std::string(field, strnlen(field, size)); }

class Limited : public Source {
 public:
  Limited(Source& inner, uint64_t size) : inner_(inner), left_(size), padding_((kBlock - size % kBlock) % kBlock) {}
  Result<size_t> read(char* buffer, size_t size) override {
    if (left_ == 0) return size_t{0};
    TRY(size_t n, inner_.read(buffer, static_cast<size_t>(std::min<uint64_t>(size, left_))));
    if (n == 0) return bad_request("the archive is truncated");
    left_ -= n;
    return n;
  }
  uint64_t left() const { return left_; }
  Result<> skip() {
    char buffer[16384];
    while (left_ > 0) TRY_OK(read(buffer, sizeof buffer));
    while (padding_ > 0) {
      TRY(size_t n, inner_.read(buffer, padding_));
      if (n == 0) return bad_request("the archive is truncated");
      padding_ -= n;
    }
    return {};
  }
  Result<std::string> all() {
    std::string out;
    char buffer[4096];
    for (;;) {
      TRY(size_t n, read(buffer, sizeof buffer));
      if (n == 0) return out;
      out.append(buffer, n);
    }
  }

 private:
  Source& inner_;
  uint64_t left_;
  size_t padding_;
};

// "27 mtime=1350244992.023960108\n" records.
Result<> read_pax(std::string_view text, std::map<std::string, std::string>& out) {
  while (!text.empty()) {
    size_t space = text.find(' ');
    auto size = space == text.npos ? std::nullopt : parse_int(text.substr(0, space));
    if (!size || *size <= static_cast<int64_t>(space) + 1 || static_cast<size_t>(*size) > text.size()) return bad_request("a pax header is malformed");
    std::string_view record = text.substr(space + 1, static_cast<size_t>(*size) - space - 2);
    size_t equals = record.find('=');
    if (equals == record.npos) return bad_request("a pax header is malformed");
    std::string key(record.substr(0, equals));
    std::string_view value = record.substr(equals + 1);
    if (key == "GNU.sparse.offset" || key == "GNU.sparse.numbytes") {  // the first form of sparse files: a pair of records a piece
      std::string& map = out["GNU.sparse.map"];
      map += (map.empty() ? "" : ",") + std::string(value);
    } else {
      out[std::move(key)] = value;
    }
    text.remove_prefix(static_cast<size_t>(*size));
  }
  return {};
}

void apply_pax(TarEntry& e, const std::map<std::string, std::string>& pax) {
  for (const auto& [key, value] : pax) {
    auto n = [&value = value] { return static_cast<uint64_t>(std::strtoull(value.c_str(), nullptr, 10)); };
    if (key == "path") e.name = value;
    else if (key == "linkpath") e.link = value;
    else if (key == "size") e.size = n();
    else if (key == "uid") e.uid = n();
    else if (key == "gid") e.gid = n();
    else if (key == "mtime") {
      e.mtime = n();
      if (size_t dot = value.find('.'); dot != value.npos) e.mtime_nanos = static_cast<uint32_t>(std::strtoul((value.substr(dot + 1) + "000000000").substr(0, 9).c_str(), nullptr, 10));
    }
    else if (key.starts_with("SCHILY.xattr.")) e.xattrs[key.substr(13)] = value;
  }
}

TarEntry entry_of(const Header& h) {
  TarEntry e;
  e.name = text(h.name, sizeof h.name);
  if (std::memcmp(h.magic, "ustar\0", 6) == 0 && h.prefix[0]) e.name = text(h.prefix, sizeof h.prefix) + "/" + e.name;
  e.link = text(h.link, sizeof h.link);
  e.type = h.type == '\0' || h.type == '7' || h.type == 'S' ? '0' : h.type;
  e.mode = static_cast<uint32_t>(number(h.mode, sizeof h.mode)) & 07777;
  e.uid = number(h.uid, sizeof h.uid);
  e.gid = number(h.gid, sizeof h.gid);
  e.size = number(h.size, sizeof h.size);
  e.mtime = number(h.mtime, sizeof h.mtime);
  e.major = static_cast<uint32_t>(number(h.major, sizeof h.major));
  e.minor = static_cast<uint32_t>(number(h.minor, sizeof h.minor));
  return e;
}

// Pieces ascend, do not overlap, lie within the file and need exactly the stored bytes.
Result<> check_sparse(const TarEntry& e) {
  uint64_t end = 0, stored = 0;
  for (auto [at, bytes] : e.sparse->pieces) {
    if (at < end || at > e.sparse->size || bytes > e.sparse->size - at) return bad_request("the map of a sparse file is malformed");
    end = at + bytes;
    stored += bytes;
  }
  return stored == e.size ? Result<>() : bad_request("the map of a sparse file does not fit its content");
}

// GNU tar's own form: four pieces in the header, 21 in each block behind it.
Result<> old_sparse(Source& source, const Header& h, TarEntry& e) {
  const char* raw = reinterpret_cast<const char*>(&h);
  e.sparse.emplace();
  e.sparse->size = number(raw + 483, 12);
  auto take = [&e](const char* at, int pieces) {
    for (int i = 0; i < pieces; ++i, at += 24)
      if (uint64_t bytes = number(at + 12, 12)) e.sparse->pieces.emplace_back(number(at, 12), bytes);
  };
  take(raw + 386, 4);
  char block[kBlock];
  for (bool more = raw[482]; more; more = block[504]) {
    TRY(bool there, read_block(source, block));
    if (!there) return bad_request("the archive is truncated");
    take(block, 21);
    if (e.sparse->pieces.size() > kMaxPieces) return bad_request("more than " + std::to_string(kMaxPieces) + " pieces of a sparse file, the limit");
  }
  return check_sparse(e);
}

// Form 1.0 keeps the map in front of the content: numbers, each with a newline, filled up to a block.
Result<std::vector<uint64_t>> leading_map(Limited& data, TarEntry& e) {
  std::vector<uint64_t> out;
  uint64_t value = 0;
  char block[kBlock];
  for (size_t wanted = 1; out.size() < wanted;) {
    for (size_t have = 0; have < kBlock;) {
      TRY(size_t n, data.read(block + have, kBlock - have));
      if (n == 0) return bad_request("the map of a sparse file is truncated");
      have += n;
    }
    e.size -= kBlock;
    for (size_t i = 0; i < kBlock && out.size() < wanted; ++i) {
      if (block[i] >= '0' && block[i] <= '9') value = value * 10 + static_cast<uint64_t>(block[i] - '0');
      else if (block[i] != '\n') return bad_request("the map of a sparse file is malformed");
      else if (out.push_back(std::exchange(value, 0)); out.size() == 1) {
        if (out[0] > kMaxPieces) return bad_request("more than " + std::to_string(kMaxPieces) + " pieces of a sparse file, the limit");
        wanted = 1 + 2 * out[0];
      }
    }
  }
  out.erase(out.begin());
  return out;
}

Result<> pax_sparse(Limited& data, const std::map<std::string, std::string>& pax, TarEntry& e) {
  auto value = [&pax](const char* key) { return pax.count(key) ? pax.at(key) : std::string(); };
  bool in_front = value("GNU.sparse.major") == "1", in_header = pax.count("GNU.sparse.map") > 0;
  if (!in_front && !in_header) return {};
  std::vector<uint64_t> numbers;
  if (in_front) {
    TRY(numbers, leading_map(data, e));
  } else {
    std::string map = value("GNU.sparse.map");
    for (auto part : split(map, ',')) numbers.push_back(static_cast<uint64_t>(parse_int(part).value_or(-1)));
    if (numbers.size() > 2 * kMaxPieces) return bad_request("more than " + std::to_string(kMaxPieces) + " pieces of a sparse file, the limit");
  }
  if (pax.count("GNU.sparse.name")) e.name = value("GNU.sparse.name");
  e.sparse.emplace();
  e.sparse->size = static_cast<uint64_t>(parse_int(value(pax.count("GNU.sparse.realsize") ? "GNU.sparse.realsize" : "GNU.sparse.size")).value_or(0));
  for (size_t i = 0; i + 1 < numbers.size(); i += 2)
    if (numbers[i + 1] > 0) e.sparse->pieces.emplace_back(numbers[i], numbers[i + 1]);
  return check_sparse(e);
}

bool checksum_fits(const Header& h) {
  auto* bytes = reinterpret_cast<const unsigned char*>(&h);
  uint64_t sum = 0;
  for (size_t i = 0; i < kBlock; ++i) sum += i >= 148 && i < 156 ? ' ' : bytes[i];
  return sum == number(h.checksum, sizeof h.checksum);
}

}  // namespace

std::string tar_header(const std::string& name, uint64_t size, uint32_t mode) {
  std::string b(kBlock, '\0');
  auto octal = [&b](size_t at, size_t width, uint64_t v) {
    for (size_t i = width - 1; i-- > 0; v >>= 3) b[at + i] = static_cast<char>('0' + (v & 7));
  };
  auto& h = *reinterpret_cast<Header*>(b.data());
  name.copy(h.name, sizeof h.name);
  octal(offsetof(Header, mode), sizeof h.mode, mode);
  octal(offsetof(Header, uid), sizeof h.uid, 0);
  octal(offsetof(Header, gid), sizeof h.gid, 0);
  if (size < uint64_t{1} << 33) octal(offsetof(Header, size), sizeof h.size, size);
  else {  // GNU's binary form
    h.size[0] = static_cast<char>(0x80);
    for (size_t i = 0; i < 8; ++i) h.size[11 - i] = static_cast<char>(size >> (8 * i));
  }
  octal(offsetof(Header, mtime), sizeof h.mtime, 0);
  h.type = '0';
  std::memcpy(h.magic, "ustar\00000", 8);
  std::memset(h.checksum, ' ', sizeof h.checksum);
  uint64_t sum = 0;
  for (unsigned char c : b) sum += c;
  octal(offsetof(Header, checksum), sizeof h.checksum - 1, sum);
  h.checksum[6] = '\0';
  return b;
}

Result<> read_tar(Source& source, const TarFn& fn) {
  std::map<std::string, std::string> pax, global;
  std::string long_name, long_link;
  size_t headers = 0;
  uint64_t meta = 0;  // what is neither an entry's header nor a file's content
  auto count_meta = [&meta](uint64_t size) -> Result<> {
    if (size > kMaxMeta) return bad_request("a tar header is larger than " + std::to_string(kMaxMeta) + " bytes, the limit");
    if ((meta += size) > kMaxAllMeta) return bad_request("more than " + std::to_string(kMaxAllMeta) + " bytes of extended headers, the limit");
    return {};
  };
  Header h;
  for (;;) {
    TRY(bool more, read_block(source, reinterpret_cast<char*>(&h)));
    if (!more) return {};
    bool zero = true;
    for (size_t i = 0; i < kBlock && zero; ++i) zero = reinterpret_cast<char*>(&h)[i] == 0;
    if (zero) return {};
    if (!checksum_fits(h)) return bad_request("this is no tar archive, or it is damaged (checksum)");
    TarEntry e = entry_of(h);
    if (h.type == 'x' || h.type == 'g' || h.type == 'L' || h.type == 'K') {
      if (++headers > kMaxHeaders) return bad_request("more than " + std::to_string(kMaxHeaders) + " extended headers in a row, the limit");
      TRY_OK(count_meta(e.size));
      Limited data(source, e.size);
      TRY(std::string body, data.all());
      TRY_OK(data.skip());
      if (h.type == 'x') TRY_OK(read_pax(body, pax));
      else if (h.type == 'g') TRY_OK(read_pax(body, global));
      else (h.type == 'L' ? long_name : long_link) = body.substr(0, body.find('\0'));
      if (global.size() > kMaxGlobals) return bad_request("more than " + std::to_string(kMaxGlobals) + " global attributes, the limit");
      continue;
    }
    headers = 0;
    if (!long_name.empty()) e.name = std::move(long_name);
    if (!long_link.empty()) e.link = std::move(long_link);
    apply_pax(e, global);
    apply_pax(e, pax);
    bool has_data = e.type == '0';
    if (h.type == 'S') TRY_OK(old_sparse(source, h, e).within(e.name));
    Limited data(source, has_data ? e.size : 0);
    if (has_data) TRY_OK(pax_sparse(data, pax, e).within(e.name));
    pax.clear();
    long_name.clear();
    long_link.clear();
    TRY_OK(fn(e, data));
    if (data.left() > 0) TRY_OK(count_meta(data.left()).within(e.name.substr(0, 200)));  // a whiteout with content
    TRY_OK(data.skip());
    if (!has_data && e.size > 0 && e.type != '1') {
      TRY_OK(count_meta(e.size).within(e.name.substr(0, 200)));
      Limited rest(source, e.size);
      TRY_OK(rest.skip());
    }
  }
}

}  // namespace k8lite::image
