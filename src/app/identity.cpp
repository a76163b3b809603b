#include "app/identity.h"

#include <unistd.h>

#include "base/log.h"
#include "base/strings.h"
#include "cni/cni.h"
#include "os/files.h"
#include "pki/jwt.h"

namespace k8lite::app {
namespace {

constexpr auto kYear = seconds(365 * 24 * 3600);

// The content of the file, or what `make` gives, written first.
template <class Make>
Result<std::string> load_or_create(const std::string& path, Make make) {
  auto there = os::read_file(path);
  if (there.ok()) return there;
  if (!there.status().is(Reason::NotFound)) return there;
  TRY(std::string text, make());
  TRY_OK(os::write_file(path, text, 0600));
  return text;
}

}  // namespace

Result<ClusterIdentity> load_or_create_identity(const config::Config& config, const std::string& dir, Random& random, Instant now) {
  TRY_OK(os::make_dirs(dir + "/tls", 0700));
  ClusterIdentity id;
  auto certificate = os::read_file(dir + "/tls/ca.crt"), key = os::read_file(dir + "/tls/ca.key");
  if (certificate.ok() && key.ok()) {
    id.ca = {*certificate, *key};
    auto info = pki::read_certificate(id.ca.certificate_pem);
    if (!info.ok()) return info.status().within(dir + "/tls/ca.crt");
  } else {
    if (certificate.ok() != key.ok()) return bad_request(dir + "/tls: ca.crt and ca.key must both be there, or none of them");
    TRY(id.ca, pki::create_ca("k8lite-ca@" + std::to_string(now.us / 1'000'000), now, 10 * kYear));
    TRY_OK(os::write_file(dir + "/tls/ca.key", id.ca.key_pem, 0600));
    TRY_OK(os::write_file(dir + "/tls/ca.crt", id.ca.certificate_pem, 0644));
  }
  TRY(id.service_account_key_pem, load_or_create(dir + "/tls/service-account.key", [] { return pki::create_signing_key(); }));

  std::string wanted = config.token;
  if (wanted.empty() && !config.token_file.empty()) {
    TRY(wanted, os::read_file(config.token_file));
    wanted = trim(wanted);
  }
  TRY(std::string hash, pki::ca_hash(id.ca.certificate_pem));
  TRY(std::string stored, load_or_create(dir + "/token", [&]() -> Result<std::string> {
        pki::ClusterToken fresh{hash, "server", random_hex(random, 16)};
        if (!wanted.empty()) {
          TRY(fresh, pki::parse_token(wanted));
          fresh.ca_hash = hash;
        }
        return fresh.text() + "\n";
      }));
  auto token = pki::parse_token(std::string(trim(stored)));
  if (!token.ok()) return token.status().within(dir + "/token");
  id.token = *token;
  if (!wanted.empty()) {
    auto given = pki::parse_token(wanted);
    if (!given.ok()) return given.status().within("token");
    if (given->secret != id.token.secret) return bad_request("the token given is not the one this cluster was made with (see " + dir + "/token)");
  }
  id.agent_secret = id.token.secret;
  if (!config.agent_token.empty()) {
    auto agents = pki::parse_token(config.agent_token);
    if (!agents.ok()) return agents.status().within("agent-token");
    id.agent_secret = agents->secret;
  }
  TRY_OK(os::write_file(dir + "/agent-token", pki::ClusterToken{hash, "server", id.agent_secret}.text() + "\n", 0600, false));
  return id;
}

Result<pki::KeyPair> serving_certificate(const pki::KeyPair& ca, const ServingNames& names, Instant now) {
  pki::CertificateRequest r;
  r.common_name = "k8lite";
  r.dns_names = names.dns;
  r.addresses = names.addresses;
  r.server = true;
  r.valid_for = kYear;
  return pki::issue(ca, r, now);
}

Result<pki::KeyPair> client_certificate(const pki::KeyPair& ca, const std::string& name, std::vector<std::string> groups, Instant now) {
  pki::CertificateRequest r;
  r.common_name = name;
  r.organizations = std::move(groups);
  r.client = true;
  r.valid_for = kYear;
  return pki::issue(ca, r, now);
}

std::string host_name() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  std::string out = lower(name);
  if (size_t dot = out.find('.'); dot != out.npos && !is_dns_subdomain(out)) out.resize(dot);
  return is_dns_subdomain(out) ? out : "localhost";
}

std::string default_address(const std::string& interface) {
  std::string found = cni::find_node_address(interface);
  if (!found.empty()) return found;
  log_warn("this machine has no address yet: its node goes by 127.0.0.1 until there is one, and other nodes cannot reach it", {{"interface", interface.empty() ? "any" : interface}});
  return "127.0.0.1";
}

}  // namespace k8lite::app
