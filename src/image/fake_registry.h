// A registry for tests, on a loopback port: blobs and manifests from memory, with the faults that registries and networks have. It speaks
// HTTP by hand, so that it can break off in the middle of a body.
#pragma once
#include <zlib.h>
#include <zstd.h>

#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/strings.h"
#include "base/json.h"
#include "image/source.h"
#include "image/tar.h"
#include "net/http.h"

namespace k8lite::image::testing {

// A tar entry, by hand: hostile ones cannot be made with tar(1).
inline std::string entry(const std::string& name, char type, const std::string& content, const std::string& link = "") {
  std::string h = tar_header(name, content.size(), 0755);
  h[156] = type;
  link.copy(h.data() + 157, 100);
  std::memset(h.data() + 148, ' ', 8);
  unsigned sum = 0;
  for (unsigned char c : h) sum += c;
  std::snprintf(h.data() + 148, 8, "%06o", sum);
  return h + content + tar_padding(content.size());
}

inline std::string gzip(const std::string& text) {
  z_stream z{};
  deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, text.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(out.size() - z.avail_out);
  deflateEnd(&z);
  return out;
}
inline std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

class FakeRegistry {
 public:
  struct Reply {
    int status = 200;
    net::Headers headers;
    std::string body;
    size_t cut = std::string::npos;  // break off after so many bytes of the body
  };
  struct Asked {
    std::string method, path;
    net::Headers headers;
    std::string body;
  };
  // First refusal; nothing: the usual answer.
  std::function<std::optional<Reply>(const Asked&)> intercept;
  std::map<std::string, std::string> blobs;       // digest -> bytes
  std::map<std::string, std::string> manifests;   // tag or digest -> text

  explicit FakeRegistry(async::Loop& loop, std::shared_ptr<net::TlsServerContext> tls = nullptr) : loop_(loop) {
    net::ListenOptions options;
    options.tls = std::move(tls);
    options.address = "127.0.0.1";
    listener_ = net::listen(loop, options, [this](net::StreamPtr s) { async::spawn(loop_, serve(this, std::move(s))); }).value();
  }
  ~FakeRegistry() { listener_->close(); }
  std::string host() const { return "127.0.0.1:" + std::to_string(listener_->port()); }
  std::vector<Asked> asked() const {
    std::lock_guard lock(mutex_);
    return asked_;
  }
  int count(const std::string& part) const {
    int n = 0;
    for (const auto& a : asked()) n += (a.method + " " + a.path).find(part) != std::string::npos;
    return n;
  }

  // Puts an image of these layers (tar texts, compressed by `pack`) there under a tag; returns the manifest's digest.
  std::string add_image(const std::string& tag, const std::vector<std::string>& tars, const std::function<std::string(const std::string&)>& pack = gzip, const std::string& arch = "amd64", bool docker = false) {
    json::Node ids = json::Node::array(), layers = json::Node::array();
    std::string base = docker ? "application/vnd.docker.distribution.manifest.v2+json" : "application/vnd.oci.image.manifest.v1+json";
    for (const auto& tar : tars) {
      std::string packed = pack(tar), digest = digest_of(packed);
      blobs[digest] = packed;
      ids.append(digest_of(tar));
      layers.append(json::Node::obj({{"mediaType", "application/vnd.oci.image.layer.v1.tar"}, {"digest", digest}, {"size", static_cast<int64_t>(packed.size())}}));
    }
    std::string config = json::Node::obj({{"architecture", arch}, {"os", "linux"}, {"config", json::Node::obj({{"Cmd", json::Node::arr({"/hello"})}})}, {"rootfs", json::Node::obj({{"diff_ids", ids}})}}).dump();
    blobs[digest_of(config)] = config;
    std::string manifest = json::Node::obj({{"schemaVersion", 2}, {"mediaType", base}, {"config", json::Node::obj({{"digest", digest_of(config)}, {"size", static_cast<int64_t>(config.size())}})}, {"layers", layers}}).dump();
    manifests[tag] = manifests[digest_of(manifest)] = manifest;
    return digest_of(manifest);
  }

 private:
  static async::Task<void> serve(FakeRegistry* self, net::StreamPtr stream) {
    std::string data;
    char buffer[16384];
    for (;;) {
      size_t end;
      while ((end = data.find("\r\n\r\n")) == data.npos) {
        auto n = co_await stream->read_some({buffer, sizeof buffer});
        if (!n.ok() || *n == 0) co_return stream->close();
        data.append(buffer, *n);
      }
      Asked asked = parse(data.substr(0, end));
      data.erase(0, end + 4);
      size_t length = static_cast<size_t>(parse_int(asked.headers.get("Content-Length")).value_or(0));
      while (data.size() < length) {
        auto n = co_await stream->read_some({buffer, sizeof buffer});
        if (!n.ok() || *n == 0) co_return stream->close();
        data.append(buffer, *n);
      }
      asked.body = data.substr(0, length);
      data.erase(0, length);
      Reply reply = self->answer(asked);
      reply.headers.set("Content-Length", std::to_string(reply.body.size()));
      std::string out = "HTTP/1.1 " + std::to_string(reply.status) + " X\r\n";
      for (const auto& [k, v] : reply.headers.rows()) out += k + ": " + v + "\r\n";
      out += "\r\n";
      if (asked.method != "HEAD") out += reply.body.substr(0, reply.cut);
      if (!(co_await stream->write_all(out)).ok() || reply.cut < reply.body.size()) co_return stream->close();
    }
  }
  static Asked parse(const std::string& head) {
    Asked out;
    auto lines = split_strings(head, '\n');
    auto words = split_strings(lines[0], ' ');
    out.method = words[0];
    out.path = words.size() > 1 ? words[1] : "";
    for (size_t i = 1; i < lines.size(); ++i)
      if (size_t colon = lines[i].find(':'); colon != std::string::npos) out.headers.add(lines[i].substr(0, colon), std::string(trim(lines[i].substr(colon + 1))));
    return out;
  }
  Reply answer(const Asked& asked) {
    {
      std::lock_guard lock(mutex_);
      asked_.push_back(asked);
    }
    if (intercept)
      if (auto r = intercept(asked)) return *r;
    std::string path = asked.path.substr(0, asked.path.find('?'));
    std::string last = path.substr(path.rfind('/') + 1);
    bool manifest = path.find("/manifests/") != path.npos;
    if (asked.method == "POST" || asked.method == "PATCH" || asked.method == "PUT") return take(asked, path, last, manifest);
    const auto& from = manifest ? manifests : blobs;
    auto it = from.find(last);
    if (it == from.end()) return {404, {}, R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"unknown"}]})"};
    Reply r{200, {}, it->second};
    if (manifest) r.headers.set("Docker-Content-Digest", digest_of(it->second));
    std::string range(asked.headers.get("Range"));
    if (range.starts_with("bytes=")) {
      size_t start = static_cast<size_t>(std::stoul(range.substr(6)));
      r.status = 206;
      r.headers.set("Content-Range", "bytes " + std::to_string(start) + "-" + std::to_string(it->second.size() - 1) + "/" + std::to_string(it->second.size()));
      r.body = it->second.substr(start);
    }
    return r;
  }

  // Uploads, one after the other.
  Reply take(const Asked& asked, const std::string& path, const std::string& last, bool manifest) {
    Reply accepted{202, {}, ""};
    accepted.headers.set("Location", asked.method == "POST" ? path + "1?_state=x" : asked.path);
    if (asked.method == "POST") upload_.clear();
    else if (asked.method == "PATCH") upload_ += asked.body;
    if (asked.method != "PUT") return accepted;
    if (manifest) {
      manifests[last] = manifests[digest_of(asked.body)] = asked.body;
      return {201, {}, ""};
    }
    upload_ += asked.body;
    std::string digest = url_decode(asked.path.substr(asked.path.find("digest=") + 7));
    if (digest_of(upload_) != digest) return {400, {}, R"({"errors":[{"code":"DIGEST_INVALID","message":"not that"}]})"};
    blobs[digest] = upload_;
    return {201, {}, ""};
  }

  async::Loop& loop_;
  std::string upload_;
  std::unique_ptr<net::Listener> listener_;
  mutable std::mutex mutex_;
  std::vector<Asked> asked_;
};

}  // namespace k8lite::image::testing
