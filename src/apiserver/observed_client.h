// An in-process client that is seen: its requests go to the audit log as those over HTTP do, are counted as a client's
// (rest_client_requests_total), and what it is forbidden is said in the server's log: a component that lacks a right
// would otherwise only try again and again.
#pragma once
#include "apiserver/audit/auditor.h"
#include "base/random.h"
#include "machinery/client.h"

namespace k8lite::apiserver {

// `auditor` null: nothing is logged. Auditor and family outlive the client.
std::unique_ptr<machinery::Client> observe_client(std::unique_ptr<machinery::Client> client, authn::Identity identity,
                                                  std::string manager, audit::Auditor* auditor,
                                                  metrics::Family& requests, Random& random);

}  // namespace k8lite::apiserver
