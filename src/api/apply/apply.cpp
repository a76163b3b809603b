// Server-side apply: merge, prune, conflicts, and taking over from kubectl's client-side apply.
#include <algorithm>
#include <map>

#include "api/apply/managed_fields.h"

namespace k8lite::api::apply {
namespace {

using json::Node;
using schema::Type;

constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration", kKubectl = "kubectl", kBeforeFirst = "before-first-apply";
constexpr size_t kMaxAnnotations = 256 * 1024;

struct Conflict {
  Manager with;  // without its fields
  FieldSet fields;
};

struct Outcome {
  Node object;
  Managers managers;
  std::vector<Conflict> conflicts;  // not empty: nothing was done
};

// Takes out of `merged` what `last` owned and nobody owns now.
Node prune(Node merged, const FieldSet& last, const Managers& managers, const Type& type) {
  if (last.empty()) return merged;
  FieldSet owned;
  for (const Manager& m : managers) owned = owned.united(m.fields);
  FieldSet last_all = with_structs(last, type), merged_all = with_structs(fields_of(merged, type), type);
  Node bare = without(merged, last_all, type);
  FieldSet stays = with_structs(fields_of(bare, type), type).united(with_structs(owned, type));
  Node refilled = without(merged, merged_all.minus(stays), type, owned);
  FieldSet gone = merged_all.minus(with_structs(fields_of(refilled, type), type)).shared(last_all);
  return without(merged, gone, type, owned);
}

Result<Outcome> try_apply(const Node& live, const Node& config, Managers managers, const Type& type, const Writer& writer, bool force, const Complete& complete) {
  Manager self{writer.manager, "Apply", writer.api_version, writer.subresource, "", fields_of(config, type)};
  Manager last = self;
  last.fields = {};
  bool is_new = true;
  for (Manager& m : managers)
    if (m.same(self)) {
      last = m;
      m.fields = self.fields;
      m.api_version = self.api_version;
      is_new = false;
    }
  if (is_new) managers.push_back(self);
  Outcome out;
  out.object = prune(merge(live, config, type), last.fields, managers, type);
  if (complete) TRY_OK(complete(out.object));
  Changes changes = compare(live, out.object, type);
  // What the configuration itself changes; a null takes away.
  FieldSet taken = changes.modified.united(changes.added).united(changes.removed).shared(self.fields);
  for (Manager& m : managers) {
    if (m.same(self)) continue;
    FieldSet contested = m.fields.shared(taken);
    m.fields = m.fields.minus(contested).minus(changes.removed);
    if (contested.empty()) continue;
    out.conflicts.push_back({m, std::move(contested)});
  }
  if (force) out.conflicts.clear();
  for (Manager& m : managers) {
    if (!m.same(self)) continue;
    m.fields = m.fields.minus(never_owned());
    if (!changes.empty() || !(m.fields == last.fields) || last.time.empty()) m.time = rfc3339(writer.now);
  }
  std::erase_if(managers, [](const Manager& m) { return m.fields.empty(); });
  out.managers = std::move(managers);
  return std::move(out);
}

std::string printed(const Manager& m) {
  std::string out = json::quoted(m.name);
  if (!m.subresource.empty()) out += " with subresource " + json::quoted(m.subresource);
  if (!m.applies()) out += " using " + m.api_version;
  return out;
}

Status conflict_status(const std::vector<Conflict>& conflicts) {
  StatusDetails details;
  std::map<std::string, std::vector<std::string>> by_manager;
  for (const Conflict& c : conflicts)
    for (const FieldPath& path : c.fields.paths()) {
      by_manager[printed(c.with)].push_back(path_text(path));
      details.causes.push_back({"FieldManagerConflict", "conflict with " + printed(c.with), path_text(path)});
    }
  std::string text;
  if (details.causes.size() == 1) {
    text = "Apply failed with 1 conflict: " + details.causes[0].message + ": " + details.causes[0].field;
  } else {
    text = "Apply failed with " + std::to_string(details.causes.size()) + " conflicts: ";
    bool first = true;
    for (const auto& [manager, paths] : by_manager) {
      text += (first ? "" : "\n") + ("conflicts with " + manager) + ":";
      for (const auto& p : paths) text += "\n- " + p;
      first = false;
    }
  }
  return Status(Reason::Conflict, text).set_details(std::move(details));
}

// What client-side apply set and is still as it set it; nothing when the annotation is absent or of another version.
FieldSet still_as_last_applied(const Node& live, const Type& type, const Writer& writer) {
  const Node& annotations = live.get("metadata").get("annotations");
  auto last = Node::parse(annotations.get(kLastApplied).str());
  if (!last.ok() || !last->is_object() || last->get("apiVersion").str() != writer.api_version) return {};
  Changes c = compare(*last, live, type);
  return fields_of(*last, type).minus(c.modified).minus(c.added).minus(c.removed);
}

Node sorted(const Node& n) {
  Node out = n;
  for (Node& item : out.items()) item = sorted(item);
  for (auto& m : out.members()) m.second = sorted(m.second);
  std::sort(out.members().begin(), out.members().end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return out;
}

void refresh_last_applied(Node& object, const Node& config) {
  Node* annotations = object["metadata"].find("annotations");
  if (!annotations || annotations->get(kLastApplied).str().empty()) return;
  Node applied = sorted(config);
  if (Node* a = applied["metadata"].find("annotations")) a->erase(kLastApplied);
  annotations->set(kLastApplied, applied.dump() + "\n");
  size_t total = 0;
  for (const auto& [key, value] : annotations->members()) total += key.size() + value.str().size();
  if (total > kMaxAnnotations) annotations->set(kLastApplied, "");
}

}  // namespace

Result<Node> apply(const Node& live, const Node& config, const Type& type, const Writer& writer, bool force, const Complete& complete) {
  TRY(Managers managers, decode_managers(live.path("metadata.managedFields")).within("failed to decode managed fields"));
  for (Manager& m : managers) m.fields = fitted(m.fields, type);
  Node bare = live;
  if (Node* metadata = bare.find("metadata")) metadata->erase("managedFields");
  if (managers.empty()) {
    FieldSet all = compare(Node::object(), bare, type).added.minus(never_owned());
    if (!all.empty()) managers.push_back({std::string(kBeforeFirst), "Update", writer.api_version, writer.subresource, rfc3339(writer.now), std::move(all)});
  }
  TRY(Outcome out, try_apply(bare, config, managers, type, writer, force, complete));
  if (!out.conflicts.empty() && writer.manager == kKubectl) {
    FieldSet allowed = still_as_last_applied(bare, type, writer);
    for (Conflict& c : out.conflicts) c.fields = c.fields.minus(allowed);
    std::erase_if(out.conflicts, [](const Conflict& c) { return c.fields.empty(); });
    if (out.conflicts.empty()) {
      TRY(out, try_apply(bare, config, std::move(managers), type, writer, true, complete));
    }
  }
  if (!out.conflicts.empty()) return conflict_status(out.conflicts);
  if (writer.manager == kKubectl) refresh_last_applied(out.object, config);
  Node& metadata = out.object["metadata"];
  if (!metadata.is_object()) metadata = Node::object();
  cap(out.managers);
  if (!out.managers.empty()) metadata.set("managedFields", encode_managers(std::move(out.managers)));
  return std::move(out.object);
}

}  // namespace k8lite::api::apply
