// Settings named as flags of kube-apiserver, as `--kube-apiserver-arg=NAME=VALUE` hands them on: those that mean
// something here.
#pragma once
#include "apiserver/api_server.h"

namespace k8lite::apiserver {

// Reads the files that arguments name. Errors name the argument and the file. An argument that this server has no use
// for is warned of in the log and otherwise passed over: most of them tune what is not there.
Result<> apply_arguments(const std::vector<std::string>& arguments, ApiServerOptions& options);

}  // namespace k8lite::apiserver
