// Defaults that depend on other fields, by type (constant ones stand in embedded/schema/defaults.txt). A type's filler
// runs before its inside is walked and before the constants are put in, so it must not count on them. (Kubernetes
// pkg/apis/*/v1/defaults.go.)
#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "api/custom/definition_rules.h"
#include "api/custom/structural.h"
#include "api/custom/version.h"
#include "api/rules/check.h"
#include "api/rules/rules.h"
#include "base/strings.h"

namespace k8lite::api::rules {
namespace {

void preset(Node& parent, std::string_view field, Node value) {
  if (!parent.get(field).exists()) parent.set(field, std::move(value));
}

// ---- pods ----

// ":latest" or no tag at all means the image may have changed: pull it always.
bool moving_tag(const std::string& image) {
  if (image.find('@') != image.npos) return false;
  size_t slash = image.rfind('/'), colon = image.rfind(':');
  if (colon == image.npos || (slash != image.npos && colon < slash)) return true;
  return image.substr(colon + 1) == "latest";
}

void fill_container(Node& c) {
  preset(c, "imagePullPolicy", moving_tag(c.get("image").str()) ? "Always" : "IfNotPresent");
}

void fill_image_volume(Node& v) {
  preset(v, "pullPolicy", moving_tag(v.get("reference").str()) ? "Always" : "IfNotPresent");
}

void fill_volume(Node& v) {
  if (v.size() == (v.get("name").exists() ? 1u : 0u)) v.set("emptyDir", Node::object());
}

void fill_pod_spec(Node& spec) {
  // The deprecated name of the service account field mirrors the real one.
  if (const std::string& name = spec.get("serviceAccountName").str(); !name.empty())
    spec.set("serviceAccount", Node(std::string(name)));
  else if (const std::string& old = spec.get("serviceAccount").str(); !old.empty())
    spec.set("serviceAccountName", Node(std::string(old)));
}

void request_limits(Node& resources) {
  const std::vector<Node::Member> limits = resources.get("limits").members();
  for (const auto& [name, limit] : limits)
    if (!resources.get("requests").get(name).exists()) resources["requests"].set(name, limit);
}

// What pods have and templates have not.
void fill_pod(Node& pod) {
  Node& spec = pod["spec"];
  if (!spec.is_object()) spec = Node::object();
  preset(spec, "enableServiceLinks", true);
  bool host_network = spec.get("hostNetwork").bool_or(false);
  for (const char* list : {"containers", "initContainers"}) {
    Node* containers = spec.find(list);
    if (!containers) continue;
    for (Node& c : containers->items()) {
      if (Node* resources = c.find("resources")) request_limits(*resources);
      Node* ports = host_network ? c.find("ports") : nullptr;
      if (!ports) continue;
      for (Node& p : ports->items())
        if (p.get("hostPort").int_or(0) == 0 && p.get("containerPort").exists())
          p.set("hostPort", Node(p.get("containerPort").int_or(0)));
    }
  }
  Node& status = pod["status"];
  preset(status, "phase", "Pending");
}

// ---- workloads ----

// Kinds whose template always gets its pod's defaults, even where the spec was left out.
void fill_template(Node& object) {
  Node& spec = object["spec"]["template"]["spec"];
  if (!spec.is_object()) spec = Node::object();
}

void fill_deployment(Node& d) {
  fill_template(d);
  Node& strategy = d["spec"]["strategy"];
  if (strategy.get("type").str().empty()) strategy.set("type", "RollingUpdate");
  if (strategy.get("type").str() != "RollingUpdate") return;
  preset(strategy["rollingUpdate"], "maxUnavailable", "25%");
  preset(strategy["rollingUpdate"], "maxSurge", "25%");
}

void fill_stateful_set(Node& s) {
  fill_template(s);
  Node& strategy = s["spec"]["updateStrategy"];
  if (strategy.get("type").str().empty()) strategy.set("type", "RollingUpdate");
  if (strategy.get("type").str() == "RollingUpdate") preset(strategy["rollingUpdate"], "partition", 0);
  if (Node* claims = s["spec"].find("volumeClaimTemplates"))  // they are claims, with a kind of their own
    for (Node& c : claims->items()) {
      preset(c, "kind", "PersistentVolumeClaim");
      preset(c, "apiVersion", "v1");
      preset(c["status"], "phase", "Pending");
    }
}

void fill_daemon_set(Node& d) {
  fill_template(d);
  Node& strategy = d["spec"]["updateStrategy"];
  if (strategy.get("type").str().empty()) strategy.set("type", "RollingUpdate");
  if (strategy.get("type").str() != "RollingUpdate") return;
  preset(strategy["rollingUpdate"], "maxUnavailable", 1);
  preset(strategy["rollingUpdate"], "maxSurge", 0);
}

void labels_of_template(Node& object) {
  const Node labels = object.path("spec.template.metadata.labels");
  if (given(labels) && object.path("metadata.labels").empty()) object["metadata"].set("labels", labels);
}

void fill_replication_controller(Node& rc) {
  fill_template(rc);
  const Node labels = rc.path("spec.template.metadata.labels");
  if (rc.path("spec.selector").empty() && given(labels)) rc["spec"].set("selector", labels);
  labels_of_template(rc);
}

void fill_job(Node& job) {
  labels_of_template(job);
  fill_template(job);
  Node& spec = job["spec"];
  if (!spec.get("completions").exists() && !spec.get("parallelism").exists()) spec.set("completions", 1);
  preset(spec, "parallelism", 1);
  preset(spec, "backoffLimit", spec.get("backoffLimitPerIndex").exists() ? INT32_MAX : 6);
  preset(spec, "completionMode", "NonIndexed");
  preset(spec, "suspend", false);
  preset(spec, "manualSelector", false);
  preset(spec, "podReplacementPolicy", spec.get("podFailurePolicy").exists() ? "Failed" : "TerminatingOrFailed");
  // A job selects its pods by its own uid unless it brings a selector.
  if (spec.get("manualSelector").bool_or(false) || spec.get("selector").exists()) return;
  std::string uid = job.path("metadata.uid").str(), name = job.path("metadata.name").str();
  if (uid.empty()) return;
  spec["selector"]["matchLabels"].set("batch.kubernetes.io/controller-uid", Node(uid));
  Node& labels = spec["template"]["metadata"]["labels"];
  for (const char* prefix : {"batch.kubernetes.io/", ""}) {
    labels.set(std::string(prefix) + "controller-uid", Node(uid));
    labels.set(std::string(prefix) + "job-name", Node(name));
  }
  labels_of_template(job);  // a job without labels of its own shows these
}

void fill_condition_pattern(Node& p) { preset(p, "status", "True"); }
void fill_pod_template(Node& o) {
  Node& spec = o["template"]["spec"];
  if (!spec.is_object()) spec = Node::object();
}
void fill_cron_job(Node& o) {
  Node& spec = o["spec"]["jobTemplate"]["spec"]["template"]["spec"];
  if (!spec.is_object()) spec = Node::object();
}

// ---- core ----

void fill_service(Node& s) {
  Node& spec = s["spec"];
  if (!spec.is_object()) spec = Node::object();
  std::string type = spec.get("type").str_or("ClusterIP");
  if (spec.get("sessionAffinity").str() == "ClientIP" &&
      !spec.path("sessionAffinityConfig.clientIP.timeoutSeconds").exists())
    spec["sessionAffinityConfig"]["clientIP"].set("timeoutSeconds", 10800);
  if (spec.get("sessionAffinity").str_or("None") == "None") spec.erase("sessionAffinityConfig");
  if (Node* ports = spec.find("ports"))
    for (Node& p : ports->items())
      if (const Node& target = p.get("targetPort"); !target.exists() ||
                                                    (target.is_integer() && target.int_or(0) == 0) ||
                                                    (target.is_string() && target.str().empty()))
        p.set("targetPort", Node(p.get("port")));
  bool outside =
      type == "NodePort" || type == "LoadBalancer" || (type == "ClusterIP" && spec.get("externalIPs").size());
  if (outside && spec.get("externalTrafficPolicy").str().empty()) spec.set("externalTrafficPolicy", "Cluster");
  if (type == "LoadBalancer") preset(spec, "allocateLoadBalancerNodePorts", true);
  if (type != "ExternalName") preset(spec, "internalTrafficPolicy", "Cluster");
}

void fill_namespace(Node& ns) {
  ns["metadata"]["labels"].set("kubernetes.io/metadata.name", Node(ns.path("metadata.name").str()));
  // One that is being deleted must be able to lose it.
  bool deleting = ns.get("metadata").get("deletionTimestamp").exists();
  if (!deleting && !ns.get("spec").get("finalizers").exists()) ns["spec"].set("finalizers", Node::arr({"kubernetes"}));
  preset(ns["status"], "phase", "Active");
}

void fill_secret(Node& s) {
  if (s.get("type").str().empty()) s.set("type", "Opaque");
  for (const auto& [key, value] : std::vector<Node::Member>(s.get("stringData").members()))
    s["data"].set(key, base64_encode(value.str()));
  s.erase("stringData");
}

void fill_phase(Node& o) { preset(o["status"], "phase", "Pending"); }

void fill_limit(Node& limit) {
  if (limit.get("type").str() != "Container") return;
  static constexpr std::pair<const char*, const char*> kFrom[] = {
      {"default", "max"}, {"defaultRequest", "default"}, {"defaultRequest", "min"}};
  for (auto [to, from] : kFrom)
    for (const auto& [name, value] : std::vector<Node::Member>(limit.get(from).members()))
      preset(limit[to], name, value);
}

// ---- the rest ----

void fill_binding(Node& b) {
  constexpr const char* kRbac = "rbac.authorization.k8s.io";
  if (b.get("roleRef").get("apiGroup").str().empty()) b["roleRef"].set("apiGroup", kRbac);
  if (Node* subjects = b.find("subjects"))
    for (Node& s : subjects->items())
      if (s.get("apiGroup").str().empty() && listed(s.get("kind").str(), "User,Group")) s.set("apiGroup", kRbac);
}

void fill_network_policy(Node& p) {
  Node& spec = p["spec"];
  if (!spec.get("policyTypes").empty()) return;
  spec.set("policyTypes", spec.get("egress").size() ? Node::arr({"Ingress", "Egress"}) : Node::arr({"Ingress"}));
}

void fill_scaling(Node& rules, bool up) {
  preset(rules, "selectPolicy", "Max");
  if (up) preset(rules, "stabilizationWindowSeconds", 0);
  if (!rules.get("policies").empty()) return;
  rules.set("policies", Node::array());
  if (up) rules["policies"].append(Node::obj({{"type", "Pods"}, {"value", 4}, {"periodSeconds", 15}}));
  rules["policies"].append(Node::obj({{"type", "Percent"}, {"value", 100}, {"periodSeconds", 15}}));
}

void fill_autoscaler(Node& h) {
  Node& spec = h["spec"];
  if (spec.get("metrics").empty())
    spec.set("metrics",
             Node::arr({Node::obj({{"type", "Resource"},
                                   {"resource", Node::obj({{"name", "cpu"},
                                                           {"target", Node::obj({{"type", "Utilization"},
                                                                                 {"averageUtilization", 80}})}})}})}));
  if (!spec.get("behavior").is_object()) return;
  fill_scaling(spec["behavior"]["scaleUp"], true);
  fill_scaling(spec["behavior"]["scaleDown"], false);
}

void fill_request(Node& r) {
  preset(r, "allocationMode", "ExactCount");
  if (r.get("allocationMode").str() == "ExactCount" && r.get("count").int_or(0) == 0) r.set("count", 1);
}

void fill_priority_level(Node& p) {
  Node& spec = p["spec"];
  if (spec.get("type").str() == "Exempt" && !spec.get("exempt").exists()) spec.set("exempt", Node::object());
  if (Node* limited = spec.find("limited"); limited && limited->path("limitResponse.type").str() == "Queue" &&
                                            !limited->path("limitResponse.queuing").exists())
    (*limited)["limitResponse"].set("queuing", Node::object());
}

struct Filler {
  std::string_view type;
  void (*fill)(Node& object);
};
constexpr Filler kFillers[] = {
    {"core/v1.Container", fill_container},
    {"core/v1.EphemeralContainer", fill_container},
    {"core/v1.ImageVolumeSource", fill_image_volume},
    {"core/v1.Volume", fill_volume},
    {"core/v1.PodSpec", fill_pod_spec},
    {"core/v1.Pod", fill_pod},
    {"core/v1.PodTemplate", fill_pod_template},
    {"core/v1.Service", fill_service},
    {"core/v1.Namespace", fill_namespace},
    {"core/v1.Secret", fill_secret},
    {"core/v1.PersistentVolume", fill_phase},
    {"core/v1.PersistentVolumeClaim", fill_phase},
    {"core/v1.LimitRangeItem", fill_limit},
    {"core/v1.ReplicationController", fill_replication_controller},
    {"apps/v1.Deployment", fill_deployment},
    {"apps/v1.ReplicaSet", fill_template},
    {"apps/v1.StatefulSet", fill_stateful_set},
    {"apps/v1.DaemonSet", fill_daemon_set},
    {"batch/v1.Job", fill_job},
    {"batch/v1.CronJob", fill_cron_job},
    {"batch/v1.PodFailurePolicyOnPodConditionsPattern", fill_condition_pattern},
    {"rbac/v1.RoleBinding", fill_binding},
    {"rbac/v1.ClusterRoleBinding", fill_binding},
    {"networking/v1.NetworkPolicy", fill_network_policy},
    {"autoscaling/v2.HorizontalPodAutoscaler", fill_autoscaler},
    {"resource/v1.ExactDeviceRequest", fill_request},
    {"resource/v1.DeviceSubRequest", fill_request},
    {"flowcontrol/v1.PriorityLevelConfiguration", fill_priority_level},
};

using Fillers = std::unordered_map<const schema::Type*, void (*)(Node&)>;
const Fillers& fillers() {
  static const Fillers instance = [] {
    Fillers out;
    for (const Filler& f : kFillers) out[schema::find_type(f.type)] = f.fill;
    return out;
  }();
  return instance;
}

void walk(Node& object, const schema::Type& type, bool top) {
  if (auto f = fillers().find(&type); f != fillers().end()) f->second(object);
  for (auto& [name, value] : object.members()) {
    const schema::Field* field = type.find(name);
    if (!field || field->base != schema::Base::Object || field->type->name == "meta/v1.ObjectMeta" ||
        (top && name == "status"))
      continue;
    if (field->shape == schema::Shape::List) {
      for (Node& n : value.items())
        if (n.is_object()) walk(n, *field->type, false);
    } else if (field->shape == schema::Shape::Map) {
      for (auto& [key, n] : value.members())
        if (n.is_object()) walk(n, *field->type, false);
    } else if (value.is_object()) {
      walk(value, *field->type, false);
    }
  }
}

void keep_service(Node& now, const Node& before) {
  Node& spec = now["spec"];
  const Node& was = before.get("spec");
  auto outside = [](const Node& s) {
    const std::string& type = s.get("type").str();
    return type == "NodePort" || type == "LoadBalancer" || (type == "ClusterIP" && s.get("externalIPs").size());
  };
  auto drop = [&](const char* field, bool needed_before, bool needed) {
    if (needed_before && !needed && spec.get(field) == was.get(field)) spec.erase(field);
  };
  bool balancer = spec.get("type").str() == "LoadBalancer", was_balancer = was.get("type").str() == "LoadBalancer";
  drop("externalTrafficPolicy", outside(was), outside(spec));
  drop("allocateLoadBalancerNodePorts", was_balancer, balancer);
  drop("loadBalancerClass", was_balancer, balancer);
  drop("healthCheckNodePort", was_balancer && was.get("externalTrafficPolicy").str() == "Local",
       balancer && spec.get("externalTrafficPolicy").str() == "Local");
}

}  // namespace
}  // namespace k8lite::api::rules

namespace k8lite::api {

namespace {

// What typed clients count on finding: a status, with the numbers that always stand in it.
void fill_status(json::Node& object, const schema::Field& field) {
  json::Node& status = object["status"];
  if (status.is_null()) status = json::Node::object();
  if (!status.is_object() || !field.type) return;
  for (const schema::Field& f : field.type->fields) {
    bool number = f.shape == schema::Shape::Single && (f.base == schema::Base::Int32 || f.base == schema::Base::Int64);
    if (f.required && number) rules::preset(status, f.name, 0);
    else if (f.name == "loadBalancer") rules::preset(status, f.name, json::Node::object());
  }
}

}  // namespace

Rules rules_of(std::string_view group, std::string_view) {
  return group == "apiextensions.k8s.io" ? custom::definition_rules() : Rules{};
}

void apply_defaults(const KindRow& kind, json::Node& object) {
  if (!kind.custom && kind.type) rules::walk(object, *kind.type, true);
  if (kind.rules.defaults) kind.rules.defaults(object);
  if (kind.custom) {
    custom::fill_defaults(object, *kind.custom->schema);
    if (kind.custom->stored != kind.custom->schema) custom::fill_defaults(object, *kind.custom->stored);
  } else if (kind.type) {
    schema::apply_defaults(object, *kind.type);
    if (const schema::Field* status = kind.status ? kind.type->find("status") : nullptr) fill_status(object, *status);
  }
}

void forget_what_no_longer_applies(const KindRow& kind, json::Node& object, const json::Node& before) {
  if (kind.plural == "services" && kind.group.empty()) rules::keep_service(object, before);
}

std::vector<Cause> validate(const KindRow& kind, const json::Node& object, const json::Node* old) {
  return validate_part(kind, object, old, {});
}

std::vector<Cause> validate_part(const KindRow& kind, const json::Node& object, const json::Node* old,
                                 std::string_view subresource) {
  std::vector<Cause> all, out;
  rules::Check check(kind, object, old, all, subresource);
  if (kind.custom) {
    custom::validate(object, *kind.custom->schema, "", all, old);
    custom::validate_lists(object, *kind.custom->schema, "", all, old);
    // What says the kind is not part of what is stored.
    std::erase_if(all, [](const Cause& c) { return c.field == "apiVersion" || c.field == "kind"; });
    rules::check_metadata(check);
  } else if (subresource.empty() || subresource == "ephemeralcontainers" || subresource == "resize") {
    rules::check_metadata(check);
    rules::check_fields(check);
    if (kind.rules.validate) kind.rules.validate(object, old, all);
  } else if (subresource == "status") {
    rules::check_status(check);
  }
  std::unordered_set<std::string> said;
  for (Cause& c : all)
    if (said.insert(c.field + "\n" + c.message).second) out.push_back(std::move(c));
  return out;
}

}  // namespace k8lite::api
