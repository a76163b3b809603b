#!/bin/bash
# Measures the budgets of workloads: workloads.sh K8LITE WORKLOAD_BENCH. BENCH_ROWS picks rows of deployment, bound, rate; see with_server.sh for
# the rest.
exec "$(dirname "$0")/with_server.sh" "$@"
