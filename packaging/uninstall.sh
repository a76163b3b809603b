#!/bin/sh
# Takes k8lite off this machine: ends everything it runs (k8lite-killall.sh), then removes service, data, settings, links, executable and
# itself. install.sh puts a copy of this file beside the executable.
set -eu
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
export PATH

root="${INSTALL_K8LITE_ROOT:-}"
say() { echo "k8lite-uninstall: $*"; }
warn() { echo "k8lite-uninstall: $*" >&2; }

if [ -z "$root" ] && [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null 2>&1 || { warn "must be run as root"; exit 1; }
  exec sudo sh "$0"
fi

bin_dir="$(cd "$(dirname "$0")" && pwd)"

# As in k8lite-killall.sh: where the service is told to keep its data.
find_data_dir() {
  if [ -r "$root/etc/k8lite/k8lite.env" ]; then
    sed -n 's/^K8LITE_DATA_DIR="\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$root/etc/k8lite/k8lite.env" | tail -n 1
  fi
  if [ -r "$root/etc/k8lite/config.yaml" ]; then
    sed -n "s/^data-dir:[[:space:]]*[\"']\{0,1\}\([^\"'#]*[^\"'#[:space:]]\).*\$/\1/p" "$root/etc/k8lite/config.yaml" | head -n 1
  fi
  echo /var/lib/k8lite
}

remove_services() {
  for name in k8lite k8lite-agent; do
    unit="$root/etc/systemd/system/$name.service"
    if [ -e "$unit" ]; then
      systemctl disable "$name.service" >/dev/null 2>&1 || true
      systemctl reset-failed "$name.service" >/dev/null 2>&1 || true
      rm -f "$unit" "$root/etc/systemd/system/multi-user.target.wants/$name.service"
      systemctl daemon-reload >/dev/null 2>&1 || true
    fi
    if [ -e "$root/etc/init.d/$name" ]; then
      rc-update delete "$name" default >/dev/null 2>&1 || true
      rm -f "$root/etc/init.d/$name" "$root/var/log/$name.log"
    fi
  done
}

remove_symlinks() {
  for name in kubectl crictl ctr; do
    link="$bin_dir/$name"
    case "$(readlink "$link" 2>/dev/null || true)" in
      k8lite | "${bin_dir#"$root"}/k8lite" | "$bin_dir/k8lite") rm -f "$link" ;;
    esac
  done
}

# Only folders that are ours, and never through a mount that is still there.
remove_data() {
  if awk -v dir="$data_dir" 'index($5, dir "/server/") == 1 || index($5, dir "/agent/") == 1 { found = 1 } END { exit !found }' "$root/proc/self/mountinfo"; then
    warn "something is still mounted below $data_dir: its data stays"
    return 1
  fi
  rm -rf "$root$data_dir/server" "$root$data_dir/agent"
  if [ "$data_dir" = /var/lib/k8lite ]; then find "$root$data_dir" -mindepth 1 -delete 2>/dev/null || true; fi
  rmdir "$root$data_dir" 2>/dev/null || true
  [ ! -e "$root$data_dir" ] || warn "$data_dir stays: it holds what is not k8lite's, or is a mount point"
}

main() {
  data_dir="$(find_data_dir | head -n 1)"
  if [ -z "$root" ]; then data_dir="$(readlink -f "$data_dir" 2>/dev/null || echo "$data_dir")"; fi
  case "$data_dir" in /?*) ;; *) warn "the data directory \"$data_dir\" is no path below /"; exit 1 ;; esac
  sh "$bin_dir/k8lite-killall.sh"
  remove_services
  remove_data || exit 1
  remove_symlinks
  rm -rf "$root/etc/k8lite"
  rm -f "$bin_dir/k8lite" "$bin_dir/k8lite-killall.sh" "$bin_dir/k8lite-uninstall.sh"
  say "k8lite is gone"
}

main
exit 0
