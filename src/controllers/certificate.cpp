#include "controllers/certificate.h"

#include "base/strings.h"
#include "controllers/certificate_plan.h"

namespace k8lite::controllers {

using json::Doc;
using json::Node;
using machinery::Action;

namespace {

std::string request_pem(const Doc& csr) { return base64_decode(csr.path("spec.request").str()).value_or(""); }

std::vector<std::string> usages_of(const Doc& csr) {
  std::vector<std::string> out;
  for (json::Value u : csr.path("spec.usages").items()) out.push_back(u.str());
  return out;
}

Node condition(const char* type, const char* reason, const std::string& message, Instant now) {
  return Node::obj({{"type", type},
                    {"status", "True"},
                    {"reason", reason},
                    {"message", message},
                    {"lastUpdateTime", rfc3339(now)},
                    {"lastTransitionTime", rfc3339(now)}});
}

Node status_of(const Doc& csr) { return csr["status"].exists() ? csr["status"].to_node() : Node::object(); }

}  // namespace

CertificateController::CertificateController(Context& c)
    : Base(c, "certificate-controller"), requests_(c.informer("certificates.k8s.io", "certificatesigningrequests")) {
  requests_.on_change([this](const Doc&, const Doc& after) {
    if (after) queue_.add(name_of(after));
  });
}

Result<std::string> CertificateController::auto_approval(const Doc& csr) {
  if (!csr.path("spec.signerName").equals(kKubeletClientSigner)) return std::string();
  auto parsed = pki::parse_request(request_pem(csr));
  if (!parsed.ok() || !refusal(kKubeletClientSigner, *parsed, usages_of(csr)).empty()) return std::string();
  struct Way {
    const char *subresource, *message;
    bool own;  // only for the name it has already
  };
  constexpr Way kWays[] = {
      {"selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview.", true},
      {"nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview.", false}};
  for (const Way& way : kWays) {
    if (way.own && !csr.path("spec.username").equals(parsed->common_name)) continue;
    Node spec = Node::obj({{"user", csr.path("spec.username").str()},
                           {"resourceAttributes", Node::obj({{"group", "certificates.k8s.io"},
                                                             {"resource", "certificatesigningrequests"},
                                                             {"verb", "create"},
                                                             {"subresource", way.subresource},
                                                             {"version", "*"}})}});
    for (const char* field : {"uid", "groups", "extra"})
      if (json::Value v = csr["spec"][field]) spec.set(field, v.to_node());
    TRY(Doc review, context_.client.create({"authorization.k8s.io", "v1", "subjectaccessreviews", "", "", ""},
                                           Doc::from(Node::obj({{"apiVersion", "authorization.k8s.io/v1"},
                                                                {"kind", "SubjectAccessReview"},
                                                                {"spec", spec}})),
                                           as_manager()));
    if (review.path("status.allowed").bool_or(false)) return std::string(way.message);
  }
  return std::string();
}

Result<> CertificateController::put_status(const Doc& csr, Node status, const char* subresource) {
  Node next = csr.to_node();
  next.set("status", std::move(status));
  auto r =
      context_.client.update({"certificates.k8s.io", "v1", "certificatesigningrequests", "", name_of(csr), subresource},
                             Doc::from(next), as_manager());
  // What changed meanwhile comes back by the informer.
  if (!r.ok() && !r.status().is(Reason::Conflict) && !r.status().is(Reason::NotFound)) return r.status();
  return {};
}

Result<> CertificateController::approve(const Doc& csr, const std::string& message) {
  Node status = status_of(csr);
  status["conditions"].append(condition("Approved", "AutoApproved", message, context_.clock.now()));
  return put_status(csr, std::move(status), "approval");
}

Result<> CertificateController::sign(const Doc& csr) {
  std::string signer = csr.path("spec.signerName").str(), pem = request_pem(csr), why;
  Instant now = context_.clock.now();
  auto parsed = pki::parse_request(pem);
  why = parsed.ok() ? refusal(signer, *parsed, usages_of(csr)) : parsed.status().message();
  Node status = status_of(csr);
  if (why.empty()) {
    auto certificate = pki::sign_request({context_.ca_pem, context_.ca_key_pem}, pem,
                                         {usages_of(csr), certificate_life(csr["spec"])}, now);
    if (certificate.ok()) {
      status.set("certificate", base64_encode(*certificate));
      return put_status(csr, std::move(status), "status");
    }
    if (!certificate.status().is(Reason::BadRequest)) return certificate.status();
    why = certificate.status().message();
  }
  status["conditions"].append(condition("Failed", "SignerValidationFailure", why, now));
  return put_status(csr, std::move(status), "status");
}

Result<Action> CertificateController::reconcile(const std::string& key) {
  Doc csr = requests_.get(key);
  if (!csr || csr.path("metadata.deletionTimestamp")) return Action::wait_for_change();
  std::optional<Instant> ends;
  if (std::string pem = base64_decode(csr.path("status.certificate").str()).value_or(""); !pem.empty())
    if (auto info = pki::read_certificate(pem); info.ok()) ends = info->not_after;
  Duration left = kept_for(csr, ends, context_.clock.now());
  if (left <= Duration{0}) {
    machinery::DeleteOptions options;
    options.uid = uid_of(csr);
    auto r = context_.client.remove({"certificates.k8s.io", "v1", "certificatesigningrequests", "", key, ""}, options);
    if (!r.ok() && !r.status().is(Reason::NotFound) && !r.status().is(Reason::Conflict)) return r.status();
    return Action::wait_for_change();
  }
  bool approved = has_condition(csr, "Approved");
  if (!approved && !has_condition(csr, "Denied")) {
    TRY(std::string message, auto_approval(csr));
    if (!message.empty()) TRY_OK(approve(csr, message));
  }
  bool wanted = approved && !has_condition(csr, "Denied") && !has_condition(csr, "Failed") &&
                csr.path("status.certificate").empty();
  if (wanted && !context_.ca_key_pem.empty() && is_own_signer(csr.path("spec.signerName").str())) TRY_OK(sign(csr));
  return Action::after(left);
}

}  // namespace k8lite::controllers
