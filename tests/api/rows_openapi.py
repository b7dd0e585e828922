# SPDX-License-Identifier: Apache-2.0
"""OpenAPI in both versions: documents that hold together, real schemas, and the protobuf form of v2."""
import json
import re

from apilib import eventually, rand, row, soon

PROTO = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"


def references(value):
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for v in value.values():
            yield from references(v)
    elif isinstance(value, list):
        for v in value:
            yield from references(v)


def documents(f):
    """Every v3 document by its path, and the v2 one as "v2"."""
    def all_of_them():
        answers = {k: f.api.get(p["serverRelativeURL"]) for k, p in f.api.get("/openapi/v3").ok()["paths"].items()}
        answers["v2"] = f.api.get("/openapi/v2")
        # A cluster makes them anew while definitions of other rows come and go; an address that was named is moved then.
        if not f.standalone and any(a.status != 200 for a in answers.values()):
            return None
        return {k: a.ok() for k, a in answers.items()}

    return soon(f, all_of_them, what="the documents change all the time")


def schemas(doc):
    return doc.get("definitions") or doc["components"].get("schemas", {})


@row
def openapi_references_resolve(f):
    for where, doc in documents(f).items():
        for ref in set(references(doc)):
            at = doc
            for part in ref.split("/")[1:]:
                assert part in at, (where, ref)
                at = at[part]


@row
def openapi_operations_are_unique_and_known_to_discovery(f):
    docs = documents(f)
    for where, doc in docs.items():
        ids = [o["operationId"] for p in doc["paths"].values() for m, o in p.items() if m != "parameters"]
        assert len(ids) == len(set(ids)), where
        assert where == "v2" or ids, where
    groups = ["api/v1"] + ["apis/" + g["preferredVersion"]["groupVersion"] for g in f.api.get("/apis").ok()["groups"]]
    for g in groups:
        if not f.standalone and ".example.com/" in g and f.group not in g:
            continue  # a definition of another row: a cluster takes minutes to remove it, and discovery knows first
        for r in f.api.get("/" + g).ok()["resources"]:
            if "/" in r["name"]:
                continue
            path = "/%s/%s%s" % (g, "namespaces/{namespace}/" if r["namespaced"] else "", r["name"])
            for doc in (docs[g], docs["v2"]):
                assert ("post" in doc["paths"][path]) == ("create" in r["verbs"]), path
                item = doc["paths"].get(path + "/{name}", {})
                assert ("patch" in item) == ("patch" in r["verbs"]), path
                assert path in doc["paths"] and any(
                    {"group": g.split("/")[1] if g.count("/") == 2 else "", "version": g.rsplit("/", 1)[1],
                     "kind": r["kind"]} in s.get("x-kubernetes-group-version-kind", []) for s in schemas(doc).values())


@row
def openapi_builtin_schemas_are_whole(f):
    for doc in (documents(f)["apis/batch/v1"], documents(f)["v2"]):
        s = schemas(doc)
        job = s["io.k8s.api.batch.v1.JobSpec"]
        assert job["properties"]["parallelism"] == {"description": job["properties"]["parallelism"]["description"],
                                                    "type": "integer", "format": "int32"}
        assert job["required"] == ["template"]
        containers = s["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
        assert containers["x-kubernetes-patch-merge-key"] == "name"
        assert containers["x-kubernetes-patch-strategy"] == "merge"
        assert containers["x-kubernetes-list-map-keys"] == ["name"]
        ports = s["io.k8s.api.core.v1.Container"]["properties"]["ports"]
        assert ports["x-kubernetes-list-map-keys"] == ["containerPort", "protocol"]
        # A message that is merged into its parent has no place of its own.
        selector = s["io.k8s.api.core.v1.SecretKeySelector"]
        assert set(selector["properties"]) == {"name", "key", "optional"}
        assert selector["x-kubernetes-map-type"] == "atomic"
        assert s["io.k8s.api.core.v1.Container"]["properties"]["command"]["x-kubernetes-list-type"] == "atomic"


@row
def openapi_of_a_definition(f):
    docs = documents(f)
    s = schemas(docs["apis/%s/v1" % f.group])
    name = ".".join(reversed(f.group.split("."))) + ".v1.Widget"
    spec = s[name]["properties"]["spec"]["properties"]
    assert spec["size"] == {"type": "integer", "minimum": 0, "maximum": 100, "default": 3}
    assert spec["any"] == {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}
    assert s[name]["properties"]["metadata"]["allOf"][0]["$ref"].endswith(".ObjectMeta")
    assert s[name + "List"]["properties"]["items"]["items"]["$ref"].endswith(name)
    assert "io.k8s.api.autoscaling.v1.Scale" in s
    # v2 has no word for values of several types: they have no type there.
    spec = schemas(docs["v2"])[name]["properties"]["spec"]["properties"]
    assert "type" not in spec["any"] and "type" not in spec["free"] and "default" not in spec["size"]
    assert spec["tags"]["items"] == {"type": "string"}


def fields(data):
    """The length-delimited fields of a protobuf message as (number, bytes), others as (number, int)."""
    at = 0

    def varint():
        nonlocal at
        v = shift = 0
        while True:
            b = data[at]
            at += 1
            v |= (b & 127) << shift
            shift += 7
            if b < 128:
                return v

    while at < len(data):
        tag = varint()
        if tag & 7 == 2:
            n = varint()
            assert at + n <= len(data)
            yield tag >> 3, data[at:at + n]
            at += n
        elif tag & 7 == 1:
            yield tag >> 3, data[at:at + 8]
            at += 8
        else:
            assert tag & 7 == 0, tag
            yield tag >> 3, varint()


def all_of(data, number):
    return [v for n, v in fields(data) if n == number]


def one(data, *numbers):
    for n in numbers:
        data = all_of(data, n)[0]
    return data


def extensions(data, number):
    """By name; those in YAML beyond a word, as a kube-apiserver writes them, are None."""
    def value(text):
        try:
            return json.loads(text)
        except ValueError:
            return text.strip() if re.fullmatch(r"\w+\n?", text) else None

    return {one(e, 1).decode(): value(one(e, 2, 2).decode()) for e in all_of(data, number)}


@row
def openapi_v2_as_protobuf(f):
    """Field numbers are gnostic's openapi.v2.Document."""
    r = f.api.get("/openapi/v2", Accept=PROTO)
    assert r.status == 200 and "@" not in r.headers["Content-Type"], r.headers
    json_doc = f.api.get("/openapi/v2").ok()
    assert one(r.raw, 1) == b"2.0"
    definitions = {one(d, 1).decode(): one(d, 2) for d in all_of(one(r.raw, 9), 1)}
    assert set(definitions) == set(json_doc["definitions"])
    for name, d in definitions.items():
        want = json_doc["definitions"][name]
        have = {one(p, 1).decode() for props in all_of(d, 25) for p in all_of(props, 1)}
        assert have == set(want.get("properties", {})), name
        assert [x.decode() for x in all_of(d, 19)] == want.get("required", []), name
        said = extensions(d, 31)
        assert set(said) == {k for k in want if k.startswith("x-")}, name
        assert all(v == want[k] for k, v in said.items() if v is not None), (name, said)
        assert not f.standalone or None not in said.values(), (name, said)
    widget = definitions[".".join(reversed(f.group.split("."))) + ".v1.Widget"]
    spec = [one(p, 2) for p in all_of(one(widget, 25), 1) if one(p, 1) == b"spec"][0]
    size = [one(p, 2) for p in all_of(one(spec, 25), 1) if one(p, 1) == b"size"][0]
    assert one(size, 22, 1) == b"integer" and len(one(size, 7)) == 8  # a type, a maximum
    paths = {one(p, 1).decode(): one(p, 2) for p in all_of(one(r.raw, 8), 2)}
    assert set(paths) == set(json_doc["paths"])
    patch = one(paths["/api/v1/namespaces/{namespace}/configmaps/{name}"], 8)
    assert b"dryRun" in b"".join(all_of(patch, 8)) and "x-kubernetes-group-version-kind" in extensions(patch, 13)


@row
def openapi_is_cached_until_definitions_change(f):
    for path, accept in (("/openapi/v2", "application/json"), ("/openapi/v2", PROTO)):
        r = f.api.get(path, Accept=accept)
        again = f.api.get(path, Accept=accept, If_None_Match=r.headers["ETag"])
        assert again.status == 304 and not again.raw
    tags = {f.api.get("/openapi/v2", Accept=a).headers["ETag"] for a in ("application/json", PROTO)}
    group = rand() + ".example.com"
    f.api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", f.crd(group=group)).ok(201)
    eventually(lambda: f.api.get("/apis/%s/v1" % group).status == 200)
    for a in ("application/json", PROTO):
        assert f.api.get("/openapi/v2", Accept=a).headers["ETag"] not in tags
    url = f.api.get("/openapi/v3").ok()["paths"]["apis/%s/v1" % group]["serverRelativeURL"]
    assert f.api.get(url).ok()
    moved = f.api.get(url.split("?")[0] + "?hash=stale")
    assert moved.status == 301 and moved.headers["Location"] == url
    f.api.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets." + group).ok()
    eventually(lambda: "apis/%s/v1" % group not in f.api.get("/openapi/v3").ok()["paths"])
    assert f.api.get("/openapi/v3/apis/nosuch.example/v1").status == 404


@row
def crd_as_protobuf(f):
    """What a Go program with a typed client for definitions sends."""
    def field(number, data):
        data = data.encode() if isinstance(data, str) else data
        if isinstance(data, int):
            return bytes([number << 3 & 127 | (128 if number > 15 else 0)] + ([number >> 4] if number > 15 else []) + [data])
        head = number << 3 | 2
        out, n = bytes([head] if head < 128 else [head & 127 | 128, head >> 7]), len(data)
        while n > 127:
            out += bytes([n & 127 | 128])
            n >>= 7
        return out + bytes([n]) + data

    group = rand() + ".example.com"
    leaf = field(5, "string") + field(20, field(1, '"a"')) + field(20, field(1, '"b"')) + field(8, field(1, '"a"'))
    numbers = field(5, "array") + field(24, field(1, field(5, "integer") + field(12, 3)))
    table = field(5, "object") + field(30, field(2, field(5, "string")))
    spec = field(5, "object") + b"".join(field(29, field(1, k) + field(2, v)) for k, v in (
        ("mode", leaf), ("numbers", numbers), ("table", table)))
    root = field(5, "object") + field(29, field(1, "spec") + field(2, spec))
    version = field(1, "v1") + field(2, 1) + field(3, 1) + field(4, field(1, root)) + field(5, field(1, b""))
    names = field(1, "things") + field(4, "Thing")
    crd = field(1, field(1, "things." + group)) + field(2, field(1, group) + field(3, names) + field(4, "Namespaced") +
                                                       field(7, version))
    body = b"k8s\0" + field(1, field(1, "apiextensions.k8s.io/v1") + field(2, "CustomResourceDefinition")) + field(2, crd)
    head = {"Content-Type": "application/vnd.kubernetes.protobuf"}
    o = f.api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body, head).ok(201)
    got = o["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert got == {"mode": {"type": "string", "enum": ["a", "b"], "default": "a"},
                   "numbers": {"type": "array", "items": {"type": "integer", "exclusiveMinimum": True}},
                   "table": {"type": "object", "additionalProperties": {"type": "string"}}}, got
    assert o["spec"]["versions"][0]["subresources"] == {"status": {}}
    f.api.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things." + group).ok()
