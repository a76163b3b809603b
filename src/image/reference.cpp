// Image names by the grammar of distribution/reference (docker.io and library/ filled in), by hand: no regular expressions.
#include <algorithm>

#include "base/strings.h"
#include "base/json.h"
#include "image/reference.h"

namespace k8lite::image {
namespace {

bool is_lower_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_alnum(char c) { return is_lower_alnum(c) || (c >= 'A' && c <= 'Z'); }
bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

bool domain_label(std::string_view s) {
  if (s.empty() || !is_alnum(s.front()) || !is_alnum(s.back())) return false;
  return std::all_of(s.begin(), s.end(), [](char c) { return is_alnum(c) || c == '-'; });
}

bool domain_ok(std::string_view s) {
  size_t colon = s.rfind(':');
  if (!s.empty() && s[0] == '[') {
    size_t close = s.find(']');
    if (close == std::string_view::npos || close < 2) return false;
    for (char c : s.substr(1, close - 1))
      if (!(is_hex(c) || (c >= 'A' && c <= 'F') || c == ':')) return false;
    if (close + 1 == s.size()) return true;
    if (s[close + 1] != ':') return false;
    colon = close + 1;
  }
  if (colon != std::string_view::npos) {
    auto port = s.substr(colon + 1);
    if (port.empty() || !std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; })) return false;
    s = s.substr(0, colon);
    if (s[0] == '[') return true;
  }
  for (auto label : split(s, '.'))
    if (!domain_label(label)) return false;
  return true;
}

// Lower-case letters and digits, joined by one '.', one or two '_' or any number of '-'.
bool path_component(std::string_view s) {
  size_t i = 0;
  auto word = [&] {
    size_t start = i;
    while (i < s.size() && is_lower_alnum(s[i])) ++i;
    return i > start;
  };
  if (!word()) return false;
  while (i < s.size()) {
    if (s[i] == '.') ++i;
    else if (s[i] == '_') i += i + 1 < s.size() && s[i + 1] == '_' ? 2 : 1;
    else if (s[i] == '-') while (i < s.size() && s[i] == '-') ++i;
    else return false;
    if (!word()) return false;
  }
  return true;
}

bool tag_ok(std::string_view s) {
  if (s.empty() || s.size() > 128 || !(is_alnum(s[0]) || s[0] == '_')) return false;
  return std::all_of(s.begin(), s.end(), [](char c) { return is_alnum(c) || c == '_' || c == '.' || c == '-'; });
}

// "" when the digest is fine, else what distribution/reference says.
std::string_view digest_problem(std::string_view s) {
  size_t colon = s.find(':');
  if (colon == std::string_view::npos || colon == 0) return "invalid reference format";
  auto algorithm = s.substr(0, colon), hex = s.substr(colon + 1);
  if (hex.size() < 32 || !std::all_of(hex.begin(), hex.end(), [](char c) { return is_hex(c) || (c >= 'A' && c <= 'F'); }))
    return "invalid reference format";
  if (algorithm != "sha256") return "unsupported digest algorithm";
  if (hex.size() != 64) return "invalid checksum digest length";
  if (!std::all_of(hex.begin(), hex.end(), is_hex)) return "invalid checksum digest format";
  return {};
}

// Splits and checks; returns the problem, "" for none.
std::string parse_into(std::string_view text, Reference& out) {
  if (text.size() == 64 && std::all_of(text.begin(), text.end(), is_hex))
    return "invalid repository name (" + std::string(text) + "), cannot specify 64-byte hexadecimal strings";
  size_t slash = text.find('/');
  std::string remainder;
  auto first = slash == std::string_view::npos ? std::string_view() : text.substr(0, slash);
  if (slash == std::string_view::npos ||
      (first.find_first_of(".:") == std::string_view::npos && first != "localhost" && lower(first) == first)) {
    out.registry = "docker.io";
    remainder = text;
  } else {
    out.registry = first;
    remainder = text.substr(slash + 1);
  }
  if (out.registry == "index.docker.io") out.registry = "docker.io";
  if (out.registry == "docker.io" && remainder.find('/') == std::string::npos) remainder = "library/" + remainder;
  auto remote = remainder.substr(0, remainder.find(':'));
  if (lower(remote) != remote) return "invalid reference format: repository name (" + remote + ") must be lowercase";

  std::string_view rest = remainder;
  size_t at = rest.find('@');
  if (at != std::string_view::npos) {
    out.digest = rest.substr(at + 1);
    rest = rest.substr(0, at);
    if (auto problem = digest_problem(out.digest); !problem.empty()) return std::string(problem);
  }
  if (size_t colon = rest.find(':'); colon != std::string_view::npos) {
    out.tag = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
    if (!tag_ok(out.tag)) return "invalid reference format";
  }
  out.repository = rest;
  if (!domain_ok(out.registry)) return "invalid reference format";
  for (auto component : split(out.repository, '/'))
    if (!path_component(component)) return "invalid reference format";
  if (out.repository.size() > 255) return "repository name must not be more than 255 characters";
  return {};
}

}  // namespace

Result<Reference> parse_reference(std::string_view text) {
  Reference r;
  if (auto problem = parse_into(text, r); !problem.empty()) return bad_request("couldn't parse image name " + json::quoted(text) + ": " + problem);
  if (r.tag.empty() && r.digest.empty()) r.tag = "latest";
  return r;
}

std::string Reference::text() const { return name() + (tag.empty() ? "" : ":" + tag) + (digest.empty() ? "" : "@" + digest); }

std::string Reference::familiar() const {
  std::string s = text();
  if (registry != "docker.io") return s;
  s.erase(0, std::string_view("docker.io/").size());
  if (s.starts_with("library/") && repository.find('/') == repository.rfind('/')) s.erase(0, std::string_view("library/").size());
  return s;
}

}  // namespace k8lite::image
