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


if __name__ == "__main__":
    the_lab = Lab()
    try:
        code = Tap([f for n, f in list(globals().items()) if n.startswith(("test_", "weakness_", "behaviour_"))]).run(the_lab)
    finally:
        the_lab.close()
    sys.exit(code)
