// Shared by the files that make the cells of `kubectl get` (columns*.cpp): the small texts that many kinds print alike.
#pragma once
#include "api/kinds.h"

namespace k8lite::api::print {

using Cells = std::vector<json::Node>;
using json::Value;

std::string age_of(std::string_view text, Instant now);  // "<unknown>" for what is no time
std::string age(Value object, Instant now);
std::string name(Value object);
std::string or_none(std::string text);
std::string joined(Value list, std::string_view separator = ",");
std::string containers(Value template_or_pod, std::string_view field);
std::string selector_text(Value selector);  // "<none>" when it selects everything or nothing
std::string map_text(Value map);            // "a=b,c=d", or "<none>"
std::string few(const std::vector<std::string>& all, std::string_view none);  // "a,b,c + 2 more..."
bool has_condition(Value object, std::string_view type);                      // whose status is True

Cells api_service_cells(Value object, Instant now);
Cells binding_cells(Value object, Instant now);
Cells claim_cells(Value object, Instant now);
Cells component_cells(Value object, Instant now);
Cells cron_job_cells(Value object, Instant now);
Cells csi_driver_cells(Value object, Instant now);
Cells csr_cells(Value object, Instant now);
Cells daemon_set_cells(Value object, Instant now);
Cells deployment_cells(Value object, Instant now);
Cells endpoint_slice_cells(Value object, Instant now);
Cells endpoints_cells(Value object, Instant now);
Cells event_cells(Value object, Instant now);
Cells flow_schema_cells(Value object, Instant now);
Cells hpa_cells(Value object, Instant now);
Cells ingress_cells(Value object, Instant now);
Cells ingress_class_cells(Value object, Instant now);
Cells ip_address_cells(Value object, Instant now);
Cells job_cells(Value object, Instant now);
Cells node_cells(Value object, Instant now);
Cells pod_cells(Value object, Instant now);
Cells pod_usage_cells(Value object, Instant now);
Cells policy_binding_cells(Value object, Instant now);
Cells policy_cells(Value policy, std::string_view rules, Instant now);
Cells priority_level_cells(Value object, Instant now);
Cells quota_cells(Value object, Instant now);
Cells replica_set_cells(Value object, Instant now);
Cells replication_controller_cells(Value object, Instant now);
Cells resource_claim_cells(Value object, Instant now);
Cells revision_cells(Value object, Instant now);
Cells service_cells(Value object, Instant now);
Cells stateful_set_cells(Value object, Instant now);
Cells storage_class_cells(Value object, Instant now);
Cells volume_cells(Value object, Instant now);

}  // namespace k8lite::api::print
