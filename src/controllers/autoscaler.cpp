#include "controllers/autoscaler.h"

#include <algorithm>

#include "api/kinds.h"
#include "api/selector.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using machinery::Action;
using machinery::Path;

namespace {

constexpr Duration kQuiet = seconds(120);  // a status that is nearly the same waits so long: each write reaches the disk
constexpr Duration kPeriod = seconds(15);  // upstream's --horizontal-pod-autoscaler-sync-period

// "apps/v1": the group; false for what is no group and version.
bool split_api_version(const std::string& text, std::string& group) {
  size_t slash = text.find('/');
  if (text.empty() || text.find('/', slash == text.npos ? 0 : slash + 1) != text.npos) return text.empty();
  group = slash == text.npos ? "" : text.substr(0, slash);
  return true;
}

// Where a percentage tells how much is used, the amount behind it changes with every look and nothing follows from it.
Node without_averages(Node status) {
  for (Node& m : status["currentMetrics"].items())
    for (auto& [member, source] : m.members())
      if (source.is_object() && source.path("current.averageUtilization").exists()) source["current"].erase("averageValue");
  return status;
}

}  // namespace

machinery::Informer& Context::autoscalers() {
  if (root) return root->autoscalers();
  auto& slot = informers["autoscaling/horizontalpodautoscalers?"];
  if (!slot) slot = std::make_unique<machinery::Informer>(client, Path{"autoscaling", "v2", "horizontalpodautoscalers", "", "", ""});
  return *slot;
}

AutoscalerController::AutoscalerController(Context& c)
    : Base(c, "horizontal-pod-autoscaler"), autoscalers_(c.autoscalers()), pods_(c.informer("", "pods")), definitions_(definitions_informer(c)) {
  autoscalers_.on_change([this](const Doc& before, const Doc& after) {
    // Its own writes of status are no reason to look again before the time.
    if (before && after && before["spec"].raw() == after["spec"].raw()) return;
    queue_.add(machinery::object_key((after ? after : before).root()));
  });
}

Result<Path> AutoscalerController::target_of(const Doc& hpa) const {
  json::Value ref = hpa.path("spec.scaleTargetRef");
  std::string group, kind = ref["kind"].str();
  if (!split_api_version(ref["apiVersion"].str(), group)) return internal_error("unexpected GroupVersion string: " + ref["apiVersion"].str());
  Status none = internal_error("no matches for kind " + json::quoted(kind) + " in group " + json::quoted(group));
  for (const auto& row : api::builtin_kinds())
    if (row->group == group && row->kind == kind) return row->scale ? Result<Path>(Path{group, row->version, row->plural, namespace_of(hpa), ref["name"].str(), "scale"}) : not_found("the server could not find the requested resource");
  for (const CustomKind& k : custom_kinds(definitions_.list()))
    if (k.group == group && k.kind == kind) return Path{group, k.version, k.plural, namespace_of(hpa), ref["name"].str(), "scale"};
  return none;
}

std::vector<std::string> AutoscalerController::rivals_of(const std::string& key, const std::vector<Doc>& pods) const {
  std::vector<std::string> out;
  std::string ns = key.substr(0, key.find('/') + 1);
  for (auto it = known_.lower_bound(ns); it != known_.end() && it->first.starts_with(ns); ++it) {
    if (it->first == key || it->second.selector.empty()) continue;
    auto selector = api::LabelSelector::parse(it->second.selector);
    bool same = selector.ok() && std::any_of(pods.begin(), pods.end(), [&selector](const Doc& p) { return selector->matches(p["metadata"]["labels"]); });
    if (same) out.push_back(it->first);
  }
  return out;
}

Result<> AutoscalerController::write_scale(const Path& path, const Doc& scale, int64_t replicas) {
  Node next = scale.to_node();
  next["spec"].set("replicas", replicas);
  TRY_OK(context_.client.update(path, Doc::from(next), as_manager()));
  return {};
}

Result<> AutoscalerController::write_status(const Doc& hpa, const Node& status, Instant& told) {
  Node old = hpa["status"].to_node();
  Instant now = context_.clock.now();
  if (status == old || (now - told < kQuiet && without_averages(status) == without_averages(old))) return {};
  told = now;
  Node next = hpa.to_node();
  next.set("status", status);
  auto r = context_.client.update({"autoscaling", "v2", "horizontalpodautoscalers", namespace_of(hpa), name_of(hpa), "status"}, Doc::from(next), as_manager());
  if (!r.ok() && !r.status().is(Reason::NotFound)) return r.status();
  return {};
}

Result<Action> AutoscalerController::reconcile(const std::string& key) {
  Doc hpa = autoscalers_.get(key);
  if (!hpa || hpa.path("metadata.deletionTimestamp")) {
    known_.erase(key);
    return Action::wait_for_change();
  }
  Known& known = known_[key];
  if (known.uid != uid_of(hpa)) known = {uid_of(hpa), "", {}, {}};
  auto path = target_of(hpa);
  Result<Doc> scale = path.ok() ? context_.client.get(*path) : Result<Doc>(path.status());
  Result<TargetScale> target = TargetScale{};
  if (!scale.ok()) target = scale.status();
  std::vector<Doc> pods;
  Result<std::vector<Doc>> metrics = std::vector<Doc>{};
  std::string ns = namespace_of(hpa);
  if (scale.ok()) {
    target = TargetScale{scale->path("spec.replicas").int_or(0), scale->path("status.replicas").int_or(0), scale->path("status.selector").str()};
    known.selector = target->selector;
    auto selector = api::LabelSelector::parse(known.selector);
    if (selector.ok() && !known.selector.empty()) {
      for (const Doc& p : pods_.list(ns))
        if (selector->matches(p["metadata"]["labels"])) pods.push_back(p);
      auto list = context_.client.list({"metrics.k8s.io", "v1beta1", "pods", ns, "", ""}, {.label_selector = known.selector});
      metrics = list.ok() ? Result<std::vector<Doc>>(std::move(list->items)) : list.status();
    }
  }
  AutoscalerPlan plan = plan_autoscaler({hpa, std::move(target), pods, std::move(metrics), rivals_of(key, pods), known.memory, context_.clock.now(), {}});
  if (plan.rescale) rescaled(plan, hpa, write_scale(*path, *scale, *plan.rescale), context_.clock.now());
  known.memory = plan.memory;
  for (const AutoscalerEvent& e : plan.events) context_.events.record(hpa.root(), e.warning ? "Warning" : "Normal", e.reason, e.message);
  // A conflict is another's write: the next look sees it.
  if (auto r = write_status(hpa, plan.status, known.told); !r.ok() && !r.status().is(Reason::Conflict)) return r.status();
  return Action::after(kPeriod);
}

}  // namespace k8lite::controllers
