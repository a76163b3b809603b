// What the node agent's server, probes and hooks want of a pod: its log, its address, commands in its containers.
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

#include "base/strings.h"
#include "kubelet/pods.h"

namespace k8lite::kubelet {

using json::Value;

namespace {
constexpr size_t kMaxCommandOutput = 10 * 1024;  // of a probe or hook, for its message
}

// ---- for the server ----

Result<std::string> PodManager::log_path(const std::string& ns, const std::string& pod, const std::string& container,
                                         bool previous) const {
  auto local = find_by_name(ns, pod);
  if (!local) return not_found("pod " + ns + "/" + pod + " is not on this node");
  std::lock_guard lock(mutex_);
  auto it = local->runs.find(container);
  if (it == local->runs.end() || (!it->second.exists && it->second.restart_count == 0))
    return bad_request("container " + json::quoted(container) + " in pod " + json::quoted(pod) +
                       " is waiting to start: " +
                       (it != local->runs.end() && !it->second.waiting_reason.empty() ? it->second.waiting_reason
                                                                                      : "ContainerCreating"));
  int attempt = it->second.restart_count - (previous ? 1 : 0);
  if (!it->second.exists) attempt = it->second.restart_count - 1;
  if (attempt < 0)
    return bad_request("previous terminated container " + json::quoted(container) + " in pod " + json::quoted(pod) +
                       " not found");
  return log_dir(*local, container) + "/" + std::to_string(attempt) + ".log";
}

bool PodManager::is_running(const std::string& ns, const std::string& pod, const std::string& container) const {
  auto local = find_by_name(ns, pod);
  if (!local) return false;
  std::lock_guard lock(mutex_);
  auto it = local->runs.find(container);
  return it != local->runs.end() && it->second.exists && it->second.current.running;
}

Result<> PodManager::exec(const std::string& ns, const std::string& pod, const std::string& container,
                          std::vector<std::string> command, bool tty, os::Fd stdio[3], std::function<void(int)> done,
                          runtime::Runtime::EndExec* end) {
  auto local = find_by_name(ns, pod);
  if (!local) return not_found("pod " + ns + "/" + pod + " is not on this node");
  Value c = find_container(local->pod.root(), container);
  std::string id;
  {
    std::lock_guard lock(mutex_);
    const ContainerRun& run = local->runs[container];
    if (!run.exists || !run.current.running)
      return bad_request("container not found (" + json::quoted(container) + ")");
    id = run.current.id;
  }
  // As the container was started, whatever has become of its image and its config maps since.
  runtime::shim::Process process;
  bool found = false;
  for (const auto& record : container_records(facts_.run_dir, local->uid))
    if (record.id == id) process = record.process, found = true;
  if (!found) {
    auto image = images_.find(c["image"].str());
    if (!image) return not_found("image " + c["image"].str() + " not found");
    TRY(auto spec, container_spec(local, c, *image));
    process = plan_container(spec).process;
  }
  process.args = std::move(command);
  process.tty = tty;
  if (tty &&
      std::none_of(process.env.begin(), process.env.end(), [](const std::string& e) { return e.starts_with("TERM="); }))
    process.env.push_back("TERM=xterm");
  return runtime_->exec(local->uid, id, process, stdio, std::move(done), end);
}

Result<PodManager::AttachPoint> PodManager::attach(const std::string& ns, const std::string& pod,
                                                   const std::string& container, bool with_input, os::Fd out,
                                                   os::Fd err) {
  auto local = find_by_name(ns, pod);
  if (!local) return not_found("pod " + ns + "/" + pod + " is not on this node");
  std::string id;
  {
    std::lock_guard lock(mutex_);
    auto it = local->runs.find(container);
    if (it == local->runs.end() || !it->second.exists || !it->second.current.running)
      return bad_request("container not found (" + json::quoted(container) + ")");
    id = it->second.current.id;
  }
  AttachPoint point;
  TRY(point.attached, runtime_->attach(local->uid, id, with_input, std::move(out), std::move(err)));
  point.tty = find_container(local->pod.root(), container)["tty"].bool_or(false);
  return point;
}

Result<std::pair<int, std::string>> PodManager::run_command(const LocalPtr& local, const std::string& container,
                                                            const std::vector<std::string>& command, Duration timeout) {
  int out[2];
  if (pipe2(out, O_CLOEXEC) != 0) return Status::from_errno("pipe", errno);
  os::Fd reader(out[0]);
  os::Fd stdio[3] = {os::Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC)), os::Fd(out[1]),
                     os::Fd(fcntl(out[1], F_DUPFD_CLOEXEC, 3))};
  struct Ended {
    os::Fd event{eventfd(0, EFD_CLOEXEC)};
    std::atomic<int> code{-1};
  };
  auto ended = std::make_shared<Ended>();
  auto [ns, pod] = machinery::split_key(local->key);
  runtime::Runtime::EndExec end;
  TRY_OK(exec(
      ns, pod, container, command, false, stdio,
      [ended](int code) {
        ended->code = code;
        uint64_t one = 1;
        (void)!::write(ended->event.get(), &one, sizeof one);
      },
      &end));
  fcntl(reader.get(), F_SETFL, O_NONBLOCK);
  std::string text;
  // What it writes is taken off its hands all the time, so that a full pipe does not stop it.
  auto take_output = [&] {
    char buffer[4096];
    ssize_t n;
    while ((n = ::read(reader.get(), buffer, sizeof buffer)) > 0)
      if (text.size() < kMaxCommandOutput) text.append(buffer, static_cast<size_t>(n));
    return n < 0;  // more may come
  };
  bool open = true;
  for (Duration deadline = clock_.mono() + timeout;;) {
    auto left = std::chrono::duration_cast<milliseconds>(deadline - clock_.mono()).count();
    pollfd polls[2] = {{ended->event.get(), POLLIN, 0}, {open ? reader.get() : -1, POLLIN, 0}};
    int n = left > 0 ? ::poll(polls, 2, static_cast<int>(left)) : 0;
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      end();
      return timed_out("command " + json::quoted(join(command, " ")) + " timed out after " + human_duration(timeout));
    }
    if (polls[1].revents) open = take_output();
    if (polls[0].revents) break;
  }
  if (open) take_output();
  return std::pair{ended->code.load(), text};
}

Result<std::string> PodManager::pod_address(const std::string& ns, const std::string& pod) const {
  auto local = find_by_name(ns, pod);
  if (!local || local->removed) return not_found("pod " + ns + "/" + pod + " is not on this node");
  std::lock_guard lock(mutex_);
  return local->ip;
}

int PodManager::sandbox_pid(const std::string& ns, const std::string& pod) const {
  auto local = find_by_name(ns, pod);
  return local ? runtime_->shim_pid(local->uid) : 0;
}

}  // namespace k8lite::kubelet
