// Doc and Value: scanning compact JSON with the help of the container index.
#include "base/json.h"

#include <charconv>
#include <cstring>

namespace k8lite::json {

void detail::append_utf8(std::string& out, uint32_t cp) {
  if (cp < 0x80) {
    out += static_cast<char>(cp);
  } else if (cp < 0x800) {
    out += static_cast<char>(0xC0 | (cp >> 6));
    out += static_cast<char>(0x80 | (cp & 0x3F));
  } else if (cp < 0x10000) {
    out += static_cast<char>(0xE0 | (cp >> 12));
    out += static_cast<char>(0x80 | ((cp >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (cp & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (cp >> 18));
    out += static_cast<char>(0x80 | ((cp >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((cp >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (cp & 0x3F));
  }
}

namespace {

// Offset just past the string whose opening quote is at `i`.
uint32_t skip_string(const std::string& b, uint32_t i) {
  const char* p = b.data() + i + 1;
  const char* end = b.data() + b.size();
  for (;;) {
    p = static_cast<const char*>(memchr(p, '"', static_cast<size_t>(end - p)));
    if (!p) return static_cast<uint32_t>(b.size());
    const char* q = p;
    while (q[-1] == '\\') --q;
    if (((p - q) & 1) == 0) return static_cast<uint32_t>(p + 1 - b.data());
    ++p;
  }
}

// Decodes the inside of a canonical string: append_quoted() writes only these escapes.
std::string unescape(std::string_view s) {
  if (s.find('\\') == s.npos) return std::string(s);
  std::string out;
  out.reserve(s.size());
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] != '\\' || i + 1 >= s.size()) {
      out += s[i];
      continue;
    }
    switch (s[++i]) {
      case 'n': out += '\n'; break;
      case 't': out += '\t'; break;
      case 'r': out += '\r'; break;
      case 'b': out += '\b'; break;
      case 'f': out += '\f'; break;
      case 'u': {
        uint32_t cp = 0;
        if (i + 4 < s.size()) std::from_chars(s.data() + i + 1, s.data() + i + 5, cp, 16);
        detail::append_utf8(out, cp);
        i += 4;
        break;
      }
      default: out += s[i];
    }
  }
  return out;
}

// The container index of canonical bytes, in one pass.
void build_index(const std::string& b, std::vector<detail::Container>& index) {
  std::vector<uint32_t> open;
  for (uint32_t i = 0; i < b.size();) {
    switch (b[i]) {
      case '"': i = skip_string(b, i); break;
      case '{':
      case '[':
        open.push_back(static_cast<uint32_t>(index.size()));
        index.push_back({});
        ++i;
        break;
      case '}':
      case ']':
        ++i;
        if (!open.empty()) {
          index[open.back()] = {i, static_cast<uint32_t>(index.size()) - open.back() - 1};
          open.pop_back();
        }
        break;
      default: ++i;
    }
  }
}

}  // namespace

detail::DocData* detail::DocData::create(std::string bytes, const std::vector<Container>& index) {
  void* memory = ::operator new(sizeof(DocData) + index.size() * sizeof(Container));
  auto* data = new (memory) DocData;
  data->bytes = std::move(bytes);
  data->containers = static_cast<uint32_t>(index.size());
  if (!index.empty()) memcpy(data->index, index.data(), index.size() * sizeof(Container));
  return data;
}

void detail::DocData::let_go() noexcept {
  if (holders.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  this->~DocData();
  ::operator delete(this);
}

Kind Value::kind() const {
  if (!data_) return Kind::Missing;
  switch (data_->bytes[offset_]) {
    case '{': return Kind::Object;
    case '[': return Kind::Array;
    case '"': return Kind::String;
    case 't':
    case 'f': return Kind::Bool;
    case 'n': return Kind::Null;
    default: return Kind::Number;
  }
}

std::pair<uint32_t, uint32_t> Value::after() const {
  const std::string& b = data_->bytes;
  switch (b[offset_]) {
    case '{':
    case '[': {
      const auto& c = data_->index[index_];
      return {c.end, index_ + 1 + c.nested};
    }
    case '"': return {skip_string(b, offset_), index_};
    default: {
      uint32_t i = offset_;
      while (i < b.size() && b[i] != ',' && b[i] != '}' && b[i] != ']') ++i;
      return {i, index_};
    }
  }
}

std::string_view Value::raw() const {
  if (!data_) return {};
  return std::string_view(data_->bytes).substr(offset_, after().first - offset_);
}

void Value::MemberRange::Iterator::read(uint32_t offset, uint32_t index) {
  const std::string& b = data_->bytes;
  if (b[offset] == ',') ++offset;
  if (b[offset] == '}') {
    *this = {};
    return;
  }
  uint32_t key_end = skip_string(b, offset);
  member_.raw_key = std::string_view(b).substr(offset + 1, key_end - offset - 2);
  member_.value = Value(data_, key_end + 1, index);
  done_ = false;
}

Value::MemberRange::Iterator& Value::MemberRange::Iterator::operator++() {
  auto [offset, index] = member_.value.after();
  read(offset, index);
  return *this;
}

Value::MemberRange::Iterator Value::MemberRange::begin() const {
  Iterator it;
  if (!data_) return it;
  it.data_ = data_;
  it.read(offset_ + 1, index_ + 1);
  return it;
}

Value::ItemRange::Iterator& Value::ItemRange::Iterator::operator++() {
  auto [offset, index] = value_.after();
  const auto* d = value_.data_;
  value_ = d->bytes[offset] == ',' ? Value(d, offset + 1, index) : Value();
  return *this;
}

Value::ItemRange::Iterator Value::ItemRange::begin() const {
  Iterator it;
  if (data_ && data_->bytes[offset_ + 1] != ']') it.value_ = Value(data_, offset_ + 1, index_ + 1);
  return it;
}

Value::MemberRange Value::members() const {
  MemberRange r;
  if (kind() == Kind::Object) r.data_ = data_, r.offset_ = offset_, r.index_ = index_;
  return r;
}

Value::ItemRange Value::items() const {
  ItemRange r;
  if (kind() == Kind::Array) r.data_ = data_, r.offset_ = offset_, r.index_ = index_;
  return r;
}

std::string Value::Member::key() const { return unescape(raw_key); }

Value Value::operator[](std::string_view key) const {
  for (const auto& m : members()) {
    if (m.raw_key == key) return m.value;
    // Escaped, a key is longer than what it means.
    if (m.raw_key.size() > key.size() && m.raw_key.find('\\') != m.raw_key.npos && m.key() == key) return m.value;
  }
  return {};
}

Value Value::at(size_t i) const {
  for (Value v : items())
    if (i-- == 0) return v;
  return {};
}

Value Value::path(std::string_view dotted) const {
  Value v = *this;
  while (v && !dotted.empty()) {
    size_t dot = dotted.find('.');
    v = v[dotted.substr(0, dot)];
    dotted = dot == dotted.npos ? std::string_view() : dotted.substr(dot + 1);
  }
  return v;
}

std::string Value::str(std::string_view otherwise) const {
  if (!is_string()) return std::string(otherwise);
  std::string_view r = raw();
  return unescape(r.substr(1, r.size() - 2));
}

bool Value::equals(std::string_view text) const {
  if (!is_string()) return false;
  std::string_view r = raw();
  r = r.substr(1, r.size() - 2);
  return r == text || (r.find('\\') != r.npos && unescape(r) == text);
}

bool Value::is_integer() const {
  if (kind() != Kind::Number) return false;
  std::string_view r = raw();
  int64_t v = 0;
  auto [p, ec] = std::from_chars(r.data(), r.data() + r.size(), v);
  return ec == std::errc() && p == r.data() + r.size();
}

int64_t Value::int_or(int64_t otherwise) const {
  if (kind() != Kind::Number) return otherwise;
  std::string_view r = raw();
  int64_t v = 0;
  auto [p, ec] = std::from_chars(r.data(), r.data() + r.size(), v);
  if (ec == std::errc() && p == r.data() + r.size()) return v;
  double d = double_or(0);
  if (d >= 9.2e18) return INT64_MAX;
  if (d <= -9.2e18) return INT64_MIN;
  return static_cast<int64_t>(d);
}

double Value::double_or(double otherwise) const {
  if (kind() != Kind::Number) return otherwise;
  std::string_view r = raw();
  double v = 0;
  std::from_chars(r.data(), r.data() + r.size(), v);
  return v;
}

bool Value::bool_or(bool otherwise) const {
  return kind() == Kind::Bool ? data_->bytes[offset_] == 't' : otherwise;
}

size_t Value::size() const {
  size_t n = 0;
  if (is_array())
    for (auto it = items().begin(); it != items().end(); ++it) ++n;
  else if (is_object())
    for (auto it = members().begin(); it != members().end(); ++it) ++n;
  return n;
}

bool Value::empty() const {
  switch (kind()) {
    case Kind::Missing:
    case Kind::Null: return true;
    case Kind::String:
    case Kind::Array:
    case Kind::Object: return raw().size() == 2;
    default: return false;
  }
}

Node Value::to_node() const {
  switch (kind()) {
    case Kind::Missing:
    case Kind::Null: return {};
    case Kind::Bool: return bool_or(false);
    case Kind::Number: return is_integer() ? Node(int_or(0)) : Node(double_or(0));
    case Kind::String: return Node(str());
    case Kind::Array: {
      Node n = Node::array();
      for (Value v : items()) n.items().push_back(v.to_node());
      return n;
    }
    case Kind::Object: {
      Node n = Node::object();
      for (const auto& m : members()) n.members().emplace_back(m.key(), m.value.to_node());
      return n;
    }
  }
  return {};
}

Value Doc::root() const { return data_ ? Value(data_, 0, 0) : Value(); }

const std::string& Doc::bytes() const {
  static const std::string none;
  return data_ ? data_->bytes : none;
}

size_t Doc::memory() const {
  return data_ ? sizeof(*data_) + data_->bytes.capacity() + data_->containers * sizeof(detail::Container) : 0;
}

namespace {
constexpr size_t kKeptRoom = 64 * 1024;  // of what is reused from one document to the next
}

Doc Doc::from_canonical(std::string bytes) {
  thread_local std::vector<detail::Container> index;
  index.clear();
  bytes.shrink_to_fit();
  build_index(bytes, index);
  Doc d;
  d.data_ = detail::DocData::create(std::move(bytes), index);
  if (index.capacity() * sizeof(detail::Container) > kKeptRoom) index = {};
  return d;
}

Doc Doc::from(const Node& node) {
  // Written where there is room already, then copied to its size.
  thread_local std::string text;
  thread_local std::vector<detail::Container> index;
  text.clear();
  index.clear();
  node.dump_to(text, &index);
  Doc d;
  d.data_ = detail::DocData::create(std::string(text.data(), text.size()), index);
  if (text.capacity() > kKeptRoom) text = {}, index = {};
  return d;
}

Result<Doc> Doc::parse(std::string_view text, ParseOptions options) {
  TRY(Node node, Node::parse(text, options));
  return Doc::from(node);
}

}  // namespace k8lite::json
