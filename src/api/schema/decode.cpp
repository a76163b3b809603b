// Decoding a body against its type: what Go's decoder does to a request upstream, in one walk over the tree.
#include <cmath>

#include "api/schema/schema.h"
#include "base/clock.h"
#include "base/quantity.h"
#include "base/strings.h"

namespace k8lite::api::schema {
namespace {

using json::Node;

struct Walk {
  std::vector<std::string>* issues;
};

std::string_view go_kind(const Node& n) {
  switch (n.kind()) {
    case json::Kind::String: return "string";
    case json::Kind::Bool: return "bool";
    case json::Kind::Number: return "number";
    case json::Kind::Array: return "array";
    default: return "object";
  }
}

std::string_view go_type(const Field& f) {
  switch (f.base) {
    case Base::Bool: return "bool";
    case Base::Int32: return "int32";
    case Base::Int64: return "int64";
    case Base::Double: return "float64";
    case Base::Bytes: return "[]uint8";
    default: return "string";
  }
}

std::string last_part(std::string_view type_name) {
  size_t dot = type_name.rfind('.');
  return std::string(type_name.substr(dot == type_name.npos ? 0 : dot + 1));
}

Status wrong_kind(const Node& value, const Type& owner, const std::string& path, std::string_view wanted) {
  std::string got(go_kind(value));
  if (value.is_number() && wanted.starts_with("int")) got += " " + value.dump();
  return bad_request("json: cannot unmarshal " + got + " into Go struct field " + last_part(owner.name) + "." + path + " of type " + std::string(wanted));
}

Result<> decode_quantity(Node& value, const std::string& path) {
  auto q = Quantity::parse(value.is_string() ? value.str() : value.dump());
  if (!q || (!value.is_string() && !value.is_number()))
    return bad_request(path + ": quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
  value = Node(q->str());
  return {};
}

Result<> decode_time(Node& value, const Field& field, const Type& owner, const std::string& path) {
  if (!value.is_string()) return wrong_kind(value, owner, path, "string");
  auto t = parse_rfc3339(value.str());
  if (!t) return bad_request(path + ": parsing time " + json::quoted(value.str()) + ": it is not of the form 2006-01-02T15:04:05Z07:00");
  value = Node(field.base == Base::MicroTime ? rfc3339_micro(*t) : rfc3339(*t));
  return {};
}

Result<> decode_integer(Node& value, const Field& field, const Type& owner, const std::string& path) {
  if (!value.is_number()) return wrong_kind(value, owner, path, go_type(field));
  if (!value.is_integer()) {
    double d = value.double_or(0);
    if (d != std::floor(d) || std::abs(d) > 9e15) return wrong_kind(value, owner, path, go_type(field));
    value = Node(static_cast<int64_t>(d));
  }
  int64_t n = value.int_or(0);
  if (field.base == Base::Int32 && (n > INT32_MAX || n < INT32_MIN)) return wrong_kind(value, owner, path, "int32");
  return {};
}

Result<> decode_object(Node& object, const Type& type, const std::string& path, Walk walk);

Result<> decode_one(Node& value, const Field& field, const Type& owner, const std::string& path, Walk walk) {
  switch (field.base) {
    case Base::Raw: return {};
    case Base::Object:
      if (!value.is_object()) return wrong_kind(value, owner, path, last_part(field.type->name));
      return decode_object(value, *field.type, path, walk);
    case Base::String:
      if (!value.is_string()) return wrong_kind(value, owner, path, "string");
      return {};
    case Base::Bool:
      if (!value.is_bool()) return wrong_kind(value, owner, path, "bool");
      return {};
    case Base::Int32:
    case Base::Int64: return decode_integer(value, field, owner, path);
    case Base::Double:
      if (!value.is_number()) return wrong_kind(value, owner, path, "float64");
      return {};
    case Base::Bytes:
      if (!value.is_string()) return wrong_kind(value, owner, path, "[]uint8");
      if (!base64_decode(value.str())) return bad_request(path + ": illegal base64 data");
      return {};
    case Base::Quantity: return decode_quantity(value, path);
    case Base::IntOrString:
      if (value.is_string()) return {};
      return decode_integer(value, field, owner, path);
    case Base::Time:
    case Base::MicroTime: return decode_time(value, field, owner, path);
  }
  return {};
}

Result<> decode_list(Node& list, const Field& field, const Type& owner, const std::string& path, Walk walk) {
  if (!list.is_array()) return wrong_kind(list, owner, path, field.base == Base::Object ? "[]" + std::string(field.type->name) : "[]" + std::string(go_type(field)));
  for (size_t i = 0; i < list.items().size(); ++i) {
    Node& item = list.items()[i];
    if (item.is_null() && field.base == Base::Object) item = Node::object();
    // Go names list items without their index in type errors, but with it in strict ones.
    TRY_OK(decode_one(item, field, owner, path + "[" + std::to_string(i) + "]", walk));
  }
  return {};
}

Result<> decode_map(Node& map, const Field& field, const Type& owner, const std::string& path, Walk walk) {
  if (!map.is_object()) return wrong_kind(map, owner, path, "map[string]" + std::string(go_type(field)));
  for (auto& [key, value] : map.members()) {
    if (value.is_null() && field.base == Base::String) value = Node("");
    TRY_OK(decode_one(value, field, owner, path + "." + key, walk));
  }
  return {};
}

Result<> decode_object(Node& object, const Type& type, const std::string& path, Walk walk) {
  std::vector<Node::Member> kept;
  kept.reserve(object.members().size());
  for (auto& member : object.members()) {
    const Field* field = type.find(member.first);
    std::string here = path.empty() ? member.first : path + "." + member.first;
    if (!field) {
      if (walk.issues) walk.issues->push_back("unknown field \"" + here + "\"");
      continue;
    }
    if (member.second.is_null()) continue;
    switch (field->shape) {
      case Shape::Single: TRY_OK(decode_one(member.second, *field, type, here, walk)); break;
      case Shape::List: TRY_OK(decode_list(member.second, *field, type, here, walk)); break;
      case Shape::Map: TRY_OK(decode_map(member.second, *field, type, here, walk)); break;
    }
    kept.push_back(std::move(member));
  }
  object.members() = std::move(kept);
  return {};
}

// Calls fn(child, its type, its path) for every object below.
template <class N, class Fn>
void each_child(N& object, const Type& type, const std::string& path, Fn fn) {
  for (auto& member : object.members()) {
    const Field* field = type.find(member.first);
    if (!field || field->base != Base::Object) continue;
    std::string here = path.empty() ? member.first : path + "." + member.first;
    if (field->shape == Shape::Single) {
      if (member.second.is_object()) fn(member.second, *field->type, here);
    } else if (field->shape == Shape::List) {
      size_t i = 0;
      for (auto& item : member.second.items()) fn(item, *field->type, here + "[" + std::to_string(i++) + "]");
    } else {
      for (auto& entry : member.second.members()) fn(entry.second, *field->type, here + "." + entry.first);
    }
  }
}

void check_required_at(const Node& object, const Type& type, const std::string& path, std::vector<Cause>& causes) {
  for (const Field& field : type.fields) {
    if (!field.required) continue;
    const Node& value = object.get(field.name);
    bool absent = !value.exists() || (field.base == Base::String && field.shape == Shape::Single && value.str().empty());
    if (!absent) continue;
    std::string here = path.empty() ? std::string(field.name) : path + "." + std::string(field.name);
    // Go structs hold a zero value for a required object or number: only texts and lists are seen to be missing.
    if (field.shape == Shape::Single && field.base != Base::String) continue;
    if (field.shape == Shape::List && field.name != "containers") continue;
    causes.push_back({"FieldValueRequired", "Required value", here});
  }
  each_child(object, type, path, [&causes](const Node& child, const Type& t, const std::string& p) {
    // Status is the server's own, metadata has rules of its own.
    if (t.name != "meta/v1.ObjectMeta" && p != "status") check_required_at(child, t, p, causes);
  });
}

}  // namespace

Result<> decode(Node& object, const Type& type, std::vector<std::string>* issues) {
  if (!object.is_object()) return bad_request("the object is a JSON " + std::string(go_kind(object)) + ", not an object");
  auto r = decode_object(object, type, "", {issues});
  if (r.ok()) return r;
  size_t slash = type.gvk.find('/');
  std::string_view version_kind = type.gvk.empty() ? type.name : type.gvk.substr(slash + 1);
  std::string version(version_kind.substr(0, version_kind.find('/'))), kind = last_part(type.name);
  return std::move(r).status().within(kind + " in version \"" + version + "\" cannot be handled as a " + kind);
}

void apply_defaults(Node& object, const Type& type) {
  for (const Field& field : type.fields)
    if (!field.default_json.empty() && !object.get(field.name).exists()) object.set(field.name, Node::parse(field.default_json).value());
  each_child(object, type, "", [](Node& child, const Type& t, const std::string&) { apply_defaults(child, t); });
}

void check_required(const Node& object, const Type& type, std::vector<Cause>& causes) { check_required_at(object, type, "", causes); }

}  // namespace k8lite::api::schema
