// See json.h: a recursive parser with a depth limit, and a printer.
#include "runc/json.h"

#include <stdlib.h>
#include <string.h>

namespace k8lite::runc {
namespace {
constexpr int kMaxDepth = 128;
const Json kMissing;
const std::string kEmpty;

void append_utf8(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 63));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | (c >> 12));
    out += static_cast<char>(0x80 | ((c >> 6) & 63));
    out += static_cast<char>(0x80 | (c & 63));
  } else {
    out += static_cast<char>(0xf0 | (c >> 18));
    out += static_cast<char>(0x80 | ((c >> 12) & 63));
    out += static_cast<char>(0x80 | ((c >> 6) & 63));
    out += static_cast<char>(0x80 | (c & 63));
  }
}
}  // namespace

struct JsonParser {
  std::string_view in;
  size_t at = 0;
  const char* wrong = nullptr;

  void space() {
    while (at < in.size() && (in[at] == ' ' || in[at] == '\n' || in[at] == '\t' || in[at] == '\r')) ++at;
  }
  bool fail(const char* why) {
    if (!wrong) wrong = why;
    return false;
  }
  bool eat(char c) {
    space();
    if (at >= in.size() || in[at] != c) return false;
    ++at;
    return true;
  }
  bool hex(uint32_t& out) {
    out = 0;
    if (in.size() - at < 4) return fail("a cut escape");
    for (int i = 0; i < 4; ++i) {
      char c = in[at++];
      int v = c >= '0' && c <= '9'   ? c - '0'
              : c >= 'a' && c <= 'f' ? c - 'a' + 10
              : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                     : -1;
      if (v < 0) return fail("a wrong escape");
      out = out * 16 + static_cast<uint32_t>(v);
    }
    return true;
  }
  bool escape(std::string& out) {
    if (at >= in.size()) return fail("a cut string");
    char c = in[at++];
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (const char* p = static_cast<const char*>(memchr(from, c, 8))) return out += to[p - from], true;
    if (c != 'u') return fail("a wrong escape");
    uint32_t code = 0, low = 0;
    if (!hex(code)) return false;
    if (code >= 0xd800 && code < 0xdc00 && in.substr(at, 2) == "\\u") {
      at += 2;
      if (!hex(low)) return false;
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    append_utf8(out, code);
    return true;
  }
  bool string(std::string& out) {
    if (!eat('"')) return fail("a string is expected");
    for (;;) {
      size_t end = at;
      while (end < in.size() && in[end] != '"' && in[end] != '\\' && static_cast<unsigned char>(in[end]) >= 0x20) ++end;
      out.append(in.substr(at, end - at));
      at = end;
      if (at >= in.size()) return fail("a string without end");
      char c = in[at++];
      if (c == '"') return true;
      if (c != '\\') return fail("a control character in a string");
      if (!escape(out)) return false;
    }
  }
  bool word(std::string_view text, Json& out, Json::Kind kind) {
    if (in.substr(at, text.size()) != text) return fail("an unknown word");
    at += text.size();
    out.kind_ = kind;
    out.text_ = text;
    return true;
  }
  bool object(Json& out, int depth) {
    out.kind_ = Json::Kind::Object;
    if (eat('}')) return true;
    do {
      std::string key;
      space();
      if (!string(key)) return false;
      if (!eat(':')) return fail("':' is expected");
      Json value_of;
      if (!value(value_of, depth + 1)) return false;
      out.members_.emplace_back(std::move(key), std::move(value_of));
    } while (eat(','));
    return eat('}') || fail("'}' is expected");
  }
  bool array(Json& out, int depth) {
    out.kind_ = Json::Kind::Array;
    if (eat(']')) return true;
    do {
      out.items_.emplace_back();
      if (!value(out.items_.back(), depth + 1)) return false;
    } while (eat(','));
    return eat(']') || fail("']' is expected");
  }
  bool value(Json& out, int depth) {
    if (depth > kMaxDepth) return fail("nested too deeply");
    space();
    if (at >= in.size()) return fail("unexpected end of JSON input");
    char c = in[at];
    if (c == '{') return ++at, object(out, depth);
    if (c == '[') return ++at, array(out, depth);
    if (c == '"') return out.kind_ = Json::Kind::String, string(out.text_);
    if (c == 't') return word("true", out, Json::Kind::Bool);
    if (c == 'f') return word("false", out, Json::Kind::Bool);
    if (c == 'n') return word("null", out, Json::Kind::Null);
    size_t end = at;
    while (end < in.size() && strchr("+-.0123456789eE", in[end]) && in[end]) ++end;
    if (end == at || (c != '-' && (c < '0' || c > '9'))) return fail("an unexpected character");
    out.kind_ = Json::Kind::Number;
    out.text_ = in.substr(at, end - at);
    at = end;
    return true;
  }
};

std::string Json::parse(std::string_view text, Json& out) {
  JsonParser p{text};
  out = Json();
  bool good = p.value(out, 0);
  p.space();
  if (good && p.at != text.size()) p.fail("something behind the end");
  return p.wrong ? std::string(p.wrong) + " at byte " + std::to_string(p.at) : "";
}

const Json& Json::operator[](std::string_view key) const {
  for (auto m = members_.rbegin(); m != members_.rend(); ++m)
    if (m->first == key) return m->second;
  return kMissing;
}
const std::string& Json::str() const { return is_string() ? text_ : kEmpty; }
int64_t Json::int_or(int64_t otherwise) const {
  return kind_ == Kind::Number ? strtoll(text_.c_str(), nullptr, 10) : otherwise;
}
uint64_t Json::uint_or(uint64_t otherwise) const {
  return kind_ == Kind::Number ? strtoull(text_.c_str(), nullptr, 10) : otherwise;
}

std::vector<std::string> Json::strings() const {
  std::vector<std::string> out;
  for (const Json& j : items_) out.push_back(j.str());
  return out;
}

Json& Json::set(std::string_view key, Json value) {
  if (kind_ != Kind::Object) *this = object();
  for (auto& m : members_)
    if (m.first == key) return m.second = std::move(value), *this;
  members_.emplace_back(std::string(key), std::move(value));
  return *this;
}
Json& Json::append(Json value) {
  if (kind_ != Kind::Array) *this = array();
  items_.push_back(std::move(value));
  return *this;
}

std::string quoted(std::string_view text) {
  static const char digits[] = "0123456789abcdef";
  std::string out = "\"";
  for (char c : text) {
    auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      out += '\\', out += c;
    else if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else if (c == '\r')
      out += "\\r";
    else if (u < 0x20)
      out += "\\u00", out += digits[u >> 4], out += digits[u & 15];
    else
      out += c;
  }
  return out += '"';
}

void Json::dump_to(std::string& out, int depth, bool pretty) const {
  auto line = [&out, pretty](int n) {
    if (pretty) out += '\n', out.append(static_cast<size_t>(n) * 2, ' ');
  };
  bool first = true;
  switch (kind_) {
    case Kind::Missing:
    case Kind::Null:
      out += "null";
      return;
    case Kind::Bool:
    case Kind::Number:
      out += text_;
      return;
    case Kind::String:
      out += quoted(text_);
      return;
    case Kind::Array:
      out += '[';
      for (const Json& j : items_) {
        if (!first) out += ',';
        first = false;
        line(depth + 1);
        j.dump_to(out, depth + 1, pretty);
      }
      if (!first) line(depth);
      out += ']';
      return;
    case Kind::Object:
      out += '{';
      for (const auto& m : members_) {
        if (!first) out += ',';
        first = false;
        line(depth + 1);
        out += quoted(m.first);
        out += pretty ? ": " : ":";
        m.second.dump_to(out, depth + 1, pretty);
      }
      if (!first) line(depth);
      out += '}';
  }
}
std::string Json::dump(bool pretty) const {
  std::string out;
  dump_to(out, 0, pretty);
  return out;
}

}  // namespace k8lite::runc
