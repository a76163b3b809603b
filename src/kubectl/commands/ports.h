// The ports of a port-forward command line: "LOCAL:REMOTE", "REMOTE", ":REMOTE", with names looked up in pod and service. Pure.
#pragma once
#include <string>

#include "base/json.h"

namespace k8lite::kubectl {

struct PortPair {
  int local = 0;  // 0: any free one
  int remote = 0;
};

// The remote port is a number or the name of a container port.
Result<PortPair> pod_port(const std::string& word, const json::Node& pod);
// The remote port is one of the service's, by number or name; the pair has the container's port behind it.
Result<PortPair> service_port(const std::string& word, const json::Node& service, const json::Node& pod);

}  // namespace k8lite::kubectl
