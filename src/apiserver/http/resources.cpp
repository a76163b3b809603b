// Resources over HTTP: reads, writes, and the parameters of both.
#include <algorithm>

#include "apiserver/http/body.h"
#include "apiserver/http/front.h"
#include "base/strings.h"

namespace k8lite::apiserver {

using async::Task;
using json::Node;

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
  bool gzip = takes_gzip(call.request.headers.get("Accept-Encoding"));
  net::Headers headers = json_headers();
  for (const auto& w : api::warnings_of(*target.type->row)) headers.add("Warning", "299 - " + json::quoted(w));
  if (accept->form == Accept::Form::Table && !accept->yaml)
    co_return co_await send_body(call.response, 200, headers, table_text(*target.type, page->items, call.request.query.get("includeObject"), true, list_metadata(*page), clock_.now()), gzip);
  std::string body;
  if (accept->form == Accept::Form::Table) body = table_text(*target.type, page->items, call.request.query.get("includeObject"), true, list_metadata(*page), clock_.now());
  auto text = std::make_shared<ListText>(target.type, std::move(page).value(), accept->form == Accept::Form::PartialMetadata);
  if (!accept->yaml) co_return co_await send_pieces(call.response, 200, headers, [text](std::string& out) { return text->next(out); }, gzip);
  if (accept->form != Accept::Form::Table)
    while (text->next(body)) {
    }
  co_await send(call.response, 200, std::move(body), true, api::warnings_of(*target.type->row));
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
