#include "apiserver/arguments.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "os/files.h"

namespace k8lite::apiserver {
namespace {

using Apply = Result<> (*)(const std::string& value, ApiServerOptions& options);

Result<> number(const std::string& value, int64_t& out) {
  auto n = parse_int(value);
  if (!n || *n < 0) return bad_request(json::quoted(value) + " is no number from 0 on");
  out = *n;
  return {};
}

Result<> truth(const std::string& value, bool& out) {
  if (value != "true" && value != "false") return bad_request(json::quoted(value) + " is neither true nor false");
  out = value == "true";
  return {};
}

Result<> token_file(const std::string& value, ApiServerOptions& o) {
  TRY(std::string text, os::read_file(value));
  TRY(auto tokens, authn::parse_token_file(text, value));
  o.tokens.merge(tokens);
  return {};
}

Result<> longest_token(const std::string& value, ApiServerOptions& o) {
  auto d = parse_go_duration(value);
  if (!d || *d < seconds(3600) || *d > seconds(int64_t{1} << 32))
    return bad_request(json::quoted(value) + " is no duration from 1h to 2^32 seconds");
  o.longest_token_seconds = std::chrono::duration_cast<seconds>(*d).count();
  return {};
}

struct Argument {
  std::string_view name;
  Apply apply;
};
constexpr Argument kArguments[] = {
    {"anonymous-auth", [](const std::string& v, ApiServerOptions& o) { return truth(v, o.anonymous); }},
    {"api-audiences",
     [](const std::string& v, ApiServerOptions& o) -> Result<> {
       return o.audiences = split_strings(v, ','), Result<>();
     }},
    {"audit-log-format",
     [](const std::string& v, ApiServerOptions&) -> Result<> {
       return v == "json" ? Result<>() : bad_request(json::quoted(v) + ": the audit log is written as json only");
     }},
    {"audit-log-maxage", [](const std::string& v, ApiServerOptions& o) { return number(v, o.audit_log.max_age_days); }},
    {"audit-log-maxbackup",
     [](const std::string& v, ApiServerOptions& o) { return number(v, o.audit_log.max_backups); }},
    {"audit-log-maxsize", [](const std::string& v, ApiServerOptions& o) { return number(v, o.audit_log.max_size_mb); }},
    {"audit-log-path",
     [](const std::string& v, ApiServerOptions& o) -> Result<> { return o.audit_log.path = v, Result<>(); }},
    {"audit-policy-file",
     [](const std::string& v, ApiServerOptions& o) -> Result<> {
       TRY(o.audit_policy, os::read_file(v));
       auto policy = audit::Policy::parse(o.audit_policy, v);
       return policy.ok() ? Result<>() : Result<>(policy.status());
     }},
    {"disable-admission-plugins",
     [](const std::string& v, ApiServerOptions& o) { return read_admission_plugins(v, o.admission.disable); }},
    {"enable-admission-plugins",
     [](const std::string& v, ApiServerOptions& o) { return read_admission_plugins(v, o.admission.enable); }},
    {"service-account-issuer",
     [](const std::string& v, ApiServerOptions& o) -> Result<> { return o.issuers.push_back(v), Result<>(); }},
    {"service-account-key-file",
     [](const std::string& v, ApiServerOptions& o) -> Result<> {
       TRY(std::string pem, os::read_file(v));
       o.service_account_keys.push_back(std::move(pem));
       return {};
     }},
    {"service-account-max-token-expiration", longest_token},
    {"token-auth-file", token_file},
};

}  // namespace

Result<> apply_arguments(const std::vector<std::string>& arguments, ApiServerOptions& options) {
  for (const auto& given : arguments) {
    std::string_view text = given;
    while (text.starts_with('-')) text.remove_prefix(1);
    size_t equals = text.find('=');
    std::string name(text.substr(0, equals)), value(equals == text.npos ? "true" : text.substr(equals + 1));
    const auto* found = std::find_if(std::begin(kArguments), std::end(kArguments),
                                     [&name](const Argument& a) { return a.name == name; });
    if (found == std::end(kArguments)) {
      log_warn("an argument for kube-apiserver has no effect here", {{"argument", name}});
      continue;
    }
    auto r = found->apply(value, options);
    if (!r.ok()) return r.status().within("kube-apiserver-arg: " + name);
  }
  if (!options.audit_log.path.empty() && options.audit_policy.empty())
    log_warn("there is an audit-log-path and no audit-policy-file: nothing is logged",
             {{"path", options.audit_log.path}});
  return {};
}

}  // namespace k8lite::apiserver
