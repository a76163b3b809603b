# Static pods of an agent whose machine comes up while its server is away: they run all the same, and are shown when it is back.
host_up n1 10
host_up n2 11
choose_kubectl get
busybox_image n1
busybox_image n2
server_up n1
agent_up n2
shared=$E2E_DIR/out
mkdir -p "$shared" "$E2E_DIR/n2/data/agent/pod-manifests"
cat >"$E2E_DIR/n2/data/agent/pod-manifests/alone.yaml" <<END
apiVersion: v1
kind: Pod
metadata: {name: alone}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 1
  volumes: [{name: out, hostPath: {path: $shared}}]
  containers: [{name: main, image: "busybox:e2e", command: [sh, -c, "echo began >>/out/alone; sleep 1000"], volumeMounts: [{name: out, mountPath: /out}]}]
END
began() { [ "$(grep -c began "$shared/alone" 2>/dev/null)" = "$1" ] || { cat "$shared/alone"; return 1; }; }
wait_for 30 "it runs" began 1
wait_for 30 "and is shown" phase alone-n2 Running

say "both go, and its processes too, as at a power cut; the agent comes back alone"
kill9 n1
kill9 n2
on n2 sh -c 'for p in /proc/[0-9]*; do case $(readlink $p/exe) in /memfd:*) kill -9 ${p#/proc/} ;; esac; done' 2>/dev/null
on n2 rm -rf /run/k8lite/pods
(
  for mount in $E2E_HIERARCHIES; do echo $BASHPID >"$mount/$E2E_CGROUP/n2/cgroup.procs"; done 2>/dev/null
  on_exec n2 "$E2E_BINARY" agent --data-dir "$E2E_DIR/n2/data" --server https://192.0.2.10:6443 \
    --token "$(cat "$E2E_DIR/n1/data/server/token")" --node-name n2 >>"$E2E_DIR/n2/agent.log" 2>&1
) &
server_pid[n2]=$!
wait_for 60 "it runs again" began 2

say "the server comes back"
server_up n1
wait_for 60 "its node is Ready" node_ready n2
wait_for 60 "the pod is shown" phase alone-n2 Running
began 2 || fail "it was started once more: $(cat "$shared/alone")"
rm "$E2E_DIR/n2/data/agent/pod-manifests/alone.yaml"
wait_for 30 "it goes with its file" gone pod alone-n2
