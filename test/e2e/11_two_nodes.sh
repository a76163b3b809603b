# A second machine joins: bad tokens are refused in words, pods of both nodes reach each other and every service, a killed agent adopts
# its pods, a cut link makes its node NotReady and loses nothing.
host_up n1 10
host_up n2 20
choose_kubectl logs exec
busybox_image n1
busybox_image n2
server_up n1
server=https://192.0.2.10:6443
token=$(cat "$E2E_DIR/n1/data/server/token")
secret=${token##*:}

# agent_says 'text' FLAG…: the agent ends at once with exit code 1 and this text.
agent_says() {
  local text=$1 code
  shift
  checks=$((checks + 1))
  out=$(on n2 timeout 10 "$E2E_BINARY" agent --data-dir "$E2E_DIR/n2/data" "$@" 2>&1)
  code=$?
  same "exit code of agent $*" 1 $code
  says "$text"
}
say "what does not join"
agent_says '--server is required' --token "$secret"
agent_says '--token is required' --server $server
agent_says 'https URL' --server http://192.0.2.10:6443 --token "$secret"
agent_says 'does not know the token' --server $server --token wrong
agent_says 'is not this cluster' --server $server --token "${token%%::*}::server:wrong"
agent_says 'another cluster' --server $server --token "K10$(printf '0%.0s' $(seq 64))::server:$secret"
agent_says 'token' --server $server --token K10abc
agent_says node-name --server $server --token "$secret" --node-name Bad_Name
agent_says 'belongs to another machine' --server $server --token "$secret" --node-name n1
refuse "none of them is a node" k get node n2

say "joins"
# agent_start FLAG…: on n2, in the background.
agent_start() {
  (
    for mount in $E2E_HIERARCHIES; do echo $BASHPID >"$mount/$E2E_CGROUP/n2/cgroup.procs"; done 2>/dev/null
    on_exec n2 "$E2E_BINARY" agent --data-dir "$E2E_DIR/n2/data" --server $server --node-name n2 "$@" >>"$E2E_DIR/n2/agent.log" 2>&1
  ) &
  server_pid[n2]=$!
}
agent_start --token "$secret" --node-label shelf=low
must 20 "n2 is Ready" node_ready n2
expect "both nodes" k get nodes -o wide
says n1 n2 192.0.2.10 192.0.2.20
same "its label" low "$(field node/n2 .metadata.labels.shelf)"
same "the pod networks" "10.42.0.0/24 10.42.1.0/24" "$(k get nodes -o 'jsonpath={.items[*].spec.podCIDR}')"
checks=$((checks + 1))
out=$(on n1 timeout 10 "$E2E_BINARY" agent --data-dir "$E2E_DIR/n1/other" --server $server --token "$secret" --node-name n2 2>&1) && fail "a second machine took the name n2"
says 'belongs to another machine'

say "pods on both"
web_pod() {
  cat <<END2
apiVersion: v1
kind: Pod
metadata: {name: $1, labels: {app: web}}
spec:
  nodeName: $2
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: busybox:e2e
    command: [sh, -c, "mkdir /tmp/w; echo \$HOSTNAME > /tmp/w/index.html; head -c 3000000 /dev/zero > /tmp/w/big; echo up on $2; exec httpd -f -p 80 -h /tmp/w"]
    readinessProbe: {tcpSocket: {port: 80}, periodSeconds: 1}
END2
}
expect "a pod on n1" k create -f - <<<"$(web_pod a n1)"
expect "a pod on n2" k create -f - <<<"$(web_pod b n2)"
expect "their service" k create -f - <<'END2'
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, nodePort: 30080}]}
END2
ready_pods() { local n; n=$(k get endpointslice -l kubernetes.io/service-name=web -o 'jsonpath={.items[*].endpoints[?(@.conditions.ready==true)].addresses[0]}' | wc -w); [ "$n" = "$1" ] || { echo "$n endpoints"; return 1; }; }
must 15 "a runs" phase a Running
must 15 "b runs" phase b Running
wait_for 10 "both are endpoints" ready_pods 2
ip_a=$(field pod/a .status.podIP) ip_b=$(field pod/b .status.podIP) ip=$(field service/web .spec.clusterIP)
same "addresses of their nodes' networks" "10.42.0 10.42.1" "${ip_a%.*} ${ip_b%.*}"
fetch() { timeout 3 busybox wget -qO- "$@"; }
in_pod() { local pod=$1; shift; timeout 8 "${k_on_n1[@]}" exec "$pod" -- timeout 3 "$@"; }
k_on_n1=(nsenter -t "${host_pid[n1]}" --mount --net --uts env KUBECONFIG="$KUBECONFIG" "${kubectl_command[@]}")
expect "a reaches b" in_pod a wget -qO- "http://$ip_b/"
same "its answer" b "$out"
expect "b reaches a" in_pod b wget -qO- "http://$ip_a/"
same "its answer" a "$out"
expect "big answers pass" in_pod a sh -c "wget -qO- http://$ip_b/big | wc -c"
same "all of it" 3000000 "$out"
expect "n1 reaches b" on n1 timeout 3 busybox wget -qO- "http://$ip_b/"
expect "n2 reaches a" on n2 timeout 3 busybox wget -qO- "http://$ip_a/"
# Both answer within 40 requests.
both_answer() {
  local i names
  names=$(for i in $(seq 40); do "$@" 2>&1; done | sort -u | xargs)
  [ "$names" = "a b" ] || { echo "answered: $names"; return 1; }
}
for from in n1 n2; do expect "the ClusterIP on $from reaches both" both_answer on $from timeout 3 busybox wget -qO- "http://$ip/"; done
for at in 10 20; do expect "the NodePort of 192.0.2.$at reaches both" both_answer fetch "http://192.0.2.$at:30080/"; done
for pod in a b; do
  expect "the name in $pod" in_pod $pod wget -qO- http://web/
  expect "the long name in $pod" in_pod $pod wget -qO- http://web.default.svc.cluster.local/
  expect "the API's name in $pod" in_pod $pod nslookup kubernetes.default.svc.cluster.local
  says 10.43.0.1
done
expect "logs of a pod on n2" k logs b
says 'up on n2'
expect "the scheduler uses both" k create deployment spread --image=k8lite/echoserver:1.0 --replicas=4
wait_for 15 "four run" is 4 deployment/spread .status.readyReplicas
same "nodes of its pods" "n1 n2" "$(k get pod -l app=spread -o 'jsonpath={.items[*].spec.nodeName}' | xargs -n1 | sort -u | xargs)"
expect "delete it" k delete deployment spread

say "the agent is killed and comes back"
expect "a pod that counts" k create -f - <<<"$(busybox_pod counts 'i=0; while :; do i=$((i+1)); echo line $i; usleep 5000; done' '  nodeName: n2')"
expect "a pod that ends meanwhile" k create -f - <<<"$(busybox_pod ends 'while [ ! -e /go/now ]; do usleep 20000; done; echo last words; exit 42' '  nodeName: n2
  restartPolicy: Never
  volumes: [{name: go, hostPath: {path: '"$E2E_DIR"'/go, type: DirectoryOrCreate}}]')
    volumeMounts: [{name: go, mountPath: /go}]"
must 15 "counts runs" phase counts Running
must 15 "ends runs" phase ends Running
processes() { (pgrep -f '^httpd -f'; pgrep -of '^sh -c i=0') | xargs; }
before=$(processes)
kill9 n2
touch "$E2E_DIR/go/now"
expect "b answers without its agent" on n1 timeout 3 busybox wget -qO- "http://$ip_b/"
sleep 1
agent_start --token "$token"
wait_for 15 "ends has Failed" phase ends Failed
same "its exit code" 42 "$(field pod/ends '.status.containerStatuses[0].state.terminated.exitCode')"
expect "its log" k logs ends
says 'last words'
same "the same processes run" "$before" "$(processes)"
same "restarts" "0 0" "$(field pod/counts '.status.containerStatuses[0].restartCount') $(field pod/b '.status.containerStatuses[0].restartCount')"
k logs counts >"$E2E_DIR/counts.log"
same "lines that are missing or twice in counts' log" "" "$(awk '$1 != "line" || $2 != NR {print NR ": " $0; exit}' "$E2E_DIR/counts.log")"
expect "exec works again" in_pod b cat /tmp/w/index.html
same "its answer" b "$out"

say "an agent that waits for its server can be stopped"
kill9 n1
stop n2
agent_start --token "$token"
sleep 0.5
begin=$(now_ms)
stop n2
took=$(($(now_ms) - begin))
checks=$((checks + 1))
[ $took -lt $(patient 2000) ] || fail "stopping took $took ms"
agent_start --token "only-for-agents"
server_up n1 --agent-token "only-for-agents"
wait_for 20 "n2 serves again" k logs b --tail=1
expect "n2 has been Ready all along" node_ready n2
same "restarts" 0 "$(field pod/counts '.status.containerStatuses[0].restartCount')"

say "the link is cut"
not_ready() { ! node_ready "$1"; }
cut=$(now_ms)
ip link set v-n2 down
must 60 "n2 is NotReady" not_ready n2
echo "NotReady after $(($(now_ms) - cut)) ms"
expect "why" k get node n2 -o 'jsonpath={.status.conditions[?(@.type=="Ready")].reason}'
says NodeStatusUnknown
wait_for 5 "its pod is no endpoint any more" ready_pods 1
for i in 1 2 3 4 5 6; do expect "the service answers on n1" on n1 timeout 3 busybox wget -qO- "http://$ip/"; done
refuse "logs of a pod over there" timeout 15 "${k_on_n1[@]}" logs b --tail=1
mended=$(now_ms)
ip link set v-n2 up
wait_for 25 "n2 is Ready again" node_ready n2
echo "Ready again after $(($(now_ms) - mended)) ms"
wait_for 10 "its pod is an endpoint again" ready_pods 2
same "no taint is left" "" "$(field node/n2 .spec.taints)"
same "the same pods, not restarted" "0 0" "$(field pod/counts '.status.containerStatuses[0].restartCount') $(field pod/b '.status.containerStatuses[0].restartCount')"
wait_for 5 "a reaches b" in_pod a wget -qO- "http://$ip_b/"
expect "a pod of before can be deleted" k delete pod counts --grace-period=1
expect "and a new one runs there" k create -f - <<<"$(busybox_pod again 'echo here; sleep 1000' '  nodeName: n2')"
wait_for 10 "it runs" logs_say again here
