#include "proxy/health.h"

#include <mutex>
#include <set>

#include "base/json.h"
#include "base/log.h"
#include "net/http.h"

namespace k8lite::proxy {
namespace {

struct Answers {
  std::mutex mutex;
  HealthCheck now;
};

async::Task<void> answer(std::shared_ptr<Answers> answers, net::ResponseWriter* response) {
  HealthCheck now;
  {
    std::lock_guard lock(answers->mutex);
    now = answers->now;
  }
  json::Node body = json::Node::obj({{"service", json::Node::obj({{"namespace", now.ns}, {"name", now.name}})}, {"localEndpoints", now.endpoints}, {"serviceProxyHealthy", true}});
  net::Headers headers{{"Content-Type", "application/json"}, {"X-Content-Type-Options", "nosniff"}, {"X-Load-Balancing-Endpoint-Weight", std::to_string(now.endpoints)}};
  (void)co_await response->send(now.endpoints > 0 ? 200 : 503, headers, body.dump());
}

}  // namespace

std::vector<HealthCheck> health_checks(const std::vector<ServicePort>& ports) {
  std::map<std::string, std::pair<int, std::set<std::string>>> services;  // a pod behind two ports counts once
  for (auto& p : ports) {
    if (!p.health_port) continue;
    auto& [port, ips] = services[p.name.substr(0, p.name.find(':'))];
    port = p.health_port;
    ips.insert(p.ready_here.begin(), p.ready_here.end());
  }
  std::vector<HealthCheck> out;
  for (auto& [key, service] : services) {
    size_t slash = key.find('/');
    out.push_back({key.substr(0, slash), key.substr(slash + 1), service.first, static_cast<int>(service.second.size())});
  }
  return out;
}

struct HealthServers::Served {
  std::shared_ptr<Answers> answers = std::make_shared<Answers>();
  std::unique_ptr<net::HttpServer> server;
};

HealthServers::HealthServers(async::Loop& loop) : loop_(loop) {}

HealthServers::~HealthServers() {
  for (auto& [port, served] : served_) served->server->stop();
}

void HealthServers::set(const std::vector<HealthCheck>& checks) {
  std::set<int> wanted;
  for (auto& check : checks) wanted.insert(check.port);
  for (auto it = served_.begin(); it != served_.end();) {
    if (wanted.count(it->first)) {
      ++it;
      continue;
    }
    it->second->server->stop();
    it = served_.erase(it);
  }
  for (auto& check : checks) {
    auto& served = served_[check.port];
    if (!served) {
      served = std::make_unique<Served>();
      net::HttpServerOptions options;
      options.listen.port = check.port;
      options.listen.max_connections = 64;
      options.idle_timeout = seconds(30);
      auto server = net::serve_http(loop_, options, [answers = served->answers](net::Request&, net::ResponseWriter& response) { return answer(answers, &response); });
      if (!server.ok()) {
        log_error("proxy: the health check port of a service cannot be served", {{"service", check.ns + "/" + check.name}, {"port", check.port}, {"error", server.status()}});
        served_.erase(check.port);
        continue;
      }
      served->server = std::move(server).value();
    }
    std::lock_guard lock(served->answers->mutex);
    served->answers->now = check;
  }
}

}  // namespace k8lite::proxy
