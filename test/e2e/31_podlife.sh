# The life of pods beyond the everyday: sidecars, restart rules, probes of all kinds, static pods, node pressure, resize.
host_up n1 10
choose_kubectl exec describe
busybox_image n1
server_up n1

reason() { field "pod/$1" ".status.$2[0].state.$3"; }
shared=$E2E_DIR/out
mkdir -p "$shared"
logged() { [ "$(xargs <"$shared/$1" 2>/dev/null)" = "$2" ]; }
forever='while :; do sleep 0.1; done'
# life NAME POLICY CONTAINERS: a pod with /out of the host, whose YAML of containers is given
life() {
  k create -f - <<END
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec:
  restartPolicy: $2
  terminationGracePeriodSeconds: ${GRACE:-20}
  volumes: [{name: out, hostPath: {path: $shared}}]
$3
END
}
# c NAME SCRIPT [MORE FIELDS]: a container
c() { printf '  - {name: %s, image: "busybox:e2e", command: [sh, -c, "%s"], volumeMounts: [{name: out, mountPath: /out}]%s}\n' "$1" "$2" "${3:+, $3}"; }

say "sidecars"
expect "a pod with sidecars" life side Never "  initContainers:
$(c one 'echo one >>/out/side')
$(c s1 "echo s1 >>/out/side; trap 'echo s1-end >>/out/side; exit 0' TERM; $forever" 'restartPolicy: Always, startupProbe: {exec: {command: [test, -e, /out/side-go]}, periodSeconds: 1, failureThreshold: 300}')
$(c s2 "echo s2 >>/out/side; trap 'sleep 0.5; echo s2-end >>/out/side; exit 0' TERM; $forever" 'restartPolicy: Always')
$(c two 'echo two >>/out/side')
  containers:
$(c main "echo main >>/out/side; until test -e /out/side-end; do sleep 0.1; done; echo main-end >>/out/side")"
wait_for 20 "the first sidecar runs" logged side "one s1"
wait_for 10 "and has not started" is false pod/side '.status.initContainerStatuses[1].started'
same "the main container waits" PodInitializing "$(reason side containerStatuses waiting.reason)"
touch "$shared/side-go"
wait_for 20 "the main container runs" phase side Running
wait_for 20 "in order" logged side "one s1 s2 two main"
wait_for 20 "ready" is true pod/side '.status.containerStatuses[0].ready'
touch "$shared/side-end"
wait_for 30 "it succeeds in spite of its sidecars" phase side Succeeded
wait_for 5 "they ended in reverse order" logged side "one s1 s2 two main main-end s2-end s1-end"

say "restart rules"
expect "rules" life rules Never "  containers:
$(c main 'n=$(cat /out/rules-n 2>/dev/null || echo 0); echo $((n + 1)) >/out/rules-n; test $n -ge 1 && exit 3; exit 42' 'restartPolicy: Never, restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [42]}}]')"
wait_for 30 "it failed" phase rules Failed
same "after one restart" 1 "$(field pod/rules '.status.containerStatuses[0].restartCount')"
expect "all over again" life over Never "  initContainers:
$(c init 'echo init >>/out/over')
  containers:
$(c other "$forever")
$(c main 'echo main >>/out/over; test $(grep -c main /out/over) -ge 2 && sleep 1000; exit 9' 'restartPolicy: Never, restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: In, values: [9]}}]')"
wait_for 40 "it began again" logged over "init main init main"
wait_for 20 "runs" is 1 pod/over '.status.initContainerStatuses[0].restartCount'
expect "bad command" k create -f - <<END
apiVersion: v1
kind: Pod
metadata: {name: badcommand}
spec:
  restartPolicy: Never
  containers: [{name: main, image: "busybox:e2e", command: [/nosuch]}]
END
wait_for 20 "a command that is not there fails the pod" phase badcommand Failed
same "with 128" "128 StartError" "$(field pod/badcommand '.status.containerStatuses[0].state.terminated.exitCode') $(reason badcommand containerStatuses terminated.reason)"

say "probes"
expect "probes" life probes Always "  containers:
$(c http "mkdir -p /www && echo ok >/www/fine && httpd -f -p 8080 -h /www" 'ports: [{name: web, containerPort: 8080}], readinessProbe: {httpGet: {path: /fine, port: web, httpHeaders: [{name: X-Own, value: a}]}, periodSeconds: 1, successThreshold: 2}')
$(c nogrpc "while :; do nc -l -p 9000 >/dev/null </dev/null; done" 'readinessProbe: {grpc: {port: 9000, service: own}, periodSeconds: 1}')"
wait_for 20 "the HTTP probe passes" is true pod/probes '.status.containerStatuses[0].ready'
event_of() { local out; out=$(k get events --field-selector "involvedObject.name=$1" -o 'jsonpath={range .items[*]}{.reason}: {.message}{"\n"}{end}'); case $out in *"$2"*) ;; *) echo "$out"; return 1 ;; esac; }
wait_for 20 "a server that speaks no gRPC is not ready" event_of probes 'Unhealthy: Readiness probe failed: '
same "it is not" false "$(field pod/probes '.status.containerStatuses[1].ready')"

say "static pods"
manifests=$E2E_DIR/n1/data/agent/pod-manifests
static() { cat >"$manifests/$1.yaml" <<END
apiVersion: v1
kind: Pod
metadata: {name: $1, labels: {text: "$2"}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: "busybox:e2e", command: [sh, -c, "echo $2 >>$shared/static; sleep 10000"]${3:+, $3}}]
END
}
static fixed one
wait_for 20 "its mirror runs" phase fixed-n1 Running
same "the mirror says so" file "$(field pod/fixed-n1 '.metadata.annotations.kubernetes\.io/config\.source')"
uid=$(field pod/fixed-n1 .metadata.uid)
container=$(field pod/fixed-n1 '.status.containerStatuses[0].containerID')
k delete pod fixed-n1 --wait=false >/dev/null
mirrored_anew() { [ "$(field pod/fixed-n1 .metadata.uid)" != "$uid" ] && phase fixed-n1 Running; }
wait_for 20 "a deleted mirror comes back" mirrored_anew
same "and the pod ran on" "$container" "$(field pod/fixed-n1 '.status.containerStatuses[0].containerID')"
static fixed two
wait_for 30 "a changed file is followed" is two pod/fixed-n1 .metadata.labels.text
wait_for 30 "and runs" phase fixed-n1 Running
kill9 n1
server_up n1
wait_for 30 "it outlives a crash" phase fixed-n1 Running
rm "$manifests/fixed.yaml"
gone() { ! k get pod "$1" >/dev/null 2>&1; }
wait_for 30 "a file that goes takes its pod along" gone fixed-n1

say "limits of disk"
expect "a pod that takes too much" k create -f - <<END
apiVersion: v1
kind: Pod
metadata: {name: full}
spec:
  volumes: [{name: v, emptyDir: {sizeLimit: 2Mi}}]
  containers: [{name: main, image: "busybox:e2e", command: [sh, -c, "dd if=/dev/zero of=/v/x bs=1M count=5; sleep 1000"], volumeMounts: [{name: v, mountPath: /v}]}]
END
wait_for 60 "it is evicted" phase full Failed
same "the reason" Evicted "$(field pod/full .status.reason)"
same "the message" 'Usage of EmptyDir volume "v" exceeds the limit "2Mi". ' "$(field pod/full .status.message)"
same "it was the node's doing" TerminationByKubelet "$(field pod/full '.status.conditions[?(@.type=="DisruptionTarget")].reason')"

say "pressure"
k delete pod --all --wait=false >/dev/null 2>&1
expect "a pod with a request" k create -f - <<<"$(busybox_pod modest 'sleep 1000')
    resources: {requests: {memory: 200Mi}}"
expect "a greedy pod" k create -f - <<<"$(busybox_pod greedy 'sleep 1000')"
wait_for 30 "modest runs" phase modest Running
wait_for 30 "greedy runs" phase greedy Running
stop n1
server_up n1 --kubelet-arg eviction-hard=memory.available\<900Ti --kubelet-arg eviction-pressure-transition-period=5s
condition() { field "node/n1" ".status.conditions[?(@.type==\"$1\")].status"; }
pressed() { [ "$(condition MemoryPressure)" = "$1" ]; }
wait_for 30 "the node says so" pressed True
tainted() { case $(field node/n1 '.spec.taints[*].key') in *memory-pressure*) ;; *) return 1 ;; esac; }
wait_for 20 "its taint follows" tainted
wait_for 40 "who has no request goes first" phase greedy Failed
case $(field pod/greedy .status.message) in "The node was low on resource: memory. Threshold quantity: "*"Container main was using "*) ;; *) fail "message: $(field pod/greedy .status.message)" ;; esac
expect "a pod bound by hand" k create -f - <<<"$(busybox_pod late 'sleep 1000' '  nodeName: n1')"
wait_for 20 "is refused" phase late Failed
same "with the node's condition" 'Pod was rejected: The node had condition: [MemoryPressure]. ' "$(field pod/late .status.message)"
stop n1
server_up n1
wait_for 30 "the pressure is over" pressed False

say "resize"
expect "a pod to be resized" k create -f - <<<"$(busybox_pod grow 'sleep 1000')
    resources: {requests: {cpu: 100m, memory: 32Mi}, limits: {cpu: 200m, memory: 32Mi}}
    resizePolicy: [{resourceName: memory, restartPolicy: RestartContainer}]"
wait_for 30 "it runs" phase grow Running
resize() { k patch pod grow --subresource resize --type strategic -p "{\"spec\": {\"containers\": [{\"name\": \"main\", \"resources\": $1}]}}"; }
cg() { on n1 sh -c "cat /sys/fs/cgroup/$1/kubepods/*/pod$(field pod/grow .metadata.uid)/main/$2"; }
actual() { is "$2" pod/grow ".status.containerStatuses[0].$1"; }
expect "more cpu" resize '{"requests": {"cpu": "150m"}, "limits": {"cpu": "300m"}}'
wait_for 20 "it has it" actual resources.limits.cpu 300m
same "it was allocated" 150m "$(field pod/grow '.status.containerStatuses[0].allocatedResources.cpu')"
same "without a restart" 0 "$(field pod/grow '.status.containerStatuses[0].restartCount')"
[ -d /sys/fs/cgroup/cpu ] && same "in the kernel" 30000 "$(cg cpu cpu.cfs_quota_us)"
expect "more memory" resize '{"requests": {"memory": "48Mi"}, "limits": {"memory": "48Mi"}}'
wait_for 30 "by a restart" is 1 pod/grow '.status.containerStatuses[0].restartCount'
wait_for 20 "it has it" actual resources.limits.memory 48Mi
expect "far too much" resize '{"requests": {"cpu": "9000"}, "limits": {"cpu": "9001"}}'
pending() { [ "$(field pod/grow '.status.conditions[?(@.type=="PodResizePending")].reason')" = "$1" ]; }
wait_for 20 "is infeasible" pending Infeasible
same "and nothing changes" 300m "$(field pod/grow '.status.containerStatuses[0].resources.limits.cpu')"
expect "back" resize '{"requests": {"cpu": "100m"}, "limits": {"cpu": "150m"}}'
wait_for 20 "nothing pends" pending ""
wait_for 20 "it has less" actual resources.limits.cpu 150m

say "bad input"
stop n1
server_up n1 --kubelet-arg pod-max-pids=64
expect "a config map" k create configmap there --from-literal=a=b
lacks() { k create -f - <<<"$(busybox_pod "$1" 'sleep 1000')
    env: [{name: A, valueFrom: {configMapKeyRef: {name: $2, key: nokey}}}]"; }
expect "a missing config map" lacks nomap nosuch
expect "a missing key" lacks nokey there
says_why() { [ "$(reason "$1" containerStatuses waiting.reason)|$(reason "$1" containerStatuses waiting.message)" = "CreateContainerConfigError|$2" ]; }
wait_for 20 "which map is missing" says_why nomap 'configmap "nosuch" not found'
wait_for 20 "which key is missing" says_why nokey "couldn't find key nokey in ConfigMap default/there"
expect "it comes" k create configmap nosuch --from-literal=nokey=b
wait_for 40 "and the pod runs" phase nomap Running
expect "last words" k create -f - <<<"$(busybox_pod lastwords 'echo goodbye; exit 3' '  restartPolicy: Never')
    terminationMessagePolicy: FallbackToLogsOnError"
wait_for 20 "it failed" phase lastwords Failed
same "its last words are its output" goodbye "$(reason lastwords containerStatuses terminated.message)"
expect "a fork bomb" k create -f - <<<"$(busybox_pod bomb 'bomb() { bomb | bomb & }; bomb; while :; do sleep 1; done')"
wait_for 30 "it runs" phase bomb Running
expect "the node still starts pods" k create -f - <<<"$(busybox_pod beside 'sleep 1000')"
wait_for 30 "beside it" phase beside Running
expect "it can be ended" k delete pod bomb --timeout=60s
for i in 0 1 2 3 4 5 6 7; do
  GRACE=1 life "brief$i" Always "  initContainers:
$(c one 'sleep 0.2')
$(c s1 "$forever" 'restartPolicy: Always')
  containers:
$(c main 'sleep 1000' 'lifecycle: {postStart: {exec: {command: [sleep, "0.2"]}}}')" >/dev/null || fail "brief$i is not made"
  sleep "0.$i"
  k delete pod "brief$i" --wait=false >/dev/null
done
none_brief() { [ -z "$(k get pods -o name | grep brief)" ]; }
wait_for 60 "pods deleted at any step of their start are gone" none_brief
expect "all go" k delete pod --all --timeout=90s
nothing_left() { [ -z "$(on n1 sh -c "ls $E2E_DIR/n1/data/agent/pods $E2E_DIR/n1/data/agent/containers 2>/dev/null | grep -v :")" ] && [ -z "$(find /sys/fs/cgroup -path "*$E2E_CGROUP/n1/kubepods*/pod*" -type d 2>/dev/null | head -1)" ]; }
wait_for 30 "and leave nothing" nothing_left

say "another image"
expect "a pod" k create -f - <<<"$(busybox_pod swap 'sleep 1000')"
wait_for 30 "it runs" phase swap Running
expect "it is given another image" k patch pod swap --type strategic -p '{"spec": {"containers": [{"name": "main", "image": "busybox:nosuch"}]}}'
wait_for 30 "its container ends for it" event_of swap 'Killing: Container main definition changed, will be restarted'
expect "and back" k patch pod swap --type strategic -p '{"spec": {"containers": [{"name": "main", "image": "busybox:e2e"}]}}'
wait_for 40 "it runs again" is 1 pod/swap '.status.containerStatuses[0].restartCount'
