#include "proxy/tool.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/strings.h"
#include "os/files.h"

namespace k8lite::proxy {
namespace {

constexpr int kToolLimitMs = 60'000;  // iptables waits 5 s for its lock and works for under a second
constexpr size_t kOutputLimit = size_t{64} << 20;

// Files in memory instead of pipes: the tool can neither block us nor break a pipe, and no thread has to feed it.
Result<os::Fd> memory_file(const std::string& content = {}) {
  os::Fd fd(memfd_create("k8lite-tool", MFD_CLOEXEC));
  if (!fd) return Status::from_errno("memfd_create", errno);
  for (size_t done = 0; done < content.size();) {
    ssize_t n = ::write(fd.get(), content.data() + done, content.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Status::from_errno("write memfd", errno);
    done += static_cast<size_t>(n);
  }
  if (::lseek(fd.get(), 0, SEEK_SET) < 0) return Status::from_errno("seek memfd", errno);
  return fd;
}

std::string content_of(const os::Fd& fd) {
  std::string out;
  char buffer[16384];
  for (off_t at = 0; out.size() < kOutputLimit;) {
    ssize_t n = ::pread(fd.get(), buffer, sizeof buffer, at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    out.append(buffer, static_cast<size_t>(n));
    at += n;
  }
  return out;
}

Result<pid_t> spawn(const std::string& path, const std::vector<std::string>& arguments, int in, int out, int err) {
  std::vector<char*> argv{const_cast<char*>(path.c_str())};
  for (auto& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  char path_variable[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", language[] = "LC_ALL=C";
  char* environment[] = {path_variable, language, nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in, 0);
  posix_spawn_file_actions_adddup2(&actions, out, 1);
  posix_spawn_file_actions_adddup2(&actions, err, 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = -1;
  int failed = posix_spawn(&pid, path.c_str(), &actions, &attributes, argv.data(), environment);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (failed) return Status::from_errno("run " + path, failed);
  return pid;
}

// Exit status as waitpid gives it.
Result<int> wait_for(pid_t pid, const std::string& path) {
  bool late = false;
  os::Fd handle(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (handle) {  // before Linux 5.3 there is no deadline
    pollfd p{handle.get(), POLLIN, 0};
    int n;
    while ((n = ::poll(&p, 1, kToolLimitMs)) < 0 && errno == EINTR) {}
    late = n == 0;
    if (late) ::kill(pid, SIGKILL);
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return Status::from_errno("wait for " + path, errno);
  if (late) return timed_out(path + ": still running after " + std::to_string(kToolLimitMs / 1000) + " s, killed");
  return status;
}

}  // namespace

std::string find_tool(const std::string& name) {
  const char* path = std::getenv("PATH");
  for (auto& folder : split_strings(std::string(path ? path : "") + ":/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin", ':')) {
    if (!folder.starts_with('/')) continue;
    std::string candidate = folder + "/" + name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return {};
}

Result<std::string> run_tool(const std::string& path, const std::vector<std::string>& arguments, const std::string& input) {
  TRY(os::Fd in, memory_file(input));
  TRY(os::Fd out, memory_file());
  TRY(os::Fd err, memory_file());
  TRY(pid_t pid, spawn(path, arguments, in.get(), out.get(), err.get()));
  TRY(int status, wait_for(pid, path));
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return content_of(out);
  std::string message(trim(content_of(err)));
  std::string end = WIFEXITED(status) ? "exit status " + std::to_string(WEXITSTATUS(status)) : "signal " + std::to_string(WTERMSIG(status));
  return internal_error(path + ": " + (message.empty() ? end : message.substr(0, 2000)));
}

}  // namespace k8lite::proxy
