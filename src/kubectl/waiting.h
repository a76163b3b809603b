// Waiting for objects: watches with an end.
#pragma once
#include <functional>

#include "kubectl/resources.h"

namespace k8lite::kubectl {

class Deadline {
 public:
  Deadline() = default;  // never
  explicit Deadline(Duration from_now) : ends_(true), at_(system_clock().mono() + from_now) {}
  bool passed() const { return ends_ && system_clock().mono() >= at_; }
  // Whole seconds left, at least 1; 0: without end.
  int64_t seconds_left() const;

 private:
  bool ends_ = false;
  Duration at_{0};
};

// Calls `look` with the object as it is now and after each change (null: it does not exist) until it returns true or an error.
// Timeout when the deadline is first.
Result<> watch_until(Session& session, const Target& target, const Deadline& deadline, const std::function<Result<bool>(const json::Node&)>& look);

// Until no object of that name with that uid ("" : any) is there.
Result<> wait_gone(Session& session, const Target& target, const std::string& uid, const Deadline& deadline);

}  // namespace k8lite::kubectl
