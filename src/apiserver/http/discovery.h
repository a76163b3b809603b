// What the server has: /api, /apis, group versions' resources, aggregated discovery and OpenAPI documents; all made from the kinds.
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
// The name of /openapi/v2 in the form that kubectl's client-side validation asks for: a protobuf openapi.v2.Document.
inline constexpr std::string_view kOpenApiV2Protobuf = "/openapi/v2 as protobuf";
// "/openapi/v3", "/openapi/v3/api/v1", "/openapi/v3/apis/apps/v1", "/openapi/v2", kOpenApiV2Protobuf.
Result<Document> openapi_document(const ResourceTypes& types, std::string_view path);

}  // namespace k8lite::apiserver
