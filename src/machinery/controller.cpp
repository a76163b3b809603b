#include "machinery/controller.h"

#include <deque>

#include "base/log.h"
#include "base/strings.h"

namespace k8lite::machinery {

// ---- Runner ----

Runner::Runner(std::vector<Controller*> controllers, unsigned workers) : controllers_(std::move(controllers)), workers_(workers) {}
Runner::~Runner() { stop(); }

void Runner::step(Controller& c, const std::string& key) {
  auto action = c.reconcile(key);
  if (!action.ok()) {
    // Conflicts are daily life of optimistic writers.
    log_debug("reconcile failed, will try again", {{"controller", c.name()}, {"key", key}, {"error", action.status()}});
    c.queue().add_failed(key);
  } else {
    c.queue().forget(key);
    if (action->again > Duration{0}) c.queue().add_after(key, action->again);
  }
  c.queue().done(key);
}

void Runner::start() {
  for (Controller* c : controllers_)
    for (unsigned i = 0; i < workers_; ++i)
      threads_.emplace_back([c] {
        while (auto key = c->queue().take()) step(*c, *key);
      });
}

void Runner::stop() {
  for (Controller* c : controllers_) c->queue().shut_down();
  for (auto& t : threads_) t.join();
  threads_.clear();
}

size_t Runner::drain(const std::vector<Controller*>& controllers, size_t at_most) {
  size_t n = 0;
  for (bool any = true; any && n < at_most;) {
    any = false;
    for (Controller* c : controllers)
      while (n < at_most) {
        auto key = c->queue().try_take();
        if (!key) break;
        step(*c, *key);
        ++n;
        any = true;
      }
  }
  return n;
}

// ---- EventRecorder ----

namespace {

constexpr size_t kQueueLimit = 1000;
constexpr size_t kKnownLimit = 4096;     // events remembered for joining repeats
constexpr double kBurst = 25;            // of one object
constexpr double kRefill = 1.0 / 300.0;  // tokens a second

struct Pending {
  json::Node reference;
  std::string type, reason, message;
  Instant at;
};
struct Known {
  std::string name;
  int64_t count = 0;
  std::string first;
};
struct Bucket {
  double tokens = kBurst;
  Instant last;
};

}  // namespace

struct EventRecorder::Impl {
  Client& client;
  const Clock& clock;
  Random& random;
  const std::string component, host;
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<Pending> queue;
  bool stopping = false, busy = false;
  std::map<std::string, Known> known;     // sender thread only
  std::map<std::string, Bucket> buckets;  // sender thread only
  std::thread thread;

  Impl(Client& c, const Clock& k, Random& r, std::string comp, std::string h) : client(c), clock(k), random(r), component(std::move(comp)), host(std::move(h)) {}

  bool allowed(const std::string& object, Instant now) {
    if (buckets.size() > kKnownLimit) buckets.clear();
    Bucket& b = buckets.emplace(object, Bucket{kBurst, now}).first->second;
    b.tokens = std::min(kBurst, b.tokens + kRefill * static_cast<double>((now - b.last).count()) / 1e6);
    b.last = now;
    if (b.tokens < 1) return false;
    b.tokens -= 1;
    return true;
  }

  void send(const Pending& p) {
    std::string ns = p.reference.get("namespace").str_or("default"), object = p.reference.dump();
    if (ns.empty()) ns = "default";
    if (!allowed(object, p.at)) return;
    if (known.size() > kKnownLimit) known.clear();
    Known& k = known[object + "|" + p.type + "|" + p.reason + "|" + p.message];
    std::string now = rfc3339(p.at);
    if (k.count > 0) {
      std::string patch = json::Node::obj({{"count", k.count + 1}, {"lastTimestamp", now}}).dump();
      if (client.patch({"", "v1", "events", ns, k.name, ""}, PatchType::Merge, patch, {}).ok()) {
        ++k.count;
        return;
      }
    }
    char stamp[32];
    std::snprintf(stamp, sizeof stamp, "%llx", static_cast<unsigned long long>(p.at.us) * 1000 + random.next() % 1000);
    k = {p.reference.get("name").str() + "." + stamp, 1, now};
    json::Node event = json::Node::obj({{"apiVersion", "v1"}, {"kind", "Event"}, {"metadata", json::Node::obj({{"name", k.name}, {"namespace", ns}})}, {"involvedObject", p.reference},
                                        {"reason", p.reason}, {"message", p.message}, {"type", p.type}, {"count", 1}, {"firstTimestamp", now}, {"lastTimestamp", now},
                                        {"reportingComponent", component}, {"reportingInstance", host}});
    event["source"].set("component", component);
    if (!host.empty()) event["source"].set("host", host);
    auto r = client.create({"", "v1", "events", ns, "", ""}, json::Doc::from(event), {});
    if (!r.ok()) {
      k.count = 0;
      log_debug("event not recorded", {{"reason", p.reason}, {"error", r.status()}});
    }
  }

  void run() {
    std::unique_lock lock(mutex);
    for (;;) {
      wake.wait(lock, [this] { return stopping || !queue.empty(); });
      if (queue.empty()) return;
      Pending p = std::move(queue.front());
      queue.pop_front();
      busy = true;
      lock.unlock();
      send(p);
      lock.lock();
      busy = false;
      wake.notify_all();
    }
  }
};

EventRecorder::EventRecorder(Client& client, const Clock& clock, Random& random, std::string component, std::string host)
    : impl_(std::make_shared<Impl>(client, clock, random, std::move(component), std::move(host))) {
  impl_->thread = std::thread([impl = impl_] { impl->run(); });
}

EventRecorder::~EventRecorder() { stop(); }

void EventRecorder::stop() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
    impl_->queue.clear();
    impl_->wake.notify_all();
  }
  if (impl_->thread.joinable()) impl_->thread.join();
}

void EventRecorder::record(json::Value object, std::string_view type, std::string_view reason, std::string message, std::string_view field_path) {
  json::Node reference = json::Node::obj({{"kind", object["kind"].str()}, {"apiVersion", object["apiVersion"].str()}, {"name", object["metadata"]["name"].str()},
                                          {"uid", object["metadata"]["uid"].str()}});
  if (object["metadata"]["namespace"]) reference.set("namespace", object["metadata"]["namespace"].str());
  if (!field_path.empty()) reference.set("fieldPath", std::string(field_path));
  std::lock_guard lock(impl_->mutex);
  if (impl_->stopping) return;
  if (impl_->queue.size() >= kQueueLimit) impl_->queue.pop_front();
  impl_->queue.push_back({std::move(reference), std::string(type), std::string(reason), std::move(message), impl_->clock.now()});
  impl_->wake.notify_all();
}

void EventRecorder::flush() {
  std::unique_lock lock(impl_->mutex);
  impl_->wake.wait(lock, [this] { return impl_->stopping || (impl_->queue.empty() && !impl_->busy); });
}

}  // namespace k8lite::machinery
