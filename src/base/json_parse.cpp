// The JSON parser (RFC 8259): text to a tree of nodes, in one pass. Depth is bounded by an option, so recursion is too. Members and items
// of open containers wait on one shared stack each and are moved out at the closing bracket, so that containers are as large as needed.
#include <charconv>
#include <cstring>
#include <unordered_set>

#include "base/json.h"

namespace k8lite::json {

struct NodeParser {
  // Where in the document the parser is, for paths of duplicates; index -1: a member.
  struct Place {
    const Place* up;
    std::string_view key;
    int64_t index;
  };

  const char* const begin;
  const char* at;
  const char* const end;
  const ParseOptions& options;
  std::vector<Node::Member> members;
  std::vector<Node> items;
  const char* wrong = nullptr;  // what is wrong at `at`
  bool too_deep = false;

  NodeParser(std::string_view text, const ParseOptions& o) : begin(text.data()), at(text.data()), end(text.data() + text.size()), options(o) {}

  bool fail(const char* why) {
    if (!wrong) wrong = why;
    return false;
  }
  void skip_space() {
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) ++at;
  }
  bool literal(const char* text, size_t size) {
    if (static_cast<size_t>(end - at) < size || memcmp(at, text, size) != 0) return fail("not a value");
    at += size;
    return true;
  }

  bool value(Node& out, uint32_t depth, const Place* place) {
    skip_space();
    if (at == end) return fail("a value is missing");
    switch (*at) {
      case '{': return object(out, depth, place);
      case '[': return array(out, depth, place);
      case '"':
        out = Node(std::string());
        return string(out.str_);
      case 't': out = Node(true); return literal("true", 4);
      case 'f': out = Node(false); return literal("false", 5);
      case 'n': out = Node(); return literal("null", 4);
      default: return number(out);
    }
  }

  bool object(Node& out, uint32_t depth, const Place* place) {
    if (depth >= options.max_depth) return too_deep = true, fail("too deep");
    ++at;
    size_t from = members.size();
    skip_space();
    if (at < end && *at == '}') {
      ++at;
      out = Node::object();
      return true;
    }
    for (;;) {
      skip_space();
      if (at == end || *at != '"') return fail("the name of a member is missing");
      std::string key;
      if (!string(key)) return false;
      skip_space();
      if (at == end || *at != ':') return fail("a colon is missing after the name of a member");
      ++at;
      Node child;
      Place here{place, key, -1};
      if (!value(child, depth + 1, &here)) return false;
      members.emplace_back(std::move(key), std::move(child));
      skip_space();
      if (at == end || (*at != ',' && *at != '}')) return fail("a comma or } is missing after a member");
      if (*at++ == '}') break;
    }
    out = Node::object();
    auto first = members.begin() + static_cast<ptrdiff_t>(from);
    out.members_.assign(std::make_move_iterator(first), std::make_move_iterator(members.end()));
    members.erase(first, members.end());
    drop_duplicates(out, place);
    return true;
  }

  bool array(Node& out, uint32_t depth, const Place* place) {
    if (depth >= options.max_depth) return too_deep = true, fail("too deep");
    ++at;
    size_t from = items.size();
    skip_space();
    if (at < end && *at == ']') {
      ++at;
      out = Node::array();
      return true;
    }
    for (;;) {
      Node child;
      Place here{place, {}, static_cast<int64_t>(items.size() - from)};
      if (!value(child, depth + 1, &here)) return false;
      items.push_back(std::move(child));
      skip_space();
      if (at == end || (*at != ',' && *at != ']')) return fail("a comma or ] is missing after an element");
      if (*at++ == ']') break;
    }
    out = Node::array();
    auto first = items.begin() + static_cast<ptrdiff_t>(from);
    out.items_.assign(std::make_move_iterator(first), std::make_move_iterator(items.end()));
    items.erase(first, items.end());
    return true;
  }

  // Eight bytes that need no look: neither a quote nor a backslash, nor a control character, nor above ASCII.
  static bool plain(uint64_t w) {
    constexpr uint64_t kOnes = 0x0101010101010101ull, kHighs = 0x8080808080808080ull;
    auto has_zero = [](uint64_t v) { return (v - kOnes) & ~v & kHighs; };
    return ((w & kHighs) | has_zero(w ^ (kOnes * '"')) | has_zero(w ^ (kOnes * '\\')) | ((w - kOnes * 0x20) & ~w & kHighs)) == 0;
  }

  bool string(std::string& out) {
    const char* run = ++at;
    for (;;) {
      uint64_t w;
      while (end - at >= 8 && (memcpy(&w, at, 8), plain(w))) at += 8;
      if (at == end) return fail("a string does not end");
      unsigned char c = static_cast<unsigned char>(*at);
      if (c == '"') {
        out.append(run, at++);
        return true;
      }
      if (c == '\\') {
        out.append(run, at);
        if (!escape(out)) return false;
        run = at;
      } else if (c < 0x20) {
        return fail("a control character in a string");
      } else if (c < 0x80) {
        ++at;
      } else if (!utf8()) {
        return fail("a string is not valid UTF-8");
      }
    }
  }

  // Steps over one character beyond ASCII (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF).
  bool utf8() {
    auto byte = [this](size_t i) { return static_cast<size_t>(end - at) > i ? static_cast<unsigned char>(at[i]) : 0u; };
    auto more = [&byte](size_t i) { return (byte(i) & 0xC0) == 0x80; };
    unsigned a = byte(0), b = byte(1);
    size_t n = 0;
    if (a >= 0xC2 && a <= 0xDF && more(1)) n = 2;
    else if (a >= 0xE0 && a <= 0xEF && more(1) && more(2) && !(a == 0xE0 && b < 0xA0) && !(a == 0xED && b > 0x9F)) n = 3;
    else if (a >= 0xF0 && a <= 0xF4 && more(1) && more(2) && more(3) && !(a == 0xF0 && b < 0x90) && !(a == 0xF4 && b > 0x8F)) n = 4;
    at += n;
    return n > 0;
  }

  bool hex4(uint32_t& out) {
    if (end - at < 4) return fail("an escape does not end");
    auto [p, ec] = std::from_chars(at, at + 4, out, 16);
    if (ec != std::errc() || p != at + 4) return fail("an escape with something else than four hexadecimal digits");
    at += 4;
    return true;
  }

  bool escape(std::string& out) {
    if (end - at < 2) return fail("a string does not end");
    static constexpr char kNames[] = "\"\\/bfnrt", kMeans[] = "\"\\/\b\f\n\r\t";
    const char* name = static_cast<const char*>(memchr(kNames, at[1], sizeof kNames - 1));
    if (name) {
      out += kMeans[name - kNames];
      at += 2;
      return true;
    }
    if (at[1] != 'u') return fail("an unknown escape");
    at += 2;
    uint32_t cp = 0;
    if (!hex4(cp)) return false;
    if (cp >= 0xD800 && cp < 0xE000) {
      uint32_t low = 0;
      if (cp >= 0xDC00 || end - at < 6 || at[0] != '\\' || at[1] != 'u') return fail("half a surrogate pair");
      at += 2;
      if (!hex4(low)) return false;
      if (low < 0xDC00 || low >= 0xE000) return fail("half a surrogate pair");
      cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
    }
    detail::append_utf8(out, cp);
    return true;
  }

  bool number(Node& out) {
    const char* from = at;
    auto digits = [this] {
      const char* first = at;
      while (at < end && *at >= '0' && *at <= '9') ++at;
      return at > first;
    };
    if (*at == '-') ++at;
    const char* first = at;
    if (!digits()) return at = from, fail("not a value");
    if (*first == '0' && at - first > 1) return at = first, fail("a number begins with 0");
    bool integer = true;
    if (at < end && *at == '.') {
      integer = false;
      ++at;
      if (!digits()) return fail("a number has no digits after its point");
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
      integer = false;
      ++at;
      if (at < end && (*at == '+' || *at == '-')) ++at;
      if (!digits()) return fail("a number has no digits in its exponent");
    }
    int64_t i = 0;
    if (integer && std::from_chars(from, at, i).ec == std::errc()) {
      out = Node(i);
      return true;
    }
    double d = 0;
    auto r = std::from_chars(from, at, d);
    // Too small is nothing; too large is an error.
    if (r.ec == std::errc::result_out_of_range) {
      const char* e = static_cast<const char*>(memchr(from, 'e', static_cast<size_t>(at - from)));
      if (!e) e = static_cast<const char*>(memchr(from, 'E', static_cast<size_t>(at - from)));
      if (!e || e[1] != '-') return at = from, fail("a number is too large");
      d = 0;
    }
    out = Node(d);
    return true;
  }

  static void append_path(std::string& out, const Place* place) {
    if (!place) return;
    append_path(out, place->up);
    if (place->index >= 0) out += "[" + std::to_string(place->index) + "]";
    else out.append(out.empty() ? "" : ".").append(place->key);
  }

  // The last of several members with one name wins.
  void drop_duplicates(Node& object, const Place* place) {
    auto& all = object.members_;
    std::vector<bool> drop;
    auto found = [&](size_t earlier) {
      if (drop.empty()) drop.resize(all.size());
      if (drop[earlier]) return;
      drop[earlier] = true;
      if (!options.duplicates) return;
      std::string path;
      append_path(path, place);
      options.duplicates->push_back(path.empty() ? all[earlier].first : path + "." + all[earlier].first);
    };
    if (all.size() <= 12) {
      for (size_t i = 0; i < all.size(); ++i)
        for (size_t j = i + 1; j < all.size(); ++j)
          if (all[i].first == all[j].first) found(i);
    } else {
      std::unordered_set<std::string_view> seen;
      for (size_t i = all.size(); i-- > 0;)
        if (!seen.insert(all[i].first).second) found(i);
    }
    if (drop.empty()) return;
    std::vector<Node::Member> kept;
    for (size_t i = 0; i < all.size(); ++i)
      if (!drop[i]) kept.push_back(std::move(all[i]));
    all = std::move(kept);
  }
};

Result<Node> Node::parse(std::string_view text, ParseOptions options) {
  NodeParser parser(text, options);
  if (text.starts_with("\xEF\xBB\xBF")) parser.at += 3;
  Node root;
  if (parser.value(root, 0, nullptr)) {
    parser.skip_space();
    if (parser.at == parser.end) return root;
    parser.fail("something follows the value");
  }
  if (parser.too_deep) return bad_request("invalid JSON: nested deeper than " + std::to_string(options.max_depth) + " levels");
  return bad_request("invalid JSON at byte " + std::to_string(parser.at - parser.begin) + ": " + parser.wrong);
}

}  // namespace k8lite::json
