#include "dns/wire.h"

#include <algorithm>
#include <map>

#include "base/strings.h"

namespace k8lite::dns {
namespace {

constexpr size_t kMaxName = 255, kMaxLabel = 63, kOptSize = 11;
constexpr int kMaxHops = 128;  // as many as a name has labels
constexpr uint16_t kQr = 0x8000, kAa = 0x0400, kTc = 0x0200, kRd = 0x0100, kRa = 0x0080, kCd = 0x0010;

uint16_t get16(std::string_view p, size_t at) { return uint16_t(uint8_t(p[at]) << 8 | uint8_t(p[at + 1])); }
uint32_t get32(std::string_view p, size_t at) { return uint32_t(get16(p, at)) << 16 | get16(p, at + 2); }
void set16(std::string& p, size_t at, uint16_t v) { p[at] = char(v >> 8), p[at + 1] = char(v & 255); }
void set32(std::string& p, size_t at, uint32_t v) { set16(p, at, uint16_t(v >> 16)), set16(p, at + 2, uint16_t(v & 0xffff)); }
void put16(std::string& p, uint16_t v) { p += char(v >> 8), p += char(v & 255); }
void put32(std::string& p, uint32_t v) { put16(p, uint16_t(v >> 16)), put16(p, uint16_t(v & 0xffff)); }

void put_header(std::string& out, uint16_t id, uint16_t flags) {
  put16(out, id);
  put16(out, flags);
  put16(out, 1);
  for (int i = 0; i < 3; ++i) put16(out, 0);
}

void put_opt(std::string& out, const Query& query, uint8_t extended_rcode) {
  out += '\0';
  put16(out, kOpt);
  put16(out, kUdpSize);
  put32(out, uint32_t(extended_rcode) << 24 | (query.dnssec_ok ? 0x8000u : 0u));
  put16(out, 0);
}

// Writes owner names compressed against every name suffix it has written before.
class NameWriter {
 public:
  void put(std::string& out, const Name& name) {
    for (size_t i = 0; i < name.size(); ++i) {
      std::string suffix = wire_name(Name(name.begin() + long(i), name.end()));
      if (auto it = at_.find(suffix); it != at_.end()) {
        put16(out, uint16_t(0xc000 | it->second));
        return;
      }
      if (out.size() < 0x4000) at_.emplace(std::move(suffix), uint16_t(out.size()));
      out += char(name[i].size());
      out += name[i];
    }
    out += '\0';
  }

 private:
  std::map<std::string, uint16_t> at_;
};

}  // namespace

Name name_of(std::string_view text) {
  Name out;
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.empty()) return out;
  return split_strings(text, '.');
}
std::string text_of(const Name& name) { return join(name, "."); }
bool same_name(const Name& a, const Name& b) { return a.size() == b.size() && is_below(a, b); }
bool is_below(const Name& name, const Name& ancestor) {
  return name.size() >= ancestor.size() &&
         std::equal(ancestor.rbegin(), ancestor.rend(), name.rbegin(), [](const auto& a, const auto& b) { return iequals(a, b); });
}
bool is_valid_name(const Name& name) {
  size_t size = 1;
  for (const auto& label : name) {
    if (label.empty() || label.size() > kMaxLabel) return false;
    size += label.size() + 1;
  }
  return size <= kMaxName;
}
std::string wire_name(const Name& name) {
  std::string out;
  for (const auto& label : name) out += char(label.size()), out += label;
  out += '\0';
  return out;
}

std::optional<size_t> read_name(std::string_view packet, size_t at, Name* out) {
  size_t end = 0, size = 1;  // end: behind the name where it stands, known at the first pointer
  int hops = 0;
  size_t lowest = at;  // a pointer must lead before everything this name has read so far
  while (at < packet.size()) {
    uint8_t n = uint8_t(packet[at]);
    if (n == 0) return end ? end : at + 1;
    if ((n & 0xc0) == 0xc0) {
      if (at + 2 > packet.size()) return std::nullopt;
      size_t to = get16(packet, at) & 0x3fff;
      if (!end) end = at + 2;
      if (to >= lowest || to < kHeaderSize || ++hops > kMaxHops) return std::nullopt;
      at = lowest = to;
      continue;
    }
    if (n > kMaxLabel || at + 1 + n > packet.size()) return std::nullopt;
    size += n + 1u;
    if (size > kMaxName) return std::nullopt;
    if (out) out->emplace_back(packet.substr(at + 1, n));
    at += 1u + n;
  }
  return std::nullopt;
}

Result<Message> read_message(std::string_view p) {
  if (p.size() < kHeaderSize) return bad_request("dns message of " + std::to_string(p.size()) + " bytes has no header");
  if (p.size() > kMaxMessage) return bad_request("dns message is longer than 64 kB");
  Message m;
  m.id = get16(p, 0);
  m.flags = get16(p, 2);
  if (get16(p, 4) != 1) return bad_request("dns message has " + std::to_string(get16(p, 4)) + " questions");
  // A compressed question could only point into the header.
  auto at = read_name(p, kHeaderSize, &m.name);
  if (!at || *at + 4 > p.size()) return bad_request("dns message ends in its question");
  m.type = get16(p, *at);
  m.klass = get16(p, *at + 2);
  size_t pos = m.question_end = *at + 4;
  for (int section = 0; section < 3; ++section)
    for (int left = get16(p, size_t(6 + 2 * section)); left > 0; --left) {
      auto name_end = read_name(p, pos, nullptr);
      if (!name_end || *name_end + 10 > p.size()) return bad_request("dns message ends in a record");
      RecordView r{RecordView::Section(section), pos, *name_end + 4, *name_end + 10, 0, get16(p, *name_end), get16(p, *name_end + 2), get32(p, *name_end + 4)};
      pos = r.end = r.data_at + get16(p, *name_end + 8);
      if (pos > p.size()) return bad_request("dns message ends in a record's data");
      m.records.push_back(r);
    }
  return m;
}

Result<Query> query_of(const Message& m) {
  Query q;
  q.id = m.id;
  q.recursion_desired = m.flags & kRd;
  q.checking_disabled = m.flags & kCd;
  q.name = m.name;
  q.type = m.type;
  q.klass = m.klass;
  for (const auto& r : m.records) {
    if (r.section != RecordView::Additional || r.type != kOpt) continue;
    if (q.edns) return bad_request("dns query has two OPT records");
    q.edns = true;
    q.udp_size = std::clamp<size_t>(r.klass, kPlainUdpSize, kUdpSize);
    q.edns_version = uint8_t(r.ttl >> 16);
    q.dnssec_ok = r.ttl & 0x8000;
  }
  return q;
}

std::string encode_query(const Query& q) {
  std::string out;
  put_header(out, q.id, uint16_t(kRd | (q.checking_disabled ? kCd : 0)));
  out += wire_name(q.name);
  put16(out, q.type);
  put16(out, q.klass);
  if (q.edns) {
    put_opt(out, q, 0);
    set16(out, 10, 1);
  }
  return out;
}

std::string encode_reply(const Query& q, const Reply& reply) {
  std::string out;
  uint16_t flags = uint16_t(kQr | kRa | (reply.authoritative ? kAa : 0) | (q.recursion_desired ? kRd : 0) | (q.checking_disabled ? kCd : 0) | (reply.rcode & 15));
  put_header(out, q.id, flags);
  NameWriter names;
  names.put(out, q.name);
  put16(out, q.type);
  put16(out, q.klass);
  const std::vector<Record>* sections[] = {&reply.answers, &reply.authority, &reply.additional};
  bool full = false;
  uint16_t counts[3] = {};
  for (int s = 0; s < 3 && !full; ++s)
    for (const Record& r : *sections[s]) {
      if (out.size() + kMaxName + 10 + r.data.size() + kOptSize > kMaxMessage) {
        full = true;
        break;
      }
      names.put(out, r.name);
      put16(out, r.type);
      put16(out, kClassIn);
      put32(out, r.ttl);
      put16(out, uint16_t(r.data.size()));
      out += r.data;
      ++counts[s];
    }
  if (full) set16(out, 2, flags | kTc);
  if (q.edns) {
    put_opt(out, q, q.edns_version ? 1 : 0);  // 16 is BADVERS: the upper bits are 1
    ++counts[2];
  }
  for (size_t s = 0; s < 3; ++s) set16(out, 6 + 2 * s, counts[s]);
  return out;
}

std::string fit(std::string reply, size_t limit) {
  if (reply.size() <= limit) return reply;
  auto message = read_message(reply);
  if (!message.ok()) return reply.substr(0, kHeaderSize);
  std::string opt;
  for (const auto& r : message->records)
    if (r.type == kOpt && r.end - r.start < limit / 2) opt = reply.substr(r.start, r.end - r.start);
  uint16_t counts[3] = {};
  size_t end = message->question_end;
  for (const auto& r : message->records) {
    if (r.end + opt.size() > limit || r.type == kOpt) break;
    end = r.end;
    ++counts[r.section];
  }
  reply.resize(end);
  reply += opt;
  if (!opt.empty()) ++counts[2];
  set16(reply, 2, get16(reply, 2) | kTc);
  for (size_t s = 0; s < 3; ++s) set16(reply, 6 + 2 * s, counts[s]);
  return reply;
}

std::string bare_error(std::string_view packet, Rcode rcode) {
  if (packet.size() < kHeaderSize || (get16(packet, 2) & kQr)) return {};
  std::string out(kHeaderSize, '\0');
  set16(out, 0, get16(packet, 0));
  set16(out, 2, uint16_t(kQr | (get16(packet, 2) & (0x7800 | kRd)) | rcode));
  return out;
}

std::string readdress(std::string response, const Query& q) {
  std::string name = wire_name(q.name);
  if (response.size() < kHeaderSize + name.size()) return response;
  set16(response, 0, q.id);
  uint16_t flags = get16(response, 2) & uint16_t(~(kRd | kAa));
  set16(response, 2, uint16_t(flags | kRa | (q.recursion_desired ? kRd : 0)));
  response.replace(kHeaderSize, name.size(), name);
  return response;
}

uint32_t lifetime(std::string_view response) {
  auto m = read_message(response);
  if (!m.ok() || m->is_truncated() || (m->rcode() != kNoError && m->rcode() != kNxDomain)) return 0;
  uint32_t answers = UINT32_MAX, negative = 0;
  bool has_type = false;
  for (const auto& r : m->records) {
    if (r.section == RecordView::Answer) {
      answers = std::min(answers, r.ttl);
      has_type |= r.type == m->type || m->type == kAny;
    }
    if (r.section == RecordView::Authority && r.type == kSoa && r.end - r.data_at >= 22) negative = std::min(r.ttl, get32(response, r.end - 4));
  }
  if (m->rcode() == kNoError && has_type) return answers;
  return std::min(answers, negative);
}

void age(std::string& response, uint32_t by) {
  auto m = read_message(response);
  if (!m.ok()) return;
  for (const auto& r : m->records)
    if (r.type != kOpt) set32(response, r.ttl_at, r.ttl > by ? r.ttl - by : 0);
}

std::vector<Record> address_answers(std::string_view response) {
  std::vector<Record> out;
  auto m = read_message(response);
  if (!m.ok()) return out;
  for (const auto& r : m->records) {
    if (r.section != RecordView::Answer || r.klass != kClassIn) continue;
    Record record{{}, r.type, r.ttl, std::string(response.substr(r.data_at, r.end - r.data_at))};
    if (!read_name(response, r.start, &record.name)) continue;
    if (r.type == kCname) {
      Name target;
      if (read_name(response, r.data_at, &target) != r.end) continue;
      record.data = wire_name(target);
    } else if (!(r.type == kA && record.data.size() == 4) && !(r.type == kAaaa && record.data.size() == 16)) {
      continue;
    }
    out.push_back(std::move(record));
  }
  return out;
}

}  // namespace k8lite::dns
