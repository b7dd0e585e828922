# SPDX-License-Identifier: Apache-2.0
"""What a person says to an agent at work, by the runner's endpoint: the real Claude Code CLI, a scripted Messages API."""
import hashlib
import http.client
import json
import os
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from messages_api import MessagesApi, text, tool  # noqa: E402
from runner_lab import PATIENCE, Lab, Tap, free_port  # noqa: E402

KEY, CLI = "sk-ant-test-0123456789abcdef", os.environ["AMBIENT_TEST_CLAUDE"]
SECRET, READER = "ab" * 32, "cd" * 32
WAIT = tool("Bash", command="touch ../up; while [ ! -e ../go ]; do sleep 0.05; done", description="wait")
SCENARIOS = {
    "talk": [[text("First answer.")], [text("Second answer.")], [text("Third answer.")], [text("Fourth answer.")]],
    "busy": [[WAIT], [text("Waited.")], [text("And heard.")]],
    "moved": [[WAIT], [text("Waited.")], [text("Welcome.")], [tool("Bash", command="pwd; cat $OLDPWD/nothing ../../late/README.md", description="look")],
              [text("Looked.")]],
    "stuck": [[tool("Bash", command="touch ../up; timeout 600 tail -f /dev/null", description="wait")], [text("After all.")],
              [text("After all.")]],
    "ask": [[tool("AskUserQuestion", questions=[{"question": "Which color?", "header": "Color", "multiSelect": False, "options": [
        {"label": "Blue", "description": "b"}, {"label": "Red", "description": "r"}]}])], [text("Noted.")]],
}
api = MessagesApi(SCENARIOS, key=KEY).start()
started = []


class Talk:
    """A session and somebody who talks to it."""

    def __init__(self, lab, scenario, config=None, interactive=True, prompt=True):
        self.port = free_port()
        env = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": api.url, "AMBIENT_CLAUDE": CLI, "IS_SANDBOX": "1",
               "CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS": "1"}
        self.scenario = "[[scenario:%s]] " % scenario
        self.pod = lab.pod({"initialPrompt": self.scenario + "please" if prompt else "", "runnerType": "claude-code",
                            "interactive": interactive, "model": "claude-sonnet-4-5", "runnerConfig": config or {}},
                           kind="claude-code", agent_env=env, agent_names=",".join(n for n in env if n != "AMBIENT_CLAUDE"),
                           runner_env={"AMBIENT_ENDPOINT": "[127.0.0.1]:%d" % self.port})
        later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))

        def value(secret):
            return hashlib.sha256(secret.encode()).hexdigest() + " " + later

        lab.api.session["metadata"]["annotations"] = {"access.ambient-code.io/me": value(SECRET),
                                                      "access.ambient-code.io/reader": value(READER) + " read"}
        self.said = 0
        started.append(self.pod)

    def ask(self, method, path, body=None, key=SECRET):
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60 * PATIENCE)
        try:
            conn.request(method, path, body, {"X-Ambient-Key": key})
            answer = conn.getresponse()
            return answer.status, answer.read()
        finally:
            conn.close()

    def say(self, kind, key=SECRET, **more):
        self.said += 1
        body = {"type": kind, "id": "say-%d" % self.said, **more}
        status, answer = self.ask("POST", "/v1/input", json.dumps(body), key)
        return status, json.loads(answer)

    def status(self):
        return json.loads(self.ask("GET", "/v1/status")[1])

    def up(self):
        assert self.pod.until(lambda: self.ask("GET", "/healthz", key="")[0] == 200), self.pod.read("stderr")
        return self

    def start(self):
        self.pod.start()
        self.up()
        assert self.pod.until(lambda: self.status()["state"] == "running"), self.pod.read("stderr")
        return self

    def until(self, condition):
        assert self.pod.until(condition), (self.pod.read("stderr"), self.pod.messages[-5:])

    def kinds(self, kind):
        return [m for m in self.pod.messages if m["type"] == kind]

    def results(self, n):
        self.until(lambda: len(self.kinds("result")) >= n and self.status()["turn"] == "idle")

    def end(self, code=0):
        status, answer = self.say("end")
        assert status == 200, answer
        self.pod.wait()
        assert self.pod.code == code, (self.pod.code, self.pod.report, self.pod.read("stderr"))
        assert self.pod.messages[-1]["state"] == "completed", self.pod.messages[-1]


def test_a_talk(lab):
    t = Talk(lab, "talk").start()
    t.results(1)
    body = {"type": "message", "id": "mine", "text": "go on\nplease \u2014 ghp_0123456789abcdefghijABCDEFGHIJ012345"}
    status, answer = t.ask("POST", "/v1/input", json.dumps(body))
    answer = json.loads(answer)
    assert status == 200 and answer["acknowledged"] is True and answer["id"] == "mine", answer
    t.results(2)
    # The same id again is the same answer, and is not said twice.
    assert (200, answer) == (lambda s, a: (s, json.loads(a)))(*t.ask("POST", "/v1/input", json.dumps(body)))
    user = t.kinds("user")
    assert len(user) == 1 and user[0]["seq"] == answer["seq"] and user[0]["client"] == "me" and user[0]["id"] == "mine", user
    assert user[0]["text"] == "go on\nplease \u2014 [redacted]", user
    assert t.say("message", text="once more")[0] == 200
    t.results(3)
    assert t.pod.texts() == ["First answer.", "Second answer.", "Third answer."], t.pod.texts()
    order = [m["type"] for m in t.pod.messages if m["type"] in ("user", "result")]
    assert order == ["result", "user", "result", "user", "result"], order
    assert len(t.status()["conversation"]) == 36
    t.end()
    assert t.pod.report["result"] == "Third answer.", t.pod.report


def test_what_is_said_while_a_turn_runs_is_heard_after_it(lab):
    t = Talk(lab, "busy").start()
    t.until(lambda: os.path.exists(t.pod.dir + "/workspace/up"))
    assert t.status()["turn"] == "running"
    assert t.say("message", text="and this")[0] == 200
    with open(t.pod.dir + "/workspace/go", "w"):
        pass
    t.until(lambda: "And heard." in t.pod.texts() or any("and this" in json.dumps(r["messages"]) for r in api.turns[-2:]))
    t.until(lambda: t.status()["turn"] == "idle")
    t.end()


def test_the_workspace_changes_between_two_turns(lab):
    """weakness_12_1_j with an agent that has a conversation: it is started again where it belongs, and goes on."""
    flow = lab.origin("talkflow", {".ambient/ambient.json": '{"systemPrompt": "Mind the gap.", "startupPrompt": "A new workflow."}'})
    late = lab.origin("late")
    t = Talk(lab, "moved")
    effective = {"interactive": True, "timeout": 0, "generation": 1, "mainRepoIndex": 0, "model": "claude-sonnet-4-5", "repos": []}
    lab.api.session["status"] = {"effective": effective}
    t.start()
    t.until(lambda: os.path.exists(t.pod.dir + "/workspace/up"))
    lab.api.changed({**lab.api.session, "status": {"effective": {
        **effective, "generation": 2, "repos": [{"index": 0, "credentials": -1, "name": "late", "url": late, "branch": "main",
                                                 "push": False, "pushUrl": late, "pushBranch": "x"}],
        "activeWorkflow": {"gitUrl": flow, "branch": "main", "path": "", "name": "talkflow", "credentials": -1}}}})
    t.until(lambda: os.path.exists(t.pod.dir + "/.ambient/staging-workflow/.ambient/ambient.json"))
    assert t.status()["turn"] == "running" and t.pod.report["reconciled"]["generation"] == 1, t.pod.report
    with open(t.pod.dir + "/workspace/go", "w"):
        pass
    t.until(lambda: t.pod.report["reconciled"]["generation"] == 2)
    t.results(2)
    assert t.pod.texts()[:2] == ["Waited.", "Welcome."], (t.pod.texts(), t.pod.messages[-8:], t.pod.read("stderr"))
    last = api.turns[-1]
    assert "Mind the gap." in str(last["system"]) and "A new workflow." in json.dumps(last["messages"]), last["system"]
    assert "Waited." in json.dumps(last["messages"])
    assert t.say("message", text="look around")[0] == 200
    t.results(3)
    seen = t.kinds("tool_result")[-1]["text"]
    assert t.pod.dir + "/workspace/workflows/talkflow" in seen and "hello" in seen, seen
    conversations = {m["conversation"] for m in t.kinds("result")}
    assert len(conversations) == 1 and len([m for m in t.kinds("session") if m["state"] == "agent-ready"]) == 1
    t.end()


def test_interrupt_ends_the_turn(lab):
    t = Talk(lab, "stuck").start()
    t.until(lambda: os.path.exists(t.pod.dir + "/workspace/up"))
    assert t.say("interrupt")[0] == 200
    t.results(1)
    assert t.kinds("result")[0]["isError"] is True
    status, answer = t.say("interrupt")
    assert status == 409 and answer["reason"] == "NoTurn", answer
    assert t.say("message", text="go on")[0] == 200
    t.results(2)
    assert "After all." in t.pod.texts(), t.pod.texts()
    t.end()


def test_a_talk_that_ends_after_an_interrupted_turn_is_completed(lab):
    t = Talk(lab, "stuck").start()
    t.until(lambda: os.path.exists(t.pod.dir + "/workspace/up"))
    assert t.say("interrupt")[0] == 200
    t.results(1)
    t.end()
    status = [m["text"] for m in t.kinds("status")]
    assert "a person interrupts the turn" in status and "a person ends the conversation" in status, status


def test_a_talk_of_no_words_is_completed(lab):
    t = Talk(lab, "talk", prompt=False).start()
    assert t.status()["turn"] == "idle"
    t.end()


def test_permissions_are_asked_for_and_answered(lab):
    outside = [os.path.join(lab.root, "allowed.txt"), os.path.join(lab.root, "denied.txt")]
    SCENARIOS["permit"] = [[tool("Write", file_path=outside[0], content="out\n")], [text("Done.")],
                           [tool("Write", file_path=outside[1], content="out\n")], [text("Not done.")]]
    t = Talk(lab, "permit", {"permissions": "ask"}).start()
    for i, answer in enumerate(({"behavior": "allow"}, {"behavior": "deny", "message": "not there"})):
        t.until(lambda: t.status()["pending"])
        asked = t.status()["pending"][0]
        assert asked["type"] == "permission" and asked["tool"] == "Write", asked
        assert t.kinds("permission")[-1]["id"] == asked["id"] and "decision" not in t.kinds("permission")[-1]
        status, body = t.say("answer", key=READER, to=asked["id"], answer=answer)
        assert status == 403 and body["reason"] == "ReadOnly", body
        status, body = t.say("answer", to="other", answer=answer)
        assert status == 409 and body["reason"] == "NotPending", body
        for vague in ({}, {"behavior": "Deny"}, {"answers": {}}):
            status, body = t.say("answer", to=asked["id"], answer=vague)
            assert status == 409 and body["reason"] == "Unclear" and "allow" in body["message"], body
        status, body = t.say("answer", to=asked["id"], answer=answer)
        assert status == 200, body
        decided = t.kinds("permission")[-1]
        assert decided["seq"] == body["seq"] and decided["id"] == asked["id"] and decided["client"] == "me", decided
        assert decided["decision"] == answer["behavior"] and t.status()["pending"] == [], decided
        t.results(i + 1)
        assert os.path.exists(outside[i]) == (i == 0)
        if i == 0:
            assert t.say("message", text="again")[0] == 200
    t.end()


def test_questions_are_answered(lab):
    t = Talk(lab, "ask").start()
    t.until(lambda: t.status()["pending"])
    asked = t.status()["pending"][0]
    assert asked["type"] == "question", asked
    status, body = t.say("answer", to=asked["id"], answer={"answers": {"Which color?": "Blue"}})
    assert status == 200 and t.kinds("question")[-1]["decision"] == "answered", body
    t.results(1)
    assert "Blue" in json.dumps(api.turns[-1]["messages"])
    t.end()


def test_a_batch_run_hears_only_an_interrupt(lab):
    t = Talk(lab, "stuck", interactive=False).start()
    for kind, more in (("message", {"text": "hello"}), ("end", {})):
        status, answer = t.say(kind, **more)
        assert status == 409 and answer["reason"] == "NotInteractive", answer
    t.until(lambda: os.path.exists(t.pod.dir + "/workspace/up"))
    assert t.say("interrupt")[0] == 200
    t.pod.wait()
    assert t.pod.code == 1 and t.pod.report["isError"] and t.pod.report["reason"] == "AgentInterrupted", (t.pod.code, t.pod.report)


def test_what_cannot_be_said(lab):
    t = Talk(lab, "talk")
    t.pod.start(agent=False)
    t.up()
    status, answer = t.say("message", text="early")
    assert status == 409 and answer["reason"] == "NotReady", answer
    good = {"type": "message", "id": "x", "text": "y"}
    bad = ["", "x", "[]", "{}", "null", '{"type":"message"}', '{"type":"message","type":"end","id":"x"}', "{" * 500,
           *[json.dumps({**good, **change}) for change in (
               {"type": "shout"}, {"type": 7}, {"id": ""}, {"id": "x" * 65}, {"id": "a b"}, {"id": 7}, {"id": "\u00e4"}, {"text": ""},
               {"text": 7}, {"text": "a\0b"}, {"type": "answer"}, {"type": "answer", "to": "x"},
               {"type": "answer", "to": "x" * 129, "answer": {}}, {"type": "answer", "to": "x", "answer": "yes"})]]
    for body in bad:
        status, answer = t.ask("POST", "/v1/input", body)
        assert status == 400 and json.loads(answer)["reason"] == "BadRequest", (body, answer)
    status, answer = t.ask("POST", "/v1/input", json.dumps({**good, "text": "x" * (1 << 20)}))
    assert status == 413, answer
    assert t.ask("GET", "/v1/input")[0] == 405
    t.pod.start_agent()
    t.results(1)
    # Much at once, and what the endpoint would not take as one piece; all of it reaches the agent.
    for word in ("x" * 1000000, json.dumps({"a": "\n"}) + "\u2028", "last"):
        assert t.say("message", text=word)[0] == 200
    large = t.kinds("user")[0]
    status, answer = t.ask("GET", "/v1/large?seq=%d" % large["seq"])
    assert status == 200 and json.loads(answer)["text"] == "x" * 1000000 and large["text"] == "x" * len(large["text"]), status
    assert len(answer) == large["bytes"] and large["file"] == "large/%d.json" % large["seq"], large
    t.until(lambda: "last" in json.dumps(api.turns[-1]["messages"]) and t.status()["turn"] == "idle")
    t.end()
    sent = json.dumps(api.turns[-1]["messages"])
    assert "x" * 1000000 in sent


if __name__ == "__main__":
    the_lab = Lab()
    try:
        code = Tap([f for n, f in list(globals().items()) if n.startswith("test_")]).run(the_lab)
    finally:
        for p in (p for pod in started for p in (pod.runner, pod.agent) if p is not None and p.poll() is None):
            p.terminate()  # of a case that failed
            p.wait(30 * PATIENCE)
        the_lab.close()
    sys.exit(code)
