# SPDX-License-Identifier: Apache-2.0
"""A person at a terminal, which is tmux, talks by `ambientctl chat` with the real Claude Code CLI in a session's pod on
standalone; the Messages API is scripted, and its answers can be held in the middle."""
import json
import os
import shlex
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
import tmux  # noqa: E402
from lib import Platform, until  # noqa: E402
from messages_api import MessagesApi, events, text, tool  # noqa: E402
from model_api import sse  # noqa: E402

KEY, CLI = "sk-ant-test-0123456789abcdef", os.environ["AMBIENT_TEST_CLAUDE"]
LONG = "This answer comes in two pieces, and between them a person goes on writing; it is seen whole, and it is seen once."
LARGE = "start-of-it " + "word " * 70000 + "end-of-it"
SCENARIOS = {
    "long": [[text("Hello.")], [text(LARGE)]],
    "once": [[text("That is all.")]],
    "moved": [[text("Here I am.")]],
    "thrice": [[text("First answer.")], [text("Second answer.")], [text("Third answer.")]],
    "talk": [[text("First answer.")], {"held": [text(LONG)]}, [text("Third answer.")], {"held": [text("Fourth " + LONG)]},
             [text("Fifth answer.")]],
    "ask": [[tool("Write", file_path="/tmp/asked.txt", content="out\n")], [text("It is written.")],
            [tool("Bash", command="touch ../up; timeout 600 tail -f /dev/null", description="wait")], [text("After all.")],
            [text("After all.")]],
}


class Held(MessagesApi):
    """A step {"held": [blocks]} stops after its first half until release()."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.half, self.open = threading.Event(), threading.Event()

    def release(self):
        self.open.set()

    def reply(self, handler, request, step, number):
        if not isinstance(step, dict) or "held" not in step:
            return super().reply(handler, request, step, number)
        pieces = [sse(dict(data, type=name), name).encode() for name, data in events(step["held"], "fake", number)]
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Content-Length", str(sum(map(len, pieces))))
        handler.end_headers()
        handler.wfile.write(b"".join(pieces[:3]))
        handler.wfile.flush()
        self.half.set()
        self.open.wait(lib.PATIENCE)
        self.half.clear()
        self.open.clear()
        handler.wfile.write(b"".join(pieces[3:]))
        return None


api = Held(SCENARIOS, key=KEY).start()


def make():
    p = Platform("chat", agenticsession='heartbeat = "2s";', binds=(os.path.dirname(CLI),), plugins={
        "runner-claude-code": 'config: { baseURL = "%s"; cli = "%s"; };' % (api.url, CLI)})
    p.start()
    p.namespace()
    p.secret("anthropic", ANTHROPIC_API_KEY=KEY)
    p.terminals = 0
    return p


CLAUDE = {"runnerType": "claude-code", "model": "claude-sonnet-4-5", "anthropicApiKeySecret": "anthropic",
          "environmentVariables": {"CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS": "1", "CLAUDE_CODE_MAX_RETRIES": "0"}}


def session(p, name):
    return p.session(name, interactive=True, prompt=None, initialPrompt="[[scenario:%s]] please" % name,
                     runnerConfig={"permissions": "ask"}, **CLAUDE)


def chat(p, s):
    p.terminals += 1
    home = os.path.join(p.dir, "t%d" % p.terminals)
    os.mkdir(home)
    command = [p.tree.root + "/bin/ambientctl", "--kubeconfig", p.kubeconfig, "-n", p.ns, "chat", s.name]
    return tmux.Terminal(home, shlex.join(command), 100, 30, {"LD_LIBRARY_PATH": p.env["LD_LIBRARY_PATH"]})


def rest(s):
    return 'session "%s" in namespace "%s", /help' % (s.name, s.ns)


def keys(s):
    return [k for k in s.get()["metadata"].get("annotations", {}) if k.startswith("access.ambient-code.io/")]


def test_a_conversation_and_a_daemon_that_is_killed_in_it(p):
    s = session(p, "talk")
    t = chat(p, s)
    try:
        t.sees("First answer.")
        t.row(rest(s))
        t.type("go on\\")
        t.keys("Enter")
        t.type("please")
        t.keys("Enter")
        # The answer is half there: one writes, and the terminal gets another size.
        t.sees("This answer comes")
        assert api.half.wait(lib.PATIENCE)
        t.type("and")
        t.resize(60, 24)
        t.type(" then?")
        t.row("> and then?")
        api.release()
        t.row(rest(s))
        assert t.all().count(LONG) == 1 and t.all().count("This answer") == 1, t.all()
        t.row("> and then?")
        t.keys("Enter")
        t.sees("Third answer.")
        t.row(rest(s))
        # In the middle of another answer everything but the pod is gone for a while.
        t.type("again")
        t.keys("Enter")
        t.sees("Fourth This answer comes")
        p.kill9()
        t.sees("the connection is broken, trying again")
        api.release()
        t.type("still there?")
        t.keys("Enter")
        p.restart()
        t.sees("it goes on where it was")
        t.sees("Fifth answer.")
        t.row(rest(s))
        assert t.all().count("Fourth " + LONG) == 1 and t.all().count("Fourth") == 1, t.all()
        said = [m["text"] for m in s.messages() if m["type"] == "user"]
        assert said == ["go on\nplease", "and then?", "again", "still there?"], said
        t.type("/end")
        t.keys("Enter")
        t.sees('session "talk" has ended: Completed')
        t.sees("[exit 0]")
    finally:
        t.close()
    s.wait("Completed")
    assert keys(s) == [], s.get()["metadata"]
    st = s.status
    assert st["subtype"] == "success" and 0 < st["duration_api_ms"] and st["sdkRestartCount"] == 0 and "agentStatus" not in st, st
    assert st["startTime"] <= st["lastActivityTime"] <= st["completionTime"] and st["artifactsCount"] == 0, st
    assert len(s.messages()) - 1 <= st["messagesCount"] <= len(s.messages()), (st, len(s.messages()))


def agent_is(s, word):
    until(lambda: s.status.get("agentStatus") == word, what="status.agentStatus %s, not %s" % (word, s.status.get("agentStatus")))


def test_a_permission_an_interrupt_and_leaving(p):
    s = session(p, "ask")
    t = chat(p, s)
    try:
        t.sees("? Write: ")
        agent_is(s, "waiting_input")
        t.row("answer with y, with n, or with n and a reason")
        t.type("y")
        t.keys("Enter")
        t.sees("? Write (allow)")
        t.sees("It is written.")
        t.row(rest(s))
        agent_is(s, "idle")
        t.type("now wait")
        t.keys("Enter")
        t.sees("? Bash: touch ../up; timeout 600 tail -f /dev/null")
        t.type("y")
        t.keys("Enter")
        s.wait_file("up")
        agent_is(s, "working")
        t.keys("C-c")
        t.sees("a person interrupts the turn")
        t.row(rest(s))
        t.type("go on")
        t.keys("Enter")
        t.sees("After all.")
        t.row(rest(s))
        t.keys("C-d")
        t.sees("come back with: ambientctl chat ask -n team")
        t.sees("[exit 0]")
    finally:
        t.close()
    assert s.phase == "Running" and keys(s) == [], s.get()["metadata"]


def test_the_same_in_a_pipe(p):
    s = lib.Session(p, "ask", p.ns)
    done = p.ctl("chat", "ask", stdin=None, input="and now?\n")
    assert done.returncode == 0 and done.stdout.endswith(".\n"), (done.returncode, done.stdout)
    until(lambda: s.messages()[-1]["type"] == "result", what="the turn's end")
    assert json.dumps(s.messages()).count('"and now?"') == 1


def test_a_script_has_the_last_word(p):
    """What is too large for a line of messages is shown whole, wherever it is read; then the session is ended."""
    s = session(p, "long")
    until(lambda: "Hello." in s.texts(), what="the first answer")
    done = p.ctl("chat", "long", "--end", stdin=None, input="go on\n")
    assert done.returncode == 0 and (done.stdout.count("start-of-it"), done.stdout.count("end-of-it")) == (1, 1), done.stdout[-300:]
    assert 'session "long" has ended: Completed' in done.stdout and s.phase == "Completed", (done.stdout[-300:], s.status)
    cut = [m for m in s.messages() if m["type"] == "text"][-1]
    assert cut["file"] == "large/%d.json" % cut["seq"] and len(cut["text"]) == 16384, cut["seq"]
    for words in ((), ("--from", "1")):
        done = p.ctl("messages", "long", *words)
        assert done.returncode == 0 and LARGE + "\n" in done.stdout, (words, done.stdout[-300:])


def test_a_chat_that_stops_when_its_run_has_finished(p):
    s = p.session("once", runnerType="claude-code", initialPrompt="[[scenario:once]] please", prompt=None, stopOnRunFinished=True,
                  anthropicApiKeySecret="anthropic", environmentVariables={"CLAUDE_CODE_MAX_RETRIES": "0"})
    s.wait("Completed")
    assert s.status["results"] == "That is all." and s.status["effective"]["interactive"] is True, s.status


def test_a_later_run_and_a_continuation_go_on_with_the_conversation(p):
    """The API answers by what it is told of the conversation so far: one that begins anew gets the first answer."""
    spec = {"prompt": "[[scenario:thrice]] please", **CLAUDE}
    s = p.session("thrice", **spec)
    s.wait("Completed")
    assert s.status["results"] == "First answer.", s.status
    conversation = s.status["session_id"]
    assert p.ctl("start", "thrice").returncode == 0
    until(lambda: s.status["runs"] == 2, what="the second run")
    s.wait("Completed")
    assert s.status["results"] == "Second answer." and s.status["session_id"] == conversation, s.status
    p.request("POST", lib.GROUP % p.ns, {"apiVersion": "vteam.ambient-code/v1alpha1", "kind": "AgenticSession", "spec": spec, "metadata": {
        "name": "heir", "annotations": {"vteam.ambient-code/parent-session-id": "thrice"}}})
    heir = lib.Session(p, "heir", p.ns)
    heir.wait("Completed")
    assert heir.status["results"] == "Third answer.", heir.status
    fresh = p.session("fresh", **spec)
    fresh.wait("Completed")
    assert fresh.status["results"] == "First answer." and fresh.status["session_id"] != conversation, fresh.status


def test_a_cli_that_is_started_again_is_counted(p):
    """A repository that comes: the CLI ends between two turns and goes on with its conversation."""
    p.origins.make("moved-a")
    p.origins.make("moved-b")
    s = p.session("moved", runnerType="claude-code", initialPrompt="[[scenario:moved]] please", prompt=None, anthropicApiKeySecret="anthropic",
                  environmentVariables={"CLAUDE_CODE_MAX_RETRIES": "0"}, repos=[{"url": p.origins.url("moved-a")}])
    agent_is(s, "idle")
    assert s.status["sdkRestartCount"] == 0, s.status
    p.patch(s.path, {"spec": {"repos": [{"url": p.origins.url("moved-a")}, {"url": p.origins.url("moved-b")}]}})
    until(lambda: s.status["sdkRestartCount"] == 1, what="the CLI to be started again")
    until(lambda: [r.get("currentActiveBranch") for r in s.status["reconciledRepos"]] == ["main", "main"], what="both clones")
    s.delete()


def test_files_of_a_session_that_runs(p):
    s = lib.Session(p, "ask", p.ns)
    with open(s.file("said.txt"), "w") as f:
        f.write("one\n")
    os.symlink("/etc/passwd", s.file("out"))
    done = p.ctl("files", "ask")
    names = [line.split()[-1] for line in done.stdout.splitlines()]
    assert done.returncode == 0 and names[0] == "NAME" and {"out", "said.txt", "up"} <= set(names), done.stdout
    done = p.ctl("files", "ask", "said.txt")
    assert done.returncode == 0 and done.stdout == "one\n", done.stdout
    done = p.ctl("files", "ask", "out")
    assert done.returncode == 5 and '"out" is a link' in done.stdout, done.stdout
    done = p.ctl("messages", "ask", "--from", "2", "-o", "json")
    seen = [json.loads(line)["seq"] for line in done.stdout.splitlines()]
    assert seen == list(range(2, len(seen) + 2)) and len(seen) >= len(s.messages()) - 1, seen
    assert keys(s) == [], s.get()["metadata"]


def test_files_and_messages_after_the_end(p):
    s = lib.Session(p, "talk", p.ns)
    assert s.phase == "Completed", s.status
    with open(s.file("left.txt"), "w") as f:
        f.write("behind\n")
    done = p.ctl("files", "talk", "left.txt")
    assert done.returncode == 0 and done.stdout.endswith("behind\n"), done.stdout
    done = p.ctl("messages", "talk", "--from", "1", "-o", "json")
    assert [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")] == s.messages(), done.stdout
    assert p.get(p.core("pods", "talk-content")) is not None and keys(s) == [], s.get()["metadata"]


if __name__ == "__main__":
    lib.preconditions()
    why = tmux.missing()
    if why:
        print("1..0 # SKIP " + lib.required("tmux", why))
        sys.exit(0)
    sys.exit(lib.main(sys.modules[__name__], make))
