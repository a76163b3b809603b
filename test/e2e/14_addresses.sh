# No default route at the start, no address but loopback, an address that changes: k8lite serves, and says what it lacks.
# (A clock of 1970 cannot be shown here: the machine has one clock, and no namespace gives a host its own. See the tests of src/pki.)
host_up n1 10
choose_kubectl describe exec
busybox_image n1
on n1 ip route del default

say "no default route"
server_up n1
same "the node's address" 192.0.2.10 "$(field node/n1 '.status.addresses[?(@.type=="InternalIP")].address')"
expect "a deployment" k create deployment hello --image=k8lite/echoserver:1.0
expect "its service" k create service clusterip hello --tcp=8080
wait_for 15 "it runs" is 1 deployment/hello .status.readyReplicas
ip=$(field service/hello .spec.clusterIP)
wait_for 10 "the ClusterIP answers on the host" on n1 timeout 3 busybox wget -qO- "http://$ip:8080/"
expect "a pod" k create -f - <<<"$(busybox_pod asks 'sleep 1000')"
wait_for 10 "it runs" phase asks Running
expect "the service's name in a pod" timeout 10 nsenter -t "${host_pid[n1]}" --mount --net env KUBECONFIG="$KUBECONFIG" "${kubectl_command[@]}" exec asks -- timeout 5 wget -qO- http://hello:8080/
says 'Hostname: hello-'
expect "the API's address from a pod" timeout 10 nsenter -t "${host_pid[n1]}" --mount --net env KUBECONFIG="$KUBECONFIG" "${kubectl_command[@]}" exec asks -- timeout 5 nc -z 10.43.0.1 443

say "the address changes"
on n1 ip addr del 192.0.2.10/24 dev eth0
on n1 ip addr add 192.0.2.30/24 dev eth0
expect "the API goes on" k get nodes
wait_for 15 "an event says what is wrong" sh -c "nsenter -t ${host_pid[n1]} --mount --net env KUBECONFIG=$KUBECONFIG ${kubectl_command[*]} get events -A | grep NodeAddressLost"
says 192.0.2.10
before=$(pgrep -x echoserver)
stop n1
on n1 ip route add default via 192.0.2.1
server_up n1
wait_for 5 "the node's new address" is 192.0.2.30 node/n1 '.status.addresses[?(@.type=="InternalIP")].address'
wait_for 5 "the API's endpoint" is 192.0.2.30 endpoints/kubernetes '.subsets[0].addresses[0].ip'
same "the pod is the same process" "$before" "$(pgrep -x echoserver)"
wait_for 10 "the ClusterIP answers" on n1 timeout 3 busybox wget -qO- "http://$ip:8080/"
wait_for 10 "the API's address from a pod" timeout 10 nsenter -t "${host_pid[n1]}" --mount --net env KUBECONFIG="$KUBECONFIG" "${kubectl_command[@]}" exec asks -- timeout 5 nc -z 10.43.0.1 443
expect "the network between nodes uses it" on n1 ip -d link show flannel.1
says 'local 192.0.2.30'
expect "a new certificate for it" on n1 timeout 5 curl -sS --cacert <(sed -n 's/.*certificate-authority-data: //p' "$KUBECONFIG" | base64 -d) https://192.0.2.30:6443/readyz
expect "delete" k delete deployment,pod --all --grace-period=1
stop n1

say "no address at all"
on n1 ip addr flush dev eth0
server_up n1
same "the node's address" 127.0.0.1 "$(field node/n1 '.status.addresses[?(@.type=="InternalIP")].address')"
expect "a pod" k create -f - <<<"$(busybox_pod alone 'echo up; sleep 1000')"
wait_for 10 "it runs" logs_say alone up
