#!/usr/bin/env python3
"""The behaviours of an OCI runtime, asked of k8lite and of its peers alike: what runc and crun do not pass is a doubt about the test.

usage: suite.py [NAME=]PATH... [-k WORD]      (needs root and a static busybox; a peer that is not installed is left out)
"""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

CAPS = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_CHOWN", "CAP_SETUID", "CAP_SETGID", "CAP_SYS_ADMIN"]
V1 = not os.path.exists("/sys/fs/cgroup/cgroup.controllers")
tests = []


def test(f):
    tests.append(f)
    return f


class Skip(Exception):
    pass


def base_spec():
    ns = [{"type": t} for t in ("pid", "network", "ipc", "uts", "mount", "cgroup")]
    mounts = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]},
    ]
    return {"ociVersion": "1.0.2", "hostname": "oci", "root": {"path": "rootfs", "readonly": False}, "mounts": mounts,
            "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["true"], "env": ["PATH=/bin", "TERM=xterm"],
                        "capabilities": {s: list(CAPS) for s in ("bounding", "effective", "permitted")}, "noNewPrivileges": True},
            "linux": {"namespaces": ns, "resources": {"devices": [{"allow": False, "access": "rwm"}]},
                      "maskedPaths": ["/proc/keys", "/proc/acpi", "/sys/firmware"], "readonlyPaths": ["/proc/sys", "/proc/bus"]}}


class Box:
    """One runtime with bundles and containers of its own; all of it goes at the end."""
    count = 0

    def __init__(self, name, path):
        self.name, self.path, self.ids, self.flags = name, path, [], []
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="oci-"))
        self.top.chmod(0o755)
        self.root = self.top / "state"

    def bundle(self, *args, **process):
        Box.count += 1
        b = self.top / f"b{Box.count}"
        (b / "rootfs/bin").mkdir(parents=True)
        for d in ("proc", "sys", "dev", "tmp", "etc"):
            (b / "rootfs" / d).mkdir()
        os.link(self.busybox(), b / "rootfs/bin/busybox")
        for a in "sh true false cat ls id ps mount sleep echo stat env hostname touch mknod pwd readlink kill grep sort wc tr test mkdir ulimit umask tty stty nproc chmod ln head ip date".split():
            os.symlink("busybox", b / "rootfs/bin" / a)
        (b / "rootfs/etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n")
        spec = base_spec()
        if args:
            spec["process"]["args"] = list(args)
        spec["process"].update(process)
        return b, spec

    def busybox(self):
        copy = self.top / "busybox"
        if not copy.exists():
            shutil.copy(shutil.which("busybox"), copy)
        return copy

    def call(self, *args, check=None, timeout=30, **kw):
        kw.setdefault("stdin", subprocess.DEVNULL)
        p = subprocess.run(["runc", "--root", str(self.root), *self.flags, *args], executable=self.path, capture_output=True, text=True, timeout=timeout, **kw)
        if check is not None and p.returncode != check:
            raise AssertionError(f"{args}: exit {p.returncode}: {p.stdout}{p.stderr}")
        return p

    def new_id(self):
        Box.count += 1
        i = f"oci-{os.getpid()}-{Box.count}"
        self.ids.append(i)
        return i

    def run(self, b, spec, *flags, check=0, **kw):
        (b / "config.json").write_text(json.dumps(spec))
        return self.call("run", "--bundle", str(b), *flags, self.new_id(), check=check, **kw)

    def sh(self, script, change=None, check=0):
        b, spec = self.bundle("sh", "-c", script)
        if change:
            change(spec)
        return self.run(b, spec, check=check).stdout

    def detached(self, b, spec, verb="run", *flags):
        (b / "config.json").write_text(json.dumps(spec))
        i = self.new_id()
        out = self.top / f"{i}.out"
        args = [verb, *(["-d"] if verb == "run" else []), "--bundle", str(b), *flags, i]
        with open(out, "w") as f:
            p = subprocess.run(["runc", "--root", str(self.root), *self.flags, *args], executable=self.path, stdin=subprocess.DEVNULL, stdout=f, stderr=f, timeout=30)
        assert p.returncode == 0, out.read_text()
        return i, out

    def state(self, i):
        return json.loads(self.call("state", i, check=0).stdout)

    def wait(self, i, status):
        until(lambda: self.state(i)["status"] == status, f"{i} is {status}")

    def end(self):
        for i in self.ids:
            self.call("delete", "--force", i)
        shutil.rmtree(self.top, ignore_errors=True)


def until(what, name, seconds=20):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise AssertionError("never came: " + name)
        time.sleep(0.02)


# --- life ---------------------------------------------------------------------------------------------------------------------------

@test
def run_gives_the_exit_code_and_leaves_nothing(x):
    b, spec = x.bundle("sh", "-c", "exit 7")
    x.run(b, spec, check=7)
    assert not x.root.exists() or not [p for p in x.root.iterdir() if p.is_dir() and p.name.startswith("oci-")]


@test
def create_waits_and_start_runs(x):
    b, spec = x.bundle("sh", "-c", "echo here; sleep 60")
    pid_file = x.top / "pid"
    i, out = x.detached(b, spec, "create", "--pid-file", str(pid_file))
    s = x.state(i)
    assert s["status"] == "created" and s["pid"] == int(pid_file.read_text()) and s["bundle"] == str(b) and out.read_text() == "", s
    x.call("start", i, check=0)
    until(lambda: out.read_text() == "here\n", "output")
    assert x.state(i)["status"] == "running"
    assert x.call("start", i).returncode != 0
    assert x.call("delete", i).returncode != 0
    x.call("kill", i, "KILL", check=0)
    x.wait(i, "stopped")
    assert x.call("kill", i, "KILL").returncode != 0 or x.name == "crun"
    x.call("delete", i, check=0)
    assert x.call("state", i).returncode == 1
    assert not list(pathlib.Path("/sys/fs/cgroup").glob(f"*/**/{i}"))


@test
def an_id_is_taken_once_and_must_be_a_plain_word(x):
    b, spec = x.bundle("sleep", "60")
    i, _ = x.detached(b, spec)
    assert x.call("run", "--bundle", str(b), i).returncode != 0
    assert x.state(i)["status"] == "running"
    for bad in ("a/b", "..", "../x"):
        assert x.call("run", "--bundle", str(b), bad).returncode != 0


@test
def list_ps_kill_all(x):
    b, spec = x.bundle("sh", "-c", "sleep 100 & sleep 100 & wait")
    i, _ = x.detached(b, spec)
    until(lambda: len(json.loads(x.call("ps", "--format", "json", i, check=0).stdout)) == 3, "three processes")
    listed = json.loads(x.call("list", "--format", "json", check=0).stdout)
    assert [c["status"] for c in listed if c["id"] == i] == ["running"]
    assert i in x.call("list", "-q", check=0).stdout
    x.call("kill", "--all", i, "9", check=0)
    x.wait(i, "stopped")


@test
def pause_and_resume(x):
    b, spec = x.bundle("sleep", "60")
    i, _ = x.detached(b, spec)
    x.call("pause", i, check=0)
    assert x.state(i)["status"] == "paused"
    assert x.call("exec", i, "true", timeout=10).returncode != 0
    x.call("resume", i, check=0)
    assert x.state(i)["status"] == "running"
    x.call("pause", i, check=0)
    x.call("delete", "--force", i, check=0)


@test
def a_missing_program_is_named(x):
    b, spec = x.bundle("no-such-program")
    log = x.top / "log.json"
    (b / "config.json").write_text(json.dumps(spec))
    p = x.call("--log", str(log), "--log-format", "json", "run", "--bundle", str(b), x.new_id())
    assert p.returncode != 0
    last = json.loads(log.read_text().splitlines()[-1])
    assert last["level"] == "error" and "no-such-program" in last["msg"] and ("not found" in last["msg"]), last


@test
def a_failing_mount_leaves_nothing(x):
    b, spec = x.bundle()
    spec["mounts"].append({"destination": "/x", "type": "bind", "source": "/no/such/path", "options": ["bind"]})
    (b / "config.json").write_text(json.dumps(spec))
    i = x.new_id()
    p = x.call("create", "--bundle", str(b), i)
    assert p.returncode != 0 and "/no/such/path" in p.stderr, p.stderr
    assert x.call("state", i).returncode == 1


# --- process ------------------------------------------------------------------------------------------------------------------------

@test
def user_groups_umask_cwd_env(x):
    def change(s):
        s["process"].update(user={"uid": 1000, "gid": 1000, "additionalGids": [10, 20], "umask": 0o077}, cwd="/some/where", env=["PATH=/bin", "A=b c"])
    out = x.sh("id -u; id -g; id -G; umask; pwd; echo $A", change).split("\n")
    assert out[:2] == ["1000", "1000"] and set(out[2].split()) == {"1000", "10", "20"} and out[3:6] == ["0077", "/some/where", "b c"], out


@test
def capabilities_of_five_sets(x):
    def change(s):
        s["process"]["user"] = {"uid": 1000, "gid": 1000}
        s["process"]["capabilities"] = {"bounding": ["CAP_KILL", "CAP_CHOWN"], "permitted": ["CAP_KILL"], "effective": ["CAP_KILL"], "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"]}
    status = dict(l.split(":\t") for l in x.sh("grep Cap /proc/self/status", change).splitlines())
    assert [int(status["Cap" + k], 16) for k in ("Inh", "Prm", "Eff", "Bnd", "Amb")] == [32, 32, 32, 33, 32], status


@test
def no_new_privileges_rlimits_and_oom_score(x):
    def change(s):
        s["process"].update(rlimits=[{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 100}], oomScoreAdj=500)
    out = x.sh("ulimit -Sn; ulimit -Hn; grep NoNewPrivs /proc/self/status; cat /proc/self/oom_score_adj", change).split()
    assert out == ["99", "100", "NoNewPrivs:", "1", "500"], out


@test
def exec_joins_and_gives_the_code(x):
    b, spec = x.bundle("sleep", "60")
    i, _ = x.detached(b, spec)
    assert x.call("exec", i, "hostname", check=0).stdout == "oci\n"
    assert x.call("exec", i, "sh", "-c", "exit 3").returncode == 3
    assert x.call("exec", "--cwd", "/tmp", "--env", "B=1", "--user", "1000:1000", i, "sh", "-c", "pwd; echo $B; id -u", check=0).stdout.split() == ["/tmp", "1", "1000"]
    assert len(x.call("exec", i, "ps", check=0).stdout.splitlines()) >= 2
    p = x.call("exec", i, "no-such-program")
    assert p.returncode != 0 and "no-such-program" in p.stderr
    f = x.top / "process.json"
    f.write_text(json.dumps({"args": ["sh", "-c", "echo $Z"], "env": ["PATH=/bin", "Z=zz"], "cwd": "/", "user": {"uid": 0, "gid": 0}}))
    assert x.call("exec", "--process", str(f), i, check=0).stdout == "zz\n"
    pid_file = x.top / "exec.pid"
    subprocess.run(["runc", "--root", str(x.root), "exec", "-d", "--pid-file", str(pid_file), i, "sleep", "50"], executable=x.path, check=True, timeout=20,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert pathlib.Path(f"/proc/{int(pid_file.read_text())}/root").exists()


@test
def exec_into_a_cgroup_below(x):
    if x.name == "crun" or not V1:
        raise Skip("another meaning")
    b, spec = x.bundle("sleep", "60")
    spec["linux"]["cgroupsPath"] = f"/oci-sub-{os.getpid()}-{x.name}"
    i, _ = x.detached(b, spec)
    for c in pathlib.Path("/sys/fs/cgroup").glob("*" + spec["linux"]["cgroupsPath"]):
        (c / "below").mkdir()
        if c.parent.name == "cpuset":
            for f in ("cpuset.cpus", "cpuset.mems"):
                (c / "below" / f).write_text((c / f).read_text())
    assert "/below" in x.call("exec", "--cgroup", "below", i, "grep", "memory", "/proc/self/cgroup", check=0).stdout
    assert x.call("exec", "--cgroup", "nowhere", i, "true").returncode != 0
    x.call("delete", "--force", i, check=0)
    assert not list(pathlib.Path("/sys/fs/cgroup").glob("*" + spec["linux"]["cgroupsPath"]))


def receive_terminal(path):
    s = socket.socket(socket.AF_UNIX)
    s.bind(str(path))
    s.listen()
    return s


@test
def a_terminal_goes_through_the_console_socket(x):
    path = x.top / "tty.sock"
    with contextlib.closing(receive_terminal(path)) as s:
        b, spec = x.bundle("sh", "-c", "tty; stty size; test -c /dev/console && echo console", terminal=True, consoleSize={"height": 33, "width": 77})
        (b / "config.json").write_text(json.dumps(spec))
        i = x.new_id()
        x.call("create", "--bundle", str(b), "--console-socket", str(path), i, check=0)
        c, _ = s.accept()
        _, fds, _, _ = socket.recv_fds(c, 100, 1)
        x.call("start", i, check=0)
        out = b""
        with contextlib.suppress(OSError):
            while chunk := os.read(fds[0], 1000):
                out += chunk
        assert out.replace(b"\r", b"").split() == [b"/dev/pts/0", b"33", b"77", b"console"], out


@test
def descriptors_are_kept_only_when_told(x):
    r, w = os.pipe()
    try:
        os.dup2(w, 3, inheritable=True) if w != 3 else os.set_inheritable(3, True)
        b, spec = x.bundle("sh", "-c", "ls /proc/self/fd | sort | tr '\\n' ' '")
        plain = x.run(b, spec, pass_fds=(3,)).stdout.split()
        assert set(plain) <= {"0", "1", "2", "3"} and x.run(b, {**spec, "process": {**spec["process"], "args": ["sh", "-c", "test -p /proc/self/fd/3 && echo yes || echo no"]}}, pass_fds=(3,)).stdout == "no\n", plain
        kept = x.run(b, {**spec, "process": {**spec["process"], "args": ["sh", "-c", "test -p /proc/self/fd/3 && echo yes || echo no"]}}, "--preserve-fds", "1", pass_fds=(3,)).stdout
        assert kept == "yes\n", kept
    finally:
        for fd in {r, w, 3}:
            with contextlib.suppress(OSError):
                os.close(fd)


# --- files --------------------------------------------------------------------------------------------------------------------------

@test
def mounts_options_and_read_only_root(x):
    host = x.top / "host"
    host.mkdir()
    (host / "f").write_text("text")

    def change(s):
        s["root"]["readonly"] = True
        s["mounts"] += [{"destination": "/tmp/ro", "type": "bind", "source": str(host), "options": ["rbind", "ro", "nosuid", "nodev", "noexec"]},
                        {"destination": "/tmp/file", "type": "bind", "source": str(host / "f"), "options": ["bind", "rw"]},
                        {"destination": "/tmp/t", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m", "mode=700"]}]
        s["mounts"].insert(0, {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": []})
    out = x.sh("touch /x 2>/dev/null || echo ro; touch /tmp/ro/x 2>/dev/null || echo ro2; cat /tmp/file; echo; grep ' /tmp/ro ' /proc/mounts; stat -c %a /tmp/t", change).split("\n")
    assert out[:3] == ["ro", "ro2", "text"] and all(w in out[3] for w in ("ro,", "nosuid", "nodev", "noexec")) and out[4] == "700", out


@test
def recursive_read_only_reaches_what_is_mounted_below(x):
    if x.name == "runc" and "1.1." in x.call("--version").stdout and tuple(map(int, re.findall(r"version (\d+)\.(\d+)", x.call("--version").stdout)[0])) < (1, 1):
        raise Skip("too old")
    host = x.top / "deep"
    (host / "sub").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(host / "sub")], check=True)
    try:
        out = x.sh("touch /m/sub/x 2>/dev/null || echo ro", lambda s: s["mounts"].append({"destination": "/m", "type": "bind", "source": str(host), "options": ["rbind", "rro"]}))
        assert out == "ro\n", out
    finally:
        subprocess.run(["umount", str(host / "sub")], check=True)


@test
def id_mapped_mounts(x):
    if x.name != "k8lite":
        raise Skip("peers of Debian 12 are too old")
    host = x.top / "mapped"
    host.mkdir()
    (host / "f").write_text("")
    maps = [{"containerID": 0, "hostID": 4000, "size": 10}]
    out = x.sh("stat -c '%u %g' /m/f", lambda s: s["mounts"].append({"destination": "/m", "type": "bind", "source": str(host), "options": ["bind", "idmap"], "uidMappings": maps, "gidMappings": maps}))
    assert out == "4000 4000\n", out


@test
def rootless_with_one_id(x):
    b, _ = x.bundle()
    os.chmod(x.top, 0o777)
    drop = {"user": 1000, "group": 1000, "extra_groups": [], "env": {"XDG_RUNTIME_DIR": str(x.top)}}
    os.chmod(b, 0o777)
    p = subprocess.run(["runc", "spec", "--rootless"], executable=x.path, cwd=b, capture_output=True, text=True, **drop)
    assert p.returncode == 0, p.stderr
    spec = json.loads((b / "config.json").read_text())
    spec["process"].update(terminal=False, args=["sh", "-c", "id -u; cat /proc/self/uid_map; touch /dev/shm/x && echo ok"])
    spec["ociVersion"] = "1.0.2"
    (b / "config.json").write_text(json.dumps(spec))
    p = subprocess.run(["runc", "--root", str(x.top / "rootless"), "run", "rl"], executable=x.path, cwd=b, capture_output=True, text=True, stdin=subprocess.DEVNULL, **drop)
    assert p.returncode == 0 and p.stdout.split() == ["0", "0", "1000", "1", "ok"], p


@test
def tmpfs_copies_up(x):
    b, spec = x.bundle("sh", "-c", "cat /etc/passwd | head -1; touch /etc/new && echo ok")
    spec["mounts"].append({"destination": "/etc", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]})
    out = x.run(b, spec).stdout.split("\n")
    assert out[:2] == ["root:x:0:0:root:/root:/bin/sh", "ok"] and not (b / "rootfs/etc/new").exists(), out


@test
def masked_and_read_only_paths(x):
    out = x.sh("wc -c < /proc/keys; ls /sys/firmware | wc -l; echo 1 > /proc/sys/vm/drop_caches 2>/dev/null || echo ro; stat -c %t:%T /proc/keys").split()
    assert out == ["0", "0", "ro", "1:3"], out


@test
def devices_default_and_own(x):
    def change(s):
        s["linux"]["devices"] = [{"path": "/dev/mine", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 3, "gid": 4}]
        s["process"]["capabilities"]["bounding"] += ["CAP_MKNOD"]
        for k in ("effective", "permitted"):
            s["process"]["capabilities"][k] += ["CAP_MKNOD"]
    out = x.sh("stat -c '%t:%T %a %u %g' /dev/mine; stat -c %t:%T /dev/null /dev/zero /dev/full /dev/tty; readlink /dev/ptmx; readlink /dev/fd; head -c 4 /dev/zero | wc -c; "
               "mknod /dev/loop9 b 7 9 && (head -c 1 /dev/loop9 2>&1 | grep -c 'not permitted')", change).split("\n")
    assert out[0] == "1:5 640 3 4" and out[1:5] == ["1:3", "1:5", "1:7", "5:0"] and out[5:7] == ["pts/ptmx", "/proc/self/fd"] and out[7] == "4" and out[8] == "1", out


@test
def rootfs_propagation_does_not_reach_the_host(x):
    before = pathlib.Path("/proc/self/mountinfo").read_text()
    b, spec = x.bundle("sh", "-c", "mount -t tmpfs tmpfs /tmp && echo mounted")
    assert x.run(b, spec).stdout == "mounted\n"
    assert pathlib.Path("/proc/self/mountinfo").read_text() == before


# --- namespaces ---------------------------------------------------------------------------------------------------------------------

@test
def namespaces_are_new_or_joined(x):
    b, spec = x.bundle("sleep", "60")
    i, _ = x.detached(b, spec)
    pid = x.state(i)["pid"]
    for kind in ("pid", "net", "ipc", "uts", "mnt", "cgroup"):
        assert os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}"), kind
    b2, spec2 = x.bundle("sh", "-c", "for n in net pid ipc; do readlink /proc/self/ns/$n; done; ps | grep -c sleep")
    spec2["linux"]["namespaces"] = [{"type": "mount"}, {"type": "uts"}] + [{"type": t, "path": f"/proc/{pid}/ns/{f}"} for t, f in (("network", "net"), ("pid", "pid"), ("ipc", "ipc"))]
    out = x.run(b2, spec2).stdout.split()
    assert out[:3] == [os.readlink(f"/proc/{pid}/ns/{k}") for k in ("net", "pid", "ipc")] and int(out[3]) >= 1, out


@test
def user_namespace_with_id_maps(x):
    def change(s):
        s["linux"]["namespaces"].append({"type": "user"})
        s["linux"]["uidMappings"] = s["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        del s["linux"]["resources"]["devices"]
    out = x.sh("cat /proc/self/uid_map; id -u; test -c /dev/null && echo dev; touch /root-file 2>/dev/null || echo denied", change).split()
    assert out == ["0", "100000", "65536", "0", "dev", "denied"], out


@test
def time_namespace_with_offsets(x):
    if x.name == "runc" and "1.1." in x.call("--version").stdout:
        raise Skip("runc 1.1 has no time namespaces")

    def change(s):
        s["linux"]["namespaces"].append({"type": "time"})
        s["linux"]["timeOffsets"] = {"boottime": {"secs": 1000000, "nanosecs": 0}}
    assert float(x.sh("cat /proc/uptime", change).split()[0]) > 1000000


@test
def sysctls_only_of_own_namespaces(x):
    assert x.sh("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni", lambda s: s["linux"].update(sysctl={"net.ipv4.ip_forward": "1", "kernel.shmmni": "999"})).split() == ["1", "999"]
    b, spec = x.bundle()
    spec["linux"]["sysctl"] = {"vm.swappiness": "1"}
    assert x.run(b, spec, check=None).returncode != 0


@test
def loopback_is_up(x):
    assert "UP" in x.sh("ip link show lo")


# --- cgroups ------------------------------------------------------------------------------------------------------------------------

@test
def limits_reach_the_cgroup_and_update_changes_them(x):
    b, spec = x.bundle("sleep", "60")
    path = f"/oci-test/{os.getpid()}-{x.name}"
    spec["linux"]["cgroupsPath"] = path
    spec["linux"]["resources"].update(memory={"limit": 64 << 20}, cpu={"shares": 512, "quota": 20000, "period": 100000}, pids={"limit": 40})
    i, _ = x.detached(b, spec)
    root = "/sys/fs/cgroup/"
    files = ([("memory", "memory.limit_in_bytes"), ("cpu", "cpu.shares"), ("cpu", "cpu.cfs_quota_us"), ("pids", "pids.max")] if V1
             else [("", "memory.max"), ("", "cpu.weight"), ("", "cpu.max"), ("", "pids.max")])
    read = lambda: [pathlib.Path(root + c + path + "/" + f).read_text().strip() for c, f in files]
    assert read() == ([str(64 << 20), "512", "20000", "40"] if V1 else [str(64 << 20), "20", "20000 100000", "40"]), read()
    x.call("update", "--memory", "33554432", "--pids-limit", "50", i, check=0)
    assert read()[0] == str(32 << 20) and read()[3] == "50", read()
    stats = json.loads(x.call("events", "--stats", i, check=0).stdout)
    assert stats["type"] == "stats" and stats["id"] == i and stats["data"]["pids"]["current"] == 1 and stats["data"]["memory"]["usage"]["limit"] == 32 << 20, stats
    x.call("delete", "--force", i, check=0)
    assert not pathlib.Path(root + files[0][0] + path).exists()
    for f in pathlib.Path(root).glob("*/oci-test"):
        with contextlib.suppress(OSError):
            f.rmdir()


# --- hooks --------------------------------------------------------------------------------------------------------------------------

@test
def hooks_in_order_with_the_state(x):
    log = x.top / f"hooks-{x.name}"
    b, spec = x.bundle("true")
    hook = lambda kind: [{"path": "/bin/sh", "args": ["sh", "-c", f"echo {kind} $V $(cat) >> {log}"], "env": ["V=1", "PATH=/bin:/usr/bin"]}]
    spec["hooks"] = {k: hook(k) for k in ("prestart", "createRuntime", "createContainer", "poststart", "poststop")}
    spec["hooks"]["startContainer"] = [{"path": "/bin/sh", "args": ["sh", "-c", "echo hook $(cat) > /tmp/hook"], "env": ["PATH=/bin"]}]
    x.run(b, spec)
    inside = (b / "rootfs/tmp/hook").read_text()
    lines = log.read_text().splitlines()
    assert [l.split()[0] for l in lines] == ["prestart", "createRuntime", "createContainer", "poststart", "poststop"], lines
    states = [json.loads(l.split(" ", 2)[2]) for l in lines]
    assert states[0]["bundle"] == str(b) and states[0]["pid"] > 1 and states[4]["status"] == "stopped" and "created" in inside, (states, inside)


@test
def a_failing_hook_or_a_late_one_stops_the_start(x):
    for hook in ({"path": "/bin/sh", "args": ["sh", "-c", "exit 5"]}, {"path": "/bin/sh", "args": ["sh", "-c", "sleep 5"], "timeout": 1}):
        b, spec = x.bundle("echo", "ran")
        spec["hooks"] = {"createRuntime": [hook]}
        p = x.run(b, spec, check=None)
        assert p.returncode != 0 and "ran" not in p.stdout, p


# --- seccomp ------------------------------------------------------------------------------------------------------------------------

@test
def seccomp_errno_kill_and_arguments(x):
    def profile(*rules, default="SCMP_ACT_ALLOW"):
        return lambda s: s["linux"].update(seccomp={"defaultAction": default, "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], "syscalls": list(rules)})
    assert "denied" in x.sh("mkdir /tmp/a 2>/dev/null || echo denied", profile({"names": ["mkdir", "mkdirat", "no_such_call"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}))
    both = {"names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}]}
    assert x.sh("kill -0 $$ && echo ok; kill -USR1 $$ 2>/dev/null || echo no", profile(both)).split() == ["ok", "no"]
    b, spec = x.bundle("sh", "-c", "mkdir /tmp/a; echo after")
    profile({"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS"})(spec)
    assert x.run(b, spec).stdout == "after\n" and not (b / "rootfs/tmp/a").exists()
    masked = {"names": ["chmod", "fchmodat"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 1, "value": 0o1, "valueTwo": 0o1, "op": "SCMP_CMP_MASKED_EQ"}]}
    assert x.sh("touch /tmp/f; chmod 600 /tmp/f && echo ok; chmod 601 /tmp/f 2>/dev/null || echo no", profile(masked)).split() == ["ok", "no"]


@test
def seccomp_without_no_new_privileges(x):
    def change(s):
        s["process"]["noNewPrivileges"] = False
        s["process"]["user"] = {"uid": 1000, "gid": 1000}
        s["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}
    assert "Seccomp:\t2" in x.sh("grep Seccomp: /proc/self/status", change)


@test
def seccomp_listener_reaches_its_agent(x):
    path = x.top / "agent.sock"
    with contextlib.closing(receive_terminal(path)) as s:
        b, spec = x.bundle("sleep", "60")
        spec["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": str(path), "listenerMetadata": "meta", "syscalls": [{"names": ["getcwd"], "action": "SCMP_ACT_NOTIFY"}]}
        i, _ = x.detached(b, spec)
        c, _ = s.accept()
        text, fds, _, _ = socket.recv_fds(c, 1 << 16, 3)
        said = json.loads(text)
        assert fds and said["metadata"] == "meta" and said["pid"] == x.state(i)["pid"] and said["fds"] == ["seccompFd"] and said["state"]["id"] == i, said
        for fd in fds:
            os.close(fd)


# --- a container cannot get out -----------------------------------------------------------------------------------------------------

@test
def links_in_the_image_do_not_lead_mounts_out(x):  # CVE-2021-30465, CVE-2019-19921
    outside = x.top / "outside"
    outside.mkdir()
    b, spec = x.bundle("true")
    (b / "rootfs/link").symlink_to(outside)
    (b / "rootfs/up").symlink_to("../../../../../../../.." + str(outside))
    spec["mounts"] += [{"destination": "/link/made", "type": "tmpfs", "source": "tmpfs"}, {"destination": "/up/too", "type": "tmpfs", "source": "tmpfs"}]
    x.run(b, spec, check=None)
    assert not list(outside.iterdir())
    b, spec = x.bundle("true")
    (b / "rootfs/proc").rmdir()
    (b / "rootfs/proc").symlink_to("/tmp")
    assert x.run(b, spec, check=None).returncode != 0


@test
def a_working_folder_on_a_leaked_descriptor_is_refused(x):  # CVE-2024-21626
    fd = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        for n in range(3, 12):
            b, spec = x.bundle("sh", "-c", "ls ./etc/../../../../../../../proc/1/comm >/dev/null && cat etc/hostname", cwd=f"/proc/self/fd/{n}")
            p = x.run(b, spec, check=None, pass_fds=(fd,))
            host = pathlib.Path("/etc/hostname").read_text().strip() if os.path.exists("/etc/hostname") else "no-such-name"
            assert p.returncode != 0 and host not in p.stdout, (n, p)
    finally:
        os.close(fd)


@test
def the_runtime_cannot_be_overwritten_from_inside(x):  # CVE-2019-5736
    before = pathlib.Path(x.path).read_bytes()[:64], os.stat(x.path).st_mtime_ns
    b, spec = x.bundle("sleep", "60")
    i, _ = x.detached(b, spec)
    x.call("exec", i, "sh", "-c", "for p in /proc/[0-9]*; do echo '#!/bin/sh' > $p/exe; done 2>/dev/null; true")
    b, spec = x.bundle("/proc/self/exe", "--version")
    x.run(b, spec, check=None)
    assert (pathlib.Path(x.path).read_bytes()[:64], os.stat(x.path).st_mtime_ns) == before


@test
def masks_are_really_the_null_device(x):  # CVE-2025-31133
    if x.name != "k8lite":
        raise Skip("peers of Debian 12 are from before that fix")
    b, spec = x.bundle("sh", "-c", "stat -c %t:%T /proc/keys; wc -c < /proc/keys")
    spec["mounts"] = [m for m in spec["mounts"] if m["destination"] != "/dev"]
    (b / "rootfs/dev/null").symlink_to("/etc/passwd")
    out = x.run(b, spec, check=None)
    assert out.returncode != 0 or out.stdout.split() == ["1:3", "0"], out


@test
def a_console_is_not_put_upon_a_link(x):  # CVE-2025-52565
    if x.name != "k8lite":
        raise Skip("peers of Debian 12 are from before that fix")
    path = x.top / "tty.sock"
    with contextlib.closing(receive_terminal(path)):
        b, spec = x.bundle("true", terminal=True)
        spec["mounts"] = [m for m in spec["mounts"] if m["destination"] != "/dev"]
        (b / "rootfs/dev/console").symlink_to("/proc/sysrq-trigger")
        (b / "config.json").write_text(json.dumps(spec))
        p = x.call("create", "--bundle", str(b), "--console-socket", str(path), x.new_id())
        assert p.returncode != 0 and "console" in p.stderr, p


@test
def a_half_made_container_can_be_deleted(x):
    if x.name != "k8lite":
        raise Skip("its own state folder")
    b, spec = x.bundle("sleep", "60")
    spec["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "sleep 600"]}]}
    (b / "config.json").write_text(json.dumps(spec))
    i = x.new_id()
    p = subprocess.Popen(["runc", "--root", str(x.root), "create", "--bundle", str(b), i], executable=x.path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    children = lambda: pathlib.Path(f"/proc/{p.pid}/task/{p.pid}/children").read_text().split()
    until(lambda: len(children()) == 2, "the hook")
    hook = int(children()[1])
    p.kill()
    p.wait()
    os.kill(hook, signal.SIGKILL)
    x.call("delete", i, check=0)
    assert x.call("state", i).returncode == 1
    left = list(pathlib.Path("/sys/fs/cgroup").glob(f"**/{i}"))
    assert not left, left


@test
def exec_leaks_nothing_into_the_container(x):
    b, spec = x.bundle("sleep", "60")
    i, _ = x.detached(b, spec)
    pid = x.state(i)["pid"]
    for fd in os.listdir(f"/proc/{pid}/fd"):
        assert int(fd) <= 2, os.readlink(f"/proc/{pid}/fd/{fd}")
    out = x.call("exec", i, "sh", "-c", "ls -l /proc/self/fd", check=0).stdout
    assert not re.search(r" (?:[4-9]|\d\d) -> ", out), out


# --- words --------------------------------------------------------------------------------------------------------------------------

@test
def spec_writes_a_bundle_that_runs(x):
    b, _ = x.bundle()
    x.call("spec", check=0, cwd=b)
    spec = json.loads((b / "config.json").read_text())
    assert spec["process"]["args"] == ["sh"] and spec["root"]["readonly"] is True
    spec["process"].update(terminal=False, args=["echo", "from spec"])
    assert x.run(b, spec).stdout == "from spec\n"
    assert x.call("spec", cwd=b).returncode != 0


@test
def a_hook_without_variables_has_the_callers(x):
    b, spec = x.bundle("true")
    seen = x.top / "seen"
    spec["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", f"echo $OF_THE_CALLER > {seen}"]}]}
    x.run(b, spec, env={**os.environ, "OF_THE_CALLER": "yes"})
    assert seen.read_text() == "yes\n", seen.read_text()


@test
def hooks_of_the_container_begin_in_its_root(x):
    b, spec = x.bundle("cat", "/tmp/made")
    spec["hooks"] = {"createContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "echo here > ./tmp/made"], "env": ["PATH=/bin"]}]}
    if x.name == "crun":
        raise Skip("it begins elsewhere")
    assert x.run(b, spec).stdout == "here\n"


@test
def the_filter_holds_for_the_hooks_of_the_start(x):
    b, spec = x.bundle("true")
    spec["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL"}]}
    spec["hooks"] = {"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "mkdir /tmp/a"], "env": ["PATH=/bin"]}]}
    if x.name == "crun":
        raise Skip("its hooks come before the filter")
    p = x.run(b, spec, check=1)
    assert "bad system call" in p.stderr.lower(), p.stderr


@test
def a_working_folder_is_made_and_its_owner_alone_may_enter(x):
    def change(spec):
        spec["root"]["readonly"] = True
        spec["process"]["cwd"] = "/not/yet"
    assert x.sh("pwd", change) == "/not/yet\n"
    b, spec = x.bundle("sleep", "60", cwd="/home")
    (b / "rootfs/home").mkdir(mode=0o700)
    os.chown(b / "rootfs/home", 42, 42)
    spec["process"]["user"]["uid"] = 42
    i, _ = x.detached(b, spec)
    if x.name != "crun":
        x.call("exec", "--user", "0", i, "true", check=0)


@test
def the_name_of_the_host_is_no_sysctl(x):
    if x.name == "crun":
        raise Skip("it allows that")
    b, spec = x.bundle("true")
    spec["linux"]["sysctl"] = {"kernel.hostname": "other"}
    assert "kernel.hostname" in x.run(b, spec, check=1).stderr


@test
def debug_lines_go_to_the_log(x):
    b, spec = x.bundle("sleep", "60")
    log = x.top / "debug.log"
    (b / "config.json").write_text(json.dumps(spec))
    if x.name == "crun":
        raise Skip("it says other things")
    i = x.new_id()
    p = subprocess.run(["runc", "--root", str(x.root), "--debug", "--log", str(log), "run", "-d", "--bundle", str(b), i], executable=x.path,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30)
    assert p.returncode == 0 and "level=debug" in log.read_text() and "init: closing the pipe" in log.read_text(), log.read_text()
    assert not (b / "rootfs" / str(log)[1:]).exists()  # not a file of that name inside of the container
    x.call("--debug", "exec", i, "true", check=0)


@test
def a_cgroup_with_others_in_it_is_warned_of(x):
    if x.name == "crun":
        raise Skip("it does not")
    b, spec = x.bundle("sleep", "60")
    spec["linux"]["cgroupsPath"] = f"/oci-shared-{os.getpid()}"
    x.detached(b, spec)
    _, out = x.detached(b, spec)
    assert "cgroup is not empty" in out.read_text(), out.read_text()


@test
def exec_joins_only_sub_cgroups_that_are_there(x):
    if x.name == "crun":
        raise Skip("its flag means other things")
    b, spec = x.bundle("sleep", "60")
    i, _ = x.detached(b, spec)
    for where, said in (("..", "is not a sub cgroup path"), ("none", "/none/cgroup.procs: no such file"), *([("what:/", "unknown controller")] if V1 else [])):
        p = x.call("exec", "--cgroup", where, i, "true", check=255)
        assert said in p.stderr, (where, p.stderr)


@test
def exec_sets_the_size_of_its_terminal(x):
    b, spec = x.bundle("sleep", "60")
    i, _ = x.detached(b, spec)
    process = x.top / "process.json"
    process.write_text(json.dumps({"terminal": True, "consoleSize": {"height": 11, "width": 99}, "cwd": "/", "args": ["sh", "-c", "stty size > /tmp/size"], "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}}))
    if x.name == "crun":
        raise Skip("it takes the caller's")
    x.call("exec", "--process", str(process), i, check=0)
    assert (b / "rootfs/tmp/size").read_text() == "11 99\n", (b / "rootfs/tmp/size").read_text()


@test
def a_shorter_period_fits_below_a_parents_quota(x):
    if not V1:
        raise Skip("both are one file in version 2")
    parent = pathlib.Path(f"/sys/fs/cgroup/cpu/oci-parent-{os.getpid()}")
    parent.mkdir(exist_ok=True)
    try:
        (parent / "cpu.cfs_quota_us").write_text("50000")
        b, spec = x.bundle("sleep", "60")
        spec["linux"]["cgroupsPath"] = f"/{parent.name}/child"
        spec["linux"]["resources"]["cpu"] = {"quota": 30000, "period": 100000}
        i, _ = x.detached(b, spec)
        x.call("update", "--cpu-period", "10000", "--cpu-quota", "3000", i, check=0)
        assert (parent / "child/cpu.cfs_quota_us").read_text() == "3000\n"
        x.call("delete", "--force", i)
    finally:
        for d in [f / c for f in pathlib.Path("/sys/fs/cgroup").glob(f"*/{parent.name}") for c in ("child", "")]:
            with contextlib.suppress(OSError):
                d.rmdir()


@test
def supplementary_groups_are_kept_when_the_annotation_says_so(x):
    if x.name == "runc":
        raise Skip("an annotation of crun's")
    b, spec = x.bundle("id", "-G")
    spec["annotations"] = {"run.oci.keep_original_groups": "1"}
    assert "4242" in x.run(b, spec, preexec_fn=lambda: os.setgroups([4242])).stdout


@test
def the_last_value_of_a_variable_counts(x):
    b, spec = x.bundle("sleep", "60", env=["PATH=/bin", "A=1", "B=2", "A=3"])
    i, _ = x.detached(b, spec)
    out = x.call("exec", "--env", "B=4", "--env", "C=5", i, "env", check=0).stdout.split()
    assert [v for v in out if v[0] in "ABC"] == ["A=3", "B=4", "C=5"], out


@test
def a_frozen_cgroup_takes_no_container(x):
    if not V1 or x.name == "crun":
        raise Skip("it hangs" if V1 else "of the first version here")
    folder = pathlib.Path(f"/sys/fs/cgroup/freezer/oci-frozen-{os.getpid()}")
    folder.mkdir(exist_ok=True)
    try:
        (folder / "freezer.state").write_text("FROZEN")
        b, spec = x.bundle("true")
        spec["linux"]["cgroupsPath"] = f"/{folder.name}"
        assert "frozen" in x.run(b, spec, check=1).stderr
    finally:
        for f in pathlib.Path("/sys/fs/cgroup").glob(f"*/{folder.name}"):
            with contextlib.suppress(OSError):
                f.rmdir()


@test
def a_listener_of_write_is_refused_and_exec_sends_one(x):
    if x.name == "crun":
        raise Skip("it accepts that, and waits for ever")
    path = x.top / "agent"
    agent = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    agent.bind(str(path))
    agent.listen()
    agent.settimeout(20)
    b, spec = x.bundle("sleep", "60")
    spec["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": str(path), "syscalls": [{"names": ["write"], "action": "SCMP_ACT_NOTIFY"}]}
    assert "write" in x.run(b, spec, check=1).stderr
    spec["linux"]["seccomp"]["syscalls"][0]["names"] = ["mkdir"]
    i, _ = x.detached(b, spec)
    x.call("exec", i, "true", check=0)
    seen = []
    for _ in range(2):
        c, _ = agent.accept()
        data, fds, _, _ = socket.recv_fds(c, 16384, 1)
        seen.append(json.loads(data))
        [os.close(f) for f in fds]
        c.close()
        assert fds
    assert seen[0]["pid"] == seen[1]["state"]["pid"] != seen[1]["pid"] and seen[1]["state"]["status"] == "running", seen


@test
def a_filter_without_getcwd_still_starts(x):
    b, spec = x.bundle("echo", "yes", noNewPrivileges=False)
    spec["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["getcwd"], "action": "SCMP_ACT_ERRNO"}]}
    if x.name == "runc":
        raise Skip("it looks where it is afterwards")
    assert x.run(b, spec).stdout == "yes\n"


def unit_has(unit, name):
    return subprocess.run(["systemctl", "show", "--value", "-p", name, unit], capture_output=True, text=True).stdout.strip()


@test
def systemd_makes_the_scope_and_knows_its_limits(x):
    if not os.path.exists("/run/systemd/private"):
        raise Skip("no systemd here")
    x.flags = ["--systemd-cgroup"]
    b, spec = x.bundle("sleep", "60")
    name = f"{x.name}{os.getpid()}"
    spec["linux"]["cgroupsPath"] = f"system-ocisuite.slice:oci:{name}"
    spec["linux"]["resources"] |= {"memory": {"limit": 64 << 20}, "pids": {"limit": 40}, "cpu": {"quota": 30000, "period": 100000, "shares": 512}}
    spec["annotations"] = {"org.systemd.property.TimeoutStopUSec": "uint64 7000000", "org.systemd.property.CollectMode": "'inactive-or-failed'"}
    i, _ = x.detached(b, spec)
    unit, where = f"oci-{name}.scope", f"/system.slice/system-ocisuite.slice/oci-{name}.scope"
    lines = pathlib.Path(f"/proc/{x.state(i)['pid']}/cgroup").read_text().split()
    assert any(l.split(":", 2)[2].startswith(where) for l in lines), lines
    limit = "MemoryLimit" if V1 else "MemoryMax"
    got = {p: unit_has(unit, p) for p in ("ActiveState", "Slice", "Delegate", "TasksMax", "CPUQuotaPerSecUSec", "TimeoutStopUSec", limit)}
    assert got == {"ActiveState": "active", "Slice": "system-ocisuite.slice", "Delegate": "yes", "TasksMax": "40", "CPUQuotaPerSecUSec": "300ms", "TimeoutStopUSec": "7s", limit: str(64 << 20)}, got
    x.call("update", "--memory", "80m", "--pids-limit", "50", i, check=0)
    assert (unit_has(unit, limit), unit_has(unit, "TasksMax")) == (str(80 << 20), "50")
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    x.call("exec", i, "sh", "-c", "echo > /dev/null", check=0)  # the manager took no device away
    x.call("delete", "--force", i, check=0)
    assert unit_has(unit, "ActiveState") == "inactive" and not list(pathlib.Path("/sys/fs/cgroup").glob(f"**/oci-{name}.scope"))


@test
def systemd_refuses_a_path_that_names_no_unit(x):
    if x.name == "crun":
        raise Skip("it takes any")
    x.flags = ["--systemd-cgroup"]
    b, spec = x.bundle("true")
    spec["linux"]["cgroupsPath"] = "/just/a/path"
    assert "slice:prefix:name" in x.run(b, spec, check=1).stderr


@test
def version_2_limits_are_in_the_files(x):
    if V1:
        raise Skip("first version here")
    b, spec = x.bundle("sleep", "60")
    spec["linux"]["cgroupsPath"] = f"/oci-files-{os.getpid()}-{x.name}"
    spec["linux"]["resources"] |= {
        "memory": {"limit": 64 << 20, "swap": 96 << 20, "reservation": 32 << 20}, "pids": {"limit": 40},
        "cpu": {"quota": 30000, "period": 100000, "shares": 1024, "cpus": "0"}, "blockIO": {"weight": 500}, "unified": {"memory.high": "60000000"}}
    i, _ = x.detached(b, spec)
    top = pathlib.Path("/sys/fs/cgroup") / spec["linux"]["cgroupsPath"][1:]
    wanted = {"memory.max": str(64 << 20), "memory.low": str(32 << 20), "pids.max": "40", "cpu.max": "30000 100000", "cpuset.cpus": "0", "memory.high": str(60000000 // 4096 * 4096)}
    if (top / "memory.swap.max").exists():
        wanted["memory.swap.max"] = str(32 << 20)
    got = {f: (top / f).read_text().strip() for f in wanted}
    assert got == wanted, got
    if x.name != "crun":
        stats = json.loads(x.call("events", "--stats", i, check=0).stdout)["data"]
        assert stats["pids"]["current"] == 1 and stats["memory"]["usage"]["limit"] == 64 << 20 and stats["cpu"]["usage"]["total"] > 0, stats
    x.call("pause", i, check=0)
    assert "frozen 1" in (top / "cgroup.events").read_text() and x.state(i)["status"] == "paused"
    x.call("resume", i, check=0)
    x.call("update", "--memory", "70m", "--memory-swap", "70m", "--cpu-quota", "20000", i, check=0)
    assert (top / "memory.max").read_text() == f"{70 << 20}\n" and (top / "cpu.max").read_text() == "20000 100000\n"
    x.call("kill", i, "KILL", check=0)
    x.wait(i, "stopped")
    x.call("delete", i, check=0)
    assert not top.exists()


@test
def a_manager_hears_that_the_container_is_ready(x):
    if x.name == "crun":
        raise Skip("it keeps its socket elsewhere")
    path = str(x.top / "manager")
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(path)
    manager.settimeout(20)
    b, spec = x.bundle("sh", "-c", "echo $NOTIFY_SOCKET > /tmp/where; sleep 60")
    (b / "config.json").write_text(json.dumps(spec))
    i, env = x.new_id(), {**os.environ, "NOTIFY_SOCKET": path}
    with open(os.devnull, "w") as null:
        subprocess.run(["runc", "--root", str(x.root), "create", "--bundle", str(b), i], executable=x.path, env=env, check=True, stdin=subprocess.DEVNULL, stdout=null, stderr=null, timeout=30)
    start = subprocess.Popen(["runc", "--root", str(x.root), "start", i], executable=x.path, env=env)
    until(lambda: (b / "rootfs/tmp/where").exists() and (b / "rootfs/tmp/where").read_text(), "the program runs")
    inside = (b / "rootfs/tmp/where").read_text().strip()
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender.sendto(b"STATUS=soon", f"/proc/{x.state(i)['pid']}/root{inside}")
    sender.sendto(b"READY=1", f"/proc/{x.state(i)['pid']}/root{inside}")
    assert start.wait(20) == 0
    said = manager.recv(4096).decode() + (manager.recv(4096).decode() if x.name == "runc" else "")
    assert "READY=1" in said and f"MAINPID={x.state(i)['pid']}" in said and "STATUS" not in said, said


@test
def features_are_told(x):
    p = x.call("features")
    if p.returncode != 0 and x.name != "k8lite":
        raise Skip("an older peer")
    f = json.loads(p.stdout)
    assert "createRuntime" in f["hooks"] and "SCMP_ACT_ERRNO" in f["linux"]["seccomp"]["actions"] and "rbind" in f["mountOptions"], f


def main():
    words, only = [], None
    it = iter(sys.argv[1:])
    for a in it:
        if a == "-k":
            only = next(it)
        else:
            words.append(a)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    if os.geteuid() != 0 or not shutil.which("busybox"):
        print("skipped: needs root and busybox")
        return 0
    runtimes = []
    for w in words:
        name, _, path = w.rpartition("=")
        path = shutil.which(path) or path
        if os.access(path, os.X_OK):
            runtimes.append((name or os.path.basename(path), os.path.abspath(path)))
        else:
            print(f"skipped: {w} is not installed")
    failures, started = 0, time.monotonic()
    for name, path in runtimes:
        if name == "crun" and os.path.ismount("/sys/fs/cgroup/unified"):  # it refuses a hybrid host: for it, there is no second version
            sys.stdout.flush()
            again = [sys.executable, __file__, f"{name}={path}", *(["-k", only] if only else [])]
            subprocess.run(["unshare", "-m", "sh", "-c", 'umount /sys/fs/cgroup/unified && exec "$@"', "sh", *again])
            continue
        passed, skipped = 0, []
        for t in tests:
            if only and only not in t.__name__:
                continue
            x = Box(name, path)
            try:
                t(x)
                passed += 1
            except Skip as why:
                skipped.append(f"{t.__name__} ({why})")
            except Exception as e:
                own = name == "k8lite"
                failures += own
                print(f"{'FAILED' if own else 'peer differs'}: {name}: {t.__name__}: {type(e).__name__}: {str(e)[:900]}")
            finally:
                x.end()
        print(f"{name}: {passed} of {passed + len(skipped) if only else len(tests)} passed, {len(skipped)} skipped")
        if name == "k8lite" and skipped:
            print("  skipped: " + ", ".join(skipped))
    print(f"oci: {time.monotonic() - started:.0f} s")
    return 1 if failures else 0


sys.exit(main())
