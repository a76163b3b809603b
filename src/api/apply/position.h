// Inside of src/api/apply: where in a type a value stands, and how ownership treats it there.
#pragma once
#include <optional>
#include <vector>

#include "api/apply/field_set.h"
#include "api/schema/schema.h"

namespace k8lite::api::apply {

enum class Form : unsigned char {
  Leaf,    // one field, whatever it holds
  Struct,  // fields of a type
  Map,     // string keys
  Set,     // items by value
  Items,   // objects by their keys
};

struct Position {
  const schema::Type* root = nullptr;    // a whole object
  const schema::Field* field = nullptr;  // else a field of a type; neither: unknown, a leaf
  bool inside = false;                   // an item or entry of the field, not the field

  Form form() const;
  const schema::Type* type() const { return root ? root : field ? field->type : nullptr; }
  // The value of a field or map key; the item of a list.
  Position child(std::string_view name) const;
  Position item() const { return {nullptr, field, true}; }
};

// Members by name without a walk for each: ConfigMaps have thousands.
class Members {
 public:
  explicit Members(const json::Node& object);
  const json::Node* find(std::string_view name) const;

 private:
  static constexpr size_t kFew = 16;
  const json::Node& object_;
  std::vector<const json::Node::Member*> sorted_;  // only when there are more
};

// The path element of a list item; nothing when it lacks a key that has no default.
std::optional<std::string> item_element(const json::Node& item, const Position& list);

}  // namespace k8lite::api::apply
