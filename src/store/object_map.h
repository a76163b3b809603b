// A persistent (copy-on-write) sorted map from key to object: a B+ tree, for it takes some 20 bytes an object where a binary tree takes 80.
// Copies are one pointer, so a list or a continue token can pin a snapshot while writers go on. Insert and erase copy the nodes on their
// path that a copy of the map shares, and change the others in place: the caller sees to it that nobody copies this map meanwhile.
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
  void each_from(std::string_view from, const std::function<bool(const ObjectPtr&)>& fn) const {
    if (root_) walk(*root_, from, fn);
  }

 private:
  struct Node;
  using Link = std::shared_ptr<Node>;
  struct Child {
    std::string first;  // no key below is smaller; of the first child it means nothing
    Link node;
  };
  struct Node {
    size_t size = 0;                 // objects below
    std::vector<ObjectPtr> objects;  // a leaf has these, sorted
    std::vector<Child> children;     // and an inner node these
    bool leaf() const { return children.empty(); }
    size_t width() const { return leaf() ? objects.size() : children.size(); }
  };
  static Node& own(Link& n);  // copied first where a copy of the map shares it
  static size_t place(const std::vector<ObjectPtr>& objects, std::string_view key);
  static size_t place(const std::vector<Child>& children, std::string_view key);
  static bool put(Link& n, ObjectPtr& object);
  static void drop(Link& n, std::string_view key);
  static void split(Node& parent, size_t at);
  static void join(Node& parent, size_t at);
  static bool walk(const Node& n, std::string_view from, const std::function<bool(const ObjectPtr&)>& fn);
  Link root_;
};

// The first key behind every key that starts with `prefix`; "" when there is no such key.
std::string prefix_end(std::string_view prefix);

}  // namespace k8lite::store
