# SPDX-License-Identifier: Apache-2.0
"""Wrong bodies: bodies.py KUBECONFIG HOST_PROGRAM PLUGIN.so

A good body of every builtin kind is made wrong in every field: another type, another value, without it, with one that is
not known.  The real server and ours must answer with the same code, reason and fields of the causes; what may differ is in
DIFFERENCES, with the reason, and must.  A fourth argument chooses one resource.
"""
import copy
import json
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "api"))
import apilib  # noqa: E402

METADATA = {"labels": {"a": "b"}, "annotations": {"c": "d"}, "finalizers": ["example.com/f"]}
POD = {
    "restartPolicy": "Never", "terminationGracePeriodSeconds": 5, "activeDeadlineSeconds": 9, "hostname": "h", "nodeSelector": {"a": "b"},
    "serviceAccountName": "default", "automountServiceAccountToken": False, "priorityClassName": "", "dnsPolicy": "Default",
    "imagePullSecrets": [{"name": "s"}], "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3}],
    "securityContext": {"runAsUser": 1, "fsGroup": 2, "runAsNonRoot": True},
    "volumes": [{"name": "e", "emptyDir": {"sizeLimit": "1Mi"}}, {"name": "c", "configMap": {"name": "m", "items": [{"key": "k", "path": "p"}]}},
                {"name": "s", "secret": {"secretName": "n", "defaultMode": 256}}, {"name": "p", "persistentVolumeClaim": {"claimName": "c"}}],
    "containers": [{
        "name": "c", "image": "i:1", "command": ["a"], "args": ["b"], "workingDir": "/w", "imagePullPolicy": "Always",
        "env": [{"name": "A", "value": "b"}, {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "envFrom": [{"prefix": "P", "configMapRef": {"name": "m"}}], "ports": [{"name": "p", "containerPort": 80, "protocol": "TCP"}],
        "volumeMounts": [{"name": "e", "mountPath": "/e", "readOnly": True, "subPath": "s"}],
        "resources": {"requests": {"cpu": "1", "memory": "1Mi"}, "limits": {"cpu": "2"}},
        "livenessProbe": {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 3, "failureThreshold": 2},
        "readinessProbe": {"exec": {"command": ["x"]}}, "lifecycle": {"preStop": {"exec": {"command": ["x"]}}},
        "securityContext": {"runAsUser": 1, "privileged": False, "capabilities": {"drop": ["ALL"]}}}],
}
TEMPLATE = {"metadata": {"labels": {"x": "y"}}, "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i:1"}]}}
JOB = {"template": TEMPLATE, "backoffLimit": 2, "completions": 3, "parallelism": 2, "completionMode": "Indexed", "suspend": True,
       "activeDeadlineSeconds": 10, "ttlSecondsAfterFinished": 5,
       "podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": {"containerName": "c", "operator": "In", "values": [3, 4]}}]}}
RULES = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": ["n"]}]
SUBJECTS = [{"kind": "ServiceAccount", "name": "s", "namespace": "n"}, {"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"}]
ROLE_REF = {"kind": "ClusterRole", "name": "view", "apiGroup": "rbac.authorization.k8s.io"}
AT = "2026-01-01T00:00:00.000000Z"

CORE, RBAC = "/api/v1/namespaces/NS/", "/apis/rbac.authorization.k8s.io/v1/"
KINDS = [
    (CORE + "configmaps", {"data": {"k": "v"}, "binaryData": {"b": "AA=="}, "immutable": True}),
    (CORE + "secrets", {"data": {"k": "AA=="}, "stringData": {"s": "t"}, "type": "Opaque", "immutable": False}),
    (CORE + "serviceaccounts", {"secrets": [{"name": "s"}], "imagePullSecrets": [{"name": "i"}], "automountServiceAccountToken": True}),
    (CORE + "limitranges", {"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "1m"}, "default": {"cpu": "1"},
                                                 "defaultRequest": {"cpu": "1"}, "maxLimitRequestRatio": {"cpu": "4"}}]}}),
    (CORE + "resourcequotas", {"spec": {"hard": {"pods": "1", "requests.cpu": "1"}, "scopes": ["NotTerminating"]}}),
    (CORE + "persistentvolumeclaims", {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
                                                "storageClassName": "s", "volumeMode": "Filesystem", "selector": {"matchLabels": {"a": "b"}}}}),
    (CORE + "services", {"spec": {"type": "ClusterIP", "clusterIP": "None", "selector": {"a": "b"}, "sessionAffinity": "None", "ports": [
        {"name": "p", "port": 80, "targetPort": 8080, "protocol": "TCP"}]}}),
    (CORE + "events", {"involvedObject": {"kind": "Pod", "name": "p", "namespace": "NS", "uid": "u", "fieldPath": "f"}, "reason": "R", "message": "m",
                       "type": "Normal", "count": 1, "source": {"component": "c", "host": "h"}, "firstTimestamp": "2026-01-01T00:00:00Z"}),
    ("/apis/events.k8s.io/v1/namespaces/NS/events", {
        "regarding": {"kind": "Pod", "name": "p", "namespace": "NS"}, "reason": "R", "note": "n", "type": "Normal", "action": "A",
        "reportingController": "c.io/x", "reportingInstance": "i", "eventTime": AT, "series": {"count": 2, "lastObservedTime": AT}}),
    (CORE + "pods", {"spec": POD}),
    ("/apis/batch/v1/namespaces/NS/jobs", {"spec": JOB}),
    ("/apis/batch/v1/namespaces/NS/cronjobs", {"spec": {
        "schedule": "*/5 * * * *", "timeZone": "Etc/UTC", "suspend": True, "concurrencyPolicy": "Forbid", "startingDeadlineSeconds": 9,
        "successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 1, "jobTemplate": {"spec": {"template": TEMPLATE}}}}),
    ("/apis/coordination.k8s.io/v1/namespaces/NS/leases", {"spec": {
        "holderIdentity": "h", "leaseDurationSeconds": 5, "leaseTransitions": 1, "acquireTime": AT, "renewTime": AT}}),
    ("/apis/networking.k8s.io/v1/namespaces/NS/networkpolicies", {"spec": {
        "podSelector": {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "k", "operator": "In", "values": ["v"]}]},
        "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 80, "protocol": "TCP"}], "from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]}}),
    (RBAC + "namespaces/NS/roles", {"rules": RULES}),
    (RBAC + "namespaces/NS/rolebindings", {"roleRef": ROLE_REF, "subjects": SUBJECTS}),
    (RBAC + "clusterroles", {"rules": RULES + [{"nonResourceURLs": ["/x"], "verbs": ["get"]}]}),
    (RBAC + "clusterrolebindings", {"roleRef": ROLE_REF, "subjects": SUBJECTS}),
    ("/api/v1/namespaces", {"spec": {"finalizers": ["kubernetes"]}}),
    ("/api/v1/nodes", {"spec": {"unschedulable": True, "taints": [{"key": "k", "effect": "NoSchedule"}], "podCIDR": "10.0.0.0/24"}}),
    ("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "x"}}}),
    ("/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": {"user": "u", "groups": ["g"], "extra": {"e": ["x"]},
                                                                     "nonResourceAttributes": {"verb": "get", "path": "/x"}}}),
    ("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", {"spec": {"namespace": "x"}}),
    ("/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": "x", "audiences": ["a"]}}),
    (CORE + "serviceaccounts/default/token", {"spec": {"audiences": ["a"], "expirationSeconds": 600}}),
]
# Observations, as expressions, and why they differ.  Each must still find one that does.
DIFFERENCES = [
    (r"\S+ (data\.k|binaryData\.b)=\[\]", "bytes are text in base64 here; Go reads a list of numbers too"),
    (r"\S+ metadata\.finalizers\.0 null", "a list of strings holds none that is null"),
    (r"limitranges metadata( |=|\.name( |=))(null|gone|\{\}|\"\")", "a cluster gives a LimitRange without a name one of its own"),
    (r"limitranges spec\.limits\.0( |=|\.type).*", "a type that is missing is called missing, one of others' is stored"),
    (r"limitranges spec\.limits\.0\.\w+\.cpu.*", "null is no quantity here, 0 there; one cause for a bound that two others cross"),
    (r"persistentvolumeclaims .*storage null", "null is missing here, 0 there"),
    (r"persistentvolumeclaims spec\.volumeMode=\"\"", "an empty word is the default"),
    (r"jobs spec\.completionMode=\"\"", "an empty word is the default"),
    (r"jobs spec\.podFailurePolicy.*", "one cause for a list that is wrong in two ways"),
    (r"events metadata\.name=.*", "names are checked as everywhere; a cluster looks at no name of a core event"),
    (r"events\S* (involvedObject|regarding) (null|gone)", "what is missing is called missing"),
    (r"events\S* regarding\.namespace.*", "an event is about an object of its namespace in both groups"),
    (r"events\S* (type|reportingController).*", "what is missing is called missing, what is not supported so"),
    (r"rolebindings subjects\.0\.namespace.*", "a cluster takes the binding's own; here it must be said, as in a ClusterRoleBinding"),
    (r"namespaces spec\.finalizers.*", "they are the server's own: what a client sends is not looked at"),
    (r"nodes spec\.podCIDR.*", "nothing here has a network of its own"),
    (r"subjectaccessreviews spec( |=)(null|gone|\{\})", "one cause; a cluster names the user besides"),
    (r"pods spec\.terminationGracePeriodSeconds=-1", "a cluster makes it 1"),
    (r"pods spec\.priorityClassName.*", "there are no PriorityClasses, and the name means nothing"),
    (r"pods spec\.volumes\.\d\.name (null|gone)", "without a name it is told besides that it became an emptyDir"),
    (r"pods .*secretKeyRef\.key=.*", "a key that no Secret can have is found missing when the pod starts"),
    (r"pods .*envFrom.*", "the cause is that of the name"),
    (r"pods .*containerPort=0", "0 is a port that is out of bounds"),
    (r"pods .*limits\.cpu null", "null is missing here, 0 there"),
    (r"pods .*livenessProbe\.httpGet.*", "what is missing is called missing"),
]


def steps(value, path=()):
    """Every place in the value, the deepest last."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in items:
        yield path + (key,)
        yield from steps(member, path + (key,))


def at(value, path):
    for key in path:
        value = value[key]
    return value


def changed(body, path, value=None, gone=False):
    body = copy.deepcopy(body)
    parent = at(body, path[:-1])
    if gone:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return body


def other_values(value):
    """Of another type; then of the same type, and odd."""
    if isinstance(value, bool):
        return ["true", 1, {}]
    if isinstance(value, int):
        return ["7", 1.5, True, {}, [], -1, 0, 99999999999]
    if isinstance(value, str):
        return [7, True, {}, [], "", "-Odd value/", "x" * 300]
    if isinstance(value, list):
        return ["x", {}, 7, []]
    return ["x", 7, [], {}]


def wrong(body):
    """(what, body): the ways in which it is wrong."""
    for path in steps(body):
        name = ".".join(str(x) for x in path)
        for value in other_values(at(body, path)):
            yield "%s=%s" % (name, json.dumps(value)[:24]), changed(body, path, value)
        yield name + " null", changed(body, path, None)
        yield name + " gone", changed(body, path, gone=True)
        if isinstance(at(body, path), dict) and path[-1] not in FREE:
            yield name + " with more", changed(body, path + ("unknownField",), 1)
    yield "top with more", {**body, "unknownField": 1}


# Maps whose keys are the user's.
FREE = {"labels", "annotations", "data", "binaryData", "stringData", "nodeSelector", "matchLabels", "selector", "extra", "hard", "requests",
        "limits", "max", "min", "default", "defaultRequest", "maxLimitRequestRatio"}


def said(answer, ns):
    """What is compared: code, reason, and the causes' reasons and fields, each once: a name that breaks two rules is
    told twice by one and once by the other."""
    if answer.status < 300:
        return (2,)
    s = answer.json
    causes = sorted({(c.get("reason", ""), c.get("field", "").replace(ns, "NS")) for c in s.get("details", {}).get("causes", [])})
    return (answer.status, s.get("reason", ""), tuple(causes))


def with_namespace(value, ns):
    return json.loads(json.dumps(value).replace('"NS"', '"%s"' % ns))


def main(argv):
    real, ours = apilib.Cluster(argv[1]), apilib.Fixture(argv[2], argv[3], [])
    ours.api.post(ours.core + "/serviceaccounts", {"metadata": {"name": "default"}})
    only = argv[4] if len(argv) > 4 else ""
    count, differ, bad, seen = 0, 0, [], set()
    try:
        for path, content in KINDS:
            plural = path.rsplit("/", 1)[1] + (".events.k8s.io" if path.startswith("/apis/events") else "")
            if only and plural != only:
                continue
            stored = "review" not in plural and plural != "token"
            body = {"metadata": {"name": "n", **METADATA}, **content} if stored else content
            for what, b in [("good", body)] + list(wrong(body)):
                answers = []
                for f in (real, ours):
                    url = path.replace("NS", f.ns) + "?dryRun=All&fieldValidation=Strict"
                    answers.append(f.api.post(url, with_namespace(b, f.ns)))
                got = [said(a, f.ns) for a, f in zip(answers, (real, ours))]
                key = plural + " " + what
                count += 1
                if what == "good" and got[0] != (2,):
                    bad.append("%s is not good: %s" % (plural, answers[0].raw[:300]))
                if got[0] == got[1]:
                    continue
                why = [e for e, _ in DIFFERENCES if re.fullmatch(e, key)]
                seen.update(why)
                if why:
                    differ += 1
                else:
                    bad.append("%s: real %s, ours %s %s" % (key, got[0], got[1], str(answers[1].json.get("message", ""))[:110]))
    finally:
        ours.stop()
        shutil.rmtree(ours.state, ignore_errors=True)
        shutil.rmtree(real.state, ignore_errors=True)
    if not only:
        bad += ["nothing differs any more as in " + e for e, _ in DIFFERENCES if e not in seen]
    for line in bad:
        print(line)
    print("# %d observations, %d differ as listed, %d differ" % (count, differ, len(bad)))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
