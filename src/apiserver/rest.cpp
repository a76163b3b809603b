#include "apiserver/rest.h"

#include <algorithm>

#include "api/patch/patch.h"
#include "api/rules/rules.h"
#include "apiserver/authz/escalation.h"
#include "apiserver/field_manager.h"
#include "apiserver/pod_parts.h"
#include "base/strings.h"

namespace k8lite::apiserver {
using json::Node;

Status invalid_object(const Target& target, const std::string& name, std::vector<Cause> causes, std::string kind) {
  if (kind.empty()) kind = target.type->row->kind;
  std::string text = kind + (target.type->row->group.empty() ? "" : "." + target.type->row->group) + " " + json::quoted(name) + " is invalid: ";
  if (causes.size() == 1) text += causes[0].field + ": " + causes[0].message;
  else {
    text += "[";
    for (size_t i = 0; i < causes.size(); ++i) text += (i ? ", " : "") + causes[i].field + ": " + causes[i].message;
    text += "]";
  }
  Status s(Reason::Invalid, text);
  StatusDetails d;
  d.name = name;
  d.group = target.type->row->group;
  d.kind = std::move(kind);
  d.causes = std::move(causes);
  return s.set_details(std::move(d));
}

namespace {

constexpr int kMaxGeneratedNames = 8;  // as upstream (RetryGenerateName)

store::Durability durability_of(const Target& t, const json::Node& object, const json::Doc* old) {
  if (t.type->row->plural == "events") return store::Durability::Volatile;
  if (t.type->row->plural != "leases") return store::Durability::Durable;
  if (t.ns == "kube-node-lease" || !old) return t.ns == "kube-node-lease" ? store::Durability::Volatile : store::Durability::Durable;
  Node before = old->path("spec").to_node(), now = object.get("spec");
  before.erase("renewTime");
  now.erase("renewTime");
  return before == now ? store::Durability::Volatile : store::Durability::Durable;
}

// Only a pod on a node has something that must end first; of everything else a grace period is ignored, as upstream does.
bool ends_gracefully(const ResourceTypePtr& type, const store::Object& o) {
  if (type->row->plural != "pods" || !type->row->group.empty()) return false;
  std::string phase = o.doc.path("status.phase").str();
  return !o.doc.path("spec.nodeName").empty() && phase != "Succeeded" && phase != "Failed";
}

bool is_service(const Target& t) { return t.type->row->group.empty() && t.type->row->plural == "services"; }

// Heartbeats and events are written far more often than anybody applies them: they are tracked from their first apply on.
bool is_tracked_from_the_start(const Target& t, const Node& object) {
  return (t.type->row->plural != "events" && t.type->row->plural != "leases") || object.path("metadata.managedFields").size() > 0;
}

Status success_status(const Target& t, const std::string& name, const std::string& uid, json::Doc& out) {
  Node n = Node::obj({{"kind", "Status"}, {"apiVersion", "v1"}, {"metadata", Node::object()}, {"status", "Success"}});
  n["details"].set("name", Node(name));
  if (!t.type->row->group.empty()) n["details"].set("group", Node(t.type->row->group));
  n["details"].set("kind", Node(t.type->row->plural));
  n["details"].set("uid", Node(uid));
  out = json::Doc::from(n);
  return {};
}

}  // namespace

std::string Answer::text() const { return object ? served(object->doc, object->revision, type->object) : document.bytes(); }

Rest::Rest(store::Store& store, const Clock& clock, Random& random, const ResourceTypes& types, authz::Authorizer& authorizer, ServiceAddresses& addresses, RestOptions options)
    : store_(store), clock_(clock), random_(random), types_(types), authorizer_(authorizer), addresses_(addresses), options_(std::move(options)),
      registry_(store, clock, random), admission_(store, clock, random, authorizer, options_.admission) {}

// ---- writes ----

Result<> Rest::decode(const Target& t, Node& body, const WriteParams& p, const api::schema::Type* type) const {
  if (!body.is_object()) return bad_request("the body is not a JSON object");
  std::string wanted_version = api_version(t.type->object), got_version = body.get("apiVersion").str(), got_kind = body.get("kind").str();
  bool own = type == t.type->row->type;
  if (own && !got_version.empty() && got_version != wanted_version)
    return bad_request("the API version in the data (" + got_version + ") does not match the expected API version (" + wanted_version + ")");
  if (own && !got_kind.empty() && got_kind != t.type->row->kind) return bad_request("the kind in the data (" + got_kind + ") does not match the expected kind (" + t.type->row->kind + ")");
  std::vector<std::string> issues;
  for (const auto& d : p.duplicates) issues.push_back("duplicate field \"" + d + "\"");
  if (own) TRY_OK(api::decode(*t.type->row, body, &issues));
  else if (type) TRY_OK(api::schema::decode(body, *type, &issues));
  if (issues.empty() || p.field_validation == "Ignore") return {};
  if (p.field_validation == "Strict" && !p.patch_text.empty()) {
    Cause cause{"FieldValueInvalid", "Invalid value: " + json::quoted(p.patch_text) + ": strict decoding error: " + join(issues, ", "), "patch"};
    Status s(Reason::Invalid, " \"\" is invalid: " + cause.field + ": " + cause.message);
    StatusDetails d;
    d.causes.push_back(std::move(cause));
    return s.set_details(std::move(d));
  }
  if (p.field_validation == "Strict") {
    return bad_request(t.type->row->kind + " in version " + json::quoted(t.type->row->version) + " cannot be handled as a " + t.type->row->kind + ": strict decoding error: " + join(issues, ", "));
  }
  if (p.warnings) p.warnings->insert(p.warnings->end(), issues.begin(), issues.end());
  return {};
}

RegistryOptions Rest::options_for(const Target& t, const WriteParams& p, bool create) {
  RegistryOptions options;
  options.dry_run = p.dry_run;
  auto held = std::make_shared<ServiceAddresses::Reservation>();  // lives as long as the attempt to write
  options.finish = [this, &t, &p, create, held](Node& object, const json::Doc* old, const Node* before) -> Result<> {
    AdmissionRequest request{t.type, t.ns, t.name, t.subresource, create, p.caller.user, &object, old, p.warnings, &p.caller};
    // A namespace's own finalizers change through /finalize alone, so that no update removes it before it is empty.
    if (old && t.type->row->plural == "namespaces" && t.subresource != "finalize" && old->path("spec.finalizers")) object["spec"].set("finalizers", old->path("spec.finalizers").to_node());
    if (before) api::forget_what_no_longer_applies(*t.type->row, object, *before);
    if (t.subresource != "status") api::apply_defaults(*t.type->row, object);
    // What admission adds is nobody's, nor the status that an object begins with.
    if (!p.applies && t.type->row->type && (before || is_tracked_from_the_start(t, object))) {
      Node* begun = create && t.type->object.has_status ? object.find("status") : nullptr;
      Node status = begun ? std::move(*begun) : Node();
      if (begun) object.erase("status");
      api::apply::track_update(before ? *before : Node(), object, *t.type->row->type, writer_of(t, p, clock_.now()));
      if (begun) object.set("status", std::move(status));
    }
    TRY_OK(admission_.admit(request));
    if (t.type->row->rules.settle) t.type->row->rules.settle(object);
    if (t.type->row->rules.warn && p.warnings) t.type->row->rules.warn(object, *p.warnings);
    bool status = t.subresource == "status";
    std::string name = object.path("metadata.name").str();
    if (is_service(t) && !status) {
      auto got = addresses_.allocate(object, old, t.ns + "/" + name);
      if (!got.ok()) return got.status().is(Reason::Invalid) ? invalid_object(t, name, got.status().details().causes) : got.status();
      *held = std::move(got).value();
    }
    auto causes = api::validate_part(*t.type->row, object, before, t.subresource);
    if (!causes.empty()) return invalid_object(t, name, std::move(causes));
    if (!status) TRY_OK(check_escalation(t, object, old, p));
    return admission_.validate(request);
  };
  options.beside = [this, &t, &p, create](Node& object, const json::Doc* old) -> Result<std::vector<store::Write>> {
    AdmissionRequest request{t.type, t.ns, t.name, t.subresource, create, p.caller.user, &object, old, nullptr, &p.caller};
    return admission_.charge(request);
  };
  return options;
}

Result<> Rest::check_escalation(const Target& t, const Node& object, const json::Doc* old, const WriteParams& p) const {
  const authz::User& user = p.caller.user;
  if (t.type->row->group != "rbac.authorization.k8s.io" || std::find(user.groups.begin(), user.groups.end(), "system:masters") != user.groups.end()) return {};
  if (old && authz::only_ownership_changed(object, *old)) return {};
  bool binding = t.type->row->plural.ends_with("bindings");
  RequestInfo may{.is_resource = true, .path = {}, .verb = binding ? "bind" : "escalate", .group = t.type->row->group, .version = "v1",
                  .resource = binding ? (object.path("roleRef.kind").str() == "Role" ? "roles" : "clusterroles") : t.type->row->plural, .subresource = {}, .ns = t.ns,
                  .name = binding ? object.path("roleRef.name").str() : object.path("metadata.name").str()};
  if (authorizer_.allows(user, may)) return {};
  json::Doc role = json::Doc::from(object);
  if (binding) {
    role = admission_.find(t.type->row->group, may.resource, may.resource == "roles" ? t.ns : "", may.name);
    if (!role) return not_found_object(t.type->row->group, may.resource, may.name);
  }
  auto owned = authorizer_.snapshot()->rules_of(user, t.ns);
  std::string why = authz::escalation(user, owned, authz::read_rules(role["rules"]));
  bool gathers = t.type->row->plural == "clusterroles" && (authz::aggregates(object) || (old && authz::aggregates(old->to_node())));
  if (why.empty() && gathers && !authz::uncovered(owned, authz::full_authority()).empty()) why = "must have cluster-admin privileges to use an aggregationRule";
  if (why.empty()) return {};
  return Status(Reason::Forbidden, t.type->qualified() + " " + json::quoted(object.path("metadata.name").str()) + " is forbidden: " + why);
}

async::Task<Result<Answer>> Rest::create(Target t, Node body, WriteParams p) {
  const std::string& group = t.type->row->group;
  CO_TRY_OK(check_field_manager("CreateOptions", p, false));
  if (t.subresource == "binding" || t.type->row->plural == "bindings") co_return co_await bind(std::move(t), std::move(body), std::move(p));
  if (t.subresource == "eviction") co_return co_await evict(std::move(t), std::move(body), std::move(p));
  if (t.subresource == "token") co_return request_token(t, body, p);
  if (group == "authorization.k8s.io" || group == "authentication.k8s.io") co_return review(t, body, p);
  if (!t.subresource.empty()) co_return Status(Reason::MethodNotAllowed, "the server does not allow this method on the requested resource");
  co_return co_await create_object(std::move(t), std::move(body), std::move(p));
}

// The type that is stored, for a form of it that is only served.
Target Rest::stored_form(Target t) const {
  if (const api::Conversion* c = t.type->object.conversion) t.type = types_.find(c->stored_group, c->stored_version, c->plural);
  return t;
}

namespace {

// The answer of a write to what is stored, in the form in which it was asked for.
Result<Answer> answer_as(const ResourceTypePtr& served, Result<Answer> answer) {
  if (!answer.ok() || !served->object.conversion) return answer;
  answer->type = served;
  if (answer->object) answer->object = in_served_form(std::move(answer->object), served->object);
  return answer;
}

}  // namespace

async::Task<Result<Answer>> Rest::create_object(Target t, Node body, WriteParams p) {
  CO_TRY_OK(decode(t, body, p, t.type->row->type));
  if (const api::Conversion* c = t.type->object.conversion) {
    std::vector<Cause> causes;
    if (c->check_new) c->check_new(body, causes);
    if (!causes.empty()) co_return invalid_object(t, body.path("metadata.name").str(), std::move(causes));
    c->to_stored(body);
    p.duplicates.clear();  // told already
    Target stored = stored_form(t);
    co_return answer_as(t.type, co_await create_object(std::move(stored), std::move(body), std::move(p)));
  }
  Node none;
  AdmissionRequest request{t.type, t.ns, body.path("metadata.name").str(), "", true, p.caller.user, &none, nullptr, nullptr, &p.caller};
  CO_TRY_OK(admission_.check_namespace(request));
  RegistryOptions options = options_for(t, p, true);
  options.durability = durability_of(t, body, nullptr);
  // A made-up name may be taken: another one is made up.
  bool made_up = body.path("metadata.name").str().empty();
  Result<store::ObjectPtr> r = internal_error("nothing was tried");
  for (int attempt = 1; attempt <= kMaxGeneratedNames; ++attempt) {
    r = co_await registry_.create(t.type->object, t.ns, body, options);
    if (r.ok() || !made_up || !r.status().is(Reason::AlreadyExists)) break;
  }
  if (!r.ok()) co_return std::move(r).status();
  settle_service(t, (*r)->doc.path("metadata.name").str());
  co_return Answer{t.type, *r, {}, true};
}

namespace {

// The few kinds that a PUT may create (their registry strategies upstream: AllowCreateOnUpdate).
bool may_put_create(const api::KindRow& row) {
  static constexpr std::pair<std::string_view, std::string_view> kKinds[] = {
      {"", "endpoints"}, {"", "events"}, {"", "limitranges"}, {"", "podtemplates"}, {"", "services"}, {"coordination.k8s.io", "leases"}, {"events.k8s.io", "events"}};
  if (row.group == "rbac.authorization.k8s.io") return true;
  return std::any_of(std::begin(kKinds), std::end(kKinds), [&row](const auto& k) { return k.first == row.group && k.second == row.plural; });
}

// The kinds of which an update must name the version that it goes out from (upstream: AllowUnconditionalUpdate is false).
bool needs_version(const api::KindRow& row) {
  static constexpr std::pair<std::string_view, std::string_view> kKinds[] = {
      {"", "serviceaccounts"}, {"coordination.k8s.io", "leases"}, {"node.k8s.io", "runtimeclasses"}, {"policy", "poddisruptionbudgets"}, {"storage.k8s.io", "csidrivers"},
      {"storage.k8s.io", "csinodes"}, {"storage.k8s.io", "csistoragecapacities"}, {"storage.k8s.io", "volumeattachments"}};
  for (std::string_view group : {"admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io"})
    if (row.group == group) return true;
  return row.custom || std::any_of(std::begin(kKinds), std::end(kKinds), [&row](const auto& k) { return k.first == row.group && k.second == row.plural; });
}

// The kinds whose delete is answered with the object (upstream: ReturnDeletedObject); of the others a Status tells.
bool answers_with_deleted(const api::KindRow& row) {
  static constexpr std::string_view kCore[] = {"persistentvolumeclaims", "persistentvolumes", "pods", "podtemplates", "resourcequotas", "serviceaccounts", "services"};
  if (row.group == "resource.k8s.io") return true;
  if (row.group == "storage.k8s.io") return row.plural != "csistoragecapacities";
  return row.group.empty() && std::find(std::begin(kCore), std::end(kCore), row.plural) != std::end(kCore);
}

}  // namespace

async::Task<Result<Answer>> Rest::update_or_create(Target t, Node body, WriteParams p) {
  Node object = body;
  if (t.type->object.conversion) t.type->object.conversion->to_stored(object);
  const std::string& version = body.path("metadata.resourceVersion").str();
  bool lacks_version = version == "0" || (version.empty() && needs_version(*t.type->row));
  auto updated = answer_as(t.type, co_await change(stored_form(t), p, [&object, &t, lacks_version](Node) -> Result<Node> {
    if (lacks_version) return invalid_object(t, t.name, {{"FieldValueInvalid", "Invalid value: 0: must be specified for an update", "metadata.resourceVersion"}}, t.type->row->plural);
    return object;
  }, writes_pod_part(t.subresource)));
  if (updated.ok() || !updated.status().is(Reason::NotFound) || !may_put_create(*t.type->row) || !t.subresource.empty()) co_return std::move(updated);
  const auto& row = *t.type->row;
  if (const std::string& uid = body.path("metadata.uid").str(); !uid.empty()) co_return conflict_object(row.group, row.plural, t.name, "Precondition failed: UID in precondition: " + uid + ", UID in object meta: ");
  CO_TRY_OK(may_create(t, p));
  body["metadata"].erase("resourceVersion");
  p.duplicates.clear();  // told already
  co_return co_await create_object(std::move(t), std::move(body), std::move(p));
}

async::Task<Result<Answer>> Rest::change(Target t, WriteParams p, std::function<Result<Node>(Node current)> make, bool from_current) {
  RegistryOptions options = options_for(t, p, false);
  Registry::Change change = [&t, make = std::move(make), from_current](const store::Object& current) -> Result<Node> {
    if (!from_current) return make({});
    Node node = Node::obj({{"kind", t.type->row->kind}, {"apiVersion", api_version(t.type->object)}}), stored = current.doc.to_node();
    for (auto& m : stored.members()) node.members().push_back(std::move(m));
    node["metadata"].set("resourceVersion", std::to_string(current.revision));
    if (!writes_pod_part(t.subresource)) return make(std::move(node));
    Node before = node;
    TRY(Node wanted, make(std::move(node)));
    return with_pod_part(std::move(before), wanted, t.subresource);
  };
  options.durability = store::Durability::Durable;
  if (t.type->row->plural == "events" || (t.type->row->plural == "leases" && t.ns == "kube-node-lease")) options.durability = store::Durability::Volatile;
  std::string subresource = t.subresource == "status" || t.subresource == "approval" ? "status" : "";  // approvals are conditions
  auto r = co_await registry_.update(t.type->object, t.ns, t.name, subresource, std::move(change), std::move(options));
  settle_service(t, t.name);
  if (!r.ok()) co_return std::move(r).status();
  co_return Answer{t.type, *r, {}};
}

// What is stored now decides, not what was written: another writer may have come between.
void Rest::settle_service(const Target& t, const std::string& name) {
  if (written) written(t);
  if (!is_service(t)) return;
  auto now = registry_.get(t.type->object, t.ns, name);
  addresses_.settle(t.ns + "/" + name, now.ok() ? &(*now)->doc : nullptr);
}

async::Task<Result<Answer>> Rest::update(Target t, Node body, WriteParams p) {
  CO_TRY_OK(check_field_manager("UpdateOptions", p, false));
  if (!body.is_object()) co_return bad_request("the body is not a JSON object");
  if (t.subresource != "scale") CO_TRY_OK(decode(t, body, p, t.type->row->type));
  if (body.path("metadata.name").str().empty()) co_return bad_request("the name of the object (" + t.name + " based on URL) was undeterminable: name must be provided");
  if (body.path("metadata.name").str() != t.name) co_return bad_request("the name of the object (" + body.path("metadata.name").str() + ") does not match the name on the URL (" + t.name + ")");
  if (t.subresource == "scale") {
    auto r = co_await change(t, p, [this, &t, &body](Node current) -> Result<Node> {
      TRY_OK(apply_scale(t, current, body));
      current["metadata"].erase("resourceVersion");
      return current;
    });
    if (!r.ok()) co_return std::move(r).status();
    co_return Answer{t.type, nullptr, scale_of(t, *r->object)};
  }
  if (t.subresource == "finalize") {
    co_return co_await change(t, p, [&body](Node current) -> Result<Node> {
      current["spec"].set("finalizers", body.get("spec").get("finalizers").exists() ? body.get("spec").get("finalizers") : Node::array());
      if (current.get("spec").get("finalizers").empty()) current["spec"].erase("finalizers");
      current["metadata"].erase("resourceVersion");
      return current;
    });
  }
  co_return co_await update_or_create(std::move(t), std::move(body), std::move(p));
}

async::Task<Result<Answer>> Rest::patch(Target t, machinery::PatchType type, Node patch, WriteParams p) {
  CO_TRY_OK(check_field_manager("PatchOptions", p, type == machinery::PatchType::Apply));
  if (type == machinery::PatchType::Apply) co_return co_await apply(std::move(t), std::move(patch), std::move(p));
  if (type == machinery::PatchType::StrategicMerge && t.type->row->custom)
    co_return Status(Reason::UnsupportedMediaType, "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml");
  if (p.force_given) co_return field_manager_error("PatchOptions", {"FieldValueForbidden", "Forbidden: may not be specified for non-apply patch", "force"});
  bool scale = t.subresource == "scale";
  const api::Conversion* conversion = t.type->object.conversion;
  auto r = answer_as(t.type, co_await change(stored_form(t), p, [this, &t, type, &patch, &p, scale, conversion](Node current) -> Result<Node> {
    if (conversion) {
      conversion->from_stored(current);
      current.set("apiVersion", api_version(t.type->object));
    }
    Node whole = scale ? current : Node();
    std::string shown = current.path("metadata.resourceVersion").str();
    if (scale) {
      auto object = registry_.get(t.type->object, t.ns, t.name);
      if (!object.ok()) return object.status();
      current = scale_of(t, **object).to_node();
    }
    Result<Node> made = Node();
    if (type == machinery::PatchType::Json) made = api::patch::apply_json_patch(std::move(current), patch);
    else if (type == machinery::PatchType::Merge) made = api::patch::apply_merge_patch(std::move(current), patch);
    else made = api::apply_strategic_merge(std::move(current), patch, scale ? nullptr : t.type->row->type);
    TRY(Node wanted, std::move(made));
    if (scale) {
      TRY_OK(apply_scale(t, whole, wanted));
      wanted = std::move(whole);
    } else {
      TRY_OK(decode(t, wanted, p, t.type->row->type));
    }
    if (wanted.path("metadata.resourceVersion").str() == shown) wanted["metadata"].erase("resourceVersion");
    if (conversion) conversion->to_stored(wanted);
    return wanted;
  }));
  if (!r.ok()) co_return std::move(r).status();
  if (scale) co_return Answer{t.type, nullptr, scale_of(t, *r->object)};
  co_return std::move(r);
}

async::Task<Result<Answer>> Rest::remove(Target t, DeleteRequest request, WriteParams p) {
  auto current = registry_.get(t.type->object, t.ns, t.name);
  if (!current.ok()) co_return current.status();
  if (t.type->row->plural == "namespaces" && (t.name == "default" || t.name == "kube-system" || t.name == "kube-public"))
    co_return Status(Reason::Forbidden, "namespaces " + json::quoted(t.name) + " is forbidden: this namespace may not be deleted").set_details({.name = t.name, .kind = "namespaces"});
  if (std::string finalizer = t.type->row->rules.finalizer; !finalizer.empty() && !p.dry_run && !(*current)->doc.path("metadata.deletionTimestamp")) {
    WriteParams own = p;
    own.applies = true;  // nobody's
    auto held = co_await change(t, own, [finalizer](Node o) -> Result<Node> {
      Node& list = o["metadata"]["finalizers"];
      if (std::none_of(list.items().begin(), list.items().end(), [&finalizer](const Node& f) { return f.str() == finalizer; })) list.append(finalizer);
      o["metadata"].erase("resourceVersion");
      return o;
    });
    if (!held.ok()) co_return std::move(held).status();
    current = registry_.get(t.type->object, t.ns, t.name);
    if (!current.ok()) co_return current.status();
  }
  RegistryOptions options;
  options.dry_run = p.dry_run;
  int64_t grace = 0;
  if (ends_gracefully(t.type, **current)) grace = (*current)->doc.path("spec.terminationGracePeriodSeconds").int_or(30);
  else request.grace_seconds.reset();
  bool told_to_follow = request.dependents_follow;
  auto r = co_await registry_.remove(t.type->object, t.ns, t.name, std::move(request), grace, std::move(options));
  if (!r.ok()) co_return std::move(r).status();
  settle_service(t, t.name);
  // Pods and objects that wait are answered as they are, everything else with a Status, as upstream does.
  if (!r->removed || answers_with_deleted(*t.type->row)) {
    Answer answer{t.type, in_served_form(r->object, t.type->object), {}};
    answer.accepted = !r->removed && told_to_follow;
    co_return answer;
  }
  Answer answer{t.type, nullptr, {}};
  (void)success_status(t, t.name, r->object->doc.path("metadata.uid").str(), answer.document);
  co_return answer;
}

async::Task<Result<Answer>> Rest::remove_collection(Target t, ListParams list_params, DeleteRequest request, WriteParams p) {
  CO_TRY(Page page, list(t, list_params));
  std::string items;
  for (const auto& o : page.items) {
    Target one = t;
    one.name = o->doc.path("metadata.name").str();
    one.ns = o->doc.path("metadata.namespace").str();
    auto r = co_await remove(one, request, p);
    if (!r.ok() && !r.status().is(Reason::NotFound)) co_return std::move(r).status();
    items += (items.empty() ? "" : ",") + served(o->doc, o->revision, t.type->object);
  }
  std::string text = "{\"kind\":" + json::quoted(t.type->row->list_kind()) + ",\"apiVersion\":" + json::quoted(api_version(t.type->object)) +
                     ",\"metadata\":{\"resourceVersion\":\"" + std::to_string(page.revision) + "\"},\"items\":[" + items + "]}";
  co_return Answer{t.type, nullptr, json::Doc::from_canonical(std::move(text))};
}

}  // namespace k8lite::apiserver
