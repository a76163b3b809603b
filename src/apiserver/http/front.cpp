// Every request passes here: who asks, what for, and may they.
#include "apiserver/http/front.h"

#include <cstdio>

#include "apiserver/authn/impersonation.h"
#include "apiserver/http/negotiate.h"
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

Front::Front(async::Loop& loop, Rest& rest, authz::Authorizer& authorizer, const authn::Authenticator& authenticator, const Clock& clock, Random& random, audit::Auditor* auditor, const ApiServerOptions& options)
    : loop_(loop), rest_(rest), authorizer_(authorizer), authenticator_(authenticator), clock_(clock), options_(options), auditor_(auditor), id_seed_{random.next(), random.next()} {}

// The client's own, or one that looks like a UUID. It is no secret: a seed and a count spare every request the system's randomness.
std::string Front::next_audit_id(const net::Request& request) {
  constexpr size_t kLongest = 64;
  if (auto given = request.headers.get("Audit-Id"); !given.empty() && given.size() <= kLongest && given.find_first_not_of("0123456789abcdefABCDEFghijklmnopqrstuvwxyzGHIJKLMNOPQRSTUVWXYZ-_.") == given.npos) return std::string(given);
  auto mix = [](uint64_t x) {  // splitmix64
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  };
  uint64_t n = ++id_count_, high = mix(id_seed_[0] + n * 0x9e3779b97f4a7c15), low = mix(id_seed_[1] + n * 0x9e3779b97f4a7c15);
  char text[40];
  std::snprintf(text, sizeof text, "%08x-%04x-4%03x-%04x-%012llx", static_cast<unsigned>(high >> 32), static_cast<unsigned>(high >> 16 & 0xffff), static_cast<unsigned>(high & 0xfff), static_cast<unsigned>(0x8000 | (low >> 48 & 0x3fff)),
                static_cast<unsigned long long>(low & 0xffffffffffff));
  return text;
}

namespace {

// Kinds that Kubernetes 1.36 still serves and tells clients to leave.
struct Deprecated {
  std::string_view resource, warning;
};
constexpr Deprecated kDeprecated[] = {
    {"componentstatuses", "v1 ComponentStatus is deprecated in v1.19+"},
    {"endpoints", "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"},
};

std::string_view deprecation_of(const RequestMetrics::Subject& s) {
  if (!s.group.empty() || s.version != "v1") return {};
  for (const auto& d : kDeprecated)
    if (s.resource == d.resource) return d.warning;
  return {};
}

}  // namespace

Task<void> Front::handle(net::Request& request, net::ResponseWriter& response) {
  for (auto& other : extra)
    if (co_await other(request, response)) co_return;
  Duration began = clock_.mono();
  Exchange exchange(response, next_audit_id(request));
  exchange.pretty = wants_pretty(request) && !request.path.starts_with("/openapi/");
  auto info = read_request_info(request.method, request.path, request.query.get("watch"), request.query.get("fieldSelector"));
  if (!info.ok()) co_return co_await send_status(exchange, info.status());
  auto type = info->is_resource ? rest_.types().find(info->group, info->version, info->resource) : nullptr;
  RequestMetrics::Subject subject = RequestMetrics::subject(request, *info, type.get());
  if (auto warning = deprecation_of(subject); !warning.empty()) {
    metrics_.deprecated(subject);
    exchange.warnings.emplace_back(warning);
  }
  exchange.long_running = subject.long_running;
  metrics_.begin(subject);
  co_await serve(request, exchange, *info);
  metrics_.end(subject, exchange.code(), clock_.mono() - began, exchange.bytes());
  if (exchange.record) auditor_->tell(*exchange.record, audit::kResponseComplete);
}

// Who asks, in whose name, and from here on the audit log knows of it.
Result<authn::Identity> Front::admit(const net::Request& request, Exchange& exchange, const RequestInfo& info) {
  auto identity = authenticator_.authenticate(request.peer(), request.headers.get("Authorization"));
  metrics_.authenticated(identity.ok());
  if (auditor_) exchange.record = auditor_->begin(identity.ok() ? *identity : authn::Identity{}, info, exchange.audit_id());
  if (auto* record = exchange.record.get()) {
    record->uri = request.target;
    record->user_agent = request.headers.get("User-Agent");
    record->source_addresses = audit::source_addresses(request.headers, request.peer().address);
    if (!identity.ok()) return Status(Reason::Unauthorized, "Unauthorized");
    auditor_->tell(*record, audit::kRequestReceived);
    exchange.on_start = [this, record] { auditor_->tell(*record, audit::kResponseStarted); };
  }
  if (!identity.ok()) return identity;
  TRY(auto acting, authn::impersonate(*identity, request.headers, [this](const authz::User& user, const RequestInfo& asked) { return authorizer_.allows(user, asked); }));
  if (!acting) return identity;
  if (exchange.record) exchange.record->impersonated = *acting;
  return std::move(*acting);
}

bool Front::allowed(const Call& call) {
  bool yes;
  if (call.record) {
    auto verdict = authorizer_.decide(call.identity.user, call.info);
    yes = verdict.allowed;
    call.record->annotations = {{"authorization.k8s.io/decision", yes ? "allow" : "forbid"}, {"authorization.k8s.io/reason", verdict.reason}};
  } else {
    yes = authorizer_.allows(call.identity.user, call.info);
  }
  metrics_.authorized(yes);
  return yes;
}

Task<void> Front::serve(net::Request& request, Exchange& exchange, const RequestInfo& info) {
  auto identity = admit(request, exchange, info);
  if (!identity.ok()) co_return co_await send_status(exchange, identity.status());
  auto place = in_flight_.take(info, identity->user);
  if (place.refused()) co_return co_await send_status(exchange, InFlight::too_many());
  Call call{request, exchange, info, std::move(identity).value(), exchange.record.get(), exchange.pretty};
  if (!allowed(call)) co_return co_await send_status(exchange, forbidden(call.info, call.identity.user));
  if (call.info.is_resource) co_await serve_resource(call);
  else co_await serve_meta(call);
}

}  // namespace k8lite::apiserver
