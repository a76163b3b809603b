#include "apiserver/http/negotiate.h"

#include "api/wire/wire.h"
#include "base/strings.h"
#include "base/yaml.h"

namespace k8lite::apiserver {
namespace {

using json::Node;

std::string_view media_type(std::string_view text) { return trim(text.substr(0, text.find(';'))); }

std::string parameter(std::string_view text, std::string_view name) {
  for (auto part : split(text, ';')) {
    part = trim(part);
    if (part.starts_with(name) && part.size() > name.size() && part[name.size()] == '=') return std::string(part.substr(name.size() + 1));
  }
  return {};
}

}  // namespace

Result<Accept> read_accept(std::string_view header) {
  if (trim(header).empty()) return Accept{};
  for (auto range : split(header, ',')) {
    std::string type = lower(media_type(range));
    bool yaml = type == "application/yaml";
    if (!yaml && type != "application/json" && type != "*/*" && type != "application/*") continue;
    std::string as = parameter(range, "as");
    if (as.empty()) return Accept{Accept::Form::Object, yaml};
    bool v1 = parameter(range, "v") == "v1" && parameter(range, "g") == "meta.k8s.io";
    if (as == "Table" && v1) return Accept{Accept::Form::Table, yaml};
    if ((as == "PartialObjectMetadata" || as == "PartialObjectMetadataList") && v1) return Accept{Accept::Form::PartialMetadata, yaml};
  }
  return Status(Reason::NotAcceptable, "only the following media types are accepted: application/json, application/yaml");
}

Result<Node> read_object_body(std::string_view content_type, std::string_view body, std::vector<std::string>* duplicates) {
  std::string type = lower(media_type(content_type));
  if (type.ends_with("yaml")) {
    TRY(auto documents, parse_yaml(body, "body"));
    if (documents.empty()) return bad_request("the body is empty");
    if (duplicates) *duplicates = std::move(documents[0].duplicates);
    return std::move(documents[0].value);
  }
  if (type == api::wire::kMediaType) return api::wire::decode(body);
  if (!type.empty() && type != "application/json" && !type.ends_with("+json"))
    return Status(Reason::UnsupportedMediaType, "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf");
  json::ParseOptions options;
  options.duplicates = duplicates;
  return Node::parse(body, options);
}

Node status_object(const Status& status) {
  Node n = Node::obj({{"kind", "Status"}, {"apiVersion", "v1"}, {"metadata", Node::object()}, {"status", "Failure"}, {"message", status.message()}});
  if (status.reason() != Reason::Unknown) n.set("reason", Node(reason_name(status.reason())));
  const StatusDetails& d = status.details();
  Node details = Node::object();
  if (!d.name.empty()) details.set("name", d.name);
  if (!d.group.empty()) details.set("group", d.group);
  if (!d.kind.empty()) details.set("kind", d.kind);
  if (!d.uid.empty()) details.set("uid", d.uid);
  for (const Cause& c : d.causes) details["causes"].append(Node::obj({{"reason", c.type}, {"message", c.message}, {"field", c.field}}));
  if (d.retry_after_seconds) details.set("retryAfterSeconds", d.retry_after_seconds);
  if (details.size()) n.set("details", std::move(details));
  n.set("code", http_code(status.reason()));
  return n;
}

std::string partial_metadata(const ResourceType&, const store::Object& object) {
  std::string metadata(object.doc["metadata"].raw());
  std::string inside = "{\"resourceVersion\":\"" + std::to_string(object.revision) + "\"";
  metadata = metadata.size() > 2 ? inside + "," + metadata.substr(1) : inside + "}";
  return "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":" + metadata + "}";
}

std::string list_metadata(const Page& page) {
  Node meta = Node::obj({{"resourceVersion", std::to_string(page.revision)}});
  if (!page.continue_token.empty()) meta.set("continue", page.continue_token);
  if (!page.continue_token.empty() && page.remaining > 0) meta.set("remainingItemCount", page.remaining);
  return meta.dump();
}

bool ListText::next(std::string& out) {
  constexpr size_t kPiece = 60 * 1024;
  size_t begin = out.size();
  if (at_ == 0) {
    out += partial_ ? "{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"meta.k8s.io/v1\""
                    : "{\"kind\":" + json::quoted(type_->row->list_kind()) + ",\"apiVersion\":" + json::quoted(api_version(type_->object));
    out += ",\"metadata\":" + list_metadata(page_) + ",\"items\":[";
  }
  for (; at_ < page_.items.size() && out.size() - begin < kPiece; ++at_) {
    if (at_) out += ',';
    const store::Object& o = *page_.items[at_];
    if (partial_) out += partial_metadata(*type_, o);
    else append_served(out, o.doc, o.revision, type_->object);
  }
  if (at_ < page_.items.size()) return true;
  out += "]}";
  return false;
}

std::string table_text(const ResourceType& type, const std::vector<store::ObjectPtr>& items, std::string_view include, bool with_definitions, const std::string& metadata, Instant now) {
  std::string out = "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":" + metadata + ",\"columnDefinitions\":";
  Node columns = Node::array();
  if (with_definitions)
    for (const auto& c : type.row->columns)
      columns.append(Node::obj({{"name", c.name}, {"type", c.type}, {"format", c.format}, {"description", c.description}, {"priority", c.priority}}));
  out += with_definitions ? columns.dump() : "null";
  out += ",\"rows\":[";
  bool first = true;
  for (const auto& o : items) {
    if (!first) out += ',';
    first = false;
    Node cells = Node::array();
    for (Node& cell : type.row->rules.cells(o->doc.root(), now)) cells.append(std::move(cell));
    out += "{\"cells\":" + cells.dump();
    if (include == "Object") out += ",\"object\":" + served(o->doc, o->revision, type.object);
    else if (include != "None") out += ",\"object\":" + partial_metadata(type, *o);
    out += '}';
  }
  return out += "]}";
}

}  // namespace k8lite::apiserver
