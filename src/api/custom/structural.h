// The schema of a custom resource's version (spec.versions[].schema.openAPIV3Schema), read once into a tree, and what
// is done to objects with it: taking unknown fields out, filling defaults, validating. Behaviour and wording:
// Kubernetes documentation, "Extend the Kubernetes API with CustomResourceDefinitions", and the JSON schema dialect
// described there. Pure; immutable after compile().
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace re2 {
class RE2;
}

namespace k8lite::api::custom {

struct Schema;
using SchemaPtr = std::shared_ptr<const Schema>;

// What few schemas say, kept apart so that the many others stay small.
struct Limits {
  std::optional<double> minimum, maximum, multiple_of;
  bool exclusive_minimum = false, exclusive_maximum = false;
  std::optional<int64_t> min_length, max_length, min_items, max_items, min_properties, max_properties;
  std::string pattern;
  std::shared_ptr<const re2::RE2> regex;
  std::vector<json::Node> values;  // enum
  std::vector<SchemaPtr> all_of, any_of, one_of;
  SchemaPtr negated;  // not
};

struct Schema {
  std::string type, format;  // type "": not said
  bool nullable = false, preserve_unknown = false, embedded = false, int_or_string = false;
  bool set = false, map = false, atomic_map = false;  // x-kubernetes-list-type, x-kubernetes-map-type
  bool any_additional = false;                        // additionalProperties: true
  bool no_additional = false;                         // additionalProperties: false
  bool defaults_below = false;                        // somewhere in it is a default
  std::vector<std::string> required, list_keys;
  std::vector<std::pair<std::string, SchemaPtr>> properties;  // sorted by name
  SchemaPtr items, additional;                                // additionalProperties: a schema
  std::optional<json::Node> default_value;
  size_t default_bytes = 0;  // of it, with the defaults inside of it
  std::unique_ptr<const Limits> limits;

  const Schema* property(std::string_view name) const;
};

// Reads a schema that has passed the checks of definition_rules.h; of another one it takes what it understands.
SchemaPtr compile(const json::Node& schema);

// Takes out what the schema does not know, in an object (apiVersion, kind and metadata always stay) or in a value of
// `schema`. Each field is reported as `unknown field "spec.replica"`, when wanted.
void prune_object(json::Node& object, const Schema& schema, std::vector<std::string>* issues);
// The metadata of the object and of each embedded one: typed as metav1.ObjectMeta; BadRequest where it cannot be.
Result<> decode_metadata(json::Node& object, const Schema* schema, std::vector<std::string>* issues);

// Puts in defaults where a field is absent, or null without being nullable; other such nulls are taken out.
void fill_defaults(json::Node& object, const Schema& schema);
// How much fill_defaults() would add: a small body of many empty items must not grow without bound.
size_t bytes_of_defaults(const json::Node& object, const Schema& schema);
inline constexpr size_t kMaxDefaults = 8 << 20;

// Everything wrong with an object. `path` "" : a whole object. What is as it was in `old` is not looked at again: an object stored under
// a laxer schema can still be changed elsewhere (KEP-4008).
void validate(const json::Node& value, const Schema& schema, const std::string& path, std::vector<Cause>& causes,
              const json::Node* old = nullptr);

// Duplicate items in sets and maps (x-kubernetes-list-type).
void validate_lists(const json::Node& value, const Schema& schema, const std::string& path, std::vector<Cause>& causes,
                    const json::Node* old = nullptr);

// Does a text have this format (date-time, ipv4, uuid, …)? Formats not known are any text.
bool has_format(std::string_view text, std::string_view format);

}  // namespace k8lite::api::custom
