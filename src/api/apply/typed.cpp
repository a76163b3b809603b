#include "api/apply/typed.h"

#include <algorithm>
#include <map>
#include <set>

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

using Entries = std::vector<FieldSet::Entry>;

// ---- the fields of an object ----

struct Owned {
  bool itself = false;  // the path of the value
  FieldSet below;
};
Owned collect_fields(const Node& value, const Position& at);

FieldSet collect_items(const Node& list, const Position& at) {
  std::map<std::string, std::vector<const Node*>> items;
  for (const Node& item : list.items())
    if (auto element = item_element(item, at)) items[*element].push_back(&item);
  Entries entries;
  for (const auto& [element, same] : items) entries.push_back({element, true, same.size() > 1 ? FieldSet() : collect_fields(*same[0], at.item()).below});
  return FieldSet::of(std::move(entries));
}

Owned collect_fields(const Node& value, const Position& at) {
  Form form = at.form();
  if (form == Form::Leaf) return {true, {}};
  if (form == Form::Set || form == Form::Items) return {false, collect_items(value, at)};
  Entries entries;
  for (const auto& [name, child] : value.members()) {
    Owned owned = collect_fields(child, at.child(name));
    bool empty = child.is_null() || (child.is_object() && child.size() == 0);
    entries.push_back({field_element(name), owned.itself || empty || form == Form::Map, std::move(owned.below)});
  }
  return {false, FieldSet::of(std::move(entries))};
}

// ---- comparing ----

enum class Fate { Same, Removed, Modified, Added };

struct Compared {
  Fate fate = Fate::Same;  // of the value's own path
  Changes below;
  bool same() const { return fate == Fate::Same && below.empty(); }
};
Compared compare_at(const Node* before, const Node* after, const Position& at);

// Gathers what is below one value.
struct Gathered {
  Entries removed, modified, added;

  void add_field(const std::string& name, Compared c) {
    if (!c.same()) add(field_element(name), std::move(c));
  }
  void add(const std::string& element, Compared c) {
    if (c.same()) return;
    removed.push_back({element, c.fate == Fate::Removed, std::move(c.below.removed)});
    modified.push_back({element, c.fate == Fate::Modified, std::move(c.below.modified)});
    added.push_back({element, c.fate == Fate::Added, std::move(c.below.added)});
  }
  Changes changes() && { return {FieldSet::of(std::move(removed)), FieldSet::of(std::move(modified)), FieldSet::of(std::move(added))}; }
};

// Go's types hold these as plain structs, which are there even when nothing was said about them; and lists that are required.
bool always_there(const Field* field) {
  if (!field) return false;
  if (field->shape == Shape::List) return field->required;
  static constexpr std::string_view kStructs[] = {"metadata", "spec", "status", "template", "strategy", "updateStrategy", "resources", "jobTemplate", "state", "lastState",
                                                  "nodeInfo", "daemonEndpoints", "kubeletEndpoint", "loadBalancer"};
  return field->shape == Shape::Single && std::find(std::begin(kStructs), std::end(kStructs), field->name) != std::end(kStructs);
}

Compared compare_child(const Node* before, const Node* after, const std::string& name, const Position& at, bool both_there) {
  Position below = at.child(name);
  if (both_there && (!before || !after) && below.form() != Form::Leaf && at.form() == Form::Struct && always_there(below.field)) {
    if (!before) before = &empty_object();
    else after = &empty_object();
  }
  return compare_at(before, after, below);
}

Changes compare_members(const Node* before, const Node* after, const Position& at) {
  bool both = before && after;
  if (after && (!before || before->size() == 0)) {  // all is new
    Entries added;
    added.reserve(after->size());
    for (const auto& [name, value] : after->members()) {
      Compared c = compare_child(nullptr, &value, name, at, both);
      if (!c.same()) added.push_back({field_element(name), c.fate == Fate::Added, std::move(c.below.added)});
    }
    return {{}, {}, FieldSet::of(std::move(added))};
  }
  Members old_members(before ? *before : empty_object()), new_members(after ? *after : empty_object());
  Gathered out;
  if (before)
    for (const auto& [name, value] : before->members()) out.add_field(name, compare_child(&value, new_members.find(name), name, at, both));
  if (after)
    for (const auto& [name, value] : after->members())
      if (!old_members.find(name)) out.add_field(name, compare_child(nullptr, &value, name, at, both));
  return std::move(out).changes();
}

Changes compare_items(const Node* before, const Node* after, const Position& at) {
  std::map<std::string, std::pair<std::vector<const Node*>, std::vector<const Node*>>> grouped;
  if (before)
    for (const Node& item : before->items())
      if (auto e = item_element(item, at)) grouped[*e].first.push_back(&item);
  if (after)
    for (const Node& item : after->items())
      if (auto e = item_element(item, at)) grouped[*e].second.push_back(&item);
  auto equal = [](const Node* a, const Node* b) { return *a == *b; };
  Gathered out;
  for (const auto& [element, sides] : grouped) {
    const auto& [a, b] = sides;
    if (a.size() <= 1 && b.size() <= 1) {
      out.add(element, compare_at(a.empty() ? nullptr : a[0], b.empty() ? nullptr : b[0], at.item()));
    } else if (a.size() > 1 && b.size() > 1) {
      // Items that stand twice are one field together.
      if (!std::equal(a.begin(), a.end(), b.begin(), b.end(), equal)) out.add(element, {Fate::Modified, {}});
    } else if (a.size() > 1) {
      out.add(element, b.empty() ? Compared{Fate::Removed, {}} : compare_at(nullptr, b[0], at.item()));
    } else {
      if (!a.empty()) out.add(element, {Fate::Same, compare_at(a[0], nullptr, at.item()).below});
      out.add(element, {Fate::Added, {}});
    }
  }
  return std::move(out).changes();
}

Compared compare_at(const Node* before, const Node* after, const Position& at) {
  Form form = at.form();
  bool list = form == Form::Set || form == Form::Items;
  auto contents = [list](const Node* n) { return n && (list ? n->is_array() : n->is_object()) ? n : nullptr; };
  const Node *a = contents(before), *b = contents(after);
  if (form == Form::Leaf || ((!a || !a->size()) && (!b || !b->size()))) {
    if (!before) return {Fate::Added, {}};
    if (!after) return {Fate::Removed, {}};
    // An implied struct and an empty list are both "nothing there".
    bool same = *before == *after || (form != Form::Leaf && (before == &empty_object() || after == &empty_object()));
    return {same ? Fate::Same : Fate::Modified, {}};
  }
  // Most of an object does not change: what is equal needs no elements.
  if (before && after && *before == *after) return {};
  Changes below = list ? compare_items(a, b, at) : compare_members(before ? (a ? a : &empty_object()) : nullptr, after ? (b ? b : &empty_object()) : nullptr, at);
  return {!before ? Fate::Added : !after ? Fate::Removed : Fate::Same, std::move(below)};
}

// ---- merging ----

Node merge_at(const Node* live, const Node* config, const Position& at);

// The configuration's items in its order; items only the live list has stay in front of what they stood in front of. An item that
// stands twice in the live list and is in the configuration comes from the configuration alone.
Node merge_items(const Node& live, const Node& config, const Position& at) {
  std::vector<std::optional<std::string>> left, right;
  std::map<std::string, std::vector<size_t>> in_live;  // where
  std::set<std::string> in_config;
  for (const Node& item : live.items())
    if (left.push_back(item_element(item, at)); left.back()) in_live[*left.back()].push_back(left.size() - 1);
  for (const Node& item : config.items())
    if (right.push_back(item_element(item, at)); right.back()) in_config.insert(*right.back());
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
      size_t stands = shared->second[0];
      if (stands >= l) {
        while (l < stands) {
          if (!left[l] || !in_config.contains(*left[l])) out.append(live.items()[l]);
          ++l;
        }
        ++l;
      }
    } else {
      take_live_only();
    }
    const Node* own = shared != in_live.end() && shared->second.size() == 1 ? &live.items()[shared->second[0]] : nullptr;
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
  Members in_live(*live), in_config(*config);
  Node out = Node::object();
  for (const auto& [name, value] : live->members()) out.members().emplace_back(name, merge_at(&value, in_config.find(name), at.child(name)));
  for (const auto& [name, value] : config->members())
    if (!in_live.find(name)) out.members().emplace_back(name, value);
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
  Entries entries;
  bool is_struct = at.form() == Form::Struct;
  for (const auto& e : set.entries()) {
    std::string_view name = e.element[0] == 'f' ? std::string_view(e.element).substr(2) : std::string_view();
    Position below = name.empty() ? at.item() : at.child(name);
    entries.push_back({e.element, e.member || (is_struct && !name.empty() && below.field), with_structs_at(e.children, below)});
  }
  return FieldSet::of(std::move(entries));
}

// Both are of the value at `at`, which is no leaf.
FieldSet fitted_at(const FieldSet& set, const Position& at) {
  Entries entries;
  for (const auto& e : set.entries()) {
    std::string_view name = e.element[0] == 'f' ? std::string_view(e.element).substr(2) : std::string_view();
    Position below = name.empty() ? at.item() : at.child(name);
    bool atomic = below.field && below.form() == Form::Leaf && !e.children.empty();
    entries.push_back({e.element, e.member || atomic, below.field && !atomic ? fitted_at(e.children, below) : atomic ? FieldSet() : e.children});
  }
  return FieldSet::of(std::move(entries));
}

}  // namespace

FieldSet fitted(const FieldSet& set, const Type& type) { return fitted_at(set, {&type, nullptr, false}); }

FieldSet fields_of(const Node& object, const Type& type) { return collect_fields(object, {&type, nullptr, false}).below; }

Changes compare(const Node& before, const Node& after, const Type& type) { return compare_at(&before, &after, {&type, nullptr, false}).below; }

Node merge(const Node& live, const Node& config, const Type& type) { return merge_at(&live, &config, {&type, nullptr, false}); }

Node without(const Node& object, const FieldSet& fields, const Type& type, const FieldSet& kept) {
  return without_at(object, fields, kept, {&type, nullptr, false}).value_or(Node::object());
}

FieldSet with_structs(const FieldSet& set, const Type& type) { return with_structs_at(set, {&type, nullptr, false}); }

}  // namespace k8lite::api::apply
