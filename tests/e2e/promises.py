# SPDX-License-Identifier: Apache-2.0
"""What the platform's documents promise of a session and what its users suffered from, as far as it is seen through the
API alone: tests/cluster runs the same against a real control plane."""
import json
import os
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from lib import GATED, GATED_BARE, GROUP, Platform, processes, until  # noqa: E402

OWNED = ("persistentvolumeclaims", "configmaps", "serviceaccounts", "jobs", "roles", "rolebindings", "pods")


def of_kind(p, kind):
    group = {"jobs": "/apis/batch/v1", "roles": "/apis/rbac.authorization.k8s.io/v1",
             "rolebindings": "/apis/rbac.authorization.k8s.io/v1"}.get(kind, "/api/v1")
    return "%s/namespaces/%s/%s" % (group, p.ns, kind)


class Watch:
    """All that is told of a resource of the namespace from now on."""

    def __init__(self, p, path):
        since = p.request("GET", path)["metadata"]["resourceVersion"]
        self.conn, self.events = p._connect(), []
        self.conn.request("GET", path + "?watch=true&resourceVersion=" + since)
        self.answer = self.conn.getresponse()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        try:
            for line in self.answer:
                self.events.append(json.loads(line))
        except (OSError, ValueError, AttributeError):
            pass # closed

    def of(self, name, *types):
        return [e for e in self.events if e["type"] in types and e["object"]["metadata"]["name"].startswith(name)]

    def phases(self, name):
        """The phases that followed one another."""
        found = []
        for e in self.of(name, "ADDED", "MODIFIED"):
            phase = e["object"].get("status", {}).get("phase", "")
            if not found or found[-1] != phase:
                found.append(phase)
        return found

    def close(self):
        self.conn.sock.shutdown(2)
        self.thread.join(lib.PATIENCE)
        self.conn.close()


def test_behaviour_11_5_empty_status_and_created_once_whatever_is_repeated(p):
    """Events without end while it is being made, and each object is made once; phases only go forward."""
    watches = {kind: Watch(p, of_kind(p, kind)) for kind in OWNED}
    sessions = Watch(p, GROUP % p.ns)
    s = p.session("once", GATED_BARE)
    for n in range(200):
        p.patch(s.path, {"metadata": {"annotations": {"note": str(n)}}})
        if s.phase == "Running":
            break
    s.touch_when_up("go")
    s.wait("Completed")
    until(lambda: sessions.phases("once")[-1:] == ["Completed"], what="the end to be told")
    phases = sessions.phases("once")
    # What is over before it could be written down is not there.
    order = ["", "Pending", "Creating", "Running", "Completed"]
    assert phases[:2] == order[:2] and phases[-1] == order[-1] and phases == [x for x in order if x in phases], phases
    for kind, name in (("persistentvolumeclaims", "ambient-workspace-once"), ("configmaps", "once-report"), ("jobs", "once-job"),
                       ("serviceaccounts", "ambient-session-once"), ("roles", "ambient-session-once"), ("rolebindings", "ambient-session-once"),
                       ("pods", "once-job-")):
        until(lambda kind=kind, name=name: watches[kind].of(name, "ADDED"), what="%s to be told" % name) # each watch has its own pace
        added = [e["object"]["metadata"]["name"] for e in watches[kind].of(name, "ADDED")]
        assert len(added) == 1 and not watches[kind].of(name, "DELETED"), (kind, added)
    for w in (sessions, *watches.values()):
        w.close()


def test_behaviour_11_5_owner_references_weakness_12_2_d(p):
    """All that a session has made is its own, by a version that is served; its pod is the Job's."""
    s = p.session("owner", GATED_BARE)
    s.wait_file("up")
    uid, seen = s.get()["metadata"]["uid"], set()
    for kind in OWNED:
        for o in p.request("GET", of_kind(p, kind))["items"]:
            if o["metadata"].get("annotations", {}).get("ambient-code.io/session") != "owner" and "owner" not in o["metadata"]["name"]:
                continue
            (ref,) = o["metadata"]["ownerReferences"]
            want = ("batch/v1", "Job") if kind == "pods" else ("vteam.ambient-code/v1alpha1", "AgenticSession")
            assert (ref["apiVersion"], ref["kind"]) == want and ref["controller"] is True, (kind, ref)
            assert kind == "pods" or (ref["uid"], ref["name"]) == (uid, "owner"), (kind, ref)
            seen.add(kind)
    assert seen == set(OWNED), seen
    s.touch("go")
    s.wait("Completed")


def test_behaviour_11_5_terminal_phase_is_left_by_start_only_weakness_12_1_k(p):
    p.origins.make("final")
    s = p.session("final", "echo x >> ../ran", repos=[p.repo("final")])
    s.wait("Completed")
    before = s.status

    def others(n):
        """Another session comes and ends: whatever was to be done for this one has been done."""
        p.session("after-final-%d" % n, "true").wait("Completed")
        now = s.status
        assert (now["phase"], now["runs"], now["completionTime"]) == (before["phase"], before["runs"], before["completionTime"]), now

    p.patch(s.path, {"spec": {"prompt": "something else"}, "metadata": {"annotations": {"note": "x"}}})
    p.request("DELETE", p.jobs("final-job") + "?propagationPolicy=Background")
    until(lambda: p.get(p.jobs("final-job")) is None, what="the Job to go")
    others(1)
    wish = {"metadata": {"annotations": {"ambient-code.io/desired-phase": "Running", "ambient-code.io/start-requested-at": "2026-01-01T00:00:00Z"}}}
    p.patch(s.path, wish)
    until(lambda: s.status.get("runs") == 2 and s.phase == "Completed", what="the second run")
    # The same wish is there for good, and is said again: it was for one run.
    before = s.status
    p.patch(s.path, wish)
    p.patch(s.path, {"metadata": {"annotations": {"note": "y"}}})
    others(2)
    assert s.read("ran") == "x\nx\n", s.read("ran")


# As operators of the older platform wrote them: with a phase alone, and with conditions of their own; and how that ends here.
FOREIGN = {
    "plain": ({"phase": "Completed", "message": "done", "startTime": "2025-11-01T10:00:00Z", "completionTime": "2025-11-01T10:05:00Z",
               "jobName": "plain-job", "result": "text", "repos": [{"name": "a", "status": "pushed"}]}, "Completed", "done"),
    "conditions": ({"phase": "Failed", "observedGeneration": 1, "completionTime": "2025-11-01T10:05:00Z", "conditions": [
        {"type": "Ready", "status": "False", "reason": "RunnerExit", "message": "exit 1", "lastTransitionTime": "2025-11-01T10:05:00Z"},
        {"type": "JobCreated", "status": "True", "reason": "JobCreated", "lastTransitionTime": "2025-11-01T10:00:00Z"},
        {"type": "RunnerStarted", "status": "True", "reason": "ContainerRunning", "lastTransitionTime": "2025-11-01T10:00:00Z"}]}, "Failed", "exit 1"),
    "stopped": ({"phase": "Stopped", "completionTime": "2025-11-01T10:05:00Z", "stoppedReason": "user"}, "Stopped", ""),
    "error": ({"phase": "Error", "message": "no Job"}, "Failed", "no Job"),
    "timeout": ({"phase": "Timeout", "message": "late", "completionTime": "2025-11-01T10:05:00Z"}, "Timeout", "late"),
}


def replace_status(p, s, status):
    try:
        return p.request("PUT", s.path + "/status", {**s.get(), "status": status})
    except lib.Status as e:
        assert e.code == 409, e
        return None


def test_what_an_older_platform_had_ended_is_not_run_again(p):
    """Sessions that are brought with their status: what had ended is not run again, unless a person asks for it."""
    before, p.ns = p.ns, "brought"
    p.namespace(p.ns, managed=False)
    try:
        brought = {name: p.session(name, "echo x >> $AMBIENT_SESSION_DIR/workspace/ran") for name in (*FOREIGN, "going-on")}
        for name, s in brought.items():
            s.wait_reason("NamespaceNotManaged")
            status = FOREIGN[name][0] if name in FOREIGN else {"phase": "Running", "startTime": "2025-11-01T10:00:00Z", "conditions": [
                c if c["type"] != "Ready" else {**c, "status": "True", "reason": "Running", "message": ""}
                for c in FOREIGN["conditions"][0]["conditions"]]}
            until(lambda: replace_status(p, s, status), what="the status of %s to be written" % name)
        p.patch("/api/v1/namespaces/" + p.ns, {"metadata": {"labels": {"ambient-code.io/managed": "true"}}})
        # Of one that went on nothing is known: it begins.
        brought.pop("going-on").wait("Completed")
        for name, s in brought.items():
            status, phase, message = FOREIGN[name]
            s.wait(phase)
            now = until(lambda: s.condition({"Completed": "Completed", "Stopped": "Stopped"}.get(phase, "Failed")).get("status") == "True" and s.status,
                        what=name + " to be taken over")
            assert (now["phase"], now["message"], now.get("runs")) == (phase, message, None), (name, now)
            assert now["completionTime"] == status.get("completionTime", now["completionTime"]), (name, now)
            assert {k: now.get(k) for k in ("result", "repos") if k in status} == {k: status[k] for k in ("result", "repos") if k in status}, now
        assert [j["metadata"]["name"] for j in p.request("GET", p.jobs())["items"]] == ["going-on-job"]
        s = brought["conditions"]
        p.patch(s.path, {"metadata": {"annotations": {"ambient-code.io/desired-phase": "Running", "ambient-code.io/start-requested-at": "now"}}})
        until(lambda: s.status.get("runs") == 1 and s.phase == "Completed", what="it to run when it is asked to")
        assert s.read("ran") == "x\n", s.status
    finally:
        p.ns = before


def test_behaviour_11_5_token_never_logged(p):
    """Neither what the runner shows to the API server nor what it shows to git is anywhere that people read, or in the clone."""
    p.origins.make("quiet")
    p.secret("git-of-quiet", token="canary-of-git-4711", username="somebody")
    s = p.session("quiet", "git remote -v; cat .git/config; env; " + GATED, repos=[p.repo("quiet", "work", authSecret="git-of-quiet")])
    s.wait_file("up")
    (pod,) = p.request("GET", p.core("pods") + "?labelSelector=agentic-session%3Dquiet")["items"]
    with open("%s/pods/%s/volumes/api/..data/token" % (p.node_dir, pod["metadata"]["uid"])) as f:
        canaries = [f.read(), "canary-of-git-4711"]
    assert len(canaries[0]) > 100
    logs = ""
    s.touch("go")
    s.wait("Completed")
    assert p.origins.commits("quiet", "work") == 1
    for container in ("runner", "agent"):
        status, text = p.request("GET", p.core("pods", pod["metadata"]["name"]) + "/log?container=" + container, raw=True)
        assert status == 200, text
        logs += text.decode()
    everything = {"the daemon's log": p.log(), "the pod's logs": logs, "the session": json.dumps(s.get()), "its messages": json.dumps(s.messages()),
                  "the report": json.dumps(p.get(p.core("configmaps", "quiet-report"))),
                  "events": json.dumps(p.request("GET", p.core("events"))), "pods": json.dumps(pod)}
    for where, _, files in os.walk(s.volume):
        for name in files:
            path = os.path.join(where, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as f:
                    everything[path] = f.read().decode("utf-8", "replace")
    assert [x for x in everything if x.endswith("/.git/config")], list(everything)
    found = [where for where, text in everything.items() if any(c in text for c in canaries)]
    assert not found and "remote" in json.dumps(s.messages()), found


def test_weakness_12_2_e_nothing_of_a_run_goes_on(p):
    """The runner ends, and with it what the agent has left behind, the pod and the Job."""
    p.origins.make("leaves")
    s = p.session("leaves", "(trap '' TERM HUP INT; exec sleep 600) & setsid sleep 600 & echo done", repos=[p.repo("leaves")])
    s.wait("Completed")
    until(lambda: not p.pod_processes(s), what="its processes to end")
    until(lambda: [c for c in p.get(p.jobs("leaves-job"))["status"].get("conditions", []) if c["type"] == "Complete" and c["status"] == "True"],
          what="the Job to be complete")


def test_behaviour_11_5_many_at_once_weakness_12_1_l(p):
    """Each comes to its own end, and none has a thread of the daemon's."""
    pid = (getattr(p, "operator", None) or p.daemon).pid
    before = len(os.listdir("/proc/%d/task" % pid))
    many = [p.session("many-%02d" % i, "echo %d > $AMBIENT_SESSION_DIR/workspace/own; exit %d" % (i, i % 4 == 3)) for i in range(12)]
    for i, s in enumerate(many):
        s.wait("Failed" if i % 4 == 3 else "Completed")
        assert s.read("own") == "%d\n" % i and s.status["runs"] == 1, (s.name, s.read("own"), s.status)
    assert len({s.status["runId"] for s in many}) == len(many) and pid in processes()
    assert len(os.listdir("/proc/%d/task" % pid)) < before + len(many) // 2, before


if __name__ == "__main__":
    sys.exit(lib.suite(sys.modules[__name__], Platform, "promises"))
