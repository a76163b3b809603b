// kubectl diff: writes each live object and what it would be after apply into two folders and lets diff(1) (or KUBECTL_EXTERNAL_DIFF)
// compare them. Exit code 0: no difference, 1: differences, more: an error.
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/kinds.h"
#include "api/selector.h"
#include "base/strings.h"
#include "base/yaml.h"
#include "kubectl/commands/commands.h"
#include "kubectl/printers.h"
#include "kubectl/resources.h"
#include "kubectl/three_way.h"
#include "os/files.h"

extern char** environ;

namespace k8lite::kubectl {

using json::Node;

namespace {

// A folder that goes with its owner.
class Folder {
 public:
  explicit Folder(const std::string& name) {
    const char* base = ::getenv("TMPDIR");
    path_ = std::string(base && *base ? base : "/tmp") + "/" + name + "-XXXXXX";
    if (!::mkdtemp(path_.data())) path_.clear();
  }
  ~Folder() {
    if (!path_.empty()) (void)os::remove_tree(path_);
  }
  Folder(const Folder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The object as apply would leave it, asked of the server without changing anything. `live` null: it does not exist.
Result<Node> applied(Session& s, const Target& t, const Node& live) {
  std::vector<std::pair<std::string, std::string>> dry = {{"dryRun", "All"}, {"fieldManager", field_manager(s, s.flags.on("server-side") ? "kubectl" : "kubectl-client-side-apply")}};
  if (s.flags.on("server-side")) {
    dry.emplace_back("force", s.flags.on("force-conflicts") ? "true" : "false");
    return s.patch(with_query(t.url(), dry), PatchKind::Apply, t.object);
  }
  if (!live.is_object()) return s.call("POST", with_query(url_of(t.mapping, t.ns), dry), &t.object);
  Node original;
  const Node& annotation = live.path("metadata.annotations").get("kubectl.kubernetes.io/last-applied-configuration");
  if (auto parsed = Node::parse(annotation.str()); annotation.is_string() && parsed.ok()) original = std::move(parsed).value();
  const api::schema::Type* type = api::schema::find_type_of_kind(t.mapping.group, t.mapping.version, t.mapping.kind);
  if (!api::find_builtin(t.mapping.group, t.mapping.version, t.mapping.resource)) type = nullptr;
  Node wanted = t.object;  // as apply notes it down: with annotations, be they empty, but without its own
  if (!std::as_const(wanted).path("metadata.annotations").is_object()) wanted["metadata"].set("annotations", Node::object());
  wanted["metadata"]["annotations"].erase("kubectl.kubernetes.io/last-applied-configuration");
  Node patch = three_way_patch(original, wanted, live, type);
  if (patch.empty()) return live;
  return s.patch(with_query(t.url(), dry), type ? PatchKind::Strategic : PatchKind::Merge, patch);
}

// Values of secrets never reach the output; whether they differ does.
void mask(Node& live, Node& merged) {
  for (const char* field : {"data", "stringData"}) {
    Node *a = live.is_object() ? live.find(field) : nullptr, *b = merged.is_object() ? merged.find(field) : nullptr;
    if (b)
      for (auto& m : b->members()) {
        Node* before = a ? a->find(m.first) : nullptr;
        bool differs = before && !(*before == m.second);
        if (before) *before = differs ? "*** (before)" : "***";
        m.second = differs ? "*** (after)" : "***";
      }
    if (a)
      for (auto& m : a->members())
        if (!m.second.str().starts_with("***")) m.second = "***";
  }
}

Result<> write(const Session& s, const std::string& folder, const Target& t, const Node& object) {
  if (!object.is_object()) return {};
  std::string api = replace_all(t.mapping.api_version(), "/", ".");
  std::string name = folder + "/" + api + "." + t.mapping.kind + "." + t.ns + "." + replace_all(t.name, "/", "_");
  return os::write_file(name, dump_yaml(s.flags.on("show-managed-fields") ? object : without_managed_fields(object)), 0600, false);
}

Result<int> compare(const std::string& live, const std::string& merged) {
  std::vector<std::string> words;
  const char* external = ::getenv("KUBECTL_EXTERNAL_DIFF");
  for (std::string& w : split_strings(external && *external ? external : "diff -u -N", ' '))
    if (!w.empty()) words.push_back(std::move(w));
  if (words.empty()) words = {"diff"};
  words.push_back(live);
  words.push_back(merged);
  std::vector<char*> argv;
  for (std::string& w : words) argv.push_back(w.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  int failed = ::posix_spawnp(&pid, argv[0], nullptr, nullptr, argv.data(), environ);
  if (failed) return usage("failed to run " + json::quoted(words[0]) + ": " + Status::from_errno("", failed).message());
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

Result<> diff_objects(Session& s) {
  if (!s.flags.changed("filename") && !s.flags.changed("kustomize")) return usage("must specify one of -f and -k");
  if (!s.flags.args.empty()) return usage("Unexpected args: [" + join(s.flags.args, " ") + "]\nSee 'kubectl diff -h' for help and examples");
  TRY(auto targets, targets_from_files(s));
  Folder live("LIVE"), merged("MERGED");
  if (live.path().empty() || merged.path().empty()) return Status::from_errno("make a temporary folder", errno);
  for (const Target& t : targets) {
    if (s.flags.changed("selector")) {
      TRY(auto selector, api::LabelSelector::parse(s.flags.text("selector")));
      auto labels = json::Doc::from(t.object.path("metadata.labels"));
      if (!selector.matches(labels.root())) continue;
    }
    auto got = s.get(t.url());
    if (!got.ok() && !got.status().is(Reason::NotFound)) return got.status();
    Node before = got.ok() ? *got : Node();
    TRY(Node after, applied(s, t, before));
    if (t.mapping.kind == "Secret" && t.mapping.group.empty()) mask(before, after);
    TRY_OK(write(s, live.path(), t, before));
    TRY_OK(write(s, merged.path(), t, after));
  }
  TRY(int code, compare(live.path(), merged.path()));
  if (code > 1) s.err("exit status " + std::to_string(code) + "\n");
  s.exit_code = std::max(s.exit_code, code);
  return {};
}

// Errors have a code of their own, since 1 says that there are differences.
Result<> diff(Session& s) {
  auto done = diff_objects(s);
  if (!done.ok()) s.fail(done.status());
  if (!done.ok() || (s.exit_code == 1 && !done.ok())) s.exit_code = 2;
  return {};
}

}  // namespace

std::vector<Command> diff_commands() {
  Command c{"diff", "Advanced Commands", "Diff the live version against a would-be applied version", "-f FILENAME",
            flags_of({file_flags(),
                      {{"selector", 'l', FlagKind::Text, "", "Only objects with these labels"},
                       {"server-side", 0, FlagKind::Bool, "false", "Let the server merge (server-side apply)"},
                       {"force-conflicts", 0, FlagKind::Bool, "false", "Take over fields of other managers (server-side)"},
                       {"field-manager", 0, FlagKind::Text, "", "Name that owns the changed fields"},
                       {"show-managed-fields", 0, FlagKind::Bool, "false", "Compare managedFields too"}}}),
            diff};
  c.examples = "  # What apply would change\n  kubectl diff -f web.yaml\n\n  # The same for what another program prints\n  cat web.yaml | kubectl diff -f -";
  return {c};
}

}  // namespace k8lite::kubectl
