# port-forward with every kubectl that has it (SPDY, SPDY inside WebSocket), to pods of this node and of another one: many connections,
# much data, half closed connections, ports on which nobody listens.
host_up n1 10
host_up n2 11
choose_kubectl run expose
busybox_image n1
mkdir -p "$E2E_DIR/n2/data/agent/images"
cp "$E2E_DIR/n1/data/agent/images/busybox.tar" "$E2E_DIR/n2/data/agent/images/"
server_up n1
agent_up n2

# forward POD PORT…: in the background; its process id is in $forward, what it says in $E2E_DIR/forward.
forward() {
  : >"$E2E_DIR/forward"
  (on_exec n1 env KUBECONFIG="$KUBECONFIG" "${kubectl_command[@]}" port-forward "$@" >"$E2E_DIR/forward" 2>&1) &
  forward=$!
  disown $forward
  wait_for 10 "it listens" grep -q 'Forwarding from 127.0.0.1' "$E2E_DIR/forward"
}
forward_ends() { kill -INT $forward 2>/dev/null; for i in $(seq 50); do kill -0 $forward 2>/dev/null || return 0; sleep 0.05; done; fail "port-forward does not end"; }
through() { on n1 timeout 10 busybox nc 127.0.0.1 "$@"; }
get() { on n1 timeout 10 busybox wget -qO- "http://127.0.0.1:$1/$2"; }
many() {
  local i pids=() bad=0
  for i in $(seq 40); do get 18080 "hello" | grep -q hello & pids+=($!); done
  for i in "${pids[@]}"; do wait "$i" || bad=$((bad + 1)); done
  [ $bad = 0 ] || { echo "$bad of 40 failed"; return 1; }
}

script='mkdir -p /tmp/w; echo hello >/tmp/w/hello; httpd -p 127.0.0.1:80 -h /tmp/w; nc -ll -p 9000 -e md5sum & nc -ll -p 9001 -e sh -c "head -c 10000000 /dev/zero" & nc -ll -p 9002 -e cat & sleep 1000'
for pod in web:n1 far:n2; do
  expect "pod $pod" k create -f - <<<"$(busybox_pod ${pod%:*} "$script" '  nodeName: '${pod#*:})
    ports: [{containerPort: 80, name: http}]"
done
expect "echo" k run echo --image=k8lite/echoserver:1.0 --port=8080
expect "a service" k expose pod echo --port=80 --target-port=8080
for pod in web far echo; do wait_for 15 "$pod runs" phase $pod Running; done
head -c 10000000 /dev/urandom >"$E2E_DIR/big"

for client in $(every_kubectl); do
  use_kubectl "$client"
  "${kubectl_command[@]}" port-forward --help >/dev/null 2>&1 || continue
  say "port-forward with $client"
  for pod in web far; do
    forward $pod 18080:80 19000:9000 19001:9001 19002:9002
    expect "an answer" get 18080 hello
    same "its text" hello "$out"
    expect "40 connections at once" many
    same "10 MB in, answered after its end" "$(md5sum <"$E2E_DIR/big")" "$(through 19000 <"$E2E_DIR/big")"
    same "10 MB out" 10000000 "$(through 19001 </dev/null | wc -c)"
    same "10 MB there and back" "$(md5sum <"$E2E_DIR/big")" "$(through 19002 <"$E2E_DIR/big" | md5sum)"
    forward_ends
  done
  forward service/echo 18080:80
  expect "through a service" get 18080 path
  says 'Hostname: echo'
  forward_ends
  forward web 18080:http 18081:81
  refuse "nobody listens" get 18081 hello
  wait_for 5 "the client says so" grep -q 'error forwarding port 81 to pod .*: failed to connect to localhost:81 inside namespace .*: connect: connection refused' "$E2E_DIR/forward"
  kill $forward 2>/dev/null
  refuse "no such pod" k port-forward nopod 18080:80
  says 'pods "nopod" not found'
done

# The clients for Python and JavaScript: a connection a port, over channels of a WebSocket.
if real=$(real_kubectl) && command -v python3 >/dev/null; then
  say "channels of a WebSocket"
  (on_exec n1 env KUBECONFIG="$KUBECONFIG" "$real" proxy --port=18001 >/dev/null 2>&1) &
  disown $!
  proxy=$!
  wait_for 5 "the proxy listens" on n1 busybox wget -qO- http://127.0.0.1:18001/version
  cat >"$E2E_DIR/channels.py" <<'END'
import os, socket, struct, sys
s = socket.create_connection(("127.0.0.1", 18001), 10)
s.sendall(b"GET /api/v1/namespaces/default/pods/web/portforward?ports=80&ports=81 HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
          b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\nSec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n")
f = s.makefile("rb")
line = f.readline()
assert b"101" in line, line
while f.readline().strip(): pass
def send(data):
    mask = os.urandom(4)
    s.sendall(bytes([0x82, 0x80 | len(data)]) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))
got = {}
send(b"\x00GET /hello HTTP/1.0\r\n\r\n")
while not (b"hello" in got.get(0, b"") and b"refused" in got.get(3, b"")):
    head = f.read(2)
    n = head[1] & 0x7f
    if n == 126: n = struct.unpack(">H", f.read(2))[0]
    data = f.read(n)
    if head[0] & 0xf == 2: got[data[0]] = got.get(data[0], b"") + data[1:]
print(struct.unpack("<H", got[0][:2])[0], struct.unpack("<H", got[3][:2])[0], got[3][2:].decode())
END
  expect "data of one port, the error of another" on n1 timeout 10 python3 "$E2E_DIR/channels.py"
  says '80 81 error forwarding port 81 to pod web' 'connection refused'
  kill $proxy 2>/dev/null
fi

say "a pod that goes away"
forward web 18080:80
expect "an answer" get 18080 hello
expect "delete" k delete pod web --grace-period=1
refuse "nobody answers" get 18080 hello
kill $forward 2>/dev/null
true
