// Small text helpers shared by all rooms: splitting, joining, trimming, base64, hex, sha256-free hashing, name rules.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace k8lite {

std::vector<std::string_view> split(std::string_view text, char separator);  // "" gives one empty piece
std::vector<std::string> split_strings(std::string_view text, char separator);
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string_view trim(std::string_view text);
std::string lower(std::string_view text);
bool iequals(std::string_view a, std::string_view b);
std::string replace_all(std::string text, std::string_view from, std::string_view to);
std::optional<int64_t> parse_int(std::string_view text);  // whole text, decimal
std::string to_hex(std::string_view bytes);

std::string base64_encode(std::string_view bytes);      // RFC 4648 §4, padded
std::string base64url_encode(std::string_view bytes);   // RFC 4648 §5, no padding
std::optional<std::string> base64_decode(std::string_view text);  // either alphabet, padding optional

std::string url_decode(std::string_view text, bool plus_is_space = false);
std::string url_encode(std::string_view text);  // everything but unreserved characters

uint64_t fnv1a64(std::string_view bytes);
uint32_t fnv1a32(std::string_view bytes);

// apimachinery validation: RFC 1123 label (63), subdomain (253), qualified name (prefix/name), label value.
bool is_dns_label(std::string_view text);
bool is_dns_subdomain(std::string_view text);
bool is_qualified_name(std::string_view text);
bool is_label_value(std::string_view text);

}  // namespace k8lite
