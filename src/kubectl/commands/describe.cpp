// kubectl describe: gathers an object with what belongs to it (events, pods, replica sets ...); the text is made in describe/.
#include "base/strings.h"
#include "kubectl/commands/commands.h"
#include "kubectl/describe/describe.h"
#include "kubectl/resources.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

Result<std::vector<Node>> events_of(Session& s, const Target& t) {
  TRY(Mapping events, s.mapping("events"));
  std::string base = "involvedObject.name=" + t.name + ",involvedObject.kind=" + t.mapping.kind;
  if (!t.ns.empty()) base += ",involvedObject.namespace=" + t.ns;
  std::string uid = t.object.path("metadata.uid").str();
  TRY(auto found, list_objects(s, events, t.ns, "", base + ",involvedObject.uid=" + uid));
  if (t.mapping.kind == "Node" && uid != t.name) {  // kubelets name a node's events by its name
    TRY(auto more, list_objects(s, events, "", "", base + ",involvedObject.uid=" + t.name));
    std::move(more.begin(), more.end(), std::back_inserter(found));
  }
  return found;
}

Result<Subject> subject_of(Session& s, const Target& t, const Describer& how) {
  Subject subject;
  subject.object = t.object;
  subject.show_events = s.flags.on("show-events");
  subject.now = system_clock().now();
  bool node = t.mapping.kind == "Node", space = t.mapping.kind == "Namespace";
  for (std::string_view resource : how.needs) {
    TRY(const Discovery* d, s.discovery());
    const Mapping* m = d->find(resource);
    if (!m) continue;
    std::string fields = node ? "spec.nodeName=" + t.name : "";
    auto found = list_objects(s, *m, space ? t.name : node ? "" : t.ns, "", fields);
    if (found.ok()) subject.related[std::string(resource)] = std::move(found).value();
    else if (!found.status().is(Reason::Forbidden)) return found.status();
  }
  if (node) {
    auto lease = s.get("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/" + t.name);
    if (lease.ok()) subject.related["leases.coordination.k8s.io"].push_back(std::move(lease).value());
  }
  if (subject.show_events && how.events) {
    auto events = events_of(s, t);
    if (events.ok()) subject.events = std::move(events).value();
  }
  return subject;
}

// Names that are no object's are taken as the beginning of names.
Result<std::vector<Target>> by_prefix(Session& s, const Target& t, const Status& missing) {
  TRY(auto all, list_objects(s, t.mapping, t.ns));
  std::vector<Target> out;
  for (Node& o : all) {
    std::string name = o.path("metadata.name").str();
    if (!name.starts_with(t.name)) continue;
    Target one = t;
    one.name = name;
    one.object = std::move(o);
    out.push_back(std::move(one));
  }
  if (out.empty()) return missing;
  return out;
}

Result<std::vector<Target>> subjects(Session& s, bool& prefix) {
  if (s.flags.changed("filename") || s.flags.changed("kustomize")) return choose_targets(s, {});
  TRY(auto named, targets_from_words(s, s.flags.args));
  std::vector<Target> out;
  for (Target& t : named) {
    if (t.name.empty()) {
      auto found = list_objects(s, t.mapping, s.all_namespaces() ? "" : t.ns, s.flags.text("selector"), s.flags.text("field-selector"));
      if (!found.ok()) {
        s.fail(found.status());
        continue;
      }
      for (Node& o : *found) {
        Target one = t;
        one.name = o.path("metadata.name").str();
        one.ns = o.path("metadata.namespace").str();
        one.object = std::move(o);
        out.push_back(std::move(one));
      }
      continue;
    }
    if (s.flags.changed("selector")) return usage("name cannot be provided when a selector is specified");
    if (s.all_namespaces() && t.mapping.namespaced) return usage("a resource cannot be retrieved by name across all namespaces");
    auto got = s.get(t.url());
    if (got.ok()) {
      t.object = std::move(got).value();
      out.push_back(std::move(t));
      continue;
    }
    prefix = named.size() == 1;
    auto more = named.size() == 1 && got.status().is(Reason::NotFound) ? by_prefix(s, t, got.status()) : Result<std::vector<Target>>(got.status());
    if (!more.ok()) s.fail(more.status());
    else std::move(more->begin(), more->end(), std::back_inserter(out));
  }
  return out;
}

Result<> run_describe(Session& s) {
  if (s.flags.args.empty() && !s.flags.changed("filename") && !s.flags.changed("kustomize"))
    return usage("You must specify the type of resource to describe. Use \"kubectl api-resources\" for a complete list of supported resources.");
  bool prefix = false, first = true;
  TRY(auto targets, subjects(s, prefix));
  for (const Target& t : targets) {
    const Describer& how = describer_of(t.mapping.group, t.mapping.kind);
    auto subject = subject_of(s, t, how);
    if (!subject.ok()) {
      s.fail(subject.status());
      continue;
    }
    std::string text = describe(how, *subject);
    s.out(prefix ? text + "\n" : (first ? "" : "\n\n") + text);
    first = false;
  }
  if (!first || s.exit_code) return {};
  TRY(std::string ns, s.ns());
  s.err(s.all_namespaces() ? "No resources found\n" : "No resources found in " + ns + " namespace.\n");
  return {};
}

}  // namespace

std::vector<Command> describe_commands() {
  Command c{"describe", "Troubleshooting and Debugging Commands", "Show details of a specific resource or group of resources", "(-f FILENAME | TYPE [NAME_PREFIX | -l label] | TYPE/NAME)",
            flags_of({selector_flags(), file_flags(),
                      {{"show-events", 0, FlagKind::Bool, "true", "Print the events of the object"}, {"chunk-size", 0, FlagKind::Number, "500", "Page size of large lists"}}}),
            run_describe};
  c.examples = "  # Describe a node\n  kubectl describe nodes n1\n\n  # Describe the pods of a deployment\n  kubectl describe pods -l app=web\n\n  # Describe all pods whose name begins with web\n  kubectl describe pods web";
  return {c};
}

}  // namespace k8lite::kubectl
