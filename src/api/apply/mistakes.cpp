// What makes a configuration impossible to apply, worded as structured-merge-diff words it.
#include <set>

#include "api/apply/position.h"
#include "api/apply/typed.h"

namespace k8lite::api::apply {
namespace {

using json::Node;
using schema::Base;
using schema::Field;
using schema::Shape;
using schema::Type;

constexpr size_t kMaxMistakes = 20;  // more tell nobody anything

struct Check {
  std::vector<std::string>& out;

  void add(const std::string& path, const std::string& what) {
    if (out.size() < kMaxMistakes) out.push_back(path + ": " + what);
  }

  void scalar(const Node& value, const Field& field, const std::string& path) {
    switch (field.base) {
      case Base::String:
      case Base::Bytes:
      case Base::Time:
      case Base::MicroTime:
        if (!value.is_string()) add(path, "expected string, got " + value.dump());
        return;
      case Base::Bool:
        if (!value.is_bool()) add(path, "expected boolean, got " + value.dump());
        return;
      case Base::Int32:
      case Base::Int64:
      case Base::Double:
        if (!value.is_number()) add(path, "expected numeric (int or float), got " + value.dump());
        return;
      case Base::Quantity:
      case Base::IntOrString:
        if (!value.is_string() && !value.is_number()) add(path, "expected string or numeric, got " + value.dump());
        return;
      case Base::Object: return object(value, *field.type, path);
      case Base::Raw: return;
    }
  }

  void list(const Node& value, const Field& field, const std::string& path) {
    if (!value.is_array()) return add(path, "expected list, got " + value.dump());
    Position at{nullptr, &field, false};
    bool keyed = at.form() == Form::Set || at.form() == Form::Items;
    std::set<std::string> seen;
    for (size_t i = 0; i < value.items().size(); ++i) {
      const Node& item = value.items()[i];
      std::string here = path + "[" + std::to_string(i) + "]";
      if (keyed) {
        auto element = item_element(item, at);
        if (!element) {
          add(path, "element " + std::to_string(i) + ": " + missing_key(item, field));
          continue;
        }
        if (!seen.insert(*element).second) add(path, "duplicate entries for key " + path_text({*element}));
        here = path + path_text({*element});
      }
      scalar(item, field, here);
    }
  }

  static std::string missing_key(const Node& item, const Field& field) {
    if (!item.is_object()) return "associative list with keys may not have non-map elements";
    for (std::string_view key : field.list_map_keys) {
      const Field* f = field.type->find(key);
      if ((!item.find(key) || item.get(key).is_null()) && (!f || f->default_json.empty()))
        return "associative list with keys has an element that omits key field " + json::quoted(key) + " (and doesn't have default value)";
    }
    return "associative list with keys has an element without them";
  }

  void object(const Node& value, const Type& type, const std::string& path) {
    if (!value.is_object()) return add(path, "expected map, got " + value.dump());
    for (const auto& [name, child] : value.members()) {
      const Field* field = type.find(name);
      std::string here = path + "." + name;
      if (!field) {
        add(here, "field not declared in schema");
        continue;
      }
      if (child.is_null()) continue;
      if (field->shape == Shape::Single) {
        scalar(child, *field, here);
      } else if (field->shape == Shape::List) {
        list(child, *field, here);
      } else if (!child.is_object()) {
        add(here, "expected map, got " + child.dump());
      } else {
        for (const auto& [key, entry] : child.members())
          if (!entry.is_null()) scalar(entry, *field, here + "." + key);
      }
    }
  }
};

}  // namespace

std::vector<std::string> mistakes_of(const Node& config, const Type& type) {
  std::vector<std::string> out;
  Check{out}.object(config, type, "");
  return out;
}

}  // namespace k8lite::api::apply
