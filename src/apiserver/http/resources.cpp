// Resources over HTTP: reads, writes, and the parameters of both.
#include <algorithm>

#include "apiserver/http/body.h"
#include "apiserver/http/front.h"
#include "apiserver/http/render.h"
#include "apiserver/list_options.h"
#include "apiserver/metrics/usage_api.h"
#include "base/strings.h"

namespace k8lite::apiserver {

using async::Task;
using json::Node;

namespace {

Status not_allowed() { return Status(Reason::MethodNotAllowed, "the server does not allow this method on the requested resource"); }
Status no_such_resource() { return not_found("the server could not find the requested resource"); }

bool holds(const std::vector<std::string>& verbs, const std::string& verb) { return std::find(verbs.begin(), verbs.end(), verb) != verbs.end(); }

// What the kinds table says of this verb on this resource: 404 for what is not there, 405 for what cannot be done with it.
Result<> check_verb(const RequestInfo& i, const ResourceType& type, std::string_view method) {
  if (i.subresource == "proxy") {
    bool has = std::any_of(type.row->subresources.begin(), type.row->subresources.end(), [](const auto& s) { return s.name == "proxy"; });
    return has ? Result<>() : no_such_resource();
  }
  if (method == "HEAD" || method == "OPTIONS") return not_allowed();
  if (i.subresource.empty()) {
    bool on_collection = i.verb == "create" || i.verb == "list" || i.verb == "deletecollection";
    bool named = i.verb == "get" || i.verb == "update" || i.verb == "patch" || i.verb == "delete";
    if ((on_collection && i.verb == "create" && !i.name.empty()) || (named && i.name.empty())) return not_allowed();
    return holds(type.row->verbs, i.verb) ? Result<>() : not_allowed();
  }
  for (const auto& s : type.row->subresources)
    if (s.name == i.subresource) return holds(s.verbs, i.verb) ? Result<>() : not_allowed();
  return no_such_resource();
}

async::Task<void> send_rendered(net::ResponseWriter& response, int code, Rendered answer, const std::vector<std::string>& warnings) {
  net::Headers headers{{"Content-Type", answer.content_type}, {"Cache-Control", "no-cache, private"}};
  for (const auto& w : warnings) headers.add("Warning", "299 - " + json::quoted(w));
  (void)co_await response.send(code, headers, std::move(answer.body));
}

}  // namespace

// An error in the encoding that was asked for.
Task<void> send_error(const net::Request& request, net::ResponseWriter& response, Status status) {
  auto accept = read_accept(request);
  if (!accept.ok() || accept->format == Accept::Format::Json) co_return co_await send_status(response, std::move(status));
  Rendered answer = render_status(*accept, status);
  net::Headers headers{{"Content-Type", answer.content_type}, {"Cache-Control", "no-cache, private"}};
  if (int s = status.details().retry_after_seconds) headers.add("Retry-After", std::to_string(s));
  (void)co_await response.send(http_code(status.reason()), headers, std::move(answer.body));
}

bool is_true(std::string_view v) { return v == "true" || v == "1"; }

Task<void> Front::serve_resource(Call& call) {
  const RequestInfo& i = call.info;
  auto type = rest_.types().find(i.group, i.version, i.resource);
  bool scope_fits = type && (type->row->namespaced || i.ns.empty() || type->row->plural == "namespaces");
  if (!scope_fits) co_return co_await send_error(call.request, call.response, no_such_resource());
  Target target{type, i.ns, i.name, i.subresource};
  if (!type->row->namespaced) target.ns.clear();
  if (auto can = check_verb(i, *type, call.request.method); !can.ok()) co_return co_await send_error(call.request, call.response, can.status());
  if (type->row->namespaced && target.ns.empty() && (!i.name.empty() || i.verb == "create") && i.verb != "list" && i.verb != "watch" && i.verb != "deletecollection" && type->row->group != "authorization.k8s.io")
    co_return co_await send_error(call.request, call.response, i.verb == "create" ? not_allowed() : no_such_resource());  // there is no such route
  if (i.verb == "get" && (i.subresource == "exec" || i.subresource == "attach" || i.subresource == "portforward")) {
    // WebSockets begin with a GET, and are no reading all the same (Kubernetes 1.35, AuthorizePodWebsocketUpgradeCreatePermission).
    RequestInfo create = i;
    create.verb = "create";
    if (!authorizer_.allows(call.identity.user, create)) co_return co_await send_status(call.response, forbidden(create, call.identity.user));
  }
  for (const char* streaming : {"log", "exec", "attach", "portforward"})
    if (i.subresource == streaming) co_return co_await proxy_to_node(loop_, rest_, options_.kubelet_tls, target, call.request, call.response);
  if (i.subresource == "proxy") co_return co_await proxy_to_target(loop_, rest_, options_.kubelet_tls, target, call.request, call.response);
  if (UsageApi::serves(*type)) {
    if (!rest_.usage()) co_return co_await send_error(call.request, call.response, unavailable("metrics.k8s.io is disabled on this server"));
    co_return co_await serve_usage(call, target);
  }
  if (i.verb == "list") co_return co_await serve_list(call, target);
  if (i.verb == "watch") co_return co_await serve_watch(call, target);
  if (i.verb == "get") {
    auto r = rest_.get(target, std::string(call.request.query.get("resourceVersion")));
    if (!r.ok()) co_return co_await send_error(call.request, call.response, r.status());
    co_return co_await answer(call, *r, {});
  }
  co_await serve_write(call, target);
}

Task<void> Front::answer(Call& call, const Answer& answer, const std::vector<std::string>& warnings) {
  auto accept = read_accept(call.request);
  if (!accept.ok()) co_return co_await send_status(call.response, accept.status());
  if (call.record && call.record->wants_response()) call.record->response_object = answer.text();
  auto rendered = render(*accept, answer, call.request.query.get("includeObject"), clock_.now());
  if (!rendered.ok()) co_return co_await send_status(call.response, rendered.status());
  std::vector<std::string> all = api::warnings_of(*answer.type->row);
  all.insert(all.end(), warnings.begin(), warnings.end());
  co_await send_rendered(call.response, answer.created ? 201 : answer.accepted ? 202 : 200, std::move(rendered).value(), all);
}

Task<void> Front::serve_list(Call& call, Target target) {
  auto accept = read_accept(call.request);
  if (!accept.ok()) co_return co_await send_status(call.response, accept.status());
  auto params = read_list_options(call.request.query, false);
  if (!params.ok()) co_return co_await send_error(call.request, call.response, params.status());
  auto page = rest_.list(target, *params);
  if (page.status().is(Reason::Expired) && !params->continue_token.empty())
    co_return co_await send_rendered(call.response, 410, render_status(*accept, page.status(), inconsistent_token(params->continue_token)), {});
  if (!page.ok()) co_return co_await send_error(call.request, call.response, page.status());
  async::Pool* packers = takes_gzip(call.request.headers.get("Accept-Encoding")) && !call.pretty && !(call.record && call.record->wants_response()) ? &packers_ : nullptr;
  bool plain = accept->format == Accept::Format::Json && accept->form != Accept::Form::Table;
  net::Headers headers = json_headers();
  for (const auto& w : api::warnings_of(*target.type->row)) headers.add("Warning", "299 - " + json::quoted(w));
  if (plain) {
    auto text = std::make_shared<ListText>(target.type, std::move(page).value(), accept->form == Accept::Form::PartialMetadata);
    co_return co_await send_pieces(call.response, 200, std::move(headers), [text](std::string& out) { return text->next(out); }, packers);
  }
  auto rendered = render_list(*accept, target.type, std::move(page).value(), call.request.query.get("includeObject"), clock_.now());
  if (!rendered.ok()) co_return co_await send_status(call.response, rendered.status());
  headers.set("Content-Type", rendered->content_type);
  co_await send_body(call.response, 200, std::move(headers), std::move(rendered->body), packers);
}

namespace {

constexpr const char* kUnknownFormat = "the body of the request was in an unknown format - accepted media types include: ";

// The kind of a patch by its content type.
Result<machinery::PatchType> read_patch_type(std::string_view content_type) {
  std::string t = lower(trim(content_type.substr(0, content_type.find(';'))));
  if (t == "application/json-patch+json") return machinery::PatchType::Json;
  if (t == "application/merge-patch+json") return machinery::PatchType::Merge;
  if (t == "application/strategic-merge-patch+json") return machinery::PatchType::StrategicMerge;
  if (t == "application/apply-patch+yaml") return machinery::PatchType::Apply;
  return Status(Reason::UnsupportedMediaType, std::string(kUnknownFormat) + "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml");
}

// How an answer must be written is found out before anything is: a 406 means that nothing has happened.
Result<> check_answer(const net::Request& request) {
  TRY_OK(read_accept(request));
  return {};
}

}  // namespace

Task<Result<Answer>> Front::write(Call& call, Target target, std::vector<std::string>& warnings) {
  const net::Query& q = call.request.query;
  CO_TRY_OK(check_answer(call.request));
  CO_TRY(std::string body, co_await call.request.read_body(kMaxBody));
  WriteParams p;
  p.caller = std::move(call.identity);  // nobody asks again
  p.warnings = &warnings;
  p.user_agent = call.request.headers.get("User-Agent");
  std::string_view type = call.request.headers.get("Content-Type");
  if (target.type->row->custom && target.subresource != "scale" && type.find("vnd.kubernetes.protobuf") != type.npos && call.info.verb.find("delete") == std::string::npos)
    co_return Status(Reason::UnsupportedMediaType, "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml");
  const std::string& verb = call.info.verb;
  if (verb == "delete" || verb == "deletecollection") {
    Node o;
    if (!body.empty()) {
      CO_TRY(o, read_object_body(type, body, nullptr));
      call.note_request(o);
    }
    CO_TRY(DeleteRequest r, read_delete_options(body.empty() ? nullptr : &o, q, p));
    if (verb == "delete") co_return co_await rest_.remove(std::move(target), std::move(r), std::move(p));
    CO_TRY(ListParams params, read_list_options(q, false));
    co_return co_await rest_.remove_collection(target, params, r, p);
  }
  CO_TRY_OK(read_write_options(verb == "create" ? "CreateOptions" : verb == "update" ? "UpdateOptions" : "PatchOptions", q, p));
  if (verb == "patch") {
    CO_TRY(machinery::PatchType patch_type, read_patch_type(type));
    bool applies = patch_type == machinery::PatchType::Apply;
    auto read = read_object_body(applies ? "application/yaml" : "application/json", body, &p.duplicates);
    if (!read.ok() && applies) co_return std::move(read).status().within("error decoding YAML");
    CO_TRY(Node patch, std::move(read));
    call.note_request(patch);
    p.patch_text = std::move(body);
    co_return co_await rest_.patch(std::move(target), patch_type, std::move(patch), std::move(p));
  }
  CO_TRY(Node object, read_object_body(type, body, &p.duplicates));
  call.note_request(object);
  if (verb == "create") co_return co_await rest_.create(std::move(target), std::move(object), std::move(p));
  co_return co_await rest_.update(std::move(target), std::move(object), std::move(p));
}

Task<void> Front::serve_write(Call& call, Target target) {
  std::vector<std::string> warnings;
  auto r = co_await write(call, std::move(target), warnings);
  if (!r.ok()) co_return co_await send_error(call.request, call.response, r.status());
  co_await answer(call, *r, warnings);
}

}  // namespace k8lite::apiserver
