# Server-side apply: fields belong to managers, conflicts name the other one, force takes over, what a manager drops goes.
host_up n1 10
choose_kubectl apply patch
server_up n1 --disable-agent
expect "namespace" k create namespace red
apply() { local manager=$1 data=$2; shift 2; k apply --server-side --field-manager="$manager" "$@" -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"applied","namespace":"red"},"data":{'"$data"'}}'; }
data() { k -n red get configmap applied -o 'jsonpath={.data}'; }
expect "the first manager creates" apply one '"one":"1","both":"1"'
says applied serverside-applied
expect "another adds a field" apply other '"four":"4","both":"1"'
same "both managers' fields" '{"both":"1","four":"4","one":"1"}' "$(data)"
refuse "a conflict between managers" apply third '"four":"5"'
says conflict other .data.four
same "nothing changed" '{"both":"1","four":"4","one":"1"}' "$(data)"
expect "force takes it over" apply third '"four":"5"' --force-conflicts
same "the forced value" '{"both":"1","four":"5","one":"1"}' "$(data)"
expect "a manager drops what it owned" apply one '"both":"1"'
same "its own field is gone" '{"both":"1","four":"5"}' "$(data)"
expect "the last but one owner drops a field" apply other '"z":"9"'
same "a field with another owner stays" '{"both":"1","four":"5","z":"9"}' "$(data)"
expect "an update by another way" k -n red patch configmap applied --type=merge -p '{"data":{"z":"10"}}'
refuse "is a conflict too" apply other '"z":"9"'
says conflict
expect "managed fields" k -n red get configmap applied -o yaml --show-managed-fields
says 'manager: one' 'manager: third' 'operation: Apply' 'f:data' 'f:four'
refuse "an unknown field" k apply --server-side -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"bad","namespace":"red"},"dat":{}}'
says dat
