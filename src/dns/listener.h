// The sockets clients talk to: one UDP and one TCP socket an address, and the TCP connections, at most a hundred, ten seconds idle at
// most (RFC 7766). Runs on its Poll's thread.
#pragma once
#include <netinet/in.h>

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "dns/answerer.h"
#include "dns/poll.h"

namespace k8lite::dns {

class Listener {
 public:
  Listener(Poll& poll, Answerer& answerer) : poll_(poll), answerer_(answerer) {}
  ~Listener();
  // Binds all addresses; port 0 takes a free one. The port that was bound.
  Result<int> open(const std::vector<std::string>& addresses, int port);

 private:
  struct Connection;
  Result<os::Fd> bind_socket(const std::string& address, int port, int type);
  Result<int> open_all(const std::vector<std::string>& addresses, int port);
  Result<int> open_at(const std::string& address, int port);
  void on_udp(int fd);
  void on_accept(int fd);
  bool accept_one(int fd);
  void on_connection(Poll::Id id, uint32_t events);
  bool read_connection(Poll::Id id, const std::shared_ptr<Connection>& c);
  bool write_connection(Poll::Id id, Connection& c);
  void reply_tcp(Poll::Id id, const std::string& reply);
  void drop(Poll::Id id);
  void drop_oldest();

  Poll& poll_;
  Answerer& answerer_;
  os::Fd spare_;  // given up for a moment to turn a client away when descriptors have run out
  std::vector<os::Fd> sockets_;
  std::vector<Poll::Id> socket_ids_;
  std::unordered_map<Poll::Id, std::shared_ptr<Connection>> connections_;
};

}  // namespace k8lite::dns
