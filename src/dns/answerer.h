// From a client's packet to the reply: reads it, refuses what cannot be served, answers the zone from the Records, hands the rest to
// the Forwarder, and follows an ExternalName's alias out of the cluster. Knows nothing of sockets.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "dns/forwarder.h"
#include "dns/records.h"

namespace k8lite::dns {

class Answerer {
 public:
  // `zone_ready` says whether the zone's objects have been listed.
  Answerer(const Records& records, Forwarder& forwarder, std::function<bool()> zone_ready)
      : records_(records), forwarder_(forwarder), zone_ready_(std::move(zone_ready)) {}
  // Calls `send` once, now or later, with a whole reply (up to 64 kB) and how much of it a datagram may carry; never for packets that
  // deserve no reply.
  using Send = std::function<void(std::string reply, size_t udp_limit)>;
  void handle(std::string_view packet, Send send);

 private:
  void chase(const Query& query, Reply reply, const Name& target, Send send);

  const Records& records_;
  Forwarder& forwarder_;
  std::function<bool()> zone_ready_;
  size_t turn_ = 0;
};

}  // namespace k8lite::dns
