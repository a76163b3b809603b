// One recursive walk over the three objects; the schema says which lists merge and by which key.
#include "kubectl/three_way.h"

#include <algorithm>

namespace k8lite::kubectl {

using api::schema::Base;
using api::schema::Field;
using api::schema::Shape;
using api::schema::Type;
using json::Node;

namespace {

const Node* by_key(const Node& list, std::string_view key, const Node& value) {
  for (const Node& x : list.items())
    if (x.get(key).exists() && x.get(key) == value) return &x;
  return nullptr;
}

bool holds(const Node& list, const Node& value) {
  return std::any_of(list.items().begin(), list.items().end(), [&value](const Node& x) { return x == value; });
}

// Lists of objects with a merge key.
void merge_objects(const Field& f, const std::string& name, const Node& original, const Node& modified, const Node& current, Node& patch) {
  std::string key(f.merge_key);
  Node items = Node::array(), order = Node::array();
  for (const Node& want : modified.items()) {
    const Node& id = want.get(key);
    order.append(Node::obj({{key, id}}));
    const Node* live = by_key(current, key, id);
    if (!live) {
      items.append(want);
      continue;
    }
    const Node* old = by_key(original, key, id);
    Node sub = three_way_patch(old ? *old : Node::object(), want, *live, f.type);
    if (sub.empty()) continue;
    sub.set(key, id);
    items.append(std::move(sub));
  }
  for (const Node& old : original.items()) {
    const Node& id = old.get(key);
    if (by_key(modified, key, id) || !by_key(current, key, id)) continue;
    items.append(Node::obj({{"$patch", "delete"}, {key, id}}));
  }
  // Where the wanted ones stand in another order in the live list, the order alone is a change.
  bool moved = false;
  std::ptrdiff_t last = -1;
  for (const Node& want : modified.items()) {
    const Node* live = by_key(current, key, want.get(key));
    if (!live) continue;
    std::ptrdiff_t at = live - current.items().data();
    moved = moved || at < last;
    last = at;
  }
  if (items.empty() && !moved) return;
  if (!order.empty()) patch.set("$setElementOrder/" + name, std::move(order));
  if (!items.empty()) patch.set(name, std::move(items));
}

// Lists of scalars that merge as sets (finalizers).
void merge_scalars(const std::string& name, const Node& original, const Node& modified, const Node& current, Node& patch) {
  Node added = Node::array(), removed = Node::array();
  for (const Node& x : modified.items())
    if (!holds(current, x)) added.append(x);
  for (const Node& x : original.items())
    if (!holds(modified, x) && holds(current, x)) removed.append(x);
  if (added.empty() && removed.empty()) return;
  patch.set("$setElementOrder/" + name, modified);
  if (!added.empty()) patch.set(name, std::move(added));
  if (!removed.empty()) patch.set("$deleteFromPrimitiveList/" + name, std::move(removed));
}

bool mergeable_items(const Node& list, std::string_view key) {
  return std::all_of(list.items().begin(), list.items().end(), [key](const Node& x) { return x.is_object() && x.get(key).exists(); });
}

void one_field(const std::string& name, const Field* f, const Node& original, const Node& want, const Node& live, Node& patch) {
  if (want.is_null()) {
    patch.set(name, nullptr);
    return;
  }
  if (want.is_object() && live.is_object()) {
    bool whole = f && (f->base == Base::Raw || (!f->granular && !f->merge) || (f->type && f->type->atomic && f->shape == Shape::Single));
    if (whole && f->base != Base::Raw) {
      if (!(want == live)) patch.set(name, want);
      return;
    }
    const Type* inner = f && f->shape == Shape::Single ? f->type : nullptr;
    Node sub = three_way_patch(original.is_object() ? original : Node::object(), want, live, inner);
    if (sub.empty()) return;
    if (f && f->retain_keys) {
      Node keys = Node::array();
      for (const auto& m : want.members()) keys.append(m.first);
      sub.set("$retainKeys", std::move(keys));
    }
    patch.set(name, std::move(sub));
    return;
  }
  if (want.is_array() && live.is_array() && f && f->merge && f->shape == Shape::List) {
    if (f->base != Base::Object) return merge_scalars(name, original, want, live, patch);
    if (!f->merge_key.empty() && mergeable_items(want, f->merge_key) && mergeable_items(live, f->merge_key) && mergeable_items(original, f->merge_key))
      return merge_objects(*f, name, original, want, live, patch);
  }
  if (!(want == live)) patch.set(name, want);
}

}  // namespace

Node three_way_patch(const Node& original, const Node& modified, const Node& current, const Type* type) {
  Node patch = Node::object();
  for (const auto& m : modified.members()) {
    const Node* live = current.find(m.first);
    if (!live) {
      if (!m.second.is_null()) patch.set(m.first, m.second);
      continue;
    }
    one_field(m.first, type ? type->find(m.first) : nullptr, original.get(m.first), m.second, *live, patch);
  }
  for (const auto& m : original.members())
    if (!modified.find(m.first) && current.find(m.first)) patch.set(m.first, nullptr);
  return patch;
}

}  // namespace k8lite::kubectl
