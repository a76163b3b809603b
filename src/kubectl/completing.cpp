// The words are followed through the command table; only the last one is open.
#include "kubectl/completing.h"

#include <algorithm>

#include "base/strings.h"
#include "kubectl/commands/commands.h"

namespace k8lite::kubectl {

namespace {

// What the arguments of a command are.
enum class Wants : unsigned char { Nothing, TypeThenNames, Type, Pod, Node, Context, Cluster, User, Command, Shell, Rollout, Scalable, PodOrFile };

Wants wants_of(const std::string& path) {
  static const std::pair<const char*, Wants> table[] = {
      {"get", Wants::TypeThenNames}, {"describe", Wants::TypeThenNames}, {"delete", Wants::TypeThenNames}, {"edit", Wants::TypeThenNames}, {"label", Wants::TypeThenNames},
      {"annotate", Wants::TypeThenNames}, {"patch", Wants::TypeThenNames}, {"wait", Wants::TypeThenNames}, {"expose", Wants::TypeThenNames}, {"autoscale", Wants::Scalable}, {"scale", Wants::Scalable},
      {"explain", Wants::Type}, {"logs", Wants::Pod}, {"exec", Wants::Pod}, {"attach", Wants::Pod}, {"port-forward", Wants::Pod}, {"cp", Wants::PodOrFile}, {"cordon", Wants::Node},
      {"uncordon", Wants::Node}, {"drain", Wants::Node}, {"top node", Wants::Node}, {"top pod", Wants::Pod}, {"taint", Wants::TypeThenNames}, {"config use-context", Wants::Context},
      {"config delete-context", Wants::Context}, {"config get-contexts", Wants::Context}, {"config rename-context", Wants::Context}, {"config set-context", Wants::Context},
      {"config delete-cluster", Wants::Cluster}, {"config set-cluster", Wants::Cluster}, {"config delete-user", Wants::User}, {"config set-credentials", Wants::User}, {"help", Wants::Command},
      {"completion", Wants::Shell}, {"rollout history", Wants::Rollout}, {"rollout pause", Wants::Rollout}, {"rollout restart", Wants::Rollout}, {"rollout resume", Wants::Rollout},
      {"rollout status", Wants::Rollout}, {"rollout undo", Wants::Rollout}, {"set image", Wants::Rollout}, {"set env", Wants::Rollout}, {"set resources", Wants::Rollout}};
  for (const auto& [name, wants] : table)
    if (path == name) return wants;
  return Wants::Nothing;
}

class Completer {
 public:
  Completer(const std::vector<std::string>& words, const Lookup& lookup) : lookup_(lookup), flags_(global_flags()), open_(words.empty() ? "" : words.back()) {
    if (!words.empty()) before_.assign(words.begin(), words.end() - 1);
  }

  Completion run() {
    const FlagSpec* pending = follow();
    size_t eq = open_.find('=');
    if (ended_) return {};
    if (pending) value_of(*pending, "", open_);
    else if (open_.starts_with("--") && eq != std::string::npos) {
      for (const FlagSpec& f : flags_)
        if (f.name == open_.substr(2, eq - 2)) value_of(f, open_.substr(0, eq + 1), open_.substr(eq + 1));
    } else if (open_.starts_with('-')) {
      flag_names();
    } else {
      arguments();
    }
    return std::move(out_);
  }

 private:
  // Walks the finished words; returns the flag whose value is open.
  const FlagSpec* follow() {
    const FlagSpec* pending = nullptr;
    for (const std::string& w : before_) {
      if (pending) {
        pending = nullptr;
        continue;
      }
      if (w == "--") {
        ended_ = true;
        return nullptr;
      }
      if (w.size() > 1 && w[0] == '-') {
        if (w.find('=') == std::string::npos) pending = waits_for_value(w);
        continue;
      }
      const Command* next = command_ ? command_->child(w) : nullptr;
      if (!command_)
        for (const Command& c : commands())
          if (c.name == w) next = &c;
      if (next && args_.empty()) {
        command_ = next;
        path_ += (path_.empty() ? "" : " ") + next->name;
        flags_.insert(flags_.end(), next->flags.begin(), next->flags.end());
      } else {
        args_.push_back(w);
      }
    }
    return pending;
  }

  const FlagSpec* waits_for_value(const std::string& word) const {
    for (const FlagSpec& f : flags_) {
      bool is = word[1] == '-' ? word.substr(2) == f.name : word.size() == 2 && word[1] == f.shorthand;
      if (is && f.kind != FlagKind::Bool && f.bare.empty()) return &f;
    }
    return nullptr;
  }

  void offer(const std::string& word, const std::string& description = "") {
    if (word.starts_with(open_)) out_.candidates.emplace_back(word, description);
  }
  void offer_all(const std::vector<std::string>& words, const std::string& prefix = "") {
    for (const std::string& w : words) offer(prefix + w);
  }

  void flag_names() {
    std::vector<const FlagSpec*> order;
    for (const FlagSpec& f : flags_) order.push_back(&f);
    std::stable_sort(order.begin(), order.end(), [](const FlagSpec* a, const FlagSpec* b) { return a->name < b->name; });
    bool needs = false;
    for (const FlagSpec* f : order) {
      bool value = f->kind != FlagKind::Bool;
      needs = needs || value;
      offer("--" + f->name + (value && f->bare.empty() ? "=" : ""), f->help);
      if (f->shorthand && (open_ == "-" || open_ == std::string("-") + f->shorthand)) offer(std::string("-") + f->shorthand, f->help);
    }
    if (out_.candidates.size() == 1 && out_.candidates[0].first.ends_with('=')) out_.directive |= Completion::NoSpace;
  }

  // Values of a flag; `lead` is "--flag=" where the value stands behind it in the same word.
  void value_of(const FlagSpec& f, const std::string& lead, const std::string& value) {
    std::vector<std::string> values;
    if (f.name == "namespace") values = lookup_.names("namespaces");
    else if (f.name == "context") values = lookup_.config("contexts");
    else if (f.name == "cluster") values = lookup_.config("clusters");
    else if (f.name == "user") values = lookup_.config("users");
    else if (f.name == "container" && !args_.empty()) values = lookup_.containers(args_[0]);
    else if (f.name == "dry-run") values = {"none", "server", "client"};
    else if (f.name == "cascade") values = {"background", "foreground", "orphan"};
    else if (f.name == "restart") values = {"Always", "OnFailure", "Never"};
    else if (f.name == "output") values = {"json", "yaml", "kyaml", "name", "wide", "jsonpath", "jsonpath-as-json", "jsonpath-file", "custom-columns", "custom-columns-file", "go-template", "go-template-file", "template", "templatefile"};
    else if (f.name == "for") values = {"create", "delete", "condition=", "jsonpath="};
    else out_.directive = Completion::Files;
    for (const std::string& v : values)
      if (v.starts_with(value)) out_.candidates.emplace_back(lead + v, "");
  }

  void arguments() {
    bool parent = !command_ || !command_->children.empty();
    if (parent && args_.empty()) {
      for (const Command& c : command_ ? command_->children : commands())
        if (!c.summary.empty()) offer(c.name, c.summary);
      if (!command_ || !command_->run) return;
    }
    if (!command_) return;
    switch (wants_of(path_)) {
      case Wants::Nothing: out_.directive = Completion::Files; break;
      case Wants::TypeThenNames: typed(lookup_.types); break;
      case Wants::Rollout: typed([] { return std::vector<std::string>{"daemonset", "deployment", "statefulset"}; }); break;
      case Wants::Scalable: typed([] { return std::vector<std::string>{"deployment", "replicaset", "replicationcontroller", "statefulset"}; }); break;
      case Wants::Type:
        if (args_.empty()) offer_all(lookup_.types());
        break;
      case Wants::Pod: pods(); break;
      case Wants::PodOrFile:
        for (const std::string& p : lookup_.names("pods")) offer(p + ":");
        out_.directive = Completion::Files | Completion::NoSpace;
        break;
      case Wants::Node: offer_new(lookup_.names("nodes")); break;
      case Wants::Context: offer_new(lookup_.config("contexts")); break;
      case Wants::Cluster: offer_new(lookup_.config("clusters")); break;
      case Wants::User: offer_new(lookup_.config("users")); break;
      case Wants::Shell:
        if (args_.empty()) offer_all({"bash", "zsh", "fish", "powershell"});
        break;
      case Wants::Command: help_words(); break;
    }
  }

  void offer_new(const std::vector<std::string>& names) {
    for (const std::string& n : names)
      if (std::find(args_.begin(), args_.end(), n) == args_.end()) offer(n);
  }

  // TYPE NAME..., or TYPE/NAME...
  void typed(const std::function<std::vector<std::string>()>& types) {
    size_t slash = open_.find('/');
    if (slash != std::string::npos) {
      offer_all(lookup_.names(open_.substr(0, slash)), open_.substr(0, slash + 1));
    } else if (args_.empty()) {
      size_t comma = open_.rfind(',');
      std::string before = comma == std::string::npos ? "" : open_.substr(0, comma + 1);
      offer_all(types(), before);
    } else if (args_[0].find('/') != std::string::npos) {
      for (const std::string& t : types()) offer(t + "/");
      out_.directive |= Completion::NoSpace;
    } else {
      std::vector<std::string> taken(args_.begin() + 1, args_.end());
      for (const std::string& n : lookup_.names(args_[0]))
        if (std::find(taken.begin(), taken.end(), n) == taken.end()) offer(n);
    }
  }

  void pods() {
    size_t slash = open_.find('/');
    if (!args_.empty()) {
      if (path_ == "logs") offer_all(lookup_.containers(args_[0]));
    } else if (slash != std::string::npos) {
      offer_all(lookup_.names(open_.substr(0, slash)), open_.substr(0, slash + 1));
    } else {
      offer_all(lookup_.names("pods"));
      for (const char* type : {"daemonsets/", "deployments/", "jobs/", "replicasets/", "services/", "statefulsets/"}) offer(type);
      bool types_only = !out_.candidates.empty() && std::all_of(out_.candidates.begin(), out_.candidates.end(), [](const auto& c) { return c.first.ends_with('/'); });
      if (types_only) out_.directive |= Completion::NoSpace;
    }
  }

  void help_words() {
    const std::vector<Command>* level = &commands();
    for (const std::string& a : args_) {
      const Command* found = nullptr;
      for (const Command& c : *level)
        if (c.name == a) found = &c;
      if (!found) return;
      level = &found->children;
    }
    for (const Command& c : *level) offer(c.name, c.summary);
  }

  const Lookup& lookup_;
  std::vector<FlagSpec> flags_;
  std::vector<std::string> before_, args_;
  std::string open_, path_;
  const Command* command_ = nullptr;
  bool ended_ = false;
  Completion out_;
};

constexpr const char* kBash = R"sh(# bash completion for kubectl: source <(kubectl completion bash)
# For an alias: complete -o default -F __start_kubectl k

__start_kubectl() {
    local line="${COMP_LINE:0:COMP_POINT}" words cur program out directive candidate cut=""
    read -r -a words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    cur="${words[${#words[@]}-1]}"
    program="${words[0]}"
    type -P -- "$program" >/dev/null || program=kubectl
    out=$("$program" __complete "${words[@]:1}" 2>/dev/null) || return
    directive="${out##*:}"
    out="${out%:*}"
    # Readline has its own idea of where a word begins.
    case "$cur" in
        *[=:]*) cut="${cur%"${cur##*[=:]}"}" ;;
    esac
    COMPREPLY=()
    while IFS=$'\t' read -r candidate _; do
        [[ -n $candidate && $candidate == "$cur"* ]] && COMPREPLY+=("${candidate#"$cut"}")
    done <<<"$out"
    if type compopt >/dev/null 2>&1; then
        (( directive & 2 )) && compopt -o nospace
        (( directive & 4 )) && compopt +o default
    fi
    return 0
}

complete -o default -F __start_kubectl kubectl
)sh";

constexpr const char* kZsh = R"sh(#compdef kubectl
# zsh completion for kubectl: source <(kubectl completion zsh)

_kubectl() {
    local out directive candidate description
    local -a described
    out=$("${words[1]}" __complete "${(@)words[2,CURRENT-1]}" "${words[CURRENT]}" 2>/dev/null) || return
    directive="${out##*:}"
    while IFS=$'\t' read -r candidate description; do
        [[ -z $candidate || $candidate == :<-> ]] && continue
        described+=("${candidate//:/\\:}${description:+:$description}")
    done <<<"$out"
    if (( ${#described} )); then
        if (( directive & 2 )); then _describe -V 'kubectl' described -S ''; else _describe -V 'kubectl' described; fi
    elif (( ! (directive & 4) )); then
        _files
    fi
}

if [ "$funcstack[1]" = "_kubectl" ]; then _kubectl; else compdef _kubectl kubectl; fi
)sh";

constexpr const char* kFish = R"sh(# fish completion for kubectl: kubectl completion fish | source

function __kubectl_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l program $words[1]
    set -e words[1]
    for line in ($program __complete $words 2>/dev/null)
        string match -qr '^:[0-9]+$' -- $line; or echo $line
    end
end

function __kubectl_wants_files
    set -l words (commandline -opc) (commandline -ct)
    set -l program $words[1]
    set -e words[1]
    set -l last ($program __complete $words 2>/dev/null)[-1]
    test "$last" = ":0"
end

complete -c kubectl -e
complete -c kubectl -n 'not __kubectl_wants_files' -f
complete -c kubectl -a '(__kubectl_complete)'
)sh";

constexpr const char* kPowershell = R"sh(# powershell completion for kubectl: kubectl completion powershell | Out-String | Invoke-Expression

Register-ArgumentCompleter -Native -CommandName 'kubectl' -ScriptBlock {
    param($WordToComplete, $CommandAst, $CursorPosition)
    $Words = @($CommandAst.CommandElements | Where-Object { $_.Extent.StartOffset -lt $CursorPosition } | ForEach-Object { $_.ToString() })
    $Program = $Words[0]
    $Given = @($Words | Select-Object -Skip 1)
    if ($WordToComplete -eq '') { $Given += '""' }
    (& $Program __complete @Given 2>$null) | Where-Object { $_ -notmatch '^:\d+$' } | ForEach-Object {
        $Name, $Description = $_ -split "`t", 2
        if (-not $Description) { $Description = $Name }
        [System.Management.Automation.CompletionResult]::new($Name, $Name, 'ParameterValue', $Description)
    }
}
)sh";

}  // namespace

Completion complete(const std::vector<std::string>& words, const Lookup& lookup) { return Completer(words, lookup).run(); }

std::string completion_script(const std::string& shell) {
  if (shell == "bash") return kBash;
  if (shell == "zsh") return kZsh;
  if (shell == "fish") return kFish;
  if (shell == "powershell") return kPowershell;
  return {};
}

}  // namespace k8lite::kubectl
