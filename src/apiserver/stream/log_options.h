// What may be asked of a pod's log (PodLogOptions), checked before any node is asked.
#pragma once
#include <string>

#include "net/http.h"

namespace k8lite::apiserver {

// BadRequest for what is no number or time, Invalid in the words of upstream's validation otherwise.
Result<> check_log_options(const std::string& pod, const net::Query& query);

}  // namespace k8lite::apiserver
