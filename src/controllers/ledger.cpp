#include "controllers/ledger.h"

#include "base/strings.h"

namespace k8lite::controllers {
namespace {
int64_t version_of(const json::Doc& d) { return parse_int(d.path("metadata.resourceVersion").str()).value_or(0); }
}  // namespace

void Ledger::wrote(const std::string& key, const json::Doc& object) {
  std::lock_guard lock(mutex_);
  int64_t& last = written_[key];
  last = std::max(last, version_of(object));
}

bool Ledger::is_behind(const std::string& key, const json::Doc& cached) {
  std::lock_guard lock(mutex_);
  auto it = written_.find(key);
  if (it == written_.end()) return false;
  if (version_of(cached) < it->second) return true;
  written_.erase(it);
  return false;
}

void Ledger::forget(const std::string& key) {
  std::lock_guard lock(mutex_);
  written_.erase(key);
}

}  // namespace k8lite::controllers
