// Node: the mutable tree and its writer.
#include <charconv>
#include <cmath>
#include <cstring>

#include "base/json.h"

namespace k8lite::json {

const Node& Node::missing() {
  static const Node node = [] {
    Node n;
    n.kind_ = Kind::Missing;
    return n;
  }();
  return node;
}

Node Node::object() {
  Node n;
  n.kind_ = Kind::Object;
  new (&n.members_) std::vector<Member>();
  return n;
}

Node Node::array() {
  Node n;
  n.kind_ = Kind::Array;
  new (&n.items_) std::vector<Node>();
  return n;
}

Node::Node(const Node& o) : kind_(o.kind_), is_double_(o.is_double_) {
  switch (kind_) {
    case Kind::String: new (&str_) std::string(o.str_); break;
    case Kind::Array: new (&items_) std::vector<Node>(o.items_); break;
    case Kind::Object: new (&members_) std::vector<Member>(o.members_); break;
    default: int_ = o.int_;  // of a double the same bits
  }
}

// Into one whose content is gone. `o` keeps its kind and is empty.
void Node::take(Node& o) noexcept {
  kind_ = o.kind_;
  is_double_ = o.is_double_;
  switch (kind_) {
    case Kind::String: new (&str_) std::string(std::move(o.str_)); break;
    case Kind::Array: new (&items_) std::vector<Node>(std::move(o.items_)); break;
    case Kind::Object: new (&members_) std::vector<Member>(std::move(o.members_)); break;
    default: int_ = o.int_;
  }
}

void Node::clear() noexcept {
  switch (kind_) {
    case Kind::String: str_.~basic_string(); break;
    case Kind::Array: items_.~vector(); break;
    case Kind::Object: members_.~vector(); break;
    default: break;
  }
}

Node& Node::operator=(const Node& o) {
  if (this != &o) *this = Node(o);  // o may be a part of this
  return *this;
}

Node& Node::operator=(Node&& o) noexcept {
  if (this == &o) return *this;
  Node held(std::move(o));  // o may be a part of this
  clear();
  take(held);
  return *this;
}

const std::string& Node::str() const {
  static const std::string none;
  return is_string() ? str_ : none;
}

std::vector<Node::Member>& Node::members() {
  thread_local std::vector<Member> none;
  if (is_object()) return members_;
  none.clear();
  return none;
}

std::vector<Node>& Node::items() {
  thread_local std::vector<Node> none;
  if (is_array()) return items_;
  none.clear();
  return none;
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
  return is_double_ ? static_cast<int64_t>(double_) : int_;
}

double Node::double_or(double otherwise) const {
  if (!is_number()) return otherwise;
  return is_double_ ? double_ : static_cast<double>(int_);
}

Node* Node::find(std::string_view key) {
  if (!is_object()) return nullptr;
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
  if (!is_object()) return false;
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
    case Kind::Bool: return int_ == o.int_;
    case Kind::Number:
      if (!is_double_ && !o.is_double_) return int_ == o.int_;
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

namespace {
// Does one of eight bytes have to be escaped?
bool needs_escape(uint64_t w) {
  constexpr uint64_t kOnes = 0x0101010101010101ull, kHighs = 0x8080808080808080ull;
  auto has_zero = [](uint64_t v) { return (v - kOnes) & ~v & kHighs; };
  return (has_zero(w ^ (kOnes * '"')) | has_zero(w ^ (kOnes * '\\')) | ((w - kOnes * 0x20) & ~w & kHighs)) != 0;
}
}  // namespace

void append_quoted(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  size_t from = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    uint64_t w;
    while (text.size() - i >= 8 && (memcpy(&w, text.data() + i, 8), !needs_escape(w))) i += 8;
    if (i == text.size()) break;
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

void Node::dump_to(std::string& out, std::vector<detail::Container>* index) const {
  switch (kind_) {
    case Kind::Missing:
    case Kind::Null: out += "null"; return;
    case Kind::Bool: out += int_ ? "true" : "false"; return;
    case Kind::Number:
      if (is_double_) {
        out += number_text(double_);
      } else {
        char buf[24];
        out.append(buf, std::to_chars(buf, buf + sizeof buf, int_).ptr);
      }
      return;
    case Kind::String: append_quoted(out, str_); return;
    default: break;
  }
  size_t slot = index ? index->size() : 0;
  if (index) index->push_back({});
  bool first = true;
  if (is_array()) {
    out += '[';
    for (const auto& n : items_) {
      if (!first) out += ',';
      first = false;
      n.dump_to(out, index);
    }
    out += ']';
  } else {
    out += '{';
    for (const auto& [key, value] : members_) {
      if (!first) out += ',';
      first = false;
      append_quoted(out, key);
      out += ':';
      value.dump_to(out, index);
    }
    out += '}';
  }
  if (index) (*index)[slot] = {static_cast<uint32_t>(out.size()), static_cast<uint32_t>(index->size() - slot - 1)};
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
