# What is wrong is named, and the exit code is 1.
host_up n1 10
choose_kubectl apply

# server_says 'text' FLAG…: the server ends at once with exit code 1 and this text.
server_says() {
  local text=$1 code
  shift
  checks=$((checks + 1))
  out=$(on n1 timeout 10 "$E2E_BINARY" server --data-dir "$E2E_DIR/n1/bad" --write-kubeconfig "$E2E_DIR/n1/bad.yaml" "$@" 2>&1)
  code=$?
  same "exit code of server $*" 1 $code
  says "$text"
}
say "flags"
server_says 'unknown flag --data-dri' --data-dri /x
server_says 'needs a value' --node-name
server_says 'unexpected argument "extra"' extra
server_says 'https-listen-port' --https-listen-port abc
server_says 'https-listen-port' --https-listen-port 70000
server_says 'node-name' --node-name Bad_Name
server_says 'flannel-backend' --flannel-backend wireguard
server_says 'cluster-cidr' --cluster-cidr 10.42.0.0/99
server_says 'service-cidr' --service-cidr nonsense
server_says 'service-node-port-range' --service-node-port-range 5
server_says 'agent-token: ' --agent-token 'a secret'
server_says /no/such/file --token-file /no/such/file
out=$("$E2E_BINARY" sevrer 2>&1)
same "exit code of an unknown command" 1 $?
says 'unknown command "sevrer"'

say "configuration file"
echo 'data-dri: /x' >"$E2E_DIR/config.yaml"
server_says 'unknown key "data-dri"' --config "$E2E_DIR/config.yaml"
says "$E2E_DIR/config.yaml" 'data-dir'
printf 'node-name: n1\nhttps-listen-port: [1\n' >"$E2E_DIR/config.yaml"
server_says "$E2E_DIR/config.yaml" --config "$E2E_DIR/config.yaml"
printf 'https-listen-port: many\n' >"$E2E_DIR/config.yaml"
server_says 'https-listen-port' --config "$E2E_DIR/config.yaml"
server_says '/no/such.yaml' --config /no/such.yaml

say "files"
echo text >"$E2E_DIR/file"
server_says "$E2E_DIR/file" --data-dir "$E2E_DIR/file/data"
mkdir -p "$E2E_DIR/n1/ro"
on n1 mount -t tmpfs -o ro tmpfs "$E2E_DIR/n1/ro"
server_says "$E2E_DIR/n1/ro" --data-dir "$E2E_DIR/n1/ro/data"
mkdir -p "$E2E_DIR/n1/broken/server/db"
head -c 8192 /dev/urandom >"$E2E_DIR/n1/broken/server/db/state.db"
server_says "state.db" --data-dir "$E2E_DIR/n1/broken"

say "a port in use"
server_up n1 --disable-agent
server_says 6443 --disable-agent
says 'in use'

say "YAML that does not parse"
printf 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n bad: [\n' >"$E2E_DIR/garbage.yaml"
refuse "garbage" k apply -f "$E2E_DIR/garbage.yaml"
says garbage.yaml line
refuse "a file that is not there" k apply -f "$E2E_DIR/nothing.yaml"
says nothing.yaml

say "names"
refuse "a name that is no DNS name" k create configmap Bad_Name
says Bad_Name
refuse "a name too long" k create namespace "$(printf 'a%.0s' $(seq 64))"
says 63
expect "the server goes on" k get --raw /readyz
