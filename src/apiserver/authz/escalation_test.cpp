// Role writers and what they may grant: single permissions, stars, and the words of the refusal.
#include "apiserver/authz/escalation.h"

#include <catch2/catch.hpp>

#include "base/random.h"

using namespace k8lite;
using namespace k8lite::apiserver::authz;
using Rules = std::vector<PolicyRule>;

TEST_CASE("escalation: what is covered and what is not") {
  Rules own = {{{"get", "list"}, {""}, {"pods"}, {}, {}}, {{"*"}, {"apps"}, {"*"}, {}, {}}, {{"update"}, {"*"}, {"*/scale"}, {}, {}}, {{"get"}, {""}, {"secrets"}, {"a", "b"}, {}}, {{"get"}, {}, {}, {}, {"/healthz", "/logs/*"}}};
  struct Row { Rules wanted; bool covered; };
  for (const Row& r : std::vector<Row>{
           {{}, true},
           {{{{"get"}, {""}, {"pods"}, {"x"}, {}}}, true},
           {{{{"get", "list"}, {""}, {"pods"}, {}, {}}}, true},
           {{{{"delete", "escalate"}, {"apps"}, {"deployments/scale", "*"}, {}, {}}}, true},
           {{{{"update"}, {"batch"}, {"jobs/scale"}, {}, {}}}, true},
           {{{{"update"}, {"*"}, {"*/scale"}, {}, {}}}, true},
           {{{{"get"}, {""}, {"secrets"}, {"a"}, {}}}, true},
           {{{{"get"}, {}, {}, {}, {"/healthz", "/logs/x", "/logs/*"}}}, true},
           {{{{"delete"}, {""}, {"pods"}, {}, {}}}, false},
           {{{{"*"}, {""}, {"pods"}, {}, {}}}, false},
           {{{{"get"}, {"*"}, {"pods"}, {}, {}}}, false},
           {{{{"get"}, {""}, {"pods/log"}, {}, {}}}, false},
           {{{{"get"}, {""}, {"*"}, {}, {}}}, false},
           {{{{"update"}, {"batch"}, {"jobs/status"}, {}, {}}}, false},
           {{{{"get"}, {""}, {"secrets"}, {"a", "c"}, {}}}, false},
           {{{{"get"}, {""}, {"secrets"}, {}, {}}}, false},
           {{{{"get"}, {}, {}, {}, {"/metrics"}}}, false},
           {{{{"get"}, {}, {}, {}, {"*"}}}, false},
           {{{{"post"}, {}, {}, {}, {"/healthz"}}}, false},
       }) {
    CAPTURE(escalation({"u", {}}, own, r.wanted));
    CHECK(uncovered(own, r.wanted).empty() == r.covered);
  }
  CHECK(uncovered(full_authority(), own).empty());
  CHECK_FALSE(uncovered(own, full_authority()).empty());
}

TEST_CASE("escalation: the refusal names each missing permission once, verbs together") {
  User jane{"jane", {"dev", "system:authenticated"}};
  Rules own = {{{"get"}, {""}, {"pods"}, {}, {}}};
  CHECK(escalation(jane, own, Rules{{{"get"}, {""}, {"pods"}, {}, {}}}) == "");
  CHECK(escalation(jane, own, Rules{{{"get", "delete", "list"}, {""}, {"pods", "secrets"}, {}, {}}, {{"delete"}, {""}, {"pods"}, {}, {}}, {{"get"}, {}, {}, {}, {"/metrics"}}, {{"get"}, {""}, {"configmaps"}, {"m"}, {}}}) ==
        R"(user "jane" (groups=["dev" "system:authenticated"]) is attempting to grant RBAC permissions not currently held:
{APIGroups:[""], Resources:["configmaps"], ResourceNames:["m"], Verbs:["get"]}
{APIGroups:[""], Resources:["pods"], Verbs:["delete" "list"]}
{APIGroups:[""], Resources:["secrets"], Verbs:["get" "delete" "list"]}
{NonResourceURLs:["/metrics"], Verbs:["get"]})");
}

// Property: rules cover themselves and each part of themselves; taking one away uncovers exactly what only it gave.
TEST_CASE("escalation: random rules cover themselves, and nothing they do not allow") {
  SeededRandom random(42);
  auto pick = [&random](std::vector<std::string> from) {
    std::vector<std::string> out;
    for (auto& s : from)
      if (random.next() % 3 == 0) out.push_back(s);
    if (out.empty()) out.push_back(from[random.next() % from.size()]);
    return out;
  };
  auto rule = [&]() -> PolicyRule {
    if (random.next() % 5 == 0) return {pick({"get", "post", "*"}), {}, {}, {}, pick({"/a", "/a/*", "/b", "*"})};
    return {pick({"get", "list", "delete", "*"}), pick({"", "apps", "*"}), pick({"pods", "pods/log", "*/scale", "deployments", "*"}), random.next() % 2 ? std::vector<std::string>{} : pick({"x", "y"}), {}};
  };
  for (int i = 0; i < 300; ++i) {
    Rules own, wanted;
    for (uint64_t n = 1 + random.next() % 3; n > 0; --n) own.push_back(rule());
    for (uint64_t n = 1 + random.next() % 2; n > 0; --n) wanted.push_back(rule());
    CHECK(uncovered(own, own).empty());
    Rules missing = uncovered(own, wanted);
    // Who holds the missing ones too is covered.
    Rules more = own;
    more.insert(more.end(), missing.begin(), missing.end());
    CHECK(uncovered(more, wanted).empty());
    if (!missing.empty()) continue;
    // A covered grant allows no request that the owner was not allowed.
    for (const char* verb : {"get", "list", "delete", "patch"})
      for (const char* group : {"", "apps", "batch"})
        for (const char* resource : {"pods", "deployments", "jobs"})
          for (const char* sub : {"", "log", "scale"})
            for (const char* name : {"", "x", "z"}) {
              k8lite::apiserver::RequestInfo q{.is_resource = true, .path = {}, .verb = verb, .group = group, .version = "v1", .resource = resource, .subresource = sub, .ns = "n", .name = name};
              auto any = [&q](const Rules& rules) {
                for (const auto& r : rules)
                  if (rule_allows(r, q)) return true;
                return false;
              };
              if (any(wanted)) REQUIRE(any(own));
            }
  }
}

TEST_CASE("escalation: letting the garbage collector go on is no grant, and aggregation is told by its selectors") {
  auto role = json::Doc::parse(R"({"metadata":{"name":"r","uid":"u","finalizers":["a"]},"rules":[{"verbs":["get"]}]})").value();
  json::Node changed = role.to_node();
  changed["metadata"].erase("finalizers");
  changed["metadata"]["ownerReferences"].append(json::Node::obj({{"uid", "o"}}));
  CHECK(only_ownership_changed(changed, role));
  changed["metadata"]["labels"].set("a", "b");
  CHECK_FALSE(only_ownership_changed(changed, role));
  CHECK_FALSE(aggregates(role.to_node()));
  CHECK_FALSE(aggregates(*json::Node::parse(R"({"aggregationRule":{"clusterRoleSelectors":[]}})")));
  CHECK(aggregates(*json::Node::parse(R"({"aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"a":"b"}}]}})")));
}
