// The audit log as the API server uses it: policy, file and figures in one. What is not to be logged costs one look at
// the policy.
#pragma once
#include "apiserver/audit/event.h"
#include "apiserver/audit/log.h"
#include "base/metrics.h"

namespace k8lite::apiserver::audit {

class Auditor {
 public:
  Auditor(Policy policy, std::unique_ptr<Log> log, const Clock& clock)
      : policy_(std::move(policy)), log_(std::move(log)), clock_(clock) {}
  // A record to be filled, or nothing when the policy says None. Fill in who and what; id, decision and time are set.
  std::unique_ptr<Record> begin(const authn::Identity& user, const RequestInfo& info, std::string audit_id);
  void tell(const Record& record, Stage stage);
  void write_metrics(std::string& out) const;
  void flush() { log_->flush(); }

 private:
  const Policy policy_;
  const std::unique_ptr<Log> log_;
  const Clock& clock_;
  std::atomic<uint64_t> events_{0};
  metrics::Family levels_{"apiserver_audit_level_total", metrics::Type::Counter,
                          "Requests by the level that the audit policy gives them."};
};

}  // namespace k8lite::apiserver::audit
