// Task<T>: the lazy coroutine of the house. It starts when awaited (or spawned) and resumes its awaiter by symmetric transfer.
// Every task runs on one Executor, handed down from the root: an awaiter that completes on a foreign thread posts the resumption
// there, so code of one task never runs on two threads at once. Parameters are taken by value; no capturing lambda coroutines.
#pragma once
#include <coroutine>
#include <exception>
#include <functional>
#include <optional>
#include <utility>

namespace k8lite::async {

// Runs functions one after another (Loop is one). post() is thread-safe and never runs the function inline.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void post(std::function<void()> fn) = 0;
};

template <class T = void>
class Task;

// clang 16 may keep what an inlined await_suspend() works with in the coroutine's frame, which another thread may have resumed by then
// (LLVM issue 56301): every await_suspend() of ours stays a function of its own.
#define K8_AWAIT [[gnu::noinline]]

namespace detail {

struct PromiseBase {
  std::coroutine_handle<> awaiter;
  Executor* executor = nullptr;

  std::suspend_always initial_suspend() noexcept { return {}; }
  struct Final {
    bool await_ready() noexcept { return false; }
    template <class P>
    K8_AWAIT std::coroutine_handle<> await_suspend(std::coroutine_handle<P> h) noexcept {
      auto next = h.promise().awaiter;
      return next ? next : std::noop_coroutine();
    }
    void await_resume() noexcept {}
  };
  Final final_suspend() noexcept { return {}; }
  void unhandled_exception() { std::terminate(); }  // no exceptions cross our code; see style.md
};

template <class T>
struct Promise : PromiseBase {
  std::optional<T> value;
  Task<T> get_return_object();
  template <class U>
  void return_value(U&& v) { value.emplace(std::forward<U>(v)); }
  T take() { return std::move(*value); }
};

template <>
struct Promise<void> : PromiseBase {
  Task<void> get_return_object();
  void return_void() {}
  void take() {}
};

}  // namespace detail

template <class T>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  Task() = default;
  explicit Task(Handle h) : handle_(h) {}
  Task(Task&& o) noexcept : handle_(std::exchange(o.handle_, {})) {}
  Task& operator=(Task&& o) noexcept {
    if (this != &o) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(o.handle_, {});
    }
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  struct Awaiter {
    Handle handle;
    bool await_ready() noexcept { return false; }
    template <class P>
    K8_AWAIT std::coroutine_handle<> await_suspend(std::coroutine_handle<P> parent) noexcept {
      handle.promise().awaiter = parent;
      handle.promise().executor = parent.promise().executor;
      return handle;
    }
    T await_resume() { return handle.promise().take(); }
  };
  Awaiter operator co_await() && noexcept { return Awaiter{handle_}; }

  Handle handle() const { return handle_; }

 private:
  Handle handle_;
};

namespace detail {
template <class T>
Task<T> Promise<T>::get_return_object() { return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this)); }
inline Task<void> Promise<void>::get_return_object() { return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this)); }
}  // namespace detail

}  // namespace k8lite::async
