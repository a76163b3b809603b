// What a CustomResourceDefinition must be to be accepted: names, versions, subresources, columns (definition_rules.cpp)
// and structural schemas (schema_rules.cpp). Paths and wording as Kubernetes'. (Kubernetes documentation, "Extend the
// Kubernetes API with CustomResourceDefinitions", "Specifying a structural schema".)
#pragma once
#include "api/kinds.h"

namespace k8lite::api::custom {

// Stands on a definition that is being deleted until all its objects are gone.
inline constexpr const char* kCleanupFinalizer = "customresourcecleanup.apiextensions.k8s.io";

// Rules of customresourcedefinitions.apiextensions.k8s.io. A definition with rules in CEL is accepted with a warning
// that names them.
Rules definition_rules();

// Everything wrong with an openAPIV3Schema at `path`.
void check_schema(const json::Node& schema, const std::string& path, std::vector<Cause>& causes);

// The rules of all x-kubernetes-validations, each by the path of its schema, its number there and its text where that is short.
void find_cel_rules(const json::Node& schema, const std::string& path, std::vector<std::string>& out);

}  // namespace k8lite::api::custom
