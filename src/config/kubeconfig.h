// kubeconfig files: what `k8lite server` writes and kubectl reads (client-go's clientcmd/v1 Config).
#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/json.h"

namespace k8lite::config {

struct Access {
  std::string server, ca_pem, certificate_pem, key_pem, token, tls_server_name, ns, context, user, cluster;
  bool insecure_skip_verify = false;
};

std::string write_kubeconfig(const Access& access, const std::string& name = "default");

struct KubeconfigQuery {
  std::string file;                         // --kubeconfig, "" : KUBECONFIG (a list), then ~/.kube/config, then `fallback_file`
  std::map<std::string, std::string> environment;
  std::string fallback_file;                // of a k8lite server on this machine
  std::string context, cluster, user;       // overrides
};
// What the chosen context says; files referred to are read. Errors name the file.
Result<Access> read_kubeconfig(const KubeconfigQuery& query);
// All files merged, first one wins; and the file that holds (or would hold) changes.
Result<json::Node> merged_kubeconfig(const KubeconfigQuery& query, std::string* first_file = nullptr);

}  // namespace k8lite::config
