// `spec` and `features`: what a bundle may look like, and what this runtime can do (OCI runtime-spec 1.2, features).
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runc/common.h"
#include "runc/mount_options.h"
#include "runc/process.h"
#include "runc/seccomp.h"
#include "runc/verbs.h"

namespace k8lite::runc {
namespace {

Json list_of(const std::vector<std::string>& words) {
  Json out = Json::array();
  for (const auto& w : words) out.append(w);
  return out;
}
Json enabled(bool yes) { return Json::object().set("enabled", yes); }

constexpr char kSpec[] = R"({"ociVersion":"1.2.0","process":{"terminal":true,"user":{"uid":0,"gid":0},"args":["sh"],
"env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","TERM=xterm"],"cwd":"/",
"capabilities":{"bounding":["CAP_AUDIT_WRITE","CAP_KILL","CAP_NET_BIND_SERVICE"],"effective":["CAP_AUDIT_WRITE","CAP_KILL","CAP_NET_BIND_SERVICE"],
"permitted":["CAP_AUDIT_WRITE","CAP_KILL","CAP_NET_BIND_SERVICE"]},"rlimits":[{"type":"RLIMIT_NOFILE","hard":1024,"soft":1024}],"noNewPrivileges":true},
"root":{"path":"rootfs","readonly":true},"hostname":"runc","mounts":[
{"destination":"/proc","type":"proc","source":"proc"},
{"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["nosuid","strictatime","mode=755","size=65536k"]},
{"destination":"/dev/pts","type":"devpts","source":"devpts","options":["nosuid","noexec","newinstance","ptmxmode=0666","mode=0620"@GID]},
{"destination":"/dev/shm","type":"tmpfs","source":"shm","options":["nosuid","noexec","nodev","mode=1777","size=65536k"]},
{"destination":"/dev/mqueue","type":"mqueue","source":"mqueue","options":["nosuid","noexec","nodev"]},
@SYS,
{"destination":"/sys/fs/cgroup","type":"cgroup","source":"cgroup","options":["nosuid","noexec","nodev","relatime","ro"]}],
"linux":{@MAPS"resources":{"devices":[{"allow":false,"access":"rwm"}]},"namespaces":[{"type":"pid"},@NET{"type":"ipc"},{"type":"uts"},{"type":"mount"}@CGROUP],
"maskedPaths":["/proc/acpi","/proc/asound","/proc/kcore","/proc/keys","/proc/latency_stats","/proc/timer_list","/proc/timer_stats","/proc/sched_debug","/sys/firmware","/proc/scsi"],
"readonlyPaths":["/proc/bus","/proc/fs","/proc/irq","/proc/sys","/proc/sysrq-trigger"]}})";

void put(std::string& text, const std::string& mark, const std::string& value) {
  size_t at = text.find(mark);
  text.replace(at, mark.size(), value);
}

}  // namespace

int verb_spec(const Options& o) {
  std::string path = o.get("bundle", ".") + "/config.json", text = kSpec;
  if (exists(path)) refuse("File config.json exists. Remove it first");
  bool rootless = o.has("rootless");
  put(text, "@GID", rootless ? "" : ",\"gid=5\"");
  put(text, "@SYS",
      rootless
          ? R"({"destination":"/sys","type":"none","source":"/sys","options":["rbind","nosuid","noexec","nodev","ro"]})"
          : R"({"destination":"/sys","type":"sysfs","source":"sysfs","options":["nosuid","noexec","nodev","ro"]})");
  put(text, "@NET", rootless ? R"({"type":"user"},)" : R"({"type":"network"},)");
  put(text, "@CGROUP", exists("/sys/fs/cgroup/cgroup.controllers") ? R"(,{"type":"cgroup"})" : "");
  std::string ids = "[{\"containerID\":0,\"hostID\":";
  put(text, "@MAPS",
      rootless ? "\"uidMappings\":" + ids + std::to_string(geteuid()) + ",\"size\":1}],\"gidMappings\":" + ids +
                     std::to_string(getegid()) + ",\"size\":1}],"
               : "");
  Json spec;
  if (std::string wrong = Json::parse(text, spec); !wrong.empty()) refuse("the new spec: " + wrong);
  replace_file(path, spec.dump(true) + "\n", 0666 & ~umask(022));
  return 0;
}

int verb_features(const Options&) {
  Json out = Json::object(), linux_part = Json::object(), cgroup = Json::object(), seccomp = Json::object(),
       annotations = Json::object();
  cgroup.set("v1", true).set("v2", true).set("systemd", true).set("systemdUser", true).set("rdma", true);
  seccomp.set("enabled", true)
      .set("actions", list_of(seccomp_actions()))
      .set("operators", list_of(seccomp_operators()))
      .set("archs", list_of(seccomp_architectures()));
  seccomp.set("knownFlags", list_of(seccomp_flag_names())).set("supportedFlags", list_of(seccomp_flag_names()));
  linux_part.set("namespaces", list_of({"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"}))
      .set("capabilities", list_of(capability_names()))
      .set("cgroup", cgroup)
      .set("seccomp", seccomp);
  linux_part.set("apparmor", enabled(true)).set("selinux", enabled(true)).set("intelRdt", enabled(false));
  linux_part.set("mountExtensions", Json::object().set("idmap", enabled(true)));
  out.set("ociVersionMin", "1.0.0").set("ociVersionMax", "1.2.0");
  out.set("hooks", list_of({"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}))
      .set("mountOptions", list_of(known_mount_options()));
  out.set("linux", linux_part).set("potentiallyUnsafeConfigAnnotations", Json::array());
  puts(out.dump(true).c_str());
  return 0;
}

}  // namespace k8lite::runc
