#include "api/wire/wire.h"

#include <catch2/catch.hpp>

#include "api/kinds.h"
#include "base/random.h"
#include "base/strings.h"

using namespace k8lite;
using namespace k8lite::api;
using json::Node;
using schema::Base;
using schema::RawForm;
using schema::Shape;

namespace {

// Objects of any type with random fields set to random values; a plain field (one whose zero nobody can tell from
// absence) is never zero.
class Sampler {
 public:
  explicit Sampler(uint64_t seed) : random_(seed) {}

  Node object(const schema::Type& type, int depth) {
    Node out = Node::object();
    if (depth > 4) return out;
    for (const schema::Field& f : type.fields) {
      if (f.name == "apiVersion" || f.name == "kind" || type.name == "meta/v1.Info" || chance(depth ? 3 : 1)) {
        if (f.proto == 0 || depth) continue;
      }
      if (f.shape == Shape::Single) {
        Node v = value(f, depth);
        if (f.base == Base::Raw && f.raw_form == RawForm::Json && v.is_null()) continue;
        out.set(f.name, std::move(v));
      } else if (f.shape == Shape::List) {
        for (int i = 0, n = pick(1, 3); i < n; ++i) out[f.name].append(value(f, depth));
      } else {
        for (int i = 0, n = pick(1, 3); i < n; ++i)
          out[f.name].set("key-" + std::to_string(i), f.base == Base::Raw && f.raw_form == RawForm::Json
                                                          ? Node::arr({"a", text()})
                                                          : value(f, depth));
      }
    }
    return out;
  }

 private:
  bool chance(int one_in) { return one_in > 1 && random_.next() % static_cast<uint64_t>(one_in) == 0; }
  int pick(int low, int high) { return low + static_cast<int>(random_.next() % static_cast<uint64_t>(high - low + 1)); }
  std::string text() {
    static constexpr const char* kTexts[] = {"x", "a longer text with \"quotes\"",
                                             "\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80", "line\nbreak"};
    return kTexts[random_.next() % 4];
  }
  Node number(const schema::Field& f) {
    auto bits = static_cast<int64_t>(random_.next());
    int64_t n = f.base == Base::Int64 ? bits : static_cast<int32_t>(bits);
    if (n == 0 || random_.next() % 4 == 0) n = f.zero_is_unset ? 1 : 0;
    return Node(n);
  }
  Node either(const schema::Field& f, int depth) {
    Node one = object(*schema::find_type("apiextensions/v1.JSONSchemaProps"), depth + 2);
    if (chance(2)) return one;
    if (f.raw_form == RawForm::OrBool) return Node(chance(2));
    return f.raw_form == RawForm::OrArray ? Node::arr({one, one}) : Node::arr({"p", "q"});
  }
  Node value(const schema::Field& f, int depth) {
    switch (f.base) {
      case Base::String:
        return f.zero_is_unset || f.shape != Shape::Single ? Node(text()) : Node(chance(2) ? "" : text());
      case Base::Bool:
        return Node(f.zero_is_unset || chance(2));
      case Base::Int32:
      case Base::Int64:
        return number(f);
      case Base::Double:
        return Node(chance(2) ? 0.25 : -1e300);
      case Base::Bytes:
        return Node("aGVsbG8=");
      case Base::Quantity:
        return Node(chance(2) ? "250m" : "1Gi");
      case Base::IntOrString:
        return chance(2) ? Node("25%") : Node(f.zero_is_unset ? 8080 : 0);
      case Base::Time:
        return Node("2024-05-06T07:08:09Z");
      case Base::MicroTime:
        return Node("2024-05-06T07:08:09.000123Z");
      case Base::Object:
        return object(*f.type, depth + 1);
      case Base::Raw:
        if (f.raw_form != RawForm::Json) return either(f, depth);
        return chance(2) ? Node::obj({{"any", Node::arr({1, "x"})}}) : Node("text");
    }
    return Node();
  }

  SeededRandom random_;
};

Node node(std::string_view text) { return Node::parse(text).value(); }

std::string unhex(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  return out;
}

}  // namespace

TEST_CASE("wire: an object of any type comes back as it went") {
  Sampler sampler(11);
  for (const schema::Type* type : schema::all_types())
    for (int i = 0; i < 12; ++i) {
      if (type->name == "meta/v1.Info") continue;  // /version is JSON only
      Node object = sampler.object(*type, i == 0 ? 0 : 1);
      CAPTURE(type->name, object.dump());
      auto back = wire::decode_message(wire::encode_message(object, *type), *type);
      REQUIRE(back.ok());
      CHECK(*back == object);
    }
}

TEST_CASE("wire: every kind, its list and the options go through the envelope") {
  Sampler sampler(5);
  auto check = [&](std::string_view group, std::string_view version, std::string_view kind) {
    CAPTURE(group, kind);
    const schema::Type* type = schema::find_type_of_kind(group, version, kind);
    REQUIRE(type);
    Node object = sampler.object(*type, 0);
    object.set("apiVersion", (group.empty() ? "" : std::string(group) + "/") + std::string(version));
    object.set("kind", kind);
    auto back = wire::decode(wire::encode(object, *type));
    REQUIRE(back.ok());
    CHECK(*back == object);
  };
  for (const KindPtr& kind : builtin_kinds()) {
    check(kind->group, kind->version, kind->kind);
    check(kind->group, kind->version, "DeleteOptions");
    if (schema::find_type(std::string(kind->type->name) + "List"))
      check(kind->group, kind->version, kind->kind + "List");
    for (const auto& sub : kind->subresources)
      if (!sub.group.empty()) check(sub.group, sub.version, sub.kind);
  }
  check("", "v1", "Status");
  check("meta.k8s.io", "v1", "PartialObjectMetadata");
  check("meta.k8s.io", "v1", "PartialObjectMetadataList");
}

// The bytes were made by another encoder, in the order and with the zero values that Go writes.
TEST_CASE("wire: what Go writes reads as the JSON that Go writes") {
  struct Case {
    const char *bytes, *json;
  };
  const Case cases[] = {
      {"6b3873000a0d0a0276311207536572766963651293010a260a0377656212001a0764656661756c7422002a003200380042005a0a0a03617"
       "070120377656212650a1b0a0468747470120354"
       "43501850220a080110001a046874747028000a190a03646e73120355445018352207080010e9291a0028e5ea01120a0a036170701203776"
       "5621a0831302e302e302e312209436c75737465"
       "7249503a00420052005a00600068001a020a001a002200",
       R"({"kind":"Service","apiVersion":"v1","metadata":{"name":"web","namespace":"default","labels":{"app":"web"}},"spec":{"ports":[{"name":"http","protocol":"TCP","port":80,"targetPort":"http"},
          {"name":"dns","protocol":"UDP","port":53,"targetPort":5353,"nodePort":30053}],"selector":{"app":"web"},"clusterIP":"10.0.0.1","type":"ClusterIP"},"status":{"loadBalancer":{}}})"},
      {"6b3873000a090a0276311203506f6412730a030a0170126c0a110a0176120c9a01090a040a02636d18a403124c0a0163120762757379626"
       "f783a100a01411a0b1a090a040a02636d12016b"
       "420f0a0d0a0363707512060a043235306d80010052180a1212100a012f1207080010903f1a001a002200100018011a054e6576657220005"
       "8001a002200",
       R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"p"},"spec":{"volumes":[{"name":"v","configMap":{"name":"cm","defaultMode":420}}],"containers":[{"name":"c","image":"busybox",
          "env":[{"name":"A","valueFrom":{"configMapKeyRef":{"name":"cm","key":"k"}}}],"resources":{"limits":{"cpu":"250m"}},"livenessProbe":{"httpGet":{"path":"/","port":8080},"timeoutSeconds":1}}],
          "restartPolicy":"Never","terminationGracePeriodSeconds":0}})"},
      {"6b3873000a1f0a16636f6f7264696e6174696f6e2e6b38732e696f2f763112054c65617365121a0a030a016c12130a026d65100f1a0b088"
       "0e2cfaa06108094ef3a1a002200",
       R"({"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{"name":"l"},"spec":{"holderIdentity":"me","leaseDurationSeconds":15,"acquireTime":"2023-11-14T22:13:20.123456Z"}})"},
  };
  for (const Case& c : cases) {
    auto got = wire::decode(unhex(c.bytes));
    CAPTURE(c.json, got.ok() ? got->dump() : got.status().message());
    REQUIRE(got.ok());
    CHECK(*got == node(c.json));
  }
}

TEST_CASE("wire: an event of a watch is a length and a message around a whole object") {
  Node cm = node(R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"k":"v"}})");
  std::string frame = wire::watch_frame("ADDED", wire::encode(cm, *schema::find_type("core/v1.ConfigMap")));
  CHECK(frame == unhex("000000330a054144444544122a0a286b3873000a0f0a0276311209436f6e6669674d6170120d0a030a016112060a016"
                       "b1201761a002200"));
  Node event = wire::decode_message(frame.substr(4), *schema::find_type("meta/v1.WatchEvent")).value();
  CHECK(event.get("type").str() == "ADDED");
  CHECK(event.get("object") == cm);
}

TEST_CASE("wire: a list is made of the messages of its items") {
  const schema::Type& type = *schema::find_type("core/v1.ConfigMap");
  Node one = node(R"({"metadata":{"name":"a"}})"), two = node(R"({"metadata":{"name":"b"},"data":{"k":"v"}})");
  Node meta = node(R"({"resourceVersion":"7","continue":"t","remainingItemCount":3})");
  auto list = wire::decode(wire::encode_list("v1", "ConfigMapList", meta,
                                             {wire::encode_message(one, type), wire::encode_message(two, type)}));
  REQUIRE(list.ok());
  CHECK(list->get("kind").str() == "ConfigMapList");
  CHECK(list->get("metadata") == meta);
  CHECK(list->get("items") == Node::arr({one, two}));
}

TEST_CASE("wire: broken bytes are refused or skipped, never a crash") {
  Node pod = node(
      R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","labels":{"k":"v"}},"spec":{"containers":[{"name":"c","ports":[{"containerPort":80}]}]}})");
  std::string bytes = wire::encode(pod, *schema::find_type("core/v1.Pod"));
  CHECK(!wire::decode("{}").ok());
  CHECK(!wire::decode("").ok());
  SeededRandom random(7);
  for (int i = 0; i < 5000; ++i) {
    std::string broken = bytes;
    for (int n = 0; n < 3; ++n) broken[4 + random.next() % (broken.size() - 4)] = static_cast<char>(random.next());
    (void)wire::decode(broken);
    (void)wire::decode(bytes.substr(0, random.next() % bytes.size()));
  }
}

TEST_CASE("wire: hostile messages are refused with a reason") {
  const schema::Type& pod = *schema::find_type("core/v1.Pod");
  const schema::Type& props = *schema::find_type("apiextensions/v1.JSONSchemaProps");
  auto refused = [](Result<Node> r) {
    return !r.ok() && r.status().is(Reason::BadRequest) && r.status().message().starts_with("protobuf: ");
  };
  CHECK(refused(wire::decode_message(unhex("0a05"), pod)));                     // shorter than it says
  CHECK(refused(wire::decode_message(unhex("0affffffffffffffffff01"), pod)));   // a length of 2^64-1
  CHECK(refused(wire::decode_message(unhex("0a80808080808080808080"), pod)));   // a varint without an end
  CHECK(refused(wire::decode_message(unhex("0b"), pod)));                       // a group
  CHECK(refused(wire::decode_message(unhex("0801"), pod)));                     // metadata as a number
  CHECK(refused(wire::decode_message(unhex("0a040a02c328"), pod)));             // a name that is no UTF-8
  CHECK(refused(wire::decode_message(unhex("0a0442020aff"), pod)));             // a broken time
  CHECK(wire::decode_message(unhex("f83f01"), pod).value() == Node::object());  // an unknown field
  std::string nested;  // JSONSchemaProps.not = 28, within itself
  for (int i = 0; i < 5000; ++i) {
    std::string length;
    for (size_t n = nested.size();; n >>= 7) {
      length += static_cast<char>(n >= 128 ? n | 128 : n);
      if (n < 128) break;
    }
    nested = "\xe2\x01" + length + nested;
  }
  CHECK(refused(wire::decode_message(nested, props)));
  std::string many;  // ConfigMapList.items = 2, three million of them
  for (int i = 0; i < 3'000'000; ++i) many.append("\x12\0", 2);
  CHECK(refused(wire::decode_message(many, *schema::find_type("core/v1.ConfigMapList"))));
}
