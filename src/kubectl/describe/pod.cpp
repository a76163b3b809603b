// A pod: where it is, what its containers do, why it is not ready.
#include "base/quantity.h"
#include "base/strings.h"
#include "kubectl/describe/describe.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

void put_status(Page& page, const Subject& s) {
  const Node& status = s.object["status"];
  std::string phase = status["phase"].str();
  const Node& deleted = s.object.path("metadata.deletionTimestamp");
  if (deleted.is_string() && phase != "Failed" && phase != "Succeeded") {
    page.field(0, "Status", "Terminating (lasts " + age(deleted, s.now) + ")");
    page.field(0, "Termination Grace Period", std::to_string(s.object.path("metadata.deletionGracePeriodSeconds").int_or(0)) + "s");
  } else {
    page.field(0, "Status", phase);
  }
  if (!status["reason"].empty()) page.field(0, "Reason", status["reason"].str());
  if (!status["message"].empty()) page.field(0, "Message", status["message"].str());
  if (const Node& seccomp = s.object.path("spec.securityContext.seccompProfile"); seccomp.is_object()) {
    page.field(0, "SeccompProfile", seccomp["type"].str());
    if (seccomp["type"].str() == "Localhost") page.field(0, "LocalhostProfile", seccomp["localhostProfile"].str());
  }
  page.field(0, "IP", status["podIP"].str());
  page.line(0, status["podIPs"].empty() ? "IPs:\t<none>" : "IPs:");
  for (const Node& ip : status["podIPs"].items()) page.field(1, "IP", ip["ip"].str());
}

// As the kubelet ranks pods: no requests and limits at all, all limits equal to the requests, or something between.
std::string quality_of_service(const Node& pod) {
  if (const std::string& known = pod.path("status.qosClass").str(); !known.empty()) return known;
  bool any = false, all = true;
  for (const char* list : {"initContainers", "containers"})
    for (const Node& c : pod["spec"][list].items())
      for (const char* name : {"cpu", "memory"}) {
        auto limit = Quantity::parse(value_text(c["resources"]["limits"][name])), request = Quantity::parse(value_text(c["resources"]["requests"][name]));
        any = any || limit || request;
        all = all && limit && (!request || *request == *limit);
      }
  return !any ? "BestEffort" : all ? "Guaranteed" : "Burstable";
}

void put_conditions(Page& page, const Node& pod) {
  const Node& conditions = pod.path("status.conditions");
  if (!pod.path("spec.readinessGates").empty()) {
    page.line(0, "Readiness Gates:\n  Type\tStatus");
    for (const Node& g : pod.path("spec.readinessGates").items()) {
      std::string status = "<none>";
      for (const Node& c : conditions.items())
        if (c["type"] == g["conditionType"]) status = c["status"].str();
      page.line(1, g["conditionType"].str() + " \t" + status + " ");
    }
  }
  if (conditions.empty()) return;
  page.line(0, "Conditions:\n  Type\tStatus");
  for (const Node& c : conditions.items()) page.line(1, c["type"].str() + " \t" + c["status"].str() + " ");
}

}  // namespace

void describe_pod(Page& page, const Subject& s) {
  const Node &pod = s.object, &spec = pod["spec"], &status = pod["status"];
  put_name(page, pod);
  if (spec["priority"].is_number()) page.field(0, "Priority", std::to_string(spec["priority"].int_or(0)));
  if (!spec["priorityClassName"].empty()) page.field(0, "Priority Class Name", spec["priorityClassName"].str());
  if (!spec["runtimeClassName"].empty()) page.field(0, "Runtime Class Name", spec["runtimeClassName"].str());
  if (!spec["serviceAccountName"].empty()) page.field(0, "Service Account", spec["serviceAccountName"].str());
  page.field(0, "Node", spec["nodeName"].empty() ? "<none>" : spec["nodeName"].str() + "/" + status["hostIP"].str());
  if (status["startTime"].is_string()) page.field(0, "Start Time", long_time(status["startTime"]));
  put_labels(page, "Labels", pod.path("metadata.labels"));
  put_annotations(page, "Annotations", pod.path("metadata.annotations"));
  put_status(page, s);
  put_controller(page, pod);
  if (!status["nominatedNodeName"].empty()) page.field(0, "NominatedNodeName", status["nominatedNodeName"].str());
  if (!spec["initContainers"].empty()) put_containers(page, "Init Containers", spec["initContainers"], status["initContainerStatuses"], pod, "");
  put_containers(page, "Containers", spec["containers"], status["containerStatuses"], pod, "");
  if (!spec["ephemeralContainers"].empty()) put_containers(page, "Ephemeral Containers", spec["ephemeralContainers"], status["ephemeralContainerStatuses"], pod, "");
  put_conditions(page, pod);
  put_volumes(page, spec["volumes"], "");
  page.field(0, "QoS Class", quality_of_service(pod));
  put_labels(page, "Node-Selectors", spec["nodeSelector"]);
  put_tolerations(page, spec["tolerations"], "");
  put_topology(page, spec["topologySpreadConstraints"], "");
}

}  // namespace k8lite::kubectl
