#include "dns/answerer.h"

namespace k8lite::dns {
namespace {

std::string error_reply(const Query& query, Rcode rcode) {
  Reply reply;
  reply.rcode = rcode;
  return encode_reply(query, reply);
}

}  // namespace

void Answerer::handle(std::string_view packet, Send send) {
  auto refuse = [&send, packet](Rcode rcode) {
    if (std::string reply = bare_error(packet, rcode); !reply.empty()) send(std::move(reply), kPlainUdpSize);
  };
  constexpr int kOpcodeMask = 0x78;
  if (packet.size() >= kHeaderSize && (packet[2] & kOpcodeMask)) return refuse(kNotImp);
  auto message = read_message(packet);
  if (!message.ok()) return refuse(kFormErr);
  if (message->is_response()) return;
  auto parsed = query_of(*message);
  if (!parsed.ok()) return refuse(kFormErr);
  const Query& query = *parsed;
  if (query.edns_version != 0) return send(error_reply(query, kNoError), query.udp_size);
  if (query.klass != kClassIn || query.type == kAxfr || query.type == kIxfr) return send(error_reply(query, kRefused), query.udp_size);

  if (forwarder_.is_probe(query.name)) {
    forwarder_.loop_found();
    return send(error_reply(query, kRefused), query.udp_size);
  }
  if (records_.in_zone(query.name) && !zone_ready_()) return send(error_reply(query, kServFail), query.udp_size);
  Records::Outcome outcome = records_.answer(query.name, query.type, turn_++);
  if (outcome.ours) {
    if (outcome.chase) return chase(query, std::move(outcome.reply), *outcome.chase, std::move(send));
    return send(encode_reply(query, outcome.reply), query.udp_size);
  }
  forwarder_.resolve(query, [query, send = std::move(send)](const std::optional<std::string>& response) {
    send(response ? readdress(*response, query) : error_reply(query, kServFail), query.udp_size);
  });
}

void Answerer::chase(const Query& query, Reply reply, const Name& target, Send send) {
  Query outside;
  outside.name = target;
  outside.type = query.type;
  forwarder_.resolve(outside, [query, reply = std::move(reply), send = std::move(send)](const std::optional<std::string>& response) mutable {
    auto message = response ? read_message(*response) : Result<Message>(unavailable("no name server answers"));
    if (!message.ok() || (message->rcode() != kNoError && message->rcode() != kNxDomain)) return send(error_reply(query, kServFail), query.udp_size);
    reply.rcode = message->rcode();
    for (Record& r : address_answers(*response)) reply.answers.push_back(std::move(r));
    send(encode_reply(query, reply), query.udp_size);
  });
}

}  // namespace k8lite::dns
