// Words are matched exactly first and then without regard to case; the first group that knows a word wins, as it stands in discovery.
#include "kubectl/discovery.h"

#include <algorithm>

#include "base/strings.h"

namespace k8lite::kubectl {
namespace {

std::vector<std::string> texts(const json::Node& list) {
  std::vector<std::string> out;
  for (const json::Node& x : list.items()) out.push_back(x.str());
  return out;
}

bool named(const Mapping& m, std::string_view word) {
  if (m.resource == word || m.singular == word || m.kind_lower() == word) return true;
  return std::find(m.short_names.begin(), m.short_names.end(), word) != m.short_names.end();
}

}  // namespace

std::string Mapping::kind_lower() const { return lower(kind); }
bool Mapping::can(std::string_view verb) const { return std::find(verbs.begin(), verbs.end(), verb) != verbs.end(); }

void Discovery::add(const json::Node& list) {
  for (const json::Node& g : list["items"].items()) {
    std::string group = g.path("metadata.name").str();
    std::vector<std::string> seen;
    for (const json::Node& v : g["versions"].items()) {
      std::string version = v["version"].str();
      group_versions_.push_back(group.empty() ? version : group + "/" + version);
      for (const json::Node& r : v["resources"].items()) {
        Mapping m;
        m.group = group;
        m.version = version;
        m.resource = r["resource"].str();
        m.singular = r["singularResource"].str();
        m.kind = r.path("responseKind.kind").str();
        m.namespaced = r["scope"].str() == "Namespaced";
        m.short_names = texts(r["shortNames"]);
        m.categories = texts(r["categories"]);
        m.verbs = texts(r["verbs"]);
        for (const json::Node& s : r["subresources"].items()) m.subresources.push_back(s["subresource"].str());
        m.preferred = std::find(seen.begin(), seen.end(), m.resource) == seen.end();
        seen.push_back(m.resource);
        if (!m.verbs.empty()) mappings_.push_back(std::move(m));
      }
    }
  }
}

const Mapping* Discovery::find(std::string_view word) const {
  for (std::string w : {std::string(word), lower(word)}) {
    for (const Mapping& m : mappings_)
      if (named(m, w)) return &m;
    size_t dot = w.find('.');
    if (dot == std::string::npos) continue;
    std::string name = w.substr(0, dot), rest = w.substr(dot + 1);
    for (const Mapping& m : mappings_) {
      if (!named(m, name)) continue;
      if (m.group == rest || m.version + "." + m.group == rest || (m.group.empty() && m.version == rest)) return &m;
    }
    for (const Mapping& m : mappings_)  // a prefix of the group: "deployments.app"
      if (named(m, name) && m.group.starts_with(rest)) return &m;
  }
  return nullptr;
}

const Mapping* Discovery::find_kind(std::string_view api_version, std::string_view kind) const {
  for (const Mapping& m : mappings_)
    if (m.kind == kind && (api_version.empty() || m.api_version() == api_version)) return &m;
  return nullptr;
}

std::vector<const Mapping*> Discovery::category(std::string_view name) const {
  std::vector<const Mapping*> out;
  for (const Mapping& m : mappings_)
    if (m.preferred && std::find(m.categories.begin(), m.categories.end(), name) != m.categories.end()) out.push_back(&m);
  return out;
}

}  // namespace k8lite::kubectl
