#include "api/custom/definition_rules.h"

#include <algorithm>
#include <set>

#include "api/custom/version.h"
#include "api/jsonpath.h"
#include "api/rules/rules.h"
#include "base/strings.h"

namespace k8lite::api::custom {
namespace {

using json::Node;
using rules::Causes;

constexpr size_t kMaxSelectableFields = 8;
constexpr const char* kApproved = "api-approved.kubernetes.io";
constexpr const char* kLabelRule =
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. "
    "'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
constexpr const char* kSubdomainRule =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. "
    "'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

bool is_label_1035(const std::string& text) { return is_dns_label(text) && text[0] >= 'a' && text[0] <= 'z'; }

std::string at(const std::string& path, size_t i) { return path + "[" + std::to_string(i) + "]"; }

void one_of(Causes& c, const std::string& path, const Node& value, std::initializer_list<std::string_view> supported) {
  for (auto s : supported)
    if (value.str() == s) return;
  rules::unsupported(c, path, value, supported);
}

void check_names(const Node& names, const std::string& path, bool all_wanted, Causes& c) {
  for (const char* name : {"plural", "singular", "kind", "listKind"}) {
    const std::string& text = names.get(name).str();
    bool mixed = std::string_view(name) == "kind" || std::string_view(name) == "listKind";
    if (text.empty() && all_wanted)
      rules::required(c, path + "." + name);
    else if (!text.empty() && !is_label_1035(mixed ? lower(text) : text))
      rules::invalid(c, path + "." + name, text,
                     std::string(mixed ? "may have mixed case, but should otherwise match: " : "") + kLabelRule);
  }
  for (const char* list : {"shortNames", "categories"})
    for (size_t i = 0; i < names.get(list).items().size(); ++i)
      if (const Node& n = names.get(list).items()[i]; !is_label_1035(n.str()))
        rules::invalid(c, at(path + "." + list, i), n, kLabelRule);
  if (!names.get("kind").str().empty() && names.get("kind").str() == names.get("listKind").str())
    rules::invalid(c, path + ".listKind", names.get("listKind"), "kind and listKind may not be the same");
}

// A path of plain names: ".spec.replicas".
bool is_simple_path(const std::string& path) {
  if (path.size() < 2 || path[0] != '.') return false;
  auto parts = split(std::string_view(path).substr(1), '.');
  return std::all_of(parts.begin(), parts.end(),
                     [](std::string_view p) { return !p.empty() && p.find_first_of("[]{}()*'\" ") == p.npos; });
}

void check_scale_path(const Node& scale, const char* name, const char* below, bool wanted, const std::string& path,
                      Causes& c) {
  const Node& value = scale.get(name);
  std::string here = path + ".scale." + name;
  if (value.str().empty()) {
    if (wanted) rules::required(c, here);
  } else if (!is_simple_path(value.str())) {
    rules::invalid(c, here, value, "must be a simple json path starting with .");
  } else if (!value.str().starts_with(std::string(below) + ".") &&
             !(std::string_view(name) == "labelSelectorPath" && value.str().starts_with(".spec."))) {
    rules::invalid(c, here, value,
                   std::string("should be a json path under ") + below +
                       (std::string_view(name) == "labelSelectorPath" ? " or .spec" : ""));
  }
}

void check_subresources(const Node& sub, const std::string& path, Causes& c) {
  const Node& scale = sub.get("scale");
  if (!scale.exists()) return;
  check_scale_path(scale, "specReplicasPath", ".spec", true, path, c);
  check_scale_path(scale, "statusReplicasPath", ".status", true, path, c);
  check_scale_path(scale, "labelSelectorPath", ".status", false, path, c);
}

void check_columns(const Node& columns, const std::string& path, Causes& c) {
  for (size_t i = 0; i < columns.items().size(); ++i) {
    const Node& column = columns.items()[i];
    std::string here = at(path, i);
    for (const char* name : {"name", "type", "jsonPath"})
      if (column.get(name).str().empty()) rules::required(c, here + "." + name);
    if (!column.get("type").str().empty())
      one_of(c, here + ".type", column.get("type"), {"boolean", "date", "integer", "number", "string"});
    if (!column.get("format").str().empty())
      one_of(c, here + ".format", column.get("format"),
             {"byte", "date", "date-time", "double", "float", "int32", "int64", "password"});
    const std::string& json_path = column.get("jsonPath").str();
    if (json_path.empty()) continue;
    if (json_path[0] != '.')
      rules::invalid(c, here + ".jsonPath", json_path, "must be a simple json path starting with .");
    else if (!JsonPath::parse_relaxed(json_path).ok())
      rules::invalid(c, here + ".jsonPath", json_path, "is an invalid JSONPath");
  }
}

void check_selectable(const Node& fields, const Node& schema, const std::string& path, Causes& c) {
  if (fields.size() > kMaxSelectableFields)
    c.push_back(
        {"FieldValueTooMany", "Too many: " + std::to_string(fields.size()) + ": must have at most 8 items", path});
  std::set<std::string> seen;
  for (size_t i = 0; i < fields.items().size(); ++i) {
    const Node& value = fields.items()[i].get("jsonPath");
    std::string here = at(path, i) + ".jsonPath";
    if (value.str().empty()) {
      rules::required(c, here);
      continue;
    }
    if (!is_simple_path(value.str())) {
      rules::invalid(c, here, value, "must be a simple json path starting with .");
      continue;
    }
    if (!seen.insert(value.str()).second) rules::duplicate(c, here, value);
    const Node* s = &schema;
    for (auto part : split(std::string_view(value.str()).substr(1), '.')) s = &s->get("properties").get(part);
    const std::string& type = s->get("type").str();
    if (value.str().starts_with(".metadata."))
      rules::invalid(c, here, value, "must not point to fields in metadata");
    else if (!s->exists())
      rules::invalid(c, here, value, "is an invalid path: does not refer to a valid field");
    else if (type != "string" && type != "boolean" && type != "integer")
      rules::invalid(c, here, value,
                     "must point to a field of type boolean, string or integer; enum string fields and strings with "
                     "formats are allowed");
  }
}

// What all versions say alike is told once, of the definition as a whole, as upstream does.
template <class Check>
void each_version(const Node& versions, std::string_view field, std::string_view shared_path, Check check) {
  const auto& all = versions.items();
  bool alike = !all.empty() &&
               std::all_of(all.begin(), all.end(), [&](const Node& v) { return v.get(field) == all[0].get(field); });
  for (size_t i = 0; i < all.size(); ++i) {
    if (alike && i) return;
    check(all[i], alike ? "spec." + std::string(shared_path) : at("spec.versions", i) + "." + std::string(field));
  }
}

void check_versions(const Node& versions, Causes& c) {
  std::set<std::string> names;
  int storage = 0;
  bool unique = true;
  if (versions.size() == 0) rules::required(c, "spec.versions", "must have at least one version");
  for (size_t i = 0; i < versions.items().size(); ++i) {
    const Node& v = versions.items()[i];
    std::string path = at("spec.versions", i), name = v.get("name").str();
    storage += v.get("storage").bool_or(false);
    unique &= names.insert(name).second;
    if (!is_label_1035(name)) rules::invalid(c, path + ".name", name, kLabelRule);
    if (!v.path("schema.openAPIV3Schema").is_object())
      rules::required(c, path + ".schema.openAPIV3Schema", "schemas are required");
    const Node& warning = v.get("deprecationWarning");
    if (!warning.exists()) continue;
    if (!v.get("deprecated").bool_or(false))
      rules::invalid(c, path + ".deprecationWarning", warning, "can only be set for deprecated versions");
    if (warning.str().size() > 256)
      c.push_back({"FieldValueTooLong", "Too long: may not be more than 256 bytes", path + ".deprecationWarning"});
    if (warning.str().empty()) rules::invalid(c, path + ".deprecationWarning", warning, "must not be an empty string");
  }
  if (!unique) rules::invalid(c, "spec.versions", versions, "must contain unique version names");
  if (storage != 1)
    rules::invalid(c, "spec.versions", versions, "must have exactly one version marked as storage version");
  each_version(versions, "schema", "validation", [&c](const Node& v, const std::string& path) {
    if (const Node& s = v.path("schema.openAPIV3Schema"); s.is_object()) check_schema(s, path + ".openAPIV3Schema", c);
  });
  each_version(versions, "subresources", "subresources",
               [&c](const Node& v, const std::string& path) { check_subresources(v.get("subresources"), path, c); });
  each_version(
      versions, "additionalPrinterColumns", "additionalPrinterColumns",
      [&c](const Node& v, const std::string& path) { check_columns(v.get("additionalPrinterColumns"), path, c); });
  each_version(versions, "selectableFields", "selectableFields", [&c](const Node& v, const std::string& path) {
    check_selectable(v.get("selectableFields"), v.path("schema.openAPIV3Schema"), path, c);
  });
}

void check_conversion(const Node& conversion, Causes& c) {
  const Node& strategy = conversion.get("strategy");
  if (strategy.str().empty()) return rules::required(c, "spec.conversion.strategy");
  if (strategy.str() == "Webhook")
    return rules::forbidden(c, "spec.conversion.strategy",
                            "conversion by webhooks is not in this build: only \"None\" is supported");
  one_of(c, "spec.conversion.strategy", strategy, {"None", "Webhook"});
  if (conversion.get("webhook").exists())
    rules::forbidden(c, "spec.conversion.webhook", "should not be set when strategy is not set to Webhook");
}

void check_group(const Node& object, Causes& c) {
  const Node &group = object.path("spec.group"), &approved = object.path("metadata.annotations").get(kApproved);
  const std::string& text = group.str();
  if (text.empty())
    rules::required(c, "spec.group");
  else if (!is_dns_subdomain(text))
    rules::invalid(c, "spec.group", group, kSubdomainRule);
  else if (text.find('.') == text.npos)
    rules::invalid(c, "spec.group", group, "should be a domain with at least one dot");
  bool is_protected =
      text == "k8s.io" || text.ends_with(".k8s.io") || text == "kubernetes.io" || text.ends_with(".kubernetes.io");
  if (is_protected && !approved.exists())
    rules::required(c, std::string("metadata.annotations[") + kApproved + "]",
                    std::string("protected groups must have approval annotation \"") + kApproved +
                        "\", see https://github.com/kubernetes/enhancements/pull/1111");
}

void check_change(const Node& object, const Node& old, Causes& c) {
  bool established = has_condition(json::Doc::from(old).root(), "Established");
  auto fixed = [&](const char* path) {
    if (!(object.path(path) == old.path(path))) rules::invalid(c, path, object.path(path), "field is immutable");
  };
  if (established) fixed("spec.scope"), fixed("spec.names.kind");
  fixed("spec.group");
  fixed("spec.names.plural");
  const auto& stored = old.path("status.storedVersions").items();
  for (size_t i = 0; i < stored.size(); ++i) {
    const auto& versions = object.path("spec.versions").items();
    if (std::none_of(versions.begin(), versions.end(),
                     [&](const Node& v) { return v.get("name").str() == stored[i].str(); }))
      rules::invalid(c, at("status.storedVersions", i), stored[i], "must appear in spec.versions");
  }
}

void validate_definition(const Node& object, const Node* old, Causes& c) {
  std::string wanted = object.path("spec.names.plural").str() + "." + object.path("spec.group").str();
  if (const Node& name = object.path("metadata.name"); !old && name.str() != wanted)
    rules::invalid(c, "metadata.name", name, "must be spec.names.plural+\".\"+spec.group");
  check_group(object, c);
  if (const Node& scope = object.path("spec.scope"); !scope.str().empty())
    one_of(c, "spec.scope", scope, {"Cluster", "Namespaced"});
  check_names(object.path("spec.names"), "spec.names", true, c);
  if (object.path("spec.preserveUnknownFields").bool_or(false))
    rules::invalid(
        c, "spec.preserveUnknownFields", true,
        "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead");
  check_conversion(object.path("spec.conversion"), c);
  check_versions(object.path("spec.versions"), c);
  if (old) check_change(object, *old, c);
}

void default_definition(Node& object) {
  Node& spec = object["spec"];
  if (!spec.is_object() || !spec.get("names").is_object()) return;
  Node& names = spec["names"];
  const std::string kind = names.get("kind").str();
  if (names.get("singular").str().empty()) names.set("singular", lower(kind));
  if (names.get("listKind").str().empty() && !kind.empty()) names.set("listKind", kind + "List");
  if (!spec.get("conversion").exists()) spec["conversion"].set("strategy", "None");
}

// Every version that objects were ever stored in is remembered; whoever migrated them takes it out through /status.
void settle_definition(Node& object) {
  Node& status = object["status"];
  if (!status.is_object() || status.size() == 0)
    status = Node::obj({{"acceptedNames", Node::obj({{"kind", ""}, {"plural", ""}})},
                        {"conditions", Node::array()},
                        {"storedVersions", Node::array()}});
  for (const Node& v : object.path("spec.versions").items()) {
    if (!v.get("storage").bool_or(false)) continue;
    const auto& stored = status.get("storedVersions").items();
    if (std::none_of(stored.begin(), stored.end(), [&v](const Node& s) { return s.str() == v.get("name").str(); }))
      status["storedVersions"].append(v.get("name").str());
  }
}

// One warning however many rules there are: clients bound what they take of headers.
void warn_of_definition(const Node& object, std::vector<std::string>& warnings) {
  constexpr size_t kMostNamed = 20;
  std::vector<std::string> found;
  each_version(object.path("spec.versions"), "schema", "validation", [&found](const Node& v, const std::string& path) {
    find_cel_rules(v.path("schema.openAPIV3Schema"), path + ".openAPIV3Schema", found);
  });
  if (found.empty()) return;
  std::string text = "CEL validation rules (x-kubernetes-validations) are not enforced by this build: ";
  for (size_t i = 0; i < std::min(found.size(), kMostNamed); ++i) text += (i ? ", " : "") + found[i];
  if (found.size() > kMostNamed) text += " and " + std::to_string(found.size() - kMostNamed) + " more";
  if (std::find(warnings.begin(), warnings.end(), text) == warnings.end()) warnings.push_back(std::move(text));
}

}  // namespace

Rules definition_rules() {
  Rules r;
  r.defaults = default_definition;
  r.validate = validate_definition;
  r.settle = settle_definition;
  r.warn = warn_of_definition;
  r.finalizer = kCleanupFinalizer;
  return r;
}

}  // namespace k8lite::api::custom
