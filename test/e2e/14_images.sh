# Images: pulls from real registries (plain behind a mirror, TLS with a CA of its own and passwords), what a user sees when they fail,
# archives that are dropped in, crictl and ctr. Needs docker-registry and skopeo (Debian packages of these names).
for tool in docker-registry skopeo openssl; do command -v $tool >/dev/null || skip "no $tool on this machine"; done
describe_says() { local text; out=$(k describe pod "$1") || return 1; for text in "${@:2}"; do case $out in *"$text"*) ;; *) echo "no $text: $out"; return 1 ;; esac; done; }
waiting() { is "$2" "pod/$1" '.status.containerStatuses[0].state.waiting.reason'; }
crictl() { on n1 "$E2E_BINARY" crictl --data-dir "$E2E_DIR/n1/data" "$@"; }
ctr() { on n1 "$E2E_BINARY" ctr --data-dir "$E2E_DIR/n1/data" "$@"; }
listens() { (exec 3<>"/dev/tcp/192.0.2.1/$1") 2>/dev/null; }
registry() {  # PORT 'further lines of http:' 'further lines'
  cat >"$E2E_DIR/registry-$1.yml" <<END
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $E2E_DIR/blobs}, delete: {enabled: true}}
http:
  addr: 192.0.2.1:$1
${2:-}
${3:-}
END
  OTEL_TRACES_EXPORTER=none docker-registry serve "$E2E_DIR/registry-$1.yml" >"$E2E_DIR/registry-$1.log" 2>&1 &
  must 5 "the registry on port $1" listens "$1"
}
push() { expect "push $2" skopeo --insecure-policy copy -q --dest-tls-verify=false ${3:+--format $3} "$1" "docker://192.0.2.1:5000/$2"; }
image_pod() {  # NAME IMAGE [further lines of the spec]
  cat <<END
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec:
  terminationGracePeriodSeconds: 0
${3:-}
  containers: [{name: main, image: "$2", command: [sh, -c, "cat /version; exec sleep 1000"]${4:+, imagePullPolicy: $4}}]
END
}
# version_image NAME: like busybox:e2e, with a file of its own on top; prints the archive's path.
version_image() {
  local dir=$E2E_DIR/img-$1 base top
  mkdir -p "$dir"
  cp "$E2E_DIR/busybox/layer.tar" "$dir/base.tar"
  echo "version $1" >"$dir/version"
  [ "${2:-0}" = 0 ] || head -c "$2" /dev/urandom >"$dir/noise"
  tar -C "$dir" --owner=0 --group=0 --numeric-owner -cf "$dir/top.tar" version $([ -f "$dir/noise" ] && echo noise)
  base=$(sha256sum <"$dir/base.tar") top=$(sha256sum <"$dir/top.tar")
  printf '{"architecture":"%s","os":"linux","config":{"Env":["PATH=/bin"],"Cmd":["sh"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s","sha256:%s"]}}' \
    "$(image_architecture)" "${base%% *}" "${top%% *}" >"$dir/config.json"
  printf '[{"Config":"config.json","RepoTags":["version:%s"],"Layers":["base.tar","top.tar"]}]' "$1" >"$dir/manifest.json"
  tar -C "$dir" -cf "$dir.tar" manifest.json config.json base.tar top.tar
  echo "$dir.tar"
}

host_up n1 10
choose_kubectl run describe logs exec
busybox_image n1
rm "$E2E_DIR/n1/data/agent/images/busybox.tar"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$E2E_DIR/r.key" -out "$E2E_DIR/r.pem" -days 2 -subj /CN=registry -addext subjectAltName=IP:192.0.2.1 2>/dev/null
# user "me", password "secret"
perl -e 'print "me:" . crypt("secret", q($2y$05$abcdefghijklmnopqrstuu)) . "\n"' >"$E2E_DIR/htpasswd"
registry 5000
registry 5001 "  tls: {certificate: $E2E_DIR/r.pem, key: $E2E_DIR/r.key}" "auth: {htpasswd: {realm: test, path: $E2E_DIR/htpasswd}}"
cat >"$E2E_DIR/n1/registries.yaml" <<END
mirrors:
  registry.test: {endpoint: ["http://192.0.2.1:5000"], rewrite: {"^apps/(.*)": "team/\$1"}}
configs:
  "192.0.2.1:5001": {tls: {ca_file: $E2E_DIR/r.pem}}
END
push "docker-archive:$(version_image one)" team/app:1
push "docker-archive:$(version_image oci)" team/app:oci oci
push "docker-archive:$(version_image big 40000000)" team/app:big
server_up n1 --private-registry "$E2E_DIR/n1/registries.yaml"
flags=(--private-registry "$E2E_DIR/n1/registries.yaml")

say "create them all"
expect "plain" k create -f - <<<"$(image_pod plain registry.test/apps/app:1)"
expect "oci" k create -f - <<<"$(image_pod oci registry.test/apps/app:oci)"
expect "locked" k create -f - <<<"$(image_pod locked 192.0.2.1:5001/team/app:1)"
expect "absent" k create -f - <<<"$(image_pod absent registry.test/apps/app:none)"
expect "nohost" k create -f - <<<"$(image_pod nohost no.such.invalid/app:1)"
expect "never" k create -f - <<<"$(image_pod never registry.test/apps/other:1 '' Never)"
expect "misnamed" k create -f - <<<"$(image_pod misnamed 'Not/An Image')"
expect "secret" k create -f - <<END
apiVersion: v1
kind: Secret
metadata: {name: regcred}
type: kubernetes.io/dockerconfigjson
data: {.dockerconfigjson: $(printf '{"auths":{"192.0.2.1:5001":{"username":"me","password":"secret"}}}' | base64 -w0)}
END
expect "keyed" k create -f - <<<"$(image_pod keyed 192.0.2.1:5001/team/app:1 '  imagePullSecrets: [{name: regcred}]')"

say "pulls"
wait_for 10 "plain runs" phase plain Running
wait_for 5 "its events" describe_says plain 'Pulling image "registry.test/apps/app:1"' 'Successfully pulled image "registry.test/apps/app:1" in ' ' including waiting). Image size: ' ' bytes.'
expect "its log" k logs plain
says "version one"
expect "image id" field pod/plain '.status.containerStatuses[0].imageID'
says "registry.test/apps/app@sha256:"
expect "second" k create -f - <<<"$(image_pod second registry.test/apps/app:1)"
wait_for 10 "oci runs" phase oci Running
wait_for 10 "keyed runs" phase keyed Running
wait_for 10 "second runs" phase second Running
wait_for 5 "its event" describe_says second 'Container image "registry.test/apps/app:1" already present on machine'
expect "service account" k create -f - <<<'{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"puller"},"imagePullSecrets":[{"name":"regcred"}]}'
expect "by account" k create -f - <<<"$(image_pod account 192.0.2.1:5001/team/app:oci '  serviceAccountName: puller')"
wait_for 10 "a service account's secret does" phase account Running

say "what fails says why"
wait_for 5 "locked's event" describe_says locked 'Failed to pull image "192.0.2.1:5001/team/app:1": ' 'Error: ErrImagePull' 'no basic auth credentials'
wait_for 10 "locked backs off" waiting locked ImagePullBackOff
wait_for 5 "absent's event" describe_says absent 'registry.test/apps/app:none: not found'
wait_for 10 "absent backs off" waiting absent ImagePullBackOff
wait_for 5 "BackOff's event" describe_says absent 'Back-off pulling image "registry.test/apps/app:none"'
wait_for 10 "misnamed" waiting misnamed InvalidImageName
wait_for 5 "misnamed's event" describe_says misnamed 'Failed to apply default image tag "Not/An Image": couldn'\''t parse image name "Not/An Image": invalid reference format'
wait_for 5 "never" waiting never ErrImageNeverPull
wait_for 5 "never's event" describe_says never 'Container image "registry.test/apps/other:1" is not present with pull policy of Never'

say "an image once pulled with a secret is not for everybody"
expect "thief" k create -f - <<<"$(image_pod thief 192.0.2.1:5001/team/app:oci)"
wait_for 10 "the thief is refused" describe_says thief 'Error: ErrImagePull'

say "Always looks again"
push "docker-archive:$(version_image two)" team/app:1
expect "fresh" k create -f - <<<"$(image_pod fresh registry.test/apps/app:1 '' Always)"
wait_for 10 "fresh runs" phase fresh Running
wait_for 5 "the new version" logs_say fresh "version two"

say "killed in the middle of a pull"
expect "big" k create -f - <<<"$(image_pod big registry.test/apps/app:big)"
wait_for 5 "a layer on its way" sh -c 'ls "$1" | grep -q ^tmp-' - "$E2E_DIR/n1/data/agent/store/layers"
restart n1 "${flags[@]}"
wait_for 20 "big runs" phase big Running
same "nothing half is left" "" "$(find "$E2E_DIR/n1/data/agent/store/layers" -maxdepth 1 -name 'tmp-*')"

say "an archive dropped in"
refuse "not there yet" crictl inspecti version:drop
cp "$(version_image drop)" "$E2E_DIR/n1/data/agent/images/drop.tar"
wait_for 5 "it is imported" crictl inspecti version:drop
says '"pinned": true'

say "crictl"
expect "images" crictl images
says "IMAGE                " "registry.test/apps/app " "docker.io/library/version "
expect "ps" crictl ps
says "CONTAINER " "POD ID " "Running" "main"
expect "pods" crictl pods --name plain
says "Ready" "plain" "default"
pod=$(crictl pods --name plain -q)
id=$(crictl ps -q -p "$pod")
expect "one container of it" test ${#id} = 64
expect "logs" crictl logs "${id:0:13}"
says "version one"
expect "exec" crictl exec "${id:0:13}" sh -c 'echo inside; cat /version'
says "inside" "version one"
refuse "exec's exit code" crictl exec "$id" false
expect "inspect" crictl inspect "$id"
says '"state": "CONTAINER_RUNNING"' '"userSpecifiedImage": "registry.test/apps/app:1"'
refuse "stop" crictl stop "$id"
says 'the command "stop" is not in this build'
ln -s "$E2E_BINARY" "$E2E_DIR/crictl"
expect "by its name" on n1 "$E2E_DIR/crictl" version
says "RuntimeName:  k8lite"

say "ctr"
expect "export" ctr images export "$E2E_DIR/out.tar" registry.test/apps/app:oci
expect "another tool reads it" skopeo --insecure-policy inspect --config "docker-archive:$E2E_DIR/out.tar:registry.test/apps/app:oci"
same "with the same config" "$(sha256sum <"$E2E_DIR/img-oci/config.json")" "$(skopeo --insecure-policy inspect --config --raw "docker-archive:$E2E_DIR/out.tar:registry.test/apps/app:oci" | sha256sum)"
expect "tag" ctr images tag registry.test/apps/app:oci mine:1
expect "remove" ctr images rm mine:1
expect "pull" ctr images --private-registry "$E2E_DIR/n1/registries.yaml" pull -u me:secret 192.0.2.1:5001/team/app:big
expect "push" ctr images push --plain-http 192.0.2.1:5000/pushed/app:1 registry.test/apps/app:oci
says "pushed 192.0.2.1:5000/pushed/app:1 sha256:"
refuse "garbage" ctr images import "$E2E_BINARY"
says "no tar archive"
expect "remove an image in use" crictl rmi registry.test/apps/app:oci
expect "its container goes on" k exec oci -- cat /version
says "version oci"
expect "delete everything" k delete pod --all --grace-period=0
