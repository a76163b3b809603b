#include "apiserver/service_addresses.h"

#include <arpa/inet.h>

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

Result<> ServiceAddresses::allocate(Node& service, const json::Doc* old, const std::string& owner) {
  Node& spec = service["spec"];
  std::lock_guard lock(mutex_);
  if (spec.get("type").str() == "ExternalName") {
    for (const char* f : {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"}) spec.erase(f);
    return {};
  }
  std::string before = old ? old->path("spec.clusterIP").str() : "";
  std::string wanted = spec.get("clusterIP").str();
  if (wanted.empty() && spec.get("clusterIPs").size()) wanted = spec.get("clusterIPs").items()[0].str();
  if (wanted.empty()) wanted = before;
  if (!before.empty() && wanted != before) return invalid_field("spec.clusterIPs[0]", Node::arr({wanted}).dump(), "may not change once set");
  spec.set("clusterIP", Node(wanted));
  TRY_OK(take_address(spec, owner));
  spec.set("clusterIPs", Node::arr({spec.get("clusterIP")}));
  spec.set("ipFamilies", Node::arr({"IPv4"}));
  if (!spec.get("ipFamilyPolicy").exists()) spec.set("ipFamilyPolicy", "SingleStack");
  if (old)  // an update that leaves the ports' numbers out keeps them
    if (Node* ports = spec.find("ports"))
      for (Node& p : ports->items())
        for (json::Value q : old->path("spec.ports").items())
          if (wants_ports(spec) && p.get("nodePort").int_or(0) == 0 && q["port"].int_or(0) == p.get("port").int_or(0) && q["protocol"].equals(p.get("protocol").str()) && q["nodePort"])
            p.set("nodePort", q["nodePort"].int_or(0));
  return take_ports(spec, owner);
}

Result<> ServiceAddresses::take_address(Node& spec, const std::string& owner) {
  const std::string wanted = spec.get("clusterIP").str();
  if (wanted == "None") return {};
  if (!wanted.empty()) {
    std::string shown = Node::arr({wanted}).dump();
    auto address = parse_ipv4(wanted);
    if (!address) return invalid_field("spec.clusterIPs[0]", Node(wanted).dump(), "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
    if (*address - base_ >= size_) return invalid_field("spec.clusterIPs", shown, "failed to allocate IP " + wanted + ": the provided IP is not in the valid range. The range of valid IPs is " + network_.cidr);
    auto [it, fresh] = addresses_.emplace(*address, owner);
    if (!fresh && it->second != owner) return invalid_field("spec.clusterIPs", shown, "failed to allocate IP " + wanted + ": provided IP is already allocated");
    return {};
  }
  // The lower part of the range is left to those who choose their address (KEP-3070).
  uint32_t reserved = std::min<uint32_t>(std::max<uint32_t>(16, size_ / 16), 256);
  if (reserved + 1 >= size_) reserved = 1;
  uint32_t span = size_ - reserved - 1, start = static_cast<uint32_t>(random_.next() % span);
  for (uint32_t i = 0; i < span; ++i) {
    uint32_t address = base_ + reserved + (start + i) % span;
    if (!addresses_.emplace(address, owner).second) continue;
    spec.set("clusterIP", ipv4_text(address));
    return {};
  }
  return Status(Reason::InternalError, "Internal error occurred: failed to allocate a serviceIP: range is full");
}

Result<> ServiceAddresses::take_ports(Node& spec, const std::string& owner) {
  Node* ports = spec.find("ports");
  if (!ports) return {};
  if (!wants_ports(spec)) {
    for (Node& p : ports->items()) p.erase("nodePort");
    return {};
  }
  int span = network_.last_port - network_.first_port + 1;
  for (size_t i = 0; i < ports->items().size(); ++i) {
    Node& p = ports->items()[i];
    std::string protocol = p.get("protocol").str_or("TCP"), field = "spec.ports[" + std::to_string(i) + "].nodePort";
    int64_t wanted = p.get("nodePort").int_or(0);
    if (wanted != 0) {
      if (wanted < network_.first_port || wanted > network_.last_port)
        return invalid_field(field, std::to_string(wanted), "provided port is not in the valid range. The range of valid ports is " + std::to_string(network_.first_port) + "-" + std::to_string(network_.last_port));
      auto [it, fresh] = ports_.emplace(port_key(protocol, wanted), owner);
      if (!fresh && it->second != owner) return invalid_field(field, std::to_string(wanted), "provided port is already allocated");
      continue;
    }
    int start = static_cast<int>(random_.next() % static_cast<uint64_t>(span));
    for (int k = 0; k < span && wanted == 0; ++k) {
      int port = network_.first_port + (start + k) % span;
      if (ports_.emplace(port_key(protocol, port), owner).second) wanted = port;
    }
    if (wanted == 0) return Status(Reason::InternalError, "Internal error occurred: failed to allocate a nodePort: range is full");
    p.set("nodePort", wanted);
  }
  return {};
}

void ServiceAddresses::settle(const std::string& owner, const json::Doc* service) {
  std::lock_guard lock(mutex_);
  std::erase_if(addresses_, [&owner](const auto& e) { return e.second == owner; });
  std::erase_if(ports_, [&owner](const auto& e) { return e.second == owner; });
  if (!service) return;
  if (auto address = parse_ipv4(service->path("spec.clusterIP").str())) addresses_[*address] = owner;
  for (json::Value p : service->path("spec.ports").items())
    if (int64_t n = p["nodePort"].int_or(0)) ports_[port_key(p["protocol"].str("TCP"), n)] = owner;
}

}  // namespace k8lite::apiserver
