#include "kubelet/environment.h"

#include "base/quantity.h"
#include "base/strings.h"
#include "kubelet/pod_plan.h"

namespace k8lite::kubelet {
namespace {

using json::Doc;
using json::Value;

class Builder {
 public:
  explicit Builder(const EnvironmentInput& in) : in_(in) {}

  Result<> from_sources() {
    for (Value source : in_.container["envFrom"].items()) {
      std::string prefix = source["prefix"].str();
      for (auto [field, resource, secret] : {std::tuple{"configMapRef", "configmaps", false}, {"secretRef", "secrets", true}}) {
        Value ref = source[field];
        if (!ref) continue;
        auto object = in_.get(resource, ref["name"].str());
        if (!object.ok() && object.status().is(Reason::NotFound) && ref["optional"].bool_or(false)) continue;
        if (!object.ok()) return object.status();
        for (auto m : (*object)["data"].members()) set(prefix + m.key(), decoded(m.value, secret));
      }
    }
    return {};
  }

  Result<> literals() {
    for (Value e : in_.container["env"].items()) {
      std::string name = e["name"].str();
      if (!e["valueFrom"]) {
        set(name, expand(e["value"].str(), values_));
        continue;
      }
      TRY(auto value, referenced(e["valueFrom"]));
      if (value) set(name, *value);
    }
    return {};
  }

  void set(const std::string& name, std::string value) {
    if (!values_.count(name)) order_.push_back(name);
    values_[name] = std::move(value);
  }

  void services() {
    bool links = in_.pod.path("spec.enableServiceLinks").bool_or(true);
    std::string ns = in_.pod.path("metadata.namespace").str();
    for (const Doc& s : in_.services) {
      bool kubernetes = s.path("metadata.name").equals("kubernetes") && s.path("metadata.namespace").equals("default");
      std::string ip = s.path("spec.clusterIP").str();
      if (ip.empty() || ip == "None" || (!kubernetes && (!links || s.path("metadata.namespace").str() != ns))) continue;
      service(s, ip);
    }
  }

  std::vector<std::pair<std::string, std::string>> take() {
    std::vector<std::pair<std::string, std::string>> out;
    for (const auto& n : order_) out.emplace_back(n, values_[n]);
    return out;
  }

 private:
  static std::string decoded(Value v, bool secret) { return secret ? base64_decode(v.str()).value_or("") : v.str(); }

  void service(const Doc& s, const std::string& ip) {
    std::string base;
    for (char c : s.path("metadata.name").str()) base += c == '-' || c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    bool first = true;
    for (Value p : s.path("spec.ports").items()) {
      std::string port = std::to_string(p["port"].int_or(0)), protocol = p["protocol"].str("TCP"), lower_protocol = lower(protocol), name;
      for (char c : p["name"].str()) name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      if (first) {
        set(base + "_SERVICE_HOST", ip);
        set(base + "_SERVICE_PORT", port);
        set(base + "_PORT", lower_protocol + "://" + ip + ":" + port);
        first = false;
      }
      if (!name.empty()) set(base + "_SERVICE_PORT_" + name, port);
      std::string prefix = base + "_PORT_" + port + "_" + protocol;
      set(prefix, lower_protocol + "://" + ip + ":" + port);
      set(prefix + "_PROTO", lower_protocol);
      set(prefix + "_PORT", port);
      set(prefix + "_ADDR", ip);
    }
  }

  Result<std::optional<std::string>> referenced(Value from) {
    using R = std::optional<std::string>;
    if (Value f = from["fieldRef"]) {
      TRY(std::string v, field_value(in_, f["fieldPath"].str()));
      return R(v);
    }
    if (Value f = from["resourceFieldRef"]) {
      Value container = f["containerName"].empty() ? in_.container : find_container(in_.pod, f["containerName"].str());
      TRY(std::string v, resource_value(in_, container, f["resource"].str(), f["divisor"].str()));
      return R(v);
    }
    for (auto [field, resource, kind, secret] : {std::tuple{"configMapKeyRef", "configmaps", "ConfigMap", false}, {"secretKeyRef", "secrets", "Secret", true}}) {
      Value ref = from[field];
      if (!ref) continue;
      bool optional = ref["optional"].bool_or(false);
      auto object = in_.get(resource, ref["name"].str());
      if (!object.ok() && object.status().is(Reason::NotFound) && optional) return R();
      if (!object.ok()) return object.status();
      Value v = (*object)["data"][ref["key"].str()];
      if (v) return R(decoded(v, secret));
      if (optional) return R();
      return not_found("couldn't find key " + ref["key"].str() + " in " + kind + " " + in_.pod.path("metadata.namespace").str() + "/" + ref["name"].str());
    }
    return bad_request("env: a valueFrom without a source");
  }

  const EnvironmentInput& in_;
  std::vector<std::string> order_;
  std::map<std::string, std::string> values_;
};

}  // namespace

std::string expand(const std::string& text, const std::map<std::string, std::string>& values) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 >= text.size()) {
      out += text[i];
      continue;
    }
    if (text[i + 1] == '$') {
      out += '$';
      ++i;
      continue;
    }
    size_t close = text[i + 1] == '(' ? text.find(')', i + 2) : text.npos;
    if (close == text.npos) {
      out += text[i];
      continue;
    }
    std::string name = text.substr(i + 2, close - i - 2);
    auto it = values.find(name);
    out += it != values.end() ? it->second : text.substr(i, close - i + 1);
    i = close;
  }
  return out;
}

Result<std::string> field_value(const EnvironmentInput& in, const std::string& path) {
  Value meta = in.pod["metadata"];
  if (path == "metadata.name") return meta["name"].str();
  if (path == "metadata.namespace") return meta["namespace"].str();
  if (path == "metadata.uid") return meta["uid"].str();
  if (path == "spec.nodeName") return in.node_name;
  if (path == "spec.serviceAccountName") return in.pod.path("spec.serviceAccountName").str();
  if (path == "status.hostIP" || path == "status.hostIPs") return in.host_ip;
  if (path == "status.podIP" || path == "status.podIPs") return in.pod_ip;
  for (std::string_view map : {"labels", "annotations"}) {
    std::string prefix = "metadata." + std::string(map);
    if (!path.starts_with(prefix)) continue;
    if (path == prefix) {
      std::map<std::string, std::string> sorted;
      for (auto m : meta[map].members()) sorted[m.key()] = m.value.str();
      std::string out;
      for (const auto& [k, v] : sorted) out += k + "=" + json::quoted(v) + "\n";
      return out;
    }
    size_t open = path.find("['"), close = path.rfind("']");
    if (open != path.npos && close != path.npos && close > open) return meta[map][path.substr(open + 2, close - open - 2)].str();
  }
  return bad_request("unsupported fieldPath: " + path);
}

Result<std::string> resource_value(const EnvironmentInput& in, Value container, const std::string& resource, const std::string& divisor_text) {
  size_t dot = resource.find('.');
  std::string list = resource.substr(0, dot), name = dot == resource.npos ? "" : resource.substr(dot + 1);
  if ((list != "limits" && list != "requests") || name.empty()) return bad_request("unsupported container resource : " + resource);
  auto q = Quantity::parse(container["resources"][list][name].str());
  if (!q && list == "limits") q = name == "cpu" ? Quantity::milli(in.node_cpu_milli) : name == "memory" ? Quantity::of(in.node_memory) : Quantity();
  if (!q) q = Quantity();
  auto divisor = Quantity::parse(divisor_text);
  double d = divisor && !divisor->is_zero() ? divisor->as_double() : 1;
  double v = q->as_double() / d;
  auto whole = static_cast<int64_t>(v);
  return std::to_string(static_cast<double>(whole) < v ? whole + 1 : whole);
}

Result<std::vector<std::pair<std::string, std::string>>> container_environment(const EnvironmentInput& in) {
  Builder b(in);
  b.services();
  TRY_OK(b.from_sources());
  TRY_OK(b.literals());
  return b.take();
}

}  // namespace k8lite::kubelet
