# The proxy subresources of services, pods and nodes, through the API server.
host_up n1 10
choose_kubectl expose
busybox_image n1
server_up n1

expect "a web server" k create -f - <<<"$(busybox_pod web 'mkdir /www && echo hello >/www/index.html && echo deep >/www/page && exec httpd -f -p 8080 -h /www' '  hostname: web' | sed 's/name: web}/name: web, labels: {app: web}}/; s/^    image:/    ports: [{name: http, containerPort: 8080}]\n    image:/')"
expect "a service" k create -f - <<<'{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":{"selector":{"app":"web"},"ports":[{"name":"plain","port":80,"targetPort":"http"}]}}'
expect "one without endpoints" k create -f - <<<'{"apiVersion":"v1","kind":"Service","metadata":{"name":"empty"},"spec":{"selector":{"app":"none"},"ports":[{"port":80}]}}'
must 30 "it runs" is Running pod/web .status.phase
at=/api/v1/namespaces/default
raw() { k get --raw "$1"; }
serves() { out=$(raw "$1") && [ "$out" = "$2" ]; }
must 20 "the service's port by number" serves $at/services/web:80/proxy/ hello
must 20 "by name" serves $at/services/web:plain/proxy/page deep
must 20 "with its scheme" serves $at/services/http:web:plain/proxy/page deep
must 20 "the pod, its first port" serves $at/pods/web/proxy/page deep
must 20 "the pod, a port" serves $at/pods/web:8080/proxy/page deep
expect "the node's kubelet" raw /api/v1/nodes/n1/proxy/healthz
says ok
refuse "a page that is not there" raw $at/services/web:80/proxy/none
refuse "a port that the service has not" raw $at/services/web:81/proxy/
says 'no service port 81 found for service "web"'
refuse "a service without endpoints" raw $at/services/empty:80/proxy/
says 'no endpoints available for service "empty"'
refuse "a pod that is not there" raw $at/pods/none/proxy/
refuse "a port where nobody listens" raw $at/pods/web:9/proxy/
says 'error trying to reach service'
refuse "without permission" k get --raw $at/services/web:80/proxy/ --as ann
says 'cannot get resource "services/proxy"'
