// Who has which address of the node's pod network, in a small file that is replaced whole at every change: after a kill -9 it says what
// it said before or after. Not thread-safe.
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "cni/netlink.h"

namespace k8lite::cni {

class Ipam {
 public:
  // A file that is missing, damaged or of another network counts as empty: what runs is claimed again when it is looked at.
  Ipam(Cidr network, std::string file);

  // The same pod keeps its address. The first address is the node's; the lowest and the highest are never given. Error: the range is
  // full (ServiceUnavailable), or the file cannot be written; then nothing has been given.
  Result<Ipv4> allocate(const std::string& pod);
  // Notes that the pod has this address already; false when it is not of this network or another pod's.
  bool claim(const std::string& pod, Ipv4 address);
  void release(const std::string& pod);
  std::optional<Ipv4> address_of(const std::string& pod) const;
  std::vector<std::string> pods() const;
  Ipv4 gateway() const { return {network_.base.value + 1}; }

 private:
  bool usable(Ipv4 address) const;
  Result<> save() const;
  const Cidr network_;
  const std::string file_;
  std::map<std::string, uint32_t> by_pod_;
  std::set<uint32_t> used_;
  uint32_t last_ = 0;  // offset given last
};

}  // namespace k8lite::cni
