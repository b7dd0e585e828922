# SPDX-License-Identifier: Apache-2.0
"""Rows 126-208: watch, delete, garbage collection, namespaces, builtin kinds, durability."""
import base64
import json
import re
import resource
import selectors
import socket
import ssl
import threading
import time

from apilib import FakeNode, Skip, eventually, name_of, rand, row, soon

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
JOBS = "/apis/batch/v1/namespaces/%s/jobs"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
AUTHZ = "/apis/authorization.k8s.io/v1"


def list_rv(f, path):
    return f.api.get(path).ok()["metadata"]["resourceVersion"]


def rv(o):
    return int(o["metadata"]["resourceVersion"])


def types(events):
    return [e["type"] for e in events]


@row
def row_126(f):
    at = list_rv(f, f.w)
    with f.api.watch("%s?watch=true&resourceVersion=%s" % (f.w, at)) as w:
        o = f.new()
        f.api.merge(f.path(o), {"spec": {"size": 9}}).ok()
        f.api.delete(f.path(o)).ok()
        es = w.take(3)
    assert types(es) == ["ADDED", "MODIFIED", "DELETED"], types(es)
    assert rv(es[2]["object"]) > rv(es[1]["object"]) > rv(es[0]["object"])
    assert es[0]["object"]["kind"] == "Widget"


@row
def row_127(f):
    o = f.new()
    n = f.api.merge(f.path(o), {"spec": {"size": 9}}).ok()
    with f.api.watch("%s?watch=1&resourceVersion=%d&timeoutSeconds=1" % (f.w, rv(o))) as w:
        es = w.rest()
    assert [rv(e["object"]) for e in es] == [rv(n)], es


@row
def row_128(f):
    at = int(list_rv(f, f.w))
    made = [f.new() for _ in range(6)]
    got = []
    for _ in range(3):
        with f.api.watch("%s?watch=true&resourceVersion=%d" % (f.w, at)) as w:
            for e in w.take(2):
                got.append(name_of(e["object"]))
                at = rv(e["object"])
    assert got == [name_of(o) for o in made], got


@row
def row_129(f):
    run = rand()
    o = f.new(labels={"run": run})
    with f.api.watch("%s?watch=true&resourceVersion=%d&labelSelector=run%%3D%s" % (f.w, rv(o), run)) as w:
        n = f.api.merge(f.path(o), {"metadata": {"labels": {"run": "other"}}}).ok()
        e = w.take(1)[0]
        assert e["type"] == "DELETED" and rv(e["object"]) == rv(n), (e["type"], rv(e["object"]), rv(n))
        assert e["object"]["metadata"]["labels"]["run"] == run
        f.api.merge(f.path(o), {"metadata": {"labels": {"run": run}}}).ok()
        assert types(w.take(1)) == ["ADDED"]


@row
def row_130(f):
    at = list_rv(f, f.w)
    ws = [f.api.watch("%s?watch=true&resourceVersion=%s" % (f.w, at)) for _ in range(10)]
    o = f.new()
    for i in range(199):
        f.api.merge(f.path(o), {"spec": {"size": i % 50}, "metadata": {"labels": {"i": str(i)}}}).ok()
    seen = [[(e["type"], rv(e["object"])) for e in w.take(200)] for w in ws]
    [w.close() for w in ws]
    assert all(s == seen[0] for s in seen)
    assert [r for _, r in seen[0]] == sorted(r for _, r in seen[0])


@row
def row_131(f):
    ns = f.namespace()
    p = "%s/namespaces/%s/widgets" % (f.gv, ns)
    names = {name_of(f.api.post(p, f.widget("w-" + rand())).ok(201)) for _ in range(3)}
    for q in ("", "&resourceVersion=0"):
        with f.api.watch(p + "?watch=true" + q) as w:
            es = w.take(3)
            assert types(es) == ["ADDED"] * 3 and {name_of(e["object"]) for e in es} == names
    with f.api.watch("/apis/%s/v1/watch/namespaces/%s/widgets" % (f.group, ns)) as w:
        assert len(w.take(3)) == 3


@row
def row_132(f):
    with f.api.watch(f.w + "?watch=true&resourceVersion=1&timeoutSeconds=5") as w:
        assert w.status == 200
        es = w.rest()
    assert types(es) == ["ERROR"] and es[0]["object"]["code"] == 410 and es[0]["object"]["reason"] == "Expired", es


@row
def row_133(f):
    start = time.time()
    with f.api.watch("%s?watch=true&resourceVersion=%s&timeoutSeconds=2" % (f.w, list_rv(f, f.w))) as w:
        assert w.rest() == [] and w.clean
    assert 1.5 < time.time() - start < 4.5


@row
def row_134(f):
    at = list_rv(f, f.w)
    q = "%s?watch=true&resourceVersion=%s&timeoutSeconds=5&allowWatchBookmarks=true" % (f.w, at)
    with f.api.watch(q) as w:
        es = w.rest()
    # Nothing promises one within so short a time.
    assert set(types(es)) <= {"BOOKMARK"} and (es or not f.standalone), es
    for o in [e["object"] for e in es]:
        assert set(o) == {"kind", "apiVersion", "metadata"} and int(o["metadata"]["resourceVersion"]) >= int(at), o


@row
def row_135(f):
    with f.api.watch("%s?watch=true&resourceVersion=%s&timeoutSeconds=3" % (f.w, list_rv(f, f.w))) as w:
        assert w.rest() == []


@row
def row_136(f):
    ns = f.namespace()
    p = "%s/namespaces/%s/widgets" % (f.gv, ns)
    made = [f.api.post(p, f.widget("w-" + rand())).ok(201) for _ in range(3)]
    q = "?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    with f.api.watch(p + q) as w:
        es = w.until(lambda e: e["type"] == "BOOKMARK")
        assert {name_of(e["object"]) for e in es[:-1]} == {name_of(o) for o in made}
        assert es[-1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert int(es[-1]["object"]["metadata"]["resourceVersion"]) >= rv(made[-1])
        f.api.post(p, f.widget("live")).ok(201)
        assert name_of(w.take(1)[0]["object"]) == "live"


@row
def row_137(f):
    f.api.get(f.w + "?watch=true&sendInitialEvents=true").fails(422, "Invalid")


@row
def row_138(f):
    f.api.get(f.w + "?watch=true&resourceVersionMatch=NotOlderThan&resourceVersion=0").fails(422, "Invalid")


@row
def row_139(f):
    a = f.new()
    with f.api.watch("%s?watch=true&fieldSelector=metadata.name%%3D%s&resourceVersion=0" % (f.w, name_of(a))) as w:
        f.new()
        f.api.delete(f.path(a)).ok()
        assert types(w.take(2)) == ["ADDED", "DELETED"]
    b = f.new()
    assert f.api.get(f.path(b) + "?watch=true").ok() == b, "one object by its name is read, not watched"


@row
def row_140(f):
    at = list_rv(f, f.w)
    with f.api.watch("%s?watch=true&resourceVersion=%s" % (f.w, at), headers={"Accept": TABLE}) as w:
        o = f.new()
        f.api.delete(f.path(o)).ok()
        a, b = w.take(2)
    assert a["object"]["kind"] == b["object"]["kind"] == "Table"
    assert a["object"]["columnDefinitions"] and not b["object"]["columnDefinitions"]
    assert a["object"]["rows"][0]["cells"][0] == name_of(o)


@row
def row_141(f):
    f.api.post(f.w + "?watch=true", f.widget("w-" + rand())).ok(201)


@row
def row_142(f):
    o = f.new()
    s = f.api.delete(f.path(o)).ok()
    assert s["kind"] == "Status" and s["status"] == "Success" and "code" not in s
    assert s["details"]["uid"] == o["metadata"]["uid"] and s["details"]["kind"] == "widgets"


@row
def row_143(f):
    f.api.delete(f.w + "/nope").fails(404, "NotFound")


@row
def row_144(f):
    o = f.new(finalizers=["example.com/x"])
    with f.api.watch("%s?watch=true&resourceVersion=%d" % (f.w, rv(o))) as w:
        d = f.api.delete(f.path(o)).ok()
        assert d["metadata"]["deletionTimestamp"] and d["metadata"]["generation"] == 2, d["metadata"]
        f.api.get(f.path(o)).ok()
        f.api.merge(f.path(o), {"metadata": {"finalizers": None}}).ok()
        f.api.get(f.path(o)).fails(404)
        seen = w.until(lambda e: e["type"] == "DELETED")
        assert types(seen)[0] == "MODIFIED"


@row
def row_145(f):
    o = f.new(finalizers=["example.com/x"])
    f.api.delete(f.path(o)).ok()
    f.api.merge(f.path(o), {"metadata": {"finalizers": ["example.com/x", "example.com/y"]}}).fails(
        422, "Invalid", "FieldValueForbidden")
    s = f.api.post(f.w, f.widget(name_of(o))).fails(409, "AlreadyExists")
    assert s["message"].startswith("object is being deleted"), s["message"]
    f.api.delete(f.path(o)).ok()
    f.api.merge(f.path(o), {"metadata": {"finalizers": None}}).ok()


@row
def row_146(f):
    o = f.new()
    f.api.delete(f.path(o), {"preconditions": {"uid": "nope"}}).fails(409, "Conflict")
    f.api.delete(f.path(o), {"preconditions": {"resourceVersion": "1"}}).fails(409, "Conflict")


def with_dependent(f, **ref):
    owner = f.new()
    ref = {"apiVersion": f.group + "/v1", "kind": "Widget", "name": name_of(owner), "uid": owner["metadata"]["uid"], **ref}
    return owner, f.new(ownerReferences=[ref])


@row
def row_147(f):
    owner, dep = with_dependent(f, blockOwnerDeletion=True)
    f.api.delete(f.path(owner) + "?propagationPolicy=Foreground", {"propagationPolicy": "Orphan"}).ok()
    eventually(lambda: f.api.get(f.path(owner)).status == 404)
    eventually(lambda: not f.api.get(f.path(dep)).ok()["metadata"].get("ownerReferences"))


@row
def row_148(f):
    o = f.new()
    f.api.delete(f.path(o), {"propagationPolicy": "Orphan", "orphanDependents": True}).fails(422, "Invalid")


@row
def row_149(f):
    o = f.new()
    f.api.delete(f.path(o) + "?dryRun=All").ok()
    f.api.delete(f.path(o), {"dryRun": ["All"]}).ok()
    assert f.api.get(f.path(o)).ok() == o


@row
def row_150(f):
    run = rand()
    keep = f.new()
    for _ in range(3):
        f.new(labels={"run": run})
    d = f.api.delete(f.w + "?labelSelector=run%3D" + run).ok()
    assert d["kind"] == "WidgetList" and len(d["items"]) == 3
    f.api.get(f.path(keep)).ok()
    assert f.api.delete(f.w + "?labelSelector=run%3D" + run).ok()["items"] == []


@row
def row_151(f):
    f.api.delete(f.path(f.new()), {"propagationPolicy": "Foo"}).fails(422, "Invalid")


@row
def row_152(f):
    owner, dep = with_dependent(f)
    f.api.delete(f.path(owner), {"propagationPolicy": "Background"}).ok()
    f.api.get(f.path(owner)).fails(404)
    eventually(lambda: f.api.get(f.path(dep)).status == 404)


@row
def row_153(f):
    owner, dep = with_dependent(f, blockOwnerDeletion=True)
    f.api.merge(f.path(dep), {"metadata": {"finalizers": ["example.com/hold"]}}).ok()
    f.api.delete(f.path(owner), {"propagationPolicy": "Foreground"}).ok()
    eventually(lambda: f.api.get(f.path(dep)).ok()["metadata"].get("deletionTimestamp"))
    assert "foregroundDeletion" in f.api.get(f.path(owner)).ok()["metadata"]["finalizers"]
    f.api.merge(f.path(dep), {"metadata": {"finalizers": None}}).ok()
    eventually(lambda: f.api.get(f.path(owner)).status == 404)


@row
def row_154(f):
    owner, dep = with_dependent(f)
    f.api.delete(f.path(owner), {"propagationPolicy": "Orphan"}).ok()
    eventually(lambda: f.api.get(f.path(owner)).status == 404)
    eventually(lambda: not f.api.get(f.path(dep)).ok()["metadata"].get("ownerReferences"))


@row
def row_155(f):
    a, b = f.new(), f.new()
    refs = [{"apiVersion": f.group + "/v1", "kind": "Widget", "name": name_of(o), "uid": o["metadata"]["uid"]} for o in (a, b)]
    dep = f.new(ownerReferences=refs)
    f.api.delete(f.path(a)).ok()
    eventually(lambda: len(f.api.get(f.path(dep)).ok()["metadata"]["ownerReferences"]) == 1)
    f.api.delete(f.path(b)).ok()
    eventually(lambda: f.api.get(f.path(dep)).status == 404)


@row
def row_156(f):
    _, dep = with_dependent(f, uid="11111111-1111-4111-8111-111111111111")
    eventually(lambda: f.api.get(f.path(dep)).status == 404)


@row
def row_157(f):
    os = [f.new() for _ in range(3)]
    for i, o in enumerate(os):
        p = os[(i + 1) % 3]
        ref = {"apiVersion": f.group + "/v1", "kind": "Widget", "name": name_of(p), "uid": p["metadata"]["uid"],
               "blockOwnerDeletion": True}
        f.api.merge(f.path(o), {"metadata": {"ownerReferences": [ref]}}).ok()
    f.api.delete(f.path(os[0]), {"propagationPolicy": "Foreground"}).ok()
    eventually(lambda: all(f.api.get(f.path(o)).status == 404 for o in os))


def new_job(f, **spec):
    pod = {"restartPolicy": spec.pop("restart", "Never"), "containers": [{"name": "c", "image": "i"}]}
    return f.api.post(JOBS % f.ns, {"metadata": {"name": "j-" + rand()}, "spec": {"template": {"spec": pod}, **spec}})


@row
def row_158(f):
    o = new_job(f).ok(201)
    ref = {"apiVersion": "batch/v1", "kind": "Job", "name": name_of(o), "uid": o["metadata"]["uid"], "controller": True}
    dep = f.new(ownerReferences=[ref])
    r = f.api.delete(JOBS % f.ns + "/" + name_of(o))
    r.ok(200, 202)
    assert r.warnings, "no Warning header"
    eventually(lambda: f.api.get(JOBS % f.ns + "/" + name_of(o)).status == 404)
    eventually(lambda: not f.api.get(f.path(dep)).ok()["metadata"].get("ownerReferences"))


@row
def row_159(f):
    o = f.api.get("/api/v1/namespaces/" + f.ns).ok()
    assert o["metadata"]["labels"]["kubernetes.io/metadata.name"] == f.ns
    assert o["spec"]["finalizers"] == ["kubernetes"] and o["status"]["phase"] == "Active"


@row
def row_161(f):
    ns = f.namespace()
    p = "/api/v1/namespaces/" + ns
    hold = {"metadata": {"name": "h", "finalizers": ["example.com/x"]}}
    f.api.post(p + "/configmaps", hold).ok(201)
    o = f.api.delete(p).ok(200, 202)
    assert o["status"]["phase"] == "Terminating" and o["metadata"]["deletionTimestamp"], o
    f.api.post(p + "/configmaps", {"metadata": {"name": "c"}}).fails(403, "Forbidden", "NamespaceTerminating")
    f.api.merge(p + "/configmaps/h", {"metadata": {"finalizers": None}}).ok()
    eventually(lambda: f.api.get(p).status == 404)


@row
def row_162(f):
    for ns in ("default", "kube-system", "kube-public"):
        f.api.delete("/api/v1/namespaces/" + ns).fails(403, "Forbidden")


@row
def row_163(f):
    ns = f.namespace()
    p = "/api/v1/namespaces/" + ns
    f.api.post(p + "/configmaps", {"metadata": {"name": "h", "finalizers": ["example.com/x"]}}).ok(201)
    f.api.delete(p).ok(200, 202)

    def stuck():
        o = f.api.get(p).ok()
        return any(c["type"] == "NamespaceFinalizersRemaining" and c["status"] == "True"
                   for c in o["status"].get("conditions", []))

    eventually(stuck)
    f.api.merge(p + "/configmaps/h", {"metadata": {"finalizers": None}}).ok()
    eventually(lambda: f.api.get(p).status == 404)


@row
def row_164(f):
    p = "/api/v1/namespaces/" + f.namespace()
    o = f.api.merge(p, {"metadata": {"labels": {"a": "b"}}, "spec": {"finalizers": ["x/y"]}}).ok()
    assert o["metadata"]["labels"]["a"] == "b" and o["spec"]["finalizers"] == ["kubernetes"]
    f.api.merge(p + "/status", {"status": {"conditions": [{"type": "X", "status": "True"}]}}).ok()
    o = f.api.get(p).ok()
    o["spec"]["finalizers"] = ["kubernetes", "example.com/x"]
    assert f.api.put(p + "/finalize", o).ok()["spec"]["finalizers"] == ["kubernetes", "example.com/x"]


@row
def row_165(f):
    p = f.core + "/secrets"
    name = "s-" + rand()
    o = f.api.post(p, {"metadata": {"name": name}, "stringData": {"a": "x"}}).ok(201)
    assert o["data"] == {"a": "eA=="} and "stringData" not in o and o["type"] == "Opaque"
    o["stringData"] = {"a": "y"}
    assert f.api.put(p + "/" + name, o).ok()["data"] == {"a": "eQ=="}


@row
def row_166(f):
    p = f.core + "/secrets"
    f.api.post(p, {"metadata": {"name": "s-" + rand()}, "data": {"": "eA=="}}).fails(422, "Invalid")
    f.api.post(p, {"metadata": {"name": "s-" + rand()}, "data": {"a": "?"}}).fails(400, "BadRequest")
    o = f.api.post(p, {"metadata": {"name": "s-" + rand()}}).ok(201)
    f.api.merge(p + "/" + name_of(o), {"type": "other"}).fails(422, "Invalid")


@row
def row_167(f):
    for kind, data in (("configmaps", {"a": "x"}), ("secrets", {"a": "eA=="})):
        p = f.core + "/" + kind
        o = f.api.post(p, {"metadata": {"name": "i-" + rand()}, "data": data, "immutable": True}).ok(201)
        p += "/" + name_of(o)
        f.api.merge(p, {"data": {"a": "eQ=="}}).fails(422, "Invalid")
        f.api.merge(p, {"immutable": None}).fails(422, "Invalid")
        f.api.merge(p, {"metadata": {"labels": {"a": "b"}}}).ok()
        f.api.delete(p).ok()


@row
def row_168(f):
    p = "/apis/coordination.k8s.io/v1/namespaces/%s/leases" % f.ns
    at = "2026-01-02T03:04:05.678901Z"
    o = f.api.post(p, {"metadata": {"name": "l-" + rand(), "labels": {"run": "l"}},
                       "spec": {"holderIdentity": "a", "renewTime": at, "leaseDurationSeconds": 15}}).ok(201)
    q = p + "/" + name_of(o)
    assert o["spec"]["renewTime"] == at
    n = f.api.put(q, {**o, "spec": {**o["spec"], "holderIdentity": "b"}}).ok()
    f.api.put(q, o).fails(409, "Conflict")
    assert f.api.merge(q, {"spec": {"leaseTransitions": 1}}).ok()["spec"]["holderIdentity"] == "b"
    assert rv(n) > rv(o)
    f.api.delete(p + "?labelSelector=run%3Dl").ok()
    f.api.get(q).fails(404)


def event(f, name, uid="u"):
    return {"metadata": {"name": name}, "involvedObject": {"kind": "Pod", "namespace": f.ns, "name": "p", "uid": uid},
            "reason": "Why", "message": "what", "type": "Normal", "count": 2,
            "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:01Z",
            "source": {"component": "c"}}


@row
def row_169(f):
    name = "e-" + rand()
    f.api.post(f.core + "/events", event(f, name)).ok(201)
    e = f.api.get("/apis/events.k8s.io/v1/namespaces/%s/events/%s" % (f.ns, name)).ok()
    assert e["regarding"]["name"] == "p" and e["note"] == "what" and e["deprecatedCount"] == 2, e
    assert e["deprecatedSource"] == {"component": "c"}
    new = {"metadata": {"name": "n" + name}, "regarding": {"kind": "Pod", "namespace": f.ns, "name": "p"},
           "eventTime": "2026-01-01T00:00:00.000001Z", "reportingController": "x/y", "reportingInstance": "z",
           "action": "Do", "reason": "Why", "note": "text", "type": "Warning"}
    f.api.post("/apis/events.k8s.io/v1/namespaces/%s/events" % f.ns, new).ok(201)
    o = f.api.get(f.core + "/events/n" + name).ok()
    assert o["involvedObject"]["name"] == "p" and o["message"] == "text" and o["reportingComponent"] == "x/y", o
    del new["eventTime"]
    new["metadata"]["name"] += "2"
    f.api.post("/apis/events.k8s.io/v1/namespaces/%s/events" % f.ns, new).fails(422, "Invalid")


@row
def row_170(f):
    uid, name = rand(20), "e-" + rand()
    f.api.post(f.core + "/events", event(f, name, uid)).ok(201)
    d = f.api.get(f.core + "/events?fieldSelector=involvedObject.uid%3D" + uid + "%2CinvolvedObject.name%3Dp").ok()
    assert [name_of(i) for i in d["items"]] == [name]


def can_i(c, verb, resource, ns, group="", **more):
    r = c.post(AUTHZ + "/selfsubjectaccessreviews", {"spec": {"resourceAttributes": {
        "verb": verb, "resource": resource, "namespace": ns, "group": group, **more}}})
    return r.ok(201)["status"]["allowed"]


@row
def row_171(f):
    assert can_i(f.api, "get", "pods", f.ns)
    name, sa = f.account()
    assert not can_i(sa, "get", "pods", f.ns)
    r = f.api.post(AUTHZ + "/subjectaccessreviews", {"spec": {
        "user": "system:serviceaccount:%s:%s" % (f.ns, name), "resourceAttributes": {"verb": "get", "resource": "pods"}}})
    assert r.ok(201)["status"]["allowed"] is False
    f.api.post(AUTHZ + "/selfsubjectaccessreviews", {"spec": {}}).fails(422, "Invalid")
    d = f.api.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}).ok(201)
    assert d["status"]["userInfo"]["username"] in ("admin", "kubernetes-admin") and "system:masters" in d["status"]["userInfo"]["groups"]
    d = sa.post(AUTHZ + "/selfsubjectrulesreviews", {"spec": {"namespace": f.ns}}).ok(201)
    assert any("selfsubjectaccessreviews" in r["resources"] for r in d["status"]["resourceRules"])


@row
def row_172(f):
    r = f.api.post(AUTHZ + "/namespaces/%s/localsubjectaccessreviews" % f.ns, {"spec": {
        "user": "u", "resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "other"}}})
    assert 400 <= r.status < 500


@row
def row_173(f):
    name, sa = f.account()
    s = sa.get(f.w).fails(403, "Forbidden")
    want = 'widgets.%s is forbidden: User "system:serviceaccount:%s:%s" cannot list resource "widgets" in API group ' \
           '"%s" in the namespace "%s"' % (f.group, f.ns, name, f.group, f.ns)
    assert s["message"] == want, s["message"]
    assert 'at the cluster scope' in sa.get(f.gv + "/widgets").fails(403)["message"]
    assert 'cannot get path "/metrics"' in sa.get("/metrics").fails(403)["message"]


def grant(f, account, rules, ns=None):
    ns = ns or f.ns
    base = RBAC + "/namespaces/" + ns
    name = "r-" + rand()
    f.api.post(base + "/roles", {"metadata": {"name": name}, "rules": rules}).ok(201)
    b = {"metadata": {"name": name}, "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": ns}],
         "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}}
    f.api.post(base + "/rolebindings", b).ok(201)
    return name


@row
def row_174(f):
    name, sa = f.account()
    a, b = f.new(), f.new()
    sa.get(f.path(a)).fails(403)
    grant(f, name, [{"apiGroups": [f.group], "resources": ["widgets"], "verbs": ["list"]},
                    {"apiGroups": [f.group], "resources": ["widgets"], "verbs": ["get"], "resourceNames": [name_of(a)]},
                    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}])
    soon(f, lambda: sa.get(f.w).status == 200)
    sa.get(f.path(a)).ok()
    sa.get(f.path(b)).fails(403)
    sa.post(f.w, f.widget("x")).fails(403)
    sa.get(f.path(a) + "/status").fails(403)
    sa.get(f.core + "/pods/p").fails(404)
    sa.get(f.core + "/pods/p/log").fails(403)
    sa.get(f.gv + "/widgets").fails(403)


@row
def row_175(f):
    name, sa = f.account()
    rule = {"apiGroups": [f.group], "resources": ["widgets"], "verbs": ["get"]}
    grant(f, name, [rule, {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"],
                           "verbs": ["create", "update"]}])
    p = RBAC + "/namespaces/%s/roles" % f.ns
    role = {"metadata": {"name": "own-" + rand()}, "rules": [rule]}
    soon(f, lambda: sa.post(p, role).status in (201, 409))
    more = {"metadata": {"name": "more-" + rand()}, "rules": [{**rule, "verbs": ["get", "delete"]}]}
    s = sa.post(p, more).fails(403, "Forbidden")
    assert "attempting to grant RBAC permissions not currently held" in s["message"], s
    b = {"metadata": {"name": "b-" + rand()}, "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": f.ns}],
         "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}}
    sa.post(RBAC + "/namespaces/%s/rolebindings" % f.ns, b).fails(403, "Forbidden")
    b["roleRef"] = {**b["roleRef"], "kind": "Role", "name": role["metadata"]["name"]}
    sa.post(RBAC + "/namespaces/%s/rolebindings" % f.ns, b).ok(201)


@row
def row_176(f):
    name, _ = f.account()
    b = grant(f, name, [])
    f.api.merge(RBAC + "/namespaces/%s/rolebindings/%s" % (f.ns, b), {"roleRef": {"name": "other"}}).fails(422, "Invalid")


def claims(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


@row
def row_177(f):
    name, _ = f.account()
    p = f.core + "/serviceaccounts/%s/token" % name
    t = f.api.post(p, {"spec": {"expirationSeconds": 3600, "audiences": ["x"]}}).ok(201)
    c = claims(t["status"]["token"])
    assert c["exp"] - c["iat"] == 3600 and c["aud"] == ["x"] and c["kubernetes.io"]["namespace"] == f.ns
    assert c["sub"] == "system:serviceaccount:%s:%s" % (f.ns, name)
    f.api.post(p, {"spec": {"expirationSeconds": 10}}).fails(422, "Invalid")
    f.api.post(f.core + "/serviceaccounts/nope/token", {"spec": {}}).fails(404)
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "nope"}
    f.api.post(p, {"spec": {"boundObjectRef": bound}}).fails(404)
    assert f.api.with_token(t["status"]["token"]).get(f.w).status == 401, "a token for another audience"


@row
def row_178(f):
    name, sa = f.account()
    p = "/apis/authentication.k8s.io/v1/tokenreviews"
    s = f.api.post(p, {"spec": {"token": sa.token}}).ok(201)["status"]
    assert s["authenticated"] and s["user"]["username"] == "system:serviceaccount:%s:%s" % (f.ns, name)
    assert "system:serviceaccounts:" + f.ns in s["user"]["groups"] and s["audiences"]
    s = f.api.post(p, {"spec": {"token": "garbage"}}).ok(201)["status"]
    assert not s.get("authenticated") and s["error"]


def forged(token):
    """The same claims with other heads and signatures."""
    h, c, s = token.split(".")

    def enc(d):
        return base64.urlsafe_b64encode(json.dumps(d).encode()).decode().rstrip("=")

    head = json.loads(base64.urlsafe_b64decode(h + "=="))
    yield "%s.%s." % (enc({**head, "alg": "none"}), c)
    yield "%s.%s.%s" % (enc({**head, "alg": "HS256"}), c, s)
    yield "%s.%s.%s" % (enc({**head, "kid": "x"}), c, s)
    yield "%s.%s.%s" % (h, enc({**claims(token), "exp": 99999999999}), s)
    yield "%s.%s.%s" % (h, c, ("A" if s[0] != "A" else "B") + s[1:])
    yield "%s.%s" % (h, c)
    yield "%s.%s.%s.%s" % (h, c, s, s)


@row
def row_179(f):
    name, sa = f.account()
    sa.get(f.w).fails(403)
    for t in forged(sa.token):
        f.api.with_token(t).get(f.w).fails(401, "Unauthorized")
    f.api.delete(f.core + "/serviceaccounts/" + name).ok()
    soon(f, lambda: sa.get(f.w).status == 401, 60, "the token of an account that is gone")
    assert sa.get(f.w).fails(401, "Unauthorized")["message"] == "Unauthorized"
    s = f.nobody.get(f.w).fails((401, 403))
    assert s["code"] == 401 or 'User "system:anonymous"' in s["message"], s


@row
def row_180(f):
    _, sa = f.account()
    d = f.api.get("/.well-known/openid-configuration").ok()
    assert d["issuer"] == claims(sa.token)["iss"]
    keys = f.api.get("/openid/v1/jwks", Accept="application/jwk-set+json").ok()["keys"]
    part = sa.token.split(".")[0]
    assert json.loads(base64.urlsafe_b64decode(part + "=="))["kid"] == keys[0]["kid"] and keys[0]["use"] == "sig"


@row
def row_181(f):
    name, sa = f.account()
    user = "system:serviceaccount:%s:%s" % (f.ns, name)
    r = f.api.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, {"Impersonate-User": user})
    assert r.ok(201)["status"]["userInfo"]["username"] == user
    f.api.get(f.w, Impersonate_User=user).fails(403)
    sa.get(f.w, Impersonate_User="admin").fails(403)


@row
def row_182(f):
    o = new_job(f).ok(201)
    s, labels = o["spec"], o["spec"]["template"]["metadata"]["labels"]
    uid = o["metadata"]["uid"]
    assert (s["parallelism"], s["completions"], s["backoffLimit"], s["completionMode"], s["suspend"]) == (
        1, 1, 6, "NonIndexed", False), s
    assert labels["batch.kubernetes.io/controller-uid"] == uid == labels["controller-uid"]
    assert labels["batch.kubernetes.io/job-name"] == name_of(o) == labels["job-name"]
    assert s["selector"]["matchLabels"] == {"batch.kubernetes.io/controller-uid": uid}
    assert s["template"]["spec"]["terminationGracePeriodSeconds"] == 30 and o["metadata"]["generation"] == 1


@row
def row_183(f):
    new_job(f, restart="Always").fails(422, "Invalid")


@row
def row_184(f):
    o = new_job(f).ok(201)
    p = JOBS % f.ns + "/" + name_of(o)
    c = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "k"}]
    f.api.patch(p, c, "json-patch").fails(422, "Invalid")
    n = f.api.merge(p, {"spec": {"parallelism": 2}}).ok()
    assert n["metadata"]["generation"] == 2
    assert f.api.merge(p, {"spec": {"suspend": True}}).ok()["metadata"]["generation"] == 3


@row
def row_195(f):
    o = new_job(f).ok(201)
    p = JOBS % f.ns + "/%s/status" % name_of(o)
    at = "2026-01-01T00:00:00Z"
    done = {"type": "Complete", "status": "True"}
    f.api.merge(p, {"status": {"startTime": at, "completionTime": at, "conditions": [done]}}).fails(422, "Invalid")


@row
def row_197(f):
    p = f.core + "/pods"
    o = f.api.post(p, {"metadata": {"name": "p-" + rand()}, "spec": {
        "restartPolicy": "Never", "containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]}}).ok(201)
    q = p + "/%s/log" % name_of(o)
    s = f.api.get(q).fails(400, "BadRequest")
    assert "a container name must be specified for pod" in s["message"] and "[a b]" in s["message"], s
    s = f.api.get(q + "?container=x").fails(400, "BadRequest")
    assert s["message"] == "container x is not valid for pod " + name_of(o)
    # Section 2.21: each parameter is looked at before the pod is.
    for path in (q, p + "/nope/log"):
        for query, message in (
                ("sinceSeconds=5&sinceTime=2026-01-01T00:00:00Z",
                 "[]: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"),
                ("tailLines=-1", "tailLines: Invalid value: -1: must be greater than or equal to 0"),
                ("limitBytes=0", "limitBytes: Invalid value: 0: must be greater than 0"),
                ("sinceSeconds=0", "sinceSeconds: Invalid value: 0: must be greater than 0"),
                ("sinceSeconds=0&limitBytes=-2", "[limitBytes: Invalid value: -2: must be greater than 0, "
                                                 "sinceSeconds: Invalid value: 0: must be greater than 0]")):
            s = f.api.get(path + "?container=a&" + query).fails(422, "Invalid")
            assert s["message"] == 'PodLogOptions "%s" is invalid: %s' % (path.split("/")[-2], message), s
        for query in ("tailLines=x", "tailLines=", "limitBytes=1.5", "sinceTime=yesterday"):
            f.api.get(path + "?container=a&" + query).fails(400, "BadRequest")
    f.api.get(p + "/nope/log").fails(404, "NotFound")


@row
def row_206(f):
    o = f.new()
    codes = []

    def work(i):
        n = {**o, "spec": {"size": i % 99, "free": {"i": i}}}
        codes.append(f.api.put(f.path(o), n).status)

    ts = [threading.Thread(target=work, args=(i,)) for i in range(100)]
    [t.start() for t in ts]
    [t.join() for t in ts]
    assert sorted(codes) == [200] + [409] * 99, codes


@row
def row_205(f):
    """kill -9 while creating: whatever was answered 201 is there after the restart, and history goes on."""
    if not f.standalone:
        raise Skip("needs a server that can be stopped")
    p = f.core + "/configmaps"
    done, last = [], [0]
    stop = threading.Event()

    def work(i):
        n = 0
        while not stop.is_set():
            try:
                r = f.api.post(p, {"metadata": {"name": "k-%d-%d" % (i, n)}})
            except Exception:
                return
            if r.status == 201:
                done.append(name_of(r.json))
                last[0] = max(last[0], rv(r.json))
            n += 1

    ts = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    [t.start() for t in ts]
    time.sleep(0.5)
    f.stop(kill=True)
    stop.set()
    [t.join() for t in ts]
    f.start()
    d = f.api.get(p).ok()
    names = {name_of(i) for i in d["items"]}
    assert len(done) > 20 and set(done) <= names, "%d lost of %d" % (len(set(done) - names), len(done))
    assert int(d["metadata"]["resourceVersion"]) >= last[0]
    with f.api.watch("%s?watch=true&resourceVersion=%d&timeoutSeconds=1" % (p, rv(d["items"][0]))) as w:
        es = w.rest()
        assert es and es[0]["type"] != "ERROR", es[:1]


@row
def row_208(f):
    at = list_rv(f, f.w)
    o = f.new()
    f.stop()
    f.start()
    with f.api.watch("%s?watch=true&resourceVersion=%s" % (f.w, at)) as w:
        e = w.take(1)[0]
    assert e["type"] == "ADDED" and name_of(e["object"]) == name_of(o), e


def running_pod(f, ip=None):
    p = f.core + "/pods"
    o = f.api.post(p, {"metadata": {"name": "p-" + rand()}, "spec": {
        "restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}).ok(201)
    status = {"phase": "Running", "podIP": ip, "containerStatuses": [
        {"name": "c", "ready": True, "restartCount": 0, "image": "i", "imageID": "",
         "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]}
    f.api.merge("%s/%s/status" % (p, name_of(o)), {"status": status}).ok()
    return o


@row
def row_196(f):
    """The text comes from the node, as it is; the options go to it."""
    node = FakeNode(f)
    try:
        node.register("standalone")
        o = running_pod(f)
        q = f.core + "/pods/%s/log" % name_of(o)
        r = f.api.get(q + "?tailLines=1&limitBytes=9&timestamps=true&sinceTime=2026-01-01T00:00:00Z")
        assert (r.status, r.raw, r.headers["Content-Type"]) == (200, b"one\ntwo\n", "text/plain"), r.raw
        assert node.asked == ["/containerLogs/%s/%s/c?timestamps=true&tailLines=1&sinceTime=2026-01-01T00%%3A00%%3A00Z"
                              "&limitBytes=9" % (f.ns, name_of(o))], node.asked
        assert node.callers == {"system:ambient:apiserver"}
        f.api.get(q + "?previous=true").fails(400, "BadRequest", text="previous terminated container")
    finally:
        node.close()


@row
def row_198(f):
    """A followed log arrives line by line; the end of the container is its end; a peer that leaves ends it."""
    node = FakeNode(f)
    try:
        node.register("standalone")
        node.more = threading.Event()
        o = running_pod(f)
        q = f.core + "/pods/%s/log?follow=true" % name_of(o)
        conn = f.api.connect()
        conn.request("GET", q, headers=f.api.headers(None))
        r = conn.getresponse()
        assert r.readline() == b"one\n"  # or the patience of the connection ends before that of the node
        node.more.set()
        assert r.read() == b"two\n"
        conn.request("GET", q, headers=f.api.headers(None))
        assert conn.getresponse().readline() == b"one\n"
        conn.close()
    finally:
        node.close()


@row
def row_111(f):
    d = f.crd("h" + rand(), "H" + rand())
    plural, kind = d["spec"]["names"]["plural"], d["spec"]["names"]["kind"]
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    f.api.post(crds, d).ok(201)
    p = "%s/namespaces/%s/%s" % (f.gv, f.ns, plural)
    eventually(lambda: f.api.get(p).status == 200)
    o = f.api.post(p, {"apiVersion": f.group + "/v1", "kind": kind, "metadata": {"name": "x"}, "spec": {}}).ok(201)
    f.api.patch(crds + "/" + d["metadata"]["name"], [{
        "op": "add", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/mode/default",
        "value": "b"}], "json-patch").ok()
    n = eventually(lambda: (lambda n: n["spec"].get("mode") == "b" and n)(f.api.get(p + "/x").ok()))
    assert rv(n) == rv(o)
    f.api.delete(crds + "/" + d["metadata"]["name"]).ok()


class Stream:
    """A watch of which only the names are read, as bytes, so that a thousand of them are no work."""

    def __init__(self, f, path, buffer=None):
        sock = socket.socket()
        if buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        sock.connect((f.hostname, f.port))
        self.sock = f.api.context.wrap_socket(sock, server_hostname=f.hostname)
        self.sock.sendall(("GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path).encode())
        self.text, self.names, self.over = b"", [], False

    def take(self):
        """What has come; False when nothing is there."""
        try:
            data = self.sock.recv(1 << 18)
        except (ssl.SSLWantReadError, BlockingIOError):
            return False
        except OSError:
            data = b""
        self.over = self.over or not data
        self.text += data
        found = list(re.finditer(rb'"name":"(n-\d+)"', self.text))
        self.names += [m.group(1).decode() for m in found]
        self.text = self.text[found[-1].end() if found else -64:]
        return bool(data)


def descriptors(n):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < n:
        raise Skip("only %d files may be open" % hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, n), hard))


@row
def row_207(f):
    """A thousand watches over TLS: each sees every write, in order, while one that never reads holds nobody up.

    A kube-apiserver ends watches that are behind while it waits for the slow one, on two cores many of a thousand that
    only wait for their turn: there a hundred must see every write, and one that was ended goes on where it was."""
    descriptors(2200)
    ns, writes = f.namespace(), 40
    core = "/api/v1/namespaces/%s/configmaps" % ns
    versions = [f.api.get(core).ok()["metadata"]["resourceVersion"]]
    path = core + "?watch=1&labelSelector=size&timeoutSeconds=300&resourceVersion="
    slow = Stream(f, core + "?watch=1&timeoutSeconds=300&resourceVersion=" + versions[0], buffer=4096)
    poll = selectors.DefaultSelector()

    def stream(names):
        s = Stream(f, path + versions[len(names)])
        s.names = names
        s.sock.setblocking(False)
        poll.register(s.sock, selectors.EVENT_READ, s)
        return s

    streams = [stream([]) for _ in range(1000 if f.standalone else 100)]
    try:
        for i in range(writes):
            small = f.api.post(core, {"metadata": {"name": "n-%d" % i, "labels": {"size": "small"}}}).ok(201)
            versions.append(small["metadata"]["resourceVersion"])
            # So much that it fits into no buffer of the one that does not read.
            f.api.post(core, {"metadata": {"name": "big-%d" % i}, "data": {"p": "x" * 500000}}).ok(201)
        end = time.monotonic() + 120
        left = set(streams)
        while left:
            assert time.monotonic() < end, "%d streams have not got all: %s" % (len(left), next(iter(left)).names[-1:])
            for key, _ in poll.select(5):
                s = key.data
                while s.take():
                    pass
                if s.over:
                    assert not f.standalone, "a stream ended after %s" % s.names[-1:]
                    poll.unregister(s.sock)
                    s.sock.close()
                    streams.remove(s)
                    left.discard(s)
                    s = stream(s.names)
                    streams.append(s)
                    left.add(s)
                if len(s.names) >= writes:
                    left.discard(s)
        wanted = ["n-%d" % i for i in range(writes)]
        for s in streams:
            assert s.names == wanted, s.names
        # What it missed it is told now, or it is told that it fell behind, or its connection has ended: never a gap.
        slow.sock.settimeout(60 if f.standalone else 10)
        while not slow.over and len(slow.names) < writes and slow.take():
            pass
        assert slow.names == wanted[:len(slow.names)], slow.names
    finally:
        for s in streams + [slow]:
            s.sock.close()
