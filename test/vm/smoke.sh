#!/bin/bash
# smoke.sh - what scripts/vm.sh runs inside of its machine, as a service: the runtime's behaviours on cgroup version 2 under a
# real systemd, beside runc and crun, then one pod of a whole k8lite. Says "vm: result N" at the end, N failures.
set -u
failures=0
check() { # NAME command…
  local name=$1 out
  shift
  if out=$("$@" 2>&1); then echo "vm: ok: $name"; else echo "vm: FAILED: $name: $out"; failures=$((failures + 1)); fi
}
wait_for() { # SECONDS command…
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { "$@"; return 1; }
    sleep 1
  done
}
finish() { echo "vm: result $failures"; sync; exit 0; }
trap finish EXIT

echo "vm: kernel $(uname -r) $(uname -m), systemd $(systemctl --version | head -1), cgroup $(stat -f -c %T /sys/fs/cgroup): $(cat /sys/fs/cgroup/cgroup.controllers)"
check "only the second version of cgroups" test -e /sys/fs/cgroup/cgroup.controllers
ip link set lo up
ip link set eth0 up
ip address add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
parts=$(cat /smoke/parts)
case $parts in *runtime*)
  if python3 /smoke/suite.py k8lite=/usr/local/bin/k8lite; then echo "vm: ok: the runtime's behaviours"; else failures=$((failures + 1)); fi ;;
esac
case $parts in *peers*) python3 /smoke/suite.py runc crun ;; esac
case $parts in *pod*) ;; *) exit ;; esac

# One pod, with limits, whose program looks at its own cgroup.
data=/var/lib/k8lite
mkdir -p /tmp/image/root/bin /tmp/image/root/tmp /tmp/image/root/etc $data/agent/images
cp "$(command -v busybox)" /tmp/image/root/bin/busybox
for tool in sh cat sleep echo id; do ln -s busybox /tmp/image/root/bin/$tool; done
printf 'root:x:0:0:root:/:/bin/sh\n' >/tmp/image/root/etc/passwd
tar -C /tmp/image/root --owner=0 --group=0 --numeric-owner -cf /tmp/image/layer.tar .
layer=$(sha256sum /tmp/image/layer.tar)
printf '{"architecture":"%s","os":"linux","config":{"Env":["PATH=/bin"],"Cmd":["sh"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
  "$(dpkg --print-architecture)" "${layer%% *}" >/tmp/image/config.json
printf '[{"Config":"config.json","RepoTags":["busybox:vm"],"Layers":["layer.tar"]}]' >/tmp/image/manifest.json
tar -C /tmp/image -cf $data/agent/images/busybox.tar manifest.json config.json layer.tar

start_server() {
  systemd-run -q --unit=k8lite -p Delegate=yes -p KillMode=process -p StandardOutput=append:/var/log/k8lite.log \
    -p StandardError=append:/var/log/k8lite.log /usr/local/bin/k8lite server --data-dir $data
}
start_server
export KUBECONFIG=/etc/k8lite/k8lite.yaml
kubectl() { k8lite kubectl "$@"; }
node_ready() { kubectl get nodes -o jsonpath='{.items[0].status.conditions[?(@.type=="Ready")].status}' | grep -qx True; }
check "the node is ready" wait_for 300 node_ready
cat >/tmp/pod.yaml <<'END'
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 2
  containers:
  - name: main
    image: busybox:vm
    imagePullPolicy: Never
    command: [sh, -c, "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max; echo started; sleep 100000"]
    resources: {limits: {memory: 64Mi, cpu: 500m}}
END
check "a pod is accepted" wait_for 120 kubectl apply -f /tmp/pod.yaml
logged() { kubectl logs web | grep -q started; }
check "the pod runs and its log is read" wait_for 180 logged
logged >/dev/null 2>&1 || kubectl get pod web -o yaml
limits() { [ "$(kubectl logs web | head -2 | tr '\n' ' ')" = "67108864 50000 100000 " ]; }
check "its limits are in its cgroup" limits
check "exec works" wait_for 60 kubectl exec web -- id -u
before=$(kubectl get pod web -o jsonpath='{.status.containerStatuses[0].containerID}')
systemctl kill -s KILL --kill-whom=main k8lite
wait_for 60 sh -c '! systemctl is-active -q k8lite'
systemctl reset-failed k8lite 2>/dev/null
start_server
check "the node is ready again after its server was killed" wait_for 300 node_ready
same() { [ "$(kubectl get pod web -o jsonpath='{.status.containerStatuses[0].containerID}{.status.containerStatuses[0].restartCount}')" = "${before}0" ]; }
check "the pod outlived it" wait_for 60 same
check "the pod is deleted" timeout 120 k8lite kubectl delete pod web --timeout=100s
[ $failures = 0 ] || tail -n 40 /var/log/k8lite.log
