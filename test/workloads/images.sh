#!/bin/bash
# Builds the images of real programs that scenarios run, from Debian packages, since no public image registry can be counted on:
# images.sh [NAME...]; NAME is one of nginx, redis, mariadb, php and wordpress, without any all are built. Packages are unpacked, never
# installed: no maintainer script runs, users and settings are the recipes' own (test/workloads/recipes.sh). All images share their first
# layer. They lie in build/workloads/KEY as NAME.tar, where KEY is the sum of both scripts; the folder's path is the last line printed.
# Exit code: 77 where packages cannot be had.
set -u
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)/build/workloads
key=$(cat "$here/images.sh" "$here/recipes.sh" | sha256sum | cut -c1-12)
dir=$top/$key
. "$here/recipes.sh"
skip() { echo "SKIPPED: $1" >&2; exit 77; }
[ $# -gt 0 ] || set -- "${images[@]}"
ready() { local name; for name in "$@"; do [ -f "$dir/$name.tar" ] || return 1; done; }
if ready "$@"; then echo "$dir"; exit 0; fi
for tool in apt-get dpkg-deb flock sha256sum; do command -v $tool >/dev/null || skip "images of real programs are made with $tool"; done
mkdir -p "$dir" "$top/debs/partial" || skip "$top cannot be made"
exec 9>"$top/lock"
flock 9
ready "$@" && { echo "$dir"; exit 0; }
# What another version of the scripts made is of no use any more; packages are.
find "$top" -mindepth 1 -maxdepth 1 -type d ! -name "$key" ! -name debs -exec rm -rf {} +
for name in "${dropped[@]}"; do
  printf 'Package: %s\nStatus: install ok installed\nMaintainer: nobody\nArchitecture: all\nVersion: 99:99\nMulti-Arch: foreign\nDescription: not wanted\n\n' "$name"
done >"$top/no-packages"

# apt as on a machine with none but those packages: the whole closure is resolved and fetched, checked as apt checks it.
apt() { apt-get -q -y --no-install-recommends -o Dir::State::status="$top/no-packages" -o Dir::Cache::archives="$top/debs" -o Debug::NoLocking=1 -o APT::Sandbox::User=root "$@"; }
# closure NAME: the packages of an image, one a line, into NAME.list.
closure() {
  # shellcheck disable=SC2046
  apt -s install $("packages_$1") 2>"$dir/$1.log" | awk '$1 == "Inst" {print $2}' | sort -u >"$dir/$1.list"
  [ -s "$dir/$1.list" ]
}
# Two at a time here and below: more would only take turns.
turn() { while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done; }
closure base || { [ "$(id -u)" = 0 ] && apt-get -q update >"$dir/apt.log" 2>&1 && closure base; }
for name in "${images[@]}"; do closure "$name" & turn; done
wait
for name in base "${images[@]}"; do
  [ -s "$dir/$name.list" ] || skip "packages of $name cannot be resolved: $(tail -n1 "$dir/$name.log")"
done
mapfile -t wanted < <(sort -u "$dir"/*.list)
fetch() { (cd "$top/debs" && apt -o APT::Get::Download-Only=true download "${wanted[@]}" >"$dir/apt.log" 2>&1); }
fetch || fetch || skip "packages cannot be fetched: $(grep -m1 '^[EW]:' "$dir/apt.log")"

# unpack ROOT PACKAGE...: without documents and translations.
unpack() {
  local root=$1 package file
  shift
  for package in "$@"; do
    file=$(ls -t "$top/debs/${package}"_*.deb 2>/dev/null | head -n1)
    [ -n "$file" ] || { echo "images.sh: no $package" >&2; return 1; }
    dpkg-deb --fsys-tarfile "$file" | tar -x -C "$root" --keep-directory-symlink --no-same-owner --exclude='./usr/share/doc' \
      --exclude='./usr/share/man' --exclude='./usr/share/locale' --exclude='./usr/share/info' --exclude='./usr/share/lintian' \
      --exclude='./usr/share/fonts' --exclude='./usr/share/i18n' --exclude='./var/lib/systemd' --exclude='./lib/systemd' || return 1
  done
}
architecture() { case $(uname -m) in x86_64) echo amd64 ;; aarch64) echo arm64 ;; armv*) echo arm ;; *) uname -m ;; esac; }
sum() { sha256sum "$1" | cut -c1-64; }
layer() { tar -C "$1" --sort=name --mtime=@1700000000 --owner=0 --group=0 --numeric-owner -cf "$2" .; }
links() { mkdir -p "$1"/usr/{bin,sbin,lib,lib64} && for d in bin sbin lib lib64; do ln -s "usr/$d" "$1/$d"; done; }

work=$dir/work
rm -rf "$work"
mkdir -p "$work/base"
links "$work/base"
# shellcheck disable=SC2046
unpack "$work/base" $(cat "$dir/base.list") && files_base "$work/base" && layer "$work/base" "$work/base.layer" || skip "the first layer cannot be made"
base_sum=$(sum "$work/base.layer")

# docker_archive NAME CONFIG LAYER / oci_archive: what `docker save` writes, and an OCI layout.
docker_archive() {
  local out=$work/$1.out
  mkdir -p "$out"
  ln "$work/base.layer" "$out/base.tar"
  mv "$3" "$out/layer.tar"
  echo "$2" >"$out/config.json"
  printf '[{"Config":"config.json","RepoTags":["%s:e2e"],"Layers":["base.tar","layer.tar"]}]' "$1" >"$out/manifest.json"
  tar -C "$out" -cf "$dir/$1.tmp" manifest.json config.json base.tar layer.tar
}
oci_archive() {
  local out=$work/$1.out blobs size digest
  blobs=$out/blobs/sha256
  mkdir -p "$blobs"
  echo "$2" >"$work/$1.config"
  ln "$work/base.layer" "$blobs/$base_sum"
  digest=$(sum "$3")
  mv "$3" "$blobs/$digest"
  local config media=application/vnd.oci.image
  config=$(sum "$work/$1.config")
  mv "$work/$1.config" "$blobs/$config"
  size() { stat -c %s "$blobs/$1"; }
  printf '{"schemaVersion":2,"mediaType":"%s.manifest.v1+json","config":{"mediaType":"%s.config.v1+json","digest":"sha256:%s","size":%s},"layers":[{"mediaType":"%s.layer.v1.tar","digest":"sha256:%s","size":%s},{"mediaType":"%s.layer.v1.tar","digest":"sha256:%s","size":%s}]}' \
    $media $media "$config" "$(size "$config")" $media "$base_sum" "$(size "$base_sum")" $media "$digest" "$(size "$digest")" >"$work/$1.manifest"
  digest=$(sum "$work/$1.manifest")
  mv "$work/$1.manifest" "$blobs/$digest"
  printf '{"schemaVersion":2,"manifests":[{"mediaType":"%s.manifest.v1+json","digest":"sha256:%s","size":%s,"annotations":{"org.opencontainers.image.ref.name":"docker.io/library/%s:e2e"}}]}' \
    $media "$digest" "$(size "$digest")" "$1" >"$out/index.json"
  printf '{"imageLayoutVersion":"1.0.0"}' >"$out/oci-layout"
  tar -C "$out" -cf "$dir/$1.tmp" oci-layout index.json blobs
}
build() {
  local name=$1 root=$work/$1 config
  mkdir -p "$root"
  links "$root"
  # shellcheck disable=SC2046
  unpack "$root" $(comm -13 "$dir/base.list" "$dir/$name.list") && "files_$name" "$root" || return 1
  layer "$root" "$work/$name.layer"
  config=$(printf '{"architecture":"%s","os":"linux","config":%s,"rootfs":{"type":"layers","diff_ids":["sha256:%s","sha256:%s"]}}' \
    "$(architecture)" "$("config_$name")" "$base_sum" "$(sum "$work/$name.layer")")
  "$("format_$name")_archive" "$name" "$config" "$work/$name.layer" && mv "$dir/$name.tmp" "$dir/$name.tar"
}
for name in "${images[@]}"; do build "$name" 2>>"$dir/build.log" & turn; done
wait
rm -rf "$work"
ready "$@" || skip "an image could not be made: $(tail -n1 "$dir/build.log")"
echo "$dir"
