// The store itself: one writer thread that groups what waits into one commit, publishes it (cache, history, watches) and only then
// answers. Readers take the current snapshot under a short lock and go on without it.
#include "store/store.h"

#include <condition_variable>
#include <deque>
#include <list>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "store/object_map.h"

namespace k8lite::store {
namespace {

constexpr size_t kMaxGroup = 100;         // submissions that share a commit
constexpr size_t kMaxWaiting = 50'000;    // submissions in line; more are refused, so memory stays bounded

struct Submission {
  std::vector<Write> writes;
  std::function<void(std::vector<WriteResult>)> done;
};

// Where the writer waits. Shared with what is posted to loops, which may run when the store is gone.
struct Gate {
  std::mutex mutex;  // of the whole store
  std::condition_variable wake;
  bool ripe = false;    // what waits is to be written now
  bool posted = false;  // a loop will open the gate at the end of its turn
  void open() {
    std::lock_guard lock(mutex);
    posted = false;
    ripe = true;
    wake.notify_one();
  }
};

// One watcher's queue. The publisher pushes, the consumer polls; whoever lags too far behind is cut off.
struct Watcher {
  std::string prefix;
  size_t limit;
  std::mutex mutex;
  std::deque<Event> queue;
  Revision revision = 0;
  bool overflowed = false, closed = false;
  std::function<void()> ready;
  bool armed = false;  // poll() came back empty since the last call of ready

  void push(const std::vector<Event>& events, Revision at) {
    std::function<void()> call;
    {
      std::lock_guard lock(mutex);
      if (closed) return;
      revision = at;
      for (const Event& e : events) {
        if (overflowed || !std::string_view(e.object->key).starts_with(prefix)) continue;
        if (queue.size() >= limit) {
          overflowed = true;
          queue.clear();
        } else {
          queue.push_back(e);
        }
      }
      if (armed && (overflowed || !queue.empty())) armed = false, call = ready;
    }
    if (call) call();
  }
};

class WatchImpl : public Watch {
 public:
  explicit WatchImpl(std::shared_ptr<Watcher> w) : w_(std::move(w)) {}
  ~WatchImpl() override { close(); }

  Result<Batch> poll() override {
    std::lock_guard lock(w_->mutex);
    if (w_->overflowed) return Status(Reason::Expired, "the watcher was too slow and missed changes; list again");
    Batch b;
    b.events.assign(w_->queue.begin(), w_->queue.end());
    b.revision = w_->revision;
    w_->queue.clear();
    w_->armed = b.events.empty();
    return b;
  }
  void on_ready(std::function<void()> fn) override {
    {
      std::lock_guard lock(w_->mutex);
      w_->ready = fn;
      if (!w_->armed || (w_->queue.empty() && !w_->overflowed)) return;
      w_->armed = false;
    }
    fn();
  }
  void close() override {
    std::lock_guard lock(w_->mutex);
    w_->closed = true;
    w_->queue.clear();
    w_->ready = nullptr;
  }

 private:
  std::shared_ptr<Watcher> w_;
};

class StoreImpl : public Store {
 public:
  StoreImpl(std::unique_ptr<Backend> backend, Clock& clock, StoreOptions options)
      : backend_(std::move(backend)), clock_(clock), options_(options) {}
  ~StoreImpl() override { stop(); }

  Result<> start() {
    auto revision = backend_->load([this](Change c) {
      auto doc = json::Doc::from_canonical(std::move(c.bytes));
      map_.insert(std::make_shared<const Object>(Object{std::move(c.key), std::move(doc), c.revision}));
    });
    if (!revision.ok()) return revision.status();
    revision_ = compacted_ = *revision;
    // Only the writer's thread changes the map, and it alone asks.
    backend_->use_cache([this](std::string_view key) {
      auto o = map_.find(key);
      return o ? o->revision : 0;
    });
    writer_ = std::thread([this] { run(); });
    return {};
  }

  Result<ObjectPtr> get(std::string_view key) const override {
    ObjectMap map = snapshot().first;
    if (auto o = map.find(key)) return o;
    return not_found(std::string(key));
  }

  Result<ListResult> list(std::string_view prefix, ListOptions options) const override {
    TRY(auto snap, snapshot_at(options.at));
    auto& [map, revision] = snap;
    ListResult out;
    out.revision = revision;
    std::string_view from = options.start_key.empty() ? prefix : std::max<std::string_view>(prefix, options.start_key);
    map.each_from(from, [&out, &options, prefix](const ObjectPtr& o) {
      if (!std::string_view(o->key).starts_with(prefix)) return false;
      if (options.limit && out.items.size() == options.limit) {
        out.next_key = o->key;
        return false;
      }
      out.items.push_back(o);
      return true;
    });
    if (!out.next_key.empty()) {
      std::string end = prefix_end(prefix);
      out.remaining = static_cast<int64_t>((end.empty() ? map.size() : map.count_before(end)) - map.count_before(out.next_key));
      pin(map, revision);
    }
    return out;
  }

  Result<std::unique_ptr<Watch>> watch(std::string_view prefix, Revision after) override {
    auto w = std::make_shared<Watcher>();
    w->prefix = prefix;
    w->limit = options_.watch_queue_events;
    std::lock_guard lock(mutex_);
    if (after != 0 && after < compacted_) return Status(Reason::Expired, "too old resource version: " + std::to_string(after) + " (" + std::to_string(compacted_) + ")");
    w->revision = revision_;
    if (after != 0)
      for (const Event& e : history_)
        if (e.object->revision > after && std::string_view(e.object->key).starts_with(prefix)) w->queue.push_back(e);
    w->overflowed = w->queue.size() > w->limit;
    watchers_.push_back(w);
    return std::unique_ptr<Watch>(std::make_unique<WatchImpl>(w));
  }

  void submit(std::vector<Write> writes, std::function<void(std::vector<WriteResult>)> done, async::Executor* turn) override {
    {
      std::unique_lock lock(mutex_);
      if (!stopping_ && waiting_.size() < kMaxWaiting) {
        waiting_.push_back({std::move(writes), std::move(done)});
        if (!turn) {
          gate_->ripe = true;
          gate_->wake.notify_one();
        } else if (!std::exchange(gate_->posted, true)) {
          lock.unlock();
          // Opened when it has run, or when the loop drops it unrun.
          turn->post([at_end = std::shared_ptr<void>(nullptr, [gate = gate_](void*) { gate->open(); })] {});
        }
        return;
      }
    }
    done(std::vector<WriteResult>(writes.size(), unavailable("the store is stopping or has too many writes in line; try again")));
  }

  Revision revision() const override {
    std::lock_guard lock(mutex_);
    return revision_;
  }

  Status flush() override {
    std::unique_lock lock(mutex_);
    if (done_) return flush_status_;
    uint64_t want = ++flush_asked_;
    gate_->wake.notify_one();
    flushed_.wait(lock, [this, want] { return flush_done_ >= want || done_; });
    return flush_status_;
  }

  void stop() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      gate_->wake.notify_one();
    }
    if (writer_.joinable()) writer_.join();
  }

 private:
  using Snapshot = std::pair<ObjectMap, Revision>;
  struct Pin {
    Revision revision;
    ObjectMap map;
    Duration until;
  };

  Snapshot snapshot() const {
    std::lock_guard lock(mutex_);
    return {map_, revision_};
  }

  Result<Snapshot> snapshot_at(Revision at) const {
    std::lock_guard lock(mutex_);
    if (at == 0 || at == revision_) return Snapshot{map_, revision_};
    for (const Pin& p : pins_)
      if (p.revision == at && p.until > clock_.mono()) return Snapshot{p.map, at};
    return Status(Reason::Expired, "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.");
  }

  void pin(const ObjectMap& map, Revision revision) const {
    std::lock_guard lock(mutex_);
    Duration now = clock_.mono();
    pins_.remove_if([now, revision](const Pin& p) { return p.until <= now || p.revision == revision; });
    pins_.push_back({revision, map, now + options_.pin_lists_for});
  }

  void run() {
    std::unique_lock lock(mutex_);
    Duration next_flush = clock_.mono() + options_.volatile_flush;
    for (;;) {
      auto work = [this] { return stopping_ || gate_->ripe || flush_asked_ > flush_done_; };
      if (volatile_pending_) gate_->wake.wait_for(lock, std::max(next_flush - clock_.mono(), Duration(0)), work);
      else gate_->wake.wait(lock, work);
      bool flush_now = flush_asked_ > flush_done_ || (volatile_pending_ && clock_.mono() >= next_flush);
      if (!waiting_.empty()) commit_group(lock);
      else gate_->ripe = false;
      if ((flush_now || stopping_) && waiting_.empty()) flush_locked(lock);
      if (!volatile_pending_) next_flush = clock_.mono() + options_.volatile_flush;
      if (stopping_ && waiting_.empty()) break;
    }
    done_ = true;
    flushed_.notify_all();
  }

  void flush_locked(std::unique_lock<std::mutex>& lock) {
    uint64_t asked = flush_asked_;
    lock.unlock();
    Status s = backend_->flush();
    if (!s.ok()) log_error("store: flush failed", {{"error", s}});
    lock.lock();
    flush_status_ = s;
    flush_done_ = asked;
    volatile_pending_ = volatile_pending_ && !s.ok();
    flushed_.notify_all();
  }

  // Takes what waits, commits it without the lock, publishes and answers.
  void commit_group(std::unique_lock<std::mutex>& lock) {
    std::vector<Submission> group;
    while (!waiting_.empty() && group.size() < kMaxGroup) {
      group.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    gate_->ripe = !waiting_.empty();
    lock.unlock();
    std::vector<Backend::Entry> entries = to_entries(group);
    Status status = backend_->commit(entries);
    lock.lock();
    std::vector<std::vector<WriteResult>> results = status.ok() ? publish_locked(group, entries) : failures(group, status);
    auto watchers = live_watchers();
    std::vector<Event> fresh = std::exchange(fresh_, {});
    Revision at = revision_;
    lock.unlock();
    if (!fresh.empty())
      for (auto& w : watchers) w->push(fresh, at);
    for (size_t i = 0; i < group.size(); ++i) group[i].done(std::move(results[i]));
    lock.lock();
  }

  static std::vector<Backend::Entry> to_entries(const std::vector<Submission>& group) {
    std::vector<Backend::Entry> entries;
    int groups = 0;  // group numbers of different submissions must not meet
    for (const auto& s : group) {
      int previous = 0, current = 0;
      for (const Write& w : s.writes) {
        if (w.group != previous) current = w.group ? ++groups : 0;
        previous = w.group;
        Backend::Entry e;
        e.op = w.op, e.key = w.key, e.expected = w.expected, e.durability = w.durability, e.guards = w.guards, e.group = current;
        if (w.op != Write::Op::Remove) e.bytes = w.doc.bytes();
        entries.push_back(std::move(e));
      }
    }
    return entries;
  }

  static std::vector<std::vector<WriteResult>> failures(const std::vector<Submission>& group, const Status& status) {
    log_error("store: commit failed", {{"error", status}});
    std::vector<std::vector<WriteResult>> out;
    for (const auto& s : group) out.emplace_back(s.writes.size(), WriteResult(status));
    return out;
  }

  std::vector<std::vector<WriteResult>> publish_locked(const std::vector<Submission>& group, const std::vector<Backend::Entry>& entries) {
    std::vector<std::vector<WriteResult>> out;
    size_t i = 0;
    for (const auto& s : group) {
      auto& results = out.emplace_back();
      for (const Write& w : s.writes) {
        const Backend::Entry& e = entries[i++];
        if (e.outcome != Reason::Ok) {
          results.push_back(Status(e.outcome, w.key));
          continue;
        }
        results.push_back(apply_locked(w, e));
        volatile_pending_ |= w.durability == Durability::Volatile;
      }
    }
    return out;
  }

  ObjectPtr apply_locked(const Write& w, const Backend::Entry& e) {
    ObjectPtr previous = map_.find(w.key);
    bool removed = w.op == Write::Op::Remove;
    auto object = std::make_shared<const Object>(Object{w.key, removed && previous ? previous->doc : w.doc, e.assigned});
    if (removed) map_.erase(w.key);
    else map_.insert(object);
    revision_ = e.assigned;
    Event event{removed ? Event::Type::Removed : previous ? Event::Type::Modified : Event::Type::Added, object, previous};
    fresh_.push_back(event);
    history_.push_back(std::move(event));
    history_bytes_ += object->doc.memory();
    while (history_.size() > options_.history_events || (history_bytes_ > options_.history_bytes && history_.size() > 1)) {
      compacted_ = history_.front().object->revision;
      history_bytes_ -= history_.front().object->doc.memory();
      history_.pop_front();
    }
    return object;
  }

  std::vector<std::shared_ptr<Watcher>> live_watchers() {
    std::erase_if(watchers_, [](const auto& w) {
      std::lock_guard lock(w->mutex);
      return w->closed;
    });
    return watchers_;
  }

  std::unique_ptr<Backend> backend_;  // writer thread only, once started
  const Clock& clock_;
  const StoreOptions options_;
  const std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  std::mutex& mutex_ = gate_->mutex;
  std::condition_variable flushed_;
  std::deque<Submission> waiting_;
  ObjectMap map_;
  Revision revision_ = 0, compacted_ = 0;
  std::deque<Event> history_;
  size_t history_bytes_ = 0;  // of the documents in it
  std::vector<Event> fresh_;
  std::vector<std::shared_ptr<Watcher>> watchers_;
  mutable std::list<Pin> pins_;
  uint64_t flush_asked_ = 0, flush_done_ = 0;
  Status flush_status_;
  bool volatile_pending_ = false, stopping_ = false, done_ = false;
  std::thread writer_;
};

}  // namespace

async::Task<std::vector<WriteResult>> Store::submit(std::vector<Write> writes) {
  using Results = std::vector<WriteResult>;
  async::Executor& executor = co_await async::current_executor();
  co_return co_await async::from_callback<Results>([this, &writes, &executor](std::function<void(Results)> done) { submit(std::move(writes), std::move(done), &executor); });
}

std::vector<WriteResult> Store::submit_blocking(std::vector<Write> writes) {
  std::mutex mutex;
  std::condition_variable cv;
  std::optional<std::vector<WriteResult>> out;
  submit(std::move(writes), [&mutex, &cv, &out](std::vector<WriteResult> r) {
    std::lock_guard lock(mutex);
    out = std::move(r);
    cv.notify_one();
  });
  std::unique_lock lock(mutex);
  cv.wait(lock, [&out] { return out.has_value(); });
  return std::move(*out);
}

Result<std::unique_ptr<Store>> open_store(std::unique_ptr<Backend> backend, Clock& clock, StoreOptions options) {
  auto s = std::make_unique<StoreImpl>(std::move(backend), clock, options);
  TRY_OK(s->start());
  return std::unique_ptr<Store>(std::move(s));
}

}  // namespace k8lite::store
