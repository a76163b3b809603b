// What the subcommands of `create` share.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "kubectl/commands/commands.h"

namespace k8lite::kubectl {

// The one NAME among the arguments in front of "--".
Result<std::string> one_name(const Session& session);
// The object with name and namespace filled in, on its way to the server (or printed, with --dry-run=client).
Result<> generate(Session& session, std::string_view group, std::string_view version, std::string_view kind, std::string_view resource, bool namespaced, json::Node object);
// ingress, poddisruptionbudget, priorityclass, quota; `common` goes before each one's own flags.
std::vector<Command> further_create_commands(const std::vector<FlagSpec>& common);

// Adds the empty parts that kubectl's typed objects print ("status: {}"), so that generated files look alike. Pure.
void add_empty_parts(json::Node& object);

}  // namespace k8lite::kubectl
