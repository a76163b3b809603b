// See runc.h. Container engines call a runtime several times a container, so this happens before any constructor of the
// big executable runs (.preinit_array): what those would set up costs more than what the runtime does.
#include "app/runc.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cstdio>
#include <cstring>

#include "runtime/small_executable.h"

namespace k8lite::app {

int run_runc(int, char** argv) {
  int fd = runtime::open_small_executable(true);
  if (fd >= 0) {
    static char name[] = "runc";
    argv[0] = name;
    syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
  }
  std::perror("k8lite runc");
  return 1;
}

}  // namespace k8lite::app

namespace {

void dispatch_early(int argc, char** argv, char**) {
  if (argc < 1) return;
  const char* slash = std::strrchr(argv[0], '/');
  const char* self = slash ? slash + 1 : argv[0];
  if (std::strcmp(self, "runc") == 0) _exit(k8lite::app::run_runc(argc, argv));
  if (std::strcmp(self, "k8lite") == 0 && argc > 1 && std::strcmp(argv[1], "runc") == 0)
    _exit(k8lite::app::run_runc(argc - 1, argv + 1));
}

[[gnu::used, gnu::section(".preinit_array")]] void (*const kEarly)(int, char**, char**) = dispatch_early;

}  // namespace
