# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of the whole platform share: an installed tree, a standalone daemon on it, a client of its API,
watches that stamp what they see, medians and the machine's description."""
import base64
import glob
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time

GROUP = "/apis/vteam.ambient-code/v1alpha1"
NS = "bench"


def make_variable(build, name):
    with open(os.path.join(build, "Makefile"), encoding="utf-8") as f:
        found = re.search(r"^%s = (.*)$" % name, f.read(), re.M)
    return found.group(1) if found else ""


def machine(build):
    """One line: processor, cores, kernel, load, file system of the state, compiler's flags, date."""
    cpu = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        found = re.search(r"^model name\s*: (.*)$", f.read(), re.M)
        cpu = found.group(1) if found else cpu
    fs = subprocess.run(["stat", "-f", "-c", "%T", tempfile.gettempdir()], capture_output=True, text=True, check=False)
    return "%s, %d cores, Linux %s, load %.2f, state on %s, CFLAGS %s, %s" % (
        cpu, os.cpu_count(), os.uname().release, os.getloadavg()[0], fs.stdout.strip() or "?",
        make_variable(build, "CFLAGS"), time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))]


def row(what, values, unit="ms"):
    values = [v for v in values if v is not None]
    if not values:
        print("%-44s %9s" % (what, "not seen"))
        return
    print("%-44s %9.1f %9.1f %9.1f %9.1f %s" % (what, statistics.median(values), quantile(values, 0.9), min(values),
                                               max(values), unit))


def head():
    print("%-44s %9s %9s %9s %9s" % ("", "median", "p90", "min", "max"))


def trivial(name):
    """A session whose agent is a program that does nothing."""
    return {"apiVersion": "vteam.ambient-code/v1alpha1", "kind": "AgenticSession", "metadata": {"name": name},
            "spec": {"prompt": "Do nothing.", "runnerType": "command", "runnerConfig": {"command": ["true"]},
                     "timeout": 60}}


class Platform:
    """A standalone daemon in a directory of its own, from an install tree of the build."""

    def __init__(self, build, root=None):
        self.build = os.path.abspath(build)
        self.dir = tempfile.mkdtemp(prefix="ambient-bench-")
        self.root = root or os.path.join(self.dir, "root")
        self.state = os.path.join(self.dir, "state")
        self.daemon = None
        self.prefix = make_variable(self.build, "prefix")
        if root is None:
            with open(os.path.join(self.dir, "install.log"), "wb") as log:
                subprocess.run(["make", "-s", "-C", self.build, "install", "DESTDIR=" + self.root], stdout=log,
                               stderr=log, check=True)
        self.tree = self.root + self.prefix
        os.makedirs(os.path.join(self.dir, "image"))
        os.makedirs(os.path.join(self.dir, "run"))
        shutil.copy(os.path.join(self.build, "tests/bench/exec_stamp"), os.path.join(self.dir, "image/ambient-runner"))

    def find(self, name):
        found = glob.glob(self.tree + "/**/" + name, recursive=True)
        if not found:
            raise SystemExit("bench: the installed tree has no %s" % name)
        return found[0]

    def configure(self):
        self.port, ops = free_port(), free_port()
        names = ["apiserver", "workloads", "node", "agenticsession", "runner-command", "runner-claude-code"]
        config = {
            "apiserver": 'listen = "127.0.0.1:%d"; crds = [ "%s" ];' % (self.port, os.path.dirname(
                self.find("agenticsessions.yaml"))),
            "node": 'shim = "%s"; images: ( { match = "ambient-runner:*"; binds = [ "%s:%s", "%s/image:/image" ]; '
                    'path = "/image:/usr/bin:/bin"; env: { BENCH_EXEC = "%s/bin/ambient-runner"; }; } );' %
                    (self.find("ambient-shim"), self.tree, self.prefix, self.dir, self.prefix),
        }
        with open(self.dir + "/ambient.conf", "w", encoding="utf-8") as f:
            f.write('mode = "standalone"; state = "%s"; runtime = "%s/run";\n' % (self.state, self.dir))
            f.write('log: { level = "%s"; format = "text"; };\n' % os.environ.get("BENCH_LOG", "info"))
            f.write('cluster: { server = "apiserver"; };\nops: { listen = "127.0.0.1:%d"; };\n' % ops)
            f.write('runner: { image = "ambient-runner:bench"; type = "command"; };\nplugins: {\n')
            for name in names:
                f.write('  %s: { path = "%s"; config: { %s }; };\n' % (name, self.find(name + ".so"),
                                                                      config.get(name, "")))
            f.write("};\n")

    def start(self):
        """Starts the daemon; returns the seconds from its exec to the first answer of /readyz, and to the first list
        of sessions."""
        self.configure()
        os.makedirs(self.state, mode=0o700, exist_ok=True)
        env = dict(os.environ, LD_LIBRARY_PATH=os.path.dirname(self.find("libambient-core*.so")))
        began = time.monotonic()
        with open(self.dir + "/daemon.log", "ab") as log:
            self.daemon = subprocess.Popen([self.find("ambientd"), "-c", self.dir + "/ambient.conf"], env=env,
                                           stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        ready = None
        while time.monotonic() < began + 30:
            if self.daemon.poll() is not None:
                break
            try:
                if ready is None:
                    self.load()
                    if self.call("GET", "/readyz")[0] == 200:
                        ready = time.monotonic() - began
                elif self.call("GET", GROUP + "/agenticsessions")[0] == 200:
                    return ready, time.monotonic() - began
            except (OSError, AttributeError, IndexError, http.client.HTTPException):
                pass
            time.sleep(0.002)
        with open(self.dir + "/daemon.log", encoding="utf-8", errors="replace") as f:
            sys.stderr.write(f.read()[-2000:])
        raise SystemExit("bench: the daemon is not ready")

    def load(self):
        """The administrator's credentials."""
        with open(self.state + "/apiserver/admin.kubeconfig", encoding="utf-8") as f:
            text = f.read()
        names = {}
        for key in ("certificate-authority-data", "client-certificate-data", "client-key-data"):
            names[key] = "%s/%s.pem" % (self.dir, key)
            data = re.search(r'"?%s"?: *"?([A-Za-z0-9+/=]+)' % key, text).group(1)
            with open(names[key], "wb", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
                f.write(base64.b64decode(data))
        self.context = ssl.create_default_context(cafile=names["certificate-authority-data"])
        self.context.load_cert_chain(names["client-certificate-data"], names["client-key-data"])
        self.connection = None

    def connect(self, timeout=30):
        c = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=timeout)
        c.connect()
        c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return c

    def call(self, method, path, body=None):
        """(status, object, time before it was sent, time when it was answered), on one connection that stays."""
        if self.connection is None:
            self.connection = self.connect()
        text = None if body is None else json.dumps(body)
        try:
            sent = time.time()
            self.connection.request(method, path, text, {"Content-Type": "application/json"})
            answer = self.connection.getresponse()
            status, data = answer.status, answer.read()
            done = time.time()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            self.connection = None
            raise
        try:
            return status, json.loads(data), sent, done
        except ValueError:
            return status, data, sent, done

    def namespace(self):
        status, answer, _, _ = self.call("POST", "/api/v1/namespaces", {
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": NS, "labels": {"ambient-code.io/managed": "true"}}})
        if status not in (201, 409):
            raise SystemExit("bench: no namespace: %s" % answer)

    def stop(self):
        if self.daemon is not None and self.daemon.poll() is None:
            self.daemon.send_signal(signal.SIGTERM)
            try:
                self.daemon.wait(60)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait()
        self.daemon = None

    def clean(self):
        self.stop()
        if os.environ.get("BENCH_KEEP"):
            print("kept: " + self.dir)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)


class Watch(threading.Thread):
    """Hands each event of a kind to a function, with the time at which its line had been read."""

    def __init__(self, platform, path, on_event):
        super().__init__(daemon=True)
        self.on_event = on_event
        status, listed, _, _ = platform.call("GET", path)
        if status != 200:
            raise SystemExit("bench: cannot list %s: %s" % (path, listed))
        self.connection = platform.connect(timeout=None)
        self.connection.request("GET", path + "?watch=1&timeoutSeconds=3600&resourceVersion=" +
                                listed["metadata"]["resourceVersion"])
        self.answer = self.connection.getresponse()
        self.start()

    def run(self):
        try:
            while True:
                line = self.answer.readline()
                at = time.time()
                if not line:
                    return
                event = json.loads(line)
                self.on_event(at, event["type"], event["object"])
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            return
