#include "api/wire/wire.h"

#include <cstring>

#include "base/clock.h"
#include "base/strings.h"

namespace k8lite::api::wire {
namespace {

using json::Node;
using schema::Base;
using schema::Field;
using schema::Inlined;
using schema::Shape;
using schema::Type;

constexpr std::string_view kMagic{"k8s\0", 4};
constexpr int kMaxDepth = 100;

enum Wire : unsigned { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

// ---- writing ----

void put_varint(std::string& out, uint64_t v) {
  while (v >= 0x80) {
    out += static_cast<char>(v | 0x80);
    v >>= 7;
  }
  out += static_cast<char>(v);
}
void put_tag(std::string& out, unsigned number, Wire wire) { put_varint(out, (uint64_t{number} << 3) | wire); }
void put_bytes(std::string& out, unsigned number, std::string_view bytes) {
  put_tag(out, number, kBytes);
  put_varint(out, bytes.size());
  out += bytes;
}
void put_int(std::string& out, unsigned number, int64_t v) {
  put_tag(out, number, kVarint);
  put_varint(out, static_cast<uint64_t>(v));
}

std::string time_message(const std::string& text) {
  std::string out;
  auto t = parse_rfc3339(text);
  if (!t) return out;
  int64_t secs = t->us / 1'000'000, micro = t->us % 1'000'000;
  if (micro < 0) micro += 1'000'000, --secs;
  put_int(out, 1, secs);
  if (micro) put_int(out, 2, micro * 1000);
  return out;
}

void put_value(std::string& out, unsigned number, const Node& v, const Field& f) {
  switch (f.base) {
    case Base::String: return put_bytes(out, number, v.str());
    case Base::Bool: return put_int(out, number, v.bool_or(false));
    case Base::Int32:
    case Base::Int64: return put_int(out, number, v.int_or(0));
    case Base::Double: {
      double d = v.double_or(0);
      char raw[8];
      std::memcpy(raw, &d, 8);
      put_tag(out, number, kFixed64);
      out.append(raw, 8);
      return;
    }
    case Base::Bytes: return put_bytes(out, number, base64_decode(v.str()).value_or(""));
    case Base::Quantity: {
      std::string inner;
      put_bytes(inner, 1, v.str());
      return put_bytes(out, number, inner);
    }
    case Base::IntOrString: {
      std::string inner;
      put_int(inner, 1, v.is_string());
      put_int(inner, 2, v.is_string() ? 0 : v.int_or(0));
      put_bytes(inner, 3, v.is_string() ? v.str() : "");
      return put_bytes(out, number, inner);
    }
    case Base::Time:
    case Base::MicroTime: return put_bytes(out, number, time_message(v.str()));
    case Base::Object: return put_bytes(out, number, encode_message(v, *f.type));
    case Base::Raw: {
      std::string inner;
      put_bytes(inner, 1, v.dump());
      return put_bytes(out, number, inner);
    }
  }
}

void put_field(std::string& out, unsigned number, const Node& v, const Field& f) {
  if (v.is_null() || !number) return;
  if (f.shape == Shape::Single) return put_value(out, number, v, f);
  if (f.shape == Shape::List) {
    for (const Node& item : v.items()) put_value(out, number, item, f);
    return;
  }
  for (const auto& [key, value] : v.members()) {
    std::string entry;
    put_bytes(entry, 1, key);
    if (f.base == Base::Raw && value.is_array()) {  // map of lists of strings
      std::string list;
      for (const Node& item : value.items()) put_bytes(list, 1, item.str());
      put_bytes(entry, 2, list);
    } else {
      put_value(entry, 2, value, f);
    }
    put_bytes(out, number, entry);
  }
}

// ---- reading ----

struct Reader {
  std::string_view rest;
  bool bad = false;

  uint64_t varint() {
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest.empty()) break;
      auto c = static_cast<unsigned char>(rest[0]);
      rest.remove_prefix(1);
      v |= uint64_t{c & 0x7fu} << shift;
      if (!(c & 0x80)) return v;
    }
    bad = true;
    return 0;
  }
  std::string_view take(uint64_t n) {
    if (n > rest.size()) {
      bad = true;
      return {};
    }
    auto out = rest.substr(0, n);
    rest.remove_prefix(n);
    return out;
  }
};

struct Value {
  unsigned number = 0;
  Wire wire = kVarint;
  uint64_t integer = 0;
  std::string_view bytes;
};
bool next(Reader& r, Value& v) {
  if (r.rest.empty() || r.bad) return false;
  uint64_t tag = r.varint();
  v.number = static_cast<unsigned>(tag >> 3);
  v.wire = static_cast<Wire>(tag & 7);
  v.integer = 0;
  v.bytes = {};
  switch (v.wire) {
    case kVarint: v.integer = r.varint(); break;
    case kFixed64: v.bytes = r.take(8); break;
    case kFixed32: v.bytes = r.take(4); break;
    case kBytes: v.bytes = r.take(r.varint()); break;
    default: r.bad = true;
  }
  return !r.bad;
}

Status malformed(std::string_view what) { return bad_request("protobuf: malformed message of " + std::string(what)); }

std::string_view first_bytes(std::string_view message, unsigned number) {
  Reader r{message};
  Value v;
  std::string_view out;
  while (next(r, v))
    if (v.number == number && v.wire == kBytes) out = v.bytes;
  return out;
}

Result<Node> read_message(std::string_view bytes, const Type& type, int depth);

Result<Node> read_value(const Value& v, const Field& f, int depth) {
  switch (f.base) {
    case Base::String: return Node(v.bytes);
    case Base::Bool: return Node(v.integer != 0);
    case Base::Int32: return Node(static_cast<int64_t>(static_cast<int32_t>(v.integer)));
    case Base::Int64: return Node(static_cast<int64_t>(v.integer));
    case Base::Double: {
      double d = 0;
      if (v.bytes.size() == 8) std::memcpy(&d, v.bytes.data(), 8);
      return Node(d);
    }
    case Base::Bytes: return Node(base64_encode(v.bytes));
    case Base::Quantity: return Node(first_bytes(v.bytes, 1));
    case Base::IntOrString: {
      Reader r{v.bytes};
      Value inner;
      uint64_t kind = 0, number = 0;
      std::string_view text;
      while (next(r, inner)) {
        if (inner.number == 1) kind = inner.integer;
        if (inner.number == 2) number = inner.integer;
        if (inner.number == 3) text = inner.bytes;
      }
      return kind == 1 ? Node(text) : Node(static_cast<int64_t>(static_cast<int32_t>(number)));
    }
    case Base::Time:
    case Base::MicroTime: {
      Reader r{v.bytes};
      Value inner;
      int64_t secs = 0, nanos = 0;
      while (next(r, inner)) (inner.number == 1 ? secs : nanos) = static_cast<int64_t>(inner.integer);
      if (v.bytes.empty()) return Node();
      Instant t{secs * 1'000'000 + nanos / 1000};
      return Node(f.base == Base::MicroTime ? rfc3339_micro(t) : rfc3339(t));
    }
    case Base::Object: return read_message(v.bytes, *f.type, depth + 1);
    case Base::Raw: {
      std::string_view raw = first_bytes(v.bytes, 1);
      return raw.empty() ? Result<Node>(Node::object()) : Node::parse(raw);
    }
  }
  return Node();
}

Result<> read_map_entry(Node& map, std::string_view entry, const Field& f, int depth) {
  Reader r{entry};
  Value v, value;
  std::string key;
  while (next(r, v)) {
    if (v.number == 1) key = v.bytes;
    if (v.number == 2) value = v;
  }
  if (r.bad) return malformed(f.name);
  if (f.base == Base::Raw) {
    Node list = Node::array();
    Reader items{value.bytes};
    while (next(items, v))
      if (v.number == 1) list.append(Node(v.bytes));
    map.set(key, std::move(list));
    return {};
  }
  TRY(Node one, read_value(value, f, depth));
  map.set(key, std::move(one));
  return {};
}

Result<> read_field(Node& object, const Value& v, const Field& f, int depth) {
  if (f.shape == Shape::Map) {
    Node& map = object[f.name];
    if (map.is_null()) map = Node::object();
    return read_map_entry(map, v.bytes, f, depth);
  }
  bool packed = f.shape == Shape::List && v.wire == kBytes && (f.base == Base::Int32 || f.base == Base::Int64 || f.base == Base::Bool);
  if (packed) {
    Reader r{v.bytes};
    while (!r.rest.empty() && !r.bad) {
      Value one = v;
      one.integer = r.varint();
      TRY(Node item, read_value(one, f, depth));
      object[f.name].append(std::move(item));
    }
    return r.bad ? Result<>(malformed(f.name)) : Result<>();
  }
  TRY(Node value, read_value(v, f, depth));
  if (f.shape == Shape::List) object[f.name].append(std::move(value));
  else if (!value.is_null()) object.set(f.name, std::move(value));
  return {};
}

const Field* by_number(const Type& type, unsigned number) {
  for (const Field& f : type.fields)
    if (f.proto == number && number) return &f;
  return nullptr;
}

Result<> read_inlined(Node& object, std::string_view bytes, const Type& type, const Inlined& inlined, int depth) {
  Reader r{bytes};
  Value v;
  while (next(r, v))
    for (const auto& [name, number] : inlined.fields)
      if (number == v.number)
        if (const Field* f = type.find(name)) TRY_OK(read_field(object, v, *f, depth));
  return r.bad ? Result<>(malformed(type.name)) : Result<>();
}

Result<Node> read_message(std::string_view bytes, const Type& type, int depth) {
  if (depth > kMaxDepth) return bad_request("protobuf: nested deeper than " + std::to_string(kMaxDepth) + " levels");
  Node object = Node::object();
  Reader r{bytes};
  Value v;
  while (next(r, v)) {
    if (const Field* f = by_number(type, v.number)) {
      TRY_OK(read_field(object, v, *f, depth));
      continue;
    }
    for (const Inlined& inlined : type.inlined)
      if (inlined.proto == v.number) TRY_OK(read_inlined(object, v.bytes, type, inlined, depth));
  }
  if (r.bad) return malformed(type.name);
  return object;
}

// Go writes zero values of plain fields too: an empty string or false there means "not set".
void drop_zeroes(Node& object, const Type& type) {
  std::erase_if(object.members(), [&type](const Node::Member& m) {
    const Field* f = type.find(m.first);
    return f && f->shape == Shape::Single && f->base == Base::String && m.second.str().empty();
  });
  for (auto& [key, value] : object.members()) {
    const Field* f = type.find(key);
    if (!f || f->base != Base::Object) continue;
    if (f->shape == Shape::Single) drop_zeroes(value, *f->type);
    for (Node& item : value.items()) drop_zeroes(item, *f->type);
    if (f->shape == Shape::Map)
      for (auto& entry : value.members()) drop_zeroes(entry.second, *f->type);
  }
}

}  // namespace

std::string encode_message(const Node& object, const Type& type) {
  std::string out;
  for (const Field& f : type.fields)
    if (const Node& v = object.get(f.name); v.exists()) put_field(out, f.proto, v, f);
  for (const Inlined& inlined : type.inlined) {
    std::string inner;
    for (const auto& [name, number] : inlined.fields)
      if (const Field* f = type.find(name))
        if (const Node& v = object.get(name); v.exists()) put_field(inner, number, v, *f);
    put_bytes(out, inlined.proto, inner);
  }
  return out;
}

Result<Node> decode_message(std::string_view bytes, const Type& type) {
  TRY(Node object, read_message(bytes, type, 0));
  drop_zeroes(object, type);
  return object;
}

std::string encode(const Node& object, const Type& type) {
  std::string meta, unknown;
  put_bytes(meta, 1, object.get("apiVersion").str());
  put_bytes(meta, 2, object.get("kind").str());
  put_bytes(unknown, 1, meta);
  put_bytes(unknown, 2, encode_message(object, type));
  put_bytes(unknown, 3, "");
  put_bytes(unknown, 4, "");
  return std::string(kMagic) + unknown;
}

Result<Node> decode(std::string_view bytes) {
  if (!bytes.starts_with(kMagic)) return bad_request("protobuf: the body does not begin with the magic bytes of Kubernetes");
  std::string_view unknown = bytes.substr(kMagic.size()), meta = first_bytes(unknown, 1);
  std::string api_version(first_bytes(meta, 1)), kind(first_bytes(meta, 2));
  size_t slash = api_version.find('/');
  std::string group = slash == api_version.npos ? "" : api_version.substr(0, slash), version = api_version.substr(slash == api_version.npos ? 0 : slash + 1);
  const Type* type = schema::find_type_of_kind(group, version, kind);
  if (!type) return bad_request("protobuf: no kind \"" + kind + "\" is registered for version \"" + api_version + "\"");
  TRY(Node object, decode_message(first_bytes(unknown, 2), *type));
  Node out = Node::obj({{"kind", kind}, {"apiVersion", api_version}});
  for (auto& m : object.members()) out.members().push_back(std::move(m));
  return out;
}

}  // namespace k8lite::api::wire
