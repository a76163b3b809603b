# A host whose kernel lacks the memory cgroup: k8lite says so, runs what needs no limit, and refuses to pretend otherwise.
all=$E2E_HIERARCHIES
case $all in *memory*) ;; *) skip "this machine's cgroups are not v1 with a memory hierarchy of its own" ;; esac
E2E_HIERARCHIES=$(printf '%s\n' $all | grep -v '/memory$')
export E2E_HIERARCHIES
host_up n1 10
choose_kubectl describe
busybox_image n1
server_up n1
E2E_HIERARCHIES=$all
expect "the log names it" grep 'the kernel gives no memory cgroup' "$E2E_DIR/n1/server.log"
says cgroup_enable=memory
node_event() { k get events -A | grep MissingCgroups; }
wait_for 5 "an event of the node does too" node_event
expect "a pod with a limit" k create -f - <<'END'
apiVersion: v1
kind: Pod
metadata: {name: limited}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: "k8lite/echoserver:1.0", resources: {limits: {memory: 50Mi, cpu: 500m}}}]
END
wait_for 10 "runs all the same" phase limited Running
expect "delete" k delete pod limited
