#!/bin/bash
# vm.sh [amd64|arm64] [K8LITE] - a real Debian machine with systemd and cgroup version 2 alone, for what containers on a
# developer's host cannot show: builds its disk once (kept in a cache), boots it in qemu (KVM where there is one, else
# emulated: one to two minutes), runs test/vm/smoke.sh in it and gives its exit code. Needs root, qemu-system, debootstrap.
# Not part of CI. K8LITE_VM_CACHE: where the disk's parts are kept. K8LITE_VM_SECONDS: patience (1800). K8LITE_VM_PARTS:
# of "runtime peers pod". K8LITE_VM_LOG: a file for the console's text.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
arch=${1:-amd64}
binary=${2:-}
cache=${K8LITE_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/k8lite-vm}/$arch
die() { echo "vm.sh: $*" >&2; exit 2; }

case $arch in
  amd64) emulator=qemu-system-x86_64; package=qemu-system-x86; machine=(-machine q35 -cpu max); console=ttyS0; elf='x86-64' ;;
  arm64) emulator=qemu-system-aarch64; package=qemu-system-arm; machine=(-machine virt -cpu cortex-a72); console=ttyAMA0; elf='aarch64' ;;
  *) die "architecture $arch: amd64 or arm64" ;;
esac
if [ -z "$binary" ]; then
  [ "$arch" = "$(dpkg --print-architecture)" ] ||
    die "$arch needs an executable built for it: vm.sh $arch PATH (see docs for the cross build; nothing is built here)"
  for b in "$here"/build/release/k8lite "$here"/build/dev/k8lite; do [ -x "$b" ] && binary=$b && break; done
  [ -n "$binary" ] || die "no build/release/k8lite or build/dev/k8lite: build one, or name it"
fi
[ "$(id -u)" = 0 ] || die "needs root, to make the disk's files"
for tool in debootstrap mkfs.ext4 $emulator; do
  command -v $tool >/dev/null || die "$tool is not installed: apt-get install debootstrap e2fsprogs $package"
done
head -c 20 "$binary" | od -An -tx1 -j18 -N2 | grep -q "$([ $elf = x86-64 ] && echo '3e 00' || echo 'b7 00')" ||
  die "$binary is no $arch executable"

# The machine's files, once. A foreign architecture's packages are configured by its own programs.
if [ ! -e "$cache/done" ]; then
  if [ "$arch" != "$(dpkg --print-architecture)" ] && ! ls /proc/sys/fs/binfmt_misc/qemu-* >/dev/null 2>&1; then
    die "$arch on this host needs qemu-user-static and binfmt_misc to configure Debian's packages"
  fi
  rm -rf "$cache"
  mkdir -p "$cache"
  echo "vm: making Debian's files in $cache" >&2
  debootstrap --arch="$arch" --variant=minbase \
    --include="systemd-sysv,dbus,linux-image-cloud-$arch,busybox-static,python3,iproute2,iptables,kmod,procps,runc,crun" \
    bookworm "$cache/root" >"$cache/debootstrap.log" 2>&1 || die "debootstrap failed: $cache/debootstrap.log"
  rm -rf "$cache"/root/var/cache/apt/archives/*.deb
  touch "$cache/done"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/k8lite-vm.XXXXXX")
emulator_pid=
cleanup() {
  [ -z "$emulator_pid" ] || kill "$emulator_pid" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
cp -a "$cache/root" "$work/root"
install -m 755 "$binary" "$work/root/usr/local/bin/k8lite"
mkdir -p "$work/root/smoke"
cp "$here/test/oci/suite.py" "$here/test/vm/smoke.sh" "$work/root/smoke/"
echo "${K8LITE_VM_PARTS:-runtime pod}" >"$work/root/smoke/parts"
echo k8lite-vm >"$work/root/etc/hostname"
printf '127.0.0.1 localhost\n10.0.2.15 k8lite-vm\n' >"$work/root/etc/hosts"
cat >"$work/root/etc/systemd/system/smoke.service" <<END
[Unit]
After=multi-user.target
[Service]
Type=oneshot
Delegate=yes
TimeoutStartSec=infinity
StandardOutput=tty
StandardError=tty
TTYPath=/dev/$console
ExecStart=-/bin/bash /smoke/smoke.sh
ExecStopPost=/bin/systemctl poweroff --force --force
END
mkdir -p "$work/root/etc/systemd/system/default.target.wants"
ln -s ../smoke.service "$work/root/etc/systemd/system/default.target.wants/smoke.service"
ln -sf /dev/null "$work/root/etc/systemd/system/serial-getty@$console.service"
ln -sf /lib/systemd/system/multi-user.target "$work/root/etc/systemd/system/default.target"
mkdir -p "$work/root/etc/systemd/system/multi-user.target.wants"
mv "$work/root/etc/systemd/system/default.target.wants/smoke.service" "$work/root/etc/systemd/system/multi-user.target.wants/"
sed -i 's/^After=multi-user.target/After=basic.target/' "$work/root/etc/systemd/system/smoke.service"
truncate -s 3G "$work/disk"
mkfs.ext4 -q -O ^has_journal -d "$work/root" "$work/disk"
cp "$work"/root/boot/vmlinuz-* "$work/kernel"
cp "$work"/root/boot/initrd.img-* "$work/initrd"
rm -rf "$work/root"

accelerator=tcg,thread=multi
if [ -w /dev/kvm ] && [ "$arch" = "$(dpkg --print-architecture)" ] && { [ "$arch" = arm64 ] || grep -qwE 'vmx|svm' /proc/cpuinfo; }; then accelerator=kvm; fi
echo "vm: booting ($accelerator)" >&2
timeout "${K8LITE_VM_SECONDS:-1800}" "$emulator" "${machine[@]}" -accel "$accelerator" -m 2048 -smp 2 -display none -no-reboot \
  -monitor none -serial "file:$work/console" -nic user,restrict=on,model=virtio-net-pci \
  -drive "file=$work/disk,format=raw,if=virtio,cache=unsafe" -kernel "$work/kernel" -initrd "$work/initrd" \
  -append "root=/dev/vda rw console=$console systemd.unified_cgroup_hierarchy=1 systemd.show_status=0 net.ifnames=0" &
emulator_pid=$!
touch "$work/console"
tail -n +1 -f --pid=$emulator_pid "$work/console" &
wait $emulator_pid || true
emulator_pid=
wait || true
cp "$work/console" "${K8LITE_VM_LOG:-/dev/null}"
result=$(tr -d '\r' <"$work/console" | sed -n 's/^vm: result \([0-9]*\)$/\1/p' | tail -1)
[ -n "$result" ] || die "the machine gave no result"
exit "$result"
