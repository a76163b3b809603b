// The checks of the Pod Security Standards, one function each over a pod's metadata and spec, with the words Kubernetes
// gives for what is wrong, and from which version on each of them holds. (Kubernetes documentation, "Pod Security
// Standards"; KEP-2579.)
#include <algorithm>
#include <set>

#include "apiserver/admission/pod_security.h"
#include "base/strings.h"

namespace k8lite::apiserver::admission {
namespace {

using json::Value;
using Names = std::vector<std::string>;
using Set = std::set<std::string>;

struct Violation {
  std::string reason, detail;
};
struct Pod {
  Value meta, spec;
  int minor;  // version of the policy
  bool restricted;
};

std::string quoted_list(const Names& names) {
  std::string out;
  for (const auto& n : names) out += (out.empty() ? "" : ", ") + json::quoted(n);
  return out;
}
std::string quoted_list(const Set& names) { return quoted_list(Names(names.begin(), names.end())); }
const char* plural(size_t n, const char* one, const char* many) { return n == 1 ? one : many; }
std::string containers_text(const Names& names) {
  return std::string(plural(names.size(), "container ", "containers ")) + quoted_list(names);
}
// "pod and container "a"".
std::string setters(bool pod, const Names& containers) {
  return std::string(pod ? "pod" : "") + (pod && !containers.empty() ? " and " : "") +
         (containers.empty() ? "" : containers_text(containers));
}

template <class Fn>
void each_container(const Pod& p, Fn fn) {
  for (const char* list : {"initContainers", "containers", "ephemeralContainers"})
    for (Value c : p.spec[list].items()) fn(c, c["name"].str(), c["securityContext"]);
}

bool listed(std::string_view text, std::initializer_list<std::string_view> list) {
  return std::find(list.begin(), list.end(), text) != list.end();
}
bool is_windows(const Pod& p) { return p.minor >= 25 && p.spec["os"]["name"].equals("windows"); }
// A pod with a user namespace of its own may be root in it.
bool has_own_users(const Pod& p) { return p.minor >= 35 && !p.spec["hostUsers"].bool_or(true); }

using Check = bool (*)(const Pod&, Violation&);

bool app_armor(const Pod& p, Violation& v) {
  Set bad;
  Names containers, values;
  Set types;
  for (auto m : p.meta["annotations"].members()) {
    std::string key = m.key(), value = m.value.str();
    if (key.starts_with("container.apparmor.security.beta.kubernetes.io/") && !value.empty() &&
        value != "runtime/default" && !value.starts_with("localhost/"))
      bad.insert(key + "=" + json::quoted(value));
  }
  auto wrong = [&types](Value context) {
    Value type = context["appArmorProfile"]["type"];
    if (!type || listed(type.str(), {"RuntimeDefault", "Localhost"})) return false;
    types.insert(type.str());
    return true;
  };
  bool pod = wrong(p.spec["securityContext"]);
  each_container(p, [&](Value, const std::string& name, Value context) {
    if (wrong(context)) containers.push_back(name);
  });
  Names details;
  if (pod || !containers.empty())
    details.push_back(setters(pod, containers) + " must not set AppArmor profile type to " + quoted_list(types));
  if (!bad.empty())
    details.push_back(std::string(plural(bad.size(), "annotation ", "annotations ")) +
                      join(Names(bad.begin(), bad.end()), ", "));
  v = {plural(std::max(bad.size(), types.size()), "forbidden AppArmor profile", "forbidden AppArmor profiles"),
       join(details, "; ")};
  return details.empty();
}

bool capabilities_baseline(const Pod& p, Violation& v) {
  Names containers;
  Set bad;
  each_container(p, [&](Value, const std::string& name, Value context) {
    bool valid = true;
    for (Value c : context["capabilities"]["add"].items())
      if (!listed(c.str(), {"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
                            "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}))
        valid = false, bad.insert(c.str());
    if (!valid) containers.push_back(name);
  });
  v = {"non-default capabilities",
       containers_text(containers) + " must not include " + quoted_list(bad) + " in securityContext.capabilities.add"};
  return containers.empty();
}

bool host_namespaces(const Pod& p, Violation& v) {
  Names used;
  for (const char* field : {"hostNetwork", "hostPID", "hostIPC"})
    if (p.spec[field].bool_or(false)) used.push_back(std::string(field) + "=true");
  v = {"host namespaces", join(used, ", ")};
  return used.empty();
}

bool host_path(const Pod& p, Violation& v) {
  Names volumes;
  for (Value volume : p.spec["volumes"].items())
    if (volume["hostPath"]) volumes.push_back(volume["name"].str());
  v = {"hostPath volumes", std::string(plural(volumes.size(), "volume ", "volumes ")) + quoted_list(volumes)};
  return volumes.empty();
}

bool host_ports(const Pod& p, Violation& v) {
  Names containers;
  Set ports;
  each_container(p, [&](Value c, const std::string& name, Value) {
    bool uses = false;
    for (Value port : c["ports"].items())
      if (int64_t n = port["hostPort"].int_or(0)) uses = true, ports.insert(std::to_string(n));
    if (uses) containers.push_back(name);
  });
  v = {"hostPort", containers_text(containers) + plural(containers.size(), " uses ", " use ") +
                       plural(ports.size(), "hostPort ", "hostPorts ") + join(Names(ports.begin(), ports.end()), ", ")};
  return containers.empty();
}

bool host_probes(const Pod& p, Violation& v) {
  Set containers, hosts;
  each_container(p, [&](Value c, const std::string& name, Value) {
    for (Value handler : {c["livenessProbe"], c["readinessProbe"], c["startupProbe"], c["lifecycle"]["postStart"],
                          c["lifecycle"]["preStop"]})
      for (const char* kind : {"httpGet", "tcpSocket"})
        if (std::string host = handler[kind]["host"].str(); !host.empty()) containers.insert(name), hosts.insert(host);
  });
  v = {"probe or lifecycle host",
       containers_text(Names(containers.begin(), containers.end())) + plural(containers.size(), " uses ", " use ") +
           plural(hosts.size(), "probe or lifecycle host ", "probe or lifecycle hosts ") + quoted_list(hosts)};
  return containers.empty();
}

bool privileged(const Pod& p, Violation& v) {
  Names containers;
  each_container(p, [&](Value, const std::string& name, Value context) {
    if (context["privileged"].bool_or(false)) containers.push_back(name);
  });
  v = {"privileged", containers_text(containers) + " must not set securityContext.privileged=true"};
  return containers.empty();
}

bool proc_mount(const Pod& p, Violation& v) {
  if (has_own_users(p) && !p.restricted) return true;
  Names containers;
  Set types;
  each_container(p, [&](Value, const std::string& name, Value context) {
    if (Value type = context["procMount"]; type && !type.is_null() && !type.equals("Default"))
      containers.push_back(name), types.insert(type.str());
  });
  v = {"procMount", containers_text(containers) + " must not set securityContext.procMount to " + quoted_list(types)};
  return containers.empty();
}

bool se_linux(const Pod& p, Violation& v) {
  Names containers, data;
  Set types;
  bool user = false, role = false;
  auto wrong = [&](Value context) {
    Value o = context["seLinuxOptions"];
    std::string type = o["type"].str();
    bool bad_type = !listed(type, {"", "container_t", "container_init_t", "container_kvm_t"}) &&
                    !(p.minor >= 31 && type == "container_engine_t");
    bool bad_user = !o["user"].empty(), bad_role = !o["role"].empty();
    if (bad_type) types.insert(type);
    user |= bad_user, role |= bad_role;
    return bad_type || bad_user || bad_role;
  };
  bool pod = wrong(p.spec["securityContext"]);
  each_container(p, [&](Value, const std::string& name, Value context) {
    if (wrong(context)) containers.push_back(name);
  });
  if (!types.empty()) data.push_back(std::string(plural(types.size(), "type ", "types ")) + quoted_list(types));
  if (user) data.push_back("user may not be set");
  if (role) data.push_back("role may not be set");
  v = {"seLinuxOptions",
       setters(pod, containers) + " set forbidden securityContext.seLinuxOptions: " + join(data, "; ")};
  return !pod && containers.empty();
}

bool seccomp_annotations(const Pod& p, Violation& v) {
  constexpr std::string_view kPod = "seccomp.security.alpha.kubernetes.io/pod",
                             kContainer = "container.seccomp.security.alpha.kubernetes.io/";
  Set bad;
  for (auto m : p.meta["annotations"].members()) {
    std::string key = m.key(), value = m.value.str();
    if ((key == kPod || key.starts_with(kContainer)) && !listed(value, {"runtime/default", "docker/default"}) &&
        !value.starts_with("localhost/"))
      bad.insert(key + "=" + json::quoted(value));
  }
  v = {"seccompProfile", std::string("forbidden ") + plural(bad.size(), "annotation ", "annotations ") +
                             join(Names(bad.begin(), bad.end()), ", ")};
  return bad.empty();
}

bool seccomp(const Pod& p, Violation& v, bool must_be_set) {
  if (p.minor < 19) return must_be_set || seccomp_annotations(p, v);
  if (must_be_set && is_windows(p)) return true;
  Names bad, unset;
  Set values;
  auto wrong = [&values](Value type) {
    if (!type || listed(type.str(), {"RuntimeDefault", "Localhost"})) return false;
    values.insert(type.str());
    return true;
  };
  Value pod_type = p.spec["securityContext"]["seccompProfile"]["type"];
  bool pod = wrong(pod_type), pod_set = pod_type && !pod;
  each_container(p, [&](Value, const std::string& name, Value context) {
    Value profile = context["seccompProfile"];
    if (!profile && !pod_set) unset.push_back(name);
    if (wrong(profile["type"])) bad.push_back(name);
  });
  v.reason = "seccompProfile";
  if (pod || !bad.empty())
    v.detail = setters(pod, bad) + " must not set securityContext.seccompProfile.type to " + quoted_list(values);
  else if (must_be_set && !unset.empty())
    v.detail = "pod or " + containers_text(unset) +
               " must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"";
  else
    return true;
  return false;
}
bool seccomp_baseline(const Pod& p, Violation& v) { return seccomp(p, v, false); }
bool seccomp_restricted(const Pod& p, Violation& v) { return seccomp(p, v, true); }

bool sysctls(const Pod& p, Violation& v) {
  struct Safe {
    std::string_view name;
    int since;
  };
  static constexpr Safe kSafe[] = {{"kernel.shm_rmid_forced", 0},
                                   {"net.ipv4.ip_local_port_range", 0},
                                   {"net.ipv4.tcp_syncookies", 0},
                                   {"net.ipv4.ping_group_range", 0},
                                   {"net.ipv4.ip_unprivileged_port_start", 0},
                                   {"net.ipv4.ip_local_reserved_ports", 27},
                                   {"net.ipv4.tcp_keepalive_time", 29},
                                   {"net.ipv4.tcp_fin_timeout", 29},
                                   {"net.ipv4.tcp_keepalive_intvl", 29},
                                   {"net.ipv4.tcp_keepalive_probes", 29},
                                   {"net.ipv4.tcp_rmem", 32},
                                   {"net.ipv4.tcp_wmem", 32}};
  Names bad;
  for (Value s : p.spec["securityContext"]["sysctls"].items()) {
    std::string name = s["name"].str();
    if (std::none_of(std::begin(kSafe), std::end(kSafe),
                     [&](const Safe& safe) { return safe.name == name && p.minor >= safe.since; }))
      bad.push_back(name);
  }
  v = {"forbidden sysctls", join(bad, ", ")};
  return bad.empty();
}

bool windows_host_process(const Pod& p, Violation& v) {
  Names containers;
  bool pod = p.spec["securityContext"]["windowsOptions"]["hostProcess"].bool_or(false);
  each_container(p, [&](Value, const std::string& name, Value context) {
    if (context["windowsOptions"]["hostProcess"].bool_or(false)) containers.push_back(name);
  });
  v = {"hostProcess", setters(pod, containers) + " must not set securityContext.windowsOptions.hostProcess=true"};
  return !pod && containers.empty();
}

bool privilege_escalation(const Pod& p, Violation& v) {
  Names containers;
  if (is_windows(p)) return true;
  each_container(p, [&](Value, const std::string& name, Value context) {
    if (context["allowPrivilegeEscalation"].bool_or(true)) containers.push_back(name);
  });
  v = {"allowPrivilegeEscalation != false",
       containers_text(containers) + " must set securityContext.allowPrivilegeEscalation=false"};
  return containers.empty();
}

bool capabilities_restricted(const Pod& p, Violation& v) {
  if (is_windows(p)) return true;
  Names keeping, adding, details;
  Set bad;
  each_container(p, [&](Value, const std::string& name, Value context) {
    bool dropped = false, added = false;
    for (Value c : context["capabilities"]["drop"].items()) dropped |= c.equals("ALL");
    for (Value c : context["capabilities"]["add"].items())
      if (!c.equals("NET_BIND_SERVICE")) added = true, bad.insert(c.str());
    if (!dropped) keeping.push_back(name);
    if (added) adding.push_back(name);
  });
  if (!keeping.empty())
    details.push_back(containers_text(keeping) + " must set securityContext.capabilities.drop=[\"ALL\"]");
  if (!adding.empty())
    details.push_back(containers_text(adding) + " must not include " + quoted_list(bad) +
                      " in securityContext.capabilities.add");
  v = {"unrestricted capabilities", join(details, "; ")};
  return details.empty();
}

bool restricted_volumes(const Pod& p, Violation& v) {
  Names volumes;
  Set types;
  for (Value volume : p.spec["volumes"].items()) {
    bool allowed = false;
    for (const char* source :
         {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"})
      allowed |= volume[source].exists();
    if (allowed) continue;
    std::string type = "unknown";
    for (const char* source : {"hostPath",
                               "gcePersistentDisk",
                               "awsElasticBlockStore",
                               "gitRepo",
                               "nfs",
                               "iscsi",
                               "glusterfs",
                               "rbd",
                               "flexVolume",
                               "cinder",
                               "cephfs",
                               "flocker",
                               "fc",
                               "azureFile",
                               "vsphereVolume",
                               "quobyte",
                               "azureDisk",
                               "photonPersistentDisk",
                               "portworxVolume",
                               "scaleIO",
                               "storageos"})
      if (volume[source]) type = source;
    volumes.push_back(volume["name"].str());
    types.insert(type);
  }
  v = {"restricted volume types", std::string(plural(volumes.size(), "volume ", "volumes ")) + quoted_list(volumes) +
                                      plural(volumes.size(), " uses ", " use ") +
                                      plural(types.size(), "restricted volume type ", "restricted volume types ") +
                                      quoted_list(types)};
  return volumes.empty();
}

bool non_root(const Pod& p, Violation& v) {
  if (has_own_users(p)) return true;
  Names bad, unset;
  Value pod_value = p.spec["securityContext"]["runAsNonRoot"];
  bool pod_bad = pod_value && !pod_value.bool_or(true), pod_good = pod_value.bool_or(false);
  each_container(p, [&](Value, const std::string& name, Value context) {
    Value own = context["runAsNonRoot"];
    if (own && !own.is_null()) {
      if (!own.bool_or(true)) bad.push_back(name);
    } else if (!pod_good) {
      unset.push_back(name);
    }
  });
  v.reason = "runAsNonRoot != true";
  if (pod_bad || !bad.empty())
    v.detail = setters(pod_bad, bad) + " must not set securityContext.runAsNonRoot=false";
  else if (!unset.empty())
    v.detail = "pod or " + containers_text(unset) + " must set securityContext.runAsNonRoot=true";
  else
    return true;
  return false;
}

bool not_user_zero(const Pod& p, Violation& v) {
  if (has_own_users(p)) return true;
  Names containers;
  bool pod = p.spec["securityContext"]["runAsUser"].int_or(-1) == 0;
  each_container(p, [&](Value, const std::string& name, Value context) {
    if (context["runAsUser"].int_or(-1) == 0) containers.push_back(name);
  });
  v = {"runAsUser=0", setters(pod, containers) + " must not set runAsUser=0"};
  return !pod && containers.empty();
}

constexpr int kNever = 1 << 20;
struct Row {
  Check check;
  bool restricted;     // holds at that level only
  int since;           // minor version
  int replaced_since;  // at the level "restricted" a stricter check takes its place from this version on
};
// In Kubernetes' order: by level, then by the check's id.
constexpr Row kChecks[] = {
    {app_armor, false, 0, kNever},
    {capabilities_baseline, false, 0, 22},
    {host_namespaces, false, 0, kNever},
    {host_path, false, 0, 0},
    {host_ports, false, 0, kNever},
    {host_probes, false, 34, kNever},
    {privileged, false, 0, kNever},
    {proc_mount, false, 0, kNever},
    {se_linux, false, 0, kNever},
    {seccomp_baseline, false, 0, 19},
    {sysctls, false, 0, kNever},
    {windows_host_process, false, 0, kNever},
    {privilege_escalation, true, 8, kNever},
    {capabilities_restricted, true, 22, kNever},
    {restricted_volumes, true, 0, kNever},
    {non_root, true, 0, kNever},
    {not_user_zero, true, 23, kNever},
    {seccomp_restricted, true, 19, kNever},
};

}  // namespace

std::string pod_violations(const LevelVersion& policy, Value meta, Value spec, bool with_details) {
  if (policy.level == PodLevel::Privileged) return "";
  Pod pod{meta, spec, policy.minor, policy.level == PodLevel::Restricted};
  std::string out;
  for (const Row& row : kChecks) {
    if (row.since > policy.minor || (row.restricted && policy.level != PodLevel::Restricted)) continue;
    if (policy.level == PodLevel::Restricted && policy.minor >= row.replaced_since) continue;
    Violation v;
    if (row.check(pod, v)) continue;
    out += (out.empty() ? "" : ", ") + v.reason;
    if (with_details && !v.detail.empty()) out += " (" + v.detail + ")";
  }
  return out;
}

}  // namespace k8lite::apiserver::admission
