#include "controllers/job_plan.h"

#include <algorithm>

#include "base/strings.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using json::Value;

namespace {

constexpr std::string_view kIndex = "batch.kubernetes.io/job-completion-index", kIndexFailures = "batch.kubernetes.io/job-index-failure-count";
constexpr int64_t kFirstBackOff = 10, kMaxBackOff = 600;  // seconds

bool going(const Doc& p) { return static_cast<bool>(p.path("metadata.deletionTimestamp")); }
bool phase_is(const Doc& p, std::string_view phase) { return p.path("status.phase").equals(phase); }
bool has_finalizer(const Doc& p) {
  for (Value f : p.path("metadata.finalizers").items())
    if (f.equals(kJobFinalizer)) return true;
  return false;
}
std::optional<int64_t> index_of(const Doc& p) { return parse_int(p["metadata"]["annotations"][kIndex].str()); }

Instant finished_at(const Doc& p, Instant otherwise) {
  std::optional<Instant> last;
  for (Value c : p.path("status.containerStatuses").items())
    if (auto t = parse_rfc3339(c["state"]["terminated"]["finishedAt"].str())) last = last ? std::max(*last, *t) : *t;
  return last.value_or(otherwise);
}

// What a failed pod means: Count (as any failure), Ignore, FailIndex, or FailJob with a message.
struct Verdict {
  enum class Kind { Count, Ignore, FailIndex, FailJob } kind = Kind::Count;
  std::string message;
};

bool exit_codes_match(Value rule, const Doc& pod, std::string& why) {
  for (const char* list : {"initContainerStatuses", "containerStatuses"})
    for (Value c : pod["status"][list].items()) {
      Value terminated = c["state"]["terminated"];
      if (!terminated || (rule["containerName"] && !rule["containerName"].equals(c["name"].str()))) continue;
      int64_t code = terminated["exitCode"].int_or(0);
      if (code == 0) continue;
      bool listed = false;
      for (Value v : rule["values"].items()) listed |= v.int_or(-1) == code;
      if (listed != rule["operator"].equals("In")) continue;
      why = "Container " + c["name"].str() + " for pod " + namespace_of(pod) + "/" + name_of(pod) + " failed with exit code " + std::to_string(code);
      return true;
    }
  return false;
}

Verdict judge(const Doc& job, const Doc& pod) {
  size_t i = 0;
  for (Value rule : job.path("spec.podFailurePolicy.rules").items()) {
    std::string why;
    bool matched = rule["onExitCodes"] && exit_codes_match(rule["onExitCodes"], pod, why);
    for (Value wanted : rule["onPodConditions"].items())
      for (Value c : pod.path("status.conditions").items())
        if (!matched && c["type"].equals(wanted["type"].str()) && c["status"].equals(wanted["status"].str("True"))) {
          matched = true;
          why = "Pod " + namespace_of(pod) + "/" + name_of(pod) + " has condition " + c["type"].str();
        }
    if (matched) {
      std::string action = rule["action"].str();
      why += " matching " + action + " rule at index " + std::to_string(i);
      return {action == "FailJob" ? Verdict::Kind::FailJob : action == "Ignore" ? Verdict::Kind::Ignore : action == "FailIndex" ? Verdict::Kind::FailIndex : Verdict::Kind::Count, why};
    }
    ++i;
  }
  return {};
}

class Planner {
 public:
  Planner(const Doc& job, const std::vector<Doc>& pods, Instant now) : job_(job), spec_(job["spec"]), old_(job["status"]), pods_(pods), now_(now) {
    indexed_ = spec_["completionMode"].equals("Indexed");
    if (spec_["completions"]) completions_ = spec_["completions"].int_or(1);
    parallelism_ = spec_["parallelism"].int_or(1);
    succeeded_ = old_["succeeded"].int_or(0);
    failed_ = old_["failed"].int_or(0);
    completed_ = parse_indexes(old_["completedIndexes"].str());
    failed_indexes_ = parse_indexes(old_["failedIndexes"].str());
    per_index_ = indexed_ && spec_["backoffLimitPerIndex"];
    status_ = old_.exists() ? old_.to_node() : Node::object();
    conditions_ = old_["conditions"].exists() ? old_["conditions"].to_node() : Node::array();
  }

  JobPlan run() {
    std::string_view how;
    if (job_finished(job_.root(), &how)) {
      look();
      for (const Doc& p : pods_)
        if (has_finalizer(p) && !(phase_is(p, "Running") && !going(p))) plan_.release.push_back(name_of(p));
      for (const Doc* p : active_) plan_.remove.push_back(name_of(*p));
      expire();
      plan_.status = status_;
      return std::move(plan_);
    }
    suspended_ = spec_["suspend"].bool_or(false);
    if (!old_["startTime"] && !suspended_) status_.set("startTime", rfc3339(now_));
    look();
    count_finished();
    decide();
    write_status();
    return std::move(plan_);
  }

 private:
  void look() {
    for (const Doc& p : pods_) {
      if (phase_is(p, "Succeeded") || phase_is(p, "Failed")) continue;
      if (going(p)) ++terminating_;
      else active_.push_back(&p), ready_ += pod_is_ready(p.root());
    }
  }

  // Two ledgers: pods that have finished but still carry the finalizer, and those to be added to the counters now.
  void count_finished() {
    std::map<std::string, const Doc*> by_uid;
    for (const Doc& p : pods_) by_uid[uid_of(p)] = &p;
    Node uncounted = Node::object();
    for (const char* which : {"succeeded", "failed"}) {
      Node waiting = Node::array();
      for (Value uid : old_["uncountedTerminatedPods"][which].items()) {
        auto it = by_uid.find(uid.str());
        known_.insert(uid.str());
        if (it != by_uid.end() && has_finalizer(*it->second)) {
          waiting.append(uid.str());
          plan_.release.push_back(name_of(*it->second));
        } else {
          ++(which[0] == 's' ? succeeded_ : failed_);
        }
      }
      uncounted.set(which, std::move(waiting));
    }
    for (const Doc& p : pods_) {
      // A pod that is deleted while it runs counts as failed once it has stopped; where it never ran its finalizer just goes.
      bool good = phase_is(p, "Succeeded"), bad = phase_is(p, "Failed");
      if (bad) latest_failure_ = std::max(latest_failure_.value_or(finished_at(p, now_)), finished_at(p, now_));
      if (good) latest_success_ = std::max(latest_success_.value_or(finished_at(p, now_)), finished_at(p, now_));
      if (!has_finalizer(p) || known_.contains(uid_of(p))) continue;
      if (!good && !bad) {
        if (going(p) && p.path("spec.nodeName").empty()) plan_.release.push_back(name_of(p)), ++lost_;
        continue;
      }
      auto index = index_of(p);
      if (good) {
        if (indexed_ && (!index || completed_.contains(*index) || *index >= completions_.value_or(0))) {
          plan_.release.push_back(name_of(p));
          continue;
        }
        if (indexed_) completed_.insert(*index);
        uncounted["succeeded"].append(uid_of(p));
        plan_.release.push_back(name_of(p));
        continue;
      }
      Verdict v = judge(job_, p);
      if (v.kind == Verdict::Kind::FailJob && fail_message_.empty()) fail_message_ = v.message;
      if (indexed_ && index && per_index_ && v.kind != Verdict::Kind::Ignore) {
        int64_t failures = parse_int(p["metadata"]["annotations"][kIndexFailures].str()).value_or(0) + 1;
        if (v.kind == Verdict::Kind::FailIndex || failures > spec_["backoffLimitPerIndex"].int_or(0)) failed_indexes_.insert(*index);
      }
      plan_.release.push_back(name_of(p));
      if (v.kind == Verdict::Kind::Ignore) continue;
      uncounted["failed"].append(uid_of(p));
    }
    for (int64_t i : completed_) failed_indexes_.erase(i);
    pending_succeeded_ = static_cast<int64_t>(uncounted["succeeded"].size());
    pending_failed_ = static_cast<int64_t>(uncounted["failed"].size());
    for (const char* which : {"succeeded", "failed"})
      if (uncounted[which].size() == 0) uncounted.erase(which);
    status_.set("uncountedTerminatedPods", std::move(uncounted));
  }

  int64_t all_succeeded() const { return indexed_ ? static_cast<int64_t>(completed_.size()) : succeeded_ + pending_succeeded_; }
  int64_t all_failed() const { return failed_ + pending_failed_; }

  bool has(std::string_view type) const {
    for (const Node& c : conditions_.items())
      if (c.get("type").str() == type && c.get("status").str() == "True") return true;
    return false;
  }
  void condition(std::string_view type, std::string_view status, std::string_view reason, std::string_view message) {
    Node one = Node::array();
    set_condition(one, old_["conditions"], type, status, reason, message, now_);
    one.items()[0].set("lastProbeTime", rfc3339(now_));
    for (Node& c : conditions_.items())
      if (c.get("type").str() == type) {
        if (c.get("status").str() != status) c = one.items()[0];
        return;
      }
    conditions_.append(one.items()[0]);
  }

  int64_t restarts() const {
    int64_t n = 0;
    for (const Doc* p : active_)
      for (const char* list : {"initContainerStatuses", "containerStatuses"})
        for (Value c : (*p)["status"][list].items()) n += c["restartCount"].int_or(0);
    return n;
  }

  // "" or the reason why the Job has failed.
  std::string failure(std::string& message) {
    if (!fail_message_.empty()) {
      message = fail_message_;
      return "PodFailurePolicy";
    }
    int64_t limit = spec_["backoffLimit"].int_or(6);
    bool in_place = spec_.path("template.spec.restartPolicy").equals("OnFailure");
    if (all_failed() > limit || (in_place && restarts() > 0 && restarts() >= limit)) {
      message = "Job has reached the specified backoff limit";
      return "BackoffLimitExceeded";
    }
    auto start = parse_rfc3339(status_.get("startTime").str());
    if (spec_["activeDeadlineSeconds"] && start && !suspended_) {
      Duration left = seconds(spec_["activeDeadlineSeconds"].int_or(0)) - (now_ - *start);
      if (left.count() <= 0) {
        message = "Job was active longer than specified deadline";
        return "DeadlineExceeded";
      }
      later(left);
    }
    if (per_index_ && spec_["maxFailedIndexes"] && static_cast<int64_t>(failed_indexes_.size()) > spec_["maxFailedIndexes"].int_or(0)) {
      message = "Job has exceeded the specified maximal number of failed indexes";
      return "MaxFailedIndexesExceeded";
    }
    if (per_index_ && !failed_indexes_.empty() && static_cast<int64_t>(failed_indexes_.size() + completed_.size()) >= completions_.value_or(0)) {
      message = "Job has failed indexes";
      return "FailedIndexes";
    }
    return "";
  }

  bool success_policy_met(std::string& message) const {
    size_t i = 0;
    for (Value rule : spec_.path("successPolicy.rules").items()) {
      std::set<int64_t> wanted = parse_indexes(rule["succeededIndexes"].str());
      int64_t hits = 0;
      for (int64_t done : completed_) hits += !rule["succeededIndexes"] || wanted.contains(done);
      int64_t needed = rule["succeededCount"] ? rule["succeededCount"].int_or(0) : static_cast<int64_t>(wanted.size());
      if (needed > 0 && hits >= needed) {
        message = "Matched rules at index " + std::to_string(i);
        return true;
      }
      ++i;
    }
    return false;
  }

  bool complete() const {
    if (completions_) return all_succeeded() >= *completions_;
    return all_succeeded() > 0 && active_.empty() && terminating_ == 0;
  }

  void end_active() {
    for (const Doc* p : active_) plan_.remove.push_back(name_of(*p));
    terminating_ += static_cast<int64_t>(active_.size());
    active_.clear();
    ready_ = 0;
  }
  bool all_still() const { return active_.empty() && terminating_ == 0 && plan_.remove.empty() && pending_succeeded_ == 0 && pending_failed_ == 0; }

  void decide() {
    std::string message, reason;
    if (!has("SuccessCriteriaMet") && !has("FailureTarget")) {
      reason = failure(message);
      if (!reason.empty()) condition("FailureTarget", "True", reason, message);
      else if (success_policy_met(message)) condition("SuccessCriteriaMet", "True", "SuccessPolicy", message);
      else if (complete()) condition("SuccessCriteriaMet", "True", "CompletionsReached", "Reached expected number of succeeded pods");
    }
    if (has("FailureTarget") || has("SuccessCriteriaMet")) {
      bool good = has("SuccessCriteriaMet");
      end_active();
      if (all_still()) finish(good);
      return;
    }
    if (suspended_) {
      end_active();
      if (!has("Suspended")) plan_.events.push_back({"Normal", "Suspended", "Job suspended"});
      condition("Suspended", "True", "JobSuspended", "Job suspended");
      status_.erase("startTime");
      return;
    }
    if (has("Suspended")) {
      condition("Suspended", "False", "JobResumed", "Job resumed");
      status_.set("startTime", rfc3339(now_));
      plan_.events.push_back({"Normal", "Resumed", "Job resumed"});
    }
    // The counters first: what has ended but is not written yet would be replaced twice.
    create_and_trim();
  }

  void finish(bool good) {
    std::string_view from = good ? "SuccessCriteriaMet" : "FailureTarget";
    std::string reason, message;
    for (const Node& c : conditions_.items())
      if (c.get("type").str() == from) reason = c.get("reason").str(), message = c.get("message").str();
    condition(good ? "Complete" : "Failed", "True", reason, message);
    if (good) status_.set("completionTime", rfc3339(now_));
    plan_.events.push_back(good ? JobPlan::Event{"Normal", "Completed", "Job completed"} : JobPlan::Event{"Warning", reason, message});
    if (spec_["ttlSecondsAfterFinished"]) later(seconds(spec_["ttlSecondsAfterFinished"].int_or(0)));
  }

  void create_and_trim() {
    std::vector<const Doc*> useful, surplus;
    std::set<int64_t> running;
    for (const Doc* p : active_) {
      auto i = index_of(*p);
      bool double_index = indexed_ && (!i || *i >= completions_.value_or(0) || completed_.contains(*i) || failed_indexes_.contains(*i) || !running.insert(*i).second);
      (double_index ? surplus : useful).push_back(p);
    }
    auto have = static_cast<int64_t>(useful.size());
    int64_t wanted = parallelism_;
    if (completions_) wanted = std::min(parallelism_, *completions_ - all_succeeded() - static_cast<int64_t>(failed_indexes_.size()));
    else if (all_succeeded() > 0) wanted = std::min(have, parallelism_);
    wanted = std::max<int64_t>(wanted, 0);
    if (have > wanted) {
      // The youngest and those not ready go first.
      std::sort(useful.begin(), useful.end(), [](const Doc* a, const Doc* b) { return std::make_tuple(pod_is_ready(a->root()), b->path("metadata.creationTimestamp").str()) < std::make_tuple(pod_is_ready(b->root()), a->path("metadata.creationTimestamp").str()); });
      surplus.insert(surplus.end(), useful.begin(), useful.begin() + (have - wanted));
    }
    for (const Doc* p : surplus) plan_.remove.push_back(name_of(*p));
    bool wait_for_end = spec_["podReplacementPolicy"].equals("Failed") || (!spec_["podReplacementPolicy"] && spec_["podFailurePolicy"]);
    int64_t missing = wanted - have - (wait_for_end ? terminating_ : 0);
    if (missing <= 0) return;
    if (auto wait = back_off(); wait.count() > 0) return later(wait);
    if (!indexed_) {
      plan_.create.assign(static_cast<size_t>(missing), {});
      return;
    }
    std::set<int64_t> leaving;
    for (const Doc& p : pods_)
      if (going(p) && wait_for_end)
        if (auto i = index_of(p)) leaving.insert(*i);
    for (int64_t i = 0; i < completions_.value_or(0) && missing > 0; ++i) {
      if (completed_.contains(i) || failed_indexes_.contains(i) || running.contains(i) || leaving.contains(i)) continue;
      plan_.create.push_back({i, per_index_ ? failures_of(i) : 0});
      --missing;
    }
  }

  int64_t failures_of(int64_t index) const {
    int64_t n = 0;
    for (const Doc& p : pods_)
      if (phase_is(p, "Failed") && index_of(p) == index) n = std::max(n, parse_int(p["metadata"]["annotations"][kIndexFailures].str()).value_or(0) + 1);
    return n;
  }

  // 10 s after the first failure, doubling to 10 min; a success starts anew.
  Duration back_off() const {
    if (!latest_failure_ || (latest_success_ && *latest_success_ > *latest_failure_)) return Duration{0};
    int64_t failures = 0;
    for (const Doc& p : pods_)
      if (phase_is(p, "Failed") && (!latest_success_ || finished_at(p, now_) > *latest_success_)) ++failures;
    int64_t wait = std::min(kMaxBackOff, kFirstBackOff << std::min<int64_t>(std::max<int64_t>(failures - 1, 0), 10));
    return std::max(Duration{0}, Duration(seconds(wait)) - (now_ - *latest_failure_));
  }

  void expire() {
    if (!spec_["ttlSecondsAfterFinished"] || job_.path("metadata.deletionTimestamp")) return;
    std::optional<Instant> end;
    for (Value c : old_["conditions"].items())
      if (c["type"].equals("Complete") || c["type"].equals("Failed")) end = parse_rfc3339(c["lastTransitionTime"].str());
    if (!end) return;
    Duration left = seconds(spec_["ttlSecondsAfterFinished"].int_or(0)) - (now_ - *end);
    if (left.count() <= 0) plan_.remove_job = true;
    else later(left);
  }

  void write_status() {
    auto number = [this](const char* name, int64_t n) {
      if (n) status_.set(name, n);
      else status_.erase(name);
    };
    number("active", static_cast<int64_t>(active_.size()) - surplus_in_removal());
    number("succeeded", indexed_ ? static_cast<int64_t>(completed_.size()) - pending_succeeded_ : succeeded_);
    number("failed", failed_);
    status_.set("ready", ready_);
    status_.set("terminating", terminating_);
    if (indexed_ && !completed_.empty()) status_.set("completedIndexes", format_indexes(completed_));
    if (per_index_) status_.set("failedIndexes", format_indexes(failed_indexes_));
    if (conditions_.size()) status_.set("conditions", conditions_);
    plan_.status = std::move(status_);
  }
  int64_t surplus_in_removal() const {
    int64_t n = 0;
    for (const Doc* p : active_) n += std::find(plan_.remove.begin(), plan_.remove.end(), name_of(*p)) != plan_.remove.end();
    return n;
  }
  void later(Duration d) { plan_.again = plan_.again.count() == 0 ? d : std::min(plan_.again, d); }

  const Doc& job_;
  const Value spec_, old_;
  const std::vector<Doc>& pods_;
  const Instant now_;
  bool indexed_ = false, per_index_ = false, suspended_ = false;
  std::optional<int64_t> completions_;
  int64_t parallelism_ = 1, succeeded_ = 0, failed_ = 0, pending_succeeded_ = 0, pending_failed_ = 0, ready_ = 0, terminating_ = 0, lost_ = 0;
  std::set<int64_t> completed_, failed_indexes_;
  std::set<std::string> known_;
  std::vector<const Doc*> active_;
  std::optional<Instant> latest_failure_, latest_success_;
  std::string fail_message_;
  Node status_, conditions_;
  JobPlan plan_;
};

}  // namespace

JobPlan plan_job(const Doc& job, const std::vector<Doc>& pods, Instant now) { return Planner(job, pods, now).run(); }

bool job_finished(Value job, std::string_view* how) {
  for (Value c : job.path("status.conditions").items())
    for (std::string_view type : {"Complete", "Failed"})
      if (c["type"].equals(type) && c["status"].equals("True")) {
        if (how) *how = type;
        return true;
      }
  return false;
}

Node job_pod(const Doc& job, Node pod, const JobPlan::Create& what) {
  Node& meta = pod["metadata"];
  meta["finalizers"].append(kJobFinalizer);
  if (!what.index) return pod;
  std::string index = std::to_string(*what.index);
  meta.set("generateName", name_of(job) + "-" + index + "-");
  meta["annotations"].set(kIndex, index);
  meta["labels"].set(kIndex, index);
  if (job.path("spec.backoffLimitPerIndex")) meta["annotations"].set(kIndexFailures, std::to_string(what.failures));
  Node& spec = pod["spec"];
  spec.set("hostname", name_of(job) + "-" + index);
  for (const char* list : {"initContainers", "containers"}) {
    Node* containers = spec.find(list);
    if (!containers) continue;
    for (Node& c : containers->items()) {
      bool has = false;
      for (const Node& e : c.get("env").items()) has |= e.get("name").str() == "JOB_COMPLETION_INDEX";
      if (!has) c["env"].append(Node::obj({{"name", "JOB_COMPLETION_INDEX"}, {"valueFrom", Node::obj({{"fieldRef", Node::obj({{"apiVersion", "v1"}, {"fieldPath", "metadata.labels['" + std::string(kIndex) + "']"}})}})}}));
    }
  }
  return pod;
}

std::set<int64_t> parse_indexes(std::string_view text) {
  std::set<int64_t> out;
  for (auto part : split(text, ',')) {
    auto bounds = split(part, '-');
    auto from = parse_int(bounds[0]), to = bounds.size() == 2 ? parse_int(bounds[1]) : from;
    if (!from || !to) continue;
    for (int64_t i = *from; i <= *to && out.size() < 100'000; ++i) out.insert(i);
  }
  return out;
}

std::string format_indexes(const std::set<int64_t>& indexes) {
  std::string out;
  for (auto it = indexes.begin(); it != indexes.end();) {
    int64_t first = *it, last = first;
    while (++it != indexes.end() && *it == last + 1) ++last;
    if (!out.empty()) out += ',';
    out += std::to_string(first);
    if (last > first) out += (last == first + 1 ? "," : "-") + std::to_string(last);
  }
  return out;
}

}  // namespace k8lite::controllers
