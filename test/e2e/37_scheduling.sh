# Scheduling as users meet it: profiles chosen by name, preemption that spares a budget, gates, and the words of FailedScheduling.
host_up n1 10
choose_kubectl
mkdir -p "$E2E_DIR/n1"
conf=$E2E_DIR/scheduler.yaml
cat >"$conf" <<'YAML'
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles:
- schedulerName: default-scheduler
- schedulerName: packed
  pluginConfig:
  - name: NodeResourcesFit
    args: {scoringStrategy: {type: MostAllocated}}
- schedulerName: team-x
  pluginConfig:
  - name: NodeAffinity
    args:
      addedAffinity:
        requiredDuringSchedulingIgnoredDuringExecution:
          nodeSelectorTerms: [{matchExpressions: [{key: team, operator: In, values: [x]}]}]
YAML
server_up n1 --disable-agent --kube-scheduler-arg "config=$conf"

# Nodes that nobody stands behind: where pods go is all that counts here.
fake() {
  k create -f - <<<'{"apiVersion":"v1","kind":"Node","metadata":{"name":"'"$1"'","labels":{"kubernetes.io/hostname":"'"$1"'"}}}' >/dev/null
  k patch node "$1" --subresource=status --type=merge -p '{"status":{"allocatable":{"cpu":"2","memory":"4Gi","pods":"10"},"capacity":{"cpu":"2","memory":"4Gi","pods":"10"},"conditions":[{"type":"Ready","status":"True","reason":"KubeletReady"}]}}' >/dev/null
}
# pod NAME CPU [SCHEDULER] [MORE-SPEC] [LABELS]
pod() {
  k create -f - <<<'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"'"$1"'","labels":{'"${5:-}"'}},"spec":{"schedulerName":"'"${3:-default-scheduler}"'","tolerations":[{"operator":"Exists"}],"terminationGracePeriodSeconds":0,'"${4:-}"'"containers":[{"name":"c","image":"x","resources":{"requests":{"cpu":"'"$2"'"}}}]}}' >/dev/null
}
told() { is "$2" "pod/$1" '.status.conditions[?(@.type=="PodScheduled")].message'; }
on_node() { is "$2" "pod/$1" .spec.nodeName; }

pod first 500m
wait_for 10 "without nodes it says so" told first "no nodes available to schedule pods"
fake a
wait_for 10 "the first goes to the first node" on_node first a
fake b
pod spread 500m
wait_for 10 "by default to the emptier one" on_node spread b
pod more 500m
pod packed 500m packed
wait_for 10 "the packed one goes somewhere" phase packed Pending
packed_node() { [ -n "$(field pod/packed .spec.nodeName)" ]; }
wait_for 10 "it is bound" packed_node
same "the packed one goes where most is taken" "$(field pod/more .spec.nodeName)" "$(field pod/packed .spec.nodeName)"

pod x 100m team-x
wait_for 10 "added affinity keeps it away" told x "0/2 nodes are available: 2 node(s) didn't match scheduler-enforced node affinity. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
expect "the label" k label node b team=x
wait_for 10 "and the label lets it in" on_node x b

pod nobody 100m nobody
pod gated 100m default-scheduler '"schedulingGates":[{"name":"example.org/wait"}],'
wait_for 10 "a gated pod waits" is SchedulingGated pod/gated '.status.conditions[?(@.type=="PodScheduled")].reason'
expect "the gate opens" k patch pod gated --type=json -p '[{"op":"remove","path":"/spec/schedulingGates"}]'
gated_bound() { [ -n "$(field pod/gated .spec.nodeName)" ]; }
wait_for 10 "and it goes" gated_bound

say "preemption"
expect "everything goes" k delete pod --all --grace-period=0 --force
expect "node b goes" k delete node b
wait_for 15 "nothing is left" is "" pod ".items[*].metadata.name"
expect "a class" k create priorityclass high --value=1000
expect "a patient one" k create priorityclass patient --value=1000 --preemption-policy=Never
pod guarded 1 default-scheduler "" '"app":"guarded"'
pod free 1
wait_for 10 "one is there" on_node guarded a
wait_for 10 "the other too" on_node free a
expect "a budget" k create -f - <<<'{"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"guard"},"spec":{"minAvailable":1,"selector":{"matchLabels":{"app":"guarded"}}}}'
wait_for 10 "the budget is counted" is 0 pdb/guard .status.disruptionsAllowed
pod patient 1 default-scheduler '"priorityClassName":"patient",'
pod urgent 1 default-scheduler '"priorityClassName":"high",'
wait_for 10 "the urgent one goes there" on_node urgent a
wait_for 10 "for the one that no budget spared" gone pod free
same "the guarded one stays" a "$(field pod/guarded .spec.nodeName)"
wait_for 10 "the patient one ends nobody" told patient "0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never."

say "bad input"
stop n1
echo 'profiles: [{plugins: {filter: {enabled: [{name: Coscheduling}]}}}]' | cat <(head -n 2 "$conf") - >"$conf.bad"
refuse "an unknown plugin" on n1 "$E2E_BINARY" server --disable-agent --data-dir "$E2E_DIR/other" --kube-scheduler-arg "config=$conf.bad"
says 'plugin "Coscheduling" is not known here'
