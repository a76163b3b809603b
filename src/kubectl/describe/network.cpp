// Services, endpoints and ingresses.
#include <algorithm>

#include "base/strings.h"
#include "kubectl/describe/describe.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

constexpr size_t kMostEndpoints = 3;

std::string with_port(const std::string& address, int64_t port) {
  bool six = address.find(':') != std::string::npos;
  return (six ? "[" + address + "]" : address) + ":" + std::to_string(port);
}

std::string or_none(std::string text, std::string_view none = "<none>") { return text.empty() ? std::string(none) : text; }

void put_port(Page& page, const Node& p, const std::vector<Node>& slices) {
  std::string name = p["name"].str(), protocol = p["protocol"].str_or("TCP"), shown = or_none(name, "<unset>");
  page.field(0, "Port", shown + "\t" + std::to_string(p["port"].int_or(0)) + "/" + protocol);
  page.field(0, "TargetPort", value_text(p["targetPort"]) + "/" + protocol);
  if (p["nodePort"].int_or(0) != 0) page.field(0, "NodePort", shown + "\t" + std::to_string(p["nodePort"].int_or(0)) + "/" + protocol);
  std::vector<std::string> names = {name};
  page.field(0, "Endpoints", endpoints_text(slices, &names));
}

std::string balancer_text(const Node& ingress) {
  std::vector<std::string> parts;
  for (const Node& i : ingress.items()) {
    for (const char* k : {"ip", "hostname"})
      if (!i[k].empty()) parts.push_back(i[k].str());
  }
  return join(parts, ",");
}

// "web:80 (10.0.0.1:8080)"
std::string backend_text(const Subject& s, const Node& backend) {
  if (const Node* r = backend.find("resource")) {
    std::string group = r->get("apiGroup").is_string() ? r->get("apiGroup").str() : "<none>";
    return "APIGroup: " + group + ", Kind: " + r->get("kind").str() + ", Name: " + r->get("name").str();
  }
  const Node& service = backend["service"];
  if (!service.is_object()) return "";
  const Node& port = service["port"];
  std::string name = service["name"].str(), word = port["name"].empty() ? std::to_string(port["number"].int_or(0)) : port["name"].str();
  std::string reached = "<error: services " + json::quoted(name) + " not found>";
  for (const Node& svc : s.all("services")) {
    if (svc.path("metadata.name").str() != name) continue;
    std::vector<std::string> names;
    for (const Node& p : svc.path("spec.ports").items())
      if ((!port["name"].empty() && p["name"] == port["name"]) || (port["name"].empty() && p["port"] == port["number"])) names.push_back(p["name"].str());
    if (names.empty()) names.emplace_back();
    reached = endpoints_text(slices_of(s, name), &names);
  }
  return name + ":" + word + " (" + reached + ")";
}

}  // namespace

std::vector<Node> slices_of(const Subject& s, const std::string& service) {
  std::vector<Node> out;
  for (const Node& slice : s.all("endpointslices"))
    if (slice.path("metadata.labels")["kubernetes.io/service-name"].str() == service) out.push_back(slice);
  return out;
}

std::string endpoints_text(const std::vector<Node>& slices, const std::vector<std::string>* port_names) {
  if (slices.empty()) return "<none>";
  std::vector<std::string> shown;
  size_t count = 0;
  auto take = [&](const Node& endpoint, const Node* port) {
    if (!endpoint["conditions"]["ready"].bool_or(true) || endpoint["addresses"].empty()) return;
    const std::string& address = endpoint["addresses"].items()[0].str();
    if (++count <= kMostEndpoints) shown.push_back(port ? with_port(address, port->get("port").int_or(0)) : address);
  };
  for (const Node& slice : slices) {
    for (const Node& p : slice["ports"].items()) {
      if (port_names && std::find(port_names->begin(), port_names->end(), p["name"].str()) == port_names->end()) continue;
      for (const Node& e : slice["endpoints"].items()) take(e, &p);
    }
    if (slice["ports"].empty())
      for (const Node& e : slice["endpoints"].items()) take(e, nullptr);
  }
  return join(shown, ",") + (count > shown.size() ? " + " + std::to_string(count - shown.size()) + " more..." : "");
}

void describe_service(Page& page, const Subject& s) {
  const Node &svc = s.object, &spec = svc["spec"];
  put_metadata(page, svc);
  page.field(0, "Selector", pairs_text(spec["selector"]));
  page.field(0, "Type", spec["type"].str());
  if (spec["ipFamilyPolicy"].is_string()) page.field(0, "IP Family Policy", spec["ipFamilyPolicy"].str());
  page.field(0, "IP Families", or_none(text_list(spec["ipFamilies"])));
  page.field(0, "IP", spec["clusterIP"].str());
  page.field(0, "IPs", or_none(text_list(spec["clusterIPs"])));
  if (!spec["externalIPs"].empty()) page.field(0, "External IPs", text_list(spec["externalIPs"]));
  if (!spec["loadBalancerIP"].empty()) page.field(0, "Desired LoadBalancer IP", spec["loadBalancerIP"].str());
  if (!spec["externalName"].empty()) page.field(0, "External Name", spec["externalName"].str());
  if (const Node& ingress = svc.path("status.loadBalancer.ingress"); !ingress.empty()) {
    std::vector<std::string> parts;
    for (const Node& i : ingress.items()) {
      std::string text = i["hostname"].empty() ? i["ip"].str() : i["hostname"].str();
      if (!i["ipMode"].empty()) text += " (" + i["ipMode"].str() + ")";
      parts.push_back(text);
    }
    page.field(0, "LoadBalancer Ingress", join(parts, ", "));
  }
  std::vector<Node> slices = slices_of(s, svc.path("metadata.name").str());
  for (const Node& p : spec["ports"].items()) put_port(page, p, slices);
  page.field(0, "Session Affinity", spec["sessionAffinity"].str());
  if (!spec["externalTrafficPolicy"].empty()) page.field(0, "External Traffic Policy", spec["externalTrafficPolicy"].str());
  if (spec["internalTrafficPolicy"].is_string()) page.field(0, "Internal Traffic Policy", spec["internalTrafficPolicy"].str());
  if (spec["trafficDistribution"].is_string()) page.field(0, "TrafficDistribution", spec["trafficDistribution"].str());
  if (spec["healthCheckNodePort"].int_or(0) != 0) page.field(0, "HealthCheck NodePort", std::to_string(spec["healthCheckNodePort"].int_or(0)));
  if (!spec["loadBalancerSourceRanges"].empty()) page.field(0, "LoadBalancer Source Ranges", text_list(spec["loadBalancerSourceRanges"]));
}

void describe_endpoints(Page& page, const Subject& s) {
  put_metadata(page, s.object);
  page.line(0, "Subsets:");
  for (const Node& subset : s.object["subsets"].items()) {
    for (const char* which : {"addresses", "notReadyAddresses"}) {
      std::string list;
      for (const Node& a : subset[which].items()) list += (list.empty() ? "" : ",") + a["ip"].str();
      page.field(1, which[0] == 'a' ? "Addresses" : "NotReadyAddresses", or_none(list));
    }
    if (!subset["ports"].empty()) {
      page.line(1, "Ports:");
      page.line(2, "Name\tPort\tProtocol");
      page.line(2, "----\t----\t--------");
      for (const Node& p : subset["ports"].items()) page.line(2, or_none(p["name"].str(), "<unset>") + "\t" + std::to_string(p["port"].int_or(0)) + "\t" + p["protocol"].str());
    }
    page.line(0, "");
  }
}

void describe_endpoint_slice(Page& page, const Subject& s) {
  const Node& slice = s.object;
  put_metadata(page, slice);
  page.field(0, "AddressType", slice["addressType"].str());
  page.line(0, slice["ports"].empty() ? "Ports: <unset>" : "Ports:");
  if (!slice["ports"].empty()) {
    page.line(1, "Name\tPort\tProtocol");
    page.line(1, "----\t----\t--------");
    for (const Node& p : slice["ports"].items())
      page.line(1, or_none(p["name"].str(), "<unset>") + "\t" + (p["port"].is_number() ? std::to_string(p["port"].int_or(0)) : "<unset>") + "\t" + p["protocol"].str());
  }
  page.line(0, slice["endpoints"].empty() ? "Endpoints: <none>" : "Endpoints:");
  for (const Node& e : slice["endpoints"].items()) {
    page.field(1, "- Addresses", text_list(e["addresses"]));
    page.line(2, "Conditions:");
    const Node& ready = e["conditions"]["ready"];
    page.field(3, "Ready", ready.is_bool() ? ready.dump() : "<unset>");
    page.field(2, "Hostname", e["hostname"].is_string() ? e["hostname"].str() : "<unset>");
    if (e["targetRef"].is_object()) page.field(2, "TargetRef", e["targetRef"]["kind"].str() + "/" + e["targetRef"]["name"].str());
    page.field(2, "NodeName", e["nodeName"].is_string() ? e["nodeName"].str() : "<unset>");
    page.field(2, "Zone", e["zone"].is_string() ? e["zone"].str() : "<unset>");
  }
}

void describe_ingress(Page& page, const Subject& s) {
  const Node &ing = s.object, &spec = ing["spec"];
  page.field(0, "Name", ing.path("metadata.name").str());
  put_labels(page, "Labels", ing.path("metadata.labels"));
  page.field(0, "Namespace", ing.path("metadata.namespace").str());
  page.field(0, "Address", balancer_text(ing.path("status.loadBalancer.ingress")));
  page.field(0, "Ingress Class", spec["ingressClassName"].is_string() ? spec["ingressClassName"].str() : "<none>");
  const Node* otherwise = spec.find("defaultBackend");
  page.field(0, "Default backend", otherwise ? backend_text(s, *otherwise) : "<default>");
  if (!spec["tls"].empty()) {
    page.line(0, "TLS:");
    for (const Node& t : spec["tls"].items())
      page.line(1, t["secretName"].str().empty() ? "SNI routes " + text_list(t["hosts"]) : t["secretName"].str() + " terminates " + text_list(t["hosts"]));
  }
  page.line(0, "Rules:\n  Host\tPath\tBackends");
  page.line(1, "----\t----\t--------");
  size_t rules = 0;
  for (const Node& r : spec["rules"].items()) {
    if (!r["http"].is_object()) continue;
    ++rules;
    page.line(1, or_none(r["host"].str(), "*") + "\t");
    for (const Node& p : r["http"]["paths"].items()) page.line(1, "\t" + p["path"].str() + " \t" + backend_text(s, p["backend"]));
  }
  if (rules == 0) page.line(1, "*\t*\t" + (otherwise ? backend_text(s, *otherwise) : std::string("<default>")));
  put_annotations(page, "Annotations", ing.path("metadata.annotations"));
}

void describe_ingress_class(Page& page, const Subject& s) {
  page.field(0, "Name", s.object.path("metadata.name").str());
  put_labels(page, "Labels", s.object.path("metadata.labels"));
  put_annotations(page, "Annotations", s.object.path("metadata.annotations"));
  page.field(0, "Controller", s.object.path("spec.controller").str());
  const Node& p = s.object.path("spec.parameters");
  if (!p.is_object()) return;
  page.line(0, "Parameters:");
  if (p["apiGroup"].is_string()) page.field(1, "APIGroup", p["apiGroup"].str());
  page.field(1, "Kind", p["kind"].str());
  page.field(1, "Name", p["name"].str());
}

}  // namespace k8lite::kubectl
