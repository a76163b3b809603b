# HTTP/2 at the front door: curl and real kubectl speak it, and a request that is too long is refused. What upgrades (exec, port-forward) goes its
# own way over HTTP/1.1 (08_exec, 09_portforward).
curl=$(command -v curl) || skip "no curl on this machine"
host_up n1 10
choose_kubectl
server_up n1
token=$(k create token default) || skip "this kubectl has no create token"
front() { on n1 "$curl" -s -k --max-time 20 -H "Authorization: Bearer $token" "$@"; }

say "versions"
same "by default" 2 "$(front -o /dev/null -w '%{http_version}' https://127.0.0.1:6443/version)"
same "asked for" 1.1 "$(front --http1.1 -o /dev/null -w '%{http_version}' https://127.0.0.1:6443/version)"

say "bodies"
head -c 4000000 /dev/zero | tr '\0' x >"$E2E_DIR/large"
same "4 MB over HTTP/1.1" 413 "$(front --http1.1 -o /dev/null -w '%{http_code}' -H 'Content-Type: application/json' --data-binary @"$E2E_DIR/large" https://127.0.0.1:6443/apis/authorization.k8s.io/v1/selfsubjectaccessreviews)"

real=$(real_kubectl) || skip "no real kubectl on this machine"
kubectl_command=("$real")
say "real kubectl over HTTP/2"
refuse "4 MB" k create configmap large --from-file="$E2E_DIR/large"
says 'limit is 3145728'
printf '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"echo"},"spec":{"terminationGracePeriodSeconds":1,"containers":[{"name":"main","image":"k8lite/echoserver:1.0"}]}}' | k create -f - >/dev/null
must 20 "the pod runs" phase echo Running
on n1 env KUBECONFIG="$KUBECONFIG" "$real" get pods -w -o name >"$E2E_DIR/watched" &
watcher=$!
expect "describe" k describe pod echo
expect "logs" k logs echo
k label pod echo seen=yes >/dev/null
must 20 "the watch tells" grep -c pod/echo "$E2E_DIR/watched"
kill $watcher 2>/dev/null
expect "delete" k delete pod echo
