# WordPress and MariaDB from a kustomization: passwords by a secretGenerator, data on PersistentVolumeClaims of the default class. A blog is
# set up through its web pages; it outlives the deletion of its pods, a kill -9 of the server and a new password; then everything goes.
. "$E2E_HERE/../workloads/lib.sh"
host_up n1 10
choose_kubectl apply kustomize rollout
program_images n1 mariadb wordpress
server_up n1

mkdir -p "$E2E_DIR/blog"
cat >"$E2E_DIR/blog/kustomization.yaml" <<'END'
secretGenerator:
- name: mysql-pass
  literals: [password=secret-of-the-blog]
resources: [mysql.yaml, wordpress.yaml]
END
program() { # NAME TIER IMAGE PORT MOUNT-PATH ENVIRONMENT SERVICE-SPEC
  cat <<END
apiVersion: v1
kind: Service
metadata: {name: $1, labels: {app: wordpress}}
spec: {ports: [{port: $4}], selector: {app: wordpress, tier: $2}, $7}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: $2-claim, labels: {app: wordpress}}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: $1, labels: {app: wordpress}}
spec:
  selector: {matchLabels: {app: wordpress, tier: $2}}
  strategy: {type: Recreate}
  template:
    metadata: {labels: {app: wordpress, tier: $2}}
    spec:
      terminationGracePeriodSeconds: 10
      containers:
      - name: $2
        image: $3
        env: [$6]
        ports: [{containerPort: $4, name: $2}]
        readinessProbe: {tcpSocket: {port: $4}, periodSeconds: 1}
        volumeMounts: [{name: data, mountPath: $5}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: $2-claim}}]
END
}
password='valueFrom: {secretKeyRef: {name: mysql-pass, key: password}}'
program wordpress-mysql mysql mariadb:e2e 3306 /var/lib/mysql "{name: MYSQL_ROOT_PASSWORD, $password}, {name: MYSQL_DATABASE, value: wordpress}, {name: MYSQL_USER, value: wordpress}, {name: MYSQL_PASSWORD, $password}" 'clusterIP: None' >"$E2E_DIR/blog/mysql.yaml"
program wordpress frontend wordpress:e2e 80 /var/www/html "{name: WORDPRESS_DB_HOST, value: wordpress-mysql}, {name: WORDPRESS_DB_USER, value: wordpress}, {name: WORDPRESS_DB_PASSWORD, $password}" 'type: LoadBalancer' >"$E2E_DIR/blog/wordpress.yaml"

say "apply -k"
expect "what it makes" k kustomize "$E2E_DIR/blog"
says 'name: mysql-pass-' 'kind: PersistentVolumeClaim'
expect "apply" k apply -k "$E2E_DIR/blog"
says 'secret/mysql-pass-' 'service/wordpress ' 'persistentvolumeclaim/mysql-claim ' 'deployment.apps/wordpress-mysql '
expect "the database" k rollout status deployment/wordpress-mysql --timeout=90s
expect "the blog" k rollout status deployment/wordpress --timeout=90s
same "claims" "Bound Bound" "$(k get pvc -l app=wordpress -o 'jsonpath={.items[*].status.phase}')"
expect "again changes nothing" k apply -k "$E2E_DIR/blog"
says 'deployment.apps/wordpress unchanged'
page=http://192.0.2.10:$(field service/wordpress '.spec.ports[0].nodePort')

say "the blog is set up"
curl=$(command -v curl) || skip "no curl on this machine"
web() { "$curl" -s --max-time 30 -L "$@"; }
asks() { local got; got=$(web "$page/") && case $got in *WordPress*install* | *Installation*) ;; *) echo "${got:0:400}"; return 1 ;; esac; }
wait_for 30 "it asks for its name" asks
install() { local got; got=$(web "$page/wp-admin/install.php?step=2" --data-urlencode weblog_title='A real blog' -d user_name=admin -d 'admin_password=pass-word-9' -d 'admin_password2=pass-word-9' -d pw_weak=on -d admin_email=admin@example.org -d blog_public=0 -d language=); case $got in *Success* | *success* | *'already installed'*) ;; *) echo "${got:0:600}"; return 1 ;; esac; }
wait_for 30 "it is installed" install
# Debian's package comes without a theme: the page to log in bears the name as well.
titled() { local got; got=$(web "$page/wp-login.php"); case $got in *'A real blog'*) ;; *) echo "${got:0:400}"; return 1 ;; esac; }
wait_for 20 "it has its name" titled
sql() { k exec deployment/wordpress-mysql -- mariadb -uwordpress -psecret-of-the-blog -hlocalhost wordpress -N -e "$1"; }
expect "a post" sql "INSERT INTO wp_posts (post_author,post_date,post_date_gmt,post_content,post_title,post_excerpt,post_status,post_name,to_ping,pinged,post_modified,post_modified_gmt,post_content_filtered) VALUES (1,NOW(),UTC_TIMESTAMP(),'acknowledged','kept words','','publish','kept','','',NOW(),UTC_TIMESTAMP(),'')"
posted() { [ "$(sql "SELECT post_content FROM wp_posts WHERE post_name='kept'")" = acknowledged ] || { echo "no post"; return 1; }; }
expect "it is there" posted

say "the pods are deleted, the data stays"
expect "both" k delete pods -l app=wordpress
echo "deleted [${SECONDS}s]"
for part in wordpress-mysql wordpress; do expect "$part is back" k rollout status "deployment/$part" --timeout=90s; done
wait_for 20 "the post" posted
wait_for 20 "the blog" titled
expect "in the database killed without a word" k delete pods -l tier=mysql --grace-period=0 --force
kill9 n1
server_start n1
must 20 "/readyz answers" ready
must 20 "node n1 is Ready" node_ready n1
expect "the database is back" k rollout status deployment/wordpress-mysql --timeout=90s
wait_for 40 "the post" posted
wait_for 20 "the blog" titled

say "another secret rolls the programs"
before=$(k get secrets -o name | grep mysql-pass)
printf 'configMapGenerator: [{name: notes, literals: [a=b]}]\n' >>"$E2E_DIR/blog/kustomization.yaml"
sed -i 's/password=.*]/password=secret-of-the-blog, note=new]/' "$E2E_DIR/blog/kustomization.yaml"
expect "apply" k apply -k "$E2E_DIR/blog"
says 'deployment.apps/wordpress configured' 'configmap/notes-'
for part in wordpress-mysql wordpress; do expect "$part is rolled" k rollout status "deployment/$part" --timeout=90s; done
same "two secrets" 2 "$(k get secrets -o name | grep -c mysql-pass)"
wait_for 20 "the post" posted

say "delete -k"
expect "delete" k delete -k "$E2E_DIR/blog"
expect "and the old secret" k delete "$before"
wait_for 30 "pods go" no_pods app=wordpress
volumes_gone() { local got; got=$(k get pv -o name); [ -z "$got" ] || { echo "$got"; return 1; }; }
wait_for 20 "volumes go" volumes_gone
wait_for 10 "their folders go" sh -c '[ -z "$(ls -A "$1" 2>/dev/null)" ]' - "$E2E_DIR/n1/data/storage"
wait_for 20 "nothing is left on the node" nothing_left n1
