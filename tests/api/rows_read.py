# SPDX-License-Identifier: Apache-2.0
"""Rows 1-72: discovery, negotiation, create, read, paging."""
import re

from apilib import eventually, name_of, rand, row

AGG = "application/json;g=apidiscovery.k8s.io;v=%s;as=APIGroupDiscoveryList"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@row
def row_001(f):
    v = f.api.get("/version").ok()
    assert v["major"].isdigit() and v["minor"].isdigit()


@row
def the_version_says_standalone(f):
    assert f.api.get("/version").ok()["gitVersion"].endswith("+standalone")


@row
def row_002(f):
    for p in ("/healthz", "/livez", "/readyz"):
        for c in (f.api, f.nobody):
            r = c.get(p)
            assert (r.status, r.raw) == (200, b"ok"), (p, r.status, r.raw)
        assert f.api.get(p + "?verbose").raw.strip().endswith(b"check passed")


@row
def row_003(f):
    d = f.api.get("/api").ok()
    assert d["kind"] == "APIVersions" and "v1" in d["versions"]


@row
def row_004(f):
    d = f.api.get("/apis").ok()
    assert d["kind"] == "APIGroupList"
    for g in d["groups"]:
        assert g["preferredVersion"] in g["versions"], g
    assert f.group in [g["name"] for g in d["groups"]]
    assert len({g["name"] for g in d["groups"]}) == len(d["groups"])


@row
def row_005(f):
    for g in f.api.get("/apis").ok()["groups"]:
        for v in g["versions"]:
            d = f.api.get("/apis/" + v["groupVersion"]).ok()
            assert d["groupVersion"] == v["groupVersion"] and d["resources"], d
    d = f.api.get("/api/v1").ok()
    names = {r["name"] for r in d["resources"]}
    assert {"pods", "pods/log", "pods/status", "serviceaccounts/token", "configmaps", "events"} <= names, names


@row
def row_006(f):
    r = f.api.get("/apis", Accept=AGG % "v2")
    d = r.ok()
    assert "as=APIGroupDiscoveryList" in r.headers["Content-Type"] and "v=v2" in r.headers["Content-Type"]
    assert d["kind"] == "APIGroupDiscoveryList"
    g = [i for i in d["items"] if name_of(i) == f.group][0]
    w = [r for r in g["versions"][0]["resources"] if r["resource"] == "widgets"][0]
    assert w["scope"] == "Namespaced" and "patch" in w["verbs"], w
    subs = {s["subresource"]: s["responseKind"] for s in w["subresources"]}
    assert subs["scale"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}, subs
    assert subs["status"]["kind"] == "Widget"
    core = f.api.get("/api", Accept=AGG % "v2").ok()
    assert [name_of(i) for i in core["items"]] in ([""], [None]), core["items"][0]["metadata"]


@row
def row_007(f):
    r = f.api.get("/apis", Accept=AGG % "v2beta1" + ",application/json")
    assert r.ok()["kind"] == "APIGroupList" and r.headers["Content-Type"].startswith("application/json")


@row
def row_008(f):
    tag = f.api.get("/apis", Accept=AGG % "v2").headers["ETag"]
    r = f.api.get("/apis", Accept=AGG % "v2", If_None_Match=tag)
    assert r.status == 304 and r.raw == b"", r.status


@row
def row_009(f):
    r = f.api.get("/apis", Accept="application/json;g=x;v=v9;as=Nonsense,application/json")
    assert r.ok()["kind"] == "APIGroupList"


@row
def row_010(f):
    assert f.api.get("/apis/apiextensions.k8s.io").ok()["kind"] == "APIGroup"
    d = f.api.get("/apis/apiextensions.k8s.io/v1").ok()
    assert "customresourcedefinitions" in [r["name"] for r in d["resources"]]


@row
def row_011(f):
    assert f.api.get("/apis/nosuch.example/v1").status == 404
    assert f.api.get("/apis/nosuch.example/v1/namespaces/x/y").raw.startswith(b"404 page not found")
    f.api.get("/api/v1/nosuch").fails(404, "NotFound")
    f.api.get("/api/v1/namespaces/default/nosuch/x").fails(404, "NotFound")


def openapi_doc(f):
    d = f.api.get("/openapi/v3").ok()
    return d, d["paths"]["apis/%s/v1" % f.group]["serverRelativeURL"]


@row
def row_012(f):
    d, url = openapi_doc(f)
    r = f.api.get(url)
    r.ok()
    assert "immutable" in r.headers["Cache-Control"] and r.headers["ETag"]
    assert f.api.get(url, If_None_Match=r.headers["ETag"]).status == 304
    assert f.api.get(url.split("?")[0] + "?hash=stale").status == 301
    assert "api/v1" in d["paths"] and "apis/batch/v1" in d["paths"]
    for p in d["paths"].values():
        assert f.api.get(p["serverRelativeURL"]).ok()["openapi"] == "3.0.0"


@row
def row_013(f):
    doc = f.api.get(openapi_doc(f)[1]).ok()
    gvk = {"group": f.group, "version": "v1", "kind": "Widget"}
    s = [s for s in doc["components"]["schemas"].values() if gvk in s.get("x-kubernetes-group-version-kind", [])]
    assert s and s[0]["properties"]["spec"]["properties"]["size"]["type"] == "integer"
    patches = [o["patch"] for path, o in doc["paths"].items() if "patch" in o and "/widgets/" in path]
    names = {p["name"] for p in patches[0]["parameters"]}
    assert {"dryRun", "fieldManager", "fieldValidation"} <= names
    assert patches[0]["x-kubernetes-group-version-kind"] == gvk and patches[0]["x-kubernetes-action"] == "patch"


@row
def row_014(f):
    d = f.api.get("/openapi/v2").ok()
    gvk = {"group": f.group, "version": "v1", "kind": "Widget"}
    assert any(gvk in s.get("x-kubernetes-group-version-kind", []) for s in d["definitions"].values())


@row
def row_015(f):
    o = f.new({"size": 7, "mode": "a"})
    t = f.api.get(f.w, Accept=TABLE).ok()
    assert t["kind"] == "Table" and t["apiVersion"] == "meta.k8s.io/v1"
    assert [c["name"] for c in t["columnDefinitions"]] == ["Name", "Size", "Mode", "Age"]
    r = [r for r in t["rows"] if r["cells"][0] == name_of(o)][0]
    assert r["cells"][1:3] == [7, "a"], r["cells"]
    assert r["object"]["kind"] == "PartialObjectMetadata" and "spec" not in r["object"]
    one = f.api.get(f.path(o), Accept=TABLE).ok()
    assert len(one["rows"]) == 1


@row
def row_016(f):
    f.new()
    d = f.api.get(f.w, Accept="application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").ok()
    assert d["kind"] == "PartialObjectMetadataList" and d["items"]
    for i in d["items"]:
        assert set(i) == {"kind", "apiVersion", "metadata"}, i


@row
def protobuf_is_read_and_never_written(f):
    both = "application/vnd.kubernetes.protobuf%s,application/json%s"
    partial = ";as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    for p, accept in ((f.core + "/configmaps", both % ("", "")), (f.w, both % (partial, partial))):
        r = f.api.get(p, Accept=accept)
        assert r.status == 200 and r.headers["Content-Type"] == "application/json" and r.json["items"] is not None
    f.api.get(f.core + "/configmaps", Accept="application/vnd.kubernetes.protobuf").fails(406, "NotAcceptable")


@row
def row_017(f):
    r = f.api.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                   {"spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}}, {"Accept": TABLE})
    r.fails(406, "NotAcceptable")


@row
def row_018(f):
    f.api.get(f.w, Accept="application/xml").fails(406, "NotAcceptable")


@row
def row_019(f):
    for t in ("text/xml", "application/cbor"):
        f.api.post(f.w, "<a/>", {"Content-Type": t}).fails(415, "UnsupportedMediaType")


def pb(number, data):
    """A length-delimited field; short ones only."""
    data = data.encode() if isinstance(data, str) else data
    out, n = bytes([number << 3 | 2]), len(data)
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n]) + data


@row
def row_020(f):
    name = "pb-" + rand()
    meta = pb(1, name) + pb(11, pb(1, "l") + pb(2, "v"))
    body = b"k8s\0" + pb(1, pb(1, "v1") + pb(2, "ConfigMap")) + pb(2, pb(1, meta) + pb(2, pb(1, "k") + pb(2, "x" * 300)))
    head = {"Content-Type": "application/vnd.kubernetes.protobuf", "Accept": "application/json"}
    o = f.api.post(f.core + "/configmaps", body, head).ok(201)
    assert o["data"] == {"k": "x" * 300} and o["metadata"]["labels"] == {"l": "v"}, o
    f.api.post(f.core + "/configmaps", body[:-5], head).fails(400, "BadRequest")
    f.api.post(f.core + "/configmaps", b"k8s\0" + pb(1, pb(1, "x/v1") + pb(2, "Y")), head).fails((400, 415))
    f.api.post(f.core + "/configmaps", b"junk", head).fails(400)


@row
def row_021(f):
    y = "apiVersion: %s/v1\nkind: Widget\nmetadata:\n  name: y-%s\nspec:\n  size: 4\n  free: {a: \"yes\"}\n"
    o = f.api.post(f.w, y % (f.group, rand()), {"Content-Type": "application/yaml"}).ok(201)
    assert o["spec"]["size"] == 4 and o["spec"]["free"] == {"a": "yes"}, o["spec"]
    r = f.api.get(f.path(o), Accept="application/yaml")
    assert r.status == 200 and b"size: 4" in r.raw, r.raw


@row
def yaml_words_stay_what_they_are(f):
    y = "apiVersion: %s/v1\nkind: Widget\nmetadata: {name: y-%s}\nspec: {free: {on: yes, y: off, n: 1_0}}\n"
    o = f.api.post(f.w, y % (f.group, rand()), {"Content-Type": "application/yaml"}).ok(201)
    assert o["spec"]["free"] == {"on": "yes", "y": "off", "n": "1_0"}, o["spec"]


@row
def row_022(f):
    o = f.new()
    m = o["metadata"]
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", m["uid"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", m["creationTimestamp"])
    assert m["generation"] == 1 and m["resourceVersion"].isdigit() and m["namespace"] == f.ns
    assert o["spec"]["size"] == 3


@row
def row_023(f):
    o = f.new()
    s = f.api.post(f.w, f.widget(name_of(o))).fails(409, "AlreadyExists")
    assert s["details"]["name"] == name_of(o) and s["details"]["kind"] == "widgets", s
    assert s["details"]["group"] == f.group


@row
def row_024(f):
    f.api.post(f.w, f.widget()).fails(422, "Invalid", "FieldValueRequired", "metadata.name")


@row
def row_025(f):
    o = f.api.post(f.w, f.widget(generateName="g-")).ok(201)
    assert re.fullmatch(r"g-[a-z0-9]{5}", name_of(o)), name_of(o)


@row
def row_026(f):
    o = f.api.post(f.w, f.widget(generateName="x" * 70)).ok(201)
    assert len(name_of(o)) == 63, len(name_of(o))


@row
def row_027(f):
    f.api.post(f.w, f.widget("Bad_Name")).fails(422, "Invalid", "FieldValueInvalid", "metadata.name")


@row
def row_028(f):
    f.api.post(f.w, f.widget("n-" + rand(), namespace="other")).fails(400, "BadRequest")


@row
def row_029(f):
    s = f.api.post("/api/v1/namespaces/missing/configmaps", {"metadata": {"name": "c"}}).fails(404, "NotFound")
    assert s["details"]["kind"] == "namespaces", s


@row
def row_030(f):
    uid = "11111111-1111-4111-8111-111111111111"
    o = f.new(uid=uid, creationTimestamp="2001-01-01T00:00:00Z", deletionTimestamp="2001-01-01T00:00:00Z")
    m = o["metadata"]
    assert m["uid"] != uid and not m["creationTimestamp"].startswith("2001") and "deletionTimestamp" not in m


@row
def row_031(f):
    s = f.api.post(f.w, f.widget("w-" + rand(), resourceVersion="5")).fails((500, 400, 422))
    assert "resourceVersion should not be set on objects to be created" in s["message"], s


@row
def row_032(f):
    w = f.widget("w-" + rand())
    w["status"] = {"replicas": 3}
    assert not f.api.post(f.w, w).ok(201).get("status")


@row
def row_033(f):
    w = f.widget("w-" + rand())
    w["apiVersion"] = "other.example.com/v1"
    f.api.post(f.w, w).fails(400, "BadRequest")


@row
def row_034(f):
    name = "dry-" + rand()
    rv = f.api.get(f.w).ok()["metadata"]["resourceVersion"]
    with f.api.watch("%s?watch=true&resourceVersion=%s&timeoutSeconds=1" % (f.w, rv)) as w:
        o = f.api.post(f.w + "?dryRun=All", f.widget(name)).ok(201)
        assert o["metadata"]["uid"]
        assert w.rest() == []
    f.api.get(f.w + "/" + name).fails(404)


@row
def row_035(f):
    f.api.post(f.w + "?dryRun=Some", f.widget("w-" + rand())).fails(422, None, "FieldValueNotSupported", "dryRun")


@row
def row_036(f):
    r = f.api.post(f.w, f.widget("w-" + rand(), {"x": 1}))
    o = r.ok(201)
    assert "x" not in o["spec"]
    assert any(w.startswith("299") and "spec.x" in w for w in r.warnings), r.warnings


@row
def row_037(f):
    f.api.post(f.w + "?fieldValidation=Strict", f.widget("w-" + rand(), {"x": 1})).fails(
        400, "BadRequest", text='strict decoding error: unknown field "spec.x"')


@row
def row_038(f):
    r = f.api.post(f.w + "?fieldValidation=Ignore", f.widget("w-" + rand(), {"x": 1}))
    r.ok(201)
    assert not r.warnings


@row
def row_039(f):
    for inner in ('"size":1,"size":2', '"free":{"a":1,"a":2}'):
        body = '{"apiVersion":"%s/v1","kind":"Widget","metadata":{"name":"w-%s"},"spec":{%s}}' % (f.group, rand(), inner)
        f.api.post(f.w + "?fieldValidation=Strict", body).fails(400, "BadRequest", text="duplicate field")


@row
def row_040(f):
    f.api.post(f.w + "?fieldValidation=Strict", f.widget("w-" + rand(), nosuch="x")).fails(400, "BadRequest")


@row
def row_041(f):
    f.api.post(f.w + "?fieldValidation=Foo", f.widget("w-" + rand())).fails(422, "Invalid")


@row
def row_042(f):
    body = f.widget("w-" + rand(), {"free": {"a": "x" * (4 << 20)}})
    f.api.post(f.w, body).fails(413, "RequestEntityTooLarge")


@row
def row_043(f):
    for body in ("{", "[]", '"x"', '{"a":1}}', ""):
        f.api.post(f.w, body).fails(400)


@row
def row_044(f):
    refs = [{"apiVersion": "v1", "kind": "ConfigMap", "name": n, "uid": n, "controller": True} for n in "ab"]
    f.api.post(f.w, f.widget("w-" + rand(), ownerReferences=refs)).fails(422, "Invalid")


@row
def row_045(f):
    f.api.post(f.w, f.widget("w-" + rand(), annotations={"a": "x" * (257 << 10)})).fails(
        422, "Invalid", "FieldValueTooLong")


@row
def row_046(f):
    s = f.api.get(f.w + "/nope").fails(404, "NotFound")
    assert s["message"] == 'widgets.%s "nope" not found' % f.group, s["message"]
    assert s["details"] == {"name": "nope", "group": f.group, "kind": "widgets"}, s


@row
def row_047(f):
    o = f.new()
    for rv in ("0", o["metadata"]["resourceVersion"]):
        assert f.api.get(f.path(o) + "?resourceVersion=" + rv).ok() == o


@row
def row_048(f):
    o = f.new()
    rv = int(o["metadata"]["resourceVersion"]) + 1000000
    s = f.api.get("%s?resourceVersion=%d" % (f.path(o), rv)).fails(504, "Timeout", "ResourceVersionTooLarge")
    assert s["details"].get("retryAfterSeconds") == 1, s


@row
def row_049(f):
    f.new()
    d = f.api.get(f.w).ok()
    assert d["kind"] == "WidgetList" and d["apiVersion"] == f.group + "/v1"
    for i in d["items"]:
        assert int(i["metadata"]["resourceVersion"]) <= int(d["metadata"]["resourceVersion"])
        assert i["kind"] == "Widget" and i["apiVersion"] == f.group + "/v1"


@row
def row_050(f):
    assert f.api.get(f.core + "/configmaps").ok()["kind"] == "ConfigMapList"


@row
def row_051(f):
    r = f.api.get(f.w + "?labelSelector=none%3Dsuch")
    assert r.ok()["items"] == []


@row
def row_052(f):
    other = f.namespace()
    a, b = f.new(), f.api.post("%s/namespaces/%s/widgets" % (f.gv, other), f.widget("o-" + rand())).ok(201)
    names = [name_of(i) for i in f.api.get(f.gv + "/widgets").ok()["items"]]
    assert name_of(a) in names and name_of(b) in names


def select(f, key, selector):
    q = "?labelSelector=" + selector.replace(" ", "%20").replace("=", "%3D").replace(",", "%2C").replace("!", "%21")
    return {i["metadata"]["labels"].get("a") for i in f.api.get(f.w + q + "%2Crun%3D" + key).ok()["items"]}


@row
def row_053(f):
    run = rand()
    for v in ("b", "c", None):
        f.new(labels={"run": run, **({"a": v} if v else {})})
    assert select(f, run, "a=b") == {"b"}
    assert select(f, run, "a==b") == {"b"}
    assert select(f, run, "a!=b") == {"c", None}
    assert select(f, run, "a in (b,c)") == {"b", "c"}
    assert select(f, run, "a notin (b)") == {"c", None}
    assert select(f, run, "!a") == {None}
    assert select(f, run, "a") == {"b", "c"}


@row
def row_054(f):
    for s in ("a%3D%3D%3D,,", "a%20in", ",,", "a%20in%20b", "-%3Dx"):
        f.api.get(f.w + "?labelSelector=" + s).fails(400, "BadRequest")


@row
def row_055(f):
    o = f.new()
    d = f.api.get(f.w + "?fieldSelector=metadata.name%3D" + name_of(o)).ok()
    assert [name_of(i) for i in d["items"]] == [name_of(o)]


@row
def row_056(f):
    run = rand()
    for m in ("a", "b"):
        f.new({"mode": m}, labels={"run": run})
    for q, want in (("spec.mode%3Da", {"a"}), ("spec.mode%21%3Da", {"b"})):
        d = f.api.get(f.w + "?labelSelector=run%3D" + run + "&fieldSelector=" + q).ok()
        assert {i["spec"]["mode"] for i in d["items"]} == want


@row
def row_057(f):
    f.api.get(f.w + "?fieldSelector=spec.size%3D3").fails(400, "BadRequest", text="field label not supported: spec.size")


@row
def row_058(f):
    f.api.get(f.w + "?resourceVersionMatch=Exact").fails(422, "Invalid")


@row
def row_059(f):
    f.api.get(f.w + "?resourceVersion=0&resourceVersionMatch=Exact").fails(422, "Invalid")
    f.api.get(f.w + "?resourceVersion=1&resourceVersionMatch=Foo").fails(422, "Invalid")


@row
def row_060(f):
    f.api.get(f.w + "?sendInitialEvents=true").fails(422, "Invalid")


@row
def row_061(f):
    f.api.get(f.w + "?resourceVersion=abc").fails(400, "BadRequest")


@row
def row_062(f):
    r = f.api.get(f.w + "?resourceVersion=1&resourceVersionMatch=Exact")
    if r.status != 200:  # what was then may still be known
        r.fails(410, "Expired")
    else:
        assert r.json["items"] == [] and r.json["metadata"]["resourceVersion"] == "1", r.json


@row
def row_063(f):
    f.new()
    t = f.api.get(f.w + "?includeObject=None", Accept=TABLE).ok()
    assert all(not r.get("object") for r in t["rows"])
    t = f.api.get(f.w + "?includeObject=Object", Accept=TABLE).ok()
    assert all("spec" in r["object"] for r in t["rows"])


@row
def row_064(f):
    o = f.new()
    cells = f.api.get(f.path(o), Accept=TABLE).ok()["rows"][0]["cells"]
    assert re.fullmatch(r"\d+[smhd].*", cells[-1]), cells


def pages(f, path, limit):
    out, cont = [], ""
    while True:
        d = f.api.get("%s%slimit=%d%s" % (path, "&" if "?" in path else "?", limit, cont)).ok()
        out.append(d)
        if not d["metadata"].get("continue"):
            return out
        cont = "&continue=" + d["metadata"]["continue"]


def forty(f):
    ns = f.namespace()
    path = "%s/namespaces/%s/widgets" % (f.gv, ns)
    for i in range(40):
        f.api.post(path, f.widget("p-%02d" % ((i * 7) % 40), labels={"even": str(i % 2)})).ok(201)
    return path


@row
def row_065(f):
    path = forty(f)
    d = f.api.get(path + "?limit=10").ok()
    assert len(d["items"]) == 10 and d["metadata"]["continue"] and d["metadata"]["remainingItemCount"] == 30


@row
def row_066(f):
    all_pages = pages(f, forty(f), 10)
    names = [name_of(i) for p in all_pages for i in p["items"]]
    assert names == ["p-%02d" % i for i in range(40)], names
    assert len({p["metadata"]["resourceVersion"] for p in all_pages}) == 1


@row
def row_067(f):
    path = forty(f)
    d = f.api.get(path + "?limit=10").ok()
    f.api.delete(path + "/p-20").ok()
    r = f.api.get(path + "?limit=100&continue=" + d["metadata"]["continue"])
    assert r.status == 410 or "p-20" in [name_of(i) for i in r.ok()["items"]], r.status


@row
def row_068(f):
    d = f.api.get(forty(f) + "?limit=5&labelSelector=even%3D1").ok()
    assert len(d["items"]) == 5 and d["metadata"]["continue"] and "remainingItemCount" not in d["metadata"]


@row
def row_069(f):
    for token in ("garbage", "e30", "%21%21"):
        f.api.get(f.w + "?continue=" + token).fails(400, "BadRequest")


@row
def row_070(f):
    d = f.api.get(forty(f) + "?limit=10").ok()
    f.api.get("%s?limit=10&resourceVersion=5&continue=%s" % (f.w, d["metadata"]["continue"])).fails(400, "BadRequest")


@row
def row_072(f):
    path = forty(f)
    for q in ("", "?limit=0"):
        d = f.api.get(path + q).ok()
        assert len(d["items"]) == 40 and not d["metadata"].get("continue")


@row
def booleans_of_queries(f):
    """"false" in any case and "0" are false, everything else is true: libraries write them as their language does."""
    f.new()
    for no in ("false", "False", "FALSE", "0"):
        assert f.api.get(f.w + "?watch=" + no).ok()["kind"].endswith("List"), no
    for yes in ("true", "True", "1", "yes"):
        with f.api.watch(f.w + "?timeoutSeconds=5&watch=" + yes) as w:
            assert w.next()["type"] == "ADDED", yes
    for orphan, gone in (("True", False), ("False", True)):
        owner = f.new()
        name = "owned-" + rand()
        f.api.post(f.core + "/configmaps", {"metadata": {"name": name, "ownerReferences": [{
            "apiVersion": f.group + "/v1", "kind": "Widget", "name": name_of(owner), "uid": owner["metadata"]["uid"]}]}}).ok(201)
        f.api.delete(f.path(owner) + "?orphanDependents=" + orphan).ok()
        at = f.core + "/configmaps/" + name
        eventually(lambda: f.api.get(f.path(owner)).status == 404, what="the owner to go")
        if gone:
            eventually(lambda: f.api.get(at).status == 404, what="what it owned to follow it")
        else:
            eventually(lambda: not f.api.get(at).ok()["metadata"].get("ownerReferences"), what="what it owned to be let go")
