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
  for i in $(seq 60); do get 18080 "hello" | grep -q hello & pids+=($!); done
  for i in "${pids[@]}"; do wait "$i" || bad=$((bad + 1)); done
  [ $bad = 0 ] || { echo "$bad of 60 failed"; return 1; }
}

script='mkdir -p /tmp/w; echo hello >/tmp/w/hello; httpd -p 127.0.0.1:80 -h /tmp/w; nc -ll -p 9000 -e md5sum & nc -ll -p 9001 -e sh -c "head -c 20000000 /dev/zero" & nc -ll -p 9002 -e cat & sleep 1000'
for pod in web:n1 far:n2; do
  expect "pod $pod" k create -f - <<<"$(busybox_pod ${pod%:*} "$script" '  nodeName: '${pod#*:})
    ports: [{containerPort: 80, name: http}]"
done
expect "echo" k run echo --image=k8lite/echoserver:1.0 --port=8080
expect "a service" k expose pod echo --port=80 --target-port=8080
for pod in web far echo; do wait_for 15 "$pod runs" phase $pod Running; done
head -c 20000000 /dev/urandom >"$E2E_DIR/big"

for client in $(every_kubectl); do
  use_kubectl "$client"
  "${kubectl_command[@]}" port-forward --help >/dev/null 2>&1 || continue
  say "port-forward with $client"
  for pod in web far; do
    forward $pod 18080:80 19000:9000 19001:9001 19002:9002
    expect "an answer" get 18080 hello
    same "its text" hello "$out"
    expect "60 connections at once" many
    same "20 MB in, answered after its end" "$(md5sum <"$E2E_DIR/big")" "$(through 19000 <"$E2E_DIR/big")"
    same "20 MB out" 20000000 "$(through 19001 </dev/null | wc -c)"
    same "20 MB there and back" "$(md5sum <"$E2E_DIR/big")" "$(through 19002 <"$E2E_DIR/big" | md5sum)"
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

say "a pod that goes away"
forward web 18080:80
expect "an answer" get 18080 hello
expect "delete" k delete pod web --grace-period=1
refuse "nobody answers" get 18080 hello
kill $forward 2>/dev/null
true
