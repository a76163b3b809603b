// Reads embedded/schema/kinds.txt into rows and joins them with their types, columns and rules.
#include "api/kinds.h"

#include <algorithm>
#include <tuple>

#include "api/custom/version.h"
#include "base/embedded.h"
#include "base/strings.h"

namespace k8lite::embedded_schema {
std::span<const k8lite::EmbeddedFile> files();
}

namespace k8lite::api {
namespace {

const std::vector<std::string> kAllVerbs = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"};

// "scale:autoscaling/v1/Scale=get+patch+update"
KindRow::Subresource read_subresource(std::string_view text) {
  KindRow::Subresource out;
  size_t colon = text.find(':'), equals = text.find('=');
  out.name = text.substr(0, colon);
  auto kind = split(text.substr(colon + 1, equals - colon - 1), '/');
  out.kind = kind.back();
  if (kind.size() == 3) {
    out.group = kind[0] == "core" ? "" : kind[0];
    out.version = kind[1];
  }
  out.verbs = split_strings(text.substr(equals + 1), '+');
  return out;
}

void read_attribute(KindRow& row, std::string_view word) {
  auto after = [&word](std::string_view prefix) { return word.substr(prefix.size()); };
  if (word.starts_with("type=")) row.type = schema::find_type(after("type="));
  else if (word == "verbs=all") row.verbs = kAllVerbs;
  else if (word.starts_with("verbs=")) row.verbs = split_strings(after("verbs="), ',');
  else if (word.starts_with("short=")) row.short_names = split_strings(after("short="), ',');
  else if (word.starts_with("categories=")) row.categories = split_strings(after("categories="), ',');
  else if (word == "generation") row.counts_generation = true;
  else if (word == "names=label") row.name_is_label = true;
  else if (word == "names=segment") row.name_is_path_segment = true;
  else if (word.starts_with("sub=")) {
    for (auto piece : split(after("sub="), ',')) {
      row.subresources.push_back(read_subresource(piece));
      row.status |= row.subresources.back().name == "status";
      row.scale |= row.subresources.back().name == "scale";
    }
  }
}

std::vector<std::string> field_selectors_of(const KindRow& row) {
  struct Entry {
    std::string_view group, plural, fields;
  };
  static constexpr Entry kEntries[] = {
      {"", "pods", "spec.nodeName spec.restartPolicy spec.schedulerName spec.serviceAccountName spec.hostNetwork status.phase status.podIP status.nominatedNodeName"},
      {"", "nodes", "spec.unschedulable"},
      {"", "secrets", "type"},
      {"", "namespaces", "status.phase"},
      {"", "services", "spec.clusterIP spec.type"},
      {"", "replicationcontrollers", "status.replicas"},
      {"apps", "replicasets", "status.replicas"},
      {"batch", "jobs", "status.successful"},
      {"certificates.k8s.io", "certificatesigningrequests", "spec.signerName"},
      {"", "events", "involvedObject.kind involvedObject.namespace involvedObject.name involvedObject.uid involvedObject.apiVersion "
                     "involvedObject.resourceVersion involvedObject.fieldPath reason reportingComponent source type"},
      {"events.k8s.io", "events", "regarding.kind regarding.namespace regarding.name regarding.uid regarding.apiVersion "
                                  "regarding.resourceVersion regarding.fieldPath reason reportingController type"},
  };
  for (const Entry& e : kEntries)
    if (e.group == row.group && e.plural == row.plural) return split_strings(e.fields, ' ');
  return {};
}

std::vector<KindPtr> load_kinds() {
  std::vector<KindPtr> out;
  std::string_view text;
  for (const EmbeddedFile& f : embedded_schema::files())
    if (f.path == "kinds.txt") text = f.content;
  for (std::string_view line : split(text, '\n')) {
    if (line.empty() || line[0] == '#') continue;
    auto words = split(line, ' ');
    auto row = std::make_shared<KindRow>();
    row->group = words[0] == "core" ? "" : words[0];
    row->version = words[1];
    row->kind = words[2];
    row->plural = words[3];
    row->singular = words[4];
    row->namespaced = words[5] == "namespaced";
    for (size_t i = 6; i < words.size(); ++i) read_attribute(*row, words[i]);
    auto printing = printing_of(row->group, row->plural);
    row->columns = std::move(printing.columns);
    row->rules = rules_of(row->group, row->plural);
    row->rules.cells = std::move(printing.cells);
    row->field_selectors = field_selectors_of(*row);
    out.push_back(std::move(row));
  }
  return out;
}

}  // namespace

const std::vector<KindPtr>& builtin_kinds() {
  static const std::vector<KindPtr> rows = load_kinds();
  return rows;
}

KindPtr find_builtin(std::string_view group, std::string_view version, std::string_view plural) {
  for (const KindPtr& row : builtin_kinds())
    if (row->group == group && row->version == version && row->plural == plural) return row;
  return nullptr;
}

std::string KindRow::list_kind() const { return custom ? custom->list_kind : kind + "List"; }

Result<> decode(const KindRow& kind, json::Node& object, std::vector<std::string>* issues) {
  if (!kind.custom) return kind.type ? schema::decode(object, *kind.type, issues) : Result<>();
  TRY_OK(custom::decode_metadata(object, kind.custom->schema.get(), issues).within(kind.kind + " in version " + json::quoted(kind.version) + " cannot be handled as a " + kind.kind));
  custom::prune_object(object, *kind.custom->schema, issues);
  if (custom::bytes_of_defaults(object, *kind.custom->schema) > custom::kMaxDefaults) return Status(Reason::RequestEntityTooLarge, "the object is too large with its defaults: limit is " + std::to_string(custom::kMaxDefaults));
  return {};
}

std::vector<std::string> warnings_of(const KindRow& kind) {
  if (!kind.custom || kind.custom->deprecation.empty()) return {};
  return {kind.custom->deprecation};
}

bool refresh(const KindRow& kind, json::Node& object) {
  if (!kind.custom) return false;
  json::Node before = object;
  custom::prune_object(object, *kind.custom->stored, nullptr);
  custom::fill_defaults(object, *kind.custom->stored);
  return !(object == before);
}

namespace {

// v<major>[alpha|beta<minor>]: stability 3 GA, 2 beta, 1 alpha; 0 for any other name.
struct VersionName {
  int stability = 0;
  int64_t major = 0, minor = 0;
};
VersionName read_version(std::string_view text) {
  if (!text.starts_with('v')) return {};
  size_t letter = text.find_first_not_of("0123456789", 1);
  auto major = parse_int(text.substr(1, letter == text.npos ? text.npos : letter - 1));
  if (!major) return {};
  if (letter == text.npos) return {3, *major, 0};
  std::string_view rest = text.substr(letter);
  int stability = rest.starts_with("beta") ? 2 : rest.starts_with("alpha") ? 1 : 0;
  auto minor = stability ? parse_int(rest.substr(stability == 2 ? 4 : 5)) : std::nullopt;
  return minor ? VersionName{stability, *major, *minor} : VersionName{};
}

}  // namespace

bool version_before(std::string_view a, std::string_view b) {
  VersionName x = read_version(a), y = read_version(b);
  if (!x.stability && !y.stability) return a < b;
  return std::tie(x.stability, x.major, x.minor) > std::tie(y.stability, y.major, y.minor);
}

}  // namespace k8lite::api
