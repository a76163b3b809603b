#!/bin/sh
# Installs what tests need, builds everything and runs every test. Ends in ctest's summary. Run as root: tests tagged [root] make
# namespaces and load iptables rules inside them.
set -eu
cd "$(dirname "$0")/.."

scripts/deps.sh
scripts/clients.sh
# Images of real programs are made beside the build, which is longer; scenarios are skipped where they cannot be had.
test/workloads/images.sh >/dev/null &
images=$!
cmake --preset release
cmake --build --preset release
wait $images || true
python3 scripts/layers.py
python3 scripts/tidy.py
ctest --test-dir build/release --output-on-failure --no-tests=error -j2 "$@"
