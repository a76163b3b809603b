#include "apiserver/http/front.h"

#include "apiserver/authn/impersonation.h"
#include "apiserver/http/openid.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/yaml.h"
#include "pki/jwt.h"

namespace k8lite::apiserver {
namespace {

using async::Task;
using json::Node;

net::Headers json_headers(bool yaml = false) {
  return {{"Content-Type", yaml ? "application/yaml" : "application/json"}, {"Cache-Control", "no-cache, private"}};
}

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

ListParams list_params(const net::Query& q) {
  ListParams p;
  p.label_selector = q.get("labelSelector");
  p.field_selector = q.get("fieldSelector");
  p.limit = parse_int(q.get("limit")).value_or(0);
  p.continue_token = q.get("continue");
  p.resource_version = q.get("resourceVersion");
  p.resource_version_match = q.get("resourceVersionMatch");
  return p;
}

bool is_true(std::string_view v) { return v == "true" || v == "1"; }

}  // namespace

Task<void> send_status(net::ResponseWriter& response, Status status) {
  net::Headers headers = json_headers();
  if (status.is(Reason::Unauthorized)) headers.add("WWW-Authenticate", "Bearer realm=\"k8lite\"");
  if (int s = status.details().retry_after_seconds) headers.add("Retry-After", std::to_string(s));
  (void)co_await response.send(http_code(status.reason()), headers, status_object(status).dump());
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
  Call call{request, response, *info, *identity};
  if (!authorizer_.allows(call.identity.user, call.info)) {
    ++requests_[{call.info.verb, 403}];
    co_return co_await send_status(response, forbidden(call.info, call.identity.user));
  }
  ++requests_[{call.info.verb, 200}];
  if (call.info.is_resource) co_await serve_resource(call);
  else co_await serve_meta(call);
}

// ---- what is no resource ----

Task<void> Front::serve_health(Call& call) {
  bool live = call.info.path.starts_with("/livez") || call.info.path.starts_with("/healthz");
  bool good = live || ready.load();
  std::string name = call.info.path.substr(1, call.info.path.find('/', 1) - 1);
  std::string body = good ? "ok" : "[-]poststarthook failed: the server is starting\n" + name + " check failed\n";
  if (call.request.query.has("verbose")) body = std::string(good ? "[+]" : "[-]") + "ping ok\n[+]store ok\n" + name + (good ? " check passed\n" : " check failed\n");
  (void)co_await call.response.send(good ? 200 : 500, {{"Content-Type", "text/plain; charset=utf-8"}, {"X-Content-Type-Options", "nosniff"}}, body);
}

std::string Front::metrics() const {
  std::string out = "# HELP apiserver_request_total Requests by verb and code.\n# TYPE apiserver_request_total counter\n";
  for (const auto& [key, n] : requests_) out += "apiserver_request_total{verb=" + json::quoted(key.first) + ",code=\"" + std::to_string(key.second) + "\"} " + std::to_string(n) + "\n";
  out += "# HELP apiserver_longrunning_requests Open watches.\n# TYPE apiserver_longrunning_requests gauge\napiserver_longrunning_requests{verb=\"WATCH\"} " + std::to_string(watches_) + "\n";
  return out;
}

Task<void> Front::serve_openid(Call& call) {
  bool keys = call.info.path == kKeySetPath;
  Result<std::string> body = openid_configuration(authn::service_account_issuer(options_.cluster_domain), options_.advertise_address + ":" + std::to_string(options_.advertise_port));
  if (keys) {
    auto key = pki::public_key_of(options_.service_account_key_pem);
    body = key.ok() ? key_set({*key}) : Result<std::string>(key.status());
  }
  if (!body.ok()) co_return co_await send_status(call.response, body.status());
  (void)co_await call.response.send(200, {{"Content-Type", keys ? "application/jwk-set+json" : "application/json"}, {"Cache-Control", "public, max-age=3600"}}, *body);
}

Task<void> Front::serve_meta(Call& call) {
  const std::string& path = call.info.path;
  if (call.request.method != "GET" && call.request.method != "HEAD")
    co_return co_await send_status(call.response, Status(Reason::MethodNotAllowed, "the server does not allow this method on the requested resource"));
  for (const char* p : {"/healthz", "/livez", "/readyz"})
    if (path == p || path.starts_with(std::string(p) + "/")) co_return co_await serve_health(call);
  if (path == "/version" || path == "/version/")
    co_return co_await send(call.response, 200, Node::obj({{"major", "1"}, {"minor", "36"}, {"gitVersion", "v1.36.0+k8lite"}, {"gitCommit", ""}, {"gitTreeState", "clean"}, {"buildDate", "1970-01-01T00:00:00Z"}, {"goVersion", "none"}, {"compiler", "clang"}, {"platform", "linux/amd64"}}).dump(), false);
  if (path == "/metrics") {
    (void)co_await call.response.send(200, {{"Content-Type", "text/plain; version=0.0.4"}}, metrics());
    co_return;
  }
  Result<Document> document = not_found("the server could not find the requested resource");
  std::string accept(call.request.headers.get("Accept"));
  std::string content_type = "application/json";
  if (path.starts_with("/openapi/")) {
    bool protobuf = path == "/openapi/v2" && accept.find("proto-openapi") != accept.npos && accept.find("application/json") == accept.npos;
    document = openapi_.get(rest_.types(), protobuf ? std::string(kOpenApiV2Protobuf) : path);
    if (protobuf) content_type = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
  } else if ((path == "/api" || path == "/apis") && accept.find("as=APIGroupDiscoveryList") != accept.npos && accept.find("v=v2;") != accept.npos) {
    document = aggregated_discovery(rest_.types(), path == "/api");
    content_type = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
  } else if (path == kOpenidConfigurationPath || path == kKeySetPath) {
    co_return co_await serve_openid(call);
  } else if (path == "/") {
    Node paths = Node::array();
    for (const char* p : {"/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/openid/v1/jwks", "/readyz", "/version"}) paths.append(p);
    document = Document{Node::obj({{"paths", std::move(paths)}}).dump(), ""};
  } else if (path.starts_with("/api")) {
    document = discovery_document(rest_.types(), path, options_.advertise_address + ":" + std::to_string(options_.advertise_port));
  }
  if (!document.ok()) co_return co_await send_status(call.response, document.status());
  net::Headers headers{{"Content-Type", content_type}};
  if (!document->etag.empty()) headers.add("ETag", document->etag), headers.add("Vary", "Accept");
  if (!document->etag.empty() && call.request.headers.get("If-None-Match") == document->etag) {
    (void)co_await call.response.send(304, headers, "");
    co_return;
  }
  (void)co_await call.response.send(200, headers, document->body);
}

// ---- resources ----

Task<void> Front::serve_resource(Call& call) {
  const RequestInfo& i = call.info;
  auto type = rest_.types().find(i.group, i.version, i.resource);
  bool scope_fits = type && (type->row->namespaced || i.ns.empty() || type->row->plural == "namespaces");
  if (!scope_fits) co_return co_await send_status(call.response, not_found("the server could not find the requested resource"));
  Target target{type, i.ns, i.name, i.subresource};
  if (!type->row->namespaced) target.ns.clear();
  if (!i.subresource.empty() && std::none_of(type->row->subresources.begin(), type->row->subresources.end(), [&i](const auto& s) { return s.name == i.subresource; }))
    co_return co_await send_status(call.response, not_found("the server could not find the requested resource"));
  if (type->row->namespaced && target.ns.empty() && (!i.name.empty() || i.verb == "create") && type->row->group != "authorization.k8s.io")
    co_return co_await send_status(call.response, bad_request("an empty namespace may not be set when a resource name is provided"));
  for (const char* into : {"exec", "attach", "portforward"}) {
    // WebSockets begin with a GET, and are no reading all the same (Kubernetes 1.35, AuthorizePodWebsocketUpgradeCreatePermission).
    RequestInfo create = i;
    create.verb = "create";
    if (i.subresource == into && i.verb == "get" && !authorizer_.allows(call.identity.user, create)) co_return co_await send_status(call.response, forbidden(create, call.identity.user));
  }
  for (const char* streaming : {"log", "exec", "attach", "portforward"})
    if (i.subresource == streaming) co_return co_await proxy_to_node(loop_, rest_, options_.kubelet_tls, target, call.request, call.response);
  if (i.subresource == "proxy") co_return co_await send_status(call.response, Status(Reason::MethodNotAllowed, "the proxy subresource is not in this build; use port-forward"));
  if (i.verb == "list") co_return co_await serve_list(call, target);
  if (i.verb == "watch") co_return co_await serve_watch(call, target);
  if (i.verb == "get") {
    auto r = rest_.get(target);
    if (!r.ok()) co_return co_await send_status(call.response, r.status());
    co_return co_await answer(call, *r, {});
  }
  co_await serve_write(call, target);
}

Task<void> Front::answer(Call& call, const Answer& answer, const std::vector<std::string>& warnings) {
  auto accept = read_accept(call.request.headers.get("Accept"));
  if (!accept.ok()) co_return co_await send_status(call.response, accept.status());
  std::string body;
  if (answer.object && accept->form == Accept::Form::Table) {
    std::string include(call.request.query.get("includeObject"));
    body = table_text(*answer.type, {answer.object}, include, true, "{\"resourceVersion\":\"" + std::to_string(answer.object->revision) + "\"}", clock_.now());
  } else if (answer.object && accept->form == Accept::Form::PartialMetadata) {
    body = partial_metadata(*answer.type, *answer.object);
  } else {
    body = answer.text();
  }
  std::vector<std::string> all = api::warnings_of(*answer.type->row);
  all.insert(all.end(), warnings.begin(), warnings.end());
  co_await send(call.response, answer.created ? 201 : 200, std::move(body), accept->yaml, all);
}

Task<void> Front::serve_list(Call& call, Target target) {
  auto accept = read_accept(call.request.headers.get("Accept"));
  if (!accept.ok()) co_return co_await send_status(call.response, accept.status());
  if (std::find(target.type->row->verbs.begin(), target.type->row->verbs.end(), "list") == target.type->row->verbs.end())
    co_return co_await send_status(call.response, Status(Reason::MethodNotAllowed, "the server does not allow this method on the requested resource"));
  auto page = rest_.list(target, list_params(call.request.query));
  if (!page.ok()) co_return co_await send_status(call.response, page.status());
  std::string body;
  if (accept->form == Accept::Form::Table) body = table_text(*target.type, page->items, call.request.query.get("includeObject"), true, list_metadata(*page), clock_.now());
  else body = list_text(*target.type, *page, accept->form == Accept::Form::PartialMetadata);
  co_await send(call.response, 200, std::move(body), accept->yaml, api::warnings_of(*target.type->row));
}

namespace {

std::string_view event_name(machinery::WatchEvent::Type type) {
  switch (type) {
    case machinery::WatchEvent::Type::Added: return "ADDED";
    case machinery::WatchEvent::Type::Modified: return "MODIFIED";
    case machinery::WatchEvent::Type::Deleted: return "DELETED";
    case machinery::WatchEvent::Type::Bookmark: return "BOOKMARK";
    case machinery::WatchEvent::Type::Error: return "ERROR";
  }
  return {};
}

std::string bookmark_text(const ResourceType& type, int64_t revision, bool initial_end) {
  Node meta = Node::obj({{"resourceVersion", std::to_string(revision)}, {"creationTimestamp", Node()}});
  if (initial_end) meta["annotations"].set("k8s.io/initial-events-end", "true");
  return Node::obj({{"kind", type.row->kind}, {"apiVersion", api_version(type.object)}, {"metadata", std::move(meta)}}).dump();
}

std::string event_line(std::string_view name, std::string_view object) {
  std::string out = "{\"type\":\"";
  out.append(name).append("\",\"object\":").append(object).append("}\n");
  return out;
}

}  // namespace

Task<void> Front::serve_watch(Call& call, Target target) {
  auto accept = read_accept(call.request.headers.get("Accept"));
  if (!accept.ok()) co_return co_await send_status(call.response, accept.status());
  const net::Query& q = call.request.query;
  ListParams params = list_params(q);
  if (!target.name.empty()) params.field_selector = "metadata.name=" + target.name;
  auto watch = rest_.watch(target, params, is_true(q.get("sendInitialEvents")));
  if (!watch.ok() && !watch.status().is(Reason::Expired)) co_return co_await send_status(call.response, watch.status());
  (void)co_await call.response.start(200, {{"Content-Type", "application/json"}, {"Cache-Control", "no-cache, private"}});
  if (!watch.ok()) {
    (void)co_await call.response.write(event_line("ERROR", status_object(watch.status()).dump()));
    (void)co_await call.response.finish();
    co_return;
  }
  auto wake = std::make_shared<async::Notify>();
  auto gone = std::make_shared<std::atomic<bool>>(false);
  call.response.on_disconnect([wake, gone] {
    *gone = true;
    wake->notify();
  });
  (*watch)->on_ready([wake] { wake->notify(); });
  Retirement* retirement = target.type->retirement.get();
  auto listening = retirement ? retirement->listen([wake] { wake->notify(); }) : nullptr;
  constexpr int64_t kDefaultSeconds = 1800;
  int64_t limit = parse_int(q.get("timeoutSeconds")).value_or(0);
  auto deadline = clock_.mono() + seconds(limit > 0 ? limit : kDefaultSeconds + static_cast<int64_t>(fnv1a32(call.request.target) % kDefaultSeconds));
  bool bookmarks = is_true(q.get("allowWatchBookmarks")), first_table = true;
  ++watches_;
  for (bool ended = false; !ended && !*gone;) {
    auto items = (*watch)->poll();
    std::string out;
    if (!items.ok()) {
      out = event_line("ERROR", status_object(items.status()).dump());
      ended = true;
    } else {
      for (const WatchItem& item : *items) {
        if (!item.object) {
          out += event_line("BOOKMARK", bookmark_text(*target.type, item.revision, true));
        } else if (accept->form == Accept::Form::Table) {
          out += event_line(event_name(item.type), table_text(*target.type, {item.object}, q.get("includeObject"), first_table, "{\"resourceVersion\":\"" + std::to_string(item.revision) + "\"}", clock_.now()));
          first_table = false;
        } else {
          out += event_line(event_name(item.type), accept->form == Accept::Form::PartialMetadata ? partial_metadata(*target.type, *item.object) : served(item.object->doc, item.object->revision, target.type->object));
        }
      }
    }
    if (!out.empty()) {
      if (!(co_await call.response.write(out)).ok()) break;
      continue;
    }
    Duration left = deadline - clock_.mono();
    if (left <= Duration{0} || (retirement && retirement->retired())) break;
    co_await wake->wait_for(loop_, left);
  }
  --watches_;
  (*watch)->close();
  if (*gone) co_return;
  if (bookmarks) (void)co_await call.response.write(event_line("BOOKMARK", bookmark_text(*target.type, (*watch)->revision(), false)));
  (void)co_await call.response.finish();
}

Task<Result<Answer>> Front::write(Call& call, Target target, std::vector<std::string>& warnings) {
  const net::Query& q = call.request.query;
  CO_TRY(std::string body, co_await call.request.read_body(kMaxBody));
  WriteParams p;
  p.caller = call.identity;
  p.warnings = &warnings;
  for (auto d : q.all("dryRun")) {
    if (d != "All") co_return bad_request("dryRun: Unsupported value: " + json::quoted(d) + ": supported values: \"All\"");
    p.dry_run = true;
  }
  p.field_manager = q.get("fieldManager");
  p.user_agent = call.request.headers.get("User-Agent");
  if (std::string_view v = q.get("fieldValidation"); !v.empty()) p.field_validation = v;
  if (p.field_validation != "Ignore" && p.field_validation != "Warn" && p.field_validation != "Strict")
    co_return bad_request("fieldValidation: Unsupported value: " + json::quoted(p.field_validation) + ": supported values: \"Ignore\", \"Strict\", \"Warn\"");
  p.force = is_true(q.get("force"));
  p.force_given = q.has("force");
  std::string_view type = call.request.headers.get("Content-Type");
  if (target.type->row->custom && target.subresource != "scale" && type.find("vnd.kubernetes.protobuf") != type.npos && call.info.verb.find("delete") == std::string::npos)
    co_return Status(Reason::UnsupportedMediaType, "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml");
  const std::string& verb = call.info.verb;
  if (verb == "delete" || verb == "deletecollection") {
    DeleteRequest r;
    if (!body.empty()) {
      CO_TRY(Node o, read_object_body(type, body, nullptr));
      if (o.get("gracePeriodSeconds").is_integer()) r.grace_seconds = o.get("gracePeriodSeconds").int_or(0);
      r.propagation = o.get("propagationPolicy").str();
      if (o.get("orphanDependents").is_bool() && r.propagation.empty()) r.propagation = o.get("orphanDependents").bool_or(false) ? "Orphan" : "Background";
      r.uid = o.path("preconditions.uid").str();
      r.resource_version = o.path("preconditions.resourceVersion").str();
      if (o.get("dryRun").size()) p.dry_run = true;
    }
    if (auto g = parse_int(q.get("gracePeriodSeconds"))) r.grace_seconds = *g;
    if (!q.get("propagationPolicy").empty()) r.propagation = q.get("propagationPolicy");
    if (verb == "delete") co_return co_await rest_.remove(target, r, p);
    co_return co_await rest_.remove_collection(target, list_params(q), r, p);
  }
  if (verb == "patch") {
    std::string t = lower(trim(type.substr(0, type.find(';'))));
    machinery::PatchType patch_type;
    if (t == "application/json-patch+json") patch_type = machinery::PatchType::Json;
    else if (t == "application/merge-patch+json") patch_type = machinery::PatchType::Merge;
    else if (t == "application/strategic-merge-patch+json") patch_type = machinery::PatchType::StrategicMerge;
    else if (t == "application/apply-patch+yaml") patch_type = machinery::PatchType::Apply;
    else co_return Status(Reason::UnsupportedMediaType, "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml");
    bool applies = patch_type == machinery::PatchType::Apply;
    auto read = read_object_body(applies ? "application/yaml" : "application/json", body, &p.duplicates);
    if (!read.ok() && applies) co_return std::move(read).status().within("error decoding YAML");
    CO_TRY(Node patch, std::move(read));
    co_return co_await rest_.patch(target, patch_type, std::move(patch), p);
  }
  CO_TRY(Node object, read_object_body(type, body, &p.duplicates));
  if (verb == "create") co_return co_await rest_.create(target, std::move(object), p);
  co_return co_await rest_.update(target, std::move(object), p);
}

Task<void> Front::serve_write(Call& call, Target target) {
  const RequestInfo& i = call.info;
  const auto& verbs = target.type->row->verbs;
  bool known = !i.subresource.empty() || std::find(verbs.begin(), verbs.end(), i.verb) != verbs.end();
  if (!known) co_return co_await send_status(call.response, Status(Reason::MethodNotAllowed, "the server does not allow this method on the requested resource"));
  std::vector<std::string> warnings;
  auto r = co_await write(call, target, warnings);
  if (!r.ok()) co_return co_await send_status(call.response, r.status());
  co_await answer(call, *r, warnings);
}

}  // namespace k8lite::apiserver
