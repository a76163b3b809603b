// Volumes: what is asked of the kernel for NFS, where a subPath leads, how the table of mounts is read, and which words
// a user gets for what this node does not have.
#include "kubelet/volumes.h"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kubelet/mounts.h"
#include "kubelet/nfs.h"

using namespace k8lite;
using namespace k8lite::kubelet;

namespace {

json::Doc parse(const std::string& text) {
  auto doc = json::Doc::parse(text);
  CAPTURE(text);
  REQUIRE(doc.ok());
  return *doc;
}

struct Folder {
  std::string path;
  Folder() {
    char name[] = "/tmp/k8lite-volumes.XXXXXX";
    REQUIRE(::mkdtemp(name));
    path = name;
  }
  ~Folder() { (void)os::remove_tree(path); }
};

// Sets up the volumes of a pod with this spec; claims are bound to `volume`.
Result<> set_up(const std::string& spec, const std::string& dir, const std::string& volume = "{}") {
  auto pod = parse(R"({"metadata":{"name":"p","namespace":"default","uid":"u"},"spec":)" + spec + "}");
  EnvironmentInput env;
  env.pod = pod.root();
  auto pv = parse(volume);
  VolumeContext context{dir, env, {}, [&pv](const std::string&) { return Result<json::Doc>(pv); }, {}};
  return set_up_volumes(context);
}

std::string texts(const std::vector<KernelMount>& mounts) {
  std::string out;
  for (const auto& m : mounts) out += m.type + " " + m.data + "\n";
  return out;
}

}  // namespace

TEST_CASE("nfs: without a word on the version all are tried, newest first, with the server's address") {
  auto source = parse(R"({"server":"files.lan","path":"/srv/a"})");
  auto tries = plan_nfs(source.root(), {}, "192.0.2.9");
  CHECK(texts(tries) ==
        "nfs4 vers=4.2,addr=192.0.2.9\nnfs4 vers=4.1,addr=192.0.2.9\nnfs4 vers=4.0,addr=192.0.2.9\n"
        "nfs vers=3,addr=192.0.2.9,nolock\n");
  CHECK(tries[0].source == "files.lan:/srv/a");
  CHECK(tries[0].flags == 0);
  auto v6 = parse(R"({"server":"fd00::9","path":"/a","readOnly":true})");
  CHECK(plan_nfs(v6.root(), {}, "fd00::9")[0].source == "[fd00::9]:/a");
  CHECK(plan_nfs(v6.root(), {"rw"}, "fd00::9")[0].flags == MS_RDONLY);
}

TEST_CASE("nfs: mount options are the kernel's flags, a version, or go to the file system") {
  auto source = parse(R"({"server":"s","path":"/a"})");
  struct Row {
    std::vector<std::string> options;
    std::string data;
    unsigned long flags;
  };
  for (const Row& r : {Row{{"vers=3", "hard", "timeo=600"}, "nfs vers=3,addr=1.2.3.4,hard,timeo=600,nolock\n", 0},
                       {{"nfsvers=4.1,ro,noexec"}, "nfs4 vers=4.1,addr=1.2.3.4\n", MS_RDONLY | MS_NOEXEC},
                       {{"vers=4", "minorversion=0", "rw"}, "nfs4 vers=4.0,addr=1.2.3.4\n", 0},
                       {{"v3", "local_lock=all"}, "nfs vers=3,addr=1.2.3.4,local_lock=all\n", 0},
                       {{"vers=4.2", "nofail", "_netdev", "retry=2", "noatime", "sync"},
                        "nfs4 vers=4.2,addr=1.2.3.4\n",
                        MS_NOATIME | MS_SYNCHRONOUS}}) {
    auto tries = plan_nfs(source.root(), r.options, "1.2.3.4");
    CHECK(texts(tries) == r.data);
    CHECK(tries[0].flags == r.flags);
  }
  CHECK(plan_nfs(source.root(), {"vers=4"}, "1.2.3.4").size() == 3);
}

TEST_CASE("nfs: a kernel without it, and a server that refuses, are told in plain words") {
  KernelMount m{"s:/a", "nfs4", "vers=4.2,addr=1.2.3.4", 0};
  CHECK_THAT(nfs_failure(m, ENODEV).message(), Catch::Contains("no NFS client") && Catch::Contains("modprobe nfs"));
  CHECK_THAT(nfs_failure(m, EACCES).message(), Catch::Contains("s:/a") && Catch::Contains("access denied by the server"));
  CHECK_THAT(nfs_failure(m, ENOENT).message(), Catch::Contains("does not export"));
}

TEST_CASE("mounts: the kernel's table is read, blanks and all") {
  auto mounts = parse_mountinfo(
      "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
      "30 22 0:26 / /srv/a\\040b rw,nosuid master:3 - tmpfs tmpfs rw\n"
      "31 22 0:27 / /srv rw - ext4 /dev/sdb rw\n");
  REQUIRE(mounts.size() == 3);
  CHECK(mounts[0].shared);
  CHECK(mounts[1].target == "/srv/a b");
  CHECK(mounts[1].type == "tmpfs");
  CHECK_FALSE(mounts[1].shared);
  CHECK(mount_of(mounts, "/srv/x").target == "/srv");
  CHECK(mount_of(mounts, "/srvx").target == "/");
  CHECK(mount_of(mounts, "/srv/a b/c").target == "/srv/a b");
}

TEST_CASE("subPath: it is made with the volume's mode, and no link leads out of the volume") {
  Folder f;
  std::string volume = f.path + "/volume";
  REQUIRE(os::make_dirs(volume + "/real").ok());
  REQUIRE(::chmod(volume.c_str(), 0770) == 0);
  REQUIRE(os::make_dirs(f.path + "/outside").ok());
  auto made = open_sub_path(volume, "a/b/", true);
  REQUIRE(made.ok());
  struct stat st {};
  REQUIRE(::stat((volume + "/a/b").c_str(), &st) == 0);
  CHECK((st.st_mode & 0777) == 0770);
  REQUIRE(::symlink("real", (volume + "/inside").c_str()) == 0);
  CHECK(open_sub_path(volume, "inside", false).ok());
  REQUIRE(::symlink("../outside", (volume + "/up").c_str()) == 0);
  REQUIRE(::symlink((f.path + "/outside").c_str(), (volume + "/far").c_str()) == 0);
  for (const char* sub : {"up", "far", "up/x", "far/x"}) {
    auto r = open_sub_path(volume, sub, true);
    REQUIRE_FALSE(r.ok());
    CHECK_THAT(r.status().message(), Catch::Contains("leaves its volume"));
  }
  CHECK(os::list_dir(f.path + "/outside").empty());
  CHECK_FALSE(open_sub_path(volume, "none", false).ok());
  CHECK_FALSE(os::exists(volume + "/none"));
}

TEST_CASE("volumes: kinds that this node does not have are named, drivers too") {
  Folder f;
  auto r = set_up(R"({"volumes":[{"name":"v","csi":{"driver":"x.example"}}]})", f.path);
  REQUIRE_FALSE(r.ok());
  CHECK(r.status().message() ==
        "MountVolume.SetUp failed for volume \"v\" : no volume plugin matched: volumes of kind csi (driver x.example) "
        "are not supported by this node");
  r = set_up(R"({"volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"c"}}]})", f.path,
             R"({"metadata":{"name":"pv"},"spec":{"capacity":{"storage":"1Gi"},"iscsi":{"iqn":"x"}}})");
  REQUIRE_FALSE(r.ok());
  CHECK_THAT(r.status().message(), Catch::Contains("kind iscsi") && Catch::Contains("persistent volume \"pv\""));
}

TEST_CASE("volumes: a claim's mode is the one that containers use it in") {
  Folder f;
  const std::string folder = R"({"metadata":{"name":"pv"},"spec":{"local":{"path":")" + f.path + R"("}}})";
  const std::string device = R"({"metadata":{"name":"pv"},"spec":{"volumeMode":"Block","local":{"path":")" + f.path + R"("}}})";
  auto spec = [](const char* list) {
    return std::string(R"({"volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"c"}}],"containers":[{"name":"m",")") +
           list + R"(":[{"name":"v"}]}]})";
  };
  CHECK(set_up(spec("volumeMounts"), f.path + "/a", folder).ok());
  CHECK_THAT(set_up(spec("volumeDevices"), f.path + "/b", folder).status().message(),
             Catch::Contains("volume v has volumeMode Filesystem, but is specified in volumeDevices"));
  CHECK_THAT(set_up(spec("volumeMounts"), f.path + "/c", device).status().message(),
             Catch::Contains("volume v has volumeMode Block, but is specified in volumeMounts"));
  CHECK_THAT(set_up(spec("volumeDevices"), f.path + "/d", device).status().message(),
             Catch::Contains("is not a block device"));
}
