#!/bin/bash
# Measures the budgets of images: images.sh BINARY. A 200 MB image of gzip layers in a registry on this host is pulled and unpacked by
# k8lite, and beside it by umoci (unpack of the same layers) or, where that is not installed, by skopeo into a folder and GNU tar; runs are
# interleaved. Not part of ctest; BENCH_RUNS (5) is how many. Needs docker-registry and skopeo.
here=$(cd "$(dirname "$0")" && pwd)
[ $# = 1 ] || { echo "usage: $0 BINARY" >&2; exit 2; }
E2E_LIMIT=${E2E_LIMIT:-900} exec "$here/../cluster/run.sh" "$1" "$here/measure_images.sh"
