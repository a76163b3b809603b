// Which servers to ask about names outside the cluster: those of resolv.conf(5), looked at again when it changed. Addresses of our
// own and systemd-resolved's stub are left out; where the stub was named, the file behind it is read.
#pragma once
#include <sys/socket.h>
#include <sys/stat.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace k8lite::dns {

// The addresses of "nameserver" lines, in order, at most `most`.
std::vector<std::string> parse_resolv_conf(std::string_view text, size_t most = 8);

struct Upstream {
  sockaddr_storage address{};
  socklen_t size = 0;
};

class Upstreams {
 public:
  struct Options {
    std::string resolv_conf;
    int port = 53;
    std::vector<std::string> own;  // never asked
  };
  explicit Upstreams(Options options) : options_(std::move(options)) {}
  // Looks at the file at most once a second of `now`. At most three servers, as resolvers have it.
  const std::vector<Upstream>& servers(Duration now);

 private:
  struct Stamp {
    timespec modified{};
    off_t size = -1;
    ino_t inode = 0;
    bool operator==(const Stamp& o) const {
      return modified.tv_sec == o.modified.tv_sec && modified.tv_nsec == o.modified.tv_nsec && size == o.size && inode == o.inode;
    }
  };
  static Stamp stamp_of(const std::string& path);
  void read(const std::string& path, bool follow_stub);

  const Options options_;
  Duration looked_{0};
  bool ever_ = false;
  Stamp main_, behind_stub_;
  std::vector<Upstream> servers_;
};

}  // namespace k8lite::dns
