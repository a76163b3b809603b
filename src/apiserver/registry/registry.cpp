#include "apiserver/registry/registry.h"

#include "api/apply/managed_fields.h"
#include "base/strings.h"

namespace k8lite::apiserver {
namespace {

using store::ObjectPtr;
using store::Write;

constexpr int kMaxUpdateAttempts = 8;  // other writers may win this often before a client hears of it
// The same for what is written beside the object: a quota that everything in a namespace shares. Whoever loses lost to one who got on.
constexpr int kMaxBesideAttempts = 1000;

// The store speaks of keys; clients are told of objects.
Status worded(const Status& s, const ObjectKind& kind, const std::string& name) {
  switch (s.reason()) {
    case Reason::NotFound: return not_found_object(kind.group, kind.resource, name);
    case Reason::AlreadyExists: return already_exists_object(kind.group, kind.resource, name);
    case Reason::Conflict: return conflict_object(kind.group, kind.resource, name);
    default: return s;
  }
}

std::string encode_token(int64_t revision, std::string_view next_key) {
  return base64url_encode(json::Node::obj({{"v", "k8lite/v1"}, {"rv", revision}, {"next", next_key}}).dump());
}

constexpr int64_t kInconsistent = -1;  // a token that goes on with whatever is there now

struct Token {
  int64_t revision = 0;
  std::string next_key;
};

Result<Token> decode_token(const std::string& text, std::string_view prefix) {
  Status bad = bad_request("continue key is not valid: it was not made by this server for this list");
  auto bytes = base64_decode(text);
  if (!bytes) return bad;
  auto node = json::Node::parse(*bytes);
  if (!node.ok() || node->get("v").str() != "k8lite/v1") return bad;
  Token t{node->get("rv").int_or(0), node->get("next").str()};
  if (t.revision == 0 || t.revision < kInconsistent || !std::string_view(t.next_key).starts_with(prefix)) return bad;
  return t;
}

// The snapshot is gone; a token in the answer lets the client take the rest as it is now (apiserver, "continue" of lists).
Status too_old(const std::string& token) {
  if (token.empty()) return Status(Reason::Expired, "The resourceVersion for the provided list is too old.");
  return Status(Reason::Expired, "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to "
                            "retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk "
                            "was returned and now may show up in the list.");
}

}  // namespace

std::string inconsistent_token(const std::string& token) {
  auto known = decode_token(token, "");
  return known.ok() ? encode_token(kInconsistent, known->next_key) : std::string();
}

std::string storage_key(const ObjectKind& kind, std::string_view ns, std::string_view name) {
  std::string_view group = kind.conversion ? kind.conversion->stored_group : std::string_view(kind.group);
  std::string key = "/registry/" + std::string(group.empty() ? "core" : group) + "/" + kind.resource + "/";
  if (kind.namespaced && !ns.empty()) key.append(ns).append("/");
  return key.append(name);
}

ObjectPtr in_served_form(ObjectPtr object, const ObjectKind& kind) {
  if (!kind.conversion || !object) return object;
  json::Node n = object->doc.to_node();
  kind.conversion->from_stored(n);
  return std::make_shared<const store::Object>(store::Object{object->key, json::Doc::from(n), object->revision});
}

async::Task<Result<ObjectPtr>> Registry::write(Write write, std::vector<Write> beside) {
  std::vector<Write> all;
  all.push_back(std::move(write));
  for (Write& w : beside) all.push_back(std::move(w));
  if (all.size() > 1)
    for (Write& w : all) w.group = 1;
  auto results = co_await store_.submit(std::move(all));
  co_return std::move(results.at(0));
}

async::Task<Result<ObjectPtr>> Registry::create(const ObjectKind& kind, std::string ns, json::Node object, RegistryOptions options) {
  CreateContext context{ns, clock_.now(), new_uuid(random_), random_suffix(random_)};
  CO_TRY_OK(prepare_create(object, kind, context));
  if (options.finish) CO_TRY_OK(options.finish(object, nullptr, nullptr));
  std::string name = object.path("metadata.name").str();
  std::string key = storage_key(kind, ns, name);
  if (options.dry_run) {
    if (options.beside) CO_TRY_OK(options.beside(object, nullptr));
    if (store_.get(key).ok()) co_return already_exists_object(kind.group, kind.resource, name);
    co_return std::make_shared<const store::Object>(store::Object{key, json::Doc::from(object), 0});
  }
  Write w;
  w.op = Write::Op::Create;
  w.key = std::move(key);
  w.doc = json::Doc::from(object);
  w.durability = options.durability;
  for (int attempt = 1;; ++attempt) {
    std::vector<Write> beside;
    if (options.beside) {
      CO_TRY(beside, options.beside(object, nullptr));
    }
    bool shared = !beside.empty();
    auto r = co_await write(w, std::move(beside));
    if (r.ok()) co_return std::move(r);
    if (!shared || !r.status().is(Reason::Conflict) || attempt == kMaxBesideAttempts) co_return worded(r.status(), kind, name);
  }
}

Result<ObjectPtr> Registry::get(const ObjectKind& kind, const std::string& ns, const std::string& name) const {
  auto r = store_.get(storage_key(kind, ns, name));
  if (!r.ok()) return worded(r.status(), kind, name);
  return r;
}

Result<RegistryList> Registry::list(const ObjectKind& kind, const RegistryListOptions& options) const {
  std::string prefix = storage_key(kind, options.ns, "");
  store::Store::ListOptions lo;
  lo.limit = options.limit;
  if (!options.continue_token.empty()) {
    TRY(Token token, decode_token(options.continue_token, prefix));
    lo.start_key = token.next_key;
    lo.at = token.revision == kInconsistent ? 0 : token.revision;
  } else {
    lo.at = options.at;
  }
  auto listed = store_.list(prefix, lo);
  if (!listed.ok()) return listed.status().is(Reason::Expired) ? too_old(options.continue_token) : listed.status();
  auto got = std::move(listed).value();
  RegistryList out;
  out.items = std::move(got.items);
  out.revision = got.revision;
  if (!got.next_key.empty()) {
    out.continue_token = encode_token(got.revision, got.next_key);
    out.remaining = got.remaining;
  }
  return out;
}

async::Task<Result<ObjectPtr>> Registry::update(const ObjectKind& kind, std::string ns, std::string name, std::string subresource, Change change,
                                                RegistryOptions options) {
  std::string key = storage_key(kind, ns, name);
  for (int attempt = 1, shared_attempts = 0;; ++attempt) {
    auto current = store_.get(key);
    if (!current.ok()) co_return worded(current.status(), kind, name);
    const ObjectPtr old = *current;
    CO_TRY(json::Node object, change(*old));
    bool pinned = !object.path("metadata.resourceVersion").str().empty();
    const json::Node before = old->doc.to_node();
    CO_TRY_OK(prepare_update(object, old->doc, old->revision, kind, subresource, &before));
    if (options.finish) CO_TRY_OK(options.finish(object, &old->doc, &before));
    // Defaults and admission may have made the spec what it was, or not.
    int64_t generation = before.path("metadata.generation").int_or(0) + (same_wish(object, before, kind) ? 0 : 1);
    if (kind.counts_generation && has_wish(object, kind) && generation > 0) object["metadata"].set("generation", generation);
    if (api::apply::same_but_times(object, before)) co_return old;
    Write w;
    w.op = is_finished(object, kind.custom != nullptr) ? Write::Op::Remove : Write::Op::Update;
    w.key = key;
    w.doc = json::Doc::from(object);
    w.expected = old->revision;
    w.durability = options.durability;
    std::vector<Write> beside;
    if (options.beside) {
      CO_TRY(beside, options.beside(object, &old->doc));
    }
    if (options.dry_run) co_return std::make_shared<const store::Object>(store::Object{key, w.doc, old->revision});
    bool shared = !beside.empty();
    const store::ObjectPtr last = w.op == Write::Op::Remove ? std::make_shared<const store::Object>(store::Object{key, w.doc, old->revision}) : nullptr;
    auto r = co_await write(std::move(w), std::move(beside));
    if (r.ok() && last) co_return last;  // as it was wanted: without the finalizers that held it
    if (r.ok()) co_return std::move(r);
    if (shared && r.status().is(Reason::Conflict) && ++shared_attempts < kMaxBesideAttempts) {
      auto now = store_.get(key);
      if (now.ok() && (*now)->revision == old->revision) {  // not this object's writer came first
        --attempt;
        continue;
      }
    }
    if (!r.status().is(Reason::Conflict) || pinned || attempt == kMaxUpdateAttempts) co_return worded(r.status(), kind, name);
  }
}

async::Task<Result<Registry::Deleted>> Registry::remove(const ObjectKind& kind, std::string ns, std::string name, DeleteRequest request,
                                                        int64_t default_grace, RegistryOptions options) {
  std::string key = storage_key(kind, ns, name);
  for (int attempt = 1;; ++attempt) {
    auto current = store_.get(key);
    if (!current.ok()) co_return worded(current.status(), kind, name);
    const ObjectPtr old = *current;
    CO_TRY(DeletePlan plan, plan_delete(old->doc, old->revision, kind, request, default_grace, clock_.now()));
    bool removes = plan.step == DeletePlan::Step::Remove;
    if (plan.step == DeletePlan::Step::Nothing || options.dry_run) co_return Deleted{old, removes};
    Write w;
    w.op = removes ? Write::Op::Remove : Write::Op::Update;
    w.key = key;
    if (!removes) w.doc = json::Doc::from(plan.object);
    w.expected = old->revision;
    w.durability = options.durability;
    auto r = co_await write(std::move(w));
    if (r.ok()) co_return Deleted{*r, removes};
    if (!r.status().is(Reason::Conflict) || attempt == kMaxUpdateAttempts) co_return worded(r.status(), kind, name);
  }
}

}  // namespace k8lite::apiserver
