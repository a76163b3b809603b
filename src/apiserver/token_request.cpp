// Tokens of service accounts on demand (authentication.k8s.io/v1 TokenRequest): bound to what they are asked for, and
// gone with it.
#include <algorithm>

#include "apiserver/rest.h"
#include "base/strings.h"
#include "pki/jwt.h"

namespace k8lite::apiserver {

using json::Node;

namespace {

// A node may speak for the service accounts of its own pods only, with tokens that end with them (NodeRestriction).
Result<> node_may_request(const Admission& admission, const Target& t, const Node& body, const authz::User& user) {
  std::string node = authz::node_name_of(user);
  if (node.empty()) return {};
  auto refuse = [&t](const std::string& why) {
    return Status(Reason::Forbidden, "serviceaccounts " + json::quoted(t.name) + " is forbidden: " + why);
  };
  const Node& ref = body.path("spec.boundObjectRef");
  if (ref.get("apiVersion").str_or("v1") != "v1" || ref.get("kind").str() != "Pod" || ref.get("name").str().empty())
    return refuse("node requested token not bound to a pod");
  if (ref.get("uid").str().empty()) return refuse("node requested token with a pod binding without a uid");
  json::Doc pod = admission.find("", "pods", t.ns, ref.get("name").str());
  if (!pod) return not_found_object("", "pods", ref.get("name").str());
  if (!pod.path("metadata.uid").equals(ref.get("uid").str()))
    return refuse("the UID in the bound object reference (" + ref.get("uid").str() +
                  ") does not match the UID in record. The object might have been deleted and then recreated");
  if (!pod.path("spec.nodeName").equals(node))
    return refuse("node requested token bound to a pod scheduled on a different node");
  return {};
}

}  // namespace

namespace {

constexpr int64_t kLeastSeconds = 600, kUsualSeconds = 3600, kMostSeconds = 86400 * 365;

// What the token ends with: kind, name and uid into `r`, and for a pod its node too.
Result<> bind_object(const Admission& admission, const Target& t, const Node& ref, authn::TokenRequest& r) {
  std::string kind = ref.get("kind").str(), version = ref.get("apiVersion").str();
  bool known = (version.empty() || version == "v1") && (kind == "Pod" || kind == "Secret" || kind == "Node");
  if (!known)
    return bad_request("cannot bind token for object of type " +
                       (version.find('/') == version.npos ? "/" + version : version) + ", Kind=" + kind);
  r.bound_kind = lower(kind);
  r.bound_name = ref.get("name").str();
  json::Doc bound = admission.find("", r.bound_kind + "s", kind == "Node" ? "" : t.ns, r.bound_name);
  if (!bound) return not_found_object("", r.bound_kind + "s", r.bound_name);
  r.bound_uid = bound.path("metadata.uid").str();
  if (kind == "Pod") {
    if (bound.path("spec.serviceAccountName").str() != t.name)
      return bad_request("cannot bind token for serviceaccount " + json::quoted(t.name) +
                         " to pod running with different serviceaccount name.");
    r.node_name = bound.path("spec.nodeName").str();
    if (!r.node_name.empty()) r.node_uid = admission.find("", "nodes", "", r.node_name).path("metadata.uid").str();
  }
  if (const std::string& wanted = ref.get("uid").str(); !wanted.empty() && wanted != r.bound_uid)
    return conflict_object(
        "", kind, r.bound_name,
        "the UID in the bound object reference (" + wanted +
            ") does not match the UID in record. The object might have been deleted and then recreated");
  return {};
}

Status invalid_duration(int64_t seconds, const char* why) {
  StatusDetails d;
  d.group = "authentication.k8s.io";
  d.kind = "TokenRequest";
  d.causes.push_back(
      {"FieldValueInvalid", "Invalid value: " + std::to_string(seconds) + ": " + why, "spec.expirationSeconds"});
  return Status(Reason::Invalid,
                "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: " + d.causes[0].message)
      .set_details(std::move(d));
}

}  // namespace

Result<Answer> Rest::request_token(const Target& t, const Node& sent, const WriteParams& p) const {
  Node body = sent;
  TRY_OK(decode(t, body, p, api::schema::find_type("authentication/v1.TokenRequest")));
  if (const std::string& name = body.path("metadata.name").str(); !name.empty() && name != t.name)
    return bad_request("the name of the object (" + name + ") does not match the name on the URL (" + t.name + ")");
  if (const std::string& ns = body.path("metadata.namespace").str(); !ns.empty() && ns != t.ns)
    return bad_request("the namespace of the provided object does not match the namespace sent on the request");
  TRY_OK(node_may_request(admission_, t, body, p.caller.user));
  Target accounts{t.type, t.ns, t.name, ""};
  TRY(Answer account, get(accounts));
  int64_t wanted = body.path("spec.expirationSeconds").int_or(kUsualSeconds),
          most = options_.longest_token_seconds > 0 ? options_.longest_token_seconds : kMostSeconds;
  if (wanted < kLeastSeconds) return invalid_duration(wanted, "may not specify a duration less than 10 minutes");
  if (wanted > int64_t{1} << 32) return invalid_duration(wanted, "may not specify a duration larger than 2^32 seconds");
  if (wanted > most && p.warnings)
    p.warnings->push_back("requested expiration of " + std::to_string(wanted) + " seconds shortened to " +
                          std::to_string(most) + " seconds");
  authn::TokenRequest r;
  r.issuer = options_.issuer;
  r.ns = t.ns;
  r.service_account = t.name;
  r.service_account_uid = account.object->doc.path("metadata.uid").str();
  for (const Node& a : body.path("spec.audiences").items()) r.audiences.push_back(a.str());
  if (r.audiences.empty()) r.audiences = options_.audiences;
  if (r.audiences.empty()) r.audiences = {options_.issuer};
  if (body.path("spec.boundObjectRef").is_object())
    TRY_OK(bind_object(admission_, t, body.path("spec.boundObjectRef"), r));
  Instant now = clock_.now();
  r.issued_at = now.us / 1'000'000;
  r.expires_at = r.issued_at + std::min(wanted, most);
  r.id = new_uuid(random_);
  TRY(std::string token, pki::sign_jwt(authn::token_claims(r), options_.signing_key_pem));
  Node out = Node::obj(
      {{"kind", "TokenRequest"},
       {"apiVersion", "authentication.k8s.io/v1"},
       {"metadata", Node::obj({{"name", t.name}, {"namespace", t.ns}, {"creationTimestamp", rfc3339(now)}})}});
  out["spec"]["audiences"] = Node::array();
  for (const auto& a : r.audiences) out["spec"]["audiences"].append(a);
  out["spec"].set("expirationSeconds", r.expires_at - r.issued_at);
  if (body.path("spec.boundObjectRef").exists()) out["spec"].set("boundObjectRef", body.path("spec.boundObjectRef"));
  out["status"] = Node::obj({{"token", token}, {"expirationTimestamp", rfc3339({r.expires_at * 1'000'000})}});
  return Answer{t.type, nullptr, json::Doc::from(out), true};
}

}  // namespace k8lite::apiserver
