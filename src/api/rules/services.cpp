// Services, Endpoints and EndpointSlices. (Kubernetes API reference, "ServiceSpec".) Addresses and node ports have been
// given out by the time a Service comes here.
#include <set>

#include "api/rules/addresses.h"
#include "api/rules/check.h"
#include "base/strings.h"

namespace k8lite::api::rules {
namespace {

bool headless(const Node& spec) {
  return spec.get("clusterIP").str() == "None" ||
         (spec.get("clusterIPs").size() == 1 && spec.get("clusterIPs").items()[0].str() == "None");
}

// An address that others can reach: not of this host, of this link or of nobody.
void check_ordinary_ip(Check& c, std::string_view child, const Node& ip) {
  // A server that listens on its own host alone says so of itself.
  if (c.root.path("metadata.name").str() == "kubernetes" && c.root.path("metadata.namespace").str() == "default")
    return;
  auto a = parse_ip(ip.str());
  if (!a) return c.invalid(child, Node(ip.str()), "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
  const auto& b = a->bytes;
  bool zero = *a == Address{{}, a->v6};
  bool v6_one = a->v6 && b[15] == 1;
  for (size_t i = 0; i < 15; ++i) v6_one &= b[i] == 0;
  if (zero) c.invalid(child, ip, "may not be unspecified (" + ip.str() + ")");
  if (a->v6 ? v6_one : b[0] == 127) c.invalid(child, ip, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
  if (a->v6 ? b[0] == 0xfe && (b[1] & 0xc0) == 0x80 : b[0] == 169 && b[1] == 254)
    c.invalid(child, ip, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
  if (a->v6 ? b[0] == 0xff && (b[1] & 0x0f) == 2 : b[0] == 224 && b[1] == 0 && b[2] == 0)
    c.invalid(child, ip, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
}

void check_ports(Check& c, const Node& spec) {
  const auto& ports = spec.get("ports").items();
  const std::string& type = spec.get("type").str();
  std::set<std::string> names, pairs, node_ports;
  for (size_t i = 0; i < ports.size(); ++i) {
    Step step(c, item("ports", i));
    const Node &p = ports[i], &name = p.get("name"), &target = p.get("targetPort"), &node_port = p.get("nodePort");
    if (name.str().empty() && ports.size() > 1)
      c.required("name");
    else if (!name.str().empty() && !names.insert(name.str()).second)
      c.duplicate("name", name);
    if (target.is_string())
      c.format("targetPort", target, Format::PortName);
    else
      c.within("targetPort", Node(target.int_or(0)), 1, 65535);
    std::string protocol = p.get("protocol").str();
    if (node_port.int_or(0) != 0) {
      if (type == "ClusterIP") c.forbidden("nodePort", "may not be used when `type` is 'ClusterIP'");
      if (!node_ports.insert(protocol + node_port.dump()).second) c.duplicate("nodePort", node_port);
    }
    if (!pairs.insert(protocol + p.get("port").dump()).second)
      c.duplicate("", Node::obj({{"protocol", protocol}, {"port", p.get("port")}}));
  }
}

void check_external_name(Check& c, const Node& spec) {
  for (const char* f : {"clusterIPs", "ipFamilies", "ipFamilyPolicy"})
    if (given(spec.get(f))) c.forbidden(f, "may not be set for ExternalName services");
  std::string_view name = spec.get("externalName").str();
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty())
    c.required("externalName");
  else
    c.format("externalName", Node(name), Format::Subdomain);
}

void check_affinity(Check& c, const Node& spec) {
  const Node& config = spec.get("sessionAffinityConfig");
  if (spec.get("sessionAffinity").str() == "None" && config.exists())
    c.forbidden("sessionAffinityConfig", "must not be set when session affinity is None");
  if (spec.get("sessionAffinity").str() != "ClientIP") return;
  const std::string why = "when session affinity type is ClientIP";
  const Node& timeout = config.path("clientIP.timeoutSeconds");
  if (!config.exists())
    c.required("sessionAffinityConfig", why);
  else if (!config.get("clientIP").exists())
    c.required("sessionAffinityConfig.clientIP", why);
  else if (!timeout.exists())
    c.required("sessionAffinityConfig.clientIP.timeoutSeconds", why);
  else if (timeout.int_or(0) <= 0 || timeout.int_or(0) > 86400)
    c.invalid("sessionAffinityConfig.clientIP.timeoutSeconds", timeout, "must be greater than 0 and less than 86400");
}

void check_addresses(Check& c, const Node& spec) {
  const Node &ips = spec.get("clusterIPs"), &families = spec.get("ipFamilies"), &ip = spec.get("clusterIP");
  if (!ip.str().empty() && ips.size() && !(ips.items()[0] == ip))
    c.invalid("clusterIPs", ips, "first value must match `clusterIP`");
  if (ip.str().empty() && ips.size()) c.invalid("clusterIPs", ips, "must be empty when `clusterIP` is not specified");
  bool wrong = false;
  for (size_t i = 0; i < ips.items().size(); ++i) {
    if (i == 0 && ips.items()[0].str() == "None") {
      if (ips.size() > 1) c.invalid("clusterIPs", ips, "'None' must be the first and only value"), wrong = true;
      continue;
    }
    wrong |= !c.format(item("clusterIPs", i), ips.items()[i], Format::Ip);
  }
  if (ips.size() > 2) c.invalid("clusterIPs", ips, "may only hold up to 2 values");
  if (wrong || headless(spec)) return;
  auto v6 = [&ips](size_t i) { return ips.items()[i].str().find(':') != std::string::npos; };
  if (ips.size() == 2 && v6(0) == v6(1))
    c.invalid("clusterIPs", ips, "may specify no more than one IP for each IP family");
  for (size_t i = 0; i < ips.items().size() && i < families.items().size(); ++i)
    if ((families.items()[i].str() == "IPv6") != v6(i))
      c.invalid(item("clusterIPs", i), ips.items()[i],
                "expected an " + families.items()[i].str() + " value as indicated by `ipFamilies[" + std::to_string(i) +
                    "]`");
}

bool reachable_from_outside(const Node& spec) {
  const std::string& type = spec.get("type").str();
  return type == "LoadBalancer" || type == "NodePort" || (type == "ClusterIP" && spec.get("externalIPs").size());
}

void check_traffic(Check& c, const Node& spec) {
  const Node &policy = spec.get("externalTrafficPolicy"), &health = spec.get("healthCheckNodePort");
  if (!reachable_from_outside(spec)) {
    if (given(policy)) c.invalid("externalTrafficPolicy", policy, "may only be set for externally-accessible services");
  } else if (!given(policy)) {
    c.required("externalTrafficPolicy");
  } else {
    c.one_of("externalTrafficPolicy", policy, "Cluster,Local");
  }
  bool checks = spec.get("type").str() == "LoadBalancer" && policy.str() == "Local";
  if (!checks && health.int_or(0) != 0)
    c.invalid("healthCheckNodePort", health,
              "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'");
  if (checks && health.int_or(0) != 0) c.within("healthCheckNodePort", health, 1, 65535);
}

void check_load_balancer(Check& c, const Node& spec, const Node& before) {
  bool balancer = spec.get("type").str() == "LoadBalancer";
  const Node &ranges = spec.get("loadBalancerSourceRanges"), &cls = spec.get("loadBalancerClass");
  if (ranges.size() && !balancer)
    c.forbidden("LoadBalancerSourceRanges", "may only be used when `type` is 'LoadBalancer'");
  for (size_t i = 0; i < ranges.items().size(); ++i)
    c.format(item("LoadBalancerSourceRanges", i), Node(trim(ranges.items()[i].str())), Format::Cidr);
  if (spec.get("allocateLoadBalancerNodePorts").exists() && !balancer)
    c.forbidden("allocateLoadBalancerNodePorts", "may only be used when `type` is 'LoadBalancer'");
  if (balancer && before.get("type").str() == "LoadBalancer" &&
      !(cls.exists() == before.get("loadBalancerClass").exists() && cls.str() == before.get("loadBalancerClass").str()))
    c.invalid("loadBalancerClass", cls, "may not change once set");
  if (balancer)
    c.format("loadBalancerClass", cls, Format::Qualified);
  else if (cls.exists())
    c.forbidden("loadBalancerClass", "may only be used when `type` is 'LoadBalancer'");
}

void check_service_update(Check& c, const Node& spec, const Node& before) {
  if (spec.get("type").str() == "ExternalName" || before.get("type").str() == "ExternalName" ||
      (headless(spec) && headless(before)))
    return;
  const Node &ips = spec.get("clusterIPs"), &were = before.get("clusterIPs");
  for (size_t i = 0; i < were.items().size() && i < ips.items().size(); ++i)
    if (!(were.items()[i] == ips.items()[i])) c.invalid(item("clusterIPs", i), ips, "may not change once set");
  if (were.size() && ips.size() == 0)
    c.invalid("clusterIPs[0]", ips.exists() ? ips : Node::array(), "primary clusterIP can not be unset");
  if (were.size() == 2 && ips.size() == 1 && spec.get("ipFamilyPolicy").str() != "SingleStack")
    c.invalid("ipFamilyPolicy", spec.get("ipFamilyPolicy"),
              "must be set to 'SingleStack' when releasing the secondary clusterIP");
  if (given(spec.get("ipFamilies")) && given(before.get("ipFamilies")) &&
      !(spec.get("ipFamilies").items()[0] == before.get("ipFamilies").items()[0]) && headless(spec) == headless(before))
    c.invalid("ipFamilies[0]", spec.get("ipFamilies"), "may not change once set");
  const Node &health = spec.get("healthCheckNodePort"), &was = before.get("healthCheckNodePort");
  if (health.int_or(0) != 0 && was.int_or(0) != 0 && !(health == was))
    c.forbidden("healthCheckNodePort", "field is immutable");
}

void check_service(Check& c, const Node& spec, const Node& before) {
  const std::string& type = spec.get("type").str();
  if (c.old) check_service_update(c, spec, before);
  if (spec.get("ports").size() == 0 && !headless(spec) && type != "ExternalName") c.required("ports");
  if (headless(spec) && (type == "LoadBalancer" || type == "NodePort"))
    c.invalid("clusterIPs[0]", Node("None"), "may not be set to 'None' for " + type + " services");
  if (type == "ExternalName")
    check_external_name(c, spec);
  else
    check_addresses(c, spec);
  check_ports(c, spec);
  check_affinity(c, spec);
  for (size_t i = 0; i < spec.get("externalIPs").items().size(); ++i)
    check_ordinary_ip(c, item("externalIPs", i), spec.get("externalIPs").items()[i]);
  check_load_balancer(c, spec, before);
  check_traffic(c, spec);
  if (!spec.get("internalTrafficPolicy").exists() && listed(type, "ClusterIP,NodePort,LoadBalancer"))
    c.required("internalTrafficPolicy");
}

void check_subset(Check& c, const Node& subset, const Node&) {
  if (subset.get("addresses").size() + subset.get("notReadyAddresses").size() == 0)
    c.required("", "must specify `addresses` or `notReadyAddresses`");
  for (const char* list : {"addresses", "notReadyAddresses"})
    for (size_t i = 0; i < subset.get(list).items().size(); ++i)
      if (const Node& ip = subset.get(list).items()[i].get("ip"); parse_ip(ip.str()))
        check_ordinary_ip(c, item(list, i) + ".ip", ip);
  const auto& ports = subset.get("ports").items();
  for (size_t i = 0; i < ports.size() && ports.size() > 1; ++i)
    if (ports[i].get("name").str().empty()) c.required(item("ports", i) + ".name");
}

void check_endpoint_address(Check& c, std::string_view child, const Node& address, const std::string& type) {
  auto ip = parse_ip(address.str());
  if (type == "IPv4" || type == "IPv6") {
    if (!ip || ip->v6 != (type == "IPv6")) c.invalid(child, address, "must be a valid " + type + " address");
    if (ip) check_ordinary_ip(c, child, address);
  } else if (type == "FQDN") {
    std::string_view name = address.str();
    if (name.ends_with('.')) name.remove_suffix(1);
    if (!c.format(child, Node(name), Format::Subdomain)) return;
    if (name.find('.') == name.npos)
      c.invalid(child, address, "should be a domain with at least two segments separated by dots");
  }
}

void check_slice(Check& c, const Node& slice, const Node&) {
  const auto& endpoints = slice.get("endpoints").items();
  for (size_t i = 0; i < endpoints.size() && endpoints.size() <= 1000; ++i)
    for (size_t j = 0; j < endpoints[i].get("addresses").items().size(); ++j)
      check_endpoint_address(c, item("endpoints", i) + "." + item("addresses", j),
                             endpoints[i].get("addresses").items()[j], slice.get("addressType").str());
  const auto& ports = slice.get("ports").items();
  bool unnamed = false;
  for (size_t i = 0; i < ports.size(); ++i) {
    if (!ports[i].get("name").str().empty()) continue;
    if (unnamed) c.duplicate(item("ports", i) + ".name", Node(""));
    unnamed = true;
  }
}

constexpr TypeHook kHooks[] = {{"core/v1.ServiceSpec", check_service},
                               {"core/v1.EndpointSubset", check_subset},
                               {"discovery/v1.EndpointSlice", check_slice}};

}  // namespace

Hooks service_hooks() { return kHooks; }

}  // namespace k8lite::api::rules
