#include "shim/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace k8lite::shim {
namespace {
constexpr size_t kMaxLine = 16 * 1024;
}

CriLog::~CriLog() {
  if (fd_ >= 0) close(fd_);
}

void CriLog::open_file() {
  fd_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  struct stat st;
  size_ = fd_ >= 0 && fstat(fd_, &st) == 0 ? static_cast<unsigned long>(st.st_size) : 0;
}

void CriLog::rotate() {
  for (unsigned long i = files_ > 1 ? files_ - 1 : 1; i > 0; --i) {
    std::string to = path_ + "." + std::to_string(i), from = i == 1 ? path_ : path_ + "." + std::to_string(i - 1);
    rename(from.c_str(), to.c_str());
  }
  close(fd_);
  open_file();
}

void CriLog::line(const char* stream, char tag, std::string_view text) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm utc{};
  gmtime_r(&now.tv_sec, &utc);
  char head[80];
  int n = snprintf(head, sizeof head, "%04d-%02d-%02dT%02d:%02d:%02d.%09ldZ %s %c ", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, now.tv_nsec, stream, tag);
  out_.assign(head, static_cast<size_t>(n)).append(text).append("\n");
  if (fd_ < 0) open_file();
  if (fd_ < 0) return;
  if (size_ > 0 && size_ + out_.size() > max_bytes_) rotate();
  // A full disk must not stop the container: what cannot be written is lost, as with any runtime.
  if (fd_ >= 0 && write(fd_, out_.data(), out_.size()) > 0) size_ += out_.size();
}

void CriLog::append(const char* stream, std::string& pending, std::string_view data) {
  while (!data.empty()) {
    size_t end = data.find('\n');
    size_t take = end == data.npos ? data.size() : end;
    size_t room = kMaxLine - pending.size();
    if (take > room) {
      pending.append(data.substr(0, room));
      data.remove_prefix(room);
      line(stream, 'P', pending);
      pending.clear();
      continue;
    }
    pending.append(data.substr(0, take));
    data.remove_prefix(take);
    if (end == std::string_view::npos) return;
    data.remove_prefix(1);
    line(stream, 'F', pending);
    pending.clear();
  }
}

void CriLog::flush(const char* stream, std::string& pending) {
  if (pending.empty()) return;
  line(stream, 'P', pending);
  pending.clear();
}

}  // namespace k8lite::shim
