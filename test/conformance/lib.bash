# Where scripts/clients.sh has put the clients that these scenarios try.
clients=${K8LITE_CLIENTS:-$(dirname "$(dirname "$E2E_HERE")")/build/clients}

# client NAME: the path of one of them; fails where it is not there.
client() {
  case $1 in
    helm | kubectl-1.35) path=$clients/$1 ;;
    python) path=$clients/python/bin/python ;;
    node_modules) path=$clients/node_modules; [ -d "$path/@kubernetes/client-node" ] && command -v node >/dev/null || return 1 ;;
    go-client) path=$clients/go-client ;;
  esac
  if [ "$1" = python ] && ! [ -x "$path" ] && /usr/bin/python3 -c 'import kubernetes' 2>/dev/null; then path=/usr/bin/python3; fi
  [ -e "$path" ] && echo "$path"
}
# every_client_kubectl: 1.35 and, where the Cloud SDK has them, an old one and its newest.
every_client_kubectl() {
  local path dir
  client kubectl-1.35
  path=$(real_kubectl) || return 0
  dir=$(dirname "$(readlink -f "$path")")
  for path in "$dir"/kubectl.1.27 "$dir"/kubectl.1.33; do [ -x "$path" ] && echo "$path"; done
  return 0
}
