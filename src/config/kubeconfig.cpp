#include "config/kubeconfig.h"

#include "base/strings.h"
#include "base/yaml.h"
#include "os/files.h"

namespace k8lite::config {
namespace {

using json::Node;

std::string folder_of(const std::string& file) {
  size_t slash = file.rfind('/');
  return slash == file.npos ? "" : file.substr(0, slash + 1);
}

const Node* named(const Node& config, std::string_view list, std::string_view name, std::string_view inner) {
  for (const Node& entry : config.get(list).items())
    if (entry.get("name").str() == name) return entry.find(inner);
  return nullptr;
}

// "<field>-data" in base64, or the file that <field> names.
Result<std::string> pem_of(const Node& node, const std::string& field) {
  if (const Node& data = node.get(field + "-data"); data.exists()) {
    auto text = base64_decode(data.str());
    if (!text) return bad_request("kubeconfig: " + field + "-data is not base64");
    return *text;
  }
  if (const Node& file = node.get(field); file.exists() && !file.str().empty()) return os::read_file(file.str());
  return std::string();
}

void absolute_paths(Node& config, const std::string& folder) {
  for (auto [list, inner] : {std::pair{"clusters", "cluster"}, {"users", "user"}})
    if (Node* entries = config.find(list))
      for (Node& e : entries->items())
        if (Node* n = e.find(inner))
          for (const char* f : {"certificate-authority", "client-certificate", "client-key", "tokenFile"})
            if (Node* p = n->find(f); p && !p->str().empty() && p->str()[0] != '/') *p = Node(folder + p->str());
}

std::vector<std::string> files_of(const KubeconfigQuery& q) {
  if (!q.file.empty()) return {q.file};
  if (auto it = q.environment.find("KUBECONFIG"); it != q.environment.end() && !it->second.empty()) {
    auto files = split_strings(it->second, ':');
    std::erase(files, "");
    return files;
  }
  std::vector<std::string> out;
  if (auto it = q.environment.find("HOME"); it != q.environment.end()) out.push_back(it->second + "/.kube/config");
  if (out.empty() || !os::exists(out[0])) out.push_back(q.fallback_file);
  return out;
}

}  // namespace

std::string write_kubeconfig(const Access& a, const std::string& name) {
  Node cluster = Node::obj({{"server", a.server}});
  if (!a.ca_pem.empty()) cluster.set("certificate-authority-data", base64_encode(a.ca_pem));
  Node user = Node::object();
  if (!a.certificate_pem.empty()) user.set("client-certificate-data", base64_encode(a.certificate_pem));
  if (!a.key_pem.empty()) user.set("client-key-data", base64_encode(a.key_pem));
  if (!a.token.empty()) user.set("token", a.token);
  Node config = Node::obj({{"apiVersion", "v1"}, {"kind", "Config"}, {"preferences", Node::object()}, {"current-context", name}});
  config["clusters"] = Node::arr({Node::obj({{"name", name}, {"cluster", cluster}})});
  config["users"] = Node::arr({Node::obj({{"name", name}, {"user", user}})});
  config["contexts"] = Node::arr({Node::obj({{"name", name}, {"context", Node::obj({{"cluster", name}, {"user", name}})}})});
  return dump_yaml(config);
}

Result<Node> merged_kubeconfig(const KubeconfigQuery& q, std::string* first_file) {
  Node out = Node::obj({{"apiVersion", "v1"}, {"kind", "Config"}});
  auto files = files_of(q);
  if (first_file) *first_file = files.empty() ? "" : files[0];
  for (const auto& file : files) {
    if (file.empty()) continue;
    auto text = os::read_file(file);
    if (!text.ok()) {
      if (text.status().sys_errno() == ENOENT && q.file.empty()) continue;
      return text.status().within("kubeconfig");
    }
    TRY(auto documents, parse_yaml(*text, file));
    if (documents.empty() || documents[0].value.is_null()) continue;
    Node one = std::move(documents[0].value);
    if (!one.is_object()) return bad_request(file + ": no kubeconfig");
    absolute_paths(one, folder_of(file));
    for (const char* list : {"clusters", "users", "contexts"})
      for (const Node& e : one.get(list).items())
        if (!named(out, list, e.get("name").str(), "name")) out[list].append(e);
    if (out.get("current-context").str().empty() && !one.get("current-context").str().empty()) out.set("current-context", one.get("current-context"));
  }
  return out;
}

Result<Access> read_kubeconfig(const KubeconfigQuery& q) {
  TRY(Node config, merged_kubeconfig(q));
  Access out;
  out.context = q.context.empty() ? config.get("current-context").str() : q.context;
  const Node* context = named(config, "contexts", out.context, "context");
  if (!context && !q.context.empty()) return bad_request("context " + json::quoted(q.context) + " does not exist");
  Node none = Node::object();
  const Node& c = context ? *context : none;
  out.ns = c.get("namespace").str();
  out.cluster = q.cluster.empty() ? c.get("cluster").str() : q.cluster;
  out.user = q.user.empty() ? c.get("user").str() : q.user;
  if (const Node* cluster = named(config, "clusters", out.cluster, "cluster")) {
    out.server = cluster->get("server").str();
    out.insecure_skip_verify = cluster->get("insecure-skip-tls-verify").bool_or(false);
    out.tls_server_name = cluster->get("tls-server-name").str();
    TRY(out.ca_pem, pem_of(*cluster, "certificate-authority"));
  } else if (!out.cluster.empty()) {
    return bad_request("cluster " + json::quoted(out.cluster) + " does not exist");
  }
  if (const Node* user = named(config, "users", out.user, "user")) {
    if (user->get("exec").exists()) return bad_request("user " + json::quoted(out.user) + ": credential plugins (exec) are not supported by this kubectl");
    TRY(out.certificate_pem, pem_of(*user, "client-certificate"));
    TRY(out.key_pem, pem_of(*user, "client-key"));
    out.token = user->get("token").str();
    if (out.token.empty() && !user->get("tokenFile").str().empty()) {
      TRY(std::string token, os::read_file(user->get("tokenFile").str()));
      out.token = trim(token);
    }
  } else if (!out.user.empty()) {
    return bad_request("user " + json::quoted(out.user) + " does not exist");
  }
  if (out.server.empty()) out.server = "http://localhost:8080";
  return out;
}

}  // namespace k8lite::config
