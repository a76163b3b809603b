// Pod specs and templates: what their parts must be to each other. (Kubernetes API reference, "PodSpec".)
#include <set>

#include "api/rules/check.h"
#include "base/quantity.h"
#include "base/strings.h"

namespace k8lite::api::rules {
namespace {

bool is_pod(const Check& c) { return c.kind.plural == "pods" && c.kind.group.empty(); }

void check_probes(Check& c, const Node& container, const Node& pod) {
  for (const char* name : {"livenessProbe", "readinessProbe", "startupProbe"}) {
    const Node& probe = container.get(name);
    if (!probe.is_object()) continue;
    check_type(c, "core/v1.Probe", name, probe);
    std::string here(name);
    if (here == "readinessProbe") {
      if (const Node& grace = probe.get("terminationGracePeriodSeconds"); grace.exists())
        c.invalid(here + ".terminationGracePeriodSeconds", grace, "must not be set for readinessProbes");
    } else if (const Node& n = probe.get("successThreshold"); n.int_or(1) != 1) {
      c.invalid(here + ".successThreshold", n, "must be 1");
    }
  }
  check_type(c, "core/v1.Lifecycle", "lifecycle", container.get("lifecycle"));
  int64_t grace = pod.get("terminationGracePeriodSeconds").int_or(30);
  for (const char* hook : {"postStart", "preStop"}) {
    const Node& sleep = container.get("lifecycle").get(hook).get("sleep");
    int64_t n = sleep.get("seconds").int_or(0);
    if (sleep.exists() && (n < 0 || n > grace))
      c.invalid("lifecycle." + std::string(hook) + ".sleep", Node(n),
                "must be non-negative and less than terminationGracePeriodSeconds (" + std::to_string(grace) + ")");
  }
}

void check_restart_rules(Check& c, const Node& container) {
  c.one_of("restartPolicy", container.get("restartPolicy"), "Always,OnFailure,Never");
  const Node& rules = container.get("restartPolicyRules");
  if (rules.size() && !container.get("restartPolicy").exists())
    c.required("restartPolicy", "must specify restartPolicy when restart rules are used");
  if (rules.size() > 20) c.too_many("restartPolicyRules", rules.size(), 20);
  for (size_t i = 0; i < rules.items().size(); ++i)
    if (!rules.items()[i].get("exitCodes").exists())
      c.required(item("restartPolicyRules", i) + ".exitCodes", "must be specified");
}

void check_host_ports(Check& c, const Node& container, std::set<std::string>& seen) {
  for (size_t i = 0; i < container.get("ports").items().size(); ++i) {
    const Node& p = container.get("ports").items()[i];
    if (p.get("hostPort").int_or(0) == 0) continue;
    std::string port =
        p.get("protocol").str() + "/" + p.get("hostIP").str() + "/" + std::to_string(p.get("hostPort").int_or(0));
    if (!seen.insert(port).second) c.duplicate(item("ports", i) + ".hostPort", Node(port));
  }
}

void check_ephemeral(Check& c, const Node& e, const std::set<std::string>& others) {
  for (const char* field : {"ports", "resources", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle",
                            "resizePolicy", "restartPolicy", "restartPolicyRules"})
    if (given(e.get(field))) c.forbidden(field, "cannot be set for an Ephemeral Container");
  for (size_t i = 0; i < e.get("volumeMounts").items().size(); ++i)
    for (const char* field : {"subPath", "subPathExpr"})
      if (given(e.get("volumeMounts").items()[i].get(field)))
        c.forbidden(item("volumeMounts", i) + "." + field, "cannot be set for an Ephemeral Container");
  if (const Node& target = e.get("targetContainerName"); given(target) && !others.count(target.str()))
    c.absent("targetContainerName", target);
}

// What differs between the three lists of containers.
void check_lists(Check& c, const Node& pod) {
  std::set<std::string> names, host_ports;
  for (const char* list : {"containers", "initContainers", "ephemeralContainers"}) {
    std::string_view which(list);
    const std::set<std::string> others = which == "ephemeralContainers" ? names : std::set<std::string>();
    for (size_t i = 0; i < pod.get(list).items().size(); ++i) {
      const Node& container = pod.get(list).items()[i];
      Step step(c, item(list, i));
      if (!container.get("name").str().empty() && !names.insert(container.get("name").str()).second)
        c.duplicate("name", container.get("name"));
      const std::string& image = container.get("image").str();
      if (is_pod(c) && trim(image) != image)
        c.invalid("image", container.get("image"), "must not have leading or trailing whitespace");
      if (which == "ephemeralContainers") {
        check_ephemeral(c, container, others);
        continue;
      }
      check_restart_rules(c, container);
      std::set<std::string> own;
      check_host_ports(c, container, which == "containers" ? host_ports : own);
      if (which == "containers" || container.get("restartPolicy").str() == "Always") {
        check_probes(c, container, pod);
        continue;
      }
      for (const char* field : {"lifecycle", "livenessProbe", "readinessProbe", "startupProbe"})
        if (container.get(field).exists())
          c.forbidden(field, "may not be set for init containers without restartPolicy=Always");
    }
  }
}

void check_host_network(Check& c, const Node& pod) {
  bool host_users = pod.get("hostUsers").bool_or(true), host_network = pod.get("hostNetwork").bool_or(false);
  if (host_network)
    for (size_t i = 0; i < pod.get("containers").items().size(); ++i) {
      const Node& ports = pod.get("containers").items()[i].get("ports");
      for (size_t j = 0; j < ports.items().size(); ++j) {
        int64_t host = ports.items()[j].get("hostPort").int_or(0),
                inside = ports.items()[j].get("containerPort").int_or(0);
        if ((is_pod(c) || host != 0) && host != inside)
          c.invalid(item("containers", i) + "." + item("ports", j) + ".hostPort", Node(host),
                    "must match `containerPort` when `hostNetwork` is true");
      }
    }
  if (host_users) return;
  for (const char* field : {"hostNetwork", "hostPID", "hostIPC"})
    if (pod.get(field).bool_or(false)) c.forbidden(field, "when `hostUsers` is false");
}

// Resources of the pod as a whole: at least the sum of its containers' (KEP-2837).
void check_pod_resources(Check& c, const Node& pod) {
  const Node& resources = pod.get("resources");
  if (!resources.is_object()) return;
  if (given(resources.get("claims")))
    c.forbidden("resources.claims", "claims cannot be set for Resources at pod-level");
  for (const char* list : {"limits", "requests"})
    for (const auto& [name, amount] : resources.get(list).members()) {
      std::string here = "resources." + key_of(list, name);
      check_resource(c, here, name, amount, ResourceUse::Pod);
      auto limit = Quantity::parse(resources.get("limits").get(name).str()), asked = Quantity::parse(amount.str());
      if (std::string_view(list) == "requests" && limit && asked && *asked > *limit)
        c.invalid("resources.requests", amount, "must be less than or equal to " + name + " limit of " + limit->str());
    }
  for (const auto& [name, amount] : resources.get("requests").members()) {
    Quantity sum;
    for (const Node& container : pod.get("containers").items())
      if (auto q = Quantity::parse(container.path("resources.requests").get(name).str())) sum = sum + *q;
    auto whole = Quantity::parse(amount.str());
    if (whole && sum > *whole)
      c.invalid("resources." + key_of("requests", name), amount,
                "must be greater than or equal to aggregate container requests of " + sum.str());
  }
  for (size_t i = 0; i < pod.get("containers").items().size(); ++i)
    for (const auto& [name, amount] : pod.get("containers").items()[i].path("resources.limits").members()) {
      auto whole = Quantity::parse(resources.get("limits").get(name).str()), own = Quantity::parse(amount.str());
      if (whole && own && *own > *whole)
        c.invalid("resources." + key_of(item("containers", i), name) + ".limits", amount,
                  "must be less than or equal to pod limits of " + whole->str());
    }
}

void check_os(Check& c, const Node& pod) {
  const std::string& os = pod.path("os.name").str();
  if (!os.empty()) c.one_of("os", pod.path("os.name"), "linux,windows");
  auto forbid = [&c](const Node& where, std::string_view prefix, std::string_view fields, const char* why) {
    for (std::string_view f : split(fields, ','))
      if (given(where.get(f)) || where.get(f).is_number() || where.get(f).is_bool())
        c.forbidden(std::string(prefix) + std::string(f), why);
  };
  auto every = [&](std::string_view pod_fields, std::string_view own_fields, std::string_view container_fields,
                   const char* why) {
    forbid(pod.get("securityContext"), "securityContext.", pod_fields, why);
    forbid(pod, "", own_fields, why);
    for (const char* list : {"containers", "initContainers", "ephemeralContainers"})
      for (size_t i = 0; i < pod.get(list).items().size(); ++i) {
        Step step(c, item(list, i));
        forbid(pod.get(list).items()[i].get("securityContext"), "securityContext.", container_fields, why);
      }
  };
  if (os == "linux") every("windowsOptions", "", "windowsOptions", "windows options cannot be set for a linux pod");
  if (os == "windows")
    every(
        "appArmorProfile,seLinuxOptions,seccompProfile,fsGroup,fsGroupChangePolicy,sysctls,runAsUser,runAsGroup,"
        "supplementalGroups,supplementalGroupsPolicy,seLinuxChangePolicy",
        "hostUsers,hostPID,hostIPC,shareProcessNamespace",
        "appArmorProfile,seLinuxOptions,seccompProfile,capabilities,readOnlyRootFilesystem,privileged,"
        "allowPrivilegeEscalation,procMount,runAsUser,runAsGroup",
        "cannot be set for a windows pod");
}

void check_lists_of_names(Check& c, const Node& pod) {
  std::set<std::string> gates, spreads;
  for (size_t i = 0; i < pod.get("schedulingGates").items().size(); ++i) {
    const Node name(pod.get("schedulingGates").items()[i].get("name").str());
    c.format(item("schedulingGates", i), name, Format::Qualified);
    if (!gates.insert(name.str()).second) c.duplicate(item("schedulingGates", i), name);
  }
  const auto& constraints = pod.get("topologySpreadConstraints").items();
  for (size_t i = constraints.size(); i-- > 0;) {
    std::string pair =
        "{" + constraints[i].get("topologyKey").str() + ", " + constraints[i].get("whenUnsatisfiable").str() + "}";
    if (!spreads.insert(pair).second)
      c.duplicate(item("topologySpreadConstraints", i) + ".{topologyKey, whenUnsatisfiable}", Node(pair));
  }
  for (size_t i = 0; i < pod.get("resourceClaims").items().size(); ++i) {
    const Node& claim = pod.get("resourceClaims").items()[i];
    int n = claim.get("resourceClaimName").exists() + claim.get("resourceClaimTemplateName").exists();
    if (n == 2)
      c.invalid(item("resourceClaims", i), claim,
                "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified");
    if (n == 0)
      c.invalid(item("resourceClaims", i), claim,
                "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`");
  }
}

void check_pod_spec(Check& c, const Node& pod, const Node&) {
  check_lists(c, pod);
  check_pod_resources(c, pod);
  check_host_network(c, pod);
  if (pod.get("dnsPolicy").str() == "None") {
    if (!pod.get("dnsConfig").exists())
      c.required("dnsConfig", "must provide `dnsConfig` when `dnsPolicy` is None");
    else if (pod.path("dnsConfig.nameservers").size() == 0)
      c.required("dnsConfig.nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None");
  }
  if (pod.get("shareProcessNamespace").bool_or(false) && pod.get("hostPID").bool_or(false))
    c.invalid("shareProcessNamespace", Node(true), "ShareProcessNamespace and HostPID cannot both be enabled");
  check_lists_of_names(c, pod);
  for (const auto& [name, amount] : pod.get("overhead").members())
    check_resource(c, "overhead." + key_of("limits", name), name, amount, ResourceUse::Container);
  if (pod.get("setHostnameAsFQDN").bool_or(false) && pod.get("hostnameOverride").exists())
    c.forbidden("hostnameOverride", "may not be specified when setHostnameAsFQDN is true");
  if (pod.get("hostNetwork").bool_or(false) && pod.get("hostnameOverride").exists())
    c.forbidden("hostnameOverride", "may not be specified when hostNetwork is true");
  check_os(c, pod);
}

void check_dns_config(Check& c, const Node& dns, const Node&) {
  if (dns.get("nameservers").size() > 3)
    c.invalid("nameservers", dns.get("nameservers"), "must not have more than 3 nameservers");
  const Node& searches = dns.get("searches");
  if (searches.size() > 32) c.invalid("searches", searches, "must not have more than 32 search paths");
  size_t total = searches.size() ? searches.size() - 1 : 0;
  for (size_t i = 0; i < searches.items().size(); ++i) {
    std::string_view text = searches.items()[i].str();
    total += text.size();
    if (text == ".") continue;
    if (text.ends_with('.')) text.remove_suffix(1);
    c.format(item("searches", i), Node(text), Format::SubdomainUnderscore);
  }
  if (total > 2048)
    c.invalid("searches", searches, "must not have more than 2048 characters (including spaces) in the search list");
  for (size_t i = 0; i < dns.get("options").items().size(); ++i)
    if (dns.get("options").items()[i].get("name").str().empty()) c.required(item("options", i), "must not be empty");
}

bool good_sysctl(std::string_view name) {
  if (name.size() > 253) return false;
  for (std::string_view part : split(replace_all(std::string(name), "/", "."), '.')) {
    auto alnum = [](char ch) { return (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9'); };
    if (part.empty() || !alnum(part.front()) || !alnum(part.back())) return false;
    for (char ch : part)
      if (!alnum(ch) && ch != '-' && ch != '_') return false;
  }
  return true;
}

void check_sysctls(Check& c, const Node& context, const Node&) {
  std::set<std::string> seen;
  for (size_t i = 0; i < context.get("sysctls").items().size(); ++i) {
    const Node& name = context.get("sysctls").items()[i].get("name");
    std::string here = item("sysctls", i) + ".name", plain = replace_all(name.str(), "/", ".");
    if (name.str().empty())
      c.required(here);
    else if (!good_sysctl(name.str()))
      c.invalid(here, name,
                "must have at most 253 characters and match regex "
                "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$");
    else if (!seen.insert(name.str()).second)
      c.duplicate(here, name);
    if (!c.pod) continue;
    bool ipc = plain == "kernel.sem" || plain.starts_with("kernel.shm") || plain.starts_with("kernel.msg") ||
               plain.starts_with("fs.mqueue.");
    if (c.pod->get("hostNetwork").bool_or(false) && plain.starts_with("net."))
      c.invalid(here, name, "may not be specified when 'hostNetwork' is true");
    if (c.pod->get("hostIPC").bool_or(false) && ipc)
      c.invalid(here, name, "may not be specified when 'hostIPC' is true");
  }
}

void check_template(Check& c, const Node& t, const Node&) {
  c.labels("labels", t.path("metadata.labels"));
  c.annotations("annotations", t.path("metadata.annotations"));
  if (given(t.path("spec.ephemeralContainers")))
    c.forbidden("spec.ephemeralContainers", "ephemeral containers not allowed in pod template");
}

void check_pod(Check& c, const Node& pod, const Node&) {
  const Node& spec = pod.get("spec");
  if (given(pod.path("metadata.annotations").get("kubernetes.io/config.mirror")) && spec.get("nodeName").str().empty())
    c.invalid("metadata.annotations[kubernetes.io/config.mirror]",
              pod.path("metadata.annotations").get("kubernetes.io/config.mirror"),
              "must set spec.nodeName if mirror pod annotation is set");
  if (const Node& cost = pod.path("metadata.annotations").get("controller.kubernetes.io/pod-deletion-cost");
      cost.exists()) {
    auto n = parse_int(cost.str());
    if (!n || *n > INT32_MAX || *n < INT32_MIN || cost.str().starts_with("+") ||
        (cost.str().size() > 1 && cost.str()[0] == '0'))
      c.invalid("metadata.annotations[controller.kubernetes.io/pod-deletion-cost]", cost, "must be a 32bit integer");
  }
  if (c.old) return check_pod_update(c);
  if (given(spec.get("ephemeralContainers"))) c.forbidden("spec.ephemeralContainers", "cannot be set on create");
  if (given(spec.get("nodeName")) && given(spec.get("schedulingGates")))
    c.forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared");
}

constexpr TypeHook kHooks[] = {
    {"core/v1.PodSpec", check_pod_spec},
    {"core/v1.PodDNSConfig", check_dns_config},
    {"core/v1.PodSecurityContext", check_sysctls},
    {"core/v1.PodTemplateSpec", check_template},
    {"core/v1.Pod", check_pod},
};

}  // namespace

Hooks pod_hooks() { return kHooks; }

}  // namespace k8lite::api::rules
