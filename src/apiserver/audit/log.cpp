#include "apiserver/audit/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "os/files.h"

namespace k8lite::apiserver::audit {
namespace {

constexpr int64_t kMegabyte = 1 << 20, kDefaultMegabytes = 100;

struct Split {
  std::string folder, stem, ending;  // "/var/log/audit.log": "/var/log", "audit", ".log"
};
Split split_path(const std::string& path) {
  size_t slash = path.rfind('/');
  Split s;
  s.folder = slash == path.npos ? "." : path.substr(0, slash);
  s.stem = slash == path.npos ? path : path.substr(slash + 1);
  if (size_t dot = s.stem.rfind('.'); dot != s.stem.npos && dot > 0) s.ending = s.stem.substr(dot), s.stem.resize(dot);
  return s;
}

// audit-2026-01-02T03-04-05.006.log: names in the order of time.
std::string backup_name(const Split& s, Instant now) {
  std::string time = rfc3339_micro(now).substr(0, 23);
  std::replace(time.begin(), time.end(), ':', '-');
  return s.folder + "/" + s.stem + "-" + time + s.ending;
}

Result<int> open_file(const std::string& path) {
  int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return Status::from_errno("open " + path, errno);
  return fd;
}

}  // namespace

Result<std::unique_ptr<Log>> Log::open(LogOptions options, const Clock& clock) {
  int fd = STDOUT_FILENO;
  int64_t size = 0;
  if (options.path != "-") {
    TRY_OK(os::make_dirs(split_path(options.path).folder, 0700));
    TRY(fd, open_file(options.path));
    struct stat st {};
    if (fstat(fd, &st) == 0) size = st.st_size;
  }
  auto log = std::unique_ptr<Log>(new Log(std::move(options), clock, fd, size));
  log->thread_ = std::thread([raw = log.get()] { raw->run(); });
  return log;
}

Log::~Log() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  if (fd_ >= 0 && fd_ != STDOUT_FILENO) close(fd_);
}

void Log::submit(std::string line) {
  std::lock_guard lock(mutex_);
  if (queued_bytes_ + line.size() > kMaxQueuedBytes) {
    if (dropped_++ == 0)
      log_error("the audit log cannot be written as fast as requests come: events are dropped",
                {{"path", options_.path}});
    return;
  }
  queued_bytes_ += line.size();
  queue_.push_back(std::move(line));
  if (queue_.size() == 1) wake_.notify_one();
}

void Log::flush() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return queue_.empty() && !writing_; });
}

void Log::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    std::vector<std::string> lines = std::exchange(queue_, {});
    queued_bytes_ = 0;
    writing_ = true;
    lock.unlock();
    for (const auto& line : lines) write(line);
    lock.lock();
    writing_ = false;
    idle_.notify_all();
  }
}

void Log::write(const std::string& text) {
  int64_t most = (options_.max_size_mb > 0 ? options_.max_size_mb : kDefaultMegabytes) * kMegabyte;
  if (options_.path != "-" && size_ > 0 && size_ + static_cast<int64_t>(text.size()) > most) rotate();
  size_t done = 0;
  while (done < text.size()) {
    ssize_t n = ::write(fd_, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  size_ += static_cast<int64_t>(done);
  bool failed = done < text.size();
  if (failed) ++dropped_;
  if (failed && !failing_)
    log_error("the audit log cannot be written",
              {{"path", options_.path}, {"error", Status::from_errno("write", errno)}});
  failing_ = failed;
}

void Log::rotate() {
  std::string aside = backup_name(split_path(options_.path), clock_.now());
  // Two rotations within a millisecond: the older file must not be lost.
  for (int i = 1; access(aside.c_str(), F_OK) == 0 && i < 1000; ++i)
    aside = backup_name(split_path(options_.path), clock_.now() + milliseconds(i));
  if (rename(options_.path.c_str(), aside.c_str()) != 0)
    log_warn("the audit log cannot be rotated",
             {{"path", options_.path}, {"error", Status::from_errno("rename", errno)}});
  auto fresh = open_file(options_.path);
  if (!fresh.ok()) return;  // the old one goes on
  close(fd_);
  fd_ = *fresh;
  size_ = 0;
  remove_old();
}

void Log::remove_old() {
  Split s = split_path(options_.path);
  std::vector<std::string> backups;
  if (DIR* dir = opendir(s.folder.c_str())) {
    constexpr size_t kTime = 24;  // "-2026-01-02T03-04-05.006"
    while (dirent* e = readdir(dir))
      if (std::string name = e->d_name; name.starts_with(s.stem + "-2") && name.ends_with(s.ending) &&
                                        name.size() == s.stem.size() + kTime + s.ending.size())
        backups.push_back(name);
    closedir(dir);
  }
  std::sort(backups.begin(), backups.end(), std::greater<>());
  std::string oldest =
      options_.max_age_days > 0
          ? backup_name({"", s.stem, s.ending}, clock_.now() - seconds(options_.max_age_days * 86400)).substr(1)
          : "";
  for (size_t i = 0; i < backups.size(); ++i)
    if ((options_.max_backups > 0 && i >= static_cast<size_t>(options_.max_backups)) || backups[i] < oldest)
      unlink((s.folder + "/" + backups[i]).c_str());
}

}  // namespace k8lite::apiserver::audit
