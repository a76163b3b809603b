// kubectl apply (client side with the last-applied annotation, or --server-side) and apply view-last-applied.
#include "api/kinds.h"
#include "base/strings.h"
#include "base/yaml.h"
#include "api/selector.h"
#include "kubectl/commands/commands.h"
#include "kubectl/jsonpath.h"
#include "kubectl/printers.h"
#include "kubectl/resources.h"
#include "kubectl/three_way.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";
constexpr int kConflictRetries = 5;

std::string validation(const Session& s) {
  std::string v = s.flags.text("validate");
  if (v == "true" || v == "strict" || v.empty()) return "Strict";
  return v == "warn" ? "Warn" : "Ignore";
}

// The object with its own text (without this annotation) in the last-applied annotation.
Node annotated(Node object) {
  if (!std::as_const(object).path("metadata.annotations").is_object()) object["metadata"].set("annotations", Node::object());
  object["metadata"]["annotations"].erase(kLastApplied);
  std::string text = html_safe(sorted_keys(object).dump()) + "\n";
  object["metadata"]["annotations"].set(kLastApplied, text);
  return object;
}

std::string write_url(const Session& s, std::string url, const DryRun& dry, std::string_view manager) {
  return with_query(std::move(url), {{"fieldManager", field_manager(s, manager)}, {"dryRun", dry.query()}, {"fieldValidation", validation(s)}});
}

Result<> server_side(Session& s, const Target& t, const DryRun& dry) {
  std::string url = with_query(t.url(), {{"fieldManager", field_manager(s, "kubectl")}, {"force", s.flags.on("force-conflicts") ? "true" : "false"},
                                         {"dryRun", dry.query()}, {"fieldValidation", validation(s)}});
  auto done = s.patch(url, PatchKind::Apply, t.object);
  if (!done.ok()) return done.status();
  return print_done(s, *done, t.mapping, "serverside-applied");
}

Result<> create_it(Session& s, const Target& t, const Node& wanted, const DryRun& dry) {
  if (dry.client) return print_done(s, wanted, t.mapping, "created");
  auto made = s.call("POST", write_url(s, url_of(t.mapping, t.ns), dry, "kubectl-client-side-apply"), &wanted);
  if (!made.ok()) return with_source(made.status(), "creating", t.source);
  return print_done(s, *made, t.mapping, "created");
}

Result<> apply_one(Session& s, const Target& t, const DryRun& dry) {
  if (t.name.empty()) {
    return usage("from " + t.source + ": cannot use generate name with apply");
  }
  if (s.flags.on("server-side")) return server_side(s, t, dry);
  Node wanted = annotated(t.object);
  const api::schema::Type* type = api::schema::find_type_of_kind(t.mapping.group, t.mapping.version, t.mapping.kind);
  bool builtin = type && api::find_builtin(t.mapping.group, t.mapping.version, t.mapping.resource) != nullptr;
  for (int attempt = 0;; ++attempt) {
    auto live = s.get(t.url());
    if (!live.ok() && live.status().is(Reason::NotFound)) return create_it(s, t, wanted, dry);
    if (!live.ok()) return Status(live.status().reason(), error_text(with_source(live.status(), "retrieving current configuration of", t.source)));
    const Node& current = *live;
    Node original;
    const Node& annotation = current.path("metadata.annotations").get(kLastApplied);
    if (annotation.is_string()) {
      if (auto parsed = Node::parse(annotation.str()); parsed.ok()) original = std::move(parsed).value();
    } else {
      s.err("Warning: resource " + t.label() + " is missing the " + std::string(kLastApplied) +
            " annotation which is required by kubectl apply. kubectl apply should only be used on resources created declaratively by either kubectl create "
            "--save-config or kubectl apply. The missing annotation will be patched automatically.\n");
    }
    Node patch = three_way_patch(original, wanted, current, builtin ? type : nullptr);
    if (patch.empty()) return print_done(s, current, t.mapping, "unchanged");
    if (dry.client) return print_done(s, current, t.mapping, "configured");
    auto done = s.patch(write_url(s, t.url(), dry, "kubectl-client-side-apply"), builtin ? PatchKind::Strategic : PatchKind::Merge, patch);
    if (done.ok()) {
      bool same = done->path("metadata.resourceVersion") == current.path("metadata.resourceVersion") && !dry.server;
      return print_done(s, *done, t.mapping, same ? "unchanged" : "configured");
    }
    if (done.status().is(Reason::Conflict) && attempt < kConflictRetries) continue;
    if (s.flags.on("force") && (done.status().is(Reason::Invalid) || done.status().is(Reason::Conflict))) {
      TRY_OK(s.call("DELETE", t.url()));
      return create_it(s, t, wanted, dry);
    }
    return Status(done.status().reason(), error_text(with_source(done.status(), "applying patch:\n" + patch.dump() + "\nto", t.source)));
  }
}

Result<> apply(Session& s) {
  if (!s.flags.changed("filename") && !s.flags.changed("kustomize")) return usage("must specify one of -f and -k");
  if (!s.flags.args.empty()) return usage("Unexpected args: [" + join(s.flags.args, " ") + "]\nSee 'kubectl apply -h' for help and examples");
  TRY(DryRun dry, DryRun::of(s));
  if (dry.client && s.flags.on("server-side")) return usage("--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)");
  TRY(auto targets, targets_from_files(s));
  for (Target& t : targets) {
    if (s.flags.changed("selector")) {
      TRY(auto selector, api::LabelSelector::parse(s.flags.text("selector")));
      auto labels = json::Doc::from(t.object.path("metadata.labels"));
      if (!selector.matches(labels.root())) continue;
    }
    auto done = apply_one(s, t, dry);
    if (!done.ok()) s.fail(done.status());
    if (t.mapping.kind == "CustomResourceDefinition") s.forget_discovery();
  }
  return {};
}

Result<> view_last_applied(Session& s) {
  TRY(auto targets, choose_targets(s, {}));
  for (const Target& t : targets) {
    const Node& annotation = t.object.path("metadata.annotations").get(kLastApplied);
    if (!annotation.is_string()) {
      s.fail(usage("no last-applied-configuration annotation found on resource: " + t.name));
      continue;
    }
    TRY(Node object, Node::parse(annotation.str()));
    s.out(s.flags.text("output") == "json" ? sorted_keys(object).dump_pretty() + "\n" : dump_yaml(object));
  }
  return {};
}

}  // namespace

std::vector<Command> apply_commands() {
  Command c{"apply", "Advanced Commands", "Apply a configuration to a resource by file name or stdin", "(-f FILENAME | -k DIRECTORY)",
            flags_of({write_flags(), file_flags(),
                      {{"selector", 'l', FlagKind::Text, "", "Only objects with these labels"},
                       {"server-side", 0, FlagKind::Bool, "false", "Let the server merge (server-side apply)"},
                       {"force-conflicts", 0, FlagKind::Bool, "false", "Take over fields of other managers (server-side)"},
                       {"force", 0, FlagKind::Bool, "false", "Delete and create again where a change is refused"},
                       {"overwrite", 0, FlagKind::Bool, "true", "Accepted; changes of others are overwritten"},
                       {"wait", 0, FlagKind::Bool, "false", "Accepted; nothing is waited for"},
                       {"validate", 0, FlagKind::Text, "true", "true/strict, warn or false/ignore: unknown and duplicate fields", "true"}}}),
            apply};
  c.children = {{"view-last-applied", "", "View the latest last-applied-configuration annotations of a resource", "(TYPE [NAME | -l label] | TYPE/NAME | -f FILENAME)",
                 flags_of({file_flags(), selector_flags(), {output_flag()}}), view_last_applied}};
  c.examples = "  kubectl apply -f web.yaml\n  cat web.yaml | kubectl apply -f -";
  return {c};
}

}  // namespace k8lite::kubectl
