#include "dns/wire.h"

#include <catch2/catch.hpp>

#include "base/random.h"
#include "dns/cache.h"
#include "dns/upstreams.h"

using namespace k8lite;
using namespace k8lite::dns;

namespace {

std::string be16(unsigned v) { return {char(v >> 8 & 255), char(v & 255)}; }

Query ask(std::string_view name, uint16_t type, bool edns = false) {
  Query q;
  q.id = 77;
  q.name = name_of(name);
  q.type = type;
  q.edns = edns;
  if (edns) q.udp_size = kUdpSize;
  return q;
}

Reply addresses(std::string_view name, size_t n, uint32_t ttl = 60) {
  Reply r;
  for (size_t i = 0; i < n; ++i) r.answers.push_back({name_of(name), kA, ttl, std::string("\x0a\x01", 2) + be16(unsigned(i))});
  return r;
}

}  // namespace

TEST_CASE("dns wire: a query comes back as it was written, spelling included") {
  Query q = ask("Web.Default.svc.cluster.local", kSrv, true);
  q.dnssec_ok = true;
  auto m = read_message(encode_query(q));
  REQUIRE(m.ok());
  CHECK(text_of(m->name) == "Web.Default.svc.cluster.local");
  auto back = query_of(*m);
  REQUIRE(back.ok());
  CHECK(back->id == 77);
  CHECK(back->type == kSrv);
  CHECK(back->edns);
  CHECK(back->dnssec_ok);
  CHECK(back->udp_size == kUdpSize);
  CHECK(back->recursion_desired);
}

TEST_CASE("dns wire: names compare and nest without regard to case") {
  CHECK(same_name(name_of("A.b."), name_of("a.B")));
  CHECK(is_below(name_of("x.Cluster.Local"), name_of("cluster.local")));
  CHECK_FALSE(is_below(name_of("xcluster.local"), name_of("cluster.local")));
  CHECK(name_of(".").empty());
  CHECK_FALSE(is_valid_name(name_of("a..b")));
  CHECK_FALSE(is_valid_name({std::string(64, 'a')}));
  CHECK_FALSE(is_valid_name(Name(5, std::string(60, 'a'))));
}

TEST_CASE("dns wire: owner names are compressed and read back") {
  Query q = ask("a.example.org", kA, true);
  std::string packet = encode_reply(q, addresses("a.example.org", 3));
  CHECK(packet.size() == kHeaderSize + 15 + 4 + 3 * 16 + 11);
  auto records = address_answers(packet);
  REQUIRE(records.size() == 3);
  CHECK(text_of(records[2].name) == "a.example.org");
}

TEST_CASE("dns wire: compression loops, forward pointers and cut messages are errors") {
  std::string header = be16(1) + be16(0) + be16(1) + std::string(6, '\0');
  const std::vector<std::string> bad = {
      "",
      header.substr(0, 11),
      header,
      header + "\xc0\x0c" + be16(1) + be16(1),                         // to itself
      header + "\xc0\x20" + be16(1) + be16(1),                         // forward
      header + "\x01" "a" "\xc0\x0c" + be16(1) + be16(1),              // loop over a label
      header + "\x41" + std::string(70, 'a') + std::string(5, '\0'),   // reserved label type
      header + "\x3f" "abc",
      header + std::string("\x01" "a\0", 3) + be16(1),
      header.substr(0, 4) + be16(2) + header.substr(6) + std::string("\x01" "a\0", 3) + be16(1) + be16(1),
  };
  for (const auto& packet : bad) CHECK_FALSE(read_message(packet).ok());
  std::string long_name;
  for (int i = 0; i < 130; ++i) long_name += "\x01" "a";
  CHECK_FALSE(read_message(header + long_name + std::string(5, '\0')).ok());
  std::string short_record = encode_reply(ask("a.b", kA), addresses("a.b", 1));
  for (size_t n = 0; n < short_record.size(); ++n) CHECK_FALSE(read_message(std::string_view(short_record).substr(0, n)).ok());
  CHECK(read_message(short_record).ok());
}

TEST_CASE("dns wire: a long chain of pointers costs a bounded number of steps") {
  std::string packet = be16(1) + be16(0x8000) + be16(1) + be16(1) + std::string(4, '\0') + std::string("\x01" "a\0", 3) + be16(1) + be16(1);
  size_t first = packet.size();
  std::string data = be16(0xc00c);
  for (size_t i = 1; i < 1000; ++i) data += be16(0xc000 | unsigned(first + 11 + 2 * (i - 1)));
  packet += std::string(1, '\0') + be16(99) + be16(1) + std::string(4, '\0') + be16(unsigned(data.size())) + data;
  REQUIRE(read_message(packet).ok());
  CHECK(read_name(packet, first + 11 + 2 * 50, nullptr));
  CHECK_FALSE(read_name(packet, first + 11 + 2 * 500, nullptr));
}

TEST_CASE("dns wire: a reply is cut at a record and keeps its OPT record") {
  Query q = ask("many.example.org", kA, true);
  std::string whole = encode_reply(q, addresses("many.example.org", 200));
  std::string cut = fit(whole, kUdpSize);
  CHECK(cut.size() <= kUdpSize);
  CHECK(cut.size() > kUdpSize - 16);
  auto m = read_message(cut);
  REQUIRE(m.ok());
  CHECK(m->is_truncated());
  CHECK(m->records.back().type == kOpt);
  CHECK(m->records.back().end == cut.size());
  CHECK(fit(whole, whole.size()) == whole);
  CHECK_FALSE(read_message(whole)->is_truncated());
}

TEST_CASE("dns wire: a reply never grows beyond 64 kB") {
  std::string packet = encode_reply(ask("many.example.org", kA, true), addresses("many.example.org", 10'000));
  CHECK(packet.size() <= kMaxMessage);
  auto m = read_message(packet);
  REQUIRE(m.ok());
  CHECK(m->is_truncated());
}

TEST_CASE("dns wire: random and damaged bytes are read or refused, never more") {
  SeededRandom random(20);
  std::string seed = encode_reply(ask("damage.example.org", kA, true), addresses("damage.example.org", 5));
  size_t read = 0;
  for (int round = 0; round < 50'000; ++round) {
    std::string p = seed;
    if (round % 4 == 0) {
      p.assign(random.next() % 80, '\0');
      for (char& c : p) c = char(random.next());
      if (p.size() > 6) p[4] = 0, p[5] = 1;
    } else {
      for (uint64_t i = random.next() % 6; i > 0; --i) p[random.next() % p.size()] = char(random.next());
      p.resize(random.next() % 3 ? p.size() : random.next() % (p.size() + 1));
    }
    auto m = read_message(p);
    if (m.ok()) {
      ++read;
      for (const auto& r : m->records) REQUIRE(r.end <= p.size());
      auto q = query_of(*m);
      if (q.ok()) {
        CHECK(read_message(encode_query(*q)).ok());
        readdress(p, *q);
      }
    }
    lifetime(p);
    address_answers(p);
    bare_error(p, kFormErr);
    CHECK(fit(p, 60).size() <= std::max<size_t>(60, m.ok() ? m->question_end + 30 : 60));
    age(p, 3);
  }
  CHECK(read > 1000);
}

TEST_CASE("dns wire: another server's reply gets the client's id and spelling") {
  Query upstream = ask("www.example.org", kA);
  std::string response = encode_reply(upstream, addresses("www.example.org", 1));
  Query client = ask("WWW.example.ORG", kA);
  client.id = 9;
  client.recursion_desired = false;
  std::string mine = readdress(response, client);
  auto m = read_message(mine);
  REQUIRE(m.ok());
  CHECK(m->id == 9);
  CHECK(text_of(m->name) == "WWW.example.ORG");
  CHECK((m->flags & 0x0100) == 0);
  CHECK(text_of(address_answers(mine)[0].name) == "WWW.example.ORG");
}

TEST_CASE("dns wire: lifetimes come from answers, or from the SOA of an empty reply") {
  Reply r = addresses("a.b", 2, 60);
  r.answers[1].ttl = 30;
  CHECK(lifetime(encode_reply(ask("a.b", kA), r)) == 30);
  Reply none;
  none.rcode = kNxDomain;
  CHECK(lifetime(encode_reply(ask("a.b", kA), none)) == 0);
  std::string soa = wire_name(name_of("ns.b")) + wire_name(name_of("x.b")) + std::string(16, '\0') + be16(0) + be16(20);
  none.authority.push_back({name_of("b"), kSoa, 100, soa});
  CHECK(lifetime(encode_reply(ask("a.b", kA), none)) == 20);
  none.rcode = kServFail;
  CHECK(lifetime(encode_reply(ask("a.b", kA), none)) == 0);
}

TEST_CASE("dns cache: TTLs count down, entries end, bounds hold") {
  Cache cache({.entries = 3, .bytes = 4096});
  std::string response = encode_reply(ask("a.b", kA), addresses("a.b", 1, 10));
  cache.put("a", response, seconds(100));
  auto hit = cache.get("a", seconds(104));
  REQUIRE(hit);
  CHECK(address_answers(*hit)[0].ttl == 6);
  CHECK_FALSE(cache.get("a", seconds(110)));
  CHECK(cache.size() == 0);
  CHECK(cache.bytes() == 0);
  for (std::string key : {"a", "b", "c"}) cache.put(key, response, seconds(100));
  CHECK(cache.get("a", seconds(100)));
  cache.put("d", response, seconds(100));
  CHECK(cache.size() == 3);
  CHECK(cache.get("a", seconds(100)));
  CHECK_FALSE(cache.get("b", seconds(100)));
  cache.put("big", encode_reply(ask("a.b", kA), addresses("a.b", 100, 10)), seconds(100));
  CHECK_FALSE(cache.get("big", seconds(100)));
}

TEST_CASE("dns upstreams: name servers are read as resolv.conf has them") {
  CHECK(parse_resolv_conf("# x\nsearch a b\nnameserver 1.1.1.1\n nameserver\t9.9.9.9 # y\nnameservers 3.3.3.3\nnameserver 1.1.1.1\nnameserver 2001:db8::1") ==
        std::vector<std::string>{"1.1.1.1", "9.9.9.9", "2001:db8::1"});
  CHECK(parse_resolv_conf("nameserver\nnameserver  \noptions ndots:5").empty());
  CHECK(Upstreams({"/nonexistent/resolv.conf", 53, {}}).servers(seconds(5)).empty());
}
