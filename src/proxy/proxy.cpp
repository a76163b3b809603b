#include "proxy/proxy.h"

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "os/files.h"
#include "proxy/conntrack.h"
#include "proxy/health.h"
#include "proxy/iptables.h"
#include "proxy/rules.h"
#include "proxy/tool.h"
#include "proxy/variants.h"

namespace k8lite::proxy {
namespace {

constexpr auto kCoalesce = std::chrono::milliseconds(10);  // a rollout changes a slice several times in a row
constexpr auto kRetry = std::chrono::seconds(5);
constexpr auto kSyncSlice = std::chrono::seconds(1);       // how long stop() may have to wait before the first sync

// Kernel switches that services need; a node where they cannot be set is told so once.
void set_switch(const std::string& path, std::string_view value) {
  if (auto now = os::read_file(path); now.ok() && now->starts_with(value)) return;
  if (auto done = os::write_kernel_file(path, value); !done.ok()) log_warn("proxy: a kernel switch could not be set", {{"path", path}, {"error", done.status()}});
}

// Packets between two pods of a bridge pass iptables only with this; without it an answer to a service's client bypasses the translation.
void make_bridges_pass_iptables() {
  static constexpr const char* kSwitch = "/proc/sys/net/bridge/bridge-nf-call-iptables";
  if (!os::exists(kSwitch))
    if (std::string modprobe = find_tool("modprobe"); !modprobe.empty()) (void)run_tool(modprobe, {"br_netfilter"});
  if (os::exists(kSwitch)) return set_switch(kSwitch, "1");
  log_warn("the kernel module br_netfilter is not there: pods of this node do not reach each other through services (modprobe br_netfilter)", {});
}

}  // namespace

struct Proxy::Impl {
  Impl(machinery::Informer& a, machinery::Informer& b, ProxyOptions o) : services(a), slices(b), options(std::move(o)), node_ip(options.node_ip) {
    if (options.loop) health = std::make_unique<HealthServers>(*options.loop);
  }

  machinery::Informer& services;
  machinery::Informer& slices;
  const ProxyOptions options;
  std::string node_ip;  // guarded by the mutex
  std::unique_ptr<HealthServers> health;  // the worker's
  std::mutex mutex;
  std::condition_variable wake;
  bool dirty = true, stopping = false, forget = false;
  std::thread worker;

  void mark() {
    {
      std::lock_guard lock(mutex);
      if (dirty) return;
      dirty = true;
    }
    wake.notify_one();
  }
  bool is_stopping() {
    std::lock_guard lock(mutex);
    return stopping;
  }
  bool wait_synced() {
    while (!services.wait_synced(kSyncSlice) || !slices.wait_synced(kSyncSlice))
      if (pause(std::chrono::milliseconds(100))) return false;  // a stopped informer answers at once
    return true;
  }
  // True when it is time to end.
  template <class D>
  bool pause(D at_most) {
    std::unique_lock lock(mutex);
    return wake.wait_for(lock, at_most, [this] { return stopping; });
  }

  UdpTargets cleaned;  // the worker's: what the flows were last compared with
  void clean_flows(UdpTargets targets) {
    if (targets == cleaned) return;
    auto gone = forget_stale_flows(targets);
    if (!gone.ok()) log_warn("proxy: flows to former UDP endpoints could not be removed", {{"error", gone.status()}});
    cleaned = std::move(targets);
  }

  void run(Applier applier) {
    if (!wait_synced()) return;
    bool guarded = false;
    for (;;) {
      {
        std::unique_lock lock(mutex);
        wake.wait(lock, [this] { return dirty || stopping; });
      }
      if (pause(kCoalesce)) return;
      RuleOptions rule_options{options.node_name, "", options.cluster_cidr, options.never_reject};
      {
        std::lock_guard lock(mutex);
        dirty = false;
        if (std::exchange(forget, false)) applier.forget();
        rule_options.node_ip = node_ip;
      }
      auto ports = service_ports(services.list(), slices.list(), options.node_name);
      auto done = applier.apply(render_rules(ports, rule_options));
      if (done.ok()) {
        // Node ports on 127.0.0.1 need it, and from now on KUBE-FIREWALL guards it.
        if (!std::exchange(guarded, true)) set_switch("/proc/sys/net/ipv4/conf/all/route_localnet", "1");
        if (health) health->set(health_checks(ports));
        clean_flows(udp_targets(ports));
        continue;
      }
      log_error("proxy: service rules could not be applied; trying again", {{"error", done.status()}});
      if (pause(kRetry)) return;
      mark();
    }
  }
};

Proxy::Proxy(machinery::Informer& services, machinery::Informer& slices, ProxyOptions options)
    : impl_(std::make_shared<Impl>(services, slices, std::move(options))) {
  // The informers may outlive the proxy, so the handlers keep what they touch.
  auto handler = [impl = impl_](const json::Doc&, const json::Doc&) { impl->mark(); };
  services.on_change(handler);
  slices.on_change(handler);
}

Proxy::~Proxy() { stop(); }

Result<> Proxy::start() {
  TRY(Applier applier, Applier::open());
  set_switch("/proc/sys/net/ipv4/ip_forward", "1");
  Impl* impl = impl_.get();  // stop() joins before impl_ goes
  impl_->worker = std::thread([impl, a = std::move(applier)]() mutable { impl->run(std::move(a)); });
  return {};
}

void Proxy::stop() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->wake.notify_all();
  if (impl_->worker.joinable()) impl_->worker.join();
  impl_->health = nullptr;
}

void Proxy::set_node_ip(const std::string& ip) {
  {
    std::lock_guard lock(impl_->mutex);
    if (impl_->node_ip == ip) return;
    impl_->node_ip = ip;
  }
  impl_->mark();
}

void Proxy::again() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->forget = true;
  }
  impl_->mark();
}

Result<> apply_node_rules(const std::string& restore_text) {
  TRY(Applier applier, Applier::open());
  for (auto& other : other_iptables(applier.tools())) {
    if (auto done = Applier(other, service_layout()).remove_all(); !done.ok()) log_warn("rules of an earlier run could not be removed", {{"tool", other.restore}, {"error", done.status()}});
  }
  TRY_OK(applier.apply_extra(restore_text).within("pod network rules"));
  set_switch("/proc/sys/net/ipv4/ip_forward", "1");
  make_bridges_pass_iptables();
  if (restore_text.find(":K8LITE-INPUT ") != std::string::npos) set_switch("/proc/sys/net/ipv4/conf/all/route_localnet", "1");
  return {};
}

void remove_rules() {
  auto tools = find_iptables();
  if (!tools.ok()) {
    log_warn("proxy: no rules removed", {{"error", tools.status()}});
    return;
  }
  auto all = other_iptables(*tools);
  all.push_back(*tools);
  for (auto& kind : all)
    if (auto done = Applier(kind, service_layout()).remove_all(); !done.ok()) log_error("proxy: rules could not be removed", {{"tool", kind.restore}, {"error", done.status()}});
}

}  // namespace k8lite::proxy
