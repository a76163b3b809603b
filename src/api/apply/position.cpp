#include "api/apply/position.h"

#include <algorithm>

namespace k8lite::api::apply {

using json::Node;
using schema::Base;
using schema::Field;
using schema::ListType;
using schema::Shape;

Form Position::form() const {
  if (root) return Form::Struct;
  if (!field) return Form::Leaf;
  bool object = field->base == Base::Object && field->type, atomic = object && field->type->atomic;
  if (inside) return object && !atomic ? Form::Struct : Form::Leaf;
  switch (field->shape) {
    case Shape::List:
      if (field->list_type == ListType::Set) return Form::Set;
      return field->list_type == ListType::Map && object ? Form::Items : Form::Leaf;
    // A map whose entries are atomic structs is granular itself.
    case Shape::Map: return field->granular || atomic ? Form::Map : Form::Leaf;
    case Shape::Single: break;
  }
  return object && field->granular ? Form::Struct : Form::Leaf;
}

Position Position::child(std::string_view name) const {
  Form f = form();
  if (f == Form::Struct) return {nullptr, type()->find(name), false};
  if (f == Form::Map) return item();
  return {};
}

Members::Members(const Node& object) : object_(object) {
  if (object.members().size() <= kFew) return;
  for (const auto& m : object.members()) sorted_.push_back(&m);
  std::sort(sorted_.begin(), sorted_.end(), [](const auto* a, const auto* b) { return a->first < b->first; });
}

const Node* Members::find(std::string_view name) const {
  if (sorted_.empty()) return object_.find(name);
  auto it = std::lower_bound(sorted_.begin(), sorted_.end(), name, [](const auto* m, std::string_view n) { return m->first < n; });
  return it != sorted_.end() && (*it)->first == name ? &(*it)->second : nullptr;
}

std::optional<std::string> item_element(const Node& item, const Position& list) {
  if (list.form() == Form::Set) return value_element(item);
  if (!item.is_object()) return std::nullopt;
  std::vector<Node::Member> keys;
  for (std::string_view name : list.field->list_map_keys) {
    if (const Node* value = item.find(name); value && !value->is_null()) {
      keys.emplace_back(name, *value);
      continue;
    }
    const Field* key = list.type() ? list.type()->find(name) : nullptr;
    if (!key || key->default_json.empty()) return std::nullopt;
    keys.emplace_back(name, Node::parse(key->default_json).value_or({}));
  }
  return key_element(std::move(keys));
}

}  // namespace k8lite::api::apply
