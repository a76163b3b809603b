#include "dns/records.h"

#include <catch2/catch.hpp>

#include "base/strings.h"

using namespace k8lite;
using namespace k8lite::dns;

namespace {

json::Doc doc(std::string_view text) {
  auto d = json::Doc::parse(text);
  REQUIRE(d.ok());
  return *d;
}

// One record as text: "A 10.43.0.1", "SRV 0 50 80 web.default.svc...".
std::string text_of_record(const Record& r) {
  auto name_at = [&r](size_t at) {
    Name name;
    std::string padded = std::string(kHeaderSize, '\0') + r.data;
    REQUIRE(read_name(padded, kHeaderSize + at, &name));
    return text_of(name);
  };
  auto number = [&r](size_t at) { return std::to_string(uint8_t(r.data[at]) << 8 | uint8_t(r.data[at + 1])); };
  switch (r.type) {
    case kA: return "A " + replace_all(dashed(r.data), "-", ".");
    case kAaaa: return "AAAA " + replace_all(dashed(r.data), "-", ":");
    case kCname: return "CNAME " + name_at(0);
    case kPtr: return "PTR " + name_at(0);
    case kNs: return "NS " + name_at(0);
    case kSoa: return "SOA " + name_at(0);
    case kTxt: return "TXT " + r.data.substr(1);
    case kSrv: return "SRV " + number(0) + " " + number(2) + " " + number(4) + " " + name_at(6);
    default: return "?";
  }
}

void fill(Records& z) {
  for (const char* text : {
           R"({"metadata":{"namespace":"default","name":"web"},"spec":{"clusterIP":"10.43.0.1","clusterIPs":["10.43.0.1","fd00::1"],"ports":[{"name":"http","port":80},{"name":"dns","port":53,"protocol":"UDP"},{"port":99}]}})",
           R"({"metadata":{"namespace":"default","name":"db"},"spec":{"clusterIP":"None","ports":[{"name":"sql","port":5432}]}})",
           R"({"metadata":{"namespace":"default","name":"early"},"spec":{"clusterIP":"None","publishNotReadyAddresses":true}})",
           R"({"metadata":{"namespace":"default","name":"empty"},"spec":{"clusterIP":"None"}})",
           R"({"metadata":{"namespace":"default","name":"out"},"spec":{"type":"ExternalName","externalName":"www.example.org"}})",
           R"({"metadata":{"namespace":"default","name":"in"},"spec":{"type":"ExternalName","externalName":"web.default.svc.cluster.local"}})",
           R"({"metadata":{"namespace":"default","name":"loop"},"spec":{"type":"ExternalName","externalName":"loop.default.svc.cluster.local"}})",
       })
    z.service_changed({}, doc(text));
  for (const char* text : {
           R"({"metadata":{"namespace":"default","name":"db-1","labels":{"kubernetes.io/service-name":"db"}},"ports":[{"name":"sql","port":5433}],"endpoints":[{"addresses":["10.42.0.7"],"hostname":"db-0","conditions":{"ready":true}},{"addresses":["10.42.0.8"],"conditions":{}},{"addresses":["10.42.0.9"],"conditions":{"ready":false}}]})",
           R"({"metadata":{"namespace":"default","name":"early-1","labels":{"kubernetes.io/service-name":"early"}},"endpoints":[{"addresses":["10.42.0.9"],"conditions":{"ready":false}}]})",
           R"({"metadata":{"namespace":"default","name":"web-1","labels":{"kubernetes.io/service-name":"web"}},"ports":[{"name":"http","port":8080}],"endpoints":[{"addresses":["10.42.0.20"]}]})",
       })
    z.slice_changed({}, doc(text));
}

// "NXDOMAIN", "NODATA", "OTHER" or the answers' texts joined by ", ".
std::string look(const Records& z, std::string_view name, uint16_t type) {
  auto out = z.answer(name_of(name), type, 0);
  if (!out.ours) return "OTHER";
  if (out.reply.rcode == kNxDomain && out.reply.answers.empty()) {
    REQUIRE(out.reply.authority.size() == 1);
    return "NXDOMAIN";
  }
  if (out.reply.answers.empty()) return "NODATA";
  std::vector<std::string> texts;
  for (const auto& r : out.reply.answers) {
    CHECK(r.ttl == kTtl);
    texts.push_back(text_of_record(r));
  }
  return join(texts, ", ");
}

}  // namespace

TEST_CASE("dns records: each name of the zone has its answer") {
  Records z("cluster.local", {"10.43.0.10"});
  fill(z);
  struct Row {
    const char* name;
    uint16_t type;
    const char* want;
  };
  const Row rows[] = {
      {"web.default.svc.cluster.local", kA, "A 10.43.0.1"},
      {"WEB.Default.SVC.cluster.Local.", kA, "A 10.43.0.1"},
      {"web.default.svc.cluster.local", kAaaa, "AAAA fd00::1"},
      {"web.default.svc.cluster.local", kTxt, "NODATA"},
      {"nope.default.svc.cluster.local", kA, "NXDOMAIN"},
      {"web.other.svc.cluster.local", kA, "NXDOMAIN"},
      {"default.svc.cluster.local", kA, "NODATA"},
      {"other.svc.cluster.local", kA, "NXDOMAIN"},
      {"svc.cluster.local", kA, "NODATA"},
      {"www.example.org.cluster.local", kA, "NXDOMAIN"},
      {"www.example.org", kA, "OTHER"},
      {"db.default.svc.cluster.local", kA, "A 10.42.0.7, A 10.42.0.8"},
      {"db.default.svc.cluster.local", kAaaa, "NODATA"},
      {"db-0.db.default.svc.cluster.local", kA, "A 10.42.0.7"},
      {"10-42-0-8.db.default.svc.cluster.local", kA, "A 10.42.0.8"},
      {"10-42-0-9.db.default.svc.cluster.local", kA, "NXDOMAIN"},
      {"10-42-0-20.web.default.svc.cluster.local", kA, "A 10.42.0.20"},
      {"early.default.svc.cluster.local", kA, "A 10.42.0.9"},
      {"empty.default.svc.cluster.local", kA, "NODATA"},
      {"_http._tcp.web.default.svc.cluster.local", kSrv, "SRV 0 100 80 web.default.svc.cluster.local"},
      {"_dns._udp.web.default.svc.cluster.local", kSrv, "SRV 0 100 53 web.default.svc.cluster.local"},
      {"_dns._tcp.web.default.svc.cluster.local", kSrv, "NXDOMAIN"},
      {"_http._tcp.web.default.svc.cluster.local", kA, "NODATA"},
      {"_tcp.web.default.svc.cluster.local", kSrv, "NODATA"},
      {"_sctp.web.default.svc.cluster.local", kSrv, "NXDOMAIN"},
      {"_sql._tcp.db.default.svc.cluster.local", kSrv,
       "SRV 0 50 5433 db-0.db.default.svc.cluster.local, SRV 0 50 5433 10-42-0-8.db.default.svc.cluster.local"},
      {"x._sql._tcp.db.default.svc.cluster.local", kSrv, "NXDOMAIN"},
      {"out.default.svc.cluster.local", kA, "CNAME www.example.org"},
      {"out.default.svc.cluster.local", kCname, "CNAME www.example.org"},
      {"out.default.svc.cluster.local", kTxt, "NODATA"},
      {"in.default.svc.cluster.local", kA, "CNAME web.default.svc.cluster.local, A 10.43.0.1"},
      {"1-2-3-4.default.pod.cluster.local", kA, "A 1.2.3.4"},
      {"fd00--7.default.pod.cluster.local", kAaaa, "AAAA fd00::7"},
      {"1-2-3-4.default.pod.cluster.local", kAaaa, "NODATA"},
      {"1-2-3-400.default.pod.cluster.local", kA, "NXDOMAIN"},
      {"default.pod.cluster.local", kA, "NODATA"},
      {"1.0.43.10.in-addr.arpa", kPtr, "PTR web.default.svc.cluster.local"},
      {"7.0.42.10.in-addr.arpa", kPtr, "PTR db-0.db.default.svc.cluster.local"},
      {"20.0.42.10.in-addr.arpa", kPtr, "PTR 10-42-0-20.web.default.svc.cluster.local"},
      {"99.0.42.10.in-addr.arpa", kPtr, "OTHER"},
      {"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa", kPtr, "PTR web.default.svc.cluster.local"},
      {"x.0.42.10.in-addr.arpa", kPtr, "OTHER"},
      {"cluster.local", kSoa, "SOA ns.dns.cluster.local"},
      {"cluster.local", kNs, "NS ns.dns.cluster.local"},
      {"cluster.local", kA, "NODATA"},
      {"ns.dns.cluster.local", kA, "A 10.43.0.10"},
      {"dns-version.cluster.local", kTxt, "TXT 1.1.0"},
  };
  for (const Row& row : rows) {
    INFO(row.name << " type " << row.type);
    CHECK(look(z, row.name, row.type) == row.want);
  }
}

TEST_CASE("dns records: answers keep the asker's spelling, SRV brings the addresses along") {
  Records z("cluster.local", {"10.43.0.10"});
  fill(z);
  auto out = z.answer(name_of("Web.default.svc.cluster.LOCAL"), kA, 0);
  CHECK(text_of(out.reply.answers.at(0).name) == "Web.default.svc.cluster.LOCAL");
  CHECK(out.reply.authoritative);
  out = z.answer(name_of("_sql._tcp.db.default.svc.cluster.local"), kSrv, 0);
  REQUIRE(out.reply.additional.size() == 2);
  CHECK(text_of(out.reply.additional[0].name) == "db-0.db.default.svc.cluster.local");
  CHECK(text_of_record(out.reply.additional[0]) == "A 10.42.0.7");
}

TEST_CASE("dns records: an alias out of the cluster is to be followed, one in a circle ends") {
  Records z("cluster.local", {"10.43.0.10"});
  fill(z);
  auto out = z.answer(name_of("out.default.svc.cluster.local"), kA, 0);
  REQUIRE(out.chase);
  CHECK(text_of(*out.chase) == "www.example.org");
  CHECK_FALSE(z.answer(name_of("out.default.svc.cluster.local"), kCname, 0).chase);
  CHECK(z.answer(name_of("loop.default.svc.cluster.local"), kA, 0).reply.answers.size() < 20);
}

TEST_CASE("dns records: answers take turns") {
  Records z("cluster.local", {"10.43.0.10"});
  fill(z);
  auto first = z.answer(name_of("db.default.svc.cluster.local"), kA, 0), second = z.answer(name_of("db.default.svc.cluster.local"), kA, 1);
  CHECK(first.reply.answers.at(0).data == second.reply.answers.at(1).data);
}

TEST_CASE("dns records: changes and deletions take the old names and addresses away") {
  Records z("cluster.local", {});
  auto one = doc(R"({"metadata":{"namespace":"a","name":"s"},"spec":{"clusterIP":"10.43.0.1"}})");
  auto two = doc(R"({"metadata":{"namespace":"a","name":"s"},"spec":{"clusterIP":"10.43.0.2"}})");
  auto slice = doc(R"({"metadata":{"namespace":"a","name":"s-1","labels":{"kubernetes.io/service-name":"s"}},"endpoints":[{"addresses":["10.42.0.7"]}]})");
  z.service_changed({}, one);
  z.slice_changed({}, slice);
  CHECK(look(z, "7.0.42.10.in-addr.arpa", kPtr) == "PTR 10-42-0-7.s.a.svc.cluster.local");
  z.service_changed(one, two);
  CHECK(look(z, "s.a.svc.cluster.local", kA) == "A 10.43.0.2");
  CHECK(look(z, "1.0.43.10.in-addr.arpa", kPtr) == "OTHER");
  z.slice_changed(slice, {});
  CHECK(look(z, "7.0.42.10.in-addr.arpa", kPtr) == "OTHER");
  z.service_changed(two, {});
  CHECK(look(z, "s.a.svc.cluster.local", kA) == "NXDOMAIN");
  CHECK(look(z, "a.svc.cluster.local", kA) == "NXDOMAIN");
  CHECK(look(z, "2.0.43.10.in-addr.arpa", kPtr) == "OTHER");
}

TEST_CASE("dns records: bytes no name has lead to no record") {
  Records z("cluster.local", {});
  fill(z);
  Name zero = name_of("1-2-3-4.default.pod.cluster.local"), slash = name_of("x.svc.cluster.local"), dot = name_of("x.0.42.10.in-addr.arpa");
  zero[0] += std::string("\0x", 2);
  slash[0] = "default/web";
  dot[0] = "1.2";
  CHECK(z.answer(zero, kA, 0).reply.rcode == kNxDomain);
  CHECK(z.answer(slash, kA, 0).reply.rcode == kNxDomain);
  CHECK_FALSE(z.answer(dot, kPtr, 0).ours);
}
