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

// This machine's name and the address of its default route ("127.0.0.1" when there is none yet).
std::string host_name();
std::string default_address();

}  // namespace k8lite::app
