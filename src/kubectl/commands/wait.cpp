// kubectl wait: --for=delete, create, condition=NAME[=VALUE] and jsonpath='{EXPRESSION}'[=VALUE].
#include "base/strings.h"
#include "kubectl/commands/commands.h"
#include "kubectl/jsonpath.h"
#include "kubectl/printers.h"
#include "kubectl/waiting.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

using Look = std::function<Result<bool>(const Node&)>;

Look condition(std::string name, std::string value) {
  return [name, value](const Node& o) -> Result<bool> {
    if (!o.is_object()) return usage("the object was deleted while waiting");
    for (const Node& c : o.path("status.conditions").items()) {
      if (!iequals(c["type"].str(), name)) continue;
      int64_t generation = o.path("metadata.generation").int_or(0), seen = c.find("observedGeneration") ? c["observedGeneration"].int_or(0) : o.path("status.observedGeneration").int_or(generation);
      return seen >= generation && iequals(c["status"].str(), value);
    }
    return false;
  };
}

Result<Look> jsonpath(const std::string& text) {
  std::string expression = text, value;
  bool any = true;
  size_t close = text.rfind('}');
  size_t eq = text.find('=', close == std::string::npos ? 0 : close);
  if (eq != std::string::npos) {
    expression = text.substr(0, eq);
    value = text.substr(eq + 1);
    any = false;
    if (value.size() >= 2 && (value[0] == '"' || value[0] == '\'') && value.back() == value[0]) value = value.substr(1, value.size() - 2);
    if (value.empty()) return usage("jsonpath wait condition has empty value");
  }
  auto parsed = JsonPath::parse_relaxed(expression);
  if (!parsed.ok()) return usage("unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or '{.name1.name2}'");
  JsonPath path = *parsed;
  return Look([path, value, any](const Node& o) -> Result<bool> {
    if (!o.is_object()) return false;
    auto found = path.find(o);
    if (found.empty()) return false;
    if (found.size() > 1) return usage("given jsonpath expression matches more than one value");
    if (any) return true;
    if (found[0]->is_object() || found[0]->is_array()) return usage("jsonpath leads to a nested object or list which is not supported");
    return jsonpath_text(*found[0]) == value;
  });
}

Result<> wait(Session& s) {
  std::string what = s.flags.text("for");
    Look look;
  bool gone = what == "delete", created = what == "create";
  if (what.starts_with("condition=")) {
    std::string rest = what.substr(10);
    size_t eq = rest.find('=');
    look = condition(rest.substr(0, eq), eq == std::string::npos ? "true" : rest.substr(eq + 1));
  } else if (what.starts_with("jsonpath=")) {
    TRY(look, jsonpath(what.substr(9)));
  } else if (created) {
    look = [](const Node& o) -> Result<bool> { return o.is_object(); };
  } else if (!gone) {
    return usage("unrecognized condition: " + json::quoted(what));
  }
  Duration limit = s.flags.time("timeout");
  Deadline deadline(limit.count() < 0 ? seconds(7 * 24 * 3600) : limit);
  Choose choose{.fetch = !gone && !created};
  auto chosen = choose_targets(s, choose);
  if (!chosen.ok()) return chosen.status();
  if (chosen->empty() && !s.exit_code) {
    if (gone) return {};
    return usage("no matching resources found");
  }
  TRY(Output output, Output::parse(s));
  for (const Target& t : *chosen) {
    if (gone && !s.get(t.url()).ok()) continue;  // what is not there needs no waiting and no word
    auto done = gone ? wait_gone(s, t, t.object.path("metadata.uid").str(), deadline) : watch_until(s, t, deadline, look);
    if (!done.ok()) s.fail(created && done.status().is(Reason::Timeout) ? usage("timed out waiting for the condition") : done.status());
    else if (output.format == "name") s.out(t.mapping.full_singular() + "/" + t.name + "\n");
    else s.out(t.mapping.full_singular() + "/" + t.name + (gone ? " deleted" : "") + (gone ? "" : " condition met") + "\n");
  }
  return {};
}

}  // namespace

std::vector<Command> wait_commands() {
  Command c{"wait", "Advanced Commands", "Wait for a specific condition on one or many resources", "([-f FILENAME] | resource.group/resource.name | resource.group [(-l label | --all)]) [--for=create|--for=delete|--for condition=available|--for=jsonpath='{}'[=value]]",
            flags_of({file_flags(), selector_flags(), {output_flag(),
                      {"for", 0, FlagKind::Text, "", "create, delete, condition=NAME[=VALUE] or jsonpath='{EXPRESSION}'[=VALUE]"},
                      {"timeout", 0, FlagKind::Time, "30s", "How long to wait; 0 looks once, negative waits a week"},
                      {"all", 0, FlagKind::Bool, "false", "All objects of the type"}}}),
            wait};
  return {c};
}

}  // namespace k8lite::kubectl
