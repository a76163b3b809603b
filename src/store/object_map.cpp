#include "store/object_map.h"

#include <atomic>

#include "base/strings.h"

namespace k8lite::store {

// A count of one is final: only who holds the map could make it more, and that is the caller.
ObjectMap::Node& ObjectMap::own(Link& n) {
  if (n.use_count() > 1) n = std::make_shared<Node>(*n);
  else std::atomic_thread_fence(std::memory_order_acquire);  // what the last other holder read, it has read
  return *n;
}

ObjectPtr ObjectMap::find(std::string_view key) const {
  for (const Node* n = root_.get(); n;) {
    int side = key.compare(n->object->key);
    if (side == 0) return n->object;
    n = side < 0 ? n->left.get() : n->right.get();
  }
  return nullptr;
}

std::pair<ObjectMap::Link, ObjectMap::Link> ObjectMap::split(Link n, std::string_view key) {
  if (!n) return {};
  Node& node = own(n);
  if (node.object->key < key) {
    auto [a, b] = split(std::move(node.right), key);
    node.right = std::move(a);
    node.size = static_cast<uint32_t>(1 + size_of(node.left) + size_of(node.right));
    return {std::move(n), std::move(b)};
  }
  auto [a, b] = split(std::move(node.left), key);
  node.left = std::move(b);
  node.size = static_cast<uint32_t>(1 + size_of(node.left) + size_of(node.right));
  return {std::move(a), std::move(n)};
}

ObjectMap::Link ObjectMap::merge(Link a, Link b) {
  if (!a) return b;
  if (!b) return a;
  Link& top = a->priority >= b->priority ? a : b;
  Node& node = own(top);
  node.size = static_cast<uint32_t>(size_of(a) + size_of(b));
  if (&top == &a) node.right = merge(std::move(node.right), std::move(b));
  else node.left = merge(std::move(a), std::move(node.left));
  return std::move(top);
}

void ObjectMap::insert(ObjectPtr object) {
  // Two keys with one hash only unbalance the tree a little; the same key always has the same hash.
  uint64_t h = fnv1a64(object->key);
  h ^= h >> 29, h *= 0xbf58476d1ce4e5b9ull, h ^= h >> 32;
  uint32_t priority = static_cast<uint32_t>(h);
  bool fresh = !find(object->key);
  Link* at = &root_;
  while (*at && (!fresh || (*at)->priority >= priority)) {
    Node& node = own(*at);
    int side = object->key.compare(node.object->key);
    if (side == 0) {
      node.object = std::move(object);
      return;
    }
    node.size += fresh;
    at = side < 0 ? &node.left : &node.right;
  }
  size_t size = 1 + size_of(*at);
  auto [left, right] = split(std::move(*at), object->key);
  *at = std::make_shared<Node>(Node{std::move(object), priority, static_cast<uint32_t>(size), std::move(left), std::move(right)});
}

void ObjectMap::erase(std::string_view key) {
  if (!find(key)) return;
  Link* at = &root_;
  for (;;) {
    Node& node = own(*at);
    int side = key.compare(node.object->key);
    if (side == 0) break;
    --node.size;
    at = side < 0 ? &node.left : &node.right;
  }
  Link gone = std::move(*at);
  *at = merge(std::move(gone->left), std::move(gone->right));
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
