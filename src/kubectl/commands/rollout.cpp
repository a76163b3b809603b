// kubectl rollout: status, history, undo, restart, pause, resume of deployments, daemon sets and stateful sets.
#include <algorithm>

#include "base/strings.h"
#include "kubectl/commands/commands.h"
#include "kubectl/commands/streams.h"
#include "kubectl/describe/describe.h"
#include "kubectl/jsonpath.h"
#include "kubectl/printers.h"
#include "kubectl/waiting.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

constexpr std::string_view kRevision = "deployment.kubernetes.io/revision";
constexpr std::string_view kCause = "kubernetes.io/change-cause";

bool rolls(const Mapping& m) { return m.kind == "Deployment" || m.kind == "DaemonSet" || m.kind == "StatefulSet"; }

Result<std::vector<Target>> workloads(Session& s, std::string_view verb) {
  bool looks = verb == "status" || verb == "history";
  if (s.flags.args.empty() && !s.flags.changed("filename")) return usage("required resource not specified");
  TRY(auto targets, choose_targets(s, {.types_alone = looks}));
  for (const Target& t : targets) {
    if (rolls(t.mapping)) continue;
    if (looks) return usage("no " + std::string(verb) + " viewer has been implemented for " + t.mapping.kind);
    return usage(t.mapping.full_resource() + " " + json::quoted(t.name) + " " + std::string(verb) + " is not supported");
  }
  return targets;
}

// The sentence for a workload's state; done when it is rolled out.
Result<std::string> deployment_state(const Node& o, bool& done) {
  std::string name = json::quoted(o.path("metadata.name").str());
  if (o.path("metadata.generation").int_or(0) > o.path("status.observedGeneration").int_or(0)) return std::string("Waiting for deployment spec update to be observed...");
  for (const Node& c : o.path("status.conditions").items())
    if (c["type"].str() == "Progressing" && c["reason"].str() == "ProgressDeadlineExceeded") return usage("deployment " + name + " exceeded its progress deadline");
  int64_t want = o.path("spec.replicas").int_or(1), updated = o.path("status.updatedReplicas").int_or(0), all = o.path("status.replicas").int_or(0), available = o.path("status.availableReplicas").int_or(0);
  std::string head = "Waiting for deployment " + name + " rollout to finish: ";
  if (updated < want) return head + std::to_string(updated) + " out of " + std::to_string(want) + " new replicas have been updated...";
  if (all > updated) return head + std::to_string(all - updated) + " old replicas are pending termination...";
  if (available < updated) return head + std::to_string(available) + " of " + std::to_string(updated) + " updated replicas are available...";
  done = true;
  return "deployment " + name + " successfully rolled out";
}

Result<std::string> daemon_state(const Node& o, bool& done) {
  std::string name = json::quoted(o.path("metadata.name").str());
  if (o.path("spec.updateStrategy.type").str() == "OnDelete") return usage("rollout status is only available for RollingUpdate strategy type");
  if (o.path("metadata.generation").int_or(0) > o.path("status.observedGeneration").int_or(0)) return std::string("Waiting for daemon set spec update to be observed...");
  int64_t want = o.path("status.desiredNumberScheduled").int_or(0), updated = o.path("status.updatedNumberScheduled").int_or(0), available = o.path("status.numberAvailable").int_or(0);
  std::string head = "Waiting for daemon set " + name + " rollout to finish: ";
  if (updated < want) return head + std::to_string(updated) + " out of " + std::to_string(want) + " new pods have been updated...";
  if (available < want) return head + std::to_string(available) + " of " + std::to_string(want) + " updated pods are available...";
  done = true;
  return "daemon set " + name + " successfully rolled out";
}

Result<std::string> stateful_state(const Node& o, bool& done) {
  if (o.path("spec.updateStrategy.type").str() == "OnDelete") return usage("rollout status is only available for RollingUpdate strategy type");
  if (o.path("status.observedGeneration").int_or(0) == 0 || o.path("metadata.generation").int_or(0) > o.path("status.observedGeneration").int_or(0))
    return std::string("Waiting for statefulset spec update to be observed...");
  int64_t want = o.path("spec.replicas").int_or(1), ready = o.path("status.readyReplicas").int_or(0), updated = o.path("status.updatedReplicas").int_or(0);
  if (ready < want) return "Waiting for " + std::to_string(want - ready) + " pods to be ready...";
  int64_t partition = o.path("spec.updateStrategy.rollingUpdate.partition").int_or(0);
  if (partition > 0) {
    if (updated < want - partition) return "Waiting for partitioned roll out to finish: " + std::to_string(updated) + " out of " + std::to_string(want - partition) + " new pods have been updated...";
    done = true;
    return "partitioned roll out complete: " + std::to_string(updated) + " new pods have been updated...";
  }
  if (o.path("status.updateRevision") != o.path("status.currentRevision"))
    return "waiting for statefulset rolling update to complete " + std::to_string(updated) + " pods at revision " + o.path("status.updateRevision").str() + "...";
  done = true;
  return "statefulset rolling update complete " + std::to_string(o.path("status.currentReplicas").int_or(want)) + " pods at revision " + o.path("status.currentRevision").str() + "...";
}

Result<> status(Session& s) {
  TRY(auto targets, workloads(s, "status"));
  for (const Target& t : targets) {
    std::string last;
    Deadline deadline = s.flags.time("timeout").count() > 0 ? Deadline(s.flags.time("timeout")) : Deadline();
    auto look = [&](const Node& o) -> Result<bool> {
      if (!o.is_object()) return usage("object has been deleted");
      bool done = false;
      auto text = t.mapping.kind == "Deployment" ? deployment_state(o, done) : t.mapping.kind == "DaemonSet" ? daemon_state(o, done) : stateful_state(o, done);
      if (!text.ok()) return text.status();
      if (s.flags.changed("revision") && t.mapping.kind == "Deployment" && o.path("metadata.annotations")[kRevision].str() != s.flags.text("revision"))
        return usage("desired revision (" + s.flags.text("revision") + ") is different from the running revision (" + o.path("metadata.annotations")[kRevision].str() + ")");
      if (*text != last) s.out(*text + "\n");
      last = *text;
      return done || !s.flags.on("watch");
    };
    auto done = watch_until(s, t, deadline, look);
    if (!done.ok() && done.status().is(Reason::Timeout)) return usage("timed out waiting for the condition");
    TRY_OK(done);
  }
  return {};
}

// One revision of a workload: the object that holds it and its pod template.
struct Revision {
  int64_t number = 0;
  Node holder, tmpl;
  std::string cause;
};

Result<std::vector<Revision>> revisions(Session& s, const Target& t) {
  bool deployment = t.mapping.kind == "Deployment";
  TRY(Mapping m, s.mapping(deployment ? "replicasets.apps" : "controllerrevisions.apps"));
  TRY(auto objects, list_objects(s, m, t.ns, selector_text(t.object)));
  std::vector<Revision> out;
  for (Node& o : objects) {
    bool ours = false;
    for (const Node& owner : o.path("metadata.ownerReferences").items()) ours = ours || owner["uid"] == t.object.path("metadata.uid");
    if (!ours) continue;
    const Node& c = o;
    Revision r;
    r.number = deployment ? parse_int(c.path("metadata.annotations")[kRevision].str()).value_or(0) : c["revision"].int_or(0);
    r.tmpl = deployment ? c.path("spec.template") : c.path("data.spec.template");
    r.cause = c.path("metadata.annotations")[kCause].str_or("<none>");
    if (r.cause.empty()) r.cause = "<none>";
    r.holder = std::move(o);
    out.push_back(std::move(r));
  }
  std::sort(out.begin(), out.end(), [](const Revision& a, const Revision& b) { return a.number < b.number; });
  return out;
}

Result<> history(Session& s) {
  TRY(auto targets, workloads(s, "history"));
  for (const Target& t : targets) {
    TRY(auto all, revisions(s, t));
    int64_t wanted = s.flags.number("revision");
    std::string label = t.mapping.full_singular() + "/" + t.name + " ";
    if (wanted > 0) {
      auto it = std::find_if(all.begin(), all.end(), [wanted](const Revision& r) { return r.number == wanted; });
      if (it == all.end()) return usage("unable to find the specified revision");
      Page page;
      put_pod_template(page, it->tmpl);
      s.out(label + "with revision #" + std::to_string(wanted) + "\n" + page.unaligned() + "\n");
      continue;
    }
    s.out(label + "\n");
    if (all.empty()) {
      s.out("No rollout history found.\n");
      continue;
    }
    std::string rows = "REVISION\tCHANGE-CAUSE\n";
    for (const Revision& r : all) rows += std::to_string(r.number) + "\t" + r.cause + "\n";
    s.out(align_tabs(rows) + "\n");
  }
  return {};
}

Result<> undo_one(Session& s, const Target& t, const DryRun& dry) {
  if (t.object.path("spec.paused").bool_or(false)) return usage("you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume deployment/" + t.name + "' and try again");
  TRY(auto all, revisions(s, t));
  int64_t wanted = s.flags.number("to-revision");
  const Revision* to = nullptr;
  if (wanted > 0) {
    for (const Revision& r : all)
      if (r.number == wanted) to = &r;
    if (!to) return usage("unable to find specified revision " + std::to_string(wanted) + " in history");
  } else {
    if (all.size() < 2) return usage("no rollout history found for " + t.mapping.singular + " " + json::quoted(t.name));
    to = &all[all.size() - 2];
  }
  Node tmpl = to->tmpl;
  if (Node* labels = tmpl.find("metadata") ? tmpl["metadata"].find("labels") : nullptr) labels->erase("pod-template-hash");
  tmpl.erase("$patch");
  if (tmpl == t.object.path("spec.template")) {
    s.out(t.mapping.full_singular() + "/" + t.name + " skipped rollback (current template already matches revision " + std::to_string(to->number) + ")\n");
    return {};
  }
  Node patch = Node::array();
  patch.append(Node::obj({{"op", "replace"}, {"path", "/spec/template"}, {"value", tmpl}}));
  if (!dry.client) {
    TRY_OK(s.patch(with_query(t.url(), {{"dryRun", dry.query()}, {"fieldManager", "kubectl-rollout"}}), PatchKind::Json, patch));
  }
  return print_done(s, t.object, t.mapping, "rolled back");
}

Result<> undo(Session& s) {
  TRY(DryRun dry, DryRun::of(s));
  TRY(auto targets, workloads(s, "undo"));
  for (const Target& t : targets) {
    auto done = undo_one(s, t, dry);
    if (!done.ok()) s.fail(done.status());
  }
  return {};
}

Result<> restart(Session& s) {
  TRY(auto targets, workloads(s, "restarting"));
  for (const Target& t : targets) {
    if (t.object.path("spec.paused").bool_or(false)) {
      s.fail(usage(t.mapping.resource + ".apps " + json::quoted(t.name) + " can't restart paused deployment (run rollout resume first)"));
      continue;
    }
    Node annotations = Node::obj({{"kubectl.kubernetes.io/restartedAt", rfc3339(system_clock().now())}});
    Node patch = Node::obj({{"spec", Node::obj({{"template", Node::obj({{"metadata", Node::obj({{"annotations", annotations}})}})}})}});
    auto done = s.patch(with_query(t.url(), {{"fieldManager", "kubectl-rollout"}}), PatchKind::Strategic, patch);
    if (!done.ok()) s.fail(done.status());
    else TRY_OK(print_done(s, *done, t.mapping, "restarted"));
  }
  return {};
}

Result<> pause(Session& s) {
  bool pausing = s.command_path.ends_with("pause");
  TRY(auto targets, choose_targets(s, {}));
  for (const Target& t : targets) {
    if (t.mapping.kind != "Deployment") return usage(t.mapping.full_resource() + " " + json::quoted(t.name) + (pausing ? " pausing is not supported" : " resuming is not supported"));
    bool paused = t.object.path("spec.paused").bool_or(false);
    if (paused == pausing) {
      s.fail(usage("deployments.apps " + json::quoted(t.name) + (pausing ? " is already paused" : " is not paused")));
      continue;
    }
    auto done = s.patch(with_query(t.url(), {{"fieldManager", "kubectl-rollout"}}), PatchKind::Merge, Node::obj({{"spec", Node::obj({{"paused", pausing ? Node(true) : Node(nullptr)}})}}));
    if (!done.ok()) s.fail(done.status());
    else TRY_OK(print_done(s, *done, t.mapping, pausing ? "paused" : "resumed"));
  }
  return {};
}

}  // namespace

std::vector<Command> rollout_commands() {
  std::vector<FlagSpec> common = flags_of({write_flags(), file_flags(), selector_flags()});
  Command c{"rollout", "Deploy Commands", "Manage the rollout of a resource", "SUBCOMMAND", {}, nullptr};
  c.children = {{"history", "", "View rollout history", "(TYPE NAME | TYPE/NAME) [flags]", flags_of({common, {{"revision", 0, FlagKind::Number, "0", "Show this revision"}}}), history},
                {"pause", "", "Mark the provided resource as paused", "RESOURCE", common, pause},
                {"restart", "", "Restart a resource", "RESOURCE", common, restart},
                {"resume", "", "Resume a paused resource", "RESOURCE", common, pause},
                {"status", "", "Show the status of the rollout", "(TYPE NAME | TYPE/NAME) [flags]",
                 flags_of({common, {{"watch", 'w', FlagKind::Bool, "true", "Wait until it is done"}, {"timeout", 0, FlagKind::Time, "0s", "How long to wait; 0: without end"}, {"revision", 0, FlagKind::Number, "0", "Only this revision"}}}), status},
                {"undo", "", "Undo a previous rollout", "(TYPE NAME | TYPE/NAME) [flags]", flags_of({common, {{"to-revision", 0, FlagKind::Number, "0", "Revision to go back to; 0: the one before"}}}), undo}};
  return {c};
}

}  // namespace k8lite::kubectl
