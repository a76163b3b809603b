// Gathers the commands of this folder in the order of the help page, and the flags all of them share.
#include "kubectl/commands/commands.h"

#include <algorithm>

#include "base/strings.h"

namespace k8lite::kubectl {

const Command* Command::child(std::string_view word) const {
  for (const Command& c : children)
    if (c.name == word || std::find(c.aliases.begin(), c.aliases.end(), word) != c.aliases.end()) return &c;
  return nullptr;
}

const std::vector<Command>& commands() {
  static const std::vector<Command> table = [] {
    std::vector<Command> all;
    for (auto family : {create_commands, run_commands, set_commands, explain_commands, kustomize_commands, get_commands, describe_commands, edit_commands, delete_commands, rollout_commands, certificate_commands, top_commands, node_commands, info_commands, auth_commands, log_commands, exec_commands, port_forward_commands, copy_commands, event_commands, diff_commands, apply_commands, wait_commands, config_commands, help_commands}) {
      std::vector<Command> some = family();
      std::move(some.begin(), some.end(), std::back_inserter(all));
    }
    return all;
  }();
  return table;
}

const std::vector<FlagSpec>& global_flags() {
  static const std::vector<FlagSpec> flags = {
      {"namespace", 'n', FlagKind::Text, "", "Namespace of this request"},
      {"kubeconfig", 0, FlagKind::Text, "", "Path to the kubeconfig file"},
      {"context", 0, FlagKind::Text, "", "Kubeconfig context to use"},
      {"cluster", 0, FlagKind::Text, "", "Kubeconfig cluster to use"},
      {"user", 0, FlagKind::Text, "", "Kubeconfig user to use"},
      {"server", 's', FlagKind::Text, "", "Address and port of the API server"},
      {"token", 0, FlagKind::Text, "", "Bearer token for the API server"},
      {"insecure-skip-tls-verify", 0, FlagKind::Bool, "false", "Do not check the server's certificate"},
      {"as", 0, FlagKind::Text, "", "User to impersonate"},
      {"as-group", 0, FlagKind::List, "", "Group to impersonate, may be repeated"},
      {"request-timeout", 0, FlagKind::Text, "0", "How long to wait for one request"},
      {"v", 'v', FlagKind::Number, "0", "6 and more: print the requests"},
      {"warnings-as-errors", 0, FlagKind::Bool, "false", "Treat warnings of the server as errors"},
      {"help", 'h', FlagKind::Bool, "false", "Print this help"},
  };
  return flags;
}

FlagSpec output_flag() {
  return {"output", 'o', FlagKind::Text, "", "Output format: json, yaml, name, wide, jsonpath=, jsonpath-file=, jsonpath-as-json=, custom-columns=, custom-columns-file="};
}

std::vector<FlagSpec> file_flags() {
  return {{"filename", 'f', FlagKind::List, "", "File, folder or URL with the objects; - is stdin"},
          {"recursive", 'R', FlagKind::Bool, "false", "Also read folders below"},
          {"kustomize", 'k', FlagKind::Text, "", "Folder with a kustomization.yaml"}};
}

std::vector<FlagSpec> selector_flags() {
  return {{"selector", 'l', FlagKind::Text, "", "Label selector: a=b,c!=d,e in (f,g)"},
          {"field-selector", 0, FlagKind::Text, "", "Field selector: metadata.name=x"},
          {"all-namespaces", 'A', FlagKind::Bool, "false", "Objects of all namespaces"}};
}

std::vector<FlagSpec> write_flags() {
  return {output_flag(),
          {"dry-run", 0, FlagKind::Text, "none", "none, client or server", "client"},
          {"field-manager", 0, FlagKind::Text, "", "Name that owns the changed fields"},
          {"template", 0, FlagKind::Text, "", "Template for -o go-template and -o jsonpath"},
          {"show-managed-fields", 0, FlagKind::Bool, "false", "Keep managedFields in JSON and YAML"}};
}

std::vector<FlagSpec> flags_of(std::initializer_list<std::vector<FlagSpec>> sets) {
  std::vector<FlagSpec> out;
  for (const auto& set : sets) out.insert(out.end(), set.begin(), set.end());
  return out;
}

Result<DryRun> DryRun::of(const Session& s) {
  std::string v = s.flags.text("dry-run");
  DryRun d;
  if (v == "client") d.client = true;
  else if (v == "server") d.server = true;
  else if (v != "none" && !v.empty()) return usage("Invalid dry-run value (" + v + "). Must be \"none\", \"server\", or \"client\".");
  return d;
}

std::string field_manager(const Session& s, std::string_view otherwise) {
  return s.flags.text("field-manager").empty() ? std::string(otherwise) : s.flags.text("field-manager");
}

}  // namespace k8lite::kubectl
