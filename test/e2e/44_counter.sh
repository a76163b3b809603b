# A counter that must not lose what it has acknowledged: redis with its log on a PersistentVolumeClaim counts for a client on another
# machine, another client writes ConfigMaps; the server, the agents, shims and the program itself are killed -9 in turn. Afterwards every
# acknowledged number and object is there, nothing runs twice, and nothing is left behind.
. "$E2E_HERE/../workloads/lib.sh"
host_up n1 10
host_up n2 20
choose_kubectl rollout exec
program_images n1 redis
program_images n2 redis
server_up n1
agent_up n2
mkdir -p "$E2E_DIR/ack"

expect "the counter" k apply -f - <<'END'
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: counter}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 64Mi}}}
---
apiVersion: v1
kind: Service
metadata: {name: counter}
spec: {selector: {app: counter}, ports: [{port: 6379}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: counter}
spec:
  serviceName: counter
  selector: {matchLabels: {app: counter}}
  template:
    metadata: {labels: {app: counter}}
    spec:
      nodeSelector: {kubernetes.io/hostname: n2}
      terminationGracePeriodSeconds: 5
      containers:
      - name: redis
        image: redis:e2e
        args: [redis-server, --appendonly, "yes", --appendfsync, always]
        readinessProbe: {tcpSocket: {port: 6379}, periodSeconds: 1}
        volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: counter}}]
END
must 40 "it counts" is 1 statefulset/counter .status.readyReplicas
expect "its client" k apply -f - <<END
apiVersion: apps/v1
kind: Deployment
metadata: {name: client}
spec:
  selector: {matchLabels: {app: client}}
  template:
    metadata: {labels: {app: client}}
    spec:
      nodeSelector: {kubernetes.io/hostname: n1}
      terminationGracePeriodSeconds: 1
      containers:
      - name: client
        image: redis:e2e
        command: [bash, -c, 'trap "exit 0" TERM; while :; do n=\$(timeout 2 redis-cli -h counter incr counted 2>/dev/null) && [[ \$n =~ ^[0-9]+\$ ]] && echo \$n >>/ack/numbers; done']
        volumeMounts: [{name: ack, mountPath: /ack}]
      volumes: [{name: ack, hostPath: {path: $E2E_DIR/ack}}]
END
acknowledged() { tail -n1 "$E2E_DIR/ack/numbers" 2>/dev/null || echo 0; }
counts_on() { [ "$(acknowledged)" -gt "$1" ] || { echo "still at $(acknowledged)"; return 1; }; }
must 30 "numbers come" counts_on 5
(i=0; while [ ! -e "$E2E_DIR/enough" ]; do i=$((i + 1)); k create configmap "w$i" --from-literal=n=$i >/dev/null 2>&1 && echo "w$i" >>"$E2E_DIR/ack/objects"; done) &
writer=$!

# The shim of a pod's containers: the parent of the program.
program_of() { pgrep -f "$1" | head -n1; }
redis_server() { program_of '^redis-server \*:6379'; }
parent() { awk '/^PPid:/ {print $2}' "/proc/$1/status"; }
goes_on() { wait_for 40 "the counter goes on after $1" counts_on "$(acknowledged)"; }

say "the server is killed"
kill9 n1
sleep 0.5
server_start n1
must 30 "/readyz answers" ready
goes_on "the server's end"

say "the agent is killed, and its program while it is away"
kill9 n2
kill -KILL "$(redis_server)"
sleep 0.5
agent_up n2
goes_on "the agent's and the program's end"
wait_for 20 "one restart" is 1 pod/counter-0 '.status.containerStatuses[0].restartCount'
same "why" "137 Error" "$(field pod/counter-0 '.status.containerStatuses[0].lastState.terminated.exitCode} {.status.containerStatuses[0].lastState.terminated.reason')"

say "the shim is killed"
shim=$(parent "$(redis_server)")
kill -KILL "$shim"
goes_on "the shim's end"

say "agent and shim are killed together"
shim=$(parent "$(redis_server)")
kill9 n2
kill -KILL "$shim"
agent_up n2
goes_on "both ends"

say "the server is killed twice in its start"
for pause in 0.15 0.4; do
  kill9 n1
  server_start n1
  sleep $pause
done
kill9 n1
server_start n1
must 30 "/readyz answers" ready
goes_on "three starts"

say "the pod is deleted while its server is away"
k delete pod counter-0 --wait=false >/dev/null
kill9 n1
sleep 1
server_start n1
must 30 "/readyz answers" ready
goes_on "the deletion"

say "what was acknowledged is there"
touch "$E2E_DIR/enough"
wait $writer
expect "the client ends" k delete deployment client
last=$(acknowledged)
wait_for 30 "the counter is ready" is 1 statefulset/counter .status.readyReplicas
total() { local n; n=$(k exec counter-0 -- redis-cli get counted); [ "${n:-0}" -ge "$last" ] || { echo "counted $n, acknowledged $last"; return 1; }; }
expect "all $last numbers" total
same "numbers that were given twice" "" "$(sort "$E2E_DIR/ack/numbers" | uniq -d | head -n3)"
k get configmap -o name | sed 's,configmap/,,' | sort >"$E2E_DIR/present"
same "of $(grep -c . "$E2E_DIR/ack/objects") objects are missing" "" "$(sort "$E2E_DIR/ack/objects" | comm -23 - "$E2E_DIR/present" | head -n5)"
same "programs that count" 1 "$(pgrep -fc '^redis-server \*:6379')"

say "nothing is left"
expect "delete" k delete statefulset,service,pvc --all
wait_for 30 "its pod goes" no_pods app=counter
for host in n1 n2; do wait_for 20 "nothing is left on $host" nothing_left $host; done
none_runs() { local got; got=$(pgrep -fa 'redis-(server|cli)' | grep -v defunct); [ -z "$got" ] || { echo "$got"; return 1; }; }
wait_for 10 "no process" none_runs
for host in n1 n2; do wait_for 10 "no shim's folder on $host" on $host sh -c 'out=$(ls /run/k8lite/pods 2>/dev/null); [ -z "$out" ] || { echo "$out"; exit 1; }'; done
