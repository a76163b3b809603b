// Node upkeep: cordon, uncordon, drain, taint.
#include <algorithm>
#include <thread>

#include "base/strings.h"
#include "kubectl/commands/commands.h"
#include "kubectl/printers.h"
#include "kubectl/waiting.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

Result<std::vector<Target>> chosen_nodes(Session& s) {
  TRY(Mapping m, s.mapping("nodes"));
  if (s.flags.changed("selector")) {
    if (!s.flags.args.empty()) return usage("error: cannot specify both a node name and a --selector option\nSee '" + s.command_path + " -h' for help and examples");
    std::vector<std::string> word = {"nodes"};
    return choose_targets(s, {.words = &word});
  }
  if (s.flags.args.empty()) return usage("USAGE: " + s.command_path.substr(8) + " NODE [flags]\nSee '" + s.command_path + " -h' for help and examples");
  std::vector<std::string> words;
  for (const std::string& a : s.flags.args) words.push_back(a.find('/') == std::string::npos ? "node/" + a : a);
  return choose_targets(s, {.words = &words});
}

Result<> cordon_one(Session& s, const Target& t, bool on, const DryRun& dry) {
  bool now = t.object.path("spec.unschedulable").bool_or(false);
  if (now == on) return print_done(s, t.object, t.mapping, on ? "already cordoned" : "already uncordoned");
  if (!dry.client) {
    TRY_OK(s.patch(with_query(t.url(), {{"dryRun", dry.query()}}), PatchKind::Merge, Node::obj({{"spec", Node::obj({{"unschedulable", on ? Node(true) : Node(nullptr)}})}})));
  }
  return print_done(s, t.object, t.mapping, on ? "cordoned" : "uncordoned");
}

Result<> cordon(Session& s) {
  bool on = s.command_path.ends_with(" cordon");
  TRY(DryRun dry, DryRun::of(s));
  TRY(auto nodes, chosen_nodes(s));
  for (const Target& t : nodes) {
    auto done = cordon_one(s, t, on, dry);
    if (!done.ok()) s.fail(done.status());
  }
  return {};
}

// ---- drain ----

struct Evictions {
  std::vector<Target> pods;
  std::vector<std::string> ignored, unmanaged, problems;  // full names
};

bool has_empty_dir(const Node& pod) {
  for (const Node& v : pod.path("spec.volumes").items())
    if (v.find("emptyDir")) return true;
  return false;
}

Result<Evictions> evictions(Session& s, const std::string& node) {
  Evictions out;
  TRY(Mapping m, s.mapping("pods"));
  TRY(auto pods, list_objects(s, m, "", s.flags.text("pod-selector"), "spec.nodeName=" + node));
  std::vector<std::string> daemons, dirs, bare;
  for (Node& p : pods) {
    std::string ns = p.path("metadata.namespace").str(), name = p.path("metadata.name").str(), full = ns + "/" + name, phase = p.path("status.phase").str();
    if (std::as_const(p).path("metadata.annotations").find("kubernetes.io/config.mirror")) continue;
    bool ended = phase == "Succeeded" || phase == "Failed", owned = false, daemon = false;
    for (const Node& o : std::as_const(p).path("metadata.ownerReferences").items())
      if (o["controller"].bool_or(false)) owned = true, daemon = o["kind"].str() == "DaemonSet";
    if (daemon && !ended) {
      if (s.flags.on("ignore-daemonsets")) out.ignored.push_back(full);
      else daemons.push_back(full);
      continue;
    }
    if (has_empty_dir(p) && !ended && !s.flags.on("delete-emptydir-data")) dirs.push_back(full);
    if (!owned && !ended && !s.flags.on("force")) bare.push_back(full);
    if (!owned && !ended && s.flags.on("force")) out.unmanaged.push_back(full);
    out.pods.push_back({m, ns, name, std::move(p), ""});
  }
  if (!daemons.empty()) out.problems.push_back("cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore): " + join(daemons, ", "));
  if (!dirs.empty()) out.problems.push_back("cannot delete Pods with local storage (use --delete-emptydir-data to override): " + join(dirs, ", "));
  if (!bare.empty()) out.problems.push_back("cannot delete Pods that declare no controller (use --force to override): " + join(bare, ", "));
  return out;
}

Result<> evict(Session& s, const Target& pod, const Deadline& deadline) {
  Node options = Node::object();
  if (s.flags.number("grace-period") >= 0) options.set("gracePeriodSeconds", s.flags.number("grace-period"));
  Node body = Node::obj({{"apiVersion", "policy/v1"}, {"kind", "Eviction"}, {"metadata", Node::obj({{"name", pod.name}, {"namespace", pod.ns}})}, {"deleteOptions", options}});
  for (;;) {
    auto done = s.flags.on("disable-eviction") ? s.call("DELETE", pod.url(), &options) : s.call("POST", pod.url("eviction"), &body);
    if (done.ok() || done.status().is(Reason::NotFound)) return {};
    if (!done.status().is(Reason::TooManyRequests)) return done.status();
    if (deadline.passed()) return usage("global timeout reached: " + s.flags.text("timeout"));
    s.err("error when evicting pods/" + json::quoted(pod.name) + " -n " + json::quoted(pod.ns) + " (will retry after 5s): " + done.status().message().substr(done.status().message().find("): ") + 3) + "\n");
    std::this_thread::sleep_for(seconds(5));
  }
}

Result<> drain_one(Session& s, const Target& node, const DryRun& dry) {
  TRY_OK(cordon_one(s, node, true, dry));
  TRY(Evictions plan, evictions(s, node.name));
  if (!plan.problems.empty()) return usage("unable to drain node " + json::quoted(node.name) + " due to error: " + (plan.problems.size() == 1 ? plan.problems[0] : "[" + join(plan.problems, ", ") + "]") + ", continuing command...\nThere are pending nodes to be drained:\n " + node.name + "\n" + join(plan.problems, "\n"));
  std::vector<std::string> warnings;
  if (!plan.unmanaged.empty()) warnings.push_back("deleting Pods that declare no controller: " + join(plan.unmanaged, ", "));
  if (!plan.ignored.empty()) warnings.push_back("ignoring DaemonSet-managed Pods: " + join(plan.ignored, ", "));
  if (!warnings.empty()) s.err("Warning: " + join(warnings, "; ") + "\n");
  Deadline deadline = s.flags.time("timeout").count() > 0 ? Deadline(s.flags.time("timeout")) : Deadline();
  for (const Target& p : plan.pods) {
    s.out("evicting pod " + p.ns + "/" + p.name + dry_run_suffix(s) + "\n");
    if (dry.client || dry.server) continue;
    TRY_OK(evict(s, p, deadline));
  }
  if (!dry.client && !dry.server)
    for (const Target& p : plan.pods) {
      TRY_OK(wait_gone(s, p, p.object.path("metadata.uid").str(), deadline));
      s.out("pod/" + p.name + " evicted\n");
    }
  s.out("node/" + node.name + " drained" + dry_run_suffix(s) + "\n");
  return {};
}

Result<> drain(Session& s) {
  TRY(DryRun dry, DryRun::of(s));
  TRY(auto nodes, chosen_nodes(s));
  for (const Target& t : nodes) {
    auto done = drain_one(s, t, dry);
    if (!done.ok()) s.fail(done.status());
  }
  return {};
}

// ---- taint ----

struct TaintEdit {
  std::string key, value, effect;
  bool remove = false;
};

Result<TaintEdit> taint_edit(const std::string& text) {
  TaintEdit e;
  std::string t = text;
  if (t.ends_with('-')) e.remove = true, t.pop_back();
  if (size_t colon = t.rfind(':'); colon != std::string::npos) e.effect = t.substr(colon + 1), t = t.substr(0, colon);
  if (size_t eq = t.find('='); eq != std::string::npos) e.value = t.substr(eq + 1), t = t.substr(0, eq);
  e.key = t;
  if (!is_qualified_name(e.key) || (!e.remove && e.effect.empty())) return usage("invalid taint spec: " + text);
  if (!e.effect.empty() && e.effect != "NoSchedule" && e.effect != "PreferNoSchedule" && e.effect != "NoExecute") return usage("invalid taint effect: " + e.effect + ", unsupported taint effect\nSee 'kubectl taint -h' for help and examples");
  return e;
}

Result<> taint_one(Session& s, const Target& t, const std::vector<TaintEdit>& edits) {
  TRY(DryRun dry, DryRun::of(s));
  Node taints = t.object.path("spec.taints").is_array() ? t.object.path("spec.taints") : Node::array();
  bool added = false, removed = false;
  for (const TaintEdit& e : edits) {
    auto& list = taints.items();
    auto same = [&e](const Node& n) { return n.get("key").str() == e.key && (e.effect.empty() || n.get("effect").str() == e.effect); };
    auto it = std::find_if(list.begin(), list.end(), same);
    if (e.remove) {
      if (it == list.end()) return usage("taint " + json::quoted(e.key + (e.effect.empty() ? "" : ":" + e.effect)) + " not found");
      list.erase(std::remove_if(list.begin(), list.end(), same), list.end());
      removed = true;
      continue;
    }
    if (it != list.end() && !s.flags.on("overwrite")) return usage("node " + t.name + " already has " + e.key + " taint(s) with same effect(s) and --overwrite is false");
    if (it != list.end()) list.erase(it);
    Node n = Node::obj({{"key", e.key}, {"effect", e.effect}});
    if (!e.value.empty()) n.set("value", e.value);
    taints.append(std::move(n));
    added = true;
  }
  Node shown = t.object;
  if (!dry.client) {
    Node patch = Node::obj({{"metadata", Node::obj({{"resourceVersion", t.object.path("metadata.resourceVersion")}})}, {"spec", Node::obj({{"taints", taints.empty() ? Node(nullptr) : taints}})}});
    TRY(shown, s.patch(with_query(t.url(), {{"dryRun", dry.query()}, {"fieldManager", "kubectl-taint"}}), PatchKind::Merge, patch));
  }
  std::string word = (added && removed) || (added && s.flags.on("overwrite")) ? "modified" : removed ? "untainted" : "tainted";
  TRY(Output output, Output::parse(s));
  if (!output.table()) return print_object(s, output, shown, &t.mapping);
  s.out(t.mapping.full_singular() + "/" + t.name + " " + word + "\n");  // without the "(dry run)" of other commands
  return {};
}

Result<> taint(Session& s) {
  std::vector<std::string> words;
  std::vector<TaintEdit> edits;
  for (const std::string& a : s.flags.args) {
    bool edit = a.find('=') != std::string::npos || a.find(':') != std::string::npos || (a.ends_with('-') && !words.empty());
    if (!edit) {
      words.push_back(a);
      continue;
    }
    TRY(TaintEdit e, taint_edit(a));
    edits.push_back(e);
  }
  if (words.empty()) return usage("one or more resources must be specified as <resource> <name>");
  TRY(Mapping type, s.mapping(words[0].substr(0, words[0].find('/'))));
  if (type.kind != "Node") return usage("invalid resource type " + words[0] + ", only node types are supported");
  if (edits.empty()) return usage("at least one taint update is required");
  TRY(auto targets, choose_targets(s, {.words = &words}));
  for (const Target& t : targets) {
    auto done = taint_one(s, t, edits);
    if (!done.ok()) s.fail(done.status());
  }
  return {};
}

}  // namespace

std::vector<Command> node_commands() {
  std::vector<FlagSpec> basic = {{"selector", 'l', FlagKind::Text, "", "Label selector of the nodes"}, {"dry-run", 0, FlagKind::Text, "none", "none, client or server", "client"}, output_flag()};
  return {{"cordon", "Cluster Management Commands", "Mark node as unschedulable", "NODE", basic, cordon},
          {"uncordon", "Cluster Management Commands", "Mark node as schedulable", "NODE", basic, cordon},
          {"drain", "Cluster Management Commands", "Drain node in preparation for maintenance", "NODE",
           flags_of({basic, {{"ignore-daemonsets", 0, FlagKind::Bool, "false", "Leave pods of daemon sets"}, {"delete-emptydir-data", 0, FlagKind::Bool, "false", "Also pods with emptyDir volumes"}, {"force", 0, FlagKind::Bool, "false", "Also pods without a controller"},
                             {"grace-period", 0, FlagKind::Number, "-1", "Seconds to end in good order"}, {"timeout", 0, FlagKind::Time, "0s", "How long to try"}, {"pod-selector", 0, FlagKind::Text, "", "Only these pods"}, {"disable-eviction", 0, FlagKind::Bool, "false", "Delete instead of evicting"}}}), drain},
          {"taint", "Cluster Management Commands", "Update the taints on one or more nodes", "NODE NAME KEY_1=VAL_1:TAINT_EFFECT_1 ... KEY_N=VAL_N:TAINT_EFFECT_N",
           flags_of({selector_flags(), write_flags(), {{"overwrite", 0, FlagKind::Bool, "false", "Replace taints that are there"}, {"all", 0, FlagKind::Bool, "false", "All nodes"}}}), taint}};
}

}  // namespace k8lite::kubectl
