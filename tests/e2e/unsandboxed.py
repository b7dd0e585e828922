# SPDX-License-Identifier: Apache-2.0
"""Pods of a node that is configured without a sandbox (sandbox = "none"): what the suite of exec and attach asks of
sandboxed ones holds for them, and they say what they are."""
import os
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from exec import (attach, kubectl, pod, sh, sleepers, test_attach, test_attach_once, test_attach_terminal,  # noqa: E402,F401
                  test_client_vanishes, test_kubectl_cp, test_kubectl_exec, test_kubectl_on_a_terminal,
                  test_output_and_exit_codes, test_stdin_half_close_and_binary, test_stop_with_sessions_open, test_terminal,
                  test_the_container_ends_meanwhile, test_v4_and_nobody_reads_stdin, test_what_cannot_start)
from lib import Platform, until  # noqa: E402


def ended(p, path, phase="Succeeded"):
    until(lambda: p.get(path)["status"]["phase"] in ("Succeeded", "Failed"), what=path + " to end")
    assert p.get(path)["status"]["phase"] == phase, p.get(path)["status"]
    return p.get(path)


def test_it_says_so(p):
    o = p.get(p.core("pods", "box"))
    until(lambda: p.get(p.core("pods", "box"))["metadata"].get("annotations", {}).get("standalone/sandbox") == "none",
          what="the annotation")
    node = p.request("GET", "/api/v1/nodes")["items"][0]["metadata"]["annotations"]
    assert node["standalone/sandbox"] == "none" and node["standalone/seccomp"] == "none", node
    until(lambda: any(e["reason"] == "Unsandboxed" and e["involvedObject"].get("uid") == o["metadata"]["uid"]
                      for e in p.request("GET", p.core("events"))["items"]), what="the event")


def test_what_it_shares_and_what_not(p):
    """The machine's file system and processes; no privileges that it did not have, and its volumes below $STANDALONE_ROOT."""
    s = sh(p, "readlink /proc/self/ns/mnt; grep NoNewPrivs /proc/self/status; echo $COLOUR; pwd").finish()
    lines = s.out.decode().split("\n")
    assert lines[0] == os.readlink("/proc/self/ns/mnt") and lines[1].endswith("1") and lines[2:4] == ["teal", "/tmp"], lines
    p.secret("unsandboxed", k="v")
    spec = {"restartPolicy": "Never", "automountServiceAccountToken": False, "volumes": [
        {"name": "e", "emptyDir": {}}, {"name": "s", "secret": {"secretName": "unsandboxed"}}], "containers": [
            {"name": "c", "image": "ambient-runner:x", "command": [
                "sh", "-c", "cd $STANDALONE_ROOT; echo kept > data/f; cat secret/k data/f; test ! -e /data; exec sleep 600"],
             "volumeMounts": [{"name": "e", "mountPath": "/data"}, {"name": "s", "mountPath": "/secret"}]}]}
    p.request("POST", p.core("pods"), {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "volumes"}, "spec": spec})
    path = p.core("pods", "volumes")
    until(lambda: p.get(path)["status"].get("phase") == "Running", what="it to run")
    until(lambda: b"kept" in p.request("GET", path + "/log", raw=True)[1], what="its output")
    assert p.request("GET", path + "/log", raw=True)[1] == b"vkept\n"
    s = sh(p, "cat $STANDALONE_ROOT/data/f", "volumes").finish()
    assert (s.out, s.code) == (b"kept\n", 0), (s.out, s.err, s.status)
    p.request("DELETE", path + "?gracePeriodSeconds=1")
    until(lambda: p.get(path) is None, what="it to go")


def test_what_needs_a_sandbox_is_refused(p):
    """Not ignored: a user, a group, a root that cannot be written."""
    for i, context in enumerate(({"runAsUser": os.geteuid() + 4242}, {"runAsGroup": os.getegid() + 4242},
                                 {"readOnlyRootFilesystem": True}, {"runAsUser": os.geteuid(), "runAsGroup": os.getegid()})):
        name = "needs-%d" % i
        p.request("POST", p.core("pods"), {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
            "restartPolicy": "Never", "containers": [{"name": "c", "image": "ambient-runner:x", "command": ["true"],
                                                      "securityContext": context}]}})
        if i == 3:
            ended(p, p.core("pods", name), "Succeeded")
            continue
        waiting = until(lambda: (p.get(p.core("pods", name))["status"].get("containerStatuses") or [{"state": {}}])[0]["state"].get(
            "waiting", {}).get("message"), what="the refusal")
        assert 'sandbox = "none"' in waiting and list(context)[0] in waiting, waiting
        p.request("DELETE", p.core("pods", name) + "?gracePeriodSeconds=0")


def test_logs(p):
    path = pod(p, "talks", "echo one; echo two >&2; sleep 0.2; exit 3", restart="OnFailure")
    until(lambda: p.get(path)["status"]["containerStatuses"][0]["lastState"].get("terminated"), what="its first end")
    ask = lambda query: p.request("GET", path + "/log?" + query, raw=True)[1]  # noqa: E731
    assert ask("previous=true") == b"one\ntwo\n" and ask("previous=true&stream=Stderr") == b"two\n", ask("previous=true")
    assert ask("previous=true&tailLines=1") == b"two\n" and ask("previous=true&limitBytes=3") == b"one"
    p.request("DELETE", path + "?gracePeriodSeconds=0")
    go, said = os.path.join(p.dir, "followed-go"), []
    path = pod(p, "followed", "echo begins; until [ -e %s ]; do sleep 0.02; done; echo ends" % go)
    reader = threading.Thread(target=lambda: said.append(p.request("GET", path + "/log?follow=true", raw=True)[1]), daemon=True)
    reader.start()
    until(lambda: b"begins" in ask(""), what="its first words")
    with open(go, "w"):
        pass
    reader.join(lib.PATIENCE)
    assert said == [b"begins\nends\n"], said


def test_nothing_is_left_behind(p):
    """What a container started in the background ends with it, and so does what exec started."""
    mark = "3600.%d" % (os.getpid() * 10 + 9)
    path = pod(p, "leaves", "sleep %s & sleep %s & exec sleep %s" % (mark, mark, mark))
    s = sh(p, "echo up; sleep %s; true" % mark, "leaves").until(b"up")
    assert len(sleepers(p, mark)) >= 4
    p.request("DELETE", path + "?gracePeriodSeconds=1")
    until(lambda: p.get(path) is None, what="the pod to go")
    s.finish()
    assert s.code in (137, None), s.status
    until(lambda: not sleepers(p, mark), what="its processes to end")


def make():
    p = Platform("open", node='sandbox = "none"', agenticsession='keepJob = "10m"; runAsUser = 0;')
    p.start()
    p.namespace()
    pod(p, "box")
    return p


if __name__ == "__main__":
    lib.preconditions()
    sys.exit(lib.main(sys.modules[__name__], make))
