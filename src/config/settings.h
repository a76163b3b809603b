// The settings of `k8lite server` and `k8lite agent`: one table, from which flags, environment variables (K8LITE_*), keys of
// /etc/k8lite/config.yaml and the help text come. Named as K3s names them. A flag beats the environment, which beats the file.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace k8lite::config {

struct Config {
  std::string config_file;
  std::string data_dir;
  std::string bind_address, advertise_address;
  int https_listen_port = 6443;
  std::vector<std::string> tls_san;
  std::string token, token_file, agent_token;
  std::string server;  // agent
  std::string node_name, node_ip;
  std::vector<std::string> node_label, node_taint;
  std::string write_kubeconfig, write_kubeconfig_mode;
  std::string cluster_cidr, service_cidr, service_node_port_range, cluster_dns, cluster_domain;
  std::string flannel_backend, flannel_iface, resolv_conf;
  bool disable_agent = false;
  std::vector<std::string> disable, kubelet_arg, kube_apiserver_arg, kube_scheduler_arg;
  int kubelet_port = 10250;
  std::string private_registry;
  std::string log_format;
  int verbosity = 0;
  bool debug = false;
  bool help = false;
};

enum class Face { Server = 1, Agent = 2 };

// `arguments` without the program's and the face's name. `root` stands before /etc/k8lite (tests). Errors name the flag, variable, or
// file and key.
Result<Config> load(Face face, const std::vector<std::string>& arguments, const std::map<std::string, std::string>& environment, const std::string& root = "");
std::string help_text(Face face);

}  // namespace k8lite::config
