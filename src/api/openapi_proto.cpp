// The OpenAPI v2 document as protobuf. kubectl validates on its own side, whenever the server's validation does not know a kind, with
// this form and no other. Field numbers: OpenAPIv2.proto of gnostic; what our documents do not contain is not written.
#include "api/kinds.h"

namespace k8lite::api {
namespace {

using json::Node;

// A message under construction.
struct Message {
  std::string bytes;

  void varint(uint64_t v) {
    for (; v >= 0x80; v >>= 7) bytes += static_cast<char>(v | 0x80);
    bytes += static_cast<char>(v);
  }
  void text(unsigned number, std::string_view s) {
    varint(uint64_t{number} << 3 | 2);
    varint(s.size());
    bytes.append(s);
  }
  void message(unsigned number, const Message& m) { text(number, m.bytes); }
  void flag(unsigned number, bool v) {
    varint(uint64_t{number} << 3);
    varint(v);
  }
  // The text of a member, when the object has it.
  void member(unsigned number, const Node& object, std::string_view name) {
    if (const Node& v = object.get(name); v.is_string()) text(number, v.str());
  }
};

// Any{yaml=2}: JSON is YAML.
Message any(const Node& value) {
  Message m;
  m.text(2, value.dump());
  return m;
}

// NamedX{name=1, value=2}
Message named(std::string_view name, const Message& value) {
  Message m;
  m.text(1, name);
  m.message(2, value);
  return m;
}

void put_extensions(Message& m, unsigned number, const Node& object) {
  for (const auto& [key, value] : object.members())
    if (key.starts_with("x-")) m.message(number, named(key, any(value)));
}

Message schema_message(const Node& s) {
  Message m;
  m.member(1, s, "$ref");
  m.member(2, s, "format");
  m.member(4, s, "description");
  if (s.get("default").exists()) m.message(5, any(s.get("default")));
  for (const Node& name : s.get("required").items()) m.text(19, name.str());
  if (s.get("additionalProperties").is_object()) {
    Message item;
    item.message(1, schema_message(s.get("additionalProperties")));
    m.message(21, item);
  }
  if (s.get("type").is_string()) {
    Message type;
    type.text(1, s.get("type").str());
    m.message(22, type);
  }
  if (s.get("items").is_object()) {
    Message items;
    items.message(1, schema_message(s.get("items")));
    m.message(23, items);
  }
  if (s.get("properties").is_object()) {
    Message properties;
    for (const auto& [name, value] : s.get("properties").members()) properties.message(1, named(name, schema_message(value)));
    m.message(25, properties);
  }
  put_extensions(m, 31, s);
  return m;
}

// A query parameter: ParametersItem.parameter.non_body_parameter.query_parameter_sub_schema.
Message parameter_message(const Node& p) {
  Message query, non_body, parameter, item;
  query.member(2, p, "in");
  query.member(4, p, "name");
  query.member(6, p, "type");
  if (p.get("uniqueItems").bool_or(false)) query.flag(20, true);
  non_body.message(3, query);
  parameter.message(2, non_body);
  item.message(1, parameter);
  return item;
}

Message operation_message(const Node& op) {
  Message m;
  m.member(5, op, "operationId");
  for (const Node& p : op.get("parameters").items()) m.message(8, parameter_message(p));
  Message responses;
  for (const auto& [code, r] : op.get("responses").members()) {
    Message response, schema, value;
    response.member(1, r, "description");
    schema.message(1, schema_message(r.get("schema")));
    response.message(2, schema);
    value.message(1, response);
    responses.message(1, named(code, value));
  }
  m.message(9, responses);
  put_extensions(m, 13, op);
  return m;
}

}  // namespace

std::string openapi_v2_protobuf(const Node& document) {
  Message out, info, paths, definitions;
  out.member(1, document, "swagger");
  info.member(1, document.get("info"), "title");
  info.member(2, document.get("info"), "version");
  out.message(2, info);
  static constexpr std::pair<std::string_view, unsigned> kVerbs[] = {{"get", 2}, {"put", 3}, {"post", 4}, {"delete", 5}, {"patch", 8}};
  for (const auto& [path, operations] : document.get("paths").members()) {
    Message item;
    for (auto [verb, number] : kVerbs)
      if (operations.get(verb).is_object()) item.message(number, operation_message(operations.get(verb)));
    paths.message(2, named(path, item));
  }
  out.message(8, paths);
  for (const auto& [name, schema] : document.get("definitions").members()) definitions.message(1, named(name, schema_message(schema)));
  out.message(9, definitions);
  return out.bytes;
}

}  // namespace k8lite::api
