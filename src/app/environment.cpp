#include "app/environment.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstring>

#include "base/log.h"
#include "base/strings.h"

extern char** environ;

namespace k8lite::app {
namespace {

sigset_t stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int s : {SIGTERM, SIGINT}) sigaddset(&signals, s);
  return signals;
}

}  // namespace

std::map<std::string, std::string> environment() {
  std::map<std::string, std::string> out;
  for (char** e = environ; *e; ++e) {
    std::string_view row = *e;
    size_t equals = row.find('=');
    if (equals != row.npos) out[std::string(row.substr(0, equals))] = row.substr(equals + 1);
  }
  return out;
}

void prepare_process(const config::Config& config) {
  set_log_json(config.log_format == "json");
  if (config.debug || config.verbosity > 0) set_log_level(LogLevel::Debug);
  sigset_t signals = stop_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

void wait_for_stop() {
  sigset_t signals = stop_signals();
  int got = 0;
  sigwait(&signals, &got);
  log_info("stopping; pods go on running", {{"signal", strsignal(got)}});
}

bool stopped_within(Duration pause) {
  sigset_t signals = stop_signals();
  auto us = std::chrono::duration_cast<std::chrono::microseconds>(pause).count();
  timespec t{.tv_sec = static_cast<time_t>(us / 1'000'000), .tv_nsec = static_cast<long>(us % 1'000'000 * 1000)};
  int got = sigtimedwait(&signals, nullptr, &t);
  if (got > 0) log_info("stopping", {{"signal", strsignal(got)}});
  return got > 0;
}

Result<os::Fd> lock_data_dir(const std::string& data_dir) {
  TRY_OK(os::make_dirs(data_dir, 0755));
  std::string path = data_dir + "/lock";
  os::Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return Status::from_errno("open " + path, errno);
  // One that was killed a moment ago may still hold it: in its last threads, or in a child on its way to another program.
  int locked = flock(fd.get(), LOCK_EX | LOCK_NB);
  for (int i = 0; i < 60 && locked != 0 && errno == EWOULDBLOCK; ++i) {
    if (stopped_within(milliseconds(50))) break;
    locked = flock(fd.get(), LOCK_EX | LOCK_NB);
  }
  if (locked != 0) {
    if (errno != EWOULDBLOCK) return Status::from_errno("lock " + path, errno);
    return Status(Reason::ServiceUnavailable, "data-dir " + data_dir + " is in use by another k8lite (process " + std::string(trim(os::read_file(path).value_or("?"))) + ")");
  }
  // The number is for the message above; the lock holds without it.
  std::string pid = std::to_string(getpid()) + "\n";
  if (ftruncate(fd.get(), 0) != 0 || pwrite(fd.get(), pid.data(), pid.size(), 0) < 0) log_debug("the lock file could not be written", {{"path", path}});
  return fd;
}

}  // namespace k8lite::app
