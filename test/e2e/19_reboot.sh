# A machine that reboots: its pods run again, and what deleted ones left behind is gone. An agent whose server is away removes nothing.
host_up n1 10
host_up n2 11
choose_kubectl run
busybox_image n1
mkdir -p "$E2E_DIR/n2/data/agent/images"
cp "$E2E_DIR/n1/data/agent/images/busybox.tar" "$E2E_DIR/n2/data/agent/images/"
server_up n1
agent_up n2

uid_of() { field "pod/$1" .metadata.uid; }
restarted() { [ "$(field "pod/$1" '.status.containerStatuses[0].restartCount')" -ge "$2" ]; }
left() { find "$E2E_DIR/n1/data/agent/pods" "$E2E_DIR/n1/data/agent/containers" "$E2E_DIR/n1/data/agent/logs" -mindepth 1 -maxdepth 1 -printf '%f\n' | grep -F "$1"; }
nothing_left() { local got; got=$(left "$1"); [ -z "$got" ] || { echo "$got"; return 1; }; }
# Everything that a reboot ends: the server, every process of every pod, /run.
reboot() {
  kill9 n1
  # The other host's shims are in sight too: they are in another mount namespace.
  local pid own
  own=$(on n1 readlink /proc/self/ns/mnt)
  for pid in $(pgrep -x k8lite-shim); do
    if [ "$(readlink "/proc/$pid/ns/mnt")" = "$own" ]; then kill -KILL "$pid"; fi
  done
  pkill -KILL -f 'sleep 98[12]'
  on n1 sh -c 'rm -rf /run/k8lite'
}

for pod in stays goes; do
  expect "$pod" k create -f - <<<"$(busybox_pod $pod "echo up; sleep 981" '  nodeName: n1
  volumes: [{name: scratch, emptyDir: {}}, {name: memory, emptyDir: {medium: Memory}}]')
    volumeMounts: [{name: scratch, mountPath: /scratch}, {name: memory, mountPath: /memory}]"
done
expect "far" k create -f - <<<"$(busybox_pod far "echo up; sleep 983" '  nodeName: n2')"
for pod in stays goes far; do wait_for 15 "$pod runs" phase $pod Running; done
goes=$(uid_of goes)
same "both have folders" 3 "$(left "$goes" | grep -c .)"

say "reboot"
reboot
server_start n1 --disable-agent
wait_for 20 "the server answers" ready
expect "delete" k delete pod goes --force --grace-period=0
kill9 n1
server_up n1
wait_for 15 "stays runs again" restarted stays 1
wait_for 10 "it runs" phase stays Running
wait_for 5 "its log" logs_say stays up
wait_for 5 "nothing is left of what was deleted" nothing_left "$goes"
same "stays has its folders" 3 "$(left "$(uid_of stays)" | grep -c .)"

say "an agent without its server"
far=$(pgrep -xf 'sleep 983')
kill9 n1
kill9 n2
server_pid[n2]=
(on_exec n2 "$E2E_BINARY" agent --data-dir "$E2E_DIR/n2/data" --server https://192.0.2.10:6443 --token "$(cat "$E2E_DIR/n1/data/server/token")" --node-name n2 >>"$E2E_DIR/n2/agent.log" 2>&1) &
sleep 2
checks=$((checks + 1))
kill -0 "$far" || fail "its pod was ended"
server_up n1
wait_for 20 "node n2 is Ready" node_ready n2
same "far's restarts" 0 "$(field pod/far '.status.containerStatuses[0].restartCount')"
checks=$((checks + 1))
kill -0 "$far" || fail "its pod was ended when the server came back"
wait_for 20 "exec" k exec far -- true
