// kubectl auth: can-i and whoami, answered by the server's review resources.
#include <algorithm>

#include "base/strings.h"
#include "base/yaml.h"
#include "kubectl/commands/commands.h"
#include "kubectl/jsonpath.h"
#include "kubectl/printers.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

std::string bracketed(const Node& list) {
  std::string out = "[";
  for (const Node& x : list.items()) out += (out.size() > 1 ? " " : "") + x.str();
  return out + "]";
}

Result<> list_rules(Session& s) {
  TRY(std::string ns, s.ns());
  Node review = Node::obj({{"apiVersion", "authorization.k8s.io/v1"}, {"kind", "SelfSubjectRulesReview"}, {"spec", Node::obj({{"namespace", ns}})}});
  TRY(Node done, s.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", &review));
  // One row a resource, address or name; sorted by what it names.
  struct Row {
    std::string group, resource, urls, names, verbs;
  };
  std::vector<Row> rows;
  for (const Node& r : std::as_const(done).path("status.resourceRules").items())
    for (const Node& group : r["apiGroups"].items())
      for (const Node& res : r["resources"].items()) {
        std::vector<std::string> names;
        for (const Node& n : r["resourceNames"].items()) names.push_back("[" + n.str() + "]");
        if (names.empty()) names.emplace_back("[]");
        for (const std::string& n : names) {
          Row row{group.str(), res.str(), "[]", n, bracketed(r["verbs"])};
          auto same = [&row](const Row& x) { return x.group == row.group && x.resource == row.resource && x.names == row.names && x.verbs == row.verbs; };
          if (std::none_of(rows.begin(), rows.end(), same)) rows.push_back(std::move(row));
        }
      }
  for (const Node& r : std::as_const(done).path("status.nonResourceRules").items())
    for (const Node& url : r["nonResourceURLs"].items()) rows.push_back({"", "", "[" + url.str() + "]", "[]", bracketed(r["verbs"])});
  auto key = [](const Row& r) { return r.verbs + ",[" + r.group + "],[" + r.resource + "]," + r.names + "," + r.urls; };
  std::stable_sort(rows.begin(), rows.end(), [&key](const Row& x, const Row& y) { return key(x) < key(y); });
  TextTable table;
  if (!s.flags.on("no-headers")) table.row({"Resources", "Non-Resource URLs", "Resource Names", "Verbs"});
  for (const Row& r : rows) {
    std::string name = r.resource;
    if (!r.group.empty()) {
      size_t slash = std::min(name.find('/'), name.size());
      name = name.substr(0, slash) + "." + r.group + name.substr(slash);
    }
    table.row({name, r.urls, r.names, r.verbs});
  }
  s.out(table.text());
  return {};
}

Result<> can_i(Session& s) {
  if (s.flags.on("list")) return list_rules(s);
  const auto& a = s.flags.args;
  if (a.size() < 2 || a.size() > 3) return usage("you must specify two arguments: verb resource or verb resource/resourceName.\nSee 'kubectl auth can-i -h' for help and examples.");
  static const char* const verbs[] = {"*", "approve", "attest", "bind", "create", "delete", "deletecollection", "escalate", "get", "impersonate", "list", "patch", "proxy", "sign", "update", "use", "watch"};
  Node spec;
  if (a[1].starts_with("/")) {
    spec.set("nonResourceAttributes", Node::obj({{"path", a[1]}, {"verb", a[0]}}));
  } else {
    std::string word = a[1], name = a.size() == 3 ? a[2] : "";
    if (size_t slash = word.find('/'); slash != std::string::npos) name = word.substr(slash + 1), word = word.substr(0, slash);
    Node attributes = Node::obj({{"verb", a[0]}, {"resource", word}});
    TRY(std::string ns, s.ns());
    TRY(const Discovery* d, s.discovery());
    const Mapping* m = word == "*" ? nullptr : d->find(word);
    if (m) {
      attributes.set("resource", m->resource);
      attributes.set("group", m->group);
      attributes.set("version", m->version);
    } else if (word != "*") {
      s.err("Warning: the server doesn't have a resource type '" + word + "'\n\n");
    }
    if (m && !m->namespaced) s.err("Warning: resource '" + m->resource + "' is not namespace scoped" + (m->group.empty() ? "" : " in group '" + m->group + "'") + "\n\n");
    if (std::find(std::begin(verbs), std::end(verbs), a[0]) == std::end(verbs)) s.err("Warning: verb '" + a[0] + "' is not a known verb\n\n");
    if (!s.all_namespaces() && (!m || m->namespaced)) attributes.set("namespace", ns);
    if (!name.empty()) attributes.set("name", name);
    if (s.flags.changed("subresource")) attributes.set("subresource", s.flags.text("subresource"));
    spec.set("resourceAttributes", attributes);
  }
  Node review = Node::obj({{"apiVersion", "authorization.k8s.io/v1"}, {"kind", "SelfSubjectAccessReview"}, {"spec", spec}});
  TRY(Node done, s.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review));
  const Node& status = std::as_const(done)["status"];
  bool allowed = status["allowed"].bool_or(false);
  if (!s.flags.on("quiet")) {
    std::string text = allowed ? "yes" : "no";
    if (!allowed && !status["reason"].str().empty()) text += " - " + status["reason"].str();
    if (!allowed && !status["evaluationError"].str().empty()) text += " - " + status["evaluationError"].str();
    s.out(text + "\n");
  }
  if (!allowed) s.exit_code = 1;
  return {};
}

Result<> whoami(Session& s) {
  Node review = Node::obj({{"apiVersion", "authentication.k8s.io/v1"}, {"kind", "SelfSubjectReview"}});
  TRY(Node done, s.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", &review));
  TRY(Output output, Output::parse(s));
  if (!output.table()) return print_object(s, output, done);
  const Node& user = std::as_const(done).path("status.userInfo");
  TextTable table;
  table.row({"ATTRIBUTE", "VALUE"});
  table.row({"Username", user["username"].str()});
  if (!user["uid"].str().empty()) table.row({"UID", user["uid"].str()});
  if (!user["groups"].empty()) table.row({"Groups", bracketed(user["groups"])});
  for (const auto& m : user["extra"].members()) table.row({"Extra: " + m.first, bracketed(m.second)});
  s.out(table.text());
  return {};
}

}  // namespace

std::vector<Command> auth_commands() {
  Command c{"auth", "Cluster Management Commands", "Inspect authorization", "", {}, nullptr};
  c.children = {{"can-i", "", "Check whether an action is allowed", "VERB [TYPE | TYPE/NAME | NONRESOURCEURL]",
                 {{"all-namespaces", 'A', FlagKind::Bool, "false", "In all namespaces"}, {"list", 0, FlagKind::Bool, "false", "Print all allowed actions"}, {"quiet", 'q', FlagKind::Bool, "false", "Only the exit code"},
                  {"subresource", 0, FlagKind::Text, "", "log, scale, ..."}, {"no-headers", 0, FlagKind::Bool, "false", "Print no headers"}}, can_i},
                {"whoami", "", "Experimental: Check self subject attributes", "", {output_flag()}, whoami}};
  return {c};
}

}  // namespace k8lite::kubectl
