# SPDX-License-Identifier: Apache-2.0
"""Tables of builtin kinds: columns and cells, as kubectl get prints them.  What stands here is a kube-apiserver's."""
import re

from apilib import Skip, name_of, rand, row

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"

CORE = "/api/v1/namespaces/NS/"
BATCH = "/apis/batch/v1/namespaces/NS/"
RBAC = "/apis/rbac.authorization.k8s.io/v1/"
POD = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i:1"}]}
AT = "2020-01-01T00:00:00Z"


def template(*containers):
    return {"spec": {"restartPolicy": "Never", "containers": [{"name": n, "image": i} for n, i in containers]}}


def pod(name, status, **spec):
    return CORE + "pods", {"metadata": {"name": name}, "spec": {**POD, **spec}}, status


def container(name="c", ready=False, restarts=0, **state):
    return {"name": name, "ready": ready, "restartCount": restarts, "image": "i", "imageID": "", "state": state}


def job(name, status=None, **spec):
    """One whose status is given belongs to nobody: a cluster's Job controller writes its own as soon as it sees the Job."""
    if status is not None:
        spec["managedBy"] = "example.com/nobody"
    return BATCH + "jobs", {"metadata": {"name": name}, "spec": {"template": template(("c", "i:1"), ("d", "j:2")), **spec}}, status


SUBJECTS = [{"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"},
            {"kind": "Group", "name": "g", "apiGroup": "rbac.authorization.k8s.io"},
            {"kind": "Group", "name": "h", "apiGroup": "rbac.authorization.k8s.io"},
            {"kind": "ServiceAccount", "name": "s", "namespace": "n"}]
RUNNING = {"phase": "Running", "podIP": "10.1.2.3", "podIPs": [{"ip": "10.1.2.3"}]}
OBJECTS = [
    (CORE + "configmaps", {"metadata": {"name": "empty"}}, None),
    (CORE + "configmaps", {"metadata": {"name": "three"}, "data": {"a": "", "b": ""}, "binaryData": {"c": ""}}, None),
    (CORE + "secrets", {"metadata": {"name": "opaque"}, "stringData": {"a": "b"}}, None),
    (CORE + "serviceaccounts", {"metadata": {"name": "account"}, "secrets": [{"name": "x"}, {"name": "y"}]}, None),
    (CORE + "limitranges", {"metadata": {"name": "limits"}, "spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}}, None),
    (CORE + "persistentvolumeclaims", {"metadata": {"name": "claim"}, "spec": {
        "accessModes": ["ReadWriteOnce", "ReadOnlyMany"], "storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}}}, None),
    (CORE + "persistentvolumeclaims", {"metadata": {"name": "bound"}, "spec": {
        "accessModes": ["ReadWriteMany"], "storageClassName": "fast", "volumeName": "v", "resources": {"requests": {"storage": "1Gi"}}}},
     {"phase": "Bound", "accessModes": ["ReadWriteMany"], "capacity": {"storage": "2Gi"}}),
    (CORE + "services", {"metadata": {"name": "headless"}, "spec": {"clusterIP": "None", "selector": {"b": "2", "a": "1"}, "ports": [
        {"name": "x", "port": 80}, {"name": "y", "port": 53, "protocol": "UDP"}]}}, None),
    (CORE + "services", {"metadata": {"name": "named"}, "spec": {"type": "ExternalName", "externalName": "example.com"}}, None),
    (CORE + "services", {"metadata": {"name": "outside"}, "spec": {"clusterIP": "None", "externalIPs": ["10.9.9.9", "10.9.9.8"]}}, None),
    ("/apis/networking.k8s.io/v1/namespaces/NS/networkpolicies", {"metadata": {"name": "policy"}, "spec": {
        "podSelector": {"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "In", "values": ["x", "y"]},
                                                                       {"key": "c", "operator": "Exists"}]}}}, None),
    ("/apis/networking.k8s.io/v1/namespaces/NS/networkpolicies", {"metadata": {"name": "all"}, "spec": {"podSelector": {}}}, None),
    ("/apis/coordination.k8s.io/v1/namespaces/NS/leases", {"metadata": {"name": "lease"}, "spec": {"holderIdentity": "me"}}, None),
    ("/apis/coordination.k8s.io/v1/namespaces/NS/leases", {"metadata": {"name": "free"}}, None),
    (RBAC + "namespaces/NS/roles", {"metadata": {"name": "role"}, "rules": []}, None),
    (RBAC + "namespaces/NS/rolebindings", {"metadata": {"name": "binding"}, "roleRef": {
        "kind": "ClusterRole", "name": "view", "apiGroup": "rbac.authorization.k8s.io"}, "subjects": SUBJECTS}, None),
    (CORE + "events", {"metadata": {"name": "old"}, "involvedObject": {"kind": "Pod", "name": "p", "namespace": "NS", "fieldPath": "spec.containers{c}"},
                       "reason": "R", "message": " about it \n", "type": "Normal", "source": {"component": "kubelet", "host": "h"},
                       "firstTimestamp": AT, "lastTimestamp": AT, "count": 3}, None),
    (CORE + "events", {"metadata": {"name": "plain"}, "involvedObject": {"kind": "ReplicaSet", "name": "r", "namespace": "NS"},
                       "reason": "R", "message": "m", "type": "Warning"}, None),
    ("/apis/events.k8s.io/v1/namespaces/NS/events", {
        "metadata": {"name": "series"}, "regarding": {"kind": "Job", "name": "j", "namespace": "NS"}, "reason": "R", "note": "n",
        "type": "Normal", "action": "A", "reportingController": "c.io/x", "reportingInstance": "i", "eventTime": "2020-01-01T00:00:00.000000Z",
        "series": {"count": 5, "lastObservedTime": "2020-01-02T00:00:00.000000Z"}}, None),
    job("waiting"),
    job("counted", completions=3, parallelism=2, selector=None),
    job("queue", parallelism=3),
    job("many", completions=None, parallelism=1),
    job("suspended", {"startTime": None, "conditions": [{"type": "Suspended", "status": "True"}]}, suspend=True),
    job("complete", {"startTime": AT, "completionTime": "2020-01-01T00:01:05Z", "succeeded": 1, "conditions": [
        {"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Complete", "status": "True"}]}),
    job("failed", {"startTime": AT, "failed": 1, "conditions": [
        {"type": "FailureTarget", "status": "True"}, {"type": "Failed", "status": "True"}]}),
    job("failing", {"startTime": AT, "conditions": [{"type": "FailureTarget", "status": "True"}]}),
    (BATCH + "cronjobs", {"metadata": {"name": "cron"}, "spec": {"schedule": "*/5 * * * *", "suspend": True, "jobTemplate": {
        "spec": {"template": template(("c", "i:1"), ("d", "j:2"))}}}}, None),
    (BATCH + "cronjobs", {"metadata": {"name": "zoned"}, "spec": {"schedule": "@daily", "suspend": True, "timeZone": "Europe/Berlin",
                                                                  "jobTemplate": {"spec": {"template": template(("c", "i:1"))}}}}, None),
    pod("pending", None),
    pod("running", {**RUNNING, "containerStatuses": [container(ready=True, restarts=2, running={"startedAt": AT})]}, nodeName="elsewhere"),
    pod("notready", {**RUNNING, "conditions": [{"type": "Ready", "status": "False"}],
                     "containerStatuses": [container(running={"startedAt": AT})]}),
    pod("waiting", {"phase": "Pending", "containerStatuses": [container(waiting={"reason": "ImagePullBackOff"})]}),
    pod("crashed", {"phase": "Running", "containerStatuses": [{**container(restarts=4, waiting={"reason": "CrashLoopBackOff"}),
                    "lastState": {"terminated": {"exitCode": 1, "finishedAt": AT}}}]}),
    pod("code", {"phase": "Failed", "containerStatuses": [container(terminated={"exitCode": 3})]}),
    pod("signal", {"phase": "Failed", "containerStatuses": [container(terminated={"exitCode": 0, "signal": 9})]}),
    pod("done", {"phase": "Succeeded", "containerStatuses": [container(terminated={"exitCode": 0, "reason": "Completed"})]}),
    pod("evicted", {"phase": "Failed", "reason": "Evicted"}),
    pod("twostates", {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [
        container("a", ready=True, running={"startedAt": AT}), container("b", terminated={"exitCode": 0, "reason": "Completed"})]},
        containers=[{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]),
    pod("halfdone", {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}], "containerStatuses": [
        container("a", ready=True, running={"startedAt": AT}), container("b", terminated={"exitCode": 0, "reason": "Completed"})]},
        containers=[{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]),
    pod("initwaits", {"phase": "Pending", "initContainerStatuses": [
        container("a", terminated={"exitCode": 0}), container("b", waiting={"reason": "PodInitializing"})]},
        initContainers=[{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]),
    pod("initfails", {"phase": "Pending", "initContainerStatuses": [container("a", restarts=2, terminated={"exitCode": 4})]},
        initContainers=[{"name": "a", "image": "i"}]),
    pod("initreason", {"phase": "Pending", "initContainerStatuses": [container("a", waiting={"reason": "ErrImagePull"})]},
        initContainers=[{"name": "a", "image": "i"}]),
    pod("initsignal", {"phase": "Pending", "initContainerStatuses": [container("a", terminated={"exitCode": 0, "signal": 15, "reason": ""})]},
        initContainers=[{"name": "a", "image": "i"}]),
    pod("sidecar", {"phase": "Running", "podIP": "10.1.1.1", "podIPs": [{"ip": "10.1.1.1"}, {"ip": "fd00::1"}], "conditions": [{"type": "Ready", "status": "True"}],
                    "initContainerStatuses": [{**container("a", ready=True, restarts=1, running={"startedAt": AT}), "started": True}],
                    "containerStatuses": [container(ready=True, restarts=1, running={"startedAt": AT})]},
        initContainers=[{"name": "a", "image": "i", "restartPolicy": "Always"}]),
    pod("gated", {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]},
        schedulingGates=[{"name": "example.com/g"}], readinessGates=[{"conditionType": "example.com/a"}, {"conditionType": "example.com/b"}]),
    pod("leaving", {"phase": "Running", "containerStatuses": [container(ready=True, running={"startedAt": AT})]}),
    # The last one: it would refuse the pods above.
    (CORE + "resourcequotas", {"metadata": {"name": "quota"}, "spec": {"hard": {
        "requests.cpu": "1", "limits.cpu": "2", "services": "5", "limits.memory": "1Gi"}}}, None),
]


def place(path, ns):
    return path.replace("NS", ns)


def put(value, ns):
    """The value with the namespace put in."""
    if isinstance(value, dict):
        return {k: put(v, ns) for k, v in value.items()}
    if isinstance(value, list):
        return [put(v, ns) for v in value]
    return value.replace("NS", ns) if value == "NS" else value


def make(f):
    ns = f.namespace()
    for path, body, status in OBJECTS:
        where = place(path, ns)
        f.api.post(where, put(body, ns)).ok(201)
        if status is not None:
            f.api.patch("%s/%s/status" % (where, body["metadata"]["name"]), {"status": status}, "merge-patch").ok()
    f.api.merge(place(CORE, ns) + "pods/leaving", {"metadata": {"finalizers": ["example.com/stay"]}}).ok()
    f.api.do("DELETE", place(CORE, ns) + "pods/leaving", {"gracePeriodSeconds": 0}).ok()
    return ns

# A word for each column: "Name:type" when it is no string, + for those that -o wide shows only; _ is a space.
COLUMNS = {
    "/api/v1/configmaps": "Name Data Age",
    "/api/v1/events": "Last_Seen Type Reason Object +Subobject +Source Message +First_Seen +Count +Name",
    "/api/v1/limitranges": "Name Created_At:date",
    "/api/v1/namespaces": "Name Status Age",
    "/api/v1/nodes": "Name Status Roles Age Version +Internal-IP +External-IP +OS-Image +Kernel-Version +Container-Runtime",
    "/api/v1/persistentvolumeclaims": "Name Status Volume Capacity Access_Modes StorageClass VolumeAttributesClass Age +VolumeMode",
    "/api/v1/pods": "Name Ready Status Restarts Age +IP +Node +Nominated_Node +Readiness_Gates",
    "/api/v1/resourcequotas": "Name Request Limit Age",
    "/api/v1/secrets": "Name Type Data Age",
    "/api/v1/serviceaccounts": "Name Secrets Age",
    "/api/v1/services": "Name Type Cluster-IP External-IP Port(s) Age +Selector",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions": "Name Created_At:date",
    "/apis/batch/v1/cronjobs": "Name Schedule Timezone Suspend:boolean Active:integer Last_Schedule Age +Containers +Images +Selector",
    "/apis/batch/v1/jobs": "Name Status Completions Duration Age +Containers +Images +Selector",
    "/apis/coordination.k8s.io/v1/leases": "Name Holder Age",
    "/apis/events.k8s.io/v1/events": "Last_Seen Type Reason Object +Subobject +Source Message +First_Seen +Count +Name",
    "/apis/networking.k8s.io/v1/networkpolicies": "Name Pod-Selector Age",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings": "Name Role Age +Users +Groups +ServiceAccounts",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles": "Name Created_At:date",
    "/apis/rbac.authorization.k8s.io/v1/rolebindings": "Name Role Age +Users +Groups +ServiceAccounts",
    "/apis/rbac.authorization.k8s.io/v1/roles": "Name Created_At:date",
}


def columns(text):
    out = []
    for word in text.split():
        name, _, kind = word.lstrip("+").partition(":")
        out.append((name.replace("_", " "), kind or "string", "name" if name == "Name" else "", int(word[0] == "+")))
    return out


# Cells in the order of the columns, None: not looked at, "~": an expression.
CELLS = {
    "configmaps/empty": ["empty", 0, None],
    "configmaps/three": ["three", 3, None],
    "secrets/opaque": ["opaque", "Opaque", 1, None],
    "serviceaccounts/account": ["account", 2, None],
    "limitranges/limits": ["limits", None],
    "services/headless": ["headless", "ClusterIP", "None", "<none>", "80/TCP,53/UDP", None, "a=1,b=2"],
    "services/named": ["named", "ExternalName", "<none>", "example.com", "<none>", None, "<none>"],
    "services/outside": ["outside", "ClusterIP", "None", "10.9.9.9,10.9.9.8", "<none>", None, "<none>"],
    "networkpolicies/all": ["all", "<none>", None],
    "networkpolicies/policy": ["policy", "a=1,b in (x,y),c", None],
    "leases/free": ["free", "", None],
    "leases/lease": ["lease", "me", None],
    "roles/role": ["role", None],
    "rolebindings/binding": ["binding", "ClusterRole/view", None, "u", "g, h", "n/s"],
    "events/old": [r"~\d+y\d+d", "Normal", "R", "pod/p", "spec.containers{c}", "kubelet, h", "about it", r"~\d+y\d+d", 3, "old"],
    "events/plain": ["<unknown>", "Warning", "R", "replicaset/r", "", "", "m", "<unknown>", 1, "plain"],
    "events/series": [r"~\d+y\d+d", "Normal", "R", "job/j", "", "c.io/x, i", "n", r"~\d+y\d+d", 5, "series"],
    "jobs/complete": ["complete", "Complete", "1/1", "65s", None, "c,d", "i:1,j:2", "~batch.kubernetes.io/controller-uid=[-0-9a-f]{36}"],
    "jobs/counted": ["counted", "Running", "0/3", None, None, "c,d", "i:1,j:2", "~batch.kubernetes.io/controller-uid=[-0-9a-f]{36}"],
    "jobs/failed": ["failed", "Failed", "0/1", r"~\d+y\d+d", None, "c,d", "i:1,j:2", "~batch.kubernetes.io/controller-uid=[-0-9a-f]{36}"],
    "jobs/failing": ["failing", "FailureTarget", "0/1", r"~\d+y\d+d", None, "c,d", "i:1,j:2", "~batch.kubernetes.io/controller-uid=[-0-9a-f]{36}"],
    "jobs/many": ["many", "Running", "0/1", None, None, "c,d", "i:1,j:2", "~batch.kubernetes.io/controller-uid=[-0-9a-f]{36}"],
    "jobs/queue": ["queue", "Running", "0/1 of 3", None, None, "c,d", "i:1,j:2", "~batch.kubernetes.io/controller-uid=[-0-9a-f]{36}"],
    "jobs/suspended": ["suspended", "Suspended", "0/1", "", None, "c,d", "i:1,j:2", "~batch.kubernetes.io/controller-uid=[-0-9a-f]{36}"],
    "jobs/waiting": ["waiting", "Running", "0/1", None, None, "c,d", "i:1,j:2", "~batch.kubernetes.io/controller-uid=[-0-9a-f]{36}"],
    "cronjobs/cron": ["cron", "*/5 * * * *", "<none>", "True", 0, "<none>", None, "c,d", "i:1,j:2", "<none>"],
    "cronjobs/zoned": ["zoned", "@daily", "Europe/Berlin", "True", 0, "<none>", None, "c", "i:1", "<none>"],
    "pods/code": ["code", "0/1", "ExitCode:3", "0", None, "<none>", None, "<none>", "<none>"],
    "pods/crashed": ["crashed", "0/1", "CrashLoopBackOff", r"~4 \(\d+y\d+d ago\)", None, "<none>", None, "<none>", "<none>"],
    "pods/done": ["done", "0/1", "Completed", "0", None, "<none>", None, "<none>", "<none>"],
    "pods/evicted": ["evicted", "0/1", "Evicted", "0", None, "<none>", None, "<none>", "<none>"],
    "pods/gated": ["gated", "0/1", "SchedulingGated", "0", None, "<none>", None, "<none>", "0/2"],
    "pods/halfdone": ["halfdone", "1/2", "NotReady", "0", None, "<none>", None, "<none>", "<none>"],
    "pods/initfails": ["initfails", "0/1", "Init:ExitCode:4", "2", None, "<none>", None, "<none>", "<none>"],
    "pods/initreason": ["initreason", "0/1", "Init:ErrImagePull", "0", None, "<none>", None, "<none>", "<none>"],
    "pods/initsignal": ["initsignal", "0/1", "Pending", "0", None, "<none>", None, "<none>", "<none>"],
    "pods/initwaits": ["initwaits", "0/1", "Init:1/2", "0", None, "<none>", None, "<none>", "<none>"],
    "pods/leaving": ["leaving", "1/1", "Terminating", "0", None, "<none>", None, "<none>", "<none>"],
    "pods/notready": ["notready", "0/1", "Running", "0", None, "10.1.2.3", None, "<none>", "<none>"],
    "pods/pending": ["pending", "0/1", "Pending", "0", None, "<none>", None, "<none>", "<none>"],
    "pods/running": ["running", "1/1", "Running", "2", None, "10.1.2.3", "elsewhere", "<none>", "<none>"],
    "pods/sidecar": ["sidecar", "2/2", "Running", "2", None, "10.1.1.1", None, "<none>", "<none>"],
    "pods/signal": ["signal", "0/1", "Signal:9", "0", None, "<none>", None, "<none>", "<none>"],
    "pods/twostates": ["twostates", "1/2", "Running", "0", None, "<none>", None, "<none>", "<none>"],
    "pods/waiting": ["waiting", "0/1", "ImagePullBackOff", "0", None, "<none>", None, "<none>", "<none>"],
    "resourcequotas/quota": ["quota", "~requests.cpu: [0-9]+/1, services: [0-9]+/5", "~limits.cpu: [0-9]+/2, limits.memory: [0-9]+/1Gi", None],
}


def fits(wanted, cell):
    return wanted is None or (re.fullmatch(wanted[1:], cell) if isinstance(wanted, str) and wanted.startswith("~") else wanted == cell)


@row
def tables_have_the_columns_of_a_cluster(f):
    for path, words in COLUMNS.items():
        table = f.api.get(path, Accept=TABLE).ok()
        got = [(c["name"], c["type"], c["format"], c["priority"]) for c in table["columnDefinitions"]]
        assert got == columns(words), (path, got)
        assert all(c["description"] for c in table["columnDefinitions"]), path


@row
def tables_have_the_cells_of_a_cluster(f):
    ns, wrong, seen = make(f), [], set()
    for path in dict.fromkeys(p for p, _, _ in OBJECTS):
        kind = path.rsplit("/", 1)[1]
        for r in f.api.get(place(path, ns), Accept=TABLE).ok()["rows"]:
            key = "%s/%s" % (kind, name_of(r["object"]))
            wanted = CELLS.get(key)
            if wanted is None:
                continue
            seen.add(key)
            if len(wanted) != len(r["cells"]) or not all(fits(w, c) for w, c in zip(wanted, r["cells"])):
                wrong.append((key, r["cells"], wanted))
    f.api.merge(place(CORE, ns) + "pods/leaving", {"metadata": {"finalizers": None}})
    assert not wrong, "%d: %s" % (len(wrong), wrong)
    assert seen == set(CELLS), set(CELLS) - seen


@row
def tables_of_claims(f):
    """A cluster without a provisioner binds none of them."""
    if not f.standalone:
        raise Skip("needs claims that are bound")
    ns = f.namespace()
    path = place(CORE, ns) + "persistentvolumeclaims"
    f.api.post(path, {"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteMany", "ReadWriteOnce"], "storageClassName": "fast",
                                                          "resources": {"requests": {"storage": "1Gi"}}}}).ok(201)
    f.api.patch(path + "/c/status", {"status": {"phase": "Bound", "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
                                                "capacity": {"storage": "2Gi"}}}, "merge-patch").ok()
    cells = f.api.get(path + "/c", Accept=TABLE).ok()["rows"][0]["cells"]
    assert cells[1] == "Bound" and cells[2].startswith("pvc-") and cells[3:7] == ["2Gi", "RWO,RWX", "fast", "<unset>"], cells
    assert cells[8] == "Filesystem", cells


@row
def tables_of_nodes(f):
    name = "t-node-" + rand()
    f.api.post("/api/v1/nodes", {"metadata": {"name": name, "labels": {
        "node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "odd"}}}).ok(201)

    def cells():
        r = f.api.get("/api/v1/nodes/" + name, Accept=TABLE).ok()["rows"][0]["cells"]
        return r[:3] + r[4:]

    none = ["<none>"] * 2 + ["<unknown>"] * 3
    assert cells() == [name, "Unknown", "control-plane,odd,worker", ""] + none, cells()
    f.api.patch("/api/v1/nodes/%s/status" % name, {"status": {
        "conditions": [{"type": "Ready", "status": "True"}], "addresses": [
            {"type": "Hostname", "address": "h"}, {"type": "InternalIP", "address": "10.0.0.1"}, {"type": "ExternalIP", "address": "1.2.3.4"}],
        "nodeInfo": {"kubeletVersion": "v1", "osImage": "os", "kernelVersion": "k", "containerRuntimeVersion": "r://1", "architecture": "a",
                     "bootID": "", "kubeProxyVersion": "", "machineID": "", "operatingSystem": "linux", "systemUUID": ""}}}, "merge-patch").ok()
    f.api.merge("/api/v1/nodes/" + name, {"spec": {"unschedulable": True}}).ok()
    assert cells() == [name, "Ready,SchedulingDisabled", "control-plane,odd,worker", "v1", "10.0.0.1", "1.2.3.4", "os", "k", "r://1"], cells()
    f.api.delete("/api/v1/nodes/" + name).ok()


@row
def tables_include_what_is_asked_for(f):
    ns = f.namespace()
    path = place(CORE, ns) + "configmaps"
    f.api.post(path, {"metadata": {"name": "a"}, "data": {"k": "v"}}).ok(201)
    for include, kind in (("Object", "ConfigMap"), ("Metadata", "PartialObjectMetadata"), ("None", None), ("", "PartialObjectMetadata")):
        r = f.api.get(path + "/a?includeObject=" + include, Accept=TABLE).ok()["rows"][0]
        assert (r.get("object") or {}).get("kind") == kind, (include, r)
