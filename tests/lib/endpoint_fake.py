# SPDX-License-Identifier: Apache-2.0
"""An API server with one session, whose runner is behind pods/proxy: the endpoint of doc/messages.md as a test leads it.
It checks keys as the runner does, breaks when told to, and remembers what was said to it."""
import hashlib
import json
import os
import re
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BASE = "/apis/vteam.ambient-code/v1alpha1/namespaces/team-a/agenticsessions"
ACCESS = "access.ambient-code.io/"


class World:
    def __init__(self):
        self.cond = threading.Condition()
        self.version, self.annotations, self.deleted, self.patches = 100, {}, False, []
        self.phase, self.message, self.pod, self.interactive = "Running", "", "s-pod", True
        self.messages, self.ended, self.state, self.turn = [], False, "running", "idle"
        self.inputs, self.acknowledged, self.refuse = [], {}, {}
        self.streams, self.broken, self.away, self.lag, self.viewer = [], 0, False, 0, False
        self.files, self.logs, self.large, self.git = {}, [], {}, {}
        self.asked = []      # of the runner: the paths, with their queries
        self.content = None  # the name of the content pod, which comes a moment after it was asked for
        self.serves = True   # does it come?
        self.cut_file = False
        self.events = []
        self.hooks = {}      # type of an input -> what the agent does about it

    def change(self, **values):
        with self.cond:
            self.__dict__.update(values)
            self.version += 1
            self.cond.notify_all()

    def say(self, kind, **fields):
        with self.cond:
            self.messages.append({"seq": len(self.messages) + 1, "time": "2026-01-01T00:00:00Z", "run": "r", "type": kind,
                                  **fields})
            if kind == "result":
                self.turn = "idle"
            self.cond.notify_all()

    def cut(self):
        """All streams break now, in the middle of whatever they are at."""
        with self.cond:
            self.broken += 1
            self.cond.notify_all()

    def keys(self):
        return {k[len(ACCESS):]: v for k, v in self.annotations.items() if k.startswith(ACCESS)}

    def session(self):
        return {"apiVersion": "vteam.ambient-code/v1alpha1", "kind": "AgenticSession",
                "metadata": {"name": "s", "namespace": "team-a", "resourceVersion": str(self.version),
                             "annotations": dict(self.annotations)},
                "spec": {}, "status": {"phase": self.phase, "message": self.message, "runnerPodName": self.pod,
                                       "effective": {"interactive": self.interactive}}}

    def wait(self, condition, seconds=20, what="the condition"):
        end = time.monotonic() + seconds * float(os.environ.get("AMBIENT_PATIENCE") or 1)
        with self.cond:
            while not condition():
                left = end - time.monotonic()
                assert left > 0, "waited in vain for " + what
                self.cond.wait(min(left, 0.2))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    @property
    def world(self):
        return self.server.world

    def answer(self, code, body, **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def status(self, code, reason, message):
        self.answer(code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason,
                           "message": message, "code": code})

    def begin(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def away(self):
        if self.world.away:
            self.close_connection = True
            self.connection.close()
        return self.world.away

    # -- the API server

    def watch(self, version, seconds):
        w, end = self.world, time.monotonic() + seconds
        self.begin()
        while time.monotonic() < end and not w.away:
            with w.cond:
                if w.version <= version and not w.deleted:
                    w.cond.wait(0.2)
                    continue
                version = w.version
                event = {"type": "DELETED" if w.deleted else "MODIFIED", "object": w.session()}
            self.chunk(json.dumps(event).encode() + b"\n")
            if w.deleted:
                break
        self.chunk(b"")

    def watch_pod(self, seconds):
        w = self.world
        self.begin()
        pod = {"metadata": {"name": "s-content", "resourceVersion": "1"}, "status": {"phase": "Pending"}}
        self.chunk(json.dumps({"type": "ADDED", "object": pod}).encode() + b"\n")
        with w.cond:
            if not w.serves:
                w.cond.wait(seconds)
            elif "ambient-code.io/content-requested" in w.annotations:
                w.content = "s-content"
        pod["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True" if w.content else "False"}]}
        self.chunk(json.dumps({"type": "MODIFIED", "object": pod}).encode() + b"\n")
        self.chunk(b"")

    def do_GET(self):
        w, url = self.world, urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if self.away():
            return None
        proxied = re.fullmatch(r"/api/v1/namespaces/team-a/pods/([a-z0-9-]+):8001/proxy(/.*)", url.path)
        if proxied:
            return self.runner("GET", proxied.group(1), proxied.group(2), query, b"")
        if url.path == BASE and query.get("watch"):
            return self.watch(int(query["resourceVersion"]), float(query["timeoutSeconds"]))
        if url.path == BASE + "/s" and not w.deleted:
            with w.cond:
                return self.answer(200, w.session())
        if url.path == "/api/v1/namespaces/team-a/pods" and query.get("watch"):
            return self.watch_pod(float(query["timeoutSeconds"]))
        if url.path == "/api/v1/namespaces/team-a/events":
            return self.answer(200, {"items": w.events})
        if url.path.endswith("/log"):
            if not w.logs:
                return self.status(404, "NotFound", 'pods "s-pod" not found')
            return self.answer(200, "".join(json.dumps(m) + "\n" for m in w.logs).encode())
        return self.status(404, "NotFound", '"%s" not found' % url.path.rsplit("/", 1)[-1])

    def do_PATCH(self):
        w, body = self.world, json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.away():
            return None
        if w.viewer:
            return self.status(403, "Forbidden", 'user "v" cannot patch agenticsessions')
        if self.path != BASE + "/s" or w.deleted:
            return self.status(404, "NotFound", 'agenticsessions.vteam.ambient-code "x" not found')
        with w.cond:
            w.patches.append(body)
            for name, value in body["metadata"]["annotations"].items():
                if value is None:
                    w.annotations.pop(name, None)
                else:
                    w.annotations[name] = value
            w.version += 1
            w.cond.notify_all()
            return self.answer(200, w.session())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        proxied = re.fullmatch(r"/api/v1/namespaces/team-a/pods/([a-z0-9-]+):8001/proxy(/.*)", self.path)
        if self.away():
            return None
        if not proxied:
            return self.status(404, "NotFound", "not found")
        return self.runner("POST", proxied.group(1), proxied.group(2), {}, body)

    # -- the runner

    def client(self):
        w, key = self.world, self.headers.get("X-Ambient-Key", "")
        if w.lag > 0:
            w.lag -= 1
            return None
        for name, value in w.keys().items():
            if value.split()[0] == hashlib.sha256(key.encode()).hexdigest():
                return name
        return None

    def runner(self, method, pod, path, query, body):
        w = self.world
        w.asked.append(self.path)
        if pod not in (w.pod, w.content):
            return self.status(404, "NotFound", 'pods "%s" not found' % pod)
        client = self.client()
        if client is None:
            return self.answer(401, {"reason": "UnknownKey", "message": "no annotation has this key's hash"}, Retry_After="1")
        if path == "/v1/status":
            return self.answer(200, {"run": "r", "state": w.state, "interactive": w.interactive, "turn": w.turn,
                                     "lastSeq": len(w.messages)})
        if path == "/v1/messages":
            return self.stream(int(query.get("from", "1")), query.get("follow") == "true")
        if path == "/v1/input" and method == "POST":
            return self.take(client, json.loads(body))
        if path == "/v1/large":
            found = w.large.get(int(query["seq"]))
            return self.answer(200, found) if found is not None else self.answer(404, {"reason": "NotFound", "message": "no file"})
        if path == "/v1/git":
            found = w.git.get(query["repo"])
            if found is None:
                return self.answer(409, {"reason": "Refused", "message": 'there is no clone "%s" in the workspace' % query["repo"]})
            return self.answer(200, {k: v for k, v in found.items() if k != "diff" or query.get("diff") == "true"})
        if path == "/v1/files":
            found = w.files.get(query.get("path", ""))
            if found is None:
                return self.answer(404, {"reason": "NotFound", "message": "there is no such file in the workspace"})
            if w.cut_file and isinstance(found, bytes):
                self.send_response(200)
                self.send_header("Content-Length", str(len(found)))
                self.end_headers()
                self.wfile.write(found[:len(found) // 2])
                self.close_connection = True
                return None
            return self.answer(200, found)
        return self.answer(404, {"reason": "NotFound", "message": "there is no \"%s\" here" % path})

    def stream(self, seq, follow):
        w = self.world
        broken = w.broken
        self.begin()
        with w.cond:
            w.streams.append(seq)
        while True:
            with w.cond:
                if w.broken != broken or w.away:
                    self.close_connection = True
                    self.connection.close()
                    return
                ready = w.messages[seq - 1:]
                if not ready:
                    if w.ended or not follow:
                        break
                    w.cond.wait(0.2)
                    continue
            for message in ready:
                data = json.dumps(message, ensure_ascii=False).encode() + b"\n"
                # In pieces, as a network may deliver them.
                self.chunk(data[:len(data) // 2])
                self.chunk(data[len(data) // 2:])
            seq += len(ready)
        self.chunk(b"")

    def take(self, client, value):
        w, kind = self.world, value["type"]
        if kind in w.refuse:
            return self.answer(409, {"reason": "Conflict", "message": w.refuse[kind]})
        with w.cond:
            known = w.acknowledged.get(value["id"])
            if known is None:
                w.inputs.append(value)
                w.acknowledged[value["id"]] = len(w.messages) + 1
        if known is None and kind == "message":
            w.turn = "running"
            w.say("user", text=value["text"], id=value["id"], client=client)
        self.answer(200, {"id": value["id"], "acknowledged": True, "seq": w.acknowledged[value["id"]]})
        if known is None and kind in w.hooks:
            w.hooks[kind](value)
        with w.cond:
            w.cond.notify_all()
        return None


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Clients that hang up are part of the game."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Server:
    def __init__(self):
        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.http.world = World()
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def fresh(self, **values):
        self.http.world = World()
        self.http.world.__dict__.update(values)
        return self.http.world

    def kubeconfig(self, path):
        with open(path, "w", encoding="utf-8") as f:
            f.write("""apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: "http://127.0.0.1:%d"}}]
contexts: [{name: c, context: {cluster: c, user: u, namespace: team-a}}]
users: [{name: u, user: {}}]
""" % self.http.server_port)
        return path
