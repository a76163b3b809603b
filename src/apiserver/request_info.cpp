#include "apiserver/request_info.h"

#include <vector>

#include "api/selector.h"
#include "base/strings.h"

namespace k8lite::apiserver {
namespace {

constexpr size_t kMaxPath = 4096;  // group, version, namespace, name and subresource fit many times over

// Segments decoded one by one, so that an encoded slash never becomes a separator.
Result<std::vector<std::string>> segments(std::string_view path) {
  if (path.size() > kMaxPath) return bad_request("the path is longer than " + std::to_string(kMaxPath) + " bytes");
  if (path.empty() || path[0] != '/') return bad_request("the path does not start with \"/\"");
  std::vector<std::string> out;
  for (auto piece : split(path.substr(1), '/')) {
    std::string text = url_decode(piece);
    if (text == "." || text == "..") return bad_request("the path has a \"" + text + "\" segment");
    if (text.find('\0') != text.npos) return bad_request("the path has a NUL byte");
    out.push_back(std::move(text));
  }
  while (!out.empty() && out.back().empty()) out.pop_back();
  return out;
}

bool truthy(std::string_view v) { return v == "1" || iequals(v, "true") || v == "t" || v == "T"; }

std::string resource_verb(std::string_view method, bool named, bool watch) {
  if (method == "POST") return "create";
  if (method == "PUT") return "update";
  if (method == "PATCH") return "patch";
  if (method == "DELETE") return named ? "delete" : "deletecollection";
  if (method == "GET" || method == "HEAD") return watch ? "watch" : named ? "get" : "list";
  return lower(method);
}

// A watch or list narrowed by metadata.name is authorised as one on that name. Read by the parser that later selects: what is
// authorised is what is served. A selector that cannot be read is refused when it is used.
std::string name_from_selector(std::string_view selector) {
  auto parsed = api::FieldSelector::parse(selector);
  if (!parsed.ok()) return {};
  for (const auto& term : parsed->terms())
    if (term.field == "metadata.name" && term.equal) return term.value;
  return {};
}

}  // namespace

Result<RequestInfo> read_request_info(std::string_view method, std::string_view encoded_path, std::string_view watch,
                                      std::string_view field_selector) {
  TRY(auto parts, segments(encoded_path));
  RequestInfo info;
  for (const auto& p : parts) info.path.append("/").append(p);
  if (info.path.empty()) info.path = "/";
  info.verb = lower(method);

  size_t i = 0;
  if (parts.size() >= 3 && parts[0] == "api") {
    info.version = parts[1];
    i = 2;
  } else if (parts.size() >= 4 && parts[0] == "apis") {
    info.group = parts[1];
    info.version = parts[2];
    i = 3;
  } else {
    return info;
  }
  for (size_t k = 0; k + 1 < parts.size(); ++k)
    if (parts[k].find('/') != std::string::npos) return bad_request("the path hides a \"/\" in a segment");
  // "/api/v1/watch/…": the deprecated way to write ?watch=true.
  bool watching = parts[i] == "watch" && i + 1 < parts.size();
  if (watching) ++i;
  // The object /namespaces/<name> and its subresources are cluster scoped, yet authorised within that namespace.
  if (parts[i] == "namespaces" && i + 1 < parts.size()) {
    info.ns = parts[i + 1];
    bool own_subresource = i + 2 < parts.size() && (parts[i + 2] == "status" || parts[i + 2] == "finalize");
    if (i + 2 < parts.size() && !own_subresource) i += 2;
  }
  info.is_resource = true;
  info.resource = parts[i];
  if (i + 1 < parts.size()) info.name = parts[i + 1];
  if (i + 2 < parts.size()) info.subresource = parts[i + 2];
  info.verb = resource_verb(method, !info.name.empty(), truthy(watch) || (watching && method == "GET"));
  if (info.name.empty() && (info.verb == "list" || info.verb == "watch" || info.verb == "deletecollection"))
    info.name = name_from_selector(field_selector);
  return info;
}

}  // namespace k8lite::apiserver
