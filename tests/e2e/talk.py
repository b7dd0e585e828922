# SPDX-License-Identifier: Apache-2.0
"""A person at a terminal, which is tmux, or a script talks by ambientctl with the agent in a session's pod, through the
API server's pods/proxy.  A script plays the CLI, so that this runs wherever there is an API server; chat.py does the same
with a real one."""
import json
import os
import shlex
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
import tmux  # noqa: E402
from lib import Platform, Session, until  # noqa: E402
from runner_turns import CLI, THREAD  # noqa: E402


def program(directory):
    """The CLI below a directory that pods see; what configures the plugin."""
    os.makedirs(directory, exist_ok=True)
    with open(os.open(directory + "/codex", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o755), "w") as f:
        f.write(CLI.replace('echo x >> "$0.versions"; ', ""))
    os.chmod(directory, 0o755)
    return 'config: { cli = "%s/codex"; };' % directory


def session(p, name):
    if p.get(p.core("secrets", "openai")) is None:
        p.secret("openai", OPENAI_API_KEY="k")
    p.origins.make(name)
    return p.session(name, runnerType="codex", interactive=True, model="gpt-5", prompt=None, initialPrompt="one",
                     anthropicApiKeySecret="openai", repos=[p.repo(name)])


def keys(s):
    return [k for k in s.get()["metadata"].get("annotations", {}) if k.startswith("access.ambient-code.io/")]


def test_a_person_at_a_terminal(p):
    if tmux.missing():
        return lib.required("tmux", tmux.missing())
    s, home = session(p, "terminal"), os.path.join(p.dir, "terminal")
    os.mkdir(home)
    rest = 'session "terminal" in namespace "%s", /help' % s.ns
    t = tmux.Terminal(home, shlex.join([p.tree.root + "/bin/ambientctl", "--kubeconfig", p.kubeconfig, "-n", p.ns, "chat", s.name]), 100, 30,
                      {"LD_LIBRARY_PATH": p.env["LD_LIBRARY_PATH"]})
    try:
        t.sees("one after new")
        t.row(rest)
        t.type("two")
        t.keys("Enter")
        t.sees("two after " + THREAD)
        t.row(rest)
        # A turn that would last is interrupted, and the talk goes on.
        t.type("wait")
        t.keys("Enter")
        until(lambda: any(m["type"] == "tool_call" for m in s.messages()), what="the tool to run")
        t.keys("C-c")
        t.sees("a person interrupts the turn")
        t.row(rest)
        t.type("/end")
        t.keys("Enter")
        t.sees('session "terminal" has ended: Completed')
        t.sees("[exit 0]")
    finally:
        t.close()
    s.wait("Completed")
    said = [m["text"] for m in s.messages() if m["type"] == "user"]
    assert said == ["two", "wait"] and keys(s) == [], (said, s.get()["metadata"])
    return None


def test_a_script_talks_reads_and_ends_it(p):
    s = session(p, "script")
    s.wait("Running") # what the runner says may be known earlier than that it runs
    until(lambda: "one after new" in s.texts(), what="the first answer")
    for words, want in ((("messages", "script"), "one after new"), (("repos", "script"), "main"), (("files", "script"), "script"),
                        (("files", "script", "script/README.md"), "hello")):
        done = p.ctl(*words)
        assert done.returncode == 0 and want in done.stdout, (words, done.stdout)
    done = p.ctl("messages", "script", "--from", "2", "-o", "json")
    seen = [json.loads(line)["seq"] for line in done.stdout.splitlines()]
    assert seen == list(range(2, len(seen) + 2)), seen
    done = p.ctl("chat", "script", "--end", stdin=None, input="two\n")
    assert done.returncode == 0 and "two after " + THREAD in done.stdout, done.stdout
    assert 'session "script" has ended: Completed' in done.stdout and s.phase == "Completed" and keys(s) == [], (done.stdout, s.status)


def test_what_it_left_is_read_afterwards(p):
    s = Session(p, "script", p.ns)
    s.wait("Completed")
    done = p.ctl("files", "script", "script/README.md")
    assert done.returncode == 0 and done.stdout.endswith("hello\n"), done.stdout
    done = p.ctl("messages", "script", "--from", "1", "-o", "json")
    assert [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")] == s.messages(), done.stdout
    assert p.get(p.core("pods", "script-content")) is not None and keys(s) == [], s.get()["metadata"]


class Lab(Platform):
    def start(self, without=(), wait=True):
        where = self.dir + "/cli"
        self.binds, self.plugins = (where,), {"runner-codex": program(where)}
        return super().start(without, wait)


if __name__ == "__main__":
    sys.exit(lib.suite(sys.modules[__name__], Lab, "talk"))
