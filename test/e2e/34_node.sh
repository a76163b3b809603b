# The node agent: another image in a running pod, image volumes, block volumes, growing claims, admission on the node.
host_up n1 10
choose_kubectl exec describe
busybox_image n1
server_up n1
image() { field "pod/$1" '.status.containerStatuses[0].image'; }
restarts_of() { field "pod/$1" ".status.containerStatuses[?(@.name==\"$2\")].restartCount"; }
event_of() { local got; got=$(k describe pod "$1"); case $got in *"$2"*) ;; *) echo "$got" | tail -n 12; return 1 ;; esac; }
on n1 "$E2E_BINARY" ctr --data-dir "$E2E_DIR/n1/data" images tag busybox:e2e busybox:two >/dev/null || fail "a second name for the image"

say "another image"
expect "a pod of two" k create -f - <<END
apiVersion: v1
kind: Pod
metadata: {name: swap}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: "busybox:e2e", command: [sleep, "1000"]}
  - {name: other, image: "busybox:e2e", command: [sleep, "1000"]}
END
wait_for 30 "it runs" phase swap Running
restart n1
wait_for 30 "and has adopted it" k exec swap -c other -- true
same "does not restart what it finds" 0/0 "$(restarts_of swap main)/$(restarts_of swap other)"
expect "another image" k patch pod swap --type strategic -p '{"spec": {"containers": [{"name": "main", "image": "busybox:two"}]}}'
wait_for 30 "its container ends for it" event_of swap 'Container main definition changed, will be restarted'
swapped() { [ "$(restarts_of swap main)" = 1 ] && is true pod/swap '.status.containerStatuses[?(@.name=="main")].ready'; }
wait_for 30 "and runs again, whatever the restart policy" swapped
out=$(field pod/swap '.status.containerStatuses[?(@.name=="main")].image') && says busybox:two
same "alone" 0 "$(restarts_of swap other)"
expect "one that is nowhere" k patch pod swap --type strategic -p '{"spec": {"containers": [{"name": "main", "image": "127.0.0.1:1/nosuch:1"}]}}'
pulls_not() { case $(field pod/swap '.status.containerStatuses[?(@.name=="main")].state.waiting.reason') in ErrImagePull | ImagePullBackOff) ;; *) return 1 ;; esac; }
wait_for 30 "it waits" pulls_not
expect "the right one" k patch pod swap --type strategic -p '{"spec": {"containers": [{"name": "main", "image": "busybox:e2e"}]}}'
wait_for 30 "it runs at once" is true pod/swap '.status.containerStatuses[?(@.name=="main")].ready'
expect "gone" k delete pod swap --wait --timeout=60s

say "volumes that are images"
# A second image, of files only.
data=$E2E_DIR/data-image
mkdir -p "$data/root/sub" && echo hello >"$data/root/file" && echo deep >"$data/root/sub/inner"
tar -C "$data/root" --owner=0 --group=0 --numeric-owner -cf "$data/layer.tar" .
layer=$(sha256sum "$data/layer.tar")
printf '{"architecture":"%s","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$(image_architecture)" "${layer%% *}" >"$data/config.json"
printf '[{"Config":"config.json","RepoTags":["files:e2e"],"Layers":["layer.tar"]}]' >"$data/manifest.json"
tar -C "$data" -cf "$E2E_DIR/n1/data/agent/images/files.tar" manifest.json config.json layer.tar
files_are_there() { on n1 "$E2E_BINARY" ctr --data-dir "$E2E_DIR/n1/data" images ls -q | grep -q files:e2e; }
wait_for 30 "the image of files is imported" files_are_there
expect "a pod with it" k create -f - <<END
apiVersion: v1
kind: Pod
metadata: {name: imagevol}
spec:
  terminationGracePeriodSeconds: 1
  volumes:
  - {name: files, image: {reference: "files:e2e", pullPolicy: Never}}
  - {name: none, image: {reference: "127.0.0.1:1/none:1"}}
  containers:
  - {name: main, image: "busybox:e2e", command: [sleep, "1000"], volumeMounts: [{name: files, mountPath: /files}, {name: files, mountPath: /deep, subPath: sub}]}
  - {name: waits, image: "busybox:e2e", command: [sleep, "1000"], volumeMounts: [{name: none, mountPath: /none}]}
END
wait_for 30 "its container runs" is true pod/imagevol '.status.containerStatuses[?(@.name=="main")].ready'
same "of the image" $'hello\ndeep' "$(k exec imagevol -c main -- cat /files/file /deep/inner)"
refuse "which nobody writes to" k exec imagevol -c main -- touch /files/new
waits_for_image() { case $(field pod/imagevol '.status.containerStatuses[?(@.name=="waits")].state.waiting.reason') in ErrImagePull | ImagePullBackOff) ;; *) return 1 ;; esac; }
wait_for 30 "an image that is not to be had keeps its container waiting" waits_for_image
expect "it goes" k delete pod imagevol --timeout=60s
none_mounted() { ! on n1 grep -q "$E2E_DIR/n1/data/agent/pods" /proc/mounts; }
wait_for 20 "nothing stays mounted" none_mounted

say "devices, claims that grow, kinds that are not there"
loop=$(losetup -f) && dd if=/dev/zero of="$E2E_DIR/disk" bs=1M count=8 status=none && losetup "$loop" "$E2E_DIR/disk" || loop=
# Let go of when this scenario has ended, however it ends.
[ -z "$loop" ] || { exec 9<"$loop" && losetup -d "$loop"; }
expect "volumes and claims" k create -f - <<END
apiVersion: v1
kind: PersistentVolume
metadata: {name: disk}
spec:
  capacity: {storage: 8Mi}
  accessModes: [ReadWriteOnce]
  volumeMode: Block
  storageClassName: ""
  local: {path: ${loop:-/dev/null}}
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: Exists}]}]}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: disk}
spec: {accessModes: [ReadWriteOnce], volumeMode: Block, storageClassName: "", volumeName: disk, resources: {requests: {storage: 8Mi}}}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: grows}
provisioner: k8lite.io/local-path
volumeBindingMode: WaitForFirstConsumer
allowVolumeExpansion: true
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: grows}
spec: {accessModes: [ReadWriteOnce], storageClassName: grows, resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: claims}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{name: d, persistentVolumeClaim: {claimName: disk}}, {name: g, persistentVolumeClaim: {claimName: grows}}]
  containers:
  - {name: main, image: "busybox:e2e", command: [sleep, "1000"], volumeDevices: [{name: d, devicePath: /dev/xvda}], volumeMounts: [{name: g, mountPath: /g}]}
---
apiVersion: v1
kind: Pod
metadata: {name: kinds}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{name: v, csi: {driver: none.example}}]
  containers: [{name: main, image: "busybox:e2e"}]
---
apiVersion: v1
kind: Pod
metadata: {name: files}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{name: v, nfs: {server: 192.0.2.1, path: /srv}}]
  containers: [{name: main, image: "busybox:e2e"}]
END
if [ -n "$loop" ]; then
  wait_for 40 "a pod with a device runs" phase claims Running
  expect "and writes to it" k exec claims -- sh -c 'test -b /dev/xvda && echo block >/dev/xvda'
  on n1 sync
  same "what lies there" block "$(head -c 5 "$E2E_DIR/disk")"
fi
wait_for 30 "a claim is bound" is Bound pvc/grows .status.phase
expect "it asks for more" k patch pvc grows --type merge -p '{"spec": {"resources": {"requests": {"storage": "2Gi"}}}}'
wait_for 20 "and has it" is 2Gi pvc/grows .status.capacity.storage
same "its volume too" 2Gi "$(field "pv/$(field pvc/grows .spec.volumeName)" .spec.capacity.storage)"
wait_for 20 "a driver that is not there is named" event_of kinds 'no volume plugin matched: volumes of kind csi (driver none.example)'
grep -q nfs4 /proc/filesystems || wait_for 20 "a kernel without NFS is told of" event_of files 'no NFS client'
expect "all go" k delete pod --all --timeout=90s
expect "claims too" k delete pvc --all --timeout=60s

say "how volumes are mounted"
on n1 mkdir -p /mnt/shared /mnt/below
on n1 mount -t tmpfs tmpfs /mnt/shared && on n1 mount --make-shared /mnt/shared
on n1 mkdir -p /mnt/below/in && on n1 mount -t tmpfs tmpfs /mnt/below/in
expect "a pod" k create -f - <<END
apiVersion: v1
kind: Pod
metadata: {name: mounts}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{name: s, hostPath: {path: /mnt/shared}}, {name: b, hostPath: {path: /mnt/below}}]
  containers:
  - name: main
    image: "busybox:e2e"
    command: [sleep, "1000"]
    securityContext: {privileged: true}
    volumeMounts:
    - {name: s, mountPath: /s, mountPropagation: Bidirectional}
    - {name: b, mountPath: /ro, readOnly: true, recursiveReadOnly: Enabled}
    - {name: b, mountPath: /flat, readOnly: true}
END
wait_for 30 "it runs" phase mounts Running
expect "what it mounts" k exec mounts -- sh -c 'mkdir -p /s/inner && mount -t tmpfs tmpfs /s/inner && touch /s/inner/made'
wait_for 10 "shows outside" on n1 test -e /mnt/shared/inner/made
refuse "read-only means what is below too" k exec mounts -- touch /ro/in/new
expect "where that was asked for" k exec mounts -- touch /flat/in/new
same "the status says so" Enabled "$(field pod/mounts '.status.containerStatuses[0].volumeMounts[?(@.mountPath=="/ro")].recursiveReadOnly')"
k exec mounts -- umount /s/inner
expect "it goes" k delete pod mounts --timeout=60s
on n1 umount /mnt/below/in /mnt/shared

say "admission on the node"
bound() {
  k create -f - <<END
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec:
  nodeName: n1
  terminationGracePeriodSeconds: 1
  $2
  containers: [{name: main, image: "busybox:e2e", command: [sleep, "1000"], resources: {requests: {$3}}}]
END
}
reason_of() { is "$2" "pod/$1" .status.reason; }
expect "too much" bound cpu "" "cpu: 1000"
wait_for 20 "is refused" reason_of cpu OutOfcpu
same "for good" Failed "$(field pod/cpu .status.phase)"
out=$(field pod/cpu .status.message) && says "Pod was rejected: Node didn't have enough resource: cpu, requested: 1000000, used: "
expect "memory" bound memory "" "memory: 10Ti"
wait_for 20 "is refused" reason_of memory OutOfmemory
expect "labels" bound labels "nodeSelector: {no: where}" ""
wait_for 20 "are asked for" reason_of labels NodeAffinity
expect "gone" k delete pod --all --timeout=60s
