#include "controllers/history.h"

#include <algorithm>

namespace k8lite::controllers {

using json::Doc;
using json::Node;

namespace {
constexpr std::string_view kHash = "controller-revision-hash";

// What a revision stores: a patch that puts the template back.
Node revision_data(const Doc& owner) {
  Node pod_template = owner.path("spec.template").to_node();
  pod_template.set("$patch", "replace");
  return Node::obj({{"spec", Node::obj({{"template", std::move(pod_template)}})}});
}
}  // namespace

HistoryPlan plan_history(const Doc& owner, const std::vector<Doc>& revisions, const std::set<std::string>& live) {
  HistoryPlan plan;
  Node data = revision_data(owner);
  std::vector<Doc> sorted = revisions;
  std::sort(sorted.begin(), sorted.end(), [](const Doc& a, const Doc& b) { return std::make_pair(a["revision"].int_or(0), name_of(a)) < std::make_pair(b["revision"].int_or(0), name_of(b)); });
  int64_t highest = sorted.empty() ? 0 : sorted.back()["revision"].int_or(0);
  const Doc* found = nullptr;
  for (const Doc& r : sorted)
    if (r["data"].to_node() == data) found = &r;
  if (found) {
    plan.update = name_of(*found);
    plan.hash = (*found)["metadata"]["labels"][kHash].str();
    plan.revision = (*found)["revision"].int_or(0);
    if (plan.revision < highest) plan.bump = plan.update, plan.revision = highest + 1;
  } else {
    std::string text = data.dump() + "/" + std::to_string(owner.path("status.collisionCount").int_or(0));
    auto taken = [&sorted, &owner](const std::string& hash) { return std::any_of(sorted.begin(), sorted.end(), [&](const Doc& r) { return name_of(r) == name_of(owner) + "-" + hash; }); };
    do plan.hash = safe_hash(text), text += "/";
    while (taken(plan.hash));
    plan.update = name_of(owner) + "-" + plan.hash;
    plan.revision = highest + 1;
    Node labels = owner.path("spec.template.metadata.labels").exists() ? owner.path("spec.template.metadata.labels").to_node() : Node::object();
    labels.set(kHash, plan.hash);
    plan.create = Node::obj({{"apiVersion", "apps/v1"}, {"kind", "ControllerRevision"},
                             {"metadata", Node::obj({{"name", plan.update}, {"namespace", namespace_of(owner)}, {"labels", std::move(labels)}, {"ownerReferences", Node::arr({owner_reference(owner)})}})},
                             {"data", std::move(data)}, {"revision", plan.revision}});
  }
  auto limit = static_cast<size_t>(std::max<int64_t>(0, owner.path("spec.revisionHistoryLimit").int_or(10)));
  std::vector<std::string> idle;
  for (const Doc& r : sorted)
    if (name_of(r) != plan.update && !live.contains(name_of(r)) && !live.contains(r["metadata"]["labels"][kHash].str())) idle.push_back(name_of(r));
  for (size_t i = 0; i + limit < idle.size(); ++i) plan.remove.push_back(idle[i]);
  return plan;
}

Result<> write_history(machinery::Client& client, const Doc& owner, const HistoryPlan& plan, const machinery::WriteOptions& options) {
  machinery::Path path{"apps", "v1", "controllerrevisions", namespace_of(owner), "", ""};
  if (plan.create) {
    auto r = client.create(path, Doc::from(*plan.create), options);
    if (!r.ok() && !r.status().is(Reason::AlreadyExists)) return r.status();
  }
  if (!plan.bump.empty()) {
    path.name = plan.bump;
    TRY_OK(client.patch(path, machinery::PatchType::Merge, Node::obj({{"revision", plan.revision}}).dump(), options));
  }
  for (const auto& name : plan.remove) {
    path.name = name;
    (void)client.remove(path, {});
  }
  return {};
}

}  // namespace k8lite::controllers
