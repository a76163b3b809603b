#include "kubelet/delegated_auth.h"

#include <algorithm>

#include "base/strings.h"

namespace k8lite::kubelet {
namespace {

using json::Doc;
using json::Node;

// As long as the kubelet keeps them by default.
constexpr Duration kTokenKept = seconds(120), kBadTokenKept = seconds(10), kAllowedKept = seconds(300), kDeniedKept = seconds(30);
constexpr size_t kMostKept = 512;

constexpr std::pair<std::string_view, std::string_view> kAreas[] = {{"/metrics", "metrics"}, {"/stats", "stats"}, {"/logs", "log"}, {"/v1-k8lite/usage", "metrics"}};

}  // namespace

NodeAccess access_of(std::string_view method, std::string_view path) {
  NodeAccess out{"proxy", "get"};
  for (auto [prefix, name] : kAreas)
    if (path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/')) out.subresource = name;
  static constexpr std::pair<std::string_view, const char*> kVerbs[] = {{"POST", "create"}, {"PUT", "update"}, {"PATCH", "patch"}, {"DELETE", "delete"}};
  for (auto [name, verb] : kVerbs)
    if (method == name) out.verb = verb;
  return out;
}

bool DelegatedAuth::is_server(const net::Peer& peer) {
  return peer.has_certificate && std::find(peer.organizations.begin(), peer.organizations.end(), "system:masters") != peer.organizations.end();
}

Result<DelegatedAuth::User> DelegatedAuth::review_token(const std::string& token) {
  {
    std::lock_guard lock(mutex_);
    auto it = users_.find(token);
    if (it != users_.end() && it->second.until > clock_.mono()) return it->second.ok ? Result<User>(it->second.user) : Status(Reason::Unauthorized, "Unauthorized");
  }
  Doc review = Doc::from(Node::obj({{"apiVersion", "authentication.k8s.io/v1"}, {"kind", "TokenReview"}, {"spec", Node::obj({{"token", token}})}}));
  TRY(Doc answer, client_.create({"authentication.k8s.io", "v1", "tokenreviews", "", "", ""}, review, {}));
  KnownUser known;
  known.ok = answer.path("status.authenticated").bool_or(false);
  known.until = clock_.mono() + (known.ok ? kTokenKept : kBadTokenKept);
  json::Value who = answer.path("status.user");
  known.user.name = who["username"].str();
  for (json::Value g : who["groups"].items()) known.user.groups.push_back(g.str());
  known.user.uid = who["uid"].str();
  std::lock_guard lock(mutex_);
  if (users_.size() >= kMostKept) users_.clear();
  users_[token] = known;
  if (!known.ok) return Status(Reason::Unauthorized, "Unauthorized");
  return known.user;
}

Result<DelegatedAuth::User> DelegatedAuth::user_of(const net::Peer& peer, std::string_view authorization) {
  if (peer.has_certificate) return User{peer.common_name, "", peer.organizations};
  constexpr std::string_view kBearer = "Bearer ";
  if (authorization.size() <= kBearer.size() || !iequals(authorization.substr(0, kBearer.size()), kBearer)) return Status(Reason::Unauthorized, "Unauthorized");
  return review_token(std::string(trim(authorization.substr(kBearer.size()))));
}

Result<bool> DelegatedAuth::review_access(const User& user, const NodeAccess& access) {
  std::string key = access.verb + " " + access.subresource + " " + json::quoted(user.name);
  Node groups = Node::array();
  for (const auto& g : user.groups) {
    key += " " + json::quoted(g);
    groups.append(g);
  }
  {
    std::lock_guard lock(mutex_);
    auto it = decisions_.find(key);
    if (it != decisions_.end() && it->second.until > clock_.mono()) return it->second.allowed;
  }
  Node spec = Node::obj({{"user", user.name}, {"groups", std::move(groups)}, {"resourceAttributes", Node::obj({{"verb", access.verb}, {"version", "v1"}, {"resource", "nodes"}, {"subresource", access.subresource}, {"name", node_}})}});
  if (!user.uid.empty()) spec.set("uid", user.uid);
  Doc review = Doc::from(Node::obj({{"apiVersion", "authorization.k8s.io/v1"}, {"kind", "SubjectAccessReview"}, {"spec", std::move(spec)}}));
  TRY(Doc answer, client_.create({"authorization.k8s.io", "v1", "subjectaccessreviews", "", "", ""}, review, {}));
  bool allowed = answer.path("status.allowed").bool_or(false);
  std::lock_guard lock(mutex_);
  if (decisions_.size() >= kMostKept) decisions_.clear();
  decisions_[key] = {clock_.mono() + (allowed ? kAllowedKept : kDeniedKept), allowed};
  return allowed;
}

Result<> DelegatedAuth::check(const net::Peer& peer, std::string_view authorization, std::string_view method, std::string_view path) {
  if (is_server(peer)) return {};
  TRY(User user, user_of(peer, authorization));
  NodeAccess access = access_of(method, path);
  TRY(bool allowed, review_access(user, access));
  if (allowed) return {};
  return Status(Reason::Forbidden, "Forbidden (user=" + user.name + ", verb=" + access.verb + ", resource=nodes, subresource(s)=[" + access.subresource + "])");
}

}  // namespace k8lite::kubelet
