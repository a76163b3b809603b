// A small HTTP/2 client for tests: it sends what it is told, also what no good client would, and remembers what came
// back.
#pragma once
#include <nghttp2/nghttp2.h>

#include <map>

#include "net/http.h"

namespace k8lite::net::testing {

class H2Client {
 public:
  struct Answer {
    std::map<std::string, std::string> headers;
    std::string body;
    bool closed = false;
    uint32_t error = 0;
    int status() const { return headers.count(":status") ? std::stoi(headers.at(":status")) : 0; }
  };
  std::map<int32_t, Answer> answers;
  bool goaway = false, ended = false;
  uint32_t goaway_code = 0;

  // `windows`: false and the client never lets the server send more than the first 64 KiB.
  H2Client(async::Loop& loop, int port, std::shared_ptr<TlsClientContext> tls, bool windows = true) : loop_(loop) {
    auto dialled = async::block_on(loop, dial(loop, "127.0.0.1", port, std::move(tls), seconds(15)));
    if (!dialled.ok()) {
      ended = true;
      return;
    }
    stream = dialled.value();
    stream->set_timeout(seconds(15));
    nghttp2_session_callbacks* calls;
    nghttp2_session_callbacks_new(&calls);
    nghttp2_session_callbacks_set_on_header_callback(calls, [](nghttp2_session*, const nghttp2_frame* f,
                                                               const uint8_t* n, size_t nl, const uint8_t* v, size_t vl,
                                                               uint8_t, void* u) {
      static_cast<H2Client*>(u)->answers[f->hd.stream_id].headers[std::string(reinterpret_cast<const char*>(n), nl)] =
          std::string(reinterpret_cast<const char*>(v), vl);
      return 0;
    });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        calls, [](nghttp2_session*, uint8_t, int32_t id, const uint8_t* d, size_t n, void* u) {
          static_cast<H2Client*>(u)->answers[id].body.append(reinterpret_cast<const char*>(d), n);
          return 0;
        });
    nghttp2_session_callbacks_set_on_stream_close_callback(calls,
                                                           [](nghttp2_session*, int32_t id, uint32_t code, void* u) {
                                                             Answer& a = static_cast<H2Client*>(u)->answers[id];
                                                             a.closed = true;
                                                             a.error = code;
                                                             return 0;
                                                           });
    nghttp2_session_callbacks_set_on_frame_recv_callback(calls, [](nghttp2_session*, const nghttp2_frame* f, void* u) {
      if (f->hd.type != NGHTTP2_GOAWAY) return 0;
      static_cast<H2Client*>(u)->goaway = true;
      static_cast<H2Client*>(u)->goaway_code = f->goaway.error_code;
      return 0;
    });
    nghttp2_option* option;
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, windows ? 0 : 1);
    nghttp2_option_set_max_send_header_block_length(option, 1 << 20);
    nghttp2_session_client_new2(&session, calls, this, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(calls);
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, nullptr, 0);
  }
  ~H2Client() {
    if (session) nghttp2_session_del(session);
    if (stream) stream->close();
  }

  // `open`: the body is not ended, so that more could come.
  int32_t ask(std::string method, std::string path, std::string body = "", Headers headers = {}, bool open = false) {
    std::vector<std::pair<std::string, std::string>> rows{
        {":method", method}, {":scheme", "https"}, {":authority", "localhost"}, {":path", path}};
    for (const auto& row : headers.rows()) rows.push_back(row);
    std::vector<nghttp2_nv> fields;
    for (auto& [n, v] : rows)
      fields.push_back(
          {reinterpret_cast<uint8_t*>(n.data()), reinterpret_cast<uint8_t*>(v.data()), n.size(), v.size(), 0});
    auto upload = std::make_unique<Upload>(Upload{std::move(body), open});
    nghttp2_data_provider data{{.ptr = upload.get()}, read};
    int32_t id = nghttp2_submit_request(session, nullptr, fields.data(), fields.size(),
                                        upload->rest.empty() && !open ? nullptr : &data, nullptr);
    uploads_.push_back(std::move(upload));
    return id;
  }
  bool flush() {
    std::string out;
    const uint8_t* p;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(session, &p)) > 0)
      out.append(reinterpret_cast<const char*>(p), static_cast<size_t>(n));
    return send(out);
  }
  bool send(std::string_view bytes) {
    if (bytes.empty() || ended) return !ended;
    return async::block_on(loop_, stream->write_all(bytes)).ok();
  }
  // Reads to the end of the connection without a session's eyes; the code of the GOAWAY frame, or -1 where none came.
  int raw_goaway() {
    std::string all;
    char buffer[16 * 1024];
    for (;;) {
      auto n = async::block_on(loop_, stream->read_some(buffer));
      if (!n.ok() || *n == 0) break;
      all.append(buffer, *n);
    }
    auto byte = [&all](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(all[i])); };
    for (size_t at = 0; at + 9 <= all.size(); at += 9 + (byte(at) << 16 | byte(at + 1) << 8 | byte(at + 2)))
      if (byte(at + 3) == NGHTTP2_GOAWAY && at + 17 <= all.size()) return static_cast<int>(byte(at + 16));
    return -1;
  }
  // Reads until `enough` or the connection ends; false then.
  template <class Enough>
  bool until(Enough enough) {
    char buffer[16 * 1024];
    for (;;) {
      bool sent = flush();
      if (enough()) return true;
      if (ended) return false;
      auto n = async::block_on(loop_, stream->read_some(buffer));
      if (!n.ok() || *n == 0) {
        ended = true;
        (void)sent;
        continue;
      }
      if (nghttp2_session_mem_recv(session, reinterpret_cast<const uint8_t*>(buffer), *n) < 0) ended = true;
    }
  }
  const Answer& wait(int32_t id) {
    until([this, id] { return answers[id].closed; });
    return answers[id];
  }
  const Answer& get(std::string path) { return wait(ask("GET", std::move(path))); }

  StreamPtr stream;
  nghttp2_session* session = nullptr;

 private:
  struct Upload {
    std::string rest;
    bool open;
  };
  static ssize_t read(nghttp2_session*, int32_t, uint8_t* buffer, size_t length, uint32_t* flags,
                      nghttp2_data_source* source, void*) {
    auto& u = *static_cast<Upload*>(source->ptr);
    size_t n = std::min(length, u.rest.size());
    if (n == 0 && u.open) return NGHTTP2_ERR_DEFERRED;
    u.rest.copy(reinterpret_cast<char*>(buffer), n);
    u.rest.erase(0, n);
    if (u.rest.empty() && !u.open) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(n);
  }
  async::Loop& loop_;
  std::vector<std::unique_ptr<Upload>> uploads_;
};

// One raw frame.
inline std::string frame(uint8_t type, uint8_t flags, int32_t id, std::string_view payload) {
  auto b = [](size_t v, int shift) { return static_cast<char>((v >> shift) & 0xff); };
  size_t n = payload.size(), i = static_cast<size_t>(id);
  std::string out{b(n, 16), b(n, 8), b(n, 0), static_cast<char>(type), static_cast<char>(flags), b(i, 24),
                  b(i, 16), b(i, 8), b(i, 0)};
  return out.append(payload);
}

}  // namespace k8lite::net::testing
