// Layers onto disk. A layer is the internet's: names with "..", links that lead out, links through links, bombs. Every parent is opened
// with openat2 confined to the layer's folder (links resolve as if it were /) and every name is made by *at calls that follow nothing, so a
// hostile layer can only ever write inside.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/json.h"
#include "base/strings.h"
#include "image/tar.h"
#include "os/files.h"

namespace k8lite::image {
namespace {

constexpr std::string_view kWhiteout = ".wh.", kOpaque = ".wh..wh..opq", kAufsMeta = ".wh..wh.";
constexpr uint64_t kFreeCheckEvery = 16 << 20;
constexpr uint64_t kNoOwner = 0xffffffff;

Result<os::Fd> open_confined(int root, const std::string& path, uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  for (int attempt = 0;; ++attempt) {
    long fd = syscall(SYS_openat2, root, path.empty() ? "." : path.c_str(), &how, sizeof how);
    if (fd >= 0) return os::Fd(static_cast<int>(fd));
    if ((errno == EAGAIN || errno == EINTR) && attempt < 100) continue;
    return Status::from_errno("open folder " + json::quoted(path.substr(0, 200)), errno);
  }
}

bool is_whiteout(const struct stat& st) { return S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0); }

class Unpacker {
 public:
  Unpacker(os::Fd root, UnpackOptions options) : root_(std::move(root)), options_(std::move(options)), owners_(geteuid() == 0) {}

  Result<> entry(const TarEntry& e, Source& data) {
    const UnpackLimits& limits = options_.limits;
    if (++entries_ > limits.entries) return bad_request("the layer holds more than " + std::to_string(limits.entries) + " entries, the limit");
    if (entries_ % 1024 == 0) TRY_OK(check_free());
    auto r = place(e, data);
    return r.ok() ? r : std::move(r).status().within("entry " + json::quoted(e.name.substr(0, 200)));
  }

  // Children change a folder's time, so it is set last, from the deepest up. Best effort: the folder may have been replaced.
  void finish() {
    for (auto d = folders_.rbegin(); d != folders_.rend(); ++d)
      if (auto fd = open_confined(root_.get(), d->first, O_RDONLY | O_DIRECTORY); fd.ok()) futimens(fd->get(), d->second.times);
  }

 private:
  struct Times {
    timespec times[2];
    explicit Times(const TarEntry& e) : times{{0, UTIME_OMIT}, {static_cast<time_t>(e.mtime), e.mtime_nanos}} {}
  };

  // "./a//b/" is a/b. "..", wherever it stands, is refused rather than resolved.
  Result<std::vector<std::string>> clean_path(std::string_view path) const {
    if (path.size() > options_.limits.path) return bad_request("a name longer than " + std::to_string(options_.limits.path) + " bytes, the limit");
    std::vector<std::string> parts;
    for (auto part : split(path, '/')) {
      if (part.empty() || part == ".") continue;
      if (part == "..") return bad_request("the name leaves the layer (\"..\")");
      if (part.size() > 255) return bad_request("a name longer than 255 bytes");
      parts.emplace_back(part);
    }
    if (parts.size() > options_.limits.depth) return bad_request("more than " + std::to_string(options_.limits.depth) + " folders deep, the limit");
    return parts;
  }

  Result<> place(const TarEntry& e, Source& data) {
    TRY(auto parts, clean_path(e.name));
    // The kernel would take the largest one as "leave it": root's.
    if (e.uid >= kNoOwner || e.gid >= kNoOwner) return bad_request("an owner beyond " + std::to_string(kNoOwner - 1) + ", the limit");
    if (parts.empty()) {
      if (e.type != '5') return bad_request("the root of a layer must be a folder");
      TRY_OK(attributes(root_.get(), e));
      folders_.emplace_back("", Times(e));
      return {};
    }
    std::string name = std::move(parts.back());
    parts.pop_back();
    std::string parent = join(parts, "/");
    TRY_OK(enter(parts, parent));
    if (name.starts_with(kWhiteout)) return whiteout(name);
    return create(e, parent, name, data);
  }

  // Makes parent_ the open folder of `parent`, created where it is missing. Kept between entries of one folder.
  Result<> enter(const std::vector<std::string>& parts, const std::string& parent) {
    if (parent_ && parent == parent_path_) return {};
    auto fd = open_confined(root_.get(), parent, O_RDONLY | O_DIRECTORY);
    if (!fd.ok() && fd.status().sys_errno() == ENOENT) {
      std::string path;
      for (const auto& part : parts) {
        TRY(os::Fd above, open_confined(root_.get(), path, O_RDONLY | O_DIRECTORY));
        if (mkdirat(above.get(), part.c_str(), 0755) == 0) fchmodat(above.get(), part.c_str(), 0755, 0);
        else if (errno != EEXIST) return Status::from_errno("create folder " + json::quoted(parent.substr(0, 200)), errno);
        path += (path.empty() ? "" : "/") + part;
      }
      fd = open_confined(root_.get(), parent, O_RDONLY | O_DIRECTORY);
    }
    if (!fd.ok()) return std::move(fd).status();
    parent_ = std::move(fd).value();
    parent_path_ = parent;
    return {};
  }

  Result<> whiteout(const std::string& name) {
    if (name == kOpaque) return opaque(parent_.get());
    if (name.starts_with(kAufsMeta)) return {};
    std::string target = name.substr(kWhiteout.size());
    if (target.empty() || target == "." || target == "..") return bad_request("a malformed whiteout");
    struct stat st;
    if (fstatat(parent_.get(), target.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) {
      // The same layer brings a new one: only what lies below is hidden.
      if (!S_ISDIR(st.st_mode)) return {};
      TRY(os::Fd dir, open_child(target));
      return opaque(dir.get());
    }
    if (mknodat(parent_.get(), target.c_str(), S_IFCHR, makedev(0, 0)) != 0) return Status::from_errno("create whiteout", errno);
    return {};
  }

  Result<os::Fd> open_child(const std::string& name) {
    os::Fd fd(openat(parent_.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return Status::from_errno("open folder", errno);
    return fd;
  }

  static Result<> opaque(int directory) {
    if (fsetxattr(directory, "trusted.overlay.opaque", "y", 1, 0) != 0) return Status::from_errno("mark folder opaque", errno);
    return {};
  }

  Result<> create(const TarEntry& e, const std::string& parent, const std::string& name, Source& data) {
    struct stat st;
    bool hides = false;
    if (fstatat(parent_.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) {  // a later entry replaces an earlier one
      if (e.type == '5' && S_ISDIR(st.st_mode)) return folder(e, parent, name);
      hides = is_whiteout(st);
      if (!S_ISDIR(st.st_mode)) unlinkat(parent_.get(), name.c_str(), 0);
      else TRY_OK(os::remove_tree_at(parent_.get(), name));
    }
    int dir = parent_.get();
    switch (e.type) {
      case '0': return file(e, parent.empty() ? name : parent + "/" + name, name, data);
      case '1': return hard_link(e, name);
      case '2':
        if (symlinkat(e.link.c_str(), dir, name.c_str()) != 0) return Status::from_errno("create link", errno);
        return special(e, name);
      case '3':
      case '4':
        // What a device node may do is decided by the container's device rules; here it is only a name.
        if (mknodat(dir, name.c_str(), (e.type == '3' ? S_IFCHR : S_IFBLK) | 0600, makedev(e.major, e.minor)) != 0) return Status::from_errno("create device", errno);
        return special(e, name);
      case '5': {
        if (mkdirat(dir, name.c_str(), 0700) != 0) return Status::from_errno("create folder", errno);
        if (hides) {
          TRY(os::Fd made, open_child(name));
          TRY_OK(opaque(made.get()));
        }
        return folder(e, parent, name);
      }
      case '6':
        if (mkfifoat(dir, name.c_str(), 0600) != 0) return Status::from_errno("create fifo", errno);
        return special(e, name);
      default: return bad_request(std::string("an entry of unknown type '") + e.type + "'");
    }
  }

  Result<> file(const TarEntry& e, const std::string& path, const std::string& name, Source& data) {
    os::Fd fd(openat(parent_.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return Status::from_errno("create file", errno);
    if (e.sparse) {
      TRY_OK(sparse(fd.get(), e, data));
      return attributes(fd.get(), e);
    }
    if (options_.marker) options_.marker->begin_content(path, e.size);
    for (;;) {
      TRY(size_t n, data.read(buffer_.data(), buffer_.size()));
      if (n == 0) break;
      TRY_OK(account(n));
      TRY_OK(write_all(fd.get(), {buffer_.data(), n}));
    }
    if (options_.marker) options_.marker->end_content();
    return attributes(fd.get(), e);
  }

  // Holes stay holes: they cost nothing, so only their end is limited.
  Result<> sparse(int fd, const TarEntry& e, Source& data) {
    if (e.sparse->size > options_.limits.bytes) return bad_request("a sparse file of more than " + std::to_string(options_.limits.bytes) + " bytes, the limit");
    for (auto [at, left] : e.sparse->pieces) {
      while (left > 0) {
        TRY(size_t n, data.read(buffer_.data(), static_cast<size_t>(std::min<uint64_t>(left, buffer_.size()))));
        if (n == 0) return bad_request("a sparse file is shorter than its map");
        TRY_OK(account(n));
        if (lseek(fd, static_cast<off_t>(at), SEEK_SET) < 0) return Status::from_errno("seek", errno);
        TRY_OK(write_all(fd, {buffer_.data(), n}));
        at += n, left -= n;
      }
    }
    if (ftruncate(fd, static_cast<off_t>(e.sparse->size)) != 0) return Status::from_errno("set a file's size", errno);
    return {};
  }

  Result<> account(size_t n) {
    const UnpackLimits& limits = options_.limits;
    bytes_ += n;
    if (bytes_ > limits.bytes) return bad_request("the layer holds more than " + std::to_string(limits.bytes) + " bytes, the limit");
    if (bytes_ > limits.ratio_from && options_.compressed_bytes && bytes_ / limits.ratio > options_.compressed_bytes())
      return bad_request("the layer is more than " + std::to_string(limits.ratio) + " times its compressed size, the limit");
    if (bytes_ < next_check_) return {};
    next_check_ = bytes_ + kFreeCheckEvery;
    return check_free();
  }
  Result<> check_free() const {
    if (!is_full(root_.get(), options_.limits)) return {};
    return Status(Reason::InternalError, "no space left on device (some is kept free for the node)", ENOSPC);
  }

  Result<> hard_link(const TarEntry& e, const std::string& name) {
    auto linked = [&]() -> Result<> {
      TRY(auto parts, clean_path(e.link));
      if (parts.empty()) return bad_request("the target has no name");
      std::string base = std::move(parts.back());
      parts.pop_back();
      TRY(os::Fd dir, open_confined(root_.get(), join(parts, "/"), O_PATH | O_DIRECTORY));
      if (linkat(dir.get(), base.c_str(), parent_.get(), name.c_str(), 0) != 0) return Status::from_errno("link", errno);
      return {};
    };
    return linked().within("hard link to " + json::quoted(e.link.substr(0, 200)));
  }

  Result<> folder(const TarEntry& e, const std::string& parent, const std::string& name) {
    TRY(os::Fd fd, open_child(name));
    TRY_OK(attributes(fd.get(), e));
    folders_.emplace_back(parent.empty() ? name : parent + "/" + name, Times(e));
    return {};
  }

  // Owner, then mode (chown clears setuid), then xattrs (chown clears capabilities), then time.
  Result<> attributes(int fd, const TarEntry& e) const {
    if (owners_ && fchown(fd, static_cast<uid_t>(e.uid), static_cast<gid_t>(e.gid)) != 0) return Status::from_errno("change owner", errno);
    if (fchmod(fd, e.mode) != 0) return Status::from_errno("change mode", errno);
    for (const auto& [key, value] : e.xattrs)
      if (wanted_xattr(key) && fsetxattr(fd, key.c_str(), value.data(), value.size(), 0) != 0 && errno != ENOTSUP && errno != EPERM)
        return Status::from_errno("set attribute " + key, errno);
    futimens(fd, Times(e).times);
    return {};
  }

  // Links, devices and fifos: never opened.
  Result<> special(const TarEntry& e, const std::string& name) {
    int dir = parent_.get();
    if (owners_ && fchownat(dir, name.c_str(), static_cast<uid_t>(e.uid), static_cast<gid_t>(e.gid), AT_SYMLINK_NOFOLLOW) != 0) return Status::from_errno("change owner", errno);
    if (e.type != '2' && fchmodat(dir, name.c_str(), e.mode, 0) != 0) return Status::from_errno("change mode", errno);
    utimensat(dir, name.c_str(), Times(e).times, AT_SYMLINK_NOFOLLOW);
    return {};
  }

  // What overlayfs itself reads must not come from a layer: a redirect would show other layers' files.
  static bool wanted_xattr(std::string_view key) {
    if (key.starts_with("trusted.overlay.") || key.starts_with("user.overlay.")) return false;
    return key.starts_with("user.") || key.starts_with("trusted.") || key.starts_with("system.posix_acl_") || key == "security.capability";
  }

  os::Fd root_;
  const UnpackOptions options_;
  const bool owners_;  // only root may set them; tests run without
  os::Fd parent_;
  std::string parent_path_;
  std::vector<std::pair<std::string, Times>> folders_;
  std::string buffer_ = std::string(128 * 1024, '\0');
  uint64_t entries_ = 0, bytes_ = 0, next_check_ = 0;
};

}  // namespace

bool is_full(int fd, const UnpackLimits& limits) {
  struct statvfs fs;
  if (fstatvfs(fd, &fs) != 0) return false;
  // A layer of a million empty files takes no blocks, but inodes. (Some file systems count none.)
  if (fs.f_files > 0 && fs.f_favail < std::min<uint64_t>(limits.free_inodes, fs.f_files / 20)) return true;
  return static_cast<uint64_t>(fs.f_bavail) * fs.f_frsize < std::min<uint64_t>(limits.free_bytes, static_cast<uint64_t>(fs.f_blocks) * fs.f_frsize / 20);
}

Result<> unpack_layer(Source& tar, const std::string& folder, UnpackOptions options) {
  os::Fd root(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return Status::from_errno("open " + folder, errno);
  fchmod(root.get(), 0755);
  Unpacker unpacker(std::move(root), std::move(options));
  TRY_OK(read_tar(tar, [&unpacker](const TarEntry& e, Source& data) { return unpacker.entry(e, data); }));
  unpacker.finish();
  return {};
}

}  // namespace k8lite::image
