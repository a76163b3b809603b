// Jobs and cron jobs. (Kubernetes API reference, "JobSpec"; KEP-3329 pod failure policy, KEP-3998 success policy,
// KEP-3850.)
#include <set>

#include "api/cron.h"
#include "api/rules/check.h"
#include "base/strings.h"
#include "base/timezone.h"

namespace k8lite::api::rules {
namespace {

constexpr int64_t kMaxParallelism = 100000;

bool has_container(const Node& spec, const std::string& name) {
  for (const char* list : {"containers", "initContainers"})
    for (const Node& container : spec.path("template.spec").get(list).items())
      if (container.get("name").str() == name) return true;
  return false;
}

void check_exit_codes(Check& c, const Node& spec, const Node& codes) {
  if (const Node& name = codes.get("containerName"); name.exists() && !has_container(spec, name.str()))
    c.invalid("containerName", name, "must be one of the container or initContainer names in the pod template");
  const Node& values = codes.get("values");
  if (values.size() == 0)
    c.invalid("values", values.exists() ? values : Node::array(), "at least one value is required");
  if (values.size() > 255) c.too_many("values", values.size(), 255);
  std::set<int64_t> seen;
  for (size_t i = 0; i < values.items().size(); ++i) {
    int64_t n = values.items()[i].int_or(0);
    if (codes.get("operator").str() == "In" && n == 0)
      c.invalid(item("values", i), Node(0), "must not be 0 for the In operator");
    if (!seen.insert(n).second)
      c.duplicate(item("values", i), values.items()[i]);
    else if (*seen.rbegin() != n) {
      c.invalid("values", values, "must be ordered");
      break;
    }
  }
}

void check_failure_policy(Check& c, const Node& spec) {
  const auto& rules = spec.path("podFailurePolicy.rules").items();
  for (size_t i = 0; i < rules.size() && rules.size() <= 20; ++i) {
    Step step(c, item("podFailurePolicy.rules", i));
    const Node &action = rules[i].get("action"), &codes = rules[i].get("onExitCodes"),
               &conditions = rules[i].get("onPodConditions");
    if (action.str() == "FailIndex" && !spec.get("backoffLimitPerIndex").exists())
      c.invalid("action", action, "requires the backoffLimitPerIndex to be set");
    if (codes.exists()) {
      Step inside(c, "onExitCodes");
      check_exit_codes(c, spec, codes);
    }
    if (codes.exists() && conditions.size())
      c.invalid("", Node(), "specifying both OnExitCodes and OnPodConditions is not supported");
    if (!codes.exists() && conditions.size() == 0)
      c.invalid("", Node(), "specifying one of OnExitCodes and OnPodConditions is required");
  }
}

// "0,2-5": ordered, disjoint, below completions; the number of indexes, or what is wrong.
std::string check_indexes(std::string_view text, int64_t completions, int64_t& total) {
  int64_t last = -1;
  total = 0;
  for (std::string_view part : split(text, ',')) {
    size_t dash = part.find('-');
    auto from = parse_int(part.substr(0, dash)), to = dash == part.npos ? from : parse_int(part.substr(dash + 1));
    if (!from || !to || *from < 0) return "cannot convert string to integer for index: " + json::quoted(part);
    if (*from <= last)
      return "non-increasing order, previous: " + std::to_string(last) + ", current: " + std::to_string(*from);
    if (*to < *from || (dash != part.npos && *to == *from))
      return "non-increasing order, previous: " + std::to_string(*from) + ", current: " + std::to_string(*to);
    if (*to >= completions) return "too large index: " + json::quoted(std::to_string(*to));
    total += *to - *from + 1;
    last = *to;
  }
  return {};
}

void check_success_policy(Check& c, const Node& spec) {
  const auto& rules = spec.path("successPolicy.rules").items();
  int64_t completions = spec.get("completions").int_or(0);
  for (size_t i = 0; i < rules.size(); ++i) {
    Step step(c, item("successPolicy.rules", i));
    const Node &count = rules[i].get("succeededCount"), &indexes = rules[i].get("succeededIndexes");
    if (!count.exists() && !indexes.exists())
      c.required("", "at least one of succeededCount or succeededIndexes must be specified");
    int64_t total = 0;
    std::string wrong = indexes.exists() ? check_indexes(indexes.str(), completions, total) : std::string();
    if (!wrong.empty()) c.invalid("succeededIndexes", indexes, "error parsing succeededIndexes: " + wrong);
    if (!count.exists()) continue;
    if (count.int_or(0) > completions)
      c.invalid(
          "succeededCount", count,
          "must be less than or equal to " + std::to_string(completions) + " (the number of specified completions)");
    if (indexes.exists() && wrong.empty() && count.int_or(0) > total)
      c.invalid("succeededCount", count,
                "must be less than or equal to " + std::to_string(total) +
                    " (the number of indexes in the specified succeededIndexes field)");
  }
}

void check_indexed(Check& c, const Node& spec) {
  const Node &completions = spec.get("completions"), &parallelism = spec.get("parallelism"),
             &failed = spec.get("maxFailedIndexes"), &per_index = spec.get("backoffLimitPerIndex");
  if (failed.exists() && !per_index.exists()) c.required("backoffLimitPerIndex", "when maxFailedIndexes is specified");
  if (spec.get("completionMode").str() != "Indexed") {
    for (const char* f : {"backoffLimitPerIndex", "maxFailedIndexes"})
      if (spec.get(f).exists()) c.invalid(f, spec.get(f), "requires indexed completion mode");
    if (spec.get("successPolicy").exists())
      c.invalid("successPolicy", spec.get("successPolicy"), "requires indexed completion mode");
    return;
  }
  if (!completions.exists()) c.required("completions", "when completion mode is Indexed");
  if (parallelism.int_or(0) > kMaxParallelism)
    c.invalid("parallelism", parallelism, "must be less than or equal to 100000 when completion mode is Indexed");
  if (completions.exists() && failed.exists() && failed.int_or(0) > completions.int_or(0))
    c.invalid("maxFailedIndexes", failed, "must be less than or equal to completions when specified");
  if (per_index.exists() && failed.int_or(0) > kMaxParallelism)
    c.invalid("maxFailedIndexes", failed, "must be less than or equal to 100000");
  if (per_index.exists() && completions.int_or(0) > kMaxParallelism && !failed.exists())
    c.required("maxFailedIndexes", "must be specified when completions is above 100000");
  check_success_policy(c, spec);
}

void check_job_spec(Check& c, const Node& spec, const Node&) {
  check_indexed(c, spec);
  check_failure_policy(c, spec);
  const Node& replacement = spec.get("podReplacementPolicy");
  if (spec.get("podFailurePolicy").exists()) c.one_of("podReplacementPolicy", replacement, "Failed");
  const std::string& restart = spec.path("template.spec.restartPolicy").str();
  if (restart == "Always")
    c.required("template.spec.restartPolicy", "valid values: \"OnFailure\", \"Never\"");
  else
    c.one_of("template.spec.restartPolicy", spec.path("template.spec.restartPolicy"), "OnFailure,Never");
  if (spec.get("podFailurePolicy").exists() && restart == "OnFailure")
    c.invalid("template.spec.restartPolicy", Node(restart),
              "only \"Never\" is supported when podFailurePolicy is specified");
}

// While a job is suspended, where its pods go may still be said.
Node without_directives(Node t) {
  for (const char* f : {"nodeSelector", "tolerations", "schedulingGates"}) t["spec"].erase(f);
  if (Node* affinity = t["spec"].find("affinity")) affinity->erase("nodeAffinity");
  if (t.path("spec.affinity").empty()) t["spec"].erase("affinity");
  for (const char* list : {"containers", "initContainers"})
    if (Node* containers = t["spec"].find(list))
      for (Node& container : containers->items()) container.erase("resources");
  if (Node* meta = t.find("metadata"))
    for (const char* f : {"labels", "annotations"}) meta->erase(f);
  if (t.get("metadata").empty()) t.erase("metadata");
  return t;
}

void check_job_update(Check& c, const Node& spec, const Node& before, const Node& status) {
  Step step(c, "spec");
  const Node &completions = spec.get("completions"), &was = before.get("completions");
  if (!(completions.exists() == was.exists() && completions.int_or(0) == was.int_or(0))) {
    bool elastic = before.get("completionMode").str() == "Indexed" && was.exists() && completions.exists();
    if (!elastic)
      c.unchanged("completions", completions, was);
    else if (was.int_or(0) != before.get("parallelism").int_or(0) ||
             completions.int_or(0) != spec.get("parallelism").int_or(0))
      c.invalid("completions", completions, "can only be modified in tandem with spec.parallelism");
  }
  c.unchanged("selector", spec.get("selector"), before.get("selector"));
  bool free = before.get("suspend").bool_or(false) && !status.get("startTime").exists();
  if (!free)
    c.unchanged("template", spec.get("template"), before.get("template"));
  else if (!(without_directives(spec.get("template")) == without_directives(before.get("template"))))
    c.invalid("template", spec.get("template"), "field is immutable");
  for (const char* f : {"completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"})
    c.unchanged(f, spec.get(f), before.get(f));
}

void check_job(Check& c, const Node& job, const Node& before) {
  const Node &spec = job.get("spec"), &selector = spec.get("selector"), &labels = spec.path("template.metadata.labels");
  const std::string &name = job.path("metadata.name").str(), &uid = job.path("metadata.uid").str();
  if (!selector.exists()) {
    c.required("spec.selector");
  } else {
    if (!spec.get("manualSelector").bool_or(false) && !uid.empty()) {
      std::pair<std::string, const std::string*> wanted[] = {{"batch.kubernetes.io/controller-uid", &uid},
                                                             {"batch.kubernetes.io/job-name", &name},
                                                             {"controller-uid", &uid},
                                                             {"job-name", &name}};
      Node generated = Node::object();
      for (const auto& [label, value] : wanted) {
        generated.set(label, *value);
        if (!labels.get(label).exists())
          c.required("spec.template.metadata." + key_of("labels", label), "must be '" + *value + "'");
        else if (labels.get(label).str() != *value)
          c.invalid("spec.template.metadata." + key_of("labels", label), labels, "must be '" + *value + "'");
      }
      if (!selects(selector, generated)) c.invalid("spec.selector", selector, "`selector` not auto-generated");
    }
    if (!selects(selector, labels))
      c.invalid("spec.template.metadata.labels", labels.exists() ? labels : Node::object(),
                "`selector` does not match template `labels`");
  }
  if (spec.get("completionMode").str() == "Indexed" && spec.get("completions").int_or(0) > 0 && !c.old) {
    std::string pod = name + "-" + std::to_string(spec.get("completions").int_or(0) - 1);
    for (const auto& why : mistakes(Format::Label, pod))
      c.invalid("metadata.name", Node(name), "will not able to create pod with invalid DNS label: " + pod + ": " + why);
  }
  if (c.old) check_job_update(c, spec, before.get("spec"), before.get("status"));
}

void check_cron_job_spec(Check& c, const Node& spec, const Node&) {
  const Node &schedule = spec.get("schedule"), &zone = spec.get("timeZone");
  if (!schedule.str().empty())
    if (auto parsed = CronSchedule::parse(schedule.str()); !parsed.ok())
      c.invalid("schedule", schedule, parsed.status().message());
  if (zone.exists()) {
    std::string_view text = zone.str();
    if (text.empty())
      c.invalid("timeZone", zone, "timeZone must be nil or non-empty string");
    else if (lower(text) == "local")
      c.invalid("timeZone", zone,
                "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
    else if (text.find("..") != text.npos || text[0] == '/' || text[0] == '\\' ||
             (lower(text) != "utc" && !TimeZone::load(zone.str()).ok()))
      c.invalid("timeZone", zone, "unknown time zone " + std::string(text));
  }
  const Node& job = spec.path("jobTemplate.spec");
  if (job.get("selector").exists())
    c.invalid("jobTemplate.spec.selector", job.get("selector"), "`selector` will be auto-generated");
  if (job.get("manualSelector").bool_or(false))
    c.unsupported("jobTemplate.spec.manualSelector", job.get("manualSelector"), "nil,false");
}

void check_cron_job(Check& c, const Node& job, const Node&) {
  constexpr size_t kMaxName = 52;  // its jobs' names have eleven characters more
  if (const Node& name = job.path("metadata.name"); name.str().size() > kMaxName && !c.old)
    c.invalid("metadata.name", name, "must be no more than 52 characters");
  c.labels("spec.jobTemplate.labels", job.path("spec.jobTemplate.metadata.labels"));
  c.annotations("spec.jobTemplate.annotations", job.path("spec.jobTemplate.metadata.annotations"));
}

constexpr TypeHook kHooks[] = {{"batch/v1.JobSpec", check_job_spec},
                               {"batch/v1.Job", check_job},
                               {"batch/v1.CronJobSpec", check_cron_job_spec},
                               {"batch/v1.CronJob", check_cron_job}};

}  // namespace

Hooks job_hooks() { return kHooks; }

}  // namespace k8lite::api::rules
