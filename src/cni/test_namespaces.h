// For the tests of this room: network namespaces that a test makes and leaves again.
#pragma once
#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "os/files.h"

namespace k8lite::cni {

inline os::Fd new_netns() {
  os::Fd own(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  unshare(CLONE_NEWNET);
  os::Fd made(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  setns(own.get(), CLONE_NEWNET);
  return made;
}
// Runs a shell command in the namespace.
inline int run_in(int netns, const std::string& command) {
  pid_t pid = fork();
  if (pid == 0) {
    setns(netns, CLONE_NEWNET);
    execl("/bin/sh", "sh", "-c", (command + " >/dev/null 2>&1").c_str(), static_cast<char*>(nullptr));
    _exit(127);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WEXITSTATUS(status);
}

// The test's own thread lives in a fresh namespace while this stands.
struct Isolated {
  os::Fd own{::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)};
  std::string dir;
  Isolated() {
    char name[] = "/tmp/k8lite-cni-XXXXXX";
    dir = mkdtemp(name);
    unshare(CLONE_NEWNET);
    std::system("ip link set lo up");
  }
  ~Isolated() {
    setns(own.get(), CLONE_NEWNET);
    std::filesystem::remove_all(dir);
  }
};

// What a shell command in the namespace prints.
inline std::string output_of(const os::Fd& netns, const std::string& command) {
  os::Fd own(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  setns(netns.get(), CLONE_NEWNET);
  std::string out;
  if (FILE* pipe = popen((command + " 2>&1").c_str(), "r")) {
    char buffer[4096];
    while (size_t n = fread(buffer, 1, sizeof buffer, pipe)) out.append(buffer, n);
    pclose(pipe);
  }
  setns(own.get(), CLONE_NEWNET);
  return out;
}
// In the namespace that this thread is in.
inline std::string output_of(const std::string& command) {
  return output_of(os::Fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)), command);
}
inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace k8lite::cni
