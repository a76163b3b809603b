// Reading the wire: protobuf bytes in, JSON tree out. The bytes come from anybody: every length, depth and text is
// checked.
#include <algorithm>
#include <cstring>

#include "api/wire/wire.h"
#include "base/clock.h"
#include "base/strings.h"

namespace k8lite::api::wire {
namespace {

using json::Node;
using schema::Base;
using schema::Field;
using schema::Inlined;
using schema::RawForm;
using schema::Shape;
using schema::Type;

constexpr std::string_view kMagic{"k8s\0", 4};

enum Wire : unsigned { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

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
  uint64_t number = 0;
  Wire wire = kVarint;
  uint64_t integer = 0;
  std::string_view bytes;
};

bool next(Reader& r, Value& v) {
  if (r.rest.empty() || r.bad) return false;
  uint64_t tag = r.varint();
  v = {tag >> 3, static_cast<Wire>(tag & 7), 0, {}};
  switch (v.wire) {
    case kVarint:
      v.integer = r.varint();
      break;
    case kFixed64:
      v.bytes = r.take(8);
      break;
    case kFixed32:
      v.bytes = r.take(4);
      break;
    case kBytes:
      v.bytes = r.take(r.varint());
      break;
    default:
      r.bad = true;
  }
  return !r.bad;
}

Status malformed(std::string_view what) { return bad_request("protobuf: malformed message of " + std::string(what)); }

// The last field of that number, as protocol buffers want it; "" where there is none.
Result<std::string_view> bytes_field(std::string_view message, unsigned number) {
  Reader r{message};
  Value v;
  std::string_view out;
  while (next(r, v))
    if (v.number == number && v.wire == kBytes) out = v.bytes;
  if (r.bad) return malformed("an envelope");
  return out;
}

Wire wire_of(Base base) {
  switch (base) {
    case Base::Bool:
    case Base::Int32:
    case Base::Int64:
      return kVarint;
    case Base::Double:
      return kFixed64;
    default:
      return kBytes;
  }
}

bool is_utf8(std::string_view s) {
  size_t i = 0;
  while (i < s.size()) {
    auto c = static_cast<unsigned char>(s[i]);
    if (c < 0x80) {
      ++i;
      continue;
    }
    int more = c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : 0;
    if (!more || s.size() - i <= static_cast<size_t>(more)) return false;
    uint32_t code = c & (0x3f >> more);
    for (int k = 1; k <= more; ++k) {
      auto d = static_cast<unsigned char>(s[i + static_cast<size_t>(k)]);
      if ((d & 0xc0) != 0x80) return false;
      code = code << 6 | (d & 0x3f);
    }
    if ((more == 2 && code < 0x800) || (more == 3 && code < 0x10000) || code > 0x10ffff ||
        (code >= 0xd800 && code < 0xe000))
      return false;
    i += static_cast<size_t>(more) + 1;
  }
  return true;
}

// One body on its way in, with what it may still hold.
class Decoder {
 public:
  Result<Node> message(std::string_view bytes, const Type& type, int depth);
  Result<Node> object(std::string_view bytes, int depth);  // with its envelope

 private:
  Result<Node> text(std::string_view bytes, std::string_view where) const;
  Result<Node> value(const Value& v, const Field& f, int depth);
  Result<Node> raw(std::string_view bytes, RawForm form, int depth);
  Result<> field(Node& object, const Value& v, const Field& f, int depth);
  Result<> map_entry(Node& map, std::string_view entry, const Field& f, int depth);
  Result<> inlined(Node& object, std::string_view bytes, const Type& type, const Inlined& in, int depth);
  Result<> count(std::string_view where) {
    if (++values_ > kMaxValues)
      return bad_request("protobuf: more than " + std::to_string(kMaxValues) + " values, at " + std::string(where));
    return {};
  }
  size_t values_ = 0;
};

Result<Node> Decoder::text(std::string_view bytes, std::string_view where) const {
  if (!is_utf8(bytes)) return bad_request("protobuf: " + std::string(where) + ": the text is not valid UTF-8");
  return Node(bytes);
}

Result<Node> time_value(std::string_view bytes, const Field& f) {
  Reader r{bytes};
  Value inner;
  int64_t secs = 0, nanos = 0;
  while (next(r, inner)) {
    if (inner.number == 1) secs = static_cast<int64_t>(inner.integer);
    if (inner.number == 2) nanos = static_cast<int64_t>(inner.integer);
  }
  constexpr int64_t kYearOne = -62'135'596'800, kYear10000 = 253'402'300'800;
  if (r.bad || secs < kYearOne || secs >= kYear10000 || nanos < 0 || nanos >= 1'000'000'000) return malformed(f.name);
  if (bytes.empty() || secs == kYearOne) return Node();
  Instant t{secs * 1'000'000 + nanos / 1000};
  return Node(f.base == Base::MicroTime ? rfc3339_micro(t) : rfc3339(t));
}

Result<Node> Decoder::value(const Value& v, const Field& f, int depth) {
  if (v.wire != wire_of(f.base)) return malformed(f.name);
  TRY_OK(count(f.name));
  switch (f.base) {
    case Base::String:
      return text(v.bytes, f.name);
    case Base::Bool:
      return Node(v.integer != 0);
    case Base::Int32:
      return Node(static_cast<int64_t>(static_cast<int32_t>(v.integer)));
    case Base::Int64:
      return Node(static_cast<int64_t>(v.integer));
    case Base::Double: {
      double d = 0;
      std::memcpy(&d, v.bytes.data(), 8);
      if (d != d || d - d != 0) return malformed(f.name);  // neither a NaN nor an infinity is JSON
      return Node(d);
    }
    case Base::Bytes:
      return Node(base64_encode(v.bytes));
    case Base::Quantity: {
      TRY(auto inner, bytes_field(v.bytes, 1));
      return text(inner, f.name);
    }
    case Base::IntOrString: {
      Reader r{v.bytes};
      Value inner;
      uint64_t kind = 0, number = 0;
      std::string_view string;
      while (next(r, inner)) {
        if (inner.number == 1) kind = inner.integer;
        if (inner.number == 2) number = inner.integer;
        if (inner.number == 3) string = inner.bytes;
      }
      if (r.bad) return malformed(f.name);
      return kind == 1 ? text(string, f.name) : Node(static_cast<int64_t>(static_cast<int32_t>(number)));
    }
    case Base::Time:
    case Base::MicroTime:
      return time_value(v.bytes, f);
    case Base::Object:
      return message(v.bytes, *f.type, depth + 1);
    case Base::Raw:
      return raw(v.bytes, f.raw_form, depth);
  }
  return Node();
}

Result<Node> Decoder::raw(std::string_view bytes, RawForm form, int depth) {
  if (form == RawForm::Json) {
    TRY(auto json, bytes_field(bytes, 1));
    if (json.empty()) return Node();
    if (json.starts_with(kMagic)) return object(json, depth + 1);
    return Node::parse(json);
  }
  static const Type& schema = *schema::find_type("apiextensions/v1.JSONSchemaProps");
  Reader r{bytes};
  Value v;
  Node out, list;
  while (next(r, v)) {
    bool one = v.number == (form == RawForm::OrBool ? 2 : 1);
    if (form == RawForm::OrBool && v.number == 1) {
      if (!out.is_object()) out = Node(v.integer != 0);
    } else if (one && v.wire == kBytes) {
      TRY(out, message(v.bytes, schema, depth + 1));
    } else if (v.number == 2 && v.wire == kBytes) {
      TRY(Node item,
          form == RawForm::OrStrings ? text(v.bytes, "JSONSchemaProps") : message(v.bytes, schema, depth + 1));
      list.append(std::move(item));
    }
  }
  if (r.bad) return malformed("JSONSchemaProps");
  return list.is_array() ? list : out;
}

Result<> Decoder::map_entry(Node& map, std::string_view entry, const Field& f, int depth) {
  Reader r{entry};
  Value v, one{2, wire_of(f.base), 0, {}};
  std::string_view key;
  while (next(r, v)) {
    if (v.number == 1) key = v.bytes;
    if (v.number == 2) one = v;
  }
  if (r.bad || one.wire != wire_of(f.base)) return malformed(f.name);
  TRY(Node name, text(key, f.name));
  if (f.base == Base::Raw && f.raw_form == RawForm::Json) {  // ExtraValue{items = 1}
    Node list = Node::array();
    Reader items{one.bytes};
    while (next(items, v)) {
      if (v.number != 1) continue;
      TRY_OK(count(f.name));
      TRY(Node item, text(v.bytes, f.name));
      list.append(std::move(item));
    }
    if (items.bad) return malformed(f.name);
    map.set(name.str(), std::move(list));
    return {};
  }
  TRY(Node decoded, value(one, f, depth));
  map.set(name.str(), std::move(decoded));
  return {};
}

Result<> Decoder::field(Node& object, const Value& v, const Field& f, int depth) {
  if (f.shape == Shape::Map) {
    if (v.wire != kBytes) return malformed(f.name);
    Node& map = object[f.name];
    if (map.is_null()) map = Node::object();
    return map_entry(map, v.bytes, f, depth);
  }
  bool packed = f.shape == Shape::List && v.wire == kBytes && wire_of(f.base) == kVarint;
  if (packed) {
    Reader r{v.bytes};
    while (!r.rest.empty()) {
      Value one{v.number, kVarint, r.varint(), {}};
      if (r.bad) return malformed(f.name);
      TRY(Node item, value(one, f, depth));
      object[f.name].append(std::move(item));
    }
    return {};
  }
  TRY(Node decoded, value(v, f, depth));
  if (f.shape == Shape::List) {
    object[f.name].append(std::move(decoded));
    return {};
  }
  // A message given twice is merged, as protocol buffers want it.
  Node* before = object.find(f.name);
  if (before && f.base == Base::Object && before->is_object()) {
    for (auto& [name, member] : decoded.members()) before->set(name, std::move(member));
    return {};
  }
  bool zero =
      decoded.is_null() || (f.zero_is_unset && (decoded == Node("") || decoded == Node(0) || decoded == Node(false)));
  if (!zero) object.set(f.name, std::move(decoded));
  return {};
}

Result<> Decoder::inlined(Node& object, std::string_view bytes, const Type& type, const Inlined& in, int depth) {
  if (in.within) {
    TRY(bytes, bytes_field(bytes, in.within));
  }
  Reader r{bytes};
  Value v;
  while (next(r, v))
    for (const auto& [name, number] : in.fields)
      if (number == v.number)
        if (const Field* f = type.find(name)) TRY_OK(field(object, v, *f, depth));
  return r.bad ? Result<>(malformed(type.name)) : Result<>();
}

Result<Node> Decoder::message(std::string_view bytes, const Type& type, int depth) {
  if (depth > kMaxDepth) return bad_request("protobuf: nested deeper than " + std::to_string(kMaxDepth) + " levels");
  Node object = Node::object();
  Reader r{bytes};
  Value v;
  while (next(r, v)) {
    auto f = std::lower_bound(type.by_number.begin(), type.by_number.end(), v.number,
                              [](const Field* field, uint64_t n) { return field->proto < n; });
    if (f != type.by_number.end() && (*f)->proto == v.number) TRY_OK(field(object, v, **f, depth));
    for (const Inlined& in : type.inlined) {
      if (in.proto != v.number) continue;
      if (v.wire != kBytes) return malformed(type.name);
      TRY_OK(inlined(object, v.bytes, type, in, depth));
    }
  }
  if (r.bad) return malformed(type.name);
  return object;
}

Result<Node> Decoder::object(std::string_view bytes, int depth) {
  if (!bytes.starts_with(kMagic))
    return bad_request("protobuf: the body does not begin with the magic bytes of Kubernetes");
  std::string_view unknown = bytes.substr(kMagic.size());
  TRY(auto meta, bytes_field(unknown, 1));
  TRY(auto raw, bytes_field(unknown, 2));
  TRY(auto version_bytes, bytes_field(meta, 1));
  TRY(auto kind_bytes, bytes_field(meta, 2));
  if (!is_utf8(version_bytes) || !is_utf8(kind_bytes)) return malformed("an envelope");
  std::string api_version(version_bytes), kind(kind_bytes);
  size_t slash = api_version.find('/');
  std::string group = slash == api_version.npos ? "" : api_version.substr(0, slash),
              version = api_version.substr(slash == api_version.npos ? 0 : slash + 1);
  const Type* type = schema::find_type_of_kind(group, version, kind);
  if (!type) return bad_request("no kind \"" + kind + "\" is registered for version \"" + api_version + "\"");
  TRY(Node content, message(raw, *type, depth));
  Node out = Node::obj({{"kind", kind}, {"apiVersion", api_version}});
  for (auto& m : content.members()) out.members().push_back(std::move(m));
  return out;
}

}  // namespace

Result<Node> decode_message(std::string_view bytes, const Type& type) { return Decoder().message(bytes, type, 0); }
Result<Node> decode(std::string_view bytes) { return Decoder().object(bytes, 0); }

}  // namespace k8lite::api::wire
