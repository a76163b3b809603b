#include "controllers/namespaces.h"

#include <algorithm>

#include "api/kinds.h"
#include "controllers/custom_kinds.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using machinery::Action;

NamespaceController::NamespaceController(Context& c) : Base(c, "namespace-controller"), namespaces_(c.informer("", "namespaces")), definitions_(definitions_informer(c)) {
  namespaces_.on_change([this](const Doc&, const Doc& after) {
    if (after && after.path("metadata.deletionTimestamp")) queue_.add(name_of(after));
  });
}

NamespaceController::Remains NamespaceController::empty(const std::string& ns) {
  Remains out;
  for (const auto& kind : api::builtin_kinds()) {
    bool listed = std::find(kind->verbs.begin(), kind->verbs.end(), "list") != kind->verbs.end() && std::find(kind->verbs.begin(), kind->verbs.end(), "delete") != kind->verbs.end();
    if (kind->namespaced && listed) empty_of({kind->group, kind->version, kind->plural, ns, "", ""}, out);
  }
  for (const CustomKind& kind : custom_kinds(definitions_.list()))
    if (kind.namespaced) empty_of({kind.group, kind.version, kind.plural, ns, "", ""}, out);
  return out;
}

void NamespaceController::empty_of(machinery::Path kind, Remains& remains) {
  auto list = context_.client.list(kind, {});
  if (!list.ok()) {
    if (!list.status().is(Reason::NotFound)) remains.failure = list.status();  // a kind that is served no longer has nothing to hold
    return;
  }
  std::vector<machinery::Operation> operations;
  for (const Doc& o : list->items) {
    ++remains.resources[kind.resource + "." + kind.group];
    for (json::Value f : o.path("metadata.finalizers").items()) ++remains.finalizers[f.str()];
    if (o.path("metadata.deletionTimestamp")) continue;
    kind.name = name_of(o);
    machinery::DeleteOptions options;
    options.propagation_policy = "Background";
    operations.push_back({machinery::Operation::Kind::Delete, kind, {}, {}, {}, {}, options});
  }
  if (operations.empty()) return;
  for (auto& r : context_.client.submit(std::move(operations)))
    if (!r.ok() && !r.status().is(Reason::NotFound)) remains.failure = r.status();
}

namespace {

std::string counted(const char* intro, const std::map<std::string, int>& counts, const char* middle, const char* end) {
  std::string out;
  for (const auto& [what, n] : counts) out += (out.empty() ? "" : ", ") + what + middle + std::to_string(n) + end;
  return intro + out;
}

// As upstream words them; `kubectl describe namespace` shows why an end takes long.
Node end_status(const Doc& ns, const std::map<std::string, int>& resources, const std::map<std::string, int>& finalizers, const Status& failure, Instant now) {
  Node status = ns["status"].exists() ? ns["status"].to_node() : Node::object();
  json::Value old = ns.path("status.conditions");
  Node list = Node::array();
  auto set = [&](const char* type, bool value, const char* reason, const std::string& message) { set_condition(list, old, type, value ? "True" : "False", reason, message, now); };
  set("NamespaceDeletionDiscoveryFailure", false, "ResourcesDiscovered", "All resources successfully discovered");
  set("NamespaceDeletionGroupVersionParsingFailure", false, "ParsedGroupVersions", "All legacy kube types successfully parsed");
  set("NamespaceDeletionContentFailure", !failure.ok(), failure.ok() ? "ContentDeleted" : "ContentDeletionFailed", failure.ok() ? "All content successfully deleted, may be waiting on finalization" : "Failed to delete all resource types: " + failure.message());
  set("NamespaceContentRemaining", !resources.empty(), resources.empty() ? "ContentRemoved" : "SomeResourcesRemain", resources.empty() ? "All content successfully removed" : counted("Some resources are remaining: ", resources, " has ", " resource instances"));
  set("NamespaceFinalizersRemaining", !finalizers.empty(), finalizers.empty() ? "ContentHasNoFinalizers" : "SomeFinalizersRemain",
      finalizers.empty() ? "All content-preserving finalizers finished" : counted("Some content in the namespace has finalizers remaining: ", finalizers, " in ", " resource instances"));
  status.set("phase", "Terminating");
  status.set("conditions", std::move(list));
  return status;
}

}  // namespace

Result<Action> NamespaceController::reconcile(const std::string& key) {
  Doc ns = namespaces_.get(key);
  if (!ns || !ns.path("metadata.deletionTimestamp")) return Action::wait_for_change();
  Remains left = empty(key);
  Node status = end_status(ns, left.resources, left.finalizers, left.failure, context_.clock.now());
  // An object whose creation was let in before the deletion was known may still be on its way through the store's writer. That it is empty
  // is written first, through the same writer; only a look after that is trusted.
  bool known = status == ns["status"].to_node();
  TRY_OK(write_status(context_.client, {"", "v1", "namespaces", "", "", ""}, ns, status, as_manager()));
  if (!left.failure.ok()) return left.failure;
  if (!left.resources.empty()) return Action::after(milliseconds(500));
  if (!known) return Action::after(milliseconds(1));
  Node object = ns.to_node();
  std::erase_if(object["spec"]["finalizers"].items(), [](const Node& f) { return f.str() == "kubernetes"; });
  auto r = context_.client.update({"", "v1", "namespaces", "", key, "finalize"}, Doc::from(object), as_manager());
  if (!r.ok() && !r.status().is(Reason::NotFound)) return r.status();
  return Action::wait_for_change();
}

namespace {
machinery::ListOptions only(const std::string& name) {
  machinery::ListOptions o;
  o.field_selector = "metadata.name=" + name;
  return o;
}
}  // namespace

ServiceAccountController::ServiceAccountController(Context& c)
    : Base(c, "service-account-controller"), namespaces_(c.informer("", "namespaces")), accounts_(c.informer("", "serviceaccounts", only("default"))), config_maps_(c.informer("", "configmaps", only("kube-root-ca.crt"))) {
  auto add = [this](const Doc& before, const Doc& after) { queue_.add(namespace_of(after ? after : before)); };
  namespaces_.on_change([this](const Doc&, const Doc& after) {
    if (after) queue_.add(name_of(after));
  });
  accounts_.on_change(add);
  config_maps_.on_change(add);
}

Result<Action> ServiceAccountController::reconcile(const std::string& key) {
  Doc ns = namespaces_.get(key);
  if (!ns || ns.path("metadata.deletionTimestamp")) return Action::wait_for_change();
  std::vector<machinery::Operation> operations;
  using Kind = machinery::Operation::Kind;
  if (!accounts_.get(key + "/default"))
    operations.push_back({Kind::Create, {"", "v1", "serviceaccounts", key, "", ""}, Doc::from(Node::obj({{"apiVersion", "v1"}, {"kind", "ServiceAccount"}, {"metadata", Node::obj({{"name", "default"}, {"namespace", key}})}})), {}, {}, as_manager(), {}});
  Doc ca = config_maps_.get(key + "/kube-root-ca.crt");
  Node data = Node::obj({{"ca.crt", context_.ca_pem}});
  Node map = Node::obj({{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", Node::obj({{"name", "kube-root-ca.crt"}, {"namespace", key}})}, {"data", data}});
  map["metadata"]["annotations"].set("kubernetes.io/description", "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc.");
  if (!ca) operations.push_back({Kind::Create, {"", "v1", "configmaps", key, "", ""}, Doc::from(map), {}, {}, as_manager(), {}});
  else if (!ca["data"]["ca.crt"].equals(context_.ca_pem)) operations.push_back({Kind::Patch, {"", "v1", "configmaps", key, "kube-root-ca.crt", ""}, {}, machinery::PatchType::Merge, Node::obj({{"data", data}}).dump(), as_manager(), {}});
  if (operations.empty()) return Action::wait_for_change();
  for (auto& r : context_.client.submit(std::move(operations)))
    if (!r.ok() && !r.status().is(Reason::AlreadyExists) && !r.status().is(Reason::NotFound)) return r.status();
  return Action::wait_for_change();
}

}  // namespace k8lite::controllers
