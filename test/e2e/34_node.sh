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
expect "a server that begins anew" restart n1
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
