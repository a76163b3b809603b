// Loop on Boost.Asio: one io_context, one thread, timers in one ordered map behind a single steady_timer.
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <thread>

#include "async/together.h"

namespace k8lite::async {
namespace asio = boost::asio;
using SteadyTime = std::chrono::steady_clock::time_point;

struct Loop::Impl {
  asio::io_context io{1};
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> guard{asio::make_work_guard(io)};
  asio::steady_timer timer{io};
  std::map<std::pair<SteadyTime, uint64_t>, std::function<void()>> timers;  // loop thread only
  std::map<uint64_t, SteadyTime> due;
  std::atomic<uint64_t> next_id{1};
  std::thread thread;

  void arm() {
    if (timers.empty()) {
      timer.cancel();
      return;
    }
    timer.expires_at(timers.begin()->first.first);
    timer.async_wait([this](const boost::system::error_code& ec) {
      if (ec) return;
      auto now = std::chrono::steady_clock::now();
      while (!timers.empty() && timers.begin()->first.first <= now) {
        auto entry = timers.extract(timers.begin());
        due.erase(entry.key().second);
        entry.mapped()();
      }
      arm();
    });
  }
};

Loop::Loop() : impl_(std::make_unique<Impl>()) {}
Loop::~Loop() { stop(); }

namespace {
thread_local PostTogether* together = nullptr;
}

void Loop::post(std::function<void()> fn) {
  if (auto* t = PostTogether::current()) t->hold(*this, std::move(fn));
  else asio::post(impl_->io, std::move(fn));
}

PostTogether::PostTogether() : outer_(std::exchange(together, this)) {}
PostTogether::~PostTogether() {
  together = outer_;
  for (auto& [loop, functions] : held_)
    loop->post([functions = std::move(functions)]() mutable {
      for (auto& fn : functions) std::exchange(fn, nullptr)();
    });
}
PostTogether* PostTogether::current() { return together; }
void PostTogether::hold(Loop& loop, std::function<void()> fn) {
  for (auto& [other, functions] : held_)
    if (other == &loop) return functions.push_back(std::move(fn));
  held_.push_back({&loop, {}});
  held_.back().second.push_back(std::move(fn));
}

void Loop::start() {
  impl_->thread = std::thread([this] { impl_->io.run(); });
}
void Loop::stop() {
  impl_->io.stop();
  if (impl_->thread.joinable()) impl_->thread.join();
}
bool Loop::in_loop() const { return impl_->thread.get_id() == std::this_thread::get_id(); }
void* Loop::io_context() { return &impl_->io; }

uint64_t Loop::after(Duration delay, std::function<void()> fn) {
  uint64_t id = impl_->next_id++;
  auto at = std::chrono::steady_clock::now() + delay;
  asio::post(impl_->io, [this, id, at, fn = std::move(fn)]() mutable {
    bool first = impl_->timers.empty() || at < impl_->timers.begin()->first.first;
    impl_->timers.emplace(std::make_pair(at, id), std::move(fn));
    impl_->due.emplace(id, at);
    if (first) impl_->arm();
  });
  return id;
}

void Loop::cancel_timer(uint64_t id) {
  asio::post(impl_->io, [this, id] {
    auto it = impl_->due.find(id);
    if (it == impl_->due.end()) return;
    bool first = impl_->timers.begin()->first.second == id;
    impl_->timers.erase({it->second, id});
    impl_->due.erase(it);
    if (first) impl_->arm();
  });
}

}  // namespace k8lite::async
