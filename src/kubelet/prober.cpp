#include "kubelet/prober.h"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>

#include "kubelet/pod_plan.h"

namespace k8lite::kubelet {

using async::Task;

namespace {

constexpr unsigned kThreads = 4;
constexpr size_t kMaxMessage = 200;

struct KindRow {
  ProbeKind kind;
  std::string_view field;
};
constexpr KindRow kKinds[] = {{ProbeKind::Startup, "startupProbe"},
                              {ProbeKind::Liveness, "livenessProbe"},
                              {ProbeKind::Readiness, "readinessProbe"}};

struct Probe {
  ProbeTarget target;
  ProbeKind kind;
  json::Value spec;  // into target.pod
  Duration due{0};
  int64_t successes = 0, failures = 0;
  int told = -1;  // -1 nothing, 0 bad, 1 good
  bool running = false, waits_for_startup = false;
  bool over = false;  // told what it had to tell: the container starts to serve, or is to be ended
};

int port_of(json::Value port, const ProbeTarget& target) {
  return kubelet::port_of(find_container(target.pod.root(), target.container), port);
}

}  // namespace

struct ProberCore {
  async::Loop& loop;
  const Clock& clock;
  Prober::Exec exec;
  Prober::Changed changed;
  Prober::Failed failed;
  async::Pool pool{kThreads};
  std::mutex mutex;
  std::condition_variable none;
  std::map<uint64_t, Probe> probes;
  uint64_t next_id = 1, timer = 0;
  Duration timer_at{0};
  int on_pool = 0;
  bool stopping = false;
};
using CorePtr = std::shared_ptr<ProberCore>;

namespace {

void look(const CorePtr& core);

// Around what is done on the pool, for which the end waits; false: this is the end.
bool enter(const CorePtr& core) {
  std::lock_guard lock(core->mutex);
  core->on_pool += !core->stopping;
  return !core->stopping;
}
void leave(const CorePtr& core) {
  std::lock_guard lock(core->mutex);
  if (--core->on_pool == 0) core->none.notify_all();
}

// Called with the mutex held: the loop looks again when the next probe is due.
void schedule(const CorePtr& core) {
  if (core->stopping) return;
  Duration earliest{0};
  for (auto& [id, p] : core->probes)
    if (!p.running && !p.over && !p.waits_for_startup && (earliest == Duration{0} || p.due < earliest))
      earliest = std::max<Duration>(p.due, Duration{1});
  if (earliest == Duration{0} || (core->timer && core->timer_at <= earliest)) return;
  if (core->timer) core->loop.cancel_timer(core->timer);
  core->timer_at = earliest;
  std::weak_ptr<ProberCore> weak = core;
  core->timer = core->loop.after(std::max<Duration>(earliest - core->clock.mono(), Duration{0}), [weak] {
    if (auto c = weak.lock()) look(c);
  });
}

Task<ProbeOutcome> run_exec(CorePtr core, ProbeTarget target, json::Value spec, Duration timeout) {
  std::vector<std::string> command;
  for (json::Value c : spec["command"].items()) command.push_back(c.str());
  std::function<ProbeOutcome()> work = [core, target, command, timeout] {
    auto r = core->exec(target, command, timeout);
    if (!r.ok()) return ProbeOutcome{false, r.status().message()};
    return ProbeOutcome{r->first == 0, r->second.substr(0, kMaxMessage)};
  };
  if (!enter(core)) co_return ProbeOutcome{};
  auto outcome = co_await async::offload<ProbeOutcome>(core->pool, work);
  leave(core);
  co_return outcome;
}

Task<ProbeOutcome> run(CorePtr core, Probe p) {
  Duration timeout = seconds(std::max<int64_t>(1, p.spec["timeoutSeconds"].int_or(1)));
  if (json::Value exec = p.spec["exec"]) co_return co_await run_exec(core, p.target, exec, timeout);
  if (json::Value http = p.spec["httpGet"]) {
    HttpProbe probe;
    probe.host = http["host"].empty() ? p.target.pod_ip : http["host"].str();
    probe.path = http["path"].str("/");
    probe.port = port_of(http["port"], p.target);
    probe.tls = http["scheme"].equals("HTTPS");
    for (json::Value h : http["httpHeaders"].items()) probe.headers.add(h["name"].str(), h["value"].str());
    probe.timeout = timeout;
    co_return co_await probe_http(core->loop, std::move(probe));
  }
  if (json::Value tcp = p.spec["tcpSocket"]) {
    std::string host = tcp["host"].empty() ? p.target.pod_ip : tcp["host"].str();
    co_return co_await probe_tcp(core->loop, host, port_of(tcp["port"], p.target), timeout);
  }
  if (json::Value grpc = p.spec["grpc"]) {
    std::string host = p.target.pod_ip, service = grpc["service"].str();
    co_return co_await probe_grpc(core->loop, host, static_cast<int>(grpc["port"].int_or(0)), service, timeout);
  }
  co_return ProbeOutcome{false, "the probe has no handler"};
}

// What is to be told of an outcome: 0 bad, 1 good, -1 nothing.
int count(Probe& p, bool good) {
  p.successes = good ? p.successes + 1 : 0;
  p.failures = good ? 0 : p.failures + 1;
  if (p.successes >= p.spec["successThreshold"].int_or(1) && p.told != 1) return p.told = 1;
  if (p.failures >= p.spec["failureThreshold"].int_or(3) && p.told != 0) return p.told = 0;
  return -1;
}

// Only after the startup was told may the container's other probes run: nobody hears of readiness before it.
void end_startup(const CorePtr& core, uint64_t id, const ProbeTarget& target) {
  std::lock_guard lock(core->mutex);
  if (!core->probes.erase(id)) return;  // the container ended meanwhile
  for (auto& [other, q] : core->probes)
    if (q.target.pod_uid == target.pod_uid && q.target.container_id == target.container_id)
      q.waits_for_startup = false, q.due = core->clock.mono();
  schedule(core);
}

void tell(const CorePtr& core, uint64_t id, const Probe& p, const ProbeOutcome& outcome, int news) {
  if (!outcome.good) core->failed(p.target, p.kind, outcome.message);
  if (news >= 0) core->changed(p.target, p.kind, news == 1);
  if (news == 1 && p.kind == ProbeKind::Startup) end_startup(core, id, p.target);
}

Task<void> probe_once(CorePtr core, uint64_t id, Probe probe) {
  ProbeOutcome outcome = co_await run(core, probe);
  int news = -1;
  {
    std::lock_guard lock(core->mutex);
    if (auto it = core->probes.find(id); it != core->probes.end()) {  // else the container ended meanwhile
      Probe& p = it->second;
      p.due = core->clock.mono() + seconds(std::max<int64_t>(1, p.spec["periodSeconds"].int_or(10)));
      news = count(p, outcome.good);
      // A container that will be killed for its probe is left alone until then.
      p.over = news >= 0 && (p.kind == ProbeKind::Startup || (p.kind == ProbeKind::Liveness && news == 0));
    } else {
      outcome.good = true;
    }
  }
  if (!outcome.good || news >= 0) {
    std::function<bool()> work = [core, id, probe, outcome, news] {
      tell(core, id, probe, outcome, news);
      return true;
    };
    if (!enter(core)) co_return;
    co_await async::offload<bool>(core->pool, work);
    leave(core);
  }
  std::lock_guard lock(core->mutex);
  // Not before the last result was told, so that results are told in order.
  if (auto it = core->probes.find(id); it != core->probes.end()) it->second.running = false;
  schedule(core);
}

void look(const CorePtr& core) {
  std::vector<std::pair<uint64_t, Probe>> due;
  {
    std::lock_guard lock(core->mutex);
    core->timer = 0;
    if (core->stopping) return;
    Duration now = core->clock.mono();
    for (auto& [id, p] : core->probes) {
      if (p.running || p.over || p.waits_for_startup || p.due > now) continue;
      p.running = true;
      due.emplace_back(id, p);
    }
    schedule(core);
  }
  for (auto& [id, p] : due) async::spawn(core->loop, probe_once(core, id, std::move(p)));
}

}  // namespace

Prober::Prober(async::Loop& loop, const Clock& clock, Exec exec, Changed changed, Failed failed)
    : core_(new ProberCore{
          loop, clock, std::move(exec), std::move(changed), std::move(failed), async::Pool(kThreads), {}, {}, {}}) {}

Prober::~Prober() {
  {
    std::unique_lock lock(core_->mutex);
    core_->stopping = true;
    core_->probes.clear();
    if (core_->timer) core_->loop.cancel_timer(core_->timer);
    core_->none.wait(lock, [this] { return core_->on_pool == 0; });
  }
  core_->pool.stop();
}

void Prober::add(const ProbeTarget& target) {
  std::lock_guard lock(core_->mutex);
  auto& probes = core_->probes;
  std::erase_if(probes, [&target](const auto& e) {
    return e.second.target.pod_uid == target.pod_uid && e.second.target.container == target.container;
  });
  bool has_startup = false;
  for (const KindRow& row : kKinds) {
    Probe p{target, row.kind, {}};
    p.spec = find_container(p.target.pod.root(), target.container)[row.field];
    if (!p.spec) continue;
    p.due = core_->clock.mono() + seconds(p.spec["initialDelaySeconds"].int_or(0));
    p.waits_for_startup = has_startup;
    has_startup |= row.kind == ProbeKind::Startup;
    probes.emplace(core_->next_id++, std::move(p));
  }
  schedule(core_);
}

void Prober::remove(const std::string& pod_uid, const std::string& id) {
  std::lock_guard lock(core_->mutex);
  std::erase_if(core_->probes, [&](const auto& e) {
    return e.second.target.pod_uid == pod_uid && e.second.target.container_id == id;
  });
}

}  // namespace k8lite::kubelet
