// Strategic merge patch: a merge patch that knows, by the schema, which lists merge and by which key. (Kubernetes documentation,
// "Update API Objects in Place Using kubectl patch"; directives $patch, $retainKeys, $setElementOrder, $deleteFromPrimitiveList.)
#include <algorithm>

#include "api/kinds.h"
#include "api/patch/patch.h"

namespace k8lite::api {
namespace {

using json::Node;
using schema::Base;
using schema::Field;
using schema::Shape;
using schema::Type;

constexpr std::string_view kPatch = "$patch", kRetain = "$retainKeys", kOrder = "$setElementOrder/", kDelete = "$deleteFromPrimitiveList/";

Result<Node> merge_object(Node document, const Node& patch, const Type* type);

bool is_directive(std::string_view key) { return key.starts_with("$"); }

// A patch value that lands where nothing was: directives go, nulls go.
Node without_directives(const Node& patch) {
  if (patch.is_array()) {
    Node out = Node::array();
    for (const Node& item : patch.items()) {
      if (item.is_object() && item.get(kPatch).exists() && (item.get(kPatch).str() == "delete" || item.size() == 1)) continue;
      out.append(without_directives(item));
    }
    return out;
  }
  if (!patch.is_object()) return patch;
  Node out = Node::object();
  for (const auto& [key, value] : patch.members())
    if (!is_directive(key) && !value.is_null()) out.set(key, without_directives(value));
  return out;
}

Node* find_by_key(std::vector<Node>& items, std::string_view merge_key, const Node& wanted) {
  for (Node& item : items)
    if (item.is_object() && item.get(merge_key) == wanted) return &item;
  return nullptr;
}

Result<Node> merge_list_of_objects(Node list, const Node& patch, const Field& field) {
  if (!list.is_array()) list = Node::array();
  for (const Node& item : patch.items())
    if (item.is_object() && item.get(kPatch).str() == "replace") {
      Node fresh = Node::array();
      for (const Node& other : patch.items())
        if (!other.get(kPatch).exists()) fresh.append(without_directives(other));
      return fresh;
    }
  for (const Node& item : patch.items()) {
    if (!item.is_object()) return bad_request("unable to find api field: a list of objects is patched with something else");
    const Node& key = item.get(field.merge_key);
    if (!key.exists()) return bad_request("map: " + item.dump().substr(0, 200) + " does not contain declared merge key: " + std::string(field.merge_key));
    if (item.get(kPatch).str() == "delete") {
      std::erase_if(list.items(), [&](const Node& n) { return n.get(field.merge_key) == key; });
      continue;
    }
    if (Node* current = find_by_key(list.items(), field.merge_key, key)) {
      TRY(*current, merge_object(std::move(*current), item, field.type));
    } else {
      list.append(without_directives(item));
    }
  }
  return list;
}

Node merge_primitives(Node list, const Node& patch) {
  if (!list.is_array()) list = Node::array();
  for (const Node& item : patch.items())
    if (std::find(list.items().begin(), list.items().end(), item) == list.items().end()) list.append(item);
  return list;
}

// Puts the elements that `order` names into that order; the others keep their places relative to their neighbours in front.
void reorder(Node& list, const Node& order, std::string_view merge_key) {
  auto rank = [&](const Node& item) -> int64_t {
    for (size_t i = 0; i < order.items().size(); ++i) {
      const Node& o = order.items()[i];
      if (merge_key.empty() ? o == item : o.get(merge_key) == item.get(merge_key)) return static_cast<int64_t>(i);
    }
    return -1;
  };
  std::vector<std::pair<int64_t, Node>> ranked;
  int64_t last = -1;
  for (Node& item : list.items()) {
    int64_t r = rank(item);
    if (r >= 0) last = r;
    ranked.emplace_back(r >= 0 ? r : last, std::move(item));
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  list.items().clear();
  for (auto& [r, item] : ranked) list.items().push_back(std::move(item));
}

Result<Node> merge_field(Node current, const Node& patch, const Field* field) {
  if (field && field->shape == Shape::List && field->merge && patch.is_array()) {
    if (field->base == Base::Object && !field->merge_key.empty()) return merge_list_of_objects(std::move(current), patch, *field);
    return merge_primitives(std::move(current), patch);
  }
  if (!patch.is_object() || (field && field->replace)) return without_directives(patch);
  const Type* type = field && field->shape == Shape::Single && field->base == Base::Object ? field->type : nullptr;
  if (!current.is_object()) return without_directives(patch);
  if (field && field->shape == Shape::Map && field->base == Base::Object) {
    for (const auto& [key, value] : patch.members()) {
      if (value.is_null()) current.erase(key);
      else if (value.is_object() && current.find(key)) {
        TRY(current[key], merge_object(std::move(current[key]), value, field->type));
      } else current.set(key, without_directives(value));
    }
    return current;
  }
  return merge_object(std::move(current), patch, type);
}

Result<> retain_keys(Node& document, const Node& patch) {
  const Node& keys = patch.get(kRetain);
  if (!keys.exists()) return {};
  if (!keys.is_array()) return bad_request("invalid value for $retainKeys: a list of field names is wanted");
  auto listed = [&keys](const std::string& name) {
    return std::any_of(keys.items().begin(), keys.items().end(), [&name](const Node& k) { return k.str() == name; });
  };
  for (const auto& [key, value] : patch.members())
    if (!is_directive(key) && !value.is_null() && !listed(key)) return bad_request("the $retainKeys value doesn't contain a key that is in the patch: " + key);
  std::erase_if(document.members(), [&listed](const Node::Member& m) { return !listed(m.first); });
  return {};
}

Result<Node> merge_object(Node document, const Node& patch, const Type* type) {
  const Node& directive = patch.get(kPatch);
  if (directive.exists()) {
    if (directive.str() == "replace") return without_directives(patch);
    if (directive.str() == "delete") return Node::object();
    if (directive.str() != "merge") return bad_request("unknown patch type: " + directive.str_or("not a text"));
  }
  if (!document.is_object()) document = Node::object();
  TRY_OK(retain_keys(document, patch));
  for (const auto& [key, value] : patch.members()) {
    if (key.starts_with(kDelete)) {
      if (Node* list = document.find(std::string_view(key).substr(kDelete.size())))
        std::erase_if(list->items(), [&v = value](const Node& n) { return std::find(v.items().begin(), v.items().end(), n) != v.items().end(); });
      continue;
    }
    if (is_directive(key)) continue;
    if (value.is_null()) {
      document.erase(key);
      continue;
    }
    const Field* field = type ? type->find(key) : nullptr;
    Node* current = document.find(key);
    TRY(Node merged, merge_field(current ? std::move(*current) : Node(), value, field));
    document.set(key, std::move(merged));
  }
  for (const auto& [key, value] : patch.members()) {
    if (!key.starts_with(kOrder)) continue;
    std::string_view name = std::string_view(key).substr(kOrder.size());
    const Field* field = type ? type->find(name) : nullptr;
    Node* list = document.find(name);
    if (list && list->is_array() && value.is_array()) reorder(*list, value, field ? field->merge_key : std::string_view());
  }
  return document;
}

}  // namespace

Result<Node> apply_strategic_merge(Node document, const Node& patch, const Type* type) {
  if (!patch.is_object()) return bad_request("a strategic merge patch is a JSON object");
  return merge_object(std::move(document), patch, type);
}

}  // namespace k8lite::api
