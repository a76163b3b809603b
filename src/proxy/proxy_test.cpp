// The service proxy against the kernel, in network namespaces of its own: a node with two routed pods and a machine on its network.
#include "proxy/proxy.h"

#include <atomic>
#include <set>

#include "base/strings.h"
#include "proxy/conntrack.h"
#include "proxy/iptables.h"
#include "proxy/test_cluster.h"

using namespace k8lite;
using namespace k8lite::proxy;

namespace {

// An API of two fixed lists, and of changes that the test sends.
class FakeApi : public machinery::Client {
 public:
  std::map<std::string, std::vector<json::Doc>> lists;
  void send(const std::string& resource, machinery::WatchEvent event) {
    std::function<void(machinery::WatchEvent)> callback;
    {
      std::lock_guard lock(mutex_);
      callback = watchers_[resource];
    }
    REQUIRE(callback);
    callback(std::move(event));
  }
  bool watched(const std::string& resource) {
    std::lock_guard lock(mutex_);
    return watchers_.contains(resource);
  }

  Result<machinery::ListResult> list(const machinery::Path& path, const machinery::ListOptions&) override { return machinery::ListResult{lists[path.resource], "1", ""}; }
  Result<std::unique_ptr<machinery::WatchHandle>> watch(const machinery::Path& path, const machinery::ListOptions&, std::function<void(machinery::WatchEvent)> on_event) override {
    struct Handle : machinery::WatchHandle {
      void close() override {}
    };
    std::lock_guard lock(mutex_);
    watchers_[path.resource] = std::move(on_event);
    return std::unique_ptr<machinery::WatchHandle>(new Handle);
  }
  Result<json::Doc> get(const machinery::Path&) override { return bad_request("not in this test"); }
  Result<json::Doc> create(const machinery::Path&, const json::Doc&, const machinery::WriteOptions&) override { return bad_request("not in this test"); }
  Result<json::Doc> update(const machinery::Path&, const json::Doc&, const machinery::WriteOptions&) override { return bad_request("not in this test"); }
  Result<json::Doc> patch(const machinery::Path&, machinery::PatchType, const std::string&, const machinery::WriteOptions&) override { return bad_request("not in this test"); }
  Result<json::Doc> remove(const machinery::Path&, const machinery::DeleteOptions&) override { return bad_request("not in this test"); }
  std::vector<Result<json::Doc>> submit(std::vector<machinery::Operation>) override { return {}; }

 private:
  std::mutex mutex_;
  std::map<std::string, std::function<void(machinery::WatchEvent)>> watchers_;
};

json::Doc doc(const std::string& text) {
  INFO(text);
  auto parsed = json::Doc::parse(text);
  REQUIRE(parsed.ok());
  return *parsed;
}
json::Doc service(const std::string& name, const std::string& ip, int node_port, const std::string& more = "") {
  return doc(R"({"apiVersion":"v1","kind":"Service","metadata":{"namespace":"default","name":")" + name + R"(","resourceVersion":"1"},"spec":{"clusterIP":")" + ip +
             R"(","ports":[{"port":80,"protocol":"TCP","nodePort":)" + std::to_string(node_port) + "}]" + more + "}}");
}
json::Doc slice(const std::string& name, const std::vector<std::string>& ips, const std::string& version = "1") {
  std::string endpoints;
  for (auto& ip : ips) endpoints += (endpoints.empty() ? "" : ",") + (R"({"addresses":[")" + ip + R"("],"nodeName":"n1","conditions":{"ready":true}})");
  return doc(R"({"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"namespace":"default","name":")" + name + R"(-1","resourceVersion":")" + version +
             R"(","labels":{"kubernetes.io/service-name":")" + name + R"("}},"addressType":"IPv4","ports":[{"name":"","port":8080,"protocol":"TCP"}],"endpoints":[)" + endpoints + "]}");
}
const RuleOptions kOptions{"n1", "192.168.77.1", "10.42.0.0/16", {}};

void apply(Applier& applier, const std::vector<json::Doc>& services, const std::vector<json::Doc>& slices) {
  auto done = applier.apply(render_rules(services, slices, kOptions));
  INFO((done.ok() ? std::string() : done.status().message()));
  REQUIRE(done.ok());
}

}  // namespace

TEST_CASE("proxy: cluster IPs and node ports reach the pods, from pods, the node and outside", "[root]") {
  Cluster c;
  Server one(c.a, "a", 8080), two(c.b, "b", 8080);
  (void)!os::write_kernel_file("/proc/sys/net/ipv4/ip_forward", "1").ok();
  (void)!os::write_kernel_file("/proc/sys/net/ipv4/conf/all/route_localnet", "1").ok();
  auto applier = Applier::open();
  REQUIRE(applier.ok());
  apply(*applier, {service("web", "10.43.0.5", 30080), service("void", "10.43.0.6", 30081), service("self", "10.43.0.7", 30082)}, {slice("web", {"10.42.0.3"}), slice("self", {"10.42.0.2"})});
  CHECK(ask(c.a, "10.43.0.5", 80) == "b 10.42.0.2");      // pod to service: the source stays
  CHECK(first_word(ask(c.node, "10.43.0.5", 80)) == "b");
  CHECK(ask(c.outside, "10.43.0.5", 80) == "b 10.42.0.1");  // from elsewhere: masqueraded
  CHECK(ask(c.outside, "192.168.77.1", 30080) == "b 10.42.0.1");
  CHECK(first_word(ask(c.node, "192.168.77.1", 30080)) == "b");
  CHECK(first_word(ask(c.node, "127.0.0.1", 30080)) == "b");
  CHECK(first_word(ask(c.a, "192.168.77.1", 30080)) == "b");
  CHECK(ask(c.a, "10.43.0.7", 80) == "a 10.42.0.1");      // a pod reaches itself, seen as its node
  CHECK(ask(c.a, "10.43.0.6", 80) == "refused");
  CHECK(ask(c.node, "10.43.0.6", 80) == "refused");
  CHECK(ask(c.outside, "10.43.0.6", 80) == "refused");
  CHECK(ask(c.outside, "192.168.77.1", 30081) == "refused");
}

TEST_CASE("proxy: many connections spread over the endpoints, and affinity keeps a client at one", "[root]") {
  Cluster c;
  Server one(c.a, "a", 8080), two(c.b, "b", 8080);
  (void)!os::write_kernel_file("/proc/sys/net/ipv4/ip_forward", "1").ok();
  auto applier = Applier::open();
  REQUIRE(applier.ok());
  apply(*applier, {service("web", "10.43.0.5", 30080), service("keep", "10.43.0.8", 30083, R"(,"sessionAffinity":"ClientIP")")}, {slice("web", {"10.42.0.2", "10.42.0.3"}), slice("keep", {"10.42.0.2", "10.42.0.3"})});
  std::multiset<std::string> spread, kept;
  for (int i = 0; i < 40; ++i) spread.insert(first_word(ask(c.outside, "10.43.0.5", 80)));
  CHECK(spread.count("a") > 3);
  CHECK(spread.count("b") > 3);
  CHECK(spread.count("a") + spread.count("b") == 40);
  for (int i = 0; i < 12; ++i) kept.insert(first_word(ask(c.outside, "10.43.0.8", 80)));
  CHECK(std::max(kept.count("a"), kept.count("b")) == 12);
}

TEST_CASE("proxy: external policy Local shows the client's address and other policies' drops hold", "[root]") {
  Cluster c;
  Server one(c.a, "a", 8080);
  (void)!os::write_kernel_file("/proc/sys/net/ipv4/ip_forward", "1").ok();
  auto applier = Applier::open();
  REQUIRE(applier.ok());
  apply(*applier, {service("web", "10.43.0.5", 30080, R"(,"type":"NodePort","externalTrafficPolicy":"Local","externalIPs":["192.168.77.50"])")}, {slice("web", {"10.42.0.2"})});
  CHECK(ask(c.outside, "192.168.77.1", 30080) == "a 192.168.77.2");
  CHECK(first_word(ask(c.node, "192.168.77.1", 30080)) == "a");
  {
    Visit there(c.outside);
    shell("ip route add 192.168.77.50/32 via 192.168.77.1");
  }
  CHECK(ask(c.outside, "192.168.77.50", 80) == "a 192.168.77.2");
}

TEST_CASE("proxy: a UDP client that keeps talking moves on when its endpoint is gone", "[root]") {
  Cluster c;
  (void)!os::write_kernel_file("/proc/sys/net/ipv4/ip_forward", "1").ok();
  auto bound = [](const os::Fd& where, int port) {
    Visit there(where);
    os::Fd s(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    auto any = address("0.0.0.0", port);
    REQUIRE(::bind(s.get(), reinterpret_cast<sockaddr*>(&any), sizeof any) == 0);
    return s;
  };
  os::Fd one = bound(c.a, 8080), two = bound(c.b, 8080), client = bound(c.outside, 5555);
  auto arrives_at = [&] {
    auto to = address("10.43.0.5", 80);
    ::sendto(client.get(), "x", 1, 0, reinterpret_cast<sockaddr*>(&to), sizeof to);
    pollfd p[2] = {{one.get(), POLLIN, 0}, {two.get(), POLLIN, 0}};
    if (::poll(p, 2, 2000) <= 0) return std::string("nobody");
    char text[8];
    (void)!::recv(p[0].revents ? one.get() : two.get(), text, sizeof text, 0);
    return std::string(p[0].revents ? "a" : "b");
  };
  auto applier = Applier::open();
  REQUIRE(applier.ok());
  std::vector<json::Doc> services{doc(replace_all(service("web", "10.43.0.5", 30080).bytes(), "TCP", "UDP"))};
  auto endpoints = [](const std::string& ip) { return std::vector<json::Doc>{doc(replace_all(slice("web", {ip}).bytes(), "TCP", "UDP"))}; };
  apply(*applier, services, endpoints("10.42.0.2"));
  CHECK(arrives_at() == "a");
  auto none = forget_stale_flows(udp_targets(service_ports(services, endpoints("10.42.0.2"), "n1")));
  REQUIRE(none.ok());
  CHECK(*none == 0);
  apply(*applier, services, endpoints("10.42.0.3"));
  CHECK(arrives_at() == "a");  // the kernel's memory
  auto gone = forget_stale_flows(udp_targets(service_ports(services, endpoints("10.42.0.3"), "n1")));
  INFO((gone.ok() ? std::string() : gone.status().message()));
  REQUIRE(gone.ok());
  CHECK(*gone == 1);
  CHECK(arrives_at() == "b");
}

TEST_CASE("applier: only changed chains are sent, stale ones go, an earlier run's are swept, all can be removed", "[root]") {
  Cluster c;
  shell("iptables -N MINE && iptables -A INPUT -m comment --comment 'not ours' -j MINE");
  std::string empty = saved();
  {
    auto earlier = Applier::open();
    REQUIRE(earlier.ok());
    apply(*earlier, {service("old", "10.43.0.9", 30090)}, {slice("old", {"10.42.0.9"})});
    CHECK(saved().find("default/old") != std::string::npos);
  }
  shell("iptables -t nat -A PREROUTING -p tcp -d 10.43.0.99 -j " + chain_name("KUBE-SVC-", "default/old", "tcp"));  // would hold the stale chain
  auto applier = Applier::open();
  REQUIRE(applier.ok());
  std::vector<json::Doc> services{service("web", "10.43.0.5", 30080), service("db", "10.43.0.6", 30081)};
  apply(*applier, services, {slice("web", {"10.42.0.2", "10.42.0.3"}), slice("db", {"10.42.0.3"})});
  CHECK(saved().find("default/old") == std::string::npos);
  CHECK(saved().find("10.42.0.9") == std::string::npos);
  std::string rules = saved();
  size_t first = rules.find("-A PREROUTING");
  CHECK(rules.find("-A PREROUTING", first + 1) == std::string::npos);  // jumps are not doubled by the second run

  apply(*applier, services, {slice("db", {"10.42.0.3"}), slice("web", {"10.42.0.3", "10.42.0.2"})});
  CHECK(applier->last_batch().empty());
  apply(*applier, services, {slice("web", {"10.42.0.2"}), slice("db", {"10.42.0.3"})});
  CHECK(applier->last_batch().find("default/db") == std::string::npos);
  CHECK(applier->last_batch().find("KUBE-SERVICES") == std::string::npos);
  CHECK(applier->last_batch().find("-X " + chain_name("KUBE-SEP-", "default/web", "tcp", "10.42.0.3:8080")) != std::string::npos);

  // Someone removed a chain behind our back: the error is iptables' own, and the next apply repairs everything.
  shell("iptables -t nat -F");
  shell("for c in $(iptables -t nat -S | sed -n 's/^-N //p'); do iptables -t nat -X $c; done");
  auto failed = applier->apply(render_rules({service("web", "10.43.0.5", 30080)}, {slice("web", {"10.42.0.2"})}, kOptions));
  if (!failed.ok()) CHECK(failed.status().message().find("iptables") != std::string::npos);
  apply(*applier, services, {slice("web", {"10.42.0.2"})});

  RuleSet bad = render_rules(services, {}, kOptions);
  bad.nat["KUBE-SERVICES"] += "-A KUBE-SERVICES -j KUBE-SVC-NOWHERE\n";
  auto refused = applier->apply(bad);
  REQUIRE_FALSE(refused.ok());
  INFO(refused.status().message());
  CHECK(refused.status().message().find("iptables-restore") != std::string::npos);

  remove_rules();
  std::string left = saved();
  CHECK(left.find("KUBE-") == std::string::npos);
  CHECK(left.find("-j MINE") != std::string::npos);
}

TEST_CASE("proxy: follows the informers from start to stop", "[root]") {
  Cluster c;
  Server one(c.a, "a", 8080), two(c.b, "b", 8080);
  FakeApi api;
  api.lists["services"] = {service("web", "10.43.0.5", 30080)};
  api.lists["endpointslices"] = {slice("web", {"10.42.0.2"})};
  machinery::Informer services(api, {"", "v1", "services", "", "", ""}), slices(api, {"discovery.k8s.io", "v1", "endpointslices", "", "", ""});
  ProxyOptions options{.node_name = "n1", .node_ip = "192.168.77.1", .cluster_cidr = "10.42.0.0/16", .never_reject = {}};
  const std::string rules_of_node =
      "*nat\n:K8LITE-POSTRTG - [0:0]\n-A K8LITE-POSTRTG -s 10.42.0.0/24 ! -d 10.42.0.0/16 -j MASQUERADE\nCOMMIT\n"
      "*filter\n:K8LITE-FWD - [0:0]\n-A K8LITE-FWD -s 10.42.0.0/16 -j ACCEPT\n-A K8LITE-FWD -d 10.42.0.0/16 -j ACCEPT\nCOMMIT\n";
  shell("iptables -P FORWARD DROP");
  REQUIRE(apply_node_rules(rules_of_node).ok());
  Proxy proxy(services, slices, options);
  auto started = proxy.start();
  INFO((started.ok() ? std::string() : started.status().message()));
  REQUIRE(started.ok());
  services.start();
  slices.start();
  auto eventually = [](auto&& condition) {
    for (int i = 0; i < 100; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return false;
  };
  CHECK(eventually([&] { return ask(c.outside, "10.43.0.5", 80, 200) == "a 10.42.0.1"; }));
  REQUIRE(eventually([&] { return api.watched("endpointslices"); }));
  api.send("endpointslices", {machinery::WatchEvent::Type::Modified, slice("web", {"10.42.0.3"}, "2"), {}});
  CHECK(eventually([&] { return ask(c.outside, "10.43.0.5", 80, 200) == "b 10.42.0.1"; }));
  api.send("endpointslices", {machinery::WatchEvent::Type::Deleted, slice("web", {"10.42.0.3"}, "3"), {}});
  CHECK(eventually([&] { return ask(c.outside, "10.43.0.5", 80, 200) == "refused"; }));
  std::string rules = saved();
  CHECK(rules.find("-j K8LITE-FWD") != std::string::npos);
  CHECK(rules.find("-j K8LITE-POSTRTG") != std::string::npos);
  CHECK(rules.find("-j KUBE-FORWARD") < rules.find("-j K8LITE-FWD"));
  proxy.stop();
  slices.stop();
  services.stop();
  remove_rules();
  CHECK(saved().find("K8LITE") == std::string::npos);
}

TEST_CASE("applier: a thousand services load and change in time", "[root][slow]") {
  Cluster c;
  std::vector<json::Doc> services, slices;
  for (int i = 0; i < 1000; ++i) {
    std::string name = "s" + std::to_string(i), third = std::to_string(i / 250), last = std::to_string(i % 250 + 1);
    services.push_back(service(name, "10.43." + third + "." + last, 0));
    slices.push_back(slice(name, {"10.42." + third + "." + last, "10.42.1" + third + "." + last, "10.42.2" + third + "." + last}));
  }
  auto applier = Applier::open();
  REQUIRE(applier.ok());
  auto timed = [&] {
    auto begin = std::chrono::steady_clock::now();
    apply(*applier, services, slices);
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin).count();
  };
  auto full = timed(), nothing = timed();
  CHECK(applier->last_batch().empty());
  slices[7] = slice("s7", {"10.42.0.8"});
  auto one = timed();
  CHECK(applier->last_batch().size() < 2000);
  CAPTURE(full, nothing, one);
  remove_rules();
  CHECK(saved().find("KUBE-") == std::string::npos);
}

TEST_CASE("node rules: neighbours and pods do not reach what listens on 127.0.0.1, the node itself does", "[root]") {
  Cluster c;
  Server local(c.node, "local", 7070);
  auto reaches_loopback = [&c] {
    Visit there(c.outside);
    shell("ip route replace 127.0.0.1/32 via 192.168.77.1 table 7; ip rule add pref 1 to 127.0.0.1 table 7; ip rule del pref 0; ip rule add pref 2 table local; echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet");
    return ask(c.outside, "127.0.0.1", 7070, 700);
  };
  shell("echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet");
  CHECK(first_word(reaches_loopback()) == "local");  // what the guard is for
  auto done = apply_node_rules("*filter\n:K8LITE-INPUT - [0:0]\n-A K8LITE-INPUT ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP\nCOMMIT\n");
  INFO((done.ok() ? std::string() : done.status().message()));
  REQUIRE(done.ok());
  CHECK(ask(c.outside, "127.0.0.1", 7070, 700) == "timeout");
  CHECK(first_word(ask(c.node, "127.0.0.1", 7070)) == "local");
  remove_rules();
  CHECK(saved().find("K8LITE") == std::string::npos);
}

TEST_CASE("node rules: what an earlier run made with the other kind of iptables goes", "[root]") {
  Cluster c;
  if (find_tool("iptables-legacy").empty()) return;
  shell("iptables-legacy -t nat -N KUBE-SERVICES && iptables-legacy -t nat -A PREROUTING -j KUBE-SERVICES && iptables-legacy -N MINE");
  REQUIRE(apply_node_rules("*nat\n:K8LITE-POSTRTG - [0:0]\nCOMMIT\n").ok());
  std::string legacy = run_tool(find_tool("iptables-legacy-save"), {}).value();
  CHECK(legacy.find("KUBE") == std::string::npos);
  CHECK(legacy.find("MINE") != std::string::npos);
  CHECK(saved().find("K8LITE-POSTRTG") != std::string::npos);
}

TEST_CASE("proxy: legacy iptables serves services too", "[root]") {
  Cluster c;
  Server one(c.a, "a", 8080);
  if (find_tool("iptables-legacy-restore").empty()) return;
  (void)!os::write_kernel_file("/proc/sys/net/ipv4/ip_forward", "1").ok();
  Applier applier({find_tool("iptables-legacy-restore"), find_tool("iptables-legacy-save"), true}, service_layout());
  apply(applier, {service("web", "10.43.0.5", 30080)}, {slice("web", {"10.42.0.2"})});
  CHECK(ask(c.outside, "10.43.0.5", 80) == "a 10.42.0.1");
  CHECK(ask(c.b, "192.168.77.1", 30080) == "a 10.42.0.1");
  remove_rules();
  CHECK(run_tool(find_tool("iptables-legacy-save"), {}).value().find("KUBE") == std::string::npos);
}
