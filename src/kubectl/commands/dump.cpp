// kubectl cluster-info dump: the objects one looks at when a cluster is ill, and the logs of all containers, on stdout or in files.
#include <algorithm>

#include "base/strings.h"
#include "kubectl/commands/commands.h"
#include "kubectl/jsonpath.h"
#include "kubectl/printers.h"
#include "kubectl/resources.h"
#include "os/files.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

// To stdout, or to a file below --output-directory.
Result<> put(Session& s, const std::string& file, const std::string& text) {
  std::string folder = s.flags.text("output-directory");
  if (folder.empty() || folder == "-") {
    s.out(text);
    return {};
  }
  std::string path = folder + "/" + file;
  TRY_OK(os::make_dirs(path.substr(0, path.rfind('/'))));
  return os::write_file(path, text, 0644, false);
}

Result<Node> put_list(Session& s, const Mapping& m, const std::string& ns, const std::string& file) {
  TRY(auto objects, list_objects(s, m, ns));
  Node list = Node::obj({{"kind", m.kind + "List"}, {"apiVersion", m.api_version()}, {"metadata", Node::object()}, {"items", Node::array()}});
  for (Node& o : objects) list["items"].append(std::move(o));
  TRY_OK(put(s, file + ".json", html_safe(sorted_keys(without_managed_fields(list)).dump_pretty()) + "\n"));
  return list;
}

Result<> put_logs(Session& s, const Mapping& pods, const Node& list) {
  for (const Node& p : list["items"].items()) {
    std::string ns = p.path("metadata.namespace").str(), name = p.path("metadata.name").str();
    for (const char* kind : {"initContainers", "containers"})
      for (const Node& c : p["spec"][kind].items()) {
        std::string container = c["name"].str(), text = "==== START logs for container " + container + " of pod " + ns + "/" + name + " ====\n";
        auto log = s.http("GET", with_query(url_of(pods, ns, name, "log"), {{"container", container}}), "", "", "application/json, */*");
        text += log.ok() ? log->body : "Request log error: " + log.status().message() + "\n";
        text += "==== END logs for container " + container + " of pod " + ns + "/" + name + " ====\n";
        TRY_OK(put(s, ns + "/" + name + "/logs.txt", text));
      }
  }
  return {};
}

Result<> dump(Session& s) {
  TRY(const Discovery* d, s.discovery());
  if (const Mapping* nodes = d->find("nodes")) TRY_OK(put_list(s, *nodes, "", "nodes"));
  std::vector<std::string> namespaces = s.flags.list("namespaces");
  if (s.all_namespaces()) {
    TRY(Mapping m, s.mapping("namespaces"));
    TRY(auto all, list_objects(s, m, ""));
    for (const Node& n : all) namespaces.push_back(n.path("metadata.name").str());
  } else if (namespaces.empty()) {
    TRY(std::string ns, s.ns());
    namespaces = {"kube-system", ns};
  }
  for (const std::string& ns : namespaces)
    for (const char* type : {"events", "replicationcontrollers", "services", "daemonsets.apps", "deployments.apps", "replicasets.apps", "statefulsets.apps", "pods"}) {
      const Mapping* m = d->find(type);
      if (!m) continue;
      TRY(Node list, put_list(s, *m, ns, ns + "/" + m->resource));
      if (m->resource == "pods") TRY_OK(put_logs(s, *m, list));
    }
  if (std::string folder = s.flags.text("output-directory"); !folder.empty() && folder != "-") s.out("Cluster info dumped to " + folder + "\n");
  return {};
}

}  // namespace

std::vector<Command> dump_commands() {
  return {{"dump", "", "Dump relevant information for debugging and diagnosis", "",
           {{"output-directory", 0, FlagKind::Text, "", "Folder for the files; empty or -: stdout"}, {"namespaces", 0, FlagKind::List, "", "Namespaces to dump"},
            {"all-namespaces", 'A', FlagKind::Bool, "false", "All namespaces"}},
           dump}};
}

}  // namespace k8lite::kubectl
