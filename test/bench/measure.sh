# What budgets.sh runs on its host: each figure beside its aim. Medians of several runs; sizes in MB of 10^6 bytes, memory as PSS.
curl=$(command -v curl) || skip "no curl on this machine"
host_up n1 10
choose_kubectl
starts=${BENCH_STARTS:-7} idle=${BENCH_IDLE:-60} rows=()
row() { rows+=("$(printf '| %s | %s | %s | %s |' "$@")"); printf '%-55s %12s   %s\n' "$1" "$3" "($2)"; }
median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
spread() { sort -n | awk 'NR == 1 {low = $1} {high = $1} END {print low " to " high}'; }
seconds() { awk '{printf "%.2f s", $1 / 1000}'; }
us() { echo "${EPOCHREALTIME/./}"; }

# timed_start: starts the server and prints the milliseconds until /readyz says 200.
answers() { nsenter -t "${host_pid[n1]}" --net "$curl" -s -k --max-time 1 -o /dev/null -w '%{http_code}' https://127.0.0.1:6443/readyz; }
timed_start() {
  begin=$(now_ms)
  server_start n1 "$@"
  while [ "$(answers)" != 200 ]; do [ $(($(now_ms) - begin)) -lt 20000 ] || die "no /readyz"; done
  took=$(($(now_ms) - begin))
}
wipe() { on n1 sh -c "rm -rf $E2E_DIR/n1/data $E2E_DIR/n1/k8lite.yaml"; }
account() { k get serviceaccount default >/dev/null 2>&1; }

say "starts"
for i in $(seq "$starts"); do
  wipe
  timed_start
  echo $took >>"$E2E_DIR/empty"
  until node_ready n1 2>/dev/null && account; do :; done
  echo $(($(now_ms) - begin)) >>"$E2E_DIR/node"
  stop n1
done
row "exec to /readyz 200, empty data directory" "<= 0.7 s" "$(median <"$E2E_DIR/empty" | seconds)" "median of $starts, $(spread <"$E2E_DIR/empty") ms"
row "exec to node Ready and default service account" "<= 1.5 s" "$(median <"$E2E_DIR/node" | seconds)" "median of $starts, $(spread <"$E2E_DIR/node") ms, polled by kubectl"
server_up n1
for i in $(seq 200); do printf -- '---\n{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c%s"},"data":{"k":"%s"}}\n' "$i" "$(head -c 1000 /dev/zero | tr '\0' x)"; done >"$E2E_DIR/data.yaml"
k create -f "$E2E_DIR/data.yaml" >/dev/null
stop n1
for i in $(seq "$starts"); do
  timed_start
  echo $took >>"$E2E_DIR/again"
  stop n1
done
row "restart with data to /readyz" "<= 0.4 s" "$(median <"$E2E_DIR/again" | seconds)" "median of $starts, $(spread <"$E2E_DIR/again") ms, 200 configmaps of 1 kB"

# The server's process is the child of the shell that server_start made, or that shell itself.
server() { echo "${server_pid[n1]}"; }
shims() { local p; for p in /proc/[0-9]*; do [ "$(cat "$p/comm" 2>/dev/null)" = "$shim_comm" ] && echo "${p#/proc/}"; done; }
pss() { local p; for p in "$@"; do awk '/^Pss:/ {print $2}' "/proc/$p/smaps_rollup" 2>/dev/null; done | awk '{s += $1} END {printf "%d", s}'; }
cpu_ns() { local p; for p in "$@"; do cat /proc/$p/task/*/schedstat 2>/dev/null; done | awk '{s += $1} END {printf "%d", s}'; }
written() { local p; for p in "$@"; do awk '/^write_bytes/ {print $2}' "/proc/$p/io"; done | awk '{s += $1} END {printf "%d", s}'; }
switches() { local p; for p in "$@"; do cat /proc/$p/task/*/status 2>/dev/null; done | awk '/ctxt_switches/ {s += $2} END {printf "%d", s}'; }
MB() { awk -v k="$1" 'BEGIN {printf "%.1f MB", k * 1024 / 1e6}'; }

pod_json() { printf '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"%s","labels":{"set":"%s"}},"spec":{"terminationGracePeriodSeconds":1,"containers":[{"name":"main","image":"k8lite/echoserver:1.0"}]}}' "$1" "$2"; }
say "idle with one small pod"
wipe
server_up n1
pod_json small one | k create -f - >/dev/null
must 10 "the pod runs" phase small Running
sleep 20
# What started after the server and is neither it nor the container: the shim (its name is the executable's own).
container=$(pgrep -x echoserver | head -n1)
shim_comm=$(cat "/proc/$(awk '/^PPid/ {print $2}' "/proc/$container/status")/comm")
all=($(server) $(shims))
one=$(pss "${all[@]}")
row "memory (PSS) of server + node, one small pod" "<= 40 MB" "$(MB "$one")" "server and ${shim_comm}; with the pod's own process $(MB "$(pss "${all[@]}" "$container")")"
c=$(cpu_ns "${all[@]}") w=$(written "${all[@]}") s=$(switches "${all[@]}")
sleep "$idle"
c=$(($(cpu_ns "${all[@]}") - c)) w=$(($(written "${all[@]}") - w)) s=$(($(switches "${all[@]}") - s))
row "CPU when idle over $idle s" "<= 0.5 % of a core" "$(awk -v c=$c -v t="$idle" 'BEGIN {printf "%.3f %%", c / t / 1e7}')" "one pod, $(awk -v s=$s -v t="$idle" 'BEGIN {printf "%.1f", s / t}') context switches a second"
row "disk writes when idle over $idle s" "<= 10 KiB" "$(awk -v w=$w 'BEGIN {printf "%.1f KiB", w / 1024}')" "write_bytes on $(stat -f -c %T "$E2E_DIR")"

say "pods"
for part in certificate-authority client-certificate client-key; do sed -n "s/.*$part-data: //p" "$KUBECONFIG" | base64 -d >"$E2E_DIR/$part"; done
api() { nsenter -t "${host_pid[n1]}" --net "$curl" -sN --cacert "$E2E_DIR/certificate-authority" --cert "$E2E_DIR/client-certificate" --key "$E2E_DIR/client-key" "$@"; }
pods=https://127.0.0.1:6443/api/v1/namespaces/default/pods
# Every event of a pod that runs is written down with the time it was seen.
api "$pods?watch=1" | while read -r line; do
  case $line in *'"phase":"Running"'*) [[ $line =~ \"name\":\"([^\"]*)\" ]] && echo "${BASH_REMATCH[1]} $(us)" ;; esac
done >>"$E2E_DIR/seen" &
sleep 0.5
for i in $(seq 20); do
  pod_json "single$i" single >"$E2E_DIR/pod.json"
  from=$(us)
  api -o /dev/null -H 'Content-Type: application/json' --data "@$E2E_DIR/pod.json" "$pods"
  for try in $(seq 500); do grep -q "^single$i " "$E2E_DIR/seen" && break; sleep 0.01; done
  to=$(awk -v p="single$i" '$1 == p {print $2; exit}' "$E2E_DIR/seen")
  echo $(((to - from) / 1000)) >>"$E2E_DIR/single"
done
row "pod create to Running, image present, p50 of 20" "<= 150 ms" "$(median <"$E2E_DIR/single") ms" "one after another, $(spread <"$E2E_DIR/single") ms, with curl's start and handshake"
k delete pod -l set=single --grace-period=1 >/dev/null
sleep 5
before=$(pss $(server) $(shims)) count=$(shims | wc -l)
for i in $(seq 30); do echo '---'; pod_json "many$i" many; echo; done >"$E2E_DIR/many.yaml"
from=$(us)
k create -f "$E2E_DIR/many.yaml" >/dev/null
for try in $(seq 3000); do [ "$(grep -o '^many[0-9]* ' "$E2E_DIR/seen" | sort -u | wc -l)" = 30 ] && break; sleep 0.01; done
to=$(grep '^many' "$E2E_DIR/seen" | awk '!seen[$1]++ {print $2}' | sort -n | tail -n1)
[ "$(grep -o '^many[0-9]* ' "$E2E_DIR/seen" | sort -u | wc -l)" = 30 ] || fail "not all of 30 pods ran"
row "30 pods created together, last one Running" "<= 4 s" "$(((to - from) / 1000)) ms" "one kubectl create of 30 documents"
sleep 5
after=$(pss $(server) $(shims)) only=$(pss $(shims)) now=$(shims | wc -l)
row "memory of our own processes for each pod (PSS)" "<= 1 MB" "$(awk -v k=$((after - before)) -v n=$((now - count)) 'BEGIN {printf "%.2f MB", k * 1024 / 1e6 / n}')" "growth of server and shims over $((now - count)) pods; a shim alone $(awk -v k="$only" -v n="$now" 'BEGIN {printf "%.0f kB", k * 1.024 / n}')"
k delete pod --all --grace-period=1 >/dev/null

strip -o "$E2E_DIR/stripped" "$E2E_BINARY"
row "stripped static binary" "<= 16 MB" "$(stat -c %s "$E2E_DIR/stripped" | awk '{printf "%.1f MB", $1 / 1e6}')" "$(file -b "$E2E_BINARY" 2>/dev/null | cut -d, -f1-2,4)"

# A probe of the disk, since starts and writes wait for it: 50 writes of 4 kB, each synced.
probe=$( { time dd if=/dev/zero of="$E2E_DIR/probe" bs=4k count=50 oflag=dsync 2>/dev/null; } 2>&1 | awk '/real/ {split($2, t, "[ms]"); printf "%.2f ms", (t[1] * 60 + t[2]) * 1000 / 50}')
echo
echo "| figure | aim | measured | conditions |"
echo "|---|---|---|---|"
printf '%s\n' "${rows[@]}"
echo
echo "$(uname -srm), $(nproc) CPUs ($(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n1)), load $(cut -d' ' -f1-3 /proc/loadavg), a synced 4 kB write takes $probe, $(date -u +%FT%RZ), $("$E2E_BINARY" --version 2>/dev/null | head -n1)"
