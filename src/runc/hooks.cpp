// See hooks.h.
#include "runc/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <vector>

#include "runc/common.h"
#include "runc/process.h"

namespace k8lite::runc {
namespace {

[[noreturn]] void become_hook(const Json& hook, int in, int out) {
  dup2(in, 0);
  dup2(out, 1);
  dup2(out, 2);
  close_on_exec_from(3);
  std::vector<char*> args, env;
  for (const Json& a : hook["args"].items()) args.push_back(const_cast<char*>(a.str().c_str()));
  if (args.empty()) args.push_back(const_cast<char*>(hook["path"].str().c_str()));
  for (const Json& e : hook["env"].items()) env.push_back(const_cast<char*>(e.str().c_str()));
  args.push_back(nullptr);
  env.push_back(nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int s = 1; s < 65; ++s) signal(s, SIG_DFL);
  execve(hook["path"].str().c_str(), args.data(), hook["env"].exists() ? env.data() : environ);
  std::string text = "exec " + hook["path"].str() + ": " + reason(errno);
  (void)!write(2, text.data(), text.size());
  _exit(127);
}

std::string signal_text(int number) {
  std::string text = strsignal(number);
  text[0] = static_cast<char>(text[0] | 32);
  return text;
}

int64_t now_ms() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

// "" or what went wrong.
std::string run_hook(const Json& hook, const std::string& state) {
  int in[2], out[2];
  if (hook["path"].str().empty() || hook["path"].str()[0] != '/')
    return "hook path is not absolute: \"" + hook["path"].str() + "\"";
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) return "pipe: " + reason(errno);
  pid_t pid = fork();
  if (pid == 0) become_hook(hook, in[0], out[1]);
  if (pid < 0) return "fork: " + reason(errno);
  close(in[0]);
  close(out[1]);
  auto old = signal(SIGPIPE, SIG_IGN);
  (void)!write(in[1], state.data(), state.size());
  close(in[1]);
  signal(SIGPIPE, old);
  int64_t timeout = hook["timeout"].int_or(0), end = now_ms() + timeout * 1000;
  bool late = false;
  std::string said;
  int pidfd = pidfd_open_of(pid);
  for (;;) {
    pollfd polls[2] = {{out[0], POLLIN, 0}, {pidfd, POLLIN, 0}};
    int64_t left = timeout > 0 ? end - now_ms() : -1;
    if (timeout > 0 && left <= 0) {
      late = true;
      break;
    }
    if (poll(polls, 2, static_cast<int>(left)) < 0 && errno != EINTR) break;
    char buffer[1024];
    if (polls[0].revents & POLLIN) {
      ssize_t n = read(out[0], buffer, sizeof buffer);
      if (n > 0 && said.size() < 4096) said.append(buffer, static_cast<size_t>(n));
    } else if (polls[1].revents) {
      break;
    } else if (polls[0].revents) {
      close_fd(out[0]);  // its output is over; poll passes over a negative descriptor
    }
  }
  if (late) kill(pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  close_fd(out[0]);
  close_fd(pidfd);
  if (late) return "hook ran past specified timeout of " + std::to_string(timeout) + ".0s";
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return "";
  std::string how = WIFEXITED(status) ? "exit status " + std::to_string(WEXITSTATUS(status))
                                      : "signal: " + signal_text(WTERMSIG(status));
  return how + ", stdout and stderr: " + said;
}

}  // namespace

void run_hooks(const Json& hooks, const Json& state, const char* kind) {
  std::string text = state.dump();
  for (size_t i = 0; i < hooks.items().size(); ++i)
    if (std::string wrong = run_hook(hooks.items()[i], text); !wrong.empty())
      refuse("error running hook #" + std::to_string(i) + " (" + kind + "): " + wrong);
}
void run_hooks_leniently(const Json& hooks, const Json& state) {
  std::string text = state.dump();
  for (size_t i = 0; i < hooks.items().size(); ++i)
    if (std::string wrong = run_hook(hooks.items()[i], text); !wrong.empty())
      warn("error running hook #" + std::to_string(i) + ": " + wrong);
}

}  // namespace k8lite::runc
