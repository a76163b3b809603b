// /healthz, /livez and /readyz: a table of named checks, each under a path of its own, told as Kubernetes' API server
// tells them.
#pragma once
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "net/http.h"

namespace k8lite::apiserver {

// Where a check is asked.
enum HealthEndpoint : unsigned { kHealthz = 1, kLivez = 2, kReadyz = 4, kEverywhere = 7 };

class Health {
 public:
  // "" when all is well, else what is not; the reason is shown under the check's own path only. Any thread, must not
  // block.
  using Check = std::function<std::string()>;
  void add(unsigned where, std::string name, Check check);

  struct Answer {
    int code = 0;
    std::string text;
  };
  // `path` as "/readyz" or "/readyz/etcd"; code 404 for a check that is not there.
  Answer ask(std::string_view path, const net::Query& query) const;
  std::vector<std::string> paths() const;

 private:
  struct Named {
    unsigned where;
    std::string name;
    Check check;
  };
  Answer all(std::string_view endpoint, unsigned bit, const net::Query& query) const;
  mutable std::mutex mutex_;
  std::vector<Named> checks_;
};

}  // namespace k8lite::apiserver
