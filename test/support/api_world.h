// A whole API server on a memory store, for tests of what clients see: asked through its HTTP handler without a socket, or through the
// in-process client. Time stands still unless a test moves it.
#pragma once
#include "apiserver/api_server.h"
#include "pki/jwt.h"

namespace k8lite::testing {

struct HttpAnswer {
  int status = 0;
  net::Headers headers;
  std::string body;
  json::Node json() const { return json::Node::parse(body).value_or({}); }
  std::string message() const { return json().get("message").str(); }
};

class FakeRequest : public net::Request {
 public:
  FakeRequest(std::string m, std::string t, net::Headers h, std::string b, net::Peer p) : body_(std::move(b)), peer_(std::move(p)) {
    method = std::move(m);
    target = std::move(t);
    path = target.substr(0, target.find('?'));
    query = net::Query::parse(path.size() == target.size() ? "" : target.substr(path.size() + 1));
    headers = std::move(h);
  }
  const net::Peer& peer() const override { return peer_; }
  async::Task<Result<std::string>> read_body(size_t limit) override {
    if (body_.size() > limit) co_return Status(Reason::RequestEntityTooLarge, "limit is " + std::to_string(limit));
    co_return std::exchange(body_, "");
  }
  async::Task<Result<std::string>> read_chunk() override { co_return std::exchange(body_, ""); }

 private:
  std::string body_;
  net::Peer peer_;
};

class FakeWriter : public net::ResponseWriter {
 public:
  HttpAnswer answer;
  async::Task<Result<>> send(int status, net::Headers headers, std::string body) override {
    answer = {status, std::move(headers), std::move(body)};
    co_return Result<>();
  }
  async::Task<Result<>> start(int status, net::Headers headers) override {
    answer = {status, std::move(headers), ""};
    co_return Result<>();
  }
  async::Task<Result<>> write(std::string_view data) override {
    answer.body += data;
    co_return Result<>();
  }
  async::Task<Result<>> finish() override { co_return Result<>(); }
  async::Task<Result<net::StreamPtr>> upgrade(net::Headers) override { co_return bad_request("nothing to upgrade"); }
  void on_disconnect(std::function<void()>) override {}
  bool started() const override { return answer.status != 0; }
};

// Tokens: "admin" (system:masters), "ann" (user ann, group dev).
class ApiWorld {
 public:
  async::Loop loop;
  ManualClock clock;
  SeededRandom random{1};
  std::unique_ptr<store::Store> store = store::open_store(store::memory_backend(), clock).value();
  std::unique_ptr<apiserver::ApiServer> api;
  std::unique_ptr<machinery::Client> admin;

  explicit ApiWorld(apiserver::ApiServerOptions options = {}) {
    loop.start();
    if (options.service_account_key_pem.empty()) options.service_account_key_pem = key();
    options.tokens["admin"] = {{"admin", {"system:masters"}}, "1", {}};
    options.tokens["ann"] = {{"ann", {"dev"}}, "2", {}};
    api = apiserver::ApiServer::create(loop, *store, clock, random, options).value();
    api->bootstrap().value();
    admin = client("admin", {"system:masters"});
  }
  ~ApiWorld() {
    admin = nullptr;
    loop.stop();
  }

  std::unique_ptr<machinery::Client> client(std::string user, std::vector<std::string> groups) { return api->client({{std::move(user), std::move(groups)}, {}, {}}, "test"); }

  HttpAnswer ask(std::string method, std::string target, std::string body = "", net::Headers headers = {}, std::string token = "admin") {
    if (!token.empty()) headers.set("Authorization", "Bearer " + token);
    if (!headers.has("Content-Type")) headers.set("Content-Type", "application/json");
    FakeRequest request(std::move(method), std::move(target), std::move(headers), std::move(body), {});
    FakeWriter writer;
    async::block_on(loop, run(api->handler(), &request, &writer));
    return std::move(writer.answer);
  }
  HttpAnswer ask_as(std::string token, std::string method, std::string target, std::string body = "") { return ask(std::move(method), std::move(target), std::move(body), {}, std::move(token)); }

  static const std::string& key() {
    static const std::string k = pki::create_signing_key().value();
    return k;
  }

 private:
  static async::Task<bool> run(net::Handler handler, net::Request* request, net::ResponseWriter* writer) {
    co_await handler(*request, *writer);
    co_return true;
  }
};

}  // namespace k8lite::testing
