# What test/bench/node.sh measures; runs as a scenario of test/cluster.
host_up n1 10
choose_kubectl get
busybox_image n1
server_up n1
on n1 python3 - "$KUBECONFIG" "${server_pid[n1]}" "${1:-110}" "${2:-60}" <<'PY'
import base64, http.client, json, os, re, ssl, statistics, subprocess, sys, tempfile, threading, time

kubeconfig, pods, idle = open(sys.argv[1]).read(), int(sys.argv[3]), int(sys.argv[4])
def pem(key):
    f = tempfile.NamedTemporaryFile(delete=False, suffix=".pem")
    f.write(base64.b64decode(re.search(key + r": *\"?([A-Za-z0-9+/=]+)", kubeconfig).group(1)))
    f.close()
    return f.name
context = ssl.create_default_context(cafile=pem("certificate-authority-data"))
context.load_cert_chain(pem("client-certificate-data"), pem("client-key-data"))
context.check_hostname = False
def connection():
    return http.client.HTTPSConnection("127.0.0.1", 6443, context=context)
main = connection()
def ask(method, path, body=None):
    main.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
    r = main.getresponse()
    data = r.read()
    if r.status >= 300: sys.exit(f"{method} {path}: {data[:300]}")
    return json.loads(data)

BASE = "/api/v1/namespaces/default/pods"
running, changed = {}, threading.Condition()
def watch():
    c = connection()
    c.request("GET", BASE + "?watch=1&resourceVersion=" + ask("GET", BASE)["metadata"]["resourceVersion"])
    for line in c.getresponse():
        e = json.loads(line)
        o = e["object"]
        with changed:
            if e["type"] == "DELETED": running.pop(o["metadata"]["name"], None)
            elif o["status"].get("phase") == "Running": running.setdefault(o["metadata"]["name"], time.perf_counter())
            changed.notify_all()
threading.Thread(target=watch, daemon=True).start()
time.sleep(0.5)
def create(name):
    ask("POST", BASE, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [
        {"name": "c", "image": "busybox:e2e", "command": ["sleep", "100000"]}]}})
    return time.perf_counter()
def wait(names, limit=300):
    with changed:
        if not changed.wait_for(lambda: all(n in running for n in names), limit): sys.exit("pods do not run: " + str([n for n in names if n not in running][:5]))
def delete(names):
    for n in names: ask("DELETE", BASE + "/" + n)
    with changed:
        if not changed.wait_for(lambda: not any(n in running for n in names), 120): sys.exit("pods do not go")

times = []
for i in range(22):
    n = f"one-{i}"
    t = time.perf_counter(); create(n); wait([n])
    if i >= 2: times.append((running[n] - t) * 1000)
    delete([n])
times.sort()
print(f"create to Running of 20, one by one: p50 {statistics.median(times):.0f} ms, p99 {times[-1]:.0f} ms (aim 80/200)")
names = [f"many-{i}" for i in range(30)]
t = time.perf_counter()
for n in names: create(n)
wait(names)
print(f"30 together, to the last one Running: {max(running[n] for n in names) - t:.2f} s (aim 2)")
delete(names)
names = [f"idle-{i}" for i in range(pods)]
t = time.perf_counter()
for n in names: create(n)
wait(names)
print(f"{pods} together: {max(running[n] for n in names) - t:.2f} s")

binary = os.path.realpath(os.environ["E2E_BINARY"])
def ours():
    out = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try: exe = os.readlink(f"/proc/{pid}/exe")
        except OSError: continue
        args = open(f"/proc/{pid}/cmdline").read().split("\0")
        if exe == binary: out.append((pid, "server"))
        elif exe.startswith("/memfd:") and "busybox" not in exe: out.append((pid, "shim"))
    return out
def field(path, name):
    m = re.search(rf"^{name}:\s*(\d+)", open(path).read(), re.M)
    return int(m.group(1)) if m else 0
def cpu(pid):
    f = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(f[11]) + int(f[12])) / os.sysconf("SC_CLK_TCK")
def figures():
    all_of = ours()
    return (sum(cpu(p) for p, _ in all_of), sum(field(f"/proc/{p}/io", "write_bytes") for p, _ in all_of))
time.sleep(15)
c0, w0 = figures(); t0 = time.time()
time.sleep(idle)
c1, w1 = figures(); wall = time.time() - t0
pss = {}
for p, kind in ours(): pss.setdefault(kind, []).append(field(f"/proc/{p}/smaps_rollup", "Pss"))
total = sum(sum(v) for v in pss.values())
print("PSS: " + ", ".join(f"{len(v)} {k} {sum(v) / 1024:.1f} MB" for k, v in sorted(pss.items())) + f", together {total / 1024:.1f} MB (aim 80)")
print(f"idle CPU over {wall:.0f} s: {100 * (c1 - c0) / wall:.2f} % (aim 1); written: {(w1 - w0) / 1024:.0f} KiB")
PY
same "the figures were taken" 0 $?
