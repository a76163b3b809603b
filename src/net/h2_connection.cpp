#include "net/h2_connection.h"

#include <nghttp2/nghttp2.h>

#include <cstring>

#include "base/log.h"
#include "base/strings.h"

namespace k8lite::net {
namespace {

constexpr size_t kReadBytes = 16 * 1024;
constexpr Duration kLinger = seconds(1);         // for the peer to read the last words
constexpr size_t kMaxResponseHead = 256 * 1024;  // many warnings
constexpr int kMaxSettings = 32, kMaxWaitingAcks = 200;

Duration now() { return system_clock().mono(); }

bool belongs_to_connection(std::string_view name) {
  for (std::string_view n : {"connection", "transfer-encoding", "keep-alive", "upgrade", "proxy-connection"})
    if (iequals(name, n)) return true;
  return false;
}

nghttp2_nv field(std::string_view name, std::string_view value) {
  auto bytes = [](std::string_view s) { return reinterpret_cast<uint8_t*>(const_cast<char*>(s.data())); };
  return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

}  // namespace

// nghttp2's callbacks; each gets the connection as user data and the stream as the stream's.
struct H2Callbacks {
  static H2Connection& of(void* user) { return *static_cast<H2Connection*>(user); }
  static H2Stream* stream(nghttp2_session* s, int32_t id) {
    return static_cast<H2Stream*>(nghttp2_session_get_stream_user_data(s, id));
  }

  static int begin_headers(nghttp2_session*, const nghttp2_frame* f, void* user) {
    if (f->hd.type == NGHTTP2_HEADERS && f->headers.cat == NGHTTP2_HCAT_REQUEST) of(user).open_stream(f->hd.stream_id);
    return 0;
  }
  static int header(nghttp2_session* s, const nghttp2_frame* f, const uint8_t* name, size_t name_len,
                    const uint8_t* value, size_t value_len, uint8_t, void* user) {
    H2Stream* st = stream(s, f->hd.stream_id);
    if (st)
      of(user).header(*st, {reinterpret_cast<const char*>(name), name_len},
                      {reinterpret_cast<const char*>(value), value_len});
    return 0;
  }
  static int begin_frame(nghttp2_session*, const nghttp2_frame_hd* hd, void* user) {
    if (hd->type == NGHTTP2_HEADERS)
      of(user).in_headers_ = !(hd->flags & NGHTTP2_FLAG_END_HEADERS);
    else if (hd->type != NGHTTP2_CONTINUATION)
      of(user).in_headers_ = false;
    return 0;
  }
  static int frame(nghttp2_session* s, const nghttp2_frame* f, void* user) {
    H2Connection& c = of(user);
    bool ends = f->hd.flags & NGHTTP2_FLAG_END_STREAM;
    switch (f->hd.type) {
      case NGHTTP2_HEADERS:
      case NGHTTP2_DATA: {
        c.in_headers_ = false;
        if (f->hd.type == NGHTTP2_DATA && f->hd.length == 0 && !ends) c.calm(c.idle_frames_.take(now()));
        H2Stream* st = stream(s, f->hd.stream_id);
        if (!st) break;
        if (ends) {
          st->in_done = true;
          st->in_ready.notify();
        }
        if (f->hd.type == NGHTTP2_HEADERS && !st->head_done) c.head_complete(*st);
        break;
      }
      case NGHTTP2_RST_STREAM:
        c.calm(c.resets_.take(now()));
        break;
      case NGHTTP2_PING:
      case NGHTTP2_SETTINGS:
        if (!(f->hd.flags & NGHTTP2_FLAG_ACK)) c.calm(c.idle_frames_.take(now()));
        break;
      case NGHTTP2_PRIORITY:
        c.calm(c.idle_frames_.take(now()));
        break;
    }
    return 0;
  }
  static int invalid_frame(nghttp2_session*, const nghttp2_frame*, int, void* user) {
    of(user).in_headers_ = false;
    of(user).calm(of(user).idle_frames_.take(now()));
    return 0;
  }
  static int data(nghttp2_session* s, uint8_t, int32_t id, const uint8_t* bytes, size_t n, void*) {
    H2Stream* st = stream(s, id);
    if (!st || st->closed) {
      nghttp2_session_consume(s, id, n);
      return 0;
    }
    if (st->drain_until != Duration{0}) {
      nghttp2_session_consume(s, id, n);
      st->drained_bytes += n;
      if (st->drained_bytes > kH2DrainBytes) stop_client(s, *st);
      return 0;
    }
    st->in.append(reinterpret_cast<const char*>(bytes), n);
    st->in_ready.notify();
    return 0;
  }
  static int closed(nghttp2_session* s, int32_t id, uint32_t, void* user) {
    if (H2Stream* st = stream(s, id)) of(user).close_stream(*st);
    return 0;
  }
  // It may stop sending (RFC 9113, 8.1).
  static void stop_client(nghttp2_session* s, H2Stream& st) {
    st.drain_until = Duration{0};
    nghttp2_submit_rst_stream(s, NGHTTP2_FLAG_NONE, st.id, NGHTTP2_NO_ERROR);
  }
  static int sent(nghttp2_session* s, const nghttp2_frame* f, void* user) {
    bool last =
        (f->hd.type == NGHTTP2_DATA || f->hd.type == NGHTTP2_HEADERS) && (f->hd.flags & NGHTTP2_FLAG_END_STREAM);
    if (!last || nghttp2_session_get_stream_remote_close(s, f->hd.stream_id) != 0) return 0;
    // The answer is complete and the client still sends. Clients that see a reset at once forget the answer (curl 7.88): what is
    // under way is let come first.
    H2Stream* st = stream(s, f->hd.stream_id);
    if (!st) return nghttp2_submit_rst_stream(s, NGHTTP2_FLAG_NONE, f->hd.stream_id, NGHTTP2_NO_ERROR), 0;
    st->drain_until = now() + kH2DrainTime;
    st->drained_bytes = st->in.size();
    nghttp2_session_consume(s, st->id, st->in.size());
    st->in.clear();
    of(user).arm(kH2DrainTime);
    return 0;
  }
  static int not_sent(nghttp2_session* s, const nghttp2_frame* f, int, void*) {
    if (f->hd.type == NGHTTP2_HEADERS)
      nghttp2_submit_rst_stream(s, NGHTTP2_FLAG_NONE, f->hd.stream_id, NGHTTP2_INTERNAL_ERROR);
    return 0;
  }
  static ssize_t read_body(nghttp2_session*, int32_t, uint8_t* buffer, size_t length, uint32_t* flags,
                           nghttp2_data_source* source, void*) {
    H2Stream& st = *static_cast<H2Stream*>(source->ptr);
    size_t n = std::min(length, st.out.size());
    if (n) memcpy(buffer, st.out.data(), n);
    st.out.remove_prefix(n);
    if (!st.out.empty()) return static_cast<ssize_t>(n);
    st.write_deadline = Duration{0};
    st.drained.notify();
    if (st.out_end)
      *flags |= NGHTTP2_DATA_FLAG_EOF;
    else if (n == 0)
      return NGHTTP2_ERR_DEFERRED;
    return static_cast<ssize_t>(n);
  }
};

H2Connection::H2Connection(std::shared_ptr<ServerState> server, StreamPtr stream)
    : server_(std::move(server)), stream_(std::move(stream)) {}

H2Connection::~H2Connection() {
  if (session_) nghttp2_session_del(session_);
}

bool H2Connection::begin() {
  nghttp2_session_callbacks* calls = nullptr;
  nghttp2_option* option = nullptr;
  if (nghttp2_session_callbacks_new(&calls) || nghttp2_option_new(&option)) return false;
  nghttp2_session_callbacks_set_on_begin_headers_callback(calls, H2Callbacks::begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(calls, H2Callbacks::header);
  nghttp2_session_callbacks_set_on_begin_frame_callback(calls, H2Callbacks::begin_frame);
  nghttp2_session_callbacks_set_on_frame_recv_callback(calls, H2Callbacks::frame);
  nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(calls, H2Callbacks::invalid_frame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, H2Callbacks::data);
  nghttp2_session_callbacks_set_on_stream_close_callback(calls, H2Callbacks::closed);
  nghttp2_session_callbacks_set_on_frame_send_callback(calls, H2Callbacks::sent);
  nghttp2_session_callbacks_set_on_frame_not_send_callback(calls, H2Callbacks::not_sent);
  nghttp2_option_set_no_auto_window_update(option, 1);  // the handler's reading sets the pace
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_max_send_header_block_length(option, kMaxResponseHead);
  nghttp2_option_set_max_outbound_ack(option, kMaxWaitingAcks);
  nghttp2_option_set_max_settings(option, kMaxSettings);
  int rc = nghttp2_session_server_new2(&session_, calls, this, option);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(calls);
  if (rc) return false;
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kH2MaxStreams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kH2StreamWindow},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(options().max_header_bytes)},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1}};
  return nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings)) == 0 &&
         nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kH2ConnectionWindow) == 0;
}

Task<void> H2Connection::run(std::shared_ptr<H2Connection> self) {
  self->server_->open.insert(self.get());
  self->idle_since = now();
  self->idle_deadline_ = now() + self->options().first_request_timeout;
  self->arm(self->options().first_request_timeout);
  if (self->begin()) {
    self->kick();
    for (;;) {
      if (!(co_await self->stream_->wait_readable()).ok()) break;
      auto buffer = std::make_unique_for_overwrite<char[]>(kReadBytes);
      auto n = co_await self->stream_->read_some({buffer.get(), kReadBytes});
      if (!n.ok() || *n == 0) break;
      if (!self->finished_) self->take({buffer.get(), *n});  // else: until the peer has read our last words
    }
  }
  self->over_ = true;
  self->server_->open.erase(self.get());
  while (!self->streams_.empty()) self->close_stream(*self->streams_.begin()->second);
  self->stream_->shutdown_write();
  self->stream_->close();
}

void H2Connection::take(std::string_view bytes) {
  ssize_t used = nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  if (used < 0) {
    log_debug("HTTP/2 connection ended",
              {{"peer", peer().address}, {"error", nghttp2_strerror(static_cast<int>(used))}});
    nghttp2_session_terminate_session(session_,
                                      used == NGHTTP2_ERR_FLOODED ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR);
  }
  if (in_headers_ && headers_deadline_ == Duration{0}) {
    headers_deadline_ = now() + options().header_timeout;
    arm(options().header_timeout);
  } else if (!in_headers_) {
    headers_deadline_ = Duration{0};
  }
  kick();
}

void H2Connection::calm(bool allowed) {
  if (allowed) return;
  log_debug("HTTP/2 connection ended: too many frames that ask for nothing", {{"peer", peer().address}});
  nghttp2_session_terminate_session(session_, NGHTTP2_ENHANCE_YOUR_CALM);
}

void H2Connection::kick() {
  if (writing_ || over_ || finished_) return;
  writing_ = true;
  async::spawn(loop(), pump(shared_from_this()));
}

Task<void> H2Connection::pump(std::shared_ptr<H2Connection> self) {
  for (bool good = true; good && !self->over_;) {
    std::string out;
    while (out.size() < kH2WriteBytes) {
      const uint8_t* p = nullptr;
      ssize_t n = nghttp2_session_mem_send(self->session_, &p);
      if (n <= 0) {
        good = n == 0;
        break;
      }
      out.append(reinterpret_cast<const char*>(p), static_cast<size_t>(n));
    }
    if (good && out.empty()) break;
    self->write_deadline_ = now() + self->options().write_timeout;
    self->arm(self->options().write_timeout);
    if (!out.empty()) good = (co_await self->stream_->write_all(out)).ok() && good;
    self->write_deadline_ = Duration{0};
    if (!good) self->stream_->close();
  }
  self->writing_ = false;
  if (!nghttp2_session_want_read(self->session_) && !nghttp2_session_want_write(self->session_)) self->finish();
}

void H2Connection::finish() {
  if (finished_ || over_) return;
  finished_ = true;
  while (!streams_.empty()) close_stream(*streams_.begin()->second);
  stream_->shutdown_write();
  loop().after(kLinger, [stream = stream_] { stream->close(); });
}

void H2Connection::stop() {
  nghttp2_session_terminate_session(session_, NGHTTP2_NO_ERROR);
  kick();
  loop().post(
      [stream = stream_] { stream->close(); });  // after the writer's first step, which hands the GOAWAY to the socket
}

// ---- time ----

void H2Connection::arm(Duration delay) {
  Duration at = now() + delay;
  if (fires_at_ != Duration{0} && fires_at_ <= at) return;
  fires_at_ = at;
  loop().after(delay, [weak = weak_from_this(), generation = ++timer_generation_] {
    auto self = weak.lock();
    if (!self || self->over_ || self->timer_generation_ != generation) return;
    self->fires_at_ = Duration{0};
    self->sweep();
  });
}

// Whose time is up is cut off; the next look is when the next one's will be.
void H2Connection::sweep() {
  Duration t = now();
  if ((write_deadline_ != Duration{0} && t >= write_deadline_) ||
      (headers_deadline_ != Duration{0} && t >= headers_deadline_))
    return stream_->close();
  if (streams_.empty() && t >= idle_deadline_) {
    idle_deadline_ = t + options().idle_timeout;
    if (running_ == 0) {
      nghttp2_session_terminate_session(session_, NGHTTP2_NO_ERROR);
      kick();
    }
  }
  Duration next = sweep_streams(t);
  for (Duration d : {write_deadline_, headers_deadline_, streams_.empty() ? idle_deadline_ : Duration{0}})
    if (d != Duration{0} && (next == Duration{0} || d < next)) next = d;
  if (next != Duration{0}) arm(std::max(next - t, Duration(milliseconds(1))));
}

Duration H2Connection::sweep_streams(Duration t) {
  Duration next{0};
  auto soonest = [&next](Duration d) {
    if (next == Duration{0} || d < next) next = d;
  };
  for (auto& [id, s] : streams_) {
    if (s->body_wanted && t >= s->body_deadline)
      s->in_ready.notify();
    else if (s->body_wanted)
      soonest(s->body_deadline);
    if (s->drain_until != Duration{0} && t >= s->drain_until) {
      H2Callbacks::stop_client(session_, *s);
      kick();
    } else if (s->drain_until != Duration{0}) {
      soonest(s->drain_until);
    }
    if (s->write_deadline == Duration{0}) continue;
    if (t >= s->write_deadline)
      reset(*s, NGHTTP2_CANCEL);
    else
      soonest(s->write_deadline);
  }
  return next;
}

// ---- streams ----

void H2Connection::open_stream(int32_t id) {
  if (running_ >= kH2MaxStreams) {  // streams were reset, but their handlers are still at work
    calm(resets_.take(now()));
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
    return;
  }
  auto s = std::make_shared<H2Stream>();
  s->id = id;
  nghttp2_session_set_stream_user_data(session_, id, s.get());
  nghttp2_extpri fair{NGHTTP2_EXTPRI_DEFAULT_URGENCY, 1};  // streams take turns, whatever they ask for
  nghttp2_session_change_extpri_stream_priority(session_, id, &fair, 1);
  streams_[id] = std::move(s);
  idle_since = Duration{0};
}

void H2Connection::header(H2Stream& s, std::string_view name, std::string_view value) {
  s.header_bytes += name.size() + value.size() + 32;  // RFC 9113, 6.5.2
  if (s.header_bytes > options().max_header_bytes || s.head_done) return;
  if (name == ":method")
    s.method = value;
  else if (name == ":path")
    s.target = value;
  else if (name == ":authority")
    s.authority = value;
  else if (name.front() != ':')
    s.headers.add(std::string(name), std::string(value));
}

void H2Connection::head_complete(H2Stream& s) {
  s.head_done = true;
  ++running_;
  async::spawn(loop(), serve(shared_from_this(), streams_[s.id]));
}

void H2Connection::close_stream(H2Stream& s) {
  auto keep = streams_.extract(s.id);
  s.closed = true;
  if (!s.in.empty() && !over_) nghttp2_session_consume_connection(session_, s.in.size());
  nghttp2_session_set_stream_user_data(session_, s.id, nullptr);
  s.lost |= !s.out.empty();
  s.out = {};
  s.owned = {};
  s.in_ready.notify();
  s.drained.notify();
  if (s.gone)
    loop().post([weak = std::weak_ptr<H2Stream>(keep.mapped())] {
      if (auto stream = weak.lock(); stream && stream->gone) stream->gone();
    });
  if (streams_.empty()) {
    idle_since = now();
    idle_deadline_ = idle_since + options().idle_timeout;
    if (!over_) arm(options().idle_timeout);
    if (!over_ && std::exchange(server_->crowded, false)) stop();
  }
}

Result<> H2Connection::submit_head(H2Stream& s, int status, const Headers& headers, bool ends) {
  if (s.closed) return unavailable("write: the client closed the stream");
  std::vector<std::string> text;
  text.reserve(headers.rows().size() * 2 + 1);
  text.push_back(std::to_string(status));
  std::vector<nghttp2_nv> fields{field(":status", text[0])};
  for (const auto& [name, value] : headers.rows()) {
    if (belongs_to_connection(name)) continue;
    std::string& key = text.emplace_back(lower(name));
    std::string& clean = text.emplace_back(value);
    for (char& c : clean)
      if (c == '\r' || c == '\n' || c == '\0') c = ' ';
    fields.push_back(field(key, clean));
  }
  nghttp2_data_provider body{{.ptr = &s}, H2Callbacks::read_body};
  if (nghttp2_submit_response(session_, s.id, fields.data(), fields.size(), ends ? nullptr : &body) != 0)
    return unavailable("write: the client closed the stream");
  kick();
  return {};
}

void H2Connection::go_on(H2Stream& s) {
  if (s.closed) return;
  nghttp2_nv status = field(":status", "100");
  nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, s.id, nullptr, &status, 1, nullptr);
  kick();
}

void H2Connection::resume(H2Stream& s) {
  if (s.closed) return;
  nghttp2_session_resume_data(session_, s.id);
  if (!s.out.empty()) {
    s.write_deadline = now() + options().write_timeout;
    arm(options().write_timeout);
  }
  kick();
}

void H2Connection::consumed(H2Stream& s, size_t n) {
  if (s.closed) return;
  nghttp2_session_consume(session_, s.id, n);
  kick();
}

void H2Connection::reset(H2Stream& s, uint32_t code) {
  if (s.closed) return;
  s.closed = true;
  s.lost |= !s.out.empty();
  s.out = {};
  s.out_end = false;
  s.write_deadline = Duration{0};
  s.in_ready.notify();
  s.drained.notify();
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, s.id, code);
  kick();
}

}  // namespace k8lite::net
