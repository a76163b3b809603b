// Bearer tokens of no service account: the lines of a static token file, and bootstrap tokens, which are Secrets in
// kube-system (Kubernetes documentation, "Static Token File", "Authenticating with Bootstrap Tokens").
#include <algorithm>

#include "apiserver/authn/credentials.h"
#include "base/strings.h"
#include "pki/pki.h"

namespace k8lite::apiserver::authn {
namespace {

constexpr size_t kIdLength = 6, kSecretLength = 16;

bool is_lower_alphanumeric(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
}

// "system:bootstrappers:" and up to 256 of a-z, 0-9, ':' and '-', the last of them a letter or digit.
bool is_bootstrap_group(std::string_view group) {
  constexpr std::string_view kPrefix = "system:bootstrappers:";
  if (!group.starts_with(kPrefix)) return false;
  std::string_view rest = group.substr(kPrefix.size());
  if (rest.empty() || rest.size() > 256 || !is_lower_alphanumeric(rest.substr(rest.size() - 1))) return false;
  return std::all_of(rest.begin(), rest.end(), [](char c) {
    return is_lower_alphanumeric({&c, 1}) || c == ':' || c == '-';
  });
}

// Fields of a line of comma separated values; a field in quotes may hold commas, and "" stands for a quote (RFC 4180).
std::optional<std::vector<std::string>> csv_fields(std::string_view line) {
  std::vector<std::string> out(1);
  bool quoted = false, closed = false;
  for (size_t i = 0; i < line.size(); ++i) {
    char c = line[i];
    if (quoted && c == '"' && i + 1 < line.size() && line[i + 1] == '"')
      out.back() += '"', ++i;
    else if (quoted && c == '"')
      quoted = false, closed = true;
    else if (quoted)
      out.back() += c;
    else if (c == ',')
      out.emplace_back(), closed = false;
    else if (closed)
      return std::nullopt;
    else if (c == '"' && out.back().empty())
      quoted = true;
    else if (c == '"')
      return std::nullopt;
    else if (c != ' ' || !out.back().empty())
      out.back() += c;
  }
  if (quoted) return std::nullopt;
  return out;
}

}  // namespace

bool is_bootstrap_token(std::string_view token) {
  return token.size() == kIdLength + 1 + kSecretLength && token[kIdLength] == '.' &&
         is_lower_alphanumeric(token.substr(0, kIdLength)) && is_lower_alphanumeric(token.substr(kIdLength + 1));
}

Result<Identity> Authenticator::bootstrap_token(std::string_view token) const {
  std::string id(token.substr(0, kIdLength));
  json::Doc secret = options_.lookup("secrets", "kube-system", "bootstrap-token-" + id);
  if (!secret || secret.path("metadata.deletionTimestamp") || !secret["type"].equals("bootstrap.kubernetes.io/token"))
    return unauthorized();
  auto field = [&secret](std::string_view name) { return base64_decode(secret["data"][name].str()).value_or(""); };
  bool known = pki::equal_constant_time(field("token-secret"), token.substr(kIdLength + 1)) && field("token-id") == id;
  if (!known || field("usage-bootstrap-authentication") != "true") return unauthorized();
  if (std::string until = field("expiration"); !until.empty()) {
    auto end = parse_rfc3339(until);
    if (!end || *end <= clock_.now()) return unauthorized();
  }
  Identity out{{"system:bootstrap:" + id, {}}, {}, {}};
  const std::string extra = field("auth-extra-groups");
  for (auto group : split(extra, ',')) {
    group = trim(group);
    if (group.empty()) continue;
    if (!is_bootstrap_group(group)) return unauthorized();
    if (std::find(out.user.groups.begin(), out.user.groups.end(), group) == out.user.groups.end())
      out.user.groups.emplace_back(group);
  }
  if (std::find(out.user.groups.begin(), out.user.groups.end(), "system:bootstrappers") == out.user.groups.end())
    out.user.groups.insert(out.user.groups.begin(), "system:bootstrappers");
  return out;
}

Result<std::map<std::string, Identity>> parse_token_file(std::string_view text, const std::string& where) {
  std::map<std::string, Identity> out;
  int number = 0;
  for (auto line : split(text, '\n')) {
    ++number;
    line = trim(line);
    if (line.empty() || line[0] == '#') continue;
    std::string place = where + ": line " + std::to_string(number);
    auto fields = csv_fields(line);
    if (!fields || fields->size() < 3)
      return bad_request(place + ": token,user,uid and perhaps \"group1,group2\" are wanted");
    auto& f = *fields;
    if (f[0].empty() || f[1].empty()) return bad_request(place + ": the token or the user is empty");
    Identity id{{f[1], {}}, f[2], {}};
    if (f.size() > 3)
      for (auto g : split(f[3], ','))
        if (!trim(g).empty()) id.user.groups.emplace_back(trim(g));
    if (!out.emplace(f[0], std::move(id)).second) return bad_request(place + ": the token of an earlier line again");
  }
  return out;
}

}  // namespace k8lite::apiserver::authn
