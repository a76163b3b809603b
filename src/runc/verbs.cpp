// See verbs.h: state, kill, delete, list, ps, pause, resume.
#include "runc/verbs.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "runc/common.h"
#include "runc/state.h"

namespace k8lite::runc {
namespace {

Container the_container(const Options& o) {
  if (o.args.empty()) refuse("the container's id is required");
  return load(o.args[0]);
}

std::string owner_of(const std::string& folder) {
  struct stat st {};
  if (stat(folder.c_str(), &st) != 0) return "";
  std::string uid = std::to_string(st.st_uid);
  for (const auto& line : split(read_whole("/etc/passwd"), '\n')) {
    auto fields = split(line, ':');
    if (fields.size() > 2 && fields[2] == uid) return fields[0];
  }
  return "#" + uid;
}

Json shown(const Container& c) {
  Json out = Json::object();
  out.set("ociVersion", c.spec["ociVersion"].str_or("1.2.0"))
      .set("id", c.id)
      .set("pid", static_cast<int64_t>(c.pid))
      .set("status", c.status)
      .set("bundle", c.bundle());
  out.set("rootfs", c.state["config"]["rootfs"]).set("created", c.state["created"]);
  if (c.spec["annotations"].is_object()) out.set("annotations", c.spec["annotations"]);
  out.set("owner", owner_of(c.folder));
  return out;
}

int print(const std::string& text) {
  fputs(text.c_str(), stdout);
  return fflush(stdout) == 0 ? 0 : 1;
}

int signal_of(const std::string& text) {
  static constexpr const char* kNames[] = {"",       "HUP",  "INT",    "QUIT", "ILL",   "TRAP", "ABRT", "BUS",
                                           "FPE",    "KILL", "USR1",   "SEGV", "USR2",  "PIPE", "ALRM", "TERM",
                                           "STKFLT", "CHLD", "CONT",   "STOP", "TSTP",  "TTIN", "TTOU", "URG",
                                           "XCPU",   "XFSZ", "VTALRM", "PROF", "WINCH", "IO",   "PWR",  "SYS"};
  char* end = nullptr;
  long n = strtol(text.c_str(), &end, 10);
  if (!text.empty() && !*end) {
    if (n < 0 || n > 64) refuse("invalid signal: " + text);
    return static_cast<int>(n);
  }
  const char* name = strncasecmp(text.c_str(), "SIG", 3) == 0 ? text.c_str() + 3 : text.c_str();
  for (int i = 1; i < 32; ++i)
    if (strcasecmp(name, kNames[i]) == 0) return i;
  if (strncasecmp(name, "RTMIN", 5) == 0) return 34 + atoi(name + 5);
  if (strncasecmp(name, "RTMAX", 5) == 0) return 64 + atoi(name + 5);
  refuse("unknown signal \"" + text + "\"");
}

std::vector<Container> all_containers() {
  std::vector<Container> out;
  auto names = list_dir(state_root());
  std::sort(names.begin(), names.end());
  for (const auto& name : names) {
    Container c;
    if (valid_id(name) && try_load(name, c)) out.push_back(std::move(c));
  }
  return out;
}

void await_end(pid_t pid) {
  int process = pidfd_open_of(pid);
  pollfd p{process, POLLIN, 0};
  if (process >= 0) poll(&p, 1, 10'000);
  close_fd(process);
}

}  // namespace

int verb_state(const Options& o) { return print(shown(the_container(o)).dump(true) + "\n"); }

int verb_kill(const Options& o) {
  Container c = the_container(o);
  int number = signal_of(o.args.size() > 1 ? o.args[1] : "SIGTERM");
  Cgroups cgroups = c.cgroups();
  bool own_processes = false;
  for (const Json& n : c.spec["linux"]["namespaces"].items())
    own_processes |= n["type"].str() == "pid" && n["path"].str().empty();
  if (o.has("all")) {
    if (!cgroups.signal_all(number) && !c.pid) return 0;
    if (c.status == "paused" && number == SIGKILL) cgroups.freeze(false);
    return 0;
  }
  // Without a process namespace of its own, others may have outlived the first process.
  if (!c.pid && number == SIGKILL && !own_processes && cgroups.signal_all(number)) return 0;
  if (!c.pid) refuse("container not running");
  int process = pidfd_open_of(c.pid);
  if (process < 0) refuse("container not running");
  if (start_time_of(c.pid) != c.state["init_process_start"].uint_or(0)) refuse("container not running");
  if (syscall(SYS_pidfd_send_signal, process, number, nullptr, 0) != 0) fail("unable to signal init");
  if (number == SIGKILL && !own_processes) cgroups.signal_all(number);
  // A frozen process takes no signal, not even this one.
  if (number == SIGKILL && c.status == "paused") cgroups.freeze(false);
  return 0;
}

int verb_delete(const Options& o) {
  if (o.args.empty()) refuse("the container's id is required");
  Container c;
  bool force = o.has("force");
  if (!try_load(o.args[0], c)) {
    if (std::string folder = folder_of(o.args[0]); exists(folder)) {  // half made, and left by a crash
      Json::parse(read_whole(folder + "/config.json"), c.spec);
      if (c.spec.is_object() && !Cgroups::of_spec(c.spec, c.id).remove())
        warn("unable to remove the cgroups of container " + c.id);
      remove_tree(folder);
      return 0;
    }
    if (force) return 0;
    refuse("container does not exist");
  }
  if (c.pid && c.status != "created" && !force)
    refuse("cannot delete container " + c.id + " that is not stopped: " + c.status);
  if (c.pid) {
    kill(c.pid, SIGKILL);
    if (c.status == "paused") c.cgroups().freeze(false);
    await_end(c.pid);
  }
  c.status = "stopped";
  destroy(c);
  return 0;
}

int verb_list(const Options& o) {
  auto all = all_containers();
  std::string format = o.get("format", "table");
  if (o.has("quiet")) {
    for (const auto& c : all) puts(c.id.c_str());
    return 0;
  }
  if (format == "json") {
    if (all.empty()) return print("null\n");
    Json out = Json::array();
    for (const auto& c : all) out.append(shown(c));
    return print(out.dump() + "\n");
  }
  if (format != "table") refuse("invalid format option");
  int widest[5] = {2, 3, 6, 6, 7};
  auto wider = [&widest](int i, size_t n) { widest[i] = std::max(widest[i], static_cast<int>(n)); };
  for (const auto& c : all)
    wider(0, c.id.size()), wider(1, std::to_string(c.pid).size()), wider(2, c.status.size()),
        wider(3, c.bundle().size()), wider(4, c.state["created"].str().size());
  for (int& w : widest) w = std::max(w + 3, 12);
  printf("%-*s%-*s%-*s%-*s%-*s%s\n", widest[0], "ID", widest[1], "PID", widest[2], "STATUS", widest[3], "BUNDLE",
         widest[4], "CREATED", "OWNER");
  for (const auto& c : all)
    printf("%-*s%-*d%-*s%-*s%-*s%s\n", widest[0], c.id.c_str(), widest[1], c.pid, widest[2], c.status.c_str(),
           widest[3], c.bundle().c_str(), widest[4], c.state["created"].str().c_str(), owner_of(c.folder).c_str());
  return 0;
}

int verb_ps(const Options& o) {
  Container c = the_container(o);
  std::string format = o.get("format", "table");
  if (format != "json" && format != "table") refuse("invalid format option");
  auto pids = c.cgroups().pids();
  std::sort(pids.begin(), pids.end());
  if (format == "json") {
    Json out = Json::array();
    for (pid_t pid : pids) out.append(static_cast<int64_t>(pid));
    return print(out.dump() + "\n");
  }
  std::string command = "ps";
  std::vector<std::string> words(o.args.begin() + 1, o.args.end());
  if (words.empty()) words = {"-ef"};
  for (const auto& w : words) {
    command += " '";
    for (char ch : w) command += ch == '\'' ? std::string("'\\''") : std::string(1, ch);
    command += "'";
  }
  FILE* in = popen(command.c_str(), "re");
  if (!in) fail("ps");
  char* line = nullptr;
  size_t size = 0, column = ~size_t{0};
  bool first = true;
  while (getline(&line, &size, in) > 0) {
    std::string text = line;
    if (!text.empty() && text.back() == '\n') text.pop_back();
    auto fields = split(text, ' ');
    if (first) {
      column = static_cast<size_t>(std::find(fields.begin(), fields.end(), "PID") - fields.begin());
      if (column == fields.size()) refuse("couldn't find PID field in ps output");
      first = false;
      puts(text.c_str());
      continue;
    }
    if (column < fields.size() && std::find(pids.begin(), pids.end(), atoi(fields[column].c_str())) != pids.end())
      puts(text.c_str());
  }
  free(line);
  int status = pclose(in);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int verb_pause(const Options& o) {
  Container c = the_container(o);
  if (c.status != "running" && c.status != "created") refuse("container not running or created: " + c.status);
  c.cgroups().freeze(true);
  return 0;
}
int verb_resume(const Options& o) {
  Container c = the_container(o);
  if (c.status != "paused") refuse("container not paused");
  c.cgroups().freeze(false);
  return 0;
}

}  // namespace k8lite::runc
