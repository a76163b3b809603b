#include "apiserver/pod_parts.h"

namespace k8lite::apiserver {
namespace {

using json::Node;

void take(Node& to, const Node& from, std::string_view field) {
  if (from.get(field).exists())
    to.set(field, from.get(field));
  else
    to.erase(field);
}

// Of each container that both have: its resources and how it takes their change.
void take_resources(Node& to, const Node& from) {
  for (Node& container : to.items())
    for (const Node& wanted : from.items()) {
      if (!(wanted.get("name") == container.get("name"))) continue;
      take(container, wanted, "resources");
      take(container, wanted, "resizePolicy");
    }
}

}  // namespace

bool writes_pod_part(std::string_view subresource) {
  return subresource == "ephemeralcontainers" || subresource == "resize";
}

Node with_pod_part(Node current, const Node& wanted, std::string_view subresource) {
  for (const char* f : {"name", "namespace", "uid", "resourceVersion", "managedFields"})
    if (wanted.get("metadata").get(f).exists())
      current["metadata"].set(f, wanted.get("metadata").get(f));
    else if (std::string_view(f) == "resourceVersion")
      current["metadata"].erase(f);
  Node& spec = current["spec"];
  const Node& from = wanted.get("spec");
  if (subresource == "ephemeralcontainers") {
    take(spec, from, "ephemeralContainers");
    return current;
  }
  if (Node* list = spec.find("containers")) take_resources(*list, from.get("containers"));
  if (Node* list = spec.find("initContainers")) take_resources(*list, from.get("initContainers"));
  take(spec, from, "resources");
  return current;
}

}  // namespace k8lite::apiserver
