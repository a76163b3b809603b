#include "image/remote.h"

#include <condition_variable>

#include "base/strings.h"
#include "image/proxy_tunnel.h"
#include "os/files.h"

namespace k8lite::image {
namespace {

using json::Node;
using net::ClientRequest;

constexpr int kMaxRedirects = 5;
constexpr size_t kErrorBody = 64 << 10;
constexpr size_t kTokenBody = 1 << 20;
constexpr size_t kPiece = 128 << 10;

std::string_view status_text(int code) {
  switch (code) {
    case 400: return " Bad Request";
    case 401: return " Unauthorized";
    case 403: return " Forbidden";
    case 404: return " Not Found";
    case 416: return " Range Not Satisfiable";
    case 429: return " Too Many Requests";
    case 500: return " Internal Server Error";
    case 502: return " Bad Gateway";
    case 503: return " Service Unavailable";
    case 504: return " Gateway Timeout";
    default: return "";
  }
}

bool is_busy(int code) { return code == 429 || code == 500 || code == 502 || code == 503 || code == 504; }

std::string authority_of(const net::Url& url) {
  std::string host = url.host.find(':') == url.host.npos ? url.host : "[" + url.host + "]";
  bool usual = url.port == (url.scheme == "https" ? 443 : 80);
  return usual ? host : host + ":" + std::to_string(url.port);
}

// key="value" or key=value of a challenge.
std::string field_of(const std::string& challenge, const std::string& name) {
  for (size_t at = 0; (at = challenge.find(name + "=", at)) != challenge.npos; ++at) {
    if (at > 0 && challenge[at - 1] != ' ' && challenge[at - 1] != ',') continue;
    at += name.size() + 1;
    if (at < challenge.size() && challenge[at] == '"') return challenge.substr(at + 1, challenge.find('"', at + 1) - at - 1);
    return challenge.substr(at, challenge.find_first_of(", ", at) - at);
  }
  return "";
}

}  // namespace

struct Remote::Server {
  std::shared_ptr<net::HttpClient> client;
  std::unique_ptr<ProxyTunnel> tunnel;
  std::string prefix;        // of the target, for a plain proxy
  std::string proxy_authorization;
};

Remote::Remote(async::Loop& loop, Endpoint endpoint, std::vector<RegistryAuth> auth, const Environment& environment, RemoteOptions options, const std::atomic<bool>& stop)
    : loop_(loop), endpoint_(std::move(endpoint)), auth_(std::move(auth)), own_from_(auth_.size()), environment_(environment), options_(options), stop_(stop) {
  if (!endpoint_.config.auth.empty()) auth_.push_back(endpoint_.config.auth);
  auth_.push_back({});
}
Remote::~Remote() = default;

std::string Remote::credential() const {
  std::lock_guard lock(mutex_);
  return credential_;
}

// Runs a task on the loop; nothing when it should stop first (the task is left to end by itself).
template <class T>
std::optional<T> Remote::wait(async::Task<T> task, const std::atomic<bool>& give_up) const {
  struct Shared {
    std::mutex mutex;
    std::condition_variable cv;
    std::optional<T> value;
  };
  auto shared = std::make_shared<Shared>();
  struct Run {
    static async::Task<void> go(async::Task<T> t, std::shared_ptr<Shared> s) {
      T v = co_await std::move(t);
      std::lock_guard lock(s->mutex);
      s->value.emplace(std::move(v));
      s->cv.notify_all();
    }
  };
  async::spawn(loop_, Run::go(std::move(task), shared));
  std::unique_lock lock(shared->mutex);
  while (!shared->value && !stop_ && !give_up) shared->cv.wait_for(lock, milliseconds(200));
  return std::move(shared->value);
}

bool Remote::sleep(Duration d, const std::atomic<bool>& give_up) const {
  std::mutex mutex;
  std::condition_variable cv;
  std::unique_lock lock(mutex);
  for (Duration slept{0}; slept < d; slept += milliseconds(100)) {
    if (stop_ || give_up) return false;
    cv.wait_for(lock, std::min<Duration>(milliseconds(100), d - slept));
  }
  return !stop_ && !give_up;
}

Result<std::shared_ptr<Remote::Server>> Remote::server_for(const net::Url& url) {
  std::string key = url.scheme + "://" + url.host + ":" + std::to_string(url.port);
  std::lock_guard lock(mutex_);
  if (auto it = servers_.find(key); it != servers_.end()) return it->second;
  auto server = std::make_shared<Server>();
  net::HttpClientOptions options{.host = url.host, .port = url.port, .tls = nullptr, .connect_timeout = options_.connect, .response_timeout = options_.stall};
  TRY(Proxy proxy, proxy_for(url.scheme, url.host, url.port, environment_));
  if (url.scheme == "https") {
    net::TlsClientConfig tls{.ca_pem = {}, .insecure_skip_verify = endpoint_.config.insecure_skip_verify, .certificate_pem = {}, .key_pem = {}, .server_name = {}};
    const RegistryConfig& c = endpoint_.config;
    for (auto [file, text] : {std::pair{&c.ca_file, &tls.ca_pem}, {&c.cert_file, &tls.certificate_pem}, {&c.key_file, &tls.key_pem}})
      if (!file->empty()) {
        TRY(*text, os::read_file(*file, 4 << 20));
      }
    if (!proxy.host.empty()) tls.server_name = url.host;
    TRY(options.tls, net::make_tls_client(tls));
  }
  if (!proxy.host.empty() && url.scheme == "https") {
    TRY(server->tunnel, ProxyTunnel::open(loop_, proxy, url.host, url.port));
    options.host = "127.0.0.1";
    options.port = server->tunnel->port();
  } else if (!proxy.host.empty()) {
    options.host = proxy.host;
    options.port = proxy.port;
    server->prefix = "http://" + authority_of(url);
    server->proxy_authorization = proxy.authorization;
  }
  server->client = net::make_http_client(loop_, options);
  servers_[key] = server;
  return server;
}

namespace {
async::Task<Result<Remote::ResponsePtr>> send_task(std::shared_ptr<net::HttpClient> client, ClientRequest request) {
  auto r = co_await client->send(std::move(request));
  if (!r.ok()) co_return std::move(r).status();
  co_return Remote::ResponsePtr(std::move(r).value());
}
async::Task<Result<std::string>> body_task(Remote::ResponsePtr response, size_t limit) { co_return co_await response->read_body(limit); }

// Gathers up to kPiece bytes; what came before a failure counts.
async::Task<Remote::Piece> piece_task(async::Loop& loop, Remote::ResponsePtr response, Duration stall) {
  Remote::Piece out;
  while (out.data.size() < kPiece) {
    auto over = std::make_shared<bool>(false);
    auto late = std::make_shared<bool>(false);
    uint64_t timer = loop.after(stall, [response, over, late] {
      if (*over) return;
      *late = true;
      response->cancel();
    });
    auto chunk = co_await response->read_chunk();
    *over = true;
    loop.cancel_timer(timer);
    if (!chunk.ok()) {
      out.failed = *late ? timed_out("no byte for " + human_duration(stall)) : chunk.status();
      break;
    }
    if (chunk->empty()) break;
    out.data += *chunk;
  }
  co_return out;
}
}  // namespace

Remote::Piece Remote::read(const ResponsePtr& response, const std::atomic<bool>& give_up) {
  auto piece = wait(piece_task(loop_, response, options_.stall), give_up);
  if (piece) return std::move(*piece);
  response->cancel();
  return {"", unavailable("given up")};
}

// One request, redirects followed; credentials never go to another host, nor from https to http.
Result<Remote::ResponsePtr> Remote::send(const std::string& method, std::string url, net::Headers headers, std::string body) {
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    TRY(net::Url parsed, net::Url::parse(url));
    TRY(auto server, server_for(parsed));
    ClientRequest request{method, server->prefix + parsed.target, headers, body};
    request.headers.set("User-Agent", "k8lite");
    request.headers.set("Host", authority_of(parsed));
    if (!server->proxy_authorization.empty()) request.headers.set("Proxy-Authorization", server->proxy_authorization);
    auto sent = wait(send_task(server->client, std::move(request)), stop_);
    if (!sent) return unavailable("stopped");
    if (!sent->ok()) {
      Status why = server->tunnel && !server->tunnel->error().empty() ? unavailable(server->tunnel->error()) : sent->status();
      std::string verb = method.substr(0, 1) + lower(method.substr(1));
      return std::move(why).within("failed to do request: " + verb + " " + json::quoted(url));
    }
    ResponsePtr response = std::move(*sent).value();
    if (response->status < 300 || response->status > 308 || response->status == 304) return response;
    std::string to(response->headers.get("Location"));
    if (to.empty()) return unavailable(url + ": a redirect without a location");
    if (to.starts_with("//")) to = parsed.scheme + ":" + to;
    else if (to.starts_with("/")) to = parsed.scheme + "://" + authority_of(parsed) + to;
    else if (to.find("://") == to.npos) to = parsed.scheme + "://" + authority_of(parsed) + parsed.target.substr(0, parsed.target.rfind('/', parsed.target.find('?')) + 1) + to;
    TRY(net::Url next, net::Url::parse(to));
    if (parsed.scheme == "https" && next.scheme != "https") return bad_request(url + ": refused to follow a redirect from https to " + to);
    if (next.host != parsed.host || next.port != parsed.port) headers.remove("Authorization");
    url = to;
  }
  return bad_request(url + ": more than " + std::to_string(kMaxRedirects) + " redirects");
}

Result<std::string> Remote::bearer_token(const std::string& challenge, const RegistryAuth& auth) {
  if (!auth.registry_token.empty()) return "Bearer " + auth.registry_token;
  std::string realm = field_of(challenge, "realm"), service = field_of(challenge, "service"), scope = field_of(challenge, "scope");
  if (realm.empty()) return Status(Reason::Unauthorized, "the registry refuses without saying where to get a token");
  if (endpoint_.url.starts_with("https://") && !realm.starts_with("https://")) return Status(Reason::Unauthorized, "refused to ask for a token without TLS: " + realm);
  std::string who = auth.empty() ? "failed to fetch anonymous token" : "failed to fetch oauth token";
  net::Headers headers;
  std::string method = "GET", url = realm, body;
  if (!auth.identity_token.empty()) {
    method = "POST";
    headers.add("Content-Type", "application/x-www-form-urlencoded");
    body = "grant_type=refresh_token&client_id=k8lite&refresh_token=" + url_encode(auth.identity_token) + "&service=" + url_encode(service) + "&scope=" + url_encode(scope);
  } else {
    url += (realm.find('?') == realm.npos ? "?" : "&") + std::string("service=") + url_encode(service);
    if (!scope.empty()) url += "&scope=" + url_encode(scope);
    if (!auth.username.empty()) headers.add("Authorization", "Basic " + base64_encode(auth.username + ":" + auth.password));
  }
  auto response = send(method, url, std::move(headers), std::move(body));
  if (!response.ok()) return std::move(response).status().within("failed to authorize: " + who);
  auto text = wait(body_task(*response, kTokenBody), stop_);
  if (!text) return unavailable("stopped");
  if (!text->ok()) return text->status();
  if ((*response)->status != 200)
    return Status(Reason::Unauthorized, "failed to authorize: " + who + ": unexpected status from " + method + " request to " + url + ": " + std::to_string((*response)->status) + std::string(status_text((*response)->status)));
  TRY(Node token, Node::parse(**text));
  std::string value = token.get("token").str_or(token.get("access_token").str());
  if (value.empty()) return Status(Reason::Unauthorized, "failed to authorize: " + who + ": " + realm + " sent no token");
  return "Bearer " + value;
}

// The Authorization header for a challenge: `Bearer realm="…",service="…",scope="…"` before Basic.
Result<std::string> Remote::answer(const std::vector<std::string>& challenges, const RegistryAuth& auth) {
  for (const auto& c : challenges)
    if (lower(c).starts_with("bearer")) return bearer_token(c, auth);
  for (const auto& c : challenges)
    if (lower(c).starts_with("basic")) {
      if (auth.username.empty()) return Status(Reason::Unauthorized, "failed to authorize: no basic auth credentials");
      return "Basic " + base64_encode(auth.username + ":" + auth.password);
    }
  return Status(Reason::Unauthorized, "failed to authorize: the registry refuses without saying how to authenticate");
}

// Sends with what worked last; a 401 is answered with each of the credentials in turn.
Result<Remote::ResponsePtr> Remote::authorized(const std::string& method, const std::string& url, net::Headers headers, const std::string& body) {
  {
    std::lock_guard lock(mutex_);
    if (!authorization_.empty()) headers.set("Authorization", authorization_);
  }
  TRY(ResponsePtr response, send(method, url, headers, body));
  if (response->status != 401) return response;
  std::vector<std::string> challenges;
  for (auto c : response->headers.all("WWW-Authenticate")) challenges.emplace_back(c);
  Status why;
  bool refused = false;  // credentials were sent and did not do
  for (size_t i = 0; i < auth_.size(); ++i) {
    if (refused && auth_[i].empty() && lower(challenges.empty() ? "" : challenges[0]).starts_with("basic")) break;
    auto header = answer(challenges, auth_[i]);
    if (!header.ok()) {
      if (why.ok() || !auth_[i].empty()) why = header.status();
      continue;
    }
    headers.set("Authorization", *header);
    TRY(response, send(method, url, headers, body));
    refused = response->status == 401 || response->status == 403;
    if (refused) continue;
    std::lock_guard lock(mutex_);
    authorization_ = *header;
    credential_ = i < own_from_ ? auth_[i].hash() : "";
    return response;
  }
  if (response->status == 401 && !why.ok()) return why;
  return response;
}

Status Remote::refusal(const std::string& method, const std::string& url, const ResponsePtr& response) {
  std::string message;
  if (method != "HEAD")
    if (auto text = wait(body_task(response, kErrorBody), stop_); text && text->ok())
      if (auto node = Node::parse(**text); node.ok())
        for (const Node& e : node->get("errors").items()) message += (message.empty() ? "" : "; ") + lower(e.get("code").str()) + ": " + e.get("message").str();
  int code = response->status;
  if (code == 404) return not_found("not found");
  if (code == 401 || code == 403)
    return Status(code == 401 ? Reason::Unauthorized : Reason::Forbidden, (method == "GET" || method == "HEAD" ? "pull" : "push") + std::string(" access denied, repository does not exist or may require authorization: server message: ") + (message.empty() ? "insufficient_scope: authorization failed" : message));
  std::string what = "unexpected status from " + method + " request to " + url + ": " + std::to_string(code) + std::string(status_text(code)) + (message.empty() ? "" : ": " + message);
  return code == 429 ? Status(Reason::TooManyRequests, what) : unavailable(what);
}

Result<Remote::ResponsePtr> Remote::ask(const std::string& method, const std::string& path, const std::string& accept, uint64_t from) {
  net::Headers headers;
  if (!accept.empty()) headers.add("Accept", accept);
  if (from > 0) headers.add("Range", "bytes=" + std::to_string(from) + "-");
  std::string url = endpoint_.url + "/" + endpoint_.repository + path;
  if (!endpoint_.mirror_of.empty() && endpoint_.mirror_of != net::Url::parse(endpoint_.url).value_or({}).host) url += "?ns=" + url_encode(endpoint_.mirror_of);
  Duration pause = options_.pause;
  for (int attempt = 1;; ++attempt) {
    TRY(ResponsePtr response, authorized(method, url, headers));
    if (response->status == 200 || response->status == 206) return response;
    if (!is_busy(response->status) || attempt >= std::min(options_.attempts, 3)) return refusal(method, url, response);
    auto wanted = parse_int(response->headers.get("Retry-After"));
    if (!sleep(wanted && *wanted >= 0 && *wanted <= 30 ? std::max<Duration>(seconds(*wanted), pause) : pause, stop_)) return unavailable("stopped");
    pause *= 2;
  }
}

Result<Remote::ResponsePtr> Remote::ask_with(const std::string& method, const std::string& where, const net::Headers& headers, const std::string& body) {
  std::string url = where.starts_with("/") ? endpoint_.url + "/" + endpoint_.repository + where : where;
  Duration pause = options_.pause;
  for (int attempt = 1;; ++attempt) {
    TRY(ResponsePtr response, authorized(method, url, headers, body));
    if (response->status < 300 || response->status == 404) return response;
    if (!is_busy(response->status) || attempt >= options_.attempts) return refusal(method, url, response);
    if (!sleep(pause, stop_)) return unavailable("stopped");
    pause *= 2;
  }
}

std::string Remote::url_of(const ResponsePtr& response) const {
  std::string to(response->headers.get("Location"));
  size_t path = endpoint_.url.find('/', endpoint_.url.find("//") + 2);
  return to.starts_with("/") ? endpoint_.url.substr(0, path) + to : to;
}

Result<Remote::ResponsePtr> Remote::get(const std::string& path, const std::string& accept, uint64_t from) { return ask("GET", path, accept, from); }

Result<std::string> Remote::text(const std::string& path, const std::string& accept, size_t limit) {
  TRY(ResponsePtr response, get(path, accept));
  auto text = wait(body_task(response, limit), stop_);
  if (!text) return unavailable("stopped");
  return std::move(*text).within("failed to copy " + path);
}

Result<std::string> Remote::digest_of_tag(const std::string& path, const std::string& accept) {
  TRY(ResponsePtr response, ask("HEAD", path, accept, 0));
  return std::string(response->headers.get("Docker-Content-Digest"));
}

namespace {

class BlobSource : public Source {
 public:
  BlobSource(Remote& remote, std::string path, Descriptor layer, const std::atomic<bool>& give_up, uint64_t from)
      : remote_(remote), path_(std::move(path)), layer_(std::move(layer)), give_up_(give_up), offset_(from), complete_(layer_.size >= 0 && from >= static_cast<uint64_t>(layer_.size)), first_(from) {}

  Result<size_t> read(char* buffer, size_t size) override {
    while (at_ >= piece_.size()) {
      if (complete_) return size_t{0};
      TRY_OK(more());
    }
    size_t n = piece_.copy(buffer, size, at_);
    at_ += n;
    return n;
  }

 private:
  Result<> more() {
    at_ = 0;
    piece_.clear();
    if (!response_) TRY_OK(open());
    auto piece = remote_.read(response_, give_up_);
    piece_ = std::move(piece.data);
    skip();
    if (piece.failed.ok() && skip_ == 0 && piece_.empty()) {  // the end
      response_ = nullptr;
      if (layer_.size < 0 || offset_ >= static_cast<uint64_t>(layer_.size)) {
        complete_ = true;
        return {};
      }
      piece.failed = unavailable("unexpected EOF");
    }
    if (!piece_.empty()) failures_ = 0;
    offset_ += piece_.size();
    if (layer_.size >= 0 && offset_ > static_cast<uint64_t>(layer_.size)) return bad_request("the registry sends more than the " + std::to_string(layer_.size) + " bytes of " + layer_.digest);
    if (piece.failed.ok()) return {};
    response_ = nullptr;
    return retry(piece.failed);
  }

  // A server without ranges sends everything again.
  void skip() {
    size_t n = static_cast<size_t>(std::min<uint64_t>(skip_, piece_.size()));
    piece_.erase(0, n);
    skip_ -= n;
  }

  Result<> open() {
    auto response = remote_.get(path_, "", offset_);
    if (!response.ok()) {
      if (offset_ == first_ && failures_ == 0) return std::move(response).status();
      if (!response.status().is(Reason::ServiceUnavailable) && !response.status().is(Reason::Timeout)) return truncated(response.status());
      TRY_OK(retry(response.status()));
      return open();
    }
    skip_ = 0;
    if (offset_ > 0 && (*response)->status == 200) skip_ = offset_;
    if ((*response)->status == 206) {
      std::string range((*response)->headers.get("Content-Range"));
      if (!range.starts_with("bytes " + std::to_string(offset_) + "-")) return truncated(unavailable("asked for the rest from byte " + std::to_string(offset_) + ", the registry answered \"" + range + "\""));
    }
    response_ = std::move(response).value();
    return {};
  }

  Result<> retry(const Status& why) {
    if (++failures_ >= remote_.options().attempts) return truncated(why);
    if (!remote_.sleep(remote_.options().pause * (1 << (failures_ - 1)), give_up_)) return unavailable("given up");
    return {};
  }
  Status truncated(const Status& why) const {
    std::string of = layer_.size < 0 ? "" : " of " + std::to_string(layer_.size);
    return unavailable("failed to copy: truncated layer " + layer_.digest + ": got " + std::to_string(offset_) + of + " bytes: " + why.message());
  }

  Remote& remote_;
  const std::string path_;
  const Descriptor layer_;
  const std::atomic<bool>& give_up_;
  Remote::ResponsePtr response_;
  std::string piece_;
  size_t at_ = 0;
  uint64_t offset_, skip_ = 0;
  bool complete_;
  const uint64_t first_;
  int failures_ = 0;
};

}  // namespace

std::unique_ptr<Source> Remote::blob(const std::string& path, const Descriptor& layer, const std::atomic<bool>& give_up, uint64_t from) {
  return std::make_unique<BlobSource>(*this, path, layer, give_up, from);
}

}  // namespace k8lite::image
