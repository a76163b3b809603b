# Answers as a person with curl and two generations of clients see them: indented for people, packed for machines, one autoscaler in two
# versions, and headers that every answer has. (What is answered to which request in full: test/conformance/http.)
curl=$(command -v curl) || skip "no curl on this machine"
host_up n1 10
choose_kubectl
server_up n1 --disable-agent
must 30 "the default service account" k get serviceaccount default
k create clusterrolebinding all --clusterrole=cluster-admin --serviceaccount=default:default >/dev/null
token=$(k create token default) || skip "this kubectl has no create token"
url=https://127.0.0.1:6443
ask() { on n1 "$curl" -s -k --max-time 30 -H "Authorization: Bearer $token" "$@"; }
code() { ask -o /dev/null -w '%{http_code}' "$@"; }
lines() { wc -l | tr -d ' '; }

say "for people"
[ "$(ask $url/api/v1/namespaces/default | lines)" -gt 5 ] || fail "curl gets no lines"
same "another agent gets one" 0 "$(ask -A client $url/api/v1/namespaces/default | lines)"
[ "$(ask -A client "$url/api/v1/namespaces/default?pretty=true" | lines)" -gt 5 ] || fail "pretty=true gets no lines"
[ "$(ask $url/api/v1/namespaces/default/pods/none | lines)" -gt 5 ] || fail "an error comes in one line"
[ "$(ask $url/apis | lines)" -gt 5 ] || fail "discovery comes in one line"
same "no such thing" 404 "$(code $url/api/v1/namespaces/default/pods/none)"
same "who are you" 401 "$(on n1 "$curl" -s -k -o /dev/null -w '%{http_code}' -H 'Authorization: Bearer wrong' $url/api/v1/namespaces/default)"

say "large ones"
for i in 1 2 3 4 5 6; do k create configmap large$i --from-literal=a="$(head -c 60000 /dev/zero | tr '\0' a)" >/dev/null; done
same "packed" gzip "$(ask -A client -o /dev/null -D - -H 'Accept-Encoding: gzip' $url/api/v1/namespaces/default/configmaps | tr -d '\r' | sed -n 's/^[Cc]ontent-[Ee]ncoding: //p')"
same "packed and plain are one" "$(ask -A client $url/api/v1/namespaces/default/configmaps | cksum)" "$(ask -A client --compressed $url/api/v1/namespaces/default/configmaps | cksum)"
same "lines of a list" 6 "$(ask $url/api/v1/namespaces/default/configmaps | grep -c '^        "a": "aaa')"

say "an autoscaler in two versions"
expect "made as v1" k create -f - <<<'{"apiVersion":"autoscaling/v1","kind":"HorizontalPodAutoscaler","metadata":{"name":"web"},"spec":{"maxReplicas":3,"targetCPUUtilizationPercentage":60,"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"web"}}}'
expect "read as v2" k get horizontalpodautoscalers.v2.autoscaling web -o 'jsonpath={.spec.metrics[0].resource.target.averageUtilization}'
says 60
expect "printed" k get horizontalpodautoscalers.v1.autoscaling web
says 'Deployment/web' '/60%'
expect "patched as v2" k patch horizontalpodautoscalers.v2.autoscaling web --type=merge -p '{"spec":{"maxReplicas":5}}'
expect "read as v1" k get horizontalpodautoscalers.v1.autoscaling web -o 'jsonpath={.spec.maxReplicas}'
says 5
expect "deleted as v1" k delete horizontalpodautoscalers.v1.autoscaling web
refuse "is gone as v2" k get horizontalpodautoscalers.v2.autoscaling web

say "events in two groups"
expect "made" k create -f - <<<'{"apiVersion":"v1","kind":"Event","metadata":{"name":"said"},"involvedObject":{"kind":"Pod","name":"p","namespace":"default"},"message":"hello","reason":"Said","type":"Normal"}'
expect "read in the other group" k get events.v1.events.k8s.io said -o 'jsonpath={.note}'
says hello
expect "selected" k get events.v1.events.k8s.io --field-selector regarding.name=p -o name
says said
expect "listed" k get events.v1.events.k8s.io
says Said hello

say "what must name its version"
expect "a lease" k create -f - <<<'{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"l"},"spec":{"holderIdentity":"me"}}'
same "an update without one" 422 "$(code -X PUT -H 'Content-Type: application/json' -d '{"metadata":{"name":"l"},"spec":{"holderIdentity":"you"}}' $url/apis/coordination.k8s.io/v1/namespaces/default/leases/l)"
expect "replaced by name alone" k replace -f - <<<'{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"l"},"spec":{"holderIdentity":"they"}}'
same "a deletion that waits" 202 "$(k create -f - >/dev/null <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"held","finalizers":["example.com/f"]}}'; code -X DELETE -H 'Content-Type: application/json' -d '{"orphanDependents":false}' $url/api/v1/namespaces/default/configmaps/held)"
expect "and is let go" k patch configmap held --type=merge -p '{"metadata":{"finalizers":null}}'
refuse "is gone" k get configmap held
