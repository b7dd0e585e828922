# SPDX-License-Identifier: Apache-2.0
"""Scenarios of crd.py about rules in definitions, and about what several versions share."""
import copy

from crd_side import array, column, fields, integer, scale, string, thing


def ruled(schema, *rules, **messages):
    return {**schema, "x-kubernetes-validations": [{"rule": r, **messages} for r in rules]}


TWICE, THRICE = "self.all(a, self.all(b, a == b))", "self.all(a, self.all(b, self.all(c, a + b == c)))"
ADDRESSED = thing({"a": string(maxLength=10), "b": {"type": "boolean"}, "at": string(format="date-time")}, required=["b", "at"])

# Rules that could cost too much, and rules that just could not.
COSTS = {
    "text": ruled(string(), "self.contains('x')"),
    "text twice": ruled(string(), "self.matches('^[a-z]*$') && self.matches('^[0-9a-zA-Z_.-]{1,100}$')"),
    "short text": ruled(string(maxLength=1000), "self.matches('^[a-z]*$')"),
    "texts": ruled(array(string()), "self.all(a, a.contains('x'))"),
    "short texts": ruled(array(string(maxLength=10)), "self.all(a, a.contains('x'))"),
    "few texts": ruled(array(string(), maxItems=10), "self.all(a, a.contains('x'))"),
    "integers": ruled(array(integer()), "self.all(a, a > 1)"),
    "integers twice": ruled(array(integer()), TWICE),
    "1000 integers twice": ruled(array(integer(), maxItems=1000), TWICE),
    "1414 integers twice": ruled(array(integer(), maxItems=1414), TWICE),
    "1415 integers twice": ruled(array(integer(), maxItems=1415), TWICE),
    "100 integers thrice": ruled(array(integer(), maxItems=100), THRICE),
    "200 integers thrice": ruled(array(integer(), maxItems=200), THRICE),
    "map": ruled(thing(additionalProperties=integer()), "self.all(k, self[k] > 1)"),
    "map of texts": ruled(thing(additionalProperties=string()), "self.all(k, self[k].contains('x'))"),
    "small map of texts": ruled(thing(additionalProperties=string(), maxProperties=5), "self.all(k, self[k].contains('x'))"),
    "inside a list": array(ruled(string(maxLength=20), "self.contains('x')")),
    "inside a list of objects": array(ruled(ADDRESSED, "self.a.contains('x')")),
    "inside two lists": array(array(ruled(string(maxLength=20), "self.contains('x')"))),
    "inside two short lists": array(array(ruled(string(maxLength=20), "self.contains('x')"), maxItems=10), maxItems=10),
    "inside a map of lists": thing(additionalProperties=array(ruled(ADDRESSED, TWICE.replace("self", "[self.b]")), maxItems=50)),
    "old value": ruled(array(integer()), "self == oldSelf"),
    "old texts": ruled(array(string()), "self == oldSelf"),
    "sets": ruled(array(string(), maxItems=3000), "sets.contains(self, oldSelf)"),
    "big sets": ruled(array(string(), maxItems=4000), "sets.contains(self, oldSelf)"),
    "quantity": ruled(string(), "quantity(self) == quantity('1')"),
    "another quantity": ruled(string(), "quantity(self) != quantity('1')"),
    "word of the language": ruled(thing({"namespace": string(maxLength=5)}), "self.namespace.contains('x')"),
    "escaped word": ruled(thing({"namespace": string(maxLength=5)}), "self.__namespace__.contains('x')"),
    "enum": ruled(array(string(enum=["a", "bb"])), "self.all(a, a.contains('x'))"),
    "int or string": ruled(array({"x-kubernetes-int-or-string": True}), "self.all(a, a == 1)"),
    "message": ruled(array(string(), maxItems=2000), "true", messageExpression="self.join(', ')"),
    "joined": ruled(array(string(), maxItems=200), "self.map(a, a + 'x').join(',') != ''"),
    "optional": ruled(thing({"a": string()}), "self.?a.optMap(v, v.matches('^[a-z]+$')).orValue(true)"),
    "sum": thing({"p%d" % i: ruled(array(integer(), maxItems=1300 + i), TWICE) for i in range(11)}),
    "bigger sum": thing({"p%d" % i: ruled(array(integer(), maxItems=1300 + i), TWICE) for i in range(13)}),
    "one of another sum": thing({"p%d" % i: ruled(array(integer(), maxItems=1000 + i), TWICE) for i in range(30)}),
    "sort": ruled(array(integer(), maxItems=5), "self.sort() == self"),
    "sort by": ruled(array(integer(), maxItems=5), "self.sortBy(x, x) == self"),
    "version": ruled(string(maxLength=50), "isSemver(self) && semver(self).major() > 1"),
    "first": ruled(array(integer(), maxItems=5), "self.first().orValue(1) == 1"),
}


def costs(side):
    """What rules are estimated to cost."""
    for i, (name, x) in enumerate(COSTS.items()):
        side.try_(side.crd("c%ds" % i, side.version(copy.deepcopy(x))), name)
    crd = side.crd("dears", side.version(ruled(array(integer(), maxItems=1000), TWICE)))
    if side.post(crd, "to be changed"):
        name = crd["metadata"]["name"]
        at = ("versions", 0, "schema", "openAPIV3Schema", "properties", "spec", "properties", "x")

        def more(n):
            def edit(o):
                x = o["spec"]
                for k in at:
                    x = x[k]
                x["maxItems"] = n
            return edit
        side.change(name, more(1200), "a little dearer")
        side.change(name, more(2000), "too dear")
        side.change(name, lambda o: o["spec"]["versions"].append(side.version(ruled(array(string()), TWICE), name="v2")), "a dear version")


def shared(side):
    """What all versions say alike is judged once, and named as the definition's own."""
    bad, other = ruled(string(), "self == 1"), ruled(string(), "self == 2")
    col, fine = column(type="object"), column()
    rows = {
        "one version": [side.version(bad, **col)],
        "two alike": [side.version(bad, **col), side.version(bad, name="v2", **col)],
        "two schemas": [side.version(bad, **col), side.version(other, name="v2", **col)],
        "two sets of columns": [side.version(bad, **col), side.version(bad, name="v2", **fine)],
        "columns in one": [side.version(**col), side.version(name="v2")],
        "columns in the second": [side.version(), side.version(name="v2", **col)],
        "no columns and none": [side.version(additionalPrinterColumns=[]), side.version(bad, name="v2")],
        "three, the last differs": [side.version(bad), side.version(bad, name="v2"), side.version(other, name="v3")],
        "scales alike": [side.version(**scale(specReplicasPath="x")), side.version(name="v2", **scale(specReplicasPath="x"))],
        "scales": [side.version(**scale(specReplicasPath="x")), side.version(name="v2", **scale(specReplicasPath="y"))],
        "fields alike": [side.version(**fields(".spec.y")), side.version(name="v2", **fields(".spec.y"))],
        "fields": [side.version(**fields(".spec.x")), side.version(name="v2", **fields(".status.n"))],
        "fields and none": [side.version(**fields(".spec.x")), side.version(name="v2")],
        "fields alike, two schemas": [side.version(**fields(".spec.x")), side.version(string(maxLength=5), name="v2", **fields(".spec.x"))],
        "fields, two schemas": [side.version(**fields(".spec.x")), side.version(string(maxLength=5), name="v2", **fields(".status.n"))],
        "a schema and none": [side.version(bad), side.version(name="v2", schema=None)],
        "no schemas": [side.version(schema=None), side.version(name="v2", schema=None)],
        "warnings": [side.version(deprecationWarning="x"), side.version(name="v2", deprecationWarning="x")],
        "in another order": [side.version(thing({"a": bad, "b": string()})), side.version(thing({"b": string(), "a": bad}), name="v2")],
    }
    for i, (name, versions) in enumerate(rows.items()):
        side.try_(side.crd("s%ds" % i, *copy.deepcopy(versions)), name)
    root = side.version()
    root["schema"]["openAPIV3Schema"]["maxProperties"] = 5
    for i, (name, status) in enumerate({"status in the first": (True, False), "status in the second": (False, True), "no status": (
            False, False)}.items()):
        versions = [{**copy.deepcopy(root), "name": n, "storage": n == "v1", **({"subresources": {"status": {}}} if s else {})}
                    for n, s in zip(("v1", "v2"), status)]
        side.try_(side.crd("t%ds" % i, *versions), name)
