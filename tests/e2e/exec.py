# SPDX-License-Identifier: Apache-2.0
"""Commands in running containers: at the node's endpoint as the API server talks to it, and by kubectl."""
import os
import re
import select
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
    def status():  # a node is registered before it says where it listens
        return p.request("GET", "/api/v1/nodes")["items"][0].get("status", {}).get("daemonEndpoints")

    until(status, what="the node's endpoint")
    return status()["kubeletEndpoint"]["Port"]


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
    # What every Debian has and no container; /home may be the way to what the configuration shows.
    assert not {b"boot", b"srv", b"media", b"mnt"} & set(mine.out.split()), mine.out


def test_containers_that_share_process_ids(p):
    """6.2, shareProcessNamespace: they see and signal each other, and one that ends is alone in that."""
    theirs, mine = ("3600.%d" % (os.getpid() * 10 + i) for i in (3, 4))
    one = {"image": "ambient-runner:exec", "env": [{"name": "COLOUR", "value": "teal"}]}
    p.request("POST", p.core("pods"), {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "shared"}, "spec": {
        "restartPolicy": "Always", "shareProcessNamespace": True, "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False, "containers": [
            {**one, "name": "c", "command": ["sh", "-c", "setsid sleep %s & exec sleep %s" % (theirs, theirs)]},
            {**one, "name": "d", "command": ["sleep", mine], "securityContext": {"runAsUser": os.geteuid()}}]}})
    path = p.core("pods", "shared")

    def count(mark):  # without bubblewrap, which has the container's words on its command line
        return len([1 for _, _, line in lib.processes().values() if line.startswith("sleep") and mark in line])

    def state(name):
        return {c["name"]: c for c in p.get(path)["status"].get("containerStatuses", ())}[name]

    until(lambda: p.get(path)["status"].get("phase") == "Running" and (count(theirs), count(mine)) == (2, 1), what="it to run")
    see = "cat /proc/1/comm; for c in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $c; echo; done; readlink /proc/1/root"
    s = sh(p, see, "shared", container="d").finish()
    lines = s.out.decode().splitlines()
    assert lines[0] == "pause" and lines.count("sleep %s " % theirs) == 2 and lines.count("sleep %s " % mine) == 1, (lines, s.err)
    assert lines[-1] != "/" and b"ambientd" not in s.out, lines
    instance = state("d")["state"]["running"]
    # Of the two only the first ends the container, and the other one goes with it.
    s = sh(p, "pkill -f 'sleep [3]%s'; echo $?; grep -E 'CapEff|NoNewPrivs' /proc/self/status" % theirs[1:], "shared",
           container="d").finish()
    assert s.out.startswith(b"0\n") and b"0000000000000000" in s.out and s.out.endswith(b"1\n"), (s.out, s.err)
    until(lambda: state("c")["restartCount"] == 1, what="the end of the one that was killed")
    assert state("c")["lastState"]["terminated"]["exitCode"] == 143, p.get(path)["status"]
    assert state("d")["state"]["running"] == instance and count(mine) == 1, p.get(path)["status"]
    p.request("DELETE", path + "?gracePeriodSeconds=1")
    until(lambda: p.get(path) is None, what="the pod to go")
    until(lambda: not sleepers(p, mine) and not sleepers(p, theirs), what="its processes to end")


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
    waiting = rss()
    got, top = 0, 0
    while s.step():
        got += len(s.out)
        s.out = b""
        if got % 64 == 0:
            top = max(top, rss())
    assert got == total and s.code == 0, (got, total, s.status)
    if os.environ.get("AMBIENT_SLOW"):
        return "a sanitizer keeps what was freed"
    assert waiting < before + 8192 and top < before + 16384, (before, waiting, top)
    return None


def test_many_at_once(p):
    open_ones = [sh(p, "echo up; exec sleep 600").until(b"up") for _ in range(32)]
    s = sh(p, "true").finish()
    assert s.code is None and "32" in s.status["message"], s.status
    for o in open_ones:
        o.ws.close()
    until(lambda: sh(p, "true").finish().code == 0, what="room again")


def attach(p, name, **options):
    s = dial(p, "attach", name, **options)
    s.step()  # the first message, an empty one, tells that it begins
    return s


def test_attach(p):
    path = pod(p, "echoes", "echo early; while read x; do echo got $x; echo err $x >&2; [ $x = end ] && exit 4; done", stdin=True)
    until(lambda: b"early" in p.request("GET", path + "/log", raw=True)[1], what="its first word")
    a, b = attach(p, "echoes", stdin=True), attach(p, "echoes")
    a.ws.send(STDIN, b"one\n")
    a.until(b"got one\n")
    b.until(b"got one\n")
    assert b"early" not in a.out + b.out, (a.out, b.out)
    # Whoever wrote is gone; without stdinOnce the program's input stays open.
    a.ws.send(CLOSE, bytes([STDIN]))
    a.ws.close()
    a = attach(p, "echoes", stdin=True)
    a.ws.send(STDIN, b"two\nend\n")
    for s in (a.finish(), b.finish()):
        assert b"got end\n" in s.out and b"err end\n" in s.err and s.status["status"] == "Success", (s.out, s.err, s.status)
    until(lambda: p.get(path)["status"]["phase"] == "Failed", what="the pod's end")
    log = p.request("GET", path + "/log", raw=True)[1]
    assert b"early" in log and b"got two" in log and b"err end" in log, log


def test_attach_once(p):
    path = pod(p, "once", "wc -c", stdin=True, stdinOnce=True)
    s = attach(p, "once", stdin=True)
    data = b"y" * 300000
    for i in range(0, len(data), 30000):
        s.ws.send(STDIN, data[i:i + 30000])
    s.ws.send(CLOSE, bytes([STDIN]))
    assert s.finish().out.strip() == b"300000", (s.out, s.status)
    until(lambda: p.get(path)["status"]["phase"] == "Succeeded", what="the pod's end")


def test_attach_terminal(p):
    path = pod(p, "screen", "tty; read x; stty size; echo got $x; exit 0", stdin=True, tty=True)
    s = attach(p, "screen", stdin=True, tty=True)
    s.ws.send(RESIZE, b'{"Width":99,"Height":33}')
    s.ws.send(STDIN, b"hello\r")
    s.finish()
    assert b"33 99" in s.out and b"got hello" in s.out and s.status["status"] == "Success", (s.out, s.status)
    log = p.request("GET", path + "/log", raw=True)[1]
    assert b"/dev/" in log and b"got hello" in log, log
    path = pod(p, "jobs", "trap 'echo caught; exit 0' INT; echo up; while :; do sleep 0.05; done", stdin=True, tty=True)
    s = attach(p, "jobs", stdin=True, tty=True)
    until(lambda: b"up" in p.request("GET", path + "/log", raw=True)[1], what="the program to be there")
    s.ws.send(STDIN, b"\x03")
    assert b"caught" in s.finish().out, s.out


def test_a_slow_viewer_is_left_behind(p):
    """It holds up the program, but not for long, and its end costs the log nothing."""
    path = pod(p, "floods", "read x; head -c 3000000 /dev/zero | tr '\\0' 'z'; echo; echo last", stdin=True)
    slow = attach(p, "floods", stdin=True)
    slow.ws.sock.setsockopt(lib.socket.SOL_SOCKET, lib.socket.SO_RCVBUF, 4096)
    slow.ws.send(STDIN, b"go\n")
    until(lambda: p.get(path)["status"]["phase"] == "Succeeded", what="the program to end")
    log = p.request("GET", path + "/log", raw=True)[1]
    assert log.count(b"z") == 3000000 and log.endswith(b"last\n"), len(log)
    slow.ws.close()


def kubectl(p, *args, data=None):
    done = lib.subprocess.run(["kubectl", "--kubeconfig", p.kubeconfig, "--cache-dir", p.dir + "/kubectl", "-n", p.ns, *args],
                              input=data, stdout=lib.subprocess.PIPE, stderr=lib.subprocess.PIPE, env=p.env, timeout=2 * PATIENCE,
                              check=False)
    return done.returncode, done.stdout, done.stderr


def too_old(p):
    """Why this kubectl cannot, or None."""
    if lib.shutil.which("kubectl") is None:
        return lib.required("kubectl", "kubectl is not installed")
    minor = int(lib.json.loads(p.kubectl("version", "--client", "-o", "json").stdout)["clientVersion"]["minor"].rstrip("+"))
    return None if minor >= 31 else "kubectl 1.%d speaks SPDY only" % minor


def test_a_bare_pod_is_always_started_again(p):
    """kubectl run NAME --image=I: the policy is Always when nothing is said.  An end without a mistake counts too."""
    p.request("POST", p.core("pods"), {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "again"}, "spec": {
        "terminationGracePeriodSeconds": 1, "containers": [{"name": "c", "image": "ambient-runner:exec",
                                                            "command": ["sh", "-c", "echo run; exit 0"]}]}})
    path = p.core("pods", "again")
    uid = p.get(path)["metadata"]["uid"]
    assert p.get(path)["spec"]["restartPolicy"] == "Always"
    until(lambda: p.get(path)["status"].get("containerStatuses", [{}])[0].get("restartCount", 0) >= 1, what="a second run")
    status = p.get(path)["status"]
    last = status["containerStatuses"][0]["lastState"]["terminated"]
    assert (status["phase"], last["exitCode"], last["reason"]) == ("Running", 0, "Completed"), status
    assert p.request("GET", path + "/log?previous=true", raw=True)[1] == b"run\n"
    p.request("DELETE", path + "?gracePeriodSeconds=1")
    until(lambda: p.get(path) is None, what="it to go")
    until(lambda: not p.shims(uid), what="its shim to go")


def test_kubectl_exec(p):
    why = too_old(p)
    if why:
        return why
    for script, code in (("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)):
        rc, out, err = kubectl(p, "exec", "box", "--", "sh", "-c", "echo hi; " + script)
        assert (rc, out) == (code, b"hi\n"), (rc, out, err)
    data = bytes(range(256)) * 4000
    rc, out, err = kubectl(p, "exec", "-i", "box", "--", "cat", data=data)
    assert rc == 0 and out == data, (rc, len(out), err)
    rc, out, err = kubectl(p, "exec", "box", "--", "/no/such")
    assert rc == 1 and b"cannot start" in err, (rc, err)
    return None


def test_kubectl_shows_what_the_node_says(p):
    """After a refusal kubectl asks once more by SPDY, and prints what it hears then."""
    why = too_old(p)
    if why:
        return why
    path = pod(p, "second")
    open_ones = [sh(p, "echo up; exec sleep 600", name).until(b"up") for name in ("box", "second") for _ in range(32)]
    try:
        rc, out, err = kubectl(p, "exec", "box", "--", "true")
        assert rc == 1 and b"64 sessions of exec and attach are open on this node already; try again later" in err, (rc, err)
    finally:
        for s in open_ones:
            s.ws.sock.close()
    until(lambda: kubectl(p, "exec", "box", "--", "true")[0] == 0, what="room for another session")
    p.request("DELETE", path)
    return None


def test_kubectl_cp(p):
    why = too_old(p)
    if why:
        return why
    data = os.urandom(300000)
    source, back = p.dir + "/source", p.dir + "/back"
    with open(source, "wb") as f:
        f.write(data)
    for args in ((source, "box:/tmp/copy"), ("box:/tmp/copy", back)):
        rc, out, err = kubectl(p, "cp", *args)
        assert rc == 0, (args, out, err)
    with open(back, "rb") as f:
        assert f.read() == data
    return None


def on_terminal(p, args, typed):
    """What kubectl says on a terminal, when it is told each of the words after the text before it has come."""
    master, slave = os.openpty()
    child = lib.subprocess.Popen(["kubectl", "--kubeconfig", p.kubeconfig, "--cache-dir", p.dir + "/kubectl", "-n", p.ns, *args],
                                 stdin=slave, stdout=slave, stderr=slave, env=p.env, start_new_session=True)
    os.close(slave)
    said = b""
    try:
        while True:
            if typed and typed[0][0] in said:
                os.write(master, typed.pop(0)[1])
            if not lib.until(lambda: select.select([master], [], [], 0.05)[0], what="kubectl to say more, after %r" % said):
                break
            said += os.read(master, 4096)
    except OSError:
        pass  # its end
    finally:
        os.close(master)
        try:
            child.wait(PATIENCE)
        finally:
            child.kill()
    return child.returncode, said


def test_kubectl_on_a_terminal(p):
    why = too_old(p)
    if why:
        return why
    rc, said = on_terminal(p, ("exec", "-it", "box", "--", "sh", "-c", "tty; read x; echo got $x; exit 3"),
                           [(b"/dev/pts/", b"words\r")])
    assert rc == 3 and b"got words" in said, (rc, said)
    path = pod(p, "shell", "echo hello; while read x; do echo got $x; [ $x = end ] && exit 0; done", stdin=True, tty=True,
               stdinOnce=True)
    rc, said = on_terminal(p, ("attach", "-it", "shell"), [(b"", b"one\r"), (b"got one", b"end\r")])
    assert rc == 0 and b"got end" in said, (rc, said)
    until(lambda: p.get(path)["status"]["phase"] == "Succeeded", what="the pod's end")
    return None


def test_stop_with_sessions_open(p):
    mark = "3600.%d" % (os.getpid() * 10 + 7)
    s = sh(p, "echo up; sleep %s; true" % mark).until(b"up")
    assert p.stop() == 0
    s.finish()
    assert s.code is None and s.ws.close_code == 1001, (s.status, s.ws.close_code)
    until(lambda: not sleepers(p, mark), what="the command to be killed")
    p.restart()
    until(lambda: p.get(p.core("pods", "box"))["status"]["phase"] == "Running", what="the pod to be there")
    def again():
        try:
            return sh(p, "echo again").finish().out == b"again\n"
        except (OSError, EOFError, Refused):
            return False  # the Node does not tell the new port yet, and the old one may be anybody's

    until(again, what="the node to serve again")


def make():
    p = Platform("exec", conf="")
    p.start()
    p.namespace()
    pod(p, "box")
    return p


if __name__ == "__main__":
    lib.preconditions()
    sys.exit(lib.main(sys.modules[__name__], make))
