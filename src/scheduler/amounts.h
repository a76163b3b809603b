// Amounts of resources: what a node has, what a pod asks for. The three that everybody asks for are fields, for a cycle
// compares them thousands of times; the rest (extended resources, huge pages) is a short list by name.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"

namespace k8lite::scheduler {

struct Amounts {
  int64_t cpu = 0, memory = 0, storage = 0;  // thousandths; bytes; bytes of ephemeral-storage
  std::vector<std::pair<std::string, int64_t>> more;

  int64_t get(std::string_view name) const;  // 0 when it is not there
  int64_t& operator[](std::string_view name);
  void add(const Amounts& other, int64_t times = 1);
  void raise_to(const Amounts& other);  // the larger of both, each by itself
  void set_from(json::Value map);       // those named in a resource list take its values
};
Amounts amounts_of(json::Value map);

// What a pod asks for: the sum of its containers and sidecars, or its largest init container, plus overhead; what the
// pod itself asks for (spec.resources) takes the place of that sum. Of what is resized in place the most of wanted,
// given and had. (KEP-753, 1287, 2837)
Amounts pod_requests(json::Value pod);
// The same for scores: a container that names no cpu or memory still counts as 100m and 200 MiB.
Amounts pod_weight(json::Value pod);

}  // namespace k8lite::scheduler
