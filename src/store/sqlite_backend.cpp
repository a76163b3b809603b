// The backend on one SQLite file: the current object for each key (no log of versions: SD cards wear out), WAL, synchronous=FULL.
// Revisions are handed out from a block reserved on disk, so that none is given twice, not even after a crash that lost volatile
// writes. One transaction a commit; callers group.
#include <sqlite3.h>
#include <unistd.h>

#include <unordered_map>

#include "store/decide.h"

namespace k8lite::store {
namespace {

constexpr int kSchemaVersion = 1;
constexpr Revision kReserve = 10'000;  // revisions reserved at a time: one small write for as many writes

class SqliteBackend : public Backend {
 public:
  explicit SqliteBackend(std::string path) : path_(std::move(path)) {}
  ~SqliteBackend() override {
    for (auto* s : {get_, put_, del_, mark_, begin_, commit_}) sqlite3_finalize(s);
    sqlite3_close(db_);
  }

  Result<> open() {
    int rc = sqlite3_open_v2(path_.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
    if (rc != SQLITE_OK) return failed("open");
    sqlite3_busy_timeout(db_, 2000);
    if (sqlite3_db_readonly(db_, "main") == 1) return Status(Reason::ServiceUnavailable, path_ + ": the file is read-only; the server must be able to write it");
    TRY_OK(exec("PRAGMA journal_mode=WAL"));
    TRY_OK(exec("PRAGMA synchronous=FULL"));
    TRY_OK(exec("PRAGMA wal_autocheckpoint=4000"));
    TRY_OK(exec("PRAGMA cache_size=-1024"));
    TRY(int64_t version, number("PRAGMA user_version"));
    if (version > kSchemaVersion)
      return Status(Reason::ServiceUnavailable, path_ + ": written by a newer version (schema " + std::to_string(version) + ", this k8lite knows " +
                                                    std::to_string(kSchemaVersion) + "); run that version or restore a snapshot");
    if (version == 0) {
      TRY_OK(exec("BEGIN IMMEDIATE;"
                  "CREATE TABLE IF NOT EXISTS objects(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, revision INTEGER NOT NULL, doc BLOB NOT NULL);"
                  "CREATE TABLE IF NOT EXISTS mark(id INTEGER PRIMARY KEY CHECK(id=1), reserved INTEGER NOT NULL);"
                  "INSERT OR IGNORE INTO mark VALUES(1, 1);"
                  "PRAGMA user_version=1;"
                  "COMMIT"));
    }
    TRY_OK(prepare(get_, "SELECT revision FROM objects WHERE key=?1"));
    TRY_OK(prepare(put_, "INSERT INTO objects(key,revision,doc) VALUES(?1,?2,?3) ON CONFLICT(key) DO UPDATE SET revision=?2, doc=?3"));
    TRY_OK(prepare(del_, "DELETE FROM objects WHERE key=?1"));
    TRY_OK(prepare(begin_, "BEGIN IMMEDIATE"));
    TRY_OK(prepare(commit_, "COMMIT"));
    return prepare(mark_, "UPDATE mark SET reserved=?1 WHERE id=1");
  }

  Result<Revision> load(std::function<void(Change)> each) override {
    sqlite3_stmt* all = nullptr;
    TRY_OK(prepare(all, "SELECT key,revision,doc FROM objects ORDER BY key"));
    int rc;
    while ((rc = sqlite3_step(all)) == SQLITE_ROW)
      each({sqlite3_column_int64(all, 1), column(all, 0), column(all, 2), false});
    sqlite3_finalize(all);
    if (rc != SQLITE_DONE) return failed("read");
    TRY(reserved_, number("SELECT reserved FROM mark"));
    last_ = reserved_;  // revisions up to the mark may have been seen by somebody
    return last_;
  }

  Status commit(std::vector<Entry>& entries) override {
    Status lookup;
    Revision last = decide(entries, last_, [this, &lookup](std::string_view key) { return cache_ ? cache_(key) : current(key, lookup); });
    if (!lookup.ok()) return lookup;
    bool durable = last > reserved_;
    for (const Entry& e : entries) durable |= e.outcome == Reason::Ok && e.durability == Durability::Durable;
    if (durable) {
      if (Status s = transact(entries, last); !s.ok()) return s;
    } else {
      for (const Entry& e : entries)
        if (e.outcome == Reason::Ok) pending_[std::string(e.key)] = {e.op == Write::Op::Remove ? 0 : e.assigned, std::string(e.bytes)};
    }
    last_ = last;
    return ok_status();
  }
  void use_cache(std::function<Revision(std::string_view)> cache) override { cache_ = std::move(cache); }

  Status flush() override { return pending_.empty() ? ok_status() : transact({}, last_); }

 private:
  struct Pending {
    Revision revision = 0;  // 0: removed
    std::string bytes;
  };

  Status failed(std::string_view what) const {
    int code = db_ ? sqlite3_errcode(db_) : SQLITE_NOMEM;
    std::string why = db_ ? sqlite3_errmsg(db_) : "out of memory";
    if (code == SQLITE_FULL) why = "the disk is full; free some space and try again";
    if (code == SQLITE_READONLY) why = "the file is read-only; the server must be able to write it";
    if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT) why += "; restore it from a snapshot";
    return Status(Reason::ServiceUnavailable, path_ + ": " + std::string(what) + ": " + why);
  }
  Result<> exec(const char* sql) {
    if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return failed(std::string_view(sql).substr(0, 24));
    return {};
  }
  Result<> prepare(sqlite3_stmt*& s, const char* sql) {
    if (sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &s, nullptr) != SQLITE_OK) return failed("prepare");
    return {};
  }
  Result<int64_t> number(const char* sql) {
    sqlite3_stmt* s = nullptr;
    TRY_OK(prepare(s, sql));
    bool row = sqlite3_step(s) == SQLITE_ROW;
    int64_t v = row ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    if (!row) return failed(sql);
    return v;
  }
  static std::string column(sqlite3_stmt* s, int i) {
    const void* p = sqlite3_column_blob(s, i);
    return p ? std::string(static_cast<const char*>(p), static_cast<size_t>(sqlite3_column_bytes(s, i))) : std::string();
  }

  Revision current(std::string_view key, Status& error) {
    if (auto it = pending_.find(std::string(key)); it != pending_.end()) return it->second.revision;
    sqlite3_bind_text(get_, 1, key.data(), static_cast<int>(key.size()), SQLITE_STATIC);
    int rc = sqlite3_step(get_);
    Revision revision = rc == SQLITE_ROW ? sqlite3_column_int64(get_, 0) : 0;
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) error = failed("read");
    sqlite3_reset(get_);
    return revision;
  }

  Result<> step(sqlite3_stmt* s, const char* what) {
    int rc = sqlite3_step(s);
    Status error = rc == SQLITE_DONE ? ok_status() : failed(what);
    sqlite3_reset(s);
    return error;
  }
  // Revision 0 takes the row out. What is bound stays bound until the next row: it is never read before that.
  Result<> row(std::string_view key, Revision revision, std::string_view bytes) {
    sqlite3_stmt* s = revision == 0 ? del_ : put_;
    sqlite3_bind_text(s, 1, key.data(), static_cast<int>(key.size()), SQLITE_STATIC);
    if (s == put_) {
      sqlite3_bind_int64(s, 2, revision);
      sqlite3_bind_blob64(s, 3, bytes.data(), bytes.size(), SQLITE_STATIC);
    }
    return step(s, "write");
  }

  Result<> write_all(const std::vector<Entry>& fresh, Revision last) {
    TRY_OK(step(begin_, "BEGIN IMMEDIATE"));
    for (const auto& [key, p] : pending_) TRY_OK(row(key, p.revision, p.bytes));
    for (const Entry& e : fresh)
      if (e.outcome == Reason::Ok) TRY_OK(row(e.key, e.op == Write::Op::Remove ? 0 : e.assigned, e.bytes));
    if (last > reserved_) {
      sqlite3_bind_int64(mark_, 1, last + kReserve);
      TRY_OK(step(mark_, "write"));
    }
    return step(commit_, "COMMIT");
  }

  Status transact(const std::vector<Entry>& fresh, Revision last) {
    auto r = write_all(fresh, last);
    if (!r.ok()) {
      if (!sqlite3_get_autocommit(db_)) sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
      return r.status();
    }
    pending_.clear();
    if (last > reserved_) reserved_ = last + kReserve;
    return ok_status();
  }

  const std::string path_;
  sqlite3* db_ = nullptr;
  sqlite3_stmt *get_ = nullptr, *put_ = nullptr, *del_ = nullptr, *mark_ = nullptr, *begin_ = nullptr, *commit_ = nullptr;
  std::function<Revision(std::string_view)> cache_;
  std::unordered_map<std::string, Pending> pending_;  // volatile rows newer than the file, newest of each key
  Revision last_ = 0, reserved_ = 0;
};

}  // namespace

Result<std::unique_ptr<Backend>> sqlite_backend(const std::string& path) {
  auto b = std::make_unique<SqliteBackend>(path);
  TRY_OK(b->open());
  return std::unique_ptr<Backend>(std::move(b));
}

}  // namespace k8lite::store
