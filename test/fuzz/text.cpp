// Targets that are text formats: JSON and YAML.
#include "base/json.h"
#include "base/yaml.h"
#include "fuzz/targets.h"

namespace k8lite::fuzz {

using json::Node;

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
    if (!again->empty()) K8_MUST((*again)[0].value == d.value);
  }
}

}  // namespace k8lite::fuzz
