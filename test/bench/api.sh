#!/bin/bash
# Measures the API server's budgets (ConfigMaps of 1 KiB over TLS with a client certificate): api.sh K8LITE API_BENCH. BENCH_ROWS picks rows of
# create, get, update, patch, delete, list, watch, held; see with_server.sh for the rest.
exec "$(dirname "$0")/with_server.sh" "$@"
