// registries.yaml, docker config JSON, proxies: what is known before a registry is asked.
#include <catch2/catch.hpp>

#include "image/registries.h"

using namespace k8lite;
using namespace k8lite::image;

namespace {
Reference ref(const char* text) { return parse_reference(text).value(); }
}  // namespace

TEST_CASE("registries: K3s' file gives endpoints in order") {
  auto c = parse_registries(
      "mirrors:\n  docker.io:\n    endpoint: [\"http://m:5000\", \"https://n/v2/proxy/\"]\n    rewrite:\n      \"^library/(.*)\": \"x/$1\"\n  \"*\":\n    endpoint: [\"https://all\"]\n"
      "configs:\n  \"m:5000\":\n    auth: {username: u, password: p}\n    tls: {insecure_skip_verify: true, ca_file: /ca.pem}\n  quay.io:\n    auth: {auth: dTpw}\n", "registries.yaml").value();
  auto list = endpoints_for(ref("busybox"), c);
  REQUIRE(list.size() == 3);
  CHECK(list[0].url == "http://m:5000/v2");
  CHECK(list[0].repository == "x/busybox");
  CHECK(list[0].config.auth.username == "u");
  CHECK(list[0].config.insecure_skip_verify);
  CHECK(list[1].url == "https://n/v2/proxy");
  CHECK(list[2].url == "https://registry-1.docker.io/v2");
  CHECK(list[2].repository == "library/busybox");
  list = endpoints_for(ref("quay.io/a/b"), c);
  REQUIRE(list.size() == 2);
  CHECK(list[0].url == "https://all/v2");
  CHECK(list[1].config.auth.password == "p");
  CHECK(endpoints_for(ref("localhost:5000/a"), {})[0].url == "http://localhost:5000/v2");
  CHECK(endpoints_for(ref("[::1]:5000/a"), {})[0].url == "http://[::1]:5000/v2");
  CHECK(endpoints_for(ref("10.0.0.1:5000/a"), {})[0].url == "https://10.0.0.1:5000/v2");
}

TEST_CASE("registries: a wrong file names the place") {
  CHECK(parse_registries("mirrors:\n  a: {endpoint: [\"m:5000\"]}\n", "r.yaml").status().message().find("r.yaml: mirrors.a.endpoint") != std::string::npos);
  CHECK(parse_registries("mirrors:\n  a: {rewrite: {\"(\": x}}\n", "r.yaml").status().message().find("mirrors.a.rewrite") != std::string::npos);
  CHECK(!parse_registries("just text", "r.yaml").ok());
  CHECK(parse_registries("", "r.yaml").ok());
}

TEST_CASE("registries: docker config credentials fit by host, port and path") {
  auto doc = json::Node::parse(R"({"auths":{"https://index.docker.io/v1/":{"auth":"dTpw"},"r.io/team":{"username":"team","password":"x"},)"
                               R"("r.io":{"username":"all","password":"x"},"*.reg.io:5000":{"username":"wild","password":"x"}}})").value();
  auto users = [&](const char* image) {
    std::vector<std::string> out;
    for (auto& a : docker_config_auths(doc, ref(image))) out.push_back(a.username);
    return out;
  };
  CHECK(users("busybox") == std::vector<std::string>{"u"});
  CHECK(users("r.io/team/app") == std::vector<std::string>{"team", "all"});
  CHECK(users("r.io/other/app") == std::vector<std::string>{"all"});
  CHECK(users("a.reg.io:5000/x") == std::vector<std::string>{"wild"});
  CHECK(users("a.reg.io/x").empty());
  auto legacy = json::Node::parse(R"({"r.io":{"auth":"dTpw"}})").value();
  CHECK(docker_config_auths(legacy, ref("r.io/a"))[0].password == "p");
}

TEST_CASE("proxies: of the environment, with exceptions") {
  std::string no;
  Environment env = [&no](std::string_view name) -> std::string {
    if (name == "https_proxy") return "http://u:p%40@proxy:3128";
    if (name == "HTTP_PROXY") return "plain:8080";
    return name == "NO_PROXY" ? no : "";
  };
  auto host = [&](const char* scheme, const char* h, int port) { return proxy_for(scheme, h, port, env).value().host; };
  CHECK(host("https", "r.io", 443) == "proxy");
  CHECK(host("http", "r.io", 80) == "plain");
  CHECK(proxy_for("https", "r.io", 443, env)->authorization == "Basic dTpwQA==");
  CHECK(host("https", "127.0.0.1", 443).empty());
  CHECK(host("https", "localhost", 443).empty());
  no = "10.0.0.0/8, .corp.test,exact.test:5000,fd00::/8";
  CHECK(host("https", "10.1.2.3", 443).empty());
  CHECK(host("https", "11.1.2.3", 443) == "proxy");
  CHECK(host("https", "a.corp.test", 443).empty());
  CHECK(host("https", "exact.test", 5000).empty());
  CHECK(host("https", "exact.test", 443) == "proxy");
  CHECK(host("https", "fd00::1", 443).empty());
  no = "*";
  CHECK(host("https", "r.io", 443).empty());
  CHECK(proxy_for("https", "r.io", 443, {}).value().host.empty());
}
