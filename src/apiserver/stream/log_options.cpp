#include "apiserver/stream/log_options.h"

#include "base/strings.h"

namespace k8lite::apiserver {
namespace {

struct NumberRow {
  std::string_view name;
  int64_t least;
  std::string_view rule;
};
constexpr NumberRow kNumbers[] = {{"tailLines", 0, "must be greater than or equal to 0"}, {"limitBytes", 1, "must be greater than 0"}, {"sinceSeconds", 1, "must be greater than 0"}};

Status invalid(const std::string& pod, std::vector<Cause> causes) {
  std::string text;
  for (const Cause& c : causes) text += (text.empty() ? "" : ", ") + (c.field.empty() ? "" : c.field + ": ") + c.message;
  if (causes.size() > 1) text = "[" + text + "]";
  Status s(Reason::Invalid, "PodLogOptions \"" + pod + "\" is invalid: " + text);
  s.set_details({.name = pod, .group = {}, .kind = "PodLogOptions", .uid = {}, .causes = std::move(causes)});
  return s;
}

}  // namespace

Result<> check_log_options(const std::string& pod, const net::Query& query) {
  std::vector<Cause> wrong;
  for (const NumberRow& row : kNumbers) {
    std::string text(query.get(row.name));
    if (text.empty()) continue;
    auto number = parse_int(text);
    if (!number) return bad_request("strconv.ParseInt: parsing \"" + text + "\": invalid syntax");
    if (*number < row.least) wrong.push_back({"FieldValueInvalid", "Invalid value: " + text + ": " + std::string(row.rule), std::string(row.name)});
  }
  std::string since(query.get("sinceTime"));
  if (!since.empty() && !parse_rfc3339(since)) return bad_request("parsing time \"" + since + "\": it is not in the form 2006-01-02T15:04:05Z07:00");
  if (!since.empty() && query.has("sinceSeconds")) wrong.push_back({"FieldValueForbidden", "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified", ""});
  if (!wrong.empty()) return invalid(pod, std::move(wrong));
  return {};
}

}  // namespace k8lite::apiserver
