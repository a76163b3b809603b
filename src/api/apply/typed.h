// What server-side apply does to objects of a known type (structured merge and diff, KEP-555): which fields an object sets, what
// differs between two objects, merging a configuration into an object and taking fields out. The type's lists and maps say how
// deep ownership reaches: an atomic list, map or struct is one field, items of a set are owned by value, items of an associative list by
// their keys. Pure.
#pragma once
#include "api/apply/field_set.h"
#include "api/schema/schema.h"

namespace k8lite::api::apply {

// Leaves, items of lists, keys of maps, and structs that are empty. What lies inside an item that stands twice is not told.
FieldSet fields_of(const json::Node& object, const schema::Type& type);

// Every path is in at most one of the three.
struct Changes {
  FieldSet removed, modified, added;
  bool empty() const { return removed.empty() && modified.empty() && added.empty(); }
};
// A struct that Kubernetes' own types always have ("spec", "strategy", "resources" …) counts as there, empty, when it is absent.
Changes compare(const json::Node& before, const json::Node& after, const schema::Type& type);

// `config` wins; lists keep the configuration's order, with items it does not name where they stood. A null in `config` stays a null.
json::Node merge(const json::Node& live, const json::Node& config, const schema::Type& type);

// Without these list items and fields. Containers that get empty go too, but a struct in `kept` stays, empty.
json::Node without(const json::Node& object, const FieldSet& fields, const schema::Type& type, const FieldSet& kept = {});

// With the structs on the way to each member (`spec` for `spec.replicas`), but not map keys or list items.
FieldSet with_structs(const FieldSet& set, const schema::Type& type);

// As the type has it now: what is below a list, map or struct that has become atomic is that one field. (A set written by a version with
// another schema.)
FieldSet fitted(const FieldSet& set, const schema::Type& type);

// Why this cannot be applied: undeclared fields, items twice or without their keys, values of another shape than the type's. One text
// a mistake: `.spec.replica: field not declared in schema`.
std::vector<std::string> mistakes_of(const json::Node& config, const schema::Type& type);

}  // namespace k8lite::api::apply
