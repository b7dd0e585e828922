# SPDX-License-Identifier: Apache-2.0
"""Scenarios of crd.py about objects of a definition."""
import copy
import json

import apilib
import apply
from crd_side import CRDS, array, fields, integer, shown, string, thing


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


# Of an object inside of an object: metadata as anywhere.
EMBEDDED = {
    "fine": {"apiVersion": "apps/v1", "kind": "Thing", "metadata": {"name": "a.b", "labels": {"a/b": "C_d"}, "annotations": {"A.b/C": "any thing"},
                                                                "finalizers": ["a.b/c"], "generateName": "x-"}},
    "empty": {},
    "empty words": {"apiVersion": "", "kind": ""},
    "numbers": {"apiVersion": 1, "kind": 2},
    "slashes": {"apiVersion": "a/b/c", "kind": "Thing"},
    "odd kind": {"apiVersion": "v1", "kind": "Th_ing"},
    "kind that begins with a digit": {"apiVersion": "v1", "kind": "1Thing"},
    "no metadata": {"apiVersion": "v1", "kind": "Thing", "metadata": None},
    "name with a slash": {"metadata": {"name": "a/b"}},
    "name in upper case": {"metadata": {"name": "A_b c"}},
    "name of dots": {"metadata": {"name": ".."}},
    "generated name with a slash": {"metadata": {"generateName": "a/"}},
    "generated name of a dot": {"metadata": {"generateName": "."}},
    "namespace": {"metadata": {"namespace": "a-b"}},
    "bad namespace": {"metadata": {"namespace": "A.b"}},
    "label names": {"metadata": {"labels": {"a b": "x", "-a": "y", "": "z", "a/b/c": "v", "/a": "w", "x" * 64: "u", "A.b/c": "t"}}},
    "label values": {"metadata": {"labels": {"a": "b c", "b": "-", "c": "x" * 64, "d": "", "e": "fine"}}},
    "label of another type": {"metadata": {"labels": {"a": 1}}},
    "labels of another type": {"metadata": {"labels": ["a"]}},
    "annotation names": {"metadata": {"annotations": {"a b": "x", "A_b": "y", "A.B/c": "z", "": "v"}}},
    "annotations that are too long": {"metadata": {"annotations": {"a": "x" * 262145}}},
    "finalizers": {"metadata": {"finalizers": ["a b", "fine", "a.b/c"]}},
    "both finalizers": {"metadata": {"finalizers": ["orphan", "foregroundDeletion"]}},
    "generation": {"metadata": {"generation": -1}},
    "generation of another type": {"metadata": {"generation": "1"}},
    "owners": {"metadata": {"ownerReferences": [{"apiVersion": "", "kind": "", "name": "", "uid": ""}]}},
    "owners without a version": {"metadata": {"ownerReferences": [{"apiVersion": "a/", "kind": "K", "name": "n", "uid": "u"}]}},
    "two controllers": {"metadata": {"ownerReferences": [
        {"apiVersion": "v1", "kind": "K", "name": n, "uid": n, "controller": True} for n in "ab"]}},
    "owned by an event": {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Event", "name": "n", "uid": "u"}]}},
    "managed fields": {"metadata": {"managedFields": [{"operation": "Eat", "fieldsType": "V2", "manager": "m"}]}},
    "timestamps": {"metadata": {"creationTimestamp": "now"}},
    "unknown": {"metadata": {"frobnicate": 1}},
    "metadata of another type": {"metadata": "x"},
}


def embedded(side):
    """Metadata of objects inside of objects."""
    resource = thing({"spec": thing({"a": string()})}, **{"x-kubernetes-embedded-resource": True})
    crd = side.serve(side.crd("wraps", side.version(thing({"one": resource, "many": array(resource, maxItems=5), "named": thing(
        additionalProperties=resource), "n": integer()}))))
    for i, (name, e) in enumerate(EMBEDDED.items()):
        body = {"apiVersion": "v1", "kind": "Thing", **e} if "metadata" in e else e
        for kind, x in (("one", body), ("many", [{"apiVersion": "v1", "kind": "Thing"}, body]), ("named", {"k": body})):
            o = side.object(crd, "e%d-%s" % (i, kind), spec={"x": {kind: x}})
            side.answer("%s in %s" % (name, kind), side.api.post(side.at(crd) + "?dryRun=All", o), shown)
    good = {"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "a/b"}}

    def restrict(flag):
        def edit(o):
            x = o["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["x"]["properties"]["free"]
            x["x-kubernetes-embedded-resource"] = flag
        return edit
    # What became one of those while it was there already.
    free = thing({"spec": thing({"a": string()}), "n": integer(), "apiVersion": string(), "kind": string(), "metadata": thing({
        "name": string()})})
    crd = side.serve(side.crd("becomes", side.version(thing({"free": free, "n": integer()}))))
    side.answer("free", side.api.post(side.at(crd), side.object(crd, "o", spec={"x": {"free": good}})), shown)
    side.change(crd["metadata"]["name"], restrict(True), "restrict")

    def refused():
        return side.api.post(side.at(crd) + "?dryRun=All", side.object(crd, "p", spec={"x": {"free": good}})).status == 422
    apilib.eventually(refused)
    for what, x in (("nothing of it changes", {"n": 1}), ("something of it changes", {"free": {"n": 2}}), ("it gets worse", {"free": {
            "metadata": {"name": ".."}}})):
        side.answer(what, side.api.merge(side.at(crd, name="o"), {"spec": {"x": x}}), shown)


def owners_of(o):
    return sorted((e["manager"], e["operation"], e["apiVersion"].rsplit("/", 1)[1], json.dumps(e["fieldsV1"], sort_keys=True))
                  for e in o["metadata"].get("managedFields", []))


def retyping(side):
    """Lists and maps that become one value, or stop to be one: what those own who owned parts, or the whole."""
    kinds = ("x-kubernetes-list-type", "x-kubernetes-map-type")
    keyed = array(thing({"k": string(), "v": string()}, required=["k"]), **{kinds[0]: "map", "x-kubernetes-list-map-keys": ["k"]})
    x = thing({"keyed": keyed, "set": array(string(), **{kinds[0]: "set"}), "map": thing(additionalProperties=string()),
               "object": thing({"a": string(), "b": thing({"c": string(), "d": string()})}), "inner": array(thing({
                   "k": string(), "set": array(string(), **{kinds[0]: "set"})}, required=["k"]), **{
                       kinds[0]: "map", "x-kubernetes-list-map-keys": ["k"]}),
               "free": thing(**{"x-kubernetes-preserve-unknown-fields": True})})
    crd = side.serve(side.crd("retypes", side.version(x), side.version(x, name="v2")))
    name = crd["metadata"]["name"]
    values = {"m": {"keyed": [{"k": "a", "v": "1"}], "set": ["x"], "map": {"k": "1"}, "object": {"a": "1", "b": {"c": "1"}},
                    "inner": [{"k": "a", "set": ["x"]}], "free": {"l": [1], "o": {"p": 1}}},
              "n": {"keyed": [{"k": "b", "v": "2"}], "set": ["y"], "map": {"l": "2"}, "object": {"b": {"d": "2"}},
                    "inner": [{"k": "b", "set": ["y"]}]}}
    versions = {"m": "v1", "n": "v2"}

    def put(manager, value, o="o", **query):
        q = "&".join("%s=%s" % kv for kv in {"fieldManager": manager, **query}.items())
        v = versions.get(manager, "v1")
        body = side.object(crd, o, v, spec={"x": value})
        return side.api.do("PATCH", side.at(crd, v, o) + "?" + q, body, {"Content-Type": apply.APPLY})

    def retype(to_atomic):
        def edit(o):
            for v in o["spec"]["versions"]:
                p = v["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["x"]["properties"]
                p["keyed"].pop("x-kubernetes-list-map-keys", None)
                for at in (p["keyed"], p["set"], p["inner"]["items"]["properties"]["set"]):
                    at[kinds[0]] = "atomic" if to_atomic else "set"
                if not to_atomic:
                    p["keyed"].update({kinds[0]: "map", "x-kubernetes-list-map-keys": ["k"]})
                for at in (p["map"], p["object"]["properties"]["b"]):
                    at[kinds[1]] = "atomic" if to_atomic else "granular"
        return edit

    def in_use(atomic):
        # An element of a granular list is owned by itself.
        def look():
            a = put("probe", {"set": ["p"]}, "probe", dryRun="All").ok(201)
            return ("v:" in json.dumps(a["metadata"]["managedFields"])) != atomic
        apilib.eventually(look, what="the new schema is not used")

    def see(what, a):
        side.answer(what, a, lambda o: {"spec": o["spec"], "owners": owners_of(o)})

    for o in ("o", "p", "q", "r"):
        for manager in ("m", "n"):
            see("%s applies to %s" % (manager, o), put(manager, values[manager], o))
    for step, atomic in (("to one", True), ("to several", False)):
        side.change(name, retype(atomic), step)
        in_use(atomic)
        see(step + ": m applies the same", put("m", values["m"]))
        see(step + ": n applies the same", put("n", values["n"]))
        see(step + ": n applies the same by force", put("n", values["n"], force="true"))
        see(step + ": somebody labels", side.api.merge(side.at(crd, name="p") + "?fieldManager=z", {"metadata": {"labels": {"a": step[:5].strip()}}}))
        see(step + ": somebody writes a part", side.api.merge(side.at(crd, name="q") + "?fieldManager=z", {"spec": {"x": {
            "map": {"l": step}, "object": {"b": {"d": step}}, "set": ["y", step]}}}))
        see(step + ": m applies less", put("m", {"keyed": values["m"]["keyed"]}, "r"))


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
