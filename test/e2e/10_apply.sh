# Server-side apply with a kubectl that is not ours where there is one: owners, conflicts, taking over from client-side apply,
# subresources, and managedFields on every other write.
host_up n1 10
E2E_KUBECTL=${E2E_KUBECTL:-$(real_kubectl)} choose_kubectl apply patch scale label create
server_up n1 --disable-agent
ssa() { k apply --server-side "$@"; }
# owners RESOURCE: "manager operation subresource" of each entry, sorted.
owners() { k get "$1" --show-managed-fields -o 'jsonpath={range .metadata.managedFields[*]}{.manager} {.operation} {.subresource}{"\n"}{end}' | sed 's/ $//' | sort | paste -sd,; }
# fields RESOURCE MANAGER: its fieldsV1.
fields() { k get "$1" --show-managed-fields -o "jsonpath={.metadata.managedFields[?(@.manager==\"$2\")].fieldsV1}"; }
revision() { field "$1" .metadata.resourceVersion; }
deployment() {
  cat <<YAML
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: ${1:-1}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "${2:-web:1}", ports: [{containerPort: 80}, {containerPort: 80, protocol: UDP}]}
YAML
}

say "an object and its owners"
expect "apply makes it" ssa --field-manager=one -f - <<<"$(deployment)"
says 'deployment.apps/web serverside-applied'
same "one owner" "one Apply" "$(owners deployment/web | tr , '\n' | grep Apply)"
same "defaults are nobody's" '{"f:metadata":{"f:labels":{"f:app":{}}},"f:spec":{"f:replicas":{},"f:selector":{},"f:template":{"f:metadata":{"f:labels":{"f:app":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"web\"}":{".":{},"f:image":{},"f:name":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}},"k:{\"containerPort\":80,\"protocol\":\"UDP\"}":{".":{},"f:containerPort":{},"f:protocol":{}}}}}}}}}' "$(fields deployment/web one)"
out=$(k get deployment web -o yaml)
case $out in *managedFields*) fail "managedFields show without being asked for" ;; esac
wait_for 5 "the controller has its say" is 1 deployment/web .status.observedGeneration
before=$(revision deployment/web)
expect "the same again" ssa --field-manager=one -f - <<<"$(deployment)"
same "writes nothing" "$before" "$(revision deployment/web)"

say "conflicts"
refuse "another manager's other value" ssa --field-manager=two -f - <<<"$(deployment 2)"
says 'Apply failed with 1 conflict: conflict with "one": .spec.replicas'
expect "the same value is shared" ssa --field-manager=two -f - <<<"$(deployment 1)"
refuse "two owners, two conflicts" ssa --field-manager=three -f - <<<"$(deployment 3)"
says 'Apply failed with 2 conflicts' 'conflicts with "one"' 'conflicts with "two"' '- .spec.replicas'
expect "with force it is taken" ssa --field-manager=three --force-conflicts -f - <<<"$(deployment 3)"
same "the value" 3 "$(field deployment/web .spec.replicas)"
refuse "the others have it no more" ssa --field-manager=one -f - <<<"$(deployment 1)"
says 'conflict with "three": .spec.replicas'

say "what only looks different"
cat >"$E2E_DIR/spelt.yaml" <<'YAML'
apiVersion: apps/v1
kind: Deployment
metadata: {name: spelt, creationTimestamp: null}
spec:
  replicas: 0
  selector: {matchLabels: {app: spelt}}
  template:
    metadata: {labels: {app: spelt}, creationTimestamp: null}
    spec:
      containers:
      - {name: c, image: "c:1", resources: {limits: {cpu: 1000m, memory: 1024Mi}}, env: [{name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]}
YAML
expect "apply" ssa --field-manager=one -f "$E2E_DIR/spelt.yaml"
wait_for 5 "the controller has its say" is 1 deployment/spelt .status.observedGeneration
before=$(revision deployment/spelt)
expect "the same again" ssa --field-manager=one -f "$E2E_DIR/spelt.yaml"
same "writes nothing" "$before" "$(revision deployment/spelt)"
expect "another manager agrees" ssa --field-manager=two -f "$E2E_DIR/spelt.yaml"
expect "replace by the same" k replace -f "$E2E_DIR/spelt.yaml"
same "is no new generation" 1 "$(field deployment/spelt .metadata.generation)"

say "what is no longer applied goes"
map() { printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"%s},"data":{%s}}' "${2:-}" "$1"; }
expect "three keys" ssa --field-manager=one -f - <<<"$(map '"a":"1","b":"1","c":"1"' ',"finalizers":["x/one","x/two"]')"
expect "one shared" ssa --field-manager=two -f - <<<"$(map '"b":"1"' ',"finalizers":["x/two"]')"
expect "one kept" ssa --field-manager=one -f - <<<"$(map '"c":"1"')"
same "data" '{"b":"1","c":"1"}' "$(field configmap/m .data)"
same "a set" '["x/two"]' "$(field configmap/m .metadata.finalizers)"
expect "the other lets go too" ssa --field-manager=two -f - <<<"$(map '')"
same "data" '{"c":"1"}' "$(field configmap/m .data)"
expect "an update's key" k patch configmap m --type=merge -p '{"data":{"u":"1"}}'
expect "outlives an apply" ssa --field-manager=one -f - <<<"$(map '')"
same "data" '{"u":"1"}' "$(field configmap/m .data)"
expect "a dry run" ssa --field-manager=one --dry-run=server -f - <<<"$(map '"d":"1"')"
same "changes nothing" '{"u":"1"}' "$(field configmap/m .data)"

say "what is refused"
raw() { on n1 curl -A test -sk --cert "$E2E_DIR/cert" --key "$E2E_DIR/key" -X PATCH -H "Content-Type: $1" -d "$3" "https://127.0.0.1:6443/api/v1/namespaces/default/configmaps/m$2"; }
sed -n 's/.*client-certificate-data: *//p' "$KUBECONFIG" | base64 -d >"$E2E_DIR/cert"
sed -n 's/.*client-key-data: *//p' "$KUBECONFIG" | base64 -d >"$E2E_DIR/key"
refuse "an unknown field" ssa --validate=false -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"},"date":{}}'
says '.date: field not declared in schema'
refuse "a key twice" ssa --validate=false -f - <<<'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i","env":[{"name":"E"},{"name":"E"}]}]}}'
says 'failed to create typed patch object (default/p; /v1, Kind=Pod): .spec.containers[name="c"].env: duplicate entries for key [name="E"]'
out=$(raw application/apply-patch+yaml "" "$(map '')")
says 'fieldManager: Required value: is required for apply patch' '"code":422'
out=$(raw application/apply-patch+yaml "?fieldManager=x" "$(map '' ',"managedFields":[]')")
says 'metadata.managedFields must be nil' '"code":400'
out=$(raw application/apply-patch+cbor "?fieldManager=x" "$(map '')")
says '"code":415'
out=$(raw application/merge-patch+json "?fieldManager=x&force=true" '{}')
says 'may not be specified for non-apply patch'
out=$(raw application/apply-patch+yaml "?fieldManager=x" "$(map '"u":"2"')")
says '"code":409' '"reason":"FieldManagerConflict"' '"field":".data.u"' 'conflict with \"kubectl-patch\" using v1'

# Taking over is half the client's work, which the bundled kubectl does not do.
if [ "${kubectl_command[0]}" != "$E2E_BINARY" ]; then
  say "from client-side apply to server-side apply"
  expect "client side" k apply -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"old"},"data":{"a":"1","b":"1"}}'
  same "its owner" "kubectl-client-side-apply Update" "$(owners configmap/old)"
  expect "server side takes over, conflict or not" ssa -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"old"},"data":{"a":"2"}}'
  same "what the old manifest had is gone" '{"a":"2"}' "$(field configmap/old .data)"
  same "kubectl keeps a manager for its annotation" "kubectl Apply,kubectl-last-applied Apply" "$(owners configmap/old)"
  expect "client side again" k apply -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"old"},"data":{"c":"1"}}'
fi

say "subresources and other writers"
expect "scale" k scale deployment web --replicas=2
same "a manager with a subresource" "kubectl Update scale" "$(owners deployment/web | tr , '\n' | grep scale)"
refuse "which applies conflict with" ssa --field-manager=three -f - <<<"$(deployment 3)"
says 'conflict with "kubectl" with subresource "scale" using apps/v1: .spec.replicas'
expect "label" k label configmap m l=v
same "its field" '{"f:metadata":{"f:labels":{".":{},"f:l":{}}}}' "$(fields configmap/m kubectl-label)"
expect "resetting" k patch configmap m --type=json -p '[{"op":"replace","path":"/metadata/managedFields","value":[{}]}]'
same "nobody owns it" "" "$(owners configmap/m)"
expect "applied again" ssa --field-manager=one -f - <<<"$(map '"n":"1"')"
same "what was there belongs to before-first-apply" "before-first-apply Update,one Apply" "$(owners configmap/m)"
