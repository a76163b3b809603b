#include "apiserver/observed_client.h"

#include "base/log.h"

namespace k8lite::apiserver {
namespace {

using machinery::Operation;
using machinery::Path;

struct Verb {
  const char *name, *method;
};
constexpr Verb kGet{"get", "GET"}, kList{"list", "GET"}, kWatch{"watch", "GET"},
    kWrites[] = {{"create", "POST"}, {"update", "PUT"}, {"patch", "PATCH"}, {"delete", "DELETE"}};
const Verb& verb_of(Operation::Kind kind) { return kWrites[static_cast<int>(kind)]; }

class ObservedClient : public machinery::Client {
 public:
  ObservedClient(std::unique_ptr<machinery::Client> client, authn::Identity identity, std::string manager,
                 audit::Auditor* auditor, metrics::Family& requests, Random& random)
      : client_(std::move(client)),
        identity_(std::move(identity)),
        manager_(std::move(manager)),
        auditor_(auditor),
        requests_(requests),
        random_(random) {}

  Result<json::Doc> get(const Path& path) override {
    auto record = begin(kGet, path, {});
    return done(kGet, path, std::move(record), client_->get(path));
  }
  Result<machinery::ListResult> list(const Path& path, const machinery::ListOptions& o) override {
    auto record = begin(kList, path, {});
    auto r = client_->list(path, o);
    end(kList, path, record.get(), r.ok() ? Status() : r.status(), 200, {});
    return r;
  }
  Result<json::Doc> create(const Path& path, const json::Doc& body, const machinery::WriteOptions& o) override {
    return one({Operation::Kind::Create, path, body, {}, {}, o, {}});
  }
  Result<json::Doc> update(const Path& path, const json::Doc& body, const machinery::WriteOptions& o) override {
    return one({Operation::Kind::Update, path, body, {}, {}, o, {}});
  }
  Result<json::Doc> patch(const Path& path, machinery::PatchType type, const std::string& body,
                          const machinery::WriteOptions& o) override {
    return one({Operation::Kind::Patch, path, {}, type, body, o, {}});
  }
  Result<json::Doc> remove(const Path& path, const machinery::DeleteOptions& o) override {
    return one({Operation::Kind::Delete, path, {}, {}, {}, {}, o});
  }
  Result<std::unique_ptr<machinery::WatchHandle>> watch(const Path& path, const machinery::ListOptions& o,
                                                        std::function<void(machinery::WatchEvent)> fn) override {
    auto record = begin(kWatch, path, {});
    auto r = client_->watch(path, o, std::move(fn));
    if (record && r.ok()) record->code = 200, auditor_->tell(*record, audit::kResponseStarted);
    end(kWatch, path, r.ok() ? nullptr : record.get(), r.ok() ? Status() : r.status(), 200, {});
    return r;
  }

  std::vector<Result<json::Doc>> submit(std::vector<Operation> operations) override {
    struct Note {
      Verb verb;
      Path path;
      std::unique_ptr<audit::Record> record;
    };
    std::vector<Note> notes;
    for (const auto& o : operations) notes.push_back({verb_of(o.kind), o.path, begin(verb_of(o.kind), o.path, o)});
    auto results = client_->submit(std::move(operations));
    for (size_t i = 0; i < results.size(); ++i)
      results[i] = done(notes[i].verb, notes[i].path, std::move(notes[i].record), std::move(results[i]));
    return results;
  }

 private:
  Result<json::Doc> one(Operation o) {
    const Verb& verb = verb_of(o.kind);
    Path path = o.path;
    auto record = begin(verb, path, o);
    switch (o.kind) {
      case Operation::Kind::Create:
        return done(verb, path, std::move(record), client_->create(path, o.body, o.options));
      case Operation::Kind::Update:
        return done(verb, path, std::move(record), client_->update(path, o.body, o.options));
      case Operation::Kind::Patch:
        return done(verb, path, std::move(record), client_->patch(path, o.patch_type, o.patch, o.options));
      case Operation::Kind::Delete:
        break;
    }
    return done(verb, path, std::move(record), client_->remove(path, o.delete_options));
  }

  std::unique_ptr<audit::Record> begin(const Verb& verb, const Path& path, const std::optional<Operation>& o) {
    if (!auditor_) return nullptr;
    RequestInfo info{.is_resource = true,
                     .path = path.url(),
                     .verb = verb.name,
                     .group = path.group,
                     .version = path.version,
                     .resource = path.resource,
                     .subresource = path.subresource,
                     .ns = path.ns,
                     .name = path.name};
    auto record = auditor_->begin(identity_, info, new_uuid(random_));
    if (!record) return nullptr;
    record->uri = info.path;
    record->user_agent = manager_;
    record->source_addresses = {"127.0.0.1"};
    if (o && record->wants_request())
      record->request_object = o->kind == Operation::Kind::Patch ? o->patch : o->body.bytes();
    auditor_->tell(*record, audit::kRequestReceived);
    return record;
  }
  Result<json::Doc> done(const Verb& verb, const Path& path, std::unique_ptr<audit::Record> record,
                         Result<json::Doc> r) {
    end(verb, path, record.get(), r.ok() ? Status() : r.status(), verb.name == kWrites[0].name ? 201 : 200,
        r.ok() ? *r : json::Doc());
    return r;
  }
  void end(const Verb& verb, const Path& path, audit::Record* record, const Status& status, int good,
           const json::Doc& answer) {
    int code = status.ok() ? good : http_code(status.reason());
    requests_
        .at(metrics::Labels().add("code", std::to_string(code)).add("method", verb.method).add("host", "in-process"))
        .add();
    // A quota or a policy that refuses is no lack of rights.
    bool lacks = status.is(Reason::Forbidden) && status.message().find(" cannot " + std::string(verb.name) + " resource ") != std::string::npos;
    if (lacks)
      log_warn("a component of this server is forbidden what it wants",
               {{"user", identity_.user.name}, {"verb", verb.name}, {"path", path.url()}, {"error", status}});
    if (!record) return;
    record->code = code;
    record->annotations = {{"authorization.k8s.io/decision", lacks ? "forbid" : "allow"},
                           {"authorization.k8s.io/reason", ""}};
    if (record->wants_response() && answer) record->response_object = answer.bytes();
    auditor_->tell(*record, audit::kResponseComplete);
  }

  const std::unique_ptr<machinery::Client> client_;
  const authn::Identity identity_;
  const std::string manager_;
  audit::Auditor* const auditor_;
  metrics::Family& requests_;
  Random& random_;
};

}  // namespace

std::unique_ptr<machinery::Client> observe_client(std::unique_ptr<machinery::Client> client, authn::Identity identity,
                                                  std::string manager, audit::Auditor* auditor,
                                                  metrics::Family& requests, Random& random) {
  return std::make_unique<ObservedClient>(std::move(client), std::move(identity), std::move(manager), auditor, requests,
                                          random);
}

}  // namespace k8lite::apiserver
