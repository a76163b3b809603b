// What a probe does over the network: one HTTP request, one TCP connection, one gRPC health check (grpc.health.v1,
// plain text). Tasks of the loop; each ends within about its timeout. Messages are upstream's, since people search for
// them.
#pragma once
#include <string>

#include "async/async.h"
#include "net/http.h"

namespace k8lite::kubelet {

struct ProbeOutcome {
  bool good = false;
  std::string message;  // of a failure
};

struct HttpProbe {
  std::string host, path = "/";
  int port = 0;
  bool tls = false;      // whose certificate nobody looks at
  net::Headers headers;  // the author's; they win over ours
  Duration timeout{0};
};
// Redirects are followed as long as they stay with the host; one that leads away is a success.
async::Task<ProbeOutcome> probe_http(async::Loop& loop, HttpProbe probe);
async::Task<ProbeOutcome> probe_tcp(async::Loop& loop, std::string host, int port, Duration timeout);
async::Task<ProbeOutcome> probe_grpc(async::Loop& loop, std::string host, int port, std::string service,
                                     Duration timeout);

}  // namespace k8lite::kubelet
