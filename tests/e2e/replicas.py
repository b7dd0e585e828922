# SPDX-License-Identifier: Apache-2.0
"""Several `ambientd` in cluster mode against one standalone API server, with a plugin that says in the log what it does
(tests/plugins/witness.c)."""
import datetime
import os
import re
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import BUILD, GROUP, PATIENCE, until  # noqa: E402

LINE = re.compile(r"^(\S+) .*witness (begins|did|failed) (\S+)/(\S+) (\d+)")


def numbers(found):
    """The shards in a match's first group: "0-3,7"; none of "none", and of no match."""
    shards = set()
    for part in found.group(1).split(",") if found and found.group(1) != "none" else ():
        first, _, last = part.partition("-")
        shards |= set(range(int(first), int(last or first) + 1))
    return shards


class Replica:
    def __init__(self, platform, name, lease, witness=""):
        self.p, self.name = platform, name
        base = os.path.join(platform.dir, "r-" + name)
        self.base, self.lease, self.kubeconfig = base, lease, platform.kubeconfig
        self.conf, self.log_path, self.socket = base + ".conf", base + ".log", base + ".run/ambientd.sock"
        self.process = self.ended = None
        self.cluster = ""  # what else the section says
        self.configure(name, "witness", witness)

    def configure(self, identity, plugin, options):
        """Writes its file, for the next start."""
        with open(self.conf, "w") as f:
            f.write('mode = "cluster";\nstate = "%s.state";\nruntime = "%s.run";\nplugin_dir = "%s/tests/plugins/.libs";\n'
                    'drain = "10s";\nlog: { level = "info"; format = "text"; };\ncluster: { kubeconfig = "%s"; %s };\n'
                    'ops: { listen = ""; };\nlease: { identity = "%s"; %s };\nplugins: { %s: { workers = 2; '
                    'config: { %s }; }; };\n' % (self.base, self.base, BUILD, self.kubeconfig, self.cluster, identity, self.lease, plugin,
                                                options))

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = self.p.ambientd("-c", self.conf, stdout=log, stderr=log)
        return self

    def log(self):
        with open(self.log_path) as f:
            return f.read()

    def ask(self, command="status"):
        """The answer of the admin socket; "" when nobody answers."""
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(PATIENCE)
                s.connect(self.socket)
                s.sendall(b"ambient-admin/1 " + command.encode() + b"\n")
                text = b""
                while piece := s.recv(65536):
                    text += piece
                return text.decode()
        except OSError:
            return ""

    def owned(self):
        """The shards that it owns."""
        return numbers(re.search(r" owned=(\S+)", self.ask()))

    def leads(self):
        return "leading=yes" in self.ask()

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        self.process.terminate()
        code = self.process.wait(PATIENCE)
        assert code == 0, self.log()[-2000:]

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            try:
                self.stop()
            except (AssertionError, subprocess.TimeoutExpired):
                self.kill()

    def evidence(self):
        """(time, what, namespace, name, n) of each line that the witness left; seconds since the epoch."""
        for line in self.log().splitlines():
            found = LINE.match(line)
            if found:
                when = datetime.datetime.strptime(found.group(1), "%Y-%m-%dT%H:%M:%S.%fZ")
                yield (when.replace(tzinfo=datetime.timezone.utc).timestamp(), found.group(2), found.group(3), found.group(4),
                       int(found.group(5)))


def session(p, ns, name):
    p.session(name, "true", ns=ns)


def want(p, ns, name, n):
    p.patch(GROUP % ns + "/" + name, {"metadata": {"annotations": {"want": str(n)}}})


def counted(p, ns, name):
    return int(p.get(GROUP % ns + "/" + name)["metadata"].get("annotations", {}).get("count", "0"))


def next_reconcile(replicas, since, seconds=None):
    """How long after `since` one of these began something."""
    def look():
        times = [e[0] for r in replicas for e in r.evidence() if e[1] == "begins" and e[0] > since]
        return min(times) - since if times else None
    return until(look, seconds, "a reconcile")


def now():
    return time.time()
