#include "machinery/informer.h"

#include <condition_variable>
#include <deque>

#include "base/log.h"
#include "base/strings.h"
#include "machinery/courier.h"

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

struct Informer::Impl : std::enable_shared_from_this<Informer::Impl> {
  Client& client;
  const Path path;
  const ListOptions select;
  const std::shared_ptr<Courier> common;  // of the client; null: `courier` is ours
  const std::shared_ptr<Courier> courier;
  std::vector<Handler> handlers;
  std::function<void()> listed;

  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  std::map<std::string, json::Doc> objects;
  std::map<std::string, std::map<std::string, json::Doc>> by_owner;
  bool is_synced = false, started = false, stopping = false;
  std::deque<WatchEvent> events;
  bool delivery_due = false;  // somebody will look at `events`
  uint64_t epoch = 0;         // events of older watches are dropped

  // The courier's thread only.
  std::unique_ptr<WatchHandle> watch;
  Duration pause = kFirstPause;

  Impl(Client& c, Path p, ListOptions s) : client(c), path(std::move(p)), select(std::move(s)), common(c.courier()), courier(common ? common : std::make_shared<Courier>()) {}

  bool is_stopping() const {
    std::lock_guard lock(mutex);
    return stopping;
  }

  // Puts one object in (or takes it out, when `now` is empty; then `last` is its last state) and tells the handlers.
  void apply(const std::string& key, json::Doc now, const json::Doc& last = {}) {
    json::Doc before;
    bool kept = now && (!select.keep || select.keep(now.root()));
    {
      std::lock_guard lock(mutex);
      if (auto it = objects.find(key); it != objects.end()) {
        before = it->second;
        if (std::string owner = owner_of(before); !owner.empty()) {
          auto& owned = by_owner[owner];
          owned.erase(key);
          if (owned.empty()) by_owner.erase(owner);
        }
        if (!kept) objects.erase(it);
      } else if (!kept) {
        if (now || !select.keep) return;
        before = last;
      }
      if (kept) {
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
    if (listed) listed();
    changed.notify_all();
    return version;
  }

  // Opens a watch whose events are delivered on the courier's thread.
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
      if (std::exchange(delivery_due, true)) return;
      courier->run([weak = weak_from_this()] {
        if (auto self = weak.lock()) self->deliver();
      });
    });
    if (!handle.ok()) return handle.status();
    watch = std::move(handle).value();
    return {};
  }

  void deliver() {
    std::deque<WatchEvent> due;
    {
      std::lock_guard lock(mutex);
      due.swap(events);
      delivery_due = false;
    }
    for (WatchEvent& e : due) {
      if (is_stopping()) return;
      switch (e.type) {
        case WatchEvent::Type::Added:
        case WatchEvent::Type::Modified: apply(object_key(e.object.root()), e.object); break;
        case WatchEvent::Type::Deleted: apply(object_key(e.object.root()), {}, e.object); break;
        case WatchEvent::Type::Bookmark: break;
        case WatchEvent::Type::Error: return again(e.status, true);
      }
    }
  }

  // Ends the watch: what it still delivers is dropped.
  void end() {
    {
      std::lock_guard lock(mutex);
      ++epoch;
      events.clear();
    }
    watch = nullptr;
  }

  void begin() {
    if (is_stopping()) return;
    auto version = relist();
    Status status = version.ok() ? follow(*version) : version.status();
    if (!status.ok()) again(status, version.ok());
  }

  // After a pause everything is listed anew.
  void again(const Status& why, bool listed) {
    end();
    if (is_stopping()) return;
    if (listed && (why.is(Reason::Expired) || why.is(Reason::Gone))) pause = kFirstPause;
    log_debug("watch ended, listing again", {{"resource", path.resource}, {"why", why.message()}});
    courier->after(pause, [weak = weak_from_this()] {
      if (auto self = weak.lock()) self->begin();
    });
    pause = listed ? kFirstPause : std::min(pause * 2, kLongestPause);
  }
};

Informer::Informer(Client& client, Path path, ListOptions select) : impl_(std::make_shared<Impl>(client, std::move(path), std::move(select))) {}
Informer::~Informer() {
  stop();
  if (!impl_->common) impl_->courier->stop();  // else the last to let go could be its own thread
}

void Informer::on_change(Handler handler) { impl_->handlers.push_back(std::move(handler)); }
void Informer::on_listed(std::function<void()> fn) { impl_->listed = std::move(fn); }
void Informer::start() {
  impl_->started = true;
  impl_->courier->run([weak = impl_->weak_from_this()] {
    if (auto self = weak.lock()) self->begin();
  });
}
void Informer::stop() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
    impl_->changed.notify_all();
  }
  // When this returns, no handler runs and none will.
  if (std::exchange(impl_->started, false)) impl_->courier->run_and_wait([impl = impl_.get()] { impl->end(); });
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
bool Informer::keeps(json::Value object) const { return !impl_->select.keep || impl_->select.keep(object); }
const Path& Informer::path() const { return impl_->path; }

}  // namespace k8lite::machinery
