// Config maps, secrets, nodes, namespaces, events, leases.
#include <set>

#include "api/rules/addresses.h"
#include "api/rules/check.h"
#include "base/strings.h"

namespace k8lite::api::rules {
namespace {

constexpr size_t kMaxData = 1 << 20;  // of all values together

size_t decoded_size(const std::string& base64) {
  size_t n = base64.size() / 4 * 3;
  for (size_t i = base64.size(); i > 0 && base64[i - 1] == '='; --i) --n;
  return n;
}

void check_keys(Check& c, const char* field, const Node& data) {
  for (const auto& [key, value] : data.members()) c.format(key_of(field, key), Node(key), Format::ConfigKey);
}

void check_frozen(Check& c, const Node& now, const Node& before, std::initializer_list<const char*> fields) {
  constexpr std::string_view kWhy = "field is immutable when `immutable` is set";
  if (!c.old || !before.get("immutable").bool_or(false)) return;
  if (!now.get("immutable").bool_or(false)) c.forbidden("immutable", kWhy);
  for (const char* f : fields)
    if (!(now.get(f) == before.get(f)) && !(now.get(f).empty() && before.get(f).empty())) c.forbidden(f, kWhy);
}

void check_config_map(Check& c, const Node& map, const Node& before) {
  check_frozen(c, map, before, {"data", "binaryData"});
  size_t total = 0;
  check_keys(c, "data", map.get("data"));
  for (const auto& [key, value] : map.get("data").members()) {
    if (map.get("binaryData").get(key).exists())
      c.invalid(key_of("data", key), Node(key), "duplicate of key present in binaryData");
    total += value.str().size();
  }
  check_keys(c, "binaryData", map.get("binaryData"));
  for (const auto& [key, value] : map.get("binaryData").members()) total += decoded_size(value.str());
  if (total > kMaxData) c.too_long("[]", kMaxData);
}

void check_json(Check& c, const Node& data, const char* key) {
  const Node& value = data.get(key);
  if (!value.exists()) return c.required(key_of("data", key));
  auto text = base64_decode(value.str());
  auto parsed = Node::parse(text.value_or(""));
  if (!parsed.ok() || !parsed->is_object())
    c.invalid(key_of("data", key), Node("<secret contents redacted>"),
              parsed.ok() ? "json: cannot unmarshal into Go value of type map[string]interface {}"
                          : parsed.status().message());
}

void check_secret(Check& c, const Node& secret, const Node& before) {
  if (c.old) c.unchanged("type", secret.get("type"), before.get("type"));
  check_frozen(c, secret, before, {"data"});
  const Node& data = secret.get("data");
  size_t total = 0;
  check_keys(c, "data", data);
  for (const auto& [key, value] : data.members()) total += decoded_size(value.str());
  if (total > kMaxData) c.too_long("data", kMaxData);
  const std::string& type = secret.get("type").str();
  auto need = [&](const char* key) {
    if (!data.get(key).exists()) c.required(key_of("data", key));
  };
  if (type == "kubernetes.io/service-account-token") {
    if (secret.path("metadata.annotations").get("kubernetes.io/service-account.name").str().empty())
      c.required("metadata.annotations[kubernetes.io/service-account.name]");
  } else if (type == "kubernetes.io/dockercfg") {
    check_json(c, data, ".dockercfg");
  } else if (type == "kubernetes.io/dockerconfigjson") {
    check_json(c, data, ".dockerconfigjson");
  } else if (type == "kubernetes.io/basic-auth") {
    if (!data.get("username").exists() && !data.get("password").exists()) need("username"), need("password");
  } else if (type == "kubernetes.io/ssh-auth") {
    if (data.get("ssh-privatekey").str().empty()) c.required("data[ssh-privatekey]");
  } else if (type == "kubernetes.io/tls") {
    need("tls.crt");
    need("tls.key");
  }
}

void check_node(Check& c, const Node& node, const Node& before) {
  const Node &spec = node.get("spec"), &was = before.get("spec");
  check_taints(c, "metadata.taints", spec.get("taints"));  // sic: upstream's path
  for (const char* list : {"capacity", "allocatable"})
    for (const auto& [name, amount] : node.path("status").get(list).members())
      check_resource_amount(c, "status." + std::string(list) + "." + name, name, amount);
  const Node& cidrs = spec.get("podCIDRs");
  if (cidrs.size() > 1) {
    std::set<bool> families;
    for (const Node& n : cidrs.items())
      if (auto net = parse_cidr(n.str())) families.insert(net->base.v6);
    if (families.size() < 2 || cidrs.size() > 2)
      c.invalid("spec.podCIDRs", cidrs, "may specify no more than one CIDR for each IP family");
  }
  if (!c.old) return;
  if (given(was.get("podCIDRs")) && !(was.get("podCIDRs") == cidrs))
    c.forbidden("spec.podCIDRs", "node updates may not change podCIDR except from \"\" to valid");
  if (given(was.get("providerID")) && !(was.get("providerID") == spec.get("providerID")))
    c.forbidden("spec.providerID", "node updates may not change providerID except from \"\" to valid");
}

void check_namespace(Check& c, const Node& ns, const Node&) {
  for (const Node& f : ns.path("spec.finalizers").items())
    if (f.str().find('/') == std::string::npos && !listed(f.str(), "kubernetes,orphan,foregroundDeletion"))
      c.invalid("spec.finalizers", f, "name is neither a standard finalizer name nor is it fully qualified");
}

// Events of the core group may be old clients' (no eventTime): they are held to less.
void check_event(Check& c, const Node& e, const Node& before) {
  const std::string
      &ns = e.path("metadata.namespace").str(),
      &about = (e.get("involvedObject").exists() ? e.get("involvedObject") : e.get("regarding")).get("namespace").str();
  const char* subject = e.get("regarding").exists() ? "regarding.namespace" : "involvedObject.namespace";
  if (about.empty() ? ns != "default" && ns != "kube-system" : about != ns)
    c.invalid(subject, Node(about), "does not match event.namespace");
  bool newer = given(e.get("eventTime"));
  if (!newer) return;
  const char* controller = e.get("regarding").exists() || e.get("reportingController").exists() ? "reportingController"
                                                                                                : "reportingComponent";
  if (!given(e.get(controller)))
    c.required("reportingController");
  else
    c.format("reportingController", e.get(controller), Format::Qualified);
  const Node &instance = e.get("reportingInstance"), &action = e.get("action"), &reason = e.get("reason"),
             &type = e.get("type");
  if (!given(instance)) c.required("reportingInstance");
  if (instance.str().size() > 128) c.invalid("reportingInstance", instance, "can have at most 128 characters");
  if (!given(action)) c.required("action");
  if (action.str().size() > 128) c.invalid("action", action, "can have at most 128 characters");
  if (!given(reason)) c.required("reason");
  if (reason.str().size() > 128) c.invalid("reason", reason, "can have at most 128 characters");
  const char* text = e.get("note").exists() ? "note" : "message";
  if (e.get(text).str().size() > 1024) c.invalid("message", Node(""), "can have at most 1024 characters");
  if (!listed(type.str(), "Normal,Warning")) c.invalid("type", Node(type.str()), "has invalid value: " + type.str());
  if (!c.old || !given(before.get("eventTime"))) return;
  for (const char* f : {"involvedObject", "regarding", "reason", "message", "note", "type", "eventTime",
                        "reportingInstance", "action", "related", "reportingController"})
    if (e.get(f).exists() && before.get(f).exists()) c.unchanged(f, e.get(f), before.get(f));
}

void check_lease(Check& c, const Node& spec, const Node&) {
  if (const Node& h = spec.get("holderIdentity");
      h.is_string() && h.str().empty() && given(spec.get("preferredHolder")))
    c.required("holderIdentity");
  if (given(spec.get("preferredHolder")) && !given(spec.get("strategy")))
    c.forbidden("preferredHolder", "may only be specified when `strategy` is defined");
}

void check_priority_class(Check& c, const Node& p, const Node&) {
  const std::string& name = p.path("metadata.name").str();
  int64_t value = p.get("value").int_or(0);
  if (name.starts_with("system-")) {
    bool known = (name == "system-node-critical" && value == 2000001000) ||
                 (name == "system-cluster-critical" && value == 2000000000);
    if (!known)
      c.forbidden("metadata.name",
                  "priority class names with 'system-' prefix are reserved for system use only. error: " + name +
                      " is not a known system priority class");
  } else if (value > 1000000000) {
    c.forbidden("value", "maximum allowed value of a user defined priority is 1000000000");
  }
}

void check_runtime_class(Check& c, const Node& r, const Node&) {
  for (const auto& [name, amount] : r.path("overhead.podFixed").members())
    check_resource(c, "overhead." + key_of("podFixed", name), name, amount, ResourceUse::Container);
  const Node& tolerations = r.path("scheduling.tolerations");
  std::set<std::string> seen;
  for (size_t i = 0; i < tolerations.items().size(); ++i)
    if (!seen.insert(tolerations.items()[i].dump()).second)
      c.duplicate("scheduling." + item("tolerations", i), tolerations.items()[i]);
}

constexpr TypeHook kHooks[] = {
    {"core/v1.ConfigMap", check_config_map},
    {"core/v1.Secret", check_secret},
    {"core/v1.Node", check_node},
    {"core/v1.Namespace", check_namespace},
    {"core/v1.Event", check_event},
    {"events/v1.Event", check_event},
    {"coordination/v1.LeaseSpec", check_lease},
    {"scheduling/v1.PriorityClass", check_priority_class},
    {"node/v1.RuntimeClass", check_runtime_class},
};

}  // namespace

Hooks core_hooks() { return kHooks; }

}  // namespace k8lite::api::rules
