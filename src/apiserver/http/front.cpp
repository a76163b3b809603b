// Every request passes here: who asks, what for, and may they.
#include "apiserver/http/front.h"

#include "apiserver/authn/impersonation.h"
#include "base/yaml.h"

namespace k8lite::apiserver {
namespace {

using async::Task;
using json::Node;

}  // namespace

Status forbidden(const RequestInfo& r, const authz::User& user) {
  if (!r.is_resource) return Status(Reason::Forbidden, "forbidden: User " + json::quoted(user.name) + " cannot " + r.verb + " path " + json::quoted(r.path));
  std::string resource = r.resource + (r.subresource.empty() ? "" : "/" + r.subresource) + (r.group.empty() ? "" : "." + r.group);
  std::string text = resource + (r.name.empty() ? "" : " " + json::quoted(r.name)) + " is forbidden: User " + json::quoted(user.name) + " cannot " + r.verb + " resource " +
                     json::quoted(r.resource + (r.subresource.empty() ? "" : "/" + r.subresource)) + " in API group " + json::quoted(r.group);
  text += r.ns.empty() ? " at the cluster scope" : " in the namespace " + json::quoted(r.ns);
  Status s(Reason::Forbidden, text);
  StatusDetails d;
  d.name = r.name;
  d.group = r.group;
  d.kind = r.resource;
  return s.set_details(std::move(d));
}

Task<void> send_status(net::ResponseWriter& response, Status status) {
  net::Headers headers = json_headers();
  if (status.is(Reason::Unauthorized)) headers.add("WWW-Authenticate", "Bearer realm=\"k8lite\"");
  if (int s = status.details().retry_after_seconds) headers.add("Retry-After", std::to_string(s));
  (void)co_await response.send(http_code(status.reason()), headers, status_object(status).dump());
}

net::Headers json_headers(bool yaml) {
  return {{"Content-Type", yaml ? "application/yaml" : "application/json"}, {"Cache-Control", "no-cache, private"}};
}

Task<void> Front::send(net::ResponseWriter& response, int status, std::string body, bool yaml, const std::vector<std::string>& warnings) {
  net::Headers headers = json_headers(yaml);
  for (const auto& w : warnings) headers.add("Warning", "299 - " + json::quoted(w));
  if (yaml) {
    auto node = Node::parse(body);
    if (node.ok()) body = dump_yaml(*node);
  }
  (void)co_await response.send(status, headers, std::move(body));
}

Result<authn::Identity> Front::identify(const net::Request& request) {
  TRY(authn::Identity identity, authenticator_.authenticate(request.peer(), request.headers.get("Authorization")));
  return authn::impersonate(std::move(identity), request.headers, [this](const authz::User& user, const RequestInfo& info) { return authorizer_.allows(user, info); });
}

Task<void> Front::handle(net::Request& request, net::ResponseWriter& response) {
  for (auto& other : extra)
    if (co_await other(request, response)) co_return;
  auto identity = identify(request);
  if (!identity.ok()) co_return co_await send_status(response, identity.status());
  auto info = read_request_info(request.method, request.path, request.query.get("watch"), request.query.get("fieldSelector"));
  if (!info.ok()) co_return co_await send_status(response, info.status());
  auto place = in_flight_.take(*info, identity->user);
  if (place.refused()) co_return co_await send_status(response, InFlight::too_many());
  Call call{request, response, *info, *identity};
  if (!authorizer_.allows(call.identity.user, call.info)) {
    ++requests_[{call.info.verb, 403}];
    co_return co_await send_status(response, forbidden(call.info, call.identity.user));
  }
  ++requests_[{call.info.verb, 200}];
  if (call.info.is_resource) co_await serve_resource(call);
  else co_await serve_meta(call);
}

}  // namespace k8lite::apiserver
