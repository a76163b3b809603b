#include "apiserver/audit/event.h"

#include <algorithm>

#include "base/strings.h"

namespace k8lite::apiserver::audit {
namespace {

using json::Node;

Node without_managed_fields(const std::string& text, bool omit) {
  auto n = Node::parse(text);
  if (!n.ok()) return {};
  if (!omit || !n->is_object()) return std::move(n).value();
  auto strip = [](Node& object) {
    if (Node* meta = object.find("metadata")) meta->erase("managedFields");
  };
  strip(*n);
  if (Node* items = n->find("items"))
    for (Node& item : items->items()) strip(item);
  return std::move(n).value();
}

Node object_reference(const RequestInfo& q, const Node& request, const Node& response) {
  Node ref = Node::object();
  auto set = [&ref](const char* name, const std::string& value) {
    if (!value.empty()) ref.set(name, value);
  };
  // What is created has its name in its body, or in the answer when the server made it.
  const Node& meta = response.get("metadata").exists() ? response.get("metadata") : request.get("metadata");
  bool one = q.verb != "list" && q.verb != "watch" && q.verb != "deletecollection";
  set("resource", q.resource);
  set("namespace", q.ns);
  set("name", q.name.empty() && one ? meta.get("name").str() : q.name);
  if (one) set("uid", meta.get("uid").str());
  set("apiGroup", q.group);
  set("apiVersion", q.version);
  if (one) set("resourceVersion", meta.get("resourceVersion").str());
  set("subresource", q.subresource);
  return ref;
}

Node response_status(const Record& r, const Node& body) {
  Node status = Node::obj({{"metadata", Node::object()}});
  if (body.get("kind").str() == "Status")
    for (const char* f : {"status", "message", "reason", "details"})
      if (body.get(f).exists()) status.set(f, body.get(f));
  status.set("code", r.code);
  return status;
}

}  // namespace

std::string event_line(const Record& r, Stage stage, Instant now) {
  Node request =
      r.request_object.empty() ? Node() : without_managed_fields(r.request_object, r.decision.omit_managed_fields);
  Node response =
      r.response_object.empty() ? Node() : without_managed_fields(r.response_object, r.decision.omit_managed_fields);
  Node e = Node::obj({{"kind", "Event"},
                      {"apiVersion", "audit.k8s.io/v1"},
                      {"level", level_name(r.decision.level)},
                      {"auditID", r.audit_id},
                      {"stage", stage_name(stage)},
                      {"requestURI", r.uri},
                      {"verb", r.info.verb},
                      {"user", authn::user_info(r.user)}});
  if (r.impersonated) e.set("impersonatedUser", authn::user_info(*r.impersonated));
  for (const auto& a : r.source_addresses) e["sourceIPs"].append(a);
  if (!r.user_agent.empty()) e.set("userAgent", r.user_agent);
  if (r.info.is_resource)
    e.set("objectRef", object_reference(r.info, request, response.get("kind").str() == "Status" ? Node() : response));
  if (r.code) e.set("responseStatus", response_status(r, response));
  if (!r.request_object.empty() && r.wants_request()) e.set("requestObject", std::move(request));
  if (!r.response_object.empty() && r.wants_response()) e.set("responseObject", std::move(response));
  e.set("requestReceivedTimestamp", rfc3339_micro(r.received));
  e.set("stageTimestamp", rfc3339_micro(now));
  for (const auto& [key, value] : r.annotations) e["annotations"].set(key, value);
  std::string out = e.dump();
  out += '\n';
  return out;
}

std::vector<std::string> source_addresses(const net::Headers& headers, const std::string& peer) {
  constexpr size_t kMost = 16, kLongest = 45;  // of an IPv6 address with an IPv4 tail
  std::vector<std::string> out;
  auto add = [&out](std::string_view text) {
    bool address =
        !text.empty() && text.size() <= kLongest && text.find_first_not_of("0123456789abcdefABCDEF.:") == text.npos;
    if (address && out.size() < kMost) out.emplace_back(text);
  };
  for (auto one : split(headers.get("X-Forwarded-For"), ',')) add(trim(one));
  if (std::string_view real = trim(headers.get("X-Real-Ip")); std::find(out.begin(), out.end(), real) == out.end())
    add(real);
  if (!peer.empty() && (out.empty() || out.back() != peer)) out.push_back(peer);
  return out;
}

}  // namespace k8lite::apiserver::audit
