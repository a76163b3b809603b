// Approves requests of nodes for their own client certificates, signs what is approved with the cluster's CA, and
// removes requests that are done with or that nobody decides on.
#pragma once
#include "controllers/context.h"

namespace k8lite::controllers {

class CertificateController : public Base {
 public:
  explicit CertificateController(Context& context);
  Result<machinery::Action> reconcile(const std::string& key) override;

 private:
  // May who asked have it without a look (SubjectAccessReview)? Names the reason for the condition; "" when not.
  Result<std::string> auto_approval(const json::Doc& csr);
  Result<> approve(const json::Doc& csr, const std::string& message);
  Result<> sign(const json::Doc& csr);
  Result<> put_status(const json::Doc& csr, json::Node status, const char* subresource);
  machinery::Informer& requests_;
};

}  // namespace k8lite::controllers
