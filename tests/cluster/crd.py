# SPDX-License-Identifier: Apache-2.0
"""CustomResourceDefinitions as kube-apiserver takes them: the same definitions, good and bad, and the same objects of
them go to it and to the standalone API server, and what they answer must be the same.

    crd.py KUBECONFIG HOST_PROGRAM PLUGIN.so [SCENARIO ...]

Of a refusal the code, the reason and each cause's reason and field count, not its words (these too with
AMBIENT_CRD_WORDS=1).
"""
import copy
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import apply  # noqa: E402
import apilib  # noqa: E402
from crd_objects import embedded, ending, ratcheting, retyping, served  # noqa: E402
from crd_rules import costs, shared  # noqa: E402
from crd_side import CRDS, DIFFERENT, Side, array, column, fields, integer, scale, shown, string, thing  # noqa: E402

# ---- scenarios

# What a property may say; in a spec that is an object.
SCHEMAS = {
    "no type": {},
    "unknown type": {"type": "strin"},
    "no items": {"type": "array"},
    "items is a list": {"type": "array", "items": [string()]},
    "unique items": array(string(), uniqueItems=True),
    "reference": string(**{"$ref": "#/x"}),
    "pattern properties": thing(patternProperties={"a": string()}),
    "both properties": thing({"a": string()}, additionalProperties=string()),
    "no additional properties": thing(additionalProperties=False),
    "any additional properties": thing(additionalProperties=True),
    "type in anyOf": string(anyOf=[string()]),
    "default in anyOf": string(anyOf=[{"default": "a"}]),
    "description in allOf": string(allOf=[{"description": "a"}]),
    "title in not": string(**{"not": {"title": "a"}}),
    "nullable in oneOf": string(oneOf=[{"nullable": True}]),
    "properties in anyOf without structure": thing({"a": string()}, anyOf=[{"properties": {"b": {"pattern": "x"}}}]),
    "properties in anyOf with structure": thing({"a": string()}, anyOf=[{"properties": {"a": {"pattern": "x"}}}]),
    "items in allOf without structure": thing({"a": string()}, allOf=[{"properties": {"a": {"items": {"pattern": "x"}}}}]),
    "items in allOf with structure": array(string(), allOf=[{"items": {"pattern": "x"}}]),
    "additionalProperties in allOf": thing(additionalProperties=string(), allOf=[{"additionalProperties": {"pattern": "x"}}]),
    "list type in anyOf": array(string(), anyOf=[{"x-kubernetes-list-type": "set"}]),
    "preserve in anyOf": thing({"a": string()}, anyOf=[{"x-kubernetes-preserve-unknown-fields": True}]),
    "rules in anyOf": thing({"a": string()}, anyOf=[{"x-kubernetes-int-or-string": True}]),
    "nested junctors": string(allOf=[{"anyOf": [{"not": {"type": "string"}}]}]),
    "int or string": {"x-kubernetes-int-or-string": True},
    "int or string, first idiom": {"x-kubernetes-int-or-string": True, "anyOf": [integer(), string()]},
    "int or string, second idiom": {"x-kubernetes-int-or-string": True, "allOf": [{"anyOf": [integer(), string()]},
                                                                                     {"maximum": 5}]},
    "int or string, wrong order": {"x-kubernetes-int-or-string": True, "anyOf": [string(), integer()]},
    "int or string, three": {"x-kubernetes-int-or-string": True, "anyOf": [integer(), string(), {"type": "boolean"}]},
    "int or string, more": {"x-kubernetes-int-or-string": True, "anyOf": [integer(maximum=3), string()]},
    "int or string with a type": string(**{"x-kubernetes-int-or-string": True}),
    "idiom without the flag": {"anyOf": [integer(), string()]},
    "preserve": {"x-kubernetes-preserve-unknown-fields": True},
    "preserve false": thing(**{"x-kubernetes-preserve-unknown-fields": False}),
    "preserve on a string": string(**{"x-kubernetes-preserve-unknown-fields": True}),
    "embedded": thing({"a": string()}, **{"x-kubernetes-embedded-resource": True}),
    "embedded without anything": thing(**{"x-kubernetes-embedded-resource": True}),
    "embedded that preserves": thing(**{"x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}),
    "embedded string": string(**{"x-kubernetes-embedded-resource": True}),
    "embedded metadata": thing({"metadata": thing({"name": string(pattern="a")})}, **{"x-kubernetes-embedded-resource": True}),
    "embedded metadata labels": thing({"metadata": thing({"labels": thing()})}, **{"x-kubernetes-embedded-resource": True}),
    "embedded apiVersion": thing({"apiVersion": string(), "kind": integer()}, **{"x-kubernetes-embedded-resource": True}),
    "metadata somewhere": thing({"metadata": thing({"labels": thing(additionalProperties=string())})}),
    "set of strings": array(string(), **{"x-kubernetes-list-type": "set"}),
    "set of objects": array(thing({"a": string()}), **{"x-kubernetes-list-type": "set"}),
    "set of atomic objects": array(thing({"a": string()}, **{"x-kubernetes-map-type": "atomic"}),
                                   **{"x-kubernetes-list-type": "set"}),
    "set of lists": array(array(string()), **{"x-kubernetes-list-type": "set"}),
    "set of atomic lists": array(array(string(), **{"x-kubernetes-list-type": "atomic"}), **{"x-kubernetes-list-type": "set"}),
    "set of nullable": array(string(nullable=True), **{"x-kubernetes-list-type": "set"}),
    "unknown list type": array(string(), **{"x-kubernetes-list-type": "bag"}),
    "list type of no list": string(**{"x-kubernetes-list-type": "set"}),
    "map without keys": array(thing({"a": string()}), **{"x-kubernetes-list-type": "map"}),
    "map keys without map": array(thing({"a": string()}, required=["a"]), **{"x-kubernetes-list-map-keys": ["a"]}),
    "map by required": array(thing({"a": string()}, required=["a"]), **{"x-kubernetes-list-type": "map",
                                                                           "x-kubernetes-list-map-keys": ["a"]}),
    "map by defaulted": array(thing({"a": string(default="x")}), **{"x-kubernetes-list-type": "map",
                                                                       "x-kubernetes-list-map-keys": ["a"]}),
    "map by neither": array(thing({"a": string()}), **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"]}),
    "map by unknown": array(thing({"a": string()}), **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["b"]}),
    "map by twice": array(thing({"a": string()}, required=["a"]), **{"x-kubernetes-list-type": "map",
                                                                        "x-kubernetes-list-map-keys": ["a", "a"]}),
    "map by nullable": array(thing({"a": string(nullable=True)}, required=["a"]),
                             **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"]}),
    "map by object": array(thing({"a": thing({"b": string()})}, required=["a"]),
                           **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"]}),
    "map of nullable": array(thing({"a": string()}, required=["a"], nullable=True),
                             **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"]}),
    "map of strings": array(string(), **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"]}),
    "map type": thing({"a": string()}, **{"x-kubernetes-map-type": "atomic"}),
    "unknown map type": thing({"a": string()}, **{"x-kubernetes-map-type": "loose"}),
    "map type of a string": string(**{"x-kubernetes-map-type": "atomic"}),
    "default": integer(default=3),
    "default of the wrong type": integer(default="a"),
    "default out of bounds": integer(default=9, maximum=5),
    "default null": string(default=None),
    "default null, nullable": string(default=None, nullable=True),
    "default that would be pruned": thing({"a": string()}, default={"b": 1}),
    "default with metadata": thing({"a": string()}, default={"a": "x", "metadata": {}}),
    "default of a map": thing(additionalProperties=string(), default={"k": "v"}),
    "default in items": array(string(default="a")),
    "default of embedded": thing({"a": string()}, default={"a": "x", "kind": "K", "apiVersion": "v1"},
                                 **{"x-kubernetes-embedded-resource": True}),
    "incomplete default of embedded": thing({"a": string()}, default={"a": "x"}, **{"x-kubernetes-embedded-resource": True}),
    "default that misses a required field": thing({"a": string(), "b": string()}, required=["b"], default={"a": "x"}),
    "default completed by others": thing({"a": string(default="y")}, required=["a"], default={}),
    "bad pattern": string(pattern="("),
    "back reference": string(pattern="(a)\\1"),
    "unknown format": string(format="unheard-of"),
    "negative length": string(minLength=-1),
    "max below min": string(minLength=5, maxLength=3),
    "multiple of nothing": integer(multipleOf=0),
    "enum": string(enum=["a", "b"]),
    "enum of another type": string(enum=[1]),
    "nullable": string(nullable=True),
    "enum twice": string(enum=["a", "a"]),
    "empty enum": string(enum=[]),
    "unknown keyword": string(frobnicate=True),
    "required unknown": thing({"a": string()}, required=["b"]),
    "required twice": thing({"a": string()}, required=["a", "a"]),
}


def schemas(side):
    for i, (name, x) in enumerate(SCHEMAS.items()):
        crd = side.crd("x%ds" % i, side.version(copy.deepcopy(x)))
        if side.post(crd, name):
            side.api.delete(CRDS + "/" + crd["metadata"]["name"])


# What the whole schema may say.
ROOTS = {
    "no type": {"properties": {"spec": thing()}},
    "array": array(string()),
    "empty object": thing(),
    "nullable": thing(nullable=True),
    "preserve": thing(**{"x-kubernetes-preserve-unknown-fields": True}),
    "root default": thing({"spec": thing()}, default={}),
    "metadata name": thing({"metadata": thing({"name": string(pattern="^a"), "generateName": string(maxLength=5)})}),
    "metadata labels": thing({"metadata": thing({"labels": thing(additionalProperties=string())})}),
    "metadata without type": thing({"metadata": {"description": "x"}}),
    "metadata as object": thing({"metadata": thing()}),
    "metadata as string": thing({"metadata": string()}),
    "metadata required": thing({"metadata": thing({"name": string()}, required=["name"])}),
    "metadata default": thing({"metadata": thing({"name": string(default="x")})}),
    "metadata in anyOf": thing({"spec": thing()}, anyOf=[{"properties": {"metadata": {"properties": {"labels": {}}}}}]),
    "metadata name in anyOf": thing({"spec": thing()}, anyOf=[{"properties": {"metadata": {"properties": {
        "name": {"enum": ["a"]}}}}}]),
    "apiVersion as integer": thing({"apiVersion": integer()}),
    "kind": thing({"kind": string(), "apiVersion": string()}),
    "kind with an enum": thing({"kind": string(enum=["a"])}),
    "embedded root": thing({"spec": thing()}, **{"x-kubernetes-embedded-resource": True}),
    "additional properties": thing(additionalProperties=string()),
}


def roots(side):
    for i, (name, root) in enumerate(ROOTS.items()):
        version = side.version()
        version["schema"]["openAPIV3Schema"] = copy.deepcopy(root)
        for more in ({}, {"subresources": {"status": {}}}):
            version.update(more)
            crd = side.crd("r%d%ss" % (i, "s" if more else ""), version)
            if side.post(crd, "%s%s" % (name, " with a status subresource" if more else "")):
                side.api.delete(CRDS + "/" + crd["metadata"]["name"])


# What a version may say besides its schema.
VERSIONS = {
    "upper case name": {"name": "V1"},
    "any name": {"name": "alpha"},
    "name with a dot": {"name": "v1.2"},
    "no name": {"name": ""},
    "not stored": {"storage": False},
    "no schema": {"schema": None},
    "empty schema": {"schema": {}},
    "deprecated": {"deprecated": True},
    "warning": {"deprecated": True, "deprecationWarning": "use v2"},
    "warning without deprecated": {"deprecationWarning": "use v2"},
    "long warning": {"deprecated": True, "deprecationWarning": "x" * 257},
    "empty warning": {"deprecated": True, "deprecationWarning": ""},
    "multi-line warning": {"deprecated": True, "deprecationWarning": "a\nb"},
    "column": column(),
    "column without a name": column(name=""),
    "column without a type": column(type=""),
    "column of unknown type": column(type="object"),
    "column of every format": {"additionalPrinterColumns": [
        {"name": f, "type": "string", "format": f, "jsonPath": ".spec.x"} for f in
        ("int32", "int64", "float", "double", "byte", "date", "date-time", "password")]},
    "column of unknown format": column(format="colour"),
    "column without a path": column(jsonPath=""),
    "column without a dot": column(jsonPath="spec.x"),
    "column of a bad path": column(jsonPath=".spec.x["),
    "column in braces": column(jsonPath="{.spec.x}"),
    "column with an index": column(jsonPath=".spec.x[0].y"),
    "column with a filter": column(jsonPath='.status.conditions[?(@.type=="Ready")].status'),
    "column with a quoted filter": column(jsonPath=".status.conditions[?(@.type=='Ready')].status"),
    "column with a wildcard": column(jsonPath=".spec.x[*].y"),
    "column with a slice": column(jsonPath=".spec.x[0:2]"),
    "column with a union": column(jsonPath=".spec['x','y']"),
    "column with a quoted key": column(jsonPath=".metadata.annotations['a/b']"),
    "column with an escaped key": column(jsonPath=".metadata.annotations.a\\.b/c"),
    "column with a recursion": column(jsonPath="..x"),
    "column with an open filter": column(jsonPath=".a[?(@.b=="),
    "column of a date": column(type="date"),
    "negative priority": column(priority=-1),
    "two columns of a name": {"additionalPrinterColumns": [{"name": "A", "type": "string", "jsonPath": ".spec.x"}] * 2},
    "scale": scale(),
    "scale without paths": {"subresources": {"scale": {}}},
    "scale without a status path": {"subresources": {"scale": {"specReplicasPath": ".spec.replicas"}}},
    "scale elsewhere": scale(specReplicasPath=".status.replicas", statusReplicasPath=".spec.replicas"),
    "scale by an index": scale(specReplicasPath=".spec.a[0]"),
    "scale without a dot": scale(specReplicasPath="spec.replicas"),
    "scale with a selector": scale(labelSelectorPath=".status.selector"),
    "scale with a selector in spec": scale(labelSelectorPath=".spec.selector"),
    "scale with a selector in metadata": scale(labelSelectorPath=".metadata.selector"),
    "scale with an empty step": scale(specReplicasPath=".spec..replicas"),
    "scale of the whole spec": scale(specReplicasPath=".spec."),
    "selectable": fields(".spec.x"),
    "selectable twice": fields(".spec.x", ".spec.x"),
    "selectable nine": fields(*[".spec.x"] + [".status.a%d" % i for i in range(8)]),
    "selectable unknown": fields(".spec.y"),
    "selectable object": fields(".spec"),
    "selectable metadata": fields(".metadata.name"),
    "selectable metadata labels": fields(".metadata.labels"),
    "selectable without a dot": fields("spec.x"),
    "selectable empty": fields(""),
    "selectable in braces": fields("{.spec.x}"),
    "selectable index": fields(".spec.x[0]"),
    "selectable of status": fields(".status.n"),
    "selectable kind": fields(".kind"),
    "selectable quoted": fields(".spec['x']"),
    "selectable escaped": fields(".spec.\\x"),
    "selectable with a space": fields(".spec.x "),
    "selectable filter": fields(".spec[?(@.a=='b')]"),
}


def versions(side):
    for i, (name, more) in enumerate(VERSIONS.items()):
        crd = side.crd("v%ds" % i, {**side.version(), **copy.deepcopy(more)})
        if side.post(crd, name):
            side.api.delete(CRDS + "/" + crd["metadata"]["name"])


def whole(side):
    """What else of a definition is checked."""
    def without(path):
        def edit(crd):
            at = crd
            for k in path[:-1]:
                at = at[k]
            at.pop(path[-1], None)
        return edit

    def put(path, value):
        def edit(crd):
            at = crd
            for k in path[:-1]:
                at = at.setdefault(k, {})
            at[path[-1]] = value
        return edit

    names = ("spec", "names")
    edits = {
        "no group": without(("spec", "group")),
        "no scope": without(("spec", "scope")),
        "unknown scope": put(("spec", "scope"), "Global"),
        "no names": without(names),
        "no plural": without(names + ("plural",)),
        "no kind": without(names + ("kind",)),
        "no versions": put(("spec", "versions"), []),
        "another name": put(("metadata", "name"), "others." + side.group),
        "group without a dot": lambda c: (put(("spec", "group"), "widgets")(c), put(("metadata", "name"), c["spec"]["names"]["plural"] + ".widgets")(c)),
        "upper case group": put(("spec", "group"), "A.b"),
        "upper case plural": put(names + ("plural",), "Things"),
        "upper case singular": put(names + ("singular",), "Thing"),
        "kind with a dot": put(names + ("kind",), "Th.ing"),
        "kind that begins with a digit": put(names + ("kind",), "1Thing"),
        "list kind with a dot": put(names + ("listKind",), "Th.ings"),
        "list kind is the kind": lambda c: put(names + ("listKind",), c["spec"]["names"]["kind"])(c),
        "bad short name": put(names + ("shortNames",), ["A_B"]),
        "bad category": put(names + ("categories",), ["A_B"]),
        "same short name twice": put(names + ("shortNames",), ["qq", "qq"]),
        "webhook": put(("spec", "conversion"), {"strategy": "Webhook"}),
        "unknown strategy": put(("spec", "conversion"), {"strategy": "Magic"}),
        "webhook without strategy": put(("spec", "conversion"), {"strategy": "None", "webhook": {
            "conversionReviewVersions": ["v1"], "clientConfig": {"url": "https://127.0.0.1/x"}}}),
        "preserveUnknownFields": put(("spec", "preserveUnknownFields"), True),
        "two storage versions": lambda c: c["spec"]["versions"].append({**side.version(name="v2"), "storage": True}),
        "same version twice": lambda c: c["spec"]["versions"].append({**side.version(), "storage": False}),
        "nothing served": lambda c: c["spec"]["versions"][0].update(served=False),
        "two versions": lambda c: c["spec"]["versions"].append(side.version(name="v2")),
    }
    for i, (name, edit) in enumerate(edits.items()):
        crd = side.crd("w%ds" % i)
        edit(crd)
        if name == "webhook":  # on purpose refused by ours: nothing here calls webhooks
            continue
        if side.post(crd, name):
            side.api.delete(CRDS + "/" + crd["metadata"]["name"])


def conflicts(side):
    """Names that are taken, and free again."""
    def refused(conditions):
        return conditions.get("NamesAccepted", {}).get("status") == "False" and \
            conditions.get("Established", {}).get("reason") == "NotAccepted"

    side.serve(side.crd("firsts", kind="First", singular="first", shortNames=["fi", "fst"], listKind="FirstList"))
    rows = {
        "kinds": dict(kind="First", singular="a", listKind="AList"),
        "listkinds": dict(kind="B", singular="b", listKind="FirstList"),
        "kindislists": dict(kind="FirstList", singular="bb", listKind="BbList"),
        "singulars": dict(kind="C", singular="first"),
        "singularisplurals": dict(kind="Cc", singular="firsts"),
        "singularisshorts": dict(kind="Ccc", singular="fi"),
        "shorts": dict(kind="D", singular="d", shortNames=["fst", "own"]),
        "shortissingulars": dict(kind="E", singular="e", shortNames=["first"]),
        "shortisplurals": dict(kind="F", singular="f", shortNames=["firsts"]),
        "everythings": dict(kind="First", singular="first", shortNames=["fi"], listKind="FirstList"),
        "first": dict(kind="G", singular="g"),
        "fi": dict(kind="H", singular="h"),
    }
    for plural, names in rows.items():
        if side.post(side.crd(plural, **names)):
            side.settled("%s.%s" % (plural, side.group), refused)
    # A served definition that asks for a name of another one keeps what it has.
    side.serve(side.crd("seconds", kind="Second"))
    if side.change("seconds." + side.group, lambda o: o["spec"]["names"].update(shortNames=["fi"]), "take a short name"):
        side.settled("seconds." + side.group, lambda c: c["NamesAccepted"]["status"] == "False")
        side.change("seconds." + side.group, lambda o: o["spec"]["names"].update(shortNames=["se"]), "give it back")
        side.settled("seconds." + side.group, lambda c: c["NamesAccepted"]["status"] == "True")
    for plural in ("kinds", "listkinds", "kindislists", "singularisplurals", "singularisshorts", "shortissingulars",
                   "shortisplurals", "everythings", "first", "fi", "shorts"):
        side.api.delete("%s/%s.%s" % (CRDS, plural, side.group))
    side.api.delete("%s/firsts.%s" % (CRDS, side.group))
    side.settled("singulars." + side.group)


def approval(side):
    """Groups of Kubernetes' own domains."""
    key, group = "api-approved.kubernetes.io", side.group.split(".")[0] + ".k8s.io"

    def approved(value, plural):
        crd = side.crd(plural, group=group)
        crd["metadata"]["annotations"] = {key: value}
        return crd

    side.post(side.crd("nones", group=group))
    side.post(approved("", "empties"))
    side.post(approved("yes", "words"))
    for plural, value in (("urls", "https://github.com/kubernetes/enhancements/pull/1111"), ("nots", "unapproved, for now")):
        if side.post(approved(value, plural)):
            side.settled("%s.%s" % (plural, group), lambda c: "KubernetesAPIApprovalPolicyConformant" in c and
                         c.get("Established", {}).get("status") == "True")
    for value, what in ((None, "no approval any more"), ("rubbish", "a bad approval")):
        if side.change("urls." + group, lambda o: o["metadata"].update(annotations={key: value} if value else {}), what):
            side.settled("urls." + group, lambda c: c["KubernetesAPIApprovalPolicyConformant"]["status"] == "False")


def several(side):
    """Several versions, what is stored, what is deprecated."""
    v1 = side.version(thing({"a": string(), "one": integer(default=1)}))
    v2 = side.version(thing({"a": string(), "two": integer(default=2)}), name="v2", deprecated=True,
                      deprecationWarning="v2 goes", served=True)
    v3 = side.version(thing({"a": string()}), name="v3alpha1", deprecated=True)
    crd = side.serve(side.crd("multis", v1, v2, v3))
    name = crd["metadata"]["name"]
    group = side.api.get("/apis/" + side.group).ok()
    side.note("versions", [v["version"] for v in group["versions"]])
    side.note("preferred", group["preferredVersion"]["version"])

    def see(what, version, n="o"):
        a = side.answer("%s in %s" % (what, version), side.api.get(side.at(crd, version, n)), shown)
        side.note("warnings", a.warnings)

    a = side.api.post(side.at(crd, "v2"), side.object(crd, "o", "v2", spec={"x": {"a": "s", "one": 5, "two": 6}}))
    side.answer("create in v2", a, shown)
    side.note("warnings", a.warnings)
    for v in ("v1", "v2", "v3alpha1"):
        see("read", v)
    side.answer("list in v3", side.api.get(side.at(crd, "v3alpha1")), lambda o: [shown(i) for i in o["items"]])

    def flip(o):
        for v in o["spec"]["versions"]:
            v["storage"] = v["name"] == "v2"
    side.change(name, flip, "store v2")
    side.settled(name, lambda c: "v2" in side.api.get(CRDS + "/" + name).json["status"]["storedVersions"])
    # What was stored before keeps its shape on a real server until it is written again; ours shows it in the new one.
    side.change(name, lambda o: o["spec"]["versions"].pop(0), "remove v1, still stored")

    def forget(o):
        o["status"]["storedVersions"] = ["v2"]
    o = side.api.get(CRDS + "/" + name).json
    o["status"]["storedVersions"] = ["v2"]
    o = side.api.get(CRDS + "/" + name).json
    o["status"]["storedVersions"] = []
    side.answer("forget all", side.api.put("%s/%s/status" % (CRDS, name), o))
    o["status"]["storedVersions"] = ["v1"]
    side.answer("forget the one that is stored", side.api.put("%s/%s/status" % (CRDS, name), o))
    o["status"]["storedVersions"] = ["v2", "v9"]
    side.answer("invent one", side.api.put("%s/%s/status" % (CRDS, name), o))
    o["status"]["storedVersions"] = ["v2"]
    side.answer("forget v1", side.api.put("%s/%s/status" % (CRDS, name), o))
    # A real server cannot read, nor even delete, what is stored in a version that is gone.
    side.api.merge(side.at(crd, "v2", "o"), {"metadata": {"labels": {"stored": "anew"}}}).ok()
    side.change(name, lambda o: o["spec"]["versions"].pop(0), "remove v1")
    apilib.eventually(lambda: side.api.get(side.at(crd, "v1", "o")).status == 404)
    see("read what v1 had stored", "v2")
    side.change(name, lambda o: o["spec"]["versions"][0].update(served=False), "serve v2 no more")
    apilib.eventually(lambda: side.api.get(side.at(crd, "v2", "o")).status == 404)
    see("read what is stored in a version that is not served", "v3alpha1")
    for path, value, what in (("scope", "Cluster", "scope"), ("group", "other.example.com", "group")):
        side.change(name, lambda o, p=path, v=value: o["spec"].update({p: v}), "change the " + what)
    for path, value in (("plural", "others"), ("kind", "Other"), ("listKind", "OtherList"), ("singular", "other")):
        side.change(name, lambda o, p=path, v=value: o["spec"]["names"].update({p: v}), "change the " + path)


SCENARIOS = [schemas, roots, versions, whole, conflicts, approval, several, ratcheting, served, costs, shared, embedded, retyping, ending]


def run(scenario, pair):
    wrong = 0
    for side in pair:
        side.seen = []
        try:
            scenario(side)
        except Exception as e:  # the other one is asked all the same
            wrong += 1
            print(apilib.said(e))
        side.clean()
    ours, real = (s.seen for s in pair)
    for a, b in zip(ours, real):
        if json.dumps(a, sort_keys=True) != json.dumps(b, sort_keys=True) and a[0] not in DIFFERENT:
            wrong += 1
            print("%s: %s" % (scenario.__name__, a[0]))
            print("\n".join("    " + d for d in list(apply.differences(json.loads(json.dumps(a)), json.loads(json.dumps(b))))[:6]))
    if len(ours) != len(real):
        wrong += 1
        print("%s: %d observations of ours, %d of the real server" % (scenario.__name__, len(ours), len(real)))
    print("%s: %d observations, %d differ" % (scenario.__name__, len(real), wrong))
    return wrong


def main(argv):
    fixture = apilib.Fixture(argv[2], argv[3], [])
    group = apilib.rand() + ".example.com"
    try:
        pair = [Side(api, group) for api in (fixture.api, apply.real_client(argv[1], fixture.state))]
        wrong = sum(run(s, pair) for s in SCENARIOS if not argv[4:] or s.__name__ in argv[4:])
    finally:
        fixture.stop()
        shutil.rmtree(fixture.state, ignore_errors=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
