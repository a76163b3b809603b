#include "kubelet/prober.h"

#include <algorithm>

#include "kubelet/pod_plan.h"
#include "net/http.h"

namespace k8lite::kubelet {
namespace {

constexpr int kThreads = 2;
constexpr size_t kMaxMessage = 200;

struct KindRow {
  ProbeKind kind;
  std::string_view field;
};
constexpr KindRow kKinds[] = {{ProbeKind::Startup, "startupProbe"}, {ProbeKind::Liveness, "livenessProbe"}, {ProbeKind::Readiness, "readinessProbe"}};

int port_of(json::Value port, const ProbeTarget& target) { return kubelet::port_of(find_container(target.pod.root(), target.container), port); }

async::Task<Result<int>> fetch(std::shared_ptr<net::HttpClient> client, net::ClientRequest request) {
  CO_TRY(auto response, co_await client->send(std::move(request)));
  int status = response->status;
  response->cancel();
  co_return status;
}

async::Task<Result<bool>> connect(async::Loop& loop, std::string host, int port, Duration timeout) {
  CO_TRY(auto stream, co_await net::dial(loop, host, port, nullptr, timeout));
  stream->close();
  co_return true;
}

}  // namespace

Prober::Prober(async::Loop& loop, const Clock& clock, Exec exec, Changed changed, Failed failed)
    : loop_(loop), clock_(clock), exec_(std::move(exec)), changed_(std::move(changed)), failed_(std::move(failed)) {
  for (int i = 0; i < kThreads; ++i) threads_.emplace_back([this] { work(); });
}

Prober::~Prober() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  for (auto& t : threads_) t.join();
}

void Prober::add(const ProbeTarget& target) {
  std::lock_guard lock(mutex_);
  std::erase_if(probes_, [&target](const auto& e) { return e.second.target.pod_uid == target.pod_uid && e.second.target.container == target.container; });
  bool has_startup = false;
  for (const KindRow& row : kKinds) {
    Probe p{target, row.kind, {}};
    p.spec = find_container(p.target.pod.root(), target.container)[row.field];
    if (!p.spec) continue;
    p.due = clock_.mono() + seconds(p.spec["initialDelaySeconds"].int_or(0));
    p.waits_for_startup = has_startup;
    has_startup |= row.kind == ProbeKind::Startup;
    probes_.emplace(next_id_++, std::move(p));
  }
  wake_.notify_all();
}

void Prober::remove(const std::string& pod_uid, const std::string& id) {
  std::lock_guard lock(mutex_);
  std::erase_if(probes_, [&](const auto& e) { return e.second.target.pod_uid == pod_uid && e.second.target.container_id == id; });
}

void Prober::work() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    Duration now = clock_.mono(), earliest{0};
    uint64_t chosen = 0;
    for (auto& [id, p] : probes_) {
      if (p.running || p.waits_for_startup) continue;
      if (earliest == Duration{0} || p.due < earliest) earliest = p.due, chosen = id;
    }
    if (!chosen) {
      wake_.wait(lock);
      continue;
    }
    if (earliest > now) {
      wake_.wait_for(lock, earliest - now);
      continue;
    }
    Probe& p = probes_[chosen];
    p.running = true;
    Probe copy = p;
    lock.unlock();
    Outcome outcome = run(copy);
    finish(chosen, outcome);
    lock.lock();
  }
}

void Prober::finish(uint64_t id, const Outcome& outcome) {
  ProbeTarget target;
  ProbeKind kind;
  int tell = -1;
  {
    std::lock_guard lock(mutex_);
    auto it = probes_.find(id);
    if (it == probes_.end()) return;  // the container ended meanwhile
    Probe& p = it->second;
    p.due = clock_.mono() + seconds(std::max<int64_t>(1, p.spec["periodSeconds"].int_or(10)));
    p.successes = outcome.good ? p.successes + 1 : 0;
    p.failures = outcome.good ? 0 : p.failures + 1;
    if (p.successes >= p.spec["successThreshold"].int_or(1) && p.told != 1) tell = p.told = 1;
    if (p.failures >= p.spec["failureThreshold"].int_or(3) && p.told != 0) tell = p.told = 0;
    p.running = p.kind == ProbeKind::Startup && tell == 1;  // it never runs again
    target = p.target;
    kind = p.kind;
    wake_.notify_all();
  }
  if (!outcome.good) failed_(target, kind, outcome.message);
  if (tell >= 0) changed_(target, kind, tell == 1);
  if (tell == 1 && kind == ProbeKind::Startup) end_startup(id, target);
}

// Only after the startup was told may the container's other probes run: nobody hears of readiness before it.
void Prober::end_startup(uint64_t id, const ProbeTarget& target) {
  std::lock_guard lock(mutex_);
  if (!probes_.erase(id)) return;  // the container ended meanwhile
  for (auto& [other, q] : probes_)
    if (q.target.pod_uid == target.pod_uid && q.target.container_id == target.container_id) q.waits_for_startup = false, q.due = clock_.mono();
  wake_.notify_all();
}

Prober::Outcome Prober::run(const Probe& p) {
  Duration timeout = seconds(std::max<int64_t>(1, p.spec["timeoutSeconds"].int_or(1)));
  if (json::Value e = p.spec["exec"]) {
    std::vector<std::string> command;
    for (json::Value c : e["command"].items()) command.push_back(c.str());
    auto r = exec_(p.target, command, timeout);
    if (!r.ok()) return {false, r.status().message()};
    return {r->first == 0, r->second.substr(0, kMaxMessage)};
  }
  if (p.spec["httpGet"]) return http(p.spec["httpGet"], p.target, timeout);
  if (p.spec["tcpSocket"]) return tcp(p.spec["tcpSocket"], p.target, timeout);
  return {false, "gRPC probes are not supported by this node"};
}

Prober::Outcome Prober::http(json::Value spec, const ProbeTarget& target, Duration timeout) {
  std::string host = spec["host"].empty() ? target.pod_ip : spec["host"].str(), scheme = spec["scheme"].equals("HTTPS") ? "https" : "http";
  int port = port_of(spec["port"], target);
  net::HttpClientOptions options{.host = host, .port = port, .tls = nullptr};
  if (scheme == "https") options.tls = net::make_tls_client({.ca_pem = {}, .insecure_skip_verify = true}).value();
  options.connect_timeout = options.response_timeout = timeout;
  net::ClientRequest request{"GET", spec["path"].str("/"), {{"User-Agent", "kube-probe/1.36"}, {"Accept", "*/*"}, {"Connection", "close"}}, {}};
  if (!request.target.starts_with('/')) request.target = "/" + request.target;
  for (json::Value h : spec["httpHeaders"].items()) request.headers.set(h["name"].str(), h["value"].str());
  std::string url = scheme + "://" + host + ":" + std::to_string(port) + request.target;
  auto r = async::block_on(loop_, fetch(net::make_http_client(loop_, options), std::move(request)));
  if (!r.ok()) return {false, "Get " + json::quoted(url) + ": " + r.status().message()};
  if (*r >= 200 && *r < 400) return {true, {}};
  return {false, "HTTP probe failed with statuscode: " + std::to_string(*r)};
}

Prober::Outcome Prober::tcp(json::Value spec, const ProbeTarget& target, Duration timeout) {
  auto r = async::block_on(loop_, connect(loop_, spec["host"].empty() ? target.pod_ip : spec["host"].str(), port_of(spec["port"], target), timeout));
  if (!r.ok()) return {false, r.status().message()};
  return {true, {}};
}

}  // namespace k8lite::kubelet
