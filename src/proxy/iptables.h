// Brings RuleSets into the kernel through iptables-restore. The state of the kernel is read once, at the first apply; from then on
// it is known from memory (a hash a chain) and only changed chains are sent. Each table changes atomically. One thread at a time.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "proxy/rules.h"
#include "proxy/variants.h"

namespace k8lite::proxy {

// What iptables-save prints, as far as it concerns us.
struct SavedTable {
  std::vector<std::string> chains;  // KUBE-* and K8LITE-*
  std::vector<std::string> jumps;   // "INPUT ... -j KUBE-FIREWALL": rules of other chains that jump to those
};
std::map<std::string, SavedTable> parse_saved(const std::string& text);

// The chains that one Applier keeps: how built-in chains lead to them, and what the names of those begin with that come and go.
struct Layout {
  std::vector<Jump> jumps;
  std::vector<std::string> dynamic;
  bool append = false;  // jumps go to the end of the built-in chains, not to their heads
};
const Layout& service_layout();

class Applier {
 public:
  // Error: see find_iptables().
  static Result<Applier> open(const Layout& layout = service_layout());
  Applier(IptablesTools tools, const Layout& layout) : layout_(&layout), tools_(std::move(tools)) {}

  // The text declares and fills chains of its own; POSTROUTING jumps to K8LITE-POSTRTG, PREROUTING and OUTPUT to K8LITE-DNS, FORWARD
  // to K8LITE-FWD and INPUT to K8LITE-INPUT when it does.
  Result<> apply_extra(const std::string& restore_text);

  // Makes the service chains be exactly `wanted`. After an error the kernel's state counts as unknown and is read again next time.
  Result<> apply(const RuleSet& wanted);

  // Removes every KUBE-* and K8LITE-* chain and the jumps to them, not only the layout's.
  Result<> remove_all();

  const IptablesTools& tools() const { return tools_; }
  // The kernel's state counts as unknown: the next apply() reads it again and sends everything.
  void forget() { synced_ = false; }
  // What the last apply sent: "" when nothing had changed.
  const std::string& last_batch() const { return last_batch_; }

 private:
  using Known = std::map<std::string, uint64_t>;  // chain -> hash of its rules; 0: rules unknown
  Result<std::map<std::string, SavedTable>> saved() const;
  Result<> restore(const std::string& text) const;
  void learn(const std::map<std::string, SavedTable>& now);  // chains of an earlier run

  bool is_dynamic(std::string_view chain) const;
  bool is_replaced(std::string_view target) const;
  std::string insert_jumps(std::string_view table) const;

  const Layout* layout_;
  IptablesTools tools_;
  bool synced_ = false;
  Known nat_, filter_;
  std::string last_batch_;
};

}  // namespace k8lite::proxy
