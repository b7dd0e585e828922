# SPDX-License-Identifier: Apache-2.0
"""What administrators and impatient people do with kubectl: nodes, rights, tokens, edits, waiting, looking around."""
import json
import re

from apilib import Skip, rand

SCENARIOS = []


def scenario(fn):
    SCENARIOS.append(fn)
    return fn


CONFIGMAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, labels: {app: x}}\ndata: {k: \"%s\"}\n"
POD = """apiVersion: v1
kind: Pod
metadata: {name: %s, labels: {app: x}}
spec: {restartPolicy: Never, nodeName: %s, containers: [{name: c, image: "i:1"}]}
"""
JOB = """apiVersion: batch/v1
kind: Job
metadata: {name: %s}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: "i:1"}]}}}
"""


def editor(k, script):
    """A program that edits the file in its argument with sed(1)."""
    path = k.file("#!/bin/sh\nexec sed -i -e '%s' \"$1\"\n" % script)
    return "sh " + path


@scenario
def top_needs_metrics(k):
    """As in a cluster without a metrics server."""
    for what in ("nodes", "pods"):
        assert "Metrics API not available" in k.run("top", what, code=1).stderr


@scenario
def nodes_are_cordoned_and_drained(k):
    node, pod = "n-" + rand(), "d-" + rand()
    k.f.api.post("/api/v1/nodes", {"metadata": {"name": node}}).ok(201)
    k.run("create", "-f", k.file(POD % (pod, node)))
    assert "cordoned" in k.out("cordon", node)
    assert re.search(r"%s +Unknown,SchedulingDisabled +<none>" % node, k.out("get", "node", node))
    assert "already cordoned" in k.out("cordon", node)
    r = k.run("drain", node, code=1, timeout=90)
    assert "declare no controller" in r.stderr or "not managed by" in r.stderr, r.stderr
    r = k.run("drain", node, "--force", "--grace-period=0", "--timeout=30s", timeout=90)
    # Old ones evict only where they find the group "policy", which is not served here, and delete otherwise.
    if k.minor >= 22:
        assert "evicted" in r.stdout and "drained" in r.stdout, r
    else:
        assert "pod/%s deleted" % pod in r.stdout, r
    assert "NotFound" in k.run("get", "pod", pod, code=1).stderr
    assert "uncordoned" in k.out("uncordon", node)
    assert "SchedulingDisabled" not in k.out("get", "node", node)
    k.run("taint", "node", node, "a=b:NoSchedule")
    assert json.loads(k.out("get", "node", node, "-o", "json"))["spec"]["taints"] == [{"key": "a", "value": "b", "effect": "NoSchedule"}]
    assert "invalid taint" in k.run("taint", "node", node, "a/b/c=d:NoSchedule", code=1).stderr
    k.run("taint", "node", node, "a-")
    k.run("label", "node", node, "node-role.kubernetes.io/worker=")
    assert re.search(r"%s +Unknown +worker" % node, k.out("get", "node", node))
    k.run("delete", "node", node)


@scenario
def rights_are_made_and_listed(k):
    n = "r-" + rand()
    k.run("create", "sa", n)
    k.run("create", "role", n, "--verb=get,list", "--resource=pods,jobs.batch", "--resource-name=one")
    k.run("create", "rolebinding", n, "--role=" + n, "--serviceaccount=%s:%s" % (k.ns, n))
    k.run("create", "clusterrole", n, "--verb=get", "--non-resource-url=/logs/*")
    k.run("create", "clusterrolebinding", n, "--clusterrole=" + n, "--serviceaccount=%s:%s" % (k.ns, n), "--group=team")
    as_it = "--as=system:serviceaccount:%s:%s" % (k.ns, n)
    out = k.out("auth", "can-i", "--list", as_it)
    assert re.search(r"pods +\[\] +\[one\] +\[get list\]", out) and re.search(r"\[/logs/\*\] +\[\] +\[get\]", out), out
    assert k.out("auth", "can-i", "get", "pods/one", as_it).strip() == "yes"
    assert k.run("auth", "can-i", "delete", "pods", as_it, code=1).stdout.strip() == "no"
    assert k.out("auth", "can-i", "get", "/logs/x", as_it).strip() == "yes"
    r = k.run("get", "secrets", as_it, code=1)
    assert "cannot list resource \"secrets\"" in r.stderr, r.stderr
    wide = k.out("get", "clusterrolebinding", n, "-o", "wide")
    assert re.search(r"ClusterRole/%s +\d+s +team +%s/%s" % (n, k.ns, n), wide), wide
    assert re.search(r"pods +\[\] +\[one\] +\[get list\]", k.out("describe", "role", n))
    assert re.search(r"ServiceAccount +%s +%s" % (n, k.ns), k.out("describe", "rolebinding", n))
    if k.minor >= 24:
        token = k.out("create", "token", n, "--duration=10m").strip()
        assert k.f.nobody.with_token(token).get("/api/v1/namespaces/%s/pods/one" % k.ns).status == 404
        assert "Invalid value" in k.run("create", "token", n, "--duration=1s", code=1).stderr
    k.run("delete", "clusterrolebinding,clusterrole", n)


@scenario
def things_are_edited_and_replaced(k):
    n = "e-" + rand()
    path = k.file(CONFIGMAP % (n, "one"))
    k.run("create", "-f", path)
    assert "edited" in k.run("edit", "cm", n, editor=editor(k, "s/k: one/k: two/")).stdout
    assert k.out("get", "cm", n, "-o", "jsonpath={.data.k}") == "two"
    r = k.run("edit", "cm", n, editor=editor(k, "s/none/none/"))
    assert "no changes" in (r.stdout + r.stderr).lower(), r
    k.run("annotate", "cm", n, "a=b", "c=d")
    assert "already has a value" in k.run("annotate", "cm", n, "a=z", code=1).stderr
    k.run("annotate", "cm", n, "a=z", "--overwrite")
    k.run("label", "cm", n, "l=1", "--overwrite")
    assert "invalid label value" in k.run("label", "cm", n, "l=bad!", code=1).stderr
    assert n in k.out("get", "cm", "-l", "l=1", "-o", "name")
    k.run("replace", "-f", k.file(CONFIGMAP % (n, "three")))
    o = json.loads(k.out("get", "cm", n, "-o", "json"))
    assert o["data"] == {"k": "three"} and "annotations" not in o["metadata"], o
    assert "replaced" in k.run("replace", "--force", "-f", path, timeout=60).stdout
    r = k.run("patch", "cm", n, "-p", '{"data":{"k":7}}', code=1)
    assert re.search("not a string|int64 to string", r.stderr), r.stderr
    r = k.run("diff", "-f", k.file(CONFIGMAP % (n, "four")), code=1)
    assert re.search(r"^-  k: one$", r.stdout, re.M) and re.search(r"^\+  k: four$", r.stdout, re.M), r.stdout
    assert k.run("diff", "-f", path).stdout == ""


@scenario
def jobs_are_set_and_waited_for(k):
    n = "s-" + rand()
    k.run("create", "-f", k.file(JOB % n + "  # end\n"))
    r = k.run("set", "image", "job/" + n, "c=j:2", code=1)
    assert "field is immutable" in r.stderr, r.stderr
    assert k.run("wait", "job", n, "--for=condition=complete", "--timeout=1s", code=1, timeout=20).stderr
    if k.minor >= 23:
        k.run("wait", "job", n, "--for=jsonpath={.spec.parallelism}=1", "--timeout=10s")
    r = k.run("rollout", "status", "job/" + n, code=1)
    assert "no status viewer has been implemented" in r.stderr, r.stderr
    r = k.run("scale", "job", n, "--replicas=2", code=1)
    assert "could not find the requested resource" in r.stderr, r.stderr


@scenario
def cron_jobs_are_set_and_run(k):
    if k.minor < 21:
        raise Skip("kubectl 1.%d knows CronJobs of batch/v1beta1 only" % k.minor)
    n = "s-" + rand()
    k.run("create", "cronjob", n, "--image=i:1", "--schedule=0 0 1 1 *")
    assert "image updated" in k.out("set", "image", "cronjob/" + n, "%s=j:2" % n)
    k.run("set", "env", "cronjob/" + n, "A=b")
    c = json.loads(k.out("get", "cronjob", n, "-o", "json"))["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    assert c["image"] == "j:2" and c["env"] == [{"name": "A", "value": "b"}], c
    wide = k.out("get", "cronjob", n, "-o", "wide")
    assert re.search(r"%s +0 0 1 1 \* +<none> +False +0 +<none> +\d+s +%s +j:2 +<none>" % (n, n), wide), wide
    k.run("create", "job", "j" + n, "--from=cronjob/" + n)
    owner = json.loads(k.out("get", "job", "j" + n, "-o", "json"))["metadata"]["ownerReferences"][0]
    assert owner["kind"] == "CronJob" and owner["controller"] is True, owner


@scenario
def what_happened(k):
    n = "h-" + rand()
    k.run("create", "-f", k.file(CONFIGMAP % (n, "x")))
    for i, kind in enumerate(("Normal", "Warning")):
        k.f.api.post("/api/v1/namespaces/%s/events" % k.ns, {
            "metadata": {"name": "%s-%d" % (n, i)}, "reason": "Told", "message": "word %d" % i, "type": kind, "count": 3,
            "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:0%d:00Z" % i, "source": {"component": "me"},
            "involvedObject": {"kind": "ConfigMap", "apiVersion": "v1", "namespace": k.ns, "name": n}}).ok(201)
    out = k.out("get", "events", "-o", "wide", "--field-selector", "involvedObject.name=" + n)
    assert re.search(r"Warning +Told +configmap/%s +me +word 1 +\d+d +3 +%s-1" % (n, n), out), out
    if k.minor >= 24:
        out = k.out("events", "--for=configmap/" + n)
        assert out.index("word 0") < out.index("word 1") and re.search(r"Normal +Told +ConfigMap/%s +word 0" % n, out), out
        assert "word 0" not in k.out("events", "--for=configmap/" + n, "--types=Warning")


@scenario
def looking_around(k):
    assert "is running at" in k.out("cluster-info")
    config = k.out("config", "view", "--minify")
    assert "current-context" in config and ("DATA+OMITTED" in config or "REDACTED" in config), config
    assert k.out("config", "current-context").strip() in config
    out = k.out("api-resources", "--namespaced=true", "--verbs=list,get", "-o", "name")
    assert {"pods", "jobs.batch", "events.events.k8s.io", "roles.rbac.authorization.k8s.io"} <= set(out.split()), out
    assert "nodes" not in out.split()
    out = k.out("api-resources", "--api-group=batch", "--no-headers")
    assert re.search(r"^cronjobs +cj +batch/v1 +true +CronJob$", out, re.M), out
    assert {"v1", "batch/v1", "apiextensions.k8s.io/v1"} <= set(k.out("api-versions").split())
    out = k.out("explain", "pod.spec.containers", "--recursive")
    for line in (r"name\s+<string>", r"ports\s+<\[\]", r"containerPort\s+<integer>", r"limits\s+<map\[string\]"):
        assert re.search(line, out), (line, out)
    assert "cron" in k.out("explain", "cronjob.spec.schedule").lower()
    assert k.out("get", "--raw", "/livez/ping") == "ok"
    assert "could not find the requested resource" in k.run("get", "--raw", "/nosuch", code=1).stderr


@scenario
def every_kind_is_printed(k):
    """get and get -o wide of every kind that can be listed."""
    kinds = k.out("api-resources", "--verbs=list", "-o", "name").split()
    assert len(kinds) > 20, kinds
    for kind in kinds:
        for form in ((), ("-o", "wide")):
            r = k.run("get", kind, "-A", *form)
            assert r.stdout.startswith(("NAME", "NAMESPACE")) or "No resources found" in r.stderr, (kind, r)
