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
