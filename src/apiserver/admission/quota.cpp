// ResourceQuota: a write that would use more than a quota of its namespace allows is refused; one that fits is charged
// in the same commit, on the very revision of the quota that was looked at, so that writes at the same time never
// exceed it together. (Kubernetes documentation, "Resource Quotas".)
#include <algorithm>

#include "api/usage.h"
#include "apiserver/admission/plugins.h"

namespace k8lite::apiserver::admission {
namespace {

using api::Usage;

// Which writes may use more: creations, and the updates that can make an object bigger.
bool concerns(const AdmissionRequest& r) {
  if (!r.type->row->namespaced) return false;
  if (r.create) return r.subresource.empty();
  if (r.is("", "pods")) return r.subresource == "resize";
  if (r.is("", "services")) return r.subresource.empty();
  return r.is("", "persistentvolumeclaims") && (r.subresource.empty() || r.subresource == "status");
}

std::string printed(const Usage& usage) {
  std::string out;
  for (const auto& [name, q] : usage) out += (out.empty() ? "" : ",") + name + "=" + q.str();
  return out;
}

// A quota on cpu or memory wants every container to say how much it takes.
std::string missing_resources(const std::vector<std::string>& names, json::Value pod) {
  std::map<std::string, std::set<std::string>> missing;
  for (const char* list : {"containers", "initContainers"})
    for (json::Value c : pod["spec"][list].items())
      for (const auto& name : names) {
        bool limit = name.starts_with("limits."), request = name.starts_with("requests.");
        std::string resource = limit ? name.substr(7) : request ? name.substr(9) : name;
        if (resource != "cpu" && resource != "memory") continue;
        if (!c["resources"][limit ? "limits" : "requests"][resource]) missing[name].insert(c["name"].str());
      }
  std::string out;
  for (const auto& [name, containers] : missing)
    out += (out.empty() ? "must specify " : "; ") + name + " for: " + join({containers.begin(), containers.end()}, ",");
  return out;
}

// What the write adds; nothing where it takes less than before.
Result<Usage> added(const AdmissionRequest& r, const api::Counted& resource, json::Value object, Instant now) {
  Usage delta = api::usage_of(resource, object, now);
  std::string negative;
  for (const auto& [name, q] : delta)
    if (q.is_negative()) negative += (negative.empty() ? "" : ",") + name;
  if (!negative.empty()) return forbidden(r, "quota usage is negative for resource(s): " + negative);
  if (r.old)
    for (const auto& [name, before] : api::usage_of(resource, r.old->root(), now))
      if (auto it = delta.find(name); it != delta.end())
        it->second = it->second > before ? it->second - before : Quantity();
  std::erase_if(delta, [](const auto& m) { return m.second.is_zero(); });
  return delta;
}

}  // namespace

Result<std::vector<store::Write>> charge_quotas(const Admission& a, AdmissionRequest& r) {
  std::vector<store::Write> writes;
  if (!concerns(r)) return writes;
  auto quotas = a.list("", "resourcequotas", r.ns);
  if (quotas.empty()) return writes;
  api::Counted resource{r.type->row->group, r.type->row->plural};
  json::Doc object = json::Doc::from(*r.object);
  TRY(Usage delta, added(r, resource, object.root(), a.now()));
  for (const auto& q : quotas) {
    json::Value status = q->doc["status"];
    std::string name = q->doc.path("metadata.name").str();
    auto names = api::counted_names(resource, api::hard_names(q->doc["spec"]["hard"]));
    if (names.empty() || !api::in_scope(q->doc["spec"], resource, object.root())) continue;
    if (r.is("", "pods"))
      if (std::string why = missing_resources(names, object.root()); !why.empty())
        return forbidden(r, "failed quota: " + name + ": " + why);
    bool known = std::all_of(names.begin(), names.end(), [&status](const std::string& n) {
      return status["used"][n].exists() && status["hard"][n].exists();
    });
    if (!known) return forbidden(r, "status unknown for quota: " + name + ", resources: " + join(names, ","));
    Usage used = api::read_usage(status["used"]), hard = api::read_usage(status["hard"]), requested, was, limited;
    bool charged = false;
    for (const auto& n : names) {
      auto more = delta.find(n);
      if (more == delta.end()) continue;
      Quantity sum = used[n] + more->second;
      if (sum > hard[n]) requested[n] = more->second, was[n] = used[n], limited[n] = hard[n];
      used[n] = sum;
      charged = true;
    }
    if (!requested.empty())
      return forbidden(r, "exceeded quota: " + name + ", requested: " + printed(requested) + ", used: " + printed(was) +
                              ", limited: " + printed(limited));
    if (!charged) continue;
    Node next = q->doc.to_node();
    next["status"].set("used", api::usage_node(used));
    store::Write w;
    w.op = store::Write::Op::Update;
    w.key = q->key;
    w.doc = json::Doc::from(next);
    w.expected = q->revision;
    writes.push_back(std::move(w));
  }
  return writes;
}

}  // namespace k8lite::apiserver::admission
