// Evaluation. Whole and floating-point numbers do not compare, as in Go.
#include "kubectl/go_template.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "base/strings.h"
#include "kubectl/go_template_parse.h"
#include "kubectl/jsonpath.h"

namespace k8lite::kubectl {

using json::Node;
using Block = GoTemplate::Block;
using Item = Block::Item;

namespace {

constexpr size_t kMaxOutput = size_t{64} << 20;

const Node& no_value() {
  static const Node nothing = std::as_const(*std::make_unique<Node>(Node::object())).get("none");
  return nothing;
}

bool truth(const Node& n) {
  if (n.is_bool()) return n.bool_or(false);
  if (n.is_number()) return n.double_or(0) != 0;
  return n.exists() && !n.empty();
}

std::string shown(const Node& n) { return n.exists() && !n.is_null() ? go_text(n) : "<no value>"; }

const char* kind_name(const Node& n) {
  return n.is_string() ? "string" : n.is_bool() ? "bool" : n.is_integer() ? "int" : n.is_number() ? "float64" : n.is_array() ? "[]interface {}" : n.is_object() ? "map[string]interface {}" : "nil";
}

// ---- functions ----

using Args = std::vector<Node>;

Result<int> compared(const Node& a, const Node& b) {
  if (a.is_string() && b.is_string()) return a.str().compare(b.str());
  if (a.is_number() && b.is_number() && a.is_integer() == b.is_integer()) return a.double_or(0) < b.double_or(0) ? -1 : a.double_or(0) > b.double_or(0);
  if (a.is_bool() && b.is_bool()) return static_cast<int>(a.bool_or(false)) - static_cast<int>(b.bool_or(false));
  if ((a.is_null() || !a.exists()) && (b.is_null() || !b.exists())) return 0;
  {
    bool numbers = a.is_number() && b.is_number();
    return bad_request("incompatible types for comparison" + (numbers ? std::string(": ") + (a.is_integer() ? "int64" : "float64") + " and " + (b.is_integer() ? "int" : "float64") : ""));
  }
}

Result<Node> compare(const std::string& name, const Args& a) {
  if (name == "eq") {
    if (a.size() < 2) return bad_request("missing argument for comparison");
    for (size_t i = 1; i < a.size(); ++i) {
      TRY(int c, compared(a[0], a[i]));
      if (c == 0) return Node(true);
    }
    return Node(false);
  }
  if (a.size() != 2) return bad_request("wrong number of args for " + name + ": want 2 got " + std::to_string(a.size()));
  TRY(int c, compared(a[0], a[1]));
  return Node(name == "ne" ? c != 0 : name == "lt" ? c < 0 : name == "le" ? c <= 0 : name == "gt" ? c > 0 : c >= 0);
}

Result<Node> index(const Args& a) {
  Node at = a[0];
  for (size_t i = 1; i < a.size(); ++i) {
    if (at.is_object()) {
      if (!a[i].is_string()) return bad_request("value has type " + std::string(kind_name(a[i])) + "; should be string");
      at = Node(std::as_const(at).get(a[i].str()));
    } else if (at.is_array() || at.is_string()) {
      int64_t n = a[i].int_or(-1);
      if (!a[i].is_number()) return bad_request("cannot index slice/array with type " + std::string(kind_name(a[i])));
      if (n < 0 || static_cast<size_t>(n) >= (at.is_array() ? at.size() : at.str().size())) return bad_request("index out of range: " + std::to_string(n));
      at = at.is_array() ? Node(at.items()[static_cast<size_t>(n)]) : Node(static_cast<int64_t>(static_cast<unsigned char>(at.str()[static_cast<size_t>(n)])));
    } else {
      return bad_request(at.exists() && !at.is_null() ? "can't index item of type " + std::string(kind_name(at)) : "index of untyped nil");
    }
  }
  return at;
}

Result<Node> cut(const Args& a) {
  bool text = a[0].is_string();
  if (!text && !a[0].is_array()) return bad_request("can't slice item of type " + std::string(kind_name(a[0])));
  auto size = static_cast<int64_t>(text ? a[0].str().size() : a[0].size());
  int64_t from = a.size() > 1 ? a[1].int_or(0) : 0, to = a.size() > 2 ? a[2].int_or(0) : size;
  if (from < 0 || to > size || from > to) return bad_request("index out of range: " + std::to_string(from < 0 || from > size ? from : to));
  if (text) return Node(a[0].str().substr(static_cast<size_t>(from), static_cast<size_t>(to - from)));
  Node out = Node::array();
  for (int64_t i = from; i < to; ++i) out.append(a[0].items()[static_cast<size_t>(i)]);
  return out;
}

// Spaces between operands where neither is a text, as fmt.Sprint does it; always for println.
std::string printed(const Args& a, bool line) {
  std::string out;
  for (size_t i = 0; i < a.size(); ++i) {
    if (i && (line || (!a[i - 1].is_string() && !a[i].is_string()))) out += ' ';
    out += a[i].exists() ? go_text(a[i]) : "<nil>";
  }
  return line ? out + "\n" : out;
}

std::string padded(std::string text, const std::string& flags) {
  bool left = flags.starts_with('-'), zeros = flags.starts_with('0');
  auto width = static_cast<size_t>(parse_int(flags.substr(left ? 1 : 0, flags.find('.') - (left ? 1 : 0))).value_or(0));
  if (text.size() >= width || width > 1000) return text;
  if (left) return text + std::string(width - text.size(), ' ');
  return std::string(width - text.size(), zeros ? '0' : ' ') + text;
}

std::string formatted(const Node& n, char verb, const std::string& flags) {
  auto wrong = [&] { return std::string("%!") + verb + "(" + kind_name(n) + "=" + go_text(n) + ")"; };
  switch (verb) {
    case 'v': return go_text(n);
    case 's': return n.is_string() || n.is_array() || n.is_object() ? go_text(n) : wrong();
    case 'q': return n.is_string() ? json::quoted(n.str()) : wrong();
    case 't': return n.is_bool() ? go_text(n) : wrong();
    case 'd': return n.is_integer() ? go_text(n) : wrong();
    case 'x': return n.is_string() ? to_hex(n.str()) : wrong();
    case 'T': return kind_name(n);
    case 'f': {
      if (!n.is_number() || n.is_integer()) return wrong();
      size_t dot = flags.find('.');
      char text[400];
      auto done = std::to_chars(text, text + sizeof text, n.double_or(0), std::chars_format::fixed, dot == flags.npos ? 6 : static_cast<int>(parse_int(flags.substr(dot + 1)).value_or(0)));
      return std::string(text, done.ptr);
    }
    case 'g': return n.is_number() && !n.is_integer() ? go_float(n.double_or(0)) : wrong();
    default: return wrong();
  }
}

std::string format(const Args& a) {
  std::string out;
  const std::string& f = a[0].str();
  size_t next = 1;
  for (size_t i = 0; i < f.size(); ++i) {
    if (f[i] != '%') {
      out += f[i];
      continue;
    }
    std::string flags;
    for (++i; i < f.size() && std::string_view("-+# 0123456789.").find(f[i]) != std::string_view::npos; ++i) flags += f[i];
    if (i >= f.size()) return out + "%!(NOVERB)";
    if (f[i] == '%') out += '%';
    else if (next >= a.size()) out += std::string("%!") + f[i] + "(MISSING)";
    else out += padded(formatted(a[next], f[i], flags), flags), ++next;
  }
  for (; next < a.size(); ++next) out += std::string("%!(EXTRA ") + kind_name(a[next]) + "=" + go_text(a[next]) + ")";
  return out;
}

std::string escaped(const std::string& name, const std::string& text) {
  if (name == "urlquery") return replace_all(url_encode(text), "%20", "+");
  std::string out;
  for (char c : text) {
    if (name == "js") out += c == '\'' ? "\\'" : c == '"' ? "\\\"" : c == '\\' ? "\\\\" : c == '<' ? "\\u003C" : c == '>' ? "\\u003E" : c == '&' ? "\\u0026" : c == '=' ? "\\u003D" : c == '\n' ? "\\u000A" : std::string(1, c);
    else out += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : c == '"' ? "&#34;" : c == '\'' ? "&#39;" : std::string(1, c);
  }
  return out;
}

Result<Node> call(const std::string& name, const Args& a) {
  if (name == "eq" || name == "ne" || name == "lt" || name == "le" || name == "gt" || name == "ge") return compare(name, a);
  if (name == "print" || name == "println") return Node(printed(a, name == "println"));
  if (a.empty()) return bad_request("wrong number of args for " + name + ": want at least 1 got 0");
  if (name == "not") return Node(!truth(a[0]));
  if (name == "len") {
    if (!a[0].is_string() && !a[0].is_array() && !a[0].is_object()) return bad_request(a[0].exists() && !a[0].is_null() ? "len of type " + std::string(kind_name(a[0])) : "len of nil pointer");
    return Node(static_cast<int64_t>(a[0].is_string() ? a[0].str().size() : a[0].size()));
  }
  if (name == "index") return index(a);
  if (name == "slice") return cut(a);
  if (name == "printf") return Node(format(a));
  if (name == "html" || name == "js" || name == "urlquery") return Node(escaped(name, a.size() == 1 && a[0].is_string() ? a[0].str() : printed(a, false)));
  if (name == "exists") {
    auto found = index(a);
    return Node(found.ok() && found->exists());
  }
  if (name == "base64decode") {
    auto bytes = base64_decode(a[0].str());
    if (!bytes) return bad_request("base64 decode: illegal base64 data");
    return Node(*bytes);
  }
  return bad_request("not a function of this kubectl");
}

// ---- the walk ----

class Evaluator {
 public:
  explicit Evaluator(const Node& data) { variables_.emplace_back("$", data); }

  enum class Flow : unsigned char { On, Break, Continue };

  Result<Flow> block(const Block& b, const Node& dot) {
    size_t mark = variables_.size();
    Flow flow = Flow::On;
    for (const Item& i : b.items) {
      TRY(flow, item(i, dot));
      if (flow != Flow::On) break;
    }
    variables_.resize(mark);
    return flow;
  }
  std::string out;

 private:
  Result<Flow> item(const Item& i, const Node& dot) {
    if (out.size() > kMaxOutput) return bad_request("the output is larger than 64 MiB");
    if (i.kind == Item::Kind::Text) out += i.text;
    if (i.kind == Item::Kind::Break) return Flow::Break;
    if (i.kind == Item::Kind::Continue) return Flow::Continue;
    if (i.kind == Item::Kind::Text) return Flow::On;
    size_t mark = variables_.size();
    TRY(Node value, pipe(i.pipe, dot, i.kind != Item::Kind::Range));
    Flow flow = Flow::On;
    if (i.kind == Item::Kind::Print) {
      if (i.pipe.variables.empty()) out += shown(value);
      return flow;  // a variable lives until the end of the block
    }
    if (i.kind == Item::Kind::Range) {
      TRY_OK(range(i, value, dot));
    } else if (truth(value)) {
      TRY(flow, block(i.then[0], i.kind == Item::Kind::With ? value : dot));
    } else if (!i.otherwise.empty()) {
      TRY(flow, block(i.otherwise[0], dot));
    }
    variables_.resize(mark);
    return flow;
  }

  Result<> range(const Item& i, const Node& value, const Node& dot) {
    std::vector<std::pair<Node, Node>> rounds;
    if (value.is_array()) {
      for (size_t k = 0; k < value.size(); ++k) rounds.emplace_back(static_cast<int64_t>(k), value.items()[k]);
    } else if (value.is_object()) {
      Node sorted = sorted_keys(value);
      for (const auto& m : sorted.members()) rounds.emplace_back(m.first, m.second);
    } else if (value.is_integer()) {
      for (int64_t k = 0; k < std::min<int64_t>(value.int_or(0), 1'000'000); ++k) rounds.emplace_back(k, Node(k));
    } else if (value.exists() && !value.is_null()) {
      return bad_request("range can't iterate over " + go_text(value));
    }
    for (const auto& [key, element] : rounds) {
      size_t mark = variables_.size();
      const auto& names = i.pipe.variables;
      if (names.size() == 1) assign(names[0], element, i.pipe.declares);
      if (names.size() > 1) assign(names[0], key, i.pipe.declares), assign(names[1], element, i.pipe.declares);
      TRY(Flow flow, block(i.then[0], element));
      variables_.resize(mark);
      if (flow == Flow::Break) break;
    }
    if (rounds.empty() && !i.otherwise.empty()) TRY_OK(block(i.otherwise[0], dot));
    return {};
  }

  void assign(const std::string& name, const Node& value, bool declares) {
    if (!declares)
      for (auto it = variables_.rbegin(); it != variables_.rend(); ++it)
        if (it->first == name) {
          it->second = value;
          return;
        }
    variables_.emplace_back(name, value);
  }

  Result<Node> pipe(const GoPipe& p, const Node& dot, bool assigns) {
    Node value = no_value();
    for (size_t i = 0; i < p.commands.size(); ++i) {
      TRY(value, command(p.commands[i], dot, i ? &value : nullptr));
    }
    if (assigns && !p.variables.empty()) assign(p.variables[0], value, p.declares);
    return value;
  }

  Result<Node> command(const std::vector<GoOperand>& words, const Node& dot, const Node* piped) {
    const GoOperand& first = words[0];
    if (first.kind != GoOperand::Kind::Function) {
      if (words.size() > 1 || piped) return failed(first, "can't give argument to non-function " + first.text);
      return operand(first, dot);
    }
    bool all = first.name == "and", any = first.name == "or";
    Args args;
    Node last = no_value();
    for (size_t i = 1; i < words.size(); ++i) {
      TRY(last, words[i].kind == GoOperand::Kind::Function ? command({words[i]}, dot, nullptr) : operand(words[i], dot));
      if ((all && !truth(last)) || (any && truth(last))) return last;
      args.push_back(last);
    }
    if (piped) args.push_back(*piped), last = *piped;
    if (all || any) return last;
    auto result = call(first.name, args);
    if (!result.ok()) {
      std::vector<std::string> texts;
      for (const GoOperand& w : words) texts.push_back(w.text);
      return failed(first, "error calling " + first.name + ": " + result.status().message(), join(texts, " "));
    }
    return fields(first, std::move(result).value());
  }

  Result<Node> operand(const GoOperand& o, const Node& dot) {
    switch (o.kind) {
      case GoOperand::Kind::Literal: return o.literal;
      case GoOperand::Kind::Dot: return fields(o, dot);
      case GoOperand::Kind::Variable:
        for (auto it = variables_.rbegin(); it != variables_.rend(); ++it)
          if (it->first == o.name) return fields(o, it->second);
        return failed(o, "undefined variable " + json::quoted(o.name));
      case GoOperand::Kind::Pipe: {
        TRY(Node value, pipe(o.pipe[0], dot, true));
        return fields(o, std::move(value));
      }
      case GoOperand::Kind::Function: break;
    }
    return no_value();
  }

  Result<Node> fields(const GoOperand& o, Node value) {
    for (const std::string& f : o.fields) {
      if (!value.exists()) return value;
      if (value.is_null()) return failed(o, "nil pointer evaluating interface {}." + f);
      if (!value.is_object()) return failed(o, "can't evaluate field " + f + " in type " + (value.is_array() ? "[]interface {}" : kind_name(value)));
      value = Node(std::as_const(value).get(f));
    }
    return value;
  }

  static Status failed(const GoOperand& o, const std::string& why, const std::string& command = "") {
    return bad_request("template: output:" + o.where + ": executing \"output\" at <" + (command.empty() ? o.text : command) + ">: " + why);
  }

  std::vector<std::pair<std::string, Node>> variables_;
};

}  // namespace

std::string go_float(double value) {
  char text[64];
  auto done = std::to_chars(text, text + sizeof text, value, std::chars_format::scientific);
  std::string e(text, done.ptr);
  int exponent = static_cast<int>(parse_int(replace_all(e.substr(e.find('e') + 1), "+", "")).value_or(0));
  if (exponent < -4 || exponent >= 21) return e;
  std::string digits = e.substr(0, e.find('e'));
  if (exponent >= 6 && replace_all(replace_all(digits, ".", ""), "-", "").size() <= 21) return e;
  done = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed);
  return std::string(text, done.ptr);
}

std::string go_text(const Node& value) {
  if (value.is_string()) return value.str();
  if (value.is_null() || !value.exists()) return "<nil>";
  if (value.is_number()) return value.is_integer() ? std::to_string(value.int_or(0)) : go_float(value.double_or(0));
  if (value.is_bool()) return value.bool_or(false) ? "true" : "false";
  std::string out;
  if (value.is_array()) {
    for (const Node& x : value.items()) out += (out.empty() ? "" : " ") + go_text(x);
    return "[" + out + "]";
  }
  Node sorted = sorted_keys(value);
  for (const auto& m : sorted.members()) out += (out.empty() ? "" : " ") + m.first + ":" + go_text(m.second);
  return "map[" + out + "]";
}

Result<GoTemplate> GoTemplate::parse(std::string_view text) {
  TRY(Block block, parse_go_template(text));
  GoTemplate out;
  out.root_ = std::make_shared<const Block>(std::move(block));
  return out;
}

Result<> GoTemplate::render(const Node& data, std::string& out) const {
  Evaluator e(data);
  auto done = e.block(*root_, data);
  out = std::move(e.out);
  if (!done.ok()) return done.status();
  return {};
}

}  // namespace k8lite::kubectl
