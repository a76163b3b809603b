// The parts of Rest that are no plain objects: binding, eviction, scale, tokens and access reviews.
#include "api/custom/version.h"
#include "api/selector.h"
#include "apiserver/rest.h"
#include "apiserver/reviews.h"
#include "base/strings.h"

namespace k8lite::apiserver {

using json::Node;

async::Task<Result<Answer>> Rest::bind(Target t, Node body, WriteParams p) {
  CO_TRY_OK(decode(t, body, p, api::schema::find_type("core/v1.Binding")));
  std::string pod = t.name.empty() ? body.path("metadata.name").str() : t.name, node = body.path("target.name").str();
  if (node.empty()) co_return bad_request("binding: target.name: Required value");
  Target pods{types_.find("", "v1", "pods"), t.ns, pod, ""};
  Instant now = clock_.now();
  std::string uid = body.path("metadata.uid").str();
  // Not through change(): a binding sets what the rules of pods do not let anybody else change.
  RegistryOptions options;
  options.dry_run = p.dry_run;
  auto r = co_await registry_.update(pods.type->object, t.ns, pod, "binding", [this, node, now, uid, pod](const store::Object& current) -> Result<Node> {
    Node o = current.doc.to_node();
    if (o.path("metadata.deletionTimestamp").exists()) return conflict_object("", "pods/binding", pod, "pod " + pod + " is being deleted, cannot be assigned to a host");
    if (!uid.empty() && o.path("metadata.uid").str() != uid) return conflict_object("", "pods/binding", pod, "the pod was created anew");
    if (const std::string& has = o.path("spec.nodeName").str(); !has.empty()) return conflict_object("", "pods/binding", pod, "pod " + pod + " is already assigned to node " + json::quoted(has));
    o["spec"].set("nodeName", Node(node));
    admission_.label_topology(o, node);
    Node& conditions = o["status"]["conditions"];
    std::erase_if(conditions.items(), [](const Node& c) { return c.get("type").str() == "PodScheduled"; });
    conditions.append(Node::obj({{"type", "PodScheduled"}, {"status", "True"}, {"lastProbeTime", Node()}, {"lastTransitionTime", rfc3339(now)}}));
    return o;
  }, std::move(options));
  if (!r.ok()) co_return std::move(r).status();
  co_return Answer{t.type, nullptr, json::Doc::from(Node::obj({{"kind", "Status"}, {"apiVersion", "v1"}, {"metadata", Node::object()}, {"status", "Success"}, {"code", 201}})), true};
}

namespace {

Status over_budget(const json::Doc& budget) {
  Status s(Reason::TooManyRequests, "Cannot evict pod as it would violate the pod's disruption budget.");
  StatusDetails d;
  d.causes.push_back({"DisruptionBudget", "The disruption budget " + budget.path("metadata.name").str() + " needs " + std::to_string(budget.path("status.desiredHealthy").int_or(0)) + " healthy pods and has " +
                                              std::to_string(budget.path("status.currentHealthy").int_or(0)) + " currently", ""});
  return s.set_details(std::move(d));
}

bool is_ready(const json::Doc& pod) {
  for (json::Value c : pod.path("status.conditions").items())
    if (c["type"].equals("Ready")) return c["status"].equals("True");
  return false;
}

}  // namespace

// One pod less: written into the budget before the pod goes, so that two evictions never share one allowance.
async::Task<Result<>> Rest::take_disruption(const Target& pods, const json::Doc& pod, WriteParams p) {
  std::string phase = pod.path("status.phase").str();
  if (phase == "Succeeded" || phase == "Failed" || phase == "Pending" || pod.path("metadata.deletionTimestamp")) co_return Result<>{};
  auto budgets = store_.list("/registry/policy/poddisruptionbudgets/" + pods.ns + "/", {});
  if (!budgets.ok()) co_return std::move(budgets).status();
  json::Doc budget;
  for (const auto& b : budgets->items) {
    auto selector = api::LabelSelector::from_object(b->doc.path("spec.selector"));
    if (!selector.ok() || !selector->matches(pod["metadata"]["labels"])) continue;
    if (budget) co_return internal_error("This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.");
    budget = b->doc;
  }
  if (!budget) co_return Result<>{};
  if (!is_ready(pod)) {  // KEP-3017: it is not among the healthy ones that the budget counts
    bool enough = budget.path("status.currentHealthy").int_or(0) >= budget.path("status.desiredHealthy").int_or(0) && budget.path("status.desiredHealthy").int_or(0) > 0;
    if (enough || budget.path("spec.unhealthyPodEvictionPolicy").equals("AlwaysAllow")) co_return Result<>{};
  }
  Target target{types_.find("policy", "v1", "poddisruptionbudgets"), pods.ns, budget.path("metadata.name").str(), "status"};
  std::string name = pod.path("metadata.name").str(), now = rfc3339(clock_.now());
  auto r = co_await change(target, p, [name, now](Node current) -> Result<Node> {
    Node& status = current["status"];
    int64_t allowed = status.get("disruptionsAllowed").int_or(0);
    if (status.get("observedGeneration").int_or(0) < current.path("metadata.generation").int_or(0))
      return Status(Reason::TooManyRequests, "Cannot evict pod as it would violate the pod's disruption budget. The disruption budget " + current.path("metadata.name").str() + " is still being processed by the server.");
    if (allowed <= 0) return over_budget(json::Doc::from(current));
    status.set("disruptionsAllowed", allowed - 1);
    status["disruptedPods"].set(name, now);
    return current;
  });
  if (!r.ok()) co_return std::move(r).status();
  co_return Result<>{};
}

async::Task<Result<Answer>> Rest::evict(Target t, Node body, WriteParams p) {
  CO_TRY_OK(decode(t, body, p, api::schema::find_type("policy/v1.Eviction")));
  if (const std::string& name = body.path("metadata.name").str(); !name.empty() && name != t.name) co_return bad_request("name in URL does not match name in Eviction object: " + name);
  Target pods{types_.find("", "v1", "pods"), t.ns, t.name, ""};
  CO_TRY(Answer pod, get(pods));
  for (const Node& d : body.path("deleteOptions.dryRun").items()) p.dry_run |= d.str() == "All";  // how kubectl drain asks for it
  CO_TRY_OK(co_await take_disruption(pods, pod.object->doc, p));
  DeleteRequest request;
  const Node& o = body.get("deleteOptions");
  if (o.get("gracePeriodSeconds").exists()) request.grace_seconds = o.get("gracePeriodSeconds").int_or(0);
  request.uid = o.path("preconditions.uid").str();
  auto r = co_await remove(pods, request, p);
  if (!r.ok()) co_return std::move(r).status();
  co_return Answer{t.type, nullptr, json::Doc::from(Node::obj({{"kind", "Status"}, {"apiVersion", "v1"}, {"metadata", Node::object()}, {"status", "Success"}, {"code", 201}})), true};
}

json::Doc Rest::scale_of(const Target& t, const store::Object& object) const {
  const json::Doc& d = object.doc;
  Node scale = Node::obj({{"kind", "Scale"}, {"apiVersion", "autoscaling/v1"}});
  for (const char* f : {"name", "namespace", "uid", "creationTimestamp"})
    if (d["metadata"][f]) scale["metadata"].set(f, d["metadata"][f].to_node());
  scale["metadata"].set("resourceVersion", std::to_string(object.revision));
  if (const auto& custom = t.type->row->custom) {
    scale["spec"].set("replicas", d.path(custom->spec_replicas).int_or(0));
    scale["status"].set("replicas", d.path(custom->status_replicas).int_or(0));
    if (std::string selector = custom->label_selector.empty() ? "" : d.path(custom->label_selector).str(); !selector.empty()) scale["status"].set("selector", selector);
    return json::Doc::from(scale);
  }
  scale["spec"].set("replicas", d.path("spec.replicas").int_or(0));
  scale["status"].set("replicas", d.path("status.replicas").int_or(0));
  json::Value selector = d.path("spec.selector");
  auto parsed = t.type->row->plural == "replicationcontrollers" ? api::LabelSelector::from_object(json::Doc::from(Node::obj({{"matchLabels", selector.to_node()}})).root()) : api::LabelSelector::from_object(selector);
  if (parsed.ok()) scale["status"].set("selector", parsed->text());
  return json::Doc::from(scale);
}

Result<> Rest::apply_scale(const Target& t, Node& object, const Node& scale) const {
  const Node& replicas = scale.get("spec").get("replicas");
  if (replicas.exists() && !replicas.is_integer()) return bad_request("Scale: spec.replicas: an integer is wanted");
  if (replicas.int_or(0) < 0) {
    Cause cause{"FieldValueInvalid", "Invalid value: " + replicas.dump() + ": must be greater than or equal to 0", "spec.replicas"};
    Status s(Reason::Invalid, "Scale.autoscaling " + json::quoted(t.name) + " is invalid: " + cause.field + ": " + cause.message);
    StatusDetails d;
    d.name = t.name;
    d.group = "autoscaling";
    d.kind = "Scale";
    d.causes.push_back(std::move(cause));
    return s.set_details(std::move(d));
  }
  std::string version = scale.path("metadata.resourceVersion").str();
  if (!version.empty() && version != object.path("metadata.resourceVersion").str()) return conflict_object(t.type->row->group, t.type->row->plural, t.name);
  const auto& custom = t.type->row->custom;
  Node* at = &object;
  auto parts = split_strings(custom ? custom->spec_replicas : "spec.replicas", '.');
  for (const auto& part : parts) {
    if (!at->is_object() && !at->is_null()) return internal_error("the spec replicas field \"." + join(parts, ".") + "\" does not exist");
    at = &(*at)[part];
  }
  *at = Node(replicas.int_or(0));
  return {};
}

Result<Answer> Rest::review(const Target& t, const Node& body, const WriteParams& p) const {
  ReviewContext context{p.caller, t.ns, [this](const authz::User& user, const RequestInfo& info) { return authorizer_.decide(user, info); },
                        [this](const authz::User& user, std::string_view ns) { return authorizer_.snapshot()->rules_of(user, ns); },
                        [this](std::string_view token, const std::vector<std::string>& audiences) { return authenticator_->review_token(token, audiences); }};
  Node object = body;
  TRY_OK(decode(t, object, p, t.type->row->type));
  object.set("kind", Node(t.type->row->kind));
  object.set("apiVersion", Node(api_version(t.type->object)));
  TRY(Node out, apiserver::review(t.type->row->kind, std::move(object), context));
  return Answer{t.type, nullptr, json::Doc::from(out), true};
}

}  // namespace k8lite::apiserver
