// The one way to talk to the API: controllers, scheduler, node agent and kubectl hold a Client and do not know whether it is the
// in-process one of src/apiserver or one over HTTP. Thread-safe. Blocking calls must not be made on an event loop's thread.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace k8lite::machinery {

class Courier;

// A resource or one object of it: {"apps","v1","deployments","default","web","status"}. group "" is core; ns "" is cluster scope or all.
struct Path {
  std::string group, version = "v1", resource, ns, name, subresource;
  std::string url() const;  // /apis/apps/v1/namespaces/default/deployments/web/status
};

struct ListOptions {
  std::string label_selector, field_selector;
  int64_t limit = 0;
  std::string continue_token, resource_version, resource_version_match;
  // Not sent to a server: objects for which it says no may be left out, of watches only while they go on so; that one was deleted is always
  // told. Saves a client in process the making of documents that nobody wants.
  bool (*keep)(json::Value object) = nullptr;
};
struct ListResult {
  std::vector<json::Doc> items;  // apiVersion and kind set in each
  std::string resource_version, continue_token;
};

enum class PatchType { Json, Merge, StrategicMerge, Apply };

struct WriteOptions {
  std::string field_manager;      // "" : the client's own
  bool dry_run = false;
  bool force = false;             // Apply
  std::string field_validation;   // Ignore, Warn, Strict
};
struct DeleteOptions {
  int64_t grace_period_seconds = -1;  // -1: the object's own
  std::string propagation_policy;     // Background, Foreground, Orphan
  std::string uid, resource_version;  // preconditions
};

struct WatchEvent {
  enum class Type { Added, Modified, Deleted, Bookmark, Error };  // Error: `status` says why; the watch has ended
  Type type;
  json::Doc object;
  Status status;
};
// Ends when destroyed or closed. The callback may still be running in another thread until close() returns.
class WatchHandle {
 public:
  virtual ~WatchHandle() = default;
  virtual void close() = 0;
};

// One of many writes; see Client::submit.
struct Operation {
  enum class Kind { Create, Update, Patch, Delete } kind;
  Path path;
  json::Doc body;            // Create, Update
  PatchType patch_type = PatchType::Merge;
  std::string patch;         // Patch
  WriteOptions options;
  DeleteOptions delete_options;
};

class Client {
 public:
  virtual ~Client() = default;
  virtual Result<json::Doc> get(const Path& path) = 0;
  virtual Result<ListResult> list(const Path& path, const ListOptions& options) = 0;
  virtual Result<json::Doc> create(const Path& path, const json::Doc& body, const WriteOptions& options) = 0;
  virtual Result<json::Doc> update(const Path& path, const json::Doc& body, const WriteOptions& options) = 0;
  virtual Result<json::Doc> patch(const Path& path, PatchType type, const std::string& body, const WriteOptions& options) = 0;
  virtual Result<json::Doc> remove(const Path& path, const DeleteOptions& options) = 0;  // the object or a Status
  // Events from options.resource_version on; the callback runs on a thread of the client's, must not block and gets Error last.
  virtual Result<std::unique_ptr<WatchHandle>> watch(const Path& path, const ListOptions& options, std::function<void(WatchEvent)> on_event) = 0;
  // Independent writes, together: in process they share one group commit.
  virtual std::vector<Result<json::Doc>> submit(std::vector<Operation> operations) = 0;
  // The thread that informers of this client share; null: lists and watches may block, so each has its own.
  virtual std::shared_ptr<Courier> courier() { return nullptr; }
};

}  // namespace k8lite::machinery
