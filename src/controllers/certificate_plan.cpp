#include "controllers/certificate_plan.h"

#include <algorithm>
#include <set>

#include "base/strings.h"

namespace k8lite::controllers {
namespace {

constexpr Duration kYear = seconds(365 * 24 * 3600);

// Of a node's certificates the usages are fixed, but for key encipherment, which only RSA keys need.
std::string node_usages(std::set<std::string> usages, const char* main) {
  std::string listed = join({usages.begin(), usages.end()}, " ");
  usages.erase("key encipherment");
  return usages == std::set<std::string>{main, "digital signature"} ? "" : "usages did not match [" + listed + "]";
}

std::string client_usages(const std::set<std::string>& usages) {
  for (const auto& u : usages)
    if (u != "client auth" && u != "digital signature" && u != "key encipherment")
      return "invalid usage for client certificate: " + u;
  return usages.count("client auth") ? "" : "missing required usage for client certificate: client auth";
}

}  // namespace

bool is_own_signer(std::string_view signer) {
  return signer == kClientSigner || signer == kKubeletClientSigner || signer == kKubeletServingSigner;
}

std::string refusal(std::string_view signer, const pki::ParsedRequest& r, const std::vector<std::string>& usage_list) {
  std::set<std::string> usages(usage_list.begin(), usage_list.end());
  if (usages.erase("signing")) usages.insert("digital signature");  // another name of the same
  if (signer == kClientSigner) return client_usages(usages);
  bool serving = signer == kKubeletServingSigner;
  if (r.organizations != std::vector<std::string>{"system:nodes"}) return "subject organization is not system:nodes";
  if (serving && r.dns_names.empty() && r.addresses.empty()) return "DNS or IP subjectAltName is required";
  if (!serving && !r.dns_names.empty()) return "DNS subjectAltNames are not allowed";
  if (!r.emails.empty()) return "Email subjectAltNames are not allowed";
  if (!serving && !r.addresses.empty()) return "IP subjectAltNames are not allowed";
  if (!r.uris.empty()) return "URI subjectAltNames are not allowed";
  if (!r.common_name.starts_with("system:node:")) return "subject common name does not begin with system:node: ";
  return node_usages(std::move(usages), serving ? "server auth" : "client auth");
}

Duration certificate_life(json::Value spec) {
  int64_t wanted = spec["expirationSeconds"].int_or(0);
  return wanted > 0 ? std::clamp<Duration>(seconds(wanted), seconds(600), kYear) : kYear;
}

bool has_condition(const json::Doc& csr, std::string_view type) {
  for (json::Value c : csr.path("status.conditions").items())
    if (c["type"].equals(type)) return true;
  return false;
}

Duration kept_for(const json::Doc& csr, std::optional<Instant> certificate_ends, Instant now) {
  constexpr Duration kDecided = seconds(3600), kPending = seconds(24 * 3600);
  auto left = [now](const std::string& since, Duration keep) {
    return keep - (now - parse_rfc3339(since).value_or(now));
  };
  Duration out = kPending;
  bool decided = false;
  for (json::Value c : csr.path("status.conditions").items()) {
    out =
        decided ? std::min(out, left(c["lastUpdateTime"].str(), kDecided)) : left(c["lastUpdateTime"].str(), kDecided);
    decided = true;
  }
  if (!decided) out = left(csr.path("metadata.creationTimestamp").str(), kPending);
  if (certificate_ends) out = std::min(out, *certificate_ends - now);
  return out;
}

}  // namespace k8lite::controllers
