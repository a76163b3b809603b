// See rootfs.h.
#include "runc/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runc/common.h"
#include "runc/mount_one.h"
#include "shim/root.h"

namespace k8lite::runc {
namespace {

using shim::make_dirs_in_root;
using shim::make_file_in_root;
using shim::open_in_root;

struct Device {
  const char* path;
  unsigned major, minor;
};
constexpr Device kDevices[] = {{"/dev/null", 1, 3}, {"/dev/random", 1, 8}, {"/dev/full", 1, 7},
                               {"/dev/tty", 5, 0},  {"/dev/zero", 1, 5},   {"/dev/urandom", 1, 9}};
constexpr struct {
  const char *path, *to;
} kLinks[] = {{"/dev/fd", "/proc/self/fd"},
              {"/dev/stdin", "/proc/self/fd/0"},
              {"/dev/stdout", "/proc/self/fd/1"},
              {"/dev/stderr", "/proc/self/fd/2"},
              {"/dev/core", "/proc/kcore"}};

// Is /dev the host's own, handed in? Then nothing is made in it.
bool makes_devices(const Json& spec) {
  for (const Json& m : spec["mounts"].items()) {
    if (clean_path(m["destination"].str()) != "/dev") continue;
    if (m["type"].str() == "bind" || (parse_mount_options(m["options"].strings()).flags & MS_BIND)) return false;
  }
  return true;
}

void make_device(Rootfs& r, const std::string& path, mode_t mode, dev_t device, uid_t uid, gid_t gid) {
  if (r.user_ns) {  // may not make nodes: the host's own, bound
    int target = make_file_in_root(r.root, path), tree = open_tree_of(AT_FDCWD, path, false);
    if (target < 0 || tree < 0) fail("create device " + path);
    attach_tree(tree, target, "create device " + path);
    close(target);
    close(tree);
    return;
  }
  int parent = make_dirs_in_root(r.root, shim::parent_of(path));
  std::string name = shim::base_of(path);
  if (parent < 0) fail("create device " + path);
  if (mknodat(parent, name.c_str(), mode, device) != 0) {
    struct stat st {};
    if (errno != EEXIST) fail("create device " + path);
    if (fstatat(parent, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0 || (st.st_mode & S_IFMT) != (mode & S_IFMT) ||
        (!S_ISFIFO(mode) && st.st_rdev != device)) {
      refuse("create device " + path + ": something else is there");
    }
  }
  int fd = openat(parent, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 || fchmodat(AT_FDCWD, proc_fd(fd).c_str(), mode & 07777, 0) != 0 ||
      fchownat(fd, "", uid, gid, AT_EMPTY_PATH) != 0)
    fail("create device " + path);
  close(fd);
  close(parent);
}

void make_link(Rootfs& r, const std::string& path, const char* to) {
  int parent = make_dirs_in_root(r.root, shim::parent_of(path));
  if (parent < 0 || (symlinkat(to, parent, shim::base_of(path).c_str()) != 0 && errno != EEXIST))
    fail("create link " + path);
  close(parent);
}

void make_all_devices(Rootfs& r) {
  mode_t old = umask(0);
  for (const Json& d : (*r.spec)["linux"]["devices"].items()) {
    const std::string& type = d["type"].str();
    mode_t kind = type == "b" ? S_IFBLK : type == "p" ? S_IFIFO : type == "c" || type == "u" ? S_IFCHR : 0;
    if (!kind) refuse("invalid device type \"" + type + "\"");
    make_device(r, clean_path(d["path"].str()), kind | static_cast<mode_t>(d["fileMode"].int_or(0666)),
                makedev(static_cast<unsigned>(d["major"].int_or(0)), static_cast<unsigned>(d["minor"].int_or(0))),
                static_cast<uid_t>(d["uid"].int_or(0)), static_cast<gid_t>(d["gid"].int_or(0)));
  }
  for (const Device& d : kDevices) {
    bool own = false;
    for (const Json& j : (*r.spec)["linux"]["devices"].items()) own |= j["path"].str() == d.path;
    if (!own) make_device(r, d.path, S_IFCHR | 0666, makedev(d.major, d.minor), 0, 0);
  }
  umask(old);
  for (const auto& l : kLinks) make_link(r, l.path, l.to);
  // The container's own terminals; whatever the image has there instead goes.
  int parent = make_dirs_in_root(r.root, "/dev");
  unlinkat(parent, "ptmx", 0);
  close(parent);
  make_link(r, "/dev/ptmx", "pts/ptmx");
}

void write_map(pid_t pid, const char* file, const Json& map) {
  std::string text;
  for (const Json& m : map.items())
    text += m["containerID"].dump() + " " + m["hostID"].dump() + " " + m["size"].dump() + "\n";
  if (!write_whole("/proc/" + std::to_string(pid) + "/" + file, text))
    fail(std::string("write ") + file + " for an id-mapped mount");
}

// A user namespace with these maps, held only by its descriptor.
int user_namespace_of(const Json& uids, const Json& gids) {
  int go[2], ready[2];
  if (pipe2(go, O_CLOEXEC) != 0 || pipe2(ready, O_CLOEXEC) != 0) fail("pipe");
  pid_t pid = fork();
  if (pid == 0) {
    char c = 0;
    close(go[1]);
    if (unshare(CLONE_NEWUSER) == 0) (void)!write(ready[1], "k", 1);
    close(ready[1]);
    (void)!read(go[0], &c, 1);
    _exit(0);
  }
  char c = 0;
  close(ready[1]);
  if (pid < 0 || read(ready[0], &c, 1) != 1) refuse("make a user namespace for an id-mapped mount");
  write_map(pid, "uid_map", uids);
  write_map(pid, "gid_map", gids);
  int fd = open(("/proc/" + std::to_string(pid) + "/ns/user").c_str(), O_RDONLY | O_CLOEXEC);
  for (int f : {go[0], go[1], ready[0]}) close(f);
  waitpid(pid, nullptr, 0);
  return fd;
}

void mask(Rootfs& r, const std::string& path, int null) {
  int fd = open_in_root(r.root, path, O_PATH);
  if (fd < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return;
    fail("can't mask path \"" + path + "\"");
  }
  struct stat st {};
  fstat(fd, &st);
  if (S_ISDIR(st.st_mode)) {
    if (mount("tmpfs", proc_fd(fd).c_str(), "tmpfs", MS_RDONLY, nullptr) != 0) fail("can't mask path \"" + path + "\"");
  } else {
    int tree = open_tree_of(null, "", false);
    if (tree < 0) fail("can't mask path \"" + path + "\"");
    attach_tree(tree, fd, "can't mask path \"" + path + "\"");
    close(tree);
  }
  close(fd);
}

void make_read_only(Rootfs& r, const std::string& path) {
  int fd = open_in_root(r.root, path, O_PATH);
  if (fd < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return;
    fail("can't make \"" + path + "\" read-only");
  }
  struct statvfs fs {};
  fstatvfs(fd, &fs);
  int tree = open_tree_of(fd, "", true);
  if (tree < 0) fail("can't make \"" + path + "\" read-only");
  attach_tree(tree, fd, path);
  set_flags(tree, (fs.f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC)) | MS_RDONLY,
            "can't make \"" + path + "\" read-only");
  close(tree);
  close(fd);
}

// Without pivot_root the host's own proc and sysfs stay reachable in the namespace: they go first.
void move_root(Rootfs& r) {
  for (const auto& line : split(read_whole("/proc/self/mountinfo"), '\n')) {
    auto words = split(line, ' ');
    size_t dash = line.find(" - ");
    if (words.size() < 5 || dash == std::string::npos || starts_with(words[4], r.path + "/")) continue;
    auto behind = split(line.substr(dash + 3), ' ');
    if (behind.empty() || (behind[0] != "proc" && behind[0] != "sysfs")) continue;
    if (words[4] == "/proc") continue;  // still needed; let go of below
    mount(nullptr, words[4].c_str(), nullptr, MS_SLAVE | MS_REC, nullptr);
    if (umount2(words[4].c_str(), MNT_DETACH) != 0) mount("tmpfs", words[4].c_str(), "tmpfs", 0, nullptr);
  }
  mount(nullptr, "/proc", nullptr, MS_SLAVE | MS_REC, nullptr);
  if (umount2("/proc", MNT_DETACH) != 0) mount("tmpfs", "/proc", "tmpfs", 0, nullptr);
  if (mount(r.path.c_str(), "/", nullptr, MS_MOVE, nullptr) != 0) fail("move the root file system");
  if (chroot(".") != 0 || chdir("/") != 0) fail("enter the root file system");
}

}  // namespace

void prepare_trees(Rootfs& r) {
  const Json& linux_part = (*r.spec)["linux"];
  for (const Json& m : (*r.spec)["mounts"].items()) {
    MountOptions o = parse_mount_options(m["options"].strings());
    bool bind = (o.flags & MS_BIND) || m["type"].str() == "bind", mapped = o.idmap || m["uidMappings"].exists();
    int tree = -1;
    if (bind && m["type"].str() != "cgroup" && (mapped || r.user_ns)) {
      std::string source = m["source"].str();
      if (source.empty() || source[0] != '/') source = r.bundle + "/" + source;
      tree = open_tree_of(AT_FDCWD, source, o.flags & MS_REC);
      if (tree < 0 && (mapped || errno != EPERM))
        fail("error mounting \"" + source + "\" to rootfs at \"" + m["destination"].str() + "\"");
    }
    if (tree >= 0 && mapped) {
      const Json& uids = m["uidMappings"].exists() ? m["uidMappings"] : linux_part["uidMappings"];
      const Json& gids = m["gidMappings"].exists() ? m["gidMappings"] : linux_part["gidMappings"];
      if (uids.items().empty() || gids.items().empty())
        refuse("an id-mapped mount needs uidMappings and gidMappings: " + m["destination"].str());
      int ns = user_namespace_of(uids, gids);
      mount_attr attr{};
      attr.attr_set = MOUNT_ATTR_IDMAP;
      attr.userns_fd = static_cast<uint64_t>(ns);
      if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | (o.idmap_recursive ? AT_RECURSIVE : 0), &attr,
                  sizeof attr) != 0)
        fail("map the ids of the mount at " + m["destination"].str());
      close(ns);
    }
    r.trees.push_back(tree);
  }
}

void build_rootfs(Rootfs& r) {
  const Json& spec = *r.spec;
  unsigned long propagation = MS_SLAVE | MS_REC;
  const std::string& wanted = spec["linux"]["rootfsPropagation"].str();
  if (!wanted.empty() && !parse_propagation(wanted, propagation))
    refuse("unknown rootfsPropagation \"" + wanted + "\"");
  if (r.mount_ns) {
    if (mount(nullptr, "/", nullptr,
              MS_REC | ((propagation & MS_SHARED)    ? MS_SHARED
                        : (propagation & MS_PRIVATE) ? MS_PRIVATE
                                                     : MS_SLAVE),
              nullptr) != 0)
      fail("set the propagation of /");
    // A new mount of the root on itself; where it lies must not be shared, or the host would see it (and pivot_root
    // refuses).
    int tree = open_tree_of(AT_FDCWD, r.path, true), at = open(r.path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (tree < 0 || at < 0) fail("open the root file system " + r.path);
    if (propagation & MS_SHARED)
      for (std::string p = r.path;; p = parent_of(p)) {
        if (mount(nullptr, p.c_str(), nullptr, MS_PRIVATE, nullptr) == 0 || p == "/") break;
      }
    attach_tree(tree, at, "the root file system " + r.path);
    close(at);
    r.root = tree;
    mount(nullptr, proc_fd(tree).c_str(), nullptr, MS_PRIVATE, nullptr);
  } else {
    r.root = open(r.path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (r.root < 0) fail("open the root file system " + r.path);
  }
  const auto& mounts = spec["mounts"].items();
  for (size_t i = 0; i < mounts.size(); ++i) mount_one(r, mounts[i], i < r.trees.size() ? r.trees[i] : -1);
  if (makes_devices(spec)) make_all_devices(r);
}

void bind_console(Rootfs& r, int terminal) {
  // A link in its place could lead onto a file of /proc: the terminal goes upon a plain file or device only
  // (CVE-2025-52565).
  int dev = make_dirs_in_root(r.root, "/dev"), made = -1;
  if (dev >= 0) made = openat(dev, "console", O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
  close_fd(made);
  int target = dev < 0 ? -1 : openat(dev, "console", O_PATH | O_NOFOLLOW | O_CLOEXEC),
      tree = open_tree_of(terminal, "", false);
  struct stat st {};
  if (target < 0 || tree < 0 || fstat(target, &st) != 0) fail("set up /dev/console");
  if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode)) refuse("set up /dev/console: something else is there");
  attach_tree(tree, target, "set up /dev/console");
  close(dev);
  close(target);
  close(tree);
}

void seal_rootfs(Rootfs& r) {
  const Json& spec = *r.spec;
  // The working folder is made while the root can still be written to.
  int cwd = make_dirs_in_root(r.root, spec["process"]["cwd"].str());
  close_fd(cwd);
  for (const Json& m : spec["mounts"].items()) {
    if (clean_path(m["destination"].str()) != "/dev" || m["type"].str() != "tmpfs") continue;
    unsigned long flags = parse_mount_options(m["options"].strings()).flags;
    int fd = flags & MS_RDONLY ? open_in_root(r.root, "/dev", O_PATH) : -1;
    if (fd >= 0) set_flags(fd, flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC), "remount /dev"), close(fd);
  }
  for (const Json& path : spec["linux"]["readonlyPaths"].items()) make_read_only(r, path.str());
  const auto& masked = spec["linux"]["maskedPaths"].items();
  if (masked.empty()) return;
  // The host's null device, and really that one: a container that can exchange its own must not choose what is shown
  // instead.
  int null = open("/dev/null", O_PATH | O_CLOEXEC | O_NOFOLLOW);
  struct stat st {};
  if (null < 0 || fstat(null, &st) != 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
    refuse("/dev/null of the host is not the null device");
  for (const Json& path : masked) mask(r, path.str(), null);
  close(null);
}

void enter_rootfs(Rootfs& r) {
  if (fchdir(r.root) != 0) fail("enter the root file system");
  if (!r.mount_ns) {
    if (chroot(".") != 0 || chdir("/") != 0) fail("enter the root file system");
  } else if (r.no_pivot) {
    move_root(r);
  } else {
    // The old root is stacked upon the new one and let go of there; as a slave, so that the host's mounts stay.
    if (syscall(SYS_pivot_root, ".", ".") != 0) fail("pivot_root");
    if (mount(nullptr, ".", nullptr, MS_SLAVE | MS_REC, nullptr) != 0) fail("let go of the old root");
    if (umount2(".", MNT_DETACH) != 0) fail("let go of the old root");
    if (chdir("/") != 0) fail("enter /");
  }
  close_fd(r.root);
  const Json& spec = *r.spec;
  unsigned long propagation = 0;
  if (spec["root"]["readonly"].bool_or(false)) {
    struct statvfs fs {};
    statvfs("/", &fs);
    unsigned long keep = fs.f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC);
    if (mount(nullptr, "/", nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY | keep, nullptr) != 0) fail("make / read-only");
  }
  if (parse_propagation(spec["linux"]["rootfsPropagation"].str(), propagation) &&
      mount(nullptr, "/", nullptr, propagation, nullptr) != 0)
    fail("set the propagation of the root");
}

}  // namespace k8lite::runc
