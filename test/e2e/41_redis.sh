# redis in two shapes people know: set up by a ConfigMap whose changes reach the volume, and as leader and followers of a guestbook in
# PHP, whose pages are scaled from two to five and back while it is used.
. "$E2E_HERE/../workloads/lib.sh"
host_up n1 10
choose_kubectl exec scale rollout
program_images n1 redis php
server_up n1

say "settings from a ConfigMap"
expect "config and pod" k apply -f - <<'END'
apiVersion: v1
kind: ConfigMap
metadata: {name: example-redis-config}
data:
  redis-config: ""
---
apiVersion: v1
kind: Pod
metadata: {name: redis}
spec:
  containers:
  - name: redis
    image: redis:e2e
    command: [redis-server, /redis-master/redis.conf]
    env: [{name: MASTER, value: "true"}]
    ports: [{containerPort: 6379}]
    resources: {limits: {cpu: 500m}}
    volumeMounts:
    - {mountPath: /redis-master-data, name: data}
    - {mountPath: /redis-master, name: config}
  volumes:
  - {name: data, emptyDir: {}}
  - name: config
    configMap: {name: example-redis-config, items: [{key: redis-config, path: redis.conf}]}
END
must 30 "it runs" phase redis Running
redis() { k exec redis -- redis-cli "$@"; }
pings() { [ "$(redis ping)" = PONG ]; }
wait_for 15 "it answers" pings
same "no limit" 0 "$(redis config get maxmemory | tail -n1)"
expect "new settings" k apply -f - <<'END'
apiVersion: v1
kind: ConfigMap
metadata: {name: example-redis-config}
data:
  redis-config: |
    maxmemory 2mb
    maxmemory-policy allkeys-lru
END
# The volume follows within a minute by itself; a change of the pod makes the node look at once.
expect "a touch" k annotate pod redis touched=now
reached() { k exec redis -- cat /redis-master/redis.conf | grep -q 'maxmemory 2mb'; }
wait_for 70 "they reach the volume" reached
same "a running server read its settings before" 0 "$(redis config get maxmemory | tail -n1)"
expect "the pod is made anew" k delete pod redis
expect "again" k apply -f - <<'END'
apiVersion: v1
kind: Pod
metadata: {name: redis}
spec:
  containers:
  - name: redis
    image: redis:e2e
    args: [/redis-master/redis.conf]
    volumeMounts: [{mountPath: /redis-master, name: config}]
  volumes: [{name: config, configMap: {name: example-redis-config, items: [{key: redis-config, path: redis.conf}]}}]
END
must 30 "it runs" phase redis Running
wait_for 15 "it answers" pings
same "the limit" 2097152 "$(redis config get maxmemory | tail -n1)"
same "the policy" allkeys-lru "$(redis config get maxmemory-policy | tail -n1)"
same "its user" redis "$(k exec redis -- sh -c 'stat -c %U /proc/1')"
expect "enough of it" k delete pod redis

say "a guestbook"
program() { # NAME REPLICAS IMAGE COMMAND PORT
  cat <<END
apiVersion: apps/v1
kind: Deployment
metadata: {name: $1, labels: {app: guestbook, tier: $1}}
spec:
  replicas: $2
  selector: {matchLabels: {app: guestbook, tier: $1}}
  template:
    metadata: {labels: {app: guestbook, tier: $1}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: main
        image: $3
        command: $4
        env: [{name: GET_HOSTS_FROM, value: dns}]
        resources: {requests: {cpu: 10m, memory: 20Mi}}
        ports: [{containerPort: $5}]
        readinessProbe: {tcpSocket: {port: $5}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: $1, labels: {app: guestbook, tier: $1}}
spec: {type: $6, ports: [{port: $5}], selector: {app: guestbook, tier: $1}}
END
}
{
  program redis-leader 1 redis:e2e '[redis-entry, redis-server]' 6379 ClusterIP
  echo ---
  program redis-follower 2 redis:e2e '[redis-entry, redis-server, --replicaof, redis-leader, "6379"]' 6379 ClusterIP
  echo ---
  program frontend 2 php:e2e '[apache2, -DFOREGROUND]' 80 NodePort
} >"$E2E_DIR/guestbook.yaml"
expect "all of it" k apply -f "$E2E_DIR/guestbook.yaml"
for part in redis-leader redis-follower frontend; do expect "$part" k rollout status "deployment/$part" --timeout=60s; done
page=http://192.0.2.10:$(field service/frontend '.spec.ports[0].nodePort')
wait_for 15 "the page" gets 'Served by frontend-' n1 "$page/"
follows() { [ "$(k exec deployment/redis-leader -- redis-cli info replication | tr -d '\r' | sed -n 's/^connected_slaves://p')" = 2 ]; }
wait_for 20 "the followers follow" follows
wait_for 15 "a message is kept" gets kept n1 "$page/guestbook.php?cmd=set&value=hello"
wait_for 15 "and read from a follower" gets '"hello"' n1 "$page/guestbook.php?cmd=get"
hosts() { local n; n=$(for i in $(seq 30); do echo "$(get n1 "$page/guestbook.php?cmd=get")" | sed -n 's/.*"host":"\([^"]*\)".*/\1/p'; done | sort -u | wc -l); [ "$n" = "$1" ] || { echo "$n hosts answer"; return 1; }; }
expect "two to five" k scale deployment frontend --replicas=5
wait_for 30 "five" is 5 deployment/frontend .status.readyReplicas
wait_for 15 "five endpoints" has_endpoints frontend 5
wait_for 15 "all five answer" hosts 5
expect "five to two" k scale deployment frontend --replicas=2
pods() { local n; n=$(k get pods -l tier=frontend -o name | wc -l); [ "$n" = "$1" ] || { echo "$n pods"; return 1; }; }
wait_for 30 "two pods" pods 2
wait_for 15 "two answer" hosts 2
expect "a follower is killed" k delete pod "$(k get pods -l tier=redis-follower -o 'jsonpath={.items[0].metadata.name}')" --now
wait_for 20 "another follows" follows
wait_for 15 "messages are still read" gets '"hello"' n1 "$page/guestbook.php?cmd=get"
k exec deployment/redis-leader -- redis-cli shutdown nosave >/dev/null 2>&1
started_again() { [ "$(k get pods -l tier=redis-leader -o 'jsonpath={.items[0].status.containerStatuses[0].restartCount}{.items[0].status.containerStatuses[0].ready}')" = 1true ]; }
wait_for 20 "a leader that ended starts again" started_again
wait_for 30 "writes work again" gets kept n1 "$page/guestbook.php?cmd=set&value=again"

say "delete by label"
expect "deployments and services" k delete deployment,service -l app=guestbook
wait_for 30 "their pods go" no_pods app=guestbook
wait_for 20 "nothing is left on the node" nothing_left n1
