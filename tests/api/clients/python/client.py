# SPDX-License-Identifier: Apache-2.0
"""The cases of ../library.py with the official Python library: client.py CASE."""
import base64
import json
import os
import sys
import threading

from kubernetes import client, config, dynamic, watch
from kubernetes.stream import stream

NS = os.environ["NAMESPACE"]
GADGETS = ("clients.example.com", "v1", NS, "gadgets")


def say(*words):
    print(*words, flush=True)


def refused(word, call, *args, field="", **kw):
    try:
        call(*args, **kw)
    except client.exceptions.ApiException as e:
        status = json.loads(e.body)
        if field:
            field = " " + status["details"]["causes"][0]["field"]
        say("%s %d %s%s" % (word, e.status, status["reason"], field))
    else:
        say(word, "was not refused")


def content(call, *args, kind, **kw):
    """A patch of that media type: the library chooses it by the body's shape, and has no argument for it."""
    api = call.__self__.api_client
    chosen = api.select_header_content_type
    api.select_header_content_type = lambda *_, **__: kind
    try:
        return call(*args, **kw)
    finally:
        api.select_header_content_type = chosen


def meta(name, app=None):
    return client.V1ObjectMeta(name=name, labels={"app": app} if app else None)


def crud(core):
    body = client.V1ConfigMap(metadata=meta("crud", "crud"), data={"k": "one"})
    core.create_namespaced_config_map(NS, body)
    old = core.read_namespaced_config_map("crud", NS)
    assert old.data == {"k": "one"} and old.metadata.uid, old
    old.data = {"k": "two"}
    core.replace_namespaced_config_map("crud", NS, old)
    old.data = {"k": "three"}
    refused("conflict", core.replace_namespaced_config_map, "crud", NS, old)
    core.create_namespaced_secret(NS, client.V1Secret(metadata=meta("crud", "crud"),
                                                      data={"b": base64.b64encode(b"\x00\xff").decode()}))
    found = core.list_namespaced_secret(NS, label_selector="app=crud").items
    say("listed", len(found))
    say("bytes", base64.b64decode(found[0].data["b"]).hex())
    core.delete_namespaced_secret("crud", NS)
    refused("missing", core.read_namespaced_secret, "crud", NS)
    refused("exists", core.create_namespaced_config_map, NS, body)


def patch(core):
    core.create_namespaced_config_map(NS, client.V1ConfigMap(metadata=meta("patched"), data={"stays": "1", "goes": "x"}))
    core.patch_namespaced_config_map("patched", NS, [{"op": "add", "path": "/data/json", "value": "2"}])
    content(core.patch_namespaced_config_map, "patched", NS, {"data": {"goes": None, "merge": "3"}},
            kind="application/merge-patch+json")
    port = client.V1ServicePort
    core.create_namespaced_service(NS, client.V1Service(metadata=meta("patched"), spec=client.V1ServiceSpec(
        ports=[port(name="http", port=80), port(name="https", port=443)])))
    content(core.patch_namespaced_service, "patched", NS, {"spec": {"ports": [{"port": 443, "name": "tls"}]}},
            kind="application/strategic-merge-patch+json")

    def apply(manager, data, **kw):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": data}
        kw.update(kind="application/apply-patch+yaml", field_manager=manager)
        try:
            return content(core.patch_namespaced_config_map, "applied", NS, body, **kw)
        except client.exceptions.ApiException as e:
            if e.status:
                raise
            # Before 24 the library encodes nothing but JSON by itself.
            return content(core.patch_namespaced_config_map, "applied", NS, json.dumps(body), **kw)

    apply("first", {"a": "1", "b": "1"})
    refused("conflict", apply, "second", {"a": "2"})
    apply("second", {"a": "2"}, force=True)
    custom = client.CustomObjectsApi()
    custom.create_namespaced_custom_object(*GADGETS, gadget("patched", {}))
    refused("unsupported", content, custom.patch_namespaced_custom_object, *GADGETS, "patched", {"spec": {"size": 1}},
            kind="application/strategic-merge-patch+json")
    custom.delete_namespaced_custom_object(*GADGETS, "patched")


def watched(core):
    first = core.list_namespaced_config_map(NS, label_selector="app=watched")
    for o in first.items:
        say("ADDED", o.metadata.name)
    say("ready")
    w = watch.Watch()
    for e in w.stream(core.list_namespaced_config_map, NS, label_selector="app=watched",
                      resource_version=first.metadata.resource_version):
        say(e["type"], e["object"].metadata.name)
        if e["object"].metadata.name == "last":
            w.stop()


def gadget(name, spec):
    return {"apiVersion": "clients.example.com/v1", "kind": "Gadget", "metadata": {"name": name}, "spec": spec}


def custom(_):
    api = client.CustomObjectsApi()
    o = api.create_namespaced_custom_object(*GADGETS, gadget("one", {}))
    say("size", o["spec"]["size"])
    refused("invalid", api.create_namespaced_custom_object, *GADGETS, gadget("bad", {"size": 1000}), field=True)
    content(api.patch_namespaced_custom_object, *GADGETS, "one", {"spec": {"size": 5}}, kind="application/merge-patch+json")
    content(api.patch_namespaced_custom_object_status, *GADGETS, "one", {"status": {"replicas": 2}, "spec": {"size": 9}},
            kind="application/merge-patch+json")
    scale = api.get_namespaced_custom_object_scale(*GADGETS, "one")
    scale["spec"]["replicas"] = 4
    say("replicas", api.replace_namespaced_custom_object_scale(*GADGETS, "one", scale)["spec"]["replicas"])
    # The dynamic client finds the kind by itself.
    found = dynamic.DynamicClient(client.ApiClient()).resources.get(api_version="clients.example.com/v1", kind="Gadget")
    found.create(namespace=NS, body=gadget("two", {"size": 1}))
    found.delete(name="two", namespace=NS, body={"propagationPolicy": "Background"})
    say("listed", len(found.get(namespace=NS).items))


def pages(core):
    names, more = [], None
    while True:
        page = core.list_namespaced_config_map(NS, label_selector="app=pages", limit=3, _continue=more)
        say("page", len(page.items))
        names += [o.metadata.name for o in page.items]
        more = page.metadata._continue
        if not more:
            return say("names", *names)


def many(core):
    core.delete_collection_namespaced_config_map(NS, label_selector="app=many")


def identity(core):
    core.create_namespaced_service_account(NS, client.V1ServiceAccount(metadata=meta("robot")))
    token = core.create_namespaced_service_account_token("robot", NS, client.AuthenticationV1TokenRequest(
        spec=client.V1TokenRequestSpec(audiences=[], expiration_seconds=600))).status.token
    review = client.AuthorizationV1Api().create_self_subject_access_review(client.V1SelfSubjectAccessReview(
        spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=client.V1ResourceAttributes(
            namespace=NS, verb="create", resource="pods"))))
    say("allowed", str(review.status.allowed).lower())
    own = client.Configuration.get_default_copy()
    own.cert_file = own.key_file = None
    own.api_key = {"authorization": "Bearer " + token}
    own.api_key_prefix = {}
    refused("denied", client.CoreV1Api(client.ApiClient(own)).list_namespaced_pod, NS)
    say("token", token)


def election(_):
    from kubernetes.leaderelection import electionconfig, leaderelection
    try:
        from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock as Lock
    except ImportError:
        from kubernetes.leaderelection.resourcelock.configmaplock import ConfigMapLock as Lock
    said = threading.Event()

    class Telling(Lock):
        """Says when it has seen that somebody else leads."""

        def get(self, name, namespace):
            found, record = super().get(name, namespace)
            if found and getattr(record, "holder_identity", None) not in (None, self.identity) and not said.is_set():
                said.set()
                say("waiting")
            return found, record

    def lead():
        say("leading")
        threading.Event().wait()

    leaderelection.LeaderElection(electionconfig.Config(
        Telling("elected", NS, os.environ["IDENTITY"]), lease_duration=4, renew_deadline=3, retry_period=1,
        onstarted_leading=lead, onstopped_leading=None)).run()


def discovery(_):
    v = client.VersionApi().get_code()
    say("version", v.major + "." + v.minor)
    resources = dynamic.DynamicClient(client.ApiClient()).resources
    for version, kind in (("clients.example.com/v1", "Gadget"), ("v1", "Namespace")):
        r = resources.get(api_version=version, kind=kind)
        say(r.name, r.kind, str(r.namespaced).lower())


def logs(core):
    say("log", *core.read_namespaced_pod_log("talks", NS).split())
    for line in watch.Watch().stream(core.read_namespaced_pod_log, "talks", NS, tail_lines=2):
        say("line", line)


def commands(core):
    """The cases of tests/e2e/clients.py: exec and attach."""
    def run(*command, call=core.connect_get_namespaced_pod_exec, name="box", stdin=None):
        more = {"command": list(command)} if command else {}
        r = stream(call, name, NS, container="c", stdin=stdin is not None, stdout=True, stderr=True, tty=False,
                   _preload_content=False, **more)
        if stdin is not None:
            r.write_stdin(stdin)
        return r

    r = run("sh", "-c", "echo out; echo err >&2; exit 3")
    r.run_forever(timeout=60)
    say("exec", r.read_stdout().strip(), r.read_stderr().strip(), r.returncode)
    say("whole", stream(core.connect_get_namespaced_pod_exec, "box", NS, container="c", command=["echo", "all of it"], stdin=False,
                        stdout=True, stderr=True, tty=False).strip())
    r = run("sh", "-c", "read x; echo got $x", stdin="hello\n")
    r.run_forever(timeout=60)
    say("stdin", r.read_stdout().strip(), r.returncode)
    r = run("sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x")
    n = 0
    while r.is_open() or r.peek_stdout():
        n += len(r.read_stdout(timeout=60))
    say("much", n)
    r = run(call=core.connect_get_namespaced_pod_attach, name="talks", stdin="hello\n")
    say("attach", r.readline_stdout(timeout=60))
    r.close()
    try:
        run("true", name="nobody")
    except client.exceptions.ApiException as e:
        say("missing", "404" if "404" in str(e) else str(e))


CASES = {f.__name__: f for f in (crud, patch, custom, pages, many, identity, election, discovery, logs, commands)}
CASES["watch"] = watched

if __name__ == "__main__":
    config.load_kube_config()
    CASES[sys.argv[1]](client.CoreV1Api())
