#include "cni/ipam.h"

#include "base/json.h"
#include "base/log.h"

namespace k8lite::cni {

Ipam::Ipam(Cidr network, std::string file) : network_(network), file_(std::move(file)) {
  auto text = os::read_file(file_);
  if (!text.ok()) return;
  auto node = json::Node::parse(*text);
  if (!node.ok()) {
    log_warn("the file of pod addresses cannot be read; the addresses of running pods are looked up again", {{"file", file_}, {"error", node.status()}});
    return;
  }
  for (const auto& [pod, address] : node->get("allocated").members())
    if (auto a = Ipv4::parse(address.str()); a && usable(*a) && used_.insert(a->value).second) by_pod_[pod] = a->value;
  last_ = static_cast<uint32_t>(node->get("last").int_or(0));
}

bool Ipam::usable(Ipv4 a) const { return network_.contains(a) && a.value > network_.base.value + 1 && a.value != (network_.base.value | ~network_.mask()); }

Result<> Ipam::save() const {
  json::Node all = json::Node::object();
  for (const auto& [pod, address] : by_pod_) all.set(pod, Ipv4{address}.text());
  // Not flushed to the disk at every pod: after a power cut no pod of before runs any more.
  return os::write_file(file_, json::Node::obj({{"allocated", std::move(all)}, {"last", static_cast<int64_t>(last_)}}).dump(), 0600, false);
}

Result<Ipv4> Ipam::allocate(const std::string& pod) {
  if (auto it = by_pod_.find(pod); it != by_pod_.end()) return Ipv4{it->second};
  const uint32_t size = uint32_t{1} << (32 - network_.bits);
  // Round robin: an address is not given again at once, so that nobody talks to the wrong pod through a stale entry.
  for (uint32_t i = 1; i <= size; ++i) {
    Ipv4 address{network_.base.value + (last_ + i) % size};
    if (!usable(address) || used_.count(address.value)) continue;
    last_ = (last_ + i) % size;
    by_pod_[pod] = address.value;
    if (auto r = save(); !r.ok()) {
      by_pod_.erase(pod);
      return r.status().within("note the pod's address");
    }
    used_.insert(address.value);
    return address;
  }
  return unavailable("no address left in the node's pod network " + network_.text() + ": all " + std::to_string(used_.size()) + " are in use");
}

bool Ipam::claim(const std::string& pod, Ipv4 address) {
  if (auto it = by_pod_.find(pod); it != by_pod_.end()) return it->second == address.value;
  if (!usable(address) || !used_.insert(address.value).second) return false;
  by_pod_[pod] = address.value;
  if (auto r = save(); !r.ok()) log_warn("a pod's address could not be noted", {{"pod", pod}, {"error", r.status()}});
  return true;
}

void Ipam::release(const std::string& pod) {
  auto it = by_pod_.find(pod);
  if (it == by_pod_.end()) return;
  used_.erase(it->second);
  by_pod_.erase(it);
  // Where it cannot be written the entry comes back at the next start, and is reclaimed there.
  if (auto r = save(); !r.ok()) log_warn("a pod's address could not be given back on disk", {{"pod", pod}, {"error", r.status()}});
}

std::optional<Ipv4> Ipam::address_of(const std::string& pod) const {
  auto it = by_pod_.find(pod);
  if (it == by_pod_.end()) return {};
  return Ipv4{it->second};
}

std::vector<std::string> Ipam::pods() const {
  std::vector<std::string> out;
  for (const auto& [pod, address] : by_pod_) out.push_back(pod);
  return out;
}

}  // namespace k8lite::cni
