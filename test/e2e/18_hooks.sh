# postStart and preStop hooks, the grace period, ends by liveness probes, and probes that take too long.
host_up n1 10
choose_kubectl exec describe
busybox_image n1
server_up n1

event_of() { local out; out=$(k get events --field-selector "involvedObject.name=$1" -o 'jsonpath={range .items[*]}{.reason}: {.message}{"\n"}{end}'); case $out in *"$2"*) ;; *) echo "$out"; return 1 ;; esac; }
no_event_of() { ! event_of "$@" >/dev/null; }
waiting() { is "$2" "pod/$1" '.status.containerStatuses[0].state.waiting.reason'; }
restarted() { [ "$(field "pod/$1" '.status.containerStatuses[0].restartCount')" -ge "$2" ]; }
ready() { is true "pod/$1" '.status.containerStatuses[0].ready'; }
took() { local begin; begin=$(now_ms); "${@:3}" >/dev/null 2>&1; begin=$(($(now_ms) - begin)); checks=$((checks + 1)); { [ $begin -ge "$1" ] && [ $begin -le $(patient "$2") ]; } || fail "\"${*:3}\" took $begin ms, not $1 to $2"; }
shared=$E2E_DIR/out
# hooked NAME SCRIPT LIFECYCLE [spec lines]: a busybox pod with /out of the host
hooked() {
  k create -f - <<<"$(busybox_pod "$1" "$2" "  volumes: [{name: out, hostPath: {path: $shared, type: DirectoryOrCreate}}]
${4:-}")
    volumeMounts: [{name: out, mountPath: /out}]
    ports: [{name: web, containerPort: 8080}]
    lifecycle: $3"
}
forever='while :; do sleep 0.1; done'

say "create them all"
expect "both" hooked both "trap 'echo term >>/out/both; exit 0' TERM; $forever" '{postStart: {exec: {command: [sh, -c, "until test -e /out/go; do sleep 0.1; done; echo started >>/out/both"]}}, preStop: {exec: {command: [sh, -c, "echo stopping >>/out/both; sleep 0.5; echo stopped >>/out/both"]}}}'
expect "bad start" hooked badstart "$forever" '{postStart: {exec: {command: [sh, -c, "exit 1"]}}}'
expect "bad stop" hooked badstop "$forever" '{preStop: {exec: {command: [nosuch]}}}'
expect "sleeps" hooked sleeps "trap 'exit 0' TERM; $forever" '{preStop: {sleep: {seconds: 1}}}'
expect "http" hooked http "trap 'exit 0' TERM; nc -l -p 8080 >/out/http & $forever" '{preStop: {httpGet: {path: /goodbye, port: web}}}'
expect "stubborn" hooked stubborn "trap '' TERM; $forever" '{preStop: {exec: {command: [sh, -c, "sleep 50"]}}}'
expect "signal" hooked signal "trap 'echo usr1 >/out/signal; exit 0' USR1; trap 'echo term >/out/signal' TERM; $forever" '{stopSignal: SIGUSR1}' '  os: {name: linux}'
expect "dies" hooked dies "trap '' TERM; $forever" '{preStop: {exec: {command: [sh, -c, "echo bye >>/out/dies"]}}}
    livenessProbe: {exec: {command: [sh, -c, "! test -e /tmp/dead"]}, periodSeconds: 1, failureThreshold: 1, terminationGracePeriodSeconds: 1}'
expect "slow probe" hooked slowprobe "$forever" '{}
    readinessProbe: {exec: {command: [sleep, "777"]}, periodSeconds: 1, timeoutSeconds: 1}'
expect "much from a probe" hooked muchprobe "$forever" '{}
    readinessProbe: {exec: {command: [sh, -c, "head -c 1000000 /dev/zero"]}, periodSeconds: 1}'
expect "turns ready" hooked turns "$forever" '{}
    readinessProbe: {exec: {command: [test, -e, /tmp/ready]}, periodSeconds: 1}'
expect "second container" k create -f - <<END
apiVersion: v1
kind: Pod
metadata: {name: order}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{name: out, hostPath: {path: $shared}}]
  containers:
  - {name: a, image: "busybox:e2e", command: [sleep, "1000"], volumeMounts: [{name: out, mountPath: /out}], lifecycle: {postStart: {exec: {command: [sh, -c, "sleep 1; echo hook >>/out/order"]}}}}
  - {name: b, image: "busybox:e2e", command: [sh, -c, "echo b >>/out/order; sleep 1000"], volumeMounts: [{name: out, mountPath: /out}]}
END

say "postStart"
wait_for 5 "it waits" waiting both ContainerCreating
same "not running before its hook has ended" "Pending" "$(field pod/both .status.phase)"
touch "$shared/go"
wait_for 10 "both runs" phase both Running
same "its hook has run" started "$(cat "$shared/both")"
wait_for 10 "the next container waits for the hook" phase order Running
wait_for 5 "the order" test "$(xargs <"$shared/order")" = "hook b"
wait_for 10 "a bad start" event_of badstart 'FailedPostStartHook: PostStartHook failed'
wait_for 5 "kills" event_of badstart 'Killing: FailedPostStartHook'
wait_for 15 "and restarts" restarted badstart 1

say "preStop"
for pod in badstop sleeps http stubborn signal; do wait_for 10 "$pod runs" phase $pod Running; done
k delete pod both --wait=false >/dev/null
k delete pod badstop --wait=false >/dev/null
k delete pod http --wait=false >/dev/null
k delete pod signal --wait=false >/dev/null
took 1000 2600 k delete pod sleeps
wait_for 5 "both is gone" gone pod both
same "the order" "started stopping stopped term" "$(xargs <"$shared/both")"
wait_for 5 "a bad stop is told" event_of badstop 'FailedPreStopHook: PreStopHook failed'
wait_for 5 "http is gone" gone pod http
expect "it was asked" grep -q '^GET /goodbye HTTP/1.1' "$shared/http"
wait_for 5 "signal is gone" gone pod signal
same "its own stop signal" usr1 "$(cat "$shared/signal")"
took 3500 6000 k delete pod stubborn
expect "too long is no failure" no_event_of stubborn FailedPreStopHook
expect "it is told" event_of stubborn 'Killing: Stopping container main'

say "liveness"
wait_for 10 "dies runs" phase dies Running
expect "it turns bad" k exec dies -- touch /tmp/dead
wait_for 10 "it is restarted" restarted dies 1
same "after its preStop hook" bye "$(cat "$shared/dies")"
expect "as events say" event_of dies 'Killing: Container main failed liveness probe, will be restarted'
same "by force" 137 "$(field pod/dies '.status.containerStatuses[0].lastState.terminated.exitCode')"
# Ends of other pods' containers of the same name change nothing of these.
expect "turns" k exec turns -- touch /tmp/ready
wait_for 5 "turns is ready" ready turns
wait_for 5 "a talkative probe succeeds" ready muchprobe
checks=$((checks + 1))
probes=$(pgrep -xc -f 'sleep 777')
[ "$probes" -le 1 ] || fail "$probes probe commands that timed out live on"
expect "an event of it" event_of slowprobe 'timed out after 1s'
