// One pass: read what the folder names, generate, change, rename; names that were changed are followed into the fields
// that refer to them by a table. Generated names keep their old one until all references are known, since a base's
// objects are renamed by its users too.
#include "kubectl/kustomize.h"

#include <algorithm>

#include "api/kinds.h"
#include "api/patch/patch.h"
#include "base/strings.h"
#include "base/yaml.h"
#include "os/files.h"
#include "pki/pki.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

constexpr int kMaxDepth = 16;  // kustomizations within kustomizations; a circle ends here

struct Object {
  Node node;
  std::string original;  // the name that references use
  bool hashed = false;   // the name gets its content's hash at the end
};
using Objects = std::vector<Object>;

Status fault(const std::string& where, const std::string& what) {
  return Status(Reason::BadRequest, where + ": " + what);
}
std::string joined(const std::string& folder, const std::string& name) {
  return name.starts_with('/') ? name : folder + (folder.ends_with('/') ? "" : "/") + name;
}
const std::string& text(const Node& n, std::string_view dotted) { return n.path(dotted).str(); }
const std::string& kind_of(const Object& o) { return text(o.node, "kind"); }
const std::string& name_of(const Object& o) { return text(o.node, "metadata.name"); }

// Which fields hold the name of another object: the member `field` of an object that stands under `parent`.
struct Reference {
  const char *kind, *parent, *field;  // kind "": the object's own member `kind` says it
};
constexpr Reference kReferences[] = {{"ConfigMap", "configMap", "name"},
                                     {"ConfigMap", "configMapKeyRef", "name"},
                                     {"ConfigMap", "configMapRef", "name"},
                                     {"Secret", "secret", "secretName"},
                                     {"Secret", "secret", "name"},
                                     {"Secret", "secretKeyRef", "name"},
                                     {"Secret", "secretRef", "name"},
                                     {"Secret", "imagePullSecrets", "name"},
                                     {"Secret", "tls", "secretName"},
                                     {"ServiceAccount", "spec", "serviceAccountName"},
                                     {"Service", "spec", "serviceName"},
                                     {"Service", "service", "name"},
                                     {"PersistentVolumeClaim", "persistentVolumeClaim", "claimName"},
                                     {"PersistentVolume", "spec", "volumeName"},
                                     {"StorageClass", "spec", "storageClassName"},
                                     {"PriorityClass", "spec", "priorityClassName"},
                                     {"", "scaleTargetRef", "name"},
                                     {"", "roleRef", "name"},
                                     {"", "subjects", "name"}};

void follow(Node& n, const std::string& parent, const std::string& kind, const std::string& from,
            const std::string& to) {
  if (n.is_array())
    for (Node& item : n.items()) follow(item, parent, kind, from, to);
  if (!n.is_object()) return;
  for (const Reference& r : kReferences) {
    if (parent != r.parent || (*r.kind ? kind != r.kind : text(n, "kind") != kind)) continue;
    if (Node* field = n.find(r.field); field && field->str() == from) *field = to;
  }
  for (auto& [key, value] : n.members()) follow(value, key, kind, from, to);
}

// Gives one object a new name, everywhere.
void rename(Objects& all, Object& o, const std::string& to) {
  std::string from = name_of(o), kind = kind_of(o);
  if (from == to) return;
  o.node["metadata"].set("name", to);
  for (Object& other : all) follow(other.node, "", kind, from, to);
}

Result<Node> one_document(const std::string& path) {
  TRY(std::string content, os::read_file(path));
  TRY(auto documents, parse_yaml(content, path));
  if (documents.size() != 1 || !documents[0].value.is_object()) return fault(path, "one YAML object is wanted");
  return std::move(documents[0].value);
}

Result<> add_objects(const std::string& content, const std::string& path, Objects& out) {
  TRY(auto documents, parse_yaml(content, path));
  for (YamlDocument& d : documents) {
    if (d.value.is_null()) continue;
    std::vector<Node> open;
    if (text(d.value, "kind").ends_with("List"))
      open = std::move(d.value["items"].items());
    else
      open.push_back(std::move(d.value));
    for (Node& n : open) {
      if (text(n, "kind").empty() || text(n, "apiVersion").empty() || text(n, "metadata.name").empty())
        return fault(path, "apiVersion, kind and metadata.name are wanted in every object");
      std::string name = text(n, "metadata.name");
      out.push_back({std::move(n), name});
    }
  }
  return {};
}

void merge_texts(Node& into, const Node& from) {
  for (const auto& [key, value] : from.members()) into.set(key, value);
}

// ---- generators ----
Result<std::vector<std::pair<std::string, std::string>>> sources(const std::string& folder, const std::string& where,
                                                                 const Node& g) {
  std::vector<std::pair<std::string, std::string>> out;
  auto add_lines = [&out](const std::string& content) {
    for (std::string_view line : split(content, '\n')) {
      line = trim(line);
      size_t eq = line.find('=');
      if (!line.empty() && line[0] != '#' && eq != line.npos) out.emplace_back(line.substr(0, eq), line.substr(eq + 1));
    }
  };
  for (const Node& l : g.get("literals").items()) {
    size_t eq = l.str().find('=');
    if (eq == std::string::npos || eq == 0)
      return fault(where, "invalid literal source " + l.str() + ", expected key=value");
    std::string value = l.str().substr(eq + 1);
    if (value.size() >= 2 && (value[0] == '"' || value[0] == '\'') && value.back() == value[0])
      value = value.substr(1, value.size() - 2);
    out.emplace_back(l.str().substr(0, eq), value);
  }
  for (const Node& f : g.get("files").items()) {
    size_t eq = f.str().find('=');
    std::string path = eq == std::string::npos ? f.str() : f.str().substr(eq + 1);
    TRY(std::string content, os::read_file(joined(folder, path)));
    out.emplace_back(eq == std::string::npos ? path.substr(path.rfind('/') + 1) : f.str().substr(0, eq), content);
  }
  std::vector<Node> envs = g.get("envs").items();
  if (g.get("env").exists()) envs.push_back(g.get("env"));
  for (const Node& f : envs) {
    TRY(std::string content, os::read_file(joined(folder, f.str())));
    add_lines(content);
  }
  return out;
}

Result<> only(const std::string& where, const Node& n, std::initializer_list<std::string_view> known) {
  for (const auto& [key, value] : n.members())
    if (std::find(known.begin(), known.end(), key) == known.end())
      return fault(where, "the field " + json::quoted(key) + " is not known to this kubectl");
  return {};
}

Result<> generate(const std::string& folder, const std::string& where, const Node& g, const Node& general, bool secret,
                  Objects& out) {
  TRY_OK(only(where, g, {"name", "namespace", "literals", "files", "envs", "env", "type", "options", "behavior"}));
  std::string name = g.get("name").str(), behavior = g.get("behavior").str_or("create");
  if (name.empty()) return fault(where, "a generator needs a name");
  TRY(auto pairs, sources(folder, where, g));
  Node made = Node::obj(
      {{"apiVersion", "v1"}, {"kind", secret ? "Secret" : "ConfigMap"}, {"metadata", Node::obj({{"name", name}})}});
  if (secret) made.set("type", g.get("type").str_or("Opaque"));
  if (g.get("namespace").exists()) made["metadata"].set("namespace", g.get("namespace"));
  bool hashed = true;
  for (const Node* options : {&general, &g.get("options")}) {
    TRY_OK(only(where, *options, {"labels", "annotations", "disableNameSuffixHash", "immutable"}));
    if (!options->get("labels").empty()) merge_texts(made["metadata"]["labels"], options->get("labels"));
    if (!options->get("annotations").empty()) merge_texts(made["metadata"]["annotations"], options->get("annotations"));
    if (options->get("disableNameSuffixHash").exists()) hashed = !options->get("disableNameSuffixHash").bool_or(false);
    if (options->get("immutable").bool_or(false)) made.set("immutable", true);
  }
  auto old = std::find_if(out.begin(), out.end(),
                          [&](const Object& o) { return o.original == name && kind_of(o) == text(made, "kind"); });
  if ((behavior == "create") != (old == out.end()))
    return fault(where, behavior + " of " + text(made, "kind") + " " + name + ": it is " +
                            (old == out.end() ? "not there" : "there already"));
  if (old != out.end() && behavior == "merge")
    for (const char* field : {"data", "binaryData"})
      if (old->node.find(field)) made.set(field, old->node.get(field));
  for (auto& [key, value] : pairs) {
    if (secret)
      made["data"].set(key, base64_encode(value));
    else if (json::Doc::parse(json::quoted(value)).ok())
      made["data"].set(key, value);
    else
      made["binaryData"].set(key, base64_encode(value));
  }
  if (old == out.end()) {
    out.push_back({std::move(made), name, hashed});
  } else {
    made["metadata"].set("name", name_of(*old));
    old->node = std::move(made);
    old->hashed = hashed;
  }
  return {};
}

// ---- changes ----
void label(Node& object, const Node& labels, bool selectors, bool templates) {
  merge_texts(object["metadata"]["labels"], labels);
  const std::string kind = text(object, "kind");
  Node* spec = object.find("spec");
  if (!spec) return;
  if (kind == "CronJob" && templates) {
    merge_texts((*spec)["jobTemplate"]["metadata"]["labels"], labels);
    if (Node* job = (*spec)["jobTemplate"].find("spec")) merge_texts((*job)["template"]["metadata"]["labels"], labels);
  }
  if (spec->find("template") && templates) merge_texts((*spec)["template"]["metadata"]["labels"], labels);
  if (!selectors) return;
  if (kind == "Service" || kind == "ReplicationController") {
    if (kind != "Service" || spec->find("selector")) merge_texts((*spec)["selector"], labels);
  } else if (spec->find("template") && kind != "Job") {
    merge_texts((*spec)["selector"]["matchLabels"], labels);
  } else if (Node* selector = spec->find("selector"); selector && selector->find("matchLabels")) {
    merge_texts((*selector)["matchLabels"], labels);
  }
}

void annotate(Node& object, const Node& annotations) {
  merge_texts(object["metadata"]["annotations"], annotations);
  if (Node* spec = object.find("spec"); spec && spec->find("template"))
    merge_texts((*spec)["template"]["metadata"]["annotations"], annotations);
}

void change_images(Node& n, const Node& image) {
  if (n.is_array())
    for (Node& item : n.items()) change_images(item, image);
  for (auto& [key, value] : n.members()) {
    if (key == "containers" || key == "initContainers") {
      for (Node& c : value.items()) {
        std::string full = text(c, "image"), name = full.substr(0, full.find('@')), rest;
        size_t colon = name.rfind(':');
        if (colon != std::string::npos && name.find('/', colon) == std::string::npos) name.resize(colon);
        rest = full.substr(name.size());
        if (name != image.get("name").str()) continue;
        if (image.get("newTag").exists()) rest = ":" + image.get("newTag").str();
        if (image.get("digest").exists()) rest = "@" + image.get("digest").str();
        c.set("image", image.get("newName").str_or(name) + rest);
      }
    } else {
      change_images(value, image);
    }
  }
}

bool is_target(const Object& o, const Node& target) {
  auto fits = [&](std::string_view field, const std::string& is) {
    return target.get(field).empty() || target.get(field).str() == is;
  };
  const std::string& api = text(o.node, "apiVersion");
  size_t slash = api.find('/');
  return fits("kind", kind_of(o)) && (fits("name", o.original) || fits("name", name_of(o))) &&
         fits("namespace", text(o.node, "metadata.namespace")) &&
         fits("group", slash == std::string::npos ? "" : api.substr(0, slash)) &&
         fits("version", slash == std::string::npos ? api : api.substr(slash + 1));
}

Result<> patch_one(Object& o, const Node& patch) {
  std::string name = name_of(o), kind = kind_of(o), api = text(o.node, "apiVersion");
  if (patch.is_array()) {
    TRY(o.node, api::patch::apply_json_patch(std::move(o.node), patch));
  } else {
    size_t slash = api.find('/');
    const api::schema::Type* type =
        api::schema::find_type_of_kind(slash == std::string::npos ? "" : api.substr(0, slash),
                                       slash == std::string::npos ? api : api.substr(slash + 1), kind);
    if (type) {
      TRY(o.node, api::apply_strategic_merge(std::move(o.node), patch, type));
    } else {
      o.node = api::patch::apply_merge_patch(std::move(o.node), patch);
    }
    o.node.set("kind", kind);
  }
  o.node["metadata"].set("name", name);
  return {};
}

// One entry of `patches`, or a file of `patchesStrategicMerge`.
Result<> apply_patch(const std::string& folder, const std::string& where, const Node& entry, Objects& all) {
  TRY_OK(only(where, entry, {"path", "patch", "target"}));
  std::string content = entry.get("patch").str(), source = where;
  if (entry.get("path").exists()) {
    source = joined(folder, entry.get("path").str());
    TRY(content, os::read_file(source));
  }
  TRY(auto documents, parse_yaml(content, source));
  TRY_OK(only(where, entry.get("target"), {"group", "version", "kind", "name", "namespace"}));
  for (const YamlDocument& d : documents) {
    if (d.value.is_null()) continue;
    Node target = entry.get("target").exists()
                      ? entry.get("target")
                      : Node::obj({{"kind", d.value.get("kind")}, {"name", d.value.path("metadata.name").str()}});
    int hits = 0;
    for (size_t i = all.size(); i-- > 0;) {
      if (!is_target(all[i], target)) continue;
      ++hits;
      if (text(d.value, "$patch") == "delete") {
        all.erase(all.begin() + static_cast<long>(i));
        continue;
      }
      auto done = patch_one(all[i], d.value);
      if (!done.ok()) return fault(source, done.status().message());
    }
    if (!hits && !entry.get("target").exists())
      return fault(source, "no matches for " + target.get("kind").str() + " " + target.get("name").str());
  }
  return {};
}

bool cluster_wide(const Object& o) {
  constexpr std::string_view kinds[] = {"Namespace",
                                        "Node",
                                        "PersistentVolume",
                                        "StorageClass",
                                        "ClusterRole",
                                        "ClusterRoleBinding",
                                        "CustomResourceDefinition",
                                        "PriorityClass",
                                        "IngressClass",
                                        "RuntimeClass",
                                        "APIService",
                                        "MutatingWebhookConfiguration",
                                        "ValidatingWebhookConfiguration",
                                        "CSIDriver"};
  return std::find(std::begin(kinds), std::end(kinds), kind_of(o)) != std::end(kinds);
}

bool has_replicas(const std::string& kind) {
  return kind == "Deployment" || kind == "StatefulSet" || kind == "ReplicaSet" || kind == "ReplicationController";
}

void set_namespace(Object& o, const std::string& ns) {
  if (!cluster_wide(o)) o.node["metadata"].set("namespace", ns);
  if (kind_of(o).ends_with("RoleBinding"))
    for (Node& s : o.node["subjects"].items())
      if (text(s, "kind") == "ServiceAccount" && (s.get("name").str() == "default" || !s.get("namespace").exists()))
        s.set("namespace", ns);
}

Result<> change(const std::string& folder, const std::string& where, const Node& k, Objects& all) {
  for (const Node& entry : k.get("patchesStrategicMerge").items()) {
    bool is_inline = entry.str().find('\n') != std::string::npos;
    TRY_OK(apply_patch(folder, where, Node::obj({{is_inline ? "patch" : "path", entry}}), all));
  }
  for (const Node& entry : k.get("patchesJson6902").items()) TRY_OK(apply_patch(folder, where, entry, all));
  for (const Node& entry : k.get("patches").items()) TRY_OK(apply_patch(folder, where, entry, all));
  for (Object& o : all) {
    if (!k.get("namespace").empty()) set_namespace(o, k.get("namespace").str());
    if (!k.get("commonLabels").empty()) label(o.node, k.get("commonLabels"), true, true);
    for (const Node& l : k.get("labels").items())
      label(o.node, l.get("pairs"), l.get("includeSelectors").bool_or(false),
            l.get("includeSelectors").bool_or(false) || l.get("includeTemplates").bool_or(false));
    if (!k.get("commonAnnotations").empty()) annotate(o.node, k.get("commonAnnotations"));
    for (const Node& image : k.get("images").items()) change_images(o.node, image);
    for (const Node& r : k.get("replicas").items())
      if (r.get("name").str() == o.original && has_replicas(kind_of(o))) o.node["spec"].set("replicas", r.get("count"));
  }
  std::string prefix = k.get("namePrefix").str(), suffix = k.get("nameSuffix").str();
  if (prefix.empty() && suffix.empty()) return {};
  for (Object& o : all)
    if (kind_of(o) != "Namespace" && kind_of(o) != "CustomResourceDefinition")
      rename(all, o, prefix + name_of(o) + suffix);
  return {};
}

Result<Objects> read(const std::string& folder, int depth) {
  if (depth > kMaxDepth) return fault(folder, "more than 16 kustomizations within one another");
  std::string where;
  for (const char* name : {"kustomization.yaml", "kustomization.yml", "Kustomization"})
    if (where.empty() && os::exists(joined(folder, name))) where = joined(folder, name);
  if (where.empty())
    return fault(folder,
                 "unable to find one of 'kustomization.yaml', 'kustomization.yml' or 'Kustomization' in directory '" +
                     folder + "'");
  TRY(Node k, one_document(where));
  TRY_OK(only(where, k,
              {"apiVersion", "kind", "metadata", "resources", "bases", "configMapGenerator", "secretGenerator",
               "generatorOptions", "namespace", "namePrefix", "nameSuffix", "commonLabels", "labels",
               "commonAnnotations", "images", "replicas", "patches", "patchesStrategicMerge", "patchesJson6902"}));
  Objects all;
  for (const char* list : {"resources", "bases"}) {
    for (const Node& entry : k.get(list).items()) {
      std::string path = joined(folder, entry.str());
      if (!os::exists(path))
        return fault(where, "accumulating resources: " + json::quoted(entry.str()) +
                                " is neither a file nor a folder (this kubectl reads no URLs)");
      auto content = os::read_file(path);
      if (content.ok()) {
        TRY_OK(add_objects(*content, path, all));
      } else {
        TRY(Objects inner, read(path, depth + 1));
        for (Object& o : inner) all.push_back(std::move(o));
      }
    }
  }
  for (const Node& g : k.get("configMapGenerator").items())
    TRY_OK(generate(folder, where, g, k.get("generatorOptions"), false, all));
  for (const Node& g : k.get("secretGenerator").items())
    TRY_OK(generate(folder, where, g, k.get("generatorOptions"), true, all));
  TRY_OK(change(folder, where, k, all));
  return all;
}

// What others need comes first; webhooks come last.
int rank(const std::string& kind) {
  constexpr std::string_view first[] = {"Namespace",
                                        "ResourceQuota",
                                        "StorageClass",
                                        "CustomResourceDefinition",
                                        "ServiceAccount",
                                        "Role",
                                        "ClusterRole",
                                        "RoleBinding",
                                        "ClusterRoleBinding",
                                        "ConfigMap",
                                        "Secret",
                                        "Endpoints",
                                        "Service",
                                        "LimitRange",
                                        "PriorityClass",
                                        "PersistentVolume",
                                        "PersistentVolumeClaim",
                                        "Deployment",
                                        "StatefulSet",
                                        "CronJob",
                                        "PodDisruptionBudget"};
  const auto* at = std::find(std::begin(first), std::end(first), kind);
  if (at != std::end(first)) return static_cast<int>(at - std::begin(first));
  return kind.ends_with("WebhookConfiguration") ? 1000 : 500;
}

}  // namespace

std::string content_hash(const Node& object) {
  // The encoding that is hashed has sorted keys, and an empty name.
  auto sorted = [&object](std::string_view field) {
    Node out = Node::object();
    auto members = object.get(field).members();
    std::sort(members.begin(), members.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (auto& [key, value] : members) out.set(key, value);
    return out;
  };
  bool secret = text(object, "kind") == "Secret";
  Node coded = Node::object();
  if (object.find("binaryData")) coded.set("binaryData", sorted("binaryData"));
  coded.set("data", object.find("data") ? sorted("data") : Node(""));
  coded.set("kind", text(object, "kind"));
  coded.set("name", "");
  if (secret) coded.set("type", text(object, "type"));
  std::string plain = coded.dump(), escaped;  // as Go writes it, which escapes these three everywhere
  for (char c : plain) {
    if (c == '<' || c == '>' || c == '&') {
      escaped += c == '<' ? "\\u003c" : c == '>' ? "\\u003e" : "\\u0026";
    } else {
      escaped += c;
    }
  }
  std::string hash = to_hex(pki::sha256(escaped)).substr(0, 10);
  for (char& c : hash) {
    constexpr std::string_view from = "013ae", to = "ghkmt";  // no vowels, no look-alikes
    if (size_t at = from.find(c); at != from.npos) c = to[at];
  }
  return hash;
}

Result<std::vector<Node>> build_kustomization(const std::string& folder) {
  TRY(Objects all, read(folder, 0));
  for (Object& o : all)
    if (o.hashed) rename(all, o, name_of(o) + "-" + content_hash(o.node));
  std::stable_sort(all.begin(), all.end(),
                   [](const Object& a, const Object& b) { return rank(kind_of(a)) < rank(kind_of(b)); });
  std::vector<Node> out;
  for (Object& o : all) out.push_back(std::move(o.node));
  return out;
}

}  // namespace k8lite::kubectl
