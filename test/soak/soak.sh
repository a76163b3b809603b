#!/bin/bash
# An accelerated life: soak.sh BINARY [MINUTES (60)] [SEED] runs the rounds of churn.sh on two isolated hosts and fails on anything that is
# left behind or grows. Not part of CI. Each round prints a line: memory, descriptors and threads of server and agent, size of the
# database, and how many mounts, cgroups, interfaces, rules and processes there are.
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { echo "usage: $0 BINARY [MINUTES [SEED]]" >&2; exit 2; }
minutes=${2:-60}
E2E_LIMIT=$((minutes * 60 + 600)) exec "$here/../cluster/run.sh" "$1" "$here/churn.sh" "$minutes" "${3:-$RANDOM}"
