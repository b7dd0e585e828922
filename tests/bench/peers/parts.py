# SPDX-License-Identifier: Apache-2.0
"""What the bench of the peers is made of: an API server, a relay in front of it, the programs that are measured, and what
/proc says of them."""
import base64
import glob
import os
import queue
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, "../../..")
sys.path.insert(0, os.path.join(HERE, "../../api"))
import apilib  # noqa: E402

SESSIONS = "/apis/vteam.ambient-code/v1alpha1/agenticsessions"
IN_NS = "/apis/vteam.ambient-code/v1alpha1/namespaces/bench/agenticsessions"
TICK = os.sysconf("SC_CLK_TCK")


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


class Server:
    """The API server, in a process of its own, with the platform's definitions."""

    def __init__(self, build, folder, real):
        self.folder = folder
        os.makedirs(folder + "/state")
        if real:
            program = subprocess.run([os.path.join(TOP, "tests/cluster/control-plane.sh")], stdout=subprocess.PIPE, check=True)
            args = [program.stdout.decode().strip(), folder + "/state"]
        else:
            args = [build + "/tests/api/apiserver_host", build + "/plugins/standalone/apiserver/.libs/apiserver.so",
                    folder + "/state", "listen=127.0.0.1:0", "durability=process"]
        with open(folder + "/server.log", "wb") as log:
            self.process = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        line = self.process.stdout.readline().decode().split()
        if not line or line[0] != "ready":
            raise SystemExit("bench: %s does not start: %s" % (args[0], read(folder + "/server.log")[-1000:]))
        self.text = read(line[1])
        self.files = {}
        for key in ("certificate-authority-data", "client-certificate-data", "client-key-data"):
            self.files[key] = "%s/%s.pem" % (folder, key)
            data = re.search(r'"?%s"?: *"?([A-Za-z0-9+/=]+)' % key, self.text).group(1)
            with open(self.files[key], "wb", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
                f.write(base64.b64decode(data))
        self.port = int(re.search(r"server\"?: *\"?https://[^:/]+:(\d+)", self.text).group(1))
        self.connect()
        self.define()

    def connect(self):
        """A client whose connection has not been idle for so long that the server has closed it."""
        self.client = apilib.Client("127.0.0.1", self.port, *self.files.values())

    def define(self):
        for path in sorted(glob.glob(os.path.join(TOP, "etc/crds/*.yaml"))):
            name = re.search(r"^  name: (\S+)", read(path), re.M).group(1)
            self.client.do("PATCH", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/%s?fieldManager=bench" % name, read(path),
                           {"Content-Type": "application/apply-patch+yaml"}).ok(200, 201)
        until(lambda: self.client.get(SESSIONS + "?limit=1").status == 200, 60, "the definitions are not served")

    def kubeconfig(self, port=None):
        """The path of a kubeconfig file; with a port of another way to the same server."""
        path = "%s/kubeconfig-%s" % (self.folder, port or self.port)
        if os.path.exists(path):  # somebody may be reading it
            return path
        with open(path, "w", encoding="utf-8", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
            f.write(self.text if port is None else re.sub(r"(https://)[^:/]+:%d" % self.port, r"\g<1>127.0.0.1:%d" % port, self.text))
        return path

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self.process.stdin.close()
        self.process.stdout.close()


class Relay:
    """Passes connections on to a port, counts what the server sends, and can note when it passed what on."""

    def __init__(self, port):
        self.to, self.received, self.times, self.noting = port, 0, [], False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                return
            for s in (near, far):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.copy, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self.copy, args=(far, near, True), daemon=True).start()

    def copy(self, source, target, counts):
        try:
            while data := source.recv(262144):
                if counts:
                    self.received += len(data)
                    if self.noting and len(data) > 500:
                        self.times.append(time.time_ns())
                target.sendall(data)
        except OSError:
            pass
        for s in (source, target):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.close()


class Failed(Exception):
    pass


def until(done, seconds, what):
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise Failed(what)
        time.sleep(0.05)


class Subject:
    """One program that is measured, and the lines that it prints."""

    def __init__(self, bench, name, kubeconfig, objects=0, target="", plugins=("peer",)):
        self.name, self.lines, self.said, self.starts = name, queue.Queue(), {}, {}
        self.log = "%s/%s.log" % (bench.folder, name)
        env = dict(os.environ, KUBECONFIG=kubeconfig, BENCH_OBJECTS=str(objects), BENCH_TARGET=target, BENCH_WORKERS="4",
                   PYTHONUNBUFFERED="1", PYTHONDONTWRITEBYTECODE="1")
        if name in ("ours", "ours, three", "plain"):
            args = self.ours(bench, kubeconfig, objects, target, plugins)
            env["LD_LIBRARY_PATH"] = bench.build + "/core/.libs"
        elif name == "floor":
            args = [bench.build + "/tests/bench/floor", "https://127.0.0.1:%d/readyz" % bench.server.port, *bench.server.files.values()]
        else:
            args = bench.commands[name]
        self.began = time.monotonic()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=log, env=env, stdin=subprocess.DEVNULL)
        self.pid = self.process.pid
        threading.Thread(target=self.listen, daemon=True).start()

    def ours(self, bench, kubeconfig, objects, target, plugins):
        base = "%s/%s" % (bench.folder, self.name)
        with open(base + ".conf", "w", encoding="utf-8") as f:
            f.write('mode = "cluster";\nstate = "%s.state";\nruntime = "%s.run";\nplugin_dir = "%s/tests/bench/peers/.libs";\n'
                    'log: { level = "warn"; format = "text"; };\nlease: { enabled = false; };\nops: { listen = ""; };\n'
                    'cluster: { kubeconfig = "%s"; requestsPerSecond = 0; compressCache = %s; };\nplugins: {\n' % (
                        base, base, bench.build, kubeconfig, "false" if self.name == "plain" else "true"))
            for plugin in plugins:
                f.write('  %s: { workers = 4; config: { objects = %d; target = "%s"; }; };\n' % (plugin, objects, target))
            f.write("};\n")
        return [bench.build + "/core/ambientd/.libs/ambientd", "-c", base + ".conf"]

    def listen(self):
        for line in self.process.stdout:
            words = line.decode(errors="replace").split()
            if words[:2] == ["bench", "start"] and len(words) == 4:
                self.starts.setdefault(words[2], int(words[3]))
            elif words[:1] == ["bench"] and len(words) == 2:
                self.said.setdefault(words[1], (time.monotonic() - self.began, self.cpu()))

    def wait(self, word, seconds):
        """(seconds, seconds of processor time) from its start to that line."""
        def done():
            self.alive()
            return word in self.said
        until(done, seconds, "%s does not come to \"%s\" within %d s: %s" % (self.name, word, seconds, read(self.log)[-1000:]))
        return self.said[word]

    def alive(self):
        if self.process.poll() is not None:
            raise Failed("%s ended with %d: %s" % (self.name, self.process.returncode, read(self.log)[-2000:]))

    def cpu(self):
        fields = read("/proc/%d/stat" % self.pid).rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self):
        """(resident, private dirty) in bytes."""
        text = read("/proc/%d/smaps_rollup" % self.pid)
        return tuple(1024 * int(re.search(r"^%s: +(\d+)" % key, text, re.M).group(1)) for key in ("Rss", "Private_Dirty"))

    def switches(self):
        return sum(int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", read(path), re.M).group(1))
                   for path in glob.glob("/proc/%d/task/*/status" % self.pid))

    def reset_peak(self):
        with open("/proc/%d/clear_refs" % self.pid, "w", encoding="ascii") as f:
            f.write("5")

    def peak(self):
        return 1024 * int(re.search(r"^VmHWM:\s*(\d+)", read("/proc/%d/status" % self.pid), re.M).group(1))

    def quiet(self, seconds=300, still=1.5):
        """Waits until it takes hardly any processor time; false: it does not come to rest."""
        end, last, since = time.monotonic() + seconds, self.cpu(), time.monotonic()
        while time.monotonic() < end:
            time.sleep(0.1)
            now = self.cpu()
            if now - last > 0.03:
                last, since = now, time.monotonic()
            elif time.monotonic() - since >= still:
                return True
        return False

    def freeze(self, yes):
        self.process.send_signal(signal.SIGSTOP if yes else signal.SIGCONT)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()


def command(peer, if_built):
    """How the peer is started; None, and why, when it cannot be."""
    args = [os.path.join(HERE, "build.sh"), peer] + (["--if-built"] if if_built else [])
    done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE if if_built else None, check=False)
    if done.returncode == 3:
        return None, (done.stderr or b"").decode().strip()
    if done.returncode != 0:
        raise SystemExit("bench: build.sh %s: %d" % (peer, done.returncode))
    return shlex.split(done.stdout.decode()), ""
