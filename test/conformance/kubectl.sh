# Real kubectls of several releases: what people type, and how each prints it. Every kubectl found is tried against one server.
. "$(dirname "$E2E_HERE")/conformance/lib.bash"
kubectls=$(every_client_kubectl)
[ -n "$kubectls" ] || skip "no kubectl but our own: scripts/clients.sh"
host_up n1 10
choose_kubectl
server_up n1 --disable-agent

manifest() {
  cat <<YAML
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: ${1:-0}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "${2:-web:1}", ports: [{containerPort: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: "1"}
YAML
}
number=0
for path in $kubectls; do
  number=$((number + 1))
  use_kubectl "$path"
  say "$path"
  ns=try$number
  kn() { k -n "$ns" "$@"; }
  expect "version" k version
  says 'v1.36'
  expect "a namespace" k create namespace $ns
  expect "apply, validated" kn apply -f - <<<"$(manifest)"
  says 'deployment.apps/web created' 'service/web created' 'configmap/settings created'
  expect "apply again" kn apply -f - <<<"$(manifest)"
  says 'deployment.apps/web unchanged' 'service/web unchanged' 'configmap/settings unchanged'
  expect "diff has nothing to say" kn diff -f - <<<"$(manifest)"
  refuse "diff finds a change" kn diff -f - <<<"$(manifest 0 web:2)"
  says 'image: web:2'
  expect "apply a change" kn apply -f - <<<"$(manifest 0 web:2)"
  says 'deployment.apps/web configured'
  expect "server-side apply" kn apply --server-side --force-conflicts -f - <<<"$(manifest 0 web:3)"
  refuse "an unknown field" kn apply -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"dtaa":{}}'
  says 'strict decoding error: unknown field "dtaa"'
  expect "is warned of" kn apply --validate=warn -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"dtaa":{}}'
  says 'Warning: unknown field "dtaa"'
  expect "get" kn get all
  says 'deployment.apps/web' 'service/web'
  expect "wide" kn get deployments -o wide
  says 'SELECTOR' 'app=web'
  expect "in pages" kn get configmaps --chunk-size=1
  says settings kube-root-ca.crt
  expect "sorted" kn get configmaps --sort-by=.metadata.name
  expect "yaml" kn get deployment web -o yaml
  says 'image: web:3'
  expect "describe" kn describe deployment web
  says 'app=web'
  expect "explain" k explain deployment.spec.strategy
  says 'rollingUpdate'
  expect "explain, all of it" k explain pods --recursive
  expect "api-resources" k api-resources
  says 'poddisruptionbudgets'
  expect "api-versions" k api-versions
  says 'apps/v1'
  expect "scale" kn scale deployment web --replicas=1
  expect "set image" kn set image deployment/web web=web:4
  expect "label" kn label deployment web tier=front
  expect "annotate" kn annotate deployment web note=x
  expect "patch, strategic" kn patch deployment web -p '{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"E","value":"1"}]}]}}}}'
  same "merged by name" web:4 "$(kn get deployment web -o 'jsonpath={.spec.template.spec.containers[0].image}')"
  expect "patch, json" kn patch deployment web --type=json -p '[{"op":"remove","path":"/spec/template/spec/containers/0/env"}]'
  refuse "patch, json, what is not there" kn patch deployment web --type=json -p '[{"op":"remove","path":"/spec/nope"}]'
  expect "patch a subresource" kn patch deployment web --subresource=status --type=merge -p '{"status":{"observedGeneration":1}}'
  expect "rollout restart" kn rollout restart deployment web
  expect "rollout history" kn rollout history deployment web
  expect "expose" kn expose deployment web --name=more --port=81
  expect "create secret" kn create secret generic s --from-literal=k=v
  expect "create token" kn create token default
  expect "auth can-i" kn auth can-i create pods
  says yes
  # Older ones ask for beta versions of the review, which 1.36 has no more.
  case $path in *.1.27) ;; *) expect "auth whoami" k auth whoami ;; esac
  expect "replace" kn replace -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"settings"},"data":{"a":"2"}}'
  expect "dry run" kn create configmap dry --dry-run=server --from-literal=a=b -o yaml
  refuse "which made nothing" kn get configmap dry
  expect "run" kn run box --image=box --restart=Never
  expect "wait for what is" kn wait --for=jsonpath='{.status.phase}'=Pending pod/box --timeout=20s
  expect "set a taint and see events" kn get events
  expect "delete a pod at once" kn delete pod box --now --wait=false
  expect "delete with a selector" kn delete configmap,secret --all
  expect "wait for deletion" kn delete deployment web --cascade=foreground --timeout=30s
  expect "delete the namespace" k delete namespace $ns --timeout=60s
done
