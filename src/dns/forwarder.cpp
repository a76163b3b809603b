#include "dns/forwarder.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "base/strings.h"

namespace k8lite::dns {
namespace {

constexpr Duration kUdpWait = seconds(2), kTcpWait = seconds(2);
constexpr Duration kFailingWait = seconds(1);  // still longer than a way over a satellite
constexpr Duration kFailing = seconds(10);     // then a server gets full waits again
constexpr int kFailingAfter = 2;
constexpr Duration kLoopPause = seconds(30);   // until a server that forwards to us is tried again
constexpr const char* kProbeKey = "probe";     // no wire form of a name begins so
constexpr Duration kPrefer = seconds(30);  // then the first of the list has its chance again, which may know more names
constexpr size_t kMaxAsking = 1000;  // questions out at a time; a descriptor each
constexpr size_t kMaxWaiters = 100;  // for one and the same of them
constexpr size_t kMinTries = 2;      // also with one server: UDP loses packets
constexpr size_t kMaxDatagram = 4096;  // we ask for at most kUdpSize; a longer one is cut and thus not believed
constexpr int kMaxStrays = 16;       // replies on one socket that answer another question: somebody is guessing

std::string cache_key(const Query& q) {
  std::string key = lower(wire_name(q.name));
  for (uint16_t v : {q.type, q.klass}) key += char(v >> 8), key += char(v & 255);
  key += char(q.edns | q.dnssec_ok << 1 | q.checking_disabled << 2);
  return key;
}

std::string address_key(const Upstream& u) { return {reinterpret_cast<const char*>(&u.address), u.size}; }

std::string address_text(const Upstream& u) {
  char text[INET6_ADDRSTRLEN] = "";
  if (u.address.ss_family == AF_INET) inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(u.address).sin_addr, text, sizeof text);
  else inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(u.address).sin6_addr, text, sizeof text);
  return text;
}

}  // namespace

struct Forwarder::Asking {
  std::string key;
  Query query;
  std::vector<Done> waiters;
  std::vector<Upstream> servers;
  std::vector<bool> refused;  // by server: it will not answer this question
  size_t first = 0, tries = 0, most_tries = 0;
  bool short_wait = false;
  int strays = 0;
  os::Fd fd;
  Poll::Id id = 0;
  std::string out, in;                // TCP
  std::optional<std::string> second;  // the best reply so far that is worth a try of another server, or of TCP

  size_t server() const { return (first + tries - 1) % servers.size(); }
};

Forwarder::~Forwarder() {
  for (auto& [key, asking] : asking_) close_socket(*asking);
}

void Forwarder::resolve(const Query& query, Done done) {
  const std::string key = cache_key(query);
  if (auto hit = cache_.get(key, poll_.now())) return done(*hit);
  if (auto it = asking_.find(key); it != asking_.end()) {
    if (it->second->waiters.size() >= kMaxWaiters) return done(std::nullopt);
    it->second->waiters.push_back(std::move(done));
    return;
  }
  const auto& servers = upstreams_.servers(poll_.now());
  if (servers.empty() || asking_.size() >= kMaxAsking) return done(std::nullopt);
  auto asking = std::make_shared<Asking>();
  asking->key = key;
  asking->query = query;
  asking->waiters.push_back(std::move(done));
  asking->servers = servers;
  asking->first = poll_.now() < prefer_until_ ? good_server_ % servers.size() : 0;
  asking_.emplace(key, asking);
  asking->refused.resize(servers.size());
  for (size_t i = 0; i < servers.size(); ++i) asking->refused[i] = loops(servers[i]);
  bool hope = std::any_of(servers.begin(), servers.end(), [this](const Upstream& u) { return !failing(u); });
  asking->most_tries = hope ? std::max(kMinTries, servers.size()) : servers.size();
  next_server(*asking);
}

Forwarder::Health& Forwarder::health_of(const Asking& a) { return health_[address_key(a.servers[a.server()])]; }

bool Forwarder::failing(const Upstream& server) const {
  auto it = health_.find(address_key(server));
  return it != health_.end() && poll_.now() < it->second.failing_until;
}

bool Forwarder::loops(const Upstream& server) const {
  auto it = health_.find(address_key(server));
  return it != health_.end() && poll_.now() < it->second.loops_until;
}

void Forwarder::probe(const Upstream& server) {
  if (asking_.count(kProbeKey)) return;
  probe_name_ = {random_hex(random_, 8), "loop", "k8lite"};
  probed_ = server;
  auto asking = std::make_shared<Asking>();
  asking->key = kProbeKey;
  asking->query.name = probe_name_;
  asking->query.type = kHinfo;
  asking->servers = {server};
  asking->refused.resize(1);
  asking->most_tries = 1;
  asking_.emplace(kProbeKey, asking);
  next_server(*asking);
}

void Forwarder::loop_found() {
  const std::string key = address_key(probed_);
  Health& h = health_[key];
  if (poll_.now() < h.loops_until) return;
  h.loops_until = poll_.now() + kLoopPause;
  log_error("dns: a name server of this node forwards to the cluster's DNS, which forwards to it: names outside of the cluster cannot be resolved through it", {{"server", address_text(probed_)}});
  std::vector<std::shared_ptr<Asking>> waiting;
  for (auto& [name, asking] : asking_)
    if (address_key(asking->servers[asking->server()]) == key) waiting.push_back(asking);
  for (auto& asking : waiting) {
    asking->refused[asking->server()] = true;
    next_server(*asking);
  }
}

// The server asked last gave no reply in time, or the network says that it will give none.
void Forwarder::missed(Asking& a, bool refused) {
  if (a.key == kProbeKey) return;
  if (refused) a.refused[a.server()] = true;
  else probe(a.servers[a.server()]);
  if (a.short_wait && !refused) return;
  if (health_.size() > kMaxAsking) health_.clear();  // servers of many a resolv.conf ago
  Health& h = health_of(a);
  ++h.misses;
  if (refused || h.misses >= kFailingAfter) h.failing_until = poll_.now() + kFailing;
}

void Forwarder::close_socket(Asking& a) {
  if (a.id) poll_.remove(a.id);
  a.id = 0;
  a.fd.reset();
  a.in.clear();
  a.out.clear();
}

void Forwarder::next_server(Asking& a) {
  for (;;) {
    close_socket(a);
    if (a.tries >= a.most_tries) return finish(a, std::move(a.second));
    ++a.tries;
    if (a.refused[a.server()]) continue;
    if (ask_by_udp(a)) return;
    missed(a, true);
  }
}

bool Forwarder::open_socket(Asking& a, int type) {
  const Upstream& to = a.servers[a.server()];
  a.fd.reset(socket(to.address.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  return a.fd && (connect(a.fd.get(), reinterpret_cast<const sockaddr*>(&to.address), to.size) == 0 || errno == EINPROGRESS);
}

bool Forwarder::ask_by_udp(Asking& a) {
  a.query.id = uint16_t(random_.next());
  a.strays = 0;
  std::string packet = encode_query(a.query);
  if (!open_socket(a, SOCK_DGRAM) || send(a.fd.get(), packet.data(), packet.size(), MSG_NOSIGNAL) < 0) return false;
  // The map holds the question as long as its socket is watched.
  auto id = poll_.add(a.fd.get(), EPOLLIN, [this, &a](uint32_t events) { on_udp(a, events); });
  if (!id.ok()) return false;
  a.id = *id;
  a.short_wait = failing(a.servers[a.server()]);
  poll_.set_deadline(a.id, poll_.now() + (a.short_wait ? kFailingWait : kUdpWait));
  return true;
}

void Forwarder::on_udp(Asking& a, uint32_t events) {
  if (events == 0) {
    missed(a, false);
    return next_server(a);
  }
  char buffer[kMaxDatagram];
  ssize_t n = recv(a.fd.get(), buffer, sizeof buffer, 0);
  if (n < 0) {
    if (errno == EAGAIN || errno == EINTR) return;
    missed(a, true);
    return next_server(a);
  }
  take(a, std::string(buffer, size_t(n)));
}

void Forwarder::ask_by_tcp(Asking& a) {
  close_socket(a);
  std::string packet = encode_query(a.query);
  a.out = std::string{char(packet.size() >> 8), char(packet.size() & 255)} + packet;
  if (!open_socket(a, SOCK_STREAM)) return next_server(a);
  auto id = poll_.add(a.fd.get(), EPOLLIN | EPOLLOUT, [this, &a](uint32_t events) { on_tcp(a, events); });
  if (!id.ok()) return next_server(a);
  a.id = *id;
  poll_.set_deadline(a.id, poll_.now() + kTcpWait);
}

void Forwarder::on_tcp(Asking& a, uint32_t events) {
  if (events == 0) return next_server(a);
  if (!a.out.empty()) {
    ssize_t n = send(a.fd.get(), a.out.data(), a.out.size(), MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENOTCONN) return next_server(a);
    if (n > 0) a.out.erase(0, size_t(n));
    if (a.out.empty()) poll_.watch_for(a.id, EPOLLIN);
    if (!(events & EPOLLIN)) return;
  }
  char buffer[kMaxDatagram];
  ssize_t n = recv(a.fd.get(), buffer, sizeof buffer, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return next_server(a);
  a.in.append(buffer, size_t(n));
  if (a.in.size() < 2) return;
  size_t size = size_t(uint8_t(a.in[0])) << 8 | uint8_t(a.in[1]);
  if (a.in.size() < 2 + size) return;
  take(a, a.in.substr(2, size));
}

void Forwarder::take(Asking& a, std::string response) {
  auto m = read_message(response);
  const bool by_tcp = !a.in.empty();
  if (!m.ok() || !m->is_response() || m->id != a.query.id || m->type != a.query.type || m->klass != a.query.klass || !same_name(m->name, a.query.name)) {
    if (by_tcp || ++a.strays > kMaxStrays) next_server(a);
    return;
  }
  health_.erase(address_key(a.servers[a.server()]));
  if (m->is_truncated() && !by_tcp) {
    a.second = std::move(response);
    return ask_by_tcp(a);
  }
  if (m->rcode() != kNoError && m->rcode() != kNxDomain) {
    if (!a.second) a.second = std::move(response);
    return next_server(a);
  }
  if (size_t by = a.server(); by != good_server_ || poll_.now() >= prefer_until_) {
    good_server_ = by;
    prefer_until_ = poll_.now() + kPrefer;
  }
  if (a.key != kProbeKey) cache_.put(a.key, response, poll_.now());
  finish(a, std::move(response));
}

void Forwarder::finish(Asking& a, std::optional<std::string> response) {
  close_socket(a);
  auto it = asking_.find(a.key);
  std::shared_ptr<Asking> keep = std::move(it->second);
  asking_.erase(it);  // before the callbacks, which may ask again
  for (auto& done : keep->waiters) done(response);
}

}  // namespace k8lite::dns
