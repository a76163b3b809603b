#include "api/selector.h"

#include <algorithm>
#include <optional>

#include "base/strings.h"

namespace k8lite::api {
namespace {

using Op = LabelSelector::Operator;
using Requirement = LabelSelector::Requirement;

// Words, and the signs that stand alone. "=" and "==" are one.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : rest_(text) { next(); }
  const std::string& token() const { return token_; }
  bool at_end() const { return token_.empty(); }
  std::string take() {
    std::string t = token_;
    next();
    return t;
  }
  bool accept(std::string_view sign) {
    if (token_ != sign) return false;
    next();
    return true;
  }
  bool is_word() const { return !token_.empty() && std::string_view("=!,()<>").find(token_[0]) == std::string_view::npos; }
  Status unexpected(std::string_view wanted) const {
    return bad_request("unable to parse requirement: found '" + token_ + "', expected: " + std::string(wanted));
  }

 private:
  void next() {
    rest_ = trim(rest_);
    size_t n = 0;
    if (rest_.starts_with("==") || rest_.starts_with("!=")) n = 2;
    else if (!rest_.empty() && std::string_view("=!,()<>").find(rest_[0]) != std::string_view::npos) n = 1;
    else n = std::min(rest_.find_first_of("=!,()<> \t\r\n"), rest_.size());
    token_ = rest_.substr(0, n);
    rest_.remove_prefix(n);
  }
  std::string_view rest_;
  std::string token_;
};

Result<> check(const Requirement& r) {
  if (!is_qualified_name(r.key)) return bad_request("invalid label key " + json::quoted(r.key) + ": a name of at most 63 characters, with an optional DNS subdomain prefix and '/'");
  for (const auto& v : r.values) {
    if (!is_label_value(v)) return bad_request("invalid label value " + json::quoted(v) + " for key " + json::quoted(r.key));
    if ((r.op == Op::Greater || r.op == Op::Less) && !parse_int(v)) return bad_request("for 'Gt', 'Lt' operators, the value must be an integer");
  }
  return {};
}

Result<std::vector<std::string>> parse_set(Lexer& in) {
  if (!in.accept("(")) return in.unexpected("'('");
  std::vector<std::string> values;
  for (;;) {
    values.push_back(in.is_word() ? in.take() : std::string());
    if (in.accept(")")) return values;
    if (!in.accept(",")) return in.unexpected("',' or ')'");
  }
}

Result<Requirement> parse_requirement(Lexer& in) {
  bool negated = in.accept("!");
  if (!in.is_word()) return in.unexpected("identifier");
  Requirement r{in.take(), negated ? Op::DoesNotExist : Op::Exists, {}};
  if (negated || in.at_end() || in.token() == ",") return r;
  std::string op = in.take();
  if (op == "in" || op == "notin") {
    r.op = op == "in" ? Op::In : Op::NotIn;
    TRY(r.values, parse_set(in));
    return r;
  }
  if (op == "=" || op == "==") r.op = Op::In;
  else if (op == "!=") r.op = Op::NotIn;
  else if (op == ">") r.op = Op::Greater;
  else if (op == "<") r.op = Op::Less;
  else return bad_request("unable to parse requirement: found '" + op + "', expected: in, notin, =, ==, !=, gt, lt");
  r.values.push_back(in.is_word() ? in.take() : std::string());
  return r;
}

bool holds(const Requirement& r, json::Value labels) {
  json::Value v = labels[r.key];
  auto among = [&r, v] { return std::any_of(r.values.begin(), r.values.end(), [v](const std::string& t) { return v.equals(t); }); };
  switch (r.op) {
    case Op::In: return v.exists() && among();
    case Op::NotIn: return !v.exists() || !among();
    case Op::Exists: return v.exists();
    case Op::DoesNotExist: return !v.exists();
    default: {
      auto have = parse_int(v.str()), want = parse_int(r.values.at(0));
      return have && want && (r.op == Op::Greater ? *have > *want : *have < *want);
    }
  }
}

}  // namespace

Result<LabelSelector> LabelSelector::parse(std::string_view text) {
  LabelSelector s;
  Lexer in(text);
  if (in.at_end()) return s;
  for (;;) {
    TRY(Requirement r, parse_requirement(in));
    TRY_OK(check(r));
    s.requirements_.push_back(std::move(r));
    if (in.at_end()) return s;
    if (!in.accept(",")) return in.unexpected("',' or 'end of string'");
  }
}

Result<LabelSelector> LabelSelector::from_object(json::Value selector) {
  LabelSelector s;
  s.nothing_ = !selector.is_object();
  for (const auto& m : selector["matchLabels"].members()) s.requirements_.push_back({m.key(), Op::In, {m.value.str()}});
  for (json::Value e : selector["matchExpressions"].items()) {
    Requirement r{e["key"].str(), Op::In, {}};
    std::string op = e["operator"].str();
    if (op == "In") r.op = Op::In;
    else if (op == "NotIn") r.op = Op::NotIn;
    else if (op == "Exists") r.op = Op::Exists;
    else if (op == "DoesNotExist") r.op = Op::DoesNotExist;
    else return bad_request(json::quoted(op) + " is not a valid label selector operator");
    for (json::Value v : e["values"].items()) r.values.push_back(v.str());
    bool wants_values = r.op == Op::In || r.op == Op::NotIn;
    if (wants_values == r.values.empty())
      return bad_request(wants_values ? "for 'in', 'notin' operators, values set can't be empty" : "values set must be empty for exists and does not exist");
    s.requirements_.push_back(std::move(r));
  }
  for (const auto& r : s.requirements_) TRY_OK(check(r));
  return s;
}

bool LabelSelector::matches(json::Value labels) const {
  return !nothing_ && std::all_of(requirements_.begin(), requirements_.end(), [labels](const Requirement& r) { return holds(r, labels); });
}

std::string LabelSelector::text() const {
  std::vector<std::string> parts;
  std::vector<Requirement> sorted = requirements_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Requirement& a, const Requirement& b) { return a.key < b.key; });
  for (auto& r : sorted) {
    std::sort(r.values.begin(), r.values.end());
    std::string set = "(" + join(r.values, ",") + ")";
    switch (r.op) {
      case Op::In: parts.push_back(r.values.size() == 1 ? r.key + "=" + r.values[0] : r.key + " in " + set); break;
      case Op::NotIn: parts.push_back(r.values.size() == 1 ? r.key + "!=" + r.values[0] : r.key + " notin " + set); break;
      case Op::Exists: parts.push_back(r.key); break;
      case Op::DoesNotExist: parts.push_back("!" + r.key); break;
      case Op::Greater: parts.push_back(r.key + ">" + r.values[0]); break;
      case Op::Less: parts.push_back(r.key + "<" + r.values[0]); break;
    }
  }
  return join(parts, ",");
}

Result<FieldSelector> FieldSelector::parse(std::string_view text) {
  FieldSelector s;
  if (text.empty()) return s;
  std::vector<std::string> raw(1);
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) raw.back().append(text.substr(i++, 2));
    else if (text[i] == ',') raw.emplace_back();
    else raw.back() += text[i];
  }
  for (const std::string& term : raw) {
    if (term.empty()) continue;
    size_t at = term.find_first_of("!=");
    bool unequal = at != term.npos && term.compare(at, 2, "!=") == 0;
    if (at == term.npos || at == 0 || (term[at] == '!' && !unequal)) return bad_request("invalid field selector: \"" + term + "\"; can't understand it, use field=value or field!=value");
    size_t value = at + (unequal || term.compare(at, 2, "==") == 0 ? 2 : 1);
    Term t{term.substr(0, at), {}, !unequal, {}, {}};
    for (size_t i = value; i < term.size(); ++i) {
      if (term[i] == '=') return bad_request("invalid field selector: \"" + term + "\"; an '=' in a value is written '\\='");
      if (term[i] == '\\') {
        if (++i == term.size() || std::string_view(",=\\").find(term[i]) == std::string_view::npos) return bad_request("invalid field selector: \"" + term + "\"; a '\\' stands only before ',', '=' or '\\'");
      }
      t.value += term[i];
    }
    s.terms_.push_back(std::move(t));
  }
  return s;
}

bool FieldSelector::matches(json::Value object) const {
  return std::all_of(terms_.begin(), terms_.end(), [object](const Term& t) {
    json::Value v = object.path(t.path.empty() ? t.field : t.path);
    std::string have = v.is_string() ? v.str() : !v || v.is_null() ? t.absent : std::string(v.raw());
    return (have == t.value) == t.equal;
  });
}

}  // namespace k8lite::api
