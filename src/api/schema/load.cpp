// Reads embedded/schema/*.txt into Types, once, at first use. The form, one line each:
//   type core/v1.PodSpec [atomic] [kind=group/version/Kind]
//    <field> <wire number> <type>[suffix] [flags]
// A type is a scalar's name or @<type>; the suffix [] makes a list, {} a map with string keys. Flags: required, list=set,
// list=atomic, list=map:<keys>, merge[=<key>], mergekey=<key>, retainKeys, replace, atomic, granular (although the type is atomic).
// plain (a number or bool whose zero on the wire means "not set") and ptr (a text whose empty value means something there).
// `inline` lines describe the wire only. defaults.txt and enums.txt add to fields: type, field, value.
#include <algorithm>
#include <memory>
#include <unordered_map>

#include "api/schema/schema.h"
#include "base/embedded.h"
#include "base/log.h"
#include "base/strings.h"

namespace k8lite::embedded_schema {
std::span<const k8lite::EmbeddedFile> files();
}

namespace k8lite::api::schema {
namespace {

struct Registry {
  std::unordered_map<std::string_view, std::unique_ptr<Type>> types;

  Type* named(std::string_view name) {
    auto& slot = types[name];
    if (!slot) {
      slot = std::make_unique<Type>();
      slot->name = name;
    }
    return slot.get();
  }
};

Base base_named(std::string_view text) {
  static constexpr std::pair<std::string_view, Base> kNames[] = {
      {"string", Base::String},     {"bool", Base::Bool},         {"int32", Base::Int32},
      {"int64", Base::Int64},       {"double", Base::Double},     {"bytes", Base::Bytes},
      {"quantity", Base::Quantity}, {"int-or-string", Base::IntOrString}, {"time", Base::Time},
      {"microtime", Base::MicroTime},
  };
  for (const auto& [name, base] : kNames)
    if (name == text) return base;
  return Base::Raw;
}

void read_type_of(Field& field, std::string_view text, Registry& registry) {
  if (text.ends_with("[]{}")) {  // a map of lists: rare, and no one looks inside
    field.shape = Shape::Map;
    field.base = Base::Raw;
    return;
  }
  if (text.ends_with("[]")) field.shape = Shape::List;
  if (text.ends_with("{}")) field.shape = Shape::Map;
  if (field.shape != Shape::Single) text.remove_suffix(2);
  if (text.starts_with('@')) {
    field.base = Base::Object;
    field.type = registry.named(text.substr(1));
  } else {
    field.base = base_named(text);
    if (text == "raw=or-array") field.raw_form = RawForm::OrArray;
    if (text == "raw=or-bool") field.raw_form = RawForm::OrBool;
    if (text == "raw=or-strings") field.raw_form = RawForm::OrStrings;
  }
}

void read_flag(Field& field, std::string_view flag) {
  auto value = [&flag](std::string_view prefix) { return flag.substr(prefix.size()); };
  if (flag == "required") field.required = true;
  else if (flag == "plain") field.zero_is_unset = true;
  else if (flag == "ptr") field.zero_is_unset = false;
  else if (flag == "list=set") field.list_type = ListType::Set;
  else if (flag.starts_with("list=map:")) {
    field.list_type = ListType::Map;
    field.list_map_keys = split(value("list=map:"), ',');
  } else if (flag == "merge") field.merge = true;
  else if (flag.starts_with("merge=")) {
    field.merge = true;
    field.merge_key = value("merge=");
  } else if (flag.starts_with("mergekey=")) field.merge_key = value("mergekey=");
  else if (flag == "retainKeys") field.retain_keys = true;
  else if (flag == "replace") field.replace = true;
  else if (flag == "granular") field.says_granular = true;
  else if (flag == "atomic") field.granular = false;
}

void read_types(std::string_view text, Registry& registry) {
  Type* type = nullptr;
  for (std::string_view line : split(text, '\n')) {
    if (line.empty() || line[0] == '#') continue;
    auto words = split(line[0] == ' ' ? line.substr(1) : line, ' ');
    if (line[0] != ' ') {
      type = registry.named(words[1]);
      for (size_t i = 2; i < words.size(); ++i) {
        if (words[i] == "atomic") type->atomic = true;
        if (words[i].starts_with("kind=")) type->gvk = words[i].substr(5);
      }
    } else if (type && words[0] == "inline" && words.size() == 4) {
      auto number = [](std::string_view text) { return static_cast<uint16_t>(parse_int(text).value_or(0)); };
      size_t slash = words[2].find('/');
      Inlined inlined{number(words[2].substr(0, slash)), slash == words[2].npos ? uint16_t{0} : number(words[2].substr(slash + 1)), {}};
      for (auto piece : split(words[3], ',')) {
        size_t colon = piece.find(':');
        inlined.fields.emplace_back(piece.substr(0, colon), static_cast<uint16_t>(parse_int(piece.substr(colon + 1)).value_or(0)));
      }
      type->inlined.push_back(std::move(inlined));
    } else if (type && words.size() >= 3) {
      Field field;
      field.name = words[0];
      field.proto = static_cast<uint16_t>(parse_int(words[1]).value_or(0));
      read_type_of(field, words[2], registry);
      field.zero_is_unset = field.base == Base::String && field.shape == Shape::Single;
      for (size_t i = 3; i < words.size(); ++i) read_flag(field, words[i]);
      if (field.required) field.zero_is_unset = false;
      type->fields.push_back(std::move(field));
    }
  }
}

void read_values(std::string_view text, Registry& registry, std::string_view Field::*value) {
  for (std::string_view line : split(text, '\n')) {
    if (line.empty() || line[0] == '#') continue;
    size_t a = line.find(' '), b = line.find(' ', a + 1);
    Type* type = registry.named(line.substr(0, a));
    for (Field& f : type->fields)
      if (f.name == line.substr(a + 1, b - a - 1)) f.*value = line.substr(b + 1);
  }
}

Registry load() {
  Registry registry;
  std::string_view defaults, enums;
  for (const EmbeddedFile& file : embedded_schema::files()) {
    if (file.path == "defaults.txt") defaults = file.content;
    else if (file.path == "enums.txt") enums = file.content;
    else if (file.path != "kinds.txt") read_types(file.content, registry);
  }
  read_values(defaults, registry, &Field::default_json);
  read_values(enums, registry, &Field::enum_values);
  for (auto& [name, type] : registry.types) {
    type->sort();
    for (Field& f : type->fields) {
      if (f.type && f.type->atomic && !f.says_granular) f.granular = false;
      for (const Inlined& i : type->inlined)
        for (const auto& [inner, number] : i.fields)
          if (inner == f.name) f.proto = 0;
    }
    for (const Field& f : type->fields)
      if (f.proto) type->by_number.push_back(&f);
    std::sort(type->by_number.begin(), type->by_number.end(), [](const Field* a, const Field* b) { return a->proto < b->proto; });
  }
  return registry;
}

const Registry& registry() {
  static const Registry instance = load();
  return instance;
}

}  // namespace

const Field* Type::find(std::string_view field) const {
  auto it = std::lower_bound(fields.begin(), fields.end(), field, [](const Field& f, std::string_view n) { return f.name < n; });
  return it != fields.end() && it->name == field ? &*it : rest.get();
}

void Type::sort() {
  std::sort(fields.begin(), fields.end(), [](const Field& a, const Field& b) { return a.name < b.name; });
  fields.shrink_to_fit();
}

const Type* find_type(std::string_view name) {
  const auto& types = registry().types;
  auto it = types.find(name);
  return it == types.end() ? nullptr : it->second.get();
}

const Type* find_type_of_kind(std::string_view group, std::string_view version, std::string_view kind) {
  std::string gvk = std::string(group).append("/").append(version).append("/").append(kind);
  for (const auto& [name, type] : registry().types)
    if (type->gvk == gvk) return type.get();
  return find_type("meta/v1." + std::string(kind));
}

std::vector<const Type*> all_types() {
  std::vector<const Type*> out;
  for (const auto& [name, type] : registry().types) out.push_back(type.get());
  std::sort(out.begin(), out.end(), [](const Type* a, const Type* b) { return a->name < b->name; });
  return out;
}

std::string openapi_name(std::string_view type_name) {
  size_t slash = type_name.find('/');
  std::string group(type_name.substr(0, slash)), rest(type_name.substr(slash + 1));
  if (type_name == "meta/v1.Info") return "io.k8s.apimachinery.pkg.version.Info";
  if (group == "meta") return "io.k8s.apimachinery.pkg.apis.meta." + rest;
  if (group == "apiextensions") return "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions." + rest;
  if (group == "apiregistration") return "io.k8s.kube-aggregator.pkg.apis.apiregistration." + rest;
  return "io.k8s.api." + group + "." + rest;
}

}  // namespace k8lite::api::schema
