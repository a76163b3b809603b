#!/bin/sh
# Refreshes the files that install.sh carries inside itself (it must work alone, from any web server). Each is a here-document whose end
# line names the file: `=== end of scripts/killall.sh`. With --check changes nothing and fails where a copy is stale.
set -eu
cd "$(dirname "$0")/.."

fresh="$(mktemp)"
trap 'rm -f "$fresh"' EXIT
awk '
  skipping { if ($0 != end) next; skipping = 0 }
  { print }
  match($0, /<<.=== end of [^ ]+.$/) {
    end = substr($0, RSTART + 3, RLENGTH - 4)
    file = substr(end, length("=== end of ") + 1)
    while ((got = (getline line < file)) > 0) print line
    if (got < 0) { print "embed.sh: cannot read " file > "/dev/stderr"; exit 1 }
    close(file)
    skipping = 1
  }' install.sh >"$fresh"

if cmp -s install.sh "$fresh"; then exit 0; fi
if [ "${1:-}" = --check ]; then
  echo "embed.sh: install.sh carries an old copy of a file: run packaging/embed.sh" >&2
  exit 1
fi
cat "$fresh" >install.sh
