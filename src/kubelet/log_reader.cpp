#include "kubelet/log_reader.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace k8lite::kubelet {
namespace {

constexpr int kMaxFiles = 20;  // rotated ones that are looked for
constexpr size_t kReadBytes = 32 * 1024;
constexpr size_t kMaxCarry = 1 << 20;  // a file without line breaks is no log

struct Line {
  std::string_view time, stream, text;
  bool whole = false;
};
bool split_line(std::string_view line, Line& out) {
  size_t a = line.find(' ');
  if (a == line.npos) return false;
  size_t b = line.find(' ', a + 1);
  if (b == line.npos) return false;
  size_t c = line.find(' ', b + 1);
  if (c == line.npos) return false;
  out = {line.substr(0, a), line.substr(a + 1, b - a - 1), line.substr(c + 1), line[b + 1] == 'F'};
  return true;
}

// A file's bytes as they are now.
class Mapped {
 public:
  explicit Mapped(const std::string& file) {
    os::Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat st;
    if (!fd || fstat(fd.get(), &st) != 0 || st.st_size <= 0) return;
    size_ = static_cast<size_t>(st.st_size);
    void* at = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (at != MAP_FAILED) data_ = static_cast<const char*>(at);
    else size_ = 0;
  }
  ~Mapped() {
    if (data_) munmap(const_cast<char*>(data_), size_);
  }
  Mapped(const Mapped&) = delete;
  std::string_view text() const { return {data_, size_}; }

 private:
  const char* data_ = nullptr;
  size_t size_ = 0;
};

// Where the last `wanted` lines begin; `wanted` becomes what is still missing.
size_t tail_start(std::string_view text, const std::string& stream, int64_t& wanted) {
  size_t end = text.rfind('\n');
  if (end == text.npos) return 0;
  size_t start_of_wanted = end + 1;
  bool newest = true;
  while (true) {
    size_t before = end == 0 ? text.npos : text.rfind('\n', end - 1);
    size_t start = before == text.npos ? 0 : before + 1;
    Line line;
    bool counts = split_line(text.substr(start, end - start), line) && (stream.empty() || line.stream == stream);
    if (counts && (line.whole || newest)) {  // what ends in a part is a line too, when it is the last
      if (wanted == 0) return start_of_wanted;
      --wanted;
    }
    newest = newest && !counts;
    start_of_wanted = start;
    if (before == text.npos) return 0;
    end = before;
  }
}

}  // namespace

Result<LogReader> LogReader::open(std::string path, LogOptions options) {
  LogReader reader(std::move(path), std::move(options));
  auto files = reader.files();
  if (files.empty()) return Status(Reason::NotFound, "open " + reader.path_ + ": no such file or directory");
  if (reader.options_.tail >= 0) {
    reader.seek_tail(files);
    return reader;
  }
  size_t first = 0;
  auto since = parse_rfc3339(reader.options_.since);
  for (struct stat st; since && first + 1 < files.size(); ++first)  // a file last written before that time has nothing to say
    if (::stat(files[first].c_str(), &st) != 0 || st.st_mtim.tv_sec >= since->us / 1'000'000) break;
  if (!reader.open_file(files[first], 0)) return Status::from_errno("open " + files[first], errno);
  return reader;
}

std::vector<std::string> LogReader::files() const {
  std::vector<std::string> out;
  for (int i = kMaxFiles; i > 0; --i)
    if (std::string file = path_ + "." + std::to_string(i); os::exists(file)) out.push_back(std::move(file));
  if (os::exists(path_)) out.push_back(path_);
  return out;
}

void LogReader::seek_tail(const std::vector<std::string>& files) {
  int64_t wanted = options_.tail;
  for (size_t i = files.size(); i-- > 0;) {
    Mapped file(files[i]);
    size_t start = tail_start(file.text(), options_.stream, wanted);
    if (start == 0 && wanted > 0 && i > 0) continue;
    open_file(files[i], static_cast<off_t>(start));
    return;
  }
}

bool LogReader::open_file(const std::string& file, off_t at) {
  fd_.reset(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat st;
  if (!fd_ || fstat(fd_.get(), &st) != 0) return false;
  inode_ = st.st_ino;
  lseek(fd_.get(), at, SEEK_SET);
  return true;
}

// After the end of a file: the one written after it, when this one is not the newest any more.
bool LogReader::open_next() {
  struct stat st;
  if (::stat(path_.c_str(), &st) != 0 || st.st_ino == inode_) return false;
  auto all = files();
  size_t next = 0;  // where ours is gone, the oldest that is left
  for (size_t i = 0; i < all.size(); ++i)
    if (::stat(all[i].c_str(), &st) == 0 && st.st_ino == inode_) next = i + 1;
  return next < all.size() && open_file(all[next], 0);
}

std::string LogReader::next() {
  std::string out;
  bool last_look = false;
  while (fd_ && out.empty() && !at_limit()) {
    size_t had = carry_.size();
    carry_.resize(had + kReadBytes);
    ssize_t n = ::read(fd_.get(), carry_.data() + had, kReadBytes);
    carry_.resize(had + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return out;
    if (n == 0) {
      // Between this end and the look for a newer file, more may have been written to this one.
      struct stat st;
      bool rotated = ::stat(path_.c_str(), &st) != 0 || st.st_ino != inode_;
      if (!rotated) return out;
      if (std::exchange(last_look, true)) {
        if (!open_next()) return out;
        last_look = false;
      }
      continue;
    }
    last_look = false;
    size_t at = 0;
    for (size_t end; (end = carry_.find('\n', at)) != carry_.npos; at = end + 1) take(std::string_view(carry_).substr(at, end - at), out);
    carry_.erase(0, at);
    if (carry_.size() > kMaxCarry) carry_.clear();
  }
  return out;
}

void LogReader::take(std::string_view raw, std::string& out) {
  Line line;
  if (!split_line(raw, line) || at_limit()) return;
  if (!options_.stream.empty() && line.stream != options_.stream) return;
  if (!options_.since.empty() && line.time < options_.since) return;
  std::string text;
  if (options_.timestamps && !inside_) text.append(line.time).append(" ");
  text.append(line.text);
  if (line.whole) text += '\n';
  inside_ = !line.whole;
  if (left_ >= 0 && text.size() > static_cast<size_t>(left_)) text.resize(static_cast<size_t>(left_));
  if (left_ >= 0) left_ -= static_cast<int64_t>(text.size());
  out += text;
}

}  // namespace k8lite::kubelet
