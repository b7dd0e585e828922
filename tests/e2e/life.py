# SPDX-License-Identifier: Apache-2.0
"""What people and accidents do to a session while it lives: stops, edits, deletions by hand of each object of it, what
comes late, what a pod may write and see, names at their limits, and fifty at once."""
import json
import os
import shutil
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from lib import GATED, GATED_BARE, GROUP, Platform, Status, running, until  # noqa: E402

ROLES = "/apis/rbac.authorization.k8s.io/v1/namespaces/%s/%s/%s"


def begin(p, name, **spec):
    """A session whose agent runs and waits."""
    p.origins.make(name)
    s = p.session(name, GATED, repos=[p.repo(name, "work")], **spec)
    s.wait_file("up")
    s.wait("Running")
    return s


def finish(p, s, *phases):
    s.touch("go")
    s.wait(*(phases or ("Completed",)))


def left_of(p, s):
    """Objects, directories and mounts of a session that are still there."""
    found = []
    for path in (p.core("persistentvolumeclaims"), p.core("serviceaccounts"), p.core("configmaps"), p.core("pods"),
                 p.jobs(), ROLES % (p.ns, "roles", ""), ROLES % (p.ns, "rolebindings", "")):
        for item in p.request("GET", path.rstrip("/"))["items"]:
            if item["metadata"].get("annotations", {}).get("ambient-code.io/session") == s.name:
                found.append(path + item["metadata"]["name"])
    for top in ("%s/pvc/%s" % (p.node_dir, p.ns),):
        if os.path.isdir(top):
            found += [os.path.join(top, d) for d in os.listdir(top) if d == "ambient-workspace-" + s.name]
    return found


def gone(p, s, pids=None):
    """Deletes it and waits until nothing of it is left."""
    s.delete()
    until(lambda: s.get() is None, what=s.name + " to go")
    until(lambda: not left_of(p, s), what="all of %s to go" % s.name)
    if pids:
        until(lambda: not running(pids), what="the processes of %s to end" % s.name)


def keeps_its_log(p, s, reason):
    """keepJob is true of every end; and when the pod is gone, who asks for the log hears where the words are."""
    job, pod = p.get(p.jobs(s.status["jobName"])), s.status["runnerPodName"]
    assert job and "deletionTimestamp" not in job["metadata"], job
    until(lambda: p.get(p.core("pods", pod))["status"]["phase"] == "Failed", what="the pod to end")
    said = p.ctl("logs", s.name)
    last = [json.loads(line) for line in said.stdout.splitlines() if line.startswith('{"seq"')][-1]
    assert said.returncode == 0 and last["state"] == ("stopped" if reason == "Stopped" else "failed"), said.stdout
    assert ("the run was stopped" if reason == "Stopped" else "longer than its timeout") in last["text"], last
    p.request("DELETE", p.core("pods", pod))
    until(lambda: p.get(p.core("pods", pod)) is None, what="the pod to go")
    said = p.ctl("logs", s.name)
    assert said.returncode == 1 and "ambientctl messages %s -n %s" % (s.name, p.ns) in said.stdout, said
    assert s.messages()[-1] == last, s.messages()


# ---- stopping

def test_stop_by_the_spec_reports_what_was_cloned(p):
    s = begin(p, "stop-spec")
    pids = p.pod_processes(s)
    assert len(pids) > 3
    p.patch(s.path, {"spec": {"desiredState": "Stopped"}})
    s.wait("Stopped")
    assert s.status["stoppedReason"] == "user" and s.status["completionTime"], s.status
    assert s.status["repos"][0]["status"] == "nochanges", s.status
    assert p.origins.commits("stop-spec", "work") == 0
    keeps_its_log(p, s, "Stopped")
    until(lambda: not running(pids), what="the processes to end")
    assert s.condition("Reconciled")["status"] == "True", s.status


def test_of_spec_and_annotation_the_later_wins(p):
    s = p.session("later", GATED_BARE, desiredState="Running")
    s.wait("Running")
    p.patch(s.path, {"metadata": {"annotations": {"ambient-code.io/desired-phase": "Running"}}})
    until(lambda: s.status.get("intent", {}).get("annotation", "").startswith("Running"), what="the annotation to be seen")
    assert s.phase == "Running"
    p.patch(s.path, {"metadata": {"annotations": {"ambient-code.io/desired-phase": "Stopped",
                                                  "ambient-code.io/stop-requested-at": "2026-01-01T00:00:00Z"}}})
    s.wait("Stopped")
    assert s.get()["spec"]["desiredState"] == "Running"


def test_timeout(p):
    # The time counts from the start on, and the clone must be in it; Running may be over before it is seen.
    seconds = int(8 * lib.PATIENCE / 60)
    p.origins.make("slow")
    s = p.session("slow", GATED, repos=[p.repo("slow", "work")], timeout=seconds)
    s.wait_file("up")
    s.wait("Timeout")
    assert s.reason == "Timeout" and "timeout of %d s" % seconds in s.message, s.status
    until(lambda: not p.pod_processes(s), what="the processes to end")
    until(lambda: s.status.get("repos"), what="the late report")
    keeps_its_log(p, s, "Timeout")
    # It had changed nothing: the runner says so where there was time to look, else that it has given the work up.
    assert s.status["repos"][0]["status"] in ("abandoned", "nochanges") and p.origins.commits("slow", "work") == 0, s.status


def test_an_idle_chat(p):
    s = p.session("chat", "echo hello; exec sleep 600", interactive=True, inactivityTimeout=1)
    s.wait("Stopped")
    assert s.status["stoppedReason"] == "inactivity" and s.reason == "Inactivity", s.status
    assert s.status["effective"]["timeout"] == 0


# ---- deletion at each phase

def test_deletion_while_pending_creating_running_stopping_completed(p):
    p.namespace("elsewhere", managed=False)
    s = p.session("pending", "true", ns="elsewhere")
    s.wait_reason("NamespaceNotManaged")
    s.delete()
    until(lambda: s.get() is None)

    p.origins.make("creating")
    s = p.session("creating", "true", repos=[p.repo("creating", authSecret="never")])
    s.wait_reason("SecretMissing")
    gone(p, s)

    s = begin(p, "running")
    pids = p.pod_processes(s)
    gone(p, s, pids)

    s = p.session("stopping", "trap '' TERM; W=$AMBIENT_SESSION_DIR/workspace; touch $W/up; while [ ! -e $W/go ]; do sleep 0.02; done")
    s.wait_file("up")
    pids = p.pod_processes(s)
    p.patch(s.path, {"spec": {"desiredState": "Stopped"}})
    s.wait("Stopping")
    gone(p, s, pids)

    s = begin(p, "completed")
    finish(p, s)
    gone(p, s)


def test_deletion_with_orphans_and_in_the_foreground(p):
    s = begin(p, "foreground")
    pids = p.pod_processes(s)
    p.request("DELETE", s.path, {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Foreground"})
    until(lambda: s.get() is None, what="the session to go")
    # The children went first, except those that do not block.
    until(lambda: not left_of(p, s), what="all of it to go")
    until(lambda: not running(pids), what="the processes to end")


# ---- what is deleted by hand

def test_job_deleted(p):
    s = begin(p, "no-job")
    pids = p.pod_processes(s)
    p.request("DELETE", p.jobs("no-job-job") + "?propagationPolicy=Background")
    s.wait("Failed")
    # The pod goes with it; which of the two is heard of first is nobody's promise.
    assert s.reason in ("JobMissing", "PodDeleted") and "deleted" in s.message, s.status
    until(lambda: not running(pids), what="the processes to end")
    gone(p, s)


def test_pod_deleted(p):
    s = begin(p, "no-pod")
    pids = p.pod_processes(s)
    p.request("DELETE", p.core("pods", s.status["runnerPodName"]))
    s.wait("Failed")
    assert s.reason in ("PodDeleted", "PodMissing") and "deleted" in s.message, s.status
    until(lambda: not running(pids), what="the processes to end")
    assert s.read("starts") == "start\n"
    assert p.origins.commits("no-pod", "work") == 0


def test_claim_deleted_waits_for_the_pod(p):
    s = begin(p, "no-claim")
    p.request("DELETE", p.core("persistentvolumeclaims", "ambient-workspace-no-claim"))
    assert p.get(p.core("persistentvolumeclaims", "ambient-workspace-no-claim"))["metadata"]["deletionTimestamp"]
    s.touch("go")
    s.wait("Completed")
    assert s.status["repos"][0]["status"] == "pushed" and p.origins.commits("no-claim", "work") == 1
    until(lambda: p.get(p.core("persistentvolumeclaims", "ambient-workspace-no-claim")) is None, what="the claim to go")
    until(lambda: not os.path.exists(s.volume), what="its files to go")


def test_what_a_run_needs_to_report_is_made_again(p):
    sessions = []
    for name, path in (("no-report", p.core("configmaps", "no-report-report")),
                       ("no-role", ROLES % (p.ns, "roles", "ambient-session-no-role-role")),
                       ("no-binding", ROLES % (p.ns, "rolebindings", "ambient-session-no-binding-rb")),
                       ("no-account", p.core("serviceaccounts", "ambient-session-no-account"))):
        s = begin(p, name)
        was = p.get(path)["metadata"]["uid"]
        p.request("DELETE", path)
        until(lambda: (p.get(path) or {"metadata": {"uid": was}})["metadata"]["uid"] != was, what=path + " to be made again")
        sessions.append(s)
    for s in sessions:
        s.touch("go")
    for s in sessions:
        s.wait("Completed")
        assert p.origins.commits(s.name, "work") == 1
        # The token of a deleted account is worth nothing, whatever account has its name by now: its run ends well
        # and cannot say more.
        if s.name != "no-account":
            until(lambda: s.status.get("repos"), what="the report of " + s.name)
            assert s.status["repos"][0]["status"] == "pushed", s.status


# ---- what comes late

def test_namespace_labelled_later(p):
    p.namespace("late", managed=False)
    s = p.session("waits", "true", ns="late")
    s.wait_reason("NamespaceNotManaged")
    assert s.phase == "Pending" and "ambient-code.io/managed=true" in s.message
    assert not p.request("GET", p.jobs(ns="late"))["items"]
    p.patch("/api/v1/namespaces/late", {"metadata": {"labels": {"ambient-code.io/managed": "true"}}})
    s.wait("Completed")


def test_secret_comes_later(p):
    p.origins.make("secret")
    s = p.session("secret", "true", repos=[p.repo("secret", authSecret="later")])
    s.wait_reason("SecretMissing")
    until(lambda: s.condition("SecretsReady").get("status") == "False", what="the condition")
    assert '"later"' in s.message, s.status
    assert s.phase == "Creating"
    p.secret("later", token="x")
    s.wait("Completed")
    assert s.condition("SecretsReady")["status"] == "True"


def test_an_image_that_is_not_mapped(p):
    """What to configure reaches the session."""
    p.stop()
    conf = os.path.join(p.dir, "conf.d")
    os.mkdir(conf)
    with open(conf + "/image.conf", "w") as f:
        f.write('runner: { image = "nobody:1"; };\n')
    p.start()
    s = p.session("image", "echo ok")
    until(lambda: s.reason in ("ErrImagePull", "ImagePullBackOff"), what="the reason")
    assert '"nobody:1"' in s.message and "images" in s.message and s.phase == "Creating", s.status
    for word in ("logs", "messages"):
        said = p.ctl(word, "image")
        assert said.returncode == 1 and "has no log yet; it is Creating: " in said.stdout and '"nobody:1"' in said.stdout, said
    s.delete()
    p.stop()
    lib.shutil.rmtree(conf)
    p.start()
    until(lambda: s.get() is None, what="it to go")


# ---- what is edited, what a pod may say

def test_an_edit_while_running(p):
    s = begin(p, "edited", timeout=500)
    spec = s.get()["spec"]
    p.patch(s.path, {"spec": {"prompt": "another", "model": "m"}})
    until(lambda: s.condition("Reconciled").get("reason") == "SpecChanged", what="the edit to be said")
    o = s.get()
    assert s.condition("Reconciled")["message"].startswith("spec.prompt, spec.model: "), s.condition("Reconciled")
    assert o["status"]["effective"]["model"] != "m" and o["status"]["phase"] == "Running"
    assert o["status"]["observedGeneration"] == o["metadata"]["generation"] == 2, o["metadata"]
    assert o["spec"] == {**spec, "prompt": "another", "model": "m"}
    # What takes effect at once does so, and the runner says it.
    p.patch(s.path, {"spec": {"prompt": spec["prompt"], "model": spec.get("model"), "timeout": 600}})
    until(lambda: s.condition("Reconciled").get("reason") == "SpecApplied", what="the runner to say so")
    o = s.get()
    assert o["status"]["effective"]["timeout"] == 600 and o["status"]["effective"]["generation"] == 3, o["status"]["effective"]
    job = p.get(p.jobs("edited-job"))
    assert job["spec"]["activeDeadlineSeconds"] == 600 + 60 + 300, job["spec"]
    finish(p, s)
    assert s.get()["spec"] == o["spec"]


def test_an_edited_timeout_that_ends_the_run(p):
    """The operator, the condition and the runner speak of the same timeout."""
    s = begin(p, "edited-to-end", timeout=500)
    p.patch(s.path, {"spec": {"timeout": 1}})
    s.wait("Timeout")
    assert "its timeout of 1 s" in s.message and s.condition("Reconciled")["reason"] == "SpecApplied", s.status
    last = until(lambda: [m["text"] for m in s.messages() if m["type"] == "session" and m["state"] == "failed"], what="the last message")
    assert last == ["the session ran longer than its timeout of 1 second"], last


def test_an_edit_while_creating(p):
    """What the runner has not read yet is in the run, and said to be so; the rest waits for the next one."""
    p.origins.make("edited-early")
    s = p.session("edited-early", "cat $AMBIENT_PROMPT_FILE", prompt="first", repos=[p.repo("edited-early", authSecret="edited-early")])
    until(lambda: s.condition("SecretsReady").get("status") == "False", what="the Secret to be missed")
    p.patch(s.path, {"spec": {"prompt": "second"}})
    until(lambda: s.condition("Reconciled").get("reason") == "Applying", what="the edit to be said")
    p.patch(s.path, {"spec": {"model": "m"}})
    until(lambda: s.condition("Reconciled").get("reason") == "SpecChanged", what="the other edit to be said")
    assert s.condition("Reconciled")["message"].startswith("spec.model: ") and s.phase == "Creating", s.status
    p.patch(s.path, {"spec": {"model": None}})
    p.secret("edited-early", token="x")
    s.wait("Completed")
    assert s.texts() == ["second"] and s.condition("Reconciled")["status"] == "True", (s.texts(), s.status)


def test_repositories_and_workflow_of_a_chat_that_runs(p):
    """behaviour_11_5_spec_change, weakness_12_1_j: through the daemon, the pod and back, by ambientctl."""
    for name in ("live-first", "live-more", "live-flow"):
        p.origins.make(name)
    first, more, flow = (p.origins.url(name) for name in ("live-first", "live-more", "live-flow"))
    s = p.session("talk", "touch ../up; while ! [ -e ../go ]; do sleep 0.1; done", interactive=True, repos=[
        {"input": {"url": first, "branch": "main"}}])
    until(lambda: s.phase == "Running" and s.condition("Reconciled").get("status") == "True" and s.status.get("reconciledRepos"),
          what="it to run")
    done = p.ctl("repos", "add", "talk", more)
    assert done.returncode == 0 and "in effect" in done.stdout, done.stdout
    assert [(r["name"], r["status"]) for r in s.status["reconciledRepos"]] == [("live-first", "Ready"), ("live-more", "Ready")], s.status
    done = p.ctl("workflow", "talk", flow)
    assert done.returncode == 0 and s.status["reconciledWorkflow"]["status"] == "Active", (done.stdout, s.status)
    done = p.ctl("repos", "remove", "talk", "live-first")
    assert done.returncode == 0 and [(r["name"], r["status"]) for r in s.status["reconciledRepos"]] == [
        ("live-more", "Ready"), ("live-first", "Removed")], (done.stdout, s.status)
    done = p.ctl("repos", "remove", "talk", "live-first")
    assert done.returncode == 3 and 'has no repository "live-first"' in done.stdout, done.stdout
    done = p.ctl("repos", "add", "talk", "file:///etc")
    assert done.returncode == 5 and "spec.repos[1].input.url" in done.stdout, done.stdout
    done = p.ctl("workflow", "talk", "--none", "--no-wait")
    assert done.returncode == 0, done.stdout
    s.delete()


def test_a_hostile_report_decides_nothing(p):
    s = begin(p, "hostile")
    path, run = p.core("configmaps", "hostile-report"), s.status["runId"]

    def put(text):
        before = s.get()["metadata"]["resourceVersion"]
        p.patch(path, {"data": {"report.json": text}})
        return before

    def told(status):
        """All but what is said of the report itself."""
        return json.dumps({**status, "conditions": [c for c in status["conditions"] if c["type"] != "ReportValid"]}, sort_keys=True)

    put(json.dumps({"contract": 1, "run": run, "phase": "Completed", "state": "done", "conditions": [
        {"type": "Completed", "status": "True"}], "status": {"phase": "Completed"}, "observedGeneration": 99,
        "result": "seen " + "ghp_" + "A" * 36, "repos": [{"index": 0, "url": "https://evil/", "status": "pushed"}],
        "completionTime": "2020-01-01T00:00:00Z"}))
    until(lambda: s.status.get("results"), what="the report to be read")
    st = s.status
    assert st["phase"] == "Running" and st["observedGeneration"] == 1 and "completionTime" not in st, st
    assert "A" * 36 not in json.dumps(st) and st["repos"][0]["url"] == p.origins.url("hostile"), st
    assert s.condition("ReportValid")["reason"] == "FieldIgnored" and '"phase"' in s.condition("ReportValid")["message"], st
    kept = told(st)
    put("{not json")
    put(json.dumps({"contract": 1, "run": "0123456789abcdef", "result": "of another run"}))
    put(json.dumps({"contract": 1, "run": run, "result": "x" * (300 * 1024)}))
    try:
        p.patch(path, {"data": {"report.json": "x" * (10 << 20)}})
        raise AssertionError("10 MB were taken")
    except Status as status:
        assert status.code in (413, 422, 400), status
    except OSError:
        pass # a kube-apiserver hangs up in the middle of it
    until(lambda: s.condition("ReportValid")["reason"] == "ReportTooLarge", what="the size to be said")
    assert told(s.status) == kept
    finish(p, s)
    until(lambda: s.status["results"] == "done", what="the true report")
    assert s.condition("ReportValid")["status"] == "True", s.status
    assert s.status["repos"][0]["status"] == "pushed" and s.status["repos"][0]["total_added"] == 1, s.status


def test_events_and_effective(p):
    p.origins.make("told")
    s = p.session("told", 'echo "$LLM_MODEL $LLM_TEMPERATURE $LLM_MAX_TOKENS" > ../llm; ' + GATED, repos=[p.repo("told", "work")], timeout=77,
                  model="m", llmSettings={"temperature": 0.7, "maxTokens": 4000}, environmentVariables={"LLM_MAX_TOKENS": "own"})
    s.wait_file("up")
    s.wait("Running")
    assert s.read("llm") == "m 0.7000 own\n" and s.condition("SpecValid")["message"] == "", (s.read("llm"), s.status)
    finish(p, s)

    def told():
        return [e for e in p.request("GET", p.core("events"))["items"] if e["involvedObject"]["name"] == "told" and
                e["involvedObject"]["kind"] == "AgenticSession"]

    # An event is written after the status that it tells of, by a queue of its own.
    for reason in ("Creating", "Running", "Completed"):
        until(lambda: reason in [e["reason"] for e in told()], what="the event " + reason)
    events = told()
    assert all(e["involvedObject"]["uid"] == s.get()["metadata"]["uid"] for e in events)
    effective = s.status["effective"]
    assert (effective["timeout"], effective["model"], effective["temperature"], effective["runnerType"],
            effective["shape"]) == (77, "m", 0.7, "command", "documented"), effective
    assert effective["repos"][0]["pushBranch"] == "work"


# ---- names, company

def test_names_of_63_and_253_characters(p):
    names = ["n" * 63, ("x" * 62 + ".") * 3 + "y" * 64]
    assert len(names[1]) == 253
    for name in names:
        s = p.session(name, "echo ok", timeout=100)
        s.wait("Completed")
        assert s.status["results"] == "ok" and len(s.status["jobName"]) <= 63, s.status
        s.delete()
        until(lambda: s.get() is None and not left_of(p, s), what="all of it to go")


def test_two_sessions_on_one_repository(p):
    p.origins.make("shared")
    a = p.session("first", GATED, repos=[p.repo("shared", "one")])
    b = p.session("second", GATED, repos=[p.repo("shared", "two")])
    for s in (a, b):
        s.wait_file("up")
    for s in (b, a):
        finish(p, s)
    assert p.origins.commits("shared", "one") == p.origins.commits("shared", "two") == 1
    a.delete()
    until(lambda: not left_of(p, a))
    assert b.get() and p.get(p.jobs("second-job"))


# ---- inside a pod

def maps(pid):
    with open("/proc/%d/mountinfo" % pid) as f:
        return {line.split()[4] for line in f}


def environment(pid):
    with open("/proc/%d/environ" % pid, "rb") as f:
        return dict(v.split("=", 1) for v in f.read().decode().split("\0") if "=" in v)


def test_variables_are_the_agents_alone(p):
    """Those by which the program that drives it would be found, or work, and a value as it is written."""
    value = "pa$$word $(USER) $HOME $"
    s = p.session("variables", "env", environmentVariables={
        "PATH": "/opt/none:/usr/bin:/bin", "HOME": "/tmp", "TMPDIR": "/nonexistent", "LD_PRELOAD": "", "USER": "me", "A": value, "PROMPT": "mine"})
    s.wait("Completed")
    for line in ("PATH=/opt/none:/usr/bin:/bin", "HOME=/tmp", "TMPDIR=/nonexistent", "LD_PRELOAD=", "USER=me", "A=" + value):
        assert line in s.texts(), (line, s.texts())
    assert not [t for t in s.texts() if t.startswith("AMBIENT_ENV_")], s.texts()
    # The agent's program is looked for there.
    s = p.session("lost", None, runnerType="command", runnerConfig={"command": ["sh", "-c", "true"]}, environmentVariables={"PATH": "/nonexistent"})
    s.wait("Failed")
    assert s.reason == "PrerequisiteMissing" and '"sh" is not in PATH' in s.message, s.status


def test_environment_and_mounts_of_a_real_pod(p):
    p.secret("key", ANTHROPIC_API_KEY="canary-model")
    p.secret("git", token="canary-git")
    p.origins.make("inside")
    s = p.session("inside", GATED, repos=[p.repo("inside", "work", authSecret="git")],
                  environmentVariables={"LANG": "C.UTF-8"}, anthropicApiKeySecret="key")
    s.wait_file("up")
    table = lib.processes()
    sides = {"run": [], "agent": [], "sh": []}
    for pid in p.pod_processes(s):
        try:
            with open("/proc/%d/cmdline" % pid, "rb") as f:
                argv = f.read().split(b"\0")
            exe = os.readlink("/proc/%d/exe" % pid)
        except OSError:
            continue
        if exe.endswith("/ambient-runner") and argv[1] in (b"run", b"agent"):
            sides[argv[1].decode()].append(pid)
        elif argv[0] == b"sh":
            sides["sh"].append(pid)
    assert len(sides["run"]) == 1 and len(sides["agent"]) == 1 and sides["sh"], (sides, table)
    runner, agent = sides["run"][0], sides["agent"][0]
    base = "/workspace/sessions/inside"
    common = {"AMBIENT_RUNNER_CONTRACT", "AMBIENT_RUNNER_TYPE", "AMBIENT_RUN_ID", "AMBIENT_SESSION_DIR", "AMBIENT_SOCKET"}
    mine = {k for k in environment(runner) if k.startswith(("AMBIENT", "GIT", "ANTHROPIC"))}
    assert mine == common | {"AMBIENT_SESSION_NAME", "AMBIENT_SESSION_NAMESPACE", "AMBIENT_SESSION_UID", "AMBIENT_REPORT",
                             "AMBIENT_POD_IP", "AMBIENT_ENDPOINT", "AMBIENT_HEARTBEAT"}, mine
    theirs = set(environment(agent)) - {"PATH", "HOME", "HOSTNAME", "PWD", "SHLVL", "TERM", "_"}
    assert {k for k in theirs if not k.startswith("KUBERNETES_")} == common | {"AMBIENT_AGENT_ENV", "AMBIENT_ENV_LANG", "LLM_MODEL"}, theirs
    workspaces = {m for m in maps(agent) if m.startswith(("/workspace", "/run/", "/var/run", "/app"))}
    assert workspaces == {base + "/workspace", base + "/out", "/app/.claude", "/run/ambient"}, workspaces
    mounts = {m.replace("/var/run/", "/run/") for m in maps(runner) if m.startswith(("/workspace", "/run/", "/var/run", "/app"))}
    assert mounts == {"/workspace", "/run/ambient", "/run/secrets/kubernetes.io/serviceaccount", "/run/secrets/git/0"}, mounts
    # Neither the other side's files nor the host's are to be seen through the agent's root.
    root = "/proc/%d/root" % agent
    for hidden in ("/var/run/secrets", "/run/secrets", base + "/.ambient", "/home/" + os.environ.get("USER", "nobody"), p.state):
        assert not os.path.exists(root + hidden), hidden
    for pid in [agent] + sides["sh"]:
        with open("/proc/%d/environ" % pid, "rb") as f:
            text = f.read()
        assert b"canary-git" not in text
    for pid in (runner, agent):
        with open("/proc/%d/status" % pid) as f:
            status = dict(line.split(":\t", 1) for line in f if ":\t" in line)
        assert status["NoNewPrivs"].strip() == "1" and int(status["CapEff"], 16) == 0, status
    finish(p, s)


# ---- the daemon's restart under clients

def test_follow_and_logs_across_a_restart(p):
    """Two restarts under two clients: none of them ends before the session, none says anything twice."""
    ctl = [p.tree.root + "/bin/ambientctl", "--kubeconfig", p.kubeconfig, "-n", p.ns]
    options = {"stdout": lib.subprocess.PIPE, "stderr": lib.subprocess.STDOUT, "text": True, "env": p.env,
               "stdin": lib.subprocess.DEVNULL}
    s = begin(p, "watched")
    clients = [lib.subprocess.Popen(ctl + args, **options) for args in (
        ["logs", "-f", "watched"], ["messages", "-f", "watched"])]
    first = [client.stdout.readline() for client in clients]
    for _ in range(2):
        p.kill9()
        p.restart()
    finish(p, s)
    for i, client in enumerate(clients):
        out, _ = client.communicate(timeout=lib.PATIENCE)
        out = first[i] + out
        assert client.returncode == 0, out
        assert out.count("cloning git:") == 1 and "done" in out, out


# ---- many

def ticks(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_fifty_at_once(p):
    p.origins.make("many")
    others, before = set(p.pod_processes()), p.mounts()
    sessions, began = [], time.monotonic()
    for i in range(50):
        kind = i % 5
        script = "echo %d; exit %d" % (i, 1 if kind == 3 else 0)
        spec = {"repos": [p.repo("many", "many-%d" % i)]} if kind == 1 else {}
        if kind == 4:
            script, spec = "sleep 600", {"timeout": 3}
        sessions.append((p.session("many-%d" % i, script if kind != 1 else "echo x > f-%d" % i, **spec),
                         {3: "Failed", 4: "Timeout"}.get(kind, "Completed")))
    for s, phase in sessions:
        s.wait(phase, seconds=lib.PATIENCE * 4)
    for i, (s, phase) in enumerate(sessions):
        if i % 5 == 1:
            assert p.origins.commits("many", "many-%d" % i) == 1, i
    print("# 50 sessions in %.1f s" % (time.monotonic() - began))
    until(lambda: not set(p.pod_processes()) - others, what="all pods to end")
    for s, _ in sessions:
        s.delete()
    until(lambda: not any(left_of(p, s) for s, _ in sessions[:5]), what="all to go")
    until(lambda: not [d for d in os.listdir("%s/pvc/%s" % (p.node_dir, p.ns)) if d.startswith("ambient-workspace-many")],
          what="workspaces to go")
    until(lambda: not os.listdir(p.node_dir + "/pods") or
          all(x["metadata"]["name"] for x in p.request("GET", p.core("pods"))["items"]) and
          len(os.listdir(p.node_dir + "/pods")) <= len(p.request("GET", "/api/v1/pods")["items"]), what="pod directories to go")
    assert p.mounts() <= before, p.mounts() - before
    with open("/proc/%d/smaps_rollup" % p.daemon.pid) as f:
        dirty = next(line for line in f if line.startswith("Private_Dirty")).split()[1]
    print("# daemon: %s KiB private dirty, %d ticks until here" % (dirty, ticks(p.daemon.pid)))

    def rests():
        before = ticks(p.daemon.pid)
        lib.pause(2)
        return ticks(p.daemon.pid) - before < 20

    until(rests, what="the daemon to come to rest")


# ---- what is shipped

def test_the_examples_are_taken(p):
    if shutil.which("kubectl") is None:
        return lib.required("kubectl", "kubectl is not installed")
    top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../etc/examples")
    names = sorted(n for n in os.listdir(top) if n.endswith(".yaml"))
    names.insert(0, names.pop(names.index("namespace.yaml")))
    for name in names:
        done = p.kubectl("apply", "--validate=true", "-n", "team-a", "-f", os.path.join(top, name))
        assert done.returncode == 0 and "Warning" not in done.stdout, (name, done.stdout)
    # Those of workflows come and go by themselves.
    sessions = p.request("GET", GROUP % "team-a" + "?labelSelector=!rfe-workflow")["items"]
    others = [n for n in names if n in ("namespace.yaml", "projectsettings.yaml") or n.startswith("rfeworkflow")]
    assert len(sessions) == len(names) - len(others), [s["metadata"]["name"] for s in sessions]
    for item in sessions:
        s = lib.Session(p, item["metadata"]["name"], "team-a")
        until(lambda: s.status.get("phase"), what=s.name + " to be reconciled")
        # This platform's runner type is command, which the others do not write for.
        assert s.reason != "SpecInvalid" or s.message.startswith("spec.runnerConfig.command") and \
            "runnerType" not in item["spec"], s.status
    # One of them to its end, against a repository that is there.
    p.origins.make("notes")
    with open(os.path.join(top, "command.yaml")) as f:
        text = f.read().replace("https://git.example/team-a/service.git", p.origins.url("notes")).replace("name: command", "name: noted")
    done = p.kubectl("apply", "-n", "team-a", "-f", "-", stdin=None, input=text)
    assert done.returncode == 0, done.stdout
    lib.Session(p, "noted", "team-a").wait("Completed")
    assert p.origins.show("notes", "notes:NOTES").strip() == "Add a line to NOTES."
    p.request("DELETE", "/api/v1/namespaces/team-a")
    until(lambda: p.get("/api/v1/namespaces/team-a") is None, what="the namespace to go")
    return None


def test_what_old_clients_write_into_a_session_has_its_effect(p):
    """The fields of all shapes that no other test names, and what becomes of them."""
    for name in ("field-a", "field-b", "field-fork"):
        p.origins.make(name)
    s = p.session("fields", "env > ../artifacts/env; pwd > ../artifacts/pwd; mkdir ../artifacts/sub; ln -s / ../artifacts/sub/root; "
                  "echo x >> x; git add -A; git commit -qm x; git branch side",
                  displayName="Some fields", project="another", websiteURL="https://h/", mainRepoIndex=1, timeout=100,
                  userContext={"userId": "u", "displayName": "U", "groups": ["g"]}, botAccount={"name": "Botty"},
                  gitConfig={"user": {"email": "botty@h"}}, environmentVariables={"FOO": "bar"},
                  llmSettings={"model": "m", "temperature": 0.3, "maxTokens": 5000},
                  resourceOverrides={"cpu": "500m", "memory": "512Mi", "storageClass": "", "priorityClass": ""},
                  repos=[{"input": {"url": p.origins.url("field-a"), "branch": "main"}, "output": {"targetBranch": "out"}, "autoPush": False},
                         {"input": {"url": p.origins.url("field-b"), "branch": "main"}, "status": "old",
                          "output": {"type": "fork", "forkRepo": p.origins.url("field-fork"), "targetBranch": "out"}}])
    s.wait("Completed")
    st, env = s.status, dict(line.split("=", 1) for line in s.read("artifacts/env").splitlines() if "=" in line)
    assert s.read("artifacts/pwd").strip().endswith("/workspace/field-b"), s.read("artifacts/pwd")
    assert (env["FOO"], env["LLM_MODEL"], env["LLM_TEMPERATURE"], env["LLM_MAX_TOKENS"]) == ("bar", "m", "0.3000", "5000"), env
    assert "Botty <botty@h>" in p.origins.show("field-fork", "out") and p.origins.commits("field-a", "out") == 0
    pod = p.get(p.core("pods", st["runnerPodName"]))
    assert pod["spec"]["containers"][1]["resources"]["limits"] == {"cpu": "500m", "memory": "512Mi"}, pod["spec"]
    assert st["stateDir"] == "/workspace" and st["queuedAt"] <= st["startTime"] <= st["lastActivityTime"] <= st["completionTime"], st
    assert (st["is_error"], st["num_turns"], st["sdkRestartCount"], st["artifactsCount"]) == (False, 1, 0, 2), st
    assert st["messagesCount"] == s.messages()[-1]["seq"] and "agentStatus" not in st and "subtype" not in st, (st, s.messages()[-1])
    assert [(r["name"], r["status"], r["last_updated"] >= st["startTime"]) for r in st["repos"]] == [
        ("field-a", "nochanges", True), ("field-b", "pushed", True)], st["repos"]
    assert [(r["branches"], r["currentActiveBranch"], r["defaultBranch"]) for r in st["reconciledRepos"]] == [
        (["main"], "main", "main"), (["main", "side"], "main", "main")], st["reconciledRepos"]


if __name__ == "__main__":
    sys.exit(lib.suite(sys.modules[__name__], Platform, "life"))
