# kubectl debug: ephemeral containers in a running pod, into another container's processes; pods whose containers share their processes.
host_up n1 10
choose_kubectl exec attach
busybox_image n1
server_up n1
debug=$(real_kubectl) || skip "no kubectl with debug on this machine"
kd() { on n1 env KUBECONFIG="$KUBECONFIG" "$debug" "$@"; }
ephemeral() { is "$2" "pod/$1" ".status.ephemeralContainerStatuses[0].state.$3"; }

expect "web" k create -f - <<<"$(busybox_pod web 'touch /only-here; exec sleep 4711')"
expect "together" k create -f - <<'END'
apiVersion: v1
kind: Pod
metadata: {name: together}
spec:
  shareProcessNamespace: true
  terminationGracePeriodSeconds: 5
  containers:
  - {name: a, image: "busybox:e2e", command: [sleep, "4712"]}
  - {name: b, image: "busybox:e2e", command: [sh, -c, "sleep 4713 & exec sleep 4714"]}
END
for pod in web together; do wait_for 15 "$pod runs" phase $pod Running; done

say "debug"
same "it sees the processes of its target" 1 "$(kd debug web -q -i --image=busybox:e2e --target=main -c look -- sh -c 'ps -o pid,args | grep -c "^ *1 slee[p] 4711"' 2>/dev/null | tr -d '\r')"
wait_for 5 "it has ended" ephemeral web Completed terminated.reason
same "and its files" only-here "$(kd debug web -q -i --image=busybox:e2e --target=main -- ls /proc/1/root/ 2>/dev/null | grep only)"
expect "one that stays" kd debug web --image=busybox:e2e -c stays -- sleep 1000
runs() { k exec web -c stays -- true; }
wait_for 5 "exec into it" runs
same "not its target's processes" 0 "$(k exec web -c stays -- ps | grep -c 4711)"
same "the network is the pod's" "$(k exec web -c main -- hostname -i)" "$(k exec web -c stays -- hostname -i)"
same "no restart of the pod's own" 0 "$(field pod/web '.status.containerStatuses[0].restartCount')"
expect "events" k get events --field-selector involvedObject.name=web -o 'jsonpath={.items[*].involvedObject.fieldPath}'
says 'spec.ephemeralContainers{stays}'
say "after a restart of the server it runs on"
kill9 n1
server_up n1
wait_for 5 "exec into it" runs

say "shareProcessNamespace"
same "they see each other" 3 "$(k exec together -c a -- ps -o args | grep -c '^sleep 471[234]')"
same "process 1" /pause "$(k exec together -c b -- ps -o pid,args | awk '$1 == 1 {print $2}')"
expect "a signal to another's process" k exec together -c a -- sh -c 'kill $(ps -o pid,args | grep "sleep 471[4]" | xargs | cut -d" " -f1)'
restarted() { [ "$(field pod/together '.status.containerStatuses[?(@.name=="b")].restartCount')" = 1 ]; }
wait_for 10 "b is restarted" restarted
same "what it left behind is gone" 1 "$(k exec together -c a -- ps -o args | grep -c '^sleep 4713')"
begin=$(now_ms)
expect "delete" k delete pod together
took=$(($(now_ms) - begin))
[ $took -lt $(patient 3000) ] || fail "processes that die of SIGTERM took $took ms"
expect "delete" k delete pod web --grace-period=1
nothing_runs() { ! pgrep -axf 'sleep 471.'; }
wait_for 5 "nothing runs any more" nothing_runs
