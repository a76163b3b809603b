#include "controllers/mirroring.h"

#include <algorithm>

#include "base/strings.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using json::Value;
using machinery::Action;
using machinery::Operation;

namespace {

constexpr std::string_view kServiceName = "kubernetes.io/service-name", kManagedBy = "endpointslice.kubernetes.io/managed-by", kManager = "endpointslicemirroring-controller.k8s.io";
constexpr std::string_view kSkip = "endpointslice.kubernetes.io/skip-mirror", kLeader = "control-plane.alpha.kubernetes.io/leader", kApplied = "kubectl.kubernetes.io/last-applied-configuration";
constexpr size_t kMostPerSubset = 1000;

bool is_ours(const Doc& slice) { return slice["metadata"]["labels"][kManagedBy].equals(kManager); }

bool is_mirrored(const Doc& endpoints, const Doc& service) {
  return endpoints && !endpoints.path("metadata.deletionTimestamp") && !endpoints["metadata"]["labels"][kSkip].equals("true") && !endpoints["metadata"]["annotations"][kLeader] && service && service.path("spec.selector").empty();
}

// Names are chosen here, not by the server: a cache that is behind then cannot make a slice twice.
std::string slice_name(const std::string& service, const Node& slice) { return service + "-" + safe_hash(slice.get("addressType").str() + slice.get("ports").dump()).substr(0, 5); }

void add_address(std::map<std::string, Node>& by_type, Value address, bool ready) {
  std::string ip = address["ip"].str();
  Node& list = by_type[ip.find(':') == ip.npos ? "IPv4" : "IPv6"];
  Node endpoint = Node::obj({{"addresses", Node::arr({ip})}, {"conditions", Node::obj({{"ready", ready}})}});
  for (const char* field : {"hostname", "nodeName"})
    if (!address[field].empty()) endpoint.set(field, address[field].str());
  if (address["targetRef"]) endpoint.set("targetRef", address["targetRef"].to_node());
  list.append(std::move(endpoint));
}

}  // namespace

std::vector<Node> mirrored_slices(const Doc& endpoints) {
  std::map<std::string, Node> out;  // by type and ports: subsets of the same ports are one
  for (Value subset : endpoints["subsets"].items()) {
    Node ports = Node::array();
    for (Value p : subset["ports"].items()) {
      Node port = Node::obj({{"name", p["name"].str()}, {"port", p["port"].int_or(0)}, {"protocol", p["protocol"].str("TCP")}});
      if (p["appProtocol"]) port.set("appProtocol", p["appProtocol"].str());
      ports.append(std::move(port));
    }
    std::map<std::string, Node> by_type;
    size_t left = kMostPerSubset;
    for (auto [field, ready] : {std::pair{"addresses", true}, {"notReadyAddresses", false}})
      for (Value a : subset[field].items())
        if (left > 0) add_address(by_type, a, ready), --left;
    for (auto& [type, list] : by_type) {
      Node& slice = out[type + ports.dump()];
      if (!slice.is_object()) slice = Node::obj({{"addressType", type}, {"endpoints", Node::array()}, {"ports", ports}});
      for (Node& e : list.items()) slice["endpoints"].append(std::move(e));
    }
  }
  std::vector<Node> slices;
  for (auto& [key, slice] : out) slices.push_back(std::move(slice));
  return slices;
}

MirroringController::MirroringController(Context& c)
    : Base(c, "endpointslicemirroring-controller"), services_(c.informer("", "services")), endpoints_(c.informer("", "endpoints")), slices_(c.informer("discovery.k8s.io", "endpointslices")) {
  auto by_name = [this](const Doc& before, const Doc& after) { queue_.add(machinery::object_key((after ? after : before).root())); };
  endpoints_.on_change(by_name);
  services_.on_change([by_name](const Doc& before, const Doc& after) {
    if (!before || !after || before.path("spec.selector").raw() != after.path("spec.selector").raw()) by_name(before, after);
  });
  slices_.on_change([this](const Doc& before, const Doc& after) {
    const Doc& slice = after ? after : before;
    if (is_ours(slice)) queue_.add(machinery::object_key(namespace_of(slice), slice["metadata"]["labels"][kServiceName].str()));
  });
}

Result<Action> MirroringController::reconcile(const std::string& key) {
  auto [ns, name] = machinery::split_key(key);
  Doc endpoints = endpoints_.get(key);
  std::map<std::string, Node> wanted;
  if (is_mirrored(endpoints, services_.get(key)))
    for (Node& slice : mirrored_slices(endpoints)) {
      Node meta = Node::obj({{"name", slice_name(name, slice)}, {"namespace", ns}, {"labels", Node::object()}});
      for (auto m : endpoints["metadata"]["labels"].members()) meta["labels"].set(m.key(), m.value.str());
      meta["labels"].set(kServiceName, name);
      meta["labels"].set(kManagedBy, kManager);
      for (auto m : endpoints["metadata"]["annotations"].members())
        if (m.key() != kApplied) meta["annotations"].set(m.key(), m.value.str());
      Node owner = owner_reference(endpoints);
      owner.set("apiVersion", "v1");
      owner.set("kind", "Endpoints");
      meta["ownerReferences"] = Node::arr({std::move(owner)});
      slice.set("metadata", std::move(meta));
      std::string own = slice.path("metadata.name").str();
      wanted[own] = std::move(slice);
    }
  machinery::Path path{"discovery.k8s.io", "v1", "endpointslices", ns, "", ""};
  std::vector<Operation> operations;
  for (const Doc& have : slices_.list(ns)) {
    if (!is_ours(have) || !have["metadata"]["labels"][kServiceName].equals(name)) continue;
    path.name = name_of(have);
    auto it = wanted.find(name_of(have));
    if (it == wanted.end()) {
      operations.push_back({Operation::Kind::Delete, path, {}, {}, {}, {}, {}});
      continue;
    }
    Node next = have.to_node();
    next.set("endpoints", it->second.get("endpoints"));
    for (const char* field : {"labels", "annotations", "ownerReferences"})
      if (it->second.path("metadata").get(field).exists()) next["metadata"].set(field, it->second.path("metadata").get(field));
      else next["metadata"].erase(field);
    if (!(next == have.to_node())) operations.push_back({Operation::Kind::Update, path, Doc::from(next), {}, {}, as_manager(), {}});
    wanted.erase(it);
  }
  path.name.clear();
  for (auto& [slice_name, slice] : wanted) {
    slice.set("apiVersion", "discovery.k8s.io/v1");
    slice.set("kind", "EndpointSlice");
    operations.push_back({Operation::Kind::Create, path, Doc::from(slice), {}, {}, as_manager(), {}});
  }
  if (operations.empty()) return Action::wait_for_change();
  for (auto& r : context_.client.submit(std::move(operations)))
    // One of these was done already, or somebody else wrote: the change that the cache has not seen yet brings us back.
    if (!r.ok() && !r.status().is(Reason::NotFound) && !r.status().is(Reason::AlreadyExists) && !r.status().is(Reason::Conflict)) return r.status();
  return Action::wait_for_change();
}

}  // namespace k8lite::controllers
