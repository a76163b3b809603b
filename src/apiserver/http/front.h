// From an HTTP request to Rest and back: authentication, request attributes, authorisation, routing, negotiation, watches.
#pragma once
#include <array>
#include <atomic>
#include <map>
#include <mutex>

#include "apiserver/api_server.h"
#include "apiserver/http/discovery.h"
#include "apiserver/http/in_flight.h"
#include "apiserver/http/negotiate.h"
#include "apiserver/http/openapi.h"

namespace k8lite::apiserver {

// Parameters of lists and watches; "true" and "1".
ListParams list_params(const net::Query& query);
bool is_true(std::string_view text);
net::Headers json_headers(bool yaml = false);
Status forbidden(const RequestInfo& request, const authz::User& user);

class Front {
 public:
  Front(async::Loop& loop, Rest& rest, authz::Authorizer& authorizer, const authn::Authenticator& authenticator, const Clock& clock, const ApiServerOptions& options)
      : loop_(loop), rest_(rest), authorizer_(authorizer), authenticator_(authenticator), clock_(clock), options_(options) {}

  async::Task<void> handle(net::Request& request, net::ResponseWriter& response);
  std::vector<ApiServer::Extra> extra;
  std::atomic<bool> ready{false};

 private:
  struct Call {
    net::Request& request;
    net::ResponseWriter& response;
    RequestInfo info;
    authn::Identity identity;
  };
  Result<authn::Identity> identify(const net::Request& request);
  async::Task<void> serve_meta(Call& call);
  async::Task<void> serve_health(Call& call);
  async::Task<void> serve_openid(Call& call);
  async::Task<void> serve_resource(Call& call);
  async::Task<void> serve_list(Call& call, Target target);
  async::Task<void> serve_watch(Call& call, Target target);
  async::Task<void> serve_write(Call& call, Target target);
  async::Task<Result<Answer>> write(Call& call, Target target, std::vector<std::string>& warnings);
  async::Task<void> answer(Call& call, const Answer& answer, const std::vector<std::string>& warnings);
  async::Task<void> send(net::ResponseWriter& response, int status, std::string body, bool yaml, const std::vector<std::string>& warnings = {});
  const std::string& event_text(const Target& target, const WatchItem& item, bool partial);
  std::string metrics() const;

  async::Loop& loop_;
  Rest& rest_;
  authz::Authorizer& authorizer_;
  const authn::Authenticator& authenticator_;
  const Clock& clock_;
  const ApiServerOptions& options_;
  OpenApi openapi_;
  std::map<std::pair<std::string, int>, uint64_t> requests_;  // verb and code; loop thread only
  uint64_t watches_ = 0;
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
};

}  // namespace k8lite::apiserver
