# SPDX-License-Identifier: Apache-2.0
"""Sessions whose repositories lie on a company's servers: HTTPS with an authority of its own, SSH with keys.  What
runner_remote shows of the runner alone is seen here from a pod, with its credentials in a Secret."""
import os
import sys
import warnings

sys.dont_write_bytecode = True
warnings.simplefilter("ignore")
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../lib")]
import lib  # noqa: E402
from git_servers import Https, Ssh, no_ssh  # noqa: E402
from lib import Platform  # noqa: E402


def finish(p, name, url, data):
    """Runs a session against that server; the session at its end."""
    p.origins.make(name)
    p.request("POST", p.core("secrets"), {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data})
    s = p.session(name, "echo line >> README.md", repos=[{
        "input": {"url": url, "branch": "main", "authSecret": name}, "output": {"targetBranch": "work"}}])
    s.wait("Completed")
    repo = s.status["repos"][0]
    assert repo["status"] == "pushed" and p.origins.commits(name, "work") == 1, s.status
    said = str(s.get()) + str(s.messages()) + p.log()
    for value in data.values():
        for line in value.splitlines():
            assert len(line) < 30 or "CERTIFICATE" in data.get("ca.crt", "") and line in data["ca.crt"] or line not in said, line
    return s


def test_https_with_a_private_authority(p):
    directory = os.path.join(p.dir, "https")
    os.mkdir(directory)
    server = Https(p.origins.dir, directory, login=("me", "a-long-password-that-nobody-may-ever-see"))
    try:
        with open(server.ca) as f:
            ca = f.read()
        finish(p, "tls", server.url("tls"), {"username": "me", "password": "a-long-password-that-nobody-may-ever-see", "ca.crt": ca})
        assert any("git-receive-pack" in path and auth for path, auth in server.seen), server.seen
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
        assert [c.split()[0] for c in server.commands] == ["git-upload-pack", "git-receive-pack"], server.commands
    finally:
        server.close()
    return None


def make():
    p = Platform("remote")
    p.start()
    p.namespace()
    return p


if __name__ == "__main__":
    lib.preconditions()
    sys.exit(lib.main(sys.modules[__name__], make))
