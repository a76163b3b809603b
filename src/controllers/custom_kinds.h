// The kinds that CustomResourceDefinitions add, for controllers that look at all kinds.
#pragma once
#include "controllers/context.h"

namespace k8lite::controllers {

struct CustomKind {
  std::string group, version, plural, kind;  // version: the stored one where it is served, else the first that is
  bool namespaced = true;
  bool operator==(const CustomKind&) const = default;
};

// Of definitions whose names are accepted; in their order.
std::vector<CustomKind> custom_kinds(const std::vector<json::Doc>& definitions);

inline machinery::Informer& definitions_informer(Context& c) {
  return c.informer("apiextensions.k8s.io", "customresourcedefinitions");
}

}  // namespace k8lite::controllers
