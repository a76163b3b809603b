// The whole server on loopback: informers over a fake API, a fake name server upstream, questions by UDP and TCP.
#include "dns/dns.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <fstream>
#include <thread>

#include "base/random.h"
#include "dns/wire.h"
#include "os/files.h"

using namespace k8lite;
using namespace k8lite::dns;

namespace {

// Lists what it was given; its watches never say anything.
class FakeClient : public machinery::Client {
 public:
  explicit FakeClient(std::vector<std::string> texts) {
    for (const auto& t : texts) {
      auto d = json::Doc::parse(t);
      REQUIRE(d.ok());
      items_.push_back(*d);
    }
  }
  Result<machinery::ListResult> list(const machinery::Path&, const machinery::ListOptions&) override { return machinery::ListResult{items_, "1", ""}; }
  Result<std::unique_ptr<machinery::WatchHandle>> watch(const machinery::Path&, const machinery::ListOptions&,
                                                        std::function<void(machinery::WatchEvent)>) override {
    struct Handle : machinery::WatchHandle {
      void close() override {}
    };
    return std::unique_ptr<machinery::WatchHandle>(new Handle);
  }
  Result<json::Doc> get(const machinery::Path&) override { return not_found("fake"); }
  Result<json::Doc> create(const machinery::Path&, const json::Doc&, const machinery::WriteOptions&) override { return not_found("fake"); }
  Result<json::Doc> update(const machinery::Path&, const json::Doc&, const machinery::WriteOptions&) override { return not_found("fake"); }
  Result<json::Doc> patch(const machinery::Path&, machinery::PatchType, const std::string&, const machinery::WriteOptions&) override {
    return not_found("fake");
  }
  Result<json::Doc> remove(const machinery::Path&, const machinery::DeleteOptions&) override { return not_found("fake"); }
  std::vector<Result<json::Doc>> submit(std::vector<machinery::Operation>) override { return {}; }

 private:
  std::vector<json::Doc> items_;
};

struct Socket {
  os::Fd fd;
  int port = 0;
};
Socket bound(int type, int port = 0) {
  Socket s;
  s.fd = os::Fd(socket(AF_INET, type | SOCK_CLOEXEC, 0));
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(uint16_t(port));
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(s.fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) != 0) return {};
  socklen_t size = sizeof a;
  getsockname(s.fd.get(), reinterpret_cast<sockaddr*>(&a), &size);
  s.port = ntohs(a.sin_port);
  if (type == SOCK_STREAM) listen(s.fd.get(), 8);
  return s;
}
os::Fd connected(int type, int port) {
  os::Fd fd(socket(AF_INET, type | SOCK_CLOEXEC, 0));
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(uint16_t(port));
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(connect(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) == 0);
  return fd;
}
bool readable(int fd, int ms) {
  pollfd p{fd, POLLIN, 0};
  return poll(&p, 1, ms) > 0;
}
std::string read_exactly(int fd, size_t n) {
  std::string out;
  while (out.size() < n && readable(fd, 5000)) {
    char buffer[4096];
    ssize_t got = recv(fd, buffer, std::min(sizeof buffer, n - out.size()), 0);
    if (got <= 0) break;
    out.append(buffer, size_t(got));
  }
  return out;
}
std::string read_framed(int fd) {
  std::string size = read_exactly(fd, 2);
  if (size.size() < 2) return {};
  return read_exactly(fd, size_t(uint8_t(size[0])) << 8 | uint8_t(size[1]));
}
std::string framed(const std::string& packet) { return std::string{char(packet.size() >> 8), char(packet.size() & 255)} + packet; }

// A name server on 127.0.0.1: first label "big" is truncated over UDP, "fail" is SERVFAIL, "none" does not exist, "mute" gets nothing,
// "lie" first gets a reply with another id; all others have the address 192.0.2.1.
class FakeUpstream {
 public:
  FakeUpstream() {
    for (int i = 0; i < 50 && !tcp_.fd; ++i) {
      udp_ = bound(SOCK_DGRAM);
      tcp_ = bound(SOCK_STREAM, udp_.port);
    }
    REQUIRE(tcp_.fd);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeUpstream() {
    stop_ = true;
    thread_.join();
  }
  int port() const { return udp_.port; }
  int asked() const { return asked_; }

 private:
  static std::string reply_to(const std::string& packet, bool tcp) {
    auto m = read_message(packet);
    if (!m.ok()) return {};
    Query q = *query_of(*m);
    Reply r;
    const std::string first = q.name.at(0);
    if (first == "mute") return {};
    if (first == "fail") r.rcode = kServFail;
    if (first == "none") r.rcode = kNxDomain;
    size_t n = first == "big" ? 200 : 1;
    if (r.rcode == kNoError && q.type == kA)
      for (size_t i = 0; i < n; ++i) r.answers.push_back({q.name, kA, 60, std::string("\xc0\x00\x02", 3) + char(i + 1)});
    std::string out = encode_reply(q, r);
    return tcp ? out : fit(out, kPlainUdpSize);
  }
  void serve() {
    while (!stop_) {
      pollfd p[2] = {{udp_.fd.get(), POLLIN, 0}, {tcp_.fd.get(), POLLIN, 0}};
      if (poll(p, 2, 20) <= 0) continue;
      ++asked_;
      if (p[0].revents) {
        char buffer[4096];
        sockaddr_in from{};
        socklen_t size = sizeof from;
        ssize_t n = recvfrom(udp_.fd.get(), buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &size);
        std::string packet(buffer, n > 0 ? size_t(n) : 0), reply = silent ? std::string() : reply_to(packet, false);
        auto send_back = [this, &from, size](const std::string& r) { sendto(udp_.fd.get(), r.data(), r.size(), 0, reinterpret_cast<sockaddr*>(&from), size); };
        if (packet.find("\x03lie") != packet.npos) {
          std::string forged = reply;
          forged[0] = char(forged[0] ^ 1);
          forged.back() = 66;
          send_back(forged);
        }
        if (!reply.empty()) send_back(reply);
      }
      if (p[1].revents) {
        os::Fd client(accept4(tcp_.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
        std::string reply = framed(reply_to(read_framed(client.get()), true));
        send(client.get(), reply.data(), reply.size(), MSG_NOSIGNAL);
      }
    }
  }
  Socket udp_, tcp_;

 public:
  std::atomic<bool> silent{false};

 private:
  std::atomic<bool> stop_{false};
  std::atomic<int> asked_{0};
  std::thread thread_;
};

struct World {
  FakeClient service_client{{
      R"({"metadata":{"namespace":"default","name":"web","resourceVersion":"1"},"spec":{"clusterIP":"10.43.0.1","ports":[{"name":"http","port":80}]}})",
      R"({"metadata":{"namespace":"default","name":"db","resourceVersion":"1"},"spec":{"clusterIP":"None"}})",
      R"({"metadata":{"namespace":"default","name":"out","resourceVersion":"1"},"spec":{"type":"ExternalName","externalName":"www.example.org"}})",
  }};
  FakeClient slice_client{{many_endpoints()}};
  machinery::Informer services{service_client, {"", "v1", "services", "", "", ""}};
  machinery::Informer slices{slice_client, {"discovery.k8s.io", "v1", "endpointslices", "", "", ""}};
  FakeUpstream upstream;
  std::string conf;
  std::unique_ptr<DnsServer> server;

  explicit World(const std::string& conf_text = "nameserver 127.0.0.1\n", bool sync = true) {
    char name[] = "/tmp/k8-dns-XXXXXX";
    close(mkstemp(name));
    conf = name;
    std::ofstream(conf) << conf_text;
    server = std::make_unique<DnsServer>(services, slices, DnsOptions{{"127.0.0.1"}, 0, "cluster.local", conf, upstream.port()});
    if (sync) start_informers();
    auto started = server->start();
    INFO(started.status().message());
    REQUIRE(started.ok());
    REQUIRE(server->port() > 0);
  }
  ~World() {
    server->stop();
    unlink(conf.c_str());
  }
  void start_informers() {
    services.start();
    slices.start();
    REQUIRE(services.wait_synced(seconds(5)));
    REQUIRE(slices.wait_synced(seconds(5)));
  }
  static std::string many_endpoints() {
    std::string text = R"({"metadata":{"namespace":"default","name":"db-1","resourceVersion":"1","labels":{"kubernetes.io/service-name":"db"}},"endpoints":[)";
    for (int i = 1; i <= 100; ++i) text += (i > 1 ? "," : "") + std::string(R"({"addresses":["10.42.0.)") + std::to_string(i) + "\"]}";
    return text + "]}";
  }

  // Asks again after five seconds, as clients do: a full receive buffer loses datagrams.
  std::string udp(const Query& q) const {
    os::Fd fd = connected(SOCK_DGRAM, server->port());
    std::string packet = encode_query(q);
    bool answered = false;
    for (int tries = 0; tries < 2 && !answered; ++tries) {
      send(fd.get(), packet.data(), packet.size(), 0);
      answered = readable(fd.get(), 5000);
    }
    if (!answered) return {};
    char buffer[4096];
    ssize_t n = recv(fd.get(), buffer, sizeof buffer, 0);
    return {buffer, n > 0 ? size_t(n) : 0};
  }
  std::string tcp(const Query& q) const {
    os::Fd fd = connected(SOCK_STREAM, server->port());
    std::string packet = framed(encode_query(q));
    send(fd.get(), packet.data(), packet.size(), MSG_NOSIGNAL);
    return read_framed(fd.get());
  }
};

Query ask(std::string_view name, uint16_t type = kA) {
  Query q;
  q.id = uint16_t(system_random().next());
  q.name = name_of(name);
  q.type = type;
  return q;
}
Message read(const std::string& packet) {
  auto m = read_message(packet);
  INFO(m.status().message());
  REQUIRE(m.ok());
  CHECK(m->is_response());
  return *m;
}

}  // namespace

TEST_CASE("dns server: the zone is answered by UDP and TCP") {
  World w;
  Query q = ask("Web.default.svc.cluster.local");
  std::string packet = w.udp(q);
  Message m = read(packet);
  CHECK(m.id == q.id);
  CHECK(text_of(m.name) == "Web.default.svc.cluster.local");
  REQUIRE(address_answers(packet).size() == 1);
  CHECK(address_answers(packet)[0].data == std::string("\x0a\x2b\x00\x01", 4));
  CHECK(address_answers(w.tcp(ask("web.default.svc.cluster.local"))).size() == 1);
  CHECK(read(w.udp(ask("nope.default.svc.cluster.local"))).rcode() == kNxDomain);
  CHECK(w.upstream.asked() == 0);
}

TEST_CASE("dns server: what does not fit a datagram is cut, and whole by TCP") {
  World w;
  std::string plain = w.udp(ask("db.default.svc.cluster.local"));
  CHECK(plain.size() <= kPlainUdpSize);
  CHECK(read(plain).is_truncated());
  Query q = ask("db.default.svc.cluster.local");
  q.edns = true;
  q.udp_size = 4096;
  std::string edns = w.udp(q);
  CHECK(edns.size() <= kUdpSize);
  CHECK(edns.size() > kPlainUdpSize);
  CHECK(read(edns).is_truncated());
  CHECK(address_answers(w.tcp(q)).size() == 100);
}

TEST_CASE("dns server: other names go upstream once and are kept") {
  World w;
  std::string packet = w.udp(ask("www.Example.org"));
  REQUIRE(address_answers(packet).size() == 1);
  CHECK(text_of(read(packet).name) == "www.Example.org");
  CHECK(w.upstream.asked() == 1);
  packet = w.udp(ask("WWW.example.org"));
  CHECK(text_of(read(packet).name) == "WWW.example.org");
  CHECK(w.upstream.asked() == 1);
  CHECK(read(w.udp(ask("none.example.org"))).rcode() == kNxDomain);
  CHECK(read(w.udp(ask("fail.example.org"))).rcode() == kServFail);
}

TEST_CASE("dns server: a truncated reply from upstream is fetched by TCP") {
  World w;
  std::string packet = w.udp(ask("big.example.org"));
  CHECK(read(packet).is_truncated());
  CHECK(packet.size() <= kPlainUdpSize);
  int asked = w.upstream.asked();
  CHECK(asked == 2);
  CHECK(address_answers(w.tcp(ask("big.example.org"))).size() == 200);
  CHECK(w.upstream.asked() == asked);
}

TEST_CASE("dns server: a reply with the wrong id is not believed") {
  World w;
  auto records = address_answers(w.udp(ask("lie.example.org")));
  REQUIRE(records.size() == 1);
  CHECK(records[0].data == std::string("\xc0\x00\x02\x01", 4));
}

TEST_CASE("dns server: an ExternalName is followed out of the cluster") {
  World w;
  std::string packet = w.udp(ask("out.default.svc.cluster.local"));
  auto records = address_answers(packet);
  REQUIRE(records.size() == 2);
  CHECK(records[0].type == kCname);
  CHECK(records[1].type == kA);
  CHECK(text_of(records[1].name) == "www.example.org");
}

TEST_CASE("dns server: without an upstream it says SERVFAIL, and finds one written later") {
  World w("search nowhere\n");
  CHECK(read(w.udp(ask("www.example.org"))).rcode() == kServFail);
  std::ofstream(w.conf) << "nameserver 127.0.0.1\n";
  std::this_thread::sleep_for(milliseconds(1100));
  CHECK(address_answers(w.udp(ask("www.example.org"))).size() == 1);
}

TEST_CASE("dns server: the zone is SERVFAIL until the informers have synced") {
  World w("nameserver 127.0.0.1\n", false);
  CHECK(read(w.udp(ask("web.default.svc.cluster.local"))).rcode() == kServFail);
  CHECK(address_answers(w.udp(ask("www.example.org"))).size() == 1);
  w.start_informers();
  CHECK(address_answers(w.udp(ask("web.default.svc.cluster.local"))).size() == 1);
}

TEST_CASE("dns server: a mute or refusing name server gives way to the next") {
  // Nobody listens on 127.9.9.9, so the kernel refuses at once.
  World w("nameserver 127.9.9.9\nnameserver 127.0.0.1\n");
  CHECK(address_answers(w.udp(ask("www.example.org"))).size() == 1);
  CHECK(address_answers(w.udp(ask("ftp.example.org"))).size() == 1);
  auto start = system_clock().mono();
  CHECK(read(w.udp(ask("mute.example.org"))).rcode() == kServFail);
  CHECK(system_clock().mono() - start < seconds(20));
}

TEST_CASE("dns server: where no name server can be reached, clients hear so at once") {
  World refused("nameserver 127.9.9.9\n");
  auto start = system_clock().mono();
  for (const char* name : {"a.example.org", "b.example.org", "c.example.org"}) CHECK(read(refused.udp(ask(name))).rcode() == kServFail);
  CHECK(system_clock().mono() - start < seconds(8));

  World mute;
  mute.upstream.silent = true;
  CHECK(read(mute.udp(ask("mute.example.org"))).rcode() == kServFail);  // two full waits tell that it is silent
  start = system_clock().mono();
  CHECK(read(mute.udp(ask("mute.example.net"))).rcode() == kServFail);
  CHECK(system_clock().mono() - start < seconds(10));
  mute.upstream.silent = false;
  CHECK(address_answers(mute.udp(ask("www.example.org"))).size() == 1);  // it speaks again
  start = system_clock().mono();
  CHECK(read(mute.udp(ask("mute.example.com"))).rcode() == kServFail);
  CHECK(system_clock().mono() - start > milliseconds(3500));             // and is trusted again
}

TEST_CASE("dns server: a name server that forwards to us is found out and not asked for a while") {
  // Sends every question on to the server and tells nobody the answers.
  Socket in = bound(SOCK_DGRAM);
  std::atomic<int> target = 0, relayed = 0;
  std::atomic<bool> stop = false;
  std::thread relay([&] {
    while (!stop) {
      if (!readable(in.fd.get(), 20)) continue;
      char buffer[4096];
      ssize_t n = recv(in.fd.get(), buffer, sizeof buffer, 0);
      if (n <= 0 || !target) continue;
      ++relayed;
      os::Fd out = connected(SOCK_DGRAM, target);
      send(out.get(), buffer, size_t(n), 0);
    }
  });
  World w;
  w.server->stop();
  w.server = std::make_unique<DnsServer>(w.services, w.slices, DnsOptions{{"127.0.0.1"}, 0, "cluster.local", w.conf, in.port});
  REQUIRE(w.server->start().ok());
  target = w.server->port();
  auto start = system_clock().mono();
  CHECK(read(w.udp(ask("www.example.org"))).rcode() == kServFail);
  CHECK(system_clock().mono() - start < seconds(14));
  start = system_clock().mono();
  for (const char* name : {"a.example.org", "b.example.org", "www.example.org"}) CHECK(read(w.udp(ask(name))).rcode() == kServFail);
  CHECK(system_clock().mono() - start < seconds(6));
  CHECK(relayed < 6);
  stop = true;
  relay.join();
}

TEST_CASE("dns server: where another program has the port, another one is taken when that is allowed") {
  World w;
  Socket taken = bound(SOCK_DGRAM);
  DnsOptions options{{"127.0.0.1"}, taken.port, "cluster.local", w.conf, w.upstream.port()};
  DnsServer strict(w.services, w.slices, options);
  CHECK(!strict.start().ok());
  options.other_port_if_taken = true;
  DnsServer other(w.services, w.slices, options);
  auto started = other.start();
  INFO(started.status().message());
  REQUIRE(started.ok());
  CHECK(other.port() != taken.port);
  CHECK(other.port() > 0);
  other.stop();
}

TEST_CASE("dns server: pipelined questions on one connection are all answered, also after the client's end") {
  World w;
  os::Fd fd = connected(SOCK_STREAM, w.server->port());
  std::string all;
  for (int i = 0; i < 5; ++i) all += framed(encode_query(ask("web.default.svc.cluster.local"))) + framed(encode_query(ask("n" + std::to_string(i) + ".example.org")));
  for (char c : all.substr(0, 20)) send(fd.get(), &c, 1, MSG_NOSIGNAL);
  send(fd.get(), all.data() + 20, all.size() - 20, MSG_NOSIGNAL);
  shutdown(fd.get(), SHUT_WR);
  for (int i = 0; i < 10; ++i) CHECK(address_answers(read_framed(fd.get())).size() == 1);
  CHECK(read_exactly(fd.get(), 1).empty());
}

TEST_CASE("dns server: more connections than it holds push the oldest out") {
  World w;
  std::vector<os::Fd> many;
  for (int i = 0; i < 130; ++i) many.push_back(connected(SOCK_STREAM, w.server->port()));
  CHECK(address_answers(w.tcp(ask("web.default.svc.cluster.local"))).size() == 1);
  CHECK(read_exactly(many.front().get(), 1).empty());
}

TEST_CASE("dns server: rubbish is refused or ignored and nothing else suffers") {
  World w;
  SeededRandom random(7);
  os::Fd fd = connected(SOCK_DGRAM, w.server->port());
  std::string seed = encode_query(ask("web.default.svc.cluster.local"));
  for (int i = 0; i < 2000; ++i) {
    std::string p = seed;
    for (int n = int(random.next() % 8); n >= 0; --n) p[random.next() % kHeaderSize] = char(random.next());
    p.resize(random.next() % (p.size() + 1));
    send(fd.get(), p.data(), p.size(), 0);
  }
  for (int i = 0; i < 20; ++i) {
    os::Fd c = connected(SOCK_STREAM, w.server->port());
    std::string p(random.next() % 3000, '\0');
    for (char& ch : p) ch = char(random.next());
    send(c.get(), p.data(), p.size(), MSG_NOSIGNAL);
  }
  CHECK(address_answers(w.udp(ask("web.default.svc.cluster.local"))).size() == 1);
  Query chaos = ask("version.bind", kTxt);
  chaos.klass = 3;
  CHECK(read(w.udp(chaos)).rcode() == kRefused);
  CHECK(read(w.udp(ask("cluster.local", kAxfr))).rcode() == kRefused);
}

TEST_CASE("dns server: an address that is not there yet can be listened on, a taken port is an error") {
  World w;
  machinery::Informer services(w.service_client, {"", "v1", "services", "", "", ""}), slices(w.slice_client, {"", "v1", "endpointslices", "", "", ""});
  DnsServer early(services, slices, {{"203.0.113.77", "127.0.0.1"}, 0, "cluster.local", w.conf, 53});
  CHECK(early.start().ok());
  early.stop();
  CHECK(early.start().ok());
  DnsServer taken(services, slices, {{"127.0.0.1"}, w.server->port(), "cluster.local", w.conf, 53});
  auto started = taken.start();
  CHECK_FALSE(started.ok());
  CHECK(started.status().message().find("127.0.0.1:") != std::string::npos);
}

TEST_CASE("dns server: idle, its thread is never woken") {
  World w;
  CHECK(address_answers(w.udp(ask("www.example.org"))).size() == 1);
  auto switches = [] {
    for (const auto& task : os::list_dir("/proc/self/task")) {
      std::string folder = "/proc/self/task/" + task, line;
      std::getline(std::ifstream(folder + "/comm") >> std::ws, line);
      if (line != "dns") continue;
      std::ifstream status(folder + "/status");
      while (std::getline(status, line))
        if (line.starts_with("voluntary_ctxt_switches")) return line;
    }
    return std::string();
  };
  std::this_thread::sleep_for(milliseconds(50));
  std::string before = switches();
  CHECK_FALSE(before.empty());
  std::this_thread::sleep_for(milliseconds(400));
  CHECK(switches() == before);
}
