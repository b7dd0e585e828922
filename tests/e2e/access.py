# SPDX-License-Identifier: Apache-2.0
"""Who reaches a session and who does not: a person of another project, the runner of another session, a page of another
site in somebody's browser; and that nothing which opens a door is ever part of a URL or a log."""
import base64
import http.client
import json
import os
import re
import ssl
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
import websocket  # noqa: E402
from endpoint import Client, ready  # noqa: E402
from lib import GATED_BARE, GROUP, PATIENCE, Platform, free_port, until  # noqa: E402

RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/%s/rolebindings"
REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
SECRET = "what-theirs-alone-may-know"
# Says and writes what only its own project may see, and waits.
AGENT = ('echo ' + SECRET + '; echo ' + SECRET + ' > ../kept; echo ' + SECRET + ' >> README.md; '
         'touch ../up; while [ ! -e ../go ]; do sleep 0.02; done')
# A pod whose answers let every page read them, and whose WebSocket is open to all.
OPEN_POD = """
import http.server, os
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        for name in ("Allow-Origin", "Allow-Headers", "Allow-Methods", "Allow-Credentials", "Expose-Headers", "Max-Age"):
            self.send_header("Access-Control-" + name, "*")
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"opened")
    do_POST = do_OPTIONS = do_GET
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer((os.environ["IP"], int(os.environ["PORT"])), H).serve_forever()
"""


# Says what it was sent; a WebSocket is opened, and gets the same as a frame.
ECHO_POD = """
import base64, hashlib, http.server, json, os
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        said = json.dumps([self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body]).encode()
        key = self.headers.get("Sec-WebSocket-Key")
        if key:
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode())
            self.end_headers()
            said = bytes([0x82, 126]) + len(said).to_bytes(2, "big") + said
            self.close_connection = True
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
        self.wfile.write(said)
        self.wfile.flush()
        if key:
            self.rfile.read(1)
    do_POST = do_GET
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer((os.environ["IP"], int(os.environ["PORT"])), H).serve_forever()
"""


class Person:
    """Somebody with a bearer token; cert: the administrator's certificate instead, as a browser may hold one."""

    def __init__(self, p, name, token=None, cert=False):
        self.p, self.name, self.token = p, name, token
        with open(p.kubeconfig) as f:
            ca = base64.b64decode(re.search(r'certificate-authority-data"?: *"?([A-Za-z0-9+/=]+)', f.read()).group(1))
        self.context = ssl.create_default_context(cadata=ca.decode())
        if cert:
            self.context.load_cert_chain(os.path.join(p.dir, "client.pem"))

    def ask(self, method, path, body=None, **headers):
        """Status, text and fields of the answer; a header's - is written _."""
        conn = http.client.HTTPSConnection("127.0.0.1", self.p.port, timeout=PATIENCE, context=self.context)
        fields = {"User-Agent": "person", "Accept": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
        if self.token:
            fields["Authorization"] = "Bearer " + self.token
        if body is not None:
            fields.setdefault("Content-Type", "application/merge-patch+json" if method == "PATCH" else "application/json")
        try:
            conn.request(method, path, json.dumps(body) if isinstance(body, dict) else body, fields)
            answer = conn.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace"), {k.lower(): v for k, v in answer.getheaders()}
        finally:
            conn.close()

    def upgrade(self, path, **headers):
        """101, or the status of the refusal."""
        fields = ["%s: %s" % (k.replace("_", "-"), v) for k, v in headers.items()]
        if self.token:
            fields.append("Authorization: Bearer " + self.token)
        try:
            ws = websocket.WebSocket(self.p.port, path, self.context, headers=fields, timeout=PATIENCE)
        except websocket.Refused as e:
            return e.status
        ws.close()
        return 101

    def ctl(self, ns, *args):
        return self.p.run([self.p.tree.root + "/bin/ambientctl", "--kubeconfig", self.kubeconfig, "-n", ns, *args])


class Projects:
    """Two projects with a session of the same name in each, whose agents wait; in the first one a second session."""

    def begin(self):
        self.people = []
        self.origins.make("code")
        for ns in ("ours", "theirs"):
            self.namespace(ns)
        self.ours, self.theirs, self.second = [self.session(name, AGENT, ns=ns, repos=[self.repo("code")])
                                               for ns, name in (("ours", "s"), ("theirs", "s"), ("ours", "second"))]
        self.keys = {s: Client(self, s, "owner") for s in (self.ours, self.theirs, self.second)}
        for s, key in self.keys.items():
            ready(key)
            s.wait_file("up")

    def enroll(self, name, kubeconfig):
        """Makes a person with that kubeconfig; the name that the API server knows him by, and the token."""
        made = self.ctl("user", "add", name, "--out", kubeconfig)
        assert made.returncode == 0, made.stdout
        with open(kubeconfig) as f:
            return name, re.search(r'"?token"?: *"?([^"\s]+)', f.read()).group(1)

    def somebody(self, name, **roles):
        """roles: namespace=role"""
        kubeconfig = os.path.join(self.dir, name + ".kubeconfig")
        user, token = self.enroll(name, kubeconfig)
        who = Person(self, user, token)
        who.kubeconfig = kubeconfig
        for ns, role in roles.items():
            self.request("POST", RBAC % ns, {
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "ambient-project-" + role},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]})
            until(lambda n=ns: who.ask("GET", GROUP % n)[0] == 200, what="%s to read %s" % (name, ns))
        self.people.append(who)
        return who

    def proxy(self, s, path, ns=None):
        return self.core("pods", "http:%s:8001" % self.keys[s].pod(), ns=ns or s.ns) + "/proxy" + path

    def events(self):
        with open(self.audit) as f:
            return [json.loads(line) for line in f if line.endswith("\n")]


class Lab(Projects, Platform):
    def __init__(self):
        super().__init__("access", apiserver='auditFile = "%AUDIT%"; auditLevel = "RequestResponse"')
        self.audit = os.path.join(self.dir, "audit.log")
        self.apiserver = self.apiserver.replace("%AUDIT%", self.audit)
        self.start()
        self.namespace("team")
        self.begin()


def talk(p, s, key):
    """All that can be asked of a runner, with somebody's key."""
    head = {"X_Ambient_Key": key}
    return [("GET", p.proxy(s, "/v1/" + what), None, head) for what in (
        "status", "messages", "files", "files?path=kept", "git?repo=code&diff=true", "large?seq=1")] + [
            ("POST", p.proxy(s, "/v1/input"), {"type": "interrupt", "id": "x"}, head)]


def test_weakness_12_3_b_a_person_reaches_the_sessions_of_his_own_project(p):
    mia = p.somebody("mia", ours="admin")
    mine, other = p.keys[p.ours].secret, p.keys[p.theirs].secret
    # What she may, in her own project; else the refusals below would say nothing.
    for method, path, body, head in talk(p, p.ours, mine)[:5]:
        status, text, _ = mia.ask(method, path, body, **head)
        assert status == 200, (path, status, text)
    assert SECRET in mia.ask("GET", p.proxy(p.ours, "/v1/messages"), X_Ambient_Key=mine)[1]
    done = mia.ctl("ours", "messages", "s")
    assert done.returncode == 0 and SECRET in done.stdout, done.stdout
    done = mia.ctl("ours", "repos", "s")
    assert done.returncode == 0 and re.search(r"^code +main +[0-9a-f]{10} +0 +1 file, \+1 -0$", done.stdout, re.M), done.stdout
    done = mia.ctl("ours", "repos", "s", "code", "--diff")
    assert done.returncode == 0 and "+" + SECRET in done.stdout.splitlines(), done.stdout
    # The other project: its objects, and the way to its runner, be it with a key that its runner knows.
    pod = p.keys[p.theirs].pod()
    key = {"metadata": {"annotations": {"access.ambient-code.io/mia": p.keys[p.ours].value()}}}
    asked = {"metadata": {"annotations": {"ambient-code.io/content-requested": "2026-01-01T00:00:00Z"}}}
    tries = talk(p, p.theirs, mine) + talk(p, p.theirs, other) + [(m, u, b, {}) for m, u, b in (
        ("GET", p.theirs.path, None), ("GET", GROUP % "theirs", None), ("GET", GROUP % "theirs" + "?watch=true&timeoutSeconds=1", None),
        ("GET", "/apis/vteam.ambient-code/v1alpha1/agenticsessions", None),
        ("PATCH", p.theirs.path, key), ("PATCH", p.theirs.path, asked), ("DELETE", p.theirs.path, None),
        ("GET", p.core("pods", ns="theirs"), None), ("GET", p.core("pods", pod, ns="theirs") + "/log?container=runner", None),
        ("GET", p.core("events", ns="theirs"), None), ("GET", p.core("configmaps", ns="theirs"), None),
        ("GET", p.core("secrets", ns="theirs"), None))]
    for method, path, body, head in tries:
        status, text, _ = mia.ask(method, path, body, **head)
        assert status == 403 and SECRET not in text, (method, path, status, text)
    assert mia.upgrade(p.core("pods", pod, ns="theirs") + "/exec?container=agent&command=true&stdout=true") == 403
    # Its pod by way of her own project.
    for path, want in ((p.proxy(p.theirs, "/v1/messages", ns="ours"), 404),
                       (p.proxy(p.ours, "/v1/messages").replace("/proxy/", "/../../../theirs/pods/http:%s:8001/proxy/" % pod), 403),
                       (p.core("pods", "http:%2e%2e%2ftheirs%2f" + pod + ":8001", ns="ours") + "/proxy/v1/messages", 400)):
        status, text, _ = mia.ask("GET", path, X_Ambient_Key=other)
        assert status in (want, 403) and SECRET not in text, (path, status, text)
    # Even who may reach both: a runner knows the keys of its own session, not of one of that name.
    for method, path, body, head in talk(p, p.theirs, mine) + talk(p, p.second, mine):
        status, text, _ = Person(p, "admin", cert=True).ask(method, path, body, **head)
        assert status == 401 and json.loads(text)["reason"] == "UnknownKey", (path, status, text)
    for words in (("messages", "s"), ("files", "s", "kept"), ("chat", "s"), ("stop", "s"), ("get",), ("repos", "s"), ("repos", "s", "code"), ("repos", "add", "s", "git://127.0.0.1/x")):
        done = mia.ctl("theirs", *words)
        assert done.returncode == 5 and SECRET not in done.stdout and 'User "%s" cannot' % mia.name in done.stdout, (words, done.stdout)
        assert done.stdout.count("\n") == 1, done.stdout
    assert not [a for a in p.theirs.get()["metadata"]["annotations"] if "mia" in a or "content" in a] and p.theirs.phase == "Running"


def test_weakness_12_3_b_a_runners_token_opens_its_own_session(p):
    pod = p.get(p.core("pods", p.keys[p.ours].pod(), ns="ours"))
    account = p.core("serviceaccounts", pod["spec"]["serviceAccountName"], ns="ours")
    token = p.request("POST", account + "/token", {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})
    runner = Person(p, "runner", token["status"]["token"])
    assert runner.ask("GET", p.ours.path)[0] == 200
    key = {"metadata": {"annotations": {"access.ambient-code.io/own": p.keys[p.ours].value()}}}
    for s in (p.ours, p.second, p.theirs):
        other = p.keys[s].pod()
        tries = talk(p, s, p.keys[s].secret) + [(m, u, b, {}) for m, u, b in (
            ("PATCH", s.path, key), ("PATCH", s.path + "/status", {"status": {"phase": "Failed"}}),
            ("GET", GROUP % s.ns, None), ("GET", p.core("pods", ns=s.ns), None), ("GET", p.core("secrets", ns=s.ns), None),
            ("GET", p.core("pods", other, ns=s.ns) + "/log?container=runner", None), ("POST", account + "/token", {"spec": {}}))]
        if s is not p.ours:
            tries += [("GET", s.path, None, {}), ("PATCH", p.core("configmaps", s.name + "-report", ns=s.ns), {"data": {}}, {})]
        for method, path, body, head in tries:
            status, text, _ = runner.ask(method, path, body, **head)
            assert status == 403 and SECRET not in text, (method, path, status, text)
        assert runner.upgrade(p.core("pods", other, ns=s.ns) + "/exec?container=agent&command=true&stdout=true") == 403
        # No token is a key.
        status, text, _ = Person(p, "admin", cert=True).ask("GET", p.proxy(s, "/v1/messages"), X_Ambient_Key=runner.token)
        assert status == 401 and SECRET not in text, (status, text)


def open_pod(p, name="open", script=OPEN_POD):
    port = free_port() # a popular one may be taken from all addresses of the machine
    env = [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}, {"name": "PORT", "value": str(port)}]
    p.request("POST", p.core("pods", ns="ours"), {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
        "restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1001, "seccompProfile": {"type": "RuntimeDefault"}}, "containers": [
            {"name": "c", "image": "ambient-runner:open", "command": ["python3", "-B", "-c", script], "env": env,
             "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}]}})
    path = p.core("pods", "%s:%d" % (name, port), ns="ours") + "/proxy/"
    until(lambda: p.request("GET", path, raw=True)[0] == 200, what="the pod to serve")
    return path


def test_weakness_12_3_b_a_page_of_another_site_has_nothing_done(p):
    browser, site = Person(p, "admin", cert=True), "https://evil.example"
    host = "127.0.0.1:%d" % p.port
    there, n = open_pod(p), 0
    for headers, want in (({"Origin": site}, 403), ({"Origin": "null"}, 403), ({"Origin": "http://127.0.0.1:1"}, 403), ({"Origin": host}, 403),
                          ({"Origin": site, "Content_Type": "text/plain"}, 403), ({"Sec_Fetch_Site": "cross-site"}, 403),
                          ({"Sec_Fetch_Site": "same-site", "Origin": "https://" + host}, 403),
                          ({}, 201), ({"Origin": "https://" + host}, 201), ({"Sec_Fetch_Site": "same-origin"}, 201), ({"Sec_Fetch_Site": "none"}, 201),
                          # As `kubectl proxy` passes on what a page of its own sends.
                          ({"Sec_Fetch_Site": "same-origin", "Origin": "http://localhost:8001"}, 201)):
        n += 1
        status, text, fields = browser.ask("POST", p.core("configmaps", ns="ours"), json.dumps({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "page-%d" % n}}), **headers)
        assert status == want and not [f for f in fields if f.startswith("access-control-")], (headers, status, text)
        assert (p.get(p.core("configmaps", "page-%d" % n, ns="ours")) is not None) == (want == 201), headers
        assert want == 201 or "a page of another site" in json.loads(text)["message"], text
        for method, path in (("PATCH", p.ours.path), ("DELETE", p.core("configmaps", "none", ns="ours")), ("POST", there)):
            status = browser.ask(method, path, {} if method != "DELETE" else None, **{k: v for k, v in headers.items() if k != "Content_Type"})[0]
            assert (status == 403) == (want == 403), (method, headers, status)
        # A WebSocket is a GET, and no other rule of a browser's holds it back.
        exec_path = p.core("pods", "open", ns="ours") + "/exec?command=true&stdout=true"
        if "Content_Type" not in headers:
            assert browser.upgrade(exec_path, **headers) == (101 if want == 201 else 403), headers
            status = browser.upgrade(there, **headers)
            assert status == (200 if want == 201 else 403), (headers, status)  # this pod knows no WebSockets
    # Reading does nothing, and no such page may look at the answer, whatever the pod would like.
    for path in (p.ours.path, there, p.proxy(p.ours, "/v1/messages")):
        status, _, fields = browser.ask("GET", path, Origin=site, X_Ambient_Key=p.keys[p.ours].secret)
        assert status == 200 and not [f for f in fields if f.startswith("access-control-")], (path, status, fields)
    for path in (p.ours.path, there, p.proxy(p.ours, "/v1/input")):
        status, _, fields = browser.ask("OPTIONS", path, Origin=site, Access_Control_Request_Method="POST",
                                        Access_Control_Request_Headers="x-ambient-key")
        assert status in (403, 405) and not [f for f in fields if f.startswith("access-control-")], (path, status, fields)


def test_what_the_proxy_says_to_a_pod(p):
    """The caller's key, the path and the query as they came; not who he is to the API server, be it in a WebSocket."""
    echo, eve = open_pod(p, "echo", ECHO_POD), p.somebody("eve", ours="edit")
    fields = {"X_Ambient_Key": "k" * 64, "X_Other": "a, b", "Range": "bytes=1-2"}

    def told(said, method, path, body=""):
        got = json.loads(said)
        assert (got[0], got[1], got[3]) == (method, path, body), got
        assert got[2]["x-ambient-key"] == "k" * 64 and got[2]["x-other"] == "a, b" and got[2]["range"] == "bytes=1-2", got
        assert "authorization" not in got[2] and eve.token not in said, got
        assert "127.0.0.1" in got[2]["x-forwarded-for"], got

    for method, body in (("GET", None), ("POST", '{"a": 1}'), ("POST", "x" * 100000)):
        for path in ("v1/x", "v1/x?from=1&follow=true&path=a%2Fb%20c", "v1/a%20b?x=%C3%A4"):
            status, said, _ = eve.ask(method, echo + path, body, **fields)
            assert status == 200, (method, path, status, said)
            told(said, method, "/" + path, body or "")
    # A kube-apiserver leaves the query out here; the runner's endpoint has no WebSocket.
    ws = websocket.WebSocket(p.port, echo + "v1/x", eve.context, protocols=None, timeout=PATIENCE, headers=[
        "Authorization: Bearer " + eve.token] + ["%s: %s" % (k.replace("_", "-"), v) for k, v in fields.items()])
    told(ws.recv().decode(), "GET", "/v1/x")
    ws.close()


def test_weakness_12_3_b_the_runners_endpoint_serves_no_page(p):
    """On its own address, which a browser on this machine reaches as well."""
    address = p.get(p.core("pods", p.keys[p.ours].pod(), ns="ours"))["status"]["podIP"]
    secret, site = p.keys[p.ours].secret, "https://evil.example"

    def ask(method, path, body=None, **headers):
        conn = http.client.HTTPConnection(address, 8001, timeout=PATIENCE)
        conn.request(method, path, body, {"Origin": site, **{k.replace("_", "-"): v for k, v in headers.items()}})
        answer = conn.getresponse()
        text, fields = answer.read().decode(), [k for k, _ in answer.getheaders() if k.lower().startswith("access-control-")]
        conn.close()
        assert not fields, fields
        return answer.status, text

    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13", "Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    # A page can send these without being asked for leave; they have no key.
    for method, path, body, headers in (("GET", "/v1/messages", None, {}), ("POST", "/v1/input", '{"type":"end","id":"x"}', {"Content_Type": "text/plain"}),
                                        ("GET", "/v1/messages", None, upgrade), ("GET", "/v1/messages?key=" + secret, None, {}),
                                        ("GET", "/v1/messages?X-Ambient-Key=" + secret, None, {}), ("GET", "/v1/files?token=" + secret, None, {}),
                                        ("GET", "/v1/messages", None, {"Cookie": "X-Ambient-Key=" + secret}),
                                        ("GET", "/v1/messages", None, {"Authorization": "Bearer " + secret})):
        status, text = ask(method, path, body, **headers)
        assert status == 401 and json.loads(text)["reason"] == "NoKey" and secret not in text, (path, status, text)
    # With a key of its own it would have to ask for leave, and gets none.
    status, text = ask("OPTIONS", "/v1/input", Access_Control_Request_Method="POST", Access_Control_Request_Headers="x-ambient-key")
    assert status == 401, (status, text)
    assert ask("GET", "/v1/status", X_Ambient_Key=secret, **upgrade)[0] == 200  # and no 101


def test_behaviour_11_5_access_review_denied(p):
    people = {"viewer": p.somebody("viewer", ours="view"), "editor": p.somebody("editor", ours="edit"), "nobody": p.somebody("nobody")}
    for name, who in people.items():
        for ns in ("ours", "theirs"):
            may = name == "editor" and ns == "ours"
            status, text, _ = who.ask("POST", REVIEW, {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {
                "resourceAttributes": {"namespace": ns, "verb": "create", "group": "vteam.ambient-code", "resource": "agenticsessions"}}})
            assert status == 201 and json.loads(text)["status"]["allowed"] is may, (name, ns, status, text)
            body = {"apiVersion": "vteam.ambient-code/v1alpha1", "kind": "AgenticSession", "metadata": {"name": "by-" + name},
                    "spec": {"prompt": "p", "runnerType": "command", "runnerConfig": {"command": ["true"]}}}
            status, text, _ = who.ask("POST", GROUP % ns, body)
            assert status == (201 if may else 403), (name, ns, status, text)
            done = who.ctl(ns, "run", "a prompt", "--command", "true", "--name", "run-by-" + name)
            if may:
                assert done.returncode == 0, done.stdout
                continue
            answer = json.loads(text)
            assert answer["reason"] == "Forbidden" and 'User "%s" cannot create resource "agenticsessions"' % who.name in answer["message"], answer
            assert done.returncode == 5 and done.stdout.count("\n") == 1, (done.returncode, done.stdout)
            assert done.stdout.startswith('ambientctl: session "run-by-%s" in namespace "%s": ' % (name, ns)), done.stdout
            assert 'User "%s" cannot create' % who.name in done.stdout, done.stdout
            # The same rules for what a dry run and --follow would do.
            assert who.ask("POST", GROUP % ns + "?dryRun=All", body)[0] == 403
            assert who.ctl(ns, "run", "p", "--command", "true", "--follow").returncode == 5
    names = {s["metadata"]["name"] for ns in ("ours", "theirs") for s in p.request("GET", GROUP % ns)["items"]}
    assert names == {"s", "second", "by-editor", "run-by-editor"}, names


def test_weakness_12_3_g_no_token_in_a_url_nor_a_query_in_a_log(p):
    zoe = p.somebody("zoe", ours="edit")
    stranger = Person(p, "stranger")
    assert zoe.ask("GET", GROUP % "ours")[0] == 200
    key = p.keys[p.ours].secret
    for n, name in enumerate(("token", "access_token", "%74oken", "bearer", "Authorization", "authorization_token", "id_token", "api_key")):
        for query in ("%s=%s" % (name, zoe.token), "limit=1&%s=Bearer%%20%s&limit=2" % (name, zoe.token)):
            status, text, _ = stranger.ask("GET", GROUP % "ours" + "?" + query)
            assert status in (401, 403) and zoe.token not in text, (query, status, text)
        path = p.core("pods", p.keys[p.ours].pod(), ns="ours") + "/exec?container=agent&command=true&stdout=true&%s=%s" % (name, zoe.token)
        assert stranger.upgrade(path) in (401, 403), name
        # To a pod, which may have such parameters of its own, they go, but not into the log.
        status = p.request("GET", p.proxy(p.ours, "/v1/status?n=%d&my_key=%s;x&n=%d" % (n, key, n)), raw=True)[0]
        assert status == 401, status
    until(lambda: [e for e in p.events() if "n=7&my_key" in e["requestURI"]], what="the log")
    events = p.events()
    with open(p.audit) as f:
        logs = f.read() + p.log()
    secrets = [who.token for who in p.people] + [k.secret for k in p.keys.values()]
    found = [line for line in logs.splitlines() if [s for s in secrets if s in line]]
    assert len(secrets) > 3 and not found, found[:3]
    uris = [e["requestURI"] for e in events]
    assert [u for u in uris if u.endswith("/v1/status?n=7&my_key=[redacted]&n=7")], uris[-20:]
    assert [u for u in uris if u.endswith("?limit=1&token=[redacted]&limit=2")] and [u for u in uris if u.endswith("?%74oken=[redacted]")]


def test_weakness_12_3_g_our_programs_put_no_token_into_a_url(p):
    ann = p.somebody("ann", ours="edit")
    for words in (("messages", "s"), ("files", "s", "kept"), ("get",)):
        assert ann.ctl("ours", *words).returncode == 0, words
    p.ours.touch("go")
    p.ours.wait("Completed")
    events = p.events()
    for program in ("ambientctl/", "ambientd/", "ambient-runner/"):
        own = [e["requestURI"] for e in events if e.get("userAgent", "").startswith(program)]
        assert own and not [u for u in own if "redacted" in u or re.search(r"[A-Fa-f0-9]{64}|eyJ[A-Za-z0-9_-]{10}", u)], (program, own[:5])


def token_of(p, s):
    """What a session's runner shows to the API server: its words, and what they say."""
    pod = p.request("GET", p.core("pods", ns=s.ns) + "?labelSelector=agentic-session%3D" + s.name)["items"][0]
    with open("%s/pods/%s/volumes/api/..data/token" % (p.node_dir, pod["metadata"]["uid"])) as f:
        words = f.read()
    part = words.split(".")[1]
    return words, json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))), pod


def environments(p, s):
    found = []
    for pid in p.pod_processes(s):
        try:
            with open("/proc/%d/environ" % pid, "rb") as f:
                found.append(f.read().decode("utf-8", "replace"))
        except OSError:
            continue
    return found


def test_weakness_12_3_e_the_runners_token_rotates_and_is_in_no_variable(p):
    before, runs = (p.node, p.agenticsession), p.session("rotates", GATED_BARE)
    p.stop()
    p.node, p.agenticsession = before[0] + ' tokenMaxAge = "1s";', 'heartbeat = "1s"; ' + before[1]
    p.restart()
    try:
        s = p.session("rotating", GATED_BARE)
        for one in (s, runs):
            one.wait("Running")
            one.wait_file("up")
        seen = {}

        def rotated():
            words, claims, pod = token_of(p, s)
            seen.setdefault(words, (claims, pod))
            return len(seen) > 2

        until(rotated, what="the third token")
        account = "system:serviceaccount:%s:%s" % (p.ns, next(iter(seen.values()))[1]["spec"]["serviceAccountName"])
        for claims, pod in seen.values():
            life = claims["exp"] - claims["iat"]
            assert claims["sub"] == account and life == 3600, claims
            assert claims["kubernetes.io"]["pod"] == {"name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}, claims

        def reported():
            """With which tokens the runner has reported: the API server writes down which one it was shown."""
            return {jti for e in p.events() if e["user"].get("username") == account and e["verb"] == "patch"
                    for jti in e["user"].get("extra", {}).get("authentication.kubernetes.io/credential-id", [])}

        # A token that is refused is no reason to end: there is a newer one, which the runner finds.
        until(reported, what="a report")
        old = p.core("serviceaccounts", account.rpartition(":")[2])
        uid = p.get(old)["metadata"]["uid"]
        p.request("DELETE", old)
        until(lambda: (p.get(old) or {"metadata": {"uid": uid}})["metadata"]["uid"] != uid, what="the account to be made again")
        until(lambda: reported() - {"JTI=" + claims["jti"] for claims, _ in seen.values()}, what="a report with another token")
        text = "".join(environments(p, s) + environments(p, runs))
        assert "AMBIENT_" in text and "eyJ" not in text, [w for w in text.split("\0") if "eyJ" in w]
        for one in (s, runs):
            one.touch("go")
            one.wait("Completed")
            assert one.status["runs"] == 1, one.status
    finally:
        p.stop()
        p.node, p.agenticsession = before
        p.restart()


if __name__ == "__main__":
    lib.preconditions()
    sys.exit(lib.main(sys.modules[__name__], Lab))
