// PATCH with application/apply-patch+yaml: server-side apply (KEP-555) of a configuration to an object or to its status or scale, with
// the object made when it is not there.
#include "apiserver/field_manager.h"
#include "base/strings.h"

namespace k8lite::apiserver {
namespace {

using json::Node;

constexpr int kMaxAttempts = 3;  // an object that comes and goes meanwhile

std::string group_version_kind(const std::string& api_version, const std::string& kind) {
  return (api_version.find('/') == api_version.npos ? "/" + api_version : api_version) + ", Kind=" + kind;
}

// What an apply to this subresource may say: nothing but status there, no status elsewhere.
void keep_own_part(const Target& t, Node& config) {
  if (t.subresource != "status") {
    if (t.type->row->status) config.erase("status");
    return;
  }
  Node metadata = Node::object();
  for (const char* f : {"name", "namespace", "uid", "resourceVersion"})
    if (config.get("metadata").get(f).exists()) metadata.set(f, config.get("metadata").get(f));
  std::erase_if(config.members(), [](const Node::Member& m) { return m.first != "apiVersion" && m.first != "kind" && m.first != "status"; });
  config.set("metadata", std::move(metadata));
}

Status cannot_be_typed(const Target& t, const std::vector<std::string>& mistakes) {
  std::string text = "failed to create typed patch object (" + t.ns + "/" + t.name + "; " + group_version_kind(api_version(t.type->object), t.type->row->kind) + "): ";
  if (mistakes.size() == 1) return Status(Reason::Unknown, text + mistakes[0]);
  text += "errors:";
  for (const auto& m : mistakes) text += "\n  " + m;
  return Status(Reason::Unknown, text);
}

}  // namespace

Status field_manager_error(const std::string& options, Cause cause) {
  Status s(Reason::Invalid, options + ".meta.k8s.io \"\" is invalid: " + cause.field + ": " + cause.message);
  StatusDetails d;
  d.group = "meta.k8s.io";
  d.kind = options;
  d.causes.push_back(std::move(cause));
  return s.set_details(std::move(d));
}

Result<> check_field_manager(const std::string& options, const WriteParams& p, bool required) {
  const std::string& name = p.field_manager;
  if (required && name.empty()) return field_manager_error(options, {"FieldValueRequired", "Required value: is required for apply patch", "fieldManager"});
  if (name.size() > api::apply::kMaxManagerName)
    return field_manager_error(options, {"FieldValueTooLong", "Too long: may not be more than " + std::to_string(api::apply::kMaxManagerName) + " bytes", "fieldManager"});
  for (unsigned char c : name)
    if (c < 0x20 || c == 0x7f) return field_manager_error(options, {"FieldValueInvalid", "Invalid value: " + json::quoted(name) + ": should only contain printable characters", "fieldManager"});
  return {};
}

api::apply::Writer writer_of(const Target& t, const WriteParams& p, Instant now) {
  std::string name = p.field_manager.empty() ? api::apply::manager_of_user_agent(p.user_agent) : p.field_manager;
  return {name.empty() ? "unknown" : name, api_version(t.type->object), t.subresource, now};
}

// Checks the body and brings it into the form in which it is applied; of a Scale, to the object it scales.
Result<Node> Rest::read_config(const Target& t, Node config, const WriteParams& p) const {
  if (!config.is_object()) return bad_request("error decoding YAML: an object is wanted");
  bool scale = t.subresource == "scale";
  std::string version = scale ? "autoscaling/v1" : api_version(t.type->object), kind = scale ? "Scale" : t.type->row->kind;
  if (config.get("apiVersion").str() != version || config.get("kind").str() != kind)
    return bad_request("invalid object type: " + group_version_kind(config.get("apiVersion").str(), config.get("kind").str()));
  const api::schema::Type* type = scale ? api::schema::find_type("autoscaling/v1.Scale") : t.type->row->type;
  if (!type) return Status(Reason::MethodNotAllowed, "the server does not allow this method on the requested resource");
  Node& metadata = config["metadata"];
  if (metadata.is_null()) metadata = Node::object();
  if (metadata.get("managedFields").exists() && !metadata.get("managedFields").is_null()) return bad_request("metadata.managedFields must be nil");
  if (auto mistakes = api::apply::mistakes_of(config, *type); !mistakes.empty()) return cannot_be_typed(t, mistakes);
  if (!p.duplicates.empty() && p.field_validation == "Strict") return bad_request("error strict decoding YAML: duplicate field " + json::quoted(p.duplicates[0]));
  if (p.warnings && p.field_validation == "Warn")
    for (const auto& d : p.duplicates) p.warnings->push_back("duplicate field \"" + d + "\"");
  if (metadata.get("name").str().empty()) metadata.set("name", t.name);
  if (metadata.get("name").str() != t.name) return bad_request("the name of the object (" + metadata.get("name").str() + ") does not match the name on the URL (" + t.name + ")");
  if (const std::string& ns = metadata.get("namespace").str(); !ns.empty() && ns != t.ns)
    return bad_request("the namespace of the provided object does not match the namespace sent on the request");
  if (t.type->row->namespaced) metadata.set("namespace", t.ns);
  if (scale) {
    Node parent = Node::obj({{"apiVersion", api_version(t.type->object)}, {"kind", t.type->row->kind}, {"metadata", metadata}});
    if (const Node& replicas = config.get("spec").get("replicas"); replicas.is_integer()) parent["spec"].set("replicas", replicas);
    return parent;
  }
  keep_own_part(t, config);
  return config;
}

Result<Node> Rest::apply_config(const Target& t, const Node& live, const Node& config, const WriteParams& p) const {
  const api::KindRow& row = *t.type->row;
  auto complete = [&t, &row](Node& object) -> Result<> {
    TRY_OK(api::decode(row, object));
    if (t.subresource != "status") api::apply_defaults(row, object);
    return {};
  };
  return api::apply::apply(live, config, *row.type, writer_of(t, p, clock_.now()), p.force, complete);
}

async::Task<Result<Answer>> Rest::apply(Target t, Node body, WriteParams p) {
  CO_TRY(Node config, read_config(t, std::move(body), p));
  p.applies = true;
  if (const api::Conversion* c = t.type->object.conversion) {
    c->to_stored(config);
    Target stored = stored_form(t);
    auto answer = co_await apply(std::move(stored), std::move(config), std::move(p));
    if (!answer.ok()) co_return std::move(answer);
    co_return Answer{t.type, in_served_form(std::move(answer->object), t.type->object), {}, answer->created};
  }
  for (int attempt = 1;; ++attempt) {
    bool there = registry_.get(t.type->object, t.ns, t.name).ok();
    if (!there && t.subresource.empty()) {
      auto made = co_await apply_new(t, config, p);
      if (made.ok() || !made.status().is(Reason::AlreadyExists) || attempt == kMaxAttempts) co_return std::move(made);
      continue;
    }
    auto changed = co_await change(t, p, [this, t, config, p](Node live) -> Result<Node> {
      std::string shown = live.path("metadata.resourceVersion").str();
      TRY(Node wanted, apply_config(t, live, config, p));
      if (wanted.path("metadata.resourceVersion").str() == shown) wanted["metadata"].erase("resourceVersion");
      return wanted;
    });
    bool gone = !changed.ok() && changed.status().is(Reason::NotFound) && there && t.subresource.empty() && attempt < kMaxAttempts;
    if (gone) continue;
    if (!changed.ok()) co_return std::move(changed).status();
    if (t.subresource == "scale") co_return Answer{t.type, nullptr, scale_of(t, *changed->object)};
    co_return std::move(changed);
  }
}

// Who makes an object by a verb that usually changes one needs to be allowed to create it too.
Result<> Rest::may_create(const Target& t, const WriteParams& p) const {
  const auto& row = *t.type->row;
  RequestInfo creates{.is_resource = true, .path = {}, .verb = "create", .group = row.group, .version = row.version, .resource = row.plural, .subresource = {}, .ns = t.ns, .name = t.name};
  if (authorizer_.allows(p.caller.user, creates)) return {};
  return Status(Reason::Forbidden, t.type->qualified() + " " + json::quoted(t.name) + " is forbidden: User " + json::quoted(p.caller.user.name) + " cannot create resource " + json::quoted(row.plural) +
                                       " in API group " + json::quoted(row.group) + (t.ns.empty() ? " at the cluster scope" : " in the namespace " + json::quoted(t.ns)));
}

async::Task<Result<Answer>> Rest::apply_new(Target t, Node config, WriteParams p) {
  const auto& row = *t.type->row;
  if (const std::string& uid = config.path("metadata.uid").str(); !uid.empty())
    co_return conflict_object(row.group, row.plural, t.name, "uid mismatch: the provided object specified uid " + uid + ", and no existing object was found");
  CO_TRY_OK(may_create(t, p));
  config["metadata"].erase("resourceVersion");
  CO_TRY(Node object, apply_config(t, Node::object(), config, p));
  p.duplicates.clear();  // told already
  co_return co_await create_object(std::move(t), std::move(object), std::move(p));
}

}  // namespace k8lite::apiserver
