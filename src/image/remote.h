// One registry as a puller talks to it: authentication (basic, bearer tokens, refresh tokens), redirects, proxies, retries of a busy
// server, and blobs that are taken up again where a connection broke. OCI distribution-spec 1.1, RFC 9110 §14.
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "async/async.h"
#include "image/manifest.h"
#include "image/registries.h"
#include "image/source.h"
#include "net/http.h"

namespace k8lite::image {

struct RemoteOptions {
  int attempts = 5;                  // of a blob without any progress, of a request to a busy server
  Duration pause = milliseconds(300);  // before the second attempt; doubled for each further one
  Duration stall = seconds(60);      // without a byte: the connection counts as cut
  Duration connect = seconds(15);
};

class ProxyTunnel;

// Thread-safe; calls block (never on the loop's thread). When `stop` becomes true they fail soon.
class Remote {
 public:
  Remote(async::Loop& loop, Endpoint endpoint, std::vector<RegistryAuth> auth, const Environment& environment, RemoteOptions options, const std::atomic<bool>& stop);
  ~Remote();

  using ResponsePtr = std::shared_ptr<net::ClientResponse>;
  // A 200 or 206 answer to a path below the endpoint. Errors: NotFound, Unauthorized, Forbidden, TooManyRequests, ServiceUnavailable.
  Result<ResponsePtr> get(const std::string& path, const std::string& accept, uint64_t from = 0);
  Result<std::string> text(const std::string& path, const std::string& accept, size_t limit);
  // Docker-Content-Digest of a manifest; "" where the registry does not tell.
  Result<std::string> digest_of_tag(const std::string& path, const std::string& accept);
  // Content of a blob from a byte on, up to exactly layer.size where that is known; `give_up` ends it early.
  std::unique_ptr<Source> blob(const std::string& path, const Descriptor& layer, const std::atomic<bool>& give_up, uint64_t from = 0);

  // A piece of the body of at most some 100 kB, "" at the end. Fails after a stall.
  struct Piece {
    std::string data;
    Status failed;
  };
  Piece read(const ResponsePtr& response, const std::atomic<bool>& give_up);

  // Hash of the caller's credentials that were needed so far; "" for none or those of the node.
  std::string credential() const;

  // For pushes: one request with whatever authentication it needs, to a path below the endpoint or a whole URL (an upload's location); a
  // busy server is asked again. Answers below 300 and 404 come back, others are errors.
  Result<ResponsePtr> ask_with(const std::string& method, const std::string& where, const net::Headers& headers, const std::string& body);
  std::string url_of(const ResponsePtr& response) const;  // its Location, whole
  const Endpoint& endpoint() const { return endpoint_; }
  const RemoteOptions& options() const { return options_; }
  bool sleep(Duration d, const std::atomic<bool>& give_up) const;  // false: stop

 private:
  struct Server;  // a connection pool to one host
  Result<ResponsePtr> send(const std::string& method, std::string url, net::Headers headers, std::string body);
  Result<ResponsePtr> ask(const std::string& method, const std::string& path, const std::string& accept, uint64_t from);
  Result<ResponsePtr> authorized(const std::string& method, const std::string& url, net::Headers headers, const std::string& body = {});
  Result<std::string> answer(const std::vector<std::string>& challenges, const RegistryAuth& auth);
  Result<std::string> bearer_token(const std::string& challenge, const RegistryAuth& auth);
  Result<std::shared_ptr<Server>> server_for(const net::Url& url);
  Status refusal(const std::string& method, const std::string& url, const ResponsePtr& response);
  template <class T>
  std::optional<T> wait(async::Task<T> task, const std::atomic<bool>& give_up) const;

  async::Loop& loop_;
  const Endpoint endpoint_;
  std::vector<RegistryAuth> auth_;
  const size_t own_from_;  // credentials from here on are the node's
  const Environment& environment_;
  const RemoteOptions options_;
  const std::atomic<bool>& stop_;
  mutable std::mutex mutex_;
  std::string authorization_, credential_;
  std::map<std::string, std::shared_ptr<Server>> servers_;
};

}  // namespace k8lite::image
