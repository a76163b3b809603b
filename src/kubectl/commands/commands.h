// The table of commands: dispatch, help and completion are read from it. Each command lives in a file of its own beside this one.
#pragma once
#include <string>
#include <vector>

#include "kubectl/session.h"

namespace k8lite::kubectl {

struct Command {
  std::string name, group, summary, usage;  // usage: what follows the command's name
  std::vector<FlagSpec> flags;
  Result<> (*run)(Session&) = nullptr;      // null: only subcommands
  std::vector<Command> children = {};
  std::vector<std::string> aliases = {};
  std::string examples = {};

  const Command* child(std::string_view word) const;
};

const std::vector<Command>& commands();
const std::vector<FlagSpec>& global_flags();
// Sets of flags that many commands share.
FlagSpec output_flag();
std::vector<FlagSpec> file_flags();        // -f -R -k
std::vector<FlagSpec> selector_flags();    // -l --field-selector -A --all
std::vector<FlagSpec> write_flags();       // --dry-run --field-manager -o
std::vector<FlagSpec> flags_of(std::initializer_list<std::vector<FlagSpec>> sets);

// Checks --dry-run; `client` then says that nothing may be sent.
struct DryRun {
  bool client = false, server = false;
  std::string query() const { return server ? "All" : ""; }
  static Result<DryRun> of(const Session& session);
};
std::string field_manager(const Session& session, std::string_view otherwise);
std::string full_help(const Command& command, const std::string& path);
std::string help_of(std::string_view path);  // of "kubectl config view"
std::string overview();

// One function a file of this folder.
std::vector<Command> get_commands();
std::vector<Command> create_commands();
std::vector<Command> apply_commands();
std::vector<Command> delete_commands();
std::vector<Command> info_commands();
std::vector<Command> run_commands();
std::vector<Command> log_commands();
std::vector<Command> describe_commands();
std::vector<Command> rollout_commands();
std::vector<Command> set_commands();
std::vector<Command> edit_commands();
std::vector<Command> wait_commands();
std::vector<Command> exec_commands();
std::vector<Command> auth_commands();
std::vector<Command> port_forward_commands();
std::vector<Command> copy_commands();
std::vector<Command> diff_commands();
std::vector<Command> event_commands();
std::vector<Command> dump_commands();  // below cluster-info
std::vector<Command> config_commands();
std::vector<Command> top_commands();
std::vector<Command> node_commands();
std::vector<Command> certificate_commands();
std::vector<Command> explain_commands();
std::vector<Command> kustomize_commands();
std::vector<Command> help_commands();

}  // namespace k8lite::kubectl
