// A command that stays until the container's process ends: passes signals on, and the bytes of a terminal where it has
// one.
#pragma once
#include <sys/types.h>
#include <termios.h>

namespace k8lite::runc {

class Foreground {
 public:
  explicit Foreground(bool terminal);
  ~Foreground();  // the caller's terminal is as before
  Foreground(const Foreground&) = delete;
  Foreground& operator=(const Foreground&) = delete;
  int console_socket() const {
    return pair_[1];
  }                         // for the container's process: takes the terminal's master; -1 without terminal
  void block_signals();     // from now on they wait for wait_for()
  int wait_for(pid_t pid);  // its exit code, 128 + n for a signal

 private:
  void resize();
  bool copy_once(int process, int signals, pid_t pid, int& code);
  int pair_[2] = {-1, -1};
  int master_ = -1;
  bool raw_ = false, input_ = true;
  termios old_{};
};

}  // namespace k8lite::runc
