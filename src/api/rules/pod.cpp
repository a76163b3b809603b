// Pods and pod templates: the defaults that depend on other fields, and validation.
#include <set>

#include "api/rules/rules.h"
#include "base/quantity.h"
#include "base/strings.h"

namespace k8lite::api::rules {
namespace {

std::string at(const std::string& path, std::string_view list, size_t i) { return path + "." + std::string(list) + "[" + std::to_string(i) + "]"; }

// ":latest" or no tag at all means the image may have changed: pull it always.
bool moving_tag(const std::string& image) {
  if (image.find('@') != image.npos) return false;
  size_t slash = image.rfind('/'), colon = image.rfind(':');
  if (colon == image.npos || (slash != image.npos && colon < slash)) return true;
  return image.substr(colon + 1) == "latest";
}

void default_container(Node& c) {
  if (!c.get("imagePullPolicy").exists()) c.set("imagePullPolicy", moving_tag(c.get("image").str()) ? "Always" : "IfNotPresent");
  Node* resources = c.find("resources");
  if (!resources) return;
  for (const auto& [name, limit] : std::vector<Node::Member>(resources->get("limits").members()))
    if (!resources->get("requests").get(name).exists()) (*resources)["requests"].set(name, limit);
}

void validate_ports(const Node& container, const std::string& path, std::set<std::string>& host_ports, Causes& causes) {
  std::set<std::string> names;
  for (size_t i = 0; i < container.get("ports").items().size(); ++i) {
    const Node& p = container.get("ports").items()[i];
    std::string here = at(path, "ports", i);
    if (const Node& n = p.get("name"); n.exists() && !n.str().empty()) {
      if (n.str().size() > 15 || !is_dns_label(n.str())) invalid(causes, here + ".name", n, "must be no more than 15 characters and a lowercase RFC 1123 label with at least one letter");
      else if (!names.insert(n.str()).second) duplicate(causes, here + ".name", n);
    }
    int64_t port = p.get("containerPort").int_or(0);
    if (port == 0) required(causes, here + ".containerPort");
    else if (port < 1 || port > 65535) invalid(causes, here + ".containerPort", port, "must be between 1 and 65535, inclusive");
    if (const Node& h = p.get("hostPort"); h.exists() && h.int_or(0) != 0) {
      if (h.int_or(0) < 1 || h.int_or(0) > 65535) invalid(causes, here + ".hostPort", h, "must be between 1 and 65535, inclusive");
      else if (!host_ports.insert(p.get("protocol").str() + "/" + p.get("hostIP").str() + "/" + h.dump()).second) duplicate(causes, here + ".hostPort", Node(p.get("protocol").str() + "/" + p.get("hostIP").str() + "/" + h.dump()));
    }
    const Node& protocol = p.get("protocol");
    if (protocol.str() != "TCP" && protocol.str() != "UDP" && protocol.str() != "SCTP") unsupported(causes, here + ".protocol", protocol, {"SCTP", "TCP", "UDP"});
  }
}

void validate_env(const Node& container, const std::string& path, Causes& causes) {
  for (size_t i = 0; i < container.get("env").items().size(); ++i) {
    const Node& e = container.get("env").items()[i];
    std::string here = at(path, "env", i);
    const std::string& name = e.get("name").str();
    if (name.empty()) required(causes, here + ".name");
    else if (name.find('=') != name.npos) invalid(causes, here + ".name", e.get("name"), "a valid environment variable name must consist only of printable ASCII characters other than '='");
    const Node& from = e.get("valueFrom");
    if (!from.exists()) continue;
    if (!e.get("value").str().empty()) invalid(causes, here + ".valueFrom", Node(""), "may not be specified when `value` is not empty");
    if (from.size() == 0) invalid(causes, here + ".valueFrom", Node(""), "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`");
    if (from.size() > 1) invalid(causes, here + ".valueFrom", Node(""), "may not have more than one field specified at a time");
    for (const char* ref : {"configMapKeyRef", "secretKeyRef"}) {
      if (!from.get(ref).exists()) continue;
      if (from.get(ref).get("key").str().empty()) required(causes, here + ".valueFrom." + ref + ".key");
    }
  }
}

void validate_mounts(const Node& container, const std::string& path, const std::set<std::string>& volumes, Causes& causes) {
  std::set<std::string> paths;
  for (size_t i = 0; i < container.get("volumeMounts").items().size(); ++i) {
    const Node& m = container.get("volumeMounts").items()[i];
    std::string here = at(path, "volumeMounts", i);
    if (m.get("name").str().empty()) required(causes, here + ".name");
    else if (!volumes.count(m.get("name").str())) absent(causes, here + ".name", m.get("name"));
    if (m.get("mountPath").str().empty()) required(causes, here + ".mountPath");
    else if (!paths.insert(m.get("mountPath").str()).second) invalid(causes, here + ".mountPath", m.get("mountPath"), "must be unique");
    const std::string& sub = m.get("subPath").str();
    if (sub.starts_with("/")) invalid(causes, here + ".subPath", m.get("subPath"), "must be a relative path");
    for (auto part : split(sub, '/'))
      if (part == "..") invalid(causes, here + ".subPath", m.get("subPath"), "must not contain '..'");
  }
}

void validate_handler(const Node& handler, const std::string& path, bool probe, Causes& causes) {
  int n = 0;
  for (const char* kind : {"exec", "httpGet", "tcpSocket", "grpc", "sleep"}) n += handler.get(kind).exists();
  if (n == 0) required(causes, path, "must specify a handler type");
  if (n > 1) forbidden(causes, path, "may not specify more than 1 handler type");
  if (const Node& e = handler.get("exec"); e.exists() && e.get("command").size() == 0) required(causes, path + ".exec.command");
  for (const char* kind : {"httpGet", "tcpSocket", "grpc"}) {
    const Node& h = handler.get(kind);
    if (!h.exists()) continue;
    const Node& port = h.get("port");
    if (port.is_string() ? port.str().empty() || port.str().size() > 15 : port.int_or(0) < 1 || port.int_or(0) > 65535)
      invalid(causes, path + "." + kind + ".port", port.exists() ? port : Node(0), "must be between 1 and 65535, inclusive");
  }
  if (!probe) return;
  for (const char* f : {"initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"}) validate_non_negative(handler, f, path, causes);
}

void validate_resources(const Node& container, const std::string& path, Causes& causes) {
  const Node& r = container.get("resources");
  for (const char* list : {"limits", "requests"})
    for (const auto& [name, text] : r.get(list).members()) {
      auto q = Quantity::parse(text.str());
      if (q && q->is_negative()) invalid(causes, path + ".resources." + list + "[" + name + "]", text, "must be greater than or equal to 0");
    }
  for (const auto& [name, text] : r.get("requests").members()) {
    auto limit = Quantity::parse(r.get("limits").get(name).str()), request = Quantity::parse(text.str());
    if (limit && request && *request > *limit) invalid(causes, path + ".resources.requests", text, "must be less than or equal to " + name + " limit of " + limit->str());
  }
}

void validate_container(const Node& c, const std::string& path, bool init, const std::set<std::string>& volumes, std::set<std::string>& names,
                        std::set<std::string>& host_ports, Causes& causes) {
  const Node& name = c.get("name");
  if (name.str().empty()) required(causes, path + ".name");
  else if (!is_dns_label(name.str())) invalid(causes, path + ".name", name, std::string(kLabelWords));
  else if (!names.insert(name.str()).second) duplicate(causes, path + ".name", name);
  if (c.get("image").str().empty()) required(causes, path + ".image");
  else if (trim(c.get("image").str()) != c.get("image").str()) invalid(causes, path + ".image", c.get("image"), "must not have leading or trailing whitespace");
  const Node& pull = c.get("imagePullPolicy");
  if (pull.str() != "Always" && pull.str() != "IfNotPresent" && pull.str() != "Never") unsupported(causes, path + ".imagePullPolicy", pull, {"Always", "IfNotPresent", "Never"});
  validate_ports(c, path, host_ports, causes);
  validate_env(c, path, causes);
  validate_mounts(c, path, volumes, causes);
  validate_resources(c, path, causes);
  bool sidecar = c.get("restartPolicy").str() == "Always";
  for (const char* probe : {"livenessProbe", "readinessProbe", "startupProbe"}) {
    if (!c.get(probe).exists()) continue;
    if (init && !sidecar) forbidden(causes, path + "." + probe, "may not be set for init containers without restartPolicy=Always");
    else validate_handler(c.get(probe), path + "." + probe, true, causes);
    if (std::string_view(probe) != "readinessProbe" && c.get(probe).get("successThreshold").int_or(1) != 1)
      invalid(causes, path + "." + probe + ".successThreshold", c.get(probe).get("successThreshold"), "must be 1");
  }
  for (const char* hook : {"postStart", "preStop"})
    if (c.get("lifecycle").get(hook).exists()) validate_handler(c.get("lifecycle").get(hook), path + ".lifecycle." + hook, false, causes);
}

std::set<std::string> validate_volumes(const Node& spec, const std::string& path, Causes& causes) {
  std::set<std::string> names;
  for (size_t i = 0; i < spec.get("volumes").items().size(); ++i) {
    const Node& v = spec.get("volumes").items()[i];
    std::string here = at(path, "volumes", i);
    if (v.get("name").str().empty()) required(causes, here + ".name");
    else if (!is_dns_label(v.get("name").str())) invalid(causes, here + ".name", v.get("name"), std::string(kLabelWords));
    else if (!names.insert(v.get("name").str()).second) duplicate(causes, here + ".name", v.get("name"));
    if (v.size() > 2) forbidden(causes, here, "may not specify more than 1 volume type");
    if (v.get("hostPath").exists() && v.get("hostPath").get("path").str().empty()) required(causes, here + ".hostPath.path");
    if (v.get("secret").exists() && v.get("secret").get("secretName").str().empty()) required(causes, here + ".secret.secretName");
    if (v.get("configMap").exists() && v.get("configMap").get("name").str().empty()) required(causes, here + ".configMap.name");
    if (v.get("persistentVolumeClaim").exists() && v.get("persistentVolumeClaim").get("claimName").str().empty()) required(causes, here + ".persistentVolumeClaim.claimName");
  }
  return names;
}

void default_pod(Node& pod) {
  default_pod_spec(pod["spec"]);
  Node& status = pod["status"];
  if (!status.get("phase").exists()) status.set("phase", "Pending");
}

}  // namespace

void unsupported(Causes& c, std::string field, const Node& value, std::initializer_list<std::string_view> supported) {
  std::string list;
  for (auto s : supported) list += (list.empty() ? "" : ", ") + json::quoted(s);
  c.push_back({"FieldValueNotSupported", "Unsupported value: " + value.dump() + ": supported values: " + list, std::move(field)});
}

void validate_non_negative(const Node& parent, std::string_view field, const std::string& path, Causes& causes) {
  if (const Node& n = parent.get(field); n.exists() && n.int_or(0) < 0) invalid(causes, path + "." + std::string(field), n, "must be greater than or equal to 0");
}

void default_pod_spec(Node& spec) {
  if (!spec.is_object()) spec = Node::object();
  for (std::string_view list : kContainerLists)
    if (Node* containers = spec.find(list))
      for (Node& c : containers->items())
        if (c.is_object()) default_container(c);
  if (Node* volumes = spec.find("volumes"))
    for (Node& v : volumes->items())
      if (v.is_object() && v.size() == 1 && v.get("name").exists()) v.set("emptyDir", Node::object());
  if (!spec.get("enableServiceLinks").exists()) spec.set("enableServiceLinks", true);
  // The deprecated name of the service account field mirrors the real one.
  if (const Node& sa = spec.get("serviceAccountName"); sa.exists() && !sa.str().empty()) spec.set("serviceAccount", Node(sa.str()));
  else if (const Node& old = spec.get("serviceAccount"); old.exists() && !old.str().empty()) spec.set("serviceAccountName", Node(old.str()));
  if (spec.get("hostNetwork").bool_or(false))
    for (std::string_view list : kContainerLists)
      if (Node* containers = spec.find(list))
        for (Node& c : containers->items())
          if (Node* ports = c.find("ports"))
            for (Node& p : ports->items())
              if (p.get("hostPort").int_or(0) == 0) p.set("hostPort", p.get("containerPort"));
}

void validate_pod_spec(const Node& spec, const std::string& path, Causes& causes) {
  std::set<std::string> volumes = validate_volumes(spec, path, causes);
  std::set<std::string> names, host_ports;
  if (spec.get("containers").size() == 0) required(causes, path + ".containers");
  for (std::string_view list : kContainerLists)
    for (size_t i = 0; i < spec.get(list).items().size(); ++i)
      validate_container(spec.get(list).items()[i], at(path, list, i), list == "initContainers", volumes, names, host_ports, causes);
  const Node& restart = spec.get("restartPolicy");
  if (restart.str() != "Always" && restart.str() != "OnFailure" && restart.str() != "Never") unsupported(causes, path + ".restartPolicy", restart, {"Always", "OnFailure", "Never"});
  const std::string& dns = spec.get("dnsPolicy").str();
  if (dns != "ClusterFirst" && dns != "Default" && dns != "None" && dns != "ClusterFirstWithHostNet")
    unsupported(causes, path + ".dnsPolicy", spec.get("dnsPolicy"), {"ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"});
  validate_non_negative(spec, "terminationGracePeriodSeconds", path, causes);
  if (const Node& d = spec.get("activeDeadlineSeconds"); d.exists() && d.int_or(0) < 1) invalid(causes, path + ".activeDeadlineSeconds", d, "must be between 1 and 2147483647, inclusive");
  if (const Node& sa = spec.get("serviceAccountName"); sa.exists() && !sa.str().empty() && !is_dns_subdomain(sa.str()))
    invalid(causes, path + ".serviceAccountName", sa, "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character");
  if (const Node& h = spec.get("hostname"); h.exists() && !h.str().empty() && !is_dns_label(h.str())) invalid(causes, path + ".hostname", h, std::string(kLabelWords));
}

void validate_pod_update(const Node& pod, const Node& old, Causes& causes) {
  // What may change: images, activeDeadlineSeconds (down), tolerations (more), terminationGracePeriodSeconds (1 if it was negative), gates (fewer).
  auto frozen = [](const Node& p) {
    Node spec = p.get("spec");
    for (std::string_view list : {"containers", "initContainers"})
      if (Node* containers = spec.find(list))
        for (Node& c : containers->items()) c.erase("image");
    for (const char* f : {"activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "schedulingGates", "ephemeralContainers"}) spec.erase(f);
    return spec;
  };
  Node before = frozen(old);
  if (!old.get("spec").get("schedulingGates").empty())  // a gated pod's placement may still be narrowed
    for (const char* f : {"nodeSelector", "affinity"}) {
      before.erase(f);
      if (pod.get("spec").get(f).exists()) before.set(f, pod.get("spec").get(f));
    }
  if (frozen(pod) == before) return;
  forbidden(causes, "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
            "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)");
}

Rules pod_rules() {
  Rules r;
  r.defaults = default_pod;
  r.validate = [](const Node& pod, const Node* old, Causes& causes) {
    validate_pod_spec(pod.get("spec"), "spec", causes);
    if (old) validate_pod_update(pod, *old, causes);
  };
  return r;
}

}  // namespace k8lite::api::rules
