# A server with its node: it comes up, says so, stops within 2 s at SIGTERM, starts again with the same identity.
host_up n1 10
choose_kubectl
server_up n1
expect "version" k get --raw /version
says '"gitVersion"'
expect "nodes" k get nodes -o wide
says n1 Ready 192.0.2.10
ca=$(grep certificate-authority-data "$KUBECONFIG")
begin=$(now_ms)
checks=$((checks + 1))
stop n1 || fail "SIGTERM: exit code $?"
took=$(($(now_ms) - begin))
[ $took -le $(patient 2000) ] || fail "stopping took $took ms"
server_up n1
same "the authority after a restart" "$ca" "$(grep certificate-authority-data "$KUBECONFIG")"
