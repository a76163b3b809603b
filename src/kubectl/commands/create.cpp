// kubectl create: objects from files, and the generators that make one object from a few words.
#include <algorithm>

#include "base/strings.h"
#include "kubectl/commands/creating.h"
#include "kubectl/jsonpath.h"
#include "kubectl/printers.h"
#include "kubectl/resources.h"
#include "os/files.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";

// Sends (or with --dry-run=client only prints) one new object.
Result<> send_new(Session& s, const Mapping& m, const std::string& ns, Node object, const std::string& source) {
  TRY(DryRun dry, DryRun::of(s));
  if (s.flags.on("save-config")) {
    std::string text = sorted_keys(object).dump() + "\n";
    object["metadata"]["annotations"].set(kLastApplied, text);
  }
  if (dry.client && source.empty()) add_empty_parts(object);
  if (dry.client) return print_done(s, object, m, "created");
  std::string v = s.flags.text("validate");
  std::string validation = v == "warn" ? "Warn" : v == "false" || v == "ignore" ? "Ignore" : "Strict";
  auto made = s.call("POST", with_query(url_of(m, ns), {{"fieldManager", field_manager(s, "kubectl-create")}, {"dryRun", dry.query()}, {"fieldValidation", validation}}), &object);
  if (!made.ok()) return source.empty() ? Status(made.status()) : with_source(made.status(), "creating", source);
  return print_done(s, *made, m, "created");
}

Result<> create_files(Session& s) {
  if (!s.flags.changed("filename") && !s.flags.changed("kustomize")) {
    if (!s.flags.args.empty()) return usage("Unexpected args: [" + join(s.flags.args, " ") + "]\nSee 'kubectl create -h' for help and examples");
    return usage("must specify one of -f and -k");
  }
  TRY(auto targets, targets_from_files(s));
  for (Target& t : targets) {
    auto done = send_new(s, t.mapping, t.ns, std::move(t.object), t.source);
    if (!done.ok()) s.fail(done.status());
    if (t.mapping.kind == "CustomResourceDefinition") s.forget_discovery();
  }
  return {};
}

}  // namespace

Result<std::string> one_name(const Session& s) {
  size_t n = s.flags.dash >= 0 ? static_cast<size_t>(s.flags.dash) : s.flags.args.size();
  if (n != 1) return usage("exactly one NAME is required, got " + std::to_string(n) + "\nSee '" + s.command_path + " -h' for help and examples");
  return s.flags.args[0];
}

// The generated object, with name and namespace, on its way.
Result<> generate(Session& s, std::string_view group, std::string_view version, std::string_view kind, std::string_view resource, bool namespaced, Node object) {
  Mapping m;
  m.group = group, m.version = version, m.kind = kind, m.resource = resource, m.namespaced = namespaced, m.singular = lower(kind);
  TRY(std::string name, one_name(s));
  TRY(std::string ns, s.ns());
  Node full = Node::obj({{"apiVersion", m.api_version()}, {"kind", kind}, {"metadata", Node::obj({{"name", name}})}});
  if (namespaced && s.ns_given()) full["metadata"].set("namespace", ns);
  for (auto& part : object.members()) {
    if (part.first == "metadata") {
      for (auto& p : part.second.members()) full["metadata"].set(p.first, std::move(p.second));
    } else {
      full.set(part.first, std::move(part.second));
    }
  }
  auto done = send_new(s, m, ns, full, "");
  std::string text = done.ok() ? "" : done.status().message();
  if (!text.starts_with("Error from server (") || text.find("): ") == std::string::npos || !namespaced || group == "rbac.authorization.k8s.io") return done;
  std::string what = kind == "Service" ? std::as_const(full).path("spec.type").str() + " service" : std::string(lower(kind));
  return usage("failed to create " + what + ": " + text.substr(text.find("): ") + 3));
}

namespace {

Result<> create_namespace(Session& s) { return generate(s, "", "v1", "Namespace", "namespaces", false, Node::object()); }
Result<> create_serviceaccount(Session& s) { return generate(s, "", "v1", "ServiceAccount", "serviceaccounts", true, Node::object()); }

Result<> create_deployment(Session& s) {
  TRY(std::string name, one_name(s));
  std::vector<std::string> images = s.flags.list("image");
  if (images.empty()) return usage("required flag(s) \"image\" not set");
  std::vector<std::string> command;
  if (s.flags.dash >= 0) command.assign(s.flags.args.begin() + s.flags.dash, s.flags.args.end());
  if (images.size() > 1 && !command.empty()) return usage("cannot specify multiple --image options and command");
  Node containers = Node::array();
  for (const std::string& image : images) {
    std::string base = image.substr(image.rfind('/') + 1);
    base = base.substr(0, base.find_first_of(":@"));
    for (char& c : base) c = isalnum(static_cast<unsigned char>(c)) || c == '-' ? static_cast<char>(tolower(c)) : '-';
    Node c = Node::obj({{"name", base}, {"image", image}});
    for (const std::string& word : command) c["command"].append(word);
    if (s.flags.changed("port") && std::as_const(containers).empty()) c["ports"].append(Node::obj({{"containerPort", s.flags.number("port")}}));
    containers.append(std::move(c));
  }
  Node labels = Node::obj({{"app", name}});
  return generate(s, "apps", "v1", "Deployment", "deployments", true,
                  Node::obj({{"metadata", Node::obj({{"labels", labels}})},
                             {"spec", Node::obj({{"replicas", s.flags.number("replicas")},
                                                 {"selector", Node::obj({{"matchLabels", labels}})},
                                                 {"template", Node::obj({{"metadata", Node::obj({{"labels", labels}})}, {"spec", Node::obj({{"containers", containers}})}})}})}}));
}

// --from-literal, --from-file and --from-env-file as pairs.
Result<std::vector<std::pair<std::string, std::string>>> pairs(Session& s) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const std::string& l : s.flags.all("from-literal")) {
    size_t eq = l.find('=');
    if (eq == std::string::npos || eq == 0) return usage("invalid literal source " + l + ", expected key=value");
    std::string value = l.substr(eq + 1);
    if (value.size() >= 2 && (value[0] == '"' || value[0] == '\'') && value.back() == value[0]) value = value.substr(1, value.size() - 2);
    out.emplace_back(l.substr(0, eq), value);
  }
  for (const std::string& f : s.flags.all("from-file")) {
    size_t eq = f.find('=');
    std::string path = eq == std::string::npos ? f : f.substr(eq + 1), key = eq == std::string::npos ? "" : f.substr(0, eq);
    if (!os::exists(path)) return usage("error reading " + path + ": no such file or directory");
    std::vector<std::string> names = key.empty() ? os::list_dir(path) : std::vector<std::string>{};
    if (names.empty()) {
      TRY(std::string text, os::read_file(path));
      out.emplace_back(key.empty() ? path.substr(path.rfind('/') + 1) : key, text);
    }
    for (const std::string& n : names) {
      auto text = os::read_file(path + "/" + n);
      if (text.ok()) out.emplace_back(n, *text);
    }
  }
  for (const std::string& f : s.flags.all("from-env-file")) {
    TRY(std::string text, os::read_file(f));
    for (std::string_view line : split(text, '\n')) {
      std::string_view l = trim(line);
      size_t eq = l.find('=');
      if (l.empty() || l[0] == '#' || eq == std::string_view::npos) continue;
      out.emplace_back(std::string(l.substr(0, eq)), std::string(l.substr(eq + 1)));
    }
  }
  for (size_t i = 0; i < out.size(); ++i)
    for (size_t k = 0; k < i; ++k)
      if (out[k].first == out[i].first) return usage("cannot add key \"" + out[i].first + "\", another key by that name already exists");
  return out;
}

bool is_utf8(const std::string& text) { return json::Doc::parse(json::quoted(text)).ok(); }

Result<> create_configmap(Session& s) {
  TRY(auto data, pairs(s));
  Node object = Node::object();
  for (auto& [k, v] : data) {
    if (is_utf8(v)) object["data"].set(k, v);
    else object["binaryData"].set(k, base64_encode(v));
  }
  return generate(s, "", "v1", "ConfigMap", "configmaps", true, std::move(object));
}

Result<> secret(Session& s, std::string type, const std::vector<std::pair<std::string, std::string>>& data) {
  Node object = Node::object();
  for (const auto& [k, v] : data) object["data"].set(k, base64_encode(v));
  if (!type.empty()) object.set("type", type);
  return generate(s, "", "v1", "Secret", "secrets", true, std::move(object));
}
Result<> create_secret_generic(Session& s) {
  TRY(auto data, pairs(s));
  return secret(s, s.flags.text("type"), data);
}
Result<> create_secret_tls(Session& s) {
  if (!s.flags.changed("cert") || !s.flags.changed("key")) return usage("key and cert must be specified");
  TRY(std::string cert, os::read_file(s.flags.text("cert")));
  TRY(std::string key, os::read_file(s.flags.text("key")));
  return secret(s, "kubernetes.io/tls", {{"tls.crt", cert}, {"tls.key", key}});
}
Result<> create_secret_registry(Session& s) {
  std::string user = s.flags.text("docker-username"), password = s.flags.text("docker-password"), server = s.flags.text("docker-server");
  if (user.empty() || password.empty()) return usage("either --from-file or the combination of --docker-username, --docker-password and --docker-server is required");
  Node entry = Node::obj({{"username", user}, {"password", password}});
  if (s.flags.changed("docker-email")) entry.set("email", s.flags.text("docker-email"));
  entry.set("auth", base64_encode(user + ":" + password));
  Node config = Node::obj({{"auths", Node::obj({{server, entry}})}});
  return secret(s, "kubernetes.io/dockerconfigjson", {{".dockerconfigjson", config.dump()}});
}

Result<> create_service(Session& s) {
  TRY(std::string name, one_name(s));
  std::string word = s.command_path.substr(s.command_path.rfind(' ') + 1);
  std::string type = word == "nodeport" ? "NodePort" : word == "loadbalancer" ? "LoadBalancer" : word == "externalname" ? "ExternalName" : "ClusterIP";
  Node ports = Node::array();
  for (const std::string& tcp : s.flags.list("tcp")) {
    auto pieces = split_strings(tcp, ':');
    auto port = parse_int(pieces[0]);
    if (!port || pieces.size() > 2) return usage("invalid port format: " + tcp + ", expected PORT or PORT:TARGETPORT");
    std::string target = pieces.size() == 2 ? pieces[1] : pieces[0];
    auto number = parse_int(target);
    Node p = Node::obj({{"name", replace_all(tcp, ":", "-")}, {"port", *port}, {"protocol", "TCP"}, {"targetPort", number ? Node(*number) : Node(target)}});
    if (s.flags.number("node-port") > 0) p.set("nodePort", s.flags.number("node-port"));
    ports.append(std::move(p));
  }
  bool headless = s.flags.text("clusterip") == "None";
  if (ports.empty() && type != "ExternalName" && !headless) return usage("at least one tcp port specifier must be provided");
  if (type == "ExternalName" && !s.flags.changed("external-name")) return usage("required flag(s) \"external-name\" not set");
  Node labels = Node::obj({{"app", name}});
  Node spec = Node::obj({{"type", type}, {"selector", labels}});
  if (!ports.empty()) spec.set("ports", ports);
  if (s.flags.changed("clusterip")) spec.set("clusterIP", s.flags.text("clusterip"));
  if (s.flags.changed("external-name")) spec.set("externalName", s.flags.text("external-name"));
  return generate(s, "", "v1", "Service", "services", true, Node::obj({{"metadata", Node::obj({{"labels", labels}})}, {"spec", spec}}));
}

Node subjects(const Session& s, const std::string& ns_default) {
  Node out = Node::array();
  for (const std::string& u : s.flags.list("user")) out.append(Node::obj({{"apiGroup", "rbac.authorization.k8s.io"}, {"kind", "User"}, {"name", u}}));
  for (const std::string& g : s.flags.list("group")) out.append(Node::obj({{"apiGroup", "rbac.authorization.k8s.io"}, {"kind", "Group"}, {"name", g}}));
  for (const std::string& a : s.flags.list("serviceaccount")) {
    size_t colon = a.find(':');
    out.append(Node::obj({{"kind", "ServiceAccount"}, {"name", a.substr(colon == std::string::npos ? 0 : colon + 1)}, {"namespace", colon == std::string::npos ? ns_default : a.substr(0, colon)}}));
  }
  return out;
}

Result<> create_binding(Session& s) {
  bool cluster = s.command_path.ends_with("clusterrolebinding");
  bool cluster_role = s.flags.changed("clusterrole");
  std::string role = cluster_role ? s.flags.text("clusterrole") : s.flags.text("role");
  if (role.empty()) return usage(cluster ? "required flag(s) \"clusterrole\" not set" : "exactly one of clusterrole or role must be specified");
  TRY(std::string ns, s.ns());
  Node object = Node::obj({{"roleRef", Node::obj({{"apiGroup", "rbac.authorization.k8s.io"}, {"kind", cluster_role ? "ClusterRole" : "Role"}, {"name", role}})}, {"subjects", subjects(s, ns)}});
  return generate(s, "rbac.authorization.k8s.io", "v1", cluster ? "ClusterRoleBinding" : "RoleBinding", cluster ? "clusterrolebindings" : "rolebindings", !cluster, std::move(object));
}

Result<> create_role(Session& s) {
  bool cluster = s.command_path.ends_with("clusterrole");
  std::vector<std::string> verbs = s.flags.list("verb"), resources = s.flags.list("resource");
  if (verbs.empty()) return usage("at least one verb must be specified");
  Node rules = Node::array(), verb_list = Node::array(), names = Node::array();
  for (const std::string& v : verbs) verb_list.append(v);
  for (const std::string& n : s.flags.list("resource-name")) names.append(n);
  for (const std::string& r : resources) {
    size_t slash = r.find('/');
    TRY(Mapping m, s.mapping(r.substr(0, slash)));
    Node rule = Node::obj({{"apiGroups", Node::arr({m.group})}, {"resources", Node::arr({m.resource + (slash == std::string::npos ? "" : r.substr(slash))})}, {"verbs", verb_list}});
    if (!names.empty()) rule.set("resourceNames", names);
    rules.append(std::move(rule));
  }
  for (const std::string& u : s.flags.list("non-resource-url")) rules.append(Node::obj({{"nonResourceURLs", Node::arr({u})}, {"verbs", verb_list}}));
  if (rules.empty()) return usage("at least one resource must be specified");
  return generate(s, "rbac.authorization.k8s.io", "v1", cluster ? "ClusterRole" : "Role", cluster ? "clusterroles" : "roles", !cluster, Node::obj({{"rules", rules}}));
}

Result<> create_job(Session& s) {
  Node spec;
  if (s.flags.changed("from")) {
    std::string from = s.flags.text("from");
    TRY(Mapping m, s.mapping("cronjobs.batch"));
    TRY(std::string ns, s.ns());
    size_t slash = from.find('/');
    if (slash == std::string::npos) return usage("--from must be cronjob/NAME");
    TRY(Node cron, s.get(url_of(m, ns, from.substr(slash + 1))));
    Node job = Node::obj({{"metadata", Node::obj({{"annotations", Node::obj({{"cronjob.kubernetes.io/instantiate", "manual"}})}})}, {"spec", std::as_const(cron).path("spec.jobTemplate.spec")}});
    return generate(s, "batch", "v1", "Job", "jobs", true, std::move(job));
  }
  TRY(std::string name, one_name(s));
  if (!s.flags.changed("image")) return usage("either --image or --from must be specified");
  Node container = Node::obj({{"name", name}, {"image", s.flags.text("image")}});
  if (s.flags.dash >= 0)
    for (size_t i = static_cast<size_t>(s.flags.dash); i < s.flags.args.size(); ++i) container["command"].append(s.flags.args[i]);
  Node pod = Node::obj({{"containers", Node::arr({container})}, {"restartPolicy", "Never"}});
  if (s.command_path.ends_with("cronjob")) {
    if (!s.flags.changed("schedule")) return usage("required flag(s) \"schedule\" not set");
    pod.set("restartPolicy", s.flags.text("restart").empty() ? "OnFailure" : s.flags.text("restart"));
    Node job = Node::obj({{"metadata", Node::obj({{"name", name}})}, {"spec", Node::obj({{"template", Node::obj({{"spec", pod}})}})}});
    return generate(s, "batch", "v1", "CronJob", "cronjobs", true, Node::obj({{"spec", Node::obj({{"schedule", s.flags.text("schedule")}, {"jobTemplate", job}})}}));
  }
  return generate(s, "batch", "v1", "Job", "jobs", true, Node::obj({{"spec", Node::obj({{"template", Node::obj({{"spec", pod}})}})}}));
}

Result<> create_token(Session& s) {
  TRY(std::string name, one_name(s));
  TRY(std::string ns, s.ns());
  Node spec = Node::object();
  for (const std::string& a : s.flags.list("audience")) spec["audiences"].append(a);
  if (s.flags.changed("duration")) spec.set("expirationSeconds", static_cast<int64_t>(s.flags.time("duration").count() / 1'000'000));
  Node request = Node::obj({{"apiVersion", "authentication.k8s.io/v1"}, {"kind", "TokenRequest"}, {"spec", spec}});
  TRY(Node done, s.call("POST", "/api/v1/namespaces/" + ns + "/serviceaccounts/" + url_encode(name) + "/token", &request));
  s.out(std::as_const(done).path("status.token").str() + "\n");
  return {};
}

}  // namespace

std::vector<Command> create_commands() {
  std::vector<FlagSpec> common = flags_of({write_flags(),
                                           {{"save-config", 0, FlagKind::Bool, "false", "Put the object into its last-applied annotation"},
                                            {"validate", 0, FlagKind::Text, "true", "true/strict, warn or false/ignore", "true"}}});
  auto make = [&common](std::string name, std::string summary, std::string words, std::vector<FlagSpec> flags, Result<> (*run)(Session&), std::vector<std::string> aliases = {}) {
    Command c{std::move(name), "", std::move(summary), std::move(words), flags_of({common, flags}), run};
    c.aliases = std::move(aliases);
    return c;
  };
  std::vector<FlagSpec> sources = {{"from-literal", 0, FlagKind::List, "", "key=value"}, {"from-file", 0, FlagKind::List, "", "[key=]file or folder"},
                                   {"from-env-file", 0, FlagKind::List, "", "file of key=value lines"}, {"append-hash", 0, FlagKind::Bool, "false", "Not in this kubectl"}};
  std::vector<FlagSpec> ports = {{"tcp", 0, FlagKind::List, "", "port[:targetPort]"}, {"node-port", 0, FlagKind::Number, "0", "Port on the nodes"},
                                 {"clusterip", 0, FlagKind::Text, "", "Address, or None for a headless service"}, {"external-name", 0, FlagKind::Text, "", "DNS name"}};
  std::vector<FlagSpec> who = {{"clusterrole", 0, FlagKind::Text, "", "ClusterRole to bind"}, {"role", 0, FlagKind::Text, "", "Role to bind"}, {"user", 0, FlagKind::List, "", "User"},
                               {"group", 0, FlagKind::List, "", "Group"}, {"serviceaccount", 0, FlagKind::List, "", "namespace:name"}};
  std::vector<FlagSpec> what = {{"verb", 0, FlagKind::List, "", "Verbs"}, {"resource", 0, FlagKind::List, "", "Resources"}, {"resource-name", 0, FlagKind::List, "", "Names"},
                                {"non-resource-url", 0, FlagKind::List, "", "Paths"}};
  std::vector<FlagSpec> job = {{"image", 0, FlagKind::Text, "", "Image"}, {"from", 0, FlagKind::Text, "", "cronjob/NAME"}, {"schedule", 0, FlagKind::Text, "", "Cron schedule"}, {"restart", 0, FlagKind::Text, "", "Restart policy"}};
  Command c{"create", "Basic Commands (Beginner)", "Create a resource from a file or from stdin", "-f FILENAME", flags_of({common, file_flags(), {{"raw", 0, FlagKind::Text, "", "Not in this kubectl"}}}), create_files};
  Command secrets{"secret", "", "Create a secret using a specified subcommand", "", {}, nullptr};
  secrets.children = {make("generic", "Create a secret from a local file, directory, or literal value", "NAME [--from-literal=key1=value1]", flags_of({sources, {{"type", 0, FlagKind::Text, "", "Type of the secret"}}}), create_secret_generic),
                      make("tls", "Create a TLS secret", "NAME --cert=path/to/cert/file --key=path/to/key/file", {{"cert", 0, FlagKind::Text, "", "Certificate file"}, {"key", 0, FlagKind::Text, "", "Key file"}}, create_secret_tls),
                      make("docker-registry", "Create a secret for use with a Docker registry", "NAME --docker-username=user --docker-password=password",
                           {{"docker-username", 0, FlagKind::Text, "", "User"}, {"docker-password", 0, FlagKind::Text, "", "Password"}, {"docker-email", 0, FlagKind::Text, "", "Email"},
                            {"docker-server", 0, FlagKind::Text, "https://index.docker.io/v1/", "Registry"}}, create_secret_registry)};
  Command services{"service", "", "Create a service using a specified subcommand", "", {}, nullptr};
  services.aliases = {"svc"};
  for (const char* word : {"clusterip", "nodeport", "loadbalancer", "externalname"}) services.children.push_back(make(word, std::string("Create a service of type ") + word, "NAME [--tcp=<port>:<targetPort>]", ports, create_service));
  c.children = {make("clusterrole", "Create a cluster role", "NAME --verb=verb --resource=resource.group", what, create_role),
                make("clusterrolebinding", "Create a cluster role binding for a particular cluster role", "NAME --clusterrole=NAME", who, create_binding),
                make("configmap", "Create a config map from a local file, directory or literal value", "NAME [--from-file=[key=]source] [--from-literal=key1=value1]", sources, create_configmap, {"cm"}),
                make("cronjob", "Create a cron job with the specified name", "NAME --image=image --schedule='0/5 * * * ?' -- [COMMAND] [args...]", job, create_job, {"cj"}),
                make("deployment", "Create a deployment with the specified name", "NAME --image=image -- [COMMAND] [args...]",
                     {{"image", 0, FlagKind::List, "", "Image; may be repeated"}, {"replicas", 'r', FlagKind::Number, "1", "Replicas"}, {"port", 0, FlagKind::Number, "-1", "Container port"}}, create_deployment, {"deploy"}),
                make("job", "Create a job with the specified name", "NAME --image=image [--from=cronjob/name] -- [COMMAND] [args...]", job, create_job),
                make("namespace", "Create a namespace with the specified name", "NAME", {}, create_namespace, {"ns"}),
                make("role", "Create a role with single rule", "NAME --verb=verb --resource=resource.group/subresource", what, create_role),
                make("rolebinding", "Create a role binding for a particular role or cluster role", "NAME --clusterrole=NAME|--role=NAME", who, create_binding),
                secrets, services, make("serviceaccount", "Create a service account with the specified name", "NAME", {}, create_serviceaccount, {"sa"}),
                Command{"token", "", "Request a service account token", "SERVICE_ACCOUNT_NAME", {{"audience", 0, FlagKind::List, "", "Audience"}, {"duration", 0, FlagKind::Time, "0s", "Lifetime"}}, create_token}};
  for (Command& more : further_create_commands(common)) c.children.push_back(std::move(more));
  std::sort(c.children.begin(), c.children.end(), [](const Command& a, const Command& b) { return a.name < b.name; });
  return {c};
}

}  // namespace k8lite::kubectl
