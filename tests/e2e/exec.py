# SPDX-License-Identifier: Apache-2.0
"""Commands in running containers: at the node's endpoint as the API server talks to it, and by kubectl."""
import os
import re
import sys
import urllib.parse

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
import websocket  # noqa: E402
from lib import PATIENCE, Platform, until  # noqa: E402
from websocket import CLOSE, RESIZE, STDIN, Refused, Session, WebSocket  # noqa: E402


def pod(p, name, script="exec sleep 600", restart="Never", grace=1, **container):
    c = {"name": "c", "image": "ambient-runner:exec", "command": ["sh", "-c", script], "env": [{"name": "COLOUR", "value": "teal"}],
         "workingDir": "/tmp", **container}
    p.request("POST", p.core("pods"), {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
                                       "spec": {"restartPolicy": restart, "terminationGracePeriodSeconds": grace,
                                                "automountServiceAccountToken": False, "containers": [c]}})
    path = p.core("pods", name)
    until(lambda: p.get(path)["status"].get("phase") == "Running", what="%s to run" % name)
    return path


def node_port(p):
    return p.request("GET", "/api/v1/nodes")["items"][0]["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]


def dial(p, verb, name, command=(), stdin=False, stdout=True, stderr=True, tty=False, container="c", **options):
    query = [("command", w) for w in command] + [(k, "1") for k, v in (("input", stdin), ("output", stdout),
                                                                       ("error", stderr), ("tty", tty)) if v]
    path = "/%s/%s/%s/%s?%s" % (verb, p.ns, name, container, urllib.parse.urlencode(query))
    options.setdefault("context", websocket.kubelet_context(p.state + "/apiserver/pki"))
    return Session(WebSocket(node_port(p), path, timeout=PATIENCE, **options))


def sh(p, script, name="box", **options):
    return dial(p, "exec", name, ("sh", "-c", script), **options)


def test_output_and_exit_codes(p):
    for script, code in (("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("exec false", 1)):
        s = sh(p, "echo out; echo err >&2; " + script).finish()
        assert (s.out, s.err, s.code) == (b"out\n", b"err\n", code), (script, s.out, s.err, s.status)
        assert s.ws.close_code == 1000


def test_it_is_inside_the_container(p):
    s = sh(p, "echo $COLOUR; pwd; hostname; cat /proc/1/cmdline | tr '\\0' ' '; echo; id -u; "
              "grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status").finish()
    lines = s.out.decode().splitlines()
    assert lines[:4] == ["teal", "/tmp", "box", "sleep 600 "], s.out
    power = dict(re.findall(r"(\w+):\s*(\w+)", "\n".join(lines[5:])))
    assert int(power["CapEff"], 16) == 0 and power["NoNewPrivs"] == "1", power
    mine = sh(p, "ls -a /; cat /proc/self/cgroup").finish()
    assert b"home" not in mine.out.split(), mine.out


def test_stdin_half_close_and_binary(p):
    data = bytes(range(256)) * 1200
    s = sh(p, "cat; echo done >&2", stdin=True)
    for i in range(0, len(data), 30000):
        s.ws.send(STDIN, data[i:i + 30000])
    s.ws.send(CLOSE, bytes([STDIN]))
    s.finish()
    assert s.out == data and s.err == b"done\n" and s.code == 0, (len(s.out), s.err, s.status)


def test_v4_and_nobody_reads_stdin(p):
    s = sh(p, "exec sleep 0.3", stdin=True, protocols="v4.channel.k8s.io, v5.channel.k8s.io")
    assert s.ws.protocol == "v4.channel.k8s.io"
    s.ws.send(STDIN, b"x" * 500000)
    assert s.finish().code == 0, s.status
    s = sh(p, "exec 0<&-; sleep 0.1; echo still", stdin=True)
    s.ws.send(STDIN, b"x" * 500000)
    assert s.finish().out == b"still\n" and s.code == 0, s.status


def test_what_cannot_start(p):
    s = dial(p, "exec", "box", ("/no/such",)).finish()
    assert s.code is None and "No such file" in s.status["message"] and s.status["status"] == "Failure", s.status
    s = dial(p, "exec", "box", ("true",), container="other").finish()
    assert '"other"' in s.status["message"], s.status
    for args, status in (((p, "exec", "nobody", ("true",)), 404), ((p, "exec", "box"), 400)):
        try:
            dial(*args)
            raise AssertionError("%s was not refused" % (args,))
        except Refused as e:
            assert e.status == status, (args, e)
    try:
        dial(p, "exec", "box", ("true",), stdout=False, stderr=False)
        raise AssertionError("no streams were not refused")
    except Refused as e:
        assert e.status == 400, e


def test_only_the_api_server(p):
    stranger = lib.ssl.SSLContext(lib.ssl.PROTOCOL_TLS_CLIENT)
    stranger.check_hostname, stranger.verify_mode = False, lib.ssl.CERT_NONE
    p.request("GET", "/api")  # makes the administrator's certificate a file
    admin = lib.ssl.SSLContext(lib.ssl.PROTOCOL_TLS_CLIENT)
    admin.check_hostname, admin.verify_mode = False, lib.ssl.CERT_NONE
    admin.load_cert_chain(p.dir + "/client.pem")
    for context in (stranger, admin):
        try:
            sh(p, "true", context=context)
            raise AssertionError("a stranger was let in")
        except Refused as e:
            assert e.status == 403, e


def test_terminal(p):
    s = sh(p, "tty; test -t 0 && test -t 2 && echo terminal; read x; stty size; echo got $x", stdin=True, tty=True)
    s.until(b"terminal")
    s.ws.send(RESIZE, b'{"Width":123,"Height":45}')
    s.ws.send(STDIN, b"hi\r")
    s.finish()
    assert b"/dev/pts/" in s.out and b"45 123" in s.out and b"got hi" in s.out and s.code == 0, (s.out, s.status)
    s = sh(p, "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.05; done", stdin=True, tty=True)
    s.until(b"ready")
    s.ws.send(STDIN, b"\x03")
    assert s.finish().code == 5 and b"caught" in s.out, (s.out, s.status)


def sleepers(p, mark):
    return [pid for pid, (_, _, line) in lib.processes().items() if mark in line and "sleep" in line]


def test_client_vanishes(p):
    for tty in (False, True):
        mark = "3600.%d" % (os.getpid() * 10 + tty)
        s = sh(p, "echo up; sleep %s; true" % mark, stdin=True, tty=tty).until(b"up")
        until(lambda: sleepers(p, mark), what="the command to run")
        s.ws.close()
        until(lambda: not sleepers(p, mark), what="the command to be killed")


def test_the_container_ends_meanwhile(p):
    path = pod(p, "short", "trap 'exit 0' TERM; while :; do sleep 0.1; done")
    s = sh(p, "echo up; exec sleep 3600", name="short").until(b"up")
    p.request("DELETE", path)
    s.finish()
    assert s.code == 137 or s.status["status"] == "Failure", s.status
    until(lambda: p.get(path) is None, what="the pod to go")


def test_back_pressure_and_memory(p):
    def rss():
        with open("/proc/%d/status" % p.daemon.pid) as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))

    total = int(100e6 * float(os.environ.get("AMBIENT_SCALE", "1")))
    before = rss()
    s = sh(p, "head -c %d /dev/zero" % total)
    s.until(b"\0")
    # Nothing is read for a while: the command has to wait.
    lib.pause(0.3)
    assert rss() < before + 8192, (before, rss())
    got, top = 0, 0
    while s.step():
        got += len(s.out)
        s.out = b""
        if got % 64 == 0:
            top = max(top, rss())
    assert got == total and s.code == 0, (got, total, s.status)
    assert top < before + 16384, (before, top)


def test_many_at_once(p):
    open_ones = [sh(p, "echo up; exec sleep 600").until(b"up") for _ in range(32)]
    s = sh(p, "true").finish()
    assert s.code is None and "32" in s.status["message"], s.status
    for o in open_ones:
        o.ws.close()
    until(lambda: sh(p, "true").finish().code == 0, what="room again")


def make():
    p = Platform("exec", conf="")
    p.start()
    p.namespace()
    pod(p, "box")
    return p


if __name__ == "__main__":
    lib.preconditions()
    sys.exit(lib.main(sys.modules[__name__], make))
