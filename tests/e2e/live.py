# SPDX-License-Identifier: Apache-2.0
"""What a session's workspace holds beside the work: the workflow that the agent follows, and what changes while it runs."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from runner_lab import Lab, Tap, git  # noqa: E402

FLOW = {"flows/review/.ambient/ambient.json": '{"name": "r", "systemPrompt": "Review slowly.", "startupPrompt": "Hello."}',
        "flows/review/steps.md": "one\n", "flows/plain/a.txt": "a\n", "other.txt": "o\n"}


def planned(lab, pod, repos=(), workflow=None, **more):
    """What the operator would have worked out."""
    effective = {"interactive": False, "timeout": 0, "generation": 1, "mainRepoIndex": 0, "repos": [
        {"index": i, "credentials": -1, "name": os.path.basename(url)[:-4], "url": url, "branch": "main", "push": False,
         "pushUrl": url, "pushBranch": "work"} for i, url in enumerate(repos)], **more}
    if workflow:
        url, path = workflow
        effective["activeWorkflow"] = {"gitUrl": url, "branch": "main", "path": path, "name": "flow", "credentials": -1}
    lab.api.session["status"] = {"effective": effective}
    return pod


def session(lab, script, repos=(), workflow=None, volume=None, **more):
    spec = {"prompt": "do it", "runnerType": "command", "runnerConfig": {"command": ["sh", "-c", script]}}
    return planned(lab, lab.pod(spec, volume=volume), repos, workflow, **more)


def test_the_agent_starts_in_the_workflow(lab):
    flow, work = lab.origin("flow", FLOW), lab.origin("flowed")
    p = session(lab, "pwd; cat steps.md; ls -a; ls ..; test -e ../../flowed/README.md", [work], (flow, "flows/review")).go()
    assert p.code == 0, (p.code, p.report, p.read("stderr"))
    assert p.texts() == [p.dir + "/workspace/workflows/flow", "one", ".", "..", ".ambient", "steps.md", "flow"], p.texts()
    said = p.report["reconciled"]
    assert said["generation"] == 1 and said["workflow"]["status"] == "Active" and said["workflow"]["at"], said
    assert [(r["name"], r["status"]) for r in said["repos"]] == [("flowed", "Ready")], said
    assert (said["repos"][0]["branches"], said["repos"][0]["currentBranch"], said["repos"][0]["defaultBranch"]) == (["main"], "main", "main"), said
    assert [r["name"] for r in p.report["repos"]] == ["flowed"], p.report["repos"]


def test_a_workflow_is_laid_out_once_and_its_change_keeps_what_was_there(lab):
    flow = lab.origin("flow2", FLOW)
    p = session(lab, "echo mine > mine.txt", (), (flow, "flows/review")).go()
    assert p.code == 0, p.report
    again = session(lab, "cat mine.txt", (), (flow, "flows/review"), volume=p.volume).go()
    assert again.code == 0 and again.texts() == ["mine"], (again.report, again.texts())
    other = session(lab, "ls; ls ../../removed", (), (flow, "flows/plain"), volume=p.volume).go()
    assert other.code == 0 and other.texts() == ["mine", "a.txt", "flow-1"], (other.report, other.texts())
    assert open(p.dir + "/workspace/removed/flow-1/mine.txt").read() == "mine\n"


def test_hostile_workflows_are_refused_with_a_sentence(lab):
    for name, files, path, words in (
            ("none", FLOW, "flows/absent", 'the workflow\'s repository has no directory "flows/absent" on branch "main"'),
            ("file", FLOW, "other.txt", "has no directory"),
            ("large", {"f/ambient.json": '{"systemPrompt": "%s"}' % ("x" * 70000)}, "f", "ambient.json has 70020 bytes, more than 65536"),
            ("long", {"f/ambient.json": '{"systemPrompt": "%s"}' % ("x" * 40000)}, "f", "systemPrompt of the workflow's ambient.json must be"),
            ("typed", {"f/ambient.json": '{"startupPrompt": ["x"]}'}, "f", "startupPrompt of the workflow's ambient.json must be a text"),
            ("broken", {"f/ambient.json": '{"startupPrompt": '}, "f", "the workflow's ambient.json is no JSON object")):
        p = session(lab, "true", (), (lab.origin("bad-" + name, files), path)).go()
        assert p.code == 1 and p.report["reason"] == "WorkflowFailed" and words in p.report["message"], (name, p.report)
        assert p.report["reconciled"]["workflow"]["status"] == "Failed", p.report
    p = session(lab, "true", (), ("git://127.0.0.1:%d/nowhere.git" % lab.port, "")).go()
    assert p.code == 1 and p.report["reason"] == "WorkflowFailed", p.report
    p = session(lab, "true", (), ("file:///etc", "")).go()
    assert p.code == 1 and p.report["reason"] == "WorkflowFailed", p.report


def test_a_planted_directory_is_not_followed(lab):
    flow, outside = lab.origin("flow3", FLOW), os.path.join(lab.root, "outside")
    os.mkdir(outside)
    p = session(lab, "rm -rf ../workflows; ln -s %s ../workflows" % outside).go()
    assert p.code == 0, p.report
    p = session(lab, "true", (), (flow, "flows/review"), volume=p.volume).go()
    assert p.code == 1 and p.report["reason"] == "WorkflowFailed" and os.listdir(outside) == [], p.report


def change(lab, pod, **effective):
    """The operator takes an edit."""
    now = lab.api.session["status"]["effective"]
    lab.api.changed({**lab.api.session, "status": {"effective": {**now, **effective, "generation": now["generation"] + 1}}})
    return now["generation"] + 1


def entry(url, **more):
    return {"index": 0, "credentials": -1, "name": os.path.basename(url)[:-4], "url": url, "branch": "main", "push": False,
            "pushUrl": url, "pushBranch": "work", **more}


def acknowledged(pod, generation):
    return pod.until(lambda: pod.report["reconciled"]["generation"] == generation)


def weakness_12_1_j_a_repository_that_comes_and_one_that_goes(lab):
    """Cloned, handed over and acknowledged; what goes is kept whole."""
    first, second = lab.origin("first"), lab.origin("second", {"second.txt": "2\n"})
    p = session(lab, "echo unsaved > mine.txt; cd ..; touch up; while ! [ -e go ]; do sleep 0.05; done; echo by-me >> second/second.txt",
                [first], interactive=True).start()
    assert p.until(lambda: os.path.exists(p.dir + "/workspace/up")), p.read("stderr")
    assert acknowledged(p, 1) and not os.path.exists(p.dir + "/workspace/second")
    change(lab, p, repos=[entry(first), entry(second, push=True)])
    assert acknowledged(p, 2), (p.report, p.read("stderr"))
    assert [(r["name"], r["status"]) for r in p.report["reconciled"]["repos"]] == [("first", "Ready"), ("second", "Ready")], p.report
    assert open(p.dir + "/workspace/second/second.txt").read() == "2\n"
    change(lab, p, repos=[entry(second, push=True)])
    assert acknowledged(p, 3), (p.report, p.read("stderr"))
    assert open(p.dir + "/workspace/removed/first-1/mine.txt").read() == "unsaved\n"
    assert git("rev-parse", "HEAD", cwd=p.dir + "/workspace/removed/first-1")
    assert p.report["reconciled"]["repos"][1] == {"name": "first", "status": "Removed", "where": "removed/first-1"}, p.report
    assert 'its files are kept in workspace/removed/first-1' in "".join(p.texts("status")), p.texts("status")
    # It comes again, fresh.
    change(lab, p, repos=[entry(second, push=True), entry(first)])
    assert acknowledged(p, 4) and not os.path.exists(p.dir + "/workspace/first/mine.txt"), p.report
    open(p.dir + "/workspace/go", "w").close()
    p.wait()
    assert p.code == 0, (p.code, p.report, p.read("stderr"))
    assert [(r["name"], r["status"]) for r in p.report["repos"]] == [("second", "pushed"), ("first", "nochanges")], p.report
    assert git("--git-dir", lab.bare("second"), "show", "work:second.txt") == "2\nby-me"


def test_another_branch_and_another_workflow(lab):
    flow, work = lab.origin("flow4", FLOW), lab.origin("branched")
    git("--git-dir", lab.bare("branched"), "branch", "dev", "main")
    plan = {"gitUrl": flow, "branch": "main", "path": "flows/review", "name": "flow", "credentials": -1}
    p = session(lab, "cd %s/workspace; touch up; while ! [ -e go ]; do sleep 0.05; done; git -C branched branch --show-current; "
                     "ls workflows/flow" % "$AMBIENT_SESSION_DIR", [work], (flow, "flows/review"), interactive=True).start()
    assert p.until(lambda: os.path.exists(p.dir + "/workspace/up")), p.read("stderr")
    open(p.dir + "/workspace/branched/mine.txt", "w").close()
    change(lab, p, repos=[entry(work, branch="dev")], activeWorkflow={**plan, "path": "flows/plain"})
    assert acknowledged(p, 2), (p.report, p.read("stderr"))
    assert os.listdir(p.dir + "/workspace/workflows/flow") == ["a.txt"]
    assert sorted(os.listdir(p.dir + "/workspace/removed")) == ["branched-1", "flow-1"]
    assert os.path.exists(p.dir + "/workspace/removed/branched-1/mine.txt")
    # The workflow goes, the other one stays.
    now = lab.api.session["status"]["effective"]
    now.pop("activeWorkflow")
    change(lab, p)
    assert acknowledged(p, 3) and "workflow" not in p.report["reconciled"], p.report
    assert os.listdir(p.dir + "/workspace/workflows") == []
    change(lab, p, activeWorkflow=plan)
    assert acknowledged(p, 4) and p.report["reconciled"]["workflow"]["status"] == "Active", p.report
    open(p.dir + "/workspace/go", "w").close()
    p.wait()
    assert p.code == 0 and p.texts() == ["dev", "steps.md"], (p.code, p.texts(), p.read("stderr"))


def test_a_clone_that_fails_is_tried_again(lab):
    good, missing = lab.origin("good"), "git://127.0.0.1:%d/later.git" % lab.port
    p = session(lab, "cd ..; touch up; while ! [ -e go ]; do sleep 0.05; done", [good], interactive=True)
    p.runner_env["AMBIENT_CLONE_RETRY"] = "50ms"
    p.start()
    assert p.until(lambda: os.path.exists(p.dir + "/workspace/up")), p.read("stderr")
    other = lab.origin("other")
    change(lab, p, repos=[entry(good), entry(missing), entry(other)])
    assert acknowledged(p, 2), (p.report, p.read("stderr"))
    said = {r["name"]: r for r in p.report["reconciled"]["repos"]}
    assert said["other"]["status"] == "Ready" and said["later"]["status"] == "Failed" and said["later"]["error"], said
    assert os.path.exists(p.dir + "/workspace/other/README.md")
    lab.origin("later")
    assert p.until(lambda: {r["name"]: r["status"] for r in p.report["reconciled"]["repos"]}["later"] == "Ready"), p.report
    open(p.dir + "/workspace/go", "w").close()
    p.wait()
    assert p.code == 0, (p.code, p.report)


def test_a_timeout_that_is_edited_holds(lab):
    p = session(lab, "touch ../up; while :; do sleep 0.05; done", timeout=3600).start()
    assert p.until(lambda: os.path.exists(p.dir + "/workspace/up")), p.read("stderr")
    change(lab, p, timeout=3000)
    assert acknowledged(p, 2), p.report
    change(lab, p, timeout=1)
    p.wait()
    assert p.code == 1 and p.report["reason"] == "Timeout" and "its timeout of 1 second" in p.report["message"], p.report


def test_an_edit_of_another_run_is_not_taken(lab):
    p = session(lab, "touch ../up; while ! [ -e ../go ]; do sleep 0.05; done", timeout=3600).start()
    assert p.until(lambda: os.path.exists(p.dir + "/workspace/up")), p.read("stderr")
    o = lab.api.session
    lab.api.changed({**o, "status": {"runId": "another", "effective": {**o["status"]["effective"], "timeout": 1, "generation": 5}}})
    change(lab, p, timeout=3001)
    assert acknowledged(p, 6), p.report
    open(p.dir + "/workspace/go", "w").close()
    p.wait()
    assert p.code == 0, p.report


if __name__ == "__main__":
    the_lab = Lab()
    try:
        code = Tap([f for n, f in list(globals().items()) if n.startswith(("test_", "weakness_", "behaviour_"))]).run(the_lab)
    finally:
        the_lab.close()
    sys.exit(code)
