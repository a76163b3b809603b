#include "apiserver/http/exchange.h"

#include "base/json.h"

namespace k8lite::apiserver {

using async::Task;

void Exchange::begin(int status, net::Headers& headers) {
  code_ = status;
  headers.set("Audit-Id", audit_id_);
  for (const auto& w : warnings) headers.add("Warning", "299 - " + json::quoted(w));
  if (record) record->code = status;
}

Task<Result<>> Exchange::send(int status, net::Headers headers, std::string body) {
  begin(status, headers);
  bytes_ = body.size();
  // Compressed and binary answers are given to the record by who made them.
  bool text = record && record->response_object.empty() &&
              headers.get("Content-Type").starts_with("application/json") && !headers.has("Content-Encoding");
  if (text && (status >= 400 || record->wants_response())) record->response_object = body;
  co_return co_await to_.send(status, std::move(headers), std::move(body));
}

Task<Result<>> Exchange::start(int status, net::Headers headers) {
  begin(status, headers);
  if (on_start) on_start();
  co_return co_await to_.start(status, std::move(headers));
}

Task<Result<>> Exchange::write(std::string_view data) {
  bytes_ += data.size();
  return to_.write(data);
}

Task<Result<net::StreamPtr>> Exchange::upgrade(net::Headers headers) {
  begin(101, headers);
  if (on_start) on_start();
  co_return co_await to_.upgrade(std::move(headers));
}

}  // namespace k8lite::apiserver
