#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ambientctl files, and messages of sessions whose pod is gone, against a scripted API server with the endpoint behind
its proxy: what is listed, written and left alone, and the sentence and exit code of each refusal."""
import json
import os
import pty
import subprocess
import sys
import tempfile
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from checks import check, finish  # noqa: E402
from endpoint_fake import Server  # noqa: E402

CTL = os.path.join(os.path.abspath(os.environ["top_builddir"]), "core/ambientctl/ambientctl")
server = Server()
tmp = tempfile.TemporaryDirectory()
here = os.path.join(tmp.name, "here")
os.mkdir(here)
config = server.kubeconfig(os.path.join(tmp.name, "kubeconfig"))


def ctl(*words, stdout=subprocess.PIPE):
    done = subprocess.run([CTL, "--kubeconfig", config, *words], stdin=subprocess.DEVNULL, stdout=stdout,
                          stderr=subprocess.PIPE, cwd=here, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr.decode()


def entry(name, kind="file", size=3, mode="0644"):
    return {"name": name, "type": kind, "size": size, "mode": mode, "mtime": "2026-01-01T00:00:00Z"}


BYTES = bytes(range(256)) * 500
TREE = {"": {"entries": [entry("src", "directory", 0, "0755"), entry("a.bin"), entry("link", "symlink"),
                         entry("../../evil\x1b[2J\n", size=7)]},
        "src": {"entries": [entry("deep", "directory", 0, "0755"), entry("main.c")], "truncated": True},
        "src/deep": {"entries": []}, "src/main.c": b"int main;\x1b[2J\n", "a.bin": BYTES}

w = server.fresh(files=TREE)
rc, out, err = ctl("files", "s")
check("a directory is listed", rc == 0 and out.decode().splitlines() == [
    "MODE   SIZE   CHANGED                NAME", "0755   0      2026-01-01T00:00:00Z   src/",
    "0644   3      2026-01-01T00:00:00Z   a.bin", "0644   3      2026-01-01T00:00:00Z   link",
    "0644   7      2026-01-01T00:00:00Z   ../../evil?[2J "], (rc, out, err))
check("the key was for reading, and is gone", next(iter(w.patches[0]["metadata"]["annotations"].values())).endswith(" read")
      and w.keys() == {}, w.patches)
rc, out, err = ctl("files", "s", "--output", "json")
check("as JSON, a line each", rc == 0 and [json.loads(x)["name"] for x in out.splitlines()] == [
    "src", "a.bin", "link", "../../evil\x1b[2J\n"], out)
rc, out, err = ctl("files", "s", "./src//")
check("what is left out of a list is said", rc == 0 and b"deep/" in out and "more files than are listed" in err, (rc, out, err))
rc, out, err = ctl("files", "s", "a.bin")
check("a file's bytes", rc == 0 and out == BYTES, (rc, len(out), err))
rc, out, err = ctl("files", "s", "src/main.c", "-o", "-")
check("a file's bytes to standard output", rc == 0 and out == TREE["src/main.c"], (rc, out, err))
rc, out, err = ctl("files", "s", "a.bin", "-o", "copy")
with open(os.path.join(here, "copy"), "rb") as f:
    check("a file's bytes into a file", rc == 0 and out == b"" and f.read() == BYTES, (rc, err))
check("with the rights that a new file gets", os.stat(os.path.join(here, "copy")).st_mode & 0o777 == 0o666 & ~os.umask(0o22))
master, slave = pty.openpty()
rc, out, err = ctl("files", "s", "src/main.c", stdout=slave)
shown = os.read(master, 1000)
check("a terminal is not steered by a file", rc == 0 and shown == b"int main;?[2J\r\n", (rc, shown, err))
os.close(master)
os.close(slave)

for words, code, sentence in (
        (("none",), 3, 'there is no "none" in the workspace'), (("no/dir",), 3, "no such file"),
        (("link",), 5, '"link" is a link; only files and directories can be read'),
        (("src", "-o", "x"), 5, '"src" is a directory; --out is for a file'),
        (("-o", "x"), 5, '"." is a directory'), (("../x",), 2, "leaves the workspace"), (("/etc/passwd",), 2, "no path within"),
        (("a" * 5000,), 2, "longer than"), (("a.bin", "-o", "no/such/dir"), 1, "cannot be written")):
    rc, out, err = ctl("files", "s", *words)
    check("files %s is %d: %s" % (" ".join(words)[:30], code, sentence), rc == code and sentence in err and out == b"",
          (rc, out, err))
w.cut_file = True
rc, out, err = ctl("files", "s", "a.bin", "-o", "copy")
with open(os.path.join(here, "copy"), "rb") as f:
    check("what does not come whole leaves what was there", rc == 4 and f.read() == BYTES and os.listdir(here) == ["copy"],
          (rc, err, os.listdir(here)))

w = server.fresh(phase="Completed", pod="", files=TREE)
for i in range(1, 6):
    w.say("text", text="line %d" % i)
w.ended = True
rc, out, err = ctl("files", "s", "src/main.c")
check("of a session that has ended, through a pod that is asked for", rc == 0 and out == TREE["src/main.c"] and
      "ambient-code.io/content-requested" in w.annotations, (rc, out, err, w.annotations))
rc, out, err = ctl("messages", "s", "-o", "text")
check("messages too, when the pod is gone", (rc, out.decode()) == (0, "".join("line %d\n" % i for i in range(1, 6))), (rc, out, err))
w.pod = "s-pod"
rc, out, err = ctl("messages", "s", "-o", "json")
check("or its log is", rc == 0 and len(out.splitlines()) == 5, (rc, out, err))
w.logs = w.messages[3:]
rc, out, err = ctl("messages", "s")
check("a log that is there is read", (rc, out) == (0, b"line 4\nline 5\n"), (rc, out, err))
rc, out, err = ctl("messages", "s", "--from", "3")
check("from a number on they come from the files", (rc, out) == (0, b"line 3\nline 4\nline 5\n"), (rc, out, err))
rc, out, err = ctl("messages", "s", "--from", "x")
check("a number that is none is 2", rc == 2 and "counted from 1" in err, (rc, err))

# Messages that were too large for a line.
w = server.fresh(ended=True)
w.say("text", text="short")
w.say("text", text="begins", file="large/2.json", bytes=400000)
w.say("tool_result", id="t", text="one\n" * 9, file="large/3.json", bytes=400000)
w.say("text", text="lost", file="large/4.json", bytes=7)
w.large = {2: {"text": "begins and goes on to its end", "seq": 77, "type": "error"}}
want = "short\nbegins and goes on to its end\n  one\n  one\n  one\n  one\n  one\n  one\n  ...\nlost [cut here: the message has 7 bytes]\n"
for where, words in (("from the files", ("--from", "1")), ("from the log", ())):
    w.logs = [] if words else w.messages
    w.asked = []
    rc, out, err = ctl("messages", "s", *words)
    check("a message that was cut is had whole, " + where, (rc, out.decode(), err) == (0, want, "") and w.keys() == {}, (rc, out, err))
    check("and nothing else is asked for, " + where, sorted(x.rsplit("/", 1)[1] for x in w.asked if "large" in x) == [
        "large?seq=2", "large?seq=4"], w.asked)
rc, out, err = ctl("messages", "s", "-o", "json")
check("as JSON it is what the runner wrote", rc == 0 and [json.loads(x) for x in out.splitlines()] == w.messages, (rc, out, err))
w.viewer = True
rc, out, err = ctl("messages", "s")
check("who may not ask the runner gets the beginning and is told", rc == 0 and "cannot patch" in err and err.count("\n") == 1 and
      out.decode() == want.replace(" and goes on to its end", " [cut here: the message has 400000 bytes]"), (rc, out, err))
w = server.fresh(phase="Running")
w.logs = [{"seq": 1, "type": "text", "time": "t", "run": "r", "text": "begins", "file": "large/1.json", "bytes": 400000}]
w.large = {1: {"text": "begins and ends"}}
threading.Timer(0.5, lambda: w.change(phase="Completed")).start()
rc, out, err = ctl("messages", "s", "-f")
check("while one follows, too", (rc, out) == (0, b"begins and ends\n") and w.keys() == {}, (rc, out, err, w.keys()))

# Clones.
CODE = {"repo": "code", "branch": "main", "commit": "0123456789abcdef0123456789abcdef01234567", "base": "b", "ahead": 2, "truncated": False,
        "files": [{"path": "a.c", "code": ".M", "added": 3, "removed": 1}, {"path": "evil\x1b[2J\n", "code": "??"}], "diff": "--- a\n+++ b\n\x1b[2J\n"}
BARE = {"repo": "bare", "branch": "", "commit": "", "files": [], "truncated": False}
TREE = {"": {"entries": [entry(n, "directory") for n in ("artifacts", "bare", "code")] + [entry("sub", "symlink"), entry("x")]},
        "code/.git": {"entries": []}, "bare/.git": {"entries": []}}
w = server.fresh(files=TREE, git={"code": CODE, "bare": BARE})
rc, out, err = ctl("repos", "s")
check("repos shows the clones", rc == 0 and out.decode().splitlines() == [
    "NAME   BRANCH   COMMIT       AHEAD   CHANGES", "bare   (none)   (none)       -       clean",
    "code   main     0123456789   2       2 files, +3 -1"] and w.keys() == {}, (rc, out, err))
rc, out, err = ctl("repos", "s", "-o", "json")
check("as JSON, a line each", rc == 0 and [json.loads(x)["repo"] for x in out.splitlines()] == ["bare", "code"], (rc, out, err))
rc, out, err = ctl("repos", "s", "code")
check("one of them, with its files", rc == 0 and out.decode().splitlines()[1:] == [
    "code   main     0123456789   2       2 files, +3 -1", ".M a.c  +3 -1", "?? evil?[2J "], (rc, out, err))
rc, out, err = ctl("repos", "s", "code", "--diff")
check("and its diff", (rc, out.decode()) == (0, CODE["diff"]), (rc, out, err))
master, slave = pty.openpty()
rc, out, err = ctl("repos", "s", "code", "--diff", stdout=slave)
shown = os.read(master, 1000)
check("which steers no terminal", rc == 0 and shown == b"--- a\r\n+++ b\r\n?[2J\r\n", (rc, shown, err))
os.close(master)
os.close(slave)
w.git = {"code": {**CODE, "truncated": True, "diffTruncated": True}}
rc, out, err = ctl("repos", "s")
check("one that cannot be looked at is said, and the others are shown", rc == 1 and b"more than 2 files" in out and b"bare" not in out and
      err == 'ambientctl: repository "bare": there is no clone "bare" in the workspace\n', (rc, out, err))
rc, out, err = ctl("repos", "s", "code", "--diff")
check("a diff that is cut says so", rc == 0 and "more of the diff" in err, (rc, out, err))
for words, code, sentence in ((("s", "none"), 5, 'there is no clone "none"'), (("s", "--diff"), 2, "needs the name of a repository"),
                              (("x",), 3, "not found"), (("add", "s"), 2, "takes a session and a repository"),
                              (("a", "b", "c"), 2, "neither add nor remove"), ((), 2, "usage: ambientctl repos")):
    rc, out, err = ctl("repos", *words)
    check("repos %s is %d: %s" % (" ".join(words), code, sentence), rc == code and sentence in err and out == b"", (rc, out, err))
w = server.fresh(phase="Completed", pod="", files=TREE, git={"code": CODE, "bare": BARE})
rc, out, err = ctl("repos", "s")
check("of a session that has ended, too", rc == 0 and b"0123456789" in out and "ambient-code.io/content-requested" in w.annotations, (rc, out, err))

w = server.fresh(phase="Completed", pod="", serves=False)
w.events = [{"reason": "ContentUnavailable", "lastTimestamp": stamp, "message": message, "involvedObject": {"name": "s"}}
            for stamp, message in (("2026-01-01T00:00:00Z", "long ago"), ("2099-01-01T00:00:00Z", "another session works there"))]
rc, out, err = ctl("files", "s")
check("that there can be no such pod is said in the operator's words", rc == 1 and
      err.endswith('ambientctl: session "s": another session works there\n'), (rc, err))
w = server.fresh(phase="Pending", pod="")
rc, out, err = ctl("files", "s")
check("a session without a pod yet is 1", rc == 1 and err == 'ambientctl: session "s" has no pod that runs; it is Pending\n', (rc, err))
w = server.fresh(viewer=True)
rc, out, err = ctl("files", "s")
check("who may not change the session is 5", rc == 5 and "cannot patch" in err, (rc, err))
rc, out, err = ctl("files", "x")
check("no such session is 3", rc == 3 and "not found" in err, (rc, err))
sys.exit(finish())
