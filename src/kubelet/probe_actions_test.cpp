// Network probes against servers on loopback.
#include "kubelet/probe_actions.h"

#include <nghttp2/nghttp2.h>
#include <catch2/catch.hpp>

using namespace k8lite;
using namespace k8lite::kubelet;

namespace {

struct LoopThread {
  async::Loop loop;
  LoopThread() { loop.start(); }
  ~LoopThread() { loop.stop(); }
};

async::Task<void> answer(net::Request& request, net::ResponseWriter& out) {
  if (request.path == "/moved")
    (void)co_await out.send(302, {{"Location", "/fine"}}, "");
  else if (request.path == "/away")
    (void)co_await out.send(302, {{"Location", "http://192.0.2.77/"}}, "");
  else if (request.path == "/round")
    (void)co_await out.send(301, {{"Location", "/round"}}, "");
  else if (request.path == "/fine")
    (void)co_await out.send(200, {}, "ok");
  else if (request.path == "/headers" && request.headers.get("X-Own") == "a" &&
           request.headers.get("User-Agent") == "mine" && !request.headers.has("Accept") &&
           request.headers.get("Host") == "there")
    (void)co_await out.send(204, {}, "");
  else
    (void)co_await out.send(503, {}, "no");
}

// A gRPC server of one call: what it answers is given by the service asked for.
struct GrpcServer {
  static async::Task<void> serve(net::StreamPtr stream);
};

struct Served {
  std::string request, reply;
  int32_t stream = 0;
};
ssize_t give_reply(nghttp2_session* session, int32_t id, uint8_t* buffer, size_t length, uint32_t* flags,
                   nghttp2_data_source* source, void*) {
  auto& s = *static_cast<Served*>(source->ptr);
  size_t n = s.reply.copy(reinterpret_cast<char*>(buffer), length);
  *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
  bool unknown = s.request.ends_with("nobody");
  std::string name = "grpc-status", value = unknown ? "12" : "0", message = "grpc-message", text = "unknown service";
  nghttp2_nv trailers[] = {
      {reinterpret_cast<uint8_t*>(name.data()), reinterpret_cast<uint8_t*>(value.data()), name.size(), value.size(), 0},
      {reinterpret_cast<uint8_t*>(message.data()), reinterpret_cast<uint8_t*>(text.data()), message.size(), text.size(),
       0}};
  nghttp2_submit_trailer(session, id, trailers, 2);
  return static_cast<ssize_t>(n);
}

async::Task<void> GrpcServer::serve(net::StreamPtr stream) {
  Served s;
  nghttp2_session_callbacks* calls;
  nghttp2_session_callbacks_new(&calls);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
      calls, [](nghttp2_session*, uint8_t, int32_t, const uint8_t* d, size_t n, void* u) {
        static_cast<Served*>(u)->request.append(reinterpret_cast<const char*>(d), n);
        return 0;
      });
  nghttp2_session_callbacks_set_on_frame_recv_callback(calls, [](nghttp2_session*, const nghttp2_frame* f, void* u) {
    if ((f->hd.flags & NGHTTP2_FLAG_END_STREAM) && (f->hd.type == NGHTTP2_DATA || f->hd.type == NGHTTP2_HEADERS))
      static_cast<Served*>(u)->stream = f->hd.stream_id;
    return 0;
  });
  nghttp2_session* session;
  nghttp2_session_server_new(&session, calls, &s);
  nghttp2_session_callbacks_del(calls);
  nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, nullptr, 0);
  bool answered = false;
  char buffer[4096];
  for (;;) {
    if (s.stream && !answered && !s.request.ends_with("silent")) {
      answered = true;
      char status = s.request.ends_with("sick") ? 2 : 1;
      s.reply = std::string("\0\0\0\0\2\x08", 6) + status;
      std::string name = ":status", value = "200";
      nghttp2_nv head[] = {{reinterpret_cast<uint8_t*>(name.data()), reinterpret_cast<uint8_t*>(value.data()),
                            name.size(), value.size(), 0}};
      nghttp2_data_provider data{{.ptr = &s}, give_reply};
      nghttp2_submit_response(session, s.stream, head, 1, &data);
    }
    std::string out;
    const uint8_t* p;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(session, &p)) > 0)
      out.append(reinterpret_cast<const char*>(p), static_cast<size_t>(n));
    if (!out.empty() && !(co_await stream->write_all(out)).ok()) break;
    auto got = co_await stream->read_some(buffer);
    if (!got.ok() || *got == 0) break;
    if (nghttp2_session_mem_recv(session, reinterpret_cast<const uint8_t*>(buffer), *got) < 0) break;
  }
  nghttp2_session_del(session);
}

}  // namespace

TEST_CASE("probe: HTTP succeeds from 200 to 399, follows redirects on its host and sends the author's headers") {
  LoopThread t;
  auto server = net::serve_http(t.loop, {.listen = {.address = "127.0.0.1"}}, answer);
  REQUIRE(server.ok());
  auto probe = [&](const std::string& path, net::Headers headers = {}) {
    return async::block_on(t.loop,
                           probe_http(t.loop, {"127.0.0.1", path, (*server)->port(), false, headers, seconds(15)}));
  };
  CHECK(probe("fine").good);
  CHECK(probe("/moved").good);
  CHECK(probe("/away").good);
  CHECK(probe("/other").message == "HTTP probe failed with statuscode: 503");
  CHECK(probe("/round").message.find("stopped after 10 redirects") != std::string::npos);
  CHECK(probe("/headers", {{"X-Own", "a"}, {"user-agent", "mine"}, {"Accept", ""}, {"Host", "there"}}).good);
  int port = (*server)->port();
  (*server)->stop();
  CHECK_FALSE(async::block_on(t.loop, probe_tcp(t.loop, "127.0.0.1", port, seconds(15))).good);
}

TEST_CASE("probe: gRPC asks for the service's health") {
  LoopThread t;
  net::ListenOptions options;
  options.address = "127.0.0.1";
  auto listener = net::listen(
      t.loop, options, [&t](net::StreamPtr stream) { async::spawn(t.loop, GrpcServer::serve(std::move(stream))); });
  REQUIRE(listener.ok());
  int port = (*listener)->port();
  auto probe = [&](const std::string& service, Duration timeout = seconds(15)) {
    return async::block_on(t.loop, probe_grpc(t.loop, "127.0.0.1", port, service, timeout));
  };
  auto good = probe("");
  INFO(good.message);
  CHECK(good.good);
  CHECK(probe(std::string(200, 'x')).good);
  CHECK(probe("sick").message == "service unhealthy (responded with \"NOT_SERVING\")");
  CHECK(probe("nobody").message ==
        "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): unknown service");
  CHECK(probe("silent", milliseconds(300)).message.starts_with("timeout: health rpc did not complete"));
  (*listener)->close();
  CHECK_FALSE(probe("").good);
}
