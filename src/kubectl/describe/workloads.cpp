// Deployments, replica sets, daemon sets and stateful sets.
#include <algorithm>

#include "base/strings.h"
#include "kubectl/describe/describe.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

std::string count(const Node& n, int64_t otherwise = 0) { return std::to_string(n.int_or(otherwise)); }

void put_conditions(Page& page, const Node& conditions) {
  if (conditions.empty()) return;
  page.line(0, "Conditions:\n  Type\tStatus\tReason");
  page.line(1, "----\t------\t------");
  for (const Node& c : conditions.items()) page.line(1, c["type"].str() + " \t" + c["status"].str() + "\t" + c["reason"].str());
}

void put_pods_status(Page& page, const Subject& s) {
  int64_t running = 0, waiting = 0, succeeded = 0, failed = 0;
  for (const Node& p : owned_by(s.all("pods"), s.object)) {
    const std::string& phase = p.path("status.phase").str();
    running += phase == "Running", waiting += phase == "Pending", succeeded += phase == "Succeeded", failed += phase == "Failed";
  }
  page.field(0, "Pods Status", std::to_string(running) + " Running / " + std::to_string(waiting) + " Waiting / " + std::to_string(succeeded) + " Succeeded / " + std::to_string(failed) + " Failed");
}

Node bare_template(const Node& workload) {
  Node t = workload.path("spec.template");
  if (Node* meta = t.find("metadata"))
    if (Node* labels = meta->find("labels")) labels->erase("pod-template-hash");
  return t;
}

std::string sets_text(const std::vector<Node>& sets) {
  std::vector<std::string> parts;
  for (const Node& r : sets) parts.push_back(r.path("metadata.name").str() + " (" + count(r.path("status.replicas")) + "/" + count(r.path("spec.replicas")) + " replicas created)");
  return parts.empty() ? "<none>" : join(parts, ", ");
}

void put_sets(Page& page, const Subject& s) {
  std::vector<Node> sets = owned_by(s.all("replicasets.apps"), s.object), old, fresh;
  std::stable_sort(sets.begin(), sets.end(), [](const Node& a, const Node& b) { return a.path("metadata.creationTimestamp").str() < b.path("metadata.creationTimestamp").str(); });
  Node wanted = bare_template(s.object);
  for (const Node& r : sets) {
    if (fresh.empty() && bare_template(r) == wanted) fresh.push_back(r);
    else old.push_back(r);
  }
  page.field(0, "OldReplicaSets", sets_text(old));
  page.field(0, "NewReplicaSet", sets_text(fresh));
}

}  // namespace

void describe_deployment(Page& page, const Subject& s) {
  const Node &d = s.object, &spec = d["spec"], &status = d["status"];
  put_name(page, d);
  page.field(0, "CreationTimestamp", long_time(d.path("metadata.creationTimestamp")));
  put_labels(page, "Labels", d.path("metadata.labels"));
  put_annotations(page, "Annotations", d.path("metadata.annotations"));
  page.field(0, "Selector", selector_of(spec["selector"]));
  page.field(0, "Replicas", count(spec["replicas"], 1) + " desired | " + count(status["updatedReplicas"]) + " updated | " + count(status["replicas"]) + " total | " +
                                count(status["availableReplicas"]) + " available | " + count(status["unavailableReplicas"]) + " unavailable");
  page.field(0, "StrategyType", spec.path("strategy.type").str());
  page.field(0, "MinReadySeconds", count(spec["minReadySeconds"]));
  if (const Node& rolling = spec.path("strategy.rollingUpdate"); rolling.is_object())
    page.field(0, "RollingUpdateStrategy", value_text(rolling["maxUnavailable"]) + " max unavailable, " + value_text(rolling["maxSurge"]) + " max surge");
  put_pod_template(page, spec["template"]);
  put_conditions(page, status["conditions"]);
  put_sets(page, s);
}

void describe_replica_set(Page& page, const Subject& s) {
  const Node &r = s.object, &spec = r["spec"];
  put_name(page, r);
  bool set = r["kind"].str() != "ReplicationController";
  page.field(0, "Selector", set ? selector_of(spec["selector"]) : pairs_text(spec["selector"]));
  put_labels(page, "Labels", r.path("metadata.labels"));
  put_annotations(page, "Annotations", r.path("metadata.annotations"));
  put_controller(page, r);
  page.field(0, "Replicas", count(r.path("status.replicas")) + " current / " + count(spec["replicas"], 1) + " desired");
  put_pods_status(page, s);
  put_pod_template(page, spec["template"]);
  put_conditions(page, r.path("status.conditions"));
}

void describe_daemon_set(Page& page, const Subject& s) {
  const Node &d = s.object, &status = d["status"];
  put_name(page, d);
  page.field(0, "Selector", selector_of(d.path("spec.selector")));
  page.field(0, "Node-Selector", pairs_text(d.path("spec.template.spec.nodeSelector")));
  put_labels(page, "Labels", d.path("metadata.labels"));
  put_annotations(page, "Annotations", d.path("metadata.annotations"));
  page.line(0, "Desired Number of Nodes Scheduled: " + count(status["desiredNumberScheduled"]));
  page.line(0, "Current Number of Nodes Scheduled: " + count(status["currentNumberScheduled"]));
  page.line(0, "Number of Nodes Scheduled with Up-to-date Pods: " + count(status["updatedNumberScheduled"]));
  page.line(0, "Number of Nodes Scheduled with Available Pods: " + count(status["numberAvailable"]));
  page.line(0, "Number of Nodes Misscheduled: " + count(status["numberMisscheduled"]));
  put_pods_status(page, s);
  put_pod_template(page, d.path("spec.template"));
}

void describe_stateful_set(Page& page, const Subject& s) {
  const Node &w = s.object, &spec = w["spec"];
  put_name(page, w);
  page.field(0, "CreationTimestamp", long_time(w.path("metadata.creationTimestamp")));
  page.field(0, "Selector", selector_of(spec["selector"]));
  put_labels(page, "Labels", w.path("metadata.labels"));
  put_annotations(page, "Annotations", w.path("metadata.annotations"));
  page.field(0, "Replicas", count(spec["replicas"], 1) + " desired | " + count(w.path("status.replicas")) + " total");
  page.field(0, "Update Strategy", spec.path("updateStrategy.type").str());
  if (const Node& rolling = spec.path("updateStrategy.rollingUpdate"); rolling.is_object()) {
    page.field(1, "Partition", count(rolling["partition"]));
    if (rolling.find("maxUnavailable")) page.field(1, "MaxUnavailable", value_text(rolling["maxUnavailable"]));
  }
  put_pods_status(page, s);
  put_pod_template(page, spec["template"]);
  const Node& claims = spec["volumeClaimTemplates"];
  page.line(0, claims.empty() ? "Volume Claims:\t<none>" : "Volume Claims:");
  for (const Node& c : claims.items()) {
    page.field(1, "Name", c.path("metadata.name").str());
    page.field(1, "StorageClass", c.path("spec.storageClassName").str());
    put_labels(page, "Labels", c.path("metadata.labels"), "  ");
    put_annotations(page, "Annotations", c.path("metadata.annotations"), "  ");
    const Node& storage = c.path("spec.resources.requests")["storage"];
    page.field(1, "Capacity", storage.exists() ? value_text(storage) : "<default>");
    page.field(1, "Access Modes", bracketed(c.path("spec.accessModes")));
  }
}

}  // namespace k8lite::kubectl
