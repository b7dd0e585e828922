# SPDX-License-Identifier: Apache-2.0
"""Servers with options of their own: identity.py HOST_PROGRAM PLUGIN.so AMBIENTCTL [test ...]

Each test starts the API server that it needs; unlike a row it may stop it, and change files below it."""
import base64
import glob
import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
import sys

import apilib
from apilib import Client, eventually, rand, row
from rows_identity import AUTHN, check_token, token_of

HOST, PLUGIN, CTL = sys.argv[1:4]
WHO = AUTHN + "/selfsubjectreviews"


class Server(apilib.Fixture):
    """A server with these options, gone with its state at the end."""

    def __init__(self, *options, state=None):
        self.options = list(options)
        super().__init__(HOST, PLUGIN, [], options, state)

    def restart(self, *options, kill=False):
        self.stop(kill)
        self.args = self.args[:4] + list(options)
        self.start()

    def log(self):
        with open(os.path.join(self.state, "log"), errors="replace") as f:
            return f.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.state, ignore_errors=True)

    def refuses(self, *options):
        """The sentence with which it does not start with these."""
        self.stop()
        done = subprocess.run(self.args[:4] + list(options), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=120)
        assert done.returncode == 1, done
        return done.stderr.decode()

    def ctl(self, *words, code=0):
        env = {**os.environ, "KUBECONFIG": "", "HOME": self.state}
        done = subprocess.run([CTL, *words, "--state-dir", self.state], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=60)
        assert done.returncode == code, done
        return (done.stdout if code == 0 else done.stderr).decode()


def write(path, text, mode=0o600):
    with open(path + ".tmp", "w") as f:
        f.write(text)
    os.chmod(path + ".tmp", mode)
    os.rename(path + ".tmp", path)


def whoami(client):
    return client.post(WHO, {}).ok(201)["status"]["userInfo"]


@row
def local_users(_):
    with Server() as s:
        out = os.path.join(s.state, "mia.kubeconfig")
        d = json.loads(s.ctl("user", "add", "bob", "--group", "devs", "-g", "team a".replace(" ", "-"), "-o", "json"))
        assert d["name"] == "bob" and d["groups"] == ["devs", "team-a"], d
        bob = s.api.with_token(d["token"])
        u = whoami(bob)
        assert u["username"] == "bob" and u["uid"] == d["uid"] and u["groups"] == ["devs", "team-a", "system:authenticated"], u
        bob.get(s.core + "/pods").fails(403)
        r = "/apis/rbac.authorization.k8s.io/v1/namespaces/%s/rolebindings" % s.ns
        s.api.post(r, {"metadata": {"name": "devs"}, "subjects": [{"kind": "Group", "name": "devs"}],
                       "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}}).ok(201)
        bob.get(s.core + "/pods").ok()
        assert "already" in s.ctl("user", "add", "bob", code=5)
        s.ctl("user", "add", "mia", "--out", out)
        assert os.stat(out).st_mode & 0o777 == 0o600 and os.stat(s.state + "/users.csv").st_mode & 0o777 == 0o600
        text = open(out).read()
        token = text.split("token: ")[1].split("\n")[0].strip('"')
        assert whoami(s.api.with_token(token))["username"] == "mia"
        assert 'server: "https://127.0.0.1:%d"' % s.port in text, text
        kept = open(s.state + "/users.csv").read()
        assert token not in kept and d["token"] not in kept, "tokens are not kept"
        listed = [json.loads(line) for line in s.ctl("user", "list", "-o", "json").splitlines()]
        assert [(u["name"], u["groups"]) for u in listed] == [("bob", ["devs", "team-a"]), ("mia", [])], listed
        assert "devs, team-a" in s.ctl("user", "list")
        s.api.merge(r + "/devs", {"roleRef": {"name": "view"}}).ok()
        with bob.watch(s.core + "/configmaps?watch=1&timeoutSeconds=60", seconds=60) as w:
            s.api.post(s.core + "/configmaps", {"metadata": {"name": "seen"}}).ok(201)
            w.until(lambda e: e["object"]["metadata"]["name"] == "seen")
            s.ctl("user", "remove", "bob")
            bob.get(s.core + "/pods").fails(401)
            s.api.post(s.core + "/configmaps", {"metadata": {"name": "unseen"}}).ok(201)
            assert w.rest() == [] and w.clean, "an open watch ends, too"
        assert whoami(s.api.with_token(token))["username"] == "mia"
        # A kubeconfig that acts for somebody else: the server knows whom, and whether that is allowed.
        other = os.path.join(s.state, "other.kubeconfig")
        key = open(s.state + "/admin.kubeconfig").read()
        key, n = re.subn(r"(?m)^  user:$", "  user:\n    as: mia\n    as-groups: [team-b]", key)
        assert n == 1, key
        said = []
        for text in (key, key.replace("[team-b]", "[\"system:masters\"]"), key.replace("as: mia", "as-uid: mia")):
            write(other, text)
            said.append(subprocess.run([CTL, "get", "--kubeconfig", other], stderr=subprocess.PIPE, timeout=60).stderr.decode())
        assert 'User "mia" cannot list resource' in said[0], said
        assert "404 page not found" in said[1], said  # it may look; there is no such kind here
        assert '"as-uid" needs "as"' in said[2], said
        assert "no such user" in s.ctl("user", "remove", "bob", code=3)
        # Users survive a restart; a broken list is told with its line, and the old one stays.
        s.restart()
        mia = s.api.with_token(token)
        assert whoami(mia)["username"] == "mia"
        write(s.state + "/users.csv", "#ambient-users 1\n,x,1\n")
        assert whoami(mia)["username"] == "mia"
        assert "users.csv:2: there is no token" in s.log() and "the users that were known stay" in s.log()
        assert s.log().count("users.csv:2") == 1, "told once"
        os.unlink(s.state + "/users.csv")
        mia.get(s.core + "/pods").fails(401)


@row
def token_file(_):
    state = apilib.tempfile.mkdtemp(prefix="ambient-api-")
    path = os.path.join(state, "tokens")
    write(path, '# people\nsecret-1,ann,7,"g1,g2"\n\n"to""ken",carl,8\n')
    with Server("tokenFile=" + path, state=state) as s:
        ann, carl = s.api.with_token("secret-1"), s.api.with_token('to"ken')
        u = whoami(ann)
        assert u == {"username": "ann", "uid": "7", "groups": ["g1", "g2", "system:authenticated"]}, u
        assert whoami(carl)["username"] == "carl"
        assert check_token(s, "secret-1")["audiences"]
        assert not check_token(s, "secret-1", audiences=["other"]).get("authenticated")
        write(path, "secret-2,ann,7\n")
        ann.get("/api").fails(401)
        assert whoami(s.api.with_token("secret-2"))["groups"] == ["system:authenticated"]
        for text, want in (("x\n", "tokens:1: there is no user"), ("\na,b\n", "tokens:2: there is no uid"),
                           ('a,"b,c\n', "tokens:1: a field is too long, or a quote"), ("a,b,1\na,c,2\n", "tokens:2: the token is there twice"),
                           ("sha256:zz,b,1\n", 'tokens:1: "sha256:" is followed by 64 hex digits'),
                           ("#ambient-users 9\na,b,1\n", 'tokens:1: the form "9" is not known')):
            write(path, text)
            assert whoami(s.api.with_token("secret-2"))["username"] == "ann"
            assert want in s.log(), (want, s.log()[-500:])
        write(path, "a,b\n")
        assert "tokens:1: there is no uid" in s.refuses("tokenFile=" + path)
        assert "No such file" in s.refuses("tokenFile=" + path + "-not")
        write(path, "a,b,1\n")
        s.restart("tokenFile=" + path)
        assert whoami(s.api.with_token("a"))["username"] == "b"


@row
def token_keys_rotate(_):
    with Server() as s:
        name, sa = s.account()
        old_keys = [k["kid"] for k in s.api.get("/openid/v1/jwks").ok()["keys"]]
        assert len(old_keys) == 1
        # A key of another time: older than its life.
        os.utime(s.state + "/pki/token.key", (1, 1))
        s.restart()
        client = s.api.with_token(sa.token)
        client.get(s.core + "/pods").fails(403)
        fresh = token_of(s, name).ok(201)["status"]["token"]
        kids = [k["kid"] for k in s.api.get("/openid/v1/jwks").ok()["keys"]]
        assert len(kids) == 2 and kids[1] == old_keys[0], (kids, old_keys)
        head = json.loads(base64.urlsafe_b64decode(fresh.split(".")[0] + "=="))
        assert head["kid"] == kids[0]
        client.get(s.core + "/pods").fails(403)
        s.restart()
        s.api.with_token(sa.token).get(s.core + "/pods").fails(403)
        s.api.with_token(fresh).get(s.core + "/pods").fails(403)
        # Long after, the old one is forgotten, and the private half is nowhere.
        pub = glob.glob(s.state + "/pki/token-*.pub")
        assert len(pub) == 1 and "PRIVATE" not in open(pub[0]).read()
        os.utime(pub[0], (1, 1))
        s.restart()
        s.api.with_token(sa.token).get(s.core + "/pods").fails(401)
        s.api.with_token(fresh).get(s.core + "/pods").fails(403)
        assert not glob.glob(s.state + "/pki/token-*.pub")
        write(s.state + "/pki/token.key", "garbage")
        assert "token.key is no P-256 private key" in s.refuses()
        os.unlink(s.state + "/pki/token.key")
        s.start()
        s.api.with_token(fresh).get(s.core + "/pods").fails(401)


@row
def tokens_are_shortened_and_extended(_):
    hour = 3600 * 10 ** 9
    with Server("tokenMaxLife=%d" % hour, "tokenExtend=1") as s:
        name, _ = s.account()
        r = token_of(s, name, expirationSeconds=7200)
        d = r.ok(201)
        assert d["spec"]["expirationSeconds"] == 3600 and "requested expiration of 7200 seconds shortened to 3600 seconds" in r.warnings[0]
        s.restart("tokenExtend=1")
        p = s.api.post(s.core + "/pods", {"metadata": {"name": "p"}, "spec": {
            "serviceAccountName": name, "restartPolicy": "Never", "containers": [{"name": "c", "image": "i:1"}]}}).ok(201)
        bound = {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": p["metadata"]["uid"]}
        d = token_of(s, name, expirationSeconds=3607, boundObjectRef=bound).ok(201)
        part = d["status"]["token"].split(".")[1]
        c = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        assert c["exp"] - c["iat"] == 365 * 86400 and c["kubernetes.io"]["warnafter"] - c["iat"] == 3607
        assert d["spec"]["expirationSeconds"] == 3607


KEY_A = "a " + base64.b64encode(b"A" * 32).decode() + "\n"
KEY_B = "b " + base64.b64encode(b"B" * 32).decode() + "\n"


def in_files(s, text):
    return [p for p in glob.glob(s.state + "/state.db*") if text.encode() in open(p, "rb").read()]


@row
def secrets_are_encrypted(_):
    state = apilib.tempfile.mkdtemp(prefix="ambient-api-")
    keys = os.path.join(state, "keys")
    mark = base64.b64encode(b"the-secret-" + rand(20).encode()).decode()
    with Server(state=state) as s:
        path = s.core + "/secrets/s"
        s.api.post(s.core + "/secrets", {"metadata": {"name": "s"}, "data": {"k": mark}}).ok(201)
        assert in_files(s, mark)
        write(keys, KEY_A)
        s.restart("encryptionKeys=" + keys)
        assert s.api.get(path).ok()["data"]["k"] == mark
        s.api.merge(path, {"metadata": {"labels": {"a": "b"}}}).ok()
        assert not in_files(s, mark), in_files(s, mark)
        s.restart("encryptionKeys=" + keys, kill=True)
        assert s.api.get(path).ok()["metadata"]["labels"] == {"a": "b"} and not in_files(s, mark)
        assert 'with the key "a", which is not configured' in s.refuses()
        write(keys, KEY_B)
        assert 'which is not in the key file' in s.refuses("encryptionKeys=" + keys)
        write(keys, KEY_B + KEY_A)
        os.chmod(keys, 0o640)
        assert "chmod 600" in s.refuses("encryptionKeys=" + keys)
        os.chmod(keys, 0o600)
        s.restart("encryptionKeys=" + keys, "encrypted=secrets", "encrypted=configmaps")
        s.api.post(s.core + "/configmaps", {"metadata": {"name": "c"}, "data": {"k": "cm-" + mark}}).ok(201)
        assert s.api.get(path).ok()["data"]["k"] == mark and not in_files(s, mark)


def certificate(s, name, days="30", ca="ca", orgs=("team",), purpose="clientAuth"):
    """A client certificate, made with openssl(1); the paths of certificate and key."""
    base = os.path.join(s.state, name)
    run = lambda *a, **k: subprocess.run(["openssl", *a], check=True, capture_output=True, **k)  # noqa: E731
    run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", base + ".key")
    subject = "/CN=" + name + "".join("/O=" + o for o in orgs)
    run("req", "-new", "-key", base + ".key", "-subj", subject, "-out", base + ".csr")
    with open(base + ".ext", "w") as f:
        f.write("extendedKeyUsage=" + purpose + "\n")
    signer = os.path.join(s.state, "pki", ca) if ca == "ca" else os.path.join(s.state, ca)
    sign = ("x509", "-req", "-in", base + ".csr", "-CA", signer + ".crt", "-CAkey", signer + ".key", "-set_serial", "77",
            "-extfile", base + ".ext", "-out", base + ".crt")
    try:
        run(*sign, "-days", days)
    except subprocess.CalledProcessError:
        # Since OpenSSL 3.5 a certificate of the past has to be asked for by its dates.
        run(*sign, "-not_before", "20200101000000Z", "-not_after", "20200102000000Z")
    return base + ".crt", base + ".key"


@row
def client_certificates(_):
    if shutil.which("openssl") is None:
        raise apilib.Skip("openssl is not there")
    with Server() as s:
        def client(*args, **kw):
            cert, key = certificate(s, *args, **kw)
            return Client(s.hostname, s.port, s.ca, cert, key)

        u = whoami(client("ann", orgs=("a", "b")))
        assert u["username"] == "ann" and u["groups"] == ["a", "b", "system:authenticated"], u

        def refused(c):
            try:
                return c.get("/api").status == 401
            except (ssl.SSLError, ConnectionError, http.client.HTTPException):
                return True

        assert refused(client("old", days="-1")), "expired"
        assert refused(client("srv", purpose="serverAuth")), "not for clients"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                        s.state + "/foreign.key", "-out", s.state + "/foreign.crt", "-days", "9", "-subj", "/CN=ambient-standalone"],
                       check=True, capture_output=True)
        assert refused(client("eve", ca="foreign", orgs=("system:masters",))), "of a foreign CA of the same name"
        assert s.api.get("/api").status == 200


@row
def restored_defaults(_):
    """What somebody took from the default roles is back after a restart; what somebody added stays."""
    roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles/"
    bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/"
    own = {"apiGroups": ["x"], "resources": ["y"], "verbs": ["z"]}
    with Server() as s:
        before = s.api.get(roles + "system:basic-user").ok()["rules"]
        s.api.merge(roles + "system:basic-user", {"rules": [own]}).ok()
        s.api.merge(roles + "system:discovery", {"rules": [own], "metadata": {"annotations": {
            "rbac.authorization.kubernetes.io/autoupdate": "false"}}}).ok()
        s.api.delete(roles + "view").ok()
        s.api.merge(bindings + "system:public-info-viewer", {"subjects": None}).ok()
        s.restart()
        assert s.api.get(roles + "system:basic-user").ok()["rules"] == [own] + before
        assert s.api.get(roles + "system:discovery").ok()["rules"] == [own]
        assert s.api.get(roles + "view").ok()["rules"]
        assert len(s.api.get(bindings + "system:public-info-viewer").ok()["subjects"]) == 2
        rv = s.api.get(roles + "edit").ok()["metadata"]["resourceVersion"]
        s.restart()
        assert s.api.get(roles + "edit").ok()["metadata"]["resourceVersion"] == rv, "nothing is written when nothing is lacking"


def events(path):
    with open(path) as f:
        return [json.loads(line) for line in f]


def rules(*groups):
    """auditRules as the test host takes them."""
    out = ["auditRules="] * len(groups)
    for i, g in enumerate(groups):
        for k, v in g.items():
            out += ["auditRules.%d.%s=%s" % (i, k, x) for x in (v if isinstance(v, list) else [v])]
    return out


@row
def audit_log(_):
    state = apilib.tempfile.mkdtemp(prefix="ambient-api-")
    path = os.path.join(state, "audit.log")
    secret, quiet = "hush-" + rand(20), "quiet-" + rand()
    options = ["auditFile=" + path, "auditLevel=RequestResponse"] + rules(
        {"level": "None", "paths": ["/healthz*", "/livez", "/readyz"]},
        {"level": "None", "namespaces": quiet},
        {"level": "Metadata", "resources": ["pods", "nodes"], "verbs": ["get", "list"]})
    with Server(*options, state=state) as s:
        a = s.api
        r = a.post(s.core + "/configmaps", {"metadata": {"name": "c"}, "data": {"k": "seen"}}, {"User-Agent": "tester/1"})
        audit_id = r.headers["Audit-Id"]
        assert len(audit_id) == 36
        assert a.get("/api", Audit_Id="mine-1").headers["Audit-Id"] == "mine-1"
        assert len(a.get("/api", Audit_Id="bad id;").headers["Audit-Id"]) == 36
        a.post("/api/v1/namespaces", {"metadata": {"name": quiet}}).ok(201)
        a.get("/api/v1/namespaces/%s/configmaps" % quiet).ok()
        a.get(s.core + "/pods").ok()
        a.get("/healthz").status
        a.merge(s.core + "/configmaps/c", {"data": {"k": "changed"}}).ok()
        # What is secret, in every way that it can pass.
        b64 = base64.b64encode(secret.encode()).decode()
        a.post(s.core + "/secrets", {"metadata": {"name": "x"}, "stringData": {"k": secret}}).ok(201)
        a.put(s.core + "/secrets/x", {"metadata": {"name": "x"}, "data": {"k": b64}}).ok()
        a.merge(s.core + "/secrets/x", {"stringData": {"k2": secret}}).ok()
        a.get(s.core + "/secrets").ok()
        name, sa = s.account()
        check_token(s, sa.token)
        d = json.loads(s.ctl("user", "add", "bob", "-o", "json"))
        s.api.with_token(d["token"]).get(s.core + "/secrets").fails(403)
        s.api.with_token("nonsense").get("/api").fails(401)
        a.get(s.core + "/configmaps/c", Impersonate_User="eve", Impersonate_Group="g").fails(403)
        with a.watch(s.core + "/configmaps?watch=1&timeoutSeconds=1") as w:
            w.rest()
        a.get(s.core + "/configmaps/none").fails(404)
        a.delete(s.core + "/secrets/x").ok()
        s.stop()
        raw = open(path).read()
        for bad in (secret, b64, sa.token, sa.token.split(".")[2], d["token"]):
            assert bad not in raw, "what is secret is in the audit log"
        assert os.stat(path).st_mode & 0o777 == 0o600
        all_of = events(path)

        def find(**want):
            got = [e for e in all_of if all(e.get(k) == v or (e.get("objectRef") or {}).get(k) == v for k, v in want.items())]
            assert got, (want, len(all_of))
            return got

        e = find(auditID=audit_id)
        assert len(e) == 1
        e = e[0]
        assert e["kind"] == "Event" and e["apiVersion"] == "audit.k8s.io/v1" and e["stage"] == "ResponseComplete", e
        assert e["level"] == "RequestResponse" and e["verb"] == "create" and e["userAgent"] == "tester/1", e
        assert e["user"]["username"] == "admin" and "system:masters" in e["user"]["groups"] and e["sourceIPs"] == ["127.0.0.1"], e
        assert e["objectRef"] == {"resource": "configmaps", "namespace": s.ns, "apiVersion": "v1"}, e
        assert e["requestObject"]["data"] == {"k": "seen"} and e["responseObject"]["metadata"]["uid"], e
        assert e["responseStatus"] == {"metadata": {}, "code": 201} and e["requestURI"] == s.core + "/configmaps", e
        assert e["requestReceivedTimestamp"] <= e["stageTimestamp"] and e["requestReceivedTimestamp"].endswith("Z"), e
        assert find(verb="patch", resource="configmaps")[0]["requestObject"] == {"data": {"k": "changed"}}
        assert find(auditID="mine-1")[0]["requestURI"] == "/api"
        assert not [e for e in all_of if (e.get("objectRef") or {}).get("namespace") == quiet or "/healthz" in e["requestURI"]]
        e = find(resource="pods", verb="list")[0]
        assert e["level"] == "Metadata" and "responseObject" not in e
        for e in find(resource="secrets") + find(subresource="token") + find(resource="tokenreviews"):
            assert e["level"] == "Metadata" and "requestObject" not in e and "responseObject" not in e, e
        e = [e for e in find(resource="secrets", verb="list") if e["responseStatus"]["code"] == 403][0]
        assert e["user"]["username"] == "bob" and e["annotations"]["authorization.k8s.io/decision"] == "forbid", e
        assert e["responseStatus"]["reason"] == "Forbidden" and 'User "bob" cannot list' in e["responseStatus"]["message"], e
        e = [e for e in find(requestURI="/api") if e["responseStatus"]["code"] == 401]
        assert e and e[0]["user"] == {}, e
        e = [e for e in all_of if "impersonatedUser" in e][0]
        assert e["user"]["username"] == "admin" and e["impersonatedUser"]["username"] == "eve" and e["responseStatus"]["code"] == 403, e
        assert [e["stage"] for e in find(verb="watch", resource="configmaps")] == ["ResponseStarted", "ResponseComplete"]
        assert find(name="none")[0]["responseStatus"]["code"] == 404
        assert "auditLevel" in s.refuses("auditLevel=Loud")
        assert "cannot be opened" in s.refuses("auditFile=" + state)


@row
def audit_log_turns_over(_):
    state = apilib.tempfile.mkdtemp(prefix="ambient-api-")
    path = os.path.join(state, "audit.log")
    with Server("auditFile=" + path, "auditMaxSize=20000", "auditMaxBackups=2", state=state) as s:
        for i in range(120):
            s.api.get("/api/v1/namespaces/n%d/configmaps" % i)
        eventually(lambda: any("/n119/" in open(p).read() for p in glob.glob(path + "*")))
        assert os.path.exists(path + ".2")
        # Moved away by somebody else: begun anew.
        os.rename(path, path + ".moved")
        s.api.get("/api/v1/namespaces/after/configmaps")
        eventually(lambda: os.path.exists(path))
        s.stop()
        assert sorted(os.path.basename(p) for p in glob.glob(path + "*")) == [
            "audit.log", "audit.log.1", "audit.log.2", "audit.log.moved"]
        seen = []
        for p in (path + ".2", path + ".1", path + ".moved", path):
            assert os.path.getsize(p) <= 20000, p
            seen += [e["objectRef"]["namespace"] for e in events(p) if (e.get("objectRef") or {}).get("namespace", "").startswith(("n", "after"))]
        numbers = [int(n[1:]) for n in seen if n[1:].isdigit()]
        assert numbers == list(range(numbers[0], 120)) and seen[-1] == "after", "in order, none lost but with the oldest file"


if __name__ == "__main__":
    apilib.ROWS[:] = [r for r in apilib.ROWS if r.__module__ == "__main__"]
    sys.exit(apilib.main(None, sys.argv[4:]))
