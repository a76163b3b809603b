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
  return find(types, path);
}

Result<Document> OpenApi::find(const ResourceTypes& types, const std::string& path) {
  if (auto it = lasting_.find(path); it != lasting_.end()) return it->second;
  if (auto it = changing_.find(path); it != changing_.end()) return it->second;
  TRY(Made made, make(types, path));
  (made.lasts ? lasting_ : changing_)[path] = made.document;
  return std::move(made.document);
}

Result<OpenApi::Made> OpenApi::make(const ResourceTypes& types, const std::string& path) {
  std::vector<ResourceTypePtr> all = types.all();
  std::vector<api::KindPtr> custom;
  for (const auto& t : all)
    if (t->row->custom) custom.push_back(t->row);
  if (path == "/openapi/v2") return Made{v2(custom), false};
  if (path == kOpenApiV2Protobuf) return Made{v2_protobuf(custom), false};
  if (path == "/openapi/v3") {
    Node paths = Node::object();
    for (const auto& t : all) {
      std::string gv = v3_path(t->row->group, t->row->version);
      if (paths.find(gv)) continue;
      TRY(Document d, find(types, "/openapi/v3/" + gv));
      std::erase(d.etag, '"');
      paths[gv].set("serverRelativeURL", "/openapi/v3/" + gv + "?hash=" + d.etag);
    }
    return Made{document(Node::obj({{"paths", std::move(paths)}}).dump()), false};
  }
  std::vector<api::KindPtr> rows;
  for (const auto& t : all)
    if (path == "/openapi/v3/" + v3_path(t->row->group, t->row->version)) rows.push_back(t->row);
  if (rows.empty()) return not_found("the server could not find the requested resource");
  bool lasts = std::none_of(rows.begin(), rows.end(), [](const auto& r) { return r->custom != nullptr; });
  return Made{document(api::openapi_v3(rows[0]->group, rows[0]->version, rows).dump()), lasts};
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
