#include "kubelet/resolv.h"

#include <algorithm>
#include <vector>

#include "base/strings.h"

namespace k8lite::kubelet {
namespace {

constexpr size_t kMaxServers = 3, kMaxSearches = 32, kMaxSearchText = 2048;

struct Conf {
  std::vector<std::string> servers, searches;
  std::vector<std::pair<std::string, std::string>> options;  // name, value

  static void add(std::vector<std::string>& list, const std::string& item) {
    if (!item.empty() && std::find(list.begin(), list.end(), item) == list.end()) list.push_back(item);
  }
  void set_option(const std::string& name, const std::string& value) {
    for (auto& [n, v] : options)
      if (n == name) {
        v = value;
        return;
      }
    options.emplace_back(name, value);
  }
  std::string text() const {
    std::string out, search;
    size_t domains = 0;
    for (const auto& s : searches)
      if (domains < kMaxSearches && search.size() + s.size() + 1 <= kMaxSearchText) search += " " + s, ++domains;
    if (!search.empty()) out += "search" + search + "\n";
    for (size_t i = 0; i < servers.size() && i < kMaxServers; ++i) out += "nameserver " + servers[i] + "\n";
    std::string all;
    for (const auto& [name, value] : options) all += " " + name + (value.empty() ? "" : ":" + value);
    return all.empty() ? out : out + "options" + all + "\n";
  }
};

std::vector<std::string> words(std::string_view line) {
  std::vector<std::string> out;
  for (auto word : split_strings(replace_all(std::string(line), "\t", " "), ' '))
    if (!word.empty()) out.push_back(word);
  return out;
}

Conf read(const std::string& text) {
  Conf out;
  for (auto line : split(text, '\n')) {
    auto w = words(line.substr(0, line.find_first_of("#;")));
    if (w.size() < 2) continue;
    if (w[0] == "nameserver") Conf::add(out.servers, w[1]);
    // The last of these lines counts, as in resolv.conf(5); "." is no domain to try.
    if (w[0] == "search" || w[0] == "domain") {
      out.searches.clear();
      for (size_t i = 1; i < w.size(); ++i)
        if (w[i] != ".") Conf::add(out.searches, w[i]);
    }
    if (w[0] == "options")
      for (size_t i = 1; i < w.size(); ++i) out.set_option(w[i].substr(0, w[i].find(':')), w[i].find(':') == std::string::npos ? "" : w[i].substr(w[i].find(':') + 1));
  }
  return out;
}

bool is_loopback(const std::string& server) { return server.starts_with("127.") || server == "::1"; }

}  // namespace

std::string pod_resolv_conf(json::Value pod, const ResolverFacts& facts) {
  const bool host_network = pod.path("spec.hostNetwork").bool_or(false);
  const std::string policy = pod.path("spec.dnsPolicy").str("ClusterFirst"), ns = pod.path("metadata.namespace").str();
  Conf conf;
  if (policy != "None") conf = read(facts.host);
  if ((policy == "ClusterFirstWithHostNet" || (policy == "ClusterFirst" && !host_network)) && !facts.cluster_dns.empty()) {
    Conf cluster;
    cluster.servers = {facts.cluster_dns};
    for (const auto& domain : {ns + ".svc." + facts.cluster_domain, "svc." + facts.cluster_domain, facts.cluster_domain}) Conf::add(cluster.searches, domain);
    for (const auto& domain : conf.searches) Conf::add(cluster.searches, domain);
    cluster.set_option("ndots", "5");
    conf = std::move(cluster);
  } else if (!host_network && std::erase_if(conf.servers, is_loopback) > 0 && conf.servers.empty() && !facts.cluster_dns.empty()) {
    conf.servers = {facts.cluster_dns};
  }
  json::Value dns = pod["spec"]["dnsConfig"];
  for (json::Value n : dns["nameservers"].items()) Conf::add(conf.servers, n.str());
  for (json::Value s : dns["searches"].items()) Conf::add(conf.searches, s.str());
  for (json::Value o : dns["options"].items()) conf.set_option(o["name"].str(), o["value"].str());
  return conf.text();
}

}  // namespace k8lite::kubelet
