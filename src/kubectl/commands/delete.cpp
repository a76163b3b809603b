// kubectl delete: by name, file, selector or all; and the waiting until the objects are gone.
#include <algorithm>

#include "base/strings.h"
#include "kubectl/commands/commands.h"
#include "kubectl/printers.h"
#include "kubectl/resources.h"
#include "kubectl/waiting.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

Result<Node> delete_options(Session& s) {
  Node body = Node::obj({{"kind", "DeleteOptions"}, {"apiVersion", "v1"}});
  std::string cascade = s.flags.text("cascade");
  if (cascade == "true" || cascade == "background") body.set("propagationPolicy", "Background");
  else if (cascade == "orphan" || cascade == "false") body.set("propagationPolicy", "Orphan");
  else if (cascade == "foreground") body.set("propagationPolicy", "Foreground");
  else return usage("invalid cascade value (" + cascade + "). Must be \"background\", \"foreground\", or \"orphan\"");
  int64_t grace = s.flags.number("grace-period");
  if (s.flags.on("now")) {
    if (s.flags.changed("grace-period")) return usage("--now and --grace-period cannot be specified together");
    grace = 1;
  }
  if (s.flags.on("force") && grace < 0) grace = 0;
  if (s.flags.on("force") && grace > 0) return usage("--force and --grace-period greater than 0 cannot be specified together");
  if (grace == 0 && !s.flags.on("force")) grace = 1;  // only --force leaves no time at all
  if (grace >= 0) body.set("gracePeriodSeconds", grace);
  return body;
}

Result<> remove(Session& s) {
  TRY(DryRun dry, DryRun::of(s));
  TRY(Node body, delete_options(s));
  if (dry.server) body.set("dryRun", Node::arr({"All"}));
  bool selected = s.flags.changed("selector") || s.flags.changed("field-selector") || s.flags.on("all");
  bool slash = !s.flags.args.empty() && s.flags.args[0].find('/') != std::string::npos;
  if (!s.flags.changed("filename") && s.flags.args.size() == 1 && !slash && !selected) return usage("resource(s) were provided, but no name was specified");
  if (s.flags.on("all") && (s.flags.changed("selector") || s.flags.changed("field-selector"))) return usage("setting 'all' parameter but found a non empty selector. ");
  if (s.flags.on("force")) s.err("Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely.\n");
  TRY(auto targets, choose_targets(s, {.fetch = false}));
  std::vector<Target> gone;
  std::string output = s.flags.text("output");
  if (!output.empty() && output != "name") return usage("unexpected -o output mode: " + output + ". We only support '-o name'");
  for (Target& t : targets) {
    if (!dry.client) {
      auto done = s.call("DELETE", t.url(), &body);
      if (!done.ok()) {
        if (!(done.status().is(Reason::NotFound) && (s.flags.on("ignore-not-found") || s.flags.on("all")))) s.fail(t.source.empty() ? done.status() : with_source(done.status(), "deleting", t.source));
        continue;
      }
      t.object = std::move(done).value();
    }
    std::string ns = s.flags.on("all-namespaces") && !t.ns.empty() ? " from " + t.ns + " namespace" : !t.ns.empty() ? " from " + t.ns + " namespace" : "";
    if (output == "name") s.out(t.mapping.full_singular() + "/" + t.name + "\n");
    else s.out(t.mapping.full_singular() + " \"" + t.name + "\" " + (s.flags.on("force") ? "force deleted" : "deleted") + ns + dry_run_suffix(s) + "\n");
    gone.push_back(std::move(t));
  }
  if (targets.empty() && !s.exit_code && output.empty()) s.out("No resources found\n");
  if (!s.flags.on("wait") || dry.client || dry.server) return {};
  Deadline deadline = s.flags.time("timeout").count() > 0 ? Deadline(s.flags.time("timeout")) : Deadline();
  for (const Target& t : gone) {
    std::string uid = t.object.path("metadata.uid").str();
    if (uid.empty()) uid = t.object.path("details.uid").str();
    TRY_OK(wait_gone(s, t, uid, deadline));
  }
  return {};
}

}  // namespace

std::vector<Command> delete_commands() {
  Command c{"delete", "Basic Commands (Intermediate)", "Delete resources by file names, stdin, resources and names, or by resources and label selector",
            "([-f FILENAME] | [-k DIRECTORY] | TYPE [(NAME | -l label | --all)])",
            flags_of({file_flags(), selector_flags(),
                      {{"all", 0, FlagKind::Bool, "false", "All objects of the types in the namespace"},
                       {"wait", 0, FlagKind::Bool, "true", "Wait until the objects are gone"},
                       {"timeout", 0, FlagKind::Time, "0s", "How long to wait; 0: without end"},
                       {"force", 0, FlagKind::Bool, "false", "Remove the object at once"},
                       {"now", 0, FlagKind::Bool, "false", "Grace period of one second"},
                       {"grace-period", 0, FlagKind::Number, "-1", "Seconds to end in good order; -1: the object's own"},
                       {"cascade", 0, FlagKind::Text, "background", "background, foreground or orphan", "background"},
                       {"ignore-not-found", 0, FlagKind::Bool, "false", "A missing object is fine"},
                       {"dry-run", 0, FlagKind::Text, "none", "none, client or server", "client"},
                       output_flag()}}),
            remove};
  return {c};
}

}  // namespace k8lite::kubectl
