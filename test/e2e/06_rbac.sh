# Who may do what: a pod's token nothing it was not granted, nobody without a name anything but health, a node its own things only.
host_up n1 10
choose_kubectl logs patch
busybox_image n1
server_up n1
curl=$(command -v curl) || skip "no curl on this machine"

url=https://192.0.2.10:6443
sed -n 's/.*certificate-authority-data: //p' "$KUBECONFIG" | base64 -d >"$E2E_DIR/ca.pem"
# api TOKEN METHOD PATH [BODY]: prints the status code.
api() {
  local token=$1
  "$curl" -A test -s --max-time 5 -o "$E2E_DIR/answer" -w '%{http_code}' --cacert "$E2E_DIR/ca.pem" ${token:+-H "Authorization: Bearer $token"} -X "$2" ${4:+-H 'Content-Type: application/json' -d "$4"} "$url$3"
}
answer() { out=$(cat "$E2E_DIR/answer"); }

say "nobody"
same "anonymous readyz" 200 "$(api '' GET /readyz)"
same "anonymous version" 200 "$(api '' GET /version)"
same "anonymous pods" 403 "$(api '' GET /api/v1/pods)"
answer
says 'system:anonymous' 'cannot list resource'
same "anonymous secrets" 403 "$(api '' GET /api/v1/namespaces/kube-system/secrets)"
same "anonymous create" 403 "$(api '' POST /api/v1/namespaces '{"metadata":{"name":"x"}}')"
same "a wrong token" 401 "$(api wrong GET /api/v1/pods)"
answer
says Unauthorized

say "certificates"
openssl=$(command -v openssl) || skip "no openssl on this machine"
"$openssl" req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj '/O=system:masters/CN=system:admin' -keyout "$E2E_DIR/own.key" -out "$E2E_DIR/own.crt" 2>/dev/null
forged() { "$curl" -s --max-time 5 -o "$E2E_DIR/answer" -w '%{http_code}' --cacert "$E2E_DIR/ca.pem" --cert "$E2E_DIR/own.crt" --key "$E2E_DIR/own.key" "$url$1"; }
case $(forged /api/v1/secrets) in 401 | 000) ;; *) fail "a certificate of another authority is believed: $(cat "$E2E_DIR/answer")" ;; esac
checks=$((checks + 1))
sed 's,certificate-authority-data: .*,certificate-authority-data: '"$(base64 -w0 "$E2E_DIR/own.crt")," "$KUBECONFIG" >"$E2E_DIR/wrong.yaml"
refuse "a server of another authority" on n1 "${kubectl_command[@]}" --kubeconfig "$E2E_DIR/wrong.yaml" get nodes
says certificate

say "a pod's token"
expect "a pod" k create -f - <<<"$(busybox_pod asks 'cat /var/run/secrets/kubernetes.io/serviceaccount/token; echo; sleep 1000')"
wait_for 10 "its token" logs_say asks ey
token=$(k logs asks)
expect "its certificate authority is ours" k get configmap kube-root-ca.crt
pod_uid=$(field pod/asks .metadata.uid)
same "pods" 403 "$(api "$token" GET /api/v1/namespaces/default/pods)"
answer
says 'system:serviceaccount:default:default' 'cannot list resource'
same "secrets" 403 "$(api "$token" GET /api/v1/secrets)"
same "nodes" 403 "$(api "$token" GET /api/v1/nodes/n1)"
same "create a binding" 403 "$(api "$token" POST /apis/rbac.authorization.k8s.io/v1/clusterrolebindings '{"metadata":{"name":"own"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"},"subjects":[]}')"
same "a token for itself" 403 "$(api "$token" POST /api/v1/namespaces/default/serviceaccounts/default/token '{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}')"
same "exec" 403 "$(api "$token" POST "/api/v1/namespaces/default/pods/asks/exec?command=id&stdout=1")"
same "logs" 403 "$(api "$token" GET /api/v1/namespaces/default/pods/asks/log)"
same "discovery" 200 "$(api "$token" GET /api/v1)"
same "a review of its own access" 201 "$(api "$token" POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews '{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"verb":"list","resource":"pods","namespace":"default"}}}')"
answer
says '"allowed":false'

say "granted"
expect "a role and its binding" k create -f - <<'END'
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: default}
rules:
- {apiGroups: [""], resources: [pods], verbs: [get, list, watch]}
- {apiGroups: [""], resources: [configmaps], resourceNames: [mine], verbs: [get, update]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: default, namespace: default}]
END
expect "configmaps" k create configmap mine
expect "configmaps" k create configmap other
list_pods() { [ "$(api "$token" GET /api/v1/namespaces/default/pods)" = 200 ]; }
wait_for 5 "the grant holds" list_pods
same "its named configmap" 200 "$(api "$token" GET /api/v1/namespaces/default/configmaps/mine)"
same "another configmap" 403 "$(api "$token" GET /api/v1/namespaces/default/configmaps/other)"
same "all configmaps" 403 "$(api "$token" GET /api/v1/namespaces/default/configmaps)"
same "pods of another namespace" 403 "$(api "$token" GET /api/v1/namespaces/kube-system/pods)"
same "pods of all" 403 "$(api "$token" GET /api/v1/pods)"
same "deleting a pod" 403 "$(api "$token" DELETE /api/v1/namespaces/default/pods/asks)"
same "a pod's log" 403 "$(api "$token" GET /api/v1/namespaces/default/pods/asks/log)"
same "more rights than its own" 403 "$(api "$token" POST /apis/rbac.authorization.k8s.io/v1/namespaces/default/roles '{"metadata":{"name":"more"},"rules":[{"apiGroups":[""],"resources":["secrets"],"verbs":["*"]}]}')"
expect "take it away" k delete rolebinding reader
no_list() { [ "$(api "$token" GET /api/v1/namespaces/default/pods)" = 403 ]; }
wait_for 5 "it is gone" no_list

say "a token of a deleted pod"
expect "delete the pod" k delete pod asks --grace-period=1
dead_token() { [ "$(api "$token" GET /api/v1)" = 401 ]; }
wait_for 5 "its token is dead" dead_token

say "a node"
# The node's own identity, by impersonation.
as_node() { k "$@" --as=system:node:n1 --as-group=system:nodes; }
expect "secret" k create secret generic unused --from-literal=a=b
expect "another node" k create -f - <<<'{"apiVersion":"v1","kind":"Node","metadata":{"name":"n2"}}'
expect "its node" as_node get node n1
refuse "a secret that no pod of its uses" as_node get secret unused
says orbidden
refuse "all secrets" as_node get secrets -A
refuse "a deployment" as_node create deployment x --image=y
refuse "deleting another node" as_node delete node n2
refuse "changing another node" as_node patch node n2 --type=merge -p '{"metadata":{"labels":{"a":"b"}}}'
refuse "a role" as_node create clusterrolebinding x --clusterrole=cluster-admin --user=me
expect "kubelet's own port refuses strangers" sh -c "code=\$($curl -sk --max-time 5 -o /dev/null -w '%{http_code}' https://192.0.2.10:10250/containerLogs/default/asks/main); [ \$code = 401 ] || [ \$code = 403 ] || { echo \$code; exit 1; }"
