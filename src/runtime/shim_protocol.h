// What the executable and the pods' shims say to each other over a unix socket (SOCK_SEQPACKET: one record a message), and the plan by
// which a shim builds a container. Header only, without any of the house's rooms: the shim is a small ELF of its own.
//
// A record is a kind byte and fields; a text field is a 32-bit length and its bytes, a number is 64 bits, little endian.
#pragma once
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace k8lite::runtime::shim {

inline constexpr size_t kMaxRecord = 1 << 20;   // a plan with its environment
inline constexpr int kSocketBuffer = 2 << 20;

enum class Ask : uint8_t {
  Start = 1,    // id, Plan                     -> Ok(pid) | Failed(text)
  Signal,       // id, number, whole(0|1)       -> Ok | Failed
  List,         //                              -> Ok(n, states…)
  Watch,        // this connection gets Exited records from now on
  Exec,         // id, Process, kill-when-closed(0|1), with three descriptors -> Ok(pid), then Exited when it ends
  Remove,       // id: forget a container that has ended -> Ok
  Quit,         // kill everything and end      -> Ok
  Attach,       // id, input(0|1), with two descriptors that get a copy of its output -> Ok(kGaveInput | kGaveTerminal), with its stdin
};
// A terminal is handed out even where input is not wanted or not taken: its size is set through it.
inline constexpr uint64_t kGaveInput = 1, kGaveTerminal = 2;
enum class Say : uint8_t { Ok = 65, Failed, Exited };

inline constexpr std::string_view kPodProcesses = "*";  // of all containers of a pod (shareProcessNamespace)

// One step of a container's construction, in order.
enum class Step : uint8_t {
  Mount = 1,   // source, target (absolute on the host), type, flags, data
  MakeDir,     // host path, mode
  MountIn,     // source ("" : none), target inside of the rootfs, type, flags, data, what(0 directory, 1 file): the target is created
  Remount,     // target inside of the rootfs, flags
  MakeNode,    // path inside of the rootfs, mode, device
  Link,        // path inside of the rootfs, target text
  Mask,        // path inside of the rootfs: hidden by /dev/null or an empty read-only tmpfs; absent is fine
  ReadOnly,    // path inside of the rootfs: made read-only; absent is fine
  Enter,       // host path: where relative paths of the next mount's options begin
  Share,       // host path, before all other steps: kept with its ties to the host, for the next MountIn of it with MS_SHARED
};
// Flags of MountIn beside mount(2)'s: read-only with all that is mounted below.
inline constexpr uint64_t kReadOnlyBelow = uint64_t{1} << 40;
// A source of MountIn may be "folder\0part": the part is opened below the folder, and no link leads out of that.

struct Writer {
  std::string out;
  Writer& byte(uint8_t v) { out += static_cast<char>(v); return *this; }
  Writer& number(uint64_t v) {
    char raw[8];
    for (int i = 0; i < 8; ++i) raw[i] = static_cast<char>(v >> (8 * i));
    out.append(raw, 8);
    return *this;
  }
  Writer& text(std::string_view v) {
    uint32_t n = static_cast<uint32_t>(v.size());
    char raw[4];
    for (int i = 0; i < 4; ++i) raw[i] = static_cast<char>(n >> (8 * i));
    out.append(raw, 4).append(v);
    return *this;
  }
  Writer& texts(const std::vector<std::string>& list) {
    number(list.size());
    for (const auto& t : list) text(t);
    return *this;
  }
};

struct Reader {
  std::string_view in;
  bool bad = false;
  uint8_t byte() {
    if (in.empty()) return bad = true, 0;
    auto v = static_cast<uint8_t>(in[0]);
    in.remove_prefix(1);
    return v;
  }
  uint64_t number() {
    if (in.size() < 8) return bad = true, 0;
    uint64_t v = 0;
    for (int i = 0; i < 8; ++i) v |= uint64_t{static_cast<uint8_t>(in[static_cast<size_t>(i)])} << (8 * i);
    in.remove_prefix(8);
    return v;
  }
  std::string text() {
    if (in.size() < 4) return bad = true, std::string();
    uint32_t n = 0;
    for (int i = 0; i < 4; ++i) n |= uint32_t{static_cast<uint8_t>(in[static_cast<size_t>(i)])} << (8 * i);
    in.remove_prefix(4);
    if (n > in.size()) return bad = true, std::string();
    std::string v(in.substr(0, n));
    in.remove_prefix(n);
    return v;
  }
  std::vector<std::string> texts() {
    std::vector<std::string> list;
    for (uint64_t n = number(); n > 0 && !bad; --n) list.push_back(text());
    return list;
  }
};

// The process part of a plan: what exec gets too.
struct Process {
  std::vector<std::string> args, env;
  std::string cwd = "/";
  uint64_t uid = 0, gid = 0;
  std::vector<std::string> groups;  // decimal
  uint64_t capabilities = 0;        // bounding, permitted and effective (for root); mask of bits
  bool keep_capabilities = false;   // for users other than root: ambient too
  bool no_new_privileges = false, tty = false;
  int64_t oom_score_adj = 0;
  std::vector<std::string> cgroup_procs;  // files to write "0" into
  std::string seccomp;                    // BPF program, "" for none

  void write(Writer& w) const {
    w.texts(args).texts(env).text(cwd).number(uid).number(gid).texts(groups).number(capabilities).byte(keep_capabilities);
    w.byte(no_new_privileges).byte(tty).number(static_cast<uint64_t>(oom_score_adj)).texts(cgroup_procs).text(seccomp);
  }
  void read(Reader& r) {
    args = r.texts();
    env = r.texts();
    cwd = r.text();
    uid = r.number();
    gid = r.number();
    groups = r.texts();
    capabilities = r.number();
    keep_capabilities = r.byte();
    no_new_privileges = r.byte();
    tty = r.byte();
    oom_score_adj = static_cast<int64_t>(r.number());
    cgroup_procs = r.texts();
    seccomp = r.text();
  }
};

struct Plan {
  std::string rootfs;       // host folder that becomes /
  std::string steps;        // encoded Steps
  uint64_t step_count = 0;
  bool read_only = false, host_pid = false, stdin_open = false;
  bool stdin_once = false;  // the first that attaches gets stdin for itself, and ends it
  std::string processes_of; // whose processes it sees: "" its own, kPodProcesses, or another container's id
  std::string log_path;     // CRI log file
  uint64_t log_bytes = 10 << 20, log_files = 5;
  std::string oom_file;     // where the kernel counts kills: memory.events or memory.oom_control
  Process process;

  void write(Writer& w) const {
    w.text(rootfs).text(steps).number(step_count).byte(read_only).byte(host_pid).byte(stdin_open).text(log_path).number(log_bytes).number(log_files).text(oom_file);
    process.write(w);
    w.byte(stdin_once).text(processes_of);
  }
  void read(Reader& r) {
    rootfs = r.text();
    steps = r.text();
    step_count = r.number();
    read_only = r.byte();
    host_pid = r.byte();
    stdin_open = r.byte();
    log_path = r.text();
    log_bytes = r.number();
    log_files = r.number();
    oom_file = r.text();
    process.read(r);
    if (!r.in.empty()) stdin_once = r.byte();  // an older server says nothing of these
    if (!r.in.empty()) processes_of = r.text();
  }
};

struct State {
  std::string id;
  uint64_t pid = 0, started_us = 0, finished_us = 0;
  bool running = false, oom_killed = false;
  int64_t exit_code = 0, signal = 0;
  void write(Writer& w) const {
    w.text(id).number(pid).number(started_us).number(finished_us).byte(running).byte(oom_killed).number(static_cast<uint64_t>(exit_code)).number(static_cast<uint64_t>(signal));
  }
  void read(Reader& r) {
    id = r.text();
    pid = r.number();
    started_us = r.number();
    finished_us = r.number();
    running = r.byte();
    oom_killed = r.byte();
    exit_code = static_cast<int64_t>(r.number());
    signal = static_cast<int64_t>(r.number());
  }
};

}  // namespace k8lite::runtime::shim
