#include "controllers/context.h"

#include "base/strings.h"

namespace k8lite::controllers {

json::Value controller_of(json::Value object) {
  for (json::Value o : object["metadata"]["ownerReferences"].items())
    if (o["controller"].bool_or(false)) return o;
  return {};
}

json::Node owner_reference(const json::Doc& owner) {
  return json::Node::obj({{"apiVersion", owner["apiVersion"].str()}, {"kind", owner["kind"].str()}, {"name", name_of(owner)}, {"uid", uid_of(owner)}, {"controller", true}, {"blockOwnerDeletion", true}});
}

bool pod_is_active(json::Value pod) {
  std::string phase = pod.path("status.phase").str();
  return phase != "Succeeded" && phase != "Failed" && !pod.path("metadata.deletionTimestamp");
}

bool pod_is_ready(json::Value pod) {
  for (json::Value c : pod.path("status.conditions").items())
    if (c["type"].equals("Ready")) return c["status"].equals("True");
  return false;
}

bool pod_is_available(json::Value pod, int64_t min_ready_seconds, Instant now) {
  if (!pod_is_ready(pod)) return false;
  if (min_ready_seconds == 0) return true;
  for (json::Value c : pod.path("status.conditions").items())
    if (c["type"].equals("Ready"))
      if (auto since = parse_rfc3339(c["lastTransitionTime"].str())) return now - *since >= seconds(min_ready_seconds);
  return false;
}

std::string safe_hash(std::string_view text) {
  static constexpr char kAlphabet[] = "bcdfghjklmnpqrstvwxz2456789";
  uint64_t h = fnv1a64(text);
  std::string out;
  for (int i = 0; i < 10; ++i, h /= 27) out += kAlphabet[h % 27];
  return out;
}

void set_condition(json::Node& list, json::Value old, std::string_view type, std::string_view status, std::string_view reason, std::string_view message, Instant now) {
  std::string since = rfc3339(now);
  for (json::Value c : old.items())
    if (c["type"].equals(type) && c["status"].equals(status)) since = c["lastTransitionTime"].str(since);
  json::Node c = json::Node::obj({{"type", type}, {"status", status}, {"lastTransitionTime", since}});
  if (!reason.empty()) c.set("reason", reason);
  if (!message.empty()) c.set("message", message);
  for (json::Node& have : list.items())
    if (have.get("type").str() == type) {
      have = std::move(c);
      return;
    }
  list.append(std::move(c));
}

Result<> write_status(machinery::Client& client, machinery::Path kind, const json::Doc& object, const json::Node& status, const machinery::WriteOptions& options, json::Doc* written) {
  if (status == object["status"].to_node()) return {};
  kind.ns = namespace_of(object);
  kind.name = name_of(object);
  kind.subresource = "status";
  json::Node patch = json::Node::arr({json::Node::obj({{"op", "test"}, {"path", "/metadata/uid"}, {"value", uid_of(object)}}), json::Node::obj({{"op", "add"}, {"path", "/status"}, {"value", status}})});
  auto r = client.patch(kind, machinery::PatchType::Json, patch.dump(), options);
  if (!r.ok() && !r.status().is(Reason::NotFound)) return r.status();
  if (r.ok() && written) *written = *r;
  return {};
}

}  // namespace k8lite::controllers
