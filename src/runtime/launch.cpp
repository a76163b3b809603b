#include "runtime/launch.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>

#include "base/strings.h"

namespace k8lite::runtime {
namespace {

using shim::Step;
using shim::Writer;

constexpr std::string_view kCapabilities[] = {
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE",
    "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN",
    "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE",
    "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"};
constexpr std::string_view kDefault[] = {"CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"};
constexpr size_t kMountOptions = 4000;  // a page, but for the words around the folders
constexpr uint64_t kAll = (uint64_t{1} << std::size(kCapabilities)) - 1;

constexpr std::string_view kMasked[] = {"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"};
constexpr std::string_view kReadOnly[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};

struct Device {
  std::string_view name;
  unsigned major, minor;
};
constexpr Device kDevices[] = {{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};

uint64_t bit_of(std::string_view name) {
  if (name.starts_with("CAP_")) name.remove_prefix(4);
  for (size_t i = 0; i < std::size(kCapabilities); ++i)
    if (kCapabilities[i] == name) return uint64_t{1} << i;
  return 0;
}

struct Steps {
  Writer w;
  uint64_t count = 0;
  Writer& add(Step step) {
    ++count;
    return w.byte(static_cast<uint8_t>(step));
  }
  void mount_in(std::string_view source, std::string_view target, std::string_view type, unsigned long flags, std::string_view data, bool file = false) {
    add(Step::MountIn).text(source).text(target).text(type).number(flags).text(data).byte(file);
  }
};

void root_file_system(const ContainerSpec& s, Steps& steps) {
  std::string lower, relative;
  // mount(2) takes a page of options, a hundred of the store's links: of more layers than that only the names are given.
  std::string parent = s.layers.empty() ? "" : s.layers[0].substr(0, s.layers[0].rfind('/') + 1);
  bool together = !parent.empty();
  for (const auto& layer : s.layers) {
    lower += (lower.empty() ? "" : ":") + layer;
    together = together && layer.starts_with(parent) && layer.rfind('/') + 1 == parent.size();
    if (together) relative += (relative.empty() ? "" : ":") + layer.substr(parent.size());
  }
  if (together && lower.size() + 2 * s.folder.size() > kMountOptions) {
    steps.add(Step::Enter).text(parent);
    lower = relative;
  }
  for (const char* name : {"", "/rootfs", "/upper", "/work"}) steps.add(Step::MakeDir).text(s.folder + name).number(0755);
  std::string data = "lowerdir=" + lower + ",upperdir=" + s.folder + "/upper,workdir=" + s.folder + "/work";
  steps.add(Step::Mount).text("overlay").text(s.folder + "/rootfs").text("overlay").number(0).text(data);
}

void devices(const ContainerSpec& s, Steps& steps) {
  if (s.privileged) {
    steps.mount_in("/dev", "/dev", "", MS_BIND | MS_REC, "");
  } else {
    steps.mount_in("tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k");
    for (const Device& d : kDevices) steps.add(Step::MakeNode).text("/dev/" + std::string(d.name)).number(S_IFCHR | 0666).number(makedev(d.major, d.minor));
    steps.mount_in("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5");
    steps.add(Step::Link).text("/dev/ptmx").text("pts/ptmx");
    steps.add(Step::Link).text("/dev/fd").text("/proc/self/fd");
    steps.add(Step::Link).text("/dev/stdin").text("/proc/self/fd/0");
    steps.add(Step::Link).text("/dev/stdout").text("/proc/self/fd/1");
    steps.add(Step::Link).text("/dev/stderr").text("/proc/self/fd/2");
    steps.add(Step::Link).text("/dev/core").text("/proc/kcore");
    steps.mount_in("mqueue", "/dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, "");
  }
  bool own_shm = std::any_of(s.mounts.begin(), s.mounts.end(), [](const BindMount& m) { return m.target == "/dev/shm"; });
  if (!own_shm) steps.mount_in("shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=" + std::to_string(s.shm_bytes));
}

// The container's own cgroup as the root of what it sees: its init has a cgroup namespace. Read-only unless privileged.
void cgroup_file_systems(const ContainerSpec& s, Steps& steps) {
  unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | (s.privileged ? 0 : MS_RDONLY);
  const std::string root = "/sys/fs/cgroup";
  if (s.cgroup_hierarchies.empty()) return steps.mount_in("cgroup", root, "cgroup2", flags, "");
  steps.mount_in("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755");
  for (const auto& options : s.cgroup_hierarchies) {
    steps.mount_in("cgroup", root + "/" + options, "cgroup", flags, options);
    if (options.find(',') == std::string::npos) continue;
    for (const auto& name : split_strings(options, ',')) steps.add(Step::Link).text(root + "/" + name).text(options);
  }
  if (!s.privileged) steps.add(Step::Remount).text(root).number(flags);
}

void kernel_file_systems(const ContainerSpec& s, Steps& steps) {
  if (s.host_pid) steps.mount_in("/proc", "/proc", "", MS_BIND | MS_REC, "");
  else steps.mount_in("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "");
  unsigned long sys = MS_NOSUID | MS_NODEV | MS_NOEXEC | (s.privileged ? 0 : MS_RDONLY);
  steps.mount_in("sysfs", "/sys", "sysfs", sys, "");  // a fresh one shows the pod's own network
  cgroup_file_systems(s, steps);
}

}  // namespace

uint64_t default_capabilities() {
  uint64_t mask = 0;
  for (auto name : kDefault) mask |= bit_of(name);
  return mask;
}

uint64_t capability_mask(const std::vector<std::string>& add, const std::vector<std::string>& drop, bool privileged) {
  if (privileged) return kAll;
  uint64_t mask = default_capabilities();
  auto has_all = [](const std::vector<std::string>& list) { return std::find(list.begin(), list.end(), "ALL") != list.end(); };
  if (has_all(add)) mask = kAll;
  if (has_all(drop)) mask = 0;
  if (has_all(add) && has_all(drop)) mask = 0;
  for (const auto& name : drop) mask &= ~bit_of(name);
  for (const auto& name : add) mask |= bit_of(name);
  return mask;
}

shim::Plan plan_container(const ContainerSpec& s) {
  Steps steps;
  auto whole_source = [](const BindMount& m) { return m.sub.empty() ? m.source : m.source + std::string(1, '\0') + m.sub; };
  std::vector<BindMount> mounts = s.mounts;
  // A mount below another one must come after it.
  std::stable_sort(mounts.begin(), mounts.end(), [](const BindMount& a, const BindMount& b) {
    return std::count(a.target.begin(), a.target.end(), '/') < std::count(b.target.begin(), b.target.end(), '/');
  });
  for (const BindMount& m : mounts)
    if (m.propagation & MS_SHARED) steps.add(Step::Share).text(whole_source(m));
  root_file_system(s, steps);
  kernel_file_systems(s, steps);
  devices(s, steps);
  for (const BindMount& m : mounts)
    steps.mount_in(whole_source(m), m.target, "", MS_BIND | (m.recursive ? MS_REC : 0) | (m.read_only ? MS_RDONLY : 0) | (m.read_only_below ? shim::kReadOnlyBelow : 0) | m.propagation, "", m.file);
  if (!s.privileged && !s.unmasked_proc && !s.host_pid) {
    for (auto path : kMasked) steps.add(Step::Mask).text(path);
    for (auto path : kReadOnly) steps.add(Step::ReadOnly).text(path);
  }
  shim::Plan plan;
  plan.rootfs = s.folder + "/rootfs";
  plan.steps = std::move(steps.w.out);
  plan.step_count = steps.count;
  plan.read_only = s.read_only_root;
  plan.host_pid = s.host_pid;
  plan.processes_of = s.processes_of;
  plan.stdin_open = s.stdin_open;
  plan.stdin_once = s.stdin_once;
  plan.log_path = s.log_path;
  plan.oom_file = s.oom_file;
  shim::Process& p = plan.process;
  p.args = s.args;
  p.env = s.env;
  p.cwd = s.cwd.empty() ? "/" : s.cwd;
  p.uid = s.uid;
  p.gid = s.gid;
  for (uint64_t g : s.groups) p.groups.push_back(std::to_string(g));
  p.capabilities = capability_mask(s.add_capabilities, s.drop_capabilities, s.privileged);
  p.no_new_privileges = s.no_new_privileges;
  p.tty = s.tty;
  p.oom_score_adj = s.oom_score_adj;
  p.cgroup_procs = s.cgroup_procs;
  return plan;
}

}  // namespace k8lite::runtime
