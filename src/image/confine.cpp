// How the unpacking child gives up its powers, in this order: mounts, root folder, limits, capabilities, system calls.
// SYS_ADMIN stays among the capabilities because the kernel asks for it before it sets overlayfs' own attribute
// (trusted.overlay.opaque); the seccomp filter takes away everything else that it opens.
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <iterator>

#include "image/unpacker.h"

namespace k8lite::image {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#elif defined(__arm__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_ARM;
#else
#error "the unpacker's system call filter does not know this architecture"
#endif

// Files by descriptor or below the root, memory, time, the end. No sockets, processes, mounts, ioctls, keys, modules,
// no ptrace.
constexpr uint32_t kCalls[] = {
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_close,
    SYS_lseek,
    SYS_dup,
    SYS_fsync,
    SYS_ftruncate,
    SYS_getdents64,
    SYS_openat,
    SYS_openat2,
    SYS_mkdirat,
    SYS_mknodat,
    SYS_linkat,
    SYS_symlinkat,
    SYS_unlinkat,
    SYS_readlinkat,
    SYS_faccessat,
    SYS_fchown,
    SYS_fchownat,
    SYS_fchmod,
    SYS_fchmodat,
    SYS_fsetxattr,
    SYS_utimensat,
    SYS_fstat,
    SYS_statx,
    SYS_fstatfs,
    SYS_munmap,
    SYS_mprotect,
    SYS_mremap,
    SYS_brk,
    SYS_madvise,
    SYS_futex,
    SYS_exit,
    SYS_exit_group,
    SYS_rt_sigreturn,
    SYS_rt_sigprocmask,
    SYS_getpid,
    SYS_gettid,
    SYS_tgkill,
    SYS_getrandom,
    SYS_clock_gettime,
    SYS_geteuid,
#ifdef SYS_newfstatat
    SYS_newfstatat,
#endif
#ifdef SYS_fstatat64
    SYS_fstatat64,
    SYS_fstat64,
    SYS_fstatfs64,
    SYS__llseek,
    SYS_ftruncate64,
    SYS_clock_gettime64,
    SYS_utimensat_time64,
    SYS_geteuid32,
    SYS_fchown32,
#endif
#ifdef SYS_mmap
    SYS_mmap,
#endif
#ifdef SYS_mmap2
    SYS_mmap2,
#endif
};
constexpr uint32_t kControlCall =  // fcntl
#ifdef SYS_fcntl64
    SYS_fcntl64;
#else
    SYS_fcntl;
#endif

constexpr int kKept[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_MKNOD, CAP_SETFCAP, CAP_SYS_ADMIN};

Result<> failed(const char* step) { return Status::from_errno(std::string("confine the unpacker: ") + step, errno); }

// The folder becomes the root, by itself: neither a device of a layer opens there nor does anything of it run.
Result<> own_root(const std::string& folder) {
  if (unshare(CLONE_NEWNS) != 0) return failed("mount namespace");
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return failed("private mounts");
  if (mount(folder.c_str(), folder.c_str(), nullptr, MS_BIND, nullptr) != 0) return failed("bind the folder");
  if (mount("none", folder.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_NODEV | MS_NOSUID | MS_NOEXEC, nullptr) != 0)
    return failed("mount the folder without devices");
  if (chdir(folder.c_str()) != 0) return failed("enter the folder");
  if (syscall(SYS_pivot_root, ".", ".") == 0) {
    if (umount2(".", MNT_DETACH) != 0) return failed("let the old root go");
  } else if (chroot(".") != 0) {  // the host's root is a ramfs, which cannot be pivoted
    return failed("change root");
  }
  if (chdir("/") != 0) return failed("enter the root");
  return {};
}

void limit(decltype(RLIMIT_CORE) what, uint64_t value) {
  rlimit now{};
  if (getrlimit(what, &now) != 0) return;
  rlim_t v = std::min<rlim_t>(static_cast<rlim_t>(value), now.rlim_max);
  rlimit wanted{v, v};
  (void)setrlimit(what, &wanted);  // lowering is always allowed
}

Result<> drop_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  for (int cap = 0; cap < 64; ++cap) {
    bool kept = false;
    for (int k : kKept) kept |= k == cap;
    if (!kept)
      (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    else
      data[cap / 32].permitted |= 1U << (cap % 32), data[cap / 32].effective |= 1U << (cap % 32);
  }
  (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (syscall(SYS_capset, &header, data) != 0) return failed("drop capabilities");
  return {};
}

Result<> filter_calls() {
  constexpr size_t n = std::size(kCalls);
  sock_filter code[n + 9];
  size_t at = 0;
  auto add = [&code, &at](uint16_t op, uint32_t k, uint8_t yes = 0, uint8_t no = 0) { code[at++] = {op, yes, no, k}; };
  add(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch));
  add(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0);
  add(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  add(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
  // fopendir() asks for a descriptor's flags.
  add(BPF_JMP | BPF_JEQ | BPF_K, kControlCall, static_cast<uint8_t>(n + 1), 0);
  for (size_t i = 0; i < n; ++i) add(BPF_JMP | BPF_JEQ | BPF_K, kCalls[i], static_cast<uint8_t>(n - i), 0);
  add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
  add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  static_assert(n < 250, "jumps are 8 bits wide");
  sock_fprog program{static_cast<unsigned short>(at), code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return failed("no new privileges");
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return failed("system call filter");
  return {};
}

}  // namespace

Result<> confine_to(const std::string& folder, const UnpackLimits& limits) {
  bool root = geteuid() == 0;
  if (root) TRY_OK(own_root(folder));
#if !defined(__has_feature) || !(__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
  limit(RLIMIT_AS, kUnpackMemory);  // a sanitizer's shadow is larger
#endif
  limit(RLIMIT_CPU, kUnpackProcessor);
  limit(RLIMIT_FSIZE, limits.bytes);
  limit(RLIMIT_NOFILE, 1024);
  limit(RLIMIT_CORE, 0);
  if (root) TRY_OK(drop_capabilities());
  return filter_calls();
}

}  // namespace k8lite::image
