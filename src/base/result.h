// Result<T> carries a value or a Status; Result<> carries only success or a Status.
// TRY(auto pod, pods.get(key)); returns the error of the enclosing function; CO_TRY does the same in a coroutine.
#pragma once
#include <cassert>
#include <optional>
#include <utility>

#include "base/status.h"

namespace k8lite {

template <class T = void>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  Result(T value) : value_(std::move(value)) {}
  Result(Status status) : status_(std::move(status)) { assert(!status_.ok()); }

  bool ok() const { return value_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Status& status() const& { return status_; }
  Status status() && { return std::move(status_); }

  T& value() & { assert(ok()); return *value_; }
  const T& value() const& { assert(ok()); return *value_; }
  T value() && { assert(ok()); return std::move(*value_); }
  T value_or(T other) && { return ok() ? std::move(*value_) : std::move(other); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  Result within(std::string_view context) && {
    if (ok()) return std::move(*this);
    return std::move(status_).within(context);
  }

 private:
  std::optional<T> value_;
  Status status_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;
  Result() = default;
  Result(Status status) : status_(std::move(status)) {}

  bool ok() const { return status_.ok(); }
  explicit operator bool() const { return ok(); }
  const Status& status() const& { return status_; }
  Status status() && { return std::move(status_); }
  void value() const {}
  Result within(std::string_view context) && {
    if (ok()) return {};
    return std::move(status_).within(context);
  }

 private:
  Status status_;
};

}  // namespace k8lite

#define K8_CONCAT2(a, b) a##b
#define K8_CONCAT(a, b) K8_CONCAT2(a, b)
#define K8_TRY(ret, tmp, decl, ...)               \
  auto tmp = (__VA_ARGS__);                       \
  if (!tmp.ok()) ret std::move(tmp).status();     \
  decl = std::move(tmp).value()
#define K8_TRY_OK(ret, ...)                                \
  do {                                                     \
    if (auto k8_try_ok = (__VA_ARGS__); !k8_try_ok.ok())   \
      ret std::move(k8_try_ok).status();                   \
  } while (0)

// Statement forms, each on a line of its own: TRY(auto x, f()); TRY_OK(g()); CO_TRY(auto y, co_await h()); CO_TRY_OK(co_await i());
#define TRY(decl, ...) K8_TRY(return, K8_CONCAT(k8_try_, __LINE__), decl, __VA_ARGS__)
#define TRY_OK(...) K8_TRY_OK(return, __VA_ARGS__)
#define CO_TRY(decl, ...) K8_TRY(co_return, K8_CONCAT(k8_try_, __LINE__), decl, __VA_ARGS__)
#define CO_TRY_OK(...) K8_TRY_OK(co_return, __VA_ARGS__)
