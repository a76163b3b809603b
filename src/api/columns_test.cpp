// Columns and cells of every kind against facts (test/golden/columns.txt).
#include <catch2/catch.hpp>
#include <fstream>
#include <set>

#include "api/kinds.h"
#include "base/strings.h"

using namespace k8lite;
using namespace k8lite::api;
using json::Node;

namespace {

struct Golden {
  std::string group, plural, columns;
  Node object, cells;
};

std::vector<Golden> goldens() {
  std::ifstream in(K8_SOURCE_DIR "/test/golden/columns.txt");
  std::vector<Golden> out;
  std::string line, columns, object, cells;
  while (std::getline(in, line)) {
    if (line.starts_with("#")) continue;
    REQUIRE(std::getline(in, columns));
    REQUIRE(std::getline(in, object));
    REQUIRE(std::getline(in, cells));
    size_t slash = line.find('/');
    Node o = Node::parse(object).value();
    o["metadata"].set("name", "x");
    o["metadata"].set("creationTimestamp", "2024-01-01T00:00:00Z");
    out.push_back({line.substr(0, slash), line.substr(slash + 1), columns, std::move(o), Node::parse(cells).value()});
  }
  return out;
}

std::string header(const KindRow& kind) {
  std::string out;
  for (const Column& c : kind.columns) {
    out += (out.empty() ? "" : ", ") + std::string(c.priority ? "+" : "");
    for (char ch : c.name) out += static_cast<char>(ch >= 'a' && ch <= 'z' ? ch - 32 : ch);
  }
  return out;
}

bool fits(const Column& c, const Node& cell) {
  if (c.type == "integer") return cell.is_integer();
  if (c.type == "boolean") return cell.is_bool();
  return cell.is_string() || cell.is_number() || cell.is_bool();
}

}  // namespace

TEST_CASE("columns: every kind prints what Kubernetes prints") {
  Instant now = *parse_rfc3339("2024-01-01T01:00:00Z");
  std::set<std::string> seen;
  for (const Golden& g : goldens()) {
    CAPTURE(g.group, g.plural, g.object.dump());
    KindPtr kind = find_builtin(g.group, "v1", g.plural);
    if (!kind) kind = find_builtin(g.group, "v2", g.plural);
    if (!kind) kind = find_builtin(g.group, "v1beta1", g.plural);
    REQUIRE(kind);
    CHECK(header(*kind) == g.columns);
    Node cells = Node::array();
    for (Node& cell : kind->rules.cells(json::Doc::from(g.object).root(), now)) cells.append(std::move(cell));
    CHECK(cells.dump() == g.cells.dump());
    REQUIRE(cells.size() == kind->columns.size());
    for (size_t i = 0; i < kind->columns.size(); ++i) {
      CAPTURE(kind->columns[i].name);
      CHECK(fits(kind->columns[i], cells.items()[i]));
      CHECK(!kind->columns[i].description.empty());
    }
    seen.insert(g.group + "/" + g.plural);
  }
  // What can be created but not got has no line above.
  for (const KindPtr& kind : builtin_kinds())
    if (std::find(kind->verbs.begin(), kind->verbs.end(), "get") != kind->verbs.end()) {
      CAPTURE(kind->group, kind->plural);
      CHECK(seen.count(kind->group + "/" + kind->plural) == 1);
    }
}

TEST_CASE("columns: an empty object has its cells too") {
  for (const KindPtr& kind : builtin_kinds()) {
    CAPTURE(kind->group, kind->plural);
    CHECK(kind->rules.cells(json::Doc::from(Node::object()).root(), Instant{0}).size() == kind->columns.size());
  }
}
