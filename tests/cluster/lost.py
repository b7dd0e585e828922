# SPDX-License-Identifier: Apache-2.0
"""A node that nobody hears of any more, as the cluster's own controllers see it: a second daemon is a second kubelet, and is killed.
Its shims stay, as processes on a machine without a network would."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
import lib  # noqa: E402
from detect import told  # noqa: E402
from lib import GATED_BARE, until  # noqa: E402

NODES = "/api/v1/nodes"
NAME = "lost-node"


class OtherNode:
    def __init__(self, p):
        self.p, self.base, self.daemon = p, os.path.join(p.dir, NAME), None
        root = p.tree.root
        with open(self.base + ".conf", "w") as f:
            f.write('mode = "cluster";\nstate = "%s.state";\nruntime = "%s.run";\nplugin_dir = "%s/lib/ambient/plugins";\n'
                    'cluster: { kubeconfig = "%s"; };\nops: { listen = "127.0.0.1:0"; };\nlease: { name = "%s"; };\n'
                    'runner: { image = "ambient-runner:test"; type = "command"; };\n'
                    'plugins: { node: { config: { name = "%s"; shim = "%s/libexec/ambient/ambient-shim"; images: ( { match = "ambient-runner:*"; '
                    'binds = [ "%s:%s" ]; path = "%s/bin:/usr/bin:/bin"; } ); }; }; };\n' % (
                        self.base, self.base, root, p.kubeconfig, NAME, NAME, root, root, p.tree.prefix, p.tree.prefix))

    def start(self):
        """No pod is to come here but by us: other tests run at this time."""
        if self.p.get(NODES + "/" + NAME) is None:
            self.p.request("POST", NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NAME}, "spec": {"unschedulable": True}})
        with open(self.base + ".log", "ab") as log:
            self.daemon = self.p.ambientd("-c", self.base + ".conf", stdout=log, stderr=log)
        until(lambda: is_ready(self.p, NAME), what="the other node to be Ready")

    def kill9(self):
        self.daemon.kill()
        self.daemon.wait(lib.PATIENCE)

    def close(self):
        if self.daemon.poll() is None:
            self.daemon.terminate()
            self.daemon.wait(lib.PATIENCE)
        if self.p.get(NODES + "/" + NAME) is not None:
            self.p.request("DELETE", NODES + "/" + NAME)


def is_ready(p, name):
    node = p.get(NODES + "/" + name) or {"status": {}}
    return any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", []))


def place(p, s):
    """A session's pod, put there: as long as its claim has no volume no scheduler touches it."""
    pods = p.core("pods") + "?labelSelector=agentic-session%3D" + s.name
    pod = until(lambda: p.request("GET", pods)["items"], what="the pod of " + s.name)[0]["metadata"]["name"]
    p.request("POST", p.core("pods", pod) + "/binding", {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod},
                                                         "target": {"apiVersion": "v1", "kind": "Node", "name": NAME}})


def test_a_node_that_is_lost_and_comes_back(p):
    """Said, and no end of the run, until somebody gives the pod up; the next run waits for that pod, as it may still write."""
    other = OtherNode(p)
    try:
        other.start()
        p.volumes.held.add(p.ns)
        s = p.session("lost", GATED_BARE)
        place(p, s)
        p.volumes.held.discard(p.ns)
        s.wait("Running")
        pod, first = p.core("pods", s.status["runnerPodName"]), p.get(p.jobs("lost-job"))["metadata"]["uid"]
        assert p.get(pod)["spec"]["nodeName"] == NAME, p.get(pod)["spec"]
        other.kill9()
        s.wait_reason("NodeNotReady")
        assert s.phase == "Running" and NAME in s.message, s.status
        until(lambda: told(p, s, "NodeNotReady"), what="the event")
        p.request("DELETE", pod + "?gracePeriodSeconds=1")
        s.wait("Failed")
        assert s.reason == "NodeLost" and "by force" in s.message and "start the session again" in s.message, s.status
        until(lambda: told(p, s, "NodeLost"), what="the event")
        assert p.ctl("start", "lost").returncode == 0
        until(lambda: s.reason == "Restarting" and '"%s"' % pod.rpartition("/")[2] in s.message, what="what it waits for to be said")
        job = p.get(p.jobs("lost-job"))
        assert s.phase == "Pending" and (job is None or job["metadata"]["uid"] == first), (s.status, job)
        # The node is there again, and ends what was to end: that is all the next run waited for.
        other.start()
        until(lambda: p.get(pod) is None, what="the pod to go")
        s.wait("Running", "Creating")
        s.delete()
        until(lambda: s.get() is None, what="the session to go")
        until(lambda: not p.request("GET", p.core("pods") + "?labelSelector=agentic-session%3Dlost")["items"], what="its pods to go")
    finally:
        p.volumes.held.discard(p.ns)
        other.close()
