#include "base/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>

#include "base/strings.h"

namespace k8lite {
namespace {

using json::Node;

constexpr size_t kMaxDepth = 512;
constexpr size_t kAliasGrowth = 16;
constexpr size_t kAliasFloor = 1 << 20;

bool one_of(std::string_view text, std::initializer_list<std::string_view> list) { return std::find(list.begin(), list.end(), text) != list.end(); }

std::optional<Node> as_number(std::string_view text) {
  std::string digits;
  for (char c : text)
    if (c != '_') digits += c;
  bool negative = !digits.empty() && digits[0] == '-';
  std::string_view body = digits;
  if (!body.empty() && (body[0] == '-' || body[0] == '+')) body.remove_prefix(1);
  if (body.empty()) return {};
  int base = 10;
  if (body.starts_with("0x") || body.starts_with("0X")) base = 16, body.remove_prefix(2);
  else if (body.starts_with("0o")) base = 8, body.remove_prefix(2);
  else if (body.starts_with("0b")) base = 2, body.remove_prefix(2);
  else if (body.size() > 1 && body[0] == '0' && body.find_first_not_of("01234567") == body.npos) base = 8, body.remove_prefix(1);  // YAML 1.1
  if (body.empty()) return {};
  std::string_view allowed = base == 16 ? "0123456789abcdefABCDEF" : base == 10 ? "0123456789" : base == 8 ? "01234567" : "01";
  if (body.find_first_not_of(allowed) == body.npos) {
    errno = 0;
    char* end = nullptr;
    long long v = std::strtoll(((negative ? "-" : "") + std::string(body)).c_str(), &end, base);
    if (errno == 0) return Node(v);
    if (base != 10) return {};
  }
  if (base != 10) return {};
  if (one_of(body, {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"})) return {};  // no JSON value: stays a text
  if (body.find_first_not_of("0123456789.eE+-") != body.npos || body.find_first_of("0123456789") == body.npos) return {};
  if (!std::isdigit(static_cast<unsigned char>(body[0])) && body[0] != '.') return {};
  char* end = nullptr;
  double d = std::strtod(digits.c_str(), &end);
  if (*end || !std::isfinite(d)) return {};
  return Node(d);
}

Node resolve_plain(const std::string& text) {
  if (one_of(text, {"", "~", "null", "Null", "NULL"})) return Node();
  if (one_of(text, {"y", "Y", "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"})) return Node(true);
  if (one_of(text, {"n", "N", "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"})) return Node(false);
  if (auto n = as_number(text)) return *n;
  return Node(text);
}

struct Refused {
  std::string why;
  YAML::Mark mark;
};

// Builds a Node from the parser's events.
class Builder : public YAML::EventHandler {
 public:
  explicit Builder(size_t budget) : budget_(budget) {}

  void OnDocumentStart(const YAML::Mark& mark) override { line_ = mark.line + 1; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { value(mark, anchor, Node()); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto it = anchors_.find(anchor);
    if (it == anchors_.end()) throw Refused{"an alias inside of its own anchor", mark};
    size_t size = it->second.dump().size();
    if (size > budget_) throw Refused{"aliases blow the document up beyond its limit", mark};
    budget_ -= size;
    value(mark, 0, it->second);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& text) override {
    bool plain = tag == "?" || tag.empty();
    if (wants_key()) {
      frames_.back().key = text;
      frames_.back().has_key = true;
      frames_.back().merge = plain && text == "<<";
      if (anchor) anchors_[anchor] = Node(text);
      return;
    }
    if (tag == "tag:yaml.org,2002:str" || tag == "!") return value(mark, anchor, Node(text));
    if (tag == "tag:yaml.org,2002:binary") return value(mark, anchor, Node(text));
    value(mark, anchor, resolve_plain(text));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override { open(mark, anchor, Node::array()); }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override { open(mark, anchor, Node::object()); }
  void OnMapEnd() override { close(); }

  YamlDocument take() { return {std::move(root_), std::move(duplicates_), line_}; }

 private:
  struct Frame {
    Node node;
    YAML::anchor_t anchor;
    YAML::Mark mark;
    std::string key;
    bool has_key = false, merge = false;
    std::vector<std::string> merged = {};  // keys that came from a merge key: the mapping's own win over them
    bool came_by_merge(const std::string& k) const { return std::find(merged.begin(), merged.end(), k) != merged.end(); }
  };
  bool wants_key() const { return !frames_.empty() && frames_.back().node.is_object() && !frames_.back().has_key; }

  void open(const YAML::Mark& mark, YAML::anchor_t anchor, Node node) {
    if (frames_.size() >= kMaxDepth) throw Refused{"nested deeper than " + std::to_string(kMaxDepth) + " levels", mark};
    if (wants_key()) throw Refused{"a mapping key must be a text", mark};
    frames_.push_back({std::move(node), anchor, mark, {}, false, false});
  }
  void close() {
    Frame f = std::move(frames_.back());
    frames_.pop_back();
    value(f.mark, f.anchor, std::move(f.node));
  }
  std::string path(const std::string& key) const {
    std::string out;
    for (const Frame& f : frames_) {
      if (&f == &frames_.back()) break;
      if (f.node.is_object()) out += f.key + ".";
      else if (!out.empty()) out.back() = '[', out += std::to_string(f.node.size()) + "].";
    }
    return out + key;
  }
  void value(const YAML::Mark& mark, YAML::anchor_t anchor, Node node) {
    if (anchor) anchors_[anchor] = node;
    if (frames_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& f = frames_.back();
    if (f.node.is_array()) {
      f.node.append(std::move(node));
      return;
    }
    if (!f.has_key) throw Refused{"a mapping key must be a text", mark};
    f.has_key = false;
    if (f.merge) return merge(f, node, mark);
    if (f.node.find(f.key) && !f.came_by_merge(f.key)) duplicates_.push_back(path(f.key));
    f.node.set(f.key, std::move(node));
  }
  static void merge(Frame& f, const Node& node, const YAML::Mark& mark) {
    if (node.is_array()) {
      for (const Node& n : node.items()) merge(f, n, mark);
      return;
    }
    if (!node.is_object()) throw Refused{"a merge key (<<) wants a mapping", mark};
    for (const auto& [k, v] : node.members())
      if (!f.node.find(k)) f.node.set(k, v), f.merged.push_back(k);
  }

  size_t budget_;
  int line_ = 1;
  Node root_;
  std::vector<Frame> frames_;
  std::map<YAML::anchor_t, Node> anchors_;
  std::vector<std::string> duplicates_;
};

Status located(std::string_view name, const YAML::Mark& mark, std::string why) {
  std::string out(name);
  if (!mark.is_null()) out += ": line " + std::to_string(mark.line + 1) + ", column " + std::to_string(mark.column + 1);
  return bad_request(out + ": " + why);
}

// ---- printing ----

void emit(const Node& n, size_t indent, std::string& out);

bool printable(const std::string& s) {  // a tab is none: YAML 1.1 tools disagree about it
  return std::none_of(s.begin(), s.end(), [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7f; });
}

bool all_of(std::string_view s, std::string_view set) { return s.find_first_not_of(set) == s.npos; }

// "2026-11-21", with or without a time behind it.
bool like_a_date(std::string_view s) { return s.size() >= 8 && all_of(s.substr(0, 4), "0123456789") && s[4] == '-' && all_of(s, "0123456789-:.+ TtZ"); }

// "1:30" counts sixties in YAML 1.1.
bool like_base_60(std::string_view s) { return s.find(':') != s.npos && !s.empty() && (std::isdigit(static_cast<unsigned char>(s[0])) || ((s[0] == '-' || s[0] == '+') && s.size() > 1)) && all_of(s.substr(1), "0123456789_:."); }

// Would a bare text be read as something else than itself?
bool ambiguous(const std::string& s) {
  std::string_view unsigned_part(s);
  if (!s.empty() && (s[0] == '-' || s[0] == '+')) unsigned_part.remove_prefix(1);
  bool special = unsigned_part == ".inf" || unsigned_part == ".Inf" || unsigned_part == ".INF" || s == ".nan" || s == ".NaN" || s == ".NAN";
  return special || !resolve_plain(s).is_string() || like_a_date(s) || like_base_60(s);
}

// Characters with a meaning of their own where they stand.
bool needs_quotes(const std::string& s) {
  if (s.front() == ' ' || s.back() == ' ' || s.starts_with("---") || s.starts_with("...")) return true;
  auto blank_at = [&s](size_t i) { return i >= s.size() || s[i] == ' '; };
  if (std::string_view("#,[]{}&*!|>'\"%@`").find(s.front()) != std::string_view::npos) return true;
  if ((s.front() == '-' || s.front() == '?') && blank_at(1)) return true;
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] == ':' && blank_at(i + 1)) return true;
    if (s[i] == '#' && i > 0 && s[i - 1] == ' ') return true;
  }
  return false;
}

constexpr size_t kWidth = 80;

// Long texts go on in the next line at one of their single spaces, once the line is wider than this. The space at `at` is such a place?
bool folds(const std::string& s, size_t at, const std::string& out) {
  if (s[at] != ' ' || at == 0 || at + 1 >= s.size() || s[at - 1] == ' ' || s[at + 1] == ' ') return false;
  size_t line = out.rfind('\n') + 1, width = 0;  // npos + 1 is 0
  for (size_t i = line; i < out.size(); ++i) width += (static_cast<unsigned char>(out[i]) & 0xC0) != 0x80;
  return width > kWidth;
}

void emit_folded(const std::string& s, size_t indent, bool key, char quote, std::string& out) {
  if (quote) out += quote;
  for (size_t i = 0; i < s.size(); ++i) {
    if (!key && folds(s, i, out)) out.append(1, '\n').append(indent, ' ');
    else out.append(s[i] == quote ? 2 : 1, s[i]);
  }
  if (quote) out += quote;
}

void emit_double_quoted(const std::string& s, size_t indent, bool key, std::string& out) {
  out += '"';
  for (size_t i = 0; i < s.size(); ++i) {
    char c = s[i];
    if (!key && folds(s, i, out)) {
      out.append(1, '\n').append(indent, ' ');
      continue;
    }
    static constexpr std::string_view kFrom = "\"\\\a\b\t\n\v\f\r\x1b", kTo = "\"\\abtnvfre";
    size_t at = kFrom.find(c);
    if (at != kFrom.npos) out.append(1, '\\').append(1, kTo[at]);
    else if (c == '\0') out += "\\0";
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) out += "\\x" + to_hex(std::string_view(&c, 1));
    else out += c;
  }
  out += '"';
}

// Lines of a block: "|" with how its end is kept.
void emit_literal(const std::string& s, size_t indent, std::string& out) {
  out += '|';
  if (s.front() == ' ' || s.front() == '\n') out += '2';
  bool ends = s.back() == '\n';
  out += !ends ? "-" : s.size() == 1 || s[s.size() - 2] == '\n' ? "+" : "";
  out += '\n';
  std::string_view body(s);
  if (ends) body.remove_suffix(1);
  for (auto line : split(body, '\n')) {
    if (!line.empty()) out.append(indent, ' ').append(line);
    out += '\n';
  }
  out.pop_back();
}

// As go-yaml chooses: blocks for several lines, double quotes where a bare text would mean something else, single quotes where it
// could not be read. A text that is the whole document stands at the margin, where a block could hold lines that begin a document.
void emit_string(const std::string& s, size_t indent, bool key, std::string& out) {
  bool lines = s.find('\n') != s.npos, blockable = printable(s) && !s.ends_with(' ') && s.find(" \n") == s.npos;
  if (lines && blockable && !key && indent > 0) emit_literal(s, indent, out);
  else if (lines || !printable(s) || ambiguous(s)) emit_double_quoted(s, indent, key, out);
  else if (needs_quotes(s)) emit_folded(s, indent, key, '\'', out);
  else emit_folded(s, indent, key, '\0', out);
}

// A value behind "key:" or "- ".
void emit_inline_or_block(const Node& n, size_t indent, bool after_key, std::string& out) {
  if (n.is_object() && n.size()) {
    if (after_key) out += '\n', out.append(indent + 2, ' ');
    emit(n, indent + 2, out);
  } else if (n.is_array() && n.size()) {
    if (after_key) out += '\n', out.append(indent, ' ');
    emit(n, after_key ? indent : indent + 2, out);
  } else {
    if (after_key) out += ' ';
    emit(n, indent + 2, out);
  }
}

// Starts at the current column, which is `indent`; ends without a line break.
void emit(const Node& n, size_t indent, std::string& out) {
  if (n.is_object() && n.size()) {
    std::vector<const Node::Member*> sorted;
    for (const auto& m : n.members()) sorted.push_back(&m);
    std::stable_sort(sorted.begin(), sorted.end(), [](auto* a, auto* b) { return a->first < b->first; });
    bool first = true;
    for (const auto* m : sorted) {
      if (!first) out += '\n', out.append(indent, ' ');
      first = false;
      emit_string(m->first, indent + 2, true, out);
      out += ':';
      emit_inline_or_block(m->second, indent, true, out);
    }
  } else if (n.is_array() && n.size()) {
    bool first = true;
    for (const Node& item : n.items()) {
      if (!first) out += '\n', out.append(indent, ' ');
      first = false;
      out += "- ";
      emit_inline_or_block(item, indent, false, out);
    }
  } else if (n.is_string()) {
    emit_string(n.str(), indent, false, out);
  } else {
    out += n.is_object() ? "{}" : n.is_array() ? "[]" : n.dump();
  }
}

}  // namespace

namespace {

// Where the first byte is that is not UTF-8 (RFC 3629), or npos. The parser below would hand such bytes on, and no client could read them.
size_t find_bad_utf8(std::string_view text) {
  auto byte = [&text](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  for (size_t i = 0; i < text.size();) {
    unsigned a = byte(i), b = byte(i + 1);
    auto more = [&byte, i](size_t n) { return (byte(i + n) & 0xC0) == 0x80; };
    if (a < 0x80 && a != 0) i += 1;  // a NUL would make the parser take the text for UTF-16 or UTF-32
    else if (a >= 0xC2 && a <= 0xDF && more(1)) i += 2;
    else if (a >= 0xE0 && a <= 0xEF && more(1) && more(2) && !(a == 0xE0 && b < 0xA0) && !(a == 0xED && b > 0x9F)) i += 3;
    else if (a >= 0xF0 && a <= 0xF4 && more(1) && more(2) && more(3) && !(a == 0xF0 && b < 0x90) && !(a == 0xF4 && b > 0x8F)) i += 4;
    else return i;
  }
  return text.npos;
}

// Every document but the first comes after one of these.
size_t count_separators(std::string_view text) {
  size_t n = 0;
  for (std::string_view mark : {"---", "..."})
    for (size_t at = text.find(mark); at != text.npos; at = text.find(mark, at + mark.size())) ++n;
  return n;
}

}  // namespace

Result<std::vector<YamlDocument>> parse_yaml(std::string_view text, std::string_view name) {
  std::vector<YamlDocument> out;
  if (size_t bad = find_bad_utf8(text); bad != text.npos)
    return bad_request(std::string(name) + ": line " + std::to_string(std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(bad), '\n') + 1) + ": the text is not valid UTF-8");
  try {
    std::istringstream in{std::string(text)};
    YAML::Parser parser(in);
    // The parser does not step over some characters that begin nothing, and finds empty documents there for ever.
    for (size_t most = count_separators(text) + 1;; --most) {
      Builder builder(text.size() * kAliasGrowth + kAliasFloor);
      if (!parser.HandleNextDocument(builder)) break;
      if (most == 0) return bad_request(std::string(name) + ": a character that begins neither a value nor a document");
      out.push_back(builder.take());
    }
  } catch (const Refused& e) {
    return located(name, e.mark, e.why);
  } catch (const YAML::Exception& e) {
    return located(name, e.mark, e.msg);
  } catch (const std::exception& e) {
    return bad_request(std::string(name) + ": " + e.what());
  }
  return out;
}

std::string dump_yaml(const Node& value) {
  std::string out;
  emit(value, 0, out);
  return out + "\n";
}

}  // namespace k8lite
