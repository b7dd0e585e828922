# SPDX-License-Identifier: Apache-2.0
"""The agent is untrusted: canaries in every credential, and agents that look for them everywhere (search.pl); planted
git configuration and hooks, and what the push makes of them."""
import http.client
import json
import os
import secrets
import shutil
import ssl
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import lib  # noqa: E402
from lib import GATED, Platform, required, until  # noqa: E402

CANARIES = {}


def canary(kind):
    CANARIES[kind] = "canary-%s-%s" % (kind, secrets.token_hex(8))
    return CANARIES[kind]


def plant(path, kind):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write("secret: %s\n" % canary(kind))


def anonymous(p, port, path):
    """Status and body of a request with no credential at all; None when not even that."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    conn = http.client.HTTPSConnection("127.0.0.1", port, timeout=lib.PATIENCE, context=context)
    try:
        conn.request("GET", path)
        answer = conn.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    except (ssl.SSLError, ConnectionError, http.client.HTTPException):
        return None, ""
    finally:
        conn.close()


def others(p):
    """Another session that runs at the same time, with canaries of its own."""
    s = p.session("other", "echo %s > ../mine; touch ../up; while [ ! -e ../go ]; do sleep 0.05 %s; done; :" % (
        canary("otherworkspace"), "0.0"), repos=[p.repo("other", "work")],
        environmentVariables={"THEIRS": canary("otherenv")}, prompt="remember " + canary("otherprompt"))
    s.wait_file("up")
    return s


def search(p, s, other):
    """Lets the agent of a session look around; what it found, a list of lines."""
    s.wait_file("up")
    plant(s.volume + "/.ambient/canary", "ambient")
    pids = [p.daemon.pid] + list(p.pod_processes(s)) + list(p.pod_processes(other)) + [os.getpid()]
    for name, text in (("pids", " ".join(map(str, pids))), ("api", "https://127.0.0.1:%d" % p.port),
                       ("paths", "/api/v1/secrets /api/v1/namespaces/team/secrets/gitcred /api/v1/namespaces/team/pods "
                                 "/apis/vteam.ambient-code/v1alpha1/agenticsessions /metrics"),
                       ("targets", "\n".join([p.state + "/apiserver/state.db", p.state + "/apiserver/host.kubeconfig",
                                              p.state + "/apiserver/admin.kubeconfig", p.dir + "/ambient.conf",
                                              p.dir + "/home/.netrc", p.log_path, other.volume + "/workspace/mine",
                                              s.volume + "/.ambient/messages.jsonl"]))):
        with open(s.file(name), "w") as f:
            f.write(text)
    s.touch("go")
    s.wait_file("found", seconds=lib.PATIENCE * 2)
    return s.read("found").splitlines()


def judge(p, lines, allowed):
    """Nothing but the allowed canaries was found, and the search did look."""
    found = [line for line in lines if line.startswith("found ")]
    bad = [line for line in found if not any(line.endswith(a) for a in allowed)]
    assert not bad, bad
    for word in ("readable", "signal", "written"):
        assert not [line for line in lines if line.startswith(word + " ")], [x for x in lines if x.startswith(word)]
    assert "capabilities 0000000000000000" in lines and "nonewprivs 1" in lines, lines
    sockets = [line for line in lines if line.startswith("socket ")]
    assert all(line.endswith("/run/ambient/agent.sock") for line in sockets), sockets
    processes = [line for line in lines if line.startswith("process ")]
    assert 2 <= len(processes) <= 12 and not any("ambientd" in x or "shim" in x or "runner run" in x for x in processes), processes
    lists = {line.split()[1]: line.split()[2:] for line in lines if line.startswith("list ")}
    assert len(lists["/workspace/sessions"][0].split(",")) == 1, lists
    assert ".ambient" not in lists[[k for k in lists if k.startswith("/workspace/sessions/")][0]][0].split(","), lists
    # Of the homes nothing is there but the way to what the configuration binds, when that lies below one.
    bound = {path.split("/")[2] for path in (p.tree.prefix, *p.binds) if path.startswith(("/root/", "/home/"))}
    for where in ("/root", "/home"):
        there = {name for names in lists.get(where, []) for name in names.split(",")}
        assert there <= bound, (there, lists)
    api = [line for line in lines if line.startswith("api ")]
    assert all(line.split()[1] in ("401", "403") for line in api), api
    return found


SEARCH = "touch ../up; while [ ! -e ../go ]; do sleep 0.02; done; exec perl %s/search.pl"


def test_a_command_finds_nothing(p):
    if shutil.which("perl", path="/usr/bin:/bin") is None:
        return required("perl", "perl is not installed")
    other = others(p)
    s = p.session("curious", SEARCH % p.binds[0], repos=[p.repo("curious", "work", authSecret="gitcred")])
    lines = search(p, s, other)
    found = judge(p, lines, [])
    assert not found, found
    files = [line for line in lines if line.startswith("files ")]
    assert int(files[0].split()[1]) >= 5, files
    assert [line for line in lines if line.startswith("memory") or line.startswith("process")], lines
    s.wait("Completed")
    # None of them is in what the session says, the runner's own log or the daemon's either.
    said = str(s.get()) + str(s.messages()) + p.log()
    for pod in p.request("GET", p.core("pods"))["items"]:
        said += p.request("GET", p.core("pods", pod["metadata"]["name"]) + "/log?container=runner", raw=True)[1].decode()
    hidden = [k for k, v in CANARIES.items() if k not in ("otherprompt", "otherenv", "otherworkspace") and v in said]
    assert not hidden, hidden
    other.touch("go")
    other.wait("Completed")
    return None


def test_the_search_would_find_them(p):
    """A test that cannot fail is none: what is planted where an agent may look is found."""
    if shutil.which("perl", path="/usr/bin:/bin") is None:
        return required("perl", "perl is not installed")
    value = canary("visible")
    s = p.session("finder", "touch ../up; while [ ! -e ../go ]; do sleep 0.02; done; exec perl %s/search.pl" % p.binds[0],
                  repos=[p.repo("curious")], environmentVariables={"MINE": value})
    s.wait_file("up")
    with open(s.file("planted"), "w") as f:
        f.write(CANARIES["git"])
    s.touch("go")
    s.wait_file("found", seconds=lib.PATIENCE * 2)
    lines = s.read("found").splitlines()
    assert "found variable MINE " + value in lines and any(
        x.endswith("/workspace/planted " + CANARIES["git"]) for x in lines), lines
    assert any(x.startswith("found environ of ") and x.endswith(value) for x in lines), lines
    s.wait("Completed")
    return None


def test_claude_code_has_the_models_key_and_nothing_else(p):
    """The CLI is one that searches; its key is in its environment, and in its own processes only."""
    if shutil.which("perl", path="/usr/bin:/bin") is None:
        return required("perl", "perl is not installed")
    other = p.session("other2", "touch ../up; while [ ! -e ../go ]; do sleep 0.05; done", repos=[p.repo("other")])
    other.wait_file("up")
    s = p.session("model", None, runnerType="claude-code", repos=[p.repo("curious", "work", authSecret="gitcred")])
    lines = search(p, s, other)
    found = judge(p, lines, [CANARIES["model"]])
    assert "found variable ANTHROPIC_API_KEY " + CANARIES["model"] in lines, found
    files = [x for x in found if " of " not in x and " variable " not in x]
    assert not files, files
    other.touch("go")
    s.delete()
    return None


def test_without_a_credential_every_door_is_shut(p):
    """What the agent reaches on loopback: the API server and the node's log endpoint."""
    for path in ("/api/v1/secrets", "/api/v1/namespaces/team/secrets/gitcred", "/api/v1/pods", "/apis/apps/v1/deployments",
                 "/apis/vteam.ambient-code/v1alpha1/namespaces/team/agenticsessions", "/api/v1/namespaces/team/pods/x/log"):
        code, body = anonymous(p, p.port, path)
        assert code in (401, 403) and "canary" not in body, (path, code, body)
    node = p.request("GET", "/api/v1/nodes")["items"][0]
    port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
    pod = p.request("GET", p.core("pods"))["items"][0]["metadata"]["name"]
    code, body = anonymous(p, port, "/containerLogs/team/%s/runner" % pod)
    assert code in (None, 401, 403) and '"seq"' not in body, (code, body)


def test_a_sessions_token_opens_two_doors(p):
    """The runner's own token: its session, its report; no Secret, no other session, no Job."""
    p.origins.make("token")
    s = p.session("token", GATED, repos=[p.repo("token", "work")])
    s.wait_file("up")
    token = p.request("POST", p.core("serviceaccounts", "ambient-session-token") + "/token",
                      {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}})
    bearer = {"Authorization": "Bearer " + token["status"]["token"], "Content-Type": "application/merge-patch+json"}
    group = lib.GROUP % p.ns
    doors = [("GET", group + "/token", None, 200), ("GET", p.core("configmaps", "token-report"), None, 200),
             ("GET", group, None, 403), ("GET", group + "/curious", None, 403), ("GET", p.core("secrets"), None, 403),
             ("GET", p.core("secrets", "gitcred"), None, 403), ("GET", p.core("configmaps"), None, 403),
             ("PATCH", group + "/token", b'{"spec":{"prompt":"other"}}', 403),
             ("PATCH", group + "/token/status", b'{"status":{"phase":"Completed"}}', 403),
             ("PATCH", p.jobs("token-job"), b'{"metadata":{"labels":{"a":"b"}}}', 403),
             ("DELETE", group + "/token", None, 403), ("DELETE", p.core("configmaps", "token-report"), None, 403),
             ("POST", p.core("serviceaccounts", "ambient-session-token") + "/token", b"{}", 403),
             ("POST", p.core("pods"), b"{}", 403)]
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for method, path, body, code in doors:
        conn = http.client.HTTPSConnection("127.0.0.1", p.port, timeout=lib.PATIENCE, context=context)
        conn.request(method, path, body, bearer)
        answer = conn.getresponse()
        text = answer.read()
        conn.close()
        assert answer.status == code, (method, path, answer.status, text)
    # All that it may do at all, as the server itself counts it: what it asks about itself is everybody's.
    for ns, own in ((p.ns, [("", "configmaps", "token-report", ["get", "patch"]), ("vteam.ambient-code", "agenticsessions", "token", ["get", "watch"])]),
                    ("default", [])):
        conn = http.client.HTTPSConnection("127.0.0.1", p.port, timeout=lib.PATIENCE, context=context)
        conn.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", json.dumps({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": ns}}),
            {**bearer, "Content-Type": "application/json"})
        status = json.loads(conn.getresponse().read())["status"]
        conn.close()
        may = sorted((group, resource, name, sorted(rule["verbs"])) for rule in status["resourceRules"] for group in rule["apiGroups"]
                     for resource in rule["resources"] for name in rule.get("resourceNames") or ["*"]
                     if not (rule["verbs"] == ["create"] and resource.startswith("selfsubject")))
        assert may == own and all(rule["verbs"] == ["get"] for rule in status["nonResourceRules"]), (ns, status)
    s.touch("go")
    s.wait("Completed")


# The agent's clone as an ambush for whoever runs git in it or pushes from it.  A mark with the session's name is the
# runner's doing: the agent's side does not know that name.
PLANTED = r"""
M=$AMBIENT_SESSION_DIR/workspace/mark
mkdir -p ../evil .git/hooks .git/info
for h in pre-push post-commit pre-commit reference-transaction post-checkout pre-receive update post-index-change; do
  printf '#!/bin/sh\ntouch %s-%s-$AMBIENT_SESSION_NAME\n' $M $h > ../evil/$h; chmod +x ../evil/$h; cp ../evil/$h .git/hooks/
done
printf '#!/bin/sh\ntouch %s-$1-$AMBIENT_SESSION_NAME; cat\n' $M > ../evil/run; chmod +x ../evil/run
E=$PWD/../evil/run
git config core.hooksPath "$PWD/../evil"
git config core.sshCommand "$E ssh"
git config core.gitProxy "$E proxy"
git config core.fsmonitor "$E fsmonitor"
git config core.pager "$E pager"
git config core.askPass "$E askpass"
git config credential.helper "!$E helper"
git config gpg.program "$E gpg"
git config commit.gpgSign false
git config diff.external "$E diff"
git config filter.evil.clean "$E clean"
git config filter.evil.smudge "$E smudge"
git config uploadpack.packObjectsHook "$E packobjects"
git config protocol.ext.allow always
git config remote.origin.url "ext::$E ext"
git config remote.origin.pushurl "ext::$E pushurl"
git config remote.origin.receivepack "$E receivepack"
git config url.git://127.0.0.1:1/.insteadOf git://127.0.0.1
git config url.git://127.0.0.1:1/.pushInsteadOf git://127.0.0.1
cp .git/config ../evil/more
git config include.path "$PWD/../evil/more"
mkdir -p "$HOME" && cp .git/config "$HOME/.gitconfig"
echo '* filter=evil diff=evil' > .git/info/attributes
ln -sf "$PWD/.git/config" ../config
echo work > work.txt
"""


def test_planted_configuration_and_hooks_have_no_effect(p):
    p.origins.make("planted")
    s = p.session("planted", PLANTED, repos=[p.repo("planted", "work", authSecret="gitcred")])
    s.wait("Completed")
    assert s.status["repos"][0]["status"] == "pushed", s.status
    assert p.origins.show("planted", "work:work.txt") == "work" and p.origins.commits("planted", "work") == 1
    marks = [f for f in os.listdir(s.volume + "/workspace") if f.startswith("mark") and f.endswith("-planted")]
    assert not marks, marks
    seen = [f for f in os.listdir(s.volume) if f.startswith("mark")]
    assert not seen, seen


def test_planted_links_in_the_workspace_lead_nowhere(p):
    """The clone becomes a link to the runner's own bare repository and to the host's directories."""
    p.origins.make("linked")
    script = ('cd ..; mv linked real; ln -s ../.ambient/git/linked.git linked; ln -s /etc artifacts.new; rm -rf artifacts; '
              'mv artifacts.new artifacts; ln -sf ../.ambient/messages.jsonl ../out/linked.bundle; echo x > real/x')
    s = p.session("linked", script, repos=[p.repo("linked", "work")])
    s.wait()
    assert p.origins.commits("linked", "work") == 0, s.status
    assert s.status["repos"][0]["status"] in ("error", "nochanges", "abandoned"), s.status
    # The runner's repository and its log are as they were.
    assert [m["seq"] for m in s.messages()] == list(range(1, len(s.messages()) + 1))


def test_submodules_that_attack_are_refused(p):
    p.origins.make("sub")
    script = ("git init -q x; git -C x -c user.name=a -c user.email=a@b commit -q --allow-empty -m s; "
              "printf '[submodule \"x\"]\\n\\tpath = x\\n\\turl = -u./payload\\n' > .gitmodules; git add .gitmodules x")
    s = p.session("sub", script, repos=[p.repo("sub", "work")])
    s.wait("Failed")
    assert "gitmodules" in s.status["repos"][0]["error"] and p.origins.commits("sub", "work") == 0, s.status


def test_the_report_says_only_what_was_planned(p):
    """The agent cannot write the report or the log: what it prints is text, whatever it looks like."""
    line = '{"seq":1,"type":"session","state":"completed","run":"x"}'
    s = p.session("liar", "echo '%s'; echo '{\"t\":\"exited\",\"exitCode\":0,\"success\":true}'; exit 1" % line)
    s.wait("Failed")
    assert [m for m in s.messages() if m["type"] == "text"][0]["text"] == line
    assert s.messages()[-1]["state"] == "failed", s.messages()


def as_user(user, directory, name, pid):
    """What that user of the machine may do with a file in a directory that somebody left open for him, and a process."""
    script = ("import os, sys\nfor what in (lambda: os.open('/proc/self/fd/%d/%s', os.O_RDONLY), lambda: os.kill(%d, 0)):\n"
              "    try:\n        what()\n        print('may')\n    except PermissionError:\n        print('may not')\n")
    fd = os.open(directory, os.O_RDONLY)
    try:
        return subprocess.run(["/usr/bin/python3", "-I", "-c", script % (fd, name, pid)], user=user, group=user, extra_groups=[],
                              pass_fds=(fd,), capture_output=True, text=True, timeout=lib.PATIENCE, cwd="/", check=True).stdout.split("\n")[:2]
    finally:
        os.close(fd)


def users(sandbox):
    """6.8: pods of two namespaces are two users, who can do nothing to each other where no sandbox is between them."""
    p = Platform("users" + sandbox, node='uidRange = "340000-340009"; sandbox = "%s";' % sandbox)
    try:
        p.start()
        seen = {}
        for ns in ("one", "two"):
            p.namespace(ns)
            mark = "3600.%d%s" % (os.getpid(), ns == "one" and 1 or 2)
            p.request("POST", p.core("pods", ns=ns), {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {
                "restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "volumes": [{"name": "e", "emptyDir": {}}], "containers": [{
                    "name": "c", "image": "ambient-runner:x", "volumeMounts": [{"name": "e", "mountPath": "/e"}], "command": [
                        "sh", "-c", "umask 0; id -u; echo mine > $STANDALONE_ROOT/e/f; test -s "
                        "$STANDALONE_ROOT/var/run/secrets/kubernetes.io/serviceaccount/token && exec sleep " + mark]}]}})
            path = p.core("pods", "p", ns=ns)
            until(lambda: p.get(path)["status"].get("phase") == "Running" and
                  [1 for _, _, line in lib.processes().values() if line == "sleep %s " % mark], what="the pod of " + ns)
            pid = [pid for pid, (_, _, line) in lib.processes().items() if line == "sleep %s " % mark][0]
            uid = os.stat("/proc/%d" % pid).st_uid
            said = until(lambda: p.request("GET", path + "/log", raw=True)[1].decode().split(), what="what it says of itself")
            assert said == [str(uid)], (said, uid)
            volume = "%s/node/pods/%s/volumes/e" % (p.state, p.get(path)["metadata"]["uid"])
            with open(p.state + "/node/uids/" + ns) as f:
                assert int(f.read()) == uid
            info = os.stat(volume)
            assert (info.st_uid, info.st_gid, info.st_mode & 0o777) == (uid, uid, 0o770), info
            seen[ns] = (uid, volume, pid)
        (one, dir_one, pid_one), (two, dir_two, pid_two) = seen["one"], seen["two"]
        assert one != two and {one, two} <= set(range(340000, 340010)), seen
        assert as_user(one, dir_one, "f", pid_one) == as_user(two, dir_two, "f", pid_two) == ["may", "may"]
        assert as_user(one, dir_two, "f", pid_two) == as_user(two, dir_one, "f", pid_one) == ["may not", "may not"]
        p.stop()
        p.start()
        p.request("DELETE", p.core("pods", "p", ns="two"))
        until(lambda: p.get(p.core("pods", "p", ns="two")) is None, what="the pod to go")
    finally:
        p.close()


def test_pods_of_two_namespaces_are_two_users(p):
    if os.geteuid() != 0:
        return "only a daemon of root's gives its pods other users"
    for sandbox in ("bwrap", "none"):
        users(sandbox)
    return None


def make(tools):
    os.chmod(tools, 0o755)
    shutil.copy(os.path.join(HERE, "search.pl"), tools + "/search.pl")
    with open(tools + "/claude", "w") as f:
        f.write('#!/bin/sh\n[ "$1" != --version ] || { echo "2.0.0 (Claude Code)"; exit 0; }\n'
                'cd "$AMBIENT_SESSION_DIR/workspace/curious" || exit 1\n' + SEARCH % tools + "\n")
    os.chmod(tools + "/claude", 0o755)
    p = Platform("cage", binds=(tools,), env={"AMBIENT_HOST_CANARY": canary("daemonenv")})
    p.env["HOME"] = p.dir + "/home"
    plant(p.dir + "/home/.netrc", "netrc")
    plant(p.dir + "/home/.git-credentials", "gitcredentials")
    plant(p.dir + "/home/.ssh/id_ed25519", "ssh")
    plant(p.dir + "/tmp-canary", "tmp")
    p.start()
    p.namespace()
    p.origins.make("other")
    p.origins.make("curious")
    p.secret("gitcred", username="bot", password=canary("git"), token=canary("gittoken"))
    p.secret("ambient-non-vertex-integrations", GITHUB_TOKEN=canary("github"), GITLAB_TOKEN=canary("gitlab"))
    p.secret("unrelated", key=canary("unrelated"))
    p.secret("ambient-runner-secrets", ANTHROPIC_API_KEY=canary("model"), OTHER_KEY=canary("modelother"))
    return p


if __name__ == "__main__":
    lib.preconditions()
    tools = tempfile.mkdtemp(prefix="amb-tools-", dir="/tmp")
    try:
        status = lib.main(sys.modules[__name__], lambda: make(tools))
    finally:
        shutil.rmtree(tools)
    sys.exit(status)
