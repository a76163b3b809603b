// Inside of src/net: how much a peer may ask that brings nobody forward. Pings, settings, resets, priorities and empty
// frames cost their sender next to nothing, so a connection has an allowance of them which grows back with time
// (CVE-2019-9512 to 9518, CVE-2023-44487).
#pragma once
#include <algorithm>

#include "base/clock.h"

namespace k8lite::net {

class Allowance {
 public:
  Allowance(double burst, double per_second) : burst_(burst), per_second_(per_second), left_(burst) {}
  // Takes one; false when there is none.
  bool take(Duration now) {
    double passed = std::chrono::duration<double>(now - last_).count();
    last_ = now;
    left_ = std::min(burst_, left_ + std::max(0.0, passed) * per_second_);
    if (left_ < 1) return false;
    left_ -= 1;
    return true;
  }

 private:
  double burst_, per_second_, left_;
  Duration last_{0};
};

}  // namespace k8lite::net
