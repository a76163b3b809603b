#!/bin/bash
# The first process of one test host, in mount, network, UTS and cgroup namespaces of its own: host.sh NAME. Mounts what a machine of
# its own would have, says so through the file "ready", then sleeps; the harness enters its namespaces.
set -eu
name=$1 dir=$E2E_DIR/$1
hostname "$name"
ip link set lo up
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock "$dir/etc"
: >/run/xtables.lock
if grep -q '^0::' /proc/self/cgroup && [ "$(wc -l </proc/self/cgroup)" = 1 ]; then
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  # Controllers are handed down only by a cgroup without processes.
  mkdir /sys/fs/cgroup/host
  echo 0 >/sys/fs/cgroup/host/cgroup.procs
else
  mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
  for mount in $E2E_HIERARCHIES; do
    leaf=${mount##*/}
    mkdir -p "/sys/fs/cgroup/$leaf"
    case $leaf in
      unified) mount -t cgroup2 cgroup2 "/sys/fs/cgroup/$leaf" ;;
      systemd) mount -t cgroup -o none,name=systemd cgroup "/sys/fs/cgroup/$leaf" ;;
      *) mount -t cgroup -o "$leaf" cgroup "/sys/fs/cgroup/$leaf" ;;
    esac
  done
fi
# A configuration and a resolv.conf of its own: nothing of the machine's leaks in.
mkdir -p "$dir/etc/k8lite"
[ -d /etc/k8lite ] && mount --bind "$dir/etc/k8lite" /etc/k8lite
echo "nameserver 192.0.2.1" >"$dir/etc/resolv.conf"
mount --bind "$dir/etc/resolv.conf" "$(readlink -f /etc/resolv.conf)" || true
: >"$dir/ready"
exec sleep infinity
