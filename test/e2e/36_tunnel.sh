# An agent that nobody can dial (NAT, a firewall): logs, exec, port-forward and figures go over connections that it keeps open itself.
host_up n1 10
host_up n2 11
choose_kubectl exec logs
busybox_image n1
busybox_image n2
server_up n1
on n2 iptables -A INPUT -i eth0 -p tcp --dport 10250 -j DROP
agent_up n2
refuse "the agent is not to be dialled" on n1 timeout 2 bash -c 'exec 3<>/dev/tcp/192.0.2.11/10250'
expect "a pod there" k create -f - <<<"$(busybox_pod far 'echo it speaks; sleep 1000' '  nodeName: n2')"
wait_for 60 "runs" phase far Running
wait_for 20 "its log is read" logs_say far "it speaks"
wait_for 20 "commands run" k exec far -- true
same "with their output" far "$(k exec far -- hostname)"
# Many at once: more than connections that wait.
for i in $(seq 10); do k exec far -- sh -c "sleep 1; echo $i" >"$E2E_DIR/exec.$i" 2>&1 & done
for i in $(seq 10); do wait -n; done 2>/dev/null
said() { [ "$(cat "$E2E_DIR"/exec.* | sort -n | xargs)" = "1 2 3 4 5 6 7 8 9 10" ] || { cat "$E2E_DIR"/exec.*; return 1; }; }
wait_for 30 "ten at once" said
usage() { k get --raw /apis/metrics.k8s.io/v1beta1/nodes/n2; }
wait_for 60 "its figures are known" usage
proxied() { k get --raw /api/v1/nodes/n2/proxy/healthz; }
wait_for 20 "and its own paths" proxied

say "who may open them"
kc() { on n1 curl -sk -o /dev/null -w '%{http_code}' "$@"; }
if command -v curl >/dev/null; then
  same "nobody without a node's certificate" 401 "$(kc https://127.0.0.1:6443/v1-k8lite/connect)"
fi

say "a server that begins anew"
restart n1
wait_for 60 "commands run again" k exec far -- true

say "an agent that goes and comes"
kill9 n2
agent_up n2
wait_for 60 "commands run again" k exec far -- true
expect "gone" k delete pod far --timeout=60s
