# SPDX-License-Identifier: Apache-2.0
"""Documents of feature requests become issues of a Jira on loopback: by pods with the project's Secret, from real branches."""
import base64
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import lib  # noqa: E402
from jira_api import Jira  # noqa: E402
from lib import GROUP, Platform, until  # noqa: E402
from rfe import Flow  # noqa: E402

WISH, AT = "ambient-code.io/publish-to-jira", "ambient-code.io/publish-requested-at"
SECRET = "ambient-non-vertex-integrations"
WRITE = 'mkdir -p "specs/ambient-x"; echo "# $WORKFLOW_PHASE of $PARENT_RFE" > "specs/ambient-x/spec.md"; env | grep -c JIRA; true'


def put_secret(p, **values):
    data = {k: base64.b64encode(v.encode()).decode() for k, v in values.items()}
    if p.get(p.core("secrets", SECRET)) is None:
        p.request("POST", p.core("secrets"), {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "data": data})
    else:
        p.patch(p.core("secrets", SECRET), {"data": data})


def publish(f, what, at, reason):
    f.p.patch(f.path, {"metadata": {"annotations": {WISH: what, AT: at}}})
    until(lambda: f.condition("JiraPublished").get("reason") == reason, lib.PATIENCE * 2,
          "%s to be %s: %s\n%s" % (what, reason, f.condition("JiraPublished"), f.p.log()[-1500:]))
    return f.condition("JiraPublished")


def test_a_specification_becomes_an_issue(p):
    p.origins.make("specs")
    f = Flow(p, "kept", WRITE, title="Export", description="of invoices", branchName="ambient-x", seed=False,
             umbrellaRepo={"url": p.origins.url("specs")})
    f.wait("Ready", "WaitingForPerson")
    f.run("specify")
    until(lambda: f.steps[0]["status"] == "Completed", lib.PATIENCE * 2, "the step: %s" % f.status)
    # The agent of a step sees nothing of the account, which is there already.
    assert f.steps[0]["output"] == "0", f.steps
    said = publish(f, "specify", "1", "Published")
    assert said["status"] == "True" and "specs/ambient-x/spec.md is ABC-1, %s/browse/ABC-1" % p.jira.url in said["message"], said
    issue = p.jira.issues["ABC-1"]
    assert issue["summary"] == "Export - specify" and "# specify of kept" in issue["description"], issue
    assert f.status["jiraLinks"] == [{"path": "specs/ambient-x/spec.md", "jiraKey": "ABC-1", "url": p.jira.url + "/browse/ABC-1"}]
    assert publish(f, "specify", "2", "Updated")["status"] == "True" and len(p.jira.issues) == 1, p.jira.issues
    # Nothing was pushed for it, and the request waits where it was.
    assert p.origins.commits("specs", "ambient-x") == 1 and f.status["phase"] == "Ready", f.status
    until(lambda: "JiraPublished" in f.events(), what="its event: %s" % f.events())


def test_what_goes_wrong_is_told(p):
    f = Flow(p, "told", WRITE, title="Export", description="of invoices", branchName="ambient-x", seed=False,
             umbrellaRepo={"url": p.origins.url("specs")})
    until(lambda: f.status.get("phase"), what="it to be looked at")
    said = publish(f, "plan", "1", "DocumentMissing")
    assert "specs/ambient-x/plan.md" in said["message"], said
    put_secret(p, JIRA_API_TOKEN="another")
    said = publish(f, "specify", "2", "JiraUnauthorized")
    assert "JIRA_API_TOKEN" in said["message"] and "another" not in said["message"], said
    put_secret(p, JIRA_API_TOKEN="t0ken")
    p.jira.fault("POST", "/issue$", 201, b"<html>")
    publish(f, "specify", "3", "JiraAnswerInvalid")
    # A Secret that comes later: the session waits for it, which is said, and goes on.
    p.request("DELETE", p.core("secrets", SECRET))
    f.p.patch(f.path, {"metadata": {"annotations": {WISH: "specify", AT: "4"}}})
    until(lambda: SECRET in f.condition("JiraPublished").get("message", ""), lib.PATIENCE * 2, "it to name the Secret: %s" % f.status)
    put_secret(p, JIRA_URL=p.jira.url, JIRA_PROJECT="ABC", JIRA_API_TOKEN="t0ken")
    until(lambda: f.condition("JiraPublished")["status"] == "True", lib.PATIENCE * 2, "it to be published: %s" % f.status)
    everything = str(p.request("GET", GROUP % p.ns)) + str(f.status) + str(p.request("GET", p.core("events"))) + \
        str(p.request("GET", p.core("pods"))) + p.log()
    assert "t0ken" not in everything


def test_the_token_goes_nowhere_else(p):
    """Who may make sessions may not choose the server."""
    evil = Jira()
    order = {"path": "specs/ambient-x/spec.md", "summary": "s", "label": "ambient-1", "type": "Epic"}
    for name, more, why in (("by-variable", {"environmentVariables": {"JIRA_URL": evil.url}}, "spec.environmentVariables: "),
                            ("by-nothing", {"runnerConfig": {}}, "spec.runnerConfig: needs path"),
                            ("by-order", {"runnerConfig": {**order, "url": evil.url}}, "spec.runnerConfig.url: is no setting of")):
        p.request("POST", GROUP % p.ns, {"apiVersion": "vteam.ambient-code/v1alpha1", "kind": "AgenticSession", "metadata": {"name": name},
                                         "spec": {"prompt": "x", "runnerType": "jira", "runnerConfig": order,
                                                  "repos": [{"input": {"url": p.origins.url("specs"), "branch": "ambient-x"}}], **more}})
        s = lib.Session(p, name, p.ns)
        s.wait("Failed")
        assert why in s.status["message"], s.status
    assert not evil.requests
    evil.close()


def make():
    p = Platform("rfe-jira")
    p.jira = Jira()
    p.start()
    p.namespace()
    put_secret(p, JIRA_URL=p.jira.url, JIRA_PROJECT="ABC", JIRA_API_TOKEN="t0ken")
    return p


if __name__ == "__main__":
    lib.preconditions()
    sys.exit(lib.main(sys.modules[__name__], make))
