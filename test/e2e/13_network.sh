# The network of two nodes over its life: host ports, leftovers of earlier runs, other machines' links, an address that changes, no
# default route, no name server, and the change from vxlan to plain routes and back with pods that go on running.
host_up n1 10
host_up n2 20
choose_kubectl logs exec
busybox_image n1
busybox_image n2

# web_pod NAME NODE HOST-PORT: answers with its name and the client's address.
web_pod() {
  cat <<END
apiVersion: v1
kind: Pod
metadata: {name: $1, labels: {app: web}}
spec:
  nodeName: $2
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: k8lite/echoserver:1.0
    ports: [{containerPort: 8080, hostPort: $3}, {containerPort: 8080, hostPort: $(($3 + 1)), hostIP: 127.0.0.1}]
END
}
# answers FROM URL NAME [CLIENT]: the echo server NAME answers at the URL and sees the client's address. FROM: a host, or "lan".
answers() {
  local got
  if [ "$1" = lan ]; then got=$(timeout 4 busybox wget -qO- "$2" 2>&1); else got=$(on "$1" timeout 4 busybox wget -qO- "$2" 2>&1); fi
  case $got in *"Hostname: $3"*"client: ${4:-}"*) ;; *) echo "$got"; return 1 ;; esac
}
silent() { ! answers "$@" >/dev/null; }
pod_answers() { local got; got=$(k exec "$1" -- timeout 4 wget -qO- "$2" 2>&1); case $got in *"Hostname: $3"*) ;; *) echo "$got"; return 1 ;; esac; }
has_text() { local got; got=$("${@:2}" 2>&1); case $got in *"$1"*) ;; *) echo "no $1 in: $got"; return 1 ;; esac; }
lacks() { local got; got=$("${@:2}" 2>&1); case $got in *"$1"*) echo "$1 in: $got"; return 1 ;; esac; }

server_up n1
agent_up n2
say "host ports"
expect "a on n1" k create -f - <<<"$(web_pod a n1 8081)"
expect "b on n2" k create -f - <<<"$(web_pod b n2 8081)"
expect "busybox on n1" k create -f - <<<"$(busybox_pod tool 'while :; do sleep 1; done' '  nodeName: n1')"
expect "their service" k create -f - <<'END'
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, clusterIP: 10.43.0.77, ports: [{port: 80, targetPort: 8080}]}
END
must 15 "a runs" phase a Running
must 15 "b runs" phase b Running
must 15 "tool runs" phase tool Running
a=$(field pod/a .status.podIP) b=$(field pod/b .status.podIP)
wait_for 5 "from the LAN, with its address" answers lan http://192.0.2.10:8081/ a 192.0.2.1
expect "from the other node" answers n2 http://192.0.2.10:8081/ a 192.0.2.20
expect "b from the LAN" answers lan http://192.0.2.20:8081/ b 192.0.2.1
expect "from the node itself" answers n1 http://192.0.2.10:8081/ a
expect "from its loopback" answers n1 http://127.0.0.1:8081/ a
expect "hostIP 127.0.0.1" answers n1 http://127.0.0.1:8082/ a
refuse "hostIP 127.0.0.1 from elsewhere" answers lan http://192.0.2.10:8082/ a
expect "from a pod beside" pod_answers tool http://192.0.2.10:8081/ a
expect "from a pod, on the other node" pod_answers tool http://192.0.2.20:8081/ b

say "links"
expect "the bridge" on n1 ip -o link show cni0
says "mtu 1450" "0a:58:0a:2a:00:01"
expect "the pods' MTU" k exec tool -- ip link show eth0
says "mtu 1450"
expect "over vxlan" pod_answers tool "http://$b:8080/" b

say "no default route"
expect "the default route goes" on n1 ip route del default
wait_for 5 "a service, from the node" answers n1 http://10.43.0.77/ a
wait_for 5 "the service's other pod" answers n1 http://10.43.0.77/ b
expect "the API by its service" on n1 timeout 4 busybox wget --no-check-certificate -qO- https://10.43.0.1/readyz
expect "a name of the cluster" on n1 busybox nslookup web.default.svc.cluster.local 10.43.0.10
says 10.43.0.77
expect "the default route comes back" on n1 ip route add default via 192.0.2.1

say "another address"
expect "n2 moves" on n2 sh -c 'ip addr flush dev eth0 && ip addr add 192.0.2.21/24 dev eth0 && ip route add default via 192.0.2.1'
wait_for 10 "the node says so" is 192.0.2.21 node/n2 '.status.addresses[?(@.type=="InternalIP")].address'
wait_for 5 "its vxlan device" has_text "local 192.0.2.21" on n2 ip -d link show flannel.1
wait_for 5 "pods reach each other again" pod_answers tool "http://$b:8080/" b
wait_for 5 "its host port" answers lan http://192.0.2.21:8081/ b
wait_for 10 "logs by the new address" k logs b
wait_for 5 "the pod's hostIP" is 192.0.2.21 pod/b .status.hostIP

expect "n1 moves" on n1 sh -c 'ip addr flush dev eth0 && ip addr add 192.0.2.11/24 dev eth0 && ip route add default via 192.0.2.1'
wait_for 10 "n1 says so" is 192.0.2.11 node/n1 '.status.addresses[?(@.type=="InternalIP")].address'
wait_for 5 "the API's endpoint" is 192.0.2.11 endpointslice/kubernetes '.endpoints[0].addresses[0]'
expect "the API by its service" on n1 timeout 4 busybox wget --no-check-certificate -qO- https://10.43.0.1/readyz
sed -n 's/.*certificate-authority-data: //p' "$KUBECONFIG" | base64 -d >"$E2E_DIR/ca.pem"
if command -v curl >/dev/null; then
  wait_for 5 "its certificate names the new address" timeout 4 curl -sS --cacert "$E2E_DIR/ca.pem" https://192.0.2.11:6443/readyz
fi
expect "n1 comes back" on n1 sh -c 'ip addr flush dev eth0 && ip addr add 192.0.2.10/24 dev eth0 && ip route add default via 192.0.2.1'
wait_for 10 "n1 says so" is 192.0.2.10 node/n1 '.status.addresses[?(@.type=="InternalIP")].address'
wait_for 20 "n2 hears of it" has_text 192.0.2.10 on n2 bridge fdb show dev flannel.1
expect "pods reach each other still" pod_answers tool "http://$b:8080/" b

say "leftovers"
expect "links of others" on n1 ip link add vethdeadbeef type veth peer name veth0badcafe
kill9 n1
expect "junk" on n1 sh -c 'ip route add 10.42.9.0/24 via 10.42.9.0 dev flannel.1 onlink && ip neigh add 10.42.9.0 lladdr 0a:58:0a:2a:09:00 dev flannel.1 nud permanent &&
  bridge fdb append 0a:58:0a:2a:09:00 dev flannel.1 dst 192.0.2.99 && ip addr add 10.42.9.1/24 dev cni0 && iptables -t nat -A K8LITE-HOSTPORTS -p tcp --dport 7 -j ACCEPT'
expect "host ports go on meanwhile" answers lan http://192.0.2.10:8081/ a
server_up n1
wait_for 10 "the route is gone" lacks 10.42.9 on n1 ip route
expect "the neighbour is gone" lacks 10.42.9 on n1 ip neigh
expect "the forwarding entry is gone" lacks 192.0.2.99 on n1 bridge fdb show dev flannel.1
expect "the address is gone" lacks 10.42.9 on n1 ip addr
wait_for 5 "the rule is gone" lacks "dport 7 " on n1 iptables-save
expect "host ports are still there" answers lan http://192.0.2.10:8081/ a
expect "and vxlan" pod_answers tool "http://$b:8080/" b
same "nothing was restarted" "0 0 0" "$(k get pod -o 'jsonpath={.items[*].status.containerStatuses[0].restartCount}')"

say "a name server of the machine's own, a firewall that lets nobody in"
kill9 n1
# Whoever has the port will do.
on_exec n1 busybox httpd -f -p 0.0.0.0:53 -h /run >/dev/null 2>&1 &
dnsd=$!
sleep 0.2
server_up n1
wait_for 5 "names for the node" on n1 busybox nslookup web.default.svc.cluster.local 10.43.0.10
says 10.43.0.77
expect "a firewall" on n1 sh -c 'iptables -A INPUT -i lo -j ACCEPT && iptables -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT && iptables -A INPUT -p udp --dport 8472 -j ACCEPT && iptables -P INPUT DROP'
expect "names for pods" k exec tool -- nslookup web.default.svc.cluster.local
says 10.43.0.77
expect "the log" grep -q "port 53 is taken" "$E2E_DIR/n1/server.log"
expect "the firewall ends" on n1 iptables -P INPUT ACCEPT
kill $dnsd
wait $dnsd 2>/dev/null

say "a firewall is reloaded"
expect "it flushes" on n1 sh -c 'iptables -F INPUT && iptables -F FORWARD && iptables -P FORWARD DROP && iptables -t nat -F && iptables -t nat -X'
wait_for 5 "a service" pod_answers tool http://10.43.0.77/ a
wait_for 5 "a host port" answers lan http://192.0.2.10:8081/ a
expect "the policy stays" has_text ":FORWARD DROP" on n1 iptables-save

say "plain routes"
kill9 n1
kill9 n2
server_up n1 --flannel-backend host-gw --cluster-domain edge.test
agent_up n2
wait_for 10 "the route" has_text "via 192.0.2.21 dev eth0" on n1 ip route
expect "no vxlan device" lacks flannel.1 on n1 ip link
wait_for 10 "pods reach each other" pod_answers tool "http://$b:8080/" b
expect "the MTU of a running pod" k exec tool -- ip link show eth0
says "mtu 1500"
expect "the cluster's domain" on n1 busybox nslookup web.default.svc.edge.test 10.43.0.10
says 10.43.0.77

say "gone"
expect "a ends" k delete pod a --grace-period=1
wait_for 5 "its host port is closed" silent lan http://192.0.2.10:8081/ a
expect "no rule of it is left" lacks "default/a " on n1 iptables-save
kill9 n1
kill9 n2
expect "killall" on n1 "$E2E_BINARY" killall --data-dir "$E2E_DIR/n1/data"
expect "links" on n1 ip -o link
says vethdeadbeef veth0badcafe eth0
expect "no bridge" lacks cni0 on n1 ip link
expect "no rules" lacks K8LITE on n1 iptables-save
expect "no routes" lacks 10.42. on n1 ip route
