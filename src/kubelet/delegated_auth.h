// Who may ask this node agent for what: certificates of the cluster's CA and bearer tokens, judged by the API server (TokenReview and
// SubjectAccessReview), whose answers are kept for a while. The API server itself (group system:masters) is not asked about.
// (Kubernetes documentation: "Kubelet authentication/authorization".)
#pragma once
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "machinery/client.h"
#include "net/http.h"

namespace k8lite::kubelet {

// What a request is about: subresource of the node ("metrics", "stats", "log", "proxy") and the verb.
struct NodeAccess {
  std::string subresource, verb;
};
NodeAccess access_of(std::string_view method, std::string_view path);

class DelegatedAuth {
 public:
  DelegatedAuth(machinery::Client& client, const Clock& clock, std::string node) : client_(client), clock_(clock), node_(std::move(node)) {}
  // Has a certificate that needs no question.
  static bool is_server(const net::Peer& peer);
  // Unauthorized or Forbidden when not. Blocks on the API server where the answer is not known.
  Result<> check(const net::Peer& peer, std::string_view authorization, std::string_view method, std::string_view path);

 private:
  struct User {
    std::string name, uid;
    std::vector<std::string> groups;
  };
  Result<User> user_of(const net::Peer& peer, std::string_view authorization);
  Result<User> review_token(const std::string& token);
  Result<bool> review_access(const User& user, const NodeAccess& access);

  machinery::Client& client_;
  const Clock& clock_;
  const std::string node_;
  struct KnownUser {
    Duration until{0};
    bool ok = false;
    User user;
  };
  struct KnownAccess {
    Duration until{0};
    bool allowed = false;
  };
  std::mutex mutex_;
  std::map<std::string, KnownUser> users_;  // by token
  std::map<std::string, KnownAccess> decisions_;
};

}  // namespace k8lite::kubelet
