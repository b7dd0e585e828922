# SPDX-License-Identifier: Apache-2.0
"""What a node may say of a session's pod, and what becomes of the session: its phase, its condition, the event and the
advice.  The test is the node: it writes statuses of pods by the API, as a kubelet does.  behaviour_11_5_waiting_reasons,
weakness_12_1_d, _g, weakness_12_2_f.

All cases of a table wait beside each other, so that a test takes as long as its slowest case."""
import os
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from detect import told  # noqa: E402
from lib import Platform, Status, until  # noqa: E402

NODE = "elsewhere" # where there is one in earnest, which has no room for this
LARGE = {"memory": "4000Gi"}
SCHEDULED = "PodScheduled", "True", "", ""


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def container(name, state):
    ready = "running" in state
    return {"name": name, "state": state, "ready": ready, "started": ready, "restartCount": 0, "image": "ambient-runner:test", "imageID": ""}


def waiting(reason, message="because"):
    return {"waiting": {"reason": reason, "message": message}}


def ended(code, reason="Error"):
    return {"terminated": {"exitCode": code, "reason": reason, "startedAt": now(), "finishedAt": now()}}


def status(runner=None, agent=None, phase="Running", conditions=(), **more):
    """Of a pod whose containers are in these states; with none the pod never got as far."""
    states = [container(n, s) for n, s in (("runner", runner), ("agent", agent)) if s is not None]
    return {"phase": phase, "startTime": now(), "containerStatuses": states, "conditions": [
        {"type": kind, "status": value, "reason": reason, "message": message, "lastTransitionTime": now()}
        for kind, value, reason, message in (SCHEDULED, *conditions)], **more}


def up():
    return {"running": {"startedAt": now()}}


def pending(runner, agent=None):
    return status(runner, agent or waiting("ContainerCreating", ""), phase="Pending")


class Case:
    def __init__(self, p, name):
        self.p, self.s, self.path = p, p.session(name, "true", resourceOverrides=LARGE), None

    def pod(self):
        found = self.p.request("GET", self.p.core("pods") + "?labelSelector=agentic-session%3D" + self.s.name)["items"]
        return found[0] if found else None

    def take(self):
        """The pod is in our hands: the API server has given it to the node that is not there, or we do, in the place of a scheduler
        which has found none.  Before that it would still write into what is ours."""
        pod = until(self.pod, what="the pod of " + self.s.name)
        self.path = self.p.core("pods", pod["metadata"]["name"])
        if not pod["spec"].get("nodeName"):
            until(lambda: any("Insufficient memory" in c.get("message", "") for c in self.p.get(self.path)["status"].get("conditions", [])),
                  what="the scheduler to give up " + self.s.name)
            self.p.request("POST", self.path + "/binding", {
                "apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod["metadata"]["name"]},
                "target": {"apiVersion": "v1", "kind": "Node", "name": NODE}})
        return self

    def say(self, value):
        self.said = value
        self.p.patch(self.path + "/status", {"status": value})

    def say_again(self):
        """As a kubelet whose status was overwritten: a scheduler may have had the pod in hands when it was bound."""
        said = (self.path and self.p.get(self.path) or {}).get("status", {}).get("conditions", [])
        if any(c["type"] == "PodScheduled" and c["status"] == "False" for c in said):
            self.say(self.said)

    def is_said(self, phase, reason, *words):
        def there():
            if self.s.phase == phase and self.s.reason == reason:
                return True
            self.say_again()
            return False

        try:
            until(there, what="%s to be %s, %s" % (self.s.name, phase, reason))
        except AssertionError as e:
            raise AssertionError("%s\nit is: %s" % (e, self.s.status)) from None
        for word in words:
            assert word in self.s.message, (self.s.name, word, self.s.message)

    def is_warned(self, reason):
        until(lambda: told(self.p, self.s, reason), what="the event %s of %s" % (reason, self.s.name))

    def leave(self):
        self.s.delete()
        self.end()

    def end(self):
        """The pod is gone: nobody else says so."""
        try:
            self.p.request("DELETE", self.path + "?gracePeriodSeconds=0")
        except Status as e:
            assert e.code == 404, e


def each(p, table, act):
    """act(case, row) of each row; all of them, and then what failed."""
    cases, wrong = [Case(p, name) for name in table], []
    for case, row in zip(cases, table.values()):
        case.take()
        case.say(row[0])
    for case, (name, row) in zip(cases, table.items()):
        try:
            act(case, row[1:])
        except AssertionError as e:
            wrong.append("%s: %s" % (name, e))
    assert not wrong, "\n".join(wrong)
    return cases


# What can pass by itself: reason -> (what the pod says, words of the message), and once the patience is over, the end.
PATIENT = {
    "err-image-pull": (pending(waiting("ErrImagePull", "no such image")), "ErrImagePull", "runner container: no such image; check the image"),
    "image-pull-back-off": (pending(waiting("ImagePullBackOff", "back-off")), "ImagePullBackOff", "runner container: back-off; check the image"),
    "no-secret": (pending(waiting("CreateContainerConfigError", 'secret "absent" not found')), "SecretMissing", "create what is missing"),
    "config-error": (pending(waiting("CreateContainerConfigError", 'configmap "absent" not found')), "CreateContainerConfigError",
                     "create what is missing"),
    "create-error": (pending(waiting("CreateContainerError")), "CreateContainerError", "look at the events of the pod"),
    "run-error": (pending(waiting("RunContainerError")), "RunContainerError", "look at the events of the pod"),
    "crash-loop": (pending(waiting("CrashLoopBackOff", "back-off 5m0s")), "CrashLoopBackOff", "back-off 5m0s"),
    "no-volume": (pending(waiting("ContainerCreating", 'secret "absent" not found')), "SecretMissing", "create what is missing"),
    "agents-image": (pending(up(), waiting("ImagePullBackOff", "no such image")), "ImagePullBackOff", "agent container: no such image"),
}
# What cannot.
AT_ONCE = {
    "invalid-name": (pending(waiting("InvalidImageName", "no name at all")), "Failed", "InvalidImageName", "no name at all", "check the image"),
    "never-pull": (pending(waiting("ErrImageNeverPull", "not there")), "Failed", "ErrImageNeverPull", "not there"),
    "agents-name": (pending(up(), waiting("InvalidImageName", "none")), "Failed", "InvalidImageName", "agent container: none"),
    "evicted": (status(phase="Failed", reason="Evicted", message="The node was low on resource: memory."), "Failed", "PodEvicted",
                "low on resource: memory", "what the agent wrote is in the workspace"),
    "unknown-failure": (status(phase="Failed", reason="OutOfcpu", message="no room"), "Failed", "PodFailed", "OutOfcpu: no room"),
}
DISRUPTED = "DisruptionTarget", "True"
# What ends a run, from a pod that ran.
RUNS = {
    "exit-zero": (status(ended(0, "Completed"), ended(0, "Completed"), "Succeeded"), "Completed", "Completed"),
    "exit-one": (status(ended(1), ended(0, "Completed"), "Failed"), "Failed", "RunnerExit", "exit code 1"),
    "exit-two": (status(ended(2), ended(0, "Completed"), "Failed"), "Failed", "PrerequisiteFailed", "exit code 2"),
    "runner-oom": (status(ended(137, "OOMKilled"), ended(0, "Completed"), "Failed"), "Failed", "OOMKilled", "used more memory"),
    # Seen although the other container still lives.
    "runner-oom-agent-up": (status(ended(137, "OOMKilled"), up()), "Failed", "OOMKilled", "used more memory"),
    "agent-oom": (status(ended(1), ended(137, "OOMKilled"), "Failed"), "Failed", "OOMKilled", "spec.resourceOverrides.memory"),
    "evicted-running": (status(ended(137), ended(137), "Failed", reason="Evicted", message="disk pressure"), "Failed", "PodEvicted",
                        "disk pressure"),
    "drained": (status(ended(143), ended(143), "Failed", [DISRUPTED + ("EvictionByEvictionAPI", "Eviction API: evicting")]), "Failed",
                "PodEvicted", "Eviction API: evicting"),
    "preempted": (status(ended(143), ended(143), "Failed", [DISRUPTED + ("PreemptionByScheduler", "for another")]), "Failed", "PodPreempted",
                  "higher priority"),
    "node-gone": (status(up(), up(), "Failed", [DISRUPTED + ("DeletionByPodGC", "PodGC: node no longer exists")]), "Failed", "NodeLost",
                  "no longer exists"),
}


def is_over(case, row):
    phase, reason, *words = row
    case.is_said(phase, reason, *words)
    assert case.s.status["completionTime"], case.s.status
    if phase == "Failed":
        case.is_warned(reason)
        assert "start the session again" in case.s.message, case.s.message
        assert case.s.condition("Failed").get("status") == "True", case.s.status


def leave(cases):
    for case in cases:
        case.leave()


def test_behaviour_11_5_waiting_reasons(p):
    """Each is said at once, with an event, and the session goes on by itself; a daemon whose patience is over ends it."""
    before = p.agenticsession
    cases = each(p, PATIENT, lambda case, row: (case.is_said("Creating", row[0], row[1], "goes on by itself"), case.is_warned(row[0])))
    for case in cases:
        if PATIENT[case.s.name][1] == "SecretMissing":
            assert case.s.condition("SecretsReady").get("reason") == "SecretMissing", case.s.status
        assert case.s.condition("RunnerStarted").get("reason") == PATIENT[case.s.name][1], case.s.status
    try:
        p.stop()
        p.agenticsession = 'startTimeout = "1s"; ' + before
        p.restart()
        for case in cases:
            is_over(case, ("Failed",) + PATIENT[case.s.name][1:])
    finally:
        p.stop()
        p.agenticsession = before
        p.restart()
    leave(cases)


def test_behaviour_11_5_pod_lost_and_what_no_patience_helps(p):
    leave(each(p, AT_ONCE, is_over))


def test_weakness_12_1_g_a_hiccup_of_the_registry_is_no_failure(p):
    hiccup = {"hiccup-" + name: row for name, row in PATIENT.items()}
    cases = each(p, hiccup, lambda case, row: case.is_said("Creating", row[0]))
    for case in cases:
        case.say(status(up(), up()))
    for case in cases:
        case.is_said("Running", "Running")
        assert case.s.condition("SecretsReady")["status"] == case.s.condition("RunnerStarted")["status"] == "True", case.s.status
        case.say(status(ended(0, "Completed"), ended(0, "Completed"), "Succeeded"))
    for case in cases:
        is_over(case, ("Completed", "Completed"))
        assert case.s.status["runs"] == 1, case.s.status
    leave(cases)


def test_behaviour_11_5_exit_codes_weakness_12_1_f_weakness_12_2_f(p):
    first = {name: (status(up(), up()),) for name in RUNS}
    cases = each(p, first, lambda case, row: case.is_said("Running", "Running"))
    for case in cases:
        case.say(RUNS[case.s.name][0])
    for case in cases:
        is_over(case, RUNS[case.s.name][1:])
        assert case.s.status["startTime"] <= case.s.status["completionTime"], case.s.status
    leave(cases)


def test_a_node_that_is_not_heard_of_and_comes_back(p):
    (case,) = each(p, {"unheard": (status(up(), up()), "Running", "Running")}, lambda case, row: case.is_said(*row))
    silent = [("Ready", "False", "", ""), ("ContainersReady", "True", "", "")]
    case.say(status(up(), up(), conditions=silent))
    case.is_said("Running", "NodeNotReady", "goes on if it comes back")
    case.is_warned("NodeNotReady")
    case.say(status(up(), up(), conditions=[("Ready", "True", "", "")] + silent[1:]))
    case.is_said("Running", "Running")
    case.say(status(ended(0, "Completed"), ended(0, "Completed"), "Succeeded"))
    is_over(case, ("Completed", "Completed"))
    leave([case])


def stop(case):
    case.p.patch(case.s.path, {"spec": {"desiredState": "Stopped"}})


def is_stopping(case):
    until(lambda: case.s.phase == "Stopping", what=case.s.name + " to be Stopping")


def test_behaviour_11_5_stop_from_each_phase_stop_idempotent_weakness_12_1_i(p):
    """Of one that is Pending: test_a_quota_of_claims_is_said_and_waited_for."""
    first = {"stop-creating": (pending(waiting("ErrImagePull")), "Creating", "ErrImagePull"), "stop-running": (status(up(), up()), "Running", "Running")}
    creating, ran = each(p, first, lambda case, row: case.is_said(*row))
    for case in (creating, ran):
        stop(case)
    # A runner takes its time to end, and whatever is said meanwhile changes nothing; what never began is deleted.
    for case in (creating, ran):
        is_stopping(case)
    ran.say(status(up(), up(), message="still here"))
    p.session("stop-sentinel", "true", desiredState="Stopped").wait("Stopped")
    assert ran.s.phase == "Stopping", ran.s.status
    until(lambda: "deletionTimestamp" in p.get(creating.path)["metadata"], what="the pod to be deleted")
    creating.end()
    ran.say(status(ended(143), ended(143), "Failed"))
    for case in (creating, ran):
        case.is_said("Stopped", "UserStopped")
    until(lambda: p.get(p.jobs("stop-creating-job")) is None, what="its Job to go")
    assert p.get(p.jobs("stop-running-job")) is not None
    # Once more, by the other way, and nothing is to be seen of it.
    before = [case.s.status for case in (creating, ran)]
    for case in (creating, ran):
        p.patch(case.s.path, {"metadata": {"annotations": {"ambient-code.io/desired-phase": "Stopped",
                                                           "ambient-code.io/stop-requested-at": "2026-01-01T00:00:00Z"}}})
    p.session("stop-sentinel-2", "true", desiredState="Stopped").wait("Stopped")
    for case, old in zip((creating, ran), before):
        now = case.s.status
        assert (now["phase"], now.get("completionTime"), now.get("runs")) == ("Stopped", old.get("completionTime"), old.get("runs")), now
        case.s.delete()
    ran.end()


def test_behaviour_11_5_operator_restart_in_each_phase_weakness_12_1_c(p):
    first = {"again-creating": (pending(waiting("ErrImagePull")), "Creating", "ErrImagePull"),
             "again-running": (status(up(), up()), "Running", "Running"), "again-failing": (status(up(), up()), "Running", "Running"),
             "again-stopping": (status(up(), up()), "Running", "Running"),
             "again-completed": (status(ended(0, "Completed"), ended(0, "Completed"), "Succeeded"), "Completed", "Completed")}
    cases = each(p, first, lambda case, row: case.is_said(*row))
    creating, ran, failing, stops, done = cases
    stop(stops)
    is_stopping(stops)
    before = done.s.status["completionTime"]
    p.kill9()
    p.restart()
    creating.say(status(up(), up()))
    creating.is_said("Running", "Running")
    for case in (creating, ran):
        case.say(status(ended(0, "Completed"), ended(0, "Completed"), "Succeeded"))
        is_over(case, ("Completed", "Completed"))
    failing.say(status(ended(1), ended(0, "Completed"), "Failed"))
    is_over(failing, ("Failed", "RunnerExit"))
    stops.say(status(ended(143), ended(143), "Failed"))
    stops.is_said("Stopped", "UserStopped")
    for case in cases:
        assert case.s.status["runs"] == 1, case.s.status
    assert done.s.status["completionTime"] == before, done.s.status
    leave(cases)


class Lab(Platform):
    """Its daemon has no node."""

    def start(self, without=(), wait=True):
        return super().start(("node",) + tuple(without), wait)


if __name__ == "__main__":
    sys.exit(lib.suite(sys.modules[__name__], Lab, "ends"))
