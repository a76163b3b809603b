#!/bin/sh
# CI at home: layers, tidiness, a development build and the tests that need no root. `scripts/test.sh` runs everything.
set -eu
cd "$(dirname "$0")/.."

python3 scripts/layers.py
python3 scripts/tidy.py
[ -d build/dev ] || cmake --preset dev
cmake --build --preset dev
ctest --test-dir build/dev --output-on-failure --no-tests=error -L unit "$@"
