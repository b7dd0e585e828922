# SPDX-License-Identifier: Apache-2.0
"""Submodules and LFS objects, against real servers of git: what the agent finds in its copy, what gets out, and who gets
which credentials."""
import os
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from git_servers import Https  # noqa: E402
from runner_lab import Lab, Tap, git  # noqa: E402


def spec(script, *repos, **more):
    return {"prompt": "p", "repos": list(repos), "runnerConfig": {"command": ["sh", "-c", script]}, **more}


def repo(url, branch="work"):
    return {"input": {"url": url, "branch": "main"}, "output": {"targetBranch": branch}}


def https(lab):
    if not hasattr(lab, "https"):
        directory = os.path.join(lab.root, "https")
        os.mkdir(directory)
        lab.https = Https(lab.origins, directory)
    lab.https.seen.clear()
    return lab.https


def secret(lab, **files):
    """What the Secret of repository 0 is in the pod: the server's authority and login, unless told otherwise."""
    base = os.path.join(lab.root, "git-%d" % lab.count)
    os.makedirs(os.path.join(base, "0"))
    with open(lab.https.ca) as f:
        known = {"ca.crt": f.read(), "username": "me", "password": "pass-word"}
    for name, value in {**known, **files}.items():
        if value is not None:
            with open(os.path.join(base, "0", name), "w") as f:
                f.write(value)
    return {"AMBIENT_GIT_CREDENTIALS": base}


def seed(lab, name):
    return os.path.join(lab.root, "seed-" + name)


def head(lab, name):
    return git("rev-parse", "HEAD", cwd=seed(lab, name))


def commit(lab, name, *modules, text="first", **files):
    """One more commit of an origin: (name, path, url, id) of submodules, and files."""
    work = seed(lab, name)
    for path, content in files.items():
        with open(os.path.join(work, path), "w") as f:
            f.write(content)
    for module, path, url, at in modules:
        git("config", "-f", ".gitmodules", "submodule.%s.path" % module, path, cwd=work)
        git("config", "-f", ".gitmodules", "submodule.%s.url" % module, url, cwd=work)
        git("update-index", "--add", "--cacheinfo", "160000,%s,%s" % (at, path), cwd=work)
    git("add", *files, *([".gitmodules"] if modules else []), cwd=work)
    git("commit", "-q", "-m", text, cwd=work)
    git("push", "-q", lab.bare(name), "HEAD:refs/heads/main", cwd=work)
    return head(lab, name)


def test_submodules_are_there_with_those_in_them(lab):
    lab.origin("m/leaf", {"leaf.txt": "leaf\n"})
    lab.origin("m/lib", {"lib.txt": "lib\n"})
    at = commit(lab, "m/lib", ("deep/leaf", "third party/leaf", "../leaf.git", head(lab, "m/leaf")))
    url = lab.origin("m/app")
    commit(lab, "m/app", ("lib", "vendor/lib", "git://127.0.0.1:%d/m/lib.git" % lab.port, at), ("off", "off", "../leaf.git", head(lab, "m/leaf")))
    git("config", "-f", ".gitmodules", "submodule.off.update", "none", cwd=seed(lab, "m/app"))
    commit(lab, "m/app", ("x", "x", "./../leaf.git", head(lab, "m/leaf")))
    script = ("cat vendor/lib/lib.txt 'vendor/lib/third party/leaf/leaf.txt' x/leaf.txt; ls off; git submodule status --recursive; "
              "git status --porcelain; git -C vendor/lib log --format=%s -1; git -C vendor/lib config remote.origin.url; echo more >> README.md")
    pod = lab.pod(spec(script, repo(url))).go()
    assert pod.code == 0 and pod.report["repos"][0]["status"] == "pushed" and "error" not in pod.report["repos"][0], (pod.report, pod.texts())
    lines = "\n".join(pod.texts()).splitlines()
    assert lines[:3] == ["lib", "leaf", "leaf"], lines
    assert [l.split()[1] for l in lines[3:7]] == ["off", "vendor/lib", "vendor/lib/third", "x"] and lines[3][0] == "-", lines
    assert all(l[0] == " " or l[0] == "-" for l in lines[3:7]), lines
    assert lines[7:] == ["first", "git://127.0.0.1:%d/m/lib.git" % lab.port], lines
    tree = git("--git-dir", lab.bare("m/app"), "ls-tree", "-r", "work")
    assert "160000 commit %s\tvendor/lib" % at in tree, tree
    # Another run on the volume finds them as they are.
    again = lab.pod(spec("cat vendor/lib/lib.txt; echo again >> README.md", repo(url)), volume=pod.volume).go()
    assert again.code == 0 and "lib" in again.texts(), (again.report, again.texts())


def test_submodules_get_credentials_of_their_host_only(lab):
    server = https(lab)
    lab.origin("c/own", {"own.txt": "own\n"})
    lab.origin("c/other", {"other.txt": "other\n"})
    lab.origin("c/app")
    commit(lab, "c/app", ("own", "own", "../own.git", head(lab, "c/own")),
           ("other", "other", server.url("c/other", host="127.0.0.1"), head(lab, "c/other")))
    pod = lab.pod(spec("cat own/own.txt; ls other; cat .git/config .git/modules/*/config; echo more >> README.md", repo(server.url("c/app"))),
                  runner_env=secret(lab)).go()
    r = pod.report["repos"][0]
    assert pod.code == 0 and r["status"] == "pushed" and pod.texts()[0].startswith("own"), (pod.report, pod.texts())
    assert 'the submodule "other" cannot be cloned' in r["error"], r
    assert any(m.get("reason") == "CloneIncomplete" for m in pod.messages)
    asked = [(path, auth) for path, auth in server.seen if "/c/other" in path]
    assert asked and all(auth is None for _, auth in asked), server.seen
    assert any("/c/own" in path and auth for path, auth in server.seen), server.seen
    assert "pass-word" not in str(pod.texts()) + str(pod.report)


def test_submodules_that_attack_are_left_out(lab):
    victim = lab.origin("a/victim", {"victim.txt": "v\n"})
    at = head(lab, "a/victim")
    bad = [("n1", "p1", "ext::sh -c touch% " + lab.root + "/pwned"), ("n2", "p2", "file://" + lab.bare("a/victim")),
           ("n3", "p3", lab.bare("a/victim")), ("n4", "p4", "https://u:hunter2@127.0.0.1/x"), ("n5", "p5", "../../../../../etc"),
           ("../../escape", "p6", victim), ("hooks/../../x", "p7", victim), ("a", "p8", victim), ("a/b", "p9", victim)]
    lab.origin("a/app")
    commit(lab, "a/app", *[(name, path, url, at) for name, path, url in bad], ("good", "good", victim, at))
    pod = lab.pod(spec("cat good/victim.txt; find p* -type f | sort; ls .git/modules", repo("git://127.0.0.1:%d/a/app.git" % lab.port))).go()
    assert pod.code == 0 and pod.report["repos"][0]["status"] == "nochanges" and "refused" in pod.report["repos"][0]["error"], pod.report
    assert "\n".join(pod.texts()).split() == ["v", "p8/.git", "p8/victim.txt", "a", "good"], pod.texts()
    assert not os.path.exists(lab.root + "/pwned") and "hunter2" not in str(pod.report)


def test_submodules_are_bounded(lab):
    leaf = lab.origin("b/leaf")
    at = head(lab, "b/leaf")
    lab.origin("b/many")
    commit(lab, "b/many", *[("m%d" % i, "m%d" % i, leaf, at) for i in range(70)])
    pod = lab.pod(spec("ls -d m*/README.md | wc -l", repo("git://127.0.0.1:%d/b/many.git" % lab.port))).go()
    assert pod.code == 0 and pod.texts() == ["64"], (pod.report, pod.texts())
    assert "more than 64 submodules" in pod.report["repos"][0]["error"], pod.report


def test_a_submodules_commit_that_nobody_else_has_is_not_pushed(lab):
    lab.origin("w/lib", {"lib.txt": "one\n"})
    first = head(lab, "w/lib")
    second = commit(lab, "w/lib", **{"lib.txt": "two\n"})
    url = lab.origin("w/app")
    commit(lab, "w/app", ("lib", "lib", "../lib.git", first))
    pod = lab.pod(spec("cd lib; echo mine >> lib.txt; git commit -qam mine", repo(url))).go()
    r = pod.report["repos"][0]
    assert pod.code == 1 and r["status"] == "error" and 'the submodule "lib" is at commit' in r["error"], pod.report
    assert "work" not in git("--git-dir", lab.bare("w/app"), "for-each-ref")
    # One that is on its server goes; so does rescued work, whatever it names.
    pod = lab.pod(spec("cd lib; git checkout -q origin/main", repo(url))).go()
    assert pod.code == 0 and pod.report["repos"][0]["status"] == "pushed", pod.report
    assert "160000 commit " + second in git("--git-dir", lab.bare("w/app"), "ls-tree", "work")
    pod = lab.pod(spec("cd lib; echo mine >> lib.txt; git commit -qam mine; exit 3", repo(url), rescue=True)).go()
    assert pod.code == 1 and pod.report["repos"][0]["status"] == "pushed", pod.report


if __name__ == "__main__":
    the_lab = Lab()
    try:
        code = Tap([f for n, f in list(globals().items()) if n.startswith("test_")]).run(the_lab)
    finally:
        if hasattr(the_lab, "https"):
            the_lab.https.close()
        the_lab.close()
    sys.exit(code)
