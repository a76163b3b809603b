# A Deployment behind a Service: two replicas, reached by ClusterIP and NodePort from the host, from a pod and from outside; rollout,
# scaling and deletion.
host_up n1 10
choose_kubectl scale expose rollout set describe
busybox_image n1
server_up n1

fetch() { timeout 3 busybox wget -qO- "$@"; }
ready_replicas() { is "$2" "deployment/$1" .status.readyReplicas; }
endpoints() { local n; n=$(k get endpointslice -l "kubernetes.io/service-name=$1" -o 'jsonpath={.items[*].endpoints[?(@.conditions.ready==true)].addresses[0]}' | wc -w); [ "$n" = "$2" ] || { echo "$n endpoints"; return 1; }; }
no_pods() { [ -z "$(k get pod -l app=hello -o name)" ]; }
no_slices() { [ -z "$(k get endpointslice -l kubernetes.io/service-name=hello -o name)" ]; }
# Both pods answer within 40 requests.
balanced() {
  local i names
  names=$(for i in $(seq 40); do "$@" | sed -n 's/^Hostname: //p'; done | sort -u)
  [ "$(printf '%s\n' "$names" | grep -c .)" = 2 ] || { echo "answered: $names"; return 1; }
}

expect "create" k create deployment hello --image=k8lite/echoserver:1.0 --replicas=2
expect "expose" k expose deployment hello --type=NodePort --port=8080
wait_for 15 "two replicas are ready" ready_replicas hello 2
wait_for 10 "two endpoints" endpoints hello 2
ip=$(field service/hello .spec.clusterIP)
port=$(field service/hello '.spec.ports[0].nodePort')
wait_for 10 "the ClusterIP answers on the host" on n1 timeout 3 busybox wget -qO- "http://$ip:8080/"
says 'Hostname: hello-'
expect "the NodePort answers on the host" on n1 timeout 3 busybox wget -qO- "http://192.0.2.10:$port/"
says 'Hostname: hello-'
expect "the NodePort answers on localhost" on n1 timeout 3 busybox wget -qO- "http://127.0.0.1:$port/"
expect "the NodePort answers another machine" fetch "http://192.0.2.10:$port/"
says 'Hostname: hello-'
expect "requests are spread" balanced on n1 timeout 3 busybox wget -qO- "http://$ip:8080/"
expect "a pod that asks" k create -f - <<<"$(busybox_pod asks "sleep 0.5; wget -qO- http://$ip:8080/ && wget -qO- http://\$HELLO_SERVICE_HOST:\$HELLO_SERVICE_PORT/ >/dev/null && echo by variables" '  restartPolicy: Never')"
wait_for 10 "it succeeds" phase asks Succeeded
expect "its log" k logs asks
says 'Hostname: hello-' 'by variables'
# A pod that reaches itself through its own service: hairpin.
expect "a pod behind its own service" k create -f - <<'END'
apiVersion: v1
kind: Pod
metadata: {name: self, labels: {app: self}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: "busybox:e2e", command: [sh, -c, "mkdir /tmp/w; echo it is me > /tmp/w/index.html; httpd -p 80 -h /tmp/w; until timeout 1 wget -qO- http://$SELF; do sleep 0.3; done; sleep 100"], env: [{name: SELF, value: 10.43.7.7}]}]
---
apiVersion: v1
kind: Service
metadata: {name: self}
spec: {clusterIP: 10.43.7.7, selector: {app: self}, ports: [{port: 80}]}
END
wait_for 10 "hairpin" logs_say self 'it is me'
expect "describe" k describe service hello
says 'NodePort' "$ip" 'Endpoints'

say "no endpoints"
expect "a service of nothing" k create service clusterip nothing --tcp=80
nothing=$(field service/nothing .spec.clusterIP)
begin=$(now_ms)
refuse "it refuses" on n1 busybox wget -qO- "http://$nothing/"
took=$(($(now_ms) - begin))
[ $took -lt $(patient 3000) ] || fail "refusing took $took ms: the connection hangs"

say "scale"
expect "scale up" k scale deployment hello --replicas=4
wait_for 15 "four replicas" ready_replicas hello 4
wait_for 10 "four endpoints" endpoints hello 4
expect "scale down" k scale deployment hello --replicas=1
wait_for 40 "one endpoint" endpoints hello 1
for i in 1 2 3 4 5; do expect "it still answers" on n1 timeout 3 busybox wget -qO- "http://$ip:8080/"; done

say "rollout"
expect "status" k rollout status deployment/hello --timeout=10s
says 'successfully rolled out'
before=$(k get pod -l app=hello -o name)
expect "restart" k rollout restart deployment/hello
expect "status" k rollout status deployment/hello --timeout=20s
wait_for 10 "the old pod goes" gone "${before%/*}" "${before#*/}"
expect "it answers" on n1 timeout 3 busybox wget -qO- "http://$ip:8080/"
expect "a bad image" k set image deployment/hello echoserver=no.such.invalid/x:1
wait_for 10 "the old pod stays beside a pod that cannot start" is 2 deployment/hello .status.replicas
expect "it answers" on n1 timeout 3 busybox wget -qO- "http://$ip:8080/"
expect "history" k rollout history deployment/hello
expect "undo" k rollout undo deployment/hello
expect "status" k rollout status deployment/hello --timeout=20s

say "delete"
expect "delete" k delete deployment hello
wait_for 40 "pods go with it" no_pods
expect "delete the service" k delete service hello
wait_for 5 "its slices go" no_slices
refuse "its NodePort" fetch "http://192.0.2.10:$port/"
