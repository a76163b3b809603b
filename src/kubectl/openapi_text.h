// Field documentation from an OpenAPI v3 document, as `kubectl explain` prints it. Pure.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"

namespace k8lite::kubectl {

struct Explained {
  std::string group, version, kind;
  std::vector<std::string> path;  // fields below the kind
  bool recursive = false;
};

// Appends the text to `out`; an error leaves there what stands before it (the kind's name).
Result<> explain_schema(const json::Node& openapi, const Explained& what, std::string& out);

}  // namespace k8lite::kubectl
