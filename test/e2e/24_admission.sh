# Admission as users meet it: limits, quotas under parallel writers, pod security with its warnings, storage in use, and certificates from
# a key to a kubeconfig that works.
host_up n1 10
choose_kubectl certificate patch
server_up n1 --disable-agent
openssl=$(command -v openssl) || skip "no openssl on this machine"
must 30 "the default service account is there" k get serviceaccount default

pod() { # NAME RESOURCES [further lines of the pod's spec]
  printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec:\n%s  containers:\n  - {name: c, image: "i:1", resources: %s}\n' "$1" "${3:-}" "$2"
}

say "limits"
expect "namespace" k create namespace limits
must 20 "its service account" k -n limits get serviceaccount default
expect "a limit range" k -n limits create -f - <<'END'
apiVersion: v1
kind: LimitRange
metadata: {name: l}
spec:
  limits:
  - {type: Container, default: {cpu: 500m}, defaultRequest: {cpu: 100m}, max: {memory: 1Gi}}
END
expect "a pod without resources" k -n limits create -f - <<<"$(pod plain '{}')"
same "its request" 100m "$(k -n limits get pod plain -o 'jsonpath={.spec.containers[0].resources.requests.cpu}')"
same "the annotation" "LimitRanger plugin set: cpu, memory request for container c; cpu, memory limit for container c" "$(k -n limits get pod plain -o 'jsonpath={.metadata.annotations.kubernetes\.io/limit-ranger}')"
refuse "too much" k -n limits create -f - <<<"$(pod big '{limits: {memory: 2Gi}}')"
says 'pods "big" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi'

say "quota"
expect "namespace" k create namespace quota
must 20 "its service account" k -n quota get serviceaccount default
expect "a quota" k -n quota create -f - <<'END'
apiVersion: v1
kind: ResourceQuota
metadata: {name: q}
spec:
  hard: {pods: "2", requests.cpu: "1", count/configmaps: "21", services.nodeports: "0"}
END
used() { k -n quota get resourcequota q -o "jsonpath={.status.used.$1}"; }
used_is() { [ "$(used "$1")" = "$2" ] || { used "$1"; return 1; }; }
wait_for 20 "the quota is counted" used_is pods 0
refuse "a pod that says nothing" k -n quota create -f - <<<"$(pod silent '{}')"
says 'failed quota: q: must specify requests.cpu for: c'
expect "a pod" k -n quota create -f - <<<"$(pod one '{requests: {cpu: 600m}}')"
refuse "another" k -n quota create -f - <<<"$(pod two '{requests: {cpu: 600m}}')"
says 'pods "two" is forbidden: exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1'
expect "the pod goes" k -n quota delete pod one --grace-period=0 --force
wait_for 20 "what it used is free" used_is 'requests\.cpu' 0
refuse "a node port" k -n quota create service nodeport s --tcp=80
says 'exceeded quota: q, requested: services.nodeports=1, used: services.nodeports=0, limited: services.nodeports=0'
# 20 more than kube-root-ca.crt, by 40 writers at once.
wait_for 20 "kube-root-ca.crt is counted" used_is 'count/configmaps' 1
pids=()
for i in $(seq 40); do
  k -n quota create configmap "m$i" >/dev/null 2>&1 &
  pids+=($!)
done
made=0
for pid in "${pids[@]}"; do wait "$pid" && made=$((made + 1)); done
same "writers that got through" 20 "$made"
same "config maps" 21 "$(k -n quota get configmaps --no-headers | wc -l | tr -d ' ')"
same "used" 21 "$(used 'count/configmaps')"
expect "all go" k -n quota delete configmap --all
wait_for 30 "they are free again" used_is 'count/configmaps' 1

say "pod security"
expect "namespace" k create namespace strict
must 20 "its service account" k -n strict get serviceaccount default
expect "a pod of before" k -n strict create -f - <<<"$(pod old '{}' $'  hostNetwork: true\n')"
expect "restrict it" k label namespace strict pod-security.kubernetes.io/enforce=restricted
says 'existing pods in namespace "strict" violate the new PodSecurity enforce level "restricted:latest"' 'old: host namespaces, allowPrivilegeEscalation != false'
refuse "a careless pod" k -n strict create -f - <<<"$(pod careless '{}')"
says 'pods "careless" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"])'
expect "a careless deployment, with a warning" k -n strict create deployment d --image=i:1
says 'would violate PodSecurity "restricted:latest"' 'deployment.apps/d created'
expect "a dry run warns too" k -n strict create deployment e --image=i:1 --dry-run=server
says 'would violate PodSecurity "restricted:latest"'
expect "a careful pod" k -n strict create -f - <<'END'
apiVersion: v1
kind: Pod
metadata: {name: careful}
spec:
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
  - {name: c, image: "i:1", securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}
END
refuse "no such level" k label namespace strict --overwrite pod-security.kubernetes.io/enforce=harsh
says 'must be one of privileged, baseline, restricted'

say "storage in use"
expect "a claim" k create -f - <<'END'
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: v}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
END
same "its finalizer" kubernetes.io/pvc-protection "$(field pvc/v '.metadata.finalizers[0]')"
expect "it goes, unused" k delete pvc v --timeout=30s

say "certificates"
dir=$E2E_DIR/csr
mkdir -p "$dir"
request() { # NAME SUBJECT SIGNER
  "$openssl" req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "$2" -keyout "$dir/$1.key" -out "$dir/$1.csr" 2>/dev/null
  printf 'apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\nmetadata: {name: %s}\nspec:\n  signerName: %s\n  expirationSeconds: 3600\n  usages: [client auth]\n  request: %s\n' "$1" "$3" "$(base64 -w0 "$dir/$1.csr")"
}
expect "a request" k create -f - <<<"$(request ann /O=dev/CN=ann kubernetes.io/kube-apiserver-client)"
expect "it waits" k get csr ann
says Pending kubernetes.io/kube-apiserver-client
expect "approve" k certificate approve ann
says 'certificatesigningrequest.certificates.k8s.io/ann approved'
signed() { [ -n "$(field csr/ann .status.certificate)" ]; }
must 20 "it is signed" signed
field csr/ann .status.certificate | base64 -d >"$dir/ann.crt"
sed -n 's/.*certificate-authority-data: //p' "$KUBECONFIG" | base64 -d >"$dir/ca.crt"
server=$(sed -n 's/.*server: //p' "$KUBECONFIG")
cat >"$dir/ann.yaml" <<END
apiVersion: v1
kind: Config
current-context: ann
clusters: [{name: c, cluster: {server: "$server", certificate-authority: $dir/ca.crt}}]
users: [{name: ann, user: {client-certificate: $dir/ann.crt, client-key: $dir/ann.key}}]
contexts: [{name: ann, context: {cluster: c, user: ann}}]
END
as_ann() { on n1 env KUBECONFIG="$dir/ann.yaml" "${kubectl_command[@]}" "$@"; }
expect "who am I" as_ann auth whoami
says ann dev system:authenticated
refuse "nothing is granted yet" as_ann get pods
says 'User "ann" cannot list resource "pods"'
expect "grant the group" k create rolebinding dev --clusterrole=view --group=dev
wait_for 10 "ann may look" as_ann get pods
expect "another request" k create -f - <<<"$(request eve /CN=eve kubernetes.io/kube-apiserver-client)"
expect "deny" k certificate deny eve
says 'certificatesigningrequest.certificates.k8s.io/eve denied'
refuse "once denied, always denied" k certificate approve eve
says 'already Denied'
same "nothing is signed" "" "$(field csr/eve .status.certificate)"
refuse "masters" k create -f - <<<"$(request root /O=system:masters/CN=root kubernetes.io/kube-apiserver-client)"
says 'use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed'
# A node that comes with a bootstrap token gets its certificate at once.
node_request() { request node /O=system:nodes/CN=system:node:n7 kubernetes.io/kube-apiserver-client-kubelet | sed 's/usages: .*/usages: [client auth, digital signature]/'; }
expect "a node asks" k create --as=system:bootstrap:abc --as-group=system:bootstrappers -f - <<<"$(node_request)"
node_signed() { [ -n "$(field csr/node .status.certificate)" ]; }
wait_for 20 "and has it" node_signed
