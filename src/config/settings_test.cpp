#include "config/settings.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace k8lite;
using namespace k8lite::config;

namespace {
struct Root {
  std::string path;
  Root() {
    char name[] = "/tmp/k8lite-config-XXXXXX";
    path = mkdtemp(name);
    std::filesystem::create_directories(path + "/etc/k8lite/config.yaml.d");
  }
  ~Root() { std::filesystem::remove_all(path); }
  void file(const std::string& name, const std::string& text) { std::ofstream(path + "/etc/k8lite/" + name) << text; }
};
std::string error_of(Result<Config> r) { return r.ok() ? "" : r.status().message(); }
}  // namespace

TEST_CASE("settings: a flag beats the environment, which beats the file, which beats the default") {
  Root root;
  root.file("config.yaml", "https-listen-port: 7001\nnode-name: from-file\ntls-san:\n- a\ncluster-domain: file.local\n");
  root.file("config.yaml.d/10-more.yaml", "tls-san+: [b, c]\n");
  auto c = load(Face::Server, {"--node-name=from-flag", "--disable", "dns,proxy", "--disable", "x"}, {{"K8LITE_CLUSTER_DOMAIN", "env.local"}, {"K8LITE_NODE_NAME", "env"}}, root.path);
  REQUIRE(c.ok());
  CHECK(c->https_listen_port == 7001);
  CHECK(c->node_name == "from-flag");
  CHECK(c->cluster_domain == "env.local");
  CHECK(c->tls_san == std::vector<std::string>{"a", "b", "c"});
  CHECK(c->disable == std::vector<std::string>{"dns", "proxy", "x"});
  CHECK(c->data_dir == "/var/lib/k8lite");
}

TEST_CASE("settings: arguments handed on keep their commas") {
  Root root;
  root.file("config.yaml", "kube-apiserver-arg: [\"a=1,2\", b=3]\n");
  CHECK(load(Face::Server, {}, {}, root.path)->kube_apiserver_arg == std::vector<std::string>{"a=1,2", "b=3"});
  CHECK(load(Face::Server, {"--kube-apiserver-arg=c=4,5", "--kube-apiserver-arg", "d"}, {}, root.path)->kube_apiserver_arg == std::vector<std::string>{"c=4,5", "d"});
}

TEST_CASE("settings: mistakes name the flag, the variable or the file and key") {
  Root root;
  CHECK(error_of(load(Face::Server, {"--node-nam", "x"}, {}, root.path)) == "unknown flag --node-nam; did you mean \"node-name\"?");
  CHECK(error_of(load(Face::Server, {"--https-listen-port=abc"}, {}, root.path)).find("flag --https-listen-port") == 0);
  CHECK(error_of(load(Face::Server, {"--token"}, {}, root.path)) == "flag --token needs a value");
  CHECK(error_of(load(Face::Server, {}, {{"K8LITE_HTTPS_LISTEN_PORT", "99999999"}}, root.path)).find("K8LITE_HTTPS_LISTEN_PORT") != std::string::npos);
  CHECK(!load(Face::Server, {"--config", root.path + "/absent.yaml"}, {}, root.path).ok());
  root.file("config.yaml", "nodename: x\n");
  CHECK(error_of(load(Face::Server, {}, {}, root.path)) == root.path + "/etc/k8lite/config.yaml: unknown key \"nodename\"; did you mean \"node-name\"?");
  root.file("config.yaml", "a: [1, 2\nb: c\n");
  CHECK(error_of(load(Face::Server, {}, {}, root.path)).find("config.yaml: line ") != std::string::npos);
}

TEST_CASE("settings: networks and addresses that cannot be are refused before anything starts") {
  Root root;
  auto error = [&root](std::vector<std::string> flags) { return error_of(load(Face::Server, flags, {}, root.path)); };
  CHECK(error({"--cluster-cidr=10.42.0.0/99"}) == "cluster-cidr: \"10.42.0.0/99\" is no IPv4 network such as 10.42.0.0/16");
  CHECK(error({"--service-cidr=nonsense"}).find("service-cidr: \"nonsense\"") == 0);
  CHECK(error({"--cluster-cidr=10.42.0.0/26"}).find("too small") != std::string::npos);
  CHECK(error({"--cluster-cidr=10.0.0.0/8"}).find("overlap") != std::string::npos);
  CHECK(error({"--node-ip=here"}) == "node-ip: \"here\" is no IP address");
  CHECK(error({"--write-kubeconfig-mode=0999"}).find("write-kubeconfig-mode") == 0);
  CHECK(error({"--cluster-cidr=10.200.0.0/16", "--node-ip=192.0.2.1"}).empty());
}
