// crictl exec: a process in a container, on this terminal's own descriptors, or behind a terminal of its own with -t.
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <mutex>

#include "app/crictl.h"
#include "app/crictl_containers.h"
#include "base/strings.h"
#include "os/files.h"

namespace k8lite::app::crictl {
namespace {

struct Exit {
  std::mutex mutex;
  std::condition_variable cv;
  std::atomic<bool> over{false};
  int code = 0;
  void set(int value) {
    std::lock_guard lock(mutex);
    code = value;
    over = true;
    cv.notify_all();
  }
};

volatile sig_atomic_t resized = 0;

// This terminal without echo and line editing, as long as it lives.
class RawTerminal {
 public:
  RawTerminal() {
    if (!isatty(0) || tcgetattr(0, &before_) != 0) return;
    termios raw = before_;
    cfmakeraw(&raw);
    active_ = tcsetattr(0, TCSANOW, &raw) == 0;
  }
  ~RawTerminal() {
    if (active_) tcsetattr(0, TCSANOW, &before_);
  }

 private:
  termios before_{};
  bool active_ = false;
};

void copy_size(int master) {
  winsize size{};
  if (ioctl(0, TIOCGWINSZ, &size) == 0) ioctl(master, TIOCSWINSZ, &size);
}

bool pump(int from, int to) {
  char buffer[16384];
  ssize_t n = ::read(from, buffer, sizeof buffer);
  if (n <= 0) return false;
  for (ssize_t at = 0; at < n;) {
    ssize_t w = ::write(to, buffer + at, static_cast<size_t>(n - at));
    if (w <= 0) return false;
    at += w;
  }
  return true;
}

void run_terminal(int master, bool with_input, Exit& exit) {
  RawTerminal raw;
  copy_size(master);
  signal(SIGWINCH, [](int) { resized = 1; });
  bool input = with_input;
  for (;;) {
    if (std::exchange(resized, 0)) copy_size(master);
    pollfd fds[2] = {{master, POLLIN, 0}, {input ? 0 : -1, POLLIN, 0}};
    int n = poll(fds, 2, 200);
    if (n > 0 && (fds[0].revents & (POLLIN | POLLHUP)) && !pump(master, 1)) return;
    if (n > 0 && fds[1].revents) input = pump(0, master);
    if (n == 0 && exit.over) return;
  }
}

}  // namespace

int exec(const Options& o) {
  if (o.words.size() < 3) return fail("exec: a container and a command are wanted");
  auto node = look();
  auto c = find_container(node, o.words[1]);
  if (!c.ok()) return fail(c.status().message());
  if (!c->state.running) return fail("container is in " + c->state_name() + " state");
  runtime::shim::Process process = c->record.process;
  process.args.assign(o.words.begin() + 2, o.words.end());
  process.tty = o.tty;
  os::Fd stdio[3], master;
  if (o.tty) {
    int m = -1, s = -1;
    if (openpty(&m, &s, nullptr, nullptr, nullptr) != 0) return fail(Status::from_errno("open a terminal", errno).message());
    master.reset(m);
    fcntl(m, F_SETFD, FD_CLOEXEC);
    stdio[0].reset(s);
    stdio[1].reset(fcntl(s, F_DUPFD_CLOEXEC, 3));
    stdio[2].reset(fcntl(s, F_DUPFD_CLOEXEC, 3));
  } else {
    stdio[0].reset(o.interactive ? fcntl(0, F_DUPFD_CLOEXEC, 3) : ::open("/dev/null", O_RDONLY | O_CLOEXEC));
    stdio[1].reset(fcntl(1, F_DUPFD_CLOEXEC, 3));
    stdio[2].reset(fcntl(2, F_DUPFD_CLOEXEC, 3));
  }
  std::fflush(stdout);
  Exit exit;
  auto started = node.runtime->exec(c->pod.uid, c->record.id, process, stdio, [&exit](int code) { exit.set(code); });
  if (!started.ok()) return fail("execing command in container: " + started.status().message());
  for (auto& fd : stdio) fd.reset();
  if (o.tty) run_terminal(master.get(), o.interactive, exit);
  std::unique_lock lock(exit.mutex);
  exit.cv.wait(lock, [&exit] { return exit.over.load(); });
  if (exit.code < 0) return fail("the container is gone");
  if (exit.code != 0) std::fprintf(stderr, "k8lite crictl: command terminated with exit code %d\n", exit.code);
  return exit.code == 0 ? 0 : exit.code;
}

}  // namespace k8lite::app::crictl
