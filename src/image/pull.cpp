#include "image/pull.h"

#include <cerrno>
#include <thread>

#include "base/log.h"
#include "base/strings.h"
#include "image/partial.h"

namespace k8lite::image {
namespace {

using json::Node;

constexpr size_t kMaxThreads = 8;  // of one pull; how many work at once is the puller's bound
constexpr const char* kAccept =
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json";

Result<std::string> checked_text(Remote& remote, const std::string& path, const std::string& accept, const std::string& digest) {
  TRY(std::string text, remote.text(path, accept, kMaxManifest));
  if (std::string got = digest_of(text); got != digest) return bad_request("unexpected digest of " + path + ": " + got + ", expected " + digest);
  return text;
}

class WatchedSource : public Source {
 public:
  WatchedSource(Source& inner, std::function<void(int64_t)> told) : inner_(inner), told_(std::move(told)) {}
  Result<size_t> read(char* buffer, size_t size) override {
    TRY(size_t n, inner_.read(buffer, size));
    told_(done_ += static_cast<int64_t>(n));
    return n;
  }

 private:
  Source& inner_;
  const std::function<void(int64_t)> told_;
  int64_t done_ = 0;
};

}  // namespace

class Puller::Turn {
 public:
  Turn(Puller& puller, std::string key) : puller_(puller), key_(std::move(key)) {
    std::unique_lock lock(puller_.mutex_);
    puller_.wake_.wait(lock, [this] { return !puller_.busy_.count(key_); });
    puller_.busy_.insert(key_);
  }
  ~Turn() {
    std::lock_guard lock(puller_.mutex_);
    puller_.busy_.erase(key_);
    puller_.wake_.notify_all();
  }

 private:
  Puller& puller_;
  const std::string key_;
};

class Puller::Slot {
 public:
  explicit Slot(Puller& puller) : puller_(puller) {
    std::unique_lock lock(puller_.mutex_);
    puller_.wake_.wait(lock, [this] { return puller_.slots_ > 0; });
    --puller_.slots_;
  }
  ~Slot() {
    std::lock_guard lock(puller_.mutex_);
    ++puller_.slots_;
    puller_.wake_.notify_all();
  }

 private:
  Puller& puller_;
};

Puller::Puller(async::Loop& loop, ImageStore& store, std::string registries_file, Environment environment, PullerOptions options)
    : loop_(loop), store_(store), registries_(std::move(registries_file)), environment_(std::move(environment)), options_(options), slots_(options.parallel_layers) {}

void Puller::stop() { stopping_ = true; }

Result<Pulled> Puller::pull(const Reference& reference, const std::vector<RegistryAuth>& auth) {
  std::string what = "failed to pull and unpack image " + json::quoted(reference.text());
  TRY(auto registries, registries_.current());
  Turn turn(*this, "image " + reference.text());
  std::string before;  // what mirrors said
  Status last = unavailable("no endpoint");
  for (auto& endpoint : endpoints_for(reference, registries)) {
    if (options_.plain_http && endpoint.mirror_of.empty() && endpoint.url.starts_with("https://")) endpoint.url.replace(0, 5, "http");
    endpoint.config.insecure_skip_verify |= options_.skip_verify;
    if (stopping_) return unavailable("the node is stopping");
    auto r = pull_from(endpoint, reference, auth);
    if (r.ok()) return r;
    last = r.status();
    log_debug("pull failed", {{"image", reference.text()}, {"endpoint", endpoint.url}, {"error", last}});
    if (last.sys_errno() == ENOSPC) break;  // no other place would help
    if (!endpoint.mirror_of.empty()) before += (before.empty() ? "" : "; ") + endpoint.url + ": " + last.message();
  }
  if (!before.empty() && last.message() != before) last = Status(last.reason(), last.message() + " (mirrors: " + before + ")", last.sys_errno());
  return std::move(last).within(what);
}

Result<Pulled> Puller::pull_from(const Endpoint& endpoint, const Reference& reference, const std::vector<RegistryAuth>& auth) {
  Remote remote(loop_, endpoint, auth, environment_, options_.remote, stopping_);
  return pull_manifest(remote, reference);
}

Result<Pulled> Puller::pull_manifest(Remote& remote, const Reference& reference) {
  auto unresolved = [&reference](Status status) {
    if (status.is(Reason::NotFound)) status = not_found(reference.text() + ": not found");
    return std::move(status).within("failed to resolve reference " + json::quoted(reference.text()));
  };
  std::string path = "/manifests/" + (reference.digest.empty() ? reference.tag : reference.digest);
  // A tag that has not moved costs one request without a body (and none of a registry's quota).
  if (auto known = store_.find(reference.text()); known && !known->digest.empty() && !known->pinned) {
    auto digest = remote.digest_of_tag(path, kAccept);
    if (!digest.ok()) return unresolved(digest.status());
    tell(reference.text(), "resolved");
    if (*digest == known->digest) return record(remote, reference, "", known->digest, 0);
  }
  tell(reference.text(), "resolving");
  auto text = remote.text(path, kAccept, kMaxManifest);
  if (!text.ok()) return unresolved(text.status());
  tell(reference.text(), "resolved");
  std::string digest = digest_of(*text);
  if (!reference.digest.empty() && digest != reference.digest) return unresolved(bad_request("unexpected digest of the manifest: " + digest + ", expected " + reference.digest));
  TRY(Node document, Node::parse(*text));
  std::string manifest_digest = digest;
  for (int depth = 0; is_index(document); ++depth) {
    tell("index-" + manifest_digest, "done");
    if (depth == 2) return bad_request("an index of indexes of indexes");
    auto chosen = choose_platform(document, this_platform());
    if (!chosen.ok()) return std::move(chosen).status().within(this_platform().text());
    TRY(std::string inner, checked_text(remote, "/manifests/" + chosen->digest, kAccept, chosen->digest));
    TRY(document, Node::parse(inner));
    manifest_digest = chosen->digest;
  }
  tell("manifest-" + manifest_digest, "done");
  TRY(Manifest manifest, parse_manifest(document));
  TRY(std::string config_text, checked_text(remote, "/blobs/" + manifest.config.digest, "", manifest.config.digest));
  TRY(Node config, Node::parse(config_text));
  tell("config-" + manifest.config.digest, "done", static_cast<int64_t>(config_text.size()), static_cast<int64_t>(config_text.size()));
  TRY(auto ids, layer_ids(config, manifest, this_platform()));
  TRY(os::Fd lease, store_.lease());
  TRY_OK(pull_layers(remote, manifest, ids));
  int64_t size = static_cast<int64_t>(config_text.size());
  for (const auto& layer : manifest.layers) size += std::max<int64_t>(layer.size, 0);
  return record(remote, reference, config_text, digest, size);
}

// The image under its tag and its digest. Without a config text: what the store knows already.
Result<Pulled> Puller::record(Remote& remote, const Reference& reference, const std::string& config_text, const std::string& digest, int64_t size) {
  Pulled out;
  if (options_.guard) out.credential = remote.credential();
  std::string by_digest = reference.name() + "@" + digest;
  auto known = store_.find(by_digest);
  if (config_text.empty()) {
    if (!known) return internal_error("image " + by_digest + " has gone meanwhile");
    if (out.credential.empty() ? known->credentials.empty() : known->credentials.count(out.credential) > 0) {
      out.image = *known;
      return out;
    }
  }
  ImageRecord r{by_digest, config_text, digest, size, false, {}};
  if (config_text.empty()) {
    TRY(r, store_.record_of(by_digest));
    r.pinned = false;
  }
  if (!out.credential.empty()) {
    if (known && known->id == digest_of(r.config_text)) r.credentials = known->credentials;
    r.credentials.insert(out.credential);
  } else {
    r.credentials.clear();
  }
  for (const auto& name : {by_digest, reference.digest.empty() ? reference.text() : by_digest}) {
    r.name = name;
    TRY(out.image, store_.add_image(r));
  }
  return out;
}

Result<> Puller::pull_layers(Remote& remote, const Manifest& manifest, const std::vector<std::string>& ids) {
  std::atomic<bool> give_up{false};
  std::atomic<size_t> next{0};
  std::mutex mutex;
  Status failed;
  auto work = [&] {
    for (size_t i; (i = next++) < ids.size() && !give_up;) {
      auto r = pull_layer(remote, manifest.layers[i], ids[i], give_up);
      if (r.ok()) continue;
      std::lock_guard lock(mutex);
      if (!give_up.exchange(true)) failed = r.status();
    }
  };
  size_t missing = 0;
  for (const auto& id : ids) missing += !store_.has_layer(id);
  std::vector<std::thread> threads;
  for (size_t i = 1; i < std::min({missing, kMaxThreads, static_cast<size_t>(options_.parallel_layers)}); ++i) threads.emplace_back(work);
  work();
  for (auto& t : threads) t.join();
  if (!failed.ok()) return failed;
  return {};
}

// What was kept from an earlier time may be broken (a power cut): then once more from the beginning.
Result<> Puller::pull_layer(Remote& remote, const Descriptor& layer, const std::string& diff_id, const std::atomic<bool>& give_up) {
  std::string name = "layer-" + layer.digest;
  if (!store_.has_layer(diff_id)) {
    tell(name, "waiting", 0, layer.size);
    Slot slot(*this);
    Turn turn(*this, "layer " + diff_id);
    if (!store_.has_layer(diff_id)) {
      if (give_up || stopping_) return unavailable("given up");
      bool resumed = false;
      auto r = fetch_layer(remote, layer, diff_id, give_up, resumed);
      if (!r.ok() && resumed && r.status().is(Reason::BadRequest)) r = fetch_layer(remote, layer, diff_id, give_up, resumed);
      if (r.ok()) tell(name, "done", layer.size, layer.size);
      return r;
    }
  }
  tell(name, "exists", layer.size, layer.size);
  return {};
}

Result<> Puller::fetch_layer(Remote& remote, const Descriptor& layer, const std::string& diff_id, const std::atomic<bool>& give_up, bool& resumed) {
  auto partial = PartialBlob::open(store_.partial_folder(), layer, store_.limits());
  resumed = partial && partial->have() > 0;
  auto body = remote.blob("/blobs/" + layer.digest, layer, give_up, partial ? partial->have() : 0);
  if (partial) partial->follow(*body);
  WatchedSource watched(partial ? static_cast<Source&>(*partial) : *body, [this, &layer](int64_t done) { tell("layer-" + layer.digest, done == layer.size ? "extracting" : "downloading", done, layer.size); });
  HashingSource hash(watched);
  bool drained = false;
  auto verify = [&]() -> Result<> {
    TRY_OK(hash.drain());
    drained = true;
    if (partial) partial->drop();
    std::string got = hash.digest();
    if (got == layer.digest) return {};
    return bad_request("failed commit on ref \"layer-" + layer.digest + "\": unexpected commit digest " + got + ", expected " + layer.digest + ": failed precondition");
  };
  Result<> added = store_.add_layer(diff_id, hash, verify);
  if (added.ok()) return added;
  // Damage on the way shows as a broken stream first: the digest says whether the registry's layer itself is broken.
  bool network = added.status().is(Reason::ServiceUnavailable) || added.status().is(Reason::Timeout);
  if (!network && !drained && layer.size >= 0 && !give_up && added.status().is(Reason::BadRequest) && added.status().message().find("limit") == std::string::npos)
    if (auto r = verify(); !r.ok() && drained) return r;
  if (network) return added;
  if (partial) partial->drop();
  return std::move(added).status().within("failed to extract layer " + diff_id);
}

void Puller::tell(const std::string& name, const char* state, int64_t done, int64_t total) const {
  if (options_.progress) options_.progress->set(name, state, done, total);
}

void PullProgress::set(const std::string& name, const std::string& state, int64_t done, int64_t total) {
  std::lock_guard lock(mutex_);
  for (Row& r : rows_)
    if (r.name == name) {
      r.state = state, r.done = done, r.total = total;
      return;
    }
  rows_.push_back({name, state, done, total});
}
std::vector<PullProgress::Row> PullProgress::rows() const {
  std::lock_guard lock(mutex_);
  return rows_;
}
int64_t PullProgress::fetched() const {
  int64_t sum = 0;
  for (const Row& r : rows()) sum += r.state == "exists" ? 0 : r.done;
  return sum;
}

}  // namespace k8lite::image
