#!/bin/bash
# Runs one scenario against a k8lite executable: run.sh BINARY SCENARIO [ARGUMENT...]. The scenario runs in network, mount and process
# namespaces of its own, so that whatever it starts ends with it; what namespaces do not take along (cgroups, files) is removed here.
# Exit code: the scenario's; 77 where this machine lacks what it needs. E2E_KEEP=1 keeps the files, E2E_LIMIT=seconds (170) ends a hang.
set -u
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 2 ] || { echo "usage: $0 BINARY SCENARIO [ARGUMENT...]" >&2; exit 2; }
binary=$(readlink -f "$1") && [ -x "$binary" ] || { echo "run.sh: no executable $1" >&2; exit 2; }
scenario=$(readlink -f "$2") && [ -f "$scenario" ] || { echo "run.sh: no scenario $2" >&2; exit 2; }
shift 2
skip() { echo "SKIPPED: $1"; exit 77; }
[ "$(id -u)" = 0 ] || skip "end-to-end scenarios make namespaces and need root"
for tool in unshare nsenter setpriv ip busybox iptables-restore; do
  command -v $tool >/dev/null || skip "no $tool on this machine"
done

export E2E_BINARY=$binary E2E_HERE=$here E2E_CGROUP=k8lite-e2e-$$
E2E_DIR=$(mktemp -d "${TMPDIR:-/tmp}/k8lite-e2e.$$.XXXXXX")
export E2E_DIR

# The hierarchies of cgroup v1, v2 or both.
hierarchies() { awk '($3 == "cgroup" || $3 == "cgroup2") && $2 ~ "^/sys/fs/cgroup" {print $2}' /proc/mounts; }
# The cgroups of one run; a process that has just ended may hold them for a moment.
remove_cgroups() {
  local mount try
  for mount in $(hierarchies); do
    for try in 1 2 3 4 5 6 7 8 9 10; do
      [ -d "$mount/$1" ] || break
      find "$mount/$1" -depth -type d -exec rmdir {} + 2>/dev/null && break
      sleep 0.1
    done
  done
}
# What runs left that were killed before they could clean up.
sweep() {
  local path pid
  for path in $(hierarchies | sed 's,$,/k8lite-e2e-*,') "${TMPDIR:-/tmp}"/k8lite-e2e.*.*; do
    pid=${path##*/k8lite-e2e[-.]} pid=${pid%%.*}
    case $pid in '' | *[!0-9]*) continue ;; esac
    [ -d "$path" ] && ! [ -d "/proc/$pid" ] || continue
    case $path in /sys/*) remove_cgroups "k8lite-e2e-$pid" ;; *) find "$path" -maxdepth 0 -mmin +60 -exec rm -rf --one-file-system {} + ;; esac
  done
}
# What is still there of this run and should not be: processes, cgroups, mounts, interfaces.
left_behind() {
  local environ
  for environ in /proc/[0-9]*/environ; do
    case ${environ%/environ} in /proc/$$ | /proc/$BASHPID) continue ;; esac
    tr '\0' '\n' <"$environ" 2>/dev/null | grep -qx "E2E_CGROUP=$E2E_CGROUP" && echo "process $(tr '\0' ' ' <"${environ%environ}cmdline")"
  done 2>/dev/null
  find $(hierarchies) -maxdepth 1 -name "$E2E_CGROUP" 2>/dev/null
  grep -F "$E2E_DIR" /proc/mounts
  ip -o link show | grep -E ' (v-n[0-9]|lan0)[:@]'
}
child=
clean_up() {
  trap - EXIT INT TERM HUP
  # The namespaces' first process takes every other with it.
  [ -n "$child" ] && kill -KILL "$child" 2>/dev/null && wait "$child" 2>/dev/null
  remove_cgroups "$E2E_CGROUP"
  if [ "${E2E_KEEP:-}" = 1 ]; then echo "kept: $E2E_DIR"; else rm -rf --one-file-system "$E2E_DIR"; fi
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

sweep
for mount in $(hierarchies); do mkdir -p "$mount/$E2E_CGROUP" || skip "cgroups cannot be made below $mount"; done
setpriv --pdeathsig KILL unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private \
  timeout --foreground -k 2 "${E2E_LIMIT:-170}" bash "$here/scenario.sh" "$scenario" "$@" &
child=$!
wait "$child"
code=$?
child=
remove_cgroups "$E2E_CGROUP"
left=$(left_behind)
[ -z "$left" ] || { echo "FAILED: left behind: $left"; [ $code != 0 ] || code=1; }
[ $code = 124 ] && echo "FAILED: ended after ${E2E_LIMIT:-170} s"
exit $code
