# SPDX-License-Identifier: Apache-2.0
"""Discovery walked: every document in every form, methods, slashes, tags.  The tables are what a kube-apiserver answers."""
from apilib import eventually, row

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=%s;as=APIGroupDiscoveryList"
V2, BETA = AGGREGATED % "v2", AGGREGATED % "v2beta1"
JSON, YAML, TEXT = "application/json", "application/yaml", "text/plain; charset=utf-8"
LEGACY = ("/api/v1", "/apis/batch", "/apis/batch/v1", "/apis/rbac.authorization.k8s.io", "/apis/rbac.authorization.k8s.io/v1")
OPENAPI = ("/openapi/v2", "/openapi/v3/api/v1", "/openapi/v3/apis/batch/v1")

# paths, what is accepted (None: no header), status, type of the answer
FORMS = [
    (LEGACY + ("/api", "/apis"), (None, JSON, "*/*", JSON + ";q=0.5", JSON + ";foo=bar", "image/png," + JSON), 200, JSON),
    (LEGACY + ("/api", "/apis"), (YAML, YAML + "," + JSON), 200, YAML),
    (LEGACY + ("/api", "/apis"), ("text/html", "image/png", "application/cbor", BETA, AGGREGATED % "v3",
                                  JSON + ";as=Table;v=v1;g=meta.k8s.io"), 406, JSON),
    (LEGACY, (V2,), 406, JSON),
    (("/api", "/apis"), (V2, V2 + "," + JSON, BETA + "," + V2, "text/html," + V2 + "," + BETA + "," + JSON), 200, V2),
    (("/api", "/apis"), (BETA + "," + JSON,), 200, JSON),
    (OPENAPI, (None, JSON, "*/*", V2, JSON + ";q=0.5", "text/html," + JSON), 200, JSON),
    (OPENAPI, ("text/html", YAML, "application/cbor"), 406, None),
    (("/openapi/v2",), ("application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
                        "application/com.github.proto-openapi.spec.v2@v1.0+protobuf," + JSON),
     200, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"),
    (("/openapi/v3",), (None, JSON, "text/html"), 200, None),
    (("/readyz", "/livez", "/healthz"), (None, JSON, "image/png"), 200, TEXT),
    (("/version", "/.well-known/openid-configuration"), (None, JSON, "*/*"), 200, JSON),
    (("/apis/nosuch", "/apis/nosuch/v1", "/openapi", "/nosuch", "/apis/nosuch/v1/things"), (None, JSON), 404, TEXT),
    (("/apis/batch/v9", "/api/v9", "/apis/batch/v1/nosuch", "/api/v1/nosuch"), (None, JSON), 404, JSON),
    (("/apis/batch/v9", "/api/v9"), (YAML,), 404, YAML),
    (("/openapi/v3/apis/nosuch/v1", "/openapi/v3/api/v9"), (None, JSON), 404, None),
    # A slash at the end is nothing in discovery.
    (("/api/", "/apis/", "/api/v1/", "/apis/batch/", "/apis/batch/v1/", "/version/"), (None,), 200, JSON),
    (("/api/v1/namespaces/", "/api/v1/namespaces/default/"), (None,), 200, JSON),
]


@row
def discovery_in_every_form(f):
    wrong = []
    for paths, accepted, status, kind in FORMS:
        for path in paths:
            for accept in accepted:
                a = f.api.do("GET", path, headers={"Accept": accept})
                if a.status != status or (kind is not None and a.headers.get("Content-Type") != kind):
                    wrong.append((path, accept, a.status, a.headers.get("Content-Type")))
    assert not wrong, "%d: %s" % (len(wrong), wrong)


@row
def discovery_of_an_unknown_version_is_a_status(f):
    for path in ("/apis/batch/v9", "/api/v9"):
        f.api.get(path).fails(404, "NotFound", text="the server could not find the requested resource")


@row
def discovery_says_the_same_in_both_shapes(f):
    """The aggregated documents, against the classic ones."""
    seen = 0
    for path in ("/api", "/apis"):
        for group in f.api.get(path, Accept=V2).ok()["items"]:
            name = group["metadata"].get("name", "")
            for version in group["versions"]:
                gv = ("%s/%s" % (name, version["version"])) if name else version["version"]
                classic = {r["name"]: r for r in f.api.get(("/apis/" if name else "/api/") + gv).ok()["resources"]}
                for r in version["resources"]:
                    c = classic.pop(r["resource"])
                    seen += 1
                    assert (c["kind"], c["namespaced"], c["singularName"], sorted(c["verbs"])) == (
                        r["responseKind"]["kind"], r["scope"] == "Namespaced", r["singularResource"], sorted(r["verbs"])), (c, r)
                    for key in ("shortNames", "categories"):
                        assert c.get(key) == r.get(key), (c, r)
                    for s in r.get("subresources", []):
                        sub = classic.pop("%s/%s" % (r["resource"], s["subresource"]))
                        assert sub["kind"] == s["responseKind"]["kind"] and sorted(sub["verbs"]) == sorted(s["verbs"]), (sub, s)
                assert not classic, classic
                assert version["freshness"] == "Current", version
    assert seen > 25, seen


def builtin(verbs="", short=(), categories=(), namespaced=True):
    every = "create delete deletecollection get list patch update watch"
    return set((verbs or every).split()), tuple(short), tuple(categories), namespaced


KINDS = {
    "/api/v1 configmaps": ("ConfigMap", builtin(short=["cm"])),
    "/api/v1 events": ("Event", builtin(short=["ev"])),
    "/api/v1 limitranges": ("LimitRange", builtin(short=["limits"])),
    "/api/v1 namespaces": ("Namespace", builtin("create delete get list patch update watch", ["ns"], namespaced=False)),
    "/api/v1 nodes": ("Node", builtin(short=["no"], namespaced=False)),
    "/api/v1 persistentvolumeclaims": ("PersistentVolumeClaim", builtin(short=["pvc"])),
    "/api/v1 pods": ("Pod", builtin(short=["po"], categories=["all"])),
    "/api/v1 resourcequotas": ("ResourceQuota", builtin(short=["quota"])),
    "/api/v1 secrets": ("Secret", builtin()),
    "/api/v1 serviceaccounts": ("ServiceAccount", builtin(short=["sa"])),
    "/api/v1 services": ("Service", builtin(short=["svc"], categories=["all"])),
    "/apis/batch/v1 cronjobs": ("CronJob", builtin(short=["cj"], categories=["all"])),
    "/apis/batch/v1 jobs": ("Job", builtin(categories=["all"])),
    "/apis/coordination.k8s.io/v1 leases": ("Lease", builtin()),
    "/apis/events.k8s.io/v1 events": ("Event", builtin(short=["ev"])),
    "/apis/networking.k8s.io/v1 networkpolicies": ("NetworkPolicy", builtin(short=["netpol"])),
    "/apis/rbac.authorization.k8s.io/v1 roles": ("Role", builtin()),
    "/apis/rbac.authorization.k8s.io/v1 rolebindings": ("RoleBinding", builtin()),
    "/apis/rbac.authorization.k8s.io/v1 clusterroles": ("ClusterRole", builtin(namespaced=False)),
    "/apis/rbac.authorization.k8s.io/v1 clusterrolebindings": ("ClusterRoleBinding", builtin(namespaced=False)),
    "/apis/apiextensions.k8s.io/v1 customresourcedefinitions": (
        "CustomResourceDefinition", builtin(short=["crd", "crds"], categories=["api-extensions"], namespaced=False)),
    "/apis/authorization.k8s.io/v1 selfsubjectaccessreviews": ("SelfSubjectAccessReview", builtin("create", namespaced=False)),
    "/apis/authorization.k8s.io/v1 localsubjectaccessreviews": ("LocalSubjectAccessReview", builtin("create")),
    "/apis/authentication.k8s.io/v1 tokenreviews": ("TokenReview", builtin("create", namespaced=False)),
    "/api/v1 pods/log": ("Pod", builtin("get")),
    "/api/v1 pods/eviction": ("Eviction", builtin("create")),
    "/api/v1 pods/exec": ("PodExecOptions", builtin("create get")),
    "/api/v1 namespaces/finalize": ("Namespace", builtin("update", namespaced=False)),
    "/api/v1 serviceaccounts/token": ("TokenRequest", builtin("create")),
    "/apis/batch/v1 jobs/status": ("Job", builtin("get patch update")),
}


@row
def discovery_of_builtin_kinds(f):
    documents = {}
    for key, (kind, wanted) in KINDS.items():
        path, name = key.split()
        if path not in documents:
            documents[path] = {r["name"]: r for r in f.api.get(path).ok()["resources"]}
        r = documents[path][name]
        got = (set(r["verbs"]), tuple(r.get("shortNames", ())), tuple(r.get("categories", ())), r["namespaced"])
        assert r["kind"] == kind and got == wanted, (key, r)
        assert r["singularName"] == ("" if "/" in name else kind.lower()), (key, r)


@row
def discovery_has_tags(f):
    for path, accept in (("/api", V2), ("/apis", V2), ("/openapi/v2", JSON), ("/openapi/v3/api/v1", JSON)):
        def known(path=path, accept=accept):
            """What is there, and the same asked for by its tag; None: a definition of another row went meanwhile."""
            a = f.api.get(path, Accept=accept)
            again = f.api.get(path, Accept=accept, If_None_Match=a.headers["ETag"])
            return (a, again) if again.headers["ETag"] == a.headers["ETag"] else None

        a, again = eventually(known, what="a document that stays")
        a.ok()
        tag = a.headers["ETag"]
        assert tag[0] == tag[-1] == '"' and "Accept" in ", ".join(a.headers.get_all("Vary")), (path, tag, a.headers)
        assert again.status == 304 and again.raw == b"", (path, again.status)
        other = f.api.get(path, Accept=accept, If_None_Match='"another"')
        assert other.status == 200, (path, other.status)
        if path.startswith("/openapi"):
            for several in ("*", '"another", ' + tag, "W/" + tag):
                assert f.api.get(path, Accept=accept, If_None_Match=several).status == 304 or known()[0].headers["ETag"] != tag, (
                    path, several)
    assert f.api.get("/api", Accept=V2).headers["Cache-Control"] == "public"
    # What is not aggregated has none.
    for path in ("/api", "/apis", "/api/v1", "/version", "/openapi/v3"):
        assert "ETag" not in f.api.get(path).headers, path


@row
def discovery_tags_change_with_a_definition(f):
    before = f.api.get("/apis", Accept=V2).headers["ETag"]
    crd = f.crd("gizmos", "Gizmo")
    f.api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd).ok(201)
    eventually(lambda: f.api.get("/apis", Accept=V2).headers["ETag"] != before, what="another tag")
    eventually(lambda: any(r["resource"] == "gizmos" for g in f.api.get("/apis", Accept=V2).json["items"]
                                  for v in g["versions"] for r in v["resources"]), what="the kind")
    f.api.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/" + crd["metadata"]["name"]).ok()


@row
def openapi_documents_have_hashes(f):
    url = f.api.get("/openapi/v3").ok()["paths"]["apis/batch/v1"]["serverRelativeURL"]
    assert url.startswith("/openapi/v3/apis/batch/v1?hash="), url
    a = f.api.get(url)
    a.ok()
    assert a.headers["Cache-Control"] == "public, immutable" and "Expires" in a.headers, a.headers
    assert a.headers["ETag"].strip('"') == url.split("=")[1], (a.headers["ETag"], url)
    old = f.api.get("/openapi/v3/apis/batch/v1?hash=ABC")
    assert old.status == 301 and old.headers["Location"] == url, (old.status, old.headers)


@row
def methods_that_discovery_does_not_have(f):
    """HEAD is GET without a body and every 405 says what is allowed, as HTTP has it."""
    document, item, collection = "GET, HEAD", "GET, HEAD, PUT, PATCH, DELETE", "GET, HEAD, POST, DELETE"
    cases = [(p, m, document) for p in LEGACY + OPENAPI + ("/", "/api", "/apis", "/version", "/readyz")
             for m in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")]
    cases += [(f.core + "/configmaps/none", m, item) for m in ("POST", "OPTIONS", "BREW")]
    cases += [(f.core + "/configmaps", m, collection) for m in ("PUT", "PATCH")]
    cases += [("/api/v1/configmaps", m, document) for m in ("POST", "PUT", "PATCH")]
    cases += [("/api/v1/namespaces", m, "GET, HEAD, POST") for m in ("PUT", "PATCH", "DELETE")]
    cases += [("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews/x", "PUT", "POST")]
    cases += [("/apis/batch/v1/namespaces/default/jobs/x/status", "DELETE", "GET, HEAD, PUT, PATCH")]
    cases += [(f.core + "/pods/x/exec", "DELETE", "GET, HEAD, POST")]
    for path, method, allow in cases:
        a = f.api.do(method, path, b"{}" if method in ("POST", "PUT", "PATCH") else None)
        a.fails(405, "MethodNotAllowed")
        assert a.headers.get("Allow") == allow, (path, method, a.headers.get("Allow"))
    for path in LEGACY + OPENAPI + ("/", "/api", "/apis", "/version", "/readyz", f.core + "/configmaps", "/api/v1/namespaces/default"):
        got, head = f.api.get(path), f.api.do("HEAD", path)
        assert head.status == 200 and head.raw == b"" and head.headers["Content-Type"] == got.headers["Content-Type"], (path, head.status)
        assert abs(int(head.headers["Content-Length"]) - len(got.raw)) < 64, path


@row
def bodies_and_their_types(f):
    """What a body may be called, with create and patch."""
    path, body = f.core + "/configmaps?dryRun=All", '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}'
    for kind, status in ((None, 201), (JSON, 201), (JSON + "; charset=utf-8", 201), (YAML, 201), ("text/plain", 415), ("application/cbor", 415),
                         ("application/x-www-form-urlencoded", 415), ("application/merge-patch+json", 415), ("garbage", 415), ("*/*", 415)):
        a = f.api.do("POST", path, body, {"Content-Type": kind} if kind else {"Content-Type": None})
        assert a.status == status, (kind, a.status, a.raw[:200])
        if status == 415:
            a.fails(415, "UnsupportedMediaType")
    for kind, status in (("application/merge-patch+json", 404), ("application/merge-patch+json; charset=utf-8", 404), (JSON, 415),
                         ("text/plain", 415), ("application/apply-patch+cbor", 415), ("garbage", 415)):
        f.api.do("PATCH", f.core + "/configmaps/none", "{}", {"Content-Type": kind}).fails(
            status, "NotFound" if status == 404 else "UnsupportedMediaType")
