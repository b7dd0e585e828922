# SPDX-License-Identifier: Apache-2.0
"""Rows about rules in definitions (x-kubernetes-validations): what is refused with the definition, what with an object,
and in which words.  They hold against a real kube-apiserver too."""
import json
import os

from apilib import eventually, rand, row

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

SPEC = {
    "type": "object",
    "x-kubernetes-validations": [
        {"rule": "!has(self.size) || self.size <= 50 || (has(self.mode) && self.mode == 'b')",
         "message": "a large one needs mode b"},
        {"rule": "!has(oldSelf.mode) || (has(self.mode) && (self.mode == oldSelf.mode || oldSelf.mode == 'a'))",
         "messageExpression": "'mode was ' + oldSelf.mode", "fieldPath": ".mode", "reason": "FieldValueForbidden"},
        {"rule": "!has(self.divisor) || 10 / self.divisor > 0"},
        {"rule": "!has(self.any) || self.any > 3"},
    ],
    "properties": {
        "size": {"type": "integer", "maximum": 1000},
        "mode": {"type": "string", "maxLength": 5},
        "divisor": {"type": "integer"},
        "any": {"x-kubernetes-int-or-string": True},
        "once": {"type": "string", "x-kubernetes-validations": [
            {"rule": "!oldSelf.hasValue()", "optionalOldSelf": True, "message": "only by a create"}]},
        "fixed": {"type": "string", "maxLength": 20, "x-kubernetes-validations": [
            {"rule": "self == oldSelf", "message": "fixed"}]},
        "even": {"type": "integer", "x-kubernetes-validations": [{"rule": "self % 2 == 0", "reason": "FieldValueRequired"}]},
        "ports": {
            "type": "array", "maxItems": 10,
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {
                "type": "object", "required": ["name"],
                "properties": {"name": {"type": "string", "maxLength": 20}, "port": {"type": "integer"}},
                "x-kubernetes-validations": [{"rule": "self.port >= oldSelf.port", "message": "ports only grow"}],
            },
        },
        "sizes": {"type": "object", "maxProperties": 10, "additionalProperties": {
            "type": "integer", "x-kubernetes-validations": [{"rule": "self > 0", "message": "positive"}]}},
    },
}


def definition(f, spec, plural=None):
    plural = plural or "r" + rand()
    schema = {"type": "object", "properties": {"spec": spec}}
    return f.crd(plural, "R" + plural, schema={"openAPIV3Schema": schema}, selectableFields=[])


def serve(f, spec):
    d = definition(f, spec)
    f.api.post(CRDS, d).ok(201)
    path = "%s/namespaces/%s/%s" % (f.gv, f.ns, d["spec"]["names"]["plural"])
    eventually(lambda: f.api.get(path).status == 200, what="the CRD is not served")
    return path, d["spec"]["names"]["kind"]


RULED = {}


def ruled(f):
    """The collection of the definition above and its kind, made when first needed."""
    if f.group not in RULED:
        RULED[f.group] = serve(f, SPEC)
    return RULED[f.group]


def thing(f, spec, name=None):
    return {"apiVersion": f.group + "/v1", "kind": ruled(f)[1], "metadata": {"name": name or "r-" + rand()}, "spec": spec}


def create(f, spec):
    return f.api.post(ruled(f)[0], thing(f, spec))


def merge(f, o, spec):
    return f.api.patch(ruled(f)[0] + "/" + o["metadata"]["name"], {"spec": spec}, "merge-patch")


def causes(answer):
    assert answer.status == 422, answer.raw[:600]
    return [(c["field"], c["reason"], c["message"]) for c in answer.json["details"]["causes"]]


@row
def row_109(f):
    assert causes(create(f, {"size": 60, "mode": "a"})) == [
        ("spec", "FieldValueInvalid", 'Invalid value: "object": a large one needs mode b')]
    create(f, {"size": 60, "mode": "b"}).ok(201)


@row
def row_110(f):
    o = create(f, {"mode": "b"}).ok(201)
    assert causes(merge(f, o, {"mode": "a"})) == [("spec.mode", "FieldValueForbidden", "Forbidden: mode was b")]
    merge(f, create(f, {"mode": "a"}).ok(201), {"mode": "b"}).ok()


@row
def row_114(f):
    def refused(spec, field, reason="FieldValueInvalid"):
        found = causes(f.api.post(CRDS, definition(f, spec)))
        at = "spec.validation.openAPIV3Schema.properties[spec]"
        assert (at + field, reason) in [c[:2] for c in found], found
        return found

    def with_rule(rule, **more):
        return {"type": "object", "x-kubernetes-validations": [{"rule": "true"}, {"rule": rule, **more}],
                "properties": {"a": {"type": "string", "maxLength": 10}, "n": {"type": "integer"}}}

    at = ".x-kubernetes-validations[1]"
    for bad in ("self.nope", "self.a +", "self.n == 'x'", "size(self.a, 1)", "self.a.matches('(')", "foo()",
                "self.a.matches('(?=x)')"):
        assert "compilation failed" in refused(with_rule(bad), at + ".rule")[0][2], bad
    assert "cel expression must evaluate to a bool" in refused(with_rule("1"), at + ".rule")[0][2]
    refused(with_rule("int('x') == 1"), at + ".rule")
    refused(with_rule(""), at + ".rule", "FieldValueRequired")
    refused(with_rule("true", messageExpression="1"), at + ".messageExpression")
    refused(with_rule("true", messageExpression="self.x"), at + ".messageExpression")
    refused(with_rule("true", message="a\nb"), at + ".message")
    refused(with_rule("true", message=" "), at + ".message")
    refused(with_rule("true ||\ntrue"), at + ".message", "FieldValueRequired")
    refused(with_rule("true", reason="Nope"), at + ".reason", "FieldValueNotSupported")
    refused(with_rule("true", fieldPath=".nope"), at + ".fieldPath")
    refused(with_rule("true", fieldPath="a"), at + ".fieldPath")
    refused(with_rule("true", optionalOldSelf=True), at + ".optionalOldSelf")
    refused({"type": "string", "default": "x", "x-kubernetes-validations": [{"rule": "self == 'y'"}]}, ".default")


@row
def old_values_need_a_way_to_find_them(f):
    def refused(spec, field):
        found = causes(f.api.post(CRDS, definition(f, spec)))
        assert found[0][0].endswith(field) and "uncorrelatable" in found[0][2], found

    rule = {"type": "integer", "x-kubernetes-validations": [{"rule": "self >= oldSelf"}]}
    for kind in ({}, {"x-kubernetes-list-type": "atomic"}, {"x-kubernetes-list-type": "set"}):
        refused({"type": "array", "maxItems": 5, "items": rule, **kind}, ".items.x-kubernetes-validations[0].rule")


@row
def a_rule_that_fails_says_why(f):
    assert causes(create(f, {"divisor": 0})) == [
        ("spec", "FieldValueInvalid",
         'Invalid value: "object": division by zero evaluating rule: !has(self.divisor) || 10 / self.divisor > 0')]
    assert causes(create(f, {"divisor": 11})) == [
        ("spec", "FieldValueInvalid",
         'Invalid value: "object": failed rule: !has(self.divisor) || 10 / self.divisor > 0')]
    assert causes(create(f, {"any": "x"})) == [
        ("spec", "FieldValueInvalid",
         "Invalid value: \"object\": 'no such overload': call arguments did not match a supported operator, function or "
         "macro signature for rule: !has(self.any) || self.any > 3")]
    assert causes(create(f, {"even": 3})) == [
        ("spec.even", "FieldValueRequired", "Required value: failed rule: self % 2 == 0")]
    assert causes(create(f, {"sizes": {"a": 1, "b": 0}})) == [
        ("spec.sizes[b]", "FieldValueInvalid", 'Invalid value: "integer": positive')]


@row
def rules_wait_for_a_valid_object(f):
    found = causes(create(f, {"size": 60, "mode": "toolong"}))
    assert [c[1] for c in found] == ["FieldValueTooLong", "FieldValueInvalid"], found
    assert "some validation rules were not checked because the object was invalid" in found[1][2], found


@row
def transitions_by_key(f):
    o = create(f, {"ports": [{"name": "a", "port": 1}, {"name": "b", "port": 5}], "fixed": "x"}).ok(201)
    # In another order and with a new one.
    o = merge(f, o, {"ports": [{"name": "c", "port": 0}, {"name": "b", "port": 5}, {"name": "a", "port": 2}]}).ok()
    assert causes(merge(f, o, {"ports": [{"name": "b", "port": 4}, {"name": "a", "port": 2}]})) == [
        ("spec.ports[0]", "FieldValueInvalid", 'Invalid value: "object": ports only grow')]
    assert causes(merge(f, o, {"fixed": "y"})) == [("spec.fixed", "FieldValueInvalid", 'Invalid value: "string": fixed')]
    # What is not there any more, or was not, is no transition.
    merge(f, merge(f, o, {"fixed": None}).ok(), {"fixed": "z"}).ok()


@row
def members_of_maps_are_found_by_key(f):
    grow = {"type": "integer", "x-kubernetes-validations": [{"rule": "self >= oldSelf", "message": "grow"}]}
    path, kind = serve(f, {"type": "object", "properties": {
        "one": {"type": "object", "maxProperties": 5, "x-kubernetes-map-type": "atomic", "additionalProperties": grow},
        "each": {"type": "object", "maxProperties": 5, "additionalProperties": grow}}})
    o = f.api.post(path, {"apiVersion": f.group + "/v1", "kind": kind, "metadata": {"name": "r-" + rand()},
                          "spec": {"one": {"a": 2}, "each": {"a": 2}}}).ok(201)
    at = path + "/" + o["metadata"]["name"]
    for key in ("one", "each"):
        assert causes(f.api.patch(at, {"spec": {key: {"a": 1}}}, "merge-patch")) == [
            ("spec.%s[a]" % key, "FieldValueInvalid", 'Invalid value: "integer": grow')]


@row
def optional_old_self(f):
    o = create(f, {"once": "x"}).ok(201)
    assert causes(merge(f, o, {"size": 1})) == [
        ("spec.once", "FieldValueInvalid", 'Invalid value: "string": only by a create')]


@row
def what_did_not_change_may_stay(f):
    path, kind = serve(f, {"type": "object", "properties": {
        "a": {"type": "integer"}, "b": {"type": "integer"}}})
    crd = CRDS + "/" + path.rsplit("/", 1)[1] + "." + f.group
    name = "r-" + rand()
    f.api.post(path, {"apiVersion": f.group + "/v1", "kind": kind, "metadata": {"name": name},
                      "spec": {"a": 1, "b": 1}}).ok(201)
    even = {"type": "integer", "x-kubernetes-validations": [{"rule": "self % 2 == 0", "message": "even"}]}
    d = f.api.get(crd).ok()
    d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"] = {"a": even, "b": even}
    f.api.put(crd, d).ok()

    def patch(spec):
        return f.api.patch(path + "/" + name, {"spec": spec}, "merge-patch")

    # Until the new schema is in use; each time another value.
    odd = iter(range(3, 10001, 2))
    eventually(lambda: patch({"b": next(odd)}).status == 422, what="the rule is not in use")
    patch({"b": 2}).ok()
    assert causes(patch({"a": 3})) == [("spec.a", "FieldValueInvalid", 'Invalid value: "integer": even')]


@row
def a_budget_ends_what_costs_too_much(f):
    deep = "self.l.all(a, self.l.all(b, self.l.all(c, self.l.all(d, a + b + c + d > 0))))"
    spec = {"type": "object", "properties": {"l": {"type": "array", "maxItems": 20, "items": {"type": "integer"}}},
            "x-kubernetes-validations": [{"rule": deep}]}
    path, kind = serve(f, spec)
    found = causes(f.api.post(path, {"apiVersion": f.group + "/v1", "kind": kind, "metadata": {"name": "r-" + rand()},
                                     "spec": {"l": list(range(1, 21))}}))
    assert len(found) == 1 and "call cost exceeds limit for rule: " + deep in found[0][2], found


TOO_DEAR = "Forbidden: estimated rule cost exceeds budget by factor of "
ADVICE = " (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"


@row
def what_could_cost_too_much_is_refused(f):
    def answer(spec, n=1):
        d = definition(f, {"type": "object", "properties": {"p%d" % i: spec for i in range(n)}})
        return f.api.post(CRDS + "?dryRun=All", d)

    def texts(rule, **limits):
        return {"type": "array", "items": {"type": "string"}, "x-kubernetes-validations": [{"rule": rule}], **limits}

    once, twice = "self.all(a, a.contains('x'))", "self.all(a, self.all(b, a == b))"
    for spec, factor in ((texts(once), "more than 100x"), (texts(twice, maxItems=1000), "more than 100x"),
                         ({"type": "array", "items": {"type": "integer"}, "x-kubernetes-validations": [{"rule": twice}],
                           "maxItems": 1500}, "1.125750x")):
        found = causes(answer(spec))
        assert found[0][0].endswith("properties[p0].x-kubernetes-validations[0].rule"), found
        assert found[0][1:] == ("FieldValueForbidden", TOO_DEAR + factor + ADVICE), found
    answer({"type": "array", "items": {"type": "integer"}, "x-kubernetes-validations": [{"rule": twice}],
            "maxItems": 1000}).ok(201)
    # Each is fine, all together are not.
    each = {"type": "array", "items": {"type": "integer"}, "x-kubernetes-validations": [{"rule": twice}], "maxItems": 1100}
    answer(each).ok(201)
    found = causes(answer(each, 20))
    assert sum(c[2].startswith("Forbidden: contributed to estimated rule cost total") for c in found) == 4, found
    assert found[-1][0].endswith("openAPIV3Schema") and found[-1][2].startswith(
        "Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of "), found
    # A message counts too, and what lists and maps around a rule multiply.
    found = causes(answer({"type": "array", "items": {"type": "string"}, "maxItems": 2000, "x-kubernetes-validations": [
        {"rule": "true", "messageExpression": "self.map(a, a + 'x').join(',')"}]}))
    assert found[0][0].endswith(".messageExpression") and "estimated messageExpression cost" in found[0][2], found
    inner = {"type": "string", "maxLength": 1000, "x-kubernetes-validations": [{"rule": "self.matches('^[a-z]{1,10}$')"}]}
    answer({"type": "array", "maxItems": 100, "items": inner}).ok(201)
    causes(answer({"type": "array", "items": inner}))
    causes(answer({"type": "object", "additionalProperties": {"type": "array", "maxItems": 100, "items": inner}}))


@row
def new_rules_use_what_the_release_before_has_too(f):
    def answer(rule):
        spec = {"type": "array", "maxItems": 9, "items": {"type": "integer"}, "x-kubernetes-validations": [{"rule": rule}]}
        return f.api.post(CRDS + "?dryRun=All", definition(f, spec))
    for rule in ("self.sort() == self", "self.sortBy(x, x) == self", "lists.range(3) == self", "self.slice(0, 1) == self",
                 "[self].flatten() == self", "self.reverse() == self", "self.distinct() == self"):
        assert "undeclared reference" in causes(answer(rule))[0][2], rule
    for rule in ("self.first() == self.last()", "[self.first()].unwrapOpt() == self", "semver('1.0.0').major() == self[0]"):
        answer(rule).ok(201)


@row
def an_object_inside_is_one(f):
    resource = {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"spec": {"type": "object"}}}
    path, kind = serve(f, {"type": "object", "properties": {
        "one": resource, "many": {"type": "array", "items": resource}, "named": {"type": "object", "additionalProperties": resource}}})

    def post(spec):
        return f.api.post(path + "?dryRun=All", {"apiVersion": f.group + "/v1", "kind": kind, "metadata": {"name": "r-" + rand()},
                                                 "spec": spec})

    def inside(**more):
        return {"apiVersion": "v1", "kind": "Thing", **more}

    for metadata, fields in (
            ({"name": "a/b"}, ["name"]), ({"generateName": "%"}, ["generateName"]), ({"namespace": "A.b"}, ["namespace"]),
            ({"labels": {"a b": "x", "c": "d e"}}, ["labels", "labels"]), ({"annotations": {"-": ""}}, ["annotations"]),
            ({"finalizers": ["a b"]}, ["finalizers"]), ({"generation": -1}, ["generation"]),
            ({"ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "n"}]}, ["ownerReferences.uid"])):
        for spec, at in (({"one": inside(metadata=metadata)}, "spec.one"), ({"many": [inside(), inside(metadata=metadata)]}, "spec.many[1]"),
                         ({"named": {"k": inside(metadata=metadata)}}, "spec.named[k]")):
            found = causes(post(spec))
            assert [c[:2] for c in found] == [(at + ".metadata." + x, "FieldValueInvalid") for x in fields], found
    for more, field, reason in (({"apiVersion": "a/b/c"}, "apiVersion", "FieldValueInvalid"), ({"kind": "Th_ing"}, "kind", "FieldValueInvalid"),
                                ({"kind": ""}, "kind", "FieldValueInvalid")):
        assert causes(post({"one": inside(**more)}))[0][:2] == ("spec.one." + field, reason), more
    assert [c[:2] for c in causes(post({"one": {}}))] == [("spec.one." + x, "FieldValueRequired") for x in ("apiVersion", "kind")]
    for more in ({"metadata": "x"}, {"metadata": {"labels": {"a": 1}}}, {"apiVersion": 1}, {"metadata": {"creationTimestamp": "now"}}):
        post({"one": inside(**more)}).fails(400, "BadRequest")
    o = post({"one": inside(metadata={"name": "A_b c", "namespace": "a", "labels": {"a/b": "C_d"}, "annotations": {"A.B/c": "any thing"}})})
    assert o.ok(201)["spec"]["one"]["metadata"]["name"] == "A_b c"


@row
def what_becomes_one_value_is_owned_as_one(f):
    """Of lists and maps: who owned parts owns the whole when the definition stops to tell them apart."""
    texts = {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}
    path, kind = serve(f, {"type": "object", "properties": {"l": texts, "m": {"type": "object", "additionalProperties": {"type": "string"}}}})
    at = path + "/r-" + rand()

    def apply(manager, spec, query=""):
        body = {"apiVersion": f.group + "/v1", "kind": kind, "metadata": {"name": at.rsplit("/", 1)[1]}, "spec": spec}
        return f.api.do("PATCH", at + "?fieldManager=" + manager + query, body, {"Content-Type": "application/apply-patch+yaml"})

    def owners(o):
        return {e["manager"]: e["fieldsV1"]["f:spec"] for e in o["metadata"]["managedFields"] if "f:spec" in e["fieldsV1"]}

    apply("a", {"l": ["x"], "m": {"k": "1"}}).ok(201)
    before = owners(apply("b", {"l": ["y"], "m": {"j": "2"}}).ok())
    assert before == {"a": {"f:l": {"v:\"x\"": {}}, "f:m": {"f:k": {}}}, "b": {"f:l": {"v:\"y\"": {}}, "f:m": {"f:j": {}}}}, before
    crd = CRDS + "/" + path.rsplit("/", 1)[1] + "." + f.group

    def make(list_type, map_type):
        d = f.api.get(crd).ok()
        p = d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        p["l"]["x-kubernetes-list-type"], p["m"]["x-kubernetes-map-type"] = list_type, map_type
        f.api.put(crd, d).ok()
    make("atomic", "atomic")
    # Until the new schema is in use.
    eventually(lambda: "v:" not in str(owners(apply("c", {"l": ["z"]}, "&dryRun=All&force=true").ok())), what="the lists are still told apart")
    found = owners(f.api.patch(at, {"metadata": {"labels": {"a": "b"}}}, "merge-patch").ok())
    assert found == {"a": {"f:l": {}, "f:m": {}}, "b": {"f:l": {}, "f:m": {}}}, found
    # And what was owned as one stays so.
    make("set", "granular")
    eventually(lambda: apply("c", {"l": ["z"]}, "&dryRun=All").status == 200, what="the lists are not told apart")
    assert apply("a", {"l": ["x"], "m": {"k": "1"}}, "&dryRun=All").ok()["spec"]["l"] == ["x", "y"]


@row
def a_rule_points_at_a_key(f):
    keys = {"type": "object", "maxProperties": 9, "additionalProperties": {"type": "integer"}}
    path, kind = serve(f, {
        "type": "object", "x-kubernetes-validations": [{"rule": "!has(self.m) || !('a' in self.m)", "fieldPath": ".m['a']", "message": "no a"}],
        "properties": {"m": {**keys, "x-kubernetes-validations": [{"rule": "!('b' in self)", "fieldPath": "['b']", "message": "no b"}]}}})
    for key, field in (("a", "spec.m[a]"), ("b", "spec.m.[b]")):
        found = causes(f.api.post(path, {"apiVersion": f.group + "/v1", "kind": kind, "metadata": {"name": "r-" + rand()}, "spec": {"m": {key: 1}}}))
        assert found == [(field, "FieldValueInvalid", 'Invalid value: "object": no ' + key)], found


# ---- our own definitions

HTTPS = "https://h/r"

A, B, C, D = ("https://h/" + x for x in "abcd")

# Of a session: what is refused, the field, the sentence.
SESSIONS = [
    ({"prompt": "a", "initialPrompt": "b"}, "initialPrompt", "differs from its alias prompt; set one of the two"),
    ({"prompt": "p", "model": "a", "llmSettings": {"model": "b"}}, "llmSettings.model", "differs from its alias model; set one of the two"),
    ({"prompt": "p", "input": {"repo": A}, "inputRepo": B}, "inputRepo", "differs from its alias input.repo; set one of the two"),
    ({"prompt": "p", "input": {"repo": A, "branch": "a"}, "inputBranch": "b"}, "inputBranch", "differs from its alias input.branch; set one of the two"),
    ({"prompt": "p", "inputRepo": C, "output": {"repo": A}, "outputRepo": B}, "outputRepo", "differs from its alias output.repo; set one of the two"),
    ({"prompt": "p", "inputRepo": C, "output": {"branch": "a"}, "outputBranch": "b"}, "outputBranch",
     "differs from its alias output.branch; set one of the two"),
    *((spec, field, "has no effect without inputRepo, nor beside repos; write it into repos") for spec, field in (
        ({"prompt": "p", "inputBranch": "b"}, "inputBranch"), ({"prompt": "p", "input": {"branch": "b"}}, "input.branch"),
        ({"prompt": "p", "outputRepo": A}, "outputRepo"), ({"prompt": "p", "outputBranch": "b"}, "outputBranch"),
        ({"prompt": "p", "output": {"repo": A}}, "output.repo"), ({"prompt": "p", "output": {"branch": "b"}, "inputRepo": ""}, "output.branch"),
        ({"prompt": "p", "inputRepo": A, "outputRepo": B, "repos": [{"input": {"url": A}}]}, "outputRepo"),
        ({"prompt": "p", "outputRepo": B, "gitConfig": {"repositories": [{"url": A}]}}, "outputRepo"))),
    ({"repos": [{"url": A}], "inputRepo": B}, "repos", "differs from the single repository in inputRepo; set one of the two"),
    ({"prompt": "p", "repos": [{"input": {"url": A}}], "input": {"repo": B}}, "repos",
     "differs from the single repository in input.repo; set one of the two"),
    ({"repos": [{"url": A, "input": {"url": B}}]}, "repos[0].url", "differs from its alias input.url; set one of the two"),
    ({"repos": [{"url": A}, {"branch": "a", "input": {"url": B, "branch": "b"}}]}, "repos[1].branch",
     "differs from its alias input.branch; set one of the two"),
    ({"repos": [{"url": A, "output": {"url": A, "forkRepo": B}}]}, "repos[0].output.url",
     "differs from its alias output.forkRepo; set one of the two"),
    ({"repos": [{"url": A, "output": {"branch": "a", "targetBranch": "b"}}]}, "repos[0].output.branch",
     "differs from its alias output.targetBranch; set one of the two"),
    ({"repos": [{"url": A, "output": {"createPR": True, "createPullRequest": False}}]}, "repos[0].output.createPullRequest",
     "differs from its alias output.createPR; set one of the two"),
    ({"repos": [{"url": A, "name": "x"}, {"url": B, "name": "x"}]}, "repos", "two repositories have the same name"),
    ({"repos": [{"url": A}], "mainRepoIndex": 1}, "mainRepoIndex", "1 is not the index of a repository; the first has 0"),
    ({"prompt": "p", "inputRepo": A, "mainRepoIndex": 1}, "mainRepoIndex", "1 is not the index of a repository; the first has 0"),
    ({"prompt": "p", "gitConfig": {"repositories": [{"url": A}, {"url": B}]}, "mainRepoIndex": 2}, "mainRepoIndex",
     "2 is not the index of a repository; the first has 0"),
    ({"prompt": "p", "environmentVariables": {"A": "x", "a b": "x"}}, "environmentVariables",
     '"a b": the name of a variable is made of letters, digits and underscores and does not begin with a digit'),
    ({"prompt": "p", "environmentVariables": {"A": "x", "AMBIENT_X": "x"}}, "environmentVariables",
     '"AMBIENT_X": names that begin with AMBIENT_ are reserved'),
    ({"prompt": "p", "environmentVariables": {"PARENT_SESSION_ID": "../x"}}, "environmentVariables",
     'PARENT_SESSION_ID: "../x" is no name that a session can have; name the session to be continued, or leave it out'),
    ({"prompt": "p", "environmentVariables": {"PARENT_SESSION_ID": "Upper"}}, "environmentVariables",
     'PARENT_SESSION_ID: "Upper" is no name that a session can have; name the session to be continued, or leave it out'),
    ({}, "prompt", "without interactive: true, a session needs a prompt"),
    ({"prompt": "", "repos": [{"input": {"url": A}}]}, "prompt", "without interactive: true, a session needs a prompt"),
    ({"repos": [{"url": A}], "interactive": False}, "prompt", "without interactive: true, a session needs a prompt"),
    ({"repos": [{"url": A, "output": {"type": "fork"}}]}, "repos[0].output.type", "is fork, but output.forkRepo names no other repository; name the fork there"),
    ({"repos": [{"url": A, "output": {"type": "fork", "forkRepo": A}}]}, "repos[0].output.type",
     "is fork, but output.forkRepo names no other repository; name the fork there"),
    ({"repos": [{"url": A, "output": {"type": "direct", "url": B}}]}, "repos[0].output.type",
     "is direct, but output.forkRepo names another repository; leave one of the two out"),
    ({"repos": [{"url": A}, {"url": B, "output": {"ensureBranch": True}}]}, "repos[1].output.ensureBranch",
     "needs output.targetBranch, the branch that is meant"),
    ({"repos": [{"url": A, "output": {"continueBranch": True, "targetBranch": ""}}]}, "repos[0].output.continueBranch",
     "needs output.targetBranch, the branch that is meant"),
    ({"repos": [{"url": A, "name": "artifacts"}]}, "repos[0].name", '"artifacts" is a directory of the workspace already; choose another one'),
    ({"repos": [{"url": A, "name": "removed"}]}, "repos[0].name", '"removed" is a directory of the workspace already; choose another one'),
    ({"prompt": "p", "gitConfig": {"repositories": [{"url": A, "clonePath": "workflows"}]}}, "gitConfig.repositories[0].clonePath",
     '"workflows" is a directory of the workspace already; choose another one'),
    *(({"prompt": "p", "resourceOverrides": {"cpu": c}}, "resourceOverrides.cpu", "must be more than zero") for c in ("0", "0.0", "0m")),
    *(({"prompt": "p", "resourceOverrides": {"memory": m}}, "resourceOverrides.memory",
       "is less than a megabyte; a number without a unit is bytes, 512Mi are 512 megabytes") for m in ("0", "1", "512", "0Gi", "999999.5", "999k", "8Ki")),
    *(({"prompt": "p", "resourceOverrides": {"cpu": c}}, "resourceOverrides.cpu", "is more than any node has")
      for c in ("1000000", "99999999999999999999", "1000000000m")),
    *(({"prompt": "p", "resourceOverrides": {"memory": m}}, "resourceOverrides.memory", "is more than any node has")
      for m in ("16Ei", "1P", "0.1Pi", "1000Ti", "1000000Gi", "1000000000M", "1000000000000Ki", "1000000000000000")),
    ({"repos": [{"url": A}], "gitConfig": {"repositories": [{"url": B}]}}, "gitConfig.repositories",
     "is another list of repositories; set one of the two"),
    ({"prompt": "p", "inputRepo": A, "gitConfig": {"repositories": [{"url": B}]}}, "gitConfig.repositories",
     "is another list of repositories; set one of the two"),
]
SESSIONS_TAKEN = [
    {"prompt": "a", "initialPrompt": "a"}, {"prompt": "", "initialPrompt": "a"}, {"prompt": "x" * 300000, "initialPrompt": "x" * 300000},
    {"prompt": "p", "model": "a", "llmSettings": {"model": "a"}}, {"prompt": "p", "llmSettings": {"temperature": 1}, "model": "a"},
    {"input": {"repo": HTTPS}, "inputRepo": HTTPS, "repos": [{"url": HTTPS}]}, {"prompt": "p", "repos": [], "inputRepo": HTTPS},
    {"repos": [{"url": A, "input": {"url": A}, "output": {"createPR": True, "createPullRequest": True, "forkRepo": A}}]},
    {"repos": [{"url": A, "name": "x"}, {"url": B, "name": "y"}, {"url": C}, {"url": D}], "mainRepoIndex": 3},
    {"prompt": "p", "environmentVariables": {"A": "1", "_b2": "2", "AMBIENT": "3", "PARENT_SESSION_ID": "a.b-1"}},
    {"prompt": "p", "environmentVariables": {"PARENT_SESSION_ID": ""}}, {"interactive": True}, {"initialPrompt": ""}, {"repos": [{"url": A}]},
    # The project's repositories, which the definition does not see, may have that index.
    {"prompt": "p", "mainRepoIndex": 1}, {"prompt": "p", "repos": [], "mainRepoIndex": 3},
    {"prompt": "p", "gitConfig": {"repositories": [{"url": A}, {"url": B}]}, "mainRepoIndex": 1},
    {"prompt": "p", "gitConfig": {"repositories": [], "user": {"name": "x"}}, "repos": [{"url": A}]},
    {"repos": [{"url": A, "output": {"type": "fork", "url": B}}, {"url": B, "output": {"type": "fork", "forkRepo": A}},
               {"url": C, "output": {"type": "direct"}}, {"url": D, "output": {"type": "direct", "forkRepo": D}}]},
    {"repos": [{"url": A, "output": {"ensureBranch": True, "branch": "b"}}, {"url": B, "output": {"continueBranch": True, "pushBranch": "b"}},
               {"url": C, "output": {"ensureBranch": False, "continueBranch": False}}]},
    {"repos": [{"url": A, "name": "Artifacts"}, {"url": B + "/artifacts"}]},
    {"prompt": "p", "inputRepo": A, "inputBranch": "a", "outputRepo": B, "outputBranch": "b", "repos": []},
    {"prompt": "p", "input": {"repo": A, "branch": "a"}, "output": {"repo": B, "branch": "b"}},
    {"prompt": "p", "input": {"repo": "", "branch": ""}, "output": {"repo": "", "branch": ""}, "inputBranch": "", "outputRepo": "", "repos": [{"input": {"url": A}}]},
    *({"prompt": "p", "resourceOverrides": {"memory": m}} for m in ("512Mi", "1Gi", "4000Gi", "999Ti", "0.5Ti", "1000000", "1000k", "0.5Gi", "1024Ki", "1.5M")),
    *({"prompt": "p", "resourceOverrides": {"cpu": c}} for c in ("1", "0.1", "100m", "10", "999999", "1000000m")),
]


def install(f, plural):
    """One of etc/crds, in the group of these rows."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "etc", "crds", plural + ".yaml")
    with open(path) as text:
        a = f.api.do("POST", CRDS, text.read().replace("vteam.ambient-code", f.group), {"Content-Type": "application/yaml"})
    assert a.status in (201, 409), a.raw[:600]  # 409: the row is tried again
    at = "/apis/%s/v1alpha1/namespaces/%s/%s" % (f.group, f.ns, plural)
    eventually(lambda: f.api.get(at).status == 200, what="%s is not served" % plural)
    return at


@row
def sessions_do_not_say_two_things(f):
    at = install(f, "agenticsessions")

    def post(spec):
        return f.api.post(at + "?dryRun=All", {"apiVersion": f.group + "/v1alpha1", "kind": "AgenticSession",
                                               "metadata": {"name": "s-" + rand()}, "spec": spec})
    for spec, field, sentence in SESSIONS:
        found = causes(post(spec))
        assert len(found) == 1 and found[0][0] == "spec." + field and found[0][2].endswith(": " + sentence), (spec, found)
    for spec in SESSIONS_TAKEN:
        post(spec).ok(201)
    # What was taken before these rules stays editable where it is not touched.
    crd = "%s/agenticsessions.%s" % (CRDS, f.group)
    d = f.api.get(crd).ok()
    schema = d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    rules = schema.pop("x-kubernetes-validations")
    f.api.put(crd, d).ok()
    eventually(lambda: post({"prompt": "a", "initialPrompt": "b"}).status == 201, what="the rules are still there")
    name = "s-" + rand()
    f.api.post(at, {"apiVersion": f.group + "/v1alpha1", "kind": "AgenticSession", "metadata": {"name": name},
                    "spec": {"prompt": "a", "initialPrompt": "b"}}).ok(201)
    d = f.api.get(crd).ok()
    d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"] = rules
    f.api.put(crd, d).ok()
    eventually(lambda: post({"prompt": "a", "initialPrompt": "b"}).status == 422, what="the rules are not there again")
    f.api.patch(at + "/" + name, {"metadata": {"labels": {"a": "b"}}}, "merge-patch").ok()
    f.api.patch(at + "/" + name + "/status", {"status": {"phase": "Failed"}}, "merge-patch").ok()
    causes(f.api.patch(at + "/" + name, {"spec": {"desiredState": "Stopped"}}, "merge-patch"))
    f.api.patch(at + "/" + name, {"spec": {"initialPrompt": None}}, "merge-patch").ok()


def git_words(kind):
    """(word, taken) of tests/lib/git_words.txt: what the runner and the reconciler are held to, too."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib/git_words.txt")) as lines:
        for line in lines:
            if line.startswith(kind + " "):
                _, sign, word = line.split(" ", 2)
                yield json.loads(word), sign == "+"


URL_FIELDS = ("repos[0].url", "repos[0].input.url", "repos[0].output.forkRepo", "repos[0].output.url", "inputRepo", "outputRepo",
              "input.repo", "output.repo", "activeWorkflow.gitUrl", "gitConfig.repositories[0].url")
BRANCH_FIELDS = ("repos[0].branch", "repos[0].input.branch", "repos[0].output.targetBranch", "repos[0].output.branch",
                 "repos[0].output.pushBranch", "inputBranch", "outputBranch", "input.branch", "output.branch", "activeWorkflow.branch",
                 "gitConfig.repositories[0].branch")


def with_field(field, value):
    """A spec with that field, and what belongs beside it."""
    spec = {"prompt": "p"}
    if field.startswith("repos[0]"):
        spec["repos"] = [{"url": A}]
    elif field.startswith("gitConfig"):
        spec["gitConfig"] = {"repositories": [{"url": A}]}
    elif field.startswith("activeWorkflow"):
        spec["activeWorkflow"] = {"gitUrl": A}
    elif field.startswith(("inputBranch", "input.branch", "output")):
        spec["inputRepo"] = A
    at = spec
    names = field.replace("[0]", "").split(".")
    for name in names[:-1]:
        at = at.setdefault(name, {"url": A} if name == "input" and "repos" in names else {})
        at = at[0] if isinstance(at, list) else at
    at[names[-1]] = value
    if field == "repos[0].input.url":
        del spec["repos"][0]["url"]
    return spec


@row
def addresses_and_branches_are_refused_at_apply(f):
    at = {plural: install(f, plural) for plural in ("agenticsessions", "projectsettings")}

    def post(plural, kind, name, spec):
        return f.api.post(at[plural] + "?dryRun=All", {"apiVersion": f.group + "/v1alpha1", "kind": kind, "metadata": {"name": name},
                                                       "spec": spec})

    def sessions(spec):
        return post("agenticsessions", "AgenticSession", "s-" + rand(), spec)

    def settings(spec):
        return post("projectsettings", "ProjectSettings", "projectsettings", spec)

    for kind, field, words in (("url", "repos[0].input.url", "must be an https, http or ssh URL, or user@host:path"),
                               ("branch", "repos[0].input.branch", "is no name that git takes for a branch")):
        for word, taken in git_words(kind):
            for a, name in ((sessions(with_field(field, word)), field),
                            (settings({"repositories": [{"url": A, kind: word}]}), "repositories[0]." + kind)):
                if taken:
                    assert a.status == 201, (word, a.raw[:600])
                    continue
                found = causes(a)
                assert len(found) == 1 and found[0][0] == "spec." + name and words in found[0][2], (word, found)
                assert "p@h" not in a.raw.decode(), a.raw
    for fields, good, bad in ((URL_FIELDS, HTTPS, "file:///etc"), (BRANCH_FIELDS, "b", "--upload-pack=x")):
        for field in fields:
            sessions(with_field(field, good)).ok(201)
            found = causes(sessions(with_field(field, bad)))
            assert [x[0] for x in found] == ["spec." + field], (field, found)
    for field in ("repos[0].input.authSecret", "anthropicApiKeySecret", "gitConfig.authentication.tokenSecret",
                  "gitConfig.authentication.sshKeySecret", "resourceOverrides.storageClass", "resourceOverrides.priorityClass"):
        for name in ("a", "a.b-c", "0", "x" * 253, ""):
            sessions(with_field(field, name)).ok(201)
        for name in ("../x", "A", "a/b", "-a", "a-", ".a", "a_b", "a\n", "a b"):
            found = causes(sessions(with_field(field, name)))
            assert [x[0] for x in found] == ["spec." + field] and "is no name that an object can have" in found[0][2], (name, found)
    for field in ("runnerSecretsName", "anthropicApiKeySecret", "gitCredentialsSecret"):
        settings({field: "a"}).ok(201)
        assert [x[0] for x in causes(settings({field: "../x"}))] == ["spec." + field], field
    for path, taken in (("", True), ("flows/review", True), ("a.git/x", True), ("..x", True), ("/etc", False), ("..", False), ("a/..", False),
                        ("a/../b", False), (".git", False), ("a/.GIT/hooks", False), ("a\nb", False)):
        a = sessions(with_field("activeWorkflow.path", path))
        assert a.status == 201 if taken else [x[0] for x in causes(a)] == ["spec.activeWorkflow.path"], (path, a.raw)
    for path, taken in (("there", True), ("", True), ("../x", False), (".git", False), ("a/b", False)):
        a = sessions(with_field("gitConfig.repositories[0].clonePath", path))
        assert a.status == 201 if taken else [x[0] for x in causes(a)] == ["spec.gitConfig.repositories[0].clonePath"], (path, a.raw)
    # An empty one is one that is not there.
    sessions({"repos": [{"url": A, "branch": "", "output": {"url": "", "branch": ""}}], "inputRepo": ""}).ok(201)


WORKFLOWS = [
    ({"request": "r", "steps": [{"agent": "a"}], "selectedAgents": ["b"]}, "selectedAgents",
     "has no effect beside steps, each of which names its agent; leave one of the two out"),
    ({"title": "t", "description": "d", "umbrellaRepo": {"url": A}, "selectedAgents": ["b"]}, "selectedAgents",
     "has no effect here; write the steps and their agents in steps"),
    ({"request": "r", "repos": [{"url": A, "name": "workflows"}]}, "repos[0].name",
     '"workflows" is a directory of the workspace already; choose another one'),
    ({"request": "r", "environmentVariables": {"A": "1", "AMBIENT_X": "1"}}, "environmentVariables",
     '"AMBIENT_X": names that begin with AMBIENT_ are reserved'),
    ({"request": "r", "steps": [{"agent": "a"}, {"agent": "b", "environmentVariables": {"a b": "1"}}]}, "steps[1].environmentVariables",
     '"a b": the name of a variable is made of letters, digits and underscores and does not begin with a digit'),
    ({"request": "r", "title": "t", "description": "d"}, "description", "differs from its alias request; set one of the two"),
    ({"title": "t", "description": "d", "umbrellaRepo": {"url": A}, "targetRepoBranch": "b"}, "targetRepoBranch",
     "has no effect without targetRepoUrl; set both or none"),
    ({"request": "r", "repos": [{"url": A, "input": {"url": B}}]}, "repos[0].url", "differs from its alias input.url; set one of the two"),
    ({"request": "r", "repos": [{"branch": "a", "input": {"url": B, "branch": "b"}}]}, "repos[0].branch",
     "differs from its alias input.branch; set one of the two"),
    ({"title": "t", "description": "d", "repositories": [{"url": A, "clonePath": "a/b"}]}, "repositories[0].clonePath",
     "must be one plain name; repositories lie side by side in the workspace"),
    ({"request": "r", "resourceOverrides": {"cpu": "0"}}, "resourceOverrides.cpu", "must be more than zero"),
    ({"request": "r", "resourceOverrides": {"memory": "512"}}, "resourceOverrides.memory",
     "is less than a megabyte; a number without a unit is bytes, 512Mi are 512 megabytes"),
]
WORKFLOWS_TAKEN = [
    {"request": "r", "selectedAgents": ["a", "b"]}, {"request": "r", "selectedAgents": [], "steps": [{"agent": "a"}]},
    {"title": "t", "description": "d", "targetRepoUrl": A, "selectedAgents": ["Team Lead"]},
    {"request": "r", "resourceOverrides": {"cpu": "500m", "memory": "1Gi"}, "environmentVariables": {"A": "1"}},
    {"request": "r", "title": "t", "description": "r", "repos": [{"url": A, "branch": "b", "input": {"url": A, "branch": "b"}}]},
    {"title": "t", "description": "d", "repositories": [{"url": A, "clonePath": "specs"}, {"url": B, "clonePath": ""}], "workspacePath": ""},
]


@row
def workflows_say_nothing_that_a_session_would_refuse(f):
    at = install(f, "rfeworkflows")

    def post(spec):
        return f.api.post(at + "?dryRun=All", {"apiVersion": f.group + "/v1alpha1", "kind": "RFEWorkflow", "metadata": {"name": "w-" + rand()},
                                               "spec": spec})
    for spec, field, sentence in WORKFLOWS:
        found = causes(post(spec))
        assert len(found) == 1 and found[0][0] == "spec." + field and found[0][2].endswith(": " + sentence), (spec, found)
    for spec in WORKFLOWS_TAKEN:
        post(spec).ok(201)


@row
def workflows_too_refuse_addresses_and_branches_at_apply(f):
    at = install(f, "rfeworkflows")

    def post(field, value):
        spec, names = {"request": "r", **({"targetRepoUrl": A} if field == "targetRepoBranch" else {})}, field.replace("[0]", "").split(".")
        inner = {} if len(names) == 1 else {"url": A}
        if len(names) == 3:
            inner = {"repo": inner} if names[0] == "documents" else {"input": {"url": A}, names[1]: {"url": A}}
        leaf = inner.get(names[1], inner) if len(names) == 3 else inner if len(names) == 2 else spec
        leaf[names[-1]] = value
        if len(names) > 1:
            spec[names[0]] = [inner] if "[0]" in field else {"repo": {"url": A}, **inner} if field == "documents.branch" else inner
        return f.api.post(at + "?dryRun=All", {"apiVersion": f.group + "/v1alpha1", "kind": "RFEWorkflow",
                                               "metadata": {"name": "w-" + rand()}, "spec": spec})

    for fields, good, bad in (
            (("repos[0].url", "repos[0].input.url", "repos[0].output.forkRepo", "repos[0].output.url", "documents.repo.url",
              "umbrellaRepo.url", "supportingRepos[0].url", "repositories[0].url", "targetRepoUrl"), HTTPS, "ext::sh -c id"),
            (("repos[0].branch", "repos[0].input.branch", "repos[0].output.targetBranch", "repos[0].output.branch", "documents.repo.branch",
              "documents.branch", "branchName", "umbrellaRepo.branch", "supportingRepos[0].branch", "repositories[0].branch",
              "targetRepoBranch"), "b", "--upload-pack=x"),
            (("repos[0].input.authSecret", "documents.repo.authSecret"), "a.b", "../x"),
            # Longer than what a session takes.
            (("branchName", "documents.branch"), "b" * 200, "b" * 201)):
        for field in fields:
            post(field, good).ok(201)
            found = causes(post(field, bad))
            assert found[0][0] == "spec." + field and (len(found) == 1 or "too long" in found[0][2].lower()), (field, found)
    for kind, field in (("url", "umbrellaRepo.url"), ("branch", "branchName")):
        for word, taken in git_words(kind):
            shared = kind == "branch" and word in ("main", "master", "develop")  # nobody's to work on
            assert (post(field, word).status == 201) == (taken and not shared), (word, taken)


@row
def settings_do_not_say_two_things(f):
    at = install(f, "projectsettings")

    def post(spec):
        return f.api.post(at + "?dryRun=All", {"apiVersion": f.group + "/v1alpha1", "kind": "ProjectSettings",
                                               "metadata": {"name": "projectsettings"}, "spec": spec})
    found = causes(post({"runnerSecretsName": "a", "anthropicApiKeySecret": "b"}))
    assert found[0][0] == "spec.anthropicApiKeySecret" and found[0][2].endswith("differs from its alias runnerSecretsName; set one of the two")
    for spec in ({"runnerSecretsName": "a", "anthropicApiKeySecret": "a"}, {"anthropicApiKeySecret": "b"}, {}):
        post(spec).ok(201)
