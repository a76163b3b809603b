# For scenarios that run real programs (sourced after test/cluster/lib.sh).
# program_images HOST NAME...: lays the images of images.sh, called NAME:e2e, before the agent of HOST; skips where they cannot be had.
program_images() {
  local host=$1 dir name
  shift
  dir=$("$E2E_HERE/../workloads/images.sh" "$@" 2>"$E2E_DIR/images.log" | tail -n1)
  [ -d "$dir" ] || skip "no images of $*: $(tail -n1 "$E2E_DIR/images.log")"
  mkdir -p "$E2E_DIR/$host/data/agent/images"
  for name in "$@"; do
    ln "$dir/$name.tar" "$E2E_DIR/$host/data/agent/images/$name.tar" 2>/dev/null || cp "$dir/$name.tar" "$E2E_DIR/$host/data/agent/images/" || die "no $name.tar"
  done
}
# get HOST URL [HEADER]: what an HTTP server answers to one host's busybox.
get() { on "$1" timeout 10 busybox wget -qO- ${3:+--header "$3"} "$2"; }
# gets TEXT HOST URL: the answer holds the text.
gets() {
  local got
  got=$(get "$2" "$3" 2>&1) || { echo "$3: $got"; return 1; }
  case $got in *"$1"*) ;; *) echo "$3 answers: ${got:0:300}"; return 1 ;; esac
}
endpoints_of() { k get endpointslice -l "kubernetes.io/service-name=$1" -o 'jsonpath={.items[*].endpoints[?(@.conditions.ready==true)].addresses[0]}'; }
has_endpoints() { local n; n=$(endpoints_of "$1" | wc -w); [ "$n" = "$2" ] || { echo "$n endpoints of $1"; return 1; }; }
no_pods() { local got; got=$(k get pods -l "$1" -o name); [ -z "$got" ] || { echo "$got"; return 1; }; }
# nothing_left HOST: what deleted pods may leave behind is gone: their mounts, network namespaces, cgroups, interfaces, rules and shims.
# Pods of kube-system and what is still wanted count as nothing: call it with no other pods there.
nothing_left() {
  local left host=$1
  left=$(
    on "$host" grep -E 'kubelet/pods/|/pods/[0-9a-f-]{36}/' /proc/self/mountinfo | awk '{print "mount " $5}'
    on "$host" sh -c 'find /sys/fs/cgroup -type d -path "*kubepods*" -name "*pod*-*"' | sed 's/^/cgroup /'
    on "$host" ip -o link | awk -F': ' '$2 ~ /^(veth|cni|k8|lxc)[^@]*@/ {print "interface " $2}'
    on "$host" ls /run/netns /run/k8lite/netns 2>/dev/null | grep -v ':$' | sed '/^$/d;s/^/netns /'
    on "$host" iptables-save 2>/dev/null | grep -E -- '(--comment "?default/|-d 10\.42\.[0-9]+\.[0-9]+/32)' | grep -v 'default/kubernetes:' | sed 's/^/rule /'
  )
  [ -z "$left" ] || { echo "$left"; return 1; }
}
