#include "shim/pause.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace k8lite::shim {
namespace {

constexpr uid_t kNobody = 65535;  // that of upstream's pause

void must(bool good) {
  if (!good) _exit(1);
}

void leave_files(const char* folder) {
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int i = 0; i < 3; ++i) must(dup2(null, i) == i);
  syscall(SYS_close_range, 3, ~0u, 0);
  must(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
  must(mount("tmpfs", folder, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k") == 0);
  must(chdir(folder) == 0 && syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 && chdir("/") == 0);
}

void leave_rights() {
  must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  must(setgroups(0, nullptr) == 0 && setresgid(kNobody, kNobody, kNobody) == 0 && setresuid(kNobody, kNobody, kNobody) == 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2]{};
  must(syscall(SYS_capset, &header, none) == 0);
}

}  // namespace

void hold_processes(const char* folder, char* arguments, size_t length) {
  leave_files(folder);
  leave_rights();
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);  // a change of user forgets it, so it comes after that
  prctl(PR_SET_NAME, "pause");
  memset(arguments, 0, length);
  strncpy(arguments, "/pause", length);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  for (int ignored;; sigwait(&child, &ignored))
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
}

}  // namespace k8lite::shim
