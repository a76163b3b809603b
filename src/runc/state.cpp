// See state.h.
#include "runc/state.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runc/common.h"
#include "runc/hooks.h"

namespace k8lite::runc {

std::string& state_root() {
  static std::string root = "/run/runc";
  return root;
}
bool valid_id(const std::string& id) {
  if (id.empty() || id == "." || id == ".." || id.size() > 1024) return false;
  for (char c : id)
    if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && !strchr("_+-.", c))
      return false;
  return true;
}
void refuse_id(const std::string& id) {
  refuse("invalid container ID format: " + id +
         (id.find('/') == std::string::npos ? "" : ": invalid character `/` in the ID"));
}
std::string folder_of(const std::string& id) { return state_root() + "/" + id; }

uint64_t start_time_of(pid_t pid, char* process_state) {
  if (pid <= 0) return 0;
  std::string text = read_whole("/proc/" + std::to_string(pid) + "/stat");
  size_t end = text.rfind(')');
  if (end == std::string::npos) return 0;
  auto fields = split(std::string_view(text).substr(end + 1), ' ');
  if (fields.size() < 20) return 0;
  if (process_state) *process_state = fields[0][0];
  return strtoull(fields[19].c_str(), nullptr, 10);
}

std::string Container::bundle() const {
  for (const Json& label : state["config"]["labels"].items())
    if (starts_with(label.str(), "bundle=")) return label.str().substr(7);
  return "";
}

Json Container::oci_state(const char* status_now, pid_t pid_now) const {
  Json out = Json::object();
  out.set("ociVersion", spec["ociVersion"].str_or("1.2.0"))
      .set("id", id)
      .set("pid", static_cast<int64_t>(pid_now))
      .set("status", status_now)
      .set("bundle", bundle());
  if (spec["annotations"].is_object()) out.set("annotations", spec["annotations"]);
  return out;
}

bool try_load(const std::string& id, Container& c) {
  bool found = false;
  if (!valid_id(id)) refuse_id(id);
  c.id = id;
  c.folder = folder_of(id);
  std::string text = read_whole(c.folder + "/state.json", &found);
  if (!found) return false;
  if (std::string wrong = Json::parse(text, c.state); !wrong.empty()) refuse("state of container " + id + ": " + wrong);
  Json::parse(read_whole(c.folder + "/config.json"), c.spec);
  auto pid = static_cast<pid_t>(c.state["init_process_pid"].int_or(0));
  char how = 0;
  bool alive =
      pid > 0 && start_time_of(pid, &how) == c.state["init_process_start"].uint_or(0) && how != 'Z' && how != 'X';
  c.pid = alive ? pid : 0;
  if (!alive)
    c.status = "stopped";
  else if (c.cgroups().frozen())
    c.status = "paused";
  else
    c.status = exists(c.folder + "/exec.fifo") ? "created" : "running";
  return true;
}

Container load(const std::string& id) {
  Container c;
  if (!try_load(id, c)) refuse("container does not exist");
  return c;
}

void store(const Container& c, pid_t pid) {
  Json state = c.state;
  state.set("id", c.id)
      .set("init_process_pid", static_cast<int64_t>(pid))
      .set("init_process_start", start_time_of(pid));
  replace_file(c.folder + "/state.json", state.dump(), 0600);
}

void destroy(Container& c) {
  // Without a process namespace of its own the others outlive the first process: only the cgroup knows them.
  Cgroups cgroups = c.cgroups();
  if (!cgroups.empty()) {
    if (c.status == "paused") cgroups.signal_all(SIGKILL), cgroups.freeze(false);
    if (!cgroups.remove()) warn("unable to remove the cgroups of container " + c.id + ": Device or resource busy");
  }
  remove_tree(c.folder);
  run_hooks_leniently(c.spec["hooks"]["poststop"], c.oci_state("stopped", 0));
}

}  // namespace k8lite::runc
