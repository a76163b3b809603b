// SPDY/3.1 sessions (draft-mbelshe-httpbis-spdy-00 with the windows of 3.1) as Kubernetes' streaming uses them. Go clients neither
// send nor heed windows, so windows bind us only towards a peer that announced them (as our own ends do, by SETTINGS); against
// others the connection's own back pressure has to do. Everything of a session runs on its executor; one task reads a stream.
#include "net/spdy.h"

#include <algorithm>
#include <deque>
#include <map>

#include "net/spdy_headers.h"
#include "net/turns.h"

namespace k8lite::net {
namespace {

constexpr size_t kReadBytes = 32 * 1024;
constexpr size_t kDataBytes = 32 * 1024;          // of a DATA frame we send; theirs may have 16 MiB and are taken in pieces
constexpr size_t kMaxControlFrame = 256 * 1024;
constexpr size_t kMaxPendingControl = 256 * 1024;  // answers a peer may let pile up by not reading
constexpr size_t kMaxStreams = 256;
constexpr int64_t kInitialWindow = 64 * 1024;
constexpr size_t kCreditBytes = 32 * 1024;   // read by the application before the peer is told
constexpr size_t kMaxUnread = 256 * 1024;    // of a stream, whose peer heeds no window, before the session stops reading
constexpr Duration kMaxStall = seconds(30);  // for a window to open; then it counts as lost
constexpr Duration kReplyTimeout = seconds(30);
constexpr Duration kLinger = seconds(5);  // after GOAWAY, for the peer to read the rest and close

enum FrameType : unsigned { kSynStream = 1, kSynReply = 2, kRstStream = 3, kSettings = 4, kPing = 6, kGoAway = 7, kHeaders = 8, kWindowUpdate = 9 };
constexpr unsigned kFin = 1, kUnidirectional = 2;
enum ResetCode : uint32_t { kProtocolError = 1, kRefusedStream = 3, kCancel = 5 };
constexpr uint32_t kSettingInitialWindow = 7;
constexpr uint32_t kMaxId = 0x7fffffff;

std::string u32(uint32_t n) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(n >> shift);
  return out;
}
uint32_t get32(std::string_view s, size_t at) {
  uint32_t n = 0;
  for (size_t i = at; i < at + 4; ++i) n = n << 8 | static_cast<unsigned char>(s[i]);
  return n;
}
std::string control_frame(unsigned type, unsigned flags, const std::string& body) {
  return u32(0x80030000u | type) + u32(flags << 24 | static_cast<uint32_t>(body.size())) + body;
}
std::string data_frame(uint32_t id, unsigned flags, std::string_view data) {
  std::string out;
  out.reserve(8 + data.size());
  return ((out += u32(id)) += u32(flags << 24 | static_cast<uint32_t>(data.size()))) += data;
}

struct StreamState {
  uint32_t id;
  Headers headers;
  std::string inbox;
  size_t uncredited = 0;
  int64_t window;
  bool replied = false, local_closed = false, remote_closed = false, dropped = false;
  Status failure;  // reset by either side, or the session's end
  async::Notify changed, replied_to, window_opened, room;
  Turns writers;

  void fail(Status why) {
    if (!failure.ok()) return;
    failure = std::move(why);
    wake();
  }
  void wake() {
    changed.notify();
    replied_to.notify();
    window_opened.notify();
    room.notify();
  }
};
using StatePtr = std::shared_ptr<StreamState>;

class Core : public std::enable_shared_from_this<Core> {
 public:
  Core(async::Executor& executor, StreamPtr stream, bool server)
      : executor_(executor), loop_(dynamic_cast<async::Loop*>(&executor)), stream_(std::move(stream)), server_(server), next_id_(server ? 2 : 1) {
    stream_->set_timeout(Duration{0});
  }

  static Task<void> run(std::shared_ptr<Core> self) {
    self->control(control_frame(kSettings, 0, u32(1) + u32(kSettingInitialWindow) + u32(kInitialWindow)));
    auto r = co_await self->read_frames();
    if (r.status().is(Reason::BadRequest) && self->failure_.ok()) self->depart(r.status(), kProtocolError, false);
    else self->end(r.status());
  }

  static Task<Result<StatePtr>> accept(std::shared_ptr<Core> self) {
    while (self->accepted_.empty()) {
      if (!self->failure_.ok()) co_return self->failure_;
      co_await self->arrived_.wait();
    }
    StatePtr s = std::move(self->accepted_.front());
    self->accepted_.pop_front();
    co_return s;
  }

  static Task<Result<StatePtr>> open(std::shared_ptr<Core> self, Headers headers) {
    if (!self->failure_.ok()) co_return self->failure_;
    if (self->peer_leaves_) co_return unavailable("spdy: the peer takes no new streams");
    if (self->streams_.size() >= kMaxStreams || self->next_id_ > kMaxId) co_return unavailable("spdy: too many streams in one session");
    StatePtr s = self->add(self->next_id_, std::move(headers));
    self->next_id_ += 2;
    self->control(control_frame(kSynStream, 0, u32(s->id) + u32(0) + std::string(2, '\0') + self->deflater_.deflate(s->headers)));
    while (!s->replied && s->failure.ok()) {
      bool in_time = true;
      if (self->loop_) in_time = co_await s->replied_to.wait_for(*self->loop_, kReplyTimeout);
      else co_await s->replied_to.wait();
      if (!in_time) self->reset(s, timed_out("spdy: the peer did not reply to a new stream"));
    }
    if (!s->replied) co_return s->failure;
    co_return s;
  }

  static Task<Result<std::string>> read(std::shared_ptr<Core> self, StatePtr s) {
    while (s->inbox.empty()) {
      if (s->remote_closed) co_return std::string();
      if (!s->failure.ok()) co_return s->failure;
      co_await s->changed.wait();
    }
    std::string out = std::exchange(s->inbox, {});
    s->room.notify();
    self->credit(s, out.size());
    co_return out;
  }

  static Task<Result<>> write(std::shared_ptr<Core> self, StatePtr s, std::string data, bool fin) {
    co_await s->writers.take();
    auto r = co_await self->write_in_turn(s, std::move(data), fin);
    s->writers.give_back();
    co_return r;
  }

  void reset(StatePtr s, Status why) {
    if (find(s->id) != s) return;
    streams_.erase(s->id);
    control(control_frame(kRstStream, 0, u32(s->id) + u32(kCancel)));
    s->fail(std::move(why));
    leave_when_done();
  }

  // The application let the stream go: what was not ended is cancelled, what the peer still sends is thrown away.
  void drop(StatePtr s) {
    if (!s->local_closed) return reset(s, unavailable("spdy: the stream was dropped"));
    s->dropped = true;
    s->inbox.clear();
    s->room.notify();
  }

  // Says GOAWAY and ends the session. Lingering, it waits for the peer to close: a reset of the connection must not overtake data
  // that the peer has not read.
  void depart(Status why, uint32_t code, bool linger) {
    if (!failure_.ok()) return;
    std::string frames;
    for (const auto& [id, s] : streams_) frames += control_frame(kRstStream, 0, u32(id) + u32(kCancel));
    fail_all(std::move(why));
    control(frames + control_frame(kGoAway, 0, u32(last_peer_id_) + u32(code)));
    if (!linger || !loop_) async::spawn(executor_, last_words(shared_from_this()));
    if (loop_)
      loop_->after(kLinger, [weak = weak_from_this()] {
        if (auto self = weak.lock()) self->end(unavailable("spdy: closed"));
      });
  }

 private:
  StatePtr add(uint32_t id, Headers headers) {
    auto s = std::make_shared<StreamState>();
    s->id = id;
    s->headers = std::move(headers);
    s->window = initial_window_;
    streams_[id] = s;
    return s;
  }

  void fail_all(Status why) {
    failure_ = std::move(why);
    for (const auto& [id, s] : std::exchange(streams_, {})) s->fail(failure_);
    accepted_.clear();
    arrived_.notify();
  }

  void end(Status why) {
    if (std::exchange(ended_, true)) return;
    if (failure_.ok()) fail_all(std::move(why));
    control_.clear();
    stream_->shutdown_write();
    stream_->close();
  }

  void remove_if_done(StatePtr s) {
    if (!s->local_closed || !s->remote_closed) return;
    streams_.erase(s->id);
    leave_when_done();
  }
  void leave_when_done() {
    if (peer_leaves_ && streams_.empty()) depart(unavailable("spdy: the peer ended the session"), 0, false);
  }

  // ---- writing: control frames gather in control_ and go out before whatever has its turn next, so none is overtaken by data ----

  void control(std::string frame) {
    if (ended_) return;
    control_ += frame;
    if (control_.size() > kMaxPendingControl) return end(unavailable("spdy: the peer does not read"));
    if (!std::exchange(flushing_, true)) async::spawn(executor_, flush(shared_from_this()));
  }
  static Task<void> flush(std::shared_ptr<Core> self) {
    self->flushing_ = false;
    if (!self->control_.empty()) (void)co_await self->send({});
  }
  static Task<void> last_words(std::shared_ptr<Core> self) {
    (void)co_await self->send({});
    self->end(unavailable("spdy: closed"));
  }

  Task<Result<>> send(std::string frame) {
    auto self = shared_from_this();
    co_await turns_.take();
    Result<> r;
    if (ended_) {
      r = failure_;
    } else {
      std::string out = std::exchange(control_, {});
      if (out.empty()) out = std::move(frame);
      else out += frame;
      if (!out.empty()) r = co_await stream_->write_all(out);
    }
    turns_.give_back();
    if (!r.ok()) end(r.status());
    co_return r;
  }

  Task<Result<>> write_in_turn(StatePtr s, std::string data, bool fin) {
    for (size_t at = 0; at < data.size();) {
      if (!s->failure.ok()) co_return s->failure;
      if (s->local_closed) co_return bad_request("spdy: write after the stream's end");
      if (heeds_windows_ && s->window <= 0 && loop_) {
        if (!co_await s->window_opened.wait_for(*loop_, kMaxStall)) s->window = kInitialWindow;
        continue;
      }
      size_t n = std::min(data.size() - at, kDataBytes);
      if (heeds_windows_ && s->window > 0) n = std::min(n, static_cast<size_t>(s->window));
      s->window -= static_cast<int64_t>(n);
      CO_TRY_OK(co_await send(data_frame(s->id, 0, std::string_view(data).substr(at, n))));
      at += n;
    }
    if (!s->failure.ok()) co_return s->failure;
    if (fin && !std::exchange(s->local_closed, true)) {
      CO_TRY_OK(co_await send(data_frame(s->id, kFin, {})));
      remove_if_done(s);
    }
    co_return Result<>{};
  }

  void credit(StatePtr s, size_t n) {
    s->uncredited += n;
    if (s->uncredited < kCreditBytes || s->remote_closed || !s->failure.ok()) return;
    control(control_frame(kWindowUpdate, 0, u32(s->id) + u32(static_cast<uint32_t>(std::exchange(s->uncredited, 0)))));
  }

  // ---- reading ----

  Task<Result<>> need(size_t n) {
    while (in_.size() - at_ < n) {
      if (at_) in_.erase(0, std::exchange(at_, 0));
      std::string buffer(kReadBytes, '\0');
      CO_TRY(size_t got, co_await stream_->read_some({buffer.data(), buffer.size()}));
      if (got == 0) co_return unavailable(in_.empty() ? "spdy: the peer closed the connection" : "spdy: the connection broke off inside a frame");
      in_.append(buffer.data(), got);
    }
    co_return Result<>{};
  }

  Task<Result<>> read_frames() {
    for (;;) {
      CO_TRY_OK(co_await need(8));
      uint32_t first = get32(in_, at_), second = get32(in_, at_ + 4);
      at_ += 8;
      unsigned flags = second >> 24;
      size_t size = second & 0xffffff;
      if (!(first & 0x80000000u)) {
        CO_TRY_OK(co_await read_data(first, flags, size));
        continue;
      }
      if ((first >> 16 & 0x7fff) != 3) co_return bad_request("spdy: a frame of version " + std::to_string(first >> 16 & 0x7fff));
      if (size > kMaxControlFrame) co_return bad_request("spdy: a control frame of " + std::to_string(size) + " bytes");
      CO_TRY_OK(co_await need(size));
      std::string body = in_.substr(at_, size);
      at_ += size;
      CO_TRY_OK(on_control(first & 0xffff, flags, body));
    }
  }

  // Data is handed on piece by piece. Where it finds no reader it is thrown away, for a reset may have crossed it.
  Task<Result<>> read_data(uint32_t id, unsigned flags, size_t left) {
    StatePtr s = find(id);
    size_t whole = left;
    while (left > 0) {
      CO_TRY_OK(co_await need(1));
      size_t n = std::min(left, in_.size() - at_);
      if (s && s->failure.ok() && !s->remote_closed) {
        if (s->dropped) credit(s, n);
        else s->inbox.append(in_, at_, n);
        s->changed.notify();
      }
      at_ += n;
      left -= n;
      while (s && s->inbox.size() >= kMaxUnread && s->failure.ok() && !s->dropped) co_await s->room.wait();
    }
    session_uncredited_ += whole;
    if (session_uncredited_ >= kCreditBytes && failure_.ok())
      control(control_frame(kWindowUpdate, 0, u32(0) + u32(static_cast<uint32_t>(std::exchange(session_uncredited_, 0)))));
    if (s && (flags & kFin)) finish_remote(s);
    co_return Result<>{};
  }

  StatePtr find(uint32_t id) const {
    auto it = streams_.find(id);
    return it == streams_.end() ? nullptr : it->second;
  }
  void finish_remote(StatePtr s) {
    s->remote_closed = true;
    s->changed.notify();
    remove_if_done(s);
  }

  Result<> on_control(unsigned type, unsigned flags, const std::string& body) {
    size_t least = type == kSynStream ? 10 : type == kRstStream || type == kGoAway || type == kWindowUpdate ? 8 : 4;
    if (type <= kWindowUpdate && body.size() < least) return bad_request("spdy: a control frame of type " + std::to_string(type) + " is too short");
    switch (type) {
      case kSynStream: return on_syn_stream(flags, body);
      case kSynReply:
      case kHeaders: return on_headers(type, flags, body);
      case kRstStream: on_reset(get32(body, 0) & kMaxId, get32(body, 4)); break;
      case kSettings: return on_settings(body);
      case kPing:
        if ((get32(body, 0) & 1) == (server_ ? 1u : 0u)) control(control_frame(kPing, 0, body.substr(0, 4)));
        break;
      case kGoAway:
        peer_leaves_ = true;
        leave_when_done();
        break;
      case kWindowUpdate:
        heeds_windows_ = true;
        if (StatePtr s = find(get32(body, 0) & kMaxId)) {
          s->window += get32(body, 4) & kMaxId;
          s->window_opened.notify();
        }
        break;
      default: break;  // CREDENTIAL and the future
    }
    return {};
  }

  Result<> on_syn_stream(unsigned flags, const std::string& body) {
    TRY(Headers headers, inflater_.inflate(std::string_view(body).substr(10)));
    uint32_t id = get32(body, 0) & kMaxId;
    bool theirs = id != 0 && (id & 1) == (server_ ? 1u : 0u);
    if (!theirs || find(id) || !failure_.ok() || peer_leaves_ || streams_.size() >= kMaxStreams) {
      uint32_t code = !theirs || find(id) ? kProtocolError : kRefusedStream;
      control(control_frame(kRstStream, 0, u32(id) + u32(code)));
      return {};
    }
    last_peer_id_ = std::max(last_peer_id_, id);
    StatePtr s = add(id, std::move(headers));
    s->replied = true;
    s->remote_closed = (flags & kFin) != 0;
    s->local_closed = (flags & kUnidirectional) != 0;
    if (!s->local_closed) control(control_frame(kSynReply, 0, u32(id) + deflater_.deflate({})));
    accepted_.push_back(s);
    arrived_.notify();
    remove_if_done(s);
    return {};
  }

  Result<> on_headers(unsigned type, unsigned flags, const std::string& body) {
    TRY_OK(inflater_.inflate(std::string_view(body).substr(4)));
    StatePtr s = find(get32(body, 0) & kMaxId);
    if (!s) return {};
    if (type == kSynReply) {
      s->replied = true;
      s->replied_to.notify();
    }
    if (flags & kFin) finish_remote(s);
    return {};
  }

  void on_reset(uint32_t id, uint32_t code) {
    StatePtr s = find(id);
    if (!s) return;
    streams_.erase(id);
    std::erase(accepted_, s);
    s->fail(unavailable(code == kRefusedStream ? "spdy: the peer refused the stream" : "spdy: the peer reset the stream (code " + std::to_string(code) + ")"));
    leave_when_done();
  }

  Result<> on_settings(const std::string& body) {
    size_t count = get32(body, 0);
    if (body.size() - 4 < count * 8) return bad_request("spdy: SETTINGS are cut off");
    for (size_t at = 4; at + 8 <= 4 + count * 8; at += 8) {
      if ((get32(body, at) & 0xffffff) != kSettingInitialWindow) continue;
      heeds_windows_ = true;
      int64_t window = get32(body, at + 4) & kMaxId;
      for (const auto& [id, s] : streams_) {
        s->window += window - initial_window_;
        s->window_opened.notify();
      }
      initial_window_ = window;
    }
    return {};
  }

  async::Executor& executor_;
  async::Loop* loop_;  // for time limits; null on another kind of executor
  StreamPtr stream_;
  bool server_;
  uint32_t next_id_, last_peer_id_ = 0;
  HeaderDeflater deflater_;
  HeaderInflater inflater_;
  std::map<uint32_t, StatePtr> streams_;
  std::deque<StatePtr> accepted_;
  async::Notify arrived_;
  std::string in_;  // bytes read ahead; consumed up to at_
  size_t at_ = 0, session_uncredited_ = 0;
  int64_t initial_window_ = kInitialWindow;
  std::string control_;
  Turns turns_;
  bool flushing_ = false, heeds_windows_ = false, peer_leaves_ = false, ended_ = false;
  Status failure_;  // why nothing new begins any more
};

// What the application holds. Letting go of it, on any thread, drops the stream.
class StreamHandle : public SpdyStream {
 public:
  StreamHandle(async::Executor& executor, std::shared_ptr<Core> core, StatePtr state) : executor_(executor), core_(std::move(core)), state_(std::move(state)) {}
  ~StreamHandle() override {
    executor_.post([core = core_, state = state_] { core->drop(state); });
  }
  const Headers& headers() const override { return state_->headers; }
  Task<Result<std::string>> read() override { return Core::read(core_, state_); }
  Task<Result<>> write(std::string data) override { return Core::write(core_, state_, std::move(data), false); }
  Task<Result<>> close_write() override { return Core::write(core_, state_, {}, true); }
  void reset() override {
    executor_.post([core = core_, state = state_] { core->reset(state, unavailable("spdy: the stream was reset")); });
  }

 private:
  async::Executor& executor_;
  std::shared_ptr<Core> core_;
  StatePtr state_;
};

class Session : public SpdySession {
 public:
  Session(async::Executor& executor, std::shared_ptr<Core> core) : executor_(executor), core_(std::move(core)) {}
  ~Session() override { close(); }
  Task<Result<SpdyStreamPtr>> accept() override { return handle(&executor_, core_, Core::accept(core_)); }
  Task<Result<SpdyStreamPtr>> open(Headers headers) override { return handle(&executor_, core_, Core::open(core_, std::move(headers))); }
  void close() override {
    executor_.post([core = core_] { core->depart(unavailable("spdy: the session was closed"), 0, true); });
  }

 private:
  static Task<Result<SpdyStreamPtr>> handle(async::Executor* executor, std::shared_ptr<Core> core, Task<Result<StatePtr>> coming) {
    CO_TRY(StatePtr state, co_await std::move(coming));
    co_return std::make_shared<StreamHandle>(*executor, core, state);
  }
  async::Executor& executor_;
  std::shared_ptr<Core> core_;
};

}  // namespace

std::shared_ptr<SpdySession> make_spdy_session(async::Executor& executor, StreamPtr stream, bool server) {
  auto core = std::make_shared<Core>(executor, std::move(stream), server);
  async::spawn(executor, Core::run(core));
  return std::make_shared<Session>(executor, std::move(core));
}

}  // namespace k8lite::net
