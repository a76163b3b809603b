// Brings RuleSets into the kernel through iptables-restore. The state of the kernel is read once, at the first apply; from then on
// it is known from memory (a hash a chain) and only changed chains are sent. Each table changes atomically. One thread at a time.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "proxy/rules.h"

namespace k8lite::proxy {

// What iptables-save prints, as far as it concerns us.
struct SavedTable {
  std::vector<std::string> chains;  // KUBE-* and K8LITE-*
  std::vector<std::string> jumps;   // "INPUT ... -j KUBE-FIREWALL": rules of other chains that jump to those
};
std::map<std::string, SavedTable> parse_saved(const std::string& text);

class Applier {
 public:
  // Error: iptables cannot be found in PATH, /usr/sbin, /sbin, /usr/local/sbin.
  static Result<Applier> open();

  // The text declares and fills chains of its own; POSTROUTING jumps to K8LITE-POSTRTG and FORWARD to K8LITE-FWD when it does.
  Result<> apply_extra(const std::string& restore_text);

  // Makes the service chains be exactly `wanted`. After an error the kernel's state counts as unknown and is read again next time.
  Result<> apply(const RuleSet& wanted);

  Result<> remove_all();

  // What the last apply sent: "" when nothing had changed.
  const std::string& last_batch() const { return last_batch_; }

 private:
  using Known = std::map<std::string, uint64_t>;  // chain -> hash of its rules; 0: rules unknown
  Result<std::map<std::string, SavedTable>> saved() const;
  Result<> restore(const std::string& text) const;
  void learn(const std::map<std::string, SavedTable>& now);  // chains of an earlier run

  std::string restore_path_, save_path_;
  bool synced_ = false;
  Known nat_, filter_;
  std::string last_batch_;
};

}  // namespace k8lite::proxy
