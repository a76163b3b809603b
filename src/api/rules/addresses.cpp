#include "api/rules/addresses.h"

#include <algorithm>

#include "base/strings.h"

namespace k8lite::api::rules {
namespace {

bool parse_v4(std::string_view text, unsigned char* out) {
  auto parts = split(text, '.');
  if (parts.size() != 4) return false;
  for (size_t i = 0; i < 4; ++i) {
    if (parts[i].empty() || parts[i].size() > 3 || (parts[i].size() > 1 && parts[i][0] == '0') ||
        parts[i].find_first_not_of("0123456789") != std::string_view::npos)
      return false;
    int64_t n = parse_int(parts[i]).value_or(256);
    if (n > 255) return false;
    out[i] = static_cast<unsigned char>(n);
  }
  return true;
}

// Groups of one side of "::"; -1 where one is malformed. The last may be an IPv4 address (two groups).
int parse_groups(std::string_view text, unsigned char* out, bool last) {
  if (text.empty()) return 0;
  auto parts = split(text, ':');
  if (parts.size() > 8) return -1;
  int n = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (last && i + 1 == parts.size() && parts[i].find('.') != std::string_view::npos) {
      if (n > 6 || !parse_v4(parts[i], out + 2 * n)) return -1;
      return n + 2;
    }
    if (parts[i].empty() || parts[i].size() > 4 || n == 8) return -1;
    unsigned value = 0;
    for (char c : lower(parts[i])) {
      int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
      if (digit < 0) return -1;
      value = value * 16 + static_cast<unsigned>(digit);
    }
    out[2 * n] = static_cast<unsigned char>(value >> 8);
    out[2 * n + 1] = static_cast<unsigned char>(value & 255);
    ++n;
  }
  return n;
}

}  // namespace

std::optional<Address> parse_ip(std::string_view text) {
  Address a;
  if (text.find(':') == text.npos) return parse_v4(text, a.bytes.data()) ? std::optional(a) : std::nullopt;
  a.v6 = true;
  size_t gap = text.find("::");
  if (gap == text.npos) return parse_groups(text, a.bytes.data(), true) == 8 ? std::optional(a) : std::nullopt;
  if (text.find("::", gap + 1) != text.npos) return {};
  std::array<unsigned char, 20> tail{};
  int left = parse_groups(text.substr(0, gap), a.bytes.data(), false),
      right = parse_groups(text.substr(gap + 2), tail.data(), true);
  if (left < 0 || right < 0 || left + right > 7) return {};
  std::fill(a.bytes.begin() + 2 * left, a.bytes.end(), static_cast<unsigned char>(0));
  std::copy(tail.begin(), tail.begin() + 2 * right, a.bytes.end() - 2 * right);
  return a;
}

std::string Address::str() const {
  std::string out;
  if (!v6) {
    for (size_t i = 0; i < 4; ++i) out += (i ? "." : "") + std::to_string(bytes[i]);
    return out;
  }
  auto group = [this](int i) {
    return bytes[static_cast<size_t>(2 * i)] * 256 + bytes[static_cast<size_t>(2 * i + 1)];
  };
  int best = -1, best_size = 1;  // the longest run of zero groups
  for (int i = 0; i < 8; ++i) {
    int n = 0;
    while (i + n < 8 && group(i + n) == 0) ++n;
    if (n > best_size) best = i, best_size = n;
  }
  for (int i = 0; i < 8; ++i) {
    if (i == best) {
      out += "::";
      i += best_size - 1;
      continue;
    }
    if (!out.empty() && !out.ends_with(':')) out += ':';
    constexpr char kHex[] = "0123456789abcdef";
    bool begun = false;
    for (int shift = 12; shift >= 0; shift -= 4) {
      int digit = (group(i) >> shift) & 15;
      if (digit || begun || shift == 0) out += kHex[digit], begun = true;
    }
  }
  return out;
}

std::optional<Network> parse_cidr(std::string_view text) {
  size_t slash = text.find('/');
  if (slash == text.npos) return {};
  auto base = parse_ip(text.substr(0, slash));
  std::string_view digits = text.substr(slash + 1);
  if (!base || digits.empty() || digits.size() > 3 || (digits.size() > 1 && digits[0] == '0') ||
      digits.find_first_not_of("0123456789") != digits.npos)
    return {};
  int bits = static_cast<int>(*parse_int(digits));
  if (bits > (base->v6 ? 128 : 32)) return {};
  return Network{*base, bits};
}

Network Network::masked() const {
  Network out = *this;
  for (int i = 0; i < 16; ++i) {
    int kept = std::clamp(bits - 8 * i, 0, 8);
    out.base.bytes[static_cast<size_t>(i)] &= static_cast<unsigned char>(0xff00 >> kept);
  }
  return out;
}

bool Network::holds(const Network& inner) const {
  return base.v6 == inner.base.v6 && inner.bits >= bits && Network{inner.base, bits}.masked().base == masked().base;
}

}  // namespace k8lite::api::rules
