# SPDX-License-Identifier: Apache-2.0
"""Replicas whose account may not do with leases what they need: they work on nothing and say which rule is missing, and
go on once it is there.  The right to watch alone is not needed."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from lib import Platform, until  # noqa: E402
from replicas import Replica, counted, session, want  # noqa: E402

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ROLES = RBAC + "/namespaces/default/roles"
TIMES = 'duration = "3s"; renew = "2s"; retry = "500ms"; '
SHARDS = 16
ALL = ["get", "list", "watch", "create", "update", "delete"]


class Lab:
    def __init__(self):
        self.p = Platform("rights")
        self.p.start(without=("workloads", "node", "agenticsession", "runner-command", "runner-claude-code"))
        self.p.namespace("team")
        session(self.p, "team", "s")
        want(self.p, "team", "s", 1)
        self.kubeconfig = os.path.join(self.p.dir, "replica.kubeconfig")
        made = self.p.ctl("user", "add", "replica", "--out", self.kubeconfig)
        assert made.returncode == 0, made.stdout
        user = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "replica"}]
        self.p.request("POST", RBAC + "/clusterroles", self.role("ClusterRole", "sessions", [
            {"apiGroups": ["vteam.ambient-code"], "resources": ["agenticsessions"],
             "verbs": ["get", "list", "watch", "update"]}]))
        self.p.request("POST", RBAC + "/clusterrolebindings", {
            **self.role("ClusterRoleBinding", "sessions"), "subjects": user,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "sessions"}})
        self.p.request("POST", ROLES, self.role("Role", "leases", []))
        self.p.request("POST", RBAC + "/namespaces/default/rolebindings", {
            **self.role("RoleBinding", "leases"), "subjects": user,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "leases"}})
        self.n = 1
        self.replicas = []

    @staticmethod
    def role(kind, name, rules=None):
        more = {} if rules is None else {"rules": rules}
        return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name}, **more}

    def grant(self, verbs):
        self.p.patch(ROLES + "/leases", {"rules": [
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": verbs}]})

    def replica(self, name, lease):
        r = Replica(self.p, name, TIMES + lease)
        r.kubeconfig = self.kubeconfig
        r.configure(name, "witness", "")
        self.replicas.append(r)
        return r.start()

    def works(self, what):
        self.n += 1
        want(self.p, "team", "s", self.n)
        until(lambda: counted(self.p, "team", "s") == self.n, what=what)

    def close(self):
        for r in self.replicas:
            r.close()
        self.p.close()


def missing(verb):
    return 'resources ["leases"], verbs ["%s"]' % verb


def refused(replica, verb):
    until(lambda: missing(verb) in replica.ask(), what="the status to name " + verb)
    assert "ready=no" in replica.ask()
    until(lambda: missing(verb) in replica.log(), what="the log to say so")
    assert replica.log().count(missing(verb)) == 1, replica.log()


def test_a_leader_without_rights(lab):
    lab.grant(["watch"])
    r = lab.replica("leader", 'name = "one";')
    refused(r, "get")
    lab.grant(["get", "watch"])
    refused(r, "create")
    assert counted(lab.p, "team", "s") == 0 and not r.leads()
    lab.grant(["get", "create", "update"])
    until(r.leads, what="it to lead without a watch")
    lab.works("the leader")
    until(lambda: "ready=yes" in r.ask(), what="it to be ready")
    r.stop()


def test_shards_without_rights(lab):
    lab.grant([v for v in ALL if v not in ("list", "watch")])
    a = lab.replica("a", "shards = %d;" % SHARDS)
    before = counted(lab.p, "team", "s")
    want(lab.p, "team", "s", before + 1)
    lab.n = before + 1
    refused(a, "list")
    assert not a.owned() and counted(lab.p, "team", "s") == before
    lab.grant([v for v in ALL if v != "watch"])
    until(lambda: len(a.owned()) == SHARDS, what="it to own all")
    lab.works("the only one")
    b = lab.replica("b", "shards = %d;" % SHARDS)
    until(lambda: b.owned() and len(a.owned()) + len(b.owned()) == SHARDS, what="two to share, by looking")
    b.stop()
    lab.works("the other one has gone")


if __name__ == "__main__":
    sys.exit(lib.main(sys.modules[__name__], Lab))
