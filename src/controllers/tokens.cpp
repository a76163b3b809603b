#include "controllers/tokens.h"

#include "base/log.h"
#include "base/strings.h"
#include "pki/jwt.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using machinery::Action;

namespace {

constexpr const char *kNameAnnotation = "kubernetes.io/service-account.name",
                     *kUidAnnotation = "kubernetes.io/service-account.uid";

machinery::ListOptions of_type(const char* type) {
  machinery::ListOptions o;
  o.field_selector = std::string("type=") + type;
  return o;
}

std::string annotation(const Doc& d, const char* name) { return d["metadata"]["annotations"][name].str(); }

// The claims that src/apiserver/authn reads (secret_token_claims): the account and the Secret, without an end.
Node claims_of(const std::string& ns, const std::string& secret, const Doc& account) {
  std::string p = "kubernetes.io/serviceaccount/";
  return Node::obj({{"iss", "kubernetes/serviceaccount"},
                    {p + "namespace", ns},
                    {p + "secret.name", secret},
                    {p + "service-account.name", name_of(account)},
                    {p + "service-account.uid", uid_of(account)},
                    {"sub", "system:serviceaccount:" + ns + ":" + name_of(account)}});
}

}  // namespace

std::optional<Node> plan_token_secret(const Doc& secret, const Doc& account, const std::string& ca_pem,
                                      const std::function<std::string()>& make_token) {
  Node data = Node::object();
  auto set = [&](const char* name, const std::string& value) {
    if (std::string encoded = base64_encode(value); !secret["data"][name].equals(encoded)) data.set(name, encoded);
  };
  set("ca.crt", ca_pem);
  set("namespace", namespace_of(secret));
  bool foreign = annotation(secret, kUidAnnotation) != uid_of(account);
  if (foreign || secret["data"]["token"].empty()) set("token", make_token());
  Node patch = Node::object();
  if (!data.empty()) patch.set("data", std::move(data));
  if (foreign) patch["metadata"]["annotations"].set(kUidAnnotation, uid_of(account));
  if (patch.empty()) return {};
  return patch;
}

TokenController::TokenController(Context& c)
    : Base(c, "tokens-controller"),
      secrets_(c.informer("", "secrets", of_type("kubernetes.io/service-account-token"))),
      accounts_(c.informer("", "serviceaccounts")) {
  secrets_.on_change([this](const Doc&, const Doc& after) {
    if (after) queue_.add(machinery::object_key(after.root()));
  });
  accounts_.on_change([this](const Doc& before, const Doc& after) {
    const Doc& account = after ? after : before;
    if (before && after && uid_of(before) == uid_of(after)) return;
    for (const Doc& s : secrets_.list(namespace_of(account)))
      if (annotation(s, kNameAnnotation) == name_of(account)) queue_.add(machinery::object_key(s.root()));
  });
}

Result<Action> TokenController::reconcile(const std::string& key) {
  Doc secret = secrets_.get(key);
  if (!secret || secret.path("metadata.deletionTimestamp") || context_.service_account_key_pem.empty())
    return Action::wait_for_change();
  std::string ns = namespace_of(secret), name = name_of(secret), account_name = annotation(secret, kNameAnnotation),
              uid = annotation(secret, kUidAnnotation);
  machinery::Path path{"", "v1", "secrets", ns, name, ""};
  auto read = context_.client.get({"", "v1", "serviceaccounts", ns, account_name, ""});
  if (!read.ok() && !read.status().is(Reason::NotFound)) return read.status();
  if (!read.ok() || (!uid.empty() && uid != uid_of(*read))) {
    machinery::DeleteOptions options;
    options.uid = uid_of(secret);
    auto r = context_.client.remove(path, options);
    return r.ok() || r.status().is(Reason::NotFound) || r.status().is(Reason::Conflict)
               ? Result<Action>(Action::wait_for_change())
               : Result<Action>(r.status());
  }
  Status failure;
  auto patch = plan_token_secret(secret, *read, context_.ca_pem, [&] {
    auto token = pki::sign_jwt(claims_of(ns, name, *read), context_.service_account_key_pem);
    if (!token.ok()) failure = token.status();
    return std::move(token).value_or("");
  });
  if (!failure.ok()) return failure;
  if (!patch) return Action::wait_for_change();
  Node object = secret.to_node();
  for (const auto& [name_in_data, value] : patch->get("data").members()) object["data"].set(name_in_data, value);
  for (const auto& [k, v] : patch->path("metadata.annotations").members()) object["metadata"]["annotations"].set(k, v);
  auto r = context_.client.update(path, Doc::from(object), as_manager());
  if (!r.ok() && !r.status().is(Reason::NotFound)) return r.status();
  return Action::wait_for_change();
}

TokenCleaner::TokenCleaner(Context& c)
    : Base(c, "token-cleaner"), secrets_(c.informer("", "secrets", of_type("bootstrap.kubernetes.io/token"))) {
  secrets_.on_change([this](const Doc&, const Doc& after) {
    if (after && namespace_of(after) == "kube-system") queue_.add(machinery::object_key(after.root()));
  });
}

Result<Action> TokenCleaner::reconcile(const std::string& key) {
  Doc secret = secrets_.get(key);
  if (!secret || secret.path("metadata.deletionTimestamp")) return Action::wait_for_change();
  auto until = parse_rfc3339(base64_decode(secret["data"]["expiration"].str()).value_or(""));
  if (!until) return Action::wait_for_change();
  if (Duration left = *until - context_.clock.now(); left > Duration{0}) return Action::after(left);
  machinery::DeleteOptions options;
  options.uid = uid_of(secret);
  auto r = context_.client.remove({"", "v1", "secrets", namespace_of(secret), name_of(secret), ""}, options);
  if (!r.ok() && !r.status().is(Reason::NotFound)) return r.status();
  log_info("a bootstrap token has ended", {{"secret", name_of(secret)}});
  return Action::wait_for_change();
}

}  // namespace k8lite::controllers
