#include "api/apply/managed_fields.h"

#include <algorithm>
#include <array>
#include <map>

#include "api/apply/position.h"
#include "base/strings.h"

namespace k8lite::api::apply {
namespace {

using json::Node;
using schema::Type;

constexpr std::string_view kAncient = "ancient-changes";

bool is_reset(const Node& managed) {
  if (!managed.is_array()) return false;
  return managed.size() == 0 || (managed.size() == 1 && managed.items()[0].is_object() && managed.items()[0].size() == 0);
}

Manager* find(Managers& managers, const Manager& like) {
  for (Manager& m : managers)
    if (m.same(like)) return &m;
  return nullptr;
}

int64_t seconds_of(std::string_view time) {
  auto t = parse_rfc3339(time);
  return t ? t->us / 1'000'000 : 0;
}

}  // namespace

const FieldSet& never_owned() {
  static const FieldSet set = [] {
    FieldSet s;
    for (const char* f : {"f:apiVersion", "f:kind", "f:metadata"}) s.insert(f);
    for (const char* f : {"f:name", "f:namespace", "f:creationTimestamp", "f:selfLink", "f:uid", "f:clusterName", "f:generation", "f:managedFields", "f:resourceVersion"})
      s.insert(FieldPath{"f:metadata", f});
    return s;
  }();
  return set;
}

void cap(Managers& managers) {
  std::vector<Manager> updates;
  for (Manager& m : managers)
    if (!m.applies()) updates.push_back(m);
  if (updates.size() <= kMaxUpdateManagers) return;
  std::erase_if(managers, [](const Manager& m) { return !m.applies(); });
  std::stable_sort(updates.begin(), updates.end(), [](const Manager& a, const Manager& b) {
    int64_t ta = seconds_of(a.time), tb = seconds_of(b.time);
    bool aa = a.name == kAncient, ab = b.name == kAncient;
    if (aa != ab) return aa;  // what was merged before stays one entry
    return ta != tb ? ta < tb : a.name < b.name;
  });
  size_t left = updates.size();
  std::map<std::string, size_t> bucket;  // of a version: where it stands in `kept`
  Managers kept;
  for (Manager& m : updates) {
    auto it = bucket.find(m.api_version);
    if (left <= kMaxUpdateManagers || it == bucket.end()) {
      if (left > kMaxUpdateManagers) bucket[m.api_version] = kept.size();
      kept.push_back(std::move(m));
      continue;
    }
    Manager& ancient = kept[it->second];
    ancient.name = kAncient;
    ancient.subresource.clear();
    ancient.fields = ancient.fields.united(m.fields);
    ancient.time = m.time;
    --left;
  }
  for (Manager& m : kept) managers.push_back(std::move(m));
}

namespace {

void drop_empty(Managers& managers) {
  std::erase_if(managers, [](const Manager& m) { return m.fields.empty(); });
}

// What an update that changed these fields makes of the owners.
void give(Managers& managers, Changes changes, const Writer& writer) {
  FieldSet taken = std::move(changes.added).united(changes.modified), touched = managers.empty() ? FieldSet() : taken.united(changes.removed);
  Manager self{writer.manager, "Update", writer.api_version, writer.subresource, rfc3339(writer.now), std::move(taken)};
  for (Manager& m : managers) m.fields = m.fields.minus(touched);
  if (!self.fields.empty()) {
    if (Manager* had = find(managers, self)) {
      had->fields = had->fields.united(self.fields);
      had->time = self.time;
    } else {
      managers.push_back(std::move(self));
    }
  }
  drop_empty(managers);
  cap(managers);
}

// Who comes first: operation, time, name, version, subresource.
using Place = std::array<std::string_view, 5>;
bool in_order(const Place& a, const Place& b) {
  if (a[0] != b[0]) return a[0] < b[0];
  int64_t ta = seconds_of(a[1]), tb = seconds_of(b[1]);
  if (ta != tb) return ta < tb;
  return std::tie(a[2], a[3], a[4]) < std::tie(b[2], b[3], b[4]);
}

// Is any of these fields, are all of them, in this fieldsV1?
bool is_member(const Node& entry) { return entry.size() == 0 || entry.find("."); }
bool touches(const Node& fields, const FieldSet& set) {
  Members members(fields);
  return std::any_of(set.entries().begin(), set.entries().end(), [&members](const FieldSet::Entry& e) {
    const Node* here = members.find(e.element);
    return here && ((e.member && is_member(*here)) || touches(*here, e.children));
  });
}
bool covers(const Node& fields, const FieldSet& set) {
  Members members(fields);
  return std::all_of(set.entries().begin(), set.entries().end(), [&members](const FieldSet::Entry& e) {
    const Node* here = members.find(e.element);
    return here && (!e.member || is_member(*here)) && covers(*here, e.children);
  });
}

// The usual update, a writer changing again what it has already: only its time changes, so nothing needs decoding. False: not so.
bool renew(Node& managed, const Changes& changes, const Writer& writer) {
  FieldSet taken = changes.modified.united(changes.added);
  Node* own = nullptr;
  for (Node& entry : managed.items()) {
    const Node& fields = entry.get("fieldsV1");
    bool self = entry.get("operation").str() == "Update" && entry.get("manager").str() == writer.manager && entry.get("apiVersion").str() == writer.api_version && entry.get("subresource").str() == writer.subresource;
    if (touches(fields, changes.removed) || (!self && touches(fields, taken))) return false;
    if (self) own = &entry;
  }
  if (taken.empty()) return true;
  if (!own || !covers(own->get("fieldsV1"), taken)) return false;
  own->set("time", rfc3339(writer.now));
  auto place = [](const Node& e) { return Place{e.get("operation").str(), e.get("time").str(), e.get("manager").str(), e.get("apiVersion").str(), e.get("subresource").str()}; };
  std::stable_sort(managed.items().begin(), managed.items().end(), [&place](const Node& a, const Node& b) { return in_order(place(a), place(b)); });
  return true;
}

Changes owned_changes(const Node& before, const Node& after, const Type& type) {
  Changes c = compare(before.is_object() ? before : Node::object(), after, type);
  return {std::move(c.removed).minus(never_owned()), std::move(c.modified).minus(never_owned()), std::move(c.added).minus(never_owned())};
}

void set_managed(Node& object, Node managed) {
  if (managed.size() > 0) object["metadata"].set("managedFields", std::move(managed));
}

}  // namespace

Result<Managers> decode_managers(const Node& managed) {
  Managers out;
  for (const Node& entry : managed.items()) {
    Manager m;
    m.operation = entry.get("operation").str();
    m.api_version = entry.get("apiVersion").str();
    if (m.operation != "Apply" && m.operation != "Update") return bad_request("operation must be `Apply` or `Update`");
    if (m.api_version.empty()) return bad_request("apiVersion must not be empty");
    if (entry.get("fieldsType").str() != "FieldsV1") return bad_request("invalid fieldsType " + json::quoted(entry.get("fieldsType").str()) + " in managed fields entry " + std::to_string(out.size()));
    m.name = entry.get("manager").str();
    m.subresource = entry.get("subresource").str();
    m.time = entry.get("time").str();
    const Node& fields = entry.get("fieldsV1");
    if (fields.exists() && !fields.is_null()) {
      TRY(m.fields, FieldSet::decode(fields));
    }
    if (Manager* had = find(out, m)) *had = std::move(m);
    else out.push_back(std::move(m));
  }
  return out;
}

Node encode_managers(Managers managers) {
  std::stable_sort(managers.begin(), managers.end(), [](const Manager& a, const Manager& b) {
    return in_order({a.operation, a.time, a.name, a.api_version, a.subresource}, {b.operation, b.time, b.name, b.api_version, b.subresource});
  });
  Node out = Node::array();
  for (const Manager& m : managers) {
    Node entry = Node::obj({{"manager", m.name}, {"operation", m.operation}, {"apiVersion", m.api_version}});
    if (!m.time.empty()) entry.set("time", m.time);
    entry.set("fieldsType", "FieldsV1");
    entry.set("fieldsV1", m.fields.encode());
    if (!m.subresource.empty()) entry.set("subresource", m.subresource);
    out.append(std::move(entry));
  }
  return out;
}

void track_update(const Node& before, Node& after, const Type& type, const Writer& writer) {
  bool creating = !before.is_object();
  Node sent = Node::object();  // none
  if (Node* own = after["metadata"].find("managedFields")) sent = std::move(*own);
  after["metadata"].erase("managedFields");
  const Node& had = before.path("metadata.managedFields");
  // Managers of the request, when they are a valid change of their own; else those the object has.
  Managers managers;
  bool kept = true;
  if (writer.subresource.empty() && !sent.is_object() && !(sent == had)) {
    if (is_reset(sent)) {
      kept = false;
    } else if (auto own = decode_managers(sent); own.ok() && !own->empty()) {
      managers = std::move(*own);
      kept = false;
    }
  }
  bool untracked = kept ? had.size() == 0 : managers.empty();
  if (untracked && !creating) return;
  Changes changes = owned_changes(before, after, type);
  if (kept && changes.empty()) return set_managed(after, had.exists() ? had : Node());
  if (kept && had.size() > 0) {
    Node same = sent.size() > 0 && sent == had ? std::move(sent) : had;
    if (renew(same, changes, writer)) return set_managed(after, std::move(same));
    managers = decode_managers(had).value_or({});
    for (Manager& m : managers) m.fields = fitted(m.fields, type);
  }
  if (managers.empty() && !creating) return;
  give(managers, std::move(changes), writer);
  set_managed(after, encode_managers(std::move(managers)));
}

bool same_but_times(const Node& a, const Node& b) {
  if (!a.is_object() || !b.is_object()) return a == b;
  const Node &am = a.path("metadata.managedFields"), &bm = b.path("metadata.managedFields");
  if (am.size() != bm.size() || a.size() != b.size()) return false;
  auto equal_but = [](const Node& x, const Node& y, std::string_view but) {
    if (x.size() != y.size()) return false;
    return std::all_of(x.members().begin(), x.members().end(), [&](const Node::Member& m) {
      const Node* other = y.find(m.first);
      return other && (m.first == but || m.second == *other);
    });
  };
  if (!equal_but(a, b, "metadata") || !equal_but(a.get("metadata"), b.get("metadata"), "managedFields")) return false;
  for (size_t i = 0; i < am.size(); ++i)
    if (!equal_but(am.items()[i], bm.items()[i], "time")) return false;
  return true;
}

std::string manager_of_user_agent(std::string_view agent) {
  std::string name;
  for (char c : agent.substr(0, agent.find('/')))
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f && name.size() < kMaxManagerName) name += c;
  return name;
}

}  // namespace k8lite::api::apply
