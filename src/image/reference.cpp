#include "image/reference.h"

#include <algorithm>

#include "base/strings.h"

namespace k8lite::image {
namespace {

bool good_component(std::string_view c) {
  if (c.empty() || !std::isalnum(static_cast<unsigned char>(c.front())) || !std::isalnum(static_cast<unsigned char>(c.back()))) return false;
  return std::all_of(c.begin(), c.end(), [](char x) { return (x >= 'a' && x <= 'z') || (x >= '0' && x <= '9') || x == '.' || x == '_' || x == '-'; });
}
bool good_tag(std::string_view t) {
  if (t.empty() || t.size() > 128 || t[0] == '.' || t[0] == '-') return false;
  return std::all_of(t.begin(), t.end(), [](char x) { return std::isalnum(static_cast<unsigned char>(x)) || x == '.' || x == '_' || x == '-'; });
}
bool good_digest(std::string_view d) {
  return d.starts_with("sha256:") && d.size() == 71 && d.substr(7).find_first_not_of("0123456789abcdef") == d.npos;
}
Status bad(std::string_view text) { return bad_request("couldn't parse image name \"" + std::string(text) + "\": invalid reference format"); }

}  // namespace

std::string Reference::text() const { return name() + (tag.empty() ? "" : ":" + tag) + (digest.empty() ? "" : "@" + digest); }

Result<Reference> parse_reference(std::string_view text) {
  Reference r;
  std::string_view rest = text;
  if (size_t at = rest.find('@'); at != rest.npos) {
    r.digest = rest.substr(at + 1);
    if (!good_digest(r.digest)) return bad(text);
    rest = rest.substr(0, at);
  }
  size_t slash = rest.rfind('/'), colon = rest.rfind(':');
  if (colon != rest.npos && (slash == rest.npos || colon > slash)) {
    r.tag = rest.substr(colon + 1);
    if (!good_tag(r.tag)) return bad(text);
    rest = rest.substr(0, colon);
  }
  if (r.tag.empty() && r.digest.empty()) r.tag = "latest";
  size_t first = rest.find('/');
  std::string_view head = first == rest.npos ? std::string_view() : rest.substr(0, first);
  bool has_registry = head.find_first_of(".:") != head.npos || head == "localhost" || head.starts_with("[");
  r.registry = has_registry ? head : "docker.io";
  if (r.registry == "index.docker.io") r.registry = "docker.io";
  std::string_view path = has_registry ? rest.substr(first + 1) : rest;
  r.repository = path;
  if (r.registry == "docker.io" && path.find('/') == path.npos) r.repository = "library/" + std::string(path);
  if (r.repository.size() > 255) return bad(text);
  for (auto c : split(r.repository, '/'))
    if (!good_component(c)) return bad(text);
  return r;
}

}  // namespace k8lite::image
