// What a request asks for, read from its method, path and query: the verb and resource that authorisation, audit and routing use.
// Behaviour: the request attributes of Kubernetes' authorisation documentation (resource and non-resource requests).
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace k8lite::apiserver {

struct RequestInfo {
  bool is_resource = false;  // under /api/v1 or /apis/<group>/<version> and naming a resource
  std::string path;          // decoded, for non-resource rules
  std::string verb;          // get list watch create update patch delete deletecollection; lower-case method for non-resources
  std::string group, version, resource, subresource, ns, name;
};

// BadRequest for percent-encoding that hides a separator or a NUL, or for "." and ".." segments: nothing may mean one thing to the
// authoriser and another to the handler. `watch`, `field_selector` are the decoded query parameters of these names.
Result<RequestInfo> read_request_info(std::string_view method, std::string_view encoded_path, std::string_view watch,
                                      std::string_view field_selector);

}  // namespace k8lite::apiserver
