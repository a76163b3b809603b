// The table of kinds, the events at the end of a description and the form used for every kind without a row.
#include "kubectl/describe/describe.h"

#include <algorithm>
#include <cctype>

#include "base/strings.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

const std::vector<Describer>& table() {
  static const std::vector<Describer> rows = {
      {"", "Pod", describe_pod, {}},
      {"", "Node", describe_node, {"pods"}},
      {"", "Service", describe_service, {"endpointslices"}},
      {"", "Endpoints", describe_endpoints, {}},
      {"", "ConfigMap", describe_config_map, {}},
      {"", "Secret", describe_secret, {}, false},
      {"", "ServiceAccount", describe_service_account, {}},
      {"", "Namespace", describe_namespace, {"resourcequotas", "limitranges"}, false},
      {"", "ResourceQuota", describe_resource_quota, {}, false},
      {"", "LimitRange", describe_limit_range, {}, false},
      {"", "PersistentVolume", describe_volume, {}},
      {"", "PersistentVolumeClaim", describe_claim, {"pods"}},
      {"", "ReplicationController", describe_replica_set, {"pods"}},
      {"apps", "Deployment", describe_deployment, {"replicasets.apps"}},
      {"apps", "ReplicaSet", describe_replica_set, {"pods"}},
      {"apps", "DaemonSet", describe_daemon_set, {"pods"}},
      {"apps", "StatefulSet", describe_stateful_set, {"pods"}},
      {"batch", "Job", describe_job, {}},
      {"batch", "CronJob", describe_cron_job, {}},
      {"discovery.k8s.io", "EndpointSlice", describe_endpoint_slice, {}},
      {"networking.k8s.io", "Ingress", describe_ingress, {"services", "endpointslices"}},
      {"networking.k8s.io", "IngressClass", describe_ingress_class, {}},
      {"networking.k8s.io", "NetworkPolicy", describe_network_policy, {}, false},
      {"rbac.authorization.k8s.io", "Role", describe_role, {}, false},
      {"rbac.authorization.k8s.io", "ClusterRole", describe_role, {}, false},
      {"rbac.authorization.k8s.io", "RoleBinding", describe_role_binding, {}, false},
      {"rbac.authorization.k8s.io", "ClusterRoleBinding", describe_role_binding, {}, false},
      {"storage.k8s.io", "StorageClass", describe_storage_class, {}},
      {"scheduling.k8s.io", "PriorityClass", describe_priority_class, {}},
      {"policy", "PodDisruptionBudget", describe_disruption_budget, {}},
      {"autoscaling", "HorizontalPodAutoscaler", describe_autoscaler, {}},
  };
  return rows;
}

// "creationTimestamp" -> "Creation Timestamp"; names with anything but letters and dashes stay.
std::string label_of(const std::string& name) {
  for (char c : name)
    if (!std::isalpha(static_cast<unsigned char>(c)) && c != '-') return name;
  auto is_upper = [](char c) { return std::isupper(static_cast<unsigned char>(c)) != 0; };
  auto kind_of = [&](char c) { return c == '-' ? 2 : is_upper(c) ? 1 : 0; };
  std::vector<std::string> parts;
  for (char c : name) {
    if (!parts.empty() && kind_of(parts.back().back()) == kind_of(c)) parts.back() += c;
    else parts.emplace_back(1, c);
  }
  for (size_t i = 0; i + 1 < parts.size(); ++i)  // the last capital begins the next word: "CIDRBlock"
    if (is_upper(parts[i][0]) && std::islower(static_cast<unsigned char>(parts[i + 1][0]))) {
      parts[i + 1].insert(0, 1, parts[i].back());
      parts[i].pop_back();
    }
  std::vector<std::string> words;
  for (std::string& p : parts) {
    if (p.empty()) continue;
    std::string small = lower(p);
    if (small == "api" || small == "url" || small == "uid" || small == "osb" || small == "guid")
      for (char& c : p) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    p[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(p[0])));
    words.push_back(p);
  }
  return join(words, " ");
}

bool shown_above(std::string_view path) {
  return path == ".metadata.managedFields" || path == ".metadata.name" || path == ".metadata.namespace" || path == ".metadata.labels" || path == ".metadata.annotations";
}

void put_content(Page& page, int level, const Node& content, const std::string& prefix) {
  for (const std::string& name : sorted_names(content)) {
    const Node& value = content[name];
    std::string path = prefix + "." + name;
    if (shown_above(path)) continue;
    if (value.is_object()) {
      page.line(level, label_of(name) + ":");
      put_content(page, level + 1, value, path);
    } else if (value.is_array()) {
      page.line(level, label_of(name) + ":");
      for (const Node& child : value.items()) {
        if (child.is_object()) put_content(page, level + 1, child, path);
        else page.line(level + 1, value_text(child));
      }
    } else {
      page.field(level, label_of(name), value_text(value));
    }
  }
}

Instant event_time(const Node& e) {
  for (const Node* t : {&e["lastTimestamp"], &e["eventTime"], &e["firstTimestamp"]})
    if (auto at = parse_rfc3339(t->str())) return *at;
  return {};
}

}  // namespace

const std::vector<Node>& Subject::all(const std::string& resource) const {
  static const std::vector<Node> none;
  auto it = related.find(resource);
  return it == related.end() ? none : it->second;
}

const Describer& describer_of(std::string_view group, std::string_view kind) {
  static const Describer generic{"", "", describe_generic, {}};
  for (const Describer& d : table())
    if (d.group == group && d.kind == kind) return d;
  return generic;
}

std::string describe(const Describer& how, const Subject& subject) {
  Page page;
  how.describe(page, subject);
  if (how.events && subject.show_events) put_events(page, subject);
  return page.text();
}

void describe_generic(Page& page, const Subject& s) {
  page.field(0, "Name", s.object.path("metadata.name").str());
  page.field(0, "Namespace", s.object.path("metadata.namespace").str());
  put_labels(page, "Labels", s.object.path("metadata.labels"));
  put_annotations(page, "Annotations", s.object.path("metadata.annotations"));
  put_content(page, 0, s.object, "");
}

void put_events(Page& page, const Subject& s) {
  if (s.events.empty()) {
    page.line(0, "Events:\t<none>");
    return;
  }
  std::vector<Node> events = s.events;
  std::stable_sort(events.begin(), events.end(), [](const Node& a, const Node& b) { return event_time(a) < event_time(b); });
  page.line(0, "Events:");
  page.line(1, "Type\tReason\tAge\tFrom\tMessage");
  page.line(1, "----\t------\t----\t----\t-------");
  for (const Node& e : events) {
    std::string first = e["eventTime"].str().empty() ? age(e["firstTimestamp"], s.now) : age(e["eventTime"], s.now), when = first;
    if (const Node* series = e.find("series"); series && series->is_object())
      when = age(series->get("lastObservedTime"), s.now) + " (x" + std::to_string(series->get("count").int_or(0)) + " over " + first + ")";
    else if (e["count"].int_or(0) > 1)
      when = age(e["lastTimestamp"], s.now) + " (x" + std::to_string(e["count"].int_or(0)) + " over " + first + ")";
    std::string from = e["source"]["component"].str();
    if (from.empty()) from = e["reportingComponent"].str();
    std::string where = e["involvedObject"]["fieldPath"].str();
    if (!where.empty()) where += ": ";
    page.line(1, e["type"].str() + "\t" + e["reason"].str() + "\t" + when + "\t" + from + "\t" + where + std::string(trim(e["message"].str())));
  }
}

std::vector<Node> owned_by(const std::vector<Node>& objects, const Node& owner) {
  std::vector<Node> out;
  const std::string& uid = owner.path("metadata.uid").str();
  for (const Node& o : objects)
    for (const Node& r : o.path("metadata.ownerReferences").items())
      if (r["controller"].bool_or(false) && r["uid"].str() == uid) out.push_back(o);
  return out;
}

}  // namespace k8lite::kubectl
