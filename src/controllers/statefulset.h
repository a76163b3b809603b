// Keeps the named pods of each StatefulSet, and their claims.
#pragma once
#include "controllers/ledger.h"
#include "controllers/pod_control.h"

namespace k8lite::controllers {

class StatefulSetController : public Base {
 public:
  explicit StatefulSetController(Context& context);
  Result<machinery::Action> reconcile(const std::string& key) override;

 private:
  Result<> make_claims(const json::Doc& set, const std::string& pod);
  Result<> hand_over_claims(const json::Doc& set, const std::vector<std::string>& condemned, const std::vector<json::Doc>& pods);
  machinery::Informer &sets_, &pods_, &revisions_, &claims_;
  PodControl control_;
  Ledger ledger_;  // an older status names the revision before the current one
};

}  // namespace k8lite::controllers
