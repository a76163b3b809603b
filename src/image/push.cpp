#include "image/push.h"

#include <unistd.h>

#include "base/strings.h"
#include "image/pack.h"

namespace k8lite::image {
namespace {

using json::Node;

class Pusher {
 public:
  Pusher(Remote& remote, const ImageStore& store, std::string folder, PullProgress* progress) : remote_(remote), store_(store), folder_(std::move(folder)), progress_(progress) {}

  Result<std::string> run(const Image& image, const std::string& config_text, const std::string& tag) {
    Node layers = Node::array();
    std::map<std::string, PackedLayer> done;  // an image may hold a layer twice
    for (const Node& id : image.config.path("rootfs.diff_ids").items()) {
      auto it = done.find(id.str());
      if (it == done.end()) {
        TRY(PackedLayer packed, pack_layer(store_.root() + "/layers/" + hex_of(id.str()), folder_ + "/" + std::to_string(done.size())));
        TRY_OK(push_layer(packed));
        ::unlink(packed.path.c_str());
        it = done.emplace(id.str(), packed).first;
      }
      layers.append(descriptor_of(kLayerType, it->second.digest, it->second.size));
    }
    TRY_OK(push_text("config-" + image.id, image.id, config_text));
    std::string manifest = manifest_text(image.id, config_text.size(), layers), digest = digest_of(manifest);
    net::Headers headers;
    headers.set("Content-Type", kManifestType);
    TRY(auto response, remote_.ask_with("PUT", "/manifests/" + tag, headers, manifest));
    if (response->status != 201 && response->status != 200) return unexpected(response, "the manifest");
    tell("manifest-" + digest, "done", static_cast<int64_t>(manifest.size()), static_cast<int64_t>(manifest.size()));
    return digest;
  }

 private:
  void tell(const std::string& name, const char* state, int64_t at, int64_t total) const {
    if (progress_) progress_->set(name, state, at, total);
  }
  static Status unexpected(const Remote::ResponsePtr& response, const std::string& of) { return unavailable("unexpected status " + std::to_string(response->status) + " for " + of); }

  Result<bool> exists(const std::string& digest) {
    TRY(auto response, remote_.ask_with("HEAD", "/blobs/" + digest, {}, ""));
    return response->status == 200;
  }
  Result<std::string> begin(const std::string& digest) {
    TRY(auto response, remote_.ask_with("POST", "/blobs/uploads/", {}, ""));
    std::string url = remote_.url_of(response);
    if (response->status != 202 || url.empty()) return unexpected(response, "an upload of " + digest);
    return url;
  }
  Result<> finish(const std::string& url, const std::string& digest, const std::string& body) {
    net::Headers headers;
    if (!body.empty()) headers.set("Content-Type", "application/octet-stream");
    TRY(auto response, remote_.ask_with("PUT", url + (url.find('?') == url.npos ? "?" : "&") + "digest=" + url_encode(digest), headers, body));
    if (response->status != 201 && response->status != 204) return unexpected(response, digest);
    return {};
  }

  Result<> push_text(const std::string& name, const std::string& digest, const std::string& text) {
    int64_t size = static_cast<int64_t>(text.size());
    TRY(bool there, exists(digest));
    if (!there) {
      TRY(std::string url, begin(digest));
      TRY_OK(finish(url, digest, text));
    }
    tell(name, there ? "exists" : "done", size, size);
    return {};
  }

  Result<> push_layer(const PackedLayer& layer) {
    std::string name = "layer-" + layer.digest;
    int64_t size = static_cast<int64_t>(layer.size);
    tell(name, "waiting", 0, size);
    TRY(bool there, exists(layer.digest));
    if (there) {
      tell(name, "exists", size, size);
      return {};
    }
    TRY(std::string url, begin(layer.digest));
    TRY(auto file, file_source(layer.path));
    for (uint64_t at = 0; at < layer.size;) {
      std::string piece(static_cast<size_t>(std::min<uint64_t>(kPushPiece, layer.size - at)), '\0');
      for (size_t have = 0; have < piece.size();) {
        TRY(size_t n, file->read(piece.data() + have, piece.size() - have));
        if (n == 0) return internal_error("the packed layer is shorter than it was");
        have += n;
      }
      net::Headers headers;
      headers.set("Content-Type", "application/octet-stream");
      headers.set("Content-Range", std::to_string(at) + "-" + std::to_string(at + piece.size() - 1));
      TRY(auto response, remote_.ask_with("PATCH", url, headers, piece));
      if (response->status != 202) return unexpected(response, "a piece of " + layer.digest);
      if (std::string next = remote_.url_of(response); !next.empty()) url = next;
      at += piece.size();
      tell(name, "uploading", static_cast<int64_t>(at), size);
    }
    TRY_OK(finish(url, layer.digest, ""));
    tell(name, "done", size, size);
    return {};
  }

  Remote& remote_;
  const ImageStore& store_;
  const std::string folder_;
  PullProgress* progress_;
};

}  // namespace

Result<std::string> push_image(async::Loop& loop, const ImageStore& store, const Registries& registries, const Environment& environment, const std::string& local, const Reference& target, const std::vector<RegistryAuth>& auth,
                               PushOptions options) {
  auto image = store.find(local);
  if (!image) return not_found("image " + json::quoted(local) + ": not found");
  if (target.tag.empty()) return bad_request("cannot push " + json::quoted(target.text()) + ": a tag is wanted, the digest follows from the content");
  TRY(ImageRecord record, store.record_of(local));
  TRY(os::Fd lease, store.lease());
  Endpoint endpoint = endpoints_for(target, registries).back();  // the registry itself
  if (options.plain_http && endpoint.url.starts_with("https://")) endpoint.url.replace(0, 5, "http");
  endpoint.config.insecure_skip_verify |= options.skip_verify;
  if (!auth.empty()) endpoint.config.auth = {};  // who says who they are is not taken for the node
  std::atomic<bool> stop{false};
  Remote remote(loop, std::move(endpoint), auth, environment, options.remote, stop);
  std::string folder = store.root() + "/import-push-" + std::to_string(getpid());  // swept as an import that was broken off
  TRY_OK(os::make_dirs(folder, 0700));
  auto pushed = Pusher(remote, store, folder, options.progress).run(*image, record.config_text, target.tag);
  (void)os::remove_tree(folder);
  return std::move(pushed).within("failed to push " + json::quoted(target.text()));
}

}  // namespace k8lite::image
