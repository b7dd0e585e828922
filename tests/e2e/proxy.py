# SPDX-License-Identifier: Apache-2.0
"""Into pods by the API server: the proxy of a pod that serves, and kubectl exec by way of it."""
import json
import os
import re
import shutil
import socket
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from lib import Platform, free_port, until  # noqa: E402

# Pods have addresses of their own on the machine's network, where others may listen on all of them.  Nobody gets the second
# port while it is ours, and we do not listen.
MUTE = socket.socket()
MUTE.bind(("", 0))
PORT, CLOSED = free_port(), MUTE.getsockname()[1]
SCRIPT = "mkdir -p /tmp/w && cd /tmp/w && echo hello from $NAME >index.html && exec python3 -m http.server --bind $IP %d" % PORT


def make():
    p = Platform("proxy")
    p.start()
    p.namespace()
    env = [{"name": k, "valueFrom": {"fieldRef": {"fieldPath": f}}} for k, f in (("IP", "status.podIP"), ("NAME", "metadata.name"))]
    for name in ("one", "two"):
        p.request("POST", p.core("pods"), {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False, "containers": [
                {"name": "c", "image": "ambient-runner:proxy", "command": ["sh", "-c", SCRIPT], "env": env,
                 "ports": [{"containerPort": PORT}]}]}})
    return p


def test_each_pod_answers_for_itself(p):
    for name in ("one", "two"):
        path = p.core("pods", name)
        until(lambda: p.request("GET", "%s:%d/proxy/" % (path, PORT), raw=True)[0] == 200, what="%s to serve" % name)
        for way in ("%s:%d" % (path, PORT), path, p.core("pods", "http:%s:%d" % (name, PORT))):
            assert p.request("GET", way + "/proxy/index.html", raw=True) == (200, b"hello from %s\n" % name.encode()), way
        assert p.request("GET", path + "/proxy/nothing", raw=True)[0] == 404
        status, text = p.request("GET", "%s:%d/proxy/" % (path, CLOSED), raw=True)
        assert status == 503 and b"error trying to reach service" in text, text


def test_kubectl_raw(p):
    if shutil.which("kubectl") is None:
        return lib.required("kubectl", "kubectl is not installed")
    done = p.kubectl("get", "--raw", p.core("pods", "http:one:%d" % PORT) + "/proxy/")
    assert done.returncode == 0 and done.stdout == "hello from one\n", done.stdout


def test_kubectl_exec(p):
    if shutil.which("kubectl") is None:
        return lib.required("kubectl", "kubectl is not installed")
    version = json.loads(p.kubectl("version", "--client", "-o", "json").stdout)["clientVersion"]
    done = p.kubectl("exec", "one", "--", "sh", "-c", "cat /tmp/w/index.html; exit 7")
    if int(re.match(r"\d+", version["minor"]).group()) < 31:
        assert done.returncode == 1 and "use kubectl 1.31 or later" in done.stdout, done.stdout
        return None
    assert done.returncode == 7 and done.stdout.startswith("hello from one\n"), (done.returncode, done.stdout)
    done = p.kubectl("exec", "-i", "one", "--", "wc", "-c", stdin=None, input="x" * 1000000)
    assert done.returncode == 0 and done.stdout.strip() == "1000000", done.stdout
    done = p.kubectl("exec", "one", "-c", "other", "--", "true")
    assert done.returncode == 1 and "container" in done.stdout and "other" in done.stdout, done.stdout
    return None


def test_ended_pod_is_not_reached(p):
    path = p.core("pods", "two")
    p.request("DELETE", path)
    until(lambda: p.get(path) is None, what="the pod to go")
    assert p.request("GET", "%s:%d/proxy/" % (path, PORT), raw=True)[0] == 404


if __name__ == "__main__":
    lib.preconditions()
    sys.exit(lib.main(sys.modules[__name__], make))
