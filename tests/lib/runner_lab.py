# SPDX-License-Identifier: Apache-2.0
"""What a session's pod finds around it, on loopback: an API server that knows one session and one ConfigMap, git
origins behind git daemon, and the two containers as plain processes.  Only the standard library."""
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

BUILD = os.environ.get("top_builddir", os.getcwd())
RUNNER = os.path.join(BUILD, "core/ambient-runner/ambient-runner")
# libtool's wrapper is a script; what is behind it needs to be told where the library is.
if os.path.exists(os.path.join(BUILD, "core/ambient-runner/.libs/ambient-runner")):
    RUNNER = os.path.join(BUILD, "core/ambient-runner/.libs/ambient-runner")
    os.environ["LD_LIBRARY_PATH"] = os.path.join(BUILD, "core/.libs")
PATIENCE = float(os.environ.get("AMBIENT_PATIENCE") or 1)
GIT_ENV = {
    "PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.com", "GIT_COMMITTER_NAME": "t",
    "GIT_COMMITTER_EMAIL": "t@example.com", "LC_ALL": "C",
}


def git(*args, cwd=None, check=True):
    done = subprocess.run(["git", "-c", "init.defaultBranch=main", *args], cwd=cwd, env=GIT_ENV, check=check,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60 * PATIENCE)
    return done.stdout.strip()


HELD = []


def free_port():
    """One that nobody listens at, and that is ours as long as this program runs: it stays bound, so that the kernel gives it to
    nobody else while a server of ours is not up, or not up again.  A server with SO_REUSEADDR may listen there all the same."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 0))
    HELD.append(s)
    return s.getsockname()[1]


def whole_lines(data):
    """The values of a file of JSON lines; the last line may just be written."""
    return [json.loads(line) for line in data[:data.rfind(b"\n") + 1].splitlines()]


class Api:
    """GET of the session, merge patches of the report; everything else is 404 and remembered.  token: what must come
    as the bearer's, or None.  down() and up() are a restart: connections break, then are refused, then taken."""

    def __init__(self):
        self.session, self.report, self.states, self.others = {}, None, [], []
        self.token, self.connections, self.seen = None, [], 0
        self.watchers, self.lock = [], threading.Lock()
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                api.connections.append(self.connection)

            def parse_request(self):
                if not super().parse_request():
                    return False
                api.seen += 1
                if api.token is None or self.headers.get("Authorization") == "Bearer " + api.token:
                    return True
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.status(401, "Unauthorized")
                return False

            def answer(self, code, value):
                body = json.dumps(value).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def status(self, code, reason):
                self.answer(code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
                                   "reason": reason, "message": reason})

            def do_GET(self):
                if self.path.endswith("/agenticsessions/s1"):
                    self.answer(200, api.session)
                elif "watch=true" in self.path and "fieldSelector=metadata.name%3Ds1&" in self.path:
                    self.watch()
                else:
                    api.others.append(self.path)
                    self.status(404, "NotFound")

            def watch(self):
                """What changed() says, until the connection is shut down or the peer has gone."""
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.close_connection = True
                with api.lock:
                    api.watchers.append(self.connection)
                    sent = api.session["metadata"].get("resourceVersion", "") not in ("", self.path.split("resourceVersion=")[1].split("&")[0])
                    if sent:
                        api.send(self.connection)
                try:
                    self.connection.recv(1)
                except OSError:
                    pass
                with api.lock:
                    api.watchers.remove(self.connection)

            def do_PATCH(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if not self.path.endswith("/configmaps/s1-report"):
                    api.others.append(self.path)
                    return self.status(404, "NotFound")
                text = json.loads(body)["data"]["report.json"]
                assert len(text) <= 256 * 1024
                api.report = json.loads(text)
                api.states.append(api.report["state"])
                self.answer(200, {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "s1-report"}})

            def log_message(self, *args):
                pass

        self.handler, self.port, self.server = Handler, 0, None
        self.up()

    def send(self, connection):
        line = json.dumps({"type": "MODIFIED", "object": self.session}).encode() + b"\n"
        try:
            connection.sendall(b"%x\r\n%s\r\n" % (len(line), line))
        except OSError:
            pass

    def changed(self, session):
        """The session is another one from here on; whoever watches it is told."""
        with self.lock:
            version = int(self.session["metadata"].get("resourceVersion", "1")) + 1
            self.session = {**session, "metadata": {**session["metadata"], "resourceVersion": str(version)}}
            for connection in self.watchers:
                self.send(connection)

    def up(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), self.handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def flaky(self):
        """Instead of a server somebody who hangs up on everybody; returns what tells how many came, and what ends it."""
        listener = socket.create_server(("127.0.0.1", self.port))
        came = []

        def hang_up():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                came.append(1)
                connection.close()

        def end():
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

        threading.Thread(target=hang_up, daemon=True).start()
        return lambda: len(came), end

    def down(self):
        self.server.shutdown()
        self.server.server_close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.connections = []

    @property
    def url(self):
        return "http://127.0.0.1:%d" % self.port


class Lab:
    def __init__(self):
        self.root = tempfile.mkdtemp(prefix="amb-")
        self.origins = os.path.join(self.root, "origins")
        os.mkdir(self.origins)
        self.api = Api()
        self.port = free_port()
        self.daemon = subprocess.Popen(
            ["git", "daemon", "--reuseaddr", "--export-all", "--enable=receive-pack", "--listen=127.0.0.1",
             "--port=%d" % self.port, "--base-path=" + self.origins, self.origins],
            env=GIT_ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        end = time.monotonic() + 30 * PATIENCE
        while True:
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            assert time.monotonic() < end and self.daemon.poll() is None, "git daemon does not serve"
            time.sleep(0.02)
        self.plugins = os.path.join(self.root, "plugins")
        os.mkdir(self.plugins)
        for kind in ("command", "claude-code", "codex", "gemini-cli", "opencode"):
            built = os.path.join(BUILD, "plugins/runner-%s/.libs/runner-%s.so" % (kind, kind))
            if os.path.exists(built):
                os.symlink(built, os.path.join(self.plugins, "runner-%s.so" % kind))
        self.count = 0

    def close(self):
        try:
            os.killpg(self.daemon.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        self.daemon.wait(30 * PATIENCE)
        self.api.server.shutdown()
        shutil.rmtree(self.root, ignore_errors=True)

    def origin(self, name, files=None):
        bare = os.path.join(self.origins, name + ".git")
        work = os.path.join(self.root, "seed-" + name)
        git("init", "-q", "--bare", bare)
        git("init", "-q", work)
        for path, text in (files or {"README.md": "hello\n"}).items():
            os.makedirs(os.path.dirname(os.path.join(work, path)), exist_ok=True)
            with open(os.path.join(work, path), "w") as f:
                f.write(text)
        git("add", "-A", cwd=work)
        git("commit", "-q", "-m", "first", cwd=work)
        git("push", "-q", bare, "HEAD:refs/heads/main", cwd=work)
        return "git://127.0.0.1:%d/%s.git" % (self.port, name)

    def bare(self, name):
        return os.path.join(self.origins, name + ".git")

    def pod(self, spec, **options):
        self.count += 1
        return Pod(self, self.count, spec, **options)


class Pod:
    """One execution; session_dir of an earlier one makes it a restart on the same volume."""

    def __init__(self, lab, number, spec, kind="command", volume=None, run_id=None, agent_env=None, runner_env=None,
                 agent_names=""):
        self.lab, self.kind = lab, kind
        self.volume = volume or os.path.join(lab.root, "v%d" % number)
        self.dir = os.path.join(self.volume, "sessions/s1")
        self.run_dir = tempfile.mkdtemp(prefix="r", dir=lab.root)
        self.run_id = run_id or "run%d" % number
        for sub in ("workspace", "out", ".claude"):
            os.makedirs(os.path.join(self.dir, sub), exist_ok=True)
        lab.api.session = {"apiVersion": "vteam.ambient-code/v1alpha1", "kind": "AgenticSession",
                           "metadata": {"name": "s1", "namespace": "team", "uid": "u1"}, "spec": spec}
        lab.api.report, lab.api.states = None, []
        common = {
            "PATH": os.environ["PATH"], "HOME": lab.root, "TMPDIR": self.run_dir, "AMBIENT_RUNNER_CONTRACT": "1",
            "AMBIENT_RUNNER_TYPE": kind, "AMBIENT_SOCKET": os.path.join(self.run_dir, "agent.sock"),
            "AMBIENT_SESSION_DIR": self.dir, "AMBIENT_LOG": "info",
        }
        for name in ("LD_LIBRARY_PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
            if name in os.environ:
                common[name] = os.environ[name]
        self.runner_env = {**common, "AMBIENT_SESSION_NAME": "s1", "AMBIENT_SESSION_NAMESPACE": "team",
                           "AMBIENT_SESSION_UID": "u1", "AMBIENT_RUN_ID": self.run_id, "AMBIENT_REPORT": "s1-report",
                           "AMBIENT_API_SERVER": lab.api.url, **(runner_env or {})}
        self.agent_env = {**common, "AMBIENT_RUNNER_PLUGINS": lab.plugins, "AMBIENT_AGENT_ENV": agent_names,
                          "AMBIENT_AGENT_STATE": os.path.join(self.dir, ".claude"), "AMBIENT_CONNECT_SECONDS": "60",
                          **(agent_env or {})}
        self.runner = self.agent = None

    def start(self, agent=True):
        self.stdout = open(os.path.join(self.run_dir, "stdout"), "w+b")
        self.stderr = open(os.path.join(self.run_dir, "stderr"), "w+b")
        self.runner = subprocess.Popen([RUNNER, "run"], env=self.runner_env, stdin=subprocess.DEVNULL,
                                       stdout=self.stdout, stderr=self.stderr, start_new_session=True)
        if agent:
            self.start_agent()
        return self

    def start_agent(self):
        self.agent = subprocess.Popen([RUNNER, "agent"], env=self.agent_env, stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL, stderr=self.stderr, start_new_session=True)

    def wait(self, timeout=120):
        try:
            self.code = self.runner.wait(timeout * PATIENCE)
            self.agent_code = self.agent.wait(30 * PATIENCE) if self.agent else None
        finally:
            for p in (self.runner, self.agent):
                if p is not None and p.poll() is None:
                    p.kill()
                    p.wait()
            self.stdout.flush()
        return self

    def go(self, timeout=120):
        return self.start().wait(timeout)

    @property
    def report(self):
        return self.lab.api.report

    def read(self, name):
        with open(os.path.join(self.run_dir, name), "rb") as f:
            return f.read().decode("utf-8", "replace")

    @property
    def messages(self):
        with open(os.path.join(self.dir, ".ambient/messages.jsonl"), "rb") as f:
            return whole_lines(f.read())

    def texts(self, kind="text"):
        return [m.get("text", "") for m in self.messages if m["type"] == kind]

    def until(self, condition, seconds=30):
        end = time.monotonic() + seconds * PATIENCE
        while time.monotonic() < end:
            try:
                if condition():
                    return True
            except (OSError, ValueError, LookupError, TypeError):
                pass  # a file, or a part of the report, that is not there yet
            time.sleep(0.02)
        return False


class Tap:
    """Runs the functions of a module that are named test_*; one TAP line each."""

    def __init__(self, cases):
        self.cases = cases

    def run(self, lab):
        only = sys.argv[1:]
        cases = [c for c in self.cases if not only or c.__name__ in only]
        print("1..%d" % len(cases), flush=True)
        bad = 0
        for i, case in enumerate(cases, 1):
            try:
                skip = case(lab)
                print("ok %d %s%s" % (i, case.__name__, " # SKIP " + skip if skip else ""), flush=True)
            except Exception as e:  # a failing case must not hide the others
                bad += 1
                print("not ok %d %s" % (i, case.__name__))
                text = "".join(__import__("traceback").format_exception(e)).rstrip()
                print("\n".join("# " + line for line in text.splitlines()[-30:]), flush=True)
        return 1 if bad else 0
