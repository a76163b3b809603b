// The backend without a disk, for tests: revisions in a map.
#include <map>

#include "store/decide.h"

namespace k8lite::store {
namespace {

class MemoryBackend : public Backend {
 public:
  Result<Revision> load(std::function<void(Change)> each) override {
    for (const auto& [key, row] : rows_) each({row.revision, key, row.bytes, false});
    return last_;
  }

  Status commit(std::vector<Entry>& entries) override {
    last_ = decide(entries, last_, [this](std::string_view key) {
      auto it = rows_.find(key);
      return it == rows_.end() ? 0 : it->second.revision;
    });
    for (const Entry& e : entries) {
      if (e.outcome != Reason::Ok) continue;
      if (e.op == Write::Op::Remove) rows_.erase(std::string(e.key));
      else rows_[std::string(e.key)] = {e.assigned, std::string(e.bytes)};
    }
    return ok_status();
  }

  Status flush() override { return ok_status(); }

 private:
  struct Row {
    Revision revision;
    std::string bytes;
  };
  std::map<std::string, Row, std::less<>> rows_;
  Revision last_ = 1;  // a first write has revision 2: 0 and 1 stay free for "any" and "nothing yet"
};

}  // namespace

std::unique_ptr<Backend> memory_backend() { return std::make_unique<MemoryBackend>(); }

}  // namespace k8lite::store
