// Serving a container's log: what there is, then on with -f until the container has ended and everything it wrote is delivered.
#include "base/strings.h"
#include "kubelet/log_reader.h"
#include "kubelet/streaming.h"

namespace k8lite::kubelet {

using async::Task;

namespace {

constexpr auto kLongWait = seconds(30);         // a change whose notice was lost, if that can be
constexpr auto kEndWait = milliseconds(100);     // between a log's end and the news of the container's
constexpr int kEndWaits = 10;

bool is_set(const net::Query& q, std::string_view name) { return q.get(name) == "1" || q.get(name) == "true"; }

LogOptions options_of(const net::Query& q, const Clock& clock) {
  LogOptions o;
  o.tail = parse_int(q.get("tailLines")).value_or(-1);
  o.limit_bytes = parse_int(q.get("limitBytes")).value_or(-1);
  o.timestamps = is_set(q, "timestamps");
  if (auto at = parse_rfc3339(q.get("sinceTime"))) o.since = rfc3339_nano(*at);
  if (auto s = parse_int(q.get("sinceSeconds"))) o.since = rfc3339_nano(clock.now() - seconds(*s));
  if (auto stream = q.get("stream"); stream == "Stdout" || stream == "Stderr") o.stream = lower(stream);
  return o;
}

Task<std::string> next(StreamingCorePtr core, std::shared_ptr<LogReader> reader) {
  std::function<std::string()> work = [reader] { return reader->next(); };
  if (core->stopping) co_return std::string();
  co_return co_await async::offload<std::string>(core->pool, work);
}

struct Followed {
  std::string ns, pod, container;
  bool runs(const StreamingCore& core) const { return !core.stopping && core.pods.is_running(ns, pod, container); }
};

}  // namespace

Task<Result<>> serve_logs(StreamingCorePtr core, net::Request& request, net::ResponseWriter& response, std::string ns, std::string pod, std::string container) {
  bool follow = is_set(request.query, "follow");
  CO_TRY(std::string path, core->pods.log_path(ns, pod, container, is_set(request.query, "previous")));
  CO_TRY(LogReader opened, LogReader::open(path, options_of(request.query, core->clock)));
  auto reader = std::make_shared<LogReader>(std::move(opened));
  auto changed = follow ? core->files->watch(path.substr(0, path.rfind('/'))) : std::make_shared<async::Notify>();
  CO_TRY_OK(co_await response.start(200, {{"Content-Type", "text/plain"}}));
  auto gone = std::make_shared<std::atomic<bool>>(false);
  response.on_disconnect([gone, changed] {
    *gone = true;
    changed->notify();
  });
  Followed log{ns, pod, container};
  bool last_look = false;
  for (int waits = 0; !*gone && !core->stopping;) {
    bool running = follow && log.runs(*core);
    std::string text = co_await next(core, reader);
    if (!text.empty()) {
      waits = 0;
      CO_TRY_OK(co_await response.write(text));
      continue;
    }
    if (reader->at_limit() || !follow || (!running && last_look)) break;
    last_look = !running;
    if (last_look) continue;
    // The log may be closed a moment before the container is known to have ended.
    bool told = co_await changed->wait_for(core->loop, waits < kEndWaits ? Duration(kEndWait) : Duration(kLongWait));
    waits = told ? 0 : waits + 1;
  }
  co_return co_await response.finish();
}

}  // namespace k8lite::kubelet
