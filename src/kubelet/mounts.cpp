#include "kubelet/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/json.h"
#include "base/strings.h"

namespace k8lite::kubelet {
namespace {

// Blanks, tabs, line ends and backslashes are octal there.
std::string unescaped(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 3 >= text.size()) {
      out += text[i];
      continue;
    }
    out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
    i += 3;
  }
  return out;
}

bool lies_at_or_below(std::string_view path, std::string_view folder) {
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

os::Fd open_beneath(int base, const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  // The kernel asks to try again when something was renamed meanwhile.
  for (int tries = 0; tries < 32; ++tries) {
    int fd = static_cast<int>(::syscall(SYS_openat2, base, path.c_str(), &how, sizeof how));
    if (fd >= 0 || errno != EAGAIN) return os::Fd(fd);
  }
  return {};
}

}  // namespace

std::vector<MountEntry> parse_mountinfo(std::string_view text) {
  std::vector<MountEntry> out;
  for (auto line : split(text, '\n')) {
    auto fields = split(line, ' ');
    if (fields.size() < 10) continue;
    MountEntry m;
    m.target = unescaped(fields[4]);
    size_t i = 6;
    for (; i < fields.size() && fields[i] != "-"; ++i) m.shared |= fields[i].starts_with("shared:");
    if (i + 1 < fields.size()) m.type = fields[i + 1];
    out.push_back(std::move(m));
  }
  return out;
}

std::vector<MountEntry> mounts_now() { return parse_mountinfo(os::read_file("/proc/self/mountinfo").value_or("")); }

MountEntry mount_of(const std::vector<MountEntry>& mounts, const std::string& path) {
  MountEntry best;
  for (const auto& m : mounts)
    if (m.target == "/" || lies_at_or_below(path, m.target))
      if (m.target.size() >= best.target.size()) best = m;
  return best;
}

bool is_mount_point(const std::string& path) {
  for (const auto& m : mounts_now())
    if (m.target == path) return true;
  return false;
}

void unmount_below(const std::string& folder) {
  char real[4096];
  std::string path = ::realpath(folder.c_str(), real) ? real : folder;
  auto mounts = mounts_now();
  for (auto it = mounts.rbegin(); it != mounts.rend(); ++it)
    if (lies_at_or_below(it->target, path)) ::umount2(it->target.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
}

Result<os::Fd> open_sub_path(const std::string& base, const std::string& sub, bool create) {
  os::Fd root(::open(base.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  struct stat st {};
  if (!root || ::fstat(root.get(), &st) != 0) return Status::from_errno("open the volume", errno);
  std::string done;
  os::Fd at;
  for (auto part : split(sub, '/')) {
    if (part.empty() || part == ".") continue;
    std::string next = done.empty() ? std::string(part) : done + "/" + std::string(part);
    os::Fd fd = open_beneath(root.get(), next);
    if (!fd && errno == ENOENT && create) {
      bool made = ::mkdirat(at ? at.get() : root.get(), std::string(part).c_str(), 0700) == 0;
      if (!made && errno != EEXIST) return Status::from_errno("create " + json::quoted(next), errno);
      fd = open_beneath(root.get(), next);
      // Past the umask, and by the descriptor: the name may have become another's.
      if (made && fd) (void)::chmod(("/proc/self/fd/" + std::to_string(fd.get())).c_str(), st.st_mode & 07777);
    }
    if (!fd && errno == EXDEV) return bad_request("subPath " + json::quoted(sub) + " leaves its volume");
    if (!fd) return Status::from_errno("subPath " + json::quoted(sub), errno);
    at = std::move(fd);
    done = std::move(next);
  }
  if (at) return at;
  return os::Fd(::open(base.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

bool has_recursive_read_only() {
  static const bool has = ::syscall(SYS_mount_setattr, -1, "", 0, nullptr, 0) == 0 || errno != ENOSYS;
  return has;
}

}  // namespace k8lite::kubelet
