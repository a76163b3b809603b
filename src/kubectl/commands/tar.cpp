// A file that shrinks while it is read is filled up with zeros, so that the archive stays whole.
#include "kubectl/commands/tar.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/strings.h"
#include "os/files.h"

namespace k8lite::kubectl {

namespace {

constexpr size_t kBlock = 512;
constexpr size_t kMaxName = 100;
constexpr uint64_t kMaxExtra = 1 << 20;  // of a pax record or long name
constexpr uint64_t kMaxOctal = (uint64_t{1} << 33) - 1;  // eleven octal digits

using Sink = std::function<Result<>(std::string_view)>;

void put(std::string& block, size_t at, size_t width, std::string_view text) { std::memcpy(&block[at], text.data(), std::min(width, text.size())); }

void put_octal(std::string& block, size_t at, size_t width, uint64_t value) {
  std::string digits;
  for (uint64_t v = value; v || digits.empty(); v >>= 3) digits.insert(digits.begin(), static_cast<char>('0' + (v & 7)));
  put(block, at, width, std::string(width - 1 > digits.size() ? width - 1 - digits.size() : 0, '0') + digits);
}

std::string header(const std::string& name, const std::string& link, char type, const struct stat& st, uint64_t size) {
  std::string block(kBlock, '\0');
  put(block, 0, kMaxName, name);
  put_octal(block, 100, 8, st.st_mode & 07777);
  put_octal(block, 108, 8, std::min<uint64_t>(st.st_uid, 07777777));
  put_octal(block, 116, 8, std::min<uint64_t>(st.st_gid, 07777777));
  put_octal(block, 124, 12, std::min(size, kMaxOctal));
  put_octal(block, 136, 12, static_cast<uint64_t>(std::max<int64_t>(0, st.st_mtime)));
  put(block, 148, 8, "        ");
  block[156] = type;
  put(block, 157, kMaxName, link);
  put(block, 257, 8, std::string_view("ustar\00000", 8));
  unsigned sum = 0;
  for (char c : block) sum += static_cast<unsigned char>(c);
  put_octal(block, 148, 7, sum);
  block[155] = ' ';
  return block;
}

// "23 path=...\n": the number counts the whole record, itself included.
std::string pax_record(std::string_view key, std::string_view value) {
  std::string rest = " " + std::string(key) + "=" + std::string(value) + "\n";
  size_t size = rest.size() + 1;
  while (std::to_string(size).size() + rest.size() != size) size = std::to_string(size).size() + rest.size();
  return std::to_string(size) + rest;
}

std::string padding(uint64_t size) { return std::string((kBlock - size % kBlock) % kBlock, '\0'); }

Result<> entry(const Sink& sink, const std::string& name, const std::string& link, char type, const struct stat& st, uint64_t size) {
  std::string pax;
  if (name.size() > kMaxName) pax += pax_record("path", name);
  if (link.size() > kMaxName) pax += pax_record("linkpath", link);
  if (size > kMaxOctal) pax += pax_record("size", std::to_string(size));
  if (!pax.empty()) TRY_OK(sink(header("pax", "", 'x', st, pax.size()) + pax + padding(pax.size())));
  return sink(header(name, link, type, st, size));
}

Result<> add_file(const Sink& sink, const std::string& path, const std::string& name, const struct stat& st) {
  os::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return bad_request("open " + path + ": " + lower(std::strerror(errno)));
  uint64_t size = static_cast<uint64_t>(st.st_size), left = size;
  TRY_OK(entry(sink, name, "", '0', st, size));
  char buffer[65536];
  while (left > 0) {
    ssize_t n = ::read(fd.get(), buffer, std::min<uint64_t>(sizeof buffer, left));
    if (n < 0) return Status::from_errno("read " + path, errno);
    if (n == 0) {
      n = static_cast<ssize_t>(std::min<uint64_t>(sizeof buffer, left));
      std::memset(buffer, 0, static_cast<size_t>(n));
    }
    TRY_OK(sink(std::string_view(buffer, static_cast<size_t>(n))));
    left -= static_cast<uint64_t>(n);
  }
  return sink(padding(size));
}

Result<> add(const Sink& sink, const std::string& path, const std::string& name, bool follow) {
  struct stat st;
  if ((follow ? ::stat : ::lstat)(path.c_str(), &st) != 0) return bad_request("lstat " + path + ": " + lower(std::strerror(errno)));
  if (S_ISDIR(st.st_mode)) {
    auto inside = os::list_dir(path);
    if (inside.empty()) return entry(sink, name + "/", "", '5', st, 0);
    for (const std::string& one : inside) TRY_OK(add(sink, path + "/" + one, name + "/" + one, false));
    return {};
  }
  if (S_ISLNK(st.st_mode)) {
    char target[4096];
    ssize_t n = ::readlink(path.c_str(), target, sizeof target);
    if (n < 0) return Status::from_errno("readlink " + path, errno);
    return entry(sink, name, std::string(target, static_cast<size_t>(n)), '2', st, 0);
  }
  if (!S_ISREG(st.st_mode)) return {};
  return add_file(sink, path, name, st);
}

// Octal text, or GNU's binary form for what does not fit.
uint64_t number_at(std::string_view block, size_t at, size_t width) {
  uint64_t value = 0;
  if (static_cast<unsigned char>(block[at]) & 0x80) {
    for (size_t i = at + 1; i < at + width; ++i) value = value << 8 | static_cast<unsigned char>(block[i]);
    return value;
  }
  for (size_t i = at; i < at + width; ++i)
    if (block[i] >= '0' && block[i] <= '7') value = value << 3 | static_cast<uint64_t>(block[i] - '0');
  return value;
}

std::string text_at(std::string_view block, size_t at, size_t width) {
  std::string_view field = block.substr(at, width);
  return std::string(field.substr(0, field.find('\0')));
}

}  // namespace

Result<> write_tar(const std::string& path, const std::string& name, const Sink& sink) {
  TRY_OK(add(sink, path, name, false));
  return sink(std::string(2 * kBlock, '\0'));
}

Result<> TarReader::take_header() {
  std::string block = std::exchange(block_, "");
  if (block.find_first_not_of('\0') == std::string::npos) {
    ended_ = true;
    return {};
  }
  unsigned sum = 0;
  for (size_t i = 0; i < kBlock; ++i) sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(block[i]);
  if (number_at(block, 148, 8) != sum) return bad_request("archive/tar: invalid tar header");
  member_ = {text_at(block, 0, kMaxName), text_at(block, 157, kMaxName), block[156] ? block[156] : '0', number_at(block, 124, 12)};
  std::string prefix = text_at(block, 345, 155);
  if (block.compare(257, 6, std::string_view("ustar\0", 6)) == 0 && !prefix.empty()) member_.name = prefix + "/" + member_.name;
  bool extra = std::string_view("xgLK").find(member_.type) != std::string_view::npos;
  if (extra && member_.size > kMaxExtra) return bad_request("archive/tar: a header of " + std::to_string(member_.size) + " bytes");
  if (!extra) {
    if (!long_name_.empty()) member_.name = std::exchange(long_name_, "");
    if (!long_link_.empty()) member_.link = std::exchange(long_link_, "");
    if (long_size_) member_.size = std::exchange(long_size_, 0);
    if (member_.type != '0' && member_.type != '7') member_.size = 0;
    TRY_OK(on_member_(member_));
  }
  left_ = member_.size;
  padding_ = (kBlock - left_ % kBlock) % kBlock;
  in_member_ = true;
  return left_ == 0 ? end_member() : Result<>();
}

Result<> TarReader::end_member() {
  in_member_ = padding_ > 0;
  std::string extra = std::exchange(extra_, "");
  if (member_.type == 'L') long_name_ = text_at(extra, 0, extra.size());
  else if (member_.type == 'K') long_link_ = text_at(extra, 0, extra.size());
  else if (member_.type != 'x' && member_.type != 'g') return on_data_("");
  if (member_.type != 'x') return {};
  for (std::string_view rest = extra; !rest.empty();) {  // "LENGTH key=value\n"
    size_t space = rest.find(' ');
    auto size = parse_int(rest.substr(0, space));
    if (space == std::string_view::npos || !size || *size <= static_cast<int64_t>(space) || static_cast<size_t>(*size) > rest.size()) return bad_request("archive/tar: invalid tar header");
    std::string_view record = rest.substr(space + 1, static_cast<size_t>(*size) - space - 2);
    rest.remove_prefix(static_cast<size_t>(*size));
    size_t eq = record.find('=');
    if (eq == std::string_view::npos) continue;
    std::string_view key = record.substr(0, eq), value = record.substr(eq + 1);
    if (key == "path") long_name_ = value;
    if (key == "linkpath") long_link_ = value;
    if (key == "size") long_size_ = static_cast<uint64_t>(parse_int(value).value_or(0));
  }
  return {};
}

Result<> TarReader::feed(std::string_view bytes) {
  while (!bytes.empty() && !ended_) {
    if (left_ > 0) {
      std::string_view piece = bytes.substr(0, std::min<uint64_t>(left_, bytes.size()));
      bytes.remove_prefix(piece.size());
      left_ -= piece.size();
      if (std::string_view("xgLK").find(member_.type) != std::string_view::npos) extra_ += piece;
      else TRY_OK(on_data_(piece));
      if (left_ == 0) TRY_OK(end_member());
    } else if (padding_ > 0) {
      size_t n = std::min<uint64_t>(padding_, bytes.size());
      bytes.remove_prefix(n);
      padding_ -= n;
      if (padding_ == 0) in_member_ = false;
    } else {
      size_t n = std::min(kBlock - block_.size(), bytes.size());
      block_ += bytes.substr(0, n);
      bytes.remove_prefix(n);
      if (block_.size() == kBlock) TRY_OK(take_header());
    }
  }
  return {};
}

Result<> TarReader::finish() const {
  if (in_member_ || !block_.empty()) return bad_request("unexpected EOF");
  return {};
}

}  // namespace k8lite::kubectl
