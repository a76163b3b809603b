#include "scheduler/pod_info.h"

#include <algorithm>

#include "api/volumes.h"
#include "scheduler/snapshot.h"

namespace k8lite::scheduler {
namespace {

using json::Value;

// Adds "key is what the pod itself has" as a selector of its own.
void add_keys(Value keys, Value labels, bool must_not, PodTerm& term) {
  for (Value k : keys.items()) {
    std::string key = k.str();
    Value own = labels[key];
    if (!own) continue;  // a key that the pod does not have says nothing
    json::Node match = json::Node::object();
    match["matchLabels"].set(key, own.str());
    json::Doc doc = json::Doc::from(match);
    if (auto s = api::LabelSelector::from_object(doc.root()); s.ok()) term.selectors.emplace_back(*s, must_not);
  }
}

PodTerm read_term(Value t, Value labels, const std::string& ns, int64_t weight) {
  PodTerm out;
  out.topology = t["topologyKey"].str();
  out.weight = weight;
  static const json::Doc kNothing =
      json::Doc::parse(
          R"({"matchExpressions":[{"key":"k","operator":"Exists"},{"key":"k","operator":"DoesNotExist"}]})")
          .value();
  auto s = api::LabelSelector::from_object(t["labelSelector"]);
  if (!s.ok()) s = api::LabelSelector::from_object(kNothing.root());
  out.selectors.emplace_back(*s, false);
  add_keys(t["matchLabelKeys"], labels, false, out);
  add_keys(t["mismatchLabelKeys"], labels, true, out);
  for (Value n : t["namespaces"].items()) out.namespaces.insert(n.str());
  if (Value spaces = t["namespaceSelector"]) {
    if (auto wanted = api::LabelSelector::from_object(spaces); wanted.ok()) out.namespace_selector = *wanted;
  } else if (out.namespaces.empty()) {
    out.namespaces.insert(ns);
  }
  return out;
}

void read_terms(Value affinity, const char* list, int64_t sign, const PodInfo& pod, std::vector<PodTerm>& required,
                std::vector<PodTerm>& preferred) {
  Value a = affinity[list];
  for (Value t : a["requiredDuringSchedulingIgnoredDuringExecution"].items())
    required.push_back(read_term(t, pod.labels, pod.ns, 0));
  for (Value w : a["preferredDuringSchedulingIgnoredDuringExecution"].items())
    preferred.push_back(read_term(w["podAffinityTerm"], pod.labels, pod.ns, sign * w["weight"].int_or(1)));
}

// The nodes that the required affinity names by metadata.name in each of its terms; nothing when some term names none.
std::optional<std::set<std::string>> named_nodes(Value required) {
  if (!required) return {};
  std::set<std::string> all;
  for (Value term : required["nodeSelectorTerms"].items()) {
    std::optional<std::set<std::string>> of_term;
    for (Value f : term["matchFields"].items()) {
      if (!f["key"].equals("metadata.name") || !f["operator"].equals("In")) continue;
      std::set<std::string> listed;
      for (Value v : f["values"].items()) listed.insert(v.str());
      if (of_term)
        std::erase_if(*of_term, [&listed](const std::string& n) { return !listed.count(n); });
      else
        of_term = std::move(listed);
    }
    if (!of_term) return {};
    all.merge(*of_term);
  }
  return all;
}

}  // namespace

std::string pod_key(Value pod) { return pod.path("metadata.namespace").str() + "/" + pod.path("metadata.name").str(); }

PodInfo::PodInfo(const json::Doc& doc) : pod(doc) {
  Value meta = pod["metadata"], spec = pod["spec"];
  ns = meta["namespace"].str();
  key = ns + "/" + meta["name"].str();
  uid = meta["uid"].str();
  labels = meta["labels"];
  ending = static_cast<bool>(meta["deletionTimestamp"]);
  priority = spec["priority"].int_or(0);
  for (Value o : meta["ownerReferences"].items())
    if (o["controller"].bool_or(false) &&
        (o["kind"].equals("ReplicaSet") || o["kind"].equals("ReplicationController") ||
         o["kind"].equals("StatefulSet")))
      owner = o["uid"].str();
  requests = pod_requests(pod.root());
  weight = pod_weight(pod.root());
  for (const char* list : {"containers", "initContainers"})
    for (Value c : spec[list].items()) {
      if (list[0] == 'i' && !c["restartPolicy"].equals("Always"))
        continue;  // of the init containers only sidecars stay
      for (Value p : c["ports"].items())
        if (int64_t h = p["hostPort"].int_or(0)) {
          std::string ip = p["hostIP"].str();
          ports.push_back({p["protocol"].str("TCP"), ip == "0.0.0.0" ? "" : ip, h});
        }
    }
  for (Value v : spec["volumes"].items())
    if (std::string name = api::claim_of(pod.root(), v); !name.empty()) claims.push_back(ns + "/" + name);
  Value a = spec["affinity"];
  if (a) {
    read_terms(a, "podAffinity", 1, *this, affinity, preferred);
    read_terms(a, "podAntiAffinity", -1, *this, anti_affinity, preferred);
  }
  Value required = a["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
  picks_nodes = required || spec["nodeSelector"].size();
  only_nodes = named_nodes(required);
}

std::string PodInfo::started() const {
  return pod.path("status.startTime").str(pod.path("metadata.creationTimestamp").str());
}

bool PodTerm::selects(const PodInfo& other, const Snapshot& snapshot) const {
  if (!namespaces.count(other.ns) &&
      !(namespace_selector && namespace_selector->matches(snapshot.namespace_labels(other.ns))))
    return false;
  return std::all_of(selectors.begin(), selectors.end(),
                     [&other](const auto& s) { return s.first.matches(other.labels) != s.second; });
}

}  // namespace k8lite::scheduler
