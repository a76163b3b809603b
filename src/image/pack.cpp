#include "image/pack.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <vector>

#include "image/source.h"
#include "image/split.h"
#include "os/files.h"

namespace k8lite::image {
namespace {

using json::Node;

class Gzip {
 public:
  explicit Gzip(int fd) : fd_(fd) { deflateInit2(&z_, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY); }
  ~Gzip() { deflateEnd(&z_); }
  Result<> write(std::string_view data, bool end = false) {
    z_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
    z_.avail_in = static_cast<uInt>(data.size());
    do {
      z_.next_out = reinterpret_cast<Bytef*>(out_.data());
      z_.avail_out = static_cast<uInt>(out_.size());
      deflate(&z_, end ? Z_FINISH : Z_NO_FLUSH);
      std::string_view piece(out_.data(), out_.size() - z_.avail_out);
      digester_.update(piece);
      size_ += piece.size();
      TRY_OK(write_all(fd_, piece));
    } while (z_.avail_out == 0);
    return {};
  }
  std::string digest() { return digester_.finish(); }
  uint64_t size() const { return size_; }

 private:
  const int fd_;
  z_stream z_{};
  std::vector<char> out_ = std::vector<char>(128 * 1024);
  Digester digester_;
  uint64_t size_ = 0;
};

}  // namespace

Result<PackedLayer> pack_layer(const std::string& layer, const std::string& path) {
  os::Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return Status::from_errno("create " + path, errno);
  Gzip gzip(fd.get());
  Digester plain;
  if (!os::exists(layer + ".split")) return bad_request("layer " + layer.substr(layer.rfind('/') + 1) + " was stored without the record of its tar: pull or import the image again to export it");
  TRY_OK(rebuild_tar(layer + ".split", layer, [&](std::string_view piece) -> Result<> {
    plain.update(piece);
    return gzip.write(piece);
  }));
  TRY_OK(gzip.write({}, true));
  if (hex_of(plain.finish()) != layer.substr(layer.rfind('/') + 1)) return bad_request("layer " + layer.substr(layer.rfind('/') + 1) + " cannot be written out again: its tar held a name twice, or its folder was changed");
  return PackedLayer{path, gzip.digest(), gzip.size()};
}

Node descriptor_of(const char* type, const std::string& digest, uint64_t size) { return Node::obj({{"mediaType", type}, {"digest", digest}, {"size", static_cast<int64_t>(size)}}); }

std::string manifest_text(const std::string& config_digest, uint64_t config_size, const Node& layers) {
  return Node::obj({{"schemaVersion", 2}, {"mediaType", kManifestType}, {"config", descriptor_of("application/vnd.oci.image.config.v1+json", config_digest, config_size)}, {"layers", layers}}).dump();
}

}  // namespace k8lite::image
