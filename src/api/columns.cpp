// What `kubectl get` prints for the built-in kinds: column definitions and one cell function a kind (Kubernetes' server-side printing).
#include <algorithm>
#include <set>

#include "api/kinds.h"
#include "api/selector.h"
#include "base/strings.h"

namespace k8lite::api {
namespace {

using json::Node;
using json::Value;
using Cells = std::vector<Node>;

const Column kName{.name = "Name", .type = "string", .format = "name", .description = "Name of the object, unique within its namespace.", .priority = 0};
const Column kAge{.name = "Age", .type = "string", .format = "", .description = "Time since the object was created.", .priority = 0};

Column col(std::string name, std::string type = "string", int priority = 0) {
  return {.name = std::move(name), .type = std::move(type), .format = "", .description = "", .priority = priority};
}
Column wide(std::string name) { return col(std::move(name), "string", 1); }

std::string age_of(std::string_view text, Instant now) {
  auto t = parse_rfc3339(text);
  return t ? human_duration(now - *t) : "<unknown>";
}
std::string age(Value object, Instant now) { return age_of(object.path("metadata.creationTimestamp").str(), now); }
std::string name(Value object) { return object.path("metadata.name").str(); }
std::string or_none(std::string text) { return text.empty() ? "<none>" : text; }

std::string joined(Value list, std::string_view separator = ",") {
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
  return s.ok() ? or_none(s->text()) : "<none>";
}
std::string map_text(Value map) {
  std::vector<std::string> parts;
  for (auto m : map.members()) parts.push_back(m.key() + "=" + m.value.str());
  std::sort(parts.begin(), parts.end());
  return or_none(join(parts, ","));
}

// ---- pods ----

std::string waiting_or_terminated_reason(Value status, std::string_view prefix) {
  Value waiting = status["state"]["waiting"], terminated = status["state"]["terminated"];
  if (waiting && !waiting["reason"].empty()) return std::string(prefix) + waiting["reason"].str();
  if (!terminated) return {};
  if (!terminated["reason"].empty()) return std::string(prefix) + terminated["reason"].str();
  if (terminated["signal"].int_or(0) != 0) return std::string(prefix) + "Signal:" + std::to_string(terminated["signal"].int_or(0));
  return std::string(prefix) + "ExitCode:" + std::to_string(terminated["exitCode"].int_or(0));
}

struct PodSummary {
  std::string reason;
  int ready = 0, total = 0;
  int64_t restarts = 0;
  std::string last_restart;
};

bool restartable_init(Value pod, const std::string& container) {
  for (Value c : pod.path("spec.initContainers").items())
    if (c["name"].equals(container)) return c["restartPolicy"].equals("Always");
  return false;
}

// Whether init containers still hold the pod back; sets the reason to show.
bool summarize_init(Value pod, PodSummary& s) {
  size_t i = 0, total = pod.path("spec.initContainers").size();
  for (Value c : pod.path("status.initContainerStatuses").items()) {
    bool sidecar = restartable_init(pod, c["name"].str());
    s.restarts += c["restartCount"].int_or(0);
    Value terminated = c["state"]["terminated"];
    ++i;
    if (terminated && terminated["exitCode"].int_or(0) == 0) continue;
    if (sidecar && c["started"].bool_or(false)) {
      if (c["ready"].bool_or(false)) ++s.ready;
      continue;
    }
    std::string why;
    if (terminated || (c["state"]["waiting"] && !c["state"]["waiting"]["reason"].equals("PodInitializing"))) why = waiting_or_terminated_reason(c, "Init:");
    s.reason = why.empty() ? "Init:" + std::to_string(i - 1) + "/" + std::to_string(total) : why;
    return true;
  }
  return false;
}

void summarize_containers(Value pod, PodSummary& s) {
  bool running = false;
  s.restarts = 0;
  for (Value c : pod.path("status.initContainerStatuses").items())
    if (restartable_init(pod, c["name"].str())) s.restarts += c["restartCount"].int_or(0);
  std::vector<Value> statuses;
  for (Value c : pod.path("status.containerStatuses").items()) statuses.push_back(c);
  for (auto it = statuses.rbegin(); it != statuses.rend(); ++it) {
    Value c = *it;
    s.restarts += c["restartCount"].int_or(0);
    std::string finished = c.path("lastState.terminated.finishedAt").str();
    s.last_restart = std::max(s.last_restart, finished);
    if (std::string why = waiting_or_terminated_reason(c, ""); !why.empty()) s.reason = why;
    else if (c["ready"].bool_or(false) && c["state"]["running"]) {
      running = true;
      ++s.ready;
    }
  }
  if (s.reason == "Completed" && running) {
    bool ready = false;
    for (Value c : pod.path("status.conditions").items()) ready |= c["type"].equals("Ready") && c["status"].equals("True");
    s.reason = ready ? "Running" : "NotReady";
  }
}

PodSummary summarize(Value pod) {
  PodSummary s;
  s.total = static_cast<int>(pod.path("spec.containers").size());
  for (Value c : pod.path("spec.initContainers").items()) s.total += c["restartPolicy"].equals("Always");
  s.reason = pod.path("status.reason").str();
  if (s.reason.empty()) s.reason = pod.path("status.phase").str();
  for (Value c : pod.path("status.conditions").items())
    if (c["type"].equals("PodScheduled") && c["reason"].equals("SchedulingGated")) s.reason = "SchedulingGated";
  if (!summarize_init(pod, s)) summarize_containers(pod, s);
  if (pod.path("metadata.deletionTimestamp")) s.reason = pod.path("status.reason").equals("NodeLost") ? "Unknown" : "Terminating";
  return s;
}

Cells pod_cells(Value pod, Instant now) {
  PodSummary s = summarize(pod);
  std::string restarts = std::to_string(s.restarts);
  if (s.restarts > 0 && !s.last_restart.empty()) restarts += " (" + age_of(s.last_restart, now) + " ago)";
  std::string gates;
  size_t wanted = pod.path("spec.readinessGates").size(), true_gates = 0;
  for (Value gate : pod.path("spec.readinessGates").items())
    for (Value c : pod.path("status.conditions").items())
      true_gates += c["type"].equals(gate["conditionType"].str()) && c["status"].equals("True");
  gates = wanted ? std::to_string(true_gates) + "/" + std::to_string(wanted) : "<none>";
  std::string ip = pod.path("status.podIPs").at(0)["ip"].str();
  if (ip.empty()) ip = pod.path("status.podIP").str();
  return {name(pod), std::to_string(s.ready) + "/" + std::to_string(s.total), s.reason, restarts, age(pod, now), or_none(ip),
          or_none(pod.path("spec.nodeName").str()), or_none(pod.path("status.nominatedNodeName").str()), gates};
}

// ---- nodes and services ----

Cells node_cells(Value node, Instant now) {
  std::vector<std::string> status, roles;
  for (Value c : node.path("status.conditions").items())
    if (c["type"].equals("Ready")) status.push_back(c["status"].equals("True") ? "Ready" : "NotReady");
  if (status.empty()) status.push_back("Unknown");
  if (node.path("spec.unschedulable").bool_or(false)) status.push_back("SchedulingDisabled");
  for (auto m : node["metadata"]["labels"].members()) {
    constexpr std::string_view kRole = "node-role.kubernetes.io/";
    std::string key = m.key();
    if (key.starts_with(kRole)) roles.push_back(key.substr(kRole.size()));
    else if (key == "kubernetes.io/role") roles.push_back(m.value.str());
  }
  std::sort(roles.begin(), roles.end());
  std::string internal, external;
  for (Value a : node.path("status.addresses").items()) {
    if (a["type"].equals("InternalIP") && internal.empty()) internal = a["address"].str();
    if (a["type"].equals("ExternalIP") && external.empty()) external = a["address"].str();
  }
  Value info = node["status"]["nodeInfo"];
  auto unknown = [](std::string t) { return t.empty() ? std::string("<unknown>") : t; };
  return {name(node), join(status, ","), or_none(join(roles, ",")), age(node, now), info["kubeletVersion"].str(), or_none(internal), or_none(external),
          unknown(info["osImage"].str()), unknown(info["kernelVersion"].str()), unknown(info["containerRuntimeVersion"].str())};
}

std::string service_external(Value service) {
  std::string type = service.path("spec.type").str();
  std::string ips = joined(service.path("spec.externalIPs"));
  if (type == "ExternalName") return service.path("spec.externalName").str();
  if (type != "LoadBalancer") return or_none(ips);
  std::string out;
  for (Value i : service.path("status.loadBalancer.ingress").items()) {
    std::string one = i["ip"].str();
    if (one.empty()) one = i["hostname"].str();
    out += (out.empty() ? "" : ",") + one;
  }
  if (!ips.empty()) out += (out.empty() ? "" : ",") + ips;
  return out.empty() ? "<pending>" : out;
}

Cells service_cells(Value service, Instant now) {
  std::string ports;
  for (Value p : service.path("spec.ports").items()) {
    if (!ports.empty()) ports += ",";
    ports += std::to_string(p["port"].int_or(0));
    if (p["nodePort"].int_or(0) > 0) ports += ":" + std::to_string(p["nodePort"].int_or(0));
    ports += "/" + p["protocol"].str("TCP");
  }
  return {name(service), service.path("spec.type").str(), or_none(service.path("spec.clusterIP").str()), service_external(service), or_none(ports), age(service, now),
          map_text(service.path("spec.selector"))};
}

Cells endpoints_cells(Value object, Instant now) {
  std::vector<std::string> all;
  for (Value subset : object["subsets"].items())
    for (Value address : subset["addresses"].items()) {
      if (subset["ports"].size() == 0) all.push_back(address["ip"].str());
      for (Value port : subset["ports"].items()) all.push_back(address["ip"].str() + ":" + std::to_string(port["port"].int_or(0)));
    }
  std::string text;
  for (size_t i = 0; i < all.size() && i < 3; ++i) text += (i ? "," : "") + all[i];
  if (all.size() > 3) text += " + " + std::to_string(all.size() - 3) + " more...";
  return {name(object), or_none(text), age(object, now)};
}

std::string few(const std::vector<std::string>& all, std::string_view none) {
  if (all.empty()) return std::string(none);
  std::string text;
  for (size_t i = 0; i < all.size() && i < 3; ++i) text += (i ? "," : "") + all[i];
  if (all.size() > 3) text += " + " + std::to_string(all.size() - 3) + " more...";
  return text;
}

Cells endpoint_slice_cells(Value s, Instant now) {
  std::vector<std::string> ports, addresses;
  for (Value p : s["ports"].items()) ports.push_back(p["port"] ? std::to_string(p["port"].int_or(0)) : "*");
  for (Value e : s["endpoints"].items())
    for (Value a : e["addresses"].items()) addresses.push_back(a.str());
  return {name(s), s["addressType"].str(), few(ports, "<unset>"), few(addresses, "<unset>"), age(s, now)};
}

// ---- workloads ----

Cells deployment_cells(Value d, Instant now) {
  Value s = d["status"];
  return {name(d), std::to_string(s["readyReplicas"].int_or(0)) + "/" + std::to_string(d.path("spec.replicas").int_or(0)), s["updatedReplicas"].int_or(0),
          s["availableReplicas"].int_or(0), age(d, now), containers(d["spec"]["template"], "name"), containers(d["spec"]["template"], "image"), selector_text(d["spec"]["selector"])};
}
Cells replica_set_cells(Value r, Instant now) {
  Value s = r["status"];
  return {name(r), r.path("spec.replicas").int_or(0), s["replicas"].int_or(0), s["readyReplicas"].int_or(0), age(r, now),
          containers(r["spec"]["template"], "name"), containers(r["spec"]["template"], "image"), selector_text(r["spec"]["selector"])};
}
Cells replication_controller_cells(Value r, Instant now) {
  Cells c = replica_set_cells(r, now);
  c.back() = map_text(r["spec"]["selector"]);
  return c;
}
Cells stateful_set_cells(Value s, Instant now) {
  return {name(s), std::to_string(s.path("status.readyReplicas").int_or(0)) + "/" + std::to_string(s.path("spec.replicas").int_or(0)), age(s, now),
          containers(s["spec"]["template"], "name"), containers(s["spec"]["template"], "image")};
}
Cells daemon_set_cells(Value d, Instant now) {
  Value s = d["status"];
  return {name(d), s["desiredNumberScheduled"].int_or(0), s["currentNumberScheduled"].int_or(0), s["numberReady"].int_or(0), s["updatedNumberScheduled"].int_or(0),
          s["numberAvailable"].int_or(0), map_text(d.path("spec.template.spec.nodeSelector")), age(d, now), containers(d["spec"]["template"], "name"),
          containers(d["spec"]["template"], "image"), selector_text(d["spec"]["selector"])};
}

std::string job_status(Value job) {
  for (std::string_view type : {"Complete", "Failed", "Suspended", "FailureTarget", "SuccessCriteriaMet"})
    for (Value c : job.path("status.conditions").items())
      if (c["type"].equals(type) && c["status"].equals("True")) return std::string(type);
  return job.path("metadata.deletionTimestamp") ? "Terminating" : "Running";
}
Cells job_cells(Value job, Instant now) {
  std::string succeeded = std::to_string(job.path("status.succeeded").int_or(0)), completions;
  if (job["spec"]["completions"]) completions = succeeded + "/" + std::to_string(job.path("spec.completions").int_or(0));
  else if (int64_t p = job.path("spec.parallelism").int_or(0); p > 1) completions = succeeded + "/1 of " + std::to_string(p);
  else completions = succeeded + "/1";
  std::string duration;
  if (auto start = parse_rfc3339(job.path("status.startTime").str())) {
    auto end = parse_rfc3339(job.path("status.completionTime").str());
    duration = human_duration((end ? *end : now) - *start);
  }
  return {name(job), job_status(job), completions, duration, age(job, now), containers(job["spec"]["template"], "name"), containers(job["spec"]["template"], "image"),
          selector_text(job["spec"]["selector"])};
}
Cells cron_job_cells(Value c, Instant now) {
  std::string last = c.path("status.lastScheduleTime").str();
  Value t = c["spec"]["jobTemplate"]["spec"]["template"];
  return {name(c), c.path("spec.schedule").str(), or_none(c.path("spec.timeZone").str()), c.path("spec.suspend").bool_or(false) ? "True" : "False", c.path("status.active").size(),
          last.empty() ? "<none>" : age_of(last, now), age(c, now), containers(t, "name"), containers(t, "image"), selector_text(c["spec"]["jobTemplate"]["spec"]["selector"])};
}

// ---- the rest ----

Cells ingress_cells(Value i, Instant now) {
  std::set<std::string> hosts;
  for (Value r : i.path("spec.rules").items()) hosts.insert(r["host"].empty() ? "*" : r["host"].str());
  std::vector<std::string> addresses;
  for (Value a : i.path("status.loadBalancer.ingress").items()) addresses.push_back(a["ip"].empty() ? a["hostname"].str() : a["ip"].str());
  std::string host_text = hosts.empty() ? "*" : join({hosts.begin(), hosts.end()}, ",");
  return {name(i), or_none(i.path("spec.ingressClassName").str()), host_text, join(addresses, ","), i.path("spec.tls").size() ? "80, 443" : "80", age(i, now)};
}

std::string access_modes(Value modes) {
  std::vector<std::string> out;
  for (auto [mode, abbreviation] : {std::pair{"ReadWriteOnce", "RWO"}, {"ReadOnlyMany", "ROX"}, {"ReadWriteMany", "RWX"}, {"ReadWriteOncePod", "RWOP"}})
    for (Value m : modes.items())
      if (m.equals(mode)) out.push_back(abbreviation);
  return join(out, ",");
}
Cells volume_cells(Value v, Instant now) {
  Value claim = v["spec"]["claimRef"];
  std::string phase = v.path("metadata.deletionTimestamp") ? "Terminating" : v.path("status.phase").str();
  return {name(v), v.path("spec.capacity.storage").str(), access_modes(v["spec"]["accessModes"]), v.path("spec.persistentVolumeReclaimPolicy").str(), phase,
          claim ? claim["namespace"].str() + "/" + claim["name"].str() : "", v.path("spec.storageClassName").str(),
          v.path("spec.volumeAttributesClassName").str("<unset>"), v.path("status.reason").str(), age(v, now), v.path("spec.volumeMode").str("<unset>")};
}
Cells claim_cells(Value c, Instant now) {
  std::string phase = c.path("metadata.deletionTimestamp") ? "Terminating" : c.path("status.phase").str();
  bool bound = !c.path("spec.volumeName").empty();
  return {name(c), phase, c.path("spec.volumeName").str(), bound ? c.path("status.capacity.storage").str() : "", bound ? access_modes(c["status"]["accessModes"]) : "",
          c.path("spec.storageClassName").str(), c.path("spec.volumeAttributesClassName").str("<unset>"), age(c, now), c.path("spec.volumeMode").str("<unset>")};
}
Cells storage_class_cells(Value s, Instant now) {
  std::string shown = name(s);
  if (s["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"].equals("true")) shown += " (default)";
  return {shown, s["provisioner"].str(), s["reclaimPolicy"].str("Delete"), s["volumeBindingMode"].str("Immediate"), s["allowVolumeExpansion"].bool_or(false), age(s, now)};
}
Cells event_cells(Value e, Instant now) {
  std::string last = e["lastTimestamp"].str(), first = e["firstTimestamp"].str();
  if (first.empty()) first = e["eventTime"].str();
  if (e["series"]) last = e["series"]["lastObservedTime"].str();
  if (last.empty()) last = first;
  Value o = e["involvedObject"];
  int64_t count = e["series"] ? e["series"]["count"].int_or(1) : e["count"].int_or(1);
  std::string source = e["source"]["component"].str();
  if (source.empty()) source = e["reportingComponent"].str();
  if (std::string host = e["source"]["host"].str(); !host.empty()) source += ", " + host;
  return {last.empty() ? "<unknown>" : age_of(last, now), e["type"].str(), e["reason"].str(), lower(o["kind"].str()) + "/" + o["name"].str(), o["fieldPath"].str(), source,
          std::string(trim(e["message"].str())), first.empty() ? "<unknown>" : age_of(first, now), std::max<int64_t>(count, 1), name(e)};
}
std::string subjects_of(Value binding, std::string_view kind) {
  std::vector<std::string> out;
  for (Value s : binding["subjects"].items())
    if (s["kind"].equals(kind)) out.push_back(kind == "ServiceAccount" ? s["namespace"].str() + "/" + s["name"].str() : s["name"].str());
  return join(out, ", ");
}
Cells binding_cells(Value b, Instant now) {
  return {name(b), b["roleRef"]["kind"].str() + "/" + b["roleRef"]["name"].str(), age(b, now), subjects_of(b, "User"), subjects_of(b, "Group"), subjects_of(b, "ServiceAccount")};
}
Cells csr_cells(Value c, Instant now) {
  std::string condition;
  for (Value x : c.path("status.conditions").items()) condition += (condition.empty() ? "" : ",") + x["type"].str();
  if (condition.empty()) condition = "Pending";
  if (!c.path("status.certificate").empty()) condition += ",Issued";
  int64_t secs = c.path("spec.expirationSeconds").int_or(0);
  return {name(c), age(c, now), c.path("spec.signerName").str(), c.path("spec.username").str(), secs ? human_duration(seconds(secs)) : "<none>", condition};
}
Cells hpa_cells(Value h, Instant now) {
  Value ref = h["spec"]["scaleTargetRef"];
  return {name(h), ref["kind"].str() + "/" + ref["name"].str(), h.path("spec.metrics").size() ? std::to_string(h.path("spec.metrics").size()) + " metrics" : "<none>",
          std::to_string(h.path("spec.minReplicas").int_or(1)), h.path("spec.maxReplicas").int_or(0), h.path("status.currentReplicas").int_or(0), age(h, now)};
}
std::string budget(Value v) { return !v ? "N/A" : v.is_string() ? v.str() : std::string(v.raw()); }

struct Entry {
  std::string_view group, plural;
  std::vector<Column> columns;
  Cells (*cells)(Value, Instant);
};

const std::vector<Entry>& entries() {
  static const std::vector<Entry> all = {
      {"", "pods", {kName, col("Ready"), col("Status"), col("Restarts"), kAge, wide("IP"), wide("Node"), wide("Nominated Node"), wide("Readiness Gates")}, pod_cells},
      {"", "nodes", {kName, col("Status"), col("Roles"), kAge, col("Version"), wide("Internal-IP"), wide("External-IP"), wide("OS-Image"), wide("Kernel-Version"), wide("Container-Runtime")}, node_cells},
      {"", "services", {kName, col("Type"), col("Cluster-IP"), col("External-IP"), col("Port(s)"), kAge, wide("Selector")}, service_cells},
      {"", "endpoints", {kName, col("Endpoints"), kAge}, endpoints_cells},
      {"discovery.k8s.io", "endpointslices", {kName, col("AddressType"), col("Ports"), col("Endpoints"), kAge}, endpoint_slice_cells},
      {"", "namespaces", {kName, col("Status"), kAge}, [](Value o, Instant now) -> Cells { return {name(o), o.path("status.phase").str(), age(o, now)}; }},
      {"", "configmaps", {kName, col("Data", "integer"), kAge}, [](Value o, Instant now) -> Cells { return {name(o), o["data"].size() + o["binaryData"].size(), age(o, now)}; }},
      {"", "secrets", {kName, col("Type"), col("Data", "integer"), kAge}, [](Value o, Instant now) -> Cells { return {name(o), o["type"].str(), o["data"].size(), age(o, now)}; }},
      {"", "serviceaccounts", {kName, kAge}, [](Value o, Instant now) -> Cells { return {name(o), age(o, now)}; }},
      {"", "events", {col("Last Seen"), col("Type"), col("Reason"), col("Object"), wide("Subobject"), wide("Source"), col("Message"), wide("First Seen"), wide("Count"), wide("Name")}, event_cells},
      {"", "persistentvolumes", {kName, col("Capacity"), col("Access Modes"), col("Reclaim Policy"), col("Status"), col("Claim"), col("StorageClass"), col("VolumeAttributesClass"), col("Reason"), kAge, wide("VolumeMode")}, volume_cells},
      {"", "persistentvolumeclaims", {kName, col("Status"), col("Volume"), col("Capacity"), col("Access Modes"), col("StorageClass"), col("VolumeAttributesClass"), kAge, wide("VolumeMode")}, claim_cells},
      {"", "replicationcontrollers", {kName, col("Desired", "integer"), col("Current", "integer"), col("Ready", "integer"), kAge, wide("Containers"), wide("Images"), wide("Selector")}, replication_controller_cells},
      {"apps", "deployments", {kName, col("Ready"), col("Up-to-date", "integer"), col("Available", "integer"), kAge, wide("Containers"), wide("Images"), wide("Selector")}, deployment_cells},
      {"apps", "replicasets", {kName, col("Desired", "integer"), col("Current", "integer"), col("Ready", "integer"), kAge, wide("Containers"), wide("Images"), wide("Selector")}, replica_set_cells},
      {"apps", "statefulsets", {kName, col("Ready"), kAge, wide("Containers"), wide("Images")}, stateful_set_cells},
      {"apps", "daemonsets", {kName, col("Desired", "integer"), col("Current", "integer"), col("Ready", "integer"), col("Up-to-date", "integer"), col("Available", "integer"), col("Node Selector"), kAge, wide("Containers"), wide("Images"), wide("Selector")}, daemon_set_cells},
      {"apps", "controllerrevisions", {kName, col("Controller"), col("Revision", "integer"), kAge}, [](Value o, Instant now) -> Cells {
         Value owner = o.path("metadata.ownerReferences").at(0);
         return {name(o), owner ? lower(owner["kind"].str()) + ".apps/" + owner["name"].str() : "<none>", o["revision"].int_or(0), age(o, now)};
       }},
      {"batch", "jobs", {kName, col("Status"), col("Completions"), col("Duration"), kAge, wide("Containers"), wide("Images"), wide("Selector")}, job_cells},
      {"batch", "cronjobs", {kName, col("Schedule"), col("Timezone"), col("Suspend"), col("Active", "integer"), col("Last Schedule"), kAge, wide("Containers"), wide("Images"), wide("Selector")}, cron_job_cells},
      {"networking.k8s.io", "ingresses", {kName, col("Class"), col("Hosts"), col("Address"), col("Ports"), kAge}, ingress_cells},
      {"networking.k8s.io", "ingressclasses", {kName, col("Controller"), col("Parameters"), kAge}, [](Value o, Instant now) -> Cells {
         Value p = o["spec"]["parameters"];
         return {name(o), o.path("spec.controller").str(), p ? p["kind"].str() + "/" + p["name"].str() : "<none>", age(o, now)};
       }},
      {"networking.k8s.io", "networkpolicies", {kName, col("Pod-Selector"), kAge}, [](Value o, Instant now) -> Cells { return {name(o), selector_text(o["spec"]["podSelector"]), age(o, now)}; }},
      {"storage.k8s.io", "storageclasses", {kName, col("Provisioner"), col("ReclaimPolicy"), col("VolumeBindingMode"), col("AllowVolumeExpansion"), kAge}, storage_class_cells},
      {"rbac.authorization.k8s.io", "roles", {kName, col("Created At", "date")}, [](Value o, Instant) -> Cells { return {name(o), o.path("metadata.creationTimestamp").str()}; }},
      {"apiextensions.k8s.io", "customresourcedefinitions", {kName, col("Created At", "date")}, [](Value o, Instant) -> Cells { return {name(o), o.path("metadata.creationTimestamp").str()}; }},
      {"rbac.authorization.k8s.io", "clusterroles", {kName, col("Created At", "date")}, [](Value o, Instant) -> Cells { return {name(o), o.path("metadata.creationTimestamp").str()}; }},
      {"rbac.authorization.k8s.io", "rolebindings", {kName, col("Role"), kAge, wide("Users"), wide("Groups"), wide("ServiceAccounts")}, binding_cells},
      {"rbac.authorization.k8s.io", "clusterrolebindings", {kName, col("Role"), kAge, wide("Users"), wide("Groups"), wide("ServiceAccounts")}, binding_cells},
      {"certificates.k8s.io", "certificatesigningrequests", {kName, kAge, col("SignerName"), col("Requestor"), col("RequestedDuration"), col("Condition")}, csr_cells},
      {"coordination.k8s.io", "leases", {kName, col("Holder"), kAge}, [](Value o, Instant now) -> Cells { return {name(o), o.path("spec.holderIdentity").str(), age(o, now)}; }},
      {"policy", "poddisruptionbudgets", {kName, col("Min Available"), col("Max Unavailable"), col("Allowed Disruptions", "integer"), kAge}, [](Value o, Instant now) -> Cells {
         return {name(o), budget(o["spec"]["minAvailable"]), budget(o["spec"]["maxUnavailable"]), o.path("status.disruptionsAllowed").int_or(0), age(o, now)};
       }},
      {"autoscaling", "horizontalpodautoscalers", {kName, col("Reference"), col("Targets"), col("MinPods"), col("MaxPods", "integer"), col("Replicas", "integer"), kAge}, hpa_cells},
      {"scheduling.k8s.io", "priorityclasses", {kName, col("Value", "integer"), col("Global-Default", "boolean"), kAge, col("PreemptionPolicy")}, [](Value o, Instant now) -> Cells {
         return {name(o), o["value"].int_or(0), o["globalDefault"].bool_or(false), age(o, now), o["preemptionPolicy"].str()};
       }},
      {"node.k8s.io", "runtimeclasses", {kName, col("Handler"), kAge}, [](Value o, Instant now) -> Cells { return {name(o), o["handler"].str(), age(o, now)}; }},
  };
  return all;
}

Cells plain_cells(Value o, Instant now) { return {name(o), age(o, now)}; }

}  // namespace

Printing printing_of(std::string_view group, std::string_view plural) {
  if (group == "events.k8s.io") group = "";
  for (const Entry& e : entries())
    if (e.group == group && e.plural == plural) return {e.columns, e.cells};
  return {{kName, kAge}, plain_cells};
}

}  // namespace k8lite::api
