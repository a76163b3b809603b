// A local copy of one resource (all namespaces or one, optionally selected), kept true by list and watch. Everything that decides
// reads informers, never the API. Handlers run on the delivery thread, one event at a time, and must not block (they put a key into a
// queue): in process all informers share that thread. After a lost watch the informer lists again and reports the differences: nobody misses a delete.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "machinery/client.h"

namespace k8lite::machinery {

// "<namespace>/<name>", or "<name>" for cluster scope.
std::string object_key(json::Value object);
std::string object_key(std::string_view ns, std::string_view name);
std::pair<std::string, std::string> split_key(std::string_view key);  // namespace, name

class Informer {
 public:
  // `before` empty: added; `after` empty: deleted.
  using Handler = std::function<void(const json::Doc& before, const json::Doc& after)>;

  Informer(Client& client, Path path, ListOptions select = {});
  ~Informer();  // stops
  Informer(const Informer&) = delete;

  void on_change(Handler handler);  // before start(); several are called in order
  // With ListOptions::keep the copy holds what is to be kept only. The deletion of anything else is told all the same, with the last
  // state as `before`, but not when it happened while the watch was lost: `fn` runs after every list.
  void on_listed(std::function<void()> fn);  // before start()
  void start();
  void stop();
  bool synced() const;                          // the first list has been delivered
  bool wait_synced(Duration at_most) const;

  json::Doc get(const std::string& key) const;                  // empty when there is none
  std::vector<json::Doc> list(std::string_view ns = {}) const;  // sorted by key; ns "" : all
  // Objects whose controller owner reference has this uid.
  std::vector<json::Doc> owned_by(std::string_view owner_uid) const;
  const Path& path() const;
  bool keeps(json::Value object) const;  // ListOptions::keep

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace k8lite::machinery
