// How server-side apply sees a custom resource: its schema as the Types that built-in kinds have. Lists of lists, maps
// of lists and what is kept unseen are one value each.
#include "api/custom/version.h"

namespace k8lite::api::custom {
namespace {

using schema::Base;
using schema::Field;
using schema::ListType;
using schema::Shape;
using schema::Type;

struct Builder {
  std::deque<Type>& types;

  static Base scalar(const Schema& s) {
    if (s.int_or_string) return Base::IntOrString;
    if (s.type == "string") return Base::String;
    if (s.type == "integer") return Base::Int64;
    if (s.type == "number") return Base::Double;
    if (s.type == "boolean") return Base::Bool;
    return Base::Raw;
  }

  static bool is_struct(const Schema& s) { return s.type == "object" && !s.additional && !s.any_additional; }

  // What one value of this schema is, in a list, in a map or alone.
  void describe(Field& f, const Schema& s) {
    if (is_struct(s)) {
      f.base = Base::Object;
      f.type = struct_of(s, s.embedded);
    } else {
      f.base = scalar(s);
    }
  }

  Field field(std::string_view name, const Schema& s) {
    Field f;
    f.name = name;
    f.granular = !s.atomic_map;
    if (s.type == "array") {
      f.shape = Shape::List;
      f.list_type = s.set ? ListType::Set : s.map ? ListType::Map : ListType::Atomic;
      for (const auto& key : s.list_keys) f.list_map_keys.push_back(key);
      f.base = Base::Raw;
      if (s.items) describe(f, *s.items);
    } else if (s.type == "object" && !is_struct(s)) {
      f.shape = Shape::Map;
      f.base = Base::Raw;
      if (s.additional) describe(f, *s.additional);
    } else {
      describe(f, s);
    }
    if (s.default_value &&
        (f.base == Base::String || f.base == Base::Int64 || f.base == Base::Double || f.base == Base::Bool) &&
        f.shape == Shape::Single)
      f.default_json = keep(s.default_value->dump());
    return f;
  }

  std::string_view keep(std::string text) {
    texts.push_back(std::make_shared<const std::string>(std::move(text)));
    return *texts.back();
  }

  const Type* struct_of(const Schema& s, bool object) {
    types.emplace_back();
    Type& t = types.back();
    t.atomic = s.atomic_map;
    bool has_metadata = false;
    for (const auto& [name, p] : s.properties) {
      if (object && (name == "apiVersion" || name == "kind")) continue;
      if (object && name == "metadata") {
        has_metadata = true;
        t.fields.push_back(metadata());
        continue;
      }
      t.fields.push_back(field(name, *p));
    }
    if (object) {
      for (const char* name : {"apiVersion", "kind"}) {
        Field f;
        f.name = name;
        t.fields.push_back(std::move(f));
      }
      if (!has_metadata) t.fields.push_back(metadata());
    }
    if (s.preserve_unknown) {
      auto rest = std::make_shared<Field>();
      rest->base = Base::Raw;
      t.rest = std::move(rest);
    }
    t.sort();
    return &t;
  }

  static Field metadata() {
    Field f;
    f.name = "metadata";
    f.base = Base::Object;
    f.type = schema::find_type("meta/v1.ObjectMeta");
    return f;
  }

  std::vector<std::shared_ptr<const std::string>> texts;
};

}  // namespace

std::deque<Type> apply_types(const Schema& schema) {
  std::deque<Type> out;
  Builder b{out, {}};
  b.struct_of(schema, true);
  out.front().name = "custom";
  out.front().texts = std::move(b.texts);
  return out;
}

}  // namespace k8lite::api::custom
