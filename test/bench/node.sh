#!/bin/sh
# usage: test/bench/node.sh K8LITE [PODS] [IDLE-SECONDS]: a node under the pods of a busy edge, in namespaces of its own: create to Running of 20 pods one
# after the other, of 30 together, then PODS (110) idle ones: our memory (PSS of the server and of all shims), CPU and what we write to disk
# meanwhile (60 s; the budget of 200 KiB is for 30 pods over 600). Needs root.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec env E2E_LIMIT=$((600 + ${3:-60})) "$here/../cluster/run.sh" "$1" "$here/node_scenario.sh" "${2:-110}" "${3:-60}"
