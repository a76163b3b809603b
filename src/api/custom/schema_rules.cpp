// Structural schemas (KEP "Vanilla OpenAPI subset: structural schema"): each field is described once, outside of allOf,
// anyOf, oneOf and not, which may only restrict; and what Kubernetes' extensions demand of the schema they stand in.
#include <re2/re2.h>

#include <algorithm>
#include <set>

#include "api/custom/definition_rules.h"
#include "api/custom/structural.h"
#include "api/rules/rules.h"

namespace k8lite::api::custom {
namespace {

using json::Node;
using rules::Causes;

enum class Level { Root, Item, Field };

std::string keyed(const std::string& path, std::string_view list, std::string_view key) {
  return path + "." + std::string(list) + "[" + std::string(key) + "]";
}

bool says(const Node& schema, std::string_view name) { return schema.get(name).bool_or(false); }

void not_supported(Causes& c, const std::string& path, const Node& value, std::string_view supported) {
  c.push_back({"FieldValueNotSupported",
               "Unsupported value: " + value.dump() + ": supported values: " + std::string(supported), path});
}

// ---- keywords that no schema may have ----

void check_forbidden(const Node& s, const std::string& path, Causes& c) {
  for (const char* name : {"id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"})
    if (!s.get(name).empty() || s.get(name).is_bool())
      rules::forbidden(c, path + "." + name, std::string(name) + " is not supported");
  if (s.get("type").str() == "null")
    rules::forbidden(c, path + ".type", "type cannot be set to null, use nullable as an alternative");
  if (s.get("items").is_array()) rules::forbidden(c, path + ".items", "items must be a schema object and not an array");
  if (says(s, "uniqueItems"))
    rules::forbidden(c, path + ".uniqueItems",
                     "uniqueItems cannot be set to true since the runtime complexity becomes quadratic");
  const Node& additional = s.get("additionalProperties");
  if (s.get("properties").size() && additional.exists() && !additional.bool_or(false))
    rules::forbidden(c, path + ".additionalProperties", "additionalProperties and properties are mutual exclusive");
  if (const Node& p = s.get("pattern"); !p.str().empty()) {
    re2::RE2 regex(p.str(), re2::RE2::Quiet);
    if (!regex.ok())
      rules::invalid(c, path + ".pattern", p, "must be a valid regular expression, but isn't: " + regex.error());
  }
}

// ---- x-kubernetes-list-type, x-kubernetes-map-type ----

void check_list_keys(const Node& s, const std::string& path, Causes& c) {
  const Node &keys = s.get("x-kubernetes-list-map-keys"), &items = s.get("items");
  if (keys.size() == 0)
    rules::required(c, path + ".x-kubernetes-list-map-keys", "must not be empty if x-kubernetes-list-type is map");
  if (!items.is_object())
    return rules::required(c, path + ".items", "must have a schema if x-kubernetes-list-type is map");
  if (items.get("type").str() != "object")
    rules::invalid(c, path + ".items.type", items.get("type").str(),
                   "must be object if parent array's x-kubernetes-list-type is map");
  std::set<std::string> seen;
  for (size_t i = 0; i < keys.items().size(); ++i) {
    const std::string& key = keys.items()[i].str();
    if (!seen.insert(key).second)
      rules::duplicate(c, path + ".x-kubernetes-list-map-keys[" + std::to_string(i) + "]", key);
    const Node& p = items.get("properties").get(key);
    if (!p.exists()) {
      rules::invalid(c, path + ".x-kubernetes-list-map-keys", keys, "entries must all be names of item properties");
      continue;
    }
    const std::string &type = p.get("type").str(), here = keyed(path + ".items", "properties", key);
    if (type == "object" || type == "array")
      rules::invalid(c, here + ".type", type, "must be a scalar type if parent array's x-kubernetes-list-type is map");
    const auto& required = items.get("required").items();
    bool is_required = std::any_of(required.begin(), required.end(), [&key](const Node& r) { return r.str() == key; });
    if (!is_required && !p.get("default").exists())
      rules::required(
          c, here + ".default",
          "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property");
  }
}

void check_topology(const Node& s, const std::string& path, Causes& c) {
  const Node &list = s.get("x-kubernetes-list-type"), &map = s.get("x-kubernetes-map-type"), &items = s.get("items");
  const std::string& type = s.get("type").str();
  auto wants_type = [&](const char* wanted, const char* because) {
    std::string why = std::string("must be ") + wanted + " if " + because + " is specified";
    if (type.empty())
      rules::required(c, path + ".type", why);
    else if (type != wanted)
      rules::invalid(c, path + ".type", type, why);
  };
  if (list.exists()) {
    wants_type("array", "x-kubernetes-list-type");
    if (list.str() != "atomic" && list.str() != "set" && list.str() != "map")
      not_supported(c, path + ".x-kubernetes-list-type", list, "\"atomic\", \"map\", \"set\"");
    if (list.str() == "map") check_list_keys(s, path, c);
  }
  if (s.get("x-kubernetes-list-map-keys").size() && list.str() != "map") {
    const char* why = "must be map if x-kubernetes-list-map-keys is non-empty";
    if (list.exists())
      rules::invalid(c, path + ".x-kubernetes-list-type", list, why);
    else
      rules::required(c, path + ".x-kubernetes-list-type", why);
  }
  if (list.str() == "set") {
    if (!items.is_object()) rules::required(c, path + ".items", "must have a schema if x-kubernetes-list-type is set");
    const char* why = "must be atomic as item of a list with x-kubernetes-list-type=set";
    if (items.get("type").str() == "object" && items.get("x-kubernetes-map-type").str() != "atomic")
      rules::required(c, path + ".items.x-kubernetes-map-type", why);
    if (items.get("type").str() == "array" && items.get("x-kubernetes-list-type").exists() &&
        items.get("x-kubernetes-list-type").str() != "atomic")
      rules::invalid(c, path + ".items.x-kubernetes-list-type", items.get("x-kubernetes-list-type"), why);
  }
  if (map.exists()) {
    wants_type("object", "x-kubernetes-map-type");
    if (map.str() != "atomic" && map.str() != "granular")
      not_supported(c, path + ".x-kubernetes-map-type", map, "\"atomic\", \"granular\"");
  }
}

// ---- restrictions below allOf, anyOf, oneOf and not ----

struct Forbidden {
  const char *name, *why;
};
constexpr Forbidden kNotStructural[] = {
    {"type", "must be empty to be structural"},
    {"additionalProperties", "must be undefined to be structural"},
    {"default", "must be undefined to be structural"},
    {"title", "must be empty to be structural"},
    {"description", "must be empty to be structural"},
    {"nullable", "must be false to be structural"},
    {"externalDocs", "must be undefined to be structural"},
    {"x-kubernetes-preserve-unknown-fields", "must be false to be structural"},
    {"x-kubernetes-embedded-resource", "must be false to be structural"},
    {"x-kubernetes-int-or-string", "must be false to be structural"},
    {"x-kubernetes-list-map-keys", "must be empty to be structural"},
    {"x-kubernetes-list-type", "must be undefined to be structural"},
    {"x-kubernetes-map-type", "must be undefined to be structural"},
    {"x-kubernetes-validations", "must be empty to be structural"},
};

void check_nested(const Node& s, const Node& outer, const std::string& path, const std::string& outer_path,
                  bool types_allowed, Causes& c);

// `outer` is the structural schema that these restrict.
void check_junctors(const Node& s, const Node& outer, const std::string& path, const std::string& outer_path,
                    bool may_be_int_or_string, Causes& c) {
  auto is_either = [](const Node& any) {
    return any.size() == 2 && any.items()[0] == Node::obj({{"type", "integer"}}) &&
           any.items()[1] == Node::obj({{"type", "string"}});
  };
  bool either = says(outer, "x-kubernetes-int-or-string") && may_be_int_or_string;
  for (const char* junctor : {"allOf", "anyOf", "oneOf"}) {
    const Node& all = s.get(junctor);
    bool types_allowed = either && std::string_view(junctor) == "anyOf" && is_either(all);
    for (size_t i = 0; i < all.items().size(); ++i) {
      std::string here = path + "." + junctor + "[" + std::to_string(i) + "]";
      check_nested(all.items()[i], outer, here, outer_path, types_allowed, c);
    }
  }
  if (s.get("not").is_object()) check_nested(s.get("not"), outer, path + ".not", outer_path, false, c);
}

void check_nested(const Node& s, const Node& outer, const std::string& path, const std::string& outer_path,
                  bool types_allowed, Causes& c) {
  for (const Forbidden& f : kNotStructural) {
    const Node& v = s.get(f.name);
    bool said = v.exists() && (v.is_bool() ? v.bool_or(false) || std::string_view(f.name) == "additionalProperties" ||
                                                 std::string_view(f.name) == "default"
                                           : !v.empty() || std::string_view(f.name) == "default");
    if (said && !(types_allowed && std::string_view(f.name) == "type")) rules::forbidden(c, path + "." + f.name, f.why);
  }
  check_junctors(s, outer, path, outer_path, path.ends_with("allOf[0]"), c);
  if (s.get("items").is_object()) {
    if (outer.get("items").is_object())
      check_nested(s.get("items"), outer.get("items"), path + ".items", outer_path + ".items", false, c);
    else
      rules::required(c, outer_path + ".items", "because it is defined in " + path + ".items");
  }
  for (const auto& [name, p] : s.get("properties").members()) {
    std::string here = keyed(path, "properties", name);
    if (name == "metadata") rules::forbidden(c, here, "must not be specified in a nested context");
    const Node &declared = outer.get("properties").get(name), &additional = outer.get("additionalProperties");
    if (declared.exists())
      check_nested(p, declared, here, keyed(outer_path, "properties", name), false, c);
    else if (additional.is_object())
      check_nested(p, additional, here, outer_path + ".additionalProperties", false, c);
    else
      rules::required(c, keyed(outer_path, "properties", name), "because it is defined in " + here);
  }
}

// ---- the structure itself ----

void check_default(const Node& s, const std::string& path, Causes& c) {
  const Node& value = s.get("default");
  if (!value.exists()) return;
  SchemaPtr schema = compile(s);
  Node pruned = Node::obj({{"v", value}});
  Node holder = Node::obj({{"type", "object"}});
  holder["properties"].set("v", s);
  prune_object(pruned, *compile(holder), nullptr);
  if (!(pruned.get("v") == value)) rules::invalid(c, path + ".default", value, "must not have unknown fields");
  Causes found;
  validate(value, *schema, "", found);
  validate_lists(value, *schema, "", found);
  for (Cause& f : found) {
    f.field = path + ".default" + (f.field.empty() ? "" : "." + f.field);
    c.push_back(std::move(f));
  }
}

void check_root_metadata(const Node& metadata, const std::string& path, Causes& c) {
  if (metadata.get("type").str() != "object")
    rules::invalid(c, path + ".type", metadata.get("type").str(), "must be object");
  bool more = false;
  for (const auto& [name, value] : metadata.members())
    more |= name != "type" && name != "properties" && name != "description";
  for (const auto& [name, value] : metadata.get("properties").members())
    more |= name != "name" && name != "generateName";
  if (more)
    rules::forbidden(
        c, path, "must not specify anything other than name and generateName, but metadata is implicitly specified");
}

void check_type_said(const Node& s, Level level, const std::string& path, Causes& c) {
  const std::string& type = s.get("type").str();
  static constexpr std::string_view kTypes[] = {"array", "boolean", "integer", "number", "object", "string", "null"};
  if (!type.empty() && std::find(std::begin(kTypes), std::end(kTypes), type) == std::end(kTypes))
    not_supported(c, path + ".type", type, "\"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\"");
  if (says(s, "x-kubernetes-embedded-resource")) {
    const char* why = "must be object if x-kubernetes-embedded-resource is true";
    if (type.empty())
      rules::required(c, path + ".type", why);
    else if (type != "object")
      rules::invalid(c, path + ".type", type, why);
  } else if (type.empty() && !says(s, "x-kubernetes-int-or-string") &&
             !says(s, "x-kubernetes-preserve-unknown-fields")) {
    rules::required(c, path + ".type",
                    level == Level::Root   ? "must not be empty at the root"
                    : level == Level::Item ? "must not be empty for specified array items"
                                           : "must not be empty for specified object fields");
  }
  if (level == Level::Root && !type.empty() && type != "object")
    rules::invalid(c, path + ".type", type, "must be object at the root");
}

void check_extensions(const Node& s, const std::string& path, Causes& c) {
  if (says(s, "x-kubernetes-int-or-string")) {
    for (const char* name : {"x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"})
      if (says(s, name))
        rules::invalid(c, path + "." + name, true, "must be false if x-kubernetes-int-or-string is true");
    if (!s.get("type").str().empty())
      rules::invalid(c, path + ".type", s.get("type"), "must be empty if x-kubernetes-int-or-string is true");
  }
  const Node& preserve = s.get("x-kubernetes-preserve-unknown-fields");
  if (preserve.is_bool() && !preserve.bool_or(true))
    rules::invalid(c, path + ".x-kubernetes-preserve-unknown-fields", false, "must be true or undefined");
  if (says(s, "x-kubernetes-embedded-resource")) {
    if (s.get("additionalProperties").exists())
      rules::forbidden(c, path + ".additionalProperties", "must not be used if x-kubernetes-embedded-resource is set");
    if (!says(s, "x-kubernetes-preserve-unknown-fields") && s.get("properties").size() == 0)
      rules::required(
          c, path + ".properties",
          "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields");
  }
}

void check(const Node& s, Level level, const std::string& path, Causes& c) {
  check_forbidden(s, path, c);
  check_topology(s, path, c);
  check_type_said(s, level, path, c);
  check_extensions(s, path, c);
  check_junctors(s, s, path, path, true, c);
  if (s.get("type").str() == "array" && !s.get("items").is_object() && !s.get("items").is_array())
    rules::required(c, path + ".items", "must be specified");
  if (s.get("items").is_object()) check(s.get("items"), Level::Item, path + ".items", c);
  const Node& additional = s.get("additionalProperties");
  if (additional.exists() && level == Level::Root)
    rules::forbidden(c, path + ".additionalProperties", "must not be used at the root");
  if (additional.is_object()) check(additional, Level::Field, path + ".additionalProperties", c);
  bool whole = level == Level::Root || says(s, "x-kubernetes-embedded-resource");
  for (const auto& [name, p] : s.get("properties").members()) {
    std::string here = keyed(path, "properties", name);
    if (whole && (name == "kind" || name == "apiVersion") && p.get("type").str() != "string")
      rules::invalid(c, here + ".type", p.get("type").str(), "must be string");
    if (level == Level::Root && name == "metadata")
      check_root_metadata(p, here, c);
    else
      check(p, Level::Field, here, c);
  }
}

// Defaults are tried only where all the rest is right: a broken schema would be told twice.
void check_defaults(const Node& s, const std::string& path, Causes& c) {
  check_default(s, path, c);
  if (s.get("items").is_object()) check_defaults(s.get("items"), path + ".items", c);
  if (s.get("additionalProperties").is_object())
    check_defaults(s.get("additionalProperties"), path + ".additionalProperties", c);
  for (const auto& [name, p] : s.get("properties").members()) check_defaults(p, keyed(path, "properties", name), c);
}

}  // namespace

void check_schema(const Node& schema, const std::string& path, Causes& causes) {
  size_t before = causes.size();
  check(schema, Level::Root, path, causes);
  if (schema.get("default").exists()) rules::forbidden(causes, path + ".default", "must not be specified at the root");
  if (causes.size() == before) check_defaults(schema, path, causes);
}

void find_cel_rules(const Node& s, const std::string& path, std::vector<std::string>& out) {
  const auto& rules = s.get("x-kubernetes-validations").items();
  for (size_t i = 0; i < rules.size(); ++i) {
    constexpr size_t kMostShown = 60;
    const std::string& rule = rules[i].get("rule").str();
    out.push_back(path + "[" + std::to_string(i) + "] " + json::quoted(rule.size() > kMostShown ? "..." : rule));
  }
  if (s.get("items").is_object()) find_cel_rules(s.get("items"), path + ".items", out);
  if (s.get("additionalProperties").is_object())
    find_cel_rules(s.get("additionalProperties"), path + ".additionalProperties", out);
  for (const auto& [name, p] : s.get("properties").members())
    find_cel_rules(p, keyed(path, "properties", name), out);
}

}  // namespace k8lite::api::custom
