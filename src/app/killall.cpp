// `k8lite killall`: ends every pod of this machine and removes what a node made: shims, mounts, links, iptables rules, cgroups. The
// data directory stays. For k8lite-killall.sh, and for a machine that is to be clean again.
#include <dirent.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdio>

#include "app/server.h"
#include "base/strings.h"
#include "cni/cni.h"
#include "os/files.h"
#include "proxy/proxy.h"
#include "runtime/cgroups.h"

namespace k8lite::app {
namespace {

// Shims of this machine's pods: those whose state folder (their first argument) lies below ours.
std::vector<pid_t> shims(const std::string& run_dir) {
  std::vector<pid_t> out;
  for (const auto& name : os::list_dir("/proc")) {
    auto pid = parse_int(name);
    if (!pid) continue;
    auto command = os::read_file("/proc/" + name + "/cmdline");
    if (!command.ok() || !command->starts_with("k8lite-shim")) continue;
    auto args = split(*command, '\0');
    if (args.size() > 1 && args[1].starts_with(run_dir)) out.push_back(static_cast<pid_t>(*pid));
  }
  return out;
}

void kill_children(pid_t parent) {
  for (const auto& name : os::list_dir("/proc")) {
    auto pid = parse_int(name);
    auto stat = pid ? os::read_file("/proc/" + name + "/stat") : Result<std::string>(not_found(name));
    if (!stat.ok()) continue;
    size_t close = stat->rfind(')');
    auto fields = split(std::string_view(*stat).substr(close == stat->npos ? 0 : close + 2), ' ');
    if (fields.size() > 1 && parse_int(fields[1]).value_or(0) == parent) kill(static_cast<pid_t>(*pid), SIGKILL);
  }
}

void unmount_below(const std::string& folder) {
  auto mounts = os::read_file("/proc/self/mounts");
  if (!mounts.ok()) return;
  auto lines = split(*mounts, '\n');
  for (auto it = lines.rbegin(); it != lines.rend(); ++it) {
    auto f = split(*it, ' ');
    if (f.size() > 1 && f[1].starts_with(folder + "/")) umount2(std::string(f[1]).c_str(), MNT_DETACH);
  }
}

}  // namespace

int run_killall(int argc, char** argv) {
  std::string data_dir = "/var/lib/k8lite";
  for (int i = 1; i < argc; ++i) {
    std::string a = argv[i];
    if (a == "--data-dir" && i + 1 < argc) data_dir = argv[++i];
    else if (a.starts_with("--data-dir=")) data_dir = a.substr(11);
    else return std::fputs("usage: k8lite killall [--data-dir DIR]   end every pod of this machine and remove mounts, links, rules and cgroups of its node\n", a == "--help" ? stdout : stderr), a == "--help" ? 0 : 1;
  }
  for (pid_t pid : shims("/run/k8lite/")) {
    kill_children(pid);
    kill(pid, SIGKILL);
  }
  unmount_below(data_dir);
  unmount_below("/run/k8lite");
  (void)os::remove_tree("/run/k8lite");
  cni::remove_links();
  proxy::remove_rules();
  if (auto r = runtime::Cgroups().remove("kubepods"); !r.ok()) {
    std::fprintf(stderr, "k8lite killall: %s\n", r.status().message().c_str());
    return 1;
  }
  return 0;
}

}  // namespace k8lite::app
