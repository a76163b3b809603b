// The connection and its errors. A server's refusal becomes the sentence kubectl prints at the place where it arrives; everything else
// gets "error: " in front when it is printed.
#include "kubectl/session.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/strings.h"

extern char** environ;

namespace k8lite::kubectl {
namespace {

constexpr size_t kMaxAnswer = size_t{512} << 20;
constexpr std::string_view kAggregated =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

async::Task<Result<Reply>> exchange(std::shared_ptr<net::HttpClient> http, net::ClientRequest request) {
  CO_TRY(auto response, co_await http->send(std::move(request)));
  CO_TRY(std::string body, co_await response->read_body(kMaxAnswer));
  co_return Reply{response->status, std::move(body), response->headers};
}

// The sentence for a metav1.Status.
Status server_error(int code, std::string_view body) {
  Status s = machinery::status_from_response(code, body);
  std::string text;
  const StatusDetails& d = s.details();
  if (s.is(Reason::Unauthorized)) {
    text = "error: You must be logged in to the server (" + s.message() + ")";
  } else if (s.is(Reason::Invalid)) {
    text = d.kind.empty() && d.name.empty() ? "The request is invalid" : "The " + d.kind + " " + json::quoted(d.name) + " is invalid";
    if (d.causes.empty() && !s.message().empty()) text += ": " + s.message();
    auto line = [](const Cause& c) { return (c.field.empty() ? "" : c.field + ": ") + c.message; };
    if (d.causes.size() == 1) text += ": " + line(d.causes[0]);
    if (d.causes.size() > 1) {
      text += ": ";
      for (const Cause& c : d.causes) text += "\n* " + line(c);
    }
  } else if (s.is(Reason::Unknown) || s.is(Reason::Ok)) {
    text = "Error from server: " + s.message();
  } else {
    text = "Error from server (" + std::string(reason_name(s.reason())) + "): " + s.message();
  }
  Status out(s.reason(), text);
  out.set_details(d);
  return out;
}

Status connection_error(const Status& s, const std::string& server) {
  if (s.sys_errno() == ECONNREFUSED || s.message().find("refused") != std::string::npos) {
    std::string host = server;
    if (size_t at = host.find("://"); at != std::string::npos) host = host.substr(at + 3);
    return Status(Reason::ServiceUnavailable, "The connection to the server " + host + " was refused - did you specify the right host or port?");
  }
  return Status(s.reason(), "Unable to connect to the server: " + s.message());
}

}  // namespace

Reading::~Reading() { response_->cancel(); }

Result<std::string> Reading::chunk() { return async::block_on(loop_, response_->read_chunk()); }

Result<std::string> Reading::line(bool& done) {
  done = false;
  for (;;) {
    size_t end = pending_.find('\n');
    if (end != std::string::npos) {
      std::string out = pending_.substr(0, end);
      pending_.erase(0, end + 1);
      return out;
    }
    TRY(std::string more, chunk());
    if (more.empty()) {
      done = pending_.empty();
      return std::exchange(pending_, "");
    }
    pending_ += more;
  }
}

Session::~Session() {
  raw_.reset();
  if (loop_) loop_->stop();
}

void Session::out(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}
void Session::err(std::string_view text) {
  std::fflush(stdout);
  std::fwrite(text.data(), 1, text.size(), stderr);
}

bool from_server(const Status& s) {
  return s.message().starts_with("Error from server") || s.message().starts_with("error: You must be logged in") ||
         (s.is(Reason::Invalid) && s.message().starts_with("The "));
}

std::string error_text(const Status& s) {
  const std::string& m = s.message();
  if (from_server(s) || m.starts_with("The connection to the server") || m.starts_with("Unable to connect") || m.starts_with("error: ")) return m;
  return "error: " + m;
}

void Session::fail(const Status& status) {
  err(error_text(status) + "\n");
  exit_code = 1;
}

Status with_source(const Status& s, std::string_view verb, std::string_view source) {
  size_t at = s.message().find("): ");
  if (source.empty() || !s.message().starts_with("Error from server (") || at == std::string::npos) return s;
  Status out(s.reason(), s.message().substr(0, at + 3) + "error when " + std::string(verb) + " " + json::quoted(source) + ": " + s.message().substr(at + 3));
  out.set_details(s.details());
  return out;
}

config::KubeconfigQuery Session::kubeconfig_query() const {
  config::KubeconfigQuery q;
  q.file = flags.text("kubeconfig");
  for (char** e = environ; e && *e; ++e) {
    std::string_view row(*e);
    size_t eq = row.find('=');
    if (eq != std::string_view::npos) q.environment[std::string(row.substr(0, eq))] = row.substr(eq + 1);
  }
  q.fallback_file = "/etc/k8lite/k8lite.yaml";
  q.context = flags.text("context");
  q.cluster = flags.text("cluster");
  q.user = flags.text("user");
  if (std::find(own_flags.begin(), own_flags.end(), "user") != own_flags.end()) q.user.clear();
  if (std::find(own_flags.begin(), own_flags.end(), "cluster") != own_flags.end()) q.cluster.clear();
  return q;
}

Result<const config::Access*> Session::access() {
  if (access_) return const_cast<const config::Access*>(access_.get());
  config::Access a;
  auto read = config::read_kubeconfig(kubeconfig_query());
  if (read.ok()) a = std::move(read).value();
  else if (!flags.changed("server")) return std::move(read).status();
  if (flags.changed("server")) a.server = flags.text("server");
  if (a.server.find("://") == std::string::npos) a.server = "https://" + a.server;
  if (flags.changed("token")) a.token = flags.text("token"), a.certificate_pem.clear(), a.key_pem.clear();
  if (flags.on("insecure-skip-tls-verify")) a.insecure_skip_verify = true, a.ca_pem.clear();
  access_ = std::make_unique<config::Access>(std::move(a));
  return const_cast<const config::Access*>(access_.get());
}

Result<std::string> Session::ns() {
  if (ns_given()) return flags.text("namespace");
  TRY(const config::Access* a, access());
  return a->ns.empty() ? std::string("default") : a->ns;
}

async::Loop& Session::loop() {
  if (!loop_) {
    loop_ = std::make_unique<async::Loop>();
    loop_->start();
  }
  return *loop_;
}

Result<machinery::RawConnection*> Session::raw() {
  if (raw_) return raw_.get();
  TRY(const config::Access* a, access());
  machinery::ConnectionConfig c;
  c.server = a->server;
  c.ca_pem = a->ca_pem;
  c.insecure_skip_verify = a->insecure_skip_verify;
  c.certificate_pem = a->certificate_pem;
  c.key_pem = a->key_pem;
  c.token = a->token;
  c.user_agent = "kubectl/v1.36.0 (k8lite)";
  TRY(auto raw, machinery::connect_raw(loop(), c));
  if (flags.changed("as")) raw.headers.add("Impersonate-User", flags.text("as"));
  for (const std::string& g : flags.all("as-group")) raw.headers.add("Impersonate-Group", g);
  raw_ = std::make_unique<machinery::RawConnection>(std::move(raw));
  return raw_.get();
}

Result<Reply> Session::http(std::string method, std::string target, std::string body, std::string content_type, std::string accept) {
  TRY(auto* connection, raw());
  net::ClientRequest r{std::move(method), connection->path_prefix + target, connection->headers, std::move(body)};
  r.headers.set("Accept", std::move(accept));
  if (!content_type.empty()) r.headers.set("Content-Type", std::move(content_type));
  if (flags.number("v") >= 6) err(r.method + " " + access_->server + r.target + "\n");
  auto reply = async::block_on(loop(), exchange(connection->http, std::move(r)));
  if (!reply.ok()) return connection_error(reply.status(), access_->server);
  for (std::string_view w : reply->headers.all("Warning")) {
    size_t a = w.find('"'), b = w.rfind('"');
    if (a != std::string_view::npos && b > a) err("Warning: " + replace_all(std::string(w.substr(a + 1, b - a - 1)), "\\\"", "\"") + "\n");
  }
  if (reply->status < 200 || reply->status > 299) return server_error(reply->status, reply->body);
  return reply;
}

Result<json::Node> Session::call(std::string method, std::string target, const json::Node* body) {
  TRY(Reply reply, http(std::move(method), std::move(target), body ? body->dump() : "", body ? "application/json" : ""));
  auto node = json::Node::parse(reply.body);
  if (!node.ok()) return node.status().within("the server's answer");
  return node;
}

Result<json::Node> Session::patch(const std::string& target, PatchKind kind, const json::Node& body) {
  const char* type = kind == PatchKind::Json ? "application/json-patch+json" : kind == PatchKind::Merge ? "application/merge-patch+json"
                     : kind == PatchKind::Strategic ? "application/strategic-merge-patch+json" : "application/apply-patch+yaml";
  TRY(Reply reply, http("PATCH", target, body.dump(), type));
  return json::Node::parse(reply.body);
}

Result<std::unique_ptr<Reading>> Session::open(std::string target, std::string accept) {
  TRY(auto* connection, raw());
  net::ClientRequest r{"GET", connection->path_prefix + target, connection->headers, ""};
  r.headers.set("Accept", std::move(accept));
  auto response = async::block_on(loop(), connection->http->send(std::move(r)));
  if (!response.ok()) return connection_error(response.status(), access_->server);
  std::unique_ptr<net::ClientResponse> got = std::move(response).value();
  if (got->status < 200 || got->status > 299) {
    auto body = async::block_on(loop(), got->read_body(kMaxAnswer));
    return server_error(got->status, body.ok() ? *body : "");
  }
  return std::make_unique<Reading>(loop(), std::move(got));
}

Result<const Discovery*> Session::discovery() {
  if (discovery_) return const_cast<const Discovery*>(discovery_.get());
  auto found = std::make_unique<Discovery>();
  for (const char* root : {"/api", "/apis"}) {
    TRY(Reply reply, http("GET", root, "", "", std::string(kAggregated)));
    auto list = json::Node::parse(reply.body);
    if (!list.ok()) return list.status().within("discovery");
    if (list->get("kind").str() != "APIGroupDiscoveryList")
      return usage("the server does not offer aggregated discovery (Kubernetes 1.27 or later is needed)");
    found->add(*list);
  }
  discovery_ = std::move(found);
  return const_cast<const Discovery*>(discovery_.get());
}

Result<Mapping> Session::mapping(std::string_view word) {
  TRY(const Discovery* d, discovery());
  const Mapping* m = d->find(word);
  if (!m) return usage("the server doesn't have a resource type " + json::quoted(std::string(word.substr(0, word.find('.')))));
  if (std::find(m->short_names.begin(), m->short_names.end(), word) != m->short_names.end())
    for (const Mapping& other : d->all()) {
      bool also = &other != m && other.preferred && (other.group != m->group || other.resource != m->resource);
      if (also && std::find(other.short_names.begin(), other.short_names.end(), word) != other.short_names.end())
        err("Warning: short name " + json::quoted(word) + " could also match lower priority resource " + other.full_resource() + "\n");
    }
  return *m;
}

std::string url_of(const Mapping& m, std::string_view ns, std::string_view name, std::string_view subresource) {
  std::string out = m.root();
  if (m.namespaced && !ns.empty()) out.append("/namespaces/").append(ns);
  out.append("/").append(m.resource);
  if (!name.empty()) out.append("/").append(url_encode(name));
  if (!subresource.empty()) out.append("/").append(subresource);
  return out;
}

std::string with_query(std::string target, const std::vector<std::pair<std::string, std::string>>& parameters) {
  char sep = target.find('?') == std::string::npos ? '?' : '&';
  for (const auto& [name, value] : parameters) {
    if (value.empty()) continue;
    target += sep;
    target += name + "=" + url_encode(value);
    sep = '&';
  }
  return target;
}

}  // namespace k8lite::kubectl
