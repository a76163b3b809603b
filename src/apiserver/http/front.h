// From an HTTP request to Rest and back: authentication, request attributes, authorisation, routing, negotiation, watches.
#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <mutex>

#include "apiserver/api_server.h"
#include "apiserver/audit/auditor.h"
#include "apiserver/http/discovery.h"
#include "apiserver/http/exchange.h"
#include "apiserver/http/health.h"
#include "apiserver/http/in_flight.h"
#include "apiserver/http/negotiate.h"
#include "apiserver/http/request_metrics.h"
#include "apiserver/http/openapi.h"

namespace k8lite::apiserver {

// "true" and "1".
bool is_true(std::string_view text);
async::Task<void> send_error(const net::Request& request, net::ResponseWriter& response, Status status);  // in the encoding asked for
net::Headers json_headers(bool yaml = false);
Status forbidden(const RequestInfo& request, const authz::User& user);

class Front {
 public:
  // `auditor` null: nothing is logged.
  Front(async::Loop& loop, Rest& rest, authz::Authorizer& authorizer, const authn::Authenticator& authenticator, const Clock& clock, Random& random, audit::Auditor* auditor, const ApiServerOptions& options);

  async::Task<void> handle(net::Request& request, net::ResponseWriter& response);
  std::vector<ApiServer::Extra> extra;
  std::atomic<bool> ready{false}, stopping{false};
  Health health;
  // Further figures for /metrics, appended in its text format. Before the first request, or on the loop.
  std::vector<std::function<void(std::string&)>> figures;

 private:
  struct Call {
    net::Request& request;
    net::ResponseWriter& response;
    const RequestInfo& info;
    authn::Identity identity;
    audit::Record* record;  // null: not logged
    bool pretty = false;    // the answer will be indented, which packed ones are not
    void note_request(const json::Node& object) const {
      if (record && record->wants_request()) record->request_object = object.dump();
    }
  };
  std::string next_audit_id(const net::Request& request);
  async::Task<void> serve(net::Request& request, Exchange& exchange, const RequestInfo& info);
  Result<authn::Identity> admit(const net::Request& request, Exchange& exchange, const RequestInfo& info);
  bool allowed(const Call& call);
  async::Task<void> serve_meta(Call& call);
  async::Task<void> serve_health(Call& call);
  async::Task<void> serve_openid(Call& call);
  async::Task<void> serve_resource(Call& call);
  async::Task<void> serve_list(Call& call, Target target);
  async::Task<void> serve_watch(Call& call, Target target);
  async::Task<void> serve_write(Call& call, Target target);
  async::Task<void> serve_usage(Call& call, Target target);  // usage.cpp
  async::Task<Result<Answer>> write(Call& call, Target target, std::vector<std::string>& warnings);
  async::Task<void> answer(Call& call, const Answer& answer, const std::vector<std::string>& warnings);
  async::Task<void> send(net::ResponseWriter& response, int status, std::string body, bool yaml, const std::vector<std::string>& warnings = {});
  std::string figures_text() const;
  const std::string& event_text(const Target& target, const WatchItem& item, bool partial);

  async::Loop& loop_;
  Rest& rest_;
  authz::Authorizer& authorizer_;
  const authn::Authenticator& authenticator_;
  const Clock& clock_;
  const ApiServerOptions& options_;
  OpenApi openapi_;
  audit::Auditor* const auditor_;
  RequestMetrics metrics_;
  const uint64_t id_seed_[2];
  std::atomic<uint64_t> id_count_{0};
  // The events written last, for other watchers of the same: each is put into text once. Loop thread only.
  struct EventText {
    json::Doc doc;
    int64_t revision = 0;
    machinery::WatchEvent::Type type{};
    ResourceTypePtr resource;
    bool partial = false;
    std::string text;
  };
  std::array<EventText, 16> events_;
  InFlight in_flight_;
  async::Pool packers_{std::clamp(std::thread::hardware_concurrency(), 1u, 4u)};  // of large answers
};

}  // namespace k8lite::apiserver
