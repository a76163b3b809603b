# DaemonSets, StatefulSets, Jobs, CronJobs and ReplicationControllers: made, rolled, undone, scaled, ended, and kept over a kill of the server.
host_up n1 10
choose_kubectl rollout scale set
busybox_image n1
server_up n1

workload() { # KIND NAME 'further lines of the spec, indented by two' 'script'
  cat <<END
apiVersion: apps/v1
kind: $1
metadata: {name: $2}
spec:
  selector: {matchLabels: {app: $2}}
$3
  template:
    metadata: {labels: {app: $2}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: "busybox:e2e", command: [sh, -c, $(yaml_quote "$4")]}]
END
}
job() { # NAME 'further lines of the spec' 'script'
  cat <<END
apiVersion: batch/v1
kind: Job
metadata: {name: $1}
spec:
$2
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: "busybox:e2e", command: [sh, -c, $(yaml_quote "$3")]}]
END
}
forever='trap "exit 0" TERM; while :; do sleep 0.1; done'

say "create them all"
expect "daemon set" k apply -f - <<<"$(workload DaemonSet logger "" "$forever")"
expect "stateful set" k apply -f - <<<"$(workload StatefulSet db "  replicas: 3
  serviceName: db" "$forever")"
expect "its service" k create service clusterip db --clusterip=None --tcp=8080
expect "replication controller" k create -f - <<END
apiVersion: v1
kind: ReplicationController
metadata: {name: old}
spec:
  replicas: 2
  template:
    metadata: {labels: {app: old}}
    spec: {terminationGracePeriodSeconds: 1, containers: [{name: main, image: "busybox:e2e", command: [sleep, "1000"]}]}
END
expect "job" k create -f - <<<"$(job five "  completions: 5
  parallelism: 2" 'echo done')"
expect "indexed job" k create -f - <<<"$(job indexed "  completions: 3
  parallelism: 3
  completionMode: Indexed
  ttlSecondsAfterFinished: 1" 'echo $JOB_COMPLETION_INDEX $(hostname)')"
expect "failing job" k create -f - <<<"$(job fails "  backoffLimit: 0" 'exit 3')"
expect "late job" k create -f - <<<"$(job late "  activeDeadlineSeconds: 2" 'sleep 1000')"
expect "cron job" k create -f - <<END
apiVersion: batch/v1
kind: CronJob
metadata: {name: tick}
spec:
  schedule: "@every 2s"
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: "busybox:e2e", command: [echo, tick]}]}}}}
END
refuse "a schedule that is none" k create -f - <<<'{"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"x"},"spec":{"schedule":"61 * * * *","jobTemplate":{"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"x"}]}}}}}}'
says 'spec.schedule' 'minute 61'

say "stateful set"
wait_for 15 "three pods in order" is 3 statefulset/db .status.readyReplicas
same "their names" "db-0 db-1 db-2" "$(k get pods -l app=db -o 'jsonpath={.items[*].metadata.name}')"
same "their host names" db-1 "$(k exec db-1 -- hostname)"
resolves() { k exec db-0 -- nslookup db-2.db.default.svc.cluster.local; }
wait_for 5 "they find each other" resolves
expect "a new template" k set env statefulset/db VERSION=2
expect "it rolls" k rollout status statefulset/db --timeout=30s
same "all are new" "2 2 2" "$(k get pods -l app=db -o 'jsonpath={.items[*].spec.containers[0].env[0].value}')"
expect "undo" k rollout undo statefulset/db
expect "it rolls back" k rollout status statefulset/db --timeout=30s
same "all are old again" "" "$(k get pods -l app=db -o 'jsonpath={.items[*].spec.containers[0].env[0].value}')"
expect "fewer" k scale statefulset db --replicas=1
wait_for 10 "the last ones go" gone pod db-1
same "the first stays" Running "$(field pod/db-0 .status.phase)"

say "daemon set"
wait_for 10 "a pod a node" is 1 daemonset/logger .status.numberReady
before=$(k get pods -l app=logger -o 'jsonpath={.items[0].metadata.name}')
expect "a new template" k set env daemonset/logger VERSION=2
expect "it rolls" k rollout status daemonset/logger --timeout=20s
gone pod "$before" || fail "the old pod is still there"
expect "a node that it shall not be on" k label node n1 spare=yes
expect "only on others" k patch daemonset logger -p '{"spec":{"template":{"spec":{"nodeSelector":{"spare":"no"}}}}}'
wait_for 10 "none is wanted" is 0 daemonset/logger .status.desiredNumberScheduled
no_pods() { [ -z "$(k get pods -l "app=$1" -o name)" ]; }
wait_for 10 "its pod goes" no_pods logger

say "jobs"
finished() { is True "job/$1" ".status.conditions[?(@.type==\"$2\")].status"; }
wait_for 15 "five" finished five Complete
same "five succeeded" 5 "$(field job/five .status.succeeded)"
same "five pods" 5 "$(k get pods -l job-name=five -o name | wc -l)"
same "without finalizers" "" "$(k get pods -l job-name=five -o 'jsonpath={.items[*].metadata.finalizers}')"
wait_for 15 "the limit" finished fails Failed
same "why" BackoffLimitExceeded "$(field job/fails '.status.conditions[?(@.type=="Failed")].reason')"
wait_for 15 "the deadline" finished late Failed
same "why" DeadlineExceeded "$(field job/late '.status.conditions[?(@.type=="Failed")].reason')"
wait_for 15 "an ended job goes in its time" gone job indexed
wait_for 10 "and its pods" no_pods indexed
ticked() { [ "$(k get jobs -o name | grep -c job.batch/tick-)" -ge 1 ]; }
wait_for 10 "the cron job made one" ticked
expect "suspend" k patch cronjob tick -p '{"spec":{"suspend":true}}'

say "replication controller"
wait_for 10 "two" is 2 replicationcontroller/old .status.readyReplicas
lost=$(k get pods -l app=old -o 'jsonpath={.items[0].metadata.name}')
expect "one is let go" k label pod "$lost" app=mine --overwrite
replaced() { [ "$(k get pods -l app=old -o name | wc -l)" = 2 ]; }
wait_for 10 "another is made" replaced
same "the one let go has no owner" "" "$(field "pod/$lost" '.metadata.ownerReferences')"

say "a killed server counts no pod twice"
expect "a job" k create -f - <<<"$(job counted "  completions: 12
  parallelism: 4" 'sleep 0.3')"
for _ in 1 2 3; do
  sleep 0.5
  restart n1
done
wait_for 30 "it ends" finished counted Complete
same "succeeded" 12 "$(field job/counted .status.succeeded)"
same "failed" "" "$(field job/counted .status.failed)"
same "pods" 12 "$(k get pods -l job-name=counted -o name | wc -l)"

say "a disruption budget"
expect "a deployment" k create deployment guarded --image=k8lite/echoserver:1.0 --replicas=2
expect "it comes up" k rollout status deployment/guarded --timeout=20s
expect "its budget" k create -f - <<<'{"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"guarded"},"spec":{"minAvailable":2,"selector":{"matchLabels":{"app":"guarded"}}}}'
wait_for 5 "it counts" is 2 poddisruptionbudget/guarded .status.currentHealthy
victim=$(k get pods -l app=guarded -o 'jsonpath={.items[0].metadata.name}')
raw=$(real_kubectl) || raw=
evict() { on n1 env KUBECONFIG="$KUBECONFIG" "$raw" create --raw "/api/v1/namespaces/default/pods/$victim/eviction" -f - <<<"{\"apiVersion\":\"policy/v1\",\"kind\":\"Eviction\",\"metadata\":{\"name\":\"$victim\"}$1}"; }
if [ -n "$raw" ]; then
  refuse "none may go" evict ""
  says "violate the pod's disruption budget"
  expect "one may" k patch poddisruptionbudget guarded --type=merge -p '{"spec":{"minAvailable":1}}'
  wait_for 5 "one is allowed" is 1 poddisruptionbudget/guarded .status.disruptionsAllowed
  expect "a rehearsal" evict ',"deleteOptions":{"dryRun":["All"]}'
  same "changes nothing" "1 " "$(field poddisruptionbudget/guarded .status.disruptionsAllowed) $(field "pod/$victim" .metadata.deletionTimestamp)"
  expect "it goes" evict ""
fi
expect "delete" k delete deployment,poddisruptionbudget guarded

say "delete"
expect "with their pods" k delete statefulset,daemonset,job,cronjob,replicationcontroller --all
for app in db logger old; do wait_for 15 "pods of $app go" no_pods $app; done
