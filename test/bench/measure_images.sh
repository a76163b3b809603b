# What images.sh runs on its host: each figure beside its aim, and whether it is met. Memory is the peak of all of k8lite's processes
# together (PSS), above what the idle server had before.
for tool in docker-registry skopeo; do command -v $tool >/dev/null || skip "no $tool on this machine"; done
runs=${BENCH_RUNS:-5} bad=0
median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
row() { printf '%-62s %14s   (%s) %s\n' "$@"; }
listens() { (exec 3<>"/dev/tcp/192.0.2.1/$1") 2>/dev/null; }
ctr() { on n1 "$E2E_BINARY" ctr --data-dir "$E2E_DIR/$1" "${@:2}"; }

host_up n1 10
choose_kubectl run
# Four layers of 50 MB each when unpacked: programs and libraries of this machine, which compress as an image's do.
mkdir -p "$E2E_DIR/img/root"
ids= paths=
for i in 1 2 3 4; do
  find /usr/lib /usr/bin -xdev -type f -size +4k 2>/dev/null | sort | awk -v i=$i 'NR % 4 == i - 1' | tr '\n' '\0' | tar --null -T - -cf - 2>/dev/null | head -c 52428800 >"$E2E_DIR/cut.tar"
  rm -rf "$E2E_DIR/img/root/$i" && mkdir -p "$E2E_DIR/img/root/$i"
  tar -C "$E2E_DIR/img/root/$i" -xf "$E2E_DIR/cut.tar" 2>/dev/null
  tar -C "$E2E_DIR/img/root" --sort=name --owner=0 --group=0 -cf "$E2E_DIR/img/$i.tar" "$i"
  sum=$(sha256sum <"$E2E_DIR/img/$i.tar")
  ids+=${ids:+,}\"sha256:${sum%% *}\" paths+=${paths:+,}\"$i.tar\"
done
rm -rf "$E2E_DIR/img/root" "$E2E_DIR/cut.tar"
printf '{"architecture":"%s","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[%s]}}' "$(image_architecture)" "$ids" >"$E2E_DIR/img/config.json"
printf '[{"Config":"config.json","RepoTags":["bench:1"],"Layers":[%s]}]' "$paths" >"$E2E_DIR/img/manifest.json"
(cd "$E2E_DIR/img" && tar -cf ../img.tar manifest.json config.json ?.tar)
bytes=$(stat -c %s "$E2E_DIR"/img/?.tar | awk '{s += $1} END {print s}')
rm -rf "$E2E_DIR/img"
printf 'version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: "192.0.2.1:5003"}\n' "$E2E_DIR/blobs" >"$E2E_DIR/registry.yml"
OTEL_TRACES_EXPORTER=none docker-registry serve "$E2E_DIR/registry.yml" >"$E2E_DIR/registry.log" 2>&1 &
must 5 "the registry" listens 5003
expect "push" skopeo --insecure-policy copy -q --dest-tls-verify=false "docker-archive:$E2E_DIR/img.tar" docker://192.0.2.1:5003/bench:1
expect "as a layout" skopeo --insecure-policy copy -q --src-tls-verify=false docker://192.0.2.1:5003/bench:1 "oci:$E2E_DIR/layout:1"
rm "$E2E_DIR/img.tar"

timed() { # FILE COMMAND...: appends the milliseconds
  local begin
  begin=$(now_ms)
  "${@:2}" >"$E2E_DIR/out" 2>&1 || { cat "$E2E_DIR/out"; die "${*:2}"; }
  echo $(($(now_ms) - begin)) >>"$E2E_DIR/ms-$1"
}
by_umoci() { umoci raw unpack --image "$E2E_DIR/layout:1" "$E2E_DIR/peer"; }
# One after the other, as umoci does it: digests are checked by skopeo's copy, then the layers are unpacked.
by_tar() {
  skopeo --insecure-policy copy -q "oci:$E2E_DIR/layout:1" "dir:$E2E_DIR/copied" || return 1
  local blob
  mkdir -p "$E2E_DIR/peer"
  for blob in $(grep -o '"layers".*' "$E2E_DIR/copied/manifest.json" | grep -o 'sha256:[0-9a-f]*'); do tar -C "$E2E_DIR/peer" -xzf "$E2E_DIR/copied/${blob#sha256:}" || return 1; done
}
peer=by_tar name="skopeo copy and GNU tar"
command -v umoci >/dev/null && peer=by_umoci name=umoci
say "pulling and unpacking, $runs runs each"
for _ in $(seq "$runs"); do
  rm -rf "$E2E_DIR/own" "$E2E_DIR/peer" "$E2E_DIR/copied"
  sync
  timed peer "$peer"
  sync
  timed own ctr own images pull --plain-http -q 192.0.2.1:5003/bench:1
done
own=$(median <"$E2E_DIR/ms-own") other=$(median <"$E2E_DIR/ms-peer")
[ "$own" -le "$other" ] && verdict=met || { verdict=MISSED; bad=1; }
row "pull, check and unpack $((bytes / 1000000)) MB of gzip layers, synced to disk" "$own ms" "<= $other ms, $name" "$verdict"

say "memory of a pull by a running server"
# The server and what it starts to unpack layers; not the pods' shims.
server_pss() { local p; for p in "${server_pid[n1]}" $(pgrep -f "^$E2E_BINARY server|^k8lite unpack-layer"); do echo "$p"; done | sort -u | while read -r p; do awk '/^Pss:/ {print $2}' "/proc/$p/smaps_rollup" 2>/dev/null; done | awk '{s += $1} END {printf "%d", s}'; }
peak=0
printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: bench}\nspec: {containers: [{name: main, image: "192.0.2.1:5003/bench:1", command: [none]}]}\n' >"$E2E_DIR/pod.yaml"
printf 'mirrors: {"192.0.2.1:5003": {endpoint: ["http://192.0.2.1:5003"]}}\n' >"$E2E_DIR/n1/registries.yaml"
server_up n1 --private-registry "$E2E_DIR/n1/registries.yaml"
sleep 5
idle=$(server_pss)
expect "a pod that pulls" k create -f "$E2E_DIR/pod.yaml"
pulled() { k get events -o 'jsonpath={.items[*].reason}' | grep -q Pulled; }
for i in $(seq 600); do
  now=$(server_pss)
  [ "$now" -gt "$peak" ] && peak=$now
  [ $((i % 20)) = 0 ] && pulled && break
  sleep 0.02
done
must 60 "the pull ends" pulled
over=$(((peak - idle) * 1024 / 100000))
[ "$over" -le 200 ] && verdict=met || { verdict=MISSED; bad=1; }
row "peak memory while pulling, over idle" "$((over / 10)).$((over % 10)) MB" "<= 20 MB" "$verdict"
[ $bad = 0 ] || fail "a budget is missed"
