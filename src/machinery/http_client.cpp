#include "machinery/http_client.h"

#include <thread>

#include "base/log.h"
#include "base/strings.h"

namespace k8lite::machinery {
namespace {

using net::ClientRequest;
using net::ClientResponse;
using net::Headers;

constexpr size_t kMaxAnswer = size_t{512} << 20;   // a list of a large cluster
constexpr size_t kMaxWatchLine = 16 << 20;         // one event

struct Answer {
  int status = 0;
  std::string body;
};

async::Task<Result<Answer>> exchange(std::shared_ptr<net::HttpClient> http, ClientRequest request) {
  CO_TRY(auto response, co_await http->send(std::move(request)));
  CO_TRY(std::string body, co_await response->read_body(kMaxAnswer));
  co_return Answer{response->status, std::move(body)};
}

std::string query_of(const std::vector<std::pair<std::string_view, std::string>>& parameters) {
  std::string out;
  for (const auto& [name, value] : parameters) {
    if (value.empty()) continue;
    out += out.empty() ? '?' : '&';
    out.append(name).append("=").append(url_encode(value));
  }
  return out;
}

std::string list_query(const ListOptions& o, bool watch) {
  return query_of({{"labelSelector", o.label_selector},
                   {"fieldSelector", o.field_selector},
                   {"limit", o.limit > 0 ? std::to_string(o.limit) : ""},
                   {"continue", o.continue_token},
                   {"resourceVersion", o.resource_version},
                   {"resourceVersionMatch", o.resource_version_match},
                   {"watch", watch ? "true" : ""},
                   {"allowWatchBookmarks", watch ? "true" : ""}});
}

std::string_view patch_content_type(PatchType type) {
  switch (type) {
    case PatchType::Json: return "application/json-patch+json";
    case PatchType::Merge: return "application/merge-patch+json";
    case PatchType::StrategicMerge: return "application/strategic-merge-patch+json";
    case PatchType::Apply: return "application/apply-patch+yaml";
  }
  return {};
}

// State of one watch, shared by its task, its handle and the response being read.
struct WatchState {
  std::mutex mutex;
  bool closed = false;
  std::function<void(WatchEvent)> on_event;
  std::unique_ptr<ClientResponse> response;

  void deliver(WatchEvent event) {
    std::lock_guard lock(mutex);
    if (!closed) on_event(std::move(event));
  }
};

WatchEvent error_event(Status status) { return {WatchEvent::Type::Error, {}, std::move(status)}; }

// One line of the stream. False when the watch is over.
bool deliver_line(WatchState& state, std::string_view line) {
  if (trim(line).empty()) return true;
  auto doc = json::Doc::parse(line);
  if (!doc.ok()) {
    state.deliver(error_event(doc.status().within("watch")));
    return false;
  }
  std::string type = (*doc)["type"].str();
  auto object = json::Doc::parse((*doc)["object"].raw());
  if (!object.ok()) return false;
  if (type == "ERROR") {
    state.deliver(error_event(status_from_response((*object)["code"].int_or(500), object->bytes())));
    return false;
  }
  WatchEvent::Type kind = type == "ADDED" ? WatchEvent::Type::Added : type == "MODIFIED" ? WatchEvent::Type::Modified
                        : type == "DELETED" ? WatchEvent::Type::Deleted : WatchEvent::Type::Bookmark;
  state.deliver({kind, std::move(object).value(), {}});
  return true;
}

async::Task<void> read_watch(std::shared_ptr<WatchState> state, ClientResponse* response) {
  std::string pending;
  for (;;) {
    auto piece = co_await response->read_chunk();
    if (!piece.ok() || piece->empty()) {
      state->deliver(error_event(piece.ok() ? unavailable("the watch has ended") : piece.status().within("watch")));
      co_return;
    }
    pending += *piece;
    size_t start = 0;
    for (size_t end; (end = pending.find('\n', start)) != std::string::npos; start = end + 1)
      if (!deliver_line(*state, std::string_view(pending).substr(start, end - start))) co_return response->cancel();
    pending.erase(0, start);
    if (pending.size() > kMaxWatchLine) {
      state->deliver(error_event(internal_error("watch: an event is larger than " + std::to_string(kMaxWatchLine) + " bytes")));
      co_return response->cancel();
    }
  }
}

class Handle : public WatchHandle {
 public:
  explicit Handle(std::shared_ptr<WatchState> state) : state_(std::move(state)) {}
  ~Handle() override { close(); }
  void close() override {
    std::lock_guard lock(state_->mutex);
    if (std::exchange(state_->closed, true)) return;
    if (state_->response) state_->response->cancel();
  }

 private:
  std::shared_ptr<WatchState> state_;
};

class HttpApiClient : public Client {
 public:
  HttpApiClient(async::Loop& loop, RawConnection raw, std::string manager) : loop_(loop), raw_(std::move(raw)), manager_(std::move(manager)) {}

  Result<json::Doc> get(const Path& path) override { return object("GET", path.url(), {}, {}); }

  Result<ListResult> list(const Path& path, const ListOptions& options) override {
    TRY(auto doc, object("GET", path.url() + list_query(options, false), {}, {}));
    ListResult out;
    std::string api_version = doc["apiVersion"].str(), kind = doc["kind"].str();
    if (kind.ends_with("List")) kind.resize(kind.size() - 4);
    for (json::Value item : doc["items"].items()) {
      std::string bytes(item.raw());
      if (!item["kind"]) {  // items of a list leave out what the list says
        std::string head = "{\"kind\":" + json::quoted(kind) + ",\"apiVersion\":" + json::quoted(api_version);
        bytes = bytes == "{}" ? head + "}" : head + "," + bytes.substr(1);
      }
      TRY(auto one, json::Doc::parse(bytes));
      out.items.push_back(std::move(one));
    }
    out.resource_version = doc.path("metadata.resourceVersion").str();
    out.continue_token = doc.path("metadata.continue").str();
    return out;
  }

  Result<json::Doc> create(const Path& path, const json::Doc& body, const WriteOptions& o) override {
    return object("POST", path.url() + write_query(o, false), "application/json", body.bytes());
  }
  Result<json::Doc> update(const Path& path, const json::Doc& body, const WriteOptions& o) override {
    return object("PUT", path.url() + write_query(o, false), "application/json", body.bytes());
  }
  Result<json::Doc> patch(const Path& path, PatchType type, const std::string& body, const WriteOptions& o) override {
    return object("PATCH", path.url() + write_query(o, type == PatchType::Apply), patch_content_type(type), body);
  }
  Result<json::Doc> remove(const Path& path, const DeleteOptions& o) override {
    json::Node body = json::Node::obj({{"kind", "DeleteOptions"}, {"apiVersion", "v1"}});
    if (o.grace_period_seconds >= 0) body.set("gracePeriodSeconds", o.grace_period_seconds);
    if (!o.propagation_policy.empty()) body.set("propagationPolicy", o.propagation_policy);
    if (!o.uid.empty()) body["preconditions"].set("uid", o.uid);
    if (!o.resource_version.empty()) body["preconditions"].set("resourceVersion", o.resource_version);
    return object("DELETE", path.url(), "application/json", body.dump());
  }

  Result<std::unique_ptr<WatchHandle>> watch(const Path& path, const ListOptions& options, std::function<void(WatchEvent)> on_event) override {
    auto state = std::make_shared<WatchState>();
    state->on_event = std::move(on_event);
    TRY_OK(async::block_on(loop_, open_watch(raw_.http, request("GET", path.url() + list_query(options, true), {}, {}), state)));
    async::spawn(loop_, read_watch(state, state->response.get()));
    return std::unique_ptr<WatchHandle>(std::make_unique<Handle>(state));
  }

  std::vector<Result<json::Doc>> submit(std::vector<Operation> operations) override {
    std::vector<Result<json::Doc>> out;
    for (const Operation& o : operations) {
      switch (o.kind) {
        case Operation::Kind::Create: out.push_back(create(o.path, o.body, o.options)); break;
        case Operation::Kind::Update: out.push_back(update(o.path, o.body, o.options)); break;
        case Operation::Kind::Patch: out.push_back(patch(o.path, o.patch_type, o.patch, o.options)); break;
        case Operation::Kind::Delete: out.push_back(remove(o.path, o.delete_options)); break;
      }
    }
    return out;
  }

 private:
  static async::Task<Result<>> open_watch(std::shared_ptr<net::HttpClient> http, ClientRequest request, std::shared_ptr<WatchState> state) {
    CO_TRY(auto response, co_await http->send(std::move(request)));
    if (response->status != 200) {
      CO_TRY(std::string body, co_await response->read_body(kMaxWatchLine));
      co_return status_from_response(response->status, body);
    }
    state->response = std::move(response);
    co_return Result<>{};
  }

  ClientRequest request(std::string method, std::string target, std::string_view content_type, std::string body) {
    ClientRequest r{std::move(method), raw_.path_prefix + target, raw_.headers, std::move(body)};
    r.headers.set("Accept", "application/json");
    if (!content_type.empty()) r.headers.set("Content-Type", std::string(content_type));
    return r;
  }
  Result<json::Doc> object(std::string method, std::string target, std::string_view content_type, std::string body) {
    TRY(Answer answer, async::block_on(loop_, exchange(raw_.http, request(std::move(method), std::move(target), content_type, std::move(body)))));
    if (answer.status < 200 || answer.status > 299) return status_from_response(answer.status, answer.body);
    auto doc = json::Doc::parse(answer.body);
    if (!doc.ok()) return doc.status().within("the server's answer");
    return doc;
  }
  std::string write_query(const WriteOptions& o, bool apply) const {
    return query_of({{"fieldManager", o.field_manager.empty() ? manager_ : o.field_manager},
                     {"dryRun", o.dry_run ? "All" : ""},
                     {"force", apply && o.force ? "true" : ""},
                     {"fieldValidation", o.field_validation}});
  }

  async::Loop& loop_;
  RawConnection raw_;
  std::string manager_;
};

}  // namespace

Status status_from_response(int http_status, std::string_view body) {
  auto node = json::Node::parse(body);
  if (!node.ok() || node->get("kind").str() != "Status") {
    std::string text(trim(body.substr(0, 1024)));
    return Status(reason_from_http(http_status), text.empty() ? "the server answered " + std::to_string(http_status) : text);
  }
  Reason reason = reason_from_name(node->get("reason").str());
  if (reason == Reason::Ok || reason == Reason::Unknown) reason = reason_from_http(http_status);
  Status status(reason, node->get("message").str());
  const json::Node& d = node->get("details");
  if (!d.is_object()) return status;
  StatusDetails details;
  details.name = d.get("name").str();
  details.group = d.get("group").str();
  details.kind = d.get("kind").str();
  details.uid = d.get("uid").str();
  details.retry_after_seconds = static_cast<int>(d.get("retryAfterSeconds").int_or(0));
  for (const json::Node& c : d.get("causes").items()) details.causes.push_back({c.get("reason").str(), c.get("message").str(), c.get("field").str()});
  return status.set_details(std::move(details));
}

Result<RawConnection> connect_raw(async::Loop& loop, const ConnectionConfig& config) {
  TRY(auto url, net::Url::parse(config.server));
  if (url.scheme != "https" && url.scheme != "http") return bad_request("server \"" + config.server + "\": the scheme must be https or http");
  net::HttpClientOptions options{.host = url.host, .port = url.port, .tls = nullptr};
  if (url.scheme == "https") {
    auto tls = net::make_tls_client({.ca_pem = config.ca_pem, .insecure_skip_verify = config.insecure_skip_verify,
                                     .certificate_pem = config.certificate_pem, .key_pem = config.key_pem, .server_name = {}});
    if (!tls.ok()) return tls.status().within("server " + config.server);
    options.tls = std::move(tls).value();
  }
  options.response_timeout = Duration{0};
  RawConnection raw;
  raw.http = net::make_http_client(loop, options);
  raw.headers.add("User-Agent", config.user_agent);
  if (!config.token.empty()) raw.headers.add("Authorization", "Bearer " + config.token);
  raw.path_prefix = url.target == "/" ? "" : url.target;
  while (raw.path_prefix.ends_with('/')) raw.path_prefix.pop_back();
  return raw;
}

Result<std::unique_ptr<Client>> make_http_api_client(async::Loop& loop, ConnectionConfig config) {
  TRY(auto raw, connect_raw(loop, config));
  return std::unique_ptr<Client>(std::make_unique<HttpApiClient>(loop, std::move(raw), config.field_manager));
}

}  // namespace k8lite::machinery
