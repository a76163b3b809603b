// What holds for every object whatever its kind: names, uid, creationTimestamp, generation, status isolation, preconditions, graceful
// deletion with finalizers. Pure: the registry reads, calls these, writes. (Kubernetes API conventions, "Metadata" and "Concurrency
// control"; apimachinery ObjectMeta.) resourceVersion is never stored: served() puts it in.
#pragma once
#include <optional>
#include <string>

#include "api/convert.h"
#include "api/kinds.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"

namespace k8lite::apiserver {

// The part of a kind that these rules need.
struct ObjectKind {
  std::string group, version, kind, resource;
  bool namespaced = true;
  bool has_status = false;       // status is written only through /status
  bool born_with_status = false; // and at creation
  bool counts_generation = true;  // a change of spec bumps metadata.generation
  bool name_is_label = false;     // names are DNS labels (services, namespaces), else subdomains
  bool name_is_path_segment = false;  // RBAC kinds: any text that can stand in a path
  api::KindPtr custom;                // of a custom resource: everything but metadata and status is its spec
  const api::Conversion* conversion = nullptr;  // of a form that is served, not stored
  int64_t refresh_until = 0;          // objects of it up to this revision are brought up to its schema when they are read
};

// Does an object want the same of the world as another: is its spec (of a custom resource: all but metadata and status) the same?
bool same_wish(const json::Node& a, const json::Node& b, const ObjectKind& kind);
bool has_wish(const json::Node& object, const ObjectKind& kind);

struct CreateContext {
  std::string ns;      // of the request; "" for cluster scope
  Instant now;
  std::string uid;     // for the new object
  std::string suffix;  // appended to generateName
};

// Makes a decoded body ready to be stored, or says why it cannot be (Invalid with causes, BadRequest).
Result<> prepare_create(json::Node& object, const ObjectKind& kind, const CreateContext& context);

// Merges the server's fields of `old` into the new state. `subresource` is "" or "status". Conflict when the body's
// resourceVersion or uid is another one than the stored object's; `old_revision` is its revision. `before`: `old` as a tree, from who has
// it already.
Result<> prepare_update(json::Node& object, const json::Doc& old, int64_t old_revision, const ObjectKind& kind, std::string_view subresource,
                        const json::Node* before = nullptr);

struct DeleteRequest {
  std::optional<int64_t> grace_seconds;
  std::string propagation;            // "", Background, Foreground, Orphan
  std::string uid, resource_version;  // preconditions
  bool dependents_follow = false;     // orphanDependents=false was said
};
struct DeletePlan {
  enum class Step { Remove, Update, Nothing } step;
  json::Node object;  // Update: the object with deletionTimestamp (and finalizers) set
};
// `default_grace`: seconds an object of this kind gets when the request names none (pods: spec.terminationGracePeriodSeconds, else 0).
Result<DeletePlan> plan_delete(const json::Doc& old, int64_t old_revision, const ObjectKind& kind, const DeleteRequest& request,
                               int64_t default_grace, Instant now);

// After an update: is this object, being deleted, without finalizers and without grace left, to be removed instead?
bool is_finished(const json::Node& object, bool custom = false);

// The bytes a client gets: apiVersion and kind in front, metadata.resourceVersion put in.
std::string served(const json::Doc& doc, int64_t revision, const ObjectKind& kind);
void append_served(std::string& out, const json::Doc& doc, int64_t revision, const ObjectKind& kind);
// The same without managedFields, for readers in process: an update that does not send them keeps them.
std::string served_lean(const json::Doc& doc, int64_t revision, const ObjectKind& kind);

std::string api_version(const ObjectKind& kind);  // "v1", "apps/v1"

}  // namespace k8lite::apiserver
