#include "controllers/crd.h"

#include "controllers/adoption.h"
#include "controllers/custom_kinds.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using json::Value;
using machinery::Action;

namespace {

const machinery::Path kDefinitions{"apiextensions.k8s.io", "v1", "customresourcedefinitions", "", "", ""};
constexpr const char* kFinalizer = "customresourcecleanup.apiextensions.k8s.io";
constexpr Duration kLookAgain = seconds(1);  // at objects whose finalizers hold them
constexpr int64_t kPage = 500;

bool is_true(const Doc& definition, std::string_view type) {
  for (Value c : definition["status"]["conditions"].items())
    if (c["type"].equals(type)) return c["status"].equals("True");
  return false;
}

bool finalized(const Doc& definition) {
  for (Value f : definition.path("metadata.finalizers").items())
    if (f.equals(kFinalizer)) return true;
  return false;
}

}  // namespace

std::vector<CustomKind> custom_kinds(const std::vector<Doc>& definitions) {
  std::vector<CustomKind> out;
  for (const Doc& d : definitions) {
    if (!is_true(d, "Established") && !is_true(d, "NamesAccepted")) continue;
    std::string version;
    bool deleting = static_cast<bool>(d.path("metadata.deletionTimestamp"));
    for (Value v : d.path("spec.versions").items()) {
      bool stored = v["storage"].bool_or(false);
      if (!v["served"].bool_or(false) && !(deleting && stored)) continue;  // as the server serves them
      if (version.empty() || stored) version = v["name"].str();
    }
    Value names = d["status"]["acceptedNames"];
    if (!version.empty())
      out.push_back({d.path("spec.group").str(), version, names["plural"].str(), names["kind"].str(),
                     d.path("spec.scope").equals("Namespaced")});
  }
  return out;
}

DefinitionController::DefinitionController(Context& c)
    : Base(c, "customresourcedefinition-controller"), definitions_(definitions_informer(c)) {
  // Names that one definition gives up are another's: all of the group look again.
  definitions_.on_change([this](const Doc& before, const Doc& after) {
    std::string group = (after ? after : before).path("spec.group").str();
    if (after) queue_.add(name_of(after));
    if (before && after && before.path("status.acceptedNames").raw() == after.path("status.acceptedNames").raw())
      return;
    for (const Doc& d : definitions_.list())
      if (d.path("spec.group").equals(group)) queue_.add(name_of(d));
  });
}

Result<> DefinitionController::write(const Doc& definition, const Node& status) {
  Node object = definition.to_node();
  object.set("status", status);
  machinery::Path path = kDefinitions;
  path.name = name_of(definition);
  path.subresource = "status";
  auto r = context_.client.update(path, Doc::from(object), as_manager());
  // Changed meanwhile, or gone: the change brings it here again.
  if (!r.ok() && !r.status().is(Reason::NotFound) && !r.status().is(Reason::Conflict)) return r.status();
  return {};
}

Result<Action> DefinitionController::reconcile(const std::string& key) {
  // What is stored, not what the informer has: two definitions must not get the same name.
  TRY(auto stored, context_.client.list(kDefinitions, {}));
  Doc definition;
  std::vector<Doc> others;
  for (const Doc& d : stored.items)
    if (name_of(d) == key) definition = d;
  if (!definition) return Action::wait_for_change();
  if (definition.path("metadata.deletionTimestamp"))
    return finalized(definition) ? remove_objects(definition) : Result<Action>(Action::wait_for_change());
  for (const Doc& d : stored.items)
    if (name_of(d) != key && d.path("spec.group").equals(definition.path("spec.group").str())) others.push_back(d);
  if (auto status = plan_names(definition, others, context_.clock.now())) TRY_OK(write(definition, *status));
  return Action::wait_for_change();
}

Result<Action> DefinitionController::remove_objects(const Doc& definition) {
  if (!is_true(definition, "Terminating")) {
    TRY_OK(write(definition, terminating_status(definition, true, "InstanceDeletionInProgress",
                                                "CustomResource deletion is in progress", context_.clock.now())));
    return Action::wait_for_change();
  }
  for (const CustomKind& kind : custom_kinds({definition})) {
    machinery::ListOptions page;
    page.limit = kPage;
    TRY(auto list, context_.client.list({kind.group, kind.version, kind.plural, "", "", ""}, page));
    std::vector<machinery::Operation> operations;
    for (const Doc& o : list.items)
      if (!o.path("metadata.deletionTimestamp"))
        operations.push_back({machinery::Operation::Kind::Delete,
                              {kind.group, kind.version, kind.plural, namespace_of(o), name_of(o), ""},
                              {},
                              {},
                              {},
                              {},
                              {}});
    bool waits = operations.empty();
    for (auto& r : context_.client.submit(std::move(operations)))
      if (!r.ok() && !r.status().is(Reason::NotFound)) return r.status();
    if (!list.items.empty()) return Action::after(waits ? kLookAgain : Duration{1});
  }
  Node object = definition.to_node(), kept = Node::array();
  for (Value f : definition.path("metadata.finalizers").items())
    if (!f.equals(kFinalizer)) kept.append(f.to_node());
  Node patch =
      Node::obj({{"metadata", Node::obj({{"uid", uid_of(definition)},
                                         {"resourceVersion", definition.path("metadata.resourceVersion").str()},
                                         {"finalizers", kept}})}});
  machinery::Path path = kDefinitions;
  path.name = name_of(definition);
  if (kept.size())
    TRY_OK(write(definition, terminating_status(definition, false, "InstanceDeletionCompleted", "removed all instances",
                                                context_.clock.now())));
  auto r = context_.client.patch(path, machinery::PatchType::Merge, patch.dump(), as_manager());
  if (!r.ok() && !r.status().is(Reason::NotFound) && !(kept.size() && r.status().is(Reason::Conflict)))
    return r.status();
  return Action::wait_for_change();
}

}  // namespace k8lite::controllers
