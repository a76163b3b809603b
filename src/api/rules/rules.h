// What others ask of the rules beside api::validate() and api::apply_defaults() (kinds.h): updates, subresources, names. Pure.
#pragma once
#include "api/kinds.h"

namespace k8lite::api {

// As validate(), for a write through a subresource. Of those of built-in kinds only "ephemeralcontainers" and "resize" of pods have rules
// here; "" is the object itself.
std::vector<Cause> validate_part(const KindRow& kind, const json::Node& object, const json::Node* old, std::string_view subresource);
// Takes out of an update what the old object had and the new one has no use for, as when a Service changes its type.
void forget_what_no_longer_applies(const KindRow& kind, json::Node& object, const json::Node& before);
// What is wrong with an object's name, in Kubernetes' words: of kinds whose names are any path segment (RBAC), DNS labels, or else DNS
// subdomains.
std::vector<std::string> name_mistakes(std::string_view name, bool path_segment, bool label);

}  // namespace k8lite::api
