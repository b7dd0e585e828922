# SPDX-License-Identifier: Apache-2.0
"""Quotas, limit ranges, what is stored with a warning, what is absent, and the page that says so."""
import threading

from apilib import eventually, row, soon


def post(f, ns, plural, body, group="api/v1"):
    return f.api.post("/%s/namespaces/%s/%s" % (group, ns, plural), body)


def config_map(name):
    return {"metadata": {"name": name}}


@row
def quota_holds_against_racing_creates(f):
    ns, codes, lock = f.namespace(), [], threading.Lock()
    post(f, ns, "resourcequotas", {"metadata": {"name": "q"}, "spec": {"hard": {"count/configmaps": "10", "count/%s.%s" % (
        "leases", "coordination.k8s.io"): "0"}}}).ok(201)
    eventually(lambda: "used" in f.api.get("/api/v1/namespaces/%s/resourcequotas/q" % ns).json["status"])

    def create(start):
        for i in range(8):
            a = post(f, ns, "configmaps", config_map("m-%d-%d" % (start, i)))
            with lock:
                codes.append(a.status)

    threads = [threading.Thread(target=create, args=(t,)) for t in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


    def used():
        return f.api.get("/api/v1/namespaces/%s/resourcequotas/q" % ns).json.get("status", {}).get("used", {}).get("count/configmaps")

    there = len(f.api.get("/api/v1/namespaces/%s/configmaps" % ns).json["items"])
    assert codes.count(201) <= 10 and set(codes) == {201, 403}, codes
    assert there == 10, there
    soon(f, lambda: used() == "10", what="what is used")
    post(f, ns, "configmaps", config_map("more")).fails(
        403, "Forbidden", text='configmaps "more" is forbidden: exceeded quota: q, requested: count/configmaps=1, used: '
                               'count/configmaps=10, limited: count/configmaps=10')
    post(f, ns, "leases", {"metadata": {"name": "l"}}, "apis/coordination.k8s.io/v1").fails(403, "Forbidden")
    f.api.delete("/api/v1/namespaces/%s/configmaps/m-0-0" % ns)
    eventually(lambda: post(f, ns, "configmaps", config_map("again")).status == 201, what="room after a delete")


@row
def limit_range_gives_defaults(f):
    ns = f.namespace()
    post(f, ns, "limitranges", {"metadata": {"name": "l"}, "spec": {"limits": [
        {"type": "Container", "default": {"cpu": "500m"}, "max": {"cpu": "1"}}]}}).ok(201)

    def pod(name, resources):
        return post(f, ns, "pods", {"metadata": {"name": name}, "spec": {"restartPolicy": "Never", "containers": [
            {"name": "c", "image": "i:1", "resources": resources}]}})

    p = pod("a", {}).ok(201)
    assert p["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "500m"}, "requests": {"cpu": "500m"}}, p
    assert "LimitRanger plugin set: cpu request" in p["metadata"]["annotations"]["kubernetes.io/limit-ranger"]
    pod("b", {"limits": {"cpu": "2"}}).fails(403, "Forbidden", text="maximum cpu usage per Container is 1, but limit is 2")


@row
def what_nothing_acts_on_is_stored_with_a_warning(f):
    ns = f.namespace()
    a = post(f, ns, "networkpolicies", {"metadata": {"name": "n"}, "spec": {"podSelector": {}}}, "apis/networking.k8s.io/v1")
    a.ok(201)
    assert any("nothing enforces NetworkPolicies" in w for w in a.warnings), a.headers
    a = post(f, ns, "services", {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}})
    a.ok(201)
    assert any("nothing routes to Services" in w for w in a.warnings), a.headers
    assert "clusterIP" not in a.json["spec"], a.json
    groups = {g["name"] for g in f.api.get("/apis").json["groups"]}
    assert not groups & {"apps", "autoscaling", "admissionregistration.k8s.io", "storage.k8s.io"}, groups
    assert f.api.get("/apis/apps/v1").status == 404


@row
def unknown_fields_of_builtin_kinds(f):
    ns = f.namespace()
    body = {"metadata": {"name": "u"}, "spec": {"ports": [{"port": 80, "prot": 1}], "odd": True}}
    path = "/api/v1/namespaces/%s/services" % ns
    f.api.post(path + "?fieldValidation=Strict", body).fails(
        400, "BadRequest", text='strict decoding error: unknown field "spec.ports[0].prot", unknown field "spec.odd"')
    a = f.api.post(path, body)
    a.ok(201)
    said = " ".join(a.warnings)
    assert 'unknown field \\"spec.odd\\"' in said or 'unknown field "spec.odd"' in said, said
    assert "odd" not in a.json["spec"], a.json


@row
def the_page_of_limits(f):
    page = f.api.get("/standalone/limits").ok(200)
    assert page["format"] == 1 and page["version"].endswith("+standalone"), page
    assert all(set(e) == {"feature", "answer", "why"} for e in page["limits"]) and len(page["limits"]) > 10, page
    assert any("NetworkPolicies" in e["feature"] and e["answer"] == "warning" for e in page["limits"])


@row
def events_are_checked(f):
    ns = f.namespace()
    event = {"metadata": {"name": "e"}, "regarding": {"kind": "Pod", "namespace": ns, "name": "p"}, "reason": "R",
             "type": "Normal", "action": "A", "reportingController": "c", "reportingInstance": "i",
             "eventTime": "2026-01-01T00:00:00.000000Z"}
    for missing in ("eventTime", "reportingController", "action", "reason", "type"):
        post(f, ns, "events", {k: v for k, v in event.items() if k != missing}, "apis/events.k8s.io/v1").fails(422, "Invalid")
    post(f, ns, "events", {**event, "type": "Odd"}, "apis/events.k8s.io/v1").fails(422, "Invalid", field="type")
    post(f, ns, "events", {**event, "note": "x" * 1025}, "apis/events.k8s.io/v1").fails(422, "Invalid", field="note")
    post(f, ns, "events", {**event, "reason": "x" * 129}, "apis/events.k8s.io/v1").fails(422, "Invalid", field="reason")
    post(f, ns, "events", event, "apis/events.k8s.io/v1").ok(201)
    post(f, ns, "events", {"metadata": {"name": "o"}, "involvedObject": {"namespace": "elsewhere"}}).fails(422, "Invalid")


@row
def eviction_is_a_delete(f):
    ns = f.namespace()
    path = "/api/v1/namespaces/%s/pods" % ns
    f.api.post(path, {"metadata": {"name": "p"}, "spec": {"nodeName": "standalone", "restartPolicy": "Never", "containers": [
        {"name": "c", "image": "i:1"}]}}).ok(201)
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p", "namespace": ns}}
    f.api.post(path + "/p/eviction", {**body, "metadata": {"name": "other"}}).fails(400, "BadRequest")
    f.api.post(path + "/p/eviction?dryRun=All", body).ok(201)
    assert "deletionTimestamp" not in f.api.get(path + "/p").ok()["metadata"]
    answer = f.api.post(path + "/p/eviction", {**body, "deleteOptions": {"gracePeriodSeconds": 7}}).ok(201)
    assert answer["status"] == "Success", answer
    pod = f.api.get(path + "/p").ok()
    assert pod["metadata"]["deletionGracePeriodSeconds"] == 7, pod
    told = next(c for c in pod["status"]["conditions"] if c["type"] == "DisruptionTarget")
    assert (told["status"], told["reason"], told["message"]) == ("True", "EvictionByEvictionAPI", "Eviction API: evicting"), told
    assert "PodScheduled" in [c["type"] for c in pod["status"]["conditions"]] or len(pod["status"]["conditions"]) == 1, pod
    f.api.post(path, {"metadata": {"name": "q"}, "spec": {"nodeName": "standalone", "containers": [{"name": "c", "image": "i:1"}]}}).ok(201)
    q = f.api.get(path + "/q").ok()["metadata"]
    f.api.post(path + "/q/eviction", {"metadata": {"name": "q"}, "deleteOptions": {"preconditions": {"uid": "another"}}}).fails(
        409, "Conflict")
    assert f.api.get(path + "/q").ok()["metadata"]["resourceVersion"] == q["resourceVersion"]
    f.api.post(path + "/q/eviction", {"metadata": {"name": "q"}, "deleteOptions": {"preconditions": {
        "uid": q["uid"], "resourceVersion": q["resourceVersion"]}}}).ok(201)
    f.api.post(path + "/none/eviction", {**body, "metadata": {"name": "none"}}).fails(404, "NotFound")
    subs = {r["name"]: r for r in f.api.get("/api/v1").ok()["resources"]}
    assert subs["pods/eviction"]["kind"] == "Eviction" and subs["pods/eviction"]["group"] == "policy", subs["pods/eviction"]


@row
def policies_of_bare_pods(f):
    """Always when nothing is said, and another word is an error that lists the three."""
    def pod(name, **spec):
        return f.api.post(f.core + "/pods", {"metadata": {"name": name}, "spec": {
            "automountServiceAccountToken": False, "containers": [{"name": "c", "image": "i"}], **spec}})

    assert pod("pol-a").ok(201)["spec"]["restartPolicy"] == "Always"
    assert pod("pol-b", restartPolicy="OnFailure").ok(201)["spec"]["restartPolicy"] == "OnFailure"
    pod("pol-c", restartPolicy="Sometimes").fails(
        422, "Invalid", "FieldValueNotSupported", "spec.restartPolicy",
        'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"')
    for name in ("pol-a", "pol-b"):
        f.api.delete(f.core + "/pods/" + name, {"gracePeriodSeconds": 0}).ok()


@row
def logs_of_a_pod_without_a_node(f):
    f.api.post(f.core + "/pods", {"metadata": {"name": "nowhere"}, "spec": {
        "restartPolicy": "Never", "nodeSelector": {"no": "such"}, "automountServiceAccountToken": False,
        "containers": [{"name": "c", "image": "i"}]}}).ok(201)
    f.api.get(f.core + "/pods/nowhere/log").fails(
        400, "BadRequest", text='container "c" in pod "nowhere" is waiting to start: ContainerCreating')
    f.api.delete(f.core + "/pods/nowhere", {"gracePeriodSeconds": 0}).ok()


@row
def quantities_are_canonical(f):
    """A quantity leaves as Go writes it, whatever it was written as."""
    path = "/api/v1/namespaces/%s/resourcequotas" % f.namespace()
    said = {1: "1", 0: "0", 0.5: "500m", "0.25": "250m", 1.25: "1250m", "1000m": "1", "1500m": "1500m", "1024Mi": "1Gi", "1.5Gi": "1536Mi",
            "512Ki": "512Ki", "1023": "1023", "100000": "100k", 1048576: "1048576", "1e3": "1e3", "1E4": "10e3", "12e5": "1200e3",
            "0.1Gi": "107374182400m", "1025Ki": "1025Ki", "0.5Ki": "512", "1n": "1m", "1000001u": "1001m", "2M": "2M",
            "2000M": "2G", "1Ei": "1Ei", "1000u": "1m"}
    f.api.post(path, {"metadata": {"name": "q"}, "spec": {"hard": {"limits.cpu": "3"}}}).ok(201)
    got = {}
    for value in said:
        answer = f.api.merge(path + "/q", {"spec": {"hard": {"limits.cpu": value}}})
        got[value] = answer.json["spec"]["hard"]["limits.cpu"] if answer.status == 200 else answer.json["message"]
    assert got == said, {k: (got[k], said[k]) for k in said if got[k] != said[k]}
