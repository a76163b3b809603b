// kubectl explain: asks for the OpenAPI v3 document of the kind's group and prints a part of it.
#include "base/strings.h"
#include "kubectl/commands/commands.h"
#include "kubectl/openapi_text.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

Result<> explain(Session& s) {
  if (s.flags.args.empty()) return usage("You must specify the type of resource to explain. Use \"kubectl api-resources\" for a complete list of supported resources.");
  if (s.flags.args.size() > 1) return usage("We accept only this format: explain RESOURCE\nSee 'kubectl explain -h' for help and examples");
  std::string format = s.flags.text("output");
  if (format != "plaintext" && format != "plaintext-openapiv2") return usage("unrecognized format: " + format);
  auto words = split_strings(s.flags.args[0], '.');
  while (!words.empty() && words.back().empty()) words.pop_back();
  if (words.empty()) return usage("We accept only this format: explain RESOURCE");
  auto found = s.mapping(words[0]);
  if (!found.ok()) {
    s.err(found.status().message() + "\n");
    s.exit_code = 1;
    return {};
  }
  Mapping m = *found;
  if (std::string wanted = s.flags.text("api-version"); !wanted.empty() && wanted != m.api_version()) {
    TRY(const Discovery* d, s.discovery());
    const Mapping* other = nullptr;
    for (const Mapping& one : d->all())
      if (one.resource == m.resource && one.api_version() == wanted) other = &one;
    if (!other) return usage("couldn't find resource for \"" + wanted + ", Resource=" + m.resource + "\"");
    m = Mapping(*other);
  }
  TRY(Node index, s.get("/openapi/v3"));
  std::string url = std::as_const(index)["paths"].get(m.root().substr(1)).get("serverRelativeURL").str();
  if (url.empty()) return usage("couldn't find resource for \"" + m.api_version() + ", Resource=" + m.resource + "\"");
  TRY(Node openapi, s.get(url));
  std::string text;
  words.erase(words.begin());
  auto done = explain_schema(openapi, {m.group, m.version, m.kind, words, s.flags.on("recursive")}, text);
  s.out(text);
  return done;
}

}  // namespace

std::vector<Command> explain_commands() {
  Command c{"explain", "Basic Commands (Intermediate)", "Get documentation for a resource", "TYPE [--recursive=FALSE|TRUE] [--api-version=api-version-group] [-o|--output=plaintext|plaintext-openapiv2]",
            {{"recursive", 0, FlagKind::Bool, "false", "Name the fields of fields too, without their descriptions"},
             {"api-version", 0, FlagKind::Text, "", "Version of the group, as apps/v1"},
             {"output", 'o', FlagKind::Text, "plaintext", "plaintext or plaintext-openapiv2"}},
            explain};
  c.examples = "  # The fields of a pod\n  kubectl explain pods\n\n  # One field of it\n  kubectl explain pods.spec.containers";
  return {c};
}

}  // namespace k8lite::kubectl
