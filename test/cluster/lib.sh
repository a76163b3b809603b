# What scenarios are written with. A check that fails is counted and the scenario goes on; `must` and `die` end it.
# Variables: $E2E_DIR (this run's folder; $E2E_DIR/<host> is a host's), $out (what the last `expect` command printed).
failures=0
checks=0
out=
declare -A host_pid server_pid
export HOME=$E2E_DIR/home
mkdir -p "$HOME"
KUBECONFIG=$E2E_DIR/n1/k8lite.yaml
export KUBECONFIG
E2E_HIERARCHIES=$(awk '($3 == "cgroup" || $3 == "cgroup2") && $2 ~ "^/sys/fs/cgroup" {print $2}' /proc/mounts)
export E2E_HIERARCHIES

say() { echo "== $* [${SECONDS}s]"; }
die() { echo "FAILED: $*"; failures=$((failures + 1)); exit 1; }
skip() { echo "SKIPPED: $*"; exit 77; }
fail() { echo "  FAILED: $*"; failures=$((failures + 1)); }
now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }

# ---- hosts ----
# host_up NAME LAST-BYTE: a host with eth0 192.0.2.LAST-BYTE on the LAN and a default route over it.
host_up() {
  local name=$1 mount i
  mkdir -p "$E2E_DIR/$name"
  (
    for mount in $E2E_HIERARCHIES; do
      mkdir -p "$mount/$E2E_CGROUP/$name"
      # cpuset of v1 starts empty, which no process may join.
      for i in cpuset.cpus cpuset.mems; do
        [ -f "$mount/$E2E_CGROUP/$name/$i" ] && cat "$mount/$i" >"$mount/$E2E_CGROUP/$i" && cat "$mount/$i" >"$mount/$E2E_CGROUP/$name/$i"
      done
      echo $BASHPID >"$mount/$E2E_CGROUP/$name/cgroup.procs"
    done
    exec unshare --mount --net --uts --cgroup --propagation private bash "$E2E_HERE/host.sh" "$name"
  ) &
  host_pid[$name]=$!
  for i in $(seq 500); do [ -e "$E2E_DIR/$name/ready" ] && break; sleep 0.01; done
  [ -e "$E2E_DIR/$name/ready" ] || die "host $name does not come up"
  ip link add "v-$name" type veth peer name eth0 netns "${host_pid[$name]}"
  ip link set "v-$name" master lan0 up
  on "$name" ip addr add "192.0.2.$2/24" dev eth0
  on "$name" ip link set eth0 up
  on "$name" ip route add default via 192.0.2.1
}
# on HOST COMMAND…: runs a command on a host (in its cgroup too). `on_exec` replaces the calling shell, for commands in the background.
on_exec() {
  local name=$1 mount
  shift
  exec nsenter -t "${host_pid[$name]}" --mount --net --uts --cgroup --wd="$E2E_DIR" "$@"
}
on() { (on_exec "$@"); }

# ---- the server ----
# server_start HOST [FLAG…]: starts it and returns at once.
server_start() {
  local name=$1 mount
  shift
  mkdir -p "$E2E_DIR/$name/data/agent/images"
  (
    for mount in $E2E_HIERARCHIES; do echo $BASHPID >"$mount/$E2E_CGROUP/$name/cgroup.procs"; done 2>/dev/null
    on_exec "$name" "$E2E_BINARY" server --data-dir "$E2E_DIR/$name/data" --write-kubeconfig "$E2E_DIR/$name/k8lite.yaml" \
      --https-listen-port 6443 --node-name "$name" "$@" >>"$E2E_DIR/$name/server.log" 2>&1
  ) &
  server_pid[$name]=$!
}
# server_up HOST [FLAG…]: starts it and waits until it is ready and, unless --disable-agent is among the flags, its node is.
server_up() {
  local name=$1
  server_start "$@"
  must 20 "/readyz of $name answers" ready
  case " $* " in *" --disable-agent "*) return ;; esac
  must 20 "node $name is Ready" node_ready "$name"
  must 20 "the default service account is there" k get serviceaccount default
}
ready() { [ -s "$KUBECONFIG" ] && k get --raw /readyz; }
node_ready() { [ "$(k get node "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]; }
# Ends the server as a crash would; its pods go on.
kill9() { kill -KILL "${server_pid[$1]}"; wait "${server_pid[$1]}" 2>/dev/null; }
# Ends it as a service manager would.
stop() { kill -TERM "${server_pid[$1]}"; wait "${server_pid[$1]}"; }
restart() { kill9 "$1"; server_up "$@"; }

# agent_up HOST [FLAG…]: starts an agent that joins n1's server and waits until its node is Ready.
agent_up() {
  local name=$1
  shift
  mkdir -p "$E2E_DIR/$name/data/agent/images"
  (
    for mount in $E2E_HIERARCHIES; do echo $BASHPID >"$mount/$E2E_CGROUP/$name/cgroup.procs"; done 2>/dev/null
    on_exec "$name" "$E2E_BINARY" agent --data-dir "$E2E_DIR/$name/data" --server https://192.0.2.10:6443 \
      --token "$(cat "$E2E_DIR/n1/data/server/token")" --node-name "$name" "$@" >>"$E2E_DIR/$name/agent.log" 2>&1
  ) &
  server_pid[$name]=$!
  must 20 "node $name is Ready" node_ready "$name"
}

# ---- kubectl ----
# choose_kubectl COMMAND…: the bundled one when it has every command the scenario needs, else the one on PATH. E2E_KUBECTL=PATH names
# another.
bundled_has() {
  local command
  for command in "$@"; do "$E2E_BINARY" kubectl "$command" --help >/dev/null 2>&1 || return 1; done
}
choose_kubectl() {
  if [ -n "${E2E_KUBECTL:-}" ]; then
    kubectl_command=("$E2E_KUBECTL")
  elif bundled_has get create delete "$@"; then
    kubectl_command=("$E2E_BINARY" kubectl)
  elif real_kubectl >/dev/null; then
    kubectl_command=("$(real_kubectl)")
  else
    skip "this build has no kubectl of its own and there is none on PATH"
  fi
  say "kubectl: ${kubectl_command[*]}"
}
# The path of a kubectl that is not ours; fails where there is none.
real_kubectl() {
  local path
  path=$(command -v kubectl) || return 1
  "$path" version --client >/dev/null 2>&1 && echo "$path"
}
# every_kubectl: the kubectls that streaming is tried with, one a line: "bundled", one that speaks SPDY (beside the one on PATH, as the
# Cloud SDK has them) and the one on PATH, which speaks WebSocket since 1.31.
every_kubectl() {
  local path dir
  echo bundled
  path=$(real_kubectl) || return 0
  dir=$(dirname "$(readlink -f "$path")")
  for path in "$dir"/kubectl.1.27 "$path"; do [ -x "$path" ] && echo "$path"; done
}
use_kubectl() { if [ "$1" = bundled ]; then kubectl_command=("$E2E_BINARY" kubectl); else kubectl_command=("$1"); fi; }
k() { on n1 env KUBECONFIG="$KUBECONFIG" "${kubectl_command[@]}" "$@"; }

# ---- checks ----
# expect 'what' COMMAND…: the command succeeds; what it prints (both streams) is in $out.
expect() {
  local what=$1
  shift
  checks=$((checks + 1))
  if ! out=$("$@" 2>&1); then
    fail "$what: \"$*\" says: $out"
    return 1
  fi
}
# refuse 'what' COMMAND…: the command fails.
refuse() {
  local what=$1
  shift
  checks=$((checks + 1))
  if out=$("$@" 2>&1); then
    fail "$what: \"$*\" succeeded: $out"
    return 1
  fi
}
# says 'text'…: $out holds each text.
says() {
  local text
  for text in "$@"; do
    checks=$((checks + 1))
    case $out in *"$text"*) ;; *) fail "no \"$text\" in: $out" ;; esac
  done
}
# same 'what' WANTED GOT
same() {
  checks=$((checks + 1))
  [ "$2" = "$3" ] || { fail "$1: wanted \"$2\", got \"$3\""; return 1; }
}
# patient MILLISECONDS: a limit that a busy machine may stretch (figures are measured by test/bench, not here).
patient() { echo $(($1 * ${E2E_PATIENCE:-4})); }
# wait_for SECONDS 'what' COMMAND…: the command succeeds within that time.
wait_for() {
  local limit=$1 what=$2 end
  shift 2
  checks=$((checks + 1))
  end=$(($(now_ms) + $(patient $((limit * 1000)))))
  while ! out=$("$@" 2>&1); do
    if [ "$(now_ms)" -ge $end ]; then
      fail "$what: not within $limit s; last: $out"
      return 1
    fi
    sleep 0.1
  done
}
must() { wait_for "$@" || die "the scenario cannot go on"; }
# field RESOURCE JSONPATH-EXPRESSION: prints it. is VALUE RESOURCE EXPRESSION: it has this value.
field() { k get "$1" -o "jsonpath={$2}"; }
is() { local got; got=$(field "$2" "$3") && [ "$got" = "$1" ] || { echo "$2 $3 is \"$got\""; return 1; }; }
gone() { ! k get "$1" "$2" >/dev/null 2>&1; }
# phase POD PHASE; logs_say POD TEXT [FLAG…]
phase() { is "$2" "pod/$1" .status.phase; }
logs_say() {
  local pod=$1 text=$2 got
  shift 2
  got=$(k logs "$pod" "$@" 2>&1)
  case $got in *"$text"*) ;; *) echo "$got"; return 1 ;; esac
}

# ---- images ----
# busybox_image HOST: an archive as `docker save` writes it, image busybox:e2e, made of this machine's busybox-static.
busybox_image() {
  local dir=$E2E_DIR/busybox layer config
  mkdir -p "$dir/root/bin" "$dir/root/tmp" "$dir/root/etc" "$E2E_DIR/$1/data/agent/images"
  cp "$(command -v busybox)" "$dir/root/bin/busybox"
  for tool in $(busybox --list); do [ "$tool" = busybox ] || ln -sf busybox "$dir/root/bin/$tool"; done
  printf 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n' >"$dir/root/etc/passwd"
  printf 'root:x:0:\n' >"$dir/root/etc/group"
  tar -C "$dir/root" --owner=0 --group=0 --numeric-owner -cf "$dir/layer.tar" .
  layer=$(sha256sum "$dir/layer.tar")
  printf '{"architecture":"%s","os":"linux","config":{"Env":["PATH=/bin"],"Cmd":["sh"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$(image_architecture)" "${layer%% *}" >"$dir/config.json"
  printf '[{"Config":"config.json","RepoTags":["busybox:e2e"],"Layers":["layer.tar"]}]' >"$dir/manifest.json"
  tar -C "$dir" -cf "$E2E_DIR/$1/data/agent/images/busybox.tar" manifest.json config.json layer.tar
}
image_architecture() {
  case $(uname -m) in x86_64) echo amd64 ;; aarch64) echo arm64 ;; armv*) echo arm ;; *) uname -m ;; esac
}
# busybox_pod NAME 'script' [further lines of the pod's spec, indented by two]
busybox_pod() {
  local more=${3:-}
  [ -n "$more" ] && more+=$'\n'
  cat <<END
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec:
  terminationGracePeriodSeconds: 2
$more  containers:
  - name: main
    image: busybox:e2e
    command: [sh, -c, $(yaml_quote "$2")]
END
}
# A double-quoted scalar: line breaks stay line breaks.
yaml_quote() { local s=${1//\\/\\\\}; s=${s//\"/\\\"}; printf '"%s"' "${s//$'\n'/\\n}"; }
