// Help, the list of global options and shell completion, all printed from the command table.
#include <algorithm>

#include "base/strings.h"
#include "kubectl/commands/commands.h"
#include "kubectl/completing.h"

namespace k8lite::kubectl {
namespace {

std::string flag_lines(const std::vector<FlagSpec>& flags) {
  std::vector<const FlagSpec*> order;
  for (const FlagSpec& f : flags) order.push_back(&f);
  std::sort(order.begin(), order.end(), [](const FlagSpec* a, const FlagSpec* b) { return a->name < b->name; });
  std::string out;
  for (const FlagSpec* f : order) {
    std::string value = f->kind == FlagKind::Bool || f->kind == FlagKind::Number ? (f->otherwise.empty() ? "0" : f->otherwise)
                        : f->kind == FlagKind::List ? "[]" : f->kind == FlagKind::Time ? (f->otherwise.empty() ? "0s" : f->otherwise) : "'" + f->otherwise + "'";
    out += "    " + (f->shorthand ? std::string("-") + f->shorthand + ", " : std::string()) + "--" + f->name + "=" + value + ":\n\t" + f->help + "\n\n";
  }
  return out;
}

std::string padded(const std::string& name, size_t width) { return "  " + name + std::string(width > name.size() ? width - name.size() : 1, ' '); }

const Command* command_at(const std::vector<std::string>& words) {
  const Command* found = nullptr;
  for (const std::string& word : words) {
    const Command* next = nullptr;
    if (found) next = found->child(word);
    else
      for (const Command& c : commands())
        if (c.name == word) next = &c;
    if (!next) return nullptr;
    found = next;
  }
  return found;
}

Result<> help(Session& s) {
  if (s.flags.args.empty()) {
    s.out(overview());
    return {};
  }
  const Command* found = command_at(s.flags.args);
  if (!found) {
    s.err("Unknown help topic [`" + join(s.flags.args, "` `") + "`]\n\n" + overview());
    return {};
  }
  std::string path = "kubectl " + join(s.flags.args, " ");
  s.out(full_help(*found, path));
  return {};
}

Result<> options(Session& s) {
  s.out("The following options can be passed to any command:\n\n" + flag_lines(global_flags()));
  return {};
}

Result<> completion(Session& s) {
  if (s.flags.args.empty()) return usage("Shell not specified.\nSee 'kubectl completion -h' for help and examples");
  if (s.flags.args.size() > 1) return usage("Too many arguments. Expected only the shell type.\nSee 'kubectl completion -h' for help and examples");
  std::string script = completion_script(s.flags.args[0]);
  if (script.empty()) return usage("Unsupported shell type " + json::quoted(s.flags.args[0]) + ".\nSee 'kubectl completion -h' for help and examples");
  s.out(script);
  return {};
}

size_t widest(const std::vector<Command>& list, size_t least) {
  for (const Command& c : list) least = std::max(least, c.name.size());
  return least;
}

}  // namespace

std::string full_help(const Command& c, const std::string& path) {
  std::string out = c.summary + ".\n\n";
  if (!c.aliases.empty()) out += "Aliases:\n" + c.name + ", " + join(c.aliases, ", ") + "\n\n";
  if (!c.examples.empty()) out += "Examples:\n" + c.examples + "\n\n";
  if (!c.children.empty()) {
    out += "Available Commands:\n";
    for (const Command& k : c.children) out += padded(k.name, widest(c.children, 11) + 3) + k.summary + "\n";
    out += "\n";
  }
  if (!c.flags.empty()) out += "Options:\n" + flag_lines(c.flags);
  out += "Usage:\n  " + path + " " + (c.usage.empty() ? c.children.empty() ? "[options]" : "[flags] [options]" : c.usage + " [options]") + "\n\n";
  if (!c.children.empty()) out += "Use \"" + path + " <command> --help\" for more information about a given command.\n";
  return out + "Use \"kubectl options\" for a list of global command-line options (applies to all commands).\n";
}

std::string help_of(std::string_view path) {
  auto words = split_strings(path, ' ');
  words.erase(words.begin());
  const Command* c = command_at(words);
  return c ? full_help(*c, std::string(path)) : "";
}

std::string overview() {
  std::string out = "kubectl controls the Kubernetes cluster manager.\n\n Find more information at: https://kubernetes.io/docs/reference/kubectl/\n\n";
  static const char* const groups[] = {"Basic Commands (Beginner)", "Basic Commands (Intermediate)", "Deploy Commands", "Cluster Management Commands",
                                       "Troubleshooting and Debugging Commands", "Advanced Commands", "Settings Commands", "Other Commands"};
  for (const char* group : groups) {
    std::string lines;
    for (const Command& c : commands())
      if (c.group == group) lines += padded(c.name, 16) + c.summary + "\n";
    if (!lines.empty()) out += std::string(group) + ":\n" + lines + "\n";
  }
  return out + "Usage:\n  kubectl [flags] [options]\n\nUse \"kubectl <command> --help\" for more information about a given command.\n"
               "Use \"kubectl options\" for a list of global command-line options (applies to all commands).\n";
}

std::vector<Command> help_commands() {
  return {{"completion", "Settings Commands", "Output shell completion code for the specified shell (bash, zsh, fish, or powershell)", "SHELL", {}, completion},
          {"options", "Other Commands", "Print the list of flags inherited by all commands", "", {}, options},
          {"help", "", "Help about any command", "[command]", {}, help}};
}

}  // namespace k8lite::kubectl
