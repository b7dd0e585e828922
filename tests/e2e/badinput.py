# SPDX-License-Identifier: Apache-2.0
"""Bad input gets a sentence and loses nothing: one row each, for the daemon's start and for sessions."""
import concurrent.futures
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from lib import BUILD, GROUP, Platform, Status, free_port, git, required, until  # noqa: E402


# ---- the daemon's start

def refused(p, text, code, *sentences, port=None):
    """Starts a daemon with this configuration: it ends with the code and says the sentences."""
    where = tempfile.mkdtemp(dir=p.dir)
    path = os.path.join(where, "ambient.conf")
    with open(path, "w") as f:
        f.write(text.replace("@DIR@", where).replace("@LIB@", p.tree.root + "/lib/ambient/plugins")
                .replace("@SHARE@", p.tree.root + "/share/ambient").replace("@PORT@", str(port or 0)))
    daemon = p.ambientd("-c", path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        said, _ = daemon.communicate(timeout=lib.PATIENCE)
    except subprocess.TimeoutExpired:
        daemon.kill()
        said, _ = daemon.communicate()
        raise AssertionError("it goes on: " + said[-2000:]) from None
    assert daemon.returncode == code, (daemon.returncode, said[-2000:])
    for sentence in sentences:
        assert sentence in said, (sentence, said[-2000:])
    return said


BASE = '''mode = "standalone"; state = "@DIR@/state"; runtime = "@DIR@/run"; plugin_dir = "@LIB@";
log: { format = "text"; };
cluster: { server = "apiserver"; };
ops: { listen = ""; };
'''
NODE = 'node: { config: { shim = "/bin/true"; podCIDR = "%s"; }; };'
SERVER = 'apiserver: { config: { listen = "127.0.0.1:@PORT@"; crds = [ "@SHARE@/crds" ]; }; };'


def conf(plugins="", more=""):
    return BASE + more + "plugins: { " + SERVER + plugins + " };\n"


CONFIGURATIONS = [
    ("unknown_key", conf(more='runer: { type = "command"; };\n'), 2, ["ambient.conf:5", '"runer"', 'did you mean "runner"']),
    ("unknown_key_of_a_plugin", conf("agenticsession: { config: { timeuot = \"1h\"; }; };"), 2,
     ["ambient.conf:5", '"timeuot"', 'did you mean "timeout"']),
    ("wrong_type", conf("agenticsession: { workers = \"four\"; };"), 2, ["ambient.conf:5", "workers", "integer"]),
    ("wrong_type_of_an_option", conf("agenticsession: { config: { timeout = 5; }; };"), 2,
     ["ambient.conf:5", "timeout", "duration"]),
    ("syntax_error", conf() + "plugins = ;\n", 2, ["ambient.conf:6"]),
    ("missing_plugin", conf("widget: { };"), 2, ["ambient.conf:5", "widget.so"]),
    ("several_mistakes_in_one_run", conf("widget: { }; agenticsession: { wrokers = 4; };"), 2, ["widget.so", '"wrokers"']),
    ("addresses_that_are_none", conf(NODE % "10.88.0.0/24"), 2, ["podCIDR", '"10.88.0.0/24"', "from 8 to 16"]),
    ("addresses_of_nobody_here", conf(NODE % "203.0.0.0/16"), 1, ["203.0.128.1", "ip route add local"]),
    ("no_such_server", conf().replace('server = "apiserver"', 'server = "apisrever"'), 2, ["apisrever"]),
]


def test_configuration(p):
    for name, text, code, sentences in CONFIGURATIONS:
        try:
            refused(p, text, code, *sentences)
        except AssertionError as e:
            raise AssertionError("%s: %s" % (name, e)) from None


def test_configuration_file_that_is_not_there(p):
    daemon = p.ambientd("-c", p.dir + "/none.conf", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said, _ = daemon.communicate(timeout=lib.PATIENCE)
    assert daemon.returncode == 2 and p.dir + "/none.conf" in said, (daemon.returncode, said)


def test_plugin_for_another_abi(p):
    fixture = os.path.join(BUILD, "tests/plugins/.libs/other_abi.so")
    if not os.path.exists(fixture):
        return required("fixtures", "tests/plugins is not built")
    path = os.path.join(p.dir, "other_abi.so")
    shutil.copy(fixture, path)
    os.chmod(path, 0o755)
    refused(p, conf('widget: { path = "%s"; };' % path), 2, path, "ABI")


def test_api_server_that_cannot_be_reached(p):
    """In a cluster the daemon stays and says what it waits for, once a while; its readiness is false."""
    where = tempfile.mkdtemp(dir=p.dir)
    port, ops = free_port(), free_port()
    with open(where + "/kubeconfig", "w") as f:
        json.dump({"apiVersion": "v1", "kind": "Config", "current-context": "c",
                   "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:%d" % port}}],
                   "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                   "users": [{"name": "u", "user": {}}]}, f)
    with open(where + "/ambient.conf", "w") as f:
        f.write('mode = "cluster"; state = "%s/state"; runtime = "%s/run"; plugin_dir = "%s/lib/ambient/plugins";\n'
                'log: { format = "text"; };\ncluster: { kubeconfig = "%s/kubeconfig"; };\n'
                'ops: { listen = "127.0.0.1:%d"; };\nplugins: { agenticsession: { }; runner-command: { }; };\n' % (
                    where, where, p.tree.root, where, ops))
    with open(where + "/log", "wb") as log:
        daemon = p.ambientd("-c", where + "/ambient.conf", stdout=log, stderr=log)

    def said():
        with open(where + "/log") as f:
            return f.read()

    try:
        until(lambda: "127.0.0.1:%d" % port in said() or daemon.poll() is not None, what="a word about the server")
        text = said()
        assert "127.0.0.1:%d" % port in text and re.search("[Cc]ould ?n.t connect|refused", text), text
        if daemon.poll() is None:
            daemon.terminate()
            assert daemon.wait(lib.PATIENCE) == 0, said()
        else:
            assert daemon.returncode == 1, (daemon.returncode, text)
    finally:
        if daemon.poll() is None:
            daemon.kill()
            daemon.wait()


def test_second_daemon_on_the_same_state(p):
    text = conf().replace("@DIR@/state", p.state)
    refused(p, text, 1, 'another ambientd runs on "%s"' % p.state, "stop it, or set another")
    assert p.request("GET", "/readyz", raw=True)[0] == 200


def test_port_in_use(p):
    refused(p, conf(), 1, 'apiserver: port %d of 127.0.0.1 is in use by another program; configure another port' % p.port,
            port=p.port)
    refused(p, conf().replace('listen = ""', 'listen = "127.0.0.1:%d"' % p.port), 1, str(p.port), "in use")


def test_state_that_cannot_be_written(p):
    with open(p.dir + "/file", "w"):
        pass
    refused(p, conf().replace("@DIR@/state", p.dir + "/file/state"), 1, p.dir + "/file")


# ---- what the API server refuses

def session_yaml(name="bad", **spec):
    return json.dumps({"apiVersion": "vteam.ambient-code/v1alpha1", "kind": "AgenticSession", "metadata": {"name": name},
                       "spec": {"prompt": "p", **spec}})


INVALID = [
    ({"timeout": "soon"}, "spec.timeout", "integer"),
    ({"timeout": -1}, "spec.timeout", "greater than or equal to 0"),
    ({"timeout": 1 << 31}, "spec.timeout", "less than or equal to 2147483647"),
    ({"repos": [{"input": {"url": "https://h/r"}}], "mainRepoIndex": 1}, "spec.mainRepoIndex", "1 is not the index of a repository"),
    ({"prompt": ""}, "spec.prompt", "without interactive: true, a session needs a prompt"),
    ({"repos": [{"name": "artifacts", "input": {"url": "https://h/r"}}]}, "spec.repos[0].name", '"artifacts" is a directory of the workspace'),
    ({"repos": [{"input": {"url": "https://h/r"}, "output": {"type": "fork"}}]}, "spec.repos[0].output.type", "names no other repository"),
    ({"repos": [{"input": {"url": "https://h/r"}, "output": {"continueBranch": True}}]}, "spec.repos[0].output.continueBranch",
     "needs output.targetBranch"),
    ({"environmentVariables": {"PARENT_SESSION_ID": "../x"}}, "spec.environmentVariables", 'PARENT_SESSION_ID: "../x" is no name'),
    ({"resourceOverrides": {"cpu": "0"}}, "spec.resourceOverrides.cpu", "must be more than zero"),
    ({"resourceOverrides": {"cpu": "-1"}}, "spec.resourceOverrides.cpu", "should match"),
    ({"resourceOverrides": {"memory": "512"}}, "spec.resourceOverrides.memory", "512Mi are 512 megabytes"),
    ({"resourceOverrides": {"memory": "1ki"}}, "spec.resourceOverrides.memory", "should match"),
    ({"repos": [{"name": "a", "input": {"url": "https://h/r"}}, {"name": "a", "input": {"url": "https://h/s"}}]}, "spec.repos",
     "two repositories have the same name"),
    ({"repos": [{"name": "../x", "input": {"url": "https://h/r"}}]}, "spec.repos[0].name", "should match"),
    ({"repos": [{"input": {"branch": "main"}}]}, "spec.repos[0].input.url", "Required value"),
    ({"repos": [{"name": "-x", "input": {"url": "https://h/r"}}]}, "spec.repos[0].name", "should match"),
    ({"repos": [{"input": {"url": "https://h/" + "x" * 2048}}]}, "spec.repos[0].input.url", "Too long"),
    ({"desiredState": "Paused"}, "spec.desiredState", "Unsupported value"),
    ({"runnerType": "Command!"}, "spec.runnerType", "should match"),
    ({"repos": [{"input": {"url": "https://h/r"}}] * 33}, "spec.repos", "Too many"),
    ({"model": "-opus"}, "spec.model", "is no name of a model"),
    ({"llmSettings": {"model": " x"}}, "spec.llmSettings.model", "is no name of a model"),
    ({"llmSettings": {"temperature": 3}}, "spec.llmSettings.temperature", "less than or equal to 2"),
    ({"initialPrompt": "other"}, "spec.initialPrompt", "differs from its alias prompt; set one of the two"),
    ({"environmentVariables": {"AMBIENT_X": "1"}}, "spec.environmentVariables", '"AMBIENT_X": names that begin with AMBIENT_ are reserved'),
]


def test_invalid_sessions_are_refused_at_apply(p):
    if shutil.which("kubectl") is None:
        return required("kubectl", "kubectl is not installed")
    for spec, path, why in INVALID:
        # Without kubectl's own look at it, which old ones take by the OpenAPI document and word otherwise.
        done = p.kubectl("apply", "--validate=false", "-f", "-", stdin=None, input=session_yaml(**spec))
        assert done.returncode == 1 and path in done.stdout and why in done.stdout, (path, done.stdout)
        assert p.get(GROUP % p.ns + "/bad") is None
    done = p.kubectl("apply", "-f", "-", stdin=None, input=session_yaml(promt="x"))
    # kubectl asks the server to be strict since 1.25; an older one looks by itself, or shows the server's warning.
    version = json.loads(p.kubectl("version", "--client", "-o", "json").stdout)["clientVersion"]
    if int(version["minor"].rstrip("+")) >= 25:
        assert done.returncode == 1 and 'unknown field "spec.promt"' in done.stdout, done.stdout
    else:
        assert "unknown field" in done.stdout and "promt" in done.stdout, done.stdout
    try:
        p.request("POST", GROUP % p.ns + "?fieldValidation=Strict", {
            "apiVersion": "vteam.ambient-code/v1alpha1", "kind": "AgenticSession", "metadata": {"name": "strict"},
            "spec": {"prompt": "x", "promt": "x"}})
    except Status as status:
        assert status.code == 400 and 'unknown field "spec.promt"' in str(status), status
    else:
        raise AssertionError("a field that nobody knows was taken")
    return None


def test_names_that_are_none(p):
    for name in ("Upper", "under_score", "x" * 254, "-x", "a..b"):
        try:
            p.session(name, "true")
        except Status as status:
            assert status.code == 422 and "metadata.name" in str(status), status
        else:
            raise AssertionError("%s was taken" % name)


# ---- what a session says

def test_unmanaged_namespace(p):
    p.namespace("wild", managed=False)
    s = p.session("s", "true", ns="wild")
    s.wait_reason("NamespaceNotManaged")
    assert s.message == 'namespace "wild" is not labelled ambient-code.io/managed=true; the session goes on when it is', s.message
    assert s.phase == "Pending" and p.get(p.jobs("s-job", "wild")) is None
    p.patch("/api/v1/namespaces/wild", {"metadata": {"labels": {"ambient-code.io/managed": "true"}}})
    s.wait("Completed")


def ends(p, name, phase, reason, *sentences, script="true", **spec):
    s = p.session(name, script, **spec)
    s.wait(phase)
    assert s.reason == reason, s.status
    for sentence in sentences:
        assert sentence in s.message, (sentence, s.message)
    return s


def test_repository_that_does_not_exist(p):
    s = ends(p, "norepo", "Failed", "CloneFailed", 'cannot clone "%s"' % p.origins.url("absent"),
             repos=[p.repo("absent", "work")])
    # git's own words follow.
    assert "no such repository" in s.message or "not exported" in s.message, s.message


def test_branch_that_does_not_exist(p):
    p.origins.make("nobranch")
    ends(p, "nobranch", "Failed", "CloneFailed", 'has no branch "gone"', repos=[p.repo("nobranch", branch="gone")])


def test_server_of_git_that_is_not_there(p):
    ends(p, "nogit", "Failed", "CloneFailed", "127.0.0.1",
         repos=[{"input": {"url": "git://127.0.0.1:%d/r.git" % free_port(), "branch": "main"}}])


URLS = ["file:///etc", "ext::sh -c touch% /tmp/x", "ext::sh", "fd::3", "--upload-pack=touch", "-u./payload", "ssh://-oProxyCommand=x/y",
        "git@-oProxyCommand=x:y", "/etc", "https://u:secret@h/r.git", "ftp://h/r", "git://example.com/r"]
BRANCHES = ["--upload-pack=x", "-b", "a..b", "a b", "x.lock", "/x", "a~1", "a:b"]


def refused_at_once(p, path, words, **spec):
    try:
        p.session("refused", "true", **spec)
    except Status as status:
        assert status.code == 422 and path + ": " in str(status) and words in str(status) and "secret@" not in str(status), status
    else:
        raise AssertionError("%s was taken" % spec)
    assert p.get(GROUP % p.ns + "/refused") is None


def test_urls_and_branches_that_are_refused(p):
    """At apply, with the field; tests/api has every field and word of tests/lib/git_words.txt."""
    for url in URLS:
        refused_at_once(p, "spec.repos[0].input.url", "must be an https, http or ssh URL", repos=[{"input": {"url": url}}])
    p.origins.make("branches")
    for branch in BRANCHES:
        refused_at_once(p, "spec.repos[0].input.branch", "is no name that git takes", repos=[p.repo("branches", branch=branch)])
        refused_at_once(p, "spec.repos[0].output.targetBranch", "is no name that git takes", repos=[p.repo("branches", push=branch)])


def test_urls_that_are_refused_when_a_session_is_edited(p):
    """By ambientctl and by others, whether it has ended or a chat goes on: nothing of it is stored."""
    p.origins.make("edited")
    ended = p.session("ended", "true", repos=[p.repo("edited")])
    ended.wait("Completed")
    chat = p.session("chat", "touch ../up; while ! [ -e ../go ]; do sleep 0.05; done", interactive=True, repos=[p.repo("edited")])
    chat.wait("Running")
    for s in (ended, chat):
        version = s.get()["metadata"]["generation"]
        for url in ("ext::sh", "file:///etc", "ssh://-oProxyCommand=x/y"):
            done = p.ctl("repos", "add", s.name, "--", url)
            assert done.returncode == 5 and done.stdout.count("\n") == 1, done.stdout
            assert 'spec.repos[1].input.url: ' in done.stdout and "must be an https, http or ssh URL" in done.stdout, done.stdout
            done = p.ctl("workflow", s.name, "--", url)
            assert done.returncode == 5 and "spec.activeWorkflow.gitUrl: " in done.stdout, done.stdout
        done = p.ctl("repos", "add", s.name, p.origins.url("edited"), "--branch=--upload-pack=x")
        assert done.returncode == 5 and "spec.repos[1].input.branch: " in done.stdout, done.stdout
        try:
            p.patch(s.path, {"spec": {"repos": [{"input": {"url": "ext::sh"}}]}})
        except Status as status:
            assert status.code == 422 and "spec.repos[0].input.url: " in str(status), status
        else:
            raise AssertionError("the edit was taken")
        assert s.get()["metadata"]["generation"] == version
    # What only the reconciler can see is taken, and the condition says which field it is about; the run goes on.
    p.patch(chat.path, {"spec": {"repos": [p.repo("edited"), {"name": "edited", **p.repo("edited")}]}})
    until(lambda: chat.condition("Reconciled").get("reason") == "SpecInvalid", what="the condition")
    assert "spec.repos[1]" in chat.condition("Reconciled")["message"] and chat.phase == "Running", chat.status
    p.patch(chat.path, {"spec": {"repos": [p.repo("edited")]}})
    until(lambda: chat.condition("Reconciled").get("status") == "True", what="the condition to be well")
    chat.delete()


def test_a_repository_without_a_commit(p):
    git("init", "-q", "--bare", p.origins.bare("empty"))
    s = ends(p, "empty", "Failed", "CloneFailed", 'empty.git" is empty: push a first commit to it', repos=[p.repo("empty", "work")])
    # Then it is started again, as the message says.
    p.origins.make("first")
    git("--git-dir", p.origins.bare("first"), "push", "-q", p.origins.bare("empty"), "main:main")
    assert p.ctl("start", "empty").returncode == 0
    until(lambda: s.status["runs"] == 2, what="the second run")
    s.wait("Completed")


def test_a_secret_of_no_name(p):
    """As an older definition took it: refused when it is applied, and a pod says that it is not there."""
    refused_at_once(p, "spec.repos[0].input.authSecret", "is no name that an object can have",
                    repos=[{"input": {"url": "https://h/r", "authSecret": "../../x"}}])
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "nameless"}, "spec": {
        "restartPolicy": "Never", "volumes": [{"name": "v", "secret": {"secretName": "Bad/../name"}}], "containers": [{
            "name": "c", "image": "ambient-runner:test", "command": ["true"], "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]}}
    p.request("POST", p.core("pods"), pod)

    def waiting():
        status = p.get(p.core("pods", "nameless"))["status"].get("containerStatuses", [{}])
        return status[0].get("state", {}).get("waiting", {}).get("message", "")
    until(lambda: 'secret "Bad/../name" not found' in waiting(), what="a word about the Secret")
    p.request("DELETE", p.core("pods", "nameless"))


def test_push_refused(p):
    p.origins.make("closed")
    hook = p.origins.bare("closed") + "/hooks/pre-receive"
    os.makedirs(os.path.dirname(hook), exist_ok=True)
    with open(hook, "w") as f:
        f.write("#!/bin/sh\necho 'not on my watch' >&2\nexit 1\n")
    os.chmod(hook, 0o755)
    s = ends(p, "closed", "Failed", "PushFailed", "work", "pre-receive hook declined", "not on my watch", script="echo x > x", repos=[p.repo("closed", "work")])
    assert s.status["repos"][0]["status"] == "error" and "work" in s.status["repos"][0]["error"], s.status
    # Nothing is lost: the agent's work is in the workspace.
    assert os.path.exists(s.file("closed/x"))


def test_push_that_is_no_fast_forward(p):
    p.origins.make("ahead")
    work = p.dir + "/ahead"
    git("clone", "-q", "-b", "main", p.origins.bare("ahead"), work)
    git("commit", "-q", "--allow-empty", "-m", "other", cwd=work)
    git("push", "-q", "origin", "HEAD:refs/heads/work", cwd=work)
    other = git("rev-parse", "HEAD", cwd=work)
    ends(p, "ahead", "Failed", "PushFailed", "work", "has commits that this work does not build on; name another", script="echo x > x", repos=[p.repo("ahead", "work")])
    assert git("--git-dir", p.origins.bare("ahead"), "rev-parse", "work") == other


def test_agent_that_fails(p):
    p.origins.make("fails")
    s = ends(p, "fails", "Failed", "AgentFailed", "it broke", script="echo x > x; echo it broke >&2; exit 3",
             repos=[p.repo("fails", "work")])
    assert p.origins.commits("fails", "work") == 0 and os.path.exists(s.file("fails/x"))
    ends(p, "noprogram", "Failed", "PrerequisiteMissing", 'cannot start "/no/such/program"', script=None, runnerType="command",
         runnerConfig={"command": ["/no/such/program"]})


def test_agent_that_hangs(p):
    """The clock of the run is real: one second of it."""
    s = p.session("hangs", "trap '' TERM; while :; do sleep 1; done", timeout=1)
    s.wait("Timeout")
    assert s.reason == "Timeout" and "timeout of 1 s" in s.message, s.status
    until(lambda: not p.pod_processes(s), what="its processes to end")


def test_agent_that_prints_100_megabytes(p):
    s = p.session("prints", "yes 0123456789012345678901234567890123456789012345678901234567890123456789012345678 | "
                  "head -c 100000000; echo; echo the end")
    s.wait("Completed", seconds=lib.PATIENCE * 3)
    assert s.status["results"] == "the end", s.status
    assert p.get(GROUP % p.ns + "/prints") is not None
    used = sum(os.path.getsize(os.path.join(w, f)) for w, _, fs in os.walk(s.volume) for f in fs)
    assert used < 300 << 20, used


def test_unknown_runner_type(p):
    ends(p, "notype", "Failed", "RunnerTypeUnknown", 'runner type "magic" is not loaded', "command",
         script=None, runnerType="magic")


def test_configuration_of_the_runner_type(p):
    ends(p, "noargv", "Failed", "SpecInvalid", "spec.runnerConfig.command", "must be a list of strings",
         script=None, runnerType="command", runnerConfig={"command": "make"})
    ends(p, "mistyped", "Failed", "SpecInvalid", "spec.runnerConfig.comand", 'is no setting of runner type "command", which has command',
         script=None, runnerType="command", runnerConfig={"comand": ["make"]})


def test_missing_secret_that_comes_later(p):
    p.origins.make("later")
    s = p.session("later", "echo x > x", repos=[p.repo("later", "work", authSecret="later")])
    until(lambda: 'secret "later" not found' in s.message and s.phase == "Creating", what="a word about the Secret")
    assert s.condition("SecretsReady").get("reason") == "SecretMissing", s.status
    p.secret("later", token="t")
    s.wait("Completed")
    assert p.origins.commits("later", "work") == 1


def test_missing_key_of_claude_code(p):
    """Its key comes from a Secret that is not there; when it comes the session goes on, to an agent without a CLI."""
    s = p.session("keyless", None, runnerType="claude-code", anthropicApiKeySecret="model-key")
    until(lambda: s.condition("SecretsReady").get("reason") == "SecretMissing", what="SecretMissing")
    assert 'model-key' in s.message and s.phase == "Creating", s.status
    p.secret("model-key", ANTHROPIC_API_KEY="sk-ant-nothing")
    s.wait("Failed", "Completed", "Running")
    assert s.condition("SecretsReady")["status"] == "True", s.status
    s.delete()


def test_a_parent_that_no_session_can_be(p):
    """An annotation is nothing that a definition sees."""
    for name in ("../x", "Upper", "x/y"):
        p.request("POST", GROUP % p.ns, {"apiVersion": "vteam.ambient-code/v1alpha1", "kind": "AgenticSession", "metadata": {
            "name": "orphan", "annotations": {"vteam.ambient-code/parent-session-id": name}}, "spec": {"prompt": "p"}})
        s = lib.Session(p, "orphan", p.ns)
        s.wait("Failed")
        assert s.reason == "SpecInvalid" and s.message.startswith(
            'metadata.annotations[vteam.ambient-code/parent-session-id]: "%s" is no name that a session can have' % name), s.status
        s.delete()


def annotated(p, name, annotation, value):
    p.request("POST", GROUP % p.ns, {"apiVersion": "vteam.ambient-code/v1alpha1", "kind": "AgenticSession", "metadata": {
        "name": name, "annotations": {annotation: value}}, "spec": {"prompt": "p", "runnerType": "command", "runnerConfig": {"command": ["true"]}}})
    return lib.Session(p, name, p.ns)


def test_sessions_that_continue_each_other(p):
    parent = "vteam.ambient-code/parent-session-id"
    ring = [annotated(p, name, parent, of) for name, of in (("ring-a", "ring-b"), ("ring-b", "ring-c"), ("ring-c", "ring-a"))]
    for s in ring:
        s.wait_reason("ParentRing")
        assert '"ring-b" continues "ring-c"' in s.message and "let one of them continue another one or none" in s.message, s.status
    p.patch(ring[0].path, {"metadata": {"annotations": {parent: None}}})
    for s in ring:
        s.wait("Completed")


def test_a_desired_phase_that_is_none(p):
    s = annotated(p, "paused", "ambient-code.io/desired-phase", "Paused")
    s.wait("Completed")
    assert s.condition("DesiredPhaseValid")["status"] == "False" and '"Paused"' in s.condition("DesiredPhaseValid")["message"], s.status
    until(lambda: [e for e in p.request("GET", p.core("events"))["items"] if e["reason"] == "DesiredPhaseUnknown"], what="the event")


def test_both_set_and_different(p):
    try:
        p.session("twice", "true", initialPrompt="other")
    except Status as status:
        assert status.code == 422 and "spec.initialPrompt" in str(status) and "differs from its alias prompt" in str(status), status
    else:
        raise AssertionError("a session with two prompts was taken")


def test_a_definition_that_is_missing(p):
    """readyz names the kind, ambientctl says what to do, and when it is there all goes on."""
    def readyz():
        ops = re.findall(r"health and metrics on .*, port (\d+)", p.log())[-1]
        connection = http.client.HTTPConnection("127.0.0.1", int(ops), timeout=30)
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        try:
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def without_definitions(**change):
        Platform.write_conf(p, **change)
        with open(p.conf_path) as f:
            text = f.read()
        with open(p.conf_path, "w") as f:
            f.write(re.sub(r'crds = \[ "[^"]*" \];', "crds = [ ];", text))

    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    p.request("DELETE", path + "/agenticsessions.vteam.ambient-code")
    p.stop()
    p.write_conf = without_definitions
    try:
        p.start()
        until(lambda: "no such kind" in readyz()[1], what="the kind to be missed")
        code, said = readyz()
        assert code == 503 and "agenticsession: vteam.ambient-code/v1alpha1/agenticsessions is not synced (no such kind" in said, said
        done = p.ctl("run", "x", "--command", "true")
        assert done.returncode == 3 and "has no such kind; apply the definitions of Ambient (etc/crds)" in done.stdout, done.stdout
        with open(p.tree.root + "/share/ambient/crds/agenticsessions.yaml") as f:
            definition = f.read()
        p.request("POST", path, definition, content="application/yaml")
        until(lambda: readyz()[0] == 200, what="readiness")
        p.session("defined", "true").wait("Completed")
        # Taken away under a daemon that has it.
        p.request("DELETE", path + "/agenticsessions.vteam.ambient-code")
        until(lambda: "agenticsessions is not followed any more (no such kind" in readyz()[1], what="the kind to be missed again")
        p.request("POST", path, definition, content="application/yaml")
        until(lambda: readyz()[0] == 200, what="readiness again")
        p.session("defined", "true").wait("Completed")
    finally:
        del p.write_conf
        p.stop()
        p.start()


# ---- what is unusual and works

def test_sessions_that_are_made_in_one_second(p):
    """By ambientctl without a name, and by clients who let the API server make one: none gets another's name, claim or run."""
    p.origins.make("Same.Name")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda _: p.ctl("run", "the same prompt", "--repo", p.origins.url("Same.Name"), "--command", "true"), range(8)))
    assert all(done.returncode == 0 for done in said), said
    names = [re.match('session "([^"]*)"', done.stdout).group(1) for done in said]
    assert all(re.fullmatch("same-name-[a-z0-9]{5}", name) for name in names), names
    for _ in range(4):
        made = p.request("POST", GROUP % p.ns, {"apiVersion": "vteam.ambient-code/v1alpha1", "kind": "AgenticSession", "metadata": {
            "generateName": "session-"}, "spec": {"prompt": "p", "runnerType": "command", "runnerConfig": {"command": ["true"]}}})
        names.append(made["metadata"]["name"])
    assert len(set(names)) == 12, names
    sessions = [lib.Session(p, name, p.ns) for name in names]
    for s in sessions:
        s.wait("Completed")
    assert len({s.status["runId"] for s in sessions}) == 12 and all(s.status["runs"] == 1 for s in sessions), names
    claims = {c["metadata"]["name"] for c in p.request("GET", p.core("persistentvolumeclaims"))["items"]}
    assert {"ambient-workspace-" + name for name in names} <= claims, claims


def test_names_of_63_and_253_characters(p):
    long = ".".join(["x" * 63, "y" * 63, "z" * 63, "w" * 61])
    assert len(long) == 253
    for name in ("n" * 63, "n" * 62 + "m", long, long[:-1] + "v"):
        p.origins.make(name[:40] + name[-1])
        s = p.session(name, "echo x > x", repos=[p.repo(name[:40] + name[-1], "work")])
        s.wait("Completed")
        assert p.origins.commits(name[:40] + name[-1], "work") == 1, s.status
        assert len(s.status["jobName"]) <= 63
        # What serves their files afterwards is named after them, too.
        done = p.ctl("files", name, os.path.basename(s.status["repos"][0]["name"]) + "/x")
        assert done.returncode == 0 and done.stdout == "x\n", done.stdout
        done = p.ctl("messages", name)
        assert done.returncode == 0 and "the agent finished" in done.stdout, done.stdout
    # A branch of its own for one that git could not have.
    p.origins.make("own")
    s = p.session(long[:-2] + "z", "echo x > x", repos=[{**p.repo("own"), "autoPush": True}])
    s.wait("Completed")
    branch = s.status["repos"][0]["branch"]
    assert branch.startswith("sessions/xxx") and len(branch) < 80 and p.origins.commits("own", branch) == 1, s.status
    done = p.ctl("get", long)
    assert done.returncode == 0 and "Completed" in done.stdout, done.stdout


def test_prompt_of_one_megabyte(p):
    prompt = "x" * (1 << 20)
    s = p.session("long", "wc -c < $AMBIENT_PROMPT_FILE; wc -c", prompt=prompt)
    s.wait("Completed")
    assert s.texts() == [str(1 << 20)] * 2, s.texts()
    assert s.get()["spec"]["prompt"] == prompt


NUMBERS = "[0.7,0.1,1.0,1e21,9007199254740993,18446744073709551615,-0.0,1E+2,123456789.123456789]"


def raw_number(text):
    """The value of "numbers" as it was written."""
    return re.search(r'"numbers" ?: ?(\[[^\]]*\])', text).group(1).replace(" ", "").replace("\n", "")


def test_numbers_go_through_unharmed(p):
    p.request("POST", GROUP % p.ns, '{"apiVersion":"vteam.ambient-code/v1alpha1","kind":"AgenticSession",'
              '"metadata":{"name":"numbers"},"spec":{"prompt":"p","runnerType":"command","llmSettings":{"temperature":0.7},'
              '"mcpServers":{"custom":{"s":{"numbers":%s}}},"runnerConfig":{"command":["sh","-c","true"]}}}' % NUMBERS)
    s = lib.Session(p, "numbers", p.ns)
    s.wait("Completed")
    code, text = p.request("GET", s.path, raw=True)
    assert code == 200 and raw_number(text.decode()) == NUMBERS, text
    assert s.status["effective"]["temperature"] == 0.7, text
    assert len(re.findall(rb'"temperature": ?0\.7[,}]', text)) == 2, text
    p.patch(s.path, {"metadata": {"labels": {"touched": "yes"}}})
    assert raw_number(p.request("GET", s.path, raw=True)[1].decode()) == NUMBERS
    if shutil.which("kubectl"):
        assert "9007199254740993" in p.kubectl("get", "--raw", s.path).stdout
    p.kill9()
    p.restart()
    assert raw_number(p.request("GET", s.path, raw=True)[1].decode()) == NUMBERS


FILLS = "cat /dev/zero > fill; while :; do echo 0123456789012345678901234567890123456789; done"


def on_small_disk(small, size, state, body):
    """Runs body(platform) with a file system of that size at `small`; says why when there can be none."""
    os.makedirs(small, 0o700, exist_ok=True)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%s,mode=700" % size, "tmpfs", small],
                                           stderr=subprocess.DEVNULL, check=False).returncode != 0:
        return required("mount", "no tmpfs can be mounted here")
    q = None
    try:
        q = Platform("full", state=state)
        q.start()
        q.namespace()
        q.origins.make("full")
        body(q)
    finally:
        if q is not None:
            q.close()
        subprocess.run(["umount", "-l", small], check=True)
    return None


def test_agent_that_fills_the_disk(p):
    """A platform whose pods and workspaces are on a small file system: a sentence, and another session runs afterwards."""
    state = os.path.join(p.dir, "small")

    def body(q):
        s = q.session("full", FILLS, repos=[q.repo("full", "work")], timeout=600)
        s.wait("Failed")
        assert s.reason == "DiskFull" and "No space left" in s.message, s.status
        assert q.request("GET", "/readyz", raw=True)[0] == 200
        s.delete()
        until(lambda: not os.path.exists(s.volume), what="the full workspace to go")
        q.session("after", "true").wait("Completed")

    return on_small_disk(os.path.join(state, "node"), "48m", state, body)


def test_agent_that_fills_the_databases_disk_too(p):
    """The API server's database lies on the disk that the agent fills: its reserve takes the end of the session, health
    and every refusal say why, and with space all goes on by itself."""
    state = os.path.join(p.dir, "small-all")

    def refused_for_space(q, name):
        try:
            q.request("POST", "/api/v1/namespaces/%s/configmaps" % q.ns,
                      {"metadata": {"name": name}, "data": {"text": "x" * 200000}})
        except Status as e:
            assert e.code == 507 and "the disk that holds state.db is full" in str(e), e
            return True
        return False

    def reserve(q):
        found = [os.path.join(d, "state.db-wal") for d, _, files in os.walk(q.state) if "state.db-wal" in files]
        return found and os.path.getsize(found[0]) >= 8 << 20

    def body(q):
        until(lambda: reserve(q), what="the reserve")
        s = q.session("full", FILLS, repos=[q.repo("full", "work")], timeout=600)
        s.wait("Failed")
        assert s.reason == "DiskFull" and "No space left" in s.message, s.status
        with open(os.path.join(state, "more"), "wb", buffering=0) as f:
            try:
                while f.write(bytes(65536)):
                    pass
            except OSError:
                pass
        # What the database still had for itself is written, then the sentence comes.
        until(lambda: refused_for_space(q, "late-%s" % os.urandom(4).hex()), what="a refusal for want of space")
        code, text = q.request("GET", "/readyz", raw=True)
        assert code == 500 and b"the disk that holds state.db is full" in text, (code, text)
        assert "database space exceeded: the disk that holds state.db is full" in q.log()
        assert s.phase == "Failed", s.status
        s.delete()
        os.unlink(os.path.join(state, "more"))
        until(lambda: not os.path.exists(s.volume), what="the full workspace to go")
        until(lambda: q.request("GET", "/readyz", raw=True)[0] == 200, what="health")
        q.session("after", "true").wait("Completed")

    return on_small_disk(state, "96m", state, body)


def make():
    p = Platform("bad", agenticsession='keepJob = "10m"; startTimeout = "5m";')
    p.start()
    p.namespace()
    return p


if __name__ == "__main__":
    lib.preconditions()
    sys.exit(lib.main(sys.modules[__name__], make))
