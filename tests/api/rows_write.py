# SPDX-License-Identifier: Apache-2.0
"""Rows 73-125: update, patch, schemas, definitions, scale."""
import threading

from apilib import Skip, eventually, name_of, rand, row

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def rv(o):
    return int(o["metadata"]["resourceVersion"])


def generation(o):
    return o["metadata"]["generation"]


@row
def row_073(f):
    o = f.new()
    o["spec"]["size"] = 9
    n = f.api.put(f.path(o), o).ok()
    assert rv(n) > rv(o) and generation(n) == 2 and n["spec"]["size"] == 9


@row
def row_074(f):
    o = f.new()
    f.api.merge(f.path(o), {"spec": {"size": 8}}).ok()
    s = f.api.put(f.path(o), o).fails(409, "Conflict")
    assert s["details"]["name"] == name_of(o)


@row
def row_075(f):
    o = f.new()
    del o["metadata"]["resourceVersion"]
    f.api.put(f.path(o), o).fails(422, "Invalid", "FieldValueInvalid", "metadata.resourceVersion")


@row
def row_076(f):
    p = f.core + "/configmaps"
    name = "c-" + rand()
    f.api.post(p, {"metadata": {"name": name}, "data": {"a": "1"}}).ok(201)
    o = f.api.put(p + "/" + name, {"metadata": {"name": name}, "data": {"a": "2"}}).ok()
    assert o["data"] == {"a": "2"}


@row
def row_077(f):
    o = f.new()
    with f.api.watch("%s?watch=true&resourceVersion=%d&timeoutSeconds=1" % (f.w, rv(o))) as w:
        assert rv(f.api.put(f.path(o), o).ok()) == rv(o)
        assert rv(f.api.merge(f.path(o), {"spec": {"size": 3}}).ok()) == rv(o)
        assert w.rest() == []


@row
def row_078(f):
    o = f.new()
    path = f.path(o)
    o["metadata"]["name"] = "other"
    f.api.put(path, o).fails(400, "BadRequest")


@row
def row_079(f):
    o = f.new()
    o["metadata"]["uid"] = "11111111-1111-4111-8111-111111111111"
    f.api.put(f.path(o), o).fails(409, "Conflict")


@row
def row_080(f):
    f.api.put(f.w + "/nope", f.widget("nope", resourceVersion="1")).fails(404, "NotFound")
    p = "/apis/coordination.k8s.io/v1/namespaces/%s/leases/l-%s" % (f.ns, rand())
    lease = {"metadata": {"name": p.split("/")[-1]}, "spec": {"holderIdentity": "a"}}
    f.api.put(p, lease).ok(201)


@row
def row_081(f):
    o = f.new()
    o["status"] = {"replicas": 9}
    o["metadata"]["labels"] = {"a": "b"}
    n = f.api.put(f.path(o), o).ok()
    assert not n.get("status") and generation(n) == 1 and n["metadata"]["labels"] == {"a": "b"}


@row
def row_082(f):
    o = f.new()
    o["status"] = {"replicas": 9}
    o["spec"]["size"] = 50
    n = f.api.put(f.path(o) + "/status", o).ok()
    assert n["status"] == {"replicas": 9} and n["spec"]["size"] == 3
    assert generation(n) == 1 and rv(n) > rv(o)
    assert f.api.get(f.path(o) + "/status").ok() == n


@row
def row_083(f):
    o = f.new()
    o["metadata"]["labels"] = {"a": "b"}
    o["status"] = {"replicas": 1}
    assert "labels" not in f.api.put(f.path(o) + "/status", o).ok()["metadata"]


def job(**spec):
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j-" + rand()},
        "spec": {"template": {"spec": {"restartPolicy": "Never",
                                       "containers": [{"name": "c", "image": "i"}]}}, **spec},
    }


@row
def row_084(f):
    p = "/apis/batch/v1/namespaces/%s/jobs" % f.ns
    o = f.api.post(p, job(suspend=True)).ok(201)

    def put():
        """The Job controller writes too."""
        n = f.api.get("%s/%s/status" % (p, name_of(o))).ok()
        n["metadata"]["annotations"] = {"seen": "yes"}
        r = f.api.put("%s/%s/status" % (p, name_of(o)), n)
        return r.status != 409 and r.ok()

    assert eventually(put)["metadata"]["annotations"]["seen"] == "yes"


@row
def row_085(f):
    o = f.new()
    at = o["metadata"].pop("creationTimestamp")
    o["spec"]["size"] = 5
    assert f.api.put(f.path(o), o).ok()["metadata"]["creationTimestamp"] == at


@row
def row_086(f):
    o = f.new({"size": 9, "mode": "a"})
    n = f.api.merge(f.path(o), {"spec": {"size": 5}}).ok()
    assert n["spec"] == {"size": 5, "mode": "a"}
    n = f.api.merge(f.path(o), {"spec": {"size": None, "mode": None}}).ok()
    assert n["spec"] == {"size": 3}, n["spec"]


@row
def row_087(f):
    o = f.new()
    f.api.merge(f.path(o), {"spec": {"size": 8}}).ok()
    f.api.merge(f.path(o), {"metadata": {"resourceVersion": str(rv(o))}, "spec": {"size": 9}}).fails(409, "Conflict")


@row
def row_088(f):
    o = f.new()
    n = f.api.patch(f.path(o), [{"op": "test", "path": "/spec/size", "value": 3},
                                {"op": "replace", "path": "/spec/size", "value": 4}], "json-patch").ok()
    assert n["spec"]["size"] == 4
    f.api.patch(f.path(o), [{"op": "test", "path": "/spec/size", "value": 99}], "json-patch").fails(422, "Invalid")


@row
def row_089(f):
    o = f.new()
    f.api.patch(f.path(o), '{"no', "json-patch").fails(400)
    for bad in ('{"op":"test"}', '"x"', "[1]"):
        f.api.patch(f.path(o), bad, "json-patch").fails(400, "BadRequest")
    for bad in ({"op": "remove", "path": "/spec/nope"}, {"op": "odd", "path": "/a"}, {"op": "remove"},
                {"op": "add", "path": "spec", "value": 1}, {"op": "replace", "path": "/spec/x/y", "value": 1}):
        s = f.api.patch(f.path(o), [bad], "json-patch").fails(422, "Invalid")
        assert s["message"] == "the server rejected our request due to an error in our request", s


@row
def json_patches_say_what_does_not_apply(f):
    o = f.new()
    f.api.patch(f.path(o), [{"op": "remove", "path": "/spec/nope"}], "json-patch").fails(
        422, "Invalid", "FieldValueInvalid", "patch")


@row
def row_090(f):
    o = f.new()
    f.api.patch(f.path(o), {"spec": {"size": 1}}, "strategic-merge-patch").fails(415, "UnsupportedMediaType")


@row
def row_091(f):
    p = "/apis/batch/v1/namespaces/%s/cronjobs" % f.ns
    if f.api.get(p).status == 404:
        raise Skip("cronjobs are not served")
    pod = {"restartPolicy": "Never",
           "containers": [{"name": "c", "image": "i", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]},
                          {"name": "d", "image": "k"}]}
    o = f.api.post(p, {"metadata": {"name": "c-" + rand()},
                       "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": pod}}}}}).ok(201)
    patch = {"spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [
        {"name": "c", "env": [{"name": "X", "value": "9"}]}]}}}}}}
    n = f.api.patch(p + "/" + name_of(o), patch, "strategic-merge-patch").ok()
    cs = n["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert [c["name"] for c in cs] == ["c", "d"]
    assert {e["name"]: e["value"] for e in cs[0]["env"]} == {"X": "9", "Y": "2"}, cs


@row
def row_092(f):
    p = f.core + "/serviceaccounts"
    o = f.api.post(p, {"metadata": {"name": "s-" + rand()}, "secrets": [{"name": "a"}, {"name": "b"}]}).ok(201)
    n = f.api.patch(p + "/" + name_of(o), {"secrets": [{"name": "a", "$patch": "delete"}]}, "strategic-merge-patch").ok()
    assert n["secrets"] == [{"name": "b"}], n["secrets"]


@row
def row_093(f):
    f.api.merge(f.w + "/nope", {}).fails(404, "NotFound")
    f.api.patch(f.w + "/nope", [], "json-patch").fails(404, "NotFound")
    f.api.patch(f.core + "/configmaps/nope", {}, "strategic-merge-patch").fails(404, "NotFound")


def apply(f, name, spec, manager, query="", **metadata):
    return f.api.do("PATCH", "%s/%s?fieldManager=%s%s" % (f.w, name, manager, query), f.widget(name, spec, **metadata),
                    {"Content-Type": "application/apply-patch+yaml"})


def entry(o, manager, operation="Apply"):
    for e in o["metadata"].get("managedFields", []):
        if e["manager"] == manager and e["operation"] == operation:
            return e
    return {}


@row
def row_094(f):
    name = "a-" + rand()
    o = apply(f, name, {"size": 1}, "m").ok(201)
    assert o["spec"] == {"size": 1} and generation(o) == 1
    e = entry(o, "m")
    assert e["apiVersion"] == f.group + "/v1" and e["fieldsType"] == "FieldsV1" and e["time"].endswith("Z"), e
    assert e["fieldsV1"] == {"f:spec": {"f:size": {}}}, e
    assert f.api.get(f.w + "/" + name).ok() == o
    r = f.api.do("PATCH", f.w + "/" + name, f.widget(name), {"Content-Type": "application/apply-patch+yaml"})
    s = r.fails(422, "Invalid", "FieldValueRequired", "fieldManager")
    assert "fieldManager: Required value: is required for apply patch" in s["message"], s
    yaml = "apiVersion: %s/v1\nkind: Widget\nmetadata:\n  name: y%s\nspec:\n  mode: b # a comment\n" % (f.group, name)
    r = f.api.do("PATCH", f.w + "/y" + name + "?fieldManager=m", yaml, {"Content-Type": "application/apply-patch+yaml"})
    assert r.ok(201)["spec"]["mode"] == "b"
    f.api.do("PATCH", f.w + "/y" + name + "?fieldManager=m", "a: [", {"Content-Type": "application/apply-patch+yaml"}).fails(400)
    f.api.do("PATCH", f.w + "/y" + name + "?fieldManager=m", "{}", {"Content-Type": "application/apply-patch+cbor"}).fails(415)


@row
def row_095(f):
    name = "a-" + rand()
    apply(f, name, {"size": 1}, "m1").ok(201)
    s = apply(f, name, {"size": 2}, "m2").fails(409, "Conflict", "FieldManagerConflict", ".spec.size")
    assert s["message"] == 'Apply failed with 1 conflict: conflict with "m1": .spec.size', s
    o = apply(f, name, {"size": 2}, "m2", "&force=true").ok()
    assert o["spec"]["size"] == 2 and not entry(o, "m1") and entry(o, "m2")["fieldsV1"] == {"f:spec": {"f:size": {}}}


@row
def row_096(f):
    name = "a-" + rand()
    apply(f, name, {"size": 9, "mode": "a"}, "m1").ok(201)
    assert apply(f, name, {"mode": "a"}, "m1").ok()["spec"] == {"mode": "a", "size": 3}


@row
def row_097(f):
    name = "a-" + rand()
    apply(f, name, {"ports": [{"name": "a", "port": 1}]}, "m1").ok(201)
    o = apply(f, name, {"ports": [{"name": "b", "port": 2}]}, "m2").ok()
    assert o["spec"]["ports"] == [{"name": "a", "port": 1}, {"name": "b", "port": 2}]
    assert apply(f, name, {}, "m1").ok()["spec"]["ports"] == [{"name": "b", "port": 2}]
    assert "ports" not in apply(f, name, {}, "m2").ok()["spec"]


@row
def row_098(f):
    name = "a-" + rand()
    apply(f, name, {"cmds": ["x"]}, "m1").ok(201)
    apply(f, name, {"cmds": ["y"]}, "m2").fails(409, "Conflict", "FieldManagerConflict", ".spec.cmds")


@row
def row_099(f):
    name = "a-" + rand()
    o = apply(f, name, {"size": 1}, "m1").ok(201)
    o["spec"]["size"] = 2
    n = f.api.put(f.w + "/" + name + "?fieldManager=editor", o).ok()
    assert entry(n, "editor", "Update")["fieldsV1"] == {"f:spec": {"f:size": {}}}, n["metadata"]["managedFields"]
    assert not entry(n, "m1")
    s = apply(f, name, {"size": 1}, "m1").fails(409, "Conflict", "FieldManagerConflict", ".spec.size")
    assert 'conflict with "editor" using %s/v1' % f.group in s["message"], s
    n = f.api.merge(f.w + "/" + name, {"spec": {"mode": "a"}}).ok()
    assert entry(n, "rows", "Update")["fieldsV1"] == {"f:spec": {"f:mode": {}}}, n["metadata"]["managedFields"]


@row
def apply_is_seen_by_watch_and_dry_runs_are_not(f):
    name = "a-" + rand()
    o = apply(f, name, {"size": 1}, "m").ok(201)
    with f.api.watch("%s?watch=true&resourceVersion=%d&timeoutSeconds=2" % (f.w, rv(o))) as w:
        assert rv(apply(f, name, {"size": 1}, "m").ok()) == rv(o)
        assert apply(f, name, {"size": 2}, "m", "&dryRun=All").ok()["spec"]["size"] == 2
        n = apply(f, name, {"size": 3}, "m").ok()
        assert [e["object"] for e in w.rest()] == [n]
    apply(f, name, {"size": 4}, "m", resourceVersion=str(rv(o))).fails(409, "Conflict")
    apply(f, name, {"size": 4}, "m", managedFields=[{"manager": "x"}]).fails(400, "BadRequest", text="metadata.managedFields must be nil")
    assert f.api.get(f.w + "/" + name).ok() == n


@row
def apply_creates_only_for_who_may_create(f):
    account, client = f.account()
    rules = [{"apiGroups": [f.group], "resources": ["widgets"], "verbs": ["get", "patch"]}]
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/%s/" % f.ns
    f.api.post(rbac + "roles", {"metadata": {"name": account}, "rules": rules}).ok(201)
    f.api.post(rbac + "rolebindings", {
        "metadata": {"name": account}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": f.ns}]}).ok(201)
    name = "a-" + rand()
    kind = {"Content-Type": "application/apply-patch+yaml"}
    url = f.w + "/" + name + "?fieldManager=m"
    s = client.do("PATCH", url, f.widget(name), kind).fails(403, "Forbidden")
    assert 'cannot create resource "widgets"' in s["message"], s
    f.api.do("PATCH", url, f.widget(name), kind).ok(201)
    client.do("PATCH", url, f.widget(name, {"size": 2}), kind).ok()


@row
def parallel_applies_of_many_managers_all_land(f):
    name = "a-" + rand()
    codes = []

    def work(i):
        codes.append(apply(f, name, {"ports": [{"name": "p%d" % i, "port": i}]}, "m%d" % i).status)

    ts = [threading.Thread(target=work, args=(i,)) for i in range(12)]
    [t.start() for t in ts]
    [t.join() for t in ts]
    assert sorted(codes) == [200] * 11 + [201], codes
    o = f.api.get(f.w + "/" + name).ok()
    assert sorted(p["port"] for p in o["spec"]["ports"]) == list(range(12))
    assert len(o["metadata"]["managedFields"]) == 12


@row
def row_100(f):
    o = f.new()
    f.api.patch(f.path(o) + "?force=true", {}, "merge-patch").fails(422, "Invalid")


@row
def row_101(f):
    o = f.new()
    assert f.api.merge(f.path(o) + "?dryRun=All", {"spec": {"size": 7}}).ok()["spec"]["size"] == 7
    assert f.api.get(f.path(o)).ok() == o


@row
def row_102(f):
    o = f.new()
    codes = []

    def work(i):
        codes.append(f.api.merge(f.path(o), {"metadata": {"labels": {"l%d" % i: "x"}}}).status)

    ts = [threading.Thread(target=work, args=(i,)) for i in range(20)]
    [t.start() for t in ts]
    [t.join() for t in ts]
    assert codes == [200] * 20, codes
    assert len(f.api.get(f.path(o)).ok()["metadata"]["labels"]) == 20


def refused(f, spec, cause, field):
    f.api.post(f.w, f.widget("w-" + rand(), spec)).fails(422, "Invalid", cause, field)


@row
def row_103(f):
    refused(f, {"size": 101}, "FieldValueInvalid", "spec.size")
    refused(f, {"size": "x"}, "FieldValueTypeInvalid", "spec.size")


@row
def row_104(f):
    refused(f, {"mode": "z"}, "FieldValueNotSupported", "spec.mode")


@row
def row_105(f):
    refused(f, {"ports": [{"port": 1}]}, "FieldValueRequired", "spec.ports[0].name")


@row
def row_106(f):
    refused(f, {"tags": ["a", "a"]}, "FieldValueDuplicate", "spec.tags[1]")
    f.api.post(f.w, f.widget("w-" + rand(), {"ports": [{"name": "a"}, {"name": "a"}]})).fails(
        422, "Invalid", "FieldValueDuplicate")


@row
def row_107(f):
    f.new({"any": 5})
    f.new({"any": "5%"})
    f.api.post(f.w, f.widget("w-" + rand(), {"any": True})).fails(422, "Invalid")


@row
def row_108(f):
    free = {"a": {"b": [1, {"c": None}, "x"]}, "d": 1.5}
    assert f.new({"free": free})["spec"]["free"] == free


@row
def row_112(f):
    d = f.crd("things", "Thing")
    d["metadata"]["name"] = "wrong.name"
    f.api.post(CRDS, d).fails(422, "Invalid")


@row
def row_113(f):
    # A kube-apiserver 1.34 panics on selectable fields below a schema that is not structural.
    d = f.crd("things", "Thing", selectableFields=[])
    for bad in ({"properties": {}}, {"type": "object", "properties": {"x": {"$ref": "#/y"}}}):
        d["spec"]["versions"][0]["schema"] = {"openAPIV3Schema": {"type": "object", "properties": {"spec": bad}}}
        f.api.post(CRDS, d).fails(422, "Invalid")
    d = f.crd("things", "Thing")
    d["spec"]["versions"].append({**d["spec"]["versions"][0], "name": "v2"})
    f.api.post(CRDS, d).fails(422, "Invalid")


def condition(o, kind):
    for c in o.get("status", {}).get("conditions") or []:
        if c["type"] == kind:
            return c
    return {}


@row
def row_115(f):
    d = f.crd("a" + rand(), "K" + rand())
    name = d["metadata"]["name"]
    f.api.post(CRDS, d).ok(201)
    o = eventually(lambda: (lambda o: condition(o, "Established").get("status") == "True" and o)(
        f.api.get(CRDS + "/" + name).ok()))
    assert condition(o, "NamesAccepted")["reason"] == "NoConflicts"
    assert condition(o, "Established")["reason"] == "InitialNamesAccepted"
    assert o["status"]["acceptedNames"]["plural"] == d["spec"]["names"]["plural"]
    assert o["status"]["storedVersions"] == ["v1"]


@row
def row_116(f):
    d = f.crd("b" + rand(), "Widget")
    f.api.post(CRDS, d).ok(201)
    o = eventually(lambda: (lambda o: condition(o, "NamesAccepted") and o)(
        f.api.get(CRDS + "/" + d["metadata"]["name"]).ok()))
    assert condition(o, "NamesAccepted")["status"] == "False"
    assert condition(o, "NamesAccepted")["reason"] in ("KindConflict", "ListKindConflict", "SingularConflict")
    assert condition(o, "Established").get("status") != "True"
    f.api.delete(CRDS + "/" + d["metadata"]["name"]).ok()


@row
def row_117(f):
    p = "%s/widgets.%s/status" % (CRDS, f.group)
    o = f.api.get(p).ok()
    f.api.put(p, o).ok()
    f.api.merge(p, {"status": {}}).ok()


@row
def row_118(f):
    label = rand()
    for i in range(3):
        d = f.crd("c%d%s" % (i, label), "C%d%s" % (i, label))
        d["metadata"]["labels"] = {"run": label}
        f.api.post(CRDS, d).ok(201)
    q = CRDS + "?labelSelector=run%3D" + label
    assert len(f.api.get(q).ok()["items"]) == 3
    f.api.delete(q).ok()
    eventually(lambda: not f.api.get(q).ok()["items"])
    f.api.get("%s/widgets.%s" % (CRDS, f.group)).ok()


@row
def row_119(f):
    d = f.crd("d" + rand(), "D" + rand())
    name = d["metadata"]["name"]
    at = f.api.get(CRDS).ok()["metadata"]["resourceVersion"]
    with f.api.watch("%s?watch=true&resourceVersion=%s" % (CRDS, at)) as w:
        f.api.post(CRDS, d).ok(201)
        w.until(lambda e: condition(e["object"], "Established").get("status") == "True")
        f.api.delete(CRDS + "/" + name).ok()
        seen = w.until(lambda e: e["type"] == "DELETED" and name_of(e["object"]) == name)
        assert seen


@row
def row_120(f):
    group = rand() + ".example.com"
    d = f.crd("widgets", "Widget", group)
    p = "/apis/%s/v1/namespaces/%s/widgets" % (group, f.ns)
    crd = CRDS + "/widgets." + group
    f.api.post(CRDS, d).ok(201)
    eventually(lambda: f.api.get(p).status == 200)
    w = f.widget("x")
    w["apiVersion"] = group + "/v1"
    w["metadata"]["finalizers"] = ["example.com/hold"]
    f.api.post(p, w).ok(201)
    f.api.delete(crd).ok()
    eventually(lambda: f.api.get(p + "/x").ok()["metadata"].get("deletionTimestamp"))
    assert condition(f.api.get(crd).ok(), "Terminating").get("status") == "True"
    w["metadata"] = {"name": "y"}
    f.api.post(p, w).fails((403, 404, 405))
    f.api.merge(p + "/x", {"metadata": {"finalizers": None}}).ok()
    eventually(lambda: f.api.get(crd).status == 404)
    # Discovery follows the definition; no server promises that it does so at once.
    eventually(lambda: group not in [g["name"] for g in f.api.get("/apis").ok()["groups"]])
    eventually(lambda: "apis/%s/v1" % group not in f.api.get("/openapi/v3").ok()["paths"])
    eventually(lambda: f.api.get(p).status == 404)


@row
def row_121(f):
    d = f.crd("e" + rand(), "E" + rand())
    v2 = {**d["spec"]["versions"][0], "name": "v2", "storage": False}
    d["spec"]["versions"].append(v2)
    plural = d["spec"]["names"]["plural"]
    f.api.post(CRDS, d).ok(201)
    p = "/apis/%s/v2/namespaces/%s/%s" % (f.group, f.ns, plural)
    eventually(lambda: f.api.get(p).status == 200)
    f.api.patch(CRDS + "/" + d["metadata"]["name"],
                [{"op": "replace", "path": "/spec/versions/1/served", "value": False}], "json-patch").ok()
    eventually(lambda: f.api.get(p).status == 404)
    f.api.delete(CRDS + "/" + d["metadata"]["name"]).ok()


@row
def row_122(f):
    d = f.crd("f" + rand(), "F" + rand())
    d["spec"]["versions"].append({**d["spec"]["versions"][0], "name": "v2", "storage": False})
    plural, kind = d["spec"]["names"]["plural"], d["spec"]["names"]["kind"]
    f.api.post(CRDS, d).ok(201)
    p = "/apis/%s/%%s/namespaces/%s/%s" % (f.group, f.ns, plural)
    eventually(lambda: f.api.get(p % "v2").status == 200)
    o = f.api.post(p % "v1", {"apiVersion": f.group + "/v1", "kind": kind, "metadata": {"name": "x"}}).ok(201)
    n = f.api.get(p % "v2" + "/x").ok()
    assert n["apiVersion"] == f.group + "/v2" and n["metadata"]["uid"] == o["metadata"]["uid"] and rv(n) == rv(o)
    f.api.delete(CRDS + "/" + d["metadata"]["name"]).ok()


@row
def row_123(f):
    d = f.crd("g" + rand(), "G" + rand(), subresources={})
    plural, kind = d["spec"]["names"]["plural"], d["spec"]["names"]["kind"]
    f.api.post(CRDS, d).ok(201)
    p = "%s/namespaces/%s/%s" % (f.gv, f.ns, plural)
    eventually(lambda: f.api.get(p).status == 200)
    f.api.post(p, {"apiVersion": f.group + "/v1", "kind": kind, "metadata": {"name": "x"}}).ok(201)
    assert f.api.get(p + "/x/status").status == 404 and f.api.get(p + "/x/scale").status == 404
    f.api.delete(CRDS + "/" + d["metadata"]["name"]).ok()


@row
def row_124(f):
    o = f.new({"replicas": 2})
    s = f.api.get(f.path(o) + "/scale").ok()
    assert s["kind"] == "Scale" and s["apiVersion"] == "autoscaling/v1" and s["spec"]["replicas"] == 2, s
    s["spec"]["replicas"] = 7
    f.api.put(f.path(o) + "/scale", s).ok()
    n = f.api.get(f.path(o)).ok()
    assert n["spec"]["replicas"] == 7 and generation(n) == 2


@row
def row_125(f):
    o = f.new({"replicas": 2})
    f.api.merge(f.path(o) + "/scale", {"spec": {"replicas": -1}}).fails(422, "Invalid")


@row
def numbers_round_trip(f):
    """Numbers leave as they came, through create, get, list, patches of something else, watch."""
    texts = ["0.7", "0.1", "1.0", "1e21", "9007199254740993", "18446744073709551615", "-0", "1E-7", "100000000000000000000"]
    free = ",".join('"n%d":%s' % (i, t) for i, t in enumerate(texts))
    name = "num-" + rand()
    body = '{"apiVersion":"%s/v1","kind":"Widget","metadata":{"name":"%s"},"spec":{"free":{%s}}}' % (f.group, name, free)
    want = free.encode()
    r = f.api.post(f.w, body)
    assert r.status == 201 and want in r.raw, r.raw
    assert want in f.api.get(f.w + "/" + name).raw
    assert want in f.api.get(f.w + "?fieldSelector=metadata.name%3D" + name).raw
    assert want in f.api.merge(f.w + "/" + name, {"spec": {"size": 4}}).raw
    assert want in f.api.patch(f.w + "/" + name, [{"op": "replace", "path": "/spec/size", "value": 5}], "json-patch").raw
    conn = f.api.connect()
    conn.request("GET", f.w + "?watch=true&fieldSelector=metadata.name%3D" + name, headers=f.api.headers(None))
    assert want in conn.getresponse().readline()
    conn.close()
    o = f.api.post(f.w, '{"apiVersion":"%s/v1","kind":"Widget","metadata":{"name":"r-%s"},"spec":{"ratio":0.7}}' % (
        f.group, rand()))
    assert b'"ratio":0.7}' in o.raw or b'"ratio":0.7,' in o.raw, o.raw


@row
def deprecated_versions_warn(f):
    d = f.crd("e" + rand(), "E" + rand())
    v1, kind = d["spec"]["versions"][0], d["spec"]["names"]["kind"]
    d["spec"]["versions"] += [{**v1, "name": "v1beta1", "storage": False, "deprecated": True},
                              {**v1, "name": "v1alpha1", "storage": False, "deprecated": True, "deprecationWarning": "gone \"soon\""}]
    f.api.post(CRDS, d).ok(201)
    at = "/apis/%s/%%s/namespaces/%s/%s" % (f.group, f.ns, d["spec"]["names"]["plural"])
    for version, want in (("v1", []), ("v1alpha1", ['299 - "gone \\"soon\\""']),
                          ("v1beta1", ['299 - "%s/v1beta1 %s is deprecated; use %s/v1 %s"' % (f.group, kind, f.group, kind)])):
        eventually(lambda: f.api.get(at % version).status == 200)
        assert f.api.get(at % version).warnings == want, version
        o = {"apiVersion": "%s/%s" % (f.group, version), "kind": kind, "metadata": {"name": "o-" + version}, "spec": {"mode": "a"}}
        assert f.api.post(at % version, o).warnings == want, version
    f.api.delete(CRDS + "/" + name_of(d)).ok()


@row
def selectable_fields_select_everywhere(f):
    d = f.crd("s" + rand(), "S" + rand())
    f.api.post(CRDS, d).ok(201)
    at = "%s/namespaces/%s/%s" % (f.gv, f.ns, d["spec"]["names"]["plural"])
    eventually(lambda: f.api.get(at).status == 200)

    def make(name, mode):
        f.api.post(at, {"apiVersion": f.group + "/v1", "kind": d["spec"]["names"]["kind"], "metadata": {"name": name},
                        "spec": {"mode": mode}}).ok(201)

    q = at + "?fieldSelector=spec.mode%3Db"
    rv = f.api.get(at).ok()["metadata"]["resourceVersion"]
    make("a1", "a")
    make("b1", "b")
    assert [name_of(o) for o in f.api.get(q).ok()["items"]] == ["b1"]
    with f.api.watch(q + "&watch=true&resourceVersion=" + rv) as w:
        assert name_of(w.next()["object"]) == "b1"
        f.api.merge(at + "/a1", {"spec": {"mode": "b"}}).ok()
        e = w.next()
        assert (e["type"], name_of(e["object"])) == ("ADDED", "a1"), e
        f.api.merge(at + "/b1", {"spec": {"mode": "a"}}).ok()
        e = w.next()
        assert (e["type"], name_of(e["object"])) == ("DELETED", "b1"), e
    f.api.delete(q).ok()
    assert [name_of(o) for o in f.api.get(at).ok()["items"]] == ["b1"]
    f.api.get(at + "?fieldSelector=spec.size%3D3").fails(400, "BadRequest")
    f.api.delete(CRDS + "/" + name_of(d)).ok()


@row
def patches_to_a_wrong_type(f):
    """Whatever the kind of patch: what comes out is not of the kind, 422, as "patch" is the field that is wrong."""
    o = f.api.post(f.core + "/configmaps", {"metadata": {"generateName": "wrong-"}, "data": {"k": "v"}}).ok(201)
    at = f.core + "/configmaps/" + name_of(o)
    for patch in ({"data": {"k": 7}}, {"data": 7}, {"immutable": "x"}, {"metadata": {"labels": {"a": 1}}}, {"binaryData": []}):
        for kind in ("strategic-merge-patch", "merge-patch"):
            f.api.patch(at, patch, kind).fails(422, "Invalid", "FieldValueInvalid", "patch", "patch: Invalid value: ")
    f.api.patch(at, [{"op": "add", "path": "/data/k", "value": True}], "json-patch").fails(
        422, "Invalid", "FieldValueInvalid", "patch", "patch: Invalid value: ")
    assert rv(f.api.get(at).ok()) == rv(o)
