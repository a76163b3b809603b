#include "apiserver/http/in_flight.h"

#include <algorithm>

namespace k8lite::apiserver {
namespace {

bool runs_long(const RequestInfo& r) {
  if (r.verb == "watch" || r.verb == "proxy") return true;
  for (std::string_view s : {"log", "exec", "attach", "portforward", "proxy"})
    if (r.is_resource && r.subresource == s) return true;
  return false;
}

bool checks_health(const RequestInfo& r) {
  for (std::string_view p : {"/healthz", "/livez", "/readyz"})
    if (!r.is_resource && r.path.starts_with(p)) return true;
  return false;
}

}  // namespace

InFlight::Place InFlight::take(const RequestInfo& request, const authz::User& user) {
  if (runs_long(request) || checks_health(request)) return {nullptr, false};
  Kind& kind = request.verb == "get" || request.verb == "list" ? reads_ : writes_;
  if (kind.now < kind.most) return {&++kind.now, false};
  bool privileged = std::find(user.groups.begin(), user.groups.end(), "system:masters") != user.groups.end();
  return {nullptr, !privileged};
}

Status InFlight::too_many() {
  Status s(Reason::TooManyRequests, "Too many requests, please try again later.");
  StatusDetails d;
  d.retry_after_seconds = 1;
  return s.set_details(std::move(d));
}

}  // namespace k8lite::apiserver
