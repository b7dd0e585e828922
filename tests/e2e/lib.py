# SPDX-License-Identifier: Apache-2.0
"""The whole platform for a test: the build tree installed below the build directory, `ambientd` standalone on a free
port, its API by HTTPS and kubectl, and git origins whose clones and pushes can be held.  Only the standard library.

Nothing here waits by sleeping for time to pass: a test holds an agent at a file, and git at a gate, and lets go."""
import base64
import errno
import fcntl
import glob
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from runner_lab import BUILD, GIT_ENV, Tap, free_port, git, whole_lines  # noqa: E402,F401

GROUP = "/apis/vteam.ambient-code/v1alpha1/namespaces/%s/agenticsessions"
TERMINAL = ("Completed", "Failed", "Timeout", "Stopped")
PATIENCE = 60 * float(os.environ.get("AMBIENT_PATIENCE", "1"))


def required(need, why):
    """The reason of a skip, or a failure where AMBIENT_REQUIRE names what is needed."""
    if need in os.environ.get("AMBIENT_REQUIRE", "").split(","):
        raise AssertionError("%s is required here: %s" % (need, why))
    return why


def until(condition, seconds=None, what="the condition"):
    """The condition's first true value."""
    end = time.monotonic() + (seconds or PATIENCE)
    pause = 0.002
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited in vain for %s" % what)
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def pause(seconds):
    """For a kill at some moment of what goes on; no test's outcome depends on how long it really takes."""
    time.sleep(seconds)


# ---- the installed tree

class Tree:
    """The build tree as `make install` puts it, made once per build and shared by the suites."""

    def __init__(self):
        self.base = os.path.join(BUILD, "tests/e2e/tree")
        with open(os.path.join(BUILD, "Makefile")) as f:
            self.prefix = re.search(r"^prefix = (.*)$", f.read(), re.M).group(1)
        self.root = self.base + self.prefix
        os.makedirs(os.path.dirname(self.base), exist_ok=True)
        with open(self.base + ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self._fresh():
                self._install()

    def _fresh(self):
        stamp = self.base + ".stamp"
        if not os.path.exists(stamp):
            return False
        made = os.path.getmtime(stamp)
        # What is installed comes from there: programs, and data that is made or written by hand.
        tops = [os.path.join(BUILD, d) for d in ("core", "plugins", "etc")] + [os.path.join(os.environ.get("top_srcdir", "."), "etc")]
        for top in tops:
            for where, _, files in os.walk(top):
                if any(os.path.getmtime(os.path.join(where, f)) > made for f in files
                       if not f.endswith((".o", ".lo", ".a", ".la", ".Po", ".Plo"))):
                    return False
        return True

    def _install(self):
        env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
        shutil.rmtree(self.base, ignore_errors=True)
        done = subprocess.run(["make", "-C", BUILD, "-s", "install", "DESTDIR=" + self.base], env=env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise RuntimeError("make install failed: " + done.stdout[-2000:])
        with open(self.base + ".stamp", "w"):
            pass

    def env(self):
        return {**os.environ, "LD_LIBRARY_PATH": self.root + "/lib/ambient", "TZ": "UTC"}


# ---- git

class Origins:
    """Bare repositories by git:// on a port of the kernel's choice.  hold(name, service) stops clones
    ("upload-pack") or pushes ("receive-pack") of a repository until the gate is released."""

    def __init__(self, directory):
        self.dir = directory
        os.makedirs(directory)
        self.gates, self.seen, self.lock = {}, [], threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, name):
        return "git://127.0.0.1:%d/%s.git" % (self.port, name)

    def bare(self, name):
        return os.path.join(self.dir, name + ".git")

    def make(self, name, files=None):
        work = os.path.join(self.dir, "seed-" + name)
        git("init", "-q", "--bare", self.bare(name))
        git("init", "-q", work)
        for path, text in (files or {"README.md": "hello\n"}).items():
            os.makedirs(os.path.dirname(os.path.join(work, path)), exist_ok=True)
            with open(os.path.join(work, path), "w") as f:
                f.write(text)
        git("add", "-A", cwd=work)
        git("commit", "-q", "-m", "first", cwd=work)
        git("push", "-q", self.bare(name), "HEAD:refs/heads/main", cwd=work)
        return self.url(name)

    def hold(self, name, service):
        gate = Gate(self, name, service)
        self.gates[(service, name)] = gate
        return gate

    def count(self, name, service):
        with self.lock:
            return self.seen.count((service, name))

    def commits(self, name, branch):
        """How many commits the branch has over main; 0 when there is no such branch."""
        out = git("--git-dir", self.bare(name), "rev-list", "--count", "main..refs/heads/" + branch, check=False)
        return int(out) if out.isdigit() else 0

    def show(self, name, what):
        return git("--git-dir", self.bare(name), "show", what)

    def _accept(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn):
        with conn:
            # git sends the length of its first line and the line apart.
            head = conn.recv(4, socket.MSG_PEEK | socket.MSG_WAITALL)
            if re.fullmatch(rb"[0-9a-f]{4}", head):
                head = conn.recv(int(head, 16), socket.MSG_PEEK | socket.MSG_WAITALL)
            found = re.match(rb"[0-9a-f]{4}git-([a-z-]+) /([^\0]*?)(?:\.git)?/?\0", head)
            if found:
                key = (found.group(1).decode(), found.group(2).decode())
                with self.lock:
                    self.seen.append(key)
                gate = self.gates.get(key)
                if gate is not None:
                    gate.arrived.set()
                    gate.open.wait(PATIENCE * 2)
            subprocess.run(["git", "daemon", "--inetd", "--export-all", "--enable=receive-pack",
                            "--informative-errors", "--base-path=" + self.dir, self.dir], env=GIT_ENV, stdin=conn,
                           stdout=conn, stderr=subprocess.DEVNULL, check=False)

    def close(self):
        for gate in self.gates.values():
            gate.open.set()
        self.listener.close()


class Gate:
    def __init__(self, origins, name, service):
        self.origins, self.key = origins, (service, name)
        self.arrived, self.open = threading.Event(), threading.Event()

    def reached(self):
        assert self.arrived.wait(PATIENCE), "nobody came for %s of %s" % self.key

    def release(self):
        self.origins.gates.pop(self.key, None)
        self.open.set()


# ---- processes

def processes():
    """pid -> (parent, start time, what it runs)"""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % pid, "rb") as f:
                stat = f.read().decode("utf-8", "replace")
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                line = f.read().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        rest = stat.rpartition(")")[2].split()
        if rest[0] != "Z":
            found[int(pid)] = (int(rest[1]), int(rest[19]), line)
    return found


def running(pids):
    """Those of pid -> start time that still are."""
    table = processes()
    return {pid for pid, born in pids.items() if pid in table and table[pid][1] == born}


def send(pids, number):
    """A signal to those of pid -> start time that still are; the number of one that has ended may be another's."""
    for pid, born in pids.items():
        try:
            fd = os.pidfd_open(pid)
        except OSError:
            continue
        try:
            with open("/proc/%d/stat" % pid, "rb") as f:
                if int(f.read().rpartition(b")")[2].split()[19]) == born:
                    signal.pidfd_send_signal(fd, number)
        except (FileNotFoundError, ProcessLookupError):
            pass
        finally:
            os.close(fd)


def removed(top):
    """Removes a tree of control groups; False as long as something in it is still on its way out."""
    try:
        for where, _, _ in os.walk(top, topdown=False):
            os.rmdir(where)
    except FileNotFoundError:
        return False
    except OSError as e:
        if e.errno != errno.EBUSY:
            raise
        return False
    return True


def tree_of(roots, table):
    """pid -> start time of these and what comes from them; without the naps of agents that wait for a file.  A nap that
    was forked and not executed yet still has its parent's command line; one that is being executed, or ends, has none."""
    todo, found = [(pid, None) for pid in roots], {}
    while todo:
        pid, parent = todo.pop()
        if pid not in table or pid in found:
            continue
        line = table[pid][2]
        if not line or line.startswith("sleep 0."):
            continue
        if parent is None or line != table[parent][2]:
            found[pid] = table[pid][1]
        todo += [(p, pid) for p, (above, _, _) in table.items() if above == pid]
    return found


# ---- the platform

class Status(Exception):
    """An answer of the API server that is no success."""

    def __init__(self, code, body):
        super().__init__("%s: %s" % (code, body.get("message", body) if isinstance(body, dict) else body))
        self.code, self.body = code, body


class Platform:
    real = False # is the API server a kube-apiserver?

    def __init__(self, name="p", conf="", state=None, agenticsession="keepJob = \"10m\";", apiserver="", env=None, binds=(), node="",
                 plugins=None):
        self.tree = Tree()
        self.dir = tempfile.mkdtemp(prefix="amb-%s-" % name, dir="/tmp")
        os.chmod(self.dir, 0o755)
        self.state = state or os.path.join(self.dir, "state")
        self.conf_path = os.path.join(self.dir, "ambient.conf")
        self.log_path = os.path.join(self.dir, "daemon.log")
        self.extra, self.agenticsession, self.apiserver, self.binds = conf, agenticsession, apiserver, binds
        self.node, self.plugins = node, plugins or {}
        self.env = {**self.tree.env(), **(env or {})}
        self.port = self.daemon = self.context = None
        self.origins = Origins(os.path.join(self.dir, "git"))
        self.ns = "team"

    # -- its life

    def write_conf(self, **change):
        """change: port, without=[instances]"""
        without = change.get("without", ())
        root = self.tree.root
        plugins = {
            "apiserver": 'config: { listen = "127.0.0.1:%d"; crds = [ "%s/share/ambient/crds" ]; '
                         'roles = [ "%s/share/ambient/rbac" ]; %s };' % (
                             change.get("port", self.port), root, root, self.apiserver),
            "workloads": "",
            # The programs were linked to find our library below the prefix: there the sandbox shows the tree.
            "node": 'config: { shim = "%s/libexec/ambient/ambient-shim"; images: ( { match = "ambient-runner:*"; '
                    'binds = [ "%s:%s"%s ]; path = "%s/bin:%s/usr/local/bin:/usr/bin:/bin"; } ); %s };' % (
                        root, root, self.tree.prefix, "".join(', "%s"' % b for b in self.binds), self.tree.prefix,
                        "".join(b + ":" for b in self.binds), self.node),
            "agenticsession": "config: { %s };" % self.agenticsession,
            "rfeworkflow": 'config: { agents = "%s/share/ambient/agents"; seed = "%s/share/ambient/seed"; '
                           'retryDelay = "0s"; };' % (root, root),
            "projectsettings": "",
            "runner-command": "",
            "runner-jira": 'config: { retryDelay = "1ms"; };',
            "runner-claude-code": "",
            **self.plugins,
        }
        with open(self.conf_path, "w") as f:
            f.write('mode = "standalone";\nstate = "%s";\nruntime = "%s/run";\nplugin_dir = "%s/lib/ambient/plugins";\n'
                    'log: { level = "debug"; format = "text"; };\ncluster: { server = "apiserver"; };\n'
                    'ops: { listen = "127.0.0.1:0"; };\n'
                    'runner: { image = "ambient-runner:test"; type = "command"; };\nplugins:\n{\n%s};\n%s\n' % (
                        self.state, self.dir, root,
                        "".join("  %s: { %s };\n" % (k, v) for k, v in plugins.items() if k not in without),
                        self.extra))

    def ambientd(self, *args, **options):
        return subprocess.Popen([self.tree.root + "/sbin/ambientd", *args], env=self.env, stdin=subprocess.DEVNULL,
                                start_new_session=True, **options)

    def start(self, without=(), wait=True):
        for attempt in range(5):
            if self.port is None or (attempt > 0 and self.context is None):
                self.port = free_port()
            self.write_conf(without=without)
            with open(self.log_path, "ab") as log:
                self.started = time.monotonic()
                self.daemon = self.ambientd("-c", self.conf_path, stdout=log, stderr=log)
            if not wait or self._answers():
                return self
        raise AssertionError("the daemon does not start: " + self.log()[-2000:])

    def _answers(self):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if self.daemon.poll() is not None:
                return False
            try:
                if self.request("GET", "/readyz", raw=True)[0] == 200:
                    return True
            except (OSError, Status, ValueError, http.client.HTTPException):
                time.sleep(0.005)
        raise AssertionError("the daemon does not answer: " + self.log()[-2000:])

    def kill9(self):
        self.daemon.kill()
        self.daemon.wait(PATIENCE)

    def restart(self, **options):
        return self.start(**options)

    def stop(self):
        if self.daemon is not None and self.daemon.poll() is None:
            self.daemon.terminate()
            return self.daemon.wait(PATIENCE)
        return self.daemon.returncode if self.daemon else None

    @property
    def node_dir(self):
        """What the node keeps: pods and volumes."""
        return self.state + "/node"

    def mounts(self):
        """Those of this platform: other tests run beside it."""
        with open("/proc/mounts") as f:
            return {m.split()[1] for m in f if self.state in m}

    def shims(self, below=""):
        """The shims of this platform, known by the program that they run and by their working in our state."""
        found, below = [], "%s/pods/%s" % (self.node_dir, below)
        for pid, (_, _, line) in processes().items():
            try:
                ours = os.readlink("/proc/%d/exe" % pid).startswith(self.tree.base) and "ambient-shim" in line
                mine = ours and any(os.readlink("/proc/%d/fd/%s" % (pid, fd)).startswith(below)
                                    for fd in os.listdir("/proc/%d/fd" % pid))
            except OSError:
                continue
            if mine:
                found.append(pid)
        return found

    def pod_processes(self, session=None):
        """pid -> start time of all that runs in pods, or in those of a session"""
        if session is None:
            return tree_of(self.shims(), processes())
        pods = self.request("GET", self.core("pods", ns=session.ns) + "?labelSelector=agentic-session%3D" + session.name)
        return tree_of([pid for pod in pods["items"] for pid in self.shims(pod["metadata"]["uid"])], processes())

    def close(self):
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.kill9()

        def ended():
            """A shim that the daemon had only just started may show itself later than the others."""
            pids = self.pod_processes()
            send(pids, signal.SIGKILL)
            return not running(pids)

        until(ended, what="the pods to end")
        self.remove_groups()
        self.origins.close()
        if os.environ.get("AMBIENT_KEEP"):
            print("# kept: " + self.dir)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def remove_groups(self):
        """Shims that were killed leave their control groups to the next daemon, which does not come."""
        name = 2166136261
        for byte in os.path.realpath(self.node_dir).encode():
            name = (name ^ byte) * 16777619 & 0xffffffff
        for top in glob.glob("/sys/fs/cgroup/ambient-%08x" % name) + glob.glob("/sys/fs/cgroup/*/ambient-%08x" % name):
            until(lambda: removed(top), what=top + " to be empty")

    def log(self):
        try:
            with open(self.log_path, errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def page(self, path):
        """status, text; of the daemon's newest life, and without the proxy that this machine may have"""
        port = re.findall(r"health and metrics on .*, port (\d+)", self.log())[-1]
        conn = http.client.HTTPConnection("127.0.0.1", int(port), timeout=PATIENCE)
        try:
            conn.request("GET", path)
            answer = conn.getresponse()
            return answer.status, answer.read().decode()
        finally:
            conn.close()

    # -- its API

    @property
    def kubeconfig(self):
        return self.state + "/apiserver/admin.kubeconfig"

    def _connect(self):
        if self.context is None:
            with open(self.kubeconfig) as f:
                text = f.read()

            def data(key):
                return base64.b64decode(re.search(r'%s-data"?: *"?([A-Za-z0-9+/=]+)' % key, text).group(1))

            pem = os.path.join(self.dir, "client.pem")
            with open(os.open(pem, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as f:
                f.write(data("client-certificate") + b"\n" + data("client-key"))
            context = ssl.create_default_context(cadata=data("certificate-authority").decode())
            context.load_cert_chain(pem)
            self.context = context
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=PATIENCE, context=self.context)

    def _ask(self, method, path, body, headers):
        conn = self._connect()
        try:
            conn.request(method, path, body, headers)
            answer = conn.getresponse()
            return answer, answer.read()
        finally:
            conn.close()

    def request(self, method, path, body=None, content="application/json", raw=False):
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        answer, text = self._ask(method, path, body, {"Content-Type": content, "Accept": "application/json"} if not raw else {})
        if raw:
            return answer.status, text
        value = json.loads(text)
        if answer.status >= 300:
            raise Status(answer.status, value)
        return value

    def get(self, path):
        """The object, or None."""
        try:
            return self.request("GET", path)
        except Status as status:
            if status.code == 404:
                return None
            raise

    def patch(self, path, value):
        return self.request("PATCH", path, value, "application/merge-patch+json")

    def core(self, kind, name="", ns=None):
        return "/api/v1/namespaces/%s/%s%s" % (ns or self.ns, kind, "/" + name if name else "")

    def jobs(self, name="", ns=None):
        return "/apis/batch/v1/namespaces/%s/jobs%s" % (ns or self.ns, "/" + name if name else "")

    def namespace(self, name="team", managed=True):
        labels = {"ambient-code.io/managed": "true"} if managed else {}
        return self.request("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace",
                                                           "metadata": {"name": name, "labels": labels}})

    def secret(self, name, **data):
        return self.request("POST", self.core("secrets"), {"apiVersion": "v1", "kind": "Secret",
                                                           "metadata": {"name": name}, "stringData": data})

    def run(self, args, **options):
        options = {"stdin": subprocess.DEVNULL, "timeout": PATIENCE * 2, **options}
        return subprocess.run(args, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.env, **options)

    def kubectl(self, *args, **options):
        return self.run(["kubectl", "--kubeconfig", self.kubeconfig, "--cache-dir", self.dir + "/kubectl", "-n", self.ns,
                         *args], **options)

    def ctl(self, *args, **options):
        return self.run([self.tree.root + "/bin/ambientctl", "--kubeconfig", self.kubeconfig, "-n", self.ns, *args],
                        **options)

    # -- sessions

    def session(self, name, script=None, ns=None, **spec):
        """POSTs a session; with a script it is the command runner's."""
        if script is not None:
            spec = {"runnerType": "command", "runnerConfig": {"command": ["sh", "-c", script]}, **spec}
        body = {"apiVersion": "vteam.ambient-code/v1alpha1", "kind": "AgenticSession", "metadata": {"name": name},
                "spec": {"prompt": "do it", **spec}}
        self.request("POST", GROUP % (ns or self.ns), body)
        return Session(self, name, ns or self.ns)

    def repo(self, origin, push=None, branch="main", **more):
        item = {"input": {"url": self.origins.url(origin), "branch": branch, **more}}
        if push:
            item["output"] = {"targetBranch": push}
        return item


class Session:
    def __init__(self, platform, name, ns):
        self.p, self.name, self.ns = platform, name, ns
        self.path = GROUP % ns + "/" + name

    def get(self):
        return self.p.get(self.path)

    @property
    def status(self):
        return (self.get() or {}).get("status", {})

    @property
    def phase(self):
        return self.status.get("phase", "")

    def condition(self, kind):
        return next((c for c in self.status.get("conditions", []) if c["type"] == kind), {})

    @property
    def reason(self):
        return self.condition("Ready").get("reason", "")

    @property
    def message(self):
        return self.condition("Ready").get("message", "")

    def wait(self, *phases, seconds=None):
        wanted = phases or TERMINAL

        def there():
            phase = self.phase
            if phase in TERMINAL and phase not in wanted:
                raise AssertionError("session %s is %s, not %s: %s" % (self.name, phase, "/".join(wanted), self.status))
            return phase in wanted and phase

        try:
            return until(there, seconds, "%s to be %s" % (self.name, "/".join(wanted)))
        except AssertionError as e:
            raise AssertionError("%s\nit is: %s\n%s" % (e, json.dumps(self.status), self.p.log()[-1500:])) from None

    def wait_reason(self, reason, seconds=None):
        try:
            return until(lambda: self.reason == reason, seconds, "%s to say %s" % (self.name, reason))
        except AssertionError as e:
            raise AssertionError("%s\nit is: %s" % (e, json.dumps(self.status))) from None

    @property
    def volume(self):
        return "%s/pvc/%s/ambient-workspace-%s/sessions/%s" % (self.p.node_dir, self.ns, self.name, self.name)

    def file(self, name):
        return os.path.join(self.volume, "workspace", name)

    def read(self, name):
        try:
            with open(self.file(name)) as f:
                return f.read()
        except OSError:
            return ""

    def wait_file(self, name, seconds=None):
        until(lambda: os.path.exists(self.file(name)), seconds, "the file %s of %s" % (name, self.name))

    def touch(self, name):
        with open(self.file(name), "w"):
            pass

    def touch_when_up(self, name):
        self.wait_file("up")
        self.touch(name)

    def messages(self):
        try:
            with open(self.volume + "/.ambient/messages.jsonl", "rb") as f:
                return whole_lines(f.read())
        except OSError:
            return []

    def texts(self):
        return [m.get("text", "") for m in self.messages() if m["type"] == "text"]

    def delete(self):
        return self.p.request("DELETE", self.path)


# What an agent does that a test leads by the hand; its working directory is the clone.
GATED = 'echo start >> ../starts; touch ../up; while [ ! -e ../go ]; do sleep 0.02; done; echo line >> README.md; echo done'
# The same, where there is no repository.
GATED_BARE = 'W=$AMBIENT_SESSION_DIR/workspace; echo start >> $W/starts; touch $W/up; while [ ! -e $W/go ]; do sleep 0.02; done'


def main(module, make):
    """Runs a suite: each function test_* gets the platform that make() started."""
    lab = None
    try:
        lab = make()
        code = Tap([f for n, f in list(vars(module).items()) if n.startswith("test_")]).run(lab)
    finally:
        if lab is not None:
            lab.close()
    return code


def preconditions():
    """Ends the program with a skip where the platform cannot run."""
    missing = [("bwrap", "bubblewrap"), ("git", "git")]
    for program, package in missing:
        if shutil.which(program) is None:
            print("1..0 # SKIP " + required(program, package + " is not installed"))
            sys.exit(0)
    probe = subprocess.run(["bwrap", "--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc", "true"], text=True,
                           stderr=subprocess.PIPE, check=False)
    if probe.returncode != 0:
        print("1..0 # SKIP " + required("bwrap", "no sandbox can be made here: " + probe.stderr.strip()))
        sys.exit(0)


def suite(module, kind, name):
    """main with a platform of that kind and name, which has one namespace, where it can run."""
    def make():
        p = kind(name)
        p.start()
        p.namespace()
        return p

    preconditions()
    return main(module, make)
