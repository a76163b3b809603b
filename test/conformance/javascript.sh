# The official JavaScript client, and exec in a pod with it.
. "$(dirname "$E2E_HERE")/conformance/lib.bash"
modules=$(client node_modules) || skip "no JavaScript client: scripts/clients.sh"
host_up n1 10
choose_kubectl
busybox_image n1
server_up n1
must 20 "a pod" k create -f - <<<"$(busybox_pod box 'sleep 1000')"
must 30 "it runs" is Running pod/box .status.phase
ln -s "$modules" "$E2E_DIR/node_modules"
cp "$(dirname "$E2E_HERE")/conformance/client.mjs" "$E2E_DIR/"
expect "client.mjs" on n1 env HOME="$HOME" node "$E2E_DIR/client.mjs" "$KUBECONFIG" exec
echo "$out"
