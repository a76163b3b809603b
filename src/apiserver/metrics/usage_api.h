// metrics.k8s.io/v1beta1: what nodes and pods use, asked of the nodes' agents when somebody asks here. Nothing is stored, nothing runs
// beside requests. A node that does not answer in time is left out, as are pods that have no figures yet.
// (k8s.io/metrics; what metrics-server serves through the aggregation layer.)
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "apiserver/rest.h"
#include "async/async.h"
#include "net/http.h"

namespace k8lite::apiserver {

class UsageApi {
 public:
  struct Agent {
    std::string node, address;
    int port = 10250;
  };
  // The usage report of one node (kubelet::usage_report). Runs on the loop.
  using Fetch = std::function<async::Task<Result<json::Node>>(Agent)>;

  UsageApi(async::Loop& loop, const Rest& rest, const Clock& clock, Fetch fetch)
      : loop_(loop), rest_(rest), clock_(clock), fetch_(std::move(fetch)) {}
  static bool serves(const ResourceType& type) { return type.row->group == "metrics.k8s.io"; }
  // On the loop. Selectors as those of pods and nodes; limits are not kept, as metrics-server does not either.
  async::Task<Result<Page>> list(Target target, ListParams params);
  async::Task<Result<Answer>> get(Target target);

 private:
  using Report = std::shared_ptr<const json::Node>;
  async::Task<std::map<std::string, Report>> reports(std::vector<std::string> nodes);
  static async::Task<void> fetch_one(UsageApi* self, Agent agent, std::shared_ptr<struct Gathering> into);
  Result<Agent> agent_of(const std::string& node) const;
  Result<std::vector<store::ObjectPtr>> subjects(const Target& target, const ListParams& params) const;

  async::Loop& loop_;
  const Rest& rest_;
  const Clock& clock_;
  const Fetch fetch_;
  struct Known {
    Duration until{0};
    Report report;  // null: it did not answer
  };
  std::map<std::string, Known> known_;  // the loop's thread only
};

// Asks nodes over HTTPS; connections are kept.
UsageApi::Fetch fetch_usage(async::Loop& loop, const Rest& rest, std::shared_ptr<net::TlsClientContext> tls);

}  // namespace k8lite::apiserver
