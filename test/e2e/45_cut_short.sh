# The server is killed while ten pods start, and they are deleted before it looks again: whatever step each had reached, nothing is left.
. "$E2E_HERE/../workloads/lib.sh"
host_up n1 10
choose_kubectl
busybox_image n1
server_up n1
for round in 1 2 3 4 5 6; do
  expect "ten pods" k create deployment "d$round" --image=busybox:e2e --replicas=10 -- sleep 1000
  sleep 0.0$((round * 3)) # another step each time
  kill9 n1
  server_start n1
  must 30 "/readyz answers" ready
  expect "delete" k delete deployment "d$round" --wait=false
  k delete pod --all --grace-period=0 --force >/dev/null 2>&1
done
wait_for 30 "pods go" no_pods app
wait_for 20 "nothing is left" nothing_left n1
