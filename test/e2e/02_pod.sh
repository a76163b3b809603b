# One node runs pods: logs, events, environment, volumes, exit codes, restarts, probes, init containers, graceful ends.
describe_says() { local text; out=$(k describe pod "$1") || return 1; for text in "${@:2}"; do case $out in *"$text"*) ;; *) echo "no $text: $out"; return 1 ;; esac; done; }
restarted() { [ "$(field "pod/$1" '.status.containerStatuses[0].restartCount')" -ge "$2" ]; }
nothing_left() { out=$(find "$1" -mindepth 1 -maxdepth 1 2>&1); [ -z "$out" ] || { echo "$out"; return 1; }; }
no_cgroups() { out=$(find /sys/fs/cgroup/*/"$E2E_CGROUP"/n1/kubepods* -mindepth 1 -type d -name '*pod*' 2>/dev/null); [ -z "$out" ] || { echo "$out"; return 1; }; }
is_one_of() { local got; got=$(field "$1" "$2"); case " ${*:3} " in *" ${got:-none} "*) ;; *) echo "$got"; return 1 ;; esac; }
host_up n1 10
choose_kubectl run describe logs
busybox_image n1
server_up n1

say "create them all"
expect "echo" k run echo --image=k8lite/echoserver:1.0 --port=8080
expect "config" k create configmap conf --from-literal=color=green --from-literal=size=xl
expect "secret" k create secret generic hidden --from-literal=word=sesame
expect "facts" k create -f - <<'END'
apiVersion: v1
kind: Pod
metadata: {name: facts, labels: {app: facts}}
spec:
  restartPolicy: Never
  volumes:
  - {name: conf, configMap: {name: conf}}
  - {name: scratch, emptyDir: {}}
  initContainers:
  - {name: first, image: "busybox:e2e", command: [sh, -c, "echo made by init > /scratch/file"], volumeMounts: [{name: scratch, mountPath: /scratch}]}
  containers:
  - name: main
    image: busybox:e2e
    command: [sh, -c]
    args:
    - |
      echo "color=$COLOR word=$WORD pod=$POD ns=$NS node=$NODE ip=$IP port=$KUBERNETES_SERVICE_PORT all=$size expanded=$(POD)-x"
      cat /conf/color; echo; cat /scratch/file; hostname; id -u
      ls /var/run/secrets/kubernetes.io/serviceaccount | xargs
      grep -c . /etc/hosts; cat /proc/1/comm
    env:
    - {name: COLOR, valueFrom: {configMapKeyRef: {name: conf, key: color}}}
    - {name: WORD, valueFrom: {secretKeyRef: {name: hidden, key: word}}}
    - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: NS, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    envFrom: [{configMapRef: {name: conf}}]
    volumeMounts:
    - {name: conf, mountPath: /conf}
    - {name: scratch, mountPath: /scratch}
END
expect "ends" k create -f - <<<"$(busybox_pod ends 'echo out; echo err >&2; exit 7' '  restartPolicy: Never')"
expect "crashes" k create -f - <<<"$(busybox_pod crashes 'echo try; exit 3')"
expect "polite" k create -f - <<<"$(busybox_pod polite 'trap "echo bye; exit 0" TERM; echo up; while :; do sleep 0.1; done' | sed "s/GracePeriodSeconds: 2/GracePeriodSeconds: 60/")"
expect "noimage" k run noimage --image=no.such.invalid/thing:1
expect "badinit" k create -f - <<'END'
apiVersion: v1
kind: Pod
metadata: {name: badinit}
spec:
  restartPolicy: Never
  initContainers: [{name: first, image: "busybox:e2e", command: [sh, -c, exit 4]}]
  containers: [{name: main, image: "busybox:e2e", command: [sh, -c, echo never]}]
END

say "echo runs"
wait_for 10 "Running" phase echo Running
expect "get" k get pod echo -o wide
says 1/1 Running n1
wait_for 5 "events in describe" describe_says echo Scheduled Created Started
ip=$(field pod/echo .status.podIP)
expect "the host reaches the pod" on n1 busybox wget -qO- "http://$ip:8080/path"
says 'Hostname: echo' 'path: /path'

say "facts"
wait_for 10 "Succeeded" phase facts Succeeded
expect "its log" k logs facts
says "color=green word=sesame pod=facts ns=default node=n1 ip=10.42." "port=443 all=xl expanded=facts-x" "
green
made by init
facts
0
ca.crt namespace token"
expect "init's state" is Completed pod/facts '.status.initContainerStatuses[0].state.terminated.reason'

say "ends"
wait_for 10 "Failed" phase ends Failed
same "exit code" 7 "$(field pod/ends '.status.containerStatuses[0].state.terminated.exitCode')"
expect "both streams" k logs ends
says out err
same "restarts" 0 "$(field pod/ends '.status.containerStatuses[0].restartCount')"

say "badinit"
wait_for 10 "Failed" phase badinit Failed
same "its exit code" 4 "$(field pod/badinit '.status.initContainerStatuses[0].state.terminated.exitCode')"
expect "reason" k get pod badinit
says Init:Error

say "crashes"
wait_for 30 "two restarts" restarted crashes 2
wait_for 10 "back-off" is CrashLoopBackOff pod/crashes '.status.containerStatuses[0].state.waiting.reason'
same "last exit code" 3 "$(field pod/crashes '.status.containerStatuses[0].lastState.terminated.exitCode')"
expect "the log of the run before" k logs crashes -p
says try
wait_for 5 "the event" describe_says crashes BackOff "Back-off restarting failed container"

say "a container reads its own limits below /sys/fs/cgroup, and cannot change them"
busybox_pod limited 'cd /sys/fs/cgroup; cat memory.max memory/memory.limit_in_bytes 2>/dev/null; ls */cgroup.procs cgroup.procs 2>/dev/null | wc -l; echo 1 >memory.max; echo 1 >memory/memory.limit_in_bytes; touch x; sleep 100' '' |
  sed 's/^    image:/    resources: {limits: {memory: 64Mi}}\n&/' >"$E2E_DIR/limited.yaml"
expect "create" k apply -f "$E2E_DIR/limited.yaml"
sed -e 's/name: limited/name: onhost/' -e 's/^spec:/&\n  hostNetwork: true/' "$E2E_DIR/limited.yaml" >"$E2E_DIR/onhost.yaml"
expect "create" k apply -f "$E2E_DIR/onhost.yaml"
for pod in limited onhost; do
  wait_for 10 "Running" phase $pod Running
  wait_for 10 "its limit" logs_say $pod 67108864
  wait_for 10 "a refusal" logs_say $pod 'touch: x: Read-only file system'
done

say "noimage"
wait_for 20 "reason" is_one_of pod/noimage '.status.containerStatuses[0].state.waiting.reason' ErrImagePull ImagePullBackOff
wait_for 5 "the event" describe_says noimage Failed 'no.such.invalid/thing:1'

say "probed"
expect "probed" k create -f - <<'END'
apiVersion: v1
kind: Pod
metadata: {name: probed}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: busybox:e2e
    command: [sh, -c, "touch /tmp/live; sleep 3; touch /tmp/ready; sleep 4; rm /tmp/live; sleep 100"]
    readinessProbe: {exec: {command: [test, -e, /tmp/ready]}, periodSeconds: 1}
    livenessProbe: {exec: {command: [test, -e, /tmp/live]}, periodSeconds: 1, failureThreshold: 2}
END
wait_for 15 "ready" is true pod/probed '.status.containerStatuses[0].ready'
wait_for 20 "restarted by the liveness probe" restarted probed 1
wait_for 5 "the events" describe_says probed Unhealthy "Liveness probe failed" Killing

say "polite"
wait_for 10 "Running" phase polite Running
k logs polite -f >"$E2E_DIR/polite.log" 2>&1 &
wait_for 5 "its first line" grep -q up "$E2E_DIR/polite.log"
begin=$(now_ms)
expect "delete" k delete pod polite
took=$(($(now_ms) - begin))
[ $took -lt $(patient 2500) ] || fail "a pod that ends at SIGTERM took $took ms to delete"
wait_for 2 "its last line" grep -q bye "$E2E_DIR/polite.log"

say "delete"
expect "delete everything" k delete pod --all --grace-period=1
wait_for 5 "no shim's folder is left" on n1 sh -c 'out=$(ls /run/k8lite/pods); [ -z "$out" ] || { echo "$out"; exit 1; }'
wait_for 5 "no pod's folder is left" nothing_left "$E2E_DIR/n1/data/agent/pods"
wait_for 5 "no cgroup is left" no_cgroups
expect "interfaces" on n1 ip -o link show type veth
same "no veth but the uplink is left" 1 "$(printf '%s\n' "$out" | grep -c .)"
