// What the server has: /api, /apis, group versions' resources, aggregated discovery; all made from the kinds.
#pragma once
#include "apiserver/resource_types.h"

namespace k8lite::apiserver {

struct Document {
  std::string body, etag;
};
// The document at a discovery path ("/api", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1"), or NotFound.
Result<Document> discovery_document(const ResourceTypes& types, std::string_view path, const std::string& server_address);
// apidiscovery.k8s.io/v2 for "/api" and "/apis".
Document aggregated_discovery(const ResourceTypes& types, bool core);

}  // namespace k8lite::apiserver
