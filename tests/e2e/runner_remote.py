# SPDX-License-Identifier: Apache-2.0
"""The runner against real servers of git: HTTPS with a private authority and a login, SSH with keys."""
import base64
import os
import sys
import warnings

sys.dont_write_bytecode = True
warnings.simplefilter("ignore")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from git_servers import Https, Ssh, asyncssh, no_ssh  # noqa: E402
from runner_lab import Lab, Tap, git  # noqa: E402


def spec(*repos):
    return {"prompt": "p", "repos": list(repos), "runnerType": "command",
            "runnerConfig": {"command": ["sh", "-c", "echo work >> README.md; head -c 3000000 /dev/urandom > big"]}}


def repo(url, branch="work"):
    return {"input": {"url": url, "branch": "main"}, "output": {"targetBranch": branch}}


def secret(lab, **files):
    """What the Secret of repository 0 is in the pod."""
    base = os.path.join(lab.root, "git-%d" % lab.count)
    os.makedirs(os.path.join(base, "0"))
    for name, value in files.items():
        with open(os.path.join(base, "0", {"ca": "ca.crt", "key": "ssh-privatekey"}.get(name, name)), "w") as f:
            f.write(value)
    return {"AMBIENT_GIT_CREDENTIALS": base}


def https(lab):
    if not hasattr(lab, "https"):
        directory = os.path.join(lab.root, "https")
        os.mkdir(directory)
        lab.https = Https(lab.origins, directory)
    lab.https.seen.clear()
    with open(lab.https.ca) as f:
        return lab.https, f.read()


def ssh(lab):
    if not hasattr(lab, "ssh"):
        directory = os.path.join(lab.root, "ssh")
        os.mkdir(directory)
        lab.ssh = Ssh(lab.origins, directory)
    return lab.ssh


def pushed(lab, pod, name):
    assert pod.code == 0, (pod.code, pod.report, pod.read("stderr"))
    r = pod.report["repos"][0]
    assert (r["status"], r["branch"], r["commits"]) == ("pushed", "work", 1), r
    assert git("--git-dir", lab.bare(name), "rev-parse", "work") == r["commit"]
    assert git("--git-dir", lab.bare(name), "show", "work:README.md").endswith("work")


def test_https_clone_and_push_with_a_login(lab):
    server, ca = https(lab)
    lab.origin("tls")
    pod = lab.pod(spec(repo(server.url("tls"))), runner_env=secret(lab, ca=ca, username="me", password="pass-word")).go()
    pushed(lab, pod, "tls")
    assert any("git-receive-pack" in path and auth for path, auth in server.seen), server.seen
    assert "pass-word" not in str(pod.report) + str(pod.messages) + pod.read("stderr")


def test_https_of_an_unknown_authority_is_refused(lab):
    server, _ = https(lab)
    lab.origin("untrusted")
    pod = lab.pod(spec(repo(server.url("untrusted"))), runner_env=secret(lab, username="me", password="pass-word")).go()
    assert pod.code != 0 and "certificate" in pod.report["message"], pod.report
    assert server.seen == [], server.seen


def test_https_wrong_password_says_so(lab):
    server, ca = https(lab)
    lab.origin("locked")
    pod = lab.pod(spec(repo(server.url("locked"))), runner_env=secret(lab, ca=ca, username="me", password="wr0ng-word")).go()
    assert pod.code != 0 and "uthentication failed" in pod.report["message"], pod.report
    assert "wr0ng-word" not in str(pod.report) + pod.read("stderr")


def test_a_secret_is_for_the_hosts_that_it_lists(lab):
    server, ca = https(lab)
    lab.origin("listed")
    login = {"ca": ca, "username": "me", "password": "pass-word"}
    pod = lab.pod(spec(repo(server.url("listed"))), runner_env=secret(lab, hosts="git.example, other.example:%d" % server.port, **login)).go()
    assert pod.code != 0 and pod.report["reason"] == "CloneFailed", pod.report
    assert server.seen and all(auth is None for _, auth in server.seen), server.seen
    for hosts in ("git.example\nlocalhost\n", "LOCALHOST:%d" % server.port):
        pod = lab.pod(spec(repo(server.url("listed"))), runner_env=secret(lab, hosts=hosts, **login)).go()
        assert pod.code == 0, (hosts, pod.report)
        git("--git-dir", lab.bare("listed"), "branch", "-D", "work")


def test_the_projects_tokens_do_not_go_to_other_hosts(lab):
    server, ca = https(lab)
    lab.origin("foreign")
    env = {**secret(lab, ca=ca), "GITHUB_TOKEN": "pass-word", "GITLAB_TOKEN": "pass-word"}
    pod = lab.pod(spec(repo(server.url("foreign"))), runner_env=env).go()
    assert pod.code != 0 and server.seen and all(auth is None for _, auth in server.seen), (pod.report, server.seen)
    # The project says that this host is a GitLab: its token is tried there, under GitLab's name for it.
    pod = lab.pod(spec(repo(server.url("foreign"))), runner_env=env)
    lab.api.session["status"] = {"effective": {"repos": [
        {"index": 0, "url": server.url("foreign"), "branch": "main", "provider": "gitlab"}], "interactive": False}}
    pod.go()
    sent = {base64.b64decode(auth.split()[1]).decode() for _, auth in server.seen if auth}
    assert sent == {"oauth2:pass-word"}, sent


def test_https_a_redirect_to_another_host_gets_no_login(lab):
    server, ca = https(lab)
    lab.origin("moved")
    server.redirects["elsewhere"] = "https://127.0.0.1:%d" % server.port
    pod = lab.pod(spec(repo(server.url("elsewhere/moved"))), runner_env=secret(lab, ca=ca, username="me", password="pass-word")).go()
    assert pod.code != 0, pod.report
    assert server.seen and all(auth is None for path, auth in server.seen if not path.startswith("/elsewhere")), server.seen


def test_a_garbled_authority_is_a_sentence(lab):
    server, _ = https(lab)
    lab.origin("garbled")
    pod = lab.pod(spec(repo(server.url("garbled"))), runner_env=secret(lab, ca="no certificate", username="me", password="x")).go()
    assert pod.code != 0 and "certificate" in pod.report["message"].lower(), pod.report


def test_ssh_clone_and_push_with_a_key(lab):
    if no_ssh():
        return no_ssh()
    server = ssh(lab)
    lab.origin("keyed")
    pod = lab.pod(spec(repo(server.url("keyed"))), runner_env=secret(lab, key=server.private_key, known_hosts=server.known_hosts)).go()
    pushed(lab, pod, "keyed")
    # To fetch, to ask for the default branch, to push.
    assert [c.split()[0] for c in server.commands] == ["git-upload-pack", "git-upload-pack", "git-receive-pack"], server.commands
    assert "PRIVATE KEY" not in str(pod.report) + str(pod.messages) + pod.read("stderr")
    return None


def test_ssh_a_foreign_key_is_refused(lab):
    if no_ssh():
        return no_ssh()
    server = ssh(lab)
    lab.origin("shut")
    pod = lab.pod(spec(repo(server.url("shut"))), runner_env=secret(lab, key=server.other_key, known_hosts=server.known_hosts)).go()
    assert pod.code != 0 and "Permission denied" in pod.report["message"], pod.report
    return None


def test_ssh_a_host_that_is_another_is_refused(lab):
    if no_ssh():
        return no_ssh()
    server = ssh(lab)
    lab.origin("impostor")
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    hosts = "[127.0.0.1]:%d %s" % (server.port, other)
    server.commands.clear()
    pod = lab.pod(spec(repo(server.url("impostor"))), runner_env=secret(lab, key=server.private_key, known_hosts=hosts)).go()
    assert pod.code != 0 and "ost key verification failed" in pod.report["message"], pod.report
    assert server.commands == []
    return None


if __name__ == "__main__":
    the_lab = Lab()
    try:
        code = Tap([f for n, f in list(globals().items()) if n.startswith("test_")]).run(the_lab)
    finally:
        for name in ("https", "ssh"):
            if hasattr(the_lab, name):
                getattr(the_lab, name).close()
        the_lab.close()
    sys.exit(code)
