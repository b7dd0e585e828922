# SPDX-License-Identifier: Apache-2.0
"""A platform in two processes: an API server, standalone, and beside it a daemon in cluster mode."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from lib import Platform  # noqa: E402

PLUGINS = ("workloads", "node", "agenticsession", "rfeworkflow", "projectsettings", "runner-command", "runner-claude-code")


class Apart(Platform):
    """there: which plugins work beside the API server and not in it."""

    lease = 'duration = "2s"; renew = "1400ms"; retry = "400ms";'

    def __init__(self, name, there=("workloads", "node", "agenticsession", "runner-command"), without=("rfeworkflow", "projectsettings",
                                                                                                      "runner-claude-code"), **more):
        super().__init__(name, **more)
        self.there, self.operator = there, None
        self.elsewhere = tuple(there) + tuple(without)
        self.base = os.path.join(self.dir, "operator")

    @property
    def node_dir(self):
        return (self.base + ".state" if "node" in self.there else self.state) + "/node"

    def start(self, without=(), wait=True):
        """The API server; the first time the daemon beside it, too."""
        super().start(self.elsewhere + tuple(without), wait)
        if self.operator is None:
            self.start_operator()
        return self

    def start_operator(self):
        root = self.tree.root
        binds = ", ".join('"%s"' % b for b in ("%s:%s" % (root, self.tree.prefix), *self.binds))
        plugins = {
            "node": 'config: { shim = "%s/libexec/ambient/ambient-shim"; images: ( { match = "ambient-runner:*"; binds = [ %s ]; '
                    'path = "%s/bin:/usr/bin:/bin"; } ); %s };' % (root, binds, self.tree.prefix, self.node),
            "agenticsession": "config: { %s };" % self.agenticsession,
            "rfeworkflow": 'config: { agents = "%s/share/ambient/agents"; seed = "%s/share/ambient/seed"; retryDelay = "0s"; };' % (
                root, root),
            **self.plugins,
        }
        with open(self.base + ".conf", "w") as f:
            f.write('mode = "cluster";\nstate = "%s.state";\nruntime = "%s.run";\nplugin_dir = "%s/lib/ambient/plugins";\n'
                    'log: { level = "debug"; format = "text"; };\ncluster: { kubeconfig = "%s"; };\nops: { listen = "127.0.0.1:0"; };\n'
                    'lease: { %s };\n'
                    'runner: { image = "ambient-runner:test"; type = "command"; };\nplugins:\n{\n%s};\n' % (
                        self.base, self.base, root, self.kubeconfig, self.lease,
                        "".join("  %s: { %s };\n" % (k, plugins.get(k, "")) for k in self.there)))
        self.started = time.monotonic()
        with open(self.base + ".log", "ab") as log:
            self.operator = self.ambientd("-c", self.base + ".conf", stdout=log, stderr=log)

    def kill_operator(self):
        assert self.operator.poll() is None, "the daemon had ended: " + self.log()[-2000:]
        self.operator.kill()
        self.operator.wait(lib.PATIENCE)

    def log(self):
        """Of the daemon; of the API server as long as there is none."""
        try:
            with open(self.base + ".log", errors="replace") as f:
                return f.read()
        except OSError:
            return super().log()

    def stop(self):
        if self.operator is not None and self.operator.poll() is None:
            self.operator.terminate()
            try:
                self.operator.wait(lib.PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill_operator()
        return super().stop()
