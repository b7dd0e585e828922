#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ambientctl against a scripted API server: following a session through a watch that breaks, exit codes by phase,
messages as people and programs read them, errors as sentences."""
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from checks import check, finish  # noqa: E402

CTL = os.path.join(os.environ["top_builddir"], "core/ambientctl/ambientctl")
BASE = "/apis/vteam.ambient-code/v1alpha1/namespaces/team-a/agenticsessions"


class World:
    """What the server answers; a test sets it up."""

    def __init__(self):
        self.phases = []  # (phase, reason, message, pod) one after the other
        self.log = []
        self.break_watch_after = None
        self.created = None
        self.requests = []
        self.lock = threading.Lock()

    def session(self, i):
        phase, reason, message, pod = self.phases[i]
        return {
            "apiVersion": "vteam.ambient-code/v1alpha1", "kind": "AgenticSession",
            "metadata": {"name": "s", "namespace": "team-a", "resourceVersion": str(100 + i),
                         "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"prompt": "do\x1b[31m it", "repos": []},
            "status": {"phase": phase, "message": message, "runnerPodName": pod, "lastActivityTime": "2026-01-01T00:00:07Z",
                       "agentStatus": "waiting_input" if phase == "Running" else "",
                       "effective": {"runnerType": "command", "timeout": 60, "repos": [
                           {"url": "https://h/a", "branch": "main", "push": True, "pushUrl": "https://h/mine/a", "pushBranch": "fix"},
                           {"url": "https://h/b", "branch": "main", "push": True, "pushUrl": "https://h/b", "pushBranch": "fix"},
                           {"url": "https://h/c", "branch": "main", "push": False}]},
                       "results": "all done", "repos": [{"index": 0, "name": "a"}] if phase == "Running" else [
                           {"index": 0, "name": "a", "status": "pushed", "branch": "fix", "commit": "abcdef0123456789",
                            "total_added": 3, "total_removed": 1,
                             "prUrl": "https://h/a/pull/7\x1b[2J"}],
                       "conditions": [{"type": "Ready", "status": "False", "reason": reason, "message": message,
                                       "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
        }


world = World()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, code, body):
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def status(self, code, reason, message):
        self.answer(code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason,
                           "message": message, "code": code})

    def chunks(self, pieces, pause=0.05):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for piece in pieces:
                data = piece if isinstance(piece, bytes) else piece.encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.flush()
                time.sleep(pause)
            self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def do_GET(self):
        w, path = world, self.path
        with w.lock:
            w.requests.append(path)
        if path.startswith("/api/v1/namespaces/team-a/pods/s-pod/log"):
            return self.chunks(w.log)
        if path.startswith("/api/v1/namespaces/team-a/events"):
            return self.answer(200, {"items": [{"type": "Normal", "reason": "Completed", "message": "Completed",
                                                "lastTimestamp": "2026-01-01T00:00:00Z",
                                                "involvedObject": {"name": "s"}}]})
        if path.startswith(BASE + "?watch"):
            first = int(path.split("resourceVersion=")[1].split("&")[0]) - 100 + 1
            last = len(w.phases)
            if w.break_watch_after is not None and first <= w.break_watch_after < last:
                last = w.break_watch_after
            return self.chunks(json.dumps({"type": "MODIFIED", "object": w.session(i)}) + "\n"
                               for i in range(first, last))
        if path.startswith("/api/v1/namespaces?"):
            return self.answer(200, {"kind": "NamespaceList", "items": [{"metadata": {"name": n}} for n in ("team-a", "other")]})
        if path.startswith(BASE.replace("team-a", "team-b") + "?limit"):
            return self.answer(200, {"kind": "List", "items": [w.session(len(w.phases) - 1)]})
        if path.split("?")[0] == BASE:
            return self.answer(200, {"kind": "List", "items": [w.session(len(w.phases) - 1)]})
        if path == BASE + "/s":
            # What a GET sees is as far as the watch got, or the end.
            at = w.break_watch_after if w.break_watch_after is not None else len(w.phases) - 1
            w.break_watch_after = None
            return self.answer(200, w.session(at))
        return self.status(404, "NotFound", 'agenticsessions.vteam.ambient-code "x" not found')

    def do_POST(self):
        world.created = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if world.created["metadata"]["name"] == "taken":
            return self.status(409, "AlreadyExists", 'agenticsessions.vteam.ambient-code "taken" already exists')
        if world.created["metadata"]["name"] == "bad":
            return self.status(422, "Invalid", "spec.timeout: Invalid value")
        body = world.session(0)
        body.pop("status")
        return self.answer(201, body)

    def do_PATCH(self):
        world.created = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return self.answer(200, world.session(0))

    def do_DELETE(self):
        return self.answer(200, {"kind": "Status", "status": "Success"})


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
tmp = tempfile.TemporaryDirectory()
config = os.path.join(tmp.name, "kubeconfig")
with open(config, "w", encoding="utf-8") as f:
    f.write(f"""apiVersion: v1
kind: Config
current-context: c
clusters: [{{name: c, cluster: {{server: "http://127.0.0.1:{server.server_port}"}}}}]
contexts: [{{name: c, context: {{cluster: c, user: u, namespace: team-a}}}}]
users: [{{name: u, user: {{}}}}]
""")


def run(*words, stdin="", stdout=subprocess.PIPE):
    r = subprocess.run(words, input=stdin.encode(), stdout=stdout, stderr=subprocess.PIPE, timeout=60, check=False)
    return r.returncode, (r.stdout or b"").decode(), r.stderr.decode()


def ctl(*words, **options):
    return run(CTL, "--kubeconfig", config, *words, **options)


def message(seq, kind, **fields):
    return json.dumps({"seq": seq, "time": "2026-01-01T00:00:00Z", "run": "r", "type": kind, **fields}) + "\n"


WALK = [("", "", "", ""), ("Pending", "Provisioning", "creating", ""), ("Creating", "Creating", "waiting", ""),
        ("Running", "Running", "", "s-pod"), ("Completed", "Completed", "", "s-pod")]
LOG = [message(1, "session", text="started"), message(2, "text", text="hello\x1b[2J you"),
       message(3, "tool_call", name="Bash", input={"command": "ls -l"}), message(4, "tool_result", text="a\nb"),
       message(5, "partial", text="never shown"), "a line that is no message\n", message(6, "novelty", x=1),
       message(7, "result", text="all done", turns=2, costUSD=0.7, durationMs=1500)]


def fresh(phases, **more):
    global world
    world = World()
    world.phases = phases
    world.log = LOG
    for key, value in more.items():
        setattr(world, key, value)


fresh(WALK)
rc, out, err = ctl("run", "do it", "--name", "s", "--repo", "https://h/a.git", "--branch", "main", "--push-to", "fix",
                   "--repo", "https://h/b", "--command", "true", "--timeout", "2m", "--follow")
lines = [line.split()[0] for line in out.splitlines() if line.split()]
check("every phase is shown, in order", [w for w in lines if w in ("Pending", "Creating", "Running", "Completed")] in (
    ["Pending", "Pending", "Creating", "Running", "Completed"], ["Pending", "Creating", "Running", "Completed"]), out)
check("Completed is exit code 0", rc == 0, (rc, err))
check("text of the agent without what steers a terminal", "hello?[2J you" in out, out)
check("a tool call and its result", "> Bash: ls -l" in out and "  a\n  b" in out, out)
check("partial messages are not shown", "never shown" not in out, out)
check("other lines are shown", "a line that is no message" in out, out)
check("unknown types are named", "- novelty" in out, out)
check("the result with turns, cost, time", "= all done (2 turns, 0.7 USD, 1.5 s)" in out, out)
check("what was pushed", "pushed     a -> fix (abcdef0123, +3 -1)" in out, out)
check("each message once", out.count("> Bash") == 1, out)
check("no colours in a pipe", "\x1b" not in out + err, out)
spec = world.created["spec"]
check("the spec", spec == {"prompt": "do it", "runnerType": "command", "runnerConfig": {"command": ["sh", "-c", "true"]},
                           "timeout": 120, "repos": [
                               {"input": {"url": "https://h/a.git", "branch": "main"}, "output": {"targetBranch": "fix"}},
                               {"input": {"url": "https://h/b"}}]}, spec)

fresh(WALK, break_watch_after=3)
rc, out, err = ctl("run", "do it", "--name", "s", "--follow")
check("a broken watch goes on", rc == 0 and "Running" in out and "Completed" in out, (rc, out, err))
rc, out, err = ctl("run", "do it")
check("a name is made", world.created["metadata"]["name"].startswith("session-"), world.created)
rc, out, err = ctl("run", "do it", "-r", "https://h/first.git", "-r", "https://h/second")
check("a name is made of the first repository's", world.created["metadata"]["name"].startswith("first-"), world.created)

for phase, code in (("Failed", 1), ("Stopped", 1), ("Timeout", 124)):
    fresh(WALK[:4] + [(phase, "Why", "a sentence", "s-pod")])
    rc, out, err = ctl("run", "do it", "--name", "s", "--follow")
    check(f"{phase} is exit code {code}", rc == code and "a sentence" in out, (rc, out, err))

fresh(WALK)
rc, out, err = ctl("run", "do it", "--name", "s")
check("without --follow it returns", rc == 0 and "messages -f s" in out, (rc, out, err))
rc, out, err = ctl("run", "-", "--name", "s", stdin="ü" * 500000)
check("a prompt of 1 MB from standard input", rc == 0 and len(world.created["spec"]["prompt"]) == 500000, (rc, err))
rc, out, err = ctl("run", "x", "--name", "taken")
check("exists is exit code 5", rc == 5 and "already exists" in err, (rc, err))
rc, out, err = ctl("run", "x", "--name", "bad")
check("invalid is exit code 5 with the field", rc == 5 and "spec.timeout" in err, (rc, err))
rc, out, err = ctl("get")
check("get prints a table", rc == 0 and out.startswith("NAME") and "Completed" in out, out)
rc, out, err = ctl("get", "s", "-o", "json")
check("get -o json prints the object", json.loads(out)["status"]["phase"] == "Completed", out)
rc, out, err = ctl("get", "x")
check("not found is exit code 3", rc == 3 and "not found" in err, (rc, err))
rc, out, err = ctl("describe", "s")
check("describe", rc == 0 and "do?[31m it" in out and "Completed" in out and "all done" in out and "Events" in out, out)
check("describe says nothing of an agent that is not there", "Agent" not in out, out)
check("describe says where work goes, to a fork too", "https://h/a (main) -> https://h/mine/a fix\n" in out and
      "https://h/b (main) -> fix\n" in out and "https://h/c (main)\n" in out, out)
check("describe says what became of a repository", "Pushed\n  pushed     a -> fix" in out and "+3 -1) https://h/a/pull/7" in out and "\x1b" not in out, out)
fresh([("Running", "Running", "", "s-pod")])
rc, out, err = ctl("describe", "s")
check("describe says what the agent does", "Agent        waiting_input\nLast word    2026-01-01T00:00:07Z\n" in out, out)
check("describe, and not before it is known", rc == 0 and "Pushed" not in out and "unknown" not in out, out)
fresh(WALK)
rc, out, err = ctl("logs", "s")
check("logs are the bytes", rc == 0 and out == "".join(LOG), out)
rc, out, err = ctl("messages", "s", "-o", "json")
check("messages -o json are the lines", [json.loads(x)["seq"] for x in out.splitlines()] == [1, 2, 3, 4, 5, 6, 7], out)
rc, out, err = ctl("messages", "s", "-f")
check("messages -f ends with the session", rc == 0 and "= all done" in out, (rc, out, err))
rc, out, err = ctl("stop", "s")
wishes = world.created["metadata"]["annotations"]
check("stop asks for Stopped, both ways", rc == 0 and world.created["spec"] == {"desiredState": "Stopped"} and
      wishes["ambient-code.io/desired-phase"] == "Stopped" and "ambient-code.io/stop-requested-at" in wishes, (world.created, err))
rc, out, err = ctl("delete", "s")
check("delete", rc == 0 and "deleted" in out, (rc, out, err))
rc, out, err = run(CTL, "__complete", "--", "--kubeconfig", config, "-n", "team-b", "describe", "")
check("names are completed from where the line says", rc == 0 and out == "s\n" and "/namespaces/team-b/" in world.requests[-1],
      (out, err, world.requests))
rc, out, err = run(CTL, "__complete", "--", "--kubeconfig", config, "-n", "te")
check("namespaces are completed", rc == 0 and out == "team-a\n", (out, err))
rc, out, err = ctl("-n", "run", "--output=table", "--kubeconfig", "get", "version")
check("a value that is called like a command is no command", rc == 0 and out.startswith("ambientctl"), (rc, out, err))
fresh([("Pending", "NamespaceNotManaged", 'namespace "team-a" is not labelled', "")])
rc, out, err = ctl("logs", "s")
check("logs without a pod say why", rc == 1 and "not labelled" in err, (rc, err))

# Of what cannot be printed it is said why, but to whoever has stopped reading.
fresh(WALK)
with open("/dev/full", "wb") as full:
    for words in (("messages", "s"), ("messages", "s", "-f"), ("logs", "s"), ("get",), ("get", "-o", "json")):
        rc, out, err = ctl(*words, stdout=full)
        check("a full disk is told by %s" % " ".join(words), rc == 1 and err == "ambientctl: standard output cannot be written: "
              "No space left on device\n", (rc, err))
for words, lines in ((("messages", "s", "-f"), 400), (("messages", "s", "-f"), 2), (("logs", "s", "-f"), 400)):
    fresh(WALK[3:4], log=[message(i, "text", text="line %d" % i) for i in range(1, lines)])
    process = subprocess.Popen([CTL, "--kubeconfig", config, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    try:
        rc = process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        rc = "goes on"
    err = process.stderr.read()
    check("%s ends with its reader, of %d lines" % (" ".join(words), lines), (rc, err) == (1, b""), (rc, err))
fresh([("Failed", "Why", "a sentence", "s-pod")], log=[])
for words, code in ((("messages", "s"), 0), (("messages", "s", "-f"), 1)):
    rc, out, err = ctl(*words)
    check("%s says that there are none" % " ".join(words), (rc, out, err) == (code, "", 'ambientctl: session "s" has no messages; it is '
          "Failed: a sentence\n"), (rc, out, err))
sys.exit(finish())
