// Validation of values against a schema: the JSON schema keywords that Kubernetes allows, with its paths and wording.
#include <arpa/inet.h>
#include <re2/re2.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "api/custom/structural.h"
#include "base/clock.h"
#include "base/strings.h"

namespace k8lite::api::custom {
namespace {

using json::Node;
using Causes = std::vector<Cause>;

std::string below(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : path + "." + std::string(name);
}

void invalid(Causes& c, const std::string& path, const std::string& value, const std::string& why) {
  c.push_back({"FieldValueInvalid", "Invalid value: " + value + ": " + why, path});
}

std::string_view type_of(const Node& n) {
  switch (n.kind()) {
    case json::Kind::String:
      return "string";
    case json::Kind::Bool:
      return "boolean";
    case json::Kind::Array:
      return "array";
    case json::Kind::Object:
      return "object";
    case json::Kind::Number:
      return n.is_integer() || n.double_or(0.5) == std::floor(n.double_or(0.5)) ? "integer" : "number";
    default:
      return "null";
  }
}

bool type_fits(const Node& value, std::string_view type, const Schema& s) {
  std::string_view have = type_of(value);
  if (s.int_or_string) return have == "integer" || have == "string";
  return s.type.empty() || have == type || (have == "integer" && type == "number");
}

void wrong_type(const std::string& path, const std::string& wanted, const std::string& got, Causes& c) {
  c.push_back({"FieldValueTypeInvalid",
               "Invalid value: " + json::quoted(got) + ": " + path + " in body must be of type " + wanted + ": " +
                   json::quoted(got),
               path});
}

void check_type(const Node& value, const Schema& s, const std::string& path, Causes& c) {
  if (value.is_null() && s.nullable) return;
  if (!type_fits(value, s.type, s))
    wrong_type(path, s.int_or_string ? "integer,string" : s.type, std::string(type_of(value)), c);
  if (value.is_string() && s.type == "string" && !s.format.empty() && !has_format(value.str(), s.format))
    wrong_type(path, s.format, value.str(), c);
}

// Length of a text in characters, as Kubernetes counts it.
int64_t characters(std::string_view text) {
  return static_cast<int64_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

void check_text(const Node& value, const Limits& l, const std::string& path, Causes& c) {
  int64_t length = characters(value.str());
  if (l.max_length && length > *l.max_length)
    c.push_back(
        {"FieldValueTooLong", "Too long: may not be more than " + std::to_string(*l.max_length) + " bytes", path});
  if (l.min_length && length < *l.min_length)
    invalid(c, path, value.dump(),
            path + " in body should be at least " + std::to_string(*l.min_length) + " chars long");
  if (l.regex && !re2::RE2::PartialMatch(value.str(), *l.regex))
    invalid(c, path, value.dump(), path + " in body should match '" + l.pattern + "'");
}

void check_number(const Node& value, const Limits& l, const std::string& path, Causes& c) {
  double v = value.double_or(0);
  auto wrong = [&](const std::string& why) { invalid(c, path, value.dump(), path + " in body should be " + why); };
  if (l.multiple_of && *l.multiple_of > 0) {
    double times = v / *l.multiple_of;
    if (std::abs(times - std::round(times)) > 1e-9 * std::max(1.0, std::abs(times)))
      wrong("a multiple of " + json::number_text(*l.multiple_of));
  }
  if (l.maximum && (l.exclusive_maximum ? v >= *l.maximum : v > *l.maximum))
    wrong((l.exclusive_maximum ? "less than " : "less than or equal to ") + json::number_text(*l.maximum));
  if (l.minimum && (l.exclusive_minimum ? v <= *l.minimum : v < *l.minimum))
    wrong((l.exclusive_minimum ? "greater than " : "greater than or equal to ") + json::number_text(*l.minimum));
}

void check_size(size_t size, std::optional<int64_t> least, std::optional<int64_t> most, const char* what,
                const std::string& path, Causes& c) {
  auto n = static_cast<int64_t>(size);
  if (least && n < *least)
    invalid(c, path, std::to_string(n), path + " in body should have at least " + std::to_string(*least) + " " + what);
  if (most && n > *most)
    c.push_back({"FieldValueTooMany",
                 "Too many: " + std::to_string(n) + ": must have at most " + std::to_string(*most) + " items", path});
}

void check_values(const Node& value, const Limits& l, const std::string& path, Causes& c) {
  if (l.values.empty() || std::find(l.values.begin(), l.values.end(), value) != l.values.end()) return;
  std::string supported;
  for (const Node& v : l.values)
    supported += (supported.empty() ? "" : ", ") + json::quoted(v.is_string() ? v.str() : v.dump());
  c.push_back(
      {"FieldValueNotSupported", "Unsupported value: " + value.dump() + ": supported values: " + supported, path});
}

Causes tried(const Node& value, const Schema& s, const std::string& path) {
  Causes out;
  validate(value, s, path, out);
  return out;
}

void append(Causes& to, Causes from) {
  for (Cause& c : from) to.push_back(std::move(c));
}

// allOf, anyOf, oneOf, not. Of alternatives that all fail, the one with the fewest mistakes is told.
void check_junctors(const Node& value, const Limits& l, const std::string& path, Causes& c) {
  auto closest = [](std::vector<Causes>& all) {
    return *std::min_element(all.begin(), all.end(),
                             [](const Causes& a, const Causes& b) { return a.size() < b.size(); });
  };
  std::string quoted = json::quoted(path);
  if (!l.any_of.empty()) {
    std::vector<Causes> failed;
    for (const SchemaPtr& s : l.any_of) failed.push_back(tried(value, *s, path));
    if (std::none_of(failed.begin(), failed.end(), [](const Causes& f) { return f.empty(); })) {
      invalid(c, path, "\"\"", quoted + " must validate at least one schema (anyOf)");
      append(c, closest(failed));
    }
  }
  if (!l.one_of.empty()) {
    std::vector<Causes> failed;
    for (const SchemaPtr& s : l.one_of) failed.push_back(tried(value, *s, path));
    auto valid = std::count_if(failed.begin(), failed.end(), [](const Causes& f) { return f.empty(); });
    if (valid != 1)
      invalid(c, path, "\"\"",
              quoted + " must validate one and only one schema (oneOf). " +
                  (valid ? "Found " + std::to_string(valid) + " valid alternatives" : "Found none valid"));
    if (valid == 0) append(c, closest(failed));
  }
  if (!l.all_of.empty()) {
    size_t valid = 0;
    for (const SchemaPtr& s : l.all_of) {
      Causes failed = tried(value, *s, path);
      valid += failed.empty();
      append(c, std::move(failed));
    }
    if (valid != l.all_of.size())
      invalid(c, path, "\"\"", quoted + " must validate all the schemas (allOf)" + (valid ? "" : ". None validated"));
  }
  if (l.negated && tried(value, *l.negated, path).empty())
    invalid(c, path, "\"\"", quoted + " must not validate the schema (not)");
}

// The old item that this one was: by its keys in a map, else nothing says so.
const Node* former_item(const Node& item, const Schema& s, const Node* old) {
  if (!old || !s.map) return nullptr;
  for (const Node& o : old->items())
    if (std::all_of(s.list_keys.begin(), s.list_keys.end(), [&](const std::string& k) { return o.get(k) == item.get(k); }))
      return &o;
  return nullptr;
}

void check_members(const Node& value, const Schema& s, const std::string& path, Causes& c, const Node* old) {
  for (const auto& [name, child] : value.members()) {
    const Node* was = old ? old->find(name) : nullptr;
    if (const Schema* p = s.property(name))
      validate(child, *p, below(path, name), c, was);
    else if (s.additional)
      validate(child, *s.additional, below(path, name), c, was);
    else if (s.no_additional)
      invalid(c, path, "\"\"", path + "." + name + " in body is a forbidden property");
  }
  for (const auto& name : s.required)
    if (!value.get(name).exists()) c.push_back({"FieldValueRequired", "Required value", below(path, name)});
  if (!s.embedded) return;
  for (const char* name : {"apiVersion", "kind"})
    if (value.get(name).str().empty())
      c.push_back({"FieldValueRequired", "Required value: must not be empty", below(path, name)});
}

bool is_address(int family, std::string_view text) {
  unsigned char bytes[16];
  return inet_pton(family, std::string(text).c_str(), bytes) == 1;
}

bool is_cidr(std::string_view text) {
  size_t slash = text.find('/');
  auto bits = slash == text.npos ? std::nullopt : parse_int(text.substr(slash + 1));
  if (!bits || *bits < 0) return false;
  return (is_address(AF_INET, text.substr(0, slash)) && *bits <= 32) ||
         (is_address(AF_INET6, text.substr(0, slash)) && *bits <= 128);
}

struct Format {
  const char *name, *pattern;
};
constexpr Format kFormats[] = {
    {"bsonobjectid", "^[0-9a-fA-F]{24}$"},
    {"uri", "^[A-Za-z][A-Za-z0-9+.-]*:[^ ]+$|^/[^ ]*$"},
    {"email", "^[^@ <>]+@[^@ <>]+$"},
    {"hostname",
     "^([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)(\\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*\\.?$"},
    {"mac",
     "^([0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}$|^([0-9a-fA-F]{2}[:-]){7}[0-9a-fA-F]{2}$|^([0-9a-fA-F]{4}\\.){2}[0-9a-fA-"
     "F]{4}$"},
    {"uuid", "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$"},
    {"uuid3", "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$"},
    {"uuid4", "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$"},
    {"uuid5", "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$"},
    {"isbn10", "^([0-9][- ]?){9}[0-9Xx]$"},
    {"isbn13", "^97[89][- ]?([0-9][- ]?){9}[0-9]$"},
    {"isbn", "^([0-9][- ]?){9}[0-9Xx]$|^97[89][- ]?([0-9][- ]?){9}[0-9]$"},
    {"creditcard", "^([0-9][- ]?){12,18}[0-9]$"},
    {"ssn", "^\\d{3}[- ]?\\d{2}[- ]?\\d{4}$"},
    {"hexcolor", "^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"},
    {"rgbcolor",
     "^rgb\\(\\s*([01]?[0-9]{1,2}|2[0-4][0-9]|25[0-5])\\s*,\\s*([01]?[0-9]{1,2}|2[0-4][0-9]|25[0-5])\\s*,\\s*([01]?[0-"
     "9]{1,2}|2[0-4][0-9]|25[0-5])\\s*\\)$"},
    {"date", "^\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"},
    {"k8s-short-name", "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"},
};

const re2::RE2* regex_of(std::string_view format) {
  static const auto compiled = [] {
    std::map<std::string_view, std::unique_ptr<re2::RE2>> out;
    for (const Format& f : kFormats) out[f.name] = std::make_unique<re2::RE2>(f.pattern, re2::RE2::Quiet);
    return out;
  }();
  auto it = compiled.find(format);
  return it == compiled.end() ? nullptr : it->second.get();
}

}  // namespace

bool has_format(std::string_view text, std::string_view format) {
  if (format == "date-time" || format == "datetime") return parse_rfc3339(text).has_value();
  if (format == "duration") return parse_go_duration(text).has_value();
  if (format == "ipv4") return is_address(AF_INET, text);
  if (format == "ipv6") return is_address(AF_INET6, text);
  if (format == "cidr") return is_cidr(text);
  if (format == "byte") return base64_decode(text).has_value();
  if (format == "k8s-long-name") return is_dns_subdomain(text);
  const re2::RE2* regex = regex_of(format);
  return !regex || re2::RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *regex);
}

void validate(const Node& value, const Schema& s, const std::string& path, Causes& c, const Node* old) {
  if (old && *old == value) return;
  check_type(value, s, path, c);
  if (value.is_null()) {
    if (s.limits && !s.nullable) check_values(value, *s.limits, path, c);
    return;
  }
  if (const Limits* l = s.limits.get()) {
    check_junctors(value, *l, path, c);
    if (value.is_string()) check_text(value, *l, path, c);
    if (value.is_number()) check_number(value, *l, path, c);
    check_values(value, *l, path, c);
    if (value.is_array()) check_size(value.size(), l->min_items, l->max_items, "items", path, c);
    if (value.is_object()) check_size(value.size(), l->min_properties, l->max_properties, "properties", path, c);
  }
  if (s.items)
    for (size_t i = 0; i < value.items().size(); ++i)
      validate(value.items()[i], *s.items, path + "[" + std::to_string(i) + "]", c,
               former_item(value.items()[i], s, old));
  if (value.is_object()) check_members(value, s, path, c, old);
}

void validate_lists(const Node& value, const Schema& s, const std::string& path, Causes& c, const Node* old) {
  if (old && *old == value) return;
  std::set<std::string> seen;
  for (size_t i = 0; i < value.items().size(); ++i) {
    const Node& item = value.items()[i];
    std::string here = path + "[" + std::to_string(i) + "]";
    if (s.items) validate_lists(item, *s.items, here, c, former_item(item, s, old));
    if (!s.set && !s.map) continue;
    Node key = item;
    if (s.map) {
      key = Node::object();
      for (const auto& name : s.list_keys)
        if (item.get(name).exists()) key.set(name, item.get(name));
    }
    if (!seen.insert(key.dump()).second) c.push_back({"FieldValueDuplicate", "Duplicate value: " + key.dump(), here});
  }
  for (const auto& [name, child] : value.members()) {
    const Schema* p = s.property(name);
    if (!p) p = s.additional.get();
    if (p) validate_lists(child, *p, below(path, name), c, old ? old->find(name) : nullptr);
  }
}

}  // namespace k8lite::api::custom
