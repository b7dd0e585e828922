# SPDX-License-Identifier: Apache-2.0
"""kubectl against the API server alone: run_kubectl.py HOST_PROGRAM PLUGIN.so CRD_DIR [SCENARIO...], or against a real
control plane: run_kubectl.py --cluster KUBECONFIG CRD_DIR CONFORMANCE.md [SCENARIO...]; the table in that page names the
scenarios that differ there, and why.

AMBIENT_KUBECTLS lists programs, separated by spaces or colons; without it the kubectl of PATH is taken.  What a
version of kubectl cannot do at all (older ones lack some commands) is a skip with that reason.
"""
import json
import os
import re
import shutil
import subprocess
import sys

import apilib
import kubectl_admin
import kubectl_apply
from apilib import Skip, rand

SCENARIOS = []


def scenario(fn):
    SCENARIOS.append(fn)
    return fn


class Kubectl:
    def __init__(self, program, fixture, index):
        self.program, self.f = program, fixture
        self.home = os.path.join(fixture.state, "kubectl%d" % index)
        os.makedirs(self.home)
        out = self.run("version", "--client", "-o", "json").stdout
        v = json.loads(out)["clientVersion"]
        self.minor = int(re.match(r"\d+", v["minor"]).group(0))
        self.ns = fixture.namespace()

    def run(self, *args, stdin=None, code=0, timeout=60, editor=None):
        env = {"PATH": os.environ["PATH"], "HOME": self.home, "KUBECONFIG": self.f.kubeconfig}
        if editor:
            env["KUBE_EDITOR"] = editor
        args = (self.program,) + (("-n", self.ns) if hasattr(self, "ns") else ()) + args
        r = subprocess.run(args, input=stdin, env=env, timeout=timeout, capture_output=True, text=True)
        assert code is None or r.returncode == code, "%s: exit %d\n%s%s" % (" ".join(args[1:]), r.returncode, r.stdout,
                                                                            r.stderr)
        return r

    def out(self, *args, **kw):
        return self.run(*args, **kw).stdout

    def file(self, text):
        path = os.path.join(self.home, rand() + ".yaml")
        with open(path, "w") as f:
            f.write(text)
        return path


CONFIGMAP = """apiVersion: v1
kind: ConfigMap
metadata:
  name: %s
  labels: {app: x}
data:
  k: "%s"
"""
JOB = """apiVersion: batch/v1
kind: Job
metadata: {name: %s}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
      - {name: c, image: i, env: [{name: A, value: "%s"}]}
"""
SESSION = """apiVersion: vteam.ambient-code/v1alpha1
kind: AgenticSession
metadata: {name: %s}
spec:
  initialPrompt: "%s"
"""


@scenario
def apply_new_same_changed(k):
    for text, name in ((CONFIGMAP, "cm"), (SESSION, "as")):
        n = "a-" + rand()
        path = k.file(text % (n, "one"))
        assert "created" in k.out("apply", "-f", path)
        r = k.run("apply", "-f", path)
        assert "unchanged" in r.stdout and "warning" not in r.stderr.lower(), r
        with open(path, "w") as f:
            f.write(text % (n, "two"))
        r = k.run("apply", "-f", path)
        assert "configured" in r.stdout and "warning" not in r.stderr.lower(), r
        assert "two" in k.out("get", name, n, "-o", "yaml")
        k.run("delete", "-f", path)
        assert "NotFound" in k.run("get", name, n, code=1).stderr


@scenario
def apply_job(k):
    n = "j-" + rand()
    path = k.file(JOB % (n, "1"))
    assert "created" in k.out("apply", "-f", path)
    assert "unchanged" in k.out("apply", "-f", path)
    with open(path, "w") as f:
        f.write(JOB % (n, "2"))
    assert "field is immutable" in k.run("apply", "-f", path, code=1).stderr
    k.run("delete", "job", n)


@scenario
def create_and_replace(k):
    n = "c-" + rand()
    path = k.file(CONFIGMAP % (n, "1"))
    assert "created" in k.out("create", "-f", path)
    assert "AlreadyExists" in k.run("create", "-f", path, code=1).stderr
    assert "replaced" in k.out("replace", "-f", k.file(CONFIGMAP % (n, "3")))
    assert k.out("get", "cm", n, "-o", "jsonpath={.data.k}") == "3"


@scenario
def create_from_arguments(k):
    """Protobuf bodies from 1.32 on."""
    n = "n-" + rand()
    k.run("create", "configmap", n, "--from-literal=a=b")
    k.run("create", "secret", "generic", n, "--from-literal=a=b")
    k.run("create", "serviceaccount", n)
    k.run("create", "role", n, "--verb=get", "--resource=pods")
    k.run("create", "rolebinding", n, "--role=" + n, "--serviceaccount=%s:%s" % (k.ns, n))
    k.run("create", "job", n, "--image=i", "--", "true")
    k.run("create", "ns", "x-" + n)
    assert k.out("get", "secret", n, "-o", "jsonpath={.data.a}") == "Yg=="
    assert k.out("get", "role", n, "-o", "jsonpath={.rules[0].resources[0]}") == "pods"
    assert k.out("get", "job", n, "-o", "jsonpath={.spec.template.spec.containers[0].command}") in ('["true"]', "[true]")
    k.run("delete", "ns", "x-" + n)
    if k.minor >= 24:
        assert k.out("create", "token", n).count(".") == 2


@scenario
def get_forms(k):
    n = "g-" + rand()
    k.run("create", "-f", k.file(CONFIGMAP % (n, "v")))
    assert re.search(r"^NAME +DATA +AGE\n", k.out("get", "cm"))
    assert re.search(r"\n?%s +1 +\d+s" % n, k.out("get", "cm", n))
    assert k.out("get", "cm", n, "-o", "name").strip() == "configmap/" + n
    assert json.loads(k.out("get", "cm", n, "-o", "json"))["data"] == {"k": "v"}
    assert n in k.out("get", "cm", "-l", "app=x")
    assert n not in k.out("get", "cm", "-l", "app!=x")
    assert n in k.out("get", "cm", "--sort-by=.metadata.name")
    assert n in k.out("get", "cm", "--chunk-size=1")
    assert n in k.out("get", "cm", "--field-selector", "metadata.name=" + n)
    assert n in k.out("get", "cm", "--server-print=false")
    assert "LABELS" in k.out("get", "cm", "--show-labels")
    assert "doesn't have a resource type" in k.run("get", "nosuchkind", code=1).stderr


@scenario
def describe(k):
    n = "d-" + rand()
    k.run("create", "-f", k.file(JOB % (n, "v")))
    k.run("create", "-f", k.file(SESSION % (n, "hello")))
    uid = k.out("get", "job", n, "-o", "jsonpath={.metadata.uid}")
    k.f.api.post("/api/v1/namespaces/%s/events" % k.ns, {
        "metadata": {"name": n}, "reason": "Told", "message": "about it", "type": "Normal", "count": 1,
        "involvedObject": {"kind": "Job", "namespace": k.ns, "name": n, "uid": uid, "apiVersion": "batch/v1"}}).ok(201)
    out = k.out("describe", "job", n)
    assert "Told" in out and "about it" in out, out
    assert "hello" in k.out("describe", "agenticsession", n).replace("Initial Prompt", "")
    assert "Status:" in k.out("describe", "ns", k.ns)
    assert "about it" in k.out("get", "events")


@scenario
def label_annotate_patch(k):
    n = "p-" + rand()
    k.run("create", "-f", k.file(CONFIGMAP % (n, "v")))
    k.run("label", "cm", n, "x=y")
    k.run("annotate", "cm", n, "a=b")
    k.run("label", "cm", n, "x-")
    k.run("patch", "cm", n, "-p", '{"data":{"z":"1"}}')
    k.run("patch", "cm", n, "--type=json", "-p", '[{"op":"add","path":"/data/y","value":"2"}]')
    o = json.loads(k.out("get", "cm", n, "-o", "json"))
    assert o["data"] == {"k": "v", "z": "1", "y": "2"} and o["metadata"]["labels"] == {"app": "x"}
    k.run("create", "-f", k.file(SESSION % (n, "v")))
    assert "unknown format" in k.run("patch", "agenticsession", n, "-p", "{}", code=1).stderr
    k.run("patch", "agenticsession", n, "--type=merge", "-p", '{"spec":{"timeout":60}}')


@scenario
def delete_forms(k):
    for i in range(3):
        k.run("create", "-f", k.file(CONFIGMAP % ("x%d-%s" % (i, rand()), "v")))
    assert k.out("delete", "cm", "-l", "app=x").count("deleted") >= 3
    n = "f-" + rand()
    k.f.api.post("/api/v1/namespaces/%s/configmaps" % k.ns, {"metadata": {"name": n, "finalizers": ["a.b/c"]}}).ok(201)
    assert k.run("delete", "cm", n, "--timeout=1s", code=1, timeout=20).stderr
    k.f.api.merge("/api/v1/namespaces/%s/configmaps/%s" % (k.ns, n), {"metadata": {"finalizers": None}}).ok()
    assert "NotFound" in k.run("delete", "cm", n, code=1).stderr


@scenario
def wait_for(k):
    n = "w-" + rand()
    k.run("create", "-f", k.file((JOB % (n, "v")).replace("backoffLimit", "managedBy: example.com/test\n  backoffLimit")), "--validate=false")
    p = "/apis/batch/v1/namespaces/%s/jobs/%s/status" % (k.ns, n)
    env = {"PATH": os.environ["PATH"], "HOME": k.home, "KUBECONFIG": k.f.kubeconfig}
    waiting = subprocess.Popen([k.program, "-n", k.ns, "wait", "job", n, "--for=condition=complete", "--timeout=30s"],
                               env=env, stdout=subprocess.PIPE, text=True)
    at = "2026-01-01T00:00:00Z"
    k.f.api.merge(p, {"status": {"startTime": at, "completionTime": at, "succeeded": 1, "conditions": [
        {"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Complete", "status": "True"}]}}).ok()
    out = waiting.communicate(timeout=40)[0]
    assert waiting.returncode == 0 and "condition met" in out, out
    assert k.run("wait", "job", n, "--for=condition=failed", "--timeout=1s", code=1, timeout=20)
    k.run("delete", "job", n, "--wait=false")
    k.run("wait", "job", n, "--for=delete", "--timeout=10s", code=None)


@scenario
def dry_run(k):
    """Before 1.28 the OpenAPI v2 document, in protobuf, is asked whether dry runs are supported."""
    path = k.file(CONFIGMAP % ("dry", "v"))
    assert "server dry run" in k.out("apply", "-f", path, "--dry-run=server")
    assert "NotFound" in k.run("get", "cm", "dry", code=1).stderr
    r = k.run("diff", "-f", path, code=1)
    assert "dry" in r.stdout, r


@scenario
def refused_with_a_field_path(k):
    path = k.file(SESSION % ("bad", "x") + "  nosuchfield: 1\n")
    r = k.run("create", "-f", path, code=1 if k.minor >= 25 else None)
    assert k.minor < 25 or "nosuchfield" in r.stderr, r
    path = k.file(SESSION % ("bad", "x") + "  timeout: text\n")
    assert "spec.timeout" in k.run("create", "-f", path, code=1).stderr


@scenario
def discovery_and_rights(k):
    out = k.out("api-resources")
    assert re.search(r"agenticsessions +.*AgenticSession", out) and re.search(r"^pods +po ", out, re.M)
    assert "batch/v1" in k.out("api-versions")
    assert ("+standalone" in k.out("version")) == k.f.standalone
    assert k.out("auth", "can-i", "create", "pods").strip() == "yes"
    assert k.out("get", "--raw", "/readyz") == "ok"
    assert k.run("get", "all")
    if k.minor >= 28:  # 1.27 knows only the beta of it
        assert "admin" in k.out("auth", "whoami")


@scenario
def explain(k):
    """Up to 1.26 from OpenAPI v2 in protobuf, then from v3."""
    assert "initialPrompt" in k.out("explain", "agenticsession.spec")
    out = k.out("explain", "widget.spec", "--recursive")
    for line in (r"mode\s+<string>", r"tags\s+<\[\]string>", r"ports\s+<\[\]Object>", r"port\s+<integer>"):
        assert re.search(line, out), out
    text = "The Job fails when it has been active for longer." if k.f.standalone else "active"  # each in its own words
    assert text in k.out("explain", "job.spec.activeDeadlineSeconds")
    assert re.search(r"secretKeyRef\s+<", k.out("explain", "pod.spec.containers.env.valueFrom"))
    assert re.search(r"openAPIV3Schema\s+<", k.out("explain", "crd.spec.versions.schema"))
    assert "does not exist" in k.run("explain", "job.spec.nosuch", code=1).stderr


@scenario
def logs(k):
    if not k.f.standalone:
        raise Skip("needs a node whose certificate the server trusts")
    n = "l-" + rand()
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec: {restartPolicy: Never, containers: [{name: c, image: i}]}\n"
    k.run("create", "-f", k.file(pod % n))
    assert "waiting to start" in k.run("logs", n, code=1).stderr
    node = apilib.FakeNode(k.f)
    try:
        node.register("standalone")
        status = {"phase": "Running", "containerStatuses": [
            {"name": "c", "ready": True, "restartCount": 0, "image": "i", "imageID": "",
             "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]}
        k.f.api.merge("/api/v1/namespaces/%s/pods/%s/status" % (k.ns, n), {"status": status}).ok()
        assert k.out("logs", n) == "one\ntwo\n"
        assert k.out("logs", n, "--tail=1", "-f") == "one\ntwo\n"
        assert node.asked[-1].endswith("/containerLogs/%s/%s/c?follow=true&tailLines=1" % (k.ns, n)), node.asked
        assert node.callers == {"system:ambient:apiserver"}, node.callers
    finally:
        node.close()
    k.run("delete", "pod", n, "--grace-period=0", "--force")


@scenario
def quotas_limits_and_what_is_absent(k):
    ns = k.f.namespace()
    k.run("create", "quota", "q", "--hard=count/secrets=1,pods=2", "-n", ns)
    k.run("apply", "-n", ns, "-f", k.file("""apiVersion: v1
kind: LimitRange
metadata: {name: l}
spec: {limits: [{type: Container, default: {cpu: 500m}, max: {cpu: "1"}}]}
"""))
    k.run("create", "secret", "generic", "one", "-n", ns)
    r = k.run("create", "secret", "generic", "two", "-n", ns, code=1)
    assert "exceeded quota: q, requested: count/secrets=1, used: count/secrets=1, limited: count/secrets=1" in r.stderr, r.stderr
    out = k.out("describe", "quota", "q", "-n", ns)
    assert re.search(r"count/secrets +1 +1", out) and re.search(r"pods +0 +2", out), out
    out = k.out("describe", "limits", "l", "-n", ns)
    assert re.search(r"Container +cpu +- +1 +500m +500m +-", out), out
    out = k.out("describe", "namespace", ns)
    assert "Resource Quotas" in out and "Resource Limits" in out and "count/secrets" in out, out
    if not k.f.standalone:
        return
    r = k.run("get", "deployments", "-n", ns, code=1)
    assert 'the server doesn\'t have a resource type "deployments"' in r.stderr, r.stderr
    r = k.run("apply", "-n", ns, "-f", k.file("""apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: np}
spec: {podSelector: {}}
"""))
    assert "nothing enforces NetworkPolicies" in r.stderr or k.minor < 19, r.stderr


@scenario
def cronjobs_and_their_jobs(k):
    if k.minor < 21:
        raise Skip("kubectl 1.%d knows CronJobs of batch/v1beta1 only" % k.minor)
    ns = k.f.namespace()
    k.run("create", "cronjob", "c", "--image=i:1", "--schedule=*/5 * * * *", "-n", ns)
    k.run("create", "job", "j", "--from=cronjob/c", "-n", ns)
    out = k.out("get", "all", "-n", ns)
    assert "cronjob.batch/c" in out and "job.batch/j" in out, out
    k.run("delete", "job", "j", "--cascade=orphan", "-n", ns)
    r = k.run("create", "cronjob", "bad", "--image=i:1", "--schedule=* * *", "-n", ns, code=1)
    assert "expected exactly 5 fields, found 3" in r.stderr, r.stderr


def programs():
    named = os.environ.get("AMBIENT_KUBECTLS")
    if named:
        return [p for p in re.split(r"[ :]+", named) if p]
    found = shutil.which("kubectl")
    return [found] if found else []


def scenarios(fixture, kubectls, by_version):
    for i, program in enumerate(kubectls):
        k = Kubectl(program, fixture, i)
        for fn in SCENARIOS + kubectl_apply.SCENARIOS + kubectl_admin.SCENARIOS:
            def bound(_, fn=fn, k=k):
                fn(k)
            bound.__name__ = ("kubectl_1_%d_%s" % (k.minor, fn.__name__)) if by_version else "kubectl_" + fn.__name__
            apilib.ROWS.append(bound)


def on_a_cluster(kubeconfig, crds, conformance, wanted):
    fixture = apilib.Cluster(kubeconfig)
    try:
        subprocess.run([programs()[0], "--kubeconfig", kubeconfig, "apply", "-f", crds], check=True,
                       stdout=subprocess.DEVNULL)
        scenarios(fixture, programs()[:1], False)
        return apilib.main(fixture, wanted, apilib.differences(conformance))
    finally:
        shutil.rmtree(fixture.state, ignore_errors=True)


def main(argv):
    kubectls = programs()
    if not kubectls:
        if "kubectl" in os.environ.get("AMBIENT_REQUIRE", "").split(","):
            print("Bail out! kubectl is required and not there")
            return 1
        print("1..0 # SKIP kubectl is not there")
        return 0
    if argv[1] == "--cluster":
        return on_a_cluster(argv[2], argv[3], argv[4], argv[5:])
    fixture = apilib.Fixture(argv[1], argv[2], [argv[3]])
    try:
        scenarios(fixture, kubectls, True)
        return apilib.main(fixture, argv[4:])
    finally:
        fixture.stop()
        shutil.rmtree(fixture.state, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
