# A machine goes away: its node turns NotReady, pods that tolerate that for a second only are evicted and replaced elsewhere, others stay;
# when it comes back, what ran there for nobody ends. Meanwhile a controller, jobs and a cron job of the samples do their work.
. "$E2E_HERE/../workloads/lib.sh"
host_up n1 10
host_up n2 20
choose_kubectl rollout scale expose
program_images n1 nginx
program_images n2 nginx
busybox_image n1
busybox_image n2
server_up n1
agent_up n2

say "pods on both machines"
away='{key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 1}, {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 1}'
expect "all" k apply -f - <<END
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      tolerations: [$away]
      topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: web}}}]
      containers: [{name: nginx, image: "nginx:e2e", readinessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 1}}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {name: agent}}
  template:
    metadata: {labels: {name: agent}}
    spec:
      terminationGracePeriodSeconds: 1
      tolerations: [{key: node-role.kubernetes.io/control-plane, operator: Exists, effect: NoSchedule}]
      containers: [{name: main, image: "busybox:e2e", command: [sh, -c, "trap 'exit 0' TERM; while :; do sleep 0.5; done"], volumeMounts: [{name: log, mountPath: /var/log}]}]
      volumes: [{name: log, hostPath: {path: /var/log}}]
---
apiVersion: v1
kind: Pod
metadata: {name: patient}
spec:
  nodeName: n2
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: "busybox:e2e", command: [sleep, "1000"]}]
END
must 30 "four serve" is 4 deployment/web .status.readyReplicas
must 30 "one of the agent on each" is 2 daemonset/agent .status.numberReady
must 20 "the patient one runs" phase patient Running
expect "service" k expose deployment web --port=80
wait_for 15 "four endpoints" has_endpoints web 4
ip=$(field service/web .spec.clusterIP)
nodes_of() { k get pods -l "$1" -o 'jsonpath={range .items[*]}{.spec.nodeName}{"\n"}{end}' | sort | uniq -c | xargs; }
same "two each" "2 n1 2 n2" "$(nodes_of app=web)"
uid=$(field pod/patient .metadata.uid)

say "n2 is cut off"
ip link set v-n2 down
cut=$(now_ms)

say "samples meanwhile"
expect "controller" k create -f - <<'END'
apiVersion: v1
kind: ReplicationController
metadata: {name: nginx}
spec:
  replicas: 3
  selector: {app: nginx}
  template:
    metadata: {name: nginx, labels: {app: nginx}}
    spec:
      nodeSelector: {kubernetes.io/hostname: n1}
      containers: [{name: nginx, image: "nginx:e2e", ports: [{containerPort: 80}]}]
END
expect "a job that computes" k create -f - <<'END'
apiVersion: batch/v1
kind: Job
metadata: {name: pi}
spec:
  backoffLimit: 4
  template:
    spec:
      restartPolicy: Never
      nodeName: n1
      containers: [{name: pi, image: "busybox:e2e", command: [sh, -c, "echo 'scale=40; 4*a(1)' | bc -l"]}]
END
expect "one that gives up" k create -f - <<'END'
apiVersion: batch/v1
kind: Job
metadata: {name: never}
spec:
  backoffLimit: 1
  template:
    spec:
      restartPolicy: Never
      nodeName: n1
      containers: [{name: main, image: "busybox:e2e", command: [sh, -c, "echo tried; exit 7"]}]
END
expect "a cron job" k create cronjob hello --image=busybox:e2e --schedule='*/1 * * * *' -- sh -c 'date; echo hello from the cluster'
expect "one by hand" k create job by-hand --from=cronjob/hello
ends() { is True "job/$1" ".status.conditions[?(@.type==\"$2\")].status"; }
wait_for 20 "the controller's three" is 3 replicationcontroller/nginx .status.readyReplicas
expect "scale" k scale replicationcontroller nginx --replicas=1
wait_for 20 "one is left" is 1 replicationcontroller/nginx .status.replicas
wait_for 20 "pi" ends pi Complete
expect "its answer" k logs job/pi
says 3.14159265358979323846264338327950288419
wait_for 40 "never" ends never Failed
same "tried twice" 2 "$(k get pods -l job-name=never -o name | wc -l)"
expect "delete the controller" k delete replicationcontroller nginx

say "NotReady"
not_ready() { ! node_ready n2; }
must 60 "n2 is NotReady" not_ready
echo "after $(($(now_ms) - cut)) ms"
same "its taint" "NoExecute NoSchedule" "$(k get node n2 -o 'jsonpath={.spec.taints[?(@.key=="node.kubernetes.io/unreachable")].effect}' | xargs -n1 | sort | xargs)"
expect "table" k get nodes
says NotReady
replaced() { [ "$(k get pods -l app=web --field-selector=spec.nodeName=n1 -o 'jsonpath={.items[*].status.containerStatuses[0].ready}')" = "true true true true" ]; }
wait_for 30 "four serve on n1" replaced
wait_for 20 "and are the endpoints" has_endpoints web 4
for _ in 1 2 3 4 5; do expect "they answer" get n1 "http://$ip/"; done
same "its old pods wait for their machine" 2 "$(k get pods -l app=web --field-selector=spec.nodeName=n2 -o 'jsonpath={range .items[*]}{.metadata.deletionTimestamp}{"\n"}{end}' | grep -c .)"
same "the agent's pod stays" "" "$(k get pods -l name=agent --field-selector=spec.nodeName=n2 -o 'jsonpath={.items[0].metadata.deletionTimestamp}')"
same "the patient one too" "$uid " "$(field pod/patient .metadata.uid) $(field pod/patient .metadata.deletionTimestamp)"
same "not ready" False "$(field pod/patient '.status.conditions[?(@.type=="Ready")].status')"

say "n2 comes back"
ip link set v-n2 up
wait_for 40 "n2 is Ready" node_ready n2
wait_for 30 "the old pods go" sh -c '[ -z "$("$@")" ]' - nsenter -t "${host_pid[n1]}" --mount --net env KUBECONFIG="$KUBECONFIG" "${kubectl_command[@]}" get pods -l app=web --field-selector=spec.nodeName=n2 -o name
same "four and no more" "4 n1" "$(nodes_of app=web)"
wait_for 20 "the patient one is ready again" is True pod/patient '.status.conditions[?(@.type=="Ready")].status'
same "the same, not restarted" "$uid 0" "$(field pod/patient .metadata.uid) $(field pod/patient '.status.containerStatuses[0].restartCount')"
wait_for 20 "the agent on both" is 2 daemonset/agent .status.numberReady
ticked() { k get jobs -o name | grep -q 'hello-[0-9]'; }
wait_for 30 "the cron job has run by now" ticked

say "delete"
expect "all" k delete deployment,daemonset,cronjob,job,service --all
expect "the patient one" k delete pod patient
pods_gone() { local got; got=$(k get pods -o name); [ -z "$got" ] || { echo "$got"; return 1; }; }
wait_for 30 "pods go" pods_gone
for host in n1 n2; do wait_for 20 "nothing is left on $host" nothing_left $host; done
