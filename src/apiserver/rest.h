// What every way into the API server meets in: the verbs on resources, with decoding, defaults, admission, validation, patches and
// subresources, above the registry. HTTP handlers and the in-process client both stand on this; authorisation happens before it.
// Reads may come from any thread; writes are coroutines.
#pragma once
#include <memory>

#include "api/selector.h"
#include "apiserver/admission/admission.h"
#include "apiserver/authn/authn.h"
#include "apiserver/authz/authorizer.h"
#include "apiserver/registry/registry.h"
#include "apiserver/resource_types.h"
#include "apiserver/service_addresses.h"
#include "apiserver/stream/tunnels.h"
#include "machinery/client.h"

namespace k8lite::apiserver {

inline constexpr size_t kMaxBody = 3 << 20;  // of a request, as the Kubernetes API server bounds it

struct Target {
  ResourceTypePtr type;
  std::string ns, name, subresource;
};

struct WriteParams {
  bool dry_run = false;
  std::string field_manager;      // of the request; "" : by user_agent
  std::string user_agent;
  std::string field_validation = "Warn";  // Ignore, Warn, Strict
  bool force = false, force_given = false;
  std::string patch_text;         // of a patch: what errors of strict decoding show
  bool applies = false;           // managedFields are those of an apply already
  authn::Identity caller;
  std::vector<std::string>* warnings = nullptr;      // unknown and duplicate fields, with Warn
  std::vector<std::string> duplicates;               // found by the parser
};

struct ListParams {
  std::string label_selector, field_selector;
  int64_t limit = 0;
  std::string continue_token, resource_version, resource_version_match;
  std::optional<bool> send_initial_events;  // of a watch
};

// An answer: a stored object of the type, or a document of its own (Scale, Status, TokenRequest).
struct Answer {
  ResourceTypePtr type;
  store::ObjectPtr object;
  json::Doc document;
  bool created = false, accepted = false;  // 201; 202: a deletion that waits, asked for with orphanDependents=false
  std::string text() const;  // JSON
};

struct Page {
  std::vector<store::ObjectPtr> items;
  int64_t revision = 0;
  std::string continue_token;
  int64_t remaining = 0;  // behind continue_token; 0: unknown
};

struct WatchItem {
  machinery::WatchEvent::Type type;
  store::ObjectPtr object;  // null for bookmarks
  int64_t revision = 0;
  store::ObjectPtr previous = nullptr;  // Modified: what it was
};
// One watch with its selectors. poll() and on_ready() as those of store::Watch.
class ObjectWatch {
 public:
  ObjectWatch(ResourceTypePtr type, std::unique_ptr<store::Watch> watch, api::LabelSelector labels, api::FieldSelector fields, std::vector<store::ObjectPtr> initial, int64_t revision, bool mark_initial_end);
  Result<std::vector<WatchItem>> poll();
  void on_ready(std::function<void()> fn);
  void close() { watch_->close(); }
  int64_t revision() const { return revision_; }

 private:
  bool matches(const json::Doc& doc) const;
  void append_item(const store::Event& event, std::vector<WatchItem>& out) const;
  const ResourceTypePtr type_;
  std::unique_ptr<store::Watch> watch_;
  api::LabelSelector labels_;
  api::FieldSelector fields_;
  std::vector<store::ObjectPtr> initial_;
  int64_t revision_ = 0;
  bool mark_initial_end_ = false, begun_ = false;
};

struct RestOptions {
  std::string signing_key_pem;   // service account tokens
  std::string issuer = "https://kubernetes.default.svc.cluster.local";
  std::vector<std::string> audiences;  // of tokens that are asked for without any; none: the issuer
  int64_t longest_token_seconds = 0;   // 0: a year
  AdmissionOptions admission;
};

class UsageApi;

class Rest {
 public:
  Rest(store::Store& store, const Clock& clock, Random& random, const ResourceTypes& types, authz::Authorizer& authorizer, ServiceAddresses& addresses, RestOptions options);

  // `resource_version`: the object must be at least as new as this list or object; Timeout when the server has not come so far.
  // reads.cpp
  Result<Answer> get(const Target& target, const std::string& resource_version = {}) const;
  Result<Page> list(const Target& target, const ListParams& params) const;
  Result<std::unique_ptr<ObjectWatch>> watch(const Target& target, const ListParams& params, bool send_initial_events) const;
  // rest.cpp
  async::Task<Result<Answer>> create(Target target, json::Node body, WriteParams params);
  async::Task<Result<Answer>> update(Target target, json::Node body, WriteParams params);
  async::Task<Result<Answer>> patch(Target target, machinery::PatchType type, json::Node patch, WriteParams params);
  async::Task<Result<Answer>> remove(Target target, DeleteRequest request, WriteParams params);
  async::Task<Result<Answer>> remove_collection(Target target, ListParams list, DeleteRequest request, WriteParams params);

  const ResourceTypes& types() const { return types_; }
  const Admission& admission() const { return admission_; }
  int64_t revision() const { return store_.revision(); }
  // How many objects of each resource are stored: "pods", "deployments.apps".
  std::vector<std::pair<std::string, int64_t>> object_counts() const;
  std::function<void(const Target&)> written;  // told of every write before it is answered; set once, before the first
  void set_authenticator(const authn::Authenticator* authenticator) { authenticator_ = authenticator; }
  // Answers for metrics.k8s.io, of which nothing is stored; null: nobody does.
  UsageApi* usage() const { return usage_; }
  void set_usage(UsageApi* usage) { usage_ = usage; }
  // The way to a node's agent where it is not to be dialled (stream/tunnels.h); empty: it is. The loop's thread only.
  NodeTunnels::Dial way_to(const std::string& node) const { return tunnels_ ? tunnels_->dialler(node) : nullptr; }
  void set_tunnels(NodeTunnels* tunnels) { tunnels_ = tunnels; }

 private:
  Result<> decode(const Target& target, json::Node& body, const WriteParams& params, const api::schema::Type* type) const;
  Target stored_form(Target target) const;
  RegistryOptions options_for(const Target& target, const WriteParams& params, bool create);
  async::Task<Result<Answer>> update_or_create(Target target, json::Node body, WriteParams params);
  async::Task<Result<Answer>> create_object(Target target, json::Node body, WriteParams params);
  async::Task<Result<Answer>> change(Target target, WriteParams params, std::function<Result<json::Node>(json::Node current)> make, bool from_current = true);
  Result<> check_escalation(const Target& target, const json::Node& object, const json::Doc* old, const WriteParams& params) const;
  void settle_service(const Target& target, const std::string& name);
  // apply.cpp
  async::Task<Result<Answer>> apply(Target target, json::Node config, WriteParams params);
  Result<> may_create(const Target& target, const WriteParams& params) const;
  async::Task<Result<Answer>> apply_new(Target target, json::Node config, WriteParams params);
  Result<json::Node> read_config(const Target& target, json::Node config, const WriteParams& params) const;
  Result<json::Node> apply_config(const Target& target, const json::Node& live, const json::Node& config, const WriteParams& params) const;
  // subresources.cpp
  async::Task<Result<Answer>> bind(Target target, json::Node body, WriteParams params);
  async::Task<Result<>> take_disruption(const Target& pods, const json::Doc& pod, WriteParams params);
  async::Task<Result<Answer>> evict(Target target, json::Node body, WriteParams params);
  Result<Answer> request_token(const Target& target, const json::Node& body, const WriteParams& params) const;
  Result<Answer> review(const Target& target, const json::Node& body, const WriteParams& params) const;
  json::Doc scale_of(const Target& target, const store::Object& object) const;
  Result<> apply_scale(const Target& target, json::Node& object, const json::Node& scale) const;

  store::Store& store_;
  const Clock& clock_;
  Random& random_;
  const ResourceTypes& types_;
  authz::Authorizer& authorizer_;
  ServiceAddresses& addresses_;
  const RestOptions options_;
  Registry registry_;
  Admission admission_;
  const authn::Authenticator* authenticator_ = nullptr;
  UsageApi* usage_ = nullptr;
  NodeTunnels* tunnels_ = nullptr;
};

}  // namespace k8lite::apiserver
