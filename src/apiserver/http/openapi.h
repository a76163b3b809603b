// The OpenAPI documents, kept as long as the kinds they are of stay: a new custom resource costs its own group version and what names all.
#pragma once
#include <map>
#include <mutex>
#include <set>

#include "apiserver/http/discovery.h"

namespace k8lite::apiserver {

// The name of /openapi/v2 in the form that kubectl's client-side validation asks for: a protobuf openapi.v2.Document.
inline constexpr std::string_view kOpenApiV2Protobuf = "/openapi/v2 as protobuf";

class OpenApi {
 public:
  // "/openapi/v3", "/openapi/v3/api/v1", "/openapi/v3/apis/apps/v1", "/openapi/v2", kOpenApiV2Protobuf; else NotFound.
  Result<Document> get(const ResourceTypes& types, const std::string& path);

 private:
  // One document and the rows that it is of: as long as they are the same, it is true.
  struct Kept {
    Document document;
    std::vector<api::KindPtr> rows;
  };
  struct BuiltIn {  // the v2 document without custom resources
    std::string text;
    size_t paths_end = 0;  // where the closing brace of "paths" stands
    std::set<std::string> definitions;
  };
  Result<Document> make(const ResourceTypes& types, const std::string& path);
  const Document& of_version(const std::string& path, std::vector<api::KindPtr> rows);
  const BuiltIn& built_in();
  Document v2(const std::vector<api::KindPtr>& custom);
  Document v2_protobuf(const std::vector<api::KindPtr>& custom);

  std::mutex mutex_;
  uint64_t generation_ = 0;
  std::map<std::string, Kept> versions_;        // v3, by path
  std::map<std::string, Document> changing_;  // what every change of kinds makes anew
  BuiltIn built_in_;
  std::string built_in_protobuf_;
};

}  // namespace k8lite::apiserver
