// Causes as apimachinery's field errors print them.
#include "api/rules/check.h"

#include "api/rules/rules.h"
#include "base/strings.h"

namespace k8lite::api::rules {
namespace {

// How field.Error shows a bad value: absent ones as null.
std::string shown(const Node& value) { return value.exists() ? value.dump() : "null"; }

std::string with(std::string head, std::string_view why) { return why.empty() ? head : head.append(": ").append(why); }

}  // namespace

std::string Check::at(std::string_view child) const {
  if (path.empty()) return std::string(child);
  if (child.empty()) return path;
  std::string out;
  out.reserve(path.size() + 1 + child.size());
  out = path;
  if (child[0] != '[') out += '.';
  return out.append(child);
}

void Check::required(std::string_view child, std::string_view why) {
  causes.push_back({"FieldValueRequired", with("Required value", why), at(child)});
}
void Check::forbidden(std::string_view child, std::string_view why) {
  causes.push_back({"FieldValueForbidden", with("Forbidden", why), at(child)});
}
void Check::duplicate(std::string_view child, const Node& value) {
  causes.push_back({"FieldValueDuplicate", "Duplicate value: " + shown(value), at(child)});
}
void Check::invalid(std::string_view child, const Node& value, std::string_view why) {
  causes.push_back({"FieldValueInvalid", with("Invalid value: " + shown(value), why), at(child)});
}
void Check::absent(std::string_view child, const Node& value, std::string_view why) {
  causes.push_back({"FieldValueNotFound", with("Not found: " + shown(value), why), at(child)});
}
void Check::too_long(std::string_view child, size_t limit) {
  causes.push_back(
      {"FieldValueTooLong", "Too long: may not be more than " + std::to_string(limit) + " bytes", at(child)});
}
void Check::too_many(std::string_view child, size_t count, size_t limit) {
  causes.push_back({"FieldValueTooMany",
                    "Too many: " + std::to_string(count) + ": must have at most " + std::to_string(limit) + " items",
                    at(child)});
}
void Check::unsupported(std::string_view child, const Node& value, std::string_view supported) {
  std::string list;
  for (std::string_view s : split(supported, ',')) list += (list.empty() ? "" : ", ") + json::quoted(s);
  causes.push_back({"FieldValueNotSupported",
                    "Unsupported value: " + (value.exists() ? value.dump() : "\"\"") + ": supported values: " + list,
                    at(child)});
}

bool Check::format(std::string_view child, const Node& value, Format f) {
  if (!value.is_string()) return true;
  Texts wrong = mistakes(f, value.str());
  for (const auto& why : wrong) invalid(child, value, why);
  return wrong.empty();
}
void Check::one_of(std::string_view child, const Node& value, std::string_view supported) {
  if (value.exists() && !listed(value.str(), supported)) unsupported(child, value, supported);
}
void Check::within(std::string_view child, const Node& value, int64_t low, int64_t high) {
  if (value.is_number() && (value.int_or(low) < low || value.int_or(low) > high))
    invalid(child, value, range_words(low, high));
}
void Check::at_least_zero(std::string_view child, const Node& value) {
  if (value.is_number() && value.int_or(0) < 0) invalid(child, value, "must be greater than or equal to 0");
}
void Check::int_or_percent(std::string_view child, const Node& value) {
  if (!value.is_string()) return at_least_zero(child, value);
  const std::string& t = value.str();
  if (t.size() < 2 || t.back() != '%' || t.find_first_not_of("0123456789") != t.size() - 1)
    invalid(child, value,
            "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex "
            "used for validation is '[0-9]+%')");
}
void Check::unchanged(std::string_view child, const Node& now, const Node& before) {
  // An empty list or map and none at all are the same to Go's semantic comparison.
  if (now.exists() && before.exists() ? now == before : now.empty() && before.empty()) return;
  invalid(child, now, "field is immutable");
}

void Check::labels(std::string_view child, const Node& map) {
  for (const auto& [key, value] : map.members()) {
    format(child, Node(key), Format::Qualified);
    if (value.is_string())
      format(child, value, Format::LabelValue);
    else
      invalid(child, value, "must be a text");
  }
}
void Check::annotations(std::string_view child, const Node& map) {
  constexpr size_t kLimit = 256 * 1024;
  size_t total = 0;
  for (const auto& [key, value] : map.members()) {
    for (const auto& why : mistakes(Format::Qualified, lower(key))) invalid(child, Node(key), why);
    total += key.size() + value.str().size();
  }
  if (total > kLimit) too_long(child, kLimit);
}

std::string range_words(int64_t low, int64_t high) {
  return "must be between " + std::to_string(low) + " and " + std::to_string(high) + ", inclusive";
}
std::string item(std::string_view list, size_t i) { return std::string(list) + "[" + std::to_string(i) + "]"; }
std::string key_of(std::string_view map, std::string_view key) {
  return std::string(map).append("[").append(key).append("]");
}
bool listed(std::string_view text, std::string_view comma_separated) {
  for (std::string_view s : split(comma_separated, ','))
    if (s == text) return true;
  return false;
}

void unsupported(Causes& c, std::string field, const Node& value, std::initializer_list<std::string_view> supported) {
  std::string list;
  for (auto s : supported) list += (list.empty() ? "" : ", ") + json::quoted(s);
  c.push_back({"FieldValueNotSupported", "Unsupported value: " + value.dump() + ": supported values: " + list, std::move(field)});
}

}  // namespace k8lite::api::rules
