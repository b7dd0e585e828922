# SPDX-License-Identifier: Apache-2.0
"""What only client-go has: streamed lists, informers of three sorts, and bodies in protobuf."""
import library


def informer(name):
    def fn(l):
        l.configmap("w0", "watched")
        with l.start(name) as r:
            r.expect("ADDED w0", "ready")
            l.configmap("w1", "watched", k="1")
            r.expect("ADDED w1")
            l.api.merge(l.core + "/configmaps/w1", {"data": {"k": "2"}}).ok()
            r.expect("MODIFIED w1")
            l.api.merge(l.core + "/configmaps/w0", {"metadata": {"labels": {"app": "elsewhere"}}}).ok()
            r.expect("DELETED w0")
            l.api.delete(l.core + "/configmaps/w1").ok()
            r.expect("DELETED w1")
            l.configmap("last", "watched")
            r.expect("ADDED last", "streams 1 lists 0")
            r.ended()
        for left in ("w0", "last"):
            l.api.delete(l.core + "/configmaps/" + left).ok()
    fn.__name__ = name
    return fn


def protobuf(l):
    """The bodies are protobuf; what is read is what was sent."""
    said = l.run("protobuf")
    assert said == ["job true", "secret true", "lease true", "role true", "updated true", "bodies 5"], said
    o = l.api.get("/apis/rbac.authorization.k8s.io/v1/namespaces/%s/roles/proto" % l.ns).ok()
    assert o["rules"] == [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]}], o
    assert o["metadata"]["annotations"] == {"a": "\u00fc \u2603 \x01"}, o


def resumes(l):
    """The server is killed under an informer and comes back on its port: nothing is missed."""
    l.configmap("w0", "watched")
    with l.start("watch") as r:
        r.expect("ADDED w0", "ready")
        l.f.args[3] = "listen=127.0.0.1:%d" % l.f.port
        l.f.stop(kill=True)
        l.f.start()
        l.configmap("w1", "watched")
        l.api.delete(l.core + "/configmaps/w0").ok()
        for line in ("ADDED w1", "DELETED w0"):
            while line not in r.seen:
                assert r.line() is not None, r.said()
        l.configmap("last", "watched")
        r.until("ADDED last")
        r.ended()
        assert sorted(x for x in r.seen if x[0].isupper()) == ["ADDED last", "ADDED w0", "ADDED w1", "DELETED w0"], r.said()
    for left in ("w1", "last"):
        l.api.delete(l.core + "/configmaps/" + left).ok()


CASES = [c for c in library.CASES if c.__name__ != "watch"]
CASES += [informer("watch"), informer("dynamic"), informer("metadata"), protobuf, resumes]
