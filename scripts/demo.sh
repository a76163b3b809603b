#!/bin/sh
# k8lite in one minute: builds it, starts a cluster of one node in a throw-away folder on free ports, runs a Deployment with a Service,
# asks it over HTTP, shows the cluster and cleans everything up again. Run as root on a machine that runs no Kubernetes.
set -eu
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
export PATH
clone="$(pwd)"

k8lite="" keep=0 end=""
data="" server_pid="" finished=0

usage() {
  cat <<END
usage: sudo scripts/demo.sh [--keep] [--binary FILE]
       sudo scripts/demo.sh --end FOLDER

  --keep         leaves the cluster running and says how to reach and how to end it
  --end FOLDER   ends a cluster that --keep left running
  --binary FILE  runs this executable instead of building one
END
}

bold="" plain="" terminal=0
if [ -t 1 ]; then bold="$(printf '\033[1m')" plain="$(printf '\033[0m')" terminal=1; fi

say() { printf '%s==>%s %s\n' "$bold" "$plain" "$*"; }
die() {
  [ "$terminal" = 0 ] || printf '\r\033[K'
  printf 'demo.sh: %s\n' "$*" >&2
  exit 1
}

# Milliseconds since the machine started; steps are shown with the time they took.
now_ms() { awk '{ printf "%d", $1 * 1000 }' /proc/uptime; }
since() { awk -v from="$1" -v to="$(now_ms)" 'BEGIN { printf "%.1f s", (to - from) / 1000 }'; }

nap() { sleep 0.1 2>/dev/null || sleep 1; }

while [ $# -gt 0 ]; do
  case "$1" in
    --keep) keep=1; shift ;;
    --end | --binary)
      [ $# -gt 1 ] || { usage >&2; exit 1; }
      if [ "$1" = --end ]; then end="$2"; else k8lite="$2"; fi
      shift 2
      ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 1 ;;
  esac
done

[ "$(uname -s)" = Linux ] || die "k8lite runs on Linux only"
[ "$(id -u)" = 0 ] || die "containers need root: sudo $0"

# ---- building -----------------------------------------------------------------------------------------------------------------------

is_debian_12() { (. /etc/os-release && [ "${ID:-}" = debian ] && [ "${VERSION_ID:-}" = 12 ]) 2>/dev/null; }

build_commands='
set -e
scripts/deps.sh
[ -f build/release/build.ninja ] || cmake --preset release
cmake --build --preset release --target k8lite'

# Output goes to a file and is shown only where something fails: a build that works has nothing to say.
logged() { # LOG COMMAND...
  log="$1"
  shift
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 40 "$log" >&2
    die "this failed (all of it is in $log): $*"
  fi
}

install_debootstrap() {
  command -v debootstrap >/dev/null 2>&1 && return 0
  say "installing debootstrap"
  for manager in "apt-get install -y --no-install-recommends" "dnf install -y" "yum install -y" "zypper --non-interactive install" "apk add" "pacman -S --noconfirm --needed"; do
    command -v "${manager%% *}" >/dev/null 2>&1 || continue
    if [ "${manager%% *}" = apt-get ]; then logged build/debootstrap.log apt-get update; fi
    # shellcheck disable=SC2086
    logged build/debootstrap.log $manager debootstrap
    return 0
  done
  die "this is not Debian 12, so k8lite is built inside a small Debian root; install the package debootstrap for that"
}

# The clone is mounted at its own path, so that build/ is the same inside and outside; mounts live in a mount namespace that ends with
# the build.
build_in_root() {
  debian="$clone/build/bookworm"
  if [ ! -e "$debian/.complete" ]; then
    install_debootstrap
    say "making a Debian 12 root for the build in build/bookworm (some minutes, once)"
    rm -rf "$debian"
    logged build/debootstrap.log debootstrap --variant=minbase --include=ca-certificates bookworm "$debian" "${K8LITE_DEBIAN_MIRROR:-http://deb.debian.org/debian}"
    : >"$debian/.complete"
  fi
  mkdir -p "$debian$clone"
  cp -L /etc/resolv.conf "$debian/etc/resolv.conf" 2>/dev/null || true
  say "building inside build/bookworm (the first time takes some minutes; see build/demo-build.log)"
  # shellcheck disable=SC2016
  logged build/demo-build.log unshare -m sh -c '
    set -e
    mount --make-rprivate /
    mount --bind "$1" "$2$1"
    mount -t proc proc "$2/proc"
    mount --rbind /dev "$2/dev"
    exec chroot "$2" /bin/sh -c "cd \"\$1\" && $3" sh "$1"' sh "$clone" "$debian" "$build_commands"
}

build() {
  mkdir -p build
  started="$(now_ms)"
  if is_debian_12; then
    if [ ! -x build/release/k8lite ]; then say "building (the first time takes some minutes; see build/demo-build.log)"; fi
    logged build/demo-build.log sh -c "$build_commands"
  else
    build_in_root
  fi
  k8lite="$clone/build/release/k8lite"
  [ -x "$k8lite" ] || die "the build left no build/release/k8lite"
  say "built $("$k8lite" --version | head -n 1), $(($(wc -c <"$k8lite") / 1024 / 1024)) MiB ($(since "$started"))"
}

# ---- is the machine free? -----------------------------------------------------------------------------------------------------------

# Two clusters would fight over the same links and chains; what is there might be somebody's.
refuse_second_cluster() {
  there=""
  for link in cni0 flannel.1; do
    if [ -e "/sys/class/net/$link" ]; then there="the interface $link"; fi
  done
  if ls /run/k8lite/pods/* >/dev/null 2>&1; then there="/run/k8lite/pods"; fi
  if iptables-save -t nat 2>/dev/null | grep -q '^-A KUBE-SERVICES '; then there="the iptables chain KUBE-SERVICES"; fi
  [ -z "$there" ] || die "a Kubernetes runs here already, or did not clean up ($there); end it first (scripts/killall.sh ends all of k8lite's pods on this machine)"
}

# True where nothing listens on the TCP port.
is_free() { # PORT
  hex="$(printf ':%04X' "$1")"
  ! cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v port="$hex" '$4 == "0A" && substr($2, length($2) - 4) == port { found = 1 } END { exit !found }'
}

free_port() { # FIRST
  port="$1"
  while ! is_free "$port"; do
    port=$((port + 1))
    [ "$port" -lt $(($1 + 500)) ] || die "no free port from $1 on"
  done
  echo "$port"
}

# ---- the cluster --------------------------------------------------------------------------------------------------------------------

kubectl() { "$k8lite" kubectl --kubeconfig "$data/kubeconfig" "$@"; }

show() { # the command as a user would type it, then its output
  printf '%s$ kubectl %s%s\n' "$bold" "$*" "$plain"
  kubectl "$@" || die "kubectl $* failed"
}

server_runs() { kill -0 "$server_pid" 2>/dev/null; }

# Waits for a command to succeed, with one line of progress; what it prints is shown as the state of things.
wait_for() { # SECONDS WHAT COMMAND...
  limit="$1" what="$2"
  shift 2
  began="$(now_ms)"
  state=""
  while :; do
    if state="$("$@" 2>&1)"; then break; fi
    state="$(printf '%s' "$state" | tail -n 1 | cut -c1-60)"
    server_runs || die "the server ended while waiting for $what"
    if [ $(($(now_ms) - began)) -gt $((limit * 1000)) ]; then
      [ "$terminal" = 0 ] || printf '\r\033[K'
      explain
      die "$what: not within $limit s${state:+; last seen: $state}"
    fi
    if [ "$terminal" = 1 ]; then printf '\r\033[K    waiting for %s, %s%s' "$what" "$(since "$began")" "${state:+ ($state)}"; fi
    nap
  done
  if [ "$terminal" = 1 ]; then printf '\r\033[K'; fi
  say "$what ($(since "$began"))"
}

# What a user would look at when pods do not come up.
explain() {
  {
    kubectl get pods,nodes -o wide
    kubectl describe pods | tail -n 40
  } >&2 2>&1 || true
}

show_log() {
  [ -s "$data/server.log" ] || return 0
  printf '\n---- the last lines of the server'"'"'s log ----\n' >&2
  tail -n 40 "$data/server.log" >&2
}

api_ready() { [ -s "$data/kubeconfig" ] && [ "$(kubectl get --raw /readyz)" = ok ]; }
node_ready() {
  nodes="$(kubectl get nodes)" || return 1
  printf '%s\n' "$nodes" | awk 'NR > 1 { state = $2; if ($2 == "Ready") ready = 1 } END { if (!ready) { print "node " (state == "" ? "not registered yet" : state) } exit !ready }'
}
deployment_ready() {
  table="$(kubectl get deployment hello)" || return 1
  printf '%s\n' "$table" | awk 'NR > 1 && $1 == "hello" { print $2 " pods ready"; ready = $2 == "2/2" } END { exit !ready }'
}

start_server() {
  data="$(mktemp -d /tmp/k8lite-demo.XXXXXX)"
  port="$(free_port 6443)"
  kubelet_port="$(free_port 10250)"
  for module in overlay br_netfilter vxlan; do modprobe -q "$module" 2>/dev/null || true; done
  # In a session of its own: neither Ctrl-C here nor the end of this terminal reaches it.
  detach="nohup"
  if command -v setsid >/dev/null 2>&1; then detach="setsid"; fi
  server_started="$(now_ms)"
  # Settings come from here alone: no K8LITE_* variable and no /etc/k8lite/config.yaml.
  env -i PATH="$PATH" "$detach" "$k8lite" server --config /dev/null --data-dir "$data" --https-listen-port "$port" --kubelet-port "$kubelet_port" \
    --write-kubeconfig "$data/kubeconfig" >"$data/server.log" 2>&1 </dev/null &
  server_pid=$!
  echo "$server_pid" >"$data/server.pid"
}

fetch() { # URL
  unset http_proxy HTTP_PROXY all_proxy ALL_PROXY
  if command -v curl >/dev/null 2>&1; then
    curl -sS -m 5 --noproxy '*' "$1"
  elif command -v wget >/dev/null 2>&1; then
    wget -q -T 5 -O - "$1"
  elif command -v busybox >/dev/null 2>&1; then
    busybox wget -q -T 5 -O - "$1"
  elif command -v bash >/dev/null 2>&1; then
    rest="${1#http://}"
    address="${rest%%/*}"
    # shellcheck disable=SC2016
    timeout 5 bash -c 'exec 3<>"/dev/tcp/$1/$2" && printf "GET /%s HTTP/1.0\r\nHost: %s\r\n\r\n" "$3" "$1:$2" >&3 && cat <&3' bash "${address%:*}" "${address##*:}" "${rest#*/}"
  else
    die "none of curl, wget, busybox and bash is there to ask the service with"
  fi
}

answers() { # URL: keeps the answer in $data/answer
  fetch "$1" >"$data/answer" 2>"$data/answer.error" || { tail -n 1 "$data/answer.error"; return 1; }
  grep -q '^Hostname: hello-' "$data/answer" || { echo "the answer has no line \"Hostname: hello-…\""; return 1; }
}

ask() { # WHAT URL
  wait_for 20 "$1 answers at $2" answers "$2"
  sed 's/^/    /' "$data/answer"
}

tour() {
  show create deployment hello --image=k8lite/echoserver:1.0 --replicas=2
  show expose deployment hello --type=NodePort --port=8080
  wait_for 60 "2/2 pods are ready" deployment_ready
  node_ip="$(kubectl get nodes -o 'jsonpath={.items[0].status.addresses[0].address}')" || die "kubectl cannot read the node's address"
  cluster_ip="$(kubectl get service hello -o 'jsonpath={.spec.clusterIP}')" || die "kubectl cannot read the service's address"
  node_port="$(kubectl get service hello -o 'jsonpath={.spec.ports[0].nodePort}')" || die "kubectl cannot read the service's port"
  [ -n "$node_ip" ] && [ -n "$cluster_ip" ] && [ -n "$node_port" ] || die "an address is missing: node \"$node_ip\", service \"$cluster_ip\", node port \"$node_port\""
  ask "the NodePort" "http://$node_ip:$node_port/"
  ask "the ClusterIP" "http://$cluster_ip:8080/"
  show get all,nodes -o wide
}

what_next() {
  echo
  if [ "$keep" = 1 ]; then
    echo "The cluster is left running. Reach it, from this machine, with:"
    echo "  export KUBECONFIG=$data/kubeconfig"
    echo "  alias kubectl='$k8lite kubectl'"
    echo "Try:"
  else
    echo "With --keep the cluster is left running. Then try:"
  fi
  echo "  kubectl scale deployment hello --replicas=5"
  echo "  kubectl logs -f deployment/hello"
  echo "  kubectl rollout status deployment hello"
  echo "  kubectl describe pods"
  if [ "$keep" = 1 ]; then
    echo "End it with:"
    echo "  sudo $clone/scripts/demo.sh --end $data"
  else
    echo "To install it as a service: sudo ./install.sh"
  fi
}

# ---- cleaning up --------------------------------------------------------------------------------------------------------------------

# Only a process that was started with this data directory: the number may be somebody else's by now.
is_demo_server() { # PID
  tr '\000' '\n' 2>/dev/null <"/proc/$1/cmdline" | grep -qxF "$data"
}

stop_server() {
  is_demo_server "$server_pid" || return 0
  kill -s TERM "$server_pid" 2>/dev/null || true
  tries=0
  while is_demo_server "$server_pid"; do
    tries=$((tries + 1))
    if [ "$tries" = 50 ]; then kill -s KILL "$server_pid" 2>/dev/null || true; fi
    [ "$tries" -lt 100 ] || return 0
    nap
  done
}

clean_up() {
  [ -n "$data" ] || return 0
  if [ -n "$server_pid" ]; then stop_server; fi
  sh scripts/killall.sh --data-dir "$data" >"$data/killall.log" 2>&1 || { cat "$data/killall.log" >&2; return 1; }
  if grep -q " $data/" /proc/self/mountinfo; then
    echo "demo.sh: something is still mounted below $data: the folder stays" >&2
    return 1
  fi
  rm -rf "$data"
  left=""
  for path in /sys/class/net/cni0 /sys/class/net/flannel.1 /run/k8lite/pods; do
    if [ -e "$path" ]; then left="$left $path"; fi
  done
  [ -z "$left" ] || { echo "demo.sh: this was left behind:$left" >&2; return 1; }
}

leave() {
  code=$?
  trap - EXIT
  trap '' INT TERM HUP
  if [ "$finished" = 1 ] && [ "$keep" = 1 ]; then exit "$code"; fi
  if [ "$finished" = 0 ] && [ -n "$data" ]; then show_log; fi
  cleaning="$(now_ms)"
  if [ -n "$data" ]; then
    if clean_up; then say "cleaned up ($(since "$cleaning"))"; else code=1; fi
  fi
  exit "$code"
}

if [ -n "$end" ]; then
  data="$(readlink -f "$end" 2>/dev/null || echo "$end")"
  [ -f "$data/server.pid" ] || die "$end is no folder of a demo"
  server_pid="$(cat "$data/server.pid")"
  clean_up || exit 1
  say "the demo's cluster is gone"
  exit 0
fi

if [ -n "$k8lite" ]; then
  [ -x "$k8lite" ] || die "$k8lite is no executable"
  k8lite="$(readlink -f "$k8lite")"
else
  build
fi
command -v iptables-restore >/dev/null 2>&1 || die "there is no iptables-restore: install your distribution's package \"iptables\""
refuse_second_cluster

trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
whole="$(now_ms)"
start_server
wait_for 30 "the API server is ready" api_ready
wait_for 60 "the node is Ready" node_ready
say "a cluster is up, $(since "$server_started") after its start"
tour
finished=1
say "all of this took $(since "$whole")"
what_next
