# Rounds of what users do to a cluster and what happens to it, until the minutes are over: churn.sh MINUTES SEED. The seed is printed, and
# the same seed makes the same choices.
. "$E2E_HERE/../workloads/lib.sh"
minutes=$1
RANDOM=$2
echo "seed: $2"
host_up n1 10
host_up n2 20
choose_kubectl rollout scale set
busybox_image n1
busybox_image n2
server_up n1
agent_up n2
end=$(($(date +%s) + minutes * 60))
pick() { local n=$(($1)); shift; shift $n; echo "$1"; }
chance() { [ $((RANDOM % 100)) -lt "$1" ]; }
# try COMMAND…: what may fail while the server is away.
try() { timeout 60 "$@" >/dev/null 2>&1 || true; }
kc() { timeout 60 nsenter -t "${host_pid[n1]}" --mount --net --uts --cgroup env KUBECONFIG="$KUBECONFIG" "${kubectl_command[@]}" "$@"; }

web() { # NAME REPLICAS
  cat <<END
apiVersion: apps/v1
kind: Deployment
metadata: {name: $1}
spec:
  replicas: $2
  selector: {matchLabels: {app: $1}}
  strategy: {rollingUpdate: {maxSurge: $(pick "RANDOM % 3" 1 50% 0), maxUnavailable: 1}}
  template:
    metadata: {labels: {app: $1}}
    spec:
      terminationGracePeriodSeconds: $(pick "RANDOM % 3" 0 1 3)
      volumes: [{name: t, emptyDir: {}}, {name: c, configMap: {name: settings, optional: true}}, {name: m, emptyDir: {medium: Memory}}]
      containers:
      - name: main
        image: k8lite/echoserver:1.0
        ports: [{containerPort: 8080}]
        readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
        volumeMounts: [{name: t, mountPath: /t}, {name: c, mountPath: /c}, {name: m, mountPath: /m}]
---
apiVersion: v1
kind: Service
metadata: {name: $1}
spec: {type: $(pick "RANDOM % 2" ClusterIP NodePort), selector: {app: $1}, ports: [{port: 80, targetPort: 8080}]}
END
}
set_of() { # NAME
  cat <<END
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: $1}
spec:
  replicas: 2
  serviceName: $1
  podManagementPolicy: $(pick "RANDOM % 2" OrderedReady Parallel)
  persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete, whenScaled: Delete}
  selector: {matchLabels: {app: $1}}
  template:
    metadata: {labels: {app: $1}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: "busybox:e2e", command: [sh, -c, "trap 'exit 0' TERM; while :; do date >>/data/log; sleep 0.5; done"], volumeMounts: [{name: data, mountPath: /data}]}]
  volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 8Mi}}}}]
END
}
job() { # NAME
  cat <<END
apiVersion: batch/v1
kind: Job
metadata: {name: $1}
spec:
  completions: 4
  parallelism: $((RANDOM % 3 + 1))
  backoffLimit: 20
  template:
    spec:
      restartPolicy: $(pick "RANDOM % 2" Never OnFailure)
      terminationGracePeriodSeconds: 1
      initContainers: [{name: before, image: "busybox:e2e", command: ["true"]}]
      containers: [{name: main, image: "busybox:e2e", command: [sh, -c, "sleep 0.$((RANDOM % 9)); [ \$((\$(date +%s) % 4)) != 0 ]"]}]
END
}
processes() { pgrep -f "$1" | shuf -n1 --random-source=<(yes $RANDOM); }
trouble() {
  local victim
  case $((RANDOM % 8)) in
    0 | 1) kill9 n1; sleep 0.$((RANDOM % 9)); server_start n1; must 30 "/readyz answers" ready ;;
    2) kill9 n2; sleep 0.$((RANDOM % 9)); agent_up n2 ;;
    3) victim=$(processes '^k8lite-shim'); [ -n "$victim" ] && kill -KILL "$victim" ;;
    4) victim=$(processes '^(/bin/)?echoserver'); [ -n "$victim" ] && kill -KILL "$victim" ;;
    5) ip link set v-n2 down; sleep $((RANDOM % 4)); ip link set v-n2 up ;;
    6) victim=$(kc get pods -o name | shuf -n1); [ -n "$victim" ] && try kc delete "$victim" --grace-period=0 --force ;;
    7) stop n2; agent_up n2 ;;
  esac
} 2>/dev/null
figures() {
  local name pid
  printf 'round %s [%ss]' $round $SECONDS
  for name in n1 n2; do
    pid=${server_pid[$name]}
    [ -d "/proc/$pid/fd" ] || { printf ' %s gone' $name; continue; }
    printf ' | %s pss %s fds %s threads %s mounts %s cgroups %s links %s rules %s' $name "$(awk '/^Pss:/ {print $2}' /proc/$pid/smaps_rollup)" "$(ls /proc/$pid/fd | wc -l)" \
      "$(ls /proc/$pid/task | wc -l)" "$(on $name sh -c 'wc -l </proc/self/mountinfo')" "$(on $name find /sys/fs/cgroup -type d | wc -l)" \
      "$(on $name ip -o link | wc -l)" "$(on $name iptables-save | wc -l)"
  done
  printf ' | processes %s database %s KiB\n' "$(pgrep -cr S,R,D .)" "$(du -sk "$E2E_DIR/n1/data/server" | cut -f1)"
}
none_left() { local got; got=$(k get pods,pvc,pv,endpointslices -A -o name | grep -v -E 'endpointslice.*/(kubernetes)'); [ -z "$got" ] || { echo "$got" | head -n5; return 1; }; }
no_programs() { local got; got=$(pgrep -fa '^(k8lite-shim|(/bin/)?echoserver|pause)' | head -n3); [ -z "$got" ] || { echo "$got"; return 1; }; }
no_folders() { local got; got=$(on "$1" sh -c 'ls /run/k8lite/pods 2>/dev/null'; find "$E2E_DIR/$1/data/storage" "$E2E_DIR/$1/data/agent/pods" -mindepth 1 -maxdepth 1 2>/dev/null); [ -z "$got" ] || { echo "$got" | head -n5; return 1; }; }

one_round() {
  local name=r$round part n
  expect "settings" kc create configmap settings --from-literal=round=$round
  for n in a b; do expect "web" kc create -f - <<<"$(web $name-$n $((RANDOM % 5 + 1)))"; done
  expect "set" kc create -f - <<<"$(set_of $name-s)"
  expect "jobs" kc create -f - <<<"$(job $name-j)
---
$(job $name-k)"
  for n in 1 2 3 4; do
    chance 50 && trouble
    case $((RANDOM % 6)) in
      0) try kc scale deployment $name-a --replicas=$((RANDOM % 7)) ;;
      1) try kc set env deployment/$name-b ROUND=$n ;;
      2) try kc rollout undo deployment/$name-b ;;
      3) try kc rollout restart deployment/$name-a statefulset/$name-s ;;
      4) try kc delete pod -l app=$name-b --wait=false ;;
      5) try kc patch configmap settings -p '{"data":{"n":"'$n'"}}' ;;
    esac
    sleep 0.$((RANDOM % 9))
  done
  # One round in two waits until all is as it should be; the other deletes what is still on its way.
  if chance 50; then
    must 60 "both nodes are Ready" sh -c '[ "$("$@" | grep -c " Ready")" = 2 ]' - nsenter -t "${host_pid[n1]}" --mount --net env KUBECONFIG="$KUBECONFIG" "${kubectl_command[@]}" get nodes --no-headers
    for n in a b; do wait_for 60 "$name-$n is as wanted" settled deployment/$name-$n; done
    wait_for 60 "$name-s is as wanted" settled statefulset/$name-s
    for n in j k; do wait_for 90 "$name-$n ends" is True job/$name-$n '.status.conditions[?(@.type=="Complete")].status'; done
    same "$name-j's successes" 4 "$(field job/$name-j .status.succeeded)"
    wait_for 20 "$name-a's endpoints" has_endpoints $name-a "$(field deployment/$name-a .spec.replicas)"
  fi
  expect "delete" timeout 120 nsenter -t "${host_pid[n1]}" --mount --net env KUBECONFIG="$KUBECONFIG" "${kubectl_command[@]}" delete deployment,statefulset,job,service,configmap --all --timeout=90s
  wait_for 60 "no pods, claims and slices are left" none_left || { k get pods -A -o yaml; k describe nodes; }
  for n in n1 n2; do
    wait_for 20 "nothing is left on $n" nothing_left $n
    wait_for 20 "no folder is left on $n" no_folders $n
  done
  wait_for 20 "no program is left" no_programs
}
settled() { # RESOURCE: every wanted pod is new and ready
  local got
  got=$(k get "$1" -o 'jsonpath={.metadata.generation}={.status.observedGeneration} {.spec.replicas}={.status.updatedReplicas}={.status.readyReplicas}={.status.replicas}')
  awk '{split($1, g, "="); n = split($2, r, "="); ok = g[1] == g[2]; for (i = 2; i <= n; i++) if (r[i] + 0 != r[1] + 0) ok = 0; exit !ok}' <<<"$got" || { echo "$got"; return 1; }
}
round=0
while [ "$(date +%s)" -lt $end ] && [ $failures -lt 3 ]; do
  round=$((round + 1))
  one_round
  figures | tee -a "$E2E_DIR/figures"
done
say "growth"
# Of the server that runs: it may have been started anew a moment ago, so the highest of the first and the last third are compared.
third=$((round / 3))
if [ $third -ge 3 ]; then
  for column in pss fds mounts cgroups links rules; do
    peak() { awk -v c=$column '{for (i = 1; i < NF; i++) if ($i == c) {if ($(i + 1) > m) m = $(i + 1); break}} END {print m + 0}'; }
    first=$(head -n $third "$E2E_DIR/figures" | peak) last=$(tail -n $third "$E2E_DIR/figures" | peak)
    echo "$column: $first -> $last"
    checks=$((checks + 1))
    [ "$last" -le $((first * 13 / 10 + 20)) ] || fail "$column grew from $first to $last"
  done
fi
