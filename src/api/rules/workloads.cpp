// Deployments, replica sets, stateful sets, daemon sets and replication controllers: what they share is a pod template
// and a selector.
#include "api/rules/check.h"
#include "base/strings.h"

namespace k8lite::api::rules {
namespace {

constexpr std::string_view kMismatch = "`selector` does not match template `labels`";

void check_selector(Check& c, const Node& spec, const char* kind) {
  const Node& selector = spec.get("selector");
  if (!selector.exists()) return c.required("selector");
  if (selector.get("matchLabels").empty() && selector.get("matchExpressions").empty())
    c.invalid("selector", selector, std::string("empty selector is invalid for ") + kind);
  else if (const Node& labels = spec.path("template.metadata.labels"); !selects(selector, labels))
    c.invalid("template.metadata.labels", labels.exists() ? labels : Node::object(), kMismatch);
}

void check_restart(Check& c, const Node& spec, const char* kind) {
  c.one_of("template.spec.restartPolicy", spec.path("template.spec.restartPolicy"), "Always");
  if (spec.path("template.spec.activeDeadlineSeconds").exists())
    c.forbidden("template.spec.activeDeadlineSeconds",
                std::string("activeDeadlineSeconds in ") + kind + " is not Supported");
}

bool zero(const Node& n) { return n.is_string() ? n.str() == "0%" : n.int_or(0) == 0; }
void at_most_all(Check& c, std::string_view child, const Node& n) {
  if (n.is_string() && n.str().ends_with('%') &&
      parse_int(std::string_view(n.str()).substr(0, n.str().size() - 1)).value_or(0) > 100)
    c.invalid(child, n, "must not be greater than 100%");
}

void check_deployment(Check& c, const Node& spec, const Node& before) {
  check_selector(c, spec, "deployment");
  check_restart(c, spec, "ReplicaSet");
  const Node &strategy = spec.get("strategy"), &rolling = strategy.get("rollingUpdate");
  const std::string& type = strategy.get("type").str();
  c.one_of("strategy.type", strategy.get("type"), "Recreate,RollingUpdate");
  if (type == "Recreate" && rolling.exists())
    c.forbidden("strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'");
  if (type == "RollingUpdate") {
    for (const char* f : {"maxUnavailable", "maxSurge"})
      c.int_or_percent("strategy.rollingUpdate." + std::string(f), rolling.get(f));
    if (zero(rolling.get("maxSurge")) && zero(rolling.get("maxUnavailable")))
      c.invalid("strategy.rollingUpdate.maxUnavailable", rolling.get("maxUnavailable"),
                "may not be 0 when `maxSurge` is 0");
    at_most_all(c, "strategy.rollingUpdate.maxUnavailable", rolling.get("maxUnavailable"));
  }
  if (const Node& deadline = spec.get("progressDeadlineSeconds");
      deadline.exists() && deadline.int_or(0) >= 0 && deadline.int_or(0) <= spec.get("minReadySeconds").int_or(0))
    c.invalid("progressDeadlineSeconds", deadline, "must be greater than minReadySeconds");
  if (c.old) c.unchanged("selector", spec.get("selector"), before.get("selector"));
}

void check_replica_set(Check& c, const Node& spec, const Node& before) {
  check_selector(c, spec, "deployment");  // sic
  check_restart(c, spec, "ReplicaSet");
  if (c.old) c.unchanged("selector", spec.get("selector"), before.get("selector"));
}

void check_replication_controller(Check& c, const Node& spec, const Node&) {
  const Node &selector = spec.get("selector"), &labels = spec.path("template.metadata.labels");
  if (!spec.get("template").exists()) return c.required("template");
  for (const auto& [key, value] : selector.members())
    if (!(labels.get(key) == value)) {
      c.invalid("template.metadata.labels", labels.exists() ? labels : Node::object(), kMismatch);
      break;
    }
  check_restart(c, spec, "ReplicationController");
}

void check_daemon_set(Check& c, const Node& spec, const Node& before) {
  check_selector(c, spec, "daemonset");
  check_restart(c, spec, "DaemonSet");
  const Node &strategy = spec.get("updateStrategy"), &rolling = strategy.get("rollingUpdate");
  c.one_of("updateStrategy.type", strategy.get("type"), "RollingUpdate,OnDelete");
  if (strategy.get("type").str() == "RollingUpdate") {
    const Node &unavailable = rolling.get("maxUnavailable"), &surge = rolling.get("maxSurge");
    for (const char* f : {"maxUnavailable", "maxSurge"}) {
      c.int_or_percent("updateStrategy.rollingUpdate." + std::string(f), rolling.get(f));
      at_most_all(c, "updateStrategy.rollingUpdate." + std::string(f), rolling.get(f));
    }
    if (!zero(unavailable) && !zero(surge))
      c.invalid("updateStrategy.rollingUpdate.maxSurge", surge, "may not be set when maxUnavailable is non-zero");
    if (zero(unavailable) && zero(surge))
      c.required("updateStrategy.rollingUpdate.maxUnavailable", "cannot be 0 when maxSurge is 0");
  }
  if (c.old) c.unchanged("selector", spec.get("selector"), before.get("selector"));
}

void check_stateful_set(Check& c, const Node& spec, const Node& before) {
  if (const Node& policy = spec.get("podManagementPolicy");
      given(policy) && !listed(policy.str(), "OrderedReady,Parallel"))
    c.invalid("podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'");
  const Node& strategy = spec.get("updateStrategy");
  const std::string& type = strategy.get("type").str();
  if (!listed(type, "RollingUpdate,OnDelete"))
    c.invalid("updateStrategy", strategy, "must be 'RollingUpdate' or 'OnDelete'");
  if (type == "OnDelete" && strategy.get("rollingUpdate").exists())
    c.invalid("updateStrategy.rollingUpdate", strategy.get("rollingUpdate"),
              "only allowed for updateStrategy 'RollingUpdate'");
  check_selector(c, spec, "statefulset");
  check_restart(c, spec, "StatefulSet");
  for (size_t i = 0; i < spec.get("volumeClaimTemplates").items().size(); ++i)
    if (spec.get("volumeClaimTemplates").items()[i].path("metadata.name").str().empty())
      c.required(item("volumeClaimTemplates", i) + ".metadata.name");
  if (!c.old) return;
  auto frozen = [](Node s) {
    for (const char* f : {"replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
                          "persistentVolumeClaimRetentionPolicy", "minReadySeconds"})
      s.erase(f);
    return s;
  };
  if (frozen(spec) == frozen(before)) return;
  c.forbidden("",
              "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
              "'revisionHistoryLimit', "
              "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden");
}

constexpr TypeHook kHooks[] = {
    {"apps/v1.DeploymentSpec", check_deployment},
    {"apps/v1.ReplicaSetSpec", check_replica_set},
    {"apps/v1.DaemonSetSpec", check_daemon_set},
    {"apps/v1.StatefulSetSpec", check_stateful_set},
    {"core/v1.ReplicationControllerSpec", check_replication_controller},
};

}  // namespace

Hooks workload_hooks() { return kHooks; }

}  // namespace k8lite::api::rules
