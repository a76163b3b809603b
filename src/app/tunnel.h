// The agent's side of apiserver/stream/tunnels.h: connections to the server that wait until it wants to speak to this
// node's agent, and then lead there.
#pragma once
#include <memory>
#include <string>

#include "net/http.h"

namespace k8lite::app {

class Tunnel {
 public:
  struct Options {
    std::string server;  // its URL
    std::shared_ptr<net::TlsClientContext> tls;  // with the node's certificate
    int port = 10250;    // of the agent, on this machine
  };
  Tunnel(async::Loop& loop, Options options);
  ~Tunnel();  // lets go of the waiting connections; those in use end by themselves

 private:
  struct State;
  static async::Task<void> keep(std::shared_ptr<State> state);
  static async::Task<void> lead(std::shared_ptr<State> state, net::StreamPtr stream);
  std::shared_ptr<State> state_;
};

}  // namespace k8lite::app
