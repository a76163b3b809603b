// kubectl's JSONPath templates (Kubernetes documentation "JSONPath Support"): text with expressions in braces, range/end, filters,
// slices, unions, wildcards, recursive descent. Pure.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace k8lite::api {

class JsonPath {
 public:
  // A template as for -o jsonpath=...
  static Result<JsonPath> parse(std::string_view text);
  // One expression in the lax form of custom columns, --sort-by and wait: "{.a}", ".a" and "a" mean the same.
  static Result<JsonPath> parse_relaxed(std::string_view text);

  std::string render(const json::Node& root) const;  // missing fields print nothing
  // What kubectl calls an error: an index outside of its list. "" when there is none.
  std::string problem(const json::Node& root) const;
  // The values the first expression names; pointers into root (or into this path for literals).
  std::vector<const json::Node*> find(const json::Node& root) const;

  struct Part;

 private:
  std::shared_ptr<const std::vector<Part>> parts_;
};

// A value as JSONPath prints it: texts bare, the rest as JSON.
std::string jsonpath_text(const json::Node& value);
// JSON text as Go's encoder writes it: <, > and & as escapes.
std::string html_safe(std::string json);
// The same value with the members of all objects in order of their names.
json::Node sorted_keys(const json::Node& value);

}  // namespace k8lite::api
