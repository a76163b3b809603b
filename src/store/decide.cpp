#include "store/decide.h"

#include <unordered_map>

namespace k8lite::store {
namespace {

using Overlay = std::unordered_map<std::string_view, Revision>;

template <class Now>
Reason judge(const Backend::Entry& e, Now& now) {
  for (const auto& g : e.guards)
    if (now(g.key) != g.revision) return Reason::Conflict;
  Revision revision = now(e.key);
  if (e.op == Write::Op::Create) return revision == 0 ? Reason::Ok : Reason::AlreadyExists;
  if (revision == 0) return Reason::NotFound;
  return e.expected == 0 || e.expected == revision ? Reason::Ok : Reason::Conflict;
}

}  // namespace

Revision decide(std::span<Backend::Entry> entries, Revision last, const std::function<Revision(std::string_view)>& current) {
  Overlay done;
  done.reserve(entries.size());
  for (size_t i = 0; i < entries.size();) {
    size_t end = i + 1;
    if (entries[i].group != 0)
      while (end < entries.size() && entries[end].group == entries[i].group) ++end;
    Overlay step;  // this step's own effects, kept only if all of it is well
    auto now = [&done, &step, &current](std::string_view key) {
      if (auto it = step.find(key); it != step.end()) return it->second;
      if (auto it = done.find(key); it != done.end()) return it->second;
      return current(key);
    };
    Revision next = last;
    bool all = true;
    for (size_t k = i; k < end; ++k) {
      entries[k].outcome = judge(entries[k], now);
      all &= entries[k].outcome == Reason::Ok;
      entries[k].assigned = ++next;
      step[entries[k].key] = entries[k].op == Write::Op::Remove ? 0 : next;
    }
    if (all) {
      last = next;
      for (auto& [key, revision] : step) done[key] = revision;
    } else {
      for (size_t k = i; k < end; ++k) {
        entries[k].assigned = 0;
        if (entries[k].outcome == Reason::Ok) entries[k].outcome = Reason::Conflict;
      }
    }
    i = end;
  }
  return last;
}

}  // namespace k8lite::store
