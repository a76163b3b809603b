// What others ask of the rules beside api::validate() and api::apply_defaults() (kinds.h): updates, subresources,
// names. Pure.
#pragma once
#include <initializer_list>

#include "api/kinds.h"

namespace k8lite::api {

// As validate(), for a write through a subresource. Of those of built-in kinds "status" and, of pods,
// "ephemeralcontainers" and "resize" have rules here; "" is the object itself.
std::vector<Cause> validate_part(const KindRow& kind, const json::Node& object, const json::Node* old,
                                 std::string_view subresource);
// Takes out of an update what the old object had and the new one has no use for, as when a Service changes its type.
void forget_what_no_longer_applies(const KindRow& kind, json::Node& object, const json::Node& before);
// What is wrong with an object's name, in Kubernetes' words: of kinds whose names are any path segment (RBAC), DNS
// labels, or else DNS subdomains.
std::vector<std::string> name_mistakes(std::string_view name, bool path_segment, bool label);

namespace rules {

// For rules that stand elsewhere and carry their paths with them.
using json::Node;
using Causes = std::vector<Cause>;

inline void required(Causes& c, std::string field, std::string why = {}) {
  c.push_back({"FieldValueRequired", why.empty() ? "Required value" : "Required value: " + why, std::move(field)});
}
inline void invalid(Causes& c, std::string field, const Node& value, std::string why) {
  c.push_back({"FieldValueInvalid", "Invalid value: " + value.dump() + ": " + why, std::move(field)});
}
inline void duplicate(Causes& c, std::string field, const Node& value) { c.push_back({"FieldValueDuplicate", "Duplicate value: " + value.dump(), std::move(field)}); }
inline void forbidden(Causes& c, std::string field, std::string why) { c.push_back({"FieldValueForbidden", "Forbidden: " + why, std::move(field)}); }
void unsupported(Causes& c, std::string field, const Node& value, std::initializer_list<std::string_view> supported);

}  // namespace rules
}  // namespace k8lite::api
