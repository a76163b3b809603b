#include "kubelet/container_record.h"

#include <unistd.h>

#include "base/strings.h"
#include "image/digest.h"
#include "os/files.h"

namespace k8lite::kubelet {
namespace {

using json::Node;

constexpr std::string_view kEnd = ".container.json", kVolumeEnd = ".volume.json";

std::string record_path(const std::string& run_dir, const std::string& uid, const std::string& id, std::string_view end = kEnd) { return run_dir + "/" + uid + "/" + id + std::string(end); }

ContainerRecord container_of(const Node& n) {
  ContainerRecord r;
  r.id = n.get("id").str();
  r.pod_uid = n.get("pod").str();
  r.name = n.get("name").str();
  r.attempt = static_cast<int>(n.get("attempt").int_or(0));
  r.image = n.get("image").str();
  r.image_id = n.get("imageID").str();
  for (const Node& l : n.get("layers").items()) r.layers.push_back(l.str());
  r.log_path = n.get("logPath").str();
  r.created_us = n.get("created").int_or(0);
  std::string process = base64_decode(n.get("process").str()).value_or("");
  runtime::shim::Reader reader{process};
  r.process.read(reader);
  return r;
}

std::string text_of(const ContainerRecord& r) {
  Node layers = Node::array();
  for (const auto& l : r.layers) layers.append(l);
  runtime::shim::Writer process;
  r.process.write(process);
  return Node::obj({{"id", r.id}, {"pod", r.pod_uid}, {"name", r.name}, {"attempt", r.attempt}, {"image", r.image}, {"imageID", r.image_id}, {"layers", layers}, {"logPath", r.log_path}, {"created", r.created_us}, {"process", base64_encode(process.out)}}).dump();
}

std::vector<ContainerRecord> read_records(const std::string& run_dir, const std::string& pod_uid, std::string_view end) {
  std::vector<ContainerRecord> out;
  for (const auto& name : os::list_dir(run_dir + "/" + pod_uid)) {
    if (!name.ends_with(end)) continue;
    auto text = os::read_file(run_dir + "/" + pod_uid + "/" + name);
    auto n = text.ok() ? Node::parse(*text) : Result<Node>(text.status());
    if (n.ok()) out.push_back(container_of(*n));
  }
  return out;
}

// Of containers and of volumes: what the pods of this node stand on.
std::vector<ContainerRecord> all_records(const std::string& run_dir) {
  std::vector<ContainerRecord> out;
  for (const auto& uid : os::list_dir(run_dir))
    for (std::string_view end : {kEnd, kVolumeEnd})
      for (auto& r : read_records(run_dir, uid, end)) out.push_back(std::move(r));
  return out;
}

}  // namespace

Result<> write_record(const std::string& run_dir, const PodRecord& r) {
  std::string text = Node::obj({{"uid", r.uid}, {"name", r.name}, {"namespace", r.ns}, {"ip", r.ip}, {"labels", r.labels}, {"annotations", r.annotations}, {"created", r.created_us}, {"hostNetwork", r.host_network}}).dump();
  return os::write_file(run_dir + "/" + r.uid + "/pod.json", text, 0600, false);
}

Result<> write_record(const std::string& run_dir, const ContainerRecord& r) { return os::write_file(record_path(run_dir, r.pod_uid, r.id), text_of(r), 0600, false); }
Result<> write_volume_record(const std::string& run_dir, const ContainerRecord& r) { return os::write_file(record_path(run_dir, r.pod_uid, r.id, kVolumeEnd), text_of(r), 0600, false); }

void remove_record(const std::string& run_dir, const std::string& pod_uid, const std::string& container_id) { ::unlink(record_path(run_dir, pod_uid, container_id).c_str()); }

std::vector<PodRecord> pod_records(const std::string& run_dir) {
  std::vector<PodRecord> out;
  for (const auto& uid : os::list_dir(run_dir)) {
    auto text = os::read_file(run_dir + "/" + uid + "/pod.json");
    auto n = text.ok() ? Node::parse(*text) : Result<Node>(text.status());
    if (!n.ok()) continue;
    out.push_back({uid, n->get("name").str(), n->get("namespace").str(), n->get("ip").str(), n->get("labels"), n->get("annotations"), n->get("created").int_or(0), n->get("hostNetwork").bool_or(false)});
  }
  return out;
}

std::vector<ContainerRecord> container_records(const std::string& run_dir, const std::string& pod_uid) { return read_records(run_dir, pod_uid, kEnd); }

std::set<std::string> layers_in_use(const std::string& run_dir) {
  std::set<std::string> out;
  for (const auto& r : all_records(run_dir)) out.insert(r.layers.begin(), r.layers.end());
  return out;
}

std::set<std::string> images_in_use(const std::string& run_dir) {
  std::set<std::string> out;
  for (const auto& r : all_records(run_dir)) out.insert(r.image_id);
  return out;
}

std::string cri_id(const std::string& pod_uid, const std::string& container_id) { return image::hex_of(image::digest_of(pod_uid + "/" + container_id)); }

}  // namespace k8lite::kubelet
