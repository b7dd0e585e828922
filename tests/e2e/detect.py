# SPDX-License-Identifier: Apache-2.0
"""What keeps a session from going on is said where a person looks, with an event, and it goes on by itself when that is
over; and a session that has ended is deleted when it said so."""
import json
import os
import signal
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from lib import GATED, GATED_BARE, Platform, Status, processes, until  # noqa: E402


def told(p, s, reason):
    """The Warning of that reason about a session."""
    return next((e for e in p.request("GET", p.core("events"))["items"] if e["involvedObject"].get("name") == s.name and
                 e["involvedObject"]["kind"] == "AgenticSession" and e["reason"] == reason and e["type"] == "Warning"), None)


def test_a_quota_that_is_full_is_said_and_waited_for(p):
    quota = p.core("resourcequotas")
    p.request("POST", quota, {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"},
                              "spec": {"hard": {"pods": "1"}}})
    first = p.session("first", GATED_BARE)
    first.wait("Running")
    s = p.session("blocked", "true")
    s.wait_reason("QuotaExceeded")
    assert s.phase == "Creating" and "few" in s.message and "larger quota" in s.message, s.status
    assert s.condition("PodScheduled")["status"] == "False", s.status
    assert p.get(p.jobs("blocked-job")) is not None
    until(lambda: told(p, s, "QuotaExceeded"), what="the event")
    # Another one ends: it has its place, without anybody's doing.
    first.touch_when_up("go")
    first.wait("Completed")
    s.wait("Completed")
    assert s.condition("PodScheduled")["status"] == "True" and s.status["runs"] == 1, s.status
    p.request("DELETE", quota + "/few")


def test_stop_and_delete_while_the_quota_is_full(p):
    quota = p.core("resourcequotas")
    p.request("POST", quota, {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"},
                              "spec": {"hard": {"pods": "0"}}})
    stopped, deleted = p.session("stopped", "true"), p.session("deleted", "true")
    for s in (stopped, deleted):
        s.wait_reason("QuotaExceeded")
    p.patch(stopped.path, {"spec": {"desiredState": "Stopped"}})
    deleted.delete()
    stopped.wait("Stopped")
    until(lambda: not [j for j in p.request("GET", p.jobs())["items"] if j["metadata"]["name"] in ("stopped-job", "deleted-job")],
          what="the Jobs to go")
    p.request("DELETE", quota + "/none")


def test_a_quota_of_claims_is_said_and_waited_for(p):
    """Not the pod but what it needs is refused: there is no Job yet whose controller would try again."""
    quota = p.core("resourcequotas")
    hard = {"persistentvolumeclaims": "0"}
    p.request("POST", quota, {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "claims"}, "spec": {"hard": hard}})
    until(lambda: p.get(quota + "/claims").get("status", {}).get("hard") == hard, what="the quota to hold")
    s, stopped = p.session("unclaimed", "true"), p.session("unclaimed-too", "true")
    for one in (s, stopped):
        one.wait_reason("QuotaExceeded")
    assert s.phase == "Pending" and "exceeded quota: claims" in s.message and s.message.endswith("when sessions of the project are deleted, or with a larger quota"), s.status
    assert p.get(p.jobs("unclaimed-job")) is None
    until(lambda: told(p, s, "QuotaExceeded"), what="the event")
    p.patch(stopped.path, {"spec": {"desiredState": "Stopped"}})
    stopped.wait("Stopped")
    p.request("DELETE", quota + "/claims")
    s.wait("Completed")
    assert s.status["runs"] == 1, s.status


def test_limits_that_forbid_the_pod_are_said_and_waited_for(p):
    limits = p.core("limitranges")
    p.request("POST", limits, {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"},
                               "spec": {"limits": [{"type": "Container", "max": {"memory": "64Mi"}}]}})
    s = p.session("forbidden", "true", resourceOverrides={"memory": "128Mi"})
    s.wait_reason("PodCreationFailed")
    assert s.phase == "Creating" and "maximum memory usage per Container is 64Mi" in s.message, s.status
    assert s.condition("PodScheduled")["reason"] == "PodCreationFailed", s.status
    until(lambda: told(p, s, "PodCreationFailed"), what="the event")
    p.request("DELETE", limits + "/small")
    s.wait("Completed")
    assert s.condition("PodScheduled")["status"] == "True" and s.status["runs"] == 1, s.status


def test_a_pod_that_is_evicted(p):
    s = p.session("evicted", GATED_BARE)
    s.wait_file("up")
    s.wait("Running")
    name = s.status["runnerPodName"]
    p.request("POST", p.core("pods", name) + "/eviction", {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}})
    s.wait("Failed")
    # The API server writes into the pod who takes it away, which is not seen if it is gone by then.
    want = {"PodEvicted": "Eviction API", "PodMissing": "deleted or evicted"}
    assert s.reason in want and want[s.reason] in s.message and "start the session again" in s.message, s.status
    until(lambda: told(p, s, s.reason), what="the event")
    until(lambda: not p.pod_processes(s), what="its processes to end")
    assert p.ctl("start", "evicted").returncode == 0
    until(lambda: s.read("starts") == "start\n" * 2, what="the second run")
    s.touch("go")
    s.wait("Completed")


def test_a_missing_secret_is_an_event(p):
    p.origins.make("keys")
    s = p.session("keys", "true", repos=[p.repo("keys", authSecret="absent")])
    s.wait_reason("SecretMissing")
    event = until(lambda: told(p, s, "SecretMissing"), what="the event")
    assert '"absent"' in event["message"] and "goes on by itself" in event["message"], event
    s.delete()


def left_of(p, name):
    found = []
    for path in (p.core("persistentvolumeclaims"), p.core("serviceaccounts"), p.core("configmaps"), p.core("pods"), p.jobs()):
        found += [i["metadata"]["name"] for i in p.request("GET", path)["items"]
                  if i["metadata"].get("annotations", {}).get("ambient-code.io/session") == name]
    return found


def test_weakness_12_1_h_a_pod_that_no_node_takes(p):
    """It is said, with an event, and is no failure: a node may come."""
    s = p.session("large", "true", resourceOverrides={"memory": "4000Gi"})
    # A real scheduler first misses the claim's volume.
    until(lambda: s.reason == "Unschedulable" and "emory" in s.message, what="the lack of memory to be said")
    assert s.phase == "Creating" and s.condition("PodScheduled")["status"] == "False", s.status
    until(lambda: told(p, s, "Unschedulable"), what="the event")
    p.patch(s.path, {"spec": {"desiredState": "Stopped"}})
    s.wait("Stopped")
    assert not p.request("GET", p.core("pods") + "?labelSelector=agentic-session%3Dlarge")["items"]
    s.delete()


def runner_of(p, s):
    """The one process of a session's pod that reports; its sandbox has the same words on its command line, behind others, and
    what it starts has its own for a moment."""
    def one():
        table = processes()
        found = [pid for pid in p.pod_processes(s) if pid in table and table[pid][2].strip() == "ambient-runner run"]
        return len(found) == 1 and found[0]

    return until(one, what="the runner of " + s.name)


def test_a_runner_that_is_stuck_is_seen(p):
    """The process is there and the container runs, so that only its silence tells; nothing is ended for that."""
    s = p.session("stuck", GATED_BARE)
    s.wait_file("up")
    until(lambda: s.condition("Ready").get("status") == "True", what="it to run")
    runner = runner_of(p, s)
    os.kill(runner, signal.SIGSTOP)
    try:
        s.wait_reason("RunnerSilent")
        assert s.phase == "Running" and "stop the session" in s.message, s.status
        event = until(lambda: told(p, s, "RunnerSilent"), what="the event")
        assert "nothing since 2" in event["message"], event
    finally:
        os.kill(runner, signal.SIGCONT)
    until(lambda: s.condition("Ready").get("status") == "True", what="it to be heard of again")
    s.touch("go")
    s.wait("Completed")
    assert s.status["runs"] == 1 and s.read("starts") == "start\n", s.status


def test_a_network_policy_is_about_the_pod_and_goes_with_the_session(p):
    s = p.session("fenced", GATED_BARE)
    s.wait_file("up")
    s.wait("Running")
    path = "/apis/networking.k8s.io/v1/namespaces/%s/networkpolicies/ambient-session-fenced" % p.ns
    policy, pod = p.get(path), p.get(p.core("pods", s.status["runnerPodName"]))
    labels = policy["spec"]["podSelector"]["matchLabels"]
    assert labels and labels.items() <= pod["metadata"]["labels"].items(), (labels, pod["metadata"]["labels"])
    assert sorted(policy["spec"]["policyTypes"]) == ["Egress", "Ingress"], policy["spec"]
    port = [x["containerPort"] for c in pod["spec"]["containers"] if c["name"] == "runner" for x in c["ports"]]
    assert policy["spec"]["ingress"] == [{"ports": [{"protocol": "TCP", "port": port[0]}]}], (policy["spec"], port)
    assert "169.254.0.0/16" in policy["spec"]["egress"][0]["to"][0]["ipBlock"]["except"], policy["spec"]
    s.touch("go")
    s.wait("Completed")
    s.delete()
    until(lambda: p.get(path) is None, what="the policy to go")


def test_weakness_12_1_i_a_heartbeat_is_no_write_of_the_status(p):
    s = p.session("at-rest", GATED_BARE)
    s.wait_file("up")
    until(lambda: s.condition("Ready").get("status") == "True", what="it to run")

    def heard():
        return json.loads(p.get(p.core("configmaps", "at-rest-report"))["data"]["report.json"])["heartbeatAt"]

    until(lambda: json.loads(p.get(p.core("configmaps", "at-rest-report"))["data"]["report.json"])["state"] == "running", what="its report")
    until(lambda: s.status.get("agentStatus") == "working", what="the report to be seen")
    def rests():
        """Nothing is written for two heartbeats.  One that comes late, on a machine that stands still for seconds, is written
        about, as is the next one."""
        first, before = heard(), s.get()
        until(lambda: heard() != first, what="the next heartbeat")
        second = heard()
        until(lambda: p.real or heard() != second, what="one more")
        after = s.get()
        if after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]:
            return True
        assert told(p, s, "RunnerSilent"), (before["status"], after["status"])
        until(lambda: s.condition("Ready").get("status") == "True", what="it to be heard of again")
        return False

    until(rests, what="two heartbeats in time")
    s.touch("go")
    s.wait("Completed")


def test_behaviour_11_5_shared_secret_weakness_12_2_b(p):
    """The end of a session, and its deletion, take nothing that another one uses."""
    p.origins.make("common")
    p.secret("both", token="nothing")
    first, second = (p.session("of-both-%d" % i, GATED, repos=[p.repo("common", "work-%d" % i, authSecret="both")]) for i in (1, 2))
    for s in (first, second):
        s.wait_file("up")
    first.touch("go")
    first.wait("Completed")
    assert first.status["startTime"] <= first.status["completionTime"], first.status
    first.delete()
    until(lambda: first.get() is None and p.get(p.jobs("of-both-1-job")) is None, what="the first to go")
    second.touch("go")
    second.wait("Completed")
    assert p.get(p.core("secrets", "both")) is not None and p.origins.commits("common", "work-2") == 1
    # And a third one begins with it.
    p.session("of-both-3", "true", repos=[p.repo("common", authSecret="both")]).wait("Completed")


def test_a_session_is_deleted_when_its_time_after_the_end_is_over(p):
    p.origins.make("ttl")
    done = p.session("done", "echo x > f", repos=[p.repo("ttl", "work")], ttlSecondsAfterFinished=0)
    failed = p.session("failed", "exit 3", ttlSecondsAfterFinished=1)
    kept = p.session("kept", "true", ttlSecondsAfterFinished=3600)
    for s in (done, failed):
        until(lambda s=s: s.get() is None, what=s.name + " to be deleted")
        until(lambda s=s: not left_of(p, s.name), what="all of %s to go" % s.name)
        until(lambda s=s: not os.path.exists(s.volume), what="the workspace of %s to go" % s.name)
    assert p.origins.commits("ttl", "work") == 1
    kept.wait("Completed")
    # It may change its mind after the end, too.
    p.patch(kept.path, {"spec": {"ttlSecondsAfterFinished": 1}})
    until(lambda: kept.get() is None, what="it to be deleted")
    until(lambda: {"done", "failed", "kept"} <= {e["involvedObject"]["name"] for e in p.request("GET", p.core("events"))["items"]
                                                 if e["reason"] == "Expired"}, what="the events")


def test_the_daemon_dies_before_a_session_is_deleted(p):
    """Another one finds it, whose time is over long ago; nobody is there who could delete it before."""
    s = p.session("later", "true", ttlSecondsAfterFinished=3600)
    s.wait("Completed")
    p.kill9()
    p.restart(without=("agenticsession",))
    p.patch(s.path, {"spec": {"ttlSecondsAfterFinished": 1}})
    p.kill9()
    p.restart()
    until(lambda: s.get() is None, what="it to be deleted")


def test_values_that_are_no_time_are_refused(p):
    for value in (-1, 2 ** 31, 1.5, "1h", True):
        try:
            p.session("wrong", "true", ttlSecondsAfterFinished=value)
            raise AssertionError("%r was taken" % value)
        except Status as status:
            assert status.code == 422 and "spec.ttlSecondsAfterFinished" in str(status), (value, status)


def make():
    p = Platform("detect", agenticsession='keepJob = "10m"; heartbeat = "2s"; networkPolicy = true;')
    p.start()
    p.namespace()
    return p


if __name__ == "__main__":
    lib.preconditions()
    sys.exit(lib.main(sys.modules[__name__], make))
