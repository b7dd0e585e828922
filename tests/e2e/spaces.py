# SPDX-License-Identifier: Apache-2.0
"""Daemons with `cluster.namespaces`, whose account has Roles in those namespaces and nothing in the whole cluster: each
namespace is watched by itself, one that comes later too, and what is elsewhere is left alone."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from lib import Platform, until  # noqa: E402
from replicas import Replica, counted, session, want  # noqa: E402

RBAC = "/apis/rbac.authorization.k8s.io/v1"
WITNESS = os.path.join(lib.BUILD, "tests/plugins/.libs/witness.so")
TIMES = 'duration = "3s"; renew = "2s"; retry = "500ms"; '
SESSIONS = {"apiGroups": ["vteam.ambient-code"], "resources": ["agenticsessions"], "verbs": ["get", "list", "watch", "update"]}
LEASES = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
          "verbs": ["get", "list", "watch", "create", "update", "delete"]}


class Lab:
    def __init__(self):
        self.p = Platform("spaces")
        self.p.start(without=("workloads", "node", "agenticsession", "runner-command", "runner-claude-code"))
        self.kubeconfig = os.path.join(self.p.dir, "narrow.kubeconfig")
        made = self.p.ctl("user", "add", "narrow", "--out", self.kubeconfig)
        assert made.returncode == 0, made.stdout
        self.grant("default", LEASES)
        for ns in ("one", "two", "outside"):
            self.space(ns)
        for ns in ("one", "two"):
            self.grant(ns, SESSIONS)
        self.replicas = []

    def space(self, ns):
        self.p.namespace(ns)
        session(self.p, ns, "s")
        want(self.p, ns, "s", 1)

    def grant(self, ns, rule):
        self.p.request("POST", RBAC + "/namespaces/%s/roles" % ns, {
            "apiVersion": RBAC[6:], "kind": "Role", "metadata": {"name": "narrow"}, "rules": [rule]})
        self.bind(ns, "Role", "narrow")

    def bind(self, ns, kind, name):
        self.p.request("POST", RBAC + "/namespaces/%s/rolebindings" % ns, {
            "apiVersion": RBAC[6:], "kind": "RoleBinding", "metadata": {"name": "narrow"},
            "subjects": [{"apiGroup": RBAC[6:-3], "kind": "User", "name": "narrow"}],
            "roleRef": {"apiGroup": RBAC[6:-3], "kind": kind, "name": name}})

    def replica(self, name, lease, *spaces, narrow=True):
        r = Replica(self.p, name, TIMES + lease)
        r.kubeconfig = self.kubeconfig if narrow else r.kubeconfig
        r.cluster = "namespaces = [ %s ];" % ", ".join('"%s"' % ns for ns in spaces) if spaces else ""
        r.configure(name, "witness", "")
        self.replicas.append(r)
        return r.start()

    def works(self, n, *spaces):
        for ns in spaces:
            want(self.p, ns, "s", n)
        for ns in spaces:
            until(lambda ns=ns: counted(self.p, ns, "s") == n, what="the work in " + ns)

    def close(self):
        for r in self.replicas:
            r.close()
        self.p.close()


def test_roles_are_enough(lab):
    r = lab.replica("roles", 'name = "roles";', "two", "one")
    until(lambda: "ready=yes" in r.ask(), what="it to be ready")
    lab.works(2, "one", "two")
    kind = SESSIONS["apiGroups"][0] + "/v1alpha1/agenticsessions"
    for ns in ("one", "two"):
        for command, words in (("status", "watch %s namespace=%s state=watching objects=1"),
                               ("cache", '"kind":"%s","selection":"%s","state":"watching","users":1,"objects":1')):
            until(lambda: words % (kind, ns) in r.ask(command), what="%s to say %s" % (command, words % (kind, ns)))
    assert "forbidden" not in r.log(), r.log()
    want(lab.p, "outside", "s", 2)
    lab.works(3, "one", "two")
    assert counted(lab.p, "outside", "s") == 0
    r.stop()


def test_the_printed_role_is_enough_where_it_is_bound(lab):
    printed = lab.p.run([lab.p.tree.root + "/bin/ambientctl", "plugin", "rbac", WITNESS])
    assert printed.returncode == 0, printed.stdout
    lab.p.request("POST", RBAC + "/clusterroles", printed.stdout.split("---\n")[0], content="application/yaml")
    lab.space("printed")
    lab.bind("printed", "ClusterRole", "ambient")
    r = lab.replica("printed", 'name = "printed";', "printed")
    until(lambda: "ready=yes" in r.ask(), what="it to be ready")
    lab.works(2, "printed")
    r.stop()


def test_the_whole_cluster_is_refused(lab):
    r = lab.replica("whole", 'name = "whole";')
    until(lambda: 'resources ["agenticsessions"], verbs ["list", "watch"]' in r.ask(), what="the missing rule")
    assert "ready=no" in r.ask()
    r.stop()


def test_a_namespace_without_rights_is_named(lab):
    r = lab.replica("later", 'name = "later";', "one", "later")
    until(lambda: 'verbs ["list", "watch"] in namespace "later"' in r.ask(), what="the missing Role")
    assert "ready=no" in r.ask() and 'in namespace "one"' not in r.ask(), r.ask()
    lab.space("later")
    lab.grant("later", SESSIONS)
    until(lambda: "ready=yes" in r.ask(), 2 * lib.PATIENCE, "it to be ready")
    lab.works(4, "one", "later")
    r.stop()


def test_a_namespace_that_does_not_exist_yet(lab):
    r = lab.replica("ghost", 'name = "ghost";', "ghost", narrow=False)
    until(lambda: "ready=yes" in r.ask(), what="it to be ready without the namespace")
    lab.space("ghost")
    lab.works(2, "ghost")
    r.stop()


def test_shards_of_a_set(lab):
    spaces = ["s%d" % i for i in range(6)]
    for ns in spaces:
        lab.space(ns)
        lab.grant(ns, SESSIONS)
    a, b = (lab.replica("shard-" + name, "shards = 8;", *spaces) for name in "ab")
    until(lambda: a.owned() and b.owned() and len(a.owned()) + len(b.owned()) == 8, what="two to share")
    lab.works(2, *spaces)
    b.stop()
    until(lambda: len(a.owned()) == 8, what="one to own all")
    lab.works(3, *spaces)
    until(lambda: "ready=yes" in a.ask(), what="it to be ready")


if __name__ == "__main__":
    sys.exit(lib.main(sys.modules[__name__], Lab))
