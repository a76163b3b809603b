// Layers onto disk. A layer is the internet's: names with "..", links that lead out, links through links, bombs. Every path is opened
// beneath the layer's folder with openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS), so nothing outside can be reached.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>

#include "base/strings.h"
#include "image/tar.h"
#include "os/files.h"

namespace k8lite::image {
namespace {

constexpr std::string_view kWhiteout = ".wh.", kOpaque = ".wh..wh..opq";

Result<std::string> clean_path(std::string_view name) {
  std::string out;
  for (auto part : split(name, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") return bad_request("the archive holds a path with \"..\": " + std::string(name));
    if (part.size() > 255) return bad_request("the archive holds a name longer than 255 bytes");
    if (!out.empty()) out += '/';
    out += part;
  }
  return out;
}

int open_beneath(int root, const std::string& path, uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  return static_cast<int>(syscall(SYS_openat2, root, path.empty() ? "." : path.c_str(), &how, sizeof how));
}

class Unpacker {
 public:
  Unpacker(os::Fd root, UnpackLimits limits) : root_(std::move(root)), limits_(limits) {}

  Result<> entry(const TarEntry& e, Source& data) {
    if (++entries_ > limits_.entries) return bad_request("the layer holds more than " + std::to_string(limits_.entries) + " entries");
    TRY(std::string path, clean_path(e.name));
    auto r = place(e, path, data);
    return r.ok() ? r : std::move(r).status().within(e.name.substr(0, 200));
  }
  // Folders' times are set last: filling them changes them.
  Result<> finish() {
    for (auto it = folders_.rbegin(); it != folders_.rend(); ++it) {
      os::Fd fd(open_beneath(root_.get(), it->first, O_RDONLY | O_DIRECTORY));
      if (fd) set_time(fd.get(), "", it->second);
    }
    return {};
  }

 private:
  Result<os::Fd> parent(const std::string& path) {
    size_t slash = path.rfind('/');
    return folder(slash == path.npos ? "" : path.substr(0, slash));
  }
  Result<os::Fd> folder(const std::string& path) {
    os::Fd fd(open_beneath(root_.get(), path, O_RDONLY | O_DIRECTORY));
    if (fd) return fd;
    if (errno == ELOOP || errno == EXDEV) return bad_request("a folder of the path is a link: refused");
    if (errno != ENOENT) return Status::from_errno("open folder " + path, errno);
    TRY(os::Fd up, parent(path));
    if (mkdirat(up.get(), path.substr(path.rfind('/') + 1).c_str(), 0755) != 0 && errno != EEXIST) return Status::from_errno("create folder " + path, errno);
    os::Fd made(open_beneath(root_.get(), path, O_RDONLY | O_DIRECTORY));
    if (!made) return Status::from_errno("open folder " + path, errno);
    return made;
  }

  static void set_time(int dir, const std::string& name, uint64_t mtime) {
    timespec times[2] = {{static_cast<time_t>(mtime), 0}, {static_cast<time_t>(mtime), 0}};
    if (name.empty()) futimens(dir, times);
    else utimensat(dir, name.c_str(), times, AT_SYMLINK_NOFOLLOW);
  }

  Result<> place(const TarEntry& e, const std::string& path, Source& data) {
    if (path.empty()) return e.type == '5' ? own_root(e) : Result<>(bad_request("the root of a layer must be a folder"));
    std::string name = path.substr(path.rfind('/') + 1);
    TRY(os::Fd dir, parent(path));
    if (name == kOpaque) {
      if (fsetxattr(dir.get(), "trusted.overlay.opaque", "y", 1, 0) != 0) return Status::from_errno("mark folder opaque", errno);
      return {};
    }
    if (name.starts_with(kWhiteout)) {
      std::string hidden = name.substr(kWhiteout.size());
      if (hidden.empty() || hidden == "." || hidden == "..") return bad_request("a malformed whiteout");
      unlinkat(dir.get(), hidden.c_str(), 0);
      if (mknodat(dir.get(), hidden.c_str(), S_IFCHR, 0) != 0 && errno != EEXIST) return Status::from_errno("create whiteout", errno);
      return {};
    }
    if (e.type != '5') unlinkat(dir.get(), name.c_str(), 0);  // a later entry replaces an earlier one
    TRY_OK(make(e, dir.get(), name, path, data));
    if (e.type == '1') return {};
    return attributes(e, dir.get(), name);
  }

  Result<> own_root(const TarEntry& e) {
    if (fchown(root_.get(), static_cast<uid_t>(e.uid), static_cast<gid_t>(e.gid)) != 0) return Status::from_errno("chown /", errno);
    fchmod(root_.get(), e.mode);
    return {};
  }

  Result<> make(const TarEntry& e, int dir, const std::string& name, const std::string& path, Source& data) {
    switch (e.type) {
      case '0': return file(dir, name, data);
      case '1': return hard_link(e, dir, name);
      case '2':
        if (symlinkat(e.link.c_str(), dir, name.c_str()) != 0) return Status::from_errno("create link", errno);
        return {};
      case '3':
      case '4': return node(e, dir, name, (e.type == '3' ? S_IFCHR : S_IFBLK) | e.mode);
      case '6': return node(e, dir, name, S_IFIFO | e.mode);
      case '5': {
        struct stat st;
        if (fstatat(dir, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode)) unlinkat(dir, name.c_str(), 0);
        if (mkdirat(dir, name.c_str(), 0755) != 0 && errno != EEXIST) return Status::from_errno("create folder", errno);
        folders_[path] = e.mtime;
        return {};
      }
      default: return bad_request(std::string("an entry of unknown type '") + e.type + "'");
    }
  }

  Result<> file(int dir, const std::string& name, Source& data) {
    os::Fd fd(openat(dir, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return Status::from_errno("create file", errno);
    char buffer[65536];
    for (;;) {
      TRY(size_t n, data.read(buffer, sizeof buffer));
      if (n == 0) return {};
      if ((bytes_ += n) > limits_.bytes) return bad_request("the layer holds more than " + std::to_string(limits_.bytes) + " bytes");
      for (size_t at = 0; at < n;) {
        ssize_t w = ::write(fd.get(), buffer + at, n - at);
        if (w < 0 && errno == EINTR) continue;
        if (w < 0) return Status::from_errno("write", errno);
        at += static_cast<size_t>(w);
      }
    }
  }

  Result<> hard_link(const TarEntry& e, int dir, const std::string& name) {
    TRY(std::string target, clean_path(e.link));
    TRY(os::Fd from, parent(target));
    if (linkat(from.get(), target.substr(target.rfind('/') + 1).c_str(), dir, name.c_str(), 0) != 0) return Status::from_errno("link to " + e.link, errno);
    return {};
  }
  static Result<> node(const TarEntry& e, int dir, const std::string& name, mode_t mode) {
    if (mknodat(dir, name.c_str(), mode, makedev(e.major, e.minor)) != 0) return Status::from_errno("create device or fifo", errno);
    return {};
  }

  static Result<> attributes(const TarEntry& e, int dir, const std::string& name) {
    if (fchownat(dir, name.c_str(), static_cast<uid_t>(e.uid), static_cast<gid_t>(e.gid), AT_SYMLINK_NOFOLLOW) != 0) return Status::from_errno("change owner", errno);
    if (e.type == '2') return {};
    // After the owner: chown clears setuid. The name is no link, it was just made here.
    if (fchmodat(dir, name.c_str(), e.mode, 0) != 0) return Status::from_errno("change mode", errno);
    if (!e.xattrs.empty() && (e.type == '0' || e.type == '5')) {
      os::Fd fd(openat(dir, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
      for (const auto& [key, value] : e.xattrs)
        if (!key.starts_with("trusted.overlay.") && fd) (void)fsetxattr(fd.get(), key.c_str(), value.data(), value.size(), 0);
    }
    if (e.type != '5') set_time(dir, name, e.mtime);
    return {};
  }

  os::Fd root_;
  const UnpackLimits limits_;
  uint64_t entries_ = 0, bytes_ = 0;
  std::map<std::string, uint64_t> folders_;
};

}  // namespace

Result<> unpack_layer(Source& tar, const std::string& folder, UnpackLimits limits) {
  os::Fd root(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return Status::from_errno("open " + folder, errno);
  Unpacker unpacker(std::move(root), limits);
  TRY_OK(read_tar(tar, [&unpacker](const TarEntry& e, Source& data) { return unpacker.entry(e, data); }));
  return unpacker.finish();
}

}  // namespace k8lite::image
