# curl | sh from a web server, the installed server at its default places, killall and uninstall: nothing is left on the machine.
command -v curl >/dev/null || skip "no curl on this machine"
host_up n1 10
clone=$(cd "$E2E_HERE/../.." && pwd)
# A machine of its own: what is written to /etc and /usr/local stays in this scenario; /var/lib is empty.
on n1 sh -ec '
  mkdir -p "$1" && mount -t tmpfs tmpfs "$1"
  for folder in etc usr/local; do
    mkdir -p "$1/$folder/up" "$1/$folder/work"
    mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$1/$folder/up,workdir=$1/$folder/work" "/$folder"
  done
  mount -t tmpfs tmpfs /var/lib' sh "$E2E_DIR/n1/machine"
www=$E2E_DIR/www
mkdir -p "$www"
cp "$clone/install.sh" "$www/install.sh"
cp "$E2E_BINARY" "$www/k8lite"
(cd "$www" && sha256sum k8lite >k8lite.sha256)
on_exec n1 busybox httpd -f -p 127.0.0.1:8099 -h "$www" &
sleep 0.2
pipe() { on n1 sh -c "curl -sfL http://127.0.0.1:8099/install.sh | $1 INSTALL_K8LITE_DOWNLOAD_URL=http://127.0.0.1:8099 sh -s - $2"; }
present() { on n1 test -e "$1"; }

say "install"
mv "$www/k8lite.sha256" "$www/good"
sed 's/^./0/; s/^0\(0*\)/1\1/' "$www/good" >"$www/k8lite.sha256"
refuse "a checksum that does not fit" pipe "" ""
says sha256
present /usr/local/bin/k8lite && fail "something was installed"
mv "$www/good" "$www/k8lite.sha256"
expect "curl | sh" pipe "INSTALL_K8LITE_SKIP_ENABLE=true" "server --disable dns"
same "the executable" "$(sha256sum <"$E2E_BINARY")" "$(on n1 sha256sum /usr/local/bin/k8lite | sed 's/ .*/  -/')"
for file in k8lite-killall.sh k8lite-uninstall.sh; do
  checks=$((checks + 1))
  present /usr/local/bin/$file || fail "no $file"
done

say "the installed server"
on_exec n1 /usr/local/bin/k8lite server --node-name n1 >"$E2E_DIR/n1/server.log" 2>&1 &
server_pid[n1]=$!
installed() { on n1 env -u KUBECONFIG /usr/local/bin/k8lite kubectl "$@"; }
node_up() { [ "$(installed get node n1 -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]; }
must 20 "the node is Ready" node_up
same "the kubeconfig is for root alone" 600 "$(on n1 stat -c %a /etc/k8lite/k8lite.yaml)"
expect "a deployment" installed create deployment hello --image=k8lite/echoserver:1.0 --replicas=2
expect "a service" installed expose deployment hello --type=NodePort --port=8080
expect "it comes up" installed rollout status deployment/hello --timeout=20s
port=$(installed get service hello -o 'jsonpath={.spec.ports[0].nodePort}')
answers() { on n1 curl -sf --max-time 2 "http://192.0.2.10:$port/" | grep -q '^Hostname: hello-'; }
wait_for 5 "the node port answers" answers

say "killall"
expect "killall" on n1 /usr/local/bin/k8lite-killall.sh
wait "${server_pid[n1]}" 2>/dev/null
server_pid[n1]=
alive() { pgrep -r R,S,D -x "$1"; }  # the dead may wait for their parent to look
same "processes" "" "$(alive echoserver; alive k8lite-shim)"
same "mounts" "" "$(on n1 grep -E '/(run|var/lib)/k8lite' /proc/mounts)"
same "interfaces" "" "$(on n1 ip -o link show | grep -E 'cni0|flannel|veth')"
same "rules" "" "$(on n1 iptables-save 2>/dev/null | grep -E 'KUBE|K8LITE|CNI')"
same "addresses" "" "$(on n1 ip route show | grep -E '10\.4[23]\.')"

say "uninstall"
expect "uninstall" on n1 /usr/local/bin/k8lite-uninstall.sh
for path in /usr/local/bin/k8lite /usr/local/bin/k8lite-killall.sh /usr/local/bin/k8lite-uninstall.sh /etc/k8lite /var/lib/k8lite /run/k8lite /etc/systemd/system/k8lite.service; do
  checks=$((checks + 1))
  present $path && fail "$path is left"
done
true
