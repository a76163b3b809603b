// Compiling, pruning and defaulting. Validation is in validate.cpp.
#include "api/custom/structural.h"

#include <re2/re2.h>

#include <algorithm>

#include "api/schema/schema.h"

namespace k8lite::api::custom {
namespace {

using json::Node;

std::vector<std::string> texts(const Node& list) {
  std::vector<std::string> out;
  for (const Node& n : list.items()) out.push_back(n.str());
  return out;
}

std::vector<SchemaPtr> schemas(const Node& list) {
  std::vector<SchemaPtr> out;
  for (const Node& n : list.items()) out.push_back(compile(n));
  return out;
}

void read_number(const Node& n, std::optional<double>& out) {
  if (n.is_number()) out = n.double_or(0);
}
void read_count(const Node& n, std::optional<int64_t>& out) {
  if (n.is_number()) out = n.int_or(0);
}

std::unique_ptr<const Limits> read_limits(const Node& s) {
  static constexpr std::string_view kNames[] = {"minimum",  "maximum",  "multipleOf",    "minLength",     "maxLength",
                                                "minItems", "maxItems", "minProperties", "maxProperties", "pattern",
                                                "enum",     "allOf",    "anyOf",         "oneOf",         "not"};
  if (std::none_of(std::begin(kNames), std::end(kNames), [&s](std::string_view n) { return s.get(n).exists(); }))
    return nullptr;
  auto l = std::make_unique<Limits>();
  read_number(s.get("minimum"), l->minimum);
  read_number(s.get("maximum"), l->maximum);
  read_number(s.get("multipleOf"), l->multiple_of);
  l->exclusive_minimum = s.get("exclusiveMinimum").bool_or(false);
  l->exclusive_maximum = s.get("exclusiveMaximum").bool_or(false);
  read_count(s.get("minLength"), l->min_length);
  read_count(s.get("maxLength"), l->max_length);
  read_count(s.get("minItems"), l->min_items);
  read_count(s.get("maxItems"), l->max_items);
  read_count(s.get("minProperties"), l->min_properties);
  read_count(s.get("maxProperties"), l->max_properties);
  l->pattern = s.get("pattern").str();
  if (!l->pattern.empty()) {
    auto regex = std::make_shared<re2::RE2>(l->pattern, re2::RE2::Quiet);
    if (regex->ok()) l->regex = std::move(regex);
  }
  l->values = s.get("enum").items();
  l->all_of = schemas(s.get("allOf"));
  l->any_of = schemas(s.get("anyOf"));
  l->one_of = schemas(s.get("oneOf"));
  if (s.get("not").is_object()) l->negated = compile(s.get("not"));
  return l;
}

bool is_own(std::string_view name) { return name == "apiVersion" || name == "kind" || name == "metadata"; }

std::string below(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : path + "." + std::string(name);
}
std::string at_index(const std::string& path, size_t i) { return path + "[" + std::to_string(i) + "]"; }

// `object`: a whole object stands here, whose apiVersion, kind and metadata are not the schema's.
void prune_value(Node& value, const Schema* schema, bool object, const std::string& path,
                 std::vector<std::string>* issues) {
  for (size_t i = 0; i < value.items().size(); ++i) {
    const Schema* item = schema ? schema->items.get() : nullptr;
    if (!item && schema && schema->preserve_unknown) return;
    prune_value(value.items()[i], item, item && item->embedded, at_index(path, i), issues);
  }
  if (!value.is_object() || (schema && schema->any_additional)) return;
  std::vector<Node::Member> kept;
  kept.reserve(value.members().size());
  for (auto& member : value.members()) {
    bool keep = object && is_own(member.first);
    if (!keep) {
      const Schema* s = schema ? schema->property(member.first) : nullptr;
      if (!s && schema) s = schema->additional.get();
      keep = s || (schema && schema->preserve_unknown);
      if (s)
        prune_value(member.second, s, s->embedded, below(path, member.first), issues);
      else if (!keep && issues)
        issues->push_back("unknown field \"" + below(path, member.first) + "\"");
    }
    if (keep) kept.push_back(std::move(member));
  }
  value.members() = std::move(kept);
}

void fill(Node& value, const Schema& schema) {
  for (Node& item : value.items())
    if (schema.items) fill(item, *schema.items);
  if (!value.is_object()) return;
  std::erase_if(value.members(), [&schema](const Node::Member& m) {
    const Schema* s = m.second.is_null() ? schema.property(m.first) : nullptr;
    if (!s && m.second.is_null()) s = schema.additional.get();
    return s && !s->nullable;
  });
  for (const auto& [name, s] : schema.properties)
    if (s->default_value && !value.get(name).exists()) value.set(name, *s->default_value);
  for (auto& [name, child] : value.members()) {
    const Schema* s = schema.property(name);
    if (!s) s = schema.additional.get();
    if (s) fill(child, *s);
  }
}

// A type of nothing but metadata.
const schema::Type& metadata_shell() {
  static const schema::Type shell = [] {
    schema::Type t;
    t.name = "meta/v1.PartialObjectMetadata";
    schema::Field f;
    f.name = "metadata";
    f.base = schema::Base::Object;
    f.type = schema::find_type("meta/v1.ObjectMeta");
    t.fields.push_back(std::move(f));
    return t;
  }();
  return shell;
}

Result<> decode_metadata_at(Node& value, const Schema* s_here, bool object, const std::string& path,
                            std::vector<std::string>* issues) {
  if (object && value.is_object()) {
    if (Node* metadata = value.find("metadata")) {
      Node shell = Node::obj({{"metadata", std::move(*metadata)}});
      std::vector<std::string> found;
      TRY_OK(schema::decode(shell, metadata_shell(), &found));
      if (issues)
        for (auto& text : found)
          issues->push_back(path.empty()
                                ? std::move(text)
                                : "unknown field \"" + path + "." + text.substr(sizeof("unknown field \"") - 1));
      if (Node* decoded = shell.find("metadata"))
        *value.find("metadata") = std::move(*decoded);
      else
        value.erase("metadata");
    }
  }
  if (!s_here) return {};
  if (s_here->items)
    for (size_t i = 0; i < value.items().size(); ++i)
      TRY_OK(decode_metadata_at(value.items()[i], s_here->items.get(), s_here->items->embedded, at_index(path, i),
                                issues));
  for (auto& [name, child] : value.members()) {
    const Schema* s = s_here->property(name);
    if (!s) s = s_here->additional.get();
    if (s) TRY_OK(decode_metadata_at(child, s, s->embedded, below(path, name), issues));
  }
  return {};
}

}  // namespace

const Schema* Schema::property(std::string_view name) const {
  auto it = std::lower_bound(properties.begin(), properties.end(), name,
                             [](const auto& p, std::string_view n) { return p.first < n; });
  return it != properties.end() && it->first == name ? it->second.get() : nullptr;
}

SchemaPtr compile(const Node& s) {
  auto out = std::make_shared<Schema>();
  out->type = s.get("type").str();
  out->format = s.get("format").str();
  out->nullable = s.get("nullable").bool_or(false);
  out->preserve_unknown = s.get("x-kubernetes-preserve-unknown-fields").bool_or(false);
  out->embedded = s.get("x-kubernetes-embedded-resource").bool_or(false);
  out->int_or_string = s.get("x-kubernetes-int-or-string").bool_or(false);
  out->set = s.get("x-kubernetes-list-type").str() == "set";
  out->map = s.get("x-kubernetes-list-type").str() == "map";
  out->atomic_map = s.get("x-kubernetes-map-type").str() == "atomic";
  out->required = texts(s.get("required"));
  out->list_keys = texts(s.get("x-kubernetes-list-map-keys"));
  if (s.get("default").exists()) out->default_value = s.get("default");
  for (const auto& [name, child] : s.get("properties").members()) out->properties.emplace_back(name, compile(child));
  std::sort(out->properties.begin(), out->properties.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  out->properties.shrink_to_fit();
  if (s.get("items").is_object()) out->items = compile(s.get("items"));
  const Node& additional = s.get("additionalProperties");
  if (additional.is_object()) out->additional = compile(additional);
  out->any_additional = additional.bool_or(false);
  out->no_additional = additional.is_bool() && !additional.bool_or(true);
  out->limits = read_limits(s);
  if (out->default_value) {
    Node filled = *out->default_value;
    fill(filled, *out);
    out->default_bytes = filled.dump().size();
  }
  auto has = [](const SchemaPtr& p) { return p && (p->default_value || p->defaults_below); };
  out->defaults_below =
      has(out->items) || has(out->additional) ||
      std::any_of(out->properties.begin(), out->properties.end(), [&has](const auto& p) { return has(p.second); });
  return out;
}

void prune_object(Node& object, const Schema& schema, std::vector<std::string>* issues) {
  prune_value(object, &schema, true, "", issues);
}

Result<> decode_metadata(Node& object, const Schema* schema, std::vector<std::string>* issues) {
  return decode_metadata_at(object, schema, true, "", issues);
}

void fill_defaults(Node& object, const Schema& schema) { fill(object, schema); }

size_t bytes_of_defaults(const Node& value, const Schema& schema) {
  if (!schema.defaults_below) return 0;
  size_t sum = 0;
  for (const Node& item : value.items())
    if (schema.items) sum += bytes_of_defaults(item, *schema.items);
  if (!value.is_object()) return sum;
  for (const auto& [name, s] : schema.properties)
    if (s->default_value && !value.get(name).exists()) sum += name.size() + s->default_bytes;
  for (const auto& [name, child] : value.members()) {
    const Schema* s = schema.property(name);
    if (!s) s = schema.additional.get();
    if (s) sum += child.is_null() ? s->default_bytes : bytes_of_defaults(child, *s);
  }
  return sum;
}

}  // namespace k8lite::api::custom
