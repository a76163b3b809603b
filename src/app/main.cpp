// Dispatch only: the first argument names the face of the executable. Faces that are not built yet say so and exit 1, so that no
// caller takes silence for success.
#include <malloc.h>
#include <cstdio>
#include <string_view>

#include "app/runc.h"
#include "app/server.h"
#include "image/unpacker.h"
#include "kubectl/kubectl.h"

namespace {

struct Face {
  std::string_view name, summary;
  int (*run)(int argc, char** argv);  // null: not in this build
};

int version(int, char**) {
  std::printf("k8lite version %s (Kubernetes API v1.36)\n", K8LITE_VERSION);
  return 0;
}

constexpr Face kFaces[] = {
    {"version", "print the version", version},
    {"server", "run a cluster: API server, controllers, scheduler and a node", k8lite::app::run_server},
    {"agent", "run a node that joins a server", k8lite::app::run_agent},
    {"kubectl", "drive a cluster", k8lite::kubectl::run_kubectl},
    {"runc", "run containers from OCI bundles, with the command line of runc", k8lite::app::run_runc},
    {"ctr", "images of this node", k8lite::app::run_ctr},
    {"crictl", "look at this node's images, pods and containers", k8lite::app::run_crictl},
    {"token", "print the token with which nodes join", k8lite::app::run_token},
    {"killall", "end every pod of this machine and remove what the node made", k8lite::app::run_killall},
    {k8lite::image::kUnpackCommand, "", k8lite::image::run_unpacker},  // a child of ours
};

void usage(FILE* out) {
  std::fputs("usage: k8lite COMMAND [flags]\n\nCommands:\n", out);
  for (const Face& f : kFaces)
    if (!f.summary.empty()) std::fprintf(out, "  %-10.*s %.*s%s\n", static_cast<int>(f.name.size()), f.name.data(), static_cast<int>(f.summary.size()),
                 f.summary.data(), f.run ? "" : " (not in this build)");
}

}  // namespace

int main(int argc, char** argv) {
  mallopt(M_ARENA_MAX, 1);
  // As a symlink named after a face (kubectl), the executable is that face.
  std::string_view self = argc > 0 ? argv[0] : "";
  self = self.substr(self.rfind('/') + 1);
  for (const Face& f : kFaces)
    if (f.name == self && f.run) return f.run(argc, argv);
  std::string_view name = argc > 1 ? argv[1] : "";
  if (name == "--version" || name == "-v") name = "version";
  if (name.empty() || name == "help" || name == "--help" || name == "-h") {
    usage(name.empty() ? stderr : stdout);
    return name.empty() ? 1 : 0;
  }
  for (const Face& f : kFaces) {
    if (f.name != name) continue;
    if (f.run) return f.run(argc - 1, argv + 1);
    std::fprintf(stderr, "k8lite: the command \"%s\" is not in this build\n", argv[1]);
    return 1;
  }
  std::fprintf(stderr, "k8lite: unknown command \"%s\"; see k8lite --help\n", argv[1]);
  return 1;
}
