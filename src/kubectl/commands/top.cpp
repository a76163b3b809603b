// kubectl top: what nodes and pods use now, from metrics.k8s.io, with upstream's columns and words.
#include <algorithm>

#include "base/quantity.h"
#include "base/strings.h"
#include "kubectl/commands/commands.h"
#include "kubectl/printers.h"
#include "kubectl/resources.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

constexpr const char* kRoot = "/apis/metrics.k8s.io/v1beta1";

struct Usage {
  Quantity cpu, memory;
  void add(const Node& usage) {
    if (auto q = Quantity::parse(usage["cpu"].str())) cpu = cpu + *q;
    if (auto q = Quantity::parse(usage["memory"].str())) memory = memory + *q;
  }
};

struct Line {
  std::string ns, name;
  Usage usage;
  std::vector<Line> containers = {};
};

std::string cpu_text(const Quantity& q) { return std::to_string(q.milli_value()) + "m"; }
std::string memory_text(const Quantity& q) { return std::to_string(q.value() / (1 << 20)) + "Mi"; }
std::string percent(int64_t used, const Quantity& of, int64_t whole) {
  return of.is_zero() ? "<unknown>" : std::to_string(static_cast<int64_t>(static_cast<double>(used) / static_cast<double>(whole) * 100)) + "%";
}

void sort_lines(std::vector<Line>& lines, const std::string& by) {
  std::sort(lines.begin(), lines.end(), [&by](const Line& a, const Line& b) {
    if (by == "cpu") return a.usage.cpu > b.usage.cpu;
    if (by == "memory") return a.usage.memory > b.usage.memory;
    return a.ns != b.ns ? a.ns < b.ns : a.name < b.name;
  });
}

// Checks what both forms have in common; the one name, or "".
Result<std::string> begin(Session& s) {
  if (s.flags.args.size() > 1) return usage(s.command_path.substr(s.command_path.rfind(' ') + 1) + " [NAME | -l label]\nSee '" + s.command_path + " -h' for help and examples");
  if (!s.flags.args.empty() && (s.flags.changed("selector") || s.flags.changed("field-selector"))) return usage("error: only one of NAME or selector can be provided\nSee '" + s.command_path + " -h' for help and examples");
  std::string by = s.flags.text("sort-by");
  if (!by.empty() && by != "cpu" && by != "memory") return usage("--sort-by accepts only cpu or memory");
  TRY(const Discovery* discovery, s.discovery());
  const auto& served = discovery->group_versions();
  if (std::find(served.begin(), served.end(), "metrics.k8s.io/v1beta1") == served.end()) return usage("Metrics API not available");
  return s.flags.args.empty() ? std::string() : s.flags.args[0];
}

Result<std::vector<Node>> fetch(Session& s, const std::string& path, const std::string& name) {
  if (!name.empty()) {
    TRY(Node one, s.get(path + "/" + name));
    return std::vector<Node>{std::move(one)};
  }
  TRY(Node list, s.get(with_query(path, {{"labelSelector", s.flags.text("selector")}, {"fieldSelector", s.flags.text("field-selector")}})));
  return std::move(list["items"].items());
}

// ---- nodes ----

Result<> top_node(Session& s) {
  TRY(std::string name, begin(s));
  TRY(auto metrics, fetch(s, std::string(kRoot) + "/nodes", name));
  if (metrics.empty()) return usage("metrics not available yet");
  TRY(auto nodes, fetch(s, "/api/v1/nodes", name));
  std::map<std::string, Usage> room;
  for (const Node& n : std::as_const(nodes)) room[n.path("metadata.name").str()].add(n.path(s.flags.on("show-capacity") ? "status.capacity" : "status.allocatable"));
  std::vector<Line> lines;
  for (const Node& m : std::as_const(metrics)) {
    Line& line = lines.emplace_back("", m.path("metadata.name").str());
    line.usage.add(m["usage"]);
  }
  sort_lines(lines, s.flags.text("sort-by"));
  TextTable table;
  if (!s.flags.on("no-headers")) table.row({"NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"});
  for (const Line& l : lines) {
    const Usage& of = room[l.name];
    table.row({l.name, cpu_text(l.usage.cpu), percent(l.usage.cpu.milli_value(), of.cpu, of.cpu.milli_value()), memory_text(l.usage.memory), percent(l.usage.memory.value(), of.memory, of.memory.value())});
    room.erase(l.name);
  }
  for (const auto& [silent, of] : room) table.row({silent, "<unknown>", "<unknown>", "<unknown>", "<unknown>"});
  s.out(table.text());
  return {};
}

// ---- pods ----

// Nothing is measured yet: of pods that are young that is no error.
Result<> explain_empty(Session& s, const std::string& ns) {
  constexpr Duration kPatience = seconds(120);
  TRY(Mapping m, s.mapping("pods"));
  TRY(auto pods, list_objects(s, m, ns, s.flags.text("selector"), s.flags.text("field-selector")));
  for (const Node& p : std::as_const(pods)) {
    auto made = parse_rfc3339(p.path("metadata.creationTimestamp").str());
    Duration age = made ? system_clock().now() - *made : Duration{0};
    if (age > kPatience) return usage("Metrics not available for pod " + p.path("metadata.namespace").str() + "/" + p.path("metadata.name").str() + ", age: " + human_duration(age));
  }
  if (!pods.empty()) return usage("metrics not available yet");
  s.err(ns.empty() ? "No resources found\n" : "No resources found in " + ns + " namespace.\n");
  return {};
}

std::vector<std::string> pod_row(const Line& l, const std::string* container, bool namespaces, const Usage& usage) {
  std::vector<std::string> row;
  if (namespaces) row.push_back(l.ns);
  row.push_back(l.name);
  if (container) row.push_back(*container);
  row.push_back(cpu_text(usage.cpu));
  row.push_back(memory_text(usage.memory));
  return row;
}

void add_sum(TextTable& table, const std::vector<Line>& lines, size_t columns) {
  Usage sum;
  for (const Line& l : lines) sum.cpu = sum.cpu + l.usage.cpu, sum.memory = sum.memory + l.usage.memory;
  std::vector<std::string> rule(columns - 2, ""), total(columns - 2, "");
  rule.insert(rule.end(), {"________", "________"});
  total.insert(total.end(), {cpu_text(sum.cpu), memory_text(sum.memory)});
  table.row(std::move(rule));
  table.row(std::move(total));
}

Result<> top_pod(Session& s) {
  TRY(std::string name, begin(s));
  TRY(std::string ns, s.ns());
  bool all = s.all_namespaces() && name.empty(), containers = s.flags.on("containers");
  if (all) ns.clear();
  TRY(auto metrics, fetch(s, std::string(kRoot) + (ns.empty() ? "" : "/namespaces/" + ns) + "/pods", name));
  if (metrics.empty()) return explain_empty(s, ns);
  std::vector<Line> lines;
  for (const Node& m : std::as_const(metrics)) {
    Line line{m.path("metadata.namespace").str(), m.path("metadata.name").str(), {}};
    for (const Node& c : m["containers"].items()) {
      line.usage.add(c["usage"]);
      line.containers.push_back({"", c["name"].str(), {}});
      line.containers.back().usage.add(c["usage"]);
    }
    lines.push_back(std::move(line));
  }
  std::string by = s.flags.text("sort-by");
  sort_lines(lines, by);
  TextTable table;
  std::vector<std::string> head = {"CPU(cores)", "MEMORY(bytes)"};
  if (containers) head.insert(head.begin(), {"POD", "NAME"});
  else head.insert(head.begin(), "NAME");
  if (all) head.insert(head.begin(), "NAMESPACE");
  size_t columns = head.size();
  if (!s.flags.on("no-headers")) table.row(std::move(head));
  for (Line& l : lines) {
    if (!containers) table.row(pod_row(l, nullptr, all, l.usage));
    sort_lines(l.containers, by);
    for (const Line& c : l.containers)
      if (containers) table.row(pod_row(l, &c.name, all, c.usage));
  }
  if (s.flags.on("sum")) add_sum(table, lines, columns);
  s.out(table.text());
  return {};
}

}  // namespace

std::vector<Command> top_commands() {
  std::vector<FlagSpec> both = {{"selector", 'l', FlagKind::Text, "", "Label selector: a=b,c!=d,e in (f,g)"},
                                {"no-headers", 0, FlagKind::Bool, "false", "No headings"},
                                {"sort-by", 0, FlagKind::Text, "", "cpu or memory"},
                                {"use-protocol-buffers", 0, FlagKind::Bool, "true", "Accepted; this kubectl speaks JSON"}};
  Command t{"top", "Cluster Management Commands", "Display resource (CPU/memory) usage", "", {}, nullptr};
  t.children = {{"node", "", "Display resource (CPU/memory) usage of nodes", "[NAME | -l label]", flags_of({both, {{"show-capacity", 0, FlagKind::Bool, "false", "Percent of the capacity, not of what is allocatable"}}}), top_node, {}, {"nodes", "no"}},
                {"pod", "", "Display resource (CPU/memory) usage of pods", "[NAME | -l label]",
                 flags_of({both,
                           {{"all-namespaces", 'A', FlagKind::Bool, "false", "Pods of all namespaces"},
                            {"field-selector", 0, FlagKind::Text, "", "Field selector: metadata.name=x"},
                            {"containers", 0, FlagKind::Bool, "false", "Each container of the pods"},
                            {"sum", 0, FlagKind::Bool, "false", "A line with the sum"}}}),
                 top_pod, {}, {"pods", "po"}}};
  return {std::move(t)};
}

}  // namespace k8lite::kubectl
