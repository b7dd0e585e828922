# SPDX-License-Identifier: Apache-2.0
"""Hostile requests against the API server alone: hostile.py HOST_PROGRAM PLUGIN.so

What is sent is cut off, too large, ambiguous, too deep or of another type than it says.  Each gets the right status and,
where the request could be understood as one, a Status; afterwards nothing was stored, the server still serves, and its
memory has not grown with what was sent.
"""
import concurrent.futures
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import sys
import time

import apilib
import forge
from apilib import rand, row

GROWTH = 160 << 20  # of resident memory, over everything here


def raw(f, data, half_close=False):
    """Sends bytes as they are; what the server says until it closes or is silent, as (status, bytes)."""
    s = f.api.context.wrap_socket(socket.create_connection((f.hostname, f.port), timeout=20), server_hostname=f.hostname)
    out = b""
    try:
        s.sendall(data)
        if half_close:
            s.shutdown(socket.SHUT_WR)
        while b"\r\n\r\n" not in out or not complete(out):
            part = s.recv(65536)
            if not part:
                break
            out += part
    except OSError:  # it closed before all was sent
        pass
    finally:
        s.close()
    return (int(out.split(b" ")[1]) if out.startswith(b"HTTP/1.") else 0), out


def complete(out):
    head, _, body = out.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return len(body) >= int(value)
    return False


def resident(f):
    with open("/proc/%d/status" % f.process.pid) as status:
        return [int(x.split()[1]) << 10 for x in status if x.startswith("VmRSS:")][0]


def unharmed(f):
    """Serves, and has stored nothing."""
    assert f.api.get("/readyz").raw == b"ok"
    assert f.api.get(f.w).ok()["items"] == [] and f.process.poll() is None


def post(f, headers, body, path=None):
    return raw(f, b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%s\r\n%s" % (
        (path or f.w).encode(), b"".join(h + b"\r\n" for h in headers), body))


def widget(f):
    return json.dumps(f.widget("smuggled-" + rand())).encode()


@row
def ambiguous_framing_is_refused(f):
    body = widget(f)
    n = b"%d" % len(body)
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    for headers, sent in (
            ([b"Content-Length: " + n, b"Transfer-Encoding: chunked"], chunked),
            ([b"Transfer-Encoding: chunked", b"Content-Length: " + n], chunked),
            ([b"Content-Length: " + n, b"Content-Length: 3"], body),
            ([b"Content-Length: 3", b"Content-Length: " + n], body),
            ([b"Content-Length: -1"], body),
            ([b"Content-Length: 1x"], body),
            ([b"Content-Length: 99999999999999999999999"], body)):
        status, out = post(f, headers, sent)
        assert status in (0, 400, 413), (headers, out[:300])
        # libmicrohttpd writes the head of this answer twice for a length that is no number; nothing is answered 2xx.
        assert out.count(b"HTTP/1.1 ") == out.count(b"HTTP/1.1 4"), out
        unharmed(f)


def needs_openssl():
    if shutil.which("openssl") is None:
        raise apilib.Skip("openssl is not there")


def admin(f):
    """The Authorization header of an account that may do everything."""
    if not hasattr(f, "authorization"):
        name, client = f.account()
        f.api.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
            "metadata": {"name": name}, "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": f.ns}]}).ok(201)
        f.authorization = b"Authorization: Bearer " + client.token.encode()
    return f.authorization


def statuses(out):
    return [int(x) for x in re.findall(rb"HTTP/1\.1 (\d+) ", out)]


def pipeline(f, head, body, line_end=b"\r\n"):
    """A create with that head, and behind its body another request: what each of the two was answered.  None of these
    clients has a certificate, so that who asks is said by the head alone."""
    s = f.nobody.context.wrap_socket(socket.create_connection((f.hostname, f.port), timeout=20), server_hostname=f.hostname)
    lines = [b"POST %s HTTP/1.1" % (f.core + "/configmaps").encode(), b"Host: x", admin(f)] + head + [b"", b""]
    try:
        s.sendall(line_end.join(lines) + body + line_end.join([b"GET /readyz HTTP/1.1", b"Host: x", b"Connection: close", b"", b""]))
        out = b"".join(iter(lambda: s.recv(65536), b""))
    except OSError:
        out = b""
    finally:
        s.close()
    return statuses(out), out


def smuggled(f):
    """Names of the ConfigMaps that the bodies of these rows would make."""
    return [apilib.name_of(o) for o in f.api.get(f.core + "/configmaps").ok()["items"] if apilib.name_of(o).startswith("sm-")]


@row
def folded_lines_do_not_hide_a_length(f):
    """libmicrohttpd drops a header whose value is in a folded line; one that says where the body ends must not go."""
    body = b'{"metadata":{"name":"sm-folded"}}'
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    length = b"Content-Length: %d" % len(body)
    for head, sent in (
            ([length, b"Transfer-Encoding:\r\n chunked"], body),
            ([b"Transfer-Encoding:\r\n chunked", length], body),
            ([b"Transfer-Encoding: \r\n\tchunked"], chunked),
            ([b"Transfer-Encoding: chunked\r\n , gzip"], chunked),
            ([b"Content-Length:\r\n %d" % len(body)], body),
            ([b"Content-Length: 2\r\n 6"], body),
            ([b"transfer-encoding\x0b: chunked", length], body),
            ([b"Transfer-Encoding : chunked", length], body),
            ([b"Content-Length\t: 3", length], body)):
        got, out = pipeline(f, head, sent)
        assert got == [400], (head, got, out[:300])
    assert smuggled(f) == []
    unharmed(f)


@row
def folded_lines_do_not_hide_who_asks(f):
    """A lost Impersonate-User would make the request the administrator's own."""
    for line in (b"Impersonate-User:\r\n nobody", b"Impersonate-User: no\r\n body", b"impersonate-group:\r\n\tx"):
        s, out = raw_as_admin(f, [line])
        assert s == 400, (line, out[:300])
    # A folded Authorization is none, or a bad one: never somebody else's.
    who = admin(f).split(b": ")[1]
    for line in (b"Authorization:\r\n " + who, b"Authorization: Bearer\r\n " + who.split()[1]):
        assert ask(f, b"GET %s HTTP/1.1" % f.w.encode(), [b"Host: x", line])[0] in (400, 401, 403), line
    unharmed(f)


def ask(f, first, head, line_end=b"\r\n"):
    """One request without a client certificate, by its lines."""
    s = f.nobody.context.wrap_socket(socket.create_connection((f.hostname, f.port), timeout=20), server_hostname=f.hostname)
    try:
        s.sendall(line_end.join([first] + head + [b"Connection: close", b"", b""]))
        out = b"".join(iter(lambda: s.recv(65536), b""))
    except OSError:
        out = b""
    finally:
        s.close()
    return (statuses(out) or [0])[0], out


def raw_as_admin(f, head, line_end=b"\r\n", first=None):
    return ask(f, first or b"GET %s HTTP/1.1" % f.w.encode(), [b"Host: x", admin(f)] + head, line_end)


@row
def lines_may_end_without_a_carriage_return(f):
    """RFC 9112 2.2 lets a server take a bare LF, as libmicrohttpd 0.9 does, or refuse it, as 1.0 does; what counts is that it
    means the same everywhere in a request, and that a bare CR ends nothing."""
    whole = ([201, 200], [400])
    body = b'{"metadata":{"name":"lf-%s"}}' % rand().encode()
    got, out = pipeline(f, [b"Content-Length: %d" % len(body)], body, b"\n")
    assert got in whole, (got, out[:300])
    assert raw_as_admin(f, [], b"\n")[0] in (200, 400)
    chunked = b"%x\n%s\n0\n\n" % (len(body), body.replace(b"lf-", b"lg-"))
    got, out = pipeline(f, [b"Transfer-Encoding: chunked"], chunked, b"\n")
    assert got in whole, (got, out[:300])
    # With a CR alone the second "header" is a part of the first one's value.
    assert raw_as_admin(f, [b"X: a\rImpersonate-User: nobody"])[0] in (200, 400)
    got, out = pipeline(f, [b"X: a\rContent-Length: 3", b"Content-Length: %d" % len(body)], body.replace(b"lf-", b"lh-"))
    assert got in whole, (got, out[:300])
    assert raw_as_admin(f, [b"Impersonate-User: nobody"])[0] == 403
    unharmed(f)


@row
def chunks_that_are_none(f):
    body = b'{"metadata":{"name":"sm-chunk"}}'
    for chunked in (b"-1\r\n%s\r\n0\r\n\r\n" % body, b"0x%x\r\n%s\r\n0\r\n\r\n" % (len(body), body),
                    b" %x\r\n%s\r\n0\r\n\r\n" % (len(body), body), b"fffffffffffffffff\r\n%s\r\n0\r\n\r\n" % body,
                    b"\r\n", b"%x\r\n%sxx0\r\n\r\n" % (len(body), body), b"g\r\n%s\r\n0\r\n\r\n" % body):
        got, out = pipeline(f, [b"Transfer-Encoding: chunked"], chunked)
        assert got and set(got) <= {400, 413}, (chunked[:40], got, out[:300])
    for value in (b"xchunked", b"identity", b"chunked, identity", b"\x0bchunked", b"chunked\x00", b"gzip", b""):
        got, out = pipeline(f, [b"Transfer-Encoding: " + value], b"0\r\n\r\n")
        assert 201 not in got and 200 not in got[:1], (value, got, out[:300])
    assert smuggled(f) == []
    unharmed(f)


@row
def targets_of_other_forms(f):
    """A whole URL means its path, whatever its host says; what is neither is refused."""
    path = f.w.encode()
    for target, want in ((b"https://elsewhere:1" + path, 200), (b"HTTP://elsewhere" + path, 200), (b"http://elsewhere", 200),
                         (b"https://" + path.lstrip(b"/"), (403, 404)), (b"elsewhere:443", 400), (b"*", (403, 404)),
                         (path.lstrip(b"/"), 400), (b"ftp://elsewhere" + path, 400), (b"?watch=1", 400)):
        got, out = raw_as_admin(f, [], first=b"GET %s HTTP/1.1" % target)
        assert got == want or (isinstance(want, tuple) and got in want), (target, got, out[:300])
    # Who may read one path only may not read another by dressing it up.
    assert ask(f, b"GET https://elsewhere%s HTTP/1.1" % path, [b"Host: x"])[0] == 403
    for first, want in ((b"CONNECT elsewhere:443 HTTP/1.1", 405), (b"OPTIONS * HTTP/1.1", 405), (b"TRACE / HTTP/1.1", 405),
                        (b"get %s HTTP/1.1" % path, 405), (b"GET %s HTTP/2.0" % path, 505), (b"GET %s" % path, 400),
                        (b"GET %s HTTP/1.1 x" % path, (0, 400, 404, 505)), (b"GET\t%s\tHTTP/1.1" % path, (0, 400))):
        got, out = raw_as_admin(f, [], first=first)
        assert got == want or (isinstance(want, tuple) and got in want), (first, got, out[:300])
    for hosts in ([], [b"Host: x", b"Host: y"], [b"Host: x", b"host: x"]):
        got, out = ask(f, b"GET %s HTTP/1.1" % path, hosts + [admin(f)])
        assert got == 400, (hosts, got, out[:300])
    unharmed(f)


@row
def nul_and_bytes_that_are_no_text(f):
    """In a target, raw or escaped, it is refused."""
    for path in ("/api/v1/namespaces/%00", f.core + "/configmaps/a%00b", f.core + "/configmaps/%ff", f.core + "/configmaps/%c3%28",
                 f.core + "/configmaps/%ed%a0%80", "/api%00"):
        answer = f.api.get(path)
        assert answer.status == 400 and answer.json["reason"] == "BadRequest", (path, answer.status, answer.raw[:200])
    for query in ("labelSelector=%00", "labelSelector=a%3D%ff", "fieldSelector=metadata.name%3D%00", "limit=%00", "continue=%00",
                  "continue=%ff%fe", "resourceVersion=%00", "labelSelector=%zz"):
        answer = f.api.get(f.core + "/configmaps?" + query)
        assert answer.status in (200, 400), (query, answer.status, answer.raw[:200])
        assert answer.status == 400 or answer.json["items"] is not None, query
    for manager in ("%0a", "%01", "x" * 129):
        answer = f.api.post(f.core + "/configmaps?fieldManager=" + manager, {"metadata": {"name": "sm-manager"}})
        answer.fails(422, "Invalid", field="fieldManager")
    answer = f.api.do("PATCH", f.core + "/configmaps/m?fieldManager=%ff", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
        "name": "m"}, "data": {"k": "v"}}, {"Content-Type": "application/apply-patch+yaml"})
    assert answer.ok(201)["metadata"]["managedFields"][0]["manager"] == "\ufffd", answer.raw
    for target in (b"/readyz\0" + f.w.encode(), f.w.encode() + b"\0/readyz", b"/readyz\0", b"/readyz?a=\0", b"/readyz\0?a=b", b"\0",
                   b"/readyz\x01", b"/readyz?a=\x1f", b"/readyz?\x7f", b"https://elsewhere\0/readyz"):
        got, out = raw_as_admin(f, [], first=b"GET %s HTTP/1.1" % target)
        # libmicrohttpd 1.0 closes by itself at a NUL, without a word.
        assert got == 400 or (b"\0" in target and not out), (target, got, out[:300])
    assert raw_as_admin(f, [], first=b"GET /readyz\0 /readyz HTTP/1.1")[0] in (0, 400)
    assert raw_as_admin(f, [], first=b"GET /readyz?a=b HTTP/1.1")[0] == 200
    assert smuggled(f) == []
    unharmed(f)


@row
def too_much_of_anything(f):
    # libmicrohttpd 0.9.75 falls silent over 500 parameters, unless they are kept from it; a command may have so many words.
    for path, want in ((f.w + "?labelSelector=" + "a," * 9000, 400), (f.w + "?limit=1" + "&x=y" * 5000, 200),
                       (f.w + "?" + "&" * 30000, 200), (f.w + "?" + "y" * 60000, 414),
                       (f.core + "/configmaps/" + "n" * 8000, (404, 414)), ("/" + "a/" * 4000, (400, 404, 414)),
                       (f.w + "?limit=99999999999999999999", 400), (f.w + "?limit=-1", 200),
                       (f.w + "?timeoutSeconds=99999999999999999999&watch=1", 400)):
        try:
            answer = f.api.get(path)
        except (ssl.SSLEOFError, BrokenPipeError, ConnectionResetError):  # refused while it was still being sent
            assert 414 in (want if isinstance(want, tuple) else (want,)), path[:60]
            continue
        assert answer.status == want or (isinstance(want, tuple) and answer.status in want), (path[:60], answer.status, answer.raw[:200])
    got, out = raw_as_admin(f, [b"X%d: y" % i for i in range(1500)])
    assert got in (0, 431), (got, out[:300])
    assert raw_as_admin(f, [b"Cookie: " + b"; ".join(b"c%d=d" % i for i in range(2000))])[0] in (0, 200, 431)
    got, out = raw_as_admin(f, [b"Accept: " + b"application/json;as=Table," * 1000])
    assert got in (0, 406, 431), (got, out[:300])
    got, out = raw_as_admin(f, [b"Impersonate-User: x"] + [b"Impersonate-Group: g%d" % i for i in range(600)])
    assert got in (400, 403, 431), (got, out[:300])
    big = {"metadata": {"name": "sm-big"}, "data": {"k": "x" * ((1 << 20) + 1)}}
    f.api.post(f.core + "/configmaps", big).fails(422, "Invalid")
    many = {"metadata": {"name": "sm-many", "annotations": {"k%d" % i: "v" * 100 for i in range(3000)}}}
    f.api.post(f.core + "/configmaps", many).fails(422, "Invalid", field="metadata.annotations")
    f.api.post(f.core + "/configmaps", {"metadata": {"name": "n" * 254}}).fails(422, "Invalid", field="metadata.name")
    f.api.patch(f.core + "/configmaps/none", [{"op": "test", "path": "/a", "value": 1}] * 10001, "json-patch").fails((404, 413))
    assert smuggled(f) == []
    unharmed(f)


@row
def tokens_out_of_time_or_place(f):
    """Signed by another key, for another time, of another issuer, or with a header that asks for less."""
    needs_openssl()
    name, client = f.account()
    head, claims = [json.loads(forge.unbase64(x)) for x in client.token.split(".")[:2]]
    pki = os.path.join(f.state, "pki")
    key, stranger = os.path.join(pki, "token.key"), forge.new_key(os.path.join(f.state, "stranger.key"))
    account, now = claims["kubernetes.io"], int(time.time())

    def own(**changes):
        return forge.token(key, head, {**claims, **changes})

    def bare(alg, signature):
        return ".".join([forge.base64url(json.dumps({**head, "alg": alg}).encode()), client.token.split(".")[1], signature])

    assert f.nobody.with_token(own(iat=now, nbf=now, exp=now + 600)).get(f.w).status == 403, "the test signs as the server does"
    for token, why in (
            (own(iat=now - 7200, nbf=now - 7200, exp=now - 3600), "expired"),
            (own(iat=now + 3600, nbf=now + 3600, exp=now + 7200), "not valid yet"),
            (own(iss="https://elsewhere"), "of another issuer"), (own(aud=["elsewhere"]), "for somebody else"),
            (own(sub="system:serviceaccount:kube-system:none"), "of another account than its claims"),
            (own(exp=None), "without an end"), (own(**{"kubernetes.io": None}), "of no account"),
            (own(**{"kubernetes.io": {**account, "serviceaccount": {"name": name, "uid": "another"}}}), "of a deleted account"),
            (forge.token(stranger, head, claims), "signed by a stranger"),
            (forge.token(stranger, {**head, "kid": "stranger"}, claims), "signed by a stranger with his own key's name"),
            (bare("none", ""), "unsigned"), (bare("HS256", client.token.split(".")[2]), "of another kind"),
            (client.token[:-4] + "AAAA", "damaged"), (client.token + "AAAA", "longer"),
            (client.token.rsplit(".", 1)[0], "cut"), (client.token + ".x", "of four parts")):
        said = f.nobody.with_token(token).get(f.w)
        assert said.status == 401, (why, said.status, said.raw[:200])
        assert said.json["message"] == "Unauthorized" and "details" not in said.json, (why, said.json)
    f.api.delete("%s/serviceaccounts/%s" % (f.core, name)).ok()
    assert client.get(f.w).status == 401, "of an account that was deleted"
    unharmed(f)


@row
def certificates_out_of_time_or_place(f):
    """Client certificates: expired, of the future, of a stranger's CA with our CA's name, self-signed, not for clients."""
    needs_openssl()
    ours = tuple(os.path.join(f.state, "pki", "ca." + x) for x in ("crt", "key"))
    subject = forge.openssl("x509", "-noout", "-subject", "-nameopt", "compat", "-in", ours[0]).decode().split("=", 1)[1].strip()
    stranger = forge.new_ca(f.state, "stranger", subject if subject.startswith("/") else "/" + subject)

    def status(name, ca, **kw):
        cert, key = forge.certificate(f.state, name, ca, "/CN=%s/O=system:masters" % name, **kw)
        try:
            return apilib.Client(f.hostname, f.port, f.ca, cert, key).get(f.w).status
        except (ssl.SSLError, OSError, http.client.HTTPException):
            return 401

    assert status("good", ours) == 200, "the test signs as the server does"
    assert status("old", ours, start=-20, end=-10) == 401, "expired"
    assert status("young", ours, start=10, end=20) == 401, "not valid yet"
    assert status("server", ours, usage="serverAuth") == 401, "not for clients"
    assert status("foreign", stranger) == 401, "of a stranger"
    assert status("own", None) == 401, "signed by itself"
    unharmed(f)


@row
def a_head_that_is_cut_off_or_too_large(f):
    assert raw(f, b"GET " + f.w.encode() + b" HT", True)[0] in (0, 400)
    status, _ = raw(f, b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * (1 << 20) + b"\r\n\r\n")
    assert status in (0, 400, 413, 431), status
    status, _ = raw(f, b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status in (0, 400, 413, 414, 431), status
    unharmed(f)


@row
def a_body_that_is_cut_off_or_too_large(f):
    body = widget(f)
    post_head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    raw(f, post_head % (f.w.encode(), len(body) + 10) + body, True)
    unharmed(f)
    f.api.post(f.w, b" " * (4 << 20)).fails(413, "RequestEntityTooLarge")
    unharmed(f)


@row
def bodies_that_are_no_objects(f):
    gv = f.group + "/v1"
    head = '{"apiVersion":"%s","kind":"Widget","metadata":{"name":"x"},"spec":{"free":' % gv
    for body in (
            head.encode() + b'{"a":' * 2000 + b"1" + b"}" * 2000 + b"}}",
            head.encode() + b"[" * 2000 + b"]" * 2000 + b"}}",
            b"[" * 200000,
            head.encode() + b'"\xff\xfe"}}',
            head.encode() + b'"\x00"}}',
            head.encode() + b'"\\ud800"}}',
            b"null", b"1", b'"text"', b"[]", b"", b"\x00", b"{", head.encode()):
        for answer in (f.api.post(f.w, body), f.api.do("PATCH", f.w + "/x", body, {
                "Content-Type": "application/merge-patch+json"})):
            assert answer.status in (400, 404, 422), (body[:80], answer.status, answer.raw[:200])
            assert answer.json["kind"] == "Status", answer.raw[:200]
    unharmed(f)


@row
def yaml_that_grows_is_refused(f):
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        "a%d: &a%d [%s]\n" % (i, i, ",".join(["*a%d" % (i - 1)] * 10)) for i in range(1, 10))
    for text in (bomb, "a: &a [*a]\n", "- " * 5000 + "x", "\t\x00", "%TAG ! x\n---\n!foo {}"):
        f.api.do("POST", f.w, text, {"Content-Type": "application/yaml"}).fails((400, 413), None)
    unharmed(f)


@row
def protobuf_of_another_type(f):
    def pb(number, data):
        return bytes([number << 3 | 2, len(data)]) + data

    known = pb(1, pb(1, b"v1") + pb(2, b"ConfigMap"))
    for body in (b"", b"k8s\0", b"k8s\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"k8s\0" + known[:-3],
                 b"k8s\0" + known + bytes([2 << 3 | 2, 127]) + b"x", b"{}",
                 b"k8s\0" + pb(1, pb(1, b"v1") + pb(2, b"Nonsense")),
                 b"k8s\0" + pb(1, pb(1, b"v1") + pb(2, b"Secret")) + pb(2, pb(1, pb(1, b"x")))):
        f.api.do("POST", f.core + "/configmaps", body, {
            "Content-Type": "application/vnd.kubernetes.protobuf"}).fails((400, 415, 422))
    unharmed(f)


@row
def tokens_that_are_not_ours(f):
    for token in ("x", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzeXN0ZW06YWRtaW4ifQ.", "." * 3000, "\x7f\x01"):
        f.nobody.with_token(token).get(f.w).fails(401, "Unauthorized")
    unharmed(f)


@row
def paths_that_lead_elsewhere(f):
    for path in ("/api/v1/namespaces/%00/pods", "/api/v1/namespaces/..%2f..%2fx/pods", "/%ff%fe", "/api/v1/" + "x/" * 500,
                 "/api/v1/namespaces/%zz/pods", "//////", "/api/v1/pods?labelSelector=" + "a," * 4000,
                 "/api/v1/pods?limit=99999999999999999999", "/api/v1/pods?fieldSelector=%00"):
        answer = f.api.get(path)
        assert answer.status in (200, 400, 404, 414, 431), (path[:60], answer.status)
    unharmed(f)


@row
def who_waits_for_the_future_keeps_nobody(f):
    """Fifty at once ask for a revision that does not come: each is told to come again, and meanwhile others are served."""
    rv = int(f.api.get(f.w).ok()["metadata"]["resourceVersion"]) + 1000000
    paths = [f.w + "?resourceVersion=%d" % rv, f.w + "/none?resourceVersion=%d" % rv,
             f.w + "?watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&resourceVersion=%d" % rv]
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        waiting = [pool.submit(f.api.get, paths[i % len(paths)]) for i in range(50)]
        took = []
        for _ in range(100):
            began = time.monotonic()
            f.api.get(f.w).ok()
            f.api.post(f.w + "?dryRun=All", f.widget("not-" + rand())).ok(201)
            took.append(time.monotonic() - began)
        still = sum(not w.done() for w in waiting)
        for w in waiting:
            status = w.result().fails(504, "Timeout", "ResourceVersionTooLarge")
            assert status["details"]["retryAfterSeconds"] == 1, status
    print("# a read and a write beside them: %.1f ms at most; %d waited to their end" % (1000 * max(took), still))
    assert max(took) < 1.5, max(took)
    unharmed(f)


@row
def heads_that_are_given_up_leave_nothing(f):
    """Their targets were heard, their heads never whole: 1,500 of 12 KB each."""
    before, target = resident(f), b"GET /?" + b"&t=u" * 3000 + b" HTTP/1.1\r\n"
    for i in range(1500):
        s = f.nobody.context.wrap_socket(socket.create_connection((f.hostname, f.port), timeout=20), server_hostname=f.hostname)
        s.sendall(target + (b"no header\r\n\r\n" if i % 2 else b"X: y\r\n"))
        s.close()
    apilib.eventually(lambda: f.api.get("/readyz").raw == b"ok")
    grown = resident(f) - before
    print("# resident grew by %d KiB" % (grown >> 10))
    if not os.environ.get("AMBIENT_SLOW"):
        assert grown < 6 << 20, grown
    unharmed(f)


def sockets(f):
    fds = "/proc/%d/fd" % f.process.pid
    n = 0
    for fd in os.listdir(fds):
        try:
            n += os.readlink(os.path.join(fds, fd)).startswith("socket:")
        except OSError:
            pass  # closed since
    return n


@row
def a_watch_whose_reader_has_left_is_let_go_of(f):
    """Within seconds, not when its connection has been idle for long: clients that come and go would use up all that there are."""
    def watch():
        s = f.api.context.wrap_socket(socket.create_connection((f.hostname, f.port), timeout=20), server_hostname=f.hostname)
        head = "".join("%s: %s\r\n" % h for h in f.api.headers({}).items())
        s.sendall(("GET %s?watch=1 HTTP/1.1\r\nHost: x\r\n%s\r\n" % (MAPS, head)).encode())
        assert s.recv(4096).startswith(b"HTTP/1.1 200")
        return s

    apilib.eventually(lambda: sockets(f) < 40)
    before, began = sockets(f), time.monotonic()
    readers = [watch() for _ in range(40)]
    assert sockets(f) >= before + 40
    for s in readers:
        s.close()
    apilib.eventually(lambda: sockets(f) <= before + 4, 40)
    print("# forty were gone %.1f s after the first had come" % (time.monotonic() - began))
    unharmed(f)


def slow_reader(f, path):
    """A connection with a small window on which a watch was asked for and nothing is read yet."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    sock.settimeout(30)
    sock.connect((f.hostname, f.port))
    conn = http.client.HTTPConnection(f.hostname, f.port)
    conn.sock = f.api.context.wrap_socket(sock, server_hostname=f.hostname)
    conn.request("GET", path, headers=f.api.headers({}))
    return conn


MAPS, LONG = "/api/v1/namespaces/default/configmaps", 30000


def long_events(f, prefix):
    names = ["%s-%02d" % (prefix, i) for i in range(60)]
    for name in names:
        f.api.post(MAPS, {"metadata": {"name": name}, "data": {"x": name * LONG}}).ok(201)
    return names


def added(lines):
    """The names in events that are whole."""
    objects = [e["object"] for e in map(json.loads, lines) if e["type"] == "ADDED"]
    assert all(o["data"]["x"] == o["metadata"]["name"] * LONG for o in objects)
    return [o["metadata"]["name"] for o in objects]


@row
def a_slow_readers_events_are_whole_when_a_bookmark_is_due(f):
    """It reads nothing until after the moment at which a quiet watch would be sent a bookmark, and then all of it."""
    at = f.api.get(MAPS).json["metadata"]["resourceVersion"]
    conn, begun = slow_reader(f, MAPS + "?watch=1&allowWatchBookmarks=true&timeoutSeconds=3&resourceVersion=" + at), time.monotonic()
    names = long_events(f, "slow")
    time.sleep(max(0, begun + 1.7 - time.monotonic()))  # of three seconds the bookmark is due after one and a half
    assert added(conn.getresponse().read().splitlines()) == names
    conn.close()
    for name in names:
        f.api.do("DELETE", MAPS + "/" + name).ok()
    unharmed(f)


@row
def a_server_that_stops_ends_a_watch_between_two_events(f):
    at = f.api.get(MAPS).json["metadata"]["resourceVersion"]
    conn = slow_reader(f, MAPS + "?watch=1&resourceVersion=" + at)
    names = long_events(f, "last")
    first = conn.getresponse()
    text = first.readline()
    f.process.terminate()
    text += first.read()  # IncompleteRead, were it cut off
    conn.close()
    assert text.endswith(b"\n"), text[-100:]
    got = added(text.splitlines())
    assert got and got == names[:len(got)], got
    f.stop()
    f.start()
    for name in names:
        f.api.do("DELETE", MAPS + "/" + name).ok()
    unharmed(f)


@row
def zz_memory_has_not_grown(f):
    for _ in range(20):
        f.api.post(f.w, b" " * (3 << 20) + b"[")
        f.api.post(f.w, b"[" * (2 << 20))
    grown = resident(f) - f.began
    print("# resident %d MiB, grown by %d MiB" % (resident(f) >> 20, grown >> 20))
    unharmed(f)
    if os.environ.get("AMBIENT_SLOW"):
        raise apilib.Skip("a sanitizer keeps what was freed")
    assert grown < GROWTH, grown


def run(argv):
    fixture = apilib.Fixture(argv[1], argv[2], [])
    fixture.began = resident(fixture)
    try:
        return apilib.main(fixture, argv[3:])
    finally:
        fixture.stop()
        shutil.rmtree(fixture.state, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(run(sys.argv))
