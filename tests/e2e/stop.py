# SPDX-License-Identifier: Apache-2.0
"""The end of a session by somebody's wish: stop, delete, timeout; and ambientctl by the commands that a person types,
with their exit codes."""
import json
import os
import signal
import subprocess
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from lib import GATED, GROUP, Platform, running, until  # noqa: E402


def begin(p, name, script=GATED, **spec):
    p.origins.make(name)
    s = p.session(name, script, repos=[p.repo(name, "work")], **spec)
    s.wait_file("up")
    s.wait("Running")
    pods = p.pod_processes(s)
    assert len(pods) >= 3, pods
    return s, pods


def ended(pods):
    until(lambda: not running(pods), what="its processes to end")


def everything_of(p, s):
    return [p.jobs(s.name + "-job"), p.core("configmaps", s.name + "-report"),
            p.core("serviceaccounts", "ambient-session-" + s.name),
            p.core("persistentvolumeclaims", "ambient-workspace-" + s.name),
            "/apis/rbac.authorization.k8s.io/v1/namespaces/%s/roles/ambient-session-%s-role" % (p.ns, s.name),
            "/apis/rbac.authorization.k8s.io/v1/namespaces/%s/rolebindings/ambient-session-%s-rb" % (p.ns, s.name)]


def gone(p, s, pods):
    until(lambda: s.get() is None, what="the session to go")
    for path in everything_of(p, s):
        until(lambda path=path: p.get(path) is None, what=path + " to go")
    until(lambda: not p.request("GET", p.core("pods") + "?labelSelector=agentic-session%3D" + s.name)["items"],
          what="the pod to go")
    ended(pods)
    until(lambda: not os.path.exists(os.path.dirname(os.path.dirname(s.volume))), what="the volume to go")


def test_stop_by_the_spec(p):
    s, pods = begin(p, "stopspec")
    p.patch(s.path, {"spec": {"desiredState": "Stopped"}})
    s.wait("Stopped")
    ended(pods)
    assert s.reason == "UserStopped" and s.status["completionTime"], s.status
    # The run ended by itself, so the Job and the pod stay, for as long as keepJob says.
    until(lambda: any((c["type"], c["status"]) == ("Failed", "True") for c in p.get(p.jobs("stopspec-job"))["status"].get("conditions", [])),
          what="the Job to fail")
    assert "the run was stopped" in says(p.ctl("logs", "stopspec"), 0)
    assert p.origins.commits("stopspec", "work") == 0
    # The workspace stays, and what the agent did so far with it.
    assert s.read("starts") == "start\n" and p.get(p.core("persistentvolumeclaims", "ambient-workspace-stopspec"))
    states = [m["state"] for m in s.messages() if m["type"] == "session"]
    assert states[-1] == "stopped", s.messages()


def test_stop_rescues_the_work_when_the_session_asks_for_it(p):
    s, pods = begin(p, "rescued", "echo half > half; " + GATED, rescue=True)
    pod = [o for o in p.request("GET", p.core("pods"))["items"] if o["metadata"]["labels"]["agentic-session"] == "rescued"][0]
    assert pod["spec"]["terminationGracePeriodSeconds"] == 90
    p.patch(s.path, {"spec": {"desiredState": "Stopped"}})
    s.wait("Stopped")
    ended(pods)
    r = s.status["repos"][0]
    assert (r["status"], r["branch"]) == ("pushed", "ambient/rescue/rescued-" + pod["metadata"]["annotations"]["ambient-code.io/run-id"]), r
    assert p.origins.commits("rescued", r["branch"]) == 1 and p.origins.commits("rescued", "work") == 0


def test_stop_by_the_annotation(p):
    s, pods = begin(p, "stopnote")
    p.patch(s.path, {"metadata": {"annotations": {"ambient-code.io/desired-phase": "Stopped",
                                                  "ambient-code.io/stop-requested-at": "2026-01-01T00:00:00Z"}}})
    s.wait("Stopped")
    ended(pods)


def test_stop_of_an_agent_that_does_not_want_to(p):
    s, pods = begin(p, "stubborn", "trap '' TERM INT HUP; touch ../up; setsid sh -c 'trap \"\" TERM HUP; "
                    "while :; do sleep 0.1; done' & while :; do sleep 0.1; done")
    p.patch(s.path, {"spec": {"desiredState": "Stopped"}})
    s.wait("Stopped", seconds=lib.PATIENCE * 2)
    ended(pods)


def test_stop_before_it_runs(p):
    p.origins.make("early")
    gate = p.origins.hold("early", "upload-pack")
    s = p.session("early", GATED, repos=[p.repo("early", "work")])
    gate.reached()
    p.patch(s.path, {"spec": {"desiredState": "Stopped"}})
    s.wait("Stopped")
    until(lambda: not p.pod_processes(s), what="its processes to end")
    gate.release()
    assert s.read("starts") == ""
    s = p.session("never", "true", desiredState="Stopped")
    s.wait("Stopped")
    assert p.get(p.jobs("never-job")) is None


def test_delete_while_it_runs(p):
    before = p.mounts() # of which some may still be on their way out
    s, pods = begin(p, "deleted")
    assert all(p.get(path) for path in everything_of(p, s)) and os.path.exists(s.volume)
    uids = [pod["metadata"]["uid"] for pod in p.request("GET", p.core("pods"))["items"]
            if pod["metadata"]["labels"]["agentic-session"] == "deleted"]
    assert len(uids) == 1 and os.path.exists("%s/pods/%s" % (p.node_dir, uids[0]))
    s.delete()
    gone(p, s, pods)
    until(lambda: p.mounts() <= before, what="its mounts to go")
    assert p.origins.commits("deleted", "work") == 0
    until(lambda: not any(os.path.exists("%s/pods/%s" % (p.node_dir, uid)) for uid in uids), what="the pod's directory to go")


def test_delete_while_it_pushes(p):
    p.origins.make("pushdel")
    gate = p.origins.hold("pushdel", "receive-pack")
    s = p.session("pushdel", GATED, repos=[p.repo("pushdel", "work")])
    s.wait_file("up")
    s.touch("go")
    gate.reached()
    pods = p.pod_processes(s)
    s.delete()
    gone(p, s, pods)
    gate.release()


def test_the_name_again_after_a_delete(p):
    """A session of the same name is another session: nothing of the old one is taken over."""
    s, pods = begin(p, "again")
    uid = s.get()["metadata"]["uid"]
    s.delete()
    gone(p, s, pods)
    s = p.session("again", GATED, repos=[p.repo("again", "work")])
    s.wait_file("up")
    assert s.read("starts") == "start\n" and s.get()["metadata"]["uid"] != uid
    s.touch("go")
    s.wait("Completed")
    assert p.origins.commits("again", "work") == 1


def test_delete_of_the_namespace(p):
    p.namespace("short")
    s = p.session("s", 'W=$AMBIENT_SESSION_DIR/workspace; touch $W/up; while :; do sleep 0.1; done', ns="short")
    s.wait_file("up")
    pods = p.pod_processes(s)
    p.request("DELETE", "/api/v1/namespaces/short")
    until(lambda: p.get("/api/v1/namespaces/short") is None, what="the namespace to go")
    ended(pods)
    until(lambda: not os.path.exists(s.volume), what="the volume to go")


def test_timeout(p):
    """It is late from when its runner began, to clone too."""
    p.origins.make("late")
    seconds, pods = max(3, round(lib.PATIENCE / 20)), {}
    s = p.session("late", GATED, repos=[p.repo("late", "work")], timeout=seconds)
    until(lambda: pods.update(p.pod_processes(s)) or s.phase == "Timeout", what="its end")
    assert s.reason == "Timeout" and "timeout of %d s" % seconds in s.message, s.status
    assert len(pods) >= 3, pods
    ended(pods)
    assert p.origins.commits("late", "work") == 0 and s.read("starts") == "start\n"


# ---- ambientctl

def says(done, code, *parts):
    assert done.returncode == code, (done.returncode, done.stdout)
    for part in parts:
        assert part in done.stdout, (part, done.stdout)
    return done.stdout


def go_when_running(p, name, *words):
    """Runs ambientctl, and lets the session's agent go when it is told to be Running: no phase is over before it was said."""
    child = subprocess.Popen([p.tree.root + "/bin/ambientctl", "--kubeconfig", p.kubeconfig, "-n", p.ns, *words], env=p.env,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    limit, text = threading.Timer(lib.PATIENCE * 2, child.kill), ""
    limit.start()
    try:
        with child.stdout:
            for line in child.stdout:
                text += line
                if line.startswith("Running"):
                    lib.Session(p, name, p.ns).touch_when_up("go")
        child.wait(lib.PATIENCE)
    finally:
        limit.cancel()
        child.kill()
    return subprocess.CompletedProcess(words, child.returncode, text)


def test_run_follow(p):
    url = p.origins.make("ctl")
    script = "cat; echo; touch ../up; while [ ! -e ../go ]; do sleep 0.02; done; echo line >> README.md; echo all done"
    text = says(go_when_running(p, "ctl", "run", "please add a line", "--name", "ctl", "--repo", url, "--branch", "main", "--push-to",
                                "work", "--command", script, "--follow"), 0,
                'session "ctl" in namespace "team"', "Creating", "Running", "please add a line", "all done", "Completed")
    assert text.index("Creating") < text.index("Running") < text.index("all done"), text
    assert p.origins.commits("ctl", "work") == 1 and "\033" not in text
    says(p.ctl("get"), 0, "NAME", "PHASE", "ctl", "Completed")
    says(p.ctl("get", "ctl"), 0, "ctl", "command")
    says(p.ctl("get", "-A"), 0, "NAMESPACE", "team")
    says(p.ctl("describe", "ctl"), 0, "Name", "please add a line", url + " (main) -> work", "pushed", "Conditions", "Events",
         "Completed")
    says(p.ctl("messages", "ctl"), 0, "please add a line", "all done")
    lines = says(p.ctl("messages", "ctl", "-o", "json"), 0).splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, len(lines) + 1))
    says(p.ctl("logs", "ctl"), 0, '"type":"text"')
    says(p.ctl("logs", "ctl", "-c", "agent"), 0)
    assert json.loads(says(p.ctl("get", "ctl", "-o", "json"), 0))["status"]["phase"] == "Completed"
    says(p.ctl("delete", "ctl"), 0)
    says(p.ctl("get", "ctl"), 3, "ctl")


def test_run_follow_says_how_it_ended(p):
    says(p.ctl("run", "x", "--name", "ctlfail", "--command", "echo it broke >&2; exit 3", "--follow"), 1, "Failed", "it broke")
    says(p.ctl("run", "x", "--name", "ctllate", "--command", "sleep 60", "--timeout", "1s", "--follow"), 124, "Timeout")
    says(p.ctl("run", "x", "--name", "ctlfail", "--command", "true"), 5, "ctlfail", "already exists")
    says(p.ctl("run", "x", "--name", "ctlbad", "--command", "true", "--repo", "file:///etc", "--follow"), 5,
         "spec.repos[0].input.url", "must be an https, http or ssh URL")
    assert p.get(lib.GROUP % p.ns + "/ctlbad") is None


def test_run_follow_in_json(p):
    text = says(p.ctl("run", "x", "--name", "ctljson", "--command", "echo hi", "--follow", "-o", "json"), 0)
    lines = [json.loads(line) for line in text.splitlines() if line.startswith('{"seq"')]
    assert any(line.get("text") == "hi" for line in lines), text
    assert '"Completed"' in text, text


def test_run_from_standard_input(p):
    done = p.ctl("run", "-", "--name", "ctlin", "--command", "wc -c", "--follow", stdin=None, input="y" * 200000)
    says(done, 0, "200000")


def test_interrupting_a_follower_leaves_the_session_alone(p):
    script = 'W=$AMBIENT_SESSION_DIR/workspace; touch $W/up; echo hello; while [ ! -e $W/go ]; do sleep 0.02; done'
    follower = subprocess.Popen([p.tree.root + "/bin/ambientctl", "--kubeconfig", p.kubeconfig, "-n", p.ns, "run", "x", "--name",
                                 "ctlint", "--command", script, "--follow"], env=p.env, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    s = lib.Session(p, "ctlint", p.ns)
    try:
        s.wait_file("up")
        for line in follower.stdout:
            if "hello" in line:
                break
        follower.send_signal(signal.SIGINT)
        assert follower.wait(lib.PATIENCE) == 130
    finally:
        if follower.poll() is None:
            follower.kill()
        follower.stdout.close()
    s.wait("Running") # what it says may be known earlier
    s.touch("go")
    s.wait("Completed")


def test_logs_and_messages_followed(p):
    script = 'W=$AMBIENT_SESSION_DIR/workspace; touch $W/up; echo hello; while [ ! -e $W/go ]; do sleep 0.02; done; echo good bye'
    s = p.session("ctllog", script)
    s.wait_file("up")
    for words in (("logs", "ctllog", "-f"), ("messages", "ctllog", "-f")):
        reader = subprocess.Popen([p.tree.root + "/bin/ambientctl", "--kubeconfig", p.kubeconfig, "-n", p.ns, *words], env=p.env,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        s.__dict__.setdefault("readers", []).append(reader)
        assert any("hello" in line for line in iter(reader.stdout.readline, ""))
    s.touch("go")
    for reader in s.readers:
        rest = reader.stdout.read()
        assert reader.wait(lib.PATIENCE) == 0 and "good bye" in rest, rest
        reader.stdout.close()


def test_stop_and_delete_by_ambientctl(p):
    s, pods = begin(p, "ctlstop")
    says(p.ctl("stop", "ctlstop"), 0, "ctlstop")
    s.wait("Stopped")
    ended(pods)
    says(p.ctl("stop", "nobody"), 3, "nobody")
    says(p.ctl("delete", "ctlstop"), 0)
    gone(p, s, pods)
    says(p.ctl("delete", "nobody"), 3, "nobody")
    says(p.ctl("describe", "nobody"), 3, "nobody")
    says(p.ctl("logs", "nobody"), 3, "nobody")
    says(p.ctl("messages", "nobody"), 3, "nobody")


def test_a_session_without_a_pod_has_no_log(p):
    p.session("nolog", None, runnerType="magic").wait("Failed")
    done = p.ctl("logs", "nolog")
    assert done.returncode != 0 and "nolog" in done.stdout, (done.returncode, done.stdout)


def test_rule_50_the_daemon_stops_in_order_and_leaves_the_run_alone(p):
    """SIGTERM: exit 0, the pods stay; the next daemon takes them over."""
    s, pods = begin(p, "over")
    assert p.stop() == 0, p.log()[-1500:]
    assert running(pods) == set(pods)
    p.restart()
    assert s.phase == "Running", s.status
    s.touch("go")
    s.wait("Completed")
    assert p.origins.commits("over", "work") == 1


def test_nothing_is_left(p):
    """After everything was deleted: no processes, no pods' directories, no volumes."""
    for item in p.request("GET", GROUP % p.ns)["items"]:
        p.request("DELETE", GROUP % p.ns + "/" + item["metadata"]["name"])
    until(lambda: not p.shims(), what="the shims to end")
    until(lambda: not os.listdir(p.node_dir + "/pods"), what="the pods' directories to go")
    until(lambda: not [d for d in os.listdir(p.node_dir + "/pvc/team") if not d.startswith(".")], what="volumes to go")
    for kind in ("pods", "persistentvolumeclaims", "secrets"):
        until(lambda kind=kind: not p.request("GET", p.core(kind))["items"], what=kind + " to go")
    until(lambda: not p.request("GET", p.jobs())["items"], what="jobs to go")
    assert not p.mounts()


if __name__ == "__main__":
    sys.exit(lib.suite(sys.modules[__name__], Platform, "stop"))
