// Inside of src/api: rules shared by several kinds, and small helpers to word field errors as Kubernetes does.
#pragma once
#include "api/kinds.h"

namespace k8lite::api::rules {

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
inline void absent(Causes& c, std::string field, const Node& value) { c.push_back({"FieldValueNotFound", "Not found: " + value.dump(), std::move(field)}); }
void unsupported(Causes& c, std::string field, const Node& value, std::initializer_list<std::string_view> supported);

inline constexpr std::string_view kLabelWords =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. "
    "'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

// Every list of containers of a pod spec: "containers", "initContainers", "ephemeralContainers".
inline constexpr std::string_view kContainerLists[] = {"initContainers", "containers", "ephemeralContainers"};

void default_pod_spec(Node& spec);
void validate_pod_spec(const Node& spec, const std::string& path, Causes& causes);
void validate_pod_update(const Node& pod, const Node& old, Causes& causes);
void validate_template(const Node& object_spec, const std::string& path, bool always_restart, Causes& causes);
void validate_immutable(const Node& now, const Node& old, std::string_view field, const std::string& path, Causes& causes);
void validate_non_negative(const Node& parent, std::string_view field, const std::string& path, Causes& causes);
// Does a LabelSelector object (matchLabels, matchExpressions) select these labels?
bool selects(const Node& selector, const Node& labels);

Rules pod_rules();
Rules service_rules();
Rules workload_rules(std::string_view plural);
Rules simple_rules(std::string_view group, std::string_view plural);

}  // namespace k8lite::api::rules
