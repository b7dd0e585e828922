#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ambientctl chat without a terminal, against a scripted API server with a runner's endpoint behind its proxy: what is
sent and printed, connections that break, and the sentence and exit code of each way that it can end."""
import os
import pty
import signal
import subprocess
import sys
import tempfile
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from checks import check, finish  # noqa: E402
from endpoint_fake import ACCESS, Server  # noqa: E402

CTL = os.path.join(os.environ["top_builddir"], "core/ambientctl/ambientctl")
server = Server()
tmp = tempfile.TemporaryDirectory()
config = server.kubeconfig(os.path.join(tmp.name, "kubeconfig"))


def start(*words):
    return subprocess.Popen([CTL, "--kubeconfig", config, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def end(process, stdin=b""):
    try:
        out, err = process.communicate(stdin, timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        return "hangs", out.decode(), err.decode()
    return process.returncode, out.decode(), err.decode()


def over(process):
    """It ends by itself, with its standard input open."""
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        pass
    return end(process)


def ctl(*words, stdin=""):
    return end(start(*words), stdin.encode())


def echo(world):
    """An agent that answers each message with the same words, in pieces."""
    def turn(value):
        said = "you said: " + value["text"]
        world.say("partial", text=said[:5], index=0)
        world.say("partial", text=said[5:], index=0)
        world.say("text", text=said)
        world.say("result", text=said, turns=1, durationMs=10)
    world.hooks["message"] = turn


w = server.fresh()
echo(w)
w.say("text", text="from before")
rc, out, err = ctl("chat", "s", stdin="hello\n\ntwo \\\nlines\nlast \u6f22")
check("each line is a turn", (rc, out) == (0, "you said: hello\nyou said: two \nlines\nyou said: last \u6f22\n"), (rc, out, err))
check("nothing else on standard error", err == "", err)
check("three messages with ids of their own", [m["text"] for m in w.inputs] == ["hello", "two \nlines", "last \u6f22"] and
      len({m["id"] for m in w.inputs}) == 3, w.inputs)
check("the key is taken away at the end", w.keys() == {} and len(w.patches) == 2, w.patches)
value = next(iter(w.patches[0]["metadata"]["annotations"].values())).split()
check("the key's hash and an hour at most", len(value) == 2 and len(value[0]) == 64, value)
rc, out, err = ctl("chat", "s", "-o", "json", stdin="x\n")
check("messages as the runner wrote them", rc == 0 and '"type": "partial"' in out and out.count('"user"') == 1, out)

w = server.fresh(lag=3)
echo(w)
w.annotations[ACCESS + "old"] = "0" * 64 + " 2020-01-01T00:00:00Z"
w.annotations[ACCESS + "other"] = "0" * 64 + " 2099-01-01T00:00:00Z"
rc, out, err = ctl("chat", "s", stdin="hello\n")
check("a runner that has not heard of the key yet is asked again", rc == 0 and "hello" in out, (rc, err))
check("keys whose time is over are taken away, others stay", list(w.keys()) == ["other"], w.annotations)

# A break in the middle of everything: the next message is asked for, each is printed once.
w = server.fresh()
broken = threading.Event()


def flaky(value):
    for i in range(30):
        w.say("text", text="line %d of %s" % (i, value["text"]))
        if i % 7 == 3:
            n = len(w.streams)
            w.cut()
            w.wait(lambda n=n: len(w.streams) > n, what="the reader to come back")
    w.say("result", text="done", turns=1)
    broken.set()


# On a thread of its own: the connection that said so is used again.
w.hooks["message"] = lambda value: threading.Thread(target=flaky, args=(value,), daemon=True).start()
rc, out, err = ctl("chat", "s", stdin="a\nb\n")
check("nothing is lost or doubled when streams break",
      (rc, out.splitlines()) == (0, ["line %d of %s" % (i, m) for m in "ab" for i in range(30)]), (rc, out, err))
check("it was read on from the next number", len(w.streams) > 2 and w.streams == sorted(w.streams), w.streams)

w = server.fresh()
echo(w)
process = start("chat", "s")
w.wait(lambda: w.streams, what="the stream")
w.change(away=True)
w.cut()
process.stdin.write(b"hello\n")
process.stdin.flush()
threading.Timer(1.0, lambda: w.change(away=False)).start()
rc, out, err = end(process)
check("what is said while the API server is away is sent once", (rc, out) == (0, "you said: hello\n") and len(w.inputs) == 1,
      (rc, out, err, w.inputs))

# Waiting for a pod.
w = server.fresh(phase="Pending", pod="", message="waiting for its turn")
echo(w)
process = start("chat", "s")
w.wait(lambda: w.keys(), what="the key")
w.change(phase="Creating")
w.change(phase="Running", pod="s-pod")
check("a session that is created is waited for", end(process, b"hello\n")[:2] == (0, "you said: hello\n"), "")

# One that is prepared: what is said then waits for the turn that its agent begins with, of which nothing but the status tells.
w = server.fresh(state="preparing")
echo(w)
process = start("chat", "s")
process.stdin.write(b"hello\n")
process.stdin.flush()
w.wait(lambda: w.streams, what="the stream")
w.say("status", text="cloning")
w.wait(lambda: sum(p.endswith("/v1/status") for p in w.asked) > 1, what="the question whether it has started")
w.change(state="running", turn="running")
w.say("status", text="the agent is starting")
w.wait(lambda: sum(p.endswith("/v1/status") for p in w.asked) > 2, what="the question whether it has started")
w.say("session", state="agent-ready", text="the agent is ready")
w.say("text", text="from the first prompt")
early = list(w.inputs)
w.say("result", text="from the first prompt", turns=1)
rc, out, err = end(process)
check("what is said to a session that is prepared has its own turn",
      (rc, out, early) == (0, "from the first prompt\nyou said: hello\n", []), (rc, out, err, early))

# What the agent asks.
w = server.fresh()
w.hooks["message"] = lambda v: w.say("permission", id="p", tool="Bash", input={"command": "rm x"})


def answered(value):
    w.say("permission", id="p", tool="Bash", input={}, decision=value["answer"]["behavior"])
    w.say("text", text="as you wish")
    w.say("result", text="as you wish", turns=1)


w.hooks["answer"] = answered
rc, out, err = ctl("chat", "s", stdin="clean up\nn: not that one\n")
check("a permission is answered by the next line", (rc, out) == (0, "as you wish\n") and "? Bash: rm x" in err and
      w.inputs[1]["to"] == "p" and w.inputs[1]["answer"] == {"behavior": "deny", "message": "not that one"}, (rc, out, err, w.inputs))
rc, out, err = ctl("chat", "s", stdin="clean up\n")
check("nobody there to answer is a sentence and 1", rc == 1 and "waits for an answer, and standard input has ended" in err,
      (rc, err))

# A turn that is running when one comes; one that fails.
w = server.fresh(turn="running")
w.hooks["message"] = lambda v: w.say("result", text="bad", isError=True)
process = start("chat", "s")
process.stdin.write(b"hello\n")
process.stdin.flush()
w.wait(lambda: w.streams, what="the stream")
check("a turn that runs is waited for", w.inputs == [], w.inputs)
w.say("result", text="the first")
rc, out, err = end(process)
check("a last turn that failed is 1", rc == 1 and len(w.inputs) == 1, (rc, out, err))

# Ways to end.
w = server.fresh(interactive=False)
rc, out, err = ctl("chat", "s", stdin="x\n")
check("not interactive is a sentence and 5", rc == 5 and err == (
    'ambientctl: session "s" is not interactive, so its agent takes no words; see what it does with: ambientctl messages -f s '
    "-n team-a\n"), (rc, err))
w = server.fresh(phase="Failed", message="out\nof \x1bmemory")
rc, out, err = ctl("chat", "s", stdin="x\n")
check("has ended is a sentence and 5", rc == 5 and err == (
    'ambientctl: session "s" has ended (Failed: out of ?memory); go on with it: ambientctl start s -n team-a\n'), (rc, err))
check("and leaves no key behind", w.keys() == {}, w.annotations)
rc, out, err = ctl("chat", "x", stdin="x\n")
check("no such session is 3, and where it was looked for", rc == 3 and err == (
    'ambientctl: session "x": not found in namespace "team-a"; --namespace says where else to look\n'), (rc, err))
rc, out, err = ctl("chat", "A_b")
check("no name of a session is 5", rc == 5 and "is no name of a session" in err, (rc, err))
w = server.fresh(viewer=True)
rc, out, err = ctl("chat", "s", stdin="x\n")
check("who may not change the session is told so, 5", rc == 5 and "cannot patch" in err, (rc, err))
w = server.fresh(refuse={"message": "the agent has ended"})
rc, out, err = ctl("chat", "s", stdin="x\n")
check("what the runner refuses is its sentence and 5", rc == 5 and err == "ambientctl: not taken: the agent has ended\n", (rc, err))
for phase, code in (("Completed", 0), ("Failed", 1), ("Timeout", 124)):
    w = server.fresh()
    process = start("chat", "s")
    w.wait(lambda: w.streams, what="the stream")
    w.say("session", state=phase.lower().replace("timeout", "failed"), text="over")
    w.change(ended=True)
    w.change(phase=phase, message="a sentence")
    rc, out, err = over(process)
    check(f"a session that ends meanwhile, {phase}, is {code}", rc == code and
          err == f'ambientctl: session "s" has ended: {phase}: a sentence\n', (rc, err))
w = server.fresh()
echo(w)
process = start("chat", "s")
w.wait(lambda: w.streams, what="the stream")
w.change(ended=True)
w.wait(lambda: len(w.streams) > 2, what="other streams")
w.change(ended=False)
check("a stream that ends before the run does is opened again", end(process, b"hello\n")[:2] == (0, "you said: hello\n"), "")
w = server.fresh()
process = start("chat", "s")
w.wait(lambda: w.streams, what="the stream")
w.change(deleted=True)
w.change(pod="gone")
w.cut()
rc, out, err = over(process)
check("a session that is deleted is 3", rc == 3 and err == 'ambientctl: session "s" was deleted\n', (rc, err))
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    w = server.fresh()
    process = start("chat", "s")
    w.wait(lambda: w.streams, what="the stream")
    process.send_signal(number)
    rc, out, err = over(process)
    check(f"{number.name} is 130, and leaves no key behind", rc == 130 and w.keys() == {}, (rc, err, w.annotations))
rc, out, err = ctl("chat", "s", "--from", "0")
check("a number that is none is 2", rc == 2 and "counted from 1" in err, (rc, err))
w = server.fresh()
process = start("chat", "s")
rc, out, err = end(process, b"\xff\xfe\n")
check("what is no UTF-8 is 2", rc == 2 and "no UTF-8" in err, (rc, err))

# A text that was too large for its line, after pieces of it, one of which was too large as well.
LONG = "word " * 80000
for have, want in ((True, LONG + "\n"), (False, LONG[:16384] + " [cut here: the message has 400020 bytes]\n")):
    w = server.fresh()

    def turn(value, w=w, have=have):
        n = len(w.messages)
        w.large = {n + 1: {"text": LONG[:300000], "index": 0}, n + 3: {"text": LONG}} if have else {}
        w.say("partial", text=LONG[:16384], index=0, file="large/%d.json" % (n + 1), bytes=300020)
        w.say("partial", text=LONG[300000:] if have else "and the rest", index=0)
        w.say("text", text=LONG[:16384], file="large/%d.json" % (n + 3), bytes=400020)
        w.say("result", text="", turns=1, durationMs=10)
    w.hooks["message"] = turn
    rc, out, err = ctl("chat", "s", stdin="go\n")
    check("a text that was cut is shown once, and whole if it can be had" if have else "and what can be had of it, if not",
          (rc, out, err) == (0, want, ""), (rc, len(out), out[-200:], err))
w = server.fresh()
w.large = {2: {"id": "p", "tool": "Write", "input": {"file_path": "/etc/x", "content": "y" * 300000}}}
w.hooks["message"] = lambda value: w.say("permission", id="p", tool="Write", file="large/2.json", bytes=300000)
w.hooks["answer"] = lambda value: w.say("result", text="", turns=1, durationMs=10)
rc, out, err = ctl("chat", "s", stdin="go\nn\n")
check("what an agent asks is shown, however large it is", rc == 0 and "? Write: {\"file_path\":\"/etc/x\"" in err and
      w.inputs[1]["to"] == "p", (rc, out, err, w.inputs))
w = server.fresh()
w.hooks["message"] = lambda value: (w.say("text", text="begins", file="large/2.json", bytes=300000),
                                    w.say("result", text="", turns=1, durationMs=10))
rc, out, err = ctl("chat", "s", "-o", "json", stdin="go\n")
check("as JSON it is what the runner wrote", rc == 0 and not [x for x in w.asked if "large" in x] and '"bytes":300000' in out.replace(" ", ""), (rc, out, w.asked))

# Scripts end the session, too.
for failed, code, phase in ((False, 0, "Completed"), (True, 1, "Completed"), (False, 1, "Failed")):
    w = server.fresh()

    def ended(value, w=w, phase=phase):
        w.say("session", state="completed" if phase == "Completed" else "failed")
        w.change(phase=phase, message="so it is", ended=True)
    w.hooks["message"] = lambda value, w=w, failed=failed: w.say("result", text="done", turns=1, durationMs=1, isError=failed)
    w.hooks["end"] = ended
    rc, out, err = ctl("chat", "s", "--end", stdin="one\ntwo\n")
    check("--end ends the session when all was said: %d" % code, rc == code and [i["type"] for i in w.inputs] == ["message", "message", "end"] and
          'session "s" has ended: %s' % phase in err and w.keys() == {}, (rc, out, err, w.inputs))
w = server.fresh()
w.hooks["message"] = lambda value: w.say("permission", id="p", tool="Write", input={"file_path": "x"})
rc, out, err = ctl("chat", "s", "--end", stdin="one\n")
check("not while the agent waits for an answer", rc == 1 and "waits for an answer" in err and [i["type"] for i in w.inputs] == ["message"],
      (rc, out, err, w.inputs))
master, slave = pty.openpty()
done = subprocess.run([CTL, "--kubeconfig", config, "chat", "s", "--end"], stdin=slave, stdout=slave, stderr=subprocess.PIPE,
                      env={**os.environ, "TERM": "xterm"}, timeout=60, check=False)
check("in a terminal one says /end", done.returncode == 2 and b"here /end does it" in done.stderr and w.keys() == {}, done)
os.close(master)
os.close(slave)
w = server.fresh(refuse={"end": "it is ending already"})
rc, out, err = ctl("chat", "s", "--end")
check("a refusal is said", rc == 5 and "not taken: it is ending already" in err, (rc, out, err))
sys.exit(finish())
