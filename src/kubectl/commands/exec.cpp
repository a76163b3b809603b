// kubectl exec and attach.
#include <unistd.h>

#include "base/strings.h"
#include "kubectl/commands/commands.h"
#include "kubectl/commands/conversation.h"
#include "kubectl/commands/streams.h"
#include "kubectl/waiting.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

Result<> finish(Session& s, const Ended& ended) {
  if (ended.code == 0) return {};
  if (!ended.message.empty()) return usage(ended.message);
  s.err("command terminated with exit code " + std::to_string(ended.code) + "\n");
  s.exit_code = ended.code;
  return {};
}

bool has_container(const Node& pod, const std::string& name) {
  for (const char* list : {"containers", "initContainers", "ephemeralContainers"})
    for (const Node& c : pod["spec"][list].items())
      if (c["name"].str() == name) return true;
  return false;
}

Stdio stdio_of(Session& s) {
  Stdio io;
  io.in = s.flags.on("stdin"), io.tty = s.flags.on("tty");
  if (io.tty && io.in && !::isatty(0)) {
    if (!s.flags.on("quiet")) s.err("Unable to use a TTY - input is not a terminal or the right kind of file\n");
    io.tty = false;
  }
  io.err = !io.tty;
  return io;
}

Result<> exec(Session& s) {
  const Flags& f = s.flags;
  size_t before = f.dash >= 0 ? static_cast<size_t>(f.dash) : f.args.size();
  if ((before == 0 && !f.changed("filename")) || (before > 0 && f.args[0].empty())) return usage("pod, type/name or --filename must be specified");
  if (f.dash < 0 && f.args.size() > 1) return usage("exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead\nSee 'kubectl exec -h' for help and examples");
  std::vector<std::string> command(f.args.begin() + static_cast<std::ptrdiff_t>(before), f.args.end());
  if (command.empty()) return usage("you must specify at least one command for the container");
  TRY(Target pod, one_pod(s, f.args[0], Telling::Quiet));
  std::string phase = pod.object.path("status.phase").str();
  if (phase == "Succeeded" || phase == "Failed") return usage("cannot exec into a container in a completed pod; current phase is " + phase);
  std::string container = f.text("container");
  if (container.empty()) {
    TRY(container, default_container(s, pod.object, f.on("quiet")));
  }
  Stdio io = stdio_of(s);
  TRY(Ended ended, converse(s, stream_url(pod, "exec", container, io, command), io));
  return finish(s, ended);
}

constexpr const char* kAttached = "All commands and output from this session will be recorded in container logs, including credentials and sensitive information passed through the command prompt.\n"
                                  "If you don't see a command prompt, try pressing enter.\n";

Result<> attach(Session& s) {
  if (s.flags.args.empty()) return usage("at least 1 argument is required for attach");
  if (s.flags.args.size() > 1) return usage("expected POD, TYPE/NAME, or TYPE NAME, (at most 2 arguments) saw " + std::to_string(s.flags.args.size()) + ": [" + join(s.flags.args, " ") + "]");
  TRY(Target pod, one_pod(s, s.flags.args[0], Telling::Quiet));
  std::string container = s.flags.text("container"), phase = pod.object.path("status.phase").str();
  if (phase == "Succeeded" || phase == "Failed") return usage("cannot attach a container in a completed pod; current phase is " + phase);
  if (container.empty()) {
    TRY(container, default_container(s, pod.object, s.flags.on("quiet")));
  } else if (!has_container(pod.object, container)) {
    return usage("cannot attach to the container: container " + container + " not found in pod " + pod.name);
  }
  Stdio io = stdio_of(s);
  if (!s.flags.on("quiet")) s.err(kAttached);
  TRY(Ended ended, converse(s, stream_url(pod, "attach", container, io, {}), io));
  return finish(s, ended);
}

}  // namespace

Result<> attach_to_pod(Session& s, const Target& pod, const std::string& container) {
  Duration limit = s.flags.time("pod-running-timeout");
  std::string phase;
  TRY_OK(watch_until(s, pod, Deadline(limit.count() > 0 ? limit : seconds(60)), [&phase](const Node& o) -> Result<bool> {
    if (!o.is_object()) return usage("the pod was deleted");
    phase = o.path("status.phase").str();
    return phase == "Running" || phase == "Succeeded" || phase == "Failed";
  }));
  if (phase == "Running") {
    Stdio io = stdio_of(s);
    if (io.in && !s.flags.on("quiet")) s.err(kAttached);
    auto ended = converse(s, stream_url(pod, "attach", container, io, {}), io);
    if (!ended.ok()) s.err("warning: couldn't attach to pod/" + pod.name + ", falling back to streaming logs: " + ended.status().message() + "\n");
    if (!ended.ok()) TRY_OK(copy_log(s, pod, container, "", true));
  } else {
    TRY_OK(copy_log(s, pod, container, "", false));
  }
  if (s.flags.text("restart") == "Always") return {};
  int code = 0;
  TRY_OK(watch_until(s, pod, Deadline(seconds(60)), [&code](const Node& o) -> Result<bool> {
    std::string now = o.path("status.phase").str();
    for (const Node& c : o.path("status.containerStatuses").items()) code = static_cast<int>(c.path("state.terminated.exitCode").int_or(code));
    return !o.is_object() || now == "Succeeded" || now == "Failed";
  }));
  if (code != 0) s.err("pod " + pod.ns + "/" + pod.name + " terminated with exit code " + std::to_string(code) + "\n");
  if (code != 0) s.exit_code = code;
  return {};
}

std::vector<Command> exec_commands() {
  std::vector<FlagSpec> flags = {{"container", 'c', FlagKind::Text, "", "Container"},
                                 {"stdin", 'i', FlagKind::Bool, "false", "Pass stdin to the container"},
                                 {"tty", 't', FlagKind::Bool, "false", "Stdin is a terminal"},
                                 {"quiet", 'q', FlagKind::Bool, "false", "Only the output of the remote session"},
                                 {"filename", 'f', FlagKind::List, "", "Not used"},
                                 {"pod-running-timeout", 0, FlagKind::Time, "1m0s", "How long to wait for a pod"}};
  Command e{"exec", "Troubleshooting and Debugging Commands", "Execute a command in a container", "(POD | TYPE/NAME) [-c CONTAINER] [flags] -- COMMAND [args...]", flags, exec};
  e.examples = "  kubectl exec web -- date\n  kubectl exec -it web -c shell -- sh";
  return {e, {"attach", "Troubleshooting and Debugging Commands", "Attach to a running container", "(POD | TYPE/NAME) -c CONTAINER", flags, attach}};
}

}  // namespace k8lite::kubectl
