#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ambientctl chat in a terminal, which is tmux, against a scripted runner: what a person types, sees and is asked, while
output streams, lines are wrapped anew, and connections break."""
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import tmux  # noqa: E402
from endpoint_fake import Server  # noqa: E402

CTL = os.path.join(os.path.abspath(os.environ["top_builddir"]), "core/ambientctl/ambientctl")
REST = 'session "s" in namespace "team-a", /help'


class Lab:
    def __init__(self):
        self.server = Server()
        self.tmp = tempfile.TemporaryDirectory()
        self.config = self.server.kubeconfig(os.path.join(self.tmp.name, "kubeconfig"))
        self.terminal, self.count = None, 0

    def chat(self, columns=80, lines=24, rest=True, **values):
        """A terminal with chat in it, and the runner behind it."""
        self.end()
        self.count += 1
        w = self.server.fresh(**values)
        home = os.path.join(self.tmp.name, "t%d" % self.count)
        os.mkdir(home)
        self.terminal = tmux.Terminal(home, shlex.join([CTL, "--kubeconfig", self.config, "chat", "s"]), columns, lines)
        if rest:
            self.terminal.row(REST[:columns - 1])
        return self.terminal, w

    def end(self):
        if self.terminal is not None:
            self.terminal.close()
        self.terminal = None


def stream(w, text, size=7):
    for i in range(0, len(text), size):
        w.say("partial", text=text[i:i + size], index=0)


def given_back(t):
    """Lines are the terminal's again, and so are signals."""
    t.sees("icanon")
    assert not re.search("-(icanon|isig)", t.all()), t.all()


def test_a_turn(lab):
    t, w = lab.chat()
    t.type("hello")
    t.row("> hello")
    t.keys("Enter")
    t.sees("you: hello")
    w.wait(lambda: w.inputs, what="the message")
    assert w.inputs[0]["text"] == "hello", w.inputs
    t.sees("working (")
    w.say("thinking", text="hm")
    stream(w, "I will look")
    t.row("I will look")
    w.say("text", text="I will look around.")
    w.say("tool_call", name="Bash", input={"command": "ls -l", "description": "list"})
    w.say("tool_result", text="a\nb\x1b[2J")
    w.say("result", text="I will look around.", turns=2, costUSD=0.25, durationMs=1500)
    t.row(REST)
    assert t.screen()[:9] == ["you: hello", "~ hm", "I will look around.", "> Bash: ls -l", "  a", "  b?[2J",
                              "= (2 turns, 0.25 USD, 1.5 s)", REST, ">"], t.screen()
    assert t.cursor() == (2, 8), t.cursor()


def test_typing_while_output_streams(lab):
    t, w = lab.chat()
    line = "".join("%03d " % i for i in range(150))
    for i in range(0, len(line), 8):
        w.say("partial", text=line[i:i + 8], index=0)
        if i % 80 == 0:
            t.type("%d" % (i // 80 % 10))
    t.row("> 01234567")
    t.keys("Left", "Left")
    w.say("text", text=line + "end")
    t.type("\u00fc\u6f22")
    t.row("> 012345\u00fc\u6f2267")
    t.sees("148 149 end")
    assert t.all().count("000 001 002") == 1 and line + "end" in t.all(), t.all()
    t.keys("Enter")
    w.wait(lambda: w.inputs, what="the message")
    assert w.inputs[0]["text"] == "012345\u00fc\u6f2267", w.inputs


def test_lines_pastes_and_editing(lab):
    t, w = lab.chat()
    t.type("one\\")
    t.keys("Enter")
    t.type("two")
    t.keys("M-Enter")
    t.type("three")
    t.row("  three")
    t.keys("Up", "C-a")
    t.type("the ")
    t.row("  the two")
    t.keys("Down", "C-e")
    t.paste("\npasted\tx\rlast\x03")
    t.row("  last")
    t.keys("Enter")
    w.wait(lambda: w.inputs, what="the message")
    assert w.inputs[0]["text"] == "one\nthe two\nthree\npasted\tx\nlast", w.inputs
    w.say("result", text="")
    t.row(REST)
    t.keys("Up")
    t.row("  last")
    assert t.screen().count("  last") == 1, t.screen()
    t.keys("C-c")
    t.until(lambda: "  last" not in t.screen(), "the input to be empty")
    t.type("a second one")
    t.keys("C-w", "C-w", "C-y", "C-y")
    t.row("> a second second")
    t.keys("Enter")
    w.wait(lambda: len(w.inputs) == 2, what="the message")
    assert w.inputs[1]["text"] == "a second second ", w.inputs


def test_a_terminal_that_is_resized(lab):
    t, w = lab.chat()
    said = "what is said is long enough for more than one row of a terminal that is not so wide, and longer"
    # What is at the top may leave the screen when lines are wrapped anew; here that is what was said before.
    w.say("text", text="\n".join("line %d" % i for i in range(40)))
    t.sees("line 39")
    t.type("x" * 100)
    stream(w, said)
    t.sees("and longer")
    for columns, lines in ((40, 20), (120, 30), (30, 24), (80, 24)):
        t.resize(columns, lines)
        t.row("> " + "x" * min(100, columns - 3))
    w.say("text", text=said)
    w.say("result", text="")
    t.row(REST)
    assert t.all().count(said) == 1 and t.all().count("what is") == 1, t.all()
    t.keys("Enter")
    w.wait(lambda: w.inputs, what="the message")
    assert w.inputs[0]["text"] == "x" * 100
    # Smaller than what is drawn, and then at work again.
    t.resize(12, 2)
    t.type("abc")
    t.row("> abc")
    t.resize(80, 24)
    t.row("> abc")


def test_interrupts_and_leaving(lab):
    t, w = lab.chat()
    t.type("go")
    t.keys("Enter")
    w.hooks["interrupt"] = lambda v: w.say("result", text="interrupted", isError=True, durationMs=100)
    t.sees("working (")
    stream(w, "half a sen")
    t.row("half a sen")
    t.keys("C-c")
    t.sees("= interrupted (0.1 s)")
    assert [m["type"] for m in w.inputs] == ["message", "interrupt"], w.inputs
    t.row(REST)
    t.keys("C-c")
    t.sees("Ctrl-C again leaves; the session goes on")
    t.keys("C-c")
    t.sees("[exit 0]")
    t.sees("come back with: ambientctl chat s -n team-a")
    given_back(t)
    assert w.keys() == {}, w.annotations


def test_leaving_by_other_ways(lab):
    t, w = lab.chat()
    t.type("/no")
    t.keys("Enter")
    t.sees("there is no command /no, see /help; //no sends it to the agent")
    t.type("//no")
    t.keys("Enter")
    w.wait(lambda: w.inputs, what="the message")
    assert w.inputs[0]["text"] == "/no", w.inputs
    w.say("result", text="")
    t.row(REST)
    t.keys("C-d")
    t.sees("[exit 0]")
    t, w = lab.chat()
    w.hooks["end"] = lambda v: (w.say("session", state="completed", text="over"), w.change(ended=True),
                                w.change(phase="Completed", message="done"))
    t.type("/end")
    t.keys("Enter")
    t.sees('session "s" has ended: Completed: done')
    t.sees("[exit 0]")
    assert w.keys() == {}, w.annotations
    for number in (signal.SIGTERM, signal.SIGHUP):
        t, w = lab.chat()
        found = subprocess.run(["pgrep", "-f", "--", "--kubeconfig %s chat s$" % lab.config], stdout=subprocess.PIPE, text=True,
                               check=True).stdout.split()
        for pid in found:
            if os.readlink("/proc/%s/exe" % pid).endswith("ambientctl"):
                os.kill(int(pid), number)
        t.sees("[exit 130]")
        given_back(t)
        assert w.keys() == {}, w.annotations


def test_connections_that_break(lab):
    t, w = lab.chat()
    stream(w, "before ")
    t.row("before")
    w.change(away=True)
    w.cut()
    t.sees("the connection is broken, trying again")
    t.type("still here")
    t.keys("Enter")
    w.say("text", text="before and after")
    w.change(away=False)
    t.sees("it goes on where it was")
    w.wait(lambda: w.inputs, what="the message")
    w.say("text", text="next")
    w.say("result", text="")
    t.row(REST)
    assert len(w.inputs) == 1 and w.inputs[0]["text"] == "still here", w.inputs
    assert t.all().count("next") == 1 and t.all().count("before and after") == 1, t.all()


def test_what_the_agent_asks(lab):
    t, w = lab.chat()
    w.say("permission", id="p", tool="Bash", input={"command": "rm -r x"})
    t.row("answer with y, with n, or with n and a reason")
    t.type("why?")
    t.keys("Enter")
    t.sees("the agent waits: answer with y")
    t.row("? why?")
    t.keys("C-u")
    t.type("y")
    t.keys("Enter")
    w.wait(lambda: w.inputs, what="the answer")
    assert w.inputs[0]["to"] == "p" and w.inputs[0]["answer"] == {"behavior": "allow"}, w.inputs
    w.say("permission", id="p", tool="Bash", decision="allow", client="ctl-x")
    w.say("question", id="q", text="Which?", questions=[{"question": "Which?", "options": [{"label": "Red"}, {"label": "Blue"}]},
                                                        {"question": "And how?"}])
    t.row("  2. Blue")
    t.row("answer with a number or with words")
    t.type("2")
    t.keys("Enter")
    t.row("? And how?")
    assert len(w.inputs) == 1, w.inputs
    t.type("soon")
    t.keys("Enter")
    w.wait(lambda: len(w.inputs) == 2, what="the answer")
    assert w.inputs[1]["answer"] == {"answers": {"Which?": "Blue", "And how?": "soon"}}, w.inputs
    w.say("question", id="q", decision="answered", answer=w.inputs[1]["answer"], client="ctl-x")
    t.row("? Which? Blue, And how? soon (answered)")
    # Somebody else answers.
    w.say("permission", id="r", tool="Write", input={"file_path": "/x"})
    t.row("? Write: /x")
    w.say("permission", id="r", tool="Write", decision="deny", client="web")
    w.say("result", text="")
    t.row(REST)


def test_waiting_for_a_pod(lab):
    t, w = lab.chat(rest=False, phase="Pending", pod="", message="place 3 of 5")
    t.sees("Pending: place 3 of 5 (")
    t.type("early")
    w.change(phase="Creating", message="")
    t.sees("Creating (")
    w.change(phase="Running", pod="s-pod")
    t.row(REST)
    t.row("> early")


def test_words_that_nobody_heard(lab):
    t, w = lab.chat(rest=False, phase="Pending", pod="", message="place 3 of 5")
    t.sees("Pending: place 3 of 5 (")
    t.type("early")
    t.keys("Enter")
    t.sees("you: early")
    w.change(phase="Stopped", message="")
    t.sees("of what was said last, 1 message(s) did not reach the agent")
    t.sees("[exit 5]")


if __name__ == "__main__":
    why = tmux.missing()
    if why:
        if "tmux" in os.environ.get("AMBIENT_REQUIRE", "").split(","):
            print("1..1\nnot ok 1 - " + why)
            sys.exit(1)
        print("1..0 # SKIP " + why)
        sys.exit(0)
    the_lab = Lab()
    cases = [f for n, f in list(globals().items()) if n.startswith("test_") and (not sys.argv[1:] or n in sys.argv[1:])]
    print("1..%d" % len(cases))
    bad = 0
    for number_of, case in enumerate(cases, 1):
        try:
            case(the_lab)
            print("ok %d %s" % (number_of, case.__name__), flush=True)
        except AssertionError as e:
            bad += 1
            import traceback
            print("not ok %d %s" % (number_of, case.__name__))
            print("\n".join("# " + line for line in "".join(traceback.format_exception(e)).rstrip().splitlines()), flush=True)
    the_lab.end()
    sys.exit(1 if bad else 0)
