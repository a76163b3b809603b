// Global flags and the table of commands.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runc/common.h"
#include "runc/launch.h"
#include "runc/runc.h"
#include "runc/systemd.h"
#include "runc/verbs.h"

namespace k8lite::runc {
namespace {

int verb_without_criu(const Options&) { refuse("checkpoint and restore need CRIU, which is not supported"); }

struct Verb {
  const char *name, *summary, *usage, *flags;
  int (*run)(const Options&);
  const char* failure;    // in front of an error's text
  bool anywhere = false;  // flags may stand behind the id
};
constexpr char kMake[] =
    "bundle,b= config,f= console-socket= pid-file= no-pivot no-new-keyring preserve-fds= detach,d keep no-subreaper";
constexpr Verb kVerbs[] = {
    {"checkpoint", "not supported: needs CRIU", "[flags] ID", "", verb_without_criu, ""},
    {"create", "create a container", "[flags] ID", kMake, verb_create, "runc create failed: "},
    {"delete", "delete what a container holds", "[flags] ID", "force,f", verb_delete, "", true},
    {"events", "show a container's events and usage", "[flags] ID", "interval= stats", verb_events, "", true},
    {"exec", "run a process inside a container", "[flags] ID COMMAND [ARGS…]",
     "console-socket= cwd= env,e= tty,t user,u= additional-gids,g= process,p= detach,d pid-file= process-label= "
     "apparmor= no-new-privs cap,c= preserve-fds= cgroup= ignore-paused no-subreaper",
     verb_exec, "exec failed: "},
    {"features", "show what this runtime can do", "", "", verb_features, ""},
    {"kill", "send a signal to a container", "[flags] ID [SIGNAL]", "all,a", verb_kill, "", true},
    {"list", "list the containers of this root", "[flags]", "format,f= quiet,q", verb_list, "", true},
    {"pause", "suspend the processes of a container", "ID", "", verb_pause, ""},
    {"ps", "show the processes of a container", "[flags] ID [PS OPTIONS]", "format,f=", verb_ps, ""},
    {"restore", "not supported: needs CRIU", "[flags] ID", "", verb_without_criu, ""},
    {"resume", "let a suspended container go on", "ID", "", verb_resume, ""},
    {"run", "create and run a container", "[flags] ID", kMake, verb_run, "runc run failed: "},
    {"spec", "write a new config.json", "[flags]", "bundle,b= rootless", verb_spec, ""},
    {"start", "run the program of a created container", "ID", "", verb_start, ""},
    {"state", "show the state of a container", "ID", "", verb_state, ""},
    {"update", "change a container's limits", "[flags] ID",
     "resources,r= blkio-weight= cpu-period= cpu-quota= cpu-burst= cpu-share= cpu-rt-period= cpu-rt-runtime= "
     "cpuset-cpus= cpuset-mems= kernel-memory= kernel-memory-tcp= memory= memory-reservation= memory-swap= pids-limit= "
     "cpu-idle= l3-cache-schema= "
     "mem-bw-schema=",
     verb_update, "", true},
};

void usage(FILE* out) {
  fputs(
      "NAME:\n   runc - Open Container Initiative runtime\n\nUSAGE:\n   runc [global flags] command [flags] "
      "[arguments]\n\nCOMMANDS:\n",
      out);
  for (const Verb& v : kVerbs) fprintf(out, "   %-10s %s\n", v.name, v.summary);
  fputs(
      "\nGLOBAL FLAGS:\n   --root DIR  --log FILE  --log-format text|json  --debug  --systemd-cgroup  --rootless "
      "true|false|auto  --help  --version\n",
      out);
}

int version() {
  puts("runc version 1.2.0 (k8lite)\ncommit: k8lite\nspec: 1.2.0");
  return 0;
}

int run_verb(const Verb& verb, std::vector<std::string> words) {
  words.erase(words.begin());
  for (const auto& w : words) {
    if (w == "--") break;
    if (w == "--help" || w == "-h")
      return printf("NAME:\n   runc %s - %s\n\nUSAGE:\n   runc %s %s\n\nFLAGS:\n   %s\n", verb.name, verb.summary,
                    verb.name, verb.usage, verb.flags),
             0;
    if (w[0] != '-') break;
  }
  Options o;
  if (std::string wrong = parse_options(words, verb.flags, o, verb.anywhere); !wrong.empty()) {
    fprintf(stderr, "Incorrect Usage: %s\n\nUSAGE:\n   runc %s %s\n", wrong.c_str(), verb.name, verb.usage);
    log_line("error", wrong);
    return 1;
  }
  log_settings().verb = verb.failure;
  return verb.run(o);
}

}  // namespace

int run(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  Options global;
  std::string wrong = parse_options(
      words, "root= log= log-format= debug systemd-cgroup cgroup-manager= rootless= criu= help,h version,v", global);
  if (!wrong.empty()) {
    fprintf(stderr, "Incorrect Usage: %s\n", wrong.c_str());
    return 1;
  }
  const char* runtime_dir = getenv("XDG_RUNTIME_DIR");
  if (geteuid() != 0 && runtime_dir) state_root() = std::string(runtime_dir) + "/runc";
  if (global.has("root")) state_root() = absolute(global.get("root"));
  log_settings().debug = global.has("debug");
  if (global.has("log")) log_settings().path = absolute(global.get("log"));
  std::string format = global.get("log-format", "text");
  if (format != "text" && format != "json") refuse("invalid log-format: " + format);
  log_settings().json = format == "json";
  if (global.has("version")) return version();
  if (global.args.size() == 2 && global.args[0] == "help") global.args = {global.args[1], "--help"};
  if (global.has("help") || global.args.empty() || global.args[0] == "help") return usage(stdout), 0;
  std::string manager = global.get("cgroup-manager", "cgroupfs");  // crun's word for it
  if (manager != "cgroupfs" && manager != "systemd") refuse("unknown cgroup manager: " + manager);
  systemd_driver() = global.has("systemd-cgroup") || manager == "systemd";
  for (const Verb& v : kVerbs)
    if (global.args[0] == v.name) return run_verb(v, global.args);
  fprintf(stderr, "No help topic for '%s'\n", global.args[0].c_str());
  return 3;
}

}  // namespace k8lite::runc
