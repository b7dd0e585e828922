# SPDX-License-Identifier: Apache-2.0
"""What the scenarios of crd.py share: shapes of schemas, and one of the two servers with what was seen of it."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import apply  # noqa: E402,F401  (finds apilib)
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

    def try_(self, crd, what):
        """What would be answered; nothing is left behind."""
        self.answer(what, self.api.post(CRDS + "?dryRun=All", crd), lambda o: o["spec"])

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


def column(**c):
    return {"additionalPrinterColumns": [{"name": "A", "type": "string", "jsonPath": ".spec.x", **c}]}


def scale(**s):
    return {"subresources": {"scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas", **s}}}


def fields(*paths):
    return {"selectableFields": [{"jsonPath": p} for p in paths]}
