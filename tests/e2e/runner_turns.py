# SPDX-License-Identifier: Apache-2.0
"""Chats of runner types whose program takes one prompt and ends: a script plays the CLI, the test the runner.  The real
CLIs do the same in runner_codex and its like."""
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from chat_lab import Chat  # noqa: E402
from runner_lab import Lab as Pods  # noqa: E402
from runner_lab import PATIENCE, Tap, free_port  # noqa: E402

# Answers like "codex exec --json": which conversation it goes on with, and what it was asked.
CLI = """#!/bin/sh
[ "$1" = --version ] && { echo x >> "$0.versions"; echo "codex-cli 0.169.0"; exit 0; }
go=new; [ "$2" = resume ] && go=$3
asked=$(cat)
mkdir -p "$CODEX_HOME/sessions/2026/11/27"
touch "$CODEX_HOME/sessions/2026/11/27/rollout-2026-11-27T02-56-50-01a21aef-2546.jsonl"
echo '{"type":"thread.started","thread_id":"01a21aef-2546"}'
case $asked in
wait*) echo '{"type":"item.started","item":{"id":"i","type":"command_execution","command":"sleep"}}'; exec sleep 600 ;;
deaf*) trap '' INT; echo '{"type":"item.started","item":{"id":"i","type":"command_execution","command":"deaf"}}'
       while :; do sleep 600; done ;;
fail*) echo '{"type":"turn.failed","error":{"message":"unexpected status 429"}}'; exit 1 ;;
key*)  echo '{"type":"turn.failed","error":{"message":"unexpected status 401"}}'; exit 1 ;;
die*)  kill -9 $$ ;;
left*) sleep 600 & ;;
gate*) until [ -e "$0.go" ]; do sleep 0.02; done ;;
where*) asked=$(basename "$PWD") ;;
esac
printf '{"type":"item.completed","item":{"id":"m","type":"agent_message","text":"%s after %s"}}\\n' "$asked" "$go"
echo '{"type":"turn.completed","usage":{"input_tokens":1,"output_tokens":2}}'
"""
THREAD = "01a21aef-2546"


class Lab:
    def __init__(self):
        self.open = []
        self.dir = tempfile.mkdtemp(prefix="amb-turns-", dir="/tmp")

    def keep(self, c):
        self.open.append(c)
        return c

    def close(self):
        for c in self.open:
            c.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def program(lab):
    path = os.path.join(lab.dir, "codex")
    if not os.path.exists(path):
        with open(path, "w") as f:
            f.write(CLI)
        os.chmod(path, 0o755)
    return path


def start(lab, first="", env=None, **options):
    env = {"AMBIENT_CODEX": program(lab), "OPENAI_API_KEY": "k", **(env or {})}
    return lab.keep(Chat("codex", env, first, names="OPENAI_API_KEY", **options))


def test_each_prompt_goes_on_with_the_conversation(lab):
    c = start(lab, "one")
    at, result = c.turn()
    assert result["text"] == "one after new" and result["turns"] == 1 and not result["isError"], result
    c.prompt("two")
    at, result = c.turn(at)
    assert result["text"] == "two after " + THREAD and result["turns"] == 2 and result["conversation"] == THREAD, result
    # Prompts that come at once wait for each other; one with many lines and odd characters arrives whole.
    for text in ("three", "four", "f\u00fcnf 'x' $(id)"):
        c.prompt(text)
    for text in ("three", "four", "f\u00fcnf 'x' $(id)"):
        at, result = c.turn(at)
        assert result["text"] == text + " after " + THREAD, result
    # Between them it is not said that there is nothing to do; afterwards it is.
    at = c.idle(at)
    turns = [i for i, m in enumerate(c.heard) if m["t"] == "turn"]
    results = [i for i, m in enumerate(c.heard) if m["t"] == "message" and m["type"] == "result"]
    assert turns[-1] > results[-1] and len(turns) <= len(results), (turns, results)
    # It is said once that the agent is ready, and asked once which version it is.
    assert len([m for m in c.heard if m["t"] == "message" and m["type"] == "session"]) == 1, c.heard
    with open(os.path.join(lab.dir, "codex.versions")) as f:
        assert f.read() == "x\n"
    outcome = c.finish(t="end")
    assert outcome["success"] and outcome["exitCode"] == 0, outcome


def test_a_chat_that_begins_without_a_prompt(lab):
    c = start(lab, resume=THREAD)
    c.prompt("")
    c.prompt("hello")
    _, result = c.turn()
    assert result["text"] == "hello after new", result
    assert c.finish(t="end")["success"]
    # And one that nobody ever asks anything.
    c = start(lab)
    assert c.finish(t="end")["success"] and c.texts() == []


def test_an_interrupt_ends_the_turn_only(lab):
    c = start(lab, "wait")
    at, _ = c.message("tool_call")
    c.say(t="interrupt")
    c.say(t="interrupt")
    at, result = c.turn(at)
    assert result["isError"], result
    c.prompt("next")
    at, result = c.turn(at)
    assert result["text"] == "next after " + THREAD and not result["isError"], result
    # Between turns there is nothing to interrupt.
    c.idle(at)
    c.say(t="interrupt")
    c.prompt("last")
    at, result = c.turn(at)
    assert result["text"] == "last after " + THREAD, result
    assert c.finish(t="end")["success"]


def test_the_workspace_changes_between_turns(lab):
    """weakness_12_1_j: the turn that runs ends first, and the next one begins in the new layout."""
    c = start(lab, "wait")
    at, _ = c.message("tool_call")
    c.say(t="hold")
    c.prompt("where")
    c.say(t="interrupt")
    at, result = c.turn(at)
    held = c.wait_for(lambda m: m["t"] == "held")
    assert held > at - 1 and result["isError"], c.heard
    os.mkdir(c.dir + "/other")
    c.say(t="layout", workdir=c.dir + "/other", dirs=[], instructions="", repos=[])
    there = c.wait_for(lambda m: m["t"] == "laidout")
    at, result = c.turn(at)
    assert there < at and result["text"] == "other after " + THREAD, (result, c.heard)
    # When nothing runs it is held at once; the new workflow may have something to say.
    c.idle(at)
    c.say(t="hold")
    c.wait_for(lambda m: m["t"] == "held", held + 1)
    c.say(t="layout", workdir=c.dir + "/work", dirs=[], instructions="", say="hello", repos=[])
    at, result = c.turn(at)
    assert result["text"] == "hello after " + THREAD, result
    # One that is held ends when it is asked to.
    c.idle(at)
    c.say(t="hold")
    c.wait_for(lambda m: m["t"] == "held", there + 1)
    assert c.finish(t="end")["success"]


def test_one_that_hears_no_interrupt_is_ended_otherwise(lab):
    c = start(lab, "deaf")
    at, _ = c.message("tool_call")
    c.say(t="interrupt")
    at, result = c.turn(at)
    assert result["isError"], result
    c.prompt("next")
    at, result = c.turn(at)
    assert result["text"] == "next after " + THREAD, result
    assert c.finish(t="end")["success"]


def test_a_turn_that_fails_leaves_the_chat(lab):
    c = start(lab, "fail")
    at, error = c.message("error")
    assert error["reason"] == "ModelRateLimited", error
    at, result = c.turn(at)
    c.prompt("again")
    at, result = c.turn(at)
    assert result["text"] == "again after " + THREAD, result
    c.prompt("fail")
    at, result = c.turn(at)
    # Who ends a conversation has got what they wanted.
    outcome = c.finish(t="end")
    assert outcome["success"] and outcome["exitCode"] == 0, outcome


def test_what_cannot_go_on_ends_the_chat(lab):
    for first, reason in (("key", "ModelAuthenticationFailed"), ("die", "AgentKilled")):
        outcome = start(lab, first).outcome()
        assert not outcome["success"] and outcome["reason"] == reason, outcome


def test_stop_during_a_turn_and_between_two(lab):
    c = start(lab, "wait")
    c.message("tool_call")
    c.prompt("never said")
    outcome = c.finish(t="stop", reason="stopped")
    assert not outcome["success"] and outcome["reason"] == "AgentStopped" and c.texts() == [], outcome
    c = start(lab, "one")
    c.idle()
    # The runner knows that it asked for it; what became of the last turn is all that there is to say.
    assert c.finish(t="stop", reason="stopped")["exitCode"] == 0
    c = start(lab)
    c.say(t="stop", reason="timeout")
    c.outcome()


def test_the_runner_goes_while_the_chat_waits(lab):
    c = start(lab, "one")
    c.idle()
    c.socket.shutdown(socket.SHUT_RDWR)
    assert c.agent.wait(60 * PATIENCE) == 1, c.errors()


def test_what_a_turn_leaves_behind_is_ended(lab):
    c = start(lab, "left")
    at, result = c.turn()
    c.prompt("two")
    at, result = c.turn(at)
    assert result["text"] == "two after " + THREAD, result
    assert c.finish(t="end")["success"]


def test_too_many_prompts(lab):
    c = start(lab, "wait")
    c.message("tool_call")
    for n in range(33):
        c.say(t="prompt", text="p%d" % n, ref=n)
    at = c.wait_for(lambda m: m["t"] == "taken" and m["ref"] == 32)
    assert "too many" in c.heard[at]["error"] and not any(m["error"] for m in c.heard[:at] if m["t"] == "taken"), c.heard
    # What waits is said before the end, and nothing after it.
    c.say(t="end", ref=40)
    c.say(t="prompt", text="late", ref=41)
    c.say(t="interrupt", ref=42)
    outcome = c.outcome()
    assert outcome["success"] and c.texts() == ["p%d after %s" % (n, THREAD) for n in range(32)], (outcome, c.texts())
    assert "no more prompts" in next(m["error"] for m in c.heard if m["t"] == "taken" and m["ref"] == 41)


def test_a_change_of_the_workspace_when_too_many_prompts_wait(lab):
    """What the new workflow would say first is dropped; the conversation goes on."""
    c = start(lab, "wait")
    at, _ = c.message("tool_call")
    c.say(t="hold")
    for n in range(32):
        c.prompt("p%d" % n)
    c.say(t="interrupt")
    at, _ = c.turn(at)
    c.wait_for(lambda m: m["t"] == "held")
    c.say(t="layout", workdir=c.dir + "/work", dirs=[], instructions="", say="hello", repos=[])
    c.wait_for(lambda m: m["t"] == "laidout")
    assert c.finish(t="end")["success"] and c.texts() == ["p%d after %s" % (n, THREAD) for n in range(32)], c.texts()


def test_a_look_at_a_clone_does_not_outlive_the_turn(lab):
    """Whoever asked hears that it ended, not nothing until the chat ends."""
    tools = os.path.join(lab.dir, "tools")
    os.mkdir(tools)
    with open(tools + "/git", "w") as f:
        f.write('#!/bin/sh\n: > "$0.up"\nexec sleep 600\n')
    os.chmod(tools + "/git", 0o755)
    c = start(lab, "wait", env={"PATH": tools + ":" + os.environ["PATH"]})
    os.makedirs(c.dir + "/workspace/clone/.git")
    at, _ = c.message("tool_call")
    c.say(t="look", repo="clone", base="", diff=False, ref=7)
    end = time.monotonic() + 60 * PATIENCE
    while not os.path.exists(tools + "/git.up"):
        assert time.monotonic() < end and not any(m.get("ref") == 7 for m in c.heard), c.heard
        time.sleep(0.02)
    c.say(t="interrupt")
    at, _ = c.turn(at)
    taken = c.heard[c.wait_for(lambda m: m["t"] == "taken" and m["ref"] == 7)]
    assert "ask again" in taken["error"], taken
    c.prompt("next")
    at, result = c.turn(at)
    assert result["text"] == "next after " + THREAD, result
    assert c.finish(t="end")["success"]


def test_a_batch_run_takes_one_prompt(lab):
    c = start(lab, "gate", interactive=False)
    c.prompt("two")
    with open(program(lab) + ".go", "w"):
        pass
    assert c.outcome()["success"] and c.texts() == ["gate after new"], c.texts()


def test_a_chat_that_stops_when_its_run_is_finished(lab):
    """stopOnRunFinished: the first answer is the last, and the work is pushed as a batch run's is; nobody has to end it."""
    pods = Pods()
    try:
        for n, (stops, state) in enumerate(((True, "completed"), (False, "stopped"))):
            pod = pods.pod({"initialPrompt": "one", "runnerType": "codex", "interactive": True, "stopOnRunFinished": stops, "model": "gpt-5"},
                           kind="codex", agent_env={"AMBIENT_CODEX": program(lab), "OPENAI_API_KEY": "k"}, agent_names="OPENAI_API_KEY").start()
            assert pod.until(lambda: any(m["type"] == "result" for m in pod.messages)), pod.read("stderr")
            if not stops: # it waits for more
                pod.runner.send_signal(signal.SIGTERM)
            pod.wait()
            assert pod.code == (0 if stops else 143) and pod.messages[-1]["state"] == state, (n, pod.code, pod.messages[-1])
            assert pod.texts() == ["one after new"], pod.texts()
    finally:
        pods.close()


def test_a_person_talks_by_the_endpoint(lab):
    """Both sides of a pod: what is acknowledged is heard, an interrupt ends a turn, and the end completes the session."""
    pods = Pods()
    try:
        port, secret = free_port(), "ab" * 32
        pod = pods.pod({"initialPrompt": "one", "runnerType": "codex", "interactive": True, "model": "gpt-5"}, kind="codex",
                       agent_env={"AMBIENT_CODEX": program(lab), "OPENAI_API_KEY": "k"}, agent_names="OPENAI_API_KEY",
                       runner_env={"AMBIENT_ENDPOINT": "[127.0.0.1]:%d" % port})
        pods.api.session["metadata"]["annotations"] = {"access.ambient-code.io/me": "%s %s" % (
            hashlib.sha256(secret.encode()).hexdigest(), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600)))}
        pod.start()

        def ask(method, path, body=None):
            conn = http.client.HTTPConnection("127.0.0.1", port, timeout=60 * PATIENCE)
            try:
                conn.request(method, path, body and json.dumps(body), {"X-Ambient-Key": secret})
                answer = conn.getresponse()
                return answer.status, json.loads(answer.read())
            finally:
                conn.close()

        def idle_after(n):
            assert pod.until(lambda: len([m for m in pod.messages if m["type"] == "result"]) == n and
                             ask("GET", "/v1/status")[1]["turn"] == "idle"), (pod.read("stderr"), pod.messages[-5:])

        idle_after(1)
        assert ask("POST", "/v1/input", {"type": "interrupt", "id": "a"})[1]["reason"] == "NoTurn"
        assert ask("POST", "/v1/input", {"type": "message", "id": "b", "text": "wait"})[0] == 200
        assert pod.until(lambda: any(m["type"] == "tool_call" for m in pod.messages)), pod.messages
        assert ask("GET", "/v1/status")[1]["turn"] == "running"
        assert ask("POST", "/v1/input", {"type": "interrupt", "id": "c"})[0] == 200
        idle_after(2)
        assert ask("POST", "/v1/input", {"type": "message", "id": "d", "text": "two"})[0] == 200
        idle_after(3)
        assert ask("POST", "/v1/input", {"type": "end", "id": "e"})[0] == 200
        pod.wait()
        assert pod.code == 0 and pod.messages[-1]["state"] == "completed", (pod.code, pod.report)
        assert pod.report["restarts"] == 2 and pod.report["activityAt"] >= pod.report["startedAt"], pod.report
        assert pod.texts() == ["one after new", "two after " + THREAD] and pod.report["conversation"] == THREAD, pod.report
    finally:
        pods.close()


if __name__ == "__main__":
    LAB = Lab()
    try:
        code = Tap([f for n, f in list(globals().items()) if n.startswith("test_")]).run(LAB)
    finally:
        LAB.close()
    sys.exit(code)
