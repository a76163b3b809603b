#include "apiserver/list_options.h"

#include <algorithm>

#include "base/strings.h"

namespace k8lite::apiserver {
namespace {

using json::Node;

Cause unsupported(const std::string& field, const std::string& value, const std::string& supported) {
  return {"FieldValueNotSupported", "Unsupported value: " + json::quoted(value) + ": supported values: " + supported,
          field};
}
Cause forbidden(const std::string& field, const std::string& why) {
  return {"FieldValueForbidden", "Forbidden: " + why, field};
}

Result<int64_t> read_number(const net::Query& q, const char* name) {
  std::string_view text = q.get(name);
  if (text.empty()) return 0;
  auto n = parse_int(text);
  if (!n) return bad_request("strconv.ParseInt: parsing " + json::quoted(text) + ": invalid syntax");
  return *n;
}

bool parses_as_true(std::string_view v) { return v != "false" && v != "0"; }

void check_watch(const ListParams& p, std::vector<Cause>& causes) {
  const std::string& match = p.resource_version_match;
  if (p.send_initial_events && match != "NotOlderThan")
    causes.push_back(
        forbidden("resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"));
  if (match.empty()) return;
  if (!p.send_initial_events)
    causes.push_back(forbidden("resourceVersionMatch",
                               "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"));
  if (match != "NotOlderThan") causes.push_back(unsupported("resourceVersionMatch", match, "\"NotOlderThan\""));
  if (!p.continue_token.empty())
    causes.push_back(forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"));
}

void check_list(const ListParams& p, std::vector<Cause>& causes) {
  const std::string& match = p.resource_version_match;
  if (!match.empty()) {
    if (p.resource_version.empty())
      causes.push_back(
          forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided"));
    if (!p.continue_token.empty())
      causes.push_back(
          forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"));
    if (match != "Exact" && match != "NotOlderThan")
      causes.push_back(unsupported("resourceVersionMatch", match, "\"\", \"Exact\", \"NotOlderThan\""));
    if (match == "Exact" && p.resource_version == "0")
      causes.push_back(
          forbidden("resourceVersionMatch", "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""));
  }
  if (p.send_initial_events)
    causes.push_back(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
}

Result<> check_dry_run(const std::string& options, const std::vector<std::string>& values, WriteParams& params) {
  for (const auto& d : values) {
    if (d != "All") return options_error(options, {unsupported("dryRun", d, "\"All\"")});
    params.dry_run = true;
  }
  return {};
}

std::vector<std::string> texts_of(const std::vector<std::string_view>& views) { return {views.begin(), views.end()}; }

}  // namespace

Status options_error(const std::string& options, std::vector<Cause> causes) {
  std::string text;
  for (const Cause& c : causes) text += (text.empty() ? "" : ", ") + c.field + ": " + c.message;
  if (causes.size() > 1) text = "[" + text + "]";
  Status s(Reason::Invalid, options + ".meta.k8s.io \"\" is invalid: " + text);
  StatusDetails d;
  d.group = "meta.k8s.io";
  d.kind = options;
  d.causes = std::move(causes);
  return s.set_details(std::move(d));
}

Result<ListParams> read_list_options(const net::Query& q, bool watch) {
  ListParams p;
  p.label_selector = q.get("labelSelector");
  p.field_selector = q.get("fieldSelector");
  TRY(p.limit, read_number(q, "limit"));
  p.continue_token = q.get("continue");
  p.resource_version = q.get("resourceVersion");
  p.resource_version_match = q.get("resourceVersionMatch");
  if (std::string_view v = q.get("sendInitialEvents"); !v.empty()) p.send_initial_events = parses_as_true(v);
  std::vector<Cause> causes;
  if (watch)
    check_watch(p, causes);
  else
    check_list(p, causes);
  if (!causes.empty()) return options_error("ListOptions", std::move(causes));
  return p;
}

Result<> read_write_options(const std::string& options, const net::Query& q, WriteParams& p) {
  TRY_OK(check_dry_run(options, texts_of(q.all("dryRun")), p));
  p.field_manager = q.get("fieldManager");
  if (std::string_view v = q.get("fieldValidation"); !v.empty()) p.field_validation = v;
  if (p.field_validation != "Ignore" && p.field_validation != "Warn" && p.field_validation != "Strict")
    return options_error(
        options, {unsupported("fieldValidation", p.field_validation, "\"\", \"Ignore\", \"Strict\", \"Warn\"")});
  p.force = q.has("force") && parses_as_true(q.get("force"));
  p.force_given = q.has("force");
  return {};
}

Result<DeleteRequest> read_delete_options(const Node* body, const net::Query& q, WriteParams& p) {
  DeleteRequest r;
  std::vector<std::string> dry_runs;
  std::optional<bool> orphan;
  if (body) {
    if (!body->is_object()) return bad_request("the body is no DeleteOptions");
    if (std::string kind = body->get("kind").str(); !kind.empty() && kind != "DeleteOptions")
      return bad_request("decoded object cannot be converted to DeleteOptions");
    if (body->get("gracePeriodSeconds").is_integer())
      r.grace_seconds = body->get("gracePeriodSeconds").int_or(0);
    else if (body->get("gracePeriodSeconds").exists() && !body->get("gracePeriodSeconds").is_null())
      return bad_request("DeleteOptions: gracePeriodSeconds: an integer is wanted");
    r.propagation = body->get("propagationPolicy").str();
    if (body->get("orphanDependents").is_bool()) orphan = body->get("orphanDependents").bool_or(false);
    r.uid = body->path("preconditions.uid").str();
    r.resource_version = body->path("preconditions.resourceVersion").str();
    for (const Node& d : body->get("dryRun").items()) dry_runs.push_back(d.str());
  } else {
    if (q.has("gracePeriodSeconds")) {
      TRY(r.grace_seconds, read_number(q, "gracePeriodSeconds"));
    }
    r.propagation = q.get("propagationPolicy");
    if (q.has("orphanDependents")) orphan = parses_as_true(q.get("orphanDependents"));
    dry_runs = texts_of(q.all("dryRun"));
  }
  std::vector<Cause> causes;
  if (orphan && !r.propagation.empty())
    causes.push_back({"FieldValueInvalid",
                      "Invalid value: " + json::quoted(r.propagation) +
                          ": orphanDependents and deletionPropagation cannot be both set",
                      "propagationPolicy"});
  if (!r.propagation.empty() && r.propagation != "Foreground" && r.propagation != "Background" &&
      r.propagation != "Orphan")
    causes.push_back(
        unsupported("propagationPolicy", r.propagation, "\"Background\", \"Foreground\", \"Orphan\", \"nil\""));
  if (!causes.empty()) return options_error("DeleteOptions", std::move(causes));
  TRY_OK(check_dry_run("DeleteOptions", dry_runs, p));
  r.dependents_follow = orphan && !*orphan;
  if (orphan && r.propagation.empty()) r.propagation = *orphan ? "Orphan" : "Background";
  return r;
}

Status too_large_revision(int64_t wanted, int64_t newest) {
  Status s(Reason::Timeout,
           "Timeout: Too large resource version: " + std::to_string(wanted) + ", current: " + std::to_string(newest));
  StatusDetails d;
  d.causes.push_back({"ResourceVersionTooLarge", "Too large resource version", ""});
  d.retry_after_seconds = 1;
  return s.set_details(std::move(d));
}

Result<WantedRevision> wanted_revision(const ListParams& p, int64_t newest) {
  if (p.resource_version.empty() || p.resource_version == "0") return WantedRevision{};
  if (!p.continue_token.empty()) return bad_request("specifying resource version is not allowed when using continue");
  auto n = parse_int(p.resource_version);
  if (!n || *n < 0)
    return bad_request("invalid resource version: Invalid value: " + json::quoted(p.resource_version) +
                       ": strconv.ParseUint: parsing " + json::quoted(p.resource_version) + ": invalid syntax");
  if (*n > newest) return too_large_revision(*n, newest);
  // With a limit and nothing said of the match, a version means exactly this one.
  bool exact = p.resource_version_match == "Exact" || (p.resource_version_match.empty() && p.limit > 0);
  return WantedRevision{exact ? *n : 0};
}

FieldLabel field_label(const api::KindRow& row, std::string_view label) {
  struct Entry {
    std::string_view plural, label, path, absent;
  };
  static constexpr Entry kEntries[] = {{"pods", "spec.hostNetwork", "spec.hostNetwork", "false"},
                                       {"nodes", "spec.unschedulable", "spec.unschedulable", "false"},
                                       {"replicationcontrollers", "status.replicas", "status.replicas", "0"},
                                       {"replicasets", "status.replicas", "status.replicas", "0"},
                                       {"jobs", "status.successful", "status.succeeded", "0"},
                                       {"events", "source", "source.component", ""}};
  for (const Entry& e : kEntries)
    if (e.plural == row.plural && e.label == label) return {std::string(e.path), std::string(e.absent)};
  return {std::string(label), ""};
}

}  // namespace k8lite::apiserver
