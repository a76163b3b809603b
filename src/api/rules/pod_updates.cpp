// What may change of a pod that is there: a little through the pod itself, debug containers and resources through their
// subresources. (Kubernetes documentation, "Pod update and replacement", KEP-1287, KEP-277.)
#include <map>
#include <set>

#include "api/rules/check.h"
#include "base/quantity.h"

namespace k8lite::api::rules {
namespace {

constexpr const char* kContainerLists[] = {"containers", "initContainers"};

void copy_or_erase(Node& to, const Node& from, std::string_view field) {
  if (from.get(field).exists())
    to.set(field, from.get(field));
  else
    to.erase(field);
}

std::set<std::string> without_seconds(const Node& tolerations) {
  std::set<std::string> out;
  for (const Node& t : tolerations.items()) {
    std::string text;
    for (const char* f : {"key", "operator", "value", "effect"}) text += t.get(f).str() + "\n";
    out.insert(std::move(text));
  }
  return out;
}

void check_tolerations(Check& c, const Node& now, const Node& old) {
  auto is = without_seconds(now.get("tolerations"));
  for (const auto& was : without_seconds(old.get("tolerations")))
    if (!is.count(was))
      return c.forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds");
}

void check_gates(Check& c, const Node& now, const Node& old) {
  std::set<std::string> known;
  for (const Node& g : old.get("schedulingGates").items()) known.insert(g.get("name").str());
  const auto& gates = now.get("schedulingGates").items();
  for (size_t i = 0; i < gates.size(); ++i)
    if (const std::string& name = gates[i].get("name").str(); !known.count(name))
      c.forbidden(item("spec.schedulingGates", i) + ".name",
                  "only deletion is allowed, but found new scheduling gate '" + name + "'");
}

// False: what is wrong with it makes the rest not worth a look.
bool check_deadline(Check& c, const Node& now, const Node& old) {
  const Node &deadline = now.get("activeDeadlineSeconds"), &was = old.get("activeDeadlineSeconds");
  if (!deadline.exists()) {
    if (was.exists())
      c.invalid("spec.activeDeadlineSeconds", Node(), "must not update from a positive integer to nil value");
    return true;
  }
  if (was.exists() && was.int_or(0) < deadline.int_or(0))
    return c.invalid("spec.activeDeadlineSeconds", deadline, "must be less than or equal to previous value"), false;
  return true;
}

bool starts_with(const Node& list, const Node& begin) {
  if (list.size() < begin.size()) return false;
  for (size_t i = 0; i < begin.items().size(); ++i)
    if (!(list.items()[i] == begin.items()[i])) return false;
  return true;
}

// A gated pod's placement may be narrowed. `rest` is the new spec; what is allowed of it becomes what it was.
void check_narrowing(Check& c, Node& rest, const Node& old) {
  for (const auto& [key, value] : old.get("nodeSelector").members())
    if (!(rest.get("nodeSelector").get(key) == value)) {
      c.invalid("spec.nodeSelector", rest.get("nodeSelector"),
                "only additions to spec.nodeSelector are allowed (no mutations or deletions)");
      break;
    }
  copy_or_erase(rest, old, "nodeSelector");
  const Node &before =
                 old.path("affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"),
             &after =
                 rest.path("affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
  std::string here = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
  if (before.size() && before.size() != after.size()) {
    c.invalid(here, after.exists() ? after : Node::array(),
              "no additions/deletions to non-empty NodeSelectorTerms list are allowed");
  } else {
    for (size_t i = 0; i < before.items().size(); ++i) {
      const Node &a = before.items()[i], &b = after.items()[i];
      bool was_empty = a.get("matchExpressions").empty() && a.get("matchFields").empty(),
           is_empty = b.get("matchExpressions").empty() && b.get("matchFields").empty();
      if ((was_empty && !is_empty) || !starts_with(b.get("matchExpressions"), a.get("matchExpressions")) ||
          !starts_with(b.get("matchFields"), a.get("matchFields")))
        c.invalid(item(here, i), b, "only additions are allowed (no mutations or deletions)");
    }
  }
  Node affinity = rest.get("affinity").is_object() ? rest.get("affinity") : Node::object();
  copy_or_erase(affinity, old.get("affinity"), "nodeAffinity");
  if (affinity.empty() && !old.get("affinity").exists())
    rest.erase("affinity");
  else
    rest.set("affinity", std::move(affinity));
}

void check_update(Check& c, const Node& now, const Node& old) {
  for (const char* list : kContainerLists)
    if (now.get(list).size() != old.get(list).size())
      return c.forbidden("spec." + std::string(list), "pod updates may not add or remove containers");
  if (!check_deadline(c, now, old)) return;
  check_tolerations(c, now, old);
  check_gates(c, now, old);
  if (now == old) return;
  Node rest = now;
  for (const char* list : kContainerLists)
    if (Node* containers = rest.find(list))
      for (size_t i = 0; i < containers->items().size(); ++i)
        copy_or_erase(containers->items()[i], old.get(list).items()[i], "image");
  for (const char* f : {"activeDeadlineSeconds", "schedulingGates", "tolerations"}) copy_or_erase(rest, old, f);
  if (old.get("terminationGracePeriodSeconds").int_or(0) < 0 &&
      rest.get("terminationGracePeriodSeconds").int_or(0) == 1)
    copy_or_erase(rest, old, "terminationGracePeriodSeconds");
  if (given(old.get("schedulingGates"))) check_narrowing(c, rest, old);
  if (rest == old) return;
  c.forbidden(
      "spec",
      "pod updates may not change fields other than "
      "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
      "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was "
      "previously negative)");
}

void check_debug_containers(Check& c, const Node& now, const Node& old) {
  if (c.old->path("metadata.annotations").get("kubernetes.io/config.mirror").exists())
    return c.forbidden("[]", "static pods do not support ephemeral containers");
  std::map<std::string, const Node*> there;
  for (const Node& n : now.get("ephemeralContainers").items()) there[n.get("name").str()] = &n;
  for (const Node& was : old.get("ephemeralContainers").items()) {
    auto is = there.find(was.get("name").str());
    std::string which = "existing ephemeral containers " + was.get("name").dump();
    if (is == there.end())
      c.forbidden("spec.ephemeralContainers", which + " may not be removed\n");
    else if (!(*is->second == was))
      c.forbidden("spec.ephemeralContainers", which + " may not be changed\n");
  }
}

// ---- resize ----

// The quality of service of a pod by its containers' cpu and memory.
const char* quality(const Node& spec) {
  bool any = false, guaranteed = true;
  for (const char* list : kContainerLists)
    for (const Node& container : spec.get(list).items())
      for (const char* name : {"cpu", "memory"}) {
        auto limit = Quantity::parse(container.path("resources.limits").get(name).str()),
             request = Quantity::parse(container.path("resources.requests").get(name).str());
        any |= (limit && !limit->is_zero()) || (request && !request->is_zero());
        guaranteed &= limit && !limit->is_zero() && (!request || *request == *limit);
      }
  return !any ? "BestEffort" : guaranteed ? "Guaranteed" : "Burstable";
}

void check_resized(Check& c, const Node& now, const Node& old) {
  for (const char* list : {"requests", "limits"})
    for (const auto& [name, amount] : old.path("resources").get(list).members())
      if (!now.path("resources").get(list).get(name).exists()) {
        c.forbidden("resources." + std::string(list), "resource " + std::string(list) + " cannot be removed");
        break;
      }
  for (const Node& p : now.get("resizePolicy").items())
    if (p.get("resourceName").str() == "memory" && p.get("restartPolicy").str() == "RestartContainer") return;
  auto before = Quantity::parse(old.path("resources.limits.memory").str()),
       after = Quantity::parse(now.path("resources.limits.memory").str());
  if (after && !before)
    c.forbidden("resources.limits[memory]", "memory limits cannot be added unless resizePolicy is RestartContainer");
}

// The container with cpu and memory as they were.
Node unresized(Node container, const Node& old) {
  for (const char* list : {"limits", "requests"})
    for (const char* name : {"cpu", "memory"}) {
      const Node& was = old.path("resources").get(list).get(name);
      if (was.exists())
        container["resources"][list].set(name, was);
      else if (container.path("resources").get(list).get(name).exists())
        container["resources"][list].erase(name);
    }
  for (const char* list : {"limits", "requests"})
    if (container.path("resources").get(list).exists() && container.path("resources").get(list).empty() &&
        !old.path("resources").get(list).exists())
      container["resources"].erase(list);
  return container;
}

void check_resize(Check& c, const Node& now, const Node& old) {
  if (c.old->path("metadata.annotations").get("kubernetes.io/config.mirror").exists())
    return c.forbidden("[]", "static pods cannot be resized");
  if (old.path("os.name").str() == "windows") return c.forbidden("[]", "windows pods cannot be resized");
  for (const Node* spec : {&now, &old})
    if (given(spec->path("resources.limits")) || given(spec->path("resources.requests")))
      return c.forbidden("[]", "pods with pod-level resources cannot be resized");
  if (std::string_view(quality(now)) != quality(old))
    c.invalid("spec", Node(quality(old)), "Pod QOS Class may not change as a result of resizing");
  Node rest = now;
  bool wrong = false;
  for (const char* list : kContainerLists) {
    if (now.get(list).size() != old.get(list).size())
      return c.forbidden("spec." + std::string(list), "pod updates may not add or remove containers");
    for (size_t i = 0; i < now.get(list).items().size(); ++i) {
      const Node &is = now.get(list).items()[i], &was = old.get(list).items()[i];
      bool init = std::string_view(list) == "initContainers", sidecar = was.get("restartPolicy").str() == "Always";
      const char* why = !init     ? "only cpu and memory resources are mutable"
                        : sidecar ? "only cpu and memory resources for sidecar containers are mutable"
                                  : "resources for non-sidecar init containers are immutable";
      if (!init || sidecar) {
        Step step(c, item("spec." + std::string(list), i));
        check_resized(c, is, was);
      }
      Node same = init && !sidecar ? is : unresized(is, was);
      if (!(same == was)) c.forbidden("spec", why), wrong = true;
      rest[list].items()[i] = was;
    }
  }
  if (!wrong && !(rest == old)) c.forbidden("spec", "only cpu and memory resources are mutable");
}

}  // namespace

void check_pod_update(Check& c) {
  const Node &now = c.root.get("spec"), &old = c.old->get("spec");
  if (c.subresource == "ephemeralcontainers") return check_debug_containers(c, now, old);
  if (c.subresource == "resize") return check_resize(c, now, old);
  check_update(c, now, old);
}

}  // namespace k8lite::api::rules
