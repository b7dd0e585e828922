# SPDX-License-Identifier: Apache-2.0
"""`ambient-runner run` and `ambient-runner agent` together, against git daemon and a small API server."""
import os
import signal
import socket
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from runner_lab import PATIENCE, Lab, Tap, git  # noqa: E402


# A timeout in which a clone is made, an agent begins and does something, on a machine with other things to do: it begins with
# the runner.
LATE = max(5, round(3 * PATIENCE))


def command(script):
    return {"command": ["sh", "-c", script]}


def repo(url, **output):
    r = {"input": {"url": url, "branch": "main"}}
    if output:
        r["output"] = output
    return r


def spec(script, *repos, **more):
    return {"prompt": "do it", "repos": list(repos), "runnerType": "command", "runnerConfig": command(script), **more}


def test_clone_change_push_report(lab):
    url = lab.origin("plain")
    pod = lab.pod(spec("cat; echo; echo line >> README.md; echo new > new.txt; echo done", repo(url, targetBranch="work"))).go()
    assert pod.code == 0, (pod.code, pod.report, pod.read("stderr"))
    assert pod.agent_code == 0
    r = pod.report["repos"][0]
    assert (r["status"], r["branch"], r["added"], r["removed"], r["commits"]) == ("pushed", "work", 2, 0, 1), r
    assert git("--git-dir", lab.bare("plain"), "rev-parse", "work") == r["commit"]
    assert git("--git-dir", lab.bare("plain"), "log", "-1", "--format=%an|%ae|%s", "work") == \
        "Ambient Code Bot|bot@ambient-code.local|Session s1: update"
    assert git("--git-dir", lab.bare("plain"), "show", "work:new.txt") == "new"
    assert pod.report["state"] == "done" and pod.report["result"] == "done" and not pod.report["isError"]
    assert "do it" in pod.texts() and "done" in pod.texts()
    seqs = [m["seq"] for m in pod.messages]
    assert seqs == list(range(1, len(seqs) + 1)), seqs
    assert pod.read("stdout").splitlines() == [l for l in open(pod.dir + "/.ambient/messages.jsonl").read().splitlines()]
    assert lab.api.others == [], lab.api.others
    assert pod.messages[-1]["type"] == "session" and pod.messages[-1]["state"] == "completed"


def test_the_author_is_whom_the_session_names(lab):
    """Of the agent's own commits and of what is committed for it."""
    user = {"name": "Ada", "email": "ada@example.com"}
    for n, (more, env, author) in enumerate((
            ({"gitConfig": {"user": user}, "botAccount": {"name": "not-this"}}, {}, "Ada|ada@example.com"),
            ({"botAccount": {"name": "team-bot"}}, {"GIT_USER_NAME": "nor this"}, "team-bot|bot@ambient-code.local"),
            ({}, {"GIT_USER_NAME": "Eve", "GIT_USER_EMAIL": "eve@example.com"}, "Eve|eve@example.com"))):
        name = "author-%d" % n
        pod = lab.pod(spec("echo a >> README.md; git commit -qam own; echo b >> README.md", repo(lab.origin(name), targetBranch="work"), **more),
                      runner_env=env).go()
        assert pod.code == 0, (pod.code, pod.report, pod.read("stderr"))
        said = git("--git-dir", lab.bare(name), "log", "-2", "--format=%an|%ae %cn|%ce", "work").splitlines()
        assert said == [author + " " + author] * 2, (n, said)


def test_no_changes(lab):
    pod = lab.pod(spec("true", repo(lab.origin("still"), targetBranch="work"))).go()
    assert pod.code == 0 and pod.report["repos"][0]["status"] == "nochanges", pod.report
    assert git("--git-dir", lab.bare("still"), "for-each-ref") .count("refs/heads/") == 1


def test_a_branch_that_is_to_be_there(lab):
    """It is made without a change, gone on from where it is there, and an agent that failed makes none."""
    url, bare = lab.origin("made"), lab.bare("made")
    made = repo(url, targetBranch="work", ensureBranch=True)
    assert lab.pod(spec("exit 1", made)).go().code == 1
    assert git("--git-dir", bare, "for-each-ref").count("refs/heads/") == 1
    pod = lab.pod(spec("true", made)).go()
    assert pod.code == 0 and pod.report["repos"][0]["status"] == "pushed" and pod.report["repos"][0]["commits"] == 0, pod.report
    assert git("--git-dir", bare, "rev-parse", "work") == git("--git-dir", bare, "rev-parse", "main")
    pod = lab.pod(spec("echo one > one; git symbolic-ref --short HEAD", made)).go()
    assert pod.report["repos"][0]["commits"] == 1 and "work" in pod.texts(), pod.report
    pod = lab.pod(spec("cat one; echo two > two", made)).go()
    assert pod.report["repos"][0]["commits"] == 1 and "one" in pod.texts(), pod.report
    assert git("--git-dir", bare, "rev-list", "--count", "main..work") == "2"
    assert lab.pod(spec("true", made)).go().report["repos"][0]["status"] == "nochanges"


def test_a_branch_that_is_gone_on_with(lab):
    """It is begun from where it is there, and a run that changes nothing makes none."""
    url, bare = lab.origin("goes-on"), lab.bare("goes-on")
    on = repo(url, targetBranch="work", continueBranch=True)
    assert lab.pod(spec("true", on)).go().report["repos"][0]["status"] == "nochanges"
    assert git("--git-dir", bare, "for-each-ref").count("refs/heads/") == 1
    assert lab.pod(spec("echo one > one", on)).go().report["repos"][0]["status"] == "pushed"
    pod = lab.pod(spec("cat one; echo two > two", on)).go()
    assert pod.report["repos"][0]["status"] == "pushed" and "one" in pod.texts(), pod.report
    assert git("--git-dir", bare, "rev-list", "--count", "main..work") == "2"


def test_push_not_asked_is_abandoned(lab):
    pod = lab.pod(spec("echo x > x", repo(lab.origin("kept")))).go()
    assert pod.code == 0 and pod.report["repos"][0]["status"] == "abandoned", pod.report
    assert "work" not in git("--git-dir", lab.bare("kept"), "for-each-ref")


def test_auto_push_goes_to_the_sessions_branch(lab):
    url = lab.origin("auto")
    pod = lab.pod({"prompt": "p", "repos": [{"url": url}], "interactive": False, "autoPushOnComplete": True,
                   "runnerConfig": command("echo y > y; git add y; git commit -qm own; exit 3")}).go()
    # The agent failed: its commit is kept, and goes nowhere.
    assert pod.code == 1 and pod.report["reason"] == "AgentFailed", (pod.code, pod.report)
    assert (pod.report["repos"][0]["status"], pod.report["repos"][0]["commits"]) == ("abandoned", 1)
    pod = lab.pod({"prompt": "p", "repos": [{"url": url}], "interactive": False, "autoPushOnComplete": True,
                   "runnerConfig": command("echo y > y; git add y; git commit -qm own; echo z > z")}).go()
    assert pod.code == 0 and pod.report["repos"][0]["branch"] == "sessions/s1", pod.report
    assert git("--git-dir", lab.bare("auto"), "show", "sessions/s1:z") == "z"


def test_flat_legacy_fields_and_fork(lab):
    url, fork = lab.origin("legacy"), lab.origin("fork")
    pod = lab.pod({"prompt": "p", "inputRepo": url, "inputBranch": "main", "outputRepo": fork, "outputBranch": "out",
                   "runnerConfig": command("echo q > q")}).go()
    assert pod.code == 0 and pod.report["repos"][0]["status"] == "pushed", pod.report
    assert git("--git-dir", lab.bare("fork"), "show", "out:q") == "q"
    assert "out" not in git("--git-dir", lab.bare("legacy"), "for-each-ref", "--format=%(refname)").split("/")


def test_a_failed_second_repository_blocks_nothing(lab):
    url = lab.origin("main1")
    s = spec("ls .. > seen", repo("git://127.0.0.1:%d/absent.git" % lab.port), repo(url, targetBranch="work"),
             {"input": {"url": "file:///etc", "branch": "main"}}, mainRepoIndex=1)
    pod = lab.pod(s).go()
    assert pod.code == 0, (pod.code, pod.report)
    assert [r["status"] for r in pod.report["repos"]] == ["error", "pushed", "error"], pod.report
    assert "refused" in pod.report["repos"][2]["error"]


def test_main_repository_or_branch_absent(lab):
    pod = lab.pod(spec("true", repo("git://127.0.0.1:%d/absent.git" % lab.port))).go()
    assert pod.code == 1 and pod.report["reason"] == "CloneFailed" and pod.agent_code == 0, (pod.code, pod.report)
    url = lab.origin("nobranch")
    pod = lab.pod(spec("true", {"input": {"url": url, "branch": "gone"}})).go()
    assert pod.code == 1 and 'has no branch "gone"' in pod.report["message"], pod.report


def test_refused_urls(lab):
    for url in ("file:///etc", "ext::sh -c touch% /tmp/x", "-upload-pack=x", "--upload-pack=touch x", "/etc", "fd::3",
                "https://u:p@example.com/r.git", "ftp://example.com/r", "git://example.com/r", "ssh://-oProxyCommand=x/y"):
        pod = lab.pod(spec("true", repo(url))).go()
        assert pod.code == 1 and pod.report["reason"] == "InvalidRepository", (url, pod.code, pod.report)
        assert "refused" in pod.report["message"], pod.report
    pod = lab.pod(spec("true", {"input": {"url": lab.origin("opt"), "branch": "--upload-pack=x"}})).go()
    assert pod.code == 1 and pod.report["reason"] == "InvalidRepository", pod.report


def test_push_refused_fails_with_the_reason(lab):
    url = lab.origin("closed")
    hook = lab.bare("closed") + "/hooks/pre-receive"
    os.makedirs(os.path.dirname(hook), exist_ok=True)
    with open(hook, "w") as f:
        f.write("#!/bin/sh\necho 'not on my watch' >&2\nexit 1\n")
    os.chmod(hook, 0o755)
    pod = lab.pod(spec("echo x > x", repo(url, targetBranch="work"))).go()
    assert pod.code == 1 and pod.report["reason"] == "PushFailed", pod.report
    assert pod.report["repos"][0]["status"] == "error" and "work" in pod.report["repos"][0]["error"], pod.report


def test_exit_codes(lab):
    for code, want, reason in ((3, 1, "AgentFailed"), (2, 2, "PrerequisiteMissing")):
        pod = lab.pod(spec("echo oops >&2; exit %d" % code)).go()
        assert pod.code == want and pod.report["reason"] == reason, (pod.code, pod.report)
        assert "oops" in pod.report["message"] and pod.agent_code == 0
    pod = lab.pod(dict(spec("true"), runnerConfig={"command": ["/no/such/program"]})).go()
    assert pod.code in (1, 2) and "/no/such/program" in pod.report["message"], pod.report


def test_timeout_ends_the_whole_tree(lab):
    marker = os.path.join(lab.root, "child")
    pod = lab.pod(spec("echo half > half; trap '' TERM; (setsid sh -c 'echo $$ > %s; exec sleep 600' &) ; "
                       "while :; do sleep 1; done" % marker, repo(lab.origin("late"), targetBranch="work"), timeout=LATE)).go()
    assert pod.code == 1 and pod.report["reason"] == "Timeout", (pod.code, pod.report)
    with open(marker) as f:
        child = f.read().strip()
    assert child and not os.path.exists("/proc/" + child)
    # What it had done is kept and said, and goes nowhere.
    assert (pod.report["repos"][0]["status"], pod.report["repos"][0]["commits"]) == ("abandoned", 1), pod.report
    assert "work" not in git("--git-dir", lab.bare("late"), "for-each-ref")


def test_an_idle_chat_ends_by_its_inactivity_timeout(lab):
    pod = lab.pod({"initialPrompt": "p", "inactivityTimeout": max(1, round(PATIENCE)), "repos": [{"url": lab.origin("idle"), "autoPush": True}],
                   "runnerConfig": command("echo half > half; exec sleep 600")}).go()
    assert pod.code == 1 and pod.report["reason"] == "Inactivity", (pod.code, pod.report)
    assert "inactivityTimeout" in pod.report["message"], pod.report
    assert pod.report["repos"][0]["status"] == "abandoned", pod.report
    assert "sessions" not in git("--git-dir", lab.bare("idle"), "for-each-ref")


def test_sigterm_where_nothing_was_changed(lab):
    on = repo(lab.origin("idle-stop"), targetBranch="work")
    pod = lab.pod(spec("echo up; exec sleep 60", on, repo(lab.origin("busy-stop"), targetBranch="work"))).start()
    assert pod.until(lambda: "up" in pod.texts())
    with open(os.path.join(pod.dir, "workspace/busy-stop/half"), "w") as f:
        f.write("half\n")
    pod.runner.send_signal(signal.SIGTERM)
    pod.wait()
    assert pod.code == 143 and [r["status"] for r in pod.report["repos"]] == ["nochanges", "abandoned"], (pod.code, pod.report)
    # Nobody had the time to count.
    assert pod.report["repos"][0]["added"] == 0 and "added" not in pod.report["repos"][1], pod.report


def test_sigterm_stops_and_reports(lab):
    pod = lab.pod(spec("echo half > half; echo up; exec sleep 60", repo(lab.origin("stop"), targetBranch="work"))).start()
    assert pod.until(lambda: "up" in pod.texts())
    pod.runner.send_signal(signal.SIGTERM)
    pod.wait()
    assert pod.report["repos"][0]["status"] == "abandoned", pod.report
    assert pod.code == 143 and pod.report["state"] == "done" and pod.report["reason"] == "Stopped", (pod.code, pod.report)


def test_a_rescue_branch_holds_what_did_not_come_to_an_end(lab):
    url = lab.origin("rescue")
    heads = lambda: git("--git-dir", lab.bare("rescue"), "for-each-ref", "--format=%(refname:short)").split()
    more = {"rescue": True}
    # Stopped by a signal, although no push was asked for.
    pod = lab.pod(spec("echo half > half; echo up; exec sleep 60", repo(url), **more)).start()
    assert pod.until(lambda: "up" in pod.texts())
    for p in (pod.runner, pod.agent):
        p.send_signal(signal.SIGTERM)
    pod.wait()
    r = pod.report["repos"][0]
    branch = "ambient/rescue/s1-" + pod.run_id
    assert (r["status"], r["branch"], r["commits"]) == ("pushed", branch, 1), pod.report
    assert pod.code == 143 and pod.report["reason"] == "Stopped" and heads() == [branch, "main"], (pod.code, heads())
    assert git("--git-dir", lab.bare("rescue"), "show", branch + ":half") == "half"
    # Out of time, and failed; the branch that was asked for stays untouched, and no request is opened.
    for script, reason, extra in (("echo late > late; exec sleep 60", "Timeout", {"timeout": LATE}),
                                  ("echo bad > bad; exit 3", "AgentFailed", {})):
        pod = lab.pod(spec(script, repo(url, targetBranch="work", createPR=True), **more, **extra)).go()
        r = pod.report["repos"][0]
        assert pod.code == 1 and pod.report["reason"] == reason, (pod.code, pod.report)
        assert (r["status"], r["branch"]) == ("pushed", "ambient/rescue/s1-" + pod.run_id) and "error" not in r, r
        assert "work" not in heads() and r["branch"] in heads(), heads()
    # Nothing to rescue, and what succeeds goes where it was to go.
    pod = lab.pod(spec("exit 3", repo(url, targetBranch="work"), **more)).go()
    assert pod.report["repos"][0]["status"] == "nochanges", pod.report
    pod = lab.pod(spec("echo good > good", repo(url, targetBranch="work"), **more)).go()
    assert pod.code == 0 and pod.report["repos"][0]["branch"] == "work" and len(heads()) == 5, (pod.report, heads())


def test_a_push_that_hangs_ends_with_the_grace_of_the_pod(lab):
    url = lab.origin("stuck")
    gate, hook = os.path.join(lab.root, "stuck-gate"), lab.bare("stuck") + "/hooks/pre-receive"
    os.mkfifo(gate)
    os.makedirs(os.path.dirname(hook), exist_ok=True)
    with open(hook, "w") as f:
        f.write("#!/bin/sh\nread line < %s\n" % gate)
    os.chmod(hook, 0o755)
    pod = lab.pod(spec("echo half > half; echo up; exec sleep 60", repo(url), rescue=True),
                  runner_env={"AMBIENT_GRACE": "%ds" % (15 + round(2 * PATIENCE))}).start()
    assert pod.until(lambda: "up" in pod.texts())
    pod.runner.send_signal(signal.SIGTERM)
    try:
        pod.wait(40)
    finally:
        with open(os.open(gate, os.O_RDWR), "w") as f:
            f.write("go\n")
    r = pod.report["repos"][0]
    assert pod.code == 143 and pod.report["state"] == "done" and r["status"] == "error", (pod.code, pod.report)
    assert r["error"] == 'pushing "%s": git push was still going on when the run had to end' % ("ambient/rescue/s1-" + pod.run_id), r


def test_the_api_server_is_away_when_the_runner_starts(lab):
    pod = lab.pod(spec("echo x > x", repo(lab.origin("early"), targetBranch="work")))
    lab.api.down()
    came, end = lab.api.flaky()
    try:
        pod.start()
        # A client's own tries are few; these are more.
        assert pod.until(lambda: came() >= 12 or pod.runner.poll() is not None)
        assert pod.runner.poll() is None, (pod.read("stderr"), came())
    finally:
        end()
        lab.api.up()
    pod.wait()
    assert pod.code == 0 and pod.report["repos"][0]["status"] == "pushed", (pod.code, pod.report, pod.read("stderr"))


def test_the_api_server_is_away_when_the_run_ends(lab):
    gate = os.path.join(lab.root, "gate-end")
    url = lab.origin("ends")
    pod = lab.pod(spec("echo x > x; echo up; while [ ! -e %s ]; do sleep 0.02; done" % gate, repo(url, targetBranch="work"))).start()
    assert pod.until(lambda: "up" in pod.texts())
    lab.api.down()
    with open(gate, "w"):
        pass
    # All is done and pushed; the report alone is missing, and the runner does not leave without it.
    try:
        assert pod.until(lambda: pod.messages[-1]["type"] == "session" and pod.messages[-1]["state"] == "completed")
        assert pod.until(lambda: "cannot report" in pod.read("stderr"))
        assert lab.api.report["state"] != "done" and pod.runner.poll() is None
    finally:
        lab.api.up()
    pod.wait()
    assert pod.code == 0 and pod.report["state"] == "done", (pod.code, pod.report, pod.read("stderr"))
    assert pod.report["repos"][0]["status"] == "pushed" and lab.api.states[-1] == "done", lab.api.states


def test_a_token_that_rotated_while_the_api_server_was_away(lab):
    gate, token = os.path.join(lab.root, "gate-token"), os.path.join(lab.root, "token")

    def rotate(value):
        with open(token + ".new", "w") as f:
            f.write(value)
        os.rename(token + ".new", token)
        lab.api.token = value

    rotate("first")
    pod = lab.pod(spec("echo up; while [ ! -e %s ]; do sleep 0.02; done" % gate), runner_env={"AMBIENT_API_TOKEN_FILE": token})
    try:
        pod.start()
        assert pod.until(lambda: "up" in pod.texts()), pod.read("stderr")
        lab.api.down()
        rotate("second")
        with open(gate, "w"):
            pass
        assert pod.until(lambda: pod.messages[-1]["type"] == "session" and pod.messages[-1]["state"] == "completed")
        lab.api.up()
        pod.wait()
        assert pod.code == 0 and pod.report["state"] == "done", (pod.code, pod.report, pod.read("stderr"))
    finally:
        lab.api.token = None


def test_a_runner_reports_while_git_hangs(lab):
    """Behaviour 11.5: a heartbeat, also while it clones from a server that says nothing, and while a push waits."""
    often = {"AMBIENT_HEARTBEAT": "50ms"}
    beats = lambda state: lab.api.states.count(state)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        pod = lab.pod(spec("true", repo("git://127.0.0.1:%d/mute.git" % mute.getsockname()[1])), runner_env=often).start()
        connection, _ = mute.accept()
        assert pod.until(lambda: beats("preparing") >= 4), lab.api.states
        connection.close()
        pod.wait()
        assert pod.code == 1 and pod.report["reason"] == "CloneFailed", (pod.code, pod.report)
    url = lab.origin("slow")
    gate = os.path.join(lab.root, "slow-gate")
    os.mkfifo(gate)
    hook = lab.bare("slow") + "/hooks/pre-receive"
    os.makedirs(os.path.dirname(hook), exist_ok=True)
    with open(hook, "w") as f:
        f.write("#!/bin/sh\nread line < %s\n" % gate)
    os.chmod(hook, 0o755)
    pod = lab.pod(spec("echo x > x", repo(url, targetBranch="work")), runner_env=often).start()
    assert pod.until(lambda: beats("pushing") >= 6 or pod.runner.poll() is not None) and beats("pushing") >= 6, (pod.report, lab.api.states)
    with open(gate, "w") as f:
        f.write("go\n")
    pod.wait()
    assert pod.code == 0 and pod.report["repos"][0]["status"] == "pushed", (pod.code, pod.report)


def test_agent_lost(lab):
    pod = lab.pod(spec("echo up; exec sleep 60")).start()
    assert pod.until(lambda: "up" in pod.texts())
    pod.agent.kill()
    pod.wait()
    assert pod.code == 1 and pod.report["reason"] == "AgentLost", (pod.code, pod.report)


def test_started_at_most_once_and_numbers_go_on(lab):
    url = lab.origin("again")
    first = lab.pod(spec("echo one >> f; echo first-out", repo(url, targetBranch="work"))).go()
    assert first.code == 0, first.report
    count = len(first.messages)
    second = lab.pod(spec("echo two >> f", repo(url, targetBranch="work")), volume=first.volume, run_id=first.run_id).go()
    assert second.code == 1 and second.report["reason"] == "AlreadyStarted", second.report
    assert second.agent_code == 0
    third = lab.pod(spec("cat f; echo three >> f", repo(url, targetBranch="work")), volume=first.volume).go()
    assert third.code == 0 and "one" in third.texts(), (third.report, third.texts())
    seqs = [m["seq"] for m in third.messages]
    assert len(seqs) > count and seqs == list(range(1, len(seqs) + 1))
    assert git("--git-dir", lab.bare("again"), "show", "work:f") == "one\nthree"


def test_a_prompt_of_one_megabyte(lab):
    prompt = "x" * 1000000 + " end"
    pod = lab.pod(dict(spec("wc -c; wc -c < $AMBIENT_PROMPT_FILE; echo \"[${PROMPT-unset}]\""), prompt=prompt)).go()
    assert pod.code == 0 and pod.texts()[:3] == ["1000004", "1000004", "[unset]"], (pod.report, pod.texts())
    pod = lab.pod(dict(spec("echo \"[$PROMPT]\""), prompt="short")).go()
    assert pod.texts() == ["[short]"], pod.texts()


def test_a_hundred_megabytes_of_output(lab):
    pod = lab.pod(spec("yes 0123456789012345678901234567890123456789012345678901234567890123456789 | head -c 100000000; "
                       "head -c 20000000 /dev/zero | tr '\\0' z; echo; echo end"),
                  runner_env={"AMBIENT_MESSAGES_MAX": "4MiB"}).go()
    assert pod.code == 0 and pod.report["result"] == "end", (pod.code, pod.report)
    assert os.path.getsize(pod.dir + "/.ambient/messages.jsonl") < 8 << 20
    assert any(m["type"] == "session" and m.get("state") == "truncated" for m in pod.messages)


def test_a_slow_runner_loses_nothing_of_an_agent_that_has_ended(lab):
    """What is still in the agent's pipe, and was not read since the runner was behind, is read when it is no more."""
    program = ("import os, time; os.set_blocking(1, False); n = quiet = 0\n"
               "while quiet < 10:\n"
               "    try: os.write(1, b\"%06d\\n\" % n); n += 1; quiet = 0\n"
               "    except BlockingIOError: quiet += 1; time.sleep(0.05)\n"
               "open(\"count\", \"w\").write(str(n))")
    pod = lab.pod(spec("echo up; until [ -e go ]; do sleep 0.1; done; exec python3 -c '%s'" % program)).start()
    assert pod.until(lambda: "up" in pod.texts())
    there = pod.dir + "/workspace/artifacts/"
    pod.runner.send_signal(signal.SIGSTOP)
    try:
        open(there + "go", "w").close()
        assert pod.until(lambda: os.path.exists(there + "count"))
        time.sleep(6)  # longer than an end is waited for that does not come
    finally:
        pod.runner.send_signal(signal.SIGCONT)
    pod.wait()
    with open(there + "count") as f:
        n = int(f.read())
    said = "\n".join(pod.texts()).split("\n")
    assert pod.code == 0 and said == ["up"] + ["%06d" % i for i in range(n)], (pod.code, n, len(said), said[-1])


def test_a_full_disk(lab):
    """The agent fills the volume: the run ends with a sentence, and the log holds whole lines."""
    import subprocess
    volume = os.path.join(lab.root, "small")
    os.mkdir(volume)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", volume],
                                           stderr=subprocess.DEVNULL).returncode != 0:
        return "no tmpfs can be mounted here"
    try:
        pod = lab.pod(spec("cat /dev/zero > fill; while :; do echo 0123456789012345678901234567890123456789; done",
                           repo(lab.origin("full"), targetBranch="work"), timeout=60), volume=volume).go()
        assert pod.code == 1 and pod.report["reason"] == "DiskFull", (pod.code, pod.report)
        assert "No space left" in pod.report["message"] and pod.report["state"] == "done", pod.report
        assert pod.messages[0]["seq"] == 1
    finally:
        subprocess.run(["umount", volume], check=True)


def test_a_refused_url_of_any_length_fits_the_report(lab):
    pod = lab.pod(spec("true", repo(lab.origin("long")), {"url": "https://h/" + "x" * 500000})).go()
    assert pod.code == 0 and pod.report["repos"][1]["status"] == "error", pod.report


def test_secrets_do_not_reach_messages_or_report(lab):
    token = "ghp_" + "a1B2" * 9
    pod = lab.pod(spec("echo key sk-ant-api03-abcdefghijkl; echo %s; echo plain-secret-value; echo https://u:hunter22@h/x" % token),
                  runner_env={"GITHUB_TOKEN": "plain-secret-value"}).go()
    everything = pod.read("stdout") + open(pod.dir + "/.ambient/messages.jsonl").read() + str(pod.report)
    for secret in ("sk-ant-api03", token, "plain-secret-value", "hunter22"):
        assert secret not in everything, secret
    assert pod.code == 0 and pod.texts().count("[redacted]") == 2, pod.texts()


def test_the_agent_sees_no_credentials(lab):
    cred = os.path.join(lab.root, "creds/0")
    os.makedirs(cred)
    with open(cred + "/token", "w") as f:
        f.write("canary-git-token")
    url = lab.origin("canary")
    pod = lab.pod(spec("env; cat /proc/self/environ | tr '\\0' '\\n'; cat .git/config", repo(url, targetBranch="work")),
                  runner_env={"GITHUB_TOKEN": "canary-github", "AMBIENT_GIT_CREDENTIALS": os.path.dirname(cred)},
                  agent_env={"MODEL_KEY": "model-k", "OTHER": "canary-other"}, agent_names="MODEL_KEY").go()
    text = "\n".join(pod.texts())
    assert pod.code == 0 and "canary-" not in text, text
    assert "url = " + url in text and "PROMPT=do it" in text


PLANTED = """
mkdir -p .git/hooks ../evil && touch base
for h in pre-push post-commit pre-commit reference-transaction post-checkout; do
  printf '#!/bin/sh\\ntouch %(mark)s-hook-$(basename $0)-$AMBIENT_SESSION_NAME\\n' > .git/hooks/$h; chmod +x .git/hooks/$h
  cp .git/hooks/$h ../evil/
done
git config core.hooksPath "$PWD/../evil"
git config core.sshCommand "touch %(mark)s-ssh-$AMBIENT_SESSION_NAME"
git config credential.helper "!touch %(mark)s-helper-$AMBIENT_SESSION_NAME; false"
git config url.git://127.0.0.1:1/.insteadOf git://127.0.0.1
git config url.git://127.0.0.1:1/.pushInsteadOf git://127.0.0.1
git config remote.origin.url "ext::touch %(mark)s-ext"
git config protocol.ext.allow always
mkdir -p "$HOME" && cp .git/config "$HOME/.gitconfig"
printf '[submodule "x"]\\n\\tpath = x\\n\\turl = -u./payload\\n' > /dev/null
echo work > work.txt
"""


def test_planted_configuration_and_hooks_have_no_effect(lab):
    """On the runner's side: the marks that the agent's own side may make carry no session name."""
    mark = os.path.join(lab.root, "mark")
    url = lab.origin("planted")
    pod = lab.pod(spec(PLANTED % {"mark": mark}, repo(url, targetBranch="work"))).go()
    assert pod.code == 0 and pod.report["repos"][0]["status"] == "pushed", (pod.report, pod.read("stderr"))
    assert git("--git-dir", lab.bare("planted"), "show", "work:work.txt") == "work"
    again = lab.pod(spec("echo more >> work.txt", repo(url, targetBranch="work")), volume=pod.volume).go()
    assert again.code == 0 and again.report["repos"][0]["status"] == "pushed", again.report
    found = [f for f in os.listdir(lab.root) if f.startswith("mark")]
    assert not any(f.endswith("-s1") or "ext" in f for f in found), found


def test_submodule_urls_that_are_options_are_refused(lab):
    script = """
git init -q x && git -C x -c user.name=a -c user.email=a@b commit -q --allow-empty -m s
printf '[submodule "x"]\\n\\tpath = x\\n\\turl = -u./payload\\n' > .gitmodules
git add .gitmodules x
"""
    pod = lab.pod(spec(script, repo(lab.origin("sub"), targetBranch="work"))).go()
    assert pod.code == 1 and pod.report["repos"][0]["status"] == "error", pod.report
    assert "gitmodules" in pod.report["repos"][0]["error"], pod.report


def test_hostile_bundles(lab):
    cases = {
        "a link": 'ln -s /etc/passwd "$OUT"',
        "a fifo": 'mkfifo "$OUT"',
        "a directory": 'mkdir "$OUT"',
        "garbage": 'echo garbage > "$OUT"',
        "too large": 'truncate -s 3G "$OUT"',
        "a cut one": 'echo z > z; git add z; git -c user.name=a -c user.email=a@b commit -qm z; git bundle create -q "$OUT.full" HEAD ^HEAD~1; '
                     'head -c 150 "$OUT.full" > "$OUT"; rm "$OUT.full"; git reset -q --hard HEAD~1',
        "another history": 'git checkout -q --orphan o; echo z > z; git add z; git -c user.name=a -c user.email=a@b commit -qm z; '
                           'git bundle create -q "$OUT.full" HEAD; H=$(git rev-parse HEAD); sed "s/$H HEAD/0000000000000000000000000000000000000001 HEAD/" '
                           '"$OUT.full" > "$OUT"; rm "$OUT.full"; git checkout -qf main',
    }
    for i, (name, body) in enumerate(cases.items()):
        url = lab.origin("hostile%d" % i)
        out = 'OUT="$AMBIENT_SESSION_DIR/out/hostile%d.bundle"; ' % i
        # The agent's side removes an old bundle before it decides: planting needs a directory it cannot write over,
        # so git is replaced for its `rev-parse`, the last thing it asks before it removes.
        wrapper = 'mkdir -p bin; '
        pod = lab.pod(spec(out + wrapper + "true", repo(url, targetBranch="work")))
        pod.start()
        pod.wait()
        assert pod.report is not None and pod.report["state"] == "done", (name, pod.report)
        # Second run on the volume: the runner alone, with an agent's side of our own that speaks the protocol.
        pod = lab.pod(spec("true", repo(url, targetBranch="work")), volume=pod.volume)
        pod.start(agent=False)
        play_agent(pod, "cd %s/workspace/hostile%d && %s%s" % (pod.dir, i, out.replace("$AMBIENT_SESSION_DIR", pod.dir), body))
        pod.wait()
        assert pod.code == 1 and pod.report["repos"][0]["status"] == "error", (name, pod.report)
        assert "bundle" in pod.report["repos"][0]["error"], (name, pod.report)
        assert "work" not in git("--git-dir", lab.bare("hostile%d" % i), "for-each-ref", "--format=%(refname:short)").split(), name


def test_a_chat_that_goes_on_does_not_hear_its_prompt_twice(lab):
    import json
    volume = None
    for spec_of, want in (({"initialPrompt": "hello", "interactive": True}, "hello"), ({"initialPrompt": "hello", "interactive": True}, ""),
                          ({"initialPrompt": "more", "interactive": True}, "more"), ({"prompt": "more"}, "more")):
        pod = lab.pod(spec_of, volume=volume).start(agent=False)
        s = connect(pod)
        begin = json.loads(s.makefile("rb").readline())
        with open(begin["promptFile"]) as f:
            assert f.read() == want, (spec_of, begin)
        assert begin["resume"] == ("" if volume is None else "c-1"), begin
        s.sendall(b'{"t":"conversation","id":"c-1"}\n{"t":"exited","success":true,"exitCode":0,"reason":"","message":""}\n{"t":"bye"}\n')
        pod.wait()
        s.close()
        assert pod.code == 0, pod.report
        volume = pod.volume


def connect(pod):
    import socket
    s = socket.socket(socket.AF_UNIX)
    assert pod.until(lambda: s.connect_ex(pod.agent_env["AMBIENT_SOCKET"]) == 0)
    s.settimeout(60)
    s.sendall(b'{"t":"hello","protocol":1,"contract":1,"type":"command"}\n')
    return s


def play_agent(pod, script):
    import subprocess
    s = connect(pod)
    f = s.makefile("rb")
    assert b'"start"' in f.readline()
    subprocess.run(["bash", "-ec", script], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
    s.sendall(b'{"t":"exited","success":true,"exitCode":0,"reason":"","message":""}\n{"t":"bye"}\n')
    f.readline()
    s.close()


def test_hostile_lines_on_the_socket(lab):
    for name, data, want in (
            ("no json", b"hello\n", "ProtocolError"),
            ("no object", b"[1]\n", "ProtocolError"),
            ("duplicate keys", b'{"t":"x","t":"y"}\n', "ProtocolError"),
            ("not utf-8", b'{"t":"message","type":"text","fields":{"text":"\xff"}}\n', "ProtocolError"),
            ("deep", b'{"t":' + b"[" * 5000 + b"\n", "ProtocolError"),
            ("half a line and away", b'{"t":"exi', "AgentLost"),
            ("bye without an end", b'{"t":"bye"}\n', "AgentLost")):
        pod = lab.pod(spec("true")).start(agent=False)
        s = connect(pod)
        s.makefile("rb").readline()
        s.sendall(data)
        s.close()
        pod.wait()
        assert pod.code == 1 and pod.report["reason"] == want, (name, pod.report)
    pod = lab.pod(spec("true")).start(agent=False)
    s = connect(pod)
    s.makefile("rb").readline()
    try:
        for _ in range(400):
            s.sendall(b"x" * 65536)
    except OSError:
        pass
    pod.wait()
    assert pod.code == 1 and pod.report["reason"] == "ProtocolError", pod.report


def test_messages_of_unknown_shape_are_dropped_and_large_ones_go_to_files(lab):
    pod = lab.pod(spec("true")).start(agent=False)
    s = connect(pod)
    s.makefile("rb").readline()
    big = b"y" * 400000
    s.sendall(b'{"t":"message","type":"nonsense","fields":{}}\n{"t":"message","type":"text","fields":[1]}\n'
              b'{"t":"message","type":"text","fields":{"seq":99,"run":"other","text":"fine"}}\n'
              b'{"t":"message","type":"text","fields":{"text":"' + big + b'"}}\n'
              b'{"t":"whatever"}\n{"t":"exited","success":true,"exitCode":0,"reason":"","message":""}\n{"t":"bye"}\n')
    pod.wait()
    s.close()
    assert pod.code == 0, pod.report
    texts = [m for m in pod.messages if m["type"] == "text"]
    assert len(texts) == 2 and texts[0]["text"] == "fine" and texts[0]["run"] == pod.run_id
    assert os.path.getsize(pod.dir + "/.ambient/" + texts[1]["file"]) > 400000 and len(texts[1]["text"]) == 16384
    seqs = [m["seq"] for m in pod.messages]
    assert seqs == list(range(1, len(seqs) + 1))


def test_unknown_contract_and_missing_type(lab):
    pod = lab.pod(spec("true"), runner_env={"AMBIENT_RUNNER_CONTRACT": "9"}).start(agent=False).wait()
    assert pod.code == 2 and 'AMBIENT_RUNNER_CONTRACT is "9"' in pod.read("stderr")
    pod = lab.pod(spec("true", repo(lab.origin("untyped"))), agent_env={"AMBIENT_RUNNER_TYPE": "nothing"}).go()
    assert pod.code == 2 and 'runner type "nothing" is not in this image' in pod.report["message"], pod.report


def test_content_of_a_session_that_another_one_took_the_name_of(lab):
    import subprocess
    from runner_lab import RUNNER, free_port
    pod = lab.pod(spec("true"))
    env = {**pod.runner_env, "AMBIENT_SESSION_UID": "u0", "AMBIENT_ENDPOINT": "[127.0.0.1]:%d" % free_port()}
    content = subprocess.Popen([RUNNER, "content"], env=env, stdin=subprocess.DEVNULL)
    try:
        assert pod.until(lambda: lab.api.watchers or content.poll() is not None) and content.poll() is None, content.poll()
        content.terminate()
        assert content.wait(30) == 0, content.returncode
    finally:
        content.kill()
        content.wait()


def test_git_credentials_reach_only_their_host(lab):
    """askpass answers for the scheme and host that the login is for, and nobody else."""
    import subprocess
    from runner_lab import RUNNER
    link, login = lab.root + "/askpass", lab.root + "/login"
    os.symlink(RUNNER, link)
    with open(login, "w") as f:
        f.write("https\nexample.com:8443\nme\npass-word\n")
    for prompt, want in (("Username for 'https://example.com:8443': ", "me"), ("Password for 'https://me@example.com:8443': ", "pass-word"),
                         ("Password for 'https://me@evil.com': ", ""), ("Password for 'http://me@example.com:8443': ", ""),
                         ("Password for 'https://me@example.com': ", ""), ("Password for 'https://example.com:8443@evil.com': ", "")):
        env = {**os.environ, "AMBIENT_ASKPASS_FILE": login}
        got = subprocess.run([link, prompt], env=env, stdout=subprocess.PIPE, text=True).stdout.strip()
        assert got == want, (prompt, got)


if __name__ == "__main__":
    the_lab = Lab()
    try:
        code = Tap([f for n, f in list(globals().items()) if n.startswith("test_")]).run(the_lab)
    finally:
        the_lab.close()
    sys.exit(code)
