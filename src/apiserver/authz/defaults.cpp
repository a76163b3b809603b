#include "apiserver/authz/defaults.h"

#include <algorithm>

#include "apiserver/authz/escalation.h"

namespace k8lite::apiserver::authz {
namespace {

using json::Node;

constexpr std::string_view kAutoUpdate = "rbac.authorization.kubernetes.io/autoupdate";

void add_missing(Node& to, const Node& from) {
  for (const Node& item : from.items())
    if (std::find(to.items().begin(), to.items().end(), item) == to.items().end()) to.append(item);
}

bool same_subject(const Node& a, const Node& b) {
  return a.get("kind") == b.get("kind") && a.get("name") == b.get("name") && a.get("namespace").str() == b.get("namespace").str();
}

// A rule is added as the default words it, when the stored rules do not cover all of it.
void add_missing_rules(Node& role, const Node& wanted) {
  for (const Node& rule : wanted.get("rules").items()) {
    auto have = read_rules(json::Doc::from(role)["rules"]);
    auto want = read_rules(json::Doc::from(Node::arr({rule})).root());
    if (!uncovered(have, want).empty()) role["rules"].append(rule);
  }
}

}  // namespace

void mark_default(Node& object) {
  object["metadata"]["labels"].set("kubernetes.io/bootstrapping", "rbac-defaults");
  object["metadata"]["annotations"].set(kAutoUpdate, "true");
}

std::optional<Node> with_missing_defaults(const json::Doc& stored, const Node& wanted) {
  if (stored["metadata"]["annotations"][kAutoUpdate].equals("false")) return {};
  const Node before = stored.to_node();
  Node out = before;
  for (const char* map : {"labels", "annotations"})
    for (const auto& [key, value] : wanted.path("metadata").get(map).members())
      if (!out["metadata"][map].get(key).exists()) out["metadata"][map].set(key, value);
  if (const Node& selectors = wanted.path("aggregationRule.clusterRoleSelectors"); selectors.size()) add_missing(out["aggregationRule"]["clusterRoleSelectors"], selectors);
  else add_missing_rules(out, wanted);
  for (const Node& s : wanted.get("subjects").items()) {
    const auto& have = out.get("subjects").items();
    if (std::none_of(have.begin(), have.end(), [&s](const Node& h) { return same_subject(h, s); })) out["subjects"].append(s);
  }
  if (out == before) return {};
  return out;
}

}  // namespace k8lite::apiserver::authz
