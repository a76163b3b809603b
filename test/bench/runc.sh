#!/bin/sh
# usage: test/bench/runc.sh K8LITE [ROUNDS]: `run` of busybox true by k8lite, crun and runc in turns: wall time and CPU (of the call and all its
# children), and the most memory one process of it held. A peer that is not installed is left out. Needs root.
set -eu
k8lite=$(realpath "$1")
exec python3 - "$k8lite" "${2:-40}" <<'PY'
import json, os, pathlib, resource, shutil, statistics, subprocess, sys, tempfile, time

top = pathlib.Path(tempfile.mkdtemp(prefix="runc-bench-"))
rounds = int(sys.argv[2])
runtimes = [("k8lite", sys.argv[1])] + [(n, shutil.which(n)) for n in ("crun", "runc") if shutil.which(n)]
(top / "b/rootfs/bin").mkdir(parents=True)
shutil.copy(shutil.which("busybox"), top / "b/rootfs/bin/true")
subprocess.run(["runc", "spec", "-b", str(top / "b")], executable=sys.argv[1], check=True)
spec = json.loads((top / "b/config.json").read_text())
spec["ociVersion"] = "1.0.2"
spec["process"].update(args=["/bin/true"], terminal=False)
(top / "b/config.json").write_text(json.dumps(spec))
hidden = ["unshare", "-m", "sh", "-c", "umount /sys/fs/cgroup/unified 2>/dev/null; exec \"$@\"", "sh"]  # crun refuses a hybrid host

WORKER = """
import os, resource, subprocess, sys, time
name, path, top = sys.argv[1:4]
for line in sys.stdin:
    a = resource.getrusage(resource.RUSAGE_CHILDREN); t = time.perf_counter()
    pid = os.posix_spawn(path, ["runc", "--root", f"{top}/{name}", "run", "-b", f"{top}/b", f"bench-{name}"], os.environ)
    _, status = os.waitpid(pid, 0)
    t = time.perf_counter() - t; b = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(status, t * 1e3, (b.ru_utime + b.ru_stime - a.ru_utime - a.ru_stime) * 1e3, flush=True)
"""
workers = {n: subprocess.Popen([*hidden, sys.executable, "-c", WORKER, n, p, str(top)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for n, p in runtimes}
rows = {n: [] for n, _ in runtimes}
for i in range(rounds + 2):
    for n, w in workers.items():
        w.stdin.write("go\n"); w.stdin.flush()
        status, ms, cpu = w.stdout.readline().split()
        if status != "0":
            sys.exit(f"{n}: status {status}")
        if i >= 2:
            rows[n].append((float(ms), float(cpu)))
def most_memory(name, path):
    # From a small parent: a process's first figure is that of who made it.
    out = subprocess.run([*hidden, "env", "time", "-f", "%M", "sh", "-c", f'PATH={top}/bin-{name} runc --root {top}/{name} run -b {top}/b bench-{name}'], capture_output=True, text=True)
    return out.stderr.split()[-1] if out.returncode == 0 else "?"


for n, p in runtimes:
    (top / f"bin-{n}").mkdir()
    os.symlink(p, top / f"bin-{n}/runc")
print(f"{'':8} {'min ms':>8} {'median':>8} {'cpu min':>8} {'median':>8} {'max RSS kB':>11}")
for n, r in rows.items():
    print(f"{n:8} {min(x[0] for x in r):8.1f} {statistics.median(x[0] for x in r):8.1f} {min(x[1] for x in r):8.1f} {statistics.median(x[1] for x in r):8.1f} {most_memory(n, dict(runtimes)[n]):>11}")
for w in workers.values():
    w.stdin.close(); w.wait()
shutil.rmtree(top)
PY
