// The small executable that k8lite carries: the OCI runtime when it is called runc, else the shim of a pod.
#include <string.h>

#include "runc/runc.h"
#include "shim/shim.h"

int main(int argc, char** argv) {
  if (argc > 0 && strcmp(argv[0], "runc") == 0) return k8lite::runc::run(argc, argv);
  return k8lite::shim::run_shim(argc, argv);
}
