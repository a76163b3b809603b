# exec, attach and cp with every kubectl at hand (SPDY, WebSocket, our own), into pods of this node and of another one.
host_up n1 10
host_up n2 11
choose_kubectl run exec attach
busybox_image n1
mkdir -p "$E2E_DIR/n2/data/agent/images"
cp "$E2E_DIR/n1/data/agent/images/busybox.tar" "$E2E_DIR/n2/data/agent/images/"
server_up n1
agent_up n2

code_of() { "$@" >/dev/null 2>&1; echo $?; }
# Is a process with exactly this command line there, apart from kubectl's?
runs() { pgrep -xf "$1" >/dev/null; }
ended() { ! runs "$1" || { pgrep -axf "$1"; return 1; }; }
# A command on a terminal of its own of 33 lines and 77 columns.
on_terminal() { on n1 env KUBECONFIG="$KUBECONFIG" TERM=xterm script -qec "stty rows 33 cols 77; ${kubectl_command[*]} $*" /dev/null </dev/null; }

for pod in box:n1 far:n2; do
  expect "pod $pod" k create -f - <<<"$(busybox_pod ${pod%:*} 'echo up; exec sleep 1000' '  nodeName: '${pod#*:}'
  initContainers: [{name: before, image: busybox:e2e, command: ["true"]}]')"
done
expect "pod waits" k create -f - <<<"$(busybox_pod waits 'true' | sed s/busybox:e2e/no.such.invalid:1/)"
expect "pod two" k create -f - <<'END'
apiVersion: v1
kind: Pod
metadata: {name: two}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: one, image: "busybox:e2e", command: [sleep, "1000"]}
  - {name: other, image: "busybox:e2e", command: [sleep, "1000"], env: [{name: WHO, value: other}], workingDir: /tmp}
END
for pod in box far two; do wait_for 15 "$pod runs" phase $pod Running; done
head -c 50000000 /dev/urandom >"$E2E_DIR/big"

for client in $(every_kubectl); do
  use_kubectl "$client"
  say "exec with $client"
  for pod in box far; do
    same "output" "out" "$(k exec -q $pod -- echo out)"
    same "errors" "err" "$(k exec -q $pod -- sh -c 'echo err >&2' 2>&1 >/dev/null)"
    same "exit code" 7 "$(code_of k exec -q $pod -- sh -c 'exit 7')"
    same "half close" "abcend later" "$(printf abc | k exec -qi $pod -- sh -c 'cat; echo end; sleep 0.3; echo later' | xargs)"
  done
  same "killed by a signal" 137 "$(code_of k exec -q box -- sh -c 'kill -9 $$')"
  same "without -i stdin is empty" "0" "$(echo x | k exec -q box -- wc -c)"
  same "arguments stay whole" "a b|c
d|" "$(k exec -q box -- printf '%s|' 'a b' 'c
d')"
  same "-c" "other /tmp" "$(k exec two -c other -- sh -c 'echo $WHO $(pwd)')"
  same "50 MB in" "$(md5sum <"$E2E_DIR/big")" "$(k exec -qi box -- md5sum <"$E2E_DIR/big")"
  k exec -qi far -- sh -c 'cat >/tmp/big' <"$E2E_DIR/big"
  same "50 MB out" "$(md5sum <"$E2E_DIR/big")" "$(k exec -q far -- cat /tmp/big | md5sum)"

  same "a terminal and its size" "33 77 tty" "$(on_terminal exec -qit box -- sh -c "'sleep 0.3; stty size; test -t 1 && echo tty'" | xargs | tr -d '\r^@')"
  same "a terminal's exit code" 5 "$(code_of on_terminal exec -qit box -- sh -c "'exit 5'")"

  refuse "no pod" k exec nopod -- ls
  says 'Error from server (NotFound): pods "nopod" not found'
  refuse "no such container" k exec box -c nope -- ls
  says 'container nope is not valid for pod box'
  refuse "an image that is not there" k exec waits -- ls
  says 'container not found ("main")'
  refuse "an init container that ended" k exec box -c before -- ls
  says 'container not found ("before")'
  refuse "no such command" k exec box -- nosuchcommand
  says 'exec: "nosuchcommand": executable file not found in $PATH'

  # A client that is gone: its command loses its terminal, its input or its reader.
  for how in "-it:sleep 981" "-i:cat /dev/stdin /etc/passwd" ":yes 983"; do
    if [ "${how%%:*}" = -it ]; then
      (on_exec n1 env KUBECONFIG="$KUBECONFIG" script -qec "${kubectl_command[*]} exec -it box -- ${how#*:}" /dev/null </dev/zero >/dev/null 2>&1) &
    else
      (sleep 100 | on_exec n1 env KUBECONFIG="$KUBECONFIG" "${kubectl_command[@]}" exec ${how%%:*} box -- ${how#*:} >/dev/null 2>&1) &
    fi
    wait_for 5 "${how#*:} runs" runs "${how#*:}"
    disown -a
    pkill -KILL -f "exec ${how%%:*} ?box -- ${how#*:}"
    wait_for 5 "${how#*:} has ended" ended "${how#*:}"
  done
done

say "a node that does not answer"
kill9 n2
refuse "far" k exec -q far -- true
says 'error dialing backend: dial tcp 192.0.2.11:10250: connect: connection refused'
