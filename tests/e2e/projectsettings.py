# SPDX-License-Identifier: Apache-2.0
"""ProjectSettings on the standalone platform: who may do what is asked of the API server itself, by kubectl as a person of
a group; what is made, put right and taken away is looked at where it is."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from lib import GROUP, Platform, Status, until  # noqa: E402
from replicas import Replica  # noqa: E402

SETTINGS = "/apis/vteam.ambient-code/v1alpha1/namespaces/%s/projectsettings"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/namespaces/%s/rolebindings"
EXAMPLES = os.path.join(os.environ.get("top_srcdir", "."), "etc/examples")
SESSION = """
apiVersion: vteam.ambient-code/v1alpha1
kind: AgenticSession
metadata: {name: %s}
spec: {prompt: do it, runnerType: command, runnerConfig: {command: ["true"]}}
"""


class Lab(Platform):
    def __init__(self):
        super().__init__("settings")
        self.people = {}

    def settings(self, ns=None):
        return self.get(SETTINGS % (ns or self.ns) + "/projectsettings")

    def condition(self, kind, ns=None):
        status = (self.settings(ns) or {}).get("status", {})
        return next((c for c in status.get("conditions", []) if c["type"] == kind), {})

    def wait_for(self, kind, reason, ns=None):
        try:
            return until(lambda: (c := self.condition(kind, ns)).get("reason") == reason and c, what=kind + " to say " + reason)
        except AssertionError as e:
            raise AssertionError("%s\nit is: %s\n%s" % (e, self.settings(ns), self.log()[-1500:])) from None

    def spec(self, ns=None, **spec):
        """Replaces these members of the spec, and waits until that has been looked at; None takes a member away."""
        made = self.patch(SETTINGS % (ns or self.ns) + "/projectsettings", {"spec": spec})
        generation = made["metadata"]["generation"]
        until(lambda: self.settings(ns).get("status", {}).get("observedGeneration", 0) >= generation,
              what="the settings to be looked at")

    def project(self, name):
        self.namespace(name)
        until(lambda: self.settings(name), what="the settings of " + name)
        self.ns = name
        return name

    def bindings(self, ns=None):
        items = self.request("GET", BINDINGS % (ns or self.ns))["items"]
        return {b["metadata"]["name"]: b["roleRef"]["name"] for b in items
                if b["roleRef"]["name"].startswith("ambient-project-")}

    def person(self, group):
        """kubectl as somebody of that group and no other."""
        if group not in self.people:
            path = os.path.join(self.dir, group + ".kubeconfig")
            made = self.ctl("user", "add", "one-of-" + group, "--group", group, "--out", path)
            assert made.returncode == 0, made.stdout
            self.people[group] = path

        def kubectl(*args, **options):
            return self.run(["kubectl", "--kubeconfig", self.people[group], "--cache-dir", self.dir + "/kubectl-" + group,
                             "-n", self.ns, *args], **options)
        return kubectl

    def may(self, group, verb, what):
        kind, _, sub = what.partition("/")
        answer = self.person(group)("auth", "can-i", verb, kind, *(["--subresource=" + sub] if sub else [])).stdout
        return "yes" in answer.split("\n")


def manifest(p, text):
    path = os.path.join(p.dir, "manifest.yaml")
    with open(path, "w") as f:
        f.write(text)
    return path


def grants(*pairs):
    return [{"groupName": group, "role": role} for group, role in pairs]


def test_a_project_has_its_settings_and_gets_them_again(p):
    p.project("singleton")
    before = p.settings()["metadata"]["uid"]
    assert p.settings()["spec"] == {"groupAccess": []}
    p.wait_for("Ready", "Applied")
    gone = p.kubectl("delete", "ps", "projectsettings")
    assert gone.returncode == 0, gone.stdout
    until(lambda: (s := p.settings()) and s["metadata"]["uid"] != before, what="them to be made again")
    p.namespace("nobodys", managed=False)
    p.patch("/api/v1/namespaces/nobodys", {"metadata": {"labels": {"ambient-code.io/managed": "true"}}})
    until(lambda: p.settings("nobodys"), what="a namespace that is labelled later to have them")


def test_another_name_is_refused(p):
    p.project("names")
    said = p.kubectl("apply", "-f", manifest(p, """
apiVersion: vteam.ambient-code/v1alpha1
kind: ProjectSettings
metadata: {name: settings}
spec: {groupAccess: []}
"""))
    assert said.returncode != 0 and "metadata.name" in said.stdout and "projectsettings" in said.stdout, said.stdout


def test_weakness_12_3_a_roles_are_what_the_table_says(p):
    p.project("access")
    p.spec(groupAccess=grants(("readers", "view"), ("writers", "edit"), ("owners", "admin")))
    p.wait_for("GroupAccessReady", "Applied")
    assert p.settings()["status"]["groupBindingsCreated"] == 3
    table = [  # who may: view, edit, admin
        ("get", "agenticsessions", 1, 1, 1), ("list", "rfeworkflows", 1, 1, 1), ("watch", "projectsettings", 1, 1, 1),
        ("list", "jobs", 1, 1, 1), ("get", "pods", 1, 1, 1), ("get", "pods/log", 1, 1, 1), ("list", "events", 1, 1, 1),
        ("create", "agenticsessions", 0, 1, 1), ("delete", "agenticsessions", 0, 1, 1), ("patch", "rfeworkflows", 0, 1, 1),
        ("update", "agenticsessions/status", 0, 0, 0), ("create", "pods", 0, 0, 0), ("create", "pods/exec", 0, 0, 0),
        ("create", "jobs", 0, 0, 0), ("create", "serviceaccounts/token", 0, 0, 0),
        ("patch", "projectsettings", 0, 0, 1), ("create", "secrets", 0, 0, 1), ("list", "secrets", 0, 0, 1),
        ("create", "rolebindings", 0, 0, 1), ("patch", "rolebindings", 0, 0, 1), ("create", "serviceaccounts", 0, 0, 0),
        ("bind", "clusterroles", 0, 0, 0), ("create", "roles", 0, 0, 0), ("escalate", "roles", 0, 0, 0),
    ]

    def wrong():
        return [(group, verb, what) for verb, what, *want in table
                for group, w in zip(("readers", "writers", "owners"), want) if p.may(group, verb, what) != bool(w)]
    # A cluster's authorizer hears of a binding a moment after it was made.
    until(lambda: p.may("readers", "get", "agenticsessions") and p.may("owners", "list", "secrets"), what="the roles to be known")
    assert not wrong(), wrong()


def test_view_looks_edit_creates_and_removal_takes_it_away(p):
    p.project("team-b")
    p.spec(groupAccess=grants(("viewers", "view"), ("editors", "edit")))
    p.wait_for("GroupAccessReady", "Applied")
    made = p.person("viewers")("create", "-f", manifest(p, SESSION % "by-viewer"))
    assert made.returncode != 0 and "Forbidden" in made.stdout, made.stdout
    until(lambda: p.person("viewers")("get", "agenticsessions").returncode == 0, what="viewers to look")
    until(lambda: p.may("editors", "create", "agenticsessions"), what="editors to be known")
    made = p.person("editors")("create", "-f", manifest(p, SESSION % "by-editor"))
    assert made.returncode == 0, made.stdout
    # Not in another project.
    made = p.person("editors")("create", "-n", "access", "-f", manifest(p, SESSION % "by-editor"))
    assert made.returncode != 0 and "Forbidden" in made.stdout, made.stdout
    # The role changes: no binding of the old one stays.
    p.spec(groupAccess=grants(("viewers", "edit"), ("editors", "view")))
    until(lambda: p.bindings() == {"viewers-edit": "ambient-project-edit", "editors-view": "ambient-project-view"},
          what="the bindings to follow: %s" % p.bindings())
    until(lambda: not p.may("editors", "create", "agenticsessions"), what="editors to lose it")
    made = p.person("editors")("create", "-f", manifest(p, SESSION % "no-more"))
    assert made.returncode != 0 and "Forbidden" in made.stdout, made.stdout
    p.spec(groupAccess=[])
    until(lambda: not p.bindings(), what="the bindings to go")
    until(lambda: p.person("editors")("get", "agenticsessions").returncode != 0, what="editors to be nobody")
    assert p.settings()["status"]["groupBindingsCreated"] == 0


def test_an_admin_binds_these_roles_and_no_other(p):
    p.project("owned")
    p.spec(groupAccess=grants(("owners", "admin")))
    p.wait_for("GroupAccessReady", "Applied")
    owner = p.person("owners")
    said = owner("create", "rolebinding", "friends", "--clusterrole=ambient-project-edit", "--group=friends")
    assert said.returncode == 0, said.stdout
    said = owner("create", "rolebinding", "worse", "--clusterrole=cluster-admin", "--group=friends")
    assert said.returncode != 0 and "attempting to grant RBAC permissions not currently held" in said.stdout, said.stdout
    # What he wrote by hand is his: it stays, and gives way to nobody.
    p.spec(groupAccess=grants(("owners", "admin"), ("others", "view")))
    assert "friends" in p.bindings()
    said = owner("patch", "ps", "projectsettings", "--type=merge", "-p", '{"spec":{"groupAccess":[]}}')
    assert said.returncode == 0, said.stdout
    until(lambda: list(p.bindings()) == ["friends"], what="only his own to be left: %s" % p.bindings())


def test_what_is_changed_by_hand_is_put_right(p):
    p.project("hands")
    p.spec(groupAccess=grants(("devs", "edit")), limitRange={})
    p.wait_for("LimitRangeReady", "Applied")
    path = BINDINGS % p.ns + "/devs-edit"
    p.patch(path, {"subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:authenticated"}]})
    until(lambda: p.get(path)["subjects"][0]["name"] == "devs", what="the subject to be put right")
    p.request("DELETE", path)
    until(lambda: p.get(path), what="the binding to be made again")
    limits = p.core("limitranges", "ambient-default-limits")
    p.patch(limits, {"spec": {"limits": [{"type": "Container", "default": {"cpu": "64"}}]}})
    until(lambda: p.get(limits)["spec"]["limits"][0]["default"]["cpu"] == "2", what="the limits to be put right")


def test_entries_that_cannot_be_are_named(p):
    p.project("entries")
    p.request("POST", BINDINGS % p.ns, {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "mine-view"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "mine"}]})
    try:
        p.spec(groupAccess=grants(("devs", "owner")))
        raise AssertionError("a role that there is not was taken")
    except Status as status:
        assert status.code == 422 and "spec.groupAccess[0].role" in str(status), status
    try:
        p.spec(defaultModel="-m")
        raise AssertionError("a model that begins with a dash was taken")
    except Status as status:
        assert status.code == 422 and "spec.defaultModel" in str(status) and "is no name of a model" in str(status), status
    p.spec(groupAccess=grants(("mine", "view"), ("devs", "edit"), ("devs", "view"), ("oidc:/a b/%c", "view")))
    said = until(lambda: (c := p.condition("GroupAccessReady")).get("status") == "False" and c["message"], what="a complaint")
    assert "spec.groupAccess[0]" in said and '"mine-view"' in said and "spec.groupAccess[2]" in said, said
    assert p.get(BINDINGS % p.ns + "/mine-view")["roleRef"]["name"] == "view"
    names = p.bindings()
    assert "devs-edit" in names and len(names) == 2, names
    # The one in the way goes: nothing else has to be done.
    p.request("DELETE", BINDINGS % p.ns + "/mine-view")
    until(lambda: p.bindings().get("mine-view") == "ambient-project-view", what="the entry to be served")


def test_limits_and_quotas_come_change_and_go(p):
    p.project("limits")
    limits, quota = p.core("limitranges", "ambient-default-limits"), p.core("resourcequotas", "ambient-quota")
    p.spec(limitRange={}, resourceQuota={"hard": {"pods": "50", "requests.cpu": "10"}})
    until(lambda: p.get(limits) and p.get(quota), what="both to be made")
    assert p.get(quota)["spec"]["hard"] == {"pods": "50", "requests.cpu": "10"}, p.get(quota)
    assert p.settings()["status"]["limitRangeReady"] is True
    p.spec(limitRange={"limits": [{"type": "Pod", "max": {"cpu": "4"}}]}, resourceQuota={"hard": {"pods": "7", "requests.cpu": None}})
    until(lambda: p.get(limits)["spec"]["limits"][0]["type"] == "Pod" and p.get(quota)["spec"]["hard"] == {"pods": "7"},
          what="both to follow")
    p.spec(resourceQuota={"hard": {"pods": "many"}})
    assert "spec.resourceQuota" in p.wait_for("ResourceQuotaReady", "Invalid")["message"]
    assert p.condition("Ready")["status"] == "False"
    p.spec(limitRange=None, resourceQuota=None)
    until(lambda: p.get(limits) is None and p.get(quota) is None, what="both to go")
    p.wait_for("Ready", "Applied")
    assert "limitRangeReady" not in p.settings()["status"]


def test_defaults_reach_sessions_and_a_late_secret_is_seen(p):
    p.project("defaults")
    p.spec(defaultModel="model-of-the-project", defaultTimeout=77, runnerType="command", runnerSecretsName="keys",
           gitCredentialsSecret="git")
    assert "spec.runnerSecretsName" in p.wait_for("SecretsReady", "SecretMissing")["message"]
    p.secret("keys", ANTHROPIC_API_KEY="x")
    until(lambda: "gitCredentialsSecret" in (m := p.condition("SecretsReady").get("message", "")) and "runnerS" not in m,
          what="the one that came to be seen")
    p.secret("git", token="x")
    p.wait_for("SecretsReady", "Found")
    s = p.session("plain", runnerConfig={"command": ["true"]}, repos=[{"input": {"url": "https://127.0.0.1:1/a.git"}}])
    e = until(lambda: s.status.get("effective"), what="the session to be planned")
    assert (e["model"], e["timeout"], e["runnerType"], e["secretName"]) == ("model-of-the-project", 77, "command", "keys"), e
    assert e["repos"][0]["authSecret"] == "git", e
    s = p.session("own", runnerConfig={"command": ["true"]}, model="m", timeout=5, anthropicApiKeySecret="other")
    e = until(lambda: s.status.get("effective"), what="the session to be planned")
    assert (e["model"], e["timeout"], e["secretName"]) == ("m", 5, "other"), e
    p.spec(runnerType="no-such-agent")
    assert "spec.runnerType" in p.wait_for("SpecValid", "RunnerTypeUnknown")["message"]


def test_finished_sessions_are_counted_and_deleted(p):
    p.project("retention")
    for name in ("one", "two", "three"):
        p.session(name, "true").wait("Completed")
    until(lambda: p.settings()["status"].get("sessions", {}).get("phases") == {"Completed": 3}, what="three to be counted")
    assert len(p.request("GET", GROUP % p.ns)["items"]) == 3
    p.spec(enableAutoCleanup=True, retentionCount=1)
    # Ends are told apart by seconds: which one is the last is for the unit test to say.
    left = until(lambda: len(items := p.request("GET", GROUP % p.ns)["items"]) == 1 and items[0]["metadata"]["name"],
                 what="one to be left")
    until(lambda: p.settings()["status"]["sessions"]["total"] == 1, what="one to be counted")
    until(lambda: [c["metadata"]["name"] for c in p.request("GET", p.core("persistentvolumeclaims"))["items"]] ==
          ["ambient-workspace-" + left], what="the workspaces of the others to go")


def test_sessions_go_when_they_ended_long_ago(p):
    p.project("days")
    old, new = p.session("old", "true"), p.session("new", "true")
    for s in (old, new):
        s.wait("Completed")
    p.patch(old.path + "/status", {"status": {"completionTime": "2025-11-01T10:05:00Z"}})
    # Neither a number of days alone, nor one that has not passed, deletes anything.
    p.spec(retentionDays=7)
    p.spec(enableAutoCleanup=True, retentionDays=36500)
    p.spec(retentionDays=0)
    assert old.get() and new.get()
    p.spec(retentionDays=7)
    until(lambda: old.get() is None, what="the old one to go")
    assert new.phase == "Completed", new.status


def test_the_label_goes(p):
    p.project("leaving")
    untouched = p.project("leaving-untouched")
    p.ns = "leaving"
    p.spec(groupAccess=grants(("devs", "edit")), limitRange={}, resourceQuota={"hard": {"pods": "5"}})
    until(lambda: p.get(p.core("resourcequotas", "ambient-quota")) and p.bindings(), what="all to be made")
    p.secret("of-a-user", a="b")
    for ns in ("leaving", untouched):
        p.patch("/api/v1/namespaces/" + ns, {"metadata": {"labels": {"ambient-code.io/managed": None}}})
    p.wait_for("Ready", "NamespaceNotManaged")
    assert not p.bindings() and p.get(p.core("limitranges", "ambient-default-limits")) is None
    assert p.get(p.core("resourcequotas", "ambient-quota")) is None
    # What a user wrote stays; what nobody wrote into goes.
    assert p.settings()["spec"]["groupAccess"] and p.get(p.core("secrets", "of-a-user"))
    until(lambda: p.settings(untouched) is None, what="the untouched ones to go")
    p.patch("/api/v1/namespaces/leaving", {"metadata": {"labels": {"ambient-code.io/managed": "true"}}})
    until(lambda: p.bindings() == {"devs-edit": "ambient-project-edit"}, what="all to come back")
    p.wait_for("Ready", "Applied")


def test_the_example_is_served(p):
    for name in ("namespace", "projectsettings"):
        said = p.kubectl("apply", "-n", "team-a", "-f", os.path.join(EXAMPLES, name + ".yaml"))
        assert said.returncode == 0 and "Warning" not in said.stdout, said.stdout
        until(lambda: p.settings("team-a"), what="the settings, over which the example is applied")
    p.ns = "team-a"
    until(lambda: "devs-edit" in p.bindings(), what="the example's binding")
    p.secret("ambient-runner-secrets", ANTHROPIC_API_KEY="x")
    p.wait_for("Ready", "Applied")
    said = p.kubectl("get", "ps").stdout
    assert "READY" in said and "True" in said, said


def test_a_restart_changes_nothing_and_misses_nothing(p):
    p.project("restart")
    p.spec(groupAccess=grants(("devs", "edit"), ("ops", "admin")))
    until(lambda: len(p.bindings()) == 2, what="the bindings")
    path = BINDINGS % p.ns
    versions = {b["metadata"]["name"]: b["metadata"]["resourceVersion"] for b in p.request("GET", path)["items"]}
    p.stop()
    p.start(without=("projectsettings",))
    p.request("DELETE", path + "/devs-edit")
    p.patch(SETTINGS % p.ns + "/projectsettings", {"spec": {"groupAccess": grants(("devs", "edit"))}})
    p.stop()
    p.start()
    until(lambda: list(p.bindings()) == ["devs-edit"], what="what happened meanwhile to be made good")
    until(lambda: p.settings()["status"].get("observedGeneration") == p.settings()["metadata"]["generation"],
          what="the settings to be looked at")
    assert p.get(path + "/devs-edit")["metadata"]["resourceVersion"] != versions["devs-edit"]


def test_a_daemon_in_a_cluster_needs_the_rights_that_are_printed(p):
    p.stop()
    p.start(without=("projectsettings",))
    said = p.ctl("plugin", "rbac", p.tree.root + "/lib/ambient/plugins/projectsettings.so")
    assert said.returncode == 0, said.stdout
    said = p.kubectl("apply", "-n", "default", "-f", manifest(p, said.stdout))
    assert said.returncode == 0, said.stdout
    for kind, role in (("clusterrolebinding", "--clusterrole=ambient"), ("rolebinding", "--role=ambient-leases")):
        said = p.kubectl("create", kind, "daemon", "-n", "default", role, "--group=daemons")
        assert said.returncode == 0, said.stdout
    p.person("daemons")
    role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/ambient"
    rules = p.get(role)["rules"]
    bind = [r for r in rules if "bind" in r["verbs"]]
    assert len(bind) == 1 and len(bind[0]["resourceNames"]) == 3 and bind[0]["verbs"] == ["bind"], bind
    assert not [r for r in rules if r["apiGroups"] == ["rbac.authorization.k8s.io"] and "roles" in r["resources"]], rules
    daemon = Replica(p, "daemon", "")
    with open(daemon.conf, "w") as f:
        f.write('mode = "cluster"; state = "%s.state"; runtime = "%s.run"; plugin_dir = "%s/lib/ambient/plugins";\n'
                'cluster: { kubeconfig = "%s"; }; ops: { listen = ""; };\nplugins: { projectsettings: {}; };\n' % (
                    daemon.base, daemon.base, p.tree.root, p.people["daemons"]))
    daemon.start()
    try:
        p.project("cluster")
        p.spec(groupAccess=grants(("devs", "edit")), limitRange={}, runnerSecretsName="keys")
        until(lambda: p.bindings() == {"devs-edit": "ambient-project-edit"}, what="the binding: " + daemon.log()[-2000:])
        p.secret("keys", a="b")
        p.wait_for("Ready", "Applied")
        # Without "bind" it cannot give what it has not itself.
        p.patch(role, {"rules": [r for r in rules if "bind" not in r["verbs"]]})
        p.spec(groupAccess=grants(("devs", "edit"), ("ops", "admin")))
        said = p.wait_for("GroupAccessReady", "BindingFailed")["message"]
        assert "spec.groupAccess[1]" in said and "not currently held" in said, said
        assert list(p.bindings()) == ["devs-edit"], p.bindings()
        p.patch(role, {"rules": rules})
        until(lambda: "ops-admin" in p.bindings(), what="it to be tried again")
        p.spec(groupAccess=[], limitRange=None)
        until(lambda: not p.bindings() and p.get(p.core("limitranges", "ambient-default-limits")) is None, what="all to go")
    finally:
        daemon.close()
        p.stop()
        p.start()


def make():
    p = Lab()
    p.start()
    return p


if __name__ == "__main__":
    lib.preconditions()
    sys.exit(lib.main(sys.modules[__name__], make))
