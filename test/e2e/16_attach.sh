# attach and run -i with every kubectl at hand: outputs, input and its end, terminals, kubectl's own way out; cp both ways.
host_up n1 10
choose_kubectl run attach
busybox_image n1
server_up n1

log_of() { k logs "$1" 2>/dev/null; }
log_is() { local got; got=$(log_of "$1" | tr '\r\n' '  '); [ "$got" = "$2" ] || { echo "$got"; return 1; }; }
code_is() { is "$2" "pod/$1" '.status.containerStatuses[0].state.terminated.exitCode'; }
on_terminal() { on n1 env KUBECONFIG="$KUBECONFIG" TERM=xterm script -qec "stty rows 33 cols 77; ${kubectl_command[*]} $*" /dev/null; }
clean() { tr -d '\r^@\b\033'; }

expect "two kinds of output" k create -f - <<<"$(busybox_pod talks 'i=0; while :; do i=$((i+1)); echo out $i; echo err $i >&2; usleep 100000; done')"
expect "an input that stays open" k create -f - <<<"$(busybox_pod stays 'while read line; do echo got $line; done; echo over' '  restartPolicy: Never')
    stdin: true"
expect "a terminal" k create -f - <<<"$(busybox_pod screen 'while :; do read line || continue; stty size; echo got $line; done' '  restartPolicy: Never')
    stdin: true
    tty: true"
expect "one that has ended" k create -f - <<<"$(busybox_pod done 'true' '  restartPolicy: Never')"
for pod in talks stays screen; do wait_for 15 "$pod runs" phase $pod Running; done
wait_for 15 "done is done" phase done Succeeded

n=0
for client in $(every_kubectl); do
  use_kubectl "$client"
  n=$((n + 1))
  say "attach with $client"
  rm -f "$E2E_DIR/out" "$E2E_DIR/err"
  (on_exec n1 env KUBECONFIG="$KUBECONFIG" timeout 30 "${kubectl_command[@]}" attach talks >"$E2E_DIR/out" 2>"$E2E_DIR/err") &
  attached=$!
  both() { grep -q '^out ' "$E2E_DIR/out" && grep -q '^err ' "$E2E_DIR/err"; }
  wait_for 10 "both kinds" both
  kill $attached
  wait $attached
  expect "output" grep -q '^out ' "$E2E_DIR/out"
  expect "errors" grep -q '^err ' "$E2E_DIR/err"
  refuse "neither is in the other" grep -q '^err ' "$E2E_DIR/out"
  # Its input ends with the client, not the container's (stdinOnce is false).
  rm -f "$E2E_DIR/stop"
  until_stop() { until [ -e "$E2E_DIR/stop" ]; do sleep 0.1; done; }
  has() { grep -q "$2" "$E2E_DIR/$1" || { cat "$E2E_DIR/$1"; return 1; }; }
  { echo "line $n"; until_stop; } | (on_exec n1 env KUBECONFIG="$KUBECONFIG" timeout 60 "${kubectl_command[@]}" attach -i stays) >"$E2E_DIR/line" 2>/dev/null &
  attached=$!
  wait_for 10 "a line back" has line "^got line $n\$"
  pkill -f 'attach -i stays$'
  touch "$E2E_DIR/stop"
  wait $attached
  # The size of the terminal may arrive after the first line.
  rm "$E2E_DIR/stop"
  { until [ -e "$E2E_DIR/stop" ]; do echo "word $n"; sleep 0.5; done; } | on_terminal attach -it screen >"$E2E_DIR/word" 2>/dev/null &
  attached=$!
  on_screen() { clean <"$E2E_DIR/word" | grep -v prompt | xargs | grep -q "33 77 got word $n" || { cat "$E2E_DIR/word"; return 1; }; }
  wait_for 15 "a terminal" on_screen
  pkill -f 'attach -it screen'
  touch "$E2E_DIR/stop"
  wait $attached

  same "run -i: output, end of input and exit" "ab-5" "$(printf 'a\nb\n' | k run r$n -i -q --rm --restart=Never --image=busybox:e2e -- sh -c 'while read x; do printf $x; done; echo -5' 2>/dev/null | grep -v deleted)"
  wait_for 5 "r$n is gone" gone pod r$n
  printf '' | k run c$n -i -q --restart=Never --image=busybox:e2e -- sh -c 'cat >/dev/null; exit 6' >/dev/null 2>&1
  same "run -i: exit code" 6 $?
  wait_for 5 "c$n has ended with 6" code_is c$n 6
  rm "$E2E_DIR/stop"
  { echo 'echo a-$((1+1)); until [ "$(stty size)" = "33 77" ]; do sleep 0.1; done; stty size; exit 3'; until_stop; } | on_terminal run t$n -it --rm --restart=Never --image=busybox:e2e -- sh >"$E2E_DIR/shell" 2>&1 &
  attached=$!
  deleted() { has shell "deleted" && gone pod t$n; }
  wait_for 20 "t$n has come and gone" deleted
  touch "$E2E_DIR/stop"
  wait $attached
  got=$(clean <"$E2E_DIR/shell")
  case $got in *"a-2"*"33 77"*) checks=$((checks + 1)) ;; *) fail "run -it: $got" ;; esac
  refuse "one that has ended" timeout 30 on n1 env KUBECONFIG="$KUBECONFIG" "${kubectl_command[@]}" attach "done"
done

say "input that ends once"
expect "stdinOnce" k create -f - <<<"$(busybox_pod once 'cat; echo the end' '  restartPolicy: Never')
    stdin: true
    stdinOnce: true"
wait_for 15 "once runs" phase once Running
printf 'first' | k attach -iq once >/dev/null 2>&1
wait_for 10 "its input has ended" phase once Succeeded
expect "its log" log_is once 'firstthe end '

say "cp"
head -c 5000000 /dev/urandom >"$E2E_DIR/file"
mkdir -p "$E2E_DIR/tree/deep" && echo one >"$E2E_DIR/tree/a b" && echo two >"$E2E_DIR/tree/deep/c"
for client in $(every_kubectl); do
  use_kubectl "$client"
  k cp --help >/dev/null 2>&1 || continue
  say "cp with $client"
  expect "a file in" k cp "$E2E_DIR/file" talks:/tmp/file
  expect "a file out" k cp talks:/tmp/file "$E2E_DIR/back"
  same "unchanged" "$(md5sum <"$E2E_DIR/file")" "$(md5sum <"$E2E_DIR/back")"
  expect "a folder in" k cp "$E2E_DIR/tree" talks:/tmp/tree
  expect "a folder out" k cp talks:/tmp/tree "$E2E_DIR/tree2"
  expect "unchanged" diff -r "$E2E_DIR/tree" "$E2E_DIR/tree2"
  k exec talks -- rm -r /tmp/tree /tmp/file
  rm -r "$E2E_DIR/tree2" "$E2E_DIR/back"
done
