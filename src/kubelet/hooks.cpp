#include "kubelet/hooks.h"

#include <condition_variable>
#include <map>
#include <mutex>

#include "kubelet/pod_plan.h"
#include "net/http.h"

namespace k8lite::kubelet {

using async::Task;

// One handler on its way. What it waits for comes from other threads and notifies `changed`.
struct RunningHook {
  HookTarget target;
  async::Notify changed;
  std::atomic<bool> over{false};     // the container ended, or everything stops
  std::atomic<bool> finished{false}; // `outcome` is set
  Result<> outcome;
  Hooks::EndExec end_exec;

  void finish(Result<> r) {
    outcome = std::move(r);
    finished = true;
    changed.notify();
  }
};
using RunningPtr = std::shared_ptr<RunningHook>;

struct HooksCore {
  HooksCore(async::Loop& l, Hooks::Exec e) : loop(l), exec(std::move(e)) {}
  async::Loop& loop;
  Hooks::Exec exec;
  async::Pool pool{4};
  std::mutex mutex;
  std::condition_variable none;
  std::vector<RunningPtr> running;
  bool stopping = false;
};
using CorePtr = std::shared_ptr<HooksCore>;

namespace {

// Until the handler has finished, the container is over or the time is.
Task<Result<>> wait_for_end(CorePtr core, RunningPtr h, Duration limit) {
  Duration deadline = system_clock().mono() + limit;
  while (!h->finished && !h->over) {
    if (limit == Duration{0}) {
      co_await h->changed.wait();
      continue;
    }
    Duration left = deadline - system_clock().mono();
    if (left <= Duration{0} || !co_await h->changed.wait_for(core->loop, left)) co_return timed_out("the hook has not ended in " + human_duration(limit));
  }
  if (h->over && !h->finished) co_return Result<>{};
  co_return h->outcome;
}

Task<Result<>> run_exec(CorePtr core, RunningPtr h, json::Value spec, Duration limit) {
  std::vector<std::string> command;
  for (json::Value word : spec["command"].items()) command.push_back(word.str());
  std::function<Result<>()> work = [core, h, command] {
    return core->exec(h->target, command, [h](int code) { h->finish(code == 0 ? Result<>{} : Result<>(internal_error("command exited with " + std::to_string(code)))); }, h->end_exec);
  };
  CO_TRY_OK(co_await async::offload<Result<>>(core->pool, work));
  auto r = co_await wait_for_end(core, h, limit);
  if (!h->finished && h->end_exec) h->end_exec();
  co_return r;
}

Task<void> fetch(std::shared_ptr<net::HttpClient> client, net::ClientRequest request, RunningPtr h) {
  auto response = co_await client->send(std::move(request));
  if (response.ok()) (*response)->cancel();
  // Any answer will do, whatever its code: so it is upstream.
  h->finish(response.ok() ? Result<>{} : Result<>(response.status()));
}

Task<Result<>> run_http(CorePtr core, RunningPtr h, json::Value spec, Duration limit) {
  net::HttpClientOptions options{.host = spec["host"].str(h->target.pod_ip), .port = port_of(find_container(h->target.pod.root(), h->target.container), spec["port"]), .tls = nullptr};
  if (options.port <= 0) co_return bad_request("port " + spec["port"].str() + " is not one of the container's");
  if (spec["scheme"].equals("HTTPS")) {
    CO_TRY(options.tls, net::make_tls_client({.ca_pem = {}, .insecure_skip_verify = true}));
  }
  options.response_timeout = limit;
  net::ClientRequest request{"GET", spec["path"].str("/"), {{"User-Agent", "kube-lifecycle/1.36"}, {"Accept", "*/*"}, {"Connection", "close"}}, {}};
  if (!request.target.starts_with('/')) request.target = "/" + request.target;
  for (json::Value header : spec["httpHeaders"].items()) request.headers.set(header["name"].str(), header["value"].str());
  async::spawn(core->loop, fetch(net::make_http_client(core->loop, options), std::move(request), h));
  co_return co_await wait_for_end(core, h, limit);
}

Task<Result<>> run_handler(CorePtr core, RunningPtr h, json::Value handler, Duration limit) {
  if (json::Value exec = handler["exec"]) co_return co_await run_exec(core, h, exec, limit);
  if (json::Value http = handler["httpGet"]) co_return co_await run_http(core, h, http, limit);
  if (json::Value sleep = handler["sleep"]) {
    Duration asked = seconds(sleep["seconds"].int_or(0));
    if (asked == Duration{0}) co_return Result<>{};
    bool cut = limit > Duration{0} && limit < asked;
    auto r = co_await wait_for_end(core, h, cut ? limit : asked);
    co_return cut ? r : Result<>{};
  }
  // tcpSocket is in the API and, as upstream says, fails when it is to run.
  co_return bad_request("invalid handler: one of exec, httpGet and sleep is needed");
}

Task<void> run_hook(CorePtr core, RunningPtr h, json::Value handler, Duration limit, Hooks::Done done) {
  auto outcome = co_await run_handler(core, h, handler, limit);
  std::function<bool()> tell = [core, done, outcome] {
    bool stopping;
    {
      std::lock_guard lock(core->mutex);
      stopping = core->stopping;
    }
    if (!stopping) done(outcome);
    return true;
  };
  co_await async::offload<bool>(core->pool, tell);
  done = nullptr;
  std::lock_guard lock(core->mutex);
  std::erase(core->running, h);
  core->none.notify_all();
}

void end(const RunningPtr& h) {
  h->over = true;
  h->changed.notify();
}

}  // namespace

Hooks::Hooks(async::Loop& loop, Exec exec) : core_(std::make_shared<HooksCore>(loop, std::move(exec))) {}
Hooks::~Hooks() { stop(); }

void Hooks::run(HookTarget target, json::Value handler, Duration limit, Done done) {
  auto h = std::make_shared<RunningHook>();
  h->target = std::move(target);
  {
    std::lock_guard lock(core_->mutex);
    if (core_->stopping) return;
    core_->running.push_back(h);
  }
  async::spawn(core_->loop, run_hook(core_, h, handler, limit, std::move(done)));
}

void Hooks::container_ended(const std::string& pod_uid, const std::string& container_id) {
  std::lock_guard lock(core_->mutex);
  for (const auto& h : core_->running)
    if (h->target.pod_uid == pod_uid && h->target.container_id == container_id) end(h);
}

void Hooks::stop() {
  {
    std::unique_lock lock(core_->mutex);
    core_->stopping = true;
    for (const auto& h : core_->running) end(h);
    core_->none.wait(lock, [this] { return core_->running.empty(); });
  }
  core_->pool.stop();
}

}  // namespace k8lite::kubelet
