#include "store/object_map.h"

#include "base/strings.h"

namespace k8lite::store {

ObjectMap::Link ObjectMap::make(ObjectPtr object, uint64_t priority, Link left, Link right) {
  size_t size = 1 + (left ? left->size : 0) + (right ? right->size : 0);
  return std::make_shared<const Node>(Node{std::move(object), priority, size, std::move(left), std::move(right)});
}

ObjectPtr ObjectMap::find(std::string_view key) const {
  for (const Node* n = root_.get(); n;) {
    if (key == n->object->key) return n->object;
    n = key < n->object->key ? n->left.get() : n->right.get();
  }
  return nullptr;
}

std::pair<ObjectMap::Link, ObjectMap::Link> ObjectMap::split(const Link& n, std::string_view key) {
  if (!n) return {};
  if (n->object->key < key) {
    auto [a, b] = split(n->right, key);
    return {make(n->object, n->priority, n->left, std::move(a)), std::move(b)};
  }
  auto [a, b] = split(n->left, key);
  return {std::move(a), make(n->object, n->priority, std::move(b), n->right)};
}

ObjectMap::Link ObjectMap::merge(const Link& a, const Link& b) {
  if (!a) return b;
  if (!b) return a;
  if (a->priority >= b->priority) return make(a->object, a->priority, a->left, merge(a->right, b));
  return make(b->object, b->priority, merge(a, b->left), b->right);
}

ObjectMap::Link ObjectMap::put(const Link& n, const ObjectPtr& object, uint64_t priority) {
  if (n && n->object->key == object->key) return make(object, n->priority, n->left, n->right);
  if (!n || n->priority < priority) {
    auto [a, b] = split(n, object->key);
    return make(object, priority, std::move(a), std::move(b));
  }
  if (object->key < n->object->key) return make(n->object, n->priority, put(n->left, object, priority), n->right);
  return make(n->object, n->priority, n->left, put(n->right, object, priority));
}

ObjectMap::Link ObjectMap::drop(const Link& n, std::string_view key) {
  if (!n) return n;
  if (key == n->object->key) return merge(n->left, n->right);
  if (key < n->object->key) return make(n->object, n->priority, drop(n->left, key), n->right);
  return make(n->object, n->priority, n->left, drop(n->right, key));
}

void ObjectMap::insert(ObjectPtr object) {
  // Two keys with one hash only unbalance the tree a little; the same key always has the same hash.
  uint64_t h = fnv1a64(object->key);
  h ^= h >> 29, h *= 0xbf58476d1ce4e5b9ull, h ^= h >> 32;
  root_ = put(root_, object, h);
}

void ObjectMap::erase(std::string_view key) {
  if (find(key)) root_ = drop(root_, key);
}

size_t ObjectMap::count_before(std::string_view key) const {
  size_t count = 0;
  for (const Node* n = root_.get(); n;) {
    if (n->object->key < key) {
      count += 1 + (n->left ? n->left->size : 0);
      n = n->right.get();
    } else {
      n = n->left.get();
    }
  }
  return count;
}

bool ObjectMap::walk(const Node* n, std::string_view from, const std::function<bool(const ObjectPtr&)>& fn) {
  if (!n) return true;
  if (n->object->key >= from) {
    if (!walk(n->left.get(), from, fn) || !fn(n->object)) return false;
  }
  return walk(n->right.get(), from, fn);
}

std::string prefix_end(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty()) {
    if (static_cast<unsigned char>(end.back()) != 0xff) {
      ++end.back();
      return end;
    }
    end.pop_back();
  }
  return end;
}

}  // namespace k8lite::store
