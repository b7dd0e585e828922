# SPDX-License-Identifier: Apache-2.0
"""What every controller framework must be able to do: the same small controller in each, of Gadgets.

For a Gadget NAME it keeps a ConfigMap NAME-config, owned by the Gadget, whose data.size is spec.size, and puts that size
into status.replicas.  It holds the Gadget by the finalizer clients.example.com/hold; when the Gadget is to go it makes a
ConfigMap NAME-gone and lets go.  It prints "ready" when it works, and ends on SIGTERM.
"""
from library import Library
from robot import soon

HOLD = "clients.example.com/hold"
CASES = []


def case(fn):
    CASES.append(fn)
    return fn


class Controller(Library):
    def controller(self):
        r = self.start("controller")
        r.until("ready")
        return r

    def gadget(self, name, size):
        return self.api.post(self.gadgets, {"apiVersion": "clients.example.com/v1", "kind": "Gadget",
                                            "metadata": {"name": name}, "spec": {"size": size}}).ok(201)

    def read(self, name):
        a = self.api.get(self.gadgets + "/" + name)
        return a.json if a.status == 200 else None

    def config(self, name):
        a = self.api.get("%s/configmaps/%s-config" % (self.core, name))
        return a.json if a.status == 200 else None

    def follows(self, r, name, size):
        """The ConfigMap and the status say that size."""
        def done():
            c, g = self.config(name), self.read(name)
            return c and c.get("data") == {"size": str(size)} and (g.get("status") or {}).get("replicas") == size
        soon(done, "%s does not become %d: %s %s" % (name, size, self.config(name), self.read(name)) + r.said())


@case
def creates_and_follows(l):
    with l.controller() as r:
        made = l.gadget("follows", 4)
        l.follows(r, "follows", 4)
        owner, = l.config("follows")["metadata"]["ownerReferences"]
        assert owner["uid"] == made["metadata"]["uid"] and owner["controller"] is True, owner
        assert HOLD in l.read("follows")["metadata"]["finalizers"]
        l.api.merge(l.gadgets + "/follows", {"spec": {"size": 7}}).ok()
        l.follows(r, "follows", 7)
        l.api.delete(l.core + "/configmaps/follows-config").ok()
        soon(lambda: l.config("follows"), "the ConfigMap does not come back; " + r.said())
        assert r.stop() == 0, r.said()


@case
def finalizes(l):
    with l.controller() as r:
        l.gadget("goes", 1)
        l.follows(r, "goes", 1)
        l.api.delete(l.gadgets + "/goes").ok(200, 202)
        soon(lambda: l.read("goes") is None, "the Gadget does not go; " + r.said())
        l.get("configmaps", "goes-gone")
        soon(lambda: l.config("goes") is None, "what the Gadget owned does not go")


@case
def catches_up(l):
    """What happened while it was away."""
    l.gadget("early", 2)
    with l.controller() as r:
        l.follows(r, "early", 2)
    l.api.merge(l.gadgets + "/early", {"spec": {"size": 3}}).ok()
    with l.controller() as r:
        l.follows(r, "early", 3)


@case
def outlives_the_server(l):
    """The server is killed and comes back on its port."""
    with l.controller() as r:
        l.gadget("before", 1)
        l.follows(r, "before", 1)
        l.f.args[3] = "listen=127.0.0.1:%d" % l.f.port
        l.f.stop(kill=True)
        l.f.start()
        l.gadget("after", 5)
        l.follows(r, "after", 5)
        l.api.merge(l.gadgets + "/before", {"spec": {"size": 6}}).ok()
        l.follows(r, "before", 6)
        assert r.process.poll() is None, r.said()


def ready(l):
    """kube-rs alone: its stores say when they are filled, from lists and from streamed lists."""
    l.configmap("there", "ready")
    n = len(l.api.get(l.core + "/configmaps").ok()["items"])
    said = l.run("ready")
    assert said == [line for word in ("lists", "streams")
                    for line in ("reflector %s ready %d" % (word, n), "controller %s ready" % word)], said
