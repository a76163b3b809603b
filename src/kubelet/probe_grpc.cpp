// The gRPC health check by hand: one unary call over HTTP/2 without TLS (grpc.health.v1.Health/Check, "gRPC over
// HTTP2"). Two tiny messages are all of protocol buffers that it takes.
#include <nghttp2/nghttp2.h>

#include "base/json.h"
#include "base/strings.h"
#include "kubelet/probe_actions.h"

namespace k8lite::kubelet {

using async::Task;

namespace {

constexpr size_t kMaxAnswer = 16 * 1024;
constexpr int kUnimplemented = 12, kDeadlineExceeded = 4;

struct Call {
  std::string body;  // what is still to be sent
  std::string answer;
  std::string status, message;  // grpc-status, grpc-message
  std::string http_status;
  bool closed = false;
  uint32_t error = 0;
};

ssize_t give(nghttp2_session*, int32_t, uint8_t* buffer, size_t length, uint32_t* flags, nghttp2_data_source* source,
             void*) {
  auto& call = *static_cast<Call*>(source->ptr);
  size_t n = call.body.copy(reinterpret_cast<char*>(buffer), length);
  call.body.erase(0, n);
  if (call.body.empty()) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ssize_t>(n);
}
int on_header(nghttp2_session*, const nghttp2_frame*, const uint8_t* n, size_t nl, const uint8_t* v, size_t vl, uint8_t,
              void* user) {
  auto& call = *static_cast<Call*>(user);
  std::string_view name(reinterpret_cast<const char*>(n), nl), value(reinterpret_cast<const char*>(v), vl);
  if (name == "grpc-status") call.status = value;
  if (name == "grpc-message") call.message = value;
  if (name == ":status") call.http_status = value;
  return 0;
}
int on_data(nghttp2_session*, uint8_t, int32_t, const uint8_t* d, size_t n, void* user) {
  auto& call = *static_cast<Call*>(user);
  if (call.answer.size() + n <= kMaxAnswer) call.answer.append(reinterpret_cast<const char*>(d), n);
  return 0;
}
int on_close(nghttp2_session*, int32_t, uint32_t code, void* user) {
  static_cast<Call*>(user)->closed = true;
  static_cast<Call*>(user)->error = code;
  return 0;
}

struct Session {
  nghttp2_session* session = nullptr;
  ~Session() { nghttp2_session_del(session); }
};

void begin(Session& s, Call& call, const std::string& authority) {
  nghttp2_session_callbacks* calls;
  nghttp2_session_callbacks_new(&calls);
  nghttp2_session_callbacks_set_on_header_callback(calls, on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, on_data);
  nghttp2_session_callbacks_set_on_stream_close_callback(calls, on_close);
  nghttp2_session_client_new(&s.session, calls, &call);
  nghttp2_session_callbacks_del(calls);
  nghttp2_submit_settings(s.session, NGHTTP2_FLAG_NONE, nullptr, 0);
  const std::pair<std::string_view, std::string_view> rows[] = {{":method", "POST"},
                                                                {":scheme", "http"},
                                                                {":path", "/grpc.health.v1.Health/Check"},
                                                                {":authority", authority},
                                                                {"content-type", "application/grpc"},
                                                                {"te", "trailers"},
                                                                {"user-agent", "kube-probe/1.36"}};
  nghttp2_nv fields[std::size(rows)];
  for (size_t i = 0; i < std::size(rows); ++i)
    fields[i] = {reinterpret_cast<uint8_t*>(const_cast<char*>(rows[i].first.data())),
                 reinterpret_cast<uint8_t*>(const_cast<char*>(rows[i].second.data())), rows[i].first.size(),
                 rows[i].second.size(), 0};
  nghttp2_data_provider data{{.ptr = &call}, give};
  nghttp2_submit_request(s.session, nullptr, fields, std::size(fields), &data, nullptr);
}

// HealthCheckRequest{service = 1} behind gRPC's head: not compressed, length in four bytes.
std::string request_of(const std::string& service) {
  std::string message;
  if (!service.empty()) {
    message = "\x0a";
    for (size_t n = service.size();; n >>= 7) {
      message += static_cast<char>((n & 0x7f) | (n > 0x7f ? 0x80 : 0));
      if (n <= 0x7f) break;
    }
    message += service;
  }
  std::string out(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>((message.size() >> shift) & 0xff);
  return out + message;
}

// HealthCheckResponse{status = 1}, an enum below 128; absent is UNKNOWN.
int serving_status(const std::string& answer) { return answer.size() >= 7 && answer[5] == 0x08 ? answer[6] : 0; }

const char* status_name(int status) {
  static constexpr const char* kNames[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
  return status >= 0 && status < 4 ? kNames[status] : "UNKNOWN";
}

ProbeOutcome judge(const Call& call) {
  int code = static_cast<int>(parse_int(call.status).value_or(2));
  if (!call.http_status.empty() && call.http_status != "200")
    return {false, "error: health rpc probe failed: unexpected HTTP status code " + call.http_status};
  if (code == kUnimplemented)
    return {false,
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): " + call.message};
  if (code == kDeadlineExceeded) return {false, "timeout: health rpc did not complete in time"};
  if (code != 0)
    return {false, "error: health rpc probe failed: " +
                       (call.message.empty()
                            ? "stream ended with code " +
                                  std::to_string(call.status.empty() ? static_cast<int64_t>(call.error) : code)
                            : call.message)};
  int status = serving_status(call.answer);
  if (status == 1) return {true, {}};
  return {false, std::string("service unhealthy (responded with \"") + status_name(status) + "\")"};
}

}  // namespace

Task<ProbeOutcome> probe_grpc(async::Loop& loop, std::string host, int port, std::string service, Duration timeout) {
  std::string address = (host.find(':') == host.npos ? host : "[" + host + "]") + ":" + std::to_string(port);
  auto dialled = co_await net::dial(loop, host, port, nullptr, timeout);
  if (!dialled.ok()) {
    if (dialled.status().is(Reason::Timeout))
      co_return ProbeOutcome{false, "timeout: failed to connect service " + json::quoted(address) + " within " +
                                        human_duration(timeout) + ": context deadline exceeded"};
    co_return ProbeOutcome{
        false, "error: failed to connect service at " + json::quoted(address) + ": " + dialled.status().message()};
  }
  net::StreamPtr stream = *dialled;
  auto late = std::make_shared<bool>(false);
  uint64_t timer = loop.after(timeout, [stream, late] {
    *late = true;
    stream->close();
  });
  Call call;
  call.body = request_of(service);
  Session s;
  begin(s, call, address);
  std::string buffer(4096, '\0');
  while (!call.closed) {
    std::string out;
    const uint8_t* p;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(s.session, &p)) > 0)
      out.append(reinterpret_cast<const char*>(p), static_cast<size_t>(n));
    if (n < 0) break;
    if (!out.empty()) {
      auto sent = co_await stream->write_all(out);
      if (!sent.ok()) break;
    }
    auto got = co_await stream->read_some({buffer.data(), buffer.size()});
    if (!got.ok() || *got == 0) break;
    if (nghttp2_session_mem_recv(s.session, reinterpret_cast<const uint8_t*>(buffer.data()), *got) < 0) break;
  }
  loop.cancel_timer(timer);
  stream->close();
  if (*late) co_return ProbeOutcome{false, "timeout: health rpc did not complete within " + human_duration(timeout)};
  if (!call.closed)
    co_return ProbeOutcome{false, "error: health rpc probe failed: the connection ended without an answer"};
  co_return judge(call);
}

}  // namespace k8lite::kubelet
