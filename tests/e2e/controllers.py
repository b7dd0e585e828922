# SPDX-License-Identifier: Apache-2.0
"""What the controllers of a cluster make of Jobs, CronJobs, accounts and quotas: rows that hold here and on a real
control plane.  No pod really runs: the test says of each what a node would say.

    controllers.py [row ...]                         the standalone daemon, without its node
    controllers.py --cluster KUBECONFIG [row ...]    a control plane that is there
"""
import calendar
import os
import shutil
import sys
import time

sys.dont_write_bytecode = True
here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, os.path.join(here, "../api")]
import apilib  # noqa: E402
from apilib import Skip, eventually, name_of, rand, row  # noqa: E402

INDEX = "batch.kubernetes.io/job-completion-index"
TRACKING = "batch.kubernetes.io/job-tracking"
NODE = "controllers-test"


def stamp(at):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


class Work:
    """A namespace with Jobs whose pods this test plays the node of."""

    def __init__(self, f):
        self.api, self.ns = f.api, f.namespace()
        self.core = "/api/v1/namespaces/" + self.ns
        self.batch = "/apis/batch/v1/namespaces/" + self.ns
        if self.api.get("/api/v1/nodes/" + NODE).status == 404:
            self.api.post("/api/v1/nodes", {"metadata": {"name": NODE}}).ok(201, 409)

    def template(self, metadata=None, **spec):
        spec = {"restartPolicy": "Never", "nodeName": NODE, "containers": [{"name": "c", "image": "i:1", "command": ["true"]}], **spec}
        return {"metadata": metadata or {}, "spec": spec}

    def job(self, name, template=None, **spec):
        self.api.post(self.batch + "/jobs", {"metadata": {"name": name}, "spec": {"template": template or self.template(), **spec}}).ok(201)
        return self.batch + "/jobs/" + name

    def status(self, path):
        return self.api.get(path).ok().get("status", {})

    def pods(self, job, live=True):
        items = self.api.get(self.core + "/pods?labelSelector=batch.kubernetes.io/job-name=" + job).ok()["items"]
        return [p for p in items if not live or (p["status"].get("phase", "Pending") == "Pending" and
                                                 "deletionTimestamp" not in p["metadata"])]

    def some(self, job, n):
        def ready():
            pods = self.pods(job)
            return sorted(pods, key=name_of) if len(pods) == n else None
        return eventually(ready, what="%d pods of %s: %s" % (n, job, [name_of(p) for p in self.pods(job)]))

    def of_index(self, job, index):
        return eventually(lambda: [p for p in self.pods(job) if p["metadata"]["annotations"].get(INDEX) == str(index)],
                          seconds=45, what="the pod of index %d" % index)[0]

    def ends(self, pod, code=0, conditions=()):
        """As a node that has seen the container end."""
        now = stamp(time.time())
        self.api.merge("%s/pods/%s/status" % (self.core, name_of(pod)), {"status": {
            "phase": "Failed" if code else "Succeeded", "conditions": list(conditions), "containerStatuses": [{
                "name": "c", "image": "i:1", "imageID": "", "ready": False, "restartCount": 0,
                "state": {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed", "startedAt": now,
                                         "finishedAt": now}}}]}}).ok()

    def stops(self, job):
        """As a node that has stopped what is to be deleted; returns how many."""
        gone = 0
        for p in self.pods(job, live=False):
            if "deletionTimestamp" in p["metadata"] and p["status"].get("phase") not in ("Failed", "Succeeded"):
                self.ends(p, 143)
                self.api.delete("%s/pods/%s" % (self.core, name_of(p)), {"gracePeriodSeconds": 0}).ok(200, 404)
                gone += 1
        return gone

    def stopped(self, job, n=1):
        """Until so many that were to be deleted are gone."""
        gone = [0]

        def enough():
            gone[0] += self.stops(job)
            return gone[0] == n
        eventually(enough, what="%d pods of %s to be deleted" % (n, job))

    def condition(self, path, kind, status="True"):
        def there():
            for c in self.status(path).get("conditions", []):
                if c["type"] == kind and c["status"] == status:
                    return c
            return None
        return eventually(there, what="%s=%s of %s: %s" % (kind, status, path, self.status(path)))

    def event(self, reason, name):
        def there():
            for e in self.api.get(self.core + "/events").ok()["items"]:
                if e["reason"] == reason and e["involvedObject"]["name"] == name:
                    return e
            return None
        return eventually(there, what="the event %s of %s" % (reason, name))

    def never(self, condition, what):
        """That something does not happen: a Job that is made after it has been brought to its end meanwhile."""
        name = "fence-" + rand()
        path = self.job(name)
        (pod,) = self.some(name, 1)
        self.ends(pod)
        self.condition(path, "Complete")
        assert not condition(), what


# ---- to its end

@row
def job_success_criteria_then_complete(f):
    w = Work(f)
    path = w.job("a", completions=2, parallelism=2)
    one, two = w.some("a", 2)
    meta, spec = one["metadata"], one["spec"]
    (owner,) = meta["ownerReferences"]
    assert name_of(one).startswith("a-") and len(name_of(one)) == len("a-") + 5, name_of(one)
    assert (owner["kind"], owner["name"], owner["controller"], owner["blockOwnerDeletion"]) == ("Job", "a", True, True), owner
    assert meta["finalizers"] == [TRACKING] and "hostname" not in spec, meta
    assert all(meta["labels"][k] == v for k, v in {"job-name": "a", "batch.kubernetes.io/job-name": "a", "controller-uid": owner["uid"],
                                                   "batch.kubernetes.io/controller-uid": owner["uid"]}.items()), meta
    s = eventually(lambda: w.status(path).get("active") == 2 and w.status(path), what="active 2")
    assert s["startTime"] and s["ready"] == 0 and s["terminating"] == 0 and s["uncountedTerminatedPods"] == {}, s
    w.ends(one)
    eventually(lambda: w.status(path).get("succeeded") == 1, what="succeeded 1")
    w.ends(two)
    c = w.condition(path, "Complete")
    assert (c["reason"], c["message"]) == ("CompletionsReached", "Reached expected number of succeeded pods"), c
    s = w.status(path)
    assert [x["type"] for x in s["conditions"]] == ["SuccessCriteriaMet", "Complete"], s
    assert s["succeeded"] == 2 and "active" not in s and s["completionTime"] >= s["startTime"] and "failed" not in s, s
    assert w.event("Completed", "a")["message"] == "Job completed"
    for p in w.pods("a", live=False):
        assert TRACKING not in p["metadata"].get("finalizers", []), p["metadata"]


@row
def job_backoff_limit(f):
    """FailureTarget first, then what still runs is deleted, then Failed."""
    w = Work(f)
    path = w.job("a", completions=2, parallelism=2, backoffLimit=0)
    one, two = w.some("a", 2)
    w.ends(one, 1)
    c = w.condition(path, "FailureTarget")
    assert (c["reason"], c["message"]) == ("BackoffLimitExceeded", "Job has reached the specified backoff limit"), c
    eventually(lambda: w.status(path).get("terminating") == 1, what="one terminates")
    assert "Failed" not in [x["type"] for x in w.status(path)["conditions"]], w.status(path)
    w.stopped("a", 1)
    c = w.condition(path, "Failed")
    assert c["reason"] == "BackoffLimitExceeded", c
    s = w.status(path)
    assert s["failed"] == 2 and "completionTime" not in s and s["terminating"] == 0, s
    assert w.event("BackoffLimitExceeded", "a")["type"] == "Warning"


@row
def job_active_deadline(f):
    w = Work(f)
    path = w.job("a", activeDeadlineSeconds=4)  # for its pod to be seen by us
    w.some("a", 1)
    w.stopped("a")
    c = w.condition(path, "Failed")
    assert (c["reason"], c["message"]) == ("DeadlineExceeded", "Job was active longer than specified deadline"), c
    assert w.event("DeadlineExceeded", "a")["type"] == "Warning"


@row
def job_without_completions(f):
    """One success is enough; what still runs may end, nothing is added."""
    w = Work(f)
    path = w.job("a", parallelism=2)
    one, two = w.some("a", 2)
    assert "completions" not in w.api.get(path).ok()["spec"]
    w.ends(one)
    eventually(lambda: w.status(path).get("succeeded") == 1, what="succeeded 1")
    w.never(lambda: len(w.pods("a")) != 1, "another pod was made")
    w.ends(two)
    w.condition(path, "Complete")
    assert w.status(path)["succeeded"] == 2


@row
def job_of_nothing(f):
    """No completions are asked for: it is over at once, also when it is suspended."""
    w = Work(f)
    for name, more in (("a", {}), ("suspended", {"suspend": True})):
        path = w.job(name, completions=0, **more)
        w.condition(path, "Complete")
        s = w.status(path)
        assert not w.pods(name, live=False) and "succeeded" not in s and ("startTime" in s) == (not more), s


@row
def job_parallelism_goes_down_and_up(f):
    w = Work(f)
    path = w.job("a", completions=5, parallelism=3)
    w.some("a", 3)
    w.api.merge(path, {"spec": {"parallelism": 1}}).ok()
    w.stopped("a", 2)
    w.some("a", 1)
    w.api.merge(path, {"spec": {"parallelism": 0}}).ok()
    w.stopped("a", 1)
    w.api.merge(path, {"spec": {"parallelism": 9}}).ok()
    w.some("a", 5)
    assert "failed" not in w.status(path), w.status(path)


# ---- indexes

@row
def job_indexed_mode(f):
    w = Work(f)
    path = w.job("a", completions=3, parallelism=3, completionMode="Indexed")
    pods = w.some("a", 3)
    for i, p in enumerate(sorted(pods, key=lambda p: p["metadata"]["annotations"][INDEX])):
        assert name_of(p).startswith("a-%d-" % i) and p["spec"]["hostname"] == "a-%d" % i, p["metadata"]
        assert p["metadata"]["annotations"][INDEX] == p["metadata"]["labels"][INDEX] == str(i), p["metadata"]
        (env,) = p["spec"]["containers"][0]["env"]
        assert env["name"] == "JOB_COMPLETION_INDEX", env
        assert env["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['%s']" % INDEX, env
    w.ends(w.of_index("a", 0))
    w.ends(w.of_index("a", 2))
    eventually(lambda: w.status(path).get("completedIndexes") == "0,2", what="completedIndexes 0,2")
    w.ends(w.of_index("a", 1))
    w.condition(path, "Complete")
    assert w.status(path)["completedIndexes"] == "0-2" and w.status(path)["succeeded"] == 3


@row
def job_elastic_indexed(f):
    """completions and parallelism change together; what is no longer asked for does not count."""
    w = Work(f)
    path = w.job("a", completions=3, parallelism=3, completionMode="Indexed")
    w.some("a", 3)
    w.ends(w.of_index("a", 2))
    eventually(lambda: w.status(path).get("completedIndexes") == "2", what="completedIndexes 2")
    w.api.merge(path, {"spec": {"completions": 2}}).fails(422, "Invalid", "FieldValueInvalid", "spec.completions")
    w.api.merge(path, {"spec": {"completions": 2, "parallelism": 2}}).ok()
    eventually(lambda: "succeeded" not in w.status(path) and "completedIndexes" not in w.status(path),
               what="index 2 is forgotten: %s" % w.status(path))
    w.api.merge(path, {"spec": {"completions": 4, "parallelism": 4}}).ok()
    w.some("a", 4)
    for i in range(4):
        w.ends(w.of_index("a", i))
    w.condition(path, "Complete")
    assert w.status(path)["completedIndexes"] == "0-3" and "failed" not in w.status(path), w.status(path)


@row
def job_backoff_limit_per_index(f):
    w = Work(f)
    path = w.job("a", completions=2, parallelism=2, completionMode="Indexed", backoffLimitPerIndex=1)
    assert w.api.get(path).ok()["spec"]["backoffLimit"] == 2147483647
    count = "batch.kubernetes.io/job-index-failure-count"
    first = w.of_index("a", 1)
    assert first["metadata"]["annotations"][count] == "0", first["metadata"]
    w.ends(first, 1)
    again = w.of_index("a", 1)
    assert again["metadata"]["annotations"][count] == "1" and name_of(again) != name_of(first), again["metadata"]
    assert w.status(path).get("failedIndexes", "") == "", w.status(path)
    w.ends(again, 1)
    eventually(lambda: w.status(path).get("failedIndexes") == "1", what="failedIndexes 1")
    w.ends(w.of_index("a", 0))
    c = w.condition(path, "Failed")
    assert (c["reason"], c["message"]) == ("FailedIndexes", "Job has failed indexes"), c
    s = w.status(path)
    assert (s["completedIndexes"], s["failedIndexes"], s["succeeded"], s["failed"]) == ("0", "1", 1, 2), s


@row
def job_max_failed_indexes(f):
    w = Work(f)
    path = w.job("a", completions=3, parallelism=3, completionMode="Indexed", backoffLimitPerIndex=0, maxFailedIndexes=0)
    w.some("a", 3)
    w.ends(w.of_index("a", 1), 1)
    w.stopped("a", 2)
    c = w.condition(path, "Failed")
    assert (c["reason"], c["message"]) == ("MaxFailedIndexesExceeded",
                                           "Job has exceeded the specified maximal number of failed indexes"), c
    assert w.status(path)["failedIndexes"] == "1", w.status(path)


# ---- policies

def rules(action, **on):
    return {"rules": [{"action": action, **on}]}


@row
def job_pod_failure_policy_fails_the_job(f):
    w = Work(f)
    for name, on, conditions, text in (
            ("code", {"onExitCodes": {"containerName": "c", "operator": "In", "values": [3, 42]}}, (),
             "Container c for pod %s/%s failed with exit code 42 matching FailJob rule at index 0"),
            ("not", {"onExitCodes": {"operator": "NotIn", "values": [3]}}, (),
             "Container c for pod %s/%s failed with exit code 42 matching FailJob rule at index 0"),
            ("condition", {"onPodConditions": [{"type": "DisruptionTarget"}]},
             ({"type": "DisruptionTarget", "status": "True", "lastTransitionTime": stamp(time.time())},),
             "Pod %s/%s has condition DisruptionTarget matching FailJob rule at index 0")):
        path = w.job(name, podFailurePolicy=rules("FailJob", **on))
        (pod,) = w.some(name, 1)
        w.ends(pod, 42, conditions)
        c = w.condition(path, "Failed")
        assert (c["reason"], c["message"]) == ("PodFailurePolicy", text % (w.ns, name_of(pod))), c
        assert w.status(path)["failed"] == 1 and len(w.pods(name, live=False)) == 1
        assert w.event("PodFailurePolicy", name)["type"] == "Warning"


@row
def job_pod_failure_policy_ignores_counts_and_falls_through(f):
    w = Work(f)
    on = {"onExitCodes": {"operator": "In", "values": [7]}}
    for name, action, code, failed in (("ignore", "Ignore", 7, None), ("count", "Count", 7, 1), ("other", "Ignore", 8, 1)):
        path = w.job(name, backoffLimit=3, podFailurePolicy=rules(action, **on))
        (pod,) = w.some(name, 1)
        w.ends(pod, code)
        eventually(lambda: TRACKING not in w.api.get(w.core + "/pods/" + name_of(pod)).ok()["metadata"].get("finalizers", []),
                   what="it is counted, or not")
        eventually(lambda: w.status(path).get("failed") == failed, what="failed %s: %s" % (failed, w.status(path)))
        assert not w.status(path).get("conditions"), w.status(path)


@row
def job_pod_failure_policy_fails_the_index(f):
    w = Work(f)
    path = w.job("a", completions=2, parallelism=2, completionMode="Indexed", backoffLimitPerIndex=5,
                 podFailurePolicy=rules("FailIndex", onExitCodes={"operator": "In", "values": [9]}))
    w.ends(w.of_index("a", 0), 9)
    eventually(lambda: w.status(path).get("failedIndexes") == "0", what="failedIndexes 0")
    w.ends(w.of_index("a", 1))
    assert w.condition(path, "Failed")["reason"] == "FailedIndexes"


@row
def job_success_policy(f):
    w = Work(f)
    for name, rule, ends in (("count", {"succeededCount": 1}, (2,)), ("indexes", {"succeededIndexes": "0,2"}, (2, 0)),
                             ("both", {"succeededIndexes": "0-1", "succeededCount": 1}, (2, 1))):
        path = w.job(name, completions=3, parallelism=3, completionMode="Indexed",
                     successPolicy={"rules": [{"succeededCount": 3}, rule]})
        w.some(name, 3)
        for i in ends:
            assert not w.status(path).get("conditions"), w.status(path)
            w.ends(w.of_index(name, i))
            eventually(lambda: w.status(path).get("succeeded"), what="it is counted")
        w.stopped(name, 3 - len(ends))
        c = w.condition(path, "Complete")
        assert (c["reason"], c["message"]) == ("SuccessPolicy", "Matched rules at index 1"), c
        s = w.status(path)
        assert s["succeeded"] == len(ends) and "failed" not in s, s
        assert [x["type"] for x in s["conditions"]] == ["SuccessCriteriaMet", "Complete"], s


@row
def job_pod_replacement_policy(f):
    w = Work(f)
    for policy in ("TerminatingOrFailed", "Failed"):
        name = policy.lower()
        path = w.job(name, backoffLimit=5, podReplacementPolicy=policy)
        (pod,) = w.some(name, 1)
        w.api.delete(w.core + "/pods/" + name_of(pod)).ok(200)
        eventually(lambda: w.status(path).get("terminating") == 1, what="one terminates: %s" % w.status(path))
        if policy == "Failed":
            assert w.status(path).get("failed") is None, w.status(path)
            w.never(lambda: w.pods(name), "it was replaced before it had ended")
            w.stops(name)
        eventually(lambda: w.status(path).get("failed") == 1, what="it counts as failed: %s" % w.status(path))
        eventually(lambda: w.pods(name), seconds=45, what="another pod")


# ---- suspended, managed, gone

@row
def job_suspension(f):
    w = Work(f)
    path = w.job("a", parallelism=2, completions=2, suspend=True)
    c = w.condition(path, "Suspended")
    assert (c["reason"], c["message"]) == ("JobSuspended", "Job suspended"), c
    assert "startTime" not in w.status(path) and not w.pods("a", live=False)
    w.api.merge(path, {"spec": {"suspend": False}}).ok()
    w.some("a", 2)
    c = w.condition(path, "Suspended", "False")
    assert (c["reason"], c["message"]) == ("JobResumed", "Job resumed"), c
    began = eventually(lambda: w.status(path).get("startTime"), what="startTime")
    w.api.merge(path, {"spec": {"suspend": True}}).ok()
    w.stopped("a", 2)
    w.condition(path, "Suspended")
    eventually(lambda: not w.pods("a", live=False), what="the pods to go")
    s = w.status(path)
    assert s["startTime"] == began and "failed" not in s and "active" not in s, s
    # It has run: its template stays as it is.
    w.api.merge(path, {"spec": {"template": {"spec": {"nodeSelector": {"a": "b"}}}}}).fails(
        422, "Invalid", "FieldValueInvalid", "spec.template")
    time.sleep(max(0.0, calendar.timegm(time.strptime(began, "%Y-%m-%dT%H:%M:%SZ")) + 1.1 - time.time()))
    w.api.merge(path, {"spec": {"suspend": False}}).ok()
    w.some("a", 2)
    eventually(lambda: w.status(path).get("startTime", "") > began, what="a new startTime")
    for reason in ("Suspended", "Resumed"):
        w.event(reason, "a")


@row
def job_suspended_before_it_ran_may_be_scheduled_otherwise(f):
    w = Work(f)
    path = w.job("a", suspend=True)
    w.condition(path, "Suspended")
    o = w.api.merge(path, {"spec": {"template": {"spec": {"nodeSelector": {"a": "b"}}}}}).ok()
    assert o["spec"]["template"]["spec"]["nodeSelector"] == {"a": "b"}
    w.api.merge(path, {"spec": {"template": {"spec": {"activeDeadlineSeconds": 5}}}}).fails(422, "Invalid")


@row
def job_managed_by_another(f):
    """Its pods and status are left alone; that it vanishes in time is no part of that."""
    w = Work(f)
    path = w.job("a", managedBy="example.com/other", ttlSecondsAfterFinished=0)
    w.never(lambda: w.pods("a", live=False) or w.status(path), "it was worked on")
    w.api.merge(path, {"spec": {"managedBy": None}}).fails(422, "Invalid", "FieldValueInvalid", "spec.managedBy")
    over(w, "a", "Complete")
    eventually(lambda: w.api.get(path).status == 404, what="it to vanish")


@row
def job_ttl_after_finished(f):
    w = Work(f)
    path = w.job("a", ttlSecondsAfterFinished=0)
    (pod,) = w.some("a", 1)
    w.ends(pod)
    eventually(lambda: w.api.get(path).status == 404, what="it to vanish")
    eventually(lambda: not w.pods("a", live=False), what="its pods to vanish")


@row
def job_template_finalizers_stay(f):
    w = Work(f)
    path = w.job("a", template=w.template({"finalizers": ["example.com/hold"]}))
    (pod,) = w.some("a", 1)
    assert sorted(pod["metadata"]["finalizers"]) == sorted(["example.com/hold", TRACKING]), pod["metadata"]
    w.ends(pod)
    w.condition(path, "Complete")
    at = w.core + "/pods/" + name_of(pod)
    assert w.api.get(at).ok()["metadata"]["finalizers"] == ["example.com/hold"]
    w.api.merge(at, {"metadata": {"finalizers": None}}).ok()


@row
def job_adopts_and_releases(f):
    w = Work(f)
    path = w.job("a")
    (pod,) = w.some("a", 1)
    at = w.core + "/pods/" + name_of(pod)
    w.api.merge(at, {"metadata": {"ownerReferences": None}}).ok()
    eventually(lambda: w.api.get(at).ok()["metadata"].get("ownerReferences"), what="the adoption")
    w.api.merge(at, {"metadata": {"labels": {"batch.kubernetes.io/controller-uid": "other"}}}).ok()
    eventually(lambda: not w.api.get(at).ok()["metadata"].get("ownerReferences"), what="the release")
    m = eventually(lambda: TRACKING not in w.api.get(at).ok()["metadata"].get("finalizers", []), what="the finalizer to go")
    assert m and w.status(path).get("failed") is None


@row
def job_deletion_and_its_pods(f):
    w = Work(f)
    for policy in ("Background", "Foreground", "Orphan"):
        name = policy.lower()
        path = w.job(name)
        (pod,) = w.some(name, 1)
        at = w.core + "/pods/" + name_of(pod)
        w.api.delete(path, {"propagationPolicy": policy}).ok(200)
        if policy == "Orphan":
            eventually(lambda: w.api.get(path).status == 404, what="the Job to go")
            m = eventually(lambda: TRACKING not in w.api.get(at).ok()["metadata"].get("finalizers", []) and
                           w.api.get(at).ok()["metadata"], what="the pod to be let go")
            assert not m.get("ownerReferences") and "deletionTimestamp" not in m, m
            continue
        eventually(lambda: w.stops(name) or w.api.get(at).status == 404, what="the pod is to be deleted")
        eventually(lambda: w.api.get(at).status == 404 and w.api.get(path).status == 404, what="both to go")


# ---- CronJobs: those that were due long ago are due now, so no row waits for the minute

def over(w, name, kind):
    """As another manager that has brought its Job to an end."""
    now = stamp(time.time())
    first = {"Complete": "SuccessCriteriaMet", "Failed": "FailureTarget"}[kind]
    w.api.merge("%s/jobs/%s/status" % (w.batch, name), {"status": {
        "startTime": now, **({"completionTime": now} if kind == "Complete" else {}),
        "conditions": [{"type": c, "status": "True", "reason": "Test", "message": "", "lastTransitionTime": now, "lastProbeTime": now}
                       for c in (first, kind)]}}).ok()


class Cron:
    def __init__(self, w, name, due=True, **spec):
        self.w, self.name = w, name
        self.path = w.batch + "/cronjobs/" + name
        template = {"metadata": {"labels": {"of": name}},
                    "spec": {"managedBy": "example.com/other", "template": w.template()}}
        w.api.post(w.batch + "/cronjobs", {"metadata": {"name": name}, "spec": {
            "schedule": "0 0 1 1 *", "jobTemplate": template, **spec}}).ok(201)
        if due:
            self.was(2 * 366 * 86400)

    def was(self, ago):
        """As if its last start had been so many seconds ago."""
        self.w.api.merge(self.path + "/status", {"status": {"lastScheduleTime": stamp(time.time() - ago)}}).ok()

    def again(self, schedule="0 1 1 1 *"):
        """Another time, also of this year."""
        self.w.api.merge(self.path, {"spec": {"schedule": schedule}}).ok()
        self.was(2 * 366 * 86400)

    def jobs(self):
        return sorted((j for j in self.w.api.get(self.w.batch + "/jobs?labelSelector=of=" + self.name).ok()["items"]
                       if "deletionTimestamp" not in j["metadata"]), key=name_of)

    def some(self, n):
        return eventually(lambda: len(self.jobs()) == n and self.jobs(), what="%d Jobs: %s" % (n, [name_of(j) for j in self.jobs()]))

    def status(self):
        return self.w.status(self.path)


def this_year(hour=0):
    return calendar.timegm((time.gmtime().tm_year, 1, 1, hour, 0, 0))


@row
def cronjob_names_and_owns_its_jobs(f):
    w = Work(f)
    c = Cron(w, "a")
    (job,) = c.some(1)
    (owner,) = job["metadata"]["ownerReferences"]
    assert name_of(job) == "a-%d" % (this_year() // 60), name_of(job)
    assert (owner["kind"], owner["name"], owner["controller"], owner["blockOwnerDeletion"]) == ("CronJob", "a", True, True), owner
    assert job["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"] == stamp(this_year()), job["metadata"]
    s = eventually(lambda: c.status().get("active") and c.status(), what="status.active")
    (ref,) = s["active"]
    assert (ref["kind"], ref["name"], ref["namespace"], ref["uid"], ref["apiVersion"]) == (
        "Job", name_of(job), w.ns, job["metadata"]["uid"], "batch/v1"), ref
    assert s["lastScheduleTime"] == stamp(this_year()), s
    assert w.event("SuccessfulCreate", "a")["message"] == "Created job " + name_of(job)
    over(w, name_of(job), "Complete")
    eventually(lambda: "active" not in c.status(), what="it is no longer active")
    eventually(lambda: c.status().get("lastSuccessfulTime"), what="lastSuccessfulTime")
    assert w.event("SawCompletedJob", "a")["message"] == "Saw completed job: %s, condition: Complete" % name_of(job)


@row
def cronjob_concurrency_policies(f):
    """row_211"""
    w = Work(f)
    crons = {p: Cron(w, p.lower(), concurrencyPolicy=p) for p in ("Allow", "Forbid", "Replace")}
    first = {p: c.some(1)[0] for p, c in crons.items()}
    for c in crons.values():
        eventually(lambda: c.status().get("active"), what="it is active")
        c.again()
    crons["Allow"].some(2)
    eventually(lambda: len(crons["Allow"].status().get("active", [])) == 2, what="both are active")
    assert "concurrency policy is Forbid" in w.event("JobAlreadyActive", "forbid")["message"]
    assert [name_of(j) for j in crons["Forbid"].jobs()] == [name_of(first["Forbid"])]
    eventually(lambda: [name_of(j) for j in crons["Replace"].jobs()] == ["replace-%d" % (this_year(1) // 60)],
               what="the other is replaced: %s" % [name_of(j) for j in crons["Replace"].jobs()])
    eventually(lambda: [r["name"] for r in crons["Replace"].status().get("active", [])] == ["replace-%d" % (this_year(1) // 60)],
               what="only the new one is active: %s" % crons["Replace"].status())
    # What was forbidden starts when the other is over.
    over(w, name_of(first["Forbid"]), "Complete")
    crons["Forbid"].some(2)


@row
def cronjob_suspended_and_zoned(f):
    w = Work(f)
    off = Cron(w, "off", suspend=True)
    c = Cron(w, "zoned", timeZone="Etc/GMT+5")
    (job,) = c.some(1)
    assert name_of(job) == "zoned-%d" % (this_year(5) // 60), name_of(job)
    at = job["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"]
    assert at == stamp(this_year()).replace("Z", "-05:00"), at
    last = eventually(lambda: c.status().get("active") and c.status()["lastScheduleTime"], what="the Job in its status")
    assert last == stamp(this_year(5)), last
    assert not off.jobs() and "active" not in off.status()
    w.api.merge(off.path, {"spec": {"suspend": False}}).ok()
    off.some(1)
    for spec, field in (({"timeZone": "Mars/Base"}, "spec.timeZone"), ({"schedule": "CRON_TZ=UTC 0 0 * * *"}, "spec.schedule"),
                        ({"schedule": "TZ=UTC 0 0 * * *"}, "spec.schedule"), ({"schedule": "61 0 * * *"}, "spec.schedule"),
                        ({"concurrencyPolicy": "Maybe"}, "spec.concurrencyPolicy"),
                        ({"startingDeadlineSeconds": -1}, "spec.startingDeadlineSeconds"),
                        ({"successfulJobsHistoryLimit": -1}, "spec.successfulJobsHistoryLimit")):
        s = w.api.merge(c.path, {"spec": spec}).fails(422, "Invalid")
        assert field in [x["field"] for x in s["details"]["causes"]], s


@row
def cronjob_starting_deadline(f):
    w = Work(f)
    late = Cron(w, "late", startingDeadlineSeconds=30)
    if time.time() - this_year() < 120:
        raise Skip("the year has just begun")
    Cron(w, "wide", startingDeadlineSeconds=400 * 86400).some(1)
    w.never(late.jobs, "it was started although it was too late")


@row
def cronjob_many_missed(f):
    """More than a hundred times were missed: an event says so, and the last of them is started."""
    w = Work(f)
    # Half an hour ago, and not again for as long.
    last = int(time.time()) // 60 - 30
    c = Cron(w, "a", due=False, schedule="%d * * * *" % (last % 60))
    c.was(200 * 3600)
    (job,) = c.some(1)
    assert name_of(job) == "a-%d" % last, name_of(job)
    e = w.event("TooManyMissedTimes", "a")
    assert e["type"] == "Warning" and e["message"] == ("too many missed start times. Set or decrease "
                                                       ".spec.startingDeadlineSeconds or check clock skew"), e


@row
def cronjob_history_limits(f):
    w = Work(f)
    for kind, limit in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
        c = Cron(w, kind.lower(), **{limit: 1})
        over(w, name_of(c.some(1)[0]), kind)
        eventually(lambda: "active" not in c.status(), what="the first is over")
        time.sleep(1.1)  # which is older is a matter of whole seconds of startTime
        c.again()
        over(w, name_of(c.some(2)[1]), kind)
        eventually(lambda: [name_of(j) for j in c.jobs()] == ["%s-%d" % (kind.lower(), this_year(1) // 60)],
                   what="the older one to go: %s" % [name_of(j) for j in c.jobs()])
        w.api.merge(c.path, {"spec": {limit: 0}}).ok()
        eventually(lambda: not c.jobs(), what="both to go")
        w.event("SuccessfulDelete", kind.lower())


@row
def cronjob_and_what_others_do(f):
    w = Work(f)
    c = Cron(w, "a")
    (job,) = c.some(1)
    eventually(lambda: c.status().get("active"), what="it is active")
    w.api.delete(w.batch + "/jobs/" + name_of(job), {"propagationPolicy": "Background"}).ok(200)
    eventually(lambda: "active" not in c.status(), what="it is no longer active")
    assert w.event("MissingJob", "a")["message"] == "Active job went missing: " + name_of(job)
    uid = w.api.get(c.path).ok()["metadata"]["uid"]
    w.api.post(w.batch + "/jobs", {"metadata": {"name": "stray", "ownerReferences": [{
        "apiVersion": "batch/v1", "kind": "CronJob", "name": "a", "uid": uid, "controller": True}]}, "spec": {
            "managedBy": "example.com/other", "template": w.template()}}).ok(201)
    assert "stray" in w.event("UnexpectedJob", "a")["message"]
    w.api.delete(c.path, {"propagationPolicy": "Background"}).ok(200)
    eventually(lambda: w.api.get(w.batch + "/jobs/stray").status == 404, what="its Jobs to follow it")


# ---- what every namespace has

@row
def accounts_and_the_ca_come_back(f):
    w = Work(f)
    for path in ("/serviceaccounts/default", "/configmaps/kube-root-ca.crt"):
        old = eventually(lambda: w.api.get(w.core + path).status == 200 and w.api.get(w.core + path).ok(), what=path)
        w.api.delete(w.core + path).ok(200)
        eventually(lambda: w.api.get(w.core + path).status == 200 and
                   w.api.get(w.core + path).ok()["metadata"]["uid"] != old["metadata"]["uid"], what="another " + path)
    at = w.core + "/configmaps/kube-root-ca.crt"
    ca = w.api.get(at).ok()["data"]["ca.crt"]
    assert ca.startswith("-----BEGIN CERTIFICATE-----")
    w.api.merge(at, {"data": {"ca.crt": "other"}}).ok()
    eventually(lambda: w.api.get(at).ok()["data"]["ca.crt"] == ca, what="the CA again")


# ---- quotas and ranges

def quota(w, name, **spec):
    w.api.post(w.core + "/resourcequotas", {"metadata": {"name": name}, "spec": spec}).ok(201)
    at = w.core + "/resourcequotas/" + name
    eventually(lambda: set(w.status(at).get("used", {})) == set(spec["hard"]), what="the quota to be counted")
    return at


def pod(w, name, **spec):
    container = {"name": "c", "image": "i:1", "command": ["true"], **spec.pop("container", {})}
    return w.api.post(w.core + "/pods", {"metadata": {"name": name}, "spec": {
        "restartPolicy": "Never", "nodeName": NODE, "containers": [container], **spec}})


@row
def quota_scopes_of_pods(f):
    w = Work(f)
    deadline, cpu = {"activeDeadlineSeconds": 3600}, {"container": {"resources": {"requests": {"cpu": "1m"}}}}
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {}}
    across = {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{**term, "namespaces": ["x"]}]}}}
    for scope, inside, outside in (("Terminating", deadline, {}), ("NotTerminating", {}, deadline), ("BestEffort", {}, cpu),
                                   ("NotBestEffort", cpu, {}), ("CrossNamespacePodAffinity", across, {})):
        at = quota(w, "q", hard={"pods": "1"}, scopes=[scope])
        eventually(lambda: pod(w, "in", **inside).ok(201), what="the first")
        eventually(lambda: w.status(at)["used"] == {"pods": "1"}, what="it to be charged for " + scope)
        pod(w, "two", **inside).fails(403, "Forbidden", text='pods "two" is forbidden: exceeded quota: q, requested: pods=1, '
                                      'used: pods=1, limited: pods=1')
        pod(w, "out", **outside).ok(201)
        for name in ("in", "out"):
            w.api.delete(w.core + "/pods/" + name, {"gracePeriodSeconds": 0}).ok(200)
        eventually(lambda: w.status(at)["used"] == {"pods": "0"}, what="it to be given back for " + scope)
        w.api.delete(at).ok(200)
        w.never(lambda: w.api.get(at).status != 404, "the quota stays")


@row
def quota_of_many(f):
    w = Work(f)
    quotas = [quota(w, "q%d" % i, hard={"count/configmaps": "20"}) for i in range(10)]
    had = int(w.status(quotas[0])["used"]["count/configmaps"])
    w.api.post(w.core + "/configmaps", {"metadata": {"name": "c"}}).ok(201)
    for at in quotas:
        used = lambda: w.status(at)["used"]["count/configmaps"] == str(had + 1)  # noqa: E731
        apilib.soon(f, used, what="%s to be charged" % at)


@row
def quota_rules(f):
    w = Work(f)

    def selector(**requirement):
        return {"hard": {"pods": "1"}, "scopeSelector": {"matchExpressions": [requirement]}}

    for spec, field, text in (
            ({"hard": {"apples": "1"}}, "spec.hard[apples]", "must be a standard resource for quota"),
            ({"hard": {"pods": "1500m"}}, "spec.hard[pods]", "must be an integer"),
            ({"hard": {"pods": "-1"}}, "spec.hard[pods]", "must be greater than or equal to 0"),
            ({"hard": {"pods": "1"}, "scopes": ["Odd"]}, "spec.scopes", "unsupported scope"),
            ({"hard": {"pods": "1"}, "scopes": ["BestEffort", "NotBestEffort"]}, "spec.scopes", "conflicting scopes"),
            ({"hard": {"cpu": "1"}, "scopes": ["BestEffort"]}, "spec.scopes", "unsupported scope applied to resource"),
            ({"hard": {"pods": "1"}, "scopes": ["VolumeAttributesClass"]}, "spec.scopes", "unsupported scope applied to resource"),
            (selector(scopeName="Odd", operator="Exists"), "spec.scopeSelector.matchExpressions.scopeName", "unsupported scope"),
            (selector(scopeName="BestEffort", operator="In", values=["a"]), "spec.scopeSelector.matchExpressions.operator",
             "must be 'Exists' when scope is any of"),
            (selector(scopeName="PriorityClass", operator="In"), "spec.scopeSelector.matchExpressions.values",
             "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"),
            (selector(scopeName="PriorityClass", operator="Exists", values=["a"]), "spec.scopeSelector.matchExpressions.values",
             "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"),
            (selector(scopeName="PriorityClass", operator="Is"), "spec.scopeSelector.matchExpressions.operator",
             "not a valid selector operator")):
        s = w.api.post(w.core + "/resourcequotas", {"metadata": {"name": "q"}, "spec": spec}).fails(422, "Invalid", text=text)
        assert field in [c["field"] for c in s["details"]["causes"]], (field, s)
    at = quota(w, "fixed", hard={"pods": "1"}, scopes=["BestEffort"])
    w.api.merge(at, {"spec": {"scopes": ["NotBestEffort"]}}).fails(422, "Invalid", "FieldValueInvalid", "spec.scopes",
                                                                   "field is immutable")


@row
def limit_range_and_claims_that_grow(f):
    w = Work(f)
    w.api.post(w.core + "/limitranges", {"metadata": {"name": "l"}, "spec": {"limits": [
        {"type": "PersistentVolumeClaim", "max": {"storage": "2Gi"}, "min": {"storage": "1Gi"}}]}}).ok(201)

    def claim(size, text=None):
        answer = w.api.post(w.core + "/persistentvolumeclaims", {"metadata": {"name": "c"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}})
        return answer.fails(403, "Forbidden", text=text) if text else answer.ok(201)

    claim("3Gi", "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi")
    claim("1Mi", "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi")
    claim("1Gi")
    if not f.standalone:
        raise Skip("nothing binds claims there, and only a bound one may grow")
    at = w.core + "/persistentvolumeclaims/c"
    assert w.status(at)["phase"] == "Bound" and w.status(at)["capacity"] == {"storage": "1Gi"}, w.status(at)
    grow = {"spec": {"resources": {"requests": {"storage": "3Gi"}}}}
    w.api.merge(at, grow).fails(403, "Forbidden", text="maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi")
    grow["spec"]["resources"]["requests"]["storage"] = "2Gi"
    assert w.api.merge(at, grow).ok()["status"]["capacity"] == {"storage": "2Gi"}
    grow["spec"]["resources"]["requests"]["storage"] = "1Gi"
    w.api.merge(at, grow).fails(422, "Invalid", "FieldValueForbidden", "spec.resources.requests.storage")


def standalone():
    import lib
    lib.preconditions()
    p = lib.Platform("controllers")
    p.start(without=("node", "agenticsession", "runner-command", "runner-claude-code"))
    try:
        f = apilib.Cluster(p.kubeconfig)
        f.standalone, f.revive = True, lambda: p.log()[-3000:]
        return apilib.main(f, sys.argv[1:])
    finally:
        p.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--cluster"]:
        fixture = apilib.Cluster(sys.argv[2])
        try:
            sys.exit(apilib.main(fixture, sys.argv[3:], {}))
        finally:
            shutil.rmtree(fixture.state, ignore_errors=True)
    sys.exit(standalone())
