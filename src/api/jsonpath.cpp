// The template is read into parts (text, expression, range); an expression is a chain of steps, each of which maps a list of values to
// a list of values.
#include "api/jsonpath.h"

#include <algorithm>

#include "base/strings.h"

namespace k8lite::api {

using json::Node;
using Values = std::vector<const Node*>;

namespace {

struct Step {
  enum class Kind { Root, Current, Field, Wildcard, Descend, Slice, Union, Filter, Literal } kind;
  std::string name;                                  // Field, Descend
  bool has_from = false, has_to = false, single = false;
  int64_t from = 0, to = 0, stride = 1;              // Slice; `single`: an index
  std::vector<std::vector<Step>> choices;            // Union
  std::vector<Step> left, right;                     // Filter
  std::string op;                                    // Filter; "" : existence
  Node literal;
};
using Steps = std::vector<Step>;

}  // namespace

struct JsonPath::Part {
  enum class Kind { Text, Expression, Range } kind;
  std::string text;
  Steps steps;
  std::vector<Part> body;
};

namespace {

using Part = JsonPath::Part;

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<std::vector<Part>> parts(bool in_range) {
    std::vector<Part> out;
    while (at_ < text_.size()) {
      if (text_[at_] != '{') {
        size_t brace = std::min(text_.find('{', at_), text_.size());
        out.push_back({Part::Kind::Text, std::string(text_.substr(at_, brace - at_)), {}, {}});
        at_ = brace;
        continue;
      }
      ++at_;
      skip();
      if (word("end")) {
        TRY_OK(expect('}'));
        if (!in_range) return bad_request("not in range, nothing to end");
        return out;
      }
      bool range = word("range");
      skip();
      do {
        TRY(Steps steps, expression());
        skip();
        out.push_back({Part::Kind::Expression, "", std::move(steps), {}});
      } while (!range && at_ < text_.size() && text_[at_] != '}');
      TRY_OK(expect('}'));
      if (range) {
        out.back().kind = Part::Kind::Range;
        TRY(out.back().body, parts(true));
      }
    }
    if (in_range) return bad_request("unterminated range, expected {end}");
    return out;
  }

 private:
  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n')) ++at_;
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : 0; }
  bool word(std::string_view w) {
    if (text_.substr(at_, w.size()) != w) return false;
    char next = at_ + w.size() < text_.size() ? text_[at_ + w.size()] : 0;
    if (next != ' ' && next != '}' && next != ')' && next != '\t') return false;
    at_ += w.size();
    return true;
  }
  Result<> expect(char c) {
    skip();
    if (peek() != c) return bad_request(at_ >= text_.size() ? "unclosed action" : "unrecognized character in action: '" + std::string(1, peek()) + "'");
    ++at_;
    return {};
  }
  static bool name_char(char c) { return c && std::string_view(" \t\n.[]{}(),=!<>@$*'\"").find(c) == std::string_view::npos; }

  Result<std::string> quoted() {
    char q = text_[at_++];
    std::string out;
    while (at_ < text_.size() && text_[at_] != q) {
      char c = text_[at_++];
      if (c == '\\' && at_ < text_.size()) {
        char e = text_[at_++];
        c = e == 'n' ? '\n' : e == 't' ? '\t' : e == 'r' ? '\r' : e;
      }
      out += c;
    }
    if (at_ >= text_.size()) return bad_request("unterminated quoted string");
    ++at_;
    return out;
  }

  std::string name() {
    std::string out;
    while (at_ < text_.size()) {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) out += text_[at_ + 1], at_ += 2;
      else if (name_char(text_[at_])) out += text_[at_++];
      else break;
    }
    return out;
  }

  Result<Steps> expression() {
    Steps out;
    char c = peek();
    if (c == '"' || c == '\'') {
      TRY(std::string s, quoted());
      out.push_back(Step{.kind = Step::Kind::Literal, .literal = Node(s)});
      return out;
    }
    if (c == '-' || (c >= '0' && c <= '9')) {
      size_t end = at_ + 1;
      while (end < text_.size() && (isdigit(static_cast<unsigned char>(text_[end])) || text_[end] == '.' || text_[end] == 'e')) ++end;
      auto n = Node::parse(text_.substr(at_, end - at_));
      if (!n.ok()) return bad_request("cannot parse number " + std::string(text_.substr(at_, end - at_)));
      at_ = end;
      out.push_back(Step{.kind = Step::Kind::Literal, .literal = std::move(n).value()});
      return out;
    }
    if (word("true") || word("false")) {
      out.push_back(Step{.kind = Step::Kind::Literal, .literal = Node(text_[at_ - 2] == 'u')});
      return out;
    }
    if (c == '$' || c == '@') {
      out.push_back(Step{.kind = c == '$' ? Step::Kind::Root : Step::Kind::Current});
      ++at_;
    } else if (name_char(c)) {
      out.push_back(Step{.kind = Step::Kind::Field, .name = name()});
    }
    for (;;) {
      if (peek() == '.') {
        ++at_;
        if (peek() == '.') {
          ++at_;
          if (peek() == '*') {
            ++at_;
            out.push_back(Step{.kind = Step::Kind::Descend});
            out.push_back(Step{.kind = Step::Kind::Wildcard});
          } else {
            out.push_back(Step{.kind = Step::Kind::Descend, .name = name()});
          }
        } else if (peek() == '*') {
          ++at_;
          out.push_back(Step{.kind = Step::Kind::Wildcard});
        } else if (peek() == '[') {
          continue;
        } else {
          std::string n = name();
          if (!n.empty()) out.push_back(Step{.kind = Step::Kind::Field, .name = std::move(n)});
          else if (out.empty()) out.push_back(Step{.kind = Step::Kind::Current});
        }
      } else if (peek() == '[') {
        ++at_;
        TRY(Step s, bracket());
        out.push_back(std::move(s));
      } else {
        break;
      }
    }
    if (out.empty()) return bad_request(at_ >= text_.size() ? "unclosed action" : "unrecognized character in action: '" + std::string(1, peek()) + "'");
    return out;
  }

  Result<Step> bracket() {
    skip();
    if (peek() == '?') {
      ++at_;
      TRY_OK(expect('('));
      TRY(Step s, filter());
      TRY_OK(expect(')'));
      TRY_OK(expect(']'));
      return s;
    }
    std::vector<Steps> choices;
    for (;;) {
      skip();
      TRY(Step one, bracket_item());
      choices.push_back({std::move(one)});
      skip();
      if (peek() != ',') break;
      ++at_;
    }
    if (peek() != ']') return bad_request("unterminated array");
    ++at_;
    if (choices.size() == 1) return std::move(choices[0][0]);
    return Step{.kind = Step::Kind::Union, .choices = std::move(choices)};
  }

  Result<Step> bracket_item() {
    if (peek() == '*') {
      ++at_;
      return Step{.kind = Step::Kind::Wildcard};
    }
    if (peek() == '\'' || peek() == '"') {
      TRY(std::string s, quoted());
      return Step{.kind = Step::Kind::Field, .name = std::move(s)};
    }
    size_t end = at_;
    while (end < text_.size() && text_[end] != ']' && text_[end] != ',') ++end;
    std::string_view inside = trim(text_.substr(at_, end - at_));
    at_ = end;
    auto pieces = split(inside, ':');
    Step s{.kind = Step::Kind::Slice};
    if (pieces.size() > 3) return bad_request("invalid array index " + std::string(inside));
    for (size_t i = 0; i < pieces.size(); ++i) {
      std::string_view p = trim(pieces[i]);
      if (p.empty() && pieces.size() > 1) continue;
      auto n = parse_int(p);
      if (!n) return bad_request("invalid array index " + std::string(inside));
      if (i == 0) s.has_from = true, s.from = *n;
      if (i == 1) s.has_to = true, s.to = *n;
      if (i == 2) s.stride = *n;
    }
    if (s.stride <= 0) return bad_request("step must be > 0");
    s.single = pieces.size() == 1;
    return s;
  }

  Result<Step> filter() {
    Step s{.kind = Step::Kind::Filter};
    skip();
    TRY(s.left, expression());
    skip();
    for (std::string_view op : {"==", "!=", "<=", ">=", "<", ">"}) {
      if (text_.substr(at_, op.size()) != op) continue;
      s.op = op;
      at_ += op.size();
      skip();
      TRY(s.right, expression());
      break;
    }
    return s;
  }

  std::string_view text_;
  size_t at_ = 0;
};

// ---- evaluation ----

Values evaluate(const Steps& steps, Values values, const Node& root);

void descend(const Node& n, Values& out) {
  out.push_back(&n);
  if (n.is_array())
    for (const Node& x : n.items()) descend(x, out);
  if (n.is_object())
    for (const auto& m : n.members()) descend(m.second, out);
}

int compare(const Node& a, const Node& b, bool& comparable) {
  comparable = true;
  if (a.is_number() && b.is_number()) return a.double_or(0) < b.double_or(0) ? -1 : a.double_or(0) > b.double_or(0) ? 1 : 0;
  if (a.is_string() && b.is_string()) return a.str().compare(b.str());
  if (a.is_bool() && b.is_bool()) return static_cast<int>(a.bool_or(false)) - static_cast<int>(b.bool_or(false));
  comparable = false;
  return 1;
}

bool holds(const Step& s, const Node& candidate, const Node& root) {
  Values left = evaluate(s.left, {&candidate}, root);
  if (s.op.empty()) return !left.empty();
  Values right = evaluate(s.right, {&candidate}, root);
  if (left.empty() || right.empty()) return false;
  bool comparable = false;
  int c = compare(*left[0], *right[0], comparable);
  if (s.op == "==") return comparable && c == 0;
  if (s.op == "!=") return !comparable || c != 0;
  if (!comparable) return false;
  if (s.op == "<") return c < 0;
  if (s.op == "<=") return c <= 0;
  if (s.op == ">") return c > 0;
  return c >= 0;
}

void slice(const Step& s, const Node& n, Values& out) {
  if (!n.is_array()) return;
  auto size = static_cast<int64_t>(n.size());
  auto wrap = [size](int64_t i) { return i < 0 ? i + size : i; };
  if (s.single) {
    int64_t i = wrap(s.from);
    if (i >= 0 && i < size) out.push_back(&n.items()[static_cast<size_t>(i)]);
    return;
  }
  int64_t from = std::max<int64_t>(0, s.has_from ? wrap(s.from) : 0), to = std::min(size, s.has_to ? wrap(s.to) : size);
  for (int64_t i = from; i < to; i += s.stride) out.push_back(&n.items()[static_cast<size_t>(i)]);
}

void step_one(const Step& s, const Node& n, const Node& root, Values& out) {
  switch (s.kind) {
    case Step::Kind::Root: out.push_back(&root); break;
    case Step::Kind::Current: out.push_back(&n); break;
    case Step::Kind::Literal: out.push_back(&s.literal); break;
    case Step::Kind::Field:
      if (const Node* m = n.find(s.name)) out.push_back(m);
      break;
    case Step::Kind::Wildcard:
      for (const Node& x : n.items()) out.push_back(&x);
      for (const auto& m : n.members()) out.push_back(&m.second);
      break;
    case Step::Kind::Descend: {
      Values all;
      descend(n, all);
      for (const Node* x : all) {
        if (s.name.empty()) out.push_back(x);
        else if (const Node* m = x->find(s.name)) out.push_back(m);
      }
      break;
    }
    case Step::Kind::Slice: slice(s, n, out); break;
    case Step::Kind::Union:
      for (const Steps& c : s.choices)
        for (const Node* x : evaluate(c, {&n}, root)) out.push_back(x);
      break;
    case Step::Kind::Filter:
      for (const Node& x : n.items())
        if (holds(s, x, root)) out.push_back(&x);
      break;
  }
}

Values evaluate(const Steps& steps, Values values, const Node& root) {
  for (const Step& s : steps) {
    Values next;
    for (const Node* n : values) step_one(s, *n, root, next);
    values = std::move(next);
  }
  return values;
}

void render_parts(const std::vector<Part>& parts, const Node& current, const Node& root, std::string& out) {
  for (const Part& p : parts) {
    if (p.kind == Part::Kind::Text) {
      out += p.text;
      continue;
    }
    Values found = evaluate(p.steps, {&current}, root);
    if (p.kind == Part::Kind::Range) {
      for (const Node* n : found) render_parts(p.body, *n, root, out);
      continue;
    }
    for (size_t i = 0; i < found.size(); ++i) {
      if (i) out += ' ';
      out += jsonpath_text(*found[i]);
    }
  }
}

}  // namespace

Node sorted_keys(const Node& value) {
  if (value.is_array()) {
    Node out = Node::array();
    for (const Node& x : value.items()) out.append(sorted_keys(x));
    return out;
  }
  if (!value.is_object()) return value;
  std::vector<const Node::Member*> order;
  for (const auto& m : value.members()) order.push_back(&m);
  std::sort(order.begin(), order.end(), [](const Node::Member* a, const Node::Member* b) { return a->first < b->first; });
  Node out = Node::object();
  for (const Node::Member* m : order) out.members().emplace_back(m->first, sorted_keys(m->second));
  return out;
}

std::string html_safe(std::string json) {
  if (json.find_first_of("<>&") == std::string::npos) return json;
  return replace_all(replace_all(replace_all(std::move(json), "&", "\\u0026"), "<", "\\u003c"), ">", "\\u003e");
}

std::string jsonpath_text(const Node& value) {
  if (value.is_string()) return value.str();
  if (value.is_null()) return "";
  return value.is_object() || value.is_array() ? html_safe(sorted_keys(value).dump()) : value.dump();
}

Result<JsonPath> JsonPath::parse(std::string_view text) {
  Parser parser(text);
  TRY(auto parts, parser.parts(false));
  JsonPath out;
  out.parts_ = std::make_shared<const std::vector<Part>>(std::move(parts));
  return out;
}

Result<JsonPath> JsonPath::parse_relaxed(std::string_view text) {
  std::string t(trim(text));
  if (t.size() >= 2 && t.front() == '{' && t.back() == '}') t = t.substr(1, t.size() - 2);
  if (!t.empty() && t[0] != '.' && t[0] != '$' && t[0] != '@' && t[0] != '[') t = "." + t;
  return parse("{" + t + "}");
}

std::string JsonPath::render(const Node& root) const {
  std::string out;
  render_parts(*parts_, root, root, out);
  return out;
}

std::string JsonPath::problem(const Node& root) const {
  for (const Part& p : *parts_) {
    if (p.kind != Part::Kind::Expression) continue;
    Values values = {&root};
    for (const Step& s : p.steps) {
      Values next;
      for (const Node* n : values) {
        auto size = static_cast<int64_t>(n->size());
        if (s.kind == Step::Kind::Slice && s.single && n->is_array() && (s.from >= size || s.from < -size))
          return "array index out of bounds: index " + std::to_string(s.from) + ", length " + std::to_string(size);
        step_one(s, *n, root, next);
      }
      values = std::move(next);
    }
  }
  return {};
}

std::vector<const Node*> JsonPath::find(const Node& root) const {
  for (const Part& p : *parts_)
    if (p.kind == Part::Kind::Expression) return evaluate(p.steps, {&root}, root);
  return {};
}

}  // namespace k8lite::api
