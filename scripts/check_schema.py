#!/usr/bin/env python3
"""Compares embedded/schema/*.txt with a file of facts about Kubernetes' API and lists every difference.

usage: check_schema.py FACTS.json      (exit code 1 while a difference is left that EXPLAINED does not give a reason for)

The facts: {"resources": [{group, version, plural, kind, singular, namespaced, verbs, shortNames, categories, subresources}],
"types": {"io.k8s.api.core.v1.Pod": {fields: {name: {type, proto, required, default, enum, listType, listMapKeys, patchStrategy, mergeKey,
mapType}}, gvk, mapType, wireInlined, scalar}}}. What a facts file does not carry (defaults, enums) is not compared.
"""
import fnmatch
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent / "embedded" / "schema"

# A pattern for a line of the report -> why it is no mistake.
EXPLAINED = {
    "meta/v1.PartialObjectMetadata*: type: there is no such type": "no request body has it, so that it is not published; protobuf clients read it",
    "admissionregistration/v1.NamedRuleWithOperations: wire: inline Rule*: *": "Rule is inlined into RuleWithOperations, which is inlined itself: two lines here",
    "apiextensions/v1.JSONSchemaProps: wire: inline ValidationRule: *": "it is a repeated field on the wire (x-kubernetes-validations = 44), not an inlined struct",
    "apiextensions/v1.JSONSchemaProps.x-kubernetes-*: wire number: *": "the .proto file has these fields under Go names (38 to 44)",
}

GROUPS = {
    "io.k8s.api.": "",
    "io.k8s.apimachinery.pkg.apis.": "",
    "io.k8s.apiextensions-apiserver.pkg.apis.": "",
    "io.k8s.kube-aggregator.pkg.apis.": "",
    "io.k8s.apimachinery.pkg.version.": "meta/v1.",
}
SCALARS = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "time",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "microtime",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "int-or-string",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "raw",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": "raw",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Patch": "raw",
    "boolean": "bool",
}
RAW_TYPES = {"JSON": "raw", "JSONSchemaPropsOrArray": "raw=or-array", "JSONSchemaPropsOrBool": "raw=or-bool", "JSONSchemaPropsOrStringArray": "raw=or-strings"}


def our_name(name):
    for prefix, fixed in GROUPS.items():
        if name.startswith(prefix):
            rest = name[len(prefix):]
            if fixed:
                return fixed + rest
            group, version, kind = rest.split(".")
            return f"{group}/{version}.{kind}"
    return name


def our_type(text):
    for prefix, suffix in (("[]", "[]"), ("map[string]", "{}")):
        if text.startswith(prefix):
            inner = our_type(text[len(prefix):])
            return inner + suffix
    if text in SCALARS:
        return SCALARS[text]
    if not text.startswith("io."):
        return text
    last = text.rsplit(".", 1)[1]
    if ".apiextensions." in text and last in RAW_TYPES:
        return RAW_TYPES[last]
    return "@" + our_name(text)


def read_schema():
    types, kinds = {}, []
    for path in sorted(ROOT.glob("*.txt")):
        if path.name in ("defaults.txt", "enums.txt", "kinds.txt"):
            continue
        for line in path.read_text().splitlines():
            if not line or line.startswith("#"):
                continue
            words = line.split()
            if not line.startswith(" "):
                current = types[words[1]] = {"fields": {}, "inline": {}, "atomic": "atomic" in words[2:], "kind": ""}
                for w in words[2:]:
                    if w.startswith("kind="):
                        current["kind"] = w[5:]
            elif words[0] == "inline":
                current["inline"][words[1]] = (int(words[2]) if "/" not in words[2] else words[2], {k: int(n) for k, n in (p.split(":") for p in words[3].split(","))})
            else:
                current["fields"][words[0]] = field_of(words)
    for line in (ROOT / "defaults.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            type_name, field, value = line.split(" ", 2)
            if field not in types.get(type_name, {"fields": {}})["fields"]:
                sys.exit(f"defaults.txt: {type_name} has no field {field}")
            types[type_name]["fields"][field]["default"] = json.loads(value)
    for line in (ROOT / "enums.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            type_name, field, values = line.split(" ")
            if field not in types.get(type_name, {"fields": {}})["fields"]:
                sys.exit(f"enums.txt: {type_name} has no field {field}")
            types[type_name]["fields"][field]["enum"] = values.split("|")
    for line in (ROOT / "kinds.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            kinds.append(kind_of(line.split()))
    return types, kinds


def field_of(words):
    f = {"proto": int(words[1]), "type": words[2], "required": "required" in words[3:], "enum": None, "atomic": "atomic" in words[3:],
         "granular": "granular" in words[3:], "list": "", "keys": [], "key": "", "strategy": []}
    for w in words[3:]:
        if w.startswith("list=map:"):
            f["list"], f["keys"] = "map", w[9:].split(",")
        elif w.startswith("list="):
            f["list"] = w[5:]
        elif w.startswith("merge="):
            f["key"] = w[6:]
            f["strategy"].append("merge")
        elif w == "merge":
            f["strategy"].append("merge")
        elif w.startswith("mergekey="):
            f["key"] = w[9:]
        elif w in ("retainKeys", "replace"):
            f["strategy"].append(w)
    return f


def kind_of(words):
    k = {"group": "" if words[0] == "core" else words[0], "version": words[1], "kind": words[2], "plural": words[3], "singular": words[4],
         "namespaced": words[5] == "namespaced", "verbs": [], "shortNames": [], "categories": [], "subresources": {}}
    for w in words[6:]:
        if w == "verbs=all":
            k["verbs"] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
        elif w.startswith("verbs="):
            k["verbs"] = w[6:].split(",")
        elif w.startswith("short="):
            k["shortNames"] = w[6:].split(",")
        elif w.startswith("categories="):
            k["categories"] = w[11:].split(",")
        elif w.startswith("sub="):
            for piece in w[4:].split(","):
                name, rest = piece.split(":", 1)
                kind, verbs = rest.split("=")
                k["subresources"][name] = (kind, sorted(verbs.split("+")))
    return k


def compare_field(place, ours, fact, out):
    def differ(what, have, want):
        if have != want:
            out.append(f"{place}: {what}: is {have!r}, should be {want!r}")

    differ("type", ours["type"], our_type(fact["type"]))
    differ("wire number", ours["proto"], fact.get("proto", 0))
    differ("required", ours["required"], fact.get("required", False))
    differ("list type", ours["list"], fact.get("listType", ""))
    differ("list map keys", ours["keys"], fact.get("listMapKeys", []))
    differ("merge key", ours["key"], fact.get("mergeKey", ""))
    differ("patch strategy", sorted(ours["strategy"]), sorted(s for s in fact.get("patchStrategy", "").split(",") if s))
    differ("map type", "atomic" if ours["atomic"] else "granular" if ours["granular"] else "", fact.get("mapType", ""))
    if "default" in fact and fact["default"] not in ({}, "", 0):
        differ("default", ours.get("default"), fact["default"])
    if "enum" in fact:
        differ("enum", sorted(ours["enum"] or []), sorted(fact["enum"]))


def compare_types(types, facts):
    out, wanted = [], {}
    for name, fact in facts.items():
        if name not in SCALARS and name.rsplit(".", 1)[1] not in RAW_TYPES:
            wanted[our_name(name)] = fact
    for name in sorted(set(types) - set(wanted)):
        out.append(f"{name}: type: there is no such type")
    for name, fact in sorted(wanted.items()):
        if name not in types:
            out.append(f"{name}: type: is missing")
            continue
        ours = types[name]
        if ours["atomic"] != (fact.get("mapType") == "atomic"):
            out.append(f"{name}: map type: is atomic {ours['atomic']}, should be {fact.get('mapType')!r}")
        gvk = ["/".join((g["group"], g["version"], g["kind"])) for g in fact.get("gvk", [])]
        if (ours["kind"] or None) != (gvk[0] if gvk else None):
            out.append(f"{name}: kind: is {ours['kind']!r}, should be {gvk!r}")
        inlined = {i["message"]: (i["proto"], i["fields"]) for i in fact.get("wireInlined", [])}
        for message in sorted(set(inlined) | set(ours["inline"])):
            if inlined.get(message) != ours["inline"].get(message):
                out.append(f"{name}: wire: inline {message}: is {ours['inline'].get(message)}, should be {inlined.get(message)}")
        fields = fact.get("fields", {})
        for field in sorted(set(fields) | set(ours["fields"])):
            place = f"{name}.{field}"
            if field not in fields:
                out.append(f"{place}: there is no such field")
            elif field not in ours["fields"]:
                out.append(f"{place}: is missing")
            else:
                compare_field(place, ours["fields"][field], fields[field], out)
    return out


def compare_kinds(kinds, facts, types):
    out = []
    ours = {(k["group"], k["version"], k["plural"]): k for k in kinds}
    theirs = {(r["group"], r["version"], r["plural"]): r for r in facts}
    for key in sorted(set(ours) | set(theirs)):
        place = "/".join(key)
        if key not in ours or key not in theirs:
            out.append(f"{place}: is {'not in the facts' if key in ours else 'missing'}")
            continue
        k, r = ours[key], theirs[key]
        for what, otherwise in (("kind", ""), ("singular", ""), ("namespaced", None)):
            if k[what] != r.get(what, otherwise):
                out.append(f"{place}: {what}: is {k[what]!r}, should be {r.get(what)!r}")
        for what in ("verbs", "shortNames", "categories"):
            if sorted(k[what]) != sorted(r.get(what, [])):
                out.append(f"{place}: {what}: is {k[what]!r}, should be {r.get(what, [])!r}")
        subs = {}
        for name, s in r.get("subresources", {}).items():
            kind = s["kind"] if not s.get("version") else f"{s['group'] or 'core'}/{s['version']}/{s['kind']}"
            subs[name] = (kind, sorted(s["verbs"]))
        for name in sorted(set(subs) | set(k["subresources"])):
            if subs.get(name) != k["subresources"].get(name):
                out.append(f"{place}/{name}: subresource: is {k['subresources'].get(name)}, should be {subs.get(name)}")
    return out


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    facts = json.loads(pathlib.Path(sys.argv[1]).read_text())
    types, kinds = read_schema()
    left = explained = 0
    for line in compare_types(types, facts["types"]) + compare_kinds(kinds, facts["resources"], types):
        reason = next((why for pattern, why in EXPLAINED.items() if fnmatch.fnmatch(line, pattern)), None)
        if reason:
            explained += 1
            print(f"explained  {line} ({reason})")
        else:
            left += 1
            print(f"DIFFERENT  {line}")
    fields = sum(len(t["fields"]) for t in types.values())
    print(f"{len(kinds)} kinds, {len(types)} types, {fields} fields: {left} differences, {explained} explained")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
