// Containers, volumes, tolerations and pod templates: what descriptions of pods and of everything that makes pods have in common.
#include <algorithm>

#include "base/quantity.h"
#include "base/strings.h"
#include "kubectl/describe/describe.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

std::string ports_text(const Node& ports, std::string_view which) {
  std::string out;
  for (const Node& p : ports.items()) {
    out += (out.empty() ? "" : ", ") + std::to_string(p[which].int_or(0)) + "/" + p["protocol"].str_or("TCP");
    if (!p["name"].str().empty()) out += " (" + p["name"].str() + ")";
  }
  return out;
}

void put_ports(Page& page, std::string_view label, const std::string& text) {
  page.field(2, std::string(label) + (text.find(',') == std::string::npos ? "" : "s"), text.empty() ? "<none>" : text);
}

void put_words(Page& page, std::string_view label, const Node& words) {
  if (words.empty()) return;
  page.line(2, std::string(label) + ":");
  for (const Node& w : words.items())
    for (std::string_view l : split(w.str(), '\n')) page.line(3, l);
}

void put_state(Page& page, std::string_view label, const Node& state) {
  if (const Node* running = state.find("running")) {
    page.field(2, label, "Running");
    page.field(3, "Started", long_time(running->get("startedAt")));
  } else if (const Node* waiting = state.find("waiting")) {
    page.field(2, label, "Waiting");
    if (!waiting->get("reason").empty()) page.field(3, "Reason", waiting->get("reason").str());
  } else if (const Node* ended = state.find("terminated")) {
    page.field(2, label, "Terminated");
    if (!ended->get("reason").empty()) page.field(3, "Reason", ended->get("reason").str());
    if (!ended->get("message").empty()) page.field(3, "Message", ended->get("message").str());
    page.field(3, "Exit Code", std::to_string(ended->get("exitCode").int_or(0)));
    if (ended->get("signal").int_or(0) > 0) page.field(3, "Signal", std::to_string(ended->get("signal").int_or(0)));
    page.field(3, "Started", long_time(ended->get("startedAt")));
    page.field(3, "Finished", long_time(ended->get("finishedAt")));
  } else {
    page.field(2, label, "Waiting");
  }
}

void put_amounts(Page& page, std::string_view label, const Node& amounts) {
  if (amounts.empty()) return;
  page.line(2, std::string(label) + ":");
  for (const std::string& name : sorted_names(amounts)) page.field(3, name, value_text(amounts[name]));
}

std::string probe_text(const Node& p) {
  auto n = [&p](std::string_view name, int64_t otherwise) { return std::to_string(p[name].int_or(otherwise)); };
  std::string times = "delay=" + n("initialDelaySeconds", 0) + "s timeout=" + n("timeoutSeconds", 0) + "s period=" + n("periodSeconds", 0) + "s #success=" + n("successThreshold", 0) +
                      " #failure=" + n("failureThreshold", 0);
  if (const Node* exec = p.find("exec")) return "exec " + bracketed(exec->get("command")) + " " + times;
  if (const Node* get = p.find("httpGet")) {
    std::string path;
    for (char c : get->get("path").str()) path += c == '?' ? "%3F" : c == ' ' ? "%20" : c == '#' ? "%23" : std::string(1, c);
    if (!path.empty() && path[0] != '/') path.insert(0, 1, '/');
    return "http-get " + lower(get->get("scheme").str_or("HTTP")) + "://" + get->get("host").str() + ":" + value_text(get->get("port")) + path + " " + times;
  }
  if (const Node* tcp = p.find("tcpSocket")) return "tcp-socket " + tcp->get("host").str() + ":" + value_text(tcp->get("port")) + " " + times;
  if (const Node* grpc = p.find("grpc")) return "grpc <pod>:" + value_text(grpc->get("port")) + " " + grpc->get("service").str() + " " + times;
  return "unknown " + times;
}

// What a fieldRef stands for: kubectl looks up these two and leaves the rest to the kubelet.
std::string field_value(const Node& pod, const std::string& path) {
  return path == "metadata.name" || path == "metadata.namespace" ? pod.path(path).str() : "";
}

std::string resource_value(const Node& container, const Node& ref) {
  std::string resource = ref["resource"].str();
  size_t dot = resource.find('.');
  if (dot == std::string::npos) return "";
  std::string name = resource.substr(dot + 1);
  auto amount = Quantity::parse(value_text(container["resources"][resource.substr(0, dot)][name]));
  auto divisor = Quantity::parse(ref["divisor"].is_null() || !ref.find("divisor") ? "0" : value_text(ref["divisor"]));
  if (!amount) return resource.starts_with("limits.") && (name == "cpu" || name == "memory") ? "node allocatable" : "0";
  if (name == "cpu") {
    int64_t unit = divisor && !divisor->is_zero() ? divisor->milli_value() : 1000;
    return std::to_string((amount->milli_value() + unit - 1) / unit);
  }
  int64_t unit = divisor && !divisor->is_zero() ? divisor->value() : 1;
  return std::to_string((amount->value() + unit - 1) / unit);
}

std::string yes_no(const Node& flag) { return flag.bool_or(false) ? "true" : "false"; }

void put_environment(Page& page, const Node& c, const Node& pod) {
  if (!c["envFrom"].empty()) {
    page.line(2, "Environment Variables from:");
    for (const Node& e : c["envFrom"].items()) {
      bool secret = e.find("secretRef") != nullptr;
      const Node& ref = e[secret ? "secretRef" : "configMapRef"];
      std::string from = secret ? "Secret" : "ConfigMap";
      if (!e["prefix"].str().empty()) from += " with prefix '" + e["prefix"].str() + "'";
      page.line(3, ref["name"].str() + "\t" + from + "\tOptional: " + yes_no(ref["optional"]));
    }
  }
  page.line(2, c["env"].empty() ? "Environment:\t<none>" : "Environment:");
  for (const Node& e : c["env"].items()) {
    std::string name = e["name"].str();
    const Node& from = e["valueFrom"];
    if (!from.is_object()) {
      std::string lead = name + ":\t";
      for (std::string_view l : split(e["value"].str(), '\n')) {
        page.line(3, lead + std::string(l));
        lead = "\t";
      }
    } else if (const Node* f = from.find("fieldRef")) {
      std::string path = f->get("fieldPath").str();
      page.field(3, name, field_value(pod, path) + " (" + f->get("apiVersion").str_or("v1") + ":" + path + ")");
    } else if (const Node* r = from.find("resourceFieldRef")) {
      page.field(3, name, resource_value(c, *r) + " (" + r->get("resource").str() + ")");
    } else if (const Node* k = from.find("secretKeyRef")) {
      page.field(3, name, "<set to the key '" + k->get("key").str() + "' in secret '" + k->get("name").str() + "'>\tOptional: " + yes_no(k->get("optional")));
    } else if (const Node* m = from.find("configMapKeyRef")) {
      page.field(3, name, "<set to the key '" + m->get("key").str() + "' of config map '" + m->get("name").str() + "'>\tOptional: " + yes_no(m->get("optional")));
    }
  }
}

void put_mounts(Page& page, const Node& c) {
  page.line(2, c["volumeMounts"].empty() ? "Mounts:\t<none>" : "Mounts:");
  std::vector<Node> mounts = c["volumeMounts"].items();
  std::stable_sort(mounts.begin(), mounts.end(), [](const Node& a, const Node& b) { return a.get("mountPath").str() < b.get("mountPath").str(); });
  for (const Node& m : std::as_const(mounts)) {
    std::string flags = m["readOnly"].bool_or(false) ? "ro" : "rw";
    if (!m["subPath"].str().empty()) flags += ",path=" + json::quoted(m["subPath"].str());
    page.line(3, m["mountPath"].str() + " from " + m["name"].str() + " (" + flags + ")");
  }
  if (c["volumeDevices"].empty()) return;
  page.line(2, "Devices:");
  for (const Node& d : c["volumeDevices"].items()) page.line(3, d["devicePath"].str() + " from " + d["name"].str());
}

}  // namespace

void put_containers(Page& page, std::string_view title, const Node& containers, const Node& statuses, const Node& pod, std::string_view indent) {
  page.line(0, std::string(indent) + std::string(title) + (containers.empty() ? ": <none>" : ":"));
  for (const Node& c : containers.items()) {
    const Node* status = nullptr;
    for (const Node& st : statuses.items())
      if (st["name"] == c["name"]) status = &st;
    page.line(1, (indent.empty() ? "" : " ") + c["name"].str() + ":");
    if (status) page.field(2, "Container ID", status->get("containerID").str());
    page.field(2, "Image", c["image"].str());
    if (status) page.field(2, "Image ID", status->get("imageID").str());
    put_ports(page, "Port", ports_text(c["ports"], "containerPort"));
    put_ports(page, "Host Port", ports_text(c["ports"], "hostPort"));
    if (const Node& seccomp = c["securityContext"]["seccompProfile"]; seccomp.is_object()) {
      page.field(2, "SeccompProfile", seccomp["type"].str());
      if (seccomp["type"].str() == "Localhost") page.field(3, "LocalhostProfile", seccomp["localhostProfile"].str());
    }
    put_words(page, "Command", c["command"]);
    put_words(page, "Args", c["args"]);
    if (status) {
      put_state(page, "State", status->get("state"));
      if (status->get("lastState").find("terminated")) put_state(page, "Last State", status->get("lastState"));
      page.field(2, "Ready", true_false(status->get("ready")));
      page.field(2, "Restart Count", std::to_string(status->get("restartCount").int_or(0)));
    }
    put_amounts(page, "Limits", c["resources"]["limits"]);
    put_amounts(page, "Requests", c["resources"]["requests"]);
    if (c.find("livenessProbe")) page.field(2, "Liveness", probe_text(c["livenessProbe"]));
    if (c.find("readinessProbe")) page.field(2, "Readiness", probe_text(c["readinessProbe"]));
    if (c.find("startupProbe")) page.field(2, "Startup", probe_text(c["startupProbe"]));
    put_environment(page, c, pod);
    put_mounts(page, c);
  }
}

void put_tolerations(Page& page, const Node& tolerations, std::string_view indent) {
  std::string lead = std::string(indent) + "Tolerations:\t";
  if (tolerations.empty()) page.line(0, lead + "<none>");
  std::vector<Node> sorted = tolerations.items();
  std::stable_sort(sorted.begin(), sorted.end(), [](const Node& a, const Node& b) { return a.get("key").str() < b.get("key").str(); });
  for (const Node& t : std::as_const(sorted)) {
    std::string text = t["key"].str();
    if (!t["value"].str().empty()) text += "=" + t["value"].str();
    if (!t["effect"].str().empty()) text += ":" + t["effect"].str();
    if (t["operator"].str() == "Exists" && t["value"].str().empty()) text += text.empty() ? "op=Exists" : " op=Exists";
    if (t["tolerationSeconds"].is_number()) text += " for " + std::to_string(t["tolerationSeconds"].int_or(0)) + "s";
    page.line(0, lead + text);
    lead = std::string(indent) + "\t";
  }
}

void put_topology(Page& page, const Node& constraints, std::string_view indent) {
  std::string lead = std::string(indent) + "Topology Spread Constraints:\t";
  std::vector<Node> sorted = constraints.items();
  std::stable_sort(sorted.begin(), sorted.end(), [](const Node& a, const Node& b) { return a.get("topologyKey").str() < b.get("topologyKey").str(); });
  for (const Node& t : std::as_const(sorted)) {
    std::string text = t["topologyKey"].str() + ":" + t["whenUnsatisfiable"].str() + " when max skew " + std::to_string(t["maxSkew"].int_or(0)) + " is exceeded";
    if (t.find("labelSelector")) text += " for selector " + selector_of(t["labelSelector"]);
    page.line(0, lead + text);
    lead = std::string(indent) + "\t";
  }
}

void put_pod_template(Page& page, const Node& t) {
  page.line(0, "Pod Template:");
  if (!t.is_object()) {
    page.raw("<unset>");
    return;
  }
  put_labels(page, "Labels", t.path("metadata.labels"), "  ");
  if (!t.path("metadata.annotations").empty()) put_annotations(page, "Annotations", t.path("metadata.annotations"), "  ");
  const Node& spec = t["spec"];
  if (!spec["serviceAccountName"].empty()) page.line(0, "  Service Account:\t" + spec["serviceAccountName"].str());
  if (!spec["initContainers"].empty()) put_containers(page, "Init Containers", spec["initContainers"], Node(), Node(), "  ");
  put_containers(page, "Containers", spec["containers"], Node(), Node(), "  ");
  put_volumes(page, spec["volumes"], "  ");
  put_topology(page, spec["topologySpreadConstraints"], "  ");
  if (!spec["priorityClassName"].empty()) page.line(0, "  Priority Class Name:\t" + spec["priorityClassName"].str());
  put_labels(page, "Node-Selectors", spec["nodeSelector"], "  ");
  put_tolerations(page, spec["tolerations"], "  ");
}

}  // namespace k8lite::kubectl
