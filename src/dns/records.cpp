#include "dns/records.h"

#include <arpa/inet.h>

#include <algorithm>

#include "base/strings.h"
#include "machinery/informer.h"

namespace k8lite::dns {
namespace {

constexpr int kMaxCnames = 8;
constexpr uint32_t kSoaRefresh = 7200, kSoaRetry = 1800, kSoaExpire = 86400;

std::string be16(uint32_t v) { return {char(v >> 8 & 255), char(v & 255)}; }
std::string be32(uint32_t v) { return be16(v >> 16) + be16(v & 0xffff); }

Name join_names(Name front, const Name& back) {
  front.insert(front.end(), back.begin(), back.end());
  return front;
}

template <class Map>
void erase_from(Map& map, const std::string& key, const std::string& member) {
  auto it = map.find(key);
  if (it == map.end()) return;
  it->second.erase(member);
  if (it->second.empty()) map.erase(it);
}

uint16_t address_type(const std::string& address) { return address.size() == 4 ? kA : kAaaa; }

}  // namespace

std::string address_bytes(std::string_view text) {
  unsigned char bytes[16];
  if (text.find('\0') != text.npos) return {};
  std::string t(text);
  if (inet_pton(AF_INET, t.c_str(), bytes) == 1) return {reinterpret_cast<char*>(bytes), 4};
  if (inet_pton(AF_INET6, t.c_str(), bytes) == 1) return {reinterpret_cast<char*>(bytes), 16};
  return {};
}

std::string dashed(std::string_view address) {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(address.size() == 4 ? AF_INET : AF_INET6, address.data(), text, sizeof text);
  std::string out = text;
  for (char& c : out)
    if (c == '.' || c == ':') c = '-';
  return out;
}

std::optional<std::string> reverse_address(const Name& name) {
  static const Name v4 = {"in-addr", "arpa"}, v6 = {"ip6", "arpa"};
  std::string out;
  if (name.size() == 6 && is_below(name, v4)) {
    out = address_bytes(name[3] + "." + name[2] + "." + name[1] + "." + name[0]);
  } else if (name.size() == 34 && is_below(name, v6)) {
    std::string hex;
    for (size_t i = 32; i-- > 0;) {
      if (name[i].size() != 1) return std::nullopt;
      hex += name[i];
      if (i % 4 == 0 && i > 0) hex += ':';
    }
    out = address_bytes(hex);
  }
  if (out.empty()) return std::nullopt;
  return out;
}

Records::Records(std::string_view domain, const std::vector<std::string>& own) : domain_(name_of(lower(domain))) {
  for (const auto& a : own)
    if (auto bytes = address_bytes(a); !bytes.empty()) own_.push_back(bytes);
}

Records::Port Records::parse_port(json::Value port) {
  return {lower(port["name"].str()), lower(port["protocol"].str("TCP")), uint16_t(std::clamp<int64_t>(port["port"].int_or(0), 0, 65535))};
}

Records::Service Records::parse_service(json::Value object) {
  Service s;
  json::Value spec = object["spec"];
  s.publish_not_ready = spec["publishNotReadyAddresses"].bool_or(false);
  if (spec["type"].equals("ExternalName")) {
    s.external_name = spec["externalName"].str();
    return s;
  }
  s.headless = spec["clusterIP"].equals("None");
  auto add = [&s](json::Value v) {
    std::string bytes = address_bytes(v.str());
    if (!bytes.empty() && std::find(s.addresses.begin(), s.addresses.end(), bytes) == s.addresses.end()) s.addresses.push_back(bytes);
  };
  add(spec["clusterIP"]);
  for (json::Value v : spec["clusterIPs"].items()) add(v);
  for (json::Value p : spec["ports"].items()) s.ports.push_back(parse_port(p));
  return s;
}

Records::Slice Records::parse_slice(json::Value object) {
  Slice s;
  s.service = machinery::object_key(object["metadata"]["namespace"].str(), object["metadata"]["labels"]["kubernetes.io/service-name"].str());
  for (json::Value p : object["ports"].items()) s.ports.push_back(parse_port(p));
  for (json::Value e : object["endpoints"].items()) {
    bool ready = e["conditions"]["ready"].bool_or(true);
    std::string hostname = lower(e["hostname"].str());
    for (json::Value a : e["addresses"].items()) {
      std::string bytes = address_bytes(a.str());
      if (!bytes.empty()) s.endpoints.push_back({bytes, hostname.empty() ? dashed(bytes) : hostname, ready});
    }
  }
  return s;
}

void Records::service_changed(const json::Doc& before, const json::Doc& after) {
  const std::string key = machinery::object_key(after ? after.root() : before.root());
  const std::string ns = machinery::split_key(key).first;
  Service now;
  if (after) now = parse_service(after.root());
  std::lock_guard lock(mutex_);
  ++serial_;
  if (auto it = services_.find(key); it != services_.end()) {
    for (const auto& a : it->second.addresses) erase_from(services_at_, a, key);
    services_.erase(it);
    if (--namespaces_[ns] == 0) namespaces_.erase(ns);
  }
  if (!after) return;
  for (const auto& a : now.addresses) services_at_[a].insert(key);
  services_.emplace(key, std::move(now));
  ++namespaces_[ns];
}

void Records::slice_changed(const json::Doc& before, const json::Doc& after) {
  const std::string key = machinery::object_key(after ? after.root() : before.root());
  Slice now;
  if (after) now = parse_slice(after.root());
  std::lock_guard lock(mutex_);
  ++serial_;
  if (auto it = slices_.find(key); it != slices_.end()) {
    for (const auto& e : it->second.endpoints) erase_from(slices_at_, e.address, key);
    erase_from(slices_of_, it->second.service, key);
    slices_.erase(it);
  }
  if (!after) return;
  for (const auto& e : now.endpoints) slices_at_[e.address].insert(key);
  slices_of_[now.service].insert(key);
  slices_.emplace(key, std::move(now));
}

std::vector<std::pair<Records::Endpoint, const Records::Slice*>> Records::endpoints_of(const std::string& key, const Service& service) const {
  std::vector<std::pair<Endpoint, const Slice*>> out;
  auto of = slices_of_.find(key);
  if (of == slices_of_.end()) return out;
  std::set<std::pair<std::string, std::string>> seen;  // an address may stand in two slices while it moves
  for (const auto& slice_key : of->second) {
    auto slice = slices_.find(slice_key);
    if (slice == slices_.end()) continue;
    for (const auto& e : slice->second.endpoints)
      if ((e.ready || service.publish_not_ready) && seen.emplace(e.address, e.label).second) out.emplace_back(e, &slice->second);
  }
  return out;
}

struct Records::Answering {
  const Records& records;
  const uint16_t type;
  const size_t turn;
  Outcome out;
  Name asked, plain;  // as spelled by the client, and in small letters without the domain

  bool wants(uint16_t t) const { return type == t || type == kAny; }
  void add(const Name& name, uint16_t t, std::string data) { out.reply.answers.push_back({name, t, kTtl, std::move(data)}); }
  void add_extra(const Name& name, const std::string& address) {
    out.reply.additional.push_back({name, address_type(address), kTtl, address});
  }
  void add_addresses(const std::vector<std::string>& addresses) {
    size_t first = out.reply.answers.size();
    for (const auto& a : addresses)
      if (wants(address_type(a))) add(asked, address_type(a), a);
    if (size_t n = out.reply.answers.size() - first; n > 1)
      std::rotate(out.reply.answers.begin() + long(first), out.reply.answers.begin() + long(first + turn % n), out.reply.answers.end());
  }
  void no_such_name() { out.reply.rcode = kNxDomain; }
  Name service_name(const std::string& key) const {
    auto [ns, name] = machinery::split_key(key);
    return join_names({name, ns, "svc"}, records.domain_);
  }
  std::string soa() const {
    return wire_name(join_names({"ns", "dns"}, records.domain_)) + wire_name(join_names({"hostmaster"}, records.domain_)) + be32(records.serial_) +
           be32(kSoaRefresh) + be32(kSoaRetry) + be32(kSoaExpire) + be32(kTtl);
  }

  void apex() {
    if (wants(kSoa)) add(asked, kSoa, soa());
    if (!wants(kNs)) return;
    Name server = join_names({"ns", "dns"}, records.domain_);
    add(asked, kNs, wire_name(server));
    for (const auto& a : records.own_) add_extra(server, a);
  }

  void service(const std::string& key, const Service& s) {
    if (!s.external_name.empty()) return alias(name_of(s.external_name));
    auto endpoints = s.headless ? records.endpoints_of(key, s) : std::vector<std::pair<Endpoint, const Slice*>>();
    std::vector<std::string> addresses = s.addresses;
    for (const auto& [e, slice] : endpoints)
      if (std::find(addresses.begin(), addresses.end(), e.address) == addresses.end()) addresses.push_back(e.address);
    add_addresses(addresses);
    if (type == kSrv) ports(key, s, {}, {});
  }

  void alias(const Name& target) {
    if (!is_valid_name(target) || target.empty()) return;
    if (wants(kCname) || type == kA || type == kAaaa) add(asked, kCname, wire_name(target));
    if (type != kA && type != kAaaa) return;
    if (out.reply.answers.size() > kMaxCnames) return;
    if (!records.in_zone(target)) {
      out.chase = target;
      return;
    }
    asked = target;
    dispatch();
  }

  // SRV records of a service: of one port, or of all when `port` is empty. Says whether there was such a port.
  bool ports(const std::string& key, const Service& s, const std::string& port, const std::string& protocol) {
    struct Target {
      Name name;
      uint16_t port;
      std::vector<std::string> addresses;
    };
    std::vector<Target> targets;
    bool found = false;
    auto matches = [&port, &protocol](const Port& p) { return port.empty() || (p.name == port && p.protocol == protocol); };
    const Name base = service_name(key);
    for (const Port& p : s.ports) {
      if (!matches(p)) continue;
      found = true;
      if (!s.headless) targets.push_back({base, p.number, s.addresses});
    }
    if (s.headless)
      for (const auto& [e, slice] : records.endpoints_of(key, s))
        for (const Port& p : slice->ports)
          if (matches(p)) found = true, targets.push_back({join_names({e.label}, base), p.number, {e.address}});
    if (!wants(kSrv) || targets.empty()) return found;
    const uint32_t weight = std::max<uint32_t>(1, uint32_t(100 / targets.size()));
    std::set<Name> told;
    for (const auto& t : targets) {
      add(asked, kSrv, be16(0) + be16(weight) + be16(t.port) + wire_name(t.name));
      if (!told.insert(t.name).second) continue;
      for (const auto& a : t.addresses) add_extra(t.name, a);
    }
    return true;
  }

  void endpoint(const std::string& key, const Service& s, const std::string& label) {
    std::vector<std::string> addresses;
    for (const auto& [e, slice] : records.endpoints_of(key, s))
      if (e.label == label) addresses.push_back(e.address);
    if (addresses.empty()) return no_such_name();
    add_addresses(addresses);
  }

  void below_svc(size_t n) {  // n labels stand before "svc"
    if (n == 0) return;
    const std::string& ns = plain[n - 1];
    if (!records.namespaces_.count(ns)) return no_such_name();
    if (n == 1) return;
    const std::string key = machinery::object_key(ns, plain[n - 2]);
    auto it = records.services_.find(key);
    if (it == records.services_.end()) return no_such_name();
    const Service& s = it->second;
    if (n == 2) return service(key, s);
    if (n == 3 && !plain[0].starts_with('_')) return endpoint(key, s, plain[0]);
    if (n == 3) {  // _tcp: exists when a port below it does
      bool any = std::any_of(s.ports.begin(), s.ports.end(), [this](const Port& p) { return !p.name.empty() && "_" + p.protocol == plain[0]; });
      return any ? void() : no_such_name();
    }
    if (n > 4 || plain[0].size() < 2 || plain[0][0] != '_' || plain[1][0] != '_' || !ports(key, s, plain[0].substr(1), plain[1].substr(1))) no_such_name();
  }

  void below_pod(size_t n) {
    if (n < 2) return;
    std::string address = n == 2 ? address_bytes(replace_all(plain[0], "-", ".")) : "";
    if (n == 2 && address.empty()) address = address_bytes(replace_all(plain[0], "-", ":"));
    if (address.empty()) return no_such_name();
    add_addresses({address});
  }

  void dispatch() {
    plain.clear();
    for (size_t i = 0; i + records.domain_.size() < asked.size(); ++i) plain.push_back(lower(asked[i]));
    if (plain.empty()) return apex();
    const size_t n = plain.size() - 1;
    if (plain[n] == "svc") return below_svc(n);
    if (plain[n] == "pod") return below_pod(n);
    if (plain[n] == "dns" && n == 0) return;
    if (plain[n] == "dns" && n == 1 && plain[0] == "ns") return add_addresses(records.own_);
    if (plain[n] == "dns-version" && n == 0) {
      if (wants(kTxt)) add(asked, kTxt, "\x05" "1.1.0");
      return;
    }
    no_such_name();
  }

  void reverse(const std::string& address) {
    if (auto at = records.services_at_.find(address); at != records.services_at_.end()) {
      out.ours = true;
      if (wants(kPtr))
        for (const auto& key : at->second) add(asked, kPtr, wire_name(service_name(key)));
      return;
    }
    auto at = records.slices_at_.find(address);
    if (at == records.slices_at_.end()) return;
    std::set<std::string> told;
    for (const auto& slice_key : at->second) {
      const Slice& slice = records.slices_.at(slice_key);
      if (!records.services_.count(slice.service)) continue;
      out.ours = true;
      for (const auto& e : slice.endpoints) {
        if (e.address != address) continue;
        std::string target = wire_name(join_names({e.label}, service_name(slice.service)));
        if (wants(kPtr) && told.insert(target).second) add(asked, kPtr, target);
      }
    }
  }
};

Records::Outcome Records::answer(const Name& name, uint16_t type, size_t turn) const {
  std::lock_guard lock(mutex_);
  Answering a{*this, type, turn, {}, name, {}};
  if (in_zone(name)) {
    a.out.ours = true;
    a.dispatch();
    if (a.out.reply.answers.empty() || a.out.reply.rcode != kNoError) a.out.reply.authority.push_back({domain_, kSoa, kTtl, a.soa()});
  } else if (auto address = reverse_address(name)) {
    a.reverse(*address);
  }
  a.out.reply.authoritative = a.out.ours;
  return std::move(a.out);
}

}  // namespace k8lite::dns
