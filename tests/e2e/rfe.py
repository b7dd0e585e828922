# SPDX-License-Identifier: Apache-2.0
"""Feature requests on their way through the agents, whom programs play: the council from end to end, what people do to
it meanwhile, and the workflows of older clients, whose steps a person starts."""
import json
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from lib import GROUP, Platform, git, until  # noqa: E402

FLOWS = "/apis/vteam.ambient-code/v1alpha1/namespaces/%s/rfeworkflows"
COUNCIL = ["Product Manager", "Solution Architect", "Staff Engineer", "Product Owner", "Team Lead", "Team Member",
           "Delivery Owner"]
ENDS = ("Completed", "Failed", "Cancelled")
RUN, AT = "ambient-code.io/run-step", "ambient-code.io/run-requested-at"
# What an agent says: who it is, how many have spoken before it, and what the last of them has said.
SPEAK = 'echo "$AGENT_PERSONA after $(grep -c "^## " "$AMBIENT_PROMPT_FILE") of $PARENT_RFE, hearing: ' \
        '$(grep " after [0-9]* of " "$AMBIENT_PROMPT_FILE" | tail -1 | cut -d" " -f1)"'


class Flow:
    def __init__(self, p, name, script=SPEAK, **spec):
        self.p, self.name = p, name
        self.path = FLOWS % p.ns + "/" + name
        if "request" not in spec and "title" not in spec:
            spec["request"] = "People want to log in with the account that they have."
        spec = {"runnerType": "command", "runnerConfig": {"command": ["sh", "-c", script]}, **spec}
        p.request("POST", FLOWS % p.ns, {"apiVersion": "vteam.ambient-code/v1alpha1", "kind": "RFEWorkflow",
                                         "metadata": {"name": name}, "spec": spec})

    @property
    def status(self):
        return (self.p.get(self.path) or {}).get("status", {})

    @property
    def steps(self):
        return self.status.get("steps", [])

    def condition(self, kind):
        return next((c for c in self.status.get("conditions", []) if c["type"] == kind), {})

    def wait(self, phase, reason=None):
        def there():
            now = self.status.get("phase")
            if now in ENDS and now != phase:
                raise AssertionError("%s is %s, not %s: %s" % (self.name, now, phase, self.status))
            return now == phase and (reason is None or self.condition("Ready").get("reason") == reason)
        try:
            until(there, lib.PATIENCE * 3, "%s to be %s" % (self.name, phase))
        except AssertionError as e:
            raise AssertionError("%s\nit is: %s\n%s" % (e, json.dumps(self.status), self.p.log()[-1500:])) from None

    def session(self, step):
        """The session that runs as that step."""
        def there():
            return next((s["session"] for s in self.steps if s["name"] == step and s["status"] == "Running"), None)
        return lib.Session(self.p, until(there, what="step %s of %s to run: %s" % (step, self.name, self.status)), self.p.ns)

    def sessions(self):
        items = self.p.request("GET", GROUP % self.p.ns + "?labelSelector=rfe-workflow")["items"]
        return sorted(s["metadata"]["name"] for s in items if s["metadata"]["ownerReferences"][0]["name"] == self.name)

    def patch(self, **spec):
        self.p.patch(self.path, {"spec": spec})

    def run(self, step, at="1"):
        self.p.patch(self.path, {"metadata": {"annotations": {RUN: step, AT: at}}})

    def events(self):
        return [e["reason"] for e in self.p.request("GET", self.p.core("events"))["items"]
                if e["involvedObject"]["kind"] == "RFEWorkflow" and e["involvedObject"]["name"] == self.name]


# ---- the council

def test_the_council_from_end_to_end(p):
    p.origins.make("service")
    f = Flow(p, "council", repos=[p.repo("service")], context="There are three identity providers.", stepTimeout=600)
    f.wait("Completed")
    s = f.status
    assert [x["agent"] for x in s["steps"]] == COUNCIL, s
    assert [x["stepNumber"] for x in s["steps"]] == [1, 2, 3, 4, 5, 6, 7] and s["currentStep"] == 7, s
    ids = [a.lower().replace(" ", "-") for a in COUNCIL]
    for i, step in enumerate(s["steps"]):
        assert step["status"] == "Completed" and step["startTime"] <= step["completionTime"], step
        hears = ids[i - 1] if i else ""
        assert step["output"].strip() == ("%s after %d of council, hearing: %s" % (ids[i], i, hears)).strip(), step
    assert s["finalRFE"] == "synthesis after 7 of council, hearing: delivery-owner", s["finalRFE"]
    assert s["progress"] == 100 and s["startTime"] <= s["completionTime"] and s["status"] == "completed", s
    assert f.condition("Completed")["observedGeneration"] == p.get(f.path)["metadata"]["generation"]
    assert len(f.sessions()) == 8, f.sessions()
    first = p.get(GROUP % p.ns + "/council-product-manager-1")
    assert first["spec"]["timeout"] == 600 and first["spec"]["repos"] == [p.repo("service")], first["spec"]
    assert "three identity providers" in first["spec"]["prompt"] and "log in with the account" in first["spec"]["prompt"]
    assert first["metadata"]["labels"]["rfe-phase"] == first["metadata"]["labels"]["agent-persona"] == "product-manager"
    assert first["metadata"]["ownerReferences"][0]["apiVersion"] == "vteam.ambient-code/v1alpha1"
    until(lambda: {"StepStarted", "StepCompleted", "Completed"} <= set(f.events()), what="its events: %s" % f.events())
    # With the workflow goes all that was made for it.
    p.request("DELETE", f.path)
    until(lambda: not f.sessions() and not p.request("GET", p.core("persistentvolumeclaims"))["items"], what="all of it to go")


def everything(p):
    """All that sessions of this project have made and not taken with them."""
    found = [x["metadata"]["name"] for x in p.request("GET", GROUP % p.ns)["items"]]
    for path in (p.core("persistentvolumeclaims"), p.core("serviceaccounts"), p.core("configmaps"), p.core("pods"), p.jobs()):
        found += [path + x["metadata"]["name"] for x in p.request("GET", path)["items"]
                  if "ambient-code.io/session" in x["metadata"].get("annotations", {})]
    return found


def test_the_daemon_is_killed_between_and_in_steps(p):
    """No step is begun twice, and none is left out."""
    before = set(everything(p))
    f = Flow(p, "killed", steps=[{"agent": a} for a in ("product-manager", "team-lead", "team-member", "delivery-owner")])
    for n in range(6):
        until(lambda: len(f.sessions()) > n // 2 or f.status.get("phase") in ENDS, what="another step")
        lib.pause(0.11 * n)
        p.kill9()
        p.restart()
    f.wait("Completed")
    assert [s["status"] for s in f.steps] == ["Completed"] * 4, f.steps
    assert [s["runs"] for s in f.steps] == [1] * 4 and len(f.sessions()) == 5, (f.steps, f.sessions())
    assert f.steps[3]["output"] == "delivery-owner after 3 of killed, hearing: team-member", f.steps
    p.request("DELETE", f.path)
    until(lambda: set(everything(p)) <= before, what="all of it to go")


def test_a_workflow_deleted_at_any_moment_leaves_nothing(p):
    p.origins.make("fleeting")
    before, others = set(everything(p)), set(p.pod_processes())
    for n in range(6):
        f = Flow(p, "gone-%d" % n, repos=[] if n % 2 else [p.repo("fleeting")])
        until(lambda: len(f.sessions()) > n // 3 if n else True, what="a session")
        lib.pause(0.15 * n)
        p.request("DELETE", f.path)
    until(lambda: set(everything(p)) <= before, what="all of them to go")
    until(lambda: not set(p.pod_processes()) - others, what="the processes to end")


def test_pause_resume_and_run_again(p):
    f = Flow(p, "paused", lib.GATED_BARE + "; " + SPEAK, synthesis=False, steps=[{"agent": "team-lead"}, {"agent": "team-member"}])
    first = f.session("team-lead")
    f.patch(desiredState="Paused")
    until(lambda: f.condition("Ready").get("reason") == "Pausing", what="it to say that it will pause")
    first.touch_when_up("go")
    f.wait("Paused")
    assert f.sessions() == ["paused-team-lead-1"], f.sessions()
    f.patch(desiredState="Running")
    f.session("team-member").touch_when_up("go")
    f.wait("Completed")
    assert "## 2. Team Member\n\nteam-member after 1 of paused" in f.status["finalRFE"], f.status["finalRFE"]
    f.run("team-member")
    again = f.session("team-member")
    assert again.name == "paused-team-member-2" and "finalRFE" not in f.status, f.status
    # Another wish while it runs: it is stopped, and the step before it done again.
    f.run("team-lead", "2")
    again.wait("Stopped")
    f.session("team-lead").touch_when_up("go")
    f.session("team-member").touch_when_up("go")
    f.wait("Completed")
    assert [s["runs"] for s in f.steps] == [2, 3], f.steps
    p.request("DELETE", f.path)


def test_cancel_stops_the_agent(p):
    f = Flow(p, "cancelled", lib.GATED_BARE)
    s = f.session("product-manager")
    s.wait("Running")
    pids = p.pod_processes(s)
    f.patch(desiredState="Cancelled")
    f.wait("Cancelled")
    assert s.phase == "Stopped" and s.status["stoppedReason"] == "user", s.status
    until(lambda: not lib.running(pids), what="the agent to end")
    p.request("DELETE", f.path)


def test_a_step_that_fails_and_one_that_takes_too_long(p):
    f = Flow(p, "fails", "echo so not >&2; exit 1", steps=[{"agent": "team-lead"}])
    f.wait("Failed")
    assert f.sessions() == ["fails-team-lead-1", "fails-team-lead-2"] and "so not" in f.status["message"], f.status
    f = Flow(p, "late", "exec sleep 600", steps=[{"agent": "team-lead", "timeout": 1, "retries": 0}])
    f.wait("Failed")
    assert f.steps[0]["reason"] == "Timeout" and "1 s" in f.status["message"], f.status
    # Somebody deletes the session of a step: that is one failure, and a new one is made.
    f = Flow(p, "robbed", lib.GATED_BARE, steps=[{"agent": "team-lead"}], synthesis=False)
    f.session("team-lead").delete()
    until(lambda: f.sessions() == ["robbed-team-lead-2"], what="another session: %s" % f.sessions())
    f.session("team-lead").touch_when_up("go")
    f.wait("Completed")


def test_a_step_that_waits_says_for_what(p):
    p.origins.make("locked")
    f = Flow(p, "keyless", steps=[{"agent": "team-lead"}], synthesis=False, repos=[p.repo("locked", authSecret="comes-later")])
    until(lambda: "comes-later" in f.status.get("message", ""), what="what it waits for to be said: %s" % f.status)
    assert f.condition("Ready")["reason"] == "StepWaiting" and '"keyless-team-lead-1"' in f.status["message"], f.status
    p.secret("comes-later", token="x")
    f.wait("Completed")
    p.request("DELETE", f.path)


def test_workflows_on_one_branch_follow_one_another(p):
    """Each goes on from what the one before has pushed, and nobody pushes into the work of another."""
    p.origins.make("in-turns")
    script = 'cd "$AMBIENT_SESSION_DIR/workspace/in-turns"; echo "$PARENT_RFE $AGENT_PERSONA" >> log; cat log | wc -l'
    flows = [Flow(p, "branch-" + n, script, branchName="shared", repos=[{"url": p.origins.url("in-turns")}], synthesis=False,
                  steps=[{"agent": "team-lead"}, {"agent": "team-member"}]) for n in "abc"]
    for f in flows:
        f.wait("Completed")
        assert [s["runs"] for s in f.steps] == [1, 1] and f.status["pushed"] == [p.origins.url("in-turns")], f.status
    log = [line.split() for line in p.origins.show("in-turns", "shared:log").splitlines()]
    assert [agent for _, agent in log] == ["team-lead", "team-member"] * 3, log
    assert [log[i][0] == log[i + 1][0] for i in range(0, 6, 2)] == [True] * 3 and len({flow for flow, _ in log}) == 3, log
    assert sorted(s["output"] for f in flows for s in f.steps) == list("123456"), log
    for f in flows:
        p.request("DELETE", f.path)


def test_an_output_of_ten_megabytes(p):
    """In lines, of which the last is the result; in one line, which is cut and told to be."""
    f = Flow(p, "big", 'if [ $AGENT_PERSONA = team-lead ]; then yes abcdefg | head -c 10485760; echo last; '
             'else head -c 9000000 /dev/zero | tr "\\0" "<"; fi', steps=[{"agent": "team-lead"}, {"agent": "team-member"}], synthesis=False)
    f.wait("Completed")
    assert f.steps[0]["output"] == "last" and "outputBytes" not in f.steps[0], f.steps[0]
    assert f.steps[1]["output"] == "<" * 9900 + "\n[cut here: 9900 of more than 8388608 bytes]", f.steps[1]["output"][-100:]
    assert f.steps[1]["outputBytes"] == 8388608 and f.condition("OutputsComplete")["status"] == "False", f.status
    assert "big-team-member-1" in f.condition("OutputsComplete")["message"], f.status
    p.request("DELETE", f.path)


def test_an_agent_that_comes_later(p):
    f = Flow(p, "unknown", steps=[{"agent": "security-officer"}], synthesis=False)
    f.wait("Pending", "AgentUnknown")
    assert "those known: delivery-owner, implement" in f.status["message"], f.status
    p.request("POST", p.core("configmaps"), {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ambient-agents"},
                                             "data": {"security-officer.md": "---\nname: Security Officer\n---\nBe wary."}})
    f.wait("Completed")
    assert f.steps[0]["agent"] == "Security Officer" and f.steps[0]["output"].startswith("security-officer after 0"), f.steps


# ---- older clients

WRITE = 'cd "$AMBIENT_SESSION_DIR/workspace/specs"; mkdir -p specs/ambient-x; ' \
        'echo "$WORKFLOW_PHASE" > "specs/ambient-x/$WORKFLOW_PHASE.md"; echo "found $(ls specs/ambient-x | wc -l)"'


SEEDED = (".claude/agents/product-manager.md", ".claude/commands/speckit.specify.md", ".specify/memory/constitution.md",
          ".specify/scripts/bash/documents.sh", ".specify/templates/spec-template.md")


def files_of(p, repo, branch):
    return git("--git-dir", p.origins.bare(repo), "ls-tree", "-r", "--name-only", branch).split()


def test_an_umbrella_repository_is_seeded_before_the_first_step(p):
    p.origins.make("blank", {"README.md": "hello\n", ".specify/memory/constitution.md": "ours\n"})
    p.origins.make("code")
    spec = {"title": "Export", "description": "of invoices", "branchName": "it's-$(id)", "umbrellaRepo": {"url": p.origins.url("blank")},
            "supportingRepos": [{"url": p.origins.url("code")}]}
    # What an agent finds on the branch: a command's script tells the folder, and misses what is missing.
    find = 'cd "$AMBIENT_SESSION_DIR/workspace/blank"; .specify/scripts/bash/documents.sh spec.md 2>&1 | tail -1; ' \
           'echo "$(basename "$(.specify/scripts/bash/documents.sh)")"'
    f = Flow(p, "seeded", find, **spec)
    f.wait("Ready", "WaitingForPerson")
    assert f.condition("Seeded")["status"] == "True" and f.condition("Seeded")["reason"] == "Seeded", f.status
    there = files_of(p, "blank", spec["branchName"])
    assert not set(SEEDED) - set(there) and "specs/%s/README.md" % spec["branchName"] in there, there
    assert "files written, 1 were there" in f.condition("Seeded")["message"], f.status
    assert p.origins.show("blank", spec["branchName"] + ":.specify/memory/constitution.md") == "ours"
    modes = git("--git-dir", p.origins.bare("blank"), "ls-tree", spec["branchName"], ".specify/scripts/bash/")
    assert modes.startswith("100755"), modes
    # The same branch in the repositories of the code, at what it began from.
    assert git("--git-dir", p.origins.bare("code"), "rev-parse", spec["branchName"]) == \
        git("--git-dir", p.origins.bare("code"), "rev-parse", "main")
    f.run("specify")
    until(lambda: f.steps[0].get("output"), lib.PATIENCE * 2, "the first step: %s" % f.status)
    assert f.steps[0]["output"] == spec["branchName"], f.steps
    # Once more: it is found, and nothing is written.
    before = p.origins.commits("blank", spec["branchName"])
    f.run("seed", "2")
    until(lambda: f.status["seed"]["runs"] == 2, what="it to be seeded again")
    f.wait("Ready", "WaitingForPerson")
    assert f.condition("Seeded")["reason"] == "AlreadySeeded" and "was there already" in f.condition("Seeded")["message"], f.status
    assert p.origins.commits("blank", spec["branchName"]) == before == 1
    p.request("DELETE", f.path)


def test_seeding_that_cannot_be_done_is_told(p):
    f = Flow(p, "unseeded", title="Export", description="of invoices", branchName="x", retries=0,
             umbrellaRepo={"url": p.origins.url("blank"), "branch": "trunk"})
    f.wait("Failed")
    assert f.condition("Failed")["reason"] == "SeedFailed" and 'has no branch "trunk"' in f.status["message"], f.status
    # The same URL and another base: it goes on where a person says so.
    f.patch(umbrellaRepo={"url": p.origins.url("blank"), "branch": "main"})
    f.run("seed")
    until(lambda: f.status["phase"] != "Failed", what="it to begin again")
    f.wait("Ready", "WaitingForPerson")
    # A repository of the code that is not there is an error of the whole.
    other = Flow(p, "half-seeded", title="Export", description="of invoices", branchName="y", retries=0,
                 umbrellaRepo={"url": p.origins.url("blank")}, supportingRepos=[{"url": p.origins.url("nowhere")}])
    other.wait("Failed")
    assert other.condition("Seeded")["reason"] == "SeedNotPushed" and "nowhere" in other.condition("Seeded")["message"], other.status
    for flow in (f, other):
        p.request("DELETE", flow.path)


def test_an_older_workflow_waits_for_people_and_pushes_to_its_branch(p):
    p.origins.make("specs")
    p.origins.make("billing")
    spec = {"title": "Export", "description": "of invoices", "branchName": "ambient-x", "seed": False,
            "umbrellaRepo": {"url": p.origins.url("specs")}, "supportingRepos": [{"url": p.origins.url("billing")}]}
    f = Flow(p, "older", WRITE, **spec)
    f.wait("Ready", "WaitingForPerson")
    second = Flow(p, "younger", WRITE, **{**spec, "umbrellaRepo": {"url": p.origins.url("specs").replace(".git", "/")}})
    second.wait("Initializing", "BranchInUse")
    assert '"older"' in second.status["message"], second.status
    assert not f.sessions() and not second.sessions()
    for n, step in enumerate(("specify", "plan", "tasks", "implement")):
        f.run(step)
        until(lambda: [s for s in f.steps if s["name"] == step and s["status"] == "Completed"], lib.PATIENCE * 2,
              "%s to be done: %s" % (step, f.status))
        # Each finds what those before it have pushed.
        assert f.steps[n]["output"] == "found %d" % (n + 1), f.steps
    f.wait("Completed")
    assert p.origins.commits("specs", "ambient-x") == 4 and p.origins.commits("billing", "ambient-x") == 0
    assert p.origins.show("specs", "ambient-x:specs/ambient-x/tasks.md").strip() == "tasks"
    # Unseeded too: the branch is in every repository after the first step, whether it was changed there or not.
    assert f.status["pushed"] == [p.origins.url("specs"), p.origins.url("billing")], f.status
    # The branch is free, and whoever waited for it is woken.
    second.wait("Ready", "WaitingForPerson")
    p.request("DELETE", f.path)
    p.request("DELETE", second.path)


def test_a_session_that_a_person_made_counts_as_a_step(p):
    f = Flow(p, "linked", title="Export", description="of invoices", umbrellaRepo={"url": p.origins.url("specs")}, seed=False)
    f.wait("Ready", "WaitingForPerson")
    p.request("POST", GROUP % p.ns, {"apiVersion": "vteam.ambient-code/v1alpha1", "kind": "AgenticSession", "metadata": {
        "name": "by-hand", "labels": {"rfe-workflow": "linked", "rfe-phase": "specify"}}, "spec": {
            "prompt": "/speckit.specify", "runnerType": "command", "runnerConfig": {"command": ["echo", "specified"]}}})
    until(lambda: f.status.get("currentPhase") == "plan", what="the step to be done")
    f.wait("Ready", "WaitingForPerson")
    assert f.steps[0]["output"] == "specified" and f.steps[0]["session"] == "by-hand", f.steps
    p.request("DELETE", f.path)
    # It was theirs, and stays.
    until(lambda: p.get(f.path) is None, what="the workflow to go")
    assert lib.Session(p, "by-hand", p.ns).phase == "Completed"
    p.request("DELETE", GROUP % p.ns + "/by-hand")


def test_the_documents_are_committed(p):
    p.origins.make("shelf", {"specs/kept/01-team-lead.md": "older\n", "README.md": "hello\n"})
    f = Flow(p, "kept", 'printf "%s\\n" "=== file 0:evil" "two words"; echo "three words"', steps=[{"agent": "team-lead"}],
             documents={"repo": {"url": p.origins.url("shelf")}, "branch": "requests"})
    f.wait("Completed")
    assert f.status["documents"]["status"] == "Completed", f.status
    assert p.origins.commits("shelf", "requests") == 1
    assert p.origins.show("shelf", "requests:specs/kept/01-team-lead.md") == f.steps[0]["output"]
    assert p.origins.show("shelf", "requests:specs/kept/rfe.md") == f.status["finalRFE"]
    files = git("--git-dir", p.origins.bare("shelf"), "ls-tree", "-r", "--name-only", "requests").split()
    assert files == ["README.md", "specs/kept/01-team-lead.md", "specs/kept/rfe.md"], files
    # A branch that is there, of which this workflow knows nothing, is continued.
    other = Flow(p, "kept-too", "echo words", steps=[{"agent": "team-lead"}], synthesis=False,
                 documents={"repo": {"url": p.origins.url("shelf")}, "branch": "requests", "path": "specs/other"})
    other.wait("Completed")
    assert p.origins.show("shelf", "requests:specs/other/01-team-lead.md") == "words"
    assert p.origins.commits("shelf", "requests") == 2 and other.status["documents"]["runs"] == 1, other.status
    p.request("DELETE", other.path)
    # Once more: nothing has changed, and that is no failure.
    f.run("documents")
    until(lambda: f.status.get("documents", {}).get("runs") == 2, what="the documents to be committed again")
    f.wait("Completed")
    assert f.status["documents"]["runs"] == 2, f.status
    assert p.origins.commits("shelf", "requests") == 2
    p.request("DELETE", f.path)


# ---- bad input

def test_definitions_refuse_what_they_can(p):
    for spec, sentence in (({"request": ""}, "spec.request"), ({"request": "r", "desiredState": "Halted"}, "desiredState"),
                           ({"request": "r", "steps": [{"name": "x"}]}, "agent"), ({"request": "r", "stepTimeout": 0}, "stepTimeout"),
                           ({"request": "r", "stepTimeout": 2 ** 31}, "stepTimeout"), ({"title": "t"}, "spec"),
                           ({"request": "r", "steps": [{"agent": "a", "name": "A B"}]}, "name"),
                           ({"request": "r", "model": "-m"}, "spec.model: Invalid value: \"string\": is no name of a model"),
                           ({"request": "r", "steps": [{"agent": "a", "model": "-m"}]}, "spec.steps[0].model"),
                           ({"request": "r", "branchName": "--upload-pack=x"}, "spec.branchName"),
                           ({"request": "r", "branchName": "main"}, "spec.branchName: Invalid value: \"string\": is a branch that others"),
                           ({"request": "r", "documents": {"repo": {"url": "https://h/a"}, "path": "../x"}}, "spec.documents.path"),
                           ({"request": "r", "documents": {"repo": {"url": "https://h/a"}, "path": "a/.git"}}, "spec.documents.path"),
                           ({"request": "r", "documents": {"repo": {"url": "https://h/a"}, "path": "a\nb"}}, "spec.documents.path"),
                           ({"request": "r", "documents": {"repo": {"url": "ext::sh -c id"}}}, "spec.documents.repo.url")):
        try:
            p.request("POST", FLOWS % p.ns, {"apiVersion": "vteam.ambient-code/v1alpha1", "kind": "RFEWorkflow",
                                             "metadata": {"name": "bad"}, "spec": spec})
        except lib.Status as e:
            assert e.code == 422 and sentence in str(e), (spec, e)
        else:
            raise AssertionError("taken: %s" % spec)


def test_long_names(p):
    for length in (63, 253):
        f = Flow(p, "n" * length, steps=[{"agent": "team-lead"}], synthesis=False)
        f.wait("Completed")
        assert len(f.sessions()[0]) <= 63, f.sessions()
        p.request("DELETE", f.path)


if __name__ == "__main__":
    sys.exit(lib.suite(sys.modules[__name__], Platform, "rfe"))
