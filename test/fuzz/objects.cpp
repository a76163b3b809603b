// Targets that are about objects: patches, selectors and the protobuf form.
#include "api/kinds.h"
#include "api/patch/patch.h"
#include "api/selector.h"
#include "api/wire/wire.h"
#include "fuzz/targets.h"

namespace k8lite::fuzz {
namespace {

using json::Node;

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
    K8_MUST(*again == *node);
    return;
  }
}

}  // namespace k8lite::fuzz
