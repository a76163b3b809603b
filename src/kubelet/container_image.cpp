// The image part of starting a container: pull secrets, what a container waits for, and what is written down of its image.
#include "base/log.h"
#include "base/strings.h"
#include "kubelet/pods.h"

namespace k8lite::kubelet {
namespace {

using json::Node;
using json::Value;

constexpr Duration kUntilPulled = seconds(3600);  // on_pulled() comes long before

std::string decoded(Value secret, std::string_view key) { return base64_decode(secret["data"][key].str()).value_or(""); }

}  // namespace

// The pod's own, which admission fills from the service account. A secret that is not there does not stop the pull: the image may be open.
std::vector<image::RegistryAuth> PodManager::pull_credentials(const LocalPtr& local, const image::Reference& reference) {
  std::vector<image::RegistryAuth> out;
  std::string ns = local->pod.path("metadata.namespace").str();
  std::vector<std::string> missing;
  for (Value s : local->pod.path("spec.imagePullSecrets").items()) {
    auto secret = client_.get({"", "v1", "secrets", ns, s["name"].str(), ""});
    if (!secret.ok()) {
      missing.push_back(s["name"].str());
      continue;
    }
    std::string type = (*secret)["type"].str();
    std::string text = type == "kubernetes.io/dockercfg" ? decoded(secret->root(), ".dockercfg") : type == "kubernetes.io/dockerconfigjson" ? decoded(secret->root(), ".dockerconfigjson") : "";
    auto config = Node::parse(text.empty() ? "{}" : text);
    if (!config.ok()) {
      log_warn("a pull secret is unreadable", {{"secret", ns + "/" + s["name"].str()}, {"error", config.status()}});
      continue;
    }
    for (auto& auth : image::docker_config_auths(*config, reference)) out.push_back(std::move(auth));
  }
  if (!missing.empty()) event(local, "Warning", "FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets (" + join(missing, ", ") + "); attempting to pull the image may not succeed.");
  return out;
}

std::optional<image::Image> PodManager::ensure_image(const LocalPtr& local, Value c) {
  {
    std::lock_guard lock(mutex_);
    local->runs[c["name"].str()].asked_image = c["image"].str();
  }
  return ensure_image(local, c["name"].str(), c["image"].str(), c["imagePullPolicy"].str("IfNotPresent"));
}

std::optional<image::Image> PodManager::ensure_image(const LocalPtr& local, const std::string& name, const std::string& reference, const std::string& policy) {
  {
    // Before the question: the answer to a pull may come at once.
    std::lock_guard lock(mutex_);
    local->pulling.insert(name);
    local->runs[name].not_before = clock_.mono() + kUntilPulled;
  }
  ImageWanted wanted;
  wanted.pod_uid = local->uid;
  wanted.image = reference;
  wanted.policy = policy;
  wanted.credentials = [this, &local](const image::Reference& wanted_image) { return pull_credentials(local, wanted_image); };
  wanted.event = [this, &local, &name](std::string_view type, std::string_view reason, const std::string& message) { event(local, type, reason, message, name); };
  ImageAnswer answer = pulls_->ensure(wanted);
  if (answer.state == ImageAnswer::State::Pulling) return {};
  std::lock_guard lock(mutex_);
  local->pulling.erase(name);
  ContainerRun& run = local->runs[name];
  if (answer.state == ImageAnswer::State::Ready) {
    run.not_before = Duration{0};
    return std::move(answer.image);
  }
  run.not_before = clock_.mono() + answer.again;
  run.waiting_reason = answer.reason;
  run.waiting_message = answer.message;
  return {};
}

void PodManager::on_pulled(const std::string& uid) {
  auto local = find(uid);
  if (!local) return;
  {
    std::lock_guard lock(mutex_);
    for (const auto& name : local->pulling) local->runs[name].not_before = Duration{0};
    local->pulling.clear();
  }
  queue_.add(local->key);
}

Result<> PodManager::record_start(const LocalPtr& local, Value c, int attempt, const image::Image& image, const runtime::ContainerSpec& spec) {
  ContainerRecord r;
  r.name = c["name"].str();
  r.id = r.name + "-" + std::to_string(attempt);
  r.pod_uid = local->uid;
  r.attempt = attempt;
  r.image = c["image"].str();
  r.image_id = image.id;
  for (const auto& layer : image.layers) r.layers.push_back(layer.substr(layer.rfind('/') + 1));
  r.log_path = spec.log_path;
  r.created_us = clock_.now().us;
  r.process = plan_container(spec).process;
  TRY_OK(write_record(facts_.run_dir, r));
  if (attempt > 0) remove_record(facts_.run_dir, local->uid, r.name + "-" + std::to_string(attempt - 1));
  images_.mark_used(image.id);
  return {};
}

}  // namespace k8lite::kubelet
