// A way to a TLS server through an HTTP proxy (CONNECT, RFC 9110 §9.3.6), as a port on loopback: the HTTP client dials it as if it were
// the server. It lives as long as the pull that needs it.
#pragma once
#include <memory>
#include <string>

#include "async/async.h"
#include "image/registries.h"

namespace k8lite::image {

class ProxyTunnel {
 public:
  static Result<std::unique_ptr<ProxyTunnel>> open(async::Loop& loop, const Proxy& proxy, const std::string& host, int port);
  ~ProxyTunnel();
  int port() const;
  std::string error() const;  // why the last connection failed; "" for none

 private:
  struct State;
  explicit ProxyTunnel(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace k8lite::image
