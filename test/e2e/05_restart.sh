# kill -9 of the server under load: no pod restarts, exit codes and log lines of the meantime are kept, acknowledged writes are there.
host_up n1 10
choose_kubectl logs
busybox_image n1
server_up n1

expect "a steady pod" k create -f - <<<"$(busybox_pod steady 'i=0; while :; do i=$((i+1)); echo line $i; usleep 2000; done')"
expect "one that ends meanwhile" k create -f - <<<"$(busybox_pod ends 'while [ ! -e /go/now ]; do usleep 20000; done; echo last words; exit 42' '  restartPolicy: Never
  volumes: [{name: go, hostPath: {path: '"$E2E_DIR"'/go, type: DirectoryOrCreate}}]')
    volumeMounts: [{name: go, mountPath: /go}]"
expect "a deployment" k create deployment hello --image=k8lite/echoserver:1.0 --replicas=2
wait_for 15 "steady runs" phase steady Running
wait_for 15 "ends runs" phase ends Running
wait_for 15 "the deployment is there" is 2 deployment/hello .status.readyReplicas

# Writers: what kubectl has acknowledged is written down by name.
writer() {
  local i=0
  while :; do
    i=$((i + 1))
    k create configmap "w$1-$i" --from-literal=n=$i >/dev/null 2>&1 && echo "w$1-$i" >>"$E2E_DIR/acknowledged"
  done
}
for round in 1 2 3; do
  say "round $round"
  writer $round-a &
  a=$!
  writer $round-b &
  b=$!
  sleep 1
  kill9 n1
  kill $a $b
  wait $a $b 2>/dev/null
  if [ $round = 2 ]; then touch "$E2E_DIR/go/now"; sleep 0.5; fi
  server_up n1
done
count=$(grep -c . "$E2E_DIR/acknowledged")
k get configmap -o name | sed 's,configmap/,,' | sort >"$E2E_DIR/present"
missing=$(sort "$E2E_DIR/acknowledged" | comm -23 - "$E2E_DIR/present")
same "of $count acknowledged writes are missing" "" "$missing"
checks=$((checks + 1))
[ "$count" -ge 5 ] || fail "only $count writes were acknowledged: no load"

wait_for 10 "ends has Failed" phase ends Failed
same "its exit code" 42 "$(field pod/ends '.status.containerStatuses[0].state.terminated.exitCode')"
expect "its log" k logs ends
says "last words"
same "steady's restarts" 0 "$(field pod/steady '.status.containerStatuses[0].restartCount')"
same "the deployment's pods' restarts" "0 0" "$(k get pod -l app=hello -o 'jsonpath={.items[*].status.containerStatuses[0].restartCount}')"
same "their number" 2 "$(k get pod -l app=hello -o name | grep -c .)"
k logs steady >"$E2E_DIR/steady.log"
same "lines that are missing or twice in steady's log of $(grep -c . "$E2E_DIR/steady.log")" "" \
  "$(awk '$1 != "line" || $2 != NR {print NR ": " $0; exit}' "$E2E_DIR/steady.log")"
lines=$(grep -c . "$E2E_DIR/steady.log")
more_lines() { [ "$(k logs steady | grep -c .)" -gt "$lines" ]; }
wait_for 5 "steady goes on" more_lines

say "a clean stop leaves pods running too"
pid_before=$(pgrep -f 'while :; do i=' | head -n1)
stop n1
checks=$((checks + 1))
kill -0 "$pid_before" || fail "steady ended with the server"
server_up n1
same "steady's restarts" 0 "$(field pod/steady '.status.containerStatuses[0].restartCount')"
expect "a pod of before can be deleted" k delete pod steady --grace-period=1
checks=$((checks + 1))
kill -0 "$pid_before" 2>/dev/null && fail "its process lives on"
true
