// The MVCC object store: paths, JSON documents, revisions and durability; nothing of Kubernetes. All reads are served from a
// copy-on-write memory cache that is filled only from the backend's changes; writes go through one writer with group commit.
// Thread-safe. Callbacks run on the store's publisher thread and must not block.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "async/async.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"

namespace k8lite::store {

using Revision = int64_t;

// One object as stored: its key ("/registry/pods/default/web"), its bytes and the revision of its last write.
struct Object {
  std::string key;
  json::Doc doc;
  Revision revision = 0;
};
using ObjectPtr = std::shared_ptr<const Object>;

enum class Durability : unsigned char {
  Durable,   // on disk before it is acknowledged
  Volatile,  // Events, heartbeats: flushed inside the next durable transaction, at a clean stop and every 15 minutes at most
};

// One write. Documents are stored without their revision: the API server puts metadata.resourceVersion in while serving.
struct Write {
  enum class Op : unsigned char { Create, Update, Remove };
  Op op = Op::Create;
  std::string key;
  json::Doc doc;               // Create, Update
  Revision expected = 0;       // Update, Remove: the revision it must have now; 0 = any
  Durability durability = Durability::Durable;
  // Keys that must have exactly this revision too (0: must not exist) for the write to happen.
  struct Guard {
    std::string key;
    Revision revision;
  };
  std::vector<Guard> guards;
  // Entries with the same non-zero group commit together or not at all.
  int group = 0;
};

// For each write: its new object (Remove: the last object, with the revision of the removal), or AlreadyExists, NotFound,
// Conflict (message "revision" or the guard's key), ServiceUnavailable (disk full, stopping).
using WriteResult = Result<ObjectPtr>;

struct ListResult {
  std::vector<ObjectPtr> items;  // sorted by key
  Revision revision = 0;         // of the snapshot
  std::string next_key;          // where to go on; "" at the end
  int64_t remaining = 0;         // objects behind next_key, before any filtering
};

struct Event {
  enum class Type : unsigned char { Added, Modified, Removed };
  Type type;
  ObjectPtr object;    // for Removed: the last state, with the revision of the removal
  ObjectPtr previous;  // null for Added
};
struct Batch {  // events of one revision step in order; `revision` is also a bookmark
  std::vector<Event> events;
  Revision revision = 0;
};

// A stream of changes under a prefix. next() and poll() are for one consumer.
class Watch {
 public:
  virtual ~Watch() = default;
  // Whatever is ready, at once; empty batch when nothing is. Expired when the watcher was too slow (its queue is bounded).
  virtual Result<Batch> poll() = 0;
  // `fn` is called (any thread, must not block) when poll() has something; once for each time poll() came back empty.
  virtual void on_ready(std::function<void()> fn) = 0;
  virtual void close() = 0;
};

class Store {
 public:
  virtual ~Store() = default;
  virtual Result<ObjectPtr> get(std::string_view key) const = 0;  // NotFound
  // Objects whose key starts with prefix and is >= start_key, at most `limit` (0: all), on the newest snapshot or the one that
  // `at` pins (from ListResult.revision of a list at most 5 minutes old; Expired otherwise).
  struct ListOptions {
    std::string start_key;
    size_t limit = 0;
    Revision at = 0;
  };
  virtual Result<ListResult> list(std::string_view prefix, ListOptions options) const = 0;
  // Changes after `after` (0: from now). Expired when `after` is older than the kept history.
  virtual Result<std::unique_ptr<Watch>> watch(std::string_view prefix, Revision after) = 0;
  // Writes in order; `done` gets one result each when all are decided and (if durable) on disk and published. With a `turn` the writer is
  // woken by a function posted there: what is submitted in the same turn of that loop shares one commit.
  virtual void submit(std::vector<Write> writes, std::function<void(std::vector<WriteResult>)> done, async::Executor* turn = nullptr) = 0;
  virtual Revision revision() const = 0;      // newest published
  virtual Status flush() = 0;                 // volatile writes to disk, blocking
  virtual void stop() = 0;                    // flushes and refuses further writes

  async::Task<std::vector<WriteResult>> submit(std::vector<Write> writes);
  std::vector<WriteResult> submit_blocking(std::vector<Write> writes);
};

// ---- backends ----

struct Change {
  Revision revision;
  std::string key;
  std::string bytes;  // "" with removed
  bool removed = false;
};

// Durable state below the cache: decides writes, assigns revisions, keeps bytes. One thread uses it at a time.
class Backend {
 public:
  virtual ~Backend() = default;
  struct Entry {
    Write::Op op;
    std::string_view key, bytes;  // valid while commit() runs
    Revision expected = 0;  // as in Write
    Durability durability = Durability::Durable;
    std::vector<Write::Guard> guards;
    int group = 0;
    Revision assigned = 0;        // out: the revision given, when outcome is Ok
    Reason outcome = Reason::Ok;  // out: Ok, Conflict, NotFound, AlreadyExists
  };
  // Everything now stored, in key order, and the revision to go on from (past any that may have been handed out before a crash).
  virtual Result<Revision> load(std::function<void(Change)> each) = 0;
  // Decides each entry in order and assigns revisions. Returns when durable entries are on disk, together with every volatile
  // entry before them; volatile entries alone stay in memory. On an error nothing of this call has happened.
  virtual Status commit(std::vector<Entry>& entries) = 0;
  virtual Status flush() = 0;  // volatile entries to disk
  // The caller's cache, which gives the revision of a key (0: not there). It is as true as the disk for a backend that nobody else writes
  // to, and quicker.
  virtual void use_cache(std::function<Revision(std::string_view)> cache) {}
};
std::unique_ptr<Backend> memory_backend();
// Errors name the file: read-only, full, from a newer version ("schema 3, this k8lite knows 1"), damaged.
Result<std::unique_ptr<Backend>> sqlite_backend(const std::string& path);

struct StoreOptions {
  size_t history_events = 20'000;        // kept for watches that resume
  size_t history_bytes = 8 << 20;        // as far as that fits; the last event always stays
  size_t watch_queue_events = 5'000;     // a slower watcher gets Expired
  Duration volatile_flush = seconds(900);
  Duration pin_lists_for = seconds(300);
};
Result<std::unique_ptr<Store>> open_store(std::unique_ptr<Backend> backend, Clock& clock, StoreOptions options = {});

}  // namespace k8lite::store
