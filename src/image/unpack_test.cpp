// Layers that mean harm, and the child process in which a node unpacks them. This executable is that child too, under
// the hidden command.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "image/fake_registry.h"
#include "image/store.h"
#include "image/unpacker.h"

using namespace k8lite;
using namespace k8lite::image;
using namespace k8lite::image::testing;
namespace fs = std::filesystem;
using Catch::Contains;

namespace {

// Before main(): Catch2's own knows nothing of us.
__attribute__((constructor)) void be_the_unpacker(int argc, char** argv, char**) {
  if (argc > 1 && argv[1] == kUnpackCommand) _exit(run_unpacker(argc - 1, argv + 1));
}

struct Folder {
  std::string path, layer;
  Folder() {
    char name[] = "/tmp/k8lite-unpack-XXXXXX";
    path = mkdtemp(name);
    layer = path + "/l";
    fs::create_directories(layer);
  }
  ~Folder() { fs::remove_all(path); }
  os::Fd split() const {
    return os::Fd(::open((path + "/split").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  }
  Result<LayerFacts> unpack(const std::string& packed, UnpackLimits limits = {}, bool confined = true) const {
    fs::remove_all(layer);
    fs::create_directories(layer);
    TextSource source(packed);
    return confined ? unpack_confined(source, layer, split(), limits) : unpack_here(source, layer, split(), limits);
  }
  std::string said(const std::string& packed, UnpackLimits limits = {}, bool confined = true) const {
    auto r = unpack(packed, limits, confined);
    return r.ok() ? "ok" : r.status().message();
  }
};

std::string pax(const std::string& key, const std::string& value) {
  std::string body = " " + key + "=" + value + "\n";
  size_t size = body.size() + 1;
  while (std::to_string(size).size() + body.size() != size) ++size;
  return std::to_string(size) + body;
}
std::string with_pax(const std::string& records, const std::string& then) {
  return entry("PaxHeaders", 'x', records) + then;
}

std::vector<pid_t> children() {
  std::vector<pid_t> out;
  for (const auto& task : os::list_dir("/proc/self/task")) {
    std::ifstream in("/proc/self/task/" + task + "/children");
    for (pid_t pid; in >> pid;) out.push_back(pid);
  }
  return out;
}

// Does something to the unpacker in the middle of a layer.
class Meddling : public Source {
 public:
  Meddling(std::string text, std::function<void()> meddle) : text_(std::move(text)), meddle_(std::move(meddle)) {}
  Result<size_t> read(char* buffer, size_t size) override {
    if (at_ > text_.size() / 2 && meddle_) std::exchange(meddle_, nullptr)();
    size_t n = text_.copy(buffer, size, at_);
    at_ += n;
    return n;
  }

 private:
  std::string text_;
  std::function<void()> meddle_;
  size_t at_ = 0;
};

// The same folder again and again.
class Endless : public Source {
 public:
  Result<size_t> read(char* buffer, size_t size) override {
    static const std::string block = entry("./", '5', "");
    size_t n = block.copy(buffer, size, at_);
    at_ = (at_ + n) % block.size();
    return n;
  }

 private:
  size_t at_ = 0;
};

std::string shell(const std::string& command) {
  std::string out;
  FILE* pipe = popen(command.c_str(), "r");
  char buffer[4096];
  for (size_t n; pipe && (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) out.append(buffer, n);
  if (pipe) pclose(pipe);
  return out;
}

}  // namespace

TEST_CASE("unpacker: the confined child does what this process would do, with gzip, zstd and plain layers", "[root]") {
  Folder f;
  std::string tar = entry("etc/", '5', "") + entry("etc/a", '0', "hello") + entry("etc/.wh.gone", '0', "") +
                    entry("opt/.wh..wh..opq", '0', "") + entry("dev/null", '3', "") + tar_end();
  for (const auto& packed : {tar, gzip(tar), zstd(tar)})
    for (bool confined : {true, false}) {
      auto facts = f.unpack(packed, {}, confined);
      INFO((facts.ok() ? std::string() : facts.status().message()));
      REQUIRE(facts.ok());
      CHECK(facts->diff_id == digest_of(tar));
      CHECK(facts->bytes == tar.size());
      CHECK(os::read_file(f.layer + "/etc/a").value() == "hello");
      CHECK(fs::is_character_file(f.layer + "/etc/gone"));
      CHECK(fs::is_character_file(f.layer + "/dev/null"));
      char opaque[4] = {};
      CHECK(getxattr((f.layer + "/opt").c_str(), "trusted.overlay.opaque", opaque, sizeof opaque) == 1);
      CHECK(fs::file_size(f.path + "/split") > 0);
    }
  CHECK(children().empty());
}

TEST_CASE("unpacker: whoever takes the child over reaches no file, device, process or network", "[root]") {
  Folder f;
  std::ofstream(f.path + "/outside") << "safe";
  int out[2];
  REQUIRE(pipe(out) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    std::string got;
    auto note = [&got](const char* what, bool bad) { got += bad ? std::string(what) + " " : ""; };
    auto r = confine_to(f.layer, {});
    if (!r.ok()) got += r.status().message();
    int made = openat(AT_FDCWD, "/mine", O_WRONLY | O_CREAT, 0600);
    note("cannot-write", made < 0);
    note("host-file", openat(AT_FDCWD, "/etc/passwd", O_RDONLY) >= 0);
    note("parent", openat(AT_FDCWD, ("/.." + f.path + "/outside").c_str(), O_WRONLY) >= 0);
    note("proc", openat(AT_FDCWD, "/proc/self/root", O_RDONLY) >= 0);
    note("no-mknod", mknodat(AT_FDCWD, "/zero", S_IFCHR | 0666, makedev(1, 5)) != 0);
    note("device", openat(AT_FDCWD, "/zero", O_RDONLY) >= 0);
    note("socket", socket(AF_INET, SOCK_STREAM, 0) >= 0);
    note("unix", socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
    note("mount", mount("none", "/", "tmpfs", 0, "") == 0);
    note("chroot", chroot("/") == 0);
    note("unshare", unshare(CLONE_NEWNS) == 0);
    note("setuid", setuid(1) == 0);
    note("kill", kill(getppid(), 0) == 0);
    note("ptrace", ptrace(PTRACE_ATTACH, getppid(), 0, 0) == 0);
    char* none[] = {nullptr};
    execve("/proc/self/exe", none, none);
    note("exec", errno != EPERM);
    pid_t other = fork();
    if (other == 0) _exit(0);
    note("fork", other > 0);
    (void)!write(out[1], got.data(), got.size());
    _exit(0);
  }
  close(out[1]);
  char buffer[4096] = {};
  ssize_t n = read(out[0], buffer, sizeof buffer - 1);
  close(out[0]);
  int status = 0;
  waitpid(pid, &status, 0);
  CHECK(std::string(buffer, static_cast<size_t>(std::max<ssize_t>(n, 0))) == "");
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  CHECK(os::exists(f.layer + "/mine"));
}

TEST_CASE("unpacker: a child that is killed or stands still is an error, and leaves nothing", "[root]") {
  Folder f;
  std::string packed;
  for (int i = 0; i < 200; ++i)
    packed += entry("file" + std::to_string(i), '0', std::string(64 * 1024, static_cast<char>('a' + i % 26)));
  packed += tar_end();
  auto signal_children = [](int number) {
    return [number] {
      for (pid_t pid : children()) kill(pid, number);
    };
  };
  Meddling stopped(packed, signal_children(SIGSTOP));
  auto r = unpack_confined(stopped, f.layer, f.split(), {}, milliseconds(500));
  REQUIRE(!r.ok());
  CHECK_THAT(r.status().message(), Contains("the unpacker made no progress for ") && Contains("the limit"));
  CHECK(children().empty());
  StoreOptions options;
  options.confined = true;
  auto store = ImageStore::open(f.path + "/s", options).value();
  Meddling killed(packed, signal_children(SIGKILL));
  auto added = store->add_layer(digest_of(packed), killed);
  REQUIRE(!added.ok());
  CHECK(added.status().message() == "the unpacker was killed: signal 9");
  CHECK(os::list_dir(f.path + "/s/layers").size() == 3);
  TextSource whole(packed);
  CHECK(store->add_layer(digest_of(packed), whole).ok());
}

TEST_CASE("unpacker: a source that fails is told as such", "[root]") {
  struct Failing : Source {
    Result<size_t> read(char*, size_t) override { return unavailable("the cable is out"); }
  } source;
  Folder f;
  CHECK(unpack_confined(source, f.layer, f.split(), {}).status().message() == "the cable is out");
}

TEST_CASE("unpack: hostile layers touch nothing outside, confined or not", "[root]") {
  Folder f;
  std::ofstream(f.path + "/outside") << "safe";
  const std::string up = f.path + "/outside";
  for (bool confined : {true, false}) {
    CHECK_THAT(f.said(entry("../outside", '0', "evil") + tar_end(), {}, confined),
               Contains("the name leaves the layer"));
    CHECK_THAT(f.said(entry("a/../../outside", '0', "evil") + tar_end(), {}, confined),
               Contains("the name leaves the layer"));
    CHECK_THAT(f.said(entry("h", '1', "", "../outside") + tar_end(), {}, confined),
               Contains("the name leaves the layer"));
    CHECK_THAT(f.said(entry("h", '1', "", up) + entry("h", '0', "evil") + tar_end(), {}, confined),
               Contains("hard link to"));
    // A hard link through a link that leads out, to a file that is there.
    CHECK_THAT(f.said(entry("d", '2', "", f.path) + entry("h", '1', "", "d/outside") + tar_end(), {}, confined),
               Contains("hard link to"));
    for (const std::string& tar :
         {entry("d", '2', "", "..") + entry("d/outside", '0', "evil"),
          entry("d", '2', "", f.path) + entry("d/outside", '0', "evil"),
          entry("one", '2', "", "..") + entry("two", '2', "", "one/..") + entry("two/outside", '0', "evil"),
          entry("f", '2', "", up) + entry("f", '0', "evil"),
          entry("f", '2', "", up) + entry("g", '1', "", "f") + entry("g", '0', "evil"),
          entry("w", '2', "", f.path) + entry("w/.wh.outside", '0', ""),
          entry("m", '2', "", "/proc/self/root" + f.path) + entry("m/outside", '0', "evil"),
          entry("o", '2', "", f.path) + entry("o/.wh..wh..opq", '0', ""),
          entry("x/", '5', "") + entry("x", '2', "", f.path) + entry("x/outside", '0', "evil"),
          entry("loop", '2', "", "loop") + entry("loop/a", '0', "evil")})
      (void)f.unpack(tar + tar_end(), {}, confined);
    CHECK(os::read_file(up).value() == "safe");
    CHECK(getxattr(f.path.c_str(), "trusted.overlay.opaque", nullptr, 0) < 0);
  }
}

TEST_CASE("unpack: what cannot be meant is refused, naming the limit", "[root]") {
  Folder f;
  std::string file = entry("f", '0', "x");
  CHECK_THAT(f.said(with_pax(pax("uid", "4294967295"), file) + tar_end()),
             Contains("an owner beyond 4294967294, the limit"));
  CHECK_THAT(f.said(with_pax(pax("gid", "18446744073709551615"), file) + tar_end()),
             Contains("an owner beyond 4294967294, the limit"));
  CHECK_THAT(f.said(with_pax(pax("path", std::string(300, 'n')), file) + tar_end()),
             Contains("a name longer than 255 bytes"));
  CHECK_THAT(f.said(with_pax(pax("path", std::string(5000, '/') + "x"), file) + tar_end()),
             Contains("a name longer than 4096 bytes, the limit"));
  std::string many;
  for (int i = 0; i < 20; ++i) many += entry("g", 'g', pax("comment", "x"));
  CHECK_THAT(f.said(many + file + tar_end()), Contains("more than 16 extended headers in a row, the limit"));
  std::string globals;
  for (int i = 0; i < 1500; ++i) globals += pax("k" + std::to_string(i), "x");
  CHECK_THAT(f.said(entry("g", 'g', globals) + file + tar_end()),
             Contains("more than 1000 global attributes, the limit"));
  CHECK_THAT(f.said(entry("L", 'L', std::string(5 << 20, 'n')) + file + tar_end()),
             Contains("larger than 4194304 bytes"));
  // Content where there is none, and far too many extended headers.
  CHECK_THAT(f.said(entry("d", '5', std::string(5 << 20, '\0')) + tar_end()), Contains("d: a tar header is larger than 4194304 bytes, the limit"));
  CHECK_THAT(f.said(entry(".wh.a", '0', std::string(5 << 20, '\0')) + tar_end()), Contains(".wh.a: a tar header is larger than 4194304 bytes, the limit"));
  {
    std::string header = entry("g", 'x', pax("comment", std::string((4 << 20) - 100, 'c'))) + entry("./", '5', "");
    struct Repeat : Source {
      explicit Repeat(const std::string& t) : text(t) {}
      Result<size_t> read(char* buffer, size_t size) override {
        size_t n = text.copy(buffer, size, at);
        at = (at + n) % text.size();
        return n;
      }
      const std::string& text;
      size_t at = 0;
    } source(header);
    CHECK_THAT(unpack_confined(source, f.layer, f.split(), {}).status().message(), Contains("more than 1073741824 bytes of extended headers, the limit"));
  }
  CHECK_THAT(f.said(file + tar_end() + std::string(65 << 20, '\0')),
             Contains("behind the end of the tar archive, the limit"));
  UnpackLimits small;
  small.entries = 50;
  std::string devices;
  for (int i = 0; i < 60; ++i) devices += entry("dev/sd" + std::to_string(i), '4', "");
  CHECK_THAT(f.said(devices + tar_end(), small), Contains("the layer holds more than 50 entries, the limit"));
  // The largest window that zstd knows would take 2 GiB.
  CHECK_THAT(f.said(std::string("\x28\xb5\x2f\xfd\x00\xa8", 6) + std::string(64, '\0')),
             Contains("zstd stream is damaged"));
}

TEST_CASE("unpack: a million entries are one too many", "[root][slow]") {
  Folder f;
  Endless source;
  auto r = unpack_confined(source, f.layer, f.split(), {});
  REQUIRE(!r.ok());
  CHECK(r.status().message() == "the layer holds more than 1000000 entries, the limit");
}

TEST_CASE("unpack: owners, long names and attributes are kept; overlayfs' own attributes are not", "[root]") {
  Folder f;
  std::string name(200, 'n'), link = "deep/" + std::string(150, 'l');
  std::string tar =
      with_pax(pax("uid", "3000000000") + pax("gid", "4294967294"), entry("huge", '0', "x")) +
      with_pax(pax("path", name + "/" + name), entry("short", '0', "long")) +
      entry("@LongLink", 'K', link + std::string(1, '\0')) + entry("s", '2', "", "cut") +
      with_pax(pax("SCHILY.xattr.user.colour", "blue") + pax("SCHILY.xattr.trusted.overlay.redirect", "/etc") +
                   pax("SCHILY.xattr.user.overlay.opaque", "y") +
                   pax("SCHILY.xattr.security.capability",
                       std::string("\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20)),
               entry("tagged", '0', "x")) +
      tar_end();
  REQUIRE(f.said(tar) == "ok");
  struct stat st {};
  REQUIRE(::stat((f.layer + "/huge").c_str(), &st) == 0);
  CHECK(st.st_uid == 3000000000U);
  CHECK(st.st_gid == 4294967294U);
  CHECK(os::read_file(f.layer + "/" + name + "/" + name).value() == "long");
  CHECK(fs::read_symlink(f.layer + "/s") == link);
  char value[64] = {};
  CHECK(getxattr((f.layer + "/tagged").c_str(), "security.capability", value, sizeof value) == 20);
  CHECK(getxattr((f.layer + "/tagged").c_str(), "trusted.overlay.redirect", value, sizeof value) < 0);
  CHECK(getxattr((f.layer + "/tagged").c_str(), "user.overlay.opaque", value, sizeof value) < 0);
}

TEST_CASE("unpack: sparse files in every form of tar keep their content, and their holes", "[root]") {
  Folder f;
  fs::create_directories(f.path + "/in");
  {
    os::Fd fd(::open((f.path + "/in/holes").c_str(), O_WRONLY | O_CREAT, 0600));
    for (off_t at : {0L, 1L << 20, 40L << 20}) CHECK(pwrite(fd.get(), "data", 4, at) == 4);
    CHECK(ftruncate(fd.get(), 100L << 20) == 0);
  }
  std::string sum = shell("sha256sum <" + f.path + "/in/holes");
  for (const char* form : {"--format=gnu", "--format=posix --sparse-version=0.0", "--format=posix --sparse-version=0.1",
                           "--format=posix --sparse-version=1.0"}) {
    CAPTURE(form);
    std::string tar = shell("tar -C " + f.path + "/in -cS " + form + " --hole-detection=seek -f - holes");
    REQUIRE(!tar.empty());
    REQUIRE(tar.size() < (1U << 20));
    REQUIRE(f.said(tar) == "ok");
    CHECK(shell("sha256sum <" + f.layer + "/holes") == sum);
    struct stat st {};
    REQUIRE(::stat((f.layer + "/holes").c_str(), &st) == 0);
    CHECK(st.st_blocks * 512 < 4 << 20);
  }
  UnpackLimits limits;
  limits.bytes = 50 << 20;
  CHECK_THAT(f.said(shell("tar -C " + f.path + "/in -cS --hole-detection=seek -f - holes"), limits),
             Contains("a sparse file of more than 52428800 bytes, the limit"));
  for (const char* map : {"0,4,2,4", "0,40", "x,y", "99,1"})
    CHECK_THAT(f.said(with_pax(pax("GNU.sparse.map", map) + pax("GNU.sparse.size", "50"), entry("f", '0', "12345678")) +
                      tar_end()),
               Contains("the map of a sparse file"));
}
