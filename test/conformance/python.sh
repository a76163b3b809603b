# The official Python client.
. "$(dirname "$E2E_HERE")/conformance/lib.bash"
python=$(client python) || skip "no Python client: scripts/clients.sh"
host_up n1 10
choose_kubectl
server_up n1 --disable-agent
expect "client.py" on n1 env HOME="$HOME" "$python" "$(dirname "$E2E_HERE")/conformance/client.py" "$KUBECONFIG"
echo "$out"
