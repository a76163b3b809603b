#include "apiserver/http/render.h"

#include "api/wire/wire.h"
#include "base/yaml.h"

namespace k8lite::apiserver {
namespace {

using json::Node;
using Form = Accept::Form;
using Format = Accept::Format;

// ---- protobuf: what is put around the messages of the schema ----

void put_bytes(std::string& out, char number, std::string_view bytes) {
  out += static_cast<char>(number << 3 | 2);
  size_t n = bytes.size();
  for (; n >= 0x80; n >>= 7) out += static_cast<char>((n & 0x7f) | 0x80);
  out += static_cast<char>(n);
  out += bytes;
}

// runtime.Unknown behind the magic bytes.
std::string envelope(std::string_view api_version, std::string_view kind, std::string_view message) {
  std::string meta, unknown;
  put_bytes(meta, 1, api_version);
  put_bytes(meta, 2, kind);
  unknown.reserve(message.size() + 64);
  unknown.append("k8s\0", 4);
  put_bytes(unknown, 1, meta);
  put_bytes(unknown, 2, message);
  put_bytes(unknown, 3, "");
  put_bytes(unknown, 4, "");
  return unknown;
}

const api::schema::Type& meta_type(const char* name) { return *api::schema::find_type(name); }

Node with_revision(const store::Object& o) {
  Node n = o.doc.to_node();
  if (o.revision) n["metadata"].set("resourceVersion", std::to_string(o.revision));
  return n;
}

// The message of one object: itself or, as PartialObjectMetadata, its metadata as field 1.
std::string message_of(const ResourceType& type, const store::Object& o, bool partial) {
  Node n = with_revision(o);
  if (!partial) return api::wire::encode_message(n, *type.row->type);
  std::string out;
  put_bytes(out, 1, api::wire::encode_message(n.get("metadata"), meta_type("meta/v1.ObjectMeta")));
  return out;
}

constexpr const char* kMeta = "meta.k8s.io/v1";

Status no_protobuf() {
  return Status(Reason::NotAcceptable,
                "only the following media types are accepted: application/json, application/yaml");
}

Result<std::string> protobuf_document(const Node& n) {
  const std::string api_version = n.get("apiVersion").str(), kind = n.get("kind").str();
  size_t slash = api_version.find('/');
  std::string group = slash == api_version.npos ? "" : api_version.substr(0, slash),
              version = api_version.substr(slash == api_version.npos ? 0 : slash + 1);
  const api::schema::Type* type = api::schema::find_type_of_kind(group, version, kind);
  if (!type) return no_protobuf();
  return api::wire::encode(n, *type);
}

std::string protobuf_list(const ResourceType& type, const Page& page, bool partial) {
  std::string out;
  auto metadata = Node::parse(list_metadata(page));
  put_bytes(out, 1,
            api::wire::encode_message(metadata.ok() ? *metadata : Node::object(), meta_type("meta/v1.ListMeta")));
  for (const auto& o : page.items) put_bytes(out, 2, message_of(type, *o, partial));
  return partial ? envelope(kMeta, "PartialObjectMetadataList", out)
                 : envelope(api_version(type.object), type.row->list_kind(), out);
}

// ---- text ----

Rendered text(const Accept& accept, std::string json) {
  if (accept.format == Format::Json) return {std::move(json), "application/json"};
  auto node = Node::parse(json);
  if (!node.ok()) return {std::move(json), "application/json"};
  return {dump_yaml(*node), "application/yaml"};
}

Result<> check_include(std::string_view include) {
  if (include.empty() || include == "None" || include == "Metadata" || include == "Object") return {};
  return bad_request("Unable to convert to Table as requested: includeObject: Invalid value: " + json::quoted(include) +
                     ": must be 'Metadata', 'Object', 'None', or empty");
}

std::string revision_metadata(int64_t revision) { return "{\"resourceVersion\":\"" + std::to_string(revision) + "\"}"; }

bool speaks_protobuf(const ResourceType& type) {
  return api::schema::find_type_of_kind(type.row->group, type.row->version, type.row->kind) != nullptr;
}

}  // namespace

Result<Rendered> render(const Accept& accept, const Answer& answer, std::string_view include, Instant now) {
  if (!answer.object) {
    if (accept.form == Form::Table) TRY_OK(check_include(include));
    if (accept.format != Format::Protobuf) return text(accept, document_text(accept, answer.document, include, now));
    TRY(std::string bytes, protobuf_document(answer.document.to_node()));
    return Rendered{std::move(bytes), std::string(api::wire::kMediaType)};
  }
  if (accept.form == Form::Table) {
    TRY_OK(check_include(include));
    return text(accept, table_text(*answer.type, {answer.object}, include, true,
                                   revision_metadata(answer.object->revision), now));
  }
  bool partial = accept.form == Form::PartialMetadata;
  if (accept.format != Format::Protobuf)
    return text(accept, partial ? partial_metadata(*answer.type, *answer.object) : answer.text());
  if (!partial && !speaks_protobuf(*answer.type)) return no_protobuf();
  std::string message = message_of(*answer.type, *answer.object, partial);
  return Rendered{partial ? envelope(kMeta, "PartialObjectMetadata", message)
                          : envelope(api_version(answer.type->object), answer.type->row->kind, message),
                  std::string(api::wire::kMediaType)};
}

Result<Rendered> render_list(const Accept& accept, ResourceTypePtr held, Page page, std::string_view include,
                             Instant now) {
  const ResourceType& type = *held;
  if (accept.form == Form::Table) {
    TRY_OK(check_include(include));
    return text(accept, table_text(type, page.items, include, true, list_metadata(page), now));
  }
  bool partial = accept.form == Form::PartialMetadata;
  if (accept.format != Format::Protobuf) {
    ListText pieces(held, std::move(page), partial);
    std::string all;
    while (pieces.next(all)) {
    }
    return text(accept, std::move(all));
  }
  if (!partial && !speaks_protobuf(type)) return no_protobuf();
  return Rendered{protobuf_list(type, page, partial), std::string(api::wire::kMediaType)};
}

Rendered render_status(const Accept& accept, const Status& status, const std::string& continue_token) {
  Node n = status_object(status);
  if (!continue_token.empty()) n["metadata"].set("continue", continue_token);
  if (accept.format == Format::Protobuf)
    if (auto bytes = protobuf_document(n); bytes.ok())
      return {std::move(bytes).value(), std::string(api::wire::kMediaType)};
  return text(accept, n.dump());
}

// ---- watches ----

std::string EventWriter::content_type() const {
  return accept_.format == Format::Protobuf ? std::string(api::wire::kMediaType) + ";stream=watch" : "application/json";
}

// JSON: one object after the other. Protobuf: a message meta.v1.WatchEvent behind its length in four bytes.
void EventWriter::frame(std::string& out, std::string_view name, std::string_view object) const {
  if (accept_.format != Format::Protobuf) {
    out.append("{\"type\":\"").append(name).append("\",\"object\":").append(object).append("}\n");
    return;
  }
  std::string event, raw;
  put_bytes(raw, 1, object);
  put_bytes(event, 1, name);
  put_bytes(event, 2, raw);
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(event.size() >> shift & 0xff);
  out += event;
}

void EventWriter::add_object(std::string& out, std::string_view name, const store::ObjectPtr& object, bool bookmark,
                             Instant now) {
  if (accept_.form == Form::Table) {
    frame(out, name,
          table_text(*type_, bookmark ? std::vector<store::ObjectPtr>{} : std::vector<store::ObjectPtr>{object},
                     include_object_, first_, revision_metadata(object->revision), now));
    first_ = false;
    return;
  }
  bool partial = accept_.form == Form::PartialMetadata;
  if (accept_.format != Format::Protobuf)
    return frame(out, name,
                 partial ? partial_metadata(*type_, *object) : served(object->doc, object->revision, type_->object));
  std::string message = message_of(*type_, *object, partial);
  frame(out, name,
        partial ? envelope(kMeta, "PartialObjectMetadata", message)
                : envelope(api_version(type_->object), type_->row->kind, message));
}

void EventWriter::add(std::string& out, const WatchItem& item, Instant now) {
  using Type = machinery::WatchEvent::Type;
  if (!item.object) return add_bookmark(out, item.revision, true, now);
  add_object(out,
             item.type == Type::Added     ? "ADDED"
             : item.type == Type::Deleted ? "DELETED"
                                          : "MODIFIED",
             item.object, false, now);
}

void EventWriter::add_bookmark(std::string& out, int64_t revision, bool initial_end, Instant now) {
  Node metadata = Node::object();
  if (initial_end) metadata["annotations"].set("k8s.io/initial-events-end", "true");
  auto object = std::make_shared<store::Object>();
  object->doc = json::Doc::from(Node::obj({{"metadata", std::move(metadata)}}));
  object->revision = revision;
  add_object(out, "BOOKMARK", object, true, now);
}

void EventWriter::add_error(std::string& out, const Status& status) {
  frame(out, "ERROR", render_status(accept_, status).body);
}

}  // namespace k8lite::apiserver
