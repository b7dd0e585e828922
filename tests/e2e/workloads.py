# SPDX-License-Identifier: Apache-2.0
"""Jobs of every kind with pods which really run: against the whole standalone platform."""
import calendar
import os
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from lib import Platform, until  # noqa: E402
from rows_pods import conditions, job, log_of, pod_spec, pods_of, until_condition  # noqa: E402

INDEX = "batch.kubernetes.io/job-completion-index"
CRONS = "/apis/batch/v1/namespaces/%s/cronjobs"
TRACKING = "batch.kubernetes.io/job-tracking"


def events_of(p, name):
    return {e["reason"]: e["message"] for e in p.request("GET", p.core("events"))["items"]
            if e["involvedObject"]["name"] == name}


def test_row_191_indexed(p):
    o = until_condition(p, job(p, "r191", "echo $JOB_COMPLETION_INDEX $HOSTNAME", completions=3, parallelism=2,
                               completionMode="Indexed"), "Complete")
    assert o["status"]["completedIndexes"] == "0-2" and o["status"]["succeeded"] == 3, o["status"]
    pods = {x["metadata"]["annotations"][INDEX]: x for x in pods_of(p, "r191")}
    assert sorted(pods) == ["0", "1", "2"], pods
    for index, x in pods.items():
        name = x["metadata"]["name"]
        assert name.startswith("r191-%s-" % index) and x["spec"]["hostname"] == "r191-" + index, x
        assert log_of(p, p.core("pods", name)) == "%s r191-%s\n" % (index, index)
        until(lambda: TRACKING not in p.get(p.core("pods", name))["metadata"].get("finalizers", []), what="the finalizer to go")


def test_row_192_pod_failure_policy(p):
    rules = [{"action": "FailJob", "onExitCodes": {"containerName": "c", "operator": "In", "values": [42]}}]
    o = until_condition(p, job(p, "r192", "exit 42", backoffLimit=6, podFailurePolicy={"rules": rules}), "Failed")
    failed = conditions(o)["Failed"]
    assert failed["reason"] == "PodFailurePolicy" and "exit code 42" in failed["message"], failed
    assert len(pods_of(p, "r192")) == 1 and o["status"]["failed"] == 1
    until(lambda: "PodFailurePolicy" in events_of(p, "r192"), what="the event")


def test_indexes_fail_by_themselves(p):
    path = job(p, "per-index", "[ $JOB_COMPLETION_INDEX != 1 ]", completions=3, parallelism=3, completionMode="Indexed",
               backoffLimitPerIndex=0)
    o = until_condition(p, path, "Failed")
    assert conditions(o)["Failed"]["reason"] == "FailedIndexes", o["status"]
    assert (o["status"]["completedIndexes"], o["status"]["failedIndexes"]) == ("0,2", "1"), o["status"]


def test_success_policy_stops_the_rest(p):
    path = job(p, "leader", "[ $JOB_COMPLETION_INDEX = 0 ] || exec sleep 600", completions=2, parallelism=2,
               completionMode="Indexed", successPolicy={"rules": [{"succeededIndexes": "0"}]},
               pod_more={"grace": 1})
    o = until_condition(p, path, "Complete")
    assert conditions(o)["Complete"]["reason"] == "SuccessPolicy" and not o["status"].get("failed"), o["status"]


def test_adoption_and_release(p):
    job(p, "adopts", "exec sleep 600", parallelism=1, completions=1, pod_more={"grace": 0})
    until(lambda: [x for x in pods_of(p, "adopts") if x["status"].get("phase") == "Running"], what="it to run")
    (x,) = pods_of(p, "adopts")
    path = p.core("pods", x["metadata"]["name"])
    p.patch(path, {"metadata": {"ownerReferences": None}})
    until(lambda: p.get(path)["metadata"].get("ownerReferences"), what="the adoption")
    assert p.get(path)["metadata"]["ownerReferences"][0]["controller"] is True
    p.patch(path, {"metadata": {"labels": {k: None for k in x["metadata"]["labels"]}}})
    until(lambda: not p.get(path)["metadata"].get("ownerReferences"), what="the release")
    until(lambda: pods_of(p, "adopts"), what="another pod")
    assert TRACKING not in p.get(path)["metadata"].get("finalizers", [])
    p.request("DELETE", path)
    p.request("DELETE", p.jobs("adopts") + "?propagationPolicy=Background")
    until(lambda: not pods_of(p, "adopts"), what="its pods to go")


def test_suspend_stops_what_runs(p):
    path = job(p, "pauses", "exec sleep 600", pod_more={"grace": 0})
    until(lambda: p.get(path)["status"].get("ready") == 1 or p.get(path)["status"].get("active") == 1, what="it to run")
    p.patch(path, {"spec": {"suspend": True}})
    until(lambda: not pods_of(p, "pauses"), what="the pod to go")
    o = until_condition(p, path, "Suspended")
    assert not o["status"].get("failed") and o["status"]["startTime"], o["status"]
    p.patch(path, {"spec": {"suspend": False}})
    until(lambda: pods_of(p, "pauses"), what="a pod")
    p.request("DELETE", path + "?propagationPolicy=Foreground")
    until(lambda: p.get(path) is None, what="the Job to go")
    assert not pods_of(p, "pauses")


def test_each_pod_counts_once_whatever_dies(p):
    """kill -9 of the daemon while the pods of a Job end: succeeded is exact, and so is the number of runs."""
    path = job(p, "once", "sleep 0.2", completions=12, parallelism=3)
    for rounds in range(4):
        until(lambda: p.get(path)["status"].get("succeeded", 0) >= 2 * (rounds + 1), what="progress")
        p.kill9()
        p.restart()
    o = until_condition(p, path, "Complete")
    assert o["status"]["succeeded"] == 12 and not o["status"].get("failed"), o["status"]
    assert len(pods_of(p, "once")) == 12
    assert o["status"]["uncountedTerminatedPods"] == {}, o["status"]


def cron(p, name, **spec):
    template = {"spec": {"template": {"spec": pod_spec("echo at $(date +%s)")}}}
    p.request("POST", CRONS % p.ns, {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name},
                                     "spec": {"schedule": "* * * * *", "jobTemplate": template, **spec}})
    return CRONS % p.ns + "/" + name


def test_row_211_cronjob(p):
    """Made when the suite began, so that its minute is over by now, or soon."""
    path = CRONS % p.ns + "/r211"
    until(lambda: p.get(path)["status"].get("lastScheduleTime"), 90 + lib.PATIENCE, "the first Job")
    minutes = int(calendar.timegm(time.strptime(p.get(path)["status"]["lastScheduleTime"], "%Y-%m-%dT%H:%M:%SZ")) / 60)
    o = until_condition(p, p.jobs("r211-%d" % minutes), "Complete")
    (ref,) = o["metadata"]["ownerReferences"]
    assert (ref["kind"], ref["name"], ref["controller"]) == ("CronJob", "r211", True), ref
    until(lambda: p.get(path)["status"].get("lastSuccessfulTime"), what="lastSuccessfulTime")
    assert not [j for j in p.request("GET", p.jobs())["items"] if j["metadata"]["name"].startswith("r211-off")]


def test_kubectl_create_job_from_cronjob(p):
    if lib.shutil.which("kubectl") is None:
        return lib.required("kubectl", "kubectl is not installed")
    version = lib.json.loads(p.kubectl("version", "--client", "-o", "json").stdout)["clientVersion"]
    if int(version["minor"].rstrip("+")) < 21:
        return "kubectl 1.20 knows CronJobs of batch/v1beta1 only"
    for args, text in ((("create", "job", "by-hand", "--from=cronjob/r211-off"), "created"),
                       (("wait", "--for=condition=complete", "--timeout=60s", "job/by-hand"), "condition met"),
                       (("get", "cronjob", "r211-off"), "True"), (("describe", "cronjob", "r211"), "Created job r211-")):
        done = p.kubectl(*args)
        assert done.returncode == 0 and text in done.stdout, (args, done.stdout)
    p.request("DELETE", CRONS % p.ns + "/r211-off")
    until(lambda: p.get(p.jobs("by-hand")) is None, what="the Job to follow its CronJob")
    return None


def make():
    p = Platform("work")
    p.start()
    p.namespace()
    cron(p, "r211")
    cron(p, "r211-off", suspend=True)
    return p


if __name__ == "__main__":
    lib.preconditions()
    sys.exit(lib.main(sys.modules[__name__], make))
