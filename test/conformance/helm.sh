# Helm 4: a chart with hooks installed, upgraded, rolled back, inspected and uninstalled.
. "$(dirname "$E2E_HERE")/conformance/lib.bash"
helm=$(client helm) || skip "no helm: scripts/clients.sh"
host_up n1 10
choose_kubectl
server_up n1 --disable-agent
helm() { on n1 env HOME="$HOME" KUBECONFIG="$KUBECONFIG" "$helm" "$@"; }

# A definition of no further use says whether they are served.
serves_custom_resources() {
  k create -f - >/dev/null <<<'{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"probes.example.org"},"spec":{"group":"example.org","scope":"Cluster","names":{"plural":"probes","singular":"probe","kind":"Probe"},"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}}}]}}'
  wait_for 3 "a custom resource is served" k get --raw /apis/example.org/v1/probes >/dev/null && return
  failures=$((failures - 1)) # it is no failure
  say "without custom resources: this server has none"
  return 1
}

chart=$E2E_DIR/chart
mkdir -p "$chart/templates"
cat >"$chart/Chart.yaml" <<'YAML'
apiVersion: v2
name: web
version: 1.0.0
YAML
cat >"$chart/values.yaml" <<'YAML'
replicas: 0
colour: blue
extra: true
YAML
cat >"$chart/templates/all.yaml" <<'YAML'
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-settings}
data: {colour: {{ .Values.colour }}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}, labels: {app: web}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "web:1", env: [{name: COLOUR, value: {{ .Values.colour }}}]}
---
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}}
spec: {selector: {app: web}, ports: [{port: 80}]}
{{- if .Values.extra }}
---
apiVersion: v1
kind: Secret
metadata: {name: {{ .Release.Name }}-extra}
stringData: {k: v}
{{- end }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: {{ .Release.Name }}}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
YAML
cat >"$chart/templates/hooks.yaml" <<'YAML'
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-before
  annotations: {helm.sh/hook: "pre-install,pre-upgrade", helm.sh/hook-delete-policy: before-hook-creation}
data: {revision: "{{ .Release.Revision }}"}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-after
  annotations: {helm.sh/hook: post-delete, helm.sh/hook-delete-policy: "before-hook-creation"}
YAML
# Not before the server serves custom resources.
if serves_custom_resources; then
  mkdir -p "$chart/crds"
  cat >"$chart/crds/crd.yaml" <<'YAML'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: colours.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: colours, singular: colour, kind: Colour}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {name: {type: string}}}}}}
YAML
  cat >"$chart/templates/colour.yaml" <<'YAML'
apiVersion: example.com/v1
kind: Colour
metadata: {name: {{ .Release.Name }}}
spec: {name: {{ .Values.colour }}}
YAML
fi

say "install"
expect "install" helm install one "$chart" --wait --timeout 60s
says 'STATUS: deployed'
same "a value" blue "$(field configmap/one-settings .data.colour)"
same "the hook" 1 "$(field configmap/one-before .data.revision)"
if [ -d "$chart/crds" ]; then same "a custom resource" blue "$(k get colours.example.com one -o 'jsonpath={.spec.name}')"; fi
expect "list" helm list
says 'web-1.0.0' 'deployed'
expect "status" helm status one
refuse "install again" helm install one "$chart"
expect "a dry run asks the server" helm install two "$chart" --dry-run=server
expect "a template needs none" helm template two "$chart"

say "upgrade and roll back"
expect "upgrade" helm upgrade one "$chart" --set colour=red,extra=false --wait --timeout 60s
same "the value" red "$(field configmap/one-settings .data.colour)"
same "in the list of variables" red "$(field deployment/one '.spec.template.spec.containers[0].env[0].value')"
refuse "what the chart has no more is gone" k get secret one-extra
same "the hook ran again" 2 "$(field configmap/one-before .data.revision)"
expect "roll back" helm rollback one 1 --wait --timeout 60s
same "the value" blue "$(field configmap/one-settings .data.colour)"
expect "what had gone is back" k get secret one-extra
expect "the history" helm history one
says 'Rollback to 1' superseded
expect "upgrade or install" helm upgrade --install one "$chart" --reuse-values --set replicas=0
expect "its manifest" helm get manifest one
expect "another namespace, made" helm install three "$chart" --namespace charts --create-namespace --skip-crds
expect "listed in all" helm list --all-namespaces
says one three

say "uninstall"
expect "uninstall" helm uninstall one --wait --timeout 60s
refuse "nothing is left" k get deployment one
expect "but its last hook" k get configmap one-after
expect "the other one" helm uninstall three --namespace charts
expect "no release is left" helm list --all-namespaces
