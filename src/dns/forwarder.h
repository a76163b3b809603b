// Asks other name servers: by UDP from a fresh port with a random id each time, two seconds each, server after server, by TCP when
// the reply was cut; the same question asked twice at a time goes out once, so that servers that send it back to us cannot make a storm.
// A server that has been silent or refused is waited for only a second, once: where there is no network, clients hear so soon. Runs on
// its Poll's thread.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/random.h"
#include "dns/cache.h"
#include "dns/poll.h"
#include "dns/upstreams.h"
#include "dns/wire.h"

namespace k8lite::dns {

class Forwarder {
 public:
  // A reply whose id and spelling are those of whoever asked first (see readdress()), or nothing: SERVFAIL.
  using Done = std::function<void(const std::optional<std::string>& response)>;

  Forwarder(Poll& poll, Random& random, Upstreams upstreams) : poll_(poll), random_(random), upstreams_(std::move(upstreams)) {}
  ~Forwarder();
  // When a server is silent a name that only we ask for is asked of it. Whoever sees a question for that name has got it back: the server
  // (or one behind it) forwards to us, and is left alone for a while.
  bool is_probe(const Name& name) const { return !probe_name_.empty() && same_name(name, probe_name_); }
  void loop_found();
  // Calls back at once from the cache, or later. Uses of the query: name, type, class, EDNS, DO and CD.
  void resolve(const Query& query, Done done);

 private:
  struct Asking;
  struct Health {
    int misses = 0;  // full waits in vain, one after another
    Duration failing_until{0}, loops_until{0};
  };
  Health& health_of(const Asking& asking);
  bool failing(const Upstream& server) const;
  bool loops(const Upstream& server) const;
  void missed(Asking& asking, bool refused);
  void probe(const Upstream& server);
  void next_server(Asking& asking);
  bool open_socket(Asking& asking, int type);
  bool ask_by_udp(Asking& asking);
  void ask_by_tcp(Asking& asking);
  void close_socket(Asking& asking);
  void on_udp(Asking& asking, uint32_t events);
  void on_tcp(Asking& asking, uint32_t events);
  void take(Asking& asking, std::string response);
  void finish(Asking& asking, std::optional<std::string> response);

  Poll& poll_;
  Random& random_;
  Upstreams upstreams_;
  Cache cache_;
  // The server that answered while others did not is asked first for a while.
  size_t good_server_ = 0;
  Duration prefer_until_{0};
  std::unordered_map<std::string, Health> health_;  // by address; of servers that have failed since their last reply
  Name probe_name_;
  Upstream probed_;
  std::unordered_map<std::string, std::shared_ptr<Asking>> asking_;
};

}  // namespace k8lite::dns
