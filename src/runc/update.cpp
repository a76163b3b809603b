// `update`: new limits for a container, from flags or a file of `linux.resources`.
#include <stdlib.h>
#include <unistd.h>

#include "runc/cgroups.h"
#include "runc/common.h"
#include "runc/state.h"
#include "runc/systemd.h"
#include "runc/verbs.h"

namespace k8lite::runc {
namespace {

// "64m" and the like; a plain number is bytes.
int64_t bytes_of(const std::string& text, const std::string& flag) {
  char* end = nullptr;
  double n = strtod(text.c_str(), &end);
  static constexpr const char kUnits[] = "bkmgt";
  std::string rest = end;
  for (char& c : rest) c = static_cast<char>(c | 32);
  if (rest == "b" || rest == "kb" || rest == "mb" || rest == "gb" || rest == "tb" || rest == "k" || rest == "m" ||
      rest == "g" || rest == "t") {
    for (const char* u = kUnits; *u != rest[0]; ++u) n *= 1024;
  } else if (text.empty() || !rest.empty()) {
    refuse("invalid value for " + flag + ": " + text);
  }
  return static_cast<int64_t>(n);
}

struct Flag {
  const char *name, *part, *key;
  bool bytes;
};
constexpr Flag kFlags[] = {{"blkio-weight", "blockIO", "weight", false},
                           {"cpu-period", "cpu", "period", false},
                           {"cpu-quota", "cpu", "quota", false},
                           {"cpu-burst", "cpu", "burst", false},
                           {"cpu-share", "cpu", "shares", false},
                           {"cpu-rt-period", "cpu", "realtimePeriod", false},
                           {"cpu-rt-runtime", "cpu", "realtimeRuntime", false},
                           {"cpu-idle", "cpu", "idle", false},
                           {"memory", "memory", "limit", true},
                           {"memory-reservation", "memory", "reservation", true},
                           {"memory-swap", "memory", "swap", true},
                           {"kernel-memory-tcp", "memory", "kernelTCP", true},
                           {"pids-limit", "pids", "limit", false}};

Json resources_of(const Options& o) {
  Json r = Json::object();
  if (o.has("resources")) {
    std::string path = o.get("resources");
    bool found = false;
    std::string text = path == "-" ? read_fd(0) : read_whole(path, &found);
    if (path != "-" && !found) fail("open " + path);
    if (std::string wrong = Json::parse(text, r); !wrong.empty()) refuse(path + ": " + wrong);
    return r;
  }
  for (const Flag& f : kFlags) {
    if (!o.find(f.name)) continue;
    Json part = r[f.part];
    part.set(f.key, f.bytes ? bytes_of(o.get(f.name), f.name) : o.number(f.name, 0));
    r.set(f.part, part);
  }
  for (const char* what : {"cpus", "mems"})
    if (const std::string* list = o.find(std::string("cpuset-") + what)) {
      Json cpu = r["cpu"];
      r.set("cpu", cpu.set(what, *list));
    }
  return r;
}

// A file's missing members keep what is there; the spec that `exec` and hooks see follows.
Json merged(const Json& old, const Json& with) {
  if (!old.is_object() || !with.is_object()) return with;
  Json out = old;
  for (const auto& m : with.members()) out.set(m.first, merged(old[m.first], m.second));
  return out;
}

}  // namespace

int verb_update(const Options& o) {
  if (o.args.empty()) refuse("the container's id is required");
  Container c = load(o.args[0]);
  if (c.status == "stopped") refuse("container not running");
  for (const char* flag : {"l3-cache-schema", "mem-bw-schema"})
    if (o.has(flag)) refuse(std::string("--") + flag + ": Intel RDT is not supported");
  Json wanted = resources_of(o), old = c.spec["linux"]["resources"];
  // Quota and period belong together: the kernel sets both at once in its second version.
  if (const Json& cpu = wanted["cpu"]; cpu["quota"].exists() != cpu["period"].exists()) {
    Json both = cpu;
    for (const char* key : {"quota", "period"})
      if (!cpu[key].exists() && old["cpu"][key].exists()) both.set(key, old["cpu"][key]);
    wanted.set("cpu", both);
  }
  if (const Json& memory = wanted["memory"];
      memory["swap"].exists() && !memory["limit"].exists() && old["memory"]["limit"].exists()) {
    Json both = memory;
    wanted.set("memory", both.set("limit", old["memory"]["limit"]));
  }
  Json plain = wanted;
  if (Cgroups cgroups = c.cgroups(); !cgroups.unit().empty()) update_unit(cgroups.unit(), plain, cgroups.v2());
  c.cgroups().apply(plain, wanted["devices"].is_array());
  Json linux_part = c.spec["linux"];
  linux_part.set("resources", merged(old, wanted));
  c.spec.set("linux", linux_part);
  replace_file(c.folder + "/config.json", c.spec.dump(), 0600);
  return 0;
}

}  // namespace k8lite::runc
