// What is known of every type's fields, as data: read once from the compact text files of embedded/schema and walked by one set of
// functions (decode and prune, strict checks, defaults, strategic merge, OpenAPI, explain). Pure; immutable after loading.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace k8lite::api::schema {

enum class Base : unsigned char {
  String, Bool, Int32, Int64, Double, Bytes,  // scalars (Bytes: base64 text)
  Quantity, IntOrString, Time, MicroTime,     // scalars with a text form of their own
  Object,  // `type` names its fields
  Raw,     // any JSON (RawExtension, JSONSchemaProps' JSON, managedFields)
};
enum class Shape : unsigned char { Single, List, Map };  // Map: string keys
// How a Raw field looks on the wire, where it is more than its JSON bytes: apiextensions' JSONSchemaPropsOrArray and so on.
enum class RawForm : unsigned char { Json, OrArray, OrBool, OrStrings };
enum class ListType : unsigned char { Atomic, Set, Map };

struct Type;

struct Field {
  std::string_view name;
  uint16_t proto = 0;          // wire number; 0: none
  Base base = Base::String;
  Shape shape = Shape::Single;
  const Type* type = nullptr;  // Base::Object
  bool required = false;
  RawForm raw_form = RawForm::Json;
  bool granular = true;        // false: a struct or map replaced as a whole (x-kubernetes-map-type atomic)
  bool says_granular = false;  // although its type is atomic
  bool zero_is_unset = false;  // on the wire, where Go writes plain values even when nobody set them
  ListType list_type = ListType::Atomic;
  std::vector<std::string_view> list_map_keys;
  std::string_view merge_key;         // strategic merge patch
  bool merge = false;                 // patchStrategy contains merge
  bool retain_keys = false;           // patchStrategy contains retainKeys
  bool replace = false;               // patchStrategy contains replace
  std::string_view default_json;      // "" : none
  std::string_view enum_values;       // "A|B|C", sorted; a leading | allows the empty text; "" : any
};

// Fields that stand inline in JSON but form a message of their own on the wire.
struct Inlined {
  uint16_t proto = 0;
  uint16_t within = 0;  // number of a message inside that one which holds them, for structs inlined into inlined structs; 0: none
  std::vector<std::pair<std::string_view, uint16_t>> fields;  // name, number inside
};

struct Type {
  std::string_view name;         // "apps/v1.Deployment", "core/v1.PodSpec", "meta/v1.ObjectMeta"
  std::string_view gvk;          // "apps/v1/Deployment" where the type is one kind's
  bool atomic = false;           // replaced as a whole wherever it stands
  std::vector<Field> fields;     // sorted by name
  std::vector<Inlined> inlined;
  std::vector<const Field*> by_number;  // those with a wire number of their own, sorted by it
  std::shared_ptr<const Field> rest;  // what fields not named here are; null: they are unknown
  std::vector<std::shared_ptr<const std::string>> texts;  // that the fields of a type made at run time borrow
  const Field* find(std::string_view name) const;
  void sort();  // the fields
};

const Type* find_type(std::string_view name);
// By group, version and kind: ("apps", "v1", "Deployment"); options and other common kinds are found in any group.
const Type* find_type_of_kind(std::string_view group, std::string_view version, std::string_view kind);
// The OpenAPI name: "io.k8s.api.apps.v1.Deployment".
std::string openapi_name(std::string_view type_name);
std::vector<const Type*> all_types();

// Brings a body into shape: drops unknown fields (each reported as `unknown field "spec.replica"` in `issues`, when given), drops nulls,
// and refuses ill-typed values: BadRequest worded as Kubernetes does (`Deployment in version "v1" cannot be handled as a Deployment:
// json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32`).
Result<> decode(json::Node& object, const Type& type, std::vector<std::string>* issues = nullptr);

// Puts in the constant defaults of the schema, at every depth, where a field is absent.
void apply_defaults(json::Node& object, const Type& type);

// Required fields, at every depth. Paths as Kubernetes prints them (spec.containers[0].name).
void check_required(const json::Node& object, const Type& type, std::vector<Cause>& causes);

}  // namespace k8lite::api::schema
