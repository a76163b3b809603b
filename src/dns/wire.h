// The DNS wire format (RFC 1035 §4, RFC 6891, RFC 2782): names, messages and replies as pure functions over bytes. Whatever a packet
// holds, reading it ends, reads nothing outside it and takes time linear in its size: pointers only lead backwards, names end at 255.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace k8lite::dns {

enum Type : uint16_t {
  kA = 1, kNs = 2, kCname = 5, kSoa = 6, kPtr = 12, kHinfo = 13, kTxt = 16, kAaaa = 28, kSrv = 33, kOpt = 41, kIxfr = 251, kAxfr = 252, kAny = 255,
};
constexpr uint16_t kClassIn = 1;
enum Rcode : uint8_t { kNoError = 0, kFormErr = 1, kServFail = 2, kNxDomain = 3, kNotImp = 4, kRefused = 5 };

constexpr size_t kHeaderSize = 12;
constexpr size_t kPlainUdpSize = 512;  // without EDNS
constexpr size_t kUdpSize = 1232;      // what passes everywhere without fragments (DNS flag day 2020)
constexpr size_t kMaxMessage = 65535;

// Labels from the leftmost on, as they were written; the root is empty.
using Name = std::vector<std::string>;
Name name_of(std::string_view text);  // "a.b." or "a.b"
std::string text_of(const Name& name);
bool same_name(const Name& a, const Name& b);           // letters' case does not count
bool is_below(const Name& name, const Name& ancestor);  // or the same
// Fits the wire: labels of 1..63 bytes, 255 bytes in all.
bool is_valid_name(const Name& name);
std::string wire_name(const Name& name);  // uncompressed

// One resource record of a message that was read, by offsets into it.
struct RecordView {
  enum Section : uint8_t { Answer, Authority, Additional } section;
  size_t start, ttl_at, data_at, end;
  uint16_t type, klass;
  uint32_t ttl;
};
struct Message {
  uint16_t id = 0, flags = 0;
  Name name;
  uint16_t type = 0, klass = 0;
  size_t question_end = kHeaderSize;
  std::vector<RecordView> records;

  bool is_response() const { return flags & 0x8000; }
  bool is_truncated() const { return flags & 0x0200; }
  int opcode() const { return (flags >> 11) & 15; }
  Rcode rcode() const { return Rcode(flags & 15); }
};
// A message with exactly one question, all of whose records can be walked. Bytes behind the last record are ignored.
Result<Message> read_message(std::string_view packet);
// A name anywhere in a packet; the offset behind it.
std::optional<size_t> read_name(std::string_view packet, size_t at, Name* out);

// What a client asks and how it wants the answer.
struct Query {
  uint16_t id = 0;
  bool recursion_desired = true, checking_disabled = false;
  Name name;
  uint16_t type = kA, klass = kClassIn;
  bool edns = false, dnssec_ok = false;
  uint8_t edns_version = 0;
  size_t udp_size = kPlainUdpSize;  // what the client takes by UDP, never more than kUdpSize
};
// From a message that was read; FORMERR cases (two OPT records) are errors.
Result<Query> query_of(const Message& message);
// The query as we send it on: recursion desired, EDNS as asked.
std::string encode_query(const Query& query);

struct Record {
  Name name;
  uint16_t type = kA;
  uint32_t ttl = 0;
  std::string data;
};
struct Reply {
  uint8_t rcode = kNoError;
  bool authoritative = false;
  std::vector<Record> answers, authority, additional;
};
// The whole reply with the question as asked and an OPT record when the query had one. Records that would grow it beyond 64 kB are
// left out and the TC bit set.
std::string encode_reply(const Query& query, const Reply& reply);
// A reply cut at a record's end to `limit` bytes, with the TC bit, when it is longer; its OPT record stays.
std::string fit(std::string reply, size_t limit);
// Header and nothing else, for a packet that cannot be read; empty when not even its header is there or it is a reply itself.
std::string bare_error(std::string_view packet, Rcode rcode);
// Makes another server's reply the answer to this query: id, RD, RA and the question in the client's spelling.
std::string readdress(std::string response, const Query& query);
// How long a reply may be kept: the least TTL of its answers, or that of the authority's SOA for an empty one; 0 is not at all.
uint32_t lifetime(std::string_view response);
// Counts the TTLs down by an age in seconds.
void age(std::string& response, uint32_t by);
// A, AAAA and CNAME records of a reply's answers.
std::vector<Record> address_answers(std::string_view response);

}  // namespace k8lite::dns
