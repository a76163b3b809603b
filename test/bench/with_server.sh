#!/bin/bash
# Runs a benchmark's program beside a server without a node: with_server.sh K8LITE BENCH. The server has a directory of its own that is thrown
# away (BENCH_DIR names the disk, default /tmp); BENCH prints a table, of which BENCH_ROWS picks rows. BENCH_WRAP runs the server under a tool
# such as "perf record -g -o /tmp/x". K8LITE should be of the release preset, stripped.
set -u
[ $# = 2 ] || { echo "usage: $0 K8LITE BENCH" >&2; exit 2; }
dir=$(mktemp -d "${BENCH_DIR:-/tmp}/k8bench.XXXXXX")
port=${BENCH_PORT:-16443}
server=
pid=
finish() {
  # The server itself, not the tool around it, which then has time to write what it saw.
  [ -n "$server" ] && kill "${pid:-$server}" 2>/dev/null && wait "$server" 2>/dev/null
  rm -rf "$dir"
}
trap finish EXIT
unset KUBECONFIG
${BENCH_WRAP:-} "$1" server --disable-agent --data-dir "$dir/data" --https-listen-port "$port" --bind-address 127.0.0.1 --write-kubeconfig "$dir/kubeconfig" >"$dir/log" 2>&1 &
server=$!
for try in $(seq 200); do
  grep -q "the API server is ready" "$dir/log" && break
  kill -0 "$server" 2>/dev/null || { cat "$dir/log" >&2; exit 1; }
  sleep 0.1
done
part() { sed -n "s/.*$1: //p" "$dir/kubeconfig" | base64 -d; }
part certificate-authority-data >"$dir/ca.crt"
part client-certificate-data >"$dir/client.crt"
part client-key-data >"$dir/client.key"
sleep 2
pid=$server
[ -n "${BENCH_WRAP:-}" ] && pid=$(pgrep -P "$server" | head -n1) && pid=${pid:-$server}
awk '/^Pss:/ {printf "PSS of the server at rest: %.1f MB, ", $2 * 1024 / 1e6}' "/proc/$pid/smaps_rollup"
echo "$(ls "/proc/$pid/task" | wc -l) threads"
echo
"$2" 127.0.0.1 "$port" "$dir" "$pid" "$dir" || { tail -n 20 "$dir/log" >&2; exit 1; }
echo
echo "$(uname -srm), $(nproc) CPUs, load $(cut -d' ' -f1-3 /proc/loadavg), $(date -u +%FT%RZ), $(stat -f -c %T "$dir"), $("$1" --version 2>/dev/null | head -n1)"
