#include "controllers/crd_plan.h"

#include <set>

namespace k8lite::controllers {
namespace {

using json::Doc;
using json::Node;
using json::Value;

struct Condition {
  std::string status, reason, message;
};

Condition find_condition(const Doc& definition, std::string_view type) {
  for (Value c : definition["status"]["conditions"].items())
    if (c["type"].equals(type)) return {c["status"].str(), c["reason"].str(), c["message"].str()};
  return {};
}

// Resource names and kinds that other definitions have.
struct Taken {
  std::set<std::string> resources, kinds;

  explicit Taken(const std::vector<Doc>& others) {
    for (const Doc& d : others) {
      Value names = d["status"]["acceptedNames"];
      for (const char* f : {"plural", "singular"}) resources.insert(names[f].str());
      for (Value s : names["shortNames"].items()) resources.insert(s.str());
      for (const char* f : {"kind", "listKind"}) kinds.insert(names[f].str());
    }
    resources.erase("");
    kinds.erase("");
  }
};

// Takes over the names that are free; "" or the reason and text of the last that is not.
Condition accept(const Node& wanted, Node& accepted, const Taken& taken) {
  Condition out{"True", "NoConflicts", "no conflicts found"};
  auto one = [&](const char* field, const std::set<std::string>& used, const char* reason) {
    const std::string& name = wanted.get(field).str();
    if (name == accepted.get(field).str()) return;
    if (used.contains(name))
      out = {"False", reason, json::quoted(name) + " is already in use"};
    else
      accepted.set(field, name);
  };
  one("plural", taken.resources, "PluralConflict");
  one("singular", taken.resources, "SingularConflict");
  std::string clashes;
  int n = 0;
  for (const Node& s : wanted.get("shortNames").items())
    if (taken.resources.contains(s.str())) clashes += (n++ ? ", " : "") + json::quoted(s.str()) + " is already in use";
  if (n)
    out = {"False", "ShortNamesConflict", n > 1 ? "[" + clashes + "]" : clashes};
  else if (wanted.get("shortNames").size())
    accepted.set("shortNames", wanted.get("shortNames"));
  else
    accepted.erase("shortNames");
  one("kind", taken.kinds, "KindConflict");
  one("listKind", taken.kinds, "ListKindConflict");
  if (wanted.get("categories").size())
    accepted.set("categories", wanted.get("categories"));
  else
    accepted.erase("categories");
  return out;
}

Node status_of(const Doc& definition) {
  return definition["status"].to_node().is_object() ? definition["status"].to_node() : Node::object();
}

}  // namespace

std::optional<Node> plan_names(const Doc& definition, const std::vector<Doc>& others, Instant now) {
  Node before = status_of(definition), status = before;
  Value old = definition["status"]["conditions"];
  Condition was = find_condition(definition, "NamesAccepted"), established = find_condition(definition, "Established");
  Condition names = accept(definition["spec"]["names"].to_node(), status["acceptedNames"], Taken(others));
  bool settled = was.status == names.status;
  if (established.status != "True") {
    if (names.status != "True")
      established = {"False", "NotAccepted", "not all names are accepted"};
    else if (!settled)
      established = {"False", "Installing", "the initial names have been accepted"};
    else
      established = {"True", "InitialNamesAccepted", "the initial names have been accepted"};
  }
  Node& list = status["conditions"];
  if (!list.is_array()) list = Node::array();
  set_condition(list, old, "NamesAccepted", names.status, names.reason, names.message, now);
  set_condition(list, old, "Established", established.status, established.reason, established.message, now);
  if (status == before) return {};
  return status;
}

Node terminating_status(const Doc& definition, bool terminating, std::string_view reason, std::string_view message,
                        Instant now) {
  Node status = status_of(definition);
  Node& list = status["conditions"];
  if (!list.is_array()) list = Node::array();
  set_condition(list, definition["status"]["conditions"], "Terminating", terminating ? "True" : "False", reason,
                message, now);
  return status;
}

}  // namespace k8lite::controllers
