// Help, the list of global options and shell completion, all printed from the command table.
#include <algorithm>

#include "base/strings.h"
#include "kubectl/commands/commands.h"

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

Result<> help(Session& s) {
  if (s.flags.args.empty()) {
    s.out(overview());
    return {};
  }
  const Command* found = nullptr;
  std::string path = "kubectl";
  for (const std::string& word : s.flags.args) {
    const Command* next = nullptr;
    if (found) next = found->child(word);
    else
      for (const Command& c : commands())
        if (c.name == word) next = &c;
    if (!next) return usage("Unknown help topic [" + join(s.flags.args, " ") + "]");
    found = next;
    path += " " + word;
  }
  s.out(full_help(*found, path));
  return {};
}

Result<> options(Session& s) {
  s.out("The following options can be passed to any command:\n\n" + flag_lines(global_flags()));
  return {};
}

Result<> completion(Session& s) {
  if (s.flags.args.empty()) return usage("Shell not specified.\nSee 'kubectl completion -h' for help and examples");
  if (s.flags.args[0] != "bash") return usage("Unsupported shell type \"" + s.flags.args[0] + "\".");
  std::string names;
  std::string cases;
  for (const Command& c : commands()) {
    names += (names.empty() ? "" : " ") + c.name;
    std::string words;
    for (const Command& k : c.children) words += " " + k.name;
    std::string flags;
    for (const FlagSpec& f : c.flags) flags += " --" + f.name;
    cases += "    " + c.name + ") words=\"" + std::string(trim(words)) + "\"; flags=\"" + std::string(trim(flags)) + "\" ;;\n";
  }
  std::string global;
  for (const FlagSpec& f : global_flags()) global += " --" + f.name;
  s.out("# bash completion for kubectl\n"
        "__kubectl_complete() {\n"
        "  local cur=\"${COMP_WORDS[COMP_CWORD]}\" command=\"\" i words=\"\" flags=\"\" types\n"
        "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
        "    case \"${COMP_WORDS[i]}\" in -n|--namespace|--context|--kubeconfig|-s|--server) i=$((i + 1)) ;; -*) ;; *) command=\"${COMP_WORDS[i]}\"; break ;; esac\n"
        "  done\n"
        "  if [[ -z $command ]]; then COMPREPLY=($(compgen -W \"" + names + global + "\" -- \"$cur\")); return; fi\n"
        "  case \"$command\" in\n" + cases +
        "  esac\n"
        "  if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W \"$flags" + global + "\" -- \"$cur\")); return; fi\n"
        "  if [[ -n $words && $((i + 1)) -eq $COMP_CWORD ]]; then COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")); return; fi\n"
        "  case \"$command\" in\n"
        "    logs|exec|attach|port-forward) types=\"$(\"${COMP_WORDS[0]}\" get pods -o 'jsonpath={.items[*].metadata.name}' 2>/dev/null)\" ;;\n"
        "    cordon|uncordon|drain) types=\"$(\"${COMP_WORDS[0]}\" get nodes -o 'jsonpath={.items[*].metadata.name}' 2>/dev/null)\" ;;\n"
        "    *) if [[ $((i + 1)) -eq $COMP_CWORD ]]; then types=\"$(\"${COMP_WORDS[0]}\" api-resources -o name 2>/dev/null | sed 's/\\..*//')\"\n"
        "       else types=\"$(\"${COMP_WORDS[0]}\" get \"${COMP_WORDS[i + 1]}\" -o 'jsonpath={.items[*].metadata.name}' 2>/dev/null)\"; fi ;;\n"
        "  esac\n"
        "  COMPREPLY=($(compgen -W \"$types\" -- \"$cur\"))\n"
        "}\n"
        "complete -F __kubectl_complete kubectl\n");
  return {};
}

}  // namespace

std::string full_help(const Command& c, const std::string& path) {
  std::string out = c.summary + ".\n\n";
  if (!c.examples.empty()) out += "Examples:\n" + c.examples + "\n\n";
  if (!c.children.empty()) {
    out += "Available Commands:\n";
    for (const Command& k : c.children) out += padded(k.name, 16) + k.summary + "\n";
    out += "\n";
  }
  if (!c.flags.empty()) out += "Options:\n" + flag_lines(c.flags);
  out += "Usage:\n  " + path + " " + (c.usage.empty() ? c.children.empty() ? "[flags] [options]" : "COMMAND [options]" : c.usage + " [options]") + "\n\n";
  if (!c.children.empty()) out += "Use \"" + path + " <command> --help\" for more information about a given command.\n";
  return out + "Use \"kubectl options\" for a list of global command-line options (applies to all commands).\n";
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
  return {{"completion", "Settings Commands", "Output shell completion code for bash", "bash", {}, completion},
          {"options", "Other Commands", "Print the list of flags inherited by all commands", "", {}, options},
          {"help", "", "Help about any command", "[command]", {}, help}};
}

}  // namespace k8lite::kubectl
