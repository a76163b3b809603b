# The bundled kubectl beside a real one: the same words, the same exit codes. What changes objects is checked with the bundled one alone.
real=$(real_kubectl) || real=
host_up n1 10
choose_kubectl describe port-forward cp diff events explain wait
[ "${kubectl_command[0]}" = "$E2E_BINARY" ] || skip "this build has no kubectl of its own"
busybox_image n1
server_up n1

# The same without what moves on between two calls: ages, and the widths that they make.
ageless() { sed -E 's/\b([0-9]+[smhd])+\b/AGE/g; s/ +/ /g'; }
# alike WORDS…: both print the same and end with the same code. Asked again, because ages may move on between the two; where a call takes
# longer than a second they always do, and count no more.
alike() {
  local try ours theirs our_code their_code
  checks=$((checks + 1))
  for try in 1 2 3; do
    ours=$(k "$@" 2>&1); our_code=$?
    [ -n "$real" ] || return 0
    theirs=$(on n1 env KUBECONFIG="$KUBECONFIG" "$real" "$@" 2>&1 | grep -v '^WARNING: version difference'; exit "${PIPESTATUS[0]}"); their_code=$?
    [ "$ours" = "$theirs" ] && [ $our_code = $their_code ] && return 0
  done
  [ "$(ageless <<<"$ours")" = "$(ageless <<<"$theirs")" ] && [ $our_code = $their_code ] && return 0
  fail "kubectl $* ($our_code, real $their_code):"
  diff <(echo "$theirs") <(echo "$ours") | head -20
}

say "objects"
cat >"$E2E_DIR/web.yaml" <<'END'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {app: two}, annotations: {note: "a long note that says more than would fit into one line of the output, which is why it goes on and on and on until it is much longer than that"}}
data: {one: "1", lines: "a\n  b\n", sign: "<&>"}
---
apiVersion: v1
kind: Pod
metadata: {name: two, labels: {app: two}}
spec:
  terminationGracePeriodSeconds: 0
  automountServiceAccountToken: false
  initContainers: [{name: first, image: "busybox:e2e", command: [sh, -c, echo init]}]
  containers:
  - name: a
    image: "busybox:e2e"
    command: [sh, -c, "for i in 1 2 3; do echo a$i; done; while :; do sleep 0.2; done"]
    env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}, {name: ONE, valueFrom: {configMapKeyRef: {name: settings, key: one}}}]
    resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 64Mi}}
    readinessProbe: {exec: {command: ["true"]}}
    volumeMounts: [{name: scratch, mountPath: /scratch}]
  - {name: b, image: "busybox:e2e", command: [sh, -c, "echo b; while :; do sleep 0.2; done"]}
  volumes: [{name: scratch, emptyDir: {}}]
END
expect "apply" k apply -f "$E2E_DIR/web.yaml"
expect "deployment" k create deployment web --image=k8lite/echoserver:1.0 --replicas=2
expect "service" k expose deployment web --port=80 --target-port=8080
expect "it rolls out" k rollout status deployment web --timeout=20s
expect "the pod runs" k wait pod/two --for=condition=Ready --timeout=20s
says 'pod/two condition met'

say "get"
alike get pods
alike get all,nodes -o wide
alike get pods --show-labels -L app
alike get pods --sort-by=.metadata.name --no-headers
alike get pods --field-selector status.phase=Running -o name
alike get cm settings -o yaml
alike get cm settings -o json
alike get pods -o 'jsonpath={range .items[*]}{.metadata.name}{"\t"}{.status.phase}{"\n"}{end}'
alike get pods -o custom-columns=NAME:.metadata.name,LABELS:.metadata.labels,NIX:.spec.nix
alike get pods -o 'go-template={{range .items}}{{.metadata.name}} {{len .spec.containers}} {{.spec.nix}}{{"\n"}}{{end}}'
alike get pod nix
alike get nix
refuse "a flag that is not there" k get pods --bogus
says 'error: unknown flag: --bogus' "See 'kubectl get --help' for usage."

say "describe, explain"
for what in pod/two deployment/web service/web node/n1 rs endpoints/web namespace/default; do alike describe "$what" --show-events=false; done
alike -n kube-node-lease describe lease n1 --show-events=false
expect "events at the end" k describe pod two
says Scheduled Pulled Started
alike explain pod.spec.nodeName
alike explain pod.nix

say "logs, exec, cp"
alike logs two -c b
alike logs two --all-containers --prefix
alike exec two -c a -- sh -c 'echo out; exit 7'
alike exec nix -- true
through() { echo through | k exec -i two -c a -- cat; }
expect "stdin" through
says through
mkdir -p "$E2E_DIR/up/deep/empty"
head -c 300000 /dev/urandom >"$E2E_DIR/up/deep/bytes"
expect "cp up" k cp "$E2E_DIR/up" two:/scratch/up -c a
expect "cp down" k cp two:/scratch/up "$E2E_DIR/down" -c a
same "the same bytes" "$(sha256sum <"$E2E_DIR/up/deep/bytes")" "$(sha256sum <"$E2E_DIR/down/deep/bytes")"
refuse "cp of nothing" k cp two:/nix "$E2E_DIR/nix" -c a

say "port-forward"
k port-forward service/web :80 >"$E2E_DIR/forward" 2>&1 &
forward=$!
wait_for 5 "it listens" grep -q 'Forwarding from \[::1\]' "$E2E_DIR/forward"
port=$(sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\) -> 8080$/\1/p' "$E2E_DIR/forward")
for i in 1 2 3; do expect "through the tunnel" on n1 busybox wget -qO- "http://127.0.0.1:$port/x"; says "Hostname: web-"; done
says "Hostname: web-"
kill $forward
wait $forward 2>/dev/null

say "diff, wait, taint, drain"
sed -i 's/one: "1"/one: "2"/' "$E2E_DIR/web.yaml"
refuse "diff finds the change" k diff -f "$E2E_DIR/web.yaml"
says '-  one: "1"' '+  one: "2"'
expect "apply" k apply -f "$E2E_DIR/web.yaml"
expect "no difference any more" k diff -f "$E2E_DIR/web.yaml"
expect "taint" k taint node n1 a=b:PreferNoSchedule
refuse "again" k taint node n1 a=b:PreferNoSchedule
says 'already has a taint(s)'
expect "untaint" k taint node n1 a-
expect "cordon" k cordon n1
refuse "drain stops at bare pods" k drain n1 --timeout=5s
says 'declare no controller'
expect "drain by force" k drain n1 --force --delete-emptydir-data --grace-period=0 --timeout=20s
says 'node/n1 drained' 'pod/two evicted'
expect "uncordon" k uncordon n1
refuse "wait in vain" k wait deployment/web --for=condition=Nix --timeout=1s
says 'timed out waiting for the condition on deployments/web'

say "help and completion"
for command in get describe port-forward config; do expect "help of $command" k "$command" --help; says 'Usage:' "kubectl $command"; done
expect "completion of types" k __complete get po
says pods poddisruptionbudgets
expect "completion of names" k __complete describe deployment ''
says web ':4'
expect "a script for bash" k completion bash
expect "which bash can read" bash -n <(echo "$out")
refuse "a command that is not there" k ge
says 'error: unknown command "ge" for "kubectl"' 'Did you mean this?' get
