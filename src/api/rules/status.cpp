// What Kubernetes holds the status of built-in kinds to: counts that are not negative and fit each other, addresses that are ones, and
// what of a status never changes again. (The Validate…StatusUpdate functions of its validation packages.)
#include "api/rules/check.h"
#include "base/strings.h"

namespace k8lite::api::rules {
namespace {

struct StatusRow {
  std::string_view group, plural;
  std::string_view counts;  // of status, none negative
  // "a<b:words": a is not above b; separated by |.
  std::string_view order;
};

constexpr StatusRow kRows[] = {
    {"apps", "deployments", "observedGeneration replicas updatedReplicas readyReplicas availableReplicas unavailableReplicas terminatingReplicas collisionCount",
     "updatedReplicas<replicas:status.replicas|readyReplicas<replicas:status.replicas|availableReplicas<replicas:status.replicas|availableReplicas<readyReplicas:readyReplicas"},
    {"apps", "replicasets", "replicas fullyLabeledReplicas readyReplicas availableReplicas terminatingReplicas observedGeneration",
     "fullyLabeledReplicas<replicas:status.replicas|readyReplicas<replicas:status.replicas|availableReplicas<replicas:status.replicas|availableReplicas<readyReplicas:readyReplicas"},
    {"", "replicationcontrollers", "replicas fullyLabeledReplicas readyReplicas availableReplicas observedGeneration",
     "fullyLabeledReplicas<replicas:status.replicas|readyReplicas<replicas:status.replicas|availableReplicas<replicas:status.replicas|availableReplicas<readyReplicas:readyReplicas"},
    {"apps", "statefulsets", "replicas readyReplicas currentReplicas updatedReplicas availableReplicas observedGeneration collisionCount",
     "readyReplicas<replicas:status.replicas|currentReplicas<replicas:status.replicas|updatedReplicas<replicas:status.replicas|availableReplicas<replicas:status.replicas|availableReplicas<readyReplicas:status.readyReplicas"},
    {"apps", "daemonsets", "currentNumberScheduled numberMisscheduled desiredNumberScheduled numberReady observedGeneration updatedNumberScheduled numberAvailable numberUnavailable collisionCount", ""},
    {"autoscaling", "horizontalpodautoscalers", "currentReplicas desiredReplicas", ""},
    {"policy", "poddisruptionbudgets", "disruptionsAllowed currentHealthy desiredHealthy expectedPods", ""},
    {"batch", "jobs", "active succeeded failed ready terminating", ""},
    {"", "pods", "observedGeneration", ""},
};

void check_counts(Check& c, const StatusRow& row, const Node& status) {
  for (auto name : split(row.counts, ' '))
    if (!name.empty()) c.at_least_zero(name, status.get(name));
  for (auto rule : split(row.order, '|')) {
    if (rule.empty()) continue;
    size_t than = rule.find('<'), words = rule.find(':');
    std::string_view low = rule.substr(0, than), high = rule.substr(than + 1, words - than - 1);
    if (status.get(low).int_or(0) > status.get(high).int_or(0)) c.invalid(low, Node(status.get(low).int_or(0)), "cannot be greater than " + std::string(rule.substr(words + 1)));
  }
}

void check_collisions(Check& c, const Node& status, const Node& before) {
  const Node& old = before.get("collisionCount");
  if (old.is_integer() && status.get("collisionCount").int_or(0) < old.int_or(0)) c.invalid("collisionCount", Node(status.get("collisionCount").int_or(0)), "cannot be decremented");
}

void check_addresses(Check& c, const Node& list, std::string_view field) {
  size_t i = 0;
  for (const Node& item : list.items()) {
    std::string at = std::string(field) + "[" + std::to_string(i++) + "]";
    Step into(c, at);
    c.format("ip", item.get("ip"), Format::Ip);
  }
}

void check_load_balancer(Check& c, const Node& status) {
  size_t i = 0;
  for (const Node& item : status.path("loadBalancer.ingress").items()) {
    std::string at = "loadBalancer.ingress[" + std::to_string(i++) + "]";
    Step into(c, at);
    if (const std::string& ip = item.get("ip").str(); !ip.empty()) c.format("ip", item.get("ip"), Format::Ip);
    if (const std::string& host = item.get("hostname").str(); !host.empty()) {
      c.format("hostname", item.get("hostname"), Format::Subdomain);
      if (fits(Format::Ip, host)) c.invalid("hostname", item.get("hostname"), "must be a DNS name, not an IP address");
    }
  }
}

}  // namespace

void check_status(Check& c) {
  const Node& status = c.root.get("status");
  const Node before = c.old ? c.old->get("status") : Node();
  const std::string &group = c.kind.group, &plural = c.kind.plural;
  Step into(c, "status");
  for (const StatusRow& row : kRows)
    if (row.group == group && row.plural == plural) check_counts(c, row, status);
  if (group == "apps") check_collisions(c, status, before);
  if (plural == "ingresses" || (group.empty() && plural == "services")) check_load_balancer(c, status);
  if (!group.empty()) return;
  if (plural == "pods") {
    check_addresses(c, status.get("podIPs"), "podIPs");
    check_addresses(c, status.get("hostIPs"), "hostIPs");
    if (!before.get("qosClass").str().empty() && !status.get("qosClass").str().empty()) c.unchanged("qosClass", status.get("qosClass"), before.get("qosClass"));
  }
  if (plural == "namespaces") {
    const Node& phase = status.get("phase");
    bool goes = c.root.path("metadata.deletionTimestamp").exists();
    if (!phase.str().empty() && (phase.str() == "Active") == goes)
      c.invalid("Phase", phase, goes ? "may only be 'Terminating' if `deletionTimestamp` is not empty" : "may only be 'Active' if `deletionTimestamp` is empty");
  }
}

}  // namespace k8lite::api::rules
