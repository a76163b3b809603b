#include "apiserver/http/discovery.h"

#include <algorithm>

#include "base/strings.h"
#include "pki/pki.h"

namespace k8lite::apiserver {
namespace {

using json::Node;

// Versions of a group, the preferred one first.
std::vector<std::string> versions_of(const ResourceTypes& types, std::string_view group) {
  std::vector<std::string> out;
  for (const auto& t : types.all())
    if (t->row->group == group && std::find(out.begin(), out.end(), t->row->version) == out.end()) out.push_back(t->row->version);
  std::sort(out.begin(), out.end(), api::version_before);
  return out;
}
std::vector<std::string> groups_of(const ResourceTypes& types) {
  std::vector<std::string> out;
  for (const auto& t : types.all())
    if (!t->row->group.empty() && std::find(out.begin(), out.end(), t->row->group) == out.end()) out.push_back(t->row->group);
  return out;
}

Node list_of(const std::vector<std::string>& v) {
  Node n = Node::array();
  for (const auto& s : v) n.append(s);
  return n;
}

Node group_object(const ResourceTypes& types, const std::string& group) {
  Node n = Node::obj({{"name", group}, {"versions", Node::array()}});
  for (const auto& v : versions_of(types, group)) n["versions"].append(Node::obj({{"groupVersion", group + "/" + v}, {"version", v}}));
  n.set("preferredVersion", n.get("versions").items()[0]);
  return n;
}

Node resource_list(const ResourceTypes& types, std::string_view group, std::string_view version) {
  Node resources = Node::array();
  for (const auto& t : types.all()) {
    const api::KindRow& row = *t->row;
    if (row.group != group || row.version != version) continue;
    Node r = Node::obj({{"name", row.plural}, {"singularName", row.singular}, {"namespaced", row.namespaced}, {"kind", row.kind}, {"verbs", list_of(row.verbs)}});
    if (!row.short_names.empty()) r.set("shortNames", list_of(row.short_names));
    if (!row.categories.empty()) r.set("categories", list_of(row.categories));
    if (std::find(row.verbs.begin(), row.verbs.end(), "watch") != row.verbs.end()) {  // what is only asked is not stored
      const api::Conversion* c = row.custom ? nullptr : api::conversion_of(row.group, row.version, row.plural);
      std::string stored = c ? std::string(c->stored_group) + "/" + std::string(c->stored_version) : row.group + "/" + row.version;
      r.set("storageVersionHash", base64_encode(pki::sha256(stored + "/" + row.kind).substr(0, 8)));
    }
    resources.append(std::move(r));
    for (const auto& sub : row.subresources) {
      Node s = Node::obj({{"name", row.plural + "/" + sub.name}, {"singularName", ""}, {"namespaced", row.namespaced}});
      if (!sub.version.empty()) s.set("group", sub.group), s.set("version", sub.version);
      s.set("kind", sub.kind);
      s.set("verbs", list_of(sub.verbs));
      resources.append(std::move(s));
    }
  }
  return resources;
}

Node aggregated_resources(const ResourceTypes& types, std::string_view group, std::string_view version) {
  Node out = Node::array();
  for (const auto& t : types.all()) {
    const api::KindRow& row = *t->row;
    if (row.group != group || row.version != version) continue;
    auto kind_of = [](std::string g, std::string v, std::string k) { return Node::obj({{"group", g}, {"version", v}, {"kind", k}}); };
    Node r = Node::obj({{"resource", row.plural}, {"responseKind", kind_of(row.group, row.version, row.kind)}, {"scope", row.namespaced ? "Namespaced" : "Cluster"},
                        {"singularResource", row.singular}, {"verbs", list_of(row.verbs)}});
    if (!row.short_names.empty()) r.set("shortNames", list_of(row.short_names));
    if (!row.categories.empty()) r.set("categories", list_of(row.categories));
    for (const auto& sub : row.subresources)
      r["subresources"].append(Node::obj({{"subresource", sub.name}, {"responseKind", sub.version.empty() ? kind_of(row.group, row.version, sub.kind) : kind_of(sub.group, sub.version, sub.kind)}, {"verbs", list_of(sub.verbs)}}));
    out.append(std::move(r));
  }
  return out;
}

Document document(std::string body) {
  std::string etag = "\"" + to_hex(pki::sha256(body)) + "\"";
  return {std::move(body), std::move(etag)};
}
Document document(const Node& n) { return document(n.dump()); }

}  // namespace

Result<Document> discovery_document(const ResourceTypes& types, std::string_view path, const std::string& address) {
  auto parts = split_strings(path.substr(1), '/');
  if (!parts.empty() && parts.back().empty()) parts.pop_back();
  if (parts.size() == 1 && parts[0] == "api")
    return document(Node::obj({{"kind", "APIVersions"}, {"versions", Node::arr({"v1"})},
                               {"serverAddressByClientCIDRs", Node::arr({Node::obj({{"clientCIDR", "0.0.0.0/0"}, {"serverAddress", address}})})}}));
  if (parts.size() == 1 && parts[0] == "apis") {
    Node list = Node::obj({{"kind", "APIGroupList"}, {"apiVersion", "v1"}, {"groups", Node::array()}});
    for (const auto& g : groups_of(types)) list["groups"].append(group_object(types, g));
    return document(list);
  }
  bool core = parts.size() == 2 && parts[0] == "api";
  if (parts.size() == 2 && parts[0] == "apis" && !versions_of(types, parts[1]).empty()) {
    Node g = group_object(types, parts[1]);
    g.set("kind", "APIGroup");
    g.set("apiVersion", "v1");
    return document(g);
  }
  if (core || (parts.size() == 3 && parts[0] == "apis")) {
    std::string group = core ? "" : parts[1], version = core ? parts[1] : parts[2];
    Node resources = resource_list(types, group, version);
    if (resources.size())
      return document(Node::obj({{"kind", "APIResourceList"}, {"apiVersion", "v1"}, {"groupVersion", group.empty() ? version : group + "/" + version}, {"resources", std::move(resources)}}));
  }
  return not_found("the server could not find the requested resource");
}

Document aggregated_discovery(const ResourceTypes& types, bool core) {
  Node list = Node::obj({{"kind", "APIGroupDiscoveryList"}, {"apiVersion", "apidiscovery.k8s.io/v2"}, {"metadata", Node::object()}, {"items", Node::array()}});
  for (const auto& group : core ? std::vector<std::string>{""} : groups_of(types)) {
    Node g = Node::obj({{"metadata", Node::object()}, {"versions", Node::array()}});
    if (!group.empty()) g["metadata"].set("name", group);
    for (const auto& v : versions_of(types, group)) g["versions"].append(Node::obj({{"version", v}, {"resources", aggregated_resources(types, group, v)}, {"freshness", "Current"}}));
    list["items"].append(std::move(g));
  }
  return document(list);
}

}  // namespace k8lite::apiserver
