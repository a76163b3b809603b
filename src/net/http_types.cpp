// Headers, query parameters and URLs: the parts of HTTP that need no connection.
#include "base/strings.h"
#include "net/http.h"

namespace k8lite::net {

std::string_view Headers::get(std::string_view name) const {
  for (const auto& [key, value] : rows_)
    if (iequals(key, name)) return value;
  return {};
}

bool Headers::has(std::string_view name) const {
  for (const auto& row : rows_)
    if (iequals(row.first, name)) return true;
  return false;
}

std::vector<std::string_view> Headers::all(std::string_view name) const {
  std::vector<std::string_view> out;
  for (const auto& [key, value] : rows_)
    if (iequals(key, name)) out.push_back(value);
  return out;
}

void Headers::set(std::string name, std::string value) {
  remove(name);
  add(std::move(name), std::move(value));
}

void Headers::remove(std::string_view name) {
  std::erase_if(rows_, [name](const auto& row) { return iequals(row.first, name); });
}

Query Query::parse(std::string_view text) {
  Query q;
  if (text.empty()) return q;
  for (auto piece : split(text, '&')) {
    if (piece.empty()) continue;
    size_t eq = piece.find('=');
    std::string_view value = eq == piece.npos ? std::string_view() : piece.substr(eq + 1);
    q.rows_.emplace_back(url_decode(piece.substr(0, eq), true), url_decode(value, true));
  }
  return q;
}

std::string_view Query::get(std::string_view name) const {
  for (const auto& [key, value] : rows_)
    if (key == name) return value;
  return {};
}

bool Query::has(std::string_view name) const {
  for (const auto& row : rows_)
    if (row.first == name) return true;
  return false;
}

std::vector<std::string_view> Query::all(std::string_view name) const {
  std::vector<std::string_view> out;
  for (const auto& [key, value] : rows_)
    if (key == name) out.push_back(value);
  return out;
}

Result<Url> Url::parse(std::string_view text) {
  auto bad = [text](std::string_view why) { return bad_request("URL " + std::string(text) + ": " + std::string(why)); };
  Url url;
  size_t colon = text.find("://");
  if (colon == text.npos) return bad("no scheme, such as https://");
  url.scheme = lower(text.substr(0, colon));
  if (url.scheme != "http" && url.scheme != "https") return bad("the scheme is neither http nor https");
  url.port = url.scheme == "https" ? 443 : 80;
  std::string_view rest = text.substr(colon + 3);
  size_t path = rest.find_first_of("/?#");
  std::string_view authority = rest.substr(0, path);
  if (authority.find('@') != authority.npos) return bad("a user name or password in a URL is not taken");

  std::string_view port;
  if (authority.starts_with('[')) {
    size_t close = authority.find(']');
    if (close == authority.npos) return bad("\"[\" without \"]\"");
    url.host = authority.substr(1, close - 1);
    std::string_view after = authority.substr(close + 1);
    if (!after.empty() && after[0] != ':') return bad("after \"]\" only a port may follow");
    if (!after.empty()) port = after.substr(1);
    if (!after.empty() && port.empty()) return bad("the port is empty");
  } else {
    size_t at = authority.find(':');
    url.host = authority.substr(0, at);
    if (at != authority.npos) {
      port = authority.substr(at + 1);
      if (port.empty()) return bad("the port is empty");
    }
  }
  if (url.host.empty()) return bad("no host");
  if (!port.empty()) {
    auto n = parse_int(port);
    if (!n || *n < 1 || *n > 65535) return bad("the port is not a number from 1 to 65535");
    url.port = static_cast<int>(*n);
  }
  url.target = path == rest.npos ? "/" : std::string(rest.substr(path));
  if (size_t fragment = url.target.find('#'); fragment != url.target.npos) url.target.resize(fragment);
  if (!url.target.starts_with('/')) url.target.insert(0, "/");
  for (unsigned char c : text)
    if (c <= 0x20 || c == 0x7f) return bad("a space or control character");
  return url;
}

}  // namespace k8lite::net
