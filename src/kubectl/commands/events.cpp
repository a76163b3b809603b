// kubectl events: the events of a namespace or of one object, in order of time, and those to come with --watch.
#include <algorithm>

#include "base/strings.h"
#include "kubectl/commands/commands.h"
#include "kubectl/printers.h"
#include "kubectl/resources.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

std::string time_of(const Node& e) {
  const Node& series = e["series"]["lastObservedTime"];
  for (const Node* t : {&series, &e["lastTimestamp"], &e["eventTime"], &e["firstTimestamp"]})
    if (t->is_string()) return t->str();
  return e.path("metadata.creationTimestamp").str();
}

std::vector<std::string> cells(const Node& e, bool namespaces) {
  std::string first = age_of(e["firstTimestamp"].is_string() ? e["firstTimestamp"] : e["eventTime"]), when = first;
  int64_t count = e["series"].is_object() ? e["series"]["count"].int_or(0) : e["count"].int_or(0);
  if (count > 1 || e["series"].is_object()) when = age_of(Node(time_of(e))) + " (x" + std::to_string(count) + " over " + first + ")";
  std::vector<std::string> out;
  if (namespaces) out.push_back(e.path("metadata.namespace").str());
  for (std::string cell : {when, e["type"].str(), e["reason"].str(), e["involvedObject"]["kind"].str() + "/" + e["involvedObject"]["name"].str(), std::string(trim(e["message"].str()))}) out.push_back(std::move(cell));
  return out;
}

bool wanted(const Session& s, const Node& e) {
  auto types = s.flags.list("types");
  return types.empty() || std::any_of(types.begin(), types.end(), [&e](const std::string& t) { return iequals(t, e["type"].str()); });
}

Result<> follow(Session& s, const Mapping& m, const std::string& ns, const std::string& fields, const std::string& version, std::vector<size_t> widths) {
  TRY(auto reading, s.open(with_query(url_of(m, ns), {{"watch", "true"}, {"fieldSelector", fields}, {"resourceVersion", version}})));
  for (bool end = false;;) {
    TRY(std::string line, reading->line(end));
    if (end) return {};
    if (trim(line).empty()) continue;
    TRY(Node event, Node::parse(line));
    const Node& e = std::as_const(event)["object"];
    if (std::as_const(event)["type"].str() == "DELETED" || !e.find("involvedObject") || !wanted(s, e)) continue;
    TextTable row;
    row.row(cells(e, s.all_namespaces()));
    s.out(row.text(&widths));
  }
}

Result<> events(Session& s) {
  if (!s.flags.args.empty()) return usage("unexpected arguments: [" + join(s.flags.args, " ") + "]\nSee 'kubectl events -h' for help and examples");
  for (const std::string& t : s.flags.list("types"))
    if (!iequals(t, "Normal") && !iequals(t, "Warning")) return usage("valid --types are Normal or Warning");
  TRY(Mapping m, s.mapping("events"));
  TRY(std::string ns, s.ns());
  if (s.all_namespaces()) ns.clear();
  std::string fields;
  if (std::string what = s.flags.text("for"); !what.empty()) {
    size_t slash = what.find('/');
    if (slash == std::string::npos) return usage("--for must be in resource/name form");
    TRY(Mapping type, s.mapping(what.substr(0, slash)));
    fields = "involvedObject.kind=" + type.kind + ",involvedObject.name=" + what.substr(slash + 1);
  }
  std::string version;
  TRY(auto all, list_objects(s, m, ns, "", fields, &version));
  all.erase(std::remove_if(all.begin(), all.end(), [&s](const Node& e) { return !wanted(s, e); }), all.end());
  std::stable_sort(all.begin(), all.end(), [](const Node& a, const Node& b) { return time_of(a) < time_of(b); });
  TRY(Output output, Output::parse(s));
  if (!output.table()) return print_object(s, output, list_of(std::move(all)));
  if (all.empty() && !s.flags.on("watch")) {
    s.err(ns.empty() ? "No events found.\n" : "No events found in " + ns + " namespace.\n");
    return {};
  }
  TextTable table;
  std::vector<std::string> head = {"LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"};
  if (s.all_namespaces()) head.insert(head.begin(), "NAMESPACE");
  if (!s.flags.on("no-headers")) table.row(head);
  for (const Node& e : all) table.row(cells(e, s.all_namespaces()));
  std::vector<size_t> widths;
  s.out(table.text(&widths));
  return s.flags.on("watch") ? follow(s, m, ns, fields, version, widths) : Result<>();
}

}  // namespace

std::vector<Command> event_commands() {
  Command c{"events", "Troubleshooting and Debugging Commands", "List events", "[(-o|--output=)FORMAT] [--for TYPE/NAME] [--watch] [--types=Normal,Warning]",
            {output_flag(), {"for", 0, FlagKind::Text, "", "Only events of this TYPE/NAME"}, {"watch", 'w', FlagKind::Bool, "false", "Also print what comes"}, {"types", 0, FlagKind::List, "", "Normal, Warning"},
             {"all-namespaces", 'A', FlagKind::Bool, "false", "Events of all namespaces"}, {"no-headers", 0, FlagKind::Bool, "false", "Print no headers"}, {"chunk-size", 0, FlagKind::Number, "500", "Page size of large lists"},
             {"template", 0, FlagKind::Text, "", "Template for -o go-template and -o jsonpath"}, {"show-managed-fields", 0, FlagKind::Bool, "false", "Keep managedFields in JSON and YAML"}},
            events};
  c.examples = "  # Events of one pod, and those to come\n  kubectl events --for pod/web --watch";
  return {c};
}

}  // namespace k8lite::kubectl
