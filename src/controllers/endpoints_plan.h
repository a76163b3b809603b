// The endpoints of a Service from its pods: Endpoints subsets and EndpointSlices. Pure. (KEP-752; core/v1 Endpoints.)
#pragma once
#include "controllers/context.h"

namespace k8lite::controllers {

inline constexpr size_t kMaxEndpointsPerSlice = 100;

struct ServiceEndpoints {
  json::Node subsets;                 // of the Endpoints object; null when empty
  std::vector<json::Node> slices;     // addressType, endpoints, ports of each
};
// `zones`: of the nodes, by name. With spec.trafficDistribution endpoints that are ready are hinted to their own zone or node. (KEP-4444, 3015)
ServiceEndpoints plan_endpoints(const json::Doc& service, const std::vector<json::Doc>& pods, const std::map<std::string, std::string>& zones = {});

}  // namespace k8lite::controllers
