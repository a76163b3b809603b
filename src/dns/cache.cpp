#include "dns/cache.h"

#include <algorithm>

#include "dns/wire.h"

namespace k8lite::dns {
namespace {

constexpr Duration kLongest = seconds(300), kLongestNegative = seconds(30);

bool is_negative(std::string_view response) { return response.size() >= kHeaderSize && (response[6] | response[7]) == 0; }

}  // namespace

void Cache::erase(std::list<Entry>::iterator it) {
  bytes_ -= it->cost();
  by_key_.erase(it->key);
  entries_.erase(it);
}

void Cache::clear() {
  by_key_.clear();
  entries_.clear();
  bytes_ = 0;
}

void Cache::put(const std::string& key, std::string response, Duration now) {
  Duration keep = std::min<Duration>(seconds(lifetime(response)), is_negative(response) ? kLongestNegative : kLongest);
  if (keep <= Duration(0)) return;
  if (auto it = by_key_.find(key); it != by_key_.end()) erase(it->second);
  Entry entry{key, std::move(response), now, now + keep};
  if (entry.cost() > limits_.bytes / 4) return;
  bytes_ += entry.cost();
  entries_.push_front(std::move(entry));
  by_key_[key] = entries_.begin();
  while (entries_.size() > limits_.entries || bytes_ > limits_.bytes) erase(std::prev(entries_.end()));
}

std::optional<std::string> Cache::get(const std::string& key, Duration now) {
  auto it = by_key_.find(key);
  if (it == by_key_.end()) return std::nullopt;
  if (now >= it->second->until) {
    erase(it->second);
    return std::nullopt;
  }
  entries_.splice(entries_.begin(), entries_, it->second);
  std::string out = it->second->response;
  age(out, uint32_t((now - it->second->stored).count() / 1'000'000));
  return out;
}

}  // namespace k8lite::dns
