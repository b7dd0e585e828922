# SPDX-License-Identifier: Apache-2.0
"""Hostile requests against the API server alone: hostile.py HOST_PROGRAM PLUGIN.so

What is sent is cut off, too large, ambiguous, too deep or of another type than it says.  Each gets the right status and,
where the request could be understood as one, a Status; afterwards nothing was stored, the server still serves, and its
memory has not grown with what was sent.
"""
import json
import os
import shutil
import socket
import sys

import apilib
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
