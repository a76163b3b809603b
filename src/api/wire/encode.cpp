// Writing the wire: JSON tree in, protobuf bytes out.
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

enum Wire : unsigned { kVarint = 0, kFixed64 = 1, kBytes = 2 };

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

std::string strings_message(const Node& list, unsigned number) {
  std::string out;
  for (const Node& item : list.items()) put_bytes(out, number, item.str());
  return out;
}

// {raw = 1: JSON}, or one of apiextensions' either-or messages.
std::string raw_message(const Node& v, RawForm form) {
  static const Type& schema = *schema::find_type("apiextensions/v1.JSONSchemaProps");
  std::string out;
  switch (form) {
    case RawForm::Json:
      put_bytes(out, 1, v.dump());
      break;
    case RawForm::OrArray:
      if (v.is_array())
        for (const Node& item : v.items()) put_bytes(out, 2, encode_message(item, schema));
      else
        put_bytes(out, 1, encode_message(v, schema));
      break;
    case RawForm::OrBool:
      put_int(out, 1, v.is_bool() ? v.bool_or(false) : true);
      if (v.is_object()) put_bytes(out, 2, encode_message(v, schema));
      break;
    case RawForm::OrStrings:
      if (v.is_array())
        out = strings_message(v, 2);
      else
        put_bytes(out, 1, encode_message(v, schema));
      break;
  }
  return out;
}

void put_value(std::string& out, unsigned number, const Node& v, const Field& f) {
  switch (f.base) {
    case Base::String:
      return put_bytes(out, number, v.str());
    case Base::Bool:
      return put_int(out, number, v.bool_or(false));
    case Base::Int32:
    case Base::Int64:
      return put_int(out, number, v.int_or(0));
    case Base::Double: {
      double d = v.double_or(0);
      char raw[8];
      std::memcpy(raw, &d, 8);
      put_tag(out, number, kFixed64);
      out.append(raw, 8);
      return;
    }
    case Base::Bytes:
      return put_bytes(out, number, base64_decode(v.str()).value_or(""));
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
    case Base::MicroTime:
      return put_bytes(out, number, time_message(v.str()));
    case Base::Object:
      return put_bytes(out, number, encode_message(v, *f.type));
    case Base::Raw:
      return put_bytes(out, number, raw_message(v, f.raw_form));
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
    bool strings = f.base == Base::Raw && f.raw_form == RawForm::Json && value.is_array();  // ExtraValue
    if (strings)
      put_bytes(entry, 2, strings_message(value, 1));
    else
      put_value(entry, 2, value, f);
    put_bytes(out, number, entry);
  }
}

std::string envelope(std::string_view api_version, std::string_view kind, std::string_view message) {
  std::string meta, out(kMagic);
  put_bytes(meta, 1, api_version);
  put_bytes(meta, 2, kind);
  put_bytes(out, 1, meta);
  put_bytes(out, 2, message);
  put_bytes(out, 3, "");
  put_bytes(out, 4, "");
  return out;
}

}  // namespace

std::string encode_message(const Node& object, const Type& type) {
  std::string out;
  for (const Field* f : type.by_number)
    if (const Node& v = object.get(f->name); v.exists()) put_field(out, f->proto, v, *f);
  for (const Inlined& inlined : type.inlined) {
    std::string inner;
    for (const auto& [name, number] : inlined.fields)
      if (const Field* f = type.find(name))
        if (const Node& v = object.get(name); v.exists()) put_field(inner, number, v, *f);
    if (inlined.within) {
      std::string outer;
      put_bytes(outer, inlined.within, inner);
      inner = std::move(outer);
    }
    put_bytes(out, inlined.proto, inner);
  }
  return out;
}

std::string encode(const Node& object, const Type& type) {
  return envelope(object.get("apiVersion").str(), object.get("kind").str(), encode_message(object, type));
}

std::string encode_list(std::string_view api_version, std::string_view kind, const Node& metadata,
                        const std::vector<std::string>& items) {
  std::string message;
  put_bytes(message, 1, encode_message(metadata, *schema::find_type("meta/v1.ListMeta")));
  for (const std::string& item : items) put_bytes(message, 2, item);
  return envelope(api_version, kind, message);
}

std::string watch_frame(std::string_view event, std::string_view object) {
  std::string raw, message;
  put_bytes(raw, 1, object);
  put_bytes(message, 1, event);
  put_bytes(message, 2, raw);
  auto size = static_cast<uint32_t>(message.size());
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(size >> shift);
  return out += message;
}

}  // namespace k8lite::api::wire
