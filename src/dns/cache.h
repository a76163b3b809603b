// Replies of other servers, kept as long as their TTLs say (at most five minutes, 30 s for "no such name") within fixed bounds of
// entries and bytes; the least recently used goes first. Time is handed in; nothing expires by itself. Not thread-safe.
#pragma once
#include <list>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/clock.h"

namespace k8lite::dns {

class Cache {
 public:
  struct Limits {
    size_t entries = 10'000;
    size_t bytes = size_t{4} << 20;  // an edge machine's share; about 20,000 usual replies
  };
  Cache() = default;
  explicit Cache(Limits limits) : limits_(limits) {}

  void put(const std::string& key, std::string response, Duration now);
  // The reply with its TTLs counted down to `now`.
  std::optional<std::string> get(const std::string& key, Duration now);
  size_t size() const { return by_key_.size(); }
  size_t bytes() const { return bytes_; }
  void clear();

 private:
  struct Entry {
    std::string key, response;
    Duration stored, until;
    size_t cost() const { return 2 * key.size() + response.size() + 160; }  // 160: nodes of list and map
  };
  void erase(std::list<Entry>::iterator it);

  Limits limits_;
  size_t bytes_ = 0;
  std::list<Entry> entries_;  // most recently used first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_key_;
};

}  // namespace k8lite::dns
