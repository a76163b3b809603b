#include "store/object_map.h"

#include <algorithm>
#include <atomic>

namespace k8lite::store {
namespace {

constexpr size_t kWidest = 32;  // objects of a leaf, children of an inner node

}  // namespace

// A count of one is final: only who holds the map could make it more, and that is the caller.
ObjectMap::Node& ObjectMap::own(Link& n) {
  if (n.use_count() > 1) n = std::make_shared<Node>(*n);
  else std::atomic_thread_fence(std::memory_order_acquire);  // what the last other holder read, it has read
  return *n;
}

// The first object that is not before the key; the child that the key belongs to.
size_t ObjectMap::place(const std::vector<ObjectPtr>& objects, std::string_view key) {
  auto it = std::lower_bound(objects.begin(), objects.end(), key, [](const ObjectPtr& o, std::string_view k) { return o->key < k; });
  return static_cast<size_t>(it - objects.begin());
}
size_t ObjectMap::place(const std::vector<Child>& children, std::string_view key) {
  auto it = std::upper_bound(children.begin() + 1, children.end(), key, [](std::string_view k, const Child& c) { return k < c.first; });
  return static_cast<size_t>(it - children.begin()) - 1;
}

ObjectPtr ObjectMap::find(std::string_view key) const {
  const Node* n = root_.get();
  if (!n) return nullptr;
  while (!n->leaf()) n = n->children[place(n->children, key)].node.get();
  size_t at = place(n->objects, key);
  return at < n->objects.size() && n->objects[at]->key == key ? n->objects[at] : nullptr;
}

// Gives the second half of a child that has become too wide to a new one beside it. What is put at the end mostly goes on at the end:
// such a child stays nearly full.
void ObjectMap::split(Node& parent, size_t at) {
  Node& full = *parent.children[at].node;
  auto fresh = std::make_shared<Node>();
  size_t kept = at + 1 == parent.children.size() ? full.width() * 7 / 8 : full.width() / 2;
  auto from = static_cast<std::ptrdiff_t>(kept);
  std::string first;
  if (full.leaf()) {
    fresh->objects.assign(full.objects.begin() + from, full.objects.end());
    full.objects.resize(kept);
    fresh->size = fresh->objects.size();
    first = fresh->objects.front()->key;
  } else {
    fresh->children.assign(std::make_move_iterator(full.children.begin() + from), std::make_move_iterator(full.children.end()));
    full.children.resize(kept);
    for (const Child& c : fresh->children) fresh->size += c.node->size;
    first = std::move(fresh->children.front().first);
  }
  full.size -= fresh->size;
  parent.children.insert(parent.children.begin() + static_cast<std::ptrdiff_t>(at) + 1, {std::move(first), std::move(fresh)});
}

// Whether it is one more.
bool ObjectMap::put(Link& n, ObjectPtr& object) {
  Node& node = own(n);
  bool fresh = true;
  if (node.leaf()) {
    size_t at = place(node.objects, object->key);
    fresh = at == node.objects.size() || node.objects[at]->key != object->key;
    if (!fresh) node.objects[at] = std::move(object);
    else {
      if (node.objects.capacity() == node.objects.size()) node.objects.reserve(node.objects.size() + 8);
      node.objects.insert(node.objects.begin() + static_cast<std::ptrdiff_t>(at), std::move(object));
    }
  } else {
    size_t at = place(node.children, object->key);
    fresh = put(node.children[at].node, object);
    if (node.children[at].node->width() > kWidest) split(node, at);
  }
  node.size += fresh;
  return fresh;
}

void ObjectMap::insert(ObjectPtr object) {
  if (!root_) root_ = std::make_shared<Node>();
  put(root_, object);
  if (root_->width() <= kWidest) return;
  auto top = std::make_shared<Node>();
  top->size = root_->size;
  top->children.push_back({"", std::move(root_)});
  split(*top, 0);
  root_ = std::move(top);
}

// A child that has become narrow goes into its neighbour when both fit well; an empty one always goes.
void ObjectMap::join(Node& parent, size_t at) {
  if (at + 1 == parent.children.size()) {
    if (at == 0) return;
    --at;
  }
  const Node& right = *parent.children[at + 1].node;
  size_t a = parent.children[at].node->width(), b = right.width();
  if (a > 0 && b > 0 && a + b > kWidest / 2 + kWidest / 4) return;
  Node& left = own(parent.children[at].node);
  left.objects.insert(left.objects.end(), right.objects.begin(), right.objects.end());
  for (const Child& c : right.children) left.children.push_back({&c == &right.children.front() ? parent.children[at + 1].first : c.first, c.node});
  left.size += right.size;
  parent.children.erase(parent.children.begin() + static_cast<std::ptrdiff_t>(at) + 1);
}

void ObjectMap::drop(Link& n, std::string_view key) {
  Node& node = own(n);
  --node.size;
  if (node.leaf()) {
    node.objects.erase(node.objects.begin() + static_cast<std::ptrdiff_t>(place(node.objects, key)));
    return;
  }
  size_t at = place(node.children, key);
  drop(node.children[at].node, key);
  if (node.children[at].node->width() < kWidest / 4) join(node, at);
}

void ObjectMap::erase(std::string_view key) {
  if (!find(key)) return;
  drop(root_, key);
  while (root_ && !root_->leaf() && root_->children.size() == 1) {
    Link only = root_->children[0].node;
    root_ = std::move(only);
  }
  if (root_ && root_->size == 0) root_ = nullptr;
}

size_t ObjectMap::count_before(std::string_view key) const {
  size_t count = 0;
  const Node* n = root_.get();
  if (!n) return 0;
  while (!n->leaf()) {
    size_t at = place(n->children, key);
    for (size_t i = 0; i < at; ++i) count += n->children[i].node->size;
    n = n->children[at].node.get();
  }
  return count + place(n->objects, key);
}

bool ObjectMap::walk(const Node& n, std::string_view from, const std::function<bool(const ObjectPtr&)>& fn) {
  if (n.leaf()) {
    for (size_t i = place(n.objects, from); i < n.objects.size(); ++i)
      if (!fn(n.objects[i])) return false;
    return true;
  }
  for (size_t i = place(n.children, from); i < n.children.size(); ++i)
    if (!walk(*n.children[i].node, from, fn)) return false;
  return true;
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
