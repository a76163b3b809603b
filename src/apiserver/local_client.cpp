// The in-process Client: what controllers, scheduler and the server's own node use. No HTTP, but the same authorisation and Rest.
#include <mutex>

#include "apiserver/api_server.h"
#include "base/strings.h"
#include "machinery/courier.h"

namespace k8lite::apiserver {
namespace {

using machinery::ListOptions;
using machinery::Operation;
using machinery::Path;
using machinery::WatchEvent;

// Nobody in process reads managedFields, and every informer would hold them once more.
json::Doc as_doc(const ResourceType& type, const store::Object& o) { return json::Doc::from_canonical(served_lean(o.doc, o.revision, type.object)); }

// Delivers the items of one ObjectWatch on the courier's thread, so that the store's publisher goes on.
class LocalWatch : public machinery::WatchHandle, public std::enable_shared_from_this<LocalWatch> {
 public:
  LocalWatch(ResourceTypePtr type, std::unique_ptr<ObjectWatch> watch, bool (*keep)(json::Value), std::shared_ptr<machinery::Courier> courier, std::function<void(WatchEvent)> fn)
      : type_(std::move(type)), watch_(std::move(watch)), keep_(keep), courier_(std::move(courier)), on_event_(std::move(fn)) {}
  void begin() {
    watch_->on_ready([weak = weak_from_this(), courier = courier_] {
      courier->run([weak] {
        if (auto self = weak.lock()) self->pump();
      });
    });
    pump();
  }
  void close() override {
    std::lock_guard lock(mutex_);
    if (std::exchange(closed_, true)) return;
    watch_->close();
  }

 private:
  void pump() {
    std::lock_guard lock(mutex_);
    while (!closed_) {
      auto items = watch_->poll();
      if (!items.ok()) {
        closed_ = true;
        watch_->close();
        on_event_({WatchEvent::Type::Error, {}, items.status()});
        return;
      }
      if (items->empty()) return;
      for (const WatchItem& item : *items)
        if (item.object && wanted(item)) on_event_({item.type, as_doc(*type_, *item.object), {}});
    }
  }
  bool wanted(const WatchItem& item) const {
    return !keep_ || item.type == WatchEvent::Type::Deleted || keep_(item.object->doc.root()) || (item.previous && keep_(item.previous->doc.root()));
  }
  std::mutex mutex_;
  ResourceTypePtr type_;
  std::unique_ptr<ObjectWatch> watch_;
  bool (*const keep_)(json::Value);
  const std::shared_ptr<machinery::Courier> courier_;
  std::function<void(WatchEvent)> on_event_;
  bool closed_ = false;
};

class SharedHandle : public machinery::WatchHandle {
 public:
  explicit SharedHandle(std::shared_ptr<LocalWatch> watch) : watch_(std::move(watch)) {}
  ~SharedHandle() override { watch_->close(); }
  void close() override { watch_->close(); }

 private:
  std::shared_ptr<LocalWatch> watch_;
};

class LocalClient : public machinery::Client {
 public:
  LocalClient(async::Loop& loop, Rest& rest, authz::Authorizer& authorizer, std::shared_ptr<machinery::Courier> courier, authn::Identity identity, std::string manager)
      : loop_(loop), rest_(rest), authorizer_(authorizer), courier_(std::move(courier)), identity_(std::move(identity)), manager_(std::move(manager)) {}
  std::shared_ptr<machinery::Courier> courier() override { return courier_; }

  Result<json::Doc> get(const Path& path) override {
    TRY(Target t, target(path, "get"));
    if (rest_.usage() && UsageApi::serves(*t.type)) return usage_doc(t);
    TRY(Answer a, rest_.get(t));
    return doc_of(a);
  }
  Result<machinery::ListResult> list(const Path& path, const ListOptions& o) override {
    TRY(Target t, target(path, "list"));
    auto listed = rest_.usage() && UsageApi::serves(*t.type) ? async::block_on(loop_, rest_.usage()->list(t, params(o))) : rest_.list(t, params(o));
    TRY(Page page, std::move(listed));
    machinery::ListResult out;
    for (const auto& object : page.items)
      if (!o.keep || o.keep(object->doc.root())) out.items.push_back(as_doc(*t.type, *object));
    out.resource_version = std::to_string(page.revision);
    out.continue_token = page.continue_token;
    return out;
  }
  Result<json::Doc> create(const Path& path, const json::Doc& body, const machinery::WriteOptions& o) override { return one({Operation::Kind::Create, path, body, {}, {}, o, {}}); }
  Result<json::Doc> update(const Path& path, const json::Doc& body, const machinery::WriteOptions& o) override { return one({Operation::Kind::Update, path, body, {}, {}, o, {}}); }
  Result<json::Doc> patch(const Path& path, machinery::PatchType type, const std::string& body, const machinery::WriteOptions& o) override {
    return one({Operation::Kind::Patch, path, {}, type, body, o, {}});
  }
  Result<json::Doc> remove(const Path& path, const machinery::DeleteOptions& o) override { return one({Operation::Kind::Delete, path, {}, {}, {}, {}, o}); }

  Result<std::unique_ptr<machinery::WatchHandle>> watch(const Path& path, const ListOptions& o, std::function<void(WatchEvent)> fn) override {
    TRY(Target t, target(path, "watch"));
    TRY(auto watch, rest_.watch(t, params(o), false));
    auto local = std::make_shared<LocalWatch>(t.type, std::move(watch), o.keep, courier_, std::move(fn));
    local->begin();
    return std::unique_ptr<machinery::WatchHandle>(std::make_unique<SharedHandle>(local));
  }

  std::vector<Result<json::Doc>> submit(std::vector<Operation> operations) override {
    // All are started before the first is waited for, so the store commits them as one group.
    struct Shared {
      std::mutex mutex;
      std::condition_variable done;
      std::vector<std::optional<Result<json::Doc>>> results;
      size_t left = 0;
    };
    auto shared = std::make_shared<Shared>();
    shared->results.resize(operations.size());
    shared->left = operations.size();
    struct Run {
      static async::Task<void> go(LocalClient* self, Operation operation, std::shared_ptr<Shared> s, size_t i) {
        auto r = co_await self->perform(std::move(operation));
        std::lock_guard lock(s->mutex);
        s->results[i].emplace(std::move(r));
        if (--s->left == 0) s->done.notify_all();
      }
    };
    for (size_t i = 0; i < operations.size(); ++i) async::spawn(loop_, Run::go(this, std::move(operations[i]), shared, i));
    std::unique_lock lock(shared->mutex);
    shared->done.wait(lock, [&] { return shared->left == 0; });
    std::vector<Result<json::Doc>> out;
    for (auto& r : shared->results) out.push_back(std::move(*r));
    return out;
  }

 private:
  Result<json::Doc> one(Operation operation) { return async::block_on(loop_, perform(std::move(operation))); }

  async::Task<Result<json::Doc>> perform(Operation o) {
    static constexpr const char* kVerbs[] = {"create", "update", "patch", "delete"};
    CO_TRY(Target t, target(o.path, kVerbs[static_cast<int>(o.kind)]));
    WriteParams p;
    p.caller = identity_;
    p.dry_run = o.options.dry_run;
    p.force = o.options.force;
    p.field_manager = o.options.field_manager.empty() ? manager_ : o.options.field_manager;
    p.field_validation = "Ignore";
    Result<Answer> r = internal_error("no such operation");
    switch (o.kind) {
      case Operation::Kind::Create: r = co_await rest_.create(t, o.body.to_node(), p); break;
      case Operation::Kind::Update: r = co_await rest_.update(t, o.body.to_node(), p); break;
      case Operation::Kind::Patch: {
        CO_TRY(json::Node patch, json::Node::parse(o.patch));
        r = co_await rest_.patch(t, o.patch_type, std::move(patch), p);
        break;
      }
      case Operation::Kind::Delete: {
        DeleteRequest d;
        if (o.delete_options.grace_period_seconds >= 0) d.grace_seconds = o.delete_options.grace_period_seconds;
        d.propagation = o.delete_options.propagation_policy;
        d.uid = o.delete_options.uid;
        d.resource_version = o.delete_options.resource_version;
        r = co_await rest_.remove(t, d, p);
        break;
      }
    }
    if (!r.ok()) co_return std::move(r).status();
    co_return doc_of(*r);
  }

  Result<json::Doc> usage_doc(const Target& t) {
    TRY(Answer a, async::block_on(loop_, rest_.usage()->get(t)));
    return doc_of(a);
  }
  static json::Doc doc_of(const Answer& a) { return a.object ? as_doc(*a.type, *a.object) : a.document; }

  static ListParams params(const ListOptions& o) {
    return {o.label_selector, o.field_selector, o.limit, o.continue_token, o.resource_version, o.resource_version_match, {}};
  }

  Result<Target> target(const Path& path, std::string_view verb) const {
    auto type = rest_.types().find(path.group, path.version, path.resource);
    if (!type) return not_found("the server could not find the requested resource " + path.url());
    RequestInfo info{.is_resource = true, .path = {}, .verb = std::string(verb), .group = path.group, .version = path.version, .resource = path.resource, .subresource = path.subresource, .ns = path.ns, .name = path.name};
    if (!authorizer_.allows(identity_.user, info))
      return Status(Reason::Forbidden, path.resource + " " + json::quoted(path.name) + " is forbidden: User " + json::quoted(identity_.user.name) + " cannot " + std::string(verb) + " resource " + json::quoted(path.resource));
    return Target{type, path.ns, path.name, path.subresource};
  }

  async::Loop& loop_;
  Rest& rest_;
  authz::Authorizer& authorizer_;
  const std::shared_ptr<machinery::Courier> courier_;
  const authn::Identity identity_;
  const std::string manager_;
};

}  // namespace

std::unique_ptr<machinery::Client> make_local_client(async::Loop& loop, Rest& rest, authz::Authorizer& authorizer, std::shared_ptr<machinery::Courier> courier, authn::Identity identity, std::string manager) {
  return std::make_unique<LocalClient>(loop, rest, authorizer, std::move(courier), std::move(identity), std::move(manager));
}

}  // namespace k8lite::apiserver
