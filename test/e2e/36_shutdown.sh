# The machine goes down: a login manager on a bus (played by a script) is made to wait until the node's pods have ended.
host_up n1 10
choose_kubectl describe
command -v python3 >/dev/null || skip "no python3 to play the bus"
busybox_image n1
bus=$E2E_DIR/n1/bus.log
cat >"$E2E_DIR/bus.py" <<'PY'
# As much of a system bus with logind on it as one client needs. Says what happens on stdout; SIGUSR1 and SIGUSR2 make
# the machine go down and stay up.
import os, signal, socket, struct, sys, threading

def text(s): return struct.pack("<I", len(s)) + s.encode() + b"\0"
def pad(b, n): return b + b"\0" * (-len(b) % n)
def field(code, sig, value): return bytes([code, 1]) + sig.encode() + b"\0" + value
def message(kind, serial, fields, body=b"", sig=""):
    if sig: fields = fields + [field(8, "g", bytes([len(sig)]) + sig.encode() + b"\0")]
    all_fields = b""
    for f in fields: all_fields = pad(all_fields, 8) + f
    return pad(struct.pack("<4BIII", ord("l"), kind, 0, 1, len(body), serial, len(all_fields)) + all_fields, 8) + body
def member_of(fields):
    at = 0
    found = {}
    while at + 4 < len(fields):
        at += -at % 8
        code, sig = fields[at], chr(fields[at + 2])
        at += 4
        if sig in "so":
            n, = struct.unpack_from("<I", fields, at)
            found[code] = fields[at + 4:at + 4 + n].decode()
            at += n + 5
        elif sig == "u": at += 4
        elif sig == "g": at += fields[at] + 2
    return found.get(3, "")

def say(s): print(s, flush=True)
os.makedirs("/run/dbus", exist_ok=True)
listener = socket.socket(socket.AF_UNIX)
listener.bind("/run/dbus/system_bus_socket")
listener.listen()
say("listening")
clients, serial = [], [100]
def shut(value):
    serial[0] += 1
    for c in clients:
        try: c.sendall(message(4, serial[0], [field(1, "o", text("/org/freedesktop/login1")), field(2, "s", text("org.freedesktop.login1.Manager")), field(3, "s", text("PrepareForShutdown")), field(7, "s", text(":1.2"))], struct.pack("<I", value), "b"))
        except OSError: pass
signal.signal(signal.SIGUSR1, lambda *_: shut(1))
signal.signal(signal.SIGUSR2, lambda *_: shut(0))
def hold(end):
    end.recv(1)
    say("let go")
def serve(c):
    data = b""
    while b"NEGOTIATE_UNIX_FD\r\n" not in data: data += c.recv(4096)
    c.sendall(b"OK 00\r\nAGREE_UNIX_FD\r\n")
    data = b""
    while b"BEGIN\r\n" not in data: data += c.recv(4096)
    data = data.split(b"BEGIN\r\n", 1)[1]
    while True:
        while len(data) < 16 or len(data) < (16 + struct.unpack_from("<I", data, 12)[0] + 7) // 8 * 8 + struct.unpack_from("<I", data, 4)[0]:
            more = c.recv(4096)
            if not more: return
            data += more
        body, number, fields = struct.unpack_from("<III", data, 4)
        member = member_of(data[16:16 + fields])
        data = data[(16 + fields + 7) // 8 * 8 + body:]
        head = [field(5, "u", struct.pack("<I", number)), field(7, "s", text(":1.2"))]
        serial[0] += 1
        if member == "Inhibit":
            ours, theirs = socket.socketpair()
            c.sendmsg([message(2, serial[0], head + [field(9, "u", struct.pack("<I", 1))], struct.pack("<I", 0), "h")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", theirs.fileno()))])
            theirs.close()
            threading.Thread(target=hold, args=(ours,), daemon=True).start()
        elif member == "Get": c.sendall(message(2, serial[0], head, b"\1t\0" + b"\0" * 5 + struct.pack("<Q", 60_000_000), "v"))
        else: c.sendall(message(2, serial[0], head, text(":1.2"), "s"))
        say(member)
        if member == "Hello": clients.append(c)
while True:
    c, _ = listener.accept()
    threading.Thread(target=serve, args=(c,), daemon=True).start()
PY
: >"$bus"
(on_exec n1 python3 -u "$E2E_DIR/bus.py" >>"$bus" 2>&1) &
bus_pid=$!
bus_says() { grep -qx "$1" "$bus" || { tail -3 "$bus"; return 1; }; }
must 20 "the bus stands" bus_says listening
server_up n1 --kubelet-arg shutdown-grace-period=20s --kubelet-arg shutdown-grace-period-critical-pods=10s
must 30 "the machine's shutdown is held up" bus_says Inhibit
out_dir=$E2E_DIR/out && mkdir -p "$out_dir"
pod() {
  k create -f - <<END
apiVersion: v1
kind: Pod
metadata: {name: $1, namespace: $2}
spec:
  terminationGracePeriodSeconds: 5
  priorityClassName: $3
  volumes: [{name: out, hostPath: {path: $out_dir}}]
  containers: [{name: main, image: "busybox:e2e", volumeMounts: [{name: out, mountPath: /out}], command: [sh, -c, "trap 'sleep 1; echo $1 >>/out/ended; exit 0' TERM; while :; do sleep 0.1; done"]}]
END
}
expect "a pod" pod plain default ""
expect "a critical one" pod vital kube-system system-node-critical
wait_for 30 "they run" phase plain Running
vital_is() { [ "$(k get pod vital -n kube-system -o 'jsonpath={.status.phase}')" = "$1" ]; }
wait_for 30 "both" vital_is Running

say "the machine goes down"
# The interpreter is the namespace's process that was started last of this name.
python=$(pgrep -f "$E2E_DIR/bus.py" | tail -1)
kill -USR1 "$python"
wait_for 30 "the pods end" vital_is Failed
ended() { [ "$(xargs <"$out_dir/ended")" = "plain vital" ]; }
wait_for 10 "the critical one last" ended
same "reason" Terminated "$(field pod/plain .status.reason)"
same "message" "Pod was terminated in response to imminent node shutdown." "$(field pod/plain .status.message)"
same "a disruption" TerminationByKubelet "$(field pod/plain '.status.conditions[?(@.type=="DisruptionTarget")].reason')"
same "the node" "False node is shutting down" "$(field node/n1 '.status.conditions[?(@.type=="Ready")].status') $(field node/n1 '.status.conditions[?(@.type=="Ready")].message')"
wait_for 20 "the machine is let go" bus_says "let go"
expect "who comes now" k create -f - <<<"$(busybox_pod late 'sleep 1000' '  nodeName: n1')"
wait_for 20 "is refused" is NodeShutdown pod/late .status.reason

say "and stays up after all"
kill -USR2 "$python"
wait_for 20 "the node is Ready" node_ready n1
expect "a pod" k create -f - <<<"$(busybox_pod again 'sleep 1000')"
wait_for 30 "runs" phase again Running
expect "all go" k delete pod --all --timeout=60s
stop n1
kill "$python"
wait "$bus_pid" 2>/dev/null || true
