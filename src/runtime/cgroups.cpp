#include "runtime/cgroups.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/strings.h"
#include "os/files.h"

namespace k8lite::runtime {
namespace {

constexpr std::string_view kUsed[] = {"cpu", "cpuacct", "memory", "pids", "devices", "freezer"};
constexpr int64_t kMinShares = 2, kMaxShares = 262144;

int64_t number_in(const std::string& path) {
  auto text = os::read_file(path);
  return text.ok() ? parse_int(trim(*text)).value_or(0) : 0;
}
int64_t field_in(const std::string& path, std::string_view name) {
  auto text = os::read_file(path);
  if (!text.ok()) return 0;
  for (auto line : split(*text, '\n'))
    if (line.starts_with(name) && line.size() > name.size() && line[name.size()] == ' ') return parse_int(line.substr(name.size() + 1)).value_or(0);
  return 0;
}

void kill_all(const std::string& folder) {
  auto text = os::read_file(folder + "/cgroup.procs");
  if (!text.ok()) return;
  for (auto line : split(*text, '\n'))
    if (auto pid = parse_int(line); pid && *pid > 1) ::kill(static_cast<pid_t>(*pid), SIGKILL);
}

// Leaves first; a cgroup whose last process is just ending says EBUSY for a moment.
Result<> remove_folder(const std::string& folder) {
  struct stat st;
  if (::stat(folder.c_str(), &st) != 0) return {};
  for (const auto& name : os::list_dir(folder))
    if (::stat((folder + "/" + name).c_str(), &st) == 0 && S_ISDIR(st.st_mode)) TRY_OK(remove_folder(folder + "/" + name));
  for (int attempt = 0; attempt < 50; ++attempt) {
    if (::rmdir(folder.c_str()) == 0 || errno == ENOENT) return {};
    if (errno != EBUSY) break;
    kill_all(folder);
    ::usleep(2000u << std::min(attempt, 4));
  }
  return Status::from_errno("remove cgroup " + folder, errno);
}

}  // namespace

int64_t shares_of_milli_cpu(int64_t milli) { return std::clamp(milli * 1024 / 1000, kMinShares, kMaxShares); }
int64_t weight_of_shares(int64_t shares) { return 1 + (std::clamp(shares, kMinShares, kMaxShares) - 2) * 9999 / 262142; }

std::vector<KernelWrite> plan_resources(const Resources& r, bool v2) {
  std::vector<KernelWrite> out;
  auto text = [](int64_t n) { return std::to_string(n); };
  if (v2) {
    if (r.memory_limit > 0) out.push_back({"", "memory.max", text(r.memory_limit)});
    if (r.cpu_shares > 0) out.push_back({"", "cpu.weight", text(weight_of_shares(r.cpu_shares))});
    if (r.cpu_quota_us > 0) out.push_back({"", "cpu.max", text(r.cpu_quota_us) + " " + text(r.cpu_period_us)});
    if (r.pids_limit > 0) out.push_back({"", "pids.max", text(r.pids_limit)});
    return out;
  }
  if (r.memory_limit > 0) out.push_back({"memory", "memory.limit_in_bytes", text(r.memory_limit)});
  if (r.cpu_shares > 0) out.push_back({"cpu", "cpu.shares", text(r.cpu_shares)});
  if (r.cpu_quota_us > 0) out.push_back({"cpu", "cpu.cfs_period_us", text(r.cpu_period_us)}), out.push_back({"cpu", "cpu.cfs_quota_us", text(r.cpu_quota_us)});
  if (r.pids_limit > 0) out.push_back({"pids", "pids.max", text(r.pids_limit)});
  return out;
}

Cgroups::Cgroups(std::string root) : root_(std::move(root)) {
  v2_ = os::exists(root_ + "/cgroup.controllers");
  if (v2_) return;
  for (auto name : kUsed)
    if (os::exists(root_ + "/" + std::string(name) + "/cgroup.procs")) controllers_.emplace_back(name);
}

std::vector<std::string> Cgroups::missing() const {
  std::vector<std::string> there = controllers_, out;
  std::string text = v2_ ? os::read_file(root_ + "/cgroup.controllers").value_or("") : "";
  if (v2_) there = split_strings(trim(text), ' ');
  for (const char* wanted : {"cpu", "memory", "pids"})
    if (std::find(there.begin(), there.end(), wanted) == there.end()) out.emplace_back(wanted);
  return out;
}

std::vector<std::string> Cgroups::folders(const std::string& path) const {
  if (v2_) return {root_ + "/" + path};
  std::vector<std::string> out;
  for (const auto& c : controllers_) out.push_back(root_ + "/" + c + "/" + path);
  return out;
}

Result<> Cgroups::create(const std::string& path, const Resources& resources) const {
  for (const auto& folder : folders(path)) TRY_OK(os::make_dirs(folder));
  if (v2_) {
    // Controllers are handed down level by level; a level that has processes of its own cannot hand down any.
    std::string folder = root_;
    auto parts = split_strings(path, '/');
    for (size_t i = 0; i + 1 <= parts.size(); ++i) {
      for (const char* c : {"+cpu", "+memory", "+pids"}) (void)os::write_kernel_file(folder + "/cgroup.subtree_control", c);
      folder += "/" + parts[i];
    }
  }
  for (const KernelWrite& w : plan_resources(resources, v2_)) {
    std::string file = root_ + "/" + (w.controller.empty() ? "" : w.controller + "/") + path + "/" + w.file;
    if (!os::exists(file)) continue;
    TRY_OK(os::write_kernel_file(file, w.value));
  }
  return {};
}

Result<std::string> Cgroups::create_keeper(const std::string& pod) const {
  if (!v2_) return pod;
  std::string path = pod + "/_shim";  // no container's name
  TRY_OK(create(path, {}));
  return path;
}

std::vector<std::string> Cgroups::hierarchies(std::string_view text) const {
  std::vector<std::string> out;
  for (const auto& line : split_strings(text, '\n')) {  // "4:cpu,cpuacct:/path"
    auto parts = split_strings(line, ':');
    if (v2_ || parts.size() < 3 || parts[1].empty()) continue;
    auto names = split_strings(parts[1], ',');
    bool used = std::any_of(names.begin(), names.end(), [this](const auto& n) { return std::find(controllers_.begin(), controllers_.end(), n) != controllers_.end(); });
    if (used) out.push_back(parts[1]);
  }
  return out;
}

std::vector<std::string> Cgroups::procs_files(const std::string& path) const {
  std::vector<std::string> out;
  std::vector<std::string> seen;
  for (const auto& folder : folders(path)) {
    char real[4096];
    // cpu and cpuacct are often one hierarchy under two names.
    std::string resolved = realpath(folder.c_str(), real) ? real : folder;
    if (std::find(seen.begin(), seen.end(), resolved) != seen.end()) continue;
    seen.push_back(resolved);
    out.push_back(folder + "/cgroup.procs");
  }
  return out;
}

std::string Cgroups::oom_file(const std::string& path) const { return v2_ ? root_ + "/" + path + "/memory.events" : root_ + "/memory/" + path + "/memory.oom_control"; }

Result<> Cgroups::remove(const std::string& path) const {
  Result<> r;
  for (const auto& folder : folders(path))
    if (auto one = remove_folder(folder); !one.ok()) r = one;
  return r;
}

Cgroups::Usage Cgroups::usage(const std::string& path) const {
  Usage u;
  if (v2_) {
    std::string f = root_ + "/" + path;
    u.memory_bytes = number_in(f + "/memory.current");
    u.working_set_bytes = u.memory_bytes - field_in(f + "/memory.stat", "inactive_file");
    u.cpu_usage_ns = field_in(f + "/cpu.stat", "usage_usec") * 1000;
  } else {
    u.memory_bytes = number_in(root_ + "/memory/" + path + "/memory.usage_in_bytes");
    u.working_set_bytes = u.memory_bytes - field_in(root_ + "/memory/" + path + "/memory.stat", "total_inactive_file");
    u.cpu_usage_ns = number_in(root_ + "/cpuacct/" + path + "/cpuacct.usage");
  }
  u.working_set_bytes = std::max<int64_t>(u.working_set_bytes, 0);
  return u;
}

}  // namespace k8lite::runtime
