// Cells of nodes, services, volumes, events and what else has more than a text or two (Kubernetes' server-side printing).
#include <algorithm>
#include <map>
#include <set>

#include "api/columns.h"
#include "base/strings.h"

namespace k8lite::api::print {
namespace {

std::string or_unknown(std::string text) { return text.empty() ? "<unknown>" : text; }

std::string node_roles(Value node) {
  std::set<std::string> roles;
  for (auto m : node["metadata"]["labels"].members()) {
    constexpr std::string_view kRole = "node-role.kubernetes.io/";
    std::string key = m.key();
    if (key.starts_with(kRole)) roles.insert(key.substr(kRole.size()));
    else if (key == "kubernetes.io/role") roles.insert(m.value.str());
  }
  roles.erase("");
  return or_none(join({roles.begin(), roles.end()}, ","));
}

std::string node_address(Value node, std::string_view type) {
  for (Value a : node.path("status.addresses").items())
    if (a["type"].equals(type)) return a["address"].str();
  return "<none>";
}

// Addresses or host names of a load balancer, sorted, each once.
std::vector<std::string> ingress_points(Value object) {
  std::set<std::string> out;
  for (Value i : object.path("status.loadBalancer.ingress").items()) out.insert(i["ip"].empty() ? i["hostname"].str() : i["ip"].str());
  out.erase("");
  return {out.begin(), out.end()};
}

std::string service_external(Value service) {
  std::string type = service.path("spec.type").str(), ips = joined(service.path("spec.externalIPs"));
  if (type == "ExternalName") return service.path("spec.externalName").str();
  if (type == "ClusterIP" || type == "NodePort") return or_none(ips);
  if (type != "LoadBalancer") return "<unknown>";
  std::string out = join(ingress_points(service), ",");
  if (!ips.empty()) out += (out.empty() ? "" : ",") + ips;
  return out.empty() ? "<pending>" : out;
}

std::string access_modes(Value modes) {
  std::vector<std::string> out;
  for (auto [mode, abbreviation] : {std::pair{"ReadWriteOnce", "RWO"}, {"ReadOnlyMany", "ROX"}, {"ReadWriteMany", "RWX"}, {"ReadWriteOncePod", "RWOP"}})
    for (Value m : modes.items())
      if (m.equals(mode)) {
        out.push_back(abbreviation);
        break;
      }
  return join(out, ",");
}

// The class by its old annotation, else by its field.
std::string volume_class(Value v) {
  Value annotation = v["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"];
  return annotation ? annotation.str() : v.path("spec.storageClassName").str();
}

std::string phase_of(Value v) { return v.path("metadata.deletionTimestamp") ? "Terminating" : v.path("status.phase").str(); }

std::string subjects_of(Value binding, std::string_view kind) {
  std::vector<std::string> out;
  for (Value s : binding["subjects"].items())
    if (s["kind"].equals(kind)) out.push_back(kind == "ServiceAccount" ? s["namespace"].str() + "/" + s["name"].str() : s["name"].str());
  return join(out, ", ");
}

}  // namespace

Cells node_cells(Value node, Instant now) {
  std::string status = "Unknown";
  for (Value c : node.path("status.conditions").items())
    if (c["type"].equals("Ready")) status = c["status"].equals("True") ? "Ready" : "NotReady";
  if (node.path("spec.unschedulable").bool_or(false)) status += ",SchedulingDisabled";
  Value info = node["status"]["nodeInfo"];
  return {name(node), status, node_roles(node), age(node, now), info["kubeletVersion"].str(), node_address(node, "InternalIP"), node_address(node, "ExternalIP"),
          or_unknown(info["osImage"].str()), or_unknown(info["kernelVersion"].str()), or_unknown(info["containerRuntimeVersion"].str())};
}

Cells service_cells(Value service, Instant now) {
  std::string ports;
  for (Value p : service.path("spec.ports").items()) {
    if (!ports.empty()) ports += ",";
    ports += std::to_string(p["port"].int_or(0));
    if (p["nodePort"].int_or(0) > 0) ports += ":" + std::to_string(p["nodePort"].int_or(0));
    ports += "/" + p["protocol"].str("TCP");
  }
  Value ip = service.path("spec.clusterIPs").at(0);
  return {name(service), service.path("spec.type").str(), ip ? ip.str() : "<none>", service_external(service), or_none(ports), age(service, now), map_text(service.path("spec.selector"))};
}

Cells endpoints_cells(Value object, Instant now) {
  std::vector<std::string> all;
  for (Value subset : object["subsets"].items()) {
    if (subset["ports"].size() == 0)
      for (Value a : subset["addresses"].items()) all.push_back(a["ip"].str());
    for (Value port : subset["ports"].items())
      for (Value a : subset["addresses"].items()) {
        std::string ip = a["ip"].str();
        if (ip.find(':') != ip.npos) ip = "[" + ip + "]";
        all.push_back(ip + ":" + std::to_string(port["port"].int_or(0)));
      }
  }
  return {name(object), few(all, object["subsets"].size() ? "" : "<none>"), age(object, now)};
}

Cells endpoint_slice_cells(Value s, Instant now) {
  std::vector<std::string> ports, addresses;
  for (Value p : s["ports"].items()) ports.push_back(p["port"] ? std::to_string(p["port"].int_or(0)) : p["name"].str("*"));
  for (Value e : s["endpoints"].items())
    for (Value a : e["addresses"].items()) addresses.push_back(a.str());
  return {name(s), s["addressType"].str(), few(ports, "<unset>"), few(addresses, "<unset>"), age(s, now)};
}

Cells ingress_cells(Value i, Instant now) {
  constexpr size_t kShown = 3;
  std::vector<std::string> hosts;
  size_t rules = 0, full_at = 0;  // upstream counts rules, not hosts, in what is more
  for (Value r : i.path("spec.rules").items()) {
    ++rules;
    if (hosts.size() == kShown && !full_at) full_at = rules;
    if (!full_at && !r["host"].empty()) hosts.push_back(r["host"].str());
  }
  std::string host_text = hosts.empty() ? "*" : join(hosts, ",");
  if (full_at) host_text += " + " + std::to_string(rules - kShown) + " more...";
  Value type = i["spec"]["ingressClassName"];
  return {name(i), type ? type.str() : "<none>", host_text, join(ingress_points(i), ","), i.path("spec.tls").size() ? "80, 443" : "80", age(i, now)};
}

Cells volume_cells(Value v, Instant now) {
  Value claim = v["spec"]["claimRef"];
  return {name(v), v.path("spec.capacity.storage").str("0"), access_modes(v["spec"]["accessModes"]), v.path("spec.persistentVolumeReclaimPolicy").str(), phase_of(v),
          claim ? claim["namespace"].str() + "/" + claim["name"].str() : "", volume_class(v), v.path("spec.volumeAttributesClassName").str("<unset>"), v.path("status.reason").str(),
          age(v, now), v.path("spec.volumeMode").str("<unset>")};
}

Cells claim_cells(Value c, Instant now) {
  bool bound = !c.path("spec.volumeName").empty();
  return {name(c), phase_of(c), c.path("spec.volumeName").str(), bound ? c.path("status.capacity.storage").str("0") : "", bound ? access_modes(c["status"]["accessModes"]) : "",
          volume_class(c), c.path("spec.volumeAttributesClassName").str("<unset>"), age(c, now), c.path("spec.volumeMode").str("<unset>")};
}

Cells event_cells(Value e, Instant now) {
  std::string first = e["firstTimestamp"].str(), last = e["lastTimestamp"].str();
  if (first.empty()) first = e["eventTime"].str();
  if (last.empty()) last = first;
  int64_t count = e["count"].int_or(0);
  if (e["series"]) {
    last = e["series"]["lastObservedTime"].str();
    count = e["series"]["count"].int_or(0);
  } else if (count == 0) {
    count = 1;
  }
  Value o = e["involvedObject"];
  std::string target = lower(o["kind"].str()), source = e["source"]["component"].str(), instance = e["source"]["host"].str();
  if (!o["name"].empty()) target += "/" + o["name"].str();
  if (source.empty()) source = e["reportingComponent"].str();
  if (instance.empty()) instance = e["reportingInstance"].str();
  if (!instance.empty()) source += ", " + instance;
  return {age_of(last, now), e["type"].str(), e["reason"].str(), target, o["fieldPath"].str(), source, std::string(trim(e["message"].str())), age_of(first, now), count, name(e)};
}

Cells quota_cells(Value q, Instant now) {
  std::vector<std::string> requests, limits, names;
  for (auto m : q.path("status.hard").members()) names.push_back(m.key());
  std::sort(names.begin(), names.end());
  for (const std::string& n : names)
    (n.starts_with("limits.") ? limits : requests).push_back(n + ": " + q["status"]["used"][n].str("0") + "/" + q["status"]["hard"][n].str("0"));
  return {name(q), join(requests, ", "), join(limits, ", "), age(q, now)};
}

Cells binding_cells(Value b, Instant now) {
  return {name(b), b["roleRef"]["kind"].str() + "/" + b["roleRef"]["name"].str(), age(b, now), subjects_of(b, "User"), subjects_of(b, "Group"), subjects_of(b, "ServiceAccount")};
}

Cells csr_cells(Value c, Instant now) {
  bool approved = false, denied = false, failed = false;
  for (Value x : c.path("status.conditions").items()) {
    approved |= x["type"].equals("Approved");
    denied |= x["type"].equals("Denied");
    failed |= x["type"].equals("Failed");
  }
  std::string condition = denied ? "Denied" : approved ? "Approved" : "Pending";
  if (failed) condition += ",Failed";
  if (!c.path("status.certificate").empty()) condition += ",Issued";
  Value wanted = c["spec"]["expirationSeconds"];
  return {name(c), age(c, now), or_none(c.path("spec.signerName").str()), c.path("spec.username").str(), wanted ? human_duration(seconds(wanted.int_or(0))) : "<none>", condition};
}

Cells component_cells(Value c, Instant) {
  for (Value x : c["conditions"].items())
    if (x["type"].equals("Healthy")) return {name(c), x["status"].equals("True") ? "Healthy" : "Unhealthy", x["message"].str(), x["error"].str()};
  return {name(c), "Unknown", "", ""};
}

Cells api_service_cells(Value s, Instant now) {
  Value service = s["spec"]["service"];
  std::string available = "Unknown";
  for (Value c : s.path("status.conditions").items()) {
    if (!c["type"].equals("Available")) continue;
    available = c["status"].str();
    if (available != "True" && !c["reason"].empty()) available += " (" + c["reason"].str() + ")";
  }
  return {name(s), service && !service.is_null() ? service["namespace"].str() + "/" + service["name"].str() : "Local", available, age(s, now)};
}

Cells csi_driver_cells(Value d, Instant now) {
  Value s = d["spec"];
  std::vector<std::string> audiences;
  for (Value t : s["tokenRequests"].items()) audiences.push_back(t["audience"].str());
  return {name(d), s["attachRequired"].bool_or(true), s["podInfoOnMount"].bool_or(false), s["storageCapacity"].bool_or(false), s["tokenRequests"] ? join(audiences, ",") : "<unset>",
          s["requiresRepublish"].bool_or(false), or_none(joined(s["volumeLifecycleModes"])), age(d, now)};
}

// A policy's first number is of `rules`: validations or mutations.
Cells policy_cells(Value p, std::string_view rules, Instant now) {
  Value kind = p["spec"]["paramKind"];
  return {name(p), p["spec"][rules].size(), kind ? kind["apiVersion"].str() + "/" + kind["kind"].str() : "<unset>", age(p, now)};
}

// As Go prints the struct, which is what Kubernetes shows.
std::string go_selector(Value s) {
  std::map<std::string, std::string> labels;
  for (auto m : s["matchLabels"].members()) labels[m.key()] = m.value.str();
  std::string out = "&LabelSelector{MatchLabels:map[string]string{";
  for (const auto& [k, v] : labels) out += k + ": " + v + ",";
  out += "},MatchExpressions:[]LabelSelectorRequirement{";
  for (Value e : s["matchExpressions"].items())
    out += "LabelSelectorRequirement{Key:" + e["key"].str() + ",Operator:" + e["operator"].str() + ",Values:[" + joined(e["values"], " ") + "],},";
  return out + "},}";
}

Cells policy_binding_cells(Value b, Instant now) {
  Value ref = b["spec"]["paramRef"];
  std::string param = "<unset>";
  if (!ref["name"].empty()) param = (ref["namespace"].empty() ? "*" : ref["namespace"].str()) + "/" + ref["name"].str();
  else if (ref["selector"]) param = go_selector(ref["selector"]);
  return {name(b), b.path("spec.policyName").str(), param, age(b, now)};
}

Cells flow_schema_cells(Value f, Instant now) {
  std::string missing = "?";
  for (Value c : f.path("status.conditions").items())
    if (c["type"].equals("Dangling")) missing = c["status"].str();
  Value method = f["spec"]["distinguisherMethod"];
  return {name(f), f.path("spec.priorityLevelConfiguration.name").str(), f.path("spec.matchingPrecedence").int_or(0), method ? method["type"].str() : "<none>", age(f, now), missing};
}

Cells priority_level_cells(Value p, Instant now) {
  Value limited = p["spec"]["limited"], queuing = limited["limitResponse"]["queuing"];
  auto number = [](bool there, Value v) { return there ? json::Node(v.int_or(0)) : json::Node("<none>"); };
  bool queues = queuing.exists();
  return {name(p), p.path("spec.type").str(), number(limited.exists(), limited["nominalConcurrencyShares"]), number(queues, queuing["queues"]), number(queues, queuing["handSize"]),
          number(queues, queuing["queueLengthLimit"]), age(p, now)};
}

Cells ip_address_cells(Value a, Instant) {
  Value ref = a["spec"]["parentRef"];
  if (!ref) return {name(a), "<none>"};
  std::string text = ref["resource"].str();
  if (!ref["group"].empty()) text += "." + ref["group"].str();
  text = lower(text);
  if (!ref["namespace"].empty()) text += "/" + ref["namespace"].str();
  return {name(a), text + "/" + ref["name"].str()};
}

Cells revision_cells(Value r, Instant now) {
  std::string by = "<none>";
  for (Value o : r.path("metadata.ownerReferences").items()) {
    if (!o["controller"].bool_or(false)) continue;
    std::string version = o["apiVersion"].str(), kind = o["kind"].str();
    size_t slash = version.find('/');
    by = lower(slash == version.npos ? kind : kind + "." + version.substr(0, slash)) + "/" + o["name"].str();
  }
  return {name(r), by, r["revision"].int_or(0), age(r, now)};
}

Cells resource_claim_cells(Value c, Instant now) {
  std::vector<std::string> states;
  bool deleted = c.path("metadata.deletionTimestamp").exists(), allocated = c.path("status.allocation").exists();
  if (deleted) states.push_back("deleted");
  if (allocated) states.push_back("allocated");
  else if (!deleted) states.push_back("pending");
  if (allocated && c.path("status.reservedFor").size()) states.push_back("reserved");
  return {name(c), join(states, ","), age(c, now)};
}

Cells ingress_class_cells(Value c, Instant now) {
  Value p = c["spec"]["parameters"];
  std::string text = "<none>";
  if (p) text = p["kind"].str() + (p["apiGroup"] ? "." + p["apiGroup"].str() : "") + "/" + p["name"].str();
  return {name(c), c.path("spec.controller").str(), text, age(c, now)};
}

Cells storage_class_cells(Value s, Instant now) {
  Value notes = s["metadata"]["annotations"];
  bool is_default = notes["storageclass.kubernetes.io/is-default-class"].equals("true") || notes["storageclass.beta.kubernetes.io/is-default-class"].equals("true");
  return {name(s) + (is_default ? " (default)" : ""), s["provisioner"].str(), s["reclaimPolicy"].str("Delete"), s["volumeBindingMode"].str("Immediate"), s["allowVolumeExpansion"].bool_or(false),
          age(s, now)};
}

}  // namespace k8lite::api::print
