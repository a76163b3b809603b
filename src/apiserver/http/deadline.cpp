#include "apiserver/http/deadline.h"

#include <list>

#include "apiserver/api_server.h"

namespace k8lite::apiserver {
namespace {

using async::Task;

class Guard;

// The requests that have no answer yet, oldest first. Loop thread only.
struct Waiting : std::enable_shared_from_this<Waiting> {
  Waiting(async::Loop& l, net::Handler h, Duration d) : loop(l), handler(std::move(h)), limit(d) {}
  async::Loop& loop;
  const net::Handler handler;
  const Duration limit;
  std::list<Guard*> guards;
  bool armed = false;

  void arm(Duration delay);
  void sweep();
};

class Guard : public net::ResponseWriter {
 public:
  Guard(std::shared_ptr<Waiting> waiting, net::ResponseWriter& to)
      : waiting_(std::move(waiting)), to_(to), since_(system_clock().mono()) {
    at_ = waiting_->guards.insert(waiting_->guards.end(), this);
    if (!waiting_->armed) waiting_->arm(waiting_->limit);
  }
  ~Guard() override { leave(); }

  Task<Result<>> send(int status, net::Headers headers, std::string body) override {
    if (expired_) co_return late();
    leave();
    co_return co_await to_.send(status, std::move(headers), std::move(body));
  }
  Task<Result<>> start(int status, net::Headers headers) override {
    if (expired_) co_return late();
    leave();
    co_return co_await to_.start(status, std::move(headers));
  }
  Task<Result<>> write(std::string_view data) override {
    if (expired_) co_return late();
    co_return co_await to_.write(data);
  }
  Task<Result<>> finish() override {
    if (expired_) co_return late();
    co_return co_await to_.finish();
  }
  Task<Result<net::StreamPtr>> upgrade(net::Headers headers) override {
    if (expired_) co_return late();
    leave();
    co_return co_await to_.upgrade(std::move(headers));
  }
  void on_disconnect(std::function<void()> fn) override {
    if (!expired_) to_.on_disconnect(std::move(fn));
  }
  bool started() const override { return expired_ || to_.started(); }

  Duration since() const { return since_; }
  void expire() {
    expired_ = true;
    leave();
    async::spawn(waiting_->loop, refuse(this));
  }
  // The handler has ended: lets the answer that took its place go out.
  Task<void> settle() {
    if (expired_) co_await refused_.wait();
  }

 private:
  static Status late() { return timed_out("the answer comes too late"); }
  static Task<void> refuse(Guard* self) {
    co_await send_status(self->to_, timed_out("request did not complete within the allotted timeout"));
    self->refused_.notify();
  }
  void leave() {
    if (!waits_) return;
    waits_ = false;
    waiting_->guards.erase(at_);
  }

  std::shared_ptr<Waiting> waiting_;
  net::ResponseWriter& to_;
  const Duration since_;
  std::list<Guard*>::iterator at_;
  bool waits_ = true, expired_ = false;
  async::Notify refused_;
};

void Waiting::arm(Duration delay) {
  armed = true;
  loop.after(delay, [weak = weak_from_this()] {
    if (auto self = weak.lock()) self->sweep();
  });
}

void Waiting::sweep() {
  armed = false;
  Duration now = system_clock().mono();
  while (!guards.empty() && now - guards.front()->since() >= limit) guards.front()->expire();
  if (!guards.empty()) arm(limit - (now - guards.front()->since()));
}

Task<void> run(std::shared_ptr<Waiting> waiting, net::Request* request, net::ResponseWriter* response) {
  Guard guard(waiting, *response);
  co_await waiting->handler(*request, guard);
  co_await guard.settle();
}

}  // namespace

net::Handler with_deadline(async::Loop& loop, net::Handler handler, Duration limit) {
  auto waiting = std::make_shared<Waiting>(loop, std::move(handler), limit);
  return [waiting](net::Request& request, net::ResponseWriter& response) { return run(waiting, &request, &response); };
}

}  // namespace k8lite::apiserver
