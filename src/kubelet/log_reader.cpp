#include "kubelet/log_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "base/strings.h"
#include "os/files.h"

namespace k8lite::kubelet {
namespace {

constexpr int kMaxFiles = 5;

// "<time> stdout F text": the text, with its line break when the line is whole.
void append_line(std::string_view line, const LogOptions& o, std::string& out) {
  size_t a = line.find(' '), b = line.find(' ', a + 1), c = line.find(' ', b + 1);
  if (a == line.npos || b == line.npos || c == line.npos) return;
  if (!o.since.empty() && line.substr(0, a) < o.since) return;
  if (o.timestamps) out.append(line.substr(0, a)).append(" ");
  out.append(line.substr(c + 1));
  if (line[b + 1] == 'F') out += '\n';
}

std::string last_lines(const std::string& text, int64_t n) {
  if (n < 0) return text;
  if (n == 0) return "";
  size_t at = text.size();
  if (at > 0 && text[at - 1] == '\n') --at;
  while (n > 0 && at > 0) {
    size_t before = text.rfind('\n', at - 1);
    if (before == text.npos) return text;
    at = before;
    --n;
  }
  return text.substr(at + 1);
}

}  // namespace

Result<LogText> read_log(const std::string& path, const LogOptions& o) {
  LogText out;
  for (int i = kMaxFiles; i >= 0; --i) {
    std::string file = i == 0 ? path : path + "." + std::to_string(i);
    if (i > 0 && !os::exists(file)) continue;
    auto text = os::read_file(file);
    if (!text.ok() && text.status().is(Reason::NotFound)) continue;
    if (!text.ok()) return text.status();
    for (auto line : split(*text, '\n'))
      if (!line.empty()) append_line(line, o, out.text);
    if (i == 0) out.offset = static_cast<int64_t>(text->size());
  }
  out.text = last_lines(out.text, o.tail);
  if (o.limit_bytes >= 0 && out.text.size() > static_cast<size_t>(o.limit_bytes)) out.text.resize(static_cast<size_t>(o.limit_bytes));
  return out;
}

LogFollower::LogFollower(std::string path, int64_t offset, LogOptions options) : path_(std::move(path)), options_(std::move(options)) {
  fd_.reset(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd_) (void)::lseek(fd_.get(), offset, SEEK_SET);
}

void LogFollower::read_file(std::string& out) {
  char buffer[64 * 1024];
  for (ssize_t n; fd_ && (n = ::read(fd_.get(), buffer, sizeof buffer)) > 0;) {
    pending_.append(buffer, static_cast<size_t>(n));
    size_t end = pending_.rfind('\n');
    if (end == pending_.npos) continue;
    for (auto line : split(std::string_view(pending_).substr(0, end), '\n'))
      if (!line.empty()) append_line(line, options_, out);
    pending_.erase(0, end + 1);
  }
}

std::string LogFollower::more() {
  std::string out;
  struct stat now, ours;
  bool there = ::stat(path_.c_str(), &now) == 0;
  read_file(out);
  // Another file has taken the place: what was read above is all that this one will ever hold.
  if (there && (!fd_ || (::fstat(fd_.get(), &ours) == 0 && (ours.st_ino != now.st_ino || ours.st_dev != now.st_dev)))) {
    fd_.reset(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    pending_.clear();
    read_file(out);
  }
  return out;
}

}  // namespace k8lite::kubelet
