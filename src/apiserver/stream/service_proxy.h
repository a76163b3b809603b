// What the proxy subresource of services, pods and nodes names: "https:web:http" and the path behind "/proxy". Pure.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http.h"

namespace k8lite::apiserver {

// "name", "name:port" or "scheme:name:port" (Kubernetes: SplitSchemeNamePort); port is a number, a port's name or "".
struct ProxyName {
  std::string scheme, name, port;
};
Result<ProxyName> split_proxy_name(std::string_view text);

// The path and query behind the first `segments` segments of a request's target, still encoded: "" when nothing
// follows, not even a slash.
std::string proxied_target(std::string_view request_target, int segments);

// What goes on to the target: without what belongs to this connection or to this server (credentials, impersonation).
net::Headers proxied_headers(const net::Headers& headers);

// Sends the request on and joins the two connections when the other side switches protocols (node_proxy.cpp).
async::Task<void> bridge(async::Loop& loop, net::HttpClient& client, net::ClientRequest request,
                         net::ResponseWriter& response);

}  // namespace k8lite::apiserver
