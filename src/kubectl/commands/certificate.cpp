// certificate approve and deny: what becomes of a CertificateSigningRequest.
#include <algorithm>

#include "base/clock.h"
#include "base/strings.h"
#include "kubectl/commands/commands.h"
#include "kubectl/printers.h"
#include "kubectl/resources.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

constexpr int kAttempts = 10;  // a signer may write the request meanwhile

bool has_condition(const Node& csr, std::string_view type) {
  const auto& all = csr.path("status.conditions").items();
  return std::any_of(all.begin(), all.end(), [type](const Node& c) { return c.get("type").str() == type; });
}

Result<Node> decide(Session& s, const Target& t, bool approve) {
  const char *type = approve ? "Approved" : "Denied", *other = approve ? "Denied" : "Approved";
  for (int attempt = 1;; ++attempt) {
    TRY(Node csr, s.get(t.url()));
    if (has_condition(csr, other))
      return usage("certificate signing request " + json::quoted(t.name) + " is already " + other);
    if (has_condition(csr, type) && !s.flags.on("force")) return csr;
    Node& conditions = csr["status"]["conditions"];
    std::erase_if(conditions.items(), [type](const Node& c) { return c.get("type").str() == type; });
    conditions.append(Node::obj({{"type", type},
                                 {"status", "True"},
                                 {"reason", approve ? "KubectlApprove" : "KubectlDeny"},
                                 {"message", std::string("This CSR was ") + (approve ? "approved" : "denied") +
                                                 " by kubectl certificate " + (approve ? "approve." : "deny.")},
                                 {"lastUpdateTime", rfc3339(system_clock().now())}}));
    auto r = s.call("PUT", t.url("approval"), &csr);
    if (r.ok() || !r.status().is(Reason::Conflict) || attempt == kAttempts) return r;
  }
}

Result<> certificate(Session& s) {
  bool approve = s.command_path.ends_with(" approve");
  std::vector<Target> targets;
  if (s.flags.changed("filename")) {
    TRY(targets, targets_from_files(s));
  }
  if (!s.flags.args.empty()) {
    std::vector<std::string> words;
    for (const std::string& a : s.flags.args)
      words.push_back(a.find('/') == std::string::npos ? "certificatesigningrequests/" + a : a);
    TRY(auto named, targets_from_words(s, words));
    targets.insert(targets.end(), named.begin(), named.end());
  }
  if (targets.empty()) return usage("one or more CSRs must be specified as <name> or -f <filename>");
  for (const Target& t : targets) {
    auto r = decide(s, t, approve);
    if (!r.ok())
      s.fail(r.status());
    else
      TRY_OK(print_done(s, *r, t.mapping, approve ? "approved" : "denied"));
  }
  return {};
}

}  // namespace

std::vector<Command> certificate_commands() {
  std::vector<FlagSpec> flags = flags_of(
      {file_flags(),
       {output_flag(), {"force", 0, FlagKind::Bool, "false", "Update the CSR even if it is decided already"}}});
  Command c{"certificate", "Cluster Management Commands", "Modify certificate resources", "SUBCOMMAND", {}, nullptr};
  c.children = {{"approve", "", "Approve a certificate signing request", "(-f FILENAME | NAME)", flags, certificate},
                {"deny", "", "Deny a certificate signing request", "(-f FILENAME | NAME)", flags, certificate}};
  return {c};
}

}  // namespace k8lite::kubectl
