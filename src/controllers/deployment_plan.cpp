#include "controllers/deployment_plan.h"

#include <algorithm>

#include "base/strings.h"

namespace k8lite::controllers {
namespace {

using json::Doc;
using json::Node;
using json::Value;

constexpr std::string_view kRevision = "deployment.kubernetes.io/revision", kDesired = "deployment.kubernetes.io/desired-replicas", kMax = "deployment.kubernetes.io/max-replicas", kHashLabel = "pod-template-hash";

int64_t replicas_of(const Doc& rs) { return rs.path("spec.replicas").int_or(1); }
int64_t available_of(const Doc& rs) { return rs.path("status.availableReplicas").int_or(0); }
int64_t revision_of(const Doc& rs) { return parse_int(rs["metadata"]["annotations"][kRevision].str()).value_or(0); }

Node plain_template(Value t) {
  Node n = t.to_node();
  if (Node* meta = n.find("metadata")) {
    if (Node* labels = meta->find("labels")) labels->erase(kHashLabel);
    meta->erase("creationTimestamp");
  }
  return n;
}

std::string created(const Doc& d) { return d.path("metadata.creationTimestamp").str() + name_of(d); }

bool is_recreate(const Doc& d) { return d.path("spec.strategy.type").equals("Recreate"); }

struct Counts {
  int64_t wanted, surge, unavailable, total = 0, available = 0;
};

Counts count(const Doc& d, const std::vector<Doc>& sets) {
  Counts c{};
  c.wanted = d.path("spec.replicas").int_or(1);
  for (const Doc& rs : sets) c.total += replicas_of(rs), c.available += available_of(rs);
  if (is_recreate(d)) return c;
  Value rolling = d.path("spec.strategy.rollingUpdate");
  c.surge = int_or_percent(rolling["maxSurge"], c.wanted, true, 1);
  c.unavailable = int_or_percent(rolling["maxUnavailable"], c.wanted, false, 0);
  if (c.surge == 0 && c.unavailable == 0) c.unavailable = 1;  // percents of few pods may both be none
  c.unavailable = std::min(c.unavailable, c.wanted);
  return c;
}

// Takes old pods away as far as enough others are available: broken ones first.
void scale_down_old(const Counts& c, const Doc* fresh, std::vector<Doc> old, DeploymentPlan& plan) {
  int64_t floor = c.wanted - c.unavailable, new_unavailable = fresh ? replicas_of(*fresh) - available_of(*fresh) : 0;
  int64_t room = c.total - floor - std::max<int64_t>(new_unavailable, 0);
  std::sort(old.begin(), old.end(), [](const Doc& a, const Doc& b) { return created(a) < created(b); });
  std::map<std::string, int64_t> now;
  for (const Doc& rs : old) now[name_of(rs)] = replicas_of(rs);
  for (const Doc& rs : old) {
    int64_t broken = std::min(replicas_of(rs) - available_of(rs), std::max<int64_t>(room, 0));
    if (broken <= 0) continue;
    now[name_of(rs)] -= broken;
    room -= broken;
  }
  int64_t spare = c.available - floor;
  for (const Doc& rs : old) {
    int64_t take = std::min({now[name_of(rs)], spare, room});
    if (take <= 0) continue;
    now[name_of(rs)] -= take;
    spare -= take;
    room -= take;
  }
  for (const Doc& rs : old)
    if (now[name_of(rs)] != replicas_of(rs)) plan.scale.emplace_back(name_of(rs), now[name_of(rs)]);
}

int64_t new_set_replicas(const Doc& d, const Counts& c, const Doc* fresh, int64_t old_pods) {
  int64_t have = fresh ? replicas_of(*fresh) : 0;
  if (is_recreate(d)) return old_pods > 0 ? have : c.wanted;
  if (have >= c.wanted) return c.wanted;
  int64_t room = c.wanted + c.surge - c.total;
  return room <= 0 ? have : std::min(c.wanted, have + room);
}

// The share of the change in size that falls to one set, by its part of what all were allowed before.
int64_t share(const Doc& d, const Counts& c, const Doc& rs, int64_t to_add) {
  if (c.wanted == 0) return -replicas_of(rs);
  int64_t before = parse_int(rs["metadata"]["annotations"][kMax].str()).value_or(d.path("status.replicas").int_or(0));
  if (before <= 0 || to_add == 0) return 0;
  int64_t size = (2 * replicas_of(rs) * (c.wanted + c.surge) + before) / (2 * before);
  return size - replicas_of(rs);
}

// When several sets hold pods and the count itself changes, every set keeps its share; the largest takes what rounding leaves.
void scale_in_proportion(const Doc& d, const Counts& c, const std::vector<Doc>& active, DeploymentPlan& plan) {
  int64_t to_add = (c.wanted > 0 ? c.wanted + c.surge : 0) - c.total, added = 0;
  std::vector<Doc> order = active;
  // Among sets of one size, growing favours the newest and shrinking takes from the oldest.
  std::sort(order.begin(), order.end(), [to_add](const Doc& a, const Doc& b) {
    if (replicas_of(a) != replicas_of(b)) return replicas_of(a) > replicas_of(b);
    return to_add > 0 ? created(a) > created(b) : created(a) < created(b);
  });
  std::vector<int64_t> sizes;
  for (const Doc& rs : order) {
    int64_t left = to_add - added, part = share(d, c, rs, to_add);
    part = to_add > 0 ? std::clamp<int64_t>(part, 0, std::max<int64_t>(left, 0)) : std::clamp<int64_t>(part, std::min<int64_t>(left, 0), 0);
    sizes.push_back(replicas_of(rs) + part);
    added += part;
  }
  if (!sizes.empty()) sizes[0] = std::max<int64_t>(0, sizes[0] + to_add - added);
  for (size_t i = 0; i < order.size(); ++i)
    if (sizes[i] != replicas_of(order[i])) plan.scale.emplace_back(name_of(order[i]), sizes[i]);
}

// The count changed, or nothing may roll: the only set with pods (or the newest) takes the count, several share it.
void scale_only(const Doc& d, const Counts& c, const Doc* fresh, const std::vector<Doc>& old, const std::vector<Doc>& active, DeploymentPlan& plan) {
  if (active.size() > 1) {
    bool saturated = fresh && replicas_of(*fresh) == c.wanted && available_of(*fresh) == c.wanted && fresh->path("metadata.annotations")[kDesired].equals(std::to_string(c.wanted));
    if (saturated) {
      for (const Doc& rs : old)
        if (replicas_of(rs) > 0) plan.scale.emplace_back(name_of(rs), 0);
    } else if (!is_recreate(d)) {
      scale_in_proportion(d, c, active, plan);
    }
    return;
  }
  const Doc* one = active.empty() ? fresh : &active[0];
  for (const Doc& rs : old)
    if (active.empty() && !fresh && (!one || created(rs) > created(*one))) one = &rs;
  if (one && replicas_of(*one) != c.wanted) plan.scale.emplace_back(name_of(*one), c.wanted);
}

void condition(Node& list, Value old, const char* type, bool value, const std::string& reason, const std::string& message, Instant now) {
  std::string since = rfc3339(now), updated = since;
  for (Value c : old.items()) {
    if (!c["type"].equals(type)) continue;
    if (c["status"].equals(value ? "True" : "False")) since = c["lastTransitionTime"].str(since);
    if (c["status"].equals(value ? "True" : "False") && c["reason"].equals(reason) && c["message"].equals(message)) updated = c["lastUpdateTime"].str(updated);
  }
  list.append(Node::obj({{"type", type}, {"status", value ? "True" : "False"}, {"lastUpdateTime", updated}, {"lastTransitionTime", since}, {"reason", reason}, {"message", message}}));
}

Node make_status(const Doc& d, const std::vector<Doc>& sets, const Doc* fresh, const Counts& c, const DeploymentPlan& plan, Instant now) {
  int64_t replicas = 0, ready = 0, available = 0, terminating = 0, updated = fresh ? fresh->path("status.replicas").int_or(0) : 0;
  for (const Doc& rs : sets) {
    replicas += rs.path("status.replicas").int_or(0);
    ready += rs.path("status.readyReplicas").int_or(0);
    available += rs.path("status.availableReplicas").int_or(0);
    terminating += rs.path("status.terminatingReplicas").int_or(0);
  }
  Node s = Node::obj({{"observedGeneration", d.path("metadata.generation").int_or(0)}});
  if (replicas) s.set("replicas", replicas);
  if (updated) s.set("updatedReplicas", updated);
  if (ready) s.set("readyReplicas", ready);
  if (available) s.set("availableReplicas", available);
  if (terminating) s.set("terminatingReplicas", terminating);
  if (c.total > available) s.set("unavailableReplicas", c.total - available);
  Node conditions = Node::array();
  Value old = d.path("status.conditions");
  bool enough = available >= c.wanted - c.unavailable;
  condition(conditions, old, "Available", enough, enough ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable", enough ? "Deployment has minimum availability." : "Deployment does not have minimum availability.", now);
  std::string name = fresh ? name_of(*fresh) : name_of(d) + "-" + template_hash(d);
  bool complete = fresh && updated == c.wanted && replicas == c.wanted && available >= c.wanted && fresh->path("status.observedGeneration").int_or(0) >= fresh->path("metadata.generation").int_or(0);
  Value progressing;
  for (Value x : old.items())
    if (x["type"].equals("Progressing")) progressing = x;
  Value before = d["status"];
  bool moved = updated > before["updatedReplicas"].int_or(0) || ready > before["readyReplicas"].int_or(0) || available > before["availableReplicas"].int_or(0) ||
               replicas - updated < before["replicas"].int_or(0) - before["updatedReplicas"].int_or(0);
  if (d.path("spec.paused").bool_or(false)) {
    condition(conditions, old, "Progressing", true, "DeploymentPaused", "Deployment is paused", now);
  } else if (complete) {
    condition(conditions, old, "Progressing", true, "NewReplicaSetAvailable", "ReplicaSet \"" + name + "\" has successfully progressed.", now);
  } else if (plan.create_new) {
    condition(conditions, old, "Progressing", true, "NewReplicaSetCreated", "Created new replica set \"" + name + "\"", now);
  } else {
    auto since = parse_rfc3339(progressing["lastUpdateTime"].str());
    bool was_done = progressing["reason"].equals("NewReplicaSetAvailable");
    int64_t deadline = d.path("spec.progressDeadlineSeconds").int_or(600);
    bool late = !moved && !was_done && since && now - *since > seconds(deadline);
    if (late || (progressing["reason"].equals("ProgressDeadlineExceeded") && !moved)) condition(conditions, old, "Progressing", false, "ProgressDeadlineExceeded", "ReplicaSet \"" + name + "\" has timed out progressing.", now);
    else if (moved || was_done || !progressing) condition(conditions, json::Value(), "Progressing", true, "ReplicaSetUpdated", "ReplicaSet \"" + name + "\" is progressing.", now);
    else conditions.append(progressing.to_node());
  }
  // A condition that did not change its status keeps its transition time.
  for (Node& x : conditions.items())
    for (Value o : old.items())
      if (o["type"].equals(x.get("type").str()) && o["status"].equals(x.get("status").str())) x.set("lastTransitionTime", o["lastTransitionTime"].str());
  s.set("conditions", std::move(conditions));
  return s;
}

}  // namespace

std::pair<std::string, std::string> size_annotations(const Doc& d) {
  Counts c = count(d, {});
  return {std::to_string(c.wanted), std::to_string(c.wanted + c.surge)};
}

int64_t int_or_percent(Value v, int64_t total, bool round_up, int64_t otherwise) {
  if (!v) return otherwise;
  if (!v.is_string()) return v.int_or(otherwise);
  std::string t = v.str();
  auto n = t.ends_with('%') ? parse_int(t.substr(0, t.size() - 1)) : std::nullopt;
  if (!n) return otherwise;
  return (*n * total + (round_up ? 99 : 0)) / 100;
}

std::string template_hash(const Doc& d) {
  return safe_hash(plain_template(d.path("spec.template")).dump() + "/" + std::to_string(d.path("status.collisionCount").int_or(0)));
}

const Doc* find_new_set(const Doc& d, const std::vector<Doc>& sets) {
  Node wanted = plain_template(d.path("spec.template"));
  const Doc* found = nullptr;
  for (const Doc& rs : sets)
    if (plain_template(rs.path("spec.template")) == wanted && (!found || created(rs) < created(*found))) found = &rs;
  return found;
}

DeploymentPlan plan_deployment(const Doc& d, const std::vector<Doc>& sets, Instant now) {
  DeploymentPlan plan;
  const Doc* fresh = find_new_set(d, sets);
  std::vector<Doc> old, active;
  int64_t highest_old = 0, old_pods = 0;
  for (const Doc& rs : sets) {
    if (replicas_of(rs) > 0) active.push_back(rs);
    if (fresh && name_of(rs) == name_of(*fresh)) continue;
    old.push_back(rs);
    highest_old = std::max(highest_old, revision_of(rs));
    old_pods += replicas_of(rs) + rs.path("status.replicas").int_or(0) + rs.path("status.terminatingReplicas").int_or(0);
  }
  Counts c = count(d, sets);
  plan.revision = fresh && revision_of(*fresh) > highest_old ? revision_of(*fresh) : highest_old + 1;
  if (fresh && revision_of(*fresh) != plan.revision) plan.revise = name_of(*fresh);
  bool paused = d.path("spec.paused").bool_or(false);

  bool recreate = is_recreate(d), resized = false;  // the count changed in the middle of a rollout
  for (const Doc& rs : active) {
    auto desired = parse_int(rs["metadata"]["annotations"][kDesired].str());
    resized |= desired && *desired != c.wanted;
  }
  if (paused || resized) {
    scale_only(d, c, fresh, old, active, plan);
  } else {
    int64_t replicas = new_set_replicas(d, c, fresh, old_pods);
    if (!fresh) {
      plan.create_new = !recreate || old_pods == 0;
      plan.new_replicas = replicas;
    } else if (replicas != replicas_of(*fresh)) {
      plan.scale.emplace_back(name_of(*fresh), replicas);
    }
    if (recreate) {
      for (const Doc& rs : old)
        if (replicas_of(rs) > 0) plan.scale.emplace_back(name_of(rs), 0);
    } else {
      scale_down_old(c, fresh, old, plan);
    }
  }
  plan.status = make_status(d, sets, fresh, c, plan, now);
  if (d["status"]["collisionCount"]) plan.status.set("collisionCount", d["status"]["collisionCount"].int_or(0));

  // History goes only when nobody could want to go back into it: a rollout that is not through may be undone.
  bool complete = plan.status.get("updatedReplicas").int_or(0) == c.wanted && plan.status.get("replicas").int_or(0) == c.wanted && plan.status.get("availableReplicas").int_or(0) == c.wanted;
  if (!complete && !paused) return plan;
  auto limit = static_cast<size_t>(std::max<int64_t>(0, d.path("spec.revisionHistoryLimit").int_or(10)));
  std::vector<Doc> idle;
  for (const Doc& rs : old)
    if (replicas_of(rs) == 0 && rs.path("status.replicas").int_or(0) == 0 && rs.path("status.observedGeneration").int_or(0) >= rs.path("metadata.generation").int_or(0) && !rs.path("metadata.deletionTimestamp")) idle.push_back(rs);
  std::sort(idle.begin(), idle.end(), [](const Doc& a, const Doc& b) { return revision_of(a) < revision_of(b); });
  for (size_t i = 0; i + limit < idle.size(); ++i) plan.remove.push_back(name_of(idle[i]));
  return plan;
}

}  // namespace k8lite::controllers
