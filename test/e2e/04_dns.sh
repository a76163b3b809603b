# Cluster DNS from a pod: services by all their names, ports, headless services, names that are not there.
host_up n1 10
choose_kubectl logs
busybox_image n1
server_up n1

expect "service" k create service clusterip hello --tcp=8080
expect "headless and its pods" k create -f - <<'END'
apiVersion: v1
kind: Service
metadata: {name: heads}
spec: {clusterIP: None, selector: {app: heads}, ports: [{name: web, port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: head, labels: {app: heads}}
spec:
  hostname: first
  subdomain: heads
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: "busybox:e2e", command: [sleep, "1000"]}]
END
wait_for 10 "the headless pod runs" phase head Running
ip=$(field service/hello .spec.clusterIP)
head=$(field pod/head .status.podIP)
expect "a pod that asks" k create -f - <<<"$(busybox_pod asks 'cat /etc/resolv.conf
for name in hello.default.svc.cluster.local kubernetes.default.svc.cluster.local heads.default.svc.cluster.local first.heads.default.svc.cluster.local nothing.default.svc.cluster.local; do
  echo "<$name>"; nslookup -type=a $name 2>&1; echo "</$name>"
done
for name in hello hello.default; do echo "<$name>"; ping -c1 -W1 $name 2>&1 | head -n1; echo "</$name>"; done' '  restartPolicy: Never')"
wait_for 40 "it ends" phase asks Succeeded
k logs asks >"$E2E_DIR/asks.log" 2>&1
part() { out=$(sed -n "\\,^<$1>\$,,\\,^</$1>\$,p" "$E2E_DIR/asks.log"); }
out=$(cat "$E2E_DIR/asks.log")
says 'nameserver 10.43.0.10' 'search default.svc.cluster.local svc.cluster.local cluster.local' 'ndots:5'
part hello.default.svc.cluster.local
says "$ip"
part kubernetes.default.svc.cluster.local
says 10.43.0.1
part heads.default.svc.cluster.local
says "$head"
part first.heads.default.svc.cluster.local
says "$head"
part nothing.default.svc.cluster.local
says NXDOMAIN
part hello
says "$ip"
part hello.default
says "$ip"
expect "the host asks the cluster's address" on n1 busybox nslookup hello.default.svc.cluster.local 10.43.0.10
says "$ip"
