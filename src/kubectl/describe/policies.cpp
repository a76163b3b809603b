// Storage, network policies, disruption budgets, autoscalers and priority classes.
#include "base/strings.h"
#include "kubectl/describe/describe.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

std::string modes_text(const Node& modes) {
  std::string out;
  for (const auto& [name, text] : {std::pair{"ReadWriteOnce", "RWO"}, {"ReadOnlyMany", "ROX"}, {"ReadWriteMany", "RWX"}, {"ReadWriteOncePod", "RWOP"}})
    for (const Node& m : modes.items())
      if (m.str() == name) out += (out.empty() ? "" : ",") + std::string(text);
  return out;
}

void put_peers(Page& page, std::string_view word, const Node& peers) {
  std::string title = word == "from" ? "From" : "To";
  if (peers.empty()) {
    page.line(2, title + ": <any> (traffic not restricted by " + (word == "from" ? "source" : "destination") + ")");
    return;
  }
  for (const Node& p : peers.items()) {
    page.line(2, title + ":");
    if (p.find("namespaceSelector")) page.line(3, "NamespaceSelector: " + selector_of(p["namespaceSelector"]));
    if (p.find("podSelector")) page.line(3, "PodSelector: " + selector_of(p["podSelector"]));
    if (!p.find("ipBlock")) continue;
    page.line(3, "IPBlock:");
    page.line(4, "CIDR: " + p["ipBlock"]["cidr"].str());
    page.line(4, "Except: " + text_list(p["ipBlock"]["except"], ", "));
  }
}

void put_rules(Page& page, const Node& rules, bool in) {
  if (rules.empty()) {
    page.line(2, std::string("<none> (Selected pods are isolated for ") + (in ? "ingress" : "egress") + " connectivity)");
    return;
  }
  for (size_t i = 0; i < rules.items().size(); ++i) {
    const Node& r = rules.items()[i];
    if (r["ports"].empty()) page.line(2, "To Port: <any> (traffic allowed to all ports)");
    for (const Node& p : r["ports"].items()) {
      std::string protocol = p["protocol"].str_or("TCP"), port = p["port"].exists() ? value_text(p["port"]) : "<any>";
      if (p["endPort"].is_number()) page.line(2, "To Port Range: " + port + "-" + value_text(p["endPort"]) + "/" + protocol);
      else page.line(2, "To Port: " + port + "/" + protocol);
    }
    put_peers(page, in ? "from" : "to", r[in ? "from" : "to"]);
    if (i + 1 < rules.items().size()) page.line(2, "----------");
  }
}

std::string status_of(const Node& object) { return object.path("metadata.deletionTimestamp").is_string() ? "Terminating" : object.path("status.phase").str(); }

}  // namespace

void describe_network_policy(Page& page, const Subject& s) {
  const Node& spec = s.object["spec"];
  put_name(page, s.object);
  auto made = parse_rfc3339(s.object.path("metadata.creationTimestamp").str());
  std::string text = made ? rfc3339(*made) : "";
  if (text.size() > 19) text = text.substr(0, 10) + " " + text.substr(11, 8) + " +0000 UTC";
  page.field(0, "Created on", text);
  put_labels(page, "Labels", s.object.path("metadata.labels"));
  put_annotations(page, "Annotations", s.object.path("metadata.annotations"));
  bool in = false, out = false;
  std::vector<std::string> types;
  for (const Node& t : spec["policyTypes"].items()) {
    types.push_back(t.str());
    in = in || t.str() == "Ingress", out = out || t.str() == "Egress";
  }
  std::string selector = selector_of(spec["podSelector"]);
  page.line(0, "Spec:");
  page.line(1, "PodSelector:     " + (selector == "<none>" ? "<none> (Allowing the specific traffic to all pods in this namespace)" : selector));
  page.line(1, in ? "Allowing ingress traffic:" : "Not affecting ingress traffic");
  if (in) put_rules(page, spec["ingress"], true);
  page.line(1, out ? "Allowing egress traffic:" : "Not affecting egress traffic");
  if (out) put_rules(page, spec["egress"], false);
  page.line(1, "Policy Types: " + join(types, ", "));
}

void describe_volume(Page& page, const Subject& s) {
  const Node &pv = s.object, &spec = pv["spec"];
  page.field(0, "Name", pv.path("metadata.name").str());
  put_labels(page, "Labels", pv.path("metadata.labels"));
  put_annotations(page, "Annotations", pv.path("metadata.annotations"));
  page.field(0, "Finalizers", bracketed(pv.path("metadata.finalizers")));
  page.field(0, "StorageClass", spec["storageClassName"].str());
  page.field(0, "Status", pv.path("metadata.deletionTimestamp").is_string() ? "Terminating (lasts " + age(pv.path("metadata.deletionTimestamp"), s.now) + ")" : status_of(pv));
  page.field(0, "Claim", spec["claimRef"].is_object() ? spec["claimRef"]["namespace"].str() + "/" + spec["claimRef"]["name"].str() : "");
  page.field(0, "Reclaim Policy", spec["persistentVolumeReclaimPolicy"].str());
  page.field(0, "Access Modes", modes_text(spec["accessModes"]));
  if (spec["volumeMode"].is_string()) page.field(0, "VolumeMode", spec["volumeMode"].str());
  page.field(0, "Capacity", value_text(spec["capacity"]["storage"]));
  const Node& terms = spec.path("nodeAffinity.required.nodeSelectorTerms");
  if (terms.empty()) page.line(0, "Node Affinity:\t<none>");
  if (!terms.empty()) {
    page.line(0, "Node Affinity:\t");
    page.line(1, "Required Terms:\t");
    for (size_t i = 0; i < terms.items().size(); ++i) {
      std::string lead = "Term " + std::to_string(i) + ":\t";
      for (const Node& e : terms.items()[i]["matchExpressions"].items()) {
        std::string values = text_list(e["values"], ", ");
        page.line(2, lead + e["key"].str() + " " + lower(e["operator"].str()) + (values.empty() ? "" : " [" + values + "]"));
        lead = "\t";
      }
    }
  }
  page.field(0, "Message", pv.path("status.message").str());
  page.line(0, "Source:");
  put_volume_source(page, spec);
}

void describe_claim(Page& page, const Subject& s) {
  const Node &c = s.object, &spec = c["spec"];
  put_name(page, c);
  page.field(0, "StorageClass", spec["storageClassName"].str());
  page.field(0, "Status", c.path("metadata.deletionTimestamp").is_string() ? "Terminating (lasts " + age(c.path("metadata.deletionTimestamp"), s.now) + ")" : status_of(c));
  page.field(0, "Volume", spec["volumeName"].str());
  put_labels(page, "Labels", c.path("metadata.labels"));
  put_annotations(page, "Annotations", c.path("metadata.annotations"));
  page.field(0, "Finalizers", bracketed(c.path("metadata.finalizers")));
  bool bound = !spec["volumeName"].empty();
  page.field(0, "Capacity", bound ? value_text(c.path("status.capacity")["storage"]) : "");
  page.field(0, "Access Modes", bound ? modes_text(c.path("status.accessModes")) : "");
  if (spec["volumeMode"].is_string()) page.field(0, "VolumeMode", spec["volumeMode"].str());
  std::string lead = "Used By:\t";
  bool used = false;
  for (const Node& p : s.all("pods"))
    for (const Node& v : p.path("spec.volumes").items())
      if (v["persistentVolumeClaim"]["claimName"].str() == c.path("metadata.name").str()) {
        page.line(0, lead + p.path("metadata.name").str());
        lead = "\t";
        used = true;
      }
  if (!used) page.line(0, lead + "<none>");
}

void describe_storage_class(Page& page, const Subject& s) {
  const Node& c = s.object;
  page.field(0, "Name", c.path("metadata.name").str());
  page.field(0, "IsDefaultClass", c.path("metadata.annotations")["storageclass.kubernetes.io/is-default-class"].str() == "true" ? "Yes" : "No");
  page.field(0, "Annotations", pairs_text(c.path("metadata.annotations")));
  page.field(0, "Provisioner", c["provisioner"].str());
  page.field(0, "Parameters", pairs_text(c["parameters"]));
  page.field(0, "AllowVolumeExpansion", c["allowVolumeExpansion"].is_bool() ? true_false(c["allowVolumeExpansion"]) : "<unset>");
  if (c["mountOptions"].empty()) page.field(0, "MountOptions", "<none>");
  else page.line(0, "MountOptions:");
  for (const Node& o : c["mountOptions"].items()) page.line(1, o.str());
  if (c["reclaimPolicy"].is_string()) page.field(0, "ReclaimPolicy", c["reclaimPolicy"].str());
  if (c["volumeBindingMode"].is_string()) page.field(0, "VolumeBindingMode", c["volumeBindingMode"].str());
}

void describe_priority_class(Page& page, const Subject& s) {
  const Node& c = s.object;
  page.field(0, "Name", c.path("metadata.name").str());
  page.field(0, "Value", value_text(c["value"]));
  page.field(0, "GlobalDefault", c["globalDefault"].bool_or(false) ? "true" : "false");
  page.field(0, "PreemptionPolicy", c["preemptionPolicy"].str());
  page.field(0, "Description", c["description"].str());
  page.field(0, "Annotations", pairs_text(c.path("metadata.annotations")));
}

void describe_disruption_budget(Page& page, const Subject& s) {
  const Node &spec = s.object["spec"], &status = s.object["status"];
  put_name(page, s.object);
  if (spec["minAvailable"].exists()) page.field(0, "Min available", value_text(spec["minAvailable"]));
  else if (spec["maxUnavailable"].exists()) page.field(0, "Max unavailable", value_text(spec["maxUnavailable"]));
  page.field(0, "Selector", spec["selector"].is_object() ? selector_of(spec["selector"]) : "<unset>");
  page.line(0, "Status:");
  auto row = [&](const char* label, const char* name) { page.field(2, label, std::to_string(status[name].int_or(0))); };
  row("Allowed disruptions", "disruptionsAllowed");
  row("Current", "currentHealthy");
  row("Desired", "desiredHealthy");
  row("Total", "expectedPods");
}

namespace {

// One metric as "what:<tab>is / wanted".
std::string metric_line(const Node& m, const Node& now) {
  const std::string& type = m["type"].str();
  static constexpr std::pair<const char*, const char*> kMembers[] = {{"Resource", "resource"}, {"ContainerResource", "containerResource"}, {"Pods", "pods"}, {"Object", "object"}, {"External", "external"}};
  const char* member = nullptr;
  for (auto [name, of] : kMembers)
    if (type == name) member = of;
  if (!member) return "<unknown metric type " + json::quoted(type) + ">";
  const Node &source = m[member], &target = source["target"], &current = now.get(member).get("current");
  auto amount = [](const Node& v) { return v.exists() && !v.is_null() ? value_text(v) : std::string("<unknown>"); };
  bool average = target["averageValue"].exists();
  std::string is = amount(current.get(average ? "averageValue" : "value")), wanted = value_text(target[average ? "averageValue" : "value"]);
  std::string quoted_name = json::quoted(source.path("metric.name").str()), kind_of_target = average ? "(target average value)" : "(target value)";
  if (type == "Pods") return quoted_name + " on pods:\t" + is + " / " + wanted;
  if (type == "External") return quoted_name + " " + kind_of_target + ":\t" + is + " / " + wanted;
  if (type == "Object") return quoted_name + " on " + source.path("describedObject.kind").str() + "/" + source.path("describedObject.name").str() + " " + kind_of_target + ":\t" + is + " / " + wanted;
  std::string what = "resource " + source["name"].str() + (type == "Resource" ? "" : " of container \"" + source["container"].str() + "\"") + " on pods";
  if (average) return what + ":\t" + is + " / " + wanted;
  const Node& percent = current.get("averageUtilization");
  is = percent.is_number() ? value_text(percent) + "% (" + value_text(current.get("averageValue")) + ")" : "<unknown>";
  return what + "  (as a percentage of request):\t" + is + " / " + (target["averageUtilization"].is_number() ? value_text(target["averageUtilization"]) + "%" : "<auto>");
}

void put_direction(Page& page, const char* name, const Node& rules) {
  if (!rules.is_object()) return;
  page.line(1, std::string(name) + ":");
  if (rules["stabilizationWindowSeconds"].is_number()) page.line(2, "Stabilization Window: " + value_text(rules["stabilizationWindowSeconds"]) + " seconds");
  if (rules["policies"].empty()) return;
  page.line(2, "Select Policy: " + rules["selectPolicy"].str_or("Max"));
  page.line(2, "Policies:");
  for (const Node& p : rules["policies"].items()) page.line(3, "- Type: " + p["type"].str() + "\tValue: " + value_text(p["value"]) + "\tPeriod: " + value_text(p["periodSeconds"]) + " seconds");
}

}  // namespace

void describe_autoscaler(Page& page, const Subject& s) {
  const Node &hpa = s.object, &spec = hpa["spec"], &status = hpa["status"];
  put_metadata(page, hpa);
  page.field(0, "CreationTimestamp", long_time(hpa.path("metadata.creationTimestamp")));
  page.field(0, "Reference", spec.path("scaleTargetRef.kind").str() + "/" + spec.path("scaleTargetRef.name").str());
  page.line(0, "Metrics:\t( current / target )");
  const auto& current = status["currentMetrics"].items();
  const Node none;
  for (size_t i = 0; i < spec["metrics"].items().size(); ++i) page.line(1, metric_line(spec["metrics"].items()[i], i < current.size() ? current[i] : none));
  page.field(0, "Min replicas", spec["minReplicas"].is_number() ? value_text(spec["minReplicas"]) : "<unset>");
  page.field(0, "Max replicas", value_text(spec["maxReplicas"]));
  if (const Node& behavior = spec["behavior"]; behavior.is_object()) {
    page.line(0, "Behavior:");
    put_direction(page, "Scale Up", behavior["scaleUp"]);
    put_direction(page, "Scale Down", behavior["scaleDown"]);
  }
  page.field(0, spec.path("scaleTargetRef.kind").str() + " pods", std::to_string(status["currentReplicas"].int_or(0)) + " current / " + std::to_string(status["desiredReplicas"].int_or(0)) + " desired");
  if (status["conditions"].empty()) return;
  page.line(0, "Conditions:\n  Type\tStatus\tReason\tMessage");
  page.line(1, "----\t------\t------\t-------");
  for (const Node& c : status["conditions"].items()) page.line(1, c["type"].str() + "\t" + c["status"].str() + "\t" + c["reason"].str() + "\t" + c["message"].str());
}

}  // namespace k8lite::kubectl
