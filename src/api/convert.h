// Objects that are served in two forms and stored in one: autoscaling/v1 and v2 autoscalers (stored as v2), events of events.k8s.io/v1
// and core/v1 (stored as core/v1). Pure. What the older form has no field for it carries in annotations, as upstream does
// (autoscaling.alpha.kubernetes.io/metrics and so on), so that a client of either form loses nothing of the other's.
#pragma once
#include <string_view>

#include "base/json.h"
#include "base/status.h"

namespace k8lite::api {

struct Conversion {
  std::string_view group, version, plural;       // the form that is served
  std::string_view stored_group, stored_version;  // the form that is stored, of the same plural
  void (*to_stored)(json::Node& object);
  void (*from_stored)(json::Node& object);  // apiVersion and kind are left to the caller
  // What a new object must be in this form beyond what the stored one must; may be null.
  void (*check_new)(const json::Node& object, std::vector<Cause>& causes) = nullptr;
};

// Null where objects are stored as they are served.
const Conversion* conversion_of(std::string_view group, std::string_view version, std::string_view plural);

}  // namespace k8lite::api
