// The version of each object that a controller wrote last. Caches of different kinds are of different ages: the pods' may be ahead of
// that of the object whose status says what became of them, and deciding on the older status would do a thing twice. A controller that
// keeps state in a status waits until its cache shows what it wrote itself. Thread-safe.
#pragma once
#include <map>
#include <mutex>

#include "controllers/context.h"

namespace k8lite::controllers {

class Ledger {
 public:
  void wrote(const std::string& key, const json::Doc& object);
  // Is this older than what was written? Then its change is on its way, and brings the key back.
  bool is_behind(const std::string& key, const json::Doc& cached);
  void forget(const std::string& key);

 private:
  std::mutex mutex_;
  std::map<std::string, int64_t> written_;
};

}  // namespace k8lite::controllers
