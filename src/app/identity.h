// The cluster's keys and secrets on disk, made at the first start: <data-dir>/server/tls and <data-dir>/server/token.
#pragma once
#include "base/random.h"
#include "config/settings.h"
#include "pki/pki.h"

namespace k8lite::app {

struct ClusterIdentity {
  pki::KeyPair ca;
  std::string service_account_key_pem;
  pki::ClusterToken token;        // joins servers and agents
  std::string agent_secret;       // joins agents only
};
Result<ClusterIdentity> load_or_create_identity(const config::Config& config, const std::string& server_dir, Random& random, Instant now);

// Certificates live as long as the process asks for; made anew at every start.
struct ServingNames {
  std::vector<std::string> dns, addresses;
};
Result<pki::KeyPair> serving_certificate(const pki::KeyPair& ca, const ServingNames& names, Instant now);
Result<pki::KeyPair> client_certificate(const pki::KeyPair& ca, const std::string& name, std::vector<std::string> groups, Instant now);

// This machine's name.
std::string host_name();
// The address that others reach this machine by (on `interface` when one is named); 127.0.0.1, with a warning, when there is none yet.
std::string default_address(const std::string& interface);

}  // namespace k8lite::app
