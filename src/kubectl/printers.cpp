// Everything below turns objects into text and asks the server for nothing.
#include "kubectl/printers.h"

#include <algorithm>

#include "base/quantity.h"
#include "base/strings.h"
#include "base/yaml.h"
#include "kubectl/go_template.h"
#include "kubectl/jsonpath.h"
#include "kubectl/kyaml.h"
#include "os/files.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

constexpr std::string_view kFormats = "custom-columns,custom-columns-file,go-template,go-template-file,json,jsonpath,jsonpath-as-json,jsonpath-file,kyaml,name,template,templatefile,wide,yaml";

size_t display_width(std::string_view text) {
  size_t n = 0;
  for (char c : text) n += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return n;
}

Result<std::vector<std::pair<std::string, JsonPath>>> custom_columns(std::string_view spec) {
  std::vector<std::pair<std::string, JsonPath>> out;
  if (spec.empty()) return usage("custom-columns format specified but no custom columns given");
  for (std::string_view piece : split(spec, ',')) {
    size_t colon = piece.find(':');
    if (colon == std::string_view::npos)
      return usage("unexpected custom-columns spec: " + std::string(piece) + ", expected <header>:<json-path-expr>");
    TRY(JsonPath path, JsonPath::parse_relaxed(piece.substr(colon + 1)));
    out.emplace_back(std::string(piece.substr(0, colon)), std::move(path));
  }
  return out;
}

Result<> print_custom(Session& s, const Output& o, const Node& object) {
  std::string spec = o.argument;
  if (o.format == "custom-columns-file") {
    TRY(std::string text, os::read_file(o.argument));
    std::vector<std::string> lines, heads, paths;
    for (std::string_view l : split(text, '\n'))
      if (!trim(l).empty()) lines.emplace_back(l);
    if (lines.size() != 2) return usage("invalid template: file must contain a line of headers and a line of paths");
    auto words = [](const std::string& line) {
      std::vector<std::string> w;
      for (std::string_view p : split(line, ' '))
        if (!trim(p).empty()) w.emplace_back(trim(p));
      return w;
    };
    heads = words(lines[0]), paths = words(lines[1]);
    if (heads.size() != paths.size()) return usage("number of headers (" + std::to_string(heads.size()) + ") and field specifications (" + std::to_string(paths.size()) + ") don't match");
    spec.clear();
    for (size_t i = 0; i < heads.size(); ++i) spec += (i ? "," : "") + heads[i] + ":" + paths[i];
  }
  TRY(auto columns, custom_columns(spec));
  TextTable table;
  std::vector<std::string> cells;
  for (const auto& c : columns) cells.push_back(c.first);
  static bool headed = false;  // once, also when a watch prints object after object
  if (!s.flags.on("no-headers") && !std::exchange(headed, true)) table.row(cells);
  std::vector<const Node*> objects;
  if (object["items"].is_array()) {
    for (const Node& i : object["items"].items()) objects.push_back(&i);
  } else {
    objects.push_back(&object);
  }
  for (const Node* n : objects) {
    cells.clear();
    for (const auto& c : columns) {
      std::string text;
      for (const Node* v : c.second.find(*n)) text += (text.empty() ? "" : ",") + go_text(*v);
      cells.push_back(text.empty() ? "<none>" : text);
    }
    table.row(cells);
  }
  s.out(table.text());
  return {};
}

std::string name_of_kind(const Node& object) {
  std::string api = object["apiVersion"].str(), kind = lower(object["kind"].str());
  size_t slash = api.find('/');
  return kind + (slash == std::string::npos ? "" : "." + api.substr(0, slash));
}

}  // namespace

std::string TextTable::text(std::vector<size_t>* remembered) const {
  std::vector<size_t> own, &widths = remembered ? *remembered : own;
  for (const auto& r : rows_) {
    if (widths.size() < r.size()) widths.resize(r.size(), 6);
    for (size_t i = 0; i < r.size(); ++i) widths[i] = std::max(widths[i], display_width(r[i]) + 3);
  }
  std::string out;
  for (const auto& r : rows_) {
    for (size_t i = 0; i < r.size(); ++i) {
      out += r[i];
      if (i + 1 < r.size()) out.append(widths[i] - display_width(r[i]), ' ');
    }
    out += '\n';
  }
  return out;
}

Result<Output> Output::parse(const Session& session) {
  Output o;
  std::string text = session.flags.text("output");
  size_t eq = text.find('=');
  o.format = text.substr(0, eq);
  if (eq != std::string::npos) o.argument = text.substr(eq + 1);
  if (session.flags.changed("template") && o.argument.empty()) {  // --template alone means a Go template
    o.argument = session.flags.text("template");
    if (o.format.empty()) o.format = "go-template";
  }
  static const std::pair<const char*, const char*> files[] = {{"jsonpath-file", "jsonpath"}, {"go-template-file", "go-template"}, {"templatefile", "go-template"}};
  for (const auto& [format, means] : files)
    if (o.format == format) {
      if (o.argument.empty()) return usage("template format specified but no template given");
      auto read = os::read_file(o.argument);
      if (!read.ok()) return usage("error reading --template " + o.argument + ", " + read.status().message());
      o.argument = *read;
      o.format = means;
    }
  if (o.format == "template") o.format = "go-template";
  static const char* const known[] = {"", "wide", "json", "yaml", "kyaml", "name", "jsonpath", "jsonpath-as-json", "go-template", "custom-columns", "custom-columns-file"};
  for (const char* k : known)
    if (o.format == k) {
      if ((o.format.starts_with("jsonpath") || o.format == "go-template") && o.argument.empty()) return usage("template format specified but no template given");
      return o;
    }
  return usage("unable to match a printer suitable for the output format \"" + text + "\", allowed formats are: " + std::string(kFormats));
}

Node without_managed_fields(Node object) {
  if (Node* m = object.find("metadata")) m->erase("managedFields");
  if (Node* items = object.find("items"))
    for (Node& i : items->items())
      if (Node* m = i.find("metadata")) m->erase("managedFields");
  return object;
}

Node list_of(std::vector<Node> objects) {
  Node list = Node::obj({{"apiVersion", "v1"}, {"items", Node::array()}, {"kind", "List"}, {"metadata", Node::obj({{"resourceVersion", ""}})}});
  for (Node& o : objects) list["items"].append(std::move(o));
  return list;
}

static Result<> print_template(Session& s, const Output& o, const Node& object) {
  auto t = GoTemplate::parse(o.argument);
  if (!t.ok()) return usage("error parsing template " + o.argument + ", " + t.status().message());
  std::string text;
  auto done = t->render(object, text);
  s.out(text);
  if (!done.ok()) {
    std::string why = done.status().message();
    s.out("Error executing template: " + why + ". Printing more information for debugging the template:\n\ttemplate was:\n\t\t" + o.argument + "\n\traw data was:\n\t\t" + sorted_keys(object).dump() +
          "\n\tobject given to template engine was:\n\t\t" + go_text(object) + "\n\n");
    return usage("error executing template " + json::quoted(o.argument) + ": " + why);
  }
  return {};
}

static Result<> print_jsonpath(Session& s, const Output& o, const Node& object) {
  auto path = JsonPath::parse(o.argument);
  if (!path.ok()) return usage("error parsing jsonpath " + o.argument + ", " + path.status().message());
  std::string problem = path->problem(object);
  if (!problem.empty())
    return usage("error executing jsonpath \"" + o.argument + "\": Error executing template: " + problem + ". Printing more information for debugging the template:\n\ttemplate was:\n\t\t" + o.argument +
                 "\n\tobject given to jsonpath engine was:\n\t\t" + go_text(object) + "\n\n");
  if (o.format == "jsonpath-as-json") {
    Node all = Node::array();
    for (const Node* v : path->find(object)) all.append(*v);
    s.out(html_safe(sorted_keys(all).dump_pretty()) + "\n");
  } else {
    s.out(path->render(object));
  }
  return {};
}

Result<> print_object(Session& s, const Output& o, const Node& object, const Mapping* mapping) {
  if (o.format == "name") {
    auto one = [&](const Node& n) { s.out((mapping ? mapping->full_singular() : name_of_kind(n)) + "/" + n.path("metadata.name").str() + "\n"); };
    if (!object["items"].is_array()) one(object);
    for (const Node& n : object["items"].items()) one(n);
    return {};
  }
  Node shown = s.flags.on("show-managed-fields") ? object : without_managed_fields(object);
  if (o.format == "json") s.out(html_safe(sorted_keys(shown).dump_pretty()) + "\n");
  else if (o.format == "yaml") {
    static bool documents = false;  // later documents of one run are set apart
    s.out((std::exchange(documents, true) ? "---\n" : "") + dump_yaml(shown));
  }
  else if (o.format == "kyaml") s.out(dump_kyaml(shown));
  else if (o.format.starts_with("custom-columns")) return print_custom(s, o, shown);
  else if (o.format == "go-template") return print_template(s, o, shown);
  else return print_jsonpath(s, o, shown);
  return {};
}

std::string dry_run_suffix(const Session& s) {
  std::string d = s.flags.text("dry-run");
  return d == "client" ? " (dry run)" : d == "server" ? " (server dry run)" : "";
}

Result<> print_done(Session& s, const Node& object, const Mapping& mapping, std::string_view word) {
  TRY(Output o, Output::parse(s));
  if (!o.table()) {
    return print_object(s, o, object, &mapping);
  }
  s.out(mapping.full_singular() + "/" + object.path("metadata.name").str() + " " + std::string(word) + dry_run_suffix(s) + "\n");
  return {};
}

Result<> sort_objects(std::vector<Node>& objects, const std::string& expression) {
  auto path = JsonPath::parse_relaxed(expression);
  if (!path.ok()) return path.status();
  auto less = [&path](const Node& a, const Node& b) {
    auto x = path->find(a), y = path->find(b);
    if (x.empty() || y.empty()) return x.empty() && !y.empty();
    if (x[0]->is_number() && y[0]->is_number()) return x[0]->double_or(0) < y[0]->double_or(0);
    std::string s = jsonpath_text(*x[0]), t = jsonpath_text(*y[0]);
    auto q = Quantity::parse(s), r = Quantity::parse(t);
    if (q && r) return *q < *r;
    return s < t;
  };
  bool any = objects.empty();
  for (const Node& o : objects) any = any || !path->find(o).empty();
  if (!any) return usage("couldn't find any field with path \"" + expression + "\" in the list of objects");
  std::stable_sort(objects.begin(), objects.end(), less);
  return {};
}

std::string labels_text(const Node& labels, std::string_view separator) {
  std::string out;
  Node sorted = sorted_keys(labels);
  for (const auto& m : sorted.members()) {
    if (!out.empty()) out += separator;
    out += m.first + "=" + m.second.str();
  }
  return out.empty() ? "<none>" : out;
}

std::string age_of(const Node& timestamp) {
  auto t = parse_rfc3339(timestamp.str());
  return t ? human_duration(system_clock().now() - *t) : "<unknown>";
}

}  // namespace k8lite::kubectl
