#include "app/crictl_containers.h"

#include <algorithm>
#include <cstdio>
#include <map>

#include "app/crictl.h"
#include "app/images_cli.h"
#include "base/clock.h"
#include "base/strings.h"
#include "os/files.h"

namespace k8lite::app::crictl {
namespace {

using json::Node;

constexpr size_t kShortId = 13;

std::string shown(const std::string& id, const Options& o) { return o.no_trunc ? id : id.substr(0, kShortId); }

Node labels_of(const Container& c) {
  return Node::obj({{"io.kubernetes.container.name", c.record.name}, {"io.kubernetes.pod.name", c.pod.name}, {"io.kubernetes.pod.namespace", c.pod.ns}, {"io.kubernetes.pod.uid", c.pod.uid}});
}

bool has_labels(const Node& labels, const std::vector<std::string>& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&labels](const std::string& w) {
    size_t equals = w.find('=');
    return labels.get(w.substr(0, equals)).str() == (equals == w.npos ? "" : w.substr(equals + 1));
  });
}

bool name_matches(const std::string& name, const std::string& part) { return part.empty() || name.find(part) != name.npos; }

Node container_object(const Container& c) {
  return Node::obj({{"id", c.id}, {"podSandboxId", kubelet::cri_id(c.pod.uid)}, {"metadata", Node::obj({{"name", c.record.name}, {"attempt", c.record.attempt}})},
                    {"image", Node::obj({{"image", c.record.image_id}, {"annotations", Node::object()}, {"userSpecifiedImage", c.record.image}})}, {"imageRef", c.record.image_id}, {"imageId", c.record.image_id},
                    {"state", "CONTAINER_" + std::string(c.state_name() == "Running" ? "RUNNING" : c.known ? "EXITED" : "UNKNOWN")}, {"createdAt", std::to_string(c.record.created_us * 1000)},
                    {"labels", labels_of(c)}, {"annotations", Node::object()}});
}

Node pod_object(const Pod& p) {
  Node labels = p.record.labels.is_object() ? p.record.labels : Node::object();
  for (auto [key, value] : {std::pair{"io.kubernetes.pod.name", p.record.name}, {"io.kubernetes.pod.namespace", p.record.ns}, {"io.kubernetes.pod.uid", p.record.uid}}) labels.set(key, value);
  return Node::obj({{"id", p.id}, {"metadata", Node::obj({{"name", p.record.name}, {"uid", p.record.uid}, {"namespace", p.record.ns}, {"attempt", 0}})},
                    {"state", p.ready ? "SANDBOX_READY" : "SANDBOX_NOTREADY"}, {"createdAt", std::to_string(p.record.created_us * 1000)}, {"labels", labels},
                    {"annotations", p.record.annotations.is_object() ? p.record.annotations : Node::object()}, {"runtimeHandler", ""}});
}

std::string time_text(uint64_t us) { return us ? rfc3339_nano({static_cast<int64_t>(us)}) : "0001-01-01T00:00:00Z"; }

std::string exit_reason(const Container& c) { return !c.known || c.state.running ? "" : c.state.oom_killed ? "OOMKilled" : c.state.exit_code == 0 ? "Completed" : "Error"; }

}  // namespace

NodeView look() {
  NodeView out;
  out.runtime = std::make_unique<runtime::Runtime>(kubelet::kRunDir, [](const std::string&, const runtime::shim::State&) {}, [](const std::string&) {});
  auto alive = out.runtime->adopt();
  for (auto& record : kubelet::pod_records(kubelet::kRunDir)) {
    Pod pod{record, std::find(alive.begin(), alive.end(), record.uid) != alive.end(), kubelet::cri_id(record.uid)};
    std::map<std::string, runtime::shim::State> states;
    if (auto list = pod.ready ? out.runtime->list(record.uid) : Result<std::vector<runtime::shim::State>>(not_found("no shim")); list.ok())
      for (const auto& s : *list) states[s.id] = s;
    for (auto& c : kubelet::container_records(kubelet::kRunDir, record.uid)) {
      Container container{c, record, {}, states.count(c.id) > 0, kubelet::cri_id(record.uid, c.id)};
      if (container.known) container.state = states[c.id];
      out.containers.push_back(std::move(container));
    }
    out.pods.push_back(std::move(pod));
  }
  std::sort(out.pods.begin(), out.pods.end(), [](const Pod& a, const Pod& b) { return a.record.created_us > b.record.created_us; });
  std::sort(out.containers.begin(), out.containers.end(), [](const Container& a, const Container& b) { return a.record.created_us > b.record.created_us; });
  return out;
}

Result<Container> find_container(const NodeView& node, const std::string& text) {
  std::vector<const Container*> found;
  std::string id = text.starts_with("k8lite://") ? text.substr(9) : text;
  for (const auto& c : node.containers)
    if (c.id.starts_with(id) || c.pod.uid + "/" + c.record.id == id) found.push_back(&c);
  if (found.empty())
    for (const auto& c : node.containers)
      if (c.record.name == id) found.push_back(&c);
  if (found.size() == 1) return *found[0];
  if (found.empty()) return not_found("container \"" + text + "\": not found");
  return bad_request("more than one container is meant by \"" + text + "\"");
}

int containers(const Options& o) {
  auto node = look();
  Rows rows = {{"CONTAINER", "IMAGE", "CREATED", "STATE", "NAME", "ATTEMPT", "POD ID", "POD", "NAMESPACE"}};
  Node list = Node::array();
  long left = o.latest ? 1 : o.last > 0 ? o.last : -1;
  for (const auto& c : node.containers) {
    bool everything = o.all || !o.state.empty() || left >= 0;
    if (!everything && !c.state.running) continue;
    if (!o.state.empty() && !iequals(o.state, c.state_name())) continue;
    if (!o.pod.empty() && !kubelet::cri_id(c.pod.uid).starts_with(o.pod)) continue;
    if (!name_matches(c.record.name, o.name) || (!o.namespace_.empty() && c.pod.ns != o.namespace_) || !has_labels(labels_of(c), o.labels)) continue;
    if (!o.image.empty() && c.record.image.find(o.image) == std::string::npos && c.record.image_id.find(o.image) == std::string::npos) continue;
    if (o.words.size() > 1 && !c.id.starts_with(o.words[1])) continue;
    if (left == 0) break;
    if (left > 0) --left;
    if (o.quiet) std::printf("%s\n", c.id.c_str());
    list.append(container_object(c));
    rows.push_back({shown(c.id, o), shown(c.record.image_id.starts_with("sha256:") ? c.record.image_id.substr(7) : c.record.image_id, o), ago(c.record.created_us, system_clock().now().us), c.state_name(), c.record.name,
                    std::to_string(c.record.attempt), shown(kubelet::cri_id(c.pod.uid), o), c.pod.name, c.pod.ns});
  }
  if (o.quiet) return 0;
  if (o.output != "table") return print_value(Node::obj({{"containers", list}}), o.output);
  print_table(rows);
  return 0;
}

int pods(const Options& o) {
  auto node = look();
  Rows rows = {{"POD ID", "CREATED", "STATE", "NAME", "NAMESPACE", "ATTEMPT", "RUNTIME"}};
  Node list = Node::array();
  for (const auto& p : node.pods) {
    std::string state = p.ready ? "Ready" : "NotReady";
    if (!name_matches(p.record.name, o.name) || (!o.namespace_.empty() && p.record.ns != o.namespace_) || (!o.state.empty() && !iequals(o.state, state))) continue;
    if (!has_labels(p.record.labels, o.labels) || (o.words.size() > 1 && !p.id.starts_with(o.words[1]))) continue;
    if (o.quiet) std::printf("%s\n", p.id.c_str());
    list.append(pod_object(p));
    rows.push_back({shown(p.id, o), ago(p.record.created_us, system_clock().now().us), state, p.record.name, p.record.ns, "0", "(default)"});
  }
  if (o.quiet) return 0;
  if (o.output != "table") return print_value(Node::obj({{"items", list}}), o.output);
  print_table(rows);
  return 0;
}

int inspect(const Options& o) {
  if (o.words.size() < 2) return fail("inspect: which container?");
  auto node = look();
  for (size_t i = 1; i < o.words.size(); ++i) {
    auto c = find_container(node, o.words[i]);
    if (!c.ok()) return fail(c.status().message());
    Node status = container_object(*c);
    status.erase("podSandboxId");
    status.set("image", Node::obj({{"annotations", Node::object()}, {"image", c->record.image}, {"runtimeHandler", ""}, {"userSpecifiedImage", c->record.image}}));
    status.set("createdAt", time_text(static_cast<uint64_t>(c->record.created_us)));
    status.set("startedAt", time_text(c->state.started_us));
    status.set("finishedAt", time_text(c->state.running ? 0 : c->state.finished_us));
    status.set("exitCode", c->state.exit_code);
    status.set("reason", exit_reason(*c));
    status.set("message", "");
    status.set("logPath", c->record.log_path);
    Node args = Node::array();
    for (const auto& a : c->record.process.args) args.append(a);
    Node info = Node::obj({{"sandboxID", kubelet::cri_id(c->pod.uid)}, {"pid", static_cast<int64_t>(c->state.pid)}, {"runtimeSpec", Node::obj({{"process", Node::obj({{"args", args}, {"cwd", c->record.process.cwd}})}})}});
    print_value(Node::obj({{"status", status}, {"info", info}}), o.output);
  }
  return 0;
}

int inspect_pod(const Options& o) {
  if (o.words.size() < 2) return fail("inspectp: which pod?");
  auto node = look();
  for (size_t i = 1; i < o.words.size(); ++i) {
    auto it = std::find_if(node.pods.begin(), node.pods.end(), [&](const Pod& p) { return p.id.starts_with(o.words[i]) || p.record.name == o.words[i] || p.record.uid == o.words[i]; });
    if (it == node.pods.end()) return fail("pod \"" + o.words[i] + "\": not found");
    Node status = pod_object(*it);
    status.set("createdAt", time_text(static_cast<uint64_t>(it->record.created_us)));
    status.set("network", Node::obj({{"additionalIps", Node::array()}, {"ip", it->record.ip}}));
    status.set("linux", Node::obj({{"namespaces", Node::obj({{"options", Node::obj({{"network", it->record.host_network ? "NODE" : "POD"}, {"pid", "CONTAINER"}, {"ipc", "POD"}})}})}}));
    print_value(Node::obj({{"status", status}, {"info", Node::obj({{"pid", node.runtime->shim_pid(it->record.uid)}})}}), o.output);
  }
  return 0;
}

}  // namespace k8lite::app::crictl
