# A web server people run first: nginx as a Deployment, exposed, found by name, by variables, by ClusterIP, NodePort and slices; rolled to
# settings that come from a ConfigMap and TLS from a Secret; a rollout to an image that is not there fails in words and is undone.
. "$E2E_HERE/../workloads/lib.sh"
host_up n1 10
choose_kubectl expose rollout set scale describe
program_images n1 nginx
busybox_image n1
server_up n1

say "run"
expect "deployment" k apply -f - <<'END'
apiVersion: apps/v1
kind: Deployment
metadata: {name: my-nginx}
spec:
  replicas: 2
  progressDeadlineSeconds: 8
  selector: {matchLabels: {run: my-nginx}}
  template:
    metadata: {labels: {run: my-nginx}}
    spec:
      containers:
      - name: my-nginx
        image: nginx:e2e
        ports: [{containerPort: 80}]
        readinessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 1}
END
must 30 "two are ready" is 2 deployment/my-nginx .status.readyReplicas
expect "their addresses" k get pods -l run=my-nginx -o wide
says n1 10.42.0.
for pod in $(k get pods -l run=my-nginx -o 'jsonpath={.items[*].status.podIP}'); do
  expect "pod $pod answers its node" get n1 "http://$pod/"
  says 'Welcome to nginx'
done

say "expose"
expect "service" k expose deployment/my-nginx --port=80
wait_for 15 "two endpoints" has_endpoints my-nginx 2
ip=$(field service/my-nginx .spec.clusterIP)
expect "describe" k describe service my-nginx
says 'run=my-nginx' "$ip" ':80'
expect "slices" k get endpointslices -l kubernetes.io/service-name=my-nginx
says my-nginx- IPv4 80
wait_for 10 "the ClusterIP answers" gets 'Welcome to nginx' n1 "http://$ip/"
expect "a client" k create -f - <<<"$(busybox_pod client 'trap "exit 0" TERM; env | grep MY_NGINX; while :; do sleep 0.2; done')"
must 20 "it runs" phase client Running
wait_for 10 "variables" logs_say client "MY_NGINX_SERVICE_HOST=$ip"
out=$(k logs client)
says MY_NGINX_SERVICE_PORT=80
expect "its name" k exec client -- nslookup my-nginx.default.svc.cluster.local
says "$ip"
expect "by its short name" k exec client -- wget -qO- http://my-nginx
says 'Welcome to nginx'
refuse "a service that is not there" k exec client -- nslookup their-nginx.default.svc.cluster.local
expect "logs of a pod that answered" k logs -l run=my-nginx --tail=-1
says 'GET / HTTP/1.1'

say "TLS and settings of its own"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$E2E_DIR/tls.key" -out "$E2E_DIR/tls.crt" -days 2 -subj /CN=my-nginx -addext subjectAltName=DNS:my-nginx 2>/dev/null || die "openssl makes no certificate"
expect "secret" k create secret tls nginxsecret --key "$E2E_DIR/tls.key" --cert "$E2E_DIR/tls.crt"
printf 'server {\n  listen 80;\n  listen 443 ssl;\n  ssl_certificate /etc/nginx/ssl/tls.crt;\n  ssl_certificate_key /etc/nginx/ssl/tls.key;\n  location / { root /usr/share/nginx/html; }\n}\n' >"$E2E_DIR/default.conf"
expect "settings" k create configmap nginxconfig --from-file="$E2E_DIR/default.conf"
expect "the service on two ports of the node" k apply -f - <<'END'
apiVersion: v1
kind: Service
metadata: {name: my-nginx, labels: {run: my-nginx}}
spec:
  type: NodePort
  selector: {run: my-nginx}
  ports:
  - {name: http, port: 80, targetPort: 80}
  - {name: https, port: 443, targetPort: 443}
END
expect "a new template" k patch deployment my-nginx -p '{"spec":{"template":{"spec":{"volumes":[{"name":"ssl","secret":{"secretName":"nginxsecret"}},{"name":"conf","configMap":{"name":"nginxconfig"}}],"containers":[{"name":"my-nginx","ports":[{"containerPort":443}],"volumeMounts":[{"name":"ssl","mountPath":"/etc/nginx/ssl"},{"name":"conf","mountPath":"/etc/nginx/conf.d"}]}]}}}}'
expect "it rolls" k rollout status deployment/my-nginx --timeout=60s
wait_for 15 "two endpoints" has_endpoints my-nginx 2
https=$(field service/my-nginx '.spec.ports[?(@.name=="https")].nodePort')
curl=$(command -v curl) || skip "no curl on this machine"
tls() { "$curl" -s --max-time 10 --cacert "$E2E_DIR/tls.crt" --resolve "my-nginx:$https:192.0.2.10" "https://my-nginx:$https/" | grep -q Welcome; }
wait_for 10 "TLS through the node's port, from another machine" tls
http=$(field service/my-nginx '.spec.ports[?(@.name=="http")].nodePort')
expect "and plain" timeout 10 busybox wget -qO- "http://192.0.2.10:$http/"
says 'Welcome to nginx'

say "no request fails during a restart of all pods"
# A container that has just started may not listen yet, and who ends is asked until every rule is changed.
expect "graceful ends" k patch deployment my-nginx -p '{"spec":{"template":{"spec":{"containers":[{"name":"my-nginx","readinessProbe":{"httpGet":{"port":80},"periodSeconds":1},"lifecycle":{"preStop":{"sleep":{"seconds":5}}}}]}}}}'
expect "it rolls" k rollout status deployment/my-nginx --timeout=60s
expect "restart" k rollout restart deployment/my-nginx
(while [ ! -e "$E2E_DIR/enough" ]; do get n1 "http://$ip/" >/dev/null 2>&1 && echo ok || echo lost; done >"$E2E_DIR/requests") &
asker=$!
expect "it rolls" k rollout status deployment/my-nginx --timeout=60s
touch "$E2E_DIR/enough"
wait $asker
same "lost of $(grep -c . "$E2E_DIR/requests") requests" 0 "$(grep -c lost "$E2E_DIR/requests")"

say "a rollout that fails, and its undoing"
revision=$(field deployment/my-nginx '.metadata.annotations.deployment\.kubernetes\.io/revision')
expect "an image that is not there" k set image deployment/my-nginx my-nginx=nginx:1.999
expect "pulled only if it is not there" k patch deployment my-nginx -p '{"spec":{"template":{"spec":{"containers":[{"name":"my-nginx","imagePullPolicy":"Never"}]}}}}'
refuse "its status" k rollout status deployment/my-nginx --timeout=40s
says 'exceeded its progress deadline'
same "its condition" "False ProgressDeadlineExceeded" "$(field deployment/my-nginx '.status.conditions[?(@.type=="Progressing")].status} {.status.conditions[?(@.type=="Progressing")].reason')"
waiting() { case $(k get pods -l run=my-nginx -o 'jsonpath={.items[*].status.containerStatuses[*].state.waiting.reason}') in *ErrImageNeverPull*) ;; *) return 1 ;; esac; }
wait_for 10 "the new pod says why" waiting
wait_for 10 "who answered still answers" gets Welcome n1 "http://$ip/"
same "two serve" 2 "$(field deployment/my-nginx .status.availableReplicas)"
expect "undo" k rollout undo deployment/my-nginx --to-revision="$revision"
expect "it is well again" k rollout status deployment/my-nginx --timeout=60s
same "its image" nginx:e2e "$(field deployment/my-nginx '.spec.template.spec.containers[0].image')"
expect "its history" k rollout history deployment/my-nginx
says REVISION

say "delete"
expect "all" k delete deployment,service my-nginx
expect "the client" k delete pod client --now
wait_for 20 "pods go" no_pods run=my-nginx
wait_for 10 "slices go" has_endpoints my-nginx 0
wait_for 20 "nothing is left on the node" nothing_left n1
