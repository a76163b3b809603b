// What is offered for an open command line, with a small cluster behind it.
#include "kubectl/completing.h"

#include <catch2/catch.hpp>

#include "base/strings.h"

namespace k8lite::kubectl {
namespace {

std::string offered(const std::vector<std::string>& words) {
  Lookup lookup;
  lookup.types = [] { return std::vector<std::string>{"pods", "podtemplates", "services", "deployments.apps"}; };
  lookup.names = [](const std::string& type) -> std::vector<std::string> {
    if (type == "pods" || type == "pod") return {"web-1", "web-2"};
    if (type == "namespaces") return {"default", "kube-system"};
    if (type == "deployment" || type == "deployments") return {"web"};
    if (type == "nodes") return {"n1", "n2"};
    return {};
  };
  lookup.config = [](const std::string& list) { return list == "contexts" ? std::vector<std::string>{"here", "there"} : std::vector<std::string>{}; };
  lookup.containers = [](const std::string& pod) { return pod == "web-1" ? std::vector<std::string>{"main", "side"} : std::vector<std::string>{}; };
  Completion c = complete(words, lookup);
  std::vector<std::string> names;
  for (const auto& one : c.candidates) names.push_back(one.first);
  return join(names, " ") + ":" + std::to_string(c.directive);
}

}  // namespace

TEST_CASE("completion: commands and their children") {
  CHECK(offered({"desc"}) == "describe:4");
  CHECK(offered({"rollout", "r"}) == "restart resume:4");
  CHECK(offered({"-n", "default", "cord"}) == "cordon:4");
  CHECK(offered({"help", "config", "use"}) == "use-context:4");
  CHECK(offered({"nix", ""}) == ":4");
}

TEST_CASE("completion: types, names and pairs of both") {
  CHECK(offered({"get", "pod"}) == "pods podtemplates:4");
  CHECK(offered({"get", "pods,ser"}) == "pods,services:4");
  CHECK(offered({"get", "pods", ""}) == "web-1 web-2:4");
  CHECK(offered({"delete", "pod", "web-1", ""}) == "web-2:4");
  CHECK(offered({"describe", "pod/"}) == "pod/web-1 pod/web-2:4");
  CHECK(offered({"logs", "web-1", ""}) == "main side:4");
  CHECK(offered({"exec", "deployments/"}) == "deployments/web:4");
  CHECK(offered({"rollout", "status", "deployment", ""}) == "web:4");
  CHECK(offered({"drain", ""}) == "n1 n2:4");
  CHECK(offered({"config", "use-context", "t"}) == "there:4");
  CHECK(offered({"exec", "web-1", "--", ""}) == ":4");
}

TEST_CASE("completion: flags and their values") {
  CHECK(offered({"get", "--show-l"}) == "--show-labels:4");
  CHECK(offered({"get", "--sort"}) == "--sort-by=:6");
  CHECK(offered({"get", "pods", "-n", "k"}) == "kube-system:4");
  CHECK(offered({"get", "--namespace=d"}) == "--namespace=default:4");
  CHECK(offered({"get", "-o", "ya"}) == "yaml:4");
  CHECK(offered({"exec", "web-1", "-c", ""}) == "main side:4");
  CHECK(offered({"apply", "-f", ""}) == ":0");
}

TEST_CASE("completion: four shells have a script") {
  for (const char* shell : {"bash", "zsh", "fish", "powershell"}) CHECK(completion_script(shell).find("__complete") != std::string::npos);
  CHECK(completion_script("nix").empty());
}

}  // namespace k8lite::kubectl
