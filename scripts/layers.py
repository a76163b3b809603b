#!/usr/bin/env python3
"""Fails on an #include that goes up the house: a room may include only itself and rooms on lower floors (docs/architecture.md)."""
import pathlib
import re
import sys

FLOORS = {
    "base": 0, "os": 10, "net": 20, "async": 15, "pki": 20, "config": 20, "api": 30, "store": 40, "shim": 45, "runc": 46, "echo": 45, "runtime": 40, "image": 40,
    "cni": 40, "machinery": 50, "apiserver": 55, "kubectl": 60, "controllers": 60, "scheduler": 60, "kubelet": 60, "proxy": 60,
    "dns": 60, "ingress": 60, "servicelb": 60, "addons": 60, "dashboard": 60, "app": 70,
}
# Rooms that must stay free of sockets, threads and system calls.
PURE = {"api": {"async", "net", "os"}, "scheduler": {"async", "net", "os"}}

root = pathlib.Path(__file__).resolve().parent.parent / "src"
include = re.compile(r'^\s*#\s*include\s+"([a-z0-9_]+)/')
wrong = []
for path in sorted(root.rglob("*")):
    if path.suffix not in (".h", ".cpp"):
        continue
    room = path.relative_to(root).parts[0]
    if room not in FLOORS:
        wrong.append(f"{path}: room {room} is on no floor; add it to scripts/layers.py")
        continue
    if len(path.relative_to(root).parts) > 4:
        wrong.append(f"{path}: deeper than 3 folders below src/")
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = include.match(line)
        if not match or match[1] == room or match[1] not in FLOORS:
            continue
        plan = "_plan." in path.name and match[1] in {"async", "net", "os"}
        above = FLOORS[match[1]] >= FLOORS[room]
        if path.name.endswith("_test.cpp"):  # a test may also use the other rooms of its floor
            above = FLOORS[match[1]] > FLOORS[room]
        if above or match[1] in PURE.get(room, ()) or plan:
            wrong.append(f"{path}:{number}: {room} may not include {match[1]}")
print("\n".join(wrong) if wrong else "layers: every include goes down")
sys.exit(1 if wrong else 0)
