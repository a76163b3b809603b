// Descriptions of objects as `kubectl describe` prints them. Pure: what else is needed of the server stands in the Subject.
#pragma once
#include <map>

#include "kubectl/describe/page.h"

namespace k8lite::kubectl {

struct Subject {
  json::Node object;
  bool show_events = true;
  std::vector<json::Node> events;                           // core/v1, any order
  std::map<std::string, std::vector<json::Node>> related;   // other objects, by resource name
  Instant now;

  const std::vector<json::Node>& all(const std::string& resource) const;
};

struct Describer {
  std::string_view group, kind;
  void (*describe)(Page&, const Subject&);
  std::vector<std::string_view> needs;  // resources of the namespace (of the cluster for nodes) to put into `related`
  bool events = true;                   // whether the description ends with events
};

// The row of a kind; the generic one where there is none.
const Describer& describer_of(std::string_view group, std::string_view kind);
std::string describe(const Describer& how, const Subject& subject);

// ---- parts that several descriptions share ----
void put_events(Page& page, const Subject& subject);
void put_containers(Page& page, std::string_view title, const json::Node& containers, const json::Node& statuses, const json::Node& pod, std::string_view indent);
void put_volumes(Page& page, const json::Node& volumes, std::string_view indent);
void put_volume_source(Page& page, const json::Node& volume);
void put_tolerations(Page& page, const json::Node& tolerations, std::string_view indent);
void put_topology(Page& page, const json::Node& constraints, std::string_view indent);
void put_pod_template(Page& page, const json::Node& pod_template);
std::string endpoints_text(const std::vector<json::Node>& slices, const std::vector<std::string>* port_names);  // "10.0.0.1:80,... + 2 more..."
std::vector<json::Node> slices_of(const Subject& subject, const std::string& service);
std::vector<json::Node> owned_by(const std::vector<json::Node>& objects, const json::Node& owner);

// ---- one function a kind ----
void describe_generic(Page&, const Subject&);
void describe_pod(Page&, const Subject&);
void describe_node(Page&, const Subject&);
void describe_deployment(Page&, const Subject&);
void describe_replica_set(Page&, const Subject&);
void describe_daemon_set(Page&, const Subject&);
void describe_stateful_set(Page&, const Subject&);
void describe_job(Page&, const Subject&);
void describe_cron_job(Page&, const Subject&);
void describe_service(Page&, const Subject&);
void describe_endpoints(Page&, const Subject&);
void describe_endpoint_slice(Page&, const Subject&);
void describe_ingress(Page&, const Subject&);
void describe_ingress_class(Page&, const Subject&);
void describe_network_policy(Page&, const Subject&);
void describe_config_map(Page&, const Subject&);
void describe_secret(Page&, const Subject&);
void describe_service_account(Page&, const Subject&);
void describe_namespace(Page&, const Subject&);
void describe_resource_quota(Page&, const Subject&);
void describe_limit_range(Page&, const Subject&);
void describe_role(Page&, const Subject&);
void describe_role_binding(Page&, const Subject&);
void describe_volume(Page&, const Subject&);
void describe_claim(Page&, const Subject&);
void describe_storage_class(Page&, const Subject&);
void describe_priority_class(Page&, const Subject&);
void describe_disruption_budget(Page&, const Subject&);
void describe_autoscaler(Page&, const Subject&);

}  // namespace k8lite::kubectl
