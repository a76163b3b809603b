#!/bin/sh
# usage: test/oci/clients.sh K8LITE: podman and containerd, Debian's packages, run containers through k8lite's OCI runtime: run, exec, pause, limits,
# privileged, terminal, what is missing. All state is in a folder of its own. Exit code 77: neither client is installed, or not root.
set -eu
k8lite=$(realpath "$1")
[ "$(id -u)" = 0 ] && command -v busybox >/dev/null || exit 77
command -v podman >/dev/null || command -v ctr >/dev/null || exit 77
top=$(mktemp -d /tmp/oci-clients.XXXXXX)
daemon=
clean() {
  if [ -n "$daemon" ]; then kill "$daemon" && wait "$daemon" || true; fi
  command -v podman >/dev/null && pod rm -fa >/dev/null 2>&1 || true
  umount -R "$top/pod/root" 2>/dev/null || true
  rm -rf "$top"
}
trap clean EXIT
mkdir -p "$top/bin" "$top/rootfs/bin" "$top/rootfs/etc" "$top/rootfs/tmp"
ln -s "$k8lite" "$top/bin/runc"
cp "$(command -v busybox)" "$top/rootfs/bin/busybox"
for a in sh true id ps sleep ls grep mount; do ln -s busybox "$top/rootfs/bin/$a"; done
echo 'root:x:0:0:root:/root:/bin/sh' > "$top/rootfs/etc/passwd"
tar -C "$top/rootfs" -cf "$top/rootfs.tar" .

fail() {
  echo "FAILED: $*" >&2
  exit 1
}
is() { # what, expected, got
  [ "$2" = "$3" ] || fail "$1: expected \"$2\", got \"$3\""
}
pod() {
  CONTAINERS_STORAGE_DRIVER=vfs timeout 60 podman --runtime "$top/bin/runc" --cgroup-manager cgroupfs --events-backend file \
    --root "$top/pod/root" --runroot "$top/pod/run" --tmpdir "$top/pod/tmp" "$@"
}

podman_tests() {
  # The hosts of the tests may not raise limits; what podman asks for by itself would be more than they have.
  limits="--ulimit nofile=1024:1024 --ulimit nproc=1000:1000 --network none"
  pod import -q "$top/rootfs.tar" bb >/dev/null
  is "podman run" "0" "$(pod run --rm $limits bb id | sed 's/uid=\([0-9]*\).*/\1/')"
  is "podman run with seccomp" "2" "$(pod run --rm $limits bb grep Seccomp: /proc/self/status | tr -dc 0-9)"
  pod run -d --name one $limits -m 64m --pids-limit 50 bb sleep 1000 >/dev/null
  code=0
  pod exec one sh -c 'exit 4' || code=$?
  is "podman exec" 4 "$code"
  pod pause one >/dev/null
  is "podman pause" paused "$(pod inspect -f '{{.State.Status}}' one)"
  pod unpause one >/dev/null
  pod update -m 32m one >/dev/null
  pod kill one >/dev/null
  is "podman wait" 137 "$(pod wait one)"
  pod rm one >/dev/null
  is "podman privileged" 0 "$(pod run --rm $limits --privileged bb sh -c 'mount -t tmpfs tmpfs /bin; echo $?')"
  code=0
  pod run --rm $limits bb no-such-program 2>/dev/null || code=$?
  is "podman: a missing program" 127 "$code"
  echo "podman: fine"
}

containerd_tests() {
  printf 'version = 2\nroot = "%s/cd/root"\nstate = "%s/cd/state"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "%s/cd.sock"\n' "$top" "$top" "$top" > "$top/cd.toml"
  containerd -c "$top/cd.toml" > "$top/cd.log" 2>&1 &
  daemon=$!
  n=0
  until timeout 5 ctr -a "$top/cd.sock" version >/dev/null 2>&1; do
    n=$((n + 1))
    [ $n -lt 300 ] || fail "containerd did not start: $(tail -3 "$top/cd.log")"
    sleep 0.1
  done
  cd_() { timeout 60 ctr -a "$top/cd.sock" "$@"; }
  run="run --rootfs --runc-binary $top/bin/runc"
  is "ctr run" "fine" "$(cd_ $run --rm "$top/rootfs" one sh -c 'echo fine')"
  cd_ $run -d "$top/rootfs" two sleep 1000
  is "ctr task ls" RUNNING "$(cd_ task ls | awk '$1 == "two" { print $3 }')"
  code=0
  cd_ task exec --exec-id e1 two sh -c 'exit 3' || code=$?
  is "ctr task exec" 3 "$code"
  cd_ task pause two
  is "ctr task pause" PAUSED "$(cd_ task ls | awk '$1 == "two" { print $3 }')"
  cd_ task resume two
  cd_ task kill -s 9 two
  n=0
  until [ "$(cd_ task ls | awk '$1 == "two" { print $3 }')" = STOPPED ]; do
    n=$((n + 1))
    [ $n -lt 200 ] || fail "ctr task kill: still there"
    sleep 0.1
  done
  cd_ task delete two >/dev/null 2>&1 || true
  cd_ container delete two
  echo "containerd: fine"
}

if command -v podman >/dev/null; then podman_tests; fi
if command -v ctr >/dev/null && command -v containerd >/dev/null; then containerd_tests; fi
