// Generic REST over the store: create, get, list, update, delete of any kind by the rules of object_rules.h. One instance serves
// every kind; what a kind adds (decoding, defaults, validation, admission) is done to the body before it comes here.
// Methods are coroutines because they wait for the store's group commit; they run on the caller's executor.
#pragma once
#include "apiserver/registry/object_rules.h"
#include "async/async.h"
#include "base/random.h"
#include "store/store.h"

namespace k8lite::apiserver {

struct RegistryOptions {
  bool dry_run = false;  // decide everything, write nothing
  store::Durability durability = store::Durability::Durable;
  // Defaults, admission and validation of the kind: called when the generic rules are through, with the old object in both forms on
  // updates (null on create).
  std::function<Result<>(json::Node& object, const json::Doc* old, const json::Node* before)> finish;
  // Writes that commit together with the object's or not at all; asked anew for each attempt, because what they change (a quota) may have
  // changed meanwhile.
  std::function<Result<std::vector<store::Write>>(json::Node& object, const json::Doc* old)> beside;
};

struct RegistryListOptions {
  std::string ns;  // "" : all
  size_t limit = 0;
  std::string continue_token;
  int64_t at = 0;  // exactly this revision; 0: the newest
};
struct RegistryList {
  std::vector<store::ObjectPtr> items;
  int64_t revision = 0;
  std::string continue_token;
  int64_t remaining = 0;  // known only with a limit
};

class Registry {
 public:
  Registry(store::Store& store, const Clock& clock, Random& random) : store_(store), clock_(clock), random_(random) {}

  // The kind must live until the task is done.
  async::Task<Result<store::ObjectPtr>> create(const ObjectKind& kind, std::string ns, json::Node object, RegistryOptions options);
  Result<store::ObjectPtr> get(const ObjectKind& kind, const std::string& ns, const std::string& name) const;
  Result<RegistryList> list(const ObjectKind& kind, const RegistryListOptions& options) const;

  // `change` turns the current object into the wanted one. It is called again with the newer object when another writer came
  // first, unless the result itself names a resourceVersion. A result equal to the stored object, the times of managedFields apart,
  // writes nothing.
  using Change = std::function<Result<json::Node>(const store::Object& current)>;
  async::Task<Result<store::ObjectPtr>> update(const ObjectKind& kind, std::string ns, std::string name, std::string subresource, Change change,
                                               RegistryOptions options);
  // The object as it was removed, or as it now waits for its grace period or finalizers.
  struct Deleted {
    store::ObjectPtr object;
    bool removed = false;
  };
  async::Task<Result<Deleted>> remove(const ObjectKind& kind, std::string ns, std::string name, DeleteRequest request, int64_t default_grace,
                                      RegistryOptions options);

 private:
  async::Task<Result<store::ObjectPtr>> write(store::Write write, std::vector<store::Write> beside = {});
  store::Store& store_;
  const Clock& clock_;
  Random& random_;
};

// The token that goes on where this one would, with whatever is there now; "" for what is no token.
std::string inconsistent_token(const std::string& token);

// A stored object as the kind is served: most are served as they are stored.
store::ObjectPtr in_served_form(store::ObjectPtr object, const ObjectKind& kind);

// "/registry/<group or core>/<resource>/[<namespace>/]<name>"; with an empty name the prefix of a list.
std::string storage_key(const ObjectKind& kind, std::string_view ns, std::string_view name);

}  // namespace k8lite::apiserver
