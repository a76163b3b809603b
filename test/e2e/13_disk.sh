# The data directory is full, read-only, in use, broken or from a newer version: each says so, and what can go on goes on.
host_up n1 10
choose_kubectl describe logs
data=$E2E_DIR/n1/data
mkdir -p "$data"
on n1 mount -t tmpfs -o size=48m tmpfs "$data"
full() { on n1 sh -c "head -c 100000000 /dev/zero >$data/filler 2>/dev/null; sync; [ \$(df --output=avail $data | tail -n1) = 0 ]"; }
room() { on n1 rm "$data/filler"; }
server_says() {
  local text=$1 code
  shift
  checks=$((checks + 1))
  out=$(on n1 timeout 10 "$E2E_BINARY" server --write-kubeconfig "$E2E_DIR/n1/bad.yaml" --node-name n1 "$@" 2>&1)
  code=$?
  same "exit code of server $*" 1 $code
  says "$text"
}
server_up n1
expect "an object" k create configmap before
expect "a pod" k create -f - <<<'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"steady"},"spec":{"terminationGracePeriodSeconds":1,"containers":[{"name":"main","image":"k8lite/echoserver:1.0"}]}}'
must 10 "it runs" phase steady Running

say "another server on the same data"
server_says 'in use' --data-dir "$data" --https-listen-port 7443 --kubelet-port 11250
says "$data"

say "a full disk"
expect "fill it" full
# Small writes may still fit into what the database's log holds already.
big=$(head -c 300000 /dev/zero | tr '\0' x)
printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"big-"},"data":{"k":"%s"}}' "$big" >"$E2E_DIR/big.json"
disk_full() { local i; for i in 1 2 3 4 5 6 7 8 9 10; do out=$(k create -f "$E2E_DIR/big.json" 2>&1) || break; done; case $out in *"disk is full"*) ;; *) echo "$out"; return 1 ;; esac; }
expect "a write says why it fails" disk_full
expect "reads go on" k get configmap before
expect "the pod runs on" phase steady Running
expect "the server goes on" k get --raw /readyz
expect "make room" room
wait_for 10 "writes work again" k create configmap after
expect "what was there is there" k get configmap before after
same "the pod was not restarted" 0 "$(field pod/steady '.status.containerStatuses[0].restartCount')"

say "a full disk and a new pod"
expect "fill it" full
k create -f - <<<'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"late"},"spec":{"terminationGracePeriodSeconds":1,"containers":[{"name":"main","image":"k8lite/echoserver:1.0"}]}}' >/dev/null 2>&1
sleep 1
expect "make room" room
k create -f - <<<'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"late"},"spec":{"terminationGracePeriodSeconds":1,"containers":[{"name":"main","image":"k8lite/echoserver:1.0"}]}}' >/dev/null 2>&1
wait_for 30 "it runs once there is room" phase late Running

say "a start on a full disk"
expect "fill it" full
kill9 n1
server_start n1
checks=$((checks + 1))
sleep 2
if kill -0 "${server_pid[n1]}" 2>/dev/null; then
  expect "it serves reads" k get configmap before
  kill9 n1
else
  wait "${server_pid[n1]}"
  same "its exit code" 1 $?
  grep -qi 'no space left\|disk is full' "$E2E_DIR/n1/server.log" || fail "it does not say that the disk is full: $(tail -n 2 "$E2E_DIR/n1/server.log")"
fi
expect "make room" room
server_up n1
expect "nothing is lost" k get configmap before after
same "the pod was not restarted" 0 "$(field pod/steady '.status.containerStatuses[0].restartCount')"

say "a read-only disk"
stop n1
on n1 sh -c "mkdir $E2E_DIR/n1/ro && mount -t tmpfs -o size=32m tmpfs $E2E_DIR/n1/ro && cp -a $data/server $E2E_DIR/n1/ro/ && mount -o remount,ro $E2E_DIR/n1/ro"
server_says "$E2E_DIR/n1/ro" --data-dir "$E2E_DIR/n1/ro" --disable-agent
case $out in *ead-only*) ;; *) fail "it does not say read-only: $out" ;; esac

say "data of a newer version"
# The schema version is the user_version of SQLite's header: four bytes at 60.
on n1 cp "$data/server/db/state.db" "$E2E_DIR/state.db"
on n1 sh -c "printf '\\000\\000\\000\\143' | dd of=$data/server/db/state.db bs=1 seek=60 conv=notrunc 2>/dev/null"
server_says 'newer version' --data-dir "$data"
says state.db 99
on n1 cp "$E2E_DIR/state.db" "$data/server/db/state.db"

say "a broken database"
on n1 sh -c "head -c 8192 /dev/urandom | dd of=$data/server/db/state.db conv=notrunc 2>/dev/null"
server_says state.db --data-dir "$data"
on n1 cp "$E2E_DIR/state.db" "$data/server/db/state.db"
server_up n1
expect "the copy is as good as ever" k get configmap before after
expect "delete" k delete pod --all --grace-period=1
