# SPDX-License-Identifier: Apache-2.0
"""Requests that leave the API server: connect.py HOST_PROGRAM PLUGIN.so [test ...]

The node is a fake, which the API server dials as it dials a kubelet; the bytes behind a 101 are no WebSocket frames
here, since it is not to look at them."""
import base64
import hashlib
import http.client
import http.server
import json
import os
import shutil
import socket
import ssl
import sys
import tempfile
import threading
import time

import apilib
from apilib import PATIENCE, eventually, name_of, rand, row
from rows_watch import grant, running_pod

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def read_head(sock):
    """Status and fields of an answer, byte by byte: what follows stays in the socket."""
    text = b""
    while not text.endswith(b"\r\n\r\n"):
        c = sock.recv(1)
        assert c, "the connection ended in the head: %r" % text
        text += c
    lines = text.decode().split("\r\n")
    return int(lines[0].split()[1]), {k.lower(): v for k, v in (x.split(": ", 1) for x in lines[1:] if x)}


def dial(f, client):
    sock = socket.create_connection((f.hostname, f.port), 60 * PATIENCE)
    return (client or f.api).context.wrap_socket(sock, server_hostname=f.hostname)


def ask(f, path, method="GET", client=None, **fields):
    """Sends an upgrade; the socket, the status and the fields of the answer.  A name with _ is one with -."""
    headers = {"Host": "x", "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
               "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Protocol": "v5.channel.k8s.io, v4.channel.k8s.io"}
    headers.update({k.replace("_", "-"): v for k, v in fields.items()})
    if client is not None:
        headers["Authorization"] = "Bearer " + client.token
    sock = dial(f, client)
    sock.sendall(("%s %s HTTP/1.1\r\n%s\r\n" % (method, path, "".join(
        "%s: %s\r\n" % (k, v) for k, v in headers.items() if v is not None))).encode())
    status, got = read_head(sock)
    return sock, status, got


def refused(f, path, status, text, method="GET", client=None, **fields):
    sock, got, headers = ask(f, path, method, client, **fields)
    body = b""
    while len(body) < int(headers["content-length"]):
        body += sock.recv(65536)
    sock.close()
    s = json.loads(body)
    assert (got, s["code"], s["kind"]) == (status, status, "Status") and text in s["message"], (got, s)
    return s


class Node(apilib.FakeNode):
    """Echoes what comes behind a 101, or does what `then` does with the socket."""

    def __init__(self, f):
        self.then, self.refusal, self.fields = None, None, []
        self.ended = threading.Semaphore(0)
        super().__init__(f)
        self.register("standalone")

    def answer(self, r):
        self.fields.append(r.headers)
        r.close_connection = True
        refusal = self.refusal or (None if "Upgrade" in r.headers else (426, b"not SPDY"))
        if refusal:
            status, text = refusal
            r.send_response(status)
            r.send_header("Content-Length", str(len(text)))
            r.end_headers()
            r.wfile.write(text)
            return
        accept = base64.b64encode(hashlib.sha1(r.headers["Sec-WebSocket-Key"].encode() + GUID).digest()).decode()
        r.send_response_only(101)
        for k, v in (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept),
                     ("Sec-WebSocket-Protocol", r.headers["Sec-WebSocket-Protocol"].split(",")[0])):
            r.send_header(k, v)
        r.end_headers()
        try:
            (self.then or echo)(r.connection)
        except OSError:
            pass
        self.ended.release()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def wait_end(self):
        assert self.ended.acquire(timeout=60 * PATIENCE), "the node's side of a session does not end"


def echo(sock):
    while True:
        data = sock.recv(65536)
        if not data:
            return
        sock.sendall(data)


def take(sock, n):
    out = b""
    while len(out) < n:
        data = sock.recv(min(65536, n - len(out)))
        assert data, "an end after %d of %d bytes" % (len(out), n)
        out += data
    return out


def at(f, pod, sub):
    return "%s/pods/%s/%s" % (f.core, name_of(pod), sub)


@row
def exec_passes_bytes(f):
    with Node(f) as node:
        o = running_pod(f)
        sock, status, h = ask(f, at(f, o, "exec?command=sh&command=-c&command=a%26b%20c&stdin=true&stdout=true&stderr=true"))
        assert status == 101 and h["upgrade"] == "websocket" and h["connection"] == "Upgrade", (status, h)
        assert h["sec-websocket-protocol"] == "v5.channel.k8s.io" and h["sec-websocket-accept"] == \
            base64.b64encode(hashlib.sha1(KEY.encode() + GUID).digest()).decode(), h
        assert node.asked == ["/exec/%s/%s/c?input=1&output=1&error=1&command=sh&command=-c&command=a%%26b%%20c"
                              % (f.ns, name_of(o))], node.asked
        assert node.callers == {"system:ambient:apiserver"}
        assert "Authorization" not in node.fields[0] and node.fields[0]["Audit-Id"] == h["audit-id"], node.fields[0]
        for data in (b"x", bytes(range(256)) * 4096):
            sock.sendall(data)
            assert take(sock, len(data)) == data
        sock.close()
        node.wait_end()


@row
def attach_passes_bytes(f):
    with Node(f) as node:
        o = running_pod(f)
        sock, status, _ = ask(f, at(f, o, "attach?container=c&stdin=1&stdout&stderr=true&tty=true"))
        assert status == 101 and node.asked == ["/attach/%s/%s/c?tty=1&input=1&output=1" % (f.ns, name_of(o))], node.asked
        node.then = None
        sock.sendall(b"hello")
        assert take(sock, 5) == b"hello"
        sock.close()
        node.wait_end()


@row
def exec_last_words(f):
    """What the node says before it closes arrives, also when it has left the client's bytes unread."""
    def then(sock):
        time.sleep(0.2)
        sock.sendall(b"y" * 300000 + b"bye")

    with Node(f) as node:
        node.then = then
        o = running_pod(f)
        sock, status, _ = ask(f, at(f, o, "exec?command=x&stdout=true"))
        assert status == 101 and take(sock, 300003).endswith(b"ybye") and sock.recv(1) == b""
        node.wait_end()


@row
def exec_is_bounded(f):
    """A side that does not read stops the other; a hundred megabytes pass through a few hundred kilobytes."""
    go, sent = threading.Event(), [0]

    def then(sock):
        go.wait(120)
        left = 100 << 20
        while left > 0:
            left -= len(sock.recv(min(65536, left)))
        sock.sendall(b"done")

    def size():
        with open("/proc/%d/status" % f.process.pid) as s:
            return int([x for x in s if x.startswith("VmRSS")][0].split()[1])

    with Node(f) as node:
        node.then = then
        o = running_pod(f)
        sock, status, _ = ask(f, at(f, o, "exec?command=cat&stdin=true"))
        assert status == 101
        before = size()

        def push():
            block = b"z" * 65536
            while sent[0] < 100 << 20:
                sock.sendall(block)
                sent[0] += len(block)

        t = threading.Thread(target=push, daemon=True)
        t.start()
        seen = -1
        while seen != sent[0]:
            seen = sent[0]
            time.sleep(0.5)
        assert seen < 32 << 20, "%d bytes went to a node that does not read" % seen
        go.set()
        t.join(120 * PATIENCE)
        assert not t.is_alive() and take(sock, 4) == b"done"
        grown = size() - before
        sock.close()
        if os.environ.get("AMBIENT_SLOW"):
            raise apilib.Skip("a sanitizer keeps what was freed")
        assert grown < 16384, "grew by %d KiB" % grown


@row
def exec_client_vanishes(f):
    """A client that goes while its node does not read is noticed."""
    def then(sock):
        sock.settimeout(60 * PATIENCE)
        then.begun.set()
        then.go.wait(60 * PATIENCE)
        while sock.recv(65536):
            pass

    then.begun, then.go = threading.Event(), threading.Event()
    with Node(f) as node:
        node.then = then
        o = running_pod(f)
        sock, status, _ = ask(f, at(f, o, "exec?command=cat&stdin=true"))
        assert status == 101
        sock.settimeout(1)
        try:
            while True:
                sock.sendall(b"z" * 65536)
        except (socket.timeout, ssl.SSLError):
            pass
        sock.close()
        then.go.set()
        node.wait_end()


@row
def exec_refusals(f):
    with Node(f) as node:
        o = running_pod(f)
        p = at(f, o, "exec?command=x&stdout=true")
        two = f.api.post(f.core + "/pods", {"metadata": {"name": "p-" + rand()}, "spec": {"restartPolicy": "Never", "containers": [
            {"name": "a", "image": "i"}, {"name": "b", "image": "i"}]}}).ok(201)
        refused(f, f.core + "/pods/nope/exec?command=x&stdout=true", 404, "not found")
        refused(f, at(f, two, "exec?command=x&stdout=true"), 400, "a container name must be specified for pod")
        refused(f, p + "&container=y", 400, "container y is not valid for pod " + name_of(o))
        refused(f, at(f, two, "exec?command=x&stdout=true&container=a"), 400, "is waiting to start: ContainerCreating")
        refused(f, at(f, o, "exec?stdout=true"), 400, "you must specify at least one command for the container")
        refused(f, at(f, o, "exec?command=x&stdout=false&stderr=0"), 400, "at least 1 of stdin, stdout, stderr")
        refused(f, at(f, o, "attach"), 400, "at least 1 of stdin, stdout, stderr")
        refused(f, p, 400, "Upgrade request required", Connection="close")
        refused(f, p, 400, "Upgrade request required", method="POST")
        refused(f, p, 405, "not supported", method="DELETE")
        refused(f, at(f, o, "exec/x?command=x&stdout=true"), 404, "could not find")
        assert node.asked == [], node.asked
        node.refusal = (404, b"container c is not there\n")
        refused(f, p, 404, "container c is not there")
        node.refusal = (400, b"Sec-WebSocket-Protocol offers none")
        refused(f, p, 400, "offers none")
        node.refusal = (418, b"\xff")
        refused(f, p, 500, "answered 418")
        f.api.merge(at(f, o, "status"), {"status": {"phase": "Succeeded"}}).ok()
        refused(f, p, 400, "cannot exec into a container in a completed pod; current phase is Succeeded")
        refused(f, at(f, o, "attach?stdout=true"), 400, "cannot attach to a container in a completed pod")
    o = running_pod(f)
    refused(f, at(f, o, "exec?command=x&stdout=true"), 500, "does not answer")


@row
def spdy_is_told(f):
    with Node(f) as node:
        o = running_pod(f)
        spdy = dict(method="POST", Upgrade="SPDY/3.1", X_Stream_Protocol_Version="v4.channel.k8s.io")
        for sub in ("exec?command=x&stdout=true", "attach?stdout=true"):
            s = refused(f, at(f, o, sub), 501, "use kubectl 1.31 or later", **spdy)
            assert s["reason"] == "NotImplemented" and "KUBECTL_REMOTE_COMMAND_WEBSOCKETS=true" in s["message"], s
        refused(f, at(f, o, "exec?command=x&stdout=true&container=y"), 400, "container y is not valid", **spdy)
        refused(f, at(f, o, "portforward"), 501, "port-forward is not implemented", **spdy)
        refused(f, at(f, o, "portforward"), 501, "port-forward is not implemented",
                Sec_WebSocket_Protocol="SPDY/3.1+portforward.k8s.io")
        refused(f, f.core + "/pods/nope/portforward", 404, "not found", **spdy)
        # The node was asked, without an upgrade, so that its own refusal is what kubectl shows.
        assert len(node.asked) == 2 and all("Upgrade" not in h and "Sec-WebSocket-Key" not in h for h in node.fields), node.asked
        for status, text in ((429, b"64 sessions are open"), (501, b"start the pod anew"), (400, b"does not run"), (404, b"no pod")):
            node.refusal = (status, text)
            for fields in (spdy, {}):
                refused(f, at(f, o, "exec?command=x&stdout=true"), status, text.decode(), **fields)
    o = running_pod(f)
    refused(f, at(f, o, "exec?command=x&stdout=true"), 500, "does not answer", **spdy)


def too_many(f, path, text, **fields):
    """429, a sentence, and when to try again."""
    sock, status, got = ask(f, path, **fields)
    body = b""
    while len(body) < int(got["content-length"]):
        body += sock.recv(65536)
    sock.close()
    s = json.loads(body)
    assert (status, s["reason"], got["retry-after"]) == (429, "TooManyRequests", "1") and text in s["message"], (got, s)


@row
def dials_are_limited(f):
    """64 at once, however the node is dialled; room again as soon as one is through."""
    with Node(f) as node:
        go = threading.Event()
        real = node.answer
        node.answer = lambda r: (go.wait(60 * PATIENCE), real(r))
        o = running_pod(f)
        p = at(f, o, "exec?command=x&stdout=true")
        socks = [dial(f, None) for _ in range(64)]
        for sock in socks:
            sock.sendall(("GET %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n" % (p, KEY)).encode())
        eventually(lambda: len(node.asked) == 64, 60)
        too_many(f, p, "too many connections to pods are opened at once; try again later")
        too_many(f, p, "too many connections to pods are opened at once", method="POST", Upgrade="SPDY/3.1")
        go.set()
        for sock in socks:
            assert read_head(sock)[0] == 101
        sock, status, _ = ask(f, p)
        assert status == 101
        for s in socks + [sock]:
            s.close()


@row
def tunnels_are_limited(f):
    """256 at once; one more is refused before the node starts anything."""
    with Node(f) as node:
        o = running_pod(f)
        p = at(f, o, "exec?command=x&stdin=true")
        socks = []
        for _ in range(256):
            sock, status, _ = ask(f, p)
            assert status == 101
            socks.append(sock)
        asked = len(node.asked)
        too_many(f, p, "256 connections are upgraded already; try again later")
        too_many(f, p, "256 connections are upgraded already", method="POST", Upgrade="SPDY/3.1")
        assert len(node.asked) == asked
        socks.pop().close()
        node.wait_end()

        def again():
            sock, status, _ = ask(f, p)
            socks.append(sock)
            return status == 101

        eventually(again, 60)
        for sock in socks:
            sock.close()


@row
def exec_needs_create(f):
    """The verb get alone runs nothing, though a WebSocket begins with a GET."""
    with Node(f) as node:
        o = running_pod(f)
        name, sa = f.account()
        p = at(f, o, "exec?command=x&stdout=true")
        refused(f, p, 403, 'cannot get resource "pods/exec"', client=sa)
        grant(f, name, [{"apiGroups": [""], "resources": ["pods/exec", "pods/attach"], "verbs": ["get"]}])
        refused(f, p, 403, 'cannot create resource "pods/exec"', client=sa)
        refused(f, at(f, o, "attach?stdout=true"), 403, 'cannot create resource "pods/attach"', client=sa)
        grant(f, name, [{"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]}])
        sock, status, _ = ask(f, p, client=sa)
        assert status == 101 and "Authorization" not in node.fields[0]
        sock.close()


@row
def exec_is_audited(f):
    with Node(f):
        o = running_pod(f)
        sock, status, h = ask(f, at(f, o, "exec?command=x&stdout=true"))
        assert status == 101

        def events():
            with open(f.audit) as log:
                return [e for e in map(json.loads, log) if e["auditID"] == h["audit-id"]]

        e = eventually(events, 60)[0]
        assert e["stage"] == "ResponseStarted" and e["responseStatus"]["code"] == 101 and e["verb"] == "get", e
        assert e["objectRef"]["subresource"] == "exec", e
        sock.close()
        eventually(lambda: [e["stage"] for e in events()] == ["ResponseStarted", "ResponseComplete"], 60)


@row
def stop_with_sessions_open(f):
    with Node(f) as node:
        o = running_pod(f)
        socks = [ask(f, at(f, o, "exec?command=x&stdout=true"))[0] for _ in range(5)]
        start = time.time()
        f.stop()
        assert time.time() - start < 10 * PATIENCE
        for sock in socks:
            try:
                assert sock.recv(1) == b""
            except OSError:
                pass
            node.wait_end()
    f.start()


class Pod:
    """A pod's server at an address of its own: tells what it was asked, streams, redirects, cuts, upgrades."""

    def __init__(self, f):
        self.seen, self.go = [], threading.Event()
        pod = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                pod.seen.append((self.command, self.path, self.headers, body))
                pod.answer(self)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = serve

            def log_message(self, *_):
                pass

        while True:
            self.ip = "127.%d.%d.%d" % (64 + ord(os.urandom(1)) % 64, ord(os.urandom(1)), 1 + ord(os.urandom(1)) % 250)
            try:
                self.server = http.server.ThreadingHTTPServer((self.ip, 0), Handler)
                break
            except OSError:
                pass
        self.port = self.server.server_address[1]
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.pod = running_pod(f, self.ip)
        self.path = "%s/pods/%s:%d/proxy" % (f.core, name_of(self.pod), self.port)

    def answer(self, r):
        what = r.path.split("?")[0]
        if what == "/events":
            r.send_response(200)
            for k, v in (("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")):
                r.send_header(k, v)
            r.end_headers()
            for line in (b"data: one\n\n", b"data: two\n\n"):
                r.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                self.go.wait(60 * PATIENCE)
            r.wfile.write(b"0\r\n\r\n")
        elif what == "/ws":
            r.close_connection = True
            r.send_response_only(101)
            for k, v in (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Protocol", "mine")):
                r.send_header(k, v)
            r.end_headers()
            echo(r.connection)
        else:
            status, fields, body = {
                "/moved": (302, {"Location": "/there?a=1"}, b""),
                "/away": (302, {"Location": "https://example.com/x"}, b""),
                "/none": (204, {}, b""),
                "/short": (200, {"Content-Length": "100"}, b"only this"),
                "/odd": (418, {"Connection": "X-Mine, close", "X-Many": "y" * 200}, b"tea"),
            }.get(what, (200, {"X-Pod": "yes", "Set-Cookie": "a=b"}, b"hello"))
            r.send_response(status)
            if "Content-Length" not in fields and status != 204:
                r.send_header("Content-Length", str(len(body)))
            for k, v in fields.items():
                r.send_header(k, v)
            r.end_headers()
            if r.command != "HEAD":
                r.wfile.write(body)
            r.close_connection = what in ("/short", "/odd")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.go.set()
        self.server.shutdown()
        self.server.server_close()


@row
def proxy_passes_requests(f):
    with Pod(f) as pod:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            body = None if method in ("GET", "OPTIONS", "DELETE") else b"\0body of " + method.encode()
            r = f.api.do(method, pod.path + "/a//b%2Fc/../d;e?x=1&y=%20", body, {"Content-Type": "text/x", "Cookie": "c=d"})
            assert (r.status, r.raw, r.headers["X-Pod"], r.headers["Set-Cookie"]) == (200, b"hello", "yes", "a=b"), r.raw
            assert r.headers["Content-Length"] == "5", r.headers
            got = pod.seen.pop()
            assert got[:2] == (method, "/a//b%2Fc/../d;e?x=1&y=%20") and got[3] == (body or b""), got
            assert got[2]["Content-Type"] == "text/x" and got[2]["Cookie"] == "c=d", got[2]
        r = f.api.do("HEAD", pod.path + "/")
        assert (r.status, r.headers["Content-Length"], r.raw) == (200, "5", b""), r.headers
        r = f.api.get(pod.path + "?q=1")
        assert r.status == 301 and r.headers["Location"] == pod.path + "/?q=1", r.headers
        for path, want in (("/moved", pod.path + "/there?a=1"), ("/away", "https://example.com/x")):
            r = f.api.get(pod.path + path)
            assert r.status == 302 and r.headers["Location"] == want, r.headers["Location"]
        assert f.api.get(pod.path + "/none").status == 204
        r = f.api.get(pod.path + "/odd")
        assert r.status == 418 and r.raw == b"tea" and len(r.headers["X-Many"]) == 200
        r = f.api.get(pod.path.replace("/pods/", "/pods/http:") + "/deep" + "/x" * 40)
        assert r.status == 200 and pod.seen[-1][1] == "/deep" + "/x" * 40
        big = os.urandom(2 << 20)
        assert f.api.post(pod.path + "/up", big, {"Content-Type": "a/b"}).status == 200 and pod.seen[-1][3] == big
        f.api.post(pod.path + "/up", b"x" * (4 << 20), {"Content-Type": "a/b"}).fails(413)


@row
def proxy_keeps_secrets(f):
    """What proves who the client is does not reach the pod, nor what he says of others."""
    with Pod(f) as pod:
        name, sa = f.account()
        sa.get(pod.path + "/").fails(403)
        grant(f, name, [{"apiGroups": [""], "resources": ["pods/proxy"], "verbs": ["get"]}])
        r = sa.get(pod.path + "/x", X_Forwarded_For="1.2.3.4", X_Remote_User="root", Forwarded="for=x", X_Hop="1",
                   Connection="X-Hop", X_Other="2")
        assert r.status == 200
        got = pod.seen[-1][2]
        for field in ("Authorization", "X-Remote-User", "Forwarded", "X-Hop", "Impersonate-User"):
            assert field not in got, got
        assert sa.token not in str(got) and got["X-Other"] == "2"
        assert got.get_all("X-Forwarded-For") == ["127.0.0.1"] and got["X-Forwarded-Proto"] == "https", got
        assert got["X-Forwarded-Prefix"] == pod.path, got
        sa.do("POST", pod.path + "/x", b"").fails(403)
        sa.do("OPTIONS", pod.path + "/x").fails(403)
        r = f.api.get(pod.path + "/x", Impersonate_User="u", Impersonate_Group="system:masters")
        assert r.status == 200 and "Impersonate-User" not in pod.seen[-1][2] and "Impersonate-Group" not in pod.seen[-1][2]
        token = "base64url.bearer.authorization.k8s.io.abc"
        sock, status, h = ask(f, pod.path + "/ws", Sec_WebSocket_Protocol=token + ", mine")
        assert status == 101 and h["sec-websocket-protocol"] == "mine"
        assert pod.seen[-1][2]["Sec-WebSocket-Protocol"] == "mine", pod.seen[-1][2]
        sock.sendall(b"ping")
        assert take(sock, 4) == b"ping"
        sock.close()


@row
def proxy_streams(f):
    with Pod(f) as pod:
        conn = f.api.connect(60 * PATIENCE)
        conn.request("GET", pod.path + "/events", headers=f.api.headers(None))
        r = conn.getresponse()
        assert r.headers["Content-Type"] == "text/event-stream" and r.readline() == b"data: one\n"
        pod.go.set()
        assert r.read() == b"\ndata: two\n\n"
        try:
            r = f.api.get(pod.path + "/short")
            assert False, "an answer that was cut looks whole: %r" % r.raw
        except http.client.IncompleteRead:
            f.api.local.conn = None


@row
def proxies_are_limited(f):
    """128 at once."""
    with Pod(f) as pod:
        def events():
            conn = f.api.connect(60 * PATIENCE)
            conn.request("GET", pod.path + "/events", headers=f.api.headers(None))
            return conn

        conns = [events() for _ in range(128)]
        answers = [c.getresponse() for c in conns]
        assert all(r.status == 200 for r in answers)
        too_many(f, pod.path + "/", "too many requests are passed on to pods at once; try again later", Upgrade=None, Connection=None)
        pod.go.set()
        for r in answers:
            assert r.read().endswith(b"data: two\n\n")
        eventually(lambda: f.api.get(pod.path + "/").status == 200, 60)
        for c in conns:
            c.close()


@row
def proxy_refusals(f):
    with Pod(f) as pod:
        name = name_of(pod.pod)
        for bad in (name + ":http", name + ":0", name + ":65536", "ftp:%s:80" % name, ":80", "http::80", "a:b:c:d", name + ":8%200"):
            f.api.get("%s/pods/%s/proxy/" % (f.core, bad)).fails(400, "BadRequest", text="invalid pod request")
        f.api.get(f.core + "/pods/nope:80/proxy/").fails(404)
        f.api.do("TRACE", pod.path + "/").fails(405)
        closed = socket.socket()
        closed.bind((pod.ip, 0))
        f.api.get("%s/pods/%s:%d/proxy/" % (f.core, name, closed.getsockname()[1])).fails(
            503, "ServiceUnavailable", text="error trying to reach service")
        closed.close()
        for ip in ("127.0.0.1", "169.254.169.254", "0.0.0.0", "::1", "224.0.0.1", "::ffff:127.0.0.1", "fe80::1"):
            f.api.merge("%s/pods/%s/status" % (f.core, name), {"status": {"podIP": ip}}).ok()
            f.api.get(pod.path + "/").fails(400, "BadRequest", text="address not allowed")
        f.api.merge("%s/pods/%s/status" % (f.core, name), {"status": {"podIP": pod.ip, "phase": "Succeeded"}}).ok()
        f.api.get(pod.path + "/").fails(503, "ServiceUnavailable", text="does not run (its phase is Succeeded)")
        assert pod.seen == [], pod.seen


@row
def connect_is_discovered(f):
    d = {r["name"]: r for r in f.api.get("/api/v1").ok()["resources"]}
    for sub, kind in (("exec", "PodExecOptions"), ("attach", "PodAttachOptions"), ("portforward", "PodPortForwardOptions")):
        r = d["pods/" + sub]
        assert (r["kind"], r["verbs"], r["namespaced"]) == (kind, ["create", "get"], True), r
    assert d["pods/proxy"]["verbs"] == ["create", "delete", "get", "patch", "update"], d["pods/proxy"]


def run(argv):
    state = tempfile.mkdtemp(prefix="ambient-api-")
    audit = os.path.join(state, "audit.log")
    fixture = apilib.Fixture(argv[1], argv[2], [], ["auditFile=" + audit, "auditLevel=Metadata"], state)
    fixture.audit = audit
    try:
        return apilib.main(fixture, argv[3:])
    finally:
        fixture.stop()
        shutil.rmtree(state, ignore_errors=True)


if __name__ == "__main__":
    apilib.ROWS[:] = [r for r in apilib.ROWS if r.__module__ == "__main__"]
    sys.exit(run(sys.argv))
