# SPDX-License-Identifier: Apache-2.0
"""Sessions whose repositories lie on a company's servers: HTTPS with an authority of its own, SSH with keys.  What
runner_remote shows of the runner alone is seen here from a pod, with its credentials in a Secret."""
import os
import subprocess
import sys
import warnings

sys.dont_write_bytecode = True
warnings.simplefilter("ignore")
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../lib")]
import lib  # noqa: E402
from forge_api import Forge  # noqa: E402
from git_servers import Https, Ssh, no_ssh  # noqa: E402
from lib import Platform  # noqa: E402

TOKEN = "forge-token-that-nobody-may-ever-see"


def holds(path, word):
    try:
        with open(path, "rb") as f:
            return word in f.read()
    except OSError:
        return False # it has just gone


def files_with(top, word):
    """Those below a directory that have the word in them."""
    return [path for where, _, names in os.walk(top) for path in (os.path.join(where, n) for n in names)
            if os.path.isfile(path) and not os.path.islink(path) and holds(path, word.encode())]


def told(p, s):
    """All that people other than those who may read Secrets are shown of a session."""
    parts = [p.log(), str(s.get()), str(s.messages())]
    for path in (p.core("events"), p.core("configmaps"), p.core("pods"), p.jobs(), p.core("persistentvolumeclaims")):
        parts.append(str(p.request("GET", path)["items"]))
    for container in ("runner", "agent"):
        parts.append(p.request("GET", p.core("pods", s.status["runnerPodName"]) + "/log?container=" + container, raw=True)[1].decode())
    return "\n".join(parts)


def finish(p, name, url, data):
    """Runs a session against that server; the session at its end."""
    p.origins.make(name)
    p.request("POST", p.core("secrets"), {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data})
    s = p.session(name, "echo line >> README.md", repos=[{
        "input": {"url": url, "branch": "main", "authSecret": name}, "output": {"targetBranch": "work"}}])
    s.wait("Completed")
    repo = s.status["repos"][0]
    assert repo["status"] == "pushed" and p.origins.commits(name, "work") == 1, s.status
    said = told(p, s)
    for value in data.values():
        for line in value.splitlines():
            assert len(line) < 30 or "CERTIFICATE" in data.get("ca.crt", "") and line in data["ca.crt"] or line not in said, line
    return s


def test_weakness_12_3_d_https_with_a_private_authority(p):
    """While git clones and pushes, and afterwards: the password is in no argument, in no file of the workspace's volume."""
    directory, password, found = os.path.join(p.dir, "https"), "a-long-password-that-nobody-may-ever-see", []
    os.mkdir(directory)
    server = Https(p.origins.dir, directory, login=("me", password))
    volume = lib.Session(p, "tls", p.ns).volume

    def look():
        found.extend(line for _, _, line in lib.processes().values() if password in line)
        found.extend(files_with(os.path.dirname(os.path.dirname(volume)), password))

    server.asked = look
    try:
        with open(server.ca) as f:
            ca = f.read()
        s = finish(p, "tls", server.url("tls"), {"username": "me", "password": password, "ca.crt": ca})
        assert any("git-receive-pack" in path and auth for path, auth in server.seen), server.seen
        look()
        assert not found, found
        # The search does find what is there: the address, which git keeps with the clone.
        assert s.file("tls/.git/config") in files_with(volume, server.url("tls"))
    finally:
        server.close()


def test_ssh_with_a_key(p):
    if no_ssh():
        return no_ssh()
    directory = os.path.join(p.dir, "ssh")
    os.mkdir(directory)
    server = Ssh(p.origins.dir, directory)
    try:
        finish(p, "keyed", server.url("keyed"), {"ssh-privatekey": server.private_key, "known_hosts": server.known_hosts})
        assert [c.split()[0] for c in server.commands] == ["git-upload-pack", "git-upload-pack", "git-receive-pack"], server.commands
    finally:
        server.close()
    return None


def test_credentials_of_the_session_for_all_its_repositories(p):
    """gitConfig, as older clients have it: one Secret for what is fetched by HTTP and one for SSH, each only for its own."""
    if no_ssh():
        return no_ssh()
    servers, at = [], {}
    for kind in ("tokens", "keys"):
        at[kind] = os.path.join(p.dir, "session-" + kind)
        os.mkdir(at[kind])
    try:
        https, ssh = Https(p.origins.dir, at["tokens"], login=("oauth2", TOKEN)), Ssh(p.origins.dir, at["keys"])
        servers += [https, ssh]
        for name in ("by-token", "by-key"):
            p.origins.make(name)
        with open(https.ca) as f:
            p.secret("of-tokens", **{"token": TOKEN, "username": "oauth2", "ca.crt": f.read()})
        p.secret("of-keys", **{"ssh-privatekey": ssh.private_key, "known_hosts": ssh.known_hosts})
        s = p.session("of-all", "echo line >> ../src/README.md; echo line >> ../by-key/README.md", autoPushOnComplete=True, gitConfig={
            "user": {"name": "Ada", "email": "ada@example.com"},
            "authentication": {"tokenSecret": "of-tokens", "sshKeySecret": "of-keys"},
            "repositories": [{"url": https.url("by-token"), "branch": "main", "clonePath": "src"}, {"url": ssh.url("by-key")}]})
        s.wait("Completed")
        assert [(r["name"], r["status"], r["branch"]) for r in s.status["repos"]] == [
            ("src", "pushed", "sessions/of-all"), ("by-key", "pushed", "sessions/of-all")], s.status
        for name in ("by-token", "by-key"):
            assert p.origins.commits(name, "sessions/of-all") == 1, name
            author = subprocess.run(["git", "-C", p.origins.bare(name), "log", "-1", "--format=%an %ae", "sessions/of-all"], text=True,
                                    stdout=subprocess.PIPE, check=True).stdout
            assert author == "Ada ada@example.com\n", author
        assert any("git-receive-pack" in path and auth for path, auth in https.seen), https.seen
        assert "git-receive-pack" in {c.split()[0] for c in ssh.commands}, ssh.commands
        said = told(p, s)
        assert TOKEN not in said and ssh.private_key.splitlines()[1] not in said
    finally:
        for server in servers:
            server.close()
    return None


def hosts(p, url, provider):
    """The project says what the server of that repository is."""
    p.request("PATCH", "/apis/vteam.ambient-code/v1alpha1/namespaces/%s/projectsettings/projectsettings?fieldManager=remote&force=true" % p.ns, {
        "apiVersion": "vteam.ambient-code/v1alpha1", "kind": "ProjectSettings", "metadata": {"name": "projectsettings"},
        "spec": {"groupAccess": [], "repositories": [{"url": url, "branch": "main", "provider": provider}]}},
        content="application/apply-patch+yaml")


def test_the_projects_token_reaches_the_server_that_it_names(p):
    """The repository's own Secret has the authority only; the token is that of the project's integrations."""
    directory = os.path.join(p.dir, "hosted")
    os.mkdir(directory)
    server = Https(p.origins.dir, directory, login=("oauth2", TOKEN))
    p.namespace("tokens")
    p.ns = "tokens"
    try:
        with open(server.ca) as f:
            ca = f.read()
        p.secret("ambient-non-vertex-integrations", GITLAB_TOKEN=TOKEN, GITHUB_TOKEN="another-token-for-another-server")
        hosts(p, server.url("hosted"), "gitlab")
        s = finish(p, "hosted", server.url("hosted"), {"ca.crt": ca})
        assert TOKEN not in told(p, s) and any("git-receive-pack" in path and auth for path, auth in server.seen), server.seen
    finally:
        p.ns = "team"
        server.close()


def test_weakness_12_4_k_a_request_is_opened_and_told_in_the_status(p):
    """From createPR and the project's word on what its server is, through the plugin's base URLs, to the address that a person reads."""
    for ns, provider, name, part in (("hub", "github", "team/app", "/pull/"), ("lab", "gitlab", "group/sub/tool", "/-/merge_requests/")):
        p.namespace(ns)
        p.ns = ns
        url = p.origins.make(name)
        hosts(p, url, provider)
        p.secret("forge", token=TOKEN)
        s = p.session("asks", "echo line >> README.md; git commit -qam 'Mend the parser'", repos=[{
            "input": {"url": url, "branch": "main", "authSecret": "forge"}, "output": {"targetBranch": "work", "createPR": True}}])
        s.wait("Completed")
        repo, asked = s.status["repos"][0], p.forge.requests[-1]
        assert repo["status"] == "pushed" and "error" not in repo and p.origins.commits(name, "work") == 1, s.status
        assert repo["prUrl"] == asked["url"] and part in repo["prUrl"], (repo, asked)
        assert (asked["into"], asked["branch"], asked["base"], asked["title"]) == (name, "work", "main", "Mend the parser"), asked
        done = p.ctl("describe", "asks")
        assert done.returncode == 0 and repo["prUrl"] in done.stdout, done.stdout
        assert TOKEN not in told(p, s)
    assert p.forge.wrong == [] and {auth for _, _, _, auth in p.forge.seen} == {"Bearer " + TOKEN}, p.forge.seen
    p.ns = "team"


def test_a_request_in_the_shape_of_older_documents(p):
    """createPullRequest: of a fork, into the target branch; of a branch beside the target; and where nothing else says that it is pushed."""
    p.namespace("older")
    p.ns = "older"
    p.secret("forge", token=TOKEN)
    url, fork = p.origins.make("older/app"), p.origins.make("mine/app")
    hosts(p, url, "github")
    work, seen = "echo line >> README.md; git commit -qam 'Mend the parser'", len(p.forge.requests)
    for name, output, pushed, branch, base in (
            ("fork", {"type": "fork", "forkRepo": fork, "targetBranch": "of-fork", "createPullRequest": True}, "mine/app", "of-fork", "main"),
            ("direct", {"type": "direct", "targetBranch": "main", "pushBranch": "beside", "createPullRequest": True}, "older/app", "beside", "main"),
            ("plain", {"createPullRequest": True}, "older/app", "sessions/plain", "main")):
        s = p.session(name, work, repos=[{"input": {"url": url, "branch": "main", "authSecret": "forge"}, "output": output}])
        s.wait("Completed")
        repo = s.status["repos"][0]
        assert repo["status"] == "pushed" and "error" not in repo and p.origins.commits(pushed, branch) == 1, (name, s.status)
        asked = p.forge.requests[-1]
        assert repo["prUrl"] == asked["url"] and asked["into"] == "older/app", (name, repo, asked)
        assert (asked["branch"].split(":")[-1], asked["base"]) == (branch, base), (name, asked)
    assert len(p.forge.requests) == seen + 3, p.forge.requests
    # Where the push is turned off no request can be opened, and that is said.
    s = p.session("off", work, autoPushOnComplete=False, repos=[{"input": {"url": url, "branch": "main"}, "output": {"createPullRequest": True}}])
    s.wait("Completed")
    assert s.status["repos"][0]["status"] == "abandoned", s.status
    assert s.condition("SpecValid")["message"] == "without effect where nothing is pushed: spec.repos[0].output.createPR", s.status
    p.ns = "team"


def make():
    p = Platform("remote")
    p.forge = Forge(p.origins.dir, TOKEN)
    p.agenticsession = 'keepJob = "10m"; githubApi = "%(AMBIENT_GITHUB_API)s"; gitlabApi = "%(AMBIENT_GITLAB_API)s";' % p.forge.env()
    p.start()
    p.namespace()
    return p


if __name__ == "__main__":
    lib.preconditions()
    sys.exit(lib.main(sys.modules[__name__], make))
