// See foreground.h.
#include "runc/foreground.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runc/common.h"

namespace k8lite::runc {

Foreground::Foreground(bool terminal) {
  if (terminal && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair_) != 0) fail("socketpair");
}
Foreground::~Foreground() {
  if (raw_) tcsetattr(0, TCSANOW, &old_);
}

void Foreground::block_signals() {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, nullptr);
}

void Foreground::resize() {
  winsize size{};
  if (ioctl(0, TIOCGWINSZ, &size) == 0) ioctl(master_, TIOCSWINSZ, &size);
}

namespace {
void write_all(int fd, const char* data, ssize_t n) {
  while (n > 0) {
    ssize_t done = write(fd, data, static_cast<size_t>(n));
    if (done < 0 && errno == EAGAIN) {
      pollfd p{fd, POLLOUT, 0};
      poll(&p, 1, -1);
      continue;
    }
    if (done <= 0) return;
    data += done;
    n -= done;
  }
}
int code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }
}  // namespace

// One round of waiting; true when the process has ended, with its code.
bool Foreground::copy_once(int process, int signals, pid_t pid, int& code) {
  char buffer[16 * 1024];
  pollfd polls[4] = {
      {process, POLLIN, 0}, {signals, POLLIN, 0}, {master_, POLLIN, 0}, {master_ >= 0 && input_ ? 0 : -1, POLLIN, 0}};
  if (poll(polls, 4, -1) < 0) return false;
  if (polls[2].revents) {
    ssize_t n = read(master_, buffer, sizeof buffer);
    if (n > 0)
      write_all(1, buffer, n);
    else
      close_fd(master_);
  }
  if (polls[3].revents && master_ >= 0) {
    ssize_t n = read(0, buffer, sizeof buffer);
    if (n > 0) {
      write_all(master_, buffer, n);
    } else {
      input_ = false;
      char end = 4;  // the terminal's own end of input
      write_all(master_, &end, 1);
    }
  }
  if (polls[1].revents) {
    signalfd_siginfo info;
    while (read(signals, &info, sizeof info) == sizeof info) {
      int number = static_cast<int>(info.ssi_signo);
      if (number == SIGWINCH && master_ >= 0)
        resize();
      else if (number != SIGCHLD && number != SIGURG)
        kill(pid, number);
    }
    int status = 0;
    for (pid_t other; (other = waitpid(-1, &status, WNOHANG)) > 0;)  // a subreaper has other children, too
      if (other == pid) return code = code_of(status), true;
  }
  int status = 0;
  if (polls[0].revents && waitpid(pid, &status, WNOHANG) == pid) return code = code_of(status), true;
  return false;
}

int Foreground::wait_for(pid_t pid) {
  sigset_t all;
  sigfillset(&all);
  int signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK), process = pidfd_open_of(pid), code = 0;
  if (pair_[0] >= 0) {
    master_ = receive_fd(pair_[0]);
    close_fd(pair_[0]);
    if (master_ < 0) refuse("the terminal did not arrive");
    resize();
    if (isatty(0) && tcgetattr(0, &old_) == 0) {
      termios raw = old_;
      cfmakeraw(&raw);
      raw.c_oflag |= OPOST;
      raw_ = tcsetattr(0, TCSANOW, &raw) == 0;
    }
  }
  while (!copy_once(process, signals, pid, code)) {
  }
  // What the terminal still holds belongs to the output; a process left behind may keep it open for ever.
  while (master_ >= 0) {
    char buffer[16 * 1024];
    pollfd p{master_, POLLIN, 0};
    ssize_t n = poll(&p, 1, 0) > 0 ? read(master_, buffer, sizeof buffer) : 0;
    if (n > 0)
      write_all(1, buffer, n);
    else
      close_fd(master_);
  }
  close_fd(process);
  close_fd(signals);
  return code;
}

}  // namespace k8lite::runc
