// The pods of this node: a level-triggered worker brings each one from what it is to what its object says. One reconcile a pod at a
// time; exits and probe results come from other threads and only change what is known, then wake the worker.
#pragma once
#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "api/usage.h"
#include "cni/cni.h"
#include "image/pull.h"
#include "kubelet/container_record.h"
#include "kubelet/eviction.h"
#include "kubelet/hooks.h"
#include "kubelet/image_pulls.h"
#include "kubelet/pod_plan.h"
#include "kubelet/prober.h"
#include "kubelet/resize.h"
#include "kubelet/static_pods.h"
#include "kubelet/volumes.h"
#include "machinery/controller.h"
#include "runtime/cgroups.h"
#include "runtime/runtime.h"

namespace k8lite::kubelet {

// A containerPort.hostPort of a running pod.
struct PortMapping {
  std::string pod;       // "ns/name"
  std::string protocol;  // tcp, udp, sctp
  std::string host_ip;   // "": every address of the node
  int host_port = 0;
  std::string pod_ip;
  int container_port = 0;
};
std::vector<PortMapping> port_mappings(json::Value pod, const std::string& pod_ip);  // none for pods in the node's own network

struct NodeFacts {
  std::string name, ip, cluster_dns, cluster_domain;
  std::string data_dir;   // <data-dir>/agent
  std::string run_dir;    // /run/k8lite/pods, of the shims
  std::string resolv_conf = "/etc/resolv.conf";
  std::string manifest_dir;  // of static pods; "": there are none
  int64_t cpu_milli = 0, memory = 0;
  int64_t allocatable_cpu_milli = 0, allocatable_memory = 0;
  api::Usage allocatable;      // what pods may have of the node
  std::function<json::Doc()> node;  // its object; empty while nobody knows it
  int64_t pod_pids_limit = 0;  // 0: none
  int64_t log_bytes = 10 << 20, log_files = 5;  // of each container
  EvictionSettings eviction;   // without thresholds nobody looks
  // For the node under pressure; each may block.
  std::function<Result<>(const Pressure&)> on_pressure;  // told of every change, again until it succeeds
  std::function<void()> collect_images;                  // all that nothing uses
  std::function<void(const std::string& reason, const std::string& message)> node_event;
  // Makes the rules for host ports be exactly these. Blocks; one call at a time. Unset: pods with host ports cannot start.
  std::function<Result<>(const std::vector<PortMapping>&)> map_ports;
};

struct PodTarget;

struct LocalPod {
  std::string key, uid;
  json::Doc pod;  // with the resources it was given, see resize.h
  // Guarded by the manager's mutex.
  Runs runs;
  std::string ip, reason, message;
  bool sandbox = false, terminating = false, removed = false;
  bool disruption = false;    // the node ends it for reasons of its own
  bool admitted = false;      // it was asked once whether there is room for it
  json::Doc wanted;           // as the API has it
  Allocation allocated;
  ResizeVerdict resize;       // what is in the way of giving what is wanted
  bool resizing = false;      // a container has not what it was given yet
  std::string resize_error;
  int64_t end_grace = -1;     // seconds, when `reason` ends it; -1: the pod's own
  bool ports_mapped = false;  // its host ports are in the rules
  // Containers on their way out, by run: when patience ends (mono), and whether their preStop hook runs.
  struct Stopping {
    Duration since{0}, kill_at{0};
    bool hooking = false;
    bool waiting = false;  // for what it serves, until `turn_by` at the latest
    Duration turn_by{0};
    std::string container;
  };
  std::map<std::string, Stopping> stopping;
  std::set<std::string> pulling;  // containers that wait for their image
  int64_t grace = 0;  // of the pod, once it is terminating
  Duration sandbox_retry{0};
  std::string sent_status;
  bool told = false;  // it had ended and all was reported by an earlier process: there is nothing to add
  struct Token {
    std::string text;
    Instant refresh_at;
  };
  std::map<std::string, Token> tokens;  // by audience; the pod's worker only
};

class PodManager : public machinery::Controller {
 public:
  PodManager(machinery::Client& client, const Clock& clock, machinery::EventRecorder& events, NodeFacts facts, machinery::Informer& pods, machinery::Informer& services,
             image::ImageStore& images, image::Puller& puller, async::Loop& loop);
  ~PodManager() override;

  void set_network(cni::Network* network) { network_ = network; }
  // The node's address has changed: pods in its network have it too, and every status shows it.
  void set_node_ip(const std::string& ip);
  // Takes over what runs from before and removes what nobody wants any more. The pod informer must be synced.
  void adopt();
  // Before that, with a server that does not answer: the static pods that live in the node's own network. False: there are none.
  bool begin_statics();
  // This pod shall be on the node, but is not known here yet: adoption is not over, or its worker has not looked at it.
  bool is_coming(const std::string& ns, const std::string& pod) const;

  // The machine goes down: no pod begins any more, and those that run end. Blocks until they have, `grace` at most, of which the
  // critical ones get the last `critical_grace`.
  void shut_down(Duration grace, Duration critical_grace);
  void stay_up();  // it does not, after all
  void close();    // shut_down() returns

  std::string_view name() const override { return "kubelet"; }
  Result<machinery::Action> reconcile(const std::string& key) override;
  machinery::WorkQueue& queue() override { return queue_; }

  // For the node agent's server.
  Result<std::string> log_path(const std::string& ns, const std::string& pod, const std::string& container, bool previous) const;
  bool is_running(const std::string& ns, const std::string& pod, const std::string& container) const;
  Result<> exec(const std::string& ns, const std::string& pod, const std::string& container, std::vector<std::string> command, bool tty, os::Fd stdio[3], std::function<void(int)> done,
                runtime::Runtime::EndExec* end = nullptr);
  struct AttachPoint {
    runtime::Runtime::Attached attached;
    bool tty = false;  // of the container: everything comes on `out` then
  };
  Result<AttachPoint> attach(const std::string& ns, const std::string& pod, const std::string& container, bool with_input, os::Fd out, os::Fd err);
  Result<std::string> pod_address(const std::string& ns, const std::string& pod) const;
  int sandbox_pid(const std::string& ns, const std::string& pod) const;
  std::vector<json::Doc> known_pods() const { return all_wanted(); }  // that shall run here, as the API shows them
  std::vector<PodTarget> stat_targets() const;  // what runs here (stats_targets.cpp)

 private:
  static constexpr const char* kPressureKey = "node pressure";  // in the queue, where pods have "<namespace>/<name>"
  using LocalPtr = std::shared_ptr<LocalPod>;
  LocalPtr find(const std::string& uid) const;
  LocalPtr find_by_name(const std::string& ns, const std::string& pod) const;
  LocalPtr ensure(const json::Doc& pod);
  void take_known(const LocalPod& local, const runtime::shim::State& state, ContainerRun& run);
  std::string termination_message(const LocalPod& local, const std::string& container, const runtime::shim::State& state) const;  // termination.cpp
  bool adopt_one(const std::string& uid, const json::Doc& pod);
  void remove_orphans();
  Result<machinery::Action> reconcile_pod(const std::string& key);
  Result<machinery::Action> sync(const LocalPtr& local);
  Result<machinery::Action> terminate(const LocalPtr& local, int64_t grace_seconds);
  void pause(ContainerRun& run);
  Result<bool> start_over(const LocalPtr& local);
  void begin_again(const LocalPtr& local);
  Result<> clean_up(const LocalPtr& local);       // sandbox, network, cgroups; logs stay
  Result<> send_status(const LocalPtr& local, bool over = false);
  Result<> ensure_sandbox(const LocalPtr& local);
  Result<json::Doc> volume_of_claim(const LocalPtr& local, const std::string& name);
  Result<> ensure_volumes(const LocalPtr& local);
  // mirror.cpp
  json::Doc wanted(const std::string& key) const;  // the pod that shall run under this key
  std::vector<json::Doc> all_wanted() const;
  void load_statics();
  Result<> remove_mirror(const std::string& key, json::Value mirror);
  machinery::Action tend_mirror(const std::string& key, machinery::Action action);
  // resizing.cpp
  static void take_pod(LocalPod& local, const json::Doc& pod);
  NodeRoom room_beside(const LocalPtr& local) const;
  bool tend_resize(const LocalPtr& local);
  void apply_resize(const LocalPtr& local, const std::string& name);
  void restart_with(const LocalPtr& local, const std::string& name, const std::string& why);
  void restart_changed(const LocalPtr& local);
  // pressure.cpp
  machinery::Action look_at_pressure();
  void observe(Observations& seen) const;
  DiskUseOfPod disk_use_of(const LocalPtr& local) const;
  PodUse use_of(const LocalPtr& local, Signal signal) const;
  std::vector<LocalPtr> evictable() const;
  // The node ends it for reasons of its own, which its status names; false: somebody was before us.
  bool end_pod(const LocalPtr& local, const std::string& reason, const std::string& message, int64_t grace_seconds);
  void evict(const LocalPtr& local, const std::string& message, int64_t grace_seconds);
  void reclaim(const Threshold& threshold, Observations& seen, bool soft);
  void keep_disk_limits();
  bool refuse(const LocalPtr& local);  // node_shutdown.cpp
  Result<> make_cgroup(json::Value pod);
  // network.cpp
  Result<> ensure_ports(const LocalPtr& local);
  Result<> publish_ports();
  bool adopt_network(const std::string& uid, const json::Doc& pod);
  std::string node_ip() const;
  void on_exit(const std::string& uid, const runtime::shim::State& state);
  void on_probe(const ProbeTarget& target, ProbeKind kind, bool good);

  // stopping.cpp
  void stop_containers(const LocalPtr& local, int64_t grace_seconds);
  void stop_container(const LocalPtr& local, const std::string& name, const std::string& id, int64_t grace_seconds, const std::string& why);
  void end_gently(const LocalPtr& local, const std::string& name, const std::string& id);
  void signal_stop(const LocalPtr& local, const std::string& name, const std::string& id);
  Duration kill_overdue(const LocalPtr& local);  // time until the next one is; 0: none is on its way out
  void post_start(const LocalPtr& local, const std::string& name, const std::string& id);
  HookTarget hook_target(const LocalPtr& local, const std::string& name, const std::string& id) const;
  bool runs(const LocalPtr& local, const std::string& name, const std::string& id) const;
  int64_t grace_of(const LocalPtr& local) const { return local->pod.path("spec.terminationGracePeriodSeconds").int_or(30); }

  Result<std::pair<int, std::string>> run_command(const LocalPtr& local, const std::string& container, const std::vector<std::string>& command, Duration timeout);

  // container.cpp
  struct Failure {
    std::string reason;  // ErrImagePull, CreateContainerConfigError, …
    Status status;
  };
  // As the status tells it: the image's first name, and its ID or the reference with the manifest's digest.
  static void name_image(const image::Image& image, json::Value container, std::string& name, std::string& id);
  void start_container(const LocalPtr& local, const std::string& name);
  std::optional<Failure> try_start(const LocalPtr& local, json::Value container, int attempt, const image::Image& image);
  // The image, or nothing: then the container's state says why and when it is looked at again.
  std::optional<image::Image> ensure_image(const LocalPtr& local, json::Value container);
  std::optional<image::Image> ensure_image(const LocalPtr& local, const std::string& container, const std::string& image, const std::string& policy);
  // image_volumes.cpp: the image volumes that a container mounts, as ensure_image(); false: not yet.
  bool ensure_image_volumes(const LocalPtr& local, json::Value container);
  Result<> mount_image(const LocalPtr& local, const std::string& volume, const std::string& reference, const image::Image& image);
  std::vector<image::RegistryAuth> pull_credentials(const LocalPtr& local, const image::Reference& reference);
  void on_pulled(const std::string& uid);
  Result<> record_start(const LocalPtr& local, json::Value container, int attempt, const image::Image& image, const runtime::ContainerSpec& spec);
  std::string processes_of(const LocalPtr& local, json::Value container) const;
  Result<runtime::ContainerSpec> container_spec(const LocalPtr& local, json::Value container, const image::Image& image);
  EnvironmentInput environment_input(const LocalPtr& local, json::Value container);
  Result<> write_etc_files(const LocalPtr& local);
  Result<std::string> token(const LocalPtr& local, const std::string& audience, int64_t seconds_valid);
  void event(const LocalPtr& local, std::string_view type, std::string_view reason, std::string message, std::string_view container = {});

  std::string pod_dir(const std::string& uid) const { return facts_.data_dir + "/pods/" + uid; }
  std::string log_dir(const LocalPod& local, const std::string& container) const;

  machinery::Client& client_;
  async::Loop& loop_;
  const Clock& clock_;
  machinery::EventRecorder& events_;
  const NodeFacts facts_;
  std::string node_ip_;  // guarded by the mutex
  std::mutex ports_mutex_;
  machinery::Informer& pods_;
  std::atomic<bool> adopted_{false};
  std::vector<std::string> found_;  // shims of the process before; and which of their pods were taken over early
  std::set<std::string> taken_early_;
  bool looked_ = false;
  machinery::Informer& services_;
  image::ImageStore& images_;
  image::Puller& puller_;
  cni::Network* network_ = nullptr;
  runtime::Cgroups cgroups_;
  machinery::WorkQueue queue_;
  mutable std::mutex mutex_;
  std::map<std::string, LocalPtr> locals_;  // by uid
  std::atomic<bool> shutting_down_{false};
  bool closing_ = false;  // guarded by the mutex
  std::condition_variable closed_;
  Pressure pressure_;                       // guarded by the mutex
  // Of the worker that looks at pressure.
  Pressure told_pressure_;
  EvictionState eviction_state_;
  Duration disk_look_at_{0};
  std::unique_ptr<runtime::Runtime> runtime_;
  std::unique_ptr<Prober> prober_;
  std::unique_ptr<Hooks> hooks_;
  std::unique_ptr<ImagePulls> pulls_;
  std::unique_ptr<StaticPods> statics_;
};

}  // namespace k8lite::kubelet
