// What controllers share: one clock, one set of informers; each has a client of its own identity. A controller is a pure plan function
// (x_plan.h) and a thin class that looks, asks the plan and writes.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "machinery/controller.h"

namespace k8lite::controllers {

struct Context {
  machinery::Client& client;
  const Clock& clock;
  Random& random;
  machinery::EventRecorder& events;
  std::string cluster_cidr = "10.42.0.0/16", ca_pem, own_node;
  // By "group/plural"; made on demand before start, then read only.
  std::map<std::string, std::unique_ptr<machinery::Informer>> informers;
  std::vector<std::function<void()>> at_stop = {};  // ends what controllers started themselves; called when none works any more
  std::string ca_key_pem = {};  // signs certificates; "": nobody does here
  std::string storage_path = "/var/lib/k8lite/storage";  // for volumes on nodes that do not name theirs
  Context* root = nullptr;                   // whose informers and ends these are; null: its own
  std::string service_account_key_pem = {};  // signs tokens that live in Secrets; "": none are made

  // The same for a controller that writes as another identity.
  Context as(machinery::Client& other) { return {other, clock, random, events, cluster_cidr, ca_pem, own_node, {}, {}, ca_key_pem, storage_path, root ? root : this, service_account_key_pem}; }
  void end_with(std::function<void()> fn) { (root ? root : this)->at_stop.push_back(std::move(fn)); }

  machinery::Informer& informer(const std::string& group, const std::string& plural, machinery::ListOptions select = {}) {
    if (root) return root->informer(group, plural, std::move(select));
    auto& slot = informers[group + "/" + plural + "?" + select.field_selector];
    if (!slot) slot = std::make_unique<machinery::Informer>(client, machinery::Path{group, "v1", plural, "", "", ""}, select);
    return *slot;
  }
  machinery::Informer& autoscalers();  // in the form of v2, which alone says everything
  // One that holds no more than what `keep` wants, unless somebody wants the whole resource anyway (and said so before).
  machinery::Informer& some_of(const std::string& group, const std::string& plural, bool (*keep)(json::Value)) {
    if (root) return root->some_of(group, plural, keep);
    if (informers.contains(group + "/" + plural + "?")) return informer(group, plural);
    auto& slot = informers[group + "/" + plural + "?kept"];
    if (!slot) slot = std::make_unique<machinery::Informer>(client, machinery::Path{group, "v1", plural, "", "", ""}, machinery::ListOptions{.keep = keep});
    return *slot;
  }
};

// A controller over one queue.
class Base : public machinery::Controller {
 public:
  Base(Context& context, std::string name) : context_(context), name_(std::move(name)), queue_(context.clock) {}
  std::string_view name() const override { return name_; }
  machinery::WorkQueue& queue() override { return queue_; }

 protected:
  // managedFields name the manager of the client: kube-controller-manager, as for all controllers upstream.
  machinery::WriteOptions as_manager() const { return {}; }
  Context& context_;
  const std::string name_;
  machinery::WorkQueue queue_;
};

inline std::string uid_of(const json::Doc& d) { return d.path("metadata.uid").str(); }
inline std::string name_of(const json::Doc& d) { return d.path("metadata.name").str(); }
inline std::string namespace_of(const json::Doc& d) { return d.path("metadata.namespace").str(); }
json::Value controller_of(json::Value object);  // its owner reference with controller: true
json::Node owner_reference(const json::Doc& owner);  // to be put into what it controls
bool pod_is_active(json::Value pod);            // neither over nor being deleted
bool pod_is_ready(json::Value pod);
// Ready for at least min_ready_seconds.
bool pod_is_available(json::Value pod, int64_t min_ready_seconds, Instant now);
// Ten letters that make no words, as in generated names.
std::string safe_hash(std::string_view text);
// A condition list for a status: sets one condition, keeping its lastTransitionTime while its status stays (`old`: the stored list).
void set_condition(json::Node& list, json::Value old, std::string_view type, std::string_view status, std::string_view reason, std::string_view message, Instant now);
// Writes the status where it differs from the object's; an object that is gone is no error. `kind` names group, version and resource.
// `written`: what is stored now, where something was written.
Result<> write_status(machinery::Client& client, machinery::Path kind, const json::Doc& object, const json::Node& status, const machinery::WriteOptions& options, json::Doc* written = nullptr);

}  // namespace k8lite::controllers
