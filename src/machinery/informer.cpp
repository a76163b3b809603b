#include "machinery/informer.h"

#include <condition_variable>
#include <deque>
#include <thread>

#include "base/log.h"
#include "base/strings.h"

namespace k8lite::machinery {

std::string object_key(std::string_view ns, std::string_view name) { return ns.empty() ? std::string(name) : std::string(ns) + "/" + std::string(name); }
std::string object_key(json::Value object) { return object_key(object["metadata"]["namespace"].str(), object["metadata"]["name"].str()); }
std::pair<std::string, std::string> split_key(std::string_view key) {
  size_t slash = key.find('/');
  if (slash == key.npos) return {"", std::string(key)};
  return {std::string(key.substr(0, slash)), std::string(key.substr(slash + 1))};
}

namespace {

constexpr int64_t kPageSize = 500;
constexpr Duration kFirstPause = milliseconds(50), kLongestPause = seconds(10);

std::string owner_of(const json::Doc& doc) {
  for (json::Value o : doc["metadata"]["ownerReferences"].items())
    if (o["controller"].bool_or(false)) return o["uid"].str();
  return {};
}

}  // namespace

struct Informer::Impl {
  Client& client;
  const Path path;
  const ListOptions select;
  std::vector<Handler> handlers;

  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  std::map<std::string, json::Doc> objects;
  std::map<std::string, std::map<std::string, json::Doc>> by_owner;
  bool is_synced = false, stopping = false;
  std::deque<WatchEvent> events;
  uint64_t epoch = 0;  // events of older watches are dropped
  std::thread thread;

  Impl(Client& c, Path p, ListOptions s) : client(c), path(std::move(p)), select(std::move(s)) {}

  // Puts one object in (or takes it out, when `now` is empty) and tells the handlers.
  void apply(const std::string& key, json::Doc now) {
    json::Doc before;
    {
      std::lock_guard lock(mutex);
      if (auto it = objects.find(key); it != objects.end()) {
        before = it->second;
        if (std::string owner = owner_of(before); !owner.empty()) {
          auto& owned = by_owner[owner];
          owned.erase(key);
          if (owned.empty()) by_owner.erase(owner);
        }
        if (!now) objects.erase(it);
      }
      if (now) {
        objects[key] = now;
        if (std::string owner = owner_of(now); !owner.empty()) by_owner[owner][key] = now;
      }
    }
    if (!before && !now) return;
    if (before && now && before["metadata"]["resourceVersion"].raw() == now["metadata"]["resourceVersion"].raw()) return;
    for (auto& h : handlers) h(before, now);
  }

  // Lists everything and reports what differs. Returns the version to watch from.
  Result<std::string> relist() {
    std::map<std::string, json::Doc> fresh;
    ListOptions options = select;
    options.limit = kPageSize;
    std::string version;
    do {
      TRY(auto page, client.list(path, options));
      for (auto& d : page.items) fresh[object_key(d.root())] = d;
      if (version.empty()) version = page.resource_version;
      options.continue_token = page.continue_token;
    } while (!options.continue_token.empty());
    std::vector<std::string> gone;
    {
      std::lock_guard lock(mutex);
      for (const auto& [key, doc] : objects)
        if (!fresh.count(key)) gone.push_back(key);
    }
    for (const auto& key : gone) apply(key, {});
    for (auto& [key, doc] : fresh) apply(key, doc);
    std::lock_guard lock(mutex);
    is_synced = true;
    changed.notify_all();
    return version;
  }

  // Delivers events until the watch ends. Returns how it ended.
  Status follow(std::string version) {
    uint64_t mine;
    {
      std::lock_guard lock(mutex);
      mine = ++epoch;
      events.clear();
    }
    ListOptions options = select;
    options.resource_version = version;
    auto handle = client.watch(path, options, [this, mine](WatchEvent e) {
      std::lock_guard lock(mutex);
      if (mine != epoch) return;
      events.push_back(std::move(e));
      changed.notify_all();
    });
    if (!handle.ok()) return handle.status();
    for (;;) {
      WatchEvent e;
      {
        std::unique_lock lock(mutex);
        changed.wait(lock, [this] { return stopping || !events.empty(); });
        if (stopping) {
          ++epoch;
          lock.unlock();
          (*handle)->close();
          return {};
        }
        e = std::move(events.front());
        events.pop_front();
      }
      switch (e.type) {
        case WatchEvent::Type::Added:
        case WatchEvent::Type::Modified: apply(object_key(e.object.root()), e.object); break;
        case WatchEvent::Type::Deleted: apply(object_key(e.object.root()), {}); break;
        case WatchEvent::Type::Bookmark: break;
        case WatchEvent::Type::Error: return e.status;
      }
    }
  }

  void run() {
    Duration pause = kFirstPause;
    while (true) {
      auto version = relist();
      Status ended = version.ok() ? follow(*version) : version.status();
      std::unique_lock lock(mutex);
      if (stopping) return;
      if (version.ok() && (ended.is(Reason::Expired) || ended.is(Reason::Gone))) pause = kFirstPause;
      log_debug("watch ended, listing again", {{"resource", path.resource}, {"why", ended.message()}});
      changed.wait_for(lock, pause, [this] { return stopping; });
      if (stopping) return;
      pause = version.ok() ? kFirstPause : std::min(pause * 2, kLongestPause);
    }
  }
};

Informer::Informer(Client& client, Path path, ListOptions select) : impl_(std::make_shared<Impl>(client, std::move(path), std::move(select))) {}
Informer::~Informer() { stop(); }

void Informer::on_change(Handler handler) { impl_->handlers.push_back(std::move(handler)); }
void Informer::start() {
  impl_->thread = std::thread([impl = impl_] { impl->run(); });
}
void Informer::stop() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
    impl_->changed.notify_all();
  }
  if (impl_->thread.joinable()) impl_->thread.join();
}
bool Informer::synced() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->is_synced;
}
bool Informer::wait_synced(Duration at_most) const {
  std::unique_lock lock(impl_->mutex);
  return impl_->changed.wait_for(lock, at_most, [this] { return impl_->is_synced || impl_->stopping; }) && impl_->is_synced;
}
json::Doc Informer::get(const std::string& key) const {
  std::lock_guard lock(impl_->mutex);
  auto it = impl_->objects.find(key);
  return it == impl_->objects.end() ? json::Doc() : it->second;
}
std::vector<json::Doc> Informer::list(std::string_view ns) const {
  std::vector<json::Doc> out;
  std::lock_guard lock(impl_->mutex);
  std::string prefix = ns.empty() ? "" : std::string(ns) + "/";
  for (auto it = impl_->objects.lower_bound(prefix); it != impl_->objects.end() && it->first.starts_with(prefix); ++it) out.push_back(it->second);
  return out;
}
std::vector<json::Doc> Informer::owned_by(std::string_view owner_uid) const {
  std::vector<json::Doc> out;
  std::lock_guard lock(impl_->mutex);
  if (auto it = impl_->by_owner.find(std::string(owner_uid)); it != impl_->by_owner.end())
    for (const auto& [key, doc] : it->second) out.push_back(doc);
  return out;
}
const Path& Informer::path() const { return impl_->path; }

}  // namespace k8lite::machinery
