# The API through kubectl, without a node: objects come, change and go, watches see it, and errors say what kubectl users know.
host_up n1 10
choose_kubectl patch apply label annotate replace explain api-resources
server_up n1 --disable-agent

say "namespaces"
expect "create" k create namespace red
same "its phase" Active "$(field namespace/red .status.phase)"
refuse "twice" k create namespace red
says 'namespaces "red" already exists'
refuse "a bad name" k create namespace Red_1
says Red_1 'Invalid value'

say "configmaps"
expect "create" k -n red create configmap c1 --from-literal=a=1 --from-literal=b=2
same "a" 1 "$(k -n red get configmap c1 -o 'jsonpath={.data.a}')"
expect "merge patch" k -n red patch configmap c1 --type=merge -p '{"data":{"a":"9","b":null}}'
same "data after the patch" '{"a":"9"}' "$(k -n red get configmap c1 -o 'jsonpath={.data}')"
expect "JSON patch" k -n red patch configmap c1 --type=json -p '[{"op":"test","path":"/data/a","value":"9"},{"op":"add","path":"/data/z","value":"0"}]'
same "data after the JSON patch" '{"a":"9","z":"0"}' "$(k -n red get configmap c1 -o 'jsonpath={.data}')"
refuse "a JSON patch whose test fails" k -n red patch configmap c1 --type=json -p '[{"op":"test","path":"/data/a","value":"8"}]'

say "apply"
cat >"$E2E_DIR/cm.yaml" <<'END'
apiVersion: v1
kind: ConfigMap
metadata: {name: applied, namespace: red, labels: {tier: web}}
data: {one: "1", two: "2"}
END
expect "apply" k apply -f "$E2E_DIR/cm.yaml"
says 'configmap/applied created'
expect "apply again" k apply -f "$E2E_DIR/cm.yaml"
says 'configmap/applied unchanged'
sed -i 's/, two: "2"/, three: "3"/' "$E2E_DIR/cm.yaml"
expect "apply a change" k apply -f "$E2E_DIR/cm.yaml"
says 'configmap/applied configured'
same "a key that was taken out is gone" '{"one":"1","three":"3"}' "$(k -n red get configmap applied -o 'jsonpath={.data}')"
expect "server-side apply by another manager" k apply --server-side --field-manager=other -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"applied","namespace":"red","labels":{"tier":"web"}},"data":{"four":"4"}}'
refuse "a conflict between managers" k apply --server-side --field-manager=third -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"applied","namespace":"red"},"data":{"four":"5"}}'
says conflict other

say "labels"
expect "label" k -n red label configmap c1 tier=db
same "by a label" configmap/c1 "$(k -n red get configmap -l tier=db -o name)"
same "by a set" "configmap/applied configmap/c1" "$(k -n red get configmap -l 'tier in (db,web)' -o name | sort | xargs)"
expect "take the label off" k -n red label configmap c1 tier-
same "none" "" "$(k -n red get configmap -l tier=db -o name)"
expect "annotate" k -n red annotate configmap c1 note='some text'
same "by a field" configmap/c1 "$(k -n red get configmap --field-selector metadata.name=c1 -o name)"

say "watch"
k -n red get configmap -w -o name >"$E2E_DIR/watch" 2>&1 &
watcher=$!
wait_for 5 "the watch lists what is there" grep -q applied "$E2E_DIR/watch"
expect "create under watch" k -n red create configmap later
wait_for 5 "the watch sees a new object" grep -q later "$E2E_DIR/watch"
kill $watcher

say "strictness and errors"
refuse "an unknown field" k create -f - <<<'{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},"spec":{"replica":1,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}'
says 'strict decoding error: unknown field "spec.replica"'
refuse "an ill-typed field" k create --validate=false -f - <<<'{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},"spec":{"replicas":"x","selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}'
says replicas
refuse "an unknown kind" k create -f - <<<'{"apiVersion":"v1","kind":"Widget","metadata":{"name":"w"}}'
says 'no matches for kind "Widget"'
refuse "an object that is not there" k -n red get configmap nothing
says 'configmaps "nothing" not found'
refuse "a namespace that is not there" k -n nowhere create configmap x
says 'namespaces "nowhere" not found'
refuse "a selector that does not match" k create -f - <<<'{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"c"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}'
says 'selector' 'does not match'
refuse "a pod without containers" k create --validate=false -f - <<<'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[]}}'
says spec.containers Required
k -n red get configmap c1 -o json >"$E2E_DIR/old.json"
expect "a change" k -n red patch configmap c1 --type=merge -p '{"data":{"a":"10"}}'
refuse "replace with an old version" k replace -f "$E2E_DIR/old.json"
says 'the object has been modified'

say "delete"
expect "delete" k -n red delete configmap c1
refuse "it is gone" k -n red get configmap c1
expect "delete the namespace" k delete namespace red --wait=false
wait_for 15 "the namespace goes" gone namespace red
same "and what was in it" "" "$(k get configmap -A -o name --field-selector metadata.namespace=red)"
expect "explain" k explain deployment.spec.replicas
says replicas integer
expect "api-resources" k api-resources
says configmaps deployments endpointslices leases
