// What the API server counts of the requests that come over HTTP, under Kubernetes' names (instrumentation of its API
// server), so that dashboards and alerts made for it work. Labels come from known resources and verbs only: no client
// can add to them.
#pragma once
#include "apiserver/request_info.h"
#include "apiserver/resource_types.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "net/http.h"

namespace k8lite::apiserver {

class RequestMetrics {
 public:
  // A request as it is counted, from its beginning to its end.
  struct Subject {
    std::string_view verb;  // "GET", "LIST", "WATCH", "CONNECT", …
    std::string_view scope, group, version, resource, subresource, kind;
    bool dry_run = false, mutating = false, long_running = false;
  };
  // `type` null for what is no known resource. Views into the arguments, which must live as long.
  static Subject subject(const net::Request& request, const RequestInfo& info, const ResourceType* type);

  void begin(const Subject& subject);
  void end(const Subject& subject, int code, Duration took, size_t bytes);
  void authenticated(bool good) { attempts_.at(metrics::Labels().add("result", good ? "success" : "failure")).add(); }
  void authorized(bool allowed) {
    decisions_.at(metrics::Labels().add("result", allowed ? "allowed" : "denied")).add();
  }
  void deprecated(const Subject& subject);
  void write(std::string& out) const;

 private:
  metrics::Series& in_flight(const Subject& subject);
  static constexpr double kSeconds[] = {0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1,  1.25, 1.5, 2,
                                        3,     4,     5,    6,   8,   10,  15,  20,  30, 45,   60};
  static constexpr double kBytes[] = {1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
  metrics::Family requests_{"apiserver_request_total", metrics::Type::Counter,
                            "Requests by verb, resource, scope and HTTP code."};
  metrics::Family durations_{"apiserver_request_duration_seconds", metrics::Type::Histogram,
                             "How long requests took, in seconds.", kSeconds};
  metrics::Family sizes_{"apiserver_response_sizes", metrics::Type::Histogram, "Bytes of answers to reads.", kBytes};
  metrics::Family in_flight_{"apiserver_current_inflight_requests", metrics::Type::Gauge,
                             "Requests being served now, without long-running ones."};
  metrics::Family long_running_{"apiserver_longrunning_requests", metrics::Type::Gauge,
                                "Watches and streams that are open now."};
  metrics::Family watchers_{"apiserver_registered_watchers", metrics::Type::Gauge,
                            "Watches that are open now, by kind."};
  metrics::Family attempts_{"authentication_attempts", metrics::Type::Counter,
                            "Requests by the result of authentication."};
  metrics::Family decisions_{"authorization_attempts_total", metrics::Type::Counter,
                             "Requests by the result of authorisation."};
  metrics::Family deprecated_{"apiserver_requested_deprecated_apis", metrics::Type::Gauge,
                              "Deprecated APIs that somebody asked for."};
};

}  // namespace k8lite::apiserver
