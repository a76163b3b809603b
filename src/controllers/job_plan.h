// What a Job does next. Pure. Finished pods are counted exactly once, also across crashes: a pod carries a finalizer until its uid has
// been written to status.uncountedTerminatedPods, and is added to the counters when the finalizer is gone. (Kubernetes documentation,
// "Jobs"; KEP-2307 tracking, KEP-2214 indexed, KEP-3329 failure policy, KEP-3850 back-off per index, KEP-3998 success policy.)
#pragma once
#include <optional>
#include <set>

#include "controllers/context.h"

namespace k8lite::controllers {

struct JobPlan {
  struct Create {
    std::optional<int64_t> index;
    int64_t failures = 0;  // of this index before, where the Job counts them
  };
  std::vector<Create> create;
  std::vector<std::string> remove;    // pod names
  std::vector<std::string> release;   // pods whose finalizer may go once the status is written
  json::Node status;
  bool remove_job = false;            // ttlSecondsAfterFinished is over
  Duration again{0};                  // look again after this time
  struct Event {
    std::string type, reason, message;
  };
  std::vector<Event> events;
};
JobPlan plan_job(const json::Doc& job, const std::vector<json::Doc>& pods, Instant now);

// Gives a pod made from a Job's template its finalizer, and in an indexed Job its index.
json::Node job_pod(const json::Doc& job, json::Node pod, const JobPlan::Create& what);

// "0-2,5" both ways; what cannot be read is left out. Limit: 100000 indexes.
std::set<int64_t> parse_indexes(std::string_view text);
std::string format_indexes(const std::set<int64_t>& indexes);
bool job_finished(json::Value job, std::string_view* how = nullptr);  // has the condition Complete or Failed

constexpr std::string_view kJobFinalizer = "batch.kubernetes.io/job-tracking";

}  // namespace k8lite::controllers
