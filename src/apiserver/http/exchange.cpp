#include "apiserver/http/exchange.h"

#include "base/json.h"

namespace k8lite::apiserver {

using async::Task;

namespace {

constexpr size_t kMostCopied = 16 << 20;  // of one answer, for the audit log

// Compressed and binary answers are given to the record by who made them.
bool is_plain_json(const net::Headers& headers) { return headers.get("Content-Type").starts_with("application/json") && !headers.has("Content-Encoding"); }

}  // namespace

void Exchange::begin(int status, net::Headers& headers) {
  code_ = status;
  headers.set("Audit-Id", audit_id_);
  for (const auto& w : warnings) headers.add("Warning", "299 - " + json::quoted(w));
  if (record) record->code = status;
}

Task<Result<>> Exchange::send(int status, net::Headers headers, std::string body) {
  begin(status, headers);
  if (pretty && is_plain_json(headers)) {
    std::string lines;
    indenter_.feed(body, lines);
    body = std::move(lines);
  }
  bytes_ = body.size();
  bool text = record && record->response_object.empty() && is_plain_json(headers);
  if (text && (status >= 400 || record->wants_response())) record->response_object = body;
  co_return co_await to_.send(status, std::move(headers), std::move(body));
}

Task<Result<>> Exchange::start(int status, net::Headers headers) {
  begin(status, headers);
  if (on_start && long_running) on_start();
  indents_ = pretty && !long_running && is_plain_json(headers);
  copies_ = !long_running && record && record->wants_response() && is_plain_json(headers);
  co_return co_await to_.start(status, std::move(headers));
}

Task<Result<>> Exchange::write(std::string_view data) {
  bytes_ += data.size();
  if (copies_ && record->response_object.size() + data.size() <= kMostCopied) record->response_object.append(data);
  else if (copies_) copies_ = false, record->response_object.clear();
  if (!indents_) return to_.write(data);
  piece_.clear();
  indenter_.feed(data, piece_);
  return to_.write(piece_);
}

Task<Result<net::StreamPtr>> Exchange::upgrade(net::Headers headers) {
  begin(101, headers);
  if (on_start && long_running) on_start();
  co_return co_await to_.upgrade(std::move(headers));
}

}  // namespace k8lite::apiserver
