// What a command works with: its flags, its outputs and the server. The connection, discovery and the kubeconfig are made when they are
// first needed, so that `kubectl help` touches nothing. One thread.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "async/async.h"
#include "config/kubeconfig.h"
#include "kubectl/discovery.h"
#include "kubectl/flags.h"
#include "machinery/http_client.h"

namespace k8lite::kubectl {

struct Reply {
  int status = 0;
  std::string body;
  net::Headers headers;
};

// A response read piece by piece; ends when destroyed.
class Reading {
 public:
  Reading(async::Loop& loop, std::unique_ptr<net::ClientResponse> response) : loop_(loop), response_(std::move(response)) {}
  ~Reading();
  Result<std::string> chunk();  // "" at the end
  // Next line without its end; ok with `done` set at the end.
  Result<std::string> line(bool& done);
  void cancel() { response_->cancel(); }

 private:
  async::Loop& loop_;
  std::unique_ptr<net::ClientResponse> response_;
  std::string pending_;
};

enum class PatchKind { Json, Merge, Strategic, Apply };

class Session {
 public:
  explicit Session(Flags flags) : flags(std::move(flags)) {}
  ~Session();
  Flags flags;
  std::string command_path;  // "kubectl rollout status"
  std::vector<std::string> own_flags;  // the command's flags that have the name of a global one: `create rolebinding --user`
  int exit_code = 0;

  void out(std::string_view text);  // stdout
  void err(std::string_view text);  // stderr
  // Prints an error as kubectl does and makes the exit code 1; the command goes on.
  void fail(const Status& status);

  Result<const config::Access*> access();
  config::KubeconfigQuery kubeconfig_query() const;
  Result<std::string> ns();          // --namespace, the context's, "default"
  bool ns_given() const { return flags.changed("namespace"); }
  bool all_namespaces() const { return flags.on("all-namespaces"); }
  Result<const Discovery*> discovery();
  void forget_discovery() { discovery_.reset(); }
  Result<Mapping> mapping(std::string_view word);  // error: the server doesn't have a resource type "x"

  // Any exchange; errors of the server come back as "Error from server (Reason): ...".
  Result<Reply> http(std::string method, std::string target, std::string body = "", std::string content_type = "", std::string accept = "application/json");
  Result<json::Node> call(std::string method, std::string target, const json::Node* body = nullptr);
  Result<json::Node> get(const std::string& target) { return call("GET", target); }
  Result<json::Node> patch(const std::string& target, PatchKind kind, const json::Node& body);
  Result<std::unique_ptr<Reading>> open(std::string target, std::string accept = "application/json");
  async::Loop& loop();
  Result<machinery::RawConnection*> raw();

 private:
  std::unique_ptr<async::Loop> loop_;
  std::unique_ptr<config::Access> access_;
  std::unique_ptr<machinery::RawConnection> raw_;
  std::unique_ptr<Discovery> discovery_;
};

// ".../namespaces/NS/pods/NAME/SUB"; ns "" for cluster scope and all namespaces.
std::string url_of(const Mapping& m, std::string_view ns, std::string_view name = {}, std::string_view subresource = {});
std::string with_query(std::string target, const std::vector<std::pair<std::string, std::string>>& parameters);  // skips empty values

// `error: message`; the texts that already say so stay.
std::string error_text(const Status& status);
bool from_server(const Status& status);
// Puts `error when creating "web.yaml": ` into a server's error.
Status with_source(const Status& status, std::string_view verb, std::string_view source);
inline Status usage(std::string message) { return bad_request(std::move(message)); }

}  // namespace k8lite::kubectl
