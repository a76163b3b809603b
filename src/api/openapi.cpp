// OpenAPI documents from the schema and the kinds: enough for kubectl explain, kubectl apply's checks and client generators: every type
// with its fields, list and patch extensions, and a path entry for each verb.
#include <algorithm>
#include <set>

#include "api/custom/version.h"
#include "api/docs.h"
#include "base/strings.h"

namespace k8lite::api {
namespace {

using json::Node;
using schema::Base;
using schema::Field;
using schema::Shape;
using schema::Type;

struct Dialect {
  std::string ref_prefix;  // "#/components/schemas/" or "#/definitions/"
  bool v3;
  const Docs* docs;
};

constexpr const char *kIntOrString = "io.k8s.apimachinery.pkg.util.intstr.IntOrString", *kQuantity = "io.k8s.apimachinery.pkg.api.resource.Quantity";

// What is a text or a number has a name of its own in version 3, which kubectl explain shows.
void add_either(Node& schemas) {
  schemas.set(kIntOrString, Node::obj({{"oneOf", Node::arr({Node::obj({{"type", "integer"}}), Node::obj({{"type", "string"}})})}, {"format", "int-or-string"},
                                       {"description", "A number or a text, such as a port's number or name, or a percentage."}}));
  schemas.set(kQuantity, Node::obj({{"oneOf", Node::arr({Node::obj({{"type", "string"}}), Node::obj({{"type", "number"}})})},
                                    {"description", "An amount with a suffix: 500m, 2, 64Mi, 1.5G."}}));
}

Node scalar(Base base) {
  switch (base) {
    case Base::Bool: return Node::obj({{"type", "boolean"}});
    case Base::Int32: return Node::obj({{"type", "integer"}, {"format", "int32"}});
    case Base::Int64: return Node::obj({{"type", "integer"}, {"format", "int64"}});
    case Base::Double: return Node::obj({{"type", "number"}, {"format", "double"}});
    case Base::Bytes: return Node::obj({{"type", "string"}, {"format", "byte"}});
    case Base::IntOrString: return Node::obj({{"type", "string"}, {"format", "int-or-string"}});
    case Base::Time:
    case Base::MicroTime: return Node::obj({{"type", "string"}, {"format", "date-time"}});
    case Base::Raw: return Node::obj({{"type", "object"}});
    default: return Node::obj({{"type", "string"}});
  }
}

Node item_schema(const Field& f, const Dialect& d) {
  const char* either = !d.v3 ? nullptr : f.base == Base::IntOrString ? kIntOrString : f.base == Base::Quantity ? kQuantity : nullptr;
  if (either && f.shape == Shape::Single) return Node::obj({{"allOf", Node::arr({Node::obj({{"$ref", d.ref_prefix + either}})})}});
  if (either) return Node::obj({{"$ref", d.ref_prefix + either}});
  if (f.base != Base::Object) {
    Node n = scalar(f.base);
    if (d.v3 && !f.enum_values.empty())
      for (auto value : split(f.enum_values, '|')) n["enum"].append(std::string(value));
    return n;
  }
  Node ref = Node::obj({{"$ref", d.ref_prefix + schema::openapi_name(f.type->name)}});
  // In v3 a reference stands in allOf, so that a default may stand beside it.
  if (d.v3 && f.shape == Shape::Single) return Node::obj({{"allOf", Node::arr({std::move(ref)})}, {"default", Node::object()}});
  return ref;
}

Node field_schema(const Type& type, const Field& f, const Dialect& d) {
  Node n;
  if (f.shape == Shape::Single) n = item_schema(f, d);
  else if (f.shape == Shape::List) n = Node::obj({{"type", "array"}, {"items", item_schema(f, d)}});
  else n = Node::obj({{"type", "object"}, {"additionalProperties", item_schema(f, d)}});
  if (f.shape == Shape::List) {
    n.set("x-kubernetes-list-type", f.list_type == schema::ListType::Map ? "map" : f.list_type == schema::ListType::Set ? "set" : "atomic");
    for (auto key : f.list_map_keys) n["x-kubernetes-list-map-keys"].append(std::string(key));
  }
  if (!f.merge_key.empty()) n.set("x-kubernetes-patch-merge-key", std::string(f.merge_key));
  if (f.merge || f.retain_keys || f.replace)
    n.set("x-kubernetes-patch-strategy", f.replace ? "replace" : f.merge && f.retain_keys ? "merge,retainKeys" : f.merge ? "merge" : "retainKeys");
  if (!f.default_json.empty() && f.base != Base::Object) n.set("default", Node::parse(f.default_json).value());
  if (auto text = d.docs->of(type.name, f.name); !text.empty()) n.set("description", text);
  return n;
}

Node kind_extension(std::string_view group, std::string_view version, std::string_view kind) {
  return Node::obj({{"group", std::string(group)}, {"kind", std::string(kind)}, {"version", std::string(version)}});
}

Node type_schema(const Type& type, const Dialect& d) {
  Node n = Node::obj({{"type", "object"}});
  if (auto text = d.docs->of(type.name, ""); !text.empty()) n.set("description", text);
  for (const Field& f : type.fields) {
    n["properties"].set(f.name, field_schema(type, f, d));
    if (f.required) n["required"].append(std::string(f.name));
  }
  if (type.atomic) n.set("x-kubernetes-map-type", "atomic");
  if (!type.gvk.empty()) {
    auto parts = split(type.gvk, '/');
    n["x-kubernetes-group-version-kind"].append(kind_extension(parts[0], parts[1], parts[2]));
  }
  return n;
}

void collect(const Type* type, std::set<const Type*>& seen) {
  if (!type || !seen.insert(type).second) return;
  for (const Field& f : type->fields) collect(f.type, seen);
}

Node parameter(const char* name, const char* type, const Dialect& d) {
  Node p = Node::obj({{"name", name}, {"in", "query"}});
  if (d.v3) p["schema"] = Node::obj({{"type", type}, {"uniqueItems", true}});
  else p.set("type", type), p.set("uniqueItems", true);
  return p;
}

Node operation(const KindRow& row, const char* action, const char* verb, const Dialect& d, std::string_view ref) {
  Node op = Node::obj({{"operationId", std::string(verb) + row.group + row.version + row.kind}});
  op.set("x-kubernetes-action", action);
  op.set("x-kubernetes-group-version-kind", kind_extension(row.group, row.version, row.kind));
  bool writes = std::string_view(action) == "post" || std::string_view(action) == "put" || std::string_view(action) == "patch";
  if (writes)
    for (const char* p : {"dryRun", "fieldManager", "fieldValidation"}) op["parameters"].append(parameter(p, "string", d));
  if (std::string_view(action) == "patch") op["parameters"].append(parameter("force", "boolean", d));
  Node schema_ref = Node::obj({{"$ref", d.ref_prefix + std::string(ref)}});
  if (d.v3) op["responses"]["200"] = Node::obj({{"description", "OK"}, {"content", Node::obj({{"application/json", Node::obj({{"schema", schema_ref}})}})}});
  else op["responses"]["200"] = Node::obj({{"description", "OK"}, {"schema", schema_ref}});
  return op;
}

// "com.example.stable.v1.CronTab"
std::string custom_name(const KindRow& row, const std::string& kind) {
  auto parts = split_strings(row.group, '.');
  std::reverse(parts.begin(), parts.end());
  return join(parts, ".") + "." + row.version + "." + kind;
}

// What version 2 cannot say of a schema goes: clients that check objects by it must not refuse what the server takes.
void fit_v2(Node& s) {
  for (const char* f : {"allOf", "anyOf", "oneOf", "not", "default"}) s.erase(f);
  bool preserve = s.get("x-kubernetes-preserve-unknown-fields").bool_or(false), nullable = s.get("nullable").bool_or(false), either = s.get("x-kubernetes-int-or-string").bool_or(false);
  s.erase("nullable");
  if (nullable || either) s.erase("type");
  if (preserve || nullable || either)
    for (const char* f : {"items", "properties", "additionalProperties", "required"}) s.erase(f);
  for (const char* f : {"items", "additionalProperties"})
    if (Node* child = s.find(f); child && child->is_object()) fit_v2(*child);
  if (Node* properties = s.find("properties"))
    for (auto& [name, p] : properties->members()) fit_v2(p);
}

Node described(const char* type, const std::string& text) { return Node::obj({{"description", text}, {"type", type}}); }

void add_type_and_metadata(Node& properties, const char* metadata, const Dialect& d) {
  properties.set("apiVersion", described("string", "The group and version of this object's kind, such as apps/v1."));
  properties.set("kind", described("string", "The kind of this object, in CamelCase."));
  Node ref = Node::obj({{"$ref", d.ref_prefix + schema::openapi_name(metadata)}});
  Node& m = properties["metadata"];
  if (d.v3) m = Node::obj({{"description", "What every object carries: name, labels, owners."}, {"allOf", Node::arr({std::move(ref)})}});
  else m = Node::obj({{"description", "What every object carries: name, labels, owners."}, {"$ref", ref.get("$ref")}});
}

void add_custom(Node& schemas, const KindRow& row, const Dialect& d) {
  Node object = row.custom->published.to_node();
  if (!d.v3) fit_v2(object);
  if (object.get("type").str().empty()) object.set("type", "object");
  // A client that reads version 2 takes any field of a type without properties, but of no other.
  bool any_field = !d.v3 && object.get("x-kubernetes-preserve-unknown-fields").bool_or(false);
  if (!any_field) add_type_and_metadata(object["properties"], "meta/v1.ObjectMeta", d);
  object["x-kubernetes-group-version-kind"] = Node::arr({kind_extension(row.group, row.version, row.kind)});
  for (const auto& f : row.field_selectors) object["x-kubernetes-selectable-fields"].append(Node::obj({{"fieldPath", f}}));
  std::string name = custom_name(row, row.kind);
  Node list = described("object", "A list of " + row.kind + ".");
  list["required"].append("items");
  add_type_and_metadata(list["properties"], "meta/v1.ListMeta", d);
  list["properties"]["items"] = Node::obj({{"description", "The objects."}, {"type", "array"}, {"items", Node::obj({{"$ref", d.ref_prefix + name}})}});
  list["x-kubernetes-group-version-kind"] = Node::arr({kind_extension(row.group, row.version, row.list_kind())});
  schemas.set(name, std::move(object));
  schemas.set(custom_name(row, row.list_kind()), std::move(list));
}

void add_paths(Node& paths, const KindRow& row, const Dialect& d) {
  std::string base = (row.group.empty() ? "/api/" : "/apis/" + row.group + "/") + row.version + "/" + (row.namespaced ? "namespaces/{namespace}/" : "") + row.plural;
  std::string ref = row.custom ? custom_name(row, row.kind) : schema::openapi_name(row.type->name), list_ref = row.custom ? custom_name(row, row.list_kind()) : ref + "List";
  auto has = [&row](std::string_view verb) { return std::find(row.verbs.begin(), row.verbs.end(), verb) != row.verbs.end(); };
  if (has("list")) paths[base].set("get", operation(row, "list", "list", d, list_ref));
  if (has("create")) paths[base].set("post", operation(row, "post", "create", d, ref));
  if (has("deletecollection")) paths[base].set("delete", operation(row, "deletecollection", "deletecollection", d, ref));
  std::string one = base + "/{name}";
  if (has("get")) paths[one].set("get", operation(row, "get", "read", d, ref));
  if (has("update")) paths[one].set("put", operation(row, "put", "replace", d, ref));
  if (has("patch")) paths[one].set("patch", operation(row, "patch", "patch", d, ref));
  if (has("delete")) paths[one].set("delete", operation(row, "delete", "delete", d, ref));
}

Node info() { return Node::obj({{"title", "Kubernetes"}, {"version", "v1.36.0"}}); }

void add_kind(std::set<const Type*>& types, Node& schemas, const KindRow& row, const Dialect& d) {
  if (row.custom) {
    add_custom(schemas, row, d);
    for (const char* common : {"meta/v1.ObjectMeta", "meta/v1.ListMeta"}) collect(schema::find_type(common), types);
  } else {
    collect(row.type, types);
    std::string list = std::string(row.type->name) + "List";
    collect(schema::find_type(list), types);
  }
  for (const char* common : {"meta/v1.DeleteOptions", "meta/v1.Status"}) collect(schema::find_type(common), types);
}

}  // namespace

Node openapi_v3(std::string_view group, std::string_view version, const std::vector<KindPtr>& kinds) {
  Docs docs;
  Dialect d{"#/components/schemas/", true, &docs};
  Node paths = Node::object(), schemas = Node::object();
  std::set<const Type*> types;
  for (const KindPtr& row : kinds) {
    if (row->group != group || row->version != version || !row->type) continue;
    add_kind(types, schemas, *row, d);
    add_paths(paths, *row, d);
  }
  if (!types.empty()) add_either(schemas);
  for (const Type* t : types) schemas.set(schema::openapi_name(t->name), type_schema(*t, d));
  return Node::obj({{"openapi", "3.0.0"}, {"info", info()}, {"paths", std::move(paths)}, {"components", Node::obj({{"schemas", std::move(schemas)}})}});
}

Node openapi_v2(const std::vector<KindPtr>& kinds) {
  Docs docs;
  Dialect d{"#/definitions/", false, &docs};
  Node paths = Node::object(), definitions = Node::object();
  std::set<const Type*> types;
  for (const KindPtr& row : kinds) {
    if (!row->type) continue;
    add_kind(types, definitions, *row, d);
    add_paths(paths, *row, d);
  }
  for (const Type* t : types) definitions.set(schema::openapi_name(t->name), type_schema(*t, d));
  return Node::obj({{"swagger", "2.0"}, {"info", info()}, {"paths", std::move(paths)}, {"definitions", std::move(definitions)}});
}

}  // namespace k8lite::api
