# SPDX-License-Identifier: Apache-2.0
"""kubectl's ways to change an object: server-side apply, diff, edit, set, scale."""
import json

from apilib import Skip, rand

SCENARIOS = []


def scenario(fn):
    SCENARIOS.append(fn)
    return fn


CONFIGMAP = """apiVersion: v1
kind: ConfigMap
metadata: {name: %s}
data: {k: "%s"}
"""
SESSION = """apiVersion: vteam.ambient-code/v1alpha1
kind: AgenticSession
metadata: {name: %s}
spec: {initialPrompt: "%s"}
"""
CRONJOB = """apiVersion: batch/v1
kind: CronJob
metadata: {name: %s}
spec:
  schedule: "* * * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
          - {name: c, image: "%s", env: [{name: A, value: "1"}]}
"""


def managers(k, kind, name):
    o = json.loads(k.out("get", kind, name, "-o", "json", *(["--show-managed-fields"] if k.minor >= 21 else [])))
    return sorted((e["manager"], e["operation"]) for e in o["metadata"].get("managedFields", []))


@scenario
def server_side_apply(k):
    for text, kind, field in ((CONFIGMAP, "cm", ".data.k"), (SESSION, "as", ".spec.initialPrompt")):
        n = "s-" + rand()
        path = "jsonpath={%s}" % field
        assert "serverside-applied" in k.out("apply", "--server-side", "-f", k.file(text % (n, "one")))
        rv = k.out("get", kind, n, "-o", "jsonpath={.metadata.resourceVersion}")
        k.run("apply", "--server-side", "-f", k.file(text % (n, "one")))
        assert k.out("get", kind, n, "-o", "jsonpath={.metadata.resourceVersion}") == rv
        k.run("apply", "--server-side", "-f", k.file(text % (n, "two")))
        assert k.out("get", kind, n, "-o", path) == "two"
        other = ("apply", "--server-side", "--field-manager=other", "-f", k.file(text % (n, "three")))
        err = k.run(*other, code=1).stderr
        assert 'Apply failed with 1 conflict: conflict with "kubectl": ' + field in err, err
        k.run(*other, "--force-conflicts")
        assert k.out("get", kind, n, "-o", path) == "three"
        assert ("other", "Apply") in managers(k, kind, n)


@scenario
def from_client_side_to_server_side_and_back(k):
    n = "m-" + rand()
    k.run("apply", "-f", k.file(CONFIGMAP % (n, "one")))
    # Nobody else has changed it since: what was applied from the client is kubectl's own.
    k.run("apply", "--server-side", "-f", k.file(CONFIGMAP % (n, "two")))
    assert ("kubectl", "Apply") in managers(k, "cm", n)
    r = k.run("apply", "-f", k.file(CONFIGMAP % (n, "three")))
    assert "configured" in r.stdout and "warning" not in r.stderr.lower(), r
    assert k.out("get", "cm", n, "-o", "jsonpath={.data.k}") == "three"


@scenario
def diff_says_what_a_server_side_apply_would_do(k):
    n = "d-" + rand()
    k.run("apply", "--server-side", "-f", k.file(CONFIGMAP % (n, "one")))
    assert k.run("diff", "--server-side", "-f", k.file(CONFIGMAP % (n, "one"))).stdout == ""
    r = k.run("diff", "--server-side", "-f", k.file(CONFIGMAP % (n, "two")), code=1)
    assert "-  k: one" in r.stdout and "+  k: two" in r.stdout, r
    assert k.out("get", "cm", n, "-o", "jsonpath={.data.k}") == "one"


@scenario
def edit_takes_over_what_it_changes(k):
    n = "e-" + rand()
    k.run("apply", "--server-side", "-f", k.file(CONFIGMAP % (n, "one")))
    k.run("edit", "cm", n, editor="sed -i s/one/edited/")
    assert k.out("get", "cm", n, "-o", "jsonpath={.data.k}") == "edited"
    assert ("kubectl-edit", "Update") in managers(k, "cm", n)
    err = k.run("apply", "--server-side", "-f", k.file(CONFIGMAP % (n, "one")), code=1).stderr
    assert 'conflict with "kubectl-edit" using v1' in err, err


@scenario
def set_label_annotate_have_managers(k):
    if k.minor < 21:
        raise Skip("kubectl 1.%d knows CronJobs of batch/v1beta1 only" % k.minor)
    n = "c-" + rand()
    k.run("apply", "--server-side", "-f", k.file(CRONJOB % (n, "old")))
    k.run("set", "image", "cronjob/" + n, "c=new")
    k.run("set", "env", "cronjob/" + n, "B=2")
    k.run("label", "cronjob", n, "x=y")
    k.run("annotate", "cronjob", n, "x=y")
    container = json.loads(k.out("get", "cronjob", n, "-o", "json"))["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "new" and {e["name"] for e in container["env"]} == {"A", "B"}, container
    names = {m for m, _ in managers(k, "cronjob", n)}
    assert {"kubectl", "kubectl-set", "kubectl-label", "kubectl-annotate"} <= names, names
    err = k.run("apply", "--server-side", "-f", k.file(CRONJOB % (n, "old")), code=1).stderr
    assert '.spec.jobTemplate.spec.template.spec.containers[name="c"].image' in err, err


@scenario
def scale_a_custom_resource(k):
    n = "w-" + rand()
    kind = "widgets." + k.f.group
    text = "apiVersion: %s/v1\nkind: Widget\nmetadata: {name: %s}\nspec: {replicas: 1}\n" % (k.f.group, n)
    k.run("apply", "--server-side", "-f", k.file(text))
    k.run("scale", kind, n, "--replicas=4")
    assert k.out("get", kind, n, "-o", "jsonpath={.spec.replicas}") == "4"
    o = json.loads(k.out("get", "--raw", "%s/namespaces/%s/widgets/%s" % (k.f.gv, k.ns, n)))
    assert [e.get("subresource") for e in o["metadata"]["managedFields"]] == ["scale"], o["metadata"]
    err = k.run("apply", "--server-side", "-f", k.file(text), code=1).stderr
    assert 'with subresource "scale"' in err and ".spec.replicas" in err, err
