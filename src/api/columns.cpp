// What `kubectl get` prints for the built-in kinds: one line a kind with its columns, and the function that makes its cells
// (Kubernetes' server-side printing). The cells themselves are in the columns_*.cpp files.
#include "api/columns.h"

#include <algorithm>

#include "api/selector.h"
#include "base/strings.h"

namespace k8lite::api {
namespace print {

std::string age_of(std::string_view text, Instant now) {
  auto t = parse_rfc3339(text);
  return t ? human_duration(now - *t) : "<unknown>";
}
std::string age(Value object, Instant now) { return age_of(object.path("metadata.creationTimestamp").str(), now); }
std::string name(Value object) { return object.path("metadata.name").str(); }
std::string or_none(std::string text) { return text.empty() ? "<none>" : text; }

std::string joined(Value list, std::string_view separator) {
  std::string out;
  for (Value v : list.items()) out += (out.empty() ? "" : std::string(separator)) + (v.is_string() ? v.str() : std::string(v.raw()));
  return out;
}
std::string containers(Value template_or_pod, std::string_view field) {
  std::string out;
  for (Value c : template_or_pod.path("spec.containers").items()) out += (out.empty() ? "" : ",") + c[field].str();
  return out;
}
std::string selector_text(Value selector) {
  auto s = LabelSelector::from_object(selector);
  return s.ok() ? or_none(s->text()) : "<error>";
}
std::string map_text(Value map) {
  std::vector<std::string> parts;
  for (auto m : map.members()) parts.push_back(m.key() + "=" + m.value.str());
  std::sort(parts.begin(), parts.end());
  return or_none(join(parts, ","));
}
std::string few(const std::vector<std::string>& all, std::string_view none) {
  constexpr size_t kShown = 3;
  if (all.empty()) return std::string(none);
  std::string text;
  for (size_t i = 0; i < all.size() && i < kShown; ++i) text += (i ? "," : "") + all[i];
  if (all.size() > kShown) text += " + " + std::to_string(all.size() - kShown) + " more...";
  return text;
}
bool has_condition(Value object, std::string_view type) {
  for (Value c : object.path("status.conditions").items())
    if (c["type"].equals(type)) return c["status"].equals("True");
  return false;
}

}  // namespace print

namespace {

using namespace print;

Cells plain_cells(Value o, Instant now) { return {name(o), age(o, now)}; }
Cells created_cells(Value o, Instant) { return {name(o), o.path("metadata.creationTimestamp").str()}; }
std::string budget(Value v) { return !v ? "N/A" : v.is_string() ? v.str() : std::string(v.raw()); }

using MakeCells = Cells (*)(Value, Instant);
struct Entry {
  std::string_view group, plural;
  // Columns after Name, separated by |. A leading + : only with -o wide. :type for what is no string. Age and Created At are known.
  std::string_view columns;
  MakeCells cells;
};

constexpr std::string_view kTemplated = "|+Containers|+Images|+Selector";

constexpr Entry kEntries[] = {
    {"", "bindings", "Created At", created_cells},
    {"autoscaling", "scales", "Desired:integer|Available:integer|Age", [](Value o, Instant now) -> Cells {  // what /scale answers with
       return {name(o), o.path("spec.replicas").int_or(0), o.path("status.replicas").int_or(0), age(o, now)};
     }},
    {"", "componentstatuses", "Status|Message|Error", component_cells},
    {"", "configmaps", "Data|Age", [](Value o, Instant now) -> Cells { return {name(o), o["data"].size() + o["binaryData"].size(), age(o, now)}; }},
    {"", "endpoints", "Endpoints|Age", endpoints_cells},
    {"", "events", "!Last Seen|Type|Reason|Object|+Subobject|+Source|Message|+First Seen|+Count|+Name", event_cells},
    {"", "limitranges", "Created At", created_cells},
    {"", "namespaces", "Status|Age", [](Value o, Instant now) -> Cells { return {name(o), o.path("status.phase").str(), age(o, now)}; }},
    {"", "nodes", "Status|Roles|Age|Version|+Internal-IP|+External-IP|+OS-Image|+Kernel-Version|+Container-Runtime", node_cells},
    {"", "persistentvolumeclaims", "Status|Volume|Capacity|Access Modes|StorageClass|VolumeAttributesClass|Age|+VolumeMode", claim_cells},
    {"", "persistentvolumes", "Capacity|Access Modes|Reclaim Policy|Status|Claim|StorageClass|VolumeAttributesClass|Reason|Age|+VolumeMode", volume_cells},
    {"", "pods", "Ready|Status|Restarts|Age|+IP|+Node|+Nominated Node|+Readiness Gates", pod_cells},
    {"", "podtemplates", "Containers|Images|Pod Labels", [](Value o, Instant) -> Cells {
       Value t = o["template"];
       return {name(o), containers(t, "name"), containers(t, "image"), map_text(t["metadata"]["labels"])};
     }},
    {"", "replicationcontrollers", "Desired:integer|Current:integer|Ready:integer|Age", replication_controller_cells},
    {"", "resourcequotas", "Request|Limit|Age", quota_cells},
    {"", "secrets", "Type|Data|Age", [](Value o, Instant now) -> Cells { return {name(o), o["type"].str(), o["data"].size(), age(o, now)}; }},
    {"", "serviceaccounts", "Age", plain_cells},
    {"", "services", "Type|Cluster-IP|External-IP|Port(s)|Age|+Selector", service_cells},
    {"apiregistration.k8s.io", "apiservices", "Service|Available|Age", api_service_cells},
    {"apps", "controllerrevisions", "Controller|Revision|Age", revision_cells},
    {"apps", "daemonsets", "Desired:integer|Current:integer|Ready:integer|Up-to-date:integer|Available:integer|Node Selector|Age", daemon_set_cells},
    {"apps", "deployments", "Ready|Up-to-date|Available|Age", deployment_cells},
    {"apps", "replicasets", "Desired:integer|Current:integer|Ready:integer|Age", replica_set_cells},
    {"apps", "statefulsets", "Ready|Age|+Containers|+Images", stateful_set_cells},
    {"autoscaling", "horizontalpodautoscalers", "Reference|Targets|MinPods|MaxPods|Replicas|Age", hpa_cells},
    {"batch", "cronjobs", "Schedule|Timezone|Suspend|Active|Last Schedule|Age", cron_job_cells},
    {"batch", "jobs", "Status|Completions|Duration|Age", job_cells},
    {"certificates.k8s.io", "certificatesigningrequests", "Age|SignerName|Requestor|RequestedDuration|Condition", csr_cells},
    {"metrics.k8s.io", "nodes", "cpu|memory|Window", [](Value o, Instant) -> Cells { return {name(o), o["usage"]["cpu"].str(), o["usage"]["memory"].str(), o["window"].str()}; }},
    {"metrics.k8s.io", "pods", "cpu|memory|Window", pod_usage_cells},
    {"networking.k8s.io", "ingressclasses", "Controller|Parameters|Age", ingress_class_cells},
    {"networking.k8s.io", "ingresses", "Class|Hosts|Address|Ports|Age", ingress_cells},
    {"networking.k8s.io", "ipaddresses", "ParentRef", ip_address_cells},
    {"networking.k8s.io", "networkpolicies", "Pod-Selector|Age", [](Value o, Instant now) -> Cells { return {name(o), selector_text(o["spec"]["podSelector"]), age(o, now)}; }},
    {"networking.k8s.io", "servicecidrs", "CIDRs|Age", [](Value o, Instant now) -> Cells { return {name(o), joined(o["spec"]["cidrs"]), age(o, now)}; }},
    {"policy", "poddisruptionbudgets", "Min Available|Max Unavailable|Allowed Disruptions:integer|Age", [](Value o, Instant now) -> Cells {
       return {name(o), budget(o["spec"]["minAvailable"]), budget(o["spec"]["maxUnavailable"]), o.path("status.disruptionsAllowed").int_or(0), age(o, now)};
     }},
    {"rbac.authorization.k8s.io", "clusterrolebindings", "Role|Age|+Users|+Groups|+ServiceAccounts", binding_cells},
    {"rbac.authorization.k8s.io", "clusterroles", "Created At", created_cells},
    {"rbac.authorization.k8s.io", "rolebindings", "Role|Age|+Users|+Groups|+ServiceAccounts", binding_cells},
    {"rbac.authorization.k8s.io", "roles", "Created At", created_cells},
    {"storage.k8s.io", "csidrivers", "AttachRequired:boolean|PodInfoOnMount:boolean|StorageCapacity:boolean|TokenRequests|RequiresRepublish:boolean|Modes|Age", csi_driver_cells},
    {"storage.k8s.io", "csinodes", "Drivers:integer|Age", [](Value o, Instant now) -> Cells { return {name(o), o.path("spec.drivers").size(), age(o, now)}; }},
    {"storage.k8s.io", "csistoragecapacities", "StorageClassName|Capacity", [](Value o, Instant) -> Cells { return {name(o), o["storageClassName"].str(), o["capacity"].str("<unset>")}; }},
    {"storage.k8s.io", "storageclasses", "Provisioner|ReclaimPolicy|VolumeBindingMode|AllowVolumeExpansion|Age", storage_class_cells},
    {"storage.k8s.io", "volumeattachments", "Attacher|PV|Node|Attached:boolean|Age", [](Value o, Instant now) -> Cells {
       Value s = o["spec"];
       return {name(o), s["attacher"].str(), s["source"]["persistentVolumeName"].str(), s["nodeName"].str(), o.path("status.attached").bool_or(false), age(o, now)};
     }},
    {"storage.k8s.io", "volumeattributesclasses", "DriverName|Age", [](Value o, Instant now) -> Cells {
       bool is_default = o["metadata"]["annotations"]["volumeattributesclass.alpha.kubernetes.io/is-default-class"].equals("true");
       return {name(o) + (is_default ? " (default)" : ""), o["driverName"].str(), age(o, now)};
     }},
    {"admissionregistration.k8s.io", "mutatingadmissionpolicies", "Mutations:integer|ParamKind|Age", [](Value o, Instant now) { return policy_cells(o, "mutations", now); }},
    {"admissionregistration.k8s.io", "mutatingadmissionpolicybindings", "PolicyName|ParamRef|Age", policy_binding_cells},
    {"admissionregistration.k8s.io", "mutatingwebhookconfigurations", "Webhooks:integer|Age", [](Value o, Instant now) -> Cells { return {name(o), o["webhooks"].size(), age(o, now)}; }},
    {"admissionregistration.k8s.io", "validatingadmissionpolicies", "Validations:integer|ParamKind|Age", [](Value o, Instant now) { return policy_cells(o, "validations", now); }},
    {"admissionregistration.k8s.io", "validatingadmissionpolicybindings", "PolicyName|ParamRef|Age", policy_binding_cells},
    {"admissionregistration.k8s.io", "validatingwebhookconfigurations", "Webhooks:integer|Age", [](Value o, Instant now) -> Cells { return {name(o), o["webhooks"].size(), age(o, now)}; }},
    {"apiextensions.k8s.io", "customresourcedefinitions", "Created At", created_cells},
    {"scheduling.k8s.io", "priorityclasses", "Value:integer|Global-Default:boolean|Age|PreemptionPolicy", [](Value o, Instant now) -> Cells {
       return {name(o), o["value"].int_or(0), o["globalDefault"].bool_or(false), age(o, now), o["preemptionPolicy"].str()};
     }},
    {"coordination.k8s.io", "leases", "Holder|Age", [](Value o, Instant now) -> Cells { return {name(o), o.path("spec.holderIdentity").str(), age(o, now)}; }},
    {"node.k8s.io", "runtimeclasses", "Handler|Age", [](Value o, Instant now) -> Cells { return {name(o), o["handler"].str(), age(o, now)}; }},
    {"discovery.k8s.io", "endpointslices", "AddressType|Ports|Endpoints|Age", endpoint_slice_cells},
    {"resource.k8s.io", "deviceclasses", "Age", plain_cells},
    {"resource.k8s.io", "resourceclaims", "State|Age", resource_claim_cells},
    {"resource.k8s.io", "resourceclaimtemplates", "Age", plain_cells},
    {"resource.k8s.io", "resourceslices", "Node|Driver|Pool|Age", [](Value o, Instant now) -> Cells {
       Value s = o["spec"];
       return {name(o), s["nodeName"].str(), s["driver"].str(), s["pool"]["name"].str(), age(o, now)};
     }},
    {"flowcontrol.apiserver.k8s.io", "flowschemas", "PriorityLevel|MatchingPrecedence|DistinguisherMethod|Age|MissingPL", flow_schema_cells},
    {"flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", "Type|NominalConcurrencyShares|Queues|HandSize|QueueLengthLimit|Age", priority_level_cells},
};

// Names, images and selector follow with -o wide where pods are made.
bool is_templated(const Entry& e) {
  return e.cells == deployment_cells || e.cells == replica_set_cells || e.cells == replication_controller_cells || e.cells == daemon_set_cells || e.cells == job_cells || e.cells == cron_job_cells;
}

Column read_column(std::string_view text) {
  Column c;
  if (text.starts_with('+')) {
    c.priority = 1;
    text.remove_prefix(1);
  }
  size_t colon = text.find(':');
  c.name = text.substr(0, colon);
  if (colon != text.npos) c.type = text.substr(colon + 1);
  if (c.name == "Created At") c.type = "date";
  if (c.name == "Name" || c.name == "Attacher") c.format = "name";
  c.description = c.name == "Age" ? "Time since the object was created." : c.name == "Name" ? "Name of the object, unique within its namespace." : c.name + " of the object.";
  return c;
}

}  // namespace

Printing printing_of(std::string_view group, std::string_view plural) {
  if (group == "events.k8s.io") group = "";
  Printing out{{read_column("Name")}, created_cells};
  for (const Entry& e : kEntries) {
    if (e.group != group || e.plural != plural) continue;
    out.cells = e.cells;
    std::string_view columns = e.columns;
    if (columns.starts_with('!')) {  // Name is not the first
      out.columns.clear();
      columns.remove_prefix(1);
    }
    for (auto text : split(columns, '|')) out.columns.push_back(read_column(text));
    if (is_templated(e))
      for (auto text : split(kTemplated.substr(1), '|')) out.columns.push_back(read_column(text));
    return out;
  }
  out.columns.push_back(read_column("Created At"));
  return out;
}

}  // namespace k8lite::api
