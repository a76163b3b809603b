#include "apiserver/http/request_metrics.h"

#include <algorithm>

#include "base/strings.h"

namespace k8lite::apiserver {
namespace {

using metrics::Labels;

std::string_view verb_of(const net::Request& request, const RequestInfo& info) {
  static constexpr std::pair<std::string_view, std::string_view> kVerbs[] = {{"get", "GET"},
                                                                             {"head", "GET"},
                                                                             {"list", "LIST"},
                                                                             {"watch", "WATCH"},
                                                                             {"create", "POST"},
                                                                             {"post", "POST"},
                                                                             {"update", "PUT"},
                                                                             {"put", "PUT"},
                                                                             {"patch", "PATCH"},
                                                                             {"delete", "DELETE"},
                                                                             {"deletecollection", "DELETECOLLECTION"},
                                                                             {"options", "OPTIONS"}};
  if (info.is_resource)
    for (std::string_view streaming : {"exec", "attach", "portforward", "proxy"})
      if (info.subresource == streaming) return "CONNECT";
  if (info.verb == "patch" && request.headers.get("Content-Type").starts_with("application/apply-patch"))
    return "APPLY";
  for (auto [verb, shown] : kVerbs)
    if (info.verb == verb) return shown;
  return "other";
}

// The paths that have a name of their own; any other is "".
std::string_view path_label(const std::string& path) {
  for (std::string_view known : {"/healthz", "/livez", "/readyz", "/metrics", "/version", "/api", "/apis",
                                 "/openapi/v2", "/openapi/v3", "/openid/v1/jwks"})
    if (path.starts_with(known) && (path.size() == known.size() || path[known.size()] == '/')) return known;
  return "";
}

Labels labels_of(const RequestMetrics::Subject& s, bool dry_run) {
  Labels l;
  l.add("verb", s.verb);
  if (dry_run) l.add("dry_run", s.dry_run ? "All" : "");
  l.add("group", s.group)
      .add("version", s.version)
      .add("resource", s.resource)
      .add("subresource", s.subresource)
      .add("scope", s.scope)
      .add("component", "apiserver");
  return l;
}

}  // namespace

RequestMetrics::Subject RequestMetrics::subject(const net::Request& request, const RequestInfo& info,
                                                const ResourceType* type) {
  Subject s;
  s.verb = verb_of(request, info);
  if (info.is_resource)
    s.scope = !info.name.empty() || info.verb == "create" ? "resource" : !info.ns.empty() ? "namespace" : "cluster";
  if (type) {
    s.group = type->row->group, s.version = type->row->version, s.resource = type->row->plural,
    s.kind = type->row->kind;
    for (const auto& sub : type->row->subresources)
      if (info.subresource == sub.name) s.subresource = sub.name;
  } else if (!info.is_resource) {
    s.subresource = path_label(info.path);
  }
  s.dry_run = request.query.has("dryRun");
  s.mutating = s.verb != "GET" && s.verb != "LIST" && s.verb != "WATCH";
  s.long_running = s.verb == "WATCH" || s.verb == "CONNECT" || (info.is_resource && info.subresource == "log");
  return s;
}

metrics::Series& RequestMetrics::in_flight(const Subject& s) {
  if (s.long_running) return long_running_.at(labels_of(s, false));
  return in_flight_.at(Labels().add("request_kind", s.mutating ? "mutating" : "readOnly"));
}

void RequestMetrics::begin(const Subject& s) {
  in_flight(s).add();
  if (s.verb == "WATCH")
    watchers_.at(Labels().add("group", s.group).add("version", s.version).add("kind", s.kind)).add();
}

void RequestMetrics::end(const Subject& s, int code, Duration took, size_t bytes) {
  in_flight(s).add(-1);
  if (s.verb == "WATCH")
    watchers_.at(Labels().add("group", s.group).add("version", s.version).add("kind", s.kind)).add(-1);
  Labels l = labels_of(s, true);
  durations_.at(l).observe(static_cast<double>(took.count()) / 1e6);
  char text[8] = {};
  for (int i = 2, n = std::clamp(code, 0, 999); i >= 0; --i, n /= 10) text[i] = static_cast<char>('0' + n % 10);
  requests_.at(l.add("code", text)).add();
  if (s.verb == "GET" || s.verb == "LIST") sizes_.at(labels_of(s, false)).observe(static_cast<double>(bytes));
}

void RequestMetrics::deprecated(const Subject& s) {
  deprecated_
      .at(Labels()
              .add("group", s.group)
              .add("version", s.version)
              .add("resource", s.resource)
              .add("subresource", s.subresource)
              .add("removed_release", ""))
      .set(1);
}

void RequestMetrics::write(std::string& out) const {
  requests_.write(out);
  durations_.write(out);
  // Without the finest two, as Kubernetes shows what its service level is measured by. Nothing waits for webhooks here.
  durations_.write_as(out, "apiserver_request_sli_duration_seconds",
                      "How long requests took, in seconds, without what others are waited for.",
                      metrics::Bounds(kSeconds).subspan(2));
  for (const auto* family : {&sizes_, &in_flight_, &long_running_, &watchers_, &attempts_, &decisions_, &deprecated_})
    family->write(out);
}

}  // namespace k8lite::apiserver
