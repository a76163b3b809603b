#include "apiserver/service_addresses.h"

#include <arpa/inet.h>

#include <set>

#include "base/strings.h"

namespace k8lite::apiserver {
namespace {

using json::Node;

std::optional<uint32_t> parse_ipv4(const std::string& text) {
  in_addr a{};
  if (inet_pton(AF_INET, text.c_str(), &a) != 1) return {};
  return ntohl(a.s_addr);
}
std::string ipv4_text(uint32_t address) {
  in_addr a{htonl(address)};
  char text[INET_ADDRSTRLEN] = {};
  inet_ntop(AF_INET, &a, text, sizeof text);
  return text;
}

Status invalid_field(std::string field, const std::string& value, std::string why) {
  Cause cause{"FieldValueInvalid", "Invalid value: " + value + ": " + why, std::move(field)};
  Status s(Reason::Invalid, cause.field + ": " + cause.message);
  StatusDetails d;
  d.kind = "Service";
  d.causes.push_back(std::move(cause));
  return s.set_details(std::move(d));
}

Status duplicate_field(std::string field, int64_t value) {
  Cause cause{"FieldValueDuplicate", "Duplicate value: " + std::to_string(value), std::move(field)};
  Status s(Reason::Invalid, cause.field + ": " + cause.message);
  StatusDetails d;
  d.kind = "Service";
  d.causes.push_back(std::move(cause));
  return s.set_details(std::move(d));
}

bool wants_ports(const Node& spec) {
  const std::string& type = spec.get("type").str();
  return type == "NodePort" || (type == "LoadBalancer" && spec.get("allocateLoadBalancerNodePorts").bool_or(true));
}

std::string port_key(const std::string& protocol, int64_t port) { return protocol + ":" + std::to_string(port); }

}  // namespace

Result<std::unique_ptr<ServiceAddresses>> ServiceAddresses::create(ServiceNetwork network, Random& random) {
  auto parts = split_strings(network.cidr, '/');
  auto base = parse_ipv4(parts[0]);
  auto bits = parts.size() == 2 ? parse_int(parts[1]) : std::nullopt;
  if (!base || !bits || *bits < 8 || *bits > 30) return bad_request("service-cidr \"" + network.cidr + "\" is no IPv4 network such as 10.43.0.0/16 (prefix 8 to 30)");
  if (network.first_port < 1 || network.last_port > 65535 || network.first_port > network.last_port) return bad_request("service-node-port-range is no range of ports");
  uint32_t size = uint32_t{1} << (32 - *bits);
  return std::unique_ptr<ServiceAddresses>(new ServiceAddresses(*base & ~(size - 1), size, network, random));
}

std::string ServiceAddresses::first() const { return ipv4_text(base_ + 1); }

bool ServiceAddresses::taken(const std::string& key) const {
  std::lock_guard lock(mutex_);
  return holders_.contains(key);
}

bool ServiceAddresses::take(const std::string& key, Attempt& attempt) {
  auto it = holders_.find(key);
  if (it != holders_.end() && (it->second.size() > 1 || !it->second.contains(attempt.owner))) return false;
  ++holders_[key][attempt.owner];
  attempt.keys.push_back(key);
  return true;
}

void ServiceAddresses::release(const std::string& key, const std::string& owner) {
  auto it = holders_.find(key);
  if (it == holders_.end()) return;
  if (auto o = it->second.find(owner); o != it->second.end() && --o->second == 0) it->second.erase(o);
  if (it->second.empty()) holders_.erase(it);
}

void ServiceAddresses::release_all(const Attempt& attempt) {
  std::lock_guard lock(mutex_);
  for (const auto& key : attempt.keys) release(key, attempt.owner);
}

Result<ServiceAddresses::Reservation> ServiceAddresses::allocate(Node& service, const json::Doc* old, const std::string& owner) {
  // Declared before the lock, so that what a refused attempt took is given back after it.
  std::shared_ptr<Attempt> attempt(new Attempt{owner, {}}, [this](Attempt* a) {
    release_all(*a);
    delete a;
  });
  Node& spec = service["spec"];
  std::lock_guard lock(mutex_);
  if (spec.get("type").str() == "ExternalName") {
    for (const char* f : {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"}) spec.erase(f);
    return Reservation(attempt);
  }
  std::string before = old ? old->path("spec.clusterIP").str() : "";
  std::string wanted = spec.get("clusterIP").str();
  if (wanted.empty() && spec.get("clusterIPs").size()) wanted = spec.get("clusterIPs").items()[0].str();
  if (wanted.empty()) wanted = before;
  if (!before.empty() && wanted != before) return invalid_field("spec.clusterIPs[0]", Node::arr({wanted}).dump(), "may not change once set");
  spec.set("clusterIP", Node(wanted));
  TRY_OK(take_address(spec, *attempt));
  spec.set("clusterIPs", Node::arr({spec.get("clusterIP")}));
  spec.set("ipFamilies", Node::arr({"IPv4"}));
  if (!spec.get("ipFamilyPolicy").exists()) spec.set("ipFamilyPolicy", "SingleStack");
  if (old)  // an update that leaves the ports' numbers out keeps them
    if (Node* ports = spec.find("ports"))
      for (Node& p : ports->items())
        for (json::Value q : old->path("spec.ports").items())
          if (wants_ports(spec) && p.get("nodePort").int_or(0) == 0 && q["port"].int_or(0) == p.get("port").int_or(0) && q["protocol"].equals(p.get("protocol").str()) && q["nodePort"])
            p.set("nodePort", q["nodePort"].int_or(0));
  TRY_OK(take_ports(spec, *attempt));
  return Reservation(attempt);
}

Result<> ServiceAddresses::take_address(Node& spec, Attempt& attempt) {
  const std::string wanted = spec.get("clusterIP").str();
  if (wanted == "None") return {};
  if (!wanted.empty()) {
    std::string shown = Node::arr({wanted}).dump();
    auto address = parse_ipv4(wanted);
    if (!address) return invalid_field("spec.clusterIPs[0]", Node(wanted).dump(), "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
    if (*address - base_ >= size_) return invalid_field("spec.clusterIPs", shown, "failed to allocate IP " + wanted + ": the provided IP is not in the valid range. The range of valid IPs is " + network_.cidr);
    if (*address == base_ || *address == base_ + size_ - 1) return invalid_field("spec.clusterIPs", shown, "failed to allocate IP " + wanted + ": the network's own and its broadcast address are nobody's");
    if (!take(ipv4_text(*address), attempt)) return invalid_field("spec.clusterIPs", shown, "failed to allocate IP " + wanted + ": provided IP is already allocated");
    return {};
  }
  // The lower part of the range is left to those who choose their address (KEP-3070).
  uint32_t reserved = std::min<uint32_t>(std::max<uint32_t>(16, size_ / 16), 256);
  if (reserved + 1 >= size_) reserved = 1;
  uint32_t span = size_ - reserved - 1, start = static_cast<uint32_t>(random_.next() % span);
  for (uint32_t i = 0; i < span; ++i) {
    uint32_t address = base_ + reserved + (start + i) % span;
    std::string text = ipv4_text(address);
    if (holders_.contains(text)) continue;
    take(text, attempt);
    spec.set("clusterIP", text);
    return {};
  }
  return Status(Reason::InternalError, "Internal error occurred: failed to allocate a serviceIP: range is full");
}

Result<> ServiceAddresses::take_ports(Node& spec, Attempt& attempt) {
  Node* ports = spec.find("ports");
  if (!ports) return {};
  if (!wants_ports(spec)) {
    for (Node& p : ports->items()) p.erase("nodePort");
    return {};
  }
  std::set<std::string> own;  // two ports of one Service cannot share a node port either
  std::set<std::string> wishes;  // of ports behind this one: a random choice must not take them away
  for (const Node& p : ports->items()) wishes.insert(port_key(p.get("protocol").str_or("TCP"), p.get("nodePort").int_or(0)));
  int span = network_.last_port - network_.first_port + 1;
  for (size_t i = 0; i < ports->items().size(); ++i) {
    Node& p = ports->items()[i];
    std::string protocol = p.get("protocol").str_or("TCP"), field = "spec.ports[" + std::to_string(i) + "].nodePort";
    int64_t wanted = p.get("nodePort").int_or(0);
    if (wanted != 0) {
      if (wanted < network_.first_port || wanted > network_.last_port)
        return invalid_field(field, std::to_string(wanted), "provided port is not in the valid range. The range of valid ports is " + std::to_string(network_.first_port) + "-" + std::to_string(network_.last_port));
      std::string key = port_key(protocol, wanted);
      if (!own.insert(key).second) return duplicate_field(field, wanted);
      if (!take(key, attempt)) return invalid_field(field, std::to_string(wanted), "provided port is already allocated");
      continue;
    }
    int start = static_cast<int>(random_.next() % static_cast<uint64_t>(span));
    for (int k = 0; k < span && wanted == 0; ++k) {
      int port = network_.first_port + (start + k) % span;
      if (holders_.contains(port_key(protocol, port)) || wishes.contains(port_key(protocol, port))) continue;
      take(port_key(protocol, port), attempt);
      wanted = port;
    }
    if (wanted == 0) return Status(Reason::InternalError, "Internal error occurred: failed to allocate a nodePort: range is full");
    p.set("nodePort", wanted);
  }
  return {};
}

void ServiceAddresses::settle(const std::string& owner, const json::Doc* service) {
  std::vector<std::string> now;
  if (service) {
    if (auto address = parse_ipv4(service->path("spec.clusterIP").str())) now.push_back(ipv4_text(*address));
    for (json::Value p : service->path("spec.ports").items())
      if (int64_t n = p["nodePort"].int_or(0)) now.push_back(port_key(p["protocol"].str("TCP"), n));
  }
  std::lock_guard lock(mutex_);
  for (const auto& key : now) ++holders_[key][owner];
  if (auto it = stored_.find(owner); it != stored_.end())
    for (const auto& key : it->second) release(key, owner);
  if (now.empty()) stored_.erase(owner);
  else stored_[owner] = std::move(now);
}

}  // namespace k8lite::apiserver
