// CertificateSigningRequests: who asked is written down by the server, who may approve and sign is asked of the
// authoriser, and what a request says is checked. (Kubernetes documentation, "Certificates and Certificate Signing
// Requests"; KEP-1513.)
#include <algorithm>

#include "apiserver/admission/plugins.h"
#include "pki/csr.h"

namespace k8lite::apiserver::admission {
namespace {

constexpr std::string_view kClient = "kubernetes.io/kube-apiserver-client", kLegacy = "kubernetes.io/legacy-unknown";

bool is_request(const AdmissionRequest& r) { return r.is("certificates.k8s.io", "certificatesigningrequests"); }

// Asked for the signer itself, then for all signers of its domain.
bool may(const Admission& a, const authz::User& user, const char* verb, const std::string& signer) {
  RequestInfo info{.is_resource = true,
                   .path = {},
                   .verb = verb,
                   .group = "certificates.k8s.io",
                   .version = "v1",
                   .resource = "signers",
                   .subresource = {},
                   .ns = {},
                   .name = signer};
  if (a.allows(user, info)) return true;
  info.name = signer.substr(0, signer.find('/')) + "/*";
  return a.allows(user, info);
}

bool lasting(const Node& condition) {
  const std::string& type = condition.get("type").str();
  return type == "Approved" || type == "Denied";
}

std::string pem_of(const Node& request) { return base64_decode(request.path("spec.request").str()).value_or(""); }

void fill_times(Node& status, json::Value old, const std::string& now) {
  Node* conditions = status.find("conditions");
  if (!conditions) return;
  for (Node& c : conditions->items()) {
    json::Value before;
    for (json::Value o : old["conditions"].items())
      if (o["type"].equals(c.get("type").str())) before = o;
    if (c.get("status").str().empty()) c.set("status", "True");
    if (c.get("lastUpdateTime").str().empty()) c.set("lastUpdateTime", before["lastUpdateTime"].str(now));
    if (c.get("lastTransitionTime").str().empty())
      c.set("lastTransitionTime",
            before["status"].equals(c.get("status").str()) ? before["lastTransitionTime"].str(now) : now);
  }
}

void fill_requester(const AdmissionRequest& r, Node& spec) {
  for (const char* f : {"username", "uid", "groups", "extra"}) spec.erase(f);
  spec.set("username", r.user.name);
  for (const auto& g : r.user.groups) spec["groups"].append(g);
}

bool is_signer_name(std::string_view name) {
  size_t slash = name.find('/');
  if (slash == name.npos || slash == 0 || !is_dns_subdomain(name.substr(0, slash)) ||
      name.substr(0, slash).find('.') == name.npos)
    return false;
  std::string_view path = name.substr(slash + 1);
  return !path.empty() && path.size() <= 253 && std::all_of(path.begin(), path.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '-' || c == '.' || c == ':';
  });
}

// What a new request must say.
std::vector<Cause> mistakes(const Node& object) {
  std::vector<Cause> out;
  const Node& spec = object.get("spec");
  const std::string& signer = spec.get("signerName").str();
  auto wrong = [&out](const char* field, const Node& value, const std::string& why) {
    out.push_back({"FieldValueInvalid", "Invalid value: " + value.dump() + ": " + why, field});
  };
  if (spec.get("request").str().empty())
    out.push_back({"FieldValueRequired", "Required value", "spec.request"});
  else if (auto parsed = pki::parse_request(pem_of(object)); !parsed.ok())
    wrong("spec.request", spec.get("request"), parsed.status().message());
  if (spec.get("usages").size() == 0) out.push_back({"FieldValueRequired", "Required value", "spec.usages"});
  for (size_t i = 0; i < spec.get("usages").items().size(); ++i)
    if (const Node& u = spec.get("usages").items()[i]; !pki::is_key_usage(u.str()))
      out.push_back(
          {"FieldValueNotSupported", "Unsupported value: " + u.dump(), "spec.usages[" + std::to_string(i) + "]"});
  if (signer.empty())
    out.push_back({"FieldValueRequired", "Required value", "spec.signerName"});
  else if (signer == kLegacy)
    wrong("spec.signerName", spec.get("signerName"), "the legacy signerName is not allowed via this API version");
  else if (!is_signer_name(signer))
    wrong("spec.signerName", spec.get("signerName"),
          "must be a fully qualified domain and path of the form 'example.com/signer-name'");
  if (const Node& e = spec.get("expirationSeconds"); e.is_integer() && e.int_or(0) < 600)
    wrong("spec.expirationSeconds", e, "may not specify a duration less than 600 seconds (10 minutes)");
  return out;
}

std::vector<Cause> condition_mistakes(const AdmissionRequest& r) {
  std::vector<Cause> out;
  auto has = [](const auto& conditions, std::string_view type) {
    return std::any_of(conditions.begin(), conditions.end(),
                       [type](const Node& c) { return c.get("type").str() == type; });
  };
  const auto& now = r.object->path("status.conditions").items();
  const Node old_list = r.old->path("status.conditions").to_node();
  for (const char* type : {"Approved", "Denied", "Failed"})
    if (has(old_list.items(), type) && !has(now, type))
      out.push_back({"FieldValueForbidden",
                     std::string("Forbidden: updates may not remove a condition of type ") + json::quoted(type),
                     "status.conditions"});
  if (has(now, "Approved") && has(now, "Denied"))
    out.push_back({"FieldValueInvalid",
                   "Invalid value: \"Denied\": Approved and Denied conditions are mutually exclusive",
                   "status.conditions"});
  for (size_t i = 0; i < now.size(); ++i) {
    const std::string& type = now[i].get("type").str();
    std::string here = "status.conditions[" + std::to_string(i) + "]";
    if (type.empty()) out.push_back({"FieldValueRequired", "Required value", here + ".type"});
    if ((lasting(now[i]) || type == "Failed") && now[i].get("status").str() != "True")
      out.push_back({"FieldValueNotSupported",
                     "Unsupported value: " + now[i].get("status").dump() + ": supported values: \"True\"",
                     here + ".status"});
  }
  return out;
}

}  // namespace

// Not a plugin of Kubernetes' but its strategy of the kind: which part of a request each way of writing it may change.
Result<> certificate_request(const Admission& a, AdmissionRequest& r) {
  if (!is_request(r)) return {};
  Node& object = *r.object;
  if (r.create) {
    fill_requester(r, object["spec"]);
    object.erase("status");
    return {};
  }
  if (!r.old) return {};
  object.set("spec", r.old->path("spec").to_node());
  if (r.subresource.empty()) return {};
  json::Value before = (*r.old)["status"];
  Node& status = object["status"];
  if (!status.is_object()) status = Node::object();
  if (r.subresource == "approval") {
    status.erase("certificate");
    if (before["certificate"]) status.set("certificate", before["certificate"].to_node());
  } else if (status.find("conditions") || before["conditions"].size()) {
    // A signer reports; whether the request is approved is not its to say.
    Node kept = Node::array();
    for (json::Value c : before["conditions"].items())
      if (c["type"].equals("Approved") || c["type"].equals("Denied")) kept.append(c.to_node());
    for (const Node& c : status.get("conditions").items())
      if (!lasting(c)) kept.append(c);
    status.set("conditions", std::move(kept));
  }
  fill_times(status, before, rfc3339(a.now()));
  return {};
}

Result<> certificate_approval(const Admission& a, AdmissionRequest& r) {
  if (!is_request(r)) return {};
  if (r.create) {
    auto causes = mistakes(*r.object);
    return causes.empty() ? Result<>() : Result<>(invalid(r, std::move(causes)));
  }
  if (!r.old || r.subresource.empty()) return {};
  if (auto causes = condition_mistakes(r); !causes.empty()) return invalid(r, std::move(causes));
  std::string signer = r.old->path("spec.signerName").str();
  if (r.subresource == "approval" && !may(a, r.user, "approve", signer))
    return forbidden(r, "user not permitted to approve requests with signerName " + json::quoted(signer));
  return {};
}

Result<> certificate_signing(const Admission& a, AdmissionRequest& r) {
  if (!is_request(r) || r.subresource != "status" || !r.old) return {};
  bool same = r.object->path("status.certificate").str() == r.old->path("status.certificate").str() &&
              r.object->path("status.conditions") == r.old->path("status.conditions").to_node();
  if (same || (r.object->path("status.conditions").empty() && r.old->path("status.conditions").empty() &&
               r.object->path("status.certificate").empty() && r.old->path("status.certificate").empty()))
    return {};
  std::string signer = r.old->path("spec.signerName").str();
  if (!may(a, r.user, "sign", signer))
    return forbidden(r, "user not permitted to sign requests with signerName " + json::quoted(signer));
  return {};
}

Result<> certificate_subject(const Admission&, AdmissionRequest& r) {
  if (!is_request(r) || !r.create || r.object->path("spec.signerName").str() != kClient) return {};
  TRY(auto parsed, pki::parse_request(pem_of(*r.object)));
  for (const auto& group : parsed.organizations)
    if (group == "system:masters")
      return forbidden(r, "use of " + std::string(kClient) + " signer with " + group + " group is not allowed");
  return {};
}

}  // namespace k8lite::apiserver::admission
