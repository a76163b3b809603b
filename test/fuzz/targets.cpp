// The table of targets, and those of text formats.
#include "fuzz/targets.h"

#include <cstdio>
#include <cstdlib>

#include "api/kinds.h"
#include "api/patch/patch.h"
#include "api/selector.h"
#include "api/wire/wire.h"
#include "base/json.h"
#include "base/yaml.h"

namespace k8lite::fuzz {
namespace {

using json::Node;

constexpr Target kTargets[] = {{"json", json}, {"yaml", yaml},   {"patches", patches}, {"selectors", selectors},
                               {"wire", wire}, {"http1", http1}, {"http2", http2},     {"request", request}};

std::pair<std::string_view, std::string_view> halves(std::string_view data, char at) {
  size_t i = data.find(at);
  return i == data.npos ? std::pair{data, std::string_view()} : std::pair{data.substr(0, i), data.substr(i + 1)};
}

bool has_null(const Node& n) {
  if (n.is_null()) return true;
  for (const Node& i : n.items())
    if (has_null(i)) return true;
  for (const auto& [key, value] : n.members())
    if (has_null(value)) return true;
  return false;
}

}  // namespace

std::span<const Target> targets() { return kTargets; }

void fail(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
  std::abort();
}

void json(std::string_view data) {
  std::vector<std::string> duplicates;
  json::ParseOptions options;
  options.duplicates = &duplicates;
  auto node = Node::parse(data, options);
  auto doc = json::Doc::parse(data);
  K8_MUST(node.ok() == doc.ok());
  if (!node.ok()) {
    K8_MUST(!node.status().message().empty());
    return;
  }
  std::string text = node->dump();
  auto again = Node::parse(text);
  K8_MUST(again.ok());
  K8_MUST(again->dump() == text);
  K8_MUST(json::Doc::from(*node).to_node().dump() == text);
  if (duplicates.empty()) K8_MUST(doc->to_node().dump() == text);
}

void yaml(std::string_view data) {
  auto documents = parse_yaml(data, "fuzz");
  if (!documents.ok()) return;
  for (const YamlDocument& d : *documents) {
    std::string text = dump_yaml(d.value);
    auto again = parse_yaml(text, "again");
    K8_MUST(again.ok());
    K8_MUST(again->size() <= 1);
    if (!again->empty()) K8_MUST((*again)[0].value.dump() == d.value.dump());
  }
}

void patches(std::string_view data) {
  auto [first, second] = halves(data, '\n');
  auto object = Node::parse(first), patch = Node::parse(second);
  if (!object.ok() || !patch.ok()) return;
  (void)api::patch::apply_json_patch(*object, *patch).ok();
  Node merged = api::patch::apply_merge_patch(*object, *patch);
  K8_MUST(api::patch::apply_merge_patch(merged, *patch) == merged);  // once is enough
  if (object->is_object() && patch->is_object() && !has_null(*object) && !has_null(*patch)) {
    Node smallest = api::patch::make_merge_patch(*object, *patch);
    K8_MUST(api::patch::apply_merge_patch(*object, smallest) == *patch);
  }
  for (const auto& kind : api::builtin_kinds()) {
    if (kind->kind != "Deployment" && kind->kind != "Service") continue;
    auto strategic = api::apply_strategic_merge(*object, *patch, kind->type);
    if (strategic.ok()) (void)strategic->dump();
  }
}

void selectors(std::string_view data) {
  auto [text, object] = halves(data, '\n');
  auto document = json::Doc::parse(object);
  auto labels = api::LabelSelector::parse(text);
  if (labels.ok()) {
    auto again = api::LabelSelector::parse(labels->text());
    K8_MUST(again.ok());
    K8_MUST(again->text() == labels->text());
    if (document.ok()) K8_MUST(labels->matches(document->root()) == again->matches(document->root()));
  }
  auto fields = api::FieldSelector::parse(text);
  if (!document.ok()) return;
  if (fields.ok()) (void)fields->matches(document->root());
  auto from_object = api::LabelSelector::from_object(document->root());
  if (from_object.ok()) (void)from_object->matches(document->root());
}

void wire(std::string_view data) {
  // With and without the envelope: few random bytes get through that.
  auto [kind, bytes] = halves(data, '\n');
  (void)api::wire::decode(data).ok();
  for (const auto& k : api::builtin_kinds()) {
    if (k->kind != kind) continue;
    auto node = api::wire::decode_message(bytes, *k->type);
    if (!node.ok()) return;
    std::string out = api::wire::encode_message(*node, *k->type);
    auto again = api::wire::decode_message(out, *k->type);
    K8_MUST(again.ok());
    K8_MUST(again->dump() == node->dump());
    return;
  }
}

}  // namespace k8lite::fuzz
