#!/bin/sh
# Runs install.sh, k8lite-killall.sh and k8lite-uninstall.sh against fake roots: folders with the files of a machine, and a PATH of fake
# tools that write down how they were called. Touches nothing of the machine it runs on.
set -eu
cd "$(dirname "$0")/../.."
clone="$(pwd)"
work="$(mktemp -d)"
sleeper=""
trap 'rm -rf "$work"; [ -z "$sleeper" ] || kill "$sleeper" 2>/dev/null || true' EXIT
failed=0 passed=0
shell="${TEST_SHELL:-sh}"

ok() { passed=$((passed + 1)); }
wrong() { failed=$((failed + 1)); echo "FAILED: $case_name: $*" >&2; if [ -n "${out:-}" ] && [ -f "$out" ]; then sed 's/^/    | /' "$out" >&2; fi; }
check() { # SENTENCE COMMAND...
  sentence="$1"
  shift
  if "$@" >/dev/null 2>&1; then ok; else wrong "$sentence"; fi
}
refuse() { # SENTENCE COMMAND...: the command must fail
  sentence="$1"
  shift
  if "$@" >/dev/null 2>&1; then wrong "$sentence"; else ok; fi
}
says() { if grep -qF -- "$1" "$out"; then ok; else wrong "should say: $1"; fi; }
called() { if grep -qF -- "$1" "$R/calls"; then ok; else wrong "should call: $1"; fi; }
never_called() { if grep -qF -- "$1" "$R/calls"; then wrong "should not call: $1"; else ok; fi; }
has_line() { if grep -qxF -- "$2" "$R$1"; then ok; else wrong "$1 should have the line: $2"; fi; }
mode_is() { check "$1 has mode $2" test "$(stat -c %a "$R$1")" = "$2"; }

tool() { # NAME [BODY]: a fake tool that notes its call
  printf '#!/bin/sh\necho "%s $*" >>"%s/calls"\n%s\n' "$1" "$R" "${2:-}" >"$R/tools/$1"
  chmod +x "$R/tools/$1"
}

# An executable's first 20 bytes, then something to tell versions apart.
elf() { # FILE MACHINE_OCTAL TEXT
  {
    printf '\177ELF\002\001\001\000\000\000\000\000\000\000\000\000\002\000'
    printf '%b\000%s' "\\0$2" "$3"
  } >"$1"
}

# A Debian-like amd64 machine with systemd, cgroups of version 2 and iptables.
machine() { # CASE
  case_name="$1"
  R="$work/$(echo "$1" | tr -c 'a-z0-9\n' _)"
  out="$R/out"
  mkdir -p "$R/tools" "$R/proc/self" "$R/sys/fs/cgroup" "$R/sys/class/net" "$R/run/systemd/system" "$R/etc" "$R/web" "$R/usr/local/bin"
  : >"$R/calls"
  : >"$R/proc/self/mountinfo"
  echo "cpuset cpu io memory pids" >"$R/sys/fs/cgroup/cgroup.controllers"
  printf '#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t0\t10\t1\nmemory\t0\t10\t1\n' >"$R/proc/cgroups"
  for name in sh awk sed grep cat cp mv rm mkdir chmod ln cut tr sort head tail mktemp readlink dirname id env wc od cmp touch sha256sum find rmdir \
    printf kill stat hash test curl rmdir xargs; do
    path="$(command -v "$name" || true)"
    case "$path" in /*) ln -sf "$path" "$R/tools/$name" ;; esac
  done
  tool uname 'case "$1" in -m) echo x86_64 ;; *) echo Linux ;; esac'
  tool systemctl
  tool iptables-restore 'cat >>"'"$R"'/restored"'
  tool iptables-save
  tool ip
  tool sleep "exec $(command -v sleep) 0.05"
  tool umount
  elf "$R/web/k8lite" 076 one
  (cd "$R/web" && sha256sum k8lite >k8lite.sha256)
}

# `set +e` inside: the exit code is the answer. PATH gets no more than the fake tools; install.sh itself appends the sbin folders.
run() { # NAME=VALUE... -- ARGUMENTS...
  vars=""
  status=0
  assignments="$R/assignments"
  : >"$assignments"
  while [ $# -gt 0 ] && [ "$1" != -- ]; do printf '%s\n' "$1" >>"$assignments"; shift; done
  if [ $# -gt 0 ]; then shift; fi
  (
    unset K8LITE_URL K8LITE_TOKEN INSTALL_K8LITE_EXEC
    while IFS= read -r line; do export "${line%%=*}=${line#*=}"; done <"$assignments"
    export INSTALL_K8LITE_ROOT="$R"
    PATH="$R/tools"
    export PATH
    exec "$shell_path" "${script:-$R/install.sh}" "$@"
  ) >"$out" 2>&1 || status=$?
}
install() {
  sed 's#:/usr/local/sbin:/usr/sbin:/sbin##' "$clone/install.sh" >"$R/install.sh"  # no tool of the real machine
  script="$R/install.sh"
  run "INSTALL_K8LITE_DOWNLOAD_URL=file://$R/web" "$@"
}
installed_script() { # NAME
  script="$R/usr/local/bin/$1"
  sed 's#:/usr/local/sbin:/usr/sbin:/sbin##' "$script" >"$script.t" && cat "$script.t" >"$script" && rm "$script.t"
  run
}
succeeds() { check "should succeed" test "$status" = 0; }
fails() { check "should fail with exit code 1, not $status" test "$status" = 1; }
nothing_installed() {
  refuse "should install nothing" test -e "$R/usr/local/bin/k8lite"
  refuse "should write no service" test -e "$R/etc/systemd/system/k8lite.service"
}

shell_path="$(command -v "$shell")"

# ---- the files inside of install.sh ----
case_name="install.sh carries the current files" out=""
check "packaging/embed.sh should have been run" "$clone/packaging/embed.sh" --check

machine "a server with systemd"
install
succeeds
check "the executable is there" cmp "$R/web/k8lite" "$R/usr/local/bin/k8lite"
mode_is /usr/local/bin/k8lite 755
for line in 'ExecStart=/usr/local/bin/k8lite server' 'KillMode=process' 'Delegate=yes' 'Type=exec' 'Restart=always' 'LimitNOFILE=1048576' 'TasksMax=infinity' \
  'EnvironmentFile=-/etc/k8lite/k8lite.env' 'Description=k8lite server: Kubernetes in one executable'; do
  has_line /etc/systemd/system/k8lite.service "$line"
done
mode_is /etc/k8lite/k8lite.env 600
called "systemctl daemon-reload"
called "systemctl enable k8lite.service"
called "systemctl restart k8lite.service"
for name in kubectl crictl ctr; do check "$name is a link" test "$(readlink "$R/usr/local/bin/$name")" = k8lite; done
for name in killall uninstall; do mode_is "/usr/local/bin/k8lite-$name.sh" 755; done
check "the killall script is the repository's" test "$(sed 's#:/usr/local/sbin:/usr/sbin:/sbin##' "$clone/scripts/killall.sh")" = "$(cat "$R/usr/local/bin/k8lite-killall.sh")"
check "no half-written file stays" test -z "$(find "$R" -name '*.new')"

case_name="a second run changes nothing and restarts nothing"
: >"$R/calls"
install
succeeds
says "nothing has changed"
never_called "systemctl restart"

case_name="a new executable is put in place and started"
: >"$R/calls"
elf "$R/web/k8lite" 076 two
(cd "$R/web" && sha256sum k8lite >k8lite.sha256)
install
succeeds
check "the new one is there" cmp "$R/web/k8lite" "$R/usr/local/bin/k8lite"
called "systemctl restart k8lite.service"

case_name="a server's machine does not become an agent by the way"
install K8LITE_URL=https://h1:6443 K8LITE_TOKEN=x
fails
says "this machine has the service k8lite"

machine "an agent"
install K8LITE_URL=https://h1:6443 'K8LITE_TOKEN=K10ab::server:a"b$c`d\e f' K8LITE_NODE_NAME=n2
succeeds
has_line /etc/systemd/system/k8lite-agent.service 'ExecStart=/usr/local/bin/k8lite agent'
called "systemctl restart k8lite-agent.service"
mode_is /etc/k8lite/k8lite.env 600
check "a shell reads the token back" test "$(. "$R/etc/k8lite/k8lite.env" && printf %s "$K8LITE_TOKEN")" = 'K10ab::server:a"b$c`d\e f'
has_line /etc/k8lite/k8lite.env 'K8LITE_NODE_NAME="n2"'
refuse "the token is in no unit" grep -r K10ab "$R/etc/systemd"

machine "an agent without a token"
install K8LITE_URL=https://h1:6443
fails
says "set K8LITE_TOKEN"
nothing_installed

machine "an agent with a plain http server"
install K8LITE_URL=http://h1:6443 K8LITE_TOKEN=x
fails
says "must begin with https://"

machine "an agent without a server"
install INSTALL_K8LITE_EXEC=agent K8LITE_TOKEN=x
fails
says "set K8LITE_URL"

machine "flags in INSTALL_K8LITE_EXEC and as arguments"
install 'INSTALL_K8LITE_EXEC=--node-label "a b=c%d$e" --disable-agent' -- --data-dir /mnt/ssd/k8
succeeds
has_line /etc/systemd/system/k8lite.service 'ExecStart=/usr/local/bin/k8lite server --node-label "a b=c%%d$$e" --disable-agent --data-dir /mnt/ssd/k8'
has_line /etc/k8lite/k8lite.env 'K8LITE_DATA_DIR="/mnt/ssd/k8"'

machine "an unknown command"
install INSTALL_K8LITE_EXEC=serve
fails
says 'must be server or agent, not "serve"'

machine "skip start"
install INSTALL_K8LITE_SKIP_START=true
succeeds
called "systemctl enable k8lite.service"
never_called "systemctl restart"

machine "skip enable"
install INSTALL_K8LITE_SKIP_ENABLE=true
succeeds
never_called "systemctl enable"
never_called "systemctl restart"

machine "skip download"
install INSTALL_K8LITE_SKIP_DOWNLOAD=true
fails
says "is not there"
cp "$R/web/k8lite" "$R/usr/local/bin/k8lite"
chmod +x "$R/usr/local/bin/k8lite"
install INSTALL_K8LITE_SKIP_DOWNLOAD=true
succeeds

machine "another bin directory"
install INSTALL_K8LITE_BIN_DIR=/opt/k8/bin
succeeds
has_line /etc/systemd/system/k8lite.service 'ExecStart=/opt/k8/bin/k8lite server'
check "the executable is there" test -x "$R/opt/k8/bin/k8lite"

machine "a checksum that does not match"
elf "$R/web/k8lite" 076 tampered
install
fails
says "does not match its sha256 checksum"
nothing_installed

machine "an executable for another architecture"
elf "$R/web/k8lite" 267 arm
(cd "$R/web" && sha256sum k8lite >k8lite.sha256)
install
fails
says "is for another architecture"
nothing_installed

machine "a folder with executables for several architectures"
tool uname 'case "$1" in -m) echo aarch64 ;; *) echo Linux ;; esac'
elf "$R/web/k8lite-arm64" 267 arm
(cd "$R/web" && sha256sum k8lite-arm64 >k8lite-arm64.sha256)
install
succeeds
check "the arm64 one is there" cmp "$R/web/k8lite-arm64" "$R/usr/local/bin/k8lite"

machine "no download address"
install INSTALL_K8LITE_DOWNLOAD_URL=
fails
says "set INSTALL_K8LITE_DOWNLOAD_URL"

machine "nothing at the download address"
rm "$R/web/k8lite.sha256"
install
fails
says "cannot download file://$R/web/k8lite.sha256"
nothing_installed

machine "from standard input, cut short"
head -c 30000 "$clone/install.sh" >"$R/cut.sh"
script="$R/cut.sh"
run "INSTALL_K8LITE_DOWNLOAD_URL=file://$R/web"
nothing_installed
check "no tool is called" test ! -s "$R/calls"

machine "in a clone"
mkdir "$R/clone"
cp "$clone/install.sh" "$R/clone/install.sh"
: >"$R/clone/CMakeLists.txt"
script="$R/clone/install.sh"
run
fails
says "build k8lite first"
mkdir -p "$R/clone/build/release"
elf "$R/clone/build/release/k8lite" 076 built
run
succeeds
check "the built one is there" cmp "$R/clone/build/release/k8lite" "$R/usr/local/bin/k8lite"

machine "an unsupported architecture"
tool uname 'case "$1" in -m) echo mips ;; *) echo Linux ;; esac'
install
fails
says "the architecture mips is not supported"
nothing_installed

machine "a raspberry pi without the memory cgroup"
echo "cpuset cpu io pids" >"$R/sys/fs/cgroup/cgroup.controllers"
printf '#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t0\t10\t1\nmemory\t0\t10\t0\n' >"$R/proc/cgroups"
mkdir -p "$R/proc/device-tree" "$R/boot/firmware" "$R/dev"
printf 'Raspberry Pi 4 Model B Rev 1.4\000' >"$R/proc/device-tree/model"
echo "console=tty1 root=PARTUUID=1-2 rootwait" >"$R/boot/firmware/cmdline.txt"
install
fails
says "cgroup_memory=1 cgroup_enable=memory"
says "/boot/firmware/cmdline.txt"
has_line /boot/firmware/cmdline.txt "console=tty1 root=PARTUUID=1-2 rootwait"
nothing_installed
case_name="a raspberry pi whose owner agrees"
echo y >"$R/dev/tty"
install
fails
says "reboot and run this again"
has_line /boot/firmware/cmdline.txt "console=tty1 root=PARTUUID=1-2 rootwait cgroup_memory=1 cgroup_enable=memory"
has_line /boot/firmware/cmdline.txt.before-k8lite "console=tty1 root=PARTUUID=1-2 rootwait"

machine "cgroups of version 1"
rm "$R/sys/fs/cgroup/cgroup.controllers"
mkdir -p "$R/sys/fs/cgroup/memory" "$R/sys/fs/cgroup/cpu,cpuacct"
: >"$R/sys/fs/cgroup/memory/cgroup.procs"
: >"$R/sys/fs/cgroup/cpu,cpuacct/cgroup.procs"
ln -s cpu,cpuacct "$R/sys/fs/cgroup/cpu"
install
succeeds

machine "cgroups that are not mounted"
rm "$R/sys/fs/cgroup/cgroup.controllers"
install
fails
says "not mounted"
nothing_installed

for manager in apt-get dnf yum zypper apk pacman; do
  machine "iptables comes from $manager"
  mv "$R/tools/iptables-restore" "$R/iptables-restore.later"
  tool "$manager" "case \"\$*\" in *iptables*) cp '$R/iptables-restore.later' '$R/tools/iptables-restore' ;; esac"
  install
  succeeds
  check "the package manager was asked" grep -q "^$manager .*iptables" "$R/calls"
done

machine "no iptables and no package manager"
rm "$R/tools/iptables-restore"
install
fails
says 'install your distribution'"'"'s package "iptables"'

machine "a kubectl that is there already"
tool kubectl
install
succeeds
refuse "it is left alone" test -e "$R/usr/local/bin/kubectl"
check "crictl is made" test -L "$R/usr/local/bin/crictl"

machine "OpenRC"
rm -r "$R/run/systemd" "$R/tools/systemctl"
mkdir -p "$R/run/openrc"
: >"$R/run/openrc/softlevel"
for name in openrc-run rc-update rc-service; do tool "$name"; done
install 'INSTALL_K8LITE_EXEC=server --node-label "a b=c'"'"'d\$e"'
succeeds
mode_is /etc/init.d/k8lite 755
has_line /etc/init.d/k8lite 'command="/usr/local/bin/k8lite"'
check "OpenRC's two evaluations give the arguments back" test "$(command_args="" && eval "$(grep '^command_args=' "$R/etc/init.d/k8lite")" && eval "set -- $command_args" && printf '%s|' "$@")" = "server|--node-label|a b=c'd\$e|"
check "the script is one that a shell reads" "$shell_path" -n "$R/etc/init.d/k8lite"
called "rc-update add k8lite default"
called "rc-service k8lite restart"

machine "neither systemd nor OpenRC"
rm -r "$R/run/systemd" "$R/tools/systemctl"
install
succeeds
says "start k8lite with:"
says "/usr/local/bin/k8lite server"

# ---- killall and uninstall ----
machine "killall and uninstall leave nothing"
install INSTALL_K8LITE_SKIP_START=true
succeeds
sleep 300 >/dev/null 2>&1 &
sleeper=$!
mkdir -p "$R/proc/$sleeper" "$R/run/k8lite/pods/u1" "$R/var/lib/k8lite/server/db" "$R/var/lib/k8lite/agent/pods/u1" "$R/sys/fs/cgroup/kubepods/burstable/podu1"
echo k8lite-shim >"$R/proc/$sleeper/comm"
printf 'k8lite-shim\000/run/k8lite/pods/u1\000web\000' >"$R/proc/$sleeper/cmdline"
echo "$sleeper (k8lite-shim) S 1 1 1" >"$R/proc/$sleeper/stat"
cat >"$R/proc/self/mountinfo" <<END
20 1 0:1 / / rw - ext4 /dev/sda1 rw
21 20 0:2 / /var/lib/k8lite rw - ext4 /dev/sdb1 rw
22 21 0:3 / /var/lib/k8lite/agent/pods/u1/volumes/a\\040b rw - tmpfs tmpfs rw
23 20 0:4 / /var/lib/k8lite-other/x rw - tmpfs tmpfs rw
24 20 0:5 / /run/k8lite/pods/u1/net rw - nsfs nsfs rw
END
# The fake umount takes the line away, as the kernel would; the fake kill takes the process's folder away.
tool umount "t=\$(printf '%s' \"\$*\" | sed 's/ /.040/'); grep -v \" \$t \" '$R/proc/self/mountinfo' >'$R/m' ; cat '$R/m' >'$R/proc/self/mountinfo'"
for link in cni0 flannel.1 eth0; do mkdir "$R/sys/class/net/$link"; done
for link in veth12345678 vethother; do mkdir "$R/sys/class/net/$link"; done
ln -s ../cni0 "$R/sys/class/net/veth12345678/master"
ln -s ../docker0 "$R/sys/class/net/vethother/master"
cat >"$R/rules" <<'END'
# Generated by iptables-save
*nat
:PREROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-ABC - [0:0]
:K8LITE-POSTRTG - [0:0]
:DOCKER - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A PREROUTING -j DOCKER
-A POSTROUTING -j K8LITE-POSTRTG
-A DOCKER -m comment --comment "not -j KUBE-SERVICES" -j RETURN
-A KUBE-SERVICES -d 10.43.0.1/32 -j KUBE-SVC-ABC
COMMIT
*filter
:INPUT ACCEPT [0:0]
COMMIT
END
tool iptables-save "cat '$R/rules'"
(while kill -0 "$sleeper" 2>/dev/null; do sleep 0.05; done; rm -r "$R/proc/$sleeper") >/dev/null 2>&1 &
installed_script k8lite-killall.sh
succeeds
refuse "the shim is ended" kill -0 "$sleeper"
sleeper=""
called "systemctl stop k8lite.service"
called "umount /var/lib/k8lite/agent/pods/u1/volumes/a b"
called "umount /run/k8lite/pods/u1/net"
never_called "umount /var/lib/k8lite-other"
check "the user's disk stays mounted" grep -q " /var/lib/k8lite rw" "$R/proc/self/mountinfo"
called "ip link delete cni0"
called "ip link delete flannel.1"
called "ip link delete veth12345678"
never_called "ip link delete vethother"
cat >"$R/wanted" <<'END'
*nat
-D PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-D POSTROUTING -j K8LITE-POSTRTG
-F KUBE-SERVICES
-F KUBE-SVC-ABC
-F K8LITE-POSTRTG
-X KUBE-SERVICES
-X KUBE-SVC-ABC
-X K8LITE-POSTRTG
COMMIT
END
diff "$R/wanted" "$R/restored" >>"$out" || true
check "exactly our rules are removed" cmp "$R/wanted" "$R/restored"
refuse "the cgroups are gone" test -e "$R/sys/fs/cgroup/kubepods"
refuse "/run/k8lite is gone" test -e "$R/run/k8lite"
check "the data is there" test -d "$R/var/lib/k8lite/server/db"

case_name="uninstall"
: >"$R/usr/local/bin/other"
: >"$R/rules"
installed_script k8lite-uninstall.sh
succeeds
called "systemctl disable k8lite.service"
check "only what is not ours is in the bin directory" test "$(ls "$R/usr/local/bin")" = other
for path in /etc/k8lite /etc/systemd/system/k8lite.service /var/lib/k8lite/server /var/lib/k8lite; do refuse "$path is gone" test -e "$R$path"; done

machine "uninstall keeps what it did not make"
install 'INSTALL_K8LITE_EXEC=server --data-dir /srv/data' INSTALL_K8LITE_SKIP_START=true
mkdir -p "$R/srv/data/server" "$R/srv/data/agent" "$R/srv/data/photos"
rm "$R/usr/local/bin/kubectl"
ln -s /opt/real/kubectl "$R/usr/local/bin/kubectl"
installed_script k8lite-uninstall.sh
succeeds
refuse "our folder is gone" test -e "$R/srv/data/server"
check "the user's folder stays" test -d "$R/srv/data/photos"
check "the user's link stays" test -L "$R/usr/local/bin/kubectl"

if [ "$failed" != 0 ]; then
  echo "install_test: $failed failed, $passed passed"
  exit 1
fi
echo "install_test: all $passed checks passed"
