#!/bin/bash
# Measures the budgets of k8lite on an isolated host and prints a table: budgets.sh BINARY. Takes about four minutes and a machine that
# does nothing else; not part of ctest. BENCH_IDLE=seconds (60) is how long idling is watched, BENCH_STARTS (7) how many starts are timed.
here=$(cd "$(dirname "$0")" && pwd)
[ $# = 1 ] || { echo "usage: $0 BINARY" >&2; exit 2; }
E2E_LIMIT=${E2E_LIMIT:-900} exec "$here/../cluster/run.sh" "$1" "$here/measure.sh"
