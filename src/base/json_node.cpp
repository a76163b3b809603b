// Node: the mutable tree, its parser (RapidJSON's iterative SAX reader, so depth costs heap, not stack) and its writer.
#include <charconv>
#include <cmath>
#include <unordered_set>

#include "base/json.h"
#define RAPIDJSON_HAS_STDSTRING 0
#include <rapidjson/error/en.h>
#include <rapidjson/reader.h>

namespace k8lite::json {

const Node& Node::missing() {
  static const Node node = [] {
    Node n;
    n.kind_ = Kind::Missing;
    return n;
  }();
  return node;
}

Node Node::obj(std::initializer_list<std::pair<std::string_view, Node>> members) {
  Node n = object();
  for (const auto& [k, v] : members) n.members_.emplace_back(std::string(k), v);
  return n;
}

Node Node::arr(std::initializer_list<Node> items) {
  Node n = array();
  n.items_.assign(items.begin(), items.end());
  return n;
}

bool Node::empty() const {
  switch (kind_) {
    case Kind::Missing:
    case Kind::Null: return true;
    case Kind::String: return str_.empty();
    case Kind::Array: return items_.empty();
    case Kind::Object: return members_.empty();
    default: return false;
  }
}

size_t Node::size() const { return is_array() ? items_.size() : is_object() ? members_.size() : 0; }

int64_t Node::int_or(int64_t otherwise) const {
  if (!is_number()) return otherwise;
  return is_double_ ? static_cast<int64_t>(num_.d) : num_.i;
}

double Node::double_or(double otherwise) const {
  if (!is_number()) return otherwise;
  return is_double_ ? num_.d : static_cast<double>(num_.i);
}

Node* Node::find(std::string_view key) {
  for (auto& m : members_)
    if (m.first == key) return &m.second;
  return nullptr;
}

const Node* Node::find(std::string_view key) const { return const_cast<Node*>(this)->find(key); }

const Node& Node::get(std::string_view key) const {
  const Node* n = find(key);
  return n ? *n : missing();
}

Node& Node::operator[](std::string_view key) {
  if (kind_ != Kind::Object) *this = object();
  if (Node* n = find(key)) return *n;
  return members_.emplace_back(std::string(key), Node()).second;
}

const Node& Node::path(std::string_view dotted) const {
  const Node* n = this;
  while (!dotted.empty()) {
    size_t dot = dotted.find('.');
    n = n->find(dotted.substr(0, dot));
    if (!n) return missing();
    dotted = dot == dotted.npos ? std::string_view() : dotted.substr(dot + 1);
  }
  return *n;
}

bool Node::erase(std::string_view key) {
  for (auto it = members_.begin(); it != members_.end(); ++it)
    if (it->first == key) {
      members_.erase(it);
      return true;
    }
  return false;
}

Node& Node::append(Node value) {
  if (kind_ != Kind::Array) *this = array();
  return items_.emplace_back(std::move(value));
}

bool Node::operator==(const Node& o) const {
  if (kind_ != o.kind_) return false;
  switch (kind_) {
    case Kind::Bool: return num_.i == o.num_.i;
    case Kind::Number:
      if (!is_double_ && !o.is_double_) return num_.i == o.num_.i;
      return double_or(0) == o.double_or(0);
    case Kind::String: return str_ == o.str_;
    case Kind::Array: return items_ == o.items_;
    case Kind::Object:
      if (members_.size() != o.members_.size()) return false;
      for (size_t i = 0; i < members_.size(); ++i) {
        const auto& [key, value] = members_[i];
        const Node* other = o.members_[i].first == key ? &o.members_[i].second : o.find(key);
        if (!other || !(value == *other)) return false;
      }
      return true;
    default: return true;
  }
}

// SAX target; keeps a stack of pointers to the open containers. Pointers stay valid: only the innermost container grows.
struct NodeBuilder {
  Node root;
  std::vector<Node*> open;
  std::vector<std::string> keys;  // name of each open container, for paths of duplicates
  std::string key;
  const ParseOptions& options;
  bool too_deep = false;

  explicit NodeBuilder(const ParseOptions& o) : options(o) {}

  Node* place(Node value) {
    if (open.empty()) {
      root = std::move(value);
      return &root;
    }
    Node& parent = *open.back();
    if (parent.is_array()) return &parent.items_.emplace_back(std::move(value));
    return &parent.members_.emplace_back(std::move(key), std::move(value)).second;
  }
  bool start(Node value) {
    if (open.size() >= options.max_depth) {
      too_deep = true;
      return false;
    }
    std::string name = open.empty() ? "" : open.back()->is_array() ? "[" + std::to_string(open.back()->items_.size()) + "]" : key;
    open.push_back(place(std::move(value)));
    keys.push_back(std::move(name));
    return true;
  }
  bool end() {
    open.pop_back();
    keys.pop_back();
    return true;
  }
  bool end_object() {
    drop_duplicates(*open.back());
    return end();
  }
  void drop_duplicates(Node& object) {
    auto& members = object.members_;
    std::vector<bool> drop(members.size());
    bool any = false;
    auto found = [&](size_t earlier) {
      if (drop[earlier]) return;
      drop[earlier] = any = true;
      if (!options.duplicates) return;
      std::string path;
      for (const auto& k : keys) {
        if (!path.empty() && !k.empty() && k[0] != '[') path += '.';
        path += k;
      }
      options.duplicates->push_back(path.empty() ? members[earlier].first : path + "." + members[earlier].first);
    };
    if (members.size() <= 12) {
      for (size_t i = 0; i < members.size(); ++i)
        for (size_t j = i + 1; j < members.size(); ++j)
          if (members[i].first == members[j].first) found(i);
    } else {
      std::unordered_set<std::string_view> seen;
      for (size_t i = members.size(); i-- > 0;)
        if (!seen.insert(members[i].first).second) found(i);
    }
    if (!any) return;
    std::vector<Node::Member> kept;
    for (size_t i = 0; i < members.size(); ++i)
      if (!drop[i]) kept.push_back(std::move(members[i]));
    members = std::move(kept);
  }

  bool Null() { return place({}), true; }
  bool Bool(bool b) { return place(b), true; }
  bool Int(int i) { return place(static_cast<int64_t>(i)), true; }
  bool Uint(unsigned i) { return place(static_cast<int64_t>(i)), true; }
  bool Int64(int64_t i) { return place(i), true; }
  bool Uint64(uint64_t i) {
    if (i > INT64_MAX) place(static_cast<double>(i));
    else place(static_cast<int64_t>(i));
    return true;
  }
  bool Double(double d) { return place(d), true; }
  bool RawNumber(const char*, unsigned, bool) { return false; }
  bool String(const char* s, unsigned n, bool) { return place(std::string(s, n)), true; }
  bool Key(const char* s, unsigned n, bool) {
    key.assign(s, n);
    return true;
  }
  bool StartObject() { return start(Node::object()); }
  bool EndObject(unsigned) { return end_object(); }
  bool StartArray() { return start(Node::array()); }
  bool EndArray(unsigned) { return end(); }
};

Result<Node> Node::parse(std::string_view text, ParseOptions options) {
  namespace rj = rapidjson;
  NodeBuilder builder(options);
  rj::MemoryStream memory(text.data(), text.size());
  rj::EncodedInputStream<rj::UTF8<>, rj::MemoryStream> stream(memory);
  rj::Reader reader;
  constexpr unsigned kFlags = rj::kParseIterativeFlag | rj::kParseValidateEncodingFlag | rj::kParseFullPrecisionFlag;
  auto r = reader.Parse<kFlags>(stream, builder);
  if (builder.too_deep)
    return bad_request("invalid JSON: nested deeper than " + std::to_string(options.max_depth) + " levels");
  if (r.IsError()) {
    std::string why = rj::GetParseError_En(r.Code());
    if (!why.empty() && why.back() == '.') why.pop_back();
    return bad_request("invalid JSON at byte " + std::to_string(r.Offset()) + ": " + why);
  }
  return std::move(builder.root);
}

void append_quoted(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  size_t from = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned char c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, from, i - from);
    from = i + 1;
    out += '\\';
    switch (c) {
      case '"': out += '"'; break;
      case '\\': out += '\\'; break;
      case '\n': out += 'n'; break;
      case '\t': out += 't'; break;
      case '\r': out += 'r'; break;
      default:
        out += "u00";
        out += kHex[c >> 4];
        out += kHex[c & 15];
    }
  }
  out.append(text, from);
  out += '"';
}

std::string quoted(std::string_view text) {
  std::string out;
  append_quoted(out, text);
  return out;
}

std::string number_text(double d) {
  if (!std::isfinite(d)) return "null";
  char buf[40];
  double a = std::fabs(d);
  bool exponent = a != 0 && (a < 1e-6 || a >= 1e21);
  auto r = std::to_chars(buf, buf + sizeof buf, d, exponent ? std::chars_format::scientific : std::chars_format::fixed);
  return std::string(buf, r.ptr);
}

void Node::dump_to(std::string& out) const {
  switch (kind_) {
    case Kind::Missing:
    case Kind::Null: out += "null"; break;
    case Kind::Bool: out += num_.i ? "true" : "false"; break;
    case Kind::Number:
      if (is_double_) {
        out += number_text(num_.d);
      } else {
        char buf[24];
        out.append(buf, std::to_chars(buf, buf + sizeof buf, num_.i).ptr);
      }
      break;
    case Kind::String: append_quoted(out, str_); break;
    case Kind::Array: {
      out += '[';
      bool first = true;
      for (const auto& n : items_) {
        if (!first) out += ',';
        first = false;
        n.dump_to(out);
      }
      out += ']';
      break;
    }
    case Kind::Object: {
      out += '{';
      bool first = true;
      for (const auto& [key, value] : members_) {
        if (!first) out += ',';
        first = false;
        append_quoted(out, key);
        out += ':';
        value.dump_to(out);
      }
      out += '}';
      break;
    }
  }
}

std::string Node::dump() const {
  std::string out;
  dump_to(out);
  return out;
}

namespace {
void pretty(const Node& n, std::string& out, int indent, int depth) {
  auto line = [&](int d) {
    out += '\n';
    out.append(static_cast<size_t>(indent) * static_cast<size_t>(d), ' ');
  };
  if (n.is_array() && n.size() > 0) {
    out += '[';
    for (size_t i = 0; i < n.items().size(); ++i) {
      if (i) out += ',';
      line(depth + 1);
      pretty(n.items()[i], out, indent, depth + 1);
    }
    line(depth);
    out += ']';
  } else if (n.is_object() && n.size() > 0) {
    out += '{';
    for (size_t i = 0; i < n.members().size(); ++i) {
      if (i) out += ',';
      line(depth + 1);
      append_quoted(out, n.members()[i].first);
      out += ": ";
      pretty(n.members()[i].second, out, indent, depth + 1);
    }
    line(depth);
    out += '}';
  } else {
    n.dump_to(out);
  }
}
}  // namespace

std::string Node::dump_pretty(int indent) const {
  std::string out;
  pretty(*this, out, indent, 0);
  return out;
}

}  // namespace k8lite::json
