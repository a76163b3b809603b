// See mount_one.h.
#include "runc/mount_one.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "runc/common.h"
#include "shim/root.h"

namespace k8lite::runc {
namespace {

using shim::make_dirs_in_root;
using shim::make_file_in_root;
using shim::open_in_root;

constexpr unsigned long kPropagation = MS_SHARED | MS_SLAVE | MS_PRIVATE | MS_UNBINDABLE;
constexpr long kProcMagic = 0x9fa0;

bool is_directory(int fd) {
  struct stat st {};
  return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

struct Request {
  std::string source, target, type, what;
  MountOptions options;
};

// The descriptor of what was mounted at `target`, whose own descriptor still shows what is below.
int reopen(Rootfs& r, const Request& q) {
  int fd = open_in_root(r.root, q.target, O_PATH);
  if (fd < 0) fail(q.what + ": reopen");
  return fd;
}

void finish(int mount_fd, const Request& q) {
  for (unsigned long p : q.options.propagations)
    if (mount(nullptr, proc_fd(mount_fd).c_str(), nullptr, p, nullptr) != 0) fail(q.what + ": propagation");
  if (!q.options.recursive_set && !q.options.recursive_clear) return;
  mount_attr attr{};
  attr.attr_set = q.options.recursive_set;
  attr.attr_clr = q.options.recursive_clear;
  if (syscall(SYS_mount_setattr, mount_fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) != 0)
    fail(q.what + ": mount_setattr");
}

void mount_bind(Rootfs& r, const Request& q, int tree) {
  const MountOptions& o = q.options;
  if (tree < 0) tree = open_tree_of(AT_FDCWD, q.source, o.flags & MS_REC);
  if (tree < 0) fail(q.what);
  struct statfs fs {};
  fstatfs(tree, &fs);
  if (!may_mount_below_proc(q.target, "bind", static_cast<long>(fs.f_type) == kProcMagic))
    refuse(q.what + ": \"" + q.target + "\" cannot be mounted because it is inside /proc");
  int target = is_directory(tree) ? make_dirs_in_root(r.root, q.target) : make_file_in_root(r.root, q.target);
  if (target < 0) fail(q.what + ": create mount point");
  attach_tree(tree, target, q.what);
  close(target);
  unsigned long own = o.flags & ~static_cast<unsigned long>(MS_BIND | MS_REC | MS_REMOUNT);
  if (own) set_flags(tree, own, q.what);
  finish(tree, q);
  close(tree);
}

// A tmpfs gets the mode of the folder that it covers, unless told.
std::string with_mode(const std::string& data, int target) {
  if (data.find("mode=") != std::string::npos) return data;
  struct stat st {};
  fstat(target, &st);
  char mode[32];
  mode[0] = static_cast<char>('0' + ((st.st_mode >> 9) & 7));
  for (int i = 1; i < 4; ++i) mode[i] = static_cast<char>('0' + ((st.st_mode >> (9 - 3 * i)) & 7));
  return data + (data.empty() ? "mode=" : ",mode=") + std::string(mode, 4);
}

void mount_plain(Rootfs& r, const Request& q) {
  const MountOptions& o = q.options;
  bool kernel = q.type == "proc" || q.type == "sysfs";
  if (!may_mount_below_proc(q.target, q.type, false))
    refuse(q.what + ": \"" + q.target + "\" cannot be mounted because it is inside /proc");
  struct stat st {};
  bool there = fstatat(r.root, q.target.substr(1).c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
  if (kernel && there && !S_ISDIR(st.st_mode))
    refuse("filesystem \"" + q.type + "\" must be mounted on ordinary directory");
  int target = make_dirs_in_root(r.root, q.target);
  if (target < 0) fail(q.what + ": create mount point");
  if (kernel) {  // no link may be on the way: what is masked later is looked for at this very place
    int straight = shim::open_without_links(r.root, q.target, O_PATH | O_DIRECTORY);
    if (straight < 0) refuse("filesystem \"" + q.type + "\" must be mounted on ordinary directory");
    close(straight);
  }
  bool tmpfs = q.type == "tmpfs", late = tmpfs && (o.flags & MS_RDONLY) && (o.copy_up || q.target == "/dev");
  std::string data = tmpfs && !(o.flags & MS_REMOUNT) ? with_mode(o.data, target) : o.data;
  unsigned long flags = (o.flags & ~(kPropagation | MS_REC)) & ~(late ? MS_RDONLY : 0UL);
  std::string where = proc_fd(target);
  int rc = mount(q.source.empty() ? q.type.c_str() : q.source.c_str(), where.c_str(), q.type.c_str(), flags,
                 data.empty() ? nullptr : data.c_str());
  if (rc != 0 && q.type == "sysfs" && errno == EPERM) {  // of a user namespace that does not own the network
    int tree = open_tree_of(AT_FDCWD, "/sys", true);
    if (tree < 0) fail(q.what);
    attach_tree(tree, target, q.what);
    close(tree);
    rc = 0;
  }
  if (rc != 0) fail(q.what);
  if (o.copy_up || !o.propagations.empty() || o.recursive_set || o.recursive_clear) {
    int mounted = reopen(r, q);
    if (o.copy_up) copy_tree(target, mounted);
    if (late && q.target != "/dev") set_flags(mounted, o.flags & ~kPropagation, q.what);
    finish(mounted, q);
    close(mounted);
  }
  close(target);
}

// The hierarchies of the first version as the container is to see them: each its own cgroup (by a cgroup namespace or a
// bind mount).
void mount_hierarchies(Rootfs& r, const Request& q) {
  unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | (q.options.flags & MS_RDONLY);
  int top = make_dirs_in_root(r.root, q.target);
  if (top < 0 || mount("tmpfs", proc_fd(top).c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755") != 0)
    fail(q.what);
  close(top);
  top = reopen(r, q);
  for (const auto& [controllers, folder] : r.cgroups->all()) {
    bool named = starts_with(controllers, "name=");
    std::string name = controllers.empty() ? "unified" : named ? controllers.substr(5) : controllers;
    if (mkdirat(top, name.c_str(), 0755) != 0 && errno != EEXIST) fail(q.what + ": " + name);
    int at = openat(top, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (at < 0) fail(q.what + ": " + name);
    const char* type = controllers.empty() ? "cgroup2" : "cgroup";
    bool done = r.cgroup_ns && mount("cgroup", proc_fd(at).c_str(), type, flags,
                                     controllers.empty() ? nullptr : controllers.c_str()) == 0;
    if (int tree = done ? -1 : open_tree_of(AT_FDCWD, folder, true); tree >= 0) {
      attach_tree(tree, at, q.what + ": " + name);
      set_flags(tree, flags, q.what + ": " + name);
      close(tree);
    }
    close(at);
    auto parts = split(controllers, ',');
    if (parts.size() < 2) continue;
    for (const auto& part : parts) (void)!symlinkat(controllers.c_str(), top, part.c_str());
  }
  if (q.options.flags & MS_RDONLY) set_flags(top, flags, q.what);
  finish(top, q);
  close(top);
}

void mount_cgroups(Rootfs& r, const Request& q) {
  if (r.await_cgroup) r.await_cgroup();
  if (!r.cgroups->v2()) return mount_hierarchies(r, q);
  Request two = q;
  two.type = "cgroup2";
  two.options.data.clear();
  int target = make_dirs_in_root(r.root, q.target);
  if (target < 0) fail(q.what + ": create mount point");
  if (!r.cgroup_ns ||
      mount("cgroup", proc_fd(target).c_str(), "cgroup2", q.options.flags & ~(kPropagation | MS_REC), nullptr) != 0) {
    int tree =
        open_tree_of(AT_FDCWD, r.cgroup_ns || r.cgroups->empty() ? "/sys/fs/cgroup" : r.cgroups->folder(""), true);
    if (tree < 0) fail(q.what);
    attach_tree(tree, target, q.what);
    set_flags(tree, q.options.flags & ~(kPropagation | MS_REC | MS_BIND), q.what);
    close(tree);
  }
  close(target);
}

void copy_file(int from, int to, const char* name, const struct stat& st) {
  int in = openat(from, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, st.st_mode & 07777);
  if (in < 0 || out < 0) fail(std::string("copy up ") + name);
  while (sendfile(out, in, nullptr, 1 << 20) > 0) {
  }
  (void)!fchown(out, st.st_uid, st.st_gid);
  fchmod(out, st.st_mode & 07777);
  close(in);
  close(out);
}

}  // namespace

int open_tree_of(int at, const std::string& path, bool recursive) {
  unsigned flags =
      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0) | (path.empty() ? AT_EMPTY_PATH : 0);
  return static_cast<int>(syscall(SYS_open_tree, at, path.c_str(), flags));
}

void attach_tree(int tree, int target, const std::string& what) {
  if (syscall(SYS_move_mount, tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
    fail(what + ": attach");
}

void set_flags(int mount_fd, unsigned long flags, const std::string& what) {
  std::string where = proc_fd(mount_fd);
  if (mount(nullptr, where.c_str(), nullptr, MS_BIND | MS_REMOUNT | flags, nullptr) == 0) return;
  struct statvfs fs {};
  if (errno == EPERM && fstatvfs(mount_fd, &fs) == 0) {
    // Flags that came with the mount from a more privileged namespace are locked; the numbers are the same but for the
    // atime ones.
    unsigned long locked = fs.f_flag & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME);
    if (fs.f_flag & 4096) locked |= MS_RELATIME;
    if (mount(nullptr, where.c_str(), nullptr, MS_BIND | MS_REMOUNT | flags | locked, nullptr) == 0) return;
  }
  fail(what + ": remount");
}

void copy_tree(int from, int to) {
  int listing = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* dir = listing < 0 ? nullptr : fdopendir(listing);
  if (!dir) fail("copy up");
  while (dirent* e = readdir(dir)) {
    struct stat st {};
    const char* name = e->d_name;
    if (!strcmp(name, ".") || !strcmp(name, "..") || fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (S_ISDIR(st.st_mode)) {
      if (mkdirat(to, name, 0700) != 0 && errno != EEXIST) fail(std::string("copy up ") + name);
      int in = openat(from, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
          out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      if (in < 0 || out < 0) fail(std::string("copy up ") + name);
      copy_tree(in, out);
      (void)!fchown(out, st.st_uid, st.st_gid);
      fchmod(out, st.st_mode & 07777);
      close(in);
      close(out);
    } else if (S_ISLNK(st.st_mode)) {
      char text[4096];
      ssize_t n = readlinkat(from, name, text, sizeof text - 1);
      if (n < 0 || symlinkat(std::string(text, static_cast<size_t>(n)).c_str(), to, name) != 0)
        fail(std::string("copy up ") + name);
      (void)!fchownat(to, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW);
    } else if (S_ISREG(st.st_mode)) {
      copy_file(from, to, name, st);
    } else if (mknodat(to, name, st.st_mode, st.st_rdev) == 0) {
      (void)!fchownat(to, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW);
    }
  }
  closedir(dir);
}

void mount_one(Rootfs& r, const Json& m, int tree) {
  Request q;
  q.options = parse_mount_options(m["options"].strings());
  q.type = m["type"].str();
  q.source = m["source"].str();
  q.target = m["destination"].str();
  if (q.target.empty()) refuse("a mount has no destination");
  if (q.target[0] != '/') q.target = "/" + q.target;
  bool bind = (q.options.flags & MS_BIND) || q.type == "bind";
  if (bind && (q.source.empty() || q.source[0] != '/')) q.source = r.bundle + "/" + q.source;
  q.what = "error mounting \"" + (q.source.empty() ? q.type : q.source) + "\" to rootfs at \"" + q.target + "\"";
  if (q.options.flags & MS_REMOUNT && !bind) {
    int fd = reopen(r, q);
    if (mount(nullptr, proc_fd(fd).c_str(), nullptr, q.options.flags,
              q.options.data.empty() ? nullptr : q.options.data.c_str()) != 0)
      fail(q.what);
    close(fd);
    return;
  }
  if (bind && q.type == "cgroup") return mount_cgroups(r, q);
  if (bind) return mount_bind(r, q, tree);
  if (q.type == "cgroup" || q.type == "cgroup2") return mount_cgroups(r, q);
  mount_plain(r, q);
}

}  // namespace k8lite::runc
