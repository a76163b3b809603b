# Images that cannot be used: missing, of another architecture, truncated, no archive at all. Each is named, and the node goes on.
host_up n1 10
choose_kubectl describe logs
busybox_image n1
images=$E2E_DIR/n1/data/agent/images
# archive FILE NAME ARCHITECTURE: an image archive of busybox's layer.
archive() {
  local dir=$E2E_DIR/busybox
  sed "s/\"architecture\":\"[^\"]*\"/\"architecture\":\"$3\"/" "$dir/config.json" >"$dir/config2.json"
  printf '[{"Config":"config2.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$2" >"$dir/manifest.json"
  tar -C "$dir" -cf "$1" manifest.json config2.json layer.tar
}
archive "$images/foreign.tar" foreign:e2e s390x
archive "$images/short.tar" short:e2e "$(image_architecture)"
truncate -s 300000 "$images/short.tar"
head -c 100000 /dev/urandom >"$images/noise.tar"
archive "$E2E_DIR/good.tar" zipped:e2e "$(image_architecture)"
gzip -c "$E2E_DIR/good.tar" >"$images/zipped.tar.gz"
# The layer is not the one the configuration names.
dir=$E2E_DIR/busybox
cp "$dir/layer.tar" "$dir/layer.keep" && printf 'x' | dd of="$dir/layer.tar" bs=1 seek=2000 conv=notrunc 2>/dev/null
archive "$images/altered.tar" altered:e2e "$(image_architecture)"
cp "$dir/layer.keep" "$dir/layer.tar"
server_up n1

log_says() { out=$(grep 'left out' "$E2E_DIR/n1/server.log"); says "$@"; }
log_says short.tar truncated noise.tar altered.tar 'layer sha256:' foreign.tar s390x

uses() {
  cat <<END2
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: "$2", imagePullPolicy: $3, command: [sh, -c, echo it runs]}]
END2
}
for name in foreign short altered zipped busybox; do expect "$name" k create -f - <<<"$(uses $name $name:e2e Never)"; done
expect "gone" k create -f - <<<"$(uses gone 127.0.0.1:1/gone:1 IfNotPresent)"
expect "badname" k create -f - <<<"$(uses badname 'Bad Name:1' IfNotPresent)"
waits() { is "$2" "pod/$1" '.status.containerStatuses[0].state.waiting.reason'; }
tells() { local text; out=$(k describe pod "$1") || return 1; for text in "${@:2}"; do case $out in *"$text"*) ;; *) echo "no $text: $out"; return 1 ;; esac; done; }
wait_for 10 "busybox runs" phase busybox Succeeded
wait_for 10 "zipped runs" phase zipped Succeeded
wait_for 10 "short" waits short ErrImageNeverPull
wait_for 5 "its event" tells short 'short:e2e' 'is not present with pull policy of Never'
wait_for 10 "altered" waits altered ErrImageNeverPull
wait_for 10 "badname" waits badname InvalidImageName
wait_for 5 "its event" tells badname 'Bad Name:1'
pulls_not() { waits gone ErrImagePull || waits gone ImagePullBackOff; }
wait_for 15 "gone" pulls_not
wait_for 5 "its event" tells gone '127.0.0.1:1/gone:1' 'refused'
wait_for 10 "foreign" waits foreign ErrImageNeverPull
expect "the node is as ready as ever" node_ready n1
