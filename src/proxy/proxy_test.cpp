// The service proxy against the kernel, in network namespaces of its own: a node with two routed pods and a machine on its network.
#include "proxy/proxy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <set>
#include <thread>

#include "base/strings.h"
#include "os/files.h"
#include "proxy/conntrack.h"
#include "proxy/iptables.h"
#include "proxy/tool.h"

using namespace k8lite;
using namespace k8lite::proxy;

namespace {

int own_namespace() { return ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC); }
std::string namespace_path(const os::Fd& fd) { return "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(fd.get()); }

void shell(const std::string& command) {
  INFO(command);
  REQUIRE(std::system(command.c_str()) == 0);
}

// This thread visits another namespace while this stands; sockets made meanwhile stay there.
class Visit {
 public:
  explicit Visit(const os::Fd& to) { setns(to.get(), CLONE_NEWNET); }
  ~Visit() { setns(own_.get(), CLONE_NEWNET); }

 private:
  os::Fd own_{own_namespace()};
};

os::Fd new_namespace() {
  os::Fd own(own_namespace());
  unshare(CLONE_NEWNET);
  os::Fd made(own_namespace());
  std::system("ip link set lo up");
  setns(own.get(), CLONE_NEWNET);
  return made;
}

sockaddr_in address(const std::string& ip, int port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(static_cast<uint16_t>(port));
  inet_pton(AF_INET, ip.c_str(), &a.sin_addr);
  return a;
}

// Greets every client with "<name> <the client's address as seen here>".
class Server {
 public:
  Server(const os::Fd& where, std::string name, int port) : name_(std::move(name)) {
    Visit there(where);
    listener_ = os::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    int one = 1;
    setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    auto a = address("0.0.0.0", port);
    REQUIRE(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) == 0);
    REQUIRE(::listen(listener_.get(), 64) == 0);
    REQUIRE(::pipe2(stop_, O_CLOEXEC) == 0);
    thread_ = std::thread([this] { serve(); });
  }
  ~Server() {
    ::close(stop_[1]);
    thread_.join();
    ::close(stop_[0]);
  }

 private:
  void serve() {
    for (;;) {
      pollfd p[2] = {{listener_.get(), POLLIN, 0}, {stop_[0], POLLIN, 0}};
      ::poll(p, 2, -1);
      if (p[1].revents) return;
      sockaddr_in from{};
      socklen_t size = sizeof from;
      os::Fd client(::accept4(listener_.get(), reinterpret_cast<sockaddr*>(&from), &size, SOCK_CLOEXEC));
      if (!client) continue;
      char ip[INET_ADDRSTRLEN] = "";
      inet_ntop(AF_INET, &from.sin_addr, ip, sizeof ip);
      std::string text = name_ + " " + ip;
      (void)!::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL);
    }
  }
  std::string name_;
  os::Fd listener_;
  int stop_[2] = {-1, -1};
  std::thread thread_;
};

// What a client in the namespace is greeted with, or "refused", "timeout", or the error's text.
std::string ask(const os::Fd& from, const std::string& ip, int port, int wait_ms = 3000) {
  os::Fd s;
  {
    Visit there(from);
    s = os::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  }
  auto a = address(ip, port);
  auto said = [](int error) { return error == ECONNREFUSED ? std::string("refused") : std::string(strerror(error)); };
  if (::connect(s.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) != 0 && errno != EINPROGRESS) return said(errno);
  pollfd p{s.get(), POLLIN, 0};
  int n_ready;
  while ((n_ready = ::poll(&p, 1, wait_ms)) < 0 && errno == EINTR) {}
  if (n_ready == 0) return "timeout";
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(s.get(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error) return said(error);
  if (!(p.revents & POLLIN)) return "revents " + std::to_string(p.revents);
  char text[128];
  ssize_t n = ::recv(s.get(), text, sizeof text, 0);
  return n < 0 ? said(errno) : std::string(text, static_cast<size_t>(n));
}
std::string first_word(const std::string& text) { return text.substr(0, text.find(' ')); }

// The test's thread becomes a node: 10.42.0.2 and 10.42.0.3 are its pods, 192.168.77.2 is a machine beside its 192.168.77.1.
struct Cluster {
  os::Fd host{own_namespace()};
  os::Fd node, a, b, outside;
  Cluster() {
    node = new_namespace(), a = new_namespace(), b = new_namespace(), outside = new_namespace();
    setns(node.get(), CLONE_NEWNET);
    pod(a, "va", "10.42.0.2");
    pod(b, "vb", "10.42.0.3");
    shell("ip link add up0 type veth peer name eth0 netns " + namespace_path(outside));
    shell("ip addr add 192.168.77.1/24 dev up0 && ip link set up0 up && ip route add default via 192.168.77.2");
    // The way out leads back over the link a client came by; redirects for that would use up the rate of ICMP refusals.
    shell("for i in all up0; do echo 0 >/proc/sys/net/ipv4/conf/$i/send_redirects; done");
    Visit there(outside);
    shell("ip addr add 192.168.77.2/24 dev eth0 && ip link set eth0 up && ip route add default via 192.168.77.1");
  }
  ~Cluster() {
    std::system("for l in va vb up0; do ip link del $l; done 2>/dev/null");
    setns(host.get(), CLONE_NEWNET);
  }
  void pod(const os::Fd& where, const std::string& link, const std::string& ip) {
    shell("ip link add " + link + " type veth peer name eth0 netns " + namespace_path(where));
    shell("ip addr add 10.42.0.1/32 dev " + link + " && ip link set " + link + " up && ip route add " + ip + " dev " + link);
    Visit there(where);
    shell("ip addr add " + ip + "/32 dev eth0 && ip link set eth0 up && ip route add 10.42.0.1 dev eth0 && ip route add default via 10.42.0.1");
  }
};

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
std::string saved() { return run_tool(find_tool("iptables-save"), {}).value(); }

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
  ProxyOptions options{.node_name = "n1", .node_ip = "192.168.77.1", .cluster_cidr = "10.42.0.0/16", .never_reject = {}, .extra_rules =
      "*nat\n:K8LITE-POSTRTG - [0:0]\n-A K8LITE-POSTRTG -s 10.42.0.0/24 ! -d 10.42.0.0/16 -j MASQUERADE\nCOMMIT\n"
      "*filter\n:K8LITE-FWD - [0:0]\n-A K8LITE-FWD -s 10.42.0.0/16 -j ACCEPT\n-A K8LITE-FWD -d 10.42.0.0/16 -j ACCEPT\nCOMMIT\n"};
  shell("iptables -P FORWARD DROP");
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
  CHECK(full < 20000);
  CHECK(one < 2000);
  remove_rules();
  CHECK(saved().find("KUBE-") == std::string::npos);
}
