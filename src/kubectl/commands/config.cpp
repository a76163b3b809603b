// kubectl config: reads and changes kubeconfig files. Changes go to the file the loading rules name first.
#include <algorithm>

#include "base/strings.h"
#include "base/yaml.h"
#include "kubectl/commands/commands.h"
#include "kubectl/jsonpath.h"
#include "kubectl/printers.h"
#include "os/files.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

struct Loaded {
  Node config;
  std::string file;
};

// All files merged, for reading.
Result<Loaded> merged(Session& s) {
  Loaded l;
  auto q = s.kubeconfig_query();
  q.context.clear();
  TRY(l.config, config::merged_kubeconfig(q, &l.file));
  return l;
}

// The one file that gets changes, as it is.
Result<Loaded> changeable(Session& s) {
  Loaded l;
  auto all = config::merged_kubeconfig(s.kubeconfig_query(), &l.file);
  if (l.file.empty()) return usage(all.ok() ? "no kubeconfig file" : all.status().message());
  l.config = Node::obj({{"apiVersion", "v1"}, {"kind", "Config"}, {"clusters", Node::array()}, {"contexts", Node::array()}, {"users", Node::array()}, {"current-context", ""}});
  if (!os::exists(l.file)) return l;
  TRY(std::string text, os::read_file(l.file));
  TRY(auto documents, parse_yaml(text, l.file));
  if (!documents.empty() && documents[0].value.is_object()) l.config = std::move(documents[0].value);
  return l;
}

// Entries in order of their names, as kubectl keeps them; null where a list is empty.
Node in_order(Node config) {
  config.erase("preferences");
  for (const char* list : {"clusters", "contexts", "users"}) {
    Node& entries = config[list];
    if (std::as_const(entries).empty()) entries = Node();
    std::stable_sort(entries.items().begin(), entries.items().end(), [](const Node& a, const Node& b) { return a.get("name").str() < b.get("name").str(); });
  }
  if (!std::as_const(config).find("current-context")) config.set("current-context", "");
  config.set("apiVersion", "v1");
  config.set("kind", "Config");
  return config;
}

Result<> save(const Loaded& l) {
  if (size_t slash = l.file.rfind('/'); slash != std::string::npos && slash > 0) TRY_OK(os::make_dirs(l.file.substr(0, slash)));
  return os::write_file(l.file, dump_yaml(in_order(l.config)), 0600);
}

// A file below the kubeconfig's folder is named relative to it.
std::string relative_to(const Loaded& l, const std::string& path) {
  size_t slash = l.file.rfind('/');
  if (slash == std::string::npos || !path.starts_with(l.file.substr(0, slash + 1))) return path;
  return path.substr(slash + 1);
}

Result<> wrong_words(Session& s, const std::string& message) {
  s.out(help_of(s.command_path));
  return usage(message);
}

const Node* entry(const Node& config, std::string_view list, std::string_view name) {
  for (const Node& e : config.get(list).items())
    if (e.get("name").str() == name) return &e;
  return nullptr;
}

// The inner object of a named entry, made where it is missing.
Node& entry_for(Node& config, std::string_view list, std::string_view inner, const std::string& name, bool& made) {
  made = false;
  if (!std::as_const(config).get(list).is_array()) config.set(list, Node::array());
  for (Node& e : config[list].items())
    if (e.get("name").str() == name) return e[inner];
  made = true;
  return config[list].append(Node::obj({{"name", name}, {inner, Node::object()}}))[inner];
}

Result<> view(Session& s) {
  if (!s.flags.args.empty()) return usage("unexpected arguments: [" + join(s.flags.args, " ") + "]\nSee 'kubectl config view -h' for help and examples");
  TRY(Loaded l, merged(s));
  Node c = in_order(l.config);
  if (s.flags.on("minify")) {
    std::string name = s.flags.text("context").empty() ? c.get("current-context").str() : s.flags.text("context");
    const Node* context = entry(c, "contexts", name);
    if (!context) return usage("cannot locate context " + name);
    std::string cluster = context->path("context.cluster").str(), user = context->path("context.user").str();
    auto keep = [&c](const char* list, const std::string& wanted) {
      if (Node* n = c.find(list)) n->items().erase(std::remove_if(n->items().begin(), n->items().end(), [&wanted](const Node& e) { return e.get("name").str() != wanted; }), n->items().end());
    };
    keep("contexts", name), keep("clusters", cluster), keep("users", user);
    c.set("current-context", name);
  }
  if (!s.flags.on("raw") && !s.flags.on("flatten")) {
    if (Node* list = c.find("clusters"))
      for (Node& e : list->items())
        if (e["cluster"].find("certificate-authority-data")) e["cluster"].set("certificate-authority-data", "DATA+OMITTED");
    if (Node* list = c.find("users"))
      for (Node& e : list->items()) {
        for (const char* k : {"client-certificate-data", "client-key-data"})
          if (e["user"].find(k)) e["user"].set(k, "DATA+OMITTED");
        for (const char* k : {"token", "password"})
          if (e["user"].find(k)) e["user"].set(k, "REDACTED");
      }
  }
  TRY(Output o, Output::parse(s));
  if (o.table()) o.format = "yaml";
  return print_object(s, o, c);
}

Result<> current_context(Session& s) {
  TRY(Loaded l, merged(s));
  std::string name = std::as_const(l.config).get("current-context").str();
  if (name.empty()) return usage("current-context is not set");
  s.out(name + "\n");
  return {};
}

Result<> use_context(Session& s) {
  if (s.flags.args.size() != 1) return wrong_words(s, "Unexpected args: [" + join(s.flags.args, " ") + "]");
  TRY(Loaded all, merged(s));
  if (!entry(all.config, "contexts", s.flags.args[0])) return usage("no context exists with the name: " + json::quoted(s.flags.args[0]));
  TRY(Loaded l, changeable(s));
  l.config.set("current-context", s.flags.args[0]);
  TRY_OK(save(l));
  s.out("Switched to context " + json::quoted(s.flags.args[0]) + ".\n");
  return {};
}

Result<> get_contexts(Session& s) {
  TRY(Loaded l, merged(s));
  const Node& c = l.config;
  bool names = s.flags.text("output") == "name";
  std::vector<const Node*> rows;
  for (const Node& e : c.get("contexts").items())
    if (s.flags.args.empty() || std::find(s.flags.args.begin(), s.flags.args.end(), e["name"].str()) != s.flags.args.end()) rows.push_back(&e);
  std::sort(rows.begin(), rows.end(), [](const Node* a, const Node* b) { return a->get("name").str() < b->get("name").str(); });
  TextTable table;
  if (!names && !s.flags.on("no-headers")) table.row({"CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE"});
  for (const Node* e : rows) {
    const Node& context = e->get("context");
    std::string name = e->get("name").str();
    if (names) s.out(name + "\n");
    else table.row({name == c.get("current-context").str() ? "*" : "", name, context["cluster"].str(), context["user"].str(), context["namespace"].str()});
  }
  s.out(table.text());
  for (const std::string& a : s.flags.args)
    if (!entry(c, "contexts", a)) s.fail(usage("context " + a + " not found"));
  return {};
}

Result<> get_names(Session& s) {
  bool clusters = s.command_path.ends_with("clusters");
  TRY(Loaded l, merged(s));
  s.out("NAME\n");
  for (const Node& e : std::as_const(l.config).get(clusters ? "clusters" : "users").items()) s.out(e["name"].str() + "\n");
  return {};
}

Result<> set_context(Session& s) {
  TRY(Loaded l, changeable(s));
  std::string name = s.flags.on("current") ? std::as_const(l.config).get("current-context").str() : s.flags.args.empty() ? "" : s.flags.args[0];
  if (name.empty()) return usage("you must specify a non-empty context name or --current");
  if (s.flags.on("current") && !s.flags.args.empty()) return usage("you cannot specify both a context name and --current");
  bool made = false;
  Node& context = entry_for(l.config, "contexts", "context", name, made);
  for (const char* k : {"cluster", "user", "namespace"})
    if (s.flags.changed(k)) context.set(k, s.flags.text(k));
  TRY_OK(save(l));
  s.out("Context " + json::quoted(name) + (made ? " created.\n" : " modified.\n"));
  return {};
}

Result<> set_cluster(Session& s) {
  if (s.flags.args.size() != 1) return wrong_words(s, "Unexpected args: [" + join(s.flags.args, " ") + "]");
  TRY(Loaded l, changeable(s));
  bool made = false;
  Node& cluster = entry_for(l.config, "clusters", "cluster", s.flags.args[0], made);
  if (s.flags.changed("server")) cluster.set("server", s.flags.text("server"));
  if (s.flags.changed("tls-server-name")) cluster.set("tls-server-name", s.flags.text("tls-server-name"));
  if (s.flags.changed("insecure-skip-tls-verify")) cluster.set("insecure-skip-tls-verify", s.flags.on("insecure-skip-tls-verify"));
  if (s.flags.changed("certificate-authority")) {
    cluster.set("certificate-authority", relative_to(l, s.flags.text("certificate-authority")));
    cluster.erase("insecure-skip-tls-verify");
    if (s.flags.on("embed-certs")) {
      TRY(std::string pem, os::read_file(s.flags.text("certificate-authority")));
      cluster.erase("certificate-authority");
      cluster.set("certificate-authority-data", base64_encode(pem));
    }
  }
  TRY_OK(save(l));
  s.out("Cluster " + json::quoted(s.flags.args[0]) + " set.\n");
  return {};
}

Result<> set_credentials(Session& s) {
  if (s.flags.args.size() != 1) return wrong_words(s, "Unexpected args: [" + join(s.flags.args, " ") + "]");
  TRY(Loaded l, changeable(s));
  bool made = false;
  Node& user = entry_for(l.config, "users", "user", s.flags.args[0], made);
  if (s.flags.changed("token")) user.set("token", s.flags.text("token")), user.erase("username"), user.erase("password");
  for (const char* k : {"username", "password"})
    if (s.flags.changed(k)) user.set(k, s.flags.text(k)), user.erase("token");
  for (const char* k : {"client-certificate", "client-key"}) {
    if (!s.flags.changed(k)) continue;
    user.set(k, relative_to(l, s.flags.text(k)));
    if (!s.flags.on("embed-certs")) continue;
    TRY(std::string pem, os::read_file(s.flags.text(k)));
    user.erase(k);
    user.set(std::string(k) + "-data", base64_encode(pem));
  }
  TRY_OK(save(l));
  s.out("User " + json::quoted(s.flags.args[0]) + " set.\n");
  return {};
}

Result<> remove_entry(Session& s) {
  std::string word = s.command_path.substr(s.command_path.rfind('-') + 1);
  if (s.flags.args.size() != 1) return wrong_words(s, "you must specify a " + word + " to delete");
  TRY(Loaded l, changeable(s));
  std::string name = s.flags.args[0], list = word + "s";
  if (!entry(l.config, list, name)) return usage("cannot delete " + word + " " + name + ", not in " + l.file);
  auto& items = l.config[list].items();
  items.erase(std::remove_if(items.begin(), items.end(), [&name](const Node& e) { return e.get("name").str() == name; }), items.end());
  TRY_OK(save(l));
  s.out("deleted " + word + " " + name + " from " + l.file + "\n");
  return {};
}

Result<> rename_context(Session& s) {
  if (s.flags.args.size() != 2) return usage("you must specify the old and the new name of the context");
  TRY(Loaded l, changeable(s));
  const std::string &from = s.flags.args[0], &to = s.flags.args[1];
  if (!entry(l.config, "contexts", from)) return usage("cannot rename the context " + json::quoted(from) + ", it's not in " + l.file);
  if (entry(l.config, "contexts", to)) return usage("cannot rename the context " + json::quoted(from) + ", the context " + json::quoted(to) + " already exists in " + l.file);
  for (Node& e : l.config["contexts"].items())
    if (e.get("name").str() == from) e.set("name", to);
  if (std::as_const(l.config).get("current-context").str() == from) l.config.set("current-context", to);
  TRY_OK(save(l));
  s.out("Context " + json::quoted(from) + " renamed to " + json::quoted(to) + ".\n");
  return {};
}

// ---- set and unset ----

// "clusters.NAME.server" taken apart; names may hold dots, so the longest known name wins.
Result<> set_property(Session& s) {
  bool unset = s.command_path.ends_with(" unset");
  const auto& args = s.flags.args;
  if (args.size() != (unset ? 1 : 2)) return wrong_words(s, "Unexpected args: [" + join(args, " ") + "]");
  TRY(Loaded l, changeable(s));
  const std::string& path = args[0];
  static const std::pair<const char*, const char*> lists[] = {{"clusters", "cluster"}, {"contexts", "context"}, {"users", "user"}};
  bool known = path == "current-context";
  if (known) l.config.set("current-context", unset ? "" : args[1]);
  for (const auto& [list, inner] : lists) {
    std::string head = std::string(list) + ".";
    if (path == list && unset) l.config.set(list, Node::array()), known = true;
    if (!path.starts_with(head)) continue;
    known = true;
    std::string rest = path.substr(head.size());
    if (unset && entry(l.config, list, rest)) {
      auto& items = l.config[list].items();
      items.erase(std::remove_if(items.begin(), items.end(), [&rest](const Node& e) { return e.get("name").str() == rest; }), items.end());
      break;
    }
    size_t dot = rest.rfind('.');
    if (dot == std::string::npos) return usage("unable to parse " + path + " after [" + std::string(list) + "] at " + list);
    bool made = false;
    Node& object = entry_for(l.config, list, inner, rest.substr(0, dot), made);
    std::string field = rest.substr(dot + 1);
    if (unset) object.erase(field);
    else if (args[1] == "true" || args[1] == "false") object.set(field, args[1] == "true");
    else object.set(field, args[1]);
    break;
  }
  if (!known) return usage("unable to parse " + path + " after [] at api.Config");
  TRY_OK(save(l));
  s.out("Property " + json::quoted(path) + (unset ? " unset.\n" : " set.\n"));
  return {};
}

}  // namespace

std::vector<Command> config_commands() {
  std::vector<FlagSpec> embed = {{"embed-certs", 0, FlagKind::Bool, "false", "Put the files' contents into the kubeconfig"}};
  Command c{"config", "Settings Commands", "Modify kubeconfig files", "SUBCOMMAND", {}, nullptr};
  c.children = {{"current-context", "", "Display the current-context", "", {}, current_context},
                {"delete-cluster", "", "Delete the specified cluster from the kubeconfig", "NAME", {}, remove_entry},
                {"delete-context", "", "Delete the specified context from the kubeconfig", "NAME", {}, remove_entry},
                {"delete-user", "", "Delete the specified user from the kubeconfig", "NAME", {}, remove_entry},
                {"get-clusters", "", "Display clusters defined in the kubeconfig", "", {}, get_names},
                {"get-contexts", "", "Describe one or many contexts", "[NAME]", {output_flag(), {"no-headers", 0, FlagKind::Bool, "false", "Print no headers"}}, get_contexts},
                {"get-users", "", "Display users defined in the kubeconfig", "", {}, get_names},
                {"rename-context", "", "Rename a context from the kubeconfig file", "CONTEXT_NAME NEW_NAME", {}, rename_context},
                {"set", "", "Set an individual value in a kubeconfig file", "PROPERTY_NAME PROPERTY_VALUE", {}, set_property},
                {"unset", "", "Unset an individual value in a kubeconfig file", "PROPERTY_NAME", {}, set_property},
                {"set-cluster", "", "Set a cluster entry in kubeconfig", "NAME [--server=server] [--certificate-authority=path]", flags_of({embed, {{"certificate-authority", 0, FlagKind::Text, "", "CA file"}, {"tls-server-name", 0, FlagKind::Text, "", "Name in the server's certificate"}}}), set_cluster},
                {"set-context", "", "Set a context entry in kubeconfig", "[NAME | --current] [--cluster=cluster] [--user=user] [--namespace=namespace]", {{"current", 0, FlagKind::Bool, "false", "The current context"}}, set_context},
                {"set-credentials", "", "Set a user entry in kubeconfig", "NAME [--client-certificate=path] [--client-key=path] [--token=token]", flags_of({embed, {{"client-certificate", 0, FlagKind::Text, "", "Certificate file"}, {"client-key", 0, FlagKind::Text, "", "Key file"}, {"username", 0, FlagKind::Text, "", "Name for basic authentication"}, {"password", 0, FlagKind::Text, "", "Password for basic authentication"}}}), set_credentials},
                {"use-context", "", "Set the current-context in a kubeconfig file", "CONTEXT_NAME", {}, use_context, {}, {"use"}},
                {"view", "", "Display merged kubeconfig settings or a specified kubeconfig file", "[flags]", {output_flag(), {"minify", 0, FlagKind::Bool, "false", "Only what the current context uses"}, {"raw", 0, FlagKind::Bool, "false", "Show secrets"}, {"flatten", 0, FlagKind::Bool, "false", "Show secrets, in one file"}}, view}};
  return {c};
}

}  // namespace k8lite::kubectl
