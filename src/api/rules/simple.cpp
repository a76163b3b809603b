// Services, namespaces, secrets, config maps, RBAC and the other kinds with few rules; and the table that says which kind has which.
#include <set>

#include "api/custom/definition_rules.h"
#include "api/rules/rules.h"
#include "base/strings.h"

namespace k8lite::api::rules {
namespace {

void default_service(Node& s) {
  Node& spec = s["spec"];
  if (!spec.is_object()) spec = Node::object();
  std::string type = spec.get("type").str_or("ClusterIP");
  if (spec.get("sessionAffinity").str() == "ClientIP" && !spec.path("sessionAffinityConfig.clientIP.timeoutSeconds").exists())
    spec["sessionAffinityConfig"]["clientIP"].set("timeoutSeconds", 10800);
  if (Node* ports = spec.find("ports"))
    for (Node& p : ports->items())
      if (!p.get("targetPort").exists() || (p.get("targetPort").is_integer() && p.get("targetPort").int_or(0) == 0)) p.set("targetPort", p.get("port"));
  if ((type == "NodePort" || type == "LoadBalancer") && !spec.get("externalTrafficPolicy").exists()) spec.set("externalTrafficPolicy", "Cluster");
  if (type == "LoadBalancer" && !spec.get("allocateLoadBalancerNodePorts").exists()) spec.set("allocateLoadBalancerNodePorts", true);
  if (type == "ExternalName") return (void)spec.erase("internalTrafficPolicy");
}

void validate_service(const Node& s, const Node*, Causes& causes) {
  const Node& spec = s.get("spec");
  const std::string& type = spec.get("type").str();
  if (type != "ClusterIP" && type != "NodePort" && type != "LoadBalancer" && type != "ExternalName")
    unsupported(causes, "spec.type", spec.get("type"), {"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"});
  bool headless = spec.get("clusterIP").str() == "None";
  if (spec.get("ports").size() == 0 && !headless && type != "ExternalName") required(causes, "spec.ports");
  if (type == "ExternalName" && spec.get("externalName").str().empty()) required(causes, "spec.externalName");
  if (headless && (type == "NodePort" || type == "LoadBalancer")) invalid(causes, "spec.clusterIPs[0]", Node("None"), "may not be set to 'None' for " + type + " services");
  std::set<std::string> names, ports;
  for (size_t i = 0; i < spec.get("ports").items().size(); ++i) {
    const Node& p = spec.get("ports").items()[i];
    std::string here = "spec.ports[" + std::to_string(i) + "]";
    const std::string& name = p.get("name").str();
    if (name.empty() && spec.get("ports").size() > 1) required(causes, here + ".name");
    else if (!name.empty() && !is_dns_label(name)) invalid(causes, here + ".name", p.get("name"), std::string(kLabelWords));
    else if (!name.empty() && !names.insert(name).second) duplicate(causes, here + ".name", p.get("name"));
    int64_t port = p.get("port").int_or(0);
    if (port < 1 || port > 65535) invalid(causes, here + ".port", port, "must be between 1 and 65535, inclusive");
    const Node& target = p.get("targetPort");
    if (target.is_integer() && (target.int_or(0) < 1 || target.int_or(0) > 65535)) invalid(causes, here + ".targetPort", target, "must be between 1 and 65535, inclusive");
    const std::string& protocol = p.get("protocol").str();
    if (protocol != "TCP" && protocol != "UDP" && protocol != "SCTP") unsupported(causes, here + ".protocol", p.get("protocol"), {"SCTP", "TCP", "UDP"});
    if (!ports.insert(protocol + std::to_string(port)).second) duplicate(causes, here, p);
    if (p.get("nodePort").int_or(0) != 0 && type != "NodePort" && type != "LoadBalancer") forbidden(causes, here + ".nodePort", "may not be used when `type` is '" + type + "'");
  }
}

void default_namespace(Node& ns) {
  ns["metadata"]["labels"].set("kubernetes.io/metadata.name", Node(ns.path("metadata.name").str()));
  // One that is being deleted must be able to lose it.
  bool deleting = ns.get("metadata").get("deletionTimestamp").exists();
  if (!deleting && !ns.get("spec").get("finalizers").exists()) ns["spec"].set("finalizers", Node::arr({"kubernetes"}));
  if (!ns.get("status").get("phase").exists()) ns["status"].set("phase", "Active");
}

void default_secret(Node& s) {
  if (s.get("type").str().empty()) s.set("type", "Opaque");
  for (const auto& [key, value] : std::vector<Node::Member>(s.get("stringData").members())) s["data"].set(key, base64_encode(value.str()));
  s.erase("stringData");
}

void validate_keys(const Node& o, std::string_view field, Causes& causes) {
  for (const auto& [key, value] : o.get(field).members()) {
    bool good = !key.empty() && key.size() <= 253 && key != "." && !key.starts_with("..");
    for (char c : key) good &= std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.';
    if (!good) invalid(causes, std::string(field) + "[" + key + "]", Node(key), "a valid config key must consist of alphanumeric characters, '-', '_' or '.'");
  }
}

void validate_data(const Node& o, const Node* old, Causes& causes) {
  constexpr size_t kMaxData = 1 << 20;
  size_t total = 0;
  for (const char* field : {"data", "binaryData"}) {
    validate_keys(o, field, causes);
    for (const auto& [key, value] : o.get(field).members()) total += value.str().size();
  }
  if (total > kMaxData) causes.push_back({"FieldValueTooLong", "Too long: may not be more than 1048576 bytes", "data"});
  if (!old || !old->get("immutable").bool_or(false)) return;
  if (!o.get("immutable").bool_or(false)) forbidden(causes, "immutable", "field is immutable when `immutable` is set");
  for (const char* field : {"data", "binaryData"})
    if (!(o.get(field) == old->get(field)) || o.get(field).exists() != old->get(field).exists()) forbidden(causes, field, "field is immutable when `immutable` is set");
}

void default_binding(Node& b) {
  if (b.get("roleRef").get("apiGroup").str().empty()) b["roleRef"].set("apiGroup", "rbac.authorization.k8s.io");
  if (Node* subjects = b.find("subjects"))
    for (Node& s : subjects->items())
      if (s.get("apiGroup").str().empty() && s.get("kind").str() != "ServiceAccount") s.set("apiGroup", "rbac.authorization.k8s.io");
}

void validate_binding(const Node& b, const Node* old, Causes& causes) {
  const std::string& kind = b.path("roleRef.kind").str();
  if (kind != "Role" && kind != "ClusterRole") unsupported(causes, "roleRef.kind", b.path("roleRef.kind"), {"ClusterRole", "Role"});
  if (b.path("roleRef.name").str().empty()) required(causes, "roleRef.name");
  if (old && !(b.get("roleRef") == old->get("roleRef"))) invalid(causes, "roleRef", b.get("roleRef"), "cannot change roleRef");
  for (size_t i = 0; i < b.get("subjects").items().size(); ++i) {
    const Node& s = b.get("subjects").items()[i];
    std::string here = "subjects[" + std::to_string(i) + "]";
    if (s.get("name").str().empty()) required(causes, here + ".name");
    const std::string& k = s.get("kind").str();
    if (k != "User" && k != "Group" && k != "ServiceAccount") unsupported(causes, here + ".kind", s.get("kind"), {"Group", "ServiceAccount", "User"});
  }
}

void default_phase(Node& o, const char* phase) {
  if (!o.get("status").get("phase").exists()) o["status"].set("phase", phase);
}

}  // namespace

Rules service_rules() { return {.defaults = default_service, .validate = validate_service, .cells = {}}; }

Rules simple_rules(std::string_view group, std::string_view plural) {
  Rules r;
  if (group.empty()) {
    if (plural == "namespaces") r.defaults = default_namespace;
    if (plural == "secrets") {
      r.defaults = default_secret;
      r.validate = [](const Node& o, const Node* old, Causes& causes) {
        validate_data(o, old, causes);
        if (old) validate_immutable(o, *old, "type", "", causes);
      };
    }
    if (plural == "configmaps") r.validate = validate_data;
    if (plural == "persistentvolumes") r.defaults = [](Node& o) { default_phase(o, "Pending"); };
    if (plural == "persistentvolumeclaims") r.defaults = [](Node& o) { default_phase(o, "Pending"); };
  }
  if (plural == "rolebindings" || plural == "clusterrolebindings") {
    r.defaults = default_binding;
    r.validate = validate_binding;
  }
  return r;
}

}  // namespace k8lite::api::rules

namespace k8lite::api {

Rules rules_of(std::string_view group, std::string_view plural) {
  if (group.empty() && plural == "pods") return rules::pod_rules();
  if (group.empty() && plural == "services") return rules::service_rules();
  if (group == "apps" || group == "batch" || (group.empty() && (plural == "replicationcontrollers" || plural == "podtemplates"))) return rules::workload_rules(plural);
  if (group == "apiextensions.k8s.io") return custom::definition_rules();
  return rules::simple_rules(group, plural);
}

}  // namespace k8lite::api
