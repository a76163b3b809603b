// Containers: ports, environment, mounts, resources, probes' handlers, security contexts; and the parts of volumes that
// depend on each other.
#include <set>

#include "api/rules/check.h"
#include "base/quantity.h"
#include "base/strings.h"

namespace k8lite::api::rules {
namespace {

constexpr std::string_view kEnvFields =
    "metadata.name,metadata.namespace,metadata.uid,spec.nodeName,spec.serviceAccountName,status.hostIP,status.hostIPs,"
    "status.podIP,status.podIPs";
constexpr std::string_view kVolumeFields =
    "metadata.annotations,metadata.labels,metadata.name,metadata.namespace,metadata.uid";
constexpr std::string_view kResources =
    "limits.cpu,limits.ephemeral-storage,limits.memory,requests.cpu,requests.ephemeral-storage,requests.memory";
constexpr std::string_view kSizes = "1,1k,1M,1G,1T,1P,1E,1Ki,1Mi,1Gi,1Ti,1Pi,1Ei";

void check_port(Check& c, const Node& p, const Node&) {
  int64_t port = p.get("containerPort").int_or(0);
  if (port == 0)
    c.required("containerPort");
  else
    c.within("containerPort", p.get("containerPort"), 1, 65535);
  if (p.get("hostPort").int_or(0) != 0) c.within("hostPort", p.get("hostPort"), 1, 65535);
}

// fieldRef of an environment variable or a downward API file; "metadata.labels['key']" names one of a map.
void check_field_ref(Check& c, std::string_view child, const Node& ref, std::string_view known) {
  const Node& path = ref.get("fieldPath");
  std::string here(child);
  if (ref.get("apiVersion").str().empty()) return c.required(here + ".apiVersion");
  if (path.str().empty()) return c.required(here + ".fieldPath");
  std::string_view text = path.str();
  size_t open = text.find("['");
  if (open != text.npos && text.ends_with("']")) {
    std::string_view map = text.substr(0, open), key = text.substr(open + 2, text.size() - open - 4);
    if (map == "metadata.annotations")
      c.format(here, Node(lower(key)), Format::Qualified);
    else if (map == "metadata.labels")
      c.format(here, Node(key), Format::Qualified);
    else
      c.invalid(here, Node(map), "does not support subscript");
    return;
  }
  if (listed(text, known)) return;
  bool field =
      listed(text, kEnvFields) || listed(text, kVolumeFields) ||
      listed(text, "spec.restartPolicy,spec.schedulerName,spec.hostNetwork,status.phase,status.nominatedNodeName");
  if (field)
    c.unsupported(here + ".fieldPath", path, known);
  else
    c.invalid(here + ".fieldPath", path, "error converting fieldPath: field label not supported: " + std::string(text));
}

void check_resource_ref(Check& c, std::string_view child, const Node& ref, bool volume) {
  std::string here(child);
  const Node& resource = ref.get("resource");
  const std::string& name = resource.str();
  bool huge = name.starts_with("requests.hugepages-") || name.starts_with("limits.hugepages-");
  if (volume && ref.get("containerName").str().empty())
    c.required(here + ".containerName");
  else if (name.empty())
    c.required(here + ".resource");
  else if (!huge && !listed(name, kResources))
    c.unsupported(here + ".resource", resource, kResources);
  auto divisor = Quantity::parse(ref.get("divisor").str());
  if (!divisor || divisor->is_zero()) return;
  auto sizes = [&](const char* what) {
    if (!listed(divisor->str(), kSizes))
      c.invalid(
          here + ".divisor", resource,
          "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the " +
              std::string(what) + " resource");
  };
  if (name.ends_with(".cpu") && !listed(divisor->str(), "1m,1"))
    c.invalid(here + ".divisor", resource, "only divisor's values 1m and 1 are supported with the cpu resource");
  if (name.ends_with(".memory")) sizes("memory");
  if (name.ends_with(".ephemeral-storage")) sizes("local ephemeral storage");
  if (huge) sizes("hugepages");
}

void check_env(Check& c, const Node& env, const Node&) {
  const Node& from = env.get("valueFrom");
  if (!from.exists()) return;
  if (from.get("fieldRef").exists()) check_field_ref(c, "valueFrom.fieldRef", from.get("fieldRef"), kEnvFields);
  if (from.get("resourceFieldRef").exists())
    check_resource_ref(c, "valueFrom.resourceFieldRef", from.get("resourceFieldRef"), false);
  const Node none("");
  if (from.size() == 0)
    c.invalid("valueFrom", none,
              "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`");
  else if (!env.get("value").str().empty())
    c.invalid("valueFrom", none, "may not be specified when `value` is not empty");
  else if (from.size() > 1)
    c.invalid("valueFrom", none, "may not have more than one field specified at a time");
}

// ---- mounts ----

const Node& volume_named(const Check& c, const std::string& name) {
  auto found = c.volumes.find(name);
  return found == c.volumes.end() ? nothing() : *found->second;
}

std::set<std::string> texts_of(const Node& list, std::string_view field) {
  std::set<std::string> out;
  for (const Node& n : list.items())
    if (!n.get(field).str().empty()) out.insert(n.get(field).str());
  return out;
}

struct Devices {
  std::set<std::string> names, paths;
};

void check_mount(Check& c, const Node& container, const Node& m, const Devices& devices, std::string_view here) {
  std::string at(here);
  const Node &propagation = m.get("mountPropagation"), &recursive = m.get("recursiveReadOnly");
  if (devices.names.count(m.get("name").str()))
    c.invalid(at + ".name", m.get("name"), "must not already exist in volumeDevices");
  if (devices.paths.count(m.get("mountPath").str()))
    c.invalid(at + ".mountPath", m.get("mountPath"), "must not already exist as a path in volumeDevices");
  // Upstream leaves the index out of these paths.
  for (const char* field : {"subPath", "subPathExpr"}) {
    if (m.get(field).str().empty()) continue;
    c.format("volumeMounts." + std::string(field), m.get(field), Format::RelativePath);
  }
  if (!m.get("subPath").str().empty() && !m.get("subPathExpr").str().empty())
    c.invalid(at + ".subPathExpr", m.get("subPathExpr"), "subPathExpr and subPath are mutually exclusive");
  c.one_of("volumeMounts.mountPropagation", propagation, "Bidirectional,HostToContainer,None");
  if (propagation.str() == "Bidirectional" && !container.path("securityContext.privileged").bool_or(false))
    c.forbidden("volumeMounts.mountPropagation",
                "Bidirectional mount propagation is available only to privileged containers");
  c.one_of("volumeMounts.recursiveReadOnly", recursive, "Disabled,Enabled,IfPossible");
  if (recursive.str() != "Enabled" && recursive.str() != "IfPossible") return;
  if (!m.get("readOnly").bool_or(false))
    c.forbidden("volumeMounts.recursiveReadOnly", "may only be specified when readOnly is true");
  if (propagation.exists() && propagation.str() != "None")
    c.forbidden("volumeMounts.recursiveReadOnly",
                "may only be specified when mountPropagation is None or not specified");
}

void check_mounts(Check& c, const Node& container) {
  std::set<std::string> paths;
  Devices devices{texts_of(container.get("volumeDevices"), "name"),
                  texts_of(container.get("volumeDevices"), "devicePath")};
  const auto& mounts = container.get("volumeMounts").items();
  for (size_t i = 0; i < mounts.size(); ++i) {
    std::string here = item("volumeMounts", i);
    const std::string& name = mounts[i].get("name").str();
    if (name.empty()) c.required(here + ".name");
    if (!volume_named(c, name).exists()) c.absent(here + ".name", Node(name));
    if (mounts[i].get("mountPath").str().empty()) c.required(here + ".mountPath");
    if (!paths.insert(mounts[i].get("mountPath").str()).second)
      c.invalid(here + ".mountPath", mounts[i].get("mountPath"), "must be unique");
    check_mount(c, container, mounts[i], devices, here);
  }
}

void check_devices(Check& c, const Node& container) {
  std::set<std::string> names, paths, mounted = texts_of(container.get("volumeMounts"), "name"),
                                      mount_paths = texts_of(container.get("volumeMounts"), "mountPath");
  const auto& devices = container.get("volumeDevices").items();
  for (size_t i = 0; i < devices.size(); ++i) {
    std::string here = item("volumeDevices", i);
    const Node &name = devices[i].get("name"), &path = devices[i].get("devicePath"),
               &volume = volume_named(c, name.str());
    if (name.str().empty())
      c.required(here + ".name");
    else if (!names.insert(name.str()).second)
      c.invalid(here + ".name", name, "must be unique");
    if (!volume.exists())
      c.absent(here + ".name", Node(name.str()));
    else if (!volume.get("persistentVolumeClaim").exists() && !volume.get("ephemeral").exists())
      c.invalid(here + ".name", name,
                "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode");
    if (path.str().empty())
      c.required(here + ".devicePath");
    else if (!paths.insert(path.str()).second)
      c.invalid(here + ".devicePath", path, "must be unique");
    if (!fits(Format::NoBacksteps, path.str()))
      c.invalid(here + ".devicePath", path, "can not contain backsteps ('..')");
    if (mounted.count(name.str())) c.invalid(here + ".name", name, "must not already exist in volumeMounts");
    if (mount_paths.count(path.str()))
      c.invalid(here + ".devicePath", path, "must not already exist as a path in volumeMounts");
  }
}

void check_container(Check& c, const Node& container, const Node&) {
  for (const Node& from : container.get("envFrom").items()) {
    int n = from.get("configMapRef").exists() + from.get("secretRef").exists();
    if (n == 0) c.invalid("envFrom", Node(""), "must specify one of: `configMapRef` or `secretRef`");
    if (n > 1) c.invalid("envFrom", Node(""), "may not have more than one field specified at a time");
  }
  check_mounts(c, container);
  check_devices(c, container);
  std::set<std::string> resized;
  for (size_t i = 0; i < container.get("resizePolicy").items().size(); ++i) {
    const Node& p = container.get("resizePolicy").items()[i];
    const Node &name = p.get("resourceName"), &policy = p.get("restartPolicy");
    if (!resized.insert(name.str()).second) c.duplicate(item("resizePolicy", i), name);
    if (name.str().empty() || policy.str().empty()) c.required("resizePolicy");
    if (!name.str().empty()) c.one_of("resizePolicy", name, "cpu,memory");
    if (!policy.str().empty()) c.one_of("resizePolicy", policy, "NotRequired,RestartContainer");
    if (c.pod && c.pod->get("restartPolicy").str() == "Never" && policy.str() != "NotRequired")
      c.invalid("resizePolicy", policy, "must be 'NotRequired' when `restartPolicy` is 'Never'");
  }
}

// ---- resources ----

void check_claims(Check& c, const Node& claims) {
  std::set<std::string> seen, known;
  if (c.pod)
    for (const Node& k : c.pod->get("resourceClaims").items()) known.insert(k.get("name").str());
  for (size_t i = 0; i < claims.items().size(); ++i) {
    const Node& name = claims.items()[i].get("name");
    const std::string& request = claims.items()[i].get("request").str();
    std::string here = item("claims", i), key = request.empty() ? name.str() : name.str() + "/" + request;
    if (name.str().empty()) {
      c.required(here);
      continue;
    }
    if (!request.empty()) c.format(here + ".request", claims.items()[i].get("request"), Format::Label);
    if (seen.count(name.str()) || !seen.insert(key).second)
      c.duplicate(here, seen.count(name.str()) ? name : Node(key));
    if (known.count(name.str())) continue;
    std::string why = "must be one of the names in pod.spec.resourceClaims";
    if (known.empty())
      why += " which is empty";
    else
      why += ": " + join({known.begin(), known.end()}, ", ");
    c.absent(here, name, why);
  }
}

void check_resources(Check& c, const Node& r, const Node&) {
  const Node& limits = r.get("limits");
  bool huge = false, compute = false;
  for (const char* list : {"limits", "requests"})
    for (const auto& [name, amount] : r.get(list).members()) {
      check_resource(c, key_of(list, name), name, amount, ResourceUse::Container);
      huge |= name.starts_with("hugepages-");
      compute |= name == "cpu" || name == "memory";
    }
  for (const auto& [name, amount] : r.get("requests").members()) {
    auto limit = Quantity::parse(limits.get(name).str()), request = Quantity::parse(amount.str());
    if (!limits.get(name).exists()) {
      if (!overcommits(name)) c.required("limits", "Limit must be set for non overcommitable resources");
    } else if (limit && request && *request != *limit && !overcommits(name)) {
      c.invalid("requests", amount, "must be equal to " + name + " limit of " + limit->str());
    } else if (limit && request && *request > *limit) {
      c.invalid("requests", amount, "must be less than or equal to " + name + " limit of " + limit->str());
    }
  }
  if (huge && !compute) c.forbidden("", "HugePages require cpu or memory");
  check_claims(c, r.get("claims"));
}

// ---- handlers, security ----

void check_port_or_name(Check& c, std::string_view child, const Node& port) {
  if (port.is_string())
    c.format(child, port, Format::PortName);
  else
    c.within(child, Node(port.int_or(0)), 1, 65535);
}

void check_http_get(Check& c, const Node& http, const Node&) {
  check_port_or_name(c, "port", http.get("port"));
  for (const Node& header : http.get("httpHeaders").items())
    c.format("httpHeaders", Node(header.get("name").str()), Format::HttpHeader);
}
void check_tcp_socket(Check& c, const Node& tcp, const Node&) { check_port_or_name(c, "port", tcp.get("port")); }

void check_security(Check& c, const Node& s, const Node&) {
  if (s.get("procMount").str() == "Unmasked" && c.pod && c.pod->get("hostUsers").bool_or(true))
    c.invalid("procMount", s.get("procMount"), "`hostUsers` must be false to use `Unmasked`");
  if (s.get("allowPrivilegeEscalation").bool_or(true)) return;
  if (s.get("privileged").bool_or(false))
    c.invalid("", s, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
  for (const Node& cap : s.path("capabilities.add").items())
    if (cap.str() == "CAP_SYS_ADMIN")
      c.invalid("", s, "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
}

void check_seccomp(Check& c, const Node& p, const Node&) {
  const Node& local = p.get("localhostProfile");
  if (p.get("type").str() != "Localhost") {
    if (local.exists()) c.invalid("localhostProfile", p, "can only be set when seccomp type is Localhost");
  } else if (!local.exists()) {
    c.required("localhostProfile", "must be set when seccomp type is Localhost");
  } else {
    c.format("localhostProfile", local, Format::RelativePath);
  }
}

void check_app_armor(Check& c, const Node& p, const Node&) {
  const Node& local = p.get("localhostProfile");
  const std::string& type = p.get("type").str();
  if (type == "Localhost") {
    if (trim(local.str()).empty() && trim(local.str()) == local.str())
      c.required("localhostProfile", "must be set when AppArmor type is Localhost");
    else if (trim(local.str()) != local.str())
      c.invalid("localhostProfile", local, "must not be padded with whitespace");
    if (local.str().size() > 4095) c.too_long("localhostProfile", 4095);
  } else if (local.exists() && (type == "RuntimeDefault" || type == "Unconfined")) {
    c.invalid("localhostProfile", local, "can only be set when AppArmor type is Localhost");
  }
}

void check_windows(Check& c, const Node& w, const Node&) {
  for (const char* f : {"gmsaCredentialSpec", "runAsUserName"})
    if (w.get(f).is_string() && w.get(f).str().empty())
      c.invalid(f, w.get(f), std::string(f) + " cannot be an empty string");
  c.format("gmsaCredentialSpecName", w.get("gmsaCredentialSpecName"), Format::Subdomain);
  if (w.get("gmsaCredentialSpec").str().size() > 64 * 1024)
    c.invalid("gmsaCredentialSpec", w.get("gmsaCredentialSpec"), "gmsaCredentialSpec size must be under 64 KiB");
  if (split(w.get("runAsUserName").str(), '\\').size() > 2)
    c.invalid("runAsUserName", w.get("runAsUserName"), "runAsUserName cannot contain more than one backslash");
}

// ---- volumes ----

void check_file(Check& c, const Node& file) {
  const Node &field = file.get("fieldRef"), &resource = file.get("resourceFieldRef"), &mode = file.get("mode");
  if (file.get("path").str().empty()) c.required("path");
  c.format("path", file.get("path"), Format::LocalPath);
  if (field.exists()) {
    check_field_ref(c, "fieldRef", field, kVolumeFields);
    if (resource.exists())
      c.invalid("", Node("resource"), "fieldRef and resourceFieldRef can not be specified simultaneously");
  } else if (resource.exists()) {
    check_resource_ref(c, "resourceFieldRef", resource, true);
  } else {
    c.required("", "one of fieldRef and resourceFieldRef is required");
  }
  if (mode.exists() && (mode.int_or(0) < 0 || mode.int_or(0) > 0777))
    c.invalid("mode", mode, "must be a number between 0 and 0777 (octal), both inclusive");
}

// Upstream reports files at the volume itself.
void check_downward(Check& c, const Node& volume, const Node&) {
  for (const Node& file : volume.get("items").items()) check_file(c, file);
}

void check_projected(Check& c, const Node& volume, const Node&) {
  std::set<std::string> paths;
  auto path = [&](const Node& p, const Node& shown) {
    if (!p.str().empty() && !paths.insert(p.str()).second) c.invalid("", shown, "conflicting duplicate paths");
  };
  for (size_t i = 0; i < volume.get("sources").items().size(); ++i) {
    const Node& source = volume.get("sources").items()[i];
    for (const char* kind : {"secret", "configMap", "downwardAPI"})
      for (const Node& entry : source.get(kind).get("items").items())
        path(entry.get("path"), given(source.get(kind).get("name")) ? source.get(kind).get("name") : entry.get("path"));
    if (const Node& token = source.get("serviceAccountToken"); token.exists()) {
      std::string here = item("sources", i) + ".serviceAccountToken";
      const Node& seconds = token.get("expirationSeconds");
      if (seconds.int_or(3600) < 600)
        c.invalid(here + ".expirationSeconds", seconds, "may not specify a duration less than 10 minutes");
      if (seconds.int_or(3600) > (int64_t{1} << 32))
        c.invalid(here + ".expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds");
      if (token.get("path").str().empty())
        c.required("path");
      else
        c.format("path", token.get("path"), Format::LocalPath);
      if (c.kind.plural == "pods" && c.pod && c.pod->get("serviceAccountName").str().empty())
        c.forbidden(here, "must not be specified when serviceAccountName is not set");
    }
    if (const Node& bundle = source.get("clusterTrustBundle"); bundle.exists()) {
      bool name = bundle.get("name").exists(), signer = bundle.get("signerName").exists();
      if (name && signer)
        c.invalid(item("sources", i) + ".clusterTrustBundle", bundle, "only one of name and signerName may be used");
      if (!name && !signer)
        c.required(item("sources", i) + ".clusterTrustBundle", "either name or signerName must be specified");
      path(bundle.get("path"), bundle.get("path"));
    }
  }
}

constexpr TypeHook kHooks[] = {
    {"core/v1.ContainerPort", check_port},
    {"core/v1.EnvVar", check_env},
    {"core/v1.Container", check_container},
    {"core/v1.EphemeralContainer", check_container},
    {"core/v1.ResourceRequirements", check_resources},
    {"core/v1.HTTPGetAction", check_http_get},
    {"core/v1.TCPSocketAction", check_tcp_socket},
    {"core/v1.SecurityContext", check_security},
    {"core/v1.SeccompProfile", check_seccomp},
    {"core/v1.AppArmorProfile", check_app_armor},
    {"core/v1.WindowsSecurityContextOptions", check_windows},
    {"core/v1.DownwardAPIVolumeSource", check_downward},
    {"core/v1.DownwardAPIProjection", check_downward},
    {"core/v1.ProjectedVolumeSource", check_projected},
};

}  // namespace

Hooks container_hooks() { return kHooks; }

}  // namespace k8lite::api::rules
