# Custom resources from definition to deletion, with the bundled kubectl and a real one: two versions, columns, scale, status, explain,
# selectable fields, apply, RBAC by aggregation, garbage collection, restart.
host_up n1 10
choose_kubectl describe explain wait scale patch apply
server_up n1 --disable-agent

definition() {
  cat <<'YAML'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crontabs.stable.example.com}
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: crontabs, singular: crontab, kind: CronTab, shortNames: [ct], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas, labelSelectorPath: .status.labelSelector}
    selectableFields: [{jsonPath: .spec.color}]
    additionalPrinterColumns:
    - {name: Spec, type: string, jsonPath: .spec.cronSpec, description: When it runs}
    - {name: Replicas, type: integer, jsonPath: .spec.replicas}
    - {name: Image, type: string, jsonPath: .spec.image, priority: 1}
    - {name: Ready, type: string, jsonPath: '.status.conditions[?(@.type=="Ready")].status'}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    schema:
      openAPIV3Schema:
        type: object
        description: A CronTab runs something now and then.
        properties:
          spec:
            type: object
            required: [cronSpec]
            properties:
              cronSpec: {type: string, description: "When it runs, in cron's form.", pattern: '^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$'}
              image: {type: string}
              color: {type: string, enum: [red, green]}
              replicas: {type: integer, minimum: 1, maximum: 10, default: 1}
              env:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items: {type: object, required: [name], properties: {name: {type: string}, value: {type: string}}}
          status:
            type: object
            properties:
              replicas: {type: integer}
              labelSelector: {type: string}
              conditions: {type: array, items: {type: object, properties: {type: {type: string}, status: {type: string}}}}
  - name: v1beta1
    served: true
    storage: false
    deprecated: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
YAML
}
crontab() { printf 'apiVersion: stable.example.com/v1\nkind: CronTab\nmetadata: {name: %s}\nspec: {cronSpec: "%s", image: %s, color: %s}\n' "$@"; }
gone() { ! k get "$@" >/dev/null 2>&1; }

all_of_it() {
  say "a definition, with $1"
  use_kubectl "$1"
  expect "the definition" k apply -f - <<<"$(definition)"
  expect "is established" k wait --for condition=established --timeout=15s crd/crontabs.stable.example.com
  expect "the same apply works at once" k apply -f - <<<"$(crontab first '* * * * */5' my-image red)"
  says "crontab.stable.example.com/first created"
  expect "and again" k apply -f - <<<"$(crontab first '* * * * */5' my-image red)"
  says "crontab.stable.example.com/first unchanged"
  expect "another" k create -f - <<<"$(crontab second '1 * * * *' other green)"
  expect "api-resources" k api-resources --api-group=stable.example.com
  says crontabs ct stable.example.com/v1 CronTab

  say "reading"
  expect "columns" k get ct
  says "NAME     SPEC          REPLICAS   READY   AGE" "first    * * * * */5   1 "
  expect "wide columns" k get crontabs.stable.example.com first -o wide
  says "IMAGE" "my-image"
  expect "by a field" k get ct --field-selector spec.color=green -o name
  same "one object" crontab.stable.example.com/second "$out"
  refuse "by no field" k get ct --field-selector spec.image=x
  says "field label not supported: spec.image"
  expect "in the category" k get all -o name
  says crontab.stable.example.com/first
  expect "the other version" k get crontabs.v1beta1.stable.example.com first -o 'jsonpath={.apiVersion} {.spec.image}'
  says "stable.example.com/v1beta1 my-image"
  expect "described" k describe ct first
  says "Cron Spec:" "* * * * */5"
  expect "explained" k explain crontabs.spec.cronSpec
  says "When it runs, in cron's form." "cronSpec <string>"
  expect "explained as a whole" k explain ct
  says "A CronTab runs something now and then."

  say "writing"
  refuse "a wrong value" k apply -f - <<<"$(crontab third 'now and then' i red)"
  says 'spec.cronSpec: Invalid value: "now and then": spec.cronSpec in body should match'
  refuse "a value that is none of these" k apply -f - <<<"$(crontab third '* * * * *' i blue)"
  says 'spec.color: Unsupported value: "blue": supported values: "red", "green"'
  refuse "an unknown field" k apply -f - <<<"$(crontab third '* * * * *' i red)
extra: 1"
  says 'unknown field "extra"'
  expect "a merge patch" k patch ct first --type=merge -p '{"spec":{"image":"new"}}'
  same "took" new "$(field ct/first .spec.image)"
  refuse "no strategic merge patch" k patch ct first --type=strategic -p '{"spec":{"image":"newer"}}'
  expect "scale" k scale --replicas=3 ct/first
  same "the replicas" 3 "$(field ct/first .spec.replicas)"
  same "each change of spec counts" 3 "$(field ct/first .metadata.generation)"
  expect "status" k patch ct first --subresource=status --type=merge -p '{"status":{"replicas":3,"conditions":[{"type":"Ready","status":"True"}]}}'
  same "status counts not" 3 "$(field ct/first .metadata.generation)"
  expect "wait for it" k wait --for=condition=Ready --timeout=15s ct/first
  expect "server-side apply" k apply --server-side --field-manager=env -f - <<'YAML'
apiVersion: stable.example.com/v1
kind: CronTab
metadata: {name: first}
spec: {env: [{name: A, value: "1"}]}
YAML
  expect "by another manager" k apply --server-side --field-manager=more -f - <<'YAML'
apiVersion: stable.example.com/v1
kind: CronTab
metadata: {name: first}
spec: {env: [{name: B, value: "2"}]}
YAML
  same "both items" "A B" "$(field ct/first '.spec.env[*].name')"
  expect "edited from a file" k replace -f - <<<"$(k get ct first -o yaml | sed 's/image: new/image: newest/')"
  same "replaced" newest "$(field ct/first .spec.image)"

  say "who owns what"
  uid=$(field ct/first .metadata.uid)
  expect "a dependent" k apply -f - <<YAML
apiVersion: v1
kind: ConfigMap
metadata: {name: owned, ownerReferences: [{apiVersion: stable.example.com/v1, kind: CronTab, name: first, uid: $uid}]}
YAML
  expect "its owner goes" k delete ct first
  wait_for 15 "and it with it" gone configmap owned

  say "a namespace"
  expect "made" k create namespace "tabs-$2"
  expect "filled" k apply -n "tabs-$2" -f - <<<"$(crontab there '* * * * *' i red)"
  expect "ends" k delete namespace "tabs-$2" --timeout=30s

  say "the end"
  expect "the definition goes" k delete crd crontabs.stable.example.com --timeout=30s
  refuse "and its kind with it" k get ct
  expect "again" k apply -f - <<<"$(definition)"
  expect "is established" k wait --for condition=established --timeout=15s crd/crontabs.stable.example.com
  expect "nothing came back" k get ct -o name
  same "no objects" "" "$out"
  expect "gone for good" k delete crd crontabs.stable.example.com --timeout=30s
}
all_of_it bundled 1
real=$(real_kubectl) && all_of_it "$real" 2
use_kubectl bundled

say "names are given once"
expect "one" k apply -f - <<<"$(definition)"
expect "is established" k wait --for condition=established --timeout=15s crd/crontabs.stable.example.com
expect "another of the same kind" k apply -f - <<<"$(definition | sed 's/crontabs/tabs/; s/plural: crontabs, singular: crontab/plural: tabs, singular: tab/')"
wait_for 15 "does not get it" is False crd/tabs.stable.example.com '.status.conditions[?(@.type=="NamesAccepted")].status'
expect "and goes" k delete crd tabs.stable.example.com --timeout=30s
refuse "a webhook" k apply -f - <<<"$(definition | sed 's/  scope: Namespaced/  scope: Namespaced\n  conversion: {strategy: Webhook, webhook: {conversionReviewVersions: [v1]}}/')"
says 'conversion by webhooks is not in this build'
expect "rules in CEL" k apply -f - <<<"$(definition | sed 's/        description: A CronTab/        x-kubernetes-validations: [{rule: "has(self.spec)"}]\n&/')"
says 'are not enforced by this build'

say "roles by aggregation"
expect "a role for who may view" k create clusterrole crontab-view --verb=get,list,watch --resource=crontabs.stable.example.com
expect "gathered" k label clusterrole crontab-view rbac.authorization.k8s.io/aggregate-to-view=true
expect "bound" k create rolebinding ann --clusterrole=view --user=ann
wait_for 15 "she may list them" k auth can-i list crontabs.stable.example.com --as=ann
refuse "but not make any" k auth can-i create crontabs.stable.example.com --as=ann

say "after a restart"
expect "one" k apply -f - <<<"$(crontab kept '* * * * *' i red)"
kill9 n1
server_up n1 --disable-agent
expect "it is there" k get ct kept -o 'jsonpath={.spec.replicas}'
same "as it was" 1 "$out"
