#include "api/wire/wire.h"

#include <catch2/catch.hpp>

#include "api/kinds.h"
#include "base/random.h"

using namespace k8lite;
using namespace k8lite::api;
using json::Node;
using schema::Base;
using schema::Shape;

namespace {

// An object of the type with every field set, three levels deep.
Node sample(const schema::Type& type, int depth);

Node sample_value(const schema::Field& f, int depth) {
  switch (f.base) {
    case Base::String: return Node("text-" + std::string(f.name));
    case Base::Bool: return Node(true);
    case Base::Int32: return Node(-7);
    case Base::Int64: return Node(int64_t{1} << 40);
    case Base::Double: return Node(1.5);
    case Base::Bytes: return Node("aGVsbG8=");
    case Base::Quantity: return Node("250m");
    case Base::IntOrString: return f.name.size() % 2 ? Node("25%") : Node(8080);
    case Base::Time: return Node("2024-05-06T07:08:09Z");
    case Base::MicroTime: return Node("2024-05-06T07:08:09.000123Z");
    case Base::Raw: return Node::obj({{"any", Node::arr({1, "x"})}});
    case Base::Object: return sample(*f.type, depth + 1);
  }
  return Node();
}

Node sample(const schema::Type& type, int depth) {
  Node out = Node::object();
  if (depth > 3) return out;
  auto inlined = [&type](std::string_view name) {
    for (const auto& i : type.inlined)
      for (const auto& f : i.fields)
        if (f.first == name) return true;
    return false;
  };
  for (const schema::Field& f : type.fields) {
    if (!f.proto && !inlined(f.name)) continue;
    if (f.shape == Shape::Map && f.base == Base::Raw) out[f.name] = Node::obj({{"k", Node::arr({"a", "b"})}});
    else if (f.shape == Shape::Single) out.set(f.name, sample_value(f, depth));
    else if (f.shape == Shape::List) out[f.name].append(sample_value(f, depth)), out[f.name].append(sample_value(f, depth));
    else out[f.name] = Node::obj({{"k1", sample_value(f, depth)}, {"k2", sample_value(f, depth)}});
  }
  return out;
}

}  // namespace

TEST_CASE("wire: every kind comes back as it went") {
  for (const KindPtr& kind : builtin_kinds()) {
    CAPTURE(kind->plural);
    Node object = sample(*kind->type, 0);
    auto back = wire::decode_message(wire::encode_message(object, *kind->type), *kind->type);
    REQUIRE(back.ok());
    CHECK(back->dump().size() == object.dump().size());
    CHECK(*back == object);
  }
}

TEST_CASE("wire: the envelope names the kind, and broken bytes are refused without a crash") {
  Node cm = Node::obj({{"kind", "ConfigMap"}, {"apiVersion", "v1"}, {"metadata", Node::obj({{"name", "a"}})}, {"data", Node::obj({{"k", "v"}})}});
  std::string bytes = wire::encode(cm, *schema::find_type("core/v1.ConfigMap"));
  CHECK(wire::decode(bytes).value() == cm);
  CHECK(!wire::decode("{}").ok());
  SeededRandom random(7);
  for (int i = 0; i < 3000; ++i) {
    std::string broken = bytes;
    for (int n = 0; n < 3; ++n) broken[4 + random.next() % (broken.size() - 4)] = static_cast<char>(random.next());
    (void)wire::decode(broken);
    (void)wire::decode(bytes.substr(0, random.next() % bytes.size()));
  }
}
