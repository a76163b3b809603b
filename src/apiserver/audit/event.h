// One request as the audit log tells it: audit.k8s.io/v1 Event, a JSON object a line. Pure.
#pragma once
#include <optional>

#include "apiserver/audit/policy.h"
#include "apiserver/authn/authn.h"

namespace k8lite::apiserver::audit {

struct Record {
  Decision decision;
  std::string audit_id, uri, user_agent;
  std::vector<std::string> source_addresses;
  authn::Identity user;
  std::optional<authn::Identity> impersonated;
  RequestInfo info;
  Instant received;
  std::vector<std::pair<std::string, std::string>> annotations;
  // JSON texts, as far as the level asks for them; "" for none.
  std::string request_object, response_object;
  int code = 0;  // 0: not answered yet

  bool wants_request() const { return info.is_resource && decision.level >= Level::Request; }
  bool wants_response() const { return info.is_resource && decision.level >= Level::RequestResponse; }
};

// With its line break.
std::string event_line(const Record& record, Stage stage, Instant now);
// Where a request came from: what proxies say (X-Forwarded-For, X-Real-Ip), then the address of the connection.
std::vector<std::string> source_addresses(const net::Headers& headers, const std::string& peer);

}  // namespace k8lite::apiserver::audit
