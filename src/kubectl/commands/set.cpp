// Commands that change fields of objects in place: set image|env|resources|serviceaccount, label, annotate, patch.
#include <algorithm>
#include <functional>
#include <optional>

#include "base/strings.h"
#include "base/yaml.h"
#include "api/kinds.h"
#include "kubectl/commands/commands.h"
#include "kubectl/jsonpath.h"
#include "kubectl/printers.h"
#include "kubectl/resources.h"
#include "os/files.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

bool is_builtin(const Mapping& m) { return api::find_builtin(m.group, m.version, m.resource) != nullptr; }

// Words up to the first that holds one of `marks` name resources; the rest are changes.
void divide(const std::vector<std::string>& args, std::vector<std::string>& resources, std::vector<std::string>& changes, bool labels) {
  for (const std::string& a : args) {
    bool change = a.find('=') != std::string::npos || (labels && !resources.empty() && a.size() > 1 && a.back() == '-');
    (change || !changes.empty() ? changes : resources).push_back(a);
  }
}

Result<Node> send_patch(Session& s, const Target& t, const DryRun& dry, PatchKind kind, const Node& patch, std::string_view manager) {
  return s.patch(with_query(t.url(), {{"fieldManager", field_manager(s, manager)}, {"dryRun", dry.query()}}), kind, patch);
}

// ---- label and annotate ----

Result<> label(Session& s) {
  bool annotations = s.command_path.ends_with("annotate");
  std::string what = annotations ? "annotations" : "labels", one = annotations ? "annotation" : "label";
  std::vector<std::string> words, changes;
  divide(s.flags.args, words, changes, true);
  if (s.flags.on("list") && changes.empty()) {
    TRY(auto targets, choose_targets(s, {.words = &words}));
    for (const Target& t : targets) {
      if (targets.size() > 1) s.out("Listing " + what + " for " + t.mapping.kind + "." + t.mapping.group + "/" + t.name + ":\n");
      std::string text = labels_text(t.object.path("metadata." + what), "\n");
      if (text != "<none>") s.out(text + "\n");
    }
    return {};
  }
  if (changes.empty()) return usage("at least one " + one + " update is required");
  std::vector<std::pair<std::string, std::optional<std::string>>> edits;
  for (const std::string& c : changes) {
    size_t eq = c.find('=');
    if (eq != std::string::npos) {
      std::string key = c.substr(0, eq), value = c.substr(eq + 1);
      if (!annotations && !is_label_value(value)) return usage("invalid label value: " + json::quoted(c) + ": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')");
      if (!is_qualified_name(key)) return usage("invalid " + one + " key: " + json::quoted(key));
      edits.emplace_back(key, value);
    } else if (c.size() > 1 && c.back() == '-') {
      edits.emplace_back(c.substr(0, c.size() - 1), std::nullopt);
    } else {
      return usage("unknown " + one + " spec: " + c);
    }
  }
  TRY(DryRun dry, DryRun::of(s));
  TRY(auto targets, choose_targets(s, {.words = &words}));
  if (targets.empty() && !s.exit_code) return usage("No resources found");
  for (Target& t : targets) {
    const Node& now = std::as_const(t.object)["metadata"][what];
    Node patch = Node::object();
    bool removed = false, clash = false;
    for (const auto& [key, value] : edits) {
      const Node* old = now.find(key);
      if (!value) {
        if (old) patch["metadata"][what].set(key, nullptr), removed = true;
        else if (!annotations) s.out("label \"" + key + "\" not found.\n");
        continue;
      }
      if (old && old->str() != *value && !s.flags.on("overwrite")) {
        s.fail(usage(annotations ? "--overwrite is false but found the following declared annotation(s): '" + key + "' already has a value (" + old->str() + ")"
                                 : "'" + key + "' already has a value (" + old->str() + "), and --overwrite is false"));
        clash = true;
        break;
      }
      if (!old || old->str() != *value) patch["metadata"][what].set(key, *value);
    }
    if (clash) continue;
    std::string done = annotations ? "annotated" : patch.empty() ? "not labeled" : removed ? "unlabeled" : "labeled";
    if (patch.empty() || dry.client) {
      TRY_OK(print_done(s, t.object, t.mapping, done));
      continue;
    }
    if (s.flags.changed("resource-version")) patch["metadata"].set("resourceVersion", s.flags.text("resource-version"));
    auto changed = send_patch(s, t, dry, PatchKind::Merge, patch, annotations ? "kubectl-annotate" : "kubectl-label");
    if (!changed.ok()) s.fail(changed.status());
    else TRY_OK(print_done(s, *changed, t.mapping, done));
  }
  return {};
}

// ---- patch ----

Result<> patch(Session& s) {
  std::string text = s.flags.text("patch");
  if (s.flags.changed("patch-file")) {
    TRY(text, os::read_file(s.flags.text("patch-file")));
  }
  if (text.empty()) return usage("must specify --patch or --patch-file containing the contents of the patch");
  auto documents = parse_yaml(text, "patch");
  if (!documents.ok() || documents->empty()) return usage("unable to parse " + json::quoted(text) + ": " + (documents.ok() ? "empty" : documents.status().message()));
  const Node& body = documents->front().value;
  std::string type = s.flags.text("type");
  PatchKind kind = type == "json" ? PatchKind::Json : type == "merge" ? PatchKind::Merge : PatchKind::Strategic;
  if (type != "json" && type != "merge" && type != "strategic") return usage("--type must be one of [json merge strategic], not " + json::quoted(type));
  TRY(DryRun dry, DryRun::of(s));
  TRY(auto targets, choose_targets(s, {}));
  for (const Target& t : targets) {
    if (dry.client) {
      TRY_OK(print_done(s, t.object, t.mapping, "patched"));
      continue;
    }
    auto done = s.patch(with_query(t.url(s.flags.text("subresource")), {{"fieldManager", field_manager(s, "kubectl-patch")}, {"dryRun", dry.query()}}), kind, body);
    if (!done.ok()) {
      s.fail(done.status());
      continue;
    }
    bool same = done->path("metadata.resourceVersion") == t.object.path("metadata.resourceVersion");
    TRY_OK(print_done(s, *done, t.mapping, same ? "patched (no change)" : "patched"));
  }
  return {};
}

// ---- set ----

// The pod spec inside a workload; the dotted path to it.
const char* pod_spec_path(const Mapping& m) {
  if (m.kind == "Pod") return "spec";
  if (m.kind == "CronJob") return "spec.jobTemplate.spec.template.spec";
  for (const char* k : {"Deployment", "ReplicaSet", "DaemonSet", "StatefulSet", "Job", "ReplicationController"})
    if (m.kind == k) return "spec.template.spec";
  return nullptr;
}

Node& walk(Node& object, std::string_view dotted) {
  Node* at = &object;
  for (std::string_view part : split(dotted, '.')) at = &(*at)[part];
  return *at;
}

bool glob(std::string_view pattern, std::string_view name) {
  if (pattern == "*") return true;
  if (!pattern.empty() && pattern.back() == '*') return name.starts_with(pattern.substr(0, pattern.size() - 1));
  return pattern == name;
}

// Runs `change` on the pod spec of each target (it says whether it changed anything) and sends the difference.
Result<> change_pods(Session& s, const std::vector<std::string>& words, const std::string& done_word, const std::function<Result<bool>(Node& spec)>& change) {
  TRY(DryRun dry, DryRun::of(s));
  TRY(auto targets, choose_targets(s, {.words = &words}));
  for (Target& t : targets) {
    const char* path = pod_spec_path(t.mapping);
    if (!path) {
      s.fail(usage(t.label() + " does not have a pod template"));
      continue;
    }
    Node spec = std::as_const(t.object).path(path);
    auto changed = change(spec);
    if (!changed.ok()) {
      s.fail(usage(t.label() + " " + changed.status().message()));
      continue;
    }
    if (!*changed) continue;
    Node patch = Node::object();
    Node& inner = walk(patch, path);
    for (const char* list : {"containers", "initContainers"})
      for (const Node& c : spec[list].items()) {
        const Node* old = nullptr;
        for (const Node& o : t.object.path(path)[list].items())
          if (o["name"] == c.get("name")) old = &o;
        if (old && *old == c) continue;
        Node part = Node::obj({{"name", c.get("name")}});
        for (const auto& m : c.members())
          if (!old || !(old->get(m.first) == m.second)) part.set(m.first, m.second);
        if (old)
          for (const Node& e : old->get("env").items()) {
            bool kept = false;
            for (const Node& n : c.get("env").items()) kept = kept || n["name"] == e["name"];
            if (!kept) part["env"].append(Node::obj({{"name", e["name"]}, {"$patch", "delete"}}));
          }
        inner[list].append(std::move(part));
      }
    if (spec.get("serviceAccountName").exists() && !(spec.get("serviceAccountName") == t.object.path(path)["serviceAccountName"]))
      inner.set("serviceAccountName", spec.get("serviceAccountName"));
    if (s.flags.on("local") || dry.client) {
      walk(t.object, path) = spec;
      TRY_OK(print_done(s, t.object, t.mapping, done_word));
      continue;
    }
    auto sent = send_patch(s, t, dry, is_builtin(t.mapping) ? PatchKind::Strategic : PatchKind::Merge, patch, "kubectl-set");
    if (!sent.ok()) s.fail(sent.status());
    else TRY_OK(print_done(s, *sent, t.mapping, done_word));
  }
  return {};
}

Result<> set_image(Session& s) {
  std::vector<std::string> words, images;
  divide(s.flags.args, words, images, false);
  if (images.empty()) return usage("at least one image update is required");
  return change_pods(s, words, "image updated", [&images](Node& spec) -> Result<bool> {
    bool changed = false;
    for (const std::string& pair : images) {
      size_t eq = pair.find('=');
      std::string name = pair.substr(0, eq), image = pair.substr(eq + 1);
      bool found = false;
      for (const char* list : {"initContainers", "containers"}) {
        if (!spec.find(list)) continue;
        for (Node& c : spec[list].items()) {
          if (!glob(name, c.get("name").str())) continue;
          found = true;
          changed = changed || c.get("image").str() != image;
          c.set("image", image);
        }
      }
      if (!found) return usage("unable to find container named " + json::quoted(name));
    }
    return changed;
  });
}

Result<> list_env(Session& s, const std::vector<std::string>& words) {
  TRY(auto targets, choose_targets(s, {.words = &words}));
  for (const Target& t : targets) {
    const char* path = pod_spec_path(t.mapping);
    if (!path) continue;
    for (const Node& c : t.object.path(path)["containers"].items()) {
      s.out("# " + t.mapping.kind + " " + t.name + ", container " + c["name"].str() + "\n");
      for (const Node& e : c["env"].items()) {
        if (e.find("valueFrom")) s.out("# " + e["name"].str() + " from " + e["valueFrom"].dump() + "\n");
        else s.out(e["name"].str() + "=" + e["value"].str() + "\n");
      }
    }
  }
  return {};
}

Result<> set_env(Session& s) {
  std::vector<std::string> words, edits;
  divide(s.flags.args, words, edits, true);
  for (const std::string& e : s.flags.all("env")) edits.push_back(e);
  if (s.flags.on("list")) return list_env(s, words);
  Node extra = Node::array();
  if (s.flags.changed("from")) {
    TRY(auto sources, targets_from_words(s, {s.flags.text("from")}));
    TRY(Node object, s.get(sources.at(0).url()));
    std::string kind = sources[0].mapping.kind;
    if (kind != "ConfigMap" && kind != "Secret") return usage("unsupported resource specified in --from");
    for (const auto& m : sorted_keys(std::as_const(object)["data"]).members()) {
      std::string name = s.flags.text("prefix");
      for (char c : m.first) name += isalnum(static_cast<unsigned char>(c)) ? static_cast<char>(toupper(static_cast<unsigned char>(c))) : '_';
      extra.append(Node::obj({{"name", name}, {"valueFrom", Node::obj({{kind == "Secret" ? "secretKeyRef" : "configMapKeyRef", Node::obj({{"key", m.first}, {"name", sources[0].name}})}})}}));
    }
  }
  if (edits.empty() && extra.empty()) return usage("at least one environment variable must be provided");
  std::string wanted = s.flags.text("containers");
  return change_pods(s, words, "env updated", [&](Node& spec) -> Result<bool> {
    bool any = false;
    for (Node& c : spec["containers"].items()) {
      if (!glob(wanted, c.get("name").str())) continue;
      any = true;
      auto put = [&c](Node entry) {
        for (Node& e : c["env"].items())
          if (e.get("name") == entry.get("name")) {
            e = std::move(entry);
            return;
          }
        c["env"].append(std::move(entry));
      };
      for (const Node& e : extra.items()) put(e);
      for (const std::string& e : edits) {
        size_t eq = e.find('=');
        if (eq != std::string::npos) {
          put(Node::obj({{"name", e.substr(0, eq)}, {"value", e.substr(eq + 1)}}));
          continue;
        }
        std::string name = e.substr(0, e.size() - 1);
        auto& list = c["env"].items();
        list.erase(std::remove_if(list.begin(), list.end(), [&name](const Node& n) { return n.get("name").str() == name; }), list.end());
      }
      if (c.get("env").empty()) c.erase("env");
    }
    if (!any) return usage("does not have any containers matching " + json::quoted(wanted));
    return true;
  });
}

Result<> set_resources(Session& s) {
  auto amounts = [](const std::string& text) {
    Node out = Node::object();
    for (const std::string& p : split_strings(text, ','))
      if (size_t eq = p.find('='); eq != std::string::npos) out.set(p.substr(0, eq), p.substr(eq + 1));
    return out;
  };
  if (!s.flags.changed("limits") && !s.flags.changed("requests")) return usage("you must specify an update to requests or limits (in the form of --requests/--limits)");
  Node limits = amounts(s.flags.text("limits")), requests = amounts(s.flags.text("requests"));
  std::string wanted = s.flags.text("containers");
  return change_pods(s, s.flags.args, "resource requirements updated", [&](Node& spec) -> Result<bool> {
    for (Node& c : spec["containers"].items()) {
      if (!glob(wanted, c.get("name").str())) continue;
      for (const auto& m : limits.members()) c["resources"]["limits"].set(m.first, m.second);
      for (const auto& m : requests.members()) c["resources"]["requests"].set(m.first, m.second);
    }
    return true;
  });
}

Result<> set_account(Session& s) {
  if (s.flags.args.size() < 2) return usage("serviceaccount is required");
  std::vector<std::string> words(s.flags.args.begin(), s.flags.args.end() - 1);
  std::string account = s.flags.args.back();
  return change_pods(s, words, "serviceaccount updated", [&account](Node& spec) -> Result<bool> {
    spec.set("serviceAccountName", account);
    return true;
  });
}

}  // namespace

std::vector<Command> set_commands() {
  std::vector<FlagSpec> common = flags_of({write_flags(), file_flags(), selector_flags(), {{"all", 0, FlagKind::Bool, "false", "All objects of the type"}, {"local", 0, FlagKind::Bool, "false", "Change nothing on the server"}}});
  std::vector<FlagSpec> which = {{"containers", 'c', FlagKind::Text, "*", "Containers; * matches"}};
  Command set{"set", "Basic Commands (Beginner)", "Set specific features on objects", "SUBCOMMAND", {}, nullptr};
  set.children = {{"env", "", "Update environment variables on a pod template", "RESOURCE/NAME KEY_1=VAL_1 ... KEY_N=VAL_N",
                   flags_of({common, which, {{"list", 0, FlagKind::Bool, "false", "Print the variables"}, {"env", 'e', FlagKind::List, "", "NAME=value"}, {"from", 0, FlagKind::Text, "", "configmap/NAME or secret/NAME"}, {"prefix", 0, FlagKind::Text, "", "Before each name of --from"}, {"overwrite", 0, FlagKind::Bool, "true", "Accepted"}}}), set_env},
                  {"image", "", "Update the image of a pod template", "(-f FILENAME | TYPE NAME) CONTAINER_NAME_1=CONTAINER_IMAGE_1 ... CONTAINER_NAME_N=CONTAINER_IMAGE_N", common, set_image},
                  {"resources", "", "Update resource requests/limits on objects with pod templates", "(-f FILENAME | TYPE NAME) ([--limits=LIMITS & --requests=REQUESTS])",
                   flags_of({common, which, {{"limits", 0, FlagKind::Text, "", "cpu=100m,memory=256Mi"}, {"requests", 0, FlagKind::Text, "", "cpu=100m,memory=256Mi"}}}), set_resources},
                  {"serviceaccount", "", "Update the service account of a resource", "(-f FILENAME | TYPE NAME) SERVICE_ACCOUNT", common, set_account, {}, {"sa"}}};
  std::vector<FlagSpec> labels = flags_of({common, {{"overwrite", 0, FlagKind::Bool, "false", "Change values that are there"}, {"list", 0, FlagKind::Bool, "false", "Print them"}, {"resource-version", 0, FlagKind::Text, "", "Only at this version"}}});
  return {set,
          {"label", "Settings Commands", "Update the labels on a resource", "[--overwrite] (-f FILENAME | TYPE NAME) KEY_1=VAL_1 ... KEY_N=VAL_N", labels, label},
          {"annotate", "Settings Commands", "Update the annotations on a resource", "[--overwrite] (-f FILENAME | TYPE NAME) KEY_1=VAL_1 ... KEY_N=VAL_N", labels, label},
          {"patch", "Advanced Commands", "Update fields of a resource", "(-f FILENAME | TYPE NAME) [-p PATCH|--patch-file FILE]",
           flags_of({common, {{"patch", 'p', FlagKind::Text, "", "Patch as JSON or YAML"}, {"patch-file", 0, FlagKind::Text, "", "File with the patch"}, {"type", 0, FlagKind::Text, "strategic", "json, merge or strategic"}, {"subresource", 0, FlagKind::Text, "", "status or scale"}}}),
           patch}};
}

}  // namespace k8lite::kubectl
