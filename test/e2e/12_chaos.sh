# kill -9 of the server again and again while clients write and pods come, run and end: what was acknowledged is there, what ran runs on,
# no log line is lost or doubled, exit codes of the meantime are reported, and nothing is started twice.
host_up n1 10
choose_kubectl logs scale
busybox_image n1
server_up n1
curl=$(command -v curl) || skip "no curl on this machine"
url=https://127.0.0.1:6443
for part in certificate-authority client-certificate client-key; do
  sed -n "s/.*$part-data: //p" "$KUBECONFIG" | base64 -d >"$E2E_DIR/$part"
done
# call METHOD PATH [BODY [TYPE]]: prints the status code.
call() {
  "$curl" -s --max-time 5 -o /dev/null -w '%{http_code}' --cacert "$E2E_DIR/certificate-authority" --cert "$E2E_DIR/client-certificate" --key "$E2E_DIR/client-key" \
    -X "$1" ${3:+-H "Content-Type: ${4:-application/json}" -d "$3"} "$url/api/v1/namespaces/default/configmaps$2"
}
# Writers run on n1 until they are killed; a name or number is written down once its answer has come.
# (One curl makes many requests over one connection; the line comes out at once.)
creator() {
  local i=0 n
  while :; do
    for n in $(seq 50); do
      i=$((i + 1))
      [ $n = 1 ] || echo next
      printf 'url = "%s/api/v1/namespaces/default/configmaps"\nsilent\nmax-time = 5\noutput = "/dev/null"\ncacert = "%s/certificate-authority"\ncert = "%s/client-certificate"\nkey = "%s/client-key"\n' "$url" "$E2E_DIR" "$E2E_DIR" "$E2E_DIR"
      printf 'header = "Content-Type: application/json"\ndata = "{\\"metadata\\":{\\"name\\":\\"w%s-%s\\"},\\"data\\":{\\"n\\":\\"%s\\"}}"\nwrite-out = "%%{http_code} w%s-%s\\n"\n' "$1" $i $i "$1" $i
    done | stdbuf -oL "$curl" -K - | stdbuf -oL sed -n 's/^201 //p' >>"$E2E_DIR/created"
  done
}
counter() { local i=$1; while :; do i=$((i + 1)); [ "$(call PATCH /counter '{"data":{"n":"'$i'"}}' application/merge-patch+json)" = 200 ] && echo $i; done >>"$E2E_DIR/counted"; }
deleter() { local i=0; while :; do i=$((i + 1)); [ "$(call POST '' '{"metadata":{"name":"d'"$1-$i"'"}}')" = 201 ] && [ "$(call DELETE "/d$1-$i")" = 200 ] && echo "d$1-$i"; done >>"$E2E_DIR/deleted"; }
export -f call creator counter deleter
export curl url
# Each in a session of its own, so that all of it can be killed.
writer() { on_exec n1 setsid bash -c "$*"; }

expect "the counter" k create configmap counter --from-literal=n=0
expect "a steady pod" k create -f - <<<"$(busybox_pod steady 'i=0; while :; do i=$((i+1)); echo line $i; usleep 2000; done')"
for i in 2 4 6; do
  expect "one that ends meanwhile" k create -f - <<<"$(busybox_pod ends$i 'while [ ! -e /go/'$i' ]; do usleep 20000; done; echo last words of '$i'; echo told > /dev/termination-log; exit 4'$i '  restartPolicy: Never
  volumes: [{name: go, hostPath: {path: '"$E2E_DIR"'/go, type: DirectoryOrCreate}}]')
    volumeMounts: [{name: go, mountPath: /go}]"
  must 15 "ends$i runs" phase ends$i Running
done
must 15 "steady runs" phase steady Running
steady() { pgrep -of '^sh -c i=0'; }
before=$(steady)

for round in 1 2 3 4 5 6 7 8; do
  say "round $round"
  writers=()
  for w in a b c; do writer creator $round$w & writers+=($!); done
  writer counter $((round * 1000)) & writers+=($!)
  writer deleter $round & writers+=($!)
  sleep 0.$((RANDOM % 5 + 2))
  k create deployment "echo$round" --image=k8lite/echoserver:1.0 --replicas=2 >/dev/null 2>&1 && echo "echo$round" >>"$E2E_DIR/deployments"
  sleep 0.$((RANDOM % 4))$((RANDOM % 10))
  kill9 n1
  kill -- "${writers[@]/#/-}"
  wait "${writers[@]}" 2>/dev/null
  case $round in 2 | 4 | 6) touch "$E2E_DIR/go/$round"; sleep 0.4 ;; esac
  server_start n1
  must 20 "/readyz answers" ready
  counted=$(tail -n 1 "$E2E_DIR/counted" 2>/dev/null || echo 0)
  now=$(field configmap/counter .data.n)
  checks=$((checks + 1))
  [ "$now" -ge "${counted:-0}" ] || fail "the counter is $now, but $counted was acknowledged"
done
must 20 "node n1 is Ready" node_ready n1

say "what was acknowledged is there"
k get configmap -o name | sed 's,configmap/,,' | sort >"$E2E_DIR/present"
same "of $(grep -c . "$E2E_DIR/created") created are missing" "" "$(sort "$E2E_DIR/created" | comm -23 - "$E2E_DIR/present" | head -n 5)"
same "of $(grep -c . "$E2E_DIR/deleted") deleted are back" "" "$(sort "$E2E_DIR/deleted" | comm -12 - "$E2E_DIR/present" | head -n 5)"
echo "acknowledged: $(grep -c . "$E2E_DIR/created") creates, $(grep -c . "$E2E_DIR/counted") patches, $(grep -c . "$E2E_DIR/deleted") deletes"
checks=$((checks + 1))
[ "$(grep -c . "$E2E_DIR/created")" -ge 100 ] || fail "there was no load"

say "pods"
same "steady is the same process" "$before" "$(steady)"
same "steady's restarts" 0 "$(field pod/steady '.status.containerStatuses[0].restartCount')"
for i in 2 4 6; do
  wait_for 10 "ends$i has Failed" phase ends$i Failed
  same "its exit code" 4$i "$(field pod/ends$i '.status.containerStatuses[0].state.terminated.exitCode')"
  same "its message" told "$(field pod/ends$i '.status.containerStatuses[0].state.terminated.message' | xargs)"
  expect "its log" k logs ends$i
  same "its last words" "last words of $i" "$out"
done
k logs steady >"$E2E_DIR/steady.log"
same "lines that are missing or twice in steady's log of $(grep -c . "$E2E_DIR/steady.log")" "" "$(awk '$1 != "line" || $2 != NR {print NR ": " $0; exit}' "$E2E_DIR/steady.log")"

say "deployments of the meantime"
wanted=0
[ -z "${CHAOS_DEBUG:-}" ] || { sleep 10; k get deployment,rs,pod -o wide; k get deployment -o yaml | grep -v uid; k get rs -o yaml; k describe pods; }
for d in $(cat "$E2E_DIR/deployments"); do
  wait_for 20 "$d is ready" is 2 "deployment/$d" .status.readyReplicas
  wanted=$((wanted + 2))
done
made() { local n; n=$(k get deployment -o name | grep -c /echo); [ "$n" -ge $((wanted / 2)) ] && wanted=$((n * 2)); }
expect "all of them" made
echo_pods() { local n; n=$(k get pod -o name | grep -c /echo); [ "$n" = $wanted ] || { echo "$n pods"; return 1; }; }
wait_for 10 "$wanted pods and no more" echo_pods
echo_processes() { local n; n=$(grep -lx echoserver /proc/[0-9]*/comm 2>/dev/null | wc -l); [ "$n" = $wanted ] || { echo "$n processes"; return 1; }; }
wait_for 10 "$wanted processes and no more" echo_processes
same "their restarts" 0 "$(k get pod -o 'jsonpath={.items[*].status.containerStatuses[*].restartCount}' | xargs -n1 | sort -u | xargs)"

say "delete everything"
[ -z "${CHAOS_DEBUG:-}" ] || { k delete deployment,pod --all --grace-period=1 --wait=false; sleep 15; k get deployment,rs,pod -o wide; k get pod -o yaml; ps -ef; tail -30 $E2E_DIR/n1/server.log; }
expect "delete" k delete deployment,pod --all --grace-period=1
wait_for 30 "no process of a pod is left" sh -c '! pgrep -f "^sh -c i=0" && ! pgrep -x echoserver'
wait_for 10 "no shim's folder is left" on n1 sh -c 'out=$(ls /run/k8lite/pods); [ -z "$out" ] || { echo "$out"; exit 1; }'
wait_for 10 "no veth but the uplink is left" on n1 sh -c '[ "$(ip -o link show type veth | wc -l)" = 1 ]'
