// kubectl kustomize: a kustomization's objects as YAML.
#include "kubectl/kustomize.h"
#include "base/yaml.h"
#include "kubectl/commands/commands.h"

namespace k8lite::kubectl {

namespace {

Result<> kustomize(Session& s) {
  if (s.flags.args.size() > 1) return usage("specify one path to a folder with a kustomization.yaml");
  auto objects = build_kustomization(s.flags.args.empty() ? "." : s.flags.args[0]);
  if (!objects.ok()) return usage(objects.status().message());
  std::string text;
  for (const json::Node& o : *objects) text += (text.empty() ? "" : "---\n") + dump_yaml(o);
  s.out(text);
  return {};
}

}  // namespace

std::vector<Command> kustomize_commands() {
  Command c{"kustomize", "Advanced Commands", "Print the objects of a kustomization", "DIR", {}, kustomize};
  c.examples =
      "  # The objects of this folder's kustomization.yaml\n  kubectl kustomize .\n\n  # Made on the server\n  kubectl "
      "apply -k .";
  return {c};
}

}  // namespace k8lite::kubectl
