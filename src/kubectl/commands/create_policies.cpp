// kubectl create ingress, poddisruptionbudget, priorityclass and quota.
#include "base/strings.h"
#include "kubectl/commands/creating.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

Node port_of(const std::string& word) {
  auto number = parse_int(word);
  return number ? Node::obj({{"number", *number}}) : Node::obj({{"name", word}});
}

Result<Node> backend_of(const std::string& word) {
  size_t colon = word.find(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == word.size()) return usage("default-backend should be in format servicename:serviceport");
  return Node::obj({{"service", Node::obj({{"name", word.substr(0, colon)}, {"port", port_of(word.substr(colon + 1))}})}});
}

// "host/path*=service:port,tls=secret" into a rule (paths of one host together) and a TLS entry.
Result<> add_rule(Node& spec, const std::string& text) {
  Status malformed = usage("rule " + text + " is invalid and should be in format host/path=svcname:svcport[,tls[=secret]]");
  size_t slash = text.find('/'), eq = text.find('=');
  if (slash == std::string::npos || eq == std::string::npos || slash > eq) return malformed;
  std::string host = text.substr(0, slash), path = text.substr(slash, eq - slash);
  auto parts = split_strings(text.substr(eq + 1), ',');
  auto backend = backend_of(parts[0]);
  if (!backend.ok()) return malformed;
  bool prefix = path.ends_with('*');
  if (prefix) path.pop_back();
  Node entry = Node::obj({{"path", path}, {"pathType", prefix ? "Prefix" : "Exact"}, {"backend", *backend}});
  Node* rule = nullptr;
  for (Node& r : spec["rules"].items())
    if (std::as_const(r)["host"].str() == host) rule = &r;
  if (!rule) {
    Node fresh = host.empty() ? Node::object() : Node::obj({{"host", host}});
    rule = &spec["rules"].append(std::move(fresh));
  }
  (*rule)["http"]["paths"].append(std::move(entry));
  if (parts.size() < 2) return {};
  if (!parts[1].starts_with("tls")) return malformed;
  Node tls = Node::object();
  if (!host.empty()) tls["hosts"].append(host);
  if (parts[1].starts_with("tls=")) tls.set("secretName", parts[1].substr(4));
  spec["tls"].append(std::move(tls));
  return {};
}

Result<> create_ingress(Session& s) {
  Node spec = Node::object(), object = Node::object();
  if (s.flags.changed("class")) spec.set("ingressClassName", s.flags.text("class"));
  if (s.flags.changed("default-backend")) {
    TRY(Node backend, backend_of(s.flags.text("default-backend")));
    spec.set("defaultBackend", std::move(backend));
  }
  for (const std::string& r : s.flags.all("rule")) TRY_OK(add_rule(spec, r));
  if (!spec.find("rules") && !spec.find("defaultBackend"))
    return usage("not enough information provided: every ingress has to either specify a default-backend (which catches all traffic) or a list of rules (which catch specific paths)");
  for (const std::string& a : s.flags.all("annotation")) {
    size_t eq = a.find('=');
    if (eq == std::string::npos || eq == 0) return usage("annotation " + a + " is invalid and should be in format key=[value]");
    object["metadata"]["annotations"].set(a.substr(0, eq), a.substr(eq + 1));
  }
  object.set("spec", std::move(spec));
  return generate(s, "networking.k8s.io", "v1", "Ingress", "ingresses", true, std::move(object));
}

Node number_or_text(const std::string& word) {
  auto number = parse_int(word);
  return number ? Node(*number) : Node(word);
}

Result<> create_budget(Session& s) {
  if (s.flags.text("selector").empty()) return usage("a selector must be specified");
  bool least = s.flags.changed("min-available"), most = s.flags.changed("max-unavailable");
  if (!least && !most) return usage("one of min-available or max-unavailable must be specified");
  if (least && most) return usage("min-available and max-unavailable cannot be both specified");
  Node labels = Node::object();
  for (const std::string& pair : split_strings(s.flags.text("selector"), ',')) {
    size_t eq = pair.find('=');
    if (eq == std::string::npos || eq == 0) return usage("the selector must be made of key=value pairs");
    labels.set(pair.substr(0, eq), pair.substr(pair.find_first_not_of('=', eq) == std::string::npos ? pair.size() : pair.find_first_not_of('=', eq)));
  }
  Node spec = Node::obj({{"selector", Node::obj({{"matchLabels", labels}})}});
  if (least) spec.set("minAvailable", number_or_text(s.flags.text("min-available")));
  if (most) spec.set("maxUnavailable", number_or_text(s.flags.text("max-unavailable")));
  return generate(s, "policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", true, Node::obj({{"spec", spec}}));
}

Result<> create_priority(Session& s) {
  Node object = Node::obj({{"value", s.flags.number("value")}, {"preemptionPolicy", s.flags.text("preemption-policy")}});
  if (s.flags.on("global-default")) object.set("globalDefault", true);
  if (s.flags.changed("description")) object.set("description", s.flags.text("description"));
  return generate(s, "scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", false, std::move(object));
}

Result<> create_quota(Session& s) {
  Node spec = Node::object();
  for (const std::string& pair : s.flags.list("hard")) {
    size_t eq = pair.find('=');
    if (eq == std::string::npos || eq == 0) return usage("Invalid argument syntax " + pair + ", expected <resource>=<value>");
    spec["hard"].set(pair.substr(0, eq), pair.substr(eq + 1));
  }
  for (const std::string& scope : s.flags.list("scopes")) spec["scopes"].append(scope);
  return generate(s, "", "v1", "ResourceQuota", "resourcequotas", true, Node::obj({{"spec", spec}}));
}

}  // namespace

void add_empty_parts(Node& object) {
  const std::string kind = std::as_const(object)["kind"].str();
  auto at_least = [](Node& parent, std::string_view name) {
    if (!std::as_const(parent).find(name)) parent.set(name, Node::object());
  };
  auto containers = [&at_least](Node& pod) {
    for (Node& c : pod["containers"].items()) at_least(c, "resources");
  };
  if (kind == "Deployment") at_least(object["spec"], "strategy"), containers(object["spec"]["template"]["spec"]);
  if (kind == "Job") at_least(object["spec"]["template"], "metadata"), containers(object["spec"]["template"]["spec"]);
  if (kind == "CronJob") {
    Node& t = object["spec"]["jobTemplate"]["spec"]["template"];
    at_least(t, "metadata");
    containers(t["spec"]);
  }
  if (kind == "Namespace") at_least(object, "spec");
  if (kind == "Service" || kind == "Ingress") at_least(object["status"], "loadBalancer");
  if (kind == "PodDisruptionBudget") object.set("status", Node::obj({{"currentHealthy", 0}, {"desiredHealthy", 0}, {"disruptionsAllowed", 0}, {"expectedPods", 0}}));
  for (const char* k : {"Deployment", "Job", "CronJob", "Namespace", "Pod", "ResourceQuota"})
    if (kind == k) at_least(object, "status");
}

std::vector<Command> further_create_commands(const std::vector<FlagSpec>& common) {
  auto make = [&common](std::string name, std::string summary, std::string words, std::vector<FlagSpec> flags, Result<> (*run)(Session&), std::vector<std::string> aliases) {
    Command c{std::move(name), "", std::move(summary), std::move(words), flags_of({common, flags}), run};
    c.aliases = std::move(aliases);
    return c;
  };
  return {make("ingress", "Create an ingress with the specified name", "NAME --rule=host/path=service:port[,tls[=secret]]",
               {{"rule", 0, FlagKind::List, "", "host/path=service:port[,tls[=secret]]; a path ending in * is a prefix"}, {"class", 0, FlagKind::Text, "", "Ingress class"},
                {"default-backend", 0, FlagKind::Text, "", "service:port for all other requests"}, {"annotation", 0, FlagKind::List, "", "key=value"}},
               create_ingress, {"ing"}),
          make("poddisruptionbudget", "Create a pod disruption budget with the specified name", "NAME --selector=SELECTOR --min-available=N",
               {{"selector", 0, FlagKind::Text, "", "Labels of the pods"}, {"min-available", 0, FlagKind::Text, "", "Pods (or percent) that must stay"}, {"max-unavailable", 0, FlagKind::Text, "", "Pods (or percent) that may go"}},
               create_budget, {"pdb"}),
          make("priorityclass", "Create a priority class with the specified name", "NAME --value=VALUE --global-default=BOOL",
               {{"value", 0, FlagKind::Number, "0", "The priority"}, {"global-default", 0, FlagKind::Bool, "false", "For pods that name no class"}, {"description", 0, FlagKind::Text, "", "What it is for"},
                {"preemption-policy", 0, FlagKind::Text, "PreemptLowerPriority", "PreemptLowerPriority or Never"}},
               create_priority, {"pc"}),
          make("quota", "Create a quota with the specified name", "NAME [--hard=key1=value1,key2=value2] [--scopes=Scope1,Scope2]",
               {{"hard", 0, FlagKind::List, "", "resource=amount"}, {"scopes", 0, FlagKind::List, "", "Scopes"}}, create_quota, {"resourcequota"})};
}

}  // namespace k8lite::kubectl
