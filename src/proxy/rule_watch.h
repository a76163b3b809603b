// Notices that another program has thrown our rules away: a firewall that is reloaded flushes the built-in chains, and with them the
// jumps to ours. The kernel tells of every change of nf_tables, so nothing is polled; legacy iptables tells nothing.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace k8lite::proxy {

// A rule of `chain` that names `target`.
struct Landmark {
  std::string table, chain, target;
};

class RuleWatch {
 public:
  virtual ~RuleWatch() = default;  // ends the watching; no call comes afterwards
  // `lost` is called, on a thread of the watch's own, when a landmark is missing that was there before; each is told once until it is
  // back. Looks in the calling thread's network namespace, at most once a second.
  static Result<std::unique_ptr<RuleWatch>> start(std::vector<Landmark> landmarks, std::function<void()> lost);
};

}  // namespace k8lite::proxy
