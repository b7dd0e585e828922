# SPDX-License-Identifier: Apache-2.0
"""Who asks and what he may: RBAC to the letter, reviews, impersonation, tokens and what they are bound to."""
import base64
import json

from apilib import eventually, name_of, rand, row, soon
from rows_read import pb
from rows_watch import AUTHZ, RBAC, can_i, claims, grant

AUTHN = "/apis/authentication.k8s.io/v1"


def bind_cluster(f, user, rules, kind="User"):
    """A ClusterRole with these rules, bound everywhere; its name."""
    name = "x-" + rand()
    f.api.post(RBAC + "/clusterroles", {"metadata": {"name": name}, "rules": rules}).ok(201)
    f.api.post(RBAC + "/clusterrolebindings", {
        "metadata": {"name": name}, "subjects": [{"kind": kind, "name": user}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}}).ok(201)
    return name


def review(f, user, groups=(), **attributes):
    spec = {"user": user, "groups": list(groups)}
    spec["nonResourceAttributes" if "path" in attributes else "resourceAttributes"] = attributes
    return f.api.post(AUTHZ + "/subjectaccessreviews", {"spec": spec}).ok(201)["status"]


def may(f, user, groups=(), **attributes):
    return review(f, user, groups, **attributes)["allowed"]


def as_user(f, user, *groups, method="GET", path=None, body=None, **headers):
    """One request under another name; several groups need several headers of one name."""
    conn = f.api.connect()
    conn.putrequest(method, path)
    raw = json.dumps(body).encode() if body is not None else b""
    conn.putheader("Impersonate-User", user)
    for g in groups:
        conn.putheader("Impersonate-Group", g)
    for k, v in headers.items():
        for one in v if isinstance(v, list) else [v]:
            conn.putheader(k.replace("_", "-"), one)
    if body is not None:
        conn.putheader("Content-Type", "application/json")
        conn.putheader("Content-Length", str(len(raw)))
    conn.endheaders(raw if body is not None else None)
    r = conn.getresponse()
    text = r.read()
    conn.close()
    return r.status, json.loads(text)


@row
def rbac_rules(f):
    u = "u-" + rand()
    bind_cluster(f, u, [
        {"apiGroups": [""], "resources": ["pods/log", "*/status"], "verbs": ["get"]},
        {"apiGroups": ["g1", "g2"], "resources": ["things"], "verbs": ["*"], "resourceNames": ["one", "*"]},
        {"nonResourceURLs": ["/exact", "/tree/*"], "verbs": ["get"]}])
    table = [
        (True, dict(verb="get", resource="pods", subresource="log")),
        (False, dict(verb="get", resource="pods")),
        (False, dict(verb="list", resource="pods", subresource="log")),
        (True, dict(verb="get", resource="jobs", subresource="status")),
        (False, dict(verb="get", resource="jobs", subresource="status", group="batch")),
        (True, dict(verb="delete", resource="things", group="g2", name="one")),
        (False, dict(verb="delete", resource="things", group="g2", name="two")),
        (False, dict(verb="delete", resource="things", group="g2")),
        (False, dict(verb="get", resource="things", group="g3", name="one")),
        (True, dict(verb="get", path="/exact")),
        (False, dict(verb="get", path="/exact/more")),
        (True, dict(verb="get", path="/tree/a/b")),
        (False, dict(verb="put", path="/tree/a")),
    ]
    for want, attributes in table:
        soon(f, lambda: may(f, u, **attributes) is want, what=str((want, attributes)))
    assert not may(f, "other-" + u, verb="get", path="/exact")
    assert may(f, "x", ["system:masters"], verb="any", path="/what")


@row
def rbac_reasons(f):
    u = "u-" + rand()
    name = bind_cluster(f, u, [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}])

    def reason():
        return review(f, u, verb="get", resource="pods").get("reason")

    want = 'RBAC: allowed by ClusterRoleBinding "%s" of ClusterRole "%s" to User "%s"' % (name, name, u)
    soon(f, lambda: reason() == want, what=want)
    f.api.delete(RBAC + "/clusterroles/" + name).ok()
    want = 'RBAC: clusterrole.rbac.authorization.k8s.io "%s" not found' % name
    soon(f, lambda: reason() == want, what=want)
    assert not may(f, u, verb="get", resource="pods")
    code, status = as_user(f, u, path=f.core + "/pods")
    assert code == 403 and status["message"].endswith(': RBAC: clusterrole.rbac.authorization.k8s.io "%s" not found' % name)


@row
def rbac_changes_count_at_once(f):
    name, sa = f.account()
    for _ in range(5):
        b = grant(f, name, [{"apiGroups": [f.group], "resources": ["widgets"], "verbs": ["list"]}])
        soon(f, lambda: sa.get(f.w).status == 200)
        f.api.merge(RBAC + "/namespaces/%s/roles/%s" % (f.ns, b), {"rules": []}).ok()
        soon(f, lambda: sa.get(f.w).status == 403)
        f.api.merge(RBAC + "/namespaces/%s/roles/%s" % (f.ns, b),
                    {"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["list"]}]}).ok()
        soon(f, lambda: sa.get(f.w).status == 200)
        f.api.delete(RBAC + "/namespaces/%s/rolebindings/%s" % (f.ns, b)).ok()
        soon(f, lambda: sa.get(f.w).status == 403)


def rules_of(f, role):
    return f.api.get(RBAC + "/clusterroles/" + role).ok().get("rules") or []


@row
def rbac_aggregation(f):
    label = "agg-" + rand()
    top, part, other = "top-" + rand(), "part-" + rand(), "other-" + rand()
    rule = {"apiGroups": ["a"], "resources": ["b"], "verbs": ["get"]}
    second = {"apiGroups": ["a"], "resources": ["c"], "verbs": ["get"]}
    f.api.post(RBAC + "/clusterroles", {"metadata": {"name": top}, "aggregationRule": {
        "clusterRoleSelectors": [{"matchLabels": {label: "true"}},
                                 {"matchExpressions": [{"key": label, "operator": "In", "values": ["x", "y"]}]}]}}).ok(201)
    f.api.post(RBAC + "/clusterroles", {"metadata": {"name": part, "labels": {label: "true"}}, "rules": [rule]}).ok(201)
    eventually(lambda: rules_of(f, top) == [rule])
    f.api.post(RBAC + "/clusterroles", {"metadata": {"name": other, "labels": {label: "y"}}, "rules": [second]}).ok(201)
    eventually(lambda: rules_of(f, top) in ([rule, second], [second, rule]))
    f.api.merge(RBAC + "/clusterroles/" + part, {"metadata": {"labels": {label: None}}}).ok()
    eventually(lambda: rules_of(f, top) == [second])
    f.api.delete(RBAC + "/clusterroles/" + other).ok()
    eventually(lambda: rules_of(f, top) == [])
    assert can_i(f.api, "get", "pods", f.ns)


@row
def rbac_own_rules_of_an_aggregated_role_go(f):
    top, part = "top-" + rand(), "part-" + rand()
    rule = {"apiGroups": ["a"], "resources": ["b"], "verbs": ["get"]}
    f.api.post(RBAC + "/clusterroles", {"metadata": {"name": top}, "aggregationRule": {
        "clusterRoleSelectors": [{"matchLabels": {part: "true"}}]}}).ok(201)
    f.api.post(RBAC + "/clusterroles", {"metadata": {"name": part, "labels": {part: "true"}}, "rules": [rule]}).ok(201)
    eventually(lambda: rules_of(f, top) == [rule])
    f.api.merge(RBAC + "/clusterroles/" + top, {"rules": [{**rule, "verbs": ["list"]}]}).ok()
    eventually(lambda: rules_of(f, top) == [rule], what="own rules of an aggregated role stay")


@row
def rbac_default_roles(f):
    u, group = "u-" + rand(), "rbac.authorization.k8s.io"
    for role, yes, no in (("view", ("list", "pods"), ("list", "secrets")), ("edit", ("create", "secrets"), ("create", "roles")),
                          ("admin", ("create", "roles"), ("create", "namespaces"))):
        b = "d-" + rand()
        f.api.post(RBAC + "/namespaces/%s/rolebindings" % f.ns, {
            "metadata": {"name": b}, "subjects": [{"kind": "Group", "name": u + role}],
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role}}).ok(201)
        for want, (verb, plural) in ((True, yes), (False, no)):
            soon(f, lambda: may(f, u, [u + role], verb=verb, resource=plural, namespace=f.ns,
                                group=group if plural == "roles" else "") is want, what=str((role, verb, plural, want)))
        assert not may(f, u, [u + role], verb="list", resource="pods", namespace="default"), "a RoleBinding ends at its namespace"
    for path in ("/api", "/openapi/v3"):
        assert may(f, u, ["system:authenticated"], verb="get", path=path)
        assert not may(f, u, ["system:unauthenticated"], verb="get", path=path)
    assert may(f, u, ["system:unauthenticated"], verb="get", path="/healthz")
    assert f.nobody.get("/version").status == 200
    issuer = "/.well-known/openid-configuration"
    assert may(f, u, ["system:serviceaccounts"], verb="get", path=issuer) and not may(f, u, ["system:authenticated"], verb="get", path=issuer)


@row
def default_roles_cover_the_platforms_kinds(f):
    rule = {"apiGroups": ["vteam.ambient-code"], "resources": ["agenticsessions"]}
    for role in ("view", "edit", "admin"):
        rules = [r for r in rules_of(f, role) if rule["apiGroups"][0] in r["apiGroups"]]
        assert any("agenticsessions" in r["resources"] and "get" in r["verbs"] for r in rules), (role, rules)


@row
def rbac_escalation_says_what_is_lacking(f):
    name, sa = f.account()
    grant(f, name, [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
                    {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": ["create", "update"]}])
    p = RBAC + "/namespaces/%s/roles" % f.ns
    role = {"metadata": {"name": "r-" + rand()}, "rules": [{"apiGroups": [""], "resources": ["pods", "secrets"], "verbs": ["get", "list"]}]}
    m = sa.post(p, role).fails(403, "Forbidden")["message"]
    head, *lines = m.split("\n")
    assert head == ('roles.rbac.authorization.k8s.io "%s" is forbidden: user "system:serviceaccount:%s:%s" (groups=['
                    '"system:serviceaccounts" "system:serviceaccounts:%s" "system:authenticated"]) is attempting to grant RBAC '
                    'permissions not currently held:' % (role["metadata"]["name"], f.ns, name, f.ns)), head
    assert sorted(lines) == ['{APIGroups:[""], Resources:["pods"], Verbs:["list"]}',
                             '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}'], lines
    if f.standalone:  # a kube-apiserver takes all memory that there is for this one
        many = [str(i) for i in range(800)]
        m = sa.post(p, {"metadata": {"name": "m-" + rand()}, "rules": [
            {"apiGroups": many, "resources": many, "verbs": many, "resourceNames": many}]}).fails(403)["message"]
        assert "are not all looked at" in m
    # With the verbs that lift the guard.
    grant(f, name, [{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["escalate"]},
                    {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "verbs": ["bind"],
                     "resourceNames": ["view"]}])
    sa.post(p, role).ok(201)
    binding = {"metadata": {"name": "b-" + rand()}, "subjects": [{"kind": "User", "name": "u"}],
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}}
    sa.post(RBAC + "/namespaces/%s/rolebindings" % f.ns, binding).ok(201)
    binding = {**binding, "metadata": {"name": "b-" + rand()}, "roleRef": {**binding["roleRef"], "name": "edit"}}
    sa.post(RBAC + "/namespaces/%s/rolebindings" % f.ns, binding).fails(403)
    binding["roleRef"]["name"] = "nope"
    sa.post(RBAC + "/namespaces/%s/rolebindings" % f.ns, binding).fails(404)


@row
def aggregated_roles_need_everything(f):
    u = "u-" + rand()
    bind_cluster(f, u, [{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "verbs": ["create"]}])
    role = {"metadata": {"name": "r-" + rand()}, "rules": []}
    code, _ = as_user(f, u, method="POST", path=RBAC + "/clusterroles", body=role)
    assert code == 201
    role = {"metadata": {"name": "r-" + rand()}, "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}}
    code, s = as_user(f, u, method="POST", path=RBAC + "/clusterroles", body=role)
    assert code == 403 and s["message"].endswith("is forbidden: must have cluster-admin privileges to use the aggregationRule"), s


@row
def reviews_to_the_letter(f):
    p = AUTHZ + "/subjectaccessreviews"
    a = {"verb": "get", "resource": "pods"}
    f.api.post(p, {"spec": {"user": "u"}}).fails(422, cause="FieldValueInvalid", field="spec.resourceAttributes")
    f.api.post(p, {"spec": {"user": "u", "resourceAttributes": a, "nonResourceAttributes": {"path": "/"}}}).fails(422)
    f.api.post(p, {"spec": {"resourceAttributes": a}}).fails(422, field="spec.user")
    f.api.post(p, {"metadata": {"name": "n"}, "spec": {"user": "u", "resourceAttributes": a}}).fails(422, field="metadata")
    f.api.post(p, {"kind": "Pod", "apiVersion": "v1", "spec": {"user": "u"}}).fails(400)
    d = f.api.post(p + "?dryRun=All", {"spec": {"user": "u", "resourceAttributes": a}}).ok(201)
    assert d["kind"] == "SubjectAccessReview" and d["spec"]["user"] == "u"
    f.api.get(p).fails(405)
    local = AUTHZ + "/namespaces/%s/localsubjectaccessreviews" % f.ns
    body = {"spec": {"user": "u", "resourceAttributes": {**a, "namespace": f.ns}}}
    f.api.post(local, body).ok(201)
    f.api.post(local, {**body, "metadata": {"namespace": f.ns}}).ok(201)
    f.api.post(AUTHZ + "/selfsubjectrulesreviews", {"spec": {}}).fails(400, text="no namespace on request")
    name, sa = f.account()
    grant(f, name, [{"apiGroups": ["g"], "resources": ["r"], "verbs": ["v"], "resourceNames": ["n"]}])
    d = sa.post(AUTHZ + "/selfsubjectrulesreviews", {"spec": {"namespace": f.ns}}).ok(201)["status"]
    assert {"verbs": ["v"], "apiGroups": ["g"], "resources": ["r"], "resourceNames": ["n"]} in d["resourceRules"], d
    assert any("/healthz" in r["nonResourceURLs"] for r in d["nonResourceRules"]) and d["incomplete"] is False
    d = sa.post(AUTHZ + "/selfsubjectrulesreviews", {"spec": {"namespace": "default"}}).ok(201)["status"]
    assert not any("g" in r["apiGroups"] for r in d["resourceRules"])


@row
def impersonation_asks_for_each_part(f):
    who = {"method": "POST", "path": AUTHN + "/selfsubjectreviews", "body": {}}
    code, d = as_user(f, "bob", "g1", "g2", Impersonate_Uid="77", Impersonate_Extra_Team=["a", "b"],
                      **{"Impersonate-Extra-acme%2Eorg%2Fkey": "v"}, **who)
    assert code == 201, d
    u = d["status"]["userInfo"]
    assert u["username"] == "bob" and u["uid"] == "77" and u["groups"] == ["g1", "g2", "system:authenticated"], u
    assert u["extra"] == {"team": ["a", "b"], "acme.org/key": ["v"]}, u
    code, d = as_user(f, "system:serviceaccount:%s:x" % f.ns, **who)
    assert d["status"]["userInfo"]["groups"] == ["system:serviceaccounts", "system:serviceaccounts:" + f.ns,
                                                 "system:authenticated"], d
    code, d = as_user(f, "system:anonymous", **who)
    assert code == 403, "anonymous may not even ask who he is"
    name, sa = f.account()
    bind_cluster(f, "system:serviceaccount:%s:%s" % (f.ns, name), [
        {"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"], "resourceNames": ["bob"]},
        {"apiGroups": [""], "resources": ["groups"], "verbs": ["impersonate"], "resourceNames": ["devs"]},
        {"apiGroups": ["authentication.k8s.io"], "resources": ["userextras/team"], "verbs": ["impersonate"],
         "resourceNames": ["a"]}])
    p = AUTHN + "/selfsubjectreviews"
    ok = {"Impersonate-User": "bob", "Impersonate-Group": "devs", "Impersonate-Extra-Team": "a"}
    sa.post(p, {}, ok).ok(201)
    for k, v, text in (("Impersonate-User", "eve", 'cannot impersonate resource "users"'),
                       ("Impersonate-Group", "system:masters", 'cannot impersonate resource "groups"'),
                       ("Impersonate-Extra-Team", "b", 'cannot impersonate resource "userextras/team"'),
                       ("Impersonate-Extra-Other", "a", 'userextras/other'),
                       ("Impersonate-Uid", "1", 'cannot impersonate resource "uids"')):
        sa.post(p, {}, {**ok, k: v}).fails(403, "Forbidden", text=text)


@row
def impersonation_of_nobody_is_a_bad_request(f):
    p = AUTHN + "/selfsubjectreviews"
    f.api.post(p, {}, {"Impersonate-Extra-Team": "a"}).fails(400)
    f.api.post(p, {}, {"Impersonate-Uid": "1"}).fails(400)
    f.api.post(p, {}, {"Impersonate-Group": "system:masters"}).fails(400)
    f.api.post(p, {}, {"Impersonate-User": "bob", "Impersonate-Extra-%zz": "a"}).fails(400)


def token_of(f, account, client=None, **spec):
    return (client or f.api).post(f.core + "/serviceaccounts/%s/token" % account, {"spec": spec})


def pod(f, account):
    p = {"metadata": {"name": "p-" + rand()}, "spec": {"serviceAccountName": account, "restartPolicy": "Never",
                                                       "containers": [{"name": "c", "image": "i:1"}]}}
    return f.api.post(f.core + "/pods", p).ok(201)


def ref(kind, o, **more):
    return {"kind": kind, "apiVersion": "v1", "name": name_of(o), "uid": o["metadata"]["uid"], **more}


def check_token(f, token, **spec):
    return f.api.post(AUTHN + "/tokenreviews", {"spec": {"token": token, **spec}}).ok(201)["status"]


@row
def tokens_bound_to_objects(f):
    name, _ = f.account()
    p = pod(f, name)
    secret = f.api.post(f.core + "/secrets", {"metadata": {"name": "s-" + rand()}}).ok(201)
    node = f.api.post("/api/v1/nodes", {"metadata": {"name": "node-" + rand()}}).ok(201)
    for kind, o, path in (("Pod", p, f.core + "/pods/"), ("Secret", secret, f.core + "/secrets/"), ("Node", node, "/api/v1/nodes/")):
        d = token_of(f, name, boundObjectRef=ref(kind, o)).ok(201)
        assert d["spec"]["boundObjectRef"] == ref(kind, o) and d["metadata"]["name"] == name and d["metadata"]["namespace"] == f.ns
        token = d["status"]["token"]
        assert claims(token)["kubernetes.io"][kind.lower()] == {"name": name_of(o), "uid": o["metadata"]["uid"]}
        s = check_token(f, token)
        assert s["authenticated"], s
        extra = s["user"]["extra"]
        assert extra["authentication.kubernetes.io/credential-id"] == ["JTI=" + claims(token)["jti"]]
        if kind != "Secret":
            assert extra["authentication.kubernetes.io/%s-name" % kind.lower()] == [name_of(o)]
            assert extra["authentication.kubernetes.io/%s-uid" % kind.lower()] == [o["metadata"]["uid"]]
        token_of(f, name, boundObjectRef=ref(kind, o, uid="other")).fails(409, "Conflict")
        token_of(f, name, boundObjectRef={**ref(kind, o), "name": "nope"}).fails(404, "NotFound")
        f.api.delete(path + name_of(o) + "?gracePeriodSeconds=0").ok()
        soon(f, lambda: not check_token(f, token).get("authenticated"), 90, what=kind)
        assert check_token(f, token)["error"], kind
        f.api.with_token(token).get(f.w).fails(401)
    token_of(f, name, boundObjectRef={"kind": "ConfigMap", "apiVersion": "v1", "name": "c"}).fails(400)
    other, _ = f.account()
    token_of(f, other, boundObjectRef=ref("Pod", pod(f, name))).fails(400, text="different serviceaccount name")


@row
def tokens_limits(f):
    name, _ = f.account()
    token_of(f, name, expirationSeconds=599).fails(422, field="spec.expirationSeconds")
    token_of(f, name, expirationSeconds=2 ** 32 + 1).fails(422)
    f.api.post(f.core + "/serviceaccounts/%s/token" % name, {"metadata": {"name": "other"}}).fails((400, 422))
    f.api.post(f.core + "/serviceaccounts/%s/token?dryRun=Some" % name, {}).fails(422)
    f.api.post(f.core + "/serviceaccounts/%s/token?dryRun=All" % name, {}).ok(201)
    f.api.post(f.core + "/serviceaccounts/%s/token" % name, {"kind": "Pod", "apiVersion": "v1"}).fails(400)
    f.api.get(f.core + "/serviceaccounts/%s/token" % name).fails(405)
    d = token_of(f, name).ok(201)
    assert d["spec"]["audiences"] == [claims(d["status"]["token"])["iss"]] and d["spec"]["expirationSeconds"] == 3600


@row
def tokens_are_bounded(f):
    name, _ = f.account()
    r = token_of(f, name, expirationSeconds=40000000)
    d = r.ok(201)
    assert d["spec"]["expirationSeconds"] == 31536000 and "shortened to 31536000 seconds" in r.warnings[0], r.warnings
    token_of(f, name, audiences=["a%d" % i for i in range(33)]).fails(422)


@row
def token_reviews_and_audiences(f):
    name, _ = f.account()
    token = token_of(f, name, audiences=["x", "y"]).ok(201)["status"]["token"]
    s = check_token(f, token, audiences=["z", "y", "x"])
    assert s["authenticated"] and s["audiences"] == ["y", "x"], s
    s = check_token(f, token)
    assert not s.get("authenticated") and "audience" in s["error"], s
    s = check_token(f, token, audiences=["z"])
    assert not s.get("authenticated")
    api = token_of(f, name).ok(201)["status"]["token"]
    assert check_token(f, api)["audiences"] == [claims(api)["iss"]]
    for bad in ("x" * 9000, "a.b", "a.b.c", "....", "\u00e9.\u00e9.\u00e9", api + "A", api[:-4], "." + api):
        s = check_token(f, bad)
        assert not s.get("authenticated") and s["error"], bad
    f.api.post(AUTHN + "/tokenreviews", {"spec": {}}).fails(400)


@row
def token_secrets_are_filled(f):
    name, _ = f.account()
    s = {"metadata": {"name": "t-" + rand(), "annotations": {"kubernetes.io/service-account.name": name}},
         "type": "kubernetes.io/service-account-token"}
    f.api.post(f.core + "/secrets", {**s, "metadata": {"name": "t-" + rand()}}).fails(422, "Invalid")
    f.api.post(f.core + "/secrets", s).ok(201)

    def secret(name):
        return f.api.get(f.core + "/secrets/" + name).ok()

    soon(f, lambda: "token" in secret(name_of(s)).get("data", {}), what="the Secret is not filled")
    d = secret(name_of(s))
    data = {k: base64.b64decode(v).decode() for k, v in d["data"].items()}
    assert data["namespace"] == f.ns and data["ca.crt"] == open(f.ca).read(), data.keys()
    assert d["metadata"]["annotations"]["kubernetes.io/service-account.uid"]
    assert "exp" not in claims(data["token"])
    c = f.api.with_token(data["token"])
    c.get(f.w).fails(403)
    # Another one is put in its place when it is taken out; the old one is over.
    f.api.merge(f.core + "/secrets/" + name_of(s), {"data": {"token": None}}).ok()
    soon(f, lambda: "token" in secret(name_of(s))["data"], what="the Secret is not filled again")
    again = base64.b64decode(secret(name_of(s))["data"]["token"]).decode()
    f.api.with_token(again).get(f.w).fails(403)
    f.api.delete(f.core + "/secrets/" + name_of(s)).ok()
    soon(f, lambda: f.api.with_token(again).get(f.w).status == 401, 90, what="the token of a Secret that is gone")


@row
def token_secrets_may_be_older_than_their_account(f):
    name = "late-" + rand()
    path = f.core + "/secrets/l-" + name
    f.api.post(f.core + "/secrets", {"metadata": {"name": "l-" + name, "annotations": {"kubernetes.io/service-account.name": name}},
                                     "type": "kubernetes.io/service-account-token"}).ok(201)
    if not f.standalone:
        eventually(lambda: f.api.get(path).status == 404, what="the Secret is kept")
    assert "data" not in f.api.get(path).ok()
    f.api.post(f.core + "/serviceaccounts", {"metadata": {"name": name}}).ok(201)
    soon(f, lambda: "token" in f.api.get(path).ok().get("data", {}), what="the older Secret is not filled")


@row
def tokens_and_reviews_in_protobuf(f):
    name, sa = f.account()
    head = {"Content-Type": "application/vnd.kubernetes.protobuf", "Accept": "application/json"}

    def unknown(group, kind, raw):
        return b"k8s\0" + pb(1, pb(1, group + "/v1") + pb(2, kind)) + pb(2, raw)

    p = f.core + "/serviceaccounts/%s/token" % name
    spec = pb(1, "aud") + bytes([4 << 3]) + b"\x90\x1c"  # 3600
    d = f.api.post(p, unknown("authentication.k8s.io", "TokenRequest", pb(2, spec)), head).ok(201)
    c = claims(d["status"]["token"])
    assert c["aud"] == ["aud"] and c["exp"] - c["iat"] == 3600, c
    spec = bytes([4 << 3]) + b"\x0a"
    f.api.post(p, unknown("authentication.k8s.io", "TokenRequest", pb(2, spec)), head).fails(422)
    review = pb(2, pb(1, sa.token))
    d = f.api.post(AUTHN + "/tokenreviews", unknown("authentication.k8s.io", "TokenReview", review), head).ok(201)
    assert d["status"]["authenticated"] and d["status"]["user"]["username"].endswith(":" + name)
    access = pb(2, pb(1, pb(2, "get") + pb(5, "pods")) + pb(3, "u") + pb(4, "system:masters"))
    d = f.api.post(AUTHZ + "/subjectaccessreviews", unknown("authorization.k8s.io", "SubjectAccessReview", access), head).ok(201)
    assert d["status"]["allowed"] is True, d


@row
def typed_secrets(f):
    def post(kind, **data):
        return f.api.post(f.core + "/secrets", {"metadata": {"generateName": "t-"}, "type": "kubernetes.io/" + kind,
                                                "stringData": data})

    post("basic-auth", password="x").ok(201)
    post("basic-auth", other="x").fails(422, cause="FieldValueRequired", field="data[username]")
    post("dockerconfigjson", **{".dockerconfigjson": '{"auths":{}}'}).ok(201)
    s = post("dockerconfigjson", **{".dockerconfigjson": "hush, no json"}).fails(422, field="data[.dockerconfigjson]")
    assert "hush" not in json.dumps(s)
    post("dockerconfigjson").fails(422, cause="FieldValueRequired")
    post("tls", **{"tls.crt": "x"}).fails(422, cause="FieldValueRequired", field="data[tls.key]")
    post("ssh-auth", other="x").fails(422, cause="FieldValueRequired", field="data[ssh-privatekey]")


@row
def discovery_of_the_issuer(f):
    name, sa = f.account()
    d = sa.get("/.well-known/openid-configuration").ok()
    assert d["jwks_uri"] == "https://127.0.0.1:%d/openid/v1/jwks" % f.port and d["id_token_signing_alg_values_supported"] == ["ES256"]
    r = sa.do("GET", "/openid/v1/jwks", headers={"Accept": "application/jwk-set+json"})
    assert r.ok()["keys"][0]["kty"] == "EC" and r.headers["Content-Type"] == "application/jwk-set+json"
    sa.get("/openid/v1/other").fails(403)
    assert f.api.get("/openid/v1/other").status == 404 and f.api.get("/openid/v1").status == 404
    f.nobody.get("/openid/v1/jwks").fails(403)


@row
def bad_credentials(f):
    """What is no token at all says nothing about who asks; a token that is wrong is never nobody's."""
    for header in ("Basic YTpi", "Bearer", "Bearer ", "Bearer  ", "Digest x"):
        f.nobody.get("/api", Authorization=header).fails(403, text='User "system:anonymous" cannot get path "/api"')
        assert f.nobody.get("/version", Authorization=header).status == 200
    for header in ("Bearer x", "bearer x", "Bearer x y"):
        f.nobody.get("/version", Authorization=header).fails(401, "Unauthorized", text="Unauthorized")


@row
def pull_secrets_of_the_account(f):
    """ServiceAccount admission: a pod that names none has its account's; one that names some has only those."""
    f.api.post(f.core + "/serviceaccounts", {"metadata": {"name": "pulls"}, "automountServiceAccountToken": False,
                                             "imagePullSecrets": [{"name": "a"}, {"name": "b"}]}).ok(201)

    def create(**spec):
        return f.api.post(f.core + "/pods", {"metadata": {"generateName": "pulls-"}, "spec": {
            "serviceAccountName": "pulls", "containers": [{"name": "c", "image": "nobody:1"}], "restartPolicy": "Never",
            "nodeName": "nowhere", **spec}}).ok(201)["spec"].get("imagePullSecrets")

    assert create() == create(imagePullSecrets=[]) == [{"name": "a"}, {"name": "b"}], create()
    assert create(imagePullSecrets=[{"name": "c"}]) == [{"name": "c"}]
    f.api.put(f.core + "/serviceaccounts/pulls", {"metadata": {"name": "pulls"}, "automountServiceAccountToken": False}).ok()
    assert create() is None


@row
def ports_of_the_hosts_network(f):
    """A port of a pod with hostNetwork is one of the machine; another pod's is not, unless it says so."""
    def create(**spec):
        return f.api.post(f.core + "/pods", {"metadata": {"generateName": "ports-"}, "spec": {
            "automountServiceAccountToken": False, "restartPolicy": "Never", "nodeName": "nowhere", "containers": [
                {"name": "c", "image": "nobody:1", "ports": [{"containerPort": 80}, {"containerPort": 81, "hostPort": 81}]}],
            **spec}}).ok(201)["spec"]["containers"][0]["ports"]

    assert [p.get("hostPort") for p in create(hostNetwork=True)] == [80, 81]
    assert [p.get("hostPort") for p in create()] == [None, 81]
