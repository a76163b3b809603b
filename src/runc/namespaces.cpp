// See namespaces.h.
#include "runc/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <unistd.h>

#include "runc/common.h"

namespace k8lite::runc {
namespace {

struct Kind {
  const char *type, *file;
  unsigned long flag;
};
constexpr Kind kKinds[] = {{"user", "user", CLONE_NEWUSER}, {"ipc", "ipc", CLONE_NEWIPC},
                           {"uts", "uts", CLONE_NEWUTS},    {"network", "net", CLONE_NEWNET},
                           {"pid", "pid", CLONE_NEWPID},    {"cgroup", "cgroup", CLONE_NEWCGROUP},
                           {"time", "time", kNewTime},      {"mount", "mnt", CLONE_NEWNS}};

}  // namespace

bool Namespaces::is_joined(unsigned long flag) const {
  for (const Joined& j : joined)
    if (j.flag == flag) return true;
  return false;
}
bool Namespaces::has(unsigned long flag) const { return (fresh & flag) || is_joined(flag); }

const char* namespace_name(unsigned long flag) {
  for (const Kind& k : kKinds)
    if (k.flag == flag) return k.file;
  return "";
}
std::vector<unsigned long> all_namespaces() {
  std::vector<unsigned long> out;
  for (const Kind& k : kKinds) out.push_back(k.flag);
  return out;
}

Namespaces read_namespaces(const Json& linux_part) {
  Namespaces out;
  for (const Json& n : linux_part["namespaces"].items()) {
    bool known = false;
    for (const Kind& k : kKinds) known |= n["type"].str() == k.type;
    if (!known) refuse("namespace type \"" + n["type"].str() + "\" is not known");
  }
  for (const Kind& k : kKinds) {
    int seen = 0;
    for (const Json& n : linux_part["namespaces"].items()) {
      if (n["type"].str() != k.type) continue;
      if (seen++) refuse("malformed spec file: duplicated ns \"" + n["type"].str() + "\"");
      const std::string& path = n["path"].str();
      if (path.empty()) {
        out.fresh |= k.flag;
        continue;
      }
      int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
      if (fd < 0) fail("namespace path \"" + path + "\"");
      out.joined.push_back({fd, k.flag, path});
    }
  }
  if ((out.fresh & CLONE_NEWUSER) &&
      (linux_part["uidMappings"].items().empty() || linux_part["gidMappings"].items().empty()))
    refuse("user namespaces enabled, but no uid or gid mappings found");
  if (!out.has(CLONE_NEWUSER) && !linux_part["uidMappings"].items().empty())
    refuse("user namespace mappings specified, but user namespace isn't enabled in the config");
  if (!linux_part["timeOffsets"].members().empty() && !(out.fresh & kNewTime))
    refuse("time namespace offsets specified, but time namespace isn't enabled in the config");
  return out;
}

void write_id_maps(pid_t pid, const Json& linux_part) {
  std::string proc = "/proc/" + std::to_string(pid);
  if (geteuid() != 0) write_whole(proc + "/setgroups", "deny");
  for (auto [name, file] : {std::pair("uidMappings", "/uid_map"), std::pair("gidMappings", "/gid_map")}) {
    std::string text;
    for (const Json& m : linux_part[name].items())
      text += m["containerID"].dump() + " " + m["hostID"].dump() + " " + m["size"].dump() + "\n";
    if (!write_whole(proc + file, text)) fail(std::string("failed to write ") + file);
  }
}

void join(const Namespaces::Joined& ns) {
  if (setns(ns.fd, static_cast<int>(ns.flag)) != 0)
    fail("failed to join namespace " + (ns.path.empty() ? namespace_name(ns.flag) : ns.path));
}

void become_root_of_user_namespace() {
  if (setresgid(0, 0, 0) != 0 && errno != EINVAL) fail("become root of the user namespace");
  if (setresuid(0, 0, 0) != 0 && errno != EINVAL) fail("become root of the user namespace");
  (void)!setgroups(0, nullptr);
}

}  // namespace k8lite::runc
