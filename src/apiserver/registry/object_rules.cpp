#include "apiserver/registry/object_rules.h"

#include <charconv>

#include "api/rules/rules.h"
#include "base/strings.h"

namespace k8lite::apiserver {
namespace {

using json::Node;

constexpr size_t kMaxGeneratedPrefix = 58;  // leaves room for the five characters of the suffix in a label

Status invalid(const ObjectKind& kind, const std::string& name, Cause cause) {
  std::string qualified = kind.kind + (kind.group.empty() ? "" : "." + kind.group);
  Status s(Reason::Invalid, qualified + " \"" + name + "\" is invalid: " + cause.field + ": " + cause.message);
  StatusDetails d;
  d.name = name;
  d.group = kind.group;
  d.kind = kind.kind;
  d.causes.push_back(std::move(cause));
  s.set_details(std::move(d));
  return s;
}

// What could not even be stored under its name; api::validate() says what else is wrong with it and with the rest of the metadata.
Result<> check_name(const ObjectKind& kind, const std::string& name) {
  if (name.empty()) return invalid(kind, name, {"FieldValueRequired", "Required value: name or generateName is required", "metadata.name"});
  if (name != "." && name != ".." && name.find_first_of("/%") == name.npos) return {};
  std::vector<std::string> why = api::name_mistakes(name, kind.name_is_path_segment, kind.name_is_label);
  return invalid(kind, name, {"FieldValueInvalid", "Invalid value: " + json::quoted(name) + ": " + why.front(), "metadata.name"});
}

// Fields a client may send but only the server decides.
void drop_server_fields(Node& metadata) {
  for (auto* f : {"resourceVersion", "selfLink", "uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds"})
    metadata.erase(f);
}

void keep(Node& metadata, json::Value old, std::string_view field) {
  if (old[field]) metadata.set(field, old[field].to_node());
  else metadata.erase(field);
}

Result<> check_preconditions(json::Value metadata, int64_t revision, const ObjectKind& kind, const std::string& uid, const std::string& rv) {
  std::string name = metadata["name"].str();
  if (!uid.empty() && !metadata["uid"].equals(uid))
    return conflict_object(kind.group, kind.resource, name, "Precondition failed: UID in precondition: " + uid + ", UID in object meta: " + metadata["uid"].str());
  if (!rv.empty() && rv != std::to_string(revision))
    return conflict_object(kind.group, kind.resource, name);
  return {};
}

// Those of a delete name the kind, not the resource.
Result<> check_delete_preconditions(json::Value metadata, int64_t revision, const ObjectKind& kind, const DeleteRequest& request) {
  std::string name = metadata["name"].str();
  if (!request.uid.empty() && !metadata["uid"].equals(request.uid))
    return conflict_object(kind.group, kind.kind, name, "the UID in the precondition (" + request.uid + ") does not match the UID in record (" + metadata["uid"].str() + "). The object might have been deleted and then recreated");
  if (!request.resource_version.empty() && request.resource_version != std::to_string(revision))
    return conflict_object(kind.group, kind.kind, name, "the ResourceVersion in the precondition (" + request.resource_version + ") does not match the ResourceVersion in record (" + std::to_string(revision) + "). The object might have been modified");
  return {};
}

}  // namespace

bool has_wish(const Node& object, const ObjectKind& kind) { return kind.custom || object.find("spec"); }

bool same_wish(const Node& a, const Node& b, const ObjectKind& kind) {
  if (!kind.custom) return a.get("spec") == b.get("spec");
  auto bare = [&kind](Node n) {
    for (const char* f : {"apiVersion", "kind", "metadata"}) n.erase(f);
    if (kind.has_status) n.erase("status");
    return n;
  };
  return bare(a) == bare(b);
}

std::string api_version(const ObjectKind& kind) { return kind.group.empty() ? kind.version : kind.group + "/" + kind.version; }

Result<> prepare_create(Node& object, const ObjectKind& kind, const CreateContext& context) {
  if (!object.is_object()) return bad_request("the body is not a JSON object");
  Node& metadata = object["metadata"];
  if (metadata.is_null()) metadata = Node::object();
  if (!metadata.is_object()) return bad_request("metadata: not an object");
  if (!metadata.get("resourceVersion").str().empty()) return bad_request("resourceVersion should not be set on objects to be created");
  drop_server_fields(metadata);

  std::string body_ns = metadata.get("namespace").str();
  if (kind.namespaced) {
    if (!body_ns.empty() && body_ns != context.ns) return bad_request("the namespace of the provided object does not match the namespace sent on the request");
    metadata.set("namespace", context.ns);
  } else {
    if (!body_ns.empty()) return bad_request(kind.resource + " are not namespaced: metadata.namespace must be empty");
    metadata.erase("namespace");
  }
  if (metadata.get("name").str().empty() && !metadata.get("generateName").str().empty())
    metadata.set("name", metadata.get("generateName").str().substr(0, kMaxGeneratedPrefix) + context.suffix);
  TRY_OK(check_name(kind, metadata.get("name").str()));
  metadata.set("uid", context.uid);
  metadata.set("creationTimestamp", rfc3339(context.now));
  if (kind.counts_generation && has_wish(object, kind)) metadata.set("generation", 1);
  if (kind.has_status && !kind.born_with_status) object.erase("status");
  object.erase("apiVersion");
  object.erase("kind");
  return {};
}

Result<> prepare_update(Node& object, const json::Doc& old, int64_t old_revision, const ObjectKind& kind, std::string_view subresource, const Node* before) {
  if (!object.is_object()) return bad_request("the body is not a JSON object");
  json::Value old_meta = old["metadata"];
  // First of all: taking members out or putting some in moves the others, and `metadata` with them.
  object.erase("apiVersion");
  object.erase("kind");
  Node& metadata = object["metadata"];
  if (!metadata.is_object()) return bad_request("metadata: not an object");
  std::string name = old_meta["name"].str();
  if (metadata.get("name").str() != name)
    return bad_request("the name of the object (" + metadata.get("name").str() + ") does not match the name on the URL (" + name + ")");
  if (std::string ns = metadata.get("namespace").str(); !ns.empty() && !old_meta["namespace"].equals(ns))
    return bad_request("the namespace of the object (" + ns + ") does not match the namespace on the request (" + old_meta["namespace"].str() + ")");
  TRY_OK(check_preconditions(old_meta, old_revision, kind, metadata.get("uid").str(), metadata.get("resourceVersion").str()));

  if (subresource == "status") {
    // Only status and, of metadata, managedFields come from the body.
    Node status = object.get("status").exists() ? object.get("status") : Node(), managed = metadata.get("managedFields");
    object = before ? *before : old.to_node();
    if (managed.exists()) object["metadata"].set("managedFields", std::move(managed));
    if (status.is_null()) object.erase("status");
    else object.set("status", std::move(status));
    return {};
  }
  metadata.erase("resourceVersion");
  metadata.erase("selfLink");
  for (auto* f : {"namespace", "uid", "creationTimestamp", "generateName", "generation", "deletionTimestamp", "deletionGracePeriodSeconds"})
    keep(metadata, old_meta, f);
  if (old_meta["deletionTimestamp"])
    for (const auto& f : metadata.get("finalizers").items()) {
      bool had = false;
      for (json::Value o : old_meta["finalizers"].items()) had |= o.equals(f.str());
      if (!had)
        return invalid(kind, name, {"FieldValueForbidden", "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{" + json::quoted(f.str()) + "}", "metadata.finalizers"});
    }
  if (kind.counts_generation && has_wish(object, kind) && !same_wish(object, before ? *before : old.to_node(), kind))
    metadata.set("generation", old_meta["generation"].int_or(0) + 1);
  if (kind.has_status && subresource != "binding") {  // a binding also sets the condition PodScheduled, in the same write
    if (old["status"]) object.set("status", old["status"].to_node());
    else object.erase("status");
  }
  return {};
}

Result<DeletePlan> plan_delete(const json::Doc& old, int64_t old_revision, const ObjectKind& kind, const DeleteRequest& request,
                               int64_t default_grace, Instant now) {
  json::Value meta = old["metadata"];
  if (!request.propagation.empty() && request.propagation != "Background" && request.propagation != "Foreground" && request.propagation != "Orphan")
    return bad_request("propagationPolicy: invalid value \"" + request.propagation + "\": must be Background, Foreground or Orphan");
  TRY_OK(check_delete_preconditions(meta, old_revision, kind, request));
  // Most of what is deleted has nothing to wait for.
  bool waits = request.propagation == "Foreground" || request.propagation == "Orphan" || meta["finalizers"] || meta["deletionTimestamp"] || old.path("spec.finalizers");
  if (!waits && request.grace_seconds.value_or(default_grace) == 0) return DeletePlan{DeletePlan::Step::Remove, {}};

  Node object = old.to_node();
  Node& metadata = object["metadata"];
  std::vector<Node> finalizers = metadata.get("finalizers").items();
  auto add = [&finalizers](const char* name) {
    for (const auto& f : finalizers)
      if (f.str() == name) return;
    finalizers.emplace_back(name);
  };
  std::erase_if(finalizers, [&request](const Node& f) {
    return !request.propagation.empty() && (f.str() == "foregroundDeletion" || f.str() == "orphan");
  });
  if (request.propagation == "Foreground") add("foregroundDeletion");
  if (request.propagation == "Orphan") add("orphan");

  int64_t grace = request.grace_seconds.value_or(default_grace);
  if (grace < 0) grace = 1;  // as upstream reads a negative one
  bool deleting = static_cast<bool>(meta["deletionTimestamp"]);
  if (deleting) grace = std::min(grace, meta["deletionGracePeriodSeconds"].int_or(0));  // it can only get shorter
  bool content_remains = !object.get("spec").get("finalizers").empty() && kind.kind == "Namespace";
  if (finalizers.empty() && grace == 0 && !content_remains) return DeletePlan{DeletePlan::Step::Remove, {}};

  if (finalizers.empty()) metadata.erase("finalizers");
  else metadata["finalizers"] = Node::array(), metadata["finalizers"].items() = finalizers;
  if (!deleting || grace < meta["deletionGracePeriodSeconds"].int_or(0)) {
    metadata.set("deletionTimestamp", rfc3339(now + seconds(grace)));
    metadata.set("deletionGracePeriodSeconds", grace);
    if (!deleting && kind.counts_generation && metadata.get("generation").exists())
      metadata.set("generation", metadata.get("generation").int_or(0) + 1);
  }
  if (content_remains) object["status"].set("phase", "Terminating");
  if (object == old.to_node()) return DeletePlan{DeletePlan::Step::Nothing, std::move(object)};
  return DeletePlan{DeletePlan::Step::Update, std::move(object)};
}

bool is_finished(const Node& object, bool custom) {
  const Node& m = object.get("metadata");
  // A namespace's own finalizers stand in its spec; what a custom resource has there is its own business.
  return m.get("deletionTimestamp").exists() && m.get("finalizers").empty() && m.get("deletionGracePeriodSeconds").int_or(0) == 0 &&
         (custom || object.get("spec").get("finalizers").empty());
}

namespace {

// As its schema has it now; of built-in kinds, what is stored.
json::Doc refreshed(const json::Doc& stored, int64_t revision, const ObjectKind& kind) {
  if (!kind.custom || revision > kind.refresh_until) return stored;
  Node n = stored.to_node();
  return api::refresh(*kind.custom, n) ? json::Doc::from(n) : stored;
}

}  // namespace

std::string served_lean(const json::Doc& stored, int64_t revision, const ObjectKind& kind) {
  json::Doc doc = refreshed(stored, revision, kind);
  std::string out = served(doc, revision, kind);
  json::Value metadata = doc["metadata"], managed = metadata["managedFields"];
  if (!managed) return out;
  // What served() puts in stands in front, so places count from the end.
  size_t from_end = static_cast<size_t>(doc.bytes().data() + doc.bytes().size() - (managed.raw().data() + managed.raw().size()));
  constexpr std::string_view kKey = ",\"managedFields\":";
  size_t end = out.size() - from_end, size = kKey.size() + managed.raw().size();
  if (end >= size && std::string_view(out).substr(end - size, kKey.size()) == kKey) out.erase(end - size, size);
  return out;
}

void append_served(std::string& out, const json::Doc& stored, int64_t revision, const ObjectKind& kind) {
  json::Doc doc = refreshed(stored, revision, kind);
  std::string_view bytes = doc.bytes();
  out.append("{\"kind\":\"").append(kind.kind).append("\",\"apiVersion\":\"");
  if (!kind.group.empty()) out.append(kind.group).append("/");
  out.append(kind.version).append("\"");
  std::string_view metadata = doc["metadata"].raw();
  if (metadata.size() < 2) {
    out += '}';
    return;
  }
  size_t inside = static_cast<size_t>(metadata.data() - bytes.data()) + 1;
  if (revision == 0) {  // of a dry run: it has none
    out.append(",").append(bytes.substr(1));
    return;
  }
  char number[24];
  size_t digits = static_cast<size_t>(std::to_chars(number, number + sizeof number, revision).ptr - number);
  out.append(",").append(bytes.substr(1, inside - 1)).append("\"resourceVersion\":\"").append(number, digits).append("\"");
  if (metadata.size() > 2) out += ',';
  out.append(bytes.substr(inside));
}

std::string served(const json::Doc& doc, int64_t revision, const ObjectKind& kind) {
  std::string out;
  out.reserve(doc.bytes().size() + 128);
  append_served(out, doc, revision, kind);
  return out;
}

}  // namespace k8lite::apiserver
