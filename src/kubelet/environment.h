// A container's environment: literal values, references to fields, config maps and secrets, service variables, and $(NAME) in values,
// command and args. (Kubernetes documentation: "Define Environment Variables", "Accessing the Service".)
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"

namespace k8lite::kubelet {

struct EnvironmentInput {
  json::Value pod, container;
  std::string node_name, host_ip, pod_ip;
  std::vector<json::Doc> services;  // of the pod's namespace, and kubernetes of default
  std::function<Result<json::Doc>(std::string_view resource, const std::string& name)> get;  // configmaps, secrets of the namespace
  int64_t node_cpu_milli = 0, node_memory = 0;
};
// NotFound ("configmap \"x\" not found", "couldn't find key k in Secret ns/x") becomes CreateContainerConfigError.
Result<std::vector<std::pair<std::string, std::string>>> container_environment(const EnvironmentInput& input);
// "metadata.name", "metadata.labels['x']", "status.podIP", …
Result<std::string> field_value(const EnvironmentInput& input, const std::string& path);
// "limits.cpu" of a container, divided and rounded up.
Result<std::string> resource_value(const EnvironmentInput& input, json::Value container, const std::string& resource, const std::string& divisor);
// $(NAME) expanded, $$(NAME) kept as $(NAME).
std::string expand(const std::string& text, const std::map<std::string, std::string>& values);

}  // namespace k8lite::kubelet
