# SPDX-License-Identifier: Apache-2.0
"""What every client library must be able to do; each has a program that knows these cases by name.

A case runs the program and then asks the API what came of it, as another client.
"""
import apilib
from robot import GROUP, Robot, soon

CASES = []


def case(fn):
    CASES.append(fn)
    return fn


class Library:
    """One library: how its program is started, the fixture, and a namespace of its own."""

    def __init__(self, name, argv, fixture):
        self.name, self.argv, self.f = name, argv, fixture
        self.ns = fixture.namespace()
        self.core = "/api/v1/namespaces/" + self.ns
        self.gadgets = "/apis/%s/v1/namespaces/%s/gadgets" % (GROUP, self.ns)

    @property
    def api(self):
        """Another one, once the server has been started anew."""
        return self.f.api

    def start(self, name, **env):
        return Robot(self.argv + [name], self.f, self.ns, **env)

    def run(self, name, **env):
        with self.start(name, **env) as r:
            return r.ended()

    def get(self, resource, name):
        return self.api.get("%s/%s/%s" % (self.core, resource, name)).ok()

    def gone(self, resource, name):
        self.api.get("%s/%s/%s" % (self.core, resource, name)).fails(404, "NotFound")

    def configmap(self, name, app, **data):
        return self.api.post(self.core + "/configmaps", {"metadata": {"name": name, "labels": {"app": app}},
                                                         "data": data}).ok(201)


@case
def crud(l):
    """Create, read, replace, replace of what has changed since, list by label, delete, read of what is not there."""
    said = l.run("crud")
    assert said == ["conflict 409 Conflict", "listed 1", "bytes 00ff", "missing 404 NotFound",
                    "exists 409 AlreadyExists"], said
    o = l.get("configmaps", "crud")
    assert o["data"] == {"k": "two"} and o["metadata"]["labels"] == {"app": "crud"}, o
    l.gone("secrets", "crud")


@case
def patch(l):
    """JSON patch, merge patch, strategic merge patch, and server-side apply with a conflict."""
    said = l.run("patch")
    assert said == ["conflict 409 Conflict", "unsupported 415 UnsupportedMediaType"], said
    assert l.get("configmaps", "patched")["data"] == {"stays": "1", "json": "2", "merge": "3"}
    ports = {p["port"]: p["name"] for p in l.get("services", "patched")["spec"]["ports"]}
    assert ports == {80: "http", 443: "tls"}, ports
    o = l.get("configmaps", "applied")
    assert o["data"] == {"a": "2", "b": "1"}, o
    owners = {(m["manager"], m["operation"]) for m in o["metadata"]["managedFields"]}
    assert owners == {("first", "Apply"), ("second", "Apply")}, owners


@case
def watch(l):
    """What is there, then what happens, each once and in order."""
    l.configmap("w0", "watched")
    with l.start("watch") as r:
        r.expect("ADDED w0", "ready")
        l.configmap("w1", "watched", k="1")
        l.configmap("other", "other")
        r.expect("ADDED w1")
        l.api.merge(l.core + "/configmaps/w1", {"data": {"k": "2"}}).ok()
        r.expect("MODIFIED w1")
        l.api.merge(l.core + "/configmaps/w0", {"metadata": {"labels": {"app": "elsewhere"}}}).ok()
        r.expect("DELETED w0")
        l.api.delete(l.core + "/configmaps/w1").ok()
        r.expect("DELETED w1")
        l.configmap("last", "watched")
        r.expect("ADDED last")
        r.ended()


@case
def custom(l):
    """A kind that the library has no types for: defaults, refusals, status and scale."""
    said = l.run("custom")
    assert said == ["size 3", "invalid 422 Invalid spec.size", "replicas 4", "listed 1"], said
    o = l.api.get(l.gadgets + "/one").ok()
    assert o["spec"] == {"size": 5, "replicas": 4} and o["status"] == {"replicas": 2}, o
    assert o["metadata"]["generation"] == 3, o
    l.api.get(l.gadgets + "/two").fails(404, "NotFound")


@case
def pages(l):
    for i in range(7):
        l.configmap("p%d" % i, "pages")
    said = l.run("pages")
    assert said == ["page 3", "page 3", "page 1", "names p0 p1 p2 p3 p4 p5 p6"], said


@case
def many(l):
    """Deletion of a collection, by label."""
    for i in range(4):
        l.configmap("m%d" % i, "many")
    l.configmap("kept", "kept")
    l.run("many")
    names = [apilib.name_of(o) for o in l.api.get(l.core + "/configmaps?labelSelector=app+in+(many,kept)").ok()["items"]]
    assert names == ["kept"], names


@case
def identity(l):
    """A token for a ServiceAccount, a review of one's own rights, and a client that has only the token."""
    with l.start("identity") as r:
        r.expect("allowed true", "denied 403 Forbidden")
        word, token = r.line().split()
        assert word == "token", r.said()
        r.ended()
    me = l.api.with_token(token).post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}).ok(201)["status"]["userInfo"]
    assert me["username"] == "system:serviceaccount:%s:robot" % l.ns, me
    assert "system:serviceaccounts:" + l.ns in me["groups"], me


def holder(l):
    """Who leads; the Python library of Debian 12 elects with a ConfigMap's annotation, all others with a Lease."""
    a = l.api.get("/apis/coordination.k8s.io/v1/namespaces/%s/leases/elected" % l.ns)
    if a.status == 200:
        return a.json["spec"].get("holderIdentity")
    a = l.api.get(l.core + "/configmaps/elected")
    if a.status != 200:
        return None
    record = a.json["metadata"]["annotations"]["control-plane.alpha.kubernetes.io/leader"]
    return apilib.json.loads(record)["holderIdentity"]


@case
def election(l):
    """Of two candidates one leads; when it is killed, the other does."""
    with l.start("election", IDENTITY="a") as a:
        a.until("leading")
        assert holder(l) == "a"
        with l.start("election", IDENTITY="b") as b:
            b.until("waiting")
            assert holder(l) == "a"
            a.process.kill()
            b.until("leading")
            assert holder(l) == "b"


@case
def discovery(l):
    said = l.run("discovery")
    v = l.api.get("/version").ok()
    assert said == ["version %s.%s" % (v["major"], v["minor"]), "gadgets Gadget true", "namespaces Namespace false"], said


@case
def logs(l):
    """Whole, then followed with a limit; from a node that is not one."""
    l.api.post(l.core + "/pods", {"metadata": {"name": "talks"}, "spec": {
        "restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}).ok(201)
    node = apilib.FakeNode(l.f)
    try:
        node.register("standalone")
        l.api.merge(l.core + "/pods/talks/status", {"status": {"phase": "Running", "containerStatuses": [
            {"name": "c", "ready": True, "restartCount": 0, "image": "i", "imageID": "",
             "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]}}).ok()
        said = l.run("logs")
        assert said == ["log one two", "line one", "line two"], said
        assert "follow=true" in node.asked[-1] and "tailLines=2" in node.asked[-1], node.asked
    finally:
        node.close()
    l.api.do("DELETE", l.core + "/pods/talks?gracePeriodSeconds=0").ok()


def served(f):
    """The kind of the cases and the controllers."""
    f.api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
               f.crd(plural="gadgets", kind="Gadget", group=GROUP)).ok(201)
    soon(lambda: f.api.get("/apis/%s/v1/gadgets" % GROUP).status == 200, "gadgets are not served")
