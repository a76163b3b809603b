// Finds the command in the words (global flags may stand before it), reads its flags and runs it.
#include "kubectl/kubectl.h"

#include <csignal>
#include <cstdio>

#include "base/strings.h"
#include "kubectl/commands/commands.h"
#include "kubectl/commands/suggest.h"

namespace k8lite::kubectl {
namespace {

// The index of the first word that is not a flag or a flag's value; words.size() when there is none.
size_t next_word(const std::vector<std::string>& words, size_t from, const std::vector<FlagSpec>& flags) {
  for (size_t i = from; i < words.size(); ++i) {
    const std::string& w = words[i];
    if (w == "--") return words.size();
    if (w.size() < 2 || w[0] != '-') return i;
    if (w.find('=') != std::string::npos) continue;
    for (const FlagSpec& f : flags) {
      bool is = w[1] == '-' ? w.substr(2) == f.name : w.size() == 2 && w[1] == f.shorthand;
      if (is && f.kind != FlagKind::Bool && f.bare.empty()) {
        ++i;
        break;
      }
    }
  }
  return words.size();
}

size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

int unknown_command(const std::string& word, const std::string& path, const std::vector<Command>& table) {
  std::string text = "error: unknown command " + json::quoted(word) + " for " + json::quoted(path) + "\n";
  std::string guesses;
  for (const Command& c : table)
    if (distance(word, c.name) <= 2 || c.name.starts_with(word)) guesses += "\t" + c.name + "\n";
  if (!guesses.empty()) text += "\nDid you mean this?\n" + guesses;
  std::fputs(text.c_str(), stderr);
  return 1;
}

int print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  return 0;
}

bool wants_help(const std::vector<std::string>& words) {
  for (const std::string& w : words) {
    if (w == "--") return false;
    if (w == "--help" || w == "-h") return true;
  }
  return false;
}

}  // namespace

int run_kubectl(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
  if (!words.empty() && (words[0] == "__complete" || words[0] == "__completeNoDesc")) return suggest(words[0] == "__complete", {words.begin() + 1, words.end()});
  std::string path = "kubectl";
  std::vector<FlagSpec> flags = global_flags();
  const Command* command = nullptr;
  size_t at = next_word(words, 0, flags);
  if (at == words.size()) {
    auto parsed = Flags::parse(flags, words);
    if (parsed.ok()) return print(overview());
    std::fprintf(stderr, "error: %s\nSee 'kubectl --help' for usage.\n", parsed.status().message().c_str());
    return 1;
  }
  for (const Command& c : commands())
    if (c.name == words[at]) command = &c;
  if (!command) return unknown_command(words[at], path, commands());
  for (;;) {
    path += " " + command->name;
    words.erase(words.begin() + static_cast<std::ptrdiff_t>(at));
    flags.insert(flags.begin(), command->flags.begin(), command->flags.end());
    if (command->children.empty()) break;
    size_t next = next_word(words, 0, flags);
    const Command* child = next < words.size() ? command->child(words[next]) : nullptr;
    if (!child) {
      if (wants_help(words)) return print(full_help(*command, path));
      if (command->run) break;
      if (next == words.size()) std::fputs(full_help(*command, path).c_str(), stderr);
      else std::fprintf(stderr, "error: unknown command %s\nSee '%s -h' for help and examples\n", json::quoted(words[next]).c_str(), path.c_str());
      return 1;
    }
    command = child;
    at = next;
  }
  if (wants_help(words)) return print(full_help(*command, path));
  auto parsed = Flags::parse(flags, words);
  if (!parsed.ok()) {
    std::fprintf(stderr, "error: %s\nSee '%s --help' for usage.\n", parsed.status().message().c_str(), path.c_str());
    return 1;
  }
  Session session(std::move(parsed).value());
  session.command_path = path;
  for (const FlagSpec& own : command->flags)
    for (const FlagSpec& global : global_flags())
      if (own.name == global.name) session.own_flags.push_back(own.name);
  auto done = command->run(session);
  if (!done.ok()) session.fail(done.status());
  std::fflush(stdout);
  return session.exit_code;
}

}  // namespace k8lite::kubectl
