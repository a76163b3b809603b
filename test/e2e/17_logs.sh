# kubectl logs: the last lines, since, timestamps, limits, the run before, all containers, and -f until the end across rotated files.
host_up n1 10
choose_kubectl logs
busybox_image n1
server_up n1

expect "lines" k create -f - <<<"$(busybox_pod lines 'echo old; sleep 3; for i in 1 2 3; do echo line $i; echo err $i >&2; done; sleep 1000')"
expect "much" k create -f - <<<"$(busybox_pod much 'while [ ! -e /tmp/go ]; do sleep 0.05; done; i=0; while [ $i -lt 240000 ]; do i=$((i+1)); echo "$i 0123456789012345678901234567890123456789012345678901234567890123456789"; done; exit 3' '  restartPolicy: Never')"
expect "again" k create -f - <<<"$(busybox_pod again 'echo run; exit 1' '  restartPolicy: OnFailure')"
expect "two" k create -f - <<'END'
apiVersion: v1
kind: Pod
metadata: {name: two}
spec:
  restartPolicy: Never
  initContainers: [{name: before, image: "busybox:e2e", command: [echo, from before]}]
  containers:
  - {name: one, image: "busybox:e2e", command: [echo, from one]}
  - {name: other, image: "busybox:e2e", command: [echo, from other]}
END
wait_for 15 "much runs" phase much Running
k logs -f much >"$E2E_DIR/followed" &
follower=$!
expect "go" k exec much -- touch /tmp/go

wait_for 15 "lines" logs_say lines 'err 3'
sleep 0.2
same "everything" "old line 1 line 2 line 3" "$(k logs lines | grep -v err | xargs)"
same "tail" "3 lines" "$(k logs lines --tail=3 | grep -c .) lines"
same "no tail" "" "$(k logs lines --tail=0)"
same "since" "" "$(k logs lines --since=2s | grep old)"
expect "since a time" k logs lines --since-time=2020-01-01T00:00:00+01:00
says old
same "limit" "old" "$(k logs lines --limit-bytes=3)"
expect "timestamps" k logs lines --timestamps --tail=20
says "$(date -u +%Y-%m-%dT%H:)" 'Z old' 'Z line 3'
refuse "a limit of nothing" k get --raw '/api/v1/namespaces/default/pods/lines/log?limitBytes=0'
says 'limitBytes: Invalid value: 0: must be greater than 0'
refuse "which container" k get --raw '/api/v1/namespaces/default/pods/two/log'
says 'a container name must be specified for pod two, choose one of: [one other] or one of the init containers: [before]'
refuse "no such container" k logs two -c nope
says 'container nope is not valid for pod two'
wait_for 10 "two has ended" phase two Succeeded
same "of one container" "from other" "$(k logs two -c other)"
same "of an init container" "from before" "$(k logs two -c before)"
expect "of all" k logs two --all-containers
says 'from before' 'from one' 'from other'
refuse "no run before" k logs lines -p
says 'previous terminated container "main" in pod "lines" not found'
wait_for 20 "the run before" logs_say again run -p

say "follow"
wait_for 20 "much has ended" phase much Failed
expect "the follower ends with it" timeout 10 tail --pid=$follower -f /dev/null
same "lines followed" "240000" "$(grep -c . "$E2E_DIR/followed")"
same "lines missing or twice" "" "$(awk '$1 != NR {print NR ": " $1; exit}' "$E2E_DIR/followed")"
checks=$((checks + 1))
ls "$E2E_DIR"/n1/data/agent/logs/*much*/main/0.log.1 >/dev/null || fail "the log was not rotated"
same "the last of it" 240000 "$(k logs much --tail=1 | awk '{print $1}')"
same "more than the newest file" 200000 "$(k logs much --tail=200000 | grep -c .)"
