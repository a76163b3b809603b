// Kustomizations, as `kubectl apply -k FOLDER` and `kubectl kustomize FOLDER` read them: resources and other
// kustomizations, generators of ConfigMaps and Secrets (names with a hash of their content), prefixes, namespace,
// labels, annotations, images, replicas and patches. Local files only. A field that is not among these is an error that
// names it; nothing is left out silently.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"

namespace k8lite::kubectl {

// The objects of a folder's kustomization.yaml (.yml, Kustomization), references rewritten, in the order in which they
// can be created.
Result<std::vector<json::Node>> build_kustomization(const std::string& folder);

// The ten letters behind a generated name: of a ConfigMap's data and binaryData, or a Secret's type and data. Equal to
// kustomize's.
std::string content_hash(const json::Node& object);

}  // namespace k8lite::kubectl
