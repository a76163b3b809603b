// metrics.k8s.io over HTTP: lists and objects that are made for the question, in every form but protobuf.
#include "apiserver/http/front.h"
#include "apiserver/http/render.h"
#include "apiserver/list_options.h"
#include "apiserver/metrics/usage_api.h"
#include "base/strings.h"

namespace k8lite::apiserver {
namespace {

// The Accept header without protobuf, of which windows of time have no form here; clients that prefer it take JSON too.
std::string without_protobuf(std::string_view accept) {
  std::vector<std::string> kept;
  for (auto range : split(accept, ','))
    if (range.find("protobuf") == range.npos) kept.emplace_back(range);
  return kept.empty() && !accept.empty() ? std::string(accept) : join(kept, ",");
}

}  // namespace

async::Task<void> Front::serve_usage(Call& call, Target target) {
  call.request.headers.set("Accept", without_protobuf(call.request.headers.get("Accept")));
  auto accept = read_accept(call.request);
  if (!accept.ok()) co_return co_await send_status(call.response, accept.status());
  if (accept->format == Accept::Format::Protobuf)
    co_return co_await send_status(call.response, Status(Reason::NotAcceptable, "only the following media types are accepted: application/json, application/yaml"));
  Result<Rendered> rendered = not_found("nothing was asked for");
  if (call.info.verb == "list") {
    auto params = read_list_options(call.request.query, false);
    if (!params.ok()) co_return co_await send_error(call.request, call.response, params.status());
    auto page = co_await rest_.usage()->list(target, *params);
    if (!page.ok()) co_return co_await send_error(call.request, call.response, page.status());
    rendered = render_list(*accept, target.type, std::move(page).value(), call.request.query.get("includeObject"), clock_.now());
  } else {
    auto found = co_await rest_.usage()->get(target);
    if (!found.ok()) co_return co_await send_error(call.request, call.response, found.status());
    rendered = render(*accept, *found, call.request.query.get("includeObject"), clock_.now());
  }
  if (!rendered.ok()) co_return co_await send_status(call.response, rendered.status());
  (void)co_await call.response.send(200, {{"Content-Type", rendered->content_type}, {"Cache-Control", "no-cache, private"}}, std::move(rendered->body));
}

}  // namespace k8lite::apiserver
