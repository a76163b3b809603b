# client-go. Building it takes minutes, so it is tried only where scripts/clients.sh --go has built it.
. "$(dirname "$E2E_HERE")/conformance/lib.bash"
binary=$(client go-client) || skip "client-go is not built: scripts/clients.sh --go"
host_up n1 10
choose_kubectl
server_up n1 --disable-agent
expect "client-go" on n1 env HOME="$HOME" "$binary" "$KUBECONFIG"
echo "$out"
