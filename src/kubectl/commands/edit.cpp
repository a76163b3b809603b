// kubectl replace and edit: whole objects written back.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "api/kinds.h"
#include "base/random.h"
#include "base/strings.h"
#include "base/yaml.h"
#include "kubectl/commands/commands.h"
#include "kubectl/jsonpath.h"
#include "kubectl/printers.h"
#include "kubectl/resources.h"
#include "kubectl/three_way.h"
#include "kubectl/waiting.h"
#include "os/files.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

Result<> replace(Session& s) {
  if (!s.flags.changed("filename")) return usage("must specify one of -f and -k");
  TRY(DryRun dry, DryRun::of(s));
  TRY(auto targets, targets_from_files(s));
  for (Target& t : targets) {
    if (dry.client) {
      TRY_OK(print_done(s, t.object, t.mapping, "replaced"));
      continue;
    }
    if (s.flags.on("force")) {
      auto gone = s.call("DELETE", t.url());
      if (!gone.ok() && !gone.status().is(Reason::NotFound)) {
        s.fail(with_source(gone.status(), "deleting", t.source));
        continue;
      }
      if (gone.ok()) s.out(t.mapping.full_singular() + " \"" + t.name + "\" deleted" + (t.ns.empty() ? "" : " from " + t.ns + " namespace") + "\n");
      TRY_OK(wait_gone(s, t, gone.ok() ? std::as_const(*gone).path("metadata.uid").str() : "", Deadline(seconds(300))));
    }
    // Who says nothing of a version means what is there now: some kinds want to be told.
    if (!s.flags.on("force") && std::as_const(t.object).path("metadata.resourceVersion").str().empty())
      if (auto now = s.call("GET", t.url()); now.ok()) t.object["metadata"].set("resourceVersion", std::as_const(*now).path("metadata.resourceVersion"));
    auto done = s.flags.on("force") ? s.call("POST", with_query(url_of(t.mapping, t.ns), {{"fieldManager", "kubectl-replace"}}), &t.object)
                                    : s.call("PUT", with_query(t.url(s.flags.text("subresource")), {{"fieldManager", "kubectl-replace"}, {"dryRun", dry.query()}, {"fieldValidation", "Strict"}}), &t.object);
    if (!done.ok()) s.fail(with_source(done.status(), "replacing", t.source));
    else TRY_OK(print_done(s, *done, t.mapping, "replaced"));
  }
  return {};
}

Result<> run_editor(const std::string& file) {
  const char* editor = nullptr;
  for (const char* name : {"KUBE_EDITOR", "EDITOR"})
    if (const char* v = std::getenv(name); v && *v && !editor) editor = v;
  std::string line = std::string(editor ? editor : "vi") + " '" + file + "'";
  pid_t child = ::fork();
  if (child < 0) return Status::from_errno("fork", errno);
  if (child == 0) {
    ::execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
    ::_exit(127);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return usage("there was a problem with the editor \"" + std::string(editor ? editor : "vi") + "\"");
  return {};
}

std::string without_comments(const std::string& text) {
  std::string out;
  for (std::string_view line : split(text, '\n'))
    if (!line.starts_with("#")) out.append(line).append("\n");
  return std::string(trim(out));
}

constexpr const char* kHead = "# Please edit the object below. Lines beginning with a '#' will be ignored,\n# and an empty file will abort the edit. If an error occurs while saving this file will be\n# reopened with the relevant failures.\n#\n";

Result<> edit_one(Session& s, const Target& t) {
  bool as_json = s.flags.text("output") == "json";
  Node shown = without_managed_fields(t.object);
  std::string text = as_json ? sorted_keys(shown).dump_pretty() + "\n" : dump_yaml(shown), note;
  std::string file = "/tmp/kubectl-edit-" + random_hex(system_random(), 6) + (as_json ? ".json" : ".yaml");
  std::string before = without_comments(text), failed;
  for (;;) {
    TRY_OK(os::write_file(file, kHead + note + text, 0600, false));
    TRY_OK(run_editor(file));
    TRY(text, os::read_file(file));
    std::string bare = without_comments(text);
    if (bare.empty() || bare == before) {
      ::unlink(file.c_str());
      s.err(bare.empty() ? "Edit cancelled, saved file was empty.\n" : "Edit cancelled, no changes made.\n");
      return {};
    }
    if (bare == failed) {
      s.err("A copy of your changes has been stored to \"" + file + "\"\n");
      return usage("Edit cancelled, no valid changes were saved.");
    }
    failed = bare;
    auto documents = parse_yaml(bare, "the edited file");
    std::string problem;
    if (!documents.ok()) {
      problem = documents.status().message();
    } else if (documents->size() != 1 || documents->front().value.path("metadata.name").str() != t.name) {
      problem = "the edited file must hold one object with the name " + t.name;
    } else {
      const auto* type = api::schema::find_type_of_kind(t.mapping.group, t.mapping.version, t.mapping.kind);
      bool builtin = api::find_builtin(t.mapping.group, t.mapping.version, t.mapping.resource) != nullptr;
      Node patch = three_way_patch(shown, documents->front().value, shown, builtin ? type : nullptr);
      auto done = s.patch(with_query(t.url(s.flags.text("subresource")), {{"fieldManager", "kubectl-edit"}, {"fieldValidation", "Strict"}}), builtin ? PatchKind::Strategic : PatchKind::Merge, patch);
      if (done.ok()) {
        ::unlink(file.c_str());
        s.out(t.mapping.full_singular() + "/" + t.name + " edited\n");
        return {};
      }
      problem = error_text(done.status());
    }
    s.err(problem + "\n");
    note = "# " + replace_all(problem, "\n", "\n# ") + "\n#\n";
    text = bare + "\n";
  }
}

Result<> edit(Session& s) {
  TRY(auto targets, choose_targets(s, {}));
  for (const Target& t : targets) TRY_OK(edit_one(s, t));
  return {};
}

}  // namespace

std::vector<Command> edit_commands() {
  return {{"replace", "Advanced Commands", "Replace a resource by file name or stdin", "-f FILENAME",
           flags_of({write_flags(), file_flags(), {{"force", 0, FlagKind::Bool, "false", "Delete and create again"}, {"subresource", 0, FlagKind::Text, "", "status or scale"}, {"validate", 0, FlagKind::Text, "true", "Accepted", "true"}}}), replace},
          {"edit", "Basic Commands (Intermediate)", "Edit a resource on the server", "(RESOURCE/NAME | -f FILENAME)", flags_of({{output_flag()}, file_flags(), selector_flags(), {{"subresource", 0, FlagKind::Text, "", "status or scale"}}}), edit}};
}

}  // namespace k8lite::kubectl
