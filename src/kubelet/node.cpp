#include "kubelet/node.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/log.h"
#include "base/quantity.h"
#include "base/strings.h"
#include "kubelet/mounts.h"
#include "os/files.h"

namespace k8lite::kubelet {
namespace {

using json::Node;

constexpr auto kLeasePeriod = seconds(10);
constexpr int kStatusEvery = 30;  // leases: 5 minutes
constexpr auto kLongSilence = seconds(25);  // the server may have given the node up (after 40 s), or will before it hears more

std::string os_release() {
  auto text = os::read_file("/etc/os-release");
  if (!text.ok()) return "Linux";
  for (auto line : split(*text, '\n'))
    if (line.starts_with("PRETTY_NAME=")) {
      std::string value(line.substr(12));
      std::erase(value, '"');
      return value;
    }
  return "Linux";
}

std::string architecture() {
#if defined(__aarch64__)
  return "arm64";
#elif defined(__arm__)
  return "arm";
#else
  return "amd64";
#endif
}

constexpr const char* kBootId = "/proc/sys/kernel/random/boot_id";
std::string first_line(const std::string& path) { return std::string(trim(os::read_file(path).value_or(""))); }

}  // namespace

void read_capacity(NodeConfig& c, const std::string& data_dir) {
  c.cpu_milli = sysconf(_SC_NPROCESSORS_ONLN) * 1000;
  struct sysinfo info {};
  sysinfo(&info);
  c.memory = static_cast<int64_t>(info.totalram) * info.mem_unit;
  struct statvfs fs {};
  if (statvfs(data_dir.c_str(), &fs) == 0) c.ephemeral_storage = static_cast<int64_t>(fs.f_blocks) * static_cast<int64_t>(fs.f_frsize);
}

Node NodeReporter::node_status(bool ready, const std::string& why, json::Value old) const {
  std::string now = rfc3339(clock_.now());
  Node conditions = Node::array();
  auto add = [&](const char* type, bool value, const char* reason, const std::string& message) {
    std::string since = now;
    for (json::Value c : old["conditions"].items())
      if (c["type"].equals(type) && c["status"].equals(value ? "True" : "False")) since = c["lastTransitionTime"].str(now);
    conditions.append(Node::obj({{"type", type}, {"status", value ? "True" : "False"}, {"lastHeartbeatTime", now}, {"lastTransitionTime", since}, {"reason", reason}, {"message", message}}));
  };
  Pressure p;
  {
    std::lock_guard lock(mutex_);
    p = pressure_;
  }
  add("MemoryPressure", p.memory, p.memory ? "KubeletHasInsufficientMemory" : "KubeletHasSufficientMemory", p.memory ? "kubelet has insufficient memory available" : "kubelet has sufficient memory available");
  add("DiskPressure", p.disk, p.disk ? "KubeletHasDiskPressure" : "KubeletHasNoDiskPressure", p.disk ? "kubelet has disk pressure" : "kubelet has no disk pressure");
  add("PIDPressure", p.pid, p.pid ? "KubeletHasInsufficientPID" : "KubeletHasSufficientPID", p.pid ? "kubelet has insufficient PID available" : "kubelet has sufficient PID available");
  add("Ready", ready, ready ? "KubeletReady" : "KubeletNotReady", ready ? "kubelet is posting ready status" : why);
  utsname uts{};
  uname(&uts);
  Node capacity = Node::obj({{"cpu", std::to_string(config_.cpu_milli / 1000)}, {"memory", std::to_string(config_.memory / 1024) + "Ki"}, {"ephemeral-storage", std::to_string(config_.ephemeral_storage / 1024) + "Ki"}, {"pods", std::to_string(config_.max_pods)}});
  Node allocatable = Node::obj({{"cpu", Quantity::milli(config_.cpu_milli - config_.reserved_cpu_milli).str()}, {"memory", std::to_string((config_.memory - config_.reserved_memory) / 1024) + "Ki"}, {"ephemeral-storage", std::to_string(config_.ephemeral_storage - config_.reserved_storage)}, {"pods", std::to_string(config_.max_pods)}});
  Node status = Node::obj({{"capacity", capacity}, {"allocatable", allocatable}, {"conditions", std::move(conditions)}});
  std::string ip;
  {
    std::lock_guard lock(mutex_);
    ip = config_.ip;
  }
  status["addresses"] = Node::arr({Node::obj({{"type", "InternalIP"}, {"address", ip}}), Node::obj({{"type", "Hostname"}, {"address", config_.hostname}})});
  status["daemonEndpoints"]["kubeletEndpoint"].set("Port", config_.kubelet_port);
  status["nodeInfo"] = Node::obj({{"machineID", first_line("/etc/machine-id")}, {"systemUUID", first_line("/etc/machine-id")}, {"bootID", first_line(kBootId)}, {"kernelVersion", uts.release},
                                  {"osImage", os_release()}, {"containerRuntimeVersion", "k8lite://" + config_.version}, {"kubeletVersion", "v1.36.0+k8lite"}, {"kubeProxyVersion", ""},
                                  {"operatingSystem", "linux"}, {"architecture", architecture()}});
  Node handler = Node::obj({{"name", ""}});
  handler["features"] = Node::obj({{"recursiveReadOnlyMounts", has_recursive_read_only()}, {"userNamespaces", false}});
  status["runtimeHandlers"] = Node::arr({std::move(handler)});
  return status;
}

Result<> NodeReporter::register_node() {
  auto current = client_.get({"", "v1", "nodes", "", config_.name, ""});
  if (!current.ok() && !current.status().is(Reason::NotFound)) return current.status();
  Node labels = Node::obj({{"kubernetes.io/hostname", config_.hostname}, {"kubernetes.io/os", "linux"}, {"kubernetes.io/arch", architecture()}, {"beta.kubernetes.io/os", "linux"}, {"beta.kubernetes.io/arch", architecture()}});
  for (const auto& l : config_.labels) {
    size_t equals = l.find('=');
    labels.set(l.substr(0, equals), equals == l.npos ? "" : l.substr(equals + 1));
  }
  if (!current.ok()) {
    Node node = Node::obj({{"apiVersion", "v1"}, {"kind", "Node"}});
    node["metadata"] = Node::obj({{"name", config_.name}, {"labels", labels}});
    node["spec"] = Node::object();
    for (const auto& t : config_.taints) {
      size_t colon = t.rfind(':'), equals = t.find('=');
      Node taint = Node::obj({{"key", t.substr(0, std::min(equals, colon))}, {"effect", colon == t.npos ? "NoSchedule" : t.substr(colon + 1)}});
      if (equals != t.npos && equals < colon) taint.set("value", t.substr(equals + 1, colon - equals - 1));
      node["spec"]["taints"].append(std::move(taint));
    }
    auto r = client_.create({"", "v1", "nodes", "", "", ""}, json::Doc::from(node), {});
    if (!r.ok() && !r.status().is(Reason::AlreadyExists)) return r.status();
  } else {
    bool missing = false;
    for (const auto& [key, value] : labels.members()) missing |= !(*current)["metadata"]["labels"][key].equals(value.str());
    if (missing) TRY_OK(client_.patch({"", "v1", "nodes", "", config_.name, ""}, machinery::PatchType::Merge, Node::obj({{"metadata", Node::obj({{"labels", labels}})}}).dump(), {}));
  }
  // After a restart of k8lite alone its pods have run on: the node stays what it was. A machine that has booted has none that run.
  if (current.ok() && (*current).path("status.nodeInfo.bootID").equals(first_line(kBootId))) return {};
  return report(false, "the node is starting");
}

Result<> NodeReporter::set_annotation(const std::string& key, const std::string& value) {
  Node patch = Node::object();
  patch["metadata"]["annotations"].set(key, value);
  TRY_OK(client_.patch({"", "v1", "nodes", "", config_.name, ""}, machinery::PatchType::Merge, patch.dump(), {}));
  return {};
}

void NodeReporter::set_ip(const std::string& ip) {
  std::lock_guard lock(mutex_);
  config_.ip = ip;
}

std::string NodeReporter::pod_cidr() {
  auto node = client_.get({"", "v1", "nodes", "", config_.name, ""});
  return node.ok() ? node->path("spec.podCIDR").str() : "";
}

Result<> NodeReporter::report(bool ready, const std::string& why) {
  {
    std::lock_guard lock(mutex_);
    ready_ = ready;
    why_ = why;
  }
  return report();
}

Result<> NodeReporter::report() {
  std::lock_guard one(reporting_);
  bool ready;
  std::string why;
  {
    std::lock_guard lock(mutex_);
    ready = ready_;
    why = why_;
  }
  auto node = client_.get({"", "v1", "nodes", "", config_.name, ""});
  if (!node.ok()) return node.status();
  Node patch = Node::obj({{"status", node_status(ready, why, (*node)["status"])}});
  TRY_OK(client_.patch({"", "v1", "nodes", "", config_.name, "status"}, machinery::PatchType::Merge, patch.dump(), {}));
  return {};
}

Result<> NodeReporter::renew_lease() {
  machinery::Path path{"coordination.k8s.io", "v1", "leases", "kube-node-lease", config_.name, ""};
  Node patch = Node::object();
  patch["spec"].set("renewTime", rfc3339_micro(clock_.now()));
  auto r = client_.patch(path, machinery::PatchType::Merge, patch.dump(), {});
  if (r.ok() || !r.status().is(Reason::NotFound)) return r.ok() ? Result<>() : r.status();
  Node lease = Node::obj({{"apiVersion", "coordination.k8s.io/v1"}, {"kind", "Lease"}, {"metadata", Node::obj({{"name", config_.name}, {"namespace", "kube-node-lease"}})}});
  lease["spec"] = Node::obj({{"holderIdentity", config_.name}, {"leaseDurationSeconds", 40}, {"renewTime", rfc3339_micro(clock_.now())}});
  path.name.clear();
  TRY_OK(client_.create(path, json::Doc::from(lease), {}));
  return {};
}

// An address that was given by hand is not exchanged for another one: somebody has to know when it is gone.
void NodeReporter::check_address() {
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return;
  bool found = false;
  for (ifaddrs* i = all; i; i = i->ifa_next) {
    if (!i->ifa_addr || (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6)) continue;
    char text[INET6_ADDRSTRLEN] = {};
    bool v4 = i->ifa_addr->sa_family == AF_INET;
    const void* raw = v4 ? static_cast<const void*>(&reinterpret_cast<sockaddr_in*>(i->ifa_addr)->sin_addr) : &reinterpret_cast<sockaddr_in6*>(i->ifa_addr)->sin6_addr;
    inet_ntop(i->ifa_addr->sa_family, raw, text, sizeof text);
    found |= config_.ip == text;
  }
  freeifaddrs(all);
  if (std::exchange(address_lost_, !found) || found) return;
  std::string message = "the node's address " + config_.ip + " is no more on this machine: give it back, or start k8lite with another node-ip";
  log_warn(message, {{"node", config_.name}});
  on_address_lost(message);
}

Result<> NodeReporter::report_pressure(const Pressure& pressure) {
  {
    std::lock_guard lock(mutex_);
    pressure_ = pressure;
  }
  return report();
}

void NodeReporter::start_heartbeats() {
  thread_ = std::thread([this] {
    std::unique_lock lock(mutex_);
    Duration heard = clock_.mono();
    bool owed = false;  // a report, since the server may believe something else
    for (int n = 0; !stopping_; ++n) {
      bool ready = ready_;
      std::string why = why_;
      lock.unlock();
      owed |= clock_.mono() - heard > kLongSilence;
      if (on_address_lost) check_address();
      auto r = renew_lease();
      if (!r.ok()) {
        log_warn("the node's lease could not be renewed", {{"error", r.status()}});
        // The object may be gone (kubectl delete node): a node that lives registers itself again.
        if (r.status().is(Reason::NotFound)) (void)register_node();
      } else {
        owed |= clock_.mono() - heard > kLongSilence;
        heard = clock_.mono();
      }
      if (owed || (n > 0 && n % kStatusEvery == 0)) {
        auto s = report();
        owed = !s.ok();
        if (!s.ok() && s.status().is(Reason::NotFound)) (void)register_node(), (void)report(ready, why);
      }
      lock.lock();
      wake_.wait_for(lock, kLeasePeriod, [this] { return stopping_; });
    }
  });
}

void NodeReporter::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

}  // namespace k8lite::kubelet
