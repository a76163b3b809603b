#include "api/custom/version.h"

#include <algorithm>

#include "api/jsonpath.h"
#include "base/strings.h"

namespace k8lite::api::custom {
namespace {

using json::Node;
using json::Value;

std::vector<std::string> texts(Value list) {
  std::vector<std::string> out;
  for (Value v : list.items()) out.push_back(v.str());
  return out;
}

Value schema_of(Value version) { return version["schema"]["openAPIV3Schema"]; }

// A cell for what a column's path found, as its type wants it; null where the value is of another type.
Node cell_of(const Node& value, const std::string& type, Instant now) {
  if (type == "string") return value.is_null() ? Node() : Node(jsonpath_text(value));
  if (type == "integer") return value.is_number() ? Node(value.int_or(0)) : Node();
  if (type == "number") return value.is_number() ? value : Node();
  if (type == "boolean") return value.is_bool() ? value : Node();
  if (type != "date" || !value.is_string()) return Node();
  auto t = parse_rfc3339(value.str());
  return t ? human_duration(now - *t) : "<invalid>";
}

struct CustomColumn {
  std::string type;
  JsonPath path;
};

void add_subresources(KindRow& row, Version& v, Value version) {
  Value sub = version["subresources"];
  const std::vector<std::string> verbs = {"get", "patch", "update"};
  if (sub["status"]) {
    row.status = true;
    row.subresources.push_back({"status", "", "", row.kind, verbs});
  }
  if (Value scale = sub["scale"]) {
    row.scale = true;
    row.subresources.push_back({"scale", "autoscaling", "v1", "Scale", verbs});
    v.spec_replicas = dotted(scale["specReplicasPath"].str());
    v.status_replicas = dotted(scale["statusReplicasPath"].str());
    v.label_selector = dotted(scale["labelSelectorPath"].str());
  }
}

std::string deprecation_of(const KindRow& row, Value version) {
  if (!version["deprecated"].bool_or(false)) return {};
  std::string text = version["deprecationWarning"].str();
  return text.empty() ? row.group + "/" + row.version + " " + row.kind + " is deprecated" : text;
}

KindPtr row_of(const json::Doc& definition, Value version, const SchemaPtr& stored, bool deleting) {
  Value spec = definition["spec"], names = definition["status"]["acceptedNames"];
  auto row = std::make_shared<KindRow>();
  auto v = std::make_shared<Version>();
  row->group = spec["group"].str();
  row->version = version["name"].str();
  row->kind = names["kind"].str();
  row->plural = names["plural"].str();
  row->singular = names["singular"].str();
  row->short_names = texts(names["shortNames"]);
  row->categories = texts(names["categories"]);
  row->namespaced = spec["scope"].equals("Namespaced");
  row->verbs = {"delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"};
  if (deleting) std::erase(row->verbs, "create");
  row->counts_generation = true;
  v->list_kind = names["listKind"].str(row->kind + "List");
  Node written = schema_of(version).to_node();
  v->schema = version["storage"].bool_or(false) ? stored : compile(written);
  v->published = json::Doc::from(written);
  v->stored = stored;
  v->types = apply_types(*v->schema);
  v->deprecation = deprecation_of(*row, version);
  add_subresources(*row, *v, version);
  for (Value f : version["selectableFields"].items()) row->field_selectors.push_back(dotted(f["jsonPath"].str()));
  auto printing = printing_of_version(version.to_node());
  row->columns = std::move(printing.columns);
  row->rules.cells = std::move(printing.cells);
  row->type = &v->types.front();
  row->custom = std::move(v);
  return row;
}

}  // namespace

std::string dotted(const std::string& json_path) {
  return json_path.starts_with('.') ? json_path.substr(1) : json_path;
}

bool has_condition(Value definition, std::string_view type) {
  for (Value c : definition["status"]["conditions"].items())
    if (c["type"].equals(type)) return c["status"].equals("True");
  return false;
}

std::vector<KindPtr> rows_of(const json::Doc& definition) {
  std::vector<KindPtr> out;
  // Names accepted once are kept, whatever new ones are asked for.
  if (!has_condition(definition.root(), "Established") && !has_condition(definition.root(), "NamesAccepted"))
    return out;
  bool deleting = static_cast<bool>(definition.path("metadata.deletionTimestamp"));
  SchemaPtr stored;
  for (Value v : definition.path("spec.versions").items())
    if (v["storage"].bool_or(false)) stored = compile(schema_of(v).to_node());
  for (Value v : definition.path("spec.versions").items())
    if (stored && (v["served"].bool_or(false) || (deleting && v["storage"].bool_or(false))))
      out.push_back(row_of(definition, v, stored, deleting));
  return out;
}

Printing printing_of_version(const Node& version) {
  Printing out;
  out.columns.push_back({.name = "Name",
                         .type = "string",
                         .format = "name",
                         .description = "Name of the object, unique within its namespace.",
                         .priority = 0});
  Node columns = version.get("additionalPrinterColumns");
  if (columns.size() == 0)
    columns = Node::arr({Node::obj({{"name", "Age"},
                                    {"type", "date"},
                                    {"jsonPath", ".metadata.creationTimestamp"},
                                    {"description", "Time when the object was created by the server, in UTC."}})});
  std::vector<CustomColumn> found;
  for (const Node& c : columns.items()) {
    auto path = JsonPath::parse_relaxed(c.get("jsonPath").str());
    if (!path.ok()) continue;
    std::string description = c.get("description").str();
    if (description.empty())
      description = "Custom resource definition column (in JSONPath format): " + c.get("jsonPath").str();
    out.columns.push_back({.name = c.get("name").str(),
                           .type = c.get("type").str(),
                           .format = c.get("format").str(),
                           .description = std::move(description),
                           .priority = static_cast<int>(c.get("priority").int_or(0))});
    found.push_back({c.get("type").str(), std::move(path).value()});
  }
  out.cells = [found = std::move(found)](Value object, Instant now) {
    std::vector<Node> cells = {Node(object["metadata"]["name"].str())};
    Node whole = object.to_node();
    for (const CustomColumn& c : found) {
      auto values = c.path.find(whole);
      cells.push_back(values.empty() ? Node() : cell_of(*values[0], c.type, now));
    }
    return cells;
  };
  return out;
}

}  // namespace k8lite::api::custom
