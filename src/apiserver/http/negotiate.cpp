#include "apiserver/http/negotiate.h"

#include <algorithm>
#include <cstdlib>

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

struct Range {
  std::string_view text;
  std::string type;  // "application/json"
  double quality = 1;
  int wildcards = 0;
};

// By quality, then the more specific ones, then as they stand.
std::vector<Range> ranges_of(std::string_view header) {
  std::vector<Range> out;
  for (auto text : split(header, ',')) {
    Range r{text, lower(media_type(text)), 1, 0};
    if (std::string q = parameter(text, "q"); !q.empty()) r.quality = q[0] == '1' ? 1 : strtod(q.c_str(), nullptr);
    r.wildcards = r.type == "*/*" ? 2 : r.type == "application/*" ? 1 : 0;
    if (!r.type.empty()) out.push_back(std::move(r));
  }
  std::stable_sort(out.begin(), out.end(), [](const Range& a, const Range& b) { return a.quality != b.quality ? a.quality > b.quality : a.wildcards < b.wildcards; });
  return out;
}

// Can this range be served, and how?
bool read_range(const Range& r, bool stream, Accept& out) {
  out = {};
  if (r.type == "application/yaml") out.format = Accept::Format::Yaml;
  else if (r.type == api::wire::kMediaType) out.format = Accept::Format::Protobuf;
  else if (r.type != "application/json" && r.wildcards == 0) return false;
  if (stream && out.format == Accept::Format::Yaml) return false;
  if (std::string s = parameter(r.text, "stream"); !s.empty() && (!stream || s != "watch")) return false;
  std::string as = parameter(r.text, "as");
  if (as.empty()) return true;
  if (parameter(r.text, "v") != "v1" || parameter(r.text, "g") != "meta.k8s.io") return false;
  if (as == "Table") out.form = Accept::Form::Table;
  else if (as == "PartialObjectMetadata" || as == "PartialObjectMetadataList") out.form = Accept::Form::PartialMetadata;
  else return false;
  return out.form != Accept::Form::Table || out.format != Accept::Format::Protobuf;
}

}  // namespace

Result<Accept> read_accept(std::string_view header, bool stream) {
  if (trim(header).empty()) return Accept{};
  Accept out;
  for (const Range& r : ranges_of(header))
    if (read_range(r, stream, out)) return out;
  return Status(Reason::NotAcceptable, stream ? "only the following media types are accepted: application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
                                              : "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf");
}

Result<Accept> read_accept(const net::Request& request, bool stream) {
  std::string all;
  for (auto header : request.headers.all("Accept")) all.append(all.empty() ? "" : ",").append(header);
  return read_accept(all, stream);
}

bool wants_pretty(const net::Request& request) {
  auto yes = [](std::string_view v) { return v == "1" || v == "t" || v == "T" || v == "true" || v == "TRUE" || v == "True"; };
  if (std::string_view p = request.query.get("pretty"); !p.empty()) return yes(p);
  for (auto header : request.headers.all("Accept"))
    if (header.find("pretty") != header.npos)
      for (auto range : split(header, ','))
        if (yes(parameter(range, "pretty"))) return true;
  std::string_view agent = request.headers.get("User-Agent");
  return agent.starts_with("curl") || agent.starts_with("Wget") || agent.starts_with("Mozilla/5.0");
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
  if (object.revision == 0) return "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":" + metadata + "}";
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

namespace {

std::string table_head(const std::vector<api::Column>* definitions, const std::string& metadata) {
  std::string out = "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":" + metadata + ",\"columnDefinitions\":";
  if (!definitions) return out += "null,\"rows\":[";
  Node columns = Node::array();
  for (const auto& c : *definitions)
    columns.append(Node::obj({{"name", c.name}, {"type", c.type}, {"format", c.format}, {"description", c.description}, {"priority", c.priority}}));
  return out += columns.dump() + ",\"rows\":[";
}

void add_row(std::string& out, std::vector<Node> cells, const std::string& object) {
  Node list = Node::array();
  for (Node& cell : cells) list.append(std::move(cell));
  out += "{\"cells\":" + list.dump();
  if (!object.empty()) out += ",\"object\":" + object;
  out += '}';
}

}  // namespace

std::string table_text(const ResourceType& type, const std::vector<store::ObjectPtr>& items, std::string_view include, bool with_definitions, const std::string& metadata, Instant now) {
  std::string out = table_head(with_definitions ? &type.row->columns : nullptr, metadata);
  bool first = true;
  for (const auto& o : items) {
    if (!first) out += ',';
    first = false;
    json::Doc printed = o->doc;
    if (const api::Conversion* c = type.object.conversion) {  // columns are of what is stored
      Node n = printed.to_node();
      c->to_stored(n);
      printed = json::Doc::from(n);
    }
    add_row(out, type.row->rules.cells(printed.root(), now), include == "None" ? "" : include == "Object" ? served(o->doc, o->revision, type.object) : partial_metadata(type, *o));
  }
  return out += "]}";
}

namespace {

std::string document_metadata(const json::Doc& d) {
  std::string_view raw = d["metadata"].raw();
  return "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":" + (raw.empty() ? "{}" : std::string(raw)) + "}";
}

}  // namespace

std::string document_text(const Accept& accept, const json::Doc& d, std::string_view include, Instant now) {
  bool status = d["kind"].equals("Status");
  if (status || accept.form == Accept::Form::Object) return d.bytes();
  if (accept.form == Accept::Form::PartialMetadata) return document_metadata(d);
  auto printing = d["kind"].equals("Scale") ? api::printing_of("autoscaling", "scales") : api::printing_of("", "");
  std::string version = d.path("metadata.resourceVersion").str();
  std::string out = table_head(&printing.columns, version.empty() ? "{}" : "{\"resourceVersion\":" + json::quoted(version) + "}");
  add_row(out, printing.cells(d.root(), now), include == "None" ? "" : include == "Object" ? d.bytes() : document_metadata(d));
  return out += "]}";
}

}  // namespace k8lite::apiserver
