// What the server is and has: version, cluster-info, api-resources, api-versions.
#include <algorithm>

#include "base/strings.h"
#include "base/yaml.h"
#include "kubectl/commands/commands.h"
#include "kubectl/jsonpath.h"
#include "kubectl/printers.h"
#include "kubectl/resources.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

constexpr const char* kClientVersion = "v1.36.0+k8lite";

Result<> version(Session& s) {
  Node client = Node::obj({{"major", "1"}, {"minor", "36"}, {"gitVersion", kClientVersion}, {"compiler", "clang"}, {"platform", "linux"}});
  Node all = Node::obj({{"clientVersion", client}});
  Status failed;
  if (!s.flags.on("client")) {
    auto server = s.get("/version");
    if (server.ok()) all.set("serverVersion", std::move(server).value());
    else failed = server.status();
  }
  std::string format = s.flags.text("output");
  if (format == "json") s.out(sorted_keys(all).dump_pretty(2) + "\n");
  else if (format == "yaml") s.out(dump_yaml(all));
  else if (!format.empty()) return usage("--output must be 'yaml' or 'json'");
  else {
    s.out("Client Version: " + std::string(kClientVersion) + "\n");
    if (const Node* v = std::as_const(all).find("serverVersion")) s.out("Server Version: " + v->get("gitVersion").str() + "\n");
  }
  if (!failed.ok()) s.fail(failed);
  return {};
}

Result<> cluster_info(Session& s) {
  TRY(const config::Access* a, s.access());
  TRY(Node services, s.get("/api/v1/namespaces/kube-system/services?labelSelector=kubernetes.io%2Fcluster-service%3Dtrue"));
  s.out("Kubernetes control plane is running at " + a->server + "\n");
  for (const Node& svc : std::as_const(services)["items"].items()) {
    const Node& meta = svc["metadata"];
    std::string name = meta["name"].str(), shown = meta["labels"]["kubernetes.io/name"].str_or(name), port;
    if (const auto& ports = svc.path("spec.ports").items(); !ports.empty()) port = ports[0]["name"].str();
    s.out(shown + " is running at " + a->server + "/api/v1/namespaces/kube-system/services/" + name + (port.empty() ? "" : ":" + port) + "/proxy\n");
  }
  s.out("\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.\n");
  return {};
}

Node texts(const std::vector<std::string>& list) {
  Node out = Node::array();
  for (const std::string& x : list) out.append(x);
  return out;
}

// metav1.APIResource
Node resource_object(const Mapping& m) {
  Node out = Node::obj({{"name", m.resource}, {"singularName", m.singular}, {"namespaced", m.namespaced}, {"version", m.version}, {"kind", m.kind}, {"verbs", texts(m.verbs)}});
  if (!m.group.empty()) out.set("group", m.group);
  if (!m.short_names.empty()) out.set("shortNames", texts(m.short_names));
  if (!m.categories.empty()) out.set("categories", texts(m.categories));
  return out;
}

Result<> api_resources(Session& s) {
  TRY(const Discovery* d, s.discovery());
  std::string format = s.flags.text("output");
  if (!s.flags.args.empty()) return usage("unexpected arguments: [" + join(s.flags.args, " ") + "]\nSee 'kubectl api-resources -h' for help and examples");
  bool objects = format == "json" || format == "yaml" || format == "kyaml";
  if (!objects && !format.empty() && format != "name" && format != "wide")
    return usage("unable to match a printer suitable for the output format " + json::quoted(format) + ", allowed formats are: json,kyaml,name,wide,yaml");
  std::vector<const Mapping*> rows;
  for (const Mapping& m : d->all()) {
    if (!m.preferred) continue;
    if (s.flags.changed("api-group") && m.group != s.flags.text("api-group")) continue;
    if (s.flags.changed("namespaced") && m.namespaced != s.flags.on("namespaced")) continue;
    bool fits = true;
    for (const std::string& v : s.flags.list("verbs")) fits = fits && m.can(v);
    for (const std::string& c : s.flags.list("categories")) fits = fits && std::find(m.categories.begin(), m.categories.end(), c) != m.categories.end();
    if (fits) rows.push_back(&m);
  }
  std::string by = s.flags.text("sort-by");
  if (!by.empty() && by != "name" && by != "kind") return usage("--sort-by accepts only name or kind");
  std::stable_sort(rows.begin(), rows.end(), [&by](const Mapping* a, const Mapping* b) {
    if (by == "name") return a->resource < b->resource;
    if (by == "kind") return a->kind < b->kind;
    return std::tie(a->group, a->resource) < std::tie(b->group, b->resource);
  });
  if (objects) {
    Node list = Node::obj({{"kind", "APIResourceList"}, {"apiVersion", "v1"}, {"groupVersion", ""}, {"resources", Node::array()}});
    for (const Mapping* m : rows) list["resources"].append(resource_object(*m));
    return print_object(s, {format, ""}, list);
  }
  if (format == "name") {
    for (const Mapping* m : rows) s.out(m->full_resource() + "\n");
    return {};
  }
  TextTable t;
  bool wide = format == "wide";
  if (!s.flags.on("no-headers")) {
    t.row({"NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"});
    if (wide) t = TextTable(), t.row({"NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND", "VERBS", "CATEGORIES"});
  }
  for (const Mapping* m : rows) {
    std::vector<std::string> cells = {m->resource, join(m->short_names, ","), m->api_version(), m->namespaced ? "true" : "false", m->kind};
    if (wide) cells.push_back(join(m->verbs, ",")), cells.push_back(join(m->categories, ","));
    t.row(cells);
  }
  s.out(t.text());
  return {};
}

Result<> api_versions(Session& s) {
  if (!s.flags.args.empty()) return usage("unexpected arguments: [" + join(s.flags.args, " ") + "]\nSee 'kubectl api-versions -h' for help and examples");
  TRY(const Discovery* d, s.discovery());
  std::vector<std::string> all = d->group_versions();
  std::sort(all.begin(), all.end());
  s.out(join(all, "\n") + "\n");
  return {};
}

}  // namespace

std::vector<Command> info_commands() {
  Command cluster{"cluster-info", "Cluster Management Commands", "Display cluster information", "", {}, cluster_info};
  cluster.children = dump_commands();
  return {cluster,
          {"api-resources", "Other Commands", "Print the supported API resources on the server", "",
           {output_flag(),
            {"api-group", 0, FlagKind::Text, "", "Only this group"},
            {"namespaced", 0, FlagKind::Bool, "true", "Only namespaced (or with =false cluster-wide) resources"},
            {"verbs", 0, FlagKind::List, "", "Only resources with these verbs"},
            {"categories", 0, FlagKind::List, "", "Only resources of these categories"},
            {"no-headers", 0, FlagKind::Bool, "false", "Print no headers"},
            {"cached", 0, FlagKind::Bool, "false", "Accepted; nothing is cached"},
            {"sort-by", 0, FlagKind::Text, "", "name or kind"}},
           api_resources},
          {"api-versions", "Other Commands", "Print the supported API versions on the server, in the form of \"group/version\"", "", {}, api_versions},
          {"version", "Other Commands", "Print the client and server version information", "",
           {output_flag(), {"client", 0, FlagKind::Bool, "false", "Only the client's version"}, {"short", 0, FlagKind::Bool, "false", "Accepted; the output is short"}}, version}};
}

}  // namespace k8lite::kubectl
