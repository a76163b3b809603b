// Which resources the server has, from aggregated discovery (KEP-3352), and how the words of a command line name them: plural, singular,
// short name, kind, "deployments.apps", "deployments.v1.apps" and categories such as "all".
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace k8lite::kubectl {

struct Mapping {
  std::string group, version, resource, singular, kind;
  std::vector<std::string> short_names, categories, verbs;
  std::vector<std::string> subresources;
  bool namespaced = true;
  bool preferred = true;  // of the group's first version that has the resource

  std::string api_version() const { return group.empty() ? version : group + "/" + version; }
  std::string root() const { return group.empty() ? "/api/" + version : "/apis/" + group + "/" + version; }
  // "pods" or "deployments.apps"; "pod" or "deployment.apps".
  std::string full_resource() const { return group.empty() ? resource : resource + "." + group; }
  std::string full_singular() const { return (singular.empty() ? kind_lower() : singular) + (group.empty() ? "" : "." + group); }
  std::string kind_lower() const;
  bool can(std::string_view verb) const;
};

class Discovery {
 public:
  // Adds one APIGroupDiscoveryList (the answers of /api and /apis).
  void add(const json::Node& list);

  const Mapping* find(std::string_view word) const;                                     // nullptr: none
  const Mapping* find_kind(std::string_view api_version, std::string_view kind) const;  // "" version: any
  std::vector<const Mapping*> category(std::string_view name) const;
  const std::vector<Mapping>& all() const { return mappings_; }
  const std::vector<std::string>& group_versions() const { return group_versions_; }

 private:
  std::vector<Mapping> mappings_;
  std::vector<std::string> group_versions_;
};

}  // namespace k8lite::kubectl
