// See mount_options.h.
#include "runc/mount_options.h"

#include <sys/mount.h>

#include "runc/common.h"

namespace k8lite::runc {
namespace {

// A recursive attribute is spelled like the flag with an "r" in front; the kernel wants it by mount_setattr(2).
enum : uint64_t {
  kRdonly = 1,
  kNosuid = 2,
  kNodev = 4,
  kNoexec = 8,
  kNoatime = 0x10,
  kStrictatime = 0x20,
  kAtimeMask = 0x70,
  kNodiratime = 0x80,
  kNosymfollow = 0x200000
};
constexpr unsigned long kMsNosymfollow = 256;
enum Kind : uint8_t { Set, Clear, Propagation, RecursiveSet, RecursiveClear, Atime, CopyUp, Idmap, Ridmap };
struct Word {
  const char* name;
  Kind kind;
  uint64_t value;
};
constexpr Word kWords[] = {{"acl", Set, MS_POSIXACL},
                           {"async", Clear, MS_SYNCHRONOUS},
                           {"atime", Clear, MS_NOATIME},
                           {"bind", Set, MS_BIND},
                           {"defaults", Set, 0},
                           {"dev", Clear, MS_NODEV},
                           {"diratime", Clear, MS_NODIRATIME},
                           {"dirsync", Set, MS_DIRSYNC},
                           {"exec", Clear, MS_NOEXEC},
                           {"iversion", Set, MS_I_VERSION},
                           {"lazytime", Set, MS_LAZYTIME},
                           {"loud", Clear, MS_SILENT},
                           {"mand", Set, MS_MANDLOCK},
                           {"noacl", Clear, MS_POSIXACL},
                           {"noatime", Set, MS_NOATIME},
                           {"nodev", Set, MS_NODEV},
                           {"nodiratime", Set, MS_NODIRATIME},
                           {"noexec", Set, MS_NOEXEC},
                           {"noiversion", Clear, MS_I_VERSION},
                           {"nolazytime", Clear, MS_LAZYTIME},
                           {"nomand", Clear, MS_MANDLOCK},
                           {"norelatime", Clear, MS_RELATIME},
                           {"nostrictatime", Clear, MS_STRICTATIME},
                           {"nosuid", Set, MS_NOSUID},
                           {"nosymfollow", Set, kMsNosymfollow},
                           {"rbind", Set, MS_BIND | MS_REC},
                           {"relatime", Set, MS_RELATIME},
                           {"remount", Set, MS_REMOUNT},
                           {"ro", Set, MS_RDONLY},
                           {"rw", Clear, MS_RDONLY},
                           {"silent", Set, MS_SILENT},
                           {"strictatime", Set, MS_STRICTATIME},
                           {"suid", Clear, MS_NOSUID},
                           {"symfollow", Clear, kMsNosymfollow},
                           {"sync", Set, MS_SYNCHRONOUS},
                           {"private", Propagation, MS_PRIVATE},
                           {"rprivate", Propagation, MS_PRIVATE | MS_REC},
                           {"shared", Propagation, MS_SHARED},
                           {"rshared", Propagation, MS_SHARED | MS_REC},
                           {"slave", Propagation, MS_SLAVE},
                           {"rslave", Propagation, MS_SLAVE | MS_REC},
                           {"unbindable", Propagation, MS_UNBINDABLE},
                           {"runbindable", Propagation, MS_UNBINDABLE | MS_REC},
                           {"rro", RecursiveSet, kRdonly},
                           {"rrw", RecursiveClear, kRdonly},
                           {"rnosuid", RecursiveSet, kNosuid},
                           {"rsuid", RecursiveClear, kNosuid},
                           {"rnodev", RecursiveSet, kNodev},
                           {"rdev", RecursiveClear, kNodev},
                           {"rnoexec", RecursiveSet, kNoexec},
                           {"rexec", RecursiveClear, kNoexec},
                           {"rnodiratime", RecursiveSet, kNodiratime},
                           {"rdiratime", RecursiveClear, kNodiratime},
                           {"rrelatime", Atime, 0},
                           {"rnorelatime", Atime, 0},
                           {"rnoatime", Atime, kNoatime},
                           {"ratime", Atime, 0},
                           {"rstrictatime", Atime, kStrictatime},
                           {"rnostrictatime", Atime, 0},
                           {"rnosymfollow", RecursiveSet, kNosymfollow},
                           {"rsymfollow", RecursiveClear, kNosymfollow},
                           {"tmpcopyup", CopyUp, 0},
                           {"idmap", Idmap, 0},
                           {"ridmap", Ridmap, 0}};

void apply(MountOptions& o, const Word& w) {
  switch (w.kind) {
    case Set:
      o.flags |= w.value, o.cleared &= ~w.value;
      return;
    case Clear:
      o.flags &= ~w.value, o.cleared |= w.value;
      return;
    case Propagation:
      o.propagations.push_back(w.value);
      return;
    case RecursiveSet:
      o.recursive_set |= w.value, o.recursive_clear &= ~w.value;
      return;
    case RecursiveClear:
      o.recursive_clear |= w.value, o.recursive_set &= ~w.value;
      return;
    case Atime:
      o.recursive_clear |= kAtimeMask, o.recursive_set = (o.recursive_set & ~uint64_t{kAtimeMask}) | w.value;
      return;
    case CopyUp:
      o.copy_up = true;
      return;
    case Ridmap:
      o.idmap_recursive = true;
      [[fallthrough]];
    case Idmap:
      o.idmap = true;
  }
}
}  // namespace

MountOptions parse_mount_options(const std::vector<std::string>& options) {
  MountOptions o;
  for (const auto& text : options) {
    const Word* known = nullptr;
    for (const Word& w : kWords)
      if (text == w.name) known = &w;
    if (known)
      apply(o, *known);
    else if (!text.empty())
      o.data += (o.data.empty() ? "" : ",") + text;
  }
  return o;
}

bool parse_propagation(const std::string& word, unsigned long& flags) {
  for (const Word& w : kWords)
    if (w.kind == Propagation && word == w.name) return flags = w.value, true;
  return false;
}

std::vector<std::string> known_mount_options() {
  std::vector<std::string> out;
  for (const Word& w : kWords) out.emplace_back(w.name);
  return out;
}

std::string clean_path(const std::string& path) {
  std::string out;
  for (const auto& part : split(path, '/'))
    if (part != ".") out += "/" + part;
  return out.empty() ? "/" : out;
}

bool may_mount_below_proc(const std::string& target, const std::string& type, bool source_is_proc) {
  std::string path = clean_path(target);
  if (path == "/proc")
    return type == "proc" || (type == "bind" && source_is_proc) || type == "tmpfs" || type == "procfs";
  if (!starts_with(path, "/proc/")) return true;
  static constexpr const char* kFine[] = {"cpuinfo",
                                          "diskstats",
                                          "meminfo",
                                          "stat",
                                          "swaps",
                                          "uptime",
                                          "loadavg",
                                          "slabinfo",
                                          "sys/kernel/ns_last_pid",
                                          "sys/crypto/fips_enabled",
                                          "net/dev",
                                          "acpi",
                                          "asound",
                                          "kcore",
                                          "keys",
                                          "latency_stats",
                                          "timer_list",
                                          "scsi",
                                          "sched_debug"};
  for (const char* name : kFine)
    if (path == std::string("/proc/") + name) return true;
  return starts_with(path, "/proc/sys/") || source_is_proc;
}

}  // namespace k8lite::runc
