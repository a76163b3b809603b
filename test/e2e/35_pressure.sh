# A node that runs short for real: a small disk that a pod fills, process numbers, a container that floods its log.
host_up n1 10
choose_kubectl exec describe
data=$E2E_DIR/n1/data
on n1 mkdir -p "$data"
on n1 mount -t tmpfs -o size=220m,mode=755 tmpfs "$data" || skip "no tmpfs for a data folder"
on n1 mkdir -p "$data/agent/images"
busybox_image other
on n1 cp "$E2E_DIR/other/data/agent/images/busybox.tar" "$data/agent/images/"
taken() { awk -F/ '{print $2}' /proc/loadavg | cut -d' ' -f1; }
most=$(cat /proc/sys/kernel/pid_max /proc/sys/kernel/threads-max | sort -n | head -1)
pids=$((most - $(taken) - 1500))
server_up n1 --kubelet-arg "eviction-hard=nodefs.available<60Mi,pid.available<$pids" --kubelet-arg eviction-pressure-transition-period=5s \
  --kubelet-arg container-log-max-size=1Mi --kubelet-arg container-log-max-files=3
condition() { is "$2" node/n1 ".status.conditions[?(@.type==\"$1\")].status"; }
event_of() { local got; got=$(k describe pod "$1"); case $got in *"$2"*) ;; *) echo "$got" | tail -n 12; return 1 ;; esac; }

say "a log flood"
expect "a pod that writes and writes" k create -f - <<<"$(busybox_pod flood 'yes 0123456789012345678901234567890123456789012345678901234567890123456789')"
wait_for 30 "it runs" phase flood Running
logs=$data/agent/logs
rotated() { [ "$(on n1 sh -c "ls $logs/default_flood_*/main | wc -l")" = 3 ]; }
wait_for 30 "its log is rotated" rotated
sleep 5
size=$(on n1 sh -c "du -sk $logs/default_flood_*/main | cut -f1")
[ "$size" -le 3200 ] || fail "the logs take $size KiB of 3 MiB"
shim=$(on n1 sh -c 'for p in /proc/[0-9]*; do case $(readlink $p/exe) in /memfd:*) echo ${p#/proc/} ;; esac; done')
for pid in $shim; do
  rss=$(on n1 awk '/^VmHWM/ {print $2}' "/proc/$pid/status")
  [ "${rss:-0}" -le 4096 ] || fail "a shim takes $rss KiB"
done
expect "the node answers" k get nodes
expect "its end is read" k logs flood --tail=1
out=${out##*$'\n'} && says 012345678901234567
expect "gone" k delete pod flood --timeout=60s

say "a memory hog"
expect "a pod that takes more than it may" k create -f - <<END
apiVersion: v1
kind: Pod
metadata: {name: fat}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: "busybox:e2e", command: [sh, -c, "exec tail /dev/zero"], resources: {limits: {memory: 24Mi}}}
  - {name: thin, image: "busybox:e2e", command: [sleep, "1000"], resources: {limits: {memory: 24Mi}}}
END
main_of() { field pod/fat ".status.containerStatuses[?(@.name==\"main\")].$1"; }
killed() { [ "$(main_of lastState.terminated.reason) $(main_of lastState.terminated.exitCode)" = "OOMKilled 137" ] || { k get pod fat -o yaml | tail -n 60; return 1; }; }
wait_for 30 "is killed for it" killed
again() { [ "$(main_of restartCount)" -ge 2 ] || { main_of restartCount; return 1; }; }
wait_for 40 "and again, with pauses" again
same "alone" 0 "$(field pod/fat '.status.containerStatuses[?(@.name=="thin")].restartCount')"
one_off() { case $(main_of state.waiting.reason) in CrashLoopBackOff) ;; *) return 1 ;; esac; }
wait_for 30 "it is said so" one_off
expect "gone" k delete pod fat --timeout=60s

say "a full disk"
expect "a quiet pod" k create -f - <<<"$(busybox_pod quiet 'sleep 1000')"
wait_for 30 "it runs" phase quiet Running
expect "a pod that fills the disk" k create -f - <<<"$(busybox_pod hog 'dd if=/dev/zero of=/fill/f bs=1M count=170; sleep 1000' '  volumes: [{name: fill, emptyDir: {}}]' | sed 's/    image: busybox:e2e/    image: busybox:e2e\n    volumeMounts: [{name: fill, mountPath: \/fill}]/')"
wait_for 60 "is evicted" is Evicted pod/hog .status.reason
out=$(field pod/hog .status.message) && says 'The node was low on resource: ephemeral-storage. Threshold quantity: 60Mi, available: '
same "as a disruption" TerminationByKubelet "$(field pod/hog '.status.conditions[?(@.type=="DisruptionTarget")].reason')"
same "the quiet one stays" Running "$(field pod/quiet .status.phase)"
free_again() { [ "$(on n1 df -m --output=avail "$data" | tail -1)" -ge 100 ]; }
wait_for 30 "the disk is free again" free_again
wait_for 60 "and the node says so" condition DiskPressure False

say "process numbers"
expect "a pod of many processes" k create -f - <<<"$(busybox_pod many 'for i in $(seq 2200); do sleep 1000 & done; wait')"
wait_for 90 "is evicted" is Evicted pod/many .status.reason
out=$(field pod/many .status.message) && says 'The node was low on resource: pids. '
wait_for 60 "the node recovers" condition PIDPressure False
same "the quiet one stays" Running "$(field pod/quiet .status.phase)"
expect "all go" k delete pod --all --timeout=60s
stop n1
