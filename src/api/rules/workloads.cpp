// Deployments, replica sets, stateful sets, daemon sets, jobs and cron jobs: what they share is a pod template and a selector.
#include "api/cron.h"
#include "api/rules/rules.h"
#include "api/selector.h"
#include "base/strings.h"

namespace k8lite::api::rules {
namespace {

void default_int_or_string(Node& parent, std::string_view field, Node value) {
  if (!parent.get(field).exists()) parent.set(field, std::move(value));
}

void default_deployment(Node& d) {
  Node& spec = d["spec"];
  default_pod_spec(spec["template"]["spec"]);
  Node& strategy = spec["strategy"];
  if (strategy.get("type").str().empty()) strategy.set("type", "RollingUpdate");
  if (strategy.get("type").str() != "RollingUpdate") return;
  default_int_or_string(strategy["rollingUpdate"], "maxUnavailable", "25%");
  default_int_or_string(strategy["rollingUpdate"], "maxSurge", "25%");
}

void default_template(Node& object) { default_pod_spec(object["spec"]["template"]["spec"]); }

void default_stateful_set(Node& s) {
  default_template(s);
  Node& strategy = s["spec"]["updateStrategy"];
  if (strategy.get("type").str().empty()) strategy.set("type", "RollingUpdate");
  if (strategy.get("type").str() == "RollingUpdate") default_int_or_string(strategy["rollingUpdate"], "partition", 0);
}

void default_daemon_set(Node& d) {
  default_template(d);
  Node& strategy = d["spec"]["updateStrategy"];
  if (strategy.get("type").str().empty()) strategy.set("type", "RollingUpdate");
  if (strategy.get("type").str() != "RollingUpdate") return;
  default_int_or_string(strategy["rollingUpdate"], "maxUnavailable", 1);
  default_int_or_string(strategy["rollingUpdate"], "maxSurge", 0);
}

void default_job_spec(Node& spec) {
  default_pod_spec(spec["template"]["spec"]);
  if (!spec.get("completions").exists() && !spec.get("parallelism").exists()) spec.set("completions", 1);
  if (!spec.get("parallelism").exists()) spec.set("parallelism", 1);
}

// A job selects its pods by its own uid unless it brings a selector.
void default_job(Node& job) {
  Node& spec = job["spec"];
  default_job_spec(spec);
  if (spec.get("manualSelector").bool_or(false) || spec.get("selector").exists()) return;
  std::string uid = job.path("metadata.uid").str(), name = job.path("metadata.name").str();
  if (uid.empty()) return;
  spec["selector"]["matchLabels"].set("batch.kubernetes.io/controller-uid", Node(uid));
  Node& labels = spec["template"]["metadata"]["labels"];
  for (const char* prefix : {"batch.kubernetes.io/", ""}) {
    labels.set(std::string(prefix) + "controller-uid", Node(uid));
    labels.set(std::string(prefix) + "job-name", Node(name));
  }
}

void default_replica_set(Node& rs) {
  default_template(rs);
  Node& spec = rs["spec"];
  if (!spec.get("selector").exists() && spec.get("template").path("metadata.labels").size()) spec["selector"].set("matchLabels", spec.get("template").path("metadata.labels"));
}

void default_replication_controller(Node& rc) {
  default_template(rc);
  Node& spec = rc["spec"];
  if (spec.get("selector").empty()) spec.set("selector", spec.get("template").path("metadata.labels"));
}

void validate_selector(const Node& spec, Causes& causes) {
  const Node& selector = spec.get("selector");
  if (!selector.exists()) return required(causes, "spec.selector");
  if (selector.get("matchLabels").empty() && selector.get("matchExpressions").empty()) return invalid(causes, "spec.selector", selector, "empty selector is invalid for this kind");
  if (!selects(selector, spec.get("template").path("metadata.labels")))
    invalid(causes, "spec.template.metadata.labels", spec.get("template").path("metadata.labels").exists() ? spec.get("template").path("metadata.labels") : Node::object(),
            "`selector` does not match template `labels`");
}

void validate_percent_or_int(const Node& parent, std::string_view field, const std::string& path, Causes& causes) {
  const Node& v = parent.get(field);
  if (!v.exists()) return;
  std::string here = path + "." + std::string(field);
  if (v.is_integer() && v.int_or(0) < 0) invalid(causes, here, v, "must be greater than or equal to 0");
  if (!v.is_string()) return;
  std::string_view t = v.str();
  auto n = t.ends_with('%') ? parse_int(t.substr(0, t.size() - 1)) : std::nullopt;
  if (!n || *n < 0) invalid(causes, here, v, "must be an integer or percentage (e.g '5%')");
}

void validate_deployment(const Node& d, const Node* old, Causes& causes) {
  const Node& spec = d.get("spec");
  validate_non_negative(spec, "replicas", "spec", causes);
  validate_non_negative(spec, "minReadySeconds", "spec", causes);
  validate_selector(spec, causes);
  validate_template(spec, "spec.template", true, causes);
  const Node& strategy = spec.get("strategy");
  const std::string& type = strategy.get("type").str();
  if (type != "RollingUpdate" && type != "Recreate") unsupported(causes, "spec.strategy.type", strategy.get("type"), {"Recreate", "RollingUpdate"});
  if (type == "Recreate" && strategy.get("rollingUpdate").exists()) forbidden(causes, "spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'");
  const Node& rolling = strategy.get("rollingUpdate");
  validate_percent_or_int(rolling, "maxSurge", "spec.strategy.rollingUpdate", causes);
  validate_percent_or_int(rolling, "maxUnavailable", "spec.strategy.rollingUpdate", causes);
  auto zero = [](const Node& n) { return n.is_string() ? n.str() == "0%" : n.int_or(1) == 0; };
  if (type == "RollingUpdate" && zero(rolling.get("maxSurge")) && zero(rolling.get("maxUnavailable")))
    invalid(causes, "spec.strategy.rollingUpdate.maxUnavailable", rolling.get("maxUnavailable"), "may not be 0 when `maxSurge` is 0");
  if (old) validate_immutable(spec, old->get("spec"), "selector", "spec", causes);
}

void validate_set(const Node& o, const Node* old, Causes& causes) {
  const Node& spec = o.get("spec");
  validate_non_negative(spec, "replicas", "spec", causes);
  validate_selector(spec, causes);
  validate_template(spec, "spec.template", true, causes);
  if (old) validate_immutable(spec, old->get("spec"), "selector", "spec", causes);
}

void validate_stateful_set(const Node& o, const Node* old, Causes& causes) {
  // A mount may name a claim template: the pod gets a volume of that name.
  Node with_claims = o;
  Node& volumes = with_claims["spec"]["template"]["spec"]["volumes"];
  for (const Node& t : o.path("spec.volumeClaimTemplates").items()) {
    const std::string& name = t.path("metadata.name").str();
    bool there = false;
    for (const Node& v : volumes.items()) there |= v.get("name").str() == name;
    if (!there && !name.empty()) volumes.append(Node::obj({{"name", name}, {"persistentVolumeClaim", Node::obj({{"claimName", name}})}}));
  }
  validate_set(with_claims, nullptr, causes);
  if (!old) return;
  auto frozen = [](Node spec) {
    for (const char* f : {"replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit", "persistentVolumeClaimRetentionPolicy", "minReadySeconds"}) spec.erase(f);
    return spec;
  };
  if (frozen(o.get("spec")) != frozen(old->get("spec")))
    forbidden(causes, "spec",
              "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', "
              "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden");
}

void validate_job(const Node& job, const Node* old, Causes& causes) {
  const Node& spec = job.get("spec");
  for (const char* f : {"parallelism", "completions", "backoffLimit", "ttlSecondsAfterFinished"}) validate_non_negative(spec, f, "spec", causes);
  validate_template(spec, "spec.template", false, causes);
  if (!old) return;
  validate_immutable(spec, old->get("spec"), "selector", "spec", causes);
  if (!old->get("spec").get("suspend").bool_or(false)) validate_immutable(spec, old->get("spec"), "template", "spec", causes);
}

void validate_cron_job(const Node& c, const Node*, Causes& causes) {
  const Node& spec = c.get("spec");
  if (spec.get("schedule").str().empty()) {
    required(causes, "spec.schedule");
  } else if (auto schedule = CronSchedule::parse(spec.get("schedule").str()); !schedule.ok()) {
    invalid(causes, "spec.schedule", spec.get("schedule"), schedule.status().message());
  }
  validate_template(spec.path("jobTemplate.spec"), "spec.jobTemplate.spec.template", false, causes);
}

}  // namespace

bool selects(const Node& selector, const Node& labels) {
  json::Doc s = json::Doc::from(selector), l = json::Doc::from(labels.exists() ? labels : Node::object());
  auto parsed = LabelSelector::from_object(s.root());
  return parsed.ok() && parsed->matches(l.root());
}

void validate_template(const Node& spec, const std::string& path, bool always_restart, Causes& causes) {
  const Node& pod_spec = spec.get("template").get("spec");
  if (!spec.get("template").exists()) return required(causes, path);
  validate_pod_spec(pod_spec, path + ".spec", causes);
  const Node& restart = pod_spec.get("restartPolicy");
  if (always_restart && restart.str() != "Always") unsupported(causes, path + ".spec.restartPolicy", restart, {"Always"});
  if (!always_restart && restart.str() == "Always") unsupported(causes, path + ".spec.restartPolicy", restart, {"OnFailure", "Never"});
}

void validate_immutable(const Node& now, const Node& old, std::string_view field, const std::string& path, Causes& causes) {
  const Node &a = now.get(field), &b = old.get(field);
  std::string here = path.empty() ? std::string(field) : path + "." + std::string(field);
  if (a.exists() != b.exists() || !(a == b)) invalid(causes, here, a.exists() ? a : Node(), "field is immutable");
}

Rules workload_rules(std::string_view plural) {
  Rules r;
  if (plural == "deployments") r.defaults = default_deployment, r.validate = validate_deployment;
  if (plural == "replicasets") r.defaults = default_replica_set, r.validate = validate_set;
  if (plural == "statefulsets") r.defaults = default_stateful_set, r.validate = validate_stateful_set;
  if (plural == "daemonsets") r.defaults = default_daemon_set, r.validate = validate_set;
  if (plural == "jobs") r.defaults = default_job, r.validate = validate_job;
  if (plural == "cronjobs") {
    r.defaults = [](Node& c) { default_job_spec(c["spec"]["jobTemplate"]["spec"]); };
    r.validate = validate_cron_job;
  }
  if (plural == "replicationcontrollers") {
    r.defaults = default_replication_controller;
    r.validate = [](const Node& o, const Node*, Causes& causes) { validate_template(o.get("spec"), "spec.template", true, causes); };
  }
  if (plural == "podtemplates") r.defaults = [](Node& o) { default_pod_spec(o["template"]["spec"]); };
  return r;
}

}  // namespace k8lite::api::rules
