#!/usr/bin/env python3
"""House style that a machine can see: file length, an opening comment, no tabs, no trailing space, no range-wide captures."""
import pathlib
import re
import sys

LIMIT = 800
root = pathlib.Path(__file__).resolve().parent.parent
wrong = []
for path in sorted((root / "src").rglob("*")) + sorted((root / "test").rglob("*")):
    if path.suffix not in (".h", ".cpp"):
        continue
    name = path.relative_to(root)
    lines = path.read_text().splitlines()
    if len(lines) > LIMIT:
        wrong.append(f"{name}: {len(lines)} lines, more than {LIMIT}: split it")
    if path.suffix == ".h" and not (lines and lines[0].startswith("//")):
        wrong.append(f"{name}: a header opens with a comment that says what it is")
    for number, line in enumerate(lines, 1):
        if "\t" in line or line != line.rstrip():
            wrong.append(f"{name}:{number}: tab or trailing space")
        if "[=]" in line:
            wrong.append(f"{name}:{number}: captures by name, never [=]")
        if re.search(r"\b(TODO|FIXME|XXX)\b", line):
            wrong.append(f"{name}:{number}: unfinished work belongs into an issue")
print("\n".join(wrong) if wrong else "tidy: nothing to say")
sys.exit(1 if wrong else 0)
