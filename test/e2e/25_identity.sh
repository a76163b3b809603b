# Who asks, what the server's own parts may do, what is written down of it, and how the server says that it is well.
host_up n1 10
choose_kubectl
busybox_image n1
curl=$(command -v curl) || skip "no curl on this machine"
mkdir -p "$E2E_DIR/audit"
cat >"$E2E_DIR/tokens.csv" <<'END'
# token,user,uid,groups
secret-of-ann,ann,7,"dev,ops"
secret-of-root,root,8,system:masters
END
cat >"$E2E_DIR/policy.yaml" <<'END'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, users: ["system:kube-scheduler"]}
- {level: RequestResponse, resources: [{group: "", resources: [configmaps]}], namespaces: [default]}
- {level: Metadata}
END
cat >"$E2E_DIR/config.yaml" <<END
kube-apiserver-arg:
- token-auth-file=$E2E_DIR/tokens.csv
- audit-log-path=$E2E_DIR/audit/audit.log
- audit-policy-file=$E2E_DIR/policy.yaml
- audit-log-maxbackup=2
END
server_up n1 --config "$E2E_DIR/config.yaml"

url=https://192.0.2.10:6443
sed -n 's/.*certificate-authority-data: //p' "$KUBECONFIG" | base64 -d >"$E2E_DIR/ca.pem"
# api TOKEN METHOD PATH [BODY]: prints the status code; the answer is in $E2E_DIR/answer, its head in $E2E_DIR/head.
api() {
  local token=$1
  "$curl" -A test -s --max-time 5 -o "$E2E_DIR/answer" -D "$E2E_DIR/head" -w '%{http_code}' --cacert "$E2E_DIR/ca.pem" ${token:+-H "Authorization: Bearer $token"} -X "$2" ${4:+-H 'Content-Type: application/json' -d "$4"} "$url$3"
}
answer() { out=$(cat "$E2E_DIR/answer"); }
whoami() { api "$1" POST /apis/authentication.k8s.io/v1/selfsubjectreviews '{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}'; }

say "health"
same "anybody" 200 "$(api '' GET '/readyz?verbose')"
answer
says '[+]ping ok' '[+]etcd ok' '[+]informer-sync ok' 'readyz check passed'
same "a part, for nobody" 403 "$(api '' GET /readyz/ping)"
same "a part" ok "$(k get --raw /readyz/ping)"
same "no such part" 404 "$(api secret-of-root GET /livez/nothing)"
expect "without one" k get --raw '/livez?verbose&exclude=etcd'
says '[+]etcd excluded: ok' 'livez check passed'
same "nothing to debug" 404 "$(api secret-of-root GET /debug/pprof/)"

say "static tokens"
same "ann" 201 "$(whoami secret-of-ann)"
answer
says '"username":"ann"' '"uid":"7"' '"dev"' '"ops"' system:authenticated
same "ann may not" 403 "$(api secret-of-ann GET /api/v1/nodes)"
same "root may" 200 "$(api secret-of-root GET /api/v1/nodes)"
same "nobody's" 401 "$(whoami secret-of-nobody)"

say "tokens of service accounts"
expect "an account" k create serviceaccount ci
expect "its secret" k create -f - <<'END'
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata: {name: ci-token, annotations: {kubernetes.io/service-account.name: ci}}
END
filled() { [ -n "$(field secret/ci-token .data.token)" ]; }
wait_for 15 "the secret is filled" filled
long=$(field secret/ci-token .data.token | base64 -d)
same "the token in the secret" 201 "$(whoami "$long")"
answer
says system:serviceaccount:default:ci
if real=$(real_kubectl); then
  kr() { on n1 env KUBECONFIG="$KUBECONFIG" "$real" "$@"; }
  expect "create token" kr create token ci --duration=10m --audience=vault
  same "for another audience it is no token here" 401 "$(whoami "$out")"
  refuse "too short" kr create token ci --duration=5m
  says 'may not specify a duration less than 10 minutes'
  expect "one bound to the secret" kr create token ci --bound-object-kind=Secret --bound-object-name=ci-token
  bound=$out
  same "it is good" 201 "$(whoami "$bound")"
  answer
  says authentication.kubernetes.io/credential-id JTI=
  expect "whoami" kr auth whoami
  says system:admin system:masters X509SHA256=
  expect "whoami as another" kr auth whoami --as=jane --as-group=dev --as-uid=uid-7
  says jane dev uid-7
  expect "what may I" kr auth can-i --list
  says '*.*'
  expect "what may the account" kr auth can-i --list --as=system:serviceaccount:default:ci
  says selfsubjectreviews.authentication.k8s.io
  refuse "may it" kr auth can-i delete nodes --as=system:serviceaccount:default:ci
  same "told in one word" no "$(kr auth can-i delete nodes --as=system:serviceaccount:default:ci 2>/dev/null)"
  expect "endpoints are of yesterday" kr get endpoints
  says 'Warning: v1 Endpoints is deprecated in v1.33+'
  expect "verbose" kr get --raw '/readyz?verbose'
  says 'readyz check passed'
  expect "the secret goes" kr delete secret ci-token
  same "and the token bound to it" 401 "$(whoami "$bound")"
fi
expect "the account goes" k delete serviceaccount ci
same "and the token in its secret" 401 "$(whoami "$long")"

say "bootstrap tokens"
end=$(date -u -d '+6 seconds' +%Y-%m-%dT%H:%M:%SZ)
expect "one" k create -f - <<END
apiVersion: v1
kind: Secret
type: bootstrap.kubernetes.io/token
metadata: {name: bootstrap-token-abcdef, namespace: kube-system}
stringData: {token-id: abcdef, token-secret: 0123456789abcdef, usage-bootstrap-authentication: "true", expiration: "$end", auth-extra-groups: "system:bootstrappers:edge"}
END
same "it is good" 201 "$(whoami abcdef.0123456789abcdef)"
answer
says system:bootstrap:abcdef system:bootstrappers:edge
swept() { ! k get secret -n kube-system bootstrap-token-abcdef; }
wait_for 30 "its time is over" swept
same "and it is no good" 401 "$(whoami abcdef.0123456789abcdef)"

say "the server's own parts have the rights of the default roles"
expect "work for the controllers" k create -f - <<'END'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: "busybox:e2e", command: [sleep, "4720"]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: tick}
spec:
  schedule: "* * * * *"
  suspend: true
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: "busybox:e2e", command: ["true"]}]}}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec: {ttlSecondsAfterFinished: 1, template: {spec: {restartPolicy: Never, containers: [{name: main, image: "busybox:e2e", command: ["true"]}]}}}
END
available() { is 2 deployment/web .status.availableReplicas; }
wait_for 30 "both pods run" available
sliced() { [ -n "$(field endpointslices '.items[?(@.metadata.labels.kubernetes\.io/service-name=="web")].endpoints[0].addresses[0]')" ]; }
wait_for 15 "the service has its slice" sliced
budgeted() { is 1 pdb/web .status.disruptionsAllowed; }
wait_for 15 "the budget is counted" budgeted
wait_for 30 "the job has been and gone" gone job once
expect "managed fields" k get --raw /apis/apps/v1/namespaces/default/deployments/web
says '"manager":"kube-controller-manager"'
expect "a namespace" k create namespace short
expect "goes" k delete namespace short --timeout=30s
same "nobody was forbidden anything" "" "$(grep 'is forbidden what it wants' "$E2E_DIR/n1/server.log")"

say "the audit log"
expect "a map" k create configmap noted --from-literal=a=1
log=$E2E_DIR/audit/audit.log
# logged TEXT…: one line has them all.
logged() {
  local text lines
  lines=$(cat "$log")
  for text in "$@"; do lines=$(printf '%s\n' "$lines" | grep -F -- "$text") || return 1; done
}
wait_for 10 "the request with its body" logged '"resource":"configmaps"' '"verb":"create"' '"name":"noted"' '"requestObject"' '"responseObject"' '"stage":"ResponseComplete"' '"code":201'
wait_for 10 "what was refused" logged '"username":"ann"' '"code":403' '"authorization.k8s.io/decision":"forbid"' '"level":"Metadata"'
wait_for 10 "a controller's write" logged '"username":"system:serviceaccount:kube-system:deployment-controller"' '"resource":"replicasets"' '"verb":"create"'
refuse "the scheduler is left out" grep -F '"username":"system:kube-scheduler"' "$log"
refuse "no stage that was left out" grep -F RequestReceived "$log"
refuse "no secret's content" grep -F 0123456789abcdef "$log"
api secret-of-root GET /api >/dev/null
id=$(sed -n 's/^[Aa]udit-[Ii]d: *//p' "$E2E_DIR/head" | tr -d '\r')
wait_for 10 "by the id of the answer" logged "\"auditID\":\"$id\"" '"requestURI":"/api"'

say "metrics"
expect "figures" k get --raw /metrics
figures=$out
for text in 'apiserver_request_total{verb="POST",dry_run="",group="",version="v1",resource="configmaps",subresource="",scope="resource",component="apiserver",code="201"}' 'apiserver_request_duration_seconds_bucket{' \
  'apiserver_storage_objects{resource="deployments.apps"} 1' 'workqueue_adds_total{name="deployment-controller"}' 'rest_client_requests_total{code="201",method="POST",host="in-process"}' 'apiserver_audit_event_total ' \
  'process_resident_memory_bytes ' 'apiserver_storage_size_bytes{' 'k8lite_build_info{' 'authentication_attempts{result="failure"}'; do
  out=$figures
  says "$text"
done

say "an error in the settings is said at once"
stop n1
printf 'kube-apiserver-arg: ["audit-policy-file=%s"]\n' "$E2E_DIR/tokens.csv" >"$E2E_DIR/config.yaml"
refuse "a policy that is none" on n1 timeout 10 "$E2E_BINARY" server --data-dir "$E2E_DIR/n1/data" --write-kubeconfig "$E2E_DIR/n1/k8lite.yaml" --node-name n1 --config "$E2E_DIR/config.yaml"
says audit-policy-file tokens.csv
