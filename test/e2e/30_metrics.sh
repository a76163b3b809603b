# What nodes, pods and containers use: the node agent's pages, metrics.k8s.io, kubectl top (ours and a real one), and an autoscaler that
# takes a busy deployment up and back.
host_up n1 10
choose_kubectl top autoscale scale
busybox_image n1
server_up n1
curl=$(command -v curl) || skip "no curl on this machine"

page() { k get --raw "/api/v1/nodes/n1/proxy/$1"; }
page_says() { local got; got=$(page "$1") || return 1; case $got in *"$2"*) ;; *) echo "no $2 in ${got:0:600}"; return 1 ;; esac; }
top_says() { local got; got=$(k top "${@:2}") || { echo "$got"; return 1; }; case $got in *"$1"*) ;; *) echo "$got"; return 1 ;; esac; }

say "a busy and an idle pod"
expect "busy" k create -f - <<<"$(busybox_pod busy 'while :; do i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; done' | sed 's/    image:/    resources: {limits: {cpu: 200m, memory: 32Mi}}\n    image:/')"
expect "idle" k create -f - <<<"$(busybox_pod idle 'trap "exit 0" TERM; while :; do sleep 1; done')"
must 20 "busy runs" phase busy Running
must 20 "idle runs" phase idle Running

say "the node agent's pages"
must 20 "a container's CPU" page_says metrics/cadvisor 'container="main",id="/kubepods/'
out=$(page metrics/cadvisor)
says 'container_memory_working_set_bytes{container="main"' 'container_memory_rss{' 'container_network_receive_bytes_total{interface="eth0"' 'container_spec_memory_limit_bytes{' 'machine_cpu_cores{' 'container_fs_usage_bytes{'
out=$(page metrics/resource)
says 'container_cpu_usage_seconds_total{container="main",namespace="default",pod="busy"}' 'node_memory_working_set_bytes ' 'pod_memory_working_set_bytes{namespace="default",pod="idle"}'
out=$(page metrics)
says 'kubelet_node_name{node="n1"} 1' 'process_cpu_seconds_total'
out=$(page stats/summary)
says '"nodeName":"n1"' '"usageNanoCores":' '"rxBytes":' '"ephemeral-storage":'

say "who may read them at the node itself"
kubelet() { on n1 "$curl" -sk --max-time 10 -o "$E2E_DIR/answer" -w '%{http_code}' ${1:+-H "Authorization: Bearer $1"} "https://192.0.2.10:10250/$2"; }
same "nobody" 401 "$(kubelet '' metrics)"
same "a bad token" 401 "$(kubelet none metrics)"
expect "an account" k create serviceaccount scraper
token=$(k create token scraper)
same "an account without rights" 403 "$(kubelet "$token" metrics/cadvisor)"
expect "its role" k create clusterrole scraper --verb=get --resource=nodes/metrics
expect "its binding" k create clusterrolebinding scraper --clusterrole=scraper --serviceaccount=default:scraper
allowed() { [ "$(kubelet "$token" metrics/cadvisor)" = 200 ]; }
wait_for 60 "the account with them" allowed
same "and no more" 403 "$(kubelet "$token" containerLogs/default/idle/main)"

say "metrics.k8s.io"
expect "it is discovered" k api-resources --api-group=metrics.k8s.io
says NodeMetrics PodMetrics
expect "a node" k get --raw /apis/metrics.k8s.io/v1beta1/nodes/n1
says '"kind":"NodeMetrics"' '"window":' '"cpu":"'
expect "pods by label" k get --raw '/apis/metrics.k8s.io/v1beta1/pods?labelSelector=none%3Dsuch'
says '"items":[]'
expect "a role binding" k create rolebinding reader --clusterrole=view --serviceaccount=default:scraper
may_read() { k get --raw /apis/metrics.k8s.io/v1beta1/namespaces/default/pods --as system:serviceaccount:default:scraper; }
wait_for 20 "who may view may see usage" may_read
refuse "of its namespace only" k get --raw /apis/metrics.k8s.io/v1beta1/nodes --as system:serviceaccount:default:scraper

say "kubectl top"
wait_for 20 "pods" top_says busy pod
for which in bundled $(real_kubectl || true); do
  use_kubectl "$which"
  expect "nodes ($which)" k top node
  says 'CPU(cores)' 'MEMORY(bytes)' n1
  expect "containers ($which)" k top pod busy --containers
  says POD main
  expect "of all namespaces ($which)" k top pod -A --sort-by=cpu --no-headers
  same "the busiest comes first ($which)" "default busy" "$(awk 'NR == 1 {print $1, $2}' <<<"$out")"
  expect "sum ($which)" k top pod --sum
  says ________
  refuse "a pod that is not there ($which)" k top pod none
  says 'not found'
done
choose_kubectl top autoscale scale
measured() { local m; m=$(k top pod busy --no-headers | awk '{sub("m","",$2); print $2}'); [ "${m:-0}" -ge 50 ] && [ "$m" -le 400 ] || { echo "${m}m"; return 1; }; }
wait_for 30 "its limit of 200m shows" measured
expect "end of both" k delete pod busy idle --wait=false

say "an autoscaler takes a deployment up while it is busy, and back"
mkdir -p "$E2E_DIR/work"
expect "deployment" k create -f - <<END
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      volumes: [{name: work, hostPath: {path: $E2E_DIR/work, type: Directory}}]
      containers:
      - name: main
        image: busybox:e2e
        resources: {requests: {cpu: 50m}, limits: {cpu: 100m}}
        volumeMounts: [{name: work, mountPath: /work}]
        command: [sh, -c, "trap 'exit 0' TERM; while :; do if [ -e /work/busy ]; then i=0; while [ \$i -lt 5000 ]; do i=\$((i+1)); done; else sleep 0.5; fi; done"]
END
touch "$E2E_DIR/work/busy"
expect "autoscaler" k create -f - <<END
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 1
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}]
  behavior: {scaleDown: {stabilizationWindowSeconds: 0}, scaleUp: {stabilizationWindowSeconds: 0}}
END
wait_for 120 "up" is 3 deployment/web .spec.replicas
expect "it says why" k describe hpa web
says 'resource cpu on pods  (as a percentage of request):' SuccessfulRescale 'cpu resource utilization (percentage of request) above target' 'Stabilization Window: 0 seconds'
expect "get" k get hpa web
says Deployment/web 'cpu: ' /60%
rm "$E2E_DIR/work/busy"
wait_for 180 "and back" is 1 deployment/web .spec.replicas
limited() { [ "$(field hpa/web '.status.conditions[?(@.type=="ScalingActive")].status}{.status.conditions[?(@.type=="AbleToScale")].status')" = TrueTrue ]; }
wait_for 30 "its conditions are good" limited

say "what cannot be had is told"
expect "one for what is not there" k autoscale deployment web --name=lost --max=2 --cpu=50% --dry-run=server
expect "deployment without requests" k create deployment bare --image=busybox:e2e -- sleep 1000
expect "autoscale it" k autoscale deployment bare --max=4 --cpu=50%
told() { local got; got=$(k get hpa bare -o yaml); case $got in *FailedGetResourceMetric*) ;; *) echo "$got"; return 1 ;; esac; }
wait_for 60 "no requests" told
expect "the events" k describe hpa bare
says FailedComputeMetricsReplicas
