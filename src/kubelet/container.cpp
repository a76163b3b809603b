// Starting one container: its image, environment, user, mounts and cgroup, then the runtime. Every failure has the reason that
// `kubectl describe pod` readers know.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "kubelet/pods.h"
#include "kubelet/resolv.h"

namespace k8lite::kubelet {

using json::Doc;
using json::Node;
using json::Value;

namespace {
constexpr auto kCreateAgain = seconds(10);
constexpr int kStartError = 128;
}  // namespace

std::string PodManager::log_dir(const LocalPod& local, const std::string& container) const {
  auto [ns, name] = machinery::split_key(local.key);
  std::string dir = facts_.data_dir + "/logs/" + ns + "_" + name + "_" + local.uid;
  return container.empty() ? dir : dir + "/" + container;
}

void PodManager::event(const LocalPtr& local, std::string_view type, std::string_view reason, std::string message, std::string_view container) {
  std::string path;
  if (!container.empty()) {
    bool init = is_init(local->pod.root(), container), ephemeral = is_ephemeral(local->pod.root(), container);
    path = std::string(init ? "spec.initContainers{" : ephemeral ? "spec.ephemeralContainers{" : "spec.containers{") + std::string(container) + "}";
  }
  events_.record(local->pod.root(), type, reason, std::move(message), path);
}

EnvironmentInput PodManager::environment_input(const LocalPtr& local, Value container) {
  EnvironmentInput in;
  in.pod = local->pod.root();
  in.container = container;
  in.node_name = facts_.name;
  in.host_ip = node_ip();
  {
    std::lock_guard lock(mutex_);
    in.pod_ip = local->ip;
  }
  std::string ns = local->pod.path("metadata.namespace").str();
  in.services = services_.list(ns);
  if (ns != "default")
    if (Doc k = services_.get("default/kubernetes")) in.services.push_back(k);
  in.get = [this, ns](std::string_view resource, const std::string& name) {
    auto object = client_.get({"", "v1", std::string(resource), ns, name, ""});
    // Users know the words of upstream's node agent: configmap "web" not found.
    if (!object.ok() && object.status().is(Reason::NotFound)) return Result<Doc>(not_found(std::string(resource.substr(0, resource.size() - 1)) + " " + json::quoted(name) + " not found"));
    return object;
  };
  in.node_cpu_milli = facts_.cpu_milli;
  in.node_memory = facts_.memory;
  return in;
}

Result<std::string> PodManager::token(const LocalPtr& local, const std::string& audience, int64_t valid) {
  auto& cached = local->tokens[audience];
  if (!cached.text.empty() && clock_.now() < cached.refresh_at) return cached.text;
  auto [ns, name] = machinery::split_key(local->key);
  Node request = Node::obj({{"apiVersion", "authentication.k8s.io/v1"}, {"kind", "TokenRequest"}});
  request["spec"].set("expirationSeconds", valid);
  if (!audience.empty()) request["spec"]["audiences"].append(audience);
  request["spec"].set("boundObjectRef", Node::obj({{"kind", "Pod"}, {"apiVersion", "v1"}, {"name", name}, {"uid", local->uid}}));
  TRY(Doc answer, client_.create({"", "v1", "serviceaccounts", ns, local->pod.path("spec.serviceAccountName").str("default"), "token"}, Doc::from(request), {}));
  cached.text = answer.path("status.token").str();
  cached.refresh_at = clock_.now() + seconds(valid * 8 / 10);
  return cached.text;
}

Result<> PodManager::write_etc_files(const LocalPtr& local) {
  Value pod = local->pod.root();
  std::string dir = pod_dir(local->uid) + "/etc", ip = environment_input(local, {}).pod_ip;
  TRY_OK(os::make_dirs(dir));
  std::string hostname = pod.path("spec.hostname").str(pod.path("metadata.name").str().substr(0, 63));
  std::string hosts = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";
  std::string ns = pod.path("metadata.namespace").str(), subdomain = pod.path("spec.subdomain").str();
  if (!subdomain.empty()) hosts += ip + "\t" + hostname + "." + subdomain + "." + ns + ".svc." + facts_.cluster_domain + "\t" + hostname + "\n";
  else hosts += ip + "\t" + hostname + "\n";
  if (pod.path("spec.hostNetwork").bool_or(false)) hosts = os::read_file("/etc/hosts").value_or(hosts);
  if (pod.path("spec.hostAliases").size()) hosts += "\n# Entries added by HostAliases.\n";
  for (Value alias : pod.path("spec.hostAliases").items()) {
    hosts += alias["ip"].str();
    for (Value h : alias["hostnames"].items()) hosts += "\t" + h.str();
    hosts += "\n";
  }
  std::string resolv = pod_resolv_conf(pod, {facts_.cluster_dns, facts_.cluster_domain, os::read_file(facts_.resolv_conf).value_or("")});
  for (auto [name, text] : {std::pair{"hosts", &hosts}, {"resolv.conf", &resolv}}) {
    std::string path = dir + "/" + name;
    if (os::exists(path)) continue;  // mounted into containers by now: replacing the file would not reach them
    TRY_OK(os::write_file(path, *text, 0644, false));
  }
  return {};
}

std::string PodManager::processes_of(const LocalPtr& local, Value c) const {
  if (local->pod.path("spec.shareProcessNamespace").bool_or(false)) return std::string(runtime::shim::kPodProcesses);
  std::string target = c["targetContainerName"].str();
  if (target.empty()) return {};
  std::lock_guard lock(mutex_);
  auto it = local->runs.find(target);
  return it == local->runs.end() ? target : it->second.current.id;
}

Result<runtime::ContainerSpec> PodManager::container_spec(const LocalPtr& local, Value c, const image::Image& image) {
  Value pod = local->pod.root(), pod_security = pod["spec"]["securityContext"], security = c["securityContext"];
  const Node& config = image.config.get("config");
  runtime::ContainerSpec s;
  s.layers = image.layers;
  EnvironmentInput in = environment_input(local, c);
  TRY(auto env, container_environment(in));
  std::map<std::string, std::string> values(env.begin(), env.end());
  bool has_path = values.count("PATH") > 0;
  for (const Node& e : config.get("Env").items()) {
    size_t equals = e.str().find('=');
    if (!values.count(e.str().substr(0, equals))) s.env.push_back(e.str());
    has_path |= e.str().starts_with("PATH=");
  }
  if (!has_path) s.env.push_back("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  std::string hostname = pod.path("spec.hostname").str(pod.path("metadata.name").str().substr(0, 63));
  if (!values.count("HOSTNAME")) s.env.push_back("HOSTNAME=" + hostname);
  for (const auto& [k, v] : env) s.env.push_back(k + "=" + v);
  if (c["tty"].bool_or(false) && !values.count("TERM")) s.env.push_back("TERM=xterm");

  auto texts = [&values](Value list) {
    std::vector<std::string> out;
    for (Value v : list.items()) out.push_back(expand(v.str(), values));
    return out;
  };
  auto image_texts = [](const Node& list) {
    std::vector<std::string> out;
    for (const Node& n : list.items()) out.push_back(n.str());
    return out;
  };
  std::vector<std::string> command = texts(c["command"]), args = texts(c["args"]);
  if (command.empty()) {
    command = image_texts(config.get("Entrypoint"));
    if (args.empty()) args = image_texts(config.get("Cmd"));
  }
  s.args = command;
  s.args.insert(s.args.end(), args.begin(), args.end());
  if (s.args.empty()) return bad_request("no command specified");
  s.cwd = c["workingDir"].empty() ? config.get("WorkingDir").str() : c["workingDir"].str();

  std::string user = config.get("User").str();
  auto pick = [&](std::string_view field) { return security[field] ? security[field] : pod_security[field]; };
  if (Value u = pick("runAsUser")) user = std::to_string(u.int_or(0));
  TRY(auto who, image::resolve_user(image.layers, user));
  s.uid = who.uid;
  s.gid = who.gid;
  s.groups = who.groups;
  if (Value g = pick("runAsGroup")) s.gid = static_cast<uint64_t>(g.int_or(0));
  if (Value g = pod_security["fsGroup"]) s.groups.push_back(static_cast<uint64_t>(g.int_or(0)));
  for (Value g : pod_security["supplementalGroups"].items()) s.groups.push_back(static_cast<uint64_t>(g.int_or(0)));
  if (pick("runAsNonRoot").bool_or(false) && s.uid == 0) return bad_request("container has runAsNonRoot and image will run as root (pod: \"" + format_pod(pod) + "\", container: " + c["name"].str() + ")");
  s.privileged = security["privileged"].bool_or(false);
  s.no_new_privileges = security["allowPrivilegeEscalation"] && !security["allowPrivilegeEscalation"].bool_or(true);
  s.read_only_root = security["readOnlyRootFilesystem"].bool_or(false);
  s.unmasked_proc = security["procMount"].equals("Unmasked");
  auto names = [](Value list) {
    std::vector<std::string> out;
    for (Value v : list.items()) out.push_back(v.str());
    return out;
  };
  s.add_capabilities = names(security["capabilities"]["add"]);
  s.drop_capabilities = names(security["capabilities"]["drop"]);
  s.tty = c["tty"].bool_or(false);
  s.stdin_open = c["stdin"].bool_or(false);
  s.stdin_once = c["stdinOnce"].bool_or(false);
  s.host_pid = pod.path("spec.hostPID").bool_or(false);
  if (!s.host_pid) s.processes_of = processes_of(local, c);
  s.oom_score_adj = oom_score_adj(pod, c, facts_.memory);
  TRY(s.mounts, container_mounts(pod, c, pod_dir(local->uid), values));
  auto mounted = [&s](std::string_view target) { return std::any_of(s.mounts.begin(), s.mounts.end(), [target](const auto& m) { return m.target == target; }); };
  std::string dir = pod_dir(local->uid);
  for (const char* file : {"hosts", "resolv.conf"})
    if (std::string target = std::string("/etc/") + file; !mounted(target)) s.mounts.push_back({dir + "/etc/" + file, target, s.read_only_root, true, false, 0});
  std::string message_path = c["terminationMessagePath"].str("/dev/termination-log");
  if (!mounted(message_path)) s.mounts.push_back({dir + "/containers/" + c["name"].str() + "/termination-log", message_path, false, true, false, 0});
  std::string cgroup = pod_cgroup(pod) + "/" + c["name"].str();
  s.cgroup_procs = cgroups_.procs_files(cgroup);
  s.cgroup_hierarchies = cgroups_.hierarchies(os::read_file("/proc/self/cgroup").value_or(""));
  s.oom_file = cgroups_.oom_file(cgroup);
  return s;
}

// As the status of a container names what it runs: by the digest of the registry where there is one.
void PodManager::name_image(const image::Image& image, Value container, std::string& name, std::string& id) {
  std::string wanted = container["image"].str();
  auto reference = image::parse_reference(wanted);
  name = image.names.empty() ? wanted : image.names[0];
  if (reference.ok() && std::find(image.names.begin(), image.names.end(), reference->text()) != image.names.end()) name = reference->text();
  id = image.digests.empty() ? image.id : image.digests[0];
  for (const auto& digest : image.digests)
    if (reference.ok() && digest.starts_with(reference->name() + "@")) id = digest;
}

std::optional<PodManager::Failure> PodManager::try_start(const LocalPtr& local, Value c, int attempt, const image::Image& found) {
  std::string name = c["name"].str(), id = name + "-" + std::to_string(attempt);
  std::string message_dir = pod_dir(local->uid) + "/containers/" + name;
  if (auto r = os::make_dirs(message_dir); !r.ok()) return Failure{"CreateContainerError", r.status()};
  if (auto r = os::write_file(message_dir + "/termination-log", "", 0666, false); !r.ok()) return Failure{"CreateContainerError", r.status()};
  // A leftover of a run before: its cgroup must not keep an old limit.
  std::string cgroup = pod_cgroup(local->pod.root()) + "/" + name;
  (void)cgroups_.remove(cgroup);
  if (auto r = cgroups_.create(cgroup, container_resources(c)); !r.ok()) return Failure{"CreateContainerError", r.status()};
  auto spec = container_spec(local, c, found);
  if (!spec.ok()) {
    event(local, "Warning", "Failed", "Error: " + spec.status().message(), name);
    return Failure{"CreateContainerConfigError", spec.status()};
  }
  std::string folder = facts_.data_dir + "/containers/" + local->uid + "/";
  for (const auto& old : os::list_dir(folder))
    if (old.starts_with(name + "-") && parse_int(old.substr(name.size() + 1))) (void)os::remove_tree(folder + old);
  if (auto r = os::make_dirs(folder, 0711); !r.ok()) return Failure{"CreateContainerError", r.status()};
  spec->folder = folder + id;
  std::string logs = log_dir(*local, name);
  if (auto r = os::make_dirs(logs); !r.ok()) return Failure{"CreateContainerError", r.status()};
  spec->log_path = logs + "/" + std::to_string(attempt) + ".log";
  if (attempt >= 2) ::unlink((logs + "/" + std::to_string(attempt - 2) + ".log").c_str());
  if (auto r = record_start(local, c, attempt, found, *spec); !r.ok()) return Failure{"CreateContainerError", r.status()};
  event(local, "Normal", "Created", "Container created", name);
  runtime::shim::Plan plan = plan_container(*spec);
  plan.log_bytes = static_cast<uint64_t>(facts_.log_bytes);
  plan.log_files = static_cast<uint64_t>(facts_.log_files);
  auto started = runtime_->start(local->uid, id, plan);
  if (!started.ok()) {
    remove_record(facts_.run_dir, local->uid, id);
    event(local, "Warning", "Failed", "Error: " + started.status().message(), name);
    return Failure{"RunContainerError", started.status()};
  }
  event(local, "Normal", "Started", "Container started", name);
  return {};
}

void PodManager::start_container(const LocalPtr& local, const std::string& name) {
  Doc pod = local->pod;
  Value c = find_container(pod.root(), name);
  int attempt;
  std::string old_id;
  {
    std::lock_guard lock(mutex_);
    ContainerRun& run = local->runs[name];
    attempt = run.exists ? run.restart_count + 1 : run.restart_count;
    if (run.exists) old_id = run.current.id;
  }
  if (attempt > 0 && !old_id.empty()) {
    (void)runtime_->remove(local->uid, old_id);
  }
  auto lease = images_.lease();  // until the container's record says that the image is in use
  auto found = ensure_image(local, c);
  if (!found || !ensure_image_volumes(local, c)) return;
  auto failure = try_start(local, c, attempt, *found);
  lease = os::Fd();
  std::lock_guard lock(mutex_);
  ContainerRun& run = local->runs[name];
  // What could not even be made is tried again and again; what was made and cannot run counts as a run.
  if (failure && failure->reason != "RunContainerError") {
    run.not_before = clock_.mono() + kCreateAgain;
    run.waiting_reason = failure->reason;
    run.waiting_message = failure->status.message();
    return;
  }
  if (run.exists) {
    run.last = run.current;
    run.last_termination_message = run.termination_message;
    run.last_start_failed = run.start_failed;
    run.backoff = next_backoff(run.backoff);
  }
  run.restart_count = attempt;
  run.exists = true;
  run.again = run.owed = false;
  run.resources = json::Node::object();
  if (auto it = local->allocated.find(name); it != local->allocated.end()) run.resources = it->second;
  run.waiting_reason.clear();
  run.waiting_message.clear();
  run.termination_message.clear();
  name_image(*found, c, run.image, run.image_id);
  run.current = {};
  run.current.id = name + "-" + std::to_string(attempt);
  run.start_failed = failure.has_value();
  if (failure) {
    run.current.exit_code = kStartError;
    run.current.finished_us = static_cast<uint64_t>(clock_.now().us);
    run.termination_message = failure->status.message();
    if (run.backoff == Duration{0}) run.waiting_reason = failure->reason, run.waiting_message = failure->status.message();
    // It never ran well, and is not tried in a hurry.
    run.backoff = std::max<Duration>(run.backoff, kFirstBackoff);
    run.not_before = clock_.mono() + run.backoff;
    return;
  }
  run.current.running = true;
  run.current.started_us = static_cast<uint64_t>(clock_.now().us);
  run.started = !c["startupProbe"];
  run.ready = !c["readinessProbe"];
  // A container that ended before this line: its exit was told while there was nothing to match it with.
  if (auto states = runtime_->list(local->uid); states.ok())
    for (const auto& s : *states)
      if (s.id == run.current.id) run.current = s;
  if (!run.current.running) {
    pause(run);
    run.termination_message = termination_message(*local, name, run.current);
    return;
  }
  if (c["lifecycle"]["postStart"]) {
    run.hooking = true;
    post_start(local, name, run.current.id);
    return;
  }
  prober_->add({local->uid, local->key, name, run.current.id, local->ip, pod});
}

}  // namespace k8lite::kubelet
