# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the daemon at each phase of a session's life, and a restart: the right end, nothing lost, the agent
started once, the commit pushed once, and reconciling again within a second."""
import os
import re
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from lib import GATED, TERMINAL, Platform, running, until  # noqa: E402

figures = []


def killed(p, **options):
    """kill -9, restart, and the time until a session made afterwards is reconciled."""
    p.kill9()
    p.restart(**options)


def reconciles(p):
    """From the start of the process until it has worked on a session that was made after it."""
    probe = p.session("probe-%d" % len(figures), "true")
    until(lambda: probe.phase, what="a new session to be reconciled")
    figures.append(time.monotonic() - p.started)
    probe.delete()


def right_end(p, s, name, branch="work"):
    """Completed; one commit of one agent was pushed; the log's numbers have no hole."""
    assert s.wait("Completed") == "Completed"
    assert s.read("starts") == "start\n", s.read("starts")
    assert p.origins.commits(name, branch) == 1, p.origins.seen
    assert p.origins.show(name, branch + ":README.md") == "hello\nline"
    seqs = [m["seq"] for m in s.messages()]
    assert seqs == list(range(1, len(seqs) + 1)), seqs
    assert s.status["repos"][0]["status"] == "pushed" and s.status["repos"][0]["total_added"] == 1, s.status
    jobs = p.request("GET", p.jobs())["items"]
    assert len([j for j in jobs if j["metadata"]["name"] == s.name + "-job"]) == 1
    run = s.status["runId"]
    ran = [m for m in s.messages() if m["type"] == "status" and "starting" in m.get("text", "")]
    assert {m["run"] for m in s.messages()} == {run} and len(ran) == 1, s.messages()


def begin(p, name):
    p.origins.make(name)
    return p.session(name, GATED, repos=[p.repo(name, "work")])


def test_after_the_post_before_anything_was_reconciled(p):
    p.stop()
    p.start(without=("agenticsession",))
    s = begin(p, "posted")
    assert s.phase == ""
    killed(p)
    reconciles(p)
    s.wait_file("up")
    s.touch("go")
    right_end(p, s, "posted")


def test_right_after_the_answer_to_the_post(p):
    p.origins.make("answered")
    s = p.session("answered", GATED, repos=[p.repo("answered", "work")])
    killed(p)
    reconciles(p)
    s.wait_file("up")
    s.touch("go")
    right_end(p, s, "answered")


def test_at_many_moments_between_pending_and_running(p):
    """The life of a session to its agent's start takes some 200 ms here: one kill in each part of it."""
    for ms in (5, 15, 30, 45, 60, 80, 110, 150, 200, 260):
        name = "early-%d" % ms
        s = begin(p, name)
        lib.pause(ms / 1000)
        killed(p)
        reconciles(p)
        s.touch_when_up("go")
        right_end(p, s, name)
        s.delete()


def test_while_creating(p):
    """Its git Secret is missing: the session is in Creating for as long as the test wants."""
    p.origins.make("creating")
    s = p.session("creating", GATED, repos=[p.repo("creating", "work", authSecret="late")])
    s.wait("Creating")
    job = p.get(p.jobs("creating-job"))["metadata"]["uid"]
    killed(p)
    reconciles(p)
    assert s.phase == "Creating", s.status
    p.secret("late", token="nothing")
    s.wait_file("up")
    s.touch("go")
    right_end(p, s, "creating")
    assert p.get(p.jobs("creating-job"))["metadata"]["uid"] == job


def test_while_cloning(p):
    p.origins.make("cloning")
    gate = p.origins.hold("cloning", "upload-pack")
    s = p.session("cloning", GATED, repos=[p.repo("cloning", "work")])
    gate.reached()
    killed(p)
    reconciles(p)
    gate.release()
    s.wait_file("up")
    s.touch("go")
    right_end(p, s, "cloning")
    # Once for its commits, once for the name of its default branch.
    assert p.origins.count("cloning", "upload-pack") == 2, p.origins.seen


def lasting(p, s):
    """pid -> start time of the processes of its pod, without those that are about to end: `touch` has made its file before, and
    the runner may just look at the clone."""
    table = lib.processes()
    return {pid: born for pid, born in p.pod_processes(s).items() if pid in table and not re.match("(touch|git) ", table[pid][2])}


def test_while_the_agent_runs(p):
    s = begin(p, "running")
    s.wait_file("up")
    s.wait("Running")
    run, start = s.status["runId"], s.status["startTime"]
    pods = lasting(p, s)
    killed(p)
    reconciles(p)
    assert s.phase == "Running" and s.status["runId"] == run and s.status["startTime"] == start, s.status
    assert pods and running(pods) == set(pods), "the pod was touched: %s" % sorted(set(pods) - running(pods))
    s.touch("go")
    right_end(p, s, "running")


def test_while_the_agent_runs_three_times(p):
    s = begin(p, "thrice")
    s.wait_file("up")
    for _ in range(3):
        killed(p)
    reconciles(p)
    s.touch("go")
    right_end(p, s, "thrice")


def test_the_agent_ends_while_nobody_is_there(p):
    """The run goes on without a daemon: what it pushed and reported is in the status afterwards."""
    s = begin(p, "alone")
    s.wait_file("up")
    s.wait("Running")
    p.kill9()
    s.touch("go")
    until(lambda: p.origins.commits("alone", "work"), what="the push")
    p.restart()
    reconciles(p)
    right_end(p, s, "alone")


def test_while_pushing(p):
    p.origins.make("pushing")
    gate = p.origins.hold("pushing", "receive-pack")
    s = p.session("pushing", GATED, repos=[p.repo("pushing", "work")])
    s.wait_file("up")
    s.wait("Running") # the agent may be there first
    s.touch("go")
    gate.reached()
    killed(p)
    reconciles(p)
    assert s.phase == "Running", s.status
    gate.release()
    right_end(p, s, "pushing")
    assert p.origins.count("pushing", "receive-pack") == 1


def test_after_completed_before_the_cleanup(p):
    """The Job goes after the restart: before it nobody is there who could delete it.  The session and what it says stays."""
    s = begin(p, "kept")
    s.wait_file("up")
    s.touch("go")
    s.wait("Completed")
    before = {k: v for k, v in s.status.items() if k != "observedGeneration"}
    assert p.get(p.jobs("kept-job")) is not None
    killed(p, without=("workloads",))
    p.patch(p.jobs("kept-job"), {"spec": {"ttlSecondsAfterFinished": 1}})
    killed(p)
    reconciles(p)
    right_end_after(p, s, before)


def right_end_after(p, s, before):
    until(lambda: p.get(p.jobs(s.name + "-job")) is None, what="the Job to be cleaned up")
    after = {k: v for k, v in s.status.items() if k != "observedGeneration"}
    assert after == before, (before, after)
    assert p.origins.commits(s.name, "work") == 1 and s.read("starts") == "start\n"


def gone(p, s, pods):
    until(lambda: s.get() is None, what="the session to go")
    for path in (p.jobs(s.name + "-job"), p.core("configmaps", s.name + "-report"),
                 p.core("serviceaccounts", "ambient-session-" + s.name),
                 p.core("persistentvolumeclaims", "ambient-workspace-" + s.name)):
        until(lambda path=path: p.get(path) is None, what=path + " to go")
    until(lambda: not [i for i in p.request("GET", p.core("pods"))["items"]
                       if i["metadata"]["labels"].get("agentic-session") == s.name], what="the pod to go")
    until(lambda: not running(pods), what="its processes to end")
    until(lambda: not os.path.exists(s.volume), what="the workspace to go")


def test_while_deleting(p):
    """The kill comes at several moments after the answer to DELETE."""
    for ms in (0, 20, 60, 150):
        name = "deleted-%d" % ms
        s = begin(p, name)
        s.wait_file("up")
        pods = p.pod_processes(s)
        assert pods
        s.delete()
        lib.pause(ms / 1000)
        killed(p)
        reconciles(p)
        gone(p, s, pods)
        assert p.origins.commits(name, "work") == 0


def test_while_stopping(p):
    s = begin(p, "stopping")
    s.wait_file("up")
    s.wait("Running")
    pods = p.pod_processes(s)
    p.patch(s.path, {"spec": {"desiredState": "Stopped"}})
    killed(p)
    s.wait("Stopped")
    until(lambda: not running(pods), what="its processes to end")
    assert p.origins.commits("stopping", "work") == 0


def test_nothing_is_lost_between_two_writes(p):
    """Every object whose POST was answered is there after a kill in the middle of many."""
    made = []
    for i in range(200):
        name = "row-%d" % i
        p.request("POST", p.core("configmaps"), {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
                                                 "data": {"i": str(i)}})
        made.append(name)
        if i in (60, 140):
            killed(p)
    there = {m["metadata"]["name"] for m in p.request("GET", p.core("configmaps"))["items"]}
    assert set(made) <= there


def test_all_ended_well_and_soon(p):
    sessions = p.request("GET", lib.GROUP % p.ns)["items"]
    assert all(s["status"]["phase"] in TERMINAL for s in sessions if not s["metadata"]["name"].startswith("probe"))
    ms = sorted(int(f * 1000) for f in figures)
    print("# reconciling again after kill -9, ms from the start of the process: %s" % ms)
    # Others use this machine as well: the typical restart counts, and the worst has a bound.
    patience = lib.PATIENCE / 60
    assert ms[len(ms) // 2] < 1000 * patience and ms[-1] < 10000 * patience, ms


def make():
    p = Platform("k9", agenticsession='keepJob = "10m"; startTimeout = "60s";')
    p.start()
    p.namespace()
    return p


if __name__ == "__main__":
    lib.preconditions()
    sys.exit(lib.main(sys.modules[__name__], make))
