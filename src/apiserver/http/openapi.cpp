#include "apiserver/http/openapi.h"

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "pki/pki.h"

namespace k8lite::apiserver {
namespace {

using json::Node;

Document document(std::string body) {
  std::string etag = "\"" + to_hex(pki::sha256(body)) + "\"";
  return {std::move(body), std::move(etag)};
}

std::string v3_path(const std::string& group, const std::string& version) { return group.empty() ? "api/" + version : "apis/" + group + "/" + version; }

// The definitions and paths of custom resources alone: what the built-in part has already is taken out.
Node custom_v2(const std::vector<api::KindPtr>& custom, const std::set<std::string>& known) {
  Node out = api::openapi_v2(custom);
  std::erase_if(out["definitions"].members(), [&known](const Node::Member& m) { return known.contains(m.first); });
  return out;
}

// `{"a":1}` -> `"a":1`
std::string inside(const Node& object) {
  std::string text = object.dump();
  return text.substr(1, text.size() - 2);
}

// Puts a second text of members behind the last one of the object that ends at `end` (its closing brace).
void splice(std::string& text, size_t end, const std::string& members) {
  if (!members.empty()) text.insert(end, "," + members);
}

}  // namespace

Result<Document> OpenApi::get(const ResourceTypes& types, const std::string& path) {
  std::lock_guard lock(mutex_);
  if (uint64_t now = types.generation(); now != generation_) {
    changing_.clear();
    generation_ = now;
  }
  if (auto it = changing_.find(path); it != changing_.end()) return it->second;
  TRY(Document made, make(types, path));
  changing_[path] = made;
  return made;
}

const Document& OpenApi::of_version(const std::string& path, std::vector<api::KindPtr> rows) {
  Kept& kept = versions_[path];
  if (kept.rows != rows) {
    kept.document = document(api::openapi_v3(rows[0]->group, rows[0]->version, rows).dump());
    kept.rows = std::move(rows);
  }
  return kept.document;
}

Result<Document> OpenApi::make(const ResourceTypes& types, const std::string& path) {
  std::vector<api::KindPtr> custom;
  std::vector<std::string> order;
  std::map<std::string, std::vector<api::KindPtr>> by_version;
  for (const auto& t : types.all()) {
    if (t->row->custom) custom.push_back(t->row);
    std::string version = v3_path(t->row->group, t->row->version);
    if (!by_version.contains(version)) order.push_back(version);
    by_version[version].push_back(t->row);
  }
  if (path == "/openapi/v2") return v2(custom);
  if (path == kOpenApiV2Protobuf) return v2_protobuf(custom);
  std::erase_if(versions_, [&by_version](const auto& kept) { return !by_version.contains(kept.first); });
  if (path == "/openapi/v3") {
    Node paths = Node::object();
    for (const auto& version : order) {
      std::string hash = of_version(version, by_version[version]).etag;
      std::erase(hash, '"');
      paths[version].set("serverRelativeURL", "/openapi/v3/" + version + "?hash=" + hash);
    }
    return document(Node::obj({{"paths", std::move(paths)}}).dump());
  }
  constexpr std::string_view kPrefix = "/openapi/v3/";
  auto it = path.starts_with(kPrefix) ? by_version.find(path.substr(kPrefix.size())) : by_version.end();
  if (it == by_version.end()) return not_found("the server could not find the requested resource");
  return of_version(it->first, it->second);
}

const OpenApi::BuiltIn& OpenApi::built_in() {
  if (!built_in_.text.empty()) return built_in_;
  Node whole = api::openapi_v2(api::builtin_kinds());
  for (const auto& [name, schema] : whole.get("definitions").members()) built_in_.definitions.insert(name);
  built_in_.text = whole.dump();
  built_in_.paths_end = built_in_.text.size() - whole.get("definitions").dump().size() - sizeof(",\"definitions\":}");
  return built_in_;
}

Document OpenApi::v2(const std::vector<api::KindPtr>& custom) {
  const BuiltIn& base = built_in();
  Node more = custom_v2(custom, base.definitions);
  std::string text = base.text;
  splice(text, text.size() - 2, inside(more.get("definitions")));
  splice(text, base.paths_end, inside(more.get("paths")));
  return document(std::move(text));
}

// Two messages behind each other are one with the fields of both.
Document OpenApi::v2_protobuf(const std::vector<api::KindPtr>& custom) {
  if (built_in_protobuf_.empty()) built_in_protobuf_ = api::openapi_v2_protobuf(api::openapi_v2(api::builtin_kinds()));
  return document(built_in_protobuf_ + (custom.empty() ? "" : api::openapi_v2_protobuf(custom_v2(custom, built_in().definitions))));
}

}  // namespace k8lite::apiserver
