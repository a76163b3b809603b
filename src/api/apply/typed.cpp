#include "api/apply/typed.h"

#include <algorithm>
#include <map>

#include "api/apply/position.h"

namespace k8lite::api::apply {
namespace {

using json::Node;
using schema::Field;
using schema::Shape;
using schema::Type;

const Node& empty_object() {
  static const Node node = Node::object();
  return node;
}

// ---- the fields of an object ----

// Puts what lies below into `out`; true when the path of the value itself is owned.
bool collect_fields(const Node& value, const Position& at, FieldSet& out);

void collect_items(const Node& list, const Position& at, FieldSet& out) {
  std::map<std::string, int> seen;
  std::vector<std::optional<std::string>> elements;
  for (const Node& item : list.items()) {
    elements.push_back(item_element(item, at));
    if (elements.back()) ++seen[*elements.back()];
  }
  for (size_t i = 0; i < elements.size(); ++i) {
    if (!elements[i]) continue;
    out.insert(*elements[i]);
    if (seen[*elements[i]] > 1) continue;
    FieldSet inner;
    collect_fields(list.items()[i], at.item(), inner);
    out.insert_below(*elements[i], std::move(inner));
  }
}

bool collect_fields(const Node& value, const Position& at, FieldSet& out) {
  Form form = at.form();
  if (form == Form::Leaf) return true;
  if (form == Form::Set || form == Form::Items) {
    collect_items(value, at, out);
    return false;
  }
  for (const auto& [name, child] : value.members()) {
    Position below = at.child(name);
    FieldSet inner;
    bool own = collect_fields(child, below, inner);
    own = own || child.is_null() || (child.is_object() && child.size() == 0) || form == Form::Map;
    std::string element = field_element(name);
    if (own) out.insert(element);
    out.insert_below(element, std::move(inner));
  }
  return false;
}

// ---- comparing ----

enum class Fate { Same, Removed, Modified, Added };

Fate compare_at(const Node* before, const Node* after, const Position& at, Changes& out);

void note(Changes& out, const std::string& element, Fate fate, Changes inner) {
  if (fate == Fate::Removed) out.removed.insert(element);
  if (fate == Fate::Modified) out.modified.insert(element);
  if (fate == Fate::Added) out.added.insert(element);
  out.removed.insert_below(element, std::move(inner.removed));
  out.modified.insert_below(element, std::move(inner.modified));
  out.added.insert_below(element, std::move(inner.added));
}

// Go's types hold these as plain structs, which are there even when nothing was said about them; and lists that are required.
bool always_there(const Field* field) {
  if (!field) return false;
  if (field->shape == Shape::List) return field->required;
  static constexpr std::string_view kStructs[] = {"metadata", "spec", "status", "template", "strategy", "updateStrategy", "resources", "jobTemplate", "state", "lastState",
                                                  "nodeInfo", "daemonEndpoints", "kubeletEndpoint", "loadBalancer"};
  return field->shape == Shape::Single && std::find(std::begin(kStructs), std::end(kStructs), field->name) != std::end(kStructs);
}

void compare_child(const Node* before, const Node* after, const std::string& name, const Position& at, bool both_there, Changes& out) {
  Position below = at.child(name);
  if (both_there && (!before || !after) && below.form() != Form::Leaf && at.form() == Form::Struct && always_there(below.field)) {
    if (!before) before = &empty_object();
    else after = &empty_object();
  }
  Changes inner;
  Fate fate = compare_at(before, after, below, inner);
  if (fate != Fate::Same || !inner.empty()) note(out, field_element(name), fate, std::move(inner));
}

void compare_members(const Node* before, const Node* after, const Position& at, Changes& out) {
  bool both = before && after;
  if (before)
    for (const auto& [name, value] : before->members()) compare_child(&value, after ? after->find(name) : nullptr, name, at, both, out);
  if (after)
    for (const auto& [name, value] : after->members())
      if (!before || !before->find(name)) compare_child(nullptr, &value, name, at, both, out);
}

using Grouped = std::map<std::string, std::pair<std::vector<const Node*>, std::vector<const Node*>>>;

void compare_items(const Node* before, const Node* after, const Position& at, Changes& out) {
  Grouped grouped;
  if (before)
    for (const Node& item : before->items())
      if (auto e = item_element(item, at)) grouped[*e].first.push_back(&item);
  if (after)
    for (const Node& item : after->items())
      if (auto e = item_element(item, at)) grouped[*e].second.push_back(&item);
  auto one = [&](const std::string& element, const Node* a, const Node* b) {
    Changes inner;
    Fate fate = compare_at(a, b, at.item(), inner);
    if (fate != Fate::Same || !inner.empty()) note(out, element, fate, std::move(inner));
  };
  auto equal = [](const Node* a, const Node* b) { return *a == *b; };
  for (const auto& [element, sides] : grouped) {
    const auto& [a, b] = sides;
    if (a.size() <= 1 && b.size() <= 1) {
      one(element, a.empty() ? nullptr : a[0], b.empty() ? nullptr : b[0]);
    } else if (a.size() > 1 && b.size() > 1) {
      // Items that stand twice are one field together.
      if (!std::equal(a.begin(), a.end(), b.begin(), b.end(), equal)) out.modified.insert(element);
    } else if (a.size() > 1) {
      if (!b.empty()) one(element, nullptr, b[0]);
      else out.removed.insert(element);
    } else {
      if (!a.empty()) one(element, a[0], nullptr);
      out.added.insert(element);
    }
  }
}

Fate compare_at(const Node* before, const Node* after, const Position& at, Changes& out) {
  Form form = at.form();
  bool list = form == Form::Set || form == Form::Items;
  auto contents = [list](const Node* n) { return n && (list ? n->is_array() : n->is_object()) ? n : nullptr; };
  const Node *a = contents(before), *b = contents(after);
  if (form == Form::Leaf || ((!a || !a->size()) && (!b || !b->size()))) {
    if (!before) return Fate::Added;
    if (!after) return Fate::Removed;
    // An implied struct and an empty list are both "nothing there".
    bool same = *before == *after || (form != Form::Leaf && (before == &empty_object() || after == &empty_object()));
    return same ? Fate::Same : Fate::Modified;
  }
  if (list) compare_items(a, b, at, out);
  else compare_members(before ? (a ? a : &empty_object()) : nullptr, after ? (b ? b : &empty_object()) : nullptr, at, out);
  return !before ? Fate::Added : !after ? Fate::Removed : Fate::Same;
}

// ---- merging ----

Node merge_at(const Node* live, const Node* config, const Position& at);

// The configuration's items in its order; items only the live list has stay in front of what they stood in front of. An item that
// stands twice in the live list and is in the configuration comes from the configuration alone.
Node merge_items(const Node& live, const Node& config, const Position& at) {
  std::vector<std::optional<std::string>> left, right;
  std::map<std::string, std::vector<const Node*>> in_live, in_config;
  for (const Node& item : live.items())
    if (left.push_back(item_element(item, at)); left.back()) in_live[*left.back()].push_back(&item);
  for (const Node& item : config.items())
    if (right.push_back(item_element(item, at)); right.back()) in_config[*right.back()].push_back(&item);
  Node out = Node::array();
  size_t l = 0;
  auto take_live_only = [&] {
    for (; l < left.size() && !(left[l] && in_config.contains(*left[l])); ++l) out.append(live.items()[l]);
  };
  for (size_t r = 0; r < right.size(); ++r) {
    const std::string* element = right[r] ? &*right[r] : nullptr;
    auto shared = element ? in_live.find(*element) : in_live.end();
    if (shared != in_live.end()) {
      // Up to where this item stands in the live list; shared items on the way have another place in the configuration.
      size_t stands = l;
      while (stands < left.size() && left[stands] != right[r]) ++stands;
      if (stands < left.size()) {
        while (l < stands) {
          if (!left[l] || !in_config.contains(*left[l])) out.append(live.items()[l]);
          ++l;
        }
        ++l;
      }
    } else {
      take_live_only();
    }
    const Node* own = shared != in_live.end() && shared->second.size() == 1 ? shared->second[0] : nullptr;
    out.append(merge_at(own, &config.items()[r], at.item()));
  }
  for (; l < left.size(); ++l)
    if (!left[l] || !in_config.contains(*left[l])) out.append(live.items()[l]);
  return out;
}

Node merge_at(const Node* live, const Node* config, const Position& at) {
  if (!config) return *live;
  Form form = at.form();
  if (!live || form == Form::Leaf) return *config;
  bool list = form == Form::Set || form == Form::Items;
  auto full = [list](const Node& n) { return (list ? n.is_array() : n.is_object()) && n.size() > 0; };
  if (!full(*live)) return *config;
  if (!full(*config)) return *live;
  if (list) return merge_items(*live, *config, at);
  Node out = Node::object();
  for (const auto& [name, value] : live->members()) out.members().emplace_back(name, merge_at(&value, config->find(name), at.child(name)));
  for (const auto& [name, value] : config->members())
    if (!live->find(name)) out.members().emplace_back(name, value);
  return out;
}

// ---- taking out ----

std::optional<Node> without_at(const Node& value, const FieldSet& fields, const FieldSet& kept, const Position& at) {
  Form form = at.form();
  if (form == Form::Leaf || fields.empty() || value.size() == 0) return value;
  bool list = form == Form::Set || form == Form::Items;
  Node out = list ? Node::array() : Node::object();
  for (const Node& item : value.items()) {
    auto element = item_element(item, at);
    if (element && fields.has(*element)) continue;
    auto left = element ? without_at(item, fields.below(*element), kept.below(*element), at.item()) : item;
    out.append(left ? std::move(*left) : Node::object());
  }
  for (const auto& [name, child] : value.members()) {
    std::string element = field_element(name);
    if (fields.has(element)) continue;
    Position below = at.child(name);
    if (auto left = without_at(child, fields.below(element), kept.below(element), below)) out.members().emplace_back(name, std::move(*left));
    else if (kept.has(element) && below.form() == Form::Struct) out.members().emplace_back(name, Node::object());
  }
  if (out.size() == 0) return std::nullopt;
  return out;
}

FieldSet with_structs_at(const FieldSet& set, const Position& at) {
  FieldSet out;
  bool is_struct = at.form() == Form::Struct;
  for (const auto& e : set.entries()) {
    std::string_view name = e.element[0] == 'f' ? std::string_view(e.element).substr(2) : std::string_view();
    Position below = name.empty() ? at.item() : at.child(name);
    if (e.member || (is_struct && !name.empty() && below.field)) out.insert(e.element);
    out.insert_below(e.element, with_structs_at(e.children, below));
  }
  return out;
}

}  // namespace

FieldSet fields_of(const Node& object, const Type& type) {
  FieldSet out;
  collect_fields(object, {&type, nullptr, false}, out);
  return out;
}

Changes compare(const Node& before, const Node& after, const Type& type) {
  Changes out;
  compare_at(&before, &after, {&type, nullptr, false}, out);
  return out;
}

Node merge(const Node& live, const Node& config, const Type& type) { return merge_at(&live, &config, {&type, nullptr, false}); }

Node without(const Node& object, const FieldSet& fields, const Type& type, const FieldSet& kept) {
  return without_at(object, fields, kept, {&type, nullptr, false}).value_or(Node::object());
}

FieldSet with_structs(const FieldSet& set, const Type& type) { return with_structs_at(set, {&type, nullptr, false}); }

}  // namespace k8lite::api::apply
