// A small API in memory for tests below the API server: objects with revisions, selectors, optimistic updates, finalizers, watches, and
// the failures that informers and controllers must live with (cut watches, 410 Gone, refused writes). It knows no schema, no admission.
// Thread-safe; watch callbacks run on the writer's thread.
#pragma once
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "api/patch/patch.h"
#include "api/selector.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/strings.h"
#include "machinery/client.h"

namespace k8lite::testing {

using json::Doc;
using json::Node;
using machinery::ListOptions;
using machinery::Path;
using machinery::WatchEvent;

class FakeCluster : public machinery::Client {
 public:
  explicit FakeCluster(const Clock& clock = system_clock()) : clock_(clock) {}

  // ---- what tests say ----
  // Puts an object (kinds by their resource: {"apps","v1","deployments","default"}); returns it as stored.
  Doc put(Path path, Node object) {
    path.name = object.path("metadata.name").str();
    if (!object.path("metadata.namespace").exists() && !path.ns.empty()) object["metadata"].set("namespace", path.ns);
    if (at(path)) return surely([&] { return update(path, Doc::from(object), {}); });
    path.name.clear();
    return surely([&] { return create(path, Doc::from(object), {}); });
  }
  // Changes status or spec as a kubelet or user would, without conflicts.
  Doc merge(const Path& path, const std::string& patch) {
    return surely([&] { return this->patch(path, machinery::PatchType::Merge, patch, {}); });
  }
  // Neither counts as a call, nor fails.
  Doc at(const Path& path) {
    std::lock_guard lock(mutex_);
    auto it = objects_.find(key(path));
    return it == objects_.end() ? Doc() : it->second;
  }
  std::vector<Doc> all(const Path& path) { return list_now(path, {}).value().items; }
  std::vector<std::string> names(const Path& path) {
    std::vector<std::string> out;
    for (const Doc& d : all(path)) out.push_back(d.path("metadata.name").str());
    return out;
  }
  // Ends every open watch with this error (default: the connection was lost).
  void cut_watches(Status why = Status(Reason::ServiceUnavailable, "connection reset")) {
    std::vector<std::shared_ptr<Watcher>> open;
    {
      std::lock_guard lock(mutex_);
      open.swap(watchers_);
    }
    for (auto& w : open) w->send({WatchEvent::Type::Error, {}, why});
  }
  // Forgets history: watches from before now get Expired, as after etcd's compaction.
  void compact() {
    std::lock_guard lock(mutex_);
    compacted_ = revision_;
    history_.clear();
  }
  // The next `n` calls whose "verb resource" starts with this text fail.
  void fail_next(std::string what, Status why, int n = 1) {
    std::lock_guard lock(mutex_);
    failures_.push_back({std::move(what), std::move(why), n});
  }
  // Every write fails the first time that it is tried: each verb on each object once.
  void fail_each_write_once() {
    std::lock_guard lock(mutex_);
    fails_once_ = true;
  }
  // Watches of this resource tell nothing until release(): caches of different ages.
  void hold(const std::string& group, const std::string& resource) {
    std::lock_guard order(order_);
    held_.insert(group + "/" + resource + "/");
  }
  void release() {
    std::lock_guard order(order_);
    held_.clear();
    std::vector<std::shared_ptr<Watcher>> open;
    {
      std::lock_guard lock(mutex_);
      open = watchers_;
    }
    for (const Change& c : std::exchange(kept_back_, {}))
      for (auto& w : open) w->offer(c);
  }
  bool is_held(const Path& path) {
    std::lock_guard order(order_);
    return held_.count(path.group + "/" + path.resource + "/") > 0;
  }
  int calls(const std::string& what) {  // "create pods", "list pods"
    std::lock_guard lock(mutex_);
    return calls_[what];
  }
  size_t open_watches() {
    std::lock_guard lock(mutex_);
    return watchers_.size();
  }

  // ---- Client ----
  Result<Doc> get(const Path& path) override {
    TRY_OK(call("get", path));
    std::lock_guard lock(mutex_);
    auto it = objects_.find(key(path));
    if (it == objects_.end()) return not_found_object(path.group, path.resource, path.name);
    return it->second;
  }
  Result<machinery::ListResult> list(const Path& path, const ListOptions& o) override {
    TRY_OK(call("list", path));
    return list_now(path, o);
  }
  Result<machinery::ListResult> list_now(const Path& path, const ListOptions& o) {
    TRY(auto labels, api::LabelSelector::parse(o.label_selector));
    TRY(auto fields, api::FieldSelector::parse(o.field_selector));
    std::lock_guard lock(mutex_);
    machinery::ListResult out;
    std::string prefix = path.group + "/" + path.resource + "/" + (path.ns.empty() ? "" : path.ns + "/");
    for (auto it = objects_.upper_bound(prefix + o.continue_token); it != objects_.end() && it->first.starts_with(prefix); ++it) {
      if (!labels.matches(it->second["metadata"]["labels"]) || !fields.matches(it->second.root())) continue;
      if (o.limit > 0 && out.items.size() == static_cast<size_t>(o.limit)) {
        out.continue_token = std::prev(it)->first.substr(prefix.size());
        break;
      }
      out.items.push_back(it->second);
    }
    out.resource_version = std::to_string(revision_);
    return out;
  }
  Result<Doc> create(const Path& path, const Doc& body, const machinery::WriteOptions&) override {
    TRY_OK(call("create", path));
    Node n = body.to_node();
    if (path.subresource == "binding") return bind(path, n);
    std::unique_lock lock(mutex_);
    Node& meta = n["metadata"];
    if (!meta.get("name").exists() || meta.get("name").str().empty()) {
      char number[16];
      std::snprintf(number, sizeof number, "%05d", ++generated_);
      meta.set("name", meta.get("generateName").str() + number);
    }
    if (!path.ns.empty()) meta.set("namespace", path.ns);
    Path named = path;
    named.name = meta.get("name").str();
    if (objects_.count(key(named))) return already_exists_object(path.group, path.resource, named.name);
    if (!meta.get("uid").exists()) meta.set("uid", "uid-" + std::to_string(++uids_));
    if (!meta.get("creationTimestamp").exists()) meta.set("creationTimestamp", rfc3339(clock_.now()));
    meta.set("generation", 1);
    return store(named, std::move(n), lock);
  }
  Result<Doc> update(const Path& path, const Doc& body, const machinery::WriteOptions&) override {
    TRY_OK(call("update", path));
    return change(path, [&body](const Node&) -> Result<Node> { return body.to_node(); });
  }
  Result<Doc> patch(const Path& path, machinery::PatchType type, const std::string& body, const machinery::WriteOptions&) override {
    TRY_OK(call("patch", path));
    TRY(Node patch, Node::parse(body));
    return change(path, [&](const Node& current) -> Result<Node> {
      Node base = current;
      base["metadata"].erase("resourceVersion");
      if (type == machinery::PatchType::Json) return api::patch::apply_json_patch(std::move(base), patch);
      return api::patch::apply_merge_patch(std::move(base), patch);
    });
  }
  Result<Doc> remove(const Path& path, const machinery::DeleteOptions& o) override {
    TRY_OK(call("delete", path));
    std::unique_lock lock(mutex_);
    auto it = objects_.find(key(path));
    if (it == objects_.end()) return not_found_object(path.group, path.resource, path.name);
    if (!o.uid.empty() && !it->second.path("metadata.uid").equals(o.uid)) return conflict_object(path.group, path.resource, path.name, "another uid");
    Node n = it->second.to_node();
    Node& finalizers = n["metadata"]["finalizers"];
    if (!o.propagation_policy.empty()) std::erase_if(finalizers.items(), [](const Node& f) { return f.str() == "orphan" || f.str() == "foregroundDeletion"; });
    for (auto [policy, finalizer] : {std::pair{"Foreground", "foregroundDeletion"}, {"Orphan", "orphan"}}) {
      bool there = false;
      for (const Node& f : finalizers.items()) there |= f.str() == finalizer;
      if (o.propagation_policy == policy && !there) finalizers.append(finalizer);
    }
    bool waits = !finalizers.empty() || (path.resource == "namespaces" && !n.path("spec.finalizers").empty());
    bool graceful = path.resource == "pods" && graceful_pods && o.grace_period_seconds != 0;
    if (!waits && !graceful) return erase(it, lock);
    if (finalizers.empty()) n["metadata"].erase("finalizers");
    if (!n.path("metadata.deletionTimestamp").exists()) n["metadata"].set("deletionTimestamp", rfc3339(clock_.now()));
    return store(path, std::move(n), lock);
  }
  Result<std::unique_ptr<machinery::WatchHandle>> watch(const Path& path, const ListOptions& o, std::function<void(WatchEvent)> fn) override {
    TRY_OK(call("watch", path));
    auto w = std::make_shared<Watcher>();
    TRY(w->labels, api::LabelSelector::parse(o.label_selector));
    TRY(w->fields, api::FieldSelector::parse(o.field_selector));
    w->prefix = path.group + "/" + path.resource + "/" + (path.ns.empty() ? "" : path.ns + "/");
    w->fn = std::move(fn);
    std::lock_guard order(order_);
    std::vector<Change> missed;
    {
      std::lock_guard lock(mutex_);
      int64_t after = parse_int(o.resource_version).value_or(0);
      if (after < compacted_) return Status(Reason::Expired, "too old resource version: " + o.resource_version + " (" + std::to_string(compacted_) + ")");
      for (const Change& c : history_)
        if (c.revision > after) missed.push_back(c);
      watchers_.push_back(w);
    }
    for (const Change& c : missed) w->offer(c);
    struct Handle : machinery::WatchHandle {
      std::shared_ptr<Watcher> watcher;
      ~Handle() override { close(); }
      void close() override {
        std::lock_guard lock(watcher->mutex);
        watcher->fn = nullptr;
      }
    };
    auto handle = std::make_unique<Handle>();
    handle->watcher = w;
    return std::unique_ptr<machinery::WatchHandle>(std::move(handle));
  }
  std::vector<Result<Doc>> submit(std::vector<machinery::Operation> operations) override {
    std::vector<Result<Doc>> out;
    for (auto& o : operations) {
      using Kind = machinery::Operation::Kind;
      Path collection = o.path;
      if (o.kind == Kind::Create && o.path.subresource.empty()) collection.name.clear();
      out.push_back(o.kind == Kind::Create ? create(collection, o.body, o.options) : o.kind == Kind::Update ? update(o.path, o.body, o.options) : o.kind == Kind::Patch ? patch(o.path, o.patch_type, o.patch, o.options) : remove(o.path, o.delete_options));
    }
    return out;
  }

  std::function<void(const std::string& what)> on_call;  // "patch namespaces/status": before it is done
  bool graceful_pods = false;  // a deleted pod stays, with its deletionTimestamp, until it is deleted with grace 0

 private:
  struct Change {
    int64_t revision;
    std::string key;
    Doc before, after;
  };
  struct Watcher {
    std::mutex mutex;
    std::string prefix;
    api::LabelSelector labels;
    api::FieldSelector fields;
    std::function<void(WatchEvent)> fn;
    void send(WatchEvent e) {
      std::lock_guard lock(mutex);
      if (fn) fn(std::move(e));
    }
    void offer(const Change& c) {
      if (!c.key.starts_with(prefix)) return;
      auto fits = [this](const Doc& d) { return d && labels.matches(d["metadata"]["labels"]) && fields.matches(d.root()); };
      bool was = fits(c.before), is = fits(c.after);
      if (is) send({was ? WatchEvent::Type::Modified : WatchEvent::Type::Added, c.after, {}});
      else if (was) send({WatchEvent::Type::Deleted, c.before, {}});
    }
  };
  struct Failure {
    std::string what;
    Status why;
    int left;
  };

  // What the test itself says comes through, also when every write fails once.
  template <class Fn>
  static Doc surely(Fn write) {
    auto r = write();
    if (!r.ok()) r = write();
    return r.value();
  }

  static std::string key(const Path& p) { return p.group + "/" + p.resource + "/" + (p.ns.empty() ? "" : p.ns + "/") + p.name; }

  Result<> call(const std::string& verb, const Path& p) {
    if (on_call) on_call(verb + " " + p.resource + (p.subresource.empty() ? "" : "/" + p.subresource));
    std::lock_guard lock(mutex_);
    std::string what = verb + " " + p.resource + (p.subresource.empty() ? "" : "/" + p.subresource);
    ++calls_[what];
    if (fails_once_ && verb != "get" && verb != "list" && verb != "watch" && p.resource != "events" && failed_once_.insert(what + " " + key(p)).second) return unavailable("it fails the first time");
    for (Failure& f : failures_)
      if (f.left > 0 && what.starts_with(f.what)) {
        --f.left;
        return f.why;
      }
    return {};
  }

  template <class Fn>
  Result<Doc> change(const Path& path, Fn make) {
    std::unique_lock lock(mutex_);
    auto it = objects_.find(key(path));
    if (it == objects_.end()) return not_found_object(path.group, path.resource, path.name);
    Node before = it->second.to_node();
    TRY(Node n, make(before));
    const std::string& expected = n.path("metadata.resourceVersion").str();
    if (!expected.empty() && expected != before.path("metadata.resourceVersion").str()) return conflict_object(path.group, path.resource, path.name);
    if (const std::string& uid = n.path("metadata.uid").str(); !uid.empty() && uid != before.path("metadata.uid").str()) return conflict_object(path.group, path.resource, path.name, "another uid");
    if (path.subresource == "status") {
      Node status = n.get("status");
      n = before;
      n.set("status", status);
    } else if (path.subresource == "finalize") {
      Node finalizers = n.path("spec.finalizers");
      n = before;
      n["spec"].set("finalizers", finalizers);
    }
    for (const char* f : {"uid", "creationTimestamp", "generation", "deletionTimestamp", "namespace"})
      if (before.path("metadata").get(f).exists()) n["metadata"].set(f, before.path("metadata").get(f));
    n["metadata"].set("resourceVersion", before.path("metadata.resourceVersion"));
    if (n == before) return it->second;
    if (!(n.get("spec") == before.get("spec"))) n["metadata"].set("generation", before.path("metadata.generation").int_or(0) + 1);
    bool held = graceful_pods && path.resource == "pods";
    if (n.path("metadata.deletionTimestamp").exists() && n.path("metadata.finalizers").empty() && n.path("spec.finalizers").empty() && !held) return erase(it, lock);
    return store(path, std::move(n), lock);
  }

  Result<Doc> bind(const Path& path, const Node& binding) {
    Path pod = path;
    pod.subresource.clear();
    return change(pod, [&binding](const Node& current) -> Result<Node> {
      Node n = current;
      if (!n.path("spec.nodeName").str().empty()) return conflict_object("", "pods", n.path("metadata.name").str(), "already assigned");
      n["spec"].set("nodeName", binding.path("target.name"));
      return n;
    });
  }

  // Both publish with mutex_ given up, but in order.
  Result<Doc> store(const Path& path, Node n, std::unique_lock<std::mutex>& lock) {
    n["metadata"].set("resourceVersion", std::to_string(++revision_));
    Doc doc = Doc::from(n);
    Doc& slot = objects_[key(path)];
    Change c{revision_, key(path), slot, doc};
    slot = doc;
    publish(std::move(c), lock);
    return doc;
  }
  Result<Doc> erase(std::map<std::string, Doc>::iterator it, std::unique_lock<std::mutex>& lock) {
    Doc before = it->second;
    Change c{++revision_, it->first, before, {}};
    objects_.erase(it);
    publish(std::move(c), lock);
    return before;
  }
  void publish(Change c, std::unique_lock<std::mutex>& lock) {
    history_.push_back(c);
    auto open = watchers_;
    lock.unlock();
    std::lock_guard order(order_);
    if (held_.count(c.key.substr(0, c.key.find('/', c.key.find('/') + 1) + 1))) return kept_back_.push_back(std::move(c));
    for (auto& w : open) w->offer(c);
  }

  const Clock& clock_;
  std::mutex mutex_;
  std::recursive_mutex order_;
  std::map<std::string, Doc> objects_;
  std::vector<Change> history_;
  std::vector<std::shared_ptr<Watcher>> watchers_;
  std::vector<Failure> failures_;
  bool fails_once_ = false;
  std::set<std::string> failed_once_, held_;
  std::vector<Change> kept_back_;
  std::map<std::string, int> calls_;
  int64_t revision_ = 0, compacted_ = 0;
  int generated_ = 0, uids_ = 0;
};

// Waits up to five seconds of real time for something that another thread does.
template <class Fn>
bool eventually(Fn fn) {
  for (int i = 0; i < 5000; ++i) {
    if (fn()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

}  // namespace k8lite::testing
