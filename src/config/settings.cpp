#include "config/settings.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "base/strings.h"
#include "base/yaml.h"

namespace k8lite::config {
namespace {

constexpr int kBoth = 3, kServer = 1, kAgent = 2;

struct Setting {
  std::string_view name, letter;
  int faces;
  std::string_view fallback;  // the default, "" for none
  std::string_view help;
  // Exactly one of these is set.
  std::string Config::*text = nullptr;
  std::vector<std::string> Config::*list = nullptr;
  int Config::*number = nullptr;
  bool Config::*flag = nullptr;
};

constexpr Setting kSettings[] = {
    {"config", "c", kBoth, "/etc/k8lite/config.yaml", "file with these settings as keys", &Config::config_file},
    {"data-dir", "d", kBoth, "/var/lib/k8lite", "folder for state", &Config::data_dir},
    {"server", "s", kAgent, "", "server to join: https://HOST:6443", &Config::server},
    {"token", "t", kBoth, "", "shared secret of the cluster", &Config::token},
    {"token-file", "", kBoth, "", "file with the shared secret", &Config::token_file},
    {"agent-token", "", kServer, "", "secret with which agents may join; the token by default", &Config::agent_token},
    {"bind-address", "", kServer, "", "address to listen on; all by default", &Config::bind_address},
    {"https-listen-port", "", kServer, "6443", "port of the API server", nullptr, nullptr, &Config::https_listen_port},
    {"advertise-address", "", kServer, "", "address at which nodes and pods reach the API server", &Config::advertise_address},
    {"tls-san", "", kServer, "", "further host names or addresses for the server's certificate", nullptr, &Config::tls_san},
    {"node-name", "", kBoth, "", "name of this node; the host name by default", &Config::node_name},
    {"node-ip", "i", kBoth, "", "address of this node; that of the default route by default", &Config::node_ip},
    {"node-label", "", kBoth, "", "labels of this node at registration", nullptr, &Config::node_label},
    {"node-taint", "", kBoth, "", "taints of this node at registration", nullptr, &Config::node_taint},
    {"write-kubeconfig", "o", kServer, "/etc/k8lite/k8lite.yaml", "where the administrator's kubeconfig goes", &Config::write_kubeconfig},
    {"write-kubeconfig-mode", "", kServer, "0600", "its file mode", &Config::write_kubeconfig_mode},
    {"cluster-cidr", "", kServer, "10.42.0.0/16", "network of the pods", &Config::cluster_cidr},
    {"service-cidr", "", kServer, "10.43.0.0/16", "network of the services", &Config::service_cidr},
    {"service-node-port-range", "", kServer, "30000-32767", "ports for NodePort services", &Config::service_node_port_range},
    {"cluster-dns", "", kServer, "10.43.0.10", "address of the cluster's DNS", &Config::cluster_dns},
    {"cluster-domain", "", kServer, "cluster.local", "domain of the cluster", &Config::cluster_domain},
    {"flannel-backend", "", kServer, "vxlan", "network between nodes: vxlan, host-gw or none", &Config::flannel_backend},
    {"flannel-iface", "", kBoth, "", "interface that carries the network between nodes", &Config::flannel_iface},
    {"resolv-conf", "", kBoth, "", "resolv.conf with the name servers to forward to", &Config::resolv_conf},
    {"disable-agent", "", kServer, "false", "run no node in the server", nullptr, nullptr, nullptr, &Config::disable_agent},
    {"disable", "", kServer, "", "components not to run: dns, proxy", nullptr, &Config::disable},
    {"kubelet-arg", "", kBoth, "", "settings of the node agent, KEY=VALUE", nullptr, &Config::kubelet_arg},
    {"kube-apiserver-arg", "", kServer, "", "settings of the API server, KEY=VALUE as kube-apiserver names them", nullptr, &Config::kube_apiserver_arg},
    {"kube-scheduler-arg", "", kServer, "", "settings of the scheduler, KEY=VALUE: config=FILE with a KubeSchedulerConfiguration", nullptr, &Config::kube_scheduler_arg},
    {"kubelet-port", "", kBoth, "10250", "port of the node agent", nullptr, nullptr, &Config::kubelet_port},
    {"private-registry", "", kBoth, "/etc/k8lite/registries.yaml", "settings of image registries", &Config::private_registry},
    {"log", "", kBoth, "text", "form of the log: json or text", &Config::log_format},
    {"v", "", kBoth, "0", "verbosity; from 1 on debug lines too", nullptr, nullptr, &Config::verbosity},
    {"debug", "", kBoth, "false", "debug lines in the log", nullptr, nullptr, nullptr, &Config::debug},
    {"help", "h", kBoth, "false", "print this", nullptr, nullptr, nullptr, &Config::help},
};

std::string environment_name(const Setting& s) {
  std::string out = "K8LITE_";
  if (s.name == "server") return "K8LITE_URL";
  if (s.name == "config") return "K8LITE_CONFIG_FILE";
  if (s.name == "write-kubeconfig") return "K8LITE_KUBECONFIG_OUTPUT";
  if (s.name == "write-kubeconfig-mode") return "K8LITE_KUBECONFIG_MODE";
  for (char c : s.name) out += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string did_you_mean(std::string_view name, int face) {
  const Setting* best = nullptr;
  for (const Setting& s : kSettings)
    if ((s.faces & face) && (!best || distance(name, s.name) < distance(name, best->name))) best = &s;
  if (!best || distance(name, best->name) > 3) return "";
  return "; did you mean \"" + std::string(best->name) + "\"?";
}

const Setting* find(std::string_view name, int face) {
  for (const Setting& s : kSettings)
    if ((s.faces & face) && (s.name == name || (!s.letter.empty() && s.letter == name))) return &s;
  return nullptr;
}

Result<> assign(Config& config, const Setting& s, const std::string& value, const std::string& where) {
  if (s.text) config.*s.text = value;
  else if (s.number) {
    auto n = parse_int(value);
    if (!n || *n < 0 || *n > 65535) return bad_request(where + ": " + json::quoted(value) + " is no number from 0 to 65535");
    config.*s.number = static_cast<int>(*n);
  } else if (s.flag) {
    if (value != "true" && value != "false" && value != "1" && value != "0") return bad_request(where + ": " + json::quoted(value) + " is neither true nor false");
    config.*s.flag = value == "true" || value == "1";
  } else if (s.name.ends_with("-arg")) {  // values have commas of their own
    if (!value.empty()) (config.*s.list).push_back(value);
  } else {
    for (const auto& one : split_strings(value, ','))
      if (!one.empty()) (config.*s.list).push_back(one);
  }
  return {};
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream in(path);
  if (!in) return Status::from_errno("open " + path, errno);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::vector<std::string> config_files(const std::string& main) {
  std::vector<std::string> out = {main};
  std::vector<std::string> more;
  if (DIR* dir = opendir((main + ".d").c_str())) {
    while (dirent* e = readdir(dir))
      if (std::string name = e->d_name; name.ends_with(".yaml") || name.ends_with(".yml")) more.push_back(main + ".d/" + name);
    closedir(dir);
  }
  std::sort(more.begin(), more.end());
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

std::string scalar_text(const json::Node& n) { return n.is_string() ? n.str() : n.dump(); }

// Values by setting; a later file replaces a list unless its key ends in '+'.
Result<> read_config_file(const std::string& path, bool must_exist, int face, std::map<std::string_view, std::vector<std::string>>& values) {
  struct stat st;
  if (::stat(path.c_str(), &st) != 0 && !must_exist && errno == ENOENT) return {};
  TRY(std::string text, read_file(path));
  TRY(auto documents, parse_yaml(text, path));
  for (const auto& document : documents) {
    if (document.value.is_null()) continue;
    if (!document.value.is_object()) return bad_request(path + ": a mapping of settings is wanted");
    for (const auto& [raw, value] : document.value.members()) {
      bool append = raw.ends_with('+');
      std::string key = append ? raw.substr(0, raw.size() - 1) : raw;
      const Setting* s = find(key, face);
      if (!s && find(key, kBoth)) continue;  // a key of the other face: one file may serve both
      if (!s || key.size() == 1) return bad_request(path + ": unknown key " + json::quoted(key) + did_you_mean(key, face));
      auto& slot = values[s->name];
      if (!append || !s->list) slot.clear();
      if (value.is_array()) {
        if (!s->list) return bad_request(path + ": key " + json::quoted(key) + " takes one value, not a list");
        for (const auto& item : value.items()) slot.push_back(scalar_text(item));
      } else if (value.is_object()) {
        return bad_request(path + ": key " + json::quoted(key) + " takes a value, not a mapping");
      } else if (!value.is_null()) {
        slot.push_back(scalar_text(value));
      }
    }
  }
  return {};
}

struct Given {
  const Setting* setting;
  std::string value, where;
};

Result<std::vector<Given>> read_flags(int face, const std::vector<std::string>& arguments) {
  std::vector<Given> out;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& a = arguments[i];
    if (!a.starts_with("-") || a == "-") return bad_request("unexpected argument " + json::quoted(a));
    std::string name = a.substr(a.starts_with("--") ? 2 : 1), value;
    size_t equals = name.find('=');
    bool has_value = equals != name.npos;
    if (has_value) value = name.substr(equals + 1), name = name.substr(0, equals);
    const Setting* s = find(name, face);
    if (!s) return bad_request("unknown flag " + a.substr(0, a.find('=')) + did_you_mean(name, face));
    if (!has_value && s->flag) value = "true";
    else if (!has_value) {
      if (i + 1 >= arguments.size()) return bad_request("flag --" + std::string(s->name) + " needs a value");
      value = arguments[++i];
    }
    out.push_back({s, value, "flag --" + std::string(s->name)});
  }
  return out;
}

bool is_address(const std::string& text) {
  unsigned char raw[16];
  return inet_pton(AF_INET, text.c_str(), raw) == 1 || inet_pton(AF_INET6, text.c_str(), raw) == 1;
}

struct Network {
  uint32_t first = 0, last = 0;
};
// "10.42.0.0/16"; an error names the setting.
Result<Network> read_network(std::string_view setting, const std::string& text, int64_t longest_prefix) {
  in_addr address{};
  size_t slash = text.find('/');
  auto prefix = slash == text.npos ? std::nullopt : parse_int(text.substr(slash + 1));
  if (!prefix || inet_pton(AF_INET, text.substr(0, slash).c_str(), &address) != 1 || *prefix < 1 || *prefix > 32)
    return bad_request(std::string(setting) + ": " + json::quoted(text) + " is no IPv4 network such as 10.42.0.0/16");
  if (*prefix > longest_prefix)
    return bad_request(std::string(setting) + ": " + json::quoted(text) + " is too small: at most /" + std::to_string(longest_prefix) + " is wanted");
  uint32_t mask = ~uint32_t{0} << (32 - *prefix), base = ntohl(address.s_addr) & mask;
  return Network{base, base | ~mask};
}

Result<> check_network(const Config& c) {
  constexpr int64_t kLongestPods = 24, kLongestServices = 28;  // one /24 a node; kubernetes, DNS and a few more
  TRY(Network pods, read_network("cluster-cidr", c.cluster_cidr, kLongestPods));
  TRY(Network services, read_network("service-cidr", c.service_cidr, kLongestServices));
  if (pods.first <= services.last && services.first <= pods.last)
    return bad_request("service-cidr: " + json::quoted(c.service_cidr) + " and cluster-cidr " + json::quoted(c.cluster_cidr) + " overlap");
  const std::pair<std::string_view, const std::string*> addresses[] = {
      {"node-ip", &c.node_ip}, {"advertise-address", &c.advertise_address}, {"bind-address", &c.bind_address}, {"cluster-dns", &c.cluster_dns}};
  for (auto [name, value] : addresses)
    if (!value->empty() && !is_address(*value)) return bad_request(std::string(name) + ": " + json::quoted(*value) + " is no IP address");
  return {};
}

Result<> check(const Config& c) {
  if (c.flannel_backend != "" && c.flannel_backend != "vxlan" && c.flannel_backend != "host-gw" && c.flannel_backend != "none")
    return bad_request("flannel-backend: " + json::quoted(c.flannel_backend) + " is none of vxlan, host-gw, none");
  if (c.log_format != "text" && c.log_format != "json") return bad_request("log: " + json::quoted(c.log_format) + " is neither text nor json");
  if (!c.node_name.empty() && !is_dns_subdomain(c.node_name)) return bad_request("node-name: " + json::quoted(c.node_name) + " is no DNS name of lower case letters, digits, '-' and '.'");
  if (c.write_kubeconfig_mode.empty() || c.write_kubeconfig_mode.size() > 4 || c.write_kubeconfig_mode.find_first_not_of("01234567") != std::string::npos)
    return bad_request("write-kubeconfig-mode: " + json::quoted(c.write_kubeconfig_mode) + " is no file mode such as 0600");
  return check_network(c);
}

}  // namespace

Result<Config> load(Face which, const std::vector<std::string>& arguments, const std::map<std::string, std::string>& environment, const std::string& root) {
  int face = static_cast<int>(which);
  TRY(auto flags, read_flags(face, arguments));
  std::string main_file = root + "/etc/k8lite/config.yaml";
  bool chosen = false;
  if (auto it = environment.find("K8LITE_CONFIG_FILE"); it != environment.end() && !it->second.empty()) main_file = it->second, chosen = true;
  for (const Given& g : flags)
    if (g.setting->name == "config") main_file = g.value, chosen = true;
  std::map<std::string_view, std::vector<std::string>> from_file;
  auto files = config_files(main_file);
  for (size_t i = 0; i < files.size(); ++i) TRY_OK(read_config_file(files[i], chosen && i == 0, face, from_file));

  Config config;
  for (const Setting& s : kSettings) {
    if (!s.fallback.empty()) TRY_OK(assign(config, s, std::string(s.fallback), "default"));
    if (!(s.faces & face)) continue;
    auto clear = [&config, &s] {
      if (s.list) (config.*s.list).clear();
    };
    bool by_flag = std::any_of(flags.begin(), flags.end(), [&s](const Given& g) { return g.setting == &s; });
    auto env = environment.find(environment_name(s));
    if (by_flag) {
      clear();
      for (const Given& g : flags)
        if (g.setting == &s) TRY_OK(assign(config, s, g.value, g.where));
    } else if (env != environment.end() && !env->second.empty()) {
      clear();
      TRY_OK(assign(config, s, env->second, "environment variable " + env->first));
    } else if (auto it = from_file.find(s.name); it != from_file.end()) {
      clear();
      for (const auto& v : it->second) TRY_OK(assign(config, s, v, main_file + ": key " + json::quoted(s.name)));
    }
  }
  config.config_file = main_file;
  TRY_OK(check(config));
  return config;
}

std::string help_text(Face which) {
  int face = static_cast<int>(which);
  std::string out = which == Face::Server ? "k8lite server - run a cluster: API server, controllers, scheduler and (unless told otherwise) a node\n\nUsage: k8lite server [flags]\n\nFlags:\n"
                                          : "k8lite agent - run a node that joins a server\n\nUsage: k8lite agent --server URL --token TOKEN [flags]\n\nFlags:\n";
  for (const Setting& s : kSettings) {
    if (!(s.faces & face)) continue;
    std::string left = "  --" + std::string(s.name) + (s.letter.empty() ? "" : ", -" + std::string(s.letter));
    left.resize(std::max<size_t>(left.size() + 1, 34), ' ');
    out += left + std::string(s.help);
    if (!s.fallback.empty() && s.fallback != "false") out += " (default " + std::string(s.fallback) + ")";
    out += " [" + environment_name(s) + "]\n";
  }
  return out + "\nEvery flag is also a key of " + std::string("/etc/k8lite/config.yaml") + " and of the files in config.yaml.d; a key with + at its end appends to a list.\n";
}

}  // namespace k8lite::config
