#include "controllers/endpoints.h"

#include "api/selector.h"
#include "base/strings.h"
#include "controllers/endpoints_plan.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using machinery::Action;
using machinery::Operation;

namespace {
constexpr std::string_view kServiceName = "kubernetes.io/service-name", kManagedBy = "endpointslice.kubernetes.io/managed-by", kManager = "endpointslice-controller.k8s.io";
constexpr std::string_view kZone = "topology.kubernetes.io/zone";
constexpr Duration kExpectationLimit = seconds(5);  // then the slice was deleted before it was seen

bool selected(const Doc& service, const Doc& pod) {
  json::Value selector = service.path("spec.selector");
  if (selector.empty()) return false;
  for (auto m : selector.members())
    if (!pod["metadata"]["labels"][m.raw_key].equals(m.value.str())) return false;
  return true;
}
}  // namespace

EndpointsController::EndpointsController(Context& c)
    : Base(c, "endpointslice-controller"), services_(c.informer("", "services")), pods_(c.informer("", "pods")), endpoints_(c.informer("", "endpoints")), slices_(c.informer("discovery.k8s.io", "endpointslices")), nodes_(c.informer("", "nodes")) {
  services_.on_change([this](const Doc& before, const Doc& after) { queue_.add(machinery::object_key((after ? after : before).root())); });
  pods_.on_change([this](const Doc& before, const Doc& after) {
    const Doc& pod = after ? after : before;
    for (const Doc& s : services_.list(namespace_of(pod)))
      if ((before && selected(s, before)) || (after && selected(s, after))) queue_.add(machinery::object_key(s.root()));
  });
  // What others change or delete is put right; what belongs to no Service any more goes.
  slices_.on_change([this](const Doc& before, const Doc& after) {
    const Doc& slice = after ? after : before;
    if (std::string service = slice["metadata"]["labels"][kServiceName].str(); !service.empty() && slice["metadata"]["labels"][kManagedBy].equals(kManager))
      queue_.add(machinery::object_key(namespace_of(slice), service));
  });
  nodes_.on_change([this](const Doc& before, const Doc& after) {
    if (!after || before["metadata"]["labels"][kZone].raw() == after["metadata"]["labels"][kZone].raw()) return;
    for (const Doc& s : services_.list()) queue_.add(machinery::object_key(s.root()));
  });
  endpoints_.on_change([this](const Doc& before, const Doc& after) {
    if (before && services_.get(machinery::object_key(before.root()))) queue_.add(machinery::object_key((after ? after : before).root()));
  });
}

std::map<std::string, std::string> EndpointsController::zones_of(const std::vector<Doc>& pods) const {
  std::map<std::string, std::string> out;
  for (const Doc& p : pods) {
    std::string node = p.path("spec.nodeName").str();
    if (!node.empty() && !out.count(node)) out[node] = nodes_.get(node)["metadata"]["labels"][kZone].str();
  }
  return out;
}

bool EndpointsController::settled(const std::string& key) {
  std::lock_guard lock(mutex_);
  auto it = expected_.find(key);
  if (it == expected_.end()) return true;
  std::erase_if(it->second.created, [this](const std::string& slice) { return static_cast<bool>(slices_.get(slice)); });
  if (!it->second.created.empty() && context_.clock.mono() - it->second.since < kExpectationLimit) return false;
  expected_.erase(it);
  return true;
}

Result<Action> EndpointsController::reconcile(const std::string& key) {
  auto [ns, name] = machinery::split_key(key);
  if (!settled(key)) return Action::after(kExpectationLimit);
  Doc service = services_.get(key);
  std::vector<Doc> have;
  for (const Doc& s : slices_.list(ns))
    if (s["metadata"]["labels"][kServiceName].equals(name) && s["metadata"]["labels"][kManagedBy].equals(kManager)) have.push_back(s);
  std::vector<Operation> operations;
  machinery::Path slice_path{"discovery.k8s.io", "v1", "endpointslices", ns, "", ""}, endpoints_path{"", "v1", "endpoints", ns, name, ""};
  if (!service || service.path("spec.selector").empty()) {
    for (const Doc& s : have) {
      slice_path.name = name_of(s);
      operations.push_back({Operation::Kind::Delete, slice_path, {}, {}, {}, {}, {}});
    }
    if (!service)
      if (Doc e = endpoints_.get(key); e && !e.path("metadata.deletionTimestamp")) operations.push_back({Operation::Kind::Delete, endpoints_path, {}, {}, {}, {}, {}});
    if (!operations.empty()) (void)context_.client.submit(std::move(operations));
    return Action::wait_for_change();
  }
  if (service.path("metadata.deletionTimestamp") || service.path("spec.type").equals("ExternalName")) return Action::wait_for_change();
  std::vector<Doc> pods;
  for (const Doc& p : pods_.list(ns))
    if (selected(service, p)) pods.push_back(p);
  ServiceEndpoints plan = plan_endpoints(service, pods, zones_of(pods));
  if (plan.slices.empty()) plan.slices.push_back(Node::obj({{"addressType", "IPv4"}, {"endpoints", Node::array()}, {"ports", Node::array()}}));

  Node labels = service.path("metadata.labels").exists() ? service.path("metadata.labels").to_node() : Node::object();
  labels.set(kServiceName, name);
  labels.set(kManagedBy, std::string(kManager));
  if (service.path("spec.clusterIP").equals("None")) labels.set("service.kubernetes.io/headless", "");
  for (size_t i = 0; i < std::max(plan.slices.size(), have.size()); ++i) {
    if (i >= plan.slices.size()) {
      slice_path.name = name_of(have[i]);
      operations.push_back({Operation::Kind::Delete, slice_path, {}, {}, {}, {}, {}});
      continue;
    }
    Node slice = plan.slices[i];
    if (i < have.size()) {
      Node current = have[i].to_node();
      bool same = current.get("endpoints") == slice.get("endpoints") && (current.get("ports") == slice.get("ports")) && current.path("metadata.labels") == labels;
      if (same) continue;
      current.set("endpoints", slice.get("endpoints"));
      current.set("ports", slice.get("ports"));
      current["metadata"].set("labels", labels);
      slice_path.name = name_of(have[i]);
      operations.push_back({Operation::Kind::Update, slice_path, Doc::from(current), {}, {}, as_manager(), {}});
    } else {
      slice.set("apiVersion", "discovery.k8s.io/v1");
      slice.set("kind", "EndpointSlice");
      slice["metadata"] = Node::obj({{"generateName", name + "-"}, {"namespace", ns}, {"labels", labels}, {"ownerReferences", Node::arr({owner_reference(service)})}});
      slice_path.name.clear();
      operations.push_back({Operation::Kind::Create, slice_path, Doc::from(slice), {}, {}, as_manager(), {}});
    }
  }
  Doc current = endpoints_.get(key);
  Node wanted_labels = service.path("metadata.labels").exists() ? service.path("metadata.labels").to_node() : Node::object();
  wanted_labels.set("endpoints.kubernetes.io/managed-by", "endpoint-controller");
  Node subsets = plan.subsets;
  bool same = current && current["metadata"]["labels"].to_node() == wanted_labels && (subsets.is_null() ? current["subsets"].empty() : current["subsets"].to_node() == subsets);
  if (!same) {
    Node e = current ? current.to_node() : Node::obj({{"apiVersion", "v1"}, {"kind", "Endpoints"}, {"metadata", Node::obj({{"name", name}, {"namespace", ns}})}});
    e["metadata"].set("labels", wanted_labels);
    if (subsets.is_null()) e.erase("subsets");
    else e.set("subsets", std::move(subsets));
    machinery::Path path = endpoints_path;
    if (!current) path.name.clear();
    operations.push_back({current ? Operation::Kind::Update : Operation::Kind::Create, path, Doc::from(e), {}, {}, as_manager(), {}});
  }
  if (operations.empty()) return Action::wait_for_change();
  Status failure;
  Expected expected{{}, context_.clock.mono()};
  for (auto& r : context_.client.submit(std::move(operations))) {
    if (!r.ok() && !r.status().is(Reason::NotFound)) failure = r.status();
    if (r.ok() && (*r)["kind"].equals("EndpointSlice")) expected.created.insert(machinery::object_key(r->root()));
  }
  if (!expected.created.empty()) {
    std::lock_guard lock(mutex_);
    expected_[key] = std::move(expected);
  }
  if (!failure.ok()) return failure;
  return Action::wait_for_change();
}

}  // namespace k8lite::controllers
