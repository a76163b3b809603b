#!/bin/sh
# Installs every Debian 12 package that building and testing k8lite needs. Run as root; does nothing where all are there.
set -eu

packages="clang-16 lld-16 libclang-rt-16-dev ccache cmake ninja-build python3
  libboost1.81-dev libsqlite3-dev libssl-dev zlib1g-dev libzstd-dev zstd libyaml-cpp-dev rapidjson-dev
  libseccomp-dev libre2-dev libc-ares-dev libnghttp2-dev catch2
  iptables iproute2 busybox-static procps ca-certificates curl openssl"
# One scenario pulls from a real registry and is skipped without these.
wanted="docker-registry skopeo"

absent() { # PACKAGE...: those that are not installed
  for p in "$@"; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || printf ' %s' "$p"
  done
}
# shellcheck disable=SC2086
missing="$(absent $packages)" optional="$(absent $wanted)"
[ -z "$missing$optional" ] && exit 0

if [ -z "$missing" ] && [ "$(id -u)" != 0 ]; then exit 0; fi
if [ "$(id -u)" != 0 ]; then
  echo "deps.sh: these packages are missing, run as root to install them:$missing" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# shellcheck disable=SC2086
[ -z "$missing" ] || apt-get install -y -q --no-install-recommends $missing
# shellcheck disable=SC2086
[ -z "$optional" ] || apt-get install -y -q --no-install-recommends $optional || echo "deps.sh: not installed:$optional; tests that need them are skipped" >&2
