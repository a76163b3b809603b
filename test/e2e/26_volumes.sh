# Persistent volumes: the local-path class, static volumes, a StatefulSet's claims, ephemeral volumes, fsGroup, reclaim.
host_up n1 10
choose_kubectl
busybox_image n1
server_up n1
storage=$E2E_DIR/n1/data/storage
no_folder() { out=$(ls "$storage" 2>/dev/null | grep -- "$1"); [ -z "$out" ]; }

say "the default class provisions a folder when the first pod comes"
same "the class" "k8lite.io/local-path WaitForFirstConsumer" "$(field storageclass/local-path .provisioner) $(field storageclass/local-path .volumeBindingMode)"
expect "claim" k apply -f - <<'END'
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 64Mi}}}
END
same "it has the default class" local-path "$(field pvc/data .spec.storageClassName)"
wait_for 5 "it waits" is Pending pvc/data .status.phase
claiming() { busybox_pod "$1" "$2" "  volumes: [{name: v, persistentVolumeClaim: {claimName: $3}}]"; echo '    volumeMounts: [{name: v, mountPath: /data}]'; }
expect "writer" k apply -f - <<<"$(claiming writer 'echo kept >/data/file; sleep 1000' data)"
wait_for 10 "it runs" phase writer Running
same "bound" Bound "$(field pvc/data .status.phase)"
volume=$(field pvc/data .spec.volumeName)
wait_for 5 "the volume too" is Bound "pv/$volume" .status.phase
wait_for 5 "the file lies in the node's storage" grep -q kept "$storage/${volume}_default_data/file"
expect "table" k get pvc,pv
says Bound RWO local-path default/data Delete
expect "the next pod finds it" k delete pod writer
expect "reader" k apply -f - <<<"$(claiming reader 'cat /data/file; sleep 1000' data)"
wait_for 10 "its content" logs_say reader kept
expect "delete" k delete pod reader
expect "delete" k delete pvc data
wait_for 10 "the volume goes with its claim" gone pv "$volume"
wait_for 5 "and its folder" no_folder "$volume"

say "a claim without what it wants says why"
expect "pod" k apply -f - <<<"$(claiming orphan 'sleep 1000' nosuch)"
orphan_says() { out=$(k get pod orphan -o 'jsonpath={.status.conditions[*].message}'); case $out in *"$1"*) ;; *) return 1 ;; esac; }
wait_for 5 "missing" orphan_says 'persistentvolumeclaim "nosuch" not found'
expect "many writers" k apply -f - <<'END'
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: nosuch}
spec: {accessModes: [ReadWriteMany], resources: {requests: {storage: 1Mi}}}
END
claim_event() { out=$(k get events --field-selector involvedObject.name="$1" -o 'jsonpath={range .items[*]}{.reason}: {.message}{"\n"}{end}'); case $out in *"$2"*) ;; *) return 1 ;; esac; }
wait_for 10 "the reason" claim_event nosuch 'ProvisioningFailed'
expect "delete" k delete pod orphan
expect "delete" k delete pvc nosuch

say "a static volume is bound, retained and freed by hand"
mkdir -p "$E2E_DIR/static"
expect "volume and claim" k apply -f - <<END
apiVersion: v1
kind: PersistentVolume
metadata: {name: static}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: manual
  local: {path: $E2E_DIR/static}
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [n1]}]}]}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: static}
spec: {storageClassName: manual, accessModes: [ReadWriteOnce], resources: {requests: {storage: 100Mi}}}
END
wait_for 5 "bound" is Bound pvc/static .status.phase
same "its size" 1Gi "$(field pvc/static .status.capacity.storage)"
expect "grouped" k apply -f - <<<"$(claiming grouped 'id; touch /data/mine; ls -ln /data; sleep 1000' static | sed 's/^spec:/&\n  securityContext: {runAsUser: 1000, fsGroup: 4711}/')"
wait_for 10 "it writes as its group" logs_say grouped '4711'
wait_for 5 "the file" test "$(stat -c %g "$E2E_DIR/static/mine")" = 4711
expect "delete" k delete pod grouped
expect "delete" k delete pvc static
wait_for 5 "released" is Released pv/static .status.phase
expect "the data is there" test -e "$E2E_DIR/static/mine"
expect "delete" k delete pv static

say "a StatefulSet's claims outlive its pods; ephemeral ones don't"
expect "create" k apply -f - <<'END'
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 2
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      volumes:
      - {name: scratch, ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}}}
      containers:
      - {name: main, image: "busybox:e2e", command: [sh, -c, "hostname >>/data/names; touch /scratch/x; sleep 1000"], volumeMounts: [{name: data, mountPath: /data}, {name: scratch, mountPath: /scratch}]}
  volumeClaimTemplates:
  - {metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}
END
wait_for 20 "both run" is 2 statefulset/db .status.readyReplicas
first=$(field pvc/data-db-0 .spec.volumeName)
expect "delete a pod" k delete pod db-0
wait_for 10 "it is back" is 2 statefulset/db .status.readyReplicas
wait_for 10 "on its volume" sh -c "[ \"\$(grep -c db-0 $storage/${first}_default_data-db-0/names)\" = 2 ]"
expect "delete the set" k delete statefulset db
wait_for 10 "pods go" gone pod db-1
wait_for 20 "the ephemeral claims go with them" gone pvc db-0-scratch
same "the claims stay" Bound "$(field pvc/data-db-0 .status.phase)"
expect "delete" k delete pvc --all
wait_for 15 "no folder is left" no_folder pvc-

say "restart"
expect "claim" k apply -f - <<<"$(printf 'apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: again}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}\n')"
expect "pod" k apply -f - <<<"$(claiming again 'sleep 1000' again)"
wait_for 10 "runs" phase again Running
