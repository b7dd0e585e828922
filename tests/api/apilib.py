# SPDX-License-Identifier: Apache-2.0
"""What the rows of tests/api share: a client of the standard library only, the fixture, and TAP.

A row is a function named row_NNN after the row of the reference's oracle that it checks.  It gets the fixture and
fails by assertion.  A row that cannot run here raises Skip with the reason.
"""
import base64
import http.client
import http.server
import json
import os
import random
import re
import shutil
import socket
import ssl
import string
import subprocess
import sys
import tempfile
import threading
import time
import traceback

ROWS = []


class Skip(Exception):
    pass


def row(fn):
    ROWS.append(fn)
    return fn


def rand(n=6):
    return "".join(random.choice(string.ascii_lowercase) for _ in range(n))


class Answer:
    def __init__(self, status, headers, raw):
        self.status, self.headers, self.raw = status, headers, raw

    @property
    def json(self):
        return json.loads(self.raw)

    @property
    def warnings(self):
        return self.headers.get_all("Warning") or []

    def ok(self, *codes):
        codes = codes or (200,)
        assert self.status in codes, "%d, wanted %s: %s" % (self.status, codes, self.raw[:600])
        return self.json if self.raw else None

    def fails(self, code, reason=None, cause=None, field=None, text=None):
        codes = code if isinstance(code, tuple) else (code,)
        assert self.status in codes, "%d, wanted %s: %s" % (self.status, codes, self.raw[:600])
        s = self.json
        assert s["kind"] == "Status" and s["status"] == "Failure" and s["code"] == self.status, s
        if reason is not None:
            assert s.get("reason", "") == reason, s
        causes = s.get("details", {}).get("causes", [])
        if cause is not None:
            assert any(c.get("reason") == cause and (field is None or c.get("field") == field) for c in causes), s
        if text is not None:
            assert text in s["message"], s["message"]
        return s


class Client:
    def __init__(self, host, port, ca, cert=None, key=None, token=None):
        self.host, self.port, self.token = host, port, token
        self.context = ssl.create_default_context(cafile=ca)
        if cert:
            self.context.load_cert_chain(cert, key)
        self.local = threading.local()
        self.ca = ca

    def with_token(self, token):
        return Client(self.host, self.port, self.ca, token=token)

    def connect(self, timeout=30):
        return http.client.HTTPSConnection(self.host, self.port, context=self.context, timeout=timeout)

    def headers(self, extra):
        h = {"Accept": "application/json", "User-Agent": "rows/1"}
        if self.token:
            h["Authorization"] = "Bearer " + self.token
        h.update(extra or {})
        return {k: v for k, v in h.items() if v is not None}

    def do(self, method, path, body=None, headers=None):
        h = self.headers(headers)
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        if body is not None and "Content-Type" not in h:
            h["Content-Type"] = "application/json"
        for again in (True, False):
            conn = getattr(self.local, "conn", None)
            if conn is None:
                conn = self.local.conn = self.connect()
            try:
                conn.request(method, path, body=body, headers=h)
                r = conn.getresponse()
                return Answer(r.status, r.headers, r.read())
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
                # Nothing was said for so long that the server has left.
                conn.close()
                self.local.conn = None
                if not again:
                    raise
            except (http.client.HTTPException, OSError):  # it is in the middle of something
                conn.close()
                self.local.conn = None
                raise

    def get(self, path, **headers):
        return self.do("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def post(self, path, body, headers=None):
        return self.do("POST", path, body, headers)

    def put(self, path, body, headers=None):
        return self.do("PUT", path, body, headers)

    def delete(self, path, body=None):
        return self.do("DELETE", path, body)

    def merge(self, path, body):
        return self.do("PATCH", path, body, {"Content-Type": "application/merge-patch+json"})

    def patch(self, path, body, kind):
        return self.do("PATCH", path, body, {"Content-Type": "application/%s+json" % kind})

    def watch(self, path, seconds=10, headers=None):
        return Watch(self, path, seconds, headers)


class Watch:
    """Events of a watch, one at a time; end() says whether the stream ended cleanly."""

    def __init__(self, client, path, seconds, headers):
        self.conn = client.connect(timeout=seconds)
        self.conn.request("GET", path, headers=client.headers(headers))
        self.response = self.conn.getresponse()
        self.status = self.response.status
        self.clean = None

    def next(self):
        try:
            line = self.response.readline()
        except (socket.timeout, TimeoutError):
            return None
        except http.client.IncompleteRead:
            self.clean = False
            return None
        if not line:
            self.clean = True
            return None
        return json.loads(line)

    def until(self, fn, limit=2000):
        seen = []
        for _ in range(limit):
            e = self.next()
            if e is None:
                break
            seen.append(e)
            if fn(e):
                return seen
        raise AssertionError("the watch ended first: %s" % [(e["type"], name_of(e["object"])) for e in seen])

    def take(self, n):
        out = []
        while len(out) < n:
            e = self.next()
            assert e is not None, "only %d events: %s" % (len(out), out)
            out.append(e)
        return out

    def rest(self):
        out = []
        while True:
            e = self.next()
            if e is None:
                return out
            out.append(e)

    def close(self):
        self.conn.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def name_of(o):
    return o.get("metadata", {}).get("name")


PATIENCE = float(os.environ.get("AMBIENT_PATIENCE") or 1)


def eventually(fn, seconds=30, what="it never came true"):
    end = time.monotonic() + seconds * PATIENCE
    while True:
        v = fn()
        if v:
            return v
        assert time.monotonic() < end, what
        time.sleep(0.05)


def soon(f, fn, seconds=30, what="it never came true"):
    """What is true at once here; a cluster's informers and caches may take their time."""
    return eventually(fn, 0 if f.standalone else seconds, what)


CRD_SPEC = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "size": {"type": "integer", "minimum": 0, "maximum": 100, "default": 3},
                "mode": {"type": "string", "enum": ["a", "b"]},
                "replicas": {"type": "integer"},
                "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                "ports": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {"name": {"type": "string"}, "port": {"type": "integer"}},
                    },
                },
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "any": {"x-kubernetes-int-or-string": True},
                "cmds": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "atomic"},
                "ratio": {"type": "number"},
            },
        },
        "status": {
            "type": "object",
            "properties": {"replicas": {"type": "integer"}, "selector": {"type": "string"}},
        },
    },
}


class Cluster:
    """A server that somebody else runs, by the kubeconfig of its administrator, with the namespace and the definition
    that the rows use."""

    standalone = False

    def __init__(self, kubeconfig):
        self.state = tempfile.mkdtemp(prefix="ambient-api-")
        self.connect(kubeconfig)
        self.prepare()

    def revive(self):
        """After a row that failed: whoever runs it sees to that."""
        return ""

    def prepare(self):
        self.group = rand() + ".example.com"
        self.ns = "t-" + rand()
        self.gv = "/apis/%s/v1" % self.group
        self.w = "%s/namespaces/%s/widgets" % (self.gv, self.ns)
        self.core = "/api/v1/namespaces/" + self.ns
        self.make_namespace(self.ns)
        self.api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", self.crd()).ok(201)
        eventually(lambda: self.api.get(self.w).status == 200, what="the CRD is not served")

    def connect(self, kubeconfig):
        self.kubeconfig = kubeconfig
        text = open(kubeconfig).read()

        def find(key):
            return re.search(key + r": (\S+)", text).group(1)

        files = {}
        for key in ("certificate-authority-data", "client-certificate-data", "client-key-data"):
            files[key] = os.path.join(self.state, key + ".pem")
            with open(files[key], "wb") as f:
                f.write(base64.b64decode(find(key)))
        server = find("server").split("//")[1]
        self.hostname, port = server.rsplit(":", 1)
        self.port = int(port)
        self.ca = files["certificate-authority-data"]
        self.api = Client(self.hostname, self.port, self.ca, files["client-certificate-data"],
                          files["client-key-data"])
        self.nobody = Client(self.hostname, self.port, self.ca)

    def stop(self, kill=False):
        raise Skip("needs a server that can be stopped")

    def revive(self):
        return ""  # it is not ours to start again

    def crd(self, plural="widgets", kind="Widget", group=None, **changes):
        group = group or self.group
        v = {
            "name": "v1", "served": True, "storage": True,
            "schema": {"openAPIV3Schema": CRD_SPEC},
            "subresources": {
                "status": {},
                "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
                          "labelSelectorPath": ".status.selector"},
            },
            "additionalPrinterColumns": [
                {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                {"name": "Mode", "type": "string", "jsonPath": ".spec.mode"},
                {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
            ],
            "selectableFields": [{"jsonPath": ".spec.mode"}],
        }
        v.update(changes)
        return {
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "%s.%s" % (plural, group)},
            "spec": {"group": group, "scope": "Namespaced", "names": {"plural": plural, "kind": kind},
                     "versions": [v]},
        }

    def widget(self, name=None, spec=None, **metadata):
        m = dict(metadata)
        if name:
            m["name"] = name
        return {"apiVersion": self.group + "/v1", "kind": "Widget", "metadata": m, "spec": spec or {}}

    def new(self, spec=None, **metadata):
        """Creates a widget with a random name; returns it."""
        return self.api.post(self.w, self.widget("w-" + rand(), spec, **metadata)).ok(201)

    def path(self, o):
        return self.w + "/" + name_of(o)

    def make_namespace(self, ns):
        """With what controllers put into each: pods need the account, and quotas count the ConfigMap."""
        self.api.post("/api/v1/namespaces", {"metadata": {"name": ns}}).ok(201)
        for path in () if self.standalone else ("serviceaccounts/default", "configmaps/kube-root-ca.crt"):
            eventually(lambda: self.api.get("/api/v1/namespaces/%s/%s" % (ns, path)).status == 200, what=path)

    def namespace(self):
        ns = "n-" + rand()
        self.make_namespace(ns)
        return ns

    def account(self, ns=None):
        """A new ServiceAccount, its name and a client with its token."""
        ns = ns or self.ns
        name = "sa-" + rand()
        self.api.post("/api/v1/namespaces/%s/serviceaccounts" % ns, {"metadata": {"name": name}}).ok(201)
        t = self.api.post("/api/v1/namespaces/%s/serviceaccounts/%s/token" % (ns, name), {"spec": {}}).ok(201)
        return name, self.api.with_token(t["status"]["token"])


def threads_of(pid):
    """What each thread of a process that does not end waits for; with a debugger, whence."""
    if shutil.which("gdb"):
        return subprocess.run(["gdb", "-p", str(pid), "-batch", "-ex", "thread apply all bt 12"], capture_output=True,
                              text=True, timeout=120).stdout[-8000:]
    out = []
    for task in sorted(os.listdir("/proc/%d/task" % pid)):
        for name in ("comm", "wchan", "syscall"):
            try:
                with open("/proc/%d/task/%s/%s" % (pid, task, name)) as f:
                    out.append("thread %s %s: %s" % (task, name, f.read().strip()))
            except OSError:
                pass
    return "\n".join(out)


class Fixture(Cluster):
    """The API server of the tree, started for these tests."""

    standalone = True

    def __init__(self, host_program, plugin, crds, options=(), state=None):
        self.state = state or tempfile.mkdtemp(prefix="ambient-api-")
        self.args = [host_program, plugin, self.state, "listen=127.0.0.1:0"] + ["crds=" + c for c in crds] + list(options)
        self.process = None
        self.start()
        self.prepare()

    def start(self):
        log = open(os.path.join(self.state, "log"), "ab")
        self.process = subprocess.Popen(self.args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        line = self.process.stdout.readline().decode().split()
        if not line or line[0] != "ready":
            raise RuntimeError("the server does not start: " + open(os.path.join(self.state, "log")).read()[-2000:])
        self.connect(os.path.join(self.state, "admin.kubeconfig"))

    def stop(self, kill=False):
        if self.process is None:
            return
        if kill:
            self.process.kill()
        else:
            self.process.terminate()
        process, self.process, stuck = self.process, None, ""
        try:
            code = process.wait(60)
        except subprocess.TimeoutExpired:
            stuck = threads_of(process.pid)
            process.kill()
            code = process.wait()
        process.stdin.close()
        process.stdout.close()
        if code != 0 and not kill:
            raise AssertionError("the server ended with %d, saying:\n%s%s" % (code, self.said(), stuck))

    def said(self):
        with open(os.path.join(self.state, "log"), errors="replace") as log:
            return log.read()[-8000:]

    def revive(self):
        """After a row that failed: the rows after it need a server."""
        if self.process is not None and self.process.poll() is None:
            return ""
        why = "" if self.process is None else "the server ended with %d, saying:\n%s" % (self.process.wait(), self.said())
        if self.process is not None:
            self.process.stdin.close()
            self.process.stdout.close()
        self.start()
        return why


class FakeNode:
    """A kubelet that knows one log, behind TLS with a certificate of the server's own CA; wants a client certificate."""

    def __init__(self, fixture):
        if not fixture.standalone:
            raise Skip("needs a node whose certificate the server trusts")
        self.f, self.asked, self.callers = fixture, [], set()
        node = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                node.asked.append(self.path)
                subject = dict(x[0] for x in self.connection.getpeercert()["subject"])
                node.callers.add(subject["commonName"])
                try:
                    node.answer(self)
                except OSError:  # the server ended it, because its own peer had left
                    self.close_connection = True

            def log_message(self, *_):
                pass

        self.more = None  # an Event: the second line waits for it
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(fixture.state, "pki", "server.crt"),
                                os.path.join(fixture.state, "pki", "server.key"))
        context.load_verify_locations(fixture.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def answer(self, r):
        """The log; r is the request's handler."""
        r.send_response(200)
        r.send_header("Content-Type", "text/plain")
        r.send_header("Transfer-Encoding", "chunked")
        r.end_headers()
        for line in (b"one\n", b"two\n"):
            r.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            r.wfile.flush()
            if self.more is not None:
                self.more.wait(60)
        r.wfile.write(b"0\r\n\r\n")

    def register(self, name):
        self.f.api.post("/api/v1/nodes", {"metadata": {"name": name}})
        self.f.api.merge("/api/v1/nodes/%s/status" % name, {"status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.server.server_address[1]}}}}).ok()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def said(e):
    """Of an exception: what it says, and the way from the row to where it was raised, as TAP comments."""
    tb = e.__traceback__
    lines = ("%s: %s" % (type(e).__name__, e)).splitlines()
    at = ["%s:%d" % (os.path.basename(x.filename), x.lineno) for x in traceback.extract_tb(tb)][1:]
    return "\n".join("# " + x for x in lines + ["at " + ", ".join(at)])


def differences(path):
    """The rows of the table: | `row_NNN` | reason |; those of kubectl's scenarios begin with kubectl_."""
    kubectl = any(r.__name__.startswith("kubectl_") for r in ROWS)
    with open(path) as f:
        out = {name: why for name, why in re.findall(r"^\| `(\w+)` \| (.+?) \|$", f.read(), re.M)
               if name.startswith("kubectl_") == kubectl}
    unknown = set(out) - {r.__name__ for r in ROWS}
    if unknown:
        raise SystemExit("%s names rows that there are not: %s" % (path, ", ".join(sorted(unknown))))
    return out


def attempt(fixture, r, times):
    """A cluster answers from caches that follow what was written, later than a busy machine's row expects: there a row
    must hold once in three times, and each that did not is printed."""
    while True:
        times -= 1
        try:
            return r(fixture)
        except Skip:
            raise
        except Exception as e:
            if times == 0:
                raise
            print("# %s is tried again\n%s" % (r.__name__, said(e)))


def main(fixture, wanted, differences=None):
    """Runs the rows in order; TAP.  Returns the exit code.  differences: rows that must fail here, and why."""
    rows = [r for r in sorted(ROWS, key=lambda r: r.__name__) if not wanted or r.__name__ in wanted]
    print("1..%d" % len(rows))
    counts = {"agree": 0, "differ as listed": 0, "fail": 0, "skipped": 0}
    for i, r in enumerate(rows, 1):
        why = (differences or {}).get(r.__name__)
        began = time.time()
        try:
            attempt(fixture, r, 3 if differences is not None and why is None else 1)
            if why is None:
                how = "agree"
                print("ok %d - %s" % (i, r.__name__))
            else:
                how = "fail"
                print("not ok %d - %s\n# it does not differ any more: %s" % (i, r.__name__, why))
        except Skip as e:
            how = "skipped"
            print("ok %d - %s # SKIP %s" % (i, r.__name__, e))
        except Exception as e:  # a row that fails must not end the others
            if why is not None:
                how = "differ as listed"
                print("ok %d - %s differs: %s\n%s" % (i, r.__name__, why, said(e)))
            else:
                how = "fail"
                print("not ok %d - %s\n%s" % (i, r.__name__, said(e)))
                for line in fixture.revive().splitlines():
                    print("# " + line)
        counts[how] += 1
        if time.time() - began > 10:
            print("# %s took %.0f s" % (r.__name__, time.time() - began))
        sys.stdout.flush()
    print("# %d rows: %s" % (len(rows), ", ".join("%d %s" % (n, how) for how, n in counts.items())))
    return 1 if counts["fail"] else 0
