// networking.k8s.io: ingresses and their classes, network policies, service networks. (Kubernetes API reference,
// "Ingress", "NetworkPolicy".)
#include "api/rules/addresses.h"
#include "api/rules/check.h"
#include "base/strings.h"

namespace k8lite::api::rules {
namespace {

void check_host(Check& c, std::string_view child, const Node& host, bool may_be_address) {
  if (!may_be_address && parse_ip(host.str())) c.invalid(child, host, "must be a DNS name, not an IP address");
  if (host.str().find('*') == std::string::npos) return (void)c.format(child, host, Format::Subdomain);
  if (host.str().starts_with("*.") && fits(Format::Subdomain, std::string_view(host.str()).substr(2))) return;
  c.invalid(child, host,
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist "
            "of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric "
            "character (e.g. '*.example.com', regex used for validation is "
            "'\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')");
}

void check_backend(Check& c, const Node& b, const Node&) {
  const Node &resource = b.get("resource"), &service = b.get("service"), &port = service.get("port");
  const Node none("");
  if (resource.exists() && service.exists())
    return c.invalid("", none, "cannot set both resource and service backends");
  if (resource.exists()) return c.format("resource.apiGroup", resource.get("apiGroup"), Format::Subdomain), void();
  if (!service.exists()) return c.invalid("", none, "resource or service backend is required");
  bool name = !port.get("name").str().empty(), number = port.get("number").int_or(0) != 0;
  if (name && number)
    c.invalid("", none, "cannot set both port name & port number");
  else if (name)
    c.format("service.port.name", port.get("name"), Format::PortName);
  else if (number)
    c.within("service.port.number", port.get("number"), 1, 65535);
  else
    c.required("", "port name or number is required");
}

void check_path(Check& c, const Node& p, const Node&) {
  const Node& path = p.get("path");
  const std::string &text = path.str(), &type = p.get("pathType").str();
  bool exact = type == "Exact" || type == "Prefix";
  if (!exact && type != "ImplementationSpecific") return;
  if ((exact || !text.empty()) && !text.starts_with("/")) c.invalid("path", Node(text), "must be an absolute path");
  if (!exact) return;
  for (const char* bad : {"//", "/./", "/../", "%2f", "%2F"})
    if (text.find(bad) != text.npos) c.invalid("path", path, "must not contain '" + std::string(bad) + "'");
  for (const char* bad : {"/..", "/."})
    if (text.ends_with(bad)) c.invalid("path", path, "cannot end with '" + std::string(bad) + "'");
}

void check_ingress_spec(Check& c, const Node& spec, const Node&) {
  if (spec.get("rules").size() == 0 && !spec.get("defaultBackend").exists())
    c.invalid("", spec.get("rules").exists() ? spec.get("rules") : Node(),
              "either `defaultBackend` or `rules` must be specified");
  for (size_t i = 0; i < spec.get("rules").items().size(); ++i)
    if (const Node& host = spec.get("rules").items()[i].get("host"); given(host))
      check_host(c, item("rules", i) + ".host", host, false);
  for (size_t i = 0; i < spec.get("tls").items().size(); ++i) {
    const Node& hosts = spec.get("tls").items()[i].get("hosts");
    for (size_t j = 0; j < hosts.items().size(); ++j)
      check_host(c, item("tls", i) + "." + item("hosts", j), hosts.items()[j], true);
  }
  const Node &annotation = c.root.path("metadata.annotations").get("kubernetes.io/ingress.class"),
             &cls = spec.get("ingressClassName");
  if (!c.old && annotation.exists() && cls.exists() && !(annotation == cls))
    c.causes.push_back(
        {"FieldValueInvalid",
         "Invalid value: " + annotation.dump() + ": must match `ingressClassName` when both are specified",
         "annotations.kubernetes.io/ingress.class"});
}

void check_class_parameters(Check& c, const Node& p, const Node&) {
  const std::string& scope = p.get("scope").str();
  if (scope == "Namespace" && !p.get("namespace").exists())
    c.required("namespace", "`parameters.scope` is set to 'Namespace'");
  if (scope == "Cluster" && p.get("namespace").exists())
    c.forbidden("namespace", "`parameters.scope` is set to 'Cluster'");
}

void check_policy_port(Check& c, const Node& p, const Node&) {
  const Node &port = p.get("port"), &end = p.get("endPort");
  if (!port.exists()) {
    if (end.exists()) c.invalid("endPort", end, "may not be specified when `port` is not specified");
  } else if (port.is_string()) {
    if (end.exists()) c.invalid("endPort", end, "may not be specified when `port` is non-numeric");
    c.format("port", port, Format::PortName);
  } else {
    c.within("port", port, 1, 65535);
    if (end.exists() && end.int_or(0) < port.int_or(0))
      c.invalid("endPort", end, "must be greater than or equal to `port`");
    c.within("endPort", end, 1, 65535);
  }
}

void check_peer(Check& c, const Node& p, const Node&) {
  int n = p.get("podSelector").exists() + p.get("namespaceSelector").exists() + p.get("ipBlock").exists();
  if (n == 0) c.required("", "must specify a peer");
  if (n > 1 && p.get("ipBlock").exists()) c.forbidden("", "may not specify both ipBlock and another peer");
}

void check_block(Check& c, const Node& b, const Node&) {
  auto whole = parse_cidr(b.get("cidr").str());
  for (size_t i = 0; i < b.get("except").items().size(); ++i) {
    const Node& part = b.get("except").items()[i];
    if (!c.format(item("except", i), part, Format::Cidr) || !whole) continue;
    auto inner = parse_cidr(part.str());
    if (!whole->holds(*inner) || inner->bits <= whole->bits)
      c.invalid(item("except", i), part, "must be a strict subset of `cidr`");
  }
}

void check_policy(Check& c, const Node& spec, const Node&) {
  if (spec.get("policyTypes").size() > 2)
    c.invalid("policyTypes", spec.get("policyTypes"), "may not specify more than two policyTypes");
}

void check_ip_address(Check& c, const Node& o, const Node& before) {
  const Node& name = o.path("metadata.name");
  auto ip = parse_ip(name.str());
  if (!ip)
    c.invalid("metadata.name", name, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
  else if (ip->str() != name.str())
    c.invalid("metadata.name", name, "must be in canonical form (\"" + ip->str() + "\")");
  if (!o.path("spec.parentRef").exists()) c.required("spec.parentRef");
  if (c.old) c.unchanged("spec.parentRef", o.path("spec.parentRef"), before.path("spec.parentRef"));
}

void check_service_cidr(Check& c, const Node& spec, const Node& before) {
  const Node &now = spec.get("cidrs"), &was = before.get("cidrs");
  if (now.size() > 2) c.invalid("cidrs", now, "may only hold up to 2 values");
  if (now.size() == 2) {
    auto a = parse_cidr(now.items()[0].str()), b = parse_cidr(now.items()[1].str());
    if (a && b && a->base.v6 == b->base.v6)
      c.invalid("cidrs", now,
                "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64");
  }
  if (!c.old) return;
  bool grows = was.size() == 1 && now.size() == 2;
  if (was.size() != now.size() && !grows) return c.invalid("cidrs", now, "field is immutable");
  for (size_t i = 0; i < was.items().size(); ++i)
    if (!(was.items()[i] == now.items()[i])) c.invalid(item("cidrs", i), now.items()[i], "field is immutable");
}

constexpr TypeHook kHooks[] = {
    {"networking/v1.IngressBackend", check_backend},
    {"networking/v1.HTTPIngressPath", check_path},
    {"networking/v1.IngressSpec", check_ingress_spec},
    {"networking/v1.IngressClassParametersReference", check_class_parameters},
    {"networking/v1.NetworkPolicyPort", check_policy_port},
    {"networking/v1.NetworkPolicyPeer", check_peer},
    {"networking/v1.IPBlock", check_block},
    {"networking/v1.NetworkPolicySpec", check_policy},
    {"networking/v1.IPAddress", check_ip_address},
    {"networking/v1.ServiceCIDRSpec", check_service_cidr},
};

}  // namespace

Hooks network_hooks() { return kHooks; }

}  // namespace k8lite::api::rules
