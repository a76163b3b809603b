// kubectl get: server-side tables (metav1.Table) or whole objects, lists of several types, and watches.
#include <algorithm>
#include <optional>

#include "base/strings.h"
#include "kubectl/commands/commands.h"
#include "kubectl/jsonpath.h"
#include "kubectl/printers.h"
#include "kubectl/resources.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

constexpr const char* kTableAccept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";

// Rows of one type on their way to a TextTable.
struct TablePrinter {
  Session& s;
  bool wide, kinds, namespaces, headers;
  std::vector<std::string> label_columns;
  std::vector<size_t> widths = {};  // of a watch

  std::vector<std::string> head(const Node& definitions) const {
    std::vector<std::string> out;
    if (s.flags.on("output-watch-events")) out.push_back("EVENT");
    if (namespaces) out.push_back("NAMESPACE");
    for (const Node& c : definitions.items()) {
      if (c["priority"].int_or(0) != 0 && !wide) continue;
      std::string name = c["name"].str();
      for (char& ch : name) ch = static_cast<char>(toupper(static_cast<unsigned char>(ch)));
      out.push_back(name);
    }
    for (const std::string& l : label_columns) {
      std::string name(l.substr(l.rfind('/') + 1));
      for (char& ch : name) ch = static_cast<char>(toupper(static_cast<unsigned char>(ch)));
      out.push_back(name);
    }
    if (s.flags.on("show-labels")) out.push_back("LABELS");
    return out;
  }

  std::vector<std::string> cells(const Node& row, const Node& definitions, const Mapping& m, std::string_view event) const {
    std::vector<std::string> out;
    const Node& meta = row.path("object.metadata");
    if (s.flags.on("output-watch-events")) out.push_back(std::string(event) + std::string(event.size() < 8 ? 8 - event.size() : 0, ' '));
    if (namespaces) out.push_back(meta["namespace"].str_or(m.namespaced ? "" : ""));
    const auto& defs = definitions.items();
    const auto& values = row["cells"].items();
    for (size_t i = 0; i < values.size() && i < defs.size(); ++i) {
      if (defs[i]["priority"].int_or(0) != 0 && !wide) continue;
      std::string text = values[i].is_null() ? "" : jsonpath_text(values[i]);
      if (i == 0 && kinds) text = m.full_singular() + "/" + text;
      if (size_t nl = text.find('\n'); nl != std::string::npos) text = text.substr(0, nl) + "...";
      out.push_back(std::move(text));
    }
    for (const std::string& l : label_columns) out.push_back(meta["labels"][l].str());
    if (s.flags.on("show-labels")) out.push_back(labels_text(meta["labels"]));
    return out;
  }
};

std::string list_url(const Session& s, const Target& t, const std::string& next) {
  std::string ns = s.all_namespaces() && t.name.empty() ? "" : t.ns;
  std::string url = url_of(t.mapping, ns, t.name, s.flags.text("subresource"));
  if (!t.name.empty()) return url;
  return with_query(url, {{"labelSelector", s.flags.text("selector")}, {"fieldSelector", s.flags.text("field-selector")},
                          {"limit", s.flags.on("watch") || s.flags.on("watch-only") ? "" : s.flags.text("chunk-size")}, {"continue", next}});
}

// Name and age, for what the server does not print.
Node plain_table(Node list) {
  Node table = Node::obj({{"kind", "Table"}, {"metadata", list["metadata"]}, {"rows", Node::array()}});
  table.set("columnDefinitions", Node::arr({Node::obj({{"name", "Name"}, {"priority", 0}}), Node::obj({{"name", "Age"}, {"priority", 0}})}));
  std::vector<Node> objects;
  if (list.find("items")) objects = std::move(list["items"].items());
  else objects.push_back(std::move(list));
  for (Node& o : objects) {
    Node cells = Node::arr({std::as_const(o).path("metadata.name").str(), age_of(std::as_const(o).path("metadata.creationTimestamp"))});
    table["rows"].append(Node::obj({{"cells", std::move(cells)}, {"object", std::move(o)}}));
  }
  return table;
}

// One type's (or one object's) table with all its pages.
Result<Node> fetch_table(Session& s, const Target& t, bool whole) {
  Node table;
  std::string next;
  do {
    TRY(Reply reply, s.http("GET", with_query(list_url(s, t, next), {{"includeObject", whole ? "Object" : ""}}), "", "", s.flags.on("server-print") ? kTableAccept : "application/json"));
    TRY(Node page, Node::parse(reply.body));
    if (page["kind"].str() != "Table") page = plain_table(std::move(page));
    next = std::as_const(page).path("metadata.continue").str();
    if (table.is_null()) {
      table = std::move(page);
    } else {
      for (Node& r : page["rows"].items()) table["rows"].append(std::move(r));
    }
  } while (!next.empty());
  return table;
}

// A list that was refused is described by its selectors.
Status list_error(const Session& s, const Target& t, const Status& status) {
  size_t at = status.message().find("): ");
  if ((!status.is(Reason::BadRequest) && !status.is(Reason::NotFound)) || !from_server(status) || at == std::string::npos) return status;
  std::string labels = s.flags.text("selector"), fields = s.flags.text("field-selector"), what = json::quoted(t.mapping.group + "/" + t.mapping.version + ", Resource=" + t.mapping.resource);
  std::string head = labels.empty() && fields.empty() ? "Unable to list " + what : "Unable to find " + what + " that match label selector " + json::quoted(labels) + ", field selector " + json::quoted(fields);
  return Status(status.reason(), status.message().substr(0, at + 3) + head + ": " + status.message().substr(at + 3));
}

Result<> sort_rows(Node& table, const std::string& expression) {
  std::vector<Node> objects;
  for (size_t i = 0; i < table["rows"].items().size(); ++i) {
    Node object = table["rows"].items()[i].get("object");
    object.set("k8lite.row", static_cast<int64_t>(i));
    objects.push_back(std::move(object));
  }
  TRY_OK(sort_objects(objects, expression));
  Node rows = Node::array();
  for (const Node& o : objects) rows.append(table["rows"].items()[static_cast<size_t>(o.get("k8lite.row").int_or(0))]);
  table.set("rows", std::move(rows));
  return {};
}

Result<> get_tables(Session& s, const std::vector<Target>& targets, TablePrinter printer) {
  std::string sort = s.flags.text("sort-by"), last;
  bool any = false;
  std::optional<TextTable> open;
  auto flush = [&] {
    if (!open) return;
    s.out((any ? "\n" : "") + open->text());
    any = true;
    open.reset();
  };
  for (const Target& t : targets) {
    auto table = fetch_table(s, t, !sort.empty());
    if (!table.ok()) {
      if (table.status().is(Reason::NotFound) && s.flags.on("ignore-not-found")) continue;
      if (open) flush();
      s.fail(t.name.empty() ? list_error(s, t, table.status()) : table.status());
      continue;
    }
    if (table->get("rows").empty()) continue;
    if (!sort.empty()) TRY_OK(sort_rows(*table, sort));
    if (last != t.mapping.full_resource()) flush();
    const Node& definitions = table->get("columnDefinitions");
    if (!open) {
      open.emplace();
      if (printer.headers) open->row(printer.head(definitions));
    }
    last = t.mapping.full_resource();
    for (const Node& r : table->get("rows").items()) open->row(printer.cells(r, definitions, t.mapping, ""));
  }
  flush();
  if (any || s.exit_code || s.flags.on("ignore-not-found")) return {};
  bool namespaced = std::any_of(targets.begin(), targets.end(), [](const Target& t) { return t.mapping.namespaced; });
  TRY(std::string ns, s.ns());
  s.err(namespaced && !s.all_namespaces() ? "No resources found in " + ns + " namespace.\n" : "No resources found\n");
  return {};
}

Result<> get_objects(Session& s, const std::vector<Target>& targets, const Output& output) {
  std::vector<Node> objects;
  std::vector<Mapping> kinds;
  for (const Target& t : targets) {
    if (t.name.empty()) {
      auto got = list_objects(s, t.mapping, s.all_namespaces() ? "" : t.ns, s.flags.text("selector"), s.flags.text("field-selector"));
      if (!got.ok()) {
        s.fail(list_error(s, t, got.status()));
        continue;
      }
      for (Node& o : *got) objects.push_back(std::move(o)), kinds.push_back(t.mapping);
      continue;
    }
    auto got = s.get(list_url(s, t, ""));
    if (got.ok()) objects.push_back(std::move(got).value()), kinds.push_back(t.mapping);
    else if (!got.status().is(Reason::NotFound) || !s.flags.on("ignore-not-found")) s.fail(got.status());
  }
  bool single = targets.size() == 1 && !targets[0].name.empty();
  if (single) {
    if (objects.empty()) return {};
    return print_object(s, output, objects[0], &kinds[0]);
  }
  if (objects.empty() && s.exit_code) return {};
  if (s.flags.changed("sort-by")) TRY_OK(sort_objects(objects, s.flags.text("sort-by")));
  if (output.format == "name") {
    for (size_t i = 0; i < objects.size(); ++i) TRY_OK(print_object(s, output, objects[i], s.flags.changed("sort-by") ? nullptr : &kinds[i]));
    return {};
  }
  return print_object(s, output, list_of(std::move(objects)));
}

// With --output-watch-events the structured formats show the event around the object.
Result<> print_event(Session& s, const Output& output, const std::string& type, const Node& object, const Mapping& mapping) {
  if (!s.flags.on("output-watch-events") || (output.format != "json" && output.format != "yaml")) return print_object(s, output, object, &mapping);
  Node event = Node::obj({{"type", type}, {"object", sorted_keys(s.flags.on("show-managed-fields") ? object : without_managed_fields(object))}});
  if (output.format == "yaml") return print_object(s, output, event);
  s.out(html_safe(event.dump()) + "\n");
  return {};
}

// Follows one type from a resource version on; every event is printed as it comes.
Result<> follow(Session& s, const Target& t, const Output& output, TablePrinter& printer, Node definitions, std::string version, size_t columns_known) {
  std::string ns = s.all_namespaces() ? "" : t.ns;
  std::string fields = t.name.empty() ? s.flags.text("field-selector") : "metadata.name=" + t.name;
  int64_t limit = s.flags.time("request-timeout").count() / 1'000'000;
  std::string url = with_query(url_of(t.mapping, ns), {{"watch", "true"}, {"labelSelector", s.flags.text("selector")}, {"fieldSelector", fields}, {"resourceVersion", version}, {"timeoutSeconds", limit ? std::to_string(limit) : ""}});
  TRY(auto reading, s.open(url, output.table() ? kTableAccept : "application/json"));
  bool headed = columns_known > 0 || !printer.headers;
  for (bool done = false;;) {
    TRY(std::string line, reading->line(done));
    if (done) return {};
    if (trim(line).empty()) continue;
    TRY(Node event, Node::parse(line));
    const Node& object = std::as_const(event)["object"];
    std::string type = std::as_const(event)["type"].str();
    if (type == "ERROR") return machinery::status_from_response(static_cast<int>(object["code"].int_or(500)), object.dump());
    if (type == "BOOKMARK") continue;
    if (!output.table()) {
      TRY_OK(print_event(s, output, type, object, t.mapping));
      continue;
    }
    if (!object["columnDefinitions"].empty()) definitions = object["columnDefinitions"];
    TextTable table;
    if (!headed) table.row(printer.head(definitions));
    headed = true;
    for (const Node& r : object["rows"].items()) table.row(printer.cells(r, definitions, t.mapping, type));
    s.out(table.text(&printer.widths));
  }
}

Result<> get_watch(Session& s, const std::vector<Target>& targets, const Output& output, TablePrinter& printer) {
  if (targets.size() != 1) return usage("you may only specify a single resource type");
  const Target& t = targets[0];
  Target list = t;
  list.name.clear();
  std::string name = t.name.empty() ? s.flags.text("field-selector") : "metadata.name=" + t.name;
  Node definitions;
  std::string version;
  if (output.table()) {
    TRY(Reply reply, s.http("GET", with_query(list_url(s, t, ""), {}), "", "", kTableAccept));
    TRY(Node table, Node::parse(reply.body));
    definitions = table["columnDefinitions"];
    version = std::as_const(table).path("metadata.resourceVersion").str();
    TextTable text;
    bool rows = !table["rows"].empty() && !s.flags.on("watch-only");
    if (printer.headers && rows) text.row(printer.head(definitions));
    if (rows)
      for (const Node& r : table["rows"].items()) text.row(printer.cells(r, definitions, t.mapping, "ADDED"));
    s.out(text.text(&printer.widths));
    return follow(s, t, output, printer, definitions, version, rows ? 1 : 0);
  }
  TRY(auto objects, list_objects(s, t.mapping, s.all_namespaces() ? "" : t.ns, s.flags.text("selector"), name, &version));
  if (!s.flags.on("watch-only"))
    for (const Node& o : objects) TRY_OK(print_event(s, output, "ADDED", o, t.mapping));
  return follow(s, t, output, printer, definitions, version, 1);
}

Result<> get_raw(Session& s) {
  TRY(auto reading, s.open(s.flags.text("raw"), "application/json"));
  for (;;) {
    TRY(std::string piece, reading->chunk());
    if (piece.empty()) return {};
    s.out(piece);
  }
}

Result<> get(Session& s) {
  if (s.flags.changed("raw") && !s.flags.args.empty()) return usage("arguments may not be passed when --raw is specified");
  if (s.flags.changed("raw")) return get_raw(s);
  TRY(Output output, Output::parse(s));
  std::vector<Target> targets;
  if (s.flags.changed("filename")) {
    TRY(targets, targets_from_files(s));
  } else {
    if (s.flags.args.empty()) {
      s.err("You must specify the type of resource to get. Use \"kubectl api-resources\" for a complete list of supported resources.\n\n");
      return usage("Required resource not specified.\nUse \"kubectl explain <resource>\" for a detailed description of that resource (e.g. kubectl explain pods).\nSee 'kubectl get -h' for help and examples");
    }
    TRY(targets, targets_from_words(s, s.flags.args));
  }
  if (s.all_namespaces())
    for (const Target& t : targets)
      if (!t.name.empty() && t.mapping.namespaced) return usage("a resource cannot be retrieved by name across all namespaces");
  if (s.flags.changed("selector"))
    for (const Target& t : targets)
      if (!t.name.empty()) return usage("name cannot be provided when a selector is specified");
  std::vector<std::string> types;
  for (const Target& t : targets)
    if (std::find(types.begin(), types.end(), t.mapping.full_resource()) == types.end()) types.push_back(t.mapping.full_resource());
  bool any_namespaced = std::any_of(targets.begin(), targets.end(), [](const Target& t) { return t.mapping.namespaced; });
  TablePrinter printer{s, output.format == "wide", types.size() > 1 || s.flags.on("show-kind"), s.all_namespaces() && any_namespaced, !s.flags.on("no-headers"),
                       s.flags.list("label-columns")};
  if (s.flags.on("watch") || s.flags.on("watch-only")) return get_watch(s, targets, output, printer);
  if (output.table()) return get_tables(s, targets, printer);
  return get_objects(s, targets, output);
}

}  // namespace

std::vector<Command> get_commands() {
  Command c{"get", "Basic Commands (Intermediate)", "Display one or many resources", "[(-o|--output=)FORMAT] (TYPE[.VERSION][.GROUP] [NAME | -l label] | TYPE[.VERSION][.GROUP]/NAME ...) [flags]",
            flags_of({{output_flag(),
                       {"watch", 'w', FlagKind::Bool, "false", "After listing the requested objects, watch for changes"},
                       {"watch-only", 0, FlagKind::Bool, "false", "Watch for changes without listing first"},
                       {"output-watch-events", 0, FlagKind::Bool, "false", "Print the type of each event"},
                       {"sort-by", 0, FlagKind::Text, "", "Sort by the field this JSONPath names"},
                       {"no-headers", 0, FlagKind::Bool, "false", "Print no headers"},
                       {"show-labels", 0, FlagKind::Bool, "false", "Print all labels as the last column"},
                       {"show-kind", 0, FlagKind::Bool, "false", "Print the resource type beside the name"},
                       {"label-columns", 'L', FlagKind::List, "", "Labels to print as columns"},
                       {"ignore-not-found", 0, FlagKind::Bool, "false", "Do not fail when the object does not exist"},
                       {"show-managed-fields", 0, FlagKind::Bool, "false", "Keep managedFields in JSON and YAML"},
                       {"chunk-size", 0, FlagKind::Number, "500", "Page size of large lists"},
                       {"subresource", 0, FlagKind::Text, "", "Read this subresource (status, scale)"},
                       {"template", 0, FlagKind::Text, "", "Template for -o go-template and -o jsonpath"},
                       {"server-print", 0, FlagKind::Bool, "true", "Let the server make the columns"},
                       {"raw", 0, FlagKind::Text, "", "URI to request from the server"}},
                      selector_flags(), file_flags()}),
            get};
  c.examples = "  kubectl get pods\n  kubectl get pods -o wide -A\n  kubectl get deployment web -o yaml\n  kubectl get pods -o jsonpath='{.items[*].metadata.name}'";
  return {c};
}

}  // namespace k8lite::kubectl
