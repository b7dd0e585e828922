# SPDX-License-Identifier: Apache-2.0
"""Server-side apply as kube-apiserver does it: the same random applies, patches and updates go to it and to the
standalone API server, and every answer must be the same: object, owners, conflicts.

    apply.py KUBECONFIG HOST_PROGRAM PLUGIN.so [SEED [OBJECTS]]

Two things differ on purpose.  Where a real server leaves null in the place of a container that it emptied while somebody
still owns it, and then refuses the object or drops the container, ours leaves the container empty; such an object is given
up.  And ours says in a cause, with the field "patch", why a JSON patch does not apply.
"""
import base64
import copy
import json
import os
import random
import re
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "api"))
import apilib  # noqa: E402

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STEPS = 14


def real_client(kubeconfig, folder):
    text = open(kubeconfig).read()
    files = {}
    for key in ("certificate-authority-data", "client-certificate-data", "client-key-data"):
        files[key] = os.path.join(folder, "real-" + key + ".pem")
        with open(files[key], "wb") as f:
            f.write(base64.b64decode(re.search(key + r": (\S+)", text).group(1)))
    host, port = re.search(r"server: https://(\S+):(\d+)", text).groups()
    return apilib.Client(host, int(port), *files.values())


def definition(fixture, group):
    crd = copy.deepcopy(fixture.crd("widgets", "Widget", group))
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    spec = schema["properties"]["spec"]["properties"]
    spec["nest"] = {"type": "object", "properties": {
        "a": {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "string"}}},
        "m": {"type": "object", "additionalProperties": {"type": "string"}},
        "at": {"type": "object", "x-kubernetes-map-type": "atomic",
               "properties": {"p": {"type": "integer"}, "q": {"type": "integer"}}}}}
    spec["multi"] = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "proto"],
                     "items": {"type": "object", "required": ["port"], "properties": {
                         "port": {"type": "integer"}, "proto": {"type": "string", "default": "TCP"},
                         "note": {"type": "string"},
                         "sub": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}}}}
    schema["properties"]["status"]["x-kubernetes-preserve-unknown-fields"] = True
    return crd


class Dice:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def maybe(self, p=0.5):
        return self.r.random() < p

    def some(self, of, low=0):
        return self.r.sample(of, self.r.randint(low, len(of)))

    def spec(self):
        r, maybe, s = self.r, self.maybe, {}
        if maybe():
            s["size"] = r.randint(1, 4)
        if maybe(0.3):
            s["mode"] = r.choice("ab")
        if maybe(0.4):
            s["tags"] = self.some(["p", "q", "r"])
        if maybe():
            s["ports"] = [{"name": n, **({"port": r.randint(1, 2)} if maybe(0.7) else {})} for n in self.some(["a", "b", "c"])]
        if maybe(0.3):
            s["cmds"] = [r.choice("xy") for _ in range(r.randint(0, 2))]
        if maybe():
            s["nest"] = n = {}
            if maybe():
                n["a"] = {k: v for k, v in (("x", r.randint(1, 2)), ("y", r.choice("uv"))) if maybe()}
            if maybe():
                n["m"] = {k: r.choice("12") for k in "ij" if maybe()}
            if maybe(0.3):
                n["at"] = {k: r.randint(1, 2) for k in "pq" if maybe()}
        if maybe(0.4):
            s["multi"] = [{"port": p, **({"proto": r.choice(["TCP", "UDP"])} if maybe() else {}),
                           **({"note": r.choice("12")} if maybe() else {}),
                           **({"sub": self.some(["x", "y", "z"])} if maybe(0.3) else {})} for p in self.some([1, 2], 1)]
        if maybe(0.4):
            s["free"] = {k: r.choice([1, "s", {"z": 1}, [1, 2], {}, {"z": {"w": 2}}, None]) for k in "kl" if maybe()}
        return s

    def metadata(self):
        m = {}
        if self.maybe(0.4):
            m["labels"] = {k: self.r.choice("12") for k in "ab" if self.maybe()}
        if self.maybe(0.2):
            m["annotations"] = {k: self.r.choice("12") for k in "cd" if self.maybe()}
        if self.maybe(0.2):
            m["finalizers"] = ["x.y/" + k for k in self.some(["m", "n"])]
        return m


def plain(o):
    """What must be the same: no times, versions, uids; entries and causes in an order of their own."""
    if o.get("kind") == "Status":
        causes = [(c.get("reason"), c.get("field"), c.get("message")) for c in o.get("details", {}).get("causes", [])]
        conflict = o["code"] == 409 and any(c[0] == "FieldManagerConflict" for c in causes)
        return {"code": o["code"], "reason": o.get("reason"), "message": o["message"] if conflict else "",
                "causes": sorted(causes) if conflict else sorted(c[1] for c in causes if c[1] != "patch")}
    o = copy.deepcopy(o)
    for k in ("uid", "resourceVersion", "creationTimestamp"):
        o["metadata"].pop(k, None)
    for e in o["metadata"].get("managedFields", []):
        e.pop("time", None)
    o["metadata"]["managedFields"] = sorted(o["metadata"].get("managedFields", []), key=lambda e: json.dumps(e, sort_keys=True))
    return o


def without_empty(x):
    if isinstance(x, dict):
        return {k: v for k, v in ((k, without_empty(v)) for k, v in x.items()) if v not in (None, {}, [])}
    return [without_empty(v) for v in x] if isinstance(x, list) else x


def kept(a, b):
    """a without the spec that a real server has dropped though somebody owns it; ours keeps it, with its defaults."""
    owned = any("f:spec" in e["fieldsV1"] for e in b["metadata"]["managedFields"])
    return {k: v for k, v in a.items() if k != "spec"} if owned and "spec" not in b else a


def differences(a, b, path=""):
    if isinstance(a, dict) and isinstance(b, dict):
        for k in sorted(set(a) | set(b)):
            if a.get(k) != b.get(k):
                yield from differences(a.get(k), b.get(k), path + "/" + k)
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b)):
            if x != y:
                yield from differences(x, y, "%s/%d" % (path, i))
    else:
        yield "%s: %s, a real server says %s" % (path, json.dumps(a)[:300], json.dumps(b)[:300])


class Pair:
    def __init__(self, ours, real, group, dice):
        self.servers, self.group, self.dice = (ours, real), group, dice
        self.base = "/apis/%s/v1/namespaces/default/widgets/" % group
        self.counts = {}

    def both(self, method, path, body, kind):
        return [c.do(method, self.base + path, body, {"Content-Type": kind}) for c in self.servers]

    def put(self, name, manager):
        spec, labels, answers = self.dice.spec(), self.dice.metadata().get("labels", {}), []
        for c in self.servers:
            o = c.get(self.base + name).ok()
            o["spec"], o["metadata"]["labels"] = spec, labels
            answers.append(c.do("PUT", self.base + name + "?fieldManager=" + manager, o, {"Content-Type": "application/json"}))
        return answers, {"spec": spec, "labels": labels}

    def step(self, name, op):
        r, dice = self.dice.r, self.dice
        manager = r.choice(["m1", "m2", "m3"])
        o = {"apiVersion": self.group + "/v1", "kind": "Widget", "metadata": {"name": name, **dice.metadata()}}
        if dice.maybe(0.9):
            o["spec"] = dice.spec()
        force = "&force=true" if dice.maybe(0.35) else ""
        if op == "apply":
            return self.both("PATCH", "%s?fieldManager=%s%s" % (name, manager, force), o, APPLY), (manager, force, o)
        if op == "apply status":
            o["status"] = {"replicas": r.randint(1, 2), **({"u": r.choice([1, 2])} if dice.maybe() else {})}
            return self.both("PATCH", "%s/status?fieldManager=%s%s" % (name, manager, force), o, APPLY), (manager, force, o)
        if op == "put":
            return self.put(name, manager + "u")
        path, kind = name + "?fieldManager=" + manager + "u", MERGE
        if op == "merge":
            p = {"metadata": dice.metadata(), "spec": {k: v if dice.maybe(0.8) else None for k, v in dice.spec().items()}}
        elif op == "status":
            p, path = {"status": {"replicas": r.randint(1, 3)}}, name + "/status?fieldManager=" + manager + "u"
        else:
            p, kind = [{"op": "add", "path": "/spec/size", "value": r.randint(1, 4)}], JSON_PATCH
        return self.both("PATCH", path, p, kind), (manager, p)

    def object(self, name):
        """Returns what differed, or None."""
        ops = ["apply"] * 6 + ["merge", "merge", "put", "status", "apply status", "json"]
        for i in range(STEPS):
            op = "apply" if i == 0 else self.dice.r.choice(ops)
            (ours, real), said = self.step(name, op)
            self.counts[real.status] = self.counts.get(real.status, 0) + 1
            a, b = plain(ours.json), plain(real.json)
            if ours.status in (200, 201) and real.status == 422:
                return None
            if a != b and ours.status == real.status == 200 and without_empty(kept(a, b)) == without_empty(b):
                return None
            if ours.status != real.status or a != b:
                return "step %d, %s %s\n%s" % (i, op, json.dumps(said), "\n".join(list(differences(a, b))[:5]))
        return None


def main(argv):
    seed = int(argv[4]) if len(argv) > 4 else int(time.time())
    objects = int(argv[5]) if len(argv) > 5 else 30
    fixture = apilib.Fixture(argv[2], argv[3], [])
    group = apilib.rand() + ".example.com"
    wrong = 0
    try:
        real = real_client(argv[1], fixture.state)
        for c in (fixture.api, real):
            c.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition(fixture, group)).ok(201)
            apilib.eventually(lambda c=c: c.get("/apis/%s/v1/namespaces/default/widgets" % group).status == 200)
        pair = Pair(fixture.api, real, group, Dice(seed))
        for i in range(objects):
            why = pair.object("w-%d" % i)
            if why is not None:
                wrong += 1
                print("object %d: %s" % (i, why))
        print("seed %d: %d objects, %d differ; answers of the real server: %s" % (seed, objects, wrong, pair.counts))
        real.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets." + group)
    finally:
        fixture.stop()
        shutil.rmtree(fixture.state, ignore_errors=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
