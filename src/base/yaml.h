// YAML in and out, as Kubernetes' tools read and write it: YAML 1.2 core scalars plus yes/no/on/off as sigs.k8s.io/yaml resolves them,
// several documents in a file, anchors and merge keys. Errors are BadRequest and name file, line and column.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace k8lite {

struct YamlDocument {
  json::Node value;                      // null for an empty document
  std::vector<std::string> duplicates;   // dotted paths of mapping keys seen twice (the last value wins)
  int line = 0;                          // where the document starts, from 1
};

// Every document of a text (JSON is YAML); `name` stands in the errors ("web.yaml: line 3, column 5: ..."). Bounded: nesting 512 deep,
// and aliases may blow a document up to at most 16 times the size of the text plus 1 MiB.
Result<std::vector<YamlDocument>> parse_yaml(std::string_view text, std::string_view name);

// As kubectl -o yaml prints: keys sorted, two spaces, lists not indented below their key, strings quoted only where they must be.
std::string dump_yaml(const json::Node& value);

}  // namespace k8lite
