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

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WORDS = bool(os.environ.get("AMBIENT_CRD_WORDS"))


def string(**more):
    return {"type": "string", **more}


def integer(**more):
    return {"type": "integer", **more}


def thing(properties=None, **more):
    return {"type": "object", **({"properties": properties} if properties else {}), **more}


def array(items, **more):
    return {"type": "array", "items": items, **more}


# On purpose.
DIFFERENT = {
    "unknown keyword": "what is not evaluated is refused, not dropped",
    "negative length": "no value could ever satisfy it",
    "multiple of nothing": "no value could ever satisfy it",
    "empty enum": "it is kept as it was written",
    "list type in anyOf": "one cause is enough",
    "idiom without the flag": "every wrong type is named",
    "scale by an index": "a path of /scale names its steps by dots",
    "an alternative that holds no more": "the path is named",
    **{"patch scale {'spec': {'replicas': %s}}" % r: "the field is that of the Scale" for r in ("-1", "2147483648", "'x'")},
    "apply scale by force": "the real one cannot apply to the scale of a custom resource: 500",
    "owners": "so there is none",
    "put of less than none": "the field is that of the Scale",
    "selectable nine": "a ninth one is counted besides",
}


class Side:
    """One of the two servers, and what was seen of it."""

    def __init__(self, api, group):
        self.api, self.group, self.seen, self.made = api, group, [], []

    def note(self, what, value):
        self.seen.append((what, value))

    def answer(self, what, a, show=lambda o: None):
        if a.raw[:1] != b"{":
            self.note(what, {"code": a.status})
            return a
        o = a.json
        if o.get("kind") == "Status" and o.get("status") == "Failure":
            causes = sorted({(c.get("reason", ""), c.get("field", "")) + ((c["message"],) if WORDS else ())
                             for c in o.get("details", {}).get("causes", []) if c.get("field") != "spec.version"})
            self.note(what, {"code": a.status, "reason": o.get("reason"), "causes": causes,
                             **({"message": o["message"]} if WORDS and not causes else {})})
        else:
            self.note(what, {"code": a.status, "shows": show(o)})
        return a

    def version(self, x=None, name="v1", **more):
        """A version whose spec is an object with x, or what x makes of it."""
        root = {"type": "object", "properties": {"spec": thing({"x": x or string()}), "status": thing(
            {"n": integer(), "s": string()})}}
        return {"name": name, "served": True, "storage": name == "v1", "schema": {"openAPIV3Schema": root}, **more}

    def crd(self, plural, *versions, kind=None, group=None, **names):
        group = group or self.group
        return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": "%s.%s" % (plural, group)},
                "spec": {"group": group, "scope": "Namespaced",
                         "names": {"plural": plural, "kind": kind or plural.capitalize(), **names},
                         "versions": list(versions) or [self.version()]}}

    def post(self, crd, what=None):
        a = self.answer(what or "create " + crd["metadata"]["name"], self.api.post(CRDS, crd), lambda o: o["spec"])
        if a.status == 201:
            self.made.append(a.json["metadata"]["name"])
        return a.status == 201

    def settled(self, name, wanted="Established"):
        """What the status says once it says that."""
        def look():
            o = self.api.get(CRDS + "/" + name).ok()
            conditions = {c["type"]: c for c in o.get("status", {}).get("conditions") or []}
            # The real one says Installing first and, while it is not sure, several things.
            ready = wanted(conditions) if callable(wanted) else conditions.get(wanted, {}).get("status") == "True"
            return o if ready else None
        o = apilib.eventually(look, what="%s never is %s" % (name, wanted))
        conditions = sorted((c["type"], c["status"], c["reason"], c["message"]) for c in o["status"]["conditions"])
        self.note("status of " + name, {"conditions": conditions, "accepted": o["status"].get("acceptedNames"),
                                        "stored": o["status"].get("storedVersions")})
        return o

    def change(self, name, edit, what):
        for _ in range(10):  # the status is written by others meanwhile
            o = self.api.get(CRDS + "/" + name).ok()
            edit(o)
            a = self.api.put(CRDS + "/" + name, o)
            if a.status != 409:
                break
        self.answer(what, a, lambda o: o["spec"])
        return a.status == 200

    def serve(self, crd):
        assert self.post(crd), self.seen[-1]
        name = crd["metadata"]["name"]
        self.settled(name)
        for v in crd["spec"]["versions"]:
            if v["served"]:
                apilib.eventually(lambda v=v: self.api.get(self.at(crd, v["name"])).status == 200, what=name)
        return crd

    def at(self, crd, version="v1", name=None):
        return "/apis/%s/%s/namespaces/default/%s%s" % (crd["spec"]["group"], version, crd["spec"]["names"]["plural"],
                                                        "/" + name if name else "")

    def object(self, crd, name, version="v1", **fields):
        return {"apiVersion": "%s/%s" % (crd["spec"]["group"], version), "kind": crd["spec"]["names"]["kind"],
                "metadata": {"name": name}, **fields}

    def clean(self):
        for name in self.made:
            self.api.delete(CRDS + "/" + name)
        for name in self.made:
            apilib.eventually(lambda n=name: self.api.get(CRDS + "/" + n).status == 404, what=name + " stays")
        self.made = []


def shown(o):
    return {k: v for k, v in o.items() if k != "metadata"}


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


def column(**c):
    return {"additionalPrinterColumns": [{"name": "A", "type": "string", "jsonPath": ".spec.x", **c}]}


def scale(**s):
    return {"subresources": {"scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas", **s}}}


def fields(*paths):
    return {"selectableFields": [{"jsonPath": p} for p in paths]}


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


def ratcheting(side):
    """What was stored under a laxer schema."""
    items = array(thing({"name": string(), "v": string()}, required=["name"]), **{
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]})
    lax = thing({"s": string(), "l": items, "plain": array(string()), "set": array(string(), **{"x-kubernetes-list-type": "set"}),
                 "o": thing({"a": string(), "b": string()}), "m": thing(additionalProperties=string()),
                 "any": thing(**{"x-kubernetes-preserve-unknown-fields": True}), "n": integer()})
    crd = side.serve(side.crd("ratchets", side.version(lax)))
    old = {"s": "long", "l": [{"name": "p", "v": "long"}, {"name": "q", "v": "ok"}], "plain": ["long", "ok"],
           "set": ["long", "ok"], "o": {"a": "long"}, "m": {"k": "long"}, "any": {"z": 1}, "n": 50}
    side.answer("create", side.api.post(side.at(crd), side.object(crd, "o", spec={"x": old})), shown)
    strict = copy.deepcopy(lax)
    p = strict["properties"]
    p["s"]["maxLength"] = 2
    p["l"]["items"]["properties"]["v"]["maxLength"] = 2
    p["plain"]["items"]["maxLength"] = 2
    p["set"]["items"]["maxLength"] = 2
    p["o"]["properties"]["a"]["maxLength"] = 2
    p["o"]["required"] = ["b"]
    p["m"]["additionalProperties"]["enum"] = ["ok"]
    p["n"]["maximum"] = 10
    strict["anyOf"] = [{"required": ["nowhere"]}, {"required": ["s"]}]
    strict["allOf"] = [{"properties": {"n": {"minimum": 0}}}]

    def tighten(o):
        o["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["x"] = strict
    side.change(crd["metadata"]["name"], tighten, "tighten")
    probe = {"x": {**{k: v for k, v in old.items() if k in ("any",)}, "s": "long"}}

    def refused():
        return side.api.post(side.at(crd) + "?dryRun=All", side.object(crd, "probe", spec=probe)).status == 422
    apilib.eventually(refused)
    steps = {
        "a label": None,
        "another scalar": {"any": {"z": 2}},
        "an invalid scalar changes": {"s": "longer"},
        "the order of a map": {"l": [old["l"][1], old["l"][0]]},
        "a new element before": {"l": [{"name": "r", "v": "ok"}] + old["l"]},
        "a new invalid element": {"l": [{"name": "r", "v": "long"}] + old["l"]},
        "an invalid element changes": {"l": [{"name": "p", "v": "longer"}]},
        "an element beside an invalid field": {"plain": ["long", "new"]},
        "an atomic list moves": {"plain": ["ok", "long"]},
        "a set moves": {"set": ["ok", "long"]},
        "a set grows": {"set": ["ok", "long", "no"]},
        "a set gets an invalid one": {"set": ["long", "ok", "longer"]},
        "a required field is missing": {"o": {"a": "long", "b": "x"}},
        "still missing, another changes": {"o": {"a": "ok"}},
        "an invalid map value": {"m": {"k": "long", "j": "ok"}},
        "a new invalid map value": {"m": {"k": "long", "j": "long"}},
        "a number": {"n": 51},
        "an alternative that holds no more": {"s": None},
    }
    for what, change in steps.items():
        body = {"metadata": {"labels": {"a": "b"}}} if change is None else {"spec": {"x": change}}
        a = side.api.do("PATCH", side.at(crd, name="o") + "?dryRun=All", body, {"Content-Type": apply.MERGE})
        side.answer(what, a, shown)


def served(side):
    """Objects: what is dropped, filled in, refused; columns, field selectors, scale."""
    x = thing({
        "null": string(nullable=True), "nonnull": string(), "deft": string(default="d"), "nulldeft": string(default="d", nullable=True),
        "deep": thing({"deft": integer(default=1)}), "deepdeft": thing({"deft": integer(default=1)}, default={}),
        "list": array(thing({"deft": integer(default=1), "n": string()})), "strings": array(string()),
        "map": thing(additionalProperties=thing({"deft": integer(default=1)})),
        "res": thing({"spec": thing({"a": string()})}, **{"x-kubernetes-embedded-resource": True}),
        "free": thing({"known": thing({"a": string()})}, **{"x-kubernetes-preserve-unknown-fields": True}),
        "ios": {"x-kubernetes-int-or-string": True}, "num": {"type": "number"}, "int": integer(), "count": integer(), "flag": {"type": "boolean"},
        "date": string(format="date-time"), "bytes": string(format="byte"), "set": array(string(), **{"x-kubernetes-list-type": "set"}),
        "keyed": array(thing({"k": string(default="x"), "p": integer(), "v": string()}, required=["p"]), **{
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k", "p"]}),
    })
    version = side.version(x, additionalPrinterColumns=[
        {"name": "S", "type": "string", "jsonPath": ".spec.x.deft"}, {"name": "I", "type": "integer", "jsonPath": ".spec.x.int"},
        {"name": "N", "type": "number", "jsonPath": ".spec.x.num"}, {"name": "B", "type": "boolean", "jsonPath": ".spec.x.flag"},
        {"name": "D", "type": "date", "jsonPath": ".spec.x.date"}, {"name": "O", "type": "string", "jsonPath": ".spec.x.deepdeft"},
        {"name": "L", "type": "string", "jsonPath": ".spec.x.strings"}, {"name": "L0", "type": "string", "jsonPath": ".spec.x.strings[0]"},
        {"name": "Last", "type": "string", "jsonPath": ".spec.x.strings[-1]"},
        {"name": "LA", "type": "string", "jsonPath": ".spec.x.strings[*]"}, {"name": "Sl", "type": "string", "jsonPath": ".spec.x.strings[0:2]"},
        {"name": "F", "type": "string", "jsonPath": '.spec.x.keyed[?(@.k=="b")].v'},
        {"name": "FI", "type": "integer", "jsonPath": ".spec.x.keyed[?(@.v=='w')].p"},
        {"name": "FN", "type": "string", "jsonPath": ".spec.x.keyed[?(@.p==2)].v"},
        {"name": "FG", "type": "string", "jsonPath": ".spec.x.keyed[?(@.p>1)].k"},
        {"name": "FE", "type": "string", "jsonPath": ".spec.x.keyed[?(@.v)].k"},
        {"name": "FD", "type": "string", "jsonPath": '.spec.x.res.metadata.labels[?(@.a=="b")]'},
        {"name": "An", "type": "string", "jsonPath": ".metadata.annotations.a\\.b/c"},
        {"name": "Aq", "type": "string", "jsonPath": ".metadata.annotations['a\\.b/c']"},
        {"name": "IS", "type": "integer", "jsonPath": ".spec.x.deft"}, {"name": "SI", "type": "string", "jsonPath": ".spec.x.int"},
        {"name": "IN", "type": "integer", "jsonPath": ".spec.x.num"}, {"name": "NI", "type": "number", "jsonPath": ".spec.x.int"},
        {"name": "SB", "type": "string", "jsonPath": ".spec.x.flag"}, {"name": "BS", "type": "boolean", "jsonPath": ".spec.x.deft"},
        {"name": "SN", "type": "string", "jsonPath": ".spec.x.num"}, {"name": "Rec", "type": "string", "jsonPath": ".spec.x.keyed..v"},
        {"name": "Un", "type": "string", "jsonPath": ".spec.x['deft','int']"},
        {"name": "DS", "type": "date", "jsonPath": ".spec.x.deft", "priority": 1},
    ], **fields(".spec.x.deft", ".spec.x.int", ".spec.x.flag"))
    version["subresources"] = {"scale": {"specReplicasPath": ".spec.x.int", "statusReplicasPath": ".status.n",
                                         "labelSelectorPath": ".status.s"}, "status": {}}
    crd = side.serve(side.crd("serves", version))

    def create(what, name, x, metadata=None):
        o = side.object(crd, name, spec={"x": x})
        o["metadata"].update(metadata or {})
        a = side.answer(what, side.api.post(side.at(crd), o), shown)
        side.note("warnings", sorted(a.warnings))

    create("nulls", "a", {"null": None, "nonnull": None, "deft": None, "nulldeft": None, "deep": None, "deepdeft": None})
    create("nulls inside", "b", {"list": [{"deft": None, "n": None}], "map": {"k": {"deft": None}}, "deep": {}})
    create("a null element", "b2", {"strings": [None]})
    create("a null map value", "b3", {"map": {"k": None}})
    create("unknown fields", "c", {"u": 1, "deep": {"u": 1}, "free": {"u": {"v": 1}, "known": {"u": 1}}, "list": [{"u": 1}]})
    create("embedded", "d", {"res": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "u": 1, "labels": {"a": "b"}},
                                     "spec": {"a": "b", "u": 1}, "u": 1}})
    create("embedded without a kind", "e", {"res": {"spec": {}}})
    create("duplicates", "f", {"set": ["a", "b", "a"], "keyed": [{"p": 1}, {"k": "x", "p": 1}]})
    create("types", "g", {"ios": 1.5, "num": "1", "count": 1.5, "flag": "true", "date": "now", "bytes": "%"})
    create("fine types", "h", {"ios": "5%", "num": 1, "count": 1, "flag": True, "date": "2026-01-01T00:00:00Z", "bytes": "YWI="})
    create("for the columns", "t", {"int": 7, "num": 1.5, "flag": True, "date": "2020-01-01T00:00:00Z", "strings": ["p", "q", "r"],
                                    "keyed": [{"k": "a", "p": 1, "v": "u"}, {"k": "b", "p": 2, "v": "w"}, {"k": "b", "p": 3}],
                                    "res": {"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": "b"}}}},
           {"annotations": {"a.b/c": "slashed"}})
    a = side.api.get(side.at(crd, name="t"), Accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    table = a.ok()
    for c, cell in zip(table["columnDefinitions"], table["rows"][0]["cells"]):
        side.note("column " + c["name"], {"cell": cell, **{k: c[k] for k in ("type", "format", "priority")}})
    for selector in ("spec.x.deft=d", "spec.x.int=7", "spec.x.int==7,metadata.name=t", "spec.x.flag=true", "spec.x.flag!=true",
                     "spec.x.num=1", "spec.x.deft in (d)", "spec.x.int=", "metadata.namespace=default", "metadata.uid=x",
                     "spec.x.deft", ".spec.x.deft=d"):
        a = side.api.get("%s?fieldSelector=%s" % (side.at(crd), selector.replace(" ", "%20")))
        side.answer("select " + selector, a, lambda o: sorted(i["metadata"]["name"] for i in o["items"]))
    create("to be scaled", "s", {"int": 7})
    scale_at = side.at(crd, name="s/scale")

    def scaled(o):
        o = copy.deepcopy(o)
        o["metadata"] = sorted(o["metadata"])
        return o

    side.answer("scale", side.api.get(scale_at), scaled)
    for body in ({"spec": {"replicas": 5}}, {"spec": {"replicas": -1}}, {"spec": {"replicas": 2147483648}}, {"spec": {"replicas": "x"}},
                 {"spec": {}}, {"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 6}}, {"metadata": {"name": "other"}}):
        side.answer("patch scale %s" % body, side.api.merge(scale_at, body), scaled)
    for kind in ("strategic-merge-patch", "json-patch"):
        body = [{"op": "replace", "path": "/spec/replicas", "value": 3}] if kind == "json-patch" else {"spec": {"replicas": 3}}
        side.answer(kind, side.api.patch(scale_at, body, kind), scaled)
    whole_scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "s", "namespace": "default"}, "spec": {"replicas": 4}}
    for what, edit in (("put", {}), ("put of another kind", {"kind": "Widget"}), ("put of another version", {"apiVersion": "autoscaling/v9"}),
                       ("put without a kind", {"kind": None, "apiVersion": None}), ("put of another name", {"metadata": {"name": "u"}}),
                       ("put of an old one", {"metadata": {"name": "s", "resourceVersion": "1"}}),
                       ("put without replicas", {"spec": {}}), ("put of less than none", {"spec": {"replicas": -1}})):
        body = {k: v for k, v in {**whole_scale, **edit}.items() if v is not None}
        side.answer(what, side.api.put(scale_at, body), scaled)
    # The real one cannot apply to an object without that field.
    side.api.merge(side.at(crd, name="s"), {"spec": {"x": {"int": 4}}}).ok()
    body = {**whole_scale, "spec": {"replicas": 9}}
    for manager in ("m", "n"):
        a = side.api.do("PATCH", scale_at + "?fieldManager=" + manager, body, {"Content-Type": apply.APPLY})
        side.answer("apply scale as " + manager, a, scaled)
        body["spec"]["replicas"] += 1
    a = side.api.do("PATCH", scale_at + "?force=true&fieldManager=n", body, {"Content-Type": apply.APPLY})
    side.answer("apply scale by force", a, scaled)
    o = side.api.get(side.at(crd, name="s")).ok()
    side.note("owners", sorted((e["manager"], e["operation"], e.get("subresource", ""), json.dumps(e["fieldsV1"], sort_keys=True))
                               for e in o["metadata"].get("managedFields", []) if e["operation"] == "Apply"))
    a = side.api.do("PATCH", side.at(crd, name="new/scale") + "?fieldManager=m", {**whole_scale, "metadata": {"name": "new"}},
                    {"Content-Type": apply.APPLY})
    side.answer("apply scale of nothing", a, scaled)


def ruled(schema, *rules, **messages):
    return {**schema, "x-kubernetes-validations": [{"rule": r, **messages} for r in rules]}


TWICE, THRICE = "self.all(a, self.all(b, a == b))", "self.all(a, self.all(b, self.all(c, a + b == c)))"
ADDRESSED = thing({"a": string(maxLength=10), "b": {"type": "boolean"}, "at": string(format="date-time")}, required=["b", "at"])

# Rules that could cost too much, and rules that just could not.
COSTS = {
    "text": ruled(string(), "self.contains('x')"),
    "text twice": ruled(string(), "self.matches('^[a-z]*$') && self.matches('^[0-9a-zA-Z_.-]{1,100}$')"),
    "short text": ruled(string(maxLength=1000), "self.matches('^[a-z]*$')"),
    "texts": ruled(array(string()), "self.all(a, a.contains('x'))"),
    "short texts": ruled(array(string(maxLength=10)), "self.all(a, a.contains('x'))"),
    "few texts": ruled(array(string(), maxItems=10), "self.all(a, a.contains('x'))"),
    "integers": ruled(array(integer()), "self.all(a, a > 1)"),
    "integers twice": ruled(array(integer()), TWICE),
    "1000 integers twice": ruled(array(integer(), maxItems=1000), TWICE),
    "1414 integers twice": ruled(array(integer(), maxItems=1414), TWICE),
    "1415 integers twice": ruled(array(integer(), maxItems=1415), TWICE),
    "100 integers thrice": ruled(array(integer(), maxItems=100), THRICE),
    "200 integers thrice": ruled(array(integer(), maxItems=200), THRICE),
    "map": ruled(thing(additionalProperties=integer()), "self.all(k, self[k] > 1)"),
    "map of texts": ruled(thing(additionalProperties=string()), "self.all(k, self[k].contains('x'))"),
    "small map of texts": ruled(thing(additionalProperties=string(), maxProperties=5), "self.all(k, self[k].contains('x'))"),
    "inside a list": array(ruled(string(maxLength=20), "self.contains('x')")),
    "inside a list of objects": array(ruled(ADDRESSED, "self.a.contains('x')")),
    "inside two lists": array(array(ruled(string(maxLength=20), "self.contains('x')"))),
    "inside two short lists": array(array(ruled(string(maxLength=20), "self.contains('x')"), maxItems=10), maxItems=10),
    "inside a map of lists": thing(additionalProperties=array(ruled(ADDRESSED, TWICE.replace("self", "[self.b]")), maxItems=50)),
    "old value": ruled(array(integer()), "self == oldSelf"),
    "old texts": ruled(array(string()), "self == oldSelf"),
    "sets": ruled(array(string(), maxItems=3000), "sets.contains(self, oldSelf)"),
    "big sets": ruled(array(string(), maxItems=4000), "sets.contains(self, oldSelf)"),
    "quantity": ruled(string(), "quantity(self) == quantity('1')"),
    "another quantity": ruled(string(), "quantity(self) != quantity('1')"),
    "word of the language": ruled(thing({"namespace": string(maxLength=5)}), "self.namespace.contains('x')"),
    "escaped word": ruled(thing({"namespace": string(maxLength=5)}), "self.__namespace__.contains('x')"),
    "enum": ruled(array(string(enum=["a", "bb"])), "self.all(a, a.contains('x'))"),
    "int or string": ruled(array({"x-kubernetes-int-or-string": True}), "self.all(a, a == 1)"),
    "message": ruled(array(string(), maxItems=2000), "true", messageExpression="self.join(', ')"),
    "joined": ruled(array(string(), maxItems=200), "self.map(a, a + 'x').join(',') != ''"),
    "optional": ruled(thing({"a": string()}), "self.?a.optMap(v, v.matches('^[a-z]+$')).orValue(true)"),
    "sum": thing({"p%d" % i: ruled(array(integer(), maxItems=1300 + i), TWICE) for i in range(11)}),
    "bigger sum": thing({"p%d" % i: ruled(array(integer(), maxItems=1300 + i), TWICE) for i in range(13)}),
    "one of another sum": thing({"p%d" % i: ruled(array(integer(), maxItems=1000 + i), TWICE) for i in range(30)}),
    "sort": ruled(array(integer(), maxItems=5), "self.sort() == self"),
    "sort by": ruled(array(integer(), maxItems=5), "self.sortBy(x, x) == self"),
    "version": ruled(string(maxLength=50), "isSemver(self) && semver(self).major() > 1"),
    "first": ruled(array(integer(), maxItems=5), "self.first().orValue(1) == 1"),
}


def costs(side):
    """What rules are estimated to cost."""
    for i, (name, x) in enumerate(COSTS.items()):
        side.post(side.crd("c%ds" % i, side.version(copy.deepcopy(x))), name)
    side.clean()
    crd = side.crd("dears", side.version(ruled(array(integer(), maxItems=1000), TWICE)))
    if side.post(crd, "to be changed"):
        name = crd["metadata"]["name"]
        at = ("versions", 0, "schema", "openAPIV3Schema", "properties", "spec", "properties", "x")

        def more(n):
            def edit(o):
                x = o["spec"]
                for k in at:
                    x = x[k]
                x["maxItems"] = n
            return edit
        side.change(name, more(1200), "a little dearer")
        side.change(name, more(2000), "too dear")
        side.change(name, lambda o: o["spec"]["versions"].append(side.version(ruled(array(string()), TWICE), name="v2")), "a dear version")


def shared(side):
    """What all versions say alike is judged once, and named as the definition's own."""
    bad, other = ruled(string(), "self == 1"), ruled(string(), "self == 2")
    col, fine = column(type="object"), column()
    rows = {
        "one version": [side.version(bad, **col)],
        "two alike": [side.version(bad, **col), side.version(bad, name="v2", **col)],
        "two schemas": [side.version(bad, **col), side.version(other, name="v2", **col)],
        "two sets of columns": [side.version(bad, **col), side.version(bad, name="v2", **fine)],
        "columns in one": [side.version(**col), side.version(name="v2")],
        "columns in the second": [side.version(), side.version(name="v2", **col)],
        "no columns and none": [side.version(additionalPrinterColumns=[]), side.version(bad, name="v2")],
        "three, the last differs": [side.version(bad), side.version(bad, name="v2"), side.version(other, name="v3")],
        "scales alike": [side.version(**scale(specReplicasPath="x")), side.version(name="v2", **scale(specReplicasPath="x"))],
        "scales": [side.version(**scale(specReplicasPath="x")), side.version(name="v2", **scale(specReplicasPath="y"))],
        "fields alike": [side.version(**fields(".spec.y")), side.version(name="v2", **fields(".spec.y"))],
        "fields": [side.version(**fields(".spec.x")), side.version(name="v2", **fields(".status.n"))],
        "fields and none": [side.version(**fields(".spec.x")), side.version(name="v2")],
        "fields alike, two schemas": [side.version(**fields(".spec.x")), side.version(string(maxLength=5), name="v2", **fields(".spec.x"))],
        "fields, two schemas": [side.version(**fields(".spec.x")), side.version(string(maxLength=5), name="v2", **fields(".status.n"))],
        "a schema and none": [side.version(bad), side.version(name="v2", schema=None)],
        "no schemas": [side.version(schema=None), side.version(name="v2", schema=None)],
        "warnings": [side.version(deprecationWarning="x"), side.version(name="v2", deprecationWarning="x")],
        "in another order": [side.version(thing({"a": bad, "b": string()})), side.version(thing({"b": string(), "a": bad}), name="v2")],
    }
    for i, (name, versions) in enumerate(rows.items()):
        side.post(side.crd("s%ds" % i, *copy.deepcopy(versions)), name)
    side.clean()
    root = side.version()
    root["schema"]["openAPIV3Schema"]["maxProperties"] = 5
    for i, (name, status) in enumerate({"status in the first": (True, False), "status in the second": (False, True), "no status": (
            False, False)}.items()):
        versions = [{**copy.deepcopy(root), "name": n, "storage": n == "v1", **({"subresources": {"status": {}}} if s else {})}
                    for n, s in zip(("v1", "v2"), status)]
        side.post(side.crd("t%ds" % i, *versions), name)


def ending(side):
    """A definition that goes while something holds its objects."""
    crd = side.serve(side.crd("ends"))
    o = side.object(crd, "held", spec={"x": "a"})
    o["metadata"]["finalizers"] = ["example.com/hold"]
    side.answer("create", side.api.post(side.at(crd), o), shown)
    name = crd["metadata"]["name"]
    side.answer("delete", side.api.delete(CRDS + "/" + name))

    def going(conditions):
        # The first reason says only that it is about to begin.
        return conditions.get("Terminating", {}).get("reason", "InstanceDeletionPending") != "InstanceDeletionPending" and \
            side.api.get(side.at(crd, name="held")).json["metadata"].get("deletionTimestamp")
    side.settled(name, going)
    side.answer("create while it goes", side.api.post(side.at(crd), side.object(crd, "late", spec={"x": "a"})))
    side.answer("read while it goes", side.api.get(side.at(crd, name="held")), shown)
    side.answer("update while it goes", side.api.merge(side.at(crd, name="held"), {"spec": {"x": "b"}}), shown)
    verbs = next(r["verbs"] for r in side.api.get("/apis/%s/v1" % side.group).ok()["resources"] if r["name"] == "ends")
    side.note("verbs", sorted(verbs))
    side.answer("let it go", side.api.merge(side.at(crd, name="held"), {"metadata": {"finalizers": None}}))
    apilib.eventually(lambda: side.api.get(CRDS + "/" + name).status == 404, what="it stays")


SCENARIOS = [schemas, roots, versions, whole, conflicts, approval, several, ratcheting, served, costs, shared, ending]


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
