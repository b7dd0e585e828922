# SPDX-License-Identifier: Apache-2.0
"""Sessions that run more than once: on their files, with their messages, never two runs at a time."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from lib import GATED, Platform, running, until  # noqa: E402


def start(p, s, runs):
    done = p.ctl("start", s.name)
    assert done.returncode == 0 and s.name in done.stdout, done.stdout
    until(lambda: s.status.get("runs") == runs, what="run %d of %s" % (runs, s.name))
    return done.stdout


def test_behaviour_start_from_each_terminal_phase_keeps_files(p):
    p.origins.make("thrice")
    s = p.session("thrice", GATED + "; exit $(cat ../code 2>/dev/null || echo 0)", repos=[p.repo("thrice", "work")])
    s.wait_file("up")
    with open(s.file("code"), "w") as f:
        f.write("1")
    s.touch("go")
    s.wait("Failed")
    assert s.status["runs"] == 1 and p.origins.commits("thrice", "work") == 0, s.status
    assert s.status["sdkRestartCount"] == 0, s.status
    first, claim = s.status["runId"], p.get(p.core("persistentvolumeclaims", "ambient-workspace-thrice"))["metadata"]["uid"]
    os.unlink(s.file("code"))
    assert "starts again" in start(p, s, 2)
    s.wait("Completed")
    assert s.read("starts") == "start\nstart\n" and s.status["runId"] != first, s.status
    assert p.get(p.core("persistentvolumeclaims", "ambient-workspace-thrice"))["metadata"]["uid"] == claim
    # The work of the run that failed was not lost: both lines are there.
    assert p.origins.show("thrice", "work:README.md").splitlines()[-2:] == ["line", "line"]
    start(p, s, 3)
    s.wait("Completed")
    assert s.read("starts") == "start\n" * 3
    assert s.status["sdkRestartCount"] == 2, s.status
    seqs = [m["seq"] for m in s.messages()]
    assert seqs == list(range(1, len(seqs) + 1)) and len({m["run"] for m in s.messages()}) == 3, seqs


def test_behaviour_start_after_a_timeout_and_after_a_stop_keeps_files(p):
    p.origins.make("later")
    s = p.session("later", GATED, repos=[p.repo("later", "work")], timeout=600)
    s.wait_file("up")
    p.patch(s.path, {"spec": {"timeout": 1}}) # as soon as the agent is there, however long that took
    s.wait("Timeout")
    claim = p.get(p.core("persistentvolumeclaims", "ambient-workspace-later"))["metadata"]["uid"]
    p.patch(s.path, {"spec": {"timeout": 600}})
    start(p, s, 2)
    until(lambda: s.read("starts") == "start\n" * 2, what="the second agent")
    s.wait("Running")
    assert p.ctl("stop", "later").returncode == 0
    s.wait("Stopped")
    start(p, s, 3)
    until(lambda: s.read("starts") == "start\n" * 3, what="the third agent")
    s.touch("go")
    s.wait("Completed")
    assert "stoppedReason" not in s.status and s.status["repos"][0]["status"] == "pushed", s.status
    assert p.get(p.core("persistentvolumeclaims", "ambient-workspace-later"))["metadata"]["uid"] == claim
    assert p.origins.commits("later", "work") == 1


def test_stop_and_start_while_it_stops(p):
    p.origins.make("again")
    s = p.session("again", GATED, repos=[p.repo("again", "work")])
    s.wait_file("up")
    s.wait("Running")
    pids = p.pod_processes(s)
    assert p.ctl("stop", "again").returncode == 0
    # As soon as that was seen (before it, the later wish alone would count), whether it has stopped by now or not.
    until(lambda: s.phase != "Running", what="the wish to stop to be seen")
    start(p, s, 2)
    until(lambda: not running(pids), what="the first run to end")
    s.wait("Running")
    until(lambda: s.read("starts") == "start\nstart\n", what="the second agent")
    s.touch("go")
    s.wait("Completed")
    assert p.origins.commits("again", "work") == 1
    said = p.ctl("start", "nobody")
    assert said.returncode == 3 and "nobody" in said.stdout, said.stdout


def test_start_of_a_running_session_changes_nothing(p):
    p.origins.make("once")
    s = p.session("once", GATED, repos=[p.repo("once", "work")])
    s.wait_file("up")
    s.wait("Running")
    said = p.ctl("start", "once")
    assert said.returncode == 0 and "had not ended" in said.stdout, said.stdout
    s.touch("go")
    s.wait("Completed")
    assert s.status["runs"] == 1 and s.read("starts") == "start\n", s.status


def test_restart_of_the_daemon_while_it_starts_again(p):
    p.origins.make("kill")
    s = p.session("kill", GATED, repos=[p.repo("kill", "work")])
    s.touch_when_up("go")
    s.wait("Completed")
    p.patch(s.path, {"spec": {"desiredState": "Running"}})
    p.kill9()
    p.restart()
    until(lambda: s.status.get("runs") == 2, what="the second run")
    s.wait("Completed")
    assert s.read("starts") == "start\nstart\n" and s.status["runs"] == 2, s.status


def test_weakness_12_2_a_a_continuation_works_on_the_files_of_another_session(p):
    p.origins.make("parent")
    first = p.session("parent", GATED, repos=[p.repo("parent", "work")])
    first.wait_file("up")
    first.wait("Running")
    body = {"apiVersion": "vteam.ambient-code/v1alpha1", "kind": "AgenticSession",
            "metadata": {"name": "child", "annotations": {"vteam.ambient-code/parent-session-id": "parent"}},
            "spec": {"prompt": "more", "runnerType": "command", "runnerConfig": {
                "command": ["sh", "-c", "cat $AMBIENT_SESSION_DIR/workspace/starts; echo child >> $AMBIENT_SESSION_DIR/workspace/starts"]}}}
    p.request("POST", lib.GROUP % p.ns, body)
    child = lib.Session(p, "child", p.ns)
    child.wait_reason("WorkspaceInUse")
    assert '"parent"' in child.message and p.get(p.jobs("child-job")) is None, child.status
    first.touch("go")
    first.wait("Completed")
    child.wait("Completed")
    assert first.read("starts") == "start\nchild\n", first.read("starts")
    assert p.get(p.core("persistentvolumeclaims", "ambient-workspace-child")) is None
    assert child.status["effective"]["continues"] == "parent" and child.status["results"] == "start", child.status


def test_weakness_12_2_a_a_continuation_waits_for_the_pod_of_one_that_was_deleted(p):
    """Two continuations of one session; the first is deleted, and its pod takes its time to end."""
    p.session("lender", "true").wait("Completed")

    def continuation(name, script):
        body = {"apiVersion": "vteam.ambient-code/v1alpha1", "kind": "AgenticSession",
                "metadata": {"name": name, "annotations": {"vteam.ambient-code/parent-session-id": "lender"}},
                "spec": {"prompt": "more", "runnerType": "command", "runnerConfig": {"command": ["sh", "-c", script]}}}
        p.request("POST", lib.GROUP % p.ns, body)
        return lib.Session(p, name, p.ns)

    first = continuation("first", "trap '' TERM; touch $AMBIENT_SESSION_DIR/workspace/up; while :; do sleep 0.1; done")
    first.wait("Running")
    up = "%s/pvc/%s/ambient-workspace-lender/sessions/lender/workspace/up" % (p.node_dir, p.ns)
    until(lambda: os.path.exists(up), what="the agent of the first")
    pids = p.pod_processes(first)
    second = continuation("second", "ls $AMBIENT_SESSION_DIR/workspace")
    second.wait_reason("WorkspaceInUse")
    first.delete()
    until(lambda: first.get() is None or second.phase != "Pending", what="the first to be gone")
    # Its agent does not want to end: until it does the second is not begun.
    assert second.phase == "Pending" or not running(pids), second.status
    second.wait("Completed", "Failed")
    assert second.phase == "Completed" and second.status["results"] == "up" and not running(pids), second.status


def test_a_session_made_again_under_its_name_has_files_of_its_own(p):
    """While the pod of the first one takes its time to end, and keeps the claim that goes with it."""
    s = p.session("twin", "trap '' TERM; touch ../up; while :; do sleep 0.1; done")
    s.wait("Running")
    until(lambda: os.path.exists(s.volume + "/workspace/up"), what="the agent")
    pids, claim = p.pod_processes(s), p.get(p.core("persistentvolumeclaims", "ambient-workspace-twin"))["metadata"]["uid"]
    s.delete()
    until(lambda: s.get() is None, what="the first to go")
    s = p.session("twin", "ls ..")
    s.wait("Completed")
    assert s.texts() == ["artifacts"] and not running(pids), (s.texts(), s.status)
    assert p.get(p.core("persistentvolumeclaims", "ambient-workspace-twin"))["metadata"]["uid"] != claim


def test_stop_and_start_seen_at_once_are_what_was_asked_last(p):
    s = p.session("both", "true")
    s.wait("Completed")
    for wishes, state in ((("start", "stop"), "Stopped"), (("stop", "start"), "Running")):
        runs = s.status["runs"]
        p.stop()
        p.start(without=("agenticsession",))
        for wish in wishes:
            done = p.ctl(wish, "both")
            assert done.returncode == 0, done.stdout
        p.stop()
        p.start()
        until(lambda: s.status.get("intent", {}).get("state") == state and s.status["observedGeneration"] == s.get()["metadata"]["generation"],
              what="both to be seen")
        until(lambda: s.status["runs"] == runs + (state == "Running"), what="the run that was asked for")
        s.wait("Completed")


if __name__ == "__main__":
    sys.exit(lib.suite(sys.modules[__name__], Platform, "again"))
