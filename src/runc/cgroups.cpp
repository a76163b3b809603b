// See cgroups.h.
#include "runc/cgroups.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "runc/common.h"
#include "runc/devices.h"
#include "runc/systemd.h"

namespace k8lite::runc {
namespace {
constexpr char kRoot[] = "/sys/fs/cgroup";
constexpr long kCgroup2Magic = 0x63677270;

void pause_ms(int ms) {
  timespec t{ms / 1000, (ms % 1000) * 1000000L};
  nanosleep(&t, nullptr);
}

// "hierarchy's controllers" and the caller's own path in it, from /proc/self/cgroup.
struct Own {
  std::string controllers, mount, path;
};
std::vector<Own> own_cgroups(bool& v2) {
  struct statfs st {};
  v2 = statfs(kRoot, &st) == 0 && static_cast<long>(st.f_type) == kCgroup2Magic;
  std::vector<Own> out;
  for (const auto& line : split(read_whole("/proc/self/cgroup"), '\n')) {
    size_t one = line.find(':'), two = line.find(':', one + 1);
    if (one == std::string::npos || two == std::string::npos) continue;
    Own own{line.substr(one + 1, two - one - 1), "", line.substr(two + 1)};
    if (starts_with(own.controllers, "name="))
      own.mount = std::string(kRoot) + "/" + own.controllers.substr(5);
    else if (own.controllers.empty())
      own.mount = v2 ? kRoot : std::string(kRoot) + "/unified";
    else
      own.mount = std::string(kRoot) + "/" + own.controllers;
    if (v2 && !own.controllers.empty()) continue;
    if (!exists(own.mount + "/cgroup.procs")) {
      auto names = split(own.controllers, ',');
      if (names.empty()) continue;
      own.mount = std::string(kRoot) + "/" + names[0];
      if (!exists(own.mount + "/cgroup.procs")) continue;
    }
    // Inside of a container without a cgroup namespace the path is the host's, which is not to be seen here.
    if (!exists(own.mount + own.path)) own.path = "/";
    out.push_back(std::move(own));
  }
  return out;
}

std::string join_path(const std::string& a, const std::string& b) {
  std::string out = a;
  while (!out.empty() && out.back() == '/') out.pop_back();
  for (const auto& part : split(b, '/'))
    if (part != "." && part != "..") out += "/" + part;
  return out;
}

// Where the service manager's own tree begins in a hierarchy: "/" but in a container of its own.
std::string manager_path(const std::string& controllers) {
  for (const auto& line : split(read_whole("/proc/1/cgroup"), '\n')) {
    size_t one = line.find(':'), two = line.find(':', one + 1);
    if (two == std::string::npos || line.compare(one + 1, two - one - 1, controllers) != 0) continue;
    std::string path = line.substr(two + 1);
    constexpr std::string_view kScope = "/init.scope";
    if (path.size() >= kScope.size() && path.compare(path.size() - kScope.size(), kScope.size(), kScope) == 0)
      path.resize(path.size() - kScope.size());
    return path;
  }
  return "/";
}

bool has_controller(const std::string& list, std::string_view name) {
  for (const auto& c : split(list, ','))
    if (c == name) return true;
  return false;
}

// A new cpuset has no processors and takes no process: it gets its parent's.
void inherit_cpuset(const std::string& folder, const std::string& top) {
  if (folder.size() <= top.size()) return;
  for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
    if (read_whole(folder + file).size() > 1) continue;
    inherit_cpuset(parent_of(folder), top);
    write_whole(folder + file, read_whole(parent_of(folder) + file));
  }
}

void enable_controllers(const std::string& folder) {
  std::string at = kRoot;
  for (const auto& part : split(folder.substr(at.size()), '/')) {
    for (const auto& c : split(read_whole(at + "/cgroup.controllers"), ' ')) {
      std::string name = c;
      while (!name.empty() && name.back() == '\n') name.pop_back();
      if (!name.empty()) write_whole(at + "/cgroup.subtree_control", "+" + name);
    }
    at += "/" + part;
  }
}

void collect(const std::string& folder, std::vector<pid_t>& out) {
  for (const auto& line : split(read_whole(folder + "/cgroup.procs"), '\n'))
    out.push_back(static_cast<pid_t>(strtol(line.c_str(), nullptr, 10)));
  for (const auto& name : list_dir(folder)) {
    struct stat st;
    if (stat((folder + "/" + name).c_str(), &st) == 0 && S_ISDIR(st.st_mode)) collect(folder + "/" + name, out);
  }
}

// `patience` is shared by all folders: a process that does not die (frozen by others) is in each of them.
bool remove_folder(const std::string& folder, int& patience) {
  if (rmdir(folder.c_str()) == 0 || errno == ENOENT) return true;
  for (const auto& name : list_dir(folder)) {
    struct stat st;
    if (stat((folder + "/" + name).c_str(), &st) == 0 && S_ISDIR(st.st_mode))
      remove_folder(folder + "/" + name, patience);
  }
  for (int attempt = 0;; ++attempt) {
    if (rmdir(folder.c_str()) == 0 || errno == ENOENT) return true;
    if (errno != EBUSY || --patience < 0) return false;
    std::vector<pid_t> left;
    collect(folder, left);
    for (pid_t pid : left)
      if (pid > 1) kill(pid, SIGKILL);
    pause_ms(attempt < 10 ? 1 : 20);
  }
}

}  // namespace

Cgroups Cgroups::of_spec(const Json& spec, const std::string& id) {
  Cgroups c;
  std::string path = spec["linux"]["cgroupsPath"].str();
  Unit unit;
  if (systemd_driver()) {
    unit = unit_of(path, id);
    c.unit_ = unit.name;
    path = unit.path();
  } else if (path.find(':') != std::string::npos && path[0] != '/' && split(path, ':').size() == 3) {
    refuse("cgroupsPath \"" + path + "\" is for the systemd cgroup driver: --systemd-cgroup");
  }
  for (const Own& own : own_cgroups(c.v2_)) {
    std::string base = own.mount;
    if (!c.unit_.empty())
      base = join_path(base, manager_path(own.controllers));
    else if (path.empty() || path[0] != '/')
      base = join_path(base, c.v2_ && own.path != "/" ? parent_of(own.path) : own.path);
    c.folders_.emplace_back(own.controllers, join_path(base, path.empty() ? id : path));
  }
  return c;
}

Cgroups Cgroups::of_state(const Json& state) {
  Cgroups c;
  c.unit_ = state["systemd_unit"].str();
  c.shared_ = state["shared_cgroup"].bool_or(false);
  for (const auto& m : state["cgroup_paths"].members()) {
    bool known = false;  // controllers of one hierarchy share a folder
    for (auto& f : c.folders_)
      if (f.second == m.second.str()) f.first += "," + m.first, known = true;
    if (!known) c.folders_.emplace_back(m.first, m.second.str());
  }
  struct statfs st {};
  c.v2_ = statfs(kRoot, &st) == 0 && static_cast<long>(st.f_type) == kCgroup2Magic;
  return c;
}

// By controller, as runc's state file has them.
void Cgroups::to_state(Json& state) const {
  Json out = Json::object();
  for (const auto& [controllers, folder] : folders_) {
    if (controllers.empty()) out.set("", folder);
    for (const auto& c : split(controllers, ',')) out.set(c, folder);
  }
  state.set("cgroup_paths", out);
  if (!unit_.empty()) state.set("systemd_unit", unit_);
  if (shared_) state.set("shared_cgroup", true);
}

std::string Cgroups::folder(std::string_view controller) const {
  for (const auto& [controllers, folder] : folders_)
    if (v2_ || has_controller(controllers, controller)) return folder;
  return "";
}

void Cgroups::create(const Json& spec, const std::string& id, pid_t pid) {
  if (!unit_.empty()) {
    start_unit(unit_of(spec["linux"]["cgroupsPath"].str(), id), spec, id, pid, v2_);
  } else if (bool there = exists(folder("devices")); there || exists(folder("freezer"))) {
    size_t others = there ? pids().size() : 0;
    shared_ = others > 0;
    if (frozen()) refuse("container's cgroup unexpectedly frozen");
    if (others) warn("container's cgroup is not empty: " + std::to_string(others) + " process(es) found");
  }
  for (const auto& [controllers, folder] : folders_) {
    if (!make_dirs(folder)) {
      if (errno == EROFS || errno == EACCES) {
        if (geteuid() != 0 || errno == EROFS) continue;
      }
      fail("unable to apply cgroup configuration: mkdir " + folder);
    }
    if (has_controller(controllers, "cpuset")) inherit_cpuset(folder, std::string(kRoot) + "/cpuset");
    if (v2_) enable_controllers(folder);
  }
}

void Cgroups::add(pid_t pid) const {
  for (const auto& [controllers, folder] : folders_) {
    if (write_whole(folder + "/cgroup.procs", std::to_string(pid)) || errno == ESRCH) continue;
    if ((errno == ENOENT && !exists(folder)) || controllers.empty()) continue;
    fail("unable to apply cgroup configuration: write " + folder + "/cgroup.procs");
  }
}

Cgroups Cgroups::below(const std::string& text) const {
  Cgroups out = *this;
  size_t colon = text.find(':');
  std::string only = colon == std::string::npos ? "" : text.substr(0, colon),
              path = colon == std::string::npos ? text : text.substr(colon + 1);
  for (const auto& part : split(path, '/'))
    if (part == "..") refuse(path + " is not a sub cgroup path");
  bool found = false;
  for (auto& [controllers, folder] : out.folders_) {
    bool wanted = only.empty();
    for (const auto& c : split(only, ',')) wanted |= has_controller(controllers, c);
    if (!wanted) continue;
    folder = join_path(folder, path);
    found |= exists(folder);
    if (!exists(folder)) fail("adding pid to " + folder + "/cgroup.procs", ENOENT);
  }
  if (!found) refuse("unknown controller " + only);
  return out;
}

void Cgroups::apply(const Json& resources, bool devices) const {
  if (devices) {
    if (v2_)
      attach_device_program(folder(""), plan_device_program(resources["devices"]));
    else if (std::string f = folder("devices"); !f.empty())
      for (const auto& [file, rule] : plan_device_writes(resources["devices"]))
        if (!write_whole(f + "/" + file, rule)) fail("write " + rule + " to " + f + "/" + file);
  }
  std::vector<CgroupWrite> plan = plan_cgroup(resources, v2_);
  bool again = false;
  for (size_t i = 0; i < plan.size(); ++i) {
    const CgroupWrite w = plan[i];
    std::string f = folder(w.controller);
    if (f.empty() || !exists(f + "/" + w.file)) {
      if (w.optional) continue;
      refuse("cannot set " + w.file + ": the kernel has no such cgroup controller here");
    }
    if (write_whole(f + "/" + w.file, w.value)) continue;
    int err = errno;
    // A shorter period with the old quota may be more than the parent has: the quota first, then again.
    if (w.file == "cpu.cfs_period_us" && err == EINVAL && resources["cpu"]["quota"].exists() && !again) {
      again = true;
      plan.insert(plan.begin() + static_cast<long>(std::min(i + 2, plan.size())), w);
      continue;
    }
    // Memory and memory+swap depend on each other's order: the second of them first, then again.
    if (w.file == "memory.limit_in_bytes" && resources["memory"]["swap"].exists() &&
        write_whole(f + "/memory.memsw.limit_in_bytes", std::to_string(resources["memory"]["swap"].int_or(-1))) &&
        write_whole(f + "/" + w.file, w.value))
      continue;
    if (!w.optional) fail("failed to write \"" + w.value + "\": write " + f + "/" + w.file, err);
  }
}

std::vector<pid_t> Cgroups::pids() const {
  std::vector<pid_t> out;
  for (const char* c : {"devices", "memory", "pids", "freezer"}) {
    std::string f = folder(c);
    if (f.empty()) continue;
    collect(f, out);
    break;
  }
  return out;
}

void Cgroups::freeze(bool frozen_now) const {
  std::string f = folder("freezer");
  if (f.empty()) refuse("the kernel has no freezer cgroup here");
  std::string file = f + (v2_ ? "/cgroup.freeze" : "/freezer.state");
  const char* wanted = v2_ ? (frozen_now ? "1" : "0") : (frozen_now ? "FROZEN" : "THAWED");
  for (int attempt = 0; attempt < 1000; ++attempt) {
    if (!write_whole(file, wanted)) fail("write " + file);
    if (frozen() == frozen_now && (v2_ || read_whole(file).find("FREEZING") == std::string::npos)) return;
    // A process that is being forked can keep the first version half way: let it go on for a moment.
    if (!v2_ && frozen_now && attempt % 50 == 49) write_whole(file, "THAWED");
    pause_ms(attempt < 50 ? 1 : 5);
  }
  refuse("unable to freeze");
}

bool Cgroups::frozen() const {
  std::string f = folder("freezer");
  if (f.empty()) return false;
  if (v2_) return read_whole(f + "/cgroup.events").find("frozen 1") != std::string::npos;
  std::string state = read_whole(f + "/freezer.state");
  return starts_with(state, "FROZEN") || starts_with(state, "FREEZING");
}

bool Cgroups::signal_all(int number) const {
  auto all = pids();
  for (pid_t pid : all)
    if (pid > 0 && pid != getpid()) kill(pid, number);
  return !all.empty();
}

bool Cgroups::remove() const {
  bool good = true;
  int patience = 300;
  if (!unit_.empty()) {
    signal_all(SIGKILL);
    stop_unit(unit_);
  }
  for (const auto& [controllers, folder] : folders_)
    if (shared_)
      rmdir(folder.c_str());
    else
      good &= remove_folder(folder, patience);
  return good;
}

}  // namespace k8lite::runc
