#include "dns/upstreams.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "base/strings.h"
#include "os/files.h"

namespace k8lite::dns {
namespace {

constexpr Duration kLookEvery = seconds(1);
constexpr size_t kMaxServers = 3, kMaxFile = 64 << 10;
constexpr const char* kStubAddress = "127.0.0.53";
constexpr const char* kBehindStub = "/run/systemd/resolve/resolv.conf";

bool to_upstream(const std::string& text, int port, Upstream& out) {
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out.address);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.address);
  if (inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(uint16_t(port));
    out.size = sizeof *v4;
    return true;
  }
  if (inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) != 1) return false;
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(uint16_t(port));
  out.size = sizeof *v6;
  return true;
}

}  // namespace

std::vector<std::string> parse_resolv_conf(std::string_view text, size_t most) {
  std::vector<std::string> out;
  for (std::string_view line : split(text, '\n')) {
    line = trim(line);
    constexpr std::string_view kKeyword = "nameserver";
    if (!line.starts_with(kKeyword)) continue;
    line.remove_prefix(kKeyword.size());
    if (line.empty() || (line[0] != ' ' && line[0] != '\t')) continue;
    line = trim(line);
    std::string address(line.substr(0, line.find_first_of(" \t#;")));
    if (!address.empty() && out.size() < most && std::find(out.begin(), out.end(), address) == out.end()) out.push_back(address);
  }
  return out;
}

Upstreams::Stamp Upstreams::stamp_of(const std::string& path) {
  struct stat st {};
  if (stat(path.c_str(), &st) != 0) return {};
  return {st.st_mtim, st.st_size, st.st_ino};
}

void Upstreams::read(const std::string& path, bool follow_stub) {
  auto text = os::read_file(path, kMaxFile);
  if (!text.ok()) {
    log_warn("dns: cannot read the name servers", {{"error", text.status()}});
    return;
  }
  bool stub = false;
  for (const auto& address : parse_resolv_conf(*text)) {
    if (address == kStubAddress) {
      stub = true;
      continue;
    }
    Upstream upstream;
    if (std::find(options_.own.begin(), options_.own.end(), address) != options_.own.end() || servers_.size() >= kMaxServers) continue;
    // A scoped link-local address (fe80::1%eth0) has no meaning without its interface and is left out.
    if (to_upstream(address, options_.port, upstream)) servers_.push_back(upstream);
  }
  if (stub && follow_stub && os::exists(kBehindStub)) read(kBehindStub, false);
}

const std::vector<Upstream>& Upstreams::servers(Duration now) {
  if (ever_ && now - looked_ < kLookEvery) return servers_;
  looked_ = now;
  Stamp main = stamp_of(options_.resolv_conf), behind = stamp_of(kBehindStub);
  if (ever_ && main == main_ && behind == behind_stub_) return servers_;
  ever_ = true;
  main_ = main;
  behind_stub_ = behind;
  servers_.clear();
  read(options_.resolv_conf, true);
  return servers_;
}

}  // namespace k8lite::dns
