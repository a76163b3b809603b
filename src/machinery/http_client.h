// The Client over HTTP: for kubectl, for agents' components and for tests. One keep-alive pool of connections to one server.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "machinery/client.h"
#include "net/http.h"

namespace k8lite::machinery {

struct ConnectionConfig {
  std::string server;                     // "https://127.0.0.1:6443"
  std::string ca_pem;
  bool insecure_skip_verify = false;
  std::string certificate_pem, key_pem;   // client certificate, or:
  std::string token;
  std::string user_agent = "k8lite";
  std::string field_manager = "k8lite";
};

// BadRequest for a server URL or PEM text that cannot be read.
Result<std::unique_ptr<Client>> make_http_api_client(async::Loop& loop, ConnectionConfig config);
// The raw connection below it (logs, exec, discovery), with the credentials' Authorization header to send along ("" without a token).
struct RawConnection {
  std::shared_ptr<net::HttpClient> http;
  net::Headers headers;
  std::string path_prefix;  // of server URLs with a path
};
Result<RawConnection> connect_raw(async::Loop& loop, const ConnectionConfig& config);

// A metav1.Status body (or any error text) as our Status, with reason, details and causes.
Status status_from_response(int http_status, std::string_view body);

}  // namespace k8lite::machinery
