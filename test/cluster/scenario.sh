#!/bin/bash
# The surroundings of one scenario, started by run.sh inside fresh namespaces: a LAN (bridge lan0, 192.0.2.1/24, the default gateway of
# every host), the functions of lib.sh, then the scenario file. On failure the tail of each host's log is printed.
set -u
scenario=$1
shift
. "$E2E_HERE/lib.sh"

finish() {
  local code=$? log
  trap - EXIT
  [ $failures -gt 0 ] && [ $code = 0 ] && code=1
  if [ $code != 0 ] && [ $code != 77 ]; then
    for log in "$E2E_DIR"/*/server.log "$E2E_DIR"/*/agent.log; do
      [ -f "$log" ] && echo "---- the end of $log" && tail -n "${E2E_LOG_LINES:-60}" "$log"
    done
    echo "FAILED: $(basename "$scenario"): $failures of $checks checks failed (exit code $code)"
  elif [ $code = 0 ]; then
    echo "passed: $(basename "$scenario"): $checks checks"
  fi
  exit $code
}
trap finish EXIT

mount -t tmpfs tmpfs /run
ip link set lo up
ip link add lan0 type bridge forward_delay 0
ip addr add 192.0.2.1/24 dev lan0
ip link set lan0 up
. "$scenario"
