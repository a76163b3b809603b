# No default route at the start, no address but loopback, an address that changes: k8lite serves, and says what it lacks.
# (A clock of 1970 cannot be shown here: the machine has one clock, and no namespace gives a host its own. See the tests of src/pki.)
host_up n1 10
choose_kubectl describe exec
busybox_image n1
on n1 ip route del default

say "no default route"
server_up n1
same "the node's address" 192.0.2.10 "$(field node/n1 '.status.addresses[?(@.type=="InternalIP")].address')"
in_pod() { timeout 10 nsenter -t "${host_pid[n1]}" --mount --net env KUBECONFIG="$KUBECONFIG" "${kubectl_command[@]}" exec asks -- timeout 5 "$@"; }
expect "a deployment" k create deployment hello --image=k8lite/echoserver:1.0
expect "its service" k create service clusterip hello --tcp=8080
expect "a pod" k create -f - <<<"$(busybox_pod asks 'echo up; sleep 1000')"
wait_for 15 "it runs" is 1 deployment/hello .status.readyReplicas
wait_for 10 "the pod runs" phase asks Running
ip=$(field service/hello .spec.clusterIP)
serves() {
  wait_for 10 "the ClusterIP answers on the host" on n1 timeout 3 busybox wget -qO- "http://$ip:8080/"
  wait_for 10 "the service's name in a pod" in_pod wget -qO- http://hello:8080/
  wait_for 10 "the API's address from a pod" in_pod sh -c 'nc -w 3 10.43.0.1 443 </dev/null'
  expect "logs" k logs asks
}
serves
before=$(pgrep -x echoserver)

# ca: the API's certificate is believed at this address.
believed() { on n1 timeout 5 curl -sS --cacert "$E2E_DIR/ca.pem" "https://$1:6443/readyz"; }
address() { is "$1" node/n1 '.status.addresses[?(@.type=="InternalIP")].address'; }
sed -n 's/.*certificate-authority-data: //p' "$KUBECONFIG" | base64 -d >"$E2E_DIR/ca.pem"

say "the address changes"
on n1 ip addr del 192.0.2.10/24 dev eth0
on n1 ip addr add 192.0.2.30/24 dev eth0
wait_for 10 "the node's new address" address 192.0.2.30
serves
on n1 ip route add default via 192.0.2.1
stop n1
server_up n1
wait_for 5 "the node's new address" address 192.0.2.30
wait_for 5 "the API's endpoint" is 192.0.2.30 endpoints/kubernetes '.subsets[0].addresses[0].ip'
wait_for 5 "the API's certificate" believed 192.0.2.30
expect "the network between nodes uses it" on n1 ip -d link show flannel.1
says 'local 192.0.2.30'
serves
same "the pods are the same processes" "$before" "$(pgrep -x echoserver)"

say "an address given by hand goes"
stop n1
server_up n1 --node-ip 192.0.2.30
on n1 ip addr add 192.0.2.40/24 dev eth0
on n1 ip addr del 192.0.2.30/24 dev eth0
address_event() { k get events -A | grep 'node.s address 192.0.2.30 is no more'; }
wait_for 25 "an event says so" address_event
expect "the API goes on" k get nodes
expect "delete" k delete deployment,pod --all --grace-period=1
stop n1

say "no address at all"
on n1 ip addr flush dev eth0
server_up n1
node_is_at() { [ "$(field node/n1 '.status.addresses[?(@.type=="InternalIP")].address')" = "$1" ]; }
wait_for 10 "the node's address is its own machine's" node_is_at 127.0.0.1
expect "a pod" k create -f - <<<"$(busybox_pod alone 'echo up; sleep 1000')"
wait_for 10 "it runs" logs_say alone up
