#!/bin/sh
# Installs k8lite on this machine and starts it as a service. Run in a clone after building, or straight from a web server that holds this
# file, the executable and its checksum:
#
#   sudo ./install.sh                                                    a server with a node, from this clone
#   curl -sfL http://HOST/install.sh | INSTALL_K8LITE_DOWNLOAD_URL=http://HOST sh -
#   ... | K8LITE_URL=https://SERVER:6443 K8LITE_TOKEN=TOKEN sh -         a node that joins SERVER
#   ... | sh -s - server --disable-agent                                 arguments go to the service
#
# Variables:
#   K8LITE_*                      settings of the service, kept in /etc/k8lite/k8lite.env (mode 0600)
#   K8LITE_URL                    the server to join: installs an agent
#   K8LITE_TOKEN                  the cluster's secret
#   INSTALL_K8LITE_EXEC           the service's command and flags; "server", or "agent" where K8LITE_URL is set, comes by itself
#   INSTALL_K8LITE_SKIP_START     true: do not start the service now
#   INSTALL_K8LITE_SKIP_ENABLE    true: neither enable nor start it
#   INSTALL_K8LITE_SKIP_DOWNLOAD  true: use the executable that is in the bin directory already
#   INSTALL_K8LITE_BIN_DIR        where executables go (/usr/local/bin)
#   INSTALL_K8LITE_DOWNLOAD_URL   the folder with k8lite and k8lite.sha256
#
# Everything happens in functions that the last line calls, so that a download cut short does nothing.
set -eu

# Who publishes this file on a web server may fill in the folder that holds the executable.
DEFAULT_DOWNLOAD_URL=""

say() { echo "install.sh: $*"; }
warn() { echo "install.sh: $*" >&2; }
die() {
  warn "$*"
  exit 1
}

is_true() { case "${1:-}" in true | 1 | yes) return 0 ;; *) return 1 ;; esac; }

as_root() {
  if [ -n "$sudo" ]; then "$sudo" "$@"; else "$@"; fi
}

prepare() {
  PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
  export PATH
  root="${INSTALL_K8LITE_ROOT:-}"
  sudo=""
  if [ -z "$root" ] && [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null 2>&1 || die "must be run as root, and there is no sudo"
    sudo="sudo"
  fi
  [ "$(uname -s)" = Linux ] || die "k8lite runs on Linux only, this is $(uname -s)"
  umask 022
  stage="$(mktemp -d)"
  trap 'rm -rf "$stage"' EXIT
  trap 'exit 130' INT TERM
}

# ---- is this machine fit? -----------------------------------------------------------------------------------------------------------

check_architecture() {
  machine="$(uname -m)"
  case "$machine" in
    x86_64 | amd64) arch=amd64 elf_machine=62 ;;
    aarch64 | arm64)
      arch=arm64 elf_machine=183
      # A 64-bit kernel below a 32-bit system, as some Raspberry Pis have it, runs a 64-bit static executable all the same.
      ;;
    armv7l | armv8l | armhf) arch=armhf elf_machine=40 ;;
    *) die "the architecture $machine is not supported: k8lite runs on x86_64, aarch64 and armv7l (armhf)" ;;
  esac
}

is_raspberry_pi() {
  model=""
  if [ -r "$root/proc/device-tree/model" ]; then model="$(tr -d '\000' <"$root/proc/device-tree/model")"; fi
  case "$model" in *"Raspberry Pi"*) return 0 ;; *) return 1 ;; esac
}

has_controller() { # NAME
  cgroups="$root/sys/fs/cgroup"
  if [ -r "$cgroups/cgroup.controllers" ]; then
    case " $(cat "$cgroups/cgroup.controllers") " in *" $1 "*) return 0 ;; *) return 1 ;; esac
  fi
  [ -e "$cgroups/$1/cgroup.procs" ]
}

kernel_has_controller() { # NAME
  [ -r "$root/proc/cgroups" ] && awk -v name="$1" '$1 == name && $4 == 1 { found = 1 } END { exit !found }' "$root/proc/cgroups"
}

# Adds the two words to the Pi's kernel command line, where the user agrees; there is a copy of the file as it was.
offer_pi_cmdline() {
  cmdline=""
  for file in /boot/firmware/cmdline.txt /boot/cmdline.txt; do
    if [ -f "$root$file" ] && ! grep -q 'moved to /boot/firmware' "$root$file"; then cmdline="$file"; break; fi
  done
  [ -n "$cmdline" ] || die "add \"cgroup_memory=1 cgroup_enable=memory\" to the kernel's command line, reboot and run this again"
  if grep -q 'cgroup_enable=memory' "$root$cmdline"; then
    die "$cmdline asks for the memory cgroup already: reboot and run this again"
  fi
  answer=""
  terminal="$root/dev/tty"
  if (: <"$terminal") 2>/dev/null; then
    printf 'install.sh: add "cgroup_memory=1 cgroup_enable=memory" to %s now? [y/N] ' "$cmdline" >&2
    read -r answer <"$terminal" || true
  fi
  case "$answer" in
    y | Y | yes)
      sed '1s/[[:space:]]*$/ cgroup_memory=1 cgroup_enable=memory/' "$root$cmdline" >"$stage/cmdline.txt"
      as_root cp "$root$cmdline" "$root$cmdline.before-k8lite"
      as_root cp "$stage/cmdline.txt" "$root$cmdline"
      die "done (the file as it was: $cmdline.before-k8lite); reboot and run this again"
      ;;
  esac
  warn "this command turns it on; then reboot and run this again:"
  warn "  sudo sed -i '1s/\$/ cgroup_memory=1 cgroup_enable=memory/' $cmdline"
  exit 1
}

check_cgroups() {
  missing=""
  for controller in memory cpu; do
    has_controller "$controller" || missing="$missing $controller"
  done
  [ -n "$missing" ] || return 0
  warn "these cgroup controllers are not available:$missing"
  case "$missing" in *memory*)
    if ! kernel_has_controller memory; then
      if is_raspberry_pi; then offer_pi_cmdline; fi
      die "the kernel keeps the memory cgroup off: boot it with \"cgroup_enable=memory\" (and without \"cgroup_disable=memory\") and run this again"
    fi
    ;;
  esac
  if [ -e "$root/etc/init.d/cgroups" ]; then
    die "cgroups are not mounted: run \"rc-update add cgroups boot && rc-service cgroups start\" and run this again"
  fi
  if [ -r "$root/sys/fs/cgroup/cgroup.controllers" ]; then
    die "the kernel, or the container that this runs in, does not hand them down: see /sys/fs/cgroup/cgroup.controllers"
  fi
  die "cgroups are not mounted below /sys/fs/cgroup: mount them (systemd and OpenRC's service \"cgroups\" do) and run this again"
}

install_iptables() {
  command -v iptables-restore >/dev/null 2>&1 && return 0
  say "installing iptables"
  if command -v apt-get >/dev/null 2>&1; then
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q >/dev/null || true
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends iptables >/dev/null || true
  elif command -v dnf >/dev/null 2>&1; then
    as_root dnf install -y -q iptables || as_root dnf install -y -q iptables-nft || true
  elif command -v yum >/dev/null 2>&1; then
    as_root yum install -y -q iptables || true
  elif command -v zypper >/dev/null 2>&1; then
    as_root zypper --non-interactive --quiet install iptables || true
  elif command -v apk >/dev/null 2>&1; then
    as_root apk add --quiet iptables || true
  elif command -v pacman >/dev/null 2>&1; then
    as_root pacman -S --noconfirm --needed --quiet iptables || true
  fi
  hash -r
  command -v iptables-restore >/dev/null 2>&1 || die "there is no iptables-restore and it could not be installed: install your distribution's package \"iptables\" and run this again"
}

warn_of_firewalls() {
  for name in firewalld ufw; do
    if [ "$init" = systemd ] && systemctl is-active --quiet "$name" 2>/dev/null && [ -z "$root" ]; then
      warn "warning: $name is active; let it pass 6443/tcp, 10250/tcp, 8472/udp and the networks 10.42.0.0/16 and 10.43.0.0/16, or pods may not reach each other"
    fi
  done
}

# ---- what to run --------------------------------------------------------------------------------------------------------------------

# Splits a line as a shell would at blanks outside of quotes, but expands nothing. Prints words in single quotes, for eval.
split_words() {
  awk -v quote="'" '
    function put() { if (have) { gsub(quote, quote "\\" quote quote, word); printf " %s%s%s", quote, word, quote }; word = ""; have = 0 }
    { text = text (NR > 1 ? " " : "") $0 }
    END {
      for (i = 1; i <= length(text); ++i) {
        c = substr(text, i, 1)
        if (open != "") {
          if (c == open) open = ""
          else if (c == "\\" && open == "\"" && index("\"\\$`", substr(text, i + 1, 1))) word = word substr(text, ++i, 1)
          else word = word c
        }
        else if (c == "\"" || c == quote) { open = c; have = 1 }
        else if (c == "\\") { word = word substr(text, ++i, 1); have = 1 }
        else if (c == " " || c == "\t") put()
        else { word = word c; have = 1 }
      }
      put()
      exit (open != "")
    }'
}

# The value of a flag among the arguments after the first: `--flag value`, `--flag=value`, or its letter.
flag_value() { # LONG LETTER ARGUMENTS...
  long="--$1" letter="-$2"
  shift 2
  found=""
  while [ $# -gt 0 ]; do
    case "$1" in
      "$long" | "$letter") found="${2:-}" ;;
      "$long"=* | "$letter"=*) found="${1#*=}" ;;
    esac
    shift
  done
  echo "$found"
}

check_command() { # FACE ARGUMENTS...
  face="$1"
  case "$face" in
    server) service=k8lite other=k8lite-agent ;;
    agent) service=k8lite-agent other=k8lite ;;
    *) die "the service's command must be server or agent, not \"$face\"" ;;
  esac
  case "$(printf '%s' "$*" | tr -d '[:print:]\t\200-\377' | tr '\n' x)" in ?*) die "arguments must not hold line breaks or control characters" ;; esac
  if [ "$face" = agent ]; then
    url="$(flag_value server s "$@")"
    url="${url:-${K8LITE_URL:-}}"
    if [ -z "$url" ] && ! config_has server; then die "an agent needs the server to join: set K8LITE_URL=https://SERVER:6443"; fi
    case "$url" in "" | https://?*) ;; *) die "K8LITE_URL must begin with https://, it is \"$url\"" ;; esac
    if [ -z "${K8LITE_TOKEN:-}${K8LITE_TOKEN_FILE:-}$(flag_value token t "$@")$(flag_value token-file '' "$@")" ] && ! config_has token && ! config_has token-file; then
      die "an agent needs the cluster's secret: set K8LITE_TOKEN (on the server: /var/lib/k8lite/server/token)"
    fi
  fi
  for file in "$root/etc/systemd/system/$other.service" "$root/etc/init.d/$other"; do
    if [ -e "$file" ]; then
      die "this machine has the service $other, and one machine runs one of the two: give the $([ "$other" = k8lite-agent ] && echo "agent's K8LITE_URL and K8LITE_TOKEN" || echo "server's settings") to renew it, or run k8lite-uninstall.sh first"
    fi
  done
}

config_has() { # KEY
  as_root grep -qsE "^$1:" "$root/etc/k8lite/config.yaml"
}

choose_bin_dir() {
  bin_dir="${INSTALL_K8LITE_BIN_DIR:-}"
  if [ -z "$bin_dir" ]; then
    bin_dir=/usr/local/bin
    as_root mkdir -p "$root$bin_dir" 2>/dev/null || true
    # Some systems have a read-only /usr.
    if ! as_root sh -c 'touch "$1/.k8lite-try" && rm -f "$1/.k8lite-try"' sh "$root$bin_dir" 2>/dev/null; then bin_dir=/opt/bin; fi
  fi
  case "$bin_dir" in
    *[[:space:]\"\'\\%\$]*) die "INSTALL_K8LITE_BIN_DIR must not hold blanks, quotes, % or \$" ;;
    /*) ;;
    *) die "INSTALL_K8LITE_BIN_DIR must be an absolute path, it is \"$bin_dir\"" ;;
  esac
  bin_dir="${bin_dir%/}"
  as_root mkdir -p "$root$bin_dir"
}

choose_init() {
  if [ -d "$root/run/systemd/system" ] && command -v systemctl >/dev/null 2>&1; then
    init=systemd running=1
  elif command -v openrc-run >/dev/null 2>&1; then
    init=openrc running=0
    if [ -e "$root/run/openrc/softlevel" ]; then running=1; fi
  elif command -v systemctl >/dev/null 2>&1; then
    init=systemd running=0
  else
    init=none running=0
  fi
}

# ---- the executable -----------------------------------------------------------------------------------------------------------------

sha256_of() { # FILE
  if command -v sha256sum >/dev/null 2>&1; then
    sha256sum "$1" | cut -d' ' -f1
  elif command -v shasum >/dev/null 2>&1; then
    shasum -a 256 "$1" | cut -d' ' -f1
  elif command -v openssl >/dev/null 2>&1; then
    openssl dgst -sha256 "$1" | sed 's/.* //'
  else
    die "none of sha256sum, shasum and openssl is there to verify the download"
  fi
}

fetch() { # URL FILE
  if command -v curl >/dev/null 2>&1; then
    curl -sSfL --connect-timeout 20 --retry 2 -o "$2" "$1"
  elif command -v wget >/dev/null 2>&1; then
    wget -q -T 60 -O "$2" "$1"
  else
    die "neither curl nor wget is there to download with"
  fi
}

download() {
  url="${INSTALL_K8LITE_DOWNLOAD_URL:-$DEFAULT_DOWNLOAD_URL}"
  [ -n "$url" ] || die "where is the executable? set INSTALL_K8LITE_DOWNLOAD_URL to the folder that holds k8lite and k8lite.sha256 (the one this file came from)"
  url="${url%/}"
  # A folder for several architectures names them as in k8lite-arm64; one for a single architecture has plain k8lite.
  name=""
  for suffix in "-$arch" ""; do
    if fetch "$url/k8lite$suffix.sha256" "$stage/sha256" 2>"$stage/fetch.error"; then name="k8lite$suffix"; break; fi
  done
  [ -n "$name" ] || die "cannot download $url/k8lite.sha256: $(tail -n 1 "$stage/fetch.error")"
  say "downloading $url/$name"
  fetch "$url/$name" "$stage/k8lite" 2>"$stage/fetch.error" || die "cannot download $url/$name: $(tail -n 1 "$stage/fetch.error")"
  verify "$stage/k8lite" "$stage/sha256" "$url/$name"
}

verify() { # FILE SHA256_FILE NAME
  wanted="$(awk 'NR == 1 { print tolower($1) }' "$2")"
  case "$wanted" in *[!0-9a-f]* | "") die "$3.sha256 holds no sha256 checksum" ;; esac
  got="$(sha256_of "$1")"
  [ "$got" = "$wanted" ] || die "$3 does not match its sha256 checksum: it is $got, should be $wanted; nothing was installed"
}

# The ELF header tells for which processor a file is: bytes 18 and 19.
check_elf() { # FILE NAME
  magic="$(od -An -tx1 -N4 "$1" | tr -d ' \n')"
  [ "$magic" = 7f454c46 ] || die "$2 is no Linux executable"
  number="$(od -An -tu1 -j18 -N2 "$1" | awk '{ print $1 + 256 * $2 }')"
  [ "$number" = "$elf_machine" ] || die "$2 is for another architecture than this machine's ($arch): ELF machine $number instead of $elf_machine"
}

stage_executable() {
  here=""
  case "$0" in */install.sh | install.sh) if [ -f "$0" ]; then here="$(cd "$(dirname "$0")" && pwd)"; fi ;; esac
  target="$root$bin_dir/k8lite"
  if is_true "${INSTALL_K8LITE_SKIP_DOWNLOAD:-}"; then
    [ -x "$target" ] || die "INSTALL_K8LITE_SKIP_DOWNLOAD is set and $bin_dir/k8lite is not there"
    check_elf "$target" "$bin_dir/k8lite"
    return 0
  elif [ -z "${INSTALL_K8LITE_DOWNLOAD_URL:-}" ] && [ -n "$here" ] && [ -f "$here/CMakeLists.txt" ]; then
    [ -f "$here/build/release/k8lite" ] || die "build k8lite first: scripts/deps.sh && cmake --preset release && cmake --build --preset release --target k8lite (in $here)"
    cp "$here/build/release/k8lite" "$stage/k8lite"
  elif [ -z "${INSTALL_K8LITE_DOWNLOAD_URL:-}" ] && [ -n "$here" ] && [ -f "$here/k8lite" ] && [ -f "$here/k8lite.sha256" ]; then
    cp "$here/k8lite" "$stage/k8lite"
    verify "$stage/k8lite" "$here/k8lite.sha256" "$here/k8lite"
  else
    download
  fi
  check_elf "$stage/k8lite" "the executable"
}

# Copies into the target's folder, then renames: a running executable is replaced, never written to, and never half there.
place() { # STAGED_FILE TARGET MODE
  as_root mkdir -p "$(dirname "$root$2")"
  as_root cp "$1" "$root$2.new"
  as_root chmod "$3" "$root$2.new"
  if [ -z "$root" ]; then as_root chown 0:0 "$root$2.new"; fi
  as_root mv -f "$root$2.new" "$root$2"
}

place_executable() {
  [ -f "$stage/k8lite" ] || return 0
  if cmp -s "$stage/k8lite" "$root$bin_dir/k8lite"; then return 0; fi
  changed=1
  say "installing $bin_dir/k8lite"
  place "$stage/k8lite" "$bin_dir/k8lite" 0755
}

make_symlinks() {
  for name in kubectl crictl ctr; do
    link="$root$bin_dir/$name"
    if [ "$(readlink "$link" 2>/dev/null || true)" = k8lite ]; then continue; fi
    if [ -e "$link" ] || [ -L "$link" ] || command -v "$name" >/dev/null 2>&1; then
      say "leaving the $name that is there alone; k8lite's is \"k8lite $name\""
      continue
    fi
    as_root ln -s k8lite "$link"
  done
}

# ---- the service --------------------------------------------------------------------------------------------------------------------

# Quoted so that a shell and systemd's EnvironmentFile= read the same value.
environment_lines() {
  data_dir="$(flag_value data-dir d "$@")"
  for name in $(env | sed -n 's/^\(K8LITE_[A-Z0-9_]*\)=.*/\1/p' | sort -u); do
    [ "$name" = K8LITE_DATA_DIR ] && [ -n "$data_dir" ] && continue
    eval "value=\${$name-}"
    [ -n "$value" ] || continue
    printf '%s="%s"\n' "$name" "$(printf '%s' "$value" | sed 's/[\\"$`]/\\&/g')"
  done
  # k8lite-killall.sh and k8lite-uninstall.sh learn here where the data is.
  if [ -n "$data_dir" ]; then printf 'K8LITE_DATA_DIR="%s"\n' "$data_dir"; fi
}

write_environment() { # ARGUMENTS...
  (umask 077 && environment_lines "$@" >"$stage/k8lite.env")
  if [ "$(wc -l <"$stage/k8lite.env")" != "$(grep -c '^K8LITE_[A-Z0-9_]*=".*"$' "$stage/k8lite.env" || true)" ]; then
    die "the values of K8LITE_* variables must not hold line breaks"
  fi
  if as_root cmp -s "$stage/k8lite.env" "$root/etc/k8lite/k8lite.env"; then return 0; fi
  changed=1
  place "$stage/k8lite.env" /etc/k8lite/k8lite.env 0600
}

systemd_words() {
  for word in "$@"; do
    case "$word" in
      "" | *[!A-Za-z0-9_./:,=@+-]*) printf ' "%s"' "$(printf '%s' "$word" | sed 's/[\\"]/\\&/g; s/%/%%/g; s/\$/$$/g')" ;;
      *) printf ' %s' "$word" ;;
    esac
  done
}

# For OpenRC's command_args="…", which a shell evaluates a second time.
openrc_words() {
  for word in "$@"; do
    case "$word" in
      "" | *[!A-Za-z0-9_./:,=@+-]*) printf " '%s'" "$(printf '%s' "$word" | sed "s/'/'\\\\''/g")" ;;
      *) printf ' %s' "$word" ;;
    esac
  done | sed 's/[\\"$`]/\\&/g; s/^ //'
}

# Fills @NAME@ marks of a template on standard input from variables of the same name.
fill() {
  EXEC="$EXEC" ARGS="$ARGS" BIN="$bin_dir/k8lite" NAME="$service" FACE="$face" awk '
    {
      line = $0; out = ""
      while (match(line, /@(EXEC|ARGS|BIN|NAME|FACE)@/)) {
        out = out substr(line, 1, RSTART - 1) ENVIRON[substr(line, RSTART + 1, RLENGTH - 2)]
        line = substr(line, RSTART + RLENGTH)
      }
      print out line
    }'
}

systemd_unit() {
  cat <<'=== end of packaging/k8lite.service'
[Unit]
Description=k8lite @FACE@: Kubernetes in one executable
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
EnvironmentFile=-/etc/k8lite/k8lite.env
ExecStartPre=-/sbin/modprobe overlay
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStartPre=-/sbin/modprobe vxlan
ExecStart=@EXEC@
# Pods outlive the service: only the main process ends with it, and the cgroups of pods are left alone.
KillMode=process
Delegate=yes
Restart=always
RestartSec=5s
TimeoutStartSec=0
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity

[Install]
WantedBy=multi-user.target
=== end of packaging/k8lite.service
}

openrc_service() {
  cat <<'=== end of packaging/k8lite.openrc'
#!/sbin/openrc-run
# k8lite @FACE@: Kubernetes in one executable. Written by install.sh; settings belong into /etc/k8lite/.
name="@NAME@"
description="k8lite @FACE@"
supervisor="supervise-daemon"
command="@BIN@"
command_args="@ARGS@"
pidfile="/run/@NAME@.pid"
output_log="/var/log/@NAME@.log"
error_log="/var/log/@NAME@.log"
respawn_delay=5
respawn_max=0
rc_ulimit="-n 1048576"
# Pods outlive the service.
rc_cgroup_cleanup="NO"

depend() {
	need localmount
	use net
	want cgroups
	after firewall
}

start_pre() {
	for module in overlay br_netfilter vxlan; do
		modprobe -q "$module" || true
	done
	return 0
}

if [ -r /etc/k8lite/k8lite.env ]; then
	set -a
	. /etc/k8lite/k8lite.env
	set +a
fi
=== end of packaging/k8lite.openrc
}

killall_script() {
  cat <<'=== end of scripts/killall.sh'
#!/bin/sh
# Stops k8lite on this machine and ends everything it runs: pods, mounts, links, iptables rules, cgroups and /run/k8lite. Data stays, so
# that starting the service again brings the cluster back. install.sh puts a copy of this file beside the executable.
# With --data-dir DIR only what belongs to the pods of that data directory is ended and no service is touched (the demo's clean-up).
set -eu
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
export PATH

root="${INSTALL_K8LITE_ROOT:-}"
run_dir="/run/k8lite"
only=0
data_dir=""

say() { echo "k8lite-killall: $*"; }
warn() { echo "k8lite-killall: $*" >&2; }

usage() {
  echo "usage: k8lite-killall.sh [--data-dir DIR]"
  echo "Stops k8lite and ends every pod; data stays. With --data-dir only the pods of that data directory end."
}

while [ $# -gt 0 ]; do
  case "$1" in
    --data-dir) [ $# -gt 1 ] || { usage >&2; exit 1; }; data_dir="$2"; only=1; shift 2 ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 1 ;;
  esac
done

if [ -z "$root" ] && [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null 2>&1 || { warn "must be run as root"; exit 1; }
  if [ "$only" = 1 ]; then exec sudo sh "$0" --data-dir "$data_dir"; fi
  exec sudo sh "$0"
fi

# Where the data is: as the service is told by its environment or its configuration file.
find_data_dir() {
  if [ -r "$root/etc/k8lite/k8lite.env" ]; then
    sed -n 's/^K8LITE_DATA_DIR="\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$root/etc/k8lite/k8lite.env" | tail -n 1
  fi
  if [ -r "$root/etc/k8lite/config.yaml" ]; then
    sed -n "s/^data-dir:[[:space:]]*[\"']\{0,1\}\([^\"'#]*[^\"'#[:space:]]\).*\$/\1/p" "$root/etc/k8lite/config.yaml" | head -n 1
  fi
  echo /var/lib/k8lite
}

[ -n "$data_dir" ] || data_dir="$(find_data_dir | head -n 1)"
if [ -z "$root" ]; then data_dir="$(readlink -f "$data_dir" 2>/dev/null || echo "$data_dir")"; fi
data_dir="${data_dir%/}"
case "$data_dir" in
  /*) ;;
  *) warn "the data directory \"$data_dir\" is no absolute path below /"; exit 1 ;;
esac

nap() { sleep 0.1 2>/dev/null || sleep 1; }

stop_services() {
  for name in k8lite k8lite-agent; do
    if [ -e "$root/etc/systemd/system/$name.service" ] && [ -d "$root/run/systemd/system" ]; then
      say "stopping the service $name"
      systemctl stop "$name.service" || true
    elif [ -x "$root/etc/init.d/$name" ] && command -v rc-service >/dev/null 2>&1; then
      say "stopping the service $name"
      rc-service "$name" stop || true
    fi
  done
  end_stray_servers
}

# Servers and agents that were started by hand from the installed executable.
stray_servers() {
  bin="$(cd "$(dirname "$0")" && pwd)/k8lite"
  for exe in "$root"/proc/[0-9]*/exe; do
    link="$(readlink "$exe" 2>/dev/null || true)"
    case "$link" in "$bin" | "$bin (deleted)") ;; *) continue ;; esac
    pid="${exe%/exe}"
    face="$(tr '\000' '\n' 2>/dev/null <"$pid/cmdline" | sed -n 2p)"
    is_here "${pid##*/}" || continue
    case "$face" in server | agent) echo "${pid##*/}" ;; esac
  done
}

end_stray_servers() {
  tries=0
  while :; do
    pids="$(stray_servers)"
    [ -n "$pids" ] || return 0
    signal=TERM
    [ "$tries" -lt 50 ] || signal=KILL
    for pid in $pids; do kill -s "$signal" "$pid" 2>/dev/null || true; done
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || { warn "cannot end: $pids"; return 0; }
    nap
  done
}

# The uids of this data directory's pods; only asked for with --data-dir.
pod_uids() {
  for dir in "$root$data_dir"/agent/pods/*; do
    [ -d "$dir" ] && echo "${dir##*/}"
  done
  return 0
}

is_ours() { # UID
  [ "$only" = 0 ] && return 0
  case " $uids " in *" $1 "*) return 0 ;; esac
  return 1
}

# One cgroup a line, of every hierarchy (version 1: a folder a controller, version 2: one tree).
pod_cgroups() {
  for base in "$root"/sys/fs/cgroup/kubepods "$root"/sys/fs/cgroup/*/kubepods; do
    [ -d "$base" ] || continue
    if [ "$only" = 0 ]; then
      echo "$base"
      continue
    fi
    for dir in "$base"/pod* "$base"/burstable/pod* "$base"/besteffort/pod*; do
      if [ -d "$dir" ] && is_ours "${dir##*/pod}"; then echo "$dir"; fi
    done
  done
}

# What runs in another mount namespace belongs to another machine, as far as we are concerned (a container, a test).
is_here() { # PID
  [ -n "$root" ] || [ "$(readlink "/proc/$1/ns/mnt" 2>/dev/null || true)" = "$(readlink /proc/$$/ns/mnt)" ]
}

# "PID UID" for each shim: its first argument says which pod it holds, /run/k8lite/pods/<uid>.
all_shims() {
  for comm in "$root"/proc/[0-9]*/comm; do
    name=""
    read -r name 2>/dev/null <"$comm" || true
    [ "$name" = k8lite-shim ] || continue
    proc="${comm%/comm}"
    state="$(tr '\000' '\n' 2>/dev/null <"$proc/cmdline" | sed -n 2p)"
    case "$state" in "$run_dir"/pods/*) ;; *) continue ;; esac
    if is_here "${proc##*/}"; then echo "${proc##*/} ${state##*/}"; fi
  done
}

shims() {
  all_shims | while read -r pid uid; do
    if is_ours "$uid"; then echo "$pid"; fi
  done
}

# Reads process ids, prints them and all their descendants. The name in /proc/<pid>/stat may hold blanks and parentheses.
with_descendants() {
  roots="$(cat)"
  [ -n "$roots" ] || return 0
  {
    for pid in $roots; do echo "root $pid"; done
    for stat in "$root"/proc/[0-9]*/stat; do
      line=""
      read -r line 2>/dev/null <"$stat" || true
      rest="${line##*) }"
      rest="${rest#* }"
      pid="${stat%/stat}"
      echo "child ${pid##*/} ${rest%% *}"
    done
  } | awk '
    $1 == "root" { want[$2] = 1 }
    $1 == "child" { parent[$2] = $3 }
    END {
      do {
        more = 0
        for (p in parent) if (!(p in want) && (parent[p] in want)) { want[p] = 1; more = 1 }
      } while (more)
      for (p in want) print p
    }'
}

pod_processes() {
  shims | with_descendants
  pod_cgroups | while read -r cgroup; do
    find "$cgroup" -name cgroup.procs -exec cat {} + 2>/dev/null || true
  done
}

# Of the process ids on standard input those that can be ended: neither zombies nor this script nor process 1.
living() {
  while read -r pid; do
    [ "$pid" -gt 1 ] && [ "$pid" != "$$" ] || continue
    line=""
    read -r line 2>/dev/null <"$root/proc/$pid/stat" || true
    rest="${line##*) }"
    case "$rest" in "" | Z* | X*) ;; *) echo "$pid" ;; esac
  done
}

end_pods() {
  tries=0
  while :; do
    pids="$(pod_processes | sort -un | living)"
    [ -n "$pids" ] || return 0
    if [ "$tries" = 0 ]; then say "ending $(echo "$pids" | wc -l | tr -d ' ') processes of pods"; fi
    for pid in $pids; do kill -s KILL "$pid" 2>/dev/null || true; done
    tries=$((tries + 1))
    if [ "$tries" -ge 100 ]; then
      warn "these processes do not end: $(echo "$pids" | tr '\n' ' ')"
      return 0
    fi
    nap
  done
}

# Mount points below the data directory and /run/k8lite, deepest first. A disk of the user's that holds the data is none of ours.
mounts_of_ours() {
  awk '{ print $5 }' "$root/proc/self/mountinfo" | sort -r | while read -r escaped; do
    point="$(printf '%b' "$escaped")"
    case "$point" in
      "$data_dir/server" | "$data_dir/agent") ;;
      "$data_dir"/*) echo "$point" ;;
      "$run_dir"/*) if [ "$only" = 0 ] || is_ours "$(echo "$point" | cut -d/ -f5)"; then echo "$point"; fi ;;
    esac
  done
}

unmount_all() {
  tries=0
  while :; do
    points="$(mounts_of_ours)"
    [ -n "$points" ] || return 0
    echo "$points" | while read -r point; do
      umount "$point" 2>/dev/null || umount -l "$point" || true
    done
    tries=$((tries + 1))
    if [ "$tries" -ge 10 ]; then
      warn "cannot unmount: $(mounts_of_ours | tr '\n' ' ')"
      return 1
    fi
  done
}

remove_links() {
  links=""
  for link in "$root"/sys/class/net/veth*; do
    master="$(readlink "$link/master" 2>/dev/null || true)"
    if [ "${master##*/}" = cni0 ]; then links="$links ${link##*/}"; fi
  done
  for name in flannel.1 cni0; do
    if [ -e "$root/sys/class/net/$name" ]; then links="$links $name"; fi
  done
  [ -n "$links" ] || return 0
  if ! command -v ip >/dev/null 2>&1; then
    warn "there is no ip command: these interfaces stay until the next start of the machine:$links"
    return 0
  fi
  say "removing interfaces:$links"
  for name in $links; do ip link delete "$name" 2>/dev/null || true; done
}

# Reads iptables-save's output, writes what takes our chains away for iptables-restore --noflush: first the jumps into them from chains
# of others, then the rules in them, then themselves. Rules of others are not touched.
removal_rules() {
  awk '
    function ours(chain) { return chain ~ /^(KUBE|K8LITE)-/ }
    /^\*/ { table = $0; jumps = ""; flushes = ""; drops = "" }
    /^:/ { name = substr($1, 2); if (ours(name)) { flushes = flushes "-F " name "\n"; drops = drops "-X " name "\n" } }
    /^-A / && !ours($2) {
      bare = $0
      gsub(/"([^"\\]|\\.)*"/, "", bare)  # a comment may say anything
      count = split(bare, words, " ")
      for (i = 3; i < count; ++i)
        if ((words[i] == "-j" || words[i] == "-g") && ours(words[i + 1])) { jumps = jumps "-D" substr($0, 3) "\n"; break }
    }
    /^COMMIT/ && flushes != "" { printf "%s\n%s%s%sCOMMIT\n", table, jumps, flushes, drops }'
}

remove_rules() {
  for tool in iptables ip6tables iptables-legacy ip6tables-legacy iptables-nft ip6tables-nft; do
    command -v "$tool-save" >/dev/null 2>&1 && command -v "$tool-restore" >/dev/null 2>&1 || continue
    batch="$("$tool-save" 2>/dev/null | removal_rules)"
    [ -n "$batch" ] || continue
    say "removing the chains KUBE-* and K8LITE-* ($tool)"
    printf '%s\n' "$batch" | "$tool-restore" --noflush -w 5 2>/dev/null || printf '%s\n' "$batch" | "$tool-restore" --noflush || warn "$tool: not all rules could be removed"
  done
}

remove_cgroups() {
  tries=0
  while [ "$tries" -lt 30 ]; do
    left="$(pod_cgroups)"
    [ -n "$left" ] || break
    echo "$left" | while read -r cgroup; do find "$cgroup" -depth -type d -exec rmdir {} \; 2>/dev/null || true; done
    tries=$((tries + 1))
    [ -n "$(pod_cgroups)" ] || break
    nap
  done
  if [ "$only" = 1 ]; then  # the folders above, where nobody else's pods are in them
    for base in "$root"/sys/fs/cgroup/kubepods "$root"/sys/fs/cgroup/*/kubepods; do
      for dir in "$base/burstable" "$base/besteffort" "$base"; do
        if [ -d "$dir" ]; then rmdir "$dir" 2>/dev/null || true; fi
      done
    done
  fi
  left="$(pod_cgroups)"
  [ -z "$left" ] || warn "these cgroups stay: $(echo "$left" | tr '\n' ' ')"
}

remove_run_dir() {
  if [ "$only" = 1 ]; then
    for uid in $uids; do rm -rf "$root$run_dir/pods/$uid"; done
    rmdir "$root$run_dir/pods" "$root$run_dir" 2>/dev/null || true
  else
    rm -rf "$root$run_dir"
  fi
}

uids=""
if [ "$only" = 1 ]; then
  uids="$(pod_uids | tr '\n' ' ')"
else
  stop_services
fi
end_pods
status=0
unmount_all || status=1
# With --data-dir: links and rules go with the last pod of the machine.
if [ "$only" = 0 ] || [ -z "$(all_shims)" ]; then
  remove_links
  remove_rules
fi
remove_cgroups
if [ "$status" = 0 ]; then remove_run_dir; fi
exit "$status"
=== end of scripts/killall.sh
}

uninstall_script() {
  cat <<'=== end of packaging/uninstall.sh'
#!/bin/sh
# Takes k8lite off this machine: ends everything it runs (k8lite-killall.sh), then removes service, data, settings, links, executable and
# itself. install.sh puts a copy of this file beside the executable.
set -eu
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
export PATH

root="${INSTALL_K8LITE_ROOT:-}"
say() { echo "k8lite-uninstall: $*"; }
warn() { echo "k8lite-uninstall: $*" >&2; }

if [ -z "$root" ] && [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null 2>&1 || { warn "must be run as root"; exit 1; }
  exec sudo sh "$0"
fi

bin_dir="$(cd "$(dirname "$0")" && pwd)"

# As in k8lite-killall.sh: where the service is told to keep its data.
find_data_dir() {
  if [ -r "$root/etc/k8lite/k8lite.env" ]; then
    sed -n 's/^K8LITE_DATA_DIR="\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$root/etc/k8lite/k8lite.env" | tail -n 1
  fi
  if [ -r "$root/etc/k8lite/config.yaml" ]; then
    sed -n "s/^data-dir:[[:space:]]*[\"']\{0,1\}\([^\"'#]*[^\"'#[:space:]]\).*\$/\1/p" "$root/etc/k8lite/config.yaml" | head -n 1
  fi
  echo /var/lib/k8lite
}

remove_services() {
  for name in k8lite k8lite-agent; do
    unit="$root/etc/systemd/system/$name.service"
    if [ -e "$unit" ]; then
      systemctl disable "$name.service" >/dev/null 2>&1 || true
      systemctl reset-failed "$name.service" >/dev/null 2>&1 || true
      rm -f "$unit" "$root/etc/systemd/system/multi-user.target.wants/$name.service"
      systemctl daemon-reload >/dev/null 2>&1 || true
    fi
    if [ -e "$root/etc/init.d/$name" ]; then
      rc-update delete "$name" default >/dev/null 2>&1 || true
      rm -f "$root/etc/init.d/$name" "$root/var/log/$name.log"
    fi
  done
}

remove_symlinks() {
  for name in kubectl crictl ctr; do
    link="$bin_dir/$name"
    case "$(readlink "$link" 2>/dev/null || true)" in
      k8lite | "${bin_dir#"$root"}/k8lite" | "$bin_dir/k8lite") rm -f "$link" ;;
    esac
  done
}

# Only folders that are ours, and never through a mount that is still there.
remove_data() {
  if awk -v dir="$data_dir" 'index($5, dir "/server/") == 1 || index($5, dir "/agent/") == 1 { found = 1 } END { exit !found }' "$root/proc/self/mountinfo"; then
    warn "something is still mounted below $data_dir: its data stays"
    return 1
  fi
  rm -rf "$root$data_dir/server" "$root$data_dir/agent"
  if [ "$data_dir" = /var/lib/k8lite ]; then find "$root$data_dir" -mindepth 1 -delete 2>/dev/null || true; fi
  rmdir "$root$data_dir" 2>/dev/null || true
  [ ! -e "$root$data_dir" ] || warn "$data_dir stays: it holds what is not k8lite's, or is a mount point"
}

main() {
  data_dir="$(find_data_dir | head -n 1)"
  if [ -z "$root" ]; then data_dir="$(readlink -f "$data_dir" 2>/dev/null || echo "$data_dir")"; fi
  case "$data_dir" in /?*) ;; *) warn "the data directory \"$data_dir\" is no path below /"; exit 1 ;; esac
  sh "$bin_dir/k8lite-killall.sh"
  remove_services
  remove_data || exit 1
  remove_symlinks
  rm -rf "$root/etc/k8lite"
  rm -f "$bin_dir/k8lite" "$bin_dir/k8lite-killall.sh" "$bin_dir/k8lite-uninstall.sh"
  say "k8lite is gone"
}

main
exit 0
=== end of packaging/uninstall.sh
}

write_scripts() {
  killall_script >"$stage/killall"
  place "$stage/killall" "$bin_dir/k8lite-killall.sh" 0755
  uninstall_script >"$stage/uninstall"
  place "$stage/uninstall" "$bin_dir/k8lite-uninstall.sh" 0755
}

write_service() { # ARGUMENTS...
  EXEC="$bin_dir/k8lite$(systemd_words "$@")"
  ARGS="$(openrc_words "$@")"
  case "$init" in
    systemd) file="/etc/systemd/system/$service.service" mode=0644; systemd_unit | fill >"$stage/service" ;;
    openrc) file="/etc/init.d/$service" mode=0755; openrc_service | fill >"$stage/service" ;;
    none) return 0 ;;
  esac
  if cmp -s "$stage/service" "$root$file"; then return 0; fi
  changed=1
  say "writing $file"
  place "$stage/service" "$file" "$mode"
}

enable_and_start() {
  if [ "$init" = none ]; then
    say "there is neither systemd nor OpenRC here; start k8lite with:"
    say "  set -a; . /etc/k8lite/k8lite.env; set +a; $EXEC"
    return 0
  fi
  if [ "$init" = systemd ] && [ "$running" = 1 ]; then as_root systemctl daemon-reload; fi
  if is_true "${INSTALL_K8LITE_SKIP_ENABLE:-}"; then return 0; fi
  if [ "$init" = systemd ]; then
    as_root systemctl enable "$service.service" >/dev/null 2>&1 || die "cannot enable the service $service: systemctl enable $service"
  else
    as_root rc-update add "$service" default >/dev/null || die "cannot enable the service $service: rc-update add $service default"
  fi
  if is_true "${INSTALL_K8LITE_SKIP_START:-}"; then return 0; fi
  if [ "$running" = 0 ]; then
    say "$init does not run here now: k8lite starts with the machine"
    return 0
  fi
  start_service
}

start_service() {
  if [ "$init" = systemd ]; then
    if [ "$changed" = 0 ] && systemctl is-active --quiet "$service.service"; then
      say "nothing has changed: $service goes on running"
      return 0
    fi
    say "starting $service"
    as_root systemctl restart "$service.service" || die "$service does not start: see journalctl -u $service"
    sleep 1
    systemctl is-active --quiet "$service.service" || die "$service does not stay up: see journalctl -u $service"
  else
    if [ "$changed" = 0 ] && rc-service "$service" status >/dev/null 2>&1; then
      say "nothing has changed: $service goes on running"
      return 0
    fi
    say "starting $service"
    as_root rc-service "$service" restart || die "$service does not start: see /var/log/$service.log"
  fi
}

farewell() {
  if [ "$face" = server ]; then
    say "done. Try: sudo k8lite kubectl get nodes   (kubeconfig: /etc/k8lite/k8lite.yaml)"
    say "to take it off again: $bin_dir/k8lite-uninstall.sh"
  else
    say "done. On the server, kubectl get nodes will show this machine"
    say "to take it off again: $bin_dir/k8lite-uninstall.sh"
  fi
}

main() {
  prepare
  words="$(printf '%s\n' "${INSTALL_K8LITE_EXEC:-}" | split_words)" || die "INSTALL_K8LITE_EXEC: a quote is not closed"
  if [ $# -eq 0 ]; then eval "set -- $words"
  elif [ -n "$words" ]; then
    given="$(for word in "$@"; do printf " '%s'" "$(printf '%s' "$word" | sed "s/'/'\\\\''/g")"; done)"
    eval "set -- $words $given"
  fi
  case "${1:-}" in
    "" | -*) if [ -n "${K8LITE_URL:-}" ]; then set -- agent "$@"; else set -- server "$@"; fi ;;
  esac

  changed=0
  check_architecture
  check_cgroups
  check_command "$@"
  choose_bin_dir
  choose_init
  stage_executable
  install_iptables
  warn_of_firewalls
  place_executable
  make_symlinks
  write_scripts
  write_environment "$@"
  write_service "$@"
  enable_and_start
  farewell
}

main "$@"
