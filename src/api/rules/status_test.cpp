// Validation of what is written through /status.
#include "api/rules/rules_testing.h"

using namespace k8lite;
using namespace k8lite::api;
using namespace k8lite::api::rules_testing;

namespace {
Lines said(const std::string& kind, std::string_view before, std::string_view patch) { return wrong_update(kind, before, patch, "status"); }
}  // namespace

TEST_CASE("status: counts are not negative and fit each other") {
  CHECK(said("Deployment", "{}", "{status: {replicas: 3, updatedReplicas: 2, readyReplicas: 3, availableReplicas: 1}}").empty());
  CHECK(said("Deployment", "{}", "{status: {terminatingReplicas: -3}}") == Lines{"status.terminatingReplicas: Invalid value: -3: must be greater than or equal to 0"});
  CHECK(said("Deployment", "{}", "{status: {replicas: 1, readyReplicas: 2}}") == Lines{"status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas"});
  CHECK(said("Deployment", "{}", "{status: {replicas: 2, availableReplicas: 1}}") == Lines{"status.availableReplicas: Invalid value: 1: cannot be greater than readyReplicas"});
  CHECK(said("Deployment", "{status: {collisionCount: 2}}", "{status: {collisionCount: 1}}") == Lines{"status.collisionCount: Invalid value: 1: cannot be decremented"});
  CHECK(said("StatefulSet", "{}", "{status: {replicas: 1, currentReplicas: 2}}") == Lines{"status.currentReplicas: Invalid value: 2: cannot be greater than status.replicas"});
  CHECK(said("DaemonSet", "{}", "{status: {numberReady: -1}}") == Lines{"status.numberReady: Invalid value: -1: must be greater than or equal to 0"});
  CHECK(said("PodDisruptionBudget", "{}", "{status: {disruptionsAllowed: -1}}") == Lines{"status.disruptionsAllowed: Invalid value: -1: must be greater than or equal to 0"});
}

TEST_CASE("status: addresses are addresses") {
  CHECK(said("Service", "{}", "{status: {loadBalancer: {ingress: [{ip: 10.0.0.1}, {hostname: a.example.com}]}}}").empty());
  CHECK(said("Service", "{}", "{status: {loadBalancer: {ingress: [{hostname: 10.0.0.1}]}}}") ==
        Lines{"status.loadBalancer.ingress[0].hostname: Invalid value: \"10.0.0.1\": must be a DNS name, not an IP address"});
  CHECK(said("Ingress", "{}", "{status: {loadBalancer: {ingress: [{ip: here}]}}}").size() == 1);
  CHECK(said("Pod", "{}", "{status: {podIPs: [{ip: 10.0.0.1}], phase: Running}}").empty());
  CHECK(said("Pod", "{}", "{status: {podIPs: [{ip: there}]}}").size() == 1);
}

TEST_CASE("status: what is settled stays, and a namespace's phase is that of its deletion") {
  CHECK(said("Pod", "{status: {qosClass: Burstable}}", "{status: {qosClass: BestEffort}}") == Lines{"status.qosClass: Invalid value: \"BestEffort\": field is immutable"});
  CHECK(said("Namespace", "{}", "{status: {phase: Active}}").empty());
  CHECK(said("Namespace", "{}", "{status: {phase: Terminating}}") == Lines{"status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"});
}
