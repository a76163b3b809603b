# Images between this node and a real registry: pushed and pulled with passwords over TLS, taken up again after a kill in the middle, with
# more layers than docker knows, named by a list in agent/images; and what ctr and crictl say of them. Needs docker-registry and skopeo.
for tool in docker-registry skopeo openssl; do command -v $tool >/dev/null || skip "no $tool on this machine"; done
crictl() { on n1 "$E2E_BINARY" crictl --data-dir "$E2E_DIR/n1/data" "$@"; }
ctr() { on n1 "$E2E_BINARY" ctr --data-dir "$E2E_DIR/n1/data" --private-registry "$E2E_DIR/n1/registries.yaml" "$@"; }
listens() { (exec 3<>"/dev/tcp/192.0.2.1/$1") 2>/dev/null; }
push() { expect "push $2" skopeo --insecure-policy copy -q --dest-tls-verify=false --dest-creds me:secret "$1" "docker://192.0.2.1:5002/$2"; }
# layered_image NAME LAYERS [BYTES]: busybox with so many layers in all, each with a file of its own; the last one with noise.
layered_image() {
  local dir=$E2E_DIR/img-$1 i ids= paths= sum
  mkdir -p "$dir"
  cp "$E2E_DIR/busybox/layer.tar" "$dir/1.tar"
  mkdir -p "$dir/files"
  for i in $(seq 2 "$2"); do
    echo "$i" >"$dir/files/$i"
    [ "$i" != "$2" ] || [ -z "${3:-}" ] || head -c "$3" /dev/urandom >"$dir/files/noise"
    tar -C "$dir" --owner=0 --group=0 --numeric-owner -cf "$dir/$i.tar" "files/$i" $([ "$i" = "$2" ] && [ -f "$dir/files/noise" ] && echo files/noise)
  done
  for i in $(seq 1 "$2"); do
    sum=$(sha256sum <"$dir/$i.tar")
    ids+=${ids:+,}\"sha256:${sum%% *}\" paths+=${paths:+,}\"$i.tar\"
  done
  printf '{"architecture":"%s","os":"linux","config":{"Env":["PATH=/bin"],"Cmd":["sh"]},"rootfs":{"type":"layers","diff_ids":[%s]}}' "$(image_architecture)" "$ids" >"$dir/config.json"
  printf '[{"Config":"config.json","RepoTags":["layered:%s"],"Layers":[%s]}]' "$1" "$paths" >"$dir/manifest.json"
  (cd "$dir" && tar -cf "$dir.tar" manifest.json config.json $(seq -f %g.tar 1 "$2"))
  echo "$dir.tar"
}
layered_pod() {
  cat <<END
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: "$2", command: [sh, -c, "ls /files | wc -l; exec sleep 1000"]}]
END
}

host_up n1 10
choose_kubectl run describe logs exec
busybox_image n1
rm "$E2E_DIR/n1/data/agent/images/busybox.tar"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$E2E_DIR/r.key" -out "$E2E_DIR/r.pem" -days 2 -subj /CN=registry -addext subjectAltName=IP:192.0.2.1 2>/dev/null
perl -e 'print "me:" . crypt("secret", q($2y$05$abcdefghijklmnopqrstuu)) . "\n"' >"$E2E_DIR/htpasswd"
cat >"$E2E_DIR/registry.yml" <<END
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $E2E_DIR/blobs}, delete: {enabled: true}}
http:
  addr: 192.0.2.1:5002
  tls: {certificate: $E2E_DIR/r.pem, key: $E2E_DIR/r.key}
auth: {htpasswd: {realm: test, path: $E2E_DIR/htpasswd}}
END
OTEL_TRACES_EXPORTER=none docker-registry serve "$E2E_DIR/registry.yml" >"$E2E_DIR/registry.log" 2>&1 &
must 5 "the registry" listens 5002
# Every registry's mirror and settings are this one's: the wildcard.
cat >"$E2E_DIR/n1/registries.yaml" <<END
mirrors:
  "*": {endpoint: ["https://192.0.2.1:5002"], rewrite: {"^library/(.*)": "team/\$1"}}
configs:
  "*": {auth: {username: me, password: secret}, tls: {ca_file: $E2E_DIR/r.pem}}
END
push "docker-archive:$(layered_image many 150)" team/many:150
push "docker-archive:$(layered_image big 2 60000000)" team/big:1
push "docker-archive:$(layered_image listed 3)" team/listed:1
server_up n1 --private-registry "$E2E_DIR/n1/registries.yaml" --kubelet-arg image-gc-high-threshold=99 --kubelet-arg image-gc-low-threshold=98

say "many layers"
expect "150" k create -f - <<<"$(layered_pod many docker.io/library/many:150)"
wait_for 30 "150 layers run" phase many Running
wait_for 5 "each file is there" logs_say many 149

say "a list of images"
echo "docker.io/library/listed:1" >"$E2E_DIR/n1/data/agent/images/needed.txt"
wait_for 10 "it is pulled" crictl inspecti docker.io/library/listed:1
wait_for 5 "it is pinned" sh -c '"$1" ctr --data-dir "$2" images ls | grep library/listed:1 | grep -q pinned=pinned' - "$E2E_BINARY" "$E2E_DIR/n1/data"

say "push and pull"
expect "tag" ctr images tag docker.io/library/listed:1 192.0.2.1:5002/other/name:2
says "192.0.2.1:5002/other/name:2"
expect "push" ctr images push -u me:secret 192.0.2.1:5002/other/name:2
says "pushed 192.0.2.1:5002/other/name:2 sha256:" "layer-sha256:" "done" "elapsed: "
expect "another client reads it" skopeo --insecure-policy inspect --tls-verify=false --creds me:secret docker://192.0.2.1:5002/other/name:2
says '"Architecture"'
same "with the same config" "$(sha256sum <"$E2E_DIR/img-listed/config.json")" "$(skopeo --insecure-policy inspect --config --raw --tls-verify=false --creds me:secret docker://192.0.2.1:5002/other/name:2 | sha256sum)"
refuse "a wrong password" ctr images push -u me:wrong 192.0.2.1:5002/other/name:3 192.0.2.1:5002/other/name:2
says "failed to push"
refuse "an image that is not here" ctr images push 192.0.2.1:5002/other/name:3 nothing:1
says 'image "nothing:1": not found'
expect "pull shows what it does" ctr images pull docker.io/library/many:150
says "resolved" "done: "

say "killed in the middle"
(ctr images pull docker.io/library/big:1 >"$E2E_DIR/pull.log" 2>&1) &
partial() { ls -A "$E2E_DIR/n1/data/agent/store/partial" 2>/dev/null | grep -q .; }
must 10 "a part of it is there" partial
for pid in $(pgrep -f "ctr --data-dir $E2E_DIR/n1/data"); do kill -9 "$pid" 2>/dev/null; done
wait %+ 2>/dev/null
expect "the rest comes" ctr images pull docker.io/library/big:1
expect "nothing is left of the download" test -z "$(ls -A "$E2E_DIR/n1/data/agent/store/partial")"
expect "nor of the unpacking" test -z "$(find "$E2E_DIR/n1/data/agent/store/layers" -maxdepth 1 -name 'tmp-*')"
expect "it is whole" ctr images check docker.io/library/big:1
says "complete (4/4)" "true"

say "what the tools say"
expect "ls" ctr images ls
says "REF " "TYPE " "DIGEST " "SIZE " "PLATFORMS " "LABELS" "docker.io/library/many:150 " " application/vnd.oci.image.manifest.v1+json sha256:"
expect "stats" crictl stats
says "CONTAINER " "NAME " "CPU % " "MEM " "DISK " "INODES " "main"
expect "stats as JSON" crictl stats -o json
says '"usageCoreNanoSeconds"' '"workingSetBytes"' '"writableLayer"'
expect "pods' stats" crictl statsp
says "POD " "POD ID " "CPU % " "MEM" "many"
expect "image file system" crictl imagefsinfo
says '"imageFilesystems"' '"mountpoint"'
expect "images" crictl images -o json
says '"repoTags"' '"repoDigests"' '"pinned"'
expect "ids" crictl images -q
says "sha256:"
expect "delete everything" k delete pod --all --grace-period=0
