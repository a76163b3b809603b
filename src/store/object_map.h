// A persistent (copy-on-write) sorted map from key to object: a treap whose priorities are hashes of the keys. Copies are one
// pointer, so a list or a continue token can pin a snapshot while writers go on. Insert and erase copy the nodes on their path that a
// copy of the map shares, and change the others in place: the caller sees to it that nobody copies this map meanwhile.
#pragma once
#include <functional>
#include <memory>
#include <string_view>

#include "store/store.h"

namespace k8lite::store {

class ObjectMap {
 public:
  ObjectPtr find(std::string_view key) const;
  void insert(ObjectPtr object);  // or replace
  void erase(std::string_view key);
  size_t size() const { return root_ ? root_->size : 0; }
  size_t count_before(std::string_view key) const;  // keys < key
  // In order from the first key >= from, until fn returns false.
  void each_from(std::string_view from, const std::function<bool(const ObjectPtr&)>& fn) const { walk(root_.get(), from, fn); }

 private:
  struct Node;
  using Link = std::shared_ptr<Node>;
  struct Node {
    ObjectPtr object;
    uint32_t priority, size;
    Link left, right;
  };
  static size_t size_of(const Link& n) { return n ? n->size : 0; }
  static Node& own(Link& n);                                         // copied first where a copy of the map shares it
  static std::pair<Link, Link> split(Link n, std::string_view key);  // < key, >= key
  static Link merge(Link a, Link b);
  static bool walk(const Node* n, std::string_view from, const std::function<bool(const ObjectPtr&)>& fn);
  Link root_;
};

// The first key behind every key that starts with `prefix`; "" when there is no such key.
std::string prefix_end(std::string_view prefix);

}  // namespace k8lite::store
