// Commands that start things in a few words: run, expose, scale, autoscale.
#include <algorithm>

#include "base/quantity.h"
#include "base/strings.h"
#include "kubectl/commands/creating.h"
#include "kubectl/commands/streams.h"
#include "kubectl/printers.h"
#include "kubectl/resources.h"
#include "kubectl/waiting.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

Result<Node> labels_from(const std::string& text, const std::string& name) {
  if (text.empty()) return Node::obj({{"run", name}});
  Node out = Node::object();
  for (const std::string& pair : split_strings(text, ',')) {
    size_t eq = pair.find('=');
    if (eq == std::string::npos) return usage("unexpected label spec: " + pair);
    out.set(pair.substr(0, eq), pair.substr(eq + 1));
  }
  return out;
}

Result<Node> run_pod(Session& s, const std::string& name) {
  TRY(Node labels, labels_from(s.flags.text("labels"), name));
  std::string restart = s.flags.text("restart");
  if (restart != "Always" && restart != "OnFailure" && restart != "Never") return usage("invalid restart policy: " + restart);
  Node c = Node::obj({{"name", name}, {"image", s.flags.text("image")}, {"resources", Node::object()}});
  if (s.flags.changed("image-pull-policy")) c.set("imagePullPolicy", s.flags.text("image-pull-policy"));
  for (size_t i = 1; i < s.flags.args.size(); ++i) c[s.flags.on("command") ? "command" : "args"].append(s.flags.args[i]);
  for (const std::string& e : s.flags.all("env")) {
    size_t eq = e.find('=');
    if (eq == std::string::npos || eq == 0) return usage("invalid env: " + e);
    c["env"].append(Node::obj({{"name", e.substr(0, eq)}, {"value", e.substr(eq + 1)}}));
  }
  if (s.flags.changed("port")) c["ports"].append(Node::obj({{"containerPort", s.flags.number("port")}}));
  if (s.flags.on("stdin")) c.set("stdin", true), c.set("stdinOnce", true);
  if (s.flags.on("tty")) c.set("tty", true);
  if (s.flags.on("privileged")) c["securityContext"].set("privileged", true);
  Node pod = Node::obj({{"apiVersion", "v1"}, {"kind", "Pod"}, {"metadata", Node::obj({{"name", name}, {"labels", labels}})},
                        {"spec", Node::obj({{"containers", Node::arr({c})}, {"restartPolicy", restart}, {"dnsPolicy", "ClusterFirst"}})}});
  for (const std::string& a : s.flags.all("annotations")) {
    size_t eq = a.find('=');
    if (eq != std::string::npos) pod["metadata"]["annotations"].set(a.substr(0, eq), a.substr(eq + 1));
  }
  if (s.flags.changed("overrides")) {
    auto more = Node::parse(s.flags.text("overrides"));
    if (!more.ok()) return usage("invalid --overrides: " + more.status().message());
    merge_into(pod, *more);
  }
  return pod;
}

Result<> run(Session& s) {
  if (!s.flags.changed("image")) return usage("required flag(s) \"image\" not set");
  if (s.flags.args.empty()) return usage("NAME is required for run\nSee 'kubectl run -h' for help and examples");
  if (!s.flags.changed("image")) return usage("required flag(s) \"image\" not set");
  TRY(DryRun dry, DryRun::of(s));
  bool attach = s.flags.on("attach") || s.flags.on("stdin") || s.flags.on("tty");
  if (s.flags.on("rm") && !attach) return usage("--rm should only be used for attached containers");
  if (attach && (dry.client || dry.server)) return usage("--dry-run=" + s.flags.text("dry-run") + " can't be used with attached containers options (--attach, --stdin, or --tty)");
  std::string name = s.flags.args[0];
  TRY(Node pod, run_pod(s, name));
  TRY(std::string ns, s.ns());
  Target t;
  t.mapping.version = "v1", t.mapping.resource = "pods", t.mapping.singular = "pod", t.mapping.kind = "Pod";
  t.ns = ns, t.name = name;
  if (dry.client) add_empty_parts(pod);
  if (dry.client) return print_done(s, pod, t.mapping, "created");
  auto made = s.call("POST", with_query(url_of(t.mapping, ns), {{"fieldManager", field_manager(s, "kubectl-run")}, {"dryRun", dry.query()}}), &pod);
  if (!made.ok()) return made.status();
  if (!attach) return print_done(s, *made, t.mapping, "created");
  auto done = attach_to_pod(s, t, name);
  if (s.flags.on("rm")) {
    auto removed = s.call("DELETE", t.url());
    if (removed.ok()) s.out("pod \"" + name + "\" deleted from " + ns + " namespace\n");
    else if (!removed.status().is(Reason::NotFound)) s.fail(removed.status());
  }
  return done;
}

// ---- expose ----

Node expose_ports(const Session& s, const Node& object, const std::string& kind) {
  Node ports = Node::array();
  Node target = s.flags.changed("target-port") ? (parse_int(s.flags.text("target-port")) ? Node(s.flags.number("target-port")) : Node(s.flags.text("target-port"))) : Node();
  auto add = [&](int64_t number, const std::string& protocol, const std::string& name) {
    Node p = Node::obj({{"port", number}, {"protocol", protocol}, {"targetPort", target.is_null() ? Node(number) : target}});
    if (!name.empty()) p.set("name", name);
    ports.append(std::move(p));
  };
  std::string protocol = s.flags.text("protocol").empty() ? "TCP" : s.flags.text("protocol");
  if (s.flags.changed("port")) {
    for (const std::string& p : s.flags.list("port")) add(parse_int(p).value_or(0), protocol, "");
  } else if (kind == "Service") {
    for (const Node& p : object.path("spec.ports").items()) add(p["port"].int_or(0), p["protocol"].str_or("TCP"), "");
  } else {
    const Node& spec = kind == "Pod" ? object["spec"] : object.path("spec.template.spec");
    for (const Node& c : spec["containers"].items())
      for (const Node& p : c["ports"].items()) add(p["containerPort"].int_or(0), s.flags.text("protocol").empty() ? p["protocol"].str_or("TCP") : protocol, "");
  }
  if (ports.size() > 1)
    for (size_t i = 0; i < ports.items().size(); ++i) ports.items()[i].set("name", "port-" + std::to_string(i + 1));
  return ports;
}

Result<> expose(Session& s) {
  TRY(DryRun dry, DryRun::of(s));
  TRY(auto targets, choose_targets(s, {}));
  for (const Target& t : targets) {
    const std::string& kind = t.mapping.kind;
    Node selector;
    if (s.flags.changed("selector")) {
      TRY(selector, labels_from(s.flags.text("selector"), ""));
    } else if (kind == "Service" || kind == "ReplicationController") {
      selector = t.object.path("spec.selector");
    } else if (kind == "Pod") {
      selector = t.object.path("metadata.labels");
      if (selector.empty()) return usage("couldn't retrieve selectors via --selector flag or introspection: the pod has no labels and cannot be exposed");
    } else if (kind == "Deployment" || kind == "ReplicaSet") {
      if (!t.object.path("spec.selector.matchExpressions").empty()) return usage("couldn't convert expressions - \"" + t.object.path("spec.selector.matchExpressions").dump() + "\" to map-based selector format");
      selector = t.object.path("spec.selector.matchLabels");
    } else {
      return usage("cannot expose a " + t.mapping.full_resource());
    }
    Node ports = expose_ports(s, t.object, kind);
    if (ports.empty() && s.flags.text("cluster-ip") != "None") return usage("couldn't find port via --port flag or introspection");
    std::string name = s.flags.changed("name") ? s.flags.text("name") : t.name;
    Node spec = Node::obj({{"ports", ports}, {"selector", selector}});
    if (s.flags.changed("type")) spec.set("type", s.flags.text("type"));
    if (s.flags.changed("cluster-ip")) spec.set("clusterIP", s.flags.text("cluster-ip"));
    if (s.flags.changed("external-ip")) spec.set("externalIPs", Node::arr({s.flags.text("external-ip")}));
    if (s.flags.changed("session-affinity")) spec.set("sessionAffinity", s.flags.text("session-affinity"));
    if (s.flags.changed("load-balancer-ip")) spec.set("loadBalancerIP", s.flags.text("load-balancer-ip"));
    Node meta = Node::obj({{"name", name}});
    Node labels = t.object.path("metadata.labels");
    if (s.flags.changed("labels")) {
      TRY(labels, labels_from(s.flags.text("labels"), ""));
    }
    if (!labels.empty()) meta.set("labels", labels);
    Node service = Node::obj({{"apiVersion", "v1"}, {"kind", "Service"}, {"metadata", meta}, {"spec", spec}});
    Mapping m;
    m.version = "v1", m.resource = "services", m.singular = "service", m.kind = "Service";
    if (dry.client) {
      add_empty_parts(service);
      TRY_OK(print_done(s, service, m, "exposed"));
      continue;
    }
    TRY(Node made, s.call("POST", with_query(url_of(m, t.ns), {{"fieldManager", field_manager(s, "kubectl-expose")}, {"dryRun", dry.query()}}), &service));
    TRY_OK(print_done(s, made, m, "exposed"));
  }
  return {};
}

// ---- scale ----

Result<> scale_one(Session& s, const Target& t, const DryRun& dry, int64_t replicas) {
  if (std::find(t.mapping.subresources.begin(), t.mapping.subresources.end(), "scale") == t.mapping.subresources.end())
    return Status(Reason::NotFound, "Error from server (NotFound): the server could not find the requested resource");
  int64_t current = s.flags.number("current-replicas");
  std::string version = s.flags.text("resource-version");
  if (current >= 0 || !version.empty()) {
    TRY(Node scale, s.get(t.url("scale")));
    int64_t is = std::as_const(scale).path("spec.replicas").int_or(0);
    if (current >= 0 && is != current) return usage("Expected replicas to be " + std::to_string(current) + ", was " + std::to_string(is));
    if (!version.empty() && std::as_const(scale).path("metadata.resourceVersion").str() != version)
      return usage("Expected resource version to be " + version + ", was " + std::as_const(scale).path("metadata.resourceVersion").str());
  }
  if (!dry.client) {
    TRY_OK(s.patch(with_query(t.url("scale"), {{"fieldManager", "kubectl"}, {"dryRun", dry.query()}}), PatchKind::Merge, Node::obj({{"spec", Node::obj({{"replicas", replicas}})}})));
  }
  Node shown = t.object;
  shown["spec"].set("replicas", replicas);
  TRY_OK(print_done(s, shown, t.mapping, "scaled"));
  if (s.flags.time("timeout").count() <= 0 || dry.client || dry.server) return {};
  return watch_until(s, t, Deadline(s.flags.time("timeout")), [replicas](const Node& o) -> Result<bool> {
    return o.is_object() && o.path("status.replicas").int_or(0) == replicas && o.path("status.observedGeneration").int_or(0) >= o.path("metadata.generation").int_or(0);
  });
}

Result<> scale(Session& s) {
  if (!s.flags.changed("replicas")) return usage("required flag(s) \"replicas\" not set");
  if (s.flags.number("replicas") < 0) return usage("The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0");
  TRY(DryRun dry, DryRun::of(s));
  TRY(auto targets, choose_targets(s, {}));
  if (targets.empty() && !s.exit_code) return usage("no objects passed to scale");
  for (const Target& t : targets) {
    auto done = scale_one(s, t, dry, s.flags.number("replicas"));
    if (!done.ok()) s.fail(done.status());
  }
  return {};
}

// "70%": a percentage of what pods request; "500m" or "500": an amount a pod (bare numbers of CPU are thousandths, of memory mebibytes).
Result<Node> resource_metric(const std::string& resource, std::string text) {
  Node target;
  bool percent = text.ends_with('%');
  if (percent) text.pop_back();
  auto number = parse_int(text);
  if (percent && (!number || *number < 1)) return usage("invalid value for --" + resource + ": the percentage must be a positive integer");
  if (percent) {
    target = Node::obj({{"type", "Utilization"}, {"averageUtilization", *number}});
  } else {
    if (number) text += resource == "cpu" ? "m" : "Mi";
    if (!Quantity::parse(text)) return usage("invalid value for --" + resource + ": " + json::quoted(text) + " is neither a percentage nor a quantity");
    target = Node::obj({{"type", "AverageValue"}, {"averageValue", text}});
  }
  return Node::obj({{"type", "Resource"}, {"resource", Node::obj({{"name", resource}, {"target", std::move(target)}})}});
}

Result<> autoscale(Session& s) {
  if (!s.flags.changed("max")) return usage("required flag(s) \"max\" not set");
  if (s.flags.changed("cpu") && s.flags.changed("cpu-percent")) return usage("if any flags in the group [cpu-percent cpu] are set none of the others can be; [cpu cpu-percent] were all set");
  if (s.flags.number("max") < 1) return usage("--max=MAXPODS is required and must be at least 1, max: " + s.flags.text("max"));
  TRY(DryRun dry, DryRun::of(s));
  TRY(auto targets, choose_targets(s, {}));
  for (const Target& t : targets) {
    Node spec = Node::obj({{"maxReplicas", s.flags.number("max")}, {"scaleTargetRef", Node::obj({{"apiVersion", t.mapping.api_version()}, {"kind", t.mapping.kind}, {"name", t.name}})}});
    if (s.flags.number("min") > 0) spec.set("minReplicas", s.flags.number("min"));
    for (const char* resource : {"cpu", "memory"}) {
      std::string wanted = s.flags.text(resource);
      if (wanted.empty() && std::string_view(resource) == "cpu" && s.flags.number("cpu-percent") > 0) wanted = s.flags.text("cpu-percent") + "%";
      if (wanted.empty()) continue;
      TRY(Node metric, resource_metric(resource, wanted));
      spec["metrics"].append(std::move(metric));
    }
    Node hpa = Node::obj({{"apiVersion", "autoscaling/v2"}, {"kind", "HorizontalPodAutoscaler"}, {"metadata", Node::obj({{"name", s.flags.changed("name") ? s.flags.text("name") : t.name}})}, {"spec", spec}});
    Mapping m;
    m.group = "autoscaling", m.version = "v2", m.resource = "horizontalpodautoscalers", m.singular = "horizontalpodautoscaler", m.kind = "HorizontalPodAutoscaler";
    if (dry.client) {
      TRY_OK(print_done(s, hpa, m, "autoscaled"));
      continue;
    }
    TRY(Node made, s.call("POST", with_query(url_of(m, t.ns), {{"dryRun", dry.query()}, {"fieldManager", "kubectl-autoscale"}}), &hpa));
    TRY_OK(print_done(s, made, m, "autoscaled"));
  }
  return {};
}

}  // namespace

void merge_into(Node& into, const Node& more) {
  if (!into.is_object() || !more.is_object()) {
    into = more;
    return;
  }
  for (const auto& m : more.members()) {
    if (m.second.is_null()) into.erase(m.first);
    else merge_into(into[m.first], m.second);
  }
}

std::vector<Command> run_commands() {
  return {
      {"expose", "Basic Commands (Beginner)", "Take a replication controller, service, deployment or pod and expose it as a new Kubernetes service",
       "(-f FILENAME | TYPE NAME) [--port=port] [--protocol=TCP|UDP|SCTP] [--target-port=number-or-name] [--name=name] [--type=type]",
       flags_of({write_flags(), file_flags(),
                 {{"port", 0, FlagKind::List, "", "Port of the service"}, {"target-port", 0, FlagKind::Text, "", "Name or number of the container's port"}, {"protocol", 0, FlagKind::Text, "", "TCP, UDP or SCTP"},
                  {"name", 0, FlagKind::Text, "", "Name of the service"}, {"type", 0, FlagKind::Text, "", "ClusterIP, NodePort, LoadBalancer"}, {"selector", 0, FlagKind::Text, "", "Selector of the service"},
                  {"labels", 'l', FlagKind::Text, "", "Labels of the service"}, {"cluster-ip", 0, FlagKind::Text, "", "Address or None"}, {"external-ip", 0, FlagKind::Text, "", "Further address"},
                  {"session-affinity", 0, FlagKind::Text, "", "None or ClientIP"}, {"load-balancer-ip", 0, FlagKind::Text, "", "Wanted address"}}}),
       expose},
      {"run", "Basic Commands (Beginner)", "Run a particular image on the cluster", "NAME --image=image [--env=\"key=value\"] [--port=port] [--dry-run=server|client] [--overrides=inline-json] [--command] -- [COMMAND] [args...]",
       flags_of({write_flags(),
                 {{"image", 0, FlagKind::Text, "", "Image to run"}, {"env", 0, FlagKind::List, "", "NAME=value"}, {"port", 0, FlagKind::Number, "0", "Container port"}, {"labels", 'l', FlagKind::Text, "", "Labels of the pod"},
                  {"annotations", 0, FlagKind::List, "", "Annotations of the pod"}, {"restart", 0, FlagKind::Text, "Always", "Always, OnFailure, Never"}, {"command", 0, FlagKind::Bool, "false", "The words are the command, not its arguments"},
                  {"image-pull-policy", 0, FlagKind::Text, "", "Always, IfNotPresent, Never"}, {"stdin", 'i', FlagKind::Bool, "false", "Keep stdin open"}, {"tty", 't', FlagKind::Bool, "false", "Give the container a terminal"},
                  {"attach", 0, FlagKind::Bool, "false", "Attach when it runs"}, {"rm", 0, FlagKind::Bool, "false", "Delete the pod afterwards"}, {"quiet", 'q', FlagKind::Bool, "false", "No prompts"},
                  {"privileged", 0, FlagKind::Bool, "false", "Privileged container"}, {"overrides", 0, FlagKind::Text, "", "JSON merged into the object"},
                  {"pod-running-timeout", 0, FlagKind::Time, "1m0s", "How long to wait for the pod to run"}}}),
       run},
      {"scale", "Deploy Commands", "Set a new size for a deployment, replica set, or replication controller", "[--resource-version=version] [--current-replicas=count] --replicas=COUNT (-f FILENAME | TYPE NAME)",
       flags_of({write_flags(), file_flags(), selector_flags(),
                 {{"replicas", 0, FlagKind::Number, "-1", "New size"}, {"current-replicas", 0, FlagKind::Number, "-1", "Only when this is the size now"}, {"resource-version", 0, FlagKind::Text, "", "Only at this version"},
                  {"timeout", 0, FlagKind::Time, "0s", "Wait this long for the new size"}, {"all", 0, FlagKind::Bool, "false", "All objects of the type"}}}),
       scale},
      {"autoscale", "Deploy Commands", "Auto-scale a deployment, replica set, stateful set, or replication controller", "(-f FILENAME | TYPE NAME) [--min=MINPODS] --max=MAXPODS [--cpu=PERCENT%|QUANTITY] [--memory=PERCENT%|QUANTITY]",
       flags_of({write_flags(), file_flags(),
                 {{"min", 0, FlagKind::Number, "-1", "Least pods"}, {"max", 0, FlagKind::Number, "-1", "Most pods"}, {"cpu", 0, FlagKind::Text, "", "CPU use to aim at: 70% of the requests, or 500m a pod"}, {"memory", 0, FlagKind::Text, "", "Memory use to aim at: 70% of the requests, or 500Mi a pod"}, {"cpu-percent", 0, FlagKind::Number, "-1", "The same as --cpu=N%"}, {"name", 0, FlagKind::Text, "", "Name of the autoscaler"}}}),
       autoscale}};
}

}  // namespace k8lite::kubectl
