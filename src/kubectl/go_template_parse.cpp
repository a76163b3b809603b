// Text is cut at "{{" and "}}"; each action is read by a small recursive parser.
#include "kubectl/go_template_parse.h"

#include <algorithm>
#include <cctype>

#include "base/strings.h"

namespace k8lite::kubectl {

using json::Node;
using Block = GoTemplate::Block;
using Item = Block::Item;

namespace {

constexpr size_t kMaxDepth = 100;

bool letter(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }
constexpr std::string_view kFunctions[] = {"and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len", "index", "slice", "print", "printf", "println", "html", "js", "urlquery", "exists", "base64decode"};

bool blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

Result<std::string> unquote(std::string_view quoted) {
  std::string out;
  for (size_t i = 1; i + 1 < quoted.size(); ++i) {
    if (quoted[i] != '\\') {
      out += quoted[i];
      continue;
    }
    static constexpr std::string_view kFrom = "ntr\\\"'abfv", kTo = "\n\t\r\\\"'\a\b\f\v";
    size_t at = kFrom.find(quoted[++i]);
    if (at == kFrom.npos) return bad_request("invalid syntax");
    out += kTo[at];
  }
  return out;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Block> all() {
    std::string_view end;
    TRY(Block block, block_until(end, 0));
    if (!end.empty()) return error("unexpected {{" + std::string(end) + "}}");
    return block;
  }

 private:
  Status error(const std::string& why) const { return bad_request("template: output:" + std::to_string(line_) + ": " + why); }

  // Plain text up to the next action, trimmed where "{{-" asks for it.
  void take_text(Block& block) {
    size_t open = text_.find("{{", at_);
    std::string piece(text_.substr(at_, open == text_.npos ? open : open - at_));
    bool trimming = open != text_.npos && open + 3 < text_.size() && text_[open + 2] == '-' && blank(text_[open + 3]);
    for (char c : piece) line_ += c == '\n';
    if (trim_next_) piece.erase(0, piece.find_first_not_of(" \t\r\n"));
    trim_next_ = false;
    if (trimming) piece.erase(piece.find_last_not_of(" \t\r\n") + 1);
    at_ = open == text_.npos ? text_.size() : open + 2;
    if (trimming) ++at_;
    if (!piece.empty()) block.items.push_back({Item::Kind::Text, piece, {}, {}, {}});
  }

  // The action's inside, without its braces; strings may hold braces.
  Result<std::string_view> take_action() {
    size_t from = at_;
    for (char quote = 0; at_ < text_.size(); ++at_) {
      char c = text_[at_];
      if (quote) {
        if (c == '\\' && quote == '"') ++at_;
        else if (c == quote) quote = 0;
        continue;
      }
      if (text_.substr(at_).starts_with("}}")) {
        std::string_view out = text_.substr(from, at_ - from);
        at_ += 2;
        if (out.ends_with('-') && (out.size() == 1 || blank(out[out.size() - 2]))) out.remove_suffix(1), trim_next_ = true;
        return out;
      }
      if (c == '"' || c == '`') quote = c;
    }
    return error("unclosed action");
  }

  // Items until "end" or "else ..." (left in `end`) or the end of the text ("").
  Result<Block> block_until(std::string_view& end, size_t depth) {
    if (depth > kMaxDepth) return error("nested too deeply");
    Block block;
    for (;;) {
      take_text(block);
      if (at_ >= text_.size() && !text_.ends_with("{{")) return block;
      TRY(std::string_view action, take_action());
      std::string_view word = trim(action);
      if (word.starts_with("/*")) {
        if (!word.ends_with("*/")) return error("unclosed comment");
        continue;
      }
      size_t cut = 0;
      while (cut < word.size() && letter(word[cut])) ++cut;
      std::string_view rest = trim(word.substr(cut));
      std::string keyword(word.substr(0, cut));
      if (keyword == "end" || keyword == "else") {
        end = word;
        return block;
      }
      Item item{Item::Kind::Print, "", {}, {}, {}};
      if (keyword == "define" || keyword == "template" || keyword == "block") return error("{{" + keyword + "}} is not in this kubectl");
      if (keyword == "break" || keyword == "continue") {
        item.kind = keyword == "break" ? Item::Kind::Break : Item::Kind::Continue;
      } else if (keyword == "if" || keyword == "range" || keyword == "with") {
        item.kind = keyword == "if" ? Item::Kind::If : keyword == "range" ? Item::Kind::Range : Item::Kind::With;
        if (rest.empty()) return error("missing value for " + keyword);
        TRY_OK(take_branches(item, rest, depth));
      } else {
        if (word.empty()) return error("missing value for command");
        TRY(item.pipe, pipe_of(word, false));
      }
      block.items.push_back(std::move(item));
    }
  }

  Result<> take_branches(Item& item, std::string_view condition, size_t depth) {
    TRY(item.pipe, pipe_of(condition, item.kind == Item::Kind::Range));
    std::string_view end;
    TRY(Block then, block_until(end, depth + 1));
    item.then.push_back(std::move(then));
    if (end.empty()) return error("unexpected EOF");
    if (end == "end") return {};
    std::string_view rest = trim(end.substr(4));
    Block otherwise;
    if (rest.empty()) {
      TRY(otherwise, block_until(end, depth + 1));
      if (end != "end") return error(end.empty() ? "unexpected EOF" : "expected end; found {{else}}");
    } else {  // "else if" and "else with" end together with what they stand in
      bool is_if = rest.starts_with("if "), is_with = rest.starts_with("with ");
      if (!is_if && !is_with) return error("unexpected <" + std::string(rest) + "> in else");
      Item inner{is_if ? Item::Kind::If : Item::Kind::With, "", {}, {}, {}};
      TRY_OK(take_branches(inner, trim(rest.substr(is_if ? 3 : 5)), depth + 1));
      otherwise.items.push_back(std::move(inner));
    }
    item.otherwise.push_back(std::move(otherwise));
    return {};
  }

  // ---- pipelines ----

  Result<GoPipe> pipe_of(std::string_view text, bool range) {
    std::string_view rest = text;
    TRY(GoPipe pipe, pipeline(rest, range, 0));
    if (!trim(rest).empty()) return error("unexpected " + json::quoted(std::string(trim(rest))) + " in command");
    return pipe;
  }

  static void skip_blanks(std::string_view& s) {
    while (!s.empty() && blank(s[0])) s.remove_prefix(1);
  }

  static std::string take_name(std::string_view& s) {
    size_t n = 0;
    while (n < s.size() && letter(s[n])) ++n;
    std::string out(s.substr(0, n));
    s.remove_prefix(n);
    return out;
  }

  // "$i, $e :=" or "$x =" in front of a pipeline.
  static void take_variables(std::string_view& s, bool range, GoPipe& pipe) {
    std::string_view probe = s;
    std::vector<std::string> names;
    while (probe.starts_with('$')) {
      probe.remove_prefix(1);
      names.push_back("$" + take_name(probe));
      skip_blanks(probe);
      if (!range || !probe.starts_with(',')) break;
      probe.remove_prefix(1);
      skip_blanks(probe);
    }
    bool declares = probe.starts_with(":=");
    if (names.empty() || (!declares && !(probe.starts_with('=') && !probe.starts_with("==")))) return;
    probe.remove_prefix(declares ? 2 : 1);
    pipe.variables = names;
    pipe.declares = declares;
    s = probe;
  }

  Result<GoPipe> pipeline(std::string_view& s, bool range, size_t depth) {
    if (depth > kMaxDepth) return error("nested too deeply");
    GoPipe pipe;
    skip_blanks(s);
    take_variables(s, range, pipe);
    pipe.commands.emplace_back();
    for (;;) {
      skip_blanks(s);
      if (s.empty() || s[0] == ')') break;
      if (s[0] == '|') {
        s.remove_prefix(1);
        if (pipe.commands.back().empty()) return error("missing value for command");
        pipe.commands.emplace_back();
        continue;
      }
      TRY(GoOperand operand, operand_of(s, depth));
      pipe.commands.back().push_back(std::move(operand));
    }
    if (pipe.commands.back().empty()) return error("missing value for command");
    return pipe;
  }

  Result<GoOperand> operand_of(std::string_view& s, size_t depth) {
    std::string_view start = s;
    GoOperand o;
    auto offset = static_cast<size_t>(start.data() - text_.data());
    std::string_view before = text_.substr(0, offset);
    size_t newline = before.rfind('\n');
    o.where = std::to_string(1 + std::count(before.begin(), before.end(), '\n')) + ":" + std::to_string(newline == before.npos ? offset : offset - newline - 1);
    if (s[0] == '(') {
      s.remove_prefix(1);
      TRY(GoPipe inner, pipeline(s, false, depth + 1));
      if (!s.starts_with(')')) return error("unclosed left paren");
      s.remove_prefix(1);
      o.kind = GoOperand::Kind::Pipe;
      o.pipe.push_back(std::move(inner));
    } else if (s[0] == '"' || s[0] == '`') {
      TRY(o.literal, string_of(s));
      o.kind = GoOperand::Kind::Literal;
    } else if (s[0] == '$') {
      s.remove_prefix(1);
      o.kind = GoOperand::Kind::Variable;
      o.name = "$" + take_name(s);
    } else if (std::isdigit(static_cast<unsigned char>(s[0])) || ((s[0] == '-' || s[0] == '+') && s.size() > 1 && std::isdigit(static_cast<unsigned char>(s[1])))) {
      TRY(o.literal, number_of(s));
      o.kind = GoOperand::Kind::Literal;
    } else if (letter(s[0])) {
      o.name = take_name(s);
      o.kind = o.name == "true" || o.name == "false" || o.name == "nil" ? GoOperand::Kind::Literal : GoOperand::Kind::Function;
      if (o.kind == GoOperand::Kind::Function && std::find(std::begin(kFunctions), std::end(kFunctions), o.name) == std::end(kFunctions)) return error("function " + json::quoted(o.name) + " not defined");
      if (o.name == "true" || o.name == "false") o.literal = Node(o.name == "true");
    } else if (s[0] != '.') {
      return error("unexpected " + json::quoted(std::string(s.substr(0, 1))) + " in command");
    } else if (s.size() == 1 || !letter(s[1])) {
      s.remove_prefix(1);
    }
    while (s.size() > 1 && s[0] == '.' && letter(s[1])) {
      s.remove_prefix(1);
      o.fields.push_back(take_name(s));
    }
    if (s.starts_with('.')) return error("unexpected . after term " + json::quoted(std::string(start.substr(0, start.size() - s.size()))));
    o.text = start.substr(0, start.size() - s.size());
    return o;
  }

  Result<Node> string_of(std::string_view& s) {
    char quote = s[0];
    size_t end = 1;
    while (end < s.size() && s[end] != quote) end += s[end] == '\\' && quote == '"' ? 2 : 1;
    if (end >= s.size()) return error(quote == '"' ? "unterminated quoted string" : "unterminated raw quoted string");
    std::string_view whole = s.substr(0, end + 1);
    s.remove_prefix(end + 1);
    if (quote == '`') return Node(std::string(whole.substr(1, whole.size() - 2)));
    auto text = unquote(whole);
    if (!text.ok()) return error(text.status().message());
    return Node(*text);
  }

  Result<Node> number_of(std::string_view& s) {
    size_t n = 1;
    while (n < s.size() && (letter(s[n]) || s[n] == '.')) ++n;
    std::string text(s.substr(0, n));
    s.remove_prefix(n);
    if (auto whole = parse_int(text[0] == '+' ? std::string_view(text).substr(1) : text)) return Node(*whole);
    char* end = nullptr;
    double d = std::strtod(text.c_str(), &end);
    if (*end) return error("bad number syntax: " + json::quoted(text));
    return Node(d);
  }

  std::string_view text_;
  size_t at_ = 0;
  int line_ = 1;
  bool trim_next_ = false;
};

}  // namespace

Result<Block> parse_go_template(std::string_view text) { return Parser(text).all(); }

}  // namespace k8lite::kubectl
