// The kinds table: one row drives routes, discovery, RBAC names, storage path, OpenAPI, kubectl's columns and short names, and the
// status and scale subresources. Custom resources become rows of the same shape at run time.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/schema/schema.h"
#include "base/clock.h"

namespace k8lite::api {

namespace custom {
struct Version;
}

// A printed column of `kubectl get` (metav1.TableColumnDefinition); priority 1 shows with -o wide only.
struct Column {
  std::string name, type = "string", format, description;
  int priority = 0;
};

// What a kind adds to the generic rules. Any of these may be empty. All pure.
struct Rules {
  // Fills what upstream's defaulting fills and the schema cannot say (strategy of a Deployment, protocol of ports, pull policy from the tag).
  std::function<void(json::Node& object)> defaults;
  // Causes for 422; `old` is null on create. Field paths as Kubernetes prints them.
  std::function<void(const json::Node& object, const json::Node* old, std::vector<Cause>& causes)> validate;
  // What the server itself keeps in an object with every write; no manager owns it.
  std::function<void(json::Node& object)> settle;
  // What the writer should know though the object is accepted; each once.
  std::function<void(const json::Node& object, std::vector<std::string>& warnings)> warn;
  std::string finalizer;  // put onto an object when its deletion begins
  // Cells of the kind's columns for one object.
  std::function<std::vector<json::Node>(json::Value object, Instant now)> cells;
};

struct KindRow {
  std::string group, version, kind, plural, singular;
  std::vector<std::string> short_names, categories;
  bool namespaced = true;
  std::vector<std::string> verbs;   // create delete deletecollection get list patch update watch
  bool status = false;              // has /status
  bool scale = false;               // has /scale
  struct Subresource {
    std::string name, group, version, kind;  // "scale", "autoscaling", "v1", "Scale"; group and version "" : those of the row
    std::vector<std::string> verbs;
  };
  std::vector<Subresource> subresources;  // all of them, status and scale too
  bool counts_generation = false;   // a change of spec bumps metadata.generation
  bool name_is_label = false;       // names are DNS labels
  bool name_is_path_segment = false;  // RBAC kinds
  const schema::Type* type = nullptr;
  std::vector<Column> columns;      // the first is Name; the last usually Age
  Rules rules;
  std::vector<std::string> field_selectors;  // besides metadata.name and metadata.namespace
  std::shared_ptr<const custom::Version> custom;  // of a custom resource; null for built-in kinds
  std::string list_kind() const;                  // "PodList"
};
using KindPtr = std::shared_ptr<const KindRow>;

// The built-in kinds, in discovery order.
const std::vector<KindPtr>& builtin_kinds();
KindPtr find_builtin(std::string_view group, std::string_view version, std::string_view plural);

// The columns and rules of a built-in kind (src/api/columns.cpp, src/api/rules/); Name and Age, no rules, where it has none.
struct Printing {
  std::vector<Column> columns;
  std::function<std::vector<json::Node>(json::Value object, Instant now)> cells;
};
Printing printing_of(std::string_view group, std::string_view plural);
Rules rules_of(std::string_view group, std::string_view plural);

// Brings a body into the shape of its kind: unknown fields are dropped and reported in `issues`, when given; BadRequest for values of a
// wrong type. (Those of custom resources are told by validate().)
Result<> decode(const KindRow& kind, json::Node& object, std::vector<std::string>* issues = nullptr);
// Fills an object that is about to be stored: the kind's defaults, then the schema's.
void apply_defaults(const KindRow& kind, json::Node& object);
// Everything wrong with it, each mistake once; `old` is null on create.
std::vector<Cause> validate(const KindRow& kind, const json::Node& object, const json::Node* old);

// Strategic merge patch (Kubernetes' strategicpatch package): merge keys, $patch: delete|replace|merge, $retainKeys,
// $deleteFromPrimitiveList/x, $setElementOrder/x. `type` null or raw parts: plain merge patch. BadRequest for a malformed patch.
Result<json::Node> apply_strategic_merge(json::Node document, const json::Node& patch, const schema::Type* type);

// What every request for this kind is warned of: that its version is deprecated.
std::vector<std::string> warnings_of(const KindRow& kind);

// What a stored custom resource is when it is read: fields that its definition no longer knows are gone, defaults that came later are there.
// False: it is so already.
bool refresh(const KindRow& kind, json::Node& object);

// Kubernetes' order of version names: v10, v2, v1, v11beta2, v10beta3, v1beta1, v12alpha1, foo1, foo10. True: `a` comes first.
bool version_before(std::string_view a, std::string_view b);

// The OpenAPI v3 document of one group version, and the v2 document of all; both with x-kubernetes-* extensions and paths.
json::Node openapi_v3(std::string_view group, std::string_view version, const std::vector<KindPtr>& kinds);
json::Node openapi_v2(const std::vector<KindPtr>& kinds);
// The v2 document as the protobuf message openapi.v2.Document (OpenAPIv2.proto of gnostic), which kubectl's client-side validation reads.
std::string openapi_v2_protobuf(const json::Node& document);

}  // namespace k8lite::api
