// What becomes of a CertificateSigningRequest: may its signer sign it, how long for, and when is it too old to be kept.
// Pure. (Kubernetes documentation, "Certificates and Certificate Signing Requests", "Kubernetes signers"; csrcleaner's
// deadlines.)
#pragma once
#include <optional>

#include "base/json.h"
#include "pki/csr.h"

namespace k8lite::controllers {

inline constexpr std::string_view kClientSigner = "kubernetes.io/kube-apiserver-client",
                                  kKubeletClientSigner = "kubernetes.io/kube-apiserver-client-kubelet",
                                  kKubeletServingSigner = "kubernetes.io/kubelet-serving";

// Is it one of the signers that this cluster signs for?
bool is_own_signer(std::string_view signer);
// Why this signer will not sign the request; "" when it will.
std::string refusal(std::string_view signer, const pki::ParsedRequest& request, const std::vector<std::string>& usages);
// A year at most, ten minutes at least, else what is asked for.
Duration certificate_life(json::Value spec);

bool has_condition(const json::Doc& csr, std::string_view type);
// How long the object is still kept; zero or less: not any more.
Duration kept_for(const json::Doc& csr, std::optional<Instant> certificate_ends, Instant now);

}  // namespace k8lite::controllers
